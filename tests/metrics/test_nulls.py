"""Null distributions of a score: pairings with other images' maps, and descriptions by shifts and rotations."""

from itertools import permutations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest, spearmanr

from brainscore_itmaps.metrics.folds import fit_folds, fit_left_out, groups_left_out, pairs_of_groups
from brainscore_itmaps.metrics.nulls import SPREAD, paired_values, pairing_null, range_of_rotations, range_of_shifts

IMAGES, ROWS, COLUMNS, SITES, CHANNELS = 8, 5, 7, 3, 4


def draw(rng, images=IMAGES):
    return rng.normal(size=(images, ROWS, COLUMNS, CHANNELS)), rng.normal(size=(images, ROWS, COLUMNS, SITES))


@pytest.mark.parametrize("measure", ["predictivity", "alignment"])
def test_a_pair_is_predicted_by_regressions_that_were_fitted_to_neither_image(measure):
    field, maps = draw(np.random.default_rng(0))
    paired = paired_values(fit_folds(field, maps, pairs_of_groups(IMAGES, 4)), maps, measure)
    groups = groups_left_out(IMAGES, 4)
    group_of = groups.argmax(axis=0)
    for first, second in ((0, 1), (3, 2), (0, 4), (5, 5)):
        values = []
        for other in range(4):
            left_out = groups[group_of[first]] | groups[group_of[second]]
            if group_of[first] == group_of[second]:
                if other == group_of[first]:
                    continue
                left_out = left_out | groups[other]
            predicted = np.full(maps.shape, np.nan)
            predicted[left_out] = fit_folds(field, maps, left_out[None]).of(0)
            if measure == "alignment":
                pair = predicted[first].mean(axis=-1).ravel(), maps[second].mean(axis=-1).ravel()
                values.append(spearmanr(*pair).statistic)
            else:
                sites = [np.corrcoef(predicted[first, ..., s].ravel(), maps[second, ..., s].ravel())[0, 1]
                         for s in range(SITES)]  # fmt: skip
                values.append(np.median(sites))
        assert paired[first, second] == pytest.approx(np.mean(values), abs=1e-10)


def test_the_p_value_counts_the_pairings_that_reach_the_images_own_maps():
    values = np.random.default_rng(1).normal(size=(5, 5))
    orders = [np.array(order) for order in permutations(range(5))]
    every = np.array([values[range(5), order].mean() for order in orders])
    every = every.mean() + SPREAD * (every - every.mean())
    null = pairing_null([values], pairings=40_000)
    assert null.p_value == pytest.approx((every >= values.diagonal().mean()).mean(), abs=0.015)
    others = values[~np.eye(5, dtype=bool)]
    assert null.mean == pytest.approx(others.mean(), abs=0.02)
    assert others.min() <= null.low < null.mean < null.high <= others.max()


def test_arrays_with_the_same_images_are_paired_alike():
    values = np.random.default_rng(2).normal(size=(6, 6))
    alone, twice = pairing_null([values]), pairing_null([values, values])
    assert alone == pytest.approx(twice)
    other = pairing_null([values, values], images=["first", "second"])
    assert other.high - other.low < 0.85 * (twice.high - twice.low)  # two independent sets of images


@pytest.mark.parametrize("bump", [0.0, 1.5])
def test_p_values_without_signal_are_uniform_also_under_a_bump_in_every_map(bump):
    rng = np.random.default_rng(3)
    distance = np.hypot(*np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 7)))
    centre = bump * np.exp(-(distance**2) / 0.3)[..., None]
    p_values = []
    for _ in range(120):
        field, maps = (gaussian_filter(rng.normal(size=(10, 7, 7, n)), (0, 1, 1, 0)) for n in (CHANNELS, SITES))
        maps = maps / maps.std() + centre
        _, pairs = fit_left_out(field + centre * rng.normal(size=CHANNELS), maps, groups=5)
        p_values.append(pairing_null([paired_values(pairs, maps)], rng=rng, pairings=199).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) <= 0.05) <= 0.125


def test_a_signal_is_found():
    rng = np.random.default_rng(4)
    field, noise = draw(rng)
    maps = field @ rng.normal(size=(CHANNELS, SITES)) + 2 * noise
    _, pairs = fit_left_out(field, maps, groups=4)
    assert pairing_null([paired_values(pairs, maps)]).p_value < 0.001


def test_shifts_and_rotations_are_those_of_numpy():
    predicted, maps = np.random.default_rng(5).normal(size=(2, 3, 5, 5, SITES))

    def score(moved):
        r = [[np.corrcoef(moved[i, ..., s].ravel(), maps[i, ..., s].ravel())[0, 1] for s in range(SITES)]
             for i in range(3)]  # fmt: skip
        return np.median(r, axis=1).mean()

    shifted = [score(np.roll(predicted, shift, axis=(1, 2))) for shift in np.ndindex(5, 5)][1:]
    np.testing.assert_allclose(range_of_shifts(predicted, maps), np.percentile(shifted, [2.5, 97.5]))
    turned = [np.rot90(np.flip(predicted, 1) if flip else predicted, k, (1, 2)) for flip in (0, 1) for k in range(4)][
        1:
    ]
    values = [score(each) for each in turned]
    np.testing.assert_allclose(range_of_rotations(predicted, maps), [min(values), max(values)])


def test_shifts_and_rotations_of_maps_averaged_over_sites_are_rank_correlations():
    rng = np.random.default_rng(3)
    predicted, maps = rng.normal(size=(2, 5, 6, 6, 3))

    def score(values):
        pairs = zip(values.mean(axis=-1), maps.mean(axis=-1), strict=True)
        return np.mean([spearmanr(first.ravel(), second.ravel()).statistic for first, second in pairs])

    shifted = [score(np.roll(predicted, (y, x), axis=(1, 2))) for y in range(6) for x in range(6)][1:]
    expected = np.percentile(shifted, [2.5, 97.5])
    np.testing.assert_allclose(range_of_shifts(predicted, maps, "alignment"), expected, atol=1e-12)
    turned = [np.rot90(predicted, quarters, axes=(1, 2)) for quarters in range(4)]
    values = [score(each) for each in [*turned[1:], *(each[:, ::-1] for each in turned)]]
    np.testing.assert_allclose(range_of_rotations(predicted, maps, "alignment"), [min(values), max(values)], atol=1e-12)


def test_a_null_with_an_undefined_value_is_undefined():
    values = np.eye(4)
    values[0, 1] = np.nan
    assert np.isnan(pairing_null([values])).all()
