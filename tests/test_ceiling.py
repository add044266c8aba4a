import numpy as np
import pytest

from brainscore_itmaps.metrics.ceiling import split_half_ceiling
from brainscore_itmaps.metrics.correlation import site_correlation


@pytest.mark.parametrize("repeats", [2, 5, 6])
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_is_what_a_noise_free_prediction_reaches(repeats, noise):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(20, 17, 17, 8))
    recorded = truth[:, None] + noise * rng.normal(size=(20, repeats, 17, 17, 8))
    ceiling = split_half_ceiling(recorded)
    assert ceiling.shape == (20, 8)
    reached = site_correlation(truth, recorded.mean(axis=1)).mean()
    analytic = 1 / np.sqrt(1 + noise**2 / repeats)
    assert reached == pytest.approx(analytic, abs=0.01)
    assert ceiling.mean() == pytest.approx(analytic, abs=0.005 if analytic > 0.7 else 0.02)


def test_repeats_without_noise_have_a_ceiling_of_one(rng):
    maps = rng.normal(size=(3, 1, 5, 5, 2)).repeat(4, axis=1)
    np.testing.assert_allclose(split_half_ceiling(maps), 1)


def test_halves_that_contradict_each_other_have_a_ceiling_of_zero(rng):
    maps = rng.normal(size=(3, 1, 5, 5, 2))
    np.testing.assert_array_equal(split_half_ceiling(np.concatenate([maps, -maps], axis=1)), 0)


def test_one_repeat_has_no_halves(rng):
    with pytest.raises(ValueError, match="at least 2 repeats, not 1"):
        split_half_ceiling(rng.normal(size=(3, 1, 5, 5, 2)))
