import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression

from brainscore_itmaps import predict_left_out


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


@pytest.mark.parametrize(("channels", "components"), [(12, 3), (12, 8), (40, 25), (300, 25)])
def test_equals_scikit_learn_run_to_convergence(channels, components):
    field, maps = planted(channels=channels)
    predicted, used = predict_left_out(field, maps, components=components)
    assert (used == components).all()
    for image in range(len(maps)):
        expected = one_fold_by_sklearn(
            field, maps, image, lambda: PLSRegression(components, scale=False, tol=1e-28, max_iter=200_000)
        )
        np.testing.assert_allclose(predicted[image], expected, rtol=0, atol=1e-9 * maps.std())


def test_scikit_learn_s_default_is_not_converged():
    """Guards the test above: were the default exact, it would prove nothing about convergence."""
    field, maps = planted(channels=40)
    loose = one_fold_by_sklearn(field, maps, 0, lambda: PLSRegression(25, scale=False))
    assert np.abs(predict_left_out(field, maps).predicted[0] - loose).max() > 1e-7 * maps.std()


def test_more_components_than_rank_gives_least_squares_and_says_how_many_were_used():
    field, maps = planted(channels=30, rank=7)
    predicted, used = predict_left_out(field, maps, components=25)
    assert (used == 7).all()
    for image in range(len(maps)):
        expected = one_fold_by_sklearn(field, maps, image, LinearRegression)
        np.testing.assert_allclose(predicted[image], expected, rtol=0, atol=1e-6 * maps.std())


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


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100), offset=st.floats(-10, 10))
def test_order_rotation_common_scale_and_offset_of_channels_do_not_matter(seed, scale, offset):
    field, maps = planted(seed)
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    turned = field @ rotation[:, rng.permutation(12)] * scale + offset
    expected = predict_left_out(field, maps, components=5).predicted
    np.testing.assert_allclose(predict_left_out(turned, maps, components=5).predicted, expected, rtol=0, atol=1e-7)


def test_permuting_images_permutes_folds(rng):
    field, maps = planted()
    order = rng.permutation(len(maps))
    np.testing.assert_allclose(
        predict_left_out(field[order], maps[order]).predicted, predict_left_out(field, maps).predicted[order], atol=1e-9
    )


def test_progress_is_told_fold_by_fold():
    field, maps = planted()
    told = []
    predict_left_out(field, maps, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 5) for n in range(1, 6)]


@pytest.mark.parametrize(
    ("field", "maps", "message"),
    [
        (np.ones((4, 3, 3, 2)), np.ones((4, 3, 4, 2)), "must share image, y and x"),
        (np.ones((4, 3, 3)), np.ones((4, 3, 3, 2)), "must share image, y and x"),
        (np.ones((2, 3, 3, 2)), np.ones((2, 3, 3, 2)), "at least 3 images, not 2"),
        (np.full((4, 3, 3, 2), np.nan), np.ones((4, 3, 3, 2)), "finite"),
        (np.ones((4, 3, 3, 2)), np.full((4, 3, 3, 2), np.inf), "finite"),
    ],
)
def test_refuses_what_it_cannot_fit(field, maps, message):
    with pytest.raises(ValueError, match=message):
        predict_left_out(field, maps)
