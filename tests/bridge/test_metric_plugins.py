"""The metrics of this package through Brain-Score: they compare assemblies and return scores."""

import doctest

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision import load_metric
from brainscore_vision.benchmark_helpers.validate_error import assert_valid_uncertainty
from scipy.stats import t as student

from brainscore_itmaps import predict_left_out
from brainscore_itmaps.bridge import metrics
from brainscore_itmaps.bridge.metrics import METRICS, field_of, get_metric
from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.ceiling import noise_ceiling
from brainscore_itmaps.metrics.folds import fit_folds
from brainscore_itmaps.metrics.predictivity import site_correlation


def assembly(values, order=None, time_bins=None, first_row=0):
    """Make an assembly from values (image, y, x, neuroid), with presentations in the given order."""
    images, y, x, neuroids = values.shape
    image, row, column = (index.ravel() for index in np.indices((images, y, x)))
    order = np.arange(len(image)) if order is None else np.array(order, int)
    presentation = {
        "stimulus_id": [f"{i}-{r}-{c}" for i, r, c in zip(image, row, column, strict=True)],
        "image_id": [f"image-{i}" for i in image],
        "row": row + first_row,
        "col": column,
    }
    coords = {name: ("presentation", np.asarray(levels)[order]) for name, levels in presentation.items()}
    coords |= {"neuroid_id": ("neuroid", np.arange(neuroids)), "region": ("neuroid", ["IT"] * neuroids)}
    flat, dims = values.reshape(-1, neuroids)[order], ["presentation", "neuroid"]
    if time_bins:
        flat, dims = np.repeat(flat[..., None], time_bins, axis=2), [*dims, "time_bin"]
        coords |= {
            "time_bin_start": ("time_bin", range(time_bins)),
            "time_bin_end": ("time_bin", range(1, time_bins + 1)),
        }
    return NeuroidAssembly(flat, coords=coords, dims=dims)


@pytest.fixture
def arrays(rng):
    field = rng.normal(size=(6, 4, 5, 12))
    return field, field @ rng.normal(size=(12, 3)) + 2 * rng.normal(size=(6, 4, 5, 3))


def test_the_example_runs():
    results = doctest.testmod(metrics)
    assert results.attempted > 10
    assert results.failed == 0


def test_each_is_what_the_arrays_give_whatever_the_order(arrays, rng):
    attach()
    field, maps = arrays
    source, target = assembly(field, rng.permutation(120)), assembly(maps, rng.permutation(120), time_bins=1)
    names = [name.removeprefix("image-") for name in field_of(target)[1]]
    order = [int(name) for name in names]
    site_r = site_correlation(predict_left_out(field, maps).predicted, maps)[order]
    score = load_metric("itmaps_pls")(source, target)
    np.testing.assert_allclose(score.attrs["raw"].values, site_r, atol=1e-9)
    np.testing.assert_allclose(score.attrs["per_image"].values, np.median(site_r, axis=1), atol=1e-9)
    assert list(score.attrs["raw"]["image_id"].values) == [f"image-{n}" for n in names]
    assert float(score) == pytest.approx(np.median(site_r, axis=1).mean())

    ridge = predict_left_out(field, maps, "ridge_cv").predicted
    expected = np.median(site_correlation(ridge, maps), axis=1).mean()
    assert float(load_metric("itmaps_ridge")(source, target)) == pytest.approx(expected)
    alignment = load_metric("itmaps_alignment", scale=2)(source, target)
    assert float(alignment) == pytest.approx(
        feature_alignment(predict_left_out(field, maps).predicted, maps, scale=2).mean()
    )
    ceiling = load_metric("itmaps_site_ceiling")
    assert float(ceiling(target)) == pytest.approx(noise_ceiling(maps[order]).value)
    assert float(ceiling(source, target)) == float(ceiling(target))


@pytest.mark.parametrize("identifier", METRICS)
def test_errors_pass_brain_score_s_own_check(arrays, identifier):
    score = METRICS[identifier]()(*map(assembly, arrays))
    assert_valid_uncertainty(score)
    assert score.attrs["interval"][0] < float(score) < score.attrs["interval"][1]
    assert score.attrs["undefined"] == 0
    assert score.attrs["per_site"].shape == (3,)
    assert list(score.attrs["per_site"]["neuroid_id"].values) == [0, 1, 2]
    assert score.attrs["per_image"].shape == (6,)


REDUCED = {
    "itmaps_pls": lambda *pair: np.median(site_correlation(*pair), axis=1),
    "itmaps_ridge": lambda *pair: np.median(site_correlation(*pair), axis=1),
    "itmaps_alignment": feature_alignment,
}


