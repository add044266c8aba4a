"""Agreement of saliency with human maps, against the published code's numbers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from answers import succeeded
from command_line import brainscore
from PIL import Image
from published import GOLDEN, golden
from shards import fetched_val, write_shard
from torch import nn

from brainscore_itmaps.benchmark.human import HumanBenchmark, human_alignment
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.data import clickme_shards
from brainscore_itmaps.data.clickme import read_clickme
from brainscore_itmaps.data.clickme_shards import fetch_clickme
from brainscore_itmaps.data.human_maps import human_maps
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.features.attribution import as_input, saliency_maps
from brainscore_itmaps.metrics.alignment import agreement
from brainscore_itmaps.models.load import load_model

SYNTHETIC = GOLDEN / "clickme_synth.tfrecords"
SETS = ["smooth56", "ties17", "sparse17", "u8_28", "const8", "f64_near_ties", "rect_12x20"]


@pytest.mark.parametrize("name", SETS)
def test_measures_are_the_published_ones(name):
    stored = golden("heatmap_metrics")
    found = agreement(stored[f"{name}_a"], stored[f"{name}_b"], protocol="published")
    np.testing.assert_allclose(found.spearman, stored[f"{name}_spearman"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.dice, stored[f"{name}_dice_p10"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.iou, stored[f"{name}_iou_p10"], rtol=0, atol=1e-6)
    defined = np.isfinite(found.spearman)
    if defined.any():
        assert found.raw == pytest.approx(found.spearman[defined].mean())
        assert found.score == pytest.approx(found.raw / 0.65753)
    else:
        assert np.isnan(found.score)


class Published(nn.Module):
    """The model of the published evaluation, on images that were preprocessed to -1..1."""

    def __init__(self, stored):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 1000)
        with torch.no_grad():
            self.conv.weight.copy_(torch.from_numpy(stored["w:c.kernel"]).permute(3, 2, 0, 1))
            self.conv.bias.copy_(torch.from_numpy(stored["w:c.bias"]))
            self.head.weight.copy_(torch.from_numpy(stored["w:d.kernel"]).T)
            self.head.bias.copy_(torch.from_numpy(stored["w:d.bias"]))

    def forward(self, images):
        return self.head(torch.tanh(self.conv(nn.functional.avg_pool2d(images, 8))).mean(dim=(2, 3)))


@pytest.fixture
def published():
    said = {"size": 224, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return load_model(Published(golden("clickme_evaluate")), preprocessing=said)


def test_saliency_and_alignment_are_the_published_ones(published):
    """As close as the decoding of JPEGs lets them be, which is more accurate here."""
    stored = golden("clickme_evaluate")
    examples = list(read_clickme([SYNTHETIC], protocol="published"))
    labels = np.array([example.label for example in examples])
    saliency, _ = saliency_maps(published, np.stack([example.image for example in examples]), labels)
    np.testing.assert_allclose(saliency[:, ::8, ::8], stored["saliency_sub"][..., 0], rtol=0.1, atol=1e-6)
    found = human_alignment(published, [SYNTHETIC], protocol="published", batch_size=4)
    np.testing.assert_allclose(found.agreement.spearman, stored["score_spearman"], rtol=0, atol=5e-3)
    np.testing.assert_allclose(found.agreement.dice, stored["score_dice"], rtol=0, atol=0.01)
    np.testing.assert_allclose(found.agreement.iou, stored["score_iou"], rtol=0, atol=0.01)
    assert found.agreement.score == pytest.approx(float(stored["score_alignment_score"]), abs=5e-3)
    assert human_alignment(published, [SYNTHETIC]).agreement.score != found.agreement.score


def test_an_image_as_saliency_agrees_as_published():
    stored = golden("clickme_evaluate")
    examples = list(read_clickme([SYNTHETIC], protocol="published"))
    images = np.stack([example.image.mean(axis=-1) for example in examples])
    found = agreement(images, np.stack([example.heatmap for example in examples]), protocol="published")
    np.testing.assert_allclose(found.spearman, stored["score_imageasmap_spearman"], rtol=0, atol=5e-3)


def test_a_model_is_also_given_by_name_or_as_a_module_or_a_file():
    model = load_model("timm:test_resnet", "random", seed=0)
    expected = human_alignment(model, [SYNTHETIC]).agreement.spearman
    by_name = human_alignment("timm:test_resnet", [SYNTHETIC], weights="random", device="cpu")
    np.testing.assert_allclose(by_name.agreement.spearman, expected, rtol=0, atol=1e-6)
    module = timm.create_model("test_resnet").train()
    module.load_state_dict(model.module.state_dict())
    size = {"size": model.spec.size, "mean": model.spec.mean, "std": model.spec.std}
    of_module = human_alignment(module, [SYNTHETIC], preprocessing=size, device="cpu")
    np.testing.assert_allclose(of_module.agreement.spearman, expected, rtol=0, atol=1e-6)
    assert module.training
    with pytest.raises(UsageError, match="test_resnet is loaded already"):
        human_alignment(model, [SYNTHETIC], weights="random")
    with pytest.raises(ModelError, match=r"There is no file nothing\.py"):
        human_alignment(Path("nothing.py:build"), [SYNTHETIC])


def test_a_batch_of_any_size_gives_the_same(published):
    one, six = (human_alignment(published, [SYNTHETIC], batch_size=size) for size in (1, 6))
    np.testing.assert_allclose(one.agreement.spearman, six.agreement.spearman, rtol=0, atol=1e-4)
    assert one.interval == pytest.approx(six.interval, abs=1e-3)
    assert one.interval[0] < one.agreement.score < one.interval[1]


@pytest.mark.parametrize("method", ["integrated_gradients", "smoothgrad"])
def test_other_attributions_are_captums(published, method):
    plain = human_alignment(published, [SYNTHETIC])
    found = human_alignment(published, [SYNTHETIC], attribution=method)
    assert found.agreement.raw != plain.agreement.raw
    assert np.isfinite(found.agreement.spearman).all()


def test_images_are_resized_for_models_of_another_size():
    model = load_model("efficientnet_lite1", "random")
    image = np.full((2, 224, 224, 3), 255, np.float32)
    inputs = as_input(model, image)
    assert inputs.shape == (2, 3, 240, 240)
    torch.testing.assert_close(inputs, torch.ones_like(inputs))
    saliency, right = saliency_maps(model, image, np.array([1, 2]))
    assert saliency.shape == (2, 224, 224)
    assert right.shape == (2,)


def test_a_transform_of_ones_own_is_shown_the_image():
    def transform(image):
        return torch.from_numpy(np.array(image.resize((32, 32)), np.float32)).permute(2, 0, 1) / 255

    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    model = load_model(module, preprocessing=transform)
    inputs = as_input(model, np.full((1, 224, 224, 3), 51, np.float32))
    torch.testing.assert_close(inputs, torch.full((1, 3, 32, 32), 0.2))


def test_a_model_with_too_few_classes_is_refused():
    model = load_model("timm:test_resnet", "random")
    model.module.reset_classifier(10)
    with pytest.raises(ModelError, match=r"returns 10 numbers .* 1,000 classes of ImageNet-1k"):
        human_alignment(model, [SYNTHETIC])


def test_no_images_are_refused(published, tmp_path):
    (tmp_path / "empty.tfrecords").touch()
    with pytest.raises(DataError, match="no images with human maps"):
        human_alignment(published, [tmp_path / "empty.tfrecords"])


def test_the_benchmark_gives_brain_score_what_the_function_gives(tmp_path, monkeypatch, own_home):
    from brainscore_itmaps.bridge.clickme import ClickMeBenchmark
    from brainscore_itmaps.bridge.models import brain_model

    monkeypatch.setitem(clickme_shards.SPLITS, "val", 1)
    model = load_model("timm:test_resnet", "random")
    with pytest.raises(DataError, match="brainscore data fetch clickme --split val"):
        ClickMeBenchmark()(brain_model(model))
    write_shard(tmp_path / "usb" / "val-0.tfrecords", 3)
    files = fetch_clickme("val", folder=tmp_path / "usb").files
    score, found = ClickMeBenchmark()(brain_model(model)), human_alignment(model, files)
    assert float(score) == pytest.approx(found.agreement.score)
    assert float(score.attrs["raw"]) / float(score.attrs["ceiling"]) == pytest.approx(float(score))
    with pytest.raises(ModelError, match="no gradients"):
        ClickMeBenchmark()(type("Other", (), {"identifier": "other"})())


@pytest.mark.slow
def test_the_command_line_scores_and_writes(tmp_path, own_home):
    fetched_val(tmp_path / "usb")
    asked = ["score", "--model", "timm:test_resnet", "--weights", "random", "--benchmark", "ClickMe.alignment"]
    done = succeeded(*asked, "--out", tmp_path / "out")
    assert "0.658" in done.stdout
    told = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert told["details"]["images"] == 18
    assert told["score"] == pytest.approx(told["raw"] / 0.65753)
    succeeded(*asked, "--out", tmp_path / "out", "--seed", "1", "--attribution", "smoothgrad", "-q")
    assert len(list((tmp_path / "out").glob("*.json"))) == 2
    refused = brainscore(*asked, "--layers", "all")
    assert refused.returncode == 2
    assert "no layers" in refused.stderr


SMALL = {"size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (21843, r"returns 21,843 numbers .* the 1,000 classes of ImageNet-1k, and would name other classes"),
        (11821, "returns 11,821 numbers"),
        (1001, "returns 1,001 numbers .* If its first class is the background, wrap the model"),
        (999, "returns 999 numbers"),
        (0, "has no classifier: it returns 96 features"),
    ],
)
def test_a_model_whose_classes_are_not_those_of_imagenet_is_refused(tmp_path, classes, message):
    shard = write_shard(tmp_path / "a.tfrecords", 2)  # labels below 4, which every one of these models has
    model = load_model(timm.create_model("test_resnet", num_classes=classes), preprocessing=SMALL)
    with pytest.raises(ModelError, match=message):
        human_alignment(model, [shard])


def test_shards_with_labels_of_ones_own_classes_are_scored_if_their_number_is_given(tmp_path):
    shard = write_shard(tmp_path / "a.tfrecords", 3)
    model = load_model(timm.create_model("test_resnet", num_classes=4), preprocessing=SMALL)
    assert len(human_alignment(model, [shard], classes=4).agreement.spearman) == 3
    with pytest.raises(ModelError, match="has 4 classes; the labels count 5"):
        human_alignment(model, [shard], classes=5)


class Brightness(nn.Module):
    """Class 0 is the mean of the squared red channel: its gradient is the image itself."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        red = (images[:, 0] ** 2).mean(dim=(1, 2)) * self.scale
        return torch.stack([red, torch.zeros_like(red)], dim=1)


