"""Build folds of images, fit a regression for every fold, and predict the images that the fold leaves out."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, DataError, UsageError, check_choice, nearest
from brainscore_itmaps.metrics.pls import PLSFolds, fit_pls, published_direction
from brainscore_itmaps.metrics.ridge import ridge, ridge_cv
from brainscore_itmaps.metrics.rows import Enlarged, Options, Rows, real_array, rows_of
from brainscore_itmaps.progress import Steps, shows_count, uncounted
from brainscore_itmaps.text import short_repr

COMPONENTS = 25
GROUPS = 7
"""Number of groups of images that are left out for an interval and for the choice of a layer."""
FEWEST = 3
"""Fewest different images of which one can be left out."""
FEWEST_REFITTED = 4
"""Fewest different images of which pairs of groups can be left out."""
MOST_SINGLE = 32
"""Most different images that are left out one at a time; more are left out in groups."""
AT_ONCE = 1 << 20
"""Numbers of predicted maps that are evaluated at once."""
REMEMBERED = 1 << 23
"""Most numbers of predictions that are kept for several uses."""
FOLD_GROUPS = 2 * GROUPS
"""Number of groups in which more images are left out: each of the groups of an interval is two of these."""

Kind = Literal["single", "stacked", "sequence"]
"""Form of the maps: one set, an array of stacked sets, or a sequence of arrays."""


class Solution(Protocol):
    """The regressions fitted by a solver, one for each fold and set."""

    @property
    def components(self) -> NDArray[np.int64]:
        """Return the number of components used, shape (set, fold)."""

    @property
    def penalty(self) -> NDArray[np.float64] | None:
        """Return the penalty of a ridge regression, shape (set, fold)."""

    def predicted(self, fold: int, set_index: int) -> NDArray[np.float64]:
        """Predict the images that a fold leaves out, for one set: shape (image left out, row, site)."""

    def coefficients(self, set_index: int) -> NDArray[np.float64]:
        """Return the weights of the features for one set, shape (fold, channel, site)."""

    def select(self, folds: NDArray[np.int64]) -> "Solution":
        """Select some of the folds."""


class Predictions(Protocol):
    """Predictions of the images that folds leave out; :class:`FittedFolds` computes them."""

    @property
    def folds(self) -> NDArray[np.bool_]:
        """Return the images that each fold leaves out, shape (fold, image)."""

    def of(self, fold: int, set: int = 0) -> NDArray[np.float64]:
        """Predict the images that one fold leaves out, in their order: shape (image left out, y, x, site)."""


Solver = Callable[[Rows, NDArray[np.bool_], NDArray[np.bool_], Options], Solution]
"""Function of the rows, the images that each fold leaves out (fold, image), the sites that vary on the remaining
images (set, fold, site) and the options. It must be linear in the rows: those of an enlarged field are not
positions."""

SOLVERS: dict[str, Solver] = {
    "pls": fit_pls,
    "nipals": partial(fit_pls, direction=published_direction),
    "ridge": ridge,
    "ridge_cv": ridge_cv,
}


def device_of_fits(device: str) -> str:
    """Return the device of regressions for a model on a device: a GPU with double precision, or "" for the processor.

    Examples
    --------
    >>> device_of_fits("cuda:0"), device_of_fits("mps"), device_of_fits("cpu")
    ('cuda:0', '', '')
    """
    return device if device.startswith("cuda") else ""


def number_images(images: int | Iterable[Hashable]) -> NDArray[np.int64]:
    """Assign numbers to the different images in the order of their first appearance.

    Parameters
    ----------
    images : int or sequence
        Number of images, all of them different; or for each image a label that identical images share.

    Returns
    -------
    array of int, shape (image,)
        Identical images have the same number.

    Examples
    --------
    >>> number_images(["cat", "dog", "cat", "owl"]).tolist()
    [0, 1, 0, 2]
    """
    if isinstance(images, int | np.integer):
        return np.arange(images)
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in images], np.int64)


def leave_one_out(images: int | Iterable[Hashable]) -> NDArray[np.bool_]:
    """Build folds that leave out each image in turn, identical images together; shape (fold, image).

    ``images`` is that of :func:`number_images`.

    Examples
    --------
    >>> leave_one_out(3).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    >>> leave_one_out(["cat", "dog", "cat"]).astype(int).tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    numbers = number_images(images)
    folds: NDArray[np.bool_] = np.unique(numbers)[:, None] == numbers
    return folds


