import pytest
from brainscore_vision import load_dataset, load_metric

from brainscore_itmaps.bridge.plugins import attach


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [("itmaps_pls", 0.998), ("itmaps_ridge", 1.0), ("itmaps_alignment", 0.999), ("itmaps_site_ceiling", 0.851)],
)
def test_simulated_maps_predict_themselves_and_each_other(identifier, expected):
    attach()
    maps = load_dataset("it_maps_simulated")
    score = load_metric(identifier)(maps, maps)
    assert float(score) == pytest.approx(expected, abs=0.005)
    assert 0 <= score.attrs["error"] < 0.05
    assert score.attrs["interval"][0] < float(score) < score.attrs["interval"][1]
    assert score.attrs.get("reason", "") == ""
    assert score.attrs["raw"].sizes["image"] == 14
