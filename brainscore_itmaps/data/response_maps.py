"""Read the eLife authors' response maps (GitHub: mikearcaro/NoHeadResponseMaps): one map per image.

A file holds ``MLcurr_data`` and, for monkey 1, ``PLcurr_data``, x by y by image, and the images as ``Expimages``,
height by width by RGB by image. Their script lays a map over its image after reversing the first axis alone.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from brainscore_itmaps.data.arcaro2020 import CITATION, MARKER, Array, Window, image_prefix, sites_with_values
from brainscore_itmaps.data.grid import Grid, oriented
from brainscore_itmaps.data.matfiles import check_present, numbers, shapes
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, UsageError

ORIENTATION = "flip_y"
"""What the authors' own script does."""
FIX = "Use a file of response maps as its authors published it."


def read_response_maps(
    file: Path, array: Array, window: Window, orientation: str, sha256: str, images: Path
) -> Recording:
    """Read the population maps of one array.

    Parameters
    ----------
    file : Path
        The ``.mat`` file.
    window : (int, int)
        Must be eLife's: the file holds means over that window only.
    orientation : str
        A name of ``ORIENTATIONS``.
    sha256 : str
        sha256 of the file.
    images : Path
        A folder to write the images into.

    Returns
    -------
    Recording with one site, the population

    Raises
    ------
    DataError
        When variables are missing or do not fit together.
    UsageError
        For another window.
    """
    if window != array.windows["elife"]:
        start, stop = array.windows["elife"]
        raise UsageError(
            f"{file} holds means over {start}-{stop} ms only, not over {window[0]}-{window[1]} ms.",
            "Leave the window out, or read the full recording.",
        )
    name = f"{array.area}curr_data"
    check_present(file, name, "Expimages")
    shape, shown = shapes(file)[name], shapes(file)["Expimages"]
    n = array.positions
    if len(shape) != 3 or shape[:2] != (n, n):
        raise DataError(f"{file}: {name} has shape {shape}; expected ({n}, {n}, image): x, y, image.", FIX)
    if len(shown) != 4 or shown[2] != 3 or shown[3] != shape[2]:
        raise DataError(
            f"{file}: Expimages has shape {shown}; expected (height, width, 3, {shape[2]}): one image for each map.",
            FIX,
        )
    maps = numbers(file, name)  # (x, y, image)
    population = f"{array.name}-population"
    sites_with_values(maps[:, :, None, None, :], np.array([population]), array.name)
    simulated = MARKER in shapes(file)
    suffix = "-simulated" if simulated else ""
    return Recording(
        identifier=f"{array.identifier}-population{suffix}",
        maps=oriented(maps.transpose(2, 0, 1)[..., None].astype(np.float64), orientation),
        images=_written(file, images / image_prefix(array, simulated)),
        grid=Grid.even(n),
        window=window,
        subject=array.subject,
        area=array.area,
        sites=(population,),
        sha256=sha256,
        citation=f"Simulated by brainscore_itmaps after the facts published in {CITATION}" if simulated else CITATION,
        simulated=simulated,
        orientation=orientation,
    )


def _written(file: Path, prefix: Path) -> tuple[Path, ...]:
    pixels = numbers(file, "Expimages")  # (height, width, RGB, image)
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
            raise DataError(f"{file}: Expimages holds values outside 0 to 255.", FIX)
        if pixels.max() <= 1:
            pixels = pixels * 255
    elif pixels.dtype != np.uint8:
        raise DataError(f"{file}: Expimages holds {pixels.dtype}; expected uint8, or numbers from 0 to 1 or 255.", FIX)
    files = []
    for number, image in enumerate(pixels.transpose(3, 0, 1, 2), 1):
        files.append(prefix.with_name(f"{prefix.name}-figure-{number:02d}.png"))
        Image.fromarray(np.ascontiguousarray(image.round().astype(np.uint8))).save(files[-1])
    return tuple(files)
