"""How well predicted maps agree with recorded maps."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def site_correlation(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation over the positions of each map, for every image and site.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)

    Returns
    -------
    array, shape (image, site)
        NaN where one of the two maps is constant: there the correlation is undefined.
    """
    return _correlate(_positions_first(predicted), _positions_first(maps))


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
    """
    others = (maps.sum(axis=-1, keepdims=True) - maps) / (maps.shape[-1] - 1)
    return site_correlation(others, maps)


def neural_predictivity(site_r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over sites, for every image: the published statistic (Linsley et al. 2023, reference code).

    Parameters
    ----------
    site_r : array, shape (image, site)
        From :func:`site_correlation`. Undefined sites are left out of an image's median.

    Returns
    -------
    array, shape (image,)
        NaN for an image on which every site is undefined.
    """
    defined = np.isfinite(site_r).any(axis=1)
    result = np.full(len(site_r), np.nan)
    result[defined] = np.nanmedian(site_r[defined], axis=1)
    return result


def feature_alignment(predicted: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman correlation, over positions, of the two maps averaged over sites, for every image.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)

    Returns
    -------
    array, shape (image,)
        NaN where one of the two averaged maps is constant.
    """
    ranks = [rankdata(_positions_first(a).mean(axis=-1), axis=1) for a in (predicted, maps)]
    return _correlate(ranks[0][..., None], ranks[1][..., None])[:, 0]


def _positions_first(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    return maps.reshape(len(maps), -1, maps.shape[-1])  # (image, y * x, site)


def _correlate(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate along axis 1; NaN where one side is constant, to rounding."""
    sizes = []
    for values in (a, b):
        centred = values - values.mean(axis=1, keepdims=True)
        rounding = np.finfo(float).eps * values.shape[1] * np.abs(values).max(axis=1)
        size = np.where(np.ptp(values, axis=1) > rounding, np.linalg.norm(centred, axis=1), np.nan)
        sizes.append((centred, size))
    (a, size_a), (b, size_b) = sizes
    correlation: NDArray[np.float64] = np.einsum("ips,ips->is", a, b) / (size_a * size_b)
    return correlation
