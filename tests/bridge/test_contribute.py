"""`brainscore contribute`: what is exported, what is refused, and that a clone is changed wholly or not at all."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import brainscore
from contribution import clone_of_brain_score, contributed, everything_known, git, python_in

from brainscore_itmaps import score
from brainscore_itmaps.bridge import contribute, contribution_files
from brainscore_itmaps.bridge.assembly import package
from brainscore_itmaps.bridge.contribute import check, export, run_tests_in
from brainscore_itmaps.bridge.contribution import (
    METRICS,
    Known,
    S3Facts,
    contributable,
    folders_of,
    plan_of,
    read_s3_facts,
)
from brainscore_itmaps.bridge.contribution_files import is_exported, with_header, write_folders
from brainscore_itmaps.bridge.contribution_text import RECORDINGS_LETTER, WEIGHTS_LETTER, letters, pull_request
from brainscore_itmaps.errors import DataError, InstallationError, OutputError, UsageError
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.zoo import ZOO


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return clone_of_brain_score(tmp_path_factory.mktemp("empty") / "clone")


@pytest.fixture
def clone(empty, tmp_path):
    shutil.copytree(empty, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def content(clone):
    files = (file for file in clone.rglob("*") if file.is_file() and not {".git", "__pycache__"} & set(file.parts))
    return {file.relative_to(clone): file.read_bytes() for file in files}


def test_an_export_twice_gives_the_same_bytes_and_replaces_only_what_it_wrote(clone, tmp_path):
    before, versions = content(clone), []
    for _ in range(2):
        exported = export(["it_maps_simulated", "efficientnet_lite0"], clone, S3Facts(), tmp_path / "files", draft=True)
        written = content(clone)
        assert written.keys() - before.keys() == {
            (clone / "brainscore_vision" / name).relative_to(clone) for name in exported.sizes
        }
        assert {name: written[name] for name in before} == before
        versions.append(written)
    assert versions[0] == versions[1]
    assert not list((clone / "brainscore_vision").glob(".itmaps-*"))


def test_simulated_data_are_refused_but_in_a_draft_and_have_no_text_of_a_pull_request(clone, tmp_path):
    before = content(clone)
    with pytest.raises(UsageError, match="SIMULATED") as refused:
        export(["it_maps_simulated"], clone, S3Facts(), tmp_path / "files")
    assert "--draft" in refused.value.fix
    assert content(clone) == before
    plan = plan_of(["it_maps_simulated", "efficientnet_lite0"])
    assert pull_request(plan, everything_known(["it_maps_simulated"]), {}) == ""


@pytest.mark.usefixtures("own_home")
def test_files_that_are_not_on_s3_are_asked_for_by_name(clone, tmp_path):
    with pytest.raises(
        UsageError, match=r"7 files are not known to be on S3: assy_Arcaro2020_monkey1_PL\.nc"
    ) as refused:
        export(["it_maps"], clone, S3Facts(), tmp_path / "files")
    assert "--s3 FILE" in refused.value.fix
    with pytest.raises(UsageError, match=r"harmonized_vgg16\.safetensors"):
        export(["harmonized_vgg16"], clone, S3Facts(), tmp_path / "files")
    assert not (clone / "brainscore_vision" / "models" / "harmonized_vgg16").exists()


@pytest.mark.usefixtures("own_home")
def test_a_benchmark_whose_recordings_are_not_here_is_refused_because_its_score_is_unknown(clone, tmp_path):
    with pytest.raises(UsageError, match="expected score is unknown"):
        export(["it_maps"], clone, everything_known(["it_maps"]).s3, tmp_path / "files")


def test_a_folder_of_somebody_else_and_an_edited_one_are_refused(clone, tmp_path):
    folder = clone / "brainscore_vision" / "models" / "efficientnet_lite0"
    folder.mkdir()
    (folder / "__init__.py").write_text("model_registry['efficientnet_lite0'] = lambda: 1\n")
    with pytest.raises(UsageError, match="was not written by this command"):
        export(["efficientnet_lite0"], clone, S3Facts(), tmp_path / "files")
    shutil.rmtree(folder)
    export(["efficientnet_lite0"], clone, S3Facts(), tmp_path / "files")
    assert is_exported(folder)
    with (folder / "model.py").open("a") as file:
        file.write("x = 1\n")
    with pytest.raises(UsageError, match="edited since"):
        export(["efficientnet_lite0"], clone, S3Facts(), tmp_path / "files")
    assert (folder / "model.py").read_text().endswith("x = 1\n")


def test_a_name_that_is_taken_leaves_the_clone_unchanged(clone, tmp_path):
    other = clone / "brainscore_vision" / "models" / "other"
    other.mkdir()
    (other / "__init__.py").write_text('model_registry["efficientnet_lite0"] = lambda: 1\n')
    git(clone, "add", "-A")
    before = content(clone)
    with pytest.raises(InstallationError, match="efficientnet_lite0 is registered by models/other") as refused:
        export(["efficientnet_lite0", "itmaps_pls"], clone, S3Facts(), tmp_path / "files")
    assert "Nothing was written" in str(refused.value)
    assert content(clone) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_or_an_interruption_in_the_middle_undoes_everything(error, clone, monkeypatch):
    contributed(clone, ["itmaps_pls"])  # a former export, which is put back
    before, written = content(clone), contribution_files.Written.add

    def fails(self, name, files):
        written(self, name, files)
        if name.startswith("models/"):
            raise error

    monkeypatch.setattr(contribution_files.Written, "add", fails)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_folders(folders_of(plan_of([*METRICS, "efficientnet_lite0"]), Known()), clone)
    assert content(clone) == before
    assert not list((clone / "brainscore_vision").glob(".itmaps-*"))


def die_at(place, stop):
    """Have this process killed before one of its steps that move, or that remove, something."""
    owner = Path if place == "rename" else shutil
    step, steps = getattr(owner, place), iter(range(1, 1000))

    def killed(*arguments, **options):
        if next(steps) == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **options)

    setattr(owner, place, killed)


@pytest.mark.parametrize("place", ["rename", "rmtree"])
def test_what_a_killed_export_wrote_is_undone_by_the_next(clone, place):
    """Killed before each step that moves or removes something; a running export is left alone."""
    contributed(clone, ["itmaps_pls"])
    before = content(clone)
    names = [*METRICS, "efficientnet_lite0"]
    for stop in range(1, 30):
        process = os.fork()
        if process == 0:
            die_at(place, stop)
            write_folders(folders_of(plan_of(names), Known()), clone).keep()
            os._exit(0)
        _, status = os.waitpid(process, 0)
        contribution_files.undo_killed(clone / "brainscore_vision")
        assert not list((clone / "brainscore_vision").glob(".itmaps*"))
        if status == 0:
            break
        done = place == "rmtree" or stop > len(names) + 1
        assert done or content(clone) == before, stop
    assert stop > 1
    assert content(clone) != before


def test_a_running_export_is_left_alone(clone):
    written = write_folders(folders_of(plan_of(["itmaps_pls"]), Known()), clone)
    contribution_files.undo_killed(clone / "brainscore_vision")
    assert written.folders[0].is_dir()
    assert list((clone / "brainscore_vision").glob(".itmaps-*"))
    written.undo()


def test_a_folder_that_is_no_clone_an_unknown_name_and_a_benchmark_of_one_array_are_told(tmp_path):
    with pytest.raises(UsageError, match="is not a clone of Brain-Score"):
        export(["itmaps_pls"], tmp_path, S3Facts(), tmp_path / "files")
    with pytest.raises(UsageError, match="nothing to contribute named 'it_mapz'") as refused:
        plan_of(["it_mapz"])
    assert "it_maps" in refused.value.fix
    with pytest.raises(UsageError, match="averages the arrays"):
        plan_of(["Arcaro2020.monkey1_PL-pls"])
    with pytest.raises(UsageError, match="one model in a zip"):
        export(["itmaps_pls"], tmp_path / "a.zip", S3Facts(), tmp_path / "files")
    with pytest.raises(UsageError, match="Tests run in a clone"):
        run_tests_in([], None)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"files": {}}', '{"bucket": "b", "files": {"a.nc": {}}}', '{"bucket": 1, "files": {}}',
     '{"bucket": "b", "files": {"a.nc": {"version_id": "v", "sha1": "short"}}}',
     '{"bucket": "b", "files": {"a.nc": 1}}'],
)  # fmt: skip
def test_s3_facts_of_another_form_are_refused_with_an_example(text, tmp_path):
    (tmp_path / "s3.json").write_text(text)
    with pytest.raises(DataError, match="S3 facts") as refused:
        read_s3_facts(tmp_path / "s3.json")
    assert "version_id" in refused.value.fix
    with pytest.raises(DataError, match="cannot be read"):
        read_s3_facts(tmp_path / "gone.json")


def test_a_file_that_differs_from_the_one_on_s3_is_told(clone, tmp_path):
    facts = S3Facts("b", {}, {"assy_it_maps_simulated.nc": "0" * 40})
    with pytest.raises(DataError, match="the S3 facts state 000"):
        export(["it_maps_simulated"], clone, facts, tmp_path / "files", draft=True)


def test_every_name_is_written_without_an_import_of_this_package_and_parses():
    plan = plan_of(contributable())
    for name, files in folders_of(plan, Known(), metadata=True).items():
        for path, text in files.items():
            if path.endswith(".py"):
                compile(with_header(path, text), f"{name}/{path}", "exec")
                assert "import brainscore_itmaps" not in text
                assert "from brainscore_itmaps" not in text
                assert ">>>" not in text  # examples import this package


def test_the_library_of_the_benchmark_holds_only_what_it_reaches():
    files = folders_of(plan_of(["it_maps"]), Known())["metrics/itmaps"]
    text = "\n".join(files.values())
    for absent in ("def ridge_cv", "def ceiling_of_repeats", "class Recording", "class ResultCache", "def rsa"):
        assert absent not in text
    for present in ("def fit_pls", "def halves_of_sites", "def verified_reading", "class LeaderboardBenchmark"):
        assert present in text
    assert "def ridge_cv" in "\n".join(folders_of(plan_of(["itmaps_ridge"]), Known())["metrics/itmaps"].values())


def test_letters_are_written_only_where_a_licence_is_not_stated():
    assert letters(plan_of(["it_maps"])) == [RECORDINGS_LETTER]
    (letter,) = letters(plan_of(["harmonized_vgg16", "resnet50_timm_baseline"]))
    assert letter == WEIGHTS_LETTER.format(models=ZOO["harmonized_vgg16"].title)
    assert letters(plan_of(["it_maps_simulated", "itmaps_pls"])) == []


def test_the_page_holds_the_letters_that_the_command_prints():
    page = (Path(__file__).parents[2] / "docs" / "contribute.md").read_text()
    written = "\n".join(line.removeprefix("    ") for line in page.splitlines())
    assert RECORDINGS_LETTER in written
    assert WEIGHTS_LETTER.format(models=", ".join(spec.title for spec in HARMONIZED.values())).strip() in written


def test_the_text_of_a_pull_request_names_files_scores_and_licences():
    names = ["it_maps", "harmonized_vgg16"]
    text = pull_request(plan_of(names), everything_known(names), {"Arcaro2020.IT-pls": {"a_model": "score .5"}})
    expected = ("# Add Arcaro2020.IT-pls", "place_on_screen", "attrs['uncut']", "raw 0.3000", "a_model: score .5",
                "harmonized_vgg16.safetensors`: sha1 0000", "states no licence", "a maintainer adds first")  # fmt: skip
    assert [words for words in expected if words not in text] == []


def test_the_command_line_prints_files_commands_and_ends_with_5_where_a_rule_is_broken(clone, tmp_path):
    done = brainscore("contribute", "export", "efficientnet_lite0", "itmaps_pls", "--to", clone, ITMAPS_HOME=tmp_path)
    assert done.returncode == 0, done.stderr
    for expected in (
        "models/efficientnet_lite0/model.py",
        "contribute check --to",
        "git -C",
        "# Add efficientnet_lite0",
    ):
        assert expected in done.stdout
    assert brainscore("contribute", "check", "--to", clone).returncode == 0
    (clone / "brainscore_vision" / "models" / "efficientnet_lite0" / "requirements.txt").write_text("numpy\n")
    done = brainscore("contribute", "check", "efficientnet_lite0", "--to", clone)
    assert done.returncode == 5
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL  numpy-below-2")]
    assert line.endswith("lets numpy 2 in. -> Write numpy<2. [#2146]")
    assert brainscore("contribute", "check", "--to", tmp_path).returncode == 2
    assert brainscore("contribute", "check", "efficientnet_lite1", "--to", clone).returncode == 2


def test_everything_but_facts_and_expected_values_is_complete():
    assert {line.rule for line in check() if line.status != "ok"} == {"expected-values", "s3-facts"}


@pytest.fixture
def as_recorded(monkeypatch):
    """Recordings of the real form, without repeats: simulated maps that are taken for those of the three arrays."""
    from brainscore_itmaps import load_recording
    from brainscore_itmaps.bridge import contribution_known
    from brainscore_itmaps.data.arcaro2020 import ARRAYS

    simulated = load_recording("it_maps_simulated")
    recordings = {
        name: replace(simulated, identifier=array.identifier, subject=array.subject, area=array.area, repeats=None,
                      simulated=False)
        for name, array in ARRAYS.items()
    }  # fmt: skip
    monkeypatch.setattr(contribution_known, "stored_recordings", lambda dataset: recordings)
    return recordings


@pytest.mark.slow
@pytest.mark.usefixtures("own_home")
def test_three_arrays_in_two_monkeys_become_one_benchmark_that_keeps_every_rule(
    clone, tmp_path, as_recorded, monkeypatch
):
    files, facts = tmp_path / "files", {}
    for name, recording in as_recorded.items():
        facts |= {file["name"]: file["sha1"] for file in package(recording, tmp_path / name)["files"]}
    s3 = S3Facts("bucket/folder", dict.fromkeys(facts, "v1"), facts)
    assert len(facts) == 7
    exported = export(["it_maps"], clone, s3, files)
    assert {line.rule for line in exported.checked if line.status != "ok"} == set()
    monkeypatch.setattr(contribute, "files_folder", lambda: files)
    runs = run_tests_in([], clone)
    assert {(line.where, line.found) for line in runs if line.status != "ok"} == set()
    text = pull_request(exported.plan, exported.known, {})
    assert all(f"`{name}`: sha1 {sha1}, version v1" in text for name, sha1 in facts.items())
    assert f"raw {exported.known.scores['Arcaro2020.IT-pls']['raw']:.4f}" in text


@pytest.mark.usefixtures("own_home")
def test_a_stand_in_is_never_taken_for_the_recording(stand_in):
    from brainscore_itmaps import load_recording
    from brainscore_itmaps.bridge.contribution import ARCARO
    from brainscore_itmaps.bridge.contribution_known import check_contributable

    with pytest.raises(DataError, match="SIMULATED stand-in"):
        check_contributable(load_recording("monkey1_PL", (3, 17), stand_in), ARCARO)


SCORES = """
import warnings; warnings.filterwarnings("ignore")
from brainscore_vision import load_benchmark, load_model
for identifier, name in {pairs}:
    score = load_benchmark(identifier)(load_model(name))
    print(identifier, name, repr(score.attrs["uncut"]), repr(float(score.attrs["raw"])),
          repr(float(score.attrs["ceiling"])), repr(score.attrs["error"]), float(score))
