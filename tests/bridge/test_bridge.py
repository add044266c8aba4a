"""Scores through Brain-Score equal direct scores; benchmarks, models and data meet Brain-Score's requirements."""

import functools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sources import fresh

from brainscore_itmaps import Recording, load_model, load_recording, record, score, to_grid
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.evaluate import evaluate_features
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.benchmark.source import FIELDS_OF_VIEW
from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.metrics.ceiling import noise_ceiling
from brainscore_itmaps.models.spec import Weights

ARCHITECTURES = {
    "test_efficientnet": "convolutional",
    "deit_tiny_distilled_patch16_224": "tokens, two of them leading",
    "swin_tiny_patch4_window7_224": "channels last",
    "test_vit": "tokens, one of them leading",
    "test_coatnet": "convolutions, then attention between maps",
    "vit_tiny_r_s16_p8_224": "convolutions, then attention between tokens",
}


@pytest.fixture(scope="module")
def benchmark():
    from brainscore_itmaps.bridge.benchmark import get_benchmark

    return get_benchmark("it_maps_simulated")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_direct_and_brain_score_evaluation_give_the_same_score(benchmark, architecture):
    from brainscore_itmaps.bridge.models import brain_model

    model = load_model(f"timm:{architecture}", weights="random", seed=1)
    direct = score(model, fresh=True)
    through = benchmark.evaluate(brain_model(model), fresh())
    assert through.score == pytest.approx(direct.score, abs=1e-6)
    assert (through.layer, through.weights, through.weights_sha256) == (
        direct.layer,
        direct.weights,
        direct.weights_sha256,
    )
    assert through.field_of_view == direct.field_of_view
    np.testing.assert_allclose(through.arrays[0].predicted, direct.arrays[0].predicted, rtol=0, atol=1e-3)


