"""Ranks of models by score, by what they add to the controls, and given the controls; SIMULATED."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import false_discovery_control, kendalltau
from shown import changed, scored, two_arrays, without_score
from typer.testing import CliRunner

from brainscore_itmaps import compare, compare_results, score_features
from brainscore_itmaps.benchmark.estimate import Estimate, difference_of
from brainscore_itmaps.benchmark.result import MEAN
from brainscore_itmaps.cli.app import app
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.features.controls import control_features
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.reporting.study_controls import controls_figure
from brainscore_itmaps.study.ranking import ORDERS, _ordinal, ranking
from brainscore_itmaps.study.table import tidy_table


def estimate(value, spread=0.003, seed=0, ceiling=0.5):
    """An estimate whose replicates differ from it by ``spread``, otherwise in each model and number."""
    replicates = value + np.random.default_rng([seed, abs(int(1000 * value))]).normal(0, spread, 7)
    return Estimate(value * ceiling, ceiling, value, (value - 0.1, value + 0.1), 0.05, replicates=replicates,
                    groups=(7,), interval_kind="groups")  # fmt: skip


def model(name, score, unique, given=None, without=None, control=0.4, spread=0.003, best="contrast", **more):
    """A result with these numbers on one array, whose controls are position and ``best``."""
    result = scored()
    seed = sum(name.encode())
    given, without = unique if given is None else given, unique if without is None else without
    numbers = {
        "estimate": estimate(score, spread, seed),
        "controls": {"position": estimate(0.01), best: estimate(control)},
        "added": {"unique": estimate(unique, spread, seed + 1), "given_controls": estimate(given, spread, seed + 2),
                  "without_typical_map": estimate(without, spread, seed + 3)},
    }  # fmt: skip
    array = replace(result.arrays[0], **numbers)
    weights = more.pop("weights", Weights("pretrained", source=name, sha256=name.encode().hex().ljust(64, "0")))
    return changed(replace(result, arrays=(array,), **numbers), model=name, weights=weights, **more)


def without_controls(result):
    """A result of an earlier version."""
    none = {"controls": {}, "added": {}, "null": None}
    return replace(result, arrays=tuple(replace(array, **none) for array in result.arrays), **none)


THREE = [("alexnet", 0.9, 0.01), ("vgg16", 0.6, 0.2), ("resnet50", 0.5, 0.1)]


def sentences(ranked):
    return " ".join(line for lines in ranked.sentences.values() for line in lines)


def test_ranks_and_changes_are_those_of_scipy():
    rng = np.random.default_rng(3)
    numbers = rng.uniform(0.1, 0.9, (9, 4))
    ranked = ranking(tidy_table([model(f"model{number}", *row) for number, row in enumerate(numbers)]))
    rows = ranked.rows.set_index("model").loc[[f"model{number}" for number in range(9)]]
    for name, column in zip(("score", *ORDERS), numbers.T, strict=True):
        expected = (-column).argsort().argsort() + 1
        assert list(rows[f"rank_{name}"]) == list(expected)
    for order, column in zip(ORDERS, numbers.T[1:], strict=True):
        (row,) = ranked.orders[ranked.orders["order"] == order].to_dict("records")
        assert row["tau"] == pytest.approx(kendalltau(numbers[:, 0], column).statistic)
        assert (row["models"], row["pairs"]) == (9, 36)
        discordant = round(36 * (1 - row["tau"]) / 2)  # without ties
        assert row["changed"] == discordant == (ranked.changes["order"] == order).sum()
    assert set(ranked.changes["score_difference"] > 0) == {True}
    assert set(ranked.changes["difference"] < 0) == {True}


def test_the_sentence_says_which_models_move_and_which_pairs_are_distinguishable():
    ranked = ranking(tidy_table([model(*each) for each in THREE]))
    text = sentences(ranked)
    assert "On it_maps_simulated, the order changes: alexnet is 1st by score and 3rd by what it adds to" in text
    assert ("2 of 3 pairs of models change places (Kendall's tau -0.33), distinguishably: alexnet and vgg16, "
            "alexnet and resnet50.") in text  # fmt: skip
    unsure = ranking(tidy_table([model(*each, spread=0.2) for each in THREE]))
    assert "2 of 3 pairs of models change places (Kendall's tau -0.33), within the uncertainty." in sentences(unsure)
    assert set(unsure.orders["distinguishable"]) == {0}


def test_a_pair_is_tested_by_both_differences_over_all_pairs():
    results = [model(*each, spread=0.05) for each in THREE]
    changes = ranking(tidy_table(results)).changes.query("order == 'unique'")
    by_name = {result.model: result for result in results}
    largest = []
    for change in changes.to_dict("records"):
        first, second = by_name[change["first"]], by_name[change["second"]]
        by_score = difference_of(first.estimate, second.estimate)
        by_unique = difference_of(first.added["unique"], second.added["unique"])
        assert (change["score_p_value"], change["p_value"]) == (by_score.p_value, by_unique.p_value)
        largest.append(max(by_score.p_value, by_unique.p_value))
    np.testing.assert_allclose(changes["q_value"], false_discovery_control([*largest, 1.0])[:2])


def test_models_on_other_images_change_places_without_a_test():
    (first, second, _) = (model(*each) for each in THREE)
    other = tuple(f"other {number}" for number in range(14))
    second = replace(second, arrays=(replace(second.arrays[0], images=other),))
    ranked = ranking(tidy_table([first, second]))
    assert ranked.changes["q_value"].isna().all()
    assert "within the uncertainty" in sentences(ranked)


def test_where_no_order_changes_it_is_said_once():
    ranked = ranking(tidy_table([model("vgg16", 0.6, 0.2), model("alexnet", 0.5, 0.1)]))
    assert sentences(ranked).count("no order changes: none of 2 models overtakes another") == 1
    assert "the order changes" not in sentences(ranked)
    assert ranked.changes.empty
    assert set(ranked.orders["tau"]) == {1.0}
    tied = ranking(tidy_table([model("vgg16", 0.6, 0.1), model("alexnet", 0.5, 0.1)]))
    assert tied.changes.empty
    assert list(tied.rows["rank_unique"]) == [1, 1]


def test_models_whose_best_control_reaches_their_score_are_listed_by_control():
    results = [model("vgg16", 0.6, 0.2), model("alexnet", 0.4, 0.1),
               model("resnet50", 0.3, 0.0, control=0.35, best="random_weights")]  # fmt: skip
    ranked = ranking(tidy_table(results))
    assert ("the best control reaches the score of 2 of 3 models: contrast reaches alexnet; random_weights reaches "
            "resnet50.") in sentences(ranked)  # fmt: skip
    assert list(ranked.rows["reached"]) == [False, True, True]
    assert "no control reaches the score of any of 1 model." in sentences(ranking(tidy_table(results[:1])))


def test_models_without_these_numbers_are_named_and_not_ranked():
    results = [*(model(*each) for each in THREE), without_controls(model("old", 0.7, 0.1)),
               without_score(model("unreliable", 0.8, 0.1))]  # fmt: skip
    ranked = ranking(tidy_table(results))
    assert "old" not in set(ranked.rows["model"])
    assert ranked.rows.set_index("model")["rank_score"].isna().to_dict()["unreliable"]
    assert list(ranked.rows["rank_score"].dropna()) == [1, 2, 3]
    (note,) = ranked.notes
    assert note.endswith("absent: old, unreliable.")
    (nothing,) = ranking(tidy_table(map(without_controls, results))).notes
    assert "not ranked on it_maps_simulated" in nothing
    assert "Without a noise ceiling there is no score" in nothing


def test_a_model_without_one_of_the_numbers_has_its_other_ranks():
    first, second, third = (model(*each) for each in THREE)
    absent = dict(second.added) | {"without_typical_map": Estimate(reason="the noise ceiling is not reliable")}
    second = replace(second, arrays=(replace(second.arrays[0], added=absent),), added=absent)
    ranked = ranking(tidy_table([first, second, third]))
    assert ranked.notes == ("On it_maps_simulated, without a rank by its score without the typical map: vgg16.",)
    row = ranked.rows.set_index("model").loc["vgg16"]
    assert (row["rank_score"], row["rank_unique"]) == (2, 1)
    assert ranked.rows["rank_without_typical_map"].isna().sum() == 1
    assert ranked.orders.set_index("order")["models"].to_dict() == {"unique": 3, "given_controls": 3,
                                                                    "without_typical_map": 2}  # fmt: skip


def test_attribution_is_compared_with_controls_alone():
    result = changed(model("vgg16", 0.3, 0.1), measure="attribution")
    array = replace(result.arrays[0], added={})
    ranked = ranking(tidy_table([replace(result, arrays=(array,), added={})]))
    assert ranked.notes == ()
    assert "(EXPERIMENTAL), the best control reaches the score of 1 of 1 model: contrast reaches vgg16." in (
        sentences(ranked)
    )
    assert ranked.rows["rank_score"].isna().all()


def test_older_results_have_empty_columns_in_the_table(tmp_path):
    without_controls(model("old", 0.7, 0.1)).save(tmp_path)
    (row,) = tidy_table([tmp_path, model("new", 0.6, 0.2)]).rows.query("model == 'old'").to_dict("records")
    assert row["best_control"] == ""
    assert np.isnan([row[name] for name in ("control_raw", "control_score", "unique", "unique_low", "p_value")]).all()


def test_several_layers_of_a_model_and_random_weights_are_ranked_separately():
    def read(layer, *numbers, **more):
        result = model("resnet50", *numbers, **more)
        array = replace(result.arrays[0], layer_of_image=(layer,) * 14)
        return changed(result, layer=layer, arrays=(array,))

    random = Weights("random", seed=1, sha256="0" * 64)
    results = [read("layer3", 0.6, 0.1), read("layer4", 0.5, 0.2), model("vgg16", 0.4, 0.3, weights=random)]
    ranked = ranking(tidy_table(results))
    text = sentences(ranked)
    assert "resnet50, layer3 is 1st by score and 3rd by what it adds" in text
    assert "vgg16 (random (seed 1)) is 3rd by score and 1st" in text
    assert list(ranked.rows["rank_unique"]) == [3, 2, 1]


def test_a_mean_over_arrays_is_ranked_as_a_panel():
    results = []
    for name, score, unique in THREE:
        result = model(name, score, unique)
        results.append(replace(result, arrays=(result.arrays[0], replace(result.arrays[0], recording="narrow"))))
    ranked = ranking(tidy_table(results))
    assert list(dict.fromkeys(ranked.rows["array"])) == ["it_maps_simulated", "narrow", MEAN]
    assert list(ranked.sentences) == [
        "it_maps_simulated", "it_maps_simulated, narrow", "it_maps_simulated, mean over arrays"]  # fmt: skip
    assert (ranked.orders["distinguishable"] == 2).all()
    assert two_arrays().arrays[1].recording == "narrow"


def test_of_many_models_a_sentence_names_a_few():
    numbers = np.linspace(0.9, 0.1, 12)
    ranked = ranking(tidy_table([model(f"model{n:02}", score, 1 - score) for n, score in enumerate(numbers)]))
    line = ranked.sentences["it_maps_simulated"][0]
    assert line.count(" by score and ") == 4
    assert "; 8 more models move. " in line
    assert "66 of 66 pairs of models change places" in line
    assert re.search(r"\), distinguishably: (model\d+ and model\d+, ){4}62 more\.$", line)


def test_ranks_are_written_as_people_write_them():
    assert [_ordinal(number) for number in (1, 2, 3, 4, 11, 12, 22)] == ["1st", "2nd", "3rd", "4th", "11th", "12th",
                                                                        "22nd"]  # fmt: skip


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Nine images of smooth noise, whose contrast differs between places."""
    rng, folder, files = np.random.default_rng(5), tmp_path_factory.mktemp("images"), []
    for number in range(9):
        noise = rng.integers(0, 256, (96, 96)) - 128
        window = np.asarray(Image.fromarray(rng.uniform(0, 1, (5, 5)).astype(np.float32)).resize((96, 96)))
        file = folder / f"SIMULATED-{number}.png"
        Image.fromarray((128 + noise * window).clip(0, 255).astype(np.uint8)).convert("RGB").save(file)
        files.append(file)
    return tuple(files)


