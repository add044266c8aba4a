"""How much faster are two workers than one? The same study by turns, each time with nothing kept.

    python benchmarks/sweep_workers.py --times 2

Both share the machine's cores: one worker computes with all of them, two with half of them each.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from brainscore_itmaps.study.config import ClusterConfig, study_of
from brainscore_itmaps.study.sweep import SweepSummary, sweep

STUDY = {
    "benchmarks": ["it_maps_simulated"],
    "windows": ["own", "50-100", "100-150", "150-200", "200-250", "250-300"],
    "layers": ["all"],
    "model": [{"name": "efficientnet_lite0", "weights": "random", "seed": seed} for seed in range(8)],
}


def timed(workers: int, threads: int) -> SweepSummary:
    """Run the study anew."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ITMAPS_HOME"] = f"{folder}/home"
        config = replace(study_of(STUDY), device="cpu", cluster=ClusterConfig(workers=workers, threads=threads))
        began = time.perf_counter()
        swept = sweep(config, Path(folder) / "study")
        assert not swept.failures
        return replace(swept, seconds=time.perf_counter() - began)


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--times", type=int, default=2)
    times = asked.parse_args().times
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault("BRAINIO_HOME", tempfile.mkdtemp())
    choices = {"1 worker": (1, cores), "2 workers": (2, max(1, cores // 2))}
    best: dict[str, SweepSummary] = {}
    for _ in range(times):
        for name, choice in choices.items():
            swept = timed(*choice)
            if name not in best or swept.seconds < best[name].seconds:
                best[name] = swept
    runs = len(STUDY["model"]) * len(STUDY["windows"])
    print(f"{len(STUDY['model'])} models, {runs} runs, {cores} cores; best of {times}")
    for name, swept in best.items():
        ratio, memory = swept.seconds / best["2 workers"].seconds, swept.peak_bytes / 1e9
        print(f"{name:10} {swept.seconds:6.1f} s   {memory:.2f} GB a worker   2 workers are {ratio:.2f} x as fast")
