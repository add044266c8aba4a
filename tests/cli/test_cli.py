import json
import os
import re
import shutil

import numpy as np
import pytest
from answers import answered, succeeded
from command_line import brainscore, new_python, python
from PIL import Image

from brainscore_itmaps import Recording, load_recording, score
from brainscore_itmaps.data.simulated import EMBEDDED, Simulation


@pytest.mark.parametrize(
    ("arguments", "code", "expected_text"),
    [
        (["--help"], 0, "Score vision models on spatially resolved maps"),
        (["score", "--help"], 0, "--model"),
        (["score", "-h"], 0, "--model"),
        (["--version"], 0, "brainscore_itmaps 0.1.0"),
        (["score", "--model", "efficientnet_light0"], 4, "Did you mean efficientnet_lite"),
        (["score", "--model", "alexnett"], 4, "Did you mean alexnet"),
        (["score", "--model", "timm:resnet81"], 4, "Did you mean resnet18"),
        (["score", "--model", "efficientnet_lite0", "--benchmark", "it_mapz"], 2, "Did you mean it_maps"),
        (["score", "--model", "pixels", "--benchmark", "it_maps_simulatd"], 2, "Did you mean it_maps_simulated"),
        (["score", "--model", "pixels", "--benchmark", "Kar2019-osst"], 2, "Did you mean Kar2019-ost"),
        (["score", "--model", "pixels", "--benchmark", "Kar2019-ost", "--layers", "x"], 2, "Leave out --layers"),
        (["score", "--model", "efficientnet_lite0", "--figure", "maps.docx"], 2, "Use .png or .svg or .pdf"),
        (["score", "--model", "resnet50"], 4, "Use timm:resnet50"),
        (["score", "--model", "pixels", "--weights", "random"], 2, "which loads its own weights"),
        (["score", "--model", "timm:"], 4, "The name after timm: is missing"),
        (["score", "--model", "qqq"], 4, "`brainscore models list` shows the models of this package"),
        (["score", "--model", "efficientnet_lite0", "--seed", "3"], 2, "Add --weights random"),
        (["score"], 2, "Missing option '--model'"),
        (["scor"], 2, "No such command"),
    ],
)
def test_is_answered_without_torch_or_brain_score_and_without_a_traceback(arguments, code, expected_text):
    watched = (
        "import sys, atexit\n"
        "heavy = ('torch', 'timm', 'xarray', 'brainscore_vision', 'brainscore_core', 'sklearn', 'matplotlib')\n"
        "atexit.register(lambda: print('imported:', *[name for name in heavy if name in sys.modules]))\n"
        f"sys.argv = ['brainscore', *{arguments!r}]\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    done = new_python("-c", watched)
    assert done.returncode == code, done.stderr
    assert expected_text in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].strip() == "imported:"


@pytest.mark.slow
def test_the_table_says_what_was_run_and_the_files_hold_it(tmp_path):
    figure = tmp_path / "maps.png"
    done = brainscore("score", "--model", "efficientnet_lite0", "--out", tmp_path, "--figure", figure)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED, no animal was recorded: 14 images, 17 x 17 positions, 32 sites, 100-250 ms" in done.stdout
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "[bold]" not in done.stdout
    stem = "efficientnet_lite0--blocks.4--it_maps_simulated"
    endings = ("json", "csv", "npz", "controls.csv")
    assert {file.name for file in tmp_path.iterdir()} == {*(f"{stem}.{ending}" for ending in endings), figure.name}
    written = json.loads((tmp_path / f"{stem}.json").read_text())
    expected = score("efficientnet_lite0", fresh=True)
    assert written["score"] == pytest.approx(expected.score, abs=1e-9)
    assert f"{expected.score:.3f}" in done.stdout
    for file in (figure, *tmp_path.glob("efficientnet*")):
        assert f"written    {file}" in done.stdout
    with Image.open(figure) as image:
        assert min(image.size) > 500


def test_quiet_prints_the_number_alone_and_python_gives_the_same(tmp_path):
    done = brainscore("score", "-m", "timm:test_vit", "--weights", "random", "--seed", 5, "-q", "--out", tmp_path)
    assert re.fullmatch(r"-?\d\.\d+\n", done.stdout)
    expected = score("timm:test_vit", weights="random", seed=5, fresh=True)
    assert float(done.stdout) == pytest.approx(expected.score, abs=1e-9)


@pytest.fixture
def noise(images, rng, own_home, tmp_path):
    """Folders of two recordings of noise: with four repeats, and without repeats; and of one with two sites."""
    folders = []
    for name, repeats, sites in (("repeated", 4, 8), ("once", 1, 8), ("two", 1, 2)):
        recorded = rng.normal(size=(6, repeats, 6, 7, sites))
        recording = Recording.from_arrays(None, images, identifier=name, window=(0, 9), repeats=recorded)
        folders.append(recording.save(tmp_path / name))
    return folders