@pytest.fixture(scope="module")
def truth(photographs):
    """Results of three SIMULATED models: mostly contrast, a part of the maps that no control has, and noise.

    Maps are contrast plus a smaller part that images do not show. The first model therefore predicts more of them, and
    the second adds more to the controls.
    """
    rng, grid = np.random.default_rng(6), Grid.even((7, 6), extent=(8, 8))
    contrast = control_features(photographs, grid)["contrast"]
    contrast = (contrast - contrast.mean(axis=(0, 1, 2))) / contrast.std(axis=(0, 1, 2))
    hidden = rng.normal(size=(9, 7, 6, 2))
    maps = contrast @ rng.uniform(0.2, 0.5, (3, 5)) + 0.4 * hidden @ rng.normal(0, 0.7, (2, 5))
    repeats = maps[:, None] + rng.normal(0, 0.3, (9, 4, 7, 6, 5))
    recording = Recording(
        identifier="SIMULATED-contrast", maps=repeats.mean(axis=1), images=photographs, grid=grid, window=(0, 100),
        subject="SIMULATED", area="none", sites=tuple(f"site-{site}" for site in range(5)), sha256="0" * 64,
        citation="SIMULATED", simulated=True, repeats=repeats,
    )  # fmt: skip
    noise = rng.normal(size=(9, 7, 6, 3))
    fields = {"contrast_and_noise": np.concatenate([contrast, 0.3 * noise], axis=-1), "hidden": hidden, "noise": noise}
    results = []
    for number, (name, field) in enumerate(fields.items()):
        weights = Weights("random", seed=number) if name == "noise" else Weights("pretrained", source=name)
        results.append(changed(score_features(field, recording), model=name, weights=weights))
    return results


