import json
from dataclasses import replace
from functools import cache

import h5py
import numpy as np
import pytest
import torch
from keras_files import GOLDEN, fixed_input, layout, write_keras
from local_server import send, server

from brainscore_itmaps import load_model
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models import keras_layouts
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.layers import map_shapes
from brainscore_itmaps.models.weights import fetch_weights
from brainscore_itmaps.models.weights_record import CONVERTED, RECORD, folder_of, read_weights_record
from brainscore_itmaps.models.zoo import ZOO

LAYOUTS = {
    "harmonized_resnet50": ("resnet50", 1e-5),
    "harmonized_vgg16": ("vgg16", 1e-5),
    "harmonized_efficientnet_b0": ("efficientnetB0", 1e-5),
    "harmonized_vit_b16": ("vit-b16", 1e-5),
    "harmonized_convnext_tiny": ("convnext_tiny", 1e-5),
    "harmonized_maxvit_tiny": ("maxvit_tiny", 3e-4),
    "harmonized_levit_128": ("levit_small", 1e-5),
}


@pytest.fixture(scope="module")
def keras_weights(tmp_path_factory):
    """A function that writes the Keras file of a layout once, and returns its path."""
    folder = tmp_path_factory.mktemp("keras")
    return cache(lambda golden: write_keras(folder / f"{golden}.h5", layout(golden)))


@pytest.fixture(scope="module")
def levit(keras_weights):
    return keras_weights("levit_small")


@cache
def untrained(name):
    """A model with random weights; tests must not change it."""
    return load_model(name, "random").module


def logits(module):
    with torch.inference_mode():
        return module(torch.from_numpy(fixed_input()).permute(0, 3, 1, 2)).numpy()


def distance(module, golden):
    expected = np.load(GOLDEN / "harmonized_seed1.npz")[golden]
    return np.abs(logits(module) - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.slow
def test_converted_models_give_the_logits_of_keras(name, keras_weights):
    golden, tolerance = LAYOUTS[name]
    model = load_model(name, keras_weights(golden))
    assert distance(model.module, golden) < tolerance
    assert model.top1 is None  # the file is not recorded
    assert f"{golden}.h5" in str(model.weights)
    assert ["softmax" in note for note in model.notes] == ([True] if golden == "efficientnetB0" else [])
    layers = model.spec.layers
    assert list(map_shapes(model.module, list(layers.values()), 224)) == list(layers.values())
    assert model.spec.readout in dict(model.module.named_modules())


def test_every_specification_has_a_layout():
    assert set(LAYOUTS) == set(HARMONIZED) == {name for name in ZOO if name.startswith("harmonized_")}
    assert {spec.architecture for spec in HARMONIZED.values()} == set(keras_layouts.LAYOUTS)
    for spec in HARMONIZED.values():
        assert (spec.size, spec.mean, spec.std) == (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("name", "normalisation", "epsilon"),
    [
        ("harmonized_resnet50", torch.nn.BatchNorm2d, 1e-5),
        ("harmonized_efficientnet_b0", torch.nn.BatchNorm2d, 1e-3),
        ("harmonized_vit_b16", torch.nn.LayerNorm, 1e-6),
        ("harmonized_convnext_tiny", torch.nn.LayerNorm, 1e-6),
        ("harmonized_maxvit_tiny", torch.nn.BatchNorm2d, 1e-3),
        ("harmonized_maxvit_tiny", torch.nn.LayerNorm, 1e-5),
        ("harmonized_levit_128", torch.nn.BatchNorm1d, 1e-5),
    ],
)
def test_epsilons(name, normalisation, epsilon):
    modules = untrained(name).modules()
    assert {part.eps for part in modules if isinstance(part, normalisation)} == {epsilon}


@pytest.mark.parametrize("name", ["harmonized_vit_b16", "harmonized_convnext_tiny"])
def test_gelu_is_exact(name):
    points = torch.linspace(-4, 4, 101)
    acts = [module for path, module in untrained(name).named_modules() if path.endswith("mlp.act")]
    assert len(acts) >= 12
    for act in acts:
        torch.testing.assert_close(act(points), torch.nn.functional.gelu(points), rtol=0, atol=0)
        assert not torch.equal(act(points), torch.nn.functional.gelu(points, approximate="tanh"))


def test_gelu_of_maxvit_is_approximated_by_tanh():
    kinds = {type(part).__name__ for part in untrained("harmonized_maxvit_tiny").modules()}
    assert "GELUTanh" in kinds
    assert not {"GELU", "QuickGELU"} & kinds


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("harmonized_resnet50", {"options": {}}),
        ("harmonized_maxvit_tiny", {"reversed_table": lambda table: table.reshape(-1, 13, 13)}),
        ("harmonized_vit_b16", {"dense": keras_layouts.unchanged}),
        ("harmonized_vgg16", {"flattened": lambda kernel: kernel.T.reshape(-1, 512, 7, 7)}),
    ],
)
@pytest.mark.slow
def test_wrong_conversions_are_seen(name, wrong, keras_weights, monkeypatch):
    golden, tolerance = LAYOUTS[name]
    file = keras_weights(golden)
    if "options" in wrong:
        monkeypatch.setitem(HARMONIZED[name].options, "same_padding", False)
    elif "dense" in wrong:  # only square kernels: query, key, value and output

        def untransposed(kernel):
            return kernel if kernel.shape[0] == kernel.shape[-1] else kernel.T

        monkeypatch.setattr(keras_layouts, "dense", untransposed)
    else:
        for rule, otherwise in wrong.items():
            monkeypatch.setattr(keras_layouts, rule, otherwise)
    assert distance(load_model(name, file).module, golden) > 100 * tolerance


