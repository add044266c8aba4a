"""`brainscore profile`: its table, its files, and its answers to wrong input."""

import csv
import json

import numpy as np
import pytest
from answers import assert_refused, succeeded
from command_line import new_python
from PIL import Image

from brainscore_itmaps import Recording, score

RANDOM = ("profile", "-m", "timm:test_resnet", "--weights", "random", "--layers", "layer3")
STEM = "timm-test_resnet-random-seed-0--layer3--it_maps_simulated"


def rows_of(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_table_is_printed_and_files_hold_it_and_the_figure(tmp_path):
    done = succeeded(*RANDOM, "--values", "1.5, 0", "--out", tmp_path, COLUMNS="200")
    assert done.stderr == ""
    assert "timm:test_resnet (random (seed 0)) on it_maps_simulated: score against blur of the features" in done.stdout
    assert "recording  SIMULATED, no animal was recorded" in done.stdout
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{STEM}--blur.{ending}" for ending in ("json", "csv", "png", "svg", "pdf")
    }
    for file in tmp_path.iterdir():
        assert f"written    {file}" in done.stdout
    rows = rows_of(tmp_path / f"{STEM}--blur.csv")
    assert [(row["blur"], row["simulated"], row["layer"]) for row in rows] == [
        ("0.0", "True", "layer3"),
        ("1.5", "True", "layer3"),
    ]
    for row in rows:
        cells = f"{float(row['score']):.3f} │ {float(row['low']):.3f} to {float(row['high']):.3f}"
        assert cells in " ".join(done.stdout.split())
    expected = score("timm:test_resnet", layers="layer3", weights="random")
    assert float(rows[0]["score"]) == pytest.approx(expected.score, abs=1e-12)
    with Image.open(tmp_path / f"{STEM}--blur.png") as image:
        assert min(image.size) > 400
    assert "SIMULATED recording" in (tmp_path / f"{STEM}--blur.svg").read_text()


def test_json_is_what_the_file_holds_and_the_default_folder_is_not_that_of_results(tmp_path):
    home = {"ITMAPS_HOME": tmp_path}
    done = succeeded(*RANDOM[:-1], "layer1", "--over", "components", "--values", "2,40", "--json", **home)
    printed = json.loads(done.stdout)
    assert [row["components"] for row in printed["rows"]] == [2, 32]
    assert "the features of this layer allow 32 components" in printed["notes"][0]
    (file,) = (tmp_path / "profiles").glob("*.json")
    assert json.loads(file.read_text()) == printed
    assert file.stem == f"{STEM}--components".replace("layer3", "layer1")
    assert "No results" in succeeded("results", "list", "--from", tmp_path / "profiles", **home).stdout


def test_the_folder_of_a_recording_is_profiled(images, rng, own_home, tmp_path):
    recorded = rng.normal(size=(6, 4, 6, 7, 8)) + rng.normal(size=(6, 1, 6, 7, 8))
    recording = Recording.from_arrays(None, images, identifier="mine", window=(0, 9), repeats=recorded)
    folder = recording.save(tmp_path / "mine")
    done = succeeded(*RANDOM, "-b", folder, "--values", "0,2", "--out", tmp_path / "out", COLUMNS="200")
    assert "SIMULATED" not in done.stdout
    rows = rows_of(next((tmp_path / "out").glob("*.csv")))
    assert [row["array"] for row in rows] == ["mine", "mine"]
    assert np.isfinite([float(row["raw"]) for row in rows]).all()


def test_a_recording_without_a_noise_ceiling_has_raw_values_and_the_reason(images, rng, own_home, tmp_path):
    maps = rng.normal(size=(6, 6, 7, 1))
    folder = Recording.from_arrays(maps, images, identifier="mine", window=(0, 9)).save(tmp_path / "mine")
    done = succeeded(*RANDOM, "-b", folder, "--values", "0,2", "--out", tmp_path / "out", COLUMNS="200")
    rows = rows_of(next((tmp_path / "out").glob("*.csv")))
    assert all(row["score"] == "" and row["reason"] for row in rows)
    assert f"no score: {rows[0]['reason']}" in done.stdout


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("cannot be blurred by -1 degrees", ["--values=-1,2"]),
        ("cannot be blurred by 'wide' degrees", ["--values", "1,wide"]),
        ("cannot be blurred by '' degrees", ["--values", ""]),
        ("cannot be blurred by nan degrees", ["--values", "nan"]),
        ("cannot have 0 components", ["--over", "components", "--values", "0"]),
        ("cannot have 2.5 components", ["--over", "components", "--values", "2.5"]),
        ("'size' is not one of", ["--over", "size"]),
        ("A profile is of one layer", ["--layers", "layer2,layer3"]),
        ("A profile is of one layer", ["--layers", "all"]),
        ("ClickMe.alignment has no maps", ["-b", "ClickMe.alignment"]),
        ("Kar2019-ost has no maps", ["-b", "Kar2019-ost"]),
        ("attribution maps, which have no profile", ["-b", "it_maps_attribution_simulated"]),
        ("without a regression, which has no profile", ["-b", "it_maps_rsa_simulated"]),
        ("predicts one array from another one", ["-b", "it_maps_transfer_simulated"]),
        ("has no components. Profile over blur", ["-b", "it_maps_ridge_simulated", "--over", "components"]),
        ("Did you mean it_maps_simulated", ["-b", "it_maps_simulatd"]),
        ("There is no folder", ["-b", "./nofolder"]),
        ("--seed requires random weights", ["--weights", "pretrained", "--seed", "3"]),
    ],
)
def test_wrong_input_is_answered_with_a_sentence(said, arguments, tmp_path):
    assert_refused(2, said, *RANDOM, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["--values", "wide"], ["--layers", "all"], ["-b", "it_maps_attribution_simulated"]]
)
def test_wrong_input_is_found_before_torch_is_imported(arguments):
    watched = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('imported:', *[n for n in ('torch', 'matplotlib') if n in sys.modules]))\n"
        f"sys.argv = ['brainscore', *{[*RANDOM, *arguments]!r}]\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    done = new_python("-c", watched)
    assert (done.returncode, done.stdout.strip()) == (2, "imported:"), done.stderr


def test_an_unknown_model_or_layer_and_a_folder_that_cannot_be_written_are_named(tmp_path):
    assert_refused(4, "Did you mean efficientnet_lite0", "profile", "-m", "efficientnet_light0")
    assert_refused(4, "layer33", *RANDOM[:-1], "layer33")
    (tmp_path / "file").touch()
    assert_refused(5, "Name another folder with --out", *RANDOM, "--out", tmp_path / "file" / "below")
