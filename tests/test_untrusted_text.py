"""Untrusted texts from files are neither executed by a terminal nor computed by a spreadsheet."""

import csv
import io
import re
from pathlib import Path
from urllib.parse import unquote

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from answers import answered, assert_refused, succeeded
from hypothesis import given
from rich.table import Table
from shown import changed, scored

from brainscore_itmaps import Result, compare
from brainscore_itmaps.bridge.assembly import package
from brainscore_itmaps.cli.terminal import PlainConsole
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ItMapsError, printable
from brainscore_itmaps.files import csv_cell, csv_text
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.reporting.report import report

HOSTILE = "\x1b]0;owned\x07\x1b[2Jmodel\x9b31m\r\u202eevil[bold]:smile:[/]"
SHOWN = r"\x1b]0;owned\x07\x1b[2Jmodel\x9b31m\r\u202eevil[bold]:smile:[/]"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printed(what):
    console = PlainConsole(file=io.StringIO(), width=300, force_terminal=True, color_system=None)
    console.print(what)
    return console.file.getvalue()


@given(st.text())
def test_control_characters_are_escaped_and_other_text_is_unchanged(text):
    escaped = printable(text)
    assert not OBEYED.search(escaped)
    escaped.encode()  # no lone surrogates either
    assert printable(escaped) == escaped
    if not OBEYED.search(text) and printable(text) != text:
        assert any(0xD800 <= ord(letter) < 0xE000 or letter in "\u061c\u200e\u200f\u2028\u2029" for letter in text)


def test_every_part_of_a_table_escapes_text():
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    assert printed(table).count(SHOWN) == 4
    assert printed(HOSTILE) == SHOWN + "\n"


@pytest.mark.parametrize("arguments", [("data", "list", HOSTILE), ("results", "show", "a", HOSTILE), (f"--{HOSTILE}",)])
def test_usage_errors_escape_the_arguments(arguments):
    done = answered(*arguments, COLUMNS="300")
    assert done.returncode == 2
    assert r"\x1b]0;owned\x07\x1b[2J" in done.stderr
    assert not OBEYED.search(done.stderr)


def test_a_result_with_undecodable_names_is_saved(tmp_path):
    result = scored()
    array = changed(result.arrays[0], images=("\udcff", *result.arrays[0].images[1:]))
    files = changed(result, arrays=(array,)).save(tmp_path)
    assert "\\udcff" in next(file for file in files if file.suffix == ".csv").read_text()
    assert Result.load(next(file for file in files if file.suffix == ".json")).arrays[0].images[0] == "\udcff"


def test_errors_escape_names():
    error = ItMapsError(f"There is no {HOSTILE}.", f"Rename {HOSTILE}.")
    assert str(error) == f"There is no {SHOWN}. Rename {SHOWN}."


@pytest.fixture
def hostile(tmp_path):
    """Save a result with hostile text in every field, and return its file."""
    result = scored()
    weights = Weights("pretrained", source=HOSTILE, sha256="0" * 64)
    array = changed(result.arrays[0], recording=HOSTILE, images=(HOSTILE, *result.arrays[0].images[1:]))
    result = changed(result, model=HOSTILE, weights=weights, arrays=(array,), notes=(HOSTILE,), imagenet_top1=1.0,
                     imagenet_top1_source=HOSTILE, device=HOSTILE)  # fmt: skip
    return next(file for file in result.save(tmp_path) if file.suffix == ".json")


def test_a_shown_result_escapes_its_texts(own_home, tmp_path, hostile):
    done = succeeded("results", "show", hostile, COLUMNS="400")
    assert SHOWN in done.stdout
    assert not OBEYED.search(done.stdout)
    listed = succeeded("results", "list", "--from", tmp_path, COLUMNS="400")
    assert not OBEYED.search(listed.stdout)
    compared = answered("compare", hostile, "--out", tmp_path / "out", "--no-maps", COLUMNS="400")
    assert not OBEYED.search(compared.stdout + compared.stderr)
    assert SHOWN in repr(Result.load(hostile))


def test_errors_and_traces_escape_file_names(tmp_path):
    file = tmp_path / f"{HOSTILE.replace('/', '')}.json"
    file.write_text("{}")
    assert_refused(3, r"\x1b]0;owned\x07", "results", "show", file)
    done = answered("results", "show", file)
    assert not OBEYED.search(done.stderr)


