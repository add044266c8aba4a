"""Fit ridge regressions over folds of images in closed form, from one fit on all images.

A ridge regression with an unpenalised intercept is a linear smoother: fitted maps are H maps. Its predictions for
left-out rows follow from the block of H that belongs to them, without another fit:
maps - (I - H_block)^-1 (maps - H maps).
"""

from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.rows import EPS, Options, Rows, centred, real_array
from brainscore_itmaps.progress import Steps, uncounted
from brainscore_itmaps.text import short_repr

RELATIVE_PENALTIES = np.logspace(-4, 4, 9)


@short_repr
class RidgeFolds(NamedTuple):
    """Ridge regressions, one for each fold and set.

    Attributes
    ----------
    left_out : tuple of arrays, shape (set, image left out, row, site)
        Predictions of each fold.
    components : array, shape (set, fold)
        Number of channels; all are used.
    penalty : array, shape (set, fold)
        Penalty of each regression.
    """

    left_out: tuple[NDArray[np.float64], ...]
    components: NDArray[np.int64]
    penalty: NDArray[np.float64]

    def predicted(self, fold: int, set_index: int) -> NDArray[np.float64]:
        """Return the predictions of the images that a fold leaves out, for one set: (image left out, row, site)."""
        predicted: NDArray[np.float64] = self.left_out[fold][set_index]
        return predicted

    def coefficients(self, set_index: int) -> NoReturn:
        """Raise an error, because a smoother has no weights of the features.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError("Ridge regressions have no coefficients here.", 'Use method="pls" or "nipals".')

    def select(self, folds: NDArray[np.int64]) -> "RidgeFolds":
        """Select some of the folds."""
        return RidgeFolds(
            tuple(self.left_out[fold] for fold in folds), self.components[:, folds], self.penalty[:, folds]
        )


def ridge(rows: Rows, folds: NDArray[np.bool_], varying: NDArray[np.bool_], options: Options) -> RidgeFolds:
    """Predict the images that each fold leaves out from a ridge regression on all others.

    The result equals scikit-learn's ``Ridge(alpha=penalty)`` per fold, to rounding.

    Parameters
    ----------
    rows : Rows
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out.
    varying : array, shape (set, fold, site)
        Not used.
    options : Options
        ``penalty`` is added to the sums of squares of the centred channels, as scikit-learn's ``alpha``; ``progress``
        is called with (folds done, folds in all).

    Raises
    ------
    ArrayError
        When the penalty is not above 0.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.rows import rows_of
    >>> rng = np.random.default_rng(0)
    >>> rows = rows_of(rng.normal(size=(5, 4, 3, 8)), rng.normal(size=(1, 5, 4, 3, 2)))
    >>> folds, varying = np.eye(5, dtype=bool), np.ones((1, 5, 2), bool)
    >>> ridge(rows, folds, varying, Options(components=8, penalty=10.0)).predicted(0, 0).shape
    (1, 12, 2)
    """
    _check_penalties([options.penalty])
    penalties = np.full((len(folds), len(rows.maps)), options.penalty, np.float64)
    return _predict(_Problem.of(rows), folds, penalties, options.progress)


def ridge_cv(rows: Rows, folds: NDArray[np.bool_], varying: NDArray[np.bool_], options: Options) -> RidgeFolds:
    """Predict as :func:`ridge` does, with the penalty of each fold chosen by cross-validation on its training images.

    The chosen penalty has the smallest squared error, summed over sites, when each training image (or group of images)
    in turn is left out as well: it is removed from the fit on all images together with the fold's images, whose maps
    are never used.

    Parameters
    ----------
    rows, folds, varying
        As for :func:`ridge`.
    options : Options
        ``penalties`` to choose from; by default 1e-4 to 1e4 times the mean sum of squares of a centred channel (over
        all images: these candidates depend on the features of a left-out image, but never on its maps). ``tuning``
        are the images that are left out together; ``progress`` is called with (penalties done, penalties in all).

    Raises
    ------
    ArrayError
        When a penalty is not above 0.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.rows import rows_of
    >>> rng = np.random.default_rng(0)
    >>> rows = rows_of(rng.normal(size=(5, 4, 3, 8)), rng.normal(size=(1, 5, 4, 3, 2)))
    >>> folds, varying = np.eye(5, dtype=bool), np.ones((1, 5, 2), bool)
    >>> ridge_cv(rows, folds, varying, Options(components=8, penalties=[0.1, 1e4])).penalty.tolist()
    [[10000.0, 10000.0, 10000.0, 10000.0, 10000.0]]
    """
    problem, penalties = _Problem.of(rows), options.penalties
    if penalties is None:
        mean_square = np.einsum("irc,irc->", problem.x, problem.x) / problem.x.shape[-1]
        penalties = RELATIVE_PENALTIES * (mean_square or 1)
    _check_penalties(penalties)
    candidates = np.asarray(penalties, dtype=np.float64)
    tuning = np.eye(folds.shape[1], dtype=bool) if options.tuning is None else options.tuning
    inner: dict[tuple[int, ...], list[tuple[int, NDArray[np.bool_]]]] = {}  # images left out at once: (fold, tested)
    for fold, left_out in enumerate(folds):
        for unit in tuning[(tuning & ~left_out).any(axis=1)]:
            together = np.flatnonzero(left_out | unit)
            inner.setdefault(tuple(together.tolist()), []).append((fold, ~left_out[together]))
    errors = np.zeros((len(candidates), len(folds), len(rows.maps)))
    for candidate, penalty in enumerate(candidates):
        smoother = _Smoother(problem, penalty)
        for images, tests in inner.items():
            squared = smoother.left_out_errors(images) ** 2
            by_set = squared.reshape(len(images), squared.shape[1], len(rows.maps), -1).sum(axis=(1, 3))  # (image, set)
            for fold, tested in tests:
                errors[candidate, fold] += by_set[tested].sum(axis=0)
        options.progress(candidate + 1, len(candidates))
    return _predict(problem, folds, candidates[errors.argmin(axis=0)], uncounted)


class _Problem(NamedTuple):
    """Centred data in the basis of the features' principal directions."""

    x: NDArray[np.float64]  # (image, row, channel)
    y: NDArray[np.float64]  # (image, row, set * site)
    ones: NDArray[np.float64]  # (row,)
    means: NDArray[np.float64]  # of the maps: (set, site)
    offsets: NDArray[np.float64] | None  # (fold, row, set * site)
    basis: NDArray[np.float64]  # (image, row, direction)
    squares: NDArray[np.float64]  # (direction,)

    @classmethod
    def of(cls, rows: Rows) -> "_Problem":
        """Centre field and maps, and compute the principal directions of the field."""
        y, means, _ = centred(rows.maps, rows.ones)
        images, positions = y.shape[1:3]
        x = centred(rows.field[None], rows.ones, rows.own)[0][0]
        y = y.transpose(1, 2, 0, 3).reshape(images, positions, -1)
        offsets = rows.offsets
        if offsets is not None:
            offsets = offsets.transpose(1, 2, 0, 3).reshape(offsets.shape[1], positions, -1)
        return cls(x, y, rows.ones, means, offsets, *_principal(x))


