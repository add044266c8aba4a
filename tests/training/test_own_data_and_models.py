"""Training on folders of images with human maps, and training modules of one's own."""

import shutil

import numpy as np
import pytest
import torch
from answers import assert_refused, succeeded
from PIL import Image
from safetensors.torch import load_file, save_file

from brainscore_itmaps.data.simulated_human import write_simulated_human_maps
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.training.batches import image_folder
from brainscore_itmaps.training.config import config_of, read_config
from brainscore_itmaps.training.loop import harmonize

CODE = """
import torch

def build(classes=3, channels=3):
    module = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 5, stride=2), torch.nn.GELU(), torch.nn.Conv2d(8, 16, 3, stride=2),
        torch.nn.GELU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, classes))
    return module, dict(size=32, mean=[0.5] * channels, std=[0.25] * channels)

def grey():
    return build(channels=1)

def five():
    return build(classes=5)

def function():
    from torchvision.transforms.v2.functional import pil_to_tensor
    return build()[0], lambda image: pil_to_tensor(image.resize((32, 32))) / 255
"""


@pytest.fixture
def shapes(tmp_path):
    return write_simulated_human_maps(tmp_path / "shapes").parent


@pytest.fixture
def code(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(CODE)
    return tmp_path / "code" / "mine.py"


def run_settings(shapes, model, **changed):
    data = {
        "human_images": str(shapes / "train_simulated" / "images"),
        "human_maps": str(shapes / "train_simulated" / "maps"),
    }
    values = {"model": str(model), "classes": 3, "epochs": 1.0, "batch_size": 6, "checkpoint_every": 2, "data": data}
    return values | changed


@pytest.mark.slow
def test_the_simulated_example_trains_resumes_and_is_scored_from_the_command_line(tmp_path, monkeypatch, own_home):
    monkeypatch.chdir(tmp_path)
    assert "SIMULATED" in succeeded("data", "simulate", "--human-maps", "shapes").stdout
    assert_refused(2, "already exists", "data", "simulate", "--human-maps", "shapes")
    assert_refused(2, "exclude each other", "data", "simulate", "--human-maps", "a", "--textures", "b")
    done = succeeded("harmonize", "shapes/harmonize.toml", "--out", "run", "--device", "cpu")
    assert "note           the human maps are SIMULATED: no person was asked" in done.stdout
    assert "24 of 24 images have a human map (100 %)" in done.stdout
    assert "0 bar, 1 disc, 2 ring" in done.stdout
    assert "held out       top-1" in done.stdout
    assert "already complete" in succeeded("harmonize", "shapes/harmonize.toml", "--out", "run").stdout
    scored = succeeded("score", "--model", "run", "--benchmark", "shapes/held_out_simulated", "--device", "cpu")
    assert "no person was asked" in scored.stdout
    assert "agreement between people is unknown" in " ".join(scored.stdout.split())


def test_a_function_in_a_file_is_trained_resumed_and_loaded_again(tmp_path, shapes, code):
    config = config_of(run_settings(shapes, f"{code}:build", epochs=2.0))

    class Killed(BaseException):
        pass

    def stop(what, done, total):
        if done == 3 and what.startswith("cross-entropy"):
            raise Killed

    with pytest.raises(Killed):
        harmonize(config, tmp_path / "run", device="cpu", progress=stop)
    resumed = harmonize(config, tmp_path / "run", device="cpu")
    whole = harmonize(config, tmp_path / "whole", device="cpu")
    assert resumed.resumed_from == 2
    weights, expected = (load_file(run.folder / "model.safetensors") for run in (resumed, whole))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    model = load_model(str(tmp_path / "run"))
    assert model.name.startswith("run-")
    assert model.spec.size == 32
    assert torch.equal(model.module[0].weight, weights["0.weight"])
    assert "8 of 8 steps" in model.notes[0]


def test_code_that_changed_moved_or_came_with_the_run_is_not_run(tmp_path, shapes, code):
    config = config_of(run_settings(shapes, f"{code}:build"))
    run = harmonize(config, tmp_path / "run", device="cpu").folder
    code.write_text(CODE + "\nraise SystemExit('was run')\n")
    with pytest.raises(ModelError, match=r"mine\.py has changed since .* Restore the former version"):
        load_model(str(run))
    code.write_text(CODE + "\n")
    with pytest.raises(UsageError, match=r"with other settings \(code\)"):
        harmonize(config, run, device="cpu")
    code.unlink()
    with pytest.raises(ModelError, match=r"mine\.py, which does not exist here"):
        load_model(str(run))
    inside = run / "mine.py"
    inside.write_text(CODE)
    for reference in (inside, "mine.py"):
        record = (run / "run.json").read_text().replace(str(code), str(reference))
        shutil.copytree(run, tmp_path / "received", dirs_exist_ok=True)
        (tmp_path / "received" / "run.json").write_text(record.replace(str(run), str(tmp_path / "received")))
        with pytest.raises(ModelError, match="names code in its own folder"):
            load_model(str(tmp_path / "received"))


@pytest.mark.parametrize(
    ("function", "changed", "message"),
    [
        ("five", {}, "has 5 classes; the configuration has classes = 3. Set classes = 5"),
        ("function", {}, "preprocessing of .* is a function.* size, mean and std"),
    ],
)
def test_a_function_whose_model_does_not_fit_is_refused(tmp_path, shapes, code, function, changed, message):
    with pytest.raises(UsageError, match=message):
        harmonize(config_of(run_settings(shapes, f"{code}:{function}", **changed)), tmp_path / "run", device="cpu")


def test_a_function_is_trained_from_random_weights_or_a_file_and_on_grey_images(tmp_path, shapes, code):
    start = load_model(f"{code}:build").module.state_dict()
    save_file({f"module.{name}": torch.full_like(value, 0.01) for name, value in start.items()}, tmp_path / "w.pt")
    settings = {"weights": str(tmp_path / "w.pt"), "optimiser": {"lr": 1e-12}}
    run = harmonize(config_of(run_settings(shapes, f"{code}:build", **settings)), tmp_path / "file", device="cpu")
    weights = load_file(run.folder / "model.safetensors")
    torch.testing.assert_close(weights["0.weight"], torch.full_like(weights["0.weight"], 0.01), atol=1e-6, rtol=0)
    for name, changed in {"build": {"weights": "random"}, "grey": {}}.items():
        config = config_of(run_settings(shapes, f"{code}:{name}", **changed))
        assert harmonize(config, tmp_path / name, device="cpu").last["gradient_norm"] > 0
        assert load_model(str(tmp_path / name)).spec.mean == (0.5,) * (1 if name == "grey" else 3)


def test_a_module_in_memory_is_trained_in_place(tmp_path, shapes):
    torch.manual_seed(0)
    namespace = {}
    exec(CODE, namespace)
    module, preprocessing = namespace["build"]()
    before = module[0].weight.detach().clone()
    config = config_of(run_settings(shapes, "mine"))
    run = harmonize(config, tmp_path / "run", model=load_model(module, preprocessing=preprocessing), device="cpu")
    assert not torch.equal(module[0].weight, before)
    assert not module.training
    module.load_state_dict(load_file(run.folder / "model.safetensors"))
    with pytest.raises(ModelError, match="trained from a module in memory"):
        load_model(str(run.folder))


def test_a_weight_file_as_model_is_answered_with_the_two_keys(tmp_path, shapes):
    (tmp_path / "w.safetensors").touch()
    with pytest.raises(UsageError, match=r"Set model to the architecture.* and weights to the file"):
        harmonize(config_of(run_settings(shapes, tmp_path / "w.safetensors")), tmp_path / "run", device="cpu")


def test_images_without_maps_share_the_classes_of_those_with_maps(tmp_path, shapes, code):
    """The folder with maps has only some of the classes: they keep their numbers."""
    shutil.copytree(shapes / "train_simulated" / "images", tmp_path / "all")
    for part in ("images", "maps"):
        shutil.rmtree(shapes / "train_simulated" / part / "bar")
    values = run_settings(shapes, f"{code}:build")
    values["data"] |= {"images": str(tmp_path / "all"), "share": 0.5}
    (tmp_path / "all" / ".ipynb_checkpoints").mkdir()
    run = harmonize(config_of(values), tmp_path / "run", device="cpu")
    assert any(".ipynb_checkpoints is left out" in note for note in run.notes)
    values["data"] |= {"images": ""}
    with pytest.raises(DataError, match="has 2 classes, not 3"):
        harmonize(config_of(values), tmp_path / "other", device="cpu")


def test_an_image_that_cannot_be_read_ends_the_run_with_its_name(tmp_path, shapes, code):
    file = shapes / "train_simulated" / "images" / "disc" / "3.png"
    file.write_bytes(file.read_bytes()[:-400])  # its header is whole
    with pytest.raises(DataError, match=r"disc/3\.png cannot be read"):
        harmonize(config_of(run_settings(shapes, f"{code}:build")), tmp_path / "run", device="cpu")
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"disc/3\.png cannot be read"):
        harmonize(config_of(run_settings(shapes, f"{code}:build")), tmp_path / "other", device="cpu")
    assert not (tmp_path / "other" / "log.csv").exists()


