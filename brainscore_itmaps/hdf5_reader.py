"""The script that reads HDF5 files in a separate process; started by :mod:`brainscore_itmaps.hdf5`.

A damaged or malicious file can make HDF5 loop forever, crash, or read other files. Here, a CPU time limit ends the
process. Requests and answers are lines of JSON; the values of a dataset follow their line as bytes. Nothing is pickled,
so that a compromised reader cannot run code in the process that asks.
"""

import json
import signal
import sys
from typing import Any, BinaryIO

import h5py
import numpy as np

LINKS = 100_000
"""Largest number of links in a file; files of weights or maps have fewer."""
TEXT = 2**24
"""Largest size of an attribute, bytes; the configuration of a large Keras model takes a tenth of it."""
LONGEST = 600.0
"""Largest CPU time limit of a request, seconds."""
PER_SECOND = 1e7
"""Bytes of a dataset that add one second to the limit; decompression is about ten times as fast."""


class RefusedError(Exception):
    """A file that refers to another file, or is larger than any that this package reads."""


def opened_file(path: str) -> Any:
    """Open a file and list its contents; refuse it when any part of it is stored in another file."""
    file = h5py.File(path, "r")
    try:
        return file, contents(file)
    except BaseException:
        file.close()
        raise


def contents(file: Any) -> dict[str, Any]:
    """List datasets and text attributes at every level; soft links are not listed, so they are never followed."""
    datasets: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    seen, links = set(), 0
    waiting = [("", file.id)]
    while waiting:
        path, group = waiting.pop()
        attributes[path] = texts_of(group)
        for raw in group:
            links += 1
            if links > LINKS:
                raise RefusedError(f"it contains more than {LINKS} objects")
            name = f"{path}/{raw.decode('utf-8', 'surrogateescape')}".removeprefix("/")
            kind = group.links.get_info(raw).type
            if kind == h5py.h5l.TYPE_SOFT:
                continue
            if kind != h5py.h5l.TYPE_HARD:
                raise RefusedError(f"{name} is stored in another file")
            found = h5py.h5o.open(group, raw)
            if isinstance(found, h5py.h5g.GroupID):
                place = h5py.h5o.get_info(found).addr
                if place not in seen:
                    seen.add(place)
                    waiting.append((name, found))
            elif isinstance(found, h5py.h5d.DatasetID):
                check_own(found, name)
                if found.get_space().get_simple_extent_type() != h5py.h5s.NULL:
                    datasets[name] = {"shape": found.shape, "dtype": str(found.dtype)}
    return {"datasets": datasets, "attributes": attributes}


def check_own(dataset: Any, name: str) -> None:
    """Refuse a dataset whose values are stored in another file."""
    how = dataset.get_create_plist()
    if how.get_layout() == h5py.h5d.VIRTUAL or how.get_external_count() > 0:
        raise RefusedError(f"{name} is stored in another file")


def texts_of(group: Any) -> dict[str, Any]:
    """Read the attributes of a group that are a string or a list of strings."""
    texts = {}
    attributes = h5py.AttributeManager(h5py.Group(group))
    for name in attributes:
        attribute = attributes.get_id(name)
        if np.prod(attribute.shape or (), dtype=float) * attribute.dtype.itemsize > TEXT:
            raise RefusedError(f"its attribute {name} is larger than {TEXT} bytes")
        if h5py.check_string_dtype(attribute.dtype) is None and attribute.dtype.kind != "S":
            continue
        value = attributes[name]
        many = [as_text(each) for each in np.asarray(value, dtype=object).ravel()]
        texts[as_text(name)] = many if np.ndim(value) else many[0]
    return texts


def as_text(value: Any) -> str:
    """Decode bytes as UTF-8; invalid bytes survive a later encoding."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def numbers(file: Any, name: str, part: list[list[int | None]] | None, seconds: float) -> Any:
    """Read a dataset of real numbers, or a part of it."""
    dataset = file[name.encode("utf-8", "surrogateescape")]
    check_own(dataset.id, name)
    if dataset.dtype.kind not in "fiu":
        raise RefusedError(f"{name} holds {dataset.dtype}, not real numbers")
    chosen = tuple(slice(*each) for each in part) if part is not None else ()
    limit_computing(seconds + dataset.nbytes / PER_SECOND)  # of the whole dataset: chunks are read whole
    values = np.asarray(dataset[chosen])
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def texts(file: Any, name: str) -> list[str]:
    """Read MATLAB strings: a cell array (references to arrays of characters), or a character matrix."""
    stored = file[name.encode("utf-8", "surrogateescape")]
    check_own(stored.id, name)
    if stored.dtype == h5py.ref_dtype:
        rows = []
        for reference in np.asarray(stored).ravel():
            found = file[reference]
            if not isinstance(found, h5py.Dataset):
                raise RefusedError(f"{name} refers to something that is not a string")
            check_own(found.id, name)
            rows.append(np.asarray(found).ravel())
    else:
        rows = list(np.asarray(stored).T)
    return ["".join(map(chr, row)) for row in rows if np.issubdtype(row.dtype, np.integer)]


def limit_computing(seconds: float) -> None:
    """End this process when it has used so much CPU time, even inside HDF5; 0 removes the limit."""
    signal.setitimer(signal.ITIMER_PROF, min(seconds, LONGEST))


def answer(request: dict[str, Any], files: dict[int, Any]) -> tuple[dict[str, Any], bytes]:
    """Carry out a request; returns the answer and the bytes that follow it."""
    number = request["file"]
    if request["do"] == "open":
        files[number], listed = opened_file(request["path"])
        return listed, b""
    if request["do"] == "close":
        if number in files:
            files.pop(number).close()
        return {}, b""
    if request["do"] == "texts":
        return {"texts": texts(files[number], request["name"])}, b""
    values = numbers(files[number], request["name"], request["part"], request["seconds"])
    return {"shape": values.shape, "dtype": values.dtype.str}, values.data.cast("B") if values.size else b""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their stream ends, which it does when the asking process ends."""
    files: dict[int, Any] = {}
    for line in requests:
        request = json.loads(line)
        limit_computing(request["seconds"])
        content: Any = b""
        try:
            said, content = answer(request, files)
        except RefusedError as error:
            said = {"error": str(error)}
        except Exception as error:  # damaged files make h5py raise many kinds
            reason = error.args[0] if isinstance(error, KeyError) and error.args else error
            said = {"error": str(reason) or type(error).__name__}
        limit_computing(0)
        answers.write(json.dumps(said).encode() + b"\n")
        answers.write(content)
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the asking process ends this one
    serve(sys.stdin.buffer, sys.stdout.buffer)
