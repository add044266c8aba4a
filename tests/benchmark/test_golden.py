"""The published protocol against what the published code computed; see golden/README.md."""

import numpy as np
import pytest
from published import golden

from brainscore_itmaps import predict_left_out, score_features
from brainscore_itmaps.benchmark.layers import score_field
from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.features.published import published_field
from brainscore_itmaps.metrics.alignment import feature_alignment, top_overlap
from brainscore_itmaps.metrics.ceiling import reference_ceiling
from brainscore_itmaps.metrics.folds import groups_left_out, leave_one_out
from brainscore_itmaps.metrics.pls import fit_pls, published_direction
from brainscore_itmaps.metrics.predictivity import published_coarsened, site_correlation
from brainscore_itmaps.metrics.rows import Options, rows_of
from brainscore_itmaps.progress import uncounted
from brainscore_itmaps.protocol import PUBLISHED

CASES = [("george", 17, 7), ("george", 17, 28), ("red", 9, 7), ("red", 9, 9)]


def maps_of(monkey):
    return golden(f"maps_{monkey}_central_it")["Y"]


def features_of(monkey, size):
    stored = golden(f"features_{monkey}_relu_C064")
    return stored[f"codes_h{size:02d}"].astype(np.float32) * stored["scale"] + stored["offset"]


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize(("monkey", "grid", "size"), CASES)
def test_scores_of_every_image_and_site(monkey, grid, size, precision):
    published = golden(f"score_model_{monkey}_central_it_relu_C064_h{size:02d}")
    result = score_features(
        features_of(monkey, size).astype(precision), maps_of(monkey).astype(precision), protocol="published"
    )
    np.testing.assert_allclose(result.site_r, published["corr_site_ref"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.image_r, published["fold_score_ref"], rtol=0, atol=1e-6)
    assert result.score == pytest.approx(published["final_score_ref"][0], abs=1e-6)
    assert result.image_r.std() == pytest.approx(published["final_score_ref"][1], abs=1e-6)
    ties = 1e-6 if monkey == "george" else 1e-3  # see golden/README.md
    np.testing.assert_allclose(result.map_rho, published["maprho1_ref"], rtol=0, atol=ties)
    np.testing.assert_allclose(result.map_rho_coarse, published["maprho4_ref"], rtol=0, atol=1e-6)
    assert (result.components == 25).all()
    if "y_pred_ref" in published:
        predicted = result.predicted[published["folds_stored"]].reshape(published["y_pred_ref"].shape)
        np.testing.assert_allclose(predicted, published["y_pred_ref"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("monkey", "grid", "size"), [CASES[0], CASES[2]])
def test_fitting_again_without_groups_changes_no_number(monkey, grid, size):
    """Not by a bit: the published iteration stops by rounding."""
    published = golden(f"score_model_{monkey}_central_it_relu_C064_h{size:02d}")
    field, maps = published_field(features_of(monkey, size), grid), maps_of(monkey)
    (alone,), (refitted,) = (
        score_field(field, [maps], "pls", PUBLISHED, groups, progress=uncounted) for groups in (None, 7)
    )
    np.testing.assert_allclose(refitted.site_r, published["corr_site_ref"], rtol=0, atol=1e-6)
    for name in ("site_r", "image_r", "map_rho", "map_rho_coarse", "components", "predicted"):
        np.testing.assert_array_equal(getattr(refitted, name), getattr(alone, name))
    assert alone.refit_r is None
    np.testing.assert_array_equal(np.isnan(refitted.refit_r), groups_left_out(14))


@pytest.mark.parametrize(("monkey", "grid", "size"), CASES)
def test_the_iteration_stops_after_the_same_number_of_steps(monkey, grid, size):
    published = golden(f"score_model_{monkey}_central_it_relu_C064_h{size:02d}")
    maps = maps_of(monkey).astype(float)
    rows = rows_of(published_field(features_of(monkey, size), grid), maps[None])
    varying = np.ones((1, 14, maps.shape[-1]), bool)
    folds = fit_pls(rows, leave_one_out(14), varying, Options(25), published_direction)
    np.testing.assert_array_equal(folds.iterations[0], published["n_iter_ref"])


@pytest.mark.parametrize("case", ["small", "one_site", "wide"])
def test_coefficients_and_steps_of_single_regressions(case):
    """A fold whose training images hold the published rows: three images of which the third is left out."""
    unit = golden("brain_score_unit")
    x, y = unit[f"{case}_X_train"], unit[f"{case}_Y_train"].astype(float)
    half = len(x) // 2
    field = np.stack([x[:half], x[half:], np.zeros_like(x[:half])])[:, None]  # (image, 1, position, channel)
    maps = np.stack([y[:half], y[half:], np.zeros_like(y[:half])])[None, :, None]
    varying = np.ones((1, 3, y.shape[1]), bool)
    folds = fit_pls(rows_of(field, maps), leave_one_out(3), varying, Options(25), published_direction)
    np.testing.assert_allclose(folds.coefficients(0)[2], unit[f"{case}_coef64"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(folds.iterations[0, 2], unit[f"{case}_n_iter"])


@pytest.mark.parametrize("live", [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 23, 24, 25, 26, 30])
def test_fewer_dimensions_than_components_stop_at_the_rank(live):
    """There the published code gives noise, 0 or NaN; the stored values are its own with fewer components."""
    features = features_of("red", 9)
    features[..., live:] = 0
    stored = golden("rank_deficient")
    result = score_features(features, maps_of("red"), protocol="published")
    assert (result.components == min(live, 25)).all()
    np.testing.assert_allclose(result.image_r, stored[f"live{live}_fold_truncated"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("monkey", "grid"), [("george", 17), ("red", 9)])
@pytest.mark.parametrize("size", [7, 9, 14, 17, 28])
def test_resized_features(monkey, grid, size):
    stored = golden(f"resize_g{grid:02d}_{monkey}_relu_C064")
    field = published_field(features_of(monkey, size), grid)
    assert field.shape == (14, grid, grid, 64)
    np.testing.assert_allclose(field[..., stored["channel_index"]], stored[f"ref_h{size:02d}"], rtol=0, atol=1e-6)
    assert (field[..., -1] == 0).all() == (size <= grid)


@pytest.mark.parametrize(
    ("channels", "size"), [(600, 2), (640, 2), (768, 3), (1002, 2), (1024, 3), (1280, 2), (1536, 2), (2048, 2)]
)
def test_averaged_channels(channels, size):
    """Seen through the resize to the features' own size, which only scales them and drops the last channel."""
    stored = golden("channel_reduce")
    averaged = stored[f"out_C{channels}_h{size}"]
    field = published_field(stored[f"in_C{channels}_h{size}"], size)
    assert field.shape == averaged.shape
    averaged[..., -1] = 0
    flat = averaged.reshape(2, -1)
    expected = (flat - flat.min(axis=1, keepdims=True)) / np.ptp(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(field.reshape(2, -1), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [601, 1001])
def test_channels_that_cannot_be_averaged(channels):
    with pytest.raises(ArrayError, match=f"{channels} channels, which neither 3 nor 4 divides"):
        published_field(np.ones((2, 2, 2, channels)), 4)


@pytest.mark.parametrize("case", ["smooth56", "ties17", "sparse17", "u8_28", "const8", "f64_near_ties", "rect_12x20"])
def test_overlap_is_exact(case):
    stored = golden("heatmap_metrics")
    for percent in (5, 10, 25):
        dice, iou = top_overlap(stored[f"{case}_a"], stored[f"{case}_b"], percent / 100, protocol="published")
        np.testing.assert_array_equal(dice, stored[f"{case}_dice_p{percent}"])
        np.testing.assert_array_equal(iou, stored[f"{case}_iou_p{percent}"])
    rho = feature_alignment(stored[f"{case}_a"][..., None], stored[f"{case}_b"][..., None], protocol="published")
    np.testing.assert_allclose(rho, stored[f"{case}_spearman"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("case", "scale"),
    [("g17", 1), ("g17", 4), ("g9", 1), ("g9", 4), ("g17_default", 4), ("g28", 2), ("g28", 4), ("g28", 7), ("g28", 14)],
)
def test_rank_correlation_at_coarse_scales(case, scale):
    stored = golden("spearmanr_sim")
    a, b = stored[f"{case}_a"][..., None], stored[f"{case}_b"][..., None]
    np.testing.assert_array_equal(published_coarsened(a, scale)[..., 0], stored[f"{case}_resized_a_{scale}"])
    rho = feature_alignment(a, b, scale=scale, protocol="published")
    np.testing.assert_allclose(rho, stored[f"{case}_rho_{scale}"], rtol=0, atol=1e-12)


def test_one_remaining_position_is_undefined():
    stored = golden("spearmanr_sim")
    pair = (stored["g17_default_a"][..., None], stored["g17_default_b"][..., None])
    assert np.isnan(stored["g17_default_rho_16"]).all()
    assert np.isnan(feature_alignment(*pair, scale=16, protocol="published")).all()


@pytest.mark.parametrize(("monkey", "published"), [("george", 0.4695), ("red", 0.5895)])
def test_ceiling(monkey, published):
    assert reference_ceiling(maps_of(monkey)).mean() == pytest.approx(published, abs=5e-5)


def test_mistakes_are_noticed():
    """Each wrong variant is further from the published score than the tolerance; some of them score higher."""
    features, maps = features_of("george", 7), maps_of("george")
    expected = golden("score_model_george_central_it_relu_C064_h07")["final_score_ref"][0]

    def off(field, target, method="nipals"):
        predicted = predict_left_out(field, target, method, intercept=False).predicted
        return abs(np.median(site_correlation(predicted, target), axis=1).mean() - expected)

    field = published_field(features, 17)
    assert off(field, maps) < 1e-6
    assert off(field, maps[:, ::-1, ::-1]) > 0.1
    assert off(field, maps.transpose(0, 2, 1, 3)) > 0.1
    assert off(field, maps, "pls") > 1e-5
    assert off(published_field(features[..., :-1], 17), maps) > 1e-5
