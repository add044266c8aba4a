"""Weights of the regressions that predict left-out images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression

from brainscore_itmaps import Grid, predict_left_out, to_grid
from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out
from brainscore_itmaps.metrics.rows import rows_of


def by_scikit_learn(field, maps, components):
    """Regression on all images but each, in its own words: coefficients (image, channel, site) and predictions."""
    weights, predictions = [], []
    for image in range(len(field)):
        others = np.delete(np.arange(len(field)), image)
        x, y = field[others].reshape(-1, field.shape[-1]), maps[others].reshape(-1, maps.shape[-1])
        regression = PLSRegression(components, scale=False, tol=1e-28, max_iter=200_000).fit(x, y)
        weights.append(regression.coef_.T)
        predictions.append(regression.predict(field[image].reshape(-1, field.shape[-1])).reshape(maps[image].shape))
    return np.stack(weights), np.stack(predictions)


def coefficients_left_out(field, maps, components=25):
    return fit_folds(field, maps, leave_one_out(len(field)), components=components).coefficients()


@pytest.fixture
def planted(rng):
    field = rng.normal(size=(5, 6, 7, 12)) + 3
    return field, field @ rng.normal(size=(12, 4)) + rng.normal(size=(5, 6, 7, 4)) - 20


@pytest.mark.parametrize("components", [1, 3, 12])
def test_are_scikit_learn_s(planted, components):
    expected, _ = by_scikit_learn(*planted, components)
    np.testing.assert_allclose(coefficients_left_out(*planted, components), expected, rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999),
    images=st.integers(3, 6),
    channels=st.integers(1, 9),
    sites=st.integers(1, 4),
    components=st.integers(1, 12),
)
def test_centred_features_times_weights_are_the_prediction(seed, images, channels, sites, components):
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(images, 4, 5, channels)) + rng.normal(size=channels)
    maps = field @ rng.normal(size=(channels, sites)) + rng.normal(size=(images, 4, 5, sites)) + 9
    weights = coefficients_left_out(field, maps, components)
    assert weights.shape == (images, channels, sites)
    predicted = predict_left_out(field, maps, components=components).predicted
    for image in range(images):
        others = np.delete(np.arange(images), image)
        centred = field[image] - field[others].mean(axis=(0, 1, 2))
        by_hand = centred @ weights[image] + maps[others].mean(axis=(0, 1, 2))
        np.testing.assert_allclose(by_hand, predicted[image], rtol=0, atol=1e-9)


@pytest.mark.parametrize("units", [2, 3])
def test_weights_of_an_enlarged_field_are_those_of_its_positions(rng, units):
    """Such a field is fitted in fewer rows, which changes no weight."""
    field = to_grid(rng.normal(size=(5, 8, units, units)), Grid.even(7))
    maps = field @ rng.normal(size=(8, 3)) + rng.normal(size=(5, 7, 7, 3))
    assert rows_of(field, maps[None]).basis is not None
    expected, predicted = by_scikit_learn(field, maps, 4)
    np.testing.assert_allclose(coefficients_left_out(field, maps, 4), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(predict_left_out(field, maps, components=4).predicted, predicted, rtol=0, atol=1e-9)


def test_a_constant_site_has_no_weights_and_changes_no_other(planted):
    field, maps = planted
    constant = np.concatenate([np.full((5, 6, 7, 1), 3.7), maps], axis=-1)
    weights = coefficients_left_out(field, constant)
    np.testing.assert_allclose(weights[..., 0], 0, atol=1e-12)
    np.testing.assert_allclose(weights[..., 1:], coefficients_left_out(field, maps), rtol=0, atol=1e-9)


def test_maps_of_the_left_out_image_have_no_weight(planted, rng):
    field, maps = planted
    before = coefficients_left_out(field, maps)
    maps[2] = 1e3 * rng.normal(size=maps[2].shape)
    after = coefficients_left_out(field, maps)
    np.testing.assert_allclose(after[2], before[2], rtol=0, atol=1e-9)
    assert not np.allclose(after[3], before[3])


def test_arrays_may_be_of_any_kind_of_number_but_must_fit(planted):
    field, maps = planted
    integers = np.round(10 * maps).astype(int)
    expected = coefficients_left_out(field.astype(np.float32).astype(float), integers.astype(float))
    np.testing.assert_array_equal(coefficients_left_out(field.astype(np.float32), integers), expected)
    with pytest.raises(ArrayError, match="must share image, y and x"):
        coefficients_left_out(field, maps[:, :5])
    with pytest.raises(ArrayError, match="at least 3 images"):
        coefficients_left_out(field[:2], maps[:2])


def test_a_site_with_a_missing_value_has_no_weights_and_changes_no_other(planted):
    field, maps = planted
    expected = coefficients_left_out(field, maps[..., 1:])
    maps[1, 2, 3, 0] = np.nan
    weights = coefficients_left_out(field, maps)
    assert np.isnan(weights[..., 0]).all()
    np.testing.assert_allclose(weights[..., 1:], expected, rtol=0, atol=1e-12)
