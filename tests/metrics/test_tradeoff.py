from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr
from scipy.stats import t as student
from sklearn.linear_model import QuantileRegressor

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import groups_left_out
from brainscore_itmaps.metrics.inference import mean_without
from brainscore_itmaps.metrics.tradeoff import (
    change_point,
    envelope,
    most_accurate,
    pareto_front,
    rank_correlation,
    scores_over_images,
)


def broken(x, at=0.75, before=0.4, after=-1.2):
    return 0.3 + np.where(x < at, before, after) * (x - at)


def left_over(x, y, at):
    design = np.column_stack([np.ones_like(x), np.minimum(x - at, 0), np.maximum(x - at, 0)])
    return ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum()


def test_a_planted_change_point_is_found(rng):
    accuracy = rng.uniform(0.5, 0.9, 150)
    exact = change_point(accuracy, broken(accuracy), rng, resamples=20)
    np.testing.assert_allclose(exact[:4], [0.75, 0.3, 0.4, -1.2], atol=1e-9)


def test_intervals_cover_what_was_planted(rng):
    covered = np.zeros(3)
    for _ in range(20):
        accuracy = rng.uniform(0.5, 0.9, 60)
        result = change_point(accuracy, broken(accuracy) + 0.02 * rng.normal(size=60), rng, resamples=60)
        truth = zip((0.75, 0.4, -1.2), result[4:], strict=True)
        covered += [interval.low < planted < interval.high for planted, interval in truth]
    assert (covered >= 16).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(6, 30))
def test_no_other_meeting_point_fits_better(seed, number):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(size=number), rng.normal(size=number)
    result = left_over(x, y, change_point(x, y, rng, resamples=2).at)
    levels = np.unique(x)
    for low, high in pairwise(levels[1:-1]):
        best = minimize_scalar(lambda at: left_over(x, y, at), bounds=(low, high), method="bounded").fun
        assert result <= best * (1 + 1e-9)


def test_the_front_is_what_nothing_else_exceeds(rng):
    accuracy, predictivity = np.round(rng.uniform(size=(2, 40)), 1)  # ties
    front = pareto_front(accuracy, predictivity)
    for model in range(40):
        beaten = (
            (accuracy >= accuracy[model])
            & (predictivity >= predictivity[model])
            & ((accuracy > accuracy[model]) | (predictivity > predictivity[model]))
        ).any()
        assert (model in front) == (not beaten)
    assert (np.diff(accuracy[front]) >= 0).all()


def test_the_envelope_lies_above_its_share_of_the_models(rng):
    accuracy = rng.uniform(0.5, 0.9, 300)
    predictivity = 0.5 - 8 * (accuracy - 0.7) ** 2 - rng.exponential(0.05, 300)
    result = envelope(accuracy, predictivity, rng, quantile=0.9, resamples=50)
    curve = np.polynomial.polynomial.polyval(accuracy, result.coefficients)
    assert (predictivity <= curve + 1e-9).mean() == pytest.approx(0.9, abs=0.02)
    assert result.peak_interval.low < 0.7 < result.peak_interval.high
    assert result.peak == pytest.approx(0.7, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(5, 60), quantile=st.floats(0.05, 0.95))
def test_the_envelope_is_scikit_learn_s_quantile_regression(seed, number, quantile):
    rng = np.random.default_rng(seed)
    accuracy, predictivity = rng.uniform(size=number), rng.normal(0.4, 0.1, number)
    result = envelope(accuracy, predictivity, rng, quantile=quantile, resamples=2).coefficients
    oracle = QuantileRegressor(quantile=quantile, alpha=0, solver="highs")
    oracle.fit(np.column_stack([accuracy, accuracy**2]), predictivity)
    np.testing.assert_allclose(result, [oracle.intercept_, *oracle.coef_], rtol=0, atol=1e-9)


