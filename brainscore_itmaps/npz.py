"""Read NPZ and NPY files, which may be damaged or made to fill the memory."""

import math
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from brainscore_itmaps.errors import DAMAGED

RATIO = 100
"""Largest ratio of the arrays of a file to its size."""
SMALL = 64 * 2**20
"""Bytes that the arrays of any file may have, whatever the ratio: constant arrays compress a thousandfold."""


HEADER = 10_000
"""Largest number of bytes of an array's header."""


def read_npz(file: Path, wanted: Callable[[str], bool] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an NPZ file, after a check that they fit into memory.

    Parameters
    ----------
    file : Path
    wanted : callable, optional
        Returns whether an array of this name is read; by default, all are.

    Raises
    ------
    ValueError
        When a file is not an NPZ, is damaged, holds objects, or unpacks to far more than its size.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder, "maps.npz"), r=np.array([0.25, 0.5]))
    ...     read_npz(Path(folder, "maps.npz"))
    {'r': array([0.25, 0.5 ])}
    """
    try:
        with ZipFile(file) as opened:
            members = opened.infolist()
            if len({member.filename for member in members}) < len(members):
                raise ValueError("two of its arrays have the same name")
            total, size = sum(member.file_size for member in members), file.stat().st_size
            if total > max(SMALL, RATIO * size):
                raise ValueError(f"its {size} bytes unpack to {total}, more than {RATIO} times as many")
            arrays = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if wanted is None or wanted(name):
                    with opened.open(member) as content:
                        arrays[name] = _read_array(content, member.file_size)
            return arrays
    except DAMAGED as error:
        raise ValueError(f"{file.name} is damaged: {error or type(error).__name__}") from error


def read_npy(file: Path) -> NDArray[Any]:
    """Read the array of an NPY file.

    Raises
    ------
    ValueError
        When the file is not an NPY, is damaged, or holds objects.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "map.npy"), np.eye(2))
    ...     read_npy(Path(folder, "map.npy"))
    array([[1., 0.],
           [0., 1.]])
    """
    try:
        with file.open("rb") as content:
            return _read_array(content, file.stat().st_size)
    except DAMAGED as error:
        raise ValueError(f"{file.name} is damaged: {error or type(error).__name__}") from error


def _read_array(content: Any, size: int) -> NDArray[Any]:
    """Read an array whose header agrees with its number of bytes."""
    start = content.read(10)
    if start[:6] != npy.MAGIC_PREFIX or start[6:8] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError("an array does not begin like an NPY of version 1 or 2")
    more = content.read(2) if start[6] == 2 else b""
    length = int.from_bytes(start[8:] + more, "little")
    if length > HEADER:
        raise ValueError(f"an array has a header of {length} bytes")
    shape, fortran, dtype = _parsed(start[6], content.read(length))
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or 10 + len(more) + length + count * dtype.itemsize != size:
        raise ValueError(f"an array of {size} bytes does not fit its shape {shape}")
    flat = np.frombuffer(content.read(), dtype=dtype, count=count).copy()
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


@cache
def _parsed(version: int, header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of an array from its header; headers of many files are the same."""
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    read_header = npy.read_array_header_1_0 if version == 1 else npy.read_array_header_2_0
    return read_header(BytesIO(length + header))  # type: ignore[no-untyped-call,no-any-return]
