"""Write the folders of a contribution into a clone of Brain-Score: all of them, or none."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from brainscore_itmaps.bridge.extraction import HOME, PACKAGE
from brainscore_itmaps.errors import OutputError, UsageError
from brainscore_itmaps.files import LOCK

HOST = "brainscore_vision"
HASH_LINE = "# SHA-256 of the lines below: "
WITHOUT_HEADER = ("LICENSE",)
BEFORE, DONE = ".itmaps-", ".itmaps.done-"
"""Beginning of the names of hidden folders that hold what an export replaces, until it is done, and then."""
OLD, NEW = "old", "new"
"""Folders in them: what was replaced, and the names of what was not there before."""


@cache
def commit() -> str:
    """Return the commit of this package, with "and changes" if files of its checkout differ; else "unknown".

    Examples
    --------
    >>> bool(commit())
    True
    """
    if (HOME.parent / ".git").exists():
        found = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", PACKAGE)
        if found:
            return found + " and changes" * bool(changed)
    recorded = HOME / "commit.txt"  # setup.py writes it into a wheel
    return recorded.read_text(encoding="utf-8").strip() if recorded.is_file() else "unknown"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(HOME.parent), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def with_header(name: str, text: str) -> str:
    """Put the header before the text of a file: who wrote it, from which version, its licence and its hash.

    Examples
    --------
    >>> print(with_header("model.py", "x = 1\\n").splitlines()[-1])
    x = 1
    >>> is_unchanged(with_header("model.py", "x = 1\\n") + "y = 2\\n")
    False
    """
    if Path(name).name in WITHOUT_HEADER:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (
        f"# Written by `brainscore contribute export` of brainscore-itmaps {version(PACKAGE)} (commit {commit()}).\n"
        "# Copyright (c) 2026 the brainscore_itmaps developers. MIT License: see LICENSE in this folder.\n"
        f"{HASH_LINE}{digest}\n{text}"
    )


def is_unchanged(text: str) -> bool:
    """Return whether a file has a header, and the lines that it was written with.

    Examples
    --------
    >>> is_unchanged("x = 1")
    False
    """
    found = re.search(rf"^{HASH_LINE}([0-9a-f]{{64}})\n", text, re.MULTILINE)
    return found is not None and hashlib.sha256(text[found.end() :].encode()).hexdigest() == found[1]


def is_exported(folder: Path) -> bool:
    """Return whether a folder was written by an export and has not been edited since.

    Examples
    --------
    >>> is_exported(Path("/nowhere"))
    False
    """
    files = [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    plain = [file for file in files if file.name not in WITHOUT_HEADER]
    return bool(plain) and all(_is_unchanged_file(file) for file in plain)


def _is_unchanged_file(file: Path) -> bool:
    try:
        return is_unchanged(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def check_clone(clone: Path) -> Path:
    """Return the package folder of a clone of Brain-Score.

    Raises
    ------
    UsageError
        When there is none.

    Examples
    --------
    >>> try:
    ...     check_clone(Path("/nowhere"))
    ... except UsageError as error:
    ...     print(error.args[0])
    /nowhere is not a clone of Brain-Score: it has no brainscore_vision/models.
    """
    if not (clone / HOST / "models").is_dir():
        raise UsageError(
            f"{clone} is not a clone of Brain-Score: it has no {HOST}/models.",
            "Give the folder of `git clone https://github.com/brain-score/vision`.",
        )
    return clone / HOST


def write_folders(folders: Mapping[str, Mapping[str, str]], clone: Path) -> "Written":
    """Write folders into a clone, and keep what they replace until :meth:`Written.keep` or :meth:`Written.undo`.

    A folder of an earlier export is replaced, if nobody has edited it.

    Parameters
    ----------
    folders : mapping of str to mapping of str to str
        Text of each file, without its header, by folder such as ``models/efficientnet_lite0``.
    clone : Path

    Raises
    ------
    UsageError
        When another folder has the name of one; nothing was written.
    OutputError
        When the clone cannot be written to; nothing was changed.
    """
    home = check_clone(clone)
    undo_killed(home)
    for name in folders:
        if (home / name).exists() and not is_exported(home / name):
            raise UsageError(
                f"{home / name} exists, and was not written by this command or was edited since.",
                "Keep it under another name, or remove it, if it is to be written again.",
            )
    written = Written(home)
    try:
        for name, files in folders.items():
            written.add(name, files)
    except BaseException as error:
        written.undo()
        if isinstance(error, OSError):
            raise OutputError(f"Cannot write to {home}: {error.strerror}.", "Nothing was changed there.") from error
        raise
    return written


def undo_killed(home: Path) -> None:
    """Undo what killed exports wrote into a clone; those of running ones stay.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as clone:
    ...     (Path(clone, f"{BEFORE}1", OLD, "models", "vgg16")).mkdir(parents=True)
    ...     undo_killed(Path(clone))
    ...     [path.name for path in Path(clone).rglob("*")]
    ['models', 'vgg16']
    """
    import filelock

    for folder in home.glob(f"{DONE}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in home.glob(f"{BEFORE}*"):
        with suppress(OSError, filelock.Timeout), filelock.FileLock(folder / LOCK, timeout=0):
            undo(home, folder)


def undo(home: Path, before: Path) -> None:
    """Remove the folders that an export wrote, and put back those that it replaced."""
    for fresh in (before / NEW).glob("*/*"):
        shutil.rmtree(home / fresh.relative_to(before / NEW), ignore_errors=True)
    for old in (before / OLD).glob("*/*"):
        target = home / old.relative_to(before / OLD)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        old.rename(target)
    shutil.rmtree(before)


class Written:
    """Folders that were written into a clone, and the folders that they replaced.

    Parameters
    ----------
    home : Path
        Package folder of the clone.
    """

    def __init__(self, home: Path) -> None:
        import filelock

        self.home = home
        self.folders: list[Path] = []
        self._before = Path(tempfile.mkdtemp(prefix=BEFORE, dir=home))
        self._lock = filelock.FileLock(self._before / LOCK)
        self._lock.acquire()

    def add(self, name: str, files: Mapping[str, str]) -> None:
        """Write one folder; a former one is kept beside."""
        target, staged = self.home / name, self._before / "staged" / name
        for path, text in files.items():
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            (staged / path).write_text(with_header(path, text), encoding="utf-8", newline="\n")
        if target.exists():
            (self._before / OLD / name).parent.mkdir(parents=True, exist_ok=True)
            target.rename(self._before / OLD / name)
        else:
            (self._before / NEW / name).mkdir(parents=True)
        self.folders.append(target)
        target.parent.mkdir(exist_ok=True)
        staged.rename(target)

    def undo(self) -> None:
        """Remove what was written, and put back what it replaced."""
        undo(self.home, self._before)
        self._lock.release()

    def keep(self) -> None:
        """Keep what was written, and remove what it replaced."""
        done = self._before.rename(self._before.with_name(self._before.name.replace(BEFORE, DONE)))
        shutil.rmtree(done)
        self._lock.release()
