"""MATLAB files, versions 4 to 7 through scipy and 7.3 as HDF5, read variable by variable."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import DataError, ItMapsError, one_line
from brainscore_itmaps.hdf5 import hdf5_file, is_hdf5

NUMERIC = ("single", "double", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
FIX = "Fetch or copy the file again; if it is the one that was published, report an issue."


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """List names and shapes of the variables of a file, without reading data.

    Raises
    ------
    DataError
        When the file is not a MATLAB file; the message names it.
    """
    with _reading(file):
        if not is_hdf5(file):
            from scipy.io import whosmat

            return {name: tuple(shape) for name, shape, _ in whosmat(file)}
        with hdf5_file(file) as opened:
            return {name: stored.shape[::-1] for name, stored in opened.datasets.items() if "/" not in name}


def check_present(file: Path, *names: str) -> None:
    """Check that a file has these variables.

    Raises
    ------
    DataError
        Naming the file, what is missing and what is there.
    """
    there = shapes(file)
    if missing := [name for name in names if name not in there]:
        raise DataError(
            f"{file} has no variable {' and no '.join(missing)}; it has {', '.join(sorted(there)) or 'none'}.", FIX
        )


def numbers(file: Path, name: str, part: Sequence[slice] | None = None) -> NDArray[Any]:
    """Read a numeric variable, or a part of it, with its axes in MATLAB's order.

    Only the part is read from a version 7.3 file; from other versions the whole variable is read first.

    Parameters
    ----------
    file : Path
        The file.
    name : str
        The variable.
    part : sequence of slice, optional
        One for each axis.

    Raises
    ------
    DataError
        When the variable is missing or does not hold real numbers.
    """
    check_present(file, name)
    shape = shapes(file)[name]
    chosen = tuple(part or [slice(None)] * len(shape))
    with _reading(file, name):
        if is_hdf5(file):
            with hdf5_file(file) as opened:
                return opened.read(name, chosen[::-1]).T
        from scipy.io import loadmat, whosmat

        kind = {found: kind for found, _, kind in whosmat(file)}[name]
        if kind not in NUMERIC:  # of other kinds a damaged byte can end the process in scipy's compiled reader
            raise DataError(f"{file}: {name} holds {kind}, not real numbers.", FIX)
        values = loadmat(file, variable_names=[name])[name]
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise DataError(f"{file}: {name} is damaged.", FIX)
        _check_kinds(file, name, values.dtype)
        return values[chosen].copy(order="F")


def texts(file: Path, name: str) -> list[str]:
    """Read a row or column of strings: a cell array of character rows, or a character matrix.

    Raises
    ------
    DataError
        When the variable is missing or is something else.
    """
    check_present(file, name)
    with _reading(file, name):
        if is_hdf5(file):
            with hdf5_file(file) as opened:
                found = opened.texts(name)
        else:
            found = read_texts(file, name)
    if not found or not all(isinstance(text, str) and text.strip() for text in found):
        raise DataError(f"{file}: {name} is not a list of names.", FIX)
    return [text.strip() for text in found]


def _check_kinds(file: Path, name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiu":
        raise DataError(f"{file}: {name} holds {dtype}, not real numbers.", FIX)


@contextmanager
def _reading(file: Path, name: str = "") -> Iterator[None]:
    try:
        yield
    except ItMapsError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"There is no file {file}.", "Name one that is there.") from error
    except Exception as error:  # on damaged bytes scipy and h5py raise kinds without number
        what = f"{file}, variable {name}," if name else str(file)
        raise DataError(f"{what} cannot be read as a MATLAB file: {one_line(error)}.", FIX) from error


Order = Literal["little", "big"]
ORDERS: dict[bytes, Order] = {b"IM": "little", b"MI": "big"}
HEADER = 128
MATRIX, COMPRESSED = 14, 15
CELL, CHARACTERS = 1, 4
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
LARGEST = 1024**2
PEEK = 512


def read_texts(file: Path, name: str) -> list[str]:
    """Read a cell array of character rows, or a character matrix, row by row.

    Raises
    ------
    ValueError, zlib.error
        When the file has no such variable or it is something else.
    """
    with file.open("rb") as opened:
        header = opened.read(HEADER)
        order = ORDERS.get(header[126:])
        if order is None:
            raise ValueError("it has no header of version 5 to 7")
        while len(tag := opened.read(8)) == 8:
            kind, size = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
            start = opened.tell()
            content = opened.read(min(size, PEEK))
            if kind == COMPRESSED:
                content = zlib.decompressobj().decompress(content, PEEK)[8:]
            if kind in (MATRIX, COMPRESSED) and _name_of(content, order) == name:
                opened.seek(start)
                content = opened.read(min(size, LARGEST))
                if kind == COMPRESSED:
                    content = zlib.decompressobj().decompress(content, LARGEST)[8:]
                return _texts(content, order)
            opened.seek(start + size)
    raise ValueError(f"it has no variable {name}")


def _texts(matrix: bytes, order: Order) -> list[str]:
    (_, flags), (_, shape), _, *content = _elements(matrix, order)
    kind = int.from_bytes(flags[:4], order) & 0xFF
    if kind == CELL:
        return [text for _, cell in content for text in _texts(cell, order)]
    if kind != CHARACTERS or len(content) != 1:
        raise ValueError("it is neither a cell array nor characters")
    stored, letters = content[0]
    encoding = ENCODINGS[stored]
    text = letters.decode(f"{encoding}-{order[0]}e" if encoding == "utf-16" else encoding)
    rows, columns = (int.from_bytes(shape[at : at + 4], order) for at in (0, 4))
    if len(shape) != 8 or rows * columns != len(text):
        raise ValueError("its characters do not fill its shape")
    return [text[row::rows] for row in range(rows)]


def _name_of(matrix: bytes, order: Order) -> str:
    elements = _elements(matrix, order)
    try:
        _, _, (_, name) = next(elements), next(elements), next(elements)
    except (StopIteration, ValueError):
        return ""
    return name.decode("latin-1")


def _elements(content: bytes, order: Order) -> Iterator[tuple[int, bytes]]:
    """Yield (type, bytes) of the elements that follow each other; small ones hold their bytes in the tag."""
    at = 0
    while at + 8 <= len(content):
        kind, size = int.from_bytes(content[at : at + 4], order), int.from_bytes(content[at + 4 : at + 8], order)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start, end = at + 8, at + 8 + size + -size % 8
        if start + size > len(content):
            raise ValueError("an element ends after its file")
        yield kind, content[start : start + size]
        at = end
