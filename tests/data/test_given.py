"""Maps, repeats and images in every form in which they may be given."""

import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from recordings import assert_same

from brainscore_itmaps import noise_ceiling, score_features
from brainscore_itmaps.bridge.assembly import assembly, recording_from
from brainscore_itmaps.configuration import read_toml
from brainscore_itmaps.data.recording import Recording, check_folder
from brainscore_itmaps.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_home")


def made(maps, images, **options):
    return Recording.from_arrays(maps, images, identifier="lab.array1", window=(0, 9), **options)


@pytest.fixture
def pixels(images):
    return np.stack([np.asarray(Image.open(file)) for file in images])


@pytest.fixture
def maps(rng):
    return rng.normal(size=(6, 4, 5, 3))


def stored(recording):
    return [np.asarray(Image.open(file)) for file in recording.images]


@pytest.mark.parametrize(
    "form",
    [
        lambda pixels: list(pixels),
        lambda pixels: tuple(map(Image.fromarray, pixels)),
        lambda pixels: (Image.fromarray(each) for each in pixels),
        torch.from_numpy,
        lambda pixels: list(torch.from_numpy(pixels)),
        lambda pixels: {f"{number}": each for number, each in enumerate(pixels)},
    ],
)
def test_images_may_be_given_in_any_form(pixels, maps, form):
    recording = made(maps, form(pixels))
    np.testing.assert_array_equal(stored(recording), pixels)


def test_images_of_different_sizes_and_grey_images_are_written(pixels, maps):
    given = [pixels[0], pixels[1][:90, :90], *pixels[2:5], pixels[5, ..., 0]]
    recording = made(maps, given)
    assert [image.shape for image in stored(recording)] == [(96, 96, 3), (90, 90, 3)] + [(96, 96, 3)] * 4
    np.testing.assert_array_equal(stored(recording)[5], np.repeat(pixels[5, ..., :1], 3, axis=-1))
    np.testing.assert_array_equal(np.stack(stored(made(maps, pixels[..., 0])))[..., 2], pixels[..., 0])


def test_a_list_of_arrays_is_stored_like_one_array(pixels, maps):
    assert made(maps, list(pixels)).images == made(maps, pixels).images


def test_a_mapping_names_the_images(pixels, maps):
    names = ["ä", "b.png", "c", "d", "e", "f"]
    assert made(maps, dict(zip(names, pixels, strict=True))).names == ("ä", "b", "c", "d", "e", "f")
    with pytest.raises(DataError, match=r"'\.\./b' is not the name of an image"):
        made(maps, dict(zip(["../b", *"cdefg"], pixels, strict=True)))


def test_a_folder_is_read_in_natural_order_and_must_hold_exactly_the_images(images, maps, tmp_path):
    folder = tmp_path / "shown"
    folder.mkdir()
    for number, file in zip((10, 9, 1, 2, 100, 20), images, strict=True):
        file.rename(folder / f"Face{number}.png")
    (folder / "notes.txt").write_text("mine")
    assert made(maps, str(folder)).names == ("Face1", "Face2", "Face9", "Face10", "Face20", "Face100")
    (folder / "Face3.PNG").write_bytes((folder / "Face2.png").read_bytes())
    with pytest.raises(DataError, match=r"holds 7 images, but there are maps of 6.*Face2\.png, Face3\.PNG, Face9"):
        made(maps, folder)
    with pytest.raises(UsageError, match=r"nowhere is not a folder of images"):
        made(maps, "nowhere")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda pixels: pixels / 255, "float64 .*range of floating-point pixels is ambiguous"),
        (lambda pixels: list(pixels / 255), r"image 0 is float64 .*\.round\(\)"),
        (lambda pixels: torch.from_numpy(pixels).permute(0, 3, 1, 2), "its channels come first"),
        (lambda pixels: pixels.astype(np.uint16), "uint16"),
        (lambda pixels: np.ma.array(pixels, mask=pixels > 250), "have masked pixels"),
        (lambda pixels: pixels[0, 0, 0], "uint8 of shape"),
        (lambda pixels: [object()] * 6, "image 0 is"),
        (lambda pixels: Image.fromarray(pixels[0]), "images cannot be one Image"),
        (lambda pixels: 5, "images cannot be one int"),
        (lambda pixels: [*map(Image.fromarray, pixels[:5]), b"none"], "image 5 cannot be read"),
    ],
)
def test_ambiguous_images_are_refused_with_what_to_give(pixels, maps, form, message):
    with pytest.raises((DataError, UsageError), match=message):
        made(maps, form(pixels))


