"""Estimates of arrays, and of their mean: score, interval, and what is left out for it."""

import numpy as np
import pytest
from scipy.stats import t as student

from brainscore_itmaps.benchmark.estimate import (
    Estimate,
    checked_interval,
    difference_of,
    estimate_array,
    mean_estimate,
)
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.ceiling import ceiling_of_repeats
from brainscore_itmaps.metrics.folds import groups_left_out
from brainscore_itmaps.metrics.inference import variance_of_pairs


def estimated(rng, images=14, sites=5, groups=7, refits=True):
    """An estimate of random values, with what it was made of."""
    left_out = groups_left_out(images, groups)
    ceiling = ceiling_of_repeats(rng.uniform(0.6, 0.9, (images, sites)), groups)
    values = rng.normal(0.5, 0.1, images)
    refitted = np.where(left_out, np.nan, values + rng.normal(0, 0.05, left_out.shape)) if refits else None
    return estimate_array(values, ceiling, refitted, left_out), values, ceiling, refitted, left_out


@pytest.mark.parametrize("images", [4, 9, 14, 32])
@pytest.mark.parametrize("refits", [True, False])
def test_each_group_is_left_out_of_values_and_ceiling(rng, images, refits):
    found, values, ceiling, refitted, left_out = estimated(rng, images, refits=refits)
    assert (found.raw, found.ceiling) == (values.mean(), ceiling.value)
    assert found.score == values.mean() / ceiling.value
    assert found.explained == pytest.approx(found.score**2)
    expected = []
    for group, out in enumerate(left_out):
        kept = (values if refitted is None else refitted[group])[~out]
        expected.append(kept.mean() / np.median(ceiling.site_r, axis=1)[~out].mean())
    np.testing.assert_allclose(found.replicates, expected)
    assert found.groups == (min(images, 7),)
    variance = (len(expected) - 1) * np.var(expected)
    if refits:
        variance = max(variance - variance_of_pairs(found.changes) / 4, variance / 2)
    half = student.ppf(0.975, len(expected) - 1) * np.sqrt(variance)
    np.testing.assert_allclose(found.interval, (found.score - half, found.score + half))
    assert found.error == pytest.approx(np.sqrt(variance))


def test_the_explained_share_of_a_negative_score_is_negative(rng):
    _, values, ceiling, _, left_out = estimated(rng)
    found = estimate_array(-values, ceiling, None, left_out)
    assert found.explained == pytest.approx(-(found.score**2))


def test_arrays_that_share_images_leave_out_the_same_groups(rng):
    first, second, third = (estimated(rng, images)[0] for images in (14, 14, 9))
    mean = mean_estimate([first, second, third], ["a", "a", "b"])
    for name in ("raw", "ceiling", "score", "explained"):
        assert getattr(mean, name) == pytest.approx(np.mean([getattr(each, name) for each in (first, second, third)]))
    shared = (first.replicates + second.replicates + third.score) / 3
    own = (first.score + second.score + third.replicates) / 3
    np.testing.assert_allclose(mean.replicates, np.concatenate([shared, own]))
    np.testing.assert_allclose(mean.changes[:7], (first.changes + second.changes) / 3)
    np.testing.assert_allclose(mean.changes[7:], third.changes / 3)
    assert mean.groups == (7, 7)


def test_what_arrays_share_counts_once_if_they_saw_the_same_images(rng):
    """Planted: two equal arrays are one array if they saw the same images, and independent if they did not."""
    one = estimated(rng)[0]
    same, apart = (mean_estimate([one, one], images) for images in (["a", "a"], ["a", "b"]))
    assert same.error == pytest.approx(one.error)
    assert apart.error == pytest.approx(one.error / np.sqrt(2))
    assert same.interval == pytest.approx(one.interval)
    assert np.diff(apart.interval) < np.diff(same.interval) / np.sqrt(2)  # and there are more degrees of freedom


def test_the_mean_of_one_array_is_that_array(rng):
    one = estimated(rng)[0]
    assert mean_estimate([one], ["a"]) is one


def test_the_mean_of_arrays_is_absent_if_one_is(rng):
    one, absent = estimated(rng)[0], Estimate(0.1, 0.02, reason="there is no reliable signal")
    mean = mean_estimate([one, absent], ["a", "a"])
    assert np.isnan([mean.score, *mean.interval, mean.explained]).all()
    assert (mean.raw, mean.reason) == (pytest.approx((one.raw + 0.1) / 2), "there is no reliable signal")


def test_differences_are_those_of_scores_without_each_group(rng):
    first, second = (estimated(rng)[0] for _ in range(2))
    found = difference_of(first, second)
    replicates, changes = first.replicates - second.replicates, first.changes - second.changes
    variance = 6 * np.var(replicates)
    error = np.sqrt(max(variance - variance_of_pairs(changes) / 4, variance / 2))
    assert found.interval.error == pytest.approx(error)
    assert found.p_value == pytest.approx(2 * student.sf(abs(found.difference) / error, 6))
    assert difference_of(first, first).p_value == 1
    assert difference_of(first, Estimate(0.1, reason="no ceiling")) is None


def test_kinds_of_intervals_are_named():
    assert checked_interval("groups") == "groups"
    with pytest.raises(UsageError, match="Did you mean images"):
        checked_interval("image")
