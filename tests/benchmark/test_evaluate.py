import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from brainscore_itmaps import (
    Recording,
    load_model,
    load_recording,
    predict_left_out,
    record,
    score,
    score_features,
    to_grid,
)
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.evaluate import evaluate_features
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.features.record import published_input
from brainscore_itmaps.metrics.ceiling import noise_ceiling, reference_ceiling
from brainscore_itmaps.models.spec import Weights

SPEC = CATALOGUE["it_maps_simulated"]
READING = Reading(model="m", weights=Weights("module", sha256=""), layer="l", field_of_view="the whole image")


@pytest.fixture(scope="module")
def recording():
    return load_recording("it_maps_simulated")


@pytest.fixture(scope="module")
def result():
    return score("efficientnet_lite0", "it_maps_simulated")


def test_the_number_is_the_formula_it_states(result):
    assert result.formula.startswith("mean over images of (median over sites of Pearson r")
    (array,) = result.arrays
    raw = np.mean([np.median(sites) for sites in array.site_r])
    ceiling = np.mean([np.median(sites) for sites in array.site_ceiling])
    assert result.raw == pytest.approx(raw, abs=1e-12)
    assert result.ceiling == pytest.approx(ceiling, abs=1e-12)
    assert result.score == pytest.approx(raw / ceiling, abs=1e-12)
    assert result.explained == pytest.approx((raw / ceiling) ** 2, abs=1e-12)
    assert result.interval[0] < result.score < result.interval[1]
    for name in ("score", "interval", "error", "raw", "ceiling", "explained", "alignment"):
        assert getattr(array, name) == getattr(result, name), name
    assert result.simulated
    assert array.simulated
    assert (array.components == 25).all()


def test_training_matters_and_so_do_the_images(result, recording):
    """A pretrained model is far above the same model with random weights; shuffled images score about 0."""
    untrained = [score("efficientnet_lite0", weights="random", seed=seed) for seed in range(3)]
    assert all(
        other.weights == Weights("random", seed=seed, sha256=other.weights_sha256)
        for seed, other in enumerate(untrained)
    )
    assert result.interval[0] > max(other.interval[1] for other in untrained)

    model = load_model("efficientnet_lite0")
    features = record(model, recording.images, ["blocks.4"])["blocks.4"]
    orders = [np.roll(np.arange(14), shift) for shift in (2, 5, 9)]
    shuffled = [evaluate_features(features[order], recording, READING, SPEC).score for order in orders]
    assert abs(np.mean(shuffled)) < 0.1
    assert max(shuffled) < result.interval[0] / 2


def test_two_runs_give_the_same_json_but_for_times(tmp_path, result):
    """Computed anew, and found again."""
    first = json.loads(result.save(tmp_path / "first")[0].read_text())
    written = first.pop("written")
    for fresh in (True, False):
        again = score("efficientnet_lite0", "it_maps_simulated", fresh=fresh)
        second = json.loads(again.save(tmp_path / f"fresh {fresh}")[0].read_text())
        assert written <= second.pop("written")
        assert first == second
    with np.load(next((tmp_path / "first").glob("*.npz"))) as arrays:
        assert arrays["simulated"]
        assert (arrays["model"], arrays["layer"], arrays["score"]) == ("efficientnet_lite0", "blocks.4", result.score)
        np.testing.assert_array_equal(arrays["predicted"], result.arrays[0].predicted)


def test_what_is_written_is_named_by_model_weights_layer_and_benchmark(tmp_path, result):
    files = result.save(tmp_path / "a folder, ünïcode")
    stem = "efficientnet_lite0--blocks.4--it_maps_simulated"
    assert [file.name for file in files] == [f"{stem}.{ending}" for ending in ("json", "csv", "npz", "controls.csv")]
    assert sorted(files) == sorted((tmp_path / "a folder, ünïcode").iterdir())
    random = score("timm:test_vit", weights="random", seed=2)
    assert random.save(tmp_path)[0].name == "timm-test_vit-random-seed-2--blocks.3--it_maps_simulated.json"
    written = json.loads(files[0].read_text(encoding="utf-8"))
    assert written["versions"].keys() >= {"python", "brainscore_itmaps", "torch", "numpy", "scipy"}
    assert written["benchmark_version"] == 2
    assert written["weights_sha256"] == result.weights_sha256
    (array,) = written["arrays"]
    assert array["recording_sha256"] == result.arrays[0].recording_sha256
    assert len(array["recording_sha256"]) == 64
    assert written["npz_sha256"] == hashlib.sha256(files[2].read_bytes()).hexdigest()


