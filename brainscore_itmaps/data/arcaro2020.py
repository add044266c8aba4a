"""Read the maps of Arcaro, Ponce & Livingstone (2020), eLife 9:e53798: three arrays in two monkeys.

``imageRF`` holds (x, y, time, channel, image): 1 sample a millisecond from stimulus onset, 14 images. Both grids
cover the 16 degrees of an image, edges included.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from brainscore_itmaps.data.grid import Grid, oriented
from brainscore_itmaps.data.images import find_images, plain_name, published_image, read_image
from brainscore_itmaps.data.matfiles import check_present, numbers, shapes, texts
from brainscore_itmaps.data.recording import Recording, whole_window
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.protocol import Protocol

NAME = "Arcaro2020"
CITATION = (
    "Arcaro, Ponce & Livingstone (2020), The neurons that mistook a hat for a face, eLife 9:e53798, "
    "https://doi.org/10.7554/eLife.53798"
)
IMAGES = 14
LONGEST = 5000
MARKER = "SIMULATED"
"""A variable of this name says that a file is a stand-in, which no animal was recorded for."""

BRING = f"Use the file of {NAME} as it was published."

Window = tuple[int, int]


@dataclass(frozen=True)
class Array:
    """One array of electrodes, and where its channels are in the published file.

    Attributes
    ----------
    name, subject, area, hemisphere, hardware : str
        For example ``monkey1_PL``.
    mat, images : str
        The file of this monkey and the folder of its images beside it.
    channels : int
        Number of channels in the file.
    sites : slice
        Channels of this array.
    published_sites : slice
        Channels that the published loader assigns to this array: it assigns one channel of ML to PL.
    positions : int
        Number of positions along y and along x.
    windows : dict
        Milliseconds after stimulus onset, half-open, by name.
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
        """Return the name for outputs and for Brain-Score."""
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
"""The arrays. Windows: of eLife's analysis, of the published tutorial, of the published loader, of the follow-up."""


DEFAULT_WINDOWS = {"ours": "elife", "published": "loader"}
PRECISIONS: dict[str, DTypeLike] = {"ours": np.float64, "published": None}
"""Of means over time, by loader; None: that of the file."""
IMAGE_READERS = {"ours": read_image, "published": published_image}


def window_of(array: Array, window: Window | str | None, protocol: Protocol) -> Window:
    """Return the window with this name.

    Parameters
    ----------
    array : Array
        Windows differ between arrays.
    window : (int, int), str or None
        None stands for the default of the protocol's loader.
    protocol : Protocol

    Raises
    ------
    UsageError
        When the name is not known or the window is not two whole numbers.
    """
    window = DEFAULT_WINDOWS[protocol.loader] if window is None else window
    if isinstance(window, str):
        if window not in array.windows:
            fix = f"{nearest(window, array.windows)} Or give it as from-to in ms, such as 100-250."
            raise UsageError(f"{array.name} has no window named {window!r}.", fix)
        return array.windows[window]
    return whole_window(window)


def check_shape(file: Path, array: Array) -> int:
    """Check the shape of a file's ``imageRF``; return the milliseconds that it covers.

    Raises
    ------
    DataError
        With both shapes.
    """
    check_present(file, "imageRF", "UniqueNames")
    shape = shapes(file)["imageRF"]
    n = array.positions
    if len(shape) != 5 or shape[:2] != (n, n) or not 1 <= shape[2] <= LONGEST or shape[3:] != (array.channels, IMAGES):
        raise DataError(
            f"{file}: imageRF has shape {shape}; expected ({n}, {n}, time, {array.channels}, {IMAGES}): "
            f"x, y, time in ms (up to {LONGEST}), channel, image.",
            BRING,
        )
    return shape[2]


def image_files(folder: Path, array: Array) -> list[Path]:
    """Find the images that a monkey's file names, in the order of its maps.

    Parameters
    ----------
    folder : Path
        Holds the ``.mat`` file and the folder of images.

    Raises
    ------
    DataError
        When there are not 14 names, or images are missing.
    """
    names = texts(folder / array.mat, "UniqueNames")
    if len(names) != IMAGES:
        raise DataError(f"{folder / array.mat}: UniqueNames has {len(names)} names; expected {IMAGES}.", BRING)
    return find_images(names, folder / array.images)


