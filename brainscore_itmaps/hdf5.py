"""Read untrusted HDF5 files (Keras weights, MATLAB 7.3, netCDF) in a separate process with a time limit.

A file is refused when any part of it is stored in another file: external links, external storage and virtual datasets,
at every level. Soft links are not followed.
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
"""CPU time limit for opening a file; reading a dataset adds time in proportion to its size."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
READER = Path(__file__).with_name("hdf5_reader.py")

_numbers = itertools.count()
_using = threading.RLock()
_reader: "_Reader | None" = None


class Hdf5Error(Exception):
    """An HDF5 file that cannot be read; the message is a clause without a full stop."""


class Stored(NamedTuple):
    """Shape and type of a dataset.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        NumPy's name, such as "float32".
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Hdf5File:
    """An open HDF5 file and a list of its contents.

    Attributes
    ----------
    path : Path
    datasets : dict of str to Stored
        Datasets by their path in the file, without the leading slash.
    attributes : dict of str to dict
        For each group ("" is the root), its attributes that are a string or a list of strings.
    """

    path: Path
    datasets: dict[str, Stored]
    attributes: dict[str, dict[str, Any]]
    _number: int = field(repr=False)
    _owner: "_Reader" = field(repr=False)

    def read(self, name: str, part: Sequence[slice] | None = None) -> NDArray[Any]:
        """Read a dataset of real numbers, or a part of it.

        Parameters
        ----------
        name : str
            A key of ``datasets``.
        part : sequence of slice, optional
            One slice for each axis.

        Returns
        -------
        array, shape of the part, dtype of the dataset (little-endian)

        Raises
        ------
        Hdf5Error
            When the dataset does not hold real numbers, is damaged, or exceeds the time limit.
        """
        slices = None if part is None else [[each.start, each.stop, each.step] for each in part]
        return self._owner.numbers(self._number, name, slices)

    def texts(self, name: str) -> list[str]:
        """Read a MATLAB cell array of strings, or a character matrix row by row.

        Raises
        ------
        Hdf5Error
            When the dataset is damaged or exceeds the time limit.
        """
        return list(self._owner.ask("texts", self._number, name=name)["texts"])


@contextlib.contextmanager
def hdf5_file(path: Path) -> Iterator[Hdf5File]:
    """Open an HDF5 file and list its contents.

    Parameters
    ----------
    path : Path
        A regular file.

    Yields
    ------
    Hdf5File

    Raises
    ------
    Hdf5Error
        When the file is not HDF5, is damaged, refers to another file, or exceeds the time limit.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import h5py
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "weights.h5")
    ...     with h5py.File(path, "w") as made:
    ...         made["conv1/kernel:0"] = np.arange(6.0).reshape(2, 3)
    ...     with hdf5_file(path) as file:
    ...         file.read("conv1/kernel:0").shape
    (2, 3)
    """
    if not path.is_file():
        raise Hdf5Error("it is not a regular file")
    number, owner = next(_numbers), _running_reader()
    reply = owner.ask("open", number, path=str(path.absolute()))
    datasets = {name: Stored(tuple(each["shape"]), each["dtype"]) for name, each in reply["datasets"].items()}
    try:
        yield Hdf5File(path, datasets, reply["attributes"], number, owner)
    finally:
        with contextlib.suppress(Hdf5Error):  # the process has ended, which closed the file
            owner.ask("close", number)


def is_hdf5(path: Path) -> bool:
    """Look for the HDF5 signature at the start of a file, or after a user block of 512, 1024, 2048 ... bytes."""
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
    """The process that reads HDF5 files; it answers one request at a time."""

    def __init__(self) -> None:
        self.maker = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-P", READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=READER.anchor,  # keeps no folder in use
            # no filter plugins, and no threads that reserve memory
            env=os.environ | {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def ask(self, do: str, number: int, **named: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; an interruption ends the process, whose answer would be left over."""
        line = json.dumps({"do": do, "file": number, "seconds": SECONDS, **named}).encode() + b"\n"
        if self.maker != os.getpid():
            raise Hdf5Error("it was opened by another process, of which this one is a fork")
        with _using, self._ended_by_trouble():
            if self.process.poll() is not None:
                raise Hdf5Error("the process that reads it ended while it was reading another file; open it again")
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answered = self.process.stdout.readline()
            if not answered.endswith(b"\n"):
                raise EOFError
            reply: dict[str, Any] = json.loads(answered)
        if "error" in reply:
            raise Hdf5Error(" ".join(reply["error"].split())[:300].rstrip("."))
        return reply

    def numbers(self, number: int, name: str, part: list[list[int | None]] | None) -> NDArray[Any]:
        """Request a dataset, and read the bytes that follow the answer into an array."""
        with _using, self._ended_by_trouble():
            assert self.process.stdout is not None
            reply = self.ask("read", number, name=name, part=part)
            values = np.empty(reply["shape"], np.dtype(reply["dtype"]))
            left = memoryview(values.reshape(-1).view(np.uint8).data)
            while len(left):
                count = self.process.stdout.readinto(left)  # type: ignore[attr-defined]
                if not count:
                    raise EOFError
                left = left[count:]
        return values

    def end(self) -> None:
        """Kill the process; a forked process leaves that of its parent alone."""
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
                raise Hdf5Error("it needs more memory than is available") from error
            code = self.process.returncode
            if code in (-signal.SIGPROF, -signal.SIGALRM):
                raise Hdf5Error("reading it exceeded the time limit: the file is probably damaged") from error
            raise Hdf5Error(f"reading it ended with exit code {code}: the file is probably damaged") from error
        except BaseException:  # Ctrl-C
            self.end()
            raise


def _running_reader() -> _Reader:
    """Return the process that reads; start a new one if it has ended."""
    global _reader
    with _using:
        if _reader is None or _reader.process.poll() is not None:
            _reader = _Reader()
        return _reader


@atexit.register
def _end_reader() -> None:
    if _reader is not None:
        _reader.end()


def _forget_reader() -> None:
    """Drop the parent's reader in a forked process, and a lock that another thread may have held."""
    global _reader, _using
    _reader, _using = None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_reader)
