"""`brainscore published` and `brainscore data fetch published`, on made-up tables."""

import json

import pytest
from made_up_tables import followup, write_tables
from typer.testing import CliRunner

from brainscore_itmaps.cli.app import app
from brainscore_itmaps.data.published import published_folder
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.study import published_fits


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(published_fits, "DRAWS", 3)


def run(*arguments):
    """Run the command in a terminal of 80 columns; errors of this package are raised."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_all_panels_are_printed_within_80_columns_with_findings_and_limits(stored_tables):
    done = run("published")
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    rows = [line for line in done.output.splitlines() if line.startswith("│ monkey")]
    assert len(rows) == 15
    assert "│ monkey1_ML 131-170 │ 36 │" in done.output
    for word in (
        "MajajHong2015public",
        "adversarial alignment, ClickMe",
        "finding    monkey1_PL",
        "limit      These are",
    ):
        assert word in done.output
    assert "shifted" not in done.output


def test_options_select_panels_and_models(stored_tables):
    done = run("published", "--array", "monkey2_ML", "--window", "followup_51_90", "--shifted", "--robust")
    assert "│ monkey2_ML 51-90         │ 40 │" in done.output
    assert "│ monkey2_ML 51-90 shifted │ 40 │" in done.output
    assert "monkey1" not in done.output
    assert "spatial artefact" in " ".join(done.output.split())


def test_models_are_listed_as_published(stored_tables):
    done = run("published", "timm:made_up_3.in1k", "made_up_5.in1k", "--window", "followup_131_170")
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 100
    assert "made_up_3.in1k, as published" in done.output
    assert "made_up_5.in1k, as published" in done.output
    assert done.output.count("│ monkey1_ML │ 131-170") == 2
    assert "91-130" not in done.output
    assert "of 40 │" in done.output


def test_json_is_valid_and_complete(stored_tables):
    everything = json.loads(run("published", "--json").output)
    assert len(everything["panels"]) == 32
    assert everything["as_published"]
    assert everything["limits"]
    one = json.loads(run("published", "made_up_3.in1k", "--json").output)
    assert len(one["models"][0]["scores"]) == 15
    assert one["models"][0]["top1"] == pytest.approx(62.308)


def test_files_are_written_and_named(stored_tables, tmp_path):
    done = run("published", "--out", tmp_path / "out", "--array", "monkey1_PL", "--window", "followup_51_90")
    assert f"written    {tmp_path / 'out' / 'index.html'} and" in done.output
    assert (tmp_path / "out" / "figures" / "recordings.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["made_up_3.in2k"], "Did you mean"),
        (["--array", "PL"], "Known names: monkey1_ML"),
        (["--window", "tutorial"], "Known windows: followup_51_90"),
        (["made_up_3.in1k", "--robust"], "Leave out the names of models"),
    ],
)
def test_a_mistake_is_answered_with_what_there_is(stored_tables, arguments, said):
    with pytest.raises(UsageError, match=said):
        run("published", *arguments)


def test_offline_without_tables_is_refused_before_anything_is_written(made_up, tmp_path):
    with pytest.raises(DataError, match="offline mode forbids"):
        run("published", "--offline", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_copies_are_fetched_from_a_folder(made_up, tmp_path):
    done = run("data", "fetch", "published", "--from", write_tables(tmp_path / "copies", made_up))
    assert done.exit_code == 0
    assert f"ready      {published_folder()} (25 files" in done.output
    assert "25 of them new" in done.output
    assert "No licence is stated" in done.output
    assert "all there already" in run("data", "fetch", "published", "--offline").output


def test_a_fetch_needs_no_split_and_no_hash(made_up):
    with pytest.raises(UsageError, match="Leave out --split and --sha256"):
        run("data", "fetch", "published", "--split", "val")


def test_tables_are_listed_and_removed_with_all_downloads(stored_tables):
    assert "published" in run("data", "list").output
    assert run("data", "clean").output.startswith("There are no files to remove.\n")
    assert f"removed {stored_tables}" in run("data", "clean", "--all").output
    assert not stored_tables.exists()


def test_a_comparison_prints_the_places_of_saved_results(stored_tables, tmp_path):
    followup(raw=0.37).save(tmp_path / "results")
    followup("mine", raw=0.3, window=(100, 250)).save(tmp_path / "results")
    done = run("compare", tmp_path / "results", "--out", tmp_path / "out", "--no-maps", "--published", "--offline")
    assert done.exit_code == 0
    (line,) = [line for line in done.output.replace("\n" + " " * 11, " ").splitlines() if line.startswith("published")]
    assert line.startswith("published  timm:made_up_3.in1k on monkey1_ML 131-170 ms: ")
    assert "the published raw value of this model is" in line
    note = "mine on Arcaro2020.monkey1_ML-followup is not placed: its window is 100-250 ms"
    assert note in " ".join(done.output.split())
    assert (tmp_path / "out" / "published_places.csv").is_file()
