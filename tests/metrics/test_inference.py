import numpy as np
import pytest
from scipy.stats import bootstrap, norm, ttest_1samp, ttest_rel

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import groups_left_out
from brainscore_itmaps.metrics.inference import (
    COUNTED_TWICE,
    bootstrap_over_images,
    changes_of_groups,
    compare_replicates,
    control_false_discoveries,
    jackknife_interval,
    jackknife_spread,
    mean_without,
    p_value_of_draws,
    p_values_of_pairs,
    variance_of_pairs,
)


def test_interval_and_error_of_a_mean_are_the_textbook_s(rng):
    values = rng.normal(2, 3, 400)
    low, high, error = bootstrap_over_images(np.mean, values, rng=np.random.default_rng(0))
    expected = values.std() / np.sqrt(len(values))
    assert error == pytest.approx(expected, rel=0.03)
    assert low == pytest.approx(values.mean() - norm.ppf(0.975) * expected, abs=0.1 * expected)
    assert high == pytest.approx(values.mean() + norm.ppf(0.975) * expected, abs=0.1 * expected)


def test_images_are_drawn_together(rng):
    values = rng.normal(size=14)

    def ratio(a, b, axis=-1):
        return a.mean(axis=axis) / b.mean(axis=axis)

    low, high, error = bootstrap_over_images(ratio, 3 * values, values, rng=np.random.default_rng(0))
    assert (low, high) == (pytest.approx(3), pytest.approx(3))
    assert error == pytest.approx(0, abs=1e-12)


