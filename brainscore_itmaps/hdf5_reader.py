"""Read HDF5 and older MATLAB files in a separate process, which :mod:`brainscore_itmaps.hdf5` starts.

A damaged or malicious file can make HDF5 loop forever, crash, or read other files, and can make scipy crash. A CPU time
limit ends this process. Requests and answers are lines of JSON; the values of a dataset follow their line as bytes.
Nothing is pickled, so that a compromised reader cannot run code in the requesting process.
"""

import contextlib
import json
import math
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

LINKS = 100_000
"""Largest number of links in a file."""
TEXT = 2**24
"""Largest size of an attribute, bytes."""
RATIO = 1100
"""Largest ratio of a dataset's size to its stored size; deflate compresses by 1032 at most."""
MEMORY = 2**30
"""Memory limit of a request in addition to the values that it returns, bytes."""
LONGEST = 600.0
"""Largest CPU time limit of a request, seconds."""
WAITING = 10
"""Limit of elapsed time as a multiple of the CPU time limit: opening a file may block without using CPU time."""
PER_SECOND = 1e7
"""Bytes of a dataset per additional second of the CPU time limit."""


class RefusedError(Exception):
    """A file that refers to another file, or exceeds a limit."""


class Opened(NamedTuple):
    """An open file and its checked datasets."""

    file: Any
    datasets: dict[str, Any]


def contents(file: Any) -> dict[str, Any]:
    """List datasets and text attributes at every level, without soft links, so that these are never followed.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    dict
        ``datasets`` (shape and dtype by path) and ``attributes`` (text attributes by path of the group).

    Examples
    --------
    >>> with h5py.File("example", "w", driver="core", backing_store=False) as file:
    ...     file["conv1/kernel"] = np.zeros((2, 3), "f4")
    ...     contents(file)["datasets"]
    {'conv1/kernel': {'shape': (2, 3), 'dtype': 'float32'}}
    """
    datasets: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    links, root = 0, h5py.h5o.get_info(file.id)
    visited = {root.addr}
    pending = [("", file.id)]
    while pending:
        path, group = pending.pop()
        attributes[path] = text_attributes(group)
        for raw in group:
            links += 1
            if links > LINKS:
                raise RefusedError(f"it contains more than {LINKS} objects")
            name = f"{path}/{raw.decode('utf-8', 'surrogateescape')}".removeprefix("/")
            if b"/" in raw or raw in (b"", b".", b".."):  # HDF5 would follow such a name as a path
                raise RefusedError(f"it contains an object with the invalid name {name!r}")
            kind = group.links.get_info(raw).type
            if kind == h5py.h5l.TYPE_SOFT:
                continue
            if kind != h5py.h5l.TYPE_HARD:
                raise RefusedError(f"{name} is stored in another file")
            item = h5py.h5o.open(group, raw)
            info = h5py.h5o.get_info(item)
            if info.fileno != root.fileno:
                raise RefusedError(f"{name} is stored in another file")
            if isinstance(item, h5py.h5g.GroupID):
                if info.addr not in visited:
                    visited.add(info.addr)
                    pending.append((name, item))
            elif isinstance(item, h5py.h5d.DatasetID):
                check_stored_here(item, name)
                if item.get_space().get_simple_extent_type() != h5py.h5s.NULL:
                    datasets[name] = {"shape": item.shape, "dtype": str(item.dtype)}
    return {"datasets": datasets, "attributes": attributes}


def check_stored_here(dataset: Any, name: str) -> None:
    """Refuse a dataset whose values are in another file, or that claims more values than are stored.

    Examples
    --------
    >>> with h5py.File("example", "w", driver="core", backing_store=False) as file:
    ...     check_stored_here(file.create_dataset("maps", (10**8,), "f4", chunks=(10**4,)).id, "maps")
    Traceback (most recent call last):
    brainscore_itmaps.hdf5_reader.RefusedError: maps claims 400000000 bytes, of which only 0 are stored
    """
    properties = dataset.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count() > 0:
        raise RefusedError(f"{name} is stored in another file")
    claimed = float(np.prod(dataset.shape or (), dtype=float)) * dataset.dtype.itemsize
    if claimed > MEMORY / 100 and claimed > RATIO * dataset.get_storage_size():
        raise RefusedError(f"{name} claims {claimed:.0f} bytes, of which only {dataset.get_storage_size()} are stored")


