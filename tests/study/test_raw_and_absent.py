"""Beside each score stand its raw value and noise ceiling; an absent score is a dash, and its reason is said once."""

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edited import rewrite
from shown import UNRELIABLE, changed, images, scored, two_arrays, without_score
from studies import NAMES, in_windows, planted
from typer.testing import CliRunner

from brainscore_itmaps import compare
from brainscore_itmaps.benchmark.catalogue import CATALOGUE, EXPERIMENTAL, WHY_EXPERIMENTAL
from brainscore_itmaps.benchmark.formulas import notes_of, notes_on
from brainscore_itmaps.benchmark.result import MEAN, Result
from brainscore_itmaps.bridge.benchmark import to_score
from brainscore_itmaps.cli.app import app
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.reporting.profiles import window_profile_figure
from brainscore_itmaps.reporting.report import report
from brainscore_itmaps.reporting.study_figures import accuracy_figure, gains_figure, temporal_figure
from brainscore_itmaps.study.compare import add_raw_values
from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.table import tidy_table

ROOT = Path(__file__).parents[2]
NAN = re.compile(r"\bnan\b")


def printed(*arguments, columns=120):
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": str(columns)}, terminal_width=columns)
    assert done.exit_code == 0, done.output
    return done.output


def one_line(text):
    return " ".join(text.split())


def row_of(text, words):
    """The cells of the first row of a printed table with these words."""
    return [cell.strip() for cell in next(line for line in text.splitlines() if words in line).split("│")]


def planted_with_absent():
    """Models in three windows, in the first of which no score is given."""
    return [without_score(result) if result.arrays[0].window == (50, 100) else result for result in in_windows()]


def attribution(result):
    return changed(result, measure="attribution", benchmark="it_maps_attribution_simulated")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("absent")
    return compare([*planted(), *planted_with_absent()], folder, maps=False, draws=20)


@pytest.mark.parametrize("columns", [60, 120])
def test_a_list_of_results_has_raw_ceiling_and_score(tmp_path, columns):
    present, absent = scored(), changed(without_score(scored()), model="timm:another")
    names = [result.save(tmp_path)[0].stem for result in (present, absent)]
    text = printed("results", "list", "--from", tmp_path, columns=columns)
    for result, name in zip((present, absent), names, strict=True):
        lines = one_line(text.replace("│", " "))
        assert f"{result.raw:.3f}" in lines
        assert f"{result.ceiling:.3f}" in lines
        assert columns > 100 or f"{name}: raw {result.raw:.3f}, ceiling {result.ceiling:.3f}, score" in lines
    assert f"{present.score:.3f}" in text
    assert one_line(text).count(UNRELIABLE) == 1
    assert not NAN.search(text)
    if columns > 100:
        assert row_of(text, "timm-another")[2:5] == [f"{absent.raw:.3f}", f"{absent.ceiling:.3f}", "-"]


def test_a_shown_result_says_why_its_score_is_absent(tmp_path):
    (file, *_) = without_score(two_arrays()).save(tmp_path)
    text = printed("results", "show", file)
    for name in ("narrow", "mean"):
        cells = row_of(text, f"│ {name}")
        assert cells[-5:-2] == [f"{scored().raw:.3f}", f"{scored().ceiling:.3f}", "-"]  # before the alignment
    assert one_line(text).count(UNRELIABLE) == 1
    assert not NAN.search(text)


def test_a_comparison_prints_raw_ceiling_and_absent_scores_last(tmp_path):
    for result in [*planted(NAMES[:2], ("vgg16",)), without_score(changed(planted(NAMES[2:3], ())[0], label="50-100"))]:
        result.save(tmp_path / "results")
    text = printed("compare", tmp_path / "results", "--out", tmp_path / "out", "--no-maps", columns=160)
    scores, _, ranks = text.partition("What models add to the controls")
    rows = [line for line in scores.splitlines() if "it_maps_simulated" in line and line.startswith("│")]
    assert "resnet34" in rows[-1]
    assert "resnet34" in row_of(ranks, "resnet34")[1]
    assert [cell.strip() for cell in rows[-1].split("│")][-4:-1] == ["0.849", "-", "-"]
    assert not any("-" in [cell.strip() for cell in row.split("│")] for row in rows[:-1])
    (gain,) = [line for line in text.splitlines() if line.startswith("gain")]
    values = tidy_table([tmp_path / "results"]).rows.set_index("model")["raw"]
    baseline, harmonized = values["vgg16_timm_baseline"], values["harmonized_vgg16"]
    assert gain.endswith(f"raw {baseline:.3f} to {harmonized:.3f} of 0.849")
    assert one_line(text).count(UNRELIABLE) == 1
    assert not NAN.search(text)


