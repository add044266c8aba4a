"""Measure the cost of scoring relative to a plain forward pass of the same images: time and peak memory.

Run: python benchmarks/score_overhead.py [rounds] (three rounds by default; 3 to 6 minutes on two cores)

The weights are random, and the recordings are SIMULATED in the size of the published ones: two arrays of 17 x 17
positions that share 14 images, and one of 9 x 9 positions with 14 other images. All block outputs of a model are scored
on all three arrays, with noise ceilings, intervals and controls, and without anything from the cache.
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

ROUNDS = "3"
ARRAYS = ("monkey1_PL", "monkey1_ML", "monkey2_ML")
WINDOWS = ((50, 100), (100, 150), (150, 200), (200, 250), (250, 300))
MODELS = ("resnet50", "vit_base_patch16_224")


def main(rounds: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = write_stand_in(Path(folder) / "simulated.zip", duration=300)
        for name in MODELS:
            subprocess.run([sys.executable, __file__, name, str(archive), rounds], check=True)


def measure(name: str, archive: str, rounds: str) -> None:
    """Measure each part and the complete scoring in turn, and the peak memory of this process."""
    recordings = [load_recording(array, source=archive) for array in ARRAYS]
    windows = [load_recording(ARRAYS[0], window, source=archive) for window in WINDOWS]
    model = load_model(f"timm:{name}", weights="random")
    all_layers = HookedModel(model).source(ALL)
    one_layer = replace(all_layers, layers=all_layers.layers[-1:])
    image_sets = [recordings[0], recordings[2]]
    print(f"{name}, {len(all_layers.layers)} block outputs, {torch.get_num_threads()} threads; SIMULATED recordings")
    times: dict[str, list[float]] = {}

    def timed(step, action, *arguments):
        start = time.perf_counter()
        returned = action(*arguments)
        times.setdefault(step, []).append(time.perf_counter() - start)
        return returned

    for _ in range(int(rounds)):
        timed("plain forward pass", forward, model, image_sets)
        features = timed("read all layers at the grid", read, model, all_layers.layers, image_sets)
        timed("predict left-out images from all layers", predict, features, recordings)
        del features
        timed("complete scoring, committed layer", score, one_layer, recordings)
        timed("the same, one array in one window", score, one_layer, windows[:1])
        timed("the same, one array in five windows", score, one_layer, windows)
    one_layer_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timed("complete scoring, all layers, one chosen", score, all_layers, recordings)
    timed("plain forward pass", forward, model, image_sets)
    plain = np.median(times["plain forward pass"])
    for step, taken in times.items():
        print(f"  {step:40s} {np.median(taken):7.2f} s   {np.median(taken) / plain:6.2f} of the forward pass")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  peak memory {peak / 2**20:.2f} GB ({one_layer_peak / 2**20:.2f} GB before all layers are scored)")


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
    if len(sys.argv) > 2:
        measure(*sys.argv[1:])
    else:
        print(f"results are cached in {Settings.from_environment().home}; `brainscore results clean` removes them")
        main(*sys.argv[1:] or [ROUNDS])
