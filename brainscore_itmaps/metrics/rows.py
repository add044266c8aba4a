"""Arrange fields and maps as rows of a regression, one per position or fewer equivalent ones, and sum over folds."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, one_line
from brainscore_itmaps.progress import Steps, uncounted
from brainscore_itmaps.text import short_repr

EPS = np.finfo(np.float64).eps
EXHAUSTED = 64 * EPS  # a remainder below this share of its terms is rounding
ROUNDING = 1e-13  # a singular value below this share of the largest is rounding of the interpolation
INDEPENDENT = 1e-3  # a singular value above this share of the largest shows in the squares, too
MAX_COMPRESSION = 0.8  # rows are compressed if at most this share of them remains


@short_repr
class Rows(NamedTuple):
    """Input of a regression over left-out images; all images have the same number of rows.

    Attributes
    ----------
    field : array, shape (image, row, channel)
    maps : array, shape (set, image, row, site)
        Each set gets its own regression.
    ones : array, shape (row,)
        Vector of ones, one per position, expressed in these rows: the direction of an intercept.
    basis : array, shape (position, row), or None
        Orthonormal basis: rows are its transpose times positions. None where rows are positions.
    own : bool
        Whether a solver may overwrite the field.
    offsets : array, shape (set, fold, row, site), or None
        Maps that are subtracted from those of every image before the regression of a fold is fitted.
    """

    field: NDArray[np.float64]
    maps: NDArray[np.float64]
    ones: NDArray[np.float64]
    basis: NDArray[np.float64] | None
    own: bool = False
    offsets: NDArray[np.float64] | None = None

    def to_positions(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert predictions of rows (..., row, site) to predictions of positions (..., position, site)."""
        return predicted if self.basis is None else np.matmul(self.basis, predicted)

    def with_offsets(self, offsets: NDArray[np.float64]) -> "Rows":
        """Add offsets, shape (set, fold, position, site)."""
        return self._replace(offsets=offsets if self.basis is None else np.matmul(self.basis.T, offsets))


@short_repr
@dataclass(frozen=True, eq=False)
class Enlarged:
    """A field that is interpolated from fewer units, so that regressions need not compute it.

    Attributes
    ----------
    units : array, shape (image, height, width, channel)
    down : array, shape (y, height)
        Weights of the units along y; those of a position have the sum 1.
    across : array, shape (x, width)
        Weights of the units along x.
    """

    units: NDArray[np.floating[Any]]
    down: NDArray[np.float64]
    across: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return the shape of the field, (image, y, x, channel)."""
        return len(self.units), len(self.down), len(self.across), self.units.shape[-1]

    @property
    def ndim(self) -> int:
        """Return the number of axes of the field."""
        return 4

    def interpolated(self, down: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute weighted sums of the units along both axes, shape (image, row, column, channel)."""
        images, height, _, channels = self.units.shape
        field = np.empty((images, len(down), len(across), channels))
        for image, units in zip(field, self.units, strict=True):
            lines = down @ units.reshape(height, -1).astype(np.float64)
            np.matmul(across, lines.reshape(len(down), -1, channels), out=image)
        return field


@short_repr
class Options(NamedTuple):
    """Options of the solvers, as in :func:`~brainscore_itmaps.metrics.folds.fit_folds`.

    ``tuning`` (fold, image) leaves out every image once, to choose a penalty; by default each image in turn.
    """

    components: int
    penalty: float = 1.0
    penalties: ArrayLike | None = None
    intercept: bool = True
    progress: Steps = uncounted
    tuning: NDArray[np.bool_] | None = None


