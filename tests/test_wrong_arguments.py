"""A plausible wrong argument of a public function is answered with a sentence that says what to give."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from shown import images, scored

import brainscore_itmaps as itmaps
from brainscore_itmaps.errors import described

ERRORS = {name for name in itmaps.__all__ if name.endswith("Error")}


@pytest.fixture(scope="module")
def wrong():
    """Values that a user may take for another one."""
    recording, model = itmaps.load_recording("it_maps_simulated"), itmaps.load_model("timm:test_resnet", "random")
    result = scored()
    return {
        "None": None,
        "number": 1.5,
        "text": "nothing",
        "path": Path("nothing"),
        "array": np.zeros((3, 4)),
        "texts": np.array(["a", "b"]),
        "tensor": torch.zeros(2, 3, 4, 5),
        "result": result,
        "array result": result.arrays[0],
        "table": result.to_dataframe(),
        "model": model,
        "module": model.module,
        "recording": recording,
        "grid": recording.grid,
        "features": itmaps.record(model, recording, "layer3"),
        "list": [1, 2],
        "empty list": [],
        "function": len,
        "bytes": b"ab",
    }


def field():
    return np.random.default_rng(0).normal(size=(14, 17, 17, 5))


def model():
    return itmaps.load_model("timm:test_resnet", "random")


CALLS = {
    "AttackRequest": (lambda value: itmaps.score(model(), layers="layer3", attack=value), {"None"}),
    "Grid": (lambda value: itmaps.Grid(value, value, 16.0), {"texts", "array", "tensor", "module", "model"}),
    "HarmonizerLoss": (itmaps.HarmonizerLoss, {"number"}),
    "Recording": (itmaps.Recording.load, set()),
    "Result": (itmaps.Result.load, set()),
    "attack": (lambda value: itmaps.attack(value, np.zeros((1, 3, 160, 160)), steps=0), {"model", "module"}),
    "attack.images": (lambda value: itmaps.attack(model(), value, steps=0), {"tensor"}),
    "attack.labels": (lambda value: itmaps.attack(model(), torch.zeros(2, 3, 4, 5), value, steps=0), {"None", "list"}),
    "attack.steps": (lambda value: itmaps.attack(model(), torch.zeros(2, 3, 4, 5), steps=value), {"None"}),
    "compare": (lambda value: itmaps.compare(value, "out", maps=False, draws=5), {"result"}),
    "compare.out": (lambda value: itmaps.compare([scored()], value), {"text", "path"}),
    "compare_results": (lambda value: itmaps.compare_results(value, scored()), {"result"}),
    "compare_results.b": (lambda value: itmaps.compare_results(scored(), value), {"result"}),
    "feature_alignment": (lambda value: itmaps.feature_alignment(value, field()), set()),
    "human_alignment": (lambda value: itmaps.human_alignment(value, []), set()),
    "human_maps": (lambda value: itmaps.human_maps(value, classes=2), set()),
    "human_maps.maps": (lambda value: itmaps.human_maps(".", value, classes=2), set()),
    "list_models": (itmaps.list_models, {"None"}),
    "load_model": (itmaps.load_model, {"module"}),
    "load_model.weights": (lambda value: itmaps.load_model("timm:test_resnet", value), {"None", "empty list"}),
    "load_recording": (itmaps.load_recording, {"recording"}),
    "load_recording.window": (lambda value: itmaps.load_recording("it_maps_simulated", value), {"None"}),
    "noise_ceiling": (itmaps.noise_ceiling, set()),
    "predict_left_out": (lambda value: itmaps.predict_left_out(value, field()), set()),
    "profile": (lambda value: itmaps.profile(value, values=[0.0]), {"model", "module"}),
    "profile.benchmark": (lambda value: itmaps.profile(model(), value, values=[0.0]), {"recording"}),
    "profile.over": (lambda value: itmaps.profile(model(), over=value), set()),
    "profile.values": (lambda value: itmaps.profile(model(), values=value), {"None", "list"}),
    "profile.layers": (lambda value: itmaps.profile(model(), values=[0.0], layers=value), {"None"}),
    "record": (lambda value: itmaps.record(value, "it_maps_simulated"), {"model"}),
    "reproduce": (itmaps.reproduce, {"result"}),
    "score": (itmaps.score, {"model", "module"}),
    "score.benchmark": (lambda value: itmaps.score(model(), value), {"recording"}),
    "score.layers": (lambda value: itmaps.score(model(), layers=value), {"None", "empty list"}),
    "score.window": (lambda value: itmaps.score(model(), window=value), {"None"}),
    "score_features": (lambda value: itmaps.score_features(value, field()), set()),
    "score_features.maps": (lambda value: itmaps.score_features(field(), value), {"recording"}),
    "sweep": (itmaps.sweep, set()),
    "to_grid": (lambda value: itmaps.to_grid(value, itmaps.Grid.even(17)), {"features", "tensor"}),
    "to_grid.grid": (lambda value: itmaps.to_grid(field(), value), {"recording", "grid"}),
    "comparison_figure": (itmaps.figures.comparison_figure, {"result", "array result"}),
    "feature_profile_figure": (itmaps.figures.feature_profile_figure, set()),
    "controls_figure": (itmaps.figures.controls_figure, {"result"}),
    "layer_profile_figure": (itmaps.figures.layer_profile_figure, {"result"}),
    "maps_figure": (lambda value: itmaps.figures.maps_figure(value, images()), {"result"}),
    "maps_figure.images": (lambda value: itmaps.figures.maps_figure(scored(), value), set()),
    "maps_figure.shown": (lambda value: itmaps.figures.maps_figure(scored(), images(), value), {"list"}),
    "orientation_figure": (itmaps.figures.orientation_figure, {"recording"}),
    "overlay_figure": (itmaps.figures.overlay_figure, {"result", "array result"}),
    "overlay_figure.image_file": (lambda value: itmaps.figures.overlay_figure(scored(), value), {"None"}),
    "overlay_figure.image": (lambda value: itmaps.figures.overlay_figure(scored(), None, value), set()),
    "overlay_figure.site": (lambda value: itmaps.figures.comparison_figure(scored(), None, 0, value), {"None"}),
    "registration_figure": (itmaps.figures.registration_figure, {"recording"}),
    "robustness_figure": (itmaps.figures.robustness_figure, set()),
    "sheet_figure": (lambda value: itmaps.figures.sheet_figure(value, scored().arrays[0], images()), {"result"}),
    "sheet_figure.array": (lambda value: itmaps.figures.sheet_figure(scored(), value, images()),
                           {"result", "array result"}),
    "sheet_figure.images": (lambda value: itmaps.figures.sheet_figure(scored(), scored().arrays[0], value), set()),
    "site_histogram_figure": (itmaps.figures.site_histogram_figure, {"result"}),
    "window_profile_figure": (itmaps.figures.window_profile_figure, set()),
}  # fmt: skip
"""For each public function, and some of its arguments: a call with a value, and the values that are right."""

LEFT = {"Grid"}
WITHOUT_ARGUMENTS = {"list_benchmarks", "figures"}


def test_every_public_function_is_called_with_wrong_values():
    functions = {*itmaps.__all__, *itmaps.figures.__all__} - ERRORS - WITHOUT_ARGUMENTS
    assert functions == {name.partition(".")[0] for name in CALLS}


@pytest.mark.parametrize("name", [name for name in CALLS if name not in LEFT])
def test_a_wrong_argument_is_answered_with_a_sentence(name, wrong, own_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, right = CALLS[name]
    assert right <= wrong.keys()
    for kind, value in wrong.items():
        if kind not in right:
            with pytest.raises(itmaps.ItMapsError) as refused:
                call(value)
            assert len(str(refused.value)) < 1000, kind
            assert refused.value.fix, kind
    assert not {"out", "studies", "nothing"} & {path.name for path in tmp_path.iterdir()}


def black():
    return torch.zeros(2, 3, 4, 5)


OPTIONS = {
    "Grid.even": itmaps.Grid.even,
    "HarmonizerLoss.lambda_harmonization": lambda value: itmaps.HarmonizerLoss(lambda_harmonization=value),
    "HarmonizerLoss.levels": lambda value: itmaps.HarmonizerLoss(levels=value),
    "HarmonizerLoss.saliency_in_float32": lambda value: itmaps.HarmonizerLoss(saliency_in_float32=value),
    "attack.batch_size": lambda value: itmaps.attack(model(), black(), steps=0, batch_size=value),
    "attack.restarts": lambda value: itmaps.attack(model(), black(), steps=0, restarts=value),
    "attack.seed": lambda value: itmaps.attack(model(), black(), steps=0, seed=value),
    "compare.draws": lambda value: itmaps.compare([scored()], "out", draws=value),
    "compare.maps": lambda value: itmaps.compare([scored()], "out", maps=value),
    "compare.published": lambda value: itmaps.compare([scored()], "out", published=value),
    "feature_alignment.per_site": lambda value: itmaps.feature_alignment(field(), field(), per_site=value),
    "feature_alignment.scale": lambda value: itmaps.feature_alignment(field(), field(), scale=value),
    "human_alignment.batch_size": lambda value: itmaps.human_alignment(model(), [], batch_size=value),
    "human_alignment.classes": lambda value: itmaps.human_alignment(model(), [], classes=value),
    "human_alignment.random_seeds": lambda value: itmaps.human_alignment(model(), [], random_seeds=value),
    "human_maps.classes": lambda value: itmaps.human_maps(".", classes=value),
    "load_model.seed": lambda value: itmaps.load_model("timm:test_resnet", "random", value),
    "noise_ceiling.components": lambda value: itmaps.noise_ceiling(field(), components=value),
    "noise_ceiling.groups": lambda value: itmaps.noise_ceiling(field(), groups=value),
    "noise_ceiling.refits": lambda value: itmaps.noise_ceiling(field(), refits=value),
    "noise_ceiling.rng": lambda value: itmaps.noise_ceiling(field(), "map", rng=value),
    "predict_left_out.components": lambda value: itmaps.predict_left_out(field(), field(), components=value),
    "predict_left_out.intercept": lambda value: itmaps.predict_left_out(field(), field(), intercept=value),
    "predict_left_out.penalty": lambda value: itmaps.predict_left_out(field(), field(), "ridge", penalty=value),
    "profile.batch_size": lambda value: itmaps.profile(model(), values=[0.0], batch_size=value),
    "profile.fresh": lambda value: itmaps.profile(model(), values=[0.0], fresh=value),
    "profile.seed": lambda value: itmaps.profile(model(), values=[0.0], seed=value),
    "record.batch_size": lambda value: itmaps.record(model(), "it_maps_simulated", batch_size=value),
    "score.batch_size": lambda value: itmaps.score(model(), batch_size=value),
    "score.controls": lambda value: itmaps.score(model(), controls=value),
    "score.fresh": lambda value: itmaps.score(model(), fresh=value),
    "score.random_seeds": lambda value: itmaps.score(model(), random_seeds=value),
    "score.seed": lambda value: itmaps.score("timm:test_resnet", weights="random", seed=value),
    "score of a module.seed": lambda value: itmaps.score(model().module, seed=value),
    "score_features.components": lambda value: itmaps.score_features(field(), field(), components=value),
    "score_features.controls": lambda value: itmaps.score_features(field(), field(), controls=value),
    "sweep.fresh": lambda value: itmaps.sweep("embedded", "out", fresh=value),
    "width": lambda value: itmaps.figures.overlay_figure(scored(), width=value),
}
"""Calls with a number, or with True or False."""


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    "value", ["a", b"no", -1.5, np.zeros(3), len], ids=["text", "bytes", "float", "array", "function"]
)
def test_an_option_that_is_no_number_or_no_choice_is_refused_before_anything_is_computed(
    name, value, own_home, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(itmaps.ItMapsError) as refused:
        OPTIONS[name](value)
    assert re.search(r"Give|Request|Leave out", refused.value.fix)
    assert not (tmp_path / "out").exists()


def test_numbers_of_numpy_are_taken_as_numbers(own_home):
    assert itmaps.load_model("timm:test_resnet", "random", np.int64(3)).weights.seed == 3
    assert len(itmaps.record(model(), images()[:2], "layer3", np.int64(1))["layer3"]) == 2
    assert itmaps.Grid.even(np.int64(3)) == itmaps.Grid.even((3, np.int32(3)))
    assert itmaps.feature_alignment(field(), field(), per_site=np.bool_(True)).shape == (14, 5)


def test_features_without_a_grid_and_two_results_in_compare_are_told_what_to_give(wrong):
    with pytest.raises(itmaps.UsageError, match=r"The grid is missing\. Give recording\.grid"):
        itmaps.to_grid(wrong["features"])
    with pytest.raises(itmaps.UsageError, match=r"compare_results\(first, second\)"):
        itmaps.compare(scored(), scored())
    with pytest.raises(itmaps.UsageError, match="There is no image with the index 14; there are 14"):
        itmaps.figures.overlay_figure(scored(), None, 14)
    with pytest.raises(itmaps.DataError, match=r"There is no image none\.png"):
        itmaps.figures.overlay_figure(scored(), "none.png")


def test_a_window_is_read_as_on_the_command_line():
    expected = itmaps.load_recording("it_maps_simulated", (100, 200))
    for window in ("100-200", " 100 - 200 ", [100, 200]):
        recording = itmaps.load_recording("it_maps_simulated", window)
        assert recording.window == (100, 200)
        np.testing.assert_array_equal(recording.maps, expected.maps)
    result = itmaps.score(model(), layers="layer3", window="100-200")
    assert (result.arrays[0].window, result.request.window) == ((100, 200), (100, 200))
    assert result.raw == itmaps.score(model(), layers="layer3", window=(100, 200)).raw
    own = itmaps.Recording.from_arrays(np.ones((14, 3, 3, 2)), images(), identifier="own", window="0-50")
    assert own.window == (0, 50)


def test_values_are_described_in_a_few_words(wrong):
    assert described("x" * 10**6) == "..."
    assert described(np.zeros((3, 4))) == "a ndarray of shape (3, 4)"
    assert described(scored()) == "a Result"
    assert described(scored().arrays[0]) == "an ArrayResult"
    assert all(len(described(value)) < 120 for value in wrong.values())
