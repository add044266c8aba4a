"""Ridge regression over left-out images, in closed form: the rows of an image are taken out of one fit of all.

A ridge regression with an unpenalised intercept is a linear smoother: fitted maps are H maps. What it would have
predicted for rows that were left out follows from the block of H that belongs to them, without another fit:
maps - (I - H_block)^-1 (maps - H maps).
"""

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.rows import EPS, Rows, centred, real_array
from brainscore_itmaps.progress import Steps, uncounted

PENALTY = 1.0
RELATIVE_PENALTIES = np.logspace(-4, 4, 9)


def ridge(rows: Rows, penalty: float = PENALTY, progress: Steps = uncounted) -> NDArray[np.float64]:
    """Predict every image from a ridge regression on all others.

    Equal to scikit-learn's ``Ridge(alpha=penalty)`` per fold, to rounding.

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
    x, y, ones, means = _problem(rows)
    smoother = _Smoother(ones, *_principal(x), penalty)
    residual = smoother.residual(y)
    left_out = np.empty_like(y)
    for image in range(len(x)):
        left_out[image] = y[image] - smoother.left_out((image,), residual)[0]
        progress(image + 1, len(x))
    return _unstacked(left_out, means, ones)


def ridge_cv(
    rows: Rows, penalties: ArrayLike | None = None, progress: Steps = uncounted
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As :func:`ridge`, each fold's penalty chosen on its own training images.

    The penalty is the one whose squared error, summed over sites, is smallest when each training image in turn is left
    out as well: two images are taken out of the fit of all, and the left-out one's maps are never looked at.

    Parameters
    ----------
    rows : Rows
    penalties : array, optional
        To choose from; by default 1e-4 to 1e4 times the mean sum of squares of a centred channel (of all images: the
        features of a left-out image, never its maps, have a say in what there is to choose from).
    progress : callable
        Told (steps done, steps in all).

    Returns
    -------
    predicted : array, shape (set, image, row, site)
    penalties : array, shape (set, image)
    """
    x, y, ones, means = _problem(rows)
    images, positions, channels = x.shape
    if penalties is None:
        mean_square = np.einsum("irc,irc->", x, x) / channels
        penalties = RELATIVE_PENALTIES * (mean_square or 1)
    _refuse_penalties(penalties)
    candidates = np.asarray(penalties, dtype=np.float64)
    basis, squares = _principal(x)
    errors = np.zeros((len(candidates), images, len(rows.maps)))
    predictions = np.empty((len(candidates), *y.shape))
    pairs = list(combinations(range(images), 2))
    for number, penalty in enumerate(candidates):
        smoother = _Smoother(ones, basis, squares, penalty)
        residual = smoother.residual(y)
        for image in range(images):
            predictions[number, image] = y[image] - smoother.left_out((image,), residual)[0]
        for first, second in pairs:
            error = smoother.left_out((first, second), residual)
            by_set = (error**2).reshape(2, positions, len(rows.maps), -1).sum(axis=(1, 3))  # (image of the pair, set)
            errors[number, first] += by_set[1]
            errors[number, second] += by_set[0]
        progress(number + 1, len(candidates))
    best = errors.argmin(axis=0)  # (image, set)
    predicted = np.empty_like(rows.maps)
    for number in range(len(candidates)):
        chosen = (best == number).T  # (set, image)
        predicted[chosen] = _unstacked(predictions[number], means, ones)[chosen]
    return predicted, candidates[best].T


