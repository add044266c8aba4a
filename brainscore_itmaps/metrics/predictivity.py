"""Neural predictivity: how well left-out maps are predicted, in one number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, UsageError, nearest
from brainscore_itmaps.metrics.correlation import MEASURES
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.protocol import OURS, Protocol, protocol_named

REDUCERS: dict[str, Callable[..., NDArray[np.float64]]] = {"median": np.nanmedian, "mean": np.nanmean}
WHOLE_REDUCERS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "median": np.median,
    "mean": np.mean,
}


@dataclass(frozen=True)
class Predictivity:
    """How well maps of left-out images are predicted.

    Attributes
    ----------
    score : float
        Mean over images; NaN when an image has no site that is defined.
    image_r : array, shape (image,)
        Median (or mean) over the sites that are defined.
    site_r : array, shape (image, site)
        Of each map; NaN where it is undefined.
    undefined : int
        How many of ``site_r`` are: a map that is constant, or missing, correlates with nothing.
    """

    score: float
    image_r: NDArray[np.float64]
    site_r: NDArray[np.float64]
    undefined: int


def neural_predictivity(
    predicted: ArrayLike,
    maps: ArrayLike,
    measure: str = "pearson",
    reducer: str = "median",
    *,
    protocol: str | Protocol = "ours",
) -> Predictivity:
    """Compare predicted with recorded maps: over positions, then sites, then images.

    With its defaults this is the published statistic (Linsley et al. 2023, reference code): Pearson r over positions
    for each site and image, median over sites, mean over images.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    measure : "pearson", "spearman" or "explained_variance"
        Over the positions of one map.
    reducer : "median" or "mean"
        Over sites.
    protocol : "ours", "published" or Protocol
        See :func:`over_sites`.

    Raises
    ------
    ArrayError
        When the shapes differ.
    UsageError
        When a measure or reducer is not known.
    """
    if measure not in MEASURES:
        raise UsageError(f"There is no measure named {measure!r}.", nearest(str(measure), MEASURES))
    predicted, maps = alike(predicted, maps)
    site_r = MEASURES[measure](predicted, maps)
    image_r = over_sites(site_r, reducer, protocol_named(protocol))
    return Predictivity(float(image_r.mean()), image_r, site_r, int(np.isnan(site_r).sum()))


def over_sites(
    site_values: NDArray[np.float64], reducer: str = "median", protocol: Protocol = OURS
) -> NDArray[np.float64]:
    """Reduce one value an image and site to one an image.

    Parameters
    ----------
    site_values : array, shape (image, site)
        NaN where it is undefined.
    reducer : "median" or "mean"
    protocol : Protocol
        Its ``reduce_sites``: over the sites that are defined, or over all.

    Returns
    -------
    array, shape (image,)
        NaN for an image on which every site is undefined; of all sites, where one of them is.
    """
    if reducer not in REDUCERS:
        raise UsageError(f"There is no reducer named {reducer!r}.", nearest(str(reducer), REDUCERS))
    missing = np.isnan(site_values)
    if protocol.reduce_sites == "all" or not missing.any():
        return WHOLE_REDUCERS[reducer](site_values, axis=1)
    defined = ~missing.all(axis=1)
    result = np.full(len(site_values), np.nan)
    result[defined] = REDUCERS[reducer](site_values[defined], axis=1)
    return result


def over_images(site_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the images on which a site is defined: of values (..., image, site), shape (..., site).

    NaN for a site that is undefined on every image.
    """
    known = ~np.isnan(site_values)
    count = known.sum(axis=-2)
    mean: NDArray[np.float64] = np.where(known, site_values, 0).sum(axis=-2) / np.where(count, count, np.nan)
    return mean


def alike(predicted: ArrayLike, maps: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Take predicted and recorded maps as arrays (image, y, x, site) of one shape.

    Raises
    ------
    ArrayError
        When they are not; naming both shapes.
    """
    predicted, maps = real_array(predicted, "predicted maps"), real_array(maps, "recorded maps")
    if predicted.ndim != 4 or predicted.shape != maps.shape or not maps.size:
        raise ArrayError(
            f"The predicted {predicted.shape} and the recorded maps {maps.shape} differ in shape, or are empty.",
            "Give both as (image, y, x, site).",
        )
    return predicted, maps
