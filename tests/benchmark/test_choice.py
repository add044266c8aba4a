"""A layer is chosen without the image that it will be scored on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.cross_decomposition import PLSRegression

from brainscore_itmaps.benchmark.layers import chosen_layers
from brainscore_itmaps.errors import ArrayError, DataError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import fit_folds, groups_left_out, pairs_of_groups, refitted
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation


def planted(rng, images, channels=6, sites=3):
    field = rng.normal(size=(images, 4, 3, channels)) + 2
    return field, field @ rng.normal(size=(channels, sites)) + rng.normal(size=(images, 4, 3, sites)) - 9


def medians(predicted, maps):
    return over_sites(site_correlation(predicted, maps))


VALUES = {"predictivity": medians, "alignment": feature_alignment}


def inner(field, maps, measure="predictivity"):
    """Values of images by regressions without each group, (group, image)."""
    return refitted(fit_folds(field, maps, pairs_of_groups(len(maps))), maps, VALUES[measure])


def fitted(field, maps, others, components=6):
    """Scikit-learn's regression on some of the images, as a function of features (y, x, channel)."""
    regression = PLSRegression(components, scale=False, tol=1e-28, max_iter=200_000)
    regression.fit(field[others].reshape(-1, field.shape[-1]), maps[others].reshape(-1, maps.shape[-1]))
    return lambda shown: regression.predict(shown.reshape(-1, shown.shape[-1])).reshape(*shown.shape[:2], -1)


def value_of(predicted, maps, measure):
    """Of one image, by scipy."""
    if measure == "alignment":
        return spearmanr(predicted.mean(axis=-1).ravel(), maps.mean(axis=-1).ravel()).statistic
    sites = range(maps.shape[-1])
    return np.median([pearsonr(predicted[..., site].ravel(), maps[..., site].ravel()).statistic for site in sites])


