"""Define recordings (the maps of one array with images, grid and window), and check and hash them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid, check_orientation, shown_extent
from brainscore_itmaps.data.images import SHAPE_FIX, default_extent, find_duplicates, shape_problem, write_images
from brainscore_itmaps.data.saved import read_folder, write_folder
from brainscore_itmaps.errors import DataError, ItMapsError, UsageError, check_type, described, printable
from brainscore_itmaps.files import ANOTHER_FOLDER, sha256
from brainscore_itmaps.images import read_image


@dataclass(frozen=True, repr=False, eq=False)
class Recording:
    """IT activity of one array: a map per image and site.

    Attributes
    ----------
    identifier : str
        Name in outputs; contains ``simulated`` for simulated recordings.
    maps : array, shape (image, y, x, site)
        Spikes per second, mean over ``window`` and over repeats.
    images : tuple of Path
        Image files, in the order of ``maps``; each image was shown at the size of ``grid.extent``.
    grid : Grid
        Positions of the maps in the image.
    window : (int, int)
        Milliseconds after stimulus onset, half-open.
    subject, area : str
        For example ``monkey1`` and ``PL``.
    sites : tuple of str
        One name per site.
    sha256 : str
        Hash of the data that the maps were read from.
    citation : str
        Citation of the data, in BibTeX.
    simulated : bool
        True when no animal was recorded; every output states this.
    repeats : array, shape (image, repeat, y, x, site), optional
        Maps before averaging over repeats, if the source has them.
    orientation : str
        Orientation of the stored maps relative to the images, a name of
        :data:`brainscore_itmaps.data.grid.ORIENTATIONS`.
    dropped : tuple of str
        Sites of the source without any value, which are omitted.
    stretched : bool
        Whether images were shown stretched to the shape of ``grid.extent``. Otherwise an image of another shape is an
        error.
    outside : bool
        Whether positions may lie outside the image, where features take the values at its edge. Otherwise they are an
        error.

    Raises
    ------
    DataError
        When shapes do not fit together, a value is not finite, two sites or images have the same name, or a position
        lies outside the image.
    UsageError
        When the orientation is unknown.
    """

    identifier: str
    maps: NDArray[np.float64]
    images: tuple[Path, ...]
    grid: Grid
    window: tuple[int, int]
    subject: str
    area: str
    sites: tuple[str, ...]
    sha256: str
    citation: str
    simulated: bool
    repeats: NDArray[np.float64] | None = None
    orientation: str = "as_stored"
    dropped: tuple[str, ...] = ()
    stretched: bool = False
    outside: bool = False

    @classmethod
    def from_arrays(
        cls,
        maps: NDArray[Any] | None,
        images: Sequence[Path | str] | NDArray[np.uint8],
        *,
        identifier: str,
        window: tuple[int, int],
        repeats: NDArray[Any] | None = None,
        grid: Grid | None = None,
        sites: Sequence[str] | None = None,
        subject: str = "unknown",
        area: str = "unknown",
        citation: str = "",
        simulated: bool = False,
        stretched: bool = False,
        outside: bool = False,
    ) -> "Recording":
        """Build a recording from arrays of maps and their images.

        Parameters
        ----------
        maps : array, shape (image, y, x, site)
            Mean activity, y downward and x rightward in the image; None to average ``repeats``.
        images : paths, or uint8 array of shape (image, height, width, 3)
            Images in the order of the maps. An array is written as PNG files into Brain-Score's folder of images.
        identifier : str
            Name in outputs.
        window : (int, int)
            Milliseconds after stimulus onset, half-open.
        repeats : array, shape (image, repeat, y, x, site), optional
            Maps before averaging over repeats; required for a split-half ceiling.
        grid : Grid, optional
            Positions of the maps; by default evenly spaced from edge to edge of an image whose longer side is 16
            degrees.
        sites : sequence of str, optional
            One name per site; by default ``site-00``, ``site-01``, ...
        subject, area, citation, simulated, stretched, outside
            See the attributes.

        Raises
        ------
        DataError
            When shapes do not fit together, a value is not finite, an image is missing or cannot be read, a position
            lies outside the image, or an image has another shape than the grid's ``extent``.
        UsageError
            When the window is not two whole numbers.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> rng = np.random.default_rng(0)
        >>> with TemporaryDirectory() as folder:
        ...     files = [Path(folder, f"{number}.png") for number in range(6)]
        ...     for file in files:
        ...         Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(file)
        ...     maps = rng.normal(size=(6, 5, 4, 3))
        ...     recording = Recording.from_arrays(maps, files, identifier="lab.array1", window=(70, 170))
        >>> recording.maps.shape, recording.sites
        ((6, 5, 4, 3), ('site-00', 'site-01', 'site-02'))
        """
        if repeats is not None:
            repeats = _real(repeats, identifier)
            if maps is None and repeats.ndim == 5:
                maps = repeats.mean(axis=1)
        maps = _real(maps, identifier)
        if maps.ndim != 4:
            raise DataError(
                f"{identifier}: maps have {maps.ndim} axes, of shape {maps.shape}.",
                "Give maps as (image, y, x, site), or repeats as (image, repeat, y, x, site).",
            )
        if isinstance(images, np.ndarray):
            files = write_images(images, identifier)
        else:
            files = tuple(Path(image) for image in images)
            if missing := [str(file) for file in files if not file.is_file()]:
                raise DataError(
                    f"{identifier}: {len(missing)} image(s) are missing: {', '.join(missing)}.",
                    "Give the paths of files that exist.",
                )
            for file in files:
                read_image(file)
        _, rows, columns, count = maps.shape
        digest = hashlib.sha256(repr((maps.shape, window)).encode())
        digest.update(np.ascontiguousarray(maps if repeats is None else repeats).tobytes())
        for file in files:
            digest.update(file.read_bytes())
        recording = cls(
            identifier=identifier,
            maps=maps,
            images=files,
            grid=grid or Grid.even((rows, columns), default_extent(files, stretched)),
            window=parse_window(window),
            subject=subject,
            area=area,
            sites=tuple(sites) if sites is not None else tuple(f"site-{number:02d}" for number in range(count)),
            sha256=digest.hexdigest(),
            citation=citation,
            simulated=simulated,
            repeats=repeats,
            stretched=stretched,
            outside=outside,
        )
        if problem := shape_problem(recording.images, recording.grid, stretched):
            raise DataError(f"{identifier}: {problem}", SHAPE_FIX)
        return recording

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> Path:
        """Save a recording as a folder with ``recording.json``, ``maps.npz`` and the images.

        Parameters
        ----------
        folder : path
            Must not exist; it appears only when it is complete.
        fix : str
            Next step, for errors.

        Returns
        -------
        Path
            ``folder``.

        Raises
        ------
        DataError
            When an image of the recording no longer exists.
        InstallationError
            When the folder exists, cannot be written to, or the disk is full.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from brainscore_itmaps import load_recording
        >>> recording = load_recording("it_maps_simulated")
        >>> with TemporaryDirectory() as folder:
        ...     saved = recording.save(Path(folder, "mine"))
        ...     sorted(file.name for file in saved.iterdir())
        ['images', 'maps.npz', 'recording.json']
        """
        write_folder(vars(self), Path(folder), fix)
        return Path(folder)

    @classmethod
    def load(cls, folder: Path | str) -> "Recording":
        """Load a recording from a folder that :meth:`save` or another program wrote.

        Raises
        ------
        DataError
            When the folder is invalid; the message lists all problems.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from brainscore_itmaps import load_recording
        >>> recording = load_recording("it_maps_simulated")
        >>> with TemporaryDirectory() as folder:
        ...     loaded = Recording.load(recording.save(Path(folder, "mine")))
        >>> bool((loaded.maps == recording.maps).all())
        True
        """
        check_type(folder, (str, Path), "the path of a recording", "Give the folder that Recording.save wrote.")
        recording, problems = check_folder(Path(folder))
        if recording is None:
            raise DataError(
                f"{folder}: {' '.join(problems)}", "Run `brainscore data check FOLDER` to list all problems."
            )
        return recording

    def __post_init__(self) -> None:
        self._check_description()
        expected = (len(self.images), len(self.grid.y), len(self.grid.x), len(self.sites))
        if self.maps.shape != expected:
            raise DataError(
                f"{self.identifier}: maps have shape {self.maps.shape}, but the images, the grid and the sites "
                f"require {expected} (image, y, x, site).",
                "Give one map per image and site, sampled at the grid.",
            )
        self._check_finite()
        if len(set(self.names)) < len(self.names):
            repeated = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DataError(
                f"{self.identifier}: several images are named {', '.join(repeated)}.", "Give each image a unique name."
            )
        if self.repeats is not None:
            self._check_repeats(self.repeats, expected)

    def _check_description(self) -> None:
        if not self.identifier.strip():
            raise DataError("The recording has no identifier.", "Give it an identifier.")
        start, stop = self.window
        if not (isinstance(start, int) and isinstance(stop, int) and start < stop):
            raise DataError(
                f"{self.identifier}: the window is {self.window}.", "Give (from, to) in whole milliseconds."
            )
        check_orientation(self.orientation)
        if repeated := sorted({site for site in self.sites if self.sites.count(site) > 1}):
            raise DataError(
                f"{self.identifier}: several sites are named {', '.join(repeated)}.", "Give each site a unique name."
            )
        if 0 in self.maps.shape:
            raise DataError(
                f"{self.identifier}: maps of shape {self.maps.shape} are empty.",
                "Give at least one image, position and site.",
            )
        axes = [np.asarray(positions) for positions in (self.grid.y, self.grid.x)]
        extent = shown_extent(self.grid.extent)
        if not all(0 < side < np.inf for side in (self.grid.height, self.grid.width)) or any(
            not np.isfinite(positions).all() or (np.diff(positions) <= 0).any() for positions in axes
        ):
            raise DataError(
                f"{self.identifier}: the grid of {extent} degrees has positions that do not ascend.",
                "Give positions in degrees below and to the right of the image's centre, in ascending order.",
            )
        if self.grid.outside and not self.outside:
            (top, bottom), (left, right) = ((points.min(), points.max()) for points in axes)
            raise DataError(
                f"{self.identifier}: {self.grid.outside} positions lie outside the image of {extent} degrees; they "
                f"reach from {top:g} to {bottom:g} degrees in y and from {left:g} to {right:g} in x.",
                "Correct the positions or the extent, (height, width). outside=True (outside: true in recording.json) "
                "permits them; features there take the values at the edge of the image.",
            )

    def _check_repeats(self, repeats: NDArray[np.float64], expected: tuple[int, ...]) -> None:
        if repeats.ndim != 5 or repeats.shape[:1] + repeats.shape[2:] != expected:
            raise DataError(
                f"{self.identifier}: repeats have shape {repeats.shape}, but the maps have shape {expected}.",
                "Give repeats as (image, repeat, y, x, site).",
            )
        if not np.allclose(repeats.mean(axis=1), self.maps):  # also if a value is not finite
            raise DataError(
                f"{self.identifier}: the mean over repeats differs from the maps.",
                "Give the repeats of these maps, or omit the maps.",
            )

    def _check_finite(self) -> None:
        broken = ~np.isfinite(self.maps).all(axis=(1, 2))
        if broken.any():
            images, sites = np.nonzero(broken)
            names = ", ".join(self.sites[s] for s in np.unique(sites)[:8])
            raise DataError(
                f"{self.identifier}: {len(np.unique(sites))} site(s) have values that are not finite ({names}), "
                f"on images {np.unique(images).tolist()}.",
                "Omit these sites, or correct the source; missing values are never filled in.",
            )

    def __repr__(self) -> str:
        images, rows, columns, sites = self.maps.shape
        kind = ", SIMULATED" if self.simulated else ""
        shape = f"{images} images, {rows} x {columns} positions, {sites} sites"
        return f"<Recording {printable(self.identifier)}: {shape}, {self.window[0]}-{self.window[1]} ms{kind}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the images: their file names without suffix."""
        return tuple(image.stem for image in self.images)

    @cached_property
    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        """Return the names of images with equal pixels, a group for each content that occurs more than once."""
        return tuple(tuple(self.names[index] for index in group) for group in find_duplicates(self.images))


