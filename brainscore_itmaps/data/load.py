"""Load recordings by name, cache what was read from published files, and list and remove stored files."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from brainscore_itmaps.data import grid as orientations
from brainscore_itmaps.data import osie, published, sources
from brainscore_itmaps.data.arcaro2020 import ARRAYS, NAME, Window, read_array, window_limits
from brainscore_itmaps.data.images import copy_to_brainio_home
from brainscore_itmaps.data.recording import Recording, images_identifier, parse_window, window_or_name
from brainscore_itmaps.data.response_maps import ORIENTATION as ORIENTATION_OF_RESPONSE_MAPS
from brainscore_itmaps.data.response_maps import read_response_maps
from brainscore_itmaps.data.simulated import IDENTIFIER as SIMULATED
from brainscore_itmaps.data.simulated import load_simulated
from brainscore_itmaps.data.simulated_textures import IDENTIFIER as SIMULATED_TEXTURES
from brainscore_itmaps.data.simulated_textures import load_textures
from brainscore_itmaps.data.sources import ARCHIVE
from brainscore_itmaps.errors import DAMAGED, DataError, InstallationError, UsageError, check_type, nearest
from brainscore_itmaps.files import FOLDER_OF_TABLE, locked, replacing
from brainscore_itmaps.pinned_files import missing_files
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.settings import SET_HOME, Settings, expanded

SIMULATIONS: dict[str, Callable[..., Recording]] = {SIMULATED: load_simulated, SIMULATED_TEXTURES: load_textures}
"""Simulated recordings, which are on every machine."""
RECORDINGS = (*SIMULATIONS, *ARRAYS, *osie.RECORDINGS)
PUBLISHED_ORIENTATION = "flip_both"
READER = 1
"""Part of the cache key: increased when the same source and parameters give another recording."""


def recording_folder(name: object) -> Path | None:
    """Return the folder that a name of a recording means; None for the name of a recording of this package.

    A path, and a text with a separator of folders or that is an existing folder, mean a folder.

    Examples
    --------
    >>> recording_folder("it_maps_simulated"), recording_folder("./array1").name
    (None, 'array1')
    """
    if isinstance(name, Path):
        return expanded(name)
    if not isinstance(name, str) or name in RECORDINGS or not name:
        return None
    folder = expanded(name)
    return folder if folder.is_dir() or name.startswith((".", "~")) or folder.name != name else None


@accept_reference_compat
@shows_progress
def load_recording(
    name: str | Path | Recording,
    window: Window | str | None = None,
    source: Path | str | None = None,
    *,
    orientation: str | None = None,
    protocol: str | Protocol = "ours",
    progress: Report = silent,
) -> Recording:
    """Load a recording by name, and cache it if it was read from published files.

    Parameters
    ----------
    name : str
        ``monkey1_PL``, ``monkey1_ML``, ``monkey2_ML`` (Arcaro, Ponce & Livingstone 2020); ``OSIE.gaze`` or
        ``OSIE.gaze700``, the fixations of 15 people on 100 or 700 photographs (Xu et al. 2014); ``it_maps_simulated``
        or ``it_maps_textures_simulated``; or the folder of a saved recording, or a recording, which is returned.
    window : (int, int) or str, optional
        Milliseconds after stimulus onset, half-open; or its name: ``elife`` (100-250 ms for monkey 1, 150-300 ms for
        monkey 2; the default), ``tutorial``, ``loader``, ``followup_51_90`` or one of the four later windows.
    source : path, optional
        Source of the data: the published archive, a folder with its files, or a file of the authors' response maps
        (``.mat``). By default the archive of ``brainscore data fetch``, which is downloaded if it is missing.
    orientation : str, optional
        Orientation of the stored maps relative to the images, a name of
        :data:`brainscore_itmaps.data.grid.ORIENTATIONS`. By default the orientation recorded by
        ``brainscore data orient``, else ``flip_both`` as in the published loader (``flip_y`` for response maps, as in
        their authors' script).
    protocol : "ours", "published" or Protocol
        "published" reads like the published loader: 33 sites in PL and 30 in ML, means over time in the precision of
        the file, a default window of 50-90 ms, both axes reversed, images of 224 x 224 pixels read with OpenCV.
        "followup" reads like "ours", with both axes reversed and a default window of 131-170 ms.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Recording
        Its maps have shape (image, y, x, site), the units of the file, and type float64; with the published protocol
        the type of the file.

    Raises
    ------
    UsageError
        When the name of the recording, the window, the orientation or the protocol is unknown.
    DataError
        When the recording does not cover the window, or files or images are missing or damaged.
    InstallationError
        When files cannot be downloaded or written.

    Examples
    --------
    >>> recording = load_recording("it_maps_simulated")
    >>> recording.maps.shape, recording.simulated
    ((14, 17, 17, 32), True)
    """
    protocol = protocol_named(protocol)
    folder = recording_folder(name)
    if (folder is not None or isinstance(name, Recording)) and not (window is source is orientation is None):
        raise UsageError(
            "A recording of your own has one source, one window and one orientation.",
            "Leave out source, window and orientation.",
        )
    if isinstance(name, Recording):
        return name
    if folder is not None:
        return Recording.load(folder)
    check_type(name, str, "the name of a recording", nearest("", RECORDINGS))
    name = str(name)
    window = window_or_name(window)
    name = name.removeprefix(f"{NAME}.").removesuffix("-simulated") if name.startswith(NAME) else name
    source = expanded(source) if source is not None else None
    if name in SIMULATIONS:
        if isinstance(window, str):
            raise UsageError(
                f"{name} has no window named {window!r}.", "Give milliseconds after stimulus onset, such as 100-250."
            )
        _check_as_stored(name, orientation, protocol)
        if source is not None and name == SIMULATED_TEXTURES:
            raise UsageError(f"{name} is simulated when it is loaded and has no source.", "Leave out the source.")
        given = {"window": parse_window(window) if window is not None else None, "source": source}
        return SIMULATIONS[name](**{option: value for option, value in given.items() if value is not None})
    if name in osie.RECORDINGS:
        if window not in (None, osie.WINDOW):
            raise UsageError(f"{name} has one window, {osie.WINDOW[0]}-{osie.WINDOW[1]} ms.", "Leave out the window.")
        _check_as_stored(name, orientation, protocol)
        return osie.load_osie(name, source, progress)
    if name not in ARRAYS:
        if Path(name).is_file():
            raise UsageError(f"{name} is a file, not the folder of a recording.", FOLDER_OF_TABLE)
        raise UsageError(f"There is no recording named {name!r}.", nearest(name, RECORDINGS))
    array = ARRAYS[name]
    limits = window_limits(array, window, protocol)
    if orientation is not None:
        orientations.check_orientation(orientation)
    maps_only = source is not None and source.suffix.lower() == ".mat" and source.name != array.mat
    if maps_only and protocol.loader != "ours":
        raise UsageError(f"The {protocol.loader} loader reads no response maps.", "Omit the protocol.")
    located = sources.find_source(source, array, progress)
    if orientation is None and protocol.loader == "ours":
        orientation = chosen_orientation(located.sha256, array.subject)
    orientation = orientation or (ORIENTATION_OF_RESPONSE_MAPS if maps_only else PUBLISHED_ORIENTATION)
    home = Settings.from_environment().recordings
    parameters = [
        READER,
        located.sha256,
        name,
        limits,
        orientation,
        protocol.loader == "published",
    ]  # in the form of version 0.1, whose cached recordings stay valid
    key = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()[:16]
    prepared = home / "prepared" / f"{name}-{key}"
    if (recording := _load_prepared(prepared)) is not None:
        return recording
    with locked(home, SET_HOME, progress):
        if (recording := _load_prepared(prepared)) is not None:  # another process read it in the meantime
            return recording
        for leftover in [prepared, *home.glob(".images-*"), *home.glob("prepared/.*")]:  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".images-", dir=home) as images:
                progress(f"reading {name}", 0, 1)
                sources.check_unchanged(located, array)
                if maps_only:
                    recording = read_response_maps(
                        located.path, array, limits, orientation, located.sha256, Path(images)
                    )
                else:
                    folder = sources.files_folder(located, array, progress)
                    recording = read_array(folder, array, limits, orientation, protocol, located.sha256, Path(images))
                recording.save(prepared, SET_HOME)
        except OSError as error:
            raise InstallationError(f"Cannot write in {home}: {error.strerror or error}.", SET_HOME) from error
        cached = _load_prepared(prepared)
    assert cached is not None
    return cached


def _check_as_stored(name: str, orientation: str | None, protocol: Protocol) -> None:
    """Check that a recording that has one orientation and one loader is asked for as it is."""
    if orientation is not None:
        raise UsageError(f"{name} has one orientation.", "Leave out the orientation.")
    if protocol.loader != "ours":
        raise UsageError(f"{name} was not published with a loader of its own.", "Leave out the protocol.")


def load_recordings(
    names: Iterable[str],
    window: Window | str | None = None,
    protocol: str | Protocol = "ours",
    progress: Report = silent,
) -> tuple[Recording, ...]:
    """Load several recordings; the protocol applies to arrays, since only these were published with one.

    Parameters
    ----------
    names : iterable of str
    window, protocol, progress
        See :func:`load_recording`.

    Returns
    -------
    tuple of Recording

    Raises
    ------
    UsageError, DataError, InstallationError
        See :func:`load_recording`.

    Examples
    --------
    >>> [recording.identifier for recording in load_recordings(["it_maps_simulated"], (50, 100))]
    ['it_maps_simulated']
    """
    return tuple(
        load_recording(name, window, protocol=protocol if name in ARRAYS else "ours", progress=progress)
        for name in names
    )


def is_stored(name: str) -> bool:
    """Return whether a recording of this package can be loaded without a download.

    Examples
    --------
    >>> is_stored("it_maps_simulated")
    True
    """
    if name in osie.RECORDINGS:
        return not missing_files(osie.files_of(osie.RECORDINGS[name]), osie.osie_folder())
    return name in SIMULATIONS or sources.recorded_archive() is not None


def _load_prepared(folder: Path) -> Recording | None:
    try:
        recording = Recording.load(folder)
    except (DataError, OSError):  # missing, changed or just being removed: the source is read again
        return None
    return replace(recording, images=copy_to_brainio_home(recording.images, images_identifier(recording)))


def chosen_orientation(sha256: str, subject: str) -> str | None:
    """Return the orientation recorded by ``brainscore data orient`` for the maps of a monkey in a source, or None.

    Parameters
    ----------
    sha256 : str
        sha256 of the source.
    subject : str
        The monkey.

    Examples
    --------
    >>> from brainscore_itmaps.settings import overridden
    >>> with tempfile.TemporaryDirectory() as home, overridden(home=Path(home)):
    ...     chosen_orientation("ab12", "monkey1") is None
    True
    """
    return _read_orientations().get(f"{sha256} {subject}")


def choose_orientation(recording: Recording, orientation: str) -> Path:
    """Record the orientation of a monkey's maps, which :func:`load_recording` then uses by default.

    Parameters
    ----------
    recording : Recording
        Any array of the monkey: the orientation applies to all of its arrays in this source.
    orientation : str
        A name of ``ORIENTATIONS``.

    Returns
    -------
    Path
        The file with the recorded orientations.

    Raises
    ------
    UsageError
        When the orientation is unknown.
    InstallationError
        When the file cannot be written.

    Examples
    --------
    >>> from brainscore_itmaps.settings import overridden
    >>> recording = load_recording("it_maps_simulated")
    >>> with tempfile.TemporaryDirectory() as home, overridden(home=Path(home)):
    ...     file = choose_orientation(recording, "flip_y")
    ...     file.name, chosen_orientation(recording.sha256, recording.subject)
    ('orientation.json', 'flip_y')
    """
    orientations.check_orientation(orientation)
    with locked(Settings.from_environment().recordings, SET_HOME):
        choices = _read_orientations() | {f"{recording.sha256} {recording.subject}": orientation}
        with replacing(_orientation_file(), SET_HOME) as temporary:
            temporary.write_text(json.dumps(choices, indent=1) + "\n", encoding="utf-8")
    return _orientation_file()


def _orientation_file() -> Path:
    return Settings.from_environment().recordings / "orientation.json"


def _read_orientations() -> dict[str, str]:
    file = _orientation_file()
    if not file.exists():
        return {}
    try:
        choices = dict(json.loads(file.read_text(encoding="utf-8")))
        for choice in choices.values():
            orientations.check_orientation(choice)
    except (*DAMAGED, UsageError) as error:
        raise DataError(
            f"The file of recorded orientations, {file}, is damaged.",
            "Remove it, and record them again with `brainscore data orient`.",
        ) from error
    return choices


StoredFiles = list[tuple[Path, int]]


def list_stored_files() -> dict[str, StoredFiles]:
    """List stored files of recordings with their sizes, by kind.

    Returns
    -------
    dict of str to list of (Path, int)
        Paths with sizes in bytes: ``archive``, ``unpacked``, ``prepared``, ``images``, ``gaze`` (of OSIE),
        ``published`` (tables) and ``leftovers`` (of killed processes).

    Examples
    --------
    >>> from brainscore_itmaps.settings import overridden
    >>> with tempfile.TemporaryDirectory() as home, overridden(home=Path(home), brainio_home=Path(home)):
    ...     Path(home, "recordings").mkdir()
    ...     _ = Path(home, "recordings", ARCHIVE).write_bytes(b"PK")
    ...     [(path.name, size) for path, size in list_stored_files()["archive"]]
    [('Arcaro2020.zip', 2)]
    """
    settings = Settings.from_environment()
    home = settings.recordings
    recorded = {f"{NAME}.{array.subject}{ending}" for array in ARRAYS.values() for ending in ("", "-simulated")}
    stored = {
        "archive": [home / ARCHIVE],
        "unpacked": [*home.glob(f"{NAME}-*")],
        "prepared": [*home.glob("prepared/*-*")],
        "images": [
            path for name in (*recorded, *osie.RECORDINGS) for path in settings.brainio_home.glob(f"{name}.stimuli-*")
        ],
        "gaze": [osie.osie_folder()],
        "published": [published.published_folder()],
        "leftovers": [path for folder in (home, home / "prepared") for path in folder.glob(".*-*")],
    }
    return {kind: [(path, _size(path)) for path in sorted(paths) if path.exists()] for kind, paths in stored.items()}


def remove_stored_files(everything: bool = False) -> StoredFiles:
    """Remove stored files that can be made again without a download, or all stored files.

    The record of the archive's hash and the recorded orientations are kept and apply to a later download.

    Parameters
    ----------
    everything : bool
        Remove the archive, the images, the files of OSIE and the published tables, too.

    Returns
    -------
    list of (Path, int)
        Removed paths with their sizes in bytes.

    Raises
    ------
    InstallationError
        When a path cannot be removed.

    Examples
    --------
    >>> from brainscore_itmaps.settings import overridden
    >>> with tempfile.TemporaryDirectory() as home, overridden(home=Path(home), brainio_home=Path(home)):
    ...     Path(home, "recordings", "prepared", "monkey1_PL-ab12").mkdir(parents=True)
    ...     [path.name for path, size in remove_stored_files()]
    ['monkey1_PL-ab12']
    """
    home = Settings.from_environment().recordings
    if not any(list_stored_files().values()):
        return []
    kinds = ["unpacked", "prepared", "leftovers"] + (["archive", "images", "gaze", "published"] if everything else [])
    with locked(home, SET_HOME):
        stored = list_stored_files()
        removed = [entry for kind in kinds for entry in stored[kind]]
        for path, _ in removed:
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except OSError as error:
                raise InstallationError(
                    f"Cannot remove {path}: {error.strerror or error}.", "Ask the owner of that folder to remove it."
                ) from error
    return removed


def _size(path: Path) -> int:
    size = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        with suppress(FileNotFoundError):  # another process has just removed it
            size += file.lstat().st_size if file.is_file() else 0
    return size
