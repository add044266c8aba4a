import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import pearsonr
from scipy.stats import t as student

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
from brainscore_itmaps.benchmark.ceilings import SITES
from brainscore_itmaps.benchmark.evaluate import evaluate_features
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.features.record import published_input
from brainscore_itmaps.metrics.ceiling import noise_ceiling, reference_ceiling
from brainscore_itmaps.metrics.folds import fit_folds
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
    assert [file.name for file in files] == [f"{stem}.json", f"{stem}.csv", f"{stem}.npz"]
    assert sorted(files) == sorted((tmp_path / "a folder, ünïcode").iterdir())
    random = score("timm:test_vit", weights="random", seed=2)
    assert random.save(tmp_path)[0].name == "timm-test_vit-random-seed-2--blocks.3--it_maps_simulated.json"
    written = json.loads(files[0].read_text(encoding="utf-8"))
    assert written["versions"].keys() >= {"python", "brainscore_itmaps", "torch", "numpy", "scipy"}
    assert (written["version"], written["benchmark_version"]) == (4, 2)
    assert (written["interval_kind"], written["groups"]) == ("groups", [7])
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
    json_file, csv_file, _ = result.save(tmp_path)
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
    assert again.arrays[0].ceiling_kind == SITES
    expected = noise_ceiling(recording.maps, "sites")
    assert again.ceiling == expected.value
    np.testing.assert_array_equal(again.arrays[0].site_ceiling, expected.site_r)
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
    assert array.ceiling_kind == SITES


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


def noise_recording(rng, images, repeats):
    """Maps of noise alone, at 6 x 7 positions, of eight sites."""
    noise = rng.normal(size=(6, repeats, 6, 7, 8))
    return Recording.from_arrays(None, images, identifier="noise", window=(0, 9), repeats=noise)


def scored_features(rng, recording, **changes):
    features = rng.normal(size=(len(recording.images), 20, 4, 4))
    return evaluate_features(features, recording, READING, SPEC, ScoreRequest(**changes))


@pytest.mark.parametrize("repeats", [4, 1])
def test_maps_of_noise_have_a_raw_value_and_no_score(images, rng, own_home, repeats, tmp_path):
    """With repeats, and without."""
    result = scored_features(rng, noise_recording(rng, images, repeats))
    (array,) = result.arrays
    assert result.raw == pytest.approx(np.median(array.site_r, axis=1).mean())
    for scored in (result, array):
        assert np.isnan([scored.score, scored.error, scored.explained, *scored.interval]).all()
        assert (scored.estimate.replicates, scored.estimate.groups) == (None, ())
    assert result.estimate.reason.startswith("there is no reliable signal: ")
    assert {4: "split-half reliability", 1: "halves of the other sites"}[repeats] in result.estimate.reason
    assert "not distinguishable from 0; use the raw value" in result.estimate.reason
    assert "no reliable signal on" in " ".join(result.notes)
    json_file, *_ = result.save(tmp_path)
    loaded = Result.load(json_file)
    assert loaded.to_dict() == result.to_dict()
    assert (loaded.estimate.reason, loaded.raw) == (result.estimate.reason, result.raw)
    assert np.isnan(loaded.score)
    assert loaded.arrays[0].estimate.replicates is None


def test_noise_seldom_has_a_score(rng, images, own_home):
    """The 95 % interval of the reliability is above 0 for one noise recording in 40."""
    scores = [scored_features(rng, noise_recording(rng, images, 4)).score for _ in range(20)]
    assert np.isfinite(scores).sum() <= 3


@pytest.mark.parametrize("sites", [1, 2])
def test_few_sites_without_repeats_have_a_raw_value_and_the_reason(images, rng, own_home, sites):
    maps = rng.normal(size=(6, 6, 7, 1)) + 0.1 * rng.normal(size=(6, 6, 7, sites))
    recording = Recording.from_arrays(maps, images, identifier="few", window=(0, 9))
    result = scored_features(rng, recording)
    assert result.raw == pytest.approx(np.median(result.arrays[0].site_r, axis=1).mean())
    assert np.isnan([result.score, result.ceiling, result.explained, *result.interval]).all()
    assert result.estimate.reason == (
        f"few has {sites} complete sites and no repeats, and a noise ceiling needs 3 sites or two repeats; "
        "use the raw value"
    )
    assert result.arrays[0].ceiling_kind == ""
    assert np.isnan(result.arrays[0].site_ceiling).all()


