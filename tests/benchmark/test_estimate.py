"""The estimate of a score: replicates without groups of images, intervals, and what is absent."""

import numpy as np
import pytest
from scipy.stats import t as student

from brainscore_itmaps.benchmark.estimate import INTERVALS, Estimate, checked_interval, estimate_array, mean_estimate
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.ceiling import Ceiling, ceiling_of_images, ceiling_of_repeats
from brainscore_itmaps.metrics.folds import groups_left_out

IMAGES = 9
GROUPS = groups_left_out(IMAGES)


@pytest.fixture
def values(rng):
    return rng.normal(0.5, 0.1, IMAGES)


@pytest.fixture
def refits(rng):
    return np.where(GROUPS, np.nan, rng.normal(0.45, 0.1, (7, IMAGES)))


@pytest.fixture
def ceiling(rng):
    """The noise ceiling of five sites, with replicates of its own."""
    return ceiling_of_repeats(rng.uniform(0.7, 0.9, size=(IMAGES, 5)))


def of_scores(replicates, score=0.5, raw=0.4, ceiling=0.8, explained=None):
    """An estimate with these replicates."""
    explained = score * abs(score) if explained is None else explained
    return Estimate(
        raw, ceiling, score, explained=explained, replicates=np.asarray(replicates), groups=(len(replicates),),
        interval_kind="groups",
    )  # fmt: skip


def jackknife_error(replicates):
    """In a loop."""
    mean = sum(replicates) / len(replicates)
    return np.sqrt((len(replicates) - 1) / len(replicates) * sum((each - mean) ** 2 for each in replicates))


def test_replicates_leave_a_group_out_of_values_and_ceiling(values, refits, ceiling):
    """In a loop over groups and images."""
    for given in (refits, None):
        found = estimate_array(values, ceiling, given, GROUPS)
        expected = []
        for group in range(7):
            outside = [image for image in range(IMAGES) if image % 7 != group]
            mean = np.mean([values[image] if given is None else given[group, image] for image in outside])
            bound = np.mean([np.median(ceiling.site_r[image]) for image in outside])
            expected.append(mean / bound)
        np.testing.assert_allclose(found.replicates, expected, rtol=0, atol=1e-12)
        assert found.groups == (7,)


def test_the_interval_is_student_s_around_the_score(values, refits, ceiling):
    found = estimate_array(values, ceiling, refits, GROUPS)
    assert found.raw == pytest.approx(values.mean(), abs=1e-12)
    assert found.ceiling == ceiling.value
    assert found.score == pytest.approx(values.mean() / np.median(ceiling.site_r, axis=1).mean(), abs=1e-12)
    error = jackknife_error(found.replicates)
    half = student.ppf(0.975, 6) * error
    assert found.error == pytest.approx(error, abs=1e-12)
    assert found.interval == pytest.approx((found.score - half, found.score + half), abs=1e-12)
    assert found.interval_kind == "groups"
    assert found.reason == ""


@pytest.mark.parametrize("sign", [1, -1])
def test_the_explained_share_is_the_score_squared_with_its_sign(values, refits, ceiling, sign):
    found = estimate_array(sign * values, ceiling, sign * refits, GROUPS)
    assert found.explained == pytest.approx(sign * found.score**2, abs=1e-12)
    assert np.sign(found.explained) == sign


def test_the_kind_of_interval_is_kept(values, ceiling):
    for kind in INTERVALS:
        assert estimate_array(values, ceiling, None, GROUPS, kind).interval_kind == kind == checked_interval(kind)
    for wrong in ("group", "", None, 3):
        with pytest.raises(UsageError, match="There is no interval"):
            checked_interval(wrong)
    with pytest.raises(UsageError, match="Did you mean groups"):
        checked_interval("group")


def without_signal():
    """The noise ceiling of maps of noise: its reliability is 0 on average."""
    rng = np.random.default_rng(1)
    return ceiling_of_images("map", rng.normal(0, 0.2, IMAGES))


def test_a_ceiling_that_is_not_reliable_gives_no_score_but_raw(values, refits):
    nothing = without_signal()
    found = estimate_array(values, nothing, refits, GROUPS)
    assert (found.raw, found.ceiling) == (values.mean(), nothing.value)
    assert np.isnan([found.score, found.error, found.explained, *found.interval]).all()
    assert (found.replicates, found.groups, found.interval_kind) == (None, (), "")
    assert found.reason == nothing.reason
    assert found.reason.startswith("there is no reliable signal: the split-half reliability")


def test_the_published_ceiling_is_divided_by_whatever_it_is(values, refits):
    """It tests nothing."""
    low = ceiling_of_images("reference", np.random.default_rng(1).uniform(0, 0.2, IMAGES))
    found = estimate_array(values, low, refits, GROUPS)
    assert found.score == pytest.approx(values.mean() / low.value)


