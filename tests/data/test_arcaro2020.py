"""The maps of Arcaro 2020, read from simulated files of the published layout."""

import hashlib
import json
import shutil
import zipfile

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brainscore_itmaps import load_recording
from brainscore_itmaps.data import load, sources
from brainscore_itmaps.data.grid import ORIENTATIONS, orient_maps, unorient_maps
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.files import sha256

pytestmark = pytest.mark.usefixtures("own_home")

PUBLISHED = {
    "monkey1_PL": ("George", "george_060118_data.mat", "natural_test", slice(None, 33)),
    "monkey1_ML": ("George", "george_060118_data.mat", "natural_test", slice(33, None)),
    "monkey2_ML": ("Red", "red_062419_data.mat", "red_naturalface", slice(None)),
}


def published_loader(folder, name, a, b):
    """Compute what the published code computes, step by step: maps, and images as it passes them to models."""
    monkey, mat, images, sites = PUBLISHED[name]
    loaded = scipy.io.loadmat(folder / "Arcaro2020" / monkey / mat)
    responses = loaded["imageRF"].transpose((-1, 0, 1, 2, 3))[:, :, :, :, sites]
    maps = responses[:, ::-1, ::-1, a:b, :].mean(axis=3)
    names = [loaded["UniqueNames"][0][i][0].split("\\")[-1] for i in range(len(responses))]
    files = [folder / "Arcaro2020" / monkey / images / name for name in names]
    return maps, [cv2.resize(cv2.imread(str(file))[:, :, ::-1], (224, 224)) for file in files]


@pytest.mark.parametrize("window", [(3, 17), (0, 20), (7, 8)])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_protocol_equals_the_published_loader_exactly(stand_in, unpacked, name, window):
    recording = load_recording(name, window, stand_in, protocol="published")
    maps, images = published_loader(unpacked, name, *window)
    assert recording.maps.dtype == maps.dtype == np.float32
    np.testing.assert_array_equal(recording.maps, maps)
    for file, image in zip(recording.images, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), image)
    assert recording.identifier == f"Arcaro2020.{name}-simulated-reference"


@pytest.mark.slow
def test_the_published_protocol_has_the_published_split_and_the_published_window(long_stand_in):
    posterior = load_recording("monkey1_PL", source=long_stand_in, protocol="published")
    assert posterior.window == (50, 90)
    assert posterior.sites[-1] == "monkey1_PL-ch33"
    assert [
        len(posterior.sites),
        len(load_recording("monkey1_ML", (0, 9), long_stand_in, protocol="published").sites),
    ] == [
        33,
        30,
    ]


@pytest.mark.parametrize("name", PUBLISHED)
def test_by_default_sites_belong_to_their_array_and_means_are_exact(stand_in, unpacked, name):
    recording = load_recording(name, (3, 17), stand_in)
    monkey, mat, _, _ = PUBLISHED[name]
    responses = scipy.io.loadmat(unpacked / "Arcaro2020" / monkey / mat)["imageRF"].astype(np.float64)
    first, last = {"monkey1_PL": (0, 32), "monkey1_ML": (32, 63), "monkey2_ML": (0, 32)}[name]
    expected = responses[::-1, ::-1, 3:17, first:last].mean(axis=2).transpose(3, 0, 1, 2)
    assert recording.maps.dtype == np.float64
    np.testing.assert_allclose(recording.maps, expected, rtol=1e-14, atol=1e-13)
    assert recording.sites[0] == f"{name}-ch{first + 1:02d}"
    assert len(recording.sites) == last - first == recording.maps.shape[-1]
    assert recording.dropped == ()
    assert recording.orientation == "flip_both"
    assert recording.subject == name.split("_")[0]
    assert recording.area == name.split("_")[1]
    assert recording.simulated
    assert "simulated" in recording.identifier
    assert all("simulated" in image.name for image in recording.images)


def test_grids_cover_sixteen_degrees_with_both_edges(stand_in):
    fine, coarse = (load_recording(name, (0, 20), stand_in).grid for name in ("monkey1_ML", "monkey2_ML"))
    np.testing.assert_array_equal(fine.x, np.arange(-8, 9))
    np.testing.assert_array_equal(coarse.y, np.arange(-8, 9, 2))


