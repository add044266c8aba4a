import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, jaccard_score

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.alignment import align, feature_alignment, summarised, top_overlap
from brainscore_itmaps.metrics.predictivity import coarsened


@pytest.fixture
def pair(rng):
    maps = rng.normal(size=(3, 9, 10, 6))
    return maps + rng.normal(size=maps.shape), maps


def test_the_maps_averaged_over_sites_are_compared_by_spearman(pair):
    predicted, maps = pair
    maps = np.round(maps, 1)  # ties
    rho = feature_alignment(predicted, maps)
    for image in range(3):
        expected = spearmanr(predicted[image].mean(-1).ravel(), maps[image].mean(-1).ravel()).statistic
        assert rho[image] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_each_site_and_scale_is_compared_by_spearman(pair, scale):
    coarse = [coarsened(values, scale) for values in pair]
    rho = feature_alignment(*pair, scale=scale, per_site=True)
    assert rho.shape == (3, 6)
    for image in range(3):
        for site in range(6):
            expected = spearmanr(*(values[image, ..., site].ravel() for values in coarse)).statistic
            assert rho[image, site] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_overlap_is_that_of_two_classifiers(pair, share):
    first, second = (values[..., 0] for values in pair)
    dice, iou = top_overlap(first, second, share)
    for image in range(3):
        flat = [values[image].ravel() for values in (first, second)]
        top = [values >= np.sort(values)[-round(share * values.size)] for values in flat]
        assert 0 < dice[image] < 1
        assert dice[image] == pytest.approx(f1_score(*top), abs=1e-12)
        assert iou[image] == pytest.approx(jaccard_score(*top), abs=1e-12)


def test_a_map_without_a_top_has_no_overlap(pair):
    first, second = (values[..., 0].copy() for values in pair)
    first[1] = 3.0
    for values in top_overlap(first, second):
        assert np.isnan(values[1])
        assert np.isfinite(values[[0, 2]]).all()
    assert top_overlap(first, second, protocol="published").dice[1] == 0


def test_everything_at_once_is_what_the_parts_are(pair):
    result = align(*pair, scale=3)
    np.testing.assert_array_equal(result.map_rho, feature_alignment(*pair))
    np.testing.assert_array_equal(result.map_rho_coarse, feature_alignment(*pair, scale=3))
    np.testing.assert_array_equal(result.site_rho, feature_alignment(*pair, per_site=True))
    np.testing.assert_array_equal(result.site_rho_coarse, feature_alignment(*pair, scale=3, per_site=True))
    dice, iou = top_overlap(*(values.mean(axis=-1) for values in pair))
    np.testing.assert_array_equal(result.dice, dice)
    np.testing.assert_array_equal(result.iou, iou)
    summary = result.summary()
    assert summary.keys() == vars(result).keys()
    assert summary["site_rho"].mean == pytest.approx(result.site_rho.mean())
    assert summary["site_rho"].sd == pytest.approx(result.site_rho.std(ddof=1))
    assert (summary["map_rho"].defined, summary["map_rho"].undefined) == (3, 0)


def test_a_site_that_either_misses_a_value_of_is_left_out_of_both_averages(pair):
    predicted, maps = pair
    expected = align(predicted[..., 1:-1], maps[..., 1:-1])
    predicted[..., -1] = np.nan
    maps[0, 0, 0, -1] = maps[1, 2, 3, 0] = np.nan
    result = align(predicted, maps)
    for name in ("map_rho", "map_rho_coarse", "dice", "iou"):
        np.testing.assert_allclose(getattr(result, name), getattr(expected, name))


def test_without_any_whole_site_everything_is_undefined(pair):
    predicted, maps = pair
    predicted[...] = np.nan
    result = align(predicted, maps)
    for values in vars(result).values():
        assert np.isnan(values).all()


def test_undefined_values_are_counted_not_averaged():
    assert summarised(np.array([[1.0, np.nan], [3.0, np.nan]])) == (2.0, 2.0, pytest.approx(2**0.5), 2, 2)
    assert np.isnan(summarised(np.array([np.nan]))[:3]).all()
    assert np.isnan(summarised(np.array([1.0])).sd)


def test_too_few_positions_are_undefined(pair):
    assert np.isnan(feature_alignment(*pair, scale=6)).all()
    assert np.isfinite(feature_alignment(*pair, scale=4)).all()


def test_a_prediction_that_is_constant_but_for_rounding_is_undefined(pair):
    predicted, maps = pair
    predicted[2] = 0.1 + 1e-17 * np.arange(90).reshape(9, 10, 1)
    assert np.isnan(feature_alignment(predicted, maps)[2])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(0.1, 50), offset=st.floats(-100, 100), scale=st.integers(1, 3))
def test_gain_offset_and_flips_of_both_maps_change_nothing_and_neither_does_their_order(seed, gain, offset, scale):
    rng = np.random.default_rng(seed)
    predicted, maps = rng.normal(size=(2, 2, 6, 9, 3))

    def rho(a, b):
        return feature_alignment(a, b, scale=scale)

    expected = rho(predicted, maps)
    assert (np.abs(expected) <= 1 + 1e-12).all()
    np.testing.assert_allclose(rho(predicted * gain + offset, maps), expected, atol=1e-9)
    np.testing.assert_allclose(rho(predicted[:, ::-1, ::-1], maps[:, ::-1, ::-1]), expected, atol=1e-9)
    np.testing.assert_allclose(rho(maps, predicted), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feature_alignment(np.ones((2, 3, 4, 1)), np.ones((2, 4, 3, 1))), "differ in shape"),
        (lambda: feature_alignment(np.ones((2, 3, 4)), np.ones((2, 3, 4))), "differ in shape"),
        (lambda: feature_alignment(np.ones((2, 3, 4, 1)), np.ones((2, 3, 4, 1)), scale=0), "The scale is 0"),
        (lambda: feature_alignment(np.ones((2, 3, 4, 1)), np.ones((2, 3, 4, 1)), scale=1.5), "The scale is 1.5"),
        (lambda: top_overlap(np.ones((2, 3, 4)), np.ones((2, 4, 3))), "differ"),
        (lambda: top_overlap(np.ones((2, 3, 4)), np.ones((2, 3, 4)), 1.0), "share of top positions is 1.0"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(ArrayError, match=message):
        call()