def test_a_file_with_other_layer_names_is_matched_by_order_with_a_note(tmp_path, levit):
    with h5py.File(levit) as published, h5py.File(tmp_path / "other.h5", "w") as other:
        names = []
        for number, layer in enumerate(published.attrs["layer_names"]):
            names.append(f"part{number}".encode())
            group = other.create_group(f"part{number}")
            weights = published[layer].attrs["weight_names"]
            renamed_weights = [f"part{number}/{weight.split('/')[-1]}" for weight in weights]
            group.attrs["weight_names"] = [weight.encode() for weight in renamed_weights]
            for weight, renamed in zip(weights, renamed_weights, strict=True):
                group[renamed] = published[layer][weight][()]
        other.attrs["layer_names"] = names
    model = load_model("harmonized_levit_128", tmp_path / "other.h5")
    assert "matched by their order" in model.notes[0]
    assert model.sha256 == load_model("harmonized_levit_128", levit).sha256


@pytest.mark.parametrize("name", ["harmonized_levit_128", "harmonized_convnext_tiny"])
def test_the_prefix_of_a_wrapping_model_is_ignored(tmp_path, name):
    described = layout(LAYOUTS[name][0])
    for layer in described["layers"]:
        layer["weights"] = [[f"wrapped/{weight}", *rest] for weight, *rest in layer["weights"]]
    model = load_model(name, write_keras(tmp_path / "wrapped.h5", described))
    assert distance(model.module, LAYOUTS[name][0]) < 1e-5
    assert model.notes == ()


def test_a_file_of_another_architecture_is_refused_with_unexpected_and_missing_tensors(levit):
    with pytest.raises(ModelError, match=r"are unexpected \(.*are missing \(conv1/kernel"):
        load_model("harmonized_resnet50", levit)


def spoilt(change, tmp_path):
    described = layout("levit_small")
    change(described["layers"])
    return write_keras(tmp_path / "spoilt.h5", described)


def test_a_renamed_and_moved_layer_is_refused_with_its_name(tmp_path):
    def move(layers):
        layer = next(layer for layer in layers if layer["name"] == "stack1_block1_qkv")
        layer["name"] = "another"
        layer["weights"] = [["another/kernel:0", *rest] for _, *rest in layer["weights"]]
        layers.append(layers.pop(layers.index(layer)))

    with pytest.raises(ModelError, match=r"another/kernel.*stack1_block1_qkv/kernel"):
        load_model("harmonized_levit_128", spoilt(move, tmp_path))


def test_a_listed_layer_that_is_missing_is_named(tmp_path, levit):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(levit.read_bytes())
    with h5py.File(copy, "r+") as file:
        file.move("head", "tail")
    with pytest.raises(ModelError, match=r"copy\.h5 lists the layer head, but does not contain it"):
        load_model("harmonized_levit_128", copy)