def groups_left_out(images: int | Iterable[Hashable], groups: int = GROUPS) -> NDArray[np.bool_]:
    """Build folds that leave out each group of images in turn, shape (fold, image).

    The different image k is in group k modulo ``groups``, with all images that are identical to it; there are no more
    groups than different images. ``images`` is that of :func:`number_images`.

    Raises
    ------
    ArrayError
        With fewer than 2 groups or different images.

    Examples
    --------
    >>> groups_left_out(5, groups=2).astype(int).tolist()
    [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    >>> groups_left_out(["cat", "cat", "dog", "owl"], groups=2).astype(int).tolist()
    [[1, 1, 0, 1], [0, 0, 1, 0]]
    """
    numbers = number_images(images)
    different = len(np.unique(numbers))
    if groups < 2 or different < 2:
        raise ArrayError(f"{different} images cannot be left out in {groups} groups.", "Request at least 2 groups.")
    groups = min(groups, different)
    folds: NDArray[np.bool_] = np.arange(groups)[:, None] == numbers % groups
    return folds


def score_folds(images: int | Iterable[Hashable]) -> NDArray[np.bool_]:
    """Build the folds of a score, which leave out every image once; shape (fold, image).

    Up to 32 different images are left out in turn (:func:`leave_one_out`), more in 14 groups
    (:func:`groups_left_out`). Identical images are always left out together. Each of the 7 groups that are left out for
    an interval consists of whole folds. ``images`` is that of :func:`number_images`.

    Examples
    --------
    >>> score_folds(5).shape, score_folds(32).shape, score_folds(33).shape
    ((5, 5), (32, 32), (14, 33))
    """
    numbers = number_images(images)
    single = len(np.unique(numbers)) <= MOST_SINGLE
    return leave_one_out(numbers) if single else groups_left_out(numbers, FOLD_GROUPS)


def pairs_of_groups(images: int | Iterable[Hashable], groups: int = GROUPS) -> NDArray[np.bool_]:
    """Build folds that leave out every two groups of images together, shape (fold, image).

    They serve to choose a layer, and to compute scores without each group (:func:`refitted`).

    Groups are those of :func:`groups_left_out`: up to 7 images are left out two at a time, 14 images four at a time.

    Raises
    ------
    DataError
        With fewer than 4 different images.
    ArrayError
        With fewer than 3 groups.

    Examples
    --------
    >>> pairs_of_groups(4, groups=3).astype(int).tolist()
    [[1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 0]]
    """
    numbers = number_images(images)
    if (different := len(np.unique(numbers))) < FEWEST_REFITTED:
        raise DataError(
            f"A layer cannot be chosen on the training images of {different} "
            f"{'different ' * (different < len(numbers))}images.",
            f"Name one layer, or give {FEWEST_REFITTED} different images or more.",
        )
    if groups < 3:
        raise ArrayError(f"Pairs of {groups} groups leave no image to fit on.", "Request at least 3 groups.")
    single = groups_left_out(numbers, groups)
    return np.stack([first | second for first, second in combinations(single, 2)])


def refitted(
    pairs: Predictions,
    maps: NDArray[Any],
    values: Callable[[NDArray[np.float64], NDArray[Any]], NDArray[np.float64]],
    set: int = 0,
) -> NDArray[np.float64]:
    """Compute the values of images without each group, from regressions that are fitted without that group.

    Parameters
    ----------
    pairs : FittedFolds or Predictions
        Regressions fitted to the folds of :func:`pairs_of_groups`, or their predictions.
    maps : array, shape (image, y, x, site)
    values : callable
        Function of the predicted and recorded maps of some images; its result has these images as first axis.
    set : int
        Index of the set of maps, where the regressions were fitted to several.

    Returns
    -------
    array, shape (group, image, ...)
        Entry (g, i) is the value of image i, predicted by a regression that was fitted without group g and without the
        group of i. NaN for the images of group g.

    Raises
    ------
    ArrayError
        When ``pairs`` has other folds.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.predictivity import site_correlation
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(4, 5, 6, 3))
    >>> maps = field @ rng.normal(size=(3, 2))
    >>> fitted = fit_folds(field, maps, pairs_of_groups(4))
    >>> refitted(fitted, maps, site_correlation)[..., 0].round(3)
    array([[nan,  1.,  1.,  1.],
           [ 1., nan,  1.,  1.],
           [ 1.,  1., nan,  1.],
           [ 1.,  1.,  1., nan]])
    """
    if pairs.folds.shape[1] != len(maps):
        raise ArrayError(_not_pairs(len(maps)), "Fit the folds that pairs_of_groups returns.")
    of_folds: list[NDArray[np.float64]] = []
    for folds in several_folds(pairs.folds, maps[0].size):
        images = [np.flatnonzero(pairs.folds[fold]) for fold in folds]
        predicted = np.concatenate([pairs.of(fold, set) for fold in folds])
        of_images = values(predicted, maps[np.concatenate(images)])
        of_folds += np.split(of_images, np.cumsum([len(each) for each in images])[:-1])
    return values_without_groups(pairs.folds, of_folds.__getitem__)