def test_a_folder_of_images_and_maps_is_scored_without_a_ceiling(tmp_path, rng):
    """The map is the image's red in one map of each pair, and its negative in the other: rho is 1 and -1."""
    for number, sign in enumerate((1, -1)):
        image = rng.integers(0, 255, (32, 32, 3), np.uint8)
        for name, values in (("images", image), ("maps", sign * image[..., 0].astype(float) + 255 * (sign < 0))):
            folder = tmp_path / "mine_simulated" / name / "0"
            folder.mkdir(parents=True, exist_ok=True)
            if name == "images":
                Image.fromarray(values).save(folder / f"{number}.png")
            else:
                np.save(folder / f"{number}.npy", values)
    model = load_model(Brightness(), preprocessing={"size": 32, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    found = human_alignment(model, tmp_path / "mine_simulated")
    np.testing.assert_allclose(found.agreement.spearman, [1, -1], atol=1e-6)
    assert found.accuracy == 100
    assert np.isnan(found.interval).all()
    result = score(model, str(tmp_path / "mine_simulated"), device="cpu")
    assert (result.benchmark[:15], result.kind, result.raw) == ("mine_simulated-", "human", pytest.approx(0, abs=1e-6))
    assert np.isnan(result.score)
    assert "agreement between people is unknown" in result.estimate.reason
    assert result.notes[0] == "the human maps are SIMULATED: no person was asked"
    assert "2 of 2 images have a human map (100 %)" in result.notes
    benchmark = HumanBenchmark(folder=tmp_path / "mine_simulated")
    before = benchmark.content(ScoreRequest())
    np.save(folder / "1.npy", 1 + np.load(folder / "1.npy"))  # of the same size in bytes
    assert benchmark.content(ScoreRequest()) != before
    other = load_model(timm.create_model("test_resnet", num_classes=0), preprocessing=SMALL)
    with pytest.raises(ModelError, match="has no classifier"):
        human_alignment(other, tmp_path / "mine_simulated")


def test_images_of_a_folder_are_resized_as_a_whole_to_the_size_of_the_model(tmp_path):
    for name in ("images", "maps"):
        (tmp_path / name / "0").mkdir(parents=True)
    values = np.zeros((20, 40), np.uint8)
    values[:, 20:] = 200
    Image.fromarray(values).convert("RGB").save(tmp_path / "images" / "0" / "1.png")
    np.save(tmp_path / "maps" / "0" / "1.npy", values[::5, ::5])
    model = load_model(Brightness(), preprocessing={"size": 32, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    assert human_alignment(model, str(tmp_path)).agreement.spearman[0] > 0.8


def written_in_one_folder(folder, rng):
    """Two images without classes, of which the maps are their red."""
    for name in ("images", "maps"):
        (folder / name).mkdir(parents=True)
    for number in range(2):
        image = rng.integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        np.save(folder / "maps" / f"{number}.npy", image[..., 0].astype(float))
    return folder


class TwoColours(Brightness):
    """The second logit is the larger one for every image, and grows with green."""

    def forward(self, images):
        red, green = ((images[:, channel] ** 2).mean(dim=(1, 2)) * self.scale for channel in (0, 1))
        return torch.stack([red, 100 + green], dim=1)


def test_without_classes_saliency_is_that_of_the_largest_logit(tmp_path, rng):
    folder = written_in_one_folder(tmp_path / "photos", rng)
    plain = {"size": 32, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    red, green = (human_alignment(load_model(kind(), preprocessing=plain), folder) for kind in (Brightness, TwoColours))
    np.testing.assert_allclose(red.agreement.spearman, 1, atol=1e-6)
    assert np.abs(green.agreement.spearman).max() < 0.2
    assert np.isnan(red.accuracy)
    assert "the classes of the images are unknown: saliency is that of the class with the largest logit" in red.notes
    with pytest.raises(DataError, match="a subfolder of images for each class"):  # a training needs classes
        human_maps(folder, classes=2)


def test_classes_that_are_not_those_of_the_model_name_no_configuration_where_there_is_none(tmp_path, rng):
    folder = written_in_one_folder(tmp_path / "photos", rng)
    for part, name in (("images", "0.png"), ("maps", "0.npy")):
        (folder / part / "cat").mkdir()
        (folder / part / name).rename(folder / part / "cat" / name)
    with pytest.raises(DataError, match=r"has 1 classes, not 2\. Put all images into the folder images itself"):
        human_maps(folder, classes=2, without_classes=True)


def test_a_folder_is_scored_like_clickme_under_a_name_of_its_own(tmp_path, rng):
    folder = written_in_one_folder(tmp_path / "photos", rng)
    model = load_model(Brightness(), preprocessing={"size": 32, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    result = score(model, f"ClickMe.alignment:{folder}", device="cpu")
    plain = score(model, str(folder), device="cpu")
    assert result.benchmark == f"ClickMe.alignment:{plain.benchmark}"
    assert re.fullmatch("photos-[0-9a-f]{8}", plain.benchmark)
    assert result.raw == plain.raw == pytest.approx(1, abs=1e-6)
    assert (result.score, result.ceiling) == (pytest.approx(result.raw / 0.65753), 0.65753)
    assert "not the held-out images of ClickMe" in result.notes[0]
    assert "top1_on_these" not in result.details
    assert result.controls["centre"].score == pytest.approx(plain.controls["centre"].raw / 0.65753)
    with pytest.raises(UsageError, match="is not a folder with the subfolders images and maps"):
        score(model, "ClickMe.alignment:nowhere")


def test_results_on_other_images_in_a_folder_of_the_same_name_have_another_name(tmp_path, rng):
    names = {HumanBenchmark(folder=written_in_one_folder(tmp_path / part / "photos", rng)).identifier for part in "ab"}
    assert len(names) == 2
