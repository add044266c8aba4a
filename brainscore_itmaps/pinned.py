"""Download a file once, verify and record it, and accept only the recorded file afterwards.

A file must have its published sha256. Where none is published, the sha256 of the first valid file is written to a JSON
record, and every later file must have that sha256. Callers define what a valid file is and add fields to its record.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import DAMAGED, DataError, InstallationError, ItMapsError, one_line
from brainscore_itmaps.files import locked
from brainscore_itmaps.files import sha256 as hash_of
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME

Record = TypeVar("Record")


def fetch_once(
    find: Callable[[], Record | None], fetch: Callable[[], Record], folder: Path, progress: Report
) -> Record:
    """Return the record of a valid file, or lock its folder and download the file, so that one process does.

    Parameters
    ----------
    find : callable
        Returns the record of the file if the file is valid, else None.
    fetch : callable
        Downloads the file and returns its record.
    folder : Path
        Folder to lock.
    progress : callable
        Called when another process holds the lock.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.txt")
    ...     find = lambda: file.stat().st_size if file.exists() else None
    ...     [fetch_once(find, lambda: file.write_text("0.5"), Path(folder), silent) for _ in range(2)]
    [3, 3]
    """
    if (record := find()) is not None:  # without the lock, so that the folder may be read-only
        return record
    with locked(folder, SET_HOME, progress):
        record = find()  # another process may have fetched the file while this one waited
        return fetch() if record is None else record


@contextmanager
def candidate_file(
    origin: Path | str,
    path: Path,
    command: str,
    sha256: str | None = None,
    progress: Report = silent,
    *,
    size: int | None = None,
) -> Iterator[Path]:
    """Copy or download a file into the folder of ``path``, and remove it unless the caller renames it to ``path``.

    The caller verifies the file before it renames it.

    Parameters
    ----------
    origin : Path or str
        File to copy, or address to download; ``path`` itself is neither copied nor removed.
    path : Path
        Path of the verified file; the caller holds the lock of its folder.
    command : str
        Command that accepts a file which the user downloaded, for errors.
    sha256 : str, optional
        Expected sha256 of a download.
    size : int, optional
        Expected bytes of a download, which is stopped when it becomes larger.

    Yields
    ------
    Path
        The candidate.

    Raises
    ------
    DataError, InstallationError
        See :func:`~brainscore_itmaps.downloads.download`; also when a file cannot be read or written in the block.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     origin, path = Path(folder, "copy.txt"), Path(folder, "maps.txt")
    ...     _ = origin.write_text("0.5")
    ...     with candidate_file(origin, path, "brainscore data fetch --from FILE") as candidate:
    ...         if candidate.read_text() == "0.5":
    ...             _ = candidate.replace(path)
    ...     path.read_text()
    '0.5'
    """
    candidate = path if origin == path else path.with_name(f".candidate-{path.name}")
    try:
        if isinstance(origin, str):
            download(origin, candidate, sha256=sha256, progress=progress, command=command, size=size)
        elif candidate != path:
            shutil.copyfile(origin, candidate)
        yield candidate
    except OSError as error:
        free = shutil.disk_usage(path.parent).free
        raise InstallationError(
            f"Cannot store {origin} as {path}: {error.strerror or error}. {free} bytes are free there.",
            f"Free disk space, or: {SET_HOME}",
        ) from error
    finally:
        if candidate != path:
            candidate.unlink(missing_ok=True)


def read_record(
    file: Path, parse: Callable[[Any], Record], fix: str, error: type[ItMapsError] = DataError
) -> Record | None:
    """Read a JSON record; return None if the file does not exist.

    Parameters
    ----------
    file : Path
    parse : callable
        Converts the content of the JSON file; any of its errors means that the record is damaged.
    fix : str
        Next step when the record is damaged.
    error : type
        Class of the error when the record is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "record.json")
    ...     missing = read_record(file, dict, "Delete it.")
    ...     _ = file.write_text('{"size": 3}')
    ...     missing, read_record(file, lambda content: content["size"], "Delete it.")
    (None, 3)
    """
    if not file.exists():
        return None
    try:
        return parse(json.loads(file.read_text(encoding="utf-8")))
    except DAMAGED as cause:
        raise error(f"The record {file} is damaged: {one_line(cause)}.", fix) from cause


def check_sha256(
    sha256: str, expected: Mapping[str, str | None], file: str, fix: str, error: type[ItMapsError] = DataError
) -> None:
    """Raise ``error`` if the sha256 of a file differs from an expected one.

    Parameters
    ----------
    sha256 : str
        Of the file, in lower case.
    expected : mapping of str to str or None
        Expected sha256 by its description in the message; None is skipped.
    file : str
        Name of the file in the message.
    fix : str
        Next step.
    error : type
        Class of the error.

    Examples
    --------
    >>> check_sha256("ab12", {"the recorded sha256": "AB12", "the published sha256": None}, "maps.npz", "Delete it.")
    >>> check_sha256("ab12", {"the record": "cd34"}, "a.npz", "Retry.")
    Traceback (most recent call last):
    brainscore_itmaps.errors.DataError: a.npz is not the expected file: its sha256 is ab12, the record is cd34. Retry.
    """
    for description, required in expected.items():
        if required is not None and sha256 != required.lower():
            problem = f"its sha256 is {sha256}, {description} is {required.lower()}"
            raise error(f"{file} is not the expected file: {problem}.", fix)


def is_unchanged(file: Path, sha256: str, size: int, changed: int | None = None) -> bool:
    """Return whether a file still has the size and sha256 of its record.

    Parameters
    ----------
    file : Path
    sha256 : str
        Recorded sha256.
    size : int
        Recorded size, bytes.
    changed : int, optional
        Recorded time of last change, ns; a file with this time is not hashed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.txt")
    ...     _ = file.write_text("0.5")
    ...     is_unchanged(file, hash_of(file), 3), is_unchanged(file, "ab12", 3)
    (True, False)
    """
    current = file.stat()
    return current.st_size == size and (current.st_mtime_ns == changed or hash_of(file) == sha256)