@pytest.mark.parametrize(
    "form",
    [
        np.ndarray.tolist,
        torch.from_numpy,
        lambda maps: [torch.from_numpy(each) for each in maps],
        lambda maps: torch.from_numpy(maps).requires_grad_(),
        lambda maps: np.ma.array(maps),
        lambda maps: [[pd.DataFrame(line) for line in image] for image in maps],
        lambda maps: [[pd.DataFrame(line).convert_dtypes() for line in image] for image in maps],
    ],
)
def test_maps_may_be_given_in_any_form(images, maps, form):
    np.testing.assert_array_equal(made(form(maps), images).maps, maps)


def test_masked_values_are_missing_also_in_lists_and_never_filled_in(images, maps):
    masked = np.ma.array(maps, mask=False)
    masked[2, 1, 1, 1] = np.ma.masked
    whole = np.ma.array(np.arange(360).reshape(6, 4, 5, 3), mask=masked.mask)
    for given in (masked, list(masked), whole):
        with pytest.raises(
            DataError, match=r"1 site\(s\) have values that are not finite \(site-01\), on images \[2\]"
        ):
            made(given, images)
        dropped = made(given, images, drop_nan_sites=True, sites=["a", "b", "c"])
        assert (dropped.sites, dropped.dropped) == (("a", "c"), ("b",))
    np.testing.assert_array_equal(made(masked, images, drop_nan_sites=True).maps, maps[..., [0, 2]])


def test_sites_with_missing_values_are_dropped_on_request_alone(images, maps, tmp_path):
    broken = maps.copy()
    broken[0, 0, 0, 2] = np.nan
    with pytest.raises(DataError, match="drop_nan_sites=True"):
        made(broken, images)
    folder = made(maps, images).save(tmp_path / "it")
    np.savez(folder / "maps.npz", maps=broken)
    about = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    del about["maps_sha256"]
    (folder / "recording.json").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(DataError, match="--drop-nan-sites"):
        Recording.load(folder)
    asked = Recording.load(folder, drop_nan_sites=True)
    (folder / "recording.json").write_text(json.dumps(about | {"drop_nan_sites": True}), encoding="utf-8")
    assert_same(Recording.load(folder), asked)
    assert asked.dropped == ("site-02",)
    assert Recording.load(asked.save(tmp_path / "again")).dropped == ("site-02",)
    with pytest.raises(DataError, match=r"3 site\(s\), all of the recording, have values"):
        made(maps * np.nan, images, drop_nan_sites=True)
    with pytest.raises(DataError, match="not finite"):
        made(np.where(np.isnan(broken), np.inf, broken), images, drop_nan_sites=True)


def test_images_may_have_unequal_numbers_of_repeats(images, rng, tmp_path):
    given = [rng.normal(size=(count, 4, 5, 3)) for count in (2, 5, 3, 2, 4, 2)]
    recording = made(None, images, repeats=given)
    assert recording.repeats.shape == (6, 5, 4, 5, 3)
    np.testing.assert_allclose(recording.maps, np.stack([each.mean(axis=0) for each in given]))
    assert_same(Recording.load(recording.save(tmp_path / "it")), recording)
    same = made(None, images, repeats=recording.repeats)
    np.testing.assert_array_equal(same.maps, recording.maps)
    with pytest.raises(DataError, match=r"have different shapes: \(2, 4, 5, 2\)"):
        made(None, images, repeats=[given[0][..., :2], *given[1:]])
    incomplete = recording.repeats.copy()
    incomplete[1, 0, 2, 2, 0] = np.nan
    with pytest.raises(DataError, match=r"repeats with missing values at some positions \(site-00\)"):
        made(None, images, repeats=incomplete)
    assert made(None, images, repeats=incomplete, drop_nan_sites=True).sites == ("site-01", "site-02")


