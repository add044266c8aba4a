"""Read variables of MATLAB files: numbers with scipy or as HDF5, both in a process of their own, and texts."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import DAMAGED, DataError, ItMapsError, one_line
from brainscore_itmaps.hdf5 import hdf5_file, is_hdf5, older_matlab_numbers, older_matlab_variables

NUMERIC = ("single", "double", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
TEXT_FIX = (
    "In MATLAB, convert the names to a cell array of character vectors and save the file again: "
    "names = cellstr(names), or names = {files.name} for the result of dir()."
)
FIX = "Download or copy the file again; if it is the published file, report an issue."


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """List the shapes of a file's variables by name, without reading their values.

    Raises
    ------
    DataError
        When the file is not a MATLAB file; the message names it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.mat")
    ...     savemat(file, {"imageRF": np.zeros((3, 4, 5))})
    ...     shapes(file)
    {'imageRF': (3, 4, 5)}
    """
    with _reading(file):
        if not is_hdf5(file):
            return {name: shape for name, (shape, _) in older_matlab_variables(file).items()}
        with hdf5_file(file) as opened:
            return {name: dataset.shape[::-1] for name, dataset in opened.datasets.items() if "/" not in name}


def check_present(file: Path, *names: str) -> None:
    """Raise an error unless a file has all variables with these names.

    Raises
    ------
    DataError
        When a variable is missing; the message names the missing and the existing variables.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.mat")
    ...     savemat(file, {"imageRF": np.zeros((3, 4, 5))})
    ...     check_present(file, "imageRF")
    """
    available = shapes(file)
    if missing := [name for name in names if name not in available]:
        raise DataError(
            f"{file} has no variable {' and no '.join(missing)}; it has {', '.join(sorted(available)) or 'none'}.", FIX
        )


def numbers(file: Path, name: str, part: Sequence[slice] | None = None) -> NDArray[Any]:
    """Read a numeric variable, or a part of it, with its axes in MATLAB's order.

    Of a version 7.3 file only the part is read; of other versions the complete variable is read first.

    Parameters
    ----------
    file : Path
    name : str
        Name of the variable.
    part : sequence of slice, optional
        One slice for each axis.

    Raises
    ------
    DataError
        When the variable is missing or does not contain real numbers.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.mat")
    ...     savemat(file, {"imageRF": np.arange(60.0).reshape(3, 4, 5)})
    ...     numbers(file, "imageRF", (slice(2, 3), slice(None), slice(0, 2))).shape
    (1, 4, 2)
    """
    check_present(file, name)
    shape = shapes(file)[name]
    selection = tuple(part or [slice(None)] * len(shape))
    with _reading(file, name):
        if is_hdf5(file):
            with hdf5_file(file) as opened:
                return opened.read(name, selection[::-1]).T
        kind = older_matlab_variables(file)[name][1]
        if kind not in NUMERIC:
            raise DataError(f"{file}: {name} contains {kind}, not real numbers.", FIX)
        values = older_matlab_numbers(file, name)
        if values.shape != shape:
            raise DataError(f"{file}: {name} is damaged.", FIX)
        _check_kinds(file, name, values.dtype)
        return values[selection].copy(order="F")


def texts(file: Path, name: str) -> list[str]:
    """Read a list of strings: a cell array of character rows, or a character matrix.

    Raises
    ------
    DataError
        When the variable is missing or is not a list of non-empty strings.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.mat")
    ...     savemat(file, {"UniqueNames": np.array([["face.png", "hat.png"]], dtype=object)})
    ...     texts(file, "UniqueNames")
    ['face.png', 'hat.png']
    """
    _check_no_struct(file, name)
    check_present(file, name)
    with _reading(file, name, TEXT_FIX):
        if is_hdf5(file):
            with hdf5_file(file) as opened:
                strings = opened.texts(name)
        else:
            strings = read_texts(file, name)
    if not strings or not all(isinstance(text, str) and text.strip() for text in strings):
        raise DataError(f"{file}: {name} is not a list of names.", TEXT_FIX)
    return [text.strip() for text in strings]


def _check_kinds(file: Path, name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiu":
        raise DataError(f"{file}: {name} contains {dtype}, not real numbers.", FIX)


def _check_no_struct(file: Path, name: str) -> None:
    with _reading(file, name):
        if is_hdf5(file):
            with hdf5_file(file) as opened:
                if any(dataset.startswith(f"{name}/") for dataset in opened.datasets):
                    raise DataError(f"{file}: {name} is a MATLAB struct array, not a list of names.", TEXT_FIX)


@contextmanager
def _reading(file: Path, name: str = "", fix: str = FIX) -> Iterator[None]:
    try:
        yield
    except ItMapsError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"There is no file {file}.", "Name an existing file.") from error
    except DAMAGED as error:
        item = f"{file}, variable {name}," if name else str(file)
        raise DataError(f"{item} cannot be read as a MATLAB file: {one_line(error)}.", fix) from error


Order = Literal["little", "big"]
ORDERS: dict[bytes, Order] = {b"IM": "little", b"MI": "big"}
HEADER = 128
MATRIX, COMPRESSED = 14, 15
CELL, CHARACTERS = 1, 4
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
LARGEST = 1024**2
PEEK = 512


def read_texts(file: Path, name: str) -> list[str]:
    """Read a cell array of character rows, or a character matrix, from a file of version 5 to 7.

    Raises
    ------
    ValueError, zlib.error
        When the file has no such variable, or it has another kind.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.io import savemat
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "maps.mat")
    ...     savemat(file, {"names": np.array(["face", "hat "])})
    ...     read_texts(file, "names")
    ['face', 'hat ']
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
    rows, columns = (int.from_bytes(shape[start : start + 4], order) for start in (0, 4))
    if len(shape) != 8 or rows * columns != len(text):
        raise ValueError("the number of its characters does not fit its shape")
    return [text[row::rows] for row in range(rows)]


def _name_of(matrix: bytes, order: Order) -> str:
    elements = _elements(matrix, order)
    try:
        _, _, (_, name) = next(elements), next(elements), next(elements)
    except (StopIteration, ValueError):
        return ""
    return name.decode("latin-1")


def _elements(content: bytes, order: Order) -> Iterator[tuple[int, bytes]]:
    """Yield the type and bytes of each element; a small element contains its bytes in its tag."""
    tag = 0
    while tag + 8 <= len(content):
        kind, size = int.from_bytes(content[tag : tag + 4], order), int.from_bytes(content[tag + 4 : tag + 8], order)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, tag + 4, tag + 8
        else:
            start, end = tag + 8, tag + 8 + size + -size % 8
        if start + size > len(content):
            raise ValueError("an element exceeds its variable")
        yield kind, content[start : start + size]
        tag = end
