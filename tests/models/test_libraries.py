"""Models of torchvision and of Hugging Face's transformers, named with the prefix of their library."""

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from command_line import brainscore
from PIL import Image
from torchvision.models import get_model_weights

from brainscore_itmaps import load_model, load_recording, record, score
from brainscore_itmaps.benchmark.classes import check_classes
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.errors import InstallationError, ModelError, UsageError
from brainscore_itmaps.models import names
from brainscore_itmaps.models.hub_models import read_processor
from brainscore_itmaps.models.load import load_model_request
from brainscore_itmaps.models.model import hash_parameters, untrained
from brainscore_itmaps.models.timm_models import group_of_model
from brainscore_itmaps.models.torchvision_models import _crop, weights_of
from brainscore_itmaps.models.zoo import named_set
from brainscore_itmaps.settings import overridden

SMALL = "torchvision:mnasnet0_5"


@pytest.fixture(scope="module")
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))


def test_the_names_of_torchvision_are_found_without_importing_it():
    assert names.torchvision_architectures() == set(torchvision.models.list_models(module=torchvision.models))
    assert named_set("torchvision")[0] == "torchvision:alexnet"


def test_timm_s_crop_gives_torchvision_s_sizes_and_every_accuracy_is_stated():
    for architecture in names.torchvision_architectures():
        for weights in get_model_weights(architecture):
            preset = weights.transforms()
            size, resized = preset.crop_size[0], preset.resize_size[0]
            assert math.floor(size / _crop(size, resized)) == resized
            assert "acc@1" in weights.meta["_metrics"]["ImageNet-1K"]
            assert weights_of(f"{architecture}.{weights.name}") is weights


def test_random_weights_of_torchvision_with_torchvision_s_preprocessing(image):
    model = load_model(SMALL, "random", seed=5)
    torch.manual_seed(5)
    expected = torchvision.models.mnasnet0_5()
    torch.testing.assert_close(model.module.state_dict(), expected.state_dict())
    preset = weights_of("mnasnet0_5").transforms()
    np.testing.assert_allclose(model.preprocess([image], whole=False)[0], preset(image), atol=1e-5)
    assert (model.name, model.top1, model.spec.group) == (SMALL, None, "CNN")
    assert load_model_request(model.request).sha256 == model.sha256 != untrained(model, seed=1).sha256
    assert untrained(model, seed=5).sha256 == model.sha256


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a folder in which torch's hub finds weights of torchvision that were downloaded before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_pretrained_weights_of_torchvision_are_read_from_torch_s_cache_without_running_code(hub, tmp_path):
    module = torchvision.models.mnasnet0_5()
    file = hub / Path(weights_of("mnasnet0_5").url).name
    torch.save(module.state_dict(), file)
    with overridden(offline=True):
        model = load_model(SMALL)
        assert load_model(f"{SMALL}.IMAGENET1K_V1").sha256 == model.sha256 == hash_parameters(module)
    assert model.name == f"{SMALL}.IMAGENET1K_V1"
    assert model.top1 == weights_of("mnasnet0_5").meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert model.top1_source == "torchvision's results for mnasnet0_5.IMAGENET1K_V1 at 224 pixels"
    assert model.spec.weights.licence == "BSD-3-Clause"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"weights": Hostile()}, file)
    with overridden(offline=True), pytest.raises(ModelError, match="could not be downloaded"):  # cached, but damaged
        load_model(SMALL)
    assert not (tmp_path / "executed").exists()


def test_missing_weights_of_torchvision_are_reported(hub):
    with overridden(offline=True), pytest.raises(ModelError, match=r"not in torch's cache, and offline mode forbids"):
        load_model(SMALL)


def test_missing_weights_of_transformers_are_reported_offline(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with overridden(offline=True), pytest.raises(ModelError) as refused:
        load_model("hf:nobody/nothing")
    assert str(refused.value) == (
        "The pretrained weights of hf:nobody/nothing are not in the cache of Hugging Face, and offline mode forbids "
        "downloading them. Run once without --offline (ITMAPS_OFFLINE)."
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet5", "no architecture named 'resnet5'. Did you mean resnet50"),
        ("torchvision:", "The name after torchvision: is missing"),
        ("torchvision:resnet50.IMAGENET1K_V3", "no weights 'IMAGENET1K_V3' for resnet50. Did you mean resnet50.IMAGE"),
        ("squeezenet1_0", "torchvision has one. Use torchvision:squeezenet1_0"),
        ("hf:", "not a name on Hugging Face's hub|no file config.json"),
        ("hf:a b", "'a b' is not a name on Hugging Face's hub"),
        ("hf:./absent", "no file absent/config.json"),
    ],
)
def test_unknown_names_are_answered_before_anything_is_downloaded(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message):
        load_model(name)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("torchvision:resnet50", "CNN"),
        ("torchvision:swin_t", "transformer"),
        ("torchvision:maxvit_t", "hybrid"),
        ("torchvision:vit_b_16.IMAGENET1K_SWAG_E2E_V1", "extra data"),
        ("torchvision:nothing", "other"),
        ("hf:facebook/dinov2-base", "other"),
    ],
)
def test_groups_of_models_by_name(name, group):
    assert group_of_model(name) == group


