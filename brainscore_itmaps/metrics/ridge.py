"""Ridge regression over left-out images, in closed form: the rows of an image are taken out of one fit of all.

A ridge regression with an unpenalised intercept is a linear smoother: fitted maps are H maps. What it would have
predicted for rows that were left out follows from the block of H that belongs to them, without another fit:
maps - (I - H_block)^-1 (maps - H maps).
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.rows import Rows, centred

PENALTY = 1.0
RELATIVE_PENALTIES = np.logspace(-4, 4, 9)

Told = Callable[[int, int], None]


def ridge(rows: Rows, penalty: float = PENALTY, progress: Told = lambda done, total: None) -> NDArray[np.float64]:
    """Predict every image from a ridge regression on all others.

    Equal to scikit-learn's ``Ridge(alpha=penalty)`` a fold, to rounding.

    Parameters
    ----------
    rows : Rows
    penalty : float
        Added to the sums of squares of the centred channels, as scikit-learn's ``alpha``.
    progress : callable
        Told (images done, images in all).

    Returns
    -------
    array, shape (set, image, row, site)

    Raises
    ------
    ArrayError
        When the penalty is not above 0.
    """
    _refuse_penalties([penalty])
    x, y, ones = _problem(rows)
    smoother = _Smoother(x, ones, *_whitened(x, penalty))
    residual = smoother.residual(y)
    left_out = np.empty_like(y)
    for image in range(len(x)):
        left_out[image] = y[image] - np.linalg.solve(smoother.rest(image, image), residual[image])
        progress(image + 1, len(x))
    return _unstacked(left_out, rows)


def ridge_cv(
    rows: Rows, penalties: NDArray[np.float64] | None = None, progress: Told = lambda done, total: None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As :func:`ridge`, each fold's penalty chosen on its own training images.

    The penalty is the one whose squared error, summed over sites, is smallest when each training image in turn is left
    out as well: two images are taken out of the fit of all, and the left-out one's maps are never looked at.

    Parameters
    ----------
    rows : Rows
    penalties : array, optional
        To choose from; by default 1e-4 to 1e4 times the mean sum of squares of a centred channel.
    progress : callable
        Told (steps done, steps in all).

    Returns
    -------
    predicted : array, shape (set, image, row, site)
    penalties : array, shape (set, image)
    """
    x, y, ones = _problem(rows)
    images, positions, channels = x.shape
    if penalties is None:
        mean_square = np.einsum("irc,irc->", x, x) / channels
        penalties = RELATIVE_PENALTIES * (mean_square or 1)
    _refuse_penalties(penalties)
    basis, squares = _principal(x)
    errors = np.zeros((len(penalties), images, len(rows.maps)))
    candidates = np.empty((len(penalties), *y.shape))
    pairs = list(combinations(range(images), 2))
    for number, penalty in enumerate(penalties):
        smoother = _Smoother(x, ones, basis, 1 / (squares + penalty))
        residual = smoother.residual(y)
        rests = [smoother.rest(image, image) for image in range(images)]
        for image in range(images):
            candidates[number, image] = y[image] - np.linalg.solve(rests[image], residual[image])
        for first, second in pairs:
            across = smoother.rest(first, second)
            block = np.block([[rests[first], across], [across.T, rests[second]]])
            error = np.linalg.solve(block, np.concatenate([residual[first], residual[second]]))
            by_set = (error**2).reshape(2, positions, len(rows.maps), -1).sum(axis=(1, 3))  # (image of the pair, set)
            errors[number, first] += by_set[1]
            errors[number, second] += by_set[0]
        progress(number + 1, len(penalties))
    best = errors.argmin(axis=0)  # (image, set)
    predicted = np.empty_like(rows.maps)
    for number in range(len(penalties)):
        chosen = (best == number).T  # (set, image)
        predicted[chosen] = _unstacked(candidates[number], rows)[chosen]
    return predicted, np.asarray(penalties)[best].T


class _Smoother:
    """The matrix I - H of a ridge regression, a block at a time."""

    def __init__(
        self,
        x: NDArray[np.float64],
        ones: NDArray[np.float64],
        basis: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        self.basis, self.weights = basis, weights  # (image, row, direction), (direction,)
        self.intercept = np.outer(ones, ones) / (len(x) * (ones @ ones))

    def rest(self, first: int, second: int) -> NDArray[np.float64]:
        block: NDArray[np.float64] = -(self.basis[first] * self.weights) @ self.basis[second].T - self.intercept
        if first == second:
            block[np.diag_indices_from(block)] += 1
        return block

    def residual(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the fit on all images; ``y`` (image, row, column) is centred, so the intercept fits nothing."""
        fitted = np.tensordot(self.basis, y, axes=([0, 1], [0, 1]))  # (direction, column)
        return y - self.basis @ (self.weights[:, None] * fitted)


def _problem(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centred features (image, row, channel) and maps, the sets side by side (image, row, set * site)."""
    y = centred(rows.maps, rows.ones)[0]
    images, positions = y.shape[1:3]
    return centred(rows.field[None], rows.ones)[0][0], y.transpose(1, 2, 0, 3).reshape(images, positions, -1), rows.ones


def _unstacked(left_out: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    images, positions, _ = left_out.shape
    means = centred(rows.maps, rows.ones)[1]  # (set, site)
    by_set = left_out.reshape(images, positions, *means.shape).transpose(2, 0, 1, 3)
    return by_set + rows.ones[:, None] * means[:, None, None]


def _whitened(x: NDArray[np.float64], penalty: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows in a basis in which the penalised covariance is the identity; the smaller of covariance and Gram matrix."""
    flat = x.reshape(-1, x.shape[-1])
    if flat.shape[1] > len(flat):
        basis, squares = _principal(x)
        return basis, 1 / (squares + penalty)
    lower = np.linalg.cholesky(flat.T @ flat + penalty * np.eye(flat.shape[1]))
    return np.linalg.solve(lower, flat.T).T.reshape(x.shape), np.ones(flat.shape[1])


def _principal(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows in the basis of their principal directions (image, row, direction), and the sums of squares along each."""
    flat = x.reshape(-1, x.shape[-1])
    if flat.shape[1] > len(flat):
        squares, left = np.linalg.eigh(flat @ flat.T)
        squares = np.maximum(squares, 0)
        return (left * np.sqrt(squares)).reshape(*x.shape[:2], -1), squares
    squares, directions = np.linalg.eigh(flat.T @ flat)
    return (flat @ directions).reshape(*x.shape[:2], -1), np.maximum(squares, 0)


def _refuse_penalties(penalties: "NDArray[np.float64] | list[float]") -> None:
    given = np.asarray(penalties, dtype=np.float64)
    if given.ndim != 1 or not len(given) or not (np.isfinite(given) & (given > 0)).all():
        raise ArrayError(f"The penalty is {penalties}.", "Give numbers above 0.")
