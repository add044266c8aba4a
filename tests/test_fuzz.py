import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import READERS

from brainscore_itmaps.errors import ItMapsError

MUTANTS = 150


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name, own_home, tmp_path):
    """Each ends in a value or in an error of ours; where files have hashes, the value is the one that was written."""
    script = Path(__file__).parent / "helpers" / "fuzz.py"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", script, str(MUTANTS), "0", name],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"FUZZ_KEPT": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    ended = dict(re.findall(r"(error of ours|read) (\d+)", done.stdout))
    assert sum(map(int, ended.values())) == MUTANTS
    if name not in ("compared_result", "cache_entry"):  # these name the file, or compute the entry again
        assert int(ended["error of ours"]) > MUTANTS / 10


def test_a_fault_that_is_found_fails(monkeypatch):
    """The fuzzer itself: another value, and another kind of error, are counted."""
    import fuzz

    values = iter([1.0, *[2.0] * 50])
    monkeypatch.setitem(READERS, "changed", lambda folder: fuzz.Target([written(folder)], lambda: next(values), True))
    assert fuzz.fuzz("changed", 4, 0) == {"ANOTHER VALUE": 4}
    monkeypatch.setitem(READERS, "raises", lambda folder: fuzz.Target([written(folder)], lambda file: 1 / 0))
    assert fuzz.fuzz("raises", 4, 0) == {"ZERODIVISIONERROR": 4}
    monkeypatch.setitem(READERS, "ours", lambda folder: fuzz.Target([written(folder)], refuse))
    assert fuzz.fuzz("ours", 4, 0) == {"error of ours": 4}


def refuse(file):
    raise ItMapsError("It is damaged.", "Write it again.")


def written(folder):
    file = folder / "it.json"
    file.write_text('{"score": 0.5}')
    return file
