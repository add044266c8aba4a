"""TFRecord files without TensorFlow."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainscore_itmaps.data.tfrecords import (
    read_at,
    read_example,
    read_records,
    record_offsets,
    write_example,
    write_records,
)
from brainscore_itmaps.errors import DataError

GOLDEN = Path(__file__).parent / "golden" / "clickme_synth.tfrecords"  # written by TensorFlow
VALUES = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
)


@given(records=st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_come_back(tmp_path, records):
    file = tmp_path / "a.tfrecords"
    write_records(file, records)
    assert list(read_records(file)) == records
    offsets = record_offsets(file)
    assert [read_at(file, offset) for offset in offsets] == records


def test_what_tensorflow_wrote_is_written_again_byte_for_byte(tmp_path):
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
def test_examples_come_back(values):
    assert read_example(write_example(values)) == values


def test_numbers_that_are_not_packed_and_unknown_fields_are_read():
    floats = b"\x0d" + struct.pack("<f", 1.5) + b"\x0d" + struct.pack("<f", -2)  # two fields of four bytes
    integers = b"\x08\x05\x08" + b"\xff" * 9 + b"\x01"  # 5 and -1
    unknown = b"\x31" + b"12345678" + b"\x38\x07"  # fields 6 and 7

    def field(number, value):
        return bytes([number << 3 | 2, len(value)]) + value

    entries = [
        field(1, b"f") + field(2, field(2, floats) + unknown),
        unknown + field(1, b"i") + field(2, field(3, integers)),
    ]
    example = unknown + field(1, b"".join(field(1, entry) for entry in entries))
    assert read_example(example) == {"f": [1.5, -2.0], "i": [5, -1]}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_give_an_example_or_an_error_of_ours(data):
    message = bytearray(write_example({"image": [b"abc"], "label": [-3, 2**40], "x": [1.5]}))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(message)))
    with suppress(DataError):  # anything else fails the test
        assert isinstance(read_example(bytes(message[:end])), dict)


@pytest.mark.parametrize("cut", [1, 11, 13, 40, 200])
def test_a_file_that_was_cut_off_is_refused_with_the_record_and_its_place(tmp_path, cut):
    file = tmp_path / "a.tfrecords"
    write_records(file, [b"x" * 100, b"y" * 100])
    file.write_bytes(file.read_bytes()[:-cut] if cut < 200 else file.read_bytes() + b"more")
    with pytest.raises(DataError, match=r"a\.tfrecords .* record \d at byte \d+: the file ends within it"):
        list(read_records(file))


@pytest.mark.parametrize(
    ("place", "told"), [(0, "of its length"), (9, "of its length"), (50, "its checksum"), (113, "its checksum")]
)
def test_a_flipped_bit_is_noticed(tmp_path, place, told):
    file = tmp_path / "a.tfrecords"
    write_records(file, [b"x" * 100])
    changed = bytearray(file.read_bytes())
    changed[place] ^= 4
    file.write_bytes(changed)
    with pytest.raises(DataError, match=told):
        list(read_records(file))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none cannot be read: No such file"):
        list(read_records(tmp_path / "none"))
