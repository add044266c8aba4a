"""TFRecord files without TensorFlow."""

import bz2
import gzip
import json
import lzma
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shards import field, framed, write_example, write_records

from brainscore_itmaps.data.tfrecords import read_at, read_example, read_records, record_offsets
from brainscore_itmaps.errors import DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "clickme_synth.tfrecords"  # written by TensorFlow
VALUES = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
)


@given(records=st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_records_are_read_unchanged(tmp_path, records):
    file = tmp_path / "a.tfrecords"
    write_records(file, records)
    assert list(read_records(file)) == records
    offsets = record_offsets(file)
    assert [read_at(file, offset) for offset in offsets] == records


def test_records_of_tensorflow_are_read_and_written_unchanged(tmp_path):
    records = list(read_records(GOLDEN))
    write_records(tmp_path / "again", records)
    assert (tmp_path / "again").read_bytes() == GOLDEN.read_bytes()
    assert {name: len(values) for name, values in read_example(records[0]).items()} == {
        "image": 1,
        "heatmap": 1,
        "label": 1,
    }
    assert [read_example(record)["label"] for record in records] == [[3], [0], [999], [417], [3], [77]]


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
@settings(max_examples=100, deadline=None)
def test_written_examples_are_read_unchanged(values):
    assert read_example(write_example(values)) == values


def test_numbers_that_are_not_packed_and_unknown_fields_are_read():
    floats = b"\x0d" + struct.pack("<f", 1.5) + b"\x0d" + struct.pack("<f", -2)  # two fields of four bytes
    integers = b"\x08\x05\x08" + b"\xff" * 9 + b"\x01"  # 5 and -1
    unknown = b"\x31" + b"12345678" + b"\x38\x07"  # fields 6 and 7

    entries = [
        field(1, b"f") + field(2, field(2, floats) + unknown),
        unknown + field(1, b"i") + field(2, field(3, integers)),
    ]
    example = unknown + field(1, b"".join(field(1, entry) for entry in entries))
    assert read_example(example) == {"f": [1.5, -2.0], "i": [5, -1]}


def test_parts_of_a_list_are_joined_and_the_last_kind_of_list_is_used():
    """Consecutive parts of a message are one message, as protocol buffers specify."""
    one, two, numbers = (write_example({"x": values}) for values in ([b"a"], [b"b"], [7]))
    lists = [message[7:] for message in (one, two, numbers)]  # behind the lengths, the name, and the length of the list

    def example(*pieces):
        content = b"".join(pieces)
        entry = b"\x0a\x01x\x12" + bytes([len(content)]) + content
        return b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry

    assert example(lists[0][2:]) == one
    assert read_example(example(lists[0][2:], lists[1][2:])) == {"x": [b"a", b"b"]}
    assert read_example(example(lists[0][2:], lists[2][2:])) == {"x": [7]}
    assert read_example(one + two + numbers) == {"x": [7]}


@pytest.mark.parametrize(
    "message",
    [
        b"\x02\x00",  # field 0
        b"\x0b\x0c",  # a group
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # 2**63 bytes long
        b"\x08" + b"\xff" * 10,  # a number without end
        b"\x0a\x05\x0a\x03\x0a\x01\xff",  # a name that is not a text
        b"\x0a",
    ],
)
def test_an_invalid_example_is_an_error_of_this_package(message):
    with pytest.raises(DataError, match=r"not a tf\.train\.Example"):
        read_example(message)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_give_an_example_or_an_error_of_this_package(data):
    message = bytearray(write_example({"image": [b"abc"], "label": [-3, 2**40], "x": [1.5]}))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(message)))
    with suppress(DataError):  # anything else fails the test
        assert isinstance(read_example(bytes(message[:end])), dict)


@pytest.mark.parametrize("cut", [1, 11, 13, 40, 200])
def test_a_truncated_file_is_refused_with_record_and_offset(tmp_path, cut):
    file = tmp_path / "a.tfrecords"
    write_records(file, [b"x" * 100, b"y" * 100])
    file.write_bytes(file.read_bytes()[:-cut] if cut < 200 else file.read_bytes() + b"more")
    with pytest.raises(DataError, match=r"a\.tfrecords .* record \d at byte \d+: the file ends within it"):
        list(read_records(file))


def test_an_impossible_length_allocates_no_memory(tmp_path):
    file = tmp_path / "a.tfrecords"
    write_records(file, [b"x"])
    file.write_bytes(file.read_bytes() + framed(struct.pack("<Q", 2**62)) + b"rest")
    for read in (lambda: list(read_records(file)), lambda: record_offsets(file), lambda: read_at(file, 17)):
        with pytest.raises(DataError, match=r"at byte 17: the file ends within it"):
            read()


@pytest.mark.parametrize(
    ("offset", "reason"), [(0, "of its length"), (9, "of its length"), (50, "its checksum"), (113, "its checksum")]
)
def test_a_flipped_bit_is_detected(tmp_path, offset, reason):
    file = tmp_path / "a.tfrecords"
    write_records(file, [b"x" * 100])
    changed = bytearray(file.read_bytes())
    changed[offset] ^= 4
    file.write_bytes(changed)
    with pytest.raises(DataError, match=f"record 0 at byte 0: .*{reason}"):
        list(read_records(file))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none cannot be read: No such file"):
        list(read_records(tmp_path / "none"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(framed(b"x" * 40), mtime=0), r"compressed with gzip\. Decompress it with `gunzip`"),
        (zlib.compress(framed(b"x" * 40)), "compressed with zlib"),
        (zlib.compress(framed(b"x" * 40), 1), "compressed with zlib"),
        (bz2.compress(b"x" * 40), "compressed with bzip2"),
        (lzma.compress(b"x" * 40), "compressed with xz"),
        (b"PK\x03\x04" + b"x" * 40, "a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 40, "a PNG image"),
        (b"\x93NUMPY" + b"x" * 40, "a NumPy file"),
        (json.dumps({"image": [1, 2, 3]}).encode(), "a JSON file"),
        (b"\n[1, 2, 3, 4, 5, 6, 7]", "a JSON file"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"image,heatmap,label\n1,2,3\n", "a text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
    ],
)
def test_a_file_of_another_format_is_named(tmp_path, content, message):
    file = tmp_path / "a.tfrecords"
    file.write_bytes(content)
    for read in (lambda: list(read_records(file)), lambda: record_offsets(file), lambda: read_at(file, 0)):
        with pytest.raises(DataError, match=rf"a\.tfrecords is not a TFRecord file: it is {message}"):
            read()


def test_a_length_that_begins_as_gzip_does_is_a_length(tmp_path):
    record = bytes(0x8B1F)
    write_records(tmp_path / "a.tfrecords", [record])
    assert (tmp_path / "a.tfrecords").read_bytes().startswith(b"\x1f\x8b")
    assert list(read_records(tmp_path / "a.tfrecords")) == [record]


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_records_or_an_error_that_names_the_file(tmp_path, content):
    file = tmp_path / "a.tfrecords"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tfrecords"):
        list(read_records(file))
