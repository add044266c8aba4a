"""The exported benchmark: our numbers to the last digit, a cut at 1, and models behind an adapter."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from adapter import Adapter, first_of_tuples
from brainscore_vision.benchmark_helpers.validate_error import assert_valid_uncertainty
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

from brainscore_itmaps import load_recording, score
from brainscore_itmaps.bridge.assembly import assembly
from brainscore_itmaps.bridge.benchmark import get_benchmark
from brainscore_itmaps.bridge.candidate import BrainScoreModel
from brainscore_itmaps.bridge.leaderboard import (
    LeaderboardBenchmark,
    ceiling_from_repeats,
    ceiling_from_sites,
)
from brainscore_itmaps.bridge.leaderboard_probe import probe_model
from brainscore_itmaps.bridge.models import brain_model
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.load import load_model


def of_recordings(*recordings, ceiling_of=ceiling_from_repeats):
    loaders = [lambda recording=recording: assembly(recording, repeats=True) for recording in recordings]
    return LeaderboardBenchmark("it_maps", loaders, ceiling_of, 1, "@misc{a, url={b}}", "IT")


@pytest.fixture(scope="module")
def simulated():
    return load_recording("it_maps_simulated")


def test_an_embedded_model_has_our_score_interval_and_error_to_rounding(simulated):
    found = of_recordings(simulated)(brain_model(load_model("efficientnet_lite0")))
    ours = score("efficientnet_lite0", "it_maps_simulated", controls=False)
    numbers = [found.attrs["uncut"], float(found.attrs["raw"]), found.attrs["error"], *found.attrs["interval"]]
    np.testing.assert_allclose(numbers, [ours.score, ours.raw, ours.error, *ours.interval], rtol=1e-12)
    assert float(found.attrs["ceiling"]) == ours.ceiling
    np.testing.assert_allclose(found.attrs["raw"].attrs["raw"].values, ours.arrays[0].site_r, rtol=1e-11)
    assert_valid_uncertainty(found)


def test_several_arrays_are_averaged_as_ours_are(simulated):
    halves = [
        replace(simulated, identifier=f"half{number}", maps=simulated.maps[..., number::2],
                repeats=simulated.repeats[..., number::2], sites=simulated.sites[number::2])
        for number in range(2)
    ]  # fmt: skip
    benchmark, candidate = of_recordings(*halves), probe_model()
    found = benchmark(candidate)
    ours = get_benchmark("it_maps")
    ours.recordings = halves
    expected = ours.evaluate(candidate)
    expected_numbers = [expected.score, expected.error, *(array.score for array in expected.arrays)]
    numbers = [found.attrs["uncut"], found.attrs["error"], *found.attrs["per_array"].values()]
    # arrays are fitted in one pass here and one by one there, which some processors round differently
    np.testing.assert_allclose(numbers, expected_numbers, rtol=1e-12)
    assert float(benchmark.ceiling) == float(ours.ceiling)
    assert benchmark.ceiling.attrs["error"] == ours.ceiling.attrs["error"]
    assert found.attrs["raw"].attrs["raw"].shape == (14, 32)


def test_the_ceiling_without_repeats_is_that_of_the_sites():
    textures = load_recording("it_maps_textures_simulated")
    benchmark = of_recordings(textures, ceiling_of=ceiling_from_sites)
    assert float(benchmark.ceiling) == float(get_benchmark("it_maps_textures_simulated").ceiling)


def test_a_score_above_1_is_cut_and_kept_beside(simulated, monkeypatch):
    benchmark = of_recordings(simulated)
    ceilings = [replace(ceiling, value=ceiling.value / 10, replicates=ceiling.replicates / 10)
                for ceiling in benchmark.ceilings]  # fmt: skip
    monkeypatch.setattr(benchmark, "ceilings", ceilings)
    found = benchmark(probe_model())
    assert float(found) == 1
    assert found.attrs["uncut"] == pytest.approx(10 * float(found.attrs["raw"]) / 0.848968, rel=1e-4)
    assert found.attrs["uncut"] > 3
    assert found.attrs["interval"][1] > 1


def test_what_the_tools_of_brain_score_read_is_there(simulated):
    benchmark = of_recordings(simulated)
    assert (benchmark.identifier, benchmark.version, benchmark.parent, benchmark.region) == ("it_maps", 1, "IT", "IT")
    assert benchmark.timebins == [simulated.window]
    assert benchmark._assembly.attrs["stimulus_set"] is not None


def test_a_model_behind_an_adapter_has_the_same_score(simulated):
    bare, adapted = probe_model(), Adapter(probe_model())
    expected = of_recordings(simulated)(bare)
    assert of_recordings(simulated)(adapted).attrs["uncut"] == expected.attrs["uncut"]
    assert get_benchmark("it_maps_simulated")(adapted).attrs["raw"].item() == expected.attrs["raw"].item()
    wrapped = get_benchmark("it_maps_simulated").evaluate(Adapter(brain_model(load_model("efficientnet_lite0"))))
    assert wrapped.score == score("efficientnet_lite0", "it_maps_simulated", controls=False).score
    assert wrapped.weights.kind == "pretrained"  # the adapter passes our model through


def test_layers_of_a_model_behind_an_adapter_are_committed_in_turn(simulated):
    adapted = Adapter(two_layers())
    source = BrainScoreModel(adapted).source(["0", "1"])
    features = source.read(simulated, (), None, lambda *steps: None)
    assert set(features) == {"0", "1"}
    assert features["0"].values.min() < 0 <= features["1"].values.min()
    assert adapted.layer_model.region_layer_map["IT"] == "1"


def test_the_cache_of_a_commitment_behind_an_adapter_is_disabled_too(simulated):
    seen = []

    class Own(ModelCommitment):
        def look_at(self, *arguments, **options):
            seen.append(os.environ.get("RESULTCACHING_DISABLE"))
            return super().look_at(*arguments, **options)

    model = probe_model()
    model.__class__ = Own
    of_recordings(simulated)(Adapter(model))
    assert Own.__module__ in seen[0].split(",")
    assert os.environ.get("RESULTCACHING_DISABLE") is None


def test_a_tuple_that_brain_score_would_unwrap_in_silence_is_an_error_that_names_its_elements(simulated):
    class First(torch.nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, pair):
            return self.layer(pair[1])

    class Pair(torch.nn.Module):
        def forward(self, images):
            return images.mean(dim=1, keepdim=True), images

    first = probe_model().activations_model._model[0]
    model = commitment(torch.nn.Sequential(Pair(), First(first)), {"IT": "0"})
    with first_of_tuples(), pytest.raises(ModelError, match="not one tensor to read") as refused:
        of_recordings(simulated)(Adapter(model))
    assert "[0] (image, 1, 64, 64)" in refused.value.fix


def test_an_activation_that_is_overwritten_in_place_is_read_before_it(simulated):
    class Changed(torch.nn.Module):
        def forward(self, images):
            return images.mul_(0)

    first = probe_model().activations_model._model[0]
    model = commitment(torch.nn.Sequential(first, Changed()), {"IT": "0"})
    plain = commitment(torch.nn.Sequential(first, torch.nn.Identity()), {"IT": "0"})
    with first_of_tuples():
        found = of_recordings(simulated)(Adapter(model)).attrs["uncut"]
    assert found == of_recordings(simulated)(plain).attrs["uncut"]


def commitment(network, layers):
    wrapper = PytorchWrapper(
        model=network.eval(),
        preprocessing=probe_model().activations_model._extractor.preprocess,
        identifier="made-up",
        batch_size=14,
    )
    return ModelCommitment("made-up", wrapper, layers=sorted(set(layers.values())), region_layer_map=layers)


def two_layers():
    model = probe_model()
    model.layers = ["0", "1"]
    return model
