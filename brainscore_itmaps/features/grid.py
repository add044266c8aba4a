"""From a layer's own resolution to the grid of a recording."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.recording import Grid


def to_grid(maps: NDArray[np.floating[Any]], grid: Grid) -> NDArray[np.float64]:
    """Sample feature maps at the positions of a recording's grid, by linear interpolation.

    The grid's positions are points of the picture, its edges included (17 points 1 degree apart over 16 degrees), not
    the centres of 17 tiles. The first and last unit of a layer are taken to stand at the picture's edges, so a layer
    of 17 x 17 units is returned as it is. The published code averages or interpolates tiles instead, which shifts
    features against the recording by up to half a degree towards the picture's centre.

    Parameters
    ----------
    maps : array, shape (image, channel, height, width)
        Of any size.
    grid : Grid
        Of the recording.

    Returns
    -------
    array, shape (image, y, x, channel)
        In double precision.
    """
    rows = interpolation(maps.shape[2], grid.y / grid.extent + 0.5)
    columns = interpolation(maps.shape[3], grid.x / grid.extent + 0.5)
    lines = np.tensordot(rows, maps.astype(np.float64), axes=(1, 2))  # (y, image, channel, width)
    field = np.tensordot(lines, columns, axes=(3, 1))  # (y, image, channel, x)
    return np.ascontiguousarray(field.transpose(1, 0, 3, 2))


def interpolation(units: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of units, the first and last at the edges, for positions from 0 to 1: shape (position, unit)."""
    place = positions * (units - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(units)))