def test_an_undefined_correlation_is_counted_and_written_as_null(recording, tmp_path):
    field = recording.maps.transpose(0, 3, 1, 2).copy()
    maps = recording.maps.copy()
    maps[3, ..., 5] = 1.0
    repeats = np.repeat(maps[:, None], 2, axis=1)
    result = evaluate_features(field, replace(recording, maps=maps, repeats=repeats), READING, SPEC)
    (array,) = result.arrays
    assert (result.undefined_sites, array.undefined_sites) == (1, 1)
    assert np.isnan(array.site_r[3, 5])
    assert np.isnan(array.site_ceiling[3, 5])
    json_file, csv_file, *_ = result.save(tmp_path)
    written = json.loads(json_file.read_text())
    assert (written["undefined_sites"], written["arrays"][0]["undefined_sites"]) == (1, 1)
    with csv_file.open(newline="") as file:
        undefined = [row for row in csv.DictReader(file) if not row["r"] or not row["ceiling"]]
    assert [(row["image"], row["site"], row["r"], row["ceiling"]) for row in undefined] == [
        (recording.names[3], recording.sites[5], "", "")
    ]


def test_a_constant_prediction_is_an_error_not_a_zero(recording):
    with pytest.raises(ModelError, match="predicts a constant map on it_maps_simulated-00-astronaut"):
        evaluate_features(np.ones((14, 3, 7, 7)), recording, READING, SPEC)


def test_an_image_without_any_map_is_the_recording_s_fault(recording):
    maps, repeats = recording.maps.copy(), recording.repeats.copy()
    maps[5], repeats[5] = 20.0, 20.0
    with pytest.raises(DataError, match="every site's map is constant on it_maps_simulated-05"):
        evaluate_features(
            recording.maps.transpose(0, 3, 1, 2), replace(recording, maps=maps, repeats=repeats), READING, SPEC
        )


def test_without_repeats_the_ceiling_is_what_sites_tell_of_each_other(recording, result):
    again = score("efficientnet_lite0", replace(recording, repeats=None), fresh=True)
    assert again.raw == result.raw
    assert again.ceiling == pytest.approx(noise_ceiling(recording.maps).value)
    assert again.ceiling == pytest.approx(result.ceiling, abs=0.02)  # planted: sites share all that they respond to


def test_grids_need_not_be_square(images, rng, own_home):
    maps = rng.normal(size=(6, 5, 8, 3)) + rng.normal(size=(6, 5, 8, 1))
    recording = Recording.from_arrays(maps, images, identifier="wide", window=(0, 9))
    (array,) = evaluate_features(rng.normal(size=(6, 20, 4, 4)), recording, READING, SPEC).arrays
    assert (len(array.degrees_y), len(array.degrees_x)) == array.neural.shape[1:3] == array.predicted.shape[1:3]


def test_one_repeat_is_no_split(images, rng, own_home):
    repeats = rng.normal(size=(6, 1, 5, 8, 3)) + rng.normal(size=(6, 1, 5, 8, 1))
    recording = Recording.from_arrays(None, images, identifier="once", window=(0, 9), repeats=repeats)
    (array,) = evaluate_features(rng.normal(size=(6, 20, 4, 4)), recording, READING, SPEC).arrays
    assert array.ceiling_kind.startswith("each site predicted from two halves of the other sites")


def test_the_published_code_has_no_score_for_constant_maps(recording):
    maps = recording.maps.copy()
    maps[3, ..., 5] = 1.0
    with pytest.raises(DataError, match=r"1 maps are constant \(.*it_maps_simulated-03"):
        evaluate_features(
            np.random.default_rng(0).normal(size=(14, 30, 7, 7)),
            replace(recording, maps=maps, repeats=None),
            READING,
            SPEC,
            ScoreRequest(protocol="published"),
        )


def test_a_recording_whose_repeats_contradict_each_other_has_no_score_but_a_raw_value(recording, rng):
    maps, noise = rng.normal(size=(2, 14, 17, 17, 32))
    nothing = replace(recording, maps=maps, repeats=np.stack([maps + 9 * noise, maps - 9 * noise], axis=1))
    result = evaluate_features(rng.normal(size=(14, 30, 7, 7)), nothing, READING, SPEC)
    assert np.isnan([result.score, *result.interval, result.explained]).all()
    assert np.isfinite(result.raw)
    assert "no reliable signal: the split-half reliability of the maps is -0.9" in result.estimate.reason


