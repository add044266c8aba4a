"""Read TFRecord files and the examples in them without TensorFlow.

A record consists of its length, a checksum of the length, its bytes, and a checksum of the bytes. An example
(``tf.train.Example``) is a protocol buffer message: a map from names to lists of bytes, floats or integers.
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
FIX = "Download it again, or remove it."

Values = list[bytes] | list[float] | list[int]


def read_records(file: Path) -> Iterator[bytes]:
    """Yield the records of a file in order.

    Raises
    ------
    DataError
        When the file is missing or truncated, or a checksum is wrong; the message names the record and its offset.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> length = LENGTH.pack(3)
    >>> record = length + _check(length) + b"0.5" + _check(b"0.5")
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "val-0.tfrecords")
    ...     _ = file.write_bytes(record + record)
    ...     list(read_records(file))
    [b'0.5', b'0.5']
    """
    with _open(file) as opened:
        size, number = file.stat().st_size, 0
        while (offset := opened.tell()) < size:
            yield _read_record(opened, file, number, offset)
            number += 1


def record_offsets(file: Path) -> list[int]:
    """List the offset of each record in bytes, after checking lengths but not contents.

    Raises
    ------
    DataError
        See :func:`read_records`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> length = LENGTH.pack(3)
    >>> record = length + _check(length) + b"0.5" + _check(b"0.5")
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "val-0.tfrecords")
    ...     _ = file.write_bytes(record + record)
    ...     record_offsets(file)
    [0, 19]
    """
    offsets: list[int] = []
    with _open(file) as opened:
        size = file.stat().st_size
        while (offset := opened.tell()) < size:
            length = _read_length(opened, file, len(offsets), offset)
            if offset + FRAME + length > size:
                raise _damaged(file, len(offsets), offset, "the file ends within it")
            offsets.append(offset)
            opened.seek(offset + FRAME + length)
    return offsets


def read_at(file: Path, offset: int) -> bytes:
    """Read the record that begins at an offset in bytes.

    Raises
    ------
    DataError
        See :func:`read_records`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> length = LENGTH.pack(3)
    >>> record = length + _check(length) + b"0.5" + _check(b"0.5")
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "val-0.tfrecords")
    ...     _ = file.write_bytes(record + record)
    ...     read_at(file, 19)
    b'0.5'
    """
    with _open(file) as opened:
        opened.seek(offset)
        return _read_record(opened, file, None, offset)


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.", "Name an existing file.") from error


def _read_record(opened: BinaryIO, file: Path, number: int | None, offset: int) -> bytes:
    length = _read_length(opened, file, number, offset)
    if offset + FRAME + length > file.stat().st_size:  # checked before the memory is allocated
        raise _damaged(file, number, offset, "the file ends within it")
    record = opened.read(length)
    if opened.read(CHECK.size) != _check(record):
        raise _damaged(file, number, offset, "its checksum is wrong")
    return record


def _read_length(opened: BinaryIO, file: Path, record: int | None, offset: int) -> int:
    length, check = opened.read(LENGTH.size), opened.read(CHECK.size)
    if len(length) < LENGTH.size or len(check) < CHECK.size:
        raise _damaged(file, record, offset, "the file ends within it")
    if check != _check(length):
        raise _damaged(file, record, offset, "the checksum of its length is wrong")
    return int(LENGTH.unpack(length)[0])


def _check(data: bytes) -> bytes:
    """Compute the masked CRC-32C of TFRecord files."""
    crc = google_crc32c.value(data)
    return CHECK.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _damaged(file: Path, record: int | None, offset: int, why: str) -> DataError:
    if offset == 0 and (other := _other_format(file)) is not None:
        return DataError(f"{file} is not a TFRecord file: it is {other[0]}.", other[1])
    number = "" if record is None else f" {record}"
    return DataError(f"{file} is not a TFRecord file, or is damaged: record{number} at byte {offset}: {why}.", FIX)


UNPACK = "Decompress it with {}, and name the decompressed file."
OTHER_FILE = "Name TFRecord files."
OTHER_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "compressed with gzip", UNPACK.format("`gunzip`, or with Python's gzip module")),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK.format("`unzstd`")),
    (b"BZh", "compressed with bzip2", UNPACK.format("`bunzip2`")),
    (b"\xfd7zXZ", "compressed with xz", UNPACK.format("`unxz`")),
    (b"PK\x03\x04", "a ZIP archive", "Unpack it, and name the TFRecord files in it."),
    (b"\x89HDF", "an HDF5 file", OTHER_FILE),
    (b"\x93NUMPY", "a NumPy file", OTHER_FILE),
    (b"\x89PNG", "a PNG image", OTHER_FILE),
    (b"\xff\xd8\xff", "a JPEG image", OTHER_FILE),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Run `git lfs pull`."),
)
"""First bytes of files that are mistaken for TFRecord files, what they are, and what to do."""


def _other_format(file: Path) -> tuple[str, str] | None:
    """Recognize a file of another format by its first bytes: what it is, and what to do."""
    with _open(file) as opened:
        start = opened.read(256)
    for magic, format_name, fix in OTHER_FORMATS:
        if start.startswith(magic):
            return format_name, fix
    if start[:1] == b"\x78" and len(start) > 1 and int.from_bytes(start[:2], "big") % 31 == 0:
        return "compressed with zlib", UNPACK.format("Python's zlib module")
    printable = start.removeprefix(b"\xef\xbb\xbf")
    if printable and all(byte >= 32 or byte in b"\t\n\r" for byte in printable):
        formats = {b"{": "a JSON file", b"[": "a JSON file", b"<": "a web page (HTML or XML)"}
        return formats.get(printable.lstrip()[:1], "a text file"), OTHER_FILE
    return None


VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types of protocol buffers."""
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
"""Field numbers of ``tf.train.Feature``."""


