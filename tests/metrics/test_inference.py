import numpy as np
import pytest
from scipy.stats import bootstrap, norm, ttest_rel

from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.inference import (
    bootstrap_over_images,
    compare_images,
    control_false_discoveries,
    expansion_factor,
    predictivity_interval,
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


@pytest.mark.parametrize(
    ("expanded", "level"), [(False, 0.95), (True, 2 * norm.cdf(norm.ppf(0.975) * expansion_factor(9)) - 1)]
)
def test_intervals_are_scipy_s_percentiles_of_the_same_draws(rng, expanded, level):
    values = rng.normal(size=9)
    interval = bootstrap_over_images(np.mean, values, rng=np.random.default_rng(3), resamples=500, expanded=expanded)
    oracle = bootstrap((values,), np.mean, n_resamples=500, method="percentile", confidence_level=level, rng=3)
    expected = (*oracle.confidence_interval, oracle.standard_error)
    np.testing.assert_allclose(interval, expected, rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_interval(rng):
    values = rng.normal(size=14)
    first, second, other = (
        bootstrap_over_images(np.mean, values, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_predictivity_over_images_is_the_bootstrap_of_their_medians(rng):
    site_r = rng.normal(0.5, 0.2, size=(14, 9))
    low, high, error = predictivity_interval(site_r, np.random.default_rng(0), resamples=20_000)
    expected = bootstrap_over_images(np.mean, np.median(site_r, axis=1), rng=np.random.default_rng(1))
    np.testing.assert_allclose((low, high, error), expected, atol=0.003)


def test_drawing_sites_too_widens_the_interval_by_what_sites_differ(rng):
    """Planted: images alike, sites not; the median of 400 sites has the textbook's standard error."""
    site_r = np.repeat(rng.normal(0.5, 0.2, size=(1, 400)), 5, axis=0)
    assert predictivity_interval(site_r, np.random.default_rng(0)).error == pytest.approx(0, abs=1e-12)
    error = predictivity_interval(site_r, np.random.default_rng(0), sites=True, reducer="mean").error
    assert error == pytest.approx(site_r[0].std() / 20, rel=0.1)
    error = predictivity_interval(site_r, np.random.default_rng(0), sites=True).error
    assert error == pytest.approx(np.sqrt(np.pi / 2) * 0.2 / 20, rel=0.3)


def test_undefined_sites_are_left_out_of_every_draw(rng):
    site_r = rng.normal(0.5, 0.2, size=(14, 9))
    site_r[3, 2] = np.nan
    for sites in (False, True):
        assert np.isfinite(predictivity_interval(site_r, rng, sites=sites)).all()
    site_r[3] = np.nan
    assert np.isnan(predictivity_interval(site_r, rng)).all()


def test_draws_that_leave_an_image_without_sites_do_not_count(rng):
    site_r = rng.normal(0.5, 0.2, size=(14, 20))
    site_r[3, 2:] = np.nan
    assert np.isfinite(predictivity_interval(site_r, rng, sites=True)).all()


def test_a_value_that_is_missing_leaves_no_interval(rng):
    assert np.isnan(bootstrap_over_images(np.mean, np.array([1.0, np.nan, 2.0]), rng=rng)).all()


def test_one_image_or_one_draw_is_refused(rng):
    with pytest.raises(ArrayError, match="give no interval"):
        bootstrap_over_images(np.mean, np.ones(1), rng=rng)
    with pytest.raises(ArrayError, match="give no interval"):
        predictivity_interval(np.ones((3, 2)), rng, resamples=1)
    with pytest.raises(UsageError, match="Did you mean mean"):
        predictivity_interval(np.ones((3, 2)), rng, sites=True, reducer="maen")
    with pytest.raises(ArrayError, match="not between 0 and 1"):
        control_false_discoveries([0.5, 1.5])


def test_two_models_are_compared_image_by_image(rng):
    shared = rng.normal(size=14)
    first, second = shared + 0.05 + 0.1 * rng.normal(size=14), shared
    result = compare_images(first, second, np.random.default_rng(0), resamples=20_000)
    assert result.difference == pytest.approx(np.mean(first - second))
    assert result.p_value == pytest.approx(ttest_rel(first, second).pvalue, abs=0.02)
    assert result.interval.low < result.difference < result.interval.high
    assert compare_images(second, first, np.random.default_rng(0)).difference == -result.difference


def test_few_images_are_permuted_in_every_way():
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.5, 1.0, 1.5])
    assert compare_images(first, second, np.random.default_rng(0)).p_value == pytest.approx(2 / 16)


def test_models_that_do_not_differ_are_seldom_told_apart(rng):
    p_values = [compare_images(*rng.normal(size=(2, 8)), rng, resamples=256).p_value for _ in range(200)]
    assert 0.01 < np.mean(np.array(p_values) <= 0.05) < 0.1


@pytest.mark.parametrize(
    ("first", "second"), [(np.ones(3), np.ones(4)), (np.ones((3, 2)), np.ones((3, 2))), (np.ones(1), np.ones(1))]
)
def test_values_that_are_no_pairs_are_refused(first, second, rng):
    with pytest.raises(ArrayError, match="cannot be paired"):
        compare_images(first, second, rng)
    with pytest.raises(ArrayError, match="not finite"):
        compare_images(np.array([1.0, np.nan]), np.ones(2), rng)


def test_false_discoveries_are_controlled_by_the_textbook_s_steps():
    p_values = np.array([0.01, 0.04, 0.03, np.nan, 0.5])
    np.testing.assert_allclose(control_false_discoveries(p_values), [0.04, 0.16 / 3, 0.16 / 3, np.nan, 0.5])
    assert np.isnan(control_false_discoveries([np.nan])).all()


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        baseline = rng.normal(size=14)
        interval = compare_images(baseline + rng.normal(0.3, 1, 14), baseline, rng, resamples=999).interval
        covered += interval.low <= 0.3 <= interval.high
    assert 0.915 * 300 <= covered <= 0.985 * 300
