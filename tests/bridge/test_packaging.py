"""Packaged recordings, read by Brain-Score's own loader without a network."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio import fetch, upload_validator
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.s3 import load_assembly_from_s3, load_stimulus_set_from_s3
from brainscore_vision.benchmark_helpers import check_standard_format
from brainscore_vision.benchmark_helpers.cache_contract import assert_stimulus_identifier_is_cacheable
from recordings import assert_same

from brainscore_itmaps import Grid, load_recording
from brainscore_itmaps.bridge.assembly import (
    assembly,
    package,
    put_in_brainio_cache,
    recording_from,
    registered_names,
    stimulus_set,
)
from brainscore_itmaps.bridge.plugins import attach, plugin_folders
from brainscore_itmaps.data.arcaro2020 import ARRAYS
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError

VERSION = {"csv_version_id": None, "zip_version_id": None}


@pytest.fixture(autouse=True)
def home(own_home, monkeypatch):
    monkeypatch.setattr(fetch, "_local_data_path", None)  # Brain-Score reads BRAINIO_HOME once per process


@pytest.fixture
def of_a_user():
    """Unequal repeats, sites with missing values, wide images, names that are numbers, and an odd identifier."""
    rng = np.random.default_rng(0)
    images = {f"{number:02d}": rng.integers(0, 256, (24, 32, 3), dtype=np.uint8) for number in range(3)}
    repeats = [rng.random((count, 4, 5, 6)) for count in (2, 3, 2)]
    repeats[1][:, 2, 1, 4] = np.nan
    grid = Grid(y=np.linspace(-3, 3, 4), x=np.linspace(-5, 4, 5), extent=(12, 16))
    return Recording.from_arrays(
        None, images, repeats=repeats, identifier="my lab/array--1", window=(70, 170), grid=grid, outside=True,
        drop_nan_sites=True, citation="A title, 2026", subject="monkey ä", area="TE",
    )  # fmt: skip


def loaded(description, folder):
    """Read packaged files with Brain-Score's loader; anything that is not in its folder would need the network."""
    put_in_brainio_cache(description, folder)
    sha1 = {entry["name"].rsplit(".", 1)[1]: entry["sha1"] for entry in description["files"]}

    def stimuli():
        return load_stimulus_set_from_s3(
            description["stimulus_set_identifier"], "a-bucket", sha1["csv"], sha1["zip"], **VERSION
        )

    data = load_assembly_from_s3(
        description["identifier"], None, sha1["nc"], "a-bucket", NeuroidAssembly, stimulus_set_loader=stimuli
    )
    return data, stimuli()


def test_registered_names_are_those_of_the_data_plugins():
    lines = []
    for folder in plugin_folders()["data"]:
        pattern = r"^(data|stimulus_set)_registry\['(.+?)'\] = lambda: get_\w+\('(.+?)'\)$"
        lines += re.findall(pattern, (folder / "__init__.py").read_text(), flags=re.MULTILINE)
    assert len(lines) == 13
    for kind, identifier, name in lines:
        recording = SimpleNamespace(identifier=ARRAYS[name].identifier if name in ARRAYS else name)
        assert registered_names(recording)[kind == "stimulus_set"] == identifier
    both = [registered_names(SimpleNamespace(identifier=f"Arcaro2020.monkey1_{area}")).stimuli for area in ("PL", "ML")]
    assert both[0] == both[1]


def test_names_of_other_recordings_stay_apart_from_the_published_ones():
    names = [
        registered_names(SimpleNamespace(identifier=identifier))
        for identifier in ("mylab.array1", "monkey1_PL", "Arcaro2020.monkey1_PL-simulated", "my--lab/å")
    ]
    assert [tuple(each) for each in names] == [
        ("mylab.array1", "mylab.array1.stimuli"),
        ("monkey1_PL", "monkey1_PL.stimuli"),
        ("Arcaro2020.monkey1_PL-simulated", "Arcaro2020.monkey1.stimuli--simulated"),
        ("my-lab", "my-lab.stimuli"),
    ]


@pytest.mark.parametrize("name", ["it_maps_simulated", "monkey1_PL"])
def test_brain_score_s_cache_accepts_the_identifiers_of_images(name, stand_in):
    attach()
    recording = load_recording(name, *((3, 17), stand_in)[: 2 * (name in ARRAYS)])
    live = stimulus_set(recording).identifier
    assert re.fullmatch(re.escape(registered_names(recording).stimuli) + "--[0-9a-f]{12}", live)
    for identifier in (live, registered_names(recording).stimuli, f"{live}--target8.00--source16.00"):
        assert_stimulus_identifier_is_cacheable(identifier)
    with pytest.raises(AssertionError, match="not a registered"):
        assert_stimulus_identifier_is_cacheable(live.replace("--", "-"))


