"""Recordings in Brain-Score's containers, and the files that its maintainers would upload."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import AssemblyLoader, NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.benchmark_helpers import check_standard_format
from recordings import assert_same

from brainscore_itmaps import load_recording
from brainscore_itmaps.bridge.assembly import assembly, package, recording_from, stimulus_set
from brainscore_itmaps.data import sources
from brainscore_itmaps.data.recording import Recording

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(params=["monkey1_PL", "monkey2_ML", "reference", "dropped"])
def recording(request, stand_in):
    if request.param == "reference":
        return load_recording("monkey1_ML", (3, 17), stand_in, protocol="published")
    if request.param == "dropped":
        return replace(load_recording("monkey2_ML", (3, 17), stand_in), dropped=("ch 1", "ch 2"))
    return load_recording(request.param, (3, 17), stand_in)


def test_there_and_back_again_nothing_changes(recording):
    data = assembly(recording)
    check_standard_format(data)
    assert_same(recording_from(data), recording)
    assert recording_from(data).images == recording.images
    shuffled = data.isel(presentation=np.random.default_rng(0).permutation(data.sizes["presentation"]))
    shuffled.attrs = data.attrs
    assert_same(recording_from(shuffled), recording)


def test_every_presentation_and_site_is_named_as_brain_score_wants(stand_in, tmp_path):
    recording = load_recording("monkey2_ML", (3, 17), stand_in)
    data = assembly(recording)
    assert data.dims == ("presentation", "neuroid", "time_bin")
    assert set(data["region"].values) == {"IT"}
    assert set(data["array"].values) == {"ML"}
    assert set(data["subject"].values) == {"monkey2"}
    assert set(data["stimulus_id"].values) == set(recording.names)
    assert len(set(zip(*(data[name].values for name in ("stimulus_id", "row", "col")), strict=True))) == 14 * 81
    position = data.isel(presentation=(data["row"] == 2).values & (data["col"] == 7).values)
    assert set(position["y_deg"].values) == {-4.0}
    assert set(position["x_deg"].values) == {6.0}
    np.testing.assert_array_equal(position.values[..., 0], recording.maps[:, 2, 7])
    stimuli = stimulus_set(recording)
    assert list(stimuli["stimulus_id"]) == list(recording.names)
    (folder,) = {path.parent for path in stimuli.stimulus_paths.values()}
    assert folder.parent == tmp_path / "brainio"
    assert stimuli.identifier == f"Arcaro2020.monkey2.stimuli--simulated--{folder.name.rpartition('-')[2]}"
    other = stimulus_set(load_recording("monkey1_PL", (3, 17), stand_in))
    assert other.identifier == stimulus_set(load_recording("monkey1_ML", (3, 17), stand_in)).identifier
    assert not {path.name for path in other.stimulus_paths.values()} & {
        path.name for path in stimuli.stimulus_paths.values()
    }


def test_repeats_travel_as_repetitions(own_home):
    recording = load_recording("it_maps_simulated")
    data = assembly(recording, repeats=True)
    assert data.sizes["presentation"] == 14 * 6 * 17 * 17
    assert_same(recording_from(data), recording)


def test_packaged_files_are_read_back_by_brain_score_and_their_sha1_is_reported(recording, tmp_path):
    description = package(recording, tmp_path / "out")
    files = {entry["name"].rsplit(".", 1)[1]: tmp_path / "out" / entry["name"] for entry in description["files"]}
    assert set(files) == {"nc", "csv", "zip"}
    for entry in description["files"]:
        content = (tmp_path / "out" / entry["name"]).read_bytes()
        assert entry["sha1"] == hashlib.sha1(content).hexdigest()
        assert entry["size"] == len(content)
    with zipfile.ZipFile(files["zip"]) as archive:
        archive.extractall(tmp_path / "images")
    stimuli = StimulusSet.from_files(files["csv"], tmp_path / "images")
    data = AssemblyLoader(cls=NeuroidAssembly, file_path=files["nc"]).load()
    assert_same(recording_from(data, stimuli), recording)
    (json_file,) = (tmp_path / "out").glob("*.json")
    assert json.loads(json_file.read_text()) == description
    assert description["simulated"] is True


def test_images_that_merely_lie_under_brain_score_s_home_are_named_by_what_they_show(images, tmp_path):
    home = tmp_path / "brainio" / "mine"
    home.mkdir(parents=True)
    identifiers = set()
    for turn in range(2):
        files = [shutil.copy(image, home / f"{number}.png") for number, image in enumerate(images[turn : turn + 3])]
        recording_of_files = Recording.from_arrays(np.ones((3, 2, 2, 1)), files, identifier="x", window=(0, 9))
        identifiers.add(stimulus_set(recording_of_files).identifier)
    assert len(identifiers) == 2


def test_no_name_leads_out_of_the_folder(recording, tmp_path):
    package(replace(recording, identifier="../../lab/array"), tmp_path / "deep" / "out")
    assert [path.name for path in tmp_path.rglob("*.nc")] == ["assy_lab_array.nc"]
    assert len(list((tmp_path / "deep" / "out").iterdir())) == 4


def test_brain_score_finds_the_arrays_by_name(stand_in):
    from brainscore_vision import load_dataset, load_stimulus_set

    from brainscore_itmaps.bridge.plugins import attach

    attach()
    record = sources.fetch(file=stand_in)
    window = sources.ARRAYS["monkey2_ML"].windows
    window["elife"], before = (3, 17), window["elife"]  # the short stand-in does not reach as far as eLife's window
    try:
        data = load_dataset("Arcaro2020.monkey2_ML")
        assert data.attrs["sha256"] == record.sha256
        assert data.attrs["identifier"] == "Arcaro2020.monkey2_ML-simulated"
        assert data.attrs["simulated"]
        assert_same(recording_from(data), load_recording("monkey2_ML"))
        stimuli = load_stimulus_set("Arcaro2020.monkey2.stimuli")
        assert list(stimuli["stimulus_id"]) == list(dict.fromkeys(data["image_id"].values))
    finally:
        window["elife"] = before
