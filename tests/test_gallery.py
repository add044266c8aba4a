"""The gallery: each public figure has a script, and each script begins as sphinx-gallery reads it."""

import ast
from pathlib import Path

import pytest

import brainscore_itmaps as itmaps

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
SCRIPTS = sorted(FOLDER.glob("plot_*.py"))


def called(script):
    """Return the names of the functions and methods that a script calls."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    return {node.func.attr for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}


def test_each_public_figure_is_drawn_by_a_script():
    drawn = set().union(*map(called, SCRIPTS))
    assert not {*itmaps.figures.__all__, "figures"} - drawn


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_has_a_title_and_names_no_place_of_this_machine(script):
    text = script.read_text(encoding="utf-8")
    title, line, blank, *_ = ast.get_docstring(ast.parse(text)).splitlines()
    assert line == "=" * len(title)
    assert not blank
    assert not any(word in text for word in ("/home", "/tmp", "/work", "C:\\"))


def test_the_gallery_has_a_header():
    title, line, *_ = (FOLDER / "GALLERY_HEADER.rst").read_text(encoding="utf-8").splitlines()
    assert line == "=" * len(title)
