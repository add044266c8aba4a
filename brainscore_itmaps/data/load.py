"""Load recordings by name, keep what was read from the published files, and remove it again."""

import hashlib
import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from brainscore_itmaps.data import grid as orientations
from brainscore_itmaps.data import sources
from brainscore_itmaps.data.arcaro2020 import ARRAYS, NAME, Window, read_array, window_of
from brainscore_itmaps.data.images import placed_images
from brainscore_itmaps.data.recording import Recording, images_identifier, whole_window
from brainscore_itmaps.data.response_maps import ORIENTATION as ORIENTATION_OF_RESPONSE_MAPS
from brainscore_itmaps.data.response_maps import read_response_maps
from brainscore_itmaps.data.simulated import IDENTIFIER as SIMULATED
from brainscore_itmaps.data.simulated import WINDOW, load_simulated
from brainscore_itmaps.data.sources import ARCHIVE
from brainscore_itmaps.errors import DataError, InstallationError, UsageError, nearest
from brainscore_itmaps.files import locked, replacing
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.settings import SET_HOME, Settings

RECORDINGS = (SIMULATED, *ARRAYS)
PUBLISHED_ORIENTATION = "flip_both"
READER = 1
"""Raised whenever the same source and parameters give another recording."""


@accept_reference_compat
def load_recording(
    name: str,
    window: Window | str | None = None,
    source: Path | str | None = None,
    *,
    orientation: str | None = None,
    protocol: str | Protocol = "ours",
    progress: Report = silent,
) -> Recording:
    """Load a recording.

    Parameters
    ----------
    name : str
        ``monkey1_PL``, ``monkey1_ML``, ``monkey2_ML`` (Arcaro, Ponce & Livingstone 2020) or ``it_maps_simulated``.
    window : (int, int) or str, optional
        Milliseconds after stimulus onset, half-open; or one by name: ``elife`` (100-250 ms for monkey 1, 150-300 ms for
        monkey 2; the default), ``tutorial``, ``loader``, ``followup_51_90`` and the four after it.
    source : path, optional
        Source of the data: the published archive, a folder with its files, or a file of the authors' response maps
        (``.mat``). By default the archive of ``brainscore data fetch``, which is downloaded if it is missing.
    orientation : str, optional
        How the stored maps lie over the images, a name of
        :data:`brainscore_itmaps.data.grid.ORIENTATIONS`. By default the orientation recorded by
        ``brainscore data orient``, else both axes reversed, as published (for response maps the first axis alone, as
        their authors do).
    protocol : "ours", "published" or Protocol
        Published, as the published loader: 33 sites in PL and 30 in ML, means over time in the precision of the file, a
        window of 50-90 ms unless one is given, both axes reversed, images of 224 x 224 pixels through OpenCV.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Recording
        Maps are float64 (image, y, x, site), in the units of the file; published, of its precision.

    Raises
    ------
    UsageError
        When the name, the window's name, the orientation or the protocol is not known.
    DataError
        When the window is not covered by the recording, or the files or images are missing or damaged.
    InstallationError
        When the files cannot be fetched or written.

    Examples
    --------
    >>> recording = load_recording("it_maps_simulated")
    >>> recording.maps.shape, recording.simulated
    ((14, 17, 17, 32), True)
    """
    protocol = protocol_named(protocol)
    if not isinstance(name, str):
        raise UsageError(f"{name!r} is not the name of a recording.", nearest("", RECORDINGS))
    name = name.removeprefix(f"{NAME}.").removesuffix("-simulated") if name.startswith(NAME) else name
    source = Path(source).expanduser() if source is not None else None
    if name == SIMULATED:
        if isinstance(window, str) or orientation is not None or protocol.loader != "ours":
            raise UsageError(
                f"{SIMULATED} has no named windows, no other orientation and no other loader.",
                "Give a window as (from, to), or leave these out.",
            )
        asked = WINDOW if window is None else whole_window(window)
        return load_simulated(asked) if source is None else load_simulated(asked, source)
    if name not in ARRAYS:
        raise UsageError(f"There is no recording named {name!r}.", nearest(name, RECORDINGS))
    array = ARRAYS[name]
    chosen = window_of(array, window, protocol)
    if orientation is not None:
        orientations.check_orientation(orientation)
    maps_only = source is not None and source.suffix.lower() == ".mat" and source.name != array.mat
    if maps_only and protocol.loader != "ours":
        raise UsageError(f"The {protocol.loader} loader reads no response maps.", "Leave out the protocol.")
    located = sources.resolve(source, array, progress)
    if orientation is None and protocol.loader == "ours":
        orientation = chosen_orientation(located.sha256, array.subject)
    orientation = orientation or (ORIENTATION_OF_RESPONSE_MAPS if maps_only else PUBLISHED_ORIENTATION)
    home = Settings.from_environment().recordings
    parameters = [
        READER,
        located.sha256,
        name,
        chosen,
        orientation,
        protocol.loader == "published",
    ]  # as 0.1 wrote them
    key = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()[:16]
    prepared = home / "prepared" / f"{name}-{key}"
    if (recording := _load_prepared(prepared)) is not None:
        return recording
    with locked(home, SET_HOME, progress):
        if (recording := _load_prepared(prepared)) is not None:  # while we waited, another process read it
            return recording
        for left_behind in [prepared, *home.glob(".images-*"), *home.glob("prepared/.*")]:  # by a run that was killed
            shutil.rmtree(left_behind, ignore_errors=True)
        try:
            with tempfile.TemporaryDirectory(prefix=".images-", dir=home) as images:
                progress(f"reading {name}", 0, 1)
                sources.check_unchanged(located, array)
                if maps_only:
                    recording = read_response_maps(
                        located.place, array, chosen, orientation, located.sha256, Path(images)
                    )
                else:
                    folder = sources.files_of(located, array, progress)
                    recording = read_array(folder, array, chosen, orientation, protocol, located.sha256, Path(images))
                recording.save(prepared, SET_HOME)
        except OSError as error:
            raise InstallationError(f"Cannot write in {home}: {error.strerror or error}.", SET_HOME) from error
        placed = _load_prepared(prepared)
    assert placed is not None
    return placed


