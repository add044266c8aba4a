"""Where people look: densities of fixations against brute force, and files that are not OSIE's."""

import re

import numpy as np
import pytest
from gaze import pinned, write_gaze
from scipy.io import savemat
from scipy.stats import multivariate_normal

from brainscore_itmaps import load_recording, score
from brainscore_itmaps.data import osie
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_home")
IMAGES = 6


@pytest.fixture
def files(tmp_path, rng, monkeypatch):
    """A made-up data set of six images, which stands for the first hundred."""
    folder = write_gaze(tmp_path / "osie", IMAGES, rng)
    monkeypatch.setattr(osie, "MANIFEST", pinned(folder))
    monkeypatch.setitem(osie.RECORDINGS, "OSIE.gaze", IMAGES)
    return folder


@pytest.fixture
def fetched(files):
    osie.fetch_osie(IMAGES, folder=files)
    return files


def test_the_manifest_pins_the_fixations_and_700_images():
    paths = [file.path for file in osie.MANIFEST]
    assert paths[0] == "data/eye/fixations.mat"
    assert paths[1:] == [f"data/stimuli/{number}.jpg" for number in range(1001, 1701)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in osie.MANIFEST)
    assert 8.2e6 < sum(file.size for file in osie.files_of(100)) < 8.4e6
    assert osie.MANIFEST[0].address() == (
        "https://raw.githubusercontent.com/NUS-VIP/predicting-human-gaze-beyond-pixels/"
        "4a467890fcb40a2fec04cdded552760942bac7a4/data/eye/fixations.mat"
    )


def test_a_density_is_the_sum_of_gaussians_around_all_fixations_but_the_first(rng):
    fixations = rng.uniform(0, 1, (8, 2)) * osie.PIXELS
    grid = Grid.even((5, 7), osie.EXTENT)
    degrees = [(y / 600 * 25.3 - 12.65, x / 800 * 33.7 - 16.85) for y, x in fixations[1:]]
    positions = np.stack(np.meshgrid(grid.y, grid.x, indexing="ij"), axis=-1)
    expected = sum(multivariate_normal(mean).pdf(positions) for mean in degrees)
    np.testing.assert_allclose(osie.gaze_density(fixations, grid), expected, rtol=1e-10)
    assert not osie.gaze_density(fixations[:1], grid).any()


def test_the_integral_of_a_density_is_the_number_of_fixations():
    fine = Grid.even((254, 338), osie.EXTENT)
    step = np.diff(fine.y)[0] * np.diff(fine.x)[0]
    centre = np.array([[300, 400]] * 4)  # far from the edges
    assert osie.gaze_density(centre, fine).sum() * step == pytest.approx(3, rel=1e-6)


def test_viewers_are_repeats_of_one_site_in_the_geometry_of_the_screen(tmp_path, rng):
    where = np.array([400.0, 650.0, 650.0]), np.array([300.0, 100.0, 100.0])  # x, y: above and to the right
    folder = write_gaze(tmp_path / "osie", 3, rng, fixations=where)
    images = sorted((folder / "data/stimuli").iterdir())
    recording = osie.read_gaze(folder / "data/eye/fixations.mat", images, "OSIE.gaze")
    assert recording.repeats.shape == (3, 15, 13, 17, 1)
    assert (recording.sites, recording.area, recording.window) == (("gaze",), "gaze", (0, 3000))
    assert (recording.simulated, recording.stretched, recording.outside) == (False, False, False)
    assert recording.grid.extent == (25.3, 33.7)
    peak = np.unravel_index(recording.maps[1, ..., 0].argmax(), (13, 17))
    assert peak == (2, 13)  # 100 and 650 pixels, 50 pixels a step
    assert recording.grid.y[2] < 0 < recording.grid.x[13]
    np.testing.assert_allclose(recording.maps, recording.repeats.mean(axis=1))


def test_a_recording_is_loaded_by_name_and_has_the_same_hash_every_time(fetched):
    recording = load_recording("OSIE.gaze")
    assert recording.maps.shape == (IMAGES, 13, 17, 1)
    assert recording.names == tuple(str(1001 + number) for number in range(IMAGES))
    assert load_recording("OSIE.gaze", (0, 3000)).sha256 == recording.sha256
    assert load_recording("OSIE.gaze", source=fetched).sha256 == recording.sha256


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": (0, 1000)}, "has one window, 0-3000 ms. Leave out the window."),
        ({"window": "elife"}, "has one window, 0-3000 ms. Leave out the window."),
        ({"orientation": "flip_y"}, "has one orientation. Leave out the orientation."),
        ({"protocol": "published"}, "was not published with a loader of its own. Leave out the protocol."),
    ],
)
def test_windows_orientations_and_other_loaders_are_refused(fetched, options, said):
    with pytest.raises(UsageError) as refused:
        load_recording("OSIE.gaze", **options)
    assert str(refused.value) == f"OSIE.gaze {said}"


