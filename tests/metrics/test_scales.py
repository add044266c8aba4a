import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from brainscore_itmaps.metrics.predictivity import coarsened, published_coarsened


def test_whole_tiles_are_averaged(rng):
    maps = rng.normal(size=(2, 8, 12, 3))
    expected = maps.reshape(2, 2, 4, 3, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(coarsened(maps, 4), expected)


def test_positions_on_a_border_count_in_part():
    maps = np.arange(5.0).reshape(1, 5, 1, 1).repeat(2, axis=2)
    expected = [(0 + 1 + 2 / 2) / 2.5, (2 / 2 + 3 + 4) / 2.5]
    np.testing.assert_allclose(coarsened(maps, 2)[0, :, 0, 0], expected)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), scale=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_mean_of_a_map_stays(height, width, scale, seed):
    maps = np.random.default_rng(seed).normal(size=(2, height, width, 2))
    coarse = coarsened(maps, scale)
    assert coarse.shape == (2, height // scale, width // scale, 2)
    if coarse.size:
        np.testing.assert_allclose(coarse.mean(axis=(1, 2)), maps.mean(axis=(1, 2)), atol=1e-12)


@pytest.mark.parametrize(("size", "scale"), [(17, 4), (9, 4), (28, 7), (17, 1)])
def test_the_published_shrinking_is_interpolation_without_antialiasing(rng, size, scale):
    maps = rng.normal(size=(2, size, size, 3)).astype(np.float32)
    channels_first = torch.tensor(maps).permute(0, 3, 1, 2)
    expected = interpolate(channels_first, size=(size // scale,) * 2, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(published_coarsened(maps, scale), expected.permute(0, 2, 3, 1), atol=1e-6)


def test_the_published_shrinking_misses_most_positions(rng):
    maps = np.zeros((1, 16, 16, 1))
    maps[0, 0, 0, 0] = 1.0
    assert published_coarsened(maps, 4).max() == 0
    assert coarsened(maps, 4).max() == pytest.approx(1 / 16)