@pytest.mark.parametrize(
    ("name", "window", "expected"),
    [
        ("monkey1_PL", None, (100, 250)),
        ("monkey1_ML", "elife", (100, 250)),
        ("monkey2_ML", None, (150, 300)),
        ("monkey1_PL", "tutorial", (90, 130)),
        ("monkey1_ML", "tutorial", (130, 170)),
        ("monkey2_ML", "tutorial", (90, 130)),
        ("monkey2_ML", "followup_51_90", (50, 90)),
        ("monkey2_ML", "followup_211_250", (210, 250)),
    ],
)
@pytest.mark.slow
def test_windows_by_name(long_stand_in, name, window, expected):
    recording = load_recording(name, window, long_stand_in)
    assert recording.window == expected
    np.testing.assert_array_equal(recording.maps, load_recording(name, expected, long_stand_in).maps)


def test_followup_windows_are_five_of_forty_milliseconds_without_gaps():
    windows = sorted(
        window for name, window in load.ARRAYS["monkey1_PL"].windows.items() if name.startswith("followup")
    )
    assert windows == [(start, start + 40) for start in range(50, 250, 40)]


@pytest.mark.parametrize("window", [(0, 21), (-1, 5), (20, 25), (5, 5), (9, 3), None])
def test_a_window_outside_the_recorded_time_is_an_error_that_names_the_recorded_time(stand_in, window):
    with pytest.raises(DataError, match="It is recorded from 0 to 20 ms"):
        load_recording("monkey2_ML", window, stand_in)


@pytest.mark.parametrize("window", ["elive", (1, 2, 3), (1.5, 4), ("a", "b"), 5, (0, float("inf"))])
def test_invalid_windows_are_refused(stand_in, window):
    with pytest.raises(UsageError, match=r"Did you mean elife|Give \(from, to\)"):
        load_recording("monkey2_ML", window, stand_in)


def test_unknown_names_suggest_similar_ones_and_identifiers_are_accepted(stand_in):
    with pytest.raises(UsageError, match="Did you mean monkey1_PL"):
        load_recording("monkey1_Pl", source=stand_in)
    recording = load_recording("monkey2_ML", (0, 20), stand_in)
    same = load_recording(recording.identifier, (0, 20), stand_in)
    np.testing.assert_array_equal(same.maps, recording.maps)
    with pytest.raises(UsageError, match=r"has no window named 'elife'\. Give milliseconds"):
        load_recording("it_maps_simulated", "elife")


# ---- sites


def test_a_site_without_any_value_is_dropped_and_listed(red):
    red.variables["imageRF"][:, :, :, [4, 31]] = np.nan
    recording = load_recording("monkey2_ML", (0, 20), red.write())
    assert recording.dropped == ("monkey2_ML-ch05", "monkey2_ML-ch32")
    assert recording.maps.shape == (14, 9, 9, 30)
    assert not set(recording.dropped) & set(recording.sites)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("protocol", ["ours", "published"])
def test_a_site_with_some_values_missing_is_an_error_naming_site_and_images(red, value, protocol):
    red.variables["imageRF"][2, 3, 10, 6, [0, 12]] = value
    with pytest.raises(DataError, match=r"1 site\(s\).*monkey2_ML-ch07 on image\(s\) 1, 13, counted from 1"):
        load_recording("monkey2_ML", (0, 20), red.write(), protocol=protocol)
    assert load_recording("monkey2_ML", (0, 10), red.folder).maps.shape[-1] == 32  # it lies outside this window


def test_a_file_without_any_value_is_an_error(red):
    red.variables["imageRF"][:] = np.nan
    with pytest.raises(DataError, match="all values are missing"):
        load_recording("monkey2_ML", (0, 20), red.write())


# ---- orientation


def eight_ways(image):
    """Return the symmetries of the square, composed of numpy's rotations and flips."""
    return {
        "as_stored": image,
        "flip_y": np.flipud(image),
        "flip_x": np.fliplr(image),
        "flip_both": np.rot90(image, 2),
        "transpose": image.T,
        "transpose_flip_y": np.rot90(image, 1),
        "transpose_flip_x": np.rot90(image, -1),
        "transpose_flip_both": np.rot90(image.T, 2),
    }


