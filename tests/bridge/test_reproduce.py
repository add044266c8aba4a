"""Results are run again; properties that are the same or differ are reported, with possible reasons."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from answers import answered, assert_refused, succeeded
from edited import rewrite
from safetensors.torch import save_file
from shown import changed

from brainscore_itmaps import Recording, load_model, score
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.reproduce import reproduce
from brainscore_itmaps.errors import DataError, ModelError


@pytest.fixture
def small(images, rng, own_home, tmp_path):
    """Folder of a recording with six images, 4 x 4 positions and four sites."""
    maps = rng.normal(size=(6, 4, 4, 1)) + 0.5 * rng.normal(size=(6, 4, 4, 4))
    return str(Recording.from_arrays(maps, images, identifier="own", window=(0, 9)).save(tmp_path / "recording"))


def test_a_request_is_stored_and_gives_the_same_numbers(small, tmp_path):
    result = score(
        "timm:test_vit", small, ["blocks.0", "blocks.2"], weights="random", seed=3, batch_size=2, device="cpu"
    )
    loaded = Result.load(result.save(tmp_path)[0])
    assert loaded.request == result.request
    model_request = loaded.request.model
    assert (model_request.name, model_request.weights.kind, model_request.weights.seed) == (
        "timm:test_vit",
        "random",
        3,
    )
    assert (model_request.layers, model_request.batch_size, loaded.request.benchmark) == (
        ("blocks.0", "blocks.2"),
        2,
        small,
    )
    reproduction = reproduce(loaded)
    assert reproduction.reproduced
    assert (reproduction.largest, reproduction.differs) == (0, ())
    assert {"weights", "recording own", "torch", "device"} <= set(reproduction.same)
    assert reproduction.now.to_dict() | {"written": ""} == result.to_dict() | {"written": ""}


def test_a_control_or_an_addition_that_differs_is_a_difference_where_both_results_have_it(small):
    result = score("timm:test_vit", small, weights="random", device="cpu")
    array = result.arrays[0]
    for kind, name in (("controls", "contrast"), ("added", "unique")):
        stored = getattr(array, kind)
        other = {**stored, name: replace(stored[name], raw=stored[name].raw + 1e-3), "no longer computed": Estimate(9)}
        reproduction = reproduce(replace(result, arrays=(replace(array, **{kind: other}),)))
        assert reproduction.largest == pytest.approx(1e-3)
        assert not reproduction.reproduced
    older = replace(
        result, arrays=(replace(array, controls={}, added={}, null=None),), controls={}, added={}, null=None
    )
    assert reproduce(older).largest == 0


def test_properties_that_differ_are_named(small):
    result = score("timm:test_vit", small, weights="random", device="cpu")
    other = changed(result, score=result.score + 1e-3, versions=result.versions | {"torch": "0.1"})
    reproduction = reproduce(other)
    assert not reproduction.reproduced
    assert reproduction.largest == pytest.approx(1e-3)
    assert [difference.what for difference in reproduction.differs] == ["torch"]
    assert reproduction.differs[0].then == "0.1"
    assert "up to 0.001. These properties also differ: torch" in reproduction.reason
    rounded = changed(result, score=result.score + 1e-9)
    assert reproduce(rounded).reproduced
    assert "rounding" in reproduce(rounded).reason


def test_a_result_of_an_older_version_of_the_benchmark_says_so(small):
    result = score("timm:test_vit", small, weights="random", device="cpu")
    older = changed(result, benchmark_version=1, ceiling=result.ceiling - 0.1)
    reproduction = reproduce(older)
    assert not reproduction.reproduced
    assert reproduction.differs == (("benchmark version", "1", "2"),)
    assert "These properties also differ: benchmark version" in reproduction.reason


@pytest.mark.parametrize("interval", ["images", "fixed"])
def test_the_kind_of_interval_is_asked_for_again(small, interval, tmp_path):
    result = score("timm:test_vit", small, weights="random", device="cpu", interval=interval)
    loaded = Result.load(result.save(tmp_path)[0])
    assert loaded.request.interval == loaded.estimate.interval_kind == interval
    reproduction = reproduce(loaded)
    assert reproduction.largest == 0
    assert reproduction.now.interval == result.interval
    np.testing.assert_array_equal(reproduction.now.estimate.replicates, loaded.estimate.replicates)


def test_an_absent_score_is_reproduced(images, rng, own_home, tmp_path):
    recording = Recording.from_arrays(rng.normal(size=(6, 4, 4, 2)), images, identifier="two", window=(0, 9))
    result = score("timm:test_vit", str(recording.save(tmp_path / "two")), weights="random", device="cpu")
    assert np.isnan(result.score)
    reproduction = reproduce(Result.load(result.save(tmp_path)[0]))
    assert (reproduction.largest, reproduction.reproduced) == (0, True)
    assert reproduction.now.estimate.reason == result.estimate.reason
    assert not reproduce(changed(result, raw=result.raw + 0.1)).reproduced


def test_a_changed_file_of_weights_is_reported(small, tmp_path):
    file = tmp_path / "w.safetensors"
    for seed in (0, 1):
        save_file(load_model("timm:test_vit", "random", seed=seed).module.state_dict(), file)
        if seed == 0:
            result = score(str(file), small, arch="test_vit", device="cpu")
            assert reproduce(result).largest == 0
    reproduction = reproduce(result)
    assert not reproduction.reproduced
    assert "weights" in [difference.what for difference in reproduction.differs]


def test_models_and_recordings_in_memory_are_refused_with_a_sentence(small, images, rng):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 9, stride=9), torch.nn.ReLU())
    preprocessing = {"size": 96, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    with pytest.raises(ModelError, match="was given as a module in memory"):
        reproduce(score(module, small, "0", preprocessing=preprocessing))
    recording = Recording.from_arrays(rng.normal(size=(6, 4, 4, 3)), images, identifier="in memory", window=(0, 9))
    with pytest.raises(DataError, match="was given in memory"):
        reproduce(score("timm:test_vit", recording, weights="random"))


def test_the_command_reports_differences_and_exits_with_1_if_numbers_differ(small, tmp_path):
    out = tmp_path / "out"
    succeeded("score", "-m", "timm:test_vit", "--weights", "random", "-b", small, "--device", "cpu", "--out", out)
    (file,) = out.glob("*.json")
    done = succeeded("reproduce", file.stem, "--from", out)
    assert "numbers    Every number is the same." in done.stdout
    assert "same       weights, device, benchmark version, recording own" in done.stdout
    saved = json.loads(file.read_text())
    rewrite(file, {"score": saved["score"] + 1})
    done = answered("reproduce", file)
    assert (done.returncode, "differ by up to 1" in done.stdout) == (1, True)
    assert_refused(2, "There is no result", "reproduce", "nothing", "--from", out)


def test_an_undefined_number_that_became_defined_is_a_difference(small):
    result = score("timm:test_vit", small, weights="random", device="cpu")
    array = result.arrays[0]
    values = array.image_value.copy()
    values[2] = np.nan
    reproduction = reproduce(replace(result, arrays=(replace(array, image_value=values),)))
    assert reproduction.largest == np.inf
    assert not reproduction.reproduced
