"""The script that reads HDF5 files in a separate process; started by :mod:`brainscore_itmaps.hdf5`.

A damaged or malicious file can make HDF5 loop forever, crash, or read other files. Here, a CPU time limit ends the
process. Requests and answers are lines of JSON; the values of a dataset follow their line as bytes. Nothing is pickled,
so that a compromised reader cannot run code in the process that asks.
"""

import contextlib
import json
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
"""Memory that a request may take in addition to the values that it returns, bytes."""
LONGEST = 600.0
"""Largest CPU time limit of a request, seconds."""
WAITING = 10
"""Limit of elapsed time, as a multiple of the CPU time limit; opening a file may block without using CPU time."""
PER_SECOND = 1e7
"""Bytes of a dataset that add one second to the limit."""


class RefusedError(Exception):
    """A file that refers to another file, or is larger than any that this package reads."""


class Opened(NamedTuple):
    """An open file, and its checked datasets."""

    file: Any
    datasets: dict[str, Any]


def contents(file: Any) -> dict[str, Any]:
    """List datasets and text attributes at every level; soft links are not listed, so they are never followed."""
    datasets: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    links, root = 0, h5py.h5o.get_info(file.id)
    seen = {root.addr}
    waiting = [("", file.id)]
    while waiting:
        path, group = waiting.pop()
        attributes[path] = texts_of(group)
        for raw in group:
            links += 1
            if links > LINKS:
                raise RefusedError(f"it contains more than {LINKS} objects")
            name = f"{path}/{raw.decode('utf-8', 'surrogateescape')}".removeprefix("/")
            if b"/" in raw or raw in (b"", b".", b".."):  # HDF5 would take it for a path, and follow the links in it
                raise RefusedError(f"it contains an object with the invalid name {name!r}")
            kind = group.links.get_info(raw).type
            if kind == h5py.h5l.TYPE_SOFT:
                continue
            if kind != h5py.h5l.TYPE_HARD:
                raise RefusedError(f"{name} is stored in another file")
            found = h5py.h5o.open(group, raw)
            place = h5py.h5o.get_info(found)
            if place.fileno != root.fileno:
                raise RefusedError(f"{name} is stored in another file")
            if isinstance(found, h5py.h5g.GroupID):
                if place.addr not in seen:
                    seen.add(place.addr)
                    waiting.append((name, found))
            elif isinstance(found, h5py.h5d.DatasetID):
                check_own(found, name)
                if found.get_space().get_simple_extent_type() != h5py.h5s.NULL:
                    datasets[name] = {"shape": found.shape, "dtype": str(found.dtype)}
    return {"datasets": datasets, "attributes": attributes}


def check_own(dataset: Any, name: str) -> None:
    """Refuse a dataset whose values are in another file, or that claims more values than are stored."""
    how = dataset.get_create_plist()
    if how.get_layout() == h5py.h5d.VIRTUAL or how.get_external_count() > 0:
        raise RefusedError(f"{name} is stored in another file")
    claimed = float(np.prod(dataset.shape or (), dtype=float)) * dataset.dtype.itemsize
    if claimed > MEMORY / 100 and claimed > RATIO * dataset.get_storage_size():
        raise RefusedError(f"{name} claims {claimed:.0f} bytes, of which only {dataset.get_storage_size()} are stored")


def texts_of(group: Any) -> dict[str, Any]:
    """Read the attributes of a group that are a string or a list of strings."""
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
        many = [as_text(each) for each in np.asarray(value, dtype=object).ravel()]
        texts[as_text(name)] = many if np.ndim(value) else many[0]
    return texts


def as_text(value: Any) -> str:
    """Decode bytes as UTF-8; invalid bytes survive a later encoding."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def listed(opened: Opened, name: str) -> Any:
    """Find a dataset that was listed when the file was opened."""
    if name not in opened.datasets:
        raise RefusedError(f"it has no dataset {name!r}")
    return opened.file[name.encode("utf-8", "surrogateescape")]


def numbers(opened: Opened, name: str, part: list[list[int | None]] | None, seconds: float) -> Any:
    """Read a dataset of real numbers, or a part of it."""
    dataset = listed(opened, name)
    if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8:
        raise RefusedError(f"{name} holds {dataset.dtype}, not real numbers of at most 64 bits")
    chosen = tuple(slice(*each) for each in part) if part is not None else ()
    limit_time(seconds + dataset.nbytes / PER_SECOND)  # of the whole dataset: chunks are read whole
    limit_memory(MEMORY + 3 * dataset.nbytes)
    return np.asarray(dataset[chosen]).astype(dataset.dtype.newbyteorder("<"), order="C", copy=False)


def texts(opened: Opened, name: str) -> list[str]:
    """Read MATLAB strings: a cell array (references to arrays of characters), or a character matrix."""
    stored = listed(opened, name)
    if h5py.check_ref_dtype(stored.dtype) is h5py.Reference:
        rows = []
        for reference in np.asarray(stored).ravel():
            found = opened.file[reference]
            if not isinstance(found, h5py.Dataset):
                raise RefusedError(f"{name} refers to something that is not a string")
            check_own(found.id, name)
            rows.append(np.asarray(found).ravel())
    else:
        rows = list(np.atleast_2d(np.asarray(stored)).T)
    return ["".join(map(chr, row)) for row in rows if np.issubdtype(row.dtype, np.integer)]


def limit_time(seconds: float) -> None:
    """Limit the CPU time of this process, even inside HDF5; 0 removes the limit."""
    signal.setitimer(signal.ITIMER_PROF, min(seconds, LONGEST))
    signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST) * WAITING)


def limit_memory(more: int) -> None:
    """Limit the memory of this process to so many bytes more than now; only on Linux, which reports its use."""
    with contextlib.suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))


def answer(request: dict[str, Any], files: dict[int, Opened]) -> tuple[dict[str, Any], Any]:
    """Answer a request; return the answer and the bytes that follow it."""
    number = request["file"]
    if request["do"] == "open":
        file = h5py.File(request["path"], "r")
        try:
            found = contents(file)
        except BaseException:
            file.close()
            raise
        files[number] = Opened(file, found["datasets"])
        return found, b""
    if request["do"] == "close":
        if number in files:
            files.pop(number).file.close()
        return {}, b""
    if request["do"] == "texts":
        return {"texts": texts(files[number], request["name"])}, b""
    values = numbers(files[number], request["name"], request["part"], request["seconds"])
    return {"shape": values.shape, "dtype": values.dtype.str}, values.reshape(-1).view(np.uint8).data


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their stream ends, which it does when the asking process ends."""
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
        except Exception as error:  # damaged files make h5py raise many kinds
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the asking process ends this one
    serve(sys.stdin.buffer, sys.stdout.buffer)
