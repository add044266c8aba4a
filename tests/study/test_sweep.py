"""A sweep: no run twice, no run lost, and the same numbers as with single scores."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from answers import assert_refused, succeeded
from command_line import brainscore, new_python
from shards import fetched_val

from brainscore_itmaps import load_model, load_recording, score
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.names import requested_window
from brainscore_itmaps.bridge.score import find_benchmark
from brainscore_itmaps.progress import silent
from brainscore_itmaps.settings import overridden
from brainscore_itmaps.study.cluster import Workers
from brainscore_itmaps.study.config import ModelChoice, read_study, study_of
from brainscore_itmaps.study.plan import Run, _content, plan
from brainscore_itmaps.study.sweep import FAILURES, in_words, sweep
from brainscore_itmaps.study.work import run_model

STUDY = """
benchmarks = ["it_maps_simulated"]
windows = ["own", "50-100"]
[[model]]
name = "timm:test_resnet"
weights = "random"
seed = 1

[[model]]
name = "timm:test_vit"
weights = "random"

[[model]]
name = "timm:test_resnet"
weights = "random"
seed = 2

[cluster]
threads = 1
"""

WATCHED = """
import atexit, sys
heavy = ("torch", "timm", "scipy", "pandas", "distributed", "brainscore_vision", "sklearn", "matplotlib")
atexit.register(lambda: print("imported:", [name for name in heavy if name in sys.modules]))
from brainscore_itmaps.cli.start import main
main()
"""
"""Runs a command, and prints which large libraries it imported."""


@pytest.fixture
def study(tmp_path):
    """A file of three small models in two windows."""
    file = tmp_path / "small.toml"
    file.write_text(STUDY)
    return file


def results_of(folder):
    """Read all results of a study, without their dates."""
    results = {file.name: json.loads(file.read_text()) for file in sorted((folder / "results").glob("*.json"))}
    return {name: {k: v for k, v in result.items() if k != "written"} for name, result in results.items()}


@pytest.fixture(scope="module")
def unbroken(made_once):
    """The folder of an uninterrupted study, and the output of its command."""

    def run(folder):
        folder.mkdir()
        file = folder / "small.toml"
        file.write_text(STUDY)
        home = {"ITMAPS_HOME": str(folder / "home"), "BRAINIO_HOME": str(folder / "brainio")}
        done = succeeded("sweep", file, "--out", folder / "out", **home)
        (folder / "stdout").write_text(done.stdout)

    folder = made_once("unbroken", run)
    return folder / "out", (folder / "stdout").read_text()


@pytest.mark.slow
def test_a_study_gives_what_its_models_give_alone_and_is_not_run_twice(unbroken, own_home, tmp_path, study):
    out, stdout = unbroken
    assert "6 runs of 3 models" in stdout
    assert "timm:test_resnet (random, seed 2): 2 scored" in stdout
    assert "scored     6 in" in stdout
    loaded = [Result.load(file) for file in sorted((out / "results").glob("*.json"))]
    assert len(loaded) == 6
    for seed, window in ((1, None), (2, (50, 100))):
        alone = score(load_model("timm:test_resnet", "random", seed=seed), window=window, fresh=True)
        (same,) = (each for each in loaded if (each.weights, each.label) == (alone.weights, alone.label))
        assert same.score == pytest.approx(alone.score, rel=1e-6)
        np.testing.assert_allclose(same.arrays[0].site_r, alone.arrays[0].site_r, rtol=1e-4, atol=1e-5)

    repeated = brainscore("sweep", study, "--out", out)
    assert "scored     0 in" in repeated.stdout
    assert "6 were already done" in repeated.stdout
    assert "workers" not in repeated.stdout  # none was started
    finished = new_python("-c", WATCHED, "sweep", study, "--out", out)
    assert "6 were already done" in finished.stdout, finished.stderr
    assert finished.stdout.splitlines()[-1] == "imported: []"
    copy = shutil.copytree(out, tmp_path / "copy")
    next((copy / "results").glob("*.npz")).write_bytes(b"damaged")
    assert [len(work.to_do) for work in plan(read_study(study), copy).work].count(1) == 1


def test_a_plan_of_many_models_imports_no_large_library(own_home, tmp_path):
    seeds = "".join(f'[[model]]\nname = "timm:resnet18"\nweights = "random"\nseed = {seed}\n' for seed in range(245))
    benchmarks = ["it_maps_simulated", "it_maps_cka_simulated", "it_maps", "ClickMe.alignment", "Kar2019-ost"]
    (tmp_path / "many.toml").write_text(f"benchmarks = {benchmarks}\n{seeds}")
    done = new_python("-c", WATCHED, "sweep", tmp_path / "many.toml", "--dry-run")
    assert "it_maps_simulated: 245 models" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "imported: []"


@pytest.mark.parametrize("window", ["", "50-100"])
@pytest.mark.parametrize("benchmark", ["it_maps_simulated", "it_maps_rsa_simulated", "it_maps_transfer_simulated"])
def test_a_plan_names_maps_as_their_benchmark_does(own_home, benchmark, window):
    settings = study_of({"models": ["efficientnet_lite0"], "benchmarks": [benchmark]})
    request = ScoreRequest(benchmark=benchmark, window=requested_window(window))
    assert _content(settings, benchmark, window, False, silent) == find_benchmark(benchmark).content(request, silent)


@pytest.mark.parametrize("benchmark", ["FOLDER", "ClickMe.alignment", "ClickMe.adversarial", "Kar2019-ost"])
def test_a_plan_names_other_data_as_their_benchmark_does(own_home, tmp_path, benchmark):
    if benchmark == "FOLDER":
        benchmark = str(tmp_path / "maps")
        load_recording("it_maps_simulated").save(benchmark)
    elif benchmark.startswith("ClickMe"):
        fetched_val(tmp_path / "clickme")
    settings = study_of({"models": ["efficientnet_lite0"], "benchmarks": [benchmark], "protocol": "published"})
    request = ScoreRequest(benchmark=benchmark, protocol="published")
    expected = find_benchmark(benchmark).content(request, silent)
    assert expected
    assert _content(settings, benchmark, "", False, silent) == expected


@pytest.mark.slow
def test_a_study_that_is_killed_goes_on_and_ends_with_the_same_results(unbroken, own_home, tmp_path, study):
    out, file = tmp_path / "out", study
    command = [sys.executable, "-m", "brainscore_itmaps", "sweep", str(file), "--out", str(out), "--workers", "1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    give_up = time.monotonic() + 120
    while not list(out.glob("done/*.json")) and time.monotonic() < give_up:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)  # the one process: its workers have to notice
    running.wait()
    first = {each: each.stat().st_mtime_ns for each in out.glob("done/*.json")}
    assert 0 < len(first) < 6
    while _processes_of(running.pid):
        assert time.monotonic() < give_up, "a worker outlived what started it"
        time.sleep(0.2)
    done = succeeded("sweep", file, "--out", out, "--workers", 1)
    assert f"scored     {6 - len(first)} in" in done.stdout
    assert {each: each.stat().st_mtime_ns for each in first} == first
    assert results_of(out) == results_of(unbroken[0])


def _processes_of(session):
    """Live processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(stat.parent.name)
    return found


