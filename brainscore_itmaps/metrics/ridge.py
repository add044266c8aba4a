"""Ridge regression over folds of images, in closed form: the rows of images are taken out of one fit of all.

A ridge regression with an unpenalised intercept is a linear smoother: fitted maps are H maps. What it would have
predicted for rows that were left out follows from the block of H that belongs to them, without another fit:
maps - (I - H_block)^-1 (maps - H maps).
"""

from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.rows import EPS, Options, Rows, centred, real_array
from brainscore_itmaps.progress import Steps, uncounted

RELATIVE_PENALTIES = np.logspace(-4, 4, 9)


class RidgeFolds(NamedTuple):
    """Ridge regressions, one for each fold and set.

    Attributes
    ----------
    left_out : tuple of arrays, shape (set, image left out, row, site)
        Predictions of each fold.
    components : array, shape (set, fold)
        Channels: all are used.
    penalty : array, shape (set, fold)
    """

    left_out: tuple[NDArray[np.float64], ...]
    components: NDArray[np.int64]
    penalty: NDArray[np.float64]

    def predicted(self, fold: int, number: int) -> NDArray[np.float64]:
        """Predict the images that a fold leaves out, for one set: shape (image left out, row, site)."""
        predicted: NDArray[np.float64] = self.left_out[fold][number]
        return predicted

    def coefficients(self, number: int) -> NoReturn:
        """Raise an error: a smoother has no weights of the features.

        Raises
        ------
        UsageError
        """
        raise UsageError("Ridge regressions keep no coefficients.", "Fit by pls or nipals.")

    def select(self, folds: NDArray[np.int64]) -> "RidgeFolds":
        """Select some of the folds."""
        return RidgeFolds(
            tuple(self.left_out[fold] for fold in folds), self.components[:, folds], self.penalty[:, folds]
        )


def ridge(rows: Rows, folds: NDArray[np.bool_], varying: NDArray[np.bool_], options: Options) -> RidgeFolds:
    """Predict the images that each fold leaves out from a ridge regression on all others.

    Equal to scikit-learn's ``Ridge(alpha=penalty)`` per fold, to rounding.

    Parameters
    ----------
    rows : Rows
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out.
    varying : array, shape (set, fold, site)
        Not needed.
    options : Options
        ``penalty`` is added to the sums of squares of the centred channels, as scikit-learn's ``alpha``; ``progress``
        is told (folds done, folds in all).

    Raises
    ------
    ArrayError
        When the penalty is not above 0.
    """
    _check_penalties([options.penalty])
    penalties = np.full((len(folds), len(rows.maps)), options.penalty, np.float64)
    return _predict(_Problem.of(rows), folds, penalties, options.progress)


def ridge_cv(rows: Rows, folds: NDArray[np.bool_], varying: NDArray[np.bool_], options: Options) -> RidgeFolds:
    """Predict as :func:`ridge` does, with each fold's penalty chosen on its own training images.

    The penalty is the one whose squared error, summed over sites, is smallest when each training image in turn is left
    out as well: it is taken out of the fit of all together with the fold's images, whose maps are never looked at.

    Parameters
    ----------
    rows, folds, varying
        As of :func:`ridge`.
    options : Options
        ``penalties`` to choose from; by default 1e-4 to 1e4 times the mean sum of squares of a centred channel (of all
        images: the features of a left-out image, never its maps, have a say in what there is to choose from).
        ``progress`` is told (penalties done, penalties in all).

    Raises
    ------
    ArrayError
        When a penalty is not above 0.
    """
    problem, penalties = _Problem.of(rows), options.penalties
    if penalties is None:
        mean_square = np.einsum("irc,irc->", problem.x, problem.x) / problem.x.shape[-1]
        penalties = RELATIVE_PENALTIES * (mean_square or 1)
    _check_penalties(penalties)
    candidates = np.asarray(penalties, dtype=np.float64)
    inner: dict[tuple[int, ...], list[tuple[int, int]]] = {}  # images left out at once: for which folds, to test which
    for fold, left_out in enumerate(folds):
        for image in np.flatnonzero(~left_out):
            together = tuple(np.union1d(np.flatnonzero(left_out), image).tolist())
            inner.setdefault(together, []).append((fold, together.index(image)))
    errors = np.zeros((len(candidates), len(folds), len(rows.maps)))
    for number, penalty in enumerate(candidates):
        smoother = _Smoother(problem, penalty)
        for images, tested in inner.items():
            squared = smoother.left_out(images) ** 2
            by_set = squared.reshape(len(images), squared.shape[1], len(rows.maps), -1).sum(axis=(1, 3))  # (image, set)
            for fold, place in tested:
                errors[number, fold] += by_set[place]
        options.progress(number + 1, len(candidates))
    return _predict(problem, folds, candidates[errors.argmin(axis=0)], uncounted)