def test_intervals_are_scipy_s_percentiles_of_the_same_draws(rng):
    values = rng.normal(size=9)
    interval = bootstrap_over_images(np.mean, values, rng=np.random.default_rng(3), resamples=500)
    oracle = bootstrap((values,), np.mean, n_resamples=500, method="percentile", rng=3)
    expected = (*oracle.confidence_interval, oracle.standard_error)
    np.testing.assert_allclose(interval, expected, rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_interval(rng):
    values = rng.normal(size=14)
    first, second, other = (
        bootstrap_over_images(np.mean, values, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_a_value_that_is_missing_leaves_no_interval(rng):
    assert np.isnan(bootstrap_over_images(np.mean, np.array([1.0, np.nan, 2.0]), rng=rng)).all()


def test_one_image_or_one_draw_is_refused(rng):
    with pytest.raises(ArrayError, match="give no interval"):
        bootstrap_over_images(np.mean, np.ones(1), rng=rng)
    with pytest.raises(ArrayError, match="give no interval"):
        bootstrap_over_images(np.mean, np.ones(3), rng=rng, resamples=1)
    with pytest.raises(ArrayError, match="not between 0 and 1"):
        control_false_discoveries([0.5, 1.5])


def without_each(values, groups):
    """The mean of values without each group, in a loop."""
    return np.array([values[~left_out].mean() for left_out in groups])


@pytest.mark.parametrize("images", [4, 7, 9, 14, 32])
def test_means_without_groups_leave_out_their_images(rng, images):
    values, groups = rng.normal(size=images), groups_left_out(images)
    np.testing.assert_allclose(mean_without(values, groups), without_each(values, groups))
    refits = rng.normal(size=groups.shape)
    refits[groups] = np.nan  # the images of the group itself have no value
    expected = [row[~left_out].mean() for row, left_out in zip(refits, groups, strict=True)]
    np.testing.assert_allclose(mean_without(refits, groups), expected)


def test_with_single_images_it_is_the_t_interval_of_a_mean(rng):
    values = rng.normal(0.5, 0.2, size=14)
    interval = jackknife_interval(values.mean(), without_each(values, np.eye(14, dtype=bool)), [14])
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(interval, (*expected, values.std(ddof=1) / np.sqrt(14)))


def test_with_groups_it_is_the_t_interval_of_the_means_of_groups(rng):
    values, groups = rng.normal(0.5, 0.2, size=14), groups_left_out(14)
    means = np.array([values[group].mean() for group in groups])
    interval = jackknife_interval(values.mean(), without_each(values, groups), [7])
    np.testing.assert_allclose(interval[:2], ttest_1samp(means, 0).confidence_interval(0.95))


def test_sets_of_images_add_their_variances_as_welch_does(rng):
    """The difference of two means over other images is Welch's test."""
    first, second = rng.normal(0.5, 0.2, size=14), rng.normal(0.3, 0.5, size=9)
    replicates = np.concatenate([
        without_each(first, np.eye(14, dtype=bool)) - second.mean(),
        first.mean() - without_each(second, np.eye(9, dtype=bool)),
    ])  # fmt: skip
    spread = jackknife_spread(replicates, [14, 9])
    variances = np.array([first.var(ddof=1) / 14, second.var(ddof=1) / 9])
    assert spread.error == pytest.approx(np.sqrt(variances.sum()))
    assert spread.freedom == pytest.approx(variances.sum() ** 2 / (variances**2 / [13, 8]).sum())


def test_a_difference_of_replicates_is_tested_as_pairs_are(rng):
    first, second = rng.normal(size=(2, 14))
    everything = np.eye(14, dtype=bool)
    found = compare_replicates(
        first.mean() - second.mean(), without_each(first, everything) - without_each(second, everything), [14]
    )
    assert found.p_value == pytest.approx(ttest_rel(first, second).pvalue)
    assert (found.p_value < 0.05) == (found.interval.low > 0 or found.interval.high < 0)
    assert found.difference == pytest.approx(np.mean(first - second))


@pytest.mark.parametrize(("difference", "p_value"), [(0.0, 1.0), (0.25, 0.0)])
def test_a_difference_without_any_spread_is_certain(difference, p_value):
    assert compare_replicates(difference, np.full(7, difference), [7]).p_value == p_value


def test_what_is_specific_to_pairs_of_groups_is_the_residual_of_two_factors(rng):
    """Least squares with a term for each row and column, in a loop over the off-diagonal."""
    changes = rng.normal(size=(7, 7)) + rng.normal(size=7) + rng.normal(size=(7, 1))
    cells = [(row, column) for row in range(7) for column in range(7) if row != column]
    design = np.zeros((42, 14))
    for number, (row, column) in enumerate(cells):
        design[number, row] = design[number, 7 + column] = 1
    values = np.array([changes[cell] for cell in cells])
    residual = values - design @ np.linalg.pinv(design) @ values
    assert variance_of_pairs(changes) == pytest.approx((residual**2).sum() / (42 - 13))
    draws = [variance_of_pairs(0.3 * rng.normal(size=(7, 7)) + rng.normal(size=7)) for _ in range(300)]
    assert np.mean(draws) == pytest.approx(0.09, rel=0.05)


def test_a_share_of_what_is_specific_to_pairs_is_subtracted_but_never_more_than_half(rng):
    replicates, changes = 0.5 + 0.05 * rng.normal(size=7), 0.02 * rng.normal(size=(7, 7))
    plain, corrected = jackknife_spread(replicates, [7]), jackknife_spread(replicates, [7], changes)
    assert corrected.error**2 == pytest.approx(plain.error**2 - COUNTED_TWICE * variance_of_pairs(changes))
    assert jackknife_spread(replicates, [7], 100 * changes).error ** 2 == pytest.approx(plain.error**2 / 2)
    assert corrected.freedom == plain.freedom == 6
    both = np.full((12, 7), np.nan)
    both[:7], both[7:, :5] = changes, changes[:5, :5]
    two = jackknife_spread(np.concatenate([replicates, replicates[:5]]), [7, 5], both)
    parts = [corrected.error**2, jackknife_spread(replicates[:5], [5], changes[:5, :5]).error ** 2]
    assert two.error**2 == pytest.approx(sum(parts))


def test_changes_of_groups_are_differences_of_their_means(rng):
    groups, values = groups_left_out(9), rng.normal(size=9)
    refits = np.where(groups, np.nan, rng.normal(size=(7, 9)))
    found = changes_of_groups(values, refits, groups)
    for row in range(7):
        for column in range(7):
            expected = np.nan if row == column else (refits[row] - values)[groups[column]].mean()
            np.testing.assert_allclose(found[row, column], expected)


def test_replicates_that_do_not_fit_are_refused():
    for groups in ([6], [7, 1], [], [1, 6]):
        with pytest.raises(ArrayError, match="replicates are not those of sets"):
            jackknife_spread(np.ones(7), groups)
    with pytest.raises(ArrayError, match="not finite"):
        compare_replicates(0.1, [0.1, np.nan, 0.2], [3])
    assert np.isnan(jackknife_interval(0.1, [0.1, np.nan, 0.2], [3])).all()


def test_p_values_of_draws_agree_with_their_interval(rng):
    for shift in (-3, -2.2, -1.5, 0, 1.5, 2.2, 3):
        draws = rng.normal(shift, 1, 4000)
        low, high = np.percentile(draws, [2.5, 97.5])
        assert (p_value_of_draws(draws) < 0.05) == (low > 0 or high < 0)
        assert p_value_of_draws(draws) == pytest.approx(2 * norm.sf(abs(shift)), abs=0.03)
    assert np.isnan(p_value_of_draws(np.full(5, np.nan)))
    assert p_value_of_draws(np.zeros(99)) == 1


def test_false_discoveries_are_controlled_by_the_textbook_s_steps():
    p_values = np.array([0.01, 0.04, 0.03, np.nan, 0.5])
    np.testing.assert_allclose(control_false_discoveries(p_values), [0.04, 0.16 / 3, 0.16 / 3, np.nan, 0.5])
    assert np.isnan(control_false_discoveries([np.nan])).all()


def test_the_interval_of_a_mean_over_groups_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    groups = groups_left_out(14)
    for _ in range(1000):
        values = rng.normal(0.3, 1, 14)
        low, high, _ = jackknife_interval(values.mean(), mean_without(values, groups), [7])
        covered += low <= 0.3 <= high
    assert 0.935 * 1000 <= covered <= 0.965 * 1000


@pytest.mark.parametrize("groups", [[7], [7, 5], [3]])
@pytest.mark.parametrize("refits", [True, False])
def test_many_pairs_are_tested_as_one_pair_is(rng, groups, refits, monkeypatch):
    monkeypatch.setattr("brainscore_itmaps.metrics.inference.AT_ONCE", 4)
    models, number = 6, sum(groups)
    values, replicates = rng.normal(size=models), rng.normal(size=(models, number))
    changes = np.full((models, number, max(groups)), np.nan)
    for start, count in zip(np.cumsum([0, *groups]), groups, strict=False):
        changes[:, start : start + count, :count] = 3 * rng.normal(size=(models, count, count))
    replicates[1], changes[1], values[1] = replicates[0], changes[0], values[0]  # the same model twice
    replicates[2], changes[2], values[2] = replicates[0], changes[0], values[0] + 1  # a constant difference
    first, second = np.triu_indices(models, 1)
    found = p_values_of_pairs(values, replicates, groups, changes if refits else None, first, second)
    expected = [
        compare_replicates(values[i] - values[j], replicates[i] - replicates[j], groups,
                           changes[i] - changes[j] if refits else None).p_value
        for i, j in zip(first, second, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found[0] == 1
    assert found[1] == 0