def rows_of(field: NDArray[np.float64] | Enlarged, maps: NDArray[np.float64]) -> Rows:
    """Arrange a field and maps as rows; use the rows of the smaller map if the field was enlarged from one.

    Interpolating a map of h x w units along both axes is a linear map of low rank, B F C'. With an orthonormal basis of
    the ranges of B and C, the regression of Q'maps on Q'F is the regression of the maps on F, exactly: the weights do
    not depend on anything outside the range. The ranges are computed from the field itself, from as many random
    mixtures of its channels as a line of the grid has positions: they contain all variation along any line. A field
    that was not enlarged keeps one row per position.

    Parameters
    ----------
    field : array, shape (image, y, x, channel), or Enlarged
    maps : array, shape (set, image, y, x, site)

    Raises
    ------
    ArrayError
        When the field holds a value that is not finite.

    Examples
    --------
    A field of 5 channels at 6 x 4 positions, enlarged from 2 units along y:

    >>> rng = np.random.default_rng(0)
    >>> weights = np.linspace([1.0, 0.0], [0.0, 1.0], 6)
    >>> field = np.einsum("yu,iuxc->iyxc", weights, rng.normal(size=(3, 2, 4, 5)))
    >>> rows_of(field, rng.normal(size=(1, 3, 6, 4, 7))).field.shape
    (3, 8, 5)
    """
    images, height, width, channels = field.shape
    if isinstance(field, Enlarged):
        if field.units[0, ..., 0].size <= MAX_COMPRESSION * height * width:
            return _rows_of_units(field, maps)
        field = field.interpolated(field.down, field.across)
    with np.errstate(invalid="ignore", over="ignore"):
        sketch = field @ np.random.default_rng(0).normal(size=(channels, max(height, width)))
    if not np.isfinite(sketch).all():
        raise _not_finite(field)
    sketch -= sketch.mean(axis=(0, 1, 2))  # both ranges contain the constant in any case, and it may be huge
    lines, columns = np.moveaxis(sketch, 1, 0).reshape(height, -1), np.moveaxis(sketch, 2, 0).reshape(width, -1)
    flat = (*maps.shape[:2], height * width, maps.shape[-1])
    as_positions = Rows(field.reshape(images, -1, channels), maps.reshape(flat), np.ones(height * width), None)
    if _spans_all(lines) and _spans_all(columns):
        return as_positions
    down, across = _range(lines), _range(columns)
    if down.shape[1] * across.shape[1] > MAX_COMPRESSION * height * width:
        return as_positions
    basis = np.kron(down, across)  # (y * x, row)
    shorter = np.matmul(down.T, field.reshape(images, height, -1)).reshape(images, -1, width, channels)
    compressed = np.matmul(across.T, shorter).reshape(images, -1, channels)
    return Rows(compressed, np.matmul(basis.T, maps.reshape(flat)), basis.sum(axis=0), basis, own=True)


def _rows_of_units(field: Enlarged, maps: NDArray[np.float64]) -> Rows:
    """Arrange units and maps as rows, as :func:`rows_of` does, without computing the field."""
    (down, weights_down), (across, weights_across) = np.linalg.qr(field.down), np.linalg.qr(field.across)
    rows = field.interpolated(weights_down, weights_across)
    if not np.isfinite(rows).all():
        raise _not_finite(field.units)
    basis = np.kron(down, across)  # (y * x, row)
    at_rows = np.matmul(basis.T, maps.reshape(*maps.shape[:2], -1, maps.shape[-1]))
    return Rows(rows.reshape(len(rows), -1, rows.shape[-1]), at_rows, basis.sum(axis=0), basis, own=True)


def _not_finite(field: NDArray[np.floating[Any]]) -> ArrayError:
    invalid = int((~np.isfinite(field)).sum())
    problem = f"{invalid} values of the field are not finite." if invalid else "Values of the field overflow a sum."
    return ArrayError(problem, "Leave out the channels that hold them.")


def real_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Convert real numbers to an array.

    Parameters
    ----------
    values : array-like
    name : str
        Name of the values in error messages, such as ``"maps"``.

    Raises
    ------
    ArrayError
        When the values are not real numbers, or do not fill an array.

    Examples
    --------
    >>> real_array([[1, 2, 3], [4, 5, 6]], "maps").shape
    (2, 3)
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ArrayError(
            f"The values of the {name} do not fill an array: {one_line(error)}.", "Give rows of one length."
        ) from error
    if array.dtype.kind not in "fiub":
        raise ArrayError(f"The values of the {name} are {array.dtype}.", "Give real numbers.")
    return array


