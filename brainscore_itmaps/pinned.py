"""Download a file once, verify and record it, and accept only the recorded file afterwards.

A file must have its published sha256. Where none is published, the sha256 of the first valid file is written to a JSON
record, and every later file must have that sha256. Callers define what a valid file is, and what else its record holds.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import DataError, InstallationError, ItMapsError, one_line
from brainscore_itmaps.files import locked
from brainscore_itmaps.files import sha256 as hash_of
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME

Record = TypeVar("Record")


def fetch_once(
    find: Callable[[], Record | None], fetch: Callable[[], Record], folder: Path, progress: Report
) -> Record:
    """Return the record of a valid file, or fetch the file with its folder locked, so that one process does."""
    if (record := find()) is not None:  # without the lock, so that the folder may be read-only
        return record
    with locked(folder, SET_HOME, progress):
        record = find()  # another process may have fetched the file while this one waited
        return fetch() if record is None else record


@contextmanager
def candidate_file(
    origin: Path | str, path: Path, command: str, sha256: str | None = None, progress: Report = silent
) -> Iterator[Path]:
    """Copy or download a file beside ``path``; the caller verifies it and moves it there, or it is removed.

    Parameters
    ----------
    origin : Path or str
        File to copy, or address to download; ``path`` itself is neither copied nor removed.
    path : Path
        Path of the verified file; the caller holds the lock of its folder.
    command : str
        Command that accepts a file which was downloaded by hand, for errors.
    sha256 : str, optional
        Expected sha256 of a download.

    Raises
    ------
    DataError, InstallationError
        See :func:`~brainscore_itmaps.downloads.download`; also when a file cannot be read or written in the block.
    """
    candidate = path if origin == path else path.with_name(f".candidate-{path.name}")
    try:
        if isinstance(origin, str):
            download(origin, candidate, sha256=sha256, progress=progress, give=command)
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
    """Read a JSON record, or return None where there is no such file; raise ``error`` when it is damaged."""
    if not file.exists():
        return None
    try:
        return parse(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise error(f"The record {file} is damaged: {one_line(cause)}.", fix) from cause


def check_sha256(
    sha256: str, expected: Mapping[str, str | None], file: str, fix: str, error: type[ItMapsError] = DataError
) -> None:
    """Raise ``error`` if the sha256 of a file differs from an expected one.

    ``expected`` maps a description, which the message uses, to a sha256; None is skipped.
    """
    for name, other in expected.items():
        if other is not None and sha256 != other.lower():
            raise error(f"{file} is not the expected file: its sha256 is {sha256}, {name} is {other.lower()}.", fix)


def is_unchanged(file: Path, sha256: str, size: int, changed: int | None = None) -> bool:
    """Compare a file with its record: size and, unless it was last changed at ``changed`` (ns), sha256."""
    now = file.stat()
    return now.st_size == size and (now.st_mtime_ns == changed or hash_of(file) == sha256)
