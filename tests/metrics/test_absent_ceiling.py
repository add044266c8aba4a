"""Noise ceilings that are absent or partly undefined: pure noise, constant maps, ceilings of 0."""

import warnings

import numpy as np
import pytest

from brainscore_itmaps.metrics.ceiling import ceiling_of_halves, ceiling_of_images, halves_of_sites, noise_ceiling


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def test_ceilings_of_noise_say_nothing_about_the_sites():
    for seed in range(6):
        ceiling = noise_ceiling(np.random.default_rng(seed).normal(size=(6, 6, 7, 8)), refits=False)
        assert ceiling.reason
        assert not ceiling.unequal_sites


def test_a_constant_map_leaves_the_other_predictions_of_its_image(rng):
    signal = rng.normal(size=(6, 6, 7, 1))
    maps = signal + 0.1 * rng.normal(size=(6, 6, 7, 4))
    maps[0, ..., 0] = 1
    halves = halves_of_sites(maps)
    assert np.isnan(halves.accuracy[0]).sum() == 1  # of that map; halves of this site alone do not count
    assert np.isnan(halves.accuracy[0, 0, 0])
    ceiling = ceiling_of_halves(halves)
    assert not ceiling.reason
    assert 0.9 < ceiling.value < 1.1


def test_an_undefined_agreement_is_called_undefined(rng):
    maps = rng.normal(size=(6, 6, 7, 1)) + 0.1 * rng.normal(size=(6, 6, 7, 3))
    maps[..., 0] = 1  # each of the two other sites is predicted from this one, and from one that varies
    ceiling = ceiling_of_halves(halves_of_sites(maps))
    assert np.isnan(ceiling.value)
    assert "agreement of the two predictions of sites from halves of the other sites is undefined" in ceiling.reason


def test_a_published_ceiling_of_zero_divides_no_score():
    assert ceiling_of_images("reference", np.zeros(5)).reason == "the noise ceiling is 0; use the raw value"
    assert not ceiling_of_images("reference", np.array([0.5, 0, 0, 0, 0])).reason


def test_a_ceiling_of_means_over_sites(rng):
    halves = halves_of_sites(rng.normal(size=(5, 6, 7, 1)) + rng.normal(size=(5, 6, 7, 6)), "ridge", penalty=5.0)
    ceiling = ceiling_of_halves(halves, reducer="mean")
    accuracy, agreement = halves.accuracy[0].mean(), halves.agreement[0].mean()
    assert ceiling.value == pytest.approx(accuracy / np.sqrt(agreement))
    assert ceiling.value != pytest.approx(ceiling_of_halves(halves).value)
