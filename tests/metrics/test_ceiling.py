import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from brainscore_itmaps import noise_ceiling, predict_left_out
from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.ceiling import (
    HalvesOfSites,
    ceiling_of_halves,
    ceiling_of_images,
    ceiling_of_repeats,
    fewest_repeats,
    halves_of_sites,
    recorded_repeats,
    reference_ceiling,
    split_half_ceiling,
)
from brainscore_itmaps.metrics.folds import fit_folds, groups_left_out
from brainscore_itmaps.metrics.inference import jackknife_interval
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation


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


def test_halves_that_contradict_each_other_have_a_ceiling_below_zero(rng):
    maps = rng.normal(size=(3, 1, 5, 5, 2))
    np.testing.assert_allclose(split_half_ceiling(np.concatenate([maps, -maps], axis=1)), -1)


def test_one_repeat_has_no_halves(rng):
    with pytest.raises(ArrayError, match="at least 2 repeats, not 1"):
        split_half_ceiling(rng.normal(size=(3, 1, 5, 5, 2)))


def unequal(repeats, rng, fewest=2):
    """Remove repeats: each image keeps between ``fewest`` and all of them, and one site misses one repeat more."""
    unequal = repeats.copy()
    for image in unequal:
        image[rng.integers(fewest, len(image) + 1) :] = np.nan
    unequal[-1], unequal[-1, 1, :, :, 2] = repeats[-1], np.nan
    return unequal


@pytest.mark.parametrize("noise", [0.7, 2.0])
def test_unequal_repeats_have_the_ceiling_that_a_noise_free_prediction_reaches(noise):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(40, 17, 17, 8))
    repeats = unequal(truth[:, None] + noise * rng.normal(size=(40, 7, 17, 17, 8)), rng)
    counts = recorded_repeats(repeats).sum(axis=1)
    assert (counts.min(), counts.max(), counts[-1, 2]) == (2, 7, 6)
    ceiling = split_half_ceiling(repeats)
    reached = site_correlation(truth, np.nanmean(repeats, axis=1))
    assert ceiling.mean() == pytest.approx(reached.mean(), abs=0.01)
    for count in range(2, 8):  # and by the number of repeats, not on average alone
        chosen = counts == count
        assert ceiling[chosen].mean() == pytest.approx(reached[chosen].mean(), abs=0.04)
    overall = noise_ceiling(np.nanmean(repeats, axis=1), repeats=repeats)
    assert overall.kind == "split_half"
    assert overall.value == pytest.approx(over_sites(reached).mean(), abs=0.02)


def test_an_image_is_split_as_if_its_own_repeats_were_all(rng):
    repeats = rng.normal(size=(3, 1, 5, 5, 4)) + rng.normal(size=(3, 6, 5, 5, 4))
    fewer = repeats.copy()
    fewer[1, [0, 4]] = np.nan
    ceiling = split_half_ceiling(fewer)
    np.testing.assert_allclose(ceiling[[0, 2]], split_half_ceiling(repeats)[[0, 2]], rtol=1e-12)
    np.testing.assert_allclose(ceiling[1], split_half_ceiling(repeats[[1]][:, [1, 2, 3, 5]])[0], rtol=1e-12)
    fewer[1, 1:] = np.nan
    assert fewest_repeats(fewer) == 0
    fewer[1, 1] = repeats[1, 1]
    with pytest.raises(ArrayError, match="at least 2 repeats, not 1"):
        split_half_ceiling(fewer)
    assert noise_ceiling(np.nanmean(fewer, axis=1), repeats=fewer).kind == "sites"


def test_many_repeats_are_split_in_some_ways_only():
    rng = np.random.default_rng(3)
    recorded = rng.normal(size=(4, 1, 9, 9, 5)) + rng.normal(size=(4, 24, 9, 9, 5))
    ceiling = split_half_ceiling(recorded, np.random.default_rng(0))
    assert ceiling.mean() == pytest.approx(1 / np.sqrt(1 + 1 / 24), abs=0.005)
    np.testing.assert_array_equal(ceiling, split_half_ceiling(recorded, np.random.default_rng(0)))
    assert (ceiling != split_half_ceiling(recorded, np.random.default_rng(1))).any()


def test_pure_noise_has_a_ceiling_of_zero_on_average():
    rng = np.random.default_rng(0)
    values = [
        noise_ceiling(repeats.mean(axis=1), repeats=repeats).value for repeats in rng.normal(size=(40, 8, 4, 7, 7, 9))
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)
    assert 0 < np.mean(np.array(values) > 0) < 1


def shared(rng, noise, images=6, y=7, x=8, sites=9):
    """Sites that share two signals, each with noise of its own."""
    signals = rng.normal(size=(images, y, x, 2))
    return signals, signals @ rng.normal(size=(2, sites)) + noise * rng.normal(size=(images, y, x, sites))


