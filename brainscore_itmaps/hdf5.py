"""Read untrusted HDF5 files (Keras weights, MATLAB 7.3, netCDF) in a separate process with a time limit.

A file is refused if any part of it is stored in another file (external links, external storage, virtual datasets), at
every level. Soft links are not followed.
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

_file_numbers = itertools.count()
_lock = threading.RLock()
_reader: "_Reader | None" = None


class Hdf5Error(ValueError):
    """An HDF5 file that cannot be read; the message is a clause without a final period."""


class DatasetInfo(NamedTuple):
    """Shape and NumPy type of a dataset.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        Such as "float32".
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Hdf5File:
    """An open HDF5 file and a list of its contents.

    Attributes
    ----------
    path : Path
    datasets : dict of str to DatasetInfo
        Datasets by their path in the file, without the leading slash.
    attributes : dict of str to dict
        Attributes that are a string or a list of strings, by the path of their group ("" is the root).
    """

    path: Path
    datasets: dict[str, DatasetInfo]
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
            When the dataset does not contain real numbers, is damaged, or exceeds the time limit.
        """
        slices = None if part is None else [[axis.start, axis.stop, axis.step] for axis in part]
        return self._owner.numbers("read", self._number, name=name, part=slices)

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
    ...     with h5py.File(path, "w") as written:
    ...         written["conv1/kernel:0"] = np.arange(6.0).reshape(2, 3)
    ...     with hdf5_file(path) as file:
    ...         file.read("conv1/kernel:0").shape
    (2, 3)
    """
    if not path.is_file():
        raise Hdf5Error("it is not a regular file")
    number, owner = next(_file_numbers), _running_reader()
    reply = owner.ask("open", number, path=str(path.absolute()))
    datasets = {name: DatasetInfo(tuple(info["shape"]), info["dtype"]) for name, info in reply["datasets"].items()}
    try:
        yield Hdf5File(path, datasets, reply["attributes"], number, owner)
    finally:
        with contextlib.suppress(Hdf5Error):  # if the process has ended, the file is closed
            owner.ask("close", number)


def older_matlab_variables(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """List the shape and the kind of the variables of a MATLAB file of version 4 to 7, by name.

    Raises
    ------
    Hdf5Error
        When the file is damaged or exceeds the time limit.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     savemat(Path(folder, "maps.mat"), {"imageRF": np.zeros((3, 4))})
    ...     older_matlab_variables(Path(folder, "maps.mat"))
    {'imageRF': ((3, 4), 'double')}
    """
    reply = _running_reader().ask("list_older", next(_file_numbers), path=str(path.absolute()))
    return {name: (tuple(shape), kind) for name, shape, kind in reply["variables"]}


def older_matlab_numbers(path: Path, name: str) -> NDArray[Any]:
    """Read a numeric variable of a MATLAB file of version 4 to 7.

    Raises
    ------
    Hdf5Error
        When the variable is damaged or exceeds the time limit.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     savemat(Path(folder, "maps.mat"), {"imageRF": np.zeros((3, 4))})
    ...     older_matlab_numbers(Path(folder, "maps.mat"), "imageRF").shape
    (3, 4)
    """
    return _running_reader().numbers("read_older", next(_file_numbers), path=str(path.absolute()), name=name)


def is_hdf5(path: Path) -> bool:
    """Return whether a file has the HDF5 signature at its start, or after a user block of 512, 1024, 2048 ... bytes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "weights.h5")
    ...     _ = path.write_bytes(SIGNATURE + b"...")
    ...     is_hdf5(path)
    True
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset + len(SIGNATURE) <= size:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            offset = 2 * offset or 512
    return False


class _Reader:
    """The process that reads HDF5 files; it answers one request at a time."""

    def __init__(self) -> None:
        self.creator_pid = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-P", READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=READER.anchor,  # so that no folder is in use
            # no filter plugins, and no threads that reserve memory
            env=os.environ | {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def ask(self, action: str, number: int, **parameters: Any) -> dict[str, Any]:
        """Send a request and return its answer; an interruption kills the process, so that no answer is left over."""
        line = json.dumps({"action": action, "file": number, "seconds": SECONDS, **parameters}).encode() + b"\n"
        if self.creator_pid != os.getpid():
            raise Hdf5Error("it was opened by the parent of this forked process; open it again")
        with _lock, self._kill_on_error():
            if self.process.poll() is not None:
                raise Hdf5Error("the reading process ended while it read another file; open it again")
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if not answer.endswith(b"\n"):
                raise EOFError
            reply: dict[str, Any] = json.loads(answer)
        if "error" in reply:
            raise Hdf5Error(" ".join(reply["error"].split())[:300].rstrip("."))
        return reply

    def numbers(self, action: str, number: int, **parameters: Any) -> NDArray[Any]:
        """Request numbers, and read the bytes after the answer into an array."""
        with _lock, self._kill_on_error():
            assert self.process.stdout is not None
            reply = self.ask(action, number, **parameters)
            values = np.empty(reply["shape"], np.dtype(reply["dtype"]))
            missing = memoryview(values.reshape(-1).view(np.uint8).data)
            while len(missing):
                count = self.process.stdout.readinto(missing)  # type: ignore[attr-defined]
                if not count:
                    raise EOFError
                missing = missing[count:]
        return values

    def end(self) -> None:
        """Kill the process, unless this is a fork of the process that started it."""
        if self.creator_pid != os.getpid():
            return
        self.process.kill()
        self.process.communicate()

    @contextlib.contextmanager
    def _kill_on_error(self) -> Iterator[None]:
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
    """Return the reading process, after starting it if it is not running."""
    global _reader
    with _lock:
        if _reader is None or _reader.process.poll() is not None:
            _reader = _Reader()
        return _reader


@atexit.register
def _end_reader() -> None:
    if _reader is not None:
        _reader.end()


def _forget_reader() -> None:
    """Drop the parent's reader in a forked process, and the lock, which another thread may have held."""
    global _reader, _lock
    _reader, _lock = None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_reader)
