import numpy as np
import pytest

from brainscore_itmaps import Grid, predict_left_out, score_features, to_grid
from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.features.published import published_field
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.predictivity import site_correlation


@pytest.fixture
def arrays(rng):
    features = rng.normal(size=(5, 6, 8, 30))
    field = to_grid(np.moveaxis(features, -1, 1), Grid(y=Grid.even(9).y, x=Grid.even(11).x, extent=16.0))
    maps = field @ rng.normal(size=(30, 4)) + rng.normal(size=(5, 9, 11, 4))
    return features, field, maps


def test_it_is_the_line_of_grid_regression_and_comparison(arrays):
    features, field, maps = arrays
    result = score_features(features, maps)
    predicted, components = predict_left_out(field, maps)
    np.testing.assert_array_equal(result.predicted, predicted)
    np.testing.assert_array_equal(result.components, components)
    np.testing.assert_array_equal(result.site_r, site_correlation(predicted, maps))
    np.testing.assert_array_equal(result.map_rho, feature_alignment(predicted, maps))
    np.testing.assert_array_equal(result.map_rho_coarse, feature_alignment(predicted, maps, scale=4))
    assert result.score == pytest.approx(np.median(result.site_r, axis=1).mean())
    assert result.undefined == 0
    assert result.score > 0.5


def test_features_of_the_maps_size_are_taken_as_they_are(arrays):
    _, field, maps = arrays
    np.testing.assert_allclose(score_features(field, maps).predicted, predict_left_out(field, maps).predicted)


@pytest.mark.parametrize("method", ["nipals", "ridge", "ridge_cv"])
def test_other_regressions_go_by_name(arrays, method):
    features, field, maps = arrays
    result = score_features(features, maps, method=method)
    np.testing.assert_array_equal(result.predicted, predict_left_out(field, maps, method).predicted)
    assert (result.penalty is None) == (method == "nipals")


def test_undefined_maps_are_counted(arrays):
    features, _, maps = arrays
    maps[2, ..., 1] = 4.0
    maps[..., 3] = np.nan
    result = score_features(features, maps)
    assert result.undefined == 1 + 5
    assert np.isfinite(result.score)
    assert np.isfinite(result.map_rho).all()


def test_the_published_choices_make_an_undefined_map_undefine_the_score(rng):
    features, maps = rng.normal(size=(5, 6, 6, 30)), rng.normal(size=(5, 9, 9, 4))
    assert np.isfinite(score_features(features, maps, protocol="published").score)
    maps[2, ..., 1] = 4.0
    assert np.isnan(score_features(features, maps, protocol="published").score)
    assert np.isfinite(score_features(features, maps).score)


def test_the_published_last_channel_is_zero_only_where_features_are_enlarged(rng):
    features = rng.uniform(1, 2, size=(3, 6, 6, 5))
    assert (published_field(features, 9)[..., -1] == 0).all()
    assert (published_field(features, 6)[..., -1] == 0).all()
    smaller = published_field(features, 4)
    assert (smaller[..., -1] > 0).any()
    assert (smaller.min(axis=(1, 2, 3)), smaller.max(axis=(1, 2, 3))) == (pytest.approx(0), pytest.approx(1))


@pytest.mark.parametrize(
    ("features", "maps", "compat", "said"),
    [
        (np.ones((5, 6, 6)), np.ones((5, 9, 9, 4)), False, "do not share their images"),
        (np.ones((4, 6, 6, 3)), np.ones((5, 9, 9, 4)), False, "do not share their images"),
        (np.ones((5, 6, 6, 3)) * 1j, np.ones((5, 9, 9, 4)), False, "features are complex128"),
        (np.full((5, 6, 6, 30), 1e39), np.ones((5, 9, 9, 4)), True, "not finite in single precision"),
        (np.ones((5, 6, 0, 3)), np.ones((5, 9, 9, 4)), False, "do not share their images"),
        (np.ones((5, 6, 6, 3)), np.ones((5, 9, 8, 4)), True, "square grids only"),
        (np.ones((5, 6, 7, 9)), np.ones((5, 9, 9, 4)), True, "square maps only"),
        (np.ones((5, 12, 12, 9)), np.ones((5, 9, 9, 4)), True, "constant on the images 0, 1, 2, 3, 4"),
        (np.random.default_rng(0).normal(size=(5, 6, 6, 3)), np.ones((5, 9, 9, 4)), True, "more than 3 channels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(features, maps, compat, said):
    with pytest.raises(ArrayError, match=said):
        score_features(features, maps, protocol="published" if compat else "ours")


def test_one_row_of_positions_reads_the_middle_of_the_features(rng):
    features = rng.normal(size=(5, 7, 9, 30))
    maps = features[:, 3:4] @ rng.normal(size=(30, 4)) + 0.1 * rng.normal(size=(5, 1, 9, 4))
    np.testing.assert_allclose(
        score_features(features, maps).predicted, predict_left_out(features[:, 3:4], maps).predicted
    )


def test_the_published_code_has_no_ridge(arrays):
    with pytest.raises(UsageError, match="has no regression 'ridge'"):
        score_features(arrays[0], arrays[2], method="ridge", protocol="published")


@pytest.mark.parametrize("channels", [2, 30])
def test_features_with_swapped_axes_are_refused_unless_their_layout_is_stated(rng, channels):
    features, maps = rng.normal(size=(5, 7, 7, channels)), rng.normal(size=(5, 9, 9, 4))
    swapped = np.moveaxis(features, -1, 1)
    with pytest.raises(ArrayError, match=r"look like \(image, channel, y, x\).* or layout=\"NCHW\"\.$"):
        score_features(swapped, maps)
    expected = score_features(features, maps)
    np.testing.assert_array_equal(score_features(swapped, maps, layout="NCHW").predicted, expected.predicted)
    np.testing.assert_array_equal(score_features(features, maps, layout="NHWC").predicted, expected.predicted)
    with pytest.raises(UsageError, match="no layout 'CHW'"):
        score_features(features, maps, layout="CHW")
    with pytest.raises(ArrayError, match=r"The maps .* look like \(image, site, y, x\)"):
        score_features(features, np.moveaxis(maps, -1, 1))


def test_maps_that_are_not_square_may_have_as_many_channels_as_columns(rng):
    features, maps = rng.normal(size=(5, 6, 8, 8)), rng.normal(size=(5, 9, 12, 4))
    assert np.isfinite(score_features(features, maps).score)
