"""Measure time and peak memory of a score on SIMULATED maps of 700 images, which are flips and crops of 100 images.

The grid has 17 x 17 positions, and the array 30 sites without repeats. The two layers of the model have 112 and 1,152
channels, at fewer units than the grid has positions; the arrays of the last line have 1,152 channels at every position.
Times include the features of the model, the noise ceiling and the interval, and in the lines that say so the controls.

Run: python benchmarks/many_images.py [threads]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from brainscore_itmaps import Recording

SOURCES, SIZE, CROP, POSITIONS, SITES = 100, 256, 200, 17, 30
SCORE = """
import resource, sys, time
import numpy as np
from brainscore_itmaps import Recording, load_model, score, score_features
recording, layer, controls = Recording.load(sys.argv[1]), sys.argv[2], sys.argv[3] == "with controls"
start = time.perf_counter()
if layer == "arrays":
    shape = (*recording.maps.shape[:3], 1152)
    result = score_features(np.random.default_rng(0).standard_normal(shape, np.float32), recording, controls=controls)
else:
    result = score(load_model("efficientnet_lite0"), recording, [layer], controls=controls)
seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
print(f"{layer}, {sys.argv[3]}: {seconds:.0f} s, peak {peak:.1f} GB; {result!r}")
print(f"  {result.arrays[0].folds}; {result.estimate.about_interval}")
"""


def simulated_images(rng: np.random.Generator) -> np.ndarray:
    """Draw smooth images, and flip and crop them: seven of each, shape (image, y, x, 3)."""
    noise = rng.normal(size=(SOURCES, SIZE, SIZE, 3))
    smooth = sum(gaussian_filter(noise, (0, width, width, 0)) * width for width in (2, 8, 24))
    drawn = np.clip(128 + 60 * smooth, 0, 255).astype(np.uint8)
    corners = ((0, 0), (0, SIZE - CROP), (SIZE - CROP, 0), (SIZE - CROP, SIZE - CROP))
    crops = [drawn[:, y : y + CROP, x : x + CROP].repeat(2, axis=1)[:, :SIZE].repeat(2, axis=2)[:, :, :SIZE]
             for y, x in corners]  # fmt: skip
    return np.concatenate([drawn, drawn[:, ::-1], drawn[:, :, ::-1], *crops])


def simulated_maps(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Mix local colours and their gradients into maps, and add noise; shape (image, y, x, site)."""
    small = np.stack([np.asarray(Image.fromarray(image).resize((POSITIONS, POSITIONS))) for image in images]) / 255.0
    gradients = [np.abs(np.gradient(small, axis=axis)) for axis in (1, 2)]
    signals = np.concatenate([small, *gradients], axis=-1)
    signals = (signals - signals.mean(axis=(0, 1, 2))) / signals.std(axis=(0, 1, 2))
    maps = signals @ rng.normal(size=(signals.shape[-1], SITES))
    return maps + 2 * rng.normal(size=maps.shape)


if __name__ == "__main__":
    threads = {"OMP_NUM_THREADS": sys.argv[1]} if len(sys.argv) > 1 else {}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"BRAINIO_HOME": f"{folder}/brainio"} | threads
        images = simulated_images(rng)
        recording = Recording.from_arrays(
            simulated_maps(rng, images), images, identifier="many_images_simulated", window=(50, 150), simulated=True
        )
        saved = str(recording.save(Path(folder) / "recording"))
        for controls in ("without controls", "with controls"):
            for layer in ("blocks.4", "blocks.5.1.conv_pw", "arrays"):  # in new processes: peak memory is inherited
                home = {"ITMAPS_HOME": f"{folder}/{layer} {controls}"}  # nothing is cached
                command = [sys.executable, "-c", SCORE, saved, layer, controls]
                subprocess.run(command, check=True, env=os.environ | home)