def test_a_source_without_all_files_is_refused_by_name(files, tmp_path):
    (files / "data/stimuli/1003.jpg").unlink()
    (files / "data/stimuli/1005.jpg").write_bytes(b"another image")
    with pytest.raises(DataError, match=r"2 of 7 files of OSIE .*: 1003.jpg, 1005.jpg"):
        load_recording("OSIE.gaze", source=files)


def test_a_file_that_changes_after_the_download_is_never_read(fetched, monkeypatch):
    image = osie.osie_folder() / "data/stimuli/1002.jpg"
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    with pytest.raises(DataError, match=r"offline mode forbids downloading them: 1002\.jpg"):
        load_recording("OSIE.gaze")


def test_clean_removes_the_files_and_their_copies_for_brain_score_but_no_recording_of_another_name(fetched):
    from brainscore_itmaps.bridge.benchmark import get_stimulus_set
    from brainscore_itmaps.data.images import copy_to_brainio_home
    from brainscore_itmaps.data.load import list_stored_files, remove_stored_files

    copies = {path.parent for path in get_stimulus_set("OSIE.gaze").stimulus_paths.values()}
    (mine,) = copy_to_brainio_home([fetched / "data/stimuli/1001.jpg"], "OSIE.mylab")
    assert {path for path, _ in list_stored_files()["images"]} == copies
    remove_stored_files()
    assert all(folder.exists() for folder in copies)
    remove_stored_files(everything=True)
    assert not any(folder.exists() for folder in (*copies, osie.osie_folder()))
    assert mine.exists()


@pytest.mark.parametrize("images", [0, 99, 101, 5000])
def test_another_number_of_images_is_refused(images):
    with pytest.raises(UsageError, match=r"OSIE.gaze 100, OSIE.gaze700 700"):
        osie.fetch_osie(images)


@pytest.mark.parametrize(
    "variables",
    [
        {"other": 1},
        {"fixations": np.zeros((3, 1))},
        {"fixations": "text"},
        {"fixations": np.array([[{"img": "1001.jpg"}]], dtype=object)},
        {"fixations": np.array([[{"img": "1001.jpg", "subjects": np.zeros(15)}]], dtype=object)},
    ],
)
def test_another_mat_file_is_refused_in_a_sentence(tmp_path, variables):
    savemat(tmp_path / "fixations.mat", variables)
    with pytest.raises(DataError, match="is not the file of fixations of OSIE"):
        osie.read_fixations(tmp_path / "fixations.mat")


def test_bytes_that_are_no_mat_file_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "fixations.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(500))
    with pytest.raises(DataError, match="is not the file of fixations of OSIE"):
        osie.read_fixations(tmp_path / "fixations.mat")


def test_a_score_says_that_it_is_about_gaze_and_brain_score_lists_it_under_behavior(fetched):
    from brainscore_itmaps.bridge.benchmark import get_assembly, get_benchmark, get_stimulus_set, to_score

    result = score("timm:test_resnet", "OSIE.gaze-pls", "layer3", weights="random", controls=False)
    assert "OSIE.gaze: where people look; the score says nothing about IT" in result.notes
    assert (result.arrays[0].window, result.simulated, len(result.arrays[0].images)) == ((0, 3000), False, IMAGES)
    assert set(to_score(result).attrs["raw"].attrs["raw"]["region"].values) == {"gaze"}
    assert set(get_assembly("OSIE.gaze")["region"].values) == {"gaze"}
    assert get_stimulus_set("OSIE.gaze").identifier.startswith("OSIE.gaze.stimuli--")
    benchmark = get_benchmark("OSIE.gaze-pls")
    assert (benchmark.parent, benchmark.version) == ("behavior", 1)
    assert benchmark.ceiling == pytest.approx(result.ceiling)


def test_brain_score_computes_the_same_number_for_images_that_are_not_square(fetched):
    from brainscore_itmaps import load_model
    from brainscore_itmaps.bridge.benchmark import get_benchmark
    from brainscore_itmaps.bridge.models import brain_model

    model = load_model("timm:test_resnet", "random")
    directly = score(model, "OSIE.gaze-pls", controls=False)
    assert get_benchmark("OSIE.gaze-pls").evaluate(brain_model(model)).raw == pytest.approx(directly.raw, abs=1e-6)


def test_people_who_look_at_the_brightest_tile_are_predicted_from_brightness(fetched):
    """The truth is planted: where in the image alone is worth less than a feature that sees brightness."""
    from brainscore_itmaps import score_features
    from brainscore_itmaps.images import read_image

    recording = load_recording("OSIE.gaze")
    tiles = np.stack(
        [np.asarray(read_image(image).resize((17, 13)), dtype=np.float64).sum(axis=2) for image in recording.images]
    )
    brightest = tiles >= tiles.max(axis=(1, 2), keepdims=True) - 30
    result = score_features(brightest[..., None].astype(float), recording)
    assert result.score > 0.5
    assert result.controls["position"].score < 0.5 * result.score
