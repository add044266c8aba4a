"""The real recordings beside published numbers, on made-up recordings, made-up tables and a SIMULATED archive."""

import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from answers import assert_refused
from browsers import browser, chromium, opened  # noqa: F401  # fixtures
from like_real import image_files, published_table, recording_like, replace_recordings
from typer.testing import CliRunner

from brainscore_itmaps import load_model, load_recording, score
from brainscore_itmaps.cli.app import app
from brainscore_itmaps.cli.verify_real import _listed as listed_names
from brainscore_itmaps.data import sources
from brainscore_itmaps.data.arcaro2020 import ARRAYS, FOLLOW_UP
from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.metrics.ceiling import reference_ceiling
from brainscore_itmaps.study import verify as verification_module
from brainscore_itmaps.study import verify_numbers, verify_request, verify_structure
from brainscore_itmaps.study.verify import Verification, verify
from brainscore_itmaps.study.verify_numbers import (
    PublishedComparison,
    PublishedNumber,
    requested_numbers,
    tutorial_numbers,
    verdict_of,
)
from brainscore_itmaps.study.verify_report import summary, write_verification
from brainscore_itmaps.study.verify_request import check_models
from brainscore_itmaps.study.verify_structure import peaks_at, site_rates, structure

ML = ARRAYS["monkey1_ML"]
VERDICT = re.compile(r"agree|differ|same|close|verdict: |\bfits\b|fitting|[+-]0\.0\d\d", re.IGNORECASE)
"""What must not be said of a stand-in."""


@pytest.fixture
def like_real(own_home, tmp_path, monkeypatch):
    """Let `verify` load made-up recordings that are not marked as simulated."""
    folder = tmp_path / "images"
    folder.mkdir()
    files = image_files(folder)
    replace_recordings(monkeypatch, files)
    return files


def checks_of(recording, monkeypatch, course=None, duration=400):
    monkeypatch.setattr(verify_structure, "_duration", lambda array, source: duration)
    if course is not None:
        monkeypatch.setattr(verify_structure, "time_course", lambda *ignored: course)
    return {check.what: check for check in structure(ML, recording)}


def with_rates(recording, rates):
    """The recording with maps that differ by a factor only, so that sites have these rates."""
    maps = recording.maps.mean(axis=-1, keepdims=True)
    maps = maps / np.median(maps.max(axis=(1, 2)))
    return replace(recording, maps=maps * np.linspace(*rates, recording.maps.shape[-1]))


def test_recordings_with_the_published_properties_agree_in_all_of_them(like_real):
    verification = verify([], tables=published_table(["a"]))
    assert not verification.simulated
    assert [(check.array, check.what) for check in verification.checks if not check.agrees] == []
    assert all(check.rule for check in verification.checks)
    assert len(verification.checks) == 21
    assert verification.orientations[0].verdict == "agrees"
    assert verification.orientations[1].verdict == ""


@pytest.mark.parametrize(
    ("rates", "agrees"),
    [
        ((2.3, 12.1), False),  # wholly below 15 to 135
        ((2.3, 15.1), False),  # touches it
        ((20.0, 100.0), True),
        ((1.0, 500.0), False),
        ((134.0, 400.0), False),
        ((5.01, 15.01), True),  # half of 31 sites above 10
        ((4.97, 14.97), False),
    ],
)
def test_rates_agree_only_if_half_of_the_sites_lie_in_the_printed_range(like_real, monkeypatch, rates, agrees):
    recording = recording_like("monkey1_ML", like_real)
    recording = with_rates(recording, rates)
    np.testing.assert_allclose(site_rates(recording), np.linspace(*rates, 31))
    check = checks_of(recording, monkeypatch, {})["rate of sites"]
    assert check.agrees is agrees
    assert check.rule == "half of the sites within 10 to 202 Hz"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_site_without_a_finite_rate_is_enough_to_differ(like_real, monkeypatch, value):
    recording = recording_like("monkey1_ML", like_real)
    monkeypatch.setattr(verify_structure, "site_rates", lambda recording: np.array([50.0] * 30 + [value]))
    assert not checks_of(recording, monkeypatch, {})["rate of sites"].agrees