@pytest.fixture(scope="module")
def compared(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    for result in truth:
        result.save(folder / "results")
    return compare(folder / "results", folder / "out", draws=20, maps=False)


def test_a_model_that_adds_more_overtakes_a_model_of_contrast(compared):
    rows = compared.ranking.rows.set_index("model")
    assert list(rows.index) == ["contrast_and_noise", "hidden", "noise"]
    assert rows["rank_unique"]["hidden"] == rows["rank_given_controls"]["hidden"] == 1
    assert rows["unique_low"]["hidden"] > 0
    assert rows["unique_high"]["contrast_and_noise"] < rows["unique_low"]["hidden"]
    assert set(rows["best_control"]) == {"contrast"}
    changes = compared.ranking.changes.set_index(["order", "first", "second"])["q_value"]
    assert changes["unique", "contrast_and_noise", "hidden"] < 0.05
    assert re.search("order changes: .*hidden is 2nd by score and 1st by what it adds to the controls",
                     sentences(compared.ranking))  # fmt: skip


def test_the_files_and_the_page_have_the_ranks(compared):
    folder = compared.page.parent
    written = {name: pd.read_csv(folder / f"{name}.csv") for name in ("ranking", "ranking_orders", "ranking_changes")}
    assert list(written["ranking"]["rank_unique"]) == list(compared.ranking.rows["rank_unique"])
    np.testing.assert_allclose(written["ranking_orders"]["tau"], compared.ranking.orders["tau"])
    np.testing.assert_allclose(written["ranking_changes"]["q_value"], compared.ranking.changes["q_value"])
    stored = pd.read_parquet(folder / "table.parquet")
    assert stored["unique"].dtype == float
    np.testing.assert_allclose(stored["unique"], compared.ranking.rows["unique"])
    page = unescape(compared.page.read_text())
    for line in compared.ranking.sentences[compared.ranking.rows["panel"].iloc[0]]:
        assert line in page
    assert "<td>noise (random (seed 2)) \N{DAGGER}</td>" in page
    hidden = compared.ranking.rows.set_index("model").loc["hidden"]
    assert f"<td>{hidden['score']:.3f} (2)</td><td>contrast {hidden['control_score']:.3f}</td>" in page
    assert f"<td>{hidden['unique']:.3f} (1)</td>" in page
    assert len(list((folder / "figures").glob("controls--*.svg"))) == 1


def test_the_command_prints_the_ranks(truth, tmp_path):
    for result in truth:
        result.save(tmp_path / "results")
    command = ["compare", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--no-maps"]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "180"}, terminal_width=180)
    assert done.exit_code == 0, done.output
    assert "ranks      On SIMULATED-contrast, the order changes: " in done.output
    cells = [line.split("│") for line in done.output.splitlines() if "contrast 0." in line]
    assert [row[1].strip() for row in cells] == ["contrast_and_noise", "hidden", "noise (random (seed 2))"]
    assert cells[1][-2].strip().startswith("2, 1, 1")


def drawn(axis, name):
    return {tuple(point) for line in axis.lines if line.get_markerfacecolor() == name for point in line.get_xydata()}


def test_points_below_their_best_control_are_hollow():
    results = [model("vgg16", 0.6, 0.2), model("alexnet", 0.3, 0.1),
               model("resnet50", 0.5, 0.0, control=0.55, best="random_weights"),
               model("resnet18", 0.7, 0.05, control=0.65, best="random_weights")]  # fmt: skip
    rows = tidy_table(results).rows
    figure = controls_figure(rows)
    (axis,) = figure.axes
    assert {(0.1, 0.3), (0.0, 0.5)} <= drawn(axis, "white")
    assert not {(0.2, 0.6), (0.05, 0.7)} & drawn(axis, "white")
    levels = {tuple(line.get_ydata()) for line in axis.lines if line.get_label() == "best control: contrast"}
    assert levels == {(0.4, 0.4)}
    bars = [line for line in axis.lines if line.get_label() == "best control: random_weights"]
    assert sorted(map(tuple, bars[0].get_xydata())) == [(0.0, 0.55), (0.05, 0.65)]
    assert min(text.get_fontsize() for text in figure.legends[0].get_texts()) >= 7


def test_differences_of_few_models_are_those_of_the_paired_test():
    first, second = scored(), changed(scored(), model="timm:another")
    wobble = 0.01 * np.arange(second.estimate.replicates.shape[-1])  # so that the difference varies over groups
    other = changed(second.estimate, score=second.score - 0.1, replicates=second.estimate.replicates - 0.1 - wobble)
    second = changed(second, estimate=other, arrays=(changed(second.arrays[0], estimate=other),))
    test = compare_results(first, second)
    (text,) = [
        sentence
        for sentences in ranking(tidy_table([first, second])).sentences.values()
        for sentence in sentences
        if "paired differences" in sentence
    ]
    low, high, _ = test.interval
    assert f"seed 1)) {test.difference:+.3f} ({low:+.3f} to {high:+.3f}), p = {test.p_value:.2g}" in text