def check_folder(folder: Path) -> tuple[Recording | None, list[str]]:
    """Read the folder of a recording, and list all problems of the folder.

    Returns
    -------
    Recording or None, list of str
        The recording, or None if there are problems; one sentence per problem.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     recording, problems = check_folder(Path(folder))
    >>> recording is None, problems[0].startswith("There is no recording.json in")
    (True, True)
    """
    fields, problems = read_folder(folder)
    if fields is None:
        return None, problems
    try:
        if problem := shape_problem(fields["images"], fields["grid"], fields["stretched"]):
            return None, [f"{problem} {SHAPE_FIX}"]
        return Recording(**fields), problems
    except ItMapsError as error:
        return None, [str(error)]


def _real(values: Any, identifier: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"{identifier}: the maps are not one array: {error}.", "Give the same number of sites everywhere."
        ) from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"{identifier}: the maps have type {array.dtype}, not real numbers.", "Give real numbers.")
    return array.astype(np.float64)


WINDOW = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")
"""Limits of a window in milliseconds, as on the command line."""


def parse_window(window: Any) -> tuple[int, int]:
    """Convert a window to two whole numbers of milliseconds.

    Parameters
    ----------
    window : sequence of two numbers, or str
        Milliseconds after stimulus onset; as text, "100-250".

    Raises
    ------
    UsageError
        When the window is not two whole numbers.

    Examples
    --------
    >>> parse_window([100.0, 250]), parse_window("100-250")
    ((100, 250), (100, 250))
    """
    if isinstance(window, str) and (numbers := WINDOW.fullmatch(window)):
        return int(numbers[1]), int(numbers[2])
    try:
        start, stop = (int(edge) for edge in window)
        if (start, stop) == tuple(window):
            return start, stop
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    found = repr(window) if isinstance(window, list | tuple) and len(window) <= 4 else described(window)
    raise UsageError(f"{found} is not a window.", "Give (from, to) in whole milliseconds.")


