"""Compute neural predictivity: correlate left-out maps, and reduce over sites and images to one number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, UsageError, nearest
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.protocol import OURS, Protocol, protocol_named
from brainscore_itmaps.text import short_repr

REDUCERS: dict[str, Callable[..., NDArray[np.float64]]] = {"median": np.nanmedian, "mean": np.nanmean}
STRICT_REDUCERS: dict[str, Callable[..., NDArray[np.float64]]] = {"median": np.median, "mean": np.mean}
"""Reductions that are NaN if any value is."""


@short_repr
@dataclass(frozen=True, eq=False)
class Predictivity:
    """Neural predictivity of left-out images, with its values per image and site.

    Attributes
    ----------
    score : float
        Mean over images; NaN when an image has no defined site.
    image_r : array, shape (image,)
        Median (or mean) over the defined sites.
    site_r : array, shape (image, site)
        Correlation, or explained variance, of each map; NaN where undefined.
    undefined : int
        Number of undefined values in ``site_r``, those of maps that are constant or hold a NaN.
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
    """Compute neural predictivity: correlate maps over positions, then reduce over sites and images.

    With its defaults this is the published statistic (Linsley et al. 2023, reference code): Pearson r over positions
    for each site and image, median over sites, mean over images.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    measure : "pearson", "spearman" or "explained_variance"
        Agreement of two maps, over positions.
    reducer : "median" or "mean"
        Reduction over sites.
    protocol : "ours", "published" or Protocol
        See :func:`over_sites`.

    Returns
    -------
    Predictivity

    Raises
    ------
    ArrayError
        When the shapes differ.
    UsageError
        When the measure or reducer is unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(2, 6, 5, 3))
    >>> result = neural_predictivity(maps + rng.normal(size=maps.shape), maps)
    >>> round(result.score, 2), result.site_r.shape
    (0.75, (2, 3))
    """
    if measure not in MEASURES:
        raise UsageError(f"There is no measure named {measure!r}.", nearest(str(measure), MEASURES))
    predicted, maps = check_same_shape(predicted, maps)
    site_r = MEASURES[measure](predicted, maps)
    image_r = over_sites(site_r, reducer, protocol_named(protocol))
    return Predictivity(float(image_r.mean()), image_r, site_r, int(np.isnan(site_r).sum()))


def over_sites(
    site_values: NDArray[np.float64], reducer: str = "median", protocol: Protocol = OURS
) -> NDArray[np.float64]:
    """Reduce the values of each image over sites.

    Parameters
    ----------
    site_values : array, shape (image, site)
        NaN where undefined.
    reducer : "median" or "mean"
    protocol : Protocol
        Its ``reduce_sites`` selects the defined sites, or all sites.

    Returns
    -------
    array, shape (image,)
        NaN for an image on which every site is undefined; with all sites, for an image on which any site is.

    Raises
    ------
    UsageError
        When the reducer is unknown.

    Examples
    --------
    >>> over_sites(np.array([[0.5, 0.75, np.nan], [0.25, 0.5, 1.0]])).tolist()
    [0.625, 0.5]
    """
    if protocol.reduce_sites == "all" and reducer in STRICT_REDUCERS:
        return STRICT_REDUCERS[reducer](site_values, axis=1)
    return over_defined_sites(site_values, reducer)


def over_defined_sites(site_values: NDArray[np.float64], reducer: str = "median") -> NDArray[np.float64]:
    """Reduce the values of each image over the sites on which they are defined; see :func:`over_sites`.

    Raises
    ------
    UsageError
        When the reducer is unknown.

    Examples
    --------
    >>> over_defined_sites(np.array([[0.5, 0.75, np.nan], [0.25, 0.5, 1.0]]), "mean").round(3).tolist()
    [0.625, 0.583]
    """
    if reducer not in REDUCERS:
        raise UsageError(f"There is no reducer named {reducer!r}.", nearest(str(reducer), REDUCERS))
    missing = np.isnan(site_values)
    if not missing.any():
        return STRICT_REDUCERS[reducer](site_values, axis=1)
    defined = ~missing.all(axis=1)
    result = np.full(len(site_values), np.nan)
    result[defined] = REDUCERS[reducer](site_values[defined], axis=1)
    return result


