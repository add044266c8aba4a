"""Panels of published scores, their statistics, and places of results among them. All numbers are made up."""

import json

import numpy as np
import pandas as pd
import pytest
from made_up_tables import CEILING, CHANGE, followup, models
from PIL import Image
from scipy.stats import spearmanr
from shown import scored

from brainscore_itmaps import compare
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.study.published import (
    RECORDINGS,
    known_array,
    known_window,
    model_names,
    published_facts,
    published_points,
    published_rows,
    read_published,
)
from brainscore_itmaps.study.published_files import published_json, write_published
from brainscore_itmaps.study.published_fits import fit_published, published_findings, published_limits
from brainscore_itmaps.study.published_places import places, places_sentences
from brainscore_itmaps.study.table import tidy_table

PLANTED = "monkey1_ML 131-170"


@pytest.fixture
def tables(stored_tables):
    return read_published()


def test_there_is_a_panel_for_each_array_and_window_and_each_other_table(tables):
    points = published_points(tables)
    recordings = points[points["group"] == RECORDINGS]
    assert recordings["panel"].nunique() == 15
    assert (recordings.groupby("panel").size() == 40).all()
    assert not recordings["shifted"].any()
    np.testing.assert_allclose(recordings["y"], recordings["raw"] / CEILING)
    others = points[points["group"] != RECORDINGS].groupby("group")["panel"].nunique()
    assert others.to_dict() == {"Brain-Score": 6, "ClickMe": 1, "adversarial": 10}
    assert points["robust"].dtype == bool


def test_shifted_tables_are_panels_only_when_they_are_asked_for(tables):
    points = published_points(tables, shifted=True)
    shifted = points[points["shifted"]]
    assert set(shifted["panel"]) == {
        f"monkey2_ML {moment} shifted" for moment in ("51-90", "91-130", "131-170", "171-210", "211-250")
    }
    assert not shifted["group"].ne(RECORDINGS).any()


def test_an_array_and_a_window_select_the_panels_of_their_scores(tables):
    points = published_points(tables, array="Arcaro2020.monkey1_ML", window="followup_131_170")
    assert list(dict.fromkeys(points["panel"])) == [
        PLANTED, "perturbation tolerance, monkey1_ML", "adversarial alignment, monkey1_ML"
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"Known names: monkey1_ML, monkey1_PL"):
        known_array("PL")
    assert known_window(tables, "131-170") == known_window(tables, "followup_131_170") == "followup_131_170"
    with pytest.raises(UsageError, match=r"'130-170'.*Known windows: followup_51_90"):
        known_window(tables, "130-170")


def test_rank_correlations_are_those_of_scipy_without_robust_models(tables):
    points = published_points(tables)
    table = fit_published(points, draws=3).to_dataframe().set_index("panel")
    for panel, rows in points.groupby("panel"):
        known = rows.dropna(subset=["x", "y"])
        known = known[~known["robust"]]
        assert table.loc[panel, "models"] == len(known)
        assert table.loc[panel, "rho"] == pytest.approx(spearmanr(known["x"], known["y"]).statistic)
    recorded = points[points["panel"] == PLANTED]
    accurate = recorded[(recorded["x"] >= 70) & ~recorded["robust"]]
    assert table.loc[PLANTED, "rho_from_70"] == pytest.approx(spearmanr(accurate["x"], accurate["y"]).statistic)
    assert table.loc[PLANTED, "models_from_70"] == len(accurate)


def test_robust_models_are_included_on_request(tables):
    points = published_points(tables, array="monkey1_PL")
    without, included = (fit_published(points, robust=robust, draws=3) for robust in (False, True))
    assert [fit.rank.models for fit in without.panels[:5]] == [36] * 5
    assert [fit.rank.models for fit in included.panels[:5]] == [40] * 5
    assert [fit.robust for fit in included.panels[:5]] == [4] * 5
    assert "--robust includes them" in " ".join(published_limits(without))
    assert "--robust" not in " ".join(published_limits(included))


