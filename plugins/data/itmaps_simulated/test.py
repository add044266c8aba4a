import pytest
from brainscore_vision import load_dataset, load_stimulus_set
from brainscore_vision.benchmark_helpers import check_standard_format

from brainscore_itmaps.bridge.plugins import attach


@pytest.mark.parametrize("identifier", ["it_maps_simulated", "it_maps_textures_simulated"])
def test_images_and_maps_belong_together(identifier):
    attach()
    stimuli, data = load_stimulus_set(f"{identifier}.stimuli"), load_dataset(identifier)
    check_standard_format(data)
    assert len(stimuli) == 14
    assert set(data["image_id"].values) == set(stimuli["stimulus_id"])
    assert data.shape == (14 * 17 * 17, 32, 1)
    assert data.attrs["simulated"]
