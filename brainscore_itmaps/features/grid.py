"""From a layer's own resolution to the grid of a recording."""

from collections.abc import Mapping
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ArrayError, UsageError


@overload
def to_grid(features: NDArray[np.floating[Any]], grid: Grid | Recording) -> NDArray[np.float64]: ...
@overload
def to_grid(
    features: Mapping[str, NDArray[np.floating[Any]]], grid: Grid | Recording
) -> dict[str, NDArray[np.float64]]: ...
def to_grid(features: Any, grid: Grid | Recording) -> Any:
    """Sample feature maps at the positions of a recording's grid, by linear interpolation.

    The grid's positions are points of the image, its edges included (17 points 1 degree apart over 16 degrees), not
    the centres of 17 tiles. The first and last unit of a layer are placed at the image's edges, so a layer of 17 x 17
    units is returned unchanged; positions beyond the edges take the value at the edge. The published code averages or
    interpolates tiles instead, which shifts features relative to the recording by up to half a degree towards the
    centre of the image.

    Parameters
    ----------
    features : array, shape (image, channel, height, width), or dict of layer name to array
        What :func:`brainscore_itmaps.record` returns, or one of its arrays.
    grid : Grid or Recording

    Returns
    -------
    array, shape (image, y, x, channel), or dict of layer name to array
        In double precision.

    Raises
    ------
    ArrayError
        When features do not have four axes.
    UsageError
        When ``grid`` is neither a Grid nor a Recording.

    Examples
    --------
    >>> features = {"layer3": np.zeros((2, 64, 7, 7))}
    >>> to_grid(features, Grid.even(17))["layer3"].shape
    (2, 17, 17, 64)
    """
    grid = grid.grid if isinstance(grid, Recording) else grid
    if not isinstance(grid, Grid):
        raise UsageError(f"{type(grid).__name__} is not a grid.", "Give recording.grid, or a brainscore_itmaps.Grid.")
    if isinstance(features, Mapping):
        return {layer: to_grid(maps, grid) for layer, maps in features.items()}
    maps = np.asarray(features)
    if maps.ndim != 4 or maps.dtype.kind not in "fiu":
        raise ArrayError(
            f"The features have the shape {maps.shape}.",
            "Give (image, channel, height, width), as record returns it.",
        )
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
