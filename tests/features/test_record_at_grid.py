import gc
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from brainscore_itmaps import Grid, load_model, record, to_grid
from brainscore_itmaps.errors import ArrayError, ModelError
from brainscore_itmaps.features import record as recording
from brainscore_itmaps.features.grid import LayerFeatures, concatenate_batches, downsample_if_larger, side_by_side
from brainscore_itmaps.features.published import published_field
from brainscore_itmaps.features.record import published_input, record_at_grid
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.protocol import PUBLISHED

UNEVEN = Grid(y=np.array([-8.0, -2.5, 0.0, 1.0, 7.0]), x=np.array([-7.0, -6.5, 3.0, 8.0]), extent=16.0)


def model_of(module):
    """A model that takes 224-pixel images, around any module."""
    return Model(name="small", spec=ZOO["efficientnet_lite0"], module=module, weights=Weights("random", seed=0))


class TwoLayers(torch.nn.Module):
    """28 x 28 units, then 7 x 7; what comes after each works in place, as ReLU(inplace=True) does."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 8, stride=8)
        self.second = torch.nn.Conv2d(4, 6, 4, stride=4)

    def forward(self, x):
        x = torch.relu_(self.first(x))
        return self.second(x).zero_()


class Crowded(TwoLayers):
    """Out of memory, between its two layers, above some number of images; ``seen`` are the batches it was given."""

    def __init__(self, most, from_call=0):
        super().__init__()
        self.most, self.from_call, self.batch_sizes = most, from_call, []

    def forward(self, x):
        self.batch_sizes.append(len(x))
        x = torch.relu_(self.first(x))
        if len(x) > self.most and len(self.batch_sizes) > self.from_call:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.second(x).zero_()


class Contrast(torch.nn.Module):
    """Six channels of 7 x 7 units: how much brighter than the corner. Zero for an image of one colour."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(6, 1, 1))
        self.layer = torch.nn.Identity()

    def forward(self, x):
        return self.layer((x - x[..., :1, :1])[..., ::32, ::32].repeat(1, 2, 1, 1) * self.scale)


@pytest.fixture
def crowded():
    """Like ``TwoLayers``, all of the same weights."""

    def make(most, from_call=0):
        module = Crowded(most, from_call)
        for number, parameter in enumerate(module.parameters()):
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
        return module.eval()

    return make


@pytest.mark.parametrize(
    ("architecture", "layers"),
    [
        ("test_efficientnet", ["conv_stem", "blocks.1.0", "blocks.4.0"]),  # 80 x 80, 40 x 40 and 5 x 5 units
        ("test_vit", ["patch_embed.proj", "blocks.0", "blocks.5"]),  # channels first, then tokens; 10 x 10 all
    ],
)
@pytest.mark.parametrize("batch_size", [1, 4, 14])
def test_is_what_sampling_whole_activations_gives(images, architecture, layers, batch_size):
    model = load_model(f"timm:{architecture}", weights="random")
    recorded = record(model, images, layers, batch_size)
    grids = (Grid.even(5), Grid.even(17), UNEVEN)
    sampled = [record_at_grid(model, images, layers, grid, batch_size) for grid in grids]
    for (grid, result), layer in product(zip(grids, sampled, strict=True), layers):
        assert list(result) == layers
        expected = to_grid(recorded[layer], grid)
        np.testing.assert_allclose(result[layer].field(grid), expected, rtol=0, atol=1e-14 * np.abs(expected).max())
        units = recorded[layer].shape[2] * recorded[layer].shape[3]
        assert result[layer].at_grid == (units > len(grid.y) * len(grid.x))
        if not result[layer].at_grid:  # the units themselves, in the precision of the layer
            np.testing.assert_array_equal(result[layer].values, np.moveaxis(recorded[layer], 1, -1))
            assert result[layer].values.dtype == np.float32


def test_several_layers_come_from_one_pass_and_are_what_they_are_alone(images, crowded):
    module = crowded(most=99)
    both = record_at_grid(model_of(module), images, ["first", "second"], Grid.even(9), batch_size=4)
    assert module.batch_sizes == [4, 2]
    for layer, features in both.items():
        separate = record_at_grid(model_of(module), images, [layer], Grid.even(9), batch_size=4)[layer]
        np.testing.assert_array_equal(features.values, separate.values)


@pytest.mark.parametrize("grid", [Grid.even(17), Grid.even(40)], ids=["larger layer", "smaller layer"])
def test_operations_in_place_after_a_layer_change_nothing(images, grid):
    model = model_of(TwoLayers().eval())
    result = record_at_grid(model, images, ["first", "second"], grid)
    with torch.inference_mode():
        first = model.module.first(model.preprocess(images))
        second = model.module.second(torch.relu(first))
    for layer, expected in (("first", first), ("second", second)):
        np.testing.assert_array_equal(result[layer].field(grid), to_grid(expected.numpy(), grid))
        assert result[layer].field(grid).min() < 0


def test_nothing_of_the_size_of_a_whole_activation_is_kept(images, monkeypatch):
    parts = {}

    def seen_joining(batches):
        parts[batches[0].at_grid] = batches
        return concatenate_batches(batches)

    def none_is_held(done, total):
        gc.collect()
        live = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
        assert not [tensor.shape for tensor in live if tensor.shape[1:] in ((4, 28, 28), (6, 7, 7))]

    monkeypatch.setattr(recording, "concatenate_batches", seen_joining)
    model = model_of(TwoLayers().eval())
    record_at_grid(model, images, ["first", "second"], Grid.even(9), batch_size=2, progress=none_is_held)
    assert [part.values.shape for part in parts[True]] == [(2, 9, 9, 4)] * 3
    assert [part.values.shape for part in parts[False]] == [(2, 7, 7, 6)] * 3
    for part in parts[True] + parts[False]:
        owner = part.values
        while owner.base is not None:  # a view keeps alive all that it is a view of
            owner = owner.base
            assert isinstance(owner, np.ndarray)
        assert owner.nbytes == part.values.nbytes


