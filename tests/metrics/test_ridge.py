import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut

from brainscore_itmaps import predict_left_out
from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import fit_folds, groups_left_out, pairs_of_groups


def planted(rng, channels, images=5, y=4, x=7, sites=3):
    field = rng.normal(size=(images, y, x, channels)) @ np.diag(np.geomspace(3, 0.1, channels)) + 2
    maps = field @ rng.normal(size=(channels, sites)) + 3 * rng.normal(size=(images, y, x, sites)) + 7
    return field, maps


def split(field, maps, left_out):
    """Rows to train on, features and maps, and rows of the image or images that are left out."""
    train = ~np.isin(np.arange(len(field)), np.flatnonzero(left_out) if np.ndim(left_out) else left_out)
    return (values.reshape(-1, values.shape[-1]) for values in (field[train], maps[train], field[~train]))


@pytest.mark.parametrize("channels", [6, 40, 300])
@pytest.mark.parametrize("penalty", [0.5, 1.0, 100.0])
def test_equals_scikit_learn_a_fold(rng, channels, penalty):
    field, maps = planted(rng, channels)
    left_out = predict_left_out(field, maps, "ridge", penalty=penalty)
    assert (left_out.penalty == penalty).all()
    for image in range(len(maps)):
        x, y, unseen = split(field, maps, image)
        expected = Ridge(penalty).fit(x, y).predict(unseen).reshape(maps[image].shape)
        np.testing.assert_allclose(left_out.predicted[image], expected, rtol=0, atol=1e-9 * maps.std())


@pytest.mark.parametrize(("scale", "tolerance"), [(1, 1e-11), (10, 1e-9), (100, 1e-7), (1e4, 1e-3)])
def test_wide_features_of_any_size_next_to_the_penalty(rng, scale, tolerance):
    field, maps = rng.normal(size=(5, 4, 5, 300)) * scale, rng.normal(size=(5, 4, 5, 3))
    predicted = predict_left_out(field, maps, "ridge").predicted
    for image in range(len(maps)):
        x, y, unseen = split(field, maps, image)
        expected = Ridge(1.0, solver="svd").fit(x, y).predict(unseen).reshape(maps[image].shape)
        np.testing.assert_allclose(predicted[image], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", ["ridge", "ridge_cv"])
def test_large_duplicate_channels_are_no_trouble(rng, method):
    field, maps = 1e8 * rng.normal(size=(5, 4, 5, 10)), rng.normal(size=(5, 4, 5, 3))
    twice = np.concatenate([field, field[..., :5]], axis=-1)
    assert np.isfinite(predict_left_out(twice, maps, method).predicted).all()


@pytest.mark.parametrize("channels", [6, 300])
def test_the_penalty_equals_that_of_a_grid_search_over_the_training_images(rng, channels):
    field, maps = planted(rng, channels)
    penalties = np.logspace(-1, 4, 6)
    left_out = predict_left_out(field, maps, "ridge_cv", penalties=penalties)
    for image in range(len(maps)):
        x, y, unseen = split(field, maps, image)
        groups = np.repeat(np.arange(4), 28)
        search = GridSearchCV(
            Ridge(), {"alpha": penalties}, cv=LeaveOneGroupOut(), scoring="neg_mean_squared_error"
        ).fit(x, y, groups=groups)
        assert left_out.penalty[image] == search.best_params_["alpha"]
        expected = search.predict(unseen).reshape(maps[image].shape)
        np.testing.assert_allclose(left_out.predicted[image], expected, rtol=0, atol=1e-8 * maps.std())


@pytest.mark.parametrize("channels", [6, 40, 300])  # blocks of low rank, of pairs of images only, of all rows
@pytest.mark.parametrize("folds", [groups_left_out(7, 3), pairs_of_groups(9), np.arange(5) > [[4], [1], [2]]])
def test_equals_scikit_learn_where_several_images_are_left_out(rng, channels, folds):
    field, maps = planted(rng, channels, images=folds.shape[1])
    fitted = fit_folds(field, maps, folds, "ridge", penalty=5.0)
    assert (fitted.penalty == 5.0).all()
    assert (fitted.components == channels).all()
    for fold, left_out in enumerate(folds):
        x, y, unseen = split(field, maps, left_out)
        expected = Ridge(5.0).fit(x, y).predict(unseen) if left_out.any() else np.zeros((0, 3))
        np.testing.assert_allclose(fitted.of(fold).reshape(-1, 3), expected, rtol=0, atol=1e-9 * maps.std())


@pytest.mark.parametrize("channels", [6, 40, 300])
@pytest.mark.parametrize("folds", [groups_left_out(7, 3), pairs_of_groups(5), pairs_of_groups(8, 4)])
def test_the_penalty_of_a_group_is_chosen_as_a_search_over_its_training_images_chooses_it(rng, channels, folds):
    field, maps = planted(rng, channels, images=folds.shape[1])
    penalties = np.logspace(-1, 4, 6)
    fitted = fit_folds(field, maps, folds, "ridge_cv", penalties=penalties)
    for fold in (0, len(folds) // 2, -1):
        x, y, unseen = split(field, maps, folds[fold])
        groups = np.repeat(np.arange((~folds[fold]).sum()), 28)
        search = GridSearchCV(
            Ridge(), {"alpha": penalties}, cv=LeaveOneGroupOut(), scoring="neg_mean_squared_error"
        ).fit(x, y, groups=groups)
        assert fitted.penalty[fold] == search.best_params_["alpha"]
        expected = search.predict(unseen)
        np.testing.assert_allclose(fitted.of(fold).reshape(-1, 3), expected, rtol=0, atol=1e-8 * maps.std())


def test_the_left_out_maps_choose_nothing(rng):
    field, maps = planted(rng, 40)
    changed = maps.copy()
    changed[2] = 1000 * rng.normal(size=maps[2].shape)
    before, after = (predict_left_out(field, values, "ridge_cv") for values in (maps, changed))
    np.testing.assert_allclose(after.predicted[2], before.predicted[2], rtol=0, atol=1e-8)
    assert after.penalty[2] == before.penalty[2]
    assert np.abs(after.predicted[1] - before.predicted[1]).max() > 1


def test_default_penalties_follow_the_scale_of_the_features(rng):
    field, maps = planted(rng, 40)
    small, large = (predict_left_out(scale * field, maps, "ridge_cv") for scale in (1e-3, 1e3))
    np.testing.assert_allclose(small.predicted, large.predicted, rtol=0, atol=1e-8)
    np.testing.assert_allclose(large.penalty, 1e12 * small.penalty)


@pytest.mark.parametrize("method", ["ridge", "ridge_cv"])
def test_constant_features_predict_the_mean(rng, method):
    _, maps = planted(rng, 3)
    predicted = predict_left_out(np.ones((*maps.shape[:3], 3)), maps, method).predicted
    np.testing.assert_allclose(predicted[0, 2, 3], maps[1:].mean(axis=(0, 1, 2)))


@pytest.mark.parametrize("given", [{"penalty": 0.0}, {"penalty": np.nan}, {"penalty": "1"}])
def test_a_penalty_is_above_zero(rng, given):
    with pytest.raises(ArrayError, match=r"Give (numbers above 0|real numbers)"):
        predict_left_out(*planted(rng, 3), "ridge", **given)
    with pytest.raises(ArrayError, match=r"Give (numbers above 0|real numbers)"):
        predict_left_out(*planted(rng, 3), "ridge_cv", penalties=list(given.values()))
    with pytest.raises(ArrayError, match="Give numbers above 0"):
        predict_left_out(*planted(rng, 3), "ridge_cv", penalties=[])
