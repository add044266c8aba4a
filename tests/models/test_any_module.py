"""Modules as laboratories have them: wrapped, compiled, in any precision, with any state, with one channel."""

import copy
import hashlib

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from small_model import Small

from brainscore_itmaps import load_model, load_recording, record, score
from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.features.attribution import as_input, saliency_maps
from brainscore_itmaps.models.forward import unwrapped
from brainscore_itmaps.models.model import hash_parameters, untrained

SETTINGS = {"size": 64, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
GREY = {"size": 64, "mean": (0.45,), "std": (0.25,)}


@pytest.fixture(scope="module")
def images():
    return load_recording("it_maps_simulated").images[:2]


@pytest.fixture
def small():
    torch.manual_seed(3)
    return Small().eval()


class GreySmall(Small):
    def __init__(self):
        super().__init__()
        self.stem[0] = torch.nn.Conv2d(1, 8, 8, stride=8)


@pytest.mark.parametrize("layer", [None, "_orig_mod.late.1", "late.1"])
def test_a_compiled_module_scores_as_the_module_inside(small, own_home, layer):
    compiled = torch.compile(small, backend="eager")
    compiled(torch.zeros(1, 3, 64, 64))
    expected = score(small, layers="late.1", preprocessing=SETTINGS)
    result = score(compiled, layers=layer, preprocessing=SETTINGS)
    assert (result.score, result.model, result.weights_sha256) == (
        expected.score,
        expected.model,
        expected.weights_sha256,
    )


@pytest.mark.parametrize("part", ["the module", "a layer"])
def test_layers_of_a_module_that_was_compiled_in_place_are_read(small, images, part):
    expected = record(load_model(copy.deepcopy(small), preprocessing=SETTINGS), images, "late")
    if part == "the module":
        small.compile(backend="eager")
    else:
        small.late = torch.compile(small.late, backend="eager")
    small(torch.zeros(1, 3, 64, 64))
    read = record(load_model(small, preprocessing=SETTINGS), images, "late")
    np.testing.assert_array_equal(read["late"], expected["late"])


WRAPPERS = {
    "DataParallel": torch.nn.DataParallel,
    "AveragedModel": torch.optim.swa_utils.AveragedModel,
    "both": lambda module: torch.optim.swa_utils.AveragedModel(torch.nn.DataParallel(module)),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_changes_neither_the_name_nor_the_layers(small, images, wrapper):
    plain, wrapped = (load_model(m, preprocessing=SETTINGS) for m in (small, WRAPPERS[wrapper](small)))
    assert (wrapped.name, wrapped.spec, wrapped.sha256) == (plain.name, plain.spec, plain.sha256)
    np.testing.assert_array_equal(record(wrapped, images, "module.late")["late"], record(plain, images, "late")["late"])
    assert unwrapped(small) is small


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_in_another_precision_gets_its_images_in_it(small, images, dtype):
    expected = record(load_model(copy.deepcopy(small), preprocessing=SETTINGS), images, "late")["late"]
    model = load_model(small.to(dtype), preprocessing=SETTINGS)
    np.testing.assert_allclose(record(model, images, "late")["late"], expected, atol=0.05)
    assert next(model.module.parameters()).dtype == dtype


def test_a_module_whose_images_are_the_keyword_pixel_values(small, images):
    class Keyword(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small

        def forward(self, *, pixel_values):
            return {"logits": self.net(pixel_values)}

    model = load_model(Keyword(), preprocessing=SETTINGS)
    assert model.spec.layers["IT"] == "net.late.1"
    expected = record(load_model(small, preprocessing=SETTINGS), images, "late.1")["late.1"]
    np.testing.assert_array_equal(record(model, images)["net.late.1"], expected)
    arrays = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    saliency, _ = saliency_maps(model, arrays, np.array([1, 2]))
    assert saliency.shape == (2, 64, 64)


def exported(module):
    return torch.export.export(module, (torch.zeros(1, 3, 64, 64),)).module()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda module: torch.jit.trace(module, torch.zeros(1, 3, 64, 64)), "TorchScript.*Give the module from which"),
        (exported, "torch.export.*Give the module that was exported"),
        (lambda module: module.to("meta"), "meta device.*Load its weights"),
        (lambda module: torch.nn.Sequential(torch.nn.LazyConv2d(8, 3)), "lazy modules.*Run it once"),
        (lambda module: torch.nn.ReLU(), "without parameters.*before quantisation"),
    ],
)
def test_modules_whose_layers_or_values_cannot_be_read_are_refused_with_the_cure(small, made, message):
    with pytest.raises(ModelError, match=message):
        load_model(made(small), preprocessing=SETTINGS)


def test_a_module_traced_by_torch_fx_is_read(small, images):
    traced = record(load_model(torch.fx.symbolic_trace(small), preprocessing=SETTINGS), images, "late.1")
    np.testing.assert_array_equal(
        traced["late.1"], record(load_model(small, preprocessing=SETTINGS), images, "late.1")["late.1"]
    )


