"""Show images at their size in degrees: on a screen as wide as the field of view, or under fixation."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import copy_to_brainio_home
from brainscore_itmaps.data.recording import Recording, images_identifier
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.places import LayerReading
from brainscore_itmaps.features.record import record_batches
from brainscore_itmaps.images import read_image
from brainscore_itmaps.models.layers import Layout, spatial_maps
from brainscore_itmaps.models.model import Model

GREY = "gray"
CENTRE = Grid(y=np.zeros(1), x=np.zeros(1), extent=1.0)
CONTRAST = 0.2
"""Standard deviation of brown noise, in ranges of the grey values."""


def placed_on_screen(recording: Recording, degrees: float) -> Recording:
    """Place each image on a screen as wide as the model's field of view, and keep the positions inside it.

    This is Brain-Score's ``place_on_screen``: a model with a smaller view is shown the middle of the image, a model
    with a larger view is shown the image on grey. Positions on the edge of the view count as inside.

    Parameters
    ----------
    recording : Recording
    degrees : float
        Width and height of the model's view.

    Returns
    -------
    Recording
        With images as wide as the view, and maps at the positions inside the view.

    Raises
    ------
    DataError
        When fewer than 2 x 2 positions are in view.
    """
    grid = recording.grid
    if degrees == grid.extent:
        return recording
    ratios = (degrees / grid.height, degrees / grid.width)
    rows, columns = (np.flatnonzero(np.abs(points) <= degrees / 2 + 1e-9) for points in (grid.y, grid.x))
    if min(len(rows), len(columns)) < 2:
        raise DataError(
            f"{recording.identifier}: {len(rows)} x {len(columns)} positions lie in a view of {degrees:g} degrees.",
            "Choose a benchmark that shows whole images.",
        )
    in_view = np.ix_(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.png" for name in recording.names]
        for image, file in zip(recording.images, files, strict=True):
            on_screen(read_image(image), ratios).save(file)
        images = copy_to_brainio_home(files, f"{images_identifier(recording)}-screen{degrees:g}")
    return replace(
        recording,
        images=images,
        maps=recording.maps[:, in_view[0], in_view[1]],
        repeats=None if recording.repeats is None else recording.repeats[:, :, in_view[0], in_view[1]],
        grid=Grid(y=grid.y[rows], x=grid.x[columns], extent=float(degrees)),
        stretched=True,  # where an image has other pixels in a degree of height than of width
    )


def on_screen(image: Image.Image, ratios: tuple[float, float]) -> Image.Image:
    """Crop an image to a share of its height and width, or place it on grey of a multiple of them.

    Parameters
    ----------
    image : Image
    ratios : (float, float)
        Height of the view in heights of the image, and its width in widths of the image.

    Examples
    --------
    >>> image = Image.new("RGB", (32, 24))
    >>> on_screen(image, (0.5, 0.5)).size, on_screen(image, (2, 2)).size, on_screen(image, (2, 0.5)).size
    ((16, 12), (64, 48), (16, 48))
    """
    size = np.array(image.size)
    target: NDArray[np.int64] = (np.array(ratios[::-1]) * size).round().astype(int)
    left, top = (int(edge) for edge in ((size - target) / 2).round().astype(int))
    if min(ratios) < 1:
        width, height = (int(side) for side in np.minimum(size, target))
        corner = (max(left, 0), max(top, 0))
        image = image.crop((*corner, corner[0] + width, corner[1] + height))
    if max(ratios) < 1:
        return image
    screen = Image.new("RGB", (int(target[0]), int(target[1])), GREY)
    left, top = (int(edge) for edge in ((target - np.array(image.size)) / 2).round().astype(int))
    screen.paste(image, (left, top))
    return screen


def fixated(image: Image.Image, grid: Grid, degrees: float) -> Iterator[Image.Image]:
    """Move an image over the screen so that each position of the grid comes to the centre of view in turn.

    The rest of the screen is brown noise that does not move. In Arcaro, Ponce & Livingstone (2020), brown noise filled
    the screen around the images; they do not give its contrast, which is a standard deviation of 0.2 around grey here.

    Parameters
    ----------
    image : Image
        Displayed at the size of ``grid.extent`` in degrees.
    grid : Grid
        Positions, in degrees from the image's centre.
    degrees : float
        Width and height of the view.

    Yields
    ------
    Image
        Square views at the image's resolution, row by row, and from left to right in each row.

    Examples
    --------
    >>> views = list(fixated(Image.new("RGB", (32, 32)), Grid(y=np.zeros(1), x=np.arange(3.0), extent=16.0), 8.0))
    >>> len(views), views[0].size
    (3, (16, 16))
    """
    pixels = max(image.width / grid.width, image.height / grid.height)  # per degree
    shape = (round(grid.width * pixels), round(grid.height * pixels))
    image = image if image.size == shape else image.resize(shape, Image.Resampling.BICUBIC)
    size = round(degrees * pixels)
    screen = brown_noise(size)
    for y in grid.y:
        for x in grid.x:
            view = screen.copy()
            left = round(size / 2 - (x + grid.width / 2) * pixels)
            top = round(size / 2 - (y + grid.height / 2) * pixels)
            view.paste(image, (left, top))
            yield view


def brown_noise(size: int, seed: int = 0) -> Image.Image:
    """Draw grey noise whose power falls with the square of the spatial frequency, without steps at the edges.

    Parameters
    ----------
    size : int
        Width and height in pixels.
    seed : int
        Seed of the random numbers.

    Examples
    --------
    >>> brown_noise(16).size
    (16, 16)
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf  # removes the mean
    white = np.fft.rfft2(np.random.default_rng(seed).normal(size=(size, size)))
    noise = np.fft.irfft2(white / frequency, s=(size, size))
    levels = 127.5 + noise * (255 * CONTRAST / (noise.std() or 1))
    return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8)).convert("RGB")