@pytest.mark.parametrize("repeats", [2, 4])
def test_a_perfect_model_of_noisy_repeats_explains_everything(images, own_home, repeats):
    rng = np.random.default_rng(4)
    field = rng.normal(size=(6, 17, 17, 5))
    signal = field @ rng.normal(size=(5, 9))
    presented = signal[:, None] + 3 * rng.normal(size=(6, repeats, 17, 17, 9))
    recording = Recording.from_arrays(None, images, identifier="noisy", window=(0, 9), repeats=presented)
    result = score_features(field, recording)
    assert result.ceiling < 0.9
    assert result.score == pytest.approx(1, abs=0.05)
    assert result.explained == pytest.approx(1, abs=0.1)


def test_maps_of_few_sites_of_unequal_reliability_are_noted(images, rng, own_home):
    signal = rng.normal(size=(6, 9, 9, 1))
    maps = signal + np.where(np.arange(8) < 4, 0.2, 6) * rng.normal(size=(6, 9, 9, 8))
    maps[2] = rng.normal(size=(9, 9, 8))
    recording = Recording.from_arrays(maps, images, identifier="few", window=(0, 9))
    notes = " | ".join(score_features(rng.normal(size=(6, 9, 9, 3)) + signal, recording).notes)
    assert "8 sites without repeats; with fewer than 16 sites it can be far too low" in notes
    assert "sites differ in reliability" in notes
    assert f"no reliable signal on 1 of 6 images: {recording.names[2]}" in notes


def test_the_published_choices_are_made_from_the_images_on(recording):
    model = load_model("efficientnet_lite0")
    result = score(model, recording, protocol="published")
    features = record(model, recording.images, ["blocks.4"], preprocess=published_input)["blocks.4"]
    expected = score_features(np.moveaxis(features, 1, -1), recording.maps, protocol="published")
    assert result.raw == expected.score
    (array,) = result.arrays
    np.testing.assert_array_equal(array.predicted, expected.predicted)
    np.testing.assert_array_equal(array.image_ceiling, reference_ceiling(recording.maps))
    assert result.score == pytest.approx(expected.score / reference_ceiling(recording.maps).mean())
    assert result.protocol == "published"
    assert array.ceiling_kind.endswith("not an upper bound")


def test_published_images_are_divided_by_the_mean(recording):
    shown = published_input(recording.images[:2])
    with Image.open(recording.images[1]) as image:
        size = image.size
        bilinear = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), float)
    mean = np.array([0.485, 0.456, 0.406])
    back = (shown[1].numpy().transpose(1, 2, 0) * mean + mean) * 255
    assert np.abs(back - np.round(back)).max() < 1e-3
    assert np.abs(back - bilinear).mean() < (1 if size == (224, 224) else 8)  # OpenCV does not smooth when it shrinks


def test_a_model_of_another_size_has_no_published_input(recording):
    with pytest.raises(ModelError, match="takes images of 160 pixels; the published code shows 224"):
        score("timm:test_vit", recording, weights="random", protocol="published")


def test_maps_that_predict_themselves_go_over_the_ceiling_of_the_noise(recording):
    result = evaluate_features(recording.maps.transpose(0, 3, 1, 2), recording, READING, SPEC)
    assert result.raw > 0.9
    assert result.score > 1  # the noise is predicted too: not hidden, not clipped


def test_public_names_are_the_line_that_score_walks(result, recording):
    model = load_model("efficientnet_lite0")
    features = record(model, recording.images, ["blocks.4"])
    left_out = predict_left_out(to_grid(features["blocks.4"], recording.grid), recording.maps)
    np.testing.assert_allclose(left_out.predicted, result.arrays[0].predicted, rtol=0, atol=1e-9)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean it_maps_simulated"):
        score("efficientnet_lite0", "it_maps_simulatd")
    with pytest.raises(ModelError, match="Did you mean efficientnet_lite0"):
        score("efficientnet_lite00")
    with pytest.raises(ModelError, match=r"but timm has one\. Use timm:resnet50"):
        score("resnet50")
    with pytest.raises(UsageError, match="3 is not a benchmark"):
        score("efficientnet_lite0", 3)
    with pytest.raises(UsageError, match="The preprocessing of images for a Conv2d is missing"):
        score(torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(UsageError, match=r"Did you mean MajajHong2015public\.IT-pls"):
        score("efficientnet_lite0", "MajajHong2015publik.IT-pls")
    model = load_model("timm:test_vit", weights="random")
    model.spec.layers.clear()
    with pytest.raises(ModelError, match="Name a layer"):
        score(model)