@pytest.mark.parametrize("method", ["pls", "ridge"])
def test_each_site_is_predicted_from_two_halves_of_the_other_sites(rng, method):
    """Step by step: three sites have one way to be halved."""
    _, maps = shared(rng, 0.5, sites=3)
    halves = halves_of_sites(maps, method, groups=None)
    for site in range(3):
        others = [n for n in range(3) if n != site]
        predicted = [predict_left_out(maps[..., [n]], maps[..., [site]], method).predicted for n in others]
        accuracy = np.mean([site_correlation(half, maps[..., [site]]) for half in predicted], axis=0)
        np.testing.assert_allclose(halves.accuracy[0][:, [site]], accuracy, atol=1e-12)
        np.testing.assert_allclose(halves.agreement[0][:, [site]], site_correlation(*predicted), atol=1e-12)
    ceiling = ceiling_of_halves(halves)
    with np.errstate(invalid="ignore"):  # one site can predict another badly
        expected = over_sites(halves.accuracy[0]).mean() / np.sqrt(over_sites(halves.agreement[0]).mean())
    np.testing.assert_allclose(ceiling.value, expected)


@pytest.mark.parametrize("images", [5, 9])
def test_refits_leave_out_a_group_of_images_as_well(rng, images):
    """Step by step: of five images each is a group; of nine, images 0 and 7, and 1 and 8, are one."""
    _, maps = shared(rng, 0.5, images=images, sites=3)
    halves = halves_of_sites(maps)
    groups = min(images, 7)
    assert halves.accuracy.shape == (1 + groups, images, 3)
    for group in range(groups):
        for image in range(images):
            if image % 7 == group:
                assert np.isnan(halves.accuracy[1 + group, image]).all()
                continue
            out = np.array([[other % 7 in (group, image % 7) for other in range(images)]])
            place = np.flatnonzero(out[0]).tolist().index(image)
            for site in range(3):
                first, second = (
                    fit_folds(maps[..., [n]], maps[..., [site]], out).of(0)[[place]] for n in range(3) if n != site
                )
                agreement = site_correlation(first, second)[0, 0]
                assert halves.agreement[1 + group, image, site] == pytest.approx(agreement, abs=1e-9)


def test_the_interval_is_that_of_the_ceilings_without_each_group(rng):
    _, maps = shared(rng, 0.8, images=9)
    halves = halves_of_sites(maps)
    ceiling, replicates = ceiling_of_halves(halves), []
    for group, left_out in enumerate(groups_left_out(9), 1):
        accuracy, agreement = (over_sites(rows[group][~left_out]).mean() for rows in halves)
        replicates.append(accuracy / np.sqrt(agreement))
    np.testing.assert_allclose(ceiling.replicates, replicates)
    np.testing.assert_allclose(ceiling.interval, jackknife_interval(ceiling.value, replicates, [7]))
    assert ceiling.image_r.mean() == pytest.approx(ceiling.value)
    np.testing.assert_allclose(ceiling.image_r, np.median(ceiling.site_r, axis=1))


def smooth(rng, *shape):
    """Smooth maps of unit variance, (image, y, x, map)."""
    fields = gaussian_filter(rng.normal(size=shape), (0, 1.5, 1.5, 0))
    return fields / fields.std(axis=(0, 1, 2))


@pytest.mark.parametrize("private", [0.0, 0.5])
@pytest.mark.parametrize("reliability", [0.2, 0.5, 0.9])
def test_the_score_is_the_correlation_with_the_shared_signal_however_noisy_the_maps(private, reliability):
    """Simulated truth; benchmarks/ceiling_truth.py does this for more sites, latent maps and seeds."""
    rng = np.random.default_rng(1)
    latents = smooth(rng, 14, 13, 13, 5)
    signal = latents @ rng.normal(size=(5, 24))
    signal /= signal.std(axis=(0, 1, 2))
    whole = np.sqrt(1 - private) * signal + np.sqrt(private) * smooth(rng, 14, 13, 13, 24)
    maps = np.sqrt(reliability) * whole + np.sqrt(1 - reliability) * rng.normal(size=whole.shape)
    predicted = predict_left_out(latents + 0.8 * smooth(rng, 14, 13, 13, 5), maps).predicted
    raw, truth = (over_sites(site_correlation(predicted, recorded)).mean() for recorded in (maps, signal))
    ceiling = noise_ceiling(maps, refits=False)
    assert ceiling.reason == ""
    assert raw / ceiling.value == pytest.approx(truth, abs=0.08)


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("kind", ["white", "smooth"])
def test_maps_of_noise_have_no_ceiling_to_divide_by(repeats, kind):
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(10):
        shape = (14, 9, 9, 36) if repeats else (14, 9, 9, 12)
        noise = rng.normal(size=shape) if kind == "white" else smooth(rng, *shape)
        presented = noise.reshape(14, 9, 9, 3, 12).transpose(0, 3, 1, 2, 4) if repeats else None
        ceiling = noise_ceiling(noise[..., :12], repeats=presented, refits=False)
        refused += "no reliable signal" in ceiling.reason and "95 % interval" in ceiling.reason
    assert refused >= 9