@pytest.mark.slow
def test_a_model_that_kills_its_worker_costs_itself_alone(own_home, tmp_path):
    (tmp_path / "mine.py").write_text("import os\ndef build(): os._exit(1)\n")
    file = tmp_path / "mixed.toml"
    file.write_text(
        f'models = ["{tmp_path}/mine.py:build"]\nbenchmarks = ["it_maps_simulated"]\n'
        '[[model]]\nname = "timm:test_resnet"\nweights = "random"\n'
        '[[model]]\nname = "timm:test_resnet"\nweights = "random"\nlayers = ["nothing"]\n'
        "[cluster]\nworkers = 1\n"
    )
    done = brainscore("sweep", file, "--out", tmp_path / "out")
    assert done.returncode in (4, 5), done.stderr
    assert "scored     1 in" in done.stdout
    assert "Its worker was stopped" in done.stderr
    assert "has no layer 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr
    failures = json.loads((tmp_path / "out" / FAILURES).read_text())
    assert {each["exit_code"] for each in failures} == {4, 5}
    assert len(results_of(tmp_path / "out")) == 1


SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
setsid sh {folder}/job.sh >/dev/null 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
kill -- -"$1"
"""


@pytest.mark.slow
def test_slurm_is_given_a_job_a_worker(own_home, tmp_path, monkeypatch):
    """Replace the commands of SLURM by scripts that run the job on this machine."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    file = tmp_path / "small.toml"
    file.write_text(
        'benchmarks = ["it_maps_simulated"]\n[[model]]\nname = "timm:test_resnet"\nweights = "random"\n'
        '[cluster]\nscheduler = "slurm"\nmemory = "4GB"\nqueue = "gpu"\ndirectives = ["--gres=gpu:1"]\n'
        'prologue = ["echo ready"]\nthreads = 1\n'
    )
    done = succeeded("sweep", file, "--out", tmp_path / "out")
    assert "scored     1 in" in done.stdout
    job = (tmp_path / "job.sh").read_text()
    for line in (
        "#SBATCH -p gpu",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --mem=4G",
        "echo ready",
        "export PYTHONSAFEPATH=1",
        "--no-dashboard",
        "--worker-class brainscore_itmaps.study.private.PrivateWorker",
    ):
        assert line in job
    assert " tls://" in job
    key = re.search(r"--tls-key (\S+)", job)[1]
    assert not Path(key).exists()  # it was made for this study


