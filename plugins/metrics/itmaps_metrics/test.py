import pytest
from brainscore_vision import load_dataset, load_metric

from brainscore_itmaps.bridge.plugins import attach


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [("itmaps_pls", 0.995), ("itmaps_ridge", 0.995), ("itmaps_alignment", 0.995), ("itmaps_site_ceiling", 0.842)],
)
def test_simulated_maps_predict_themselves_and_each_other(identifier, expected):
    attach()
    maps = load_dataset("it_maps_simulated")
    score = load_metric(identifier)(maps, maps)
    assert float(score) == pytest.approx(expected, abs=0.01)
    assert 0 <= score.attrs["error"] < 0.05
    assert score.attrs["raw"].sizes["image"] == 14
