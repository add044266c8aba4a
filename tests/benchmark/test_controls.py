"""Controls of a score, what a model adds to them, and its null: each is tested by what it claims, on planted truths."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from shown import changed, scored
from sklearn.cross_decomposition import PLSRegression

from brainscore_itmaps import (
    Grid,
    Recording,
    compare_results,
    load_model,
    load_recording,
    record,
    score,
    score_features,
)
from brainscore_itmaps.benchmark.added import GIVEN, UNIQUE, WITHOUT_TYPICAL, added_values
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.controls import CONTROLS, ImageValues, fit_controls
from brainscore_itmaps.benchmark.folds import folds_of
from brainscore_itmaps.benchmark.formulas import verdict_on_controls
from brainscore_itmaps.benchmark.random_weights import RANDOM_WEIGHTS
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.validity import best_control
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.features.controls import control_features
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.ceiling import noise_ceiling
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out, predict_left_out, typical_maps
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.progress import silent
from brainscore_itmaps.protocol import OURS

IMAGES, ROWS, COLUMNS, SITES, REPEATS = 14, 9, 11, 8, 4
GRID = Grid.even((ROWS, COLUMNS), extent=(13.0, 16.0))


def standardised(field):
    return (field - field.mean(axis=(0, 1, 2))) / field.std(axis=(0, 1, 2))


def smooth(rng, channels):
    return standardised(gaussian_filter(rng.normal(size=(IMAGES, ROWS, COLUMNS, channels)), (0, 1.2, 1.2, 0)))


def mixed(rng, field):
    return standardised(field @ rng.normal(size=(field.shape[-1], SITES)))


@pytest.fixture(scope="module")
def images():
    """Draw images whose contrast, Gabor energy and saliency differ from place to place."""
    rng = np.random.default_rng(1)
    texture = gaussian_filter(rng.normal(size=(IMAGES, 78, 96, 3)), (0, 3, 3, 0))
    strength = gaussian_filter(rng.normal(size=(IMAGES, 78, 96, 1)), (0, 12, 12, 0))
    textured = texture / texture.std() * np.exp(1.2 * strength / strength.std())
    return np.clip(128 + 40 * textured, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def recording_of(images, tmp_path_factory):
    """Return a function that makes a SIMULATED recording of a signal, with noise of its size in each repeat."""

    def make(signal, name, noise=1.0):
        repeats = signal[:, None] + noise * np.random.default_rng(2).normal(size=(IMAGES, REPEATS, *signal.shape[1:]))
        return Recording.from_arrays(
            repeats.mean(axis=1), images, identifier=f"{name}_simulated", window=(50, 150), grid=GRID, repeats=repeats
        )

    return make


@pytest.fixture(scope="module")
def controls_field(recording_of):
    recording = recording_of(np.random.default_rng(0).normal(size=(IMAGES, ROWS, COLUMNS, SITES)), "any")
    features = control_features(recording.images, GRID)
    return np.concatenate([standardised(features[name]) for name in ("contrast", "gabor", "saliency")], axis=-1)


@pytest.fixture(scope="module")
def of_controls(recording_of, controls_field):
    rng = np.random.default_rng(3)
    features = np.concatenate([controls_field, smooth(rng, 30)], axis=-1)
    return score_features(features, recording_of(mixed(rng, controls_field), "of_controls"))


@pytest.fixture(scope="module")
def of_halves(recording_of, controls_field):
    """Score features that are one half of a signal whose other half are the controls."""
    rng = np.random.default_rng(4)
    hidden = smooth(rng, 10)
    signal = (mixed(rng, controls_field) + mixed(rng, hidden)) / np.sqrt(2)
    return score_features(hidden, recording_of(signal, "of_halves"))


def test_controls_are_regressions_on_the_folds_of_the_benchmark():
    recording = load_recording("it_maps_simulated")
    result = score("efficientnet_lite0", recording)
    assert list(result.controls) == list(CONTROLS)
    features = control_features(recording.images, recording.grid)
    for name, field in features.items():
        predicted = predict_left_out(field, recording.maps).predicted
        assert result.controls[name].raw == pytest.approx(
            neural_predictivity(predicted, recording.maps).score, abs=1e-9
        )
    typical = np.stack([np.delete(recording.maps, image, axis=0).mean(axis=0) for image in range(14)])
    raw = neural_predictivity(typical, recording.maps).score
    assert result.controls["typical_map"].raw == pytest.approx(raw, abs=1e-9)
    for control in result.controls.values():
        assert control.score == pytest.approx(control.raw / result.ceiling)
        assert control.interval[0] < control.score < control.interval[1]
        assert control.interval_kind == "groups"
    assert result.best_control in ("contrast", "saliency")
    assert result.p_value < 0.001
    assert verdict_on_controls(result).startswith("not distinguishable from ")


def test_features_that_are_the_controls_and_noise_add_nothing(of_controls):
    assert of_controls.score > 0.9
    assert abs(of_controls.added[UNIQUE].raw) < 0.02
    assert of_controls.added[UNIQUE].interval[0] < 0.02
    assert abs(of_controls.added[GIVEN].score) < 0.1


def test_unique_is_the_gain_of_one_regression_over_the_better_of_two(recording_of, controls_field):
    rng = np.random.default_rng(10)
    recording = recording_of(mixed(rng, controls_field[..., :3]), "of_contrast", noise=3.0)
    features = smooth(rng, 4)
    result = score_features(features, recording)
    controls = control_features(recording.images, GRID)
    joint = np.concatenate([standardised(controls[name]) for name in controls], axis=-1)
    blocks = [block / np.sqrt(block.var(axis=(0, 1, 2)).sum()) for block in (joint, features)]
    r = {}
    for name, field in (("joint", joint), ("both", np.concatenate(blocks, axis=-1))):
        values = []
        for image in range(IMAGES):
            training = np.arange(IMAGES) != image
            typical = typical_maps(recording.maps, ~training[None], shrink=True)[0]
            model = PLSRegression(min(25, field.shape[-1]), scale=False, tol=1e-28, max_iter=200_000)
            targets = (recording.maps[training] - typical).reshape(-1, SITES)
            model.fit(field[training].reshape(-1, field.shape[-1]), targets)
            predicted = model.predict(field[image].reshape(-1, field.shape[-1])).reshape(typical.shape) + typical
            values.append(neural_predictivity(predicted[None], recording.maps[image][None]).score)
        r[name] = np.mean(values)
    assert result.controls["contrast"].raw > r["joint"] + 0.001
    assert result.unique.raw == pytest.approx(r["both"] - result.controls["contrast"].raw, abs=1e-5)


def test_features_that_are_another_half_add_what_they_hold(of_halves):
    joint = max(control.raw for control in of_halves.controls.values())
    gain = of_halves.ceiling - joint  # both halves together reach the noise ceiling
    assert gain > 0.2
    assert of_halves.added[UNIQUE].raw == pytest.approx(gain, abs=0.04)
    assert of_halves.added[UNIQUE].interval[0] > 0
    assert of_halves.added[GIVEN].score > 0.8


def test_a_bump_in_every_map_is_a_control_and_does_not_change_the_score_without_the_typical_map(
    recording_of, controls_field
):
    rng = np.random.default_rng(5)
    signal, features = mixed(rng, hidden := smooth(rng, 6)), np.concatenate([hidden, smooth(rng, 6)], axis=-1)
    centre = np.exp(-(GRID.y[:, None] ** 2 + GRID.x**2) / 18)
    centre = 2 * ((centre - centre.mean()) / centre.std())[..., None]
    blind = smooth(np.random.default_rng(6), 6) + 3 * centre * np.ones(6)  # knows the bump, and nothing of the image
    scores = {}
    for name, field in (("seeing", features), ("blind", blind)):
        for bump in (0, 1):
            scores[name, bump] = score_features(field, recording_of(signal + bump * centre, f"bump{bump}"))
    assert scores["seeing", 0].best_control != "typical_map"
    for name in ("seeing", "blind"):
        assert scores[name, 1].controls["typical_map"].raw > 0.85
    assert not verdict_on_controls(scores["blind", 1]).startswith("above")
    assert scores["blind", 1].raw > 0.8
    assert scores["blind", 1].p_value > 0.01
    assert abs(scores["blind", 1].added[WITHOUT_TYPICAL].score) < 0.25
    without = [scores["seeing", bump].added[WITHOUT_TYPICAL].score for bump in (0, 1)]
    assert without[0] > 0.8
    assert without[1] == pytest.approx(without[0], abs=0.02)
    assert scores["seeing", 1].p_value < 0.001


def test_the_score_without_the_typical_map_is_a_regression_on_what_remains(recording_of):
    rng = np.random.default_rng(7)
    field = smooth(rng, 5)
    recording = recording_of(mixed(rng, field) + smooth(rng, SITES), "remaining")
    values = []
    for image in range(IMAGES):
        typical = np.delete(recording.maps, image, axis=0).mean(axis=0)
        predicted = fit_folds(field, recording.maps - typical, leave_one_out(IMAGES)[image : image + 1]).of(0)
        values.append(neural_predictivity(predicted, recording.maps[image : image + 1] - typical).score)
    result = score_features(field, recording)
    assert result.added[WITHOUT_TYPICAL].raw == pytest.approx(np.mean(values), abs=1e-9)
    typical = np.stack([np.delete(recording.repeats, image, axis=0).mean(axis=0) for image in range(IMAGES)])
    ceiling = noise_ceiling(recording.maps - typical.mean(axis=1), repeats=recording.repeats - typical, rng=0)
    assert result.added[WITHOUT_TYPICAL].ceiling == pytest.approx(ceiling.value, abs=1e-9)


@pytest.mark.parametrize("method", ["ridge_cv", "pls"])
@pytest.mark.parametrize("interval", ["groups", "fixed"])
def test_controls_follow_the_regression_and_the_interval_of_the_request(method, interval):
    name = {"pls": "it_maps_alignment_simulated", "ridge_cv": "it_maps_ridge_simulated"}[method]
    result = score("timm:test_resnet", name, "layer3", weights="random", interval=interval)
    kinds = {estimate.interval_kind for estimate in (*result.controls.values(), *result.added.values())}
    assert kinds == {interval}
    assert (result.null is None) == (interval == "fixed")
    recording = load_recording("it_maps_simulated")
    predicted = predict_left_out(control_features(recording.images, recording.grid)["contrast"], recording.maps, method)
    if method == "ridge_cv":
        raw = neural_predictivity(predicted.predicted, recording.maps).score
        assert result.controls["contrast"].raw == pytest.approx(raw, abs=1e-9)


def test_controls_are_computed_once_for_a_recording_and_read_features_once(tmp_path, monkeypatch):
    import brainscore_itmaps.benchmark.controls as module

    calls = []
    monkeypatch.setattr(module, "control_features", lambda *a, **k: calls.append(1) or control_features(*a, **k))
    cache = ResultCache(tmp_path)
    first = score("timm:test_resnet", "it_maps_simulated", "layer3", weights="random", cache=cache)
    again = score("timm:test_resnet", "it_maps_simulated", "layer3", weights="random", cache=cache)
    score("timm:test_vit", "it_maps_simulated", weights="random", cache=cache)
    assert len(calls) == 1
    assert again.control_rows() == first.control_rows()
    assert again.null.p_value == first.null.p_value


def test_controls_can_be_left_out():
    from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    from brainscore_itmaps.benchmark.maps import MapsBenchmark
    from brainscore_itmaps.benchmark.request import ScoreRequest
    from brainscore_itmaps.benchmark.source import HookedModel
    from brainscore_itmaps.cache import default_cache

    model = HookedModel(load_model("timm:test_resnet", "random"))
    request = ScoreRequest(replace(model.torch_model.request, layers=("layer3",)), controls=False)
    result = MapsBenchmark(CATALOGUE["it_maps_simulated"]).score(model, request, default_cache())
    assert not result.controls
    assert not result.added
    assert result.null is None
    assert np.isnan(result.p_value)
    assert verdict_on_controls(result) == ""


def test_what_layers_add_is_taken_from_the_layer_chosen_for_each_image():
    layers = ["layer2", "layer4"]
    both = score("timm:test_resnet", "it_maps_simulated", layers, weights="random")
    alone = {layer: score("timm:test_resnet", "it_maps_simulated", layer, weights="random") for layer in layers}
    (array,) = both.arrays
    paired = [alone[layer].arrays[0].null.paired[image] for image, layer in enumerate(array.layer_of_image)]
    np.testing.assert_allclose(array.null.paired, paired, atol=1e-9)
    if len(set(array.layer_of_image)) == 1:
        assert both.unique.raw == pytest.approx(alone[array.layer_of_image[0]].unique.raw, abs=1e-9)


def test_regressions_without_the_images_of_other_layers_give_the_same_values(tmp_path):
    recording, spec = load_recording("it_maps_simulated"), CATALOGUE["it_maps_simulated"]
    folds, cache = folds_of(recording, OURS), ResultCache(tmp_path)
    arguments = recording, spec, OURS, cache, folds, 7
    fits = fit_controls(*arguments, silent)
    units = np.random.default_rng(0).normal(size=(len(recording.images), 6, 6, 20))
    features = LayerFeatures(units + recording.maps.mean(axis=(1, 2))[:, None, None, :20], at_grid=False)
    every, some = np.ones(len(units), bool), np.arange(len(units)) % 7 == 2
    whole, part = (
        added_values(name, lambda: fits, lambda: features, *arguments, silent, needed)
        for name, needed in (("00" * 32, every), ("11" * 32, some))
    )
    for name, values in whole.items():
        for field in ("image_r", "map_rho", "refit_r", "refit_rho"):
            expected, found = getattr(values, field)[..., some], getattr(part[name], field)[..., some]
            np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (part["with_features"].image_r[~some] == 0).all()
    assert (whole["with_features"].image_r != 0).all()


def test_controls_and_null_survive_saving(of_halves, tmp_path):
    files = of_halves.save(tmp_path)
    assert files[-1].name.endswith(".controls.csv")
    loaded = Result.load(files[0])
    assert loaded.control_rows() == of_halves.control_rows()
    for kind in ("controls", "added"):
        for name, estimate in getattr(of_halves, kind).items():
            stored = getattr(loaded.arrays[0], kind)[name]
            np.testing.assert_array_equal(stored.replicates, estimate.replicates)
            np.testing.assert_array_equal(stored.changes, estimate.changes)
    np.testing.assert_array_equal(loaded.arrays[0].null.paired, of_halves.null.paired)
    plain = json.loads(files[0].read_text())
    assert plain["null"]["p_value"] == of_halves.p_value
    assert list(plain["controls"]) == list(CONTROLS)
    rows = files[-1].read_text().splitlines()
    assert len(rows) == 1 + 1 + len(CONTROLS) + 3
    replace(of_halves, controls={}, added={}).save(tmp_path)
    assert not files[-1].exists()


def test_the_row_of_a_result_names_its_best_control(of_halves):
    (row,) = of_halves.rows()
    best = of_halves.best_control
    assert row["best_control"] == best
    assert row["control_score"] == of_halves.controls[best].score
    assert row["unique"] == of_halves.unique.score
    assert (row["unique_low"], row["unique_high"]) == of_halves.unique.interval
    assert row["p_value"] == of_halves.p_value


def test_random_weights_are_a_control_with_a_row_for_each_seed_and_their_mean():
    from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    from brainscore_itmaps.benchmark.maps import MapsBenchmark
    from brainscore_itmaps.benchmark.request import ScoreRequest
    from brainscore_itmaps.benchmark.source import HookedModel
    from brainscore_itmaps.cache import default_cache

    model = HookedModel(load_model("timm:test_resnet", "random", seed=1))
    request = ScoreRequest(replace(model.torch_model.request, layers=("layer3",)), random_seeds=2)
    result = MapsBenchmark(CATALOGUE["it_maps_simulated"]).score(model, request, default_cache())
    names = [name for name in result.controls if name.startswith(RANDOM_WEIGHTS)]
    assert names == [RANDOM_WEIGHTS, f"{RANDOM_WEIGHTS}_0", f"{RANDOM_WEIGHTS}_2"]  # 1 is the model's own seed
    for seed in (0, 2):
        alone = score("timm:test_resnet", "it_maps_simulated", "layer3", weights="random", seed=seed)
        assert result.controls[f"{RANDOM_WEIGHTS}_{seed}"].score == pytest.approx(alone.score, abs=1e-9)
    mean = np.mean([result.controls[name].raw for name in names[1:]])
    assert result.controls[RANDOM_WEIGHTS].raw == pytest.approx(mean, abs=1e-12)
    assert not result.best_control.endswith(("_0", "_2"))


def test_an_image_on_which_a_control_is_constant_counts_as_0(images, tmp_path):
    plain = images.copy()
    plain[3] = 90
    maps = np.random.default_rng(8).normal(size=(IMAGES, ROWS, COLUMNS, SITES))
    recording = Recording.from_arrays(maps, plain, identifier="plain_simulated", window=(50, 150), grid=GRID)
    result = score_features(smooth(np.random.default_rng(9), 5), recording)
    assert all(np.isfinite(control.raw) for control in result.controls.values())
    assert np.isfinite([estimate.raw for estimate in result.added.values()]).all()


def test_identical_images_are_paired_as_one(images):
    rng = np.random.default_rng(11)
    shown = images[[0, 0, 1, 1, 2, 2, 3, 3]]
    signal = rng.normal(size=(4, 5, 6, 3)).repeat(2, axis=0)
    recording = Recording.from_arrays(
        signal + 0.1 * rng.normal(size=signal.shape), shown, identifier="twice_simulated", window=(50, 150)
    )
    result = score_features(rng.normal(size=(4, 5, 6, 4)).repeat(2, axis=0), recording)
    assert result.null.paired.shape == (4, 4)
    assert result.p_value >= 1 / 24 / 2  # one of 24 orders of four images


def test_controls_below_0_are_not_what_a_model_is_compared_with():
    negative = ImageValues(np.full(3, -0.5), np.full(3, -0.5), np.full((3, 3), -0.5), np.full((3, 3), -0.5))
    best = best_control({"contrast": negative, "joint": negative}, "predictivity")
    assert not best.image_r.any()
    assert not best.refit_r.any()


def test_maps_of_few_positions_have_no_correlation_given_the_controls(images):
    rng = np.random.default_rng(12)
    maps = rng.normal(size=(IMAGES, 3, 4, 5))
    recording = Recording.from_arrays(maps, images, identifier="small_simulated", window=(50, 150))
    given = score_features(maps[..., :2], recording).added[GIVEN]
    assert np.isnan(given.raw)
    assert given.reason.startswith("maps of 12 positions are too few")


def test_the_features_of_a_model_and_of_a_recording_give_the_same_controls():
    recording = load_recording("it_maps_simulated")
    model = load_model("efficientnet_lite0")
    layer = model.spec.layers["IT"]
    features = record(model, recording.images, [layer])[layer]
    by_features, by_model = score_features(features, recording, layout="NCHW"), score(model, recording)
    assert by_features.unique.raw == pytest.approx(by_model.unique.raw, abs=1e-6)
    assert by_features.controls["gabor"].raw == by_model.controls["gabor"].raw


def test_the_test_against_the_best_control_is_that_of_two_results():
    result = scored()
    as_result = changed(result, estimate=result.controls[result.best_control])
    test, expected = result.against_best_control, compare_results(result, as_result)
    assert test.p_value == pytest.approx(expected.p_value)
    assert test.difference == pytest.approx(result.score - result.controls[result.best_control].score)
    assert changed(result, controls={}).against_best_control is None
