"""Every position of a picture at the centre of view, as the monkeys were shown it: one presentation a position."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.pictures import read_picture
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.record import record_batches
from brainscore_itmaps.models.layout import Layout, spatial_maps
from brainscore_itmaps.models.network import Network

CENTRE = Grid(y=np.zeros(1), x=np.zeros(1), extent=1.0)
CONTRAST = 0.2


def fixated(picture: Image.Image, grid: Grid, degrees: float) -> Iterator[Image.Image]:
    """Move a picture over the screen so that each position of the grid comes to the centre of view in turn.

    What the picture does not cover is brown noise that stands still (Arcaro, Ponce & Livingstone 2020: the pictures
    lay in brown noise that filled the screen; its contrast is not given, here a standard deviation of 0.2 around grey).

    Parameters
    ----------
    picture : Image
        Shown ``grid.extent`` degrees wide and high.
    grid : Grid
        Positions, in degrees from the picture's centre.
    degrees : float
        Width and height of the view.

    Yields
    ------
    Image
        Square, at the picture's resolution; row by row, the positions of a row from left to right.
    """
    side = max(picture.size)
    picture = picture if picture.size == (side, side) else picture.resize((side, side), Image.Resampling.BICUBIC)
    pixels = side / grid.extent  # per degree
    size = round(degrees * pixels)
    screen = brown_noise(size)
    for y in grid.y:
        for x in grid.x:
            view = screen.copy()
            left, top = (round(size / 2 - (at + grid.extent / 2) * pixels) for at in (x, y))
            view.paste(picture, (left, top))
            yield view


def brown_noise(size: int, seed: int = 0) -> Image.Image:
    """Grey noise whose power falls with the square of the spatial frequency, without steps at the edges.

    Parameters
    ----------
    size : int
        Width and height in pixels.
    seed : int
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf  # no mean
    white = np.fft.rfft2(np.random.default_rng(seed).normal(size=(size, size)))
    noise = np.fft.irfft2(white / frequency, s=(size, size))
    levels = 127.5 + noise * (255 * CONTRAST / (noise.std() or 1))
    return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8)).convert("RGB")


def at_centre(
    activation: NDArray[np.floating[Any]], layer: str, prefix: int | None = None, layout: Layout | None = None
) -> NDArray[np.float64]:
    """Read a layer at the centre of view: a pooled one as it is, one with a map between the units at its middle.

    Parameters
    ----------
    activation : array, shape (presentation, ...)
        As the layer gives it.
    layer : str
        Named in errors.
    prefix : int, optional
        Leading tokens, where they are known.
    layout : str or tuple, optional
        What the axes are, where somebody says so.

    Returns
    -------
    array, shape (presentation, channel)
    """
    if activation.ndim == 2 or activation[0].size == max(activation.shape[1:]):
        return activation.reshape(len(activation), -1).astype(np.float64)
    return to_grid(spatial_maps(activation, layer, prefix, layout), CENTRE)[:, 0, 0]


def fixated_features(
    network: Network, image: Path, layers: Sequence[str], grid: Grid, degrees: float, batch_size: int
) -> dict[str, NDArray[np.float64]]:
    """Show a network every position of one picture.

    Parameters
    ----------
    network : Network
    image : Path
    layers : sequence of str
        Pooled or with maps.
    grid : Grid
    degrees : float
        Width and height of the network's view.
    batch_size : int
        Positions shown at once.

    Returns
    -------
    dict of layer to array, shape (y, x, channel)
    """
    prefix = getattr(network.module, "num_prefix_tokens", None)
    views = list(fixated(read_picture(image), grid, degrees))
    batches = record_batches(
        network,
        views,
        layers,
        lambda activation, layer, first: at_centre(activation, layer, prefix),
        batch_size,
        names=[f"{image.stem} at position {number}" for number in range(len(views))],
    )
    shape = (len(grid.y), len(grid.x), -1)
    return {layer: np.concatenate(parts).reshape(shape) for layer, parts in batches.items()}
