import pytest
from brainscore_vision import load_benchmark

from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.errors import DataError


@pytest.mark.parametrize(
    "identifier", ["OSIE.gaze-pls", "OSIE.gaze-alignment", "OSIE.gaze700-pls", "OSIE.gaze700-alignment"]
)
def test_offline_mode_without_the_files_gives_an_error(identifier, monkeypatch, tmp_path):
    """Scores are tested on made-up files of the same form, because the files need a download."""
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    attach()
    benchmark = load_benchmark(identifier)
    assert (benchmark.identifier, benchmark.version, benchmark.parent) == (identifier, 1, "behavior")
    with pytest.raises(DataError, match="offline mode forbids"):
        _ = benchmark.ceiling
