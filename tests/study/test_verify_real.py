"""Verification of the real recordings against published numbers, on a SIMULATED archive of the published layout."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from answers import assert_refused

from brainscore_itmaps import load_model, load_recording, score
from brainscore_itmaps.cli.verify_real import _print
from brainscore_itmaps.data import sources
from brainscore_itmaps.data.arcaro2020 import ARRAYS
from brainscore_itmaps.metrics.ceiling import reference_ceiling
from brainscore_itmaps.study import verify as verification
from brainscore_itmaps.study.verify import (
    SITES,
    STEP,
    PublishedComparison,
    Verification,
    published_models,
    published_numbers,
    structure,
    verify,
)


def found_in(**wanted):
    return [n["published"] for n in published_numbers() if all(n[name] == value for name, value in wanted.items())]


def test_the_published_numbers_are_those_of_the_paper_and_its_follow_up():
    assert found_in(what="ceiling", window="tutorial") == [0.78930, 0.69663, 0.61346]
    assert found_in(what="ceiling", array="monkey2_ML")[:5] == [0.6102, 0.6363, 0.8338, 0.8657, 0.8590]
    assert found_in(model="harmonized_resnet50", published_layer="add_15") == [0.41487, 0.31852]
    assert found_in(model="timm:vgg16.tv_in1k") == [0.343, 0.398, 0.291, 0.300]
    assert len(published_models()) == 10
    assert {n["loaded"] for n in published_numbers() if n["window"] == "tutorial"} == {"published"}
    assert all("2023" in n["source"] or "2025" in n["source"] for n in published_numbers())


@pytest.mark.slow
def test_both_numbers_are_reported_without_a_verdict_on_a_simulated_archive(own_home, long_stand_in, monkeypatch):
    sources.fetch(file=long_stand_in)
    monkeypatch.setattr(verification, "STEP", 140)
    model = load_model("efficientnet_lite0", "random", seed=1)
    pattern = {"published_layer": "", "published": 0.5, "source": "made up for this test"}
    ceiling = {"what": "ceiling", "model": "", "layer": ""} | pattern
    scored = {"what": "predictivity", "array": "monkey2_ML", "window": "followup_171_210", "loaded": "own"} | pattern
    numbers = [
        ceiling | {"array": "monkey1_ML", "window": "followup_131_170", "loaded": "own"},
        ceiling | {"array": "monkey1_PL", "window": "tutorial", "loaded": "published"},
        scored | {"model": model.name, "layer": "blocks.2"},
        scored | {"model": model.name, "layer": "nothing"},
    ]
    monkeypatch.setattr(verification, "published_numbers", lambda: numbers)
    verification_result = verify([model], device="cpu")
    assert verification_result.simulated
    assert {each.array for each in verification_result.checks} == {"monkey1_PL", "monkey1_ML", "monkey2_ML"}
    shapes = [each.found for each in verification_result.checks if each.what.startswith("maps")]
    assert shapes == ["(14, 17, 17, 32)", "(14, 17, 17, 31)", "(14, 9, 9, 32)"]
    assert {each.agrees for each in verification_result.checks} == {None}
    own, published, compared, failed = verification_result.numbers
    assert own.ours == reference_ceiling(load_recording("monkey1_ML", (130, 170)).maps).mean()
    as_published = load_recording("monkey1_PL", "tutorial", protocol="published")
    assert published.ours == reference_ceiling(as_published.maps).mean()
    expected = score(model, load_recording("monkey2_ML", (170, 210)), "blocks.2", protocol="published", device="cpu")
    assert compared.ours == expected.raw
    assert (failed.ours, failed.verdict) == (None, "not run")
    assert "has no layer 'nothing'" in failed.reason
    assert {each.verdict for each in (own, published, compared)} == {"simulated"}
    assert verification_result.reasons == []


@pytest.mark.parametrize(
    ("published", "ours", "simulated", "verdict"),
    [
        (0.5, 0.5005, False, "same"),
        (0.5, 0.515, False, "close"),
        (0.5, 0.55, False, "differs"),
        (0.5, 0.5, True, "simulated"),
        (0.5, None, True, "not run"),
        (math.nan, 0.5, False, "not published"),
    ],
)
def test_verdicts(published, ours, simulated, verdict):
    assert verification._verdict(published, ours, simulated) == verdict


def test_a_difference_comes_with_what_may_explain_it():
    def differing(loaded):
        number = PublishedComparison("ceiling", "monkey1_ML", "", "", "", "", 0.5, "", loaded, 0.6, "differs", "")
        return " ".join(Verification(False, "", (), (number,)).reasons)

    assert "orientation" in differing("own")
    assert "not public" in differing("own")
    assert "channels at 33" in differing("published")
    assert "channels at 33" not in differing("own")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--models", "efficientnet_lite9"], 4, "Did you mean"),
        (["--models", ","], 2, "--models is empty"),
        (["--models", "efficientnet_lite0"], 3, "are not downloaded"),
        (["--out", "/proc/none/any.json"], 5, "Cannot write"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(own_home, arguments, code, message):
    assert_refused(code, message, "verify-real", *arguments, ITMAPS_OFFLINE="1", COLUMNS="200")


def test_what_is_not_published_is_null_in_json():
    from brainscore_itmaps.cli.verify_real import _finite

    finite = _finite({"numbers": [{"published": math.nan}, {"published": 0.5}]})
    assert json.dumps(finite, allow_nan=False) == '{"numbers": [{"published": null}, {"published": 0.5}]}'


def recording_with(rates, simulated=False, images=14):
    """A recording of the published shape whose sites have these mean rates."""
    rng = np.random.default_rng(0)
    means = np.linspace(*rates, SITES["monkey1_ML"])
    shared = rng.normal(size=(14, 17, 17, 1))
    maps = means + 0.01 * means * (shared + 0.7 * rng.normal(size=(14, 17, 17, len(means))))
    return SimpleNamespace(maps=maps, images=[Path("image.png")] * images, dropped=(), simulated=simulated)


@pytest.fixture
def peak_at(monkeypatch):
    monkeypatch.setattr(verification, "_size", lambda file: "10 x 10")

    def course(start):
        monkeypatch.setattr(verification, "_time_course", lambda array: {0: 1.0, start: 2.0, 280 - STEP: 1.0})

    return course


@pytest.mark.parametrize(
    ("rates", "agrees"),
    [
        ((2.3, 12.1), False),  # wholly below 15 to 135
        ((2.3, 15.1), True),
        ((20.0, 100.0), True),
        ((1.0, 500.0), True),
        ((134.0, 400.0), True),
        ((136.0, 400.0), False),
    ],
)
def test_ranges_of_rates_agree_only_if_they_overlap(peak_at, rates, agrees):
    peak_at(140)
    checks = {check.what: check for check in structure(ARRAYS["monkey1_ML"], recording_with(rates))}
    assert checks["mean of each site"].agrees is agrees
    assert checks["mean of each site"].rule == "the ranges overlap"
    assert all(check.agrees for name, check in checks.items() if name != "mean of each site")


def test_each_property_can_differ_by_a_rule_that_is_printed(peak_at):
    peak_at(40)  # 157 ms is published
    checks = {check.what: check for check in structure(ARRAYS["monkey1_ML"], recording_with((20, 100), images=13))}
    assert not checks["largest mean response"].agrees
    assert checks["largest mean response"].rule == "the middles differ by at most 40 ms"
    assert not checks["images"].agrees
    assert all(check.rule for check in checks.values())


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("simulated", [False, True])
def test_rows_of_arrays_can_be_told_apart_and_a_stand_in_is_never_said_to_agree(
    peak_at, monkeypatch, capsys, columns, simulated
):
    monkeypatch.setenv("COLUMNS", str(columns))
    peak_at(140)
    checks = [
        check
        for name in ("monkey1_ML", "monkey2_ML")
        for check in structure(replace(ARRAYS["monkey1_ML"], name=name), recording_with((2, 12), simulated))
    ]
    model, verdict = "timm:resnet50.tv_in1k", "simulated" if simulated else "close"
    numbers = [PublishedComparison("predictivity", array, window, model, "", "", 0.5, "", "own", 0.52, verdict, "")
               for array in ("monkey1_ML", "monkey2_ML") for window in ("followup_131_170", "tutorial")]  # fmt: skip
    _print(Verification(simulated, "0" * 64, tuple(checks), tuple(numbers)))
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if re.search("monkey[12]_ML", line)]
    assert len(set(rows)) == len(rows) == len(checks) + len(numbers)
    assert all(check.what in printed for check in checks)
    assert printed.count("resnet50.tv_in1k") == 4
    spoken = re.search(r"agree|differ|same|close|\+0\.020", printed, re.IGNORECASE)
    assert (spoken is None) == simulated
    if not simulated:
        assert "the ranges overlap" in printed
        assert "differs" in printed
        assert "same: differs by at most 0.001; close: by at most 0.02" in printed
