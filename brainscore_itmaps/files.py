"""Files that are written completely or not at all, locks, and CSV text without formulas."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.progress import Report, silent

FORMULA = re.compile(r"(^|[;\t\r\n])(?=[\s\x00\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])")
"""Where a spreadsheet would start a formula: at the start of a cell, also of one that a semicolon or tab starts."""
NUMBER = re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)\s*", re.ASCII | re.IGNORECASE)
ANOTHER_FOLDER = "Name a folder that you may write to."


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_folder(folder: Path, fix: str = ANOTHER_FOLDER, takes: int | None = None) -> Iterator[Path]:
    """Yield a temporary folder, which gets its name in one step if the ``with`` block succeeds.

    When the block fails, what was written is removed; what a killed run leaves behind lies beside it, under a name that
    begins with a dot.

    Parameters
    ----------
    folder : Path
        Must not exist; the one that it lies in is made if need be.
    fix : str
        How to name another place.
    takes : int, optional
        Bytes that will be written, for the message.

    Raises
    ------
    InstallationError
        When the folder cannot be written to, or the disk is full.
    """
    beside = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        temporary = beside / folder.name  # temporary folders are private; this one is as readable as any other
        temporary.mkdir()
        yield temporary
        temporary.rename(folder)
    except OSError as error:
        needed = f"It needs {takes} bytes; " if takes is not None else ""
        free = shutil.disk_usage(next(place for place in folder.parents if place.is_dir())).free
        raise InstallationError(
            f"Cannot write {folder}: {error.strerror or error}. {needed}{free} bytes are free there. "
            "What was there before is untouched.",
            f"Make room, or: {fix}",
        ) from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def make_readable(file: Path) -> None:
    """Give a file that began as a private temporary file the usual permissions."""
    mask = os.umask(0)
    os.umask(mask)
    file.chmod(0o666 & ~mask)


@contextmanager
def locked(folder: Path, fix: str = ANOTHER_FOLDER, progress: Report = silent) -> Iterator[None]:
    """Lock a folder for this process, and wait while another process has the lock; a dead process holds none.

    Parameters
    ----------
    folder : Path
        Made if need be.
    fix : str
        How to name another place.
    progress : callable
        Called while another process has the lock.

    Raises
    ------
    InstallationError
        When the folder cannot be made or written to.
    """
    import filelock

    check_writable(folder / ".lock", fix)
    lock = filelock.FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0.5)
        except filelock.Timeout:
            progress(f"waiting for another process ({folder / '.lock'})", 0, 1)
            lock.acquire()
    except OSError as error:
        raise InstallationError(f"Cannot lock {folder}: {error.strerror or error}.", fix) from error
    try:
        yield
    finally:
        lock.release()


def write_json(path: Path, content: Any, fix: str = ANOTHER_FOLDER) -> None:
    """Write a JSON file in one step.

    Raises
    ------
    InstallationError
        See :func:`replacing`.
    """
    with replacing(path, fix) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def csv_cell(value: Any) -> Any:
    """Prefix an apostrophe to text that a spreadsheet would run as a formula; numbers are unchanged, also as text.

    Examples
    --------
    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell("blocks.4")
    ("'=1+1", '-0.5', 'blocks.4')
    """
    return FORMULA.sub(r"\1'", value) if isinstance(value, str) and not NUMBER.fullmatch(value) else value


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Write rows as CSV, each cell through :func:`csv_cell`."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(map(csv_cell, row) for row in rows)
    return lines.getvalue()


def check_writable(path: Path, fix: str = ANOTHER_FOLDER) -> None:
    """Check that a file can be written, before long work begins. Creates no folder.

    Parameters
    ----------
    path : Path
        The file that will be written.
    fix : str
        How to name another place.

    Raises
    ------
    InstallationError
        Naming the folder.
    """
    if path.is_dir():
        raise InstallationError(f"{path} is a folder, not a file.", "Name a file in it.")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InstallationError(f"Cannot write in {folder}: {error.strerror}.", fix) from error


@contextmanager
def replacing(path: Path, fix: str = ANOTHER_FOLDER) -> Iterator[Path]:
    """Yield a temporary path, which replaces ``path`` in one step if the ``with`` block succeeds.

    When the block fails or is interrupted, what was written is removed and ``path`` is as it was.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    fix : str
        How to name another place.

    Raises
    ------
    InstallationError
        When the folder cannot be made or written to, or the disk is full.
    """
    check_writable(path, fix)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        make_readable(temporary)
        temporary.replace(path)
    except OSError as error:
        raise InstallationError(
            f"Cannot write {path}: {error.strerror or error}. What was there before is untouched.",
            f"Make room, or: {fix}",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
