"""Profiles over blur and components: beside the score, beside scores of blurred features, and a simulated truth."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from shown import two_arrays
from torch import nn

from brainscore_itmaps import Grid, Recording, UsageError, load_model, load_recording, profile, record, score, to_grid
from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.profile import VALUES, checked_values
from brainscore_itmaps.benchmark.profiled import collected, profile_source
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.benchmark.saved import is_result
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.features.blur import blurred
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.folds import predict_left_out
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.models.spec import Weights

SPEC = CATALOGUE["it_maps_simulated"]
NUMBERS = ("raw", "ceiling", "score", "error", "explained")


@pytest.fixture(scope="module")
def model():
    return load_model("timm:test_resnet", "random", seed=1)


@pytest.fixture(scope="module")
def field(model):
    recording = load_recording("it_maps_simulated")
    return to_grid(record(model, recording, "layer3")["layer3"], recording)


@pytest.fixture
def cache(tmp_path):
    return ResultCache(tmp_path / "kept")


def given(field, name="given"):
    """A source of features that are given, and the number of times that it was read."""
    reads = []

    def read(recording, layers, cache, progress):
        reads.append(recording.identifier)
        return {name: LayerFeatures(field, at_grid=True)}

    reading = Reading(model="m", weights=Weights("module", sha256=""), field_of_view="the whole image")
    return Source(reading, (), None, read), reads


def assert_same(estimate, scored):
    assert [getattr(estimate, name) for name in NUMBERS] == pytest.approx(
        [getattr(scored, name) for name in NUMBERS], abs=1e-12
    )
    assert estimate.interval == pytest.approx(scored.interval, abs=1e-12)


@pytest.mark.parametrize(("over", "values", "number"), [("blur", [2.0, 0.0], 0), ("components", [25, 3], 1)])
def test_without_blur_and_with_25_components_it_is_the_score(model, cache, over, values, number):
    expected = score(model, layers="layer3", fresh=True, cache=ResultCache(cache.home / "other"))
    found = profile(model, over=over, values=values, layers="layer3", cache=cache)
    (estimates,) = found.estimates.values()
    assert_same(estimates[number], expected)
    assert abs(estimates[1 - number].score - expected.score) > 1e-3
    assert (found.values, found.reading.layer, found.simulated) == (tuple(sorted(values)), "layer3", True)
    assert (found.formula, found.citations) == (expected.formula, expected.citations)


def test_each_value_is_that_of_the_blurred_features_or_of_the_regression_itself(model, field, cache):
    recording = load_recording("it_maps_simulated")
    blurs = profile(model, values=[1.5], layers="layer3", interval="fixed", cache=cache)
    predicted, _ = predict_left_out(blurred(field, recording.grid, 1.5), recording.maps)
    assert blurs.rows()[0]["raw"] == pytest.approx(neural_predictivity(predicted, recording.maps).score, abs=1e-9)
    counts = profile(model, over="components", values=[2], layers="layer3", interval="fixed", cache=cache)
    predicted, _ = predict_left_out(field, recording.maps, components=2)
    assert counts.rows()[0]["raw"] == pytest.approx(neural_predictivity(predicted, recording.maps).score, abs=1e-9)


@pytest.fixture
def of_blurred_features(rng, images, own_home):
    """White features on an uneven grid, and a recording of sites that sum them after a blur by 1.5 degrees."""
    grid = Grid(y=Grid.even(11).y, x=np.array([-8.0, -6.5, -5.5, -4, -3, -1, 0, 1.5, 2, 4, 5, 6.5, 8]), extent=16.0)
    field = rng.normal(size=(6, 11, 13, 4))
    maps = blurred(field, grid, 1.5) @ rng.normal(size=(4, 5))
    repeats = maps[:, None] + 0.2 * maps.std() * rng.normal(size=(6, 3, 11, 13, 5))
    return field, Recording.from_arrays(None, images, identifier="wide", window=(0, 9), repeats=repeats, grid=grid)


def test_maps_of_blurred_features_are_predicted_best_with_that_blur(of_blurred_features, cache):
    field, recording = of_blurred_features
    source, reads = given(field)
    found = profile_source(source, [recording], BenchmarkSpec("wide", ("wide",)), "blur", None, ScoreRequest(), cache)
    scores = [row["score"] for row in found.rows()]
    assert found.values == VALUES["blur"]
    assert int(np.argmax(scores)) == found.values.index(1.5)
    assert scores[found.values.index(1.5)] == pytest.approx(1.0, abs=0.02)
    assert scores[0] < 0.7
    assert len(reads) == 1  # the model runs once for all values
    assert not found.simulated


def test_components_that_the_layer_does_not_have_are_left_out_and_a_note_says_so(of_blurred_features, cache):
    field, recording = of_blurred_features
    source, _ = given(field)
    found = profile_source(source, [recording], SPEC, "components", [1, 3, 10, 25, 50], ScoreRequest(), cache)
    assert found.values == (1, 3, 4)
    assert found.notes[0] == (
        "the features of this layer allow 4 components; left out, because they add none: 10, 25, 50"
    )
    assert_same(found.estimates["wide"][2], evaluate(source, [recording], SPEC, ScoreRequest(), cache))
    exact = profile_source(source, [recording], SPEC, "components", [4, 25], ScoreRequest(), cache)
    assert (exact.values, exact.notes[0].rpartition(" ")[2]) == ((4,), "25")


def test_an_interrupted_run_resumes_and_fresh_computes_again(model, cache):
    said = []

    def interrupted(step, done, total):
        said.append(step)
        if step.startswith("blur 2"):
            raise KeyboardInterrupt

    options = {"values": [1, 2], "layers": "layer3", "cache": cache}
    with pytest.raises(KeyboardInterrupt):
        profile(model, **options, progress=interrupted)
    assert "blur 1, 1 of 2: predicting left-out images" in said
    again, once_more, fresh = [], [], []
    profile(model, **options, progress=lambda step, *_: again.append(step))
    assert not any(step.startswith("blur 1") for step in again)
    assert any(step.startswith("blur 2, 2 of 2: predicting") for step in again)
    profile(model, **options, progress=lambda step, *_: once_more.append(step))
    assert not any("predicting" in step for step in once_more)
    profile(model, **options, fresh=True, progress=lambda step, *_: fresh.append(step))
    assert any(step.startswith("blur 1, 1 of 2: predicting") for step in fresh)


@pytest.mark.parametrize("benchmark", ["it_maps_screen_simulated", "it_maps_alignment_simulated"])
def test_other_views_and_measures_have_profiles_too(model, cache, benchmark):
    options = {"layers": "layer3", "cache": cache, "interval": "fixed"}
    found = profile(model, benchmark, values=[0, 2], **options)
    assert_same(next(iter(found.estimates.values()))[0], score(model, benchmark, **options))
    assert found.rows()[0]["raw"] != found.rows()[1]["raw"]


def test_the_published_protocol_has_profiles_too(field, cache):
    request, (source, _) = ScoreRequest(protocol="published", interval="fixed"), given(field)
    recordings = [load_recording("it_maps_simulated")]
    expected = evaluate(source, recordings, SPEC, request, cache)
    for over, values, number in (("blur", [0, 2], 0), ("components", [2, 25], 1)):
        found = profile_source(source, recordings, SPEC, over, values, request, cache)
        (estimates,) = found.estimates.values()
        assert_same(estimates[number], expected)
        assert estimates[0].raw != estimates[1].raw
        assert found.rows()[0]["protocol"] == "published"


def test_a_module_of_ones_own_is_profiled_and_left_unchanged(cache):
    module = nn.Sequential(nn.Conv2d(3, 5, 7, 4), nn.ReLU(), nn.Conv2d(5, 6, 3, 2)).train()
    preprocessing = {"size": 64, "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}
    options = {"preprocessing": preprocessing, "cache": cache, "interval": "fixed"}
    found = profile(module, values=[0, 1], layers="2", **options)
    assert len(found.rows()) == 2
    assert module.training


def test_files_hold_every_row_and_are_no_result(model, cache, tmp_path):
    found = profile(model, values=[0, 1.5], layers="layer3", cache=cache)
    record, table = found.save(tmp_path)
    stem = "timm-test_resnet-random-seed-1--layer3--it_maps_simulated--blur"
    assert (record.name, table.name) == (f"{stem}.json", f"{stem}.csv")
    assert not is_result(record)
    read = pd.read_csv(table, float_precision="round_trip")
    expected = found.to_dataframe()
    assert list(read.columns) == list(expected.columns)
    for name in ("blur", "raw", "ceiling", "score", "low", "high", "error"):
        np.testing.assert_array_equal(read[name], expected[name])
    assert read["simulated"].all()
    assert set(read["weights"]) == {"random (seed 1)"}
    plain = json.loads(record.read_text())
    assert plain["rows"] == found.to_dict()["rows"]
    assert [row["blur"] for row in plain["rows"]] == [0, 1.5]
    assert (plain["model"], plain["layer"], plain["simulated"]) == (found.reading.model, "layer3", True)


def test_several_arrays_have_rows_and_a_mean_and_an_absent_score_is_empty(tmp_path):
    result = two_arrays()
    found = collected("components", {5: result, 25: replace(result, notes=("a note",))}, ["capped"])
    assert [(row["array"], row["components"]) for row in found.rows()] == [
        (name, value) for name in (result.arrays[0].recording, "narrow", "mean") for value in (5, 25)
    ]
    assert (found.notes[0], found.notes[-1]) == ("capped", "a note")
    absent = replace(result.estimate, score=np.nan, interval=(np.nan, np.nan), reason="none")
    found = collected("blur", {0.5: replace(result, arrays=(replace(result.arrays[0], estimate=absent),))})
    record, table = found.save(tmp_path)
    assert json.loads(record.read_text())["rows"][0]["score"] is None
    assert pd.read_csv(table, keep_default_na=False).loc[0, ["score", "reason"]].tolist() == ["", "none"]


@pytest.mark.parametrize(
    ("over", "values", "said"),
    [
        ("blurr", None, r"no profile over 'blurr'\. Did you mean blur"),
        ("blur", [-1], "cannot be blurred by -1 degrees"),
        ("blur", [180.1], r"by 180\.1 degrees\. Give degrees of visual angle, 0 to 180"),
        ("blur", [np.nan], "cannot be blurred by nan degrees"),
        ("blur", ["wide"], "cannot be blurred by 'wide' degrees"),
        ("blur", "1,2", r"cannot be '1,2'\. Give degrees of visual angle"),
        ("blur", [], "needs at least one value"),
        ("components", [0], r"cannot have 0 components\. Give whole numbers"),
        ("components", [2.5], "cannot have 2.5 components"),
        ("components", [True], "cannot have True components"),
    ],
)
def test_impossible_values_are_refused_with_a_sentence(over, values, said):
    with pytest.raises(UsageError, match=said):
        checked_values(over, values)


def test_values_are_sorted_and_each_is_used_once():
    assert checked_values("components", np.array([25, 1, 5, 1])) == ("components", (1, 5, 25))
    assert checked_values("blur", (2, 0.5, -0.0, 0)) == ("blur", (0.0, 0.5, 2.0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"benchmark": "ClickMe.alignment"}, "ClickMe.alignment has no maps of IT"),
        ({"benchmark": "it_maps_attribution_simulated"}, "attribution maps, which have no profile"),
        ({"benchmark": "it_maps_transfer_simulated"}, "predicts one array from another one"),
        ({"benchmark": "it_maps_ridge_simulated", "over": "components"}, "has no components. Profile over blur"),
        ({"layers": "layer2,layer3"}, "A profile is of one layer"),
        ({"layers": "all"}, "A profile is of one layer"),
        ({"layers": ["layer3"]}, "is not the name of one layer"),
    ],
)
def test_what_has_no_profile_is_refused_before_anything_is_computed(model, options, said, cache):
    with pytest.raises(UsageError, match=said):
        profile(model, **options, cache=cache)
    assert not cache.home.exists()
