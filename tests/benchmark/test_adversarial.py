"""Adversarial alignment on SIMULATED human maps: what it gives is known, and no person was asked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from edited import rewrite, rewrite_entry
from PIL import Image
from scipy.stats import spearmanr
from shards import record, write_records, write_shard
from torch import nn

from brainscore_itmaps.benchmark.adversarial import AdversarialBenchmark
from brainscore_itmaps.benchmark.attack_statistics import tolerances
from brainscore_itmaps.benchmark.request import AttackRequest, ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.bridge.reproduce import reproduce
from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.clickme_shards import fetch_clickme
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.features.attack import attack
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import untrained
from brainscore_itmaps.models.spec import ModelRequest

SIDE, COUNT = 24, 6
FEW = AttackRequest(steps=30)


class Template(nn.Module):
    """A linear decision: the smallest perturbation is proportional to the difference of its weights."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * SIDE * SIDE, 2)
        weights = np.random.default_rng(5).uniform(0, 1, (3, SIDE, SIDE)).astype(np.float32)
        with torch.no_grad():
            self.linear.weight[1] = torch.from_numpy(weights.reshape(-1)) / 2
            self.linear.weight[0] = -self.linear.weight[1]
            self.linear.bias[:] = torch.tensor([0.5 * weights.sum() + 3, 0.0])

    def forward(self, images):
        return self.linear(images.flatten(1))


@pytest.fixture
def model():
    return load_model(Template(), preprocessing={"size": SIDE, "mean": (0.0,) * 3, "std": (1.0,) * 3})


def template(model):
    return model.module.linear.weight[1].detach().numpy().reshape(3, SIDE, SIDE).max(axis=0)


