"""The simulated stand-in has the layout of the archive, says that it is simulated, and follows the measured facts."""

import zipfile

import numpy as np
import pytest
from scipy.io import loadmat

from brainscore_itmaps import load_recording
from brainscore_itmaps.data import stand_in as module
from brainscore_itmaps.data.stand_in import write_stand_in
from brainscore_itmaps.errors import DataError

pytestmark = pytest.mark.usefixtures("own_home")


def test_layout_names_and_types_equal_those_of_the_archive(stand_in, unpacked):
    with zipfile.ZipFile(stand_in) as archive:
        names = archive.namelist()
        assert b"SIMULATED. No animal was recorded" in archive.read("Arcaro2020/README.txt")
    assert sum(name.startswith("Arcaro2020/George/natural_test/img_") for name in names) == 14
    assert sum(name.startswith("Arcaro2020/Red/red_naturalface/img_") for name in names) == 14
    for file, shape in (
        ("George/george_060118_data.mat", (17, 17, 20, 63, 14)),
        ("Red/red_062419_data.mat", (9, 9, 20, 32, 14)),
    ):
        loaded = loadmat(unpacked / "Arcaro2020" / file)
        assert loaded["imageRF"].shape == shape
        assert loaded["imageRF"].dtype == np.float32
        assert loaded["UniqueNames"].shape == (1, 14)
        assert loaded["UniqueNames"][0][3][0].startswith("C:\\data\\stim\\img_")
        assert loaded["SIMULATED"] == 1
        assert b"SIMULATED" in loaded["__header__"]


def test_only_the_same_seed_gives_the_same_bytes(stand_in, tmp_path):
    assert write_stand_in(tmp_path / "again.zip", seed=1, duration=20).read_bytes() == stand_in.read_bytes()
    assert write_stand_in(tmp_path / "other.zip", seed=2, duration=20).read_bytes() != stand_in.read_bytes()


def test_empty_channels_and_bare_names_are_options(tmp_path):
    archive = write_stand_in(tmp_path / "a.zip", duration=2, names="{}", empty_channels=(31,))
    assert load_recording("monkey2_ML", (0, 2), archive).dropped == ("monkey2_ML-ch32",)
    assert load_recording("monkey1_PL", (0, 2), archive).dropped == ("monkey1_PL-ch32",)
    with pytest.raises(DataError):
        load_recording("monkey1_PL", (0, 3), archive)


@pytest.mark.parametrize("name", ["monkey1_PL", "monkey1_ML", "monkey2_ML"])
@pytest.mark.slow
def test_maps_of_sites_are_as_similar_as_those_of_recorded_sites(long_stand_in, name):
    recording = load_recording(name, source=long_stand_in)
    pairs, rest = [], []
    for maps in recording.maps.reshape(14, -1, len(recording.sites)):
        r = np.corrcoef(maps.T)
        pairs.append(r[np.triu_indices(len(r), 1)].mean())
        rest += [np.corrcoef(maps[:, s], np.delete(maps, s, 1).mean(1))[0, 1] for s in range(maps.shape[1])]
    assert 0.55 <= np.mean(pairs) <= 0.75
    assert abs(np.mean(rest) - 0.73) < 0.1  # eLife: .73 with a standard deviation of .10 and more


@pytest.mark.parametrize(
    ("name", "peak", "at", "object_peak"),
    [("monkey1_PL", 154, 84, 75), ("monkey1_ML", 60, 157, -18), ("monkey2_ML", 102, 186, 34)],
)
@pytest.mark.slow
def test_responses_to_faces_have_the_measured_latency_and_size_and_exceed_those_to_objects(
    long_stand_in, tmp_path, name, peak, at, object_peak
):
    with zipfile.ZipFile(long_stand_in) as archive:
        archive.extractall(tmp_path)
    array = module.ARRAYS[name]
    (file,) = tmp_path.rglob(array.mat)
    responses = loadmat(file)["imageRF"][::-1, ::-1, :, array.sites].mean(
        axis=3
    )  # (y, x, time, image), laid over images
    rng = np.random.default_rng([0, int(name[6]) - 1])
    _, faces, objects = module._draw_scenes(rng)
    courses = []
    for masks in (faces, objects):
        seen = module._filter(masks, 2.2, array.positions)  # (image, y, x)
        best = [np.unravel_index(one.argmax(), one.shape) for one in seen]
        courses.append(np.mean([responses[y, x, :, image] for image, (y, x) in enumerate(best)], axis=0))
    face, other = courses
    start, stop = array.windows["elife"]
    assert abs(face.argmax() - at) < 15
    assert abs(face.max() - peak) < 0.3 * peak
    assert abs(other[at - 5 : at + 5].mean() - object_peak) < 0.35 * peak
    assert face[start:stop].mean() > other[start:stop].mean() + 0.2 * peak
    assert abs(face[: int(module.COURSES[name][0].rise / 3)].mean()) < 0.15 * peak
