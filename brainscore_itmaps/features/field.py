"""Features of a layer, kept no larger than the grid of a recording needs them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.cache import array_content
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.published import published_field
from brainscore_itmaps.protocol import OURS, Protocol


@dataclass(frozen=True)
class LayerFeatures:
    """What a layer answered to every picture.

    Attributes
    ----------
    values : array, shape (image, y, x, channel)
        The layer's own units, where they are no more than the grid's positions; else the field at the grid.
    at_grid : bool
        Which of the two.
    """

    values: NDArray[np.floating[Any]]
    at_grid: bool

    @property
    def content(self) -> str:
        """Hash of the values, and of where they lie."""
        return f"{array_content(self.values)} {self.at_grid}"

    def field(self, grid: Grid) -> NDArray[np.floating[Any]]:
        """The field at a grid, shape (image, y, x, channel)."""
        return self.values if self.at_grid else to_grid(np.moveaxis(self.values, -1, 1), grid)


def downsample_if_larger(
    maps: NDArray[np.floating[Any]], grid: Grid, protocol: Protocol = OURS, first: int = 0
) -> LayerFeatures:
    """Downsample a layer's maps to a grid; maps smaller than the grid stay as they are.

    Parameters
    ----------
    maps : array, shape (image, channel, y, x)
        Of some of the images: each is treated alone, so that those of several batches may be joined.
    grid : Grid
    protocol : Protocol
        Its ``resample``, a name of :data:`RESAMPLERS`.
    first : int
        Number of the first of these images, for errors.
    """
    return RESAMPLERS[protocol.resample](maps, grid, first)


def _sampled(maps: NDArray[np.floating[Any]], grid: Grid, first: int) -> LayerFeatures:
    if maps.shape[2] * maps.shape[3] <= len(grid.y) * len(grid.x):
        return LayerFeatures(np.moveaxis(maps, 1, -1), at_grid=False)
    return LayerFeatures(to_grid(maps, grid), at_grid=True)


RESAMPLERS: dict[str, Callable[[NDArray[np.floating[Any]], Grid, int], LayerFeatures]] = {
    "positions": _sampled,
    "published": lambda maps, grid, first: LayerFeatures(
        published_field(np.moveaxis(maps, 1, -1), len(grid.y), first), at_grid=True
    ),
}


def joined(batches: list[LayerFeatures]) -> LayerFeatures:
    """Put the pictures of several batches together."""
    return LayerFeatures(np.concatenate([batch.values for batch in batches]), batches[0].at_grid)


def side_by_side(layers: list[LayerFeatures], grid: Grid) -> LayerFeatures:
    """The channels of several layers as those of one."""
    return LayerFeatures(np.concatenate([layer.field(grid) for layer in layers], axis=-1), at_grid=True)
