import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_thousand_damaged_files_give_a_recording_or_an_error_of_this_package(own_home, tmp_path):
    script = Path(__file__).parents[1] / "helpers" / "fuzz_recordings.py"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", script, "1000", "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    ended = re.findall(r"^(.*): (.*): (\d+)$", done.stdout, flags=re.MULTILINE)
    assert sum(int(times) for *_, times in ended) == 1000
    assert {how for _, how, _ in ended} == {"DataError", "a recording"}
    assert {kind for kind, *_ in ended} == {"compressed", "plain", "hdf5", "zip of compressed", "zip of plain"}
