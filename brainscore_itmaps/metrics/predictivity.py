"""Neural predictivity: correlations of left-out maps, reduced over sites and images to one number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from brainscore_itmaps.errors import ArrayError, UsageError, nearest
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.protocol import OURS, Protocol, protocol_named

REDUCERS: dict[str, Callable[..., NDArray[np.float64]]] = {"median": np.nanmedian, "mean": np.nanmean}
WHOLE_REDUCERS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "median": np.median,
    "mean": np.mean,
}


@dataclass(frozen=True)
class Predictivity:
    """Neural predictivity of left-out images, with its values per image and site.

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
    """Reduce the values of an image over sites.

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
    """Average (..., image, site) over the images on which a site is defined, shape (..., site).

    NaN for a site that is undefined on every image.
    """
    known = ~np.isnan(site_values)
    count = known.sum(axis=-2)
    mean: NDArray[np.float64] = np.where(known, site_values, 0).sum(axis=-2) / np.where(count, count, np.nan)
    return mean


def alike(predicted: ArrayLike, maps: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check that predicted and recorded maps are arrays (image, y, x, site) of one shape.

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


def site_correlation(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Pearson's r over the positions of each map, for every image and site.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)

    Returns
    -------
    array, shape (image, site)
        NaN where one of the two maps is constant or holds a NaN: there the correlation is undefined.
    """
    return _pearson(_positions_first(predicted), _positions_first(maps))


def site_rank_correlation(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Spearman's rho over the positions of each map, for every image and site.

    Parameters and result are those of :func:`site_correlation`.
    """
    pair = [_positions_first(values) for values in (predicted, maps)]
    rho = _pearson(*(rankdata(values, axis=1) for values in pair))
    constant = _is_constant(pair[0]) | _is_constant(pair[1])  # rounding has ranks too
    return np.where(constant, np.nan, rho)


def site_explained_variance(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the share of each map's variance over positions that the prediction explains.

    1 - variance of what is left / variance of the map: scikit-learn's ``explained_variance_score``. It is below 0 where
    the prediction is worse than any constant. Unlike a correlation it asks for the right size of the responses.

    Parameters and result are those of :func:`site_correlation`; NaN where the recorded map is constant.
    """
    rest, recorded = _positions_first(maps) - _positions_first(predicted), _positions_first(maps)
    variance = np.where(_is_constant(recorded), np.nan, recorded.var(axis=1))
    explained: NDArray[np.float64] = 1 - rest.var(axis=1) / variance
    return explained


MEASURES: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "pearson": site_correlation,
    "spearman": site_rank_correlation,
    "explained_variance": site_explained_variance,
}


def site_agreement(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Pearson's r of each site's map with the mean map of all other sites, for every image and site.

    Arcaro et al. (2020, eLife 9:e53798) report it for each array, .73 on average.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
        Of two sites or more.

    Returns
    -------
    array, shape (image, site)
        NaN where a map is constant.

    Raises
    ------
    ArrayError
        With one site.
    """
    if maps.shape[-1] < 2:
        raise ArrayError("One site agrees with no other.", "Give maps of several sites.")
    whole = maps.astype(np.float64, copy=False)
    return site_correlation((whole.sum(axis=-1, keepdims=True) - whole) / (whole.shape[-1] - 1), whole)


def _positions_first(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    return maps.reshape(len(maps), -1, maps.shape[-1]).astype(np.float64, copy=False)  # (image, y * x, site)


def _is_constant(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether values are constant along axis 1, to rounding."""
    rounding = np.finfo(float).eps * values.shape[1] * np.abs(values).max(axis=1)
    constant: NDArray[np.bool_] = ~(np.ptp(values, axis=1) > rounding)  # also where there is a NaN
    return constant


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate along axis 1; NaN where one side is constant."""
    sizes = []
    for values in (a, b):
        centred = values - values.mean(axis=1, keepdims=True)
        sizes.append((centred, np.where(_is_constant(values), np.nan, np.linalg.norm(centred, axis=1))))
    (a, size_a), (b, size_b) = sizes
    correlation: NDArray[np.float64] = np.einsum("ips,ips->is", a, b) / (size_a * size_b)
    return correlation


def coarsened(maps: NDArray[np.float64], scale: int) -> NDArray[np.floating[Any]]:
    """Average maps over ``size // scale`` equal tiles along each axis; positions on a border count in part.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    scale : int
        How many positions a tile is wide, about; 1 leaves the maps as they are.

    Returns
    -------
    array, shape (image, y // scale, x // scale, site)
    """
    if scale == 1:
        return maps
    down, across = (_areas(size, size // scale) for size in maps.shape[1:3])
    averaged: NDArray[np.float64] = np.einsum(
        "ay,iyxs,bx->iabs", down, maps.astype(np.float64, copy=False), across, optimize=True
    )
    return averaged


def published_coarsened(maps: NDArray[np.float64], scale: int) -> NDArray[np.floating[Any]]:
    """Shrink maps as the published code does: two-by-two interpolation in single precision, without antialiasing.

    Of 17 positions it reads 8 and drops the rest. TensorFlow's ``tf.image.resize`` in its default mode.

    Parameters and shape of the result are those of :func:`coarsened`.
    """
    values = maps.astype(np.float32)
    for axis in (2, 1):  # across first, as TensorFlow rounds
        size = values.shape[axis]
        low, high, share = half_pixel(size, size // scale)
        share = share.reshape([-1 if a == axis else 1 for a in range(values.ndim)]).astype(np.float32)
        first, second = values.take(low, axis), values.take(high, axis)
        values = first + (second - first) * share
    return values


COARSENERS = {"tiles": coarsened, "bilinear": published_coarsened}


def half_pixel(size: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Compute lower and upper neighbours, and the upper weights, of ``length`` points at the centres of equal tiles."""
    place = (np.arange(length) + 0.5) * size / length - 0.5
    low = np.floor(place).astype(np.int64)
    return np.clip(low, 0, size - 1), np.clip(low + 1, 0, size - 1), place - low


def _areas(size: int, length: int) -> NDArray[np.float64]:
    """Compute the share of each position (column) in each of ``length`` equal tiles (row)."""
    edges = np.linspace(0, size, length + 1)
    first, last = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(last, np.arange(size) + 1) - np.maximum(first, np.arange(size))
    shares: NDArray[np.float64] = np.maximum(overlap, 0) * length / size
    return shares