@pytest.mark.parametrize(
    ("name", "it"),
    [
        ("resnet18", "layer3.1"),
        ("googlenet", "inception4e"),
        ("inception_v3", "Mixed_6e"),
        ("efficientnet_b0", "features.5.2"),
        ("vit_b_16", "encoder.layers.encoder_layer_7"),
        ("vgg11_bn", "features.27"),
    ],
)
@pytest.mark.slow
def test_whole_blocks_of_torchvision_are_committed(name, it):
    assert load_model(f"torchvision:{name}", "random").spec.layers["IT"] == it


def test_a_weight_file_of_an_architecture_of_torchvision(tmp_path):
    module = torchvision.models.mnasnet0_5(num_classes=7)
    torch.save({"model": module.state_dict(), "epoch": 3}, tmp_path / "mine.pth")
    model = load_model(tmp_path / "mine.pth", arch=SMALL)
    assert model.sha256 == hash_parameters(module)
    assert model.name == f"mine-{model.sha256[:8]}"
    assert "as for torchvision's mnasnet0_5" in model.notes[-1]
    assert load_model(SMALL, tmp_path / "mine.pth").sha256 == model.sha256
    assert untrained(model).module.classifier[1].out_features == 7
    with pytest.raises(ModelError, match="does not contain the weights of torchvision:resnet18"):
        load_model(tmp_path / "mine.pth", arch="torchvision:resnet18")


def test_options_that_a_module_does_not_print_are_part_of_the_cache_s_key():
    model = load_model(SMALL, "random")
    contents = [
        HookedModel(replace(model, spec=replace(model.spec, options=options))).source().content
        for options in ({}, {"transform_input": True})
    ]
    assert contents[0] != contents[1]


def test_the_command_line_knows_the_libraries(tmp_path, own_home):
    shown = brainscore("models", "show", SMALL, "--json")
    assert json.loads(shown.stdout)["architecture"] == SMALL
    listed = brainscore("models", "list", "--set", "torchvision", "--group", "transformer", "--json")
    assert "torchvision:vit_b_16" in {row["identifier"] for row in json.loads(listed.stdout)}
    state = torchvision.models.mnasnet0_5().state_dict()
    torch.save({"model": state, "model_ema": state}, tmp_path / "c.pth.tar")
    arguments = ["--arch", SMALL, "--state-key", "model_ema", "--name", "ours", "--json", "--out", tmp_path]
    scored = json.loads(brainscore("score", "--model", tmp_path / "c.pth.tar", *arguments).stdout)
    assert scored["model"].startswith("ours-")
    assert (scored["request"]["model"]["state_key"], scored["request"]["model"]["label"]) == ("model_ema", "ours")
    file = next(tmp_path.glob("ours*.json"))
    assert "every number is the same" in brainscore("reproduce", file).stdout.lower()
    for option, value in (("--state-key", "model"), ("--name", "ours")):
        refused = brainscore("score", "--model", "efficientnet_lite0", option, value)
        assert refused.returncode == UsageError.exit_code
        assert "not a weight file" in refused.stderr or "already has a name" in refused.stderr


def test_transformers_that_is_not_installed_is_a_sentence(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else found(name))
    with pytest.raises(InstallationError, match=r"requires transformers.*pip install 'brainscore_itmaps\[hf\]'"):
        load_model("hf:facebook/dinov2-base")