def test_three_sites_or_two_repeats_suffice_for_a_ceiling(images, rng, own_home):
    maps = rng.normal(size=(6, 6, 7, 1)) + 0.1 * rng.normal(size=(6, 6, 7, 3))
    three = Recording.from_arrays(maps, images, identifier="three", window=(0, 9))
    twice = maps[:, None, ..., :1] + 0.1 * rng.normal(size=(6, 2, 6, 7, 1))
    one = Recording.from_arrays(None, images, identifier="one", window=(0, 9), repeats=twice)
    for recording in (three, one):
        result = scored_features(rng, recording)
        assert result.estimate.reason == ""
        assert np.isfinite([result.score, *result.interval]).all()


def test_the_published_ceiling_says_itself_what_it_needs(images, rng, own_home):
    repeats = rng.normal(size=(6, 1, 6, 6, 1)) + rng.normal(size=(6, 2, 6, 6, 1))
    recording = Recording.from_arrays(None, images, identifier="one", window=(0, 9), repeats=repeats)
    features = rng.normal(size=(6, 30, 4, 4))
    result = evaluate_features(features, recording, READING, SPEC, ScoreRequest(protocol="published"))
    assert np.isnan(result.score)
    assert (
        result.estimate.reason == "one has 1 complete sites, and this noise ceiling needs 2 of them; use the raw value"
    )


def noisy(rng, images, sites, without=(), noise=0.3):
    """A recording whose sites share a signal, but for images without one."""
    signal = rng.normal(size=(6, 1, 6, 7, 1)).repeat(len(sites), axis=-1) * np.asarray(sites)
    signal[list(without)] = 0
    repeats = signal + noise * rng.normal(size=(6, 4, 6, 7, len(sites)))
    return Recording.from_arrays(None, images, identifier="noisy", window=(0, 9), repeats=repeats)


def test_notes_name_images_without_signal_few_sites_and_unequal_sites(images, rng, own_home):
    """And say nothing where there is nothing to say."""
    equal = np.ones(16)
    assert scored_features(rng, noisy(rng, images, equal)).notes == ()

    silent = scored_features(rng, noisy(rng, images, equal, without=[2, 4]))
    (note,) = silent.notes
    assert note == "noisy: no reliable signal on 2 of 6 images: image-2, image-4"
    assert np.isfinite(silent.score)

    few = scored_features(rng, replace(noisy(rng, images, equal[:15]), repeats=None))
    assert [note.split(";")[0] for note in few.notes] == [
        "noisy: the noise ceiling is estimated from 15 sites without repeats"
    ]
    assert scored_features(rng, replace(noisy(rng, images, equal), repeats=None)).notes == ()

    (note,) = scored_features(rng, noisy(rng, images, np.where(np.arange(16) < 8, 1, 0.08))).notes
    assert note.startswith("noisy: sites differ in reliability (ceilings of a tenth of the sites are below 0.")


def test_a_perfect_model_of_noisy_repeats_explains_all_that_can_be_explained(images, rng, own_home):
    """Planted: the features are the signal, without the noise."""
    signal = rng.normal(size=(6, 1, 12, 12, 8))
    repeats = signal + rng.normal(size=(6, 4, 12, 12, 8))
    recording = Recording.from_arrays(None, images, identifier="noisy", window=(0, 9), repeats=repeats)
    result = evaluate_features(np.moveaxis(signal[:, 0], -1, 1), recording, READING, SPEC)
    assert result.raw < 0.92
    assert result.score == pytest.approx(1, abs=0.03)
    assert result.explained == pytest.approx(1, abs=0.06)
    against = evaluate_features(np.moveaxis(signal[[1, 2, 3, 4, 5, 0], 0], -1, 1), recording, READING, SPEC)
    assert against.explained == against.score * abs(against.score)


def refitted_values(field, maps, groups):
    """Values of the images without each group, by one regression for each image and group, in a loop."""
    images = len(maps)
    values = np.full((groups, images), np.nan)
    for group in range(groups):
        for image in range(images):
            if image % groups == group:
                continue
            left_out = np.array([other % groups in (group, image % groups) for other in range(images)])
            predicted = fit_folds(field, maps, left_out[None]).of(0)[left_out[:image].sum()]
            sites = range(maps.shape[-1])
            values[group, image] = np.median(
                [pearsonr(predicted[..., site].ravel(), maps[image, ..., site].ravel()).statistic for site in sites]
            )
    return values


@pytest.fixture
def nine(tmp_path, rng, own_home):
    """Nine images, so that two groups have two; eight sites that two channels of the features predict in part."""
    files = []
    for number in range(9):
        files.append(tmp_path / f"shown-{number}.png")
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(files[-1])
    features = rng.normal(size=(9, 20, 6, 7))
    truth = np.moveaxis(features, 1, -1)[..., :2] @ rng.normal(size=(2, 8)) + rng.normal(size=(9, 6, 7, 8))
    repeats = truth[:, None] + rng.normal(size=(9, 2, 6, 7, 8))
    return features, Recording.from_arrays(None, files, identifier="nine", window=(0, 9), repeats=repeats)


