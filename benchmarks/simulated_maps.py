"""Simulate maps with a known signal, and features of a known worth, for the benchmarks of ceilings and intervals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation

Array = NDArray[np.float64]
EDGE = 4  # positions that are cut off on each side, so that opposite borders are independent


class Maps(NamedTuple):
    """Maps of an array (image, y, x, site), and what they were made of.

    Attributes
    ----------
    maps : array, shape (image, y, x, site)
        Signal and noise.
    shared : array, shape (image, y, x, site)
        The part of the signal that sites share.
    latents : array, shape (image, y, x, latent)
        The maps of which ``shared`` is a weighted sum.
    """

    maps: Array
    shared: Array
    latents: Array


def smooth_fields(rng: np.random.Generator, images: int, grid: int, count: int, smoothing: float) -> Array:
    """Draw smooth random maps with an expected variance of 1, shape (image, y, x, count); images are independent."""
    size = grid + 2 * EDGE
    impulse = np.zeros((size, size))
    impulse[size // 2, size // 2] = 1
    deviation = np.linalg.norm(gaussian_filter(impulse, smoothing, mode="wrap"))
    noise = rng.normal(size=(images, size, size, count))
    fields: Array = gaussian_filter(noise, (0, smoothing, smoothing, 0), mode="wrap")[:, :grid, :grid] / deviation
    return fields


def simulated_maps(
    rng: np.random.Generator,
    *,
    sites: int = 32,
    latents: int = 8,
    private: float = 0.0,
    reliability: float = 0.5,
    images: int = 14,
    grid: int = 13,
    smoothing: float = 1.5,
) -> Maps:
    """Simulate sites that weight the same latent maps, each with a private signal and noise of its own.

    ``private`` is the private share of the variance of a site's signal, ``reliability`` the share of the signal in the
    variance of its maps.
    """
    fields = smooth_fields(rng, images, grid, latents, smoothing)
    weights = rng.normal(size=(latents, sites))
    shared = fields @ (weights / np.linalg.norm(weights, axis=0))
    own = smooth_fields(rng, images, grid, sites, smoothing)
    signal = np.sqrt(1 - private) * shared + np.sqrt(private) * own
    maps = np.sqrt(reliability) * signal + np.sqrt(1 - reliability) * rng.normal(size=shared.shape)
    return Maps(maps, shared, fields)


def simulated_features(
    rng: np.random.Generator,
    latents: Array,
    *,
    worth: float | Array = 0.6,
    channels: int = 60,
    smoothing: float = 1.5,
    mixing: np.random.Generator | None = None,
) -> Array:
    """Simulate features that contain each latent map with this share of its variance, besides unrelated maps.

    ``worth`` may differ between images: an array of shape (image, 1, 1, 1).

    ``mixing`` draws the weights of the channels, which belong to the model; by default they are drawn like the maps.
    """
    images, grid, _, count = latents.shape
    unrelated = smooth_fields(rng, images, grid, count, smoothing)
    contained = np.sqrt(worth) * latents + np.sqrt(1 - worth) * unrelated
    mixed = np.concatenate([contained, smooth_fields(rng, images, grid, 20, smoothing)], axis=-1)
    result: Array = mixed @ (mixing or rng).normal(size=(mixed.shape[-1], channels))
    return result


def predictivity(predicted: Array, maps: Array) -> float:
    """Compute the statistic of a score: the median over sites of Pearson r, averaged over images."""
    return float(over_sites(site_correlation(predicted, maps)).mean())
