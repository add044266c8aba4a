"""What every regression over left-out images has in common."""

import numpy as np
import pytest

from brainscore_itmaps import predict_left_out
from brainscore_itmaps.errors import ArrayError, DataError, UsageError
from brainscore_itmaps.metrics.left_out import METHODS

METHOD = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def planted(rng):
    field = rng.normal(size=(5, 6, 7, 12))
    return field, field @ rng.normal(size=(12, 4)) + rng.normal(size=(5, 6, 7, 4))


@METHOD
def test_the_result_unpacks_into_predictions_and_components(planted, method):
    predicted, components = predict_left_out(*planted, method)
    assert predicted.shape == (5, 6, 7, 4)
    assert components.shape == (5,)
    assert (components == 12).all()
    penalty = predict_left_out(*planted, method).penalty
    assert (penalty is None) == (method in ("pls", "nipals"))


@METHOD
def test_a_site_with_a_missing_value_is_predicted_as_missing_and_changes_no_other(planted, method):
    field, maps = planted
    expected = predict_left_out(field, np.delete(maps, 1, axis=-1), method)
    maps[2, 3, 4, 1] = np.nan
    found = predict_left_out(field, maps, method)
    assert np.isnan(found.predicted[..., 1]).all()
    np.testing.assert_allclose(np.delete(found.predicted, 1, axis=-1), expected.predicted, rtol=0, atol=1e-12)


@METHOD
def test_without_any_whole_site_nothing_is_predicted(planted, method):
    field, maps = planted
    maps[0, 0, 0] = np.nan
    found = predict_left_out(field, maps, method)
    assert np.isnan(found.predicted).all()
    assert (found.components == 0).all()


@METHOD
def test_several_sets_in_one_pass_are_what_they_are_alone(planted, method, rng):
    field, maps = planted
    sets = np.stack([maps, maps[::-1], rng.normal(size=maps.shape)])
    sets[1, 0, 0, 0, 2] = np.nan
    found = predict_left_out(field, sets, method)
    assert found.predicted.shape == sets.shape
    assert found.components.shape == (3, 5)
    for number, alone in enumerate(sets):
        expected = predict_left_out(field, alone, method)
        np.testing.assert_allclose(found.predicted[number], expected.predicted, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(found.components[number], expected.components)
        if found.penalty is not None:
            np.testing.assert_array_equal(found.penalty[number], expected.penalty)


@METHOD
def test_a_constant_site_is_predicted_constant_and_changes_no_other(planted, method):
    field, maps = planted
    constant = np.concatenate([np.full((*maps.shape[:3], 1), 3.7), maps], axis=-1)
    predicted = predict_left_out(field, constant, method).predicted
    np.testing.assert_array_equal(predicted[..., 0], 3.7)
    expected = predict_left_out(field, maps, method).predicted
    np.testing.assert_allclose(predicted[..., 1:], expected, rtol=0, atol=1e-9)


@METHOD
def test_a_site_that_varies_on_the_left_out_image_only_is_predicted_constant_there(planted, method):
    field, maps = planted
    maps[:, ..., 2] = 0.1
    maps[3, 1, 1, 2] = 5.0
    predicted = predict_left_out(field, maps, method).predicted
    np.testing.assert_array_equal(predicted[3, ..., 2], 0.1)
    assert np.ptp(predicted[0, ..., 2]) > 0


@METHOD
def test_duplicate_zero_and_constant_channels_are_no_trouble(planted, method):
    field, maps = planted
    strange = np.concatenate([field, field[..., :3], np.zeros_like(field[..., :1]), 1e4 + 0 * field[..., :1]], axis=-1)
    predicted = predict_left_out(strange, maps, method).predicted
    assert np.isfinite(predicted).all()
    if method == "pls":  # all twelve directions are used either way: least squares
        np.testing.assert_allclose(predicted, predict_left_out(field, maps).predicted, rtol=0, atol=1e-9)


def test_without_an_intercept_features_are_multiplied_with_coefficients(planted):
    field, maps = planted
    whole = predict_left_out(field, maps)
    bare = predict_left_out(field, maps, intercept=False)
    missing = whole.predicted - bare.predicted
    np.testing.assert_allclose(missing, missing[:, :1, :1].repeat(6, 1).repeat(7, 2), rtol=0, atol=1e-12)
    assert np.abs(missing).max() > 1e-3


@pytest.mark.parametrize(
    ("field", "maps", "options", "said"),
    [
        (np.ones((4, 3, 3, 2)), np.ones((4, 3, 4, 2)), {}, "must share image, y and x"),
        (np.ones((4, 3, 3)), np.ones((4, 3, 3, 2)), {}, "must share image, y and x"),
        (np.ones((4, 3, 3, 2)), np.ones((1, 1, 4, 3, 3, 2)), {}, "must share image, y and x"),
        (np.ones((2, 3, 3, 2)), np.ones((2, 3, 3, 2)), {}, "at least 3 images, not 2"),
        (np.full((4, 3, 3, 2), np.nan), np.ones((4, 3, 3, 2)), {}, "72 values of the field are not finite"),
        (np.ones((4, 3, 3, 2)), np.full((4, 3, 3, 2), np.inf), {}, "must be finite"),
        (np.ones((4, 3, 3, 0)), np.ones((4, 3, 3, 2)), {}, "empty"),
        (np.ones((4, 3, 3, 2)), np.ones((4, 3, 3, 0)), {}, "empty"),
        (np.ones((4, 3, 3, 2)) * 1j, np.ones((4, 3, 3, 2)), {}, "field are complex128"),
        (np.ones((4, 3, 3, 2)), np.full((4, 3, 3, 2), "1"), {}, "maps are <U1"),
        ([[1.0], [2.0, 3.0]], np.ones((4, 3, 3, 2)), {}, "field do not fill an array"),
        (np.ones((4, 3, 3, 2)), np.ones((4, 3, 3, 2)), {"components": 0}, "0 components"),
        (np.ones((4, 3, 3, 2)), np.ones((4, 3, 3, 2)), {"components": 2.5}, "2.5 components"),
        (np.ones((4, 3, 3, 2)), np.ones((4, 3, 3, 2)), {"components": True}, "True components"),
    ],
)
def test_refuses_what_it_cannot_fit(field, maps, options, said):
    with pytest.raises(ArrayError, match=said) as refused:
        predict_left_out(field, maps, **options)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, DataError)
    assert refused.value.fix


def test_an_unknown_regression_is_answered_with_the_nearest(planted):
    with pytest.raises(UsageError, match="Did you mean ridge"):
        predict_left_out(*planted, "rigde")
    with pytest.raises(UsageError, match="no regression named None"):
        predict_left_out(*planted, None)


def test_what_was_given_is_not_changed(planted):
    for values in planted:
        values.setflags(write=False)
    for method in METHODS:
        predict_left_out(*planted, method)