def window_or_name(window: Any) -> tuple[int, int] | str | None:
    """Convert a window of two numbers, also if it is a text such as "130-170"; return a name or None unchanged.

    Examples
    --------
    >>> window_or_name("130-170"), window_or_name("elife"), window_or_name([50, 90])
    ((130, 170), 'elife', (50, 90))
    """
    if window is None or (isinstance(window, str) and not WINDOW.fullmatch(window)):
        return window
    return parse_window(window)


def images_identifier(recording: Recording) -> str:
    """Return the identifier of a recording's images, which all arrays of its subject share.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> images_identifier(load_recording("it_maps_simulated"))
    'it_maps_simulated.simulated monkey-simulated'
    """
    shared = f"{recording.identifier.split('.')[0]}.{recording.subject}"
    return f"{shared}-simulated" if recording.simulated else shared


def recording_content(recording: Recording) -> str:
    """Compute the sha256 of a recording's maps, repeats, positions and images, but not of its names.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> recording_content(recording) == recording_content(replace(recording, identifier="other"))
    True
    """
    digest = hashlib.sha256(f"{recording.maps.dtype} {recording.maps.shape} {recording.grid.extent}".encode())
    for array in (recording.maps, recording.grid.y, recording.grid.x, recording.repeats):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    for image in recording.images:
        digest.update(sha256(image).encode())
    return digest.hexdigest()


