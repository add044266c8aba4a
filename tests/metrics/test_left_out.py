"""What every regression over left-out images has in common."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainscore_itmaps import predict_left_out
from brainscore_itmaps.errors import ArrayError, DataError, UsageError
from brainscore_itmaps.metrics.folds import SOLVERS, fit_folds, groups_left_out, leave_one_out, pairs_of_groups

METHOD = pytest.mark.parametrize("method", SOLVERS)


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
    result = predict_left_out(field, maps, method)
    assert np.isnan(result.predicted[..., 1]).all()
    np.testing.assert_allclose(np.delete(result.predicted, 1, axis=-1), expected.predicted, rtol=0, atol=1e-12)


@METHOD
def test_without_any_whole_site_nothing_is_predicted(planted, method):
    field, maps = planted
    maps[0, 0, 0] = np.nan
    result = predict_left_out(field, maps, method)
    assert np.isnan(result.predicted).all()
    assert (result.components == 0).all()


@METHOD
def test_several_sets_in_one_pass_are_what_they_are_alone(planted, method, rng):
    field, maps = planted
    sets = np.stack([maps, maps[::-1], rng.normal(size=maps.shape)])
    sets[1, 0, 0, 0, 2] = np.nan
    result = predict_left_out(field, sets, method)
    assert result.predicted.shape == sets.shape
    assert result.components.shape == (3, 5)
    for number, single in enumerate(sets):
        expected = predict_left_out(field, single, method)
        np.testing.assert_allclose(result.predicted[number], expected.predicted, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(result.components[number], expected.components)
        if result.penalty is not None:
            np.testing.assert_array_equal(result.penalty[number], expected.penalty)


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
    complete = predict_left_out(field, maps)
    bare = predict_left_out(field, maps, intercept=False)
    missing = complete.predicted - bare.predicted
    np.testing.assert_allclose(missing, missing[:, :1, :1].repeat(6, 1).repeat(7, 2), rtol=0, atol=1e-12)
    assert np.abs(missing).max() > 1e-3


@pytest.mark.parametrize(
    ("field", "maps", "options", "message"),
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
def test_refuses_what_it_cannot_fit(field, maps, options, message):
    with pytest.raises(ArrayError, match=message) as refused:
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
    for method in SOLVERS:
        predict_left_out(*planted, method)


@METHOD
def test_sets_with_different_sites_in_one_pass_are_what_they_are_alone(planted, method, rng):
    """Arrays that were shown the same images; the sites of one do not vary for a fold, another misses a value."""
    field, maps = planted
    few, many = maps[..., :1] + rng.normal(size=(5, 6, 7, 1)), rng.normal(size=(5, 6, 7, 9)) + field[..., :9]
    few[1:] = 0.1
    many[3, 2, 1, 4] = np.nan
    folds = np.concatenate([leave_one_out(5), pairs_of_groups(5)])
    joint = fit_folds(field, [maps, few, many], folds, method)
    for number, single in enumerate([maps, few, many]):
        expected = fit_folds(field, single, folds, method)
        assert joint.components[number].tolist() == expected.components.tolist()
        if expected.penalty is not None:
            varying = ~folds[:, 0] | (single is not few)  # else no penalty is better than another
            np.testing.assert_array_equal(joint.penalty[number][varying], expected.penalty[varying])
        for fold in range(len(folds)):
            result = joint.of(fold, number)
            np.testing.assert_allclose(result, expected.of(fold), rtol=0, atol=1e-12 * np.nanstd(single))
    predicted = joint.select(slice(5)).predicted
    assert [sets.shape for sets in predicted] == [maps.shape, few.shape, many.shape]
    np.testing.assert_array_equal(np.isnan(predicted[2]).any(axis=(0, 1, 2)), np.arange(9) == 4)
    if method in ("pls", "nipals"):
        for weights, single in zip(joint.coefficients(), [maps, few, many], strict=True):
            expected = fit_folds(field, single, folds, method).coefficients()
            np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-12 * np.nanmax(np.abs(expected)))


@METHOD
def test_stacked_sets_are_those_of_a_sequence(planted, method):
    field, maps = planted
    sets, folds = np.stack([maps, 2 * maps[::-1]]), groups_left_out(5, 2)
    stacked, sequence = fit_folds(field, sets, folds, method), fit_folds(field, list(sets), folds, method)
    assert stacked.predicted.shape == sets.shape
    assert stacked.components.shape == (2, 2)
    np.testing.assert_array_equal(stacked.predicted, np.stack(sequence.predicted))
    np.testing.assert_array_equal(stacked.of(1, 1), stacked.predicted[1, [1, 3]])


@METHOD
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 9999), images=st.integers(3, 8), number=st.integers(1, 5), channels=st.sampled_from([3, 60]))
def test_a_fold_among_others_is_what_it_is_alone(method, seed, images, number, channels):
    """Folds of any number of images, overlapping ones too, that have images in common or not."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(images, 3, 4, channels)) + 1
    maps = field[..., :3] + rng.normal(size=(images, 3, 4, 3))
    folds = np.zeros((number, images), bool)
    for fold in folds:
        fold[rng.permutation(images)[: rng.integers(0, images - 1)]] = True
    joint = fit_folds(field, maps, folds, method, components=3)
    for fold, left_out in enumerate(folds):
        single = fit_folds(field, maps, [left_out], method, components=3)
        assert single.of(0).shape == (left_out.sum(), 3, 4, 3)
        tolerance = 1e-2 if method == "nipals" else 1e-9  # its early stop depends on rounding
        np.testing.assert_allclose(joint.of(fold), single.of(0), rtol=0, atol=tolerance)
    reordered = joint.select(np.arange(number)[::-1])
    assert (reordered.folds == folds[::-1]).all()
    for fold in range(number):
        np.testing.assert_array_equal(reordered.of(number - 1 - fold), joint.of(fold))


