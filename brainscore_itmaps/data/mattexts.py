"""Texts in MATLAB files of versions 5 to 7.

scipy reads these files for us, but a damaged byte among the characters of a cell array ends the whole process in its
compiled reader. Names are little and simple, so they are read here, where the worst that can happen is an exception.
The layout is that of MathWorks' "MAT-File Format", level 5.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

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
