"""Predict sites from halves of the other sites over folds of images.

A half with no more sites than PLS has components is a regression by least squares, to rounding: PLS then uses all
variation of the half. The regressions of all folds follow from one QR decomposition of the maps of each image.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.metrics.folds import (
    FEWEST_REFITTED,
    checked_folds,
    fit_left_out,
    pairs_of_groups,
    refitted,
    score_folds,
    values_without_groups,
)
from brainscore_itmaps.metrics.rows import centred
from brainscore_itmaps.progress import Report
from brainscore_itmaps.text import short_repr
from brainscore_itmaps.threads import in_threads

CONDITION = 1e6
"""Largest condition number of a half, by the Frobenius norm, of which least squares and PLS agree to rounding."""
Halves = tuple[NDArray[np.int64], NDArray[np.int64]]


@short_repr
class Triangles(NamedTuple):
    """The maps of the sites on the images that each fold does not leave out, as triangular matrices.

    Attributes
    ----------
    values : array, shape (fold, site, site)
        Upper triangular; its columns have the products of the sites' centred maps. Sites that do not vary on these
        images, or have a missing value, are zero.
    means : array, shape (fold, site)
    folds : array of bool, shape (fold, image)
    """

    values: NDArray[np.float64]
    means: NDArray[np.float64]
    folds: NDArray[np.bool_]


def triangles_of(maps: NDArray[np.float64], folds: NDArray[np.bool_]) -> Triangles:
    """Decompose the maps of the images that each fold does not leave out.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    folds : array of bool, shape (fold, image)

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(4, 5, 6, 3))
    >>> triangles = triangles_of(maps, np.eye(4, dtype=bool))
    >>> np.allclose(triangles.values[0].T @ triangles.values[0] / 90, np.cov(maps[1:].reshape(90, 3).T, ddof=0))
    True
    """
    complete = np.isfinite(maps).all(axis=(0, 1, 2))
    flat = np.where(complete, maps, 0).reshape(len(maps), -1, maps.shape[-1]).astype(np.float64)
    ones = np.ones(flat.shape[1])
    (deviations,), means, _ = centred(flat[None], ones)
    with_ones = np.concatenate([np.ones((*flat.shape[:2], 1)), deviations], axis=-1)
    of_images = np.linalg.qr(with_ones, mode="r")  # (image, 1 + site, 1 + site)
    of_folds = np.stack([np.linalg.qr(np.concatenate(of_images[~fold]), mode="r") for fold in folds])
    lowest, highest = flat.min(axis=1), flat.max(axis=1)
    for triangle, fold in zip(of_folds, folds, strict=True):
        triangle[1:, 1:][:, ~(highest[~fold].max(axis=0) > lowest[~fold].min(axis=0))] = 0
    return Triangles(of_folds[:, 1:, 1:], means[0] + of_folds[:, 0, 1:] / of_folds[:, 0, :1], folds)


def least_squares(
    triangles: Triangles, predictors: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Fit sites by least squares on other sites, for every fold; None where these are almost dependent in a fold.

    Parameters
    ----------
    triangles : Triangles
    predictors, targets : array of int
        Numbers of sites.

    Returns
    -------
    array, shape (fold, predictor, target), or None

    Examples
    --------
    >>> first, second = np.random.default_rng(0).normal(size=(2, 4, 5, 6, 1))
    >>> maps = np.concatenate([first, second, 2 * first + 3 * second], axis=-1)
    >>> triangles = triangles_of(maps, np.eye(4, dtype=bool))
    >>> least_squares(triangles, np.array([0, 1]), np.array([2]))[0].round(6).tolist()
    [[2.0], [3.0]]
    >>> least_squares(triangles, np.array([0, 1, 2]), np.array([2])) is None
    True
    """
    orthonormal, triangle = np.linalg.qr(triangles.values[..., predictors])
    if not np.diagonal(triangle, axis1=1, axis2=2).all():
        return None
    inverse = np.linalg.inv(triangle)
    if (np.linalg.norm(triangle, axis=(1, 2)) * np.linalg.norm(inverse, axis=(1, 2)) > CONDITION).any():
        return None
    weights: NDArray[np.float64] = inverse @ (orthonormal.swapaxes(1, 2) @ triangles.values[..., targets])
    return weights


def predictions_from_halves(
    maps: NDArray[np.float64],
    divisions: list[tuple[NDArray[np.int64], Halves]],
    method: str,
    components: int,
    groups: int | None,
    images: NDArray[np.int64],
    **options: Any,
) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.float64]]]]:
    """Predict parts of the sites, each from two halves of the others, for left-out images.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    divisions : list of (sites, (half, half))
        Numbers of the sites of each part, and of those that predict it.
    method, components, groups, images, options
        As in :func:`~brainscore_itmaps.metrics.folds.fit_left_out`.

    Yields
    ------
    sites : array of int
    predicted : list of two arrays, shape (row, image, y, x, site)
        From either half. The first row is predicted without the image alone, row g + 1 without the group g and that of
        the image, and NaN for the images of that group.
    """
    fast = (
        method == "pls" and not options and max(len(half) for _, halves in divisions for half in halves) <= components
    )
    single, pairs = score_folds(images), None
    if groups is not None and len(np.unique(images)) >= FEWEST_REFITTED:
        pairs = pairs_of_groups(images, groups)
    folds = checked_folds(single if pairs is None else np.concatenate([single, pairs]), len(maps))
    triangles = triangles_of(maps, folds) if fast else None

    def predicted(division: tuple[NDArray[np.int64], Halves], report: Report) -> list[NDArray[np.float64]]:
        sites, halves = division
        of_halves = []
        for half in halves:
            report("computing the noise ceiling", 0, len(divisions))
            weights = None if triangles is None else least_squares(triangles, half, sites)
            if triangles is None or weights is None:
                of_halves.append(_fitted(maps[..., half], maps[..., sites], method, groups, images=images,
                                         components=components, **options))  # fmt: skip
            else:
                of_halves.append(_predicted(maps[..., half], weights, triangles, half, sites, single, pairs))
        return of_halves

    for (sites, _), of_halves in zip(divisions, in_threads(predicted, divisions), strict=True):
        yield sites, of_halves


def _predicted(
    field: NDArray[np.float64],
    weights: NDArray[np.float64],
    triangles: Triangles,
    half: NDArray[np.int64],
    sites: NDArray[np.int64],
    single: NDArray[np.bool_],
    pairs: NDArray[np.bool_] | None,
) -> NDArray[np.float64]:
    """Predict left-out images from fitted weights (fold, predictor, target), shape (row, image, y, x, site)."""

    def of(fold: int) -> NDArray[np.float64]:
        base = triangles.means[fold, sites] - triangles.means[fold, half] @ weights[fold]
        predicted: NDArray[np.float64] = field[triangles.folds[fold]] @ weights[fold] + base
        return predicted

    first = np.empty((*field.shape[:3], len(sites)))
    for fold, left_out in enumerate(single):
        first[left_out] = of(fold)
    if pairs is None:
        return first[None]
    return np.concatenate([first[None], values_without_groups(pairs, lambda fold: of(len(single) + fold))])


def _fitted(
    field: NDArray[np.float64], maps: NDArray[np.float64], method: str, groups: int | None, **options: Any
) -> NDArray[np.float64]:
    """Fit regressions and predict left-out images, shape (row, image, y, x, site)."""
    left_out, pairs = fit_left_out(field, maps, method, groups, **options)
    predicted: NDArray[np.float64] = left_out.predicted[None]
    if pairs is None:
        return predicted
    return np.concatenate([predicted, refitted(pairs, maps, lambda predicted, _: predicted)])
