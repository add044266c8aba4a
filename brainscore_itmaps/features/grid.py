"""Sample the activations of layers at the positions of a recording's grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.cache import array_content
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.features.published import published_field
from brainscore_itmaps.metrics.rows import Enlarged
from brainscore_itmaps.protocol import OURS, Protocol
from brainscore_itmaps.text import ShortDict, short_repr


@overload
def to_grid(features: NDArray[np.floating[Any]], grid: Grid | Recording) -> NDArray[np.float64]: ...
@overload
def to_grid(
    features: Mapping[str, NDArray[np.floating[Any]]], grid: Grid | Recording
) -> dict[str, NDArray[np.float64]]: ...
def to_grid(features: Any, grid: Grid | Recording | None = None) -> Any:
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
        raise UsageError(
            f"{type(grid).__name__} is not a grid." if grid is not None else "The grid is missing.",
            "Give recording.grid, or a brainscore_itmaps.Grid.",
        )
    if isinstance(features, Mapping):
        return ShortDict({layer: to_grid(maps, grid) for layer, maps in features.items()})
    maps = np.asarray(features)
    if maps.ndim != 4 or maps.dtype.kind not in "fiu":
        raise ArrayError(
            f"The features have the shape {maps.shape}.",
            "Give (image, channel, height, width), as record returns it.",
        )
    return sampled(maps, grid.y / grid.height + 0.5, grid.x / grid.width + 0.5)


def sampled(maps: NDArray[Any], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate maps linearly at rows and columns of the image.

    Parameters
    ----------
    maps : array, shape (image, channel, height, width)
        The outer units are at the edges of the image.
    y, x : array, shape (y,) and (x,)
        Shares of the image's height and width: 0 at its top and left edge, 1 at its bottom and right edge.

    Returns
    -------
    array, shape (image, y, x, channel)

    Examples
    --------
    >>> sampled(np.arange(4.0).reshape(1, 1, 2, 2), np.array([0.5]), np.array([0, 1.0]))[0, 0, :, 0].tolist()
    [1.0, 2.0]
    """
    down, across = interpolation(maps.shape[2], y), interpolation(maps.shape[3], x)
    rows = np.flatnonzero(down.any(axis=0))  # of a large map, few rows are near a position
    field = np.empty((len(maps), len(y), len(x), maps.shape[1]))
    for image, units in zip(field, maps, strict=True):
        near = np.moveaxis(units[:, rows], 0, -1).astype(np.float64, order="C")  # (row, column, channel)
        lines = down[:, rows] @ near.reshape(len(rows), -1)
        np.matmul(across, lines.reshape(len(y), -1, units.shape[0]), out=image)
    return field


def interpolation(units: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute interpolation weights (position, unit) for positions from 0 to 1; the outer units are at the edges.

    Examples
    --------
    >>> interpolation(3, np.array([0.0, 0.25, 0.5, 1.0])).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    coordinates = np.clip(positions, 0, 1) * (units - 1)
    low = np.clip(np.floor(coordinates).astype(np.int64), 0, max(units - 2, 0))
    high = np.minimum(low + 1, units - 1)
    weights, each = np.zeros((len(positions), units)), np.arange(len(positions))
    weights[each, low] = 1 - (coordinates - low)
    weights[each, high] += coordinates - low
    return weights


@short_repr
@dataclass(frozen=True)
class LayerFeatures:
    """Features of one layer for every image, stored no larger than the grid needs.

    Attributes
    ----------
    values : array, shape (image, y, x, channel)
        Units of the layer, if they are no more than the positions of the grid; else the field at the grid.
    at_grid : bool
        Whether the values are at the positions of the grid.
    """

    values: NDArray[np.floating[Any]]
    at_grid: bool

    @property
    def content(self) -> str:
        """Return a hash of the values and of whether they are at the grid."""
        return f"{array_content(self.values)} {self.at_grid}"

    def field(self, grid: Grid) -> NDArray[np.floating[Any]]:
        """Return the features at a grid, shape (image, y, x, channel)."""
        return self.values if self.at_grid else to_grid(np.moveaxis(self.values, -1, 1), grid)

    def compact(self, grid: Grid) -> NDArray[np.floating[Any]] | Enlarged:
        """Return the features at a grid for a regression, as units if they are fewer than the grid's positions."""
        if self.at_grid:
            return self.values
        down, across = (
            interpolation(units, positions / extent + 0.5)
            for units, positions, extent in zip(
                self.values.shape[1:3], (grid.y, grid.x), (grid.height, grid.width), strict=True
            )
        )
        return Enlarged(self.values, down, across)


def downsample_if_larger(
    maps: NDArray[np.floating[Any]], grid: Grid, protocol: Protocol = OURS, first: int = 0
) -> LayerFeatures:
    """Downsample a layer's maps to a grid if they are larger than the grid.

    Parameters
    ----------
    maps : array, shape (image, channel, y, x)
        Activations of a batch; the result for an image does not depend on the other images.
    grid : Grid
    protocol : Protocol
        Its ``resample`` is a key of :data:`RESAMPLERS`.
    first : int
        Index of the first image of the batch, for error messages.

    Examples
    --------
    >>> large, small = np.zeros((2, 3, 7, 8)), np.zeros((2, 3, 4, 5))
    >>> downsample_if_larger(large, Grid.even(6)).values.shape
    (2, 6, 6, 3)
    >>> downsample_if_larger(small, Grid.even(6)).values.shape
    (2, 4, 5, 3)
    """
    return RESAMPLERS[protocol.resample](maps, grid, first)


def _at_positions(maps: NDArray[np.floating[Any]], grid: Grid, first: int) -> LayerFeatures:
    """Sample maps that are larger than the grid at its positions."""
    if maps.shape[2] * maps.shape[3] <= len(grid.y) * len(grid.x):
        return LayerFeatures(np.moveaxis(maps, 1, -1), at_grid=False)
    return LayerFeatures(to_grid(maps, grid), at_grid=True)


RESAMPLERS: dict[str, Callable[[NDArray[np.floating[Any]], Grid, int], LayerFeatures]] = {
    "positions": _at_positions,
    "published": lambda maps, grid, first: LayerFeatures(
        published_field(np.moveaxis(maps, 1, -1), len(grid.y), first), at_grid=True
    ),
}


def concatenate_batches(batches: list[LayerFeatures]) -> LayerFeatures:
    """Concatenate the images of several batches.

    Examples
    --------
    >>> batches = [LayerFeatures(np.zeros((images, 4, 5, 3)), at_grid=False) for images in (2, 1)]
    >>> concatenate_batches(batches).values.shape
    (3, 4, 5, 3)
    """
    return LayerFeatures(np.concatenate([batch.values for batch in batches]), batches[0].at_grid)


def side_by_side(layers: list[LayerFeatures], grid: Grid) -> LayerFeatures:
    """Concatenate the channels of several layers at the grid.

    Examples
    --------
    >>> layers = [LayerFeatures(np.zeros((2, 4, 5, channels)), at_grid=False) for channels in (3, 8)]
    >>> side_by_side(layers, Grid.even(6)).values.shape
    (2, 6, 6, 11)
    """
    return LayerFeatures(np.concatenate([layer.field(grid) for layer in layers], axis=-1), at_grid=True)
