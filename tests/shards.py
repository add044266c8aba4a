"""Shards in ClickMe's format, made here: the pictures are noise with a bright patch, the maps say where it is."""

import io

import numpy as np
from PIL import Image

from brainscore_itmaps.data.tfrecords import write_example, write_records

SIDE = 256


def jpeg(values):
    held = io.BytesIO()
    Image.fromarray(values).save(held, "JPEG", quality=95)
    return held.getvalue()


def record(rng, label, classes=4):
    """A patch whose place goes with nothing and whose colour goes with the class."""
    picture = rng.integers(60, 120, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    y, x = rng.integers(20, SIDE - 90, 2)
    picture[y : y + 70, x : x + 70] = [(255 * label) // classes, 255 - (255 * label) // classes, 200]
    heatmap = np.zeros((SIDE, SIDE), np.uint8)
    heatmap[y : y + 70, x : x + 70] = 255
    return write_example({"image": [jpeg(picture)], "heatmap": [jpeg(heatmap)], "label": [label]})


def write_shard(file, count, seed=0, classes=4):
    rng = np.random.default_rng(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_records(file, [record(rng, int(rng.integers(classes)), classes) for _ in range(count)])
    return file
