"""Arrange fields and maps as rows of a regression: one row per position, or fewer equivalent rows."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, one_line
from brainscore_itmaps.progress import Steps, uncounted

EPS = np.finfo(np.float64).eps
EXHAUSTED = 64 * EPS  # of what something was made of: the rest is rounding
ROUNDING = 1e-13  # of the largest: what interpolation in double precision leaves where there is nothing
WORTH_IT = 0.8


class Rows(NamedTuple):
    """Input of a regression over left-out images; all images have the same number of rows.

    Attributes
    ----------
    field : array, shape (image, row, channel)
    maps : array, shape (set, image, row, site)
        Each set is given a regression of its own.
    ones : array, shape (row,)
        What the vector of ones, one a position, is in these rows: the direction of an intercept.
    basis : array, shape (position, row), or None
        Orthonormal; rows are its transpose times positions. None where rows are positions.
    """

    field: NDArray[np.float64]
    maps: NDArray[np.float64]
    ones: NDArray[np.float64]
    basis: NDArray[np.float64] | None

    def to_positions(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn predictions of rows (..., row, site) into predictions of positions (..., position, site)."""
        return predicted if self.basis is None else np.matmul(self.basis, predicted)


class Options(NamedTuple):
    """Options of the solvers, as in :func:`~brainscore_itmaps.metrics.folds.fit_folds`."""

    components: int
    penalty: float = 1.0
    penalties: ArrayLike | None = None
    intercept: bool = True
    progress: Steps = uncounted


def rows_of(field: NDArray[np.float64], maps: NDArray[np.float64]) -> Rows:
    """Arrange a field and maps as rows; use the rows of the smaller map if a field was enlarged from one.

    Interpolating a map of h x w units along both axes is a linear map of low rank, B F C'. With an orthonormal basis of
    the ranges of B and C, the regression of Q'F on Q'maps is the regression of F on the maps, exactly: no weight of a
    regression sees what lies outside the range. The ranges are found in the field itself, from as many random mixtures
    of its channels as a line of the grid has positions: they hold whatever varies along any line. A field that fills
    its grid is laid out position by position.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (set, image, y, x, site)

    Raises
    ------
    ArrayError
        When the field holds a value that is not finite.
    """
    images, height, width, channels = field.shape
    with np.errstate(invalid="ignore", over="ignore"):
        sketch = field @ np.random.default_rng(0).normal(size=(channels, max(height, width)))
    if not np.isfinite(sketch).all():
        broken = int((~np.isfinite(field)).sum())
        what = (
            f"{broken} values of the field are not finite." if broken else "Values of the field are too large to add."
        )
        raise ArrayError(what, "Leave out the channels that hold them.")
    sketch -= sketch.mean(axis=(0, 1, 2))  # what is constant lies in both ranges in any case, and may be huge
    down, across = _range(np.moveaxis(sketch, 1, 0)), _range(np.moveaxis(sketch, 2, 0))
    flat = (*maps.shape[:2], height * width, maps.shape[-1])
    if down.shape[1] * across.shape[1] > WORTH_IT * height * width:
        return Rows(field.reshape(images, -1, channels), maps.reshape(flat), np.ones(height * width), None)
    basis = np.kron(down, across)  # (y * x, row)
    lines = np.matmul(down.T, field.reshape(images, height, -1)).reshape(images, -1, width, channels)
    compressed = np.matmul(across.T, lines).reshape(images, -1, channels)
    return Rows(compressed, np.matmul(basis.T, maps.reshape(flat)), basis.sum(axis=0), basis)


def real_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Convert real numbers of any kind to an array.

    Raises
    ------
    ArrayError
        When they are no numbers, complex, or do not fill an array.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ArrayError(f"The {name} do not fill an array: {one_line(error)}.", "Give rows of one length.") from error
    if array.dtype.kind not in "fiub":
        raise ArrayError(f"The {name} are {array.dtype}.", "Give real numbers.")
    return array


def sum_of_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over all other entries of the first axis, without the cancellation of subtracting from the whole."""
    others = np.zeros_like(values)
    before, after = np.zeros_like(values[0]), np.zeros_like(values[0])
    for entry in range(1, len(values)):
        before += values[entry - 1]
        after += values[-entry]
        others[entry] += before
        others[-1 - entry] += after
    return others


def sum_of_rest(values: NDArray[np.float64], folds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum over the entries of the first axis that each fold keeps, without subtracting anything from the whole.

    Parameters
    ----------
    values : array, shape (image, ...)
    folds : array of bool, shape (fold, image)

    Returns
    -------
    array, shape (fold, ...)
    """
    if len(folds) == len(values) and np.array_equal(folds, np.eye(len(values), dtype=bool)):
        return sum_of_others(values)
    kept: NDArray[np.float64] = (~folds).astype(np.float64)
    return (kept @ values.reshape(len(values), -1)).reshape(len(folds), *values.shape[1:])


def products_of_rest(
    left: NDArray[np.float64], right: NDArray[np.float64], folds: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Multiply columns with columns over the rows of the images that each fold keeps.

    Images that the same folds leave out are a group, and multiplied together: there are as many products as groups.

    Parameters
    ----------
    left, right : array, shape (image, row, column)
    folds : array of bool, shape (fold, image)

    Returns
    -------
    array, shape (fold, left's column, right's column)
    """
    _, first, group = np.unique(folds, axis=1, return_index=True, return_inverse=True)
    groups = [np.flatnonzero(group.ravel() == group.ravel()[image]) for image in np.sort(first)]
    products = np.empty((len(groups), left.shape[-1], right.shape[-1]))
    for product, images in zip(products, groups, strict=True):
        one = left[images].reshape(-1, left.shape[-1])
        other = one if left is right else right[images].reshape(-1, right.shape[-1])
        np.matmul(one.T, other, out=product)
    return sum_of_rest(products, folds[:, np.sort(first)])


def centred(
    values: NDArray[np.float64], ones: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Subtract means over images and positions; set what does not vary beyond rounding to zero.

    Parameters
    ----------
    values : array, shape (set, image, row, column)

    Returns
    -------
    centred, means (set, column), sums of squares before centring (set, column), 0 where nothing varies
    """
    count = values.shape[1] * (ones @ ones)
    means = np.einsum("r,sirc->sc", ones, values) / count
    centred = values - ones[:, None] * means[:, None, None]
    squares = np.einsum("sirc,sirc->sc", centred, centred)
    constant = squares <= (EXHAUSTED * means) ** 2 * count
    for number in np.flatnonzero(constant.any(axis=1)):
        centred[number][..., constant[number]] = 0
    return centred, means, np.where(constant, 0, squares + count * means**2)


def _range(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute an orthonormal basis, shape (length, rank), of the variation along the first axis and of the constant."""
    length = len(values)
    left, size, _ = np.linalg.svd(values.reshape(length, -1), full_matrices=False)
    left = left[:, size > ROUNDING * size[0]]
    rest = np.ones(length) - left @ left.sum(axis=0)
    if np.linalg.norm(rest) > 1e3 * ROUNDING * np.sqrt(length):
        left = np.column_stack([left, rest])
    basis: NDArray[np.float64] = np.linalg.qr(left)[0]
    return basis
