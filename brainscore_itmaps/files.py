"""Write files and folders completely or not at all, lock folders, and write CSV text without formulas."""

import csv
import hashlib
import io
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.progress import Report, silent

FORMULA = re.compile(r"(^|[;\t\r\n])(?=[\s\x00\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])")
"""Positions where a spreadsheet would start a formula: at the start of a cell, also after a semicolon or tab."""
NUMBER = re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)\s*", re.ASCII | re.IGNORECASE)
ANOTHER_FOLDER = "Name a folder that you may write to."
if TYPE_CHECKING:
    import filelock

WRITING, LOCK = ".writing-", ".lock"
"""Beginning of the names of hidden folders that hold files until they are complete, and the lock in each."""
FOLDER_OF_TABLE = "`brainscore data import` makes the folder of a recording from a table of maps."


def sha256(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal digits.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.txt")
    ...     _ = file.write_bytes(b"0.5")
    ...     sha256(file)[:12]
    'd2cbad71ff33'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def private_folder(parent: Path, owner: str | None = None) -> Iterator[Path]:
    """Yield a hidden folder in another one, and remove it at the end; those of killed processes are removed first.

    A lock in each shows whether its process still runs.

    Parameters
    ----------
    parent : Path
        Created if necessary.
    owner : str, optional
        Name of what is written: one process at a time has its folder, and others wait. By default, each call has a
        folder of its own.

    Raises
    ------
    OSError
        When the folder cannot be written to, or the disk is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as root:
    ...     with private_folder(Path(root)) as first, private_folder(Path(root)) as second:
    ...         first.is_dir(), first == second
    ...     list(Path(root).iterdir())
    (True, False)
    []
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    private, lock = _locked_folder(parent, owner)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)
        lock.release()


def _locked_folder(parent: Path, owner: str | None) -> tuple[Path, "filelock.FileLock"]:
    """Make and lock a hidden folder; make it again if another process took it for a leftover in between."""
    import filelock

    while True:
        private = owned_folder(parent, owner) if owner else Path(tempfile.mkdtemp(prefix=WRITING, dir=parent))
        try:
            private.mkdir(exist_ok=True)
            lock = filelock.FileLock(private / LOCK)
            lock.acquire()
        except (FileNotFoundError, FileExistsError):
            if private.is_file() or not parent.is_dir():
                raise
        else:
            return private, lock


def owned_folder(parent: Path, owner: str) -> Path:
    """Return the path of the hidden folder that one process at a time has (:func:`private_folder`).

    Examples
    --------
    >>> owned_folder(Path("results"), "resnet50").name
    '.writing-a0fcff33653ceb2e'
    """
    return parent / f"{WRITING}{hashlib.sha256(owner.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def remove_leftovers(parent: Path) -> None:
    """Remove the hidden folders that killed processes left in a folder; those of running processes stay.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as root:
    ...     Path(root, ".writing-a1b2c3d4").mkdir()
    ...     remove_leftovers(Path(root))
    ...     list(Path(root).iterdir())
    []
    """
    import filelock

    with os.scandir(parent) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.startswith(WRITING)]
    for folder in found:
        with suppress(OSError, filelock.Timeout), filelock.FileLock(folder / LOCK, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)


def visible(files: Iterable[Path], folder: Path) -> list[Path]:
    """Sort files of a folder, without those that are hidden or in a hidden folder: no result or record of ours is.

    Examples
    --------
    >>> folder = Path("results")
    >>> visible([folder / "b.json", folder / "a.json", folder / ".writing-1" / "c.json"], folder)
    [PosixPath('results/a.json'), PosixPath('results/b.json')]
    """
    return sorted(file for file in files if not any(part[0] == "." for part in file.relative_to(folder).parts))


@contextmanager
def new_folder(folder: Path, fix: str = ANOTHER_FOLDER, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to ``folder`` in one step if the ``with`` block succeeds.

    When the block fails, the temporary folder is removed; one that a killed process left is removed by the next.

    Parameters
    ----------
    folder : Path
        Must not exist; its parent is created if necessary.
    fix : str
        Next step, for errors.
    size : int, optional
        Bytes that will be written, for errors.

    Yields
    ------
    Path

    Raises
    ------
    InstallationError
        When the folder cannot be written to, or the disk is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as root:
    ...     with new_folder(Path(root, "results")) as temporary:
    ...         _ = (temporary / "scores.csv").write_text("0.5")
    ...     [file.name for file in Path(root, "results").iterdir()]
    ['scores.csv']
    """
    try:
        with private_folder(folder.parent) as private:
            temporary = private / folder.name  # has the usual permissions, unlike the private folder around it
            temporary.mkdir()
            yield temporary
            temporary.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error, fix, size) from error