def at_centre(
    activation: NDArray[np.floating[Any]], layer: str, prefix: int | None = None, layout: Layout | None = None
) -> NDArray[np.float64]:
    """Read a layer at the centre of view: a pooled layer as it is, a map by interpolation between its middle units.

    Parameters
    ----------
    activation : array, shape (presentation, ...)
        Activation as the layer returns it.
    layer : str
        Name of the layer, for error messages.
    prefix : int, optional
        Number of leading tokens, if known.
    layout : str or tuple, optional
        Meaning of the axes, if known.

    Returns
    -------
    array, shape (presentation, channel)

    Examples
    --------
    >>> activation = np.arange(24.0).reshape(2, 3, 2, 2)
    >>> at_centre(activation, "layer3").tolist()
    [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]
    """
    if activation.ndim == 2 or activation[0].size == max(activation.shape[1:]):
        return activation.reshape(len(activation), -1).astype(np.float64)
    return to_grid(spatial_maps(activation, layer, prefix, layout), CENTRE)[:, 0, 0]


def fixated_features(
    model: Model,
    image: Path,
    layers: Sequence[str] | Mapping[str, LayerReading],
    grid: Grid,
    degrees: float,
    batch_size: int,
) -> dict[str, NDArray[np.float64]]:
    """Record the features of a model at the centre of view, with every position of one image there in turn.

    Parameters
    ----------
    model : Model
    image : Path
    layers : sequence of str, or mapping of str to LayerReading
        Layers, pooled or with maps, or how each is read.
    grid : Grid
    degrees : float
        Width and height of the model's view.
    batch_size : int
        Number of positions per batch.

    Returns
    -------
    dict of layer name to array, shape (y, x, channel)

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8))
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> grid = Grid(y=np.arange(2.0), x=np.arange(3.0), extent=16.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "red.png"
    ...     Image.new("RGB", (32, 32), "red").save(path)
    ...     features = fixated_features(model, path, ["0"], grid, degrees=8.0, batch_size=4)
    >>> features["0"].shape
    (2, 3, 8)
    """
    prefix = getattr(model.module, "num_prefix_tokens", None)
    layouts = {layer: reading.layout for layer, reading in layers.items()} if isinstance(layers, Mapping) else {}
    views = list(fixated(read_image(image), grid, degrees))
    batches = record_batches(
        model,
        views,
        layers,
        lambda activation, layer, first: at_centre(activation, layer, prefix, layouts.get(layer)),
        batch_size,
        names=[f"{image.stem} at position {index}" for index in range(len(views))],
    )
    shape = (len(grid.y), len(grid.x), -1)
    return {layer: np.concatenate(parts).reshape(shape) for layer, parts in batches.items()}
