import tracemalloc

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression

from brainscore_itmaps import Grid, predict_left_out, to_grid
from brainscore_itmaps.metrics import pls
from brainscore_itmaps.metrics.folds import fit_folds, groups_left_out, leave_one_out, pairs_of_groups
from brainscore_itmaps.metrics.predictivity import site_correlation


def planted(seed=0, images=5, y=6, x=7, channels=12, sites=4, noise=0.5, rank=None):
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(images, y, x, channels)) @ np.diag(np.linspace(2, 0.2, channels))
    if rank is not None:
        field = field[..., :rank] @ rng.normal(size=(rank, channels))
    maps = field @ rng.normal(size=(channels, sites)) + noise * rng.normal(size=(images, y, x, sites))
    return field, maps


def one_fold_by_sklearn(field, maps, image, make):
    train = np.arange(len(field)) != image
    model = make().fit(field[train].reshape(-1, field.shape[-1]), maps[train].reshape(-1, maps.shape[-1]))
    return model.predict(field[image].reshape(-1, field.shape[-1])).reshape(maps[image].shape)


def converged(components):
    return PLSRegression(components, scale=False, tol=1e-28, max_iter=200_000)


@pytest.mark.parametrize("backend", ["rows", "gram"])
@pytest.mark.parametrize(
    ("channels", "components", "rank"),
    [(12, 3, None), (12, 8, None), (40, 25, None), (300, 25, None), (60, 25, 30), (400, 25, 40), (30, 7, 7)],
)
def test_equals_scikit_learn_run_to_convergence(channels, components, rank, backend, monkeypatch):
    """On full-rank and rank-deficient data, with fewer channels than rows (168) and with more."""
    monkeypatch.setattr(pls, "_pays", lambda *sizes: backend == "gram")
    field, maps = planted(channels=channels, rank=rank)
    predicted, used = predict_left_out(field, maps, components=components)
    assert (used == components).all()
    for image in range(len(maps)):
        expected = one_fold_by_sklearn(field, maps, image, lambda: converged(components))
        np.testing.assert_allclose(predicted[image], expected, rtol=0, atol=1e-9 * maps.std())


def test_both_ways_to_multiply_are_taken_where_they_pay(rng):
    few, many = rng.normal(size=(2, 14, 49, 8)), rng.normal(size=(14, 49, 3000))
    assert pls._pays(few[0], 14, 1, 25)
    assert not pls._pays(many, 14, 1, 25)


def test_scikit_learn_s_default_is_not_converged():
    """Guards the test above: were the default exact, it would prove nothing about convergence."""
    field, maps = planted(channels=40)
    loose = one_fold_by_sklearn(field, maps, 0, lambda: PLSRegression(25, scale=False))
    assert np.abs(predict_left_out(field, maps).predicted[0] - loose).max() > 1e-7 * maps.std()


def test_one_site_needs_no_iteration_and_equals_scikit_learn_s_default():
    field, maps = planted(channels=40, sites=1)
    predicted = predict_left_out(field, maps).predicted
    expected = one_fold_by_sklearn(field, maps, 0, lambda: PLSRegression(25, scale=False))
    np.testing.assert_allclose(predicted[0], expected, rtol=0, atol=1e-9 * maps.std())


@pytest.mark.parametrize("rank", [3, 7, 20])
@pytest.mark.parametrize("condition", [1, 1e3, 1e6])
@pytest.mark.parametrize("offset", [0, 100])
def test_more_components_than_rank_gives_least_squares_and_says_how_many_were_used(rng, rank, condition, offset):
    hidden = rng.normal(size=(5, 6, 7, rank)) * np.geomspace(1, 1 / condition, rank)
    field = hidden @ rng.normal(size=(rank, 40)) + offset
    maps = hidden @ rng.normal(size=(rank, 4)) + rng.normal(size=(5, 6, 7, 4))
    predicted, used = predict_left_out(field, maps, components=25)
    assert (used == rank).all()
    for image in range(len(maps)):
        expected = one_fold_by_sklearn(hidden, maps, image, LinearRegression)
        np.testing.assert_allclose(predicted[image], expected, rtol=0, atol=1e-6 * maps.std())