"""


@pytest.mark.slow
def test_in_a_clone_without_this_package_everything_passes_its_tests_and_scores_are_ours(clone, tmp_path, monkeypatch):
    from keras_files import layout, write_keras

    from brainscore_itmaps.bridge.contribution_run import download_folders
    from brainscore_itmaps.models.weights import fetch_weights

    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path / "home"))
    harmonized, baseline = "harmonized_levit_128", "levit_128_timm_baseline"  # weights of the real form, not trained
    write_keras(tmp_path / "levit.h5", layout("levit_small"))
    fetch_weights(ZOO[harmonized], tmp_path / "levit.h5")
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(timm.create_model("levit_128").state_dict(), tmp_path / "levit.pth")
    fetch_weights(ZOO[baseline], tmp_path / "levit.pth")
    facts = {}
    for name in (harmonized, baseline):
        done = brainscore("contribute", "weights", name, "--out", tmp_path / "packaged")
        assert done.returncode == 0, done.stderr
        facts[f"{name}.safetensors"] = {"version_id": "v1", "sha1": re.search(r"\b[0-9a-f]{40}\b", done.stdout)[0]}
    (tmp_path / "s3.json").write_text(json.dumps({"bucket": "bucket/models", "files": facts}))

    names = ["it_maps_simulated", "it_maps_textures_simulated", *METRICS, "efficientnet_lite0", harmonized, baseline]
    files = contribute.files_folder()
    export(names, clone, read_s3_facts(tmp_path / "s3.json"), files, draft=True)
    runs = run_tests_in([], clone)
    assert len(runs) == 11  # folders, and the generic tests of three models
    assert {(line.where, line.found) for line in runs if line.status != "ok"} == set()

    models = ["efficientnet_lite0", harmonized, baseline]
    pairs = [*(("it_maps_simulated", name) for name in models), ("it_maps_textures_simulated", "efficientnet_lite0")]
    environment = {name: str(folder) for name, folder in download_folders(files).items()}
    lines = python_in(clone, SCORES.format(pairs=pairs), **environment).splitlines()
    for line, pair in zip(lines, pairs, strict=True):
        ours = score(pair[1], pair[0], controls=False)
        *printed, uncut, raw, ceiling, error, cut = line.split()
        assert tuple(printed) == pair
        numbers = [float(number) for number in (uncut, raw, ceiling, error, cut)]
        expected = [ours.score, ours.raw, ours.ceiling, ours.error, min(ours.score, 1)]
        np.testing.assert_allclose(numbers, expected, rtol=1e-11)
    done = subprocess.run(
        [sys.executable, "-c", "import brainscore_itmaps"],
        cwd=clone, capture_output=True, check=False, env={"PYTHONPATH": str(clone)},
    )  # fmt: skip
    assert b"forbidden" in done.stderr