def test_a_planted_inverted_u_is_found_and_said(tables):
    points = published_points(tables, array="monkey1_ML", window="followup_131_170")
    fits = fit_published(points, draws=100)
    fit = fits.panels[0]
    assert fit.point.at == pytest.approx(CHANGE, abs=0.5)
    assert fit.point.at_interval.low < CHANGE < fit.point.at_interval.high
    assert fit.point.before == pytest.approx(0.01, abs=0.001)
    assert fit.point.after == pytest.approx(-0.012, abs=0.001)
    x = points.loc[(points["panel"] == PLANTED) & ~points["robust"], "x"]
    assert fit.above == (x > fit.point.at).sum()
    assert fit.edge.end_slope_interval.high < 0
    said = published_findings(fits)
    assert said[0].startswith("monkey1_ML, in one window: rho")
    assert "the upper edge falls in 1 of them, rises in 0" in said[0]
    assert said[1].startswith(
        f"{PLANTED}: over the {fit.above} models above the change point at {fit.point.at:.1f} % ("
    )
    interval = fit.point.at_interval
    assert f"({interval.low:.1f} to {interval.high:.1f}), the cloud falls by {-fit.point.after:.4f}" in said[1]


def test_windows_before_the_response_are_left_out_of_findings_and_have_their_median_raw_values(tables):
    points = published_points(tables, array="monkey1_ML")
    early = points["panel"] == "monkey1_ML 51-90"
    falling = points.assign(y=points["y"].mask(early, 1 - 0.01 * points["x"]))
    fits = fit_published(falling, draws=20)
    first, *others = (fit for fit in fits.panels if fit.group == RECORDINGS)
    assert first.point.after_interval.high < 0
    rhos = [fit.rank.rho for fit in others]
    assert first.rank.rho < min(rhos)
    said = published_findings(fits)
    assert f"in 4 windows with responses: rho of accuracy and score is {min(rhos):+.2f} to {max(rhos):+.2f}" in said[0]
    of_early = [line for line in said if "monkey1_ML 51-90" in line]
    median = points.loc[early & ~points["robust"], "raw"].median()
    assert len(of_early) == 1
    assert of_early[0].startswith(f"monkey1_ML 51-90 (median raw value {median:.3f}): the array does not respond yet")
    assert fits.to_dataframe()["raw_median"][0] == pytest.approx(median)
    alone = fit_published(falling[early], draws=2)
    assert published_findings(alone) == of_early


def test_submissions_at_chance_decide_no_edge_and_no_change_point(tables):
    points = published_points(tables)
    brain_score = points[points["panel"].isin(["MajajHong2015", "Sanghavi2020"])]
    lowest = brain_score.index[brain_score["panel"] == "Sanghavi2020"][0]
    at_chance = brain_score.assign(x=brain_score["x"].mask(brain_score.index == lowest, 1.0))
    majaj, sanghavi = fit_published(at_chance, draws=2).panels
    assert majaj.edge is not None
    assert (sanghavi.edge, sanghavi.point, sanghavi.above) == (None, None, 0)
    assert sanghavi.rank.models == 40
    limits = " ".join(published_limits(fit_published(at_chance, draws=2)))
    assert "the edges and change points of Sanghavi2020, which are therefore not given" in limits
    assert "not classify" not in " ".join(published_limits(fit_published(brain_score, draws=2)))


def test_the_authors_own_run_has_a_sentence_of_its_own(tables):
    points = published_points(tables)
    names = ("classified", "MajajHong2015public")
    fits = fit_published(points[points["panel"].isin(names)], draws=3)
    site, own = published_findings(fits)
    assert "on Brain-Score is" in site
    assert "(classified)" in site
    assert "MajajHong2015public" not in site
    accurate = fits.panels[1].accurate
    assert own.startswith("MajajHong2015public is not a score of the site")
    assert f"is {accurate.rho:+.2f} (" in own
    assert own.endswith(f"over {accurate.models} models.")


def test_a_rising_line_is_not_called_a_decline(tables):
    fits = fit_published(published_points(tables, array="monkey1_PL", window="followup_131_170"), draws=100)
    said = " ".join(published_findings(fits))
    assert "falls in 0 of them, rises in 1" in said
    assert "the cloud falls" not in said


