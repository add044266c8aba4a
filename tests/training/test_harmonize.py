"""Training runs: the files they write, exact resumption after an interruption, and the errors that stop them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import hypothesis.strategies as st
import pytest
import torch
from answers import succeeded
from command_line import brainscore
from hypothesis import HealthCheck, given, settings
from PIL import Image
from safetensors.torch import load_file
from shards import write_shard

from brainscore_itmaps.benchmark.human import human_alignment
from brainscore_itmaps.errors import DataError, InstallationError, ModelError, UsageError
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.training.checkpoint import FOLDER
from brainscore_itmaps.training.config import config_of
from brainscore_itmaps.training.loop import harmonize


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "train" / "train-0.tfrecords", 7, seed=0)
    write_shard(folder / "train" / "train-1.tfrecords", 5, seed=1)
    write_shard(folder / "val-0.tfrecords", 6, seed=2)
    return folder


def run_settings(shards, **changed):
    values = {
        "model": "test_resnet",
        "weights": "random",
        "classes": 4,
        "epochs": 2.0,
        "batch_size": 4,
        "checkpoint_every": 2,
        "log_every": 1,
        "data": {"clickme": str(shards / "train"), "size": 64},
        "optimiser": {"lr": 1e-3},
    }
    return values | changed


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def lines(file):
    with file.open() as opened:
        return list(csv.DictReader(opened))


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def finished(shards, tmp_path_factory):
    """A run of six steps with held-out images; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "done"
    values = run_settings(shards)
    values["data"] |= {"held_out": str(shards / "val-0.tfrecords")}
    return harmonize(config_of(values), folder, device="cpu")


def test_a_run_leaves_a_log_two_checkpoints_and_a_model(finished, shards):
    rows = lines(finished.folder / "log.csv")
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[2]["epoch"]) == 1
    for row in rows:
        total = float(row["cross_entropy"]) + 1e-5 * float(row["weights"]) + float(row["harmonization"])
        assert float(row["total"]) == pytest.approx(total, rel=1e-5)
        assert -1 <= float(row["alignment"]) <= 1
    assert sorted(folder.name for folder in (finished.folder / FOLDER).iterdir()) == ["step-00000004", "step-00000006"]
    epochs = lines(finished.folder / "epochs.csv")
    assert [row["step"] for row in epochs] == ["3", "6"]
    model = load_model(str(finished.folder))
    result = human_alignment(model, [shards / "val-0.tfrecords"], classes=4)
    assert float(epochs[-1]["spearman"]) == pytest.approx(result.agreement.raw, abs=1e-6)
    assert float(epochs[-1]["top1"]) == pytest.approx(result.accuracy)
    assert finished.held_out["alignment"] == pytest.approx(result.agreement.raw / 0.65753, rel=1e-5)


def test_the_run_is_a_model(finished, tmp_path):
    model = load_model(str(finished.folder))
    assert model.name == f"done-{model.sha256[:8]}"
    assert model.spec.size == 64
    assert model.module.num_classes == 4
    assert "6 of 6 steps" in model.notes[0]
    done = succeeded("score", "--model", finished.folder, "--out", tmp_path, ITMAPS_HOME=str(tmp_path / "home"))
    assert model.name in done.stdout


def test_resuming_a_finished_run_does_nothing(finished, shards):
    before = weights(finished.folder)
    values = run_settings(shards)
    values["data"] |= {"held_out": str(shards / "val-0.tfrecords"), "workers": 1}
    resumed = harmonize(config_of(values), finished.folder, device="cpu")
    assert resumed.resumed_from == 6
    assert resumed.last == finished.last
    assert_same(weights(finished.folder), before)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interrupted_run_resumes_to_the_same_weights_and_log(finished, shards, tmp_path, step):
    """With dropout, momentum and augmentation in it; bit for bit."""
    values = run_settings(shards)
    values["data"] |= {"held_out": str(shards / "val-0.tfrecords")}

    def stop(what, done, total):
        if done == step and what.startswith("cross-entropy"):
            raise Killed

    with pytest.raises(Killed):
        harmonize(config_of(values), tmp_path / "run", device="cpu", progress=stop)
    resumed = harmonize(config_of(values), tmp_path / "run", device="cpu")
    assert resumed.resumed_from == (step - 1) // 2 * 2
    assert_same(weights(tmp_path / "run"), weights(finished.folder))
    expected = without_seconds(lines(finished.folder / "log.csv"))
    assert without_seconds(lines(tmp_path / "run" / "log.csv")) == expected