def test_what_fails_does_not_keep_the_rest_from_being_asked(own_home, tmp_path, monkeypatch):
    from brainscore_core.metrics import Score

    from brainscore_itmaps.bridge.external import result_of_score

    fetched_val(tmp_path / "usb")
    asked = []

    def theirs(self, model, request, cache, progress):
        asked.append(model.torch_model)
        if self.identifier == "theirs.bad":
            raise ZeroDivisionError("by nothing")
        return result_of_score(Score(0.25), model, request)

    monkeypatch.setattr("brainscore_itmaps.bridge.external.ExternalBenchmark.score", theirs)
    choice = ModelChoice("timm:test_resnet", weights="random", seed=3)
    names = ["theirs.bad", "theirs.good", "ClickMe.alignment", "it_maps_simulated"]
    study = study_of({"models": ["timm:test_resnet"], "benchmarks": names})
    outcomes, peak = run_model(choice, [Run(name, "", "") for name in names], study, False, 1)
    assert outcomes[0].reason == "ZeroDivisionError: by nothing."
    assert outcomes[1].result.score == 0.25
    assert [str(outcome.result.weights) for outcome in outcomes[1:]] == ["random (seed 3)"] * 3
    assert outcomes[2].result.details["images"] == 18
    assert str(asked[0].weights) == "random (seed 3)"
    assert outcomes[1].result.weights_sha256 == asked[0].sha256 == outcomes[3].result.weights_sha256
    assert peak > 10**8


@pytest.mark.parametrize(
    ("settings", "controls"),
    [({}, {"typical_map", "position", "contrast", "gabor", "saliency"}),
     ({"controls": False, "random_seeds": 1}, {"random_weights", "random_weights_0"})],
)  # fmt: skip
def test_controls_are_those_of_the_study(own_home, settings, controls):
    study = study_of({"models": ["timm:test_resnet"], "benchmarks": ["it_maps_simulated"], **settings})
    choice = ModelChoice("timm:test_resnet", weights="random", seed=3)
    ((outcome,), _) = run_model(choice, [Run("it_maps_simulated", "", "")], study, False, 1)
    assert set(outcome.result.controls) == controls
    assert bool(outcome.result.added) == study.controls