def test_statistics_repeat_themselves(tables):
    points = published_points(tables, array="monkey1_ML")
    first, second = (fit_published(points, draws=5).to_dataframe() for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert set(first["intervals"]) == {"95 %, bootstrap over models"}


def test_a_panel_with_too_few_models_is_named(tables):
    points = published_points(tables, array="monkey1_PL", window="followup_51_90").groupby("panel").head(2)
    fits = fit_published(points, draws=3)
    assert fits.panels == ()
    assert "monkey1_PL 51-90 has no statistics: they need 3 different values on the x axis." in published_limits(fits)


def test_limits_say_what_the_tables_do_not_have(tables):
    fits = fit_published(published_points(tables, shifted=True, array="monkey2_ML"), draws=2)
    said = " ".join(published_limits(fits))
    for part in ("as published", "best layer on the scored images", "over models only", "harmonized", "shifted"):
        assert part in said


def test_a_models_rows_have_its_rank_in_each_table(tables):
    rows = published_rows(tables, "made_up_39.in1k")
    assert len(rows) == 15
    assert list(rows["array"].unique()) == ["monkey1_PL", "monkey1_ML", "monkey2_ML"]
    assert list(rows["window"][:2]) == ["followup_51_90", "followup_91_130"]
    for row in rows.to_dict("records"):
        maps = tables.maps
        same = maps[(maps["array"] == row["array"]) & (maps["window"] == row["window"]) & ~maps["shifted"]]
        assert row["rank"] == 1 + (same["raw"] > row["raw"]).sum()
        assert row["models"] == 40
    assert len(published_rows(tables, "made_up_39.in1k", shifted=True)) == 20
    assert published_facts(tables, "made_up_39.in1k")["kind"] == "adv"
    assert "tolerance" not in published_facts(tables, "made_up_39.in1k")


def test_names_of_models_are_found_and_similar_ones_suggested(tables):
    assert model_names(tables, ["timm:made_up_3.in1k", "made_up_3.in1k"]) == ["made_up_3.in1k"]
    with pytest.raises(UsageError, match=r"'timm:made_up_3\.in2k'. Did you mean .*made_up_3\.in1k"):
        model_names(tables, ["timm:made_up_3.in2k"])
    with pytest.raises(UsageError, match=r"Did you mean made_up_3\.in1k\?"):
        model_names(tables, ["made_up_3"])


def test_everything_is_written_and_linked(tables, tmp_path):
    points = published_points(tables, shifted=True)
    some = (PLANTED, "monkey2_ML 51-90 shifted", "MajajHong2015", "ClickMe", "adversarial alignment, ClickMe")
    points = points[points["panel"].isin(some)]
    fits = fit_published(points, draws=2)
    page, *files = write_published(tmp_path / "out", points, fits)
    text = page.read_text(encoding="utf-8")
    assert all(file.is_file() for file in files)
    for file in files:
        assert f'href="{file.relative_to(page.parent).as_posix()}"' in text
    stems = {file.stem for file in files if file.suffix == ".png"}
    assert stems == {"recordings", "recordings_shifted", "brain_score", "clickme", "adversarial"}
    for stem in stems:
        assert "as published" in (page.parent / "figures" / f"{stem}.svg").read_text(encoding="utf-8")
        with Image.open(page.parent / "figures" / f"{stem}.png") as image:
            assert image.mode == "P"
            assert image.width > 500
    written = pd.read_csv(page.parent / "published_fits.csv")
    np.testing.assert_allclose(written["rho"], fits.to_dataframe()["rho"])
    assert json.loads((page.parent / "published.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(published_json(fits), allow_nan=False)
    )


def test_a_formula_in_a_name_is_not_written_as_one(tables, tmp_path):
    points = published_points(tables, array="monkey1_PL", window="followup_51_90")
    points.loc[0, "model"] = "=1+1"
    write_published(tmp_path, points, fit_published(points, draws=2))
    assert "'=1+1" in (tmp_path / "published_points.csv").read_text(encoding="utf-8")
    assert '"=1+1' not in (tmp_path / "published_points.csv").read_text(encoding="utf-8")


def test_a_file_in_place_of_the_folder_is_refused(tables, tmp_path):
    (tmp_path / "out").touch()
    points = published_points(tables, array="monkey1_PL", window="followup_51_90")
    with pytest.raises(UsageError, match="is a file"):
        write_published(tmp_path / "out", points, fit_published(points, draws=2))


def test_a_comparable_result_gets_its_rank_among_the_published_ones(tables):
    placed = places(tidy_table([followup()]), tables.maps)
    (row,) = placed.rows.to_dict("records")
    maps = tables.maps
    same = maps[(maps["array"] == "monkey1_ML") & (maps["window"] == "followup_131_170")]["raw"]
    assert (row["rank"], row["of"]) == (1 + (same > 0.37).sum(), 41)
    assert row["percentile"] == pytest.approx(100 * (same < 0.37).mean())
    assert 1 < row["rank"] < 41
    assert row["published_raw"] == same.iloc[3]
    assert places_sentences(placed)[0].startswith(
        f"timm:made_up_3.in1k on {PLANTED} ms: {row['rank']} of 41 by raw value 0.370, above"
    )
    assert "best of 2 layers" in placed.notes[0]
    assert len(placed.notes) == 1


def test_weights_of_a_file_are_not_beside_the_published_value(tables):
    placed = places(tidy_table([followup(weights=Weights("file", path="mine.pt", sha256="1" * 64))]), tables.maps)
    assert placed.rows["published_raw"].isna().all()
    assert "published raw value" not in places_sentences(placed)[0]


def test_random_weights_are_named_and_not_beside_the_published_value(tables):
    placed = places(tidy_table([followup(weights=Weights("random", seed=1))]), tables.maps)
    assert placed.rows["published_raw"].isna().all()
    (line,) = places_sentences(placed)
    assert line.startswith("timm:made_up_3.in1k (random (seed 1)) on")
    assert "published raw value" not in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"simulated": True}, "its recording is SIMULATED"),
        ({"protocol": "ours"}, "its protocol is ours: use --protocol followup"),
        ({"window": (100, 250)}, "its window is 100-250 ms: use --window followup_131_170"),
        ({"recording": "lab_V4"}, "there are no published scores on this array"),
        ({"recording": "monkey1_ML"}, "there are no published scores on this array"),
        ({"sites": ("a", "b")}, "it has 2 sites, and the published scores are those of 31"),
        ({"raw": 1.5}, "its raw value is 1.500, which is no correlation"),
        ({"ceiling": 0.7}, "its noise ceiling is 0.700, and the published one is 0.800: the maps are not those"),
    ],
)
def test_a_result_that_is_not_comparable_is_not_placed_and_the_reason_is_said(tables, given, said):
    placed = places(tidy_table([followup(**given)]), tables.maps)
    assert placed.rows.empty
    assert said in placed.notes[0]
    assert "made_up_3.in1k on" in placed.notes[0]
    assert "--protocol followup --window followup_131_170 --layers all" in placed.notes[-1]


