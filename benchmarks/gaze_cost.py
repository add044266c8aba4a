"""Measure time and peak memory of OSIE.gaze-pls (100 photographs) for layers of 112 and of 1,152 channels.

Requires `brainscore data fetch osie`. Times include the features of the model, the noise ceiling, the interval and, in
the lines that say so, the controls. Nothing is cached, and each line is a process of its own.

Run: python benchmarks/gaze_cost.py [recording] [threads]
"""

import os
import subprocess
import sys

SCORE = """
import resource, sys, tempfile, time
from pathlib import Path
from brainscore_itmaps import load_model, load_recording, score
from brainscore_itmaps.cache import ResultCache
name, layer, controls = sys.argv[1], sys.argv[2], sys.argv[3] == "with controls"
with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    result = score(load_model("efficientnet_lite0"), name, [layer], controls=controls, cache=ResultCache(Path(folder)))
seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
low, high = result.interval
numbers = f"raw {result.raw:.3f}, ceiling {result.ceiling:.3f}, score {result.score:.3f} ({low:.3f} to {high:.3f})"
print(f"{name}, {layer}, {sys.argv[3]}: {seconds:.0f} s, peak {peak:.1f} GB; {numbers}")
"""

if __name__ == "__main__":
    recording = sys.argv[1] if len(sys.argv) > 1 else "OSIE.gaze"
    threads = {"OMP_NUM_THREADS": sys.argv[2]} if len(sys.argv) > 2 else {}
    for controls in ("without controls", "with controls"):
        for layer in ("blocks.4", "blocks.5.1.conv_pw"):
            command = [sys.executable, "-c", SCORE, f"{recording}-pls", layer, controls]
            subprocess.run(command, check=True, env=os.environ | threads)