@pytest.mark.parametrize(
    ("course", "agrees"),
    [
        ({(50, 90): 8.0, (130, 170): 20.0, (170, 210): 14.0}, True),  # 7 ms from 157
        ({(50, 90): 8.0, (130, 170): 14.0, (170, 210): 20.0}, False),  # 33 ms
        ({(50, 90): 8.0, (107, 147): 20.0, (170, 210): 14.0}, True),  # 30 ms
        ({(50, 90): 8.0, (106, 146): 20.0, (170, 210): 14.0}, False),  # 31 ms
        ({(50, 90): 15.0, (130, 170): 20.0}, True),  # a rise of 25 %
        ({(50, 90): 15.1, (130, 170): 20.0}, False),
        ({(50, 90): -30.0, (130, 170): -20.0}, False),  # suppressed throughout
        ({(50, 90): 8.0, (130, 170): math.nan}, False),
        ({(50, 90): 8.0, (130, 170): math.inf}, False),
        ({(130, 170): 20.0}, False),
        ({}, False),
    ],
)
def test_a_peak_agrees_only_if_it_is_clear_and_near_the_published_time(course, agrees):
    assert peaks_at(course, 157.0) is agrees


@pytest.mark.parametrize(
    ("value", "agrees"), [(0.471, True), (0.469, False), (0.989, True), (0.991, False), (math.nan, False)]
)
def test_agreement_between_sites_is_within_one_published_standard_deviation(like_real, monkeypatch, value, agrees):
    monkeypatch.setattr(verify_structure, "site_agreement", lambda maps: np.full((14, 31), value))
    check = checks_of(recording_like("monkey1_ML", like_real), monkeypatch, {})["r between sites"]
    assert check.agrees is agrees
    assert check.rule == "within 0.26"


@pytest.mark.parametrize(
    ("what", "changes", "duration"),
    [
        ("duration", {}, 299),
        ("sites left out", {"dropped": ("ch03",)}, 400),
        ("shape", {"sites": 30}, 400),
        ("images", {"images": 13}, 400),
        ("images", {"images": "equal"}, 400),
    ],
)
def test_each_property_can_differ_alone(like_real, monkeypatch, what, changes, duration):
    recording = recording_like("monkey1_ML", like_real)
    if "dropped" in changes:
        recording = replace(recording, dropped=changes["dropped"])
    if changes.get("sites"):
        recording = replace(recording, maps=recording.maps[..., :30], sites=recording.sites[:30])
    if changes.get("images") == 13:
        recording = replace(recording, maps=recording.maps[:13], images=recording.images[:13])
    if changes.get("images") == "equal":
        recording.images[1].write_bytes(recording.images[0].read_bytes())
    checks = checks_of(recording, monkeypatch, {(50, 90): 8.0, (130, 170): 20.0}, duration)
    different = {name for name, check in checks.items() if not check.agrees}
    assert different == ({what, "shape"} if changes.get("images") == 13 else {what})


def test_a_recording_of_exactly_300_ms_is_long_enough(like_real, monkeypatch):
    assert checks_of(recording_like("monkey1_ML", like_real), monkeypatch, {}, 300)["duration"].agrees


def test_noise_agrees_in_no_property_of_its_values(like_real, monkeypatch):
    recording = recording_like("monkey1_ML", like_real, noise=True)
    checks = checks_of(recording, monkeypatch)
    assert [checks[what].agrees for what in ("rate of sites", "r between sites")] == [False, False]
    flat = {
        window: 20.0 + noise
        for window, noise in zip(FOLLOW_UP.values(), np.random.default_rng(0).normal(size=5), strict=True)
    }
    assert not peaks_at(flat, 157.0)


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        (0.5, 0.501, "same"),
        (0.5, 0.4989, "close"),
        (0.5, 0.52, "close"),
        (0.5, 0.4799, "differs"),
        (0.5, math.nan, "undefined"),
        (0.5, math.inf, "undefined"),
        (0.5, None, "not run"),
        (math.nan, 0.5, "not published"),
        (math.inf, 0.5, "not published"),
    ],
)
def test_verdicts_on_numbers(published, ours, verdict):
    number = PublishedNumber("predictivity", "monkey1_ML", "tutorial", "m", "a", "a", published, "", "published")
    assert verdict_of(number, ours, False) == verdict
    assert verdict_of(number, ours, True) == ("not run" if ours is None else "simulated")