def constant_maps(recording: Recording) -> list[tuple[str, str]]:
    """List the sites and images with a constant map, for which no correlation is defined.

    Returns
    -------
    list of (site name, image name)

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> maps = recording.maps.copy()
    >>> maps[0, :, :, 3] = 12.5
    >>> [site for site, image in constant_maps(replace(recording, maps=maps, repeats=None))]
    ['simulated-03']
    """
    images, sites = np.nonzero(np.ptp(recording.maps, axis=(1, 2)) == 0)
    return [(recording.sites[site], recording.names[image]) for image, site in zip(images, sites, strict=True)]


def check_window(window: Sequence[int], start: int, stop: int, step: int, identifier: str) -> None:
    """Raise an error unless a recording covers a window, and the window begins and ends at edges of time bins.

    Parameters
    ----------
    window : (int, int)
        Milliseconds after stimulus onset, half-open.
    start, stop, step : int
        Limits of the recording and width of its bins, ms.
    identifier : str
        Name of the recording, for errors.

    Raises
    ------
    DataError
        When the window is empty, exceeds the limits, or divides a bin.

    Examples
    --------
    >>> check_window((100, 250), 0, 300, 50, "it_maps_simulated")
    """
    a, b = window
    if not (start <= a < b <= stop and (a - start) % step == 0 and (b - start) % step == 0):
        raise DataError(
            f"{identifier}: the window {a}-{b} ms cannot be read.",
            f"It is recorded from {start} to {stop} ms in bins of {step} ms; choose a window that begins and ends at "
            "edges of bins.",
        )
