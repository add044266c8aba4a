from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from brainscore_itmaps import load_model, score
from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.files import sha256

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


def test_the_error_for_a_file_with_more_than_tensors_explains_the_export(tmp_path, state):
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "training.pt")
    with pytest.raises(ModelError, match=r"more than tensors \(state_dict, epoch\).*save_file"):
        load_model(NAME, tmp_path / "training.pt")


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
