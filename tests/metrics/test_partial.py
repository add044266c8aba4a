"""Rank correlations among maps, and partial ones, against scipy and regressions on ranks."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.partial import correlations_among, partial_correlation, powers_of_ranks, unit_ranks


@pytest.fixture
def maps(rng):
    """Five kinds of maps of three images, which share signals, with ties in the last kind."""
    shared = rng.normal(size=(2, 3, 9, 7))
    kinds = [shared[0] + rng.normal(size=(3, 9, 7)), shared.sum(axis=0) + rng.normal(size=(3, 9, 7)), *shared]
    return [*kinds, np.round(shared[0] + rng.normal(size=(3, 9, 7)))]


def rank_correlations(maps):
    return correlations_among([unit_ranks(kind) for kind in maps])


def residual(values, controls):
    design = np.column_stack([np.ones(len(values)), *controls])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def test_all_pairs_of_maps_are_compared_by_spearman(maps):
    found = rank_correlations(maps)
    assert found.shape == (3, 5, 5)
    for image in range(3):
        expected = spearmanr(np.array([kind[image].ravel() for kind in maps]).T).statistic
        np.testing.assert_allclose(found[image], expected, atol=1e-12)


@pytest.mark.parametrize("controls", [1, 2, 3])
def test_a_partial_correlation_is_that_of_the_residuals_of_ranks(maps, controls):
    found = partial_correlation(rank_correlations(maps[: 2 + controls]))
    for image in range(3):
        ranks = [rankdata(kind[image].ravel()) for kind in maps[: 2 + controls]]
        expected = pearsonr(*(residual(values, ranks[2:]) for values in ranks[:2])).statistic
        assert found[image] == pytest.approx(expected, abs=1e-12)
        assert abs(found[image] - rank_correlations(maps)[image, 0, 1]) > 0.01


def test_squares_and_cubes_of_ranks_are_partialled_out_like_further_controls(maps):
    control = unit_ranks(maps[2])
    found = partial_correlation(
        correlations_among([*(unit_ranks(kind) for kind in maps[:2]), control, *powers_of_ranks(control)])
    )
    for image in range(3):
        first, second, ranks = (rankdata(kind[image].ravel()) / 63 for kind in maps[:3])
        expected = pearsonr(*(residual(values, [ranks, ranks**2, ranks**3]) for values in (first, second))).statistic
        assert found[image] == pytest.approx(expected, abs=1e-12)


def test_what_two_maps_share_in_a_curve_is_left_by_ranks_and_removed_with_their_powers(rng):
    """SIMULATED: two maps follow the same narrow centre, with independent noise."""
    y, x = np.mgrid[-16:17, -16:17]
    bump = np.exp(-(y**2 + x**2) / 2 / 5**2)
    first, second = (unit_ranks(bump + 0.2 * rng.normal(size=(20, 33, 33))) for _ in range(2))
    centre = unit_ranks(-(y**2 + x**2.0)[None])
    line = partial_correlation(correlations_among([first, second, centre]))
    curve = partial_correlation(correlations_among([first, second, centre, *powers_of_ranks(centre)]))
    assert correlations_among([first, second])[:, 0, 1].mean() > 0.4
    assert line.mean() > 0.1
    assert abs(curve.mean()) < 0.05


def test_the_same_control_twice_counts_once(maps):
    once, twice = (partial_correlation(rank_correlations([*maps[:2], *[maps[2]] * times])) for times in (1, 2))
    np.testing.assert_allclose(once, twice, atol=1e-12)


def test_one_map_stands_for_every_image(maps):
    repeated = np.repeat(maps[2][:1], 3, axis=0)
    np.testing.assert_array_equal(rank_correlations([maps[0], maps[2][:1]]), rank_correlations([maps[0], repeated]))


def test_what_is_constant_missing_or_explained_wholly_is_undefined(maps):
    first, second, control = (kind.copy() for kind in maps[:3])
    first[0] = 0.1
    first[0, 0, 0] += 1e-17  # rounding
    second[1, 2, 3] = np.nan
    first[2] = control[2] ** 3
    found = rank_correlations([first, second, control])
    assert np.isnan(found[0, 0, 1:]).all()
    assert np.isnan(found[1, 1, [0, 2]]).all()
    assert np.isfinite(found[1, 0, 2])
    assert np.isfinite(found[2]).all()
    assert np.isnan(partial_correlation(found)).all()


def test_what_controls_explain_to_rounding_is_undefined(rng):
    controls, second = rng.normal(size=(3, 40, 9, 7)), rng.normal(size=(40, 9, 7))
    ranks = [unit_ranks(control) for control in controls]
    first = 0.3 * ranks[0] + 0.5 * ranks[1] - 0.7 * ranks[2]
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    assert np.isnan(partial_correlation(correlations_among([first, unit_ranks(second), *ranks]))).all()


def test_maps_of_other_shapes_are_refused(maps):
    first, second = (unit_ranks(kind) for kind in maps[:2])
    with pytest.raises(ArrayError, match=r"differ in shape: \(3, 63\), \(3, 62\)"):
        correlations_among([first, second[:, 1:]])
    with pytest.raises(ArrayError, match="differ in shape"):
        correlations_among([first, second[:2]])
