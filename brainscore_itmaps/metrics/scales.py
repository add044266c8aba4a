"""Maps at coarser scales."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def coarsened(maps: NDArray[np.float64], scale: int) -> NDArray[np.floating[Any]]:
    """Average maps over areas: ``size // scale`` equal tiles along each axis; positions on a border count in part.

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
    """Lower and upper neighbour, and the upper one's weight, of ``length`` points at the centres of equal tiles."""
    place = (np.arange(length) + 0.5) * size / length - 0.5
    low = np.floor(place).astype(np.int64)
    return np.clip(low, 0, size - 1), np.clip(low + 1, 0, size - 1), place - low


def _areas(size: int, length: int) -> NDArray[np.float64]:
    """Share of each position (column) in each of ``length`` equal tiles (row)."""
    edges = np.linspace(0, size, length + 1)
    first, last = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(last, np.arange(size) + 1) - np.maximum(first, np.arange(size))
    shares: NDArray[np.float64] = np.maximum(overlap, 0) * length / size
    return shares
