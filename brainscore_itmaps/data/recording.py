"""A recording: the maps of one array, with their images, grid and window."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid, check_orientation
from brainscore_itmaps.data.saved import read_folder, write_folder
from brainscore_itmaps.errors import DataError, ItMapsError, UsageError, printable
from brainscore_itmaps.files import ANOTHER_FOLDER, sha256


@dataclass(frozen=True, repr=False, eq=False)
class Recording:
    """IT activity of one array: a map per image and site.

    Attributes
    ----------
    identifier : str
        Name under which it is loaded; contains ``simulated`` when it is.
    maps : array, shape (image, y, x, site)
        Spikes per second, mean over ``window`` and over repeats.
    images : tuple of Path
        The images, in the order of ``maps``, each ``grid.extent`` degrees wide and high.
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
        True when no animal was recorded. Every output says so.
    repeats : array, shape (image, repeat, y, x, site), optional
        The same before averaging over repeats, where the source keeps them.
    orientation : str
        How the stored maps were oriented over the images, a name of
        :data:`brainscore_itmaps.data.grid.ORIENTATIONS`.
    dropped : tuple of str
        Sites of the source that hold no value at all, and are left out.

    Raises
    ------
    DataError
        When shapes do not fit together, a value is not finite, or a name is given twice: nothing is repaired.
    UsageError
        When the orientation is not known.
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
    ) -> "Recording":
        """Make a recording of your own maps.

        Parameters
        ----------
        maps : array, shape (image, y, x, site)
            Mean activity, y downward and x rightward in the image. None when there are ``repeats``: then their mean.
        images : paths, or uint8 array of shape (image, height, width, 3)
            The images in the order of the maps. Arrays are written as PNG files into Brain-Score's image home.
        identifier : str
            Name for outputs.
        window : (int, int)
            Milliseconds after stimulus onset, half-open.
        repeats : array, shape (image, repeat, y, x, site), optional
            The same before averaging; needed for a split-half ceiling.
        grid : Grid, optional
            Positions of the maps; by default spread from edge to edge of an image of 16 degrees.
        sites : sequence of str, optional
            One name per site; by default numbered.
        subject, area, citation, simulated
            See the attributes.

        Raises
        ------
        DataError
            When shapes do not fit together, a value is not finite, or an image is missing or cannot be read.
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
        from brainscore_itmaps.data.images import read_image, written_images

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
            files = written_images(images, identifier)
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
        hashed = hashlib.sha256(repr((maps.shape, window)).encode())
        hashed.update(np.ascontiguousarray(maps if repeats is None else repeats).tobytes())
        for file in files:
            hashed.update(file.read_bytes())
        return cls(
            identifier=identifier,
            maps=maps,
            images=files,
            grid=grid or Grid(y=Grid.even(rows).y, x=Grid.even(columns).x, extent=16.0),
            window=whole_window(window),
            subject=subject,
            area=area,
            sites=tuple(sites) if sites is not None else tuple(f"site-{number:02d}" for number in range(count)),
            sha256=hashed.hexdigest(),
            citation=citation,
            simulated=simulated,
            repeats=repeats,
        )

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> Path:
        """Save a recording as a folder with ``recording.json``, ``maps.npz`` and the images.

        Parameters
        ----------
        folder : path
            Must not exist; it exists only once it is complete.
        fix : str
            For errors: how to name another folder.

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
        """Load a folder that :meth:`save` wrote, or one of that form from another program.

        Raises
        ------
        DataError
            Listing everything that is wrong with the folder.

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
        recording, troubles = check_folder(Path(folder))
        if recording is None:
            raise DataError(f"{folder}: {' '.join(troubles)}", "`brainscore data check FOLDER` lists what is wrong.")
        return recording

    def __post_init__(self) -> None:
        self._check_description()
        expected = (len(self.images), len(self.grid.y), len(self.grid.x), len(self.sites))
        if self.maps.shape != expected:
            raise DataError(
                f"{self.identifier}: maps have shape {self.maps.shape}, but the images, the grid and the sites ask "
                f"for {expected} (image, y, x, site).",
                "Give one map per image and site, sampled at the grid.",
            )
        self._check_finite()
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DataError(
                f"{self.identifier}: several images are named {', '.join(twice)}.", "Name each differently."
            )
        if self.repeats is not None:
            self._check_repeats(self.repeats, expected)

    def _check_description(self) -> None:
        if not self.identifier.strip():
            raise DataError("The recording has no identifier.", "Give it a name.")
        start, stop = self.window
        if not (isinstance(start, int) and isinstance(stop, int) and start < stop):
            raise DataError(
                f"{self.identifier}: the window is {self.window}.", "Give (from, to) in whole milliseconds."
            )
        check_orientation(self.orientation)
        if twice := sorted({site for site in self.sites if self.sites.count(site) > 1}):
            raise DataError(f"{self.identifier}: several sites are named {', '.join(twice)}.", "Name each differently.")
        if 0 in self.maps.shape:
            raise DataError(f"{self.identifier}: maps of shape {self.maps.shape} are empty.", "Give some maps.")
        spread = [np.asarray(points) for points in (self.grid.y, self.grid.x)]
        if not (0 < self.grid.extent < np.inf) or any(
            not np.isfinite(points).all() or (np.diff(points) <= 0).any() for points in spread
        ):
            raise DataError(
                f"{self.identifier}: the grid over {self.grid.extent} degrees has positions that do not ascend.",
                "Give degrees to the right of and below the image's centre, in ascending order.",
            )

    def _check_repeats(self, repeats: NDArray[np.float64], expected: tuple[int, ...]) -> None:
        if repeats.ndim != 5 or repeats.shape[:1] + repeats.shape[2:] != expected:
            raise DataError(
                f"{self.identifier}: repeats have shape {repeats.shape}, but the maps are {expected}.",
                "Give repeats as (image, repeat, y, x, site).",
            )
        if not np.allclose(repeats.mean(axis=1), self.maps):  # also when one is not finite
            raise DataError(
                f"{self.identifier}: the mean over repeats is not the maps.",
                "Give the repeats whose mean these maps are.",
            )

    def _check_finite(self) -> None:
        broken = ~np.isfinite(self.maps).all(axis=(1, 2))
        if broken.any():
            images, sites = np.nonzero(broken)
            names = ", ".join(self.sites[s] for s in np.unique(sites)[:8])
            raise DataError(
                f"{self.identifier}: {len(np.unique(sites))} site(s) hold values that are not finite ({names}), "
                f"on images {np.unique(images).tolist()}.",
                "Leave these sites out, or repair the source; they are never filled in here.",
            )

    def __repr__(self) -> str:
        images, rows, columns, sites = self.maps.shape
        kind = ", SIMULATED" if self.simulated else ""
        shape = f"{images} images, {rows} x {columns} positions, {sites} sites"
        return f"<Recording {printable(self.identifier)}: {shape}, {self.window[0]}-{self.window[1]} ms{kind}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of each image: its file name without the ending."""
        return tuple(image.stem for image in self.images)