@pytest.mark.parametrize("stored_form", ["NFC", "NFD"])
def test_names_in_another_unicode_form_or_case_are_found(images, maps, tmp_path, stored_form):
    other_form = {"NFC": "NFD", "NFD": "NFC"}[stored_form]
    folder = made(maps, images).save(tmp_path / "it")
    about = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    first = folder / "images" / "image-0.png"
    first.rename(folder / "images" / unicodedata.normalize(stored_form, "ÄPFEL.png"))
    about["images"][0]["file"] = unicodedata.normalize(other_form, "Äpfel.png")
    (folder / "recording.json").write_text("\ufeff" + json.dumps(about, ensure_ascii=False), encoding="utf-8")
    recording, problems = check_folder(folder)
    assert problems == []
    assert unicodedata.normalize("NFC", recording.names[0]) == "ÄPFEL"
    names = ["äpfel", *(f"image-{number}" for number in range(1, 6))]
    assert made(maps, folder / "images", image_names=names).images == recording.images
    assert made(maps, recording.images[::-1], image_names=names).images == recording.images
    with pytest.raises(DataError, match="1 of 6 images are not in"):
        made(maps, folder / "images", image_names=["hat", *names[1:]])


def test_a_toml_file_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text("\ufeffname = 'ä'", encoding="utf-8")
    assert read_toml(file) == {"name": "ä"}


def test_all_faults_of_a_folder_are_listed_at_once(images, maps, tmp_path):
    folder = made(maps, images).save(tmp_path / "it")
    about = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    broken = maps.copy()
    broken[0, 0, 0, 2] = np.nan
    np.savez(folder / "maps.npz", maps=broken, y=np.array([-3.0, -1, 1, 99]))
    (folder / "images" / "image-0.png").unlink()
    (folder / "images" / "image-4.png").write_bytes(b"none")
    del about["maps_sha256"]
    about |= {"window": "0-9", "orientation": "up", "citation": 5, "identifier": "", "sites": ["a", "b", "b"]}
    (folder / "recording.json").write_text(json.dumps(about), encoding="utf-8")
    recording, problems = check_folder(folder)
    assert recording is None
    for sentence in (
        "has no identifier", "citation is not text", "window is '0-9'", "images/image-0.png is missing", "image-4.png",
        "no orientation named 'up'", "several sites are named b", "lie outside the image", "values that are not finite",
    ):  # fmt: skip
        assert any(sentence in problem for problem in problems), sentence
    assert len(problems) == 9


