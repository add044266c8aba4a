"""List and compare many results that differ: seconds, and the largest memory. No model is run; the scores are made up.

Run from the checkout: ``python benchmarks/many_results.py [NUMBER]``, by default 3,000.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

UNIQUE = ("unique", "given_controls", "without_typical_map")


def moved(estimate, by, rng):
    import numpy as np

    if np.isnan(estimate.score):
        return estimate
    noise = rng.normal(0, 0.01, len(estimate.replicates))
    low, high = estimate.interval
    return replace(estimate, raw=estimate.raw + by, score=estimate.score + by, interval=(low + by, high + by),
                   replicates=estimate.replicates + by + noise)  # fmt: skip


def write_many(folder, number):
    """Save a result of random features many times, each with its own made-up scores."""
    import numpy as np

    from brainscore_itmaps import score_features
    from brainscore_itmaps.benchmark.result import Result
    from brainscore_itmaps.data.load import load_recording

    rng = np.random.default_rng(0)
    recording = load_recording("it_maps_simulated")
    (file, *_) = score_features(rng.normal(size=(14, 12, 12, 8)), recording).save(folder / "first")
    first = Result.load(file)
    for index in range(number):
        by = float(rng.normal(0, 0.05))
        changes = {name: float(rng.normal(0, 0.03)) for name in UNIQUE}

        def changed(scored, by=by, changes=changes):
            added = {name: moved(each, changes.get(name, 0.0), rng) for name, each in scored.added.items()}
            return {"estimate": moved(scored.estimate, by, rng), "added": added}

        reading = replace(first.reading, model=f"made_up_{index}", imagenet_top1=float(rng.uniform(30, 90)))
        arrays = tuple(replace(array, **changed(array)) for array in first.arrays)
        replace(first, reading=reading, arrays=arrays, **changed(first)).save(folder / "many")


def timed(*arguments):
    """Return the seconds and the largest memory of a command."""
    start, command = time.perf_counter(), [sys.executable, "-m", "brainscore_itmaps", *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    assert status == 0
    return time.perf_counter() - start, used.ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with tempfile.TemporaryDirectory() as root:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(write_many, (Path(root), count))
        for name, command in (
            ("listed", ("results", "list", "--from", Path(root, "many"))),
            ("compared", ("compare", Path(root, "many"), "--out", Path(root, "out"), "--no-maps")),
        ):
            seconds, memory = timed(*command)
            print(f"{count} results {name} in {seconds:.1f} s, {memory:.2f} GB")