NUMBER = re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)\s*", re.ASCII | re.IGNORECASE)
UNSEEN = "\ufeff\u200b\x00"


@given(st.one_of(st.text(), st.text(alphabet=f"=+-@\t\r\n;' 1ae.\uff1d{UNSEEN}"), st.floats().map(repr)))
def test_no_cell_is_a_formula_and_its_text_is_recovered(text):
    cell = csv_cell(text)
    if NUMBER.fullmatch(text):
        assert cell == text
        float(text)
        return
    for begins in re.split("[;\t\r\n]", cell):
        assert not re.match(rf"[\s{UNSEEN}]*[=+\-@\uff1d\uff0b\uff0d\uff20]", begins)
    assert not cell.startswith(("\t", "\r"))
    assert cell.replace("'", "") == text.replace("'", "")


@given(st.one_of(st.floats(), st.integers()))
def test_numbers_are_never_changed(number):
    assert csv_cell(number) is number
    for text in (repr(number), str(number), f"{number:+.3e}", f"{number:.7g}"):
        assert csv_cell(text) == text


def test_numbers_and_plain_texts_are_unchanged():
    rows = [("a", 1, -2.5, None, True, "-0.5", "-inf", "blocks.4", "a-b", "x=1")]
    assert csv_text(rows) == "a,1,-2.5,,True,-0.5,-inf,blocks.4,a-b,x=1\n"


FORMULA = "=cmd|' /C calc'!A0"


def assert_no_formula(text):
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert f"'{FORMULA}" in cells
    begins = ("=", "+", "-", "@", "\t", "\r")
    assert not [cell for cell in cells if cell.startswith(begins) and not NUMBER.fullmatch(cell)]


def with_formulas(tmp_path):
    result = scored()
    array = result.arrays[0]
    sites = ("@SUM(1)", "+1+1", "-1+1", "\t=1", *array.sites[4:])
    array = changed(array, images=(FORMULA, *array.images[1:]), sites=sites, recording=f"+{array.recording}")
    return changed(result, model=FORMULA, imagenet_top1=50.0, imagenet_top1_source="made up", arrays=(array,))


def test_csv_files_of_a_result_contain_no_formula(tmp_path):
    files = with_formulas(tmp_path).save(tmp_path)
    assert_no_formula(next(file for file in files if file.suffix == ".csv").read_text())


def test_csv_tables_of_a_report_contain_no_formula(tmp_path):
    result = with_formulas(tmp_path)
    page = report(result, [[None] * len(result.arrays[0].images)])
    tables = [unquote(table) for table in re.findall(r'href="data:text/csv,([^"]*)"', page)]
    assert len(tables) > 1
    assert_no_formula("".join(tables))


def test_csv_files_of_a_comparison_contain_no_formula(tmp_path):
    other = changed(scored(), imagenet_top1=60.0, imagenet_top1_source="made up")
    compared = compare([with_formulas(tmp_path), other], tmp_path / "out", maps=False)
    tables = {file: file.read_text() for file in compared.files if file.suffix == ".csv"}
    assert {"table.csv", "fits.csv", "pairs.csv"} < {file.name for file in tables}
    assert_no_formula("".join(tables.values()))
    read = pd.read_csv(tmp_path / "out" / "table.csv")
    np.testing.assert_allclose(read["score"], compared.table.rows["score"])


def test_brain_scores_csv_refuses_names_that_are_formulas(tmp_path, images):
    formula = images[0].rename(images[0].with_name("=1+1.png"))
    files = (formula, *images[1:])
    grid = Grid(y=np.arange(2.0), x=np.arange(3.0), extent=4.0)
    maps = np.random.default_rng(0).normal(size=(6, 2, 3, 2))
    recording = Recording("lab.array", maps, files, grid, (0, 100), "monkey", "IT", ("a", "b"), "0" * 64, "", True)
    with pytest.raises(DataError, match=r"image's name =1\+1 as a formula\. Rename the file"):
        package(recording, tmp_path / "out")
    assert not Path(tmp_path / "out").exists()
