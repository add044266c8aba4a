import numpy as np
import pytest

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.layers import spatial_maps


def test_channels_first_stays(rng):
    activation = rng.normal(size=(2, 5, 7, 7))
    np.testing.assert_array_equal(spatial_maps(activation, "layer"), activation)


@pytest.mark.parametrize("channels", [3, 12])
def test_channels_last_is_transposed_with_more_or_fewer_channels_than_positions(rng, channels):
    activation = rng.normal(size=(2, 7, 7, channels))
    np.testing.assert_array_equal(spatial_maps(activation, "layer"), activation.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("prefix", [0, 1, 2, 5])
def test_leading_tokens_are_removed_and_the_others_are_arranged_row_by_row(rng, prefix):
    square = rng.normal(size=(2, 3, 14, 14))
    tokens = square.reshape(2, 3, -1).transpose(0, 2, 1)
    activation = np.concatenate([rng.normal(size=(2, prefix, 3)), tokens], axis=1)
    np.testing.assert_array_equal(spatial_maps(activation, "layer"), square)


def test_the_number_of_leading_tokens_of_the_model_is_used(rng):
    activation = rng.normal(size=(2, 200, 3))
    assert spatial_maps(activation, "layer").shape == (2, 3, 14, 14)
    assert spatial_maps(activation, "layer", prefix=4).shape == (2, 3, 14, 14)
    before_they_are_added = activation[:, 4:]
    assert spatial_maps(before_they_are_added, "layer", prefix=4).shape == (2, 3, 14, 14)
    with pytest.raises(ModelError, match="gives no map"):
        spatial_maps(activation, "layer", prefix=1)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4), (2, 14 * 14 + 17 + 3, 8), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_a_layer_without_a_map_is_refused_by_name(shape):
    with pytest.raises(ModelError, match="'head' gives no map"):
        spatial_maps(np.zeros(shape), "head")