class _Problem(NamedTuple):
    """Centred data in the basis of the features' principal directions."""

    x: NDArray[np.float64]  # (image, row, channel)
    y: NDArray[np.float64]  # (image, row, set * site)
    ones: NDArray[np.float64]  # (row,)
    means: NDArray[np.float64]  # of the maps, (set, site)
    basis: NDArray[np.float64]  # (image, row, direction)
    squares: NDArray[np.float64]  # (direction,)

    @classmethod
    def of(cls, rows: Rows) -> "_Problem":
        y, means, _ = centred(rows.maps, rows.ones)
        images, positions = y.shape[1:3]
        x = centred(rows.field[None], rows.ones)[0][0]
        return cls(x, y.transpose(1, 2, 0, 3).reshape(images, positions, -1), rows.ones, means, *_principal(x))


def _predict(
    problem: _Problem, folds: NDArray[np.bool_], penalties: NDArray[np.float64], progress: Steps
) -> RidgeFolds:
    """Predict the left-out images of each fold, with a penalty for each fold and set (fold, set)."""
    means = problem.means
    left_out = [np.empty((len(means), fold.sum(), problem.y.shape[1], means.shape[1])) for fold in folds]
    for penalty in np.unique(penalties):
        smoother = _Smoother(problem, penalty)
        for number in np.flatnonzero((penalties == penalty).any(axis=1)):
            images = np.flatnonzero(folds[number])
            predicted = problem.y[images] - smoother.left_out(tuple(images))
            by_set = predicted.reshape(*predicted.shape[:2], *means.shape).transpose(2, 0, 1, 3)
            chosen = penalties[number] == penalty
            left_out[number][chosen] = (by_set + problem.ones[:, None] * means[:, None, None])[chosen]
            progress(int(number) + 1, len(folds))
    channels = np.full(penalties.T.shape, problem.x.shape[-1])
    return RidgeFolds(tuple(left_out), channels, penalties.T)


class _Smoother:
    """The matrix I - H of a ridge regression in blocks, and the residual of the fit on all images."""

    def __init__(self, problem: _Problem, penalty: float) -> None:
        basis, squares, ones = problem.basis, problem.squares, problem.ones
        self.basis = basis
        self.complete = len(squares) == basis.shape[0] * basis.shape[1]
        if self.complete:  # the directions span all rows: what the penalty leaves of each, not a small difference
            self.weights = penalty / (squares + penalty)
        else:
            self.weights = -squares / (squares + penalty)
        self.constant = ones / np.sqrt(len(basis) * (ones @ ones))
        along = np.tensordot(basis, problem.y, axes=([0, 1], [0, 1]))  # (direction, column)
        self.residual = basis @ (self.weights[:, None] * along)  # y is centred, so the intercept fits nothing
        if not self.complete:
            self.residual = problem.y + self.residual
        self.blocks: dict[int, NDArray[np.float64]] = {}

    def left_out(self, images: tuple[int, ...]) -> NDArray[np.float64]:
        """Compute the errors at the rows of some images, (image, row, column), of the regression without them."""
        residual: NDArray[np.float64] = self.residual[list(images)]
        basis = self.basis[list(images)]
        flat = residual.reshape(-1, residual.shape[-1])
        if not self.complete and 2 * (len(self.weights) + 1) < len(flat):  # the block has a low rank:
            constant = np.broadcast_to(self.constant, basis.shape[:2])[..., None]
            factor = np.concatenate([basis * np.sqrt(-self.weights), constant], axis=-1).reshape(len(flat), -1)
            shift = np.linalg.solve(np.eye(factor.shape[1]) - factor.T @ factor, factor.T @ flat)
            residual += (factor @ shift).reshape(residual.shape)
            return residual
        block = np.empty((*basis.shape[:2], *basis.shape[:2]))
        for place, image in enumerate(images):
            block[place, :, place] = self.own(image)
            for before in range(place):
                across = self.rest(images[before], image)
                block[before, :, place], block[place, :, before] = across, across.T
        return np.linalg.solve(block.reshape(len(flat), len(flat)), flat).reshape(residual.shape)

    def rest(self, first: int, second: int) -> NDArray[np.float64]:
        block: NDArray[np.float64] = (self.basis[first] * self.weights) @ self.basis[second].T
        block -= np.outer(self.constant, self.constant)
        return block

    def own(self, image: int) -> NDArray[np.float64]:
        if image not in self.blocks:
            self.blocks[image] = self.rest(image, image) + np.eye(len(self.constant)) * (not self.complete)
        return self.blocks[image]


def _principal(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute orthonormal principal directions of the rows (image, row, direction), and the sums of squares.

    All that the rows have, also those without variance, where channels are no fewer than rows; else those that vary.
    """
    flat = x.reshape(-1, x.shape[-1])
    wide = flat.shape[1] >= len(flat)
    squares, directions = np.linalg.eigh(flat @ flat.T if wide else flat.T @ flat)
    squares = np.where(squares > EPS * max(flat.shape) * squares[-1], squares, 0)
    if not wide:
        squares, directions = squares[squares > 0], flat @ (directions[:, squares > 0] / np.sqrt(squares[squares > 0]))
    return directions.reshape(*x.shape[:2], -1), squares


def _check_penalties(penalties: ArrayLike) -> None:
    given = real_array(penalties, "penalties")
    if given.ndim != 1 or not len(given) or not (np.isfinite(given) & (given > 0)).all():
        raise ArrayError(f"The penalty is {penalties!r}.", "Give numbers above 0.")