def test_past_the_rank_scikit_learn_fits_noise():
    """The reason to stop: the very case above, in scikit-learn."""
    field, maps = planted(channels=30, rank=7)
    noise = one_fold_by_sklearn(field, maps, 0, lambda: PLSRegression(25, scale=False))
    assert np.abs(noise - predict_left_out(field, maps).predicted[0]).max() > maps.std()


@pytest.mark.parametrize("size", [1e2, 3e4, 1e6, 1e8])
def test_one_channel_may_be_far_larger_than_the_others(rng, size):
    """As in vision transformers: against extended precision, with the deflation written out."""
    field, maps = planted(channels=40, images=4, noise=0.5)
    maps /= maps.std()
    field[..., 7] = size * (1 + rng.normal(size=field.shape[:-1]))
    predicted, used = predict_left_out(field, maps)
    assert (used == 25).all()
    np.testing.assert_allclose(predicted[0], in_extended_precision(field, maps, 25), rtol=0, atol=1e-9)


def in_extended_precision(field, maps, components):
    """Textbook PLS of the fold that leaves image 0 out: X and Y deflated, the inner problem a power iteration."""
    x, y, unseen = (
        values.reshape(-1, values.shape[-1]).astype(np.longdouble) for values in (field[1:], maps[1:], field[0])
    )
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y, unseen = x - mean_x, y - mean_y, unseen - mean_x
    predicted = np.zeros((len(unseen), y.shape[1]), np.longdouble) + mean_y
    for _ in range(components):
        products = x.T @ y
        v = np.linalg.eigh((products.T @ products).astype(float))[1][:, -1].astype(np.longdouble)
        for _ in range(300):
            v = products.T @ (products @ v)
            v /= np.sqrt(v @ v)
        w = products @ v
        w /= np.sqrt(w @ w)
        t, seen = x @ w, unseen @ w
        p, q = x.T @ t / (t @ t), y.T @ t / (t @ t)
        predicted += np.outer(seen, q)
        x, y, unseen = x - np.outer(t, p), y - np.outer(t, q), unseen - np.outer(seen, p)
    return predicted.astype(float).reshape(maps[0].shape)


@pytest.mark.parametrize("condition", [1e2, 1e3, 1e4, 5e4])
def test_ill_conditioned_features_lose_no_digits_on_the_way_over_covariances(rng, condition, monkeypatch):
    field = rng.normal(size=(6, 4, 7, 20)) * np.geomspace(1, 1 / condition, 20)
    maps = rng.normal(size=(6, 4, 7, 2)) + field[..., :2]
    result = {}
    for over_covariances in (True, False):
        monkeypatch.setattr(pls, "_pays", lambda *sizes, way=over_covariances: way)
        result[over_covariances] = predict_left_out(field, maps)
    np.testing.assert_array_equal(result[True].components, result[False].components)
    np.testing.assert_allclose(result[True].predicted, result[False].predicted, rtol=0, atol=1e-9 * maps.std())


IMAGES_AND_PAIRS = np.concatenate([leave_one_out(14), pairs_of_groups(14)])


@pytest.mark.parametrize(("channels", "enlarged"), [(10, False), (30, False), (8, True), (30, True)])
def test_single_images_and_pairs_of_groups_equal_scikit_learn(rng, channels, enlarged, monkeypatch):
    """Two sets, for fewer channels than an image has rows (12, or 9 units) and for more, with the covariance alone."""
    monkeypatch.setattr(pls, "_pays", lambda *sizes: True)
    monkeypatch.setattr(pls, "_moments", None)
    field = rng.normal(size=(14, 3, 4, channels))
    if enlarged:
        field = to_grid(rng.normal(size=(14, channels, 3, 3)), Grid.even(7))
    maps = field[..., :3] + rng.normal(size=(2, *field.shape[:3], 3))
    fitted = fit_folds(field, maps, IMAGES_AND_PAIRS, components=8)
    assert (fitted.components == 8).all()
    for fold, left_out in enumerate(IMAGES_AND_PAIRS):
        for number, single in enumerate(maps):
            x, y = field[~left_out].reshape(-1, channels), single[~left_out].reshape(-1, 3)
            expected = converged(8).fit(x, y).predict(field[left_out].reshape(-1, channels))
            result = fitted.of(fold, number).reshape(expected.shape)
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-9 * maps.std())


