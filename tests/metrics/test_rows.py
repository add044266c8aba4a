import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainscore_itmaps import Grid, predict_left_out, to_grid
from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import fit_folds, groups_left_out, leave_one_out, pairs_of_groups
from brainscore_itmaps.metrics.rows import Enlarged, products_of_rest, rows_of, sum_of_others


def enlarged(rng, height=3, width=4, y=9, x=11, images=5, channels=40, sites=3):
    native = rng.normal(size=(images, channels, height, width))
    field = to_grid(native, Grid(y=Grid.even(y).y, x=Grid.even(x).x, extent=16.0))
    maps = field @ rng.normal(size=(channels, sites)) + rng.normal(size=(images, y, x, sites))
    return field, maps


@pytest.mark.parametrize("method", ["pls", "nipals", "ridge", "ridge_cv"])
@pytest.mark.parametrize("intercept", [True, False])
def test_an_enlarged_field_gives_the_same_from_its_native_rows(rng, method, intercept, monkeypatch):
    field, maps = enlarged(rng)
    assert rows_of(field, maps[None]).field.shape == (5, 12, 40)
    compressed = predict_left_out(field, maps, method, intercept=intercept)
    monkeypatch.setattr("brainscore_itmaps.metrics.rows.MAX_COMPRESSION", 0)
    assert rows_of(field, maps[None]).field.shape == (5, 99, 40)
    uncompressed = predict_left_out(field, maps, method, intercept=intercept)
    np.testing.assert_allclose(compressed.predicted, uncompressed.predicted, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(compressed.components, uncompressed.components)


@pytest.mark.parametrize("method", ["pls", "ridge"])
@pytest.mark.parametrize("shape", [(3, 4), (8, 3), (9, 9)])  # fewer units, more along one axis, more than positions
def test_units_give_what_the_field_interpolated_from_them_gives(rng, method, shape):
    units = rng.normal(size=(5, *shape, 6)).astype(np.float32)
    down, across = (rng.dirichlet(np.ones(side), size=7) for side in shape)
    enlarged = Enlarged(units, down, across)
    field = np.einsum("yh,ihwc,xw->iyxc", down, units.astype(float), across)
    assert enlarged.shape == field.shape
    maps = rng.normal(size=(5, 7, 7, 3))
    folds = np.eye(5, dtype=bool)
    found, expected = (fit_folds(each, maps, folds, method, components=5) for each in (enlarged, field))
    np.testing.assert_allclose(found.predicted, expected.predicted, atol=1e-10)


def test_units_that_are_not_finite_are_counted(rng):
    units = rng.normal(size=(5, 3, 3, 6))
    units[2, 1, 1, :2] = np.inf
    enlarged = Enlarged(units, np.eye(3).repeat(2, axis=0), np.eye(3).repeat(2, axis=0))
    with pytest.raises(ArrayError, match="2 values of the field are not finite"), np.errstate(all="ignore"):
        fit_folds(enlarged, rng.normal(size=(5, 6, 6, 2)), np.eye(5, dtype=bool))


def test_a_field_that_fills_its_grid_is_left_as_it_is(rng):
    field, maps = rng.normal(size=(4, 5, 6, 7)), rng.normal(size=(1, 4, 5, 6, 2))
    rows = rows_of(field, maps)
    assert rows.basis is None
    np.testing.assert_array_equal(rows.field, field.reshape(4, 30, 7))
    np.testing.assert_array_equal(rows.ones, np.ones(30))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 9), width=st.integers(1, 11), offset=st.floats(-5, 5))
def test_rows_and_positions_hold_the_same_field_and_the_same_ones(seed, height, width, offset):
    field, maps = enlarged(np.random.default_rng(seed), height, width)
    rows = rows_of(field + offset, maps[None])
    positions = rows.field if rows.basis is None else rows.basis @ rows.field
    np.testing.assert_allclose(positions.reshape(field.shape), field + offset, rtol=0, atol=1e-11)
    ones = rows.ones if rows.basis is None else rows.basis @ rows.ones
    np.testing.assert_allclose(ones, 1, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 1, 60, 70), (3, 60, 1, 70), (3, 2, 50, 200)])
def test_long_thin_grids_are_not_mistaken_for_enlarged_ones(rng, shape):
    rows = rows_of(rng.normal(size=shape), rng.normal(size=(1, *shape[:3], 2)))
    assert rows.basis is None


def sparse(rng):
    """Units that fire in one column of one image and in one row of another only."""
    field = np.zeros((14, 9, 9, 60))
    field[3, :, 4], field[5, 2] = rng.normal(size=(2, 9, 60))
    return field


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: np.repeat(rng.normal(size=(3, 17, 1, 40)), 17, axis=2),
        lambda rng: np.repeat(rng.normal(size=(5, 1, 30, 40)), 30, axis=1),
        sparse,
    ],
)
def test_what_varies_along_few_lines_is_held_too(rng, make):
    field = make(rng)
    rows = rows_of(field, rng.normal(size=(1, *field.shape[:3], 2)))
    positions = rows.field if rows.basis is None else rows.basis @ rows.field
    np.testing.assert_allclose(positions.reshape(field.shape), field, rtol=0, atol=1e-11)


def test_a_huge_constant_channel_hides_nothing(rng):
    field, maps = rng.normal(size=(6, 5, 5, 8)), rng.normal(size=(6, 5, 5, 3))
    expected = predict_left_out(field, maps, components=5)
    result = predict_left_out(np.concatenate([field, np.full((6, 5, 5, 1), 1e14)], axis=-1), maps, components=5)
    np.testing.assert_allclose(result.predicted, expected.predicted, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(result.components, expected.components)


def test_a_value_that_is_not_finite_is_counted(rng):
    field = rng.normal(size=(4, 5, 6, 7))
    field[1, 2, 3, 4], field[0, 0, 0, 0] = np.nan, np.inf
    with pytest.raises(ArrayError, match="2 values of the field are not finite"):
        rows_of(field, np.zeros((1, 4, 5, 6, 1)))


def test_sums_of_others_do_not_cancel():
    values = np.array([1e20, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(sum_of_others(values)[0], 6)
    np.testing.assert_array_equal(sum_of_others(values[::-1].copy())[-1], 6)
    np.testing.assert_allclose(sum_of_others(np.arange(5.0)), 10 - np.arange(5.0))


@pytest.mark.parametrize(
    "folds", [leave_one_out(9), groups_left_out(9, 4), pairs_of_groups(9), np.arange(9) < [[3], [0]]]
)
def test_products_are_those_of_the_images_that_each_fold_keeps(rng, folds):
    left, right = rng.normal(size=(9, 4, 3)), rng.normal(size=(9, 4, 5))
    result, squares = products_of_rest(left, right, folds), products_of_rest(left, left, folds)
    for fold, left_out in enumerate(folds):
        a, b = left[~left_out].reshape(-1, 3), right[~left_out].reshape(-1, 5)
        np.testing.assert_allclose(result[fold], a.T @ b, rtol=0, atol=1e-12)
        np.testing.assert_allclose(squares[fold], a.T @ a, rtol=0, atol=1e-12)


@pytest.mark.parametrize("leave", [groups_left_out, pairs_of_groups])
def test_products_are_formed_for_groups_of_images_not_for_images(leave):
    x, folds = np.ones((300, 2, 60)), leave(300)
    tracemalloc.start()
    products_of_rest(x, x, folds)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 300 * 60 * 60 * 8 / 4
