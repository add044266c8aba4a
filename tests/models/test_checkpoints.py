import argparse
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from brainscore_itmaps import load_model, score
from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.load import load_model_request

NAME = "timm:test_vit"


@pytest.fixture
def state():
    return load_model(NAME, "random", seed=5).module.state_dict()


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_a_weight_file_gives_the_weights_that_were_saved(tmp_path, state, prefix, ending):
    file, tensors = tmp_path / f"weights.{ending}", {f"{prefix}{name}": tensor for name, tensor in state.items()}
    save_file(tensors, file) if ending == "safetensors" else torch.save(tensors, file)
    model = load_model(NAME, file)
    assert model.sha256 == load_model(NAME, "random", seed=5).sha256 != load_model(NAME, "random").sha256
    assert model.top1 is None
    assert file.name in str(model.weights)
    assert (model.weights.kind, model.weights.path) == ("file", str(file))
    assert str(model.weights) == f"file {file} (sha256 {sha256(file)[:12]})"


def test_a_hostile_file_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"weights": Hostile()}, tmp_path / "hostile.pt")
    with pytest.raises(ModelError, match=r"more than tensors.*save_file"):
        load_model(NAME, tmp_path / "hostile.pt")
    assert not (tmp_path / "executed").exists()


def test_the_error_for_a_file_with_unknown_classes_explains_the_export(tmp_path, state):
    torch.save({"state_dict": state, "model": torch.nn.Linear(2, 2)}, tmp_path / "training.pt")
    with pytest.raises(ModelError, match=r"more than tensors.*save_file"):
        load_model(NAME, tmp_path / "training.pt")