@pytest.mark.parametrize("kind", ["simulated", "monkey1_PL", "reference", "wide"])
def test_brain_score_s_own_loader_gives_back_the_same_recording(kind, stand_in, of_a_user, tmp_path):
    recording = {
        "simulated": lambda: load_recording("it_maps_simulated"),
        "monkey1_PL": lambda: load_recording("monkey1_PL", (3, 17), stand_in),
        "reference": lambda: load_recording("monkey1_ML", (3, 17), stand_in, protocol="published"),
        "wide": lambda: of_a_user,
    }[kind]()
    description = package(recording, tmp_path / "out")
    data, stimuli = loaded(description, tmp_path / "out")
    assert_same(recording_from(data), recording)
    assert_same(recording_from(data, stimuli), recording)
    check_standard_format(data)
    assert stimuli.identifier == data.attrs["stimulus_set_identifier"] == registered_names(recording).stimuli
    assert data.attrs["identifier"] == registered_names(recording).data
    own = set(assembly(recording, repeats=True).indexes["presentation"].names)
    assert set(data.indexes["presentation"].names) == own | {"filename"}  # nothing doubled or renamed
    assert set(data["stimulus_id"].values) == set(stimuli["stimulus_id"])
    numbers = all(name.isdigit() for name in recording.names)  # which pandas would read as numbers
    assert list(stimuli["stimulus_id"]) == [file.name if numbers else file.stem for file in recording.images]
    np.testing.assert_array_equal(data["stimulus_id"].values, data["image_id"].values)


@pytest.mark.parametrize("kind", ["simulated", "wide"])
def test_brain_score_s_validation_accepts_what_is_packaged(kind, of_a_user, tmp_path, monkeypatch):
    recording = of_a_user if kind == "wide" else load_recording("it_maps_simulated")
    data, stimuli = loaded(package(recording, tmp_path), tmp_path)
    monkeypatch.setattr(upload_validator, "missing_in_stimulus_ids", set(), raising=False)  # a name core 2.5 forgot
    assert upload_validator.validate_packaging_data(stimuli, data)
    assert upload_validator.validate_packaging_data(stimulus_set(recording), assembly(recording, repeats=True))
    assert set(assembly(recording)["stimulus_id"].values) == set(stimulus_set(recording)["stimulus_id"])


def test_files_are_identical_in_every_process_and_with_other_folders(of_a_user, tmp_path):
    saved = of_a_user.save(tmp_path / "saved")
    here = package(Recording.load(saved), tmp_path / "here")
    code = (
        "import sys; from pathlib import Path; from brainscore_itmaps.data.recording import Recording; "
        "from brainscore_itmaps.bridge.assembly import package; "
        "package(Recording.load(sys.argv[1]), Path(sys.argv[2]))"
    )
    for seed in ("1", "2"):
        there = tmp_path / f"there{seed}"
        environment = os.environ | {"PYTHONHASHSEED": seed, "BRAINIO_HOME": str(tmp_path / f"home{seed}")}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, saved, there], check=True, env=environment)
        for entry in here["files"]:
            assert (there / entry["name"]).read_bytes() == (tmp_path / "here" / entry["name"]).read_bytes(), entry


def test_arrays_of_a_monkey_share_the_files_of_their_images(stand_in, tmp_path):
    first, second = (
        package(load_recording(f"monkey1_{area}", (3, 17), stand_in), tmp_path)["files"] for area in ("PL", "ML")
    )
    assert (first[1:], first[0] == second[0]) == (second[1:], False)
    assert len(list(tmp_path.glob("*.zip"))) == 1


def test_a_file_that_is_not_the_packaged_one_is_refused(of_a_user, tmp_path):
    description = package(of_a_user, tmp_path)
    file = tmp_path / description["files"][1]["name"]
    file.write_text(file.read_text() + "\n")
    with pytest.raises(DataError, match=r"my_lab_array-1_stimuli\.csv is missing, or is not the file"):
        put_in_brainio_cache(description, tmp_path)


def test_images_of_another_stimulus_set_are_refused(of_a_user, tmp_path):
    other = stimulus_set(load_recording("it_maps_simulated"))
    with pytest.raises(DataError, match="images that are not in its stimulus set"):
        recording_from(assembly(of_a_user), other)


def test_an_image_whose_file_name_a_table_would_not_keep_is_refused(of_a_user, tmp_path):
    files = [image.rename(image.with_name(str(number))) for number, image in enumerate(of_a_user.images)]
    with pytest.raises(DataError, match="cannot hold the image's name 0 as a text"):
        package(replace(of_a_user, images=tuple(files)), tmp_path / "out")