def test_a_score_that_is_absent_is_a_dash_with_its_reason_and_the_raw_value(noise, tmp_path):
    nothing = "there is no reliable signal: the"
    for folder, reason in zip(noise, (f"{nothing} split-half", nothing, "two has 2 complete sites"), strict=True):
        arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "-b", folder, "--out", tmp_path / "out")
        done = succeeded(*arguments, COLUMNS="200")
        (file,) = (tmp_path / "out").glob(f"*{folder.name}*.json")
        written = json.loads(file.read_text())
        assert (written["score"], written["interval"]) == (None, [None, None])
        assert written["reason"].startswith(reason)
        text = " ".join(done.stdout.split())
        assert f"No score of {folder.name}: {written['reason']}" in text
        assert f"{written['raw']:.3f}" in text
        assert not re.search(r"\bnan\b", text)
        assert "earlier version" not in text  # which is said of intervals of older results
        assert succeeded(*arguments, "-q").stdout == "-\n"
        assert json.loads(succeeded(*arguments, "--json").stdout)["raw"] == written["raw"]


def test_the_kind_of_interval_is_an_option_and_is_printed(images, rng, own_home, tmp_path):
    maps = rng.normal(size=(6, 6, 7, 1)) + 0.5 * rng.normal(size=(6, 2, 6, 7, 8)).mean(axis=1)
    folder = Recording.from_arrays(maps, images, identifier="own", window=(0, 9)).save(tmp_path / "own")
    arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "-b", folder, "--out", tmp_path / "out")
    texts = {
        "groups": "fitted again without each of 7 groups of images",
        "images": "fitted again without each image",
        "fixed": "without fitting the regressions again: too narrow",
    }
    for interval, text in texts.items():
        done = succeeded(*arguments, "--interval", interval, COLUMNS="200")
        assert text in " ".join(done.stdout.split())
        (file,) = (tmp_path / "out").glob("*.json")
        written = json.loads(file.read_text())
        assert (written["interval_kind"], written["request"]["interval"]) == (interval, interval)
    default = " ".join(succeeded(*arguments, COLUMNS="200").stdout.split())
    assert texts["groups"] in default
    assert brainscore(*arguments, "--interval", "image").returncode == 2


def test_published_choices_are_printed_and_saved_under_another_name(tmp_path):
    done = brainscore("score", "--model", "efficientnet_lite0", "--out", tmp_path, "--protocol", "published")
    assert done.returncode == 0, done.stderr
    assert "published, see docs/published_code.md" in done.stdout
    written = json.loads((tmp_path / "efficientnet_lite0--blocks.4--it_maps_simulated-reference.json").read_text())
    assert written["protocol"] == "published"
    assert f"{written['raw']:.3f}" in done.stdout


def test_a_narrow_terminal_without_colour_stays_readable(tmp_path):
    arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "--out", tmp_path)
    done = brainscore(*arguments, COLUMNS="40", NO_COLOR="1")
    assert done.returncode == 0
    assert "SIMULATED" in done.stdout
    assert str(tmp_path) in done.stdout
    assert re.search(r"raw\W+0\.\d{3}\W", done.stdout)
    assert "timm:test_vit, random (seed 0), on" in " ".join(done.stdout.split())


def test_an_error_is_one_sentence_and_debug_shows_where(tmp_path):
    done = brainscore("score", "-m", "timm:test_vit", "--weights", "random", "--layer", "head")
    assert done.returncode == 4
    assert "gives no map" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in brainscore("--debug", "score", "-m", "timm:test_vit", "-b", "nothing").stderr


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_option(tmp_path):
    (tmp_path / "file").touch()
    done = brainscore("score", "-m", "timm:test_vit", "--weights", "random", "--out", tmp_path / "file")
    assert done.returncode == 5
    assert "Cannot write in" in done.stderr
    assert "--out" in done.stderr


def test_a_full_disk_prevents_the_files_but_not_the_printed_score(tmp_path):
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"sys.argv = 'brainscore score -m timm:test_vit --weights random --fresh --out'.split() + [{str(tmp_path)!r}]\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    load_recording("it_maps_simulated")  # its images are larger than the limit
    done = python("-c", limited)
    assert done.returncode == 5, done.stderr
    assert "0.849" in done.stdout
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


