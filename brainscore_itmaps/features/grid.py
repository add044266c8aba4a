"""From a layer's own resolution to the grid of a recording."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.recording import Grid


def to_grid(maps: NDArray[np.floating[Any]], grid: Grid) -> NDArray[np.float64]:
    """Sample feature maps at the positions of a recording's grid, by linear interpolation.

    The grid's positions are points of the picture, its edges included (17 points 1 degree apart over 16 degrees), not
    the centres of 17 tiles. The first and last unit of a layer are taken to stand at the picture's edges, so a layer
    of 17 x 17 units is returned as it is; positions beyond the edges take the edge's value. The published code averages
    or interpolates tiles instead, which shifts features against the recording by up to half a degree towards the
    picture's centre.

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
    lines = _between(np.moveaxis(maps, 2, 0), grid.y / grid.extent + 0.5)  # (y, image, channel, width)
    field = _between(np.moveaxis(lines, 3, 0), grid.x / grid.extent + 0.5)  # (x, y, image, channel)
    return np.ascontiguousarray(field.transpose(2, 1, 0, 3))


def _between(units: NDArray[np.floating[Any]], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate along the first axis; a position on a unit takes that unit alone, one beyond the edge the edge's."""
    place = np.clip(positions, 0, 1) * (len(units) - 1)
    low = np.clip(np.floor(place).astype(np.int64), 0, max(len(units) - 2, 0))
    high = np.minimum(low + 1, len(units) - 1)
    share = (place - low).reshape(-1, *[1] * (units.ndim - 1))
    taken: NDArray[np.float64] = units[low] * (1 - share)
    taken += units[high] * share
    return taken


def interpolation(units: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of units, the first and last at the edges, for positions from 0 to 1: shape (position, unit)."""
    return _between(np.eye(units), positions)