def test_an_image_without_a_signal_is_named(rng):
    _, maps = shared(rng, 0.5, images=8)
    repeats = maps[:, None] + rng.normal(size=(8, 4, 7, 8, 9))
    repeats[3] = rng.normal(size=(4, 7, 8, 9))
    maps[3] = rng.normal(size=(7, 8, 9))
    for ceiling in (noise_ceiling(repeats.mean(axis=1), repeats=repeats), noise_ceiling(maps)):
        assert ceiling.without_signal[3]
        assert ceiling.without_signal.sum() <= 2


def test_sites_of_unequal_reliability_are_told_from_equal_ones(rng):
    signals = rng.normal(size=(8, 1, 7, 8, 10))
    equal = signals + rng.normal(size=(8, 4, 7, 8, 10))
    unequal = signals + np.where(np.arange(10) < 5, 0.3, 8) * rng.normal(size=(8, 4, 7, 8, 10))
    assert not noise_ceiling(equal.mean(axis=1), repeats=equal).unequal_sites
    assert noise_ceiling(unequal.mean(axis=1), repeats=unequal).unequal_sites


def test_noise_of_each_site_alone_has_a_published_ceiling(rng):
    assert reference_ceiling(rng.normal(size=(14, 9, 9, 32))).mean() > 0.3


def test_a_site_with_a_missing_value_predicts_nothing_and_is_missing(rng):
    _, maps = shared(rng, 0.5)
    expected = halves_of_sites(np.delete(maps, 3, axis=-1), groups=None)
    maps[1, 0, 0, 3] = np.nan
    result = halves_of_sites(maps, groups=None)
    for found, alone in zip(result, expected, strict=True):
        assert np.isnan(found[..., 3]).all()
        assert np.isfinite(np.delete(found, 3, axis=2)).all()
        assert np.delete(found, 3, axis=2).mean() == pytest.approx(alone.mean(), abs=0.02)


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
    taken = {kind: noise_ceiling(maps, kind, repeats=repeats) for kind in ("sites", "split_half", "map", "reference")}
    for kind, result in taken.items():
        assert result.kind == kind
        assert result.bounds
        assert result.value == pytest.approx(result.image_r.mean())
        assert result.interval.low <= result.value <= result.interval.high
        assert len(result.replicates) == 6
        assert result.of_sites(9).shape == (6, 9)
    assert taken["reference"].bounds.startswith("nothing")
    assert noise_ceiling(maps).kind == "sites"
    assert noise_ceiling(maps, repeats=repeats).kind == "split_half"
    assert noise_ceiling(maps, repeats=repeats[:, :1]).kind == "sites"
    for kind in ("sites", "split_half"):
        result = taken[kind]
        np.testing.assert_allclose(result.image_r, np.median(result.site_r, axis=1))
        np.testing.assert_allclose(result.site_mean, result.site_r.mean(axis=0))
        assert (result.site_interval[:, 0] <= result.site_mean).all()
        assert (result.site_mean <= result.site_interval[:, 1]).all()
        assert result.site_interval.shape == (9, 2)


def test_an_interval_of_a_site_is_that_of_its_mean_over_images(rng):
    site_r = rng.normal(0.5, 0.2, size=(6, 2))
    result = ceiling_of_repeats(site_r)
    for site in range(2):
        values = site_r[:, site]
        interval = jackknife_interval(values.mean(), [np.delete(values, n).mean() for n in range(6)], [6])
        np.testing.assert_allclose(result.site_interval[site], interval[:2])


def test_ceilings_of_images_are_tested_where_they_test_a_signal():
    values = np.array([-0.1, 0.2, -0.3, 0.1])
    assert "no reliable signal" in ceiling_of_images("map", values).reason
    assert ceiling_of_images("map", values).without_signal.tolist() == [True, False, True, False]
    assert ceiling_of_images("reference", np.array([0.1, 0.0, 0.1])).reason == ""  # tests nothing
    assert ceiling_of_images("map", values / 10 + 0.6).reason == ""


def test_halves_that_do_not_agree_leave_the_ceiling_undefined():
    ceiling = ceiling_of_halves(HalvesOfSites(np.full((1, 4, 3), 0.5), np.full((1, 4, 3), -0.1)))
    assert np.isnan(ceiling.value)
    assert "agreement of the two predictions" in ceiling.reason


def test_a_seed_is_a_generator_that_starts_with_it(rng):
    _, maps = shared(rng, 0.8)
    default, seeded, generated, other = (
        noise_ceiling(maps, **given).interval
        for given in ({}, {"rng": 0}, {"rng": np.random.default_rng(0)}, {"rng": 1})
    )
    assert default == seeded == generated != other
    assert generated[:2] == (generated.low, generated.high)


def test_ceilings_that_cannot_be_taken_are_refused(rng):
    maps = rng.normal(size=(4, 5, 6, 1))
    with pytest.raises(ArrayError, match="1 of 1 sites have no missing values"):
        noise_ceiling(maps, rng=rng)
    with pytest.raises(ArrayError, match="at least 2 images"):
        noise_ceiling(maps[:1], rng=rng)
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
