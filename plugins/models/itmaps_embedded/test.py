import pytest
from brainscore_vision import load_model, load_stimulus_set

from brainscore_itmaps.bridge.plugins import attach


@pytest.mark.parametrize("identifier", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_looks_at_images(identifier):
    attach()
    model, stimuli = load_model(identifier), load_stimulus_set("it_maps_simulated.stimuli")
    assert model.identifier == identifier
    assert model.visual_degrees() == 8
    for region in ("V1", "IT"):
        model.start_recording(region, time_bins=[(70, 170)])
        activity = model.look_at(stimuli)
        assert len(set(activity["neuroid_id"].values)) == activity.sizes["neuroid"]
        assert set(activity["stimulus_id"].values) == set(stimuli["stimulus_id"])