def several_folds(folds: NDArray[np.bool_], size: int) -> list[NDArray[np.int64]]:
    """Divide folds into parts that are evaluated at once, by the size of the maps of an image.

    Examples
    --------
    >>> several_folds(pairs_of_groups(4), size=17 * 17 * 32)
    [array([0, 1, 2, 3, 4, 5])]
    """
    parts = min(len(folds), 1 + int(folds.sum()) * size // AT_ONCE)
    return np.array_split(np.arange(len(folds)), parts)


class _Remembered:
    """Predictions of one set that are computed once; see :func:`remembered`."""

    def __init__(self, fitted: "FittedFolds", number: int) -> None:
        self.folds = fitted.folds
        ends = np.cumsum(fitted.folds.sum(axis=1))[:-1]
        self._predicted = np.split(fitted.of_several(np.arange(len(fitted.folds)), number), ends)

    def of(self, fold: int, set: int = 0) -> NDArray[np.float64]:
        return self._predicted[fold]


def remembered(fitted: "FittedFolds", number: int) -> Predictions:
    """Compute the predictions of one set for several uses, unless they take much memory.

    Parameters
    ----------
    fitted : FittedFolds
    number : int
        Index of the set of maps.

    Returns
    -------
    Predictions
        Of this set alone where they are remembered, so ``of`` must be called for it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(4, 5, 6, 3))
    >>> fitted = fit_folds(field, field @ rng.normal(size=(3, 2)), pairs_of_groups(4))
    >>> remembered(fitted, 0).of(1).shape
    (2, 5, 6, 2)
    """
    sites = fitted._complete[number].size
    numbers = int(fitted.folds.sum()) * fitted._grid[0] * fitted._grid[1] * sites
    return _Remembered(fitted, number) if numbers <= REMEMBERED else fitted


def values_without_groups(
    folds: NDArray[np.bool_], values: Callable[[int], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Arrange the values of images that folds of pairs of groups leave out, as :func:`refitted` does.

    Parameters
    ----------
    folds : array of bool, shape (fold, image)
        From :func:`pairs_of_groups`.
    values : callable
        Takes the number of a fold; returns the values of the images that it leaves out, with these as first axis.

    Returns
    -------
    array, shape (group, image, ...)

    Raises
    ------
    ArrayError
        For other folds.

    Examples
    --------
    >>> values_without_groups(pairs_of_groups(4), lambda fold: np.full(2, fold))
    array([[nan,  0.,  1.,  2.],
           [ 0., nan,  3.,  4.],
           [ 1.,  3., nan,  5.],
           [ 2.,  4.,  5., nan]])
    """
    single = _groups_of_pairs(folds)
    if single is None:
        raise ArrayError(_not_pairs(folds.shape[1]), "Fit the folds that pairs_of_groups returns.")
    result: NDArray[np.float64] | None = None
    for fold, (first, second) in enumerate(combinations(range(len(single)), 2)):
        left_out, fold_values = folds[fold], values(fold)
        if result is None:
            result = np.full((*single.shape, *fold_values.shape[1:]), np.nan)
        result[first, single[second]] = fold_values[single[second][left_out]]
        result[second, single[first]] = fold_values[single[first][left_out]]
    assert result is not None
    return result


def _not_pairs(images: int) -> str:
    return f"These folds do not leave out every two groups of the {images} images once."


def _groups_of_pairs(pairs: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the groups (group, image) whose pairs folds leave out; None for other folds."""
    groups = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)  # n groups have n (n - 1) / 2 pairs
    members = list(combinations(range(groups), 2))
    if groups < 3 or len(members) != len(pairs):
        return None
    single = np.stack([pairs[[group in pair for pair in members]].all(axis=0) for group in range(groups)])
    whole = (single.sum(axis=0) == 1).all() and single.any(axis=1).all()
    made = np.stack([first | second for first, second in combinations(single, 2)])
    return single if whole and np.array_equal(made, pairs) else None


@short_repr
@dataclass(frozen=True, eq=False, repr=False)
class FittedFolds:
    """Regressions fitted by :func:`fit_folds`; predictions are computed on demand.

    Attributes
    ----------
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out.
    components : array, shape (fold,), or (set, fold) for several sets
        Number of PLS components used; for a ridge regression, the number of channels.
    penalty : array, shape (fold,) or (set, fold), or None
        Penalty of the ridge regression; None for PLS.
    """

    folds: NDArray[np.bool_]
    components: NDArray[np.int64]
    penalty: NDArray[np.float64] | None
    _solution: Solution
    _rows: Rows
    _grid: tuple[int, int]
    _complete: tuple[NDArray[np.bool_], ...]  # (site,) per set: True without missing values
    _varying: NDArray[np.bool_]  # (set, fold, site), on the remaining images
    _lowest: NDArray[np.float64]  # (set, fold, site), on the remaining images
    _kind: Kind
    _intercept: bool
    _offsets: tuple[NDArray[np.float64], ...] | None = None  # (fold, y, x, site) per set

    def of(self, fold: int, set: int = 0) -> NDArray[np.float64]:
        """Predict the images that one fold leaves out, in their order: shape (image left out, y, x, site).

        Predictions are in the units of the maps, and NaN for sites with a missing value.
        """
        return self._maps(self._rows.to_positions(self._solution.predicted(fold, set)), fold, set)

    def _maps(self, predicted: NDArray[np.float64], fold: int, set: int) -> NDArray[np.float64]:
        """Arrange the predictions of a fold, (image left out, position, complete site), as maps."""
        if self._intercept:
            predicted = np.where(self._varying[set, fold], predicted, self._lowest[set, fold])
        complete = self._complete[set]
        maps = _insert_nan_sites(predicted, complete).reshape(len(predicted), *self._grid, len(complete))
        return maps if self._offsets is None else maps + self._offsets[set][fold]

    def images_of(self, folds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the images that some folds leave out, one fold after the other."""
        return np.nonzero(self.folds[folds])[1]

    def of_several(self, folds: NDArray[np.int64], set: int = 0) -> NDArray[np.float64]:
        """Predict the images that some folds leave out, as :meth:`of` does; in the order of :meth:`images_of`."""
        if not isinstance(self._solution, PLSFolds) or not self._intercept:
            return np.concatenate([self.of(fold, set) for fold in folds])
        predicted = self._solution.predicted_several(folds, set)
        return np.concatenate(
            [self._maps(self._rows.to_positions(rows), fold, set) for rows, fold in zip(predicted, folds, strict=True)]
        )

    def per_image(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give each image the value (..., fold) of the fold that leaves it out, shape (..., image)."""
        spread: NDArray[Any] = values[..., self.folds.argmax(axis=0)]
        return spread

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
            counts = "; ".join(
                f"{count} folds leave out image {', '.join(map(str, np.flatnonzero(times == count)))}"
                for count in np.unique(times[times != 1])
            )
            raise ArrayError(f"Not every image has one prediction: {counts}.", "Predict each fold with of(fold).")
        sets = []
        for set_index, complete in enumerate(self._complete):
            predicted = np.empty((self.folds.shape[1], *self._grid, len(complete)))
            for fold, left_out in enumerate(self.folds):
                predicted[left_out] = self.of(fold, set_index)
            sets.append(predicted)
        return self._of_kind(sets)

    def coefficients(self) -> Any:
        """Return the weights of the features, without the intercept: the prediction is linear in them.

        Shape (fold, channel, site), with a leading axis for stacked sets, a tuple of arrays for a sequence; NaN for
        sites with a missing value.

        Raises
        ------
        UsageError
            For a ridge regression, which has no coefficients.
        """
        return self._of_kind(
            [
                _insert_nan_sites(self._solution.coefficients(set_index), complete)
                for set_index, complete in enumerate(self._complete)
            ]
        )

    def select(self, folds: slice | ArrayLike) -> "FittedFolds":
        """Select some of the folds, by a slice or an array of their indices, without fitting again."""
        indices = np.atleast_1d(np.arange(len(self.folds))[folds])  # type: ignore[index]
        return replace(
            self,
            folds=self.folds[indices],
            components=self.components[..., indices],
            penalty=None if self.penalty is None else self.penalty[..., indices],
            _solution=self._solution.select(indices),
            _varying=self._varying[:, indices],
            _lowest=self._lowest[:, indices],
            _offsets=None if self._offsets is None else tuple(offsets[indices] for offsets in self._offsets),
        )

    def _of_kind(self, sets: list[NDArray[np.float64]]) -> Any:
        """Return the arrays of all sets in the form of the maps."""
        if self._kind == "sequence":
            return tuple(sets)
        return sets[0] if self._kind == "single" else np.stack(sets)


def fit_folds(
    field: ArrayLike | Enlarged,
    maps: ArrayLike | Sequence[ArrayLike],
    folds: ArrayLike,
    method: str = "pls",
    *,
    components: int = COMPONENTS,
    penalty: float = 1.0,
    penalties: ArrayLike | None = None,
    intercept: bool = True,
    images: Iterable[Hashable] | None = None,
    offsets: ArrayLike | Sequence[ArrayLike] | None = None,
    overwrite: bool = False,
    progress: Steps = uncounted,
    device: str = "",
) -> FittedFolds:
    """Fit a regression for every fold, on the images that the fold does not leave out.

    One sample is one grid position of one image; all sites of a set are targets at once. Computed in float64. A field
    that was enlarged from a smaller map is reduced to the rows of that map first: the result is the same, in less time.

    Parameters
    ----------
    field : array, shape (image, y, x, channel), or Enlarged
        Features at the recording's grid, of any shape; at least 3 images.
    maps : array, shape (image, y, x, site) or (set, image, y, x, site), or sequence of arrays (image, y, x, site)
        Maps to predict. Several sets (windows or arrays, say; those of a sequence may differ in their sites) get one
        regression each, in one pass. A site with a NaN is left out of the fit of its set, and predicted as NaN.
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out: single images or groups, which may overlap. At least two images remain.
    method : str
        ``pls``: partial least squares, centred, unscaled, inner problem solved exactly: what scikit-learn's
        ``PLSRegression(components, scale=False)`` converges to. ``nipals``: the published iteration
        (Linsley et al. 2023), which stops earlier. ``ridge``: scikit-learn's ``Ridge(penalty)``. ``ridge_cv``: the
        penalty of each fold chosen by leaving out its training images in turn, or more than 32 in 14 groups.
    components : int
        Number of PLS components, 25 as published. A fold uses no more than its channels and their numerical rank, and
        none after the maps are explained to rounding; ``FittedFolds.components`` is the number used.
    penalty : float
        Penalty of ``ridge``, added to the sums of squares of the centred channels; above 0.
    penalties : array, optional
        Penalties among which ``ridge_cv`` chooses; by default 1e-4 to 1e4 times the mean sum of squares of a centred
        channel.
    intercept : bool
        For PLS. False predicts features times coefficients, as the published code does: one constant per site and fold
        is missing, so the values are not in the units of the maps.
    images : sequence, optional
        For each image a label that identical images share, which ``ridge_cv`` leaves out together; by default, all
        images are different.
    offsets : array, shape (fold, y, x, site), or a sequence of one for each set, optional
        For each fold a map of each site that is subtracted from the maps of all images before the regression is fitted,
        and added to its predictions: what is the same in all images, for example :func:`typical_maps`. ``ridge_cv``
        chooses its penalty without them.
    overwrite : bool
        The field may be overwritten, which saves memory.
    progress : callable
        Called with (steps done, steps in all).
    device : str
        Device of torch on which PLS is computed, such as ``cuda``, with the same result to rounding; by default numpy
        on the processor. It must compute in double precision (:func:`device_of_fits`).

    Returns
    -------
    FittedFolds

    Raises
    ------
    ArrayError
        Also a ValueError: when image and grid of the arrays differ, when there are fewer than 3 images, no channels, no
        sites or no positions, when a feature is not finite or a map infinite, when a fold keeps fewer than two images,
        or an option is out of range.
    UsageError
        When the method is unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(5, 4, 3, 8))
    >>> maps = field @ rng.normal(size=(8, 2))
    >>> fitted = fit_folds(field, maps, groups_left_out(5, groups=2), components=8)
    >>> fitted.of(0).shape, bool(np.allclose(fitted.predicted, maps))
    ((3, 4, 3, 2), True)
    """
    if not isinstance(method, str) or method not in SOLVERS:
        raise UsageError(f"There is no regression named {method!r}.", nearest(str(method), SOLVERS))
    if not isinstance(components, int | np.integer) or isinstance(components, bool) or components < 1:
        raise ArrayError(f"{components!r} components were requested.", "Request a whole number of at least 1.")
    features = field if isinstance(field, Enlarged) else real_array(field, "field")
    kind, arrays = _split_sets(features, maps)
    count = features.shape[0]
    left_out = checked_folds(folds, count)
    complete = tuple(np.isfinite(array).all(axis=(0, 1, 2)) for array in arrays)
    sets = np.zeros((len(arrays), *features.shape[:3], max(1, *(int(sites.sum()) for sites in complete))))
    for set_index, (array, sites) in enumerate(zip(arrays, complete, strict=True)):
        sets[set_index, ..., : sites.sum()] = array[..., sites]
    shared = None if offsets is None else _checked_offsets(offsets, kind, arrays, left_out)
    varying, lowest = _varying(sets, left_out)
    if shared is not None:  # a site that does not vary is predicted as its constant, to which its offset is added
        firsts = [_complete_sites(each[:, 0, 0], sites, sets) for each, sites in zip(shared, complete, strict=True)]
        lowest = lowest - np.stack(firsts)
    if isinstance(features, Enlarged):
        rows = rows_of(features, sets)
    else:
        precise = features.astype(np.float64, copy=False)
        rows = rows_of(precise, sets)
        rows = rows._replace(own=overwrite or rows.own or not np.may_share_memory(precise, features))
        del precise
    if shared is not None:
        flat = [_complete_sites(each, sites, sets) for each, sites in zip(shared, complete, strict=True)]
        rows = rows.with_offsets(np.stack(flat).reshape(len(sets), len(left_out), -1, sets.shape[-1]))
    numbers = number_images(count if images is None else images)
    if len(numbers) != count:
        raise ArrayError(f"{len(numbers)} labels name {count} images.", "Give one label for each image.")
    tuning = score_folds(numbers)
    options = Options(int(components), penalty, penalties, intercept, progress, tuning)
    if device and method == "pls":
        from brainscore_itmaps.metrics.torch_pls import fit_pls_on  # importing torch takes seconds

        solution: Solution = fit_pls_on(rows, left_out, varying, options, device)
    else:
        solution = SOLVERS[method](rows, left_out, varying, options)
    has_sites = np.array([[sites.any()] for sites in complete])
    used = np.where(has_sites, solution.components, 0)
    chosen = None if solution.penalty is None else np.where(has_sites, solution.penalty, np.nan)
    if kind == "single":
        used, chosen = used[0], None if chosen is None else chosen[0]
    height, width = features.shape[1:3]
    grid = (height, width)
    rows = rows._replace(field=np.empty((0, 0, 0)), maps=np.empty((0, 0, 0, 0)))  # frees their memory
    rows = rows._replace(offsets=None)
    return FittedFolds(left_out, used, chosen, solution, rows, grid, complete, varying, lowest, kind, intercept, shared)


def fit_left_out(
    field: ArrayLike | Enlarged,
    maps: ArrayLike | Sequence[ArrayLike],
    method: str = "pls",
    groups: int | None = GROUPS,
    images: Iterable[Hashable] | None = None,
    folds: NDArray[np.bool_] | None = None,
    overwrite: bool = False,
    offsets: Callable[[NDArray[np.bool_]], Any] | None = None,
    **options: Any,
) -> tuple[FittedFolds, FittedFolds | None]:
    """Fit regressions that leave out every image once, and regressions that leave out each pair of groups of images.

    Parameters
    ----------
    field, maps, method, overwrite, options
        As in :func:`fit_folds`.
    groups : int or None
        Number of groups, for :func:`refitted`; None for none.
    images : sequence, optional
        For each image a label that identical images share; by default, all images are different.
    folds : array of bool, shape (fold, image), optional
        Folds that leave out every image once; by default those of :func:`score_folds`.
    offsets : callable, optional
        Returns the offsets of :func:`fit_folds` for folds (fold, image).

    Returns
    -------
    FittedFolds
        The folds.
    FittedFolds or None
        One fold for each pair of groups; None without groups, or with fewer than 4 different images.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(5, 4, 3, 8))
    >>> left_out, pairs = fit_left_out(field, field @ rng.normal(size=(8, 2)), components=8)
    >>> len(left_out.folds), len(pairs.folds)
    (5, 10)
    """
    count = len(field.units) if isinstance(field, Enlarged) else len(real_array(field, "field"))
    numbers = number_images(count if images is None else images)
    single = score_folds(numbers) if folds is None else folds
    options["images"] = numbers

    def fit(left_out: NDArray[np.bool_], overwrite: bool = False) -> FittedFolds:
        shared = None if offsets is None else offsets(left_out)
        return fit_folds(field, maps, left_out, method, offsets=shared, overwrite=overwrite, **options)

    if groups is None or len(np.unique(numbers)) < FEWEST_REFITTED:
        return fit(single), None
    pairs = pairs_of_groups(numbers, groups)
    if method != "pls":  # the others gain nothing, and the published iteration stops by rounding
        return fit(single), fit(pairs)
    fitted = fit(np.concatenate([single, pairs]), overwrite)
    return fitted.select(slice(len(single))), fitted.select(slice(len(single), None))


@dataclass(frozen=True)
class LeftOut:
    """Predictions of left-out images; unpacks into ``predicted, components``.

    Attributes
    ----------
    predicted : array, shape of the maps
        Predictions in the units of the maps; NaN for sites with a missing value.
    components : array, shape (image,) or (set, image)
        Number of PLS components used when that image was left out; for a ridge regression, the number of channels.
    penalty : array, shape (image,) or (set, image), or None
        Penalty of the ridge regression; None for PLS.
    """

    predicted: NDArray[np.float64]
    components: NDArray[np.int64]
    penalty: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        *sets, images, rows, columns, sites = self.predicted.shape
        of_sets = f"{sets[0]} sets, " if sets else ""
        low, high = int(self.components.min()), int(self.components.max())
        used = f"{low} to {high}" if low < high else str(low)
        penalty = "" if self.penalty is None else ", ridge"
        shape = f"{images} images, {rows} x {columns} positions, {sites} sites"
        return f"<LeftOut: {of_sets}{shape}, {used} components{penalty}>"

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.predicted, self.components))


@shows_count
def predict_left_out(
    field: ArrayLike,
    maps: ArrayLike,
    method: str = "pls",
    *,
    images: Iterable[Hashable] | None = None,
    folds: ArrayLike | None = None,
    components: int = COMPONENTS,
    penalty: float = 1.0,
    penalties: ArrayLike | None = None,
    intercept: bool = True,
    progress: Steps = uncounted,
) -> LeftOut:
    """Predict every image from a regression that was fitted on other images.

    Up to 32 images are left out in turn, more in 14 groups.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features at the recording's grid, of any shape; at least 3 images.
    maps : array, shape (image, y, x, site), or (set, image, y, x, site)
        Maps to predict. Several sets (windows in time, say) get one regression each, in one pass. A site with a NaN is
        left out of the fit of its set, and predicted as NaN.
    images : sequence, optional
        For each image a label that identical images share, because these are left out together; by default, all images
        are different.
    folds : array of bool, shape (fold, image), optional
        Images that each fold leaves out, every image once; by default those of
        :func:`~brainscore_itmaps.metrics.folds.score_folds`.
    method, components, penalty, penalties, intercept, progress
        As in :func:`~brainscore_itmaps.metrics.folds.fit_folds`: ``pls``, ``nipals``, ``ridge`` or ``ridge_cv``, and
        its options.

    Returns
    -------
    LeftOut

    Raises
    ------
    ArrayError
        Also a ValueError: when image and grid of the two arrays differ, when there are fewer than 3 images, no
        channels, no sites or no positions, when a feature is not finite or a map infinite, or an option is out of
        range.
    UsageError
        When the method is unknown.

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
    check_choice(intercept=intercept)
    features = real_array(field, "field")
    if images is None:
        images = range(len(features) if features.ndim else 0)
    numbers = number_images(images)
    fitted = fit_folds(
        features,
        real_array(maps, "maps"),
        score_folds(numbers) if folds is None else folds,
        method,
        images=numbers,
        components=components,
        penalty=penalty,
        penalties=penalties,
        intercept=intercept,
        progress=progress,
    )
    penalty_of_image = None if fitted.penalty is None else fitted.per_image(fitted.penalty)
    return LeftOut(fitted.predicted, fitted.per_image(fitted.components), penalty_of_image)


def typical_maps(maps: ArrayLike, folds: ArrayLike, shrink: bool = False) -> NDArray[np.float64]:
    """Average the maps of the images that each fold does not leave out.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out.
    shrink : bool
        Multiply each mean map by the slope, between 0 and 1, of the regression of the map of a remaining image on the
        mean map of the other remaining images, over all of them. It is about 0 where the maps of different images have
        nothing in common, so that the noise of their mean is not added to a prediction.

    Returns
    -------
    array, shape (fold, y, x, site)

    Examples
    --------
    >>> maps = np.arange(3.0)[:, None, None, None] * np.ones((3, 4, 5, 2))
    >>> typical_maps(maps, np.eye(3, dtype=bool))[:, 0, 0, 0].tolist()
    [1.5, 1.0, 0.5]
    """
    recorded, left_out = real_array(maps, "maps"), np.asarray(folds, dtype=bool)
    recorded = recorded.astype(np.float64, copy=False)
    remaining = (~left_out).astype(np.float64)
    counts = remaining.sum(axis=1)
    typical: NDArray[np.float64] = np.tensordot(remaining, recorded, axes=1) / counts[:, None, None, None]
    if not shrink:
        return typical
    deviations = recorded - recorded.mean(axis=(1, 2), keepdims=True)
    products = np.einsum("iyxs,jyxs->sij", deviations, deviations, optimize=True)  # (site, image, image)
    squares = np.einsum("sii->si", products) @ remaining.T  # (site, fold)
    of_sum = np.einsum("fi,sij,fj->sf", remaining, products, remaining, optimize=True)
    shared = (of_sum - squares) / (counts - 1)  # image times mean of the others, summed over images
    of_others = ((counts - 2) * of_sum + squares) / (counts - 1) ** 2  # that mean squared, summed over images
    slope = np.clip(shared / np.where(of_others > 0, of_others, np.inf), 0, 1)
    typical *= slope.T[:, None, None]
    return typical


def _insert_nan_sites(values: NDArray[np.float64], complete: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Insert NaN for the sites with missing values, along the last axis."""
    inserted = np.full((*values.shape[:-1], len(complete)), np.nan)
    inserted[..., complete] = values[..., : complete.sum()]
    return inserted


def _complete_sites(
    values: NDArray[np.float64], complete: NDArray[np.bool_], sets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Select the sites without missing values, followed by zeros as in the stacked sets."""
    selected = np.zeros((*values.shape[:-1], sets.shape[-1]))
    selected[..., : complete.sum()] = values[..., complete]
    return selected


def _checked_offsets(
    offsets: ArrayLike | Sequence[ArrayLike], kind: Kind, maps: list[NDArray[Any]], folds: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], ...]:
    given = [offsets] if kind == "single" else list(offsets)  # type: ignore[arg-type]
    arrays = tuple(np.asarray(each, dtype=np.float64) for each in given)
    shapes = [(len(folds), *array.shape[1:]) for array in maps]
    if [array.shape for array in arrays] != shapes:
        raise ArrayError(
            f"The offsets have the shapes {', '.join(str(array.shape) for array in arrays)}.",
            f"Give one map for each fold and site: {', '.join(map(str, shapes))}.",
        )
    return arrays


def _varying(sets: NDArray[np.float64], folds: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Find the sites that vary on the remaining images, and their lowest values; both of shape (set, fold, site)."""
    flat = sets.reshape(*sets.shape[:2], -1, sets.shape[-1])  # (set, image, position, site)
    lowest, highest = (
        np.stack([extreme(per_image[:, ~fold], axis=1) for fold in folds], axis=1)
        for extreme, per_image in ((np.min, flat.min(axis=2)), (np.max, flat.max(axis=2)))
    )
    return highest > lowest, lowest


def _split_sets(
    field: NDArray[Any] | Enlarged, maps: ArrayLike | Sequence[ArrayLike]
) -> tuple[Kind, list[NDArray[Any]]]:
    """Check field and maps, and split the maps into sets."""
    if isinstance(maps, list | tuple) and any(np.ndim(array) == 4 for array in maps if isinstance(array, np.ndarray)):
        arrays = [real_array(array, "maps") for array in maps]
        for array in arrays:
            _check_input(field, array, sets=False)
        return "sequence", arrays
    targets = real_array(maps, "maps")  # type: ignore[arg-type]
    _check_input(field, targets)
    return ("single", [targets]) if targets.ndim == 4 else ("stacked", list(targets))


def checked_folds(folds: ArrayLike, images: int) -> NDArray[np.bool_]:
    """Check that folds (fold, image) have the type and the shape for these images, and leave at least 2 of them.

    Raises
    ------
    ArrayError
        When they do not.

    Examples
    --------
    >>> checked_folds(leave_one_out(3), 3).shape
    (3, 3)
    """
    left_out = np.asarray(folds)
    if left_out.dtype != bool or left_out.ndim != 2 or left_out.shape[1] != images or not len(left_out):
        raise ArrayError(
            f"The folds are {left_out.dtype} of shape {left_out.shape}.",
            f"Give an array of bool, True for images that a fold leaves out, of shape (fold, {images} images).",
        )
    if ((~left_out).sum(axis=1) < 2).any():
        raise ArrayError("A fold has fewer than 2 training images.", "Give more images, or leave out fewer.")
    return left_out


def _check_input(field: NDArray[Any] | Enlarged, maps: NDArray[Any], sets: bool = True) -> None:
    if field.ndim != 4 or maps.ndim not in (4, 5)[: 1 + sets] or field.shape[:3] != maps.shape[-4:-1]:
        raise ArrayError(
            f"The field {field.shape} and the maps {maps.shape} must share image, y and x.",
            "Give (image, y, x, channel) and (image, y, x, site), or (set, image, y, x, site).",
        )
    if field.shape[0] < 3:
        raise ArrayError(f"Leaving one image out needs at least 3 images, not {field.shape[0]}.", "Give more images.")
    if 0 in field.shape or 0 in maps.shape:
        raise ArrayError(
            f"The field {field.shape} or the maps {maps.shape} are empty.", "Give arrays without an axis of length 0."
        )
    if np.isinf(maps).any():
        raise ArrayError(
            f"{int(np.isinf(maps).sum())} values of the maps are infinite; they must be finite.",
            "Give NaN for missing values.",
        )