INTERRUPTED = """
import os, runpy, signal, sys
from importlib.abc import MetaPathFinder

class Interrupting(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == imported:
            os.kill(os.getpid(), signal.SIGINT)

imported = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("brainscore_itmaps", run_name="__main__")
"""


@pytest.mark.parametrize(
    "imported",
    ["typer", "torch", "scipy.stats", pytest.param("timm.data.transforms_factory", marks=pytest.mark.slow)],
)
def test_control_c_ends_with_130_and_leaves_nothing_behind(tmp_path, imported):
    """Ctrl-C arrives while a module is imported: at the start, before the model and in the computation."""
    arguments = [imported, "score", "-m", "efficientnet_lite0", "--fresh", "--out", tmp_path]
    done = new_python("-c", INTERRUPTED, *arguments)
    assert done.returncode == 130
    assert done.stderr.strip() == "interrupted; run the same command without --fresh again to resume."
    assert list(tmp_path.iterdir()) == []


def test_simulate_writes_where_it_says(tmp_path):
    done = brainscore("data", "simulate", "--out", tmp_path / "[b]again.npz")
    assert f"written    {tmp_path / '[b]again.npz'}" in done.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["[b]again.npz"]
    simulation = Simulation.load(tmp_path / "[b]again.npz")
    np.testing.assert_array_equal(simulation.counts, Simulation.load(EMBEDDED).counts)
    (tmp_path / "folder.npz").mkdir()
    done = brainscore("data", "simulate", "--out", tmp_path / "folder.npz")
    assert (done.returncode, "is a folder" in done.stderr) == (5, True)
    assert brainscore("data", "simulate", "--out", tmp_path / "again.txt").returncode == 2


LEADING = """
import os, sys
{stdout}
sys.argv = ["brainscore", *sys.argv[1:]]
from brainscore_itmaps.cli.start import main; main()
"""


def test_files_are_written_even_if_the_output_cannot_be(tmp_path):
    """A path that the encoding cannot represent, a closed pipe, and a full device."""
    folder = tmp_path / "ü[b]"
    for stdout in (
        "for stream in (sys.stdout, sys.stderr): stream.reconfigure(encoding='ascii')",
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)",
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
    ):
        arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "--out", folder)
        done = python("-c", LEADING.format(stdout=stdout), *arguments)
        assert "Traceback" not in done.stderr
        assert sorted(file.suffix for file in folder.iterdir()) == [".csv", ".csv", ".json", ".npz"]
        if "ascii" in stdout:
            assert (done.returncode, done.stderr) == (0, "")
        shutil.rmtree(folder)
    assert done.returncode == 1
    assert "The output could not be written: No space left on device" in done.stderr


def test_simulate_makes_the_embedded_recording_again(tmp_path):
    done = brainscore("data", "simulate", "--out", tmp_path / "again.npz")
    assert done.returncode == 0
    assert "SIMULATED" in done.stdout
    assert "\nThe recording equals the one inside the package" in done.stdout
    assert (
        "differs from the one inside the package"
        in brainscore("data", "simulate", "--seed", 1, "--out", tmp_path / "other.npz").stdout
    )


def test_pip_is_never_run(tmp_path):
    """Brain-Score hands plugin requirements to the first pip on the PATH; here that pip would write a file."""
    pip = tmp_path / "pip"
    pip.write_text(f"#!/bin/sh\ntouch {tmp_path}/pip-was-run\n")
    pip.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert brainscore("score", "-m", "pixels", "-q", "--out", tmp_path, PATH=path).returncode == 0
    assert not (tmp_path / "pip-was-run").exists()
    code = (
        "from brainscore_itmaps.bridge.quiet import quiet_brain_score\n"
        "with quiet_brain_score():\n"
        "    from brainscore_vision import load_metric\n"
        "    load_metric('i1')\n"  # its folder has requirements
    )
    assert python("-c", code, PATH=path).returncode == 0
    assert not (tmp_path / "pip-was-run").exists()


def test_a_benchmark_that_is_a_path_is_answered_with_the_path_and_not_with_names(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    absent = "There is no folder"
    missing = {f"{tmp_path}/none": absent, "./none": f"{absent} ./none", "~/none": absent,
               "no/it_maps": absent, f"{tmp_path}/empty": "has no recording.json",
               f"{tmp_path}/file.txt": "is a file"}  # fmt: skip
    for benchmark, said in missing.items():
        done = answered("score", "-m", "efficientnet_lite0", "-b", benchmark)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert "Did you mean" not in done.stderr
        assert "it_maps_simulated" not in done.stderr
    misspelt = answered("score", "-m", "efficientnet_lite0", "-b", "it_maps_simulatd")
    assert "Did you mean it_maps_simulated" in misspelt.stderr