@pytest.mark.parametrize("interval", ["groups", "images"])
@pytest.mark.parametrize("with_repeats", [True, False])
def test_replicates_fit_again_without_each_group(nine, interval, with_repeats):
    """In a loop. Without repeats the noise ceiling is fitted again, too."""
    features, recording = nine
    recording = recording if with_repeats else replace(recording, repeats=None)
    result = evaluate_features(features, recording, READING, SPEC, ScoreRequest(interval=interval))
    groups = {"groups": 7, "images": 9}[interval]
    values = refitted_values(np.moveaxis(features, 1, -1), recording.maps, groups)
    bounds = noise_ceiling(recording.maps, repeats=recording.repeats, groups=groups)
    if with_repeats:
        medians = np.median(bounds.site_r, axis=1)
        expected = [medians[np.arange(9) % groups != group].mean() for group in range(groups)]
        np.testing.assert_allclose(bounds.replicates, expected, rtol=0, atol=1e-12)
    expected = np.nanmean(values, axis=1) / bounds.replicates
    np.testing.assert_allclose(result.estimate.replicates, expected, rtol=0, atol=1e-7)
    assert (result.estimate.groups, result.estimate.interval_kind) == ((groups,), interval)
    error = np.sqrt((groups - 1) / groups * ((expected - expected.mean()) ** 2).sum())
    half = student.ppf(0.975, groups - 1) * error
    assert result.error == pytest.approx(error, abs=1e-7)
    assert result.interval == pytest.approx((result.score - half, result.score + half), abs=1e-6)


def test_a_fixed_interval_leaves_images_out_of_the_values_alone(nine):
    features, recording = nine
    result = evaluate_features(features, recording, READING, SPEC, ScoreRequest(interval="fixed"))
    (array,) = result.arrays
    others = ~np.eye(9, dtype=bool)
    expected = [array.image_r[left].mean() / array.image_ceiling[left].mean() for left in others]
    np.testing.assert_allclose(result.estimate.replicates, expected, rtol=0, atol=1e-12)
    assert (result.estimate.groups, result.estimate.interval_kind) == ((9,), "fixed")
    refitted = evaluate_features(features, recording, READING, SPEC)
    assert (refitted.score, refitted.raw) == pytest.approx((result.score, result.raw), abs=1e-9)
    assert refitted.error != result.error


@pytest.mark.parametrize("with_repeats", [True, False])
@pytest.mark.parametrize("interval", ["groups", "images", "fixed"])
def test_three_images_have_a_fixed_interval(nine, with_repeats, interval):
    """Too few to leave out pairs of them."""
    features, recording = nine
    repeats = recording.repeats[:3] if with_repeats else None
    few = replace(recording, maps=recording.maps[:3], images=recording.images[:3], repeats=repeats)
    result = evaluate_features(features[:3], few, READING, SPEC, ScoreRequest(interval=interval))
    assert np.isfinite(result.score)
    assert (result.estimate.interval_kind, result.estimate.groups) == ("fixed", (3,))
    (array,) = result.arrays
    ceiling = array.image_ceiling[[1, 2]].mean() if with_repeats else noise_ceiling(few.maps).replicates[0]
    assert result.estimate.replicates[0] == pytest.approx(array.image_r[[1, 2]].mean() / ceiling, abs=1e-12)


def test_four_images_are_fitted_again(nine):
    features, recording = nine
    few = replace(recording, maps=recording.maps[:4], images=recording.images[:4], repeats=recording.repeats[:4])
    result = evaluate_features(features[:4], few, READING, SPEC)
    assert (result.estimate.interval_kind, result.estimate.groups) == ("groups", (4,))


def test_an_interval_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match=r"There is no interval 'image'\. Did you mean images"):
        score("timm:test_vit", weights="random", interval="image")


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
    with pytest.raises(ModelError, match=r"but timm has one\. Use --model timm:resnet50"):
        score("resnet50")
    with pytest.raises(UsageError, match="3 is not a benchmark"):
        score("efficientnet_lite0", 3)
    with pytest.raises(UsageError, match="The preprocessing of images for a Conv2d is missing"):
        score(torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(UsageError, match=r"Did you mean MajajHong2015public\.IT-pls"):
        score("efficientnet_lite0", "MajajHong2015publik.IT-pls")
    model = load_model("timm:test_vit", weights="random")
    model.spec.layers.clear()
    with pytest.raises(ModelError, match="Name one with --layers"):
        score(model)
