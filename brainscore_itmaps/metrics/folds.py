"""Fit a regression for every fold, and predict the images that the fold leaves out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, DataError, UsageError, nearest
from brainscore_itmaps.metrics.pls import fit_pls, published_direction
from brainscore_itmaps.metrics.ridge import ridge, ridge_cv
from brainscore_itmaps.metrics.rows import Options, Rows, real_array, rows_of
from brainscore_itmaps.progress import Steps, uncounted

COMPONENTS = 25
GROUPS = 7

Kind = Literal["single", "stacked", "sequence"]
"""How sets of maps were given: one, an array of several, several arrays."""


class Solution(Protocol):
    """The regressions fitted by a solver, one for each fold and set."""

    @property
    def components(self) -> NDArray[np.int64]:
        """Return the number of components used, shape (set, fold)."""

    @property
    def penalty(self) -> NDArray[np.float64] | None:
        """Return the penalty of a ridge regression, shape (set, fold)."""

    def predicted(self, fold: int, number: int) -> NDArray[np.float64]:
        """Predict the images that a fold leaves out, for one set: shape (image left out, row, site)."""

    def coefficients(self, number: int) -> NDArray[np.float64]:
        """Return the weights of the features for one set, shape (fold, channel, site)."""

    def select(self, folds: NDArray[np.int64]) -> "Solution":
        """Select some of the folds."""


Solver = Callable[[Rows, NDArray[np.bool_], NDArray[np.bool_], Options], Solution]
"""From rows, the images that each fold leaves out (fold, image) and the sites that vary on the others
(set, fold, site). A solver must be linear in the rows: of an enlarged field they are not positions."""

SOLVERS: dict[str, Solver] = {
    "pls": fit_pls,
    "nipals": partial(fit_pls, direction=published_direction),
    "ridge": ridge,
    "ridge_cv": ridge_cv,
}


def leave_one_out(images: int) -> NDArray[np.bool_]:
    """Leave each image out in turn, shape (fold, image)."""
    return np.eye(images, dtype=bool)


def groups_left_out(images: int, groups: int = GROUPS) -> NDArray[np.bool_]:
    """Leave each group of images out in turn, shape (fold, image); image k is in group k modulo ``groups``.

    There are no more groups than images.

    Raises
    ------
    ArrayError
        With fewer than 2 groups.
    """
    if groups < 2 or images < 2:
        raise ArrayError(f"{images} images cannot be left out in {groups} groups.", "Request at least 2 groups.")
    groups = min(groups, images)
    alone: NDArray[np.bool_] = np.arange(groups)[:, None] == np.arange(images) % groups
    return alone


def pairs_of_groups(images: int, groups: int = GROUPS) -> NDArray[np.bool_]:
    """Leave every two groups of images out together, shape (fold, image): used to choose a layer.

    Groups are those of :func:`groups_left_out`. Of up to 7 images every two images are left out, of 14 every two pairs.

    Raises
    ------
    DataError
        With fewer than 4 images.
    ArrayError
        With fewer than 3 groups.
    """
    if images < 4:
        raise DataError(
            f"A layer cannot be chosen on the training images of {images} images.",
            "Name one layer, or give 4 images or more.",
        )
    if groups < 3:
        raise ArrayError(f"Pairs of {groups} groups leave no image to fit on.", "Request at least 3 groups.")
    alone = groups_left_out(images, groups)
    return np.stack([one | other for one, other in combinations(alone, 2)])


@dataclass(frozen=True, eq=False, repr=False)
class FittedFolds:
    """Regressions fitted by :func:`fit_folds`; predictions are computed on demand.

    Attributes
    ----------
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out.
    components : array, shape (fold,), or (set, fold) for several sets
        PLS components used; of a ridge regression, which uses them all, the channels.
    penalty : array, shape (fold,) or (set, fold), or None
        Of the ridge regression; None for PLS.
    """

    folds: NDArray[np.bool_]
    components: NDArray[np.int64]
    penalty: NDArray[np.float64] | None
    _solution: Solution
    _rows: Rows
    _grid: tuple[int, int]
    _known: tuple[NDArray[np.bool_], ...]  # sites without a missing value, one array a set
    _varying: NDArray[np.bool_]  # (set, fold, site), on the images that remain
    _low: NDArray[np.float64]  # (set, fold, site), of the images that remain
    _kind: Kind
    _intercept: bool

    def of(self, fold: int, set: int = 0) -> NDArray[np.float64]:
        """Predict the images that one fold leaves out, in their order: shape (image left out, y, x, site).

        In the units of the maps; NaN for sites of which a value is missing.
        """
        predicted = self._rows.to_positions(self._solution.predicted(fold, set))
        if self._intercept:
            predicted = np.where(self._varying[set, fold], predicted, self._low[set, fold])
        known = self._known[set]
        return _spread(predicted, known).reshape(len(predicted), *self._grid, len(known))

    @cached_property
    def predicted(self) -> Any:
        """Predict each image by the one fold that leaves it out.

        Shape (image, y, x, site) for maps of that shape, (set, image, y, x, site) for stacked sets, a tuple of arrays
        (image, y, x, site) for a sequence.

        Raises
        ------
        ArrayError
            When an image is left out by no fold, or by several.
        """
        times = self.folds.sum(axis=0)
        if (times != 1).any():
            told = "; ".join(
                f"{number} folds leave out image {', '.join(map(str, np.flatnonzero(times == number)))}"
                for number in np.unique(times[times != 1])
            )
            raise ArrayError(f"Not every image has one prediction: {told}.", "Ask for the folds one by one.")
        sets = []
        for number, known in enumerate(self._known):
            predicted = np.empty((self.folds.shape[1], *self._grid, len(known)))
            for fold, left_out in enumerate(self.folds):
                predicted[left_out] = self.of(fold, number)
            sets.append(predicted)
        return self._of_kind(sets)

    def coefficients(self) -> Any:
        """Return the weights of the features, without the intercept: the prediction is linear in them.

        Shape (fold, channel, site), with a leading axis for stacked sets, a tuple of arrays for a sequence; NaN for
        sites of which a value is missing.

        Raises
        ------
        UsageError
            For a ridge regression, which keeps none.
        """
        return self._of_kind(
            [_spread(self._solution.coefficients(number), known) for number, known in enumerate(self._known)]
        )

    def select(self, folds: slice | ArrayLike) -> "FittedFolds":
        """Select some of the folds, by a slice or an array of their numbers, without fitting again."""
        numbers = np.atleast_1d(np.arange(len(self.folds))[folds])  # type: ignore[index]
        return replace(
            self,
            folds=self.folds[numbers],
            components=self.components[..., numbers],
            penalty=None if self.penalty is None else self.penalty[..., numbers],
            _solution=self._solution.select(numbers),
            _varying=self._varying[:, numbers],
            _low=self._low[:, numbers],
        )

    def _of_kind(self, sets: list[NDArray[np.float64]]) -> Any:
        if self._kind == "sequence":
            return tuple(sets)
        return sets[0] if self._kind == "single" else np.stack(sets)


def fit_folds(
    field: ArrayLike,
    maps: ArrayLike | Sequence[ArrayLike],
    folds: ArrayLike,
    method: str = "pls",
    *,
    components: int = COMPONENTS,
    penalty: float = 1.0,
    penalties: ArrayLike | None = None,
    intercept: bool = True,
    progress: Steps = uncounted,
) -> FittedFolds:
    """Fit a regression for every fold, on the images that it does not leave out.

    One sample is one grid position of one image; all sites of a set are targets at once. Computed in float64. A field
    that was enlarged from a smaller map is reduced to the rows of that map first, which changes nothing but the time.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features at the recording's grid, of any shape, from 3 images on.
    maps : array, shape (image, y, x, site) or (set, image, y, x, site), or sequence of arrays (image, y, x, site)
        What to predict. Several sets (windows or arrays, say; those of a sequence may differ in their sites) are each
        given a regression of their own in one pass. A site with a NaN is left out of the fit of its set, and predicted
        as NaN.
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out: one image each, groups, overlapping ones. At least two images remain.
    method : str
        ``pls``: partial least squares, centred, unscaled, inner problem solved exactly: what scikit-learn's
        ``PLSRegression(components, scale=False)`` converges to. ``nipals``: the published iteration
        (Linsley et al. 2023), which stops earlier. ``ridge``: scikit-learn's ``Ridge(penalty)``. ``ridge_cv``: the
        penalty of each fold chosen by leaving out its training images in turn.
    components : int
        PLS components, 25 as published. A fold uses no more than its channels and their numerical rank, nor any that
        come after the maps are explained to rounding; the result says how many.
    penalty : float
        Of ``ridge``.
    penalties : array, optional
        For ``ridge_cv`` to choose from; by default 1e-4 to 1e4 times the mean sum of squares of a centred channel.
    intercept : bool
        Of PLS. False predicts features times coefficients, as the published code does: one constant per site and fold
        is missing, so the values are not in the units of the maps.
    progress : callable
        Told (steps done, steps in all).

    Raises
    ------
    ArrayError
        A ValueError: when image and grid of the arrays differ, when there are fewer than 3 images, no channels, no
        sites or no positions, when a feature is not finite or a map infinite, when a fold keeps fewer than two images,
        or an option is out of range.
    UsageError
        When the method is not known.
    """
    if not isinstance(method, str) or method not in SOLVERS:
        raise UsageError(f"There is no regression named {method!r}.", nearest(str(method), SOLVERS))
    if not isinstance(components, int | np.integer) or isinstance(components, bool) or components < 1:
        raise ArrayError(f"{components!r} components were requested.", "Request a whole number of at least 1.")
    given = real_array(field, "field")
    kind, arrays = _sets(given, maps)
    leaves = _checked_folds(folds, len(given))
    known = tuple(np.isfinite(array).all(axis=(0, 1, 2)) for array in arrays)
    sets = np.zeros((len(arrays), *given.shape[:3], max(1, *(int(sites.sum()) for sites in known))))
    for number, (array, sites) in enumerate(zip(arrays, known, strict=True)):
        sets[number, ..., : sites.sum()] = array[..., sites]
    varying, low = _varying(sets, leaves)
    rows = rows_of(given.astype(np.float64, copy=False), sets)
    options = Options(int(components), penalty, penalties, intercept, progress)
    solution = SOLVERS[method](rows, leaves, varying, options)
    fitted = np.array([[sites.any()] for sites in known])
    used = np.where(fitted, solution.components, 0)
    shrunk = None if solution.penalty is None else np.where(fitted, solution.penalty, np.nan)
    if kind == "single":
        used, shrunk = used[0], None if shrunk is None else shrunk[0]
    height, width = given.shape[1:3]
    return FittedFolds(leaves, used, shrunk, solution, rows, (height, width), known, varying, low, kind, intercept)


@dataclass(frozen=True)
class LeftOut:
    """Predictions of left-out images; unpacks into ``predicted, components``.

    Attributes
    ----------
    predicted : array, shape of the maps
        In the units of the maps; NaN for sites of which a value is missing.
    components : array, shape (image,) or (set, image)
        PLS components used when that image was left out; of a ridge regression, which uses them all, the channels.
    penalty : array, shape (image,) or (set, image), or None
        Of the ridge regression; None for PLS.
    """

    predicted: NDArray[np.float64]
    components: NDArray[np.int64]
    penalty: NDArray[np.float64] | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.predicted, self.components))


def predict_left_out(
    field: ArrayLike,
    maps: ArrayLike,
    method: str = "pls",
    *,
    components: int = COMPONENTS,
    penalty: float = 1.0,
    penalties: ArrayLike | None = None,
    intercept: bool = True,
    progress: Steps = uncounted,
) -> LeftOut:
    """Predict every image from a regression that was fitted on all other images.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features at the recording's grid, of any shape, from 3 images on.
    maps : array, shape (image, y, x, site), or (set, image, y, x, site)
        What to predict. Several sets (windows in time, say) are each given a regression of their own in one pass. A
        site with a NaN is left out of the fit of its set, and predicted as NaN.
    method, components, penalty, penalties, intercept, progress
        As in :func:`~brainscore_itmaps.metrics.folds.fit_folds`: ``pls``, ``nipals``, ``ridge`` or ``ridge_cv``, and
        its options.

    Raises
    ------
    ArrayError
        A ValueError: when image and grid of the two arrays differ, when there are fewer than 3 images, no channels, no
        sites or no positions, when a feature is not finite or a map infinite, or an option is out of range.
    UsageError
        When the method is not known.

    Examples
    --------
    Five images at 4 x 3 positions; two sites that are sums of the eight features are predicted exactly:

    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(5, 4, 3, 8))
    >>> maps = field @ rng.normal(size=(8, 2))
    >>> predicted, components = predict_left_out(field, maps, components=8)
    >>> bool(np.allclose(predicted, maps))
    True
    """
    given = real_array(field, "field")
    fitted = fit_folds(
        given,
        real_array(maps, "maps"),
        leave_one_out(len(given) if given.ndim else 0),
        method,
        components=components,
        penalty=penalty,
        penalties=penalties,
        intercept=intercept,
        progress=progress,
    )
    return LeftOut(fitted.predicted, fitted.components, fitted.penalty)


def _spread(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Place the fitted sites among all sites, along the last axis."""
    spread = np.full((*values.shape[:-1], len(known)), np.nan)
    spread[..., known] = values[..., : known.sum()]
    return spread