@pytest.mark.parametrize("measure", ["predictivity", "alignment"])
@pytest.mark.parametrize("images", [4, 7, 9])
def test_refits_are_those_of_a_regression_that_saw_neither_group(rng, images, measure):
    """Up to 7 images are groups of their own; of 9, image 0 is in a group with image 7, and 1 with 8."""
    field, maps = planted(rng, images)
    found, groups = inner(field, maps, measure), min(images, 7)
    assert found.shape == (groups, images)
    for group in range(groups):
        for image in range(images):
            if image % 7 == group:
                assert np.isnan(found[group, image])
                continue
            others = [other for other in range(images) if other % 7 not in (group, image % 7)]
            predicted = fitted(field, maps, others)(field[image])
            assert found[group, image] == pytest.approx(value_of(predicted, maps[image], measure), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(images=st.integers(4, 10), image=st.integers(0, 9), seed=st.integers(0, 9999), size=st.sampled_from([0, 1, 1e3]))
@pytest.mark.parametrize("measure", ["predictivity", "alignment"])
def test_maps_of_the_image_that_is_scored_never_matter(measure, images, image, seed, size):
    rng, image = np.random.default_rng(seed), image % images
    field, maps = planted(rng, images)
    changed = maps.copy()
    changed[image] = size * rng.normal(size=(4, 3, 3))
    before, after = (inner(field, given, measure) for given in (maps, changed))
    np.testing.assert_allclose(before[image % 7], after[image % 7], rtol=0, atol=1e-8)
    other_groups = np.array([group for group in range(min(images, 7)) if group != image % 7])
    assert (np.abs(before[other_groups] - after[other_groups]) > 1e-6).any()  # where it is trained on, they do
    other = before + 0.1 * rng.normal(size=before.shape)
    before_choice = chosen_layers({"one": before, "two": other})
    assert chosen_layers({"one": after, "two": other})[image] == before_choice[image]


def test_each_of_several_sets_is_scored(rng):
    field, maps = planted(rng, 8)
    other = maps[::-1, ..., :2]
    fitted = fit_folds(field, [maps, other], pairs_of_groups(8))
    for number, alone in enumerate((maps, other)):
        found = refitted(fitted, alone, medians, set=number)
        np.testing.assert_allclose(found, inner(field, alone), rtol=0, atol=1e-12)


def test_folds_that_are_no_pairs_of_groups_are_refused(rng):
    field, maps = planted(rng, 6)
    fitted = fit_folds(field, maps, pairs_of_groups(6, 3))
    assert np.isfinite(refitted(fitted, maps, medians)[0, 1])
    for wrong in (fit_folds(field, maps, groups_left_out(6, 3)), fitted.select([0, 1]), fitted.select([0, 1, 2, 2])):
        with pytest.raises(ArrayError, match="every two groups of the 6 images once"):
            refitted(wrong, maps, medians)
    with pytest.raises(ArrayError, match="every two groups of the 5 images once"):
        refitted(fitted, maps[:5], medians)


@pytest.mark.parametrize("components", [2, 9])
@pytest.mark.parametrize("groups", [(0, 1, 2, 3, 4, 5), (0, 0, 1, 1, 2, 2), (0, 0, 0, 0, 1, 1), (0, 1, 1, 2, 1, 0)])
@pytest.mark.parametrize("channels", [6, 150])  # few are multiplied out at once; of many, row by row
def test_groups_of_images_are_predicted_from_all_the_others(rng, groups, components, channels):
    field, maps = planted(rng, 6, channels)
    left_out = np.array(groups) == np.unique(groups)[:, None]
    found = fit_folds(field, maps, left_out, components=components)
    assert (found.components == min(components, channels)).all()
    for fold, out in enumerate(left_out):
        predict = fitted(field, maps, np.flatnonzero(~out), min(components, channels))
        np.testing.assert_allclose(found.of(fold), [predict(shown) for shown in field[out]], rtol=0, atol=1e-9)
    for image in range(6):
        fold, place = groups[image], groups[:image].count(groups[image])
        np.testing.assert_array_equal(found.predicted[image], found.of(fold)[place])


def test_an_image_that_no_fold_leaves_out_is_predicted_by_none(rng):
    field, maps = planted(rng, 5)
    left_out = np.array([[True, False, False, False, False], [False, True, True, False, False]])
    found = fit_folds(field, maps, left_out)
    assert [len(found.of(fold)) for fold in range(2)] == [1, 2]
    np.testing.assert_allclose(found.of(1)[1], fitted(field, maps, [0, 3, 4])(field[2]), rtol=0, atol=1e-9)
    with pytest.raises(ArrayError, match="0 folds leave out image 3, 4"):
        found.predicted  # noqa: B018
    with pytest.raises(ArrayError, match="2 folds leave out image 1, 2"):
        found.select([1, 0, 1]).predicted  # noqa: B018


def test_a_site_that_is_constant_on_what_a_fold_keeps_is_predicted_constant(rng):
    field, maps = planted(rng, 5)
    maps[:4, ..., 1] = 0.1
    left_out = np.array(
        [[False, False, False, False, True], [True, True, True, False, False], [False] * 3 + [True] * 2]
    )
    found = fit_folds(field, maps, left_out)
    np.testing.assert_array_equal([found.of(0)[0, ..., 1], found.of(2)[1, ..., 1]], 0.1)
    assert np.ptp(found.of(1)[0, ..., 1]) > 0
    alone = fit_folds(field, np.delete(maps, 1, axis=-1), left_out)
    np.testing.assert_allclose(np.delete(found.of(0)[0], 1, axis=-1), alone.of(0)[0], rtol=0, atol=1e-9)


def test_a_fold_that_keeps_one_image_is_refused(rng):
    field, maps = planted(rng, 4)
    with pytest.raises(ArrayError, match="fewer than 2 training images"):
        fit_folds(field, maps, np.array([[True, True, True, False]]))


def test_a_site_with_a_missing_value_is_fitted_by_no_fold_and_changes_no_score(rng):
    field, maps = planted(rng, 5)
    expected = inner(field, maps[..., 1:])
    maps[0, 0, 0, 0] = np.nan
    assert np.isnan(fit_folds(field, maps, pairs_of_groups(5)).of(3)[..., 0]).all()
    np.testing.assert_allclose(inner(field, maps), expected, rtol=0, atol=1e-12)


def test_each_image_takes_the_layer_that_does_best_on_the_others(rng):
    given = {name: rng.normal(size=(6, 6)) for name in ("first", "second", "third")}
    for values in given.values():
        np.fill_diagonal(values, np.nan)
    expected = []
    for image in range(6):
        means = {name: np.mean([values[image, j] for j in range(6) if j != image]) for name, values in given.items()}
        expected.append(max(means, key=means.get))
    assert chosen_layers(given) == tuple(expected)
    assert len(set(expected)) > 1


def test_of_equal_layers_the_first_is_taken(rng):
    values = rng.normal(size=(4, 4))
    assert chosen_layers({"a": values, "b": values.copy(), "c": values.copy()}) == ("a",) * 4


def test_values_that_are_undefined_do_not_count():
    nan = np.nan
    given = {
        "never": np.full((3, 3), nan),
        "partly": np.array([[nan, 0.9, nan], [0.1, nan, nan], [-0.6, nan, nan]]),
        "always": np.array([[nan, 0.3, 0.4], [0.3, nan, 0.4], [-0.3, -0.4, nan]]),
    }
    assert chosen_layers(given) == ("partly", "always", "always")  # undefined is neither 0 nor the worst
    assert chosen_layers({"never": given["never"], "also never": given["never"]}) == ("never",) * 3


def test_few_images_have_no_training_images_to_choose_on(rng):
    with pytest.raises(DataError, match="cannot be chosen on the training images of 3 images"):
        inner(*planted(rng, 3))
    assert (np.isnan(inner(*planted(rng, 4))) == np.eye(4, dtype=bool)).all()