def prefixed(prefix, tensors):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(2.0)}}, "param_groups": [{"lr": 0.1}]}
OPTIONS = argparse.Namespace(lr=0.1, out=Path("runs"), best=np.float64(76.1), seen=np.int64(3))
LAYOUTS = {
    "a training script": lambda w: {"epoch": 3, "state_dict": w, "optimizer": OPTIMIZER},
    "timm": lambda w: {"epoch": 3, "state_dict": w, "optimizer": OPTIMIZER, "args": OPTIONS, "metric": 0.7},
    "torchvision's references": lambda w: {"model": w, "optimizer": OPTIMIZER, "lr_scheduler": {}, "args": OPTIONS},
    "net": lambda w: {"net": prefixed("module.", w), "acc": 91.2},
    "tutorials": lambda w: {"epoch": 5, "model_state_dict": w, "optimizer": OPTIMIZER, "loss": torch.ones(())},
    "keys in keys": lambda w: {"state": {"model": w, "optimizer": OPTIMIZER}},
    "Lightning": lambda w: {
        "state_dict": prefixed("model.", w) | {"criterion.weight": torch.ones(3), "teacher.fc.weight": torch.ones(3)},
        "hyper_parameters": {"lr": 0.1},
        "callbacks": {},
        "loops": {"fit_loop": {"state_dict": {}}},
        "pytorch-lightning_version": "2.1",
    },
    "Lightning, compiled": lambda w: {"state_dict": prefixed("net._orig_mod.", w)},
    "self-supervision": lambda w: {
        "state_dict": prefixed("module.backbone.", w) | {"module.projector.0.weight": w["norm.bias"]}
    },
    "torch's averaged model": lambda w: {"n_averaged": torch.tensor(9), **prefixed("module.", w)},
    "moments of the optimizer": lambda w: {
        "a_network_of_ours": w,
        "optim": {"exp_avg": {name: tensor + 1 for name, tensor in w.items()}},
    },
    "averaged alone": lambda w: {"state_dict_ema": w},
    "a loss beside the model": lambda w: w | {"criterion.weight": torch.ones(3), "head.total_ops": torch.zeros(1)},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_checkpoints_as_training_code_writes_them_give_the_weights(tmp_path, state, layout):
    torch.save(LAYOUTS[layout](dict(state)), tmp_path / "c.pth")
    assert load_model(NAME, tmp_path / "c.pth").sha256 == load_model(NAME, "random", seed=5).sha256


def test_a_note_states_the_key_that_was_read_and_what_was_left_out(tmp_path, state):
    torch.save(LAYOUTS["Lightning"](dict(state)), tmp_path / "c.ckpt")
    key, rest, preprocessing = load_model(NAME, tmp_path / "c.ckpt").notes
    assert key == "the weights were read from 'state_dict.model'"
    for name in ("hyper_parameters", "callbacks", "state_dict.criterion.weight", "state_dict.teacher.fc.weight"):
        assert name in rest
    assert "as for timm's test_vit" in preprocessing
    torch.save(prefixed("module.", state), tmp_path / "plain.pth")
    assert load_model(NAME, tmp_path / "plain.pth").notes == (preprocessing,)


AVERAGED = {
    "state_dict_ema": lambda a, b: {"state_dict_ema": b, "state_dict": a},
    "model_ema": lambda a, b: {"model_ema": b, "model": a},
    "ema.module": lambda a, b: {"ema": {"module": b}, "weights_of_the_network": a},
    "state_dict_swa": lambda a, b: {"state_dict_swa": prefixed("module.", b), "net": a},
    "state_dict.teacher": lambda a, b: {"state_dict": prefixed("teacher.", b) | prefixed("student.", a)},
    "encoder_k": lambda a, b: prefixed("encoder_k.", b) | prefixed("encoder_q.", a),
}


@pytest.mark.parametrize("key", AVERAGED)
def test_of_two_sets_of_weights_those_without_averaging_are_read_unless_a_key_is_given(tmp_path, state, key):
    other = {name: tensor + 1 for name, tensor in state.items()}
    torch.save(AVERAGED[key](state, other), tmp_path / "c.pth")
    raw, averaged = load_model(NAME, tmp_path / "c.pth"), load_model(NAME, tmp_path / "c.pth", state_key=key)
    assert raw.sha256 == load_model(NAME, "random", seed=5).sha256
    torch.testing.assert_close(averaged.module.state_dict(), other)
    assert f"not from {key}" in raw.notes[0]
    assert "state_key selects" in raw.notes[0]
    assert f"read from '{key}" in averaged.notes[0]
    assert averaged.request.state_key == key
    assert load_model_request(averaged.request).sha256 == averaged.sha256


def test_a_key_that_does_not_exist_or_does_not_apply_is_refused(tmp_path, state):
    torch.save({"model": state, "model_ema": state}, tmp_path / "c.pth")
    with pytest.raises(UsageError, match=r"no weights under the key 'ema'. Its keys are model, model_ema\."):
        load_model(NAME, tmp_path / "c.pth", state_key="ema")
    with pytest.raises(UsageError, match="is not a weight file"):
        load_model(NAME, "random", state_key="model")
    with pytest.raises(UsageError, match="Omit weights, arch and state_key"):
        load_model(torch.nn.Linear(2, 2), state_key="model")


def test_colours_for_a_model_of_grey_images_and_the_reverse(tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "c.pt")
    with pytest.raises(UsageError, match="images with colours"):
        load_model(tmp_path / "c.pt", arch="test_resnet", preprocessing={"size": 64, "mean": [0.5], "std": [0.5]})


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_file_of_torchscript_is_refused_with_the_way_to_its_weights(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "scripted.pt")
    with pytest.raises(ModelError, match=r"TorchScript.*torch.jit.load\(FILE\).state_dict"):
        load_model(NAME, tmp_path / "scripted.pt")


def test_weights_of_the_model_that_the_architecture_lacks_are_never_dropped(tmp_path):
    deeper = {"dist_token": torch.zeros(1, 1, 64), "blocks.9.norm1.weight": torch.ones(64)}
    state = load_model(NAME, "random").module.state_dict()
    for name, tensor in deeper.items():
        for layout in (lambda w: w, lambda w: {"state_dict": prefixed("model.", w)}):
            torch.save(layout(state | {name: tensor}), tmp_path / "c.pth")
            with pytest.raises(ModelError, match=f"1 tensors are unexpected \\({name}\\)"):
                load_model(NAME, tmp_path / "c.pth")


def test_a_backbone_without_its_classifier_is_read_and_its_other_head_is_left_out(tmp_path):
    module = timm.create_model("test_resnet")
    state = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith("fc.")}
    heads = {"fc.0.weight": torch.ones(8, 96), "fc.2.weight": torch.ones(4, 8)}
    torch.save({"state_dict": prefixed("module.encoder_q.", state | heads)}, tmp_path / "moco.pth.tar")
    model = load_model(str(tmp_path / "moco.pth.tar"), arch="test_resnet")
    assert "fc.0.weight" in model.notes[1]
    assert model.name == f"moco-{model.sha256[:8]}"
    torch.testing.assert_close(dict(model.module.state_dict()), state)


