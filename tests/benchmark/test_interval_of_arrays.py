"""How sure the mean over several arrays is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.inference import bootstrap_over_images, interval_of_arrays


def ratio(values, ceilings, axis=-1):
    return values.mean(axis=axis) / ceilings.mean(axis=axis)


@pytest.fixture
def pairs(rng):
    """Three arrays: the first two of 14 images each, that vary together; the third of 9 others."""
    shared = rng.normal(0.5, 0.2, size=14)
    first, second = (shared + 0.05 * rng.normal(size=14) for _ in range(2))
    third = rng.normal(0.4, 0.1, size=9)
    return [(each, rng.uniform(0.7, 0.9, size=len(each))) for each in (first, second, third)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999), images=st.integers(2, 30))
def test_of_one_array_it_is_the_bootstrap_over_images(seed, images):
    rng = np.random.default_rng(seed)
    values, ceilings = rng.normal(0.5, 0.2, size=images), rng.uniform(0.5, 1, size=images)
    found = interval_of_arrays([(values, ceilings)], ["images"], np.random.default_rng(seed), resamples=500)
    ours = bootstrap_over_images(ratio, values, ceilings, rng=np.random.default_rng(seed), resamples=500)
    np.testing.assert_allclose(found, ours, rtol=0, atol=1e-9)
    theirs = bootstrap(
        (values, ceilings),
        ratio,
        paired=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    expected = (*theirs.confidence_interval, theirs.standard_error)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_arrays_that_share_images_are_drawn_the_same_ones(pairs):
    """Draw by draw, in a loop."""
    found = interval_of_arrays(pairs, ["a", "a", "b"], np.random.default_rng(2), resamples=400)
    rng = np.random.default_rng(2)
    drawn = {"a": rng.integers(14, size=(400, 14)), "b": rng.integers(9, size=(400, 9))}
    draws = []
    for draw in range(400):
        scores = [
            np.mean([values[image] for image in drawn[shown][draw]])
            / np.mean([ceilings[image] for image in drawn[shown][draw]])
            for (values, ceilings), shown in zip(pairs, ["a", "a", "b"], strict=True)
        ]
        draws.append(np.mean(scores))
    np.testing.assert_allclose(found, (*np.percentile(draws, [2.5, 97.5]), np.std(draws, ddof=1)), atol=1e-12)


def test_images_in_common_make_what_arrays_share_count_once(pairs):
    """Planted: two arrays that agree are one array if they saw the same images, and two if they did not."""
    values, ceilings = pairs[0]
    one, same, apart = (
        interval_of_arrays([(values, ceilings)] * len(shown), shown, np.random.default_rng(0)).error
        for shown in (["a"], ["a", "a"], ["a", "b"])
    )
    assert same == pytest.approx(one)
    assert apart == pytest.approx(one / np.sqrt(2), rel=0.05)
    opposite = [(values, ceilings), (1 - values, ceilings[::-1] * 0 + ceilings.mean())]
    against, independent = (
        interval_of_arrays([(values, np.full(14, ceilings.mean())), opposite[1]], shown, np.random.default_rng(0)).error
        for shown in (["a", "a"], ["a", "b"])
    )
    assert against == pytest.approx(0, abs=1e-12)
    assert independent > 0.02


def test_images_may_be_named_by_anything_that_can_be_compared(pairs):
    by_name = interval_of_arrays(pairs, ["a", "a", "b"], np.random.default_rng(2))
    by_files = interval_of_arrays(pairs, [("x", "y"), ("x", "y"), ("z",)], np.random.default_rng(2))
    assert by_name == by_files
    assert by_name != interval_of_arrays(pairs, ["a", "b", "c"], np.random.default_rng(2))


def test_few_images_or_draws_are_refused(pairs):
    with pytest.raises(ArrayError, match="give no interval"):
        interval_of_arrays([(np.ones(1), np.ones(1))], ["a"], np.random.default_rng(0))
    with pytest.raises(ArrayError, match="give no interval"):
        interval_of_arrays(pairs, ["a", "a", "b"], np.random.default_rng(0), resamples=1)


@pytest.mark.parametrize("missing", ["value", "ceiling"])
def test_a_value_that_is_missing_leaves_no_interval(pairs, missing):
    """As the documentation says, and as of one array the bootstrap over images has it."""
    values, ceilings = (each.copy() for each in pairs[0])
    (values if missing == "value" else ceilings)[3] = np.nan
    pairs[0] = values, ceilings
    assert np.isnan(bootstrap_over_images(ratio, values, ceilings, rng=np.random.default_rng(0))).all()
    assert np.isnan(interval_of_arrays(pairs, ["a", "a", "b"], np.random.default_rng(0))).all()


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_an_interval_is_finite_where_most_images_have_a_ceiling_of_zero():
    """Draws of such images alone have no ratio: they do not count."""
    values, ceilings = np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 0.8])
    found = interval_of_arrays([(values, ceilings)], ["a"], np.random.default_rng(0))
    assert np.isfinite(found).all()
