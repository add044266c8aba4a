"""Measure time and peak memory of reading one array of a full-size SIMULATED file.

The file has float32 values of shape 17 x 17 x 400 x 63 x 14 (408 MB).

Run: python benchmarks/recording_memory.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

WRITE = """
import sys
from pathlib import Path
from brainscore_itmaps.data.stand_in import write_stand_in
write_stand_in(Path(sys.argv[1]), duration=400)
"""
READ = """
import resource, sys, time
from brainscore_itmaps import load_recording
start = time.perf_counter()
recording = load_recording(sys.argv[1], source=sys.argv[2])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
print(f"{recording.identifier}: {recording.maps.shape}, {time.perf_counter() - start:.1f} s, peak {peak:.2f} GB")
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "full.zip")
        subprocess.run(
            [sys.executable, "-c", WRITE, archive], check=True
        )  # in a new process, because peak memory is inherited
        home = {"ITMAPS_HOME": folder, "BRAINIO_HOME": f"{folder}/brainio"}
        for array in ("monkey1_PL", "monkey1_ML", "monkey2_ML"):
            subprocess.run([sys.executable, "-c", READ, array, archive], check=True, env=os.environ | home)