def test_images_are_read_as_everywhere_in_the_package(tmp_path):
    (tmp_path / "0").mkdir()
    Image.fromarray(np.full((9, 7), 128 * 257, np.uint16)).save(tmp_path / "0" / "grey16.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (9, 7)).save(tmp_path / "0" / "turned.jpg", exif=turned)
    Image.new("L", (20000, 10000)).save(tmp_path / "0" / "zz_huge.png")
    folder = image_folder(tmp_path, 1)
    assert folder.read(0).image.unique().tolist() == [128]
    assert folder.read(1).image.shape == (3, 9, 7)
    with pytest.raises(DataError, match=r"zz_huge\.png is too large"):
        folder.read(2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"human_maps": "maps"}, "data.human_maps has no data.human_images"),
        ({"human_images": "images", "clickme": "train"}, "both name images with human maps. Remove one"),
        ({"clickme": ""}, "no images with human maps are named"),
        ({"human_image": "images"}, r"unknown key data.human_image\. Did you mean human_images"),
    ],
)
def test_images_with_human_maps_are_named_once(data, message):
    with pytest.raises(UsageError, match=message):
        config_of({"model": "resnet18", "data": data})


def test_labels_of_clickme_are_refused_for_a_model_of_other_classes(tmp_path, shapes, code, own_home):
    values = run_settings(shapes, f"{code}:build")
    for data in ({"clickme": "train"}, values["data"] | {"held_out": "val"}):
        with pytest.raises(UsageError, match=r"labels of ClickMe are the 1,000 classes .* classes = 3"):
            harmonize(config_of(values | {"data": data}), tmp_path / "run", device="cpu")


def test_the_written_configuration_is_read_as_it_is(shapes):
    config = read_config(shapes / "harmonize.toml")
    assert (config.data.clickme, config.data.size, config.classes) == ("", 64, 3)
    assert config_of(config.to_dict()) == config