@pytest.mark.parametrize(
    "name", ["checkpoint.pth.tar", "weights.PTH", "UPPER.SAFETENSORS", "model.Bin", "safe.bin", "c.weights", "e.ckpt"]
)
def test_weight_files_with_any_ending_in_any_case(tmp_path, name):
    state = timm.create_model("test_resnet").state_dict()
    (save_file if name.lower().startswith(("upper", "safe")) else torch.save)(state, tmp_path / name)
    model = load_model(str(tmp_path / name), arch="test_resnet")
    assert model.sha256 == load_model("timm:test_resnet", tmp_path / name).sha256
    assert model.name == f"{name.split('.')[0]}-{model.sha256[:8]}"
    with pytest.raises(UsageError, match=r"Give it \(arch\), for example resnet50"):
        load_model(str(tmp_path / name))


def test_a_weight_file_of_a_model_that_takes_grey_images(tmp_path):
    torch.save(timm.create_model("test_resnet", in_chans=1).state_dict(), tmp_path / "grey.pt")
    model = load_model(tmp_path / "grey.pt", arch="test_resnet")
    assert model.spec.mean == (0.5,)
    assert any("grey" in note for note in model.notes)
    assert model.preprocess([Image.new("RGB", (9, 9))]).shape == (1, 1, 160, 160)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_weights_of_other_precisions_are_read(tmp_path, state, dtype):
    torch.save({name: tensor.to(dtype) for name, tensor in state.items()}, tmp_path / "c.pth")
    loaded = load_model(NAME, tmp_path / "c.pth").module.state_dict()
    torch.testing.assert_close(loaded, {name: tensor.to(dtype).float() for name, tensor in state.items()})


def test_the_error_for_another_architecture_lists_missing_and_unexpected_tensors(tmp_path, state):
    save_file(state, tmp_path / "vit.safetensors")
    with pytest.raises(ModelError, match=r"are missing \(.*are unexpected \("):
        load_model("timm:test_resnet", tmp_path / "vit.safetensors")


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_damaged_and_missing_files_are_reported(tmp_path, state, ending):
    file = tmp_path / f"weights.{ending}"
    save_file(state, file) if ending == "safetensors" else torch.save(state, file)
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(ModelError, match=r"cannot be read as weights|more than tensors"):
        load_model(NAME, file)
    with pytest.raises(ModelError, match="There is no file"):
        load_model(NAME, tmp_path / f"absent.{ending}")


def test_a_file_of_text_is_said_to_be_no_file_of_torch(tmp_path):
    file = tmp_path / "notes.pth"
    file.write_text("hello\n")
    with pytest.raises(ModelError, match=r"it is not a file that torch\.save writes"):
        load_model(NAME, file)


def test_keras_files_are_for_harmonized_models(tmp_path):
    (tmp_path / "weights.h5").touch()
    with pytest.raises(ModelError, match="is a Keras file; the layout of test_vit in Keras files is unknown"):
        load_model(NAME, tmp_path / "weights.h5")
    with pytest.raises(UsageError, match="or the path of a weight file"):
        load_model(NAME, "pretraind")


def test_a_score_with_a_weight_file_does_not_overwrite_another(tmp_path, state):
    result = score(NAME, weights="random", seed=5)
    save_file(state, tmp_path / "weights.safetensors")
    from_file = score(NAME, weights=tmp_path / "weights.safetensors")
    assert from_file.score == result.score
    assert {file.name for file in from_file.save(tmp_path)}.isdisjoint(file.name for file in result.save(tmp_path))
    assert any(from_file.weights_sha256[:8] in file.name for file in tmp_path.iterdir())


@pytest.mark.parametrize(("weights", "kind"), [("pretraind", UsageError), ("absent.safetensors", ModelError)])
def test_missing_weights_are_refused_before_a_recording_is_downloaded(weights, kind):
    with pytest.raises(kind, match=weights):
        score(NAME, "it_maps", weights=weights)
