import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics import site_halves
from brainscore_itmaps.metrics.ceiling import halves_of_sites
from brainscore_itmaps.metrics.folds import leave_one_out
from brainscore_itmaps.metrics.site_halves import least_squares, triangles_of


def recorded(seed, sites=9, images=6, offset=0.0):
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(images, 5, 6, 3))
    maps = signals @ rng.normal(size=(3, sites)) + rng.normal(size=(images, 5, 6, sites))
    return maps * rng.lognormal(size=sites) + offset


@given(seed=st.integers(0, 2**31), offset=st.sampled_from([0.0, 1e3, -1e5]))
@settings(max_examples=15, deadline=None)
def test_least_squares_of_every_fold_are_those_of_scikit_learn(seed, offset):
    maps = recorded(seed, offset=offset)
    folds = leave_one_out(6)
    triangles = triangles_of(maps, folds)
    weights = least_squares(triangles, np.array([0, 3, 4]), np.array([1, 7]))
    for number, fold in enumerate(folds):
        rows = maps[~fold].reshape(-1, 9)
        expected = LinearRegression().fit(rows[:, [0, 3, 4]], rows[:, [1, 7]])
        np.testing.assert_allclose(weights[number], expected.coef_.T, atol=1e-9 * (1 + abs(offset) / 1e3))
        np.testing.assert_allclose(triangles.means[number], rows.mean(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sites", [3, 8, 21])
@pytest.mark.parametrize("groups", [None, 5])
def test_ceilings_by_least_squares_are_those_by_pls(sites, groups, monkeypatch):
    maps = recorded(1, sites)
    images = ["a", "b", "c", "d", "a", "e"]
    fast = halves_of_sites(maps, groups=groups, images=images)
    monkeypatch.setattr(site_halves, "least_squares", lambda *_: None)
    slow = halves_of_sites(maps, groups=groups, images=images)
    for found, expected in zip(fast, slow, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_folds_of_a_single_training_image_are_refused():
    with pytest.raises(ArrayError, match="fewer than 2 training images"):
        halves_of_sites(recorded(3), groups=3, images=["a", "b", "c", "d", "a", "a"])


def test_sites_that_depend_on_others_or_are_missing_or_constant_are_left_to_pls(monkeypatch):
    maps = recorded(2, sites=8)
    maps[..., 2] = maps[..., 5] * 2 + 1e-9 * maps[..., 1]
    maps[..., 3] = 7.0
    maps[0, 0, 0, 4] = np.nan
    maps[1:, ..., 6] = 0.5
    fast = halves_of_sites(maps)
    monkeypatch.setattr(site_halves, "least_squares", lambda *_: None)
    slow = halves_of_sites(maps)
    for found, expected in zip(fast, slow, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.isnan(fast.accuracy[..., [3, 4]]).all()