def read_example(record: bytes, name: str = "A record") -> dict[str, Values]:
    r"""Decode a record as ``tf.train.Example``.

    Parameters
    ----------
    record : bytes
    name : str
        Description of the record in errors, such as its file and offset.

    Returns
    -------
    dict
        Lists of bytes, floating-point numbers or integers, by name. Unknown fields are ignored.

    Raises
    ------
    DataError
        When the record is not a valid ``tf.train.Example``.

    Examples
    --------
    >>> read_example(b"\x0a\x10\x0a\x0e\x0a\x05label\x12\x05\x1a\x03\x0a\x01\x07")
    {'label': [7]}
    """
    values: dict[str, Values] = {}
    try:
        for features in _messages(record, 1):
            for entry in _messages(features, 1):
                names = list(_messages(entry, 1))
                values[names[-1].decode() if names else ""] = _feature(b"".join(_messages(entry, 2)))
    except (ValueError, IndexError, struct.error) as error:
        raise DataError(
            f"{name} is not a tf.train.Example.", "Name TFRecord files whose records are examples."
        ) from error
    return values


def _feature(feature: bytes) -> Values:
    """Decode the last list of a feature; parts of a list are joined, as protocol buffers specify."""
    list_number, content = BYTES_LIST, b""
    for number, kind, value in _fields(feature):
        if kind != BYTES or number not in _LISTS:
            continue
        assert isinstance(value, bytes)
        content = content + value if number == list_number else value
        list_number = number
    return _LISTS[list_number](content)


def _bytes(message: bytes) -> list[bytes]:
    return list(_messages(message, 1))


def _floats(message: bytes) -> list[float]:
    values: list[float] = []
    for number, kind, value in _fields(message):
        if number == 1 and kind in (BYTES, FOUR):  # packed or single
            assert isinstance(value, bytes)
            values += np.frombuffer(value, "<f4").tolist()
    return values


def _integers(message: bytes) -> list[int]:
    values: list[int] = []
    for number, kind, value in _fields(message):
        if number != 1:
            continue
        if isinstance(value, int):
            values.append(_signed(value))
        elif kind == BYTES:
            position = 0
            while position < len(value):
                integer, position = _varint(value, position)
                values.append(_signed(integer))
    return values


_LISTS: dict[int, Callable[[bytes], Values]] = {BYTES_LIST: _bytes, FLOAT_LIST: _floats, INT64_LIST: _integers}


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    for number, kind, value in _fields(message):
        if number == wanted and kind == BYTES:
            assert isinstance(value, bytes)
            yield value


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Yield number, wire type and value of each field; each step consumes at least one byte of the message."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("field number 0 is invalid")
        if kind == VARINT:
            integer, position = _varint(message, position)
            yield number, kind, integer
            continue
        if kind == BYTES:
            size, position = _varint(message, position)
        elif kind in (EIGHT, FOUR):
            size = 8 if kind == EIGHT else 4
        else:
            raise ValueError("unknown wire type")
        if position + size > len(message):
            raise ValueError("a field is longer than its message")
        yield number, kind, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), position
    raise ValueError("a varint is longer than 10 bytes")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