def test_one_tensor_too_many_too_few_or_of_another_shape_is_named(tmp_path):
    extra = spoilt(lambda layers: layers[-1]["weights"].append(["head/extra/bias:0", [3], "float32"]), tmp_path)
    with pytest.raises(ModelError, match=r"1 of its tensors are unexpected \(head/extra/bias\), 0"):
        load_model("harmonized_levit_128", extra)
    fewer = spoilt(lambda layers: layers[-1]["weights"].pop(), tmp_path)
    with pytest.raises(ModelError, match=r"0 of its tensors .*, 1 of the model's tensors are missing \(head/bias\)"):
        load_model("harmonized_levit_128", fewer)
    shape = spoilt(lambda layers: layers[-1]["weights"][-1].__setitem__(1, [999]), tmp_path)
    with pytest.raises(ModelError, match=r"1 of its tensors have another shape \(head/bias \(999,\)\)"):
        load_model("harmonized_levit_128", shape)


def test_a_tensor_that_is_not_finite_is_named(tmp_path, levit):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(levit.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["head/head/bias:0"][3] = np.nan
    with pytest.raises(ModelError, match=r"head/bias of .* not finite"):
        load_model("harmonized_levit_128", copy)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused_and_nothing_is_stored(tmp_path, monkeypatch, levit, share):
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path / "home"))
    content = levit.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"cut\.h5"):
        fetch_weights(ZOO["harmonized_levit_128"], file=tmp_path / "cut.h5")
    assert not list((tmp_path / "home").rglob("model.*"))


def test_a_file_is_converted_once_and_another_file_is_refused_afterwards(tmp_path, monkeypatch, levit):
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    spec = ZOO["harmonized_levit_128"]
    record = fetch_weights(spec, file=levit)
    model = load_model("harmonized_levit_128")
    assert distance(model.module, "levit_small") < 1e-5
    assert model.sha256 == record.parameters_sha256 == load_model("harmonized_levit_128", levit).sha256
    assert model.top1 is None  # the file did not come from its authors' address
    assert json.loads((folder_of(spec) / RECORD).read_text())["file_sha256"] == record.file_sha256
    other = write_keras(tmp_path / "other.h5", layout("levit_small"), seed=2)
    with pytest.raises(ModelError, match=r"other\.h5 is not the expected file: .*, the sha256 in .*model\.json is"):
        fetch_weights(spec, file=other)
    assert read_weights_record(spec) == record


def test_converted_weights_that_were_changed_are_refused(tmp_path, monkeypatch, levit):
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    spec = ZOO["harmonized_levit_128"]
    fetch_weights(spec, file=levit)
    converted = bytearray((folder_of(spec) / CONVERTED).read_bytes())
    converted[-1] ^= 1
    (folder_of(spec) / CONVERTED).write_bytes(converted)
    with pytest.raises(ModelError, match=r"model\.safetensors is not the expected file: .*, the recorded sha256 is"):
        load_model("harmonized_levit_128")


def test_the_offline_error_names_the_file_to_download(tmp_path, monkeypatch):
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"Download https://.*levit_small_harmonized\.h5 .*levit_128 --from FILE"):
        load_model("harmonized_levit_128")
    assert not list(tmp_path.rglob("model.*"))


@pytest.mark.enable_socket
def test_weights_are_downloaded_once_after_a_failed_attempt(tmp_path, monkeypatch, levit):
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path))
    content, spec = levit.read_bytes(), ZOO["harmonized_levit_128"]

    def answer(handler, number):
        send(handler, content if number > 1 else content[:1000], length=len(content))

    steps = []
    with server(answer) as running:
        weights = replace(spec.weights, url=running.url)
        monkeypatch.setitem(ZOO, spec.identifier, replace(spec, weights=weights))
        model = load_model(spec.identifier, progress=lambda *step: steps.append(step))
        assert load_model(spec.identifier).sha256 == model.sha256
    assert len(running.asked) == 2
    assert (model.top1, model.top1_source) == (spec.top1, spec.top1_source)
    assert {step.split()[0] for step, _, _ in steps} == {"downloading", "converting"}
    assert sorted(file.name for file in folder_of(spec).iterdir() if file.name[0] != ".") == [RECORD, CONVERTED]


def test_a_list_of_layers_in_two_attributes_is_joined(tmp_path, levit):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(levit.read_bytes())
    with h5py.File(copy, "r+") as file:
        names = [name.encode() for name in file.attrs["layer_names"]]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:50], names[50:]
    assert load_model("harmonized_levit_128", copy).sha256 == load_model("harmonized_levit_128", levit).sha256
