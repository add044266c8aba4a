import numpy as np
import pytest

from brainscore_itmaps import predict_left_out
from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.ceiling import (
    describe,
    noise_ceiling,
    reference_ceiling,
    site_ceiling,
    split_half_ceiling,
)
from brainscore_itmaps.metrics.predictivity import site_correlation


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
    with pytest.raises(ArrayError, match="at least 2 repeats, not 1"):
        split_half_ceiling(rng.normal(size=(3, 1, 5, 5, 2)))


def test_many_repeats_are_split_in_some_ways_only():
    rng = np.random.default_rng(3)
    recorded = rng.normal(size=(4, 1, 9, 9, 5)) + rng.normal(size=(4, 24, 9, 9, 5))
    ceiling = split_half_ceiling(recorded, np.random.default_rng(0))
    assert ceiling.mean() == pytest.approx(1 / np.sqrt(1 + 1 / 24), abs=0.005)
    np.testing.assert_array_equal(ceiling, split_half_ceiling(recorded, np.random.default_rng(0)))
    assert (ceiling != split_half_ceiling(recorded, np.random.default_rng(1))).any()


def test_pure_noise_has_a_ceiling_above_zero(rng):
    ceiling = np.median(split_half_ceiling(rng.normal(size=(14, 8, 9, 9, 32))), axis=1).mean()
    assert 0.03 < ceiling < 0.15


def shared(rng, noise, images=6, y=7, x=8, sites=9):
    """Sites that share two signals, each with noise of its own."""
    signals = rng.normal(size=(images, y, x, 2))
    return signals, signals @ rng.normal(size=(2, sites)) + noise * rng.normal(size=(images, y, x, sites))


@pytest.mark.parametrize("method", ["pls", "ridge"])
def test_a_site_is_predicted_from_the_other_sites_over_the_same_folds(rng, method):
    _, maps = shared(rng, 0.5)
    result = site_ceiling(maps, method)
    assert result.shape == (6, 9)
    for site in (0, 4):
        predicted = predict_left_out(np.delete(maps, site, axis=-1), maps[..., [site]], method).predicted
        np.testing.assert_allclose(result[:, [site]], site_correlation(predicted, maps[..., [site]]), atol=1e-12)


def test_many_sites_reach_what_the_shared_signals_reach(rng):
    """Planted truth: with enough sites, the ceiling is the score of the signals themselves."""
    signals, maps = shared(rng, 1.0, images=8, y=12, x=13, sites=60)
    truth = site_correlation(predict_left_out(signals, maps).predicted, maps)
    assert np.median(site_ceiling(maps)) == pytest.approx(np.median(truth), abs=0.03)


def test_noise_of_each_site_alone_has_a_ceiling_of_zero_but_not_the_published_one(rng):
    maps = rng.normal(size=(14, 9, 9, 32))
    assert abs(np.median(site_ceiling(maps), axis=1).mean()) < 0.02
    assert reference_ceiling(maps).mean() > 0.3


def test_a_site_with_a_missing_value_predicts_nothing_and_is_missing(rng):
    _, maps = shared(rng, 0.5)
    expected = site_ceiling(np.delete(maps, 3, axis=-1))
    maps[1, 0, 0, 3] = np.nan
    result = site_ceiling(maps)
    assert np.isnan(result[:, 3]).all()
    np.testing.assert_array_equal(np.delete(result, 3, axis=1), expected)