@pytest.mark.parametrize("step", [3, 6])
def test_a_run_interrupted_while_it_measured_resumes_at_the_end_of_that_epoch(finished, shards, tmp_path, step):
    values = run_settings(shards)
    values["data"] |= {"held_out": str(shards / "val-0.tfrecords")}
    last = []

    def stop(what, done, total):
        last.append(done if what.startswith("cross-entropy") else last[-1])
        if what.startswith("comparing") and last[-1] == step:
            raise Killed

    with pytest.raises(Killed):
        harmonize(config_of(values), tmp_path / "run", device="cpu", progress=stop)
    harmonize(config_of(values), tmp_path / "run", device="cpu")
    assert_same(weights(tmp_path / "run"), weights(finished.folder))
    assert lines(tmp_path / "run" / "epochs.csv") == lines(finished.folder / "epochs.csv")


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights(shards, tmp_path):
    """A model with attention and dropout, through the command line, killed without warning."""
    file = tmp_path / "run.toml"
    file.write_text(
        f"""model = "test_vit"
weights = "random"
classes = 4
epochs = 2
batch_size = 4
checkpoint_every = 2
[data]
clickme = "{shards / "train"}"
[loss]
ramp_epochs = 1
"""
    )
    command = ("harmonize", file, "--device", "cpu", "--out")
    assert brainscore(*command, tmp_path / "whole").returncode == 0
    running = subprocess.Popen(
        [sys.executable, "-m", "brainscore_itmaps", *map(str, command), str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not list((tmp_path / "killed" / FOLDER).glob("step-*")):
        time.sleep(0.01)
        assert running.poll() is None
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    done = brainscore(*command, tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert "resumed from step" in done.stdout
    assert_same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def test_parts_of_a_step_add_up_to_the_step(shards, tmp_path):
    """Of a model without batch normalisation; each part has images with maps alone, so that their means add up."""
    values = run_settings(shards, model="test_vit", epochs=0.7, optimiser={"kind": "sgd", "lr": 0.01})
    values["data"] |= {"size": 0}
    harmonize(config_of(values), tmp_path / "whole", device="cpu")
    harmonize(config_of(values | {"accumulate": 2}), tmp_path / "parts", device="cpu")
    undivided, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name in undivided:
        torch.testing.assert_close(parts[name], undivided[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(shards, tmp_path):
    values = {"model": "test_vit", "weights": "random", "classes": 4, "epochs": 0.7, "batch_size": 4}
    file = tmp_path / "run.toml"
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    file.write_text(text + f'[data]\nclickme = "{shards / "train"}"\n[optimiser]\nkind = "sgd"\nlr = 0.01\n')
    arguments = ["harmonize", str(file), "--device", "cpu", "--out"]
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    two = subprocess.run(
        [*launch, "-m", "brainscore_itmaps", *arguments, str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert two.returncode == 0, two.stderr[-3000:]
    assert brainscore(*arguments, tmp_path / "one").returncode == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)


def test_images_without_maps_are_mixed_in(shards, tmp_path):
    for number in range(4):
        (tmp_path / "images" / f"class{number}").mkdir(parents=True)
        for image in range(4):
            colour = (60 * number, 20 * image, 100)
            Image.new("RGB", (80, 70), colour).save(tmp_path / "images" / f"class{number}" / f"{image}.jpg")
    values = run_settings(shards, epochs=1.0)
    values["data"] |= {"images": str(tmp_path / "images"), "share": 0.5}
    trained = harmonize(config_of(values), tmp_path / "run", device="cpu")
    assert trained.steps == 8  # sixteen images, two of them a step
    values["data"] |= {"share": 1.0}
    with pytest.raises(UsageError, match="no image of data"):
        harmonize(config_of(values), tmp_path / "other", device="cpu")


def test_mixed_precision_trains_and_keeps_weights_in_32_bits(shards, tmp_path):
    values = run_settings(shards, epochs=0.4, precision="bf16", loss={"saliency_in_float32": False})
    trained = harmonize(config_of(values), tmp_path / "run", device="cpu")
    assert trained.last["gradient_norm"] > 0
    assert {tensor.dtype for tensor in weights(tmp_path / "run").values()} == {torch.float32, torch.int64}


def test_numbers_that_are_not_finite_stop_a_run_and_name_the_step_and_its_images(shards, tmp_path):
    values = run_settings(shards, optimiser={"kind": "sgd", "lr": 1e30})
    with pytest.raises(ModelError, match=r"not finite at step [2-4]: .* this step are train-\d.tfrecords record \d"):
        harmonize(config_of(values), tmp_path / "run", device="cpu")
    for checkpoint in (tmp_path / "run" / FOLDER).glob("step-*"):
        assert checkpoint.name != "step-00000006"


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_unknown_class_and_a_damaged_image_are_reported(shards, tmp_path, workers):
    values = run_settings(shards, classes=2)
    values["data"] |= {"workers": workers}
    with pytest.raises(DataError, match=r"train-\d\.tfrecords record \d is of class [23].* 2 classes"):
        harmonize(config_of(values), tmp_path / "run", device="cpu")
    damaged = write_shard(tmp_path / "damaged.tfrecords", 4)
    content = bytearray(damaged.read_bytes())
    content[2000] ^= 1
    damaged.write_bytes(content)
    values["data"] |= {"clickme": str(damaged)}
    with pytest.raises(DataError, match="its checksum is wrong"):
        harmonize(config_of(values | {"classes": 4}), tmp_path / "other", device="cpu")


def test_without_accelerate_the_error_names_the_command_that_installs_it(shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InstallationError, match=r"pip install 'brainscore_itmaps\[train\]'"):
        harmonize(config_of(run_settings(shards)), tmp_path / "run", device="cpu")


def test_a_folder_with_another_run_is_refused(finished, shards):
    with pytest.raises(UsageError, match=r"with other settings \(optimiser\)"):
        harmonize(config_of(run_settings(shards, optimiser={"lr": 0.5})), finished.folder, device="cpu")


@pytest.fixture
def copied(finished, shards, tmp_path):
    """A copy of the finished run: its configuration, its folder, and its last checkpoint."""
    values = run_settings(shards)
    values["data"] |= {"held_out": str(shards / "val-0.tfrecords")}
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    return config_of(values), folder, folder / FOLDER / "step-00000006"


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", "checkpoint.json"])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_in_a_checkpoint_is_refused(copied, name, share, bit):
    config, folder, last = copied
    file = last / name
    content = file.read_bytes()
    changed = bytearray(content)
    changed[int(share * len(content))] ^= 1 << bit
    file.write_bytes(changed)
    try:
        if name == "checkpoint.json" and json_or_none(changed) == json.loads(content):  # other white space
            assert harmonize(config, folder, device="cpu").resumed_from == 6
        else:
            with pytest.raises(ModelError, match=r"step-00000006.* Delete it, and the run resumes from the checkpoint"):
                harmonize(config, folder, device="cpu")
    finally:
        file.write_bytes(content)


def json_or_none(content):
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_a_checkpoint_that_was_planted_is_refused(copied, shards, tmp_path):
    config, folder, last = copied
    planted = folder / FOLDER / "step-00000099"

    def assert_planted_is_refused(match):
        with pytest.raises(ModelError, match=rf"step-00000099.* {match}\. Delete it"):
            harmonize(config, folder, device="cpu")

    planted.mkdir()
    assert_planted_is_refused(r"has no checkpoint\.json: it is incomplete or from an earlier version")
    shutil.copytree(last, planted, dirs_exist_ok=True)
    assert_planted_is_refused("contains step 6, not 99")
    manifest = json.loads((planted / "checkpoint.json").read_text())
    (planted / "checkpoint.json").write_text(json.dumps(manifest | {"step": 99}))
    assert_planted_is_refused("was not written by this run, which ends after 6 steps")
    other = harmonize(config_of(run_settings(shards, seed=5)), tmp_path / "other", device="cpu")
    shutil.rmtree(planted)
    shutil.copytree(other.folder / FOLDER / last.name, planted)
    assert_planted_is_refused("was written by another run")
    for file in ("model.safetensors", "state.pt"):
        shutil.rmtree(planted)
        shutil.copytree(last, planted)
        (planted / file).unlink()
        assert_planted_is_refused(rf"has no {file}: .*")
    shutil.rmtree(planted)
    shutil.copytree(last, folder / FOLDER / "step-99")  # not a name that a run gives
    assert harmonize(config, folder, device="cpu").resumed_from == 6


@pytest.mark.parametrize("state", [5, [1], {"state": 5, "param_groups": 3}, b"no tensors"])
def test_an_invalid_checkpoint_with_matching_hashes_is_refused(copied, state):
    config, folder, last = copied
    if isinstance(state, bytes):
        (last / "state.pt").write_bytes(state)
    else:
        torch.save(state, last / "state.pt")
    manifest = json.loads((last / "checkpoint.json").read_text())
    manifest["sha256"]["state.pt"] = sha256(last / "state.pt")
    (last / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"cannot resume from .*step-00000006: .* Delete it"):
        harmonize(config, folder, device="cpu")


def test_without_its_last_checkpoint_a_run_resumes_from_the_one_before(copied, finished):
    config, folder, last = copied
    shutil.rmtree(last)
    assert harmonize(config, folder, device="cpu").resumed_from == 4
    assert_same(weights(folder), weights(finished.folder))


def test_a_record_of_the_former_name_is_read(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.folder, folder)
    record = json.loads((folder / "run.json").read_text())
    record["network"] = record.pop("model")
    (folder / "network.json").write_text(json.dumps(record))
    (folder / "run.json").unlink()
    assert load_model(str(folder)).sha256 == load_model(str(finished.folder)).sha256


def test_a_changed_model_is_refused(finished, shards, tmp_path):
    values = run_settings(shards, epochs=0.7)
    harmonize(config_of(values), tmp_path / "run", device="cpu")
    (tmp_path / "run" / "model.safetensors").write_bytes((finished.folder / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="has other weights than"):
        load_model(str(tmp_path / "run"))
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(ModelError, match="is damaged"):
        load_model(str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "resnet19"}, "no architecture named 'resnet19'"),
        ({"data": {"clickme": "nowhere"}}, "no images with human maps in nowhere"),
        ({"data": {"clickme": "val"}, "classes": 1000}, "brainscore data fetch clickme --split val"),
    ],
)
def test_a_missing_model_or_missing_images_are_reported_before_training(shards, tmp_path, own_home, changed, message):
    with pytest.raises((ModelError, DataError), match=message):
        harmonize(config_of(run_settings(shards) | changed), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "log.csv").exists()


def test_the_command_line_reports_an_unknown_key_without_torch(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('model = "resnet18"\nepoch = 3')
    done = brainscore("harmonize", file)
    assert done.returncode == 2
    assert "Did you mean epochs?" in done.stderr
    assert "Traceback" not in done.stderr
