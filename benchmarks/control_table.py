"""Score models, random weights and controls on SIMULATED recordings, with a bump in the centre of every map.

To every map of both simulated recordings, a bump in the centre is added whose standard deviation over positions is 0,
0.5, 1 and 2 times that of the site. It is the same for all images, as in recordings of centred faces: the mean map of
the training images predicts it, and random weights that know where the edges of the image are predict it, too.

Run: python benchmarks/control_table.py (about ten minutes on two cores)
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from brainscore_itmaps import load_recording, score
from brainscore_itmaps.benchmark.formulas import verdict_on_controls
from brainscore_itmaps.models.zoo import EMBEDDED

RECORDINGS = ("it_maps_simulated", "it_maps_textures_simulated")
BUMPS = (0.0, 0.5, 1.0, 2.0)
SEEDS = 5
BUMP_DEGREES = 3.0
"""Standard deviation of the bump."""
COLUMNS = ("raw", "ceiling", "score", "unique", "given", "without", "p")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(EMBEDDED))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--recordings", nargs="*", default=list(RECORDINGS))
    parser.add_argument("--bumps", nargs="*", type=float, default=list(BUMPS))
    arguments = parser.parse_args()
    started = time.perf_counter()
    print("SIMULATED recordings, no animal was recorded")
    print(
        "unique, given, without: what a model adds to the controls, its score given them, and its score when the mean"
    )
    print("map of the training images is subtracted; p: of pairings with the maps of other images")
    for name in arguments.recordings:
        for bump in arguments.bumps:
            print_table(with_bump(load_recording(name), bump), bump, arguments.models, arguments.seeds)
    print(f"{time.perf_counter() - started:.0f} s")


def with_bump(recording, bump):
    """Add a bump in the centre to every map, of so many standard deviations of the site over the positions."""
    distance = np.hypot(recording.grid.y[:, None], recording.grid.x)
    centre = np.exp(-(distance**2) / (2 * BUMP_DEGREES**2))
    centre = (centre - centre.mean()) / centre.std()
    spread = recording.maps.std(axis=(1, 2)).mean(axis=0)  # (site,)
    added = bump * centre[..., None] * spread
    repeats = recording.repeats
    return replace(
        recording,
        identifier=f"{recording.identifier}-bump{bump:g}",
        maps=recording.maps + added,
        repeats=None if repeats is None else repeats + added,
    )


def print_table(recording, bump, models, seeds):
    """Print the row of each model, of its random weights, and of each control."""
    print(f"\n{recording.identifier}: bump of {bump:g} sd")
    print(f"{'':34}" + "".join(f"{column:>9}" for column in COLUMNS) + "  controls")
    for model in models:
        trained = score(model, recording)
        print_row(model, trained)
        for seed in range(seeds):
            print_row(f"  random weights, seed {seed}", score(model, recording, weights="random", seed=seed))
    for name, control in trained.controls.items():
        print(
            f"control {name:26}" + "".join(f"{value:9.3f}" for value in (control.raw, control.ceiling, control.score))
        )


def print_row(name, result):
    """Print the numbers of a result, and what its controls say about it."""
    added = [estimate.score for estimate in result.added.values()]
    values = [result.raw, result.ceiling, result.score, *added, result.p_value]
    print(
        f"{name:34}"
        + "".join(f"{value:9.3f}" for value in values[:-1])
        + f"{values[-1]:9.4f}  {verdict_on_controls(result)}",
        flush=True,
    )


if __name__ == "__main__":
    main()
