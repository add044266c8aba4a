"""Read the eLife authors' response maps (GitHub: mikearcaro/NoHeadResponseMaps): one map per image.

A file contains ``MLcurr_data`` and, for monkey 1, ``PLcurr_data``, with axes (x, y, image), and the images as
``Expimages``, with axes (height, width, RGB, image). The authors' script overlays a map after reversing its first axis.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from brainscore_itmaps.data.arcaro2020 import CITATION, MARKER, Array, Window, image_prefix, sites_with_values
from brainscore_itmaps.data.grid import Grid, orient_maps
from brainscore_itmaps.data.matfiles import check_present, numbers, shapes
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, UsageError

ORIENTATION = "flip_y"
"""Orientation in the authors' script."""
FIX = "Use a published file of response maps."


def read_response_maps(
    file: Path, array: Array, window: Window, orientation: str, sha256: str, images: Path
) -> Recording:
    """Read the population maps of one array from a file of response maps, and write its images.

    Parameters
    ----------
    file : Path
        The ``.mat`` file.
    array : Array
    window : (int, int)
        Must be the window ``elife``: the file contains means over that window only.
    orientation : str
        A name of ``ORIENTATIONS``.
    sha256 : str
        sha256 of the file.
    images : Path
        Folder that the images are written into, as RGB PNG files.

    Returns
    -------
    Recording
        With one site, the population.

    Raises
    ------
    DataError
        When variables are missing or their shapes do not fit together.
    UsageError
        When the window is not ``elife``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps.data.arcaro2020 import ARRAYS
    >>> from scipy.io import savemat
    >>> variables = {"MLcurr_data": np.zeros((9, 9, 3)), "Expimages": np.zeros((20, 30, 3, 3), np.uint8)}
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.mat")
    ...     savemat(file, variables)
    ...     recording = read_response_maps(file, ARRAYS["monkey2_ML"], (150, 300), "flip_y", "ab12", Path(folder))
    >>> recording.maps.shape, recording.sites
    ((3, 9, 9, 1), ('monkey2_ML-population',))
    """
    if window != array.windows["elife"]:
        start, stop = array.windows["elife"]
        raise UsageError(
            f"{file} contains means over {start}-{stop} ms only, not over {window[0]}-{window[1]} ms.",
            "Omit the window, or load the full recording.",
        )
    name = f"{array.area}curr_data"
    check_present(file, name, "Expimages")
    shape, images_shape = shapes(file)[name], shapes(file)["Expimages"]
    n = array.positions
    if len(shape) != 3 or shape[:2] != (n, n):
        raise DataError(f"{file}: {name} has shape {shape}; expected ({n}, {n}, image): x, y, image.", FIX)
    if len(images_shape) != 4 or images_shape[2] != 3 or images_shape[3] != shape[2]:
        raise DataError(
            f"{file}: Expimages has shape {images_shape}; expected (height, width, 3, {shape[2]}): one image per map.",
            FIX,
        )
    maps = numbers(file, name)  # (x, y, image)
    population = f"{array.name}-population"
    sites_with_values(maps[:, :, None, None, :], np.array([population]), array.name)
    simulated = MARKER in shapes(file)
    suffix = "-simulated" if simulated else ""
    return Recording(
        identifier=f"{array.identifier}-population{suffix}",
        maps=orient_maps(maps.transpose(2, 0, 1)[..., None].astype(np.float64), orientation),
        images=_write_images(file, images / image_prefix(array, simulated)),
        grid=Grid.even(n),
        window=window,
        subject=array.subject,
        area=array.area,
        sites=(population,),
        sha256=sha256,
        citation=f"Simulated by brainscore_itmaps after the facts published in {CITATION}" if simulated else CITATION,
        simulated=simulated,
        orientation=orientation,
        stretched=True,  # as the published loader shows them: the file does not say their size
    )


def _write_images(file: Path, prefix: Path) -> tuple[Path, ...]:
    pixels = numbers(file, "Expimages")  # (height, width, RGB, image)
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
            raise DataError(f"{file}: Expimages contains values outside 0 to 255.", FIX)
        if pixels.max() <= 1:
            pixels = pixels * 255
    elif pixels.dtype != np.uint8:
        raise DataError(
            f"{file}: Expimages has type {pixels.dtype}; expected uint8, or real numbers from 0 to 1 or 255.",
            FIX,
        )
    files = []
    for number, image in enumerate(pixels.transpose(3, 0, 1, 2), 1):
        files.append(prefix.with_name(f"{prefix.name}-figure-{number:02d}.png"))
        Image.fromarray(np.ascontiguousarray(image.round().astype(np.uint8))).save(files[-1])
    return tuple(files)
