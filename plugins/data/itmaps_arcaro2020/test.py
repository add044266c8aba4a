import pytest
from brainscore_vision import load_dataset

from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.errors import DataError


@pytest.mark.parametrize("array", ["monkey1_PL", "monkey1_ML", "monkey2_ML"])
def test_offline_mode_without_the_recordings_gives_an_error(array, monkeypatch, tmp_path):
    """Contents of the arrays are tested on simulated stand-ins, because the recordings need a download."""
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    attach()
    with pytest.raises(DataError, match="offline mode forbids"):
        load_dataset(f"Arcaro2020.{array}")
