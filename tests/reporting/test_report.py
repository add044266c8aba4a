"""The page of a result: its content, without a browser."""

import base64
import csv
import io
import json
import re
from dataclasses import replace
from functools import cache
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from answers import assert_refused, succeeded
from edited import rewrite
from PIL import Image
from pybtex.database.input import bibtex
from shown import changed, images, scored, two_arrays, without_score

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.cli.report import write_report
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.models.spec import ModelRequest, Weights
from brainscore_itmaps.reporting.report import command_of, report

HOSTILE = "<script>alert('x')</script>"


@cache
def default_page():
    return page(scored())


def page(result):
    return report(result, [images() for _ in result.arrays])


class Addresses(HTMLParser):
    """The addresses that a page loads when it is opened, and its links."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action") or (tag == "link" and name == "href"):
                self.asked.append(value)
            elif name == "href":
                self.links.append(value)


def page_data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def floats(told_array, name):
    shape = [len(told_array[axis]) for axis in ("images", "y", "x", "sites")]
    return np.frombuffer(base64.b64decode(told_array[name]), "<f4").reshape(shape)


def test_nothing_is_asked_for_when_it_is_opened():
    text = default_page()
    addresses = Addresses(text)
    assert addresses.asked
    assert {urlparse(address).scheme for address in addresses.asked + addresses.links} == {"data"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_the_page_says_what_the_result_says():
    text = default_page()
    result = scored()
    assert f'<span class="score">{result.score:.3f}</span>' in text
    for words in (result.formula, result.weights_sha256, result.arrays[0].recording_sha256, result.field_of_view,
                  result.arrays[0].citation, "SIMULATED recording: no animal was recorded", *result.notes):  # fmt: skip
        assert words in unescape(text)
    assert "brainscore score --model timm:test_resnet --benchmark it_maps_simulated --weights random --seed 1" in text
    assert f"{result.interval[0]:.3f} to {result.interval[1]:.3f}" in text


def test_the_page_says_what_to_cite_as_bibtex():
    """Recording, question, Brain-Score, model and this software; a citation that is stored in words stays beside it."""
    text = unescape(default_page())
    entries = {key: str(fields) for key, fields in cited(text).items()}
    assert set(entries) == {"arcaro2020neurons", "linsley2023performance", "schrimpf2018brainscore",
                            "schrimpf2020integrative", "wightman2019timm", "brainscore_itmaps"}  # fmt: skip
    for key in set(entries) - {"brainscore_itmaps"}:
        assert "10." in entries[key]
    assert scored().versions["brainscore_itmaps"] in entries["brainscore_itmaps"]
    assert scored().arrays[0].citation in text
    lite = unescape(page(changed(scored(), model="efficientnet_lite0", citations=("", " "))))
    assert "tan2019efficientnet" in cited(lite)
    assert "wightman2019timm" not in cited(lite)
    uncited = replace(scored(), arrays=(replace(scored().arrays[0], citation=" "),))
    assert "<b>Data.</b>" not in page(uncited)


def cited(text):
    """The BibTeX entries of a page, by key."""
    parsed = bibtex.Parser().parse_string("\n".join(re.findall(r"<pre[^>]*>(@.*?)</pre>", text, re.DOTALL)))
    return {key: dict(entry.fields) for key, entry in parsed.entries.items()}


def test_the_page_says_how_the_interval_was_computed():
    assert "fitted again without each of 7 groups of images (jackknife, Student's t)" in unescape(default_page())
    fixed = changed(scored(), interval_kind="fixed", interval=(0.1, 0.2))
    text = unescape(page(fixed))
    assert "without fitting the regressions again: too narrow" in text
    assert "--interval" not in command_of(scored())
    for kind in ("images", "fixed"):
        command = command_of(changed(scored(), request=replace(scored().request, interval=kind)))
        assert f"--interval {kind}" in command
    absent = unescape(page(without_score(scored())))
    assert "jackknife" not in absent
    assert "bootstrap" not in absent


def test_the_maps_inside_are_those_of_the_result():
    result = two_arrays()
    data = page_data(page(result))
    for array, shown in zip(result.arrays, data["arrays"], strict=True):
        np.testing.assert_array_equal(floats(shown, "neural"), array.neural.astype(np.float32))
        np.testing.assert_array_equal(floats(shown, "predicted"), array.predicted.astype(np.float32))
        np.testing.assert_array_equal(shown["x"], array.degrees_x)
        np.testing.assert_array_equal(shown["y"], array.degrees_y)
        np.testing.assert_array_equal(np.array(shown["r"], float), array.site_r)
        assert shown["images"] == list(array.images)
    assert [shown["kind"] for shown in data["arrays"]] == ["simulated", "recorded"]
    assert len(data["images"]) == 14  # once, though two arrays show them


def test_every_figure_has_its_data_beside_it():
    text = default_page()
    tables = {
        name: list(csv.reader(io.StringIO(unquote(data))))
        for name, data in re.findall(r'download="([^"]+)" href="data:text/csv,([^"]+)"', text)
    }
    array = scored().arrays[0]
    assert set(tables) == {f"it_maps_simulated-{kind}.csv" for kind in ("maps", "layers", "sites", "controls")}
    assert len(tables["it_maps_simulated-maps.csv"]) == 1 + 14 * 17 * 17
    image, y, x, neural, _ = tables["it_maps_simulated-maps.csv"][1 + 17 + 3]
    assert (image, float(y), float(x)) == (array.images[0], array.degrees_y[1], array.degrees_x[3])
    assert float(neural) == pytest.approx(array.neural[0, 1, 3].mean(), rel=1e-5)
    assert [row[0] for row in tables["it_maps_simulated-layers.csv"][1:]] == ["layer2", "layer3"]
    assert len(tables["it_maps_simulated-sites.csv"]) == 1 + 14 * 32
    header, *rows = tables["it_maps_simulated-controls.csv"]
    raw = {row[header.index("name")]: float(row[header.index("raw")]) for row in rows}
    estimates = {**scored().controls, **scored().added, scored().model: scored().estimate}
    assert raw == {name: estimate.raw for name, estimate in estimates.items()}


@pytest.mark.slow
def test_three_arrays_of_two_monkeys_with_their_photographs_stay_under_six_megabytes(tmp_path):
    """Maps as large as the recorded ones, of 32, 31 and 32 sites; photographs as large as they are shown."""
    array = scored().arrays[0]
    flipped = [tmp_path / f"{number}.png" for number in range(14)]
    for file, image in zip(flipped, images(), strict=True):
        with Image.open(image) as opened:
            opened.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
    fewer = slice(0, 31)
    second = replace(
        array,
        recording="second",
        predicted=array.predicted[..., fewer],
        neural=array.neural[..., fewer],
        site_r=array.site_r[:, fewer],
        site_ceiling=array.site_ceiling[:, fewer],
        sites=array.sites[fewer],
    )
    every = slice(None, None, 2)
    third = replace(
        array,
        recording="third",
        predicted=array.predicted[:, every, every],
        neural=array.neural[:, every, every],
        degrees_x=array.degrees_x[every],
        degrees_y=array.degrees_y[every],
    )
    text = report(replace(scored(), arrays=(array, second, third)), [images(), images(), flipped])
    assert len(text.encode()) < 6e6


def test_names_that_are_html_are_only_names():
    result = changed(scored(), model=HOSTILE, weights=Weights("file", path=HOSTILE), notes=(HOSTILE,))
    array = replace(result.arrays[0], recording=HOSTILE, images=(HOSTILE, *result.arrays[0].images[1:]))
    text = page(replace(result, arrays=(array,)))
    assert HOSTILE not in text
    assert text.count("<script") == 2
    assert HOSTILE not in result._repr_html_()
    assert page_data(text)["arrays"][0]["images"][0] == HOSTILE


def test_images_that_are_not_at_hand_are_left_out():
    text = report(scored(), [[None] * 14])
    assert page_data(text)["images"] == []
    assert page_data(text)["arrays"][0]["files"] == [None] * 14


@pytest.mark.parametrize(
    "damage",
    [{"score": "high"}, {"arrays": []}, {"arrays": [3]}],
)
def test_a_result_that_was_changed_by_hand_is_refused(tmp_path, damage):
    file = scored().save(tmp_path)[0]
    rewrite(file, damage)
    with pytest.raises(DataError, match="cannot be read as a result"):
        Result.load(file)
    fewer = json.loads(scored().save(tmp_path)[0].read_text())
    fewer["arrays"][0]["images"].pop()
    rewrite(file, fewer)
    with pytest.raises(DataError, match="does not fit its images"):
        Result.load(file)


def test_a_page_fetches_nothing(tmp_path, own_home, monkeypatch):
    """A result of a benchmark whose archive is not on this machine is shown without images."""
    monkeypatch.setattr("brainscore_itmaps.data.sources.fetch", lambda **options: pytest.fail("fetched"))
    request = replace(scored().request, benchmark="it_maps")
    file = write_report(replace(scored(), benchmark="it_maps", request=request), tmp_path / "page.html")
    assert page_data(file.read_text())["images"] == []


def test_the_images_of_your_own_recording_are_found(tmp_path, own_home, request):
    files, rng = request.getfixturevalue("images"), np.random.default_rng(0)
    maps = rng.normal(size=(6, 5, 5, 1)) + 0.1 * rng.normal(size=(6, 5, 5, 3))
    recording = Recording.from_arrays(maps, files, identifier="mylab.simulated", window=(0, 9), simulated=True)
    result = score("timm:test_resnet", recording.save(tmp_path / "mine"), "layer3", weights="random")
    page = page_data(write_report(result, tmp_path / "page.html").read_text())
    assert len(page["images"]) == 6
    assert page["arrays"][0]["files"] == [0, 1, 2, 3, 4, 5]


def test_a_constant_map_is_undefined_in_the_page():
    array = scored().arrays[0]
    r = array.site_r.copy()
    r[2, 3] = np.nan
    data = page_data(page(replace(scored(), arrays=(replace(array, site_r=r),))))
    assert data["arrays"][0]["r"][2][3] is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"weights": Weights("random", seed=3)}, "--weights random --seed 3"),
        ({"weights": Weights("file", path="a b.pt", source="sha256 0123456789ab")}, "--weights 'a b.pt'"),
        ({"weights": Weights("file", path="a b.h5")}, "--weights 'a b.h5'"),
        ({"label": "130-170"}, "--window 130-170"),
        ({"window": (130, 170)}, "--window 130-170"),
        ({"attribution": "smoothgrad", "measure": "attribution"}, "--attribution smoothgrad"),
        (
            {"window": (110, 180), "attribution": "smoothgrad", "measure": "attribution"},
            "--window 110-180 --attribution smoothgrad",
        ),
        ({"benchmark": "own"}, "--benchmark FOLDER-OF-THE-RECORDING"),
        ({"weights": Weights("module")}, "--model FILE.py:FUNCTION"),
        ({"protocol": "published"}, "--protocol published"),
        ({"controls": False}, "--no-controls"),
        ({"random_seeds": 3}, "--random-seeds 3"),
    ],
)
def test_the_command_is_what_somebody_would_type(changes, expected):
    asked = {name: changes.pop(name) for name in ("controls", "random_seeds") if name in changes}
    result = changed(scored(), **changes)
    model = replace(result.request.model, weights=result.weights)
    request = replace(result.request, benchmark=result.benchmark, model=model, **asked)
    command = command_of(replace(result, request=request))
    assert expected in command
    assert ("--no-controls" in command, "--random-seeds" in command) == ("controls" in asked, "random_seeds" in asked)


def test_the_command_of_a_file_that_is_the_model_names_its_architecture():
    model = ModelRequest("w.pt", arch="resnet18")
    result = changed(scored(), model="w-0123abcd", weights=Weights("file", path="w.pt"))
    command = command_of(replace(result, request=replace(result.request, model=model)))
    assert "--model w.pt --benchmark it_maps_simulated --arch resnet18" in command


def test_a_notebook_shows_the_score_and_that_it_is_simulated():
    shown = replace(scored(), controls={}, added={}, null=None)._repr_html_()
    assert f"<b>{scored().score:.3f}</b>" in shown
    assert "SIMULATED" in shown
    assert shown.count("<tr>") == 2


@pytest.mark.slow
def test_the_command_writes_pages(tmp_path, own_home):
    done = succeeded(
        "score", "-m", "timm:test_resnet", "--weights", "random", "--report", "--out", tmp_path, COLUMNS="200"
    )
    (file,) = tmp_path.glob("*.html")
    assert f"written    {file}" in done.stdout
    assert len(page_data(file.read_text())["images"]) == 14
    (saved,) = tmp_path.glob("*.json")
    succeeded("report", saved, "--out", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == file.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "There is no result 'nothing'"),
        (["{saved}", "--out", "page.txt"], 2, "does not end in .html"),
        (["A", "B", "--out", "page.html"], 2, "use `brainscore compare A B --out FOLDER`"),
        (["{saved}", "--maps", "folder"], 3, "no recording.json in folder"),
        (["none.json"], 2, "There is no file none.json"),
        (["{damaged}"], 3, "cannot be read as a result"),
        (["{saved}", "--out", "{damaged}/page.html"], 5, "damaged.json"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(tmp_path, own_home, arguments, code, message):
    saved = scored().save(tmp_path)[0]
    (tmp_path / "damaged.json").write_text("{")
    filled = [text.format(saved=saved, damaged=tmp_path / "damaged.json") for text in arguments]
    assert_refused(code, message, "report", *filled)
