"""The eLife authors' response maps, read from generated files of that form."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from brainscore_itmaps import load_recording
from brainscore_itmaps.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def variables(rng):
    return {
        "MLcurr_data": rng.normal(size=(17, 17, 8)),
        "PLcurr_data": rng.normal(size=(17, 17, 8)),
        "Expimages": rng.integers(0, 256, (30, 40, 3, 8), dtype=np.uint8),
        "SIMULATED": 1,
    }


@pytest.fixture
def write(variables, tmp_path):
    def write():
        savemat(tmp_path / "Monkey1_Figure1_responsemaps.mat", variables)
        return tmp_path / "Monkey1_Figure1_responsemaps.mat"

    return write


@pytest.mark.parametrize("area", ["ML", "PL"])
def test_maps_are_oriented_as_in_the_authors_script(variables, write, area):
    recording = load_recording(f"monkey1_{area}", source=write())
    assert recording.maps.shape == (8, 17, 17, 1)
    for image in range(8):
        np.testing.assert_array_equal(
            recording.maps[image, :, :, 0], np.flipud(variables[f"{area}curr_data"][:, :, image])
        )
        pixels = np.asarray(Image.open(recording.images[image]))
        np.testing.assert_array_equal(pixels, variables["Expimages"][..., image])
    assert recording.orientation == "flip_y"
    assert recording.window == (100, 250)
    assert recording.sites == (f"monkey1_{area}-population",)
    assert recording.identifier == f"Arcaro2020.monkey1_{area}-population-simulated"


@pytest.mark.parametrize("scale", [1, 255])
def test_images_as_floating_point_numbers(variables, write, scale):
    pixels = variables["Expimages"]
    variables["Expimages"] = pixels / (255 / scale)
    recording = load_recording("monkey1_ML", source=write())
    np.testing.assert_array_equal(np.asarray(Image.open(recording.images[3])), pixels[..., 3])


def test_orientation_is_a_parameter(variables, write):
    recording = load_recording("monkey1_ML", source=write(), orientation="transpose")
    np.testing.assert_array_equal(recording.maps[0, :, :, 0], variables["MLcurr_data"][:, :, 0].T)


def test_other_windows_than_that_of_the_file_are_refused(write):
    with pytest.raises(UsageError, match="means over 100-250 ms only"):
        load_recording("monkey1_ML", (130, 170), write())
    with pytest.raises(UsageError, match="reads no response maps"):
        load_recording("monkey1_ML", source=write(), protocol="published")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("MLcurr_data"), "has no variable MLcurr_data; it has Expimages, PLcurr_data"),
        (lambda v: v.pop("Expimages"), "has no variable Expimages"),
        (lambda v: v.update(MLcurr_data=v["MLcurr_data"][:9, :9]), r"shape \(9, 9, 8\); expected \(17, 17, image\)"),
        (lambda v: v.update(MLcurr_data=v["MLcurr_data"][..., None] * np.ones(5)), r"shape \(17, 17, 8, 5\); expected"),
        (lambda v: v.update(Expimages=v["Expimages"][..., :7]), r"expected \(height, width, 3, 8\)"),
        (lambda v: v.update(Expimages=v["Expimages"] * 2.0), "outside 0 to 255"),
        (lambda v: v.update(Expimages=v["Expimages"].astype(np.int16)), "has type int16"),
        (lambda v: v["MLcurr_data"].__setitem__((3, 4, 5), np.nan), "monkey1_ML-population on image"),
    ],
)
def test_files_of_another_form_are_refused(variables, write, change, message):
    change(variables)
    with pytest.raises(DataError, match=message):
        load_recording("monkey1_ML", source=write())