def cannot_write(path: Path, error: OSError, fix: str, size: int | None = None) -> InstallationError:
    """Return the error about a file or folder that could not be written, with the free space.

    Examples
    --------
    >>> error = cannot_write(Path("scores.csv"), OSError(28, "No space left on device"), ANOTHER_FOLDER)
    >>> str(error)[:45]
    'Cannot write scores.csv: No space left on dev'
    """
    needed = f"It needs {size} bytes; " if size is not None else ""
    free = shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.is_dir())).free
    return InstallationError(
        f"Cannot write {path}: {error.strerror or error}. {needed}{free} bytes are free there. "
        "Existing files are unchanged.",
        f"Free disk space, or: {fix}",
    )


def make_readable(file: Path) -> None:
    """Give a private temporary file the permissions of a new file.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     handle, name = tempfile.mkstemp(dir=folder)
    ...     os.close(handle)
    ...     Path(folder, "new").touch()
    ...     make_readable(Path(name))
    ...     Path(name).stat().st_mode == Path(folder, "new").stat().st_mode
    True
    """
    mask = os.umask(0)
    os.umask(mask)
    file.chmod(0o666 & ~mask)


@contextmanager
def locked(folder: Path, fix: str = ANOTHER_FOLDER, progress: Report = silent) -> Iterator[None]:
    """Lock a folder for this process, after waiting until no other process holds the lock.

    The lock of a process that died is free.

    Parameters
    ----------
    folder : Path
        Created if necessary.
    fix : str
        Next step, for errors.
    progress : callable
        Called when another process holds the lock.

    Raises
    ------
    InstallationError
        When the folder cannot be created or written to.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as root, locked(Path(root, "cache")):
    ...     [file.name for file in Path(root, "cache").iterdir()]
    ['.lock']
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
    r"""Write a JSON file, replacing an existing one in one step.

    Raises
    ------
    InstallationError
        See :func:`replacing`.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder, "record.json"), {"size": 3})
    ...     Path(folder, "record.json").read_text()
    '{\n "size": 3\n}\n'
    """
    with replacing(path, fix) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def json_value(value: Any) -> Any:
    """Replace NaN and infinite numbers, which JSON does not have, by None.

    Examples
    --------
    >>> json_value({"published": math.nan, "ours": (0.5, math.inf)})
    {'published': None, 'ours': [0.5, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: json_value(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(content) for content in value]
    return value


def csv_cell(value: Any) -> Any:
    """Prefix text that a spreadsheet would run as a formula with an apostrophe; numbers are unchanged, also as text.

    Examples
    --------
    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell("blocks.4")
    ("'=1+1", '-0.5', 'blocks.4')
    """
    return FORMULA.sub(r"\1'", value) if isinstance(value, str) and not NUMBER.fullmatch(value) else value


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    r"""Write rows as CSV text, with every cell passed through :func:`csv_cell`.

    Examples
    --------
    >>> csv_text([("model", "score"), ("resnet50", 0.5)])
    'model,score\nresnet50,0.5\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


def check_writable(path: Path, fix: str = ANOTHER_FOLDER) -> None:
    """Check that a file can be written, without creating a folder; call it before a long computation.

    Parameters
    ----------
    path : Path
        The file that will be written.
    fix : str
        Next step, for errors.

    Raises
    ------
    InstallationError
        When ``path`` is a folder, or its folder cannot be written to.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_writable(Path(folder, "results", "scores.csv"))
    ...     list(Path(folder).iterdir())
    []
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
    """Yield a temporary file, and rename it to ``path`` in one step if the ``with`` block succeeds.

    When the block fails or is interrupted, the temporary file is removed and ``path`` is unchanged.

    Parameters
    ----------
    path : Path
        May exist; its folder is created if necessary.
    fix : str
        Next step, for errors.

    Yields
    ------
    Path

    Raises
    ------
    InstallationError
        When the folder cannot be created or written to, or the disk is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "scores.csv")
    ...     with replacing(path) as temporary:
    ...         _ = temporary.write_text("0.5")
    ...         path.exists()
    ...     path.read_text()
    False
    '0.5'
    """
    if path.is_dir():
        raise InstallationError(f"{path} is a folder, not a file.", "Name a file in it.")
    try:
        with private_folder(path.parent) as private:
            temporary = private / path.name
            temporary.touch()
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error, fix) from error
