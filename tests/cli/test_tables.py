"""Tables on terminals of every width: no name is broken, no row loses its name, and nothing is cut."""

import re

import pytest
from rich.table import Column
from shown import changed, two_arrays
from studies import NAMES, planted
from typer.testing import CliRunner

from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.cli.app import app
from brainscore_itmaps.cli.terminal import say_facts, say_table

WIDTHS = [60, 80, 160]
SHOWN = (*NAMES[:2], *NAMES[4:7])


@pytest.fixture(params=WIDTHS)
def printed(request):
    """Function that prints a command's output on a terminal of this width, and returns its lines."""

    def run(*arguments):
        done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": str(request.param)})
        assert done.exit_code == 0, done.output
        assert all(len(line) <= request.param for line in done.output.splitlines() if line[:1] in "┏┃┡│└")
        assert "…" not in done.output
        return done.output

    return run


@pytest.fixture
def folder(tmp_path):
    for result in planted(SHOWN, ()):
        result.save(tmp_path)
    return tmp_path


def test_results_are_listed_by_whole_names_with_their_numbers(printed, folder):
    text = printed("results", "list", "--from", folder)
    names = [file.stem for file in folder.glob("*.json")]
    assert len(names) == len(SHOWN)
    assert all(name in text for name in names)
    assert text.count("0.849") == len(SHOWN)


def test_compared_models_are_whole_names(printed, folder, tmp_path):
    text = printed("compare", folder, "--out", tmp_path / "out", "--no-maps")
    assert all(f"timm:{name}" in text for name in SHOWN)
    assert text.count("it_maps_simulated") >= len(SHOWN)


def test_a_result_of_several_arrays_and_layers_is_whole(printed, tmp_path):
    result = changed(two_arrays(), model="timm:swin_tiny_patch4_window7_224.ms_in1k")
    (file, *_) = result.save(tmp_path)
    text = printed("results", "show", file)
    for name in (result.model, "it_maps_simulated", "narrow", "mean", "layer2", "layer3"):
        assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text), name
    assert len(re.findall(rf"{result.arrays[0].score:.3f}", text)) >= 3


def test_controls_stand_below_the_model_and_the_best_is_marked(printed, tmp_path):
    best, single = Estimate(0.5, 0.8, 0.625, (0.375, 0.875)), Estimate(0.75, 0.8, 0.9375)
    controls = {"contrast": Estimate(0.25, 0.8, 0.3125), "random_weights": best, "random_weights_0": single}
    result = changed(two_arrays(), model="timm:swin_tiny_patch4_window7_224.ms_in1k", controls=controls, raw=0.5)
    text = printed("results", "show", result.save(tmp_path)[0])
    table = text[text.index("the model and its controls") :]
    names = ["timm:swin_tiny_patch4_window7_224.ms_in1k", "contrast", "random_weights (best)", "random_weights_0"]
    rows = [re.search(rf"(?m)^.*{re.escape(name)}.*(\n  .*)*", table) for name in names]
    assert [row.start() for row in rows] == sorted(row.start() for row in rows)
    for number in ("0.500", "0.625", "0.375 to 0.875"):
        assert number in " ".join(rows[2].group().split())
    sentence = (
        "Control `random_weights` reaches this score: the same architecture with random weights has raw 0.500, the"
    )
    assert sentence in " ".join(text.split())
    less = changed(two_arrays(), controls={"contrast": Estimate(0.25)}, raw=0.5)
    assert "reaches" not in printed("results", "show", less.save(tmp_path / "less")[0])


@pytest.mark.parametrize("arguments", [["models", "list"], ["models", "list", "--set", "paper_proxy"]])
def test_models_are_listed_by_whole_names(printed, arguments):
    from brainscore_itmaps.models.zoo import ZOO, named_set

    text = printed(*arguments)
    for name in named_set("paper_proxy") if "--set" in arguments else ZOO:
        assert name in text


def test_layers_and_recordings_and_work_are_whole(printed, tmp_path):
    assert "stages.0.blocks.0" in printed("models", "show", "timm:test_convnext")
    text = printed("data", "list")
    assert all(name in text for name in ("it_maps_textures_simulated", "monkey1_PL", "monkey1_ML", "monkey2_ML"))
    info = printed("data", "info", "it_maps_simulated")
    assert re.findall(r"it_maps_simulated-\d\d-\w+", info)[-1] == "it_maps_simulated-13-cannon"
    assert re.search(r"\b[0-9a-f]{64}\b", info)
    work = printed("sweep", "embedded", "--dry-run", "--out", tmp_path / "out")
    assert "efficientnet_lite0 (random, seed 2)" in work


def test_columns_are_left_out_or_broken_at_spaces_before_rows_become_lines(monkeypatch, capsys):
    columns = [Column("model"), Column("layers"), Column("score", justify="right"), Column("written")]
    rows = [["resnet50.tv_in1k", "layer1, layer2, layer3", "0.500", "2026-01-01"]]

    def shown(width):
        monkeypatch.setenv("COLUMNS", str(width))
        say_table(columns, rows, wrapping="layers", optional=("written",))
        return capsys.readouterr().out

    assert "Left out" not in shown(70)
    assert "2026-01-01" in shown(70)
    broken = shown(58)
    assert "2026-01-01" in broken
    assert "layer1, layer2, layer3" not in broken
    table, last = shown(45)[:-1].split("└")
    assert "written" not in table
    assert " ".join(last.split()[1:]) == "Left out: written. A wider terminal, or COLUMNS=200, shows all columns."
    lines = shown(35)
    assert "Left out" not in lines  # all columns are there
    assert lines == "resnet50.tv_in1k:\n  layers layer1, layer2, layer3,\n  score 0.500, written 2026-01-01\n"


def test_facts_are_broken_only_at_spaces(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    say_facts({"folder": "/a/" + "long/" * 10, "cite": "a sentence that is longer than the line"})
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "folder  /a/" + "long/" * 10
    assert all(len(line) <= 30 for line in rest)