def _load_prepared(folder: Path) -> Recording | None:
    try:
        recording = Recording.load(folder)
    except (DataError, OSError):  # not there, changed by somebody, or just being removed: it is read again
        return None
    return replace(recording, images=placed_images(recording.images, images_identifier(recording)))


def chosen_orientation(sha256: str, subject: str) -> str | None:
    """Return the orientation recorded by ``brainscore data orient`` for a monkey's maps in a source, if any."""
    return _choices().get(f"{sha256} {subject}")


def choose_orientation(recording: Recording, orientation: str) -> Path:
    """Record how a monkey's maps lie over the images; :func:`load_recording` uses it from now on.

    Parameters
    ----------
    recording : Recording
        Any array of the monkey: the choice applies to all of its arrays in this source.
    orientation : str
        A name of ``ORIENTATIONS``.

    Returns
    -------
    Path
        The file that holds the choices.

    Raises
    ------
    UsageError
        When the orientation is not known.
    InstallationError
        When the choice cannot be written.
    """
    orientations.check_orientation(orientation)
    with locked(Settings.from_environment().recordings, SET_HOME):
        choices = _choices() | {f"{recording.sha256} {recording.subject}": orientation}
        with replacing(_choices_file(), SET_HOME) as beside:
            beside.write_text(json.dumps(choices, indent=1) + "\n", encoding="utf-8")
    return _choices_file()


def _choices_file() -> Path:
    return Settings.from_environment().recordings / "orientation.json"


def _choices() -> dict[str, str]:
    file = _choices_file()
    if not file.exists():
        return {}
    try:
        choices = dict(json.loads(file.read_text(encoding="utf-8")))
        for choice in choices.values():
            orientations.check_orientation(choice)
    except (OSError, ValueError, TypeError, UsageError) as error:
        raise DataError(
            f"{file}, which holds chosen orientations, is damaged.", "Remove it, and choose again."
        ) from error
    return choices


StoredFiles = list[tuple[Path, int]]


def stored_files() -> dict[str, StoredFiles]:
    """List stored files with sizes in bytes: the archive, files made from it, images, and leftovers.

    Returns
    -------
    dict of str to list of (Path, int)
        ``archive``, ``unpacked``, ``prepared``, ``images`` and ``leftovers`` (of runs that were killed).
    """
    settings = Settings.from_environment()
    home = settings.recordings
    found = {
        "archive": [home / ARCHIVE],
        "unpacked": [*home.glob(f"{NAME}-*")],
        "prepared": [*home.glob("prepared/*-*")],
        "images": [
            path
            for subject in {array.subject for array in ARRAYS.values()}
            for ending in ("", "-simulated")
            for path in settings.brainio_home.glob(f"{NAME}.{subject}{ending}.stimuli-*")
        ],
        "leftovers": [path for place in (home, home / "prepared") for path in place.glob(".*-*")],
    }
    return {what: [(path, _size(path)) for path in sorted(paths) if path.exists()] for what, paths in found.items()}


def remove_stored(everything: bool = False) -> StoredFiles:
    """Remove what can be made again without a download; with ``everything``, the archive and the images, too.

    The record of the archive's hash and the chosen orientations stay: a later download is still held to them.

    Returns
    -------
    list of (Path, int)
        Removed paths with their sizes.

    Raises
    ------
    InstallationError
        When something cannot be removed.
    """
    home = Settings.from_environment().recordings
    if not home.exists():
        return []
    kinds = ["unpacked", "prepared", "leftovers"] + (["archive", "images"] if everything else [])
    with locked(home, SET_HOME):
        kept = stored_files()
        removed = [entry for kind in kinds for entry in kept[kind]]
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
        with suppress(FileNotFoundError):  # another process is just removing it
            size += file.lstat().st_size if file.is_file() else 0
    return size
