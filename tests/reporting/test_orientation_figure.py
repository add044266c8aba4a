import numpy as np
import pytest

from brainscore_itmaps import load_recording
from brainscore_itmaps.data.grid import ORIENTATIONS, orient_maps, unorient_maps
from brainscore_itmaps.reporting.maps import orientation_figure


@pytest.fixture
def recording(stand_in, own_home):
    return load_recording("monkey2_ML", (0, 20), stand_in)


def test_every_row_shows_its_orientation_where_the_positions_lie(recording):
    figure = orientation_figure(recording, shown=[0, 5, 13])
    axes = np.array(figure.axes[:24]).reshape(8, 3)
    raw = unorient_maps(recording.maps.mean(axis=-1, keepdims=True), "flip_both")
    for row, name in zip(axes, ORIENTATIONS, strict=True):
        assert row[0].get_ylabel().startswith(name)
        for axis, image in zip(row, [0, 5, 13], strict=True):
            image_file, drawn = axis.images
            np.testing.assert_allclose(drawn.get_array(), orient_maps(raw, name)[image, ..., 0])
            assert image_file.get_extent() == [-8, 8, 8, -8]
            assert drawn.get_extent() == [-9, 9, 9, -9]  # 9 points 2 degrees apart: each stands in the middle of 2
            assert drawn.get_clim() == pytest.approx(tuple(np.percentile(raw[image], [0.5, 99.5])))


def test_the_present_orientation_is_marked_and_a_simulation_said_to_be_one(recording):
    figure = orientation_figure(recording, shown=[0])
    marked = [axis.get_ylabel() for axis in figure.axes if "(now)" in axis.get_ylabel()]
    assert marked == ["flip_both\n(now)"]
    assert "SIMULATED" in figure.get_suptitle()
