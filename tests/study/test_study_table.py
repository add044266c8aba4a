"""Results of every kind in one tidy table, and its fits and tests."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edited import rewrite
from scipy.stats import false_discovery_control, spearmanr
from shown import changed, scored, two_arrays
from studies import GAIN, NAMES, human, in_windows, planted, theirs

from brainscore_itmaps.benchmark.estimate import difference_of
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
    assert table.estimates[0].groups == (7,)


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


def test_maps_of_other_people_do_not_replace_the_human_alignment_on_clickme(tmp_path):
    result = planted()[0]
    own = human(result, 0.9) | {"benchmark": "our_clicks"}
    for names in ("ab", "ba"):
        write(tmp_path / names, names[0], human(result, 0.4))
        write(tmp_path / names, names[1], own)
        assert list(tidy_table([result, tmp_path / names]).rows["human_alignment"]) == [0.4] * 3


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


def test_pairs_are_tested_over_images_with_false_discoveries_held():
    table = tidy_table(in_windows())
    pairs = findings(table, draws=20).pairs
    singles, means = pairs[pairs["baseline"] != ""], pairs[pairs["baseline"] == ""]
    assert len(singles) == 6
    assert len(means) == 3
    np.testing.assert_allclose(pairs["difference"], GAIN, atol=1e-9)
    np.testing.assert_allclose(singles["q_value"], false_discovery_control(singles["p_value"]))
    assert means["q_value"].isna().all()
    first = singles.iloc[0]
    rows = table.rows[table.rows["asked"] == first["asked"]]
    model, baseline = (
        table.estimates[index]
        for name in (first["model"], first["baseline"])
        for index in rows.index[rows["model"] == name]
    )
    comparison = difference_of(model, baseline)
    assert (first["p_value"], first["low"]) == (comparison.p_value, comparison.interval.low)


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


def test_a_result_of_an_unknown_protocol_is_named_and_the_others_are_kept(tmp_path):
    good, other = planted()[:2]
    good.save(tmp_path)
    other.save(tmp_path)
    file = tmp_path / f"{other.file_stem}.json"
    record = json.loads(file.read_text())
    record["request"]["protocol"] = "nope"
    rewrite(file, record)
    table = tidy_table([tmp_path])
    assert list(table.rows["model"]) == [good.model]
    assert f"{file.name} names an unknown protocol, 'nope'" in table.troubles[0]


def test_results_of_one_name_in_two_studies_are_both_there_and_named(tmp_path):
    first, other = planted()[0], replace(planted()[0], notes=("scored again",))
    for study, result in (("a", first), ("b", other)):
        result.save(tmp_path / study)
    table = tidy_table([tmp_path / "a", tmp_path / "b"])
    assert list(table.rows["result"].unique()) == [first.file_stem, f"{first.file_stem}--2"]
    assert len(table.sources) == 2
    (told,) = [text for text in table.troubles if "has the name of" in text]
    assert str(tmp_path / "b" / f"{first.file_stem}.json") in told
    assert f"this one as {first.file_stem}--2" in told
    assert any("each row counts as a model" in text for text in table.troubles)


def test_a_result_that_is_there_twice_counts_once_and_is_named(tmp_path):
    result = planted()[0]
    result.save(tmp_path / "a")
    result.save(tmp_path / "b")
    table = tidy_table([tmp_path / "a", tmp_path / "b", result])
    assert len(table.rows["result"].unique()) == 1
    (told,) = [text for text in table.troubles if "count once" in text]
    assert str(tmp_path / "b") in told
    assert len(tidy_table([tmp_path / "a", tmp_path / "a", tmp_path / "a" / f"{result.file_stem}.json"]).troubles) == 0


def test_files_of_killed_runs_are_not_counted(tmp_path):
    result = planted()[0]
    file, *_ = result.save(tmp_path)
    hidden = tmp_path / ".writing-ab12"
    hidden.mkdir()
    for name in (hidden / "other.json", tmp_path / ".other.json"):
        name.write_bytes(file.read_bytes())
    table = tidy_table([tmp_path])
    assert list(table.rows["result"].unique()) == [result.file_stem]
    assert not table.troubles