def test_the_tables_of_a_comparison_have_raw_ceiling_and_reason(compared):
    folder = compared.page.parent
    for rows in (pd.read_csv(folder / "table.csv"), pd.read_parquet(folder / "table.parquet")):
        assert rows[["raw", "ceiling"]].notna().all(axis=None)
        absent = rows[rows["score"].isna()]
        assert set(absent["window"]) == {"50-100"}
        assert set(absent["reason"]) == {UNRELIABLE}
        ranks = rows.groupby(["asked", "array"], sort=False)["score"]
        assert all(scores.dropna().is_monotonic_decreasing for _, scores in ranks)
    pairs = pd.read_csv(folder / "pairs.csv")
    assert pairs[["raw", "ceiling", "baseline_raw", "baseline_ceiling"]].notna().all(axis=None)
    assert "50-100" not in set(pairs["asked"].dropna())
    np.testing.assert_allclose((pairs["raw"] - pairs["baseline_raw"]) / pairs["ceiling"], pairs["difference"])
    figure = (folder / "figures" / "windows--it_maps_simulated.csv").read_text().splitlines()
    assert {"raw", "ceiling", "score"} <= set(figure[0].split(","))


def test_the_page_of_a_comparison_has_raw_ceiling_and_says_why_scores_are_absent(compared):
    text = unescape(compared.page.read_text())
    body = re.sub(r"<(script|style)>.*?</\1>|data:[^\"]*", "", text, flags=re.DOTALL)
    assert not NAN.search(body)
    assert body.count(f"No score of it_maps_simulated (50-100): {UNRELIABLE}") == 1
    assert "Noise ceiling: 0.849." in body
    row = compared.table.rows.query("score == score").iloc[0]
    assert f"{row['model']}, top-1 {row['imagenet_top1']:.1f} %, score {row['score']:.3f}" in body
    assert f"raw {row['raw']:.3f} of 0.849" in body
    assert re.search(r"<td>-</td><td>-</td><td data-value=[^>]*>0\.\d{3}</td><td data-value=[^>]*>0\.849</td>", body)
    assert '<th scope="col">baseline raw</th><th scope="col">raw</th><th scope="col">ceiling</th>' in body


def test_a_scatter_names_the_models_whose_scores_are_not_given(tmp_path):
    results = planted()
    page = compare([without_score(results[0]), *results[1:]], tmp_path, maps=False, draws=20).page.read_text()
    (absent,) = re.findall('Without a score, only in the table: <span class="left-out">(.*?)</span>', page)
    assert absent == results[0].model
    assert "Without a known accuracy" not in page


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def lines_of(axis, label):
    return [line for line in axis.lines if line.get_label() == label]


def test_raw_values_and_ceilings_are_drawn_below_scores():
    rows = tidy_table([*planted()[:5], without_score(changed(planted()[5], imagenet_top1=80.5))]).rows
    figure = accuracy_figure(rows, {}, {})
    score_axis, raw_axis = figure.axes
    drawn = {tuple(point) for line in raw_axis.lines for point in line.get_xydata()}
    assert {tuple(row) for row in rows[["imagenet_top1", "raw"]].to_numpy()} <= drawn
    (ceiling,) = lines_of(raw_axis, "noise ceiling")
    assert ceiling.get_ydata()[0] == pytest.approx(rows["ceiling"].iloc[0])
    assert "scores that are not given: 1 of 6" in one_line(words(figure))
    assert one_line(words(figure)).count(UNRELIABLE) == 1
    figure.canvas.draw()
    assert "scores are not given" not in [text.get_text() for text in score_axis.texts]
    empty = accuracy_figure(tidy_table(map(without_score, planted()[:3])).rows, {}, {})
    empty.canvas.draw()
    assert "scores are not given" in [text.get_text() for text in empty.axes[0].texts]


