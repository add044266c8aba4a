import json

import pytest
from answers import succeeded
from command_line import brainscore

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import DataError


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A home in which one model was scored."""
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
    shown = brainscore("results", "show", name, ITMAPS_HOME=home)
    assert shown.stdout == printed.split("written ")[0]
    by_file = brainscore("results", "show", home / "results" / f"{name}.json", ITMAPS_HOME=home)
    assert by_file.stdout == shown.stdout


def test_what_is_kept_is_removed_and_results_stay(scored):
    home, _ = scored
    files = sorted((home / "results").iterdir())
    assert list((home / "kept").rglob("*.npz"))
    done = brainscore("results", "clean", ITMAPS_HOME=home)
    assert "saved results are unchanged" in done.stdout
    assert not (home / "kept").exists()
    assert sorted((home / "results").iterdir()) == files


def test_unknown_and_damaged_results_are_said_to_be(scored, tmp_path):
    home, _ = scored
    done = brainscore("results", "show", "timm-test_vit-random-seed-0--chosen", ITMAPS_HOME=home)
    assert (done.returncode, "Did you mean timm-test_vit-random" in done.stderr) == (2, True)
    for file in (home / "results").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (written,) = tmp_path.glob("*.json")
    assert Result.load(written).to_dict()["arrays"][0]["sites"][0] == "simulated-00"
    npz = written.with_name(written.stem + ".npz")
    whole = npz.read_bytes()
    npz.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="is not the file that was written with it"):
        Result.load(written)
    done = brainscore("results", "list", "--from", tmp_path)
    assert (done.returncode, "cannot be read as a result" in done.stdout) == (0, True)
    npz.write_bytes(whole)
    told = json.loads(written.read_text())
    for change in ({"version": 1}, {"format": "another"}, {"arrays": [{}]}):
        written.write_text(json.dumps(told | change))
        with pytest.raises(DataError, match="cannot be read as a result"):
            Result.load(written)


def test_a_folder_without_results_says_so(tmp_path):
    assert f"No results in {tmp_path}" in brainscore("results", "list", "--from", tmp_path).stdout
