import numpy as np
import pytest
import torch

from brainscore_itmaps import to_grid
from brainscore_itmaps.data.grid import Grid


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 7), (9, 5), (28, 14), (56, 56)])
@pytest.mark.parametrize("positions", [9, 17])
def test_samples_like_torch_with_aligned_corners(rng, height, width, positions):
    maps = rng.normal(size=(3, 4, height, width))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps), size=(positions, positions), mode="bilinear", align_corners=True
    )
    np.testing.assert_allclose(
        to_grid(maps, Grid.even(positions)), expected.permute(0, 2, 3, 1).numpy(), rtol=0, atol=1e-12
    )


def test_a_layer_of_the_grid_s_size_is_returned_as_it_is(rng):
    maps = rng.normal(size=(2, 3, 17, 17))
    np.testing.assert_allclose(to_grid(maps, Grid.even(17)), maps.transpose(0, 2, 3, 1), rtol=0, atol=1e-14)


def test_a_ramp_over_the_image_reads_its_degrees_at_every_position():
    grid = Grid(y=np.array([-8.0, -1.0, 8.0]), x=np.array([-8.0, 2.5, 4.0, 8.0]), extent=16.0)
    down, across = np.meshgrid(np.linspace(-8, 8, 11), np.linspace(-8, 8, 6), indexing="ij")
    field = to_grid(np.stack([down, across])[None], grid)
    assert field.shape == (1, 3, 4, 2)
    np.testing.assert_allclose(field[0, :, 0, 0], grid.y, atol=1e-12)
    np.testing.assert_allclose(field[0, 0, :, 1], grid.x, atol=1e-12)


def test_the_grid_includes_both_edges_and_is_one_degree_apart():
    np.testing.assert_array_equal(Grid.even(17).x, np.arange(-8, 9))
    np.testing.assert_array_equal(Grid.even(9).y, np.arange(-8, 9, 2))
