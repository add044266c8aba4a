import json
import shutil
from dataclasses import replace

import pytest
from answers import assert_refused, succeeded
from command_line import brainscore
from edited import rewrite

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.text import interval_text


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """ITMAPS_HOME with the result of one model, and the printed output."""
    home = tmp_path_factory.mktemp("home")
    arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "--layers", "blocks.1,blocks.3")
    done = succeeded(*arguments, ITMAPS_HOME=home)
    return home, done.stdout


def test_results_are_listed_and_shown_as_they_were_printed(scored):
    home, printed = scored
    name = "timm-test_vit-random-seed-0--chosen-of-2--it_maps_simulated"
    listed = brainscore("results", "list", ITMAPS_HOME=home, COLUMNS="200").stdout
    assert name in listed
    assert str(home / "results") in listed
    printed_again = brainscore("results", "show", name, ITMAPS_HOME=home)
    assert printed_again.stdout == f"{printed.split('written ')[0]}next       brainscore report {name}\n"
    by_file = brainscore("results", "show", home / "results" / f"{name}.json", ITMAPS_HOME=home)
    assert by_file.stdout == printed_again.stdout


def test_the_best_control_is_listed_beside_the_score_where_there_is_room(scored, tmp_path):
    home, _ = scored
    (file,) = (home / "results").glob("*.json")
    result = Result.load(file)
    best = f"{result.best_control} {result.controls[result.best_control].score:.3f}"
    wide = brainscore("results", "list", ITMAPS_HOME=home, COLUMNS="200").stdout
    (row,) = (line for line in wide.splitlines() if f"│ {file.stem}" in line)
    assert [cell.strip() for cell in row.split("│")][5:7] == [interval_text(*result.interval), best]
    narrow = brainscore("results", "list", ITMAPS_HOME=home, COLUMNS="80").stdout.split("results    ")[0]
    assert max(map(len, narrow.splitlines())) <= 80
    assert f"best control {best}" in narrow
    arrays = (replace(result.arrays[0], controls={}, added={}, null=None),)
    replace(result, arrays=arrays, controls={}, added={}, null=None).save(tmp_path)
    assert "best control" not in brainscore("results", "list", "--from", tmp_path, COLUMNS="200").stdout


def test_the_cache_is_emptied_and_results_stay(scored):
    home, _ = scored
    files = sorted((home / "results").iterdir())
    assert list((home / "kept").rglob("*.npz"))
    done = brainscore("results", "clean", ITMAPS_HOME=home)
    assert "saved results are unchanged" in done.stdout
    assert not (home / "kept").exists()
    assert sorted((home / "results").iterdir()) == files


def test_unknown_and_damaged_results_are_reported(scored, tmp_path):
    home, _ = scored
    done = brainscore("results", "show", "timm-test_vit-random-seed-0--chosen", ITMAPS_HOME=home)
    assert (done.returncode, "Did you mean timm-test_vit-random" in done.stderr) == (2, True)
    for file in (home / "results").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (written,) = tmp_path.glob("*.json")
    assert Result.load(written).to_dict()["arrays"][0]["sites"][0] == "simulated-00"
    npz = written.with_name(written.stem + ".npz")
    content = npz.read_bytes()
    npz.write_bytes(content[:-100])
    with pytest.raises(DataError, match="is not the file that was written with it"):
        Result.load(written)
    done = brainscore("results", "list", "--from", tmp_path)
    assert (done.returncode, "cannot be read as a result" in done.stdout) == (0, True)
    npz.write_bytes(content)
    saved = json.loads(written.read_text())
    for change in ({"version": 1}, {"format": "another"}, {"arrays": [{}]}):
        rewrite(written, saved | change)
        with pytest.raises(DataError, match="cannot be read as a result"):
            Result.load(written)


def test_a_folder_without_results_says_so(tmp_path):
    assert f"No results in {tmp_path}" in brainscore("results", "list", "--from", tmp_path).stdout


@pytest.mark.parametrize("command", ["show", "report", "reproduce", "compare"])
def test_a_wrong_name_is_answered_with_the_results_that_exist(scored, tmp_path, command):
    home, _ = scored
    name = "timm-test_vit-random-seed-0--chosen-of-2--it_maps_simulated"
    words = ["results", "show"] if command == "show" else [command]
    out = ["--out", tmp_path / "out"] if command == "compare" else []
    listed, similar = f"Results in {home / 'results'}: {name}.", f"Did you mean {name}?"
    for wrong, suggestion in {"zzz": listed, "timm-test_vit": similar, "no/zzz": listed, f"{name}.json": name}.items():
        assert_refused(2, suggestion, *words, wrong, *out, ITMAPS_HOME=home)
    done = brainscore(*words, "zzz", *out, ITMAPS_HOME=tmp_path)
    assert "has no results: score a model first" in done.stderr


def test_results_of_a_study_are_found_in_its_folder_and_a_missing_folder_is_named(scored, tmp_path):
    home, _ = scored
    name = "timm-test_vit-random-seed-0--chosen-of-2--it_maps_simulated"
    (tmp_path / "study").mkdir()
    shutil.copytree(home / "results", tmp_path / "study" / "results")
    assert name in succeeded("results", "list", "--from", tmp_path / "study", COLUMNS="60").stdout
    assert "timm:test_vit" in succeeded("results", "show", name, "--from", tmp_path / "study").stdout
    for arguments in (["results", "list"], ["results", "show", "x"], ["report", "x"], ["reproduce", "x"]):
        assert_refused(2, "There is no folder", *arguments, "--from", tmp_path / "nofolder")
    assert_refused(2, "is a folder", "results", "show", tmp_path / "study")
    assert_refused(2, "There is no file", "compare", tmp_path / "nofolder", "--out", tmp_path / "out")