def read_array(
    folder: Path, array: Array, window: Window, orientation: str, protocol: Protocol, sha256: str, images: Path
) -> Recording:
    """Read one array of the published files.

    Parameters
    ----------
    folder : Path
        Holds the ``.mat`` file and the folder of images.
    window : (int, int)
        Milliseconds, half-open.
    orientation : str
        A name of ``ORIENTATIONS``.
    protocol : Protocol
        Its ``loader``, and the suffix of the identifier.
    sha256 : str
        sha256 of the source.
    images : Path
        A folder to write the images into, as plain PNG.

    Raises
    ------
    DataError
        When the file is not as published, the window is not covered, or a site holds some values that are not finite.
    """
    file = folder / array.mat
    duration = check_shape(file, array)
    if not 0 <= window[0] < window[1] <= duration:
        within = ", ".join(f"{name} ({a}-{b})" for name, (a, b) in array.windows.items() if b <= duration)
        raise DataError(
            f"{array.name}: the window {window[0]}-{window[1]} ms cannot be read.",
            f"It is recorded from 0 to {duration} ms after stimulus onset; choose a window within that ends after it "
            "begins." + (f" By name: {within}." if within else ""),
        )
    shown = image_files(folder, array)
    chosen = {"ours": array.sites, "published": array.published_sites}[protocol.loader]
    part = (slice(None), slice(None), slice(*window), chosen, slice(None))
    responses = numbers(file, "imageRF", part)  # (x, y, time, site, image)
    names = np.array([f"{array.name}-ch{channel + 1:02d}" for channel in range(chosen.start, chosen.stop)])
    kept = sites_with_values(responses, names, array.name)
    maps = responses.mean(axis=2, dtype=PRECISIONS[protocol.loader])[:, :, kept]  # (x, y, site, image)
    simulated = MARKER in shapes(file)
    return Recording(
        identifier=array.identifier + ("-simulated" if simulated else "") + protocol.suffix,
        maps=oriented(maps.transpose(3, 0, 1, 2), orientation),
        images=_plain_images(shown, images / image_prefix(array, simulated), protocol),
        grid=Grid.even(array.positions),
        window=window,
        subject=array.subject,
        area=array.area,
        sites=tuple(names[kept].tolist()),
        sha256=sha256,
        citation=f"Simulated by brainscore_itmaps after the facts published in {CITATION}" if simulated else CITATION,
        simulated=simulated,
        orientation=orientation,
        dropped=tuple(names[~kept].tolist()),
    )


def sites_with_values(responses: NDArray[Any], names: NDArray[np.str_], what: str) -> NDArray[np.bool_]:
    """Separate the sites that hold values from those that are NaN throughout.

    Parameters
    ----------
    responses : array, shape (x, y, time, site, image)
        Maps as stored.
    names : array of str, shape (site,)
        For the message.

    Returns
    -------
    bool array, shape (site,)

    Raises
    ------
    DataError
        When a site has some values that are not finite, naming sites and images.
    """
    empty: NDArray[np.bool_] = np.isnan(responses).all(axis=(0, 1, 2, 4))
    broken = ~np.isfinite(responses).all(axis=(0, 1, 2)) & ~empty[:, None]  # (site, image)
    if broken.any():
        where = "; ".join(
            f"{names[site]} on image(s) {', '.join(str(image + 1) for image in np.flatnonzero(broken[site]))}"
            for site in np.flatnonzero(broken.any(axis=1))[:8]
        )
        raise DataError(
            f"{what}: {np.count_nonzero(broken.any(axis=1))} site(s) hold some values that are not finite: {where}, "
            "counted from 1.",
            "They are never filled in here; ask the owner of the data.",
        )
    if empty.all():
        raise DataError(f"{what}: all values are missing.", BRING)
    return ~empty


def image_prefix(array: Array, simulated: bool) -> str:
    """Return the first part of the names of a monkey's images."""
    return f"{NAME}{'-simulated' if simulated else ''}-{array.subject}"


def _plain_images(shown: list[Path], prefix: Path, protocol: Protocol) -> tuple[Path, ...]:
    files = []
    for number, file in enumerate(shown, 1):
        files.append(prefix.with_name(f"{prefix.name}-{number:02d}-{plain_name(file.stem)}.png"))
        IMAGE_READERS[protocol.loader](file).save(files[-1])
    return tuple(files)
