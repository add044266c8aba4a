"""What scoring costs beside the plain forward pass of the same images: time as a ratio in one run, and peak memory.

Run: python benchmarks/score_overhead.py (some minutes on two cores)

Random weights and SIMULATED recordings of the size of the published ones: two arrays of 17 x 17 positions that share 14
images, one of 9 x 9 with 14 others. All block outputs of a model are read and scored on all three.
"""

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from brainscore_itmaps import load_model, load_recording, predict_left_out
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.source import ALL, HookedModel
from brainscore_itmaps.cache import default_cache
from brainscore_itmaps.data.stand_in import write_stand_in
from brainscore_itmaps.features.record import record_at_grid
from brainscore_itmaps.settings import Settings

ROUNDS = 3
ARRAYS = ("monkey1_PL", "monkey1_ML", "monkey2_ML")
MODELS = ("resnet50", "vit_base_patch16_224")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = write_stand_in(Path(folder) / "simulated.zip", duration=300)
        for name in MODELS:
            subprocess.run([sys.executable, __file__, name, str(archive), folder], check=True)


def measure(name: str, archive: str, folder: str) -> None:
    """Time each part, and the whole, in turns; in a process of its own, whose peak memory is told."""
    recordings = [load_recording(array, source=archive) for array in ARRAYS]
    model = load_model(f"timm:{name}", weights="random")
    everything = HookedModel(model).source(ALL)
    one = replace(everything, layers=everything.layers[-1:])
    shown = [recordings[0], recordings[2]]
    print(f"{name}, {len(everything.layers)} block outputs, {torch.get_num_threads()} threads; SIMULATED recordings")
    times: dict[str, list[float]] = {}

    def timed(what, action, *given):
        start = time.perf_counter()
        answer = action(*given)
        times.setdefault(what, []).append(time.perf_counter() - start)
        return answer

    for _ in range(ROUNDS):
        timed("plain forward pass", forward, model, shown)
        features = timed("read all layers at the grid", read, model, everything.layers, shown)
        timed("predict left-out images from all layers", predict, features, recordings)
        del features
        timed("whole scoring, committed layer", score, one, recordings)
    alone = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timed("whole scoring, all layers, one chosen", score, everything, recordings)
    plain = np.median(times["plain forward pass"])
    for what, taken in times.items():
        print(f"  {what:40s} {np.median(taken):7.2f} s   {np.median(taken) / plain:6.2f} of the forward pass")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"  peak memory of the process {peak / 2**20:.2f} GB ({alone / 2**20:.2f} GB before a layer is chosen per fold)"
    )


def forward(model, recordings):
    with torch.inference_mode():
        for recording in recordings:
            model.module(model.preprocess(recording.images))


def read(model, layers, recordings):
    return [record_at_grid(model, recording.images, layers, recording.grid) for recording in recordings]


def predict(features, recordings):
    for recording, number in zip(recordings, (0, 0, 1), strict=True):
        for layer in features[number].values():
            predict_left_out(layer.field(recording.grid), recording.maps)


def score(source, recordings):
    evaluate(source, recordings, CATALOGUE["it_maps"], cache=default_cache(fresh=True))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
    else:
        print(f"results are kept in {Settings.from_environment().home}; `brainscore results clean` removes them")
        main()