@pytest.mark.parametrize("folds", [IMAGES_AND_PAIRS, groups_left_out(14)[3:4]], ids=["many", "one"])
@pytest.mark.parametrize("channels", [10, 30])
@pytest.mark.parametrize(("apart", "tolerance"), [(False, 5e-9), (True, 1e-11)])
def test_a_left_out_image_with_far_larger_features_costs_no_digits(rng, folds, channels, apart, tolerance, monkeypatch):
    """Its features may also lie in a direction in which those of the other images do not vary."""
    field, large = rng.normal(size=(14, 3, 4, channels)), 1e4 * rng.normal(size=(3, 4, channels))
    maps = field[..., :3] + rng.normal(size=(14, 3, 4, 3))
    if apart:
        field[..., 0], large[..., 1:] = 0, 0
        rotation = np.linalg.qr(rng.normal(size=(channels, channels)))[0]
        field, large = field @ rotation, large @ rotation
    field[3] = large
    monkeypatch.setattr(pls, "_pays", lambda *sizes: True)
    joint = fit_folds(field, maps, folds, components=8)
    monkeypatch.setattr(pls, "_pays", lambda *sizes: False)
    for fold in np.flatnonzero(folds[:, 3] & (folds.sum(axis=1) > 1)):
        others = np.flatnonzero(folds[fold]) != 3  # errors of the large image are as large as it is
        expected = fit_folds(field, maps, folds[[fold]], components=8).of(0)[others]
        np.testing.assert_allclose(joint.of(fold)[others], expected, rtol=0, atol=tolerance * expected.std())