def sum_of_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over all other entries of the first axis, without cancellation.

    Examples
    --------
    >>> sum_of_others(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).tolist()
    [[8.0, 10.0], [6.0, 8.0], [4.0, 6.0]]
    """
    others = np.zeros_like(values)
    before, after = np.zeros_like(values[0]), np.zeros_like(values[0])
    for entry in range(1, len(values)):
        before += values[entry - 1]
        after += values[-entry]
        others[entry] += before
        others[-1 - entry] += after
    return others


def sum_of_rest(values: NDArray[np.float64], folds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum over the entries of the first axis that a fold does not leave out, for every fold, without cancellation.

    Parameters
    ----------
    values : array, shape (image, ...)
    folds : array of bool, shape (fold, image)

    Returns
    -------
    array, shape (fold, ...)

    Examples
    --------
    >>> folds = np.array([[True, False, True], [False, True, False]])
    >>> sum_of_rest(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), folds).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    if len(folds) == len(values) and np.array_equal(folds, np.eye(len(values), dtype=bool)):
        return sum_of_others(values)
    remaining: NDArray[np.float64] = (~folds).astype(np.float64)
    return (remaining @ values.reshape(len(values), -1)).reshape(len(folds), *values.shape[1:])


def products_of_rest(
    left: NDArray[np.float64], right: NDArray[np.float64], folds: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compute products of columns over the rows of the images that a fold does not leave out, for every fold.

    Images that the same folds leave out form a group, with one product per group.

    Parameters
    ----------
    left, right : array, shape (image, row, column)
    folds : array of bool, shape (fold, image)

    Returns
    -------
    array, shape (fold, column of ``left``, column of ``right``)

    Examples
    --------
    >>> left, right = np.ones((3, 4, 2)), np.ones((3, 4, 5))
    >>> products = products_of_rest(left, right, np.eye(3, dtype=bool))
    >>> products.shape, products[0, 0, 0].item()
    ((3, 2, 5), 8.0)
    """
    _, first, group = np.unique(folds, axis=1, return_index=True, return_inverse=True)
    groups = [np.flatnonzero(group.ravel() == group.ravel()[image]) for image in np.sort(first)]
    products = np.empty((len(groups), left.shape[-1], right.shape[-1]))
    for product, images in zip(products, groups, strict=True):
        left_rows = left[images].reshape(-1, left.shape[-1])
        right_rows = left_rows if left is right else right[images].reshape(-1, right.shape[-1])
        np.matmul(left_rows.T, right_rows, out=product)
    return sum_of_rest(products, folds[:, np.sort(first)])


def centred(
    values: NDArray[np.float64], ones: NDArray[np.float64], overwrite: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Subtract means over images and positions, and set columns that vary by rounding alone to zero.

    Parameters
    ----------
    values : array, shape (set, image, row, column)
    ones : array, shape (row,)
        Vector of ones in these rows, as in :class:`Rows`.
    overwrite : bool
        Store the centred values in ``values``, which saves memory.

    Returns
    -------
    centred : array, shape (set, image, row, column)
    means : array, shape (set, column)
    squares : array, shape (set, column)
        Sums of squares before centring; 0 for columns that do not vary.

    Examples
    --------
    >>> values = np.array([[[[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]]])
    >>> deviations, means, squares = centred(values, np.ones(3))
    >>> deviations[0, 0, :, 0].tolist(), means.tolist(), squares.tolist()
    ([-1.0, 0.0, 1.0], [[2.0, 5.0]], [[14.0, 0.0]])
    """
    count = values.shape[1] * (ones @ ones)
    means = np.einsum("r,sirc->sc", ones, values) / count
    centred = np.subtract(values, ones[:, None] * means[:, None, None], out=values if overwrite else None)
    squares = np.einsum("sirc,sirc->sc", centred, centred)
    constant = squares <= (EXHAUSTED * means) ** 2 * count
    for set_index in np.flatnonzero(constant.any(axis=1)):
        centred[set_index][..., constant[set_index]] = 0
    return centred, means, np.where(constant, 0, squares + count * means**2)


def _spans_all(values: NDArray[np.float64]) -> bool:
    """Return whether the rows of a matrix are clearly independent, which needs no singular value decomposition."""
    squares = np.linalg.eigvalsh(values @ values.T)
    return bool(squares[0] > INDEPENDENT**2 * squares[-1])


def _range(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute an orthonormal basis, shape (length, rank), of the variation of the columns and of the constant."""
    length = len(values)
    left, size, _ = np.linalg.svd(values, full_matrices=False)
    left = left[:, size > ROUNDING * size[0]]
    residual = np.ones(length) - left @ left.sum(axis=0)
    if np.linalg.norm(residual) > 1e3 * ROUNDING * np.sqrt(length):
        left = np.column_stack([left, residual])
    basis: NDArray[np.float64] = np.linalg.qr(left)[0]
    return basis