@pytest.mark.parametrize("slope", [0.002, 0.0, -0.001])
@pytest.mark.parametrize(
    "accuracy", [[69, 72, 75, 82, 84], [66, 81, 83, 86, 89], [67, 68, 71, 74, 83, 87, 90], np.linspace(60, 90, 40)]
)
def test_models_on_one_line_have_a_straight_edge_without_a_peak(rng, slope, accuracy):
    accuracy = np.array(accuracy, float)
    result = envelope(accuracy, 0.9 + slope * accuracy, rng, resamples=20)
    np.testing.assert_allclose(result.coefficients, [0.9, slope, 0], rtol=0, atol=1e-12)
    assert result.end_slope == pytest.approx(slope, abs=1e-12)
    assert np.isnan([result.peak, result.height, *result.peak_interval]).all()


def test_scores_that_are_equal_to_rounding_are_fitted(rng):
    for number in (5, 6, 8) * 10:
        accuracy, predictivity = rng.uniform(60, 90, number), 0.5 + 1e-12 * rng.normal(size=number)
        result = envelope(accuracy, predictivity, rng, resamples=5)
        curve = np.polynomial.polynomial.polyval(accuracy, result.coefficients)
        np.testing.assert_allclose(curve, 0.5, rtol=0, atol=1e-10)
        assert np.isfinite(result.end_slope_interval).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_fits_do_not_depend_on_the_units_of_predictivity(rng, scale):
    accuracy = rng.uniform(0.5, 0.9, 60)
    predictivity = 0.5 - 8 * (accuracy - 0.7) ** 2 - rng.exponential(0.05, 60)
    plain, scaled = (envelope(accuracy, y, rng, resamples=2) for y in (predictivity, scale * predictivity))
    assert scaled.peak == pytest.approx(plain.peak, abs=1e-6)
    plain, scaled = (change_point(accuracy, y, rng, resamples=2) for y in (predictivity, scale * predictivity))
    assert scaled.at == pytest.approx(plain.at)
    assert scaled.after == pytest.approx(scale * plain.after)


def test_an_envelope_that_opens_upward_has_no_peak(rng):
    accuracy = np.linspace(0, 1, 20)
    result = envelope(accuracy, (accuracy - 0.5) ** 2, rng, resamples=5)
    assert np.isnan(result.peak)
    assert np.isnan(result.peak_interval).all()
    np.testing.assert_allclose(result.coefficients, [0.25, -1, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "predictivity", "message"),
    [
        (np.arange(6.0), np.arange(7.0), "differ"),
        (np.array([1, 2, 3, 4, np.nan]), np.arange(5.0), "not finite"),
        (np.array([1.0, 1, 1, 2, 3, 4]), np.arange(6.0), "4 different accuracies"),
    ],
)
def test_models_that_cannot_be_fitted_are_refused(accuracy, predictivity, message, rng):
    for fit in (change_point, envelope):
        with pytest.raises(ArrayError, match=message):
            fit(accuracy, predictivity, rng)
    with pytest.raises(ArrayError, match="quantile is 1"):
        envelope(np.arange(6.0), np.arange(6.0), rng, quantile=1)


def test_the_rank_correlation_is_scipy_s_and_its_interval_holds_it(rng):
    accuracy = rng.uniform(size=40)
    predictivity = accuracy + rng.normal(0, 0.3, 40)
    result, expected = rank_correlation(accuracy, predictivity, rng, 300), spearmanr(accuracy, predictivity)
    assert (result.rho, result.models) == (expected.statistic, 40)
    assert result.interval.low < result.rho < result.interval.high
    assert (result.p_value < 0.05) == (result.interval.low > 0 or result.interval.high < 0)
    assert np.isnan(rank_correlation(accuracy, np.ones(40), rng, 10).rho)
    with pytest.raises(ArrayError, match="at least 3"):
        rank_correlation(accuracy[:2], predictivity[:2], rng)


def without_groups(values):
    """Means over images without each of 7 groups, shape (model, group)."""
    return np.stack([mean_without(row, groups_left_out(len(row))) for row in values])


