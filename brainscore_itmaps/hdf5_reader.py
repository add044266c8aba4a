"""The process that reads HDF5 files for :mod:`brainscore_itmaps.hdf5`; started by it, as a script.

A file may be damaged, or made to hurt: HDF5 can loop for ever in it, crash in it, or read other files that it names.
So it is read here, where a limit of computing time ends the process. Requests and answers are lines of JSON; the
numbers of a dataset follow their line as bytes. Nothing is pickled, so that whatever happens here stays here.
"""

import json
import signal
import sys
from typing import Any, BinaryIO

import h5py
import numpy as np

LINKS = 100_000
"""More than any file of weights or maps has."""
TEXT = 2**24
"""Bytes of one attribute; a description of a large model has a tenth of that."""
LONGEST = 600.0
"""Seconds of computing that a request gets at most."""
PER_SECOND = 1e7
"""Bytes of a dataset for which a request gets one more second; unpacking is ten times as fast."""


class RefusedError(Exception):
    """A file that leads out of itself, or is larger than any that we read."""


def opened_file(path: str) -> Any:
    """Open a file, and refuse it where anything in it lies elsewhere."""
    file = h5py.File(path, "r")
    try:
        return file, contents(file)
    except BaseException:
        file.close()
        raise


def contents(file: Any) -> dict[str, Any]:
    """List datasets and attributes of text, at every level; soft links are left out, and so never followed."""
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
                raise RefusedError(f"it holds more than {LINKS} objects")
            name = f"{path}/{raw.decode('utf-8', 'surrogateescape')}".removeprefix("/")
            kind = group.links.get_info(raw).type
            if kind == h5py.h5l.TYPE_SOFT:
                continue
            if kind != h5py.h5l.TYPE_HARD:
                raise RefusedError(f"{name} lies in another file")
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
    """Refuse a dataset whose numbers lie in another file."""
    how = dataset.get_create_plist()
    if how.get_layout() == h5py.h5d.VIRTUAL or how.get_external_count() > 0:
        raise RefusedError(f"{name} lies in another file")


def texts_of(group: Any) -> dict[str, Any]:
    """Attributes that are a text or a list of texts."""
    texts = {}
    attributes = h5py.AttributeManager(h5py.Group(group))
    for name in attributes:
        attribute = attributes.get_id(name)
        if np.prod(attribute.shape or (), dtype=float) * attribute.dtype.itemsize > TEXT:
            raise RefusedError(f"its attribute {name} takes more than {TEXT} bytes")
        if h5py.check_string_dtype(attribute.dtype) is None and attribute.dtype.kind != "S":
            continue
        value = attributes[name]
        many = [as_text(each) for each in np.asarray(value, dtype=object).ravel()]
        texts[as_text(name)] = many if np.ndim(value) else many[0]
    return texts


def as_text(value: Any) -> str:
    """Decode bytes so that those that are no UTF-8 come back when it is encoded again."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def numbers(file: Any, name: str, part: list[list[int | None]] | None, seconds: float) -> Any:
    """Read real numbers of a dataset."""
    dataset = file[name.encode("utf-8", "surrogateescape")]
    check_own(dataset.id, name)
    if dataset.dtype.kind not in "fiu":
        raise RefusedError(f"{name} holds {dataset.dtype}, not real numbers")
    chosen = tuple(slice(*each) for each in part) if part is not None else ()
    limit_computing(seconds + dataset.nbytes / PER_SECOND)  # of the whole: chunks are unpacked whole
    values = np.asarray(dataset[chosen])
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def texts(file: Any, name: str) -> list[str]:
    """Read rows of characters: MATLAB's cell array of texts (references to their letters), or a matrix of letters."""
    stored = file[name.encode("utf-8", "surrogateescape")]
    check_own(stored.id, name)
    if stored.dtype == h5py.ref_dtype:
        rows = []
        for reference in np.asarray(stored).ravel():
            found = file[reference]
            if not isinstance(found, h5py.Dataset):
                raise RefusedError(f"{name} refers to what is no text")
            check_own(found.id, name)
            rows.append(np.asarray(found).ravel())
    else:
        rows = list(np.asarray(stored).T)
    return ["".join(map(chr, row)) for row in rows if np.issubdtype(row.dtype, np.integer)]


def limit_computing(seconds: float) -> None:
    """End this process, wherever it is, once it has computed for so long; 0 lifts the limit."""
    signal.setitimer(signal.ITIMER_PROF, min(seconds, LONGEST))


def answer(request: dict[str, Any], files: dict[int, Any]) -> tuple[dict[str, Any], bytes]:
    """Do what is asked; returns what is said, and the bytes that follow it."""
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
    """Answer until there are no more requests, also because the process that asks has gone."""
    files: dict[int, Any] = {}
    for line in requests:
        request = json.loads(line)
        limit_computing(request["seconds"])
        content: Any = b""
        try:
            said, content = answer(request, files)
        except RefusedError as error:
            said = {"error": str(error)}
        except Exception as error:  # of damaged bytes h5py makes kinds without number
            reason = error.args[0] if isinstance(error, KeyError) and error.args else error
            said = {"error": str(reason) or type(error).__name__}
        limit_computing(0)
        answers.write(json.dumps(said).encode() + b"\n")
        answers.write(content)
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks: it ends this one
    serve(sys.stdin.buffer, sys.stdout.buffer)
