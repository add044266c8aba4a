"""The blur of features over the positions of a grid, beside scipy's filter and the blur of a formula."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from brainscore_itmaps import Grid
from brainscore_itmaps.features.blur import blurred, gaussian_weights

EVEN = Grid.even((41, 45), (20.0, 11.0))  # 0.5 degrees apart along y, 0.25 along x
UNEVEN = Grid(y=[-4.0, -3.5, -1.0, 0.0, 4.0], x=[-3.0, -1.0, -0.5, 0.0, 1.5, 2.0, 3.0], extent=(8.0, 6.0))


def filtered(field, degrees):
    """The filter of scipy on the even grid, with zeros beyond its edges."""
    options = {"mode": "constant", "truncate": 30.0}
    across = gaussian_filter1d(field, degrees / 0.25, axis=2, **options)
    return gaussian_filter1d(across, degrees / 0.5, axis=1, **options)


@pytest.mark.parametrize("degrees", [0.25, 0.5, 1.0, 3.0])
def test_on_an_even_grid_it_is_the_filter_of_scipy_divided_by_its_sum_of_weights(rng, degrees):
    field = rng.normal(size=(2, 41, 45, 3))
    by_scipy = filtered(field, degrees)
    here = blurred(field, EVEN, degrees)
    np.testing.assert_allclose(here, by_scipy / filtered(np.ones(field.shape), degrees), atol=1e-9)
    if degrees <= 0.5:  # far from the edges, the sum of weights is 1
        inside = (slice(None), slice(8, -8), slice(14, -14))
        np.testing.assert_allclose(here[inside], by_scipy[inside], atol=1e-9)


def test_on_an_uneven_grid_it_is_the_blur_of_the_function_that_was_sampled():
    """The blur of a Gaussian function is a wider Gaussian; positions are eight times as dense on the right."""
    x = np.concatenate([np.arange(-12, 0, 0.2), np.arange(0, 12, 0.025)])
    grid = Grid(y=[-2.0, 1.0], x=x, extent=24.0)
    spread, degrees = 1.0, 1.5
    wide = np.hypot(spread, degrees)
    field = np.broadcast_to(np.exp(-0.5 * (x / spread) ** 2)[:, None], (3, 2, len(x), 4))
    expected = spread / wide * np.exp(-0.5 * (x / wide) ** 2)
    for values in blurred(field, grid, degrees).transpose(0, 1, 3, 2).reshape(-1, len(x)):
        np.testing.assert_allclose(values, expected, atol=2e-3)


def test_a_constant_field_is_unchanged_and_blur_is_linear_and_keeps_images_and_channels_apart(rng):
    first, second = rng.normal(size=(2, 2, 5, 7, 3))
    np.testing.assert_allclose(blurred(np.full((2, 5, 7, 3), 4.5), UNEVEN, 1.5), 4.5, rtol=1e-12)
    both = blurred(2 * first - 3 * second, UNEVEN, 1.5)
    np.testing.assert_allclose(both, 2 * blurred(first, UNEVEN, 1.5) - 3 * blurred(second, UNEVEN, 1.5), atol=1e-12)
    one = blurred(first[1:, ..., 2:], UNEVEN, 1.5)
    np.testing.assert_allclose(one, blurred(first, UNEVEN, 1.5)[1:, ..., 2:], atol=1e-12)


def test_without_blur_nothing_changes_and_with_much_blur_every_position_has_the_mean(rng):
    field = rng.normal(size=(2, 41, 45, 3))
    assert blurred(field, EVEN, 0.0) is field
    for narrow in (1e-3, 1e-200):
        np.testing.assert_allclose(blurred(field, EVEN, narrow), field, atol=1e-12)
    mean = np.broadcast_to(field.mean(axis=(1, 2), keepdims=True), field.shape)
    np.testing.assert_allclose(blurred(field, EVEN, 1e5), mean, atol=1e-6)


def test_a_single_line_of_positions_is_blurred_along_it_alone(rng):
    field, grid = rng.normal(size=(2, 1, 7, 3)), Grid(y=[0.0], x=UNEVEN.x, extent=6.0)
    expected = np.einsum("bx,iyxc->iybc", gaussian_weights(UNEVEN.x, 1.0), field)
    np.testing.assert_allclose(blurred(field, grid, 1.0), expected, atol=1e-12)