def test_a_model_that_cannot_be_loaded_is_tried_once(monkeypatch):
    tried = []

    def load(*given, **named):
        tried.append(given)
        raise OSError("no such disk")

    monkeypatch.setattr("brainscore_itmaps.models.load.load_model", load)
    study = study_of({"models": ["efficientnet_lite0"], "benchmarks": ["it_maps_simulated"]})
    runs = [Run("it_maps_simulated", window, "") for window in ("", "50-100")]
    outcomes, _ = run_model(study.model[0], runs, study, False, 1)
    assert [outcome.reason for outcome in outcomes] == ["OSError: no such disk."] * 2
    assert len(tried) == 1


def test_a_worker_is_told_that_it_is_offline(own_home, tmp_path, monkeypatch):
    """Use a thread in place of a process: neither inherits settings."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    @contextmanager
    def connected(*asked):
        with ThreadPoolExecutor() as pool:
            yield SimpleNamespace(submit=lambda function, *given, pure: pool.submit(function, *given)), Workers(1, 1, 0)

    monkeypatch.setattr("brainscore_itmaps.study.sweep.connected", connected)
    monkeypatch.setattr(
        "brainscore_itmaps.study.sweep._completed_models",
        lambda client, work, submit, progress: [(each, submit(each)) for each in work],
    )
    study = study_of({"models": ["timm:legacy_seresnet18"], "benchmarks": ["it_maps_simulated"]})
    with overridden(offline=True):
        (failure,) = sweep(study, tmp_path / "out").failures
    assert "offline mode forbids downloading them" in failure.reason


def test_where_nothing_can_be_asked_the_reason_is_written(own_home, tmp_path):
    study = study_of({"models": ["timm:test_resnet"], "benchmarks": ["it_maps_simulated"], "windows": ["1-2"]})
    swept = sweep(study, tmp_path)
    assert (swept.scored, swept.workers) == (0, None)
    (failure,) = json.loads((tmp_path / FAILURES).read_text())
    assert "in bins of 50 ms" in failure["reason"]
    assert failure["model"] == ""
    assert sweep(replace(study, model=()), tmp_path / "other").failures == swept.failures


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["embeded"], 2, "Did you mean embedded?"),
        (["embedded", "--out", __file__], 2, "is a file"),
        (["embedded", "--out", f"{__file__}/in"], 5, "Cannot write"),
        (["embedded", "--workers", "0"], 2, "workers"),
        (["embedded", "--threads", "-1"], 2, "threads"),
        (["embedded", "--memory", "2"], 2, "2 bytes, is less than the 1 GB it needs. Write an amount"),
        (["embedded", "--memory", "0"], 2, "0 bytes, is less than the 1 GB"),
        (["embedded", "--memory", "-8GB"], 2, "is less than the 1 GB"),
        (["embedded", "--memory", "100MB", "--dry-run"], 2, "100 MB, is less than the 1 GB"),
        (["embedded", "--memory", "10000TB"], 2, "is more than the"),
        (["embedded", "--memory", "lots"], 2, "is not an amount of memory"),
        (["embedded", "--threads", "100000"], 2, "100000 threads of a worker are more than the"),
        (["embedded", "--device", "cuda:99"], 2, "The device 'cuda:99' is not available"),
        (["embedded", "--device", "nothing"], 2, "The device 'nothing' is not available"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(own_home, arguments, code, message):
    assert_refused(code, message, "sweep", *arguments, COLUMNS="200", NO_COLOR="1")


def test_a_dry_run_lists_the_work_and_computes_nothing(own_home, tmp_path):
    done = succeeded("sweep", "embedded", "--out", tmp_path / "out", "--dry-run", COLUMNS="100")
    assert "it_maps_simulated (50-100): 6 models" in done.stdout
    assert "efficientnet_lite0 (random, seed 2)" in done.stdout
    for word in ("weights    0.1", "memory     about 1.6 GB", "time       roughly"):
        assert word in done.stdout
    assert not (tmp_path / "out").exists()


def test_times_are_said_as_people_say_them():
    assert [in_words(seconds) for seconds in (5.4, 89, 100, 5000, 7200)] == ["5 s", "89 s", "2 min", "83 min", "2.0 h"]
