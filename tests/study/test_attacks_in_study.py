"""Attacks in a comparison: columns, figures with arrows, and published values beside ours."""

import numpy as np
import pandas as pd
from shown import changed
from studies import NAMES, planted

from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.request import AttackRequest, ScoreRequest
from brainscore_itmaps.benchmark.result import AttackedImages, Reading, Result
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.study.compare import compare
from brainscore_itmaps.study.table import tidy_table, with_published_attacks


def attacks(model, tolerance, alignment, benchmark="ClickMe.adversarial", weights=None, attack=None, protocol="ours"):
    """A made-up result of attacks, SIMULATED: its numbers are given."""
    flat = np.zeros(2)
    attacked = AttackedImages(
        names=("a", "b"),
        labels=flat.astype(int),
        decided=flat.astype(int) + 1,
        correct=flat.astype(np.uint8) + 1,
        noise_fools=flat.astype(np.uint8),
        norms=flat + tolerance,
        norms_8_bit=flat + 2 * tolerance,
        own_map=flat + alignment,
        other_map=flat,
        images=np.zeros((2, 4, 4, 3), np.float32),
        adversarial=np.ones((2, 4, 4, 3), np.float32),
        heatmaps=np.ones((2, 4, 4), np.float32),
    )
    ends = {"raw_low": alignment - 0.1, "raw_high": alignment + 0.1}
    return Result(
        request=ScoreRequest(attack=attack or AttackRequest(), protocol=protocol),
        reading=Reading(model=model, weights=weights or Weights(sha256=model)),
        benchmark=benchmark,
        kind="adversarial",
        measure="adversarial alignment",
        estimate=Estimate(alignment, reason="no ceiling"),
        details={"tolerance": tolerance, "tolerance_low": tolerance / 2, "tolerance_high": 2 * tolerance} | ends,
        attacked=attacked,
    )


def of_same_model(result):
    return attacks(result.model, 0.2, 0.3, weights=result.weights)


def test_a_model_has_its_tolerance_and_alignment_in_every_row():
    results = planted()[:3]
    table = tidy_table([*results, of_same_model(results[0])]).rows
    rows = table[table["model"] == results[0].model]
    assert len(rows) > 1
    assert (rows["tolerance"] == 0.2).all()
    assert (rows["adversarial_alignment"] == 0.3).all()
    assert table.loc[table["model"] == results[1].model, "tolerance"].isna().all()


def test_attacks_with_other_options_or_weights_are_not_taken_for_it():
    first = planted()[0]
    others = [
        attacks(first.model, 1.0, 0.9, weights=first.weights, attack=AttackRequest(5)),
        attacks(first.model, 1.0, 0.9, weights=first.weights, protocol="published"),
        attacks(first.model, 1.0, 0.9, weights=Weights(sha256="other")),
    ]
    for other in others:
        rows = tidy_table([first, other]).rows
        assert rows.loc[rows["kind"] == "maps", "tolerance"].isna().all()


def test_a_folder_is_taken_where_it_is_the_only_one():
    first = planted()[0]
    one = attacks(first.model, 0.1, 0.2, "adversarial:mine-1", first.weights)
    two = attacks(first.model, 0.4, 0.5, "adversarial:other-2", first.weights)
    for given, expected in (([one], 0.1), ([one, two], np.nan), ([one, of_same_model(first)], 0.2)):
        rows = tidy_table([first, *given]).rows
        np.testing.assert_equal(rows.loc[rows["kind"] == "maps", "tolerance"].iloc[0], expected)


def test_published_values_stand_beside_those_of_timms_pretrained_models():
    published = pd.DataFrame({"model": ["vgg16.tv_in1k"], "tolerance": [1.456], "adversarial": [0.221]})
    given = [attacks("timm:vgg16.tv_in1k", 0.1, 0.2),
             attacks("timm:vgg16.tv_in1k", 0.1, 0.2, "mine", Weights("random", seed=0, sha256="r"))]  # fmt: skip
    rows = with_published_attacks(tidy_table(given), published).rows
    by_random = rows.set_index("random")["published_tolerance"]
    assert by_random[False] == 1.456
    assert np.isnan(by_random[True])


def test_the_comparison_draws_attacks_with_arrows_and_links_their_pages(tmp_path):
    results = planted(NAMES[:2])
    attacked = [of_same_model(result) for result in results]
    for number, each in enumerate(attacked):
        attacked[number] = changed(each, details=each.details | {"tolerance": 0.1 + number / 100})
    comparison = compare([*results, *attacked], tmp_path, maps=True, draws=20)
    stems = {file.stem for file in comparison.files}
    assert "attacks--ClickMe.adversarial" in stems
    assert any(stem.startswith("adversarial_alignment--") for stem in stems)
    assert any(stem.startswith("tolerance--") for stem in stems)
    page = comparison.page.read_text()
    assert "adversarial alignment" in page
    assert any("ClickMe.adversarial" in name for name in (file.name for file in tmp_path.glob("maps/*.html")))
