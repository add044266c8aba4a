"""Offsets of folds: maps that are subtracted before a regression is fitted, such as the typical map."""

import numpy as np
import pytest

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import (
    SOLVERS,
    fit_folds,
    fit_left_out,
    leave_one_out,
    pairs_of_groups,
    typical_maps,
)

IMAGES, ROWS, COLUMNS, SITES = 6, 5, 7, 3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def maps(rng):
    return rng.normal(size=(IMAGES, ROWS, COLUMNS, SITES)) + 2 * rng.normal(size=(ROWS, COLUMNS, SITES)) + 5


FOLDS = np.concatenate([leave_one_out(IMAGES), pairs_of_groups(IMAGES, 3)])


@pytest.mark.parametrize("channels", [4, 300])  # fewer and more than rows
@pytest.mark.parametrize("method", SOLVERS)
def test_a_fold_with_an_offset_is_a_regression_on_the_maps_minus_the_offset(method, channels, rng, maps):
    field = rng.normal(size=(IMAGES, ROWS, COLUMNS, channels))
    offsets = rng.normal(size=(len(FOLDS), ROWS, COLUMNS, SITES))
    options = {"penalties": [2.0]} if method == "ridge_cv" else {}
    fitted = fit_folds(field, maps, FOLDS, method, offsets=offsets, **options)
    for fold, offset in enumerate(offsets):
        alone = fit_folds(field, maps - offset, FOLDS[fold : fold + 1], method, **options)
        np.testing.assert_allclose(fitted.of(fold), alone.of(0) + offset, atol=1e-8)


@pytest.mark.parametrize("method", ["pls", "ridge"])
def test_sets_have_their_own_offsets_also_where_rows_are_compressed(method, rng, maps):
    weights = np.linspace([1.0, 0.0], [0.0, 1.0], ROWS)  # enlarged from two rows
    field = np.einsum("yu,iuxc->iyxc", weights, rng.normal(size=(IMAGES, 2, COLUMNS, 8)))
    offsets = typical_maps(maps, FOLDS)
    fitted = fit_folds(field, [maps, maps[..., :2]], FOLDS, method, offsets=[offsets, 0 * offsets[..., :2]])
    plain = fit_folds(field, maps[..., :2], FOLDS, method)
    for fold in (0, len(FOLDS) - 1):
        alone = fit_folds(field, maps - offsets[fold], FOLDS[fold : fold + 1], method)
        np.testing.assert_allclose(fitted.of(fold, 0), alone.of(0) + offsets[fold], atol=1e-9)
        np.testing.assert_allclose(fitted.of(fold, 1), plain.of(fold), atol=1e-9)


def test_offsets_follow_their_folds_and_leave_missing_and_constant_sites_as_before(rng, maps):
    field = rng.normal(size=(IMAGES, ROWS, COLUMNS, 4))
    maps[2, 1, 1, 0] = np.nan
    maps[..., 1] = 7.0
    with_offset, pairs = fit_left_out(field, maps, groups=3, offsets=lambda folds: typical_maps(maps, folds))
    predicted = with_offset.predicted
    assert np.isnan(predicted[..., 0]).all()
    np.testing.assert_allclose(predicted[..., 1], 7.0)
    for fold, left_out in enumerate(pairs.folds):
        alone = fit_folds(field, maps, left_out[None], offsets=typical_maps(maps, left_out[None]))
        np.testing.assert_allclose(pairs.of(fold), alone.of(0), atol=1e-9)


def test_an_offset_of_another_shape_is_refused(rng, maps):
    field = rng.normal(size=(IMAGES, ROWS, COLUMNS, 4))
    with pytest.raises(ArrayError, match="one map for each fold and site"):
        fit_folds(field, maps, leave_one_out(IMAGES), offsets=maps[:2])


def test_the_typical_map_is_the_mean_of_the_training_images_times_a_slope_fitted_among_them(maps):
    typical, shrunk = typical_maps(maps, FOLDS), typical_maps(maps, FOLDS, shrink=True)
    for fold, left_out in enumerate(FOLDS):
        training = maps[~left_out]
        np.testing.assert_allclose(typical[fold], training.mean(axis=0))
        for site in range(SITES):
            x, y = [], []
            for image in range(len(training)):
                others = np.delete(training, image, axis=0)[..., site].mean(axis=0)
                x.append((others - others.mean()).ravel())
                y.append((training[image, ..., site] - training[image, ..., site].mean()).ravel())
            x, y = np.concatenate(x), np.concatenate(y)
            np.testing.assert_allclose(
                shrunk[fold, ..., site], np.clip(x @ y / (x @ x), 0, 1) * typical[fold, ..., site]
            )


def test_a_typical_map_of_unrelated_maps_shrinks_to_about_nothing(rng):
    noise = rng.normal(size=(14, 17, 17, 5))
    shared = noise + 3 * rng.normal(size=(17, 17, 5))
    folds = leave_one_out(14)
    slopes = [
        typical_maps(maps, folds, shrink=True).std() / typical_maps(maps, folds).std() for maps in (noise, shared)
    ]
    assert slopes[0] < 0.15
    assert slopes[1] > 0.95
