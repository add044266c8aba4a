"""Which images are left out together: identical ones, and groups of many."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainscore_itmaps import noise_ceiling, predict_left_out
from brainscore_itmaps.errors import ArrayError, DataError
from brainscore_itmaps.metrics.ceiling import ceiling_of_repeats
from brainscore_itmaps.metrics.folds import (
    GROUPS,
    fit_folds,
    fit_left_out,
    groups_left_out,
    leave_one_out,
    number_images,
    pairs_of_groups,
    refitted,
    score_folds,
)
from brainscore_itmaps.metrics.predictivity import site_correlation

CONTENTS = st.lists(st.integers(0, 60), min_size=3, max_size=90).filter(lambda labels: len(set(labels)) >= 3)


@given(CONTENTS)
@settings(max_examples=200, deadline=None)
def test_no_fold_is_trained_on_what_it_predicts(labels):
    """Every image is predicted once, never from an image with the same content."""
    labels = np.array(labels)
    folds = score_folds(labels)
    assert (folds.sum(axis=0) == 1).all()
    assert folds.any(axis=1).all()
    assert len(folds) == (len(set(labels)) if len(set(labels)) <= 32 else 14)
    for left_out in [*folds, *groups_left_out(labels)]:
        assert not set(labels[left_out]) & set(labels[~left_out])


@given(CONTENTS.filter(lambda labels: len(set(labels)) >= 4))
@settings(max_examples=100, deadline=None)
def test_a_group_of_an_interval_consists_of_whole_folds_and_no_refit_without_it_sees_its_images(labels):
    folds, groups, pairs = score_folds(labels), groups_left_out(labels), pairs_of_groups(labels)
    assert len(groups) == min(GROUPS, len(set(labels)))
    for group in groups:
        assert all(fold[group].all() or not fold[group].any() or not (fold & ~group).any() for fold in folds)
    assert [tuple(pair) for pair in pairs] == [tuple(one | other) for one, other in combinations(groups, 2)]
    contained = [[bool((fold & ~group).any()) is False for group in groups] for fold in folds]
    assert all(sum(inside) == 1 for inside in contained)  # each fold lies in one group


def test_seven_groups_are_unions_of_two_of_fourteen():
    folds, groups = score_folds(75), groups_left_out(75)
    assert (len(folds), len(groups)) == (14, 7)
    np.testing.assert_array_equal(folds[:7] | folds[7:], groups)


def test_different_images_are_numbered_as_they_first_appear():
    assert number_images(4).tolist() == [0, 1, 2, 3]
    assert number_images(["b", "a", "b", "c", "a"]).tolist() == [0, 1, 0, 2, 1]
    np.testing.assert_array_equal(leave_one_out("baca"), [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]])
    np.testing.assert_array_equal(score_folds(32), np.eye(32, dtype=bool))


def test_too_few_different_images_are_refused():
    with pytest.raises(ArrayError, match="1 images cannot be left out"):
        groups_left_out([5, 5, 5])
    with pytest.raises(DataError, match="training images of 3 different images"):
        pairs_of_groups([0, 1, 2, 0, 1, 2])
    with pytest.raises(ArrayError, match="fewer than 2 training images"):
        predict_left_out(np.ones((3, 2, 2, 2)), np.ones((3, 2, 2, 1)), images=[0, 0, 0])
    with pytest.raises(ArrayError, match="2 labels name 4 images"):
        fit_folds(np.ones((4, 2, 2, 2)), np.ones((4, 2, 2, 1)), leave_one_out(4), images=[0, 1])


@pytest.mark.parametrize("method", ["pls", "nipals", "ridge", "ridge_cv"])
def test_many_images_are_predicted_by_regressions_on_the_other_groups(rng, method):
    field = rng.normal(size=(36, 3, 4, 5))
    maps = field @ rng.normal(size=(5, 2)) + rng.normal(size=(36, 3, 4, 2))
    result = predict_left_out(field, maps, method)
    for group in range(14):
        left_out = np.arange(36) % 14 == group
        alone = fit_folds(field, maps, left_out[None], method)
        np.testing.assert_allclose(result.predicted[left_out], alone.of(0), rtol=0, atol=1e-9)
        assert (result.components[left_out] == alone.components[0]).all()
    assert result.components.shape == (36,)
    assert (result.penalty is None) == ("ridge" not in method)
    assert result.penalty is None or result.penalty.shape == (36,)


def test_the_penalty_is_chosen_without_copies_of_the_tested_image(rng):
    """Copies of a training image would let a small penalty fit what does not generalise."""
    contents = np.repeat(np.arange(6), 2)
    field = rng.normal(size=(6, 3, 3, 60))[contents]
    maps = rng.normal(size=(6, 3, 3, 2))[contents]
    together = predict_left_out(field, maps, "ridge_cv", images=contents).penalty
    alone = predict_left_out(field, maps, "ridge_cv", folds=leave_one_out(contents)).penalty
    assert (together > 10 * alone).all()


def test_identical_images_do_not_inflate_predictions(rng):
    """The score with copies is that without copies, where copies in the training images would raise it to 1."""
    field = rng.normal(size=(9, 4, 4, 300))
    maps = field[..., :2] @ rng.normal(size=(2, 3)) + 2 * rng.normal(size=(9, 4, 4, 3))
    copied = np.array([*range(9), *range(0, 9, 2), *range(0, 9, 2)])
    scores = {
        "without": site_correlation(predict_left_out(field, maps).predicted, maps).mean(),
        "together": site_correlation(
            predict_left_out(field[copied], maps[copied], images=copied).predicted, maps[copied]
        ).mean(),
        "leaking": site_correlation(
            predict_left_out(field[copied], maps[copied], folds=leave_one_out(19)).predicted, maps[copied]
        ).mean(),
    }
    assert scores["leaking"] > scores["without"] + 0.3
    assert scores["together"] == pytest.approx(scores["without"], abs=0.1)


def test_refits_of_identical_images_leave_out_their_group(rng):
    contents = [0, 1, 2, 3, 4, 0, 5, 6, 7, 3]
    field, maps = rng.normal(size=(10, 3, 4, 5)), rng.normal(size=(10, 3, 4, 2))
    left_out, pairs = fit_left_out(field, maps, images=contents)
    assert len(left_out.folds) == 8
    groups, values = groups_left_out(contents), refitted(pairs, maps, site_correlation)
    np.testing.assert_array_equal(np.isnan(values[..., 0]), groups)
    without = fit_folds(field, maps, (groups[0] | groups[3])[None])
    expected = site_correlation(without.of(0), maps[groups[0] | groups[3]])
    np.testing.assert_allclose(values[0, groups[3]], expected[groups[3][groups[0] | groups[3]]], atol=1e-9)


def test_noise_ceilings_leave_out_identical_images_together(rng):
    contents = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    signal = rng.normal(size=(10, 1, 5, 4, 1))
    repeats = signal + rng.normal(size=(10, 2, 5, 4, 6))
    for kind in ("split_half", "map", "sites", "reference"):
        ceiling = noise_ceiling(repeats.mean(axis=1), kind, repeats=repeats, images=contents)
        assert ceiling.replicates.shape == (7,)
        alone = noise_ceiling(repeats.mean(axis=1), kind, repeats=repeats)
        assert not np.allclose(ceiling.replicates, alone.replicates)
    site_r = rng.uniform(0.2, 0.9, size=(10, 6))
    ceiling = ceiling_of_repeats(site_r, images=contents)
    assert ceiling.replicates[0] == pytest.approx(np.median(site_r, axis=1)[[1, 2, 3, 4, 5, 6, 9]].mean())


def test_a_ceiling_of_sites_over_many_images_fits_fourteen_folds_and_seven_groups(rng):
    maps = rng.normal(size=(34, 3, 3, 1)) + rng.normal(size=(34, 3, 3, 4))
    ceiling = noise_ceiling(maps, "sites")
    assert ceiling.image_r.shape == (34,)
    assert ceiling.replicates.shape == (7,)


def test_with_many_sites_one_eigenvector_gives_the_same_predictions(rng, monkeypatch):
    field = rng.normal(size=(6, 4, 4, 20))
    maps = field @ rng.normal(size=(20, 70)) + rng.normal(size=(6, 4, 4, 70))
    one = predict_left_out(field, maps, components=6).predicted
    monkeypatch.setattr("brainscore_itmaps.metrics.pls.FEW_SITES", 100)
    np.testing.assert_allclose(one, predict_left_out(field, maps, components=6).predicted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_field_is_overwritten_only_where_that_is_allowed(rng, dtype):
    field, maps = rng.normal(size=(5, 4, 4, 6)).astype(dtype), rng.normal(size=(5, 4, 4, 2))
    kept = field.copy()
    expected = predict_left_out(field, maps).predicted
    np.testing.assert_array_equal(field, kept)
    left_out, _ = fit_left_out(field, maps, overwrite=True)
    np.testing.assert_allclose(left_out.predicted, expected, atol=1e-10)