def write_images(folder, maps, seed=0):
    """Grey images with little noise, and their maps."""
    rng = np.random.default_rng(seed)
    for part in ("images", "maps"):
        (folder / part).mkdir(parents=True)
    for number, heatmap in enumerate(maps):
        pixels = rng.integers(110, 146, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        np.save(folder / "maps" / f"{number}.npy", heatmap.astype(np.float32))
    return folder


@pytest.fixture
def folder(model, tmp_path):
    """Maps that are the model's template in every second image, and noise in the others."""
    rng = np.random.default_rng(1)
    maps = [template(model) if number % 2 == 0 else rng.uniform(size=(SIDE, SIDE)) for number in range(COUNT)]
    return write_images(tmp_path / "template_simulated", maps)


def attacked(model, folder, **options):
    options = {"attack": FEW} | options
    return score(model, f"adversarial:{folder}", **options)


def test_the_map_that_the_attack_follows_is_recognised(model, folder):
    result = attacked(model, folder)
    own, other = result.attacked.own_map, result.attacked.other_map
    np.testing.assert_allclose(own[::2], 1, atol=1e-3)  # the map is the template
    assert (np.abs(own[1::2]) < 0.2).all()
    np.testing.assert_allclose(other[1::2], 1, atol=1e-3)  # the map of the image before it is
    np.testing.assert_allclose(result.image_value, own - other)
    assert result.raw == pytest.approx(np.mean(own - other))
    assert np.isnan(result.score)
    assert result.simulated
    assert result.details["own_map"] == pytest.approx(own.mean())
    assert result.measure == "adversarial alignment"


def test_every_number_is_that_of_its_definition(model, folder):
    result = attacked(model, folder)
    attack = result.attacked
    sizes = np.abs(attack.adversarial - attack.images).max(axis=3)
    own = [
        spearmanr(size.ravel(), np.load(folder / "maps" / f"{n}.npy").ravel()).statistic for n, size in enumerate(sizes)
    ]
    np.testing.assert_allclose(attack.own_map, own, atol=1e-9)
    lengths = np.linalg.norm((attack.adversarial - attack.images).reshape(COUNT, -1), axis=1)
    np.testing.assert_allclose(attack.norms, lengths, rtol=1e-5)
    assert result.details["tolerance"] == pytest.approx(np.median(lengths), rel=1e-5)
    assert result.details["tolerance_mean"] == pytest.approx(lengths.mean(), rel=1e-5)
    assert result.details["tolerance_low"] <= result.details["tolerance"] <= result.details["tolerance_high"]
    pixels = torch.from_numpy(attack.adversarial).permute(0, 3, 1, 2)
    assert (model.module(pixels).argmax(dim=1).numpy() == attack.decided).all()
    assert (attack.decided != attack.labels).all()


def test_each_control_says_what_it_should(model, folder):
    result = attacked(model, folder, random_seeds=2)
    raw = {name: control.raw for name, control in result.controls.items()}
    assert {"centre", "noise", "gradient", "random_weights"} <= raw.keys()
    assert raw["gradient"] == pytest.approx(result.raw, abs=1e-3)  # of a linear model the attack is the gradient
    assert abs(raw["noise"]) < 0.1
    assert abs(raw["random_weights"]) < 0.2
    assert abs(raw["centre"]) < 0.2
    details = result.details
    assert details["own_map_gradient"] == pytest.approx(details["own_map"], abs=1e-3)
    assert abs(details["partial_with_gradient"]) < 0.1  # nothing is left of the attack given its gradient
    assert details["noise_fools"] == f"0 of {COUNT}"
    assert "random_weights_1" in raw
    without = attacked(model, folder, controls=False)
    assert not without.controls
    assert without.raw == pytest.approx(result.raw)
    assert "partial" not in without.details


def test_random_weights_are_attacked_at_their_own_decisions(model, folder):
    """With the labels of the images, nearly all decisions of random weights would be wrong, and nothing be attacked."""
    (folder / "images" / "0").mkdir()
    for file in list((folder / "images").glob("*.png")):
        file.rename(folder / "images" / "0" / file.name)
    result = attacked(model, folder, random_seeds=6)
    assert result.attacked.correct.all()
    decided = {int(seed_model.module(torch.from_numpy(result.attacked.images).permute(0, 3, 1, 2)).argmax(dim=1)[0])
               for seed_model in (untrained(model, seed) for seed in range(6))}  # fmt: skip
    assert decided == {0, 1}  # else the seeds say nothing
    for seed in range(6):
        assert np.isfinite(result.controls[f"random_weights_{seed}"].raw)


def test_a_central_bump_is_told_from_the_image(model, tmp_path):
    """Maps that are all the same bump raise rho with the own map, not the difference to another one."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    bump = np.exp(-(y**2 + x**2) / 50)
    with torch.no_grad():
        model.module.linear.weight[1] *= (
            torch.from_numpy(np.tile(bump, (3, 1, 1)).astype(np.float32)).reshape(-1) + 0.05
        )
        model.module.linear.weight[0] = -model.module.linear.weight[1]
        model.module.linear.bias[0] = model.module.linear.weight[1].sum() + 1
    noise = np.random.default_rng(2).uniform(0, 0.1, (4, SIDE, SIDE))
    result = attacked(model, write_images(tmp_path / "bump_simulated", [bump + each for each in noise]))
    assert result.details["own_map"] > 0.5
    assert abs(result.raw) < 0.05
    assert result.details["own_map_centre"] > 0.7
    assert abs(result.details["partial"]) < 0.15


def test_images_that_are_wrong_or_not_fooled_are_counted_and_left_out(model, tmp_path):
    rng = np.random.default_rng(3)
    folder = write_images(tmp_path / "some_simulated", [rng.uniform(size=(SIDE, SIDE)) for _ in range(4)])
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    Image.fromarray(white).save(folder / "images" / "1.png")  # the model decides for class 1
    for number in range(4):
        (folder / "images" / "0").mkdir(exist_ok=True)
        (folder / "images" / f"{number}.png").rename(folder / "images" / "0" / f"{number}.png")
    result = attacked(model, folder)
    assert result.details["wrongly_classified"] == 1
    assert result.attacked.correct.tolist() == [1, 0, 1, 1]
    assert result.attacked.norms[1] == 0
    assert result.details["noise_fools"] == "0 of 3"
    assert np.isnan(result.attacked.own_map[1])
    assert result.details["tolerance"] == pytest.approx(np.median(result.attacked.norms[[0, 2, 3]]))
    assert result.raw == pytest.approx(np.nanmean(result.image_value))
    assert np.isfinite(result.attacked.own_map[[0, 2, 3]]).all()
    assert any("1 of 4 images are classified wrongly" in note for note in result.notes)
    with torch.no_grad():
        model.module.linear.bias[0] += 1e6  # no change of pixels reaches it
    result = attacked(model, folder)
    assert result.details["not_fooled"] == 4
    assert np.isnan(result.details["tolerance"])
    assert np.isnan(result.attacked.norms).all()
    assert any("4 images were not fooled" in note for note in result.notes)


def test_medians_count_images_that_were_not_fooled_as_the_longest():
    norms, correct = np.array([0.1, 0.2, np.nan, 0.4, 0.0]), np.array([True, True, True, True, False])
    found = tolerances(norms, correct)
    assert found["tolerance"] == pytest.approx(0.3)
    assert found["tolerance_mean"] == pytest.approx(0.7 / 3)
    assert np.isnan(tolerances(np.array([np.nan, np.nan, 0.1]), np.ones(3, bool))["tolerance"])
    assert np.isnan(tolerances(np.zeros(2), np.zeros(2, bool))["tolerance"])


def test_the_interval_of_the_median_covers_the_truth():
    rng, truth = np.random.default_rng(0), np.exp(0)
    covered = 0
    for _ in range(200):
        norms = rng.lognormal(0, 0.5, 40)
        found = tolerances(norms, np.ones(40, bool))
        covered += found["tolerance_low"] <= truth <= found["tolerance_high"]
    assert 0.89 <= covered / 200 <= 0.99


@pytest.fixture
def named(tmp_path):
    """A named model, whose attacks are cached, with images and maps at its size."""
    rng = np.random.default_rng(4)
    folder = tmp_path / "named_simulated"
    for part in ("images", "maps"):
        (folder / part).mkdir(parents=True)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(folder / "images" / f"{number}.png")
        np.save(folder / "maps" / f"{number}.npy", rng.uniform(size=(16, 20)).astype(np.float32))
    return folder


OPTIONS = {"weights": "random", "attack": AttackRequest(steps=5), "batch_size": 1}


def test_an_interrupted_run_resumes_with_the_images_that_are_left(named, tmp_path):
    cache, seen = ResultCache(tmp_path / "cache"), []

    def interrupt(step, done, total):
        if step == "attacking images" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score("timm:test_resnet", f"adversarial:{named}", progress=interrupt, cache=cache, **OPTIONS)
    stored = list(cache.home.rglob("*.npz"))
    assert len(stored) == 1  # the second was not finished
    times = {file: file.stat().st_mtime_ns for file in stored}
    result = score(
        "timm:test_resnet", f"adversarial:{named}", cache=cache, progress=lambda *a: seen.append(a), **OPTIONS
    )
    assert {file: file.stat().st_mtime_ns for file in stored} == times
    assert len(list(cache.home.rglob("*.npz"))) == 3
    assert seen[-1] == ("attacking images", 3, 3)
    fresh = score("timm:test_resnet", f"adversarial:{named}", cache=cache, fresh=True, **OPTIONS)
    np.testing.assert_array_equal(fresh.attacked.adversarial, result.attacked.adversarial)


def test_a_damaged_entry_of_the_cache_is_computed_again(named, tmp_path):
    cache = ResultCache(tmp_path / "cache")
    result = score("timm:test_resnet", f"adversarial:{named}", cache=cache, **OPTIONS)
    for file in cache.home.rglob("*.npz"):
        rewrite_entry(file, lambda entry: {"adversarial": entry["adversarial"] + 2})  # beyond the range of pixels
    again = score("timm:test_resnet", f"adversarial:{named}", cache=cache, **OPTIONS)
    np.testing.assert_array_equal(again.attacked.adversarial, result.attacked.adversarial)


def test_a_saved_result_is_the_same_and_its_pixels_still_fool(named, tmp_path):
    result = score("timm:test_resnet", f"adversarial:{named}", **OPTIONS)
    files = result.save(tmp_path / "results")
    loaded = Result.load(files[0])
    for name in ("adversarial", "images", "heatmaps", "norms", "own_map", "labels", "correct"):
        np.testing.assert_array_equal(getattr(loaded.attacked, name), getattr(result.attacked, name))
    assert loaded.attacked.names == ("0.png", "1.png", "2.png")
    stored = np.load(files[2])
    assert stored["adversarial"].dtype == np.float32
    model = load_model("timm:test_resnet", "random")
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.spec.mean, model.spec.std))
    pixels = torch.from_numpy(stored["adversarial"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert (model.module((pixels - mean) / std).argmax(dim=1).numpy() != stored["labels"]).all()
    lines = files[1].read_text().splitlines()
    assert lines[0].split(",")[3:] == [
        "image", "label", "decided", "correct", "noise_fools", "norms", "norms_8_bit", "own_map", "other_map"
    ]  # fmt: skip
    assert len(lines) == 4
    assert json.loads(files[0].read_text())["request"]["attack"]["steps"] == 5
    assert "5-steps" in files[0].name
    assert reproduce(loaded).reproduced


def test_the_first_images_alone_are_attacked_if_asked_for(named):
    result = score("timm:test_resnet", f"adversarial:{named}", **OPTIONS | {"attack": AttackRequest(5, most=2)})
    assert result.attacked.names == ("0.png", "1.png")
    assert any("the first 2 of 3 images" in note for note in result.notes)
    assert result.label == "5-steps-first-2"


def test_images_without_maps_have_a_tolerance_alone(named):
    result = score("timm:test_resnet", f"adversarial:{named / 'images'}", **OPTIONS)
    assert result.measure == "perturbation tolerance"
    assert result.raw == result.details["tolerance"] == pytest.approx(np.median(result.attacked.norms))
    assert not result.controls
    assert "own_map" not in result.details


def test_the_published_protocol_makes_the_choices_of_its_scripts(named):
    result = score("timm:test_resnet", f"adversarial:{named}", protocol="published",
                   **OPTIONS | {"attack": AttackRequest(40)})  # fmt: skip
    assert result.details["decision"] == "animate"
    attack = result.attacked
    assert {*attack.labels.tolist()} <= {0, 1}
    found = np.isfinite(attack.norms)
    for number in np.flatnonzero(found):
        image = attack.images[number]
        assert (image.min(), image.max()) == pytest.approx((0, 1))  # scaled by its own extremes
        moved = torch.from_numpy(attack.adversarial[number] - image).permute(2, 0, 1)[None]
        moved = nn.functional.interpolate(moved, (224, 224), mode="bicubic")[0]
        assert attack.norms[number] == pytest.approx(float(moved.norm()), rel=1e-4)
        size = moved.amax(dim=0).abs().numpy()  # the largest signed difference
        assert attack.own_map[number] == pytest.approx(
            spearmanr(size.ravel(), attack.heatmaps[number].ravel()).statistic, abs=1e-3
        )
    assert found.sum() > 1
    assert result.raw == pytest.approx(np.nanmean(attack.own_map))
    assert any("projects nothing" in note for note in result.notes)
    assert result.details["steps"] == 40


def test_clickmes_shards_are_attacked_by_their_labels(tmp_path, own_home):
    files = tuple(write_shard(tmp_path / f"val-{number}.tfrecords", 2, seed=number) for number in range(2))
    model = load_model("timm:test_resnet", "random")
    request = ScoreRequest(ModelRequest("timm:test_resnet", batch_size=3), attack=AttackRequest(steps=3))
    result = AdversarialBenchmark(files=files).prepared(request).score(HookedModel(model), request)
    assert result.benchmark == "ClickMe.adversarial"
    assert result.attacked.names[2] == "val-1.tfrecords record 0"
    assert len(result.citations) == 2
    assert result.details["images"] == 4
    assert result.attacked.correct.sum() == (result.attacked.norms != 0).sum()


@pytest.mark.parametrize(
    ("model", "benchmark", "options", "said"),
    [
        ("timm:test_resnet", "adversarial:nowhere", {}, "nowhere is not a folder of images"),
        ("timm:test_resnet", "adversarial:", {}, "The empty name is not a folder"),
        ("timm:test_resnet", "{folder}", {"layers": "layer3"}, "has no layers or windows"),
        ("timm:test_resnet", "{folder}", {"attribution": "smoothgrad"}, "compared with the gradient alone"),
        ("timm:test_resnet", "{folder}", {"attack": AttackRequest(most=0)}, "largest number of images is 0"),
        ("timm:test_resnet", "{folder}", {"attack": AttackRequest(steps=-1)}, "number of steps is -1"),
        ("timm:test_resnet", "{folder}", {"attack": AttackRequest(decision="x")}, "no decision named 'x'"),
        ("timm:test_resnet", "{folder}", {"attack": "fast"}, "AttackRequest"),
        ("timm:test_resnet", "{folder}", {"protocol": "followup"}, "protocol followup has no attack"),
        ("alexnet", "{folder}", {"weights": "pretrained"}, "gives? no gradients|provides no gradients"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(named, model, benchmark, options, said):
    name = benchmark.format(folder=f"adversarial:{named}")
    with pytest.raises((UsageError, DataError, ModelError), match=said):
        score(model, name, **{"weights": "random"} | options)


def test_the_name_of_a_folder_follows_its_content(named, model):
    first = AdversarialBenchmark(named).identifier
    assert first.startswith("adversarial:named_simulated-")
    np.save(named / "maps" / "0.npy", np.eye(5))
    assert AdversarialBenchmark(named).identifier != first


def test_a_model_in_memory_is_attacked_with_its_changed_weights(model, folder):
    before = attacked(model, folder).attacked.norms
    with torch.no_grad():
        model.module.linear.bias[0] += 1
    after = attacked(replace(model), folder).attacked.norms
    assert (after > before).all()


def test_brain_score_has_the_raw_value_in_place_of_a_score(tmp_path, own_home, monkeypatch):
    from brainscore_itmaps.bridge.clickme import AdversarialClickMe
    from brainscore_itmaps.bridge.models import brain_model

    model = load_model("timm:test_resnet", "random", seed=3)
    grey = np.full((1, 160, 160, 3), 90, np.uint8)
    usual = int(attack(model, grey, steps=0).labels[0])  # a random model decides for few classes
    for number in range(18):
        (tmp_path / "val").mkdir(exist_ok=True)
        content = record(np.random.default_rng(number), usual, classes=1000)
        write_records(tmp_path / "val" / f"val-{number}.tfrecords", [content])
    fetch_clickme("val", folder=tmp_path / "val")
    monkeypatch.setattr("brainscore_itmaps.features.attack.STEPS", 2)
    monkeypatch.setattr("brainscore_itmaps.benchmark.request.AttackRequest.most", 6, raising=False)
    found = AdversarialClickMe()(brain_model(model))
    ours = score(model, "ClickMe.adversarial")
    assert ours.attacked.correct.sum() > 1
    assert float(found) == pytest.approx(ours.raw)
    assert float(found.attrs["ceiling"]) == 1
    assert found.attrs["tolerance"] == pytest.approx(ours.details["tolerance"])
    assert found.attrs["benchmark"] == "ClickMe.adversarial"


@pytest.mark.parametrize("name", ["norms", "own_map", "images", "heatmaps", "names"])
def test_a_result_whose_images_do_not_fit_is_refused(named, tmp_path, name):
    result = score("timm:test_resnet", f"adversarial:{named}", **OPTIONS)
    files = result.save(tmp_path / "results")
    plain = json.loads(files[0].read_text())
    if name == "names":
        plain["attacked"]["names"] = plain["attacked"]["names"][:1]
    else:
        stored = dict(np.load(files[2]))
        stored[name] = stored[name][:1]
        np.savez(files[2], **stored)
        plain["npz_sha256"] = sha256(files[2])
    rewrite(files[0], plain)
    with pytest.raises(DataError, match="attacked has the invalid value"):
        Result.load(files[0])


def test_random_weights_are_asked_for_in_vain_without_maps(named):
    result = score("timm:test_resnet", f"adversarial:{named / 'images'}", random_seeds=1, **OPTIONS)
    assert any("only where there are human maps" in note for note in result.notes)


def test_class_folders_of_another_model_are_told_how_to_be_named(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / name / "1.png")
    with pytest.raises(DataError, match="name its subfolders by the numbers of the model's classes"):
        score("timm:test_resnet", f"adversarial:{tmp_path}", **OPTIONS)