@METHOD
def test_maps_of_the_images_that_a_fold_leaves_out_are_not_looked_at(planted, method, rng):
    field, maps = planted
    folds = pairs_of_groups(5)
    before = fit_folds(field, maps, folds, method)
    for fold in (0, 4):
        changed = maps.copy()
        changed[folds[fold]] = 1e3 * rng.normal(size=(2, 6, 7, 4))
        after = fit_folds(field, changed, folds, method)
        np.testing.assert_allclose(after.of(fold), before.of(fold), rtol=0, atol=1e-8)
        assert np.abs(after.of(fold - 1) - before.of(fold - 1)).max() > 1
        if before.penalty is not None:
            assert after.penalty[fold] == before.penalty[fold]


def test_groups_and_their_pairs():
    np.testing.assert_array_equal(
        groups_left_out(5, 2), [[True, False, True, False, True], [False, True] * 2 + [False]]
    )
    np.testing.assert_array_equal(groups_left_out(3), leave_one_out(3))
    for images, groups in ((4, 4), (7, 7), (17, 7)):
        pairs = [np.isin(np.arange(images) % 7, pair) for pair in combinations(range(groups), 2)]
        np.testing.assert_array_equal(pairs_of_groups(images), pairs)
    assert pairs_of_groups(9, 3).sum(axis=1).tolist() == [6, 6, 6]
    for refused in (lambda: groups_left_out(5, 1), lambda: pairs_of_groups(5, 2)):
        with pytest.raises(ArrayError, match="groups"):
            refused()


@pytest.mark.parametrize(
    "folds",
    [np.eye(5), np.eye(4, dtype=bool), np.ones(5, bool), np.ones((0, 5), bool), [[0]], np.ones((1, 5), bool)],
)
def test_folds_that_do_not_fit_the_images_are_refused(planted, folds):
    with pytest.raises(ArrayError, match=r"The folds are|A fold has fewer than 2 training images"):
        fit_folds(*planted, folds)


def test_sets_that_do_not_fit_the_field_are_refused(planted):
    field, maps = planted
    for sets in ([maps, maps[:4]], [maps, maps[0]], [maps, maps[None]], (maps[:, :5],)):
        with pytest.raises(ArrayError, match="must share image, y and x"):
            fit_folds(field, sets, leave_one_out(5))


@pytest.mark.parametrize("method", ["ridge", "ridge_cv"])
def test_ridge_regressions_keep_no_coefficients(planted, method):
    with pytest.raises(UsageError, match="no coefficients"):
        fit_folds(*planted, leave_one_out(5), method).coefficients()