@pytest.mark.parametrize("folds", [leave_one_out(100), pairs_of_groups(100)], ids=["images", "pairs"])
@pytest.mark.parametrize("channels", [80, 300])
def test_the_covariance_takes_less_memory_than_the_features(folds, channels):
    x, ones = np.ones((100, 100, channels)), np.ones(100)
    training = pls.Training(x, ones, folds, np.ones((len(folds), channels)), np.ones(len(folds)), None)
    tracemalloc.start()
    pls._moments_of_covariance(training, pls._covariance(training), np.ones((len(folds), channels)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < x.nbytes


@pytest.mark.parametrize("folds", [IMAGES_AND_PAIRS, leave_one_out(14)[:2]], ids=["many", "two"])
def test_features_with_fewer_rows_than_channels_are_narrowed_without_a_difference(rng, folds, monkeypatch):
    field = rng.normal(size=(14, 2, 2, 150)) * np.geomspace(1, 1e-2, 150) + 10 * rng.normal(size=150)
    field[..., 30:40] = 7
    maps = field[..., :3] + rng.normal(size=(2, 14, 2, 2, 3))
    result = {}
    for narrow in (True, False):
        monkeypatch.setattr(pls, "_narrowing_pays", lambda *sizes, way=narrow: way)
        result[narrow] = fit_folds(field, maps, folds, components=9)
        assert (result[narrow].select([1])._solution.training.x.shape[-1] == 56) == narrow
    for fold, left_out in enumerate(folds):
        for number, single in enumerate(maps):
            x, y = field[~left_out].reshape(-1, 150), single[~left_out].reshape(-1, 3)
            expected = converged(9).fit(x, y).predict(field[left_out].reshape(-1, 150))
            predicted = result[True].of(fold, number).reshape(expected.shape)
            np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-9 * maps.std())
    weights, expected = result[True].coefficients(), result[False].coefficients()
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_array_equal(result[True].select([1]).coefficients(), weights[:, [1]])


def test_narrowing_pays_for_many_models_and_few_rows(rng):
    assert pls._narrowing_pays(np.empty((14, 49, 2048)), 14, 25)
    assert not pls._narrowing_pays(np.empty((14, 49, 2048)), 1, 25)
    assert not pls._narrowing_pays(np.empty((14, 81, 2048)), 14, 25)
    assert not pls._narrowing_pays(np.empty((14, 49, 512)), 1000, 25)


@pytest.mark.parametrize("size", [1e2, 1e6, 1e8])
def test_one_channel_far_larger_than_many_others_costs_no_digits(rng, size, monkeypatch):
    monkeypatch.setattr(pls, "_narrowing_pays", lambda *sizes: True)
    field, maps = planted(channels=100, images=4, y=3, x=3)
    maps /= maps.std()
    field[..., 7] = size * (1 + rng.normal(size=field.shape[:-1]))
    predicted, _ = predict_left_out(field, maps, components=6)
    np.testing.assert_allclose(predicted[0], in_extended_precision(field, maps, 6), rtol=0, atol=1e-10)


def test_features_of_single_precision_are_computed_in_double():
    field, maps = planted(channels=40)
    field = (1000 + field).astype(np.float32)
    np.testing.assert_array_equal(
        predict_left_out(field, maps).predicted, predict_left_out(field.astype(np.float64), maps).predicted
    )


def test_an_image_far_larger_than_the_others_does_not_spoil_the_fold_that_leaves_it_out():
    field, maps = planted(channels=20)
    expected = predict_left_out(field, maps).predicted[2]
    maps[2] *= 1e9
    np.testing.assert_allclose(predict_left_out(field, maps).predicted[2], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sites", [1, 2, 5, 33, 128, 150])
@pytest.mark.parametrize("closeness", [1.0, 1e-3, 1e-9])
def test_the_leading_direction_is_that_of_an_eigendecomposition(rng, sites, closeness):
    orthonormal = np.linalg.qr(rng.normal(size=(4, sites, sites)))[0]
    values = np.sort(rng.uniform(0, 0.5, size=(4, sites)))
    values[:, -1] = 1
    values[:, -2:-1] = 1 - 0.5 * closeness
    grams = orthonormal * values[:, None] @ orthonormal.swapaxes(1, 2)
    weights, steps = pls.exact_direction(grams)
    image = np.matmul(grams, weights[..., None])[..., 0]
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1, rtol=1e-12)
    assert (np.linalg.norm(image - weights, axis=1) < max(1e-12, 2 * closeness * (closeness < 1e-6))).all()
    assert steps.tolist() == [1] * 4
    if closeness > 1e-6:
        along = np.abs(np.einsum("fs,fs->f", weights, orthonormal[..., -1]))
        np.testing.assert_allclose(along, 1, atol=1e-9)


@pytest.mark.parametrize("sites", [13, 40])
def test_more_sites_than_channels_equal_scikit_learn(rng, sites):
    field, maps = planted(channels=12, sites=sites)
    predicted, components = predict_left_out(field, maps, components=7)
    expected = one_fold_by_sklearn(field, maps, 2, lambda: converged(7))
    np.testing.assert_allclose(predicted[2], expected, atol=1e-9)
    assert (components == 7).all()


@pytest.mark.parametrize("pending", [1, 2, 100])
def test_when_components_are_removed_from_the_products_does_not_matter(rng, pending, monkeypatch):
    field, maps = planted(channels=40, noise=0.01)
    expected, _ = predict_left_out(field, maps, components=20)
    monkeypatch.setattr(pls, "PENDING", pending)
    np.testing.assert_allclose(predict_left_out(field, maps, components=20).predicted, expected, atol=1e-9)


def test_simpls_is_another_model():
    """For one site the two agree; for several, weights of undeflated products give other components."""
    field, maps = planted(channels=12)
    x = (field[1:] - field[1:].mean(axis=(0, 1, 2))).reshape(-1, 12)
    y = (maps[1:] - maps[1:].mean(axis=(0, 1, 2))).reshape(-1, 4)
    products, scores, basis = x.T @ y, [], np.zeros((12, 0))
    for _ in range(5):
        r = np.linalg.svd(products, full_matrices=False)[0][:, 0]
        t = x @ r
        p = x.T @ t
        p -= basis @ (basis.T @ p)
        basis = np.column_stack([basis, p / np.linalg.norm(p)])
        products -= basis[:, -1:] @ (basis[:, -1:].T @ products)
        scores.append((r / np.linalg.norm(t), t / np.linalg.norm(t)))
    coefficients = sum(np.outer(r, t @ y) for r, t in scores)
    simpls = (field[0] - field[1:].mean(axis=(0, 1, 2))) @ coefficients + maps[1:].mean(axis=(0, 1, 2))
    assert np.abs(predict_left_out(field, maps, components=5).predicted[0] - simpls).max() > 1e-3 * maps.std()


def test_the_left_out_maps_are_not_looked_at():
    field, maps = planted()
    changed = maps.copy()
    changed[2] = 1000 * np.random.default_rng(1).normal(size=maps[2].shape)
    before, after = predict_left_out(field, maps).predicted, predict_left_out(field, changed).predicted
    np.testing.assert_allclose(after[2], before[2], rtol=0, atol=1e-9)
    assert np.abs(after[1] - before[1]).max() > 1


def test_constant_features_predict_the_mean_of_the_training_maps():
    _, maps = planted()
    predicted, used = predict_left_out(np.ones((*maps.shape[:3], 3)), maps)
    assert (used == 0).all()
    np.testing.assert_allclose(predicted[0, 3, 3], maps[1:].mean(axis=(0, 1, 2)))


def test_a_constant_site_is_predicted_constant_and_changes_no_other():
    field, maps = planted()
    constant = np.concatenate([maps, np.full((*maps.shape[:3], 1), 3.5)], axis=-1)
    predicted = predict_left_out(field, constant).predicted
    np.testing.assert_array_equal(predicted[..., -1], 3.5)
    np.testing.assert_allclose(predicted[..., :-1], predict_left_out(field, maps).predicted, rtol=0, atol=1e-12)


def test_components_after_the_maps_are_explained_are_not_used(rng):
    field = np.eye(5)[rng.integers(0, 5, (5, 6, 7))]  # which of five things is there; rank 4 once centred
    maps = field @ rng.normal(size=(5, 3))
    predicted, used = predict_left_out(field, maps)
    assert (used <= 4).all()
    np.testing.assert_allclose(predicted, maps, rtol=0, atol=1e-12)


def test_maps_predict_themselves():
    _, maps = planted()
    np.testing.assert_allclose(predict_left_out(maps, maps, components=4).predicted, maps, rtol=0, atol=1e-9)


def test_noise_scores_about_zero(rng):
    scores = [
        site_correlation(predict_left_out(rng.normal(size=(6, 9, 9, 20)), maps).predicted, maps).mean()
        for maps in rng.normal(size=(20, 6, 9, 9, 5))
    ]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(20)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100), offset=st.floats(-10, 10))
