"""Predict the map of every image from a regression fitted on all the other images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, UsageError, nearest
from brainscore_itmaps.metrics.pls import exact_direction, fit_folds, published_direction
from brainscore_itmaps.metrics.ridge import PENALTY, ridge, ridge_cv
from brainscore_itmaps.metrics.rows import Rows, real_array, rows_of
from brainscore_itmaps.progress import Steps, uncounted

COMPONENTS = 25


@dataclass(frozen=True)
class LeftOut:
    """Predictions of images that the regression had not seen. Unpacks into ``predicted, components``.

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


@dataclass(frozen=True)
class _Options:
    components: int
    penalty: float
    penalties: ArrayLike | None
    intercept: bool
    progress: Steps


_Fit = tuple[NDArray[np.float64], "NDArray[np.int64] | int", "NDArray[np.float64] | float | None"]


def _pls(rows: Rows, varying: NDArray[np.bool_], options: _Options, direction: Any = exact_direction) -> _Fit:
    folds = fit_folds(rows, varying, options.components, direction, options.progress)
    predicted = folds.predicted() if options.intercept else np.matmul(rows.field, folds.coefficients())
    return predicted, folds.components, None


def _ridge(rows: Rows, varying: NDArray[np.bool_], options: _Options) -> _Fit:
    return ridge(rows, options.penalty, options.progress), rows.field.shape[-1], options.penalty


def _ridge_cv(rows: Rows, varying: NDArray[np.bool_], options: _Options) -> _Fit:
    predicted, penalty = ridge_cv(rows, options.penalties, options.progress)
    return predicted, rows.field.shape[-1], penalty


METHODS: dict[str, Callable[[Rows, NDArray[np.bool_], _Options], _Fit]] = {
    "pls": _pls,
    "nipals": partial(_pls, direction=published_direction),
    "ridge": _ridge,
    "ridge_cv": _ridge_cv,
}


