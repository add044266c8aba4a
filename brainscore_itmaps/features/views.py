"""Show images at their size in degrees: on a screen as wide as the field of view, or under fixation."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import placed_images, read_image
from brainscore_itmaps.data.recording import Recording, images_identifier
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.record import record_batches
from brainscore_itmaps.models.layers import Layout, spatial_maps
from brainscore_itmaps.models.model import Model

GREY = "gray"


def placed_on_screen(recording: Recording, degrees: float) -> Recording:
    """Place each image on a screen as wide as the model's field of view, and keep the positions inside it.

    As Brain-Score's ``place_on_screen``: a model that sees less than the image is shown its middle, one that sees
    more is shown it on grey. Positions on the edge of the view count as seen.

    Parameters
    ----------
    recording : Recording
    degrees : float
        Width and height of the model's view.

    Returns
    -------
    Recording
        With images as wide as the view, and the maps at the positions in it.

    Raises
    ------
    DataError
        When fewer than 2 x 2 positions are in view.
    """
    grid = recording.grid
    if degrees == grid.extent:
        return recording
    rows, columns = (np.flatnonzero(np.abs(points) <= degrees / 2 + 1e-9) for points in (grid.y, grid.x))
    if min(len(rows), len(columns)) < 2:
        raise DataError(
            f"{recording.identifier}: {len(rows)} x {len(columns)} positions lie in a view of {degrees:g} degrees.",
            "Choose a benchmark that shows whole images.",
        )
    inside = np.ix_(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.png" for name in recording.names]
        for image, file in zip(recording.images, files, strict=True):
            on_screen(read_image(image), degrees / grid.extent).save(file)
        images = placed_images(files, f"{images_identifier(recording)}-screen{degrees:g}")
    return replace(
        recording,
        images=images,
        maps=recording.maps[:, inside[0], inside[1]],
        repeats=None if recording.repeats is None else recording.repeats[:, :, inside[0], inside[1]],
        grid=Grid(y=grid.y[rows], x=grid.x[columns], extent=float(degrees)),
    )


def on_screen(image: Image.Image, ratio: float) -> Image.Image:
    """Crop an image to a share of its width and height, or place it on grey that is larger by that factor.

    Parameters
    ----------
    image : Image
    ratio : float
        Width of the view, in widths of the image.
    """
    size = np.array(image.size)
    target: NDArray[np.int64] = (ratio * size).round().astype(int)
    if ratio >= 1:
        screen = Image.new("RGB", (int(target[0]), int(target[1])), GREY)
        left, top = ((target - size) / 2).round().astype(int)
        screen.paste(image, (int(left), int(top)))
        return screen
    left, top = ((size - target) / 2).round().astype(int)
    return image.crop((int(left), int(top), int(left + target[0]), int(top + target[1])))


CENTRE = Grid(y=np.zeros(1), x=np.zeros(1), extent=1.0)
CONTRAST = 0.2


def fixated(image: Image.Image, grid: Grid, degrees: float) -> Iterator[Image.Image]:
    """Move an image over the screen so that each position of the grid comes to the centre of view in turn.

    What the image does not cover is brown noise that stands still (Arcaro, Ponce & Livingstone 2020: the images
    lay in brown noise that filled the screen; its contrast is not given, here a standard deviation of 0.2 around grey).

    Parameters
    ----------
    image : Image
        Shown ``grid.extent`` degrees wide and high.
    grid : Grid
        Positions, in degrees from the image's centre.
    degrees : float
        Width and height of the view.

    Yields
    ------
    Image
        Square, at the image's resolution; row by row, the positions of a row from left to right.
    """
    side = max(image.size)
    image = image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BICUBIC)
    pixels = side / grid.extent  # per degree
    size = round(degrees * pixels)
    screen = brown_noise(size)
    for y in grid.y:
        for x in grid.x:
            view = screen.copy()
            left, top = (round(size / 2 - (at + grid.extent / 2) * pixels) for at in (x, y))
            view.paste(image, (left, top))
            yield view


def brown_noise(size: int, seed: int = 0) -> Image.Image:
    """Draw grey noise whose power falls with the square of the spatial frequency, without steps at the edges.

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
    """Read a layer at the centre of view: a pooled layer as it is, a map between the units at its middle.

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
    model: Model, image: Path, layers: Sequence[str], grid: Grid, degrees: float, batch_size: int
) -> dict[str, NDArray[np.float64]]:
    """Show a model every position of one image.

    Parameters
    ----------
    model : Model
    image : Path
    layers : sequence of str
        Pooled or with maps.
    grid : Grid
    degrees : float
        Width and height of the model's view.
    batch_size : int
        Positions shown at once.

    Returns
    -------
    dict of layer to array, shape (y, x, channel)
    """
    prefix = getattr(model.module, "num_prefix_tokens", None)
    views = list(fixated(read_image(image), grid, degrees))
    batches = record_batches(
        model,
        views,
        layers,
        lambda activation, layer, first: at_centre(activation, layer, prefix),
        batch_size,
        names=[f"{image.stem} at position {number}" for number in range(len(views))],
    )
    shape = (len(grid.y), len(grid.x), -1)
    return {layer: np.concatenate(parts).reshape(shape) for layer, parts in batches.items()}