def test_numbers_of_the_tutorial_are_those_of_the_paper():
    numbers = tutorial_numbers()
    ceilings = [number.published for number in numbers if number.what == "ceiling"]
    assert ceilings == [0.78930, 0.69663, 0.61346]
    assert {number.model for number in numbers} == {"", "harmonized_resnet50"}
    assert [number.published for number in numbers if number.published_layer == "add_15"] == [0.41487, 0.31852]
    assert {number.protocol for number in numbers} == {"published"}


def test_every_published_row_of_a_model_is_listed_without_the_shifted_ones():
    tables = published_table(["resnet50.tv_in1k", "vgg16.tv_in1k"], layer="layer3.4.conv1")
    numbers = requested_numbers(["timm:vgg16.tv_in1k"], list(FOLLOW_UP), tables)
    of_model = [number for number in numbers if number.model]
    assert [(n.array, n.window) for n in of_model] == [(array, window) for array in ARRAYS for window in FOLLOW_UP]
    assert {(n.model, n.layer, n.protocol) for n in of_model} == {("timm:vgg16.tv_in1k", "layer3.4.conv1", "followup")}
    ceilings = [n for n in numbers if n.what == "ceiling" and n.protocol == "followup"]
    assert len(ceilings) == 15
    assert {n.published for n in ceilings} == {0.75}
    assert len([n for n in requested_numbers(["timm:vgg16.tv_in1k"], ["followup_51_90"], tables) if n.model]) == 3


def test_without_tables_only_numbers_of_the_tutorial_are_compared_and_a_sentence_says_so(like_real, monkeypatch):
    monkeypatch.setattr(verify_numbers, "_loaded", lambda name: ModelError("It is not there.", "Fetch it."))
    verification = verify(["harmonized_resnet50", "timm:vgg16.tv_in1k"], tables=None)
    assert {number.window for number in verification.numbers} == {"tutorial"}
    assert "`brainscore data fetch published` downloads them" in verification.notes[0]
    assert "timm:vgg16.tv_in1k has no number in the tutorial." in verification.notes
    assert {number.reason for number in verification.numbers if number.model} == {"It is not there. Fetch it."}


def test_a_layer_that_cannot_be_read_is_not_run_and_the_others_are_compared(like_real, monkeypatch):
    tables = published_table(["test_resnet.r160_in1k"], layer="layer3")
    tables.loc[tables["window"] == "followup_51_90", "layer"] = "nothing"
    loads, asked = [], []

    def scored(model, recording, layers, **options):
        if layers == ["nothing"]:
            raise ModelError("There is no layer 'nothing'.", "Name another one.")
        asked.append((layers, options["protocol"], options["controls"]))
        return SimpleNamespace(raw=0.5)

    monkeypatch.setattr(verify_numbers, "load_model", lambda name: loads.append(name) or load_small())
    monkeypatch.setattr(verify_numbers, "score", scored)
    verification = verify(["timm:test_resnet.r160_in1k"], tables=tables)
    of_model = {(n.array, n.window): n for n in verification.numbers if n.model}
    assert len(of_model) == 15
    for (_, window), number in of_model.items():
        expected = "not run" if window == "followup_51_90" else "same"
        assert number.verdict == expected
        assert number.reason == ("There is no layer 'nothing'. Name another one." if expected == "not run" else "")
    assert asked == [(["layer3"], "followup", False)] * 12
    assert loads == ["timm:test_resnet.r160_in1k"]  # once


def load_small():
    return load_model("timm:test_resnet", "random")


def test_models_that_take_images_of_any_size_are_shown_the_published_size(monkeypatch):
    models = {name: load_model(f"timm:{name}", "random") for name in ("test_resnet", "test_vit")}
    monkeypatch.setattr(verify_numbers, "load_model", lambda name: models[name.removeprefix("timm:")])
    shown = [verify_numbers._loaded(f"timm:{name}").spec.size for name in models]
    assert [model.spec.size for model in models.values()] == [160, 160]
    assert shown == [224, 160]  # a vision transformer has a position embedding for each patch


