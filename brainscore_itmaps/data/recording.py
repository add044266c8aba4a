"""Define recordings (the maps of one array with images, grid and window), and check and hash them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.arrays import given_repeats, mean_over_repeats, real_array, without_nan_sites
from brainscore_itmaps.data.checks import check_field_types, problems_of
from brainscore_itmaps.data.given_images import files_of_images
from brainscore_itmaps.data.grid import Extent, Grid, read_extent
from brainscore_itmaps.data.images import SHAPE_FIX, decoded_name, default_extent, find_duplicates, shape_problem
from brainscore_itmaps.data.saved import read_folder, write_folder
from brainscore_itmaps.data.tables import LongMaps, read_named_array, read_table
from brainscore_itmaps.errors import DataError, UsageError, check_type, described, printable
from brainscore_itmaps.files import ANOTHER_FOLDER, sha256
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import SIMULATED_HTML, html_table

GAZE = "gaze"
"""Area of recordings of where people look."""


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
        Maps before averaging over repeats, if the source has them; NaN for repeats that were not recorded.
    orientation : str
        Orientation of the stored maps relative to the images, a name of
        :data:`brainscore_itmaps.data.grid.ORIENTATIONS`.
    dropped : tuple of str
        Sites of the source with missing values, which are left out.
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
        maps: Any,
        images: Any,
        *,
        identifier: str,
        window: tuple[int, int],
        repeats: Any = None,
        grid: Grid | None = None,
        sites: Sequence[str] | None = None,
        subject: str = "unknown",
        area: str = "unknown",
        citation: str = "",
        simulated: bool = False,
        stretched: bool = False,
        outside: bool = False,
        drop_nan_sites: bool = False,
        image_names: Sequence[str] | None = None,
    ) -> "Recording":
        """Build a recording from arrays of maps and their images.

        Parameters
        ----------
        maps : array, shape (image, y, x, site)
            Mean activity, y downward and x rightward in the image; None to average ``repeats``. Arrays of NumPy, torch
            and pandas, and lists, are accepted. Masked values count as missing.
        images : list of images, array, folder, mapping of names to images, or stimulus set of Brain-Score
            Images in the order of the maps. A list holds paths, Pillow images, or uint8 arrays of shape (height, width,
            3) or, grey, (height, width), which may differ in size; one array has the shape (image, height, width, 3). A
            folder is read in the natural order of its file names (image-2 before image-10), and must hold exactly the
            images of the maps. What is not a file is written as PNG into Brain-Score's folder of images.
            Floating-point pixels are refused.
        identifier : str
            Name in outputs.
        window : (int, int)
            Milliseconds after stimulus onset, half-open.
        repeats : array, shape (image, repeat, y, x, site), optional
            Maps before averaging over repeats; required for a split-half ceiling. Where images have unequal numbers of
            repeats, a list of an array (repeat, y, x, site) for each image, or maps of NaN for absent repeats.
        grid : Grid, optional
            Positions of the maps; by default evenly spaced from edge to edge of an image whose longer side is 16
            degrees.
        sites : sequence of str, optional
            One name per site; by default ``site-00``, ``site-01``, ...
        subject, area, citation, simulated, stretched, outside
            See the attributes.
        drop_nan_sites : bool
            Leave out sites with missing values, and name them in ``dropped``; otherwise they are an error.
        image_names : sequence of str, optional
            Names of the images in the order of the maps, to find in a folder, a mapping, or a list of paths: with or
            without suffix, in upper or lower case, in any Unicode form.

        Returns
        -------
        Recording

        Raises
        ------
        DataError
            When shapes do not fit together, a value is not finite, an image is missing or cannot be read, a position
            lies outside the image, or an image has another shape than the grid's ``extent``.
        UsageError
            When the window is not two whole numbers, or another option has the wrong type.

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
        check_field_types(
            {
                "identifier": identifier, "grid": grid, "sites": sites, "subject": subject, "area": area,
                "citation": citation, "simulated": simulated, "stretched": stretched, "outside": outside,
                "drop_nan_sites": drop_nan_sites, "image_names": image_names,
            }
        )  # fmt: skip
        if maps is None and repeats is None:
            raise UsageError(f"{identifier}: there are no maps.", "Give maps, or repeats=.")
        if repeats is not None:
            repeats = given_repeats(repeats, identifier)
            if maps is None and repeats.ndim == 5:
                maps = mean_over_repeats(repeats)
        maps = real_array(maps, identifier)
        if maps.ndim != 4:
            raise DataError(
                f"{identifier}: maps have {maps.ndim} axes, of shape {maps.shape}.",
                "Give maps as (image, y, x, site), or repeats as (image, repeat, y, x, site).",
            )
        files = files_of_images(images, identifier, count=len(maps), names=image_names)
        _, rows, columns, count = maps.shape
        names = tuple(map(str, sites)) if sites is not None else tuple(f"site-{number:02d}" for number in range(count))
        given: dict[str, Any] = {"maps": maps, "repeats": repeats, "sites": names, "dropped": ()}
        if drop_nan_sites:
            given = without_nan_sites(given)
            maps, repeats = given["maps"], given["repeats"]
        digest = hashlib.sha256(repr((maps.shape, window)).encode())
        digest.update(np.ascontiguousarray(maps if repeats is None else repeats).tobytes())
        for file in files:
            digest.update(file.read_bytes())
        return cls(
            identifier=identifier,
            maps=maps,
            images=files,
            grid=grid or Grid.even((rows, columns), default_extent(files, stretched)),
            window=parse_window(window),
            subject=subject,
            area=area,
            sites=given["sites"],
            sha256=digest.hexdigest(),
            citation=citation,
            simulated=bool(simulated),
            repeats=repeats,
            dropped=given["dropped"],
            stretched=bool(stretched),
            outside=bool(outside),
        )

    @classmethod
    def from_table(
        cls,
        table: Any,
        images: Any,
        *,
        identifier: str,
        window: tuple[int, int],
        extent: Extent | None = None,
        columns: Mapping[str, str] | None = None,
        drop_nan_sites: bool = False,
        **options: Any,
    ) -> "Recording":
        """Build a recording from a table with a row for each image, position and site.

        Parameters
        ----------
        table : path or pandas.DataFrame
            With the columns ``image``, ``y``, ``x``, ``site`` and ``value``, and ``repeat`` if there are repeats, whose
            number may differ between images. ``y`` and ``x`` are degrees of visual angle below and to the right of the
            image's centre. Files: CSV or TSV in UTF-8 or UTF-16, also as Excel writes them (semicolons, decimal
            commas), or Parquet. An empty cell is a missing value.
        images : folder, paths, or mapping of names to images
            The names in the table are looked up here: with or without suffix, in upper or lower case, in any Unicode
            form.
        identifier, window
            As in :meth:`from_arrays`.
        extent : float or (float, float), optional
            Size of the images in degrees: the side of a square, or (height, width). By default the longer side has 16
            degrees.
        columns : mapping, optional
            Names of the columns, where they differ: ``{"value": "rate"}``.
        drop_nan_sites : bool
            Leave out sites with missing values or missing rows; otherwise they are an error.
        **options
            Further options of :meth:`from_arrays`.

        Returns
        -------
        Recording

        Raises
        ------
        DataError
            When the table cannot be read, a number is invalid or ambiguous, rows are missing or repeated (the message
            names some), or an image is missing.
        UsageError
            When a column is missing.

        Examples
        --------
        >>> import pandas as pd
        >>> from itertools import product
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> rng = np.random.default_rng(0)
        >>> cells = product(["face", "hat", "tree"], [-8, 0, 8], [-8, 8], ["a", "b"])
        >>> table = pd.DataFrame(cells, columns=["image", "y", "x", "site"])
        >>> table["value"] = rng.random(len(table))
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("face", "hat", "tree"):
        ...         pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        ...         Image.fromarray(pixels).save(Path(folder, f"{name}.png"))
        ...     recording = Recording.from_table(table, folder, identifier="lab.array1", window=(70, 170))
        >>> recording.maps.shape, recording.names, recording.grid.y.tolist()
        ((3, 3, 2, 2), ('face', 'hat', 'tree'), [-8.0, 0.0, 8.0])
        """
        maps = read_table(table, identifier, columns, missing_rows=drop_nan_sites)
        return cls._from_named(maps, images, identifier, window, extent, drop_nan_sites, options)

    @classmethod
    def from_xarray(
        cls,
        array: Any,
        images: Any,
        *,
        identifier: str,
        window: tuple[int, int],
        extent: Extent | None = None,
        drop_nan_sites: bool = False,
        **options: Any,
    ) -> "Recording":
        """Build a recording from an array with named dimensions.

        Parameters
        ----------
        array : xarray.DataArray
            With the dimensions ``image``, ``y``, ``x`` and ``site``, and ``repeat`` if there are repeats, in any order;
            its coordinates give the names of images and sites, and degrees below and to the right of the image's
            centre. Or an assembly of Brain-Score, with the dimensions ``presentation`` and ``neuroid``, whose
            presentations have the coordinates ``image_id`` (or ``stimulus_id``), ``y_deg`` and ``x_deg``.
        images
            As in :meth:`from_table`; without coordinates of the images, in the order of the array.
        identifier, window, extent, drop_nan_sites, **options
            As in :meth:`from_table`; the default of ``extent`` is the attribute ``degrees`` of the array, if there is
            one, as in the assemblies of this package.

        Returns
        -------
        Recording

        Raises
        ------
        UsageError
            When a dimension is missing or unknown.
        DataError
            As in :meth:`from_table`.

        Examples
        --------
        >>> import xarray
        >>> rng = np.random.default_rng(0)
        >>> places = {"y": [-4, 4], "x": [-4, 0, 4], "site": ["a", "b"]}
        >>> array = xarray.DataArray(rng.random((6, 2, 3, 2)), places, ["image", "y", "x", "site"])
        >>> images = rng.integers(0, 256, (6, 32, 32, 3), np.uint8)
        >>> recording = Recording.from_xarray(array, images, identifier="lab.array1", window=(70, 170))
        >>> recording.maps.shape, recording.sites
        ((6, 2, 3, 2), ('a', 'b'))
        """
        maps = read_named_array(array, identifier, missing_rows=drop_nan_sites)
        if extent is None:
            extent = array.attrs.get("degrees")
        return cls._from_named(maps, images, identifier, window, extent, drop_nan_sites, options)

    @classmethod
    def _from_named(
        cls,
        maps: LongMaps,
        images: Any,
        identifier: str,
        window: tuple[int, int],
        extent: Extent | None,
        drop_nan_sites: bool,
        options: Mapping[str, Any],
    ) -> "Recording":
        check_field_types({"identifier": identifier, "drop_nan_sites": drop_nan_sites, **options})
        if given := sorted({"grid", "repeats", "sites", "image_names"} & set(options)):
            raise UsageError(
                f"{identifier}: {', '.join(given)} cannot be given beside a table or a named array, which holds them.",
                "Leave it out; the size of the images is extent=.",
            )
        count, rows, columns, _ = maps.maps.shape
        files = files_of_images(images, identifier, count=count, names=maps.images or None)
        size = default_extent(files, options.get("stretched", False)) if extent is None else read_extent(extent)
        even = Grid.even((rows, columns), size)
        grid = Grid(even.y if maps.y is None else maps.y, even.x if maps.x is None else maps.x, size)
        return cls.from_arrays(
            maps.maps, files, identifier=identifier, window=window, repeats=maps.repeats, grid=grid, sites=maps.sites,
            drop_nan_sites=drop_nan_sites, **options,
        )  # fmt: skip

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
    def load(cls, folder: Path | str, *, drop_nan_sites: bool = False) -> "Recording":
        """Load a recording from a folder that :meth:`save` or another program wrote.

        Parameters
        ----------
        folder : path
        drop_nan_sites : bool
            Leave out sites with missing values, and name them in ``dropped``; otherwise they are an error. The key
            ``"drop_nan_sites": true`` in ``recording.json`` has the same effect.

        Returns
        -------
        Recording

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
        recording, problems = check_folder(expanded(folder), drop_nan_sites=drop_nan_sites)
        if recording is None:
            raise DataError(
                f"{folder}: {' '.join(problems)}", "Run `brainscore data check FOLDER` to list all problems."
            )
        return recording

    def __post_init__(self) -> None:
        problems = problems_of(vars(self))
        if problems:
            fixes = dict.fromkeys(problem.fix for problem in problems)
            raise type(problems[0])(" ".join(problem.args[0] for problem in problems), " ".join(fixes))
        existing = [image for image in self.images if image.is_file()]
        if problem := shape_problem(existing, self.grid, self.stretched):
            raise DataError(f"{self.identifier}: {problem}", SHAPE_FIX)

    def __repr__(self) -> str:
        images, rows, columns, sites = self.maps.shape
        kind = ", SIMULATED" if self.simulated else ""
        shape = f"{images} images, {rows} x {columns} positions, {sites} sites"
        return f"<Recording {printable(self.identifier)}: {shape}, {self.window[0]}-{self.window[1]} ms{kind}>"

    def _repr_html_(self) -> str:
        """Return the HTML table that a notebook displays."""
        images, rows, columns, sites = self.maps.shape
        repeats = "-" if self.repeats is None else str(self.repeats.shape[1])
        numbers = [str(images), f"{rows} x {columns}", str(sites), repeats, f"{self.window[0]}-{self.window[1]}"]
        table = html_table(("images", "positions", "sites", "repeats", "window, ms", "subject, area"),
                           [[*numbers, f"{self.subject}, {self.area}"]])  # fmt: skip
        return f"<div>{escape(self.identifier)}<br>{SIMULATED_HTML if self.simulated else ''}{table}</div>"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the images: their file names without suffix."""
        return tuple(decoded_name(image.stem) for image in self.images)

    @cached_property
    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        """Return the names of images with equal pixels, a group for each content that occurs more than once."""
        return tuple(tuple(self.names[index] for index in group) for group in find_duplicates(self.images))


