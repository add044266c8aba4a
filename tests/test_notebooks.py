"""The notebooks of `examples/`: they run, print what they have stored, and stay small."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from documented import CHECKOUT, commands_in, is_complete

EXAMPLES = CHECKOUT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?")
FIGURES = ("image/png", "image/jpeg", "image/svg+xml")
MACHINE = re.compile(r"(?<![\w.])/(?:tmp|home|work|root|Users|private)\b|0x[0-9a-f]{6,}")
TOLERANCE = 2e-3

every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def read(file):
    return nbformat.read(file, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def texts(notebook):
    """List what each output says, without its figures and HTML."""
    return [output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs(notebook)]


def kinds(notebook):
    """List the kinds of each output."""
    return [sorted(output.get("data", [output.get("name")])) for output in outputs(notebook)]


def differences(stored, printed):
    """List the lines that differ by more than the last digit of a number, or by more than the tolerance."""
    found = []
    for before, now in zip(stored.splitlines(), printed.splitlines(), strict=True):
        pairs = list(zip(NUMBER.findall(before), NUMBER.findall(now), strict=False))
        same_words = " ".join(NUMBER.sub("#", before).split()) == " ".join(NUMBER.sub("#", now).split())
        if not same_words or any(abs(float(a) - float(b)) > max(TOLERANCE, 1.5 * last_digit(a)) for a, b in pairs):
            found.append((before, now))
    return found


def last_digit(number):
    return 0.1 ** len(number.split("e")[0].partition(".")[2])


def test_there_are_six_notebooks_and_readme_names_each():
    assert len(NOTEBOOKS) == 6
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert all(f"(examples/{file.name})" in readme for file in NOTEBOOKS)


@every_notebook
def test_each_leads_to_the_next_and_every_link_leads_to_a_file(file):
    markdown = "\n".join(cell.source for cell in read(file).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", markdown)
    assert NOTEBOOKS[(NOTEBOOKS.index(file) + 1) % len(NOTEBOOKS)].name == links[-1]
    assert [link for link in links if not (EXAMPLES / link).is_file()] == []


@every_notebook
def test_commands_in_sentences_exist(file):
    pieces = re.findall(r"`([^`]+)`", "\n".join(c.source for c in read(file).cells if c.cell_type == "markdown"))
    for command in [command for piece in pieces for command in commands_in(" ".join(piece.split()))]:
        is_complete(command)  # an unknown command or option raises
        assert shlex.split(command)


@every_notebook
def test_stored_outputs_are_complete_and_without_errors_warnings_or_paths_of_a_machine(file):
    notebook = read(file)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs(notebook))
    assert not any("Warning" in text for text in texts(notebook))
    assert not [found for output in outputs(notebook) for found in MACHINE.findall(without_images(output))]
    assert any(kind in FIGURES for output in kinds(notebook) for kind in output)


def without_images(output):
    """Return the text of an output; images in base64 may hold anything."""
    data = output.get("data", {})
    return output.get("text", "") + "".join(str(data[kind]) for kind in data if kind not in FIGURES[:2])


@every_notebook
def test_metadata_name_no_version_and_no_time(file):
    notebook = read(file)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata == {} for cell in notebook.cells)


def test_they_are_small():
    sizes = [file.stat().st_size for file in NOTEBOOKS]
    assert max(sizes) < 300_000
    assert sum(sizes) < 1_200_000


@pytest.mark.parametrize(
    ("printed", "differ"),
    [("a 0.123 (b)", 0), ("a 0.124 (b)", 0), ("a 0.126 (b)", 1), ("a 0.123 (c)", 1), ("a  0.123 (b)", 0), ("12", 1)],
)
def test_numbers_are_compared_to_the_tolerance_and_words_exactly(printed, differ):
    assert len(differences("a 0.123 (b)", printed)) == differ


@pytest.mark.slow
@every_notebook
def test_a_run_prints_what_is_stored(file, tmp_path):
    """The kernel and its client open sockets of their own, so they run in another process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])}
    before = sorted(EXAMPLES.iterdir())
    command = [sys.executable, str(EXAMPLES / "run.py"), file.name, "--out", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    stored, run = read(file), read(Path(tmp_path, file.name))
    assert kinds(run) == kinds(stored)
    assert [differences(*pair) for pair in zip(texts(stored), texts(run), strict=True) if differences(*pair)] == []
    assert sorted(EXAMPLES.iterdir()) == before