def test_unknown_names_are_answered_with_published_names():
    tables = published_table(["resnet50.tv_in1k", "resnet50_x.a", "vgg16.tv_in1k"])
    with pytest.raises(UsageError, match=r"Did you mean timm:resnet50\.tv_in1k") as raised:
        check_models(["timm:resnet50"], tables)
    assert "no model named 'timm:resnet50'" in raised.value.args[0]
    check_models(["timm:vgg16.tv_in1k", "harmonized_resnet50"], tables)
    with pytest.raises(ModelError):
        check_models(["timm:nothing_at_all"], None)
    with pytest.raises(UsageError, match="followup_131_170"):
        verify([], windows=["followup_131_180"])


def test_a_model_without_published_numbers_is_scored_for_information(like_real, monkeypatch):
    monkeypatch.setattr(verify_numbers, "score", lambda *given, **options: SimpleNamespace(raw=0.3))
    model = load_model("efficientnet_lite0", "random")
    verification = verify([model], windows=["followup_131_170"], tables=published_table(["a"]))
    of_model = [number for number in verification.numbers if number.model]
    assert [number.verdict for number in of_model] == ["not published"] * 3
    assert {number.model for number in of_model} == {"efficientnet_lite0, random (seed 0)"}
    assert json.loads(json.dumps(verification.to_dict(), allow_nan=False))["numbers"][-1]["published"] is None


