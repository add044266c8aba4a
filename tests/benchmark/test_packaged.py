"""Cached scores of models in installed packages: without building the model, and never with other weights."""

import importlib.metadata
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import new_python

from brainscore_itmaps import load_model, load_recording
from brainscore_itmaps.benchmark.packaged import PackagedModel, packaged_model, packaged_spec
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.names import requested_weights
from brainscore_itmaps.models.spec import ModelRequest, Weights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import silent
from brainscore_itmaps.protocol import protocol_named

NAME = "efficientnet_lite0"
SPEC = ZOO[NAME]
SCORE = """
import sys
{before}
from brainscore_itmaps.cli.start import main
try:
    main()
finally:
    print("with timm" if "timm" in sys.modules else "without timm", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def hooked():
    return HookedModel(load_model(NAME))


def refused():
    raise AssertionError("the model was loaded")


def described(source):
    return source.reading, source.layers, source.content, tuple(source.notes), dict(source.read_as)


def files_of(folder):
    """The bytes of each file of a result, without the time in its JSON."""
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix in (".csv", ".npz")}
    (file,) = folder.glob("*.json")
    return files | {"json": {**json.loads(file.read_text()), "written": ""}}


def copied_package(folder):
    """A copy of the installed package of the weights, and the copy of its weights."""
    package = importlib.metadata.distribution(SPEC.weights.package)
    for name in {file.parts[0] for file in package.files}:
        shutil.copytree(package.locate_file(name), folder / name)
    return folder / SPEC.weights.file


@pytest.mark.slow
def test_a_cached_score_is_that_of_the_model_and_is_refused_when_one_byte_of_the_weights_changes(tmp_path):
    weights = copied_package(tmp_path / "packages")
    path = f"{tmp_path / 'packages'}:{Path(__file__).parents[2]}"

    def score(out, before=""):
        command = ("score", "--model", NAME, "--out", tmp_path / out, "--benchmark", "it_maps_simulated")
        return new_python("-c", SCORE.format(before=before), *command, ITMAPS_HOME=tmp_path / "home", PYTHONPATH=path)

    first, second, built = score("first"), score("second"), score("built", "import timm")
    assert first.returncode == second.returncode == built.returncode == 0, first.stderr
    assert "with timm" in first.stderr
    assert "without timm" in second.stderr
    assert "with timm" in built.stderr
    printed = [done.stdout.split("written ")[0] for done in (first, second, built)]
    assert "blocks.4" in printed[0]
    assert printed[0] == printed[1] == printed[2]
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second") == files_of(tmp_path / "built")

    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    changed = score("changed")
    assert changed.returncode == ModelError.exit_code
    assert changed.stdout == ""
    assert "its sha256 is not 579344248a93" in changed.stderr
    assert not list((tmp_path / "changed").glob("*.json"))


@pytest.mark.parametrize(
    ("layers", "view", "protocol"),
    [
        ((), "whole", "ours"),
        (("blocks.3", "blocks.5"), "screen", "ours"),
        (("all",), "whole", "published"),
    ],
)
def test_a_known_source_is_that_of_the_loaded_model(hooked, tmp_path, layers, view, protocol):
    asked = layers, view, protocol_named(protocol)
    expected = described(hooked.source(*asked))
    cache = ResultCache(tmp_path)
    assert described(PackagedModel(SPEC, lambda: hooked).source(*asked, cache)) == expected
    known = PackagedModel(SPEC, refused)
    assert described(known.source(*asked, cache)) == expected
    assert (known.name, known.visual_degrees, known.notes) == (hooked.name, hooked.visual_degrees, hooked.notes)


def test_a_known_source_reads_what_the_loaded_model_reads(hooked, tmp_path):
    cache, recording = ResultCache(tmp_path), load_recording("it_maps_simulated")
    PackagedModel(SPEC, lambda: hooked).source(cache=cache)
    loads = []
    model = PackagedModel(SPEC, lambda: loads.append("loaded") or hooked)
    source = model.source(cache=cache)
    assert loads == []
    read, expected = (one.read(recording, ["blocks.4"], cache, silent) for one in (source, hooked.source()))
    np.testing.assert_array_equal(read["blocks.4"].values, expected["blocks.4"].values)
    maps = [one.attribute(recording, ["blocks.4"] * 14, "gradient", silent).rho for one in (source, hooked.source())]
    np.testing.assert_array_equal(*maps)
    assert model.torch_model is hooked.torch_model
    assert loads[:1] == ["loaded"]


@pytest.mark.parametrize(
    "other",
    [
        {"spec": replace(SPEC, weights=replace(SPEC.weights, sha256="0" * 64))},
        {"spec": replace(SPEC, mean=(0.4, 0.4, 0.4))},
        {"spec": replace(SPEC, options={"drop_rate": 0.5})},
        {"layers": ["blocks.3"]},
        {"view": "screen"},
        {"protocol": protocol_named("published")},
        {"version": "0"},
        {"dtype": torch.float64},
        {"fresh": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_source_is_not_known_for_anything_else(hooked, tmp_path, monkeypatch, other):
    PackagedModel(SPEC, lambda: hooked).source(cache=ResultCache(tmp_path))
    other = dict(other)
    if version := other.pop("version", None):
        monkeypatch.setattr("brainscore_itmaps.cache._version", lambda package: version)
    if dtype := other.pop("dtype", None):
        torch.set_default_dtype(dtype)
    cache = ResultCache(tmp_path, fresh=other.pop("fresh", False))
    try:
        with pytest.raises(AssertionError, match="the model was loaded"):
            PackagedModel(other.pop("spec", SPEC), refused).source(**other, cache=cache)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"not JSON", b'{"reading": {}}'])
def test_a_damaged_source_is_not_used(hooked, tmp_path, monkeypatch, content):
    stored = {"source": np.frombuffer(content, np.uint8)}
    monkeypatch.setattr(ResultCache, "computed", lambda *arguments: stored)
    source = PackagedModel(SPEC, lambda: HookedModel(hooked.torch_model)).source(cache=ResultCache(tmp_path))
    assert source.layers == ("blocks.4",)


@pytest.mark.parametrize(
    "request_of_model",
    [
        ModelRequest("timm:test_vit"),
        ModelRequest("harmonized_resnet50"),
        ModelRequest(NAME, requested_weights("random", 0)),
        ModelRequest(NAME, Weights("file", "weights.pt")),
        ModelRequest(NAME, arch="resnet18"),
        ModelRequest(NAME, preprocessing={"size": 224}),
        ModelRequest(NAME, state_key="state_dict"),
        ModelRequest(NAME, label="mine"),
        ModelRequest(NAME, device="cuda"),
    ],
    ids=str,
)
def test_other_requests_are_loaded_first(monkeypatch, request_of_model):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    assert packaged_spec(request_of_model) is None
    assert packaged_spec(ModelRequest(NAME, device="cpu")) is SPEC


def test_a_process_with_timm_loads_the_model_first(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", sys)
    assert packaged_spec(ModelRequest(NAME, device="cpu")) is None


def test_a_gpu_is_found_without_a_model(monkeypatch):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert packaged_spec(ModelRequest(NAME)) is None


def test_a_training_run_of_the_same_name_comes_first(monkeypatch, tmp_path):
    from brainscore_itmaps.models.runs import RUN_RECORD

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.chdir(tmp_path)
    Path(NAME).mkdir()
    Path(NAME, RUN_RECORD).write_text("{}")
    assert packaged_spec(ModelRequest(NAME, device="cpu")) is None


def test_other_weights_are_refused_before_anything_is_loaded():
    spec = replace(SPEC, weights=replace(SPEC.weights, sha256="0" * 64))
    with pytest.raises(ModelError, match="sha256"):
        packaged_model(spec, refused)
