from brainscore_vision import load_dataset, load_stimulus_set
from brainscore_vision.benchmark_helpers import check_standard_format

from brainscore_itmaps.bridge.plugins import attach


def test_images_and_maps_belong_together():
    attach()
    stimuli, data = load_stimulus_set("it_maps_simulated.stimuli"), load_dataset("it_maps_simulated")
    check_standard_format(data)
    assert len(stimuli) == 14
    assert set(data["image_id"].values) == set(stimuli["stimulus_id"])
    assert data.shape == (14 * 17 * 17, 32, 1)
    assert data.attrs["simulated"]
