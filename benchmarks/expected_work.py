"""Compare the expected time and memory of scoring with the measured ones, at several sizes, one process each.

Run from the checkout: ``python benchmarks/expected_work.py``.
"""

import multiprocessing
import resource
import time

import numpy as np

from brainscore_itmaps.benchmark.expected import expected_work
from brainscore_itmaps.benchmark.layers import score_field
from brainscore_itmaps.progress import uncounted
from brainscore_itmaps.protocol import OURS

SIZES = (  # images, side of the grid, channels, sites
    (14, 17, 96, 32), (14, 17, 768, 32), (14, 17, 3072, 32), (14, 17, 768, 320), (60, 17, 768, 32), (14, 40, 768, 32),
)  # fmt: skip
GROUPS = 7


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(images, side, channels, sites):
    rng = np.random.default_rng(0)
    before = peak()
    field, maps = (rng.normal(size=(images, side, side, number)) for number in (channels, sites))
    start = time.perf_counter()
    score_field(field, [maps], "pls", OURS, GROUPS, uncounted)
    return time.perf_counter() - start, peak() - before


if __name__ == "__main__":
    for size in SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(measured, size)
        images, side, channels, sites = size
        work = expected_work(images, side * side, [channels], [sites], GROUPS)
        print(
            f"{images} images, {side} x {side} positions, {channels} channels, {sites} sites: {seconds:.1f} s and "
            f"{memory / 1e9:.2f} GB; expected {work.seconds:.1f} s and {work.bytes / 1e9:.2f} GB"
        )