def check_folder(folder: Path) -> tuple[Recording | None, list[str]]:
    """Read a folder that holds a recording, and list everything that is wrong with it.

    Returns
    -------
    Recording or None, list of str
        None when something is wrong; one sentence for each fault.
    """
    fields, troubles = read_folder(folder)
    try:
        return (Recording(**fields) if fields is not None else None), troubles
    except ItMapsError as error:
        return None, [str(error)]


def _real(values: Any, identifier: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"{identifier}: the maps are not one array: {error}.", "Give as many sites everywhere."
        ) from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"{identifier}: the maps are {array.dtype}, not real numbers.", "Give numbers.")
    return array.astype(np.float64)


def whole_window(window: Any) -> tuple[int, int]:
    """Convert a window to two whole numbers of milliseconds.

    Raises
    ------
    UsageError
        When the window is not two whole numbers.
    """
    try:
        start, stop = (int(edge) for edge in window)
        if (start, stop) == tuple(window):
            return start, stop
    except (TypeError, ValueError, OverflowError):
        pass
    raise UsageError(f"{window!r} is not a window.", "Give (from, to) in whole milliseconds.")


def images_identifier(recording: Recording) -> str:
    """Return the identifier of the images, which all arrays of a subject share."""
    shared = f"{recording.identifier.split('.')[0]}.{recording.subject}"
    return f"{shared}-simulated" if recording.simulated else shared


def recording_content(recording: Recording) -> str:
    """Hash the maps, repeats, positions and images of a recording, but not its name."""
    digest = hashlib.sha256(f"{recording.maps.dtype} {recording.maps.shape} {recording.grid.extent}".encode())
    for array in (recording.maps, recording.grid.y, recording.grid.x, recording.repeats):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    for image in recording.images:
        digest.update(sha256(image).encode())
    return digest.hexdigest()


def constant_maps(recording: Recording) -> list[tuple[str, str]]:
    """List the sites and images whose map has one value everywhere, so that no correlation is defined.

    Returns
    -------
    list of (site name, image name)
    """
    images, sites = np.nonzero(np.ptp(recording.maps, axis=(1, 2)) == 0)
    return [(recording.sites[site], recording.names[image]) for image, site in zip(images, sites, strict=True)]


def check_window(window: Sequence[int], start: int, stop: int, step: int, identifier: str) -> None:
    """Check that the recording covers a window and that the window cuts through no time bin.

    Raises
    ------
    DataError
        When the window is empty, reaches outside ``start`` to ``stop`` ms, or does not begin and end at a bin's edge.
    """
    a, b = window
    if not (start <= a < b <= stop and (a - start) % step == 0 and (b - start) % step == 0):
        raise DataError(
            f"{identifier}: the window {a}-{b} ms cannot be read.",
            f"It is recorded from {start} to {stop} ms in bins of {step} ms; choose a window that begins and ends at "
            "edges of bins.",
        )
