"""Similarity of positions without a regression: RSA and unbiased CKA, against other implementations and formulas."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr, zscore

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.ceiling import ceiling_of_images
from brainscore_itmaps.metrics.similarity import SIMILARITIES, centred_products, cka, cka_ceiling, rsa

both = pytest.mark.parametrize("measure", SIMILARITIES.values(), ids=SIMILARITIES)


@pytest.fixture
def field(rng):
    return rng.normal(size=(3, 4, 5, 7)) + 2


@pytest.fixture
def maps(rng, field):
    """Six sites that share a signal with the features, at other rates."""
    signal = field @ rng.normal(size=(7, 6)) + rng.normal(size=(3, 4, 5, 6))
    return signal * np.array([1, 10, 0.1, 3, 5, 2]) + np.array([50, 0, 20, 3, 100, 7])


def test_rsa_is_that_of_rsatoolbox():
    """Golden values of rsatoolbox 0.3.2, which computes Spearman's rho and rho-a alike where there are no ties:

    for f, m in zip(z(field), z(maps)):  # z(v): zscore(v, axis=(0, 1, 2)).reshape(2, 12, -1)
        compare(*(calc_rdm(Dataset(x), method="correlation") for x in (f, m)), method="spearman")
    """
    rng = np.random.default_rng(0)
    field, maps = rng.normal(size=(2, 3, 4, 7)), rng.normal(size=(2, 3, 4, 5))
    maps += field @ rng.normal(size=(7, 5)) * 0.5
    maps = maps * np.array([1, 10, 0.1, 3, 5]) + np.array([50, 0, 20, 3, 100])
    np.testing.assert_allclose(rsa(field, maps), [0.2282225237449118, 0.08093100928921824], rtol=0, atol=1e-12)


def test_rsa_ranks_the_correlation_distances_of_scipy(field, maps):
    standardised = (zscore(values, axis=(0, 1, 2)).reshape(3, 20, -1) for values in (field, maps))
    expected = [
        spearmanr(*(pdist(image, metric="correlation") for image in pair)).statistic
        for pair in zip(*standardised, strict=True)
    ]
    np.testing.assert_allclose(rsa(field, maps), expected, rtol=0, atol=1e-12)


def brute_force_hsic(first, second):
    """HSIC as the average over all quadruples of different positions that Song et al. (2012) define."""
    n, total, count = len(first), 0.0, 0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j, q, r}) == 4:
                        total += first[i, j] * (second[i, j] + second[q, r] - 2 * second[i, q])
                        count += 1
    return total / count


def test_cka_is_that_of_all_quadruples_of_positions(rng):
    field, maps = rng.normal(size=(2, 2, 3, 4)) + 5, rng.normal(size=(2, 2, 3, 5)) - 3
    for image, value in enumerate(cka(field, maps)):
        first, second = (values[image].reshape(6, -1) for values in (field, maps))
        k, h = first @ first.T, second @ second.T
        expected = brute_force_hsic(k, h) / np.sqrt(brute_force_hsic(k, k) * brute_force_hsic(h, h))
        assert value == pytest.approx(expected, abs=1e-10)


def test_cka_is_that_of_the_published_estimator(field, maps):
    """HSIC_1 of Song et al. (2012), as Nguyen, Raghu & Kornblith (2021) write it, of products that are not centred."""

    def hsic(k, h):
        n, ones = len(k), np.ones(len(k))
        mixed = ones @ k @ ones * (ones @ h @ ones) / ((n - 1) * (n - 2))
        return (np.trace(k @ h) + mixed - 2 / (n - 2) * (ones @ k @ h @ ones)) / (n * (n - 3))

    for image, value in enumerate(cka(field, maps)):
        k, h = (values[image].reshape(20, -1) @ values[image].reshape(20, -1).T for values in (field, maps))
        for products in (k, h):
            np.fill_diagonal(products, 0)
        assert value == pytest.approx(hsic(k, h) / np.sqrt(hsic(k, k) * hsic(h, h)), abs=1e-10)
        pairs = [centred_products(values[image].reshape(20, -1)) for values in (field, maps)]
        assert 2 * pairs[0] @ pairs[1] / (20 * 17) == pytest.approx(hsic(k, h), rel=1e-9)


@both
def test_unrelated_responses_of_many_channels_are_about_zero(measure):
    """Biased CKA of 100 channels and 80 sites at 30 positions is .7 for independent responses."""
    rng = np.random.default_rng(1)
    values = measure(rng.normal(size=(200, 5, 6, 100)), rng.normal(size=(200, 5, 6, 80)))
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(200)
    assert values.std() < 0.1


@both
def test_positions_are_matched(measure, field, maps):
    np.testing.assert_allclose(measure(maps, maps), 1, rtol=0, atol=1e-12)
    assert (measure(maps[:, ::-1], maps) < 0.5).all()
    order = np.random.default_rng(2).permutation(20)
    moved = [values.reshape(3, 1, 20, -1)[:, :, order] for values in (field, maps)]
    np.testing.assert_allclose(measure(*moved), measure(field, maps), rtol=0, atol=1e-12)


def test_rates_of_sites_do_not_matter_to_rsa_and_baselines_not_to_cka(rng, field, maps):
    gain, baseline = rng.uniform(0.1, 10, 6), rng.uniform(0, 100, 6)
    np.testing.assert_allclose(rsa(field, maps * gain + baseline), rsa(field, maps), rtol=0, atol=1e-12)
    np.testing.assert_allclose(cka(field, maps * 7 + baseline), cka(field, maps), rtol=0, atol=1e-12)
    assert np.abs(cka(field, maps * gain) - cka(field, maps)).max() > 0.01
    turned = field @ np.linalg.qr(rng.normal(size=(7, 7))).Q
    np.testing.assert_allclose(cka(turned, maps), cka(field, maps), rtol=0, atol=1e-12)


def test_a_site_that_is_silent_on_one_image_still_counts_there(maps):
    """It is standardised over all images, so that its noise on that image is not blown up to a signal."""
    silent = maps.copy()
    silent[1, ..., 0] = silent[..., 0].min()
    noise = silent.copy()
    noise[1, ..., 0] += 1e-6 * np.random.default_rng(3).normal(size=(4, 5))
    np.testing.assert_allclose(rsa(silent, noise), 1, rtol=0, atol=1e-3)


@both
def test_missing_and_constant_sites_and_channels_are_left_out(measure, field, maps):
    expected = measure(field, maps)
    missing = np.full((3, 4, 5, 1), np.nan)
    np.testing.assert_array_equal(measure(field, np.concatenate([maps, missing], axis=-1)), expected)
    constant = np.full((3, 4, 5, 1), 0.1)
    added = [np.concatenate([values, constant], axis=-1) for values in (field, maps)]
    np.testing.assert_allclose(measure(*added), expected, rtol=0, atol=1e-12)


@both
def test_constant_maps_and_features_have_no_value(measure, field, maps):
    flat = maps.copy()
    flat[1] = flat[1].mean(axis=(0, 1))
    for pair in ((field, flat), (flat, maps)):
        assert np.isnan(measure(*pair)).tolist() == [False, True, False]
    assert np.isnan(measure(field, np.full(maps.shape, 0.1))).all()
    assert np.isnan(measure(field, np.full(maps.shape, np.nan))).all()


def test_one_site_has_no_dissimilarities(field, maps):
    assert np.isnan(rsa(field, maps[..., :1])).all()
    assert np.isfinite(cka(field, maps[..., :1])).all()


def test_rounding_errors_do_not_rank_equal_positions(field, maps):
    doubled = [values.repeat(2, axis=1) for values in (field, maps)]
    jitter = doubled[0] * (1 + 1e-14 * np.random.default_rng(4).normal(size=doubled[0].shape))
    np.testing.assert_array_equal(rsa(jitter, doubled[1]), rsa(*doubled))


@both
def test_shapes_that_do_not_fit_are_refused(measure, field, maps):
    for pair in ((field[:2], maps), (field[:, :3], maps), (field[0], maps[0])):
        with pytest.raises(ArrayError, match="do not share their images and positions"):
            measure(*pair)
    with pytest.raises(ArrayError, match="There are 3 positions"):
        measure(field[:, :1, :3], maps[:, :1, :3])


def true_and_repeats(rng, reliability, count, latents, shape=(12, 11, 12), sites=24):
    """Noise-free maps of latent signals, and repeats whose mean has this share of signal."""
    true = rng.normal(size=(*shape, latents)) @ rng.normal(size=(latents, sites))
    noise = true.std(axis=(0, 1, 2)) * np.sqrt((1 - reliability) / reliability * count)
    return true, true[:, None] + noise * rng.normal(size=(shape[0], count, *shape[1:], sites))


@pytest.mark.parametrize("latents", [3, 24])
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("reliability", [0.3, 0.5, 0.7, 0.9])
def test_the_true_maps_reach_the_ceiling_of_cka(reliability, count, latents):
    """Mean of four simulations: in one, sampling errors of 3 % occur where noise is strong and signals are many."""
    scores = []
    for seed in range(4):
        true, repeats = true_and_repeats(np.random.default_rng(seed), reliability, count, latents)
        maps = repeats.mean(axis=1)
        reached = cka(true, maps).mean()
        assert reached < 0.99
        scores.append(reached / cka_ceiling(maps, repeats).mean())
    assert np.mean(scores) == pytest.approx(1, abs=0.05)
    assert np.mean(scores) == pytest.approx(1, abs=0.01) or reliability < 0.5


def test_noise_alone_has_no_ceiling():
    rng = np.random.default_rng(6)
    repeats = rng.normal(size=(14, 4, 7, 8, 9))
    ceiling = ceiling_of_images("cka", cka_ceiling(repeats.mean(axis=1), repeats))
    assert abs(ceiling.value) < 0.15
    assert "share of HSIC that two halves of the repeats have in common" in ceiling.reason


def test_each_image_is_split_by_its_own_repeats():
    _, repeats = true_and_repeats(np.random.default_rng(7), 0.5, 4, 3, shape=(3, 6, 7), sites=5)
    maps = repeats.mean(axis=1)
    absent = repeats.copy()
    absent[1, 3, ..., 2] = np.nan
    expected = cka_ceiling(maps, repeats)
    expected[1] = cka_ceiling(maps[1:2], repeats[1:2, :3])[0]
    np.testing.assert_allclose(cka_ceiling(maps, absent), expected, rtol=0, atol=1e-12)
    with pytest.raises(ArrayError, match="at least 2 repeats of all sites, not 1"):
        cka_ceiling(maps, repeats[:, :1])
    constant = np.ones((2, 2, 3, 4, 5))
    assert np.isnan(cka_ceiling(constant[:, 0], constant)).all()