def test_raw_values_and_ceilings_are_drawn_over_time():
    rows = tidy_table(planted_with_absent()).rows
    rows.loc[rows["window"] == "150-200", "ceiling"] = 0.5
    figure = temporal_figure(rows)
    (ceiling,) = lines_of(figure.axes[1], "noise ceiling")
    np.testing.assert_allclose(ceiling.get_xydata(), [[75, 0.849], [125, 0.849], [175, 0.5]], atol=5e-4)
    model = rows[rows["model"] == "harmonized_vgg16"].sort_values("window", key=lambda window: window.str.len())
    container = next(each for each in figure.axes[1].containers if each.get_label() == "harmonized_vgg16")
    assert sorted(container[0].get_ydata()) == pytest.approx(sorted(model["raw"]))
    assert len(container[0].get_ydata()) == 3
    figure.canvas.draw()
    assert f"scores that are not given: 7 of 21 ({UNRELIABLE})" in one_line(words(figure))


def test_a_profile_over_windows_has_raw_values_and_ceilings():
    def in_window(start, ceiling):
        array = changed(scored().arrays[0], window=(start, start + 40), ceiling=ceiling, raw=ceiling / 2)
        return changed(scored(), arrays=(array,))

    figure = window_profile_figure([in_window(50, 0.5), in_window(90, 0.8), without_score(in_window(130, 0.1))])
    raw_axis = figure.axes[1]
    (ceiling,) = lines_of(raw_axis, "noise ceiling, it_maps_simulated")
    np.testing.assert_allclose(ceiling.get_xydata(), [[70, 0.5], [110, 0.8], [150, 0.1]])
    np.testing.assert_allclose(raw_axis.lines[0].get_xydata(), [[70, 0.25], [110, 0.4], [150, 0.05]])
    figure.canvas.draw()
    assert f"No score of 130-170 ms: {UNRELIABLE}" in one_line(words(figure))


def test_gains_are_drawn_beside_raw_values_and_ceilings():
    table = tidy_table(planted())
    pairs = add_raw_values(findings(table, draws=20).pairs, table.rows)
    raw_axis = gains_figure(pairs).axes[1]
    for column, label in (("raw", "raw, harmonized"), ("baseline_raw", "raw, baseline"), ("ceiling", "noise ceiling")):
        drawn = [line.get_xdata()[0] for line in lines_of(raw_axis, label)]
        assert drawn == pytest.approx(list(pairs[column].iloc[::-1]))
    singles, mean = pairs[pairs["baseline"] != ""], pairs[pairs["baseline"] == ""].iloc[0]
    assert mean["raw"] == pytest.approx(singles["raw"].mean())


def test_a_report_has_raw_and_ceiling_and_says_once_why_a_score_is_absent():
    text = report(scored(), [images()])
    assert f"raw {scored().raw:.3f}, noise ceiling {scored().ceiling:.3f}" in text
    absent = without_score(two_arrays())
    page = re.sub(r"<(script|style)[^>]*>.*?</\1>|data:[^\"]*", "", report(absent, [images()] * 2), flags=re.DOTALL)
    assert '<span class="score">not given</span>' in page
    assert page.count(UNRELIABLE) == 1
    assert not NAN.search(page)


def test_a_notebook_shows_raw_ceiling_and_the_mean_of_arrays():
    shown = two_arrays()._repr_html_()
    assert f"raw {scored().raw:.3f}, noise ceiling {scored().ceiling:.3f}" in shown
    assert f"<td>{MEAN}</td>" in shown
    absent = without_score(two_arrays())
    assert not NAN.search(absent._repr_html_() + repr(absent) + repr(absent.arrays[0]))
    assert absent._repr_html_().count(UNRELIABLE) == 1
    assert repr(absent.arrays[0]).endswith(f"score -, raw {absent.raw:.3f}, ceiling {absent.ceiling:.3f}>")


def test_a_score_of_brain_score_has_raw_ceiling_and_reason_for_each_array_and_window():
    result = without_score(two_arrays())
    score = to_score(result)
    assert (score.attrs["reason"], np.isnan(score.item())) == (UNRELIABLE, True)
    assert (score.attrs["raw"].item(), score.attrs["ceiling"].item()) == (result.raw, result.ceiling)
    arrays = score.attrs["per_array"]
    for name in ("raw", "ceiling"):
        np.testing.assert_array_equal(arrays[name], [getattr(array, name) for array in result.arrays])
    assert list(arrays["reason"].values) == [UNRELIABLE] * 2
    assert list(arrays["window"].values) == ["100-250"] * 2
    assert sum(UNRELIABLE in note for note in score.attrs["notes"]) == 1