def test_a_difference_comes_with_what_may_explain_it():
    def differing(protocol, verdict="differs"):
        number = PublishedComparison("ceiling", "monkey1_ML", "", "", "", "", 0.5, "", protocol, 0.6, verdict, "")
        return " ".join(Verification(False, "", (), (number,)).reasons)

    assert "orientation" in differing("followup")
    assert "not public" in differing("followup")
    assert "channels at 33" in differing("published")
    assert "channels at 33" not in differing("followup")
    assert differing("published", "close") == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--models", "efficientnet_lite9"], 4, "Did you mean"),
        (["--models", ","], 2, "--models is empty"),
        (["--models", "alexnet"], 2, "is a model of Brain-Score"),
        (["--windows", ","], 2, "--windows is empty"),
        (["--models", "efficientnet_lite0"], 3, "are not downloaded"),
        (["--out", "/proc/none/any.json"], 5, "Cannot write"),
        (["--out", "/proc/none"], 5, "Cannot write"),
        (["--from", "a.zip", "--source", "b.zip"], 2, "exclude each other"),
        (["--from", "nothing.zip"], 3, "There is no file nothing.zip"),
        (["--source", "nothing.mat"], 3, "There is no file nothing.mat"),
        (["--source", "nothing.zip", "--windows", "131-180"], 2, "Did you mean followup_131_170"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(own_home, arguments, code, message):
    assert_refused(code, message, "verify-real", *arguments, ITMAPS_OFFLINE="1", COLUMNS="200")


def test_repeated_names_are_kept_once():
    assert listed_names("131-170, 91-130,131-170", "--windows", "131-170") == ["131-170", "91-130"]


def run_command(monkeypatch, *arguments, columns=80):
    """Run the command in this process, in which recordings and models are replaced."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(verify_request, "published_tables", lambda progress: (published_table(["small"]), ""))
    monkeypatch.setattr(verify_numbers, "load_model", lambda name: load_small())
    done = CliRunner().invoke(app, ["verify-real", "--models", "timm:small", *arguments], catch_exceptions=True)
    return done


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("simulated", [False, True])
def test_rows_can_be_told_apart_and_a_stand_in_is_never_said_to_agree(
    own_home, tmp_path, monkeypatch, columns, simulated
):
    replace_recordings(monkeypatch, image_files(tmp_path), simulated=simulated)
    monkeypatch.setattr(verify_numbers, "score", lambda *given, **options: SimpleNamespace(raw=0.515))
    done = run_command(monkeypatch, columns=columns)
    assert done.exit_code == 0, done.output
    printed = done.stdout
    assert all(len(line) <= columns for line in printed.splitlines() if "sha256" not in line)
    arrays = re.split(r"\n(?=monkey[12]_.L\n)", printed)
    assert [part[:10] for part in arrays[1:]] == ["monkey1_PL", "monkey1_ML", "monkey2_ML", "monkey1_ML", "monkey1_PL"]
    rows = [line for line in printed.splitlines() if re.search(r"│ monkey[12]_", line)]
    assert len(set(rows)) == len(rows) == 3 + 15 + 15
    assert all("layer3" in row for row in rows[18:])
    assert "models in 51-90, 91-130, 131-170, 171-210, 211-250 ms" in " ".join(printed.split())
    spoken = VERDICT.search(printed)
    assert (spoken is None) == simulated, spoken
    assert ("SIMULATED" in printed) == simulated
    if not simulated:
        words = " ".join(re.sub(r"[^\w.:%-]", " ", printed).split())
        assert "half of the" in words
        assert "same: ours differs by at most 0.001 close: by at most 0.02" in words
        assert re.search(r"monkey1_ML 131-170 layer3 +│ +0\.500 │ 0\.515 │ \+0\.015 │ close", printed)
        assert "21 of 21 properties agree. Orientation: agrees." in printed
        assert "peaks anywhere: 3." in words


def test_the_folder_holds_a_page_that_loads_nothing_tables_and_figures(own_home, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    replace_recordings(monkeypatch, image_files(folder))
    monkeypatch.setattr(verify_numbers, "score", lambda *given, **options: SimpleNamespace(raw=0.515))
    out = tmp_path / "out folder"
    done = run_command(monkeypatch, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert {file.relative_to(out).as_posix() for file in out.rglob("*.*")} == {
        "index.html", "verify.json", "structure.csv", "orientations.csv", "numbers.csv", "figures/numbers.svg",
        "figures/maps-monkey1_ML.png", "figures/orientations-monkey1_ML.png", "figures/orientations-monkey1_PL.png",
    }  # fmt: skip
    page = (out / "index.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert f"--out &#39;{out}&#39;" in page
    assert "0" * 64 in page
    assert "brainscore_itmaps" in page
    numbers = pd.read_csv(out / "numbers.csv")
    assert numbers["ours"][18:].tolist() == [0.515] * 15
    assert numbers["verdict"][18:].tolist() == ["close"] * 15
    assert len(pd.read_csv(out / "structure.csv")) == 21
    assert len(pd.read_csv(out / "orientations.csv")) == 16
    content = json.loads((out / "verify.json").read_text())
    assert content["orientations"][0]["verdict"] == "agrees"
    assert content["command"].startswith("brainscore verify-real --models timm:small")
    assert (out / "figures" / "maps-monkey1_ML.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_page_opens_without_a_request_and_fits_a_narrow_window(opened, like_real, tmp_path):  # noqa: F811
    write_verification(verify([], tables=published_table(["a"])), tmp_path / "out", "brainscore verify-real")
    page = opened(tmp_path / "out" / "index.html", width=360)
    assert page.trouble == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("figure img").count() == 4
    assert page.locator("figure img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")


def test_a_page_of_a_stand_in_says_simulated_and_has_no_verdict(own_home, tmp_path, monkeypatch):
    replace_recordings(monkeypatch, image_files(tmp_path), simulated=True)
    write_verification(verify([], tables=published_table(["a"])), tmp_path / "out", "brainscore verify-real")
    page = (tmp_path / "out" / "index.html").read_text()
    text = re.sub(r'(src|href)="data:[^"]*"|<style>.*?</style>', "", page, flags=re.DOTALL)
    assert "SIMULATED recordings: no animal was recorded." in text
    assert [found.group() for found in VERDICT.finditer(text)] == ["agree", "differ"]  # nothing agrees or differs
    assert "verdict" not in (tmp_path / "out" / "numbers.csv").read_text()


def test_the_summary_of_a_stand_in_counts_numbers_that_have_a_published_one():
    number = PublishedComparison("ceiling", "monkey1_ML", "", "", "", "", 0.5, "", "published", 0.6, "simulated", "")
    numbers = (number, replace(number, ours=None), replace(number, published=math.nan))
    said = "0 properties and 1 numbers beside published values, without verdicts."
    assert summary(Verification(True, "", (), numbers)) == said


def test_an_interrupted_command_writes_nothing_and_resumes(own_home, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    replace_recordings(monkeypatch, image_files(folder))
    scored = []

    def interrupted(model, recording, layers, **options):
        scored.append(layers)
        if len(scored) == 4:
            raise KeyboardInterrupt
        return SimpleNamespace(raw=0.5)

    monkeypatch.setattr(verify_numbers, "score", interrupted)
    done = run_command(monkeypatch, "--out", str(tmp_path / "out"))
    assert done.exit_code != 0
    assert not (tmp_path / "out").exists()
    assert "an interrupted run resumes" in done.stderr
    done = run_command(monkeypatch, "--out", str(tmp_path / "out" / "values.json"))
    assert done.exit_code == 0
    assert (tmp_path / "out" / "values.json").exists()


def test_a_json_file_is_written_alone_and_standard_output_is_json(own_home, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    replace_recordings(monkeypatch, image_files(folder))
    monkeypatch.setattr(verify_numbers, "score", lambda *given, **options: SimpleNamespace(raw=math.nan))
    file = tmp_path / "out" / "values.json"
    done = run_command(monkeypatch, "--out", str(file), "--json")
    assert [path.name for path in file.parent.iterdir()] == ["values.json"]
    assert json.loads(done.stdout) == json.loads(file.read_text())
    number = json.loads(done.stdout)["numbers"][-1]
    assert (number["ours"], number["verdict"]) == (None, "undefined")


@pytest.mark.slow
def test_an_archive_is_recorded_checked_and_compared_by_one_command(own_home, long_stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(verify_structure, "TIMES", ((50, 90), (130, 170)))
    model = load_model("efficientnet_lite0", "random", seed=1)
    pattern = {"published": 0.5, "source": "made up for this test"}
    ceiling = {"what": "ceiling", "model": "", "layer": "", "published_layer": ""} | pattern
    scored = {"what": "predictivity", "array": "monkey2_ML", "window": "followup_171_210", "protocol": "followup",
              "published_layer": "", "model": model.name} | pattern  # fmt: skip
    numbers = [
        PublishedNumber(**ceiling, array="monkey1_ML", window="followup_131_170", protocol="followup"),
        PublishedNumber(**ceiling, array="monkey1_PL", window="tutorial", protocol="published"),
        PublishedNumber(**scored, layer="blocks.2"),
        PublishedNumber(**scored, layer="nothing"),
    ]
    monkeypatch.setattr(verification_module, "requested_numbers", lambda *given: numbers)
    monkeypatch.setattr(verify_request, "published_tables", lambda progress: (None, ""))
    monkeypatch.setattr(verify_numbers, "load_model", lambda name: model)
    arguments = [
        "--from",
        str(long_stand_in),
        "--models",
        model.name,
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(app, ["verify-real", *arguments])
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert content["simulated"]
    assert content["sha256"] == sources.recorded_archive().sha256
    shapes = [each["found"] for each in content["checks"] if each["what"] == "shape"]
    assert shapes == ["14, 17, 17, 32", "14, 17, 17, 31", "14, 9, 9, 32"]
    assert [each["found"] for each in content["checks"] if each["what"] == "duration"] == ["300 ms"] * 3
    assert {each["agrees"] for each in content["checks"]} == {None}
    followup, published, compared, failed = content["numbers"]
    as_followup = load_recording("monkey1_ML", (130, 170), protocol="followup")
    assert followup["ours"] == reference_ceiling(as_followup.maps).mean()
    as_published = load_recording("monkey1_PL", "tutorial", protocol="published")
    assert published["ours"] == reference_ceiling(as_published.maps).mean()
    recording = load_recording("monkey2_ML", (170, 210), protocol="followup")
    assert compared["ours"] == score(model, recording, "blocks.2", protocol="followup", device="cpu").raw
    assert (failed["ours"], failed["verdict"]) == (None, "not run")
    assert "has no layer 'nothing'" in failed["reason"]
    assert {each["verdict"] for each in (followup, published, compared)} == {"simulated"}
    assert content["reasons"] == []
