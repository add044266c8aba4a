"""Measure time and memory of the conversion of each harmonized model, each in a separate process.

The Keras files are written by this script, in the published layouts, with made-up weights. Run from the checkout:
``python benchmarks/conversion.py``.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELPERS = Path(__file__).parents[1] / "tests" / "helpers"
FILES = {
    "harmonized_resnet50": "resnet50",
    "harmonized_vgg16": "vgg16",
    "harmonized_efficientnet_b0": "efficientnetB0",
    "harmonized_vit_b16": "vit-b16",
    "harmonized_convnext_tiny": "convnext_tiny",
    "harmonized_maxvit_tiny": "maxvit_tiny",
    "harmonized_levit_128": "levit_small",
}


def measure(name: str, file: str) -> None:
    """Convert and load one model, and print time and memory."""
    import timm  # noqa: F401  imported before time is measured

    from brainscore_itmaps.models.load import load_model
    from brainscore_itmaps.models.weights import fetch_weights
    from brainscore_itmaps.models.zoo import ZOO

    before = peak()
    start = time.perf_counter()
    fetch_weights(ZOO[name], Path(file))
    converted = time.perf_counter() - start
    highest = peak()
    start = time.perf_counter()
    load_model(name)
    loaded = time.perf_counter() - start
    size = Path(file).stat().st_size / 1e6
    print(
        f"{name:<28}{size:>8.0f}{converted:>12.1f}{highest - before:>14.0f}{highest:>10.0f}{loaded:>10.1f}", flush=True
    )


def peak() -> float:
    """Return the highest memory use of this process, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    sys.path.insert(0, str(HELPERS))
    from keras_files import layout, write_keras

    print(f"{'model':<28}{'file MB':>8}{'convert s':>12}{'more peak MB':>14}{'peak MB':>10}{'load s':>10}", flush=True)
    for name, layout_name in FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = write_keras(Path(folder) / f"{layout_name}.h5", layout(layout_name))
            command = [sys.executable, __file__, name, str(file)]
            subprocess.run(command, check=True, env=os.environ | {"ITMAPS_HOME": folder})


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) == 3 else main()
