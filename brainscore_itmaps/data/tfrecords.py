"""TFRecord files and the examples in them, read without TensorFlow.

A record is its length, a checksum of the length, its bytes, and a checksum of these. An example
(``tf.train.Example``) is a message of protocol buffers: a map from names to lists of bytes, numbers or whole numbers.
"""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from brainscore_itmaps.errors import DataError

LENGTH = struct.Struct("<Q")
CHECK = struct.Struct("<I")
FRAME = LENGTH.size + 2 * CHECK.size
FETCH = "Fetch it again, or remove it."

Values = list[bytes] | list[float] | list[int]


def read_records(file: Path) -> Iterator[bytes]:
    """Yield the records of a file, one after the other.

    Raises
    ------
    DataError
        When the file is missing or truncated, or a checksum is wrong; the message names the record and its offset.
    """
    with _opened(file) as opened:
        size, number = file.stat().st_size, 0
        while (offset := opened.tell()) < size:
            yield _record(opened, file, number, offset)
            number += 1


def record_offsets(file: Path) -> list[int]:
    """List where each record begins, in bytes; check lengths, not contents.

    Raises
    ------
    DataError
        See :func:`read_records`.
    """
    found: list[int] = []
    with _opened(file) as opened:
        size = file.stat().st_size
        while (offset := opened.tell()) < size:
            length = _length(opened, file, len(found), offset)
            if offset + FRAME + length > size:
                raise _damaged(file, len(found), offset, "the file ends within it")
            found.append(offset)
            opened.seek(offset + FRAME + length)
    return found


def read_at(file: Path, offset: int) -> bytes:
    """Read the record that begins at an offset.

    Raises
    ------
    DataError
        See :func:`read_records`.
    """
    with _opened(file) as opened:
        opened.seek(offset)
        return _record(opened, file, None, offset)


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.", "Name a file that is there.") from error


def _record(opened: BinaryIO, file: Path, number: int | None, offset: int) -> bytes:
    length = _length(opened, file, number, offset)
    if offset + FRAME + length > file.stat().st_size:  # before that much memory is asked for
        raise _damaged(file, number, offset, "the file ends within it")
    record = opened.read(length)
    if opened.read(CHECK.size) != _check(record):
        raise _damaged(file, number, offset, "its checksum is another one")
    return record


def _length(opened: BinaryIO, file: Path, record: int | None, offset: int) -> int:
    length, check = opened.read(LENGTH.size), opened.read(CHECK.size)
    if len(length) < LENGTH.size or len(check) < CHECK.size:
        raise _damaged(file, record, offset, "the file ends within it")
    if check != _check(length):
        raise _damaged(file, record, offset, "the checksum of its length is another one")
    return int(LENGTH.unpack(length)[0])


def _check(data: bytes) -> bytes:
    """Compute the masked CRC-32C of TFRecord files."""
    crc = google_crc32c.value(data)
    return CHECK.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _damaged(file: Path, record: int | None, offset: int, why: str) -> DataError:
    number = "" if record is None else f" {record}"
    return DataError(f"{file} is not a TFRecord file, or is damaged: record{number} at byte {offset}: {why}.", FETCH)


VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""How protocol buffers write a field."""
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
"""Fields of ``tf.train.Feature``."""


def read_example(record: bytes) -> dict[str, Values]:
    """Decode a ``tf.train.Example``.

    Returns
    -------
    dict
        Lists of bytes, floating-point numbers or integers, by name. Unknown fields are ignored.

    Raises
    ------
    DataError
        When the record is not a valid ``tf.train.Example``.
    """
    found: dict[str, Values] = {}
    try:
        for features in _messages(record, 1):
            for entry in _messages(features, 1):
                names = list(_messages(entry, 1))
                found[names[-1].decode() if names else ""] = _feature(b"".join(_messages(entry, 2)))
    except (ValueError, IndexError, struct.error) as error:
        raise DataError("A record is not a tf.train.Example.", FETCH) from error
    return found


def _feature(feature: bytes) -> Values:
    """Return the last list of a field; a list in several pieces is one list, as in protocol buffers."""
    chosen, pieces = BYTES_LIST, b""
    for number, kind, value in _fields(feature):
        if kind != BYTES or number not in _LISTS:
            continue
        assert isinstance(value, bytes)
        pieces = pieces + value if number == chosen else value
        chosen = number
    return _LISTS[chosen](pieces)


def _bytes(message: bytes) -> list[bytes]:
    return list(_messages(message, 1))


def _floats(message: bytes) -> list[float]:
    found: list[float] = []
    for number, kind, value in _fields(message):
        if number == 1 and kind in (BYTES, FOUR):  # packed, or one by one
            assert isinstance(value, bytes)
            found += np.frombuffer(value, "<f4").tolist()
    return found


def _integers(message: bytes) -> list[int]:
    found: list[int] = []
    for number, kind, value in _fields(message):
        if number != 1:
            continue
        if isinstance(value, int):
            found.append(_signed(value))
        elif kind == BYTES:
            place = 0
            while place < len(value):
                integer, place = _varint(value, place)
                found.append(_signed(integer))
    return found


_LISTS: dict[int, Callable[[bytes], Values]] = {BYTES_LIST: _bytes, FLOAT_LIST: _floats, INT64_LIST: _integers}


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    for number, kind, value in _fields(message):
        if number == wanted and kind == BYTES:
            assert isinstance(value, bytes)
            yield value


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Yield number, kind and value of each field; every step consumes at least one byte of the message."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("field number 0 is invalid")
        if kind == VARINT:
            integer, place = _varint(message, place)
            yield number, kind, integer
            continue
        if kind == BYTES:
            size, place = _varint(message, place)
        elif kind in (EIGHT, FOUR):
            size = 8 if kind == EIGHT else 4
        else:
            raise ValueError("unknown wire type")
        if place + size > len(message):
            raise ValueError("a field that is longer than its message")
        yield number, kind, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place
    raise ValueError("a varint is longer than 10 bytes")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
