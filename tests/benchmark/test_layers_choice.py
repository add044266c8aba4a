"""Several layers and several arrays: which layer is read for which image, and what becomes of planted truth."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sources import fresh, model_source

from brainscore_itmaps import Grid, Recording, load_model, load_recording, record, score, to_grid
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.layers import chosen_layers
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import fit_folds, groups_left_out, leave_one_out, pairs_of_groups, refitted
from brainscore_itmaps.metrics.inference import jackknife_interval
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation
from brainscore_itmaps.protocol import PUBLISHED

LAYERS = ["blocks.1.0", "blocks.2.0", "blocks.3.0"]
BLOCKS = [f"blocks.{stage}.0" for stage in range(5)]
GRID, GRID17 = Grid.even(7), Grid.even(17)
SPEC = BenchmarkSpec("own", ("own",))
PER_IMAGE = ("image_r", "map_rho", "map_rho_coarse", "site_r", "components", "predicted")


def medians(predicted, maps):
    return over_sites(site_correlation(predicted, maps))


def choice(model, recording, layers, measure="predictivity"):
    """Layer of each image, from images on."""
    units, pairs, inner = record(model, recording.images, layers), pairs_of_groups(len(recording.images)), {}
    for layer in layers:
        fitted = fit_folds(to_grid(units[layer], recording.grid), recording.maps, pairs)
        inner[layer] = refitted(fitted, recording.maps, feature_alignment if measure == "alignment" else medians)
    return chosen_layers(inner)


def per_layer(values):
    return {value.layer: value for value in values}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Eight images of smooth noise, none like another."""
    folder, rng = tmp_path_factory.mktemp("shown"), np.random.default_rng(3)
    files = []
    for number in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8))
        files.append(folder / f"shown-{number}.png")
        coarse.resize((160, 160), Image.Resampling.BICUBIC).save(files[-1])
    return tuple(files)


def planted(shown, model, layer, seed, noise=0.5):
    """Six sites that weigh a layer's channels at random, at 7 x 7 positions; two presentations with noise of each."""
    rng = np.random.default_rng(seed)
    field = to_grid(record(model, shown, [layer])[layer], GRID)
    truth = field @ rng.normal(size=(field.shape[-1], 6))
    truth /= truth.std(axis=(0, 1, 2))
    repeats = truth[:, None] + noise * rng.normal(size=(8, 2, 7, 7, 6))
    return Recording.from_arrays(None, shown, identifier="planted", window=(0, 9), repeats=repeats, grid=GRID)


@pytest.fixture(scope="module")
def chosen():
    return score("timm:test_efficientnet", "it_maps_simulated", LAYERS, weights="random", seed=1)


@pytest.fixture(scope="module")
def alone():
    return {
        layer: score("timm:test_efficientnet", "it_maps_simulated", layer, weights="random", seed=1) for layer in LAYERS
    }


def test_the_layer_of_each_image_is_the_best_on_all_the_others(chosen):
    recording = load_recording("it_maps_simulated")
    model = load_model("timm:test_efficientnet", weights="random", seed=1)
    (array,) = chosen.arrays
    assert array.layer_of_image == choice(model, recording, LAYERS)
    assert set(array.layer_of_image) == set(LAYERS)  # or this would test little
    assert chosen.layer == "chosen of 3"


def test_every_image_s_numbers_are_those_of_its_layer_alone(chosen, alone):
    (array,) = chosen.arrays
    for number, layer in enumerate(array.layer_of_image):
        for name in PER_IMAGE:
            expected = getattr(alone[layer].arrays[0], name)[number]
            np.testing.assert_allclose(getattr(array, name)[number], expected, rtol=1e-9, atol=1e-8)
    assert chosen.raw == pytest.approx(np.mean([np.median(sites) for sites in array.site_r]))
    np.testing.assert_array_equal(array.image_ceiling, alone[LAYERS[0]].arrays[0].image_ceiling)
    assert chosen.score == pytest.approx(chosen.raw / chosen.ceiling)


def test_the_interval_leaves_each_group_out_of_everything_but_the_choice(chosen):
    """Step by step: every image by a regression of its layer without its group and the group that is left out."""
    recording = load_recording("it_maps_simulated")
    model = load_model("timm:test_efficientnet", weights="random", seed=1)
    (array,), groups = chosen.arrays, groups_left_out(14)
    fields = {layer: to_grid(units, GRID17) for layer, units in record(model, recording.images, LAYERS).items()}
    replicates = []
    for group, left_out in enumerate(groups):
        values = []
        for image in np.flatnonzero(~left_out):
            without = (left_out | groups[image % 7])[None]
            fitted = fit_folds(fields[array.layer_of_image[image]], recording.maps, without)
            place = np.flatnonzero(without[0]).tolist().index(image)
            values.append(medians(fitted.of(0)[[place]], recording.maps[[image]])[0])
        replicates.append(np.mean(values) / array.image_ceiling[~left_out].mean())
        assert group == len(replicates) - 1
    np.testing.assert_allclose(chosen.estimate.replicates, replicates, atol=1e-9)
    expected = jackknife_interval(chosen.score, replicates, [7], chosen.estimate.changes)
    np.testing.assert_allclose((*chosen.interval, chosen.error), expected, atol=1e-9)