@pytest.fixture
def threads():
    """Function that sets the number of torch threads; the former number is restored after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.slow
def test_neither_batches_nor_threads_change_the_score_of_either_evaluation(benchmark, threads, monkeypatch):
    from brainscore_itmaps.bridge import models

    model = load_model("timm:test_efficientnet", weights="random", seed=1)
    expected = score(model, fresh=True).score
    for number in (1, 2):
        threads(number)
        for batch_size in (1, 5, 14):
            direct = score(model, batch_size=batch_size, fresh=True)
            monkeypatch.setattr(models, "BATCH_SIZE", batch_size)
            through = benchmark.evaluate(models.brain_model(model), fresh())
            assert direct.score == pytest.approx(expected, abs=1e-6), (number, batch_size)
            assert through.score == pytest.approx(expected, abs=1e-6), (number, batch_size)


def test_the_score_is_what_brain_score_wants(benchmark):
    from brainscore_vision.benchmark_helpers.validate_error import validate_score_uncertainty

    from brainscore_itmaps.bridge.models import brain_model

    model = load_model("timm:test_vit", weights="random")
    result, brain_score_result = score(model), benchmark(brain_model(model))
    assert float(brain_score_result) == pytest.approx(result.score, abs=1e-6)
    assert float(brain_score_result.attrs["raw"]) == pytest.approx(result.raw, abs=1e-6)
    assert float(brain_score_result.attrs["ceiling"]) == pytest.approx(float(benchmark.ceiling))
    assert float(brain_score_result.attrs["raw"]) / float(brain_score_result.attrs["ceiling"]) == pytest.approx(
        float(brain_score_result)
    )
    per_site, its_ceiling = brain_score_result.attrs["raw"].attrs["raw"], benchmark.ceiling.attrs["raw"]
    assert per_site.shape == its_ceiling.shape == (14, 32)
    for name in ("image_id", "neuroid_id"):
        np.testing.assert_array_equal(per_site[name].values, its_ceiling[name].values)
    assert brain_score_result.attrs["weights"] == "random (seed 0)"
    assert brain_score_result.attrs["simulated"]
    assert brain_score_result.attrs["field_of_view"]
    validated = validate_score_uncertainty(brain_score_result)
    assert (validated.problems, validated.warnings) == ([], [])
    assert float(pickle.loads(pickle.dumps(brain_score_result))) == float(brain_score_result)


def test_the_benchmark_has_identifier_version_parent_and_citation(benchmark):
    assert (benchmark.identifier, benchmark.version, benchmark.parent) == ("it_maps_simulated", 2, "IT")
    assert "@article{arcaro2020" in benchmark.bibtex
    assert "url=" in benchmark.bibtex


def test_images_in_another_order_give_the_same_score(benchmark):
    from brainscore_itmaps.bridge.models import brain_model

    class Reversing:
        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def look_at(self, stimuli, number_of_trials):
            return self.model.look_at(stimuli, number_of_trials)[::-1]

    model = brain_model(load_model("timm:test_efficientnet", weights="random"))
    assert benchmark.evaluate(Reversing(model), fresh()).score == benchmark.evaluate(model, fresh()).score


def test_a_pooled_layer_is_refused_and_the_benchmark_that_accepts_it_is_named(benchmark):
    from brainscore_itmaps.bridge.models import brain_model

    model = load_model("timm:test_efficientnet", weights="random")
    model.spec.layers["IT"] = "global_pool"
    with pytest.raises(ModelError, match=r"'global_pool' gives no map.* on it_maps_fixation_simulated, which"):
        benchmark.evaluate(brain_model(model))
    with pytest.raises(ModelError, match=r"'global_pool' gives no map.* on it_maps_fixation_simulated, which"):
        score(model)
    model.spec.layers["IT"] = ["blocks.4", "global_pool"]
    with pytest.raises(ModelError, match="'global_pool' gives no map"):
        benchmark.evaluate(brain_model_of_two(model))


def test_channels_of_two_layers_are_put_side_by_side_at_the_grid(benchmark):
    """Their score equals that of one layer with the channels of both, each sampled at the grid from its own units."""
    model, recording = load_model("timm:test_efficientnet", weights="random"), load_recording("it_maps_simulated")
    model.spec.layers["IT"] = ["blocks.1", "blocks.4"]
    through = benchmark.evaluate(brain_model_of_two(model), fresh())

    units = record(model, recording.images, ["blocks.1", "blocks.4"])
    assert units["blocks.1"].shape[2:] != units["blocks.4"].shape[2:]
    both = np.concatenate([to_grid(units[layer], recording.grid) for layer in ("blocks.1", "blocks.4")], axis=-1)
    reading = Reading(model="two", weights=Weights("module"), layer="both")
    spec = CATALOGUE["it_maps_simulated"]
    expected = evaluate_features(both.transpose(0, 3, 1, 2), recording, reading, spec, cache=fresh())
    assert through.layer == "blocks.1, blocks.4"
    assert through.score == pytest.approx(expected.score, abs=1e-6)
    np.testing.assert_allclose(through.arrays[0].predicted, expected.arrays[0].predicted, rtol=0, atol=1e-3)
    for alone in ("blocks.1", "blocks.4"):
        assert abs(score(model, layers=alone).score - expected.score) > 1e-3


def brain_model_of_two(model):
    from brainscore_itmaps.bridge import models

    wrapper = models.CopyingWrapper(
        model=model.module, preprocessing=functools.partial(models._inputs, model), identifier="two", batch_size=14
    )
    return models.ModelCommitment(
        identifier="two",
        activations_model=wrapper,
        layers=model.spec.layers["IT"],
        region_layer_map=dict(model.spec.layers),
    )


def test_the_wrapper_copies_the_output_of_a_layer():
    from brainscore_itmaps.bridge.models import CopyingWrapper

    class OverwritesItsLayer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.layer(x).zero_()

    wrapper = CopyingWrapper(model=OverwritesItsLayer(), preprocessing=None, identifier="overwrites")
    activations = wrapper.get_activations([torch.ones(3, 8, 8)], ["layer"])["layer"]
    assert np.abs(activations).min() > 0


def test_a_recording_survives_brain_score_s_container():
    from brainscore_vision.benchmark_helpers import check_standard_format

    from brainscore_itmaps.bridge.assembly import assembly, stimulus_set

    recording = load_recording("it_maps_simulated")
    data = assembly(recording)
    check_standard_format(data)
    flat = data.squeeze("time_bin")
    np.testing.assert_array_equal(flat.values.reshape(recording.maps.shape), recording.maps)
    assert set(flat["stimulus_id"].values) == set(recording.names)
    at = flat.sel(presentation=(flat["row"] == 3) & (flat["col"] == 12))
    np.testing.assert_array_equal(at.values, recording.maps[:, 3, 12])
    assert set(at["y_deg"].values) == {recording.grid.y[3]}
    assert set(at["x_deg"].values) == {recording.grid.x[12]}
    assert set(flat["region"].values) == {"IT"}
    stimuli = stimulus_set(recording)
    assert [stimuli.get_stimulus(name) for name in stimuli["stimulus_id"]] == list(recording.images)
    assert data.attrs["stimulus_set_identifier"] == stimuli.identifier


def test_a_model_of_brain_score_is_scored_unchanged():
    from brainscore_itmaps.bridge.candidate import OWN_PREPROCESSING

    result = score("pixels", "it_maps_simulated")
    assert result.layer == "pixels"
    assert str(result.weights) == "as Brain-Score loads it"
    assert result.field_of_view == OWN_PREPROCESSING + FIELDS_OF_VIEW["whole"]
    assert abs(result.score) < 0.2


def test_a_brain_score_model_that_fails_gives_a_sentence():
    with pytest.raises(ModelError, match=r"model resnet18_random needs the network.*Connect to the internet once"):
        score("resnet18_random")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["timm:test_vit", "pixels"])
def test_a_saved_recording_is_scored_like_the_one_in_the_package(model, tmp_path):
    recording = load_recording("it_maps_simulated")
    weights = {"weights": "random"} if model.startswith("timm") else {}
    expected = score(model, **weights)
    folder = recording.save(tmp_path / "own")
    for saved in (recording, folder, str(folder)):
        result = score(model, saved, **weights, fresh=True)
        assert result.score == pytest.approx(expected.score, abs=1e-12)
        assert result.simulated
        assert result.arrays[0].recording_sha256 == expected.arrays[0].recording_sha256


@pytest.mark.parametrize("model", ["timm:test_vit", "pixels"])
def test_a_recording_without_repeats_takes_its_ceiling_from_its_sites(stand_in, own_home, model):
    recording = load_recording("monkey2_ML", (0, 20), stand_in)
    result = score(model, recording, **({"weights": "random"} if model.startswith("timm") else {}))
    (array,) = result.arrays
    assert array.ceiling_kind.startswith("each site predicted from two halves of the other sites")
    np.testing.assert_array_equal(array.site_ceiling, noise_ceiling(recording.maps).site_r)
    assert result.ceiling == pytest.approx(np.median(array.site_ceiling, axis=1).mean(), nan_ok=True)
    assert "no reliable signal" in result.estimate.reason  # in 20 ms of a short stand-in
    assert np.isfinite(result.raw)


def test_a_recording_of_one_site_without_repeats_has_no_ceiling(stand_in, own_home):
    recording = load_recording("monkey2_ML", (0, 20), stand_in)
    alone = replace(recording, maps=recording.maps[..., :1], sites=recording.sites[:1])
    result = score("timm:test_vit", alone, weights="random")
    assert np.isfinite(result.raw)
    assert np.isnan([result.score, result.ceiling]).all()
    assert "1 complete site and no repeats" in result.estimate.reason
    ceiling = ItMapsBenchmark(CATALOGUE["Arcaro2020.monkey2_ML-pls"], [alone]).ceiling
    assert np.isnan(float(ceiling))
    assert ceiling.attrs["reason"] == result.estimate.reason


def test_two_images_cannot_be_left_out(images, rng, own_home):
    recording = Recording.from_arrays(rng.normal(size=(2, 5, 5, 3)), images[:2], identifier="few", window=(0, 9))
    with pytest.raises(DataError, match="at least 3 images, not 2"):
        score("timm:test_vit", recording, weights="random")
