"""Read the maps of Arcaro, Ponce & Livingstone (2020), eLife 9:e53798: three arrays in two monkeys.

``imageRF`` has the axes (x, y, time, channel, image): 1 sample per millisecond from stimulus onset, 14 images. Both
grids span the 16 degrees of an image, including its edges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid, orient_maps
from brainscore_itmaps.data.images import find_images, plain_name, published_image
from brainscore_itmaps.data.matfiles import check_present, numbers, shapes, texts
from brainscore_itmaps.data.recording import Recording, parse_window
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.images import read_image
from brainscore_itmaps.protocol import Protocol

NAME = "Arcaro2020"
CITATION = (
    "Arcaro, Ponce & Livingstone (2020), The neurons that mistook a hat for a face, eLife 9:e53798, "
    "https://doi.org/10.7554/eLife.53798"
)
IMAGES = 14
LONGEST = 5000
MARKER = "SIMULATED"
"""Name of a variable that marks a file as a simulated stand-in, for which no animal was recorded."""

USE_PUBLISHED = f"Use the published file of {NAME}."

Window = tuple[int, int]


@dataclass(frozen=True)
class Array:
    """One electrode array, and its channels in the published file.

    Attributes
    ----------
    name, subject, area, hemisphere, hardware : str
        For example ``monkey1_PL``.
    mat, images : str
        Names of the monkey's file and of the folder with its images, in the same folder.
    channels : int
        Number of channels in the file.
    sites : slice
        Channels of this array.
    published_sites : slice
        Channels that the published loader assigns to this array, one of which belongs to ML, not PL.
    positions : int
        Number of positions along y and along x.
    windows : dict
        Windows by name, in milliseconds after stimulus onset, half-open.
    """

    name: str
    subject: str
    area: str
    hemisphere: str
    hardware: str
    mat: str
    images: str
    channels: int
    sites: slice
    published_sites: slice
    positions: int
    windows: dict[str, Window]

    @property
    def identifier(self) -> str:
        """Return the name of the array in outputs and in Brain-Score."""
        return f"{NAME}.{self.name}"


FOLLOW_UP = {
    "followup_51_90": (50, 90),
    "followup_91_130": (90, 130),
    "followup_131_170": (130, 170),
    "followup_171_210": (170, 210),
    "followup_211_250": (210, 250),
}
"""The five 40-ms windows of Linsley, Feng & Serre (2025, arXiv 2504.16940), who count from 1 and include both ends."""

ARRAYS = {
    array.name: array
    for array in (
        Array(
            name="monkey1_PL",
            subject="monkey1",
            area="PL",
            hemisphere="right",
            hardware="Microprobes FMA, 32 channels",
            mat="george_060118_data.mat",
            images="natural_test",
            channels=63,
            sites=slice(0, 32),
            published_sites=slice(0, 33),
            positions=17,
            windows={"elife": (100, 250), "tutorial": (90, 130), "loader": (50, 90), **FOLLOW_UP},
        ),
        Array(
            name="monkey1_ML",
            subject="monkey1",
            area="ML",
            hemisphere="right",
            hardware="NeuroNexus Matrix, 32 channels, the dead one not in the file",
            mat="george_060118_data.mat",
            images="natural_test",
            channels=63,
            sites=slice(32, 63),
            published_sites=slice(33, 63),
            positions=17,
            windows={"elife": (100, 250), "tutorial": (130, 170), "loader": (50, 90), **FOLLOW_UP},
        ),
        Array(
            name="monkey2_ML",
            subject="monkey2",
            area="ML",
            hemisphere="left",
            hardware="Microprobes FMA, 32 channels",
            mat="red_062419_data.mat",
            images="red_naturalface",
            channels=32,
            sites=slice(0, 32),
            published_sites=slice(0, 32),
            positions=9,
            windows={"elife": (150, 300), "tutorial": (90, 130), "loader": (50, 90), **FOLLOW_UP},
        ),
    )
}
"""The arrays by name. Windows are those of the eLife article, the published tutorial, loader and follow-up."""


DEFAULT_WINDOWS = {"ours": "elife", "published": "loader", "followup": "followup_131_170"}
PRECISIONS: dict[str, DTypeLike] = {"ours": np.float64, "published": None, "followup": np.float64}
"""Precision of means over time, by loader; None is the precision of the file."""
IMAGE_READERS: dict[str, Callable[[Path], Image.Image]] = {
    "ours": read_image,
    "published": published_image,
    "followup": read_image,
}


def window_limits(array: Array, window: Window | str | None, protocol: Protocol) -> Window:
    """Return the limits of a window in milliseconds after stimulus onset, half-open.

    Parameters
    ----------
    array : Array
        The windows of a name differ between arrays.
    window : (int, int), str or None
        Limits, a name, or None for the default window of the protocol's loader.
    protocol : Protocol

    Raises
    ------
    UsageError
        When the name is unknown or the window is not two whole numbers.

    Examples
    --------
    >>> from brainscore_itmaps.protocol import OURS
    >>> window_limits(ARRAYS["monkey2_ML"], None, OURS), window_limits(ARRAYS["monkey2_ML"], "tutorial", OURS)
    ((150, 300), (90, 130))
    """
    window = DEFAULT_WINDOWS[protocol.loader] if window is None else window
    if isinstance(window, str):
        if window not in array.windows:
            fix = f"{nearest(window, array.windows)} Or give its limits in ms, such as 100-250."
            raise UsageError(f"{array.name} has no window named {window!r}.", fix)
        return array.windows[window]
    return parse_window(window)


def check_shape(file: Path, array: Array) -> int:
    """Check the shape of a file's ``imageRF``, and return its duration in milliseconds.

    Raises
    ------
    DataError
        When the shape is wrong; the message gives both shapes.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "red_062419_data.mat")
    ...     savemat(file, {"imageRF": np.zeros((9, 9, 3, 32, 14), np.float32), "UniqueNames": "names"})
    ...     check_shape(file, ARRAYS["monkey2_ML"])
    3
    """
    check_present(file, "imageRF", "UniqueNames")
    shape = shapes(file)["imageRF"]
    n = array.positions
    if len(shape) != 5 or shape[:2] != (n, n) or not 1 <= shape[2] <= LONGEST or shape[3:] != (array.channels, IMAGES):
        raise DataError(
            f"{file}: imageRF has shape {shape}; expected ({n}, {n}, time, {array.channels}, {IMAGES}): "
            f"x, y, time in ms (up to {LONGEST}), channel, image.",
            USE_PUBLISHED,
        )
    return shape[2]


def image_files(folder: Path, array: Array) -> list[Path]:
    """Find the image files that a monkey's file names, in the order of its maps.

    Parameters
    ----------
    folder : Path
        Folder with the ``.mat`` file and the folder of images.
    array : Array

    Raises
    ------
    DataError
        When the number of names is not 14, or images are missing.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> names = [f"face-{number:02d}.png" for number in range(14)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     savemat(Path(folder, "red_062419_data.mat"), {"UniqueNames": np.array([names], dtype=object)})
    ...     Path(folder, "red_naturalface").mkdir()
    ...     for name in names:
    ...         Path(folder, "red_naturalface", name).touch()
    ...     image_files(Path(folder), ARRAYS["monkey2_ML"])[1].name
    'face-01.png'
    """
    names = texts(folder / array.mat, "UniqueNames")
    if len(names) != IMAGES:
        raise DataError(f"{folder / array.mat}: UniqueNames has {len(names)} names; expected {IMAGES}.", USE_PUBLISHED)
    return find_images(names, folder / array.images)


def read_array(
    folder: Path, array: Array, window: Window, orientation: str, protocol: Protocol, sha256: str, images: Path
) -> Recording:
    """Read the maps of one array from the published files, as means over a window, and write its images.

    Parameters
    ----------
    folder : Path
        Folder with the ``.mat`` file and the folder of images.
    array : Array
    window : (int, int)
        Milliseconds after stimulus onset, half-open.
    orientation : str
        A name of ``ORIENTATIONS``.
    protocol : Protocol
        Its ``loader`` selects sites, precision and reading of images; the identifier ends with its ``suffix``.
    sha256 : str
        sha256 of the source.
    images : Path
        Folder that the images are written into, as RGB PNG files.

    Raises
    ------
    DataError
        When the file differs from the published form, does not cover the window, or contains a site of which some
        values are not finite.
    """
    file = folder / array.mat
    duration = check_shape(file, array)
    if not 0 <= window[0] < window[1] <= duration:
        covered = ", ".join(f"{name} ({a}-{b})" for name, (a, b) in array.windows.items() if b <= duration)
        raise DataError(
            f"{array.name}: the window {window[0]}-{window[1]} ms cannot be read.",
            f"It is recorded from 0 to {duration} ms after stimulus onset; choose two increasing times in this range."
            + (f" Named windows: {covered}." if covered else ""),
        )
    originals = image_files(folder, array)
    channels = array.published_sites if protocol.loader == "published" else array.sites
    part = (slice(None), slice(None), slice(*window), channels, slice(None))
    responses = numbers(file, "imageRF", part)  # (x, y, time, site, image)
    names = np.array([f"{array.name}-ch{channel + 1:02d}" for channel in range(channels.start, channels.stop)])
    has_values = sites_with_values(responses, names, array.name)
    maps = responses.mean(axis=2, dtype=PRECISIONS[protocol.loader])[:, :, has_values]  # (x, y, site, image)
    simulated = MARKER in shapes(file)
    return Recording(
        identifier=array.identifier + ("-simulated" if simulated else "") + protocol.suffix,
        maps=orient_maps(maps.transpose(3, 0, 1, 2), orientation),
        images=_write_images(originals, images / image_prefix(array, simulated), protocol),
        grid=Grid.even(array.positions),
        window=window,
        subject=array.subject,
        area=array.area,
        sites=tuple(names[has_values].tolist()),
        sha256=sha256,
        citation=f"Simulated by brainscore_itmaps after the facts published in {CITATION}" if simulated else CITATION,
        simulated=simulated,
        orientation=orientation,
        stretched=True,  # as the published loader shows them: the archive does not say their size
        dropped=tuple(names[~has_values].tolist()),
    )


def sites_with_values(responses: NDArray[Any], names: NDArray[np.str_], array_name: str) -> NDArray[np.bool_]:
    """Find the sites that have values; the others are NaN throughout.

    Parameters
    ----------
    responses : array, shape (x, y, time, site, image)
        Responses in the order of the file.
    names : array of str, shape (site,)
        Names of the sites, for errors.
    array_name : str
        Name of the array, for errors.

    Returns
    -------
    bool array, shape (site,)

    Raises
    ------
    DataError
        When some, but not all values of a site are not finite; the message names sites and images.

    Examples
    --------
    >>> responses = np.ones((3, 4, 5, 2, 6))
    >>> responses[:, :, :, 1] = np.nan
    >>> sites_with_values(responses, np.array(["ch01", "ch02"]), "monkey1_PL")
    array([ True, False])
    """
    empty: NDArray[np.bool_] = np.isnan(responses).all(axis=(0, 1, 2, 4))
    broken = ~np.isfinite(responses).all(axis=(0, 1, 2)) & ~empty[:, None]  # (site, image)
    if broken.any():
        positions = "; ".join(
            f"{names[site]} on image(s) {', '.join(str(image + 1) for image in np.flatnonzero(broken[site]))}"
            for site in np.flatnonzero(broken.any(axis=1))[:8]
        )
        raise DataError(
            f"{array_name}: {np.count_nonzero(broken.any(axis=1))} site(s) have values that are not finite: "
            f"{positions}, counted from 1.",
            "Missing values are never filled in; ask the owner of the data.",
        )
    if empty.all():
        raise DataError(f"{array_name}: all values are missing.", USE_PUBLISHED)
    return ~empty


def image_prefix(array: Array, simulated: bool) -> str:
    """Return the first part of the file names of a monkey's images.

    Examples
    --------
    >>> image_prefix(ARRAYS["monkey1_PL"], simulated=True)
    'Arcaro2020-simulated-monkey1'
    """
    return f"{NAME}{'-simulated' if simulated else ''}-{array.subject}"


def _write_images(originals: list[Path], prefix: Path, protocol: Protocol) -> tuple[Path, ...]:
    files = []
    for number, original in enumerate(originals, 1):
        files.append(prefix.with_name(f"{prefix.name}-{number:02d}-{plain_name(original.stem)}.png"))
        IMAGE_READERS[protocol.loader](original).save(files[-1])
    return tuple(files)
