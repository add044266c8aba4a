import pytest
from brainscore_vision import load_dataset, load_stimulus_set

from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.errors import DataError


@pytest.mark.parametrize("recording", ["OSIE.gaze", "OSIE.gaze700"])
def test_offline_mode_without_the_files_gives_an_error(recording, monkeypatch, tmp_path):
    """Contents are tested on made-up files of the same form, because the files need a download."""
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    attach()
    with pytest.raises(DataError, match="offline mode forbids"):
        load_dataset(recording)
    with pytest.raises(DataError, match="offline mode forbids"):
        load_stimulus_set(f"{recording}.stimuli")
