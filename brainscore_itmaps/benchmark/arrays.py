"""Score arrays: features and maps that somebody holds, whatever they come from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.data.recording import Grid
from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.published import published_field
from brainscore_itmaps.metrics.alignment import COARSE, feature_alignment
from brainscore_itmaps.metrics.left_out import COMPONENTS, LeftOut, predict_left_out
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.progress import Steps, uncounted


@dataclass(frozen=True)
class FeatureScore:
    """How well features predict maps of images that the regression had not seen.

    Attributes
    ----------
    score : float
        Neural predictivity, not divided by a ceiling: mean over images of ``image_r``.
    image_r : array, shape (image,)
        Median over sites.
    site_r : array, shape (image, site)
        Pearson r over positions; NaN where a map is constant or missing.
    undefined : int
        How many of ``site_r`` are NaN.
    map_rho, map_rho_coarse : array, shape (image,)
        Feature alignment: Spearman rho of the maps averaged over sites, at the full grid, and over tiles of about 4 x 4
        positions.
    components : array, shape (image,)
        PLS components used when that image was left out.
    predicted : array, shape (image, y, x, site)
        In the units of the maps; with ``reference_compat`` without the intercept.
    penalty : array, shape (image,), or None
        Of a ridge regression.
    """

    score: float
    image_r: NDArray[np.float64]
    site_r: NDArray[np.float64]
    undefined: int
    map_rho: NDArray[np.float64]
    map_rho_coarse: NDArray[np.float64]
    components: NDArray[np.int64]
    predicted: NDArray[np.floating[Any]]
    penalty: NDArray[np.float64] | None


def score_features(
    features: ArrayLike,
    maps: ArrayLike,
    *,
    method: str = "pls",
    reference_compat: bool = False,
    components: int = COMPONENTS,
    grid: Grid | None = None,
    progress: Steps = uncounted,
) -> FeatureScore:
    """Predict the map of every image from features of all other images, and compare.

    Parameters
    ----------
    features : array, shape (image, y, x, channel)
        Of any native size; sampled at the positions of the maps.
    maps : array, shape (image, y, x, site)
        Of the same images, which were shown square.
    method : str
        Of :func:`~brainscore_itmaps.predict_left_out`.
    reference_compat : bool
        Make every choice of the published code (docs/reference.md): its resize and scaling of the features, its NIPALS
        without an intercept, single precision where it decides ranks, medians that a constant map makes NaN.
    components : int
        PLS components.
    grid : Grid, optional
        Positions of the maps; by default evenly from edge to edge of the picture.
    progress : callable
        Told (steps done, steps in all).

    Raises
    ------
    ArrayError
        A ValueError, when the arrays do not fit together or cannot be fitted.
    """
    recorded, native = real_array(maps, "maps"), real_array(features, "features")
    if native.ndim != 4 or recorded.ndim != 4 or len(native) != len(recorded) or 0 in native.shape + recorded.shape:
        raise ArrayError(
            f"The features {native.shape} and the maps {recorded.shape} do not share their images.",
            "Give (image, y, x, channel) and (image, y, x, site).",
        )
    if grid is not None and not isinstance(grid, Grid):
        raise UsageError(f"{grid!r} is no grid.", "Give a brainscore_itmaps.Grid, or leave it out.")
    height, width = recorded.shape[1:3]
    if reference_compat:
        refuse_unpublished(method, (height, width))
        field = published_field(native, height)
    else:
        places = grid or Grid(y=Grid.even(height).y, x=Grid.even(width).x, extent=16.0)
        field = to_grid(np.moveaxis(native, -1, 1), places)
    return score_field(
        field, recorded, method=method, reference_compat=reference_compat, components=components, progress=progress
    )


def score_field(
    field: NDArray[np.floating[Any]],
    maps: NDArray[Any],
    *,
    method: str = "pls",
    reference_compat: bool = False,
    components: int = COMPONENTS,
    progress: Steps = uncounted,
) -> FeatureScore:
    """As :func:`score_features`, for features that are at the grid already, shape (image, y, x, channel)."""
    chosen, intercept = ("nipals", False) if reference_compat else (method, True)
    left_out = predict_left_out(field, maps, chosen, components=components, intercept=intercept, progress=progress)
    return score_predicted(left_out, maps, reference_compat)


def score_predicted(left_out: LeftOut, maps: NDArray[Any], reference_compat: bool = False) -> FeatureScore:
    """Compare predictions of left-out images with what was recorded."""
    precision = np.float32 if reference_compat else np.float64
    predicted: NDArray[np.floating[Any]] = left_out.predicted.astype(precision, copy=False)
    maps = maps if reference_compat else maps.astype(np.float64, copy=False)
    predictivity = neural_predictivity(predicted, maps)
    image_r = predictivity.image_r
    if reference_compat:  # an undefined site makes its image undefined, as published
        image_r = np.median(predictivity.site_r, axis=1)
    rho, rho_coarse = (
        feature_alignment(predicted, maps, scale=scale, reference_compat=reference_compat) for scale in (1, COARSE)
    )
    return FeatureScore(
        score=float(image_r.mean()),
        image_r=image_r,
        site_r=predictivity.site_r,
        undefined=predictivity.undefined,
        map_rho=rho,
        map_rho_coarse=rho_coarse,
        components=left_out.components,
        predicted=predicted,
        penalty=left_out.penalty,
    )


def refuse_unpublished(method: str, grid: tuple[int, ...]) -> None:
    """Refuse what the published code cannot do.

    Raises
    ------
    UsageError
        For another regression than its PLS.
    ArrayError
        For a grid that is not square.
    """
    if method not in ("pls", "nipals"):
        raise UsageError(f"The published code has no {method}.", "Leave out the method, or reference_compat.")
    if grid[0] != grid[1]:
        raise ArrayError(f"The grid is {grid[0]} x {grid[1]}.", "The published code knows square grids only.")
