"""TFRecord files written here, and shards in ClickMe's format: noise with a bright patch, and a map of where it is."""

import io
import struct

import google_crc32c
import numpy as np
from PIL import Image

from brainscore_itmaps.data.clickme_shards import fetch_clickme

SIDE = 256


def framed(data):
    """Bytes, and their CRC-32C, turned and shifted as TFRecord has it."""
    crc = google_crc32c.value(data)
    return data + struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32)


def write_records(file, records):
    file.write_bytes(b"".join(framed(struct.pack("<Q", len(record))) + framed(record) for record in records))


def varint(value):
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(number, value):
    """A field of bytes, as protocol buffers write it."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def write_example(values):
    """A ``tf.train.Example``: lists of bytes, of floating or of whole numbers, by name."""

    def written(own):
        if isinstance(own[0], bytes):
            return field(1, b"".join(field(1, value) for value in own))
        if isinstance(own[0], int):
            return field(3, field(1, b"".join(varint(value % 2**64) for value in own)))
        return field(2, field(1, np.array(own, "<f4").tobytes()))

    return field(
        1, b"".join(field(1, field(1, name.encode()) + field(2, written(own))) for name, own in values.items())
    )


def jpeg(values):
    held = io.BytesIO()
    Image.fromarray(values).save(held, "JPEG", quality=95)
    return held.getvalue()


def record(rng, label, classes=4):
    """Encode an image with a patch at a random place in the colour of its class, and the map of the patch."""
    image = rng.integers(60, 120, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    y, x = rng.integers(20, SIDE - 90, 2)
    image[y : y + 70, x : x + 70] = [(255 * label) // classes, 255 - (255 * label) // classes, 200]
    heatmap = np.zeros((SIDE, SIDE), np.uint8)
    heatmap[y : y + 70, x : x + 70] = 255
    return write_example({"image": [jpeg(image)], "heatmap": [jpeg(heatmap)], "label": [label]})


def write_shard(file, count, seed=0, classes=4):
    rng = np.random.default_rng(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_records(file, [record(rng, int(rng.integers(classes)), classes) for _ in range(count)])
    return file


def fetched_val(folder):
    """ClickMe's validation split as it is after it was fetched: 18 shards of one image."""
    for number in range(18):
        write_shard(folder / f"val-{number}.tfrecords", 1, seed=number)
    return fetch_clickme("val", folder=folder)
