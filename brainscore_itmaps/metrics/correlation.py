"""How alike two maps are, position by position."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from brainscore_itmaps.errors import ArrayError


def site_correlation(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation over the positions of each map, for every image and site.

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
    """Spearman correlation over the positions of each map, for every image and site.

    Parameters and result are those of :func:`site_correlation`.
    """
    pair = [_positions_first(values) for values in (predicted, maps)]
    rho = _pearson(*(rankdata(values, axis=1) for values in pair))
    constant = _is_constant(pair[0]) | _is_constant(pair[1])  # rounding has ranks too
    return np.where(constant, np.nan, rho)


def site_explained_variance(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each map's variance over positions that the prediction explains, for every image and site.

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
    """Pearson correlation of each site's map with the mean map of all other sites, for every image and site.

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
    """Constant along axis 1, to rounding."""
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