class _Smoother:
    """The matrix I - H of a ridge regression, a block at a time, in the basis of the principal directions."""

    def __init__(
        self, ones: NDArray[np.float64], basis: NDArray[np.float64], squares: NDArray[np.float64], penalty: float
    ) -> None:
        self.basis = basis  # (image, row, direction)
        self.complete = len(squares) == basis.shape[0] * basis.shape[1]
        if self.complete:  # the directions span all rows: what the penalty leaves of each, not a small difference
            self.weights = penalty / (squares + penalty)
        else:
            self.weights = -squares / (squares + penalty)
        self.intercept = np.outer(ones, ones) / (len(basis) * (ones @ ones))
        self.few = not self.complete and 2 * (len(squares) + 1) < basis.shape[1]
        if self.few:  # the block of an image has a low rank, and its inverse comes from one of that size
            constant = np.broadcast_to(ones / np.sqrt(len(basis) * (ones @ ones)), basis.shape[:2])
            self.factor = np.concatenate([basis * np.sqrt(-self.weights), constant[..., None]], axis=-1)
            self.grams = np.matmul(self.factor.transpose(0, 2, 1), self.factor)  # (image, direction, direction)
        else:
            self.own = [self.rest(image, image) for image in range(len(basis))]

    def left_out(self, images: tuple[int, ...], residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Errors at the rows of one image or two, (image, row, column), of the regression that never saw them."""
        own = [residual[image] for image in images]
        if self.few:
            along = sum(self.factor[image].T @ residual[image] for image in images)
            inner = np.eye(self.grams.shape[1]) - sum(self.grams[image] for image in images)
            shift = np.linalg.solve(inner, along)
            return np.stack([rest + self.factor[image] @ shift for image, rest in zip(images, own, strict=True)])
        block = self.own[images[0]]
        if len(images) == 2:
            across = self.rest(*images)
            block = np.block([[block, across], [across.T, self.own[images[1]]]])
        return np.linalg.solve(block, np.concatenate(own)).reshape(len(images), *own[0].shape)

    def rest(self, first: int, second: int) -> NDArray[np.float64]:
        block: NDArray[np.float64] = (self.basis[first] * self.weights) @ self.basis[second].T - self.intercept
        if first == second and not self.complete:
            block[np.diag_indices_from(block)] += 1
        return block

    def residual(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the fit on all images; ``y`` (image, row, column) is centred, so the intercept fits nothing."""
        along = np.tensordot(self.basis, y, axes=([0, 1], [0, 1]))  # (direction, column)
        rest: NDArray[np.float64] = self.basis @ (self.weights[:, None] * along)
        return rest if self.complete else y + rest


def _problem(
    rows: Rows,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centred features (image, row, channel), maps, sets side by side (image, row, set * site), ones, maps' means."""
    y, means, _ = centred(rows.maps, rows.ones)
    images, positions = y.shape[1:3]
    x = centred(rows.field[None], rows.ones)[0][0]
    return x, y.transpose(1, 2, 0, 3).reshape(images, positions, -1), rows.ones, means


def _unstacked(
    left_out: NDArray[np.float64], means: NDArray[np.float64], ones: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sets apart again (set, image, row, site), means (set, site) added."""
    images, positions, _ = left_out.shape
    by_set = left_out.reshape(images, positions, *means.shape).transpose(2, 0, 1, 3)
    return by_set + ones[:, None] * means[:, None, None]


def _principal(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Principal directions of the rows, orthonormal (image, row, direction), and the sums of squares along each.

    All that the rows have, also those without variance, where channels are no fewer than rows; else those that vary.
    """
    flat = x.reshape(-1, x.shape[-1])
    wide = flat.shape[1] >= len(flat)
    squares, directions = np.linalg.eigh(flat @ flat.T if wide else flat.T @ flat)
    squares = np.where(squares > EPS * max(flat.shape) * squares[-1], squares, 0)
    if not wide:
        squares, directions = squares[squares > 0], flat @ (directions[:, squares > 0] / np.sqrt(squares[squares > 0]))
    return directions.reshape(*x.shape[:2], -1), squares


def _refuse_penalties(penalties: ArrayLike) -> None:
    given = real_array(penalties, "penalties")
    if given.ndim != 1 or not len(given) or not (np.isfinite(given) & (given > 0)).all():
        raise ArrayError(f"The penalty is {penalties!r}.", "Give numbers above 0.")