class ExtraState(Small):
    def __init__(self, version=1):
        super().__init__()
        self.version = version

    def get_extra_state(self):
        return {"version": self.version, "table": [torch.ones(2), None], "text": b"x"}

    def set_extra_state(self, state):
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_state_that_is_no_tensor_is_part_of_the_hash():
    quantise = torch.ao.quantization.quantize_dynamic
    hashes = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        hashes.append(hash_parameters(quantise(Small(), {torch.nn.Linear}, dtype=torch.qint8)))
    assert hashes[0] == hashes[1] != hashes[2]
    modules = []
    for version in (1, 1, 2):
        torch.manual_seed(0)
        modules.append(hash_parameters(ExtraState(version)))
    assert modules[0] == modules[1] != modules[2]
    torch.manual_seed(0)
    assert load_model(quantise(Small(), {torch.nn.Linear}, dtype=torch.qint8), preprocessing=SETTINGS).sha256


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "buffer",
    [
        torch.ones(3, dtype=torch.bfloat16),
        torch.ones(3).to(torch.float8_e4m3fn),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3, dtype=torch.complex64).conj(),
        torch.ones(3, dtype=torch.bool),
        torch.tensor(1),
        torch.eye(3).to_sparse(),
        torch.eye(3).to_sparse_csr(),
    ],
    ids=lambda buffer: f"{buffer.dtype} {buffer.layout}",
)
def test_buffers_of_any_type_are_part_of_the_hash(buffer):
    hashes = []
    for value in (buffer, buffer.clone(), torch.zeros(3).to(buffer.dtype) if buffer.ndim == 1 else torch.tensor(2)):
        module = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(module.weight)
        torch.nn.init.ones_(module.bias)
        module.register_buffer("seen", value)
        hashes.append(hash_parameters(module))
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_hash_of_ordinary_parameters_is_that_of_numpy_s_bytes(small):
    digest = hashlib.sha256()
    for name, tensor in sorted(small.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    assert hash_parameters(small) == digest.hexdigest()


@pytest.mark.parametrize(
    "preprocessing",
    [GREY, SETTINGS | {"mean": (0.45,) * 3, "std": (0.25,) * 3}, GREY | {"channels": 1}, SETTINGS | {"channels": 1}],
)
def test_a_module_with_one_channel_is_shown_grey_images(tmp_path, preprocessing):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    model = load_model(GreySmall(), preprocessing=preprocessing)
    mean, std = (float(np.mean(preprocessing[name])) for name in ("mean", "std"))
    grey = np.asarray(Image.fromarray(pixels).convert("L")) / 255
    inputs = model.preprocess([tmp_path / "image.png"])
    np.testing.assert_allclose(inputs[0, 0], (grey - mean) / std, atol=1e-5)
    np.testing.assert_allclose(as_input(model, pixels[None].astype(np.float32)), inputs, atol=0.02)
    assert inputs.shape == (1, 1, 64, 64)
    assert model.spec.layers["IT"] == "late.1"
    assert "ITU-R 601" in model.notes[0]


def test_a_module_with_one_channel_is_scored_with_all_layers_and_aligned(own_home):
    model = load_model(GreySmall(), preprocessing=GREY)
    result = score(model, layers="all")
    assert np.isfinite(result.raw)
    assert model.notes[0] in result.notes
    assert score(model, "it_maps_attribution_simulated").raw is not None
    arrays = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    assert saliency_maps(model, arrays, np.array([1, 2]))[0].shape == (2, 64, 64)
    assert untrained(model).module.stem[0].in_channels == 1
    with pytest.raises(ModelError, match="grey"):
        score(load_model(timm.create_model("test_resnet", in_chans=1), preprocessing=GREY | {"size": 224}),
              protocol="published")  # fmt: skip


def test_stated_channels_that_the_module_does_not_take_are_refused(small):
    with pytest.raises(ModelError, match=r"fails on an image \(1, 1, 64, 64\).*channels"):
        load_model(small, preprocessing=SETTINGS | {"channels": 1})
    with pytest.raises(ModelError, match=r"fails on an image \(1, 3, 64, 64\)"):
        load_model(GreySmall(), preprocessing=SETTINGS | {"channels": 3})


def test_a_function_may_make_grey_images():
    def grey(image):
        return torch.from_numpy(np.asarray(image.convert("L").resize((64, 64)), np.float32) / 255)[None]

    model = load_model(GreySmall(), preprocessing=grey)
    assert model.preprocess([Image.new("RGB", (30, 30))]).shape == (1, 1, 64, 64)
    assert model.notes == ()


def test_a_user_s_name_is_shown_with_the_hash_of_the_weights(small, tmp_path, own_home):
    other = copy.deepcopy(small)
    torch.nn.init.zeros_(other.head.bias)
    named = [score(module, preprocessing=SETTINGS, name="ours, seed 3") for module in (small, other)]
    assert [result.model for result in named] == [f"ours, seed 3-{result.weights_sha256[:8]}" for result in named]
    assert named[0].model != named[1].model
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "c.pt")
    model = load_model(tmp_path / "c.pt", arch="test_resnet", name="ours")
    assert model.name == f"ours-{model.sha256[:8]}"
    assert model.request.label == "ours"
    (tmp_path / "mine.py").write_text("import timm\ndef build(): return timm.create_model('test_resnet')\n")
    assert load_model(f"{tmp_path / 'mine.py'}:build", name="ours").name.startswith("ours-")
    assert load_model(name="timm:test_resnet", weights="random").name == "timm:test_resnet"


@pytest.mark.parametrize("name", ["", "a/b", "two\nlines", "x" * 81])
def test_names_that_cannot_be_shown_are_refused(small, name):
    with pytest.raises(UsageError, match="is not a name"):
        load_model(small, preprocessing=SETTINGS, name=name)


def test_a_name_is_for_models_of_one_s_own():
    with pytest.raises(UsageError, match="already has a name"):
        load_model("timm:test_resnet", "random", name="ours")
    with pytest.raises(UsageError, match="already has a name"):
        score("efficientnet_lite0", name="ours")