def text_attributes(group: Any) -> dict[str, Any]:
    """Read the attributes of a group that are a string or a list of strings.

    Examples
    --------
    >>> with h5py.File("example", "w", driver="core", backing_store=False) as file:
    ...     file.attrs["layer_names"], file.attrs["size"] = ["conv1", "conv2"], 3
    ...     text_attributes(file.id)
    {'layer_names': ['conv1', 'conv2']}
    """
    texts = {}
    attributes = h5py.AttributeManager(h5py.Group(group))
    for name in attributes:
        attribute = attributes.get_id(name)
        if np.prod(attribute.shape or (), dtype=float) * attribute.dtype.itemsize > TEXT:
            raise RefusedError(f"its attribute {as_text(name)} is larger than {TEXT} bytes")
        if h5py.check_string_dtype(attribute.dtype) is None and attribute.dtype.kind != "S":
            continue
        value = attributes[name]
        if isinstance(value, h5py.Empty):
            continue
        strings = [as_text(string) for string in np.asarray(value, dtype=object).ravel()]
        texts[as_text(name)] = strings if np.ndim(value) else strings[0]
    return texts


def as_text(value: Any) -> str:
    """Decode bytes as UTF-8, with invalid bytes as surrogates, so that encoding restores them.

    Examples
    --------
    >>> as_text(b"conv1"), as_text("conv2")
    ('conv1', 'conv2')
    """
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def listed_dataset(opened: Opened, name: str) -> Any:
    """Return a dataset that was listed when the file was opened, or raise an error.

    Examples
    --------
    >>> with h5py.File("example", "w", driver="core", backing_store=False) as file:
    ...     file["maps"] = np.arange(6.0).reshape(2, 3)
    ...     listed_dataset(Opened(file, contents(file)["datasets"]), "maps").shape
    (2, 3)
    """
    if name not in opened.datasets:
        raise RefusedError(f"it has no dataset {name!r}")
    return opened.file[name.encode("utf-8", "surrogateescape")]


def numbers(opened: Opened, name: str, part: list[list[int | None]] | None, seconds: float) -> Any:
    """Read a dataset of real numbers, or a part of it, within limits of time and memory."""
    dataset = listed_dataset(opened, name)
    if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8:
        raise RefusedError(f"{name} contains {dataset.dtype}, not real numbers of at most 64 bits")
    selection = tuple(slice(*axis) for axis in part) if part is not None else ()
    limit_time(seconds + dataset.nbytes / PER_SECOND)  # of all values: HDF5 reads complete chunks
    limit_memory(MEMORY + 3 * dataset.nbytes)
    return np.asarray(dataset[selection]).astype(dataset.dtype.newbyteorder("<"), order="C", copy=False)


def older_variables(path: str) -> list[tuple[str, tuple[int, ...], str]]:
    """List name, shape and kind of the variables of a MATLAB file of version 4 to 7."""
    from scipy.io import whosmat
    from scipy.io.matlab import MatReadError

    try:
        return [(name, tuple(map(int, shape)), kind) for name, shape, kind in whosmat(path)]
    except MatReadError as error:
        raise RefusedError(str(error)) from error