def _varying(sets: NDArray[np.float64], folds: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Find the sites that vary on the remaining images, and their lowest values; both of shape (set, fold, site)."""
    flat = sets.reshape(*sets.shape[:2], -1, sets.shape[-1])  # (set, image, position, site)
    low, high = (
        np.stack([extreme(edges[:, ~fold], axis=1) for fold in folds], axis=1)
        for extreme, edges in ((np.min, flat.min(axis=2)), (np.max, flat.max(axis=2)))
    )
    return high > low, low


def _sets(field: NDArray[Any], maps: ArrayLike | Sequence[ArrayLike]) -> tuple[Kind, list[NDArray[Any]]]:
    """Check field and maps, and split the maps into sets."""
    if isinstance(maps, list | tuple) and any(np.ndim(array) == 4 for array in maps if isinstance(array, np.ndarray)):
        arrays = [real_array(array, "maps") for array in maps]
        for array in arrays:
            _check_input(field, array, sets=False)
        return "sequence", arrays
    targets = real_array(maps, "maps")  # type: ignore[arg-type]
    _check_input(field, targets)
    return ("single", [targets]) if targets.ndim == 4 else ("stacked", list(targets))


def _checked_folds(folds: ArrayLike, images: int) -> NDArray[np.bool_]:
    leaves = np.asarray(folds)
    if leaves.dtype != bool or leaves.ndim != 2 or leaves.shape[1] != images or not len(leaves):
        raise ArrayError(
            f"The folds are {leaves.dtype} of shape {leaves.shape}.",
            f"Give True for what a fold leaves out, shape (fold, {images} images).",
        )
    if ((~leaves).sum(axis=1) < 2).any():
        raise ArrayError("A fold has fewer than 2 training images.", "Give more images, or leave out fewer.")
    return leaves


def _check_input(field: NDArray[Any], maps: NDArray[Any], sets: bool = True) -> None:
    if field.ndim != 4 or maps.ndim not in (4, 5)[: 1 + sets] or field.shape[:3] != maps.shape[-4:-1]:
        raise ArrayError(
            f"The field {field.shape} and the maps {maps.shape} must share image, y and x.",
            "Give (image, y, x, channel) and (image, y, x, site), or (set, image, y, x, site).",
        )
    if len(field) < 3:
        raise ArrayError(f"Leaving one image out needs at least 3 images, not {len(field)}.", "Give more images.")
    if 0 in field.shape or 0 in maps.shape:
        raise ArrayError(f"The field {field.shape} or the maps {maps.shape} are empty.", "Nothing can be fitted.")
    if np.isinf(maps).any():
        raise ArrayError(
            f"{int(np.isinf(maps).sum())} values of the maps are infinite; they must be finite.",
            "Give NaN for what is missing.",
        )
