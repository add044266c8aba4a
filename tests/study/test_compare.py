"""A comparison: its files, its figures and its command."""

import json
import os
from dataclasses import replace

import matplotlib as mpl
import pandas as pd
import pytest
from answers import succeeded
from command_line import brainscore
from studies import NAMES, human, in_windows, planted

from brainscore_itmaps import compare
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.reporting.study_figures import accuracy_figure, gains_figure, relation_figure, temporal_figure
from brainscore_itmaps.study.compare import add_raw_values
from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.ranking import ranking
from brainscore_itmaps.study.table import tidy_table


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    results = planted()
    for number, result in enumerate(results + in_windows()):
        if number < 2:
            result.save(folder / "results")
    (folder / "human.json").write_text(json.dumps(human(results[0], 0.4)))
    sources = [folder, *results[2:], *in_windows()]
    return compare(sources, folder / "out", maps=False, draws=20)


@pytest.mark.slow
def test_everything_is_written_with_its_data(compared):
    folder = compared.page.parent
    assert {"index.html", "table.csv", "table.parquet", "fits.csv", "pairs.csv"} <= {f.name for f in folder.iterdir()}
    figures = {file.stem for file in (folder / "figures").glob("*.svg")}
    for kind in ("accuracy", "alignment", "gains", "windows"):
        assert f"{kind}--it_maps_simulated" in figures
    for ending in ("pdf", "csv"):
        assert {file.stem for file in (folder / "figures").glob(f"*.{ending}")} == figures
    assert all(file.is_file() for file in compared.files)
    assert "accuracy--it_maps_simulated--50-100" in figures
    assert all("SIMULATED" in file.read_text() for file in (folder / "figures").glob("*it_maps_simulated*.svg"))


@pytest.mark.slow
def test_csv_and_parquet_hold_the_same_table(compared):
    folder = compared.page.parent
    stored = pd.read_parquet(folder / "table.parquet")
    pd.testing.assert_frame_equal(stored, compared.table.rows)
    written = pd.read_csv(folder / "table.csv", keep_default_na=False, na_values={"score": "", "imagenet_top1": ""})
    for name in ("score", "imagenet_top1"):
        pd.testing.assert_series_equal(written[name], stored[name])
    assert list(written["model"]) == list(stored["model"])
    fits = pd.read_csv(folder / "fits.csv")
    assert set(fits["statistic"]) >= {"rank correlation", "slope of the edge's end"}


@pytest.mark.slow
def test_a_comparison_repeats_itself(compared, tmp_path):
    repeated = compare([*planted(), *in_windows()], tmp_path, maps=False, draws=20)
    figure = (repeated.page.parent / "figures" / "accuracy--it_maps_simulated.svg").read_bytes()
    assert figure == (compared.page.parent / "figures" / "accuracy--it_maps_simulated.svg").read_bytes()
    assert (
        repeated.findings.fits_table()
        .query("benchmark == 'it_maps_simulated'")
        .equals(compared.findings.fits_table().query("benchmark == 'it_maps_simulated'"))
    )


def test_compare_overwrites_only_its_own_files(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    for _ in range(2):
        compare(planted(NAMES[:1], ()), tmp_path, draws=20)
    assert (tmp_path / "figures" / "mine.svg").read_text() == "mine"
    assert len(list((tmp_path / "maps").glob("*.html"))) == 1
    with pytest.raises(UsageError, match="is a file"):
        compare(planted(NAMES[:2], ()), tmp_path / "index.html")


def test_words_of_a_figure_are_large_enough_and_its_points_are_those_of_the_table():
    table = tidy_table([*planted(), *in_windows()])
    rows = table.rows[table.rows["asked"] == ""]
    pairs = add_raw_values(findings(table, draws=20).pairs, table.rows)
    figures = [
        accuracy_figure(rows, {}, {"harmonized_vgg16": "vgg16_timm_baseline"}),
        relation_figure(rows, "alignment", "alignment"),
        temporal_figure(table.rows[table.rows["asked"] != ""]),
        gains_figure(pairs[pairs["asked"] == ""]),
    ]
    for figure in figures:
        texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= 6
    drawn = {tuple(point) for line in figures[0].axes[0].lines for point in line.get_xydata()}
    assert {tuple(row) for row in rows[["imagenet_top1", "score"]].to_numpy()} <= drawn
    assert len(figures[2].axes[0].containers) == 7  # models


def test_of_many_models_time_is_drawn_by_group():
    rows = tidy_table(in_windows(NAMES)).rows
    axis = temporal_figure(rows).axes[0]
    labels = {line.get_label() for line in axis.containers}
    assert labels == {f"{group}, median and quartiles" for group in rows["group"]}
    cnn = next(each for each in axis.containers if each.get_label().startswith("CNN"))
    medians = rows[rows["group"] == "CNN"].groupby("window", sort=False)["score"].median()
    assert sorted(cnn[0].get_ydata()) == pytest.approx(sorted(medians))


@pytest.mark.slow
def test_compare_on_the_command_line(tmp_path, own_home):
    for result in planted():
        result.save(tmp_path / "results")
    done = succeeded("compare", tmp_path, "--out", tmp_path / "out", "--no-maps", COLUMNS="120")
    assert "fit        it_maps_simulated, all (14 models): rho" in done.stdout
    assert "gain       harmonized_resnet50" in done.stdout
    assert "SIMULATED" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    assert not (tmp_path / "out" / "maps").exists()
    for arguments, message in (
        ([tmp_path / "out", "--out", tmp_path / "more"], "no results to compare"),
        (["nothing", "--out", tmp_path / "more"], "There is no result 'nothing'"),
    ):
        refused = brainscore("compare", *arguments, COLUMNS="200")
        assert refused.returncode == 2
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr


def test_pages_are_kept_by_content_and_not_by_time(tmp_path):
    """A result that was written over with an older time has its new page, and a page that is newer is written again."""
    result = planted()[0]
    file, *_ = result.save(tmp_path / "results")
    (page,) = pages = [file for file in compare(file, tmp_path / "out", draws=20).files if file.parent.name == "maps"]
    first, written = page.read_text(), page.stat().st_mtime_ns
    compare(file, tmp_path / "out", draws=20)
    assert page.stat().st_mtime_ns == written
    replace(result, notes=("a note that the page shows",)).save(tmp_path / "results")
    os.utime(file, (0, 0))
    compare(file, tmp_path / "out", draws=20)
    assert "a note that the page shows" in page.read_text()
    assert "a note that the page shows" not in first
    assert len(pages) == 1


@pytest.mark.slow
def test_pairs_of_very_many_models_are_counted_and_the_most_distinguishable_ones_listed(monkeypatch):
    table = tidy_table(planted())
    whole = ranking(table)
    monkeypatch.setattr("brainscore_itmaps.study.ranking.PAIRS", 2)
    monkeypatch.setattr("brainscore_itmaps.metrics.inference.AT_ONCE", 3)
    some = ranking(table)
    pd.testing.assert_frame_equal(some.orders, whole.orders)
    counted = whole.orders.set_index("order")["changed"]
    for order, rows in some.changes.groupby("order"):
        if counted[order] > 2:
            assert len(rows) == 2
            expected = whole.changes[whole.changes["order"] == order]["q_value"].sort_values()[:2]
            assert rows["q_value"].tolist() == pytest.approx(expected.tolist())
            assert any("the table has the 2 most distinguishable" in note for note in some.notes)