def over_images(site_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average values (..., image, site) over the images on which a site is defined, shape (..., site).

    The mean is NaN for a site that is undefined on every image.

    Examples
    --------
    >>> over_images(np.array([[0.5, 0.75, np.nan], [0.25, np.nan, np.nan]])).tolist()
    [0.375, 0.75, nan]
    """
    defined = ~np.isnan(site_values)
    count = defined.sum(axis=-2)
    mean: NDArray[np.float64] = np.where(defined, site_values, 0).sum(axis=-2) / np.where(count, count, np.nan)
    return mean


def check_same_shape(predicted: ArrayLike, maps: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check that predicted and recorded maps have one shape (image, y, x, site), and return them as arrays.

    Raises
    ------
    ArrayError
        When the shapes differ, or have another number of axes.

    Examples
    --------
    >>> predicted, maps = check_same_shape([[[[1.0, 2.0]]]], np.ones((1, 1, 1, 2)))
    >>> predicted.shape
    (1, 1, 1, 2)
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
        NaN where the correlation is undefined, because one of the two maps is constant or holds a NaN.

    Examples
    --------
    >>> maps = np.arange(40.0).reshape(2, 5, 4, 1) * [1.0, 0.0]
    >>> site_correlation(1 - maps, maps).round(6).tolist()
    [[-1.0, nan], [-1.0, nan]]
    """
    return _pearson(_positions_first(predicted), _positions_first(maps))


def site_rank_correlation(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Spearman's rho over the positions of each map, for every image and site.

    Parameters and result are those of :func:`site_correlation`.

    Examples
    --------
    >>> maps = np.arange(40.0).reshape(2, 5, 4, 1)
    >>> site_rank_correlation(maps**3, maps).round(6).tolist()
    [[1.0], [1.0]]
    """
    from scipy.stats import rankdata  # takes most of a second to import, which lists of results do not need

    pair = [_positions_first(values) for values in (predicted, maps)]
    rho = _pearson(*(rankdata(values, axis=1) for values in pair))
    constant = _is_constant(pair[0]) | _is_constant(pair[1])  # ranks of rounding errors would correlate
    return np.where(constant, np.nan, rho)


def site_explained_variance(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the share of each map's variance over positions that the prediction explains.

    It is 1 - variance of the residual / variance of the map, scikit-learn's ``explained_variance_score``, and below 0
    where the prediction is worse than any constant. Unlike a correlation it depends on the size of the responses.

    Parameters and result are those of :func:`site_correlation`; NaN where the recorded map is constant.

    Examples
    --------
    >>> maps = np.arange(40.0).reshape(2, 5, 4, 1)
    >>> site_explained_variance(maps / 2, maps).tolist()
    [[0.75], [0.75]]
    """
    residual, recorded = _positions_first(maps) - _positions_first(predicted), _positions_first(maps)
    variance = np.where(_is_constant(recorded), np.nan, recorded.var(axis=1))
    explained: NDArray[np.float64] = 1 - residual.var(axis=1) / variance
    return explained


MEASURES: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "pearson": site_correlation,
    "spearman": site_rank_correlation,
    "explained_variance": site_explained_variance,
}


def site_agreement(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Pearson's r of each site's map with the mean map of all other sites, for every image and site.

    Arcaro et al. (2020, eLife 9:e53798) report it for each array; their average is .73.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
        At least two sites.

    Returns
    -------
    array, shape (image, site)
        NaN where a map is constant.

    Raises
    ------
    ArrayError
        With one site.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(2, 6, 5, 1)) + rng.normal(size=(2, 6, 5, 3))
    >>> site_agreement(maps).round(2).tolist()
    [[0.63, 0.55, 0.59], [0.48, 0.62, 0.58]]
    """
    if maps.shape[-1] < 2:
        raise ArrayError("The agreement of a site with other sites needs at least 2 sites.", "Give more sites.")
    precise = maps.astype(np.float64, copy=False)
    return site_correlation((precise.sum(axis=-1, keepdims=True) - precise) / (precise.shape[-1] - 1), precise)


def _positions_first(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flatten y and x to one axis of positions, before that of sites."""
    return maps.reshape(len(maps), -1, maps.shape[-1]).astype(np.float64, copy=False)  # (image, y * x, site)


def _is_constant(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether values are constant along axis 1, to rounding."""
    along = np.ascontiguousarray(values.swapaxes(1, 2))  # numpy finds extremes along the last axis much faster
    highest, lowest = along.max(axis=2), along.min(axis=2)
    rounding = np.finfo(float).eps * values.shape[1] * np.maximum(np.abs(highest), np.abs(lowest))
    constant: NDArray[np.bool_] = ~(highest - lowest > rounding)  # also where there is a NaN
    return constant


@short_repr
class CentredMaps(NamedTuple):
    """Maps minus their means, (image, position, site), and their sizes (image, site); NaN where a map is constant."""

    values: NDArray[np.float64]
    size: NDArray[np.float64]

    @classmethod
    def of(cls, maps: NDArray[np.float64]) -> "CentredMaps":
        """Centre maps (image, y, x, site)."""
        return cls._of_positions(_positions_first(maps))

    @classmethod
    def _of_positions(cls, values: NDArray[np.float64]) -> "CentredMaps":
        centred = values - values.mean(axis=1, keepdims=True)
        return cls(centred, np.where(_is_constant(values), np.nan, np.linalg.norm(centred, axis=1)))

    def correlation(self, other: "CentredMaps") -> NDArray[np.float64]:
        """Compute Pearson's r with other maps, shape (image, site); NaN where one of the two is constant."""
        correlation: NDArray[np.float64] = np.einsum("ips,ips->is", self.values, other.values)
        return correlation / (self.size * other.size)


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Pearson's r along axis 1; NaN where one side is constant."""
    return CentredMaps._of_positions(a).correlation(CentredMaps._of_positions(b))


def coarsened(maps: NDArray[np.float64], scale: int) -> NDArray[np.floating[Any]]:
    """Average maps over ``size // scale`` equal tiles along each axis; positions on a border count in part.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    scale : int
        Approximate number of positions along each side of a tile; 1 leaves the maps unchanged.

    Returns
    -------
    array, shape (image, y // scale, x // scale, site)

    Examples
    --------
    >>> maps = np.arange(20.0).reshape(1, 5, 4, 1)
    >>> coarsened(maps, 2)[0, :, :, 0].round(2).tolist()
    [[3.7, 5.7], [13.3, 15.3]]
    """
    if scale == 1:
        return maps
    down, across = (_areas(size, size // scale) for size in maps.shape[1:3])
    averaged: NDArray[np.float64] = np.einsum(
        "ay,iyxs,bx->iabs", down, maps.astype(np.float64, copy=False), across, optimize=True
    )
    return averaged


def published_coarsened(maps: NDArray[np.float64], scale: int) -> NDArray[np.floating[Any]]:
    """Downsample maps as the published code does: bilinearly in single precision, without antialiasing.

    This is TensorFlow's ``tf.image.resize`` in its default mode: of 17 positions it reads 8 and drops the others.

    Parameters and shape of the result are those of :func:`coarsened`.

    Examples
    --------
    >>> maps = np.arange(20.0).reshape(1, 5, 4, 1)
    >>> published_coarsened(maps, 2)[0, :, :, 0].tolist()
    [[3.5, 5.5], [13.5, 15.5]]
    """
    values = maps.astype(np.float32)
    for axis in (2, 1):  # x first, as TensorFlow does, because the order decides rounding
        size = values.shape[axis]
        low, high, share = half_pixel(size, size // scale)
        share = share.reshape([-1 if a == axis else 1 for a in range(values.ndim)]).astype(np.float32)
        first, second = values.take(low, axis), values.take(high, axis)
        values = first + (second - first) * share
    return values


COARSENERS = {"tiles": coarsened, "bilinear": published_coarsened}


def half_pixel(size: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Compute lower and upper neighbours, and the upper weights, of ``length`` points at the centres of equal tiles.

    Examples
    --------
    >>> low, high, weight = half_pixel(5, 2)
    >>> low.tolist(), high.tolist(), weight.tolist()
    ([0, 3], [1, 4], [0.75, 0.25])
    """
    positions = (np.arange(length) + 0.5) * size / length - 0.5
    low = np.floor(positions).astype(np.int64)
    return np.clip(low, 0, size - 1), np.clip(low + 1, 0, size - 1), positions - low


def _areas(size: int, length: int) -> NDArray[np.float64]:
    """Compute the share of each position (column) in each of ``length`` equal tiles (row)."""
    edges = np.linspace(0, size, length + 1)
    first, last = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(last, np.arange(size) + 1) - np.maximum(first, np.arange(size))
    shares: NDArray[np.float64] = np.maximum(overlap, 0) * length / size
    return shares