def test_a_saved_result_without_score_is_read_if_it_says_why(tmp_path):
    (file, *_) = without_score(scored()).save(tmp_path)
    assert json.loads(file.read_text())["score"] is None
    loaded = Result.load(file)
    assert (loaded.estimate.reason, loaded.raw) == (UNRELIABLE, scored().raw)
    table = tidy_table([str(file)])
    assert table.rows["reason"].tolist() == [UNRELIABLE]
    rewrite(file, json.loads(file.read_text().replace(UNRELIABLE, "")))
    with pytest.raises(DataError, match="contains no score"):
        tidy_table([str(file)])


def test_every_output_of_attribution_says_that_it_is_experimental(tmp_path):
    result = attribution(scored())
    (file, *_) = result.save(tmp_path / "results")
    assert WHY_EXPERIMENTAL in EXPERIMENTAL
    assert one_line(EXPERIMENTAL) in one_line(printed("results", "show", file, columns=1000))
    assert "it_maps_attribution_simulated (EXPERIMENTAL)" in printed("results", "show", file)
    listed = printed("results", "list", "--from", file.parent, columns=200)
    assert "it_maps_attribution_simulated (EXPERIMENTAL)" in listed
    assert one_line(listed).count(one_line(EXPERIMENTAL)) == 1
    page = unescape(report(result, [images()]))
    assert page.count(EXPERIMENTAL) == 1
    assert "(EXPERIMENTAL)</title>" in page
    assert EXPERIMENTAL in unescape(result._repr_html_())
    assert "(EXPERIMENTAL)" in repr(result)
    assert to_score(result).attrs["experimental"] == EXPERIMENTAL
    assert EXPERIMENTAL in to_score(result).attrs["notes"]
    text = printed("compare", file.parent, "--out", tmp_path / "out", "--no-maps", columns=200)
    assert one_line(text).count(one_line(EXPERIMENTAL)) == 1
    assert "it_maps_simulated (EXPERIMENTAL)" in text
    assert unescape((tmp_path / "out" / "index.html").read_text()).count(EXPERIMENTAL) == 1
    assert tidy_table([result]).rows["experimental"].tolist() == [True]
    figure = accuracy_figure(tidy_table([attribution(each) for each in planted()[:3]]).rows, {}, {})
    assert WHY_EXPERIMENTAL in one_line(words(figure))
    assert "(EXPERIMENTAL)" in figure.axes[0].get_ylabel()
    for other in (scored()._repr_html_(), printed("score", "--help").replace("│", "").partition("--protocol")[2]):
        assert "EXPERIMENTAL" not in other


def test_attribution_is_experimental_in_notes_help_and_lists_of_names(tmp_path):
    spec = CATALOGUE["it_maps_attribution_simulated"]
    assert notes_on(scored().arrays, spec)[0] == EXPERIMENTAL
    assert EXPERIMENTAL not in notes_on(scored().arrays, CATALOGUE["it_maps_simulated"])
    assert notes_of(changed(attribution(scored()), notes=(EXPERIMENTAL,))).count(EXPERIMENTAL) == 1
    assert WHY_EXPERIMENTAL in one_line(re.sub(r"[│╭╮╰╯─]", " ", printed("score", "--help", columns=5000)))
    refused = CliRunner().invoke(app, ["score", "-m", "efficientnet_lite0", "-b", "zzzzzz"])
    assert isinstance(refused.exception, UsageError)
    assert "it_maps_attribution_simulated (EXPERIMENTAL)" in str(refused.exception.fix)
    study = tmp_path / "study.toml"
    study.write_text('title = "t"\nmodels = ["timm:test_vit"]\nbenchmarks = ["it_maps_attribution_simulated"]\n')
    assert EXPERIMENTAL in printed("sweep", study, "--dry-run", "--out", tmp_path / "out", columns=200)


@pytest.mark.slow
def test_the_numbers_about_attribution_are_those_that_the_command_prints(own_home):
    text = printed(
        "score", "--model", "efficientnet_lite0", "--benchmark", "it_maps_attribution_simulated", columns=200
    )
    numbers = re.findall(r"-?\d\.\d{3}", WHY_EXPERIMENTAL)
    attribution, random, centre, alignment = numbers
    assert f"attribution {attribution}; nearness to the centre {centre}; random weights {random}" in text
    assert row_of(text, "blocks.4")[2] == attribution
    assert row_of(text, "blocks.4")[-2] == alignment
    assert all(f"| {number} |" in (ROOT / "docs" / "benchmarks.md").read_text() for number in numbers)
