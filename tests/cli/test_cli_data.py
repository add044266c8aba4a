"""`brainscore data` on the command line."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from answers import answered, succeeded
from local_server import CONTENT, send, server
from PIL import Image

from brainscore_itmaps import load_recording
from brainscore_itmaps.data import sources
from brainscore_itmaps.data.grid import ORIENTATIONS, Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.data.simulated_textures import simulate_textures
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import sha256

pytestmark = pytest.mark.usefixtures("own_home")


def test_list_shows_what_is_downloaded_and_imports_no_large_library(stand_in):
    watched = (
        "import sys, atexit\n"
        "heavy = ('torch', 'timm', 'xarray', 'brainscore_vision', 'sklearn', 'matplotlib', 'scipy')\n"
        "atexit.register(lambda: print('imported:', *[name for name in heavy if name in sys.modules]))\n"
        "sys.argv = ['brainscore', 'data', 'list']\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].strip() == "imported:"
    assert re.search(r"monkey2_ML\W+150-300 ms\W+9 x 9\W+not downloaded: brainscore data fetch", done.stdout)
    sources.fetch(file=stand_in)
    assert "downloaded, a SIMULATED stand-in" in answered("data", "list").stdout


def test_fetch_from_a_file_says_what_was_recorded(stand_in, own_home):
    done = succeeded("data", "fetch", "--from", stand_in, "--sha256", sha256(stand_in))
    assert "SIMULATED: this archive is a stand-in" in done.stdout
    assert sha256(stand_in) in done.stdout
    assert str(own_home / "Arcaro2020.lock.json") in done.stdout
    assert sources.recorded_archive().sha256 == sha256(stand_in)


@pytest.mark.parametrize(
    ("arguments", "code", "expected_text"),
    [
        (["fetch", "--from", "nowhere.zip"], 3, "There is no file nowhere.zip"),
        (["fetch", "--from", "a.zip", "--url", "http://x"], 2, "exclude each other"),
        (["fetch", "--url", "foo"], 2, "is not a download URL"),
        (["fetch", "--from", "x" * 300], 5, "File name too long"),
        (["fetch", "--sha256", "abc"], 2, "is not a SHA-256"),
        (["fetch", "--offline"], 3, "offline mode forbids"),
        (["info", "monkey1_PM"], 2, "Did you mean monkey1_ML, monkey1_PL or monkey2_ML?"),
        (["info", "monkey1_PL", "--window", "elive"], 2, "Did you mean elife"),
        (["info", "monkey1_PL", "--source", "nowhere"], 3, "There is no file or folder nowhere"),
        (["orient", "monkey1_PL", "--choose", "flip"], 2, "Did you mean flip_"),
        (["orient", "monkey1_PL", "--choose", "flip_x", "--out", "x.png"], 2, "Leave out --out, or --choose"),
        (["simulate", "--official", "x.zip", "--out", "y.npz"], 2, "exclude each other"),
        (["simulate", "--official", "x.zip", "--textures", "y"], 2, "exclude each other"),
        (["simulate", "--duration", "5"], 2, "requires --official"),
        (["orient", "monkey1_PL", "--out", "x.docx"], 2, "Use .png or .svg or .pdf"),
        (["orient", "it_maps_simulated"], 2, "in its right orientation"),
        (["orient", "it_maps_textures_simulated"], 2, "in its right orientation"),
        (["info", "it_maps_textures_simulated", "--window", "50-100"], 3, "recorded from 100 to 250 ms"),
        (["info", "it_maps_textures_simulated", "--source", "x"], 2, "has no source"),
        (["check", "nowhere"], 3, "There is no folder or recording named 'nowhere'"),
        (["simulate", "--official", "x.tar"], 2, "does not end in .zip"),
        (["package", "monkey1_PL"], 2, "Missing option '--out'"),
        (["clean"], 0, "no files to remove"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(arguments, code, expected_text):
    done = answered("data", *arguments, ITMAPS_OFFLINE="1")
    assert done.returncode == code, done.stderr
    assert expected_text in done.stdout + done.stderr


def test_info_says_what_a_recording_holds(stand_in, own_home):
    answered("data", "fetch", "--from", stand_in)
    done = succeeded("data", "info", "monkey2_ML", "--window", "3-17")
    for expected_text in (
        "Arcaro2020.monkey2_ML-simulated",
        "no animal was recorded",
        "ML of monkey2, left hemisphere",
        "32, monkey2_ML-ch01 to monkey2_ML-ch32",
        "9 x 9 positions, 2 degree(s) apart, over 16 degrees, edges included",
        "3-17 ms after stimulus onset",
        "flip_both",
        "verified: unchanged since",
        sha256(stand_in),
    ):
        assert expected_text in done.stdout
    recording = load_recording("monkey2_ML", (3, 17))
    assert f"from {recording.maps.min():.4g} to {recording.maps.max():.4g}" in done.stdout
    maps = recording.maps.reshape(14, -1, 32)
    rest = [
        np.corrcoef(image_maps[:, s], np.delete(image_maps, s, 1).mean(1))[0, 1]
        for image_maps in maps
        for s in range(32)
    ]
    assert f"r {np.mean(rest):.2f} between" in done.stdout
    done = answered("data", "info", "monkey1_PL", "--window", "3-17", "--protocol", "published", "--source", stand_in)
    assert "33, monkey1_PL-ch01 to monkey1_PL-ch33" in done.stdout
    assert "(no name" not in done.stdout
    with (own_home / "Arcaro2020.zip").open("r+b") as archive:
        record = sources.recorded_archive()
        archive.seek(1000)
        archive.write(b"changed")
    os.utime(own_home / "Arcaro2020.zip", ns=(0, record.changed))
    done = answered("data", "info", "monkey2_ML", "--window", "3-17")
    assert (done.returncode, "has changed since it was recorded" in done.stderr) == (3, True)


def test_info_of_the_simulated_recording_shows_its_repeats():
    done = answered("data", "info", "it_maps_simulated")
    assert "SIMULATED" in done.stdout
    assert re.search(r"repeats\s+6", done.stdout)


def test_a_recording_of_textures_is_written_as_a_folder_that_can_be_scored(tmp_path):
    done = succeeded("data", "simulate", "--textures", tmp_path / "textures1", "--seed", "1")
    assert "SIMULATED" in done.stdout
    written = Recording.load(tmp_path / "textures1")
    np.testing.assert_array_equal(written.maps, simulate_textures(1)[0].maps)
    assert written.identifier == "it_maps_textures_simulated-seed1"
    again = answered("data", "simulate", "--textures", tmp_path / "textures1")
    assert (again.returncode, "already exists" in again.stderr) == (5, True), again.stderr


def test_simulated_recordings_are_listed_and_described():
    assert re.search(r"it_maps_textures_simulated .*SIMULATED", answered("data", "list").stdout)
    assert "SIMULATED" in answered("data", "info", "it_maps_textures_simulated").stdout


@pytest.mark.slow
def test_orient_draws_all_eight_and_records_a_choice(stand_in, tmp_path):
    figure = tmp_path / "eight.png"
    arguments = ("data", "orient", "monkey2_ML", "--window", "0-20", "--source", stand_in)
    done = succeeded(*arguments, "--out", figure)
    assert all(name in done.stdout for name in ORIENTATIONS)
    with Image.open(figure) as image:
        assert min(image.size) > 800
    assert "transpose now applies to all arrays of monkey2" in answered(*arguments, "--choose", "transpose").stdout
    assert load_recording("monkey2_ML", (0, 20), stand_in).orientation == "transpose"
    assert "current    transpose" in answered(*arguments, "--out", figure).stdout


def test_check_prints_problems_and_notes(images, tmp_path, rng):
    maps = rng.normal(size=(6, 3, 3, 2))
    maps[1, :, :, 0] = 4
    recording = Recording.from_arrays(maps, images, identifier="mine", window=(0, 9))
    folder = recording.save(tmp_path / "my [b]recording")
    done = succeeded("data", "check", folder)
    assert "mine: 6 images, 3 x 3 positions, 2 sites. No problems were found." in done.stdout
    assert "1 maps are constant" in done.stdout
    assert "site-00 on image-1" in done.stdout
    assert "has no repeats" in done.stdout
    (folder / "images" / "image-2.png").unlink()
    done = answered("data", "check", folder)
    assert done.returncode == 3
    assert "The image images/image-2.png is missing." in done.stdout


def test_package_writes_what_it_names(stand_in, tmp_path):
    out = tmp_path / "out"
    done = succeeded("data", "package", "monkey2_ML", "--window", "3-17", "--source", stand_in, "--out", out)
    assert "SIMULATED: do not upload" in done.stdout
    files = re.findall(r"^sha1 ([0-9a-f]{40})  (\S+) \(", done.stdout, flags=re.MULTILINE)
    assert len(files) == 3
    for _, file in files:
        assert Path(file).exists()


def test_simulate_official_writes_an_archive_that_can_be_fetched(tmp_path):
    done = succeeded("data", "simulate", "--official", tmp_path / "s.zip", "--duration", "2", "--seed", "5")
    assert "SIMULATED archive" in done.stdout
    assert sources.fetch(file=tmp_path / "s.zip").simulated
    done = answered("data", "simulate", "--official", tmp_path / "s.zip")
    assert (done.returncode, "already exists" in done.stderr) == (2, True)


def test_clean_says_what_it_removed(stand_in, own_home):
    sources.fetch(file=stand_in)
    done = answered("data", "clean")
    assert re.search(r"removed \S+Arcaro2020-[0-9a-f]{16} \(\d", done.stdout)
    assert (own_home / "Arcaro2020.zip").exists()
    assert f"removed {own_home / 'Arcaro2020.zip'}" in answered("data", "clean", "--all").stdout


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_control_c_during_a_download_ends_with_130_and_leaves_nothing(own_home):
    arrived, stop = threading.Event(), threading.Event()

    def answer(handler, number):
        send(handler, CONTENT[:200_000], length=len(CONTENT))
        arrived.set()
        stop.wait(30)

    with server(answer) as running:
        process = subprocess.Popen(
            [sys.executable, "-m", "brainscore_itmaps", "data", "fetch", "--url", running.url],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert arrived.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        stop.set()
    assert process.returncode == 130
    assert errors.strip() == "interrupted; run the same command again to resume."
    assert [path.name for path in own_home.iterdir() if path.name != ".lock"] == []


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_download_that_fails_gives_one_sentence(own_home):
    with server(lambda handler, number: None) as running:
        done = answered("data", "fetch", "--url", running.url)
    assert done.returncode == 5
    assert running.url in done.stderr
    assert "tried 3 times" in done.stderr
    assert "--from FILE" in done.stderr


def test_a_folder_of_files_is_a_source_too(unpacked, tmp_path):
    shutil.copytree(unpacked / "Arcaro2020" / "Red", tmp_path / "files")
    done = succeeded("data", "info", "monkey2_ML", "--window", "3-17", "--source", tmp_path / "files")
    assert f"source       {tmp_path / 'files'}" in done.stdout


@pytest.mark.slow
def test_own_maps_are_scored_from_their_folder(tmp_path):
    folder = load_recording("it_maps_simulated").save(tmp_path / "mine")
    figure = tmp_path / "maps.png"
    arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "--out", tmp_path / "results")
    done = succeeded(*arguments, "--benchmark", folder, "--figure", figure)
    assert "SIMULATED" in done.stdout
    assert figure.exists()
    assert answered(*arguments, "-q", "-b", folder).stdout == answered(*arguments, "-q").stdout
    assert "has no recording.json" in answered(*arguments, "-b", tmp_path).stderr


@pytest.fixture
def table(images, tmp_path, rng):
    """A table as a German Excel writes it, with one missing value of site b, and names without suffix."""
    cells = product([file.stem.upper() for file in images], (-3, 0, 3), (-4, 4), "ab")
    lines = [f"{image};{y};{x};{site};{rng.random():.6f}".replace(".", ",") for image, y, x, site in cells]
    lines[-1] = lines[-1].rpartition(";")[0] + ";"
    file = tmp_path / "Messung März.csv"
    file.write_text("\r\n".join(["Bild;y;x;Kanal;Rate", *lines]), encoding="utf-8-sig")
    return file


def test_a_table_becomes_a_recording_that_every_command_accepts(table, images, tmp_path):
    named = ("--column", "image=Bild", "--column", "site=Kanal", "--column", "value=Rate")
    arguments = ("data", "import", table, "--images", tmp_path, "--identifier", "lab.ö", "--window", "70-170", *named)
    folder = tmp_path / "own"
    assert "1 site(s) have values that are not finite (b)" in answered(*arguments, "--extent", "8").stderr
    done = succeeded(*arguments, "--extent", "8", "--drop-nan-sites", "--out", folder)
    assert "lab.ö: 6 images, 3 x 2 positions, 1 sites" in done.stdout
    assert "left out   b, which have missing values" in done.stdout
    recording = load_recording(folder)
    assert (recording.dropped, recording.grid.extent, recording.window) == (("b",), 8.0, (70, 170))
    assert load_recording(str(folder)).sha256 == recording.sha256
    assert load_recording(recording) is recording
    assert "left out because values are missing: b" in succeeded("data", "info", folder).stdout
    checked = succeeded("data", "check", folder)
    assert "Note: 1 sites with missing values are left out: b." in checked.stdout
    assert "--column banana is not a part and a name" in answered(*arguments, "--column", "banana").stderr
    assert "--extent wide is not a size" in answered(*arguments, "--extent", "wide").stderr
    with pytest.raises(UsageError, match="one source, one window"):
        load_recording(folder, "elife")


def test_a_table_is_imported_under_names_beyond_ascii_in_the_c_locale(table, tmp_path):
    named = ("--column", "image=Bild", "--column", "site=Kanal", "--column", "value=Rate", "--drop-nan-sites")
    arguments = ["data", "import", table, "--images", tmp_path, "--identifier", "lab.ö", "--area", "Größe", *named]
    environment = {name: value for name, value in os.environ.items() if name not in ("LANG", "PYTHONUTF8")}
    done = subprocess.run(
        [sys.executable, "-m", "brainscore_itmaps", *arguments, "--window", "70-170", "--out", tmp_path / "own"],
        env=environment | {"LC_ALL": "C", "PYTHONUTF8": "0"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    recording = load_recording(tmp_path / "own")
    assert (recording.identifier, recording.area) == ("lab.ö", "Größe")


def test_check_warns_of_what_is_valid_but_unlikely(images, tmp_path, rng):
    Image.open(images[0]).save(tmp_path / "again.png")
    repeats = rng.uniform(0, 9000, size=(6, 4, 3, 3, 2))
    repeats[2, 1:] = np.nan
    shown = (*images[:5], tmp_path / "again.png")
    grid = Grid([-3, 0, 3], [-3, 0, 3], 120)
    recording = Recording.from_arrays(None, shown, repeats=repeats, identifier="mine", window=(0, 9), grid=grid)
    done = succeeded("data", "check", recording.save(tmp_path / "own"))
    for note in (
        "Some images are identical, and are left out together when a model is scored: image-0 = again.",
        "The images are 120 degrees",
        "The positions cover 5% of the image",
        "which are no spikes per second",
        "1 images have fewer than two repeats (image-2)",
    ):
        assert note in done.stdout, note
    assert re.search(r"repeats +1 to 4\n", succeeded("data", "info", tmp_path / "own").stdout)
