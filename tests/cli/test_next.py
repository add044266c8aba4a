"""Commands end with the complete command that comes next, which is one that works then."""

import re
import shlex
from pathlib import Path

import pytest
from documented import is_complete
from shown import changed, scored
from typer.testing import CliRunner

from brainscore_itmaps.cli.app import app


def run(*words):
    done = CliRunner().invoke(app, list(map(str, words)), prog_name="brainscore", env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done.output


def next_of(*words):
    """The command on the last line of the output, which is complete."""
    *_, last = run(*words).splitlines()
    found = re.fullmatch(r"next +(?:git clone \S+ && )?(brainscore .*)", last)
    assert found, last
    assert is_complete(found[1])
    return shlex.split(found[1])[1:]


@pytest.fixture
def in_folder(own_home, tmp_path, monkeypatch):
    """A folder to write into, a home with a result, and its name."""
    monkeypatch.chdir(tmp_path)
    (file, *_) = scored().save(own_home.parent / "results")
    return file.stem


@pytest.mark.parametrize(
    "command",
    [
        "data list", "data info it_maps_simulated", "data clean", "data simulate --out a.npz",
        "data simulate --textures 'my textures'", "models list", "models list --set embedded",
        "models show timm:test_resnet", "results list", "results clean", "doctor", "sweep embedded --dry-run",
        "contribute check itmaps_pls",
    ],
)  # fmt: skip
def test_a_command_ends_with_the_next_one(in_folder, command):
    next_of(*shlex.split(command))


@pytest.mark.parametrize(
    ("command", "followed"),
    [
        ("data list", ["data info it_maps_simulated", "data check it_maps_simulated"]),
        ("data clean", ["data list"]),
        ("results clean", ["results list", "results show NAME", "report NAME"]),
        ("models list", ["models show efficientnet_lite0", "score --model efficientnet_lite0"]),
    ],
)
def test_each_next_command_works_when_it_is_run(in_folder, command, followed):
    words = shlex.split(command)
    for expected in followed:
        words = next_of(*words)
        assert words == shlex.split(expected.replace("NAME", in_folder))
    if words[0] != "score":
        next_of(*words)


def test_results_in_another_folder_are_named_by_their_path(in_folder, tmp_path):
    (tmp_path / "my results").mkdir()
    (file, *_) = scored().save(tmp_path / "my results")
    assert next_of("results", "list", "--from", file.parent) == ["results", "show", str(file)]
    assert next_of("results", "show", file) == ["report", str(file)]
    assert next_of("report", file) == ["models", "list"]  # there is nothing to compare yet
    changed(scored(), model="timm:another").save(file.parent)
    assert next_of("report", file) == ["compare", str(file.parent), "--out", "comparison"]
    compared = next_of("compare", file.parent, "--out", "comparison", "--no-maps")
    assert compared[:2] == ["results", "show"]
    assert Path(compared[2]).parent == file.parent


def test_output_for_programs_has_no_next_command(in_folder):
    assert "next  " not in run("models", "list", "--json")
    assert "next  " not in run("score", "--model", "timm:test_resnet", "--weights", "random", "--no-controls", "-q")
