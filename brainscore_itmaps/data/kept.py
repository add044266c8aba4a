"""What is kept of recordings on this machine, and how to be rid of it."""

import shutil
from contextlib import suppress
from pathlib import Path

from brainscore_itmaps.data.arcaro2020 import ARRAYS, NAME
from brainscore_itmaps.data.sources import ARCHIVE
from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.files import locked
from brainscore_itmaps.settings import SET_HOME, Settings

Kept = list[tuple[Path, int]]


def kept_files() -> dict[str, Kept]:
    """What is kept, with sizes in bytes: the archive, what was unpacked and prepared from it, pictures, leftovers.

    Returns
    -------
    dict of str to list of (Path, int)
        ``archive``, ``unpacked``, ``prepared``, ``pictures`` and ``leftovers`` (of runs that were killed).
    """
    settings = Settings.from_environment()
    home = settings.recordings
    found = {
        "archive": [home / ARCHIVE],
        "unpacked": [*home.glob(f"{NAME}-*")],
        "prepared": [*home.glob("prepared/*-*")],
        "pictures": [
            path
            for subject in {array.subject for array in ARRAYS.values()}
            for ending in ("", "-simulated")
            for path in settings.brainio_home.glob(f"{NAME}.{subject}{ending}.stimuli-*")
        ],
        "leftovers": [path for place in (home, home / "prepared") for path in place.glob(".*-*")],
    }
    return {what: [(path, _size(path)) for path in sorted(paths) if path.exists()] for what, paths in found.items()}


def remove_kept(everything: bool = False) -> Kept:
    """Remove what can be made again without a network; with ``everything``, the archive and the pictures too.

    The record of the archive's hash and the chosen orientations stay: a later download is still held to them.

    Returns
    -------
    list of (Path, int)
        What was removed, with its size.

    Raises
    ------
    InstallationError
        When something cannot be removed.
    """
    home = Settings.from_environment().recordings
    if not home.exists():
        return []
    kinds = ["unpacked", "prepared", "leftovers"] + (["archive", "pictures"] if everything else [])
    with locked(home, SET_HOME):
        kept = kept_files()
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
