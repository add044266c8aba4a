"""Models of users: modules, weight files, and functions in Python files."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from small_model import Small

from brainscore_itmaps import load_model, score
from brainscore_itmaps.bridge.models import brain_model
from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.models.load import load_model_request
from brainscore_itmaps.models.model import untrained
from brainscore_itmaps.models.preprocessing import plain_preprocessing, read_preprocessing
from brainscore_itmaps.models.runs import save_run
from brainscore_itmaps.models.spec import ModelRequest, Weights

SETTINGS = {"size": 64, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


@pytest.fixture
def small():
    torch.manual_seed(3)
    return Small()


def resized(image):
    pixels = np.asarray(image.resize((64, 64)), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)


def test_a_module_is_given_images_with_the_described_preprocessing(small, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    model = load_model(small, preprocessing=SETTINGS)
    expected = (pixels / 255 - SETTINGS["mean"]) / SETTINGS["std"]
    inputs = model.preprocess([tmp_path / "image.png"])[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    assert model.module is small
    assert not small.training
    assert model.name == f"Small-{model.sha256[:8]}"
    assert model.spec.layers["IT"] == "late.1"


def test_a_module_and_its_file_and_its_function_have_one_score(small, tmp_path, own_home):
    from_module = score(small, preprocessing=SETTINGS)
    by_function = score(small, preprocessing=lambda image: (resized(image) - 0.5) / 0.25)
    (tmp_path / "constants.py").write_text("SIZE = 64\n")
    torch.save(small.state_dict(), tmp_path / "small.pt")
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from constants import SIZE\n"
        "from small_model import Small\n"
        "def build():\n"
        f"    module = Small()\n    module.load_state_dict(torch.load({str(tmp_path / 'small.pt')!r}))\n"
        f"    return module, dict(size=SIZE, mean={SETTINGS['mean']}, std={SETTINGS['std']})\n"
    )
    from_file = score(f"{tmp_path / 'mine.py'}:build")
    assert from_file.score == from_module.score != by_function.score
    assert from_file.model == f"mine.build-{from_file.weights_sha256[:8]}"
    assert from_module.imagenet_top1 is None


def test_the_same_weights_in_other_code_are_another_model(small, own_home):
    """A cache key of the weights alone would return the score of the other code."""
    other = Small(factor=3.0)
    other.load_state_dict(small.state_dict())
    assert score(small, preprocessing=SETTINGS).score != score(other, preprocessing=SETTINGS).score
    identifiers = {
        brain_model(load_model(small, preprocessing=SETTINGS)).activations_model.identifier for _ in range(2)
    }
    assert len(identifiers) == 2


def test_activations_at_the_centre_of_gaze_are_not_cached_for_a_user_s_code(small, own_home):
    other = Small(factor=3.0)
    other.load_state_dict(small.state_dict())
    one, two = (
        score(module, "it_maps_fixation_simulated", preprocessing=SETTINGS | {"size": 32}) for module in (small, other)
    )
    assert one.score != two.score


def change_weights(module):
    next(module.parameters()).data.abs_()


def lesion(module):
    module.layer2.register_forward_hook(lambda child, inputs, output: output * torch.arange(output.shape[-1]))


def replace_forward(module):
    computed = module.layer2.forward
    module.layer2.forward = lambda x: computed(x).square()


@pytest.mark.parametrize(
    ("change", "said"), [(change_weights, "weights"), (lesion, "hooks"), (replace_forward, "forward")]
)
def test_a_named_model_that_was_changed_after_loading_shares_no_score_with_the_unchanged_one(own_home, change, said):
    unchanged = score(load_model("timm:test_resnet", "random"), layers="layer3", interval="fixed")
    model = load_model("timm:test_resnet", "random")
    change(model.module)
    changed = score(model, layers="layer3", interval="fixed")
    fresh = score(model, layers="layer3", interval="fixed", fresh=True)
    again = score(load_model("timm:test_resnet", "random"), layers="layer3", interval="fixed")
    assert changed.score == fresh.score != unchanged.score == again.score
    assert changed.model.startswith("timm:test_resnet-")
    assert changed.weights_sha256[:8] == changed.model[-8:]
    assert str(changed.reading.weights) == "as they were given"
    assert f"changed after timm:test_resnet was loaded: {said}" in changed.notes


def test_a_module_that_was_changed_after_loading_is_named_after_its_weights_of_now(small, own_home):
    model = load_model(small, preprocessing=SETTINGS, name="ours")
    torch.nn.init.ones_(next(small.parameters()))
    result = score(model, interval="fixed")
    assert result.model == load_model(small, preprocessing=SETTINGS, name="ours").name != model.name


def test_a_module_that_takes_only_one_image_at_a_time_is_refused_with_a_sentence(own_home):
    class OneImage(Small):
        def forward(self, images):
            return super().forward(images.view(1, 3, 64, 64))

    with pytest.raises(ModelError, match=r"fails on a batch of 14 images .*batch size of 1"):
        score(OneImage(), preprocessing=SETTINGS, interval="fixed")
    assert score(OneImage(), preprocessing=SETTINGS, interval="fixed", batch_size=1).score


def test_all_options_apply_to_a_module(small, own_home):
    loaded = load_model(small, preprocessing=SETTINGS)
    for interval in ("groups", "fixed"):
        assert (
            score(small, preprocessing=SETTINGS, interval=interval).interval
            == score(loaded, interval=interval).interval
        )


def test_scoring_restores_the_mode_of_a_module(small, own_home):
    small.train()
    small.late.eval()
    score(small, preprocessing=SETTINGS)
    assert [part.training for part in small.children()] == [True, False, True]
    assert small.training


def test_the_preprocessing_of_timm_s_modules_is_read_from_timm(own_home):
    torch.manual_seed(0)
    model = load_model(timm.create_model("test_resnet"))
    named = load_model("timm:test_resnet", "random").spec
    assert (model.spec.size, model.spec.mean, model.spec.crop) == (named.size, named.mean, named.crop)
    assert model.spec.layers == named.layers


@pytest.mark.parametrize("classes", [1000, 7, 0])
def test_a_file_with_its_architecture(tmp_path, own_home, classes):
    module = timm.create_model("test_resnet", num_classes=classes)
    save_file(module.state_dict(), tmp_path / "mine.safetensors")
    model = load_model(str(tmp_path / "mine.safetensors"), arch="test_resnet")
    assert model.name == f"mine-{model.sha256[:8]}"
    assert sum(p.numel() for p in model.module.parameters()) == sum(p.numel() for p in module.parameters())
    assert "as for timm's test_resnet" in model.notes[0]
    assert model.top1 is None
    described = load_model(str(tmp_path / "mine.safetensors"), arch="test_resnet", preprocessing=SETTINGS)
    assert (described.spec.size, described.spec.mean, described.notes) == (64, SETTINGS["mean"], ())
    assert untrained(model).module.state_dict().keys() == model.module.state_dict().keys()


@pytest.mark.parametrize(
    ("arguments", "request_", "kind"),
    [
        ({"name": "efficientnet_lite0"}, ModelRequest("efficientnet_lite0"), "pretrained"),
        (
            {"name": "timm:test_vit", "weights": "random", "seed": 5},
            ModelRequest("timm:test_vit", Weights("random", seed=5)),
            "random",
        ),
        (
            {"name": "timm:test_resnet", "weights": "mine.safetensors", "preprocessing": SETTINGS},
            ModelRequest(
                "timm:test_resnet",
                Weights("file", "mine.safetensors"),
                preprocessing=plain_preprocessing(SETTINGS),
            ),
            "file",
        ),
        (
            {"name": "mine.safetensors", "arch": "test_resnet"},
            ModelRequest("mine.safetensors", arch="test_resnet"),
            "file",
        ),
        ({"name": "mine.py:build"}, ModelRequest("mine.py:build"), "module"),
        ({"name": "mine.py:loaded"}, ModelRequest("mine.py:loaded"), "random"),
        ({"name": "run"}, ModelRequest("run"), "file"),
    ],
)
def test_a_request_loads_the_same_model_again(tmp_path, monkeypatch, arguments, request_, kind):
    monkeypatch.chdir(tmp_path)
    module = load_model("timm:test_resnet", "random", seed=2)
    save_file(module.module.state_dict(), "mine.safetensors")
    save_run(tmp_path / "run", "timm:test_resnet", module.module, module.spec, {"summary": "trained here"})
    (tmp_path / "mine.py").write_text(
        "import timm, torch\nfrom brainscore_itmaps import load_model\n"
        "def build():\n    torch.manual_seed(1)\n    return timm.create_model('test_resnet')\n"
        "def loaded(): return load_model('timm:test_resnet', 'random', 3)\n"
    )
    model = load_model(**arguments)
    reloaded = load_model_request(model.request)
    assert model.request == reloaded.request == request_
    for attribute in ("name", "spec", "weights", "notes"):
        assert getattr(reloaded, attribute) == getattr(model, attribute)
    assert model.weights.kind == kind
    assert len(model.sha256) == 64


def test_a_module_in_memory_is_not_loaded_again(small):
    model = load_model(small, preprocessing=SETTINGS)
    assert (model.weights.kind, model.request.weights) == ("module", Weights("module"))
    with pytest.raises(ModelError, match=f"{model.name} was given as a module in memory: it cannot be loaded again"):
        load_model_request(model.request)
    with pytest.raises(ModelError, match="loaded by Brain-Score"):
        load_model_request(ModelRequest("pixels", Weights("external")))
    control = untrained(load_model("timm:test_resnet", "random", seed=1), seed=4)
    assert load_model_request(control.request).sha256 == control.sha256


@pytest.mark.parametrize(
    ("name", "arch", "message"),
    [
        ("mine.safetensors", None, "for example resnet50"),
        ("mine.safetensors", "resnet81", "resnet18"),
        ("absent.safetensors", "resnet18", "There is no file"),
        ("absent.py:build", None, "There is no file"),
        ("mine.py:build", "resnet18", "its architecture already"),
        ("efficientnet_lite0", "resnet18", "its architecture already"),
        ("mine.py:biuld", None, "has no function 'biuld'"),
        ("mine.py:fails", None, r"fails in mine.py fails: KeyError: 'nothing'"),
        ("mine.py:nothing", None, "returns a NoneType"),
        ("mine.py:undescribed", None, "preprocessing of images for a Linear is missing"),
        ("mine.py:leaves", None, "fails: SystemExit: 3"),
        ("resnet18", None, "Use timm:resnet18"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_reported(tmp_path, monkeypatch, name, arch, message):
    monkeypatch.chdir(tmp_path)
    save_file({"one": torch.zeros(2)}, "mine.safetensors")
    (tmp_path / "mine.py").write_text(
        "import torch\ndef build(): pass\ndef fails(): {}['nothing']\ndef nothing(): pass\n"
        "def leaves(): raise SystemExit(3)\n"
        "def undescribed(): return torch.nn.Linear(2, 2)\n"
    )
    with pytest.raises((ModelError, UsageError), match=message):
        load_model(name, arch=arch)


@pytest.mark.parametrize("arguments", [{"weights": "random"}, {"arch": "resnet18"}])
def test_weights_and_architecture_are_refused_for_a_module(small, arguments):
    with pytest.raises(UsageError, match="already"):
        score(small, preprocessing=SETTINGS, **arguments)


@pytest.mark.parametrize("model", ["efficientnet_lite0", "pixels"])
def test_preprocessing_is_refused_for_a_model_that_has_its_own(model):
    with pytest.raises(UsageError, match="its own preprocessing"):
        score(model, preprocessing=SETTINGS)


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        ({}, "Preprocessing lacks size, mean, std"),
        (SETTINGS | {"sise": 3}, "Did you mean size"),
        (SETTINGS | {"size": 0}, "cannot be"),
        (SETTINGS | {"std": (1, 1, 0)}, "cannot be"),
        (SETTINGS | {"mean": (1, 1)}, "cannot be"),
        (SETTINGS | {"mean": (1,)}, "cannot be"),
        (SETTINGS | {"channels": 2}, "cannot be"),
        (SETTINGS | {"mean": 0.5}, "cannot be"),
        (SETTINGS | {"interpolation": "cubic"}, "cannot be"),
        (SETTINGS | {"crop": 1.2}, "cannot be"),
    ],
)
def test_invalid_preprocessing_is_refused(preprocessing, message):
    with pytest.raises(UsageError, match=message):
        read_preprocessing(preprocessing)


def centre(image):
    return resized(image.crop((25, 25, 375, 375)))


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (centre, r"cuts off or moves edges of the image \(top, bottom, left, right\)"),
        (lambda image: resized(image.crop((0, 25, 400, 400))), r"edges of the image \(top\)"),
        (lambda image: resized(image).flip(2), "moves"),
        (lambda image: resized(image) + torch.rand(1), "a different tensor each time"),
        (lambda image: resized(image)[:2], r"returns a tensor \(2, 64, 64\)"),
        (lambda image: resized(image)[:1], r"fails on an image \(1, 1, 64, 64\)"),
        (lambda image: resized(image)[:, :32], r"returns a tensor \(3, 32, 64\)"),
        (lambda image: np.asarray(image), "returns a ndarray"),
        (lambda image: image.nothing, "preprocessing fails on a Pillow image"),
    ],
)
def test_a_function_that_would_shift_the_maps_is_refused(small, transform, message):
    with pytest.raises((UsageError, ModelError), match=message):
        load_model(small, preprocessing=transform)


def test_an_image_that_is_not_square_is_stretched_before_a_function_sees_it(small):
    seen = []

    def watched(image):
        seen.append(image.size)
        return resized(image)

    model = load_model(small, preprocessing=watched)
    seen.clear()
    model.preprocess([Image.new("RGB", (50, 30))])
    assert seen == [(50, 50)]


def test_modules_without_parameters_or_for_another_size_are_refused(small):
    with pytest.raises(ModelError, match="without parameters"):
        load_model(torch.nn.ReLU(), preprocessing=SETTINGS)
    with pytest.raises(ModelError, match=r"fails on an image \(1, 3, 4, 4\)"):
        load_model(small, preprocessing=SETTINGS | {"size": 4})


def test_the_control_with_random_weights_re_initialises_a_module(small):
    model = load_model(small, preprocessing=SETTINGS)
    control, repeated = untrained(model, seed=4), untrained(model, seed=4)
    torch.manual_seed(4)
    expected = Small()
    torch.testing.assert_close(control.module.state_dict(), expected.state_dict())
    assert control.sha256 == repeated.sha256 != model.sha256
    assert (str(control.weights), control.spec) == ("random (seed 4)", model.spec)
    small.scale = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(1))])
    with pytest.raises(ModelError, match=r"scale \(ParameterList\) has no reset_parameters"):
        untrained(load_model(small, preprocessing=SETTINGS))
