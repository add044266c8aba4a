"""Measure time and peak memory of a score on SIMULATED maps of many sites, or of many positions.

Both recordings have 14 images and no repeats: 2,000 sites at 17 x 17 positions, and 32 sites at 60 x 60 positions. The
features have 768 channels at every position. Times include noise ceiling, intervals and controls.

Run: python benchmarks/large_recordings.py [names of cases]
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

from brainscore_itmaps import Recording, score_features

CASES = {"sites": (17, 2000), "positions": (60, 32)}  # positions along a side, sites
IMAGES, CHANNELS, SIGNALS = 14, 768, 40


def measure(case: str) -> None:
    """Score features of one case in this process."""
    side, sites = CASES[case]
    rng = np.random.default_rng(0)
    place = np.linspace(-1, 1, side)
    waves = np.stack([np.cos(np.pi * (1 + k / 8) * place) for k in range(8)])  # smooth along both axes
    signals = np.einsum("ay,bx,iabs->iyxs", waves, waves, rng.normal(size=(IMAGES, 8, 8, SIGNALS)), optimize=True)
    maps = signals @ rng.normal(size=(SIGNALS, sites)) / 8
    maps += rng.normal(size=maps.shape)
    features = np.maximum(signals @ rng.normal(size=(SIGNALS, CHANNELS)) / 8 + rng.normal(size=CHANNELS), 0)
    features += 0.3 * rng.normal(size=features.shape)
    images = rng.integers(0, 256, size=(IMAGES, 64, 64, 3), dtype=np.uint8)
    recording = Recording.from_arrays(
        maps, images, identifier=f"many_{case}_simulated", window=(50, 150), simulated=True
    )
    start = time.perf_counter()
    result = score_features(features.astype(np.float32), recording)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{side} x {side} positions, {sites} sites: {seconds:.0f} s, peak {peak:.1f} GB; {result!r}")


if __name__ == "__main__":
    if "ITMAPS_HOME_OF_CASE" in os.environ:
        warnings.simplefilter("ignore")
        measure(sys.argv[1])
    else:
        for case in sys.argv[1:] or CASES:
            with tempfile.TemporaryDirectory() as folder:
                homes = {"BRAINIO_HOME": f"{folder}/brainio", "ITMAPS_HOME": folder, "ITMAPS_HOME_OF_CASE": folder}
                subprocess.run([sys.executable, __file__, case], check=True, env=os.environ | homes)