LOCALES = ({"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "de_DE"}, {"LC_ALL": "tr_TR.UTF-8"}, {"LC_ALL": "POSIX"})


@pytest.mark.parametrize("settings", LOCALES)
def test_names_beyond_ascii_survive_every_locale(images, maps, tmp_path, settings):
    folder = made(maps, dict(zip(["Äpfel İ", *"bcdef"], images, strict=True))).save(tmp_path / "Größe")
    about = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    (folder / "images" / "image-0.png").rename(folder / "images" / "Äpfel İ.png")
    about["images"][0] = "Äpfel İ.png"
    about["identifier"] = "läb"
    (folder / "recording.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    rows = ["image;y;x;site;value", "Äpfel İ;0;0;ä;1,5", "image-1;0;0;ä;2,5"]
    (tmp_path / "März.csv").write_text("\n".join(rows), encoding="utf-8")
    code = (
        "import locale, os, sys; from pathlib import Path; from brainscore_itmaps import Recording, load_recording\n"
        "def at(*names): return Path(sys.argv[1], *(os.fsdecode(name.encode()) for name in names))\n"
        "try: locale.setlocale(locale.LC_ALL, '')\n"
        "except locale.Error: pass\n"
        "recording = load_recording(at('Gr\\u00f6\\u00dfe'))\n"
        "again = Recording.load(recording.save(at('n\\u00e4chste')))\n"
        "assert again.identifier == 'l\\u00e4b' and again.names[0] == '\\u00c4pfel \\u0130', again.names\n"
        "shown = at('Gr\\u00f6\\u00dfe', 'images')\n"
        "table = Recording.from_table(at('M\\u00e4rz.csv'), shown, identifier='x', window=(0, 9))\n"
        "assert table.maps.ravel().tolist() == [1.5, 2.5] and table.sites == ('\\u00e4',), table\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LANG", "PYTHONUTF8")}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment | settings, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")


def test_a_result_states_sites_that_were_left_out_and_splits_each_images_own_repeats(images, rng):
    signal = rng.normal(size=(6, 1, 4, 5, 3))
    repeats = signal + 0.5 * rng.normal(size=(6, 5, 4, 5, 3))
    repeats[1, 3:], repeats[4, 2:] = np.nan, np.nan
    repeats[0, 0, 0, 0, 1] = np.nan
    recording = made(None, images, repeats=repeats, drop_nan_sites=True)
    result = score_features(signal[:, 0] + 0.1 * rng.normal(size=(6, 4, 5, 3)), recording)
    assert "lab.array1: 1 sites with missing values are left out: site-01" in result.notes
    assert result.arrays[0].ceiling_kind.startswith("split-half over repeats")
    ceiling = noise_ceiling(recording.maps, repeats=recording.repeats)
    assert result.ceiling == pytest.approx(ceiling.value)
    one = replace(recording, maps=repeats[:, 0, ..., ::2], repeats=repeats[:, :1, ..., ::2])
    assert "no two repeats of every image" in score_features(signal[:, 0], one).arrays[0].estimate.reason


def test_an_assembly_leaves_out_repeats_that_were_not_recorded(images, rng):
    given = [rng.normal(size=(count, 4, 5, 3)) for count in (2, 5, 3, 2, 4, 2)]
    recording = made(None, images, repeats=given)
    data = assembly(recording, repeats=True)
    assert data.shape == (18 * 20, 3, 1)
    assert_same(recording_from(data), replace(recording, images=recording_from(data).images))
    np.testing.assert_array_equal(recording_from(assembly(recording)).maps, recording.maps)


def test_text_arrays_of_paths_are_lists_of_paths_and_data_frames_are_not(images, maps):
    assert made(maps, np.array([str(image) for image in images])).images == tuple(images)
    with pytest.raises(UsageError, match="images cannot be one DataFrame"):
        made(maps, pd.DataFrame({"path": images}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": ([0, 1], [0, 1], 16)}, "grid cannot be a tuple, which is not a grid"),
        ({"grid": 16}, "grid cannot be 16"),
        ({"sites": 3}, "sites cannot be 3, which is not a list of names"),
        ({"sites": "abc"}, "sites cannot be 'abc'"),
        ({"identifier": 7}, "identifier cannot be 7, which is not a text"),
        ({"citation": None}, "citation cannot be None"),
        ({"stretched": "no"}, "stretched cannot be 'no', which is not True or False"),
        ({"drop_nan_sites": "no"}, "cannot be 'no'"),
    ],
)
def test_options_of_another_type_are_named(pixels, maps, options, message):
    with pytest.raises(UsageError, match=message):
        Recording.from_arrays(maps, pixels, **{"identifier": "lab.array1", "window": (0, 9)} | options)
    with pytest.raises(UsageError, match="there are no maps"):
        made(None, pixels)


def test_a_recording_with_numbered_sites_is_loaded_as_it_was_saved(images, maps, tmp_path):
    recording = made(maps, images, sites=range(3), stretched=np.True_)
    assert_same(Recording.load(recording.save(tmp_path / "it")), recording)
    assert recording.sites == ("0", "1", "2")