@pytest.mark.parametrize("batch_size", [1, 4, 14])
def test_the_published_choices_are_those_made_of_everything_at_once(images, batch_size):
    model = load_model("timm:test_efficientnet", weights="random")
    layers = ["conv_stem", "blocks.3.0", "blocks.4.0"]  # 112, 14 and 7 units along a side
    recorded = record(model, images, layers, batch_size, preprocess=published_input)
    result = record_at_grid(model, images, layers, Grid.even(9), batch_size, protocol=PUBLISHED)
    for layer in layers:
        expected = published_field(np.moveaxis(recorded[layer], 1, -1), 9)
        assert result[layer].at_grid
        np.testing.assert_array_equal(result[layer].values, expected)
        assert np.ptp(expected) == 1


def test_features_that_the_published_code_cannot_scale_are_named_whatever_the_batches(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(4)]
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    noise[2] = 0
    for file, pixels in zip(files, noise, strict=True):
        Image.fromarray(pixels).save(file)
    model, messages = model_of(Contrast()), []
    for batch_size in (4, 1):
        with pytest.raises(ArrayError, match="are constant on the images") as raised:
            record_at_grid(model, files, ["layer"], Grid.even(9), batch_size, protocol=PUBLISHED)
        messages.append(raised.value.args[0])
    assert "2" in messages[0].split(":")[0]
    assert messages[1] == messages[0]


@pytest.mark.parametrize(
    ("most", "batch_size", "batch_sizes"),
    [
        (6, 14, [6]),
        (5, 14, [6, 3, 3]),
        (2, 14, [6, 3, 2, 2, 2]),
        (1, 4, [4, 2, 1, 1, 1, 1, 1, 1]),
        (3, 5, [5, 3, 3]),
    ],
)
def test_memory_that_runs_out_halves_the_batch_and_changes_nothing_else(images, crowded, most, batch_size, batch_sizes):
    layers, calls = ["first", "second"], []
    expected = record_at_grid(model_of(crowded(99)), images, layers, Grid.even(9), batch_size=1)
    module = crowded(most)
    result = record_at_grid(
        model_of(module),
        images,
        layers,
        Grid.even(9),
        batch_size,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert module.batch_sizes == batch_sizes
    for layer in layers:
        assert len(result[layer].values) == 6
        np.testing.assert_allclose(result[layer].values, expected[layer].values, rtol=0, atol=1e-4)
    sizes = [size for size in batch_sizes if size <= most]
    assert calls == [(done, 6) for done in np.cumsum(sizes)]


def test_memory_that_runs_out_later_on_keeps_what_was_recorded(images, crowded):
    module = crowded(most=1, from_call=4)  # the first three calls verify the places of the units
    result = record(model_of(module), images, ["first", "second"], batch_size=3)
    assert module.batch_sizes == [5, 1, 3, 3, 3, 2, 1, 1, 1]
    expected = record(model_of(crowded(99)), images, ["first", "second"], batch_size=1)
    for layer, activation in expected.items():
        np.testing.assert_allclose(result[layer], activation, rtol=0, atol=1e-4)


def test_one_image_that_does_not_fit_is_a_sentence_and_leaves_the_model_as_it_was(images, crowded):
    module = crowded(most=0).train()
    with pytest.raises(ModelError, match=r"One image of small does not fit .* of cpu\. Use the device cpu") as raised:
        record_at_grid(model_of(module), images, ["first", "second"], Grid.even(9))
    assert module.batch_sizes == [6, 3, 2, 1]
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    assert module.training
    assert not [part for part in module.modules() if part._forward_hooks]


def test_another_error_of_the_model_s_is_passed_on_at_once(images, crowded):
    module = crowded(most=99)
    module.second = torch.nn.Conv2d(5, 6, 4)
    with pytest.raises(ModelError, match=r"fails on a batch of 6 images .* channels") as raised:
        record_at_grid(model_of(module), images, ["first"], Grid.even(9))
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert module.batch_sizes == [6]
    assert not module.first._forward_hooks


@pytest.mark.parametrize("units", [4, 5, 6])
def test_layers_side_by_side_are_fields_joined_along_channels(rng, units):
    grid, maps = Grid.even(5), rng.normal(size=(3, 2, units, units))
    other = rng.normal(size=(3, 7, 9, 9))
    both = side_by_side([downsample_if_larger(maps, grid), downsample_if_larger(other, grid)], grid)
    assert both.at_grid
    np.testing.assert_array_equal(both.field(grid)[..., :2], to_grid(maps, grid))
    np.testing.assert_array_equal(both.field(grid)[..., 2:], to_grid(other, grid))


def test_a_layer_with_as_many_units_as_positions_keeps_its_units(rng):
    maps = rng.normal(size=(3, 2, 5, 5))
    features = downsample_if_larger(maps, Grid.even(5))
    assert not features.at_grid
    np.testing.assert_allclose(features.field(Grid.even(5)), np.moveaxis(maps, 1, -1), rtol=0, atol=1e-14)
    assert isinstance(features, LayerFeatures)
