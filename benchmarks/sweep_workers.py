"""Measure the speed of two workers relative to one, on the same study in turn, with an empty cache each time.

    python benchmarks/sweep_workers.py --times 2

One worker uses all cores of the machine, since it scores layers in threads; two workers use half of them each. One
worker with half of the cores shows what a second worker adds. --models makes it shorter, and the ratio lower: the
start of the workers, a few seconds, weighs more.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainscore_itmaps.benchmark.saved import load_summary
from brainscore_itmaps.study.config import ClusterConfig, study_of
from brainscore_itmaps.study.sweep import SweepSummary, sweep

STUDY = {
    "benchmarks": ["it_maps_simulated"],
    "windows": ["own", "50-100", "100-150", "150-200", "200-250", "250-300"],
    "layers": ["all"],
    "model": [{"name": "efficientnet_lite0", "weights": "random", "seed": seed} for seed in range(8)],
}


def timed(workers: int, threads: int, models: int) -> tuple[SweepSummary, dict[str, float]]:
    """Run the study with an empty cache; return its summary and the scores."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ITMAPS_HOME"] = f"{folder}/home"
        config = replace(
            study_of({**STUDY, "model": STUDY["model"][:models]}),
            device="cpu",
            cluster=ClusterConfig(workers=workers, threads=threads),
        )
        began = time.perf_counter()
        summary = sweep(config, Path(folder) / "study")
        assert not summary.failures
        seconds = time.perf_counter() - began
        files = (Path(folder) / "study" / "results").glob("*.json")
        scores = {file.stem: load_summary(file).score for file in files}
        assert len(scores) == models * len(STUDY["windows"])
        return replace(summary, seconds=seconds), scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--models", type=int, default=len(STUDY["model"]))
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault("BRAINIO_HOME", tempfile.mkdtemp())
    half = max(1, cores // 2)
    choices = {"1 worker, all cores": (1, cores), "1 worker, half": (1, half), "2 workers": (2, half)}
    choices["4 workers"] = (4, max(1, cores // 4))  # on a machine with fewer cores, a cluster that is simulated
    best: dict[str, SweepSummary] = {}
    first: dict[str, float] = {}
    for _ in range(arguments.times):
        for name, choice in choices.items():
            summary, scores = timed(*choice, arguments.models)
            first = first or scores
            assert scores.keys() == first.keys()
            # torch's forward pass rounds otherwise with other numbers of threads
            np.testing.assert_allclose([*scores.values()], [first[run] for run in scores], rtol=1e-4)
            if name not in best or summary.seconds < best[name].seconds:
                best[name] = summary
    runs = arguments.models * len(STUDY["windows"])
    print(f"{arguments.models} models, {runs} runs, {cores} cores; best of {arguments.times}; the scores agree")
    for name, summary in best.items():
        ratio, memory = summary.seconds / best["2 workers"].seconds, summary.peak_bytes / 1e9
        print(f"{name:19} {summary.seconds:6.1f} s   {memory:.2f} GB per worker   2 workers are {ratio:.2f} x as fast")
