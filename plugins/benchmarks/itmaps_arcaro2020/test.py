import pytest
from brainscore_vision import load_benchmark

from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.errors import DataError


@pytest.mark.parametrize(
    ("identifier", "version"),
    [("it_maps", 2), ("it_maps_alignment", 2), ("it_maps_transfer", 1), ("Arcaro2020.monkey2_ML-pls", 2)],
)
def test_offline_mode_without_the_recordings_gives_an_error(identifier, version, monkeypatch, tmp_path):
    """Scores are tested on simulated stand-ins, because the recordings need a download."""
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    attach()
    benchmark = load_benchmark(identifier)
    assert (benchmark.identifier, benchmark.version, benchmark.parent) == (identifier, version, "IT")
    with pytest.raises(DataError, match="offline mode forbids"):
        _ = benchmark.ceiling
