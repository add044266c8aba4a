"""`brainscore data fetch osie` on the command line."""

import pytest
from answers import assert_refused, succeeded
from gaze import pinned, write_gaze
from typer.testing import CliRunner

from brainscore_itmaps.cli.app import app
from brainscore_itmaps.data import osie

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.mark.parametrize(
    ("arguments", "code", "expected_text"),
    [
        (["osie", "--split", "val"], 2, "Leave out --split and --sha256"),
        (["osie", "--sha256", "0" * 64], 2, "Leave out --split and --sha256"),
        (["osie", "--images", "50"], 2, "OSIE.gaze 100, OSIE.gaze700 700"),
        (["osie", "--images", "0"], 2, "OSIE.gaze 100, OSIE.gaze700 700"),
        (["--images", "700"], 2, "--images applies only to OSIE"),
        (["osie", "--from", "nowhere"], 3, "There is no folder nowhere"),
        (["osie", "--offline"], 3, "101 of 101 files of OSIE"),
        (["osie", "--images", "700", "--offline"], 3, "brainscore data fetch osie --images 700 --from FOLDER"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(arguments, code, expected_text):
    assert_refused(code, expected_text, "data", "fetch", *arguments, COLUMNS="300", NO_COLOR="1")


def test_the_files_are_read_from_a_folder_and_the_next_command_is_named(tmp_path, rng, monkeypatch):
    folder = write_gaze(tmp_path / "usb", 3, rng)
    monkeypatch.setattr(osie, "MANIFEST", pinned(folder))
    monkeypatch.setitem(osie.RECORDINGS, "OSIE.gaze", 100)
    for new in ("4 of them new", "all there already"):
        done = CliRunner().invoke(app, ["data", "fetch", "osie", "--from", str(folder)])
        assert (done.exit_code, new in done.output) == (0, True), done.output
    assert "MIT licence" in done.output
    assert "brainscore score --model efficientnet_lite0 --benchmark OSIE.gaze-pls" in done.output.replace("\n", " ")


def test_list_names_the_command_that_downloads_a_recording():
    listed = " ".join(succeeded("data", "list", COLUMNS="200").stdout.split())
    assert "not downloaded: brainscore data fetch osie --images 700" in listed
