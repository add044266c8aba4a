"""Recordings built from arrays and saved as folders, and the problems of invalid folders."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from recordings import assert_same

from brainscore_itmaps.bridge.names import check_names
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording, check_folder, constant_maps
from brainscore_itmaps.errors import DataError, InstallationError, UsageError
from brainscore_itmaps.files import sha256

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def recording(images, rng):
    return Recording.from_arrays(
        None,
        images,
        identifier="somelab.simulated",
        window=(70, 170),
        repeats=rng.normal(size=(6, 2, 4, 5, 3)),
        sites=["a", "b", "c"],
        subject="nobody",
        area="TE",
        citation="nobody (2026)",
        simulated=True,
    )


def test_a_saved_recording_is_loaded_unchanged(recording, tmp_path):
    folder = recording.save(tmp_path / "deep" / "mine")
    assert_same(Recording.load(folder), recording)
    assert sorted(file.name for file in folder.iterdir()) == ["images", "maps.npz", "recording.json"]
    with pytest.raises(InstallationError, match="already exists"):
        recording.save(folder)
    assert_same(Recording.load(shutil.move(folder, tmp_path / "moved")), recording)


def test_a_folder_with_the_former_name_of_images_is_loaded(recording, tmp_path):
    folder = recording.save(tmp_path / "mine")
    (folder / "images").rename(folder / "pictures")
    about = json.loads((folder / "recording.json").read_text())
    about["pictures"] = about.pop("images")
    (folder / "recording.json").write_text(json.dumps(about))
    assert_same(Recording.load(folder), recording)
    (folder / "pictures" / recording.images[2].name).unlink()
    with pytest.raises(DataError, match=r"The image pictures/image-2\.png is missing"):
        Recording.load(folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    maps=arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.just(6), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3)),
        elements=st.floats(-(2.0**90), 2.0**90, width=32),
    ),
    name=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() and text.strip()),
    start=st.integers(-100, 100),
)
def test_any_maps_and_names_survive_saving(maps, name, start, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "it"
    original = Recording.from_arrays(maps, images, identifier=name, window=(start, start + 10))
    assert original.maps.dtype == np.float64
    assert_same(Recording.load(original.save(folder)), original)


def test_image_arrays_are_written_to_brain_scores_folder_of_images(rng, tmp_path):
    pixels = rng.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    made = Recording.from_arrays(rng.normal(size=(3, 2, 2, 1)), pixels, identifier="my.lab", window=(0, 9))
    assert all(file.is_relative_to(tmp_path / "brainio") for file in made.images)
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(file)) for file in made.images]), pixels)
    with pytest.raises(DataError, match="the images are float64"):
        Recording.from_arrays(made.maps, pixels / 255, identifier="my.lab", window=(0, 9))
    with pytest.raises(DataError, match=r"1 image\(s\) are missing"):
        Recording.from_arrays(made.maps, [*made.images[:2], tmp_path / "no.png"], identifier="my.lab", window=(0, 9))
    with pytest.raises(DataError, match="maps have 3 axes"):
        Recording.from_arrays(made.maps[0], pixels, identifier="my.lab", window=(0, 9))


@pytest.mark.parametrize(
    ("values", "window", "message"),
    [
        ([[1.0], [2.0, 3.0]], (0, 9), "not one array"),
        (np.ones((6, 2, 2, 1)) * 1j, (0, 9), "the maps have type complex128"),
        (np.ones((6, 2, 2, 1)), (9, 0), "the window is"),
        (np.ones((6, 2, 2, 1)), (0.5, 9), r"\(0\.5, 9\) is not a window"),
        (np.ones((6, 2, 2, 1)), (1, 2, 3), "is not a window"),
        (np.ones((6, 2, 2, 1)), "soon", "is not a window"),
    ],
)
def test_invalid_arrays_and_windows_are_refused(images, values, window, message):
    with pytest.raises((DataError, UsageError), match=message):
        Recording.from_arrays(values, images, identifier="x", window=window)


def test_numpy_integers_are_valid_windows(images, tmp_path):
    window = (np.int64(3), np.int32(9))
    made = Recording.from_arrays(np.ones((6, 2, 2, 1)), images, identifier="x", window=window)
    assert Recording.load(made.save(tmp_path / "it")).window == (3, 9)


def test_a_changed_image_file_is_written_again(rng):
    pixels = rng.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    for content in (b"none", None):
        made = Recording.from_arrays(np.ones((3, 2, 2, 1)), pixels, identifier="x", window=(0, 9))
        np.testing.assert_array_equal(np.asarray(Image.open(made.images[1])), pixels[1])
        if content:
            made.images[1].write_bytes(content)


def test_saving_with_a_missing_image_is_an_error(recording, tmp_path):
    recording.images[3].unlink()
    with pytest.raises(DataError, match=r"images are missing: .*image-3\.png"):
        recording.save(tmp_path / "it")
    assert not (tmp_path / "it").exists()


def test_the_hash_of_a_recording_depends_on_its_content(recording, images):
    def hashed(maps, files=images, window=(0, 9)):
        return Recording.from_arrays(maps, files, identifier="x", window=window).sha256

    maps = recording.maps
    assert hashed(maps) == hashed(maps.copy(order="F"))
    assert len({hashed(maps), hashed(maps + 1e-9), hashed(maps, images[::-1]), hashed(maps, window=(0, 8))}) == 4


def test_constant_maps_are_listed(recording, images):
    maps = recording.maps.copy()
    maps[2, :, :, 1] = 5
    made = Recording.from_arrays(maps, images, identifier="x", window=(0, 9), sites=["a", "b", "c"])
    assert constant_maps(made) == [("b", "image-2")]


def write_minimal_folder(folder, files, /, **about):
    """Write a folder with only the required keys and files."""
    (folder / "images").mkdir(parents=True)
    for image in files:
        shutil.copy(image, folder / "images")
    np.savez(folder / "maps.npz", maps=np.random.default_rng(0).normal(size=(6, 4, 5, 3)))
    about = {"identifier": "by-hand", "window": [70, 170], "images": [file.name for file in files]} | about
    (folder / "recording.json").write_text(json.dumps(about))
    return folder


def test_a_folder_of_another_program_needs_only_three_keys(images, tmp_path):
    made = Recording.load(write_minimal_folder(tmp_path / "mine", images))
    assert made.maps.shape == (6, 4, 5, 3)
    assert made.sites == ("site-00", "site-01", "site-02")
    np.testing.assert_array_equal(made.grid.x, Grid.even(5).x)
    assert not made.simulated


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"identifier": ""}, "has no identifier"),
        ({"identifier": 5}, "identifier is not text"),
        ({"window": [170, 70]}, r"window is \[170, 70\]"),
        ({"window": "100-250"}, "window is '100-250'"),
        ({"window": [1.5, 4]}, "window is"),
        ({"simulated": "no"}, "simulated is neither true nor false"),
        ({"sites": "abc"}, "sites is not a list of names"),
        ({"sites": ["a"]}, "maps have shape"),
        ({"images": []}, "images is not a list of file names"),
        ({"images": ["../secret.png"]}, "are not names of files in images/"),
        ({"images": [5]}, "images is not a list"),
        ({"images": ["a.png", "b.png"]}, r"images/a\.png is missing.*images/b\.png is missing"),
        ({"images": 5}, "images is not a list of file names"),
        ({"images": ["a\x00b", "c" * 300]}, "are not names of files in images/"),
        ({"extent": "wide"}, "extent is not a number"),
        ({"extent": True}, "extent is not a number"),
        ({"extent": 0}, "extent is not a number"),
        ({"extent": float("nan")}, "extent is not a number"),
        ({"extent": 10**400}, "extent is not a number"),
        ({"window": [10**30, 10**31]}, "window is"),
        ({"sites": ["a", "a", "b"]}, "several sites are named a"),
        ({"orientation": "flip-both"}, "Did you mean flip_both"),
        ({"dropped": None}, "dropped is not a list"),
        ({"version": 2}, "has format None, version 2"),
        ({"format": "x"}, "has format 'x'"),
    ],
)
def test_problems_of_the_description_are_reported(images, tmp_path, about, message):
    with pytest.raises(DataError, match=message):
        Recording.load(write_minimal_folder(tmp_path / "mine", images, **about))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"maps": np.zeros((6, 4, 5))}, r"maps is float64 of shape \(6, 4, 5\); it requires 4 axes"),
        ({"maps": np.full((6, 4, 5, 3), "a")}, "maps is <U1"),
        ({"other": np.zeros(3)}, "contains neither maps"),
        ({"maps": np.full((6, 4, 5, 3), np.nan)}, "not finite"),
        ({"maps": np.zeros((5, 4, 5, 3))}, r"maps have shape \(5, 4, 5, 3\)"),
        ({"maps": np.array([{"an": "object"}])}, "cannot be read"),
        ({"maps": np.zeros((6, 4, 5, 3)), "y": np.zeros(3)}, "positions that do not ascend|maps have shape"),
        ({"maps": np.zeros((6, 4, 5, 3)), "y": np.arange(4)[::-1]}, "positions that do not ascend"),
        ({"maps": np.zeros((6, 0, 5, 3))}, "are empty"),
    ],
)
def test_problems_of_the_arrays_are_reported(images, tmp_path, values, message):
    folder = write_minimal_folder(tmp_path / "mine", images)
    np.savez(folder / "maps.npz", **values)
    with pytest.raises(DataError, match=message):
        Recording.load(folder)


def test_all_problems_of_the_files_are_reported_at_once(recording, tmp_path):
    folder = recording.save(tmp_path / "mine")
    (folder / "images" / "image-0.png").unlink()
    (folder / "images" / "image-1.png").write_bytes(b"other")
    (folder / "maps.npz").write_bytes((folder / "maps.npz").read_bytes()[:-9])
    recording, problems = check_folder(folder)
    assert recording is None
    assert len(problems) == 3
    assert check_folder(tmp_path / "nowhere")[1] == [f"There is no recording.json in {tmp_path / 'nowhere'}."]
    (folder / "recording.json").write_text('{"identifier": "cut')
    assert "recording.json cannot be read" in check_folder(folder)[1][0]
    (folder / "recording.json").write_text("[]")
    assert "not a table" in check_folder(folder)[1][0]


def test_an_invalid_image_without_hash_is_reported(images, tmp_path):
    folder = write_minimal_folder(tmp_path / "mine", images)
    (folder / "images" / "image-3.png").write_bytes(b"other")
    assert "image-3.png cannot be read" in check_folder(folder)[1][0]


def test_an_invalid_image_is_refused_on_loading(recording, images, tmp_path):
    folder = recording.save(tmp_path / "it")
    about = json.loads((folder / "recording.json").read_text())
    (folder / "images" / "image-2.png").write_text("no image")
    about["images"][2]["sha256"] = sha256(folder / "images" / "image-2.png")
    (folder / "recording.json").write_text(json.dumps(about))
    assert "image-2.png cannot be read" in check_folder(folder)[1][0]
    images[4].write_text("no image")
    with pytest.raises(DataError, match=r"image-4\.png cannot be read"):
        Recording.from_arrays(recording.maps, images, identifier="x", window=(0, 9))
    with pytest.raises(DataError, match="has no identifier"):
        Recording.from_arrays(recording.maps, recording.images[:0], identifier=" ", window=(0, 9))


def test_neighbouring_folders_with_similar_names_are_unchanged(recording, tmp_path):
    for name in (".own-notes", ".own-a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    (tmp_path / ".own-file").write_text("mine")
    recording.save(tmp_path / "own")
    assert sorted(path.name for path in tmp_path.glob(".own-*")) == [".own-a", ".own-file", ".own-notes"]
    assert (tmp_path / ".own-notes" / "mine.txt").exists()


def test_misspelt_keys_and_arrays_are_errors_and_other_keys_are_not(recording, tmp_path):
    folder = recording.save(tmp_path / "mine")
    about = json.loads((folder / "recording.json").read_text())
    del about["extent"], about["maps_sha256"]
    about |= {"Extents": 8, "notes": "a free text", "subject_id": "m1"}
    (folder / "recording.json").write_text(json.dumps(about))
    np.savez(folder / "maps.npz", maps=recording.maps, Y=recording.grid.y, x=recording.grid.x, raw=recording.maps)
    assert check_folder(folder)[1] == [
        "recording.json has an unknown key 'Extents'; did you mean extent?",
        "maps.npz has an unknown array 'Y'; did you mean y?",
    ]


def test_a_file_is_not_the_folder_of_a_recording(recording, tmp_path, monkeypatch):
    folder = recording.save(tmp_path / "mine")
    assert "recording.json is a file; a recording is a folder" in check_folder(folder / "recording.json")[1][0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps.csv").write_text("image,y,x,site,value\n")
    with pytest.raises(UsageError, match=r"maps.csv is a file, not the folder of a recording"):
        load_recording("maps.csv")
    with pytest.raises(UsageError, match=r"maps.csv is a file.*`brainscore data import` makes"):
        check_names(None, "maps.csv")


def test_faults_of_a_recording_without_a_name_do_not_call_it_none(recording, tmp_path):
    folder = recording.save(tmp_path / "mine")
    about = json.loads((folder / "recording.json").read_text())
    about |= {"sites": ["a"] * len(recording.sites)}
    del about["identifier"]
    (folder / "recording.json").write_text(json.dumps(about))
    assert check_folder(folder)[1][1].startswith("The recording: several sites are named a.")