@pytest.mark.parametrize("identifier", REDUCED)
def test_errors_are_those_of_regressions_without_each_image(arrays, identifier):
    """In a loop; six images are six groups."""
    field, maps = arrays
    method = "ridge_cv" if identifier == "itmaps_ridge" else "pls"
    replicates = []
    for group in range(6):
        values = []
        for image in set(range(6)) - {group}:
            left_out = np.isin(np.arange(6), (group, image))
            predicted = fit_folds(field, maps, left_out[None], method).of(0)[[int(image > group)]]
            values.append(REDUCED[identifier](predicted, maps[[image]])[0])
        replicates.append(np.mean(values))
    error = np.sqrt(5 / 6 * ((np.array(replicates) - np.mean(replicates)) ** 2).sum())
    score = METRICS[identifier]()(assembly(field), assembly(maps))
    assert score.attrs["error"] == pytest.approx(error, abs=1e-9)
    half = student.ppf(0.975, 5) * error
    assert score.attrs["interval"] == pytest.approx((float(score) - half, float(score) + half), abs=1e-9)


def test_three_images_have_errors_without_refits(arrays):
    field, maps = (array[:3] for array in arrays)
    score = METRICS["itmaps_pls"]()(assembly(field), assembly(maps))
    values = score.attrs["per_image"].values
    assert score.attrs["error"] == pytest.approx(values.std(ddof=1) / np.sqrt(3))


def test_a_ceiling_says_why_scores_should_not_be_divided_by_it(arrays, rng):
    ceiling = METRICS["itmaps_site_ceiling"]()
    assert ceiling(assembly(arrays[0])).attrs["reason"].startswith("there is no reliable signal")  # of noise
    signal = rng.normal(size=(6, 4, 5, 1)) + 0.2 * rng.normal(size=(6, 4, 5, 8))
    good = ceiling(assembly(signal))
    expected = noise_ceiling(signal)
    assert good.attrs["reason"] == ""
    assert (float(good), good.attrs["error"]) == pytest.approx((expected.value, expected.interval.error))
    np.testing.assert_allclose(good.attrs["raw"].values, expected.site_r)
    np.testing.assert_allclose(good.attrs["per_image"].values, expected.image_r)


def test_a_name_of_the_neuroids_is_kept_where_it_is_the_only_one(arrays):
    source, target = map(assembly, arrays)
    presentation = {name: ("presentation", target[name].values) for name in ("image_id", "row", "col")}
    alone = NeuroidAssembly(
        target.values,
        coords=presentation | {"neuroid_id": ("neuroid", ["a", "b", "c"])},
        dims=["presentation", "neuroid"],
    )
    attrs = METRICS["itmaps_pls"]()(source, alone).attrs
    assert list(attrs["raw"]["neuroid_id"].values) == ["a", "b", "c"]
    assert list(attrs["per_site"]["neuroid_id"].values) == ["a", "b", "c"]


def test_options_reach_the_regression(arrays):
    source, target = map(assembly, arrays)
    few = METRICS["itmaps_pls"](components=2)(source, target)
    assert (few.attrs["components"] == 2).all()
    assert float(METRICS["itmaps_pls"](reducer="mean")(source, target)) == pytest.approx(
        float(METRICS["itmaps_pls"]()(source, target).attrs["raw"].mean())
    )


def test_assemblies_that_do_not_fit_are_refused(arrays):
    field, maps = arrays
    source, target = assembly(field), assembly(maps)
    metric = METRICS["itmaps_pls"]()
    with pytest.raises(ArrayError, match=r"Position \(3, 4\) of the image image-5 occurs 0 times"):
        metric(source, assembly(maps, np.arange(119)))
    with pytest.raises(ArrayError, match="occurs 2 times, and 0 other positions do not"):
        metric(source, assembly(maps, np.append(np.arange(120), 7)))
    with pytest.raises(ArrayError, match="The images image-5 are in one assembly only"):
        metric(source, assembly(maps[:5]))
    with pytest.raises(ArrayError, match="Rows and columns of the two assemblies differ"):
        metric(source, assembly(maps, first_row=3))
    with pytest.raises(ArrayError, match="is empty"):
        metric(source, assembly(maps, []))
    with pytest.raises(UsageError, match="Did you mean itmaps_pls"):
        get_metric("itmaps_plz")
    with pytest.raises(ArrayError, match="has 2 time bins"):
        metric(source, assembly(maps, time_bins=2))
    with pytest.raises(ArrayError, match="lacks the coordinates row, col"):
        metric(source, target.reset_index("presentation").drop_vars(["row", "col"]))
