"""Predictions of one array's mean map from regressions on another array, beside fits that are written out."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from sklearn.cross_decomposition import PLSRegression

from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out, pairs_of_groups, refitted
from brainscore_itmaps.metrics.transfer import at_positions, predict_transfer, training_folds, typical_maps

SOURCE, TARGET = "abcdefgh", "cdefghxy"
"""Eight images each, of which six are shared, at other indices."""


def two_arrays(rng, signal="shared", noise=0.5):
    """Fields and maps of two arrays with unequal grids and sites; smooth features, so that maps have structure."""
    contents = {image: rng.normal(size=(3, 4, 6)) for image in "abcdefghxy"}

    def field(images, rows, columns):
        y, x = np.linspace(0, 1, rows), np.linspace(0, 1, columns)
        waves = (
            np.stack([np.cos(np.pi * k * y) for k in range(3)], 1),
            np.stack([np.cos(np.pi * k * x) for k in range(4)], 1),
        )
        return np.stack([np.einsum("ya,xb,abc->yxc", *waves, contents[image]) for image in images])

    def maps(features, sites, mixing):
        clean = features @ mixing
        return clean + noise * clean.std() * rng.normal(size=(*features.shape[:3], sites))

    fields = field(SOURCE, 7, 9), field(TARGET, 5, 6)
    of_source = np.array([1, 1, 1, 0, 0, 0])  # channels that drive the sites of the source
    driving = of_source, of_source if signal == "shared" else 1 - of_source
    mixings = [
        on[:, None] * rng.uniform(0.5, 1.5, size=(6, sites)) for on, sites in zip(driving, (11, 10), strict=True)
    ]
    return fields, [maps(features, mixing.shape[1], mixing) for features, mixing in zip(fields, mixings, strict=True)]


def test_from_an_array_to_itself_it_is_the_mean_over_sites_of_the_left_out_predictions(rng):
    (field, _), (maps, _) = two_arrays(rng)
    maps = maps.copy()
    maps[2, 1, 3, 4] = np.nan
    folds = leave_one_out(8)
    transfer = predict_transfer(field, maps, field, SOURCE, SOURCE, folds, components=4)
    fitted = fit_folds(field, maps, folds, components=4)
    expected = np.nanmean(fitted.predicted, axis=-1)
    np.testing.assert_allclose(transfer.left_out[..., 0], expected, atol=1e-9)
    np.testing.assert_array_equal(transfer.components, fitted.components)
    pairs = pairs_of_groups(8, 4)
    in_pairs = predict_transfer(field, maps, field, SOURCE, SOURCE, pairs, components=4)
    mean = np.nanmean(maps, axis=-1, keepdims=True)

    def rho(predicted, recorded):
        return feature_alignment(np.nanmean(predicted, axis=-1, keepdims=True), np.nanmean(recorded, -1, keepdims=True))

    np.testing.assert_allclose(
        refitted(in_pairs, mean, feature_alignment), refitted(fit_folds(field, maps, pairs, components=4), maps, rho)
    )


def test_each_fold_is_fitted_to_the_source_images_that_are_unlike_those_left_out(rng):
    (field, target), (maps, _) = two_arrays(rng)
    folds = pairs_of_groups(8, 3)
    transfer = predict_transfer(field, maps, target, SOURCE, TARGET, folds, components=3)
    for number, left_out in enumerate(folds):
        held = {image for image, out in zip(TARGET, left_out, strict=True) if out}
        training = [index for index, image in enumerate(SOURCE) if image not in held]
        model = PLSRegression(3, scale=False, tol=1e-28, max_iter=200_000)
        model.fit(field[training].reshape(-1, 6), maps[training].reshape(-1, 11))
        expected = model.predict(target[left_out].reshape(-1, 6)).mean(axis=-1)
        np.testing.assert_allclose(transfer.of(number).ravel(), expected, rtol=1e-6)


def test_no_prediction_depends_on_the_source_maps_of_its_own_image(rng):
    (field, target), (maps, _) = two_arrays(rng)
    folds = leave_one_out(8)
    before = predict_transfer(field, maps, target, SOURCE, TARGET, folds).left_out
    changed = maps.copy()
    changed[SOURCE.index("e")] = 100 * rng.normal(size=maps.shape[1:])
    after = predict_transfer(field, changed, target, SOURCE, TARGET, folds).left_out
    same = [np.allclose(one, other, rtol=1e-6) for one, other in zip(before, after, strict=True)]
    assert same == [image == "e" for image in TARGET]
    copies = "abcdefge"  # the last image of the source has the pixels of the fifth
    twice = predict_transfer(field, maps, target, copies, TARGET, folds).left_out
    changed = maps.copy()
    changed[[4, 7]] = rng.normal(size=(2, *maps.shape[1:]))
    again = predict_transfer(field, changed, target, copies, TARGET, folds).left_out
    np.testing.assert_allclose(again[TARGET.index("e")], twice[TARGET.index("e")], rtol=1e-6)


def test_images_that_the_source_does_not_have_are_predicted_from_all_of_its_images():
    assert (~training_folds(SOURCE, TARGET, leave_one_out(8))).sum(axis=1).tolist() == [7] * 6 + [8] * 2


def test_shared_signals_transfer_nearly_as_well_as_within_an_array_and_unrelated_ones_do_not():
    folds, rho = leave_one_out(8), {"shared": [], "unrelated": []}
    for seed in range(8):
        for signal, values in rho.items():
            fields, maps = two_arrays(np.random.default_rng(seed), signal)
            mean = maps[1].mean(axis=-1, keepdims=True)
            across = predict_transfer(fields[0], maps[0], fields[1], SOURCE, TARGET, folds).left_out
            within = predict_transfer(fields[1], maps[1], fields[1], TARGET, TARGET, folds).left_out
            values.append([feature_alignment(predicted, mean).mean() for predicted in (across, within)])
    (shared, upper), (unrelated, of_itself) = (np.mean(values, axis=0) for values in rho.values())
    assert min(upper, of_itself) > 0.9
    assert shared == pytest.approx(upper, abs=0.03)
    assert unrelated == pytest.approx(0, abs=0.1)


def test_the_typical_map_is_the_mean_over_sites_and_training_images(rng):
    _, (maps, _) = two_arrays(rng)
    transfer = typical_maps(maps, SOURCE, TARGET, leave_one_out(8))
    for index, image in enumerate(TARGET):
        training = [number for number, other in enumerate(SOURCE) if other != image]
        np.testing.assert_allclose(transfer.left_out[index, ..., 0], maps[training].mean(axis=(0, 3)))
    assert transfer.components.tolist() == [0] * 8


def test_maps_are_interpolated_linearly_and_beyond_the_edge_keep_the_value_there(rng):
    maps, y, x = rng.normal(size=(2, 5, 4, 3)), np.array([-4.0, -1, 0, 2, 4]), np.array([-3.0, -1, 1, 3])
    new_y, new_x = np.array([-9.0, -0.5, 4, 5]), np.array([-3.0, 0, 2.5])
    inside = np.stack(np.meshgrid(new_y.clip(-4, 4), new_x.clip(-3, 3), indexing="ij"), axis=-1)
    expected = np.stack([RegularGridInterpolator((y, x), image)(inside) for image in maps])
    np.testing.assert_allclose(at_positions(maps, y, x, new_y, new_x), expected)
    np.testing.assert_allclose(at_positions(maps, y, x, y[::2], x), maps[:, ::2])


def test_what_does_not_fit_is_a_sentence(rng):
    (field, target), (maps, _) = two_arrays(rng)
    with pytest.raises(ArrayError, match="do not have the same channels"):
        predict_transfer(field, maps, target[..., :3], SOURCE, TARGET, leave_one_out(8))
    with pytest.raises(ArrayError, match="fewer than 2 training images"):
        predict_transfer(field, maps, target, SOURCE, SOURCE, np.ones((1, 8), bool))
    with pytest.raises(UsageError, match="coefficients"):
        predict_transfer(field, maps, target, SOURCE, TARGET, leave_one_out(8), "ridge")