def check_folder(folder: Path, *, drop_nan_sites: bool = False) -> tuple[Recording | None, list[str]]:
    """Read the folder of a recording, and list all problems of the folder.

    Parameters
    ----------
    folder : Path
    drop_nan_sites : bool
        Leave out sites with missing values, as ``"drop_nan_sites": true`` in ``recording.json`` does.

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
    fields, problems = read_folder(folder, drop_nan_sites=drop_nan_sites)
    if fields is not None:
        problems += [str(problem) for problem in problems_of(fields)]
    return (None, problems) if fields is None or problems else (Recording(**fields), [])


def misplaced_recording(folder: Path) -> Recording | None:
    """Read the folder of a recording whose maps may lie in wrong places, to draw them; None for an unreadable folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     misplaced_recording(Path(folder)) is None
    True
    """
    fields, _ = read_folder(folder)
    if (
        fields is None
        or fields["maps"] is None
        or fields["images"] is None
        or not all(map(Path.is_file, fields["images"]))
    ):
        return None
    fields |= {"stretched": True, "outside": True}
    return None if problems_of(fields) else Recording(**fields)


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
    """Return the identifier of a recording's images, which all arrays of a monkey share.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> images_identifier(load_recording("it_maps_simulated"))
    'it_maps_simulated.simulated monkey-simulated'
    """
    if recording.area == GAZE:
        return recording.identifier
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
