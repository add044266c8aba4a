import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import explained_variance_score

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.predictivity import (
    MEASURES,
    site_agreement,
    site_correlation,
    site_explained_variance,
    site_rank_correlation,
)


@pytest.fixture
def pair(rng):
    maps = rng.normal(size=(3, 4, 5, 6))
    return maps + rng.normal(size=maps.shape), maps


@pytest.mark.parametrize(
    ("measure", "oracle"),
    [
        (site_correlation, lambda predicted, recorded: pearsonr(predicted, recorded).statistic),
        (site_rank_correlation, lambda predicted, recorded: spearmanr(predicted, recorded).statistic),
        (site_explained_variance, lambda predicted, recorded: explained_variance_score(recorded, predicted)),
    ],
)
def test_each_image_and_site_is_compared_over_its_positions(pair, measure, oracle):
    predicted, maps = pair
    maps = np.round(maps, 1)  # ties
    values = measure(predicted, maps)
    assert values.shape == (3, 6)
    for image in range(3):
        for site in range(6):
            expected = oracle(predicted[image, ..., site].ravel(), maps[image, ..., site].ravel())
            assert values[image, site] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
@pytest.mark.parametrize("measure", MEASURES.values())
def test_a_constant_map_compares_with_nothing(pair, value, measure):
    predicted, maps = pair
    maps[1, ..., 2] = value
    maps[0, ..., 4] = value * (1 + np.finfo(float).eps * np.arange(20).reshape(4, 5) / 10)  # constant but for rounding
    values = measure(predicted, maps)
    assert np.isnan(values[1, 2])
    assert np.isnan(values[0, 4])
    assert np.isnan(values).sum() == 2


@pytest.mark.parametrize("measure", [site_correlation, site_rank_correlation])
def test_a_constant_prediction_compares_with_nothing(pair, measure):
    predicted, maps = pair
    predicted[1, ..., 2] = 0.1
    assert np.isnan(measure(predicted, maps)[1, 2])


def test_a_missing_map_is_undefined_and_spoils_no_other(pair):
    predicted, maps = pair
    expected = site_correlation(predicted, maps)
    maps[1, 0, 0, 2] = np.nan
    result = site_correlation(predicted, maps)
    assert np.isnan(result[1, 2])
    expected[1, 2] = np.nan
    np.testing.assert_array_equal(result, expected)


def test_single_precision_is_compared_in_double(pair):
    single = [(values + 1000).astype(np.float32) for values in pair]
    double = [values.astype(np.float64) for values in single]
    np.testing.assert_array_equal(site_correlation(*single), site_correlation(*double))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(0.1, 50), offset=st.floats(-100, 100))
def test_gain_offset_and_flips_of_both_maps_change_no_correlation(seed, gain, offset):
    rng = np.random.default_rng(seed)
    predicted, maps = rng.normal(size=(2, 2, 4, 5, 3))
    for measure in (site_correlation, site_rank_correlation):
        expected = measure(predicted, maps)
        assert (np.abs(expected) <= 1 + 1e-12).all()
        np.testing.assert_allclose(measure(predicted * gain + offset, maps), expected, atol=1e-9)
        np.testing.assert_allclose(measure(predicted[:, ::-1, ::-1], maps[:, ::-1, ::-1]), expected, atol=1e-9)
        np.testing.assert_allclose(measure(maps, predicted), expected, atol=1e-12)


def test_one_site_agrees_with_no_other():
    with pytest.raises(ArrayError, match="needs at least 2 sites"):
        site_agreement(np.ones((3, 4, 5, 1)))


def test_agreement_of_a_site_is_with_the_mean_of_the_others(rng):
    maps = rng.normal(size=(3, 4, 5, 6))
    result = site_agreement(maps)
    for image in range(3):
        for site in range(6):
            others = np.delete(maps[image], site, axis=-1).mean(axis=-1)
            expected = np.corrcoef(others.ravel(), maps[image, ..., site].ravel())[0, 1]
            assert result[image, site] == pytest.approx(expected, abs=1e-12)
