"""Features of controls: position, contrast, Gabor energy and saliency, at positions in degrees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.features.controls import (
    CHANNELS,
    contrast_features,
    control_features,
    gabor_features,
    gaussian_windows,
    luminance_of,
    position_features,
    saliency_features,
)

GRID = Grid.even((5, 7), extent=(12.0, 16.0))


@pytest.fixture
def pixels():
    noise = np.random.default_rng(0).normal(size=(168, 224))
    return np.clip(0.5 + 0.1 * gaussian_filter(noise, 2) / 0.14, 0, 1)


def test_contrast_is_the_standard_deviation_in_a_gaussian_window(pixels):
    grid = Grid(np.array([0.0]), np.array([0.0]), (12.0, 16.0))
    contrast = contrast_features(pixels, grid)[0, 0]
    y, x = (np.arange(168) + 0.5) / 14 - 6, (np.arange(224) + 0.5) / 14 - 8
    for value, degrees in zip(contrast, (0.5, 1.0, 2.0), strict=True):
        weights = np.exp(-(y[:, None] ** 2 + x**2) / (2 * degrees**2))
        mean = np.average(pixels, weights=weights)
        assert value == pytest.approx(np.sqrt(np.average((pixels - mean) ** 2, weights=weights)), rel=1e-9)


def test_gabor_energy_is_largest_for_a_grating_of_its_wavelength_and_orientation():
    y, x = np.mgrid[:84, :112] / 7.0
    for wave, wavelength in enumerate((0.5, 1.0, 2.0)):
        for turn, angle in enumerate(np.arange(4) * np.pi / 4):
            grating = 0.5 + 0.4 * np.sin(2 * np.pi * (np.sin(angle) * y + np.cos(angle) * x) / wavelength)
            energy = gabor_features(grating, GRID)[2, 3]
            assert energy.argmax() == 4 * wave + turn
    flat = gabor_features(np.full((84, 112), 0.7), GRID)
    np.testing.assert_allclose(flat, 0, atol=1e-12)


def test_saliency_is_highest_at_the_only_object_of_a_scene():
    pattern = 0.5 + 0.02 * np.random.default_rng(0).normal(size=(48, 64))
    pattern[20:28, 44:52] = 0.9
    grid = Grid.even((13, 17), extent=(12.0, 16.0))
    saliency = saliency_features(pattern, grid)[..., 1]
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    assert abs(grid.y[row] - 0) <= 1
    assert abs(grid.x[column] - 4) <= 1


@pytest.mark.parametrize("plain", ["grey", "grating", "edge", "checkerboard"])
def test_an_image_with_few_frequencies_is_not_more_salient_than_a_scene(plain):
    y, x = np.mgrid[:48, :64]
    drawn = {
        "grey": np.full((48, 64), 0.4),
        "grating": 0.5 + 0.4 * np.sin(2 * np.pi * x / 8),
        "edge": (x < 32) * 0.8,
        "checkerboard": ((x // 8 + y // 8) % 2) * 0.9,
    }[plain]
    scene = 0.5 + 0.1 * np.random.default_rng(0).normal(size=(48, 64))
    assert saliency_features(drawn, GRID).max() < 30 * saliency_features(scene, GRID).max()
    if plain == "grey":
        assert np.ptp(saliency_features(drawn, GRID), axis=(0, 1)).max() == 0


def test_position_does_not_depend_on_the_image():
    features = position_features(GRID)
    assert features.shape == (5, 7, 6)
    np.testing.assert_allclose(features[..., 5], np.hypot(GRID.y[:, None], GRID.x))


def test_controls_hardly_depend_on_the_number_of_pixels_of_a_file(tmp_path, pixels):
    images = []
    for name, size in (("small", (224, 168)), ("large", (896, 672))):
        Image.fromarray((255 * pixels).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC).save(
            file := tmp_path / f"{name}.png"
        )
        images.append(file)
    for name, field in control_features(images, GRID).items():
        small, large = field.reshape(2, -1)
        assert field.shape == (2, 5, 7, CHANNELS[name])
        assert np.corrcoef(small, large)[0, 1] > 0.99, name


def test_images_of_many_degrees_and_of_few_pixels_are_resized_within_bounds():
    image = Image.new("RGB", (30, 20), "gray")
    assert max(luminance_of(image, Grid.even(5, extent=(100.0, 150.0)), 14).shape) == 512
    assert luminance_of(image, Grid.even(5, extent=0.1), 14).shape == (8, 8)


def test_a_plain_image_gives_finite_features_without_contrast(tmp_path):
    Image.new("RGB", (40, 30), (90, 120, 10)).save(tmp_path / "plain.png")
    fields = control_features([tmp_path / "plain.png"], GRID)
    assert all(np.isfinite(field).all() for field in fields.values())
    np.testing.assert_array_equal(fields["contrast"], 0)
    np.testing.assert_array_equal(fields["gabor"], 0)


def test_an_image_of_very_many_degrees_has_finite_features(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    fields = control_features([tmp_path / "noise.png"], Grid.even((5, 7), extent=1e4))
    assert all(np.isfinite(field).all() for field in fields.values())


@settings(deadline=None, max_examples=30)
@given(st.floats(-20, 20), st.floats(0.5, 30), st.integers(1, 60), st.floats(0.05, 5))
def test_windows_sum_to_1_wherever_their_position(position, side, count, degrees):
    weights = gaussian_windows(np.array([position]), side, count, degrees)
    assert weights.shape == (1, count)
    assert weights.sum() == pytest.approx(1)
