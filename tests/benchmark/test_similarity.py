"""Benchmarks without a regression: their numbers, their interval, their files, and what they refuse."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

import brainscore_itmaps as itmaps
from brainscore_itmaps import Result, score
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.similarity import SimilarityBenchmark, similarity_values, values_of_layers
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.bridge.reproduce import reproduce
from brainscore_itmaps.bridge.score import find_benchmark, score_request
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.cli.score import _check_map_options
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.metrics.similarity import SIMILARITIES

NAMES = {"rsa": "it_maps_rsa_simulated", "cka": "it_maps_cka_simulated"}
LAYERS = ["layer2", "layer3"]
each = pytest.mark.parametrize("measure", NAMES)


@pytest.fixture(scope="module")
def model():
    return itmaps.load_model("timm:test_resnet", "random", seed=1)


@pytest.fixture(scope="module")
def recording():
    return itmaps.load_recording("it_maps_simulated")


@pytest.fixture(scope="module")
def results(model):
    return {measure: score(model, name, "layer3") for measure, name in NAMES.items()}


@pytest.fixture(scope="module")
def fields(model, recording):
    return itmaps.to_grid(itmaps.record(model, recording, LAYERS), recording)


@each
def test_the_values_are_those_of_the_features_at_the_grid(measure, results, fields, recording):
    (array,) = results[measure].arrays
    expected = SIMILARITIES[measure](fields["layer3"], recording.maps)
    np.testing.assert_allclose(array.image_value, expected, rtol=0, atol=1e-6)
    assert results[measure].raw == array.image_value.mean()
    assert results[measure].measure == measure
    assert array.layers[0].image_r == tuple(array.image_value)


def test_the_score_of_cka_is_raw_by_the_ceiling_with_a_jackknife_over_seven_groups(results):
    result = results["cka"]
    (array,) = result.arrays
    assert result.score == pytest.approx(array.image_value.mean() / array.image_ceiling.mean(), abs=1e-12)
    assert result.formula.endswith("divided by the noise ceiling, that of noise-free maps")
    groups = np.arange(14) % 7
    without = np.array(
        [array.image_value[groups != group].mean() / array.image_ceiling[groups != group].mean() for group in range(7)]
    )
    error = np.sqrt(6 / 7 * ((without - without.mean()) ** 2).sum())
    assert result.error == pytest.approx(error, rel=1e-9)
    width = student.ppf(0.975, 6) * error
    np.testing.assert_allclose(result.interval, [result.score - width, result.score + width], rtol=0, atol=1e-9)
    assert result.estimate.about_interval.endswith(
        "no regression is fitted, so none is fitted again; the choice of a layer is held fixed"
    )
    assert np.isnan(result.explained)


def test_rsa_has_a_raw_value_with_an_interval_and_the_reason(results):
    result = results["rsa"]
    assert np.isnan([result.score, result.ceiling, *result.interval]).all()
    assert result.estimate.reason.startswith("noise biases the dissimilarities of positions")
    assert result.formula.startswith("none; raw is the mean over images of Spearman rho")
    (note,) = (note for note in result.notes if "95 % interval over images" in note)
    assert f"raw {result.raw:.3f}" in note


@each
def test_every_result_says_that_smoothness_alone_raises_it(measure, results):
    assert any("neighbouring positions are alike in all maps" in note for note in results[measure].notes)
    assert not any("constant maps" in note for note in results[measure].notes)


def test_a_layer_is_chosen_for_each_image_on_the_other_images(model, recording, fields):
    result = score(model, NAMES["cka"], LAYERS)
    values = {layer: SIMILARITIES["cka"](fields[layer], recording.maps) for layer in LAYERS}
    groups = np.arange(14) % 7
    (array,) = result.arrays
    for image, group in enumerate(groups):
        best = max(LAYERS, key=lambda layer: values[layer][groups != group].mean())
        assert array.layer_of_image[image] == best
        assert array.image_value[image] == pytest.approx(values[best][image], abs=1e-6)
    assert result.layer == "chosen of 2"


def test_without_repeats_cka_has_a_raw_value_alone(model, recording):
    spec = replace(CATALOGUE[NAMES["cka"]], identifier="mine")
    benchmark = SimilarityBenchmark(spec, (replace(recording, repeats=None),))
    result = score_request(itmaps.score(model, NAMES["cka"], "layer3").request, benchmark, model)
    assert np.isnan(result.score)
    assert result.estimate.reason == (
        "it_maps_simulated has no two repeats of every image at all sites, and a noise ceiling of CKA needs them; "
        "use the raw value"
    )


@each
def test_a_saved_result_is_loaded_again_with_its_values(measure, results, tmp_path):
    json_file, csv_file, npz_file, *_ = results[measure].save(tmp_path)
    loaded = Result.load(json_file)
    for name in ("image_value", "image_ceiling"):
        np.testing.assert_array_equal(getattr(loaded.arrays[0], name), getattr(results[measure].arrays[0], name))
    assert (loaded.raw, loaded.formula, loaded.notes) == (
        results[measure].raw, results[measure].formula, results[measure].notes
    )  # fmt: skip
    rows = list(csv.DictReader(csv_file.open(newline="")))
    assert [float(row[measure]) for row in rows] == loaded.arrays[0].image_value.tolist()
    assert [row["image"] for row in rows] == list(loaded.arrays[0].images)
    assert npz_file.is_file()
    assert not loaded.has_maps


def test_two_results_of_cka_are_compared_and_those_of_rsa_are_not(model, results):
    other = score(model, NAMES["cka"], "layer2")
    comparison = itmaps.compare_results(results["cka"], other)
    assert comparison.difference == pytest.approx(results["cka"].score - other.score)
    assert comparison.interval.low < comparison.difference < comparison.interval.high
    with pytest.raises(UsageError, match="no score with an interval to compare on it_maps_rsa_simulated: noise biases"):
        itmaps.compare_results(results["rsa"], results["rsa"])
    with pytest.raises(UsageError, match="not comparable"):
        itmaps.compare_results(results["cka"], replace(results["cka"], measure="rsa"))


def test_figures_and_reports_say_that_there_are_no_predicted_maps(results):
    for figure in (itmaps.figures.layer_profile_figure, itmaps.figures.site_histogram_figure):
        with pytest.raises(UsageError, match="has no predicted maps to draw"):
            figure(results["cka"])


@each
def test_the_published_protocol_refuses_it(measure):
    with pytest.raises(UsageError, match="The published protocol has no benchmark like"):
        score("efficientnet_lite0", NAMES[measure], protocol="published")


def test_values_are_cached_by_layer(model, recording, tmp_path):
    spec, cache = CATALOGUE[NAMES["cka"]], ResultCache(tmp_path)
    source = HookedModel(model).source(LAYERS, "whole", cache=cache)
    read: list[tuple[str, ...]] = []

    def reading(*arguments):
        read.append(tuple(arguments[1]))
        return source.read(*arguments)

    counted = replace(source, read=reading, layers=("layer2",))
    first = values_of_layers(counted, recording, spec, cache)
    both = values_of_layers(replace(counted, layers=tuple(LAYERS)), recording, spec, cache)
    values_of_layers(counted, recording, CATALOGUE[NAMES["rsa"]], cache)
    assert read == [("layer2",), ("layer3",), ("layer2",)]
    np.testing.assert_array_equal(both["layer2"], first["layer2"])
    assert list(both) == LAYERS


def test_values_of_a_control_are_those_of_the_measure(fields, recording):
    np.testing.assert_array_equal(
        similarity_values(fields["layer2"], recording.maps, "rsa"),
        SIMILARITIES["rsa"](fields["layer2"], recording.maps),
    )


@each
def test_constant_maps_and_layers_are_errors(measure, model, recording):
    maps = recording.maps.copy()
    maps[2] = maps[2].mean(axis=(0, 1))
    spec = CATALOGUE[NAMES[measure]]
    request = itmaps.score(model, NAMES[measure], "layer3").request
    with pytest.raises(DataError, match=f"all sites' maps are constant on {recording.names[2]}"):
        score_request(request, SimilarityBenchmark(spec, (replace(recording, maps=maps, repeats=None),)), model)
    few = replace(recording, maps=recording.maps[..., :1], sites=recording.sites[:1], repeats=None)
    if measure == "rsa":
        with pytest.raises(ModelError, match="too few sites"):
            score_request(request, SimilarityBenchmark(spec, (few,)), model)


def test_a_result_is_reproduced_and_found_by_name(results):
    assert isinstance(find_benchmark(NAMES["rsa"]), SimilarityBenchmark)
    assert CATALOGUE[NAMES["rsa"]].version == 1
    result = score("timm:test_resnet", NAMES["rsa"], "layer3", weights="random")
    assert reproduce(result).largest == 0


def test_a_comparison_lists_them_without_pages_of_maps(results, tmp_path):
    itmaps.compare(list(results.values()), tmp_path, draws=5)
    rows = list(csv.DictReader((tmp_path / "table.csv").open(newline="")))
    assert {row["measure"]: float(row["raw"]) for row in rows} == {
        measure: pytest.approx(result.raw) for measure, result in results.items()
    }
    assert not list(tmp_path.rglob("maps/*.html"))


@pytest.mark.parametrize("options", [{"report": True}, {"figure": "maps.png"}])
def test_the_command_refuses_to_draw_before_it_scores(options):
    given = {"layers_or_window": False, "figure": None, "report": False} | options
    given["figure"] = Path(given["figure"]) if given["figure"] else None
    with pytest.raises(UsageError, match="it has no predicted maps to draw"):
        _check_map_options(NAMES["cka"], **given)


def test_the_ceiling_of_cka_is_a_noise_ceiling_of_its_own(recording, results):
    ceiling = itmaps.noise_ceiling(recording.maps, "cka", repeats=recording.repeats)
    np.testing.assert_array_equal(ceiling.image_r, results["cka"].arrays[0].image_ceiling)
    assert (ceiling.reason, ceiling.site_r) == ("", None)
    with pytest.raises(itmaps.ArrayError, match="A noise ceiling of CKA needs the repeats"):
        itmaps.noise_ceiling(recording.maps, "cka")