PROCESSORS = {
    "CLIP": (
        {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
        {"size": 224, "crop": 0.875},
    ),
    "ViT": ({"size": {"height": 384, "width": 384}, "resample": 3}, {"size": 384, "interpolation": "bicubic"}),
    "ConvNeXt": ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, {"size": 224, "crop": 0.875}),
    "an old file": ({"size": 224, "resample": 2}, {"size": 224, "crop": 1.0, "interpolation": "bilinear"}),
    "no normalisation": ({"size": 64, "do_normalize": False}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}),
    "from -1 to 1": (
        {"size": 64, "rescale_factor": 2 / 255, "rescale_offset": True, "do_normalize": False},
        {"mean": (0.5,) * 3, "std": (0.5,) * 3},
    ),
    "values up to 255": (
        {"size": 64, "do_rescale": False, "image_mean": [102.0] * 3, "image_std": [51.0] * 3},
        {"mean": (0.4,) * 3, "std": (0.2,) * 3},
    ),
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_the_settings_of_image_processors_are_converted(kind):
    settings, expected = PROCESSORS[kind]
    converted = read_processor(settings)
    for name, value in expected.items():
        assert converted[name] == pytest.approx(value)
    with pytest.raises(ModelError, match="not square"):
        read_processor({"size": {"height": 32, "width": 64}})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Write small models of transformers with random weights, as ``save_pretrained`` does."""
    transformers = pytest.importorskip("transformers")
    home = tmp_path_factory.mktemp("hf")
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 64}
    torch.manual_seed(0)
    vit = transformers.ViTConfig(**sizes, num_hidden_layers=4, patch_size=8, num_labels=7)
    transformers.ViTForImageClassification(vit).save_pretrained(home / "vit")
    processor = transformers.ViTImageProcessor(size={"height": 64, "width": 64}, image_mean=[0.4, 0.5, 0.6])
    processor.save_pretrained(home / "vit")
    vision = sizes | {"num_hidden_layers": 3, "patch_size": 16}
    text = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 1}
    clip = transformers.CLIPConfig(vision_config=vision, text_config=text | {"vocab_size": 9}, projection_dim=8)
    transformers.CLIPModel(clip).save_pretrained(home / "clip")
    convnext = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], image_size=64)
    transformers.ConvNextForImageClassification(convnext).save_pretrained(home / "convnext")
    transformers.ConvNextImageProcessor(size={"shortest_edge": 64}).save_pretrained(home / "convnext")
    return home


def test_a_model_that_fails_on_its_own_size_is_refused_with_a_sentence(tmp_path):
    transformers = pytest.importorskip("transformers")
    settings = {"image_size": 64, "embed_dim": 16, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 2, 2], "window_size": 4}
    transformers.SwinModel(transformers.SwinConfig(**settings)).save_pretrained(tmp_path)  # 2 x 2 units, window of 4
    transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="fails on an image of the size that it states: The size of tensor a"):
        load_model(f"hf:{tmp_path}")


def test_a_folder_of_transformers_gives_its_weights_and_its_preprocessing(folders, image):
    import transformers

    model = load_model(f"hf:{folders / 'vit'}")
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folders / "vit").eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folders / "vit")
    torch.testing.assert_close(model.module.state_dict(), theirs.state_dict())
    square = image.resize((64, 64))
    expected = processor(square, return_tensors="pt")["pixel_values"]
    inputs = model.preprocess([square])
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(model.run(inputs).logits, theirs(expected).logits, atol=1e-4, rtol=1e-3)
    assert model.name == f"vit-{model.sha256[:8]}"
    assert model.spec.mean == (0.4, 0.5, 0.6)
    assert load_model_request(model.request).sha256 == model.sha256


@pytest.mark.parametrize("name", ["vit", "clip", "convnext"])
def test_models_of_transformers_are_read_and_scored(folders, own_home, name):
    model = load_model(f"hf:{folders / name}")
    images = load_recording("it_maps_simulated").images[:2]
    maps = record(model, images)[model.spec.layers["IT"]]
    assert maps.shape[0] == 2
    assert maps.shape[2] == maps.shape[3] == {"vit": 8, "clip": 4, "convnext": 4}[name]
    assert np.isfinite(score(model).raw)
    random = load_model(f"hf:{folders / name}", "random", seed=3)
    assert load_model_request(random.request).sha256 == random.sha256 == untrained(model, seed=3).sha256
    assert random.sha256 != model.sha256
    assert random.spec.options == model.spec.options


def test_models_in_folders_with_the_same_path_elsewhere_have_their_own_names(folders, tmp_path, monkeypatch):
    stems = set()
    for name in ("vit", "convnext"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        (tmp_path / name / "model").symlink_to(folders / name)
        for weights in ("pretrained", "random"):
            stems.add(load_model("hf:./model", weights, seed=3).name)
    assert len(stems) == 4


def test_the_configuration_of_transformers_is_part_of_the_cache_s_key(folders, tmp_path):
    import transformers

    contents = []
    for activation in ("gelu", "relu"):
        module = transformers.AutoModelForImageClassification.from_pretrained(folders / "vit")
        module.config.layer_norm_eps = {"gelu": 1e-12, "relu": 1e-6}[activation]
        module.save_pretrained(tmp_path / activation)
        contents.append(load_model(f"hf:{tmp_path / activation}").spec.options["config"])
    assert contents[0] != contents[1]


def test_files_that_lack_weights_of_transformers_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(folders / "vit" / "model.safetensors")
    (tmp_path / "config.json").write_text((folders / "vit" / "config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text((folders / "vit" / "preprocessor_config.json").read_text())
    without_head = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
    save_file(without_head, tmp_path / "model.safetensors", {"format": "pt"})
    headless = load_model(f"hf:{tmp_path}")
    assert headless.notes == ("not in the files, and random: classifier.bias, classifier.weight",)
    with pytest.raises(ModelError, match="has no classifier"):
        check_classes(headless, 10)
    save_file(dict(list(without_head.items())[5:]), tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack .* parameters of the model"):
        load_model(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="takes no images"):
        load_model(f"hf:{tmp_path}")


def test_code_in_a_repository_is_not_run(folders, tmp_path):
    import transformers

    transformers.ViTConfig().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(f"hf:{tmp_path}")
    assert not (tmp_path / "executed").exists()


def test_a_weight_file_of_an_architecture_of_transformers(folders, tmp_path):
    module = load_model(f"hf:{folders / 'vit'}", "random", seed=4).module
    torch.save({"state_dict": {f"net.{name}": t for name, t in module.state_dict().items()}}, tmp_path / "mine.ckpt")
    model = load_model(tmp_path / "mine.ckpt", arch=f"hf:{folders / 'vit'}")
    assert model.sha256 == hash_parameters(module)
