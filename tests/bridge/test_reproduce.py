"""A result is run again, and what is the same, what differs and why is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from answers import answered, assert_refused, succeeded
from safetensors.torch import save_file
from shown import changed

from brainscore_itmaps import Recording, load_model, score
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.reproduce import reproduce
from brainscore_itmaps.errors import DataError, ModelError


@pytest.fixture
def small(images, rng, own_home, tmp_path):
    """The folder of a recording: six images, 4 x 4 positions, four sites."""
    maps = rng.normal(size=(6, 4, 4, 1)) + 0.5 * rng.normal(size=(6, 4, 4, 4))
    return str(Recording.from_arrays(maps, images, identifier="own", window=(0, 9)).save(tmp_path / "recording"))


def test_a_request_is_stored_and_gives_the_same_numbers(small, tmp_path):
    result = score(
        "timm:test_vit", small, ["blocks.0", "blocks.2"], weights="random", seed=3, batch_size=2, device="cpu"
    )
    loaded = Result.load(result.save(tmp_path)[0])
    assert loaded.request == result.request
    asked = loaded.request.model
    assert (asked.name, asked.weights.kind, asked.weights.seed) == ("timm:test_vit", "random", 3)
    assert (asked.layers, asked.batch_size, loaded.request.benchmark) == (("blocks.0", "blocks.2"), 2, small)
    found = reproduce(loaded)
    assert found.reproduced
    assert (found.largest, found.differs) == (0, ())
    assert {"weights", "recording own", "torch", "device"} <= set(found.same)
    assert found.now.to_dict() | {"written": ""} == result.to_dict() | {"written": ""}


def test_what_differs_is_named(small):
    result = score("timm:test_vit", small, weights="random", device="cpu")
    other = changed(result, score=result.score + 1e-3, versions=result.versions | {"torch": "0.1"})
    found = reproduce(other)
    assert not found.reproduced
    assert found.largest == pytest.approx(1e-3)
    assert [each.what for each in found.differs] == ["torch"]
    assert found.differs[0].then == "0.1"
    assert "up to 0.001. These properties also differ: torch" in found.reason
    rounded = changed(result, score=result.score + 1e-9)
    assert reproduce(rounded).reproduced
    assert "rounding" in reproduce(rounded).reason


def test_weights_in_a_file_that_changed_are_told(small, tmp_path):
    file = tmp_path / "w.safetensors"
    for seed in (0, 1):
        save_file(load_model("timm:test_vit", "random", seed=seed).module.state_dict(), file)
        if seed == 0:
            result = score(str(file), small, arch="test_vit", device="cpu")
            assert reproduce(result).largest == 0
    found = reproduce(result)
    assert not found.reproduced
    assert "weights" in [each.what for each in found.differs]


def test_what_was_given_in_memory_is_refused_with_a_sentence(small, images, rng):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 9, stride=9), torch.nn.ReLU())
    preprocessing = {"size": 96, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    with pytest.raises(ModelError, match="was given as a module in memory"):
        reproduce(score(module, small, "0", preprocessing=preprocessing))
    recording = Recording.from_arrays(rng.normal(size=(6, 4, 4, 3)), images, identifier="in memory", window=(0, 9))
    with pytest.raises(DataError, match="was given in memory"):
        reproduce(score("timm:test_vit", recording, weights="random"))


def test_the_command_says_it_and_ends_with_1_where_numbers_differ(small, tmp_path):
    out = tmp_path / "out"
    succeeded("score", "-m", "timm:test_vit", "--weights", "random", "-b", small, "--device", "cpu", "--out", out)
    (file,) = out.glob("*.json")
    done = succeeded("reproduce", file.stem, "--from", out)
    assert "numbers    Every number is the same." in done.stdout
    assert "same       weights, device, recording own" in done.stdout
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"score": told["score"] + 1}))
    done = answered("reproduce", file)
    assert (done.returncode, "differ by up to 1" in done.stdout) == (1, True)
    assert_refused(2, "There is no result", "reproduce", "nothing", "--from", out)


def test_an_undefined_number_that_became_defined_is_a_difference(small):
    result = score("timm:test_vit", small, weights="random", device="cpu")
    array = result.arrays[0]
    values = array.image_value.copy()
    values[2] = np.nan
    found = reproduce(replace(result, arrays=(replace(array, image_value=values),)))
    assert found.largest == np.inf
    assert not found.reproduced
