"""Results of every kind in one tidy table, and its fits and tests."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, spearmanr
from scipy.stats import t as student
from shown import changed, scored, two_arrays
from studies import GAIN, NAMES, human, in_windows, planted, theirs

from brainscore_itmaps.benchmark.result import MEAN
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.metrics.tradeoff import change_point, envelope
from brainscore_itmaps.study.fits import BEST, findings
from brainscore_itmaps.study.table import COLUMNS, tidy_table


def write(folder, name, record):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record))


def test_a_row_says_what_its_result_says():
    result = planted()[0]
    rows = tidy_table([result]).rows
    assert tuple(rows.columns) == COLUMNS
    (row,) = rows.to_dict("records")
    for name in ("imagenet_top1", "score", "raw", "alignment"):
        assert row[name] == getattr(result, name)
    assert (row["low"], row["high"]) == result.interval
    assert (row["model"], row["group"], row["window"], row["simulated"]) == (result.model, "CNN", "100-250", True)
    assert row["ceiling"] == result.arrays[0].ceiling
    assert np.isnan(row["human_alignment"])


def test_several_arrays_have_a_row_each_and_their_mean():
    table = tidy_table([two_arrays()])
    assert list(table.rows["array"]) == ["it_maps_simulated", "narrow", MEAN]
    assert list(table.rows["simulated"]) == [True, False, True]
    assert table.estimates[2] is None
    assert table.estimates[:2] == tuple(array.estimate for array in two_arrays().arrays)


def test_every_kind_of_result_is_read_from_a_folder(tmp_path):
    result = planted()[0]
    result.save(tmp_path)
    write(tmp_path, "human", human(result, 0.4))
    write(tmp_path, "theirs", theirs(result.model, 0.5))
    write(tmp_path, "random", theirs(result.model, 0.1, weights="random (seed 1)"))
    write(tmp_path / "done", "record", {"model": "any"})
    write(tmp_path, "failures", [1, 2])
    (tmp_path / "cut.json").write_text('{"model": ')
    table = tidy_table([tmp_path, str(tmp_path)])  # twice is once
    assert list(table.rows["kind"]) == ["maps", "human", "external", "external"]
    assert list(table.rows["imagenet_top1"])[:3] == [result.imagenet_top1] * 3
    assert np.isnan(table.rows["imagenet_top1"].iloc[3])  # of random weights
    assert list(table.rows["human_alignment"])[:2] == [0.4, 0.4]
    assert len(table.troubles) == 1
    assert "cut.json cannot be read" in table.troubles[0]
    assert any("fel2022" in citation for citation in table.citations)


def test_the_human_alignment_of_other_weights_is_not_taken(tmp_path):
    result = planted()[0]
    write(tmp_path, "human", human(result, 0.4) | {"weights_sha256": "of another"})
    assert np.isnan(tidy_table([result, tmp_path]).rows["human_alignment"].iloc[0])


def test_weights_of_ones_own_have_no_published_accuracy(tmp_path):
    result = planted()[0]
    for number, weights in enumerate(("file mine.safetensors (sha256 ab)", "random (seed 1)")):
        write(tmp_path, f"human{number}", human(result, 0.4) | {"weights": weights, "weights_sha256": f"of {number}"})
    assert tidy_table([tmp_path]).rows["imagenet_top1"].isna().all()
    write(tmp_path, "same", human(result, 0.4))
    write(tmp_path, "theirs", theirs(result.model, 0.5))
    rows = tidy_table([tmp_path, changed(result, imagenet_top1=12.0)]).rows
    accuracies = rows.set_index("result")["imagenet_top1"]
    assert accuracies["same"] == 12.0  # what the result of the same weights says
    assert accuracies["theirs"] == result.imagenet_top1


def test_what_cannot_be_compared_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no results to compare"):
        tidy_table([tmp_path / "empty"])
    write(tmp_path, "other", {"any": "thing"})
    with pytest.raises(DataError, match="is not a result"):
        tidy_table([str(tmp_path / "other.json")])
    with pytest.raises(DataError, match="cannot be read"):
        tidy_table([tmp_path / "missing.json"])
    write(tmp_path, "none", theirs("a", 0.5) | {"score": None})
    with pytest.raises(DataError, match="contains no score"):
        tidy_table([tmp_path / "none.json"])


def test_fits_are_those_of_the_metrics_over_models_that_are_not_harmonized(rng):
    table = tidy_table(planted())
    (all_of_them, best) = findings(table, draws=20).fits
    rows = table.rows[table.rows["group"] != "harmonized"]
    x, y = rows["imagenet_top1"].to_numpy(), rows["score"].to_numpy()
    assert all_of_them.models == len(rows) == len(NAMES) + 2
    assert all_of_them.rank.rho == spearmanr(x, y).statistic
    assert all_of_them.point[:4] == change_point(x, y, rng, resamples=2)[:4]
    np.testing.assert_array_equal(all_of_them.edge.coefficients, envelope(x, y, rng, resamples=2).coefficients)
    assert all_of_them.over == "images and models"
    upper = rows[rows["imagenet_top1"] >= rows["imagenet_top1"].median()]
    assert (best.which, best.models) == (BEST, len(upper))
    assert best.rank.rho == pytest.approx(spearmanr(upper["imagenet_top1"], upper["score"]).statistic)


def test_of_scores_without_images_intervals_are_over_models_alone(tmp_path):
    for number, name in enumerate(NAMES):
        write(tmp_path, f"theirs{number}", theirs(f"timm:{name}", 0.3 + 0.01 * number))
    fitted = findings(tidy_table([tmp_path]), draws=20)
    assert {fit.over for fit in fitted.fits} == {"models"}
    assert len(fitted.fits_table()) == 12
    assert "not of the cloud" in " ".join(fitted.fits_table()["meaning"])


def test_too_few_models_are_not_fitted_and_it_is_said():
    fitted = findings(tidy_table(planted(NAMES[:3], ())), draws=20)
    assert fitted.fits == ()
    assert "a fit needs 5 different accuracies" in fitted.notes[0]


def test_pairs_are_tested_over_groups_of_images_with_false_discoveries_held():
    results = in_windows()
    pairs = findings(tidy_table(results), draws=20).pairs
    singles, means = pairs[pairs["baseline"] != ""], pairs[pairs["baseline"] == ""]
    assert len(singles) == 6
    assert len(means) == 3
    np.testing.assert_allclose(pairs["difference"], GAIN, atol=1e-9)
    np.testing.assert_allclose(singles["q_value"], false_discovery_control(singles["p_value"]))
    assert means["q_value"].isna().all()
    assert (singles["images"] == 14).all()
    differences = []
    for pair in singles.iloc[:2].itertuples():
        first, second = (
            next(result for result in results if (result.model, result.label) == (model, pair.asked))
            for model in (pair.model, pair.baseline)
        )
        differences.append(first.arrays[0].estimate.replicates - second.arrays[0].estimate.replicates)
        low, high, p_value = t_test(first.score - second.score, differences[-1])
        assert (pair.low, pair.high, pair.p_value) == pytest.approx((low, high, p_value), rel=1e-9)
    mean = means.iloc[0]
    assert (mean["low"], mean["high"], mean["p_value"]) == pytest.approx(t_test(GAIN, np.mean(differences, axis=0)))


def t_test(difference, replicates):
    """Of a difference and of its values without each of seven groups, by hand: interval and p value."""
    error = np.sqrt(6 / 7 * ((replicates - replicates.mean()) ** 2).sum())
    half = student.ppf(0.975, 6) * error
    return difference - half, difference + half, 2 * student.sf(abs(difference) / error, 6)


def lacking(result, **changes):
    """The same result with other fields in the estimate of its only array."""
    return replace(result, arrays=(changed(result.arrays[0], **changes),))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"replicates": None}, "one of them has no scores without groups of images"),
        ({"replicates": None, "score": np.nan}, "one of them has no score"),
        ({"interval_kind": "images"}, "their intervals are of different kinds"),
        ({"images": tuple(map(str, range(14)))}, "they were scored on different images"),
    ],
    ids=["replicates", "score", "kind", "images"],
)
def test_pairs_that_cannot_be_compared_are_not_tested_and_it_is_said(change, said):
    results = planted(NAMES[:1], ("vgg16",))
    results[-1] = lacking(results[-1], **change)
    fitted = findings(tidy_table(results), draws=20)
    assert fitted.pairs.empty
    assert f"harmonized_vgg16 and vgg16_timm_baseline are not compared on it_maps_simulated, because {said}." in (
        fitted.notes
    )


@pytest.mark.parametrize("change", [{"replicates": None}, {"interval_kind": "fixed"}, {"images": ("a",) * 14}])
def test_models_whose_images_cannot_be_drawn_together_are_drawn_alone(change):
    results = planted()
    assert {fit.over for fit in findings(tidy_table(results), draws=20).fits} == {"images and models"}
    results[0] = lacking(results[0], **change)
    assert findings(tidy_table(results), draws=20).fits[0].over == "models"


def test_results_of_two_versions_are_not_drawn_together():
    """Of version 2, replicates are of single images; of now, of groups."""
    results = planted()
    older = changed(results[0].arrays[0], replicates=np.full(14, 0.4), groups=(14,), interval_kind="")
    results[0] = replace(results[0], arrays=(older,))
    assert findings(tidy_table(results), draws=20).fits[0].over == "models"


def test_a_model_that_is_there_with_two_layers_is_told():
    one = scored()
    array = replace(one.arrays[0], layer_of_image=("layer2",) * 14)
    other = changed(one, layer="layer2", arrays=(array,))
    (trouble,) = tidy_table([one, other]).troubles
    assert "has 2 rows" in trouble


def test_the_table_is_plain(tmp_path):
    rows = tidy_table(planted()).rows
    assert set(rows.dtypes.astype(str)) <= {"float64", "object", "bool"}
    assert isinstance(rows, pd.DataFrame)