@given(st.integers(2, 5), st.integers(2, 5), st.integers(1, 3), st.integers(1, 3))
def test_orientations_are_the_symmetries_of_the_square_and_can_be_undone(first, second, images, sites):
    maps = np.arange(images * first * second * sites, dtype=float).reshape(images, first, second, sites)
    assert set(ORIENTATIONS) == set(eight_ways(maps[0, :, :, 0]))
    for name, expected in eight_ways(maps[0, :, :, 0]).items():
        laid = orient_maps(maps, name)
        np.testing.assert_array_equal(laid[0, :, :, 0], expected)
        np.testing.assert_array_equal(unorient_maps(laid, name), maps)


def test_a_recorded_orientation_applies_to_its_monkey_and_source_only(stand_in, red):
    before = load_recording("monkey1_PL", (0, 20), stand_in)
    load.choose_orientation(before, "transpose_flip_x")
    after = load_recording("monkey1_PL", (0, 20), stand_in)
    assert after.orientation == "transpose_flip_x"
    raw = unorient_maps(before.maps, "flip_both")
    np.testing.assert_array_equal(after.maps, orient_maps(raw, "transpose_flip_x"))
    assert load_recording("monkey1_ML", (0, 20), stand_in).orientation == "transpose_flip_x"
    assert load_recording("monkey2_ML", (0, 20), stand_in).orientation == "flip_both"
    assert load_recording("monkey2_ML", (0, 20), red.write()).orientation == "flip_both"
    assert load_recording("monkey1_PL", (0, 20), stand_in, orientation="flip_y").orientation == "flip_y"
    assert load_recording("monkey1_PL", (0, 20), stand_in, protocol="published").orientation == "flip_both"
    with pytest.raises(UsageError, match="Did you mean flip_both"):
        load_recording("monkey1_PL", (0, 20), stand_in, orientation="flip-both")
    (load._orientation_file()).write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        load_recording("monkey1_PL", (0, 20), stand_in)


# ---- files


def cells(names):
    return np.array([list(names)], dtype=object)


@pytest.mark.parametrize("prefix", ["C:\\data\\stim\\", "/home/somebody/stim/", "", "..\\..\\", "C:/mixed\\"])
def test_images_are_found_by_the_last_part_of_their_names_in_the_order_of_the_maps(red, prefix):
    names = [str(cell[0]).split("\\")[-1] for cell in red.variables["UniqueNames"][0]]
    red.variables["UniqueNames"] = cells(prefix + name for name in names)
    recording = load_recording("monkey2_ML", (0, 20), red.write())
    assert names != sorted(names)
    assert [image.stem.rsplit("-", 1)[1] for image in recording.images] == [name[:-4] for name in names]
    for name, image in zip(names, recording.images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(image)), np.asarray(Image.open(red.images / name)))


def test_names_as_a_column_and_as_a_matrix_of_characters_are_read_too(red):
    names = [str(cell[0]).split("\\")[-1] for cell in red.variables["UniqueNames"][0]]
    expected = load_recording("monkey2_ML", (0, 20), red.write()).names
    for stored_as in (cells(names).T, np.array(names)):
        red.variables["UniqueNames"] = stored_as
        assert load_recording("monkey2_ML", (0, 20), red.write()).names == expected


def test_missing_images_are_listed_all_at_once(red):
    red.write()
    for name in ("img_03.png", "img_11.png"):
        (red.images / name).unlink()
    with pytest.raises(
        DataError, match=r"2 of 14 images are not in .*img_03\.png.*img_11\.png|img_11\.png.*img_03\.png"
    ):
        load_recording("monkey2_ML", (0, 20), red.folder)


def test_case_of_image_names_is_ignored_if_the_match_is_unambiguous(red):
    (red.images / "img_03.png").rename(red.images / "IMG_03.PNG")
    assert len(load_recording("monkey2_ML", (0, 20), red.write()).images) == 14