def test_the_published_ceiling_step_by_step(rng):
    maps = rng.normal(size=(3, 4, 5, 6))
    maps[0, 2, :, 1] = 3.0  # a constant row: its pairs are dropped
    expected = []
    for image in maps:
        pairs = [0.0]
        for first in range(5):
            for second in range(first + 1, 5):
                with np.errstate(invalid="ignore"):
                    lines = [np.corrcoef(image[y, :, first], image[y, :, second])[0, 1] for y in range(4)]
                if np.isfinite(lines).all():
                    pairs.append(np.mean(lines))
        expected.append(max(pairs))
    np.testing.assert_allclose(reference_ceiling(maps), expected, atol=1e-12)
    np.testing.assert_array_equal(reference_ceiling(np.full((3, 4, 5, 6), 0.1)), 0)
    maps[2, 1, 1, 5] = np.nan
    np.testing.assert_array_equal(reference_ceiling(maps), 0)
    np.testing.assert_array_equal(reference_ceiling(maps[..., :2]), 0)


def test_each_ceiling_says_what_it_bounds_and_how_sure_it_is(rng):
    _, maps = shared(rng, 0.8)
    repeats = maps[:, None] + 0.5 * rng.normal(size=(6, 4, 7, 8, 9))
    taken = {kind: noise_ceiling(maps, kind, repeats=repeats) for kind in ("sites", "split_half", "reference")}
    for kind, result in taken.items():
        assert result.kind == kind
        assert result.bounds
        assert result.value == pytest.approx(result.image_r.mean())
        assert result.interval.low <= result.value <= result.interval.high
    assert taken["reference"].bounds.startswith("nothing")
    for kind in ("sites", "split_half"):
        result = taken[kind]
        np.testing.assert_allclose(result.image_r, np.median(result.site_r, axis=1))
        np.testing.assert_allclose(result.site_mean, result.site_r.mean(axis=0))
        assert (result.site_interval[:, 0] <= result.site_mean).all()
        assert (result.site_mean <= result.site_interval[:, 1]).all()
        assert result.site_interval.shape == (9, 2)


def test_an_interval_of_a_site_is_that_of_its_mean_over_images(rng):
    site_r = rng.normal(0.5, 0.2, size=(400, 2))
    site_r[::2, 1] = np.nan
    result = describe("sites", site_r, np.random.default_rng(0), resamples=4000)
    for site, defined in enumerate((site_r[:, 0], site_r[1::2, 1])):
        assert result.site_mean[site] == pytest.approx(defined.mean())
        half = 1.96 * defined.std() / np.sqrt(len(defined))
        np.testing.assert_allclose(
            result.site_interval[site], defined.mean() + np.array([-half, half]), atol=0.2 * half
        )


@pytest.mark.parametrize("kind", ["sites", "split_half", "reference"])
def test_a_seed_is_a_generator_that_starts_with_it(rng, kind):
    _, maps = shared(rng, 0.8)
    repeats = maps[:, None] + 0.5 * rng.normal(size=(6, 4, 7, 8, 9))
    default, seeded, generated, other = (
        noise_ceiling(maps, kind, repeats=repeats, **given).interval
        for given in ({}, {"rng": 0}, {"rng": np.random.default_rng(0)}, {"rng": 1})
    )
    assert default == seeded == generated != other
    assert generated[:2] == (generated.low, generated.high)


def test_ceilings_that_cannot_be_taken_are_refused(rng):
    maps = rng.normal(size=(4, 5, 6, 1))
    with pytest.raises(ArrayError, match="1 of 1 sites have no missing values"):
        noise_ceiling(maps, rng=rng)
    with pytest.raises(ArrayError, match="needs the repeats"):
        noise_ceiling(maps, "split_half", rng=rng)
    with pytest.raises(ArrayError, match="at least 2 sites"):
        noise_ceiling(maps, "reference", rng=rng)
    with pytest.raises(UsageError, match=r"no noise ceiling named 'site'\. Did you mean sites"):
        noise_ceiling(maps, "site", rng=rng)
    with pytest.raises(ArrayError, match="are not those of the maps"):
        noise_ceiling(maps, "split_half", rng=rng, repeats=rng.normal(size=(9, 2, 5, 6, 1)))
    with pytest.raises(ArrayError, match="The maps have shape"):
        noise_ceiling(maps[0], rng=rng)