def test_order_rotation_common_scale_offset_and_constant_channels_do_not_matter(seed, scale, offset):
    field, maps = planted(seed)
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    turned = field @ rotation[:, rng.permutation(12)] * scale + offset
    more = np.concatenate([turned, np.full((*field.shape[:-1], 1), 1e6 * offset), turned[..., :0]], axis=-1)
    for method in ("pls", "nipals"):
        expected = predict_left_out(field, maps, method, components=5).predicted
        result = predict_left_out(more, maps, method, components=5).predicted
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(3, 6), st.integers(1, 7), st.integers(1, 5)),
    channels=st.integers(1, 40),
    sites=st.integers(1, 5),
    method=st.sampled_from(["pls", "nipals", "ridge"]),
)
def test_any_shape_is_predicted_and_permuting_images_permutes_folds(seed, shape, channels, sites, method):
    rng = np.random.default_rng(seed)
    images, y, x = shape
    field, maps = rng.normal(size=(images, y, x, channels)), rng.normal(size=(images, y, x, sites))
    order = rng.permutation(images)
    result = predict_left_out(field, maps, method)
    assert result.predicted.shape == maps.shape
    assert np.isfinite(result.predicted).all()
    assert (result.components <= min(25, channels, (images - 1) * y * x)).all() or method == "ridge"
    reordered = predict_left_out(field[order], maps[order], method)
    if method != "nipals":  # its early stop depends on rounding
        np.testing.assert_allclose(reordered.predicted, result.predicted[order], rtol=0, atol=1e-5)


def test_progress_is_told_component_by_component():
    field, maps = planted()
    calls = []
    predict_left_out(field, maps, components=5, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 5) for n in range(1, 6)]


def test_tests_multiply_with_one_thread():
    """A second pool of threads, scipy's, would otherwise fight with numpy's: minutes instead of seconds."""
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"]
    assert pools
    assert all(pool["num_threads"] == 1 for pool in pools)