def test_two_names_that_match_one_image_are_refused(red):
    names = [str(cell[0]).split("\\")[-1] for cell in red.variables["UniqueNames"][0]]
    red.variables["UniqueNames"] = cells([*names[:12], "extra.png", "EXTRA.png"])
    (red.images / "Extra.png").write_bytes((red.images / names[0]).read_bytes())
    with pytest.raises(DataError, match=r"Several names of images match the file Extra\.png"):
        load_recording("monkey2_ML", (0, 20), red.write())


def test_thirteen_names_and_repeated_names_are_errors(red):
    names = [str(cell[0]) for cell in red.variables["UniqueNames"][0]]
    red.variables["UniqueNames"] = cells(names[:13])
    with pytest.raises(DataError, match="UniqueNames has 13 names; expected 14"):
        load_recording("monkey2_ML", (0, 20), red.write())
    red.variables["UniqueNames"] = cells([*names[:13], names[0]])
    with pytest.raises(DataError, match="more than once"):
        load_recording("monkey2_ML", (0, 20), red.write())


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "P", "1", "I;16"])
def test_images_of_any_mode_and_size_become_rgb_of_the_same_size(red, mode):
    file = red.images / "img_00.png"
    ramp = np.linspace(0, 255, 40 * 30).reshape(30, 40).astype(np.uint8)
    if mode == "I;16":
        Image.fromarray(ramp.astype(np.uint16) * 257).save(file)
        expected = np.stack([ramp] * 3, axis=-1)
    else:
        image_file = Image.fromarray(ramp).convert("RGB").convert(mode)
        if mode in ("LA", "RGBA"):
            image_file.putalpha(Image.fromarray(ramp[::-1].copy()))
            expected = np.stack([ramp] * 3, axis=-1)  # transparency is ignored, as OpenCV does
        else:
            expected = np.asarray(image_file.convert("RGB"))
        image_file.save(file, "TIFF" if mode == "CMYK" else "PNG")
    recording = load_recording("monkey2_ML", (0, 20), red.write())
    image = next(image for image in recording.images if image.stem.endswith("img_00"))
    with Image.open(image) as opened:
        assert (opened.mode, opened.format, opened.size) == ("RGB", "PNG", (40, 30))
        np.testing.assert_array_equal(np.asarray(opened), expected)


def test_a_camera_s_orientation_tag_is_applied(red):
    lying = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying.save(red.images / "img_00.png", exif=tag)
    recording = load_recording("monkey2_ML", (0, 20), red.write())
    image = next(image for image in recording.images if image.stem.endswith("img_00"))
    np.testing.assert_array_equal(np.asarray(Image.open(image))[..., 0], np.rot90(np.asarray(lying), -1))