def test_a_replicate_that_is_undefined_leaves_no_interval_and_the_reason(values, refits, ceiling):
    refits[3, 0] = np.nan
    found = estimate_array(values, ceiling, refits, GROUPS)
    assert np.isfinite([found.raw, found.score, found.explained]).all()
    assert np.isnan([found.error, *found.interval]).all()
    assert (found.replicates, found.groups) == (None, ())
    assert found.reason == "the score is undefined without one group of images"


def test_the_mean_of_one_array_is_that_array(values, refits, ceiling):
    alone = estimate_array(values, ceiling, refits, GROUPS)
    assert mean_estimate([alone], ["images"]) is alone


def test_a_mean_over_arrays_leaves_groups_out_of_all_arrays_that_share_images(rng):
    """In a loop: two arrays share images, the third has others."""
    shared, other = rng.normal(0.5, 0.05, size=(2, 7)), rng.normal(0.4, 0.05, 5)
    arrays = [of_scores(shared[0], 0.52), of_scores(shared[1], 0.47), of_scores(other, 0.41)]
    found = mean_estimate(arrays, ["a", "a", "b"])
    expected = [(shared[0, group] + shared[1, group] + 0.41) / 3 for group in range(7)]
    expected += [(0.52 + 0.47 + other[group]) / 3 for group in range(5)]
    np.testing.assert_allclose(found.replicates, expected, rtol=0, atol=1e-12)
    assert found.groups == (7, 5)
    assert found.score == pytest.approx((0.52 + 0.47 + 0.41) / 3)
    assert (found.raw, found.ceiling) == pytest.approx((0.4, 0.8))
    assert found.explained == pytest.approx((0.52**2 + 0.47**2 + 0.41**2) / 3)
    assert (found.interval_kind, found.reason) == ("groups", "")

    variances = [jackknife_error(expected[:7]) ** 2, jackknife_error(expected[7:]) ** 2]
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 6 + variances[1] ** 2 / 4)
    half = student.ppf(0.975, freedom) * np.sqrt(sum(variances))
    assert found.error == pytest.approx(np.sqrt(sum(variances)), abs=1e-12)
    assert found.interval == pytest.approx((found.score - half, found.score + half), abs=1e-12)


def test_arrays_that_share_images_count_what_they_share_once(rng):
    """Planted: two arrays that agree are one array if they saw the same images, and two if they did not."""
    replicates = rng.normal(0.5, 0.05, 7)
    one = of_scores(replicates)
    alone = jackknife_error(replicates)
    assert mean_estimate([one, one], ["a", "a"]).error == pytest.approx(alone)
    assert mean_estimate([one, one], ["a", "b"]).error == pytest.approx(alone / np.sqrt(2))
    opposite = of_scores(1 - replicates)
    assert mean_estimate([one, opposite], ["a", "a"]).error == pytest.approx(0, abs=1e-12)
    assert mean_estimate([one, opposite], ["a", "b"]).error == pytest.approx(alone / np.sqrt(2))


def test_images_may_be_named_by_anything_that_can_be_compared(rng):
    arrays = [of_scores(rng.normal(0.5, 0.05, 7)) for _ in range(3)]
    by_name = mean_estimate(arrays, ["a", "a", "b"])
    by_files = mean_estimate(arrays, [("x", "y"), ("x", "y"), ("z",)])
    assert by_name.interval == by_files.interval
    assert by_name.interval != mean_estimate(arrays, ["a", "b", "c"]).interval


def test_a_mean_over_arrays_with_one_that_has_no_score_is_absent(rng):
    scored = of_scores(rng.normal(0.5, 0.05, 7))
    absent = Estimate(0.1, 0.02, reason="there is no reliable signal")
    lacking = Estimate(0.3, reason="two sites")
    found = mean_estimate([scored, absent], ["a", "a"])
    assert (found.raw, found.ceiling) == pytest.approx((0.25, 0.41))
    assert np.isnan([found.score, found.error, found.explained, *found.interval]).all()
    assert (found.replicates, found.reason) == (None, "there is no reliable signal")
    assert mean_estimate([absent, lacking, absent], ["a", "b", "c"]).reason == "there is no reliable signal; two sites"
    assert np.isnan(mean_estimate([scored, lacking], ["a", "a"]).ceiling)


def test_a_ceiling_is_given_for_as_many_groups_as_the_values(values, ceiling):
    assert isinstance(ceiling, Ceiling)
    assert len(ceiling.replicates) == len(GROUPS)
    with pytest.raises(ValueError, match="broadcast"):
        estimate_array(values, ceiling, None, np.eye(IMAGES, dtype=bool))