def predict_left_out(
    field: ArrayLike,
    maps: ArrayLike,
    method: str = "pls",
    *,
    components: int = COMPONENTS,
    penalty: float = PENALTY,
    penalties: ArrayLike | None = None,
    intercept: bool = True,
    progress: Steps = uncounted,
) -> LeftOut:
    """Fit a regression on all images but one, predict the one left out, and do so for every image.

    One sample is one grid position of one image; all sites are targets at once. Computed in float64. A field that was
    enlarged from a smaller map is reduced to the rows of that map first, which changes nothing but the time.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features at the recording's grid, of any shape, from 3 images on.
    maps : array, shape (image, y, x, site), or (set, image, y, x, site)
        What to predict. Several sets (windows in time, say) are each given a regression of their own in one pass. A
        site with a NaN is left out of the fit of its set, and predicted as NaN.
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
        A ValueError: when image and grid of the two arrays differ, when there are fewer than 3 images, no channels, no
        sites or no positions, when a feature is not finite or a map infinite, or an option is out of range.
    UsageError
        When the method is not known.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise UsageError(f"There is no regression named {method!r}.", nearest(str(method), METHODS))
    if not isinstance(components, int | np.integer) or isinstance(components, bool) or components < 1:
        raise ArrayError(f"{components!r} components were asked for.", "Ask for a whole number from 1 on.")
    given, targets = real_array(field, "field"), real_array(maps, "maps")
    _refuse(given, targets)
    x, y = given.astype(np.float64, copy=False), targets.astype(np.float64, copy=False)
    sets = y[None] if y.ndim == 4 else y
    options = _Options(int(components), penalty, penalties, intercept, progress)

    predicted = np.full(sets.shape, np.nan)
    used = np.zeros(sets.shape[:2], np.int64)
    shrunk = np.full(sets.shape[:2], np.nan)
    known = np.isfinite(sets).all(axis=(1, 2, 3))  # (set, site)
    for pattern in np.unique(known, axis=0):  # sets that lack the same sites are fitted together
        members = np.flatnonzero((known == pattern).all(axis=1))
        if pattern.any():
            fitted, used[members], penalty_used = _fit(x, sets[members][..., pattern], METHODS[method], options)
            place = np.ix_(members, np.flatnonzero(pattern))
            predicted.transpose(0, 4, 1, 2, 3)[place] = fitted.transpose(0, 4, 1, 2, 3)
            shrunk[members] = np.nan if penalty_used is None else penalty_used
    penalty_of = shrunk if method.startswith("ridge") else None
    if y.ndim == 4:
        return LeftOut(predicted[0], used[0], None if penalty_of is None else penalty_of[0])
    return LeftOut(predicted, used, penalty_of)


def coefficients_left_out(field: ArrayLike, maps: ArrayLike, components: int = COMPONENTS) -> NDArray[np.float64]:
    """Weights of the PLS regressions that :func:`predict_left_out` fits: the prediction is linear in the features.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (image, y, x, site)
        All values known.
    components : int
        At most.

    Returns
    -------
    array, shape (image, channel, site)
        Of the regression on all images but that one; the intercept is left out.

    Raises
    ------
    ArrayError
        As :func:`predict_left_out`.
    """
    given, targets = real_array(field, "field"), real_array(maps, "maps")
    _refuse(given, targets)
    _refuse_missing(targets)
    x, y = given.astype(np.float64, copy=False), targets.astype(np.float64, copy=False)[None]
    weights: NDArray[np.float64] = fit_folds(rows_of(x, y), _varying(y)[0], components).coefficients()[0]
    return weights


def predict_groups_left_out(
    field: ArrayLike,
    maps: ArrayLike,
    left_out: NDArray[np.bool_],
    components: int = COMPONENTS,
    progress: Steps = uncounted,
) -> LeftOut:
    """As :func:`predict_left_out` by PLS, but each fold leaves several images out, and predicts them all.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (image, y, x, site)
        All values known.
    left_out : array of bool, shape (fold, image)
        At least two images remain in each fold.
    components : int
        At most.

    progress : callable
        Told (steps done, steps in all).

    Returns
    -------
    LeftOut
        ``predicted`` has shape (fold, image, y, x, site), NaN for the images that a fold was fitted on; ``components``
        has shape (fold,).

    Raises
    ------
    ArrayError
        As :func:`predict_left_out`; when a fold keeps fewer than two images.
    """
    given, targets = real_array(field, "field"), real_array(maps, "maps")
    _refuse(given, targets)
    _refuse_missing(targets)
    if ((~left_out).sum(axis=1) < 2).any():
        raise ArrayError("A fold keeps fewer than 2 images.", "Give more images, or leave out fewer.")
    x, y = given.astype(np.float64, copy=False), targets.astype(np.float64, copy=False)
    flat = y.reshape(len(y), -1, y.shape[-1])
    low, high = (
        np.stack([extreme(edges[~fold], axis=0) for fold in left_out])
        for extreme, edges in ((np.min, flat.min(axis=1)), (np.max, flat.max(axis=1)))
    )
    varying = high > low  # (fold, site)
    rows = rows_of(x, y[None])
    folds = fit_folds(rows, varying[None], components, progress=progress, left_out=left_out)
    predicted = np.full((len(left_out), *y.shape), np.nan)
    for image in range(len(y)):
        without = np.flatnonzero(left_out[:, image])
        if not len(without):
            continue
        told = rows.to_positions(folds.predict(image, without))[0]  # (fold, position, site)
        told = np.where(varying[without, None], told, low[without, None])
        predicted[without, image] = told.reshape(-1, *y.shape[1:])
    return LeftOut(predicted, folds.components[0])


def _fit(x: NDArray[np.float64], sets: NDArray[np.float64], solve: Any, options: _Options) -> _Fit:
    varying, low = _varying(sets)
    rows = rows_of(x, sets)
    predicted, used, penalty = solve(rows, varying, options)
    predicted = rows.to_positions(predicted)
    if options.intercept:
        predicted = np.where(varying[:, :, None], predicted, low[:, :, None])
    return predicted.reshape(sets.shape), used, penalty


def _varying(sets: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Does a site vary on the images that remain? And its lowest value there; both of shape (set, image, site)."""
    flat = sets.reshape(*sets.shape[:2], -1, sets.shape[-1])  # (set, image, position, site)
    low, high = _of_others(flat.min(axis=2), np.minimum), _of_others(flat.max(axis=2), np.maximum)
    return high > low, low


def _of_others(values: NDArray[np.float64], extreme: Any) -> NDArray[np.float64]:
    """Extreme over all other images, shape (set, image, site)."""
    images = range(values.shape[1])
    return np.stack([extreme.reduce(np.delete(values, image, axis=1), axis=1) for image in images], axis=1)


def _refuse_missing(maps: NDArray[Any]) -> None:
    if np.isnan(maps).any():
        raise ArrayError(f"{int(np.isnan(maps).sum())} values of the maps are missing.", "Leave out these sites.")


def _refuse(field: NDArray[Any], maps: NDArray[Any]) -> None:
    if field.ndim != 4 or maps.ndim not in (4, 5) or field.shape[:3] != maps.shape[-4:-1]:
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
