import numpy as np
import pytest
from scipy.stats import norm

from brainscore_itmaps.metrics.inference import bootstrap_over_images


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


def test_the_same_seed_gives_the_same_interval(rng):
    values = rng.normal(size=14)
    first, second, other = (
        bootstrap_over_images(np.mean, values, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other
