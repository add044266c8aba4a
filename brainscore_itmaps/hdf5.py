"""HDF5 files that nobody vouches for, read by another process that can be ended: weights of Keras, MATLAB 7.3, netCDF.

A file is refused where anything in it lies in another file: external links, external storage, virtual datasets, at
whatever level. Soft links are not followed.
"""

import atexit
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SECONDS = 30.0
"""Of computing that opening a file may take; reading numbers gets more by their size."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
READER = Path(__file__).with_name("hdf5_reader.py")

_numbers = itertools.count()
_using = threading.RLock()
_reader: "_Reader | None" = None


class Hdf5Error(Exception):
    """Why a file cannot be read, without a full stop."""


class Stored(NamedTuple):
    """A dataset that a file holds.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        As numpy names it: "float32".
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Hdf5File:
    """An open file, and what it holds.

    Attributes
    ----------
    path : Path
    datasets : dict of str to Stored
        By their path in the file, without the first stroke.
    attributes : dict of str to dict
        Of each group ("" is the whole file) those attributes that are a text or a list of texts.
    """

    path: Path
    datasets: dict[str, Stored]
    attributes: dict[str, dict[str, Any]]
    _number: int = field(repr=False)
    _owner: "_Reader" = field(repr=False)

    def read(self, name: str, part: Sequence[slice] | None = None) -> NDArray[Any]:
        """Read the real numbers of a dataset, or a part of them.

        Raises
        ------
        Hdf5Error
            When it holds something else, is damaged, or takes too long.
        """
        slices = None if part is None else [[each.start, each.stop, each.step] for each in part]
        return self._owner.numbers(self._number, name, slices)

    def texts(self, name: str) -> list[str]:
        """Read MATLAB's cell array of texts, or matrix of letters.

        Raises
        ------
        Hdf5Error
            When it is damaged, or takes too long.
        """
        return list(self._owner.ask("texts", self._number, name=name)["texts"])


@contextlib.contextmanager
def hdf5_file(path: Path) -> Iterator[Hdf5File]:
    """Open a file and list what it holds.

    Parameters
    ----------
    path : Path
        A regular file.

    Raises
    ------
    Hdf5Error
        When it is not HDF5, is damaged, leads to another file, or takes too long.

    Examples
    --------
    >>> with hdf5_file(Path("weights.h5")) as file:  # doctest: +SKIP
    ...     kernel = file.read("conv1/conv1/kernel:0")
    """
    if not path.is_file():
        raise Hdf5Error("it is no file")
    number, owner = next(_numbers), _running_reader()
    told = owner.ask("open", number, path=str(path.absolute()))
    datasets = {name: Stored(tuple(each["shape"]), each["dtype"]) for name, each in told["datasets"].items()}
    try:
        yield Hdf5File(path, datasets, told["attributes"], number, owner)
    finally:
        with contextlib.suppress(Hdf5Error):  # it ended, and closed the file with that
            owner.ask("close", number)


def is_hdf5(path: Path) -> bool:
    """Does a file begin as HDF5 does, at its start or behind a header of 512, 1024, 2048 ... bytes?"""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at + len(SIGNATURE) <= size:
            file.seek(at)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            at = 2 * at or 512
    return False


class _Reader:
    """The process that reads: asked one thing at a time."""

    def __init__(self) -> None:
        self.maker = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-P", READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=READER.anchor,  # it keeps no folder in use
            env=os.environ | {"HDF5_PLUGIN_PRELOAD": "::"},  # no filter from a library of somebody's
        )

    def ask(self, do: str, number: int, **named: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer; whatever interrupts that ends the process too."""
        line = json.dumps({"do": do, "file": number, "seconds": SECONDS, **named}).encode() + b"\n"
        with _using, self._ended_by_trouble():
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answered = self.process.stdout.readline()
            if not answered.endswith(b"\n"):
                raise EOFError
            told: dict[str, Any] = json.loads(answered)
        if "error" in told:
            raise Hdf5Error(" ".join(told["error"].split())[:300].rstrip("."))
        return told

    def numbers(self, number: int, name: str, part: list[list[int | None]] | None) -> NDArray[Any]:
        """Ask for numbers and take the bytes that follow the answer."""
        with _using, self._ended_by_trouble():
            assert self.process.stdout is not None
            told = self.ask("read", number, name=name, part=part)
            values = np.empty(told["shape"], np.dtype(told["dtype"]))
            left = memoryview(values.reshape(-1).view(np.uint8).data)
            while len(left):
                count = self.process.stdout.readinto(left)  # type: ignore[attr-defined]
                if not count:
                    raise EOFError
                left = left[count:]
        return values

    def end(self) -> None:
        """End the process, which may be anywhere in HDF5; not that of the process that this one was forked from."""
        if self.maker != os.getpid():
            return
        self.process.kill()
        self.process.communicate()

    @contextlib.contextmanager
    def _ended_by_trouble(self) -> Iterator[None]:
        try:
            yield
        except Hdf5Error:
            raise
        except (EOFError, OSError, ValueError, MemoryError) as error:
            self.end()
            if isinstance(error, MemoryError):
                raise Hdf5Error("it takes more memory than there is") from error
            code = self.process.returncode
            if code == -signal.SIGPROF:
                raise Hdf5Error("reading it takes more time than its size explains: it is damaged") from error
            raise Hdf5Error(f"it ends the process that reads it (exit code {code}): it is damaged") from error
        except BaseException:  # Ctrl-C
            self.end()
            raise


def _running_reader() -> _Reader:
    """The process that reads; a new one where it ended, or where this process was forked from the one that has it."""
    global _reader
    with _using:
        if _reader is None or _reader.maker != os.getpid() or _reader.process.poll() is not None:
            _reader = _Reader()
        return _reader


@atexit.register
def _end_reader() -> None:
    if _reader is not None:
        _reader.end()
