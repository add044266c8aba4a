import numpy as np
import pytest

from brainscore_itmaps.errors import ArrayError, UsageError
from brainscore_itmaps.metrics.predictivity import (
    neural_predictivity,
    over_sites,
    site_correlation,
    site_explained_variance,
)


@pytest.fixture
def pair(rng):
    maps = rng.normal(size=(3, 4, 5, 6))
    return maps + rng.normal(size=maps.shape), maps


def test_it_is_the_mean_over_images_of_the_median_over_sites_of_r(pair):
    result = neural_predictivity(*pair)
    np.testing.assert_array_equal(result.site_r, site_correlation(*pair))
    np.testing.assert_allclose(result.image_r, np.median(result.site_r, axis=1))
    assert result.score == pytest.approx(np.mean(np.median(result.site_r, axis=1)))
    assert result.undefined == 0


def test_alternatives_go_by_name(pair):
    result = neural_predictivity(*pair, measure="explained_variance", reducer="mean")
    assert result.score == pytest.approx(site_explained_variance(*pair).mean())
    assert neural_predictivity(*pair, measure="spearman").score != neural_predictivity(*pair).score
    with pytest.raises(UsageError, match="Did you mean pearson"):
        neural_predictivity(*pair, measure="pearsn")
    with pytest.raises(UsageError, match="Did you mean median"):
        neural_predictivity(*pair, reducer="medien")


def test_the_median_of_an_even_number_is_the_mean_of_the_two_middle_ones():
    np.testing.assert_allclose(over_sites(np.array([[0.1, 0.9, 0.4, 0.2]])), [0.3])


def test_undefined_sites_are_counted_and_leave_their_image_defined(pair):
    predicted, maps = pair
    maps[1, ..., 2] = 7.0
    predicted[0, ..., 3] = 0.0
    result = neural_predictivity(predicted, maps)
    assert result.undefined == 2
    assert result.image_r[1] == pytest.approx(np.median(np.delete(result.site_r[1], 2)))


def test_by_the_published_protocol_an_undefined_site_leaves_its_image_undefined(pair):
    predicted, maps = pair
    maps[1, ..., 2] = 7.0
    result = neural_predictivity(predicted, maps, protocol="published")
    np.testing.assert_array_equal(result.image_r, np.median(result.site_r, axis=1))
    np.testing.assert_array_equal(np.isnan(result.image_r), [False, True, False])
    assert np.isnan(result.score)


def test_an_image_without_any_defined_site_makes_the_score_undefined(pair):
    predicted, maps = pair
    predicted[2] = 0.0
    result = neural_predictivity(predicted, maps)
    assert np.isnan(result.score)
    assert np.isnan(result.image_r[2])
    assert np.isfinite(result.image_r[:2]).all()
    assert result.undefined == 6


def test_shapes_that_differ_are_refused(pair):
    with pytest.raises(ArrayError, match=r"\(3, 4, 5, 6\) and the recorded maps \(3, 5, 4, 6\) differ"):
        neural_predictivity(pair[0], pair[1].swapaxes(1, 2))