def test_images_drawn_again_shift_all_models_alike(rng):
    """Hard and easy images, and nothing else: every draw moves all models by the same, with Student's tails."""
    accuracy, images = rng.uniform(60, 90, 12), rng.normal(0.5, 0.1, 14)
    values = images + 0.01 * (accuracy - 75)[:, None]
    drawn = scores_over_images(values.mean(axis=1), without_groups(values), [7], accuracy, rng, 20_000)
    change = drawn - values.mean(axis=1)
    np.testing.assert_allclose(change, change[:, :1] + np.zeros(12), atol=1e-12)
    means = images[groups_left_out(14).argmax(axis=0).argsort(kind="stable")].reshape(7, 2).mean(axis=1)
    half = student.ppf(0.975, 6) * means.std(ddof=1) / np.sqrt(7)
    np.testing.assert_allclose(np.percentile(change[:, 0], [2.5, 97.5]), [-half, half], rtol=0.05)


def test_sets_of_images_vary_independently(rng):
    accuracy, replicates = rng.uniform(60, 90, 12), rng.normal(0.5, 0.1, (1, 7)) + np.zeros((12, 1))
    scores = np.full(12, 0.5)
    one, two = (
        scores_over_images(scores, np.tile(replicates, times), [7] * times, accuracy, np.random.default_rng(0), 20_000)
        for times in (1, 2)
    )
    assert two.std() == pytest.approx(np.sqrt(2) * one.std(), rel=0.05)


def test_what_an_image_gives_to_single_models_is_not_counted_again(rng):
    accuracy = rng.uniform(60, 90, 200)
    values = 0.5 + rng.normal(0, 0.1, (200, 14))
    drawn = scores_over_images(values.mean(axis=1), without_groups(values), [7], accuracy, rng, 500)
    standard_error = 0.1 / np.sqrt(14)
    assert (drawn - values.mean(axis=1)).std() < 0.25 * standard_error


def test_fits_take_the_scores_that_were_drawn(rng):
    accuracy = rng.uniform(0.5, 0.9, 30)
    truth = broken(accuracy)
    drawn = truth + np.array([0.0, 1.0])[:, None] * accuracy  # half of the draws are steeper by 1
    result = change_point(accuracy, truth, rng, drawn=np.repeat(drawn, 30, axis=0))
    assert result.before_interval.low == pytest.approx(0.4)
    assert result.before_interval.high == pytest.approx(1.4)
    with pytest.raises(ArrayError, match="one row of scores per draw"):
        envelope(accuracy, truth, rng, drawn=drawn[:, 1:])


def test_the_edge_ends_with_the_slope_that_was_planted(rng):
    accuracy = np.linspace(60, 90, 200)
    edge = 0.5 - 0.001 * (accuracy - 75) ** 2
    result = envelope(accuracy, edge - np.where(np.arange(200) % 2, 0.1, 0.0), rng, resamples=40)
    assert (result.peak, result.height) == (pytest.approx(75), pytest.approx(0.5))
    assert result.end_slope == pytest.approx(-0.002 * 15)
    assert result.end_slope_interval.low <= result.end_slope + 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(1, 40))
def test_the_most_accurate_half_is_above_the_median(seed, number):
    accuracy = np.round(np.random.default_rng(seed).uniform(size=number), 1)
    best = most_accurate(accuracy)
    assert {*best} == {index for index in range(number) if accuracy[index] >= np.median(accuracy)}


def test_values_that_do_not_fit_are_refused(rng):
    for replicates, groups, accuracy in (
        (np.ones((3, 4)), [3], np.ones(3)),
        (np.ones((3, 4)), [4], np.ones(4)),
        (np.ones((3, 4)), [3, 1], np.ones(3)),
    ):
        with pytest.raises(ArrayError, match="do not fit"):
            scores_over_images(np.ones(3), replicates, groups, accuracy, rng)
    with pytest.raises(ArrayError, match="not finite"):
        scores_over_images(np.ones(3), np.full((3, 4), np.nan), [4], np.ones(3), rng)