def _predict(
    problem: _Problem, folds: NDArray[np.bool_], penalties: NDArray[np.float64], progress: Steps
) -> RidgeFolds:
    """Predict the left-out images of each fold, with one penalty per fold and set (fold, set)."""
    means = problem.means
    left_out = [np.empty((len(means), images, problem.y.shape[1], means.shape[1])) for images in folds.sum(axis=1)]
    for penalty in np.unique(penalties):
        smoother = _Smoother(problem, penalty)
        for fold in np.flatnonzero((penalties == penalty).any(axis=1)):
            images = np.flatnonzero(folds[fold])
            offset = None if problem.offsets is None else problem.offsets[fold]
            predicted = problem.y[images] - smoother.left_out_errors(tuple(images), offset)
            if offset is not None:
                predicted -= offset
            by_set = predicted.reshape(*predicted.shape[:2], *means.shape).transpose(2, 0, 1, 3)
            sets = penalties[fold] == penalty
            left_out[fold][sets] = (by_set + problem.ones[:, None] * means[:, None, None])[sets]
            progress(int(fold) + 1, len(folds))
    channels = np.full(penalties.T.shape, problem.x.shape[-1])
    return RidgeFolds(tuple(left_out), channels, penalties.T)


class _Smoother:
    """The matrix I - H of a ridge regression in blocks, and the residual of the fit on all images."""

    def __init__(self, problem: _Problem, penalty: float) -> None:
        basis, squares, ones = problem.basis, problem.squares, problem.ones
        self.basis = basis
        self.spans_rows = len(squares) == basis.shape[0] * basis.shape[1]
        if self.spans_rows:  # weights of I - H itself, because I minus the weights of H would lose digits
            self.weights = penalty / (squares + penalty)
        else:
            self.weights = -squares / (squares + penalty)
        self.constant = ones / np.sqrt(len(basis) * (ones @ ones))
        along = np.tensordot(basis, problem.y, axes=([0, 1], [0, 1]))  # (direction, column)
        self.residual = basis @ (self.weights[:, None] * along)  # y is centred, so the intercept fits nothing
        if not self.spans_rows:
            self.residual = problem.y + self.residual
        self.blocks: dict[int, NDArray[np.float64]] = {}

    def left_out_errors(
        self, images: tuple[int, ...], offset: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Compute the errors at the rows of some images, (image, row, column), of the regression without them.

        ``offset`` (row, column) is subtracted from the maps of every image.
        """
        residual: NDArray[np.float64] = self.residual[list(images)]
        if offset is not None:
            residual -= self.residual_of_offset(images, offset)
        basis = self.basis[list(images)]
        flat = residual.reshape(-1, residual.shape[-1])
        if not self.spans_rows and 2 * (len(self.weights) + 1) < len(flat):  # the block has a low rank
            constant = np.broadcast_to(self.constant, basis.shape[:2])[..., None]
            factor = np.concatenate([basis * np.sqrt(-self.weights), constant], axis=-1).reshape(len(flat), -1)
            shift = np.linalg.solve(np.eye(factor.shape[1]) - factor.T @ factor, factor.T @ flat)
            residual += (factor @ shift).reshape(residual.shape)
            return residual
        block = np.empty((*basis.shape[:2], *basis.shape[:2]))
        for column, image in enumerate(images):
            block[column, :, column] = self.diagonal_block(image)
            for row in range(column):
                pair = self.pair_block(images[row], image)
                block[row, :, column], block[column, :, row] = pair, pair.T
        return np.linalg.solve(block.reshape(len(flat), len(flat)), flat).reshape(residual.shape)

    def residual_of_offset(self, images: tuple[int, ...], offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the residuals of a map (row, column) that all images share, at the rows of some images."""
        ones = self.constant * np.sqrt(len(self.basis))  # of length 1
        deviation = offset - np.outer(ones, ones @ offset)
        along = self.basis.sum(axis=0).T @ deviation  # (direction, column)
        residual: NDArray[np.float64] = self.basis[list(images)] @ (self.weights[:, None] * along)
        return residual if self.spans_rows else residual + deviation

    def pair_block(self, first: int, second: int) -> NDArray[np.float64]:
        """Compute the block of I - H for the rows of two images; for one image, still without I."""
        block: NDArray[np.float64] = (self.basis[first] * self.weights) @ self.basis[second].T
        block -= np.outer(self.constant, self.constant)
        return block

    def diagonal_block(self, image: int) -> NDArray[np.float64]:
        """Return the block of I - H for the rows of one image, computed once."""
        if image not in self.blocks:
            self.blocks[image] = self.pair_block(image, image) + np.eye(len(self.constant)) * (not self.spans_rows)
        return self.blocks[image]


def _principal(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute orthonormal principal directions of the rows (image, row, direction), and the sums of squares.

    If there are at least as many channels as rows, the directions span all rows; else only those with variance.
    """
    flat = x.reshape(-1, x.shape[-1])
    wide = flat.shape[1] >= len(flat)
    squares, directions = np.linalg.eigh(flat @ flat.T if wide else flat.T @ flat)
    squares = np.where(squares > EPS * max(flat.shape) * squares[-1], squares, 0)
    if not wide:
        squares, directions = squares[squares > 0], flat @ (directions[:, squares > 0] / np.sqrt(squares[squares > 0]))
    return directions.reshape(*x.shape[:2], -1), squares


def _check_penalties(penalties: ArrayLike) -> None:
    array = real_array(penalties, "penalties")
    if array.ndim != 1 or not len(array) or not (np.isfinite(array) & (array > 0)).all():
        raise ArrayError(f"The penalties are {penalties!r}.", "Give numbers above 0.")