def older_numbers(path: str, name: str, seconds: float) -> Any:
    """Read a numeric variable of a MATLAB file of version 4 to 7, within limits of time and memory."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    size = 8 * math.prod(next(shape for variable, shape, _ in older_variables(path) if variable == name))
    limit_time(seconds + size / PER_SECOND)
    limit_memory(MEMORY + 3 * size)
    try:
        values = loadmat(path, variable_names=[name])[name]
    except MatReadError as error:
        raise RefusedError(str(error)) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu" or values.dtype.itemsize > 8:
        raise RefusedError(f"{name} contains {getattr(values, 'dtype', 'no array')}, not real numbers")
    return np.asarray(values).astype(values.dtype.newbyteorder("<"), order="C", copy=False)


def texts(opened: Opened, name: str) -> list[str]:
    """Read MATLAB strings: a cell array (references to arrays of characters), or a character matrix.

    Examples
    --------
    >>> with h5py.File("example", "w", driver="core", backing_store=False) as file:
    ...     file["name"] = np.array([list(b"face-01")], np.uint16).T
    ...     texts(Opened(file, contents(file)["datasets"]), "name")
    ['face-01']
    """
    dataset = listed_dataset(opened, name)
    kind = matlab_class(dataset)
    if kind not in ("", "cell", "char"):
        raise RefusedError(
            f"{name} is a MATLAB {kind}{' array' if kind == 'string' else ''}, which only MATLAB can read"
        )
    if h5py.check_ref_dtype(dataset.dtype) is h5py.Reference:
        rows = []
        for reference in np.asarray(dataset).ravel():
            target = opened.file[reference]
            if not isinstance(target, h5py.Dataset):
                raise RefusedError(f"{name} refers to an object that is not a string")
            check_stored_here(target.id, name)
            if (kind := matlab_class(target)) not in ("", "char"):
                raise RefusedError(f"{name} is a cell array of MATLAB {kind}, which only MATLAB can read")
            rows.append(np.asarray(target).ravel())
    else:
        rows = list(np.atleast_2d(np.asarray(dataset)).T)
    return ["".join(map(chr, row)) for row in rows if np.issubdtype(row.dtype, np.integer)]


def matlab_class(dataset: Any) -> str:
    """Return the MATLAB class of a dataset; empty if none is stated.

    Examples
    --------
    >>> with h5py.File("example", "w", driver="core", backing_store=False) as file:
    ...     file["names"] = [1]
    ...     file["names"].attrs["MATLAB_class"] = np.bytes_("string")
    ...     matlab_class(file["names"])
    'string'
    """
    stated = dataset.attrs.get("MATLAB_class", b"")
    return as_text(stated) if isinstance(stated, bytes | str) else ""


def limit_time(seconds: float) -> None:
    """Limit the CPU time of this process in seconds, also within HDF5; 0 removes the limit."""
    signal.setitimer(signal.ITIMER_PROF, min(seconds, LONGEST))
    signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST) * WAITING)


def limit_memory(additional: int) -> None:
    """Limit the memory that this process may use in addition to its current use, bytes; only Linux reports that use."""
    with contextlib.suppress(OSError, ValueError):
        current = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (current + additional, resource.RLIM_INFINITY))


def answer(request: dict[str, Any], files: dict[int, Opened]) -> tuple[dict[str, Any], Any]:
    """Answer a request to open, read or close a file.

    Returns
    -------
    dict, bytes
        The answer, and the bytes that follow it.

    Examples
    --------
    >>> answer({"action": "close", "file": 0}, {})
    ({}, b'')
    """
    number, action = request["file"], request["action"]
    if action == "open":
        file = h5py.File(request["path"], "r")
        try:
            listing = contents(file)
        except BaseException:
            file.close()
            raise
        files[number] = Opened(file, listing["datasets"])
        return listing, b""
    if action == "close":
        if number in files:
            files.pop(number).file.close()
        return {}, b""
    if action == "texts":
        return {"texts": texts(files[number], request["name"])}, b""
    if action == "list_older":
        return {"variables": older_variables(request["path"])}, b""
    if action == "read_older":
        values = older_numbers(request["path"], request["name"], request["seconds"])
    else:
        values = numbers(files[number], request["name"], request["part"], request["seconds"])
    return {"shape": values.shape, "dtype": values.dtype.str}, values.reshape(-1).view(np.uint8).data


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their stream ends, which happens when the requesting process ends."""
    files: dict[int, Opened] = {}
    for line in requests:
        request = json.loads(line)
        limit_time(request["seconds"])
        limit_memory(MEMORY)
        content: Any = b""
        try:
            reply, content = answer(request, files)
        except RefusedError as error:
            reply = {"error": str(error)}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError,
                AssertionError, MemoryError) as error:  # raised by h5py on damaged bytes  # fmt: skip
            reason = error.args[0] if isinstance(error, KeyError) and error.args else error
            reply = {"error": str(reason) or type(error).__name__}
        limit_time(0)
        answers.write(json.dumps(reply).encode() + b"\n")
        answers.write(content)
        answers.flush()
        del content


if __name__ == "__main__":
    for limit in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(limit, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the requesting process kills this one
    serve(sys.stdin.buffer, sys.stdout.buffer)
