"""Faults of the table in ``docs/faults.md`` that no other file tests."""

import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from answers import assert_refused
from command_line import brainscore
from PIL import Image

from brainscore_itmaps import load_model, load_recording, score
from brainscore_itmaps.errors import InstallationError, ItMapsError, ModelError, UsageError
from brainscore_itmaps.models.model import on_device
from brainscore_itmaps.settings import Settings, expanded
from brainscore_itmaps.training.batches import image_folder
from brainscore_itmaps.training.checkpoint import STATE, resume_from_checkpoint, save_checkpoint


class Opens:
    """Runs code when it is unpickled by a reader that runs any."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def linear():
    module = torch.nn.Linear(3, 2)
    return module, torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)


def test_a_hostile_state_of_a_training_run_is_not_run(tmp_path):
    """Also where its hash fits: somebody who sends a whole run writes the hashes, too."""
    from brainscore_itmaps.files import sha256, write_json

    module, optimiser = linear()
    save_checkpoint(tmp_path, 5, module, optimiser, "hash")
    (state,) = tmp_path.rglob(STATE)
    torch.save({"state": Opens(tmp_path / "was-run")}, state, pickle_module=pickle)
    hashes = {file.name: sha256(file) for file in state.parent.iterdir() if file.name != "checkpoint.json"}
    write_json(state.parent / "checkpoint.json", {"step": 5, "settings": "hash", "sha256": hashes})
    with pytest.raises(ModelError, match="cannot resume"):
        resume_from_checkpoint(tmp_path, module, optimiser, "hash", steps=20)
    assert not (tmp_path / "was-run").exists()


def test_a_full_disk_while_a_checkpoint_is_written_keeps_the_ones_before(tmp_path, monkeypatch):
    """The library that writes weights raises an error of its own."""
    import safetensors.torch
    from safetensors import SafetensorError

    module, optimiser = linear()
    save_checkpoint(tmp_path, 5, module, optimiser, "hash")

    def full(*arguments, **options):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_model", full)
    with pytest.raises(InstallationError, match=r"Cannot write .*step-00000010: .*No space left"):
        save_checkpoint(tmp_path, 10, module, optimiser, "hash")
    monkeypatch.undo()
    assert resume_from_checkpoint(tmp_path, module, optimiser, "hash", steps=20) == 5
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])  # on no machine, with or without a GPU
def test_a_device_that_is_not_there_is_named_once(device):
    with pytest.raises(UsageError, match=f"The device '{device}' is not available"):
        on_device(load_model("timm:test_resnet", "random"), device)
    assert_refused(2, "is not available", "score", "-m", "timm:test_resnet", "--weights", "random", "--device", device)


@pytest.mark.parametrize("damage", ["cut", "header", "text", "pixels"])
def test_a_training_image_that_cannot_be_read_is_named(tmp_path, damage):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / name / f"{number}.png")
    file = tmp_path / "dog" / "1.png"
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:60], "header": whole[:8] + b"\0" * 30, "text": b"not an image",
                      "pixels": whole[:16] + (2**15).to_bytes(4, "big") * 2 + whole[24:]}[damage])  # fmt: skip
    folder = image_folder(tmp_path, 2)
    with pytest.raises(ItMapsError, match=r"dog/1\.png"):
        [folder.read(index) for index in range(len(folder))]


@pytest.mark.parametrize("command", [
    ("score", "-m", "timm:test_resnet", "--weights", "random", "--out", "~nosuchuser/out"),
    ("score", "-m", "~nosuchuser/weights.pt", "--arch", "timm:test_resnet"),
    ("score", "-m", "timm:test_resnet", "--weights", "random", "-b", "~nosuchuser/recording"),
    ("compare", "~nosuchuser/results", "--out", "out"),
    ("report", "~nosuchuser/result.json"),
    ("results", "list", "--from", "~nosuchuser"),
    ("sweep", "~nosuchuser/study.toml", "--dry-run"),
    ("harmonize", "~nosuchuser/run.toml"),
    ("attack", "-m", "timm:test_resnet", "--weights", "random", "--images", "~nosuchuser/images"),
    ("data", "fetch", "--from", "~nosuchuser/it.zip"),
    ("contribute", "check", "--to", "~nosuchuser/clone"),
], ids=" ".join)  # fmt: skip
def test_a_home_folder_that_is_not_known_is_one_sentence(command, own_home):
    done = brainscore(*command)
    assert done.returncode in (2, 3, 4, 5), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "nosuchuser" in done.stderr


def test_without_a_home_folder_the_variables_are_named():
    code = (
        "import pwd, os\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "from brainscore_itmaps.settings import Settings\n"
        "from brainscore_itmaps.errors import InstallationError\n"
        "try: Settings.from_environment()\n"
        "except InstallationError as error: print(error)"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "ITMAPS_HOME", "BRAINIO_HOME")
    }
    environment |= {"XDG_DATA_HOME": "/tmp"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "Set ITMAPS_HOME and BRAINIO_HOME" in done.stdout, done.stderr
    assert isinstance(Settings.from_environment().home, Path)
    with pytest.raises(UsageError, match="Give the full path"):
        expanded("~nosuchuser/it")


def test_times_in_results_are_utc_in_every_time_zone(own_home):
    """A clock eight hours ahead, and one twelve hours behind."""
    recording = load_recording("it_maps_simulated")
    assert recording.simulated
    for zone in ("Asia/Shanghai", "Etc/GMT+12"):
        code = (
            "from brainscore_itmaps.benchmark.result import Estimate, Reading, Result\n"
            "from brainscore_itmaps.benchmark.request import ScoreRequest\n"
            "from brainscore_itmaps.models.spec import Weights\n"
            "print(Result(request=ScoreRequest(), reading=Reading(model='a', weights=Weights()), benchmark='b',"
            " estimate=Estimate()).written)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env=os.environ | {"TZ": zone})  # fmt: skip
        written = datetime.fromisoformat(done.stdout.strip())
        assert written.utcoffset() is not None
        assert written.utcoffset().total_seconds() == 0
        assert abs((datetime.now(UTC) - written).total_seconds()) < 300


@pytest.mark.slow
def test_scores_of_two_runs_are_the_same_to_the_last_digit(own_home, tmp_path):
    first, again = (score("timm:test_vit", weights="random", fresh=True, device="cpu") for _ in range(2))
    assert first.to_dict() | {"written": ""} == again.to_dict() | {"written": ""}
