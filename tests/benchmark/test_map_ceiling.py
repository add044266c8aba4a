"""The ceiling of maps averaged over sites."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.ceiling import map_ceiling


def full_length(agreement, times):
    """Spearman-Brown, and its square root, with the sign of the agreement."""
    size = abs(agreement)
    return np.sign(agreement) * np.sqrt(times * size / (1 + (times - 1) * size))


def rho(first, second):
    return spearmanr(first.ravel(), second.ravel()).statistic


@pytest.fixture
def repeats(rng):
    signal = rng.normal(size=(3, 1, 4, 5, 6)) + rng.normal(size=(3, 1, 4, 5, 1))
    return signal + 1.5 * rng.normal(size=(3, 6, 4, 5, 6))


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
def test_halves_of_the_repeats_are_tried_in_every_way(repeats, number):
    given = repeats[:, :number]
    even = number // 2 * 2
    expected = []
    for image in given.mean(axis=-1):  # (repeat, y, x)
        agreements = []
        for first in combinations(range(even), even // 2):
            second = [repeat for repeat in range(even) if repeat not in first]
            agreements.append(rho(image[list(first)].mean(axis=0), image[second].mean(axis=0)))
        expected.append(full_length(np.mean(agreements), number / (even / 2)))
    np.testing.assert_allclose(map_ceiling(given.mean(axis=1), given), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sites", [2, 5, 6])
def test_without_repeats_a_hundred_halves_of_the_sites_are_drawn(repeats, sites):
    maps = repeats[..., :sites].mean(axis=1)
    even, drawn = sites // 2 * 2, np.random.default_rng(3)
    agreements = np.zeros((100, 3))
    for draw in range(100):
        order = drawn.permutation(sites)
        first, second = order[: even // 2], order[even // 2 : even]
        agreements[draw] = [rho(image[..., first].mean(axis=-1), image[..., second].mean(axis=-1)) for image in maps]
    expected = [full_length(agreement, sites / (even / 2)) for agreement in agreements.mean(axis=0)]
    np.testing.assert_allclose(map_ceiling(maps, rng=np.random.default_rng(3)), expected, rtol=0, atol=1e-12)
    once = map_ceiling(maps, repeats[:, :1, ..., :sites], np.random.default_rng(3))  # one repeat is no split
    np.testing.assert_array_equal(once, map_ceiling(maps, rng=np.random.default_rng(3)))


def test_two_sites_have_one_pair_of_halves(rng):
    maps = rng.normal(size=(4, 5, 6, 1)) + 0.7 * rng.normal(size=(4, 5, 6, 2))
    expected = [full_length(rho(image[..., 0], image[..., 1]), 2) for image in maps]
    np.testing.assert_allclose(map_ceiling(maps), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["repeats", "sites"])
@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_is_what_a_noise_free_prediction_reaches(kind, noise):
    """Planted: one signal in all sites, and noise of each repeat or of each site alone."""
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(12, 17, 17, 1))
    if kind == "repeats":
        repeats = truth[:, None] + noise * rng.normal(size=(12, 6, 17, 17, 1)).repeat(8, axis=-1)
        maps = repeats.mean(axis=1)
    else:
        repeats, maps = None, truth + 2 * noise * rng.normal(size=(12, 17, 17, 16))
    reached = feature_alignment(truth.repeat(maps.shape[-1], axis=-1), maps).mean()
    assert map_ceiling(maps, repeats).mean() == pytest.approx(reached, abs=0.015)
    assert reached < 0.99


def test_repeats_without_noise_have_a_ceiling_of_one_and_contradicting_ones_of_minus_one(rng):
    maps = rng.normal(size=(3, 4, 5, 2))
    np.testing.assert_allclose(map_ceiling(maps, np.stack([maps, maps], axis=1)), 1)
    np.testing.assert_allclose(map_ceiling(0 * maps, np.stack([maps, -maps], axis=1)), -1)


def test_a_map_with_a_constant_half_has_no_ceiling(repeats):
    repeats[1, 2] = 4.0
    found = map_ceiling(repeats[:, :4].mean(axis=1), repeats[:, :4])
    np.testing.assert_array_equal(np.isnan(found), [False, False, False])  # a half holds another repeat too
    repeats[1, 0] = 4.0
    found = map_ceiling(repeats[:, :4].mean(axis=1), repeats[:, :4])
    np.testing.assert_array_equal(np.isnan(found), [False, True, False])
    with pytest.raises(ArrayError, match="repeats, or at least 2 sites"):
        map_ceiling(repeats[:, 0, ..., :1])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), repeats=st.integers(1, 14), sites=st.integers(2, 7), scale=st.floats(0.1, 10))
def test_lies_between_minus_1_and_1_and_knows_no_units(seed, repeats, sites, scale):
    rng = np.random.default_rng(seed)
    given = rng.normal(size=(2, 1, 3, 4, 1)) + rng.normal(size=(2, repeats, 3, 4, sites))
    found = map_ceiling(given.mean(axis=1), given, np.random.default_rng(0))
    assert ((found >= -1) & (found <= 1)).all()
    changed = scale * given - 7
    np.testing.assert_allclose(map_ceiling(changed.mean(axis=1), changed, np.random.default_rng(0)), found, atol=1e-9)
    np.testing.assert_array_equal(map_ceiling(given.mean(axis=1), given, np.random.default_rng(0)), found)


def test_an_image_with_fewer_repeats_is_split_by_its_own(rng):
    given = rng.normal(size=(3, 1, 6, 5, 1)) + rng.normal(size=(3, 5, 6, 5, 4))
    fewer = given.copy()
    fewer[2, 3:] = np.nan
    found = map_ceiling(np.nanmean(fewer, axis=1), fewer)
    np.testing.assert_allclose(found[:2], map_ceiling(given.mean(axis=1), given)[:2], rtol=1e-12)
    np.testing.assert_allclose(found[2:], map_ceiling(given[2:, :3].mean(axis=1), given[2:, :3]), rtol=1e-12)