@pytest.mark.parametrize("interval", ["images", "fixed"])
def test_other_intervals_leave_out_single_images(shown, own_home, interval):
    model = load_model("timm:test_efficientnet", weights="random")
    recording = planted(shown, model, "blocks.2.0", seed=1)
    result = score(model, recording, "blocks.2.0", interval=interval)
    field = to_grid(record(model, shown, ["blocks.2.0"])["blocks.2.0"], GRID)
    if interval == "images":
        values = refitted(fit_folds(field, recording.maps, pairs_of_groups(8, 8)), recording.maps, medians)
    else:
        alone = fit_folds(field, recording.maps, leave_one_out(8)).predicted
        values = np.tile(medians(alone, recording.maps), (8, 1))
    bounds = result.arrays[0].image_ceiling
    expected = [np.delete(values[n], n).mean() / np.delete(bounds, n).mean() for n in range(8)]
    np.testing.assert_allclose(result.estimate.replicates, expected, atol=1e-9)
    assert (result.estimate.interval_kind, result.estimate.groups) == (interval, (8,))
    assert result.request.interval == interval


def test_the_profile_holds_what_each_layer_reaches_alone(chosen, alone):
    (array,) = chosen.arrays
    assert [value.layer for value in array.layers] == LAYERS
    for value in array.layers:
        (own,) = alone[value.layer].arrays[0].layers
        assert (own.layer, own.chosen, own.raw) == (value.layer, 14, alone[value.layer].raw)
        assert value.chosen == array.layer_of_image.count(value.layer)
        assert value.raw == pytest.approx(own.raw, abs=1e-9)
        assert value.alignment == pytest.approx(own.alignment, abs=1e-9)
        np.testing.assert_allclose(value.image_r, alone[value.layer].arrays[0].image_r, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(own.image_r, alone[value.layer].arrays[0].image_r)


def test_layers_are_read_in_the_order_that_was_asked_for_and_once(chosen):
    layers = [*LAYERS[::-1], LAYERS[0]]
    again = score("timm:test_efficientnet", "it_maps_simulated", layers, weights="random", seed=1)
    assert [value.layer for value in again.arrays[0].layers] == LAYERS[::-1]
    assert again.arrays[0].layer_of_image == chosen.arrays[0].layer_of_image
    assert again.score == chosen.score


def test_the_published_way_takes_the_best_layer_on_the_very_images(shown):
    """At 224 pixels, which the published code shows; so resnet18, on a small recording."""
    model = load_model("timm:resnet18", weights="random")
    recording = replace(planted(shown, model, "layer2.0", seed=1), repeats=None)
    layers, options = ["layer1.0", "layer2.0", "layer3.0"], ScoreRequest(protocol="published")
    found = evaluate(model_source(model, layers, protocol=PUBLISHED), [recording], SPEC, options)
    alone = {
        layer: evaluate(model_source(model, layer, protocol=PUBLISHED), [recording], SPEC, options) for layer in layers
    }
    best = max(layers, key=lambda layer: alone[layer].raw)
    assert found.arrays[0].layer_of_image == (best,) * 8
    assert found.raw == alone[best].raw == max(value.raw for value in found.arrays[0].layers)
    assert found.layer == "best of 3"


@pytest.mark.parametrize("seed", range(5))
def test_the_layer_and_the_model_that_maps_were_made_from_come_first(shown, own_home, seed):
    model = load_model("timm:test_efficientnet", weights="random", seed=seed)
    planted_layer = BLOCKS[1 + seed % 4]
    recording = planted(shown, model, planted_layer, seed)
    result = score(model, recording, BLOCKS)
    profile = {layer: value.raw for layer, value in per_layer(result.arrays[0].layers).items()}
    assert max(profile, key=profile.get) == planted_layer
    assert result.arrays[0].layer_of_image == (planted_layer,) * 8
    for other, blocks in (
        (load_model("timm:test_efficientnet", weights="random", seed=seed + 10), BLOCKS),
        (load_model("timm:test_vit", weights="random", seed=seed), [f"blocks.{number}" for number in range(6)]),
    ):
        values = per_layer(score(other, recording, blocks).arrays[0].layers)
        assert max(value.raw for value in values.values()) < profile[planted_layer] - 0.02
    assert result.score == pytest.approx(1, abs=0.1)  # without the noise it would predict all


def test_images_of_other_maps_predict_nothing(shown, own_home):
    model = load_model("timm:test_efficientnet", weights="random")
    recording = planted(shown, model, "blocks.2.0", seed=0)
    right = score(model, recording, ["blocks.2.0", "blocks.3.0"])
    shuffled = []
    for shift in (1, 3, 4, 6):
        order = np.roll(np.arange(8), shift)
        other = replace(recording, maps=recording.maps[order], repeats=recording.repeats[order])
        shuffled.append(score(model, other, ["blocks.2.0", "blocks.3.0"]).score)
    assert right.score > 0.9
    assert abs(np.mean(shuffled)) < 0.1
    assert max(shuffled) < 0.5


def test_maps_averaged_over_sites_choose_by_their_own_measure(shown, own_home):
    model = load_model("timm:test_efficientnet", weights="random")
    recording = planted(shown, model, "blocks.2.0", seed=1, noise=3.0)
    other = evaluate(model_source(model, LAYERS), [recording], SPEC)  # what it keeps is of another measure
    found = evaluate(model_source(model, LAYERS), [recording], replace(SPEC, measure="alignment"))
    assert found.arrays[0].layer_of_image == choice(model, recording, LAYERS, "alignment")
    assert found.arrays[0].layer_of_image != other.arrays[0].layer_of_image == choice(model, recording, LAYERS)
    assert found.raw == pytest.approx(found.arrays[0].map_rho.mean())
    for value in found.arrays[0].layers:
        assert value.raw == value.alignment


def test_three_images_are_too_few_to_choose_a_layer(shown, own_home, rng):
    few = Recording.from_arrays(rng.normal(size=(3, 4, 4, 3)), shown[:3], identifier="few", window=(0, 9))
    with pytest.raises(DataError, match="on the training images of 3 images"):
        score("timm:test_vit", few, ["blocks.0", "blocks.1"], weights="random")
    with pytest.raises(ModelError, match=r"has no layer 'blocks\.9'"):
        score("timm:test_vit", few, ["blocks.0", "blocks.9"], weights="random")


@pytest.fixture
def arrays(shown, own_home):
    """Two arrays that were shown the same images, and one that was shown others of them."""
    model = load_model("timm:test_efficientnet", weights="random")
    first = planted(shown, model, "blocks.2.0", seed=0)
    second = replace(planted(shown, model, "blocks.3.0", seed=1), identifier="second")
    third = planted(shown, model, "blocks.2.0", seed=2)
    third = replace(third, identifier="third", images=third.images[:6], maps=third.maps[:6], repeats=third.repeats[:6])
    return model, [first, second, third]


def test_of_several_arrays_the_score_is_the_mean_and_each_is_what_it_is_alone(arrays, tmp_path):
    model, recordings = arrays
    seen = []
    model.module.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    source, spec = model_source(model, LAYERS), BenchmarkSpec("three", ("planted", "second", "third"))
    result = evaluate(source, recordings, spec)
    assert sum(seen) == 9 + 8 + 6  # noise images verify the layers; images that arrays share are shown once
    alone = [evaluate(source, [recording], SPEC) for recording in recordings]
    for name in ("score", "raw", "ceiling", "explained", "alignment"):
        assert getattr(result, name) == pytest.approx(np.mean([getattr(each, name) for each in alone]), abs=1e-12)
    for array, each in zip(result.arrays, alone, strict=True):
        assert (array.score, array.interval, array.layer_of_image, array.layers) == (
            each.arrays[0].score,
            each.arrays[0].interval,
            each.arrays[0].layer_of_image,
            each.arrays[0].layers,
        )
        np.testing.assert_array_equal(array.predicted, each.arrays[0].predicted)
        assert each.interval == each.arrays[0].interval
    first, second, third = (array.estimate for array in result.arrays)
    shared = (first.replicates + second.replicates + third.score) / 3
    own = (first.score + second.score + third.replicates) / 3
    np.testing.assert_allclose(result.estimate.replicates, np.concatenate([shared, own]))
    assert result.estimate.groups == (7, 6)
    assert result.formula.startswith("mean over 3 arrays of")

    loaded = Result.load(result.save(tmp_path)[0])
    assert loaded.to_dict() == result.to_dict()
    for array, kept in zip(result.arrays, loaded.arrays, strict=True):
        np.testing.assert_array_equal(array.predicted, kept.predicted)
        np.testing.assert_array_equal(array.neural, kept.neural)


def test_arrays_of_the_same_images_at_other_positions_are_read_apart(arrays):
    model, (first, second, _) = arrays
    other_positions = replace(second, grid=replace(GRID, y=GRID.y / 2, x=GRID.x / 4))
    spec = BenchmarkSpec("two", ("planted", "second"))
    result = evaluate(model_source(model, "blocks.2.0"), [first, other_positions], spec)
    for array, recording in zip(result.arrays, (first, other_positions), strict=True):
        alone = evaluate(model_source(model, "blocks.2.0"), [recording], SPEC, cache=fresh())
        assert array.score == alone.score