def test_an_image_that_cannot_be_read_is_an_error_naming_it(red):
    (red.images / "img_05.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"The image .*img_05\.png cannot be read"):
        load_recording("monkey2_ML", (0, 20), red.write())


def write_hdf5(red, names_shape=(1, 14)):
    """Write a version 7.3 file in MATLAB's layout: axes reversed, texts as UTF-16 behind references."""
    with h5py.File(red.file, "w", userblock_size=512) as file:
        file.create_dataset("imageRF", data=red.variables["imageRF"].T, chunks=True, compression="gzip")
        file["SIMULATED"] = np.array([[1.0]])
        references = []
        for number, cell in enumerate(red.variables["UniqueNames"][0]):
            codes = np.array([[ord(letter)] for letter in str(cell[0])], np.uint16)
            references.append(file.create_dataset(f"#refs#/{number}", data=codes).ref)
        data = file.create_dataset("UniqueNames", names_shape[::-1], dtype=h5py.ref_dtype)
        data[...] = np.array(references, dtype=h5py.ref_dtype).reshape(names_shape[::-1])
    with red.file.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, SIMULATED".ljust(116))
    return red.folder


@pytest.mark.parametrize("protocol", ["ours", "published"])
@pytest.mark.parametrize("names_shape", [(1, 14), (14, 1)])
def test_version_7_3_gives_the_same_recording(red, protocol, names_shape):
    expected = load_recording("monkey2_ML", (3, 17), red.write(), protocol=protocol)
    recording = load_recording("monkey2_ML", (3, 17), write_hdf5(red, names_shape), protocol=protocol)
    assert recording.sha256 != expected.sha256
    np.testing.assert_array_equal(recording.maps, expected.maps)
    assert recording.names == expected.names
    assert recording.simulated


@pytest.mark.parametrize("options", [{"do_compression": True}, {"do_compression": False}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_precision_and_compression_do_not_matter(red, options, dtype):
    expected = np.round(red.variables["imageRF"]).astype(dtype)
    red.variables["imageRF"] = expected
    recording = load_recording("monkey2_ML", (3, 17), red.write(**options))
    np.testing.assert_allclose(
        recording.maps, expected[::-1, ::-1, 3:17].astype(float).mean(axis=2).transpose(3, 0, 1, 2), atol=1e-12
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v.update(imageRF=v["imageRF"].transpose(4, 0, 1, 3, 2)),
            r"shape \(14, 9, 9, 32, 20\); expected \(9, 9, time",
        ),
        (lambda v: v.update(imageRF=v["imageRF"][..., :13]), r"shape \(9, 9, 20, 32, 13\); expected"),
        (lambda v: v.update(imageRF=v["imageRF"][:, :8]), r"shape \(9, 8, 20, 32, 14\); expected"),
        (lambda v: v.update(imageRF=v["imageRF"][:, :, :, :31]), r"shape \(9, 9, 20, 31, 14\); expected"),
        (lambda v: v.update(imageRF=v["imageRF"][..., 0]), r"shape \(9, 9, 20, 32\); expected"),
        (lambda v: v.update(imageRF=v["imageRF"] + 1j), "contains complex64, not real numbers"),
        (lambda v: v.pop("imageRF"), "has no variable imageRF; it has SIMULATED, UniqueNames"),
        (lambda v: v.pop("UniqueNames"), "has no variable UniqueNames; it has SIMULATED, imageRF"),
        (
            lambda v: v.update(UniqueNames=np.eye(14)),
            "UniqueNames, cannot be read .*neither a cell array nor characters",
        ),
    ],
)
def test_files_of_another_form_are_refused_with_actual_and_expected_content(red, change, message):
    change(red.variables)
    with pytest.raises(DataError, match=message) as refused:
        load_recording("monkey2_ML", (0, 20), red.write())
    assert str(red.file) in str(refused.value)


def test_damaged_files_are_refused_by_name(red):
    valid = red.write().joinpath(red.file.name).read_bytes()
    for content in (b"", b"MATLAB", valid[: len(valid) // 2], bytes(2000), valid[:300]):
        red.file.write_bytes(content)
        with pytest.raises(DataError, match=r"red_062419_data\.mat"):
            load_recording("monkey2_ML", (0, 20), red.folder)


def test_only_the_files_of_the_requested_array_are_needed(red):
    red.write()
    assert load_recording("monkey2_ML", (0, 20), red.folder).maps.shape == (14, 9, 9, 32)
    assert load_recording("monkey2_ML", (0, 20), red.file).maps.shape == (14, 9, 9, 32)  # the file means its folder
    with pytest.raises(DataError, match=r"contains no george_060118_data\.mat; it has red_062419_data\.mat"):
        load_recording("monkey1_PL", (0, 20), red.folder)


def test_two_files_of_the_same_name_are_refused(red, tmp_path):
    red.write()
    shutil.copytree(red.folder, red.folder / "copy")
    with pytest.raises(DataError, match="2 files named"):
        load_recording("monkey2_ML", (0, 20), red.folder)
    with pytest.raises(DataError, match="There is no file or folder"):
        load_recording("monkey2_ML", source=tmp_path / "nowhere")


def test_a_named_file_is_read_and_no_other(red):
    red.write()
    shutil.copytree(red.folder, red.folder / "copy")
    assert load_recording("monkey2_ML", (0, 20), red.file).maps.shape == (14, 9, 9, 32)
    red.file.unlink()
    with pytest.raises(DataError, match="There is no file or folder"):
        load_recording("monkey2_ML", (0, 20), red.file)


def test_a_source_that_changes_during_the_wait_for_the_lock_is_not_read(stand_in, red, tmp_path, monkeypatch):
    source = tmp_path / "source.zip"
    shutil.copy(stand_in, source)
    find_source = sources.find_source

    def find_and_change(*arguments):
        located = find_source(*arguments)
        monkeypatch.setattr(sources, "find_source", find_source)
        with zipfile.ZipFile(source, "a") as archive:
            archive.writestr("more", "more")
        return located

    monkeypatch.setattr(sources, "find_source", find_and_change)
    with pytest.raises(DataError, match="changed while this process waited for the lock"):
        load_recording("monkey2_ML", (0, 20), source)
    assert load_recording("monkey2_ML", (0, 20), source).sha256 == sha256(source)


def test_a_time_axis_longer_than_any_recording_is_refused_before_it_is_read(red):
    red.variables["imageRF"] = np.zeros((9, 9, 5001, 32, 14), np.uint8)
    with pytest.raises(DataError, match=r"imageRF has shape \(9, 9, 5001, 32, 14\).*up to 5000"):
        load_recording("monkey2_ML", (0, 20), red.write(do_compression=True))


def test_unusual_paths_work(red, tmp_path, monkeypatch):
    odd = tmp_path / ("ein Ordner mit Leerzeichen, ümläut [b] " + "x" * 120)
    real = odd / "real"
    shutil.move(red.write(), real)
    (odd / "link").symlink_to(real)
    (odd / "home of mine").mkdir()
    (odd / "home link").symlink_to(odd / "home of mine")
    monkeypatch.setenv("ITMAPS_HOME", str(odd / "home link"))
    monkeypatch.setenv("BRAINIO_HOME", str(odd / "brain ïo"))
    assert load_recording("monkey2_ML", (0, 20), odd / "link").images[0].is_file()


# ---- cached recordings


def test_a_recording_is_cached_and_read_again_when_the_cache_has_changed(stand_in, own_home, monkeypatch):
    read = []
    true_reader = load.read_array
    monkeypatch.setattr(load, "read_array", lambda *arguments: read.append(1) or true_reader(*arguments))
    first = load_recording("monkey2_ML", (0, 20), stand_in)
    cached = load_recording("monkey2_ML", (0, 20), stand_in)
    np.testing.assert_array_equal(cached.maps, first.maps)
    assert (cached.names, cached.images, len(read)) == (first.names, first.images, 1)
    load_recording("monkey2_ML", (0, 19), stand_in)
    load_recording("monkey2_ML", (0, 20), stand_in, orientation="flip_y")
    load_recording("monkey2_ML", (0, 20), stand_in, protocol="published")
    assert len(read) == 4
    requests = [((0, 20), "flip_both", False), ((0, 19), "flip_both", False), ((0, 20), "flip_y", False)]
    requests.append(((0, 20), "flip_both", True))  # the keys of version 0.1, whose cached recordings stay valid
    keys = [json.dumps([1, first.sha256, "monkey2_ML", *parameters]) for parameters in requests]
    prepared = {f"monkey2_ML-{hashlib.sha256(key.encode()).hexdigest()[:16]}" for key in keys}
    assert {folder.name for folder in own_home.glob("prepared/*")} == prepared
    for file in own_home.glob("prepared/*/maps.npz"):
        file.write_bytes(file.read_bytes()[:-50])
    np.testing.assert_array_equal(load_recording("monkey2_ML", (0, 20), stand_in).maps, first.maps)
    assert len(read) == 5
    for image in first.images:
        image.write_bytes(b"changed")
    load_recording("monkey2_ML", (0, 20), stand_in)
    assert len(read) == 5
    with Image.open(first.images[0]) as image_file:
        assert image_file.size == (400, 400)


def test_a_changed_unpacked_file_is_unpacked_again(stand_in, own_home):
    expected = load_recording("monkey2_ML", (0, 20), stand_in).maps
    (file,) = own_home.glob("Arcaro2020-*/**/red_062419_data.mat")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    shutil.rmtree(own_home / "prepared")
    np.testing.assert_array_equal(load_recording("monkey2_ML", (0, 20), stand_in).maps, expected)