def test_one_layer_and_another_noise_ceiling_are_said(tables):
    one = scored().arrays[0].layers[:1]
    placed = places(tidy_table([followup(layers=one, ceiling=0.79)]), tables.maps)
    assert len(placed.rows) == 1
    assert "the best of 1 layer, and" in placed.notes[0]
    assert any("was scored on one layer" in note and "--layers all" in note for note in placed.notes)
    assert any("the noise ceiling here is 0.790 and the published one 0.800" in note for note in placed.notes)


def test_a_comparison_writes_and_shows_the_places(tables, tmp_path):
    results = [followup(), followup("mine", 0.3, simulated=True)]
    comparison = compare(results, tmp_path / "out", maps=False, published=True, draws=2)
    written = pd.read_csv(tmp_path / "out" / "published_places.csv")
    assert written["rank"].tolist() == comparison.places.rows["rank"].tolist()
    assert len(written) == 1
    page = comparison.page.read_text(encoding="utf-8")
    assert "Places among published scores" in page
    assert "published_places.csv" in page
    assert "mine on Arcaro2020.monkey1_ML-followup is not placed: its recording is SIMULATED" in page
    drawn = (tmp_path / "out" / "figures" / "published_places.svg").read_text(encoding="utf-8")
    assert "as published" in drawn
    assert "scored here" in drawn


def test_a_comparison_without_the_tables_stops_before_it_writes(made_up, tmp_path, monkeypatch):
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    with pytest.raises(DataError, match="data fetch published"):
        compare([followup()], tmp_path / "out", maps=False, published=True)
    assert not (tmp_path / "out").exists()


def test_a_comparison_without_the_option_needs_no_tables(own_home, tmp_path):
    comparison = compare([followup()], tmp_path / "out", maps=False, draws=2)
    assert comparison.places is None
    assert "Places among" not in comparison.page.read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "published_places.csv").exists()


def test_all_models_are_listed_once(tables):
    assert tables.models == sorted(models(40))
