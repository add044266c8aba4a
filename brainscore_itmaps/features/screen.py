"""Pictures at their size in degrees on the screen that a model sees."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.pictures import placed_pictures, read_picture
from brainscore_itmaps.data.recording import Recording, pictures_identifier
from brainscore_itmaps.errors import DataError

GREY = "gray"


def placed_on_screen(recording: Recording, degrees: float) -> Recording:
    """Show each picture at its size in degrees to a model that sees so many, and keep the positions in its view.

    As Brain-Score's ``place_on_screen``: a model that sees less than the picture is shown its middle, one that sees
    more is shown it on grey. Positions on the edge of the view count as seen.

    Parameters
    ----------
    recording : Recording
    degrees : float
        Width and height of the model's view.

    Returns
    -------
    Recording
        With pictures as wide as the view, and the maps at the positions in it.

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
            "Choose a benchmark that shows whole pictures.",
        )
    inside = np.ix_(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.png" for name in recording.names]
        for image, file in zip(recording.images, files, strict=True):
            on_screen(read_picture(image), degrees / grid.extent).save(file)
        images = placed_pictures(files, f"{pictures_identifier(recording)}-screen{degrees:g}")
    return replace(
        recording,
        images=images,
        maps=recording.maps[:, inside[0], inside[1]],
        repeats=None if recording.repeats is None else recording.repeats[:, :, inside[0], inside[1]],
        grid=Grid(y=grid.y[rows], x=grid.x[columns], extent=float(degrees)),
    )


def on_screen(picture: Image.Image, ratio: float) -> Image.Image:
    """Cut a picture to a share of its width and height, or lay it on grey that is so many times larger.

    Parameters
    ----------
    picture : Image
    ratio : float
        Width of the view, in widths of the picture.
    """
    size = np.array(picture.size)
    target: NDArray[np.int64] = (ratio * size).round().astype(int)
    if ratio >= 1:
        screen = Image.new("RGB", (int(target[0]), int(target[1])), GREY)
        left, top = ((target - size) / 2).round().astype(int)
        screen.paste(picture, (int(left), int(top)))
        return screen
    left, top = ((size - target) / 2).round().astype(int)
    return picture.crop((int(left), int(top), int(left + target[0]), int(top + target[1])))
