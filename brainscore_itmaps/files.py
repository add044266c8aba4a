"""Files that nobody can meet half-written."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brainscore_itmaps.errors import InstallationError


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_unwritable(path: Path) -> None:
    """Make the folder of a file if need be, and refuse a file that cannot be written: before the work, not after it.

    Raises
    ------
    InstallationError
        Naming the folder, and how to name another.
    """
    if path.is_dir():
        raise InstallationError(f"{path} is a folder, not a file.", "Name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InstallationError(
            f"Cannot write in {path.parent}: {error.strerror}.",
            "Name a folder that you may write to: --out for one run, ITMAPS_HOME (results) or BRAINIO_HOME (pictures).",
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, it takes the place of ``path`` in one step.

    When the block fails or is interrupted, what was written is removed and ``path`` is as it was.

    Raises
    ------
    InstallationError
        When the folder cannot be made or written to, or the disk is full.
    """
    refuse_unwritable(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o666 & ~mask)  # mkstemp makes files private; ours are as readable as any other
        beside.replace(path)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free
        raise InstallationError(
            f"Cannot write {path}: {error.strerror or error} ({free / 1e6:.0f} MB are free there).",
            "What was there before is untouched. Make room, or name another folder.",
        ) from error
    finally:
        beside.unlink(missing_ok=True)
