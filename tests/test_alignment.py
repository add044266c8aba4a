import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from brainscore_itmaps.metrics.alignment import (
    feature_alignment,
    neural_predictivity,
    site_agreement,
    site_correlation,
)


@pytest.fixture
def pair(rng):
    maps = rng.normal(size=(3, 4, 5, 6))
    return maps + rng.normal(size=maps.shape), maps


def test_site_correlation_is_pearson_over_positions(pair):
    predicted, maps = pair
    r = site_correlation(predicted, maps)
    assert r.shape == (3, 6)
    for image in range(3):
        for site in range(6):
            expected = pearsonr(predicted[image, ..., site].ravel(), maps[image, ..., site].ravel()).statistic
            assert r[image, site] == pytest.approx(expected, abs=1e-12)


def test_feature_alignment_is_spearman_of_site_means(pair, rng):
    predicted, maps = pair
    maps = np.round(maps, 1)  # ties
    rho = feature_alignment(predicted, maps)
    for image in range(3):
        expected = spearmanr(predicted[image].mean(-1).ravel(), maps[image].mean(-1).ravel()).statistic
        assert rho[image] == pytest.approx(expected, abs=1e-12)


def test_predictivity_is_the_mean_of_the_two_middle_sites_for_even_numbers():
    np.testing.assert_allclose(neural_predictivity(np.array([[0.1, 0.9, 0.4, 0.2]])), [0.3])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_constant_map_has_no_correlation(pair, value):
    predicted, maps = pair
    predicted[1, ..., 2] = value
    r = site_correlation(predicted, maps)
    assert np.isnan(r[1, 2])
    assert np.isnan(r).sum() == 1
    assert np.isfinite(neural_predictivity(r)).all()


def test_an_image_without_any_defined_site_stays_undefined():
    values = neural_predictivity(np.array([[np.nan, np.nan], [0.5, np.nan]]))
    assert np.isnan(values[0])
    assert values[1] == 0.5


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(0.1, 50), offset=st.floats(-100, 100))
def test_gain_offset_and_flips_of_both_maps_change_nothing(seed, gain, offset):
    rng = np.random.default_rng(seed)
    predicted, maps = rng.normal(size=(2, 2, 4, 5, 3))
    for measure in (site_correlation, feature_alignment):
        expected = measure(predicted, maps)
        assert (np.abs(expected) <= 1 + 1e-12).all()
        np.testing.assert_allclose(measure(predicted * gain + offset, maps), expected, atol=1e-9)
        np.testing.assert_allclose(measure(predicted[:, ::-1, ::-1], maps[:, ::-1, ::-1]), expected, atol=1e-9)
        np.testing.assert_allclose(measure(maps, predicted), expected, atol=1e-12)


def test_agreement_of_a_site_is_with_the_mean_of_the_others(rng):
    maps = rng.normal(size=(3, 4, 5, 6))
    found = site_agreement(maps)
    for image in range(3):
        for site in range(6):
            others = np.delete(maps[image], site, axis=-1).mean(axis=-1)
            expected = np.corrcoef(others.ravel(), maps[image, ..., site].ravel())[0, 1]
            assert found[image, site] == pytest.approx(expected, abs=1e-12)
