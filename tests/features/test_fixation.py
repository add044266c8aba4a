"""Every position of an image at the centre of view."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sources import fresh, model_source

from brainscore_itmaps import Grid, Recording, load_model
from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.cache import default_cache
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.views import at_centre, brown_noise, fixated, fixated_features
from brainscore_itmaps.metrics.folds import predict_left_out
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO

GRID = Grid(y=np.array([-8.0, 0.0, 6.0]), x=np.array([-5.0, 1.0, 8.0]), extent=16.0)
SPEC = BenchmarkSpec("own", ("own",), view="fixation")


class Tiny(torch.nn.Module):
    """A layer of 8 x 8 units, one of 3 x 3, tokens behind seven that lead, and a pooled one."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.even = torch.nn.Conv2d(3, 4, 4, stride=4)
            self.odd = torch.nn.Conv2d(4, 5, 2, stride=3)
        self.tokens, self.pool = torch.nn.Identity(), torch.nn.Identity()
        self.num_prefix_tokens = 7  # and 9 that have a place: 16 would fill a square too

    def forward(self, x):
        x = torch.tanh(self.even(x))
        last = self.odd(x)
        tokens = last.flatten(2).transpose(1, 2)
        self.tokens(torch.cat([tokens.mean(dim=1, keepdim=True).repeat(1, 7, 1), tokens], dim=1))
        return self.pool(last.mean(dim=(2, 3)))


def tiny(seed=0):
    spec = replace(ZOO["efficientnet_lite0"], size=32, visual_degrees=8)
    return Model("tiny", spec, Tiny(seed).eval(), Weights("random", seed=seed, sha256=f"tiny {seed}"))


@pytest.fixture
def small(images, rng, own_home):
    """Four images, 3 x 3 positions, sites that share a signal, and repeats that agree."""
    truth = rng.normal(size=(4, 3, 3, 1)) * np.array([1.0, 0.5, 2.0]) + 0.3 * rng.normal(size=(4, 3, 3, 3))
    repeats = truth[:, None] + 0.1 * rng.normal(size=(4, 4, 3, 3, 3))
    return Recording.from_arrays(None, images[:4], identifier="own", window=(0, 9), repeats=repeats, grid=GRID)


@settings(max_examples=40, deadline=None)
@given(
    side=st.integers(40, 100),
    degrees=st.floats(4, 12),
    extent=st.floats(8, 20),
    down=st.floats(-0.5, 0.5),
    across=st.floats(-0.5, 0.5),
)
def test_what_lies_at_a_position_of_the_image_lies_at_the_centre_of_view(side, degrees, extent, down, across):
    """Planted: one white pixel on black at the position; the noise around the image is covered where it is."""
    pixels = np.zeros((side, side, 3), np.uint8)
    row, column = (min(int((share + 0.5) * side), side - 1) for share in (down, across))
    pixels[row, column] = 255
    grid = Grid(y=np.array([down * extent]), x=np.array([across * extent]), extent=extent)
    (view,) = fixated(Image.fromarray(pixels), grid, degrees)
    size = round(degrees * side / extent)
    assert view.size == (size, size)
    view_pixels = np.asarray(view)[..., 0].astype(int)
    around = max(int(size / 2) - 2, 0)
    middle = view_pixels[around : around + 4, around : around + 4]
    assert middle.max() == 255
    where = np.argwhere(middle == 255) + around + 0.5 - size / 2
    assert (np.abs(where).max(axis=1) <= 1).any()


def test_what_the_image_does_not_cover_is_noise_that_stands_still(images):
    """At whole pixels a degree, every view equals the image where it lies, and the noise around it, in each pixel."""
    with Image.open(images[0]) as opened:
        image = opened.convert("RGB")
    grid, degrees = Grid.even(5), 8
    views = [np.asarray(view) for view in fixated(image, grid, degrees)]
    pixels, noise = np.asarray(image), np.asarray(brown_noise(48))
    assert len(views) == 25
    positions = [(y, x) for y in grid.y for x in grid.x]
    for view, (y, x) in zip(views, positions, strict=True):
        expected = np.empty((48, 48, 3), np.uint8)
        for down in range(48):
            for across in range(48):
                row, column = int(down - 24 + (y + 8) * 6), int(across - 24 + (x + 8) * 6)
                in_image = 0 <= row < 96 and 0 <= column < 96
                expected[down, across] = pixels[row, column] if in_image else noise[down, across]
        np.testing.assert_array_equal(view, expected)


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (1, 7)])
def test_an_image_that_is_not_square_is_shown_square(size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    square = image.resize((max(size), max(size)), Image.Resampling.BICUBIC)
    for view, expected in zip(fixated(image, GRID, 8), fixated(square, GRID, 8), strict=True):
        np.testing.assert_array_equal(np.asarray(view), np.asarray(expected))


def test_power_of_the_noise_falls_with_the_square_of_the_frequency():
    levels = np.asarray(brown_noise(256)).astype(float)
    assert (levels == levels[..., :1]).all()
    grey = levels[..., 0]
    assert grey.mean() == pytest.approx(127.5, abs=1)
    assert grey.std() == pytest.approx(0.2 * 255, rel=0.03)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)) * 256
    rings = np.arange(2, 100)
    means = [power[np.round(frequency) == ring].mean() for ring in rings]
    slope = np.polyfit(np.log(rings), np.log(means), 1)[0]
    assert slope == pytest.approx(-2, abs=0.1)
    steps = np.abs(np.diff(grey, axis=0)).mean()
    assert np.abs(grey[0] - grey[-1]).mean() < 3 * steps  # it goes on over the edge


def test_the_noise_is_the_same_every_time_and_another_for_another_seed():
    first, repeated, other = (np.asarray(brown_noise(64, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, repeated)
    assert (first != other).any()
    assert np.asarray(brown_noise(1)).tolist() == [[[128, 128, 128]]]


def test_a_pooled_layer_is_read_as_it_is(rng):
    values = rng.normal(size=(6, 5)).astype(np.float32)
    for activation in (values, values[:, :, None, None], values[:, None, None, :], values[:, None, :]):
        result = at_centre(activation, "pool")
        np.testing.assert_array_equal(result, values)
        assert result.dtype == np.float64


@pytest.mark.parametrize("side", [2, 3, 6, 7])
def test_a_layer_with_a_map_is_read_between_the_units_at_its_middle(rng, side):
    maps = rng.normal(size=(6, 5, side, side)).astype(np.float32)
    middle = [side // 2] if side % 2 else [side // 2 - 1, side // 2]
    expected = np.mean([maps[:, :, row, column].astype(float) for row in middle for column in middle], axis=0)
    tokens = maps.reshape(6, 5, -1).transpose(0, 2, 1)
    leading = rng.normal(size=(6, 2, 5)).astype(np.float32)
    np.testing.assert_allclose(at_centre(maps, "maps"), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(at_centre(maps.transpose(0, 2, 3, 1), "last"), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(at_centre(tokens, "tokens"), expected, rtol=0, atol=1e-12)
    led = np.concatenate([leading, tokens], axis=1)
    np.testing.assert_allclose(at_centre(led, "led", prefix=2), expected, rtol=0, atol=1e-12)


def test_tokens_that_fill_no_square_have_no_centre(rng):
    with pytest.raises(ModelError, match="'odd' gives no map"):
        at_centre(rng.normal(size=(6, 11, 5)), "odd", prefix=1)


@pytest.mark.parametrize("batch_size", [1, 4, 99])
def test_features_are_those_of_a_loop_over_views(small, batch_size):
    model = tiny()
    module = model.module
    source = model_source(model, ["even", "odd", "tokens", "pool"], view="fixation", batch_size=batch_size)
    result = source.read(small, source.layers, fresh(), lambda *arguments: None)
    for number, image in enumerate(small.images):
        direct = fixated_features(model, image, source.layers, GRID, 8, batch_size)
        with Image.open(image) as opened:
            views = list(fixated(opened.convert("RGB"), GRID, 8))
        for position, view in enumerate(views):
            row, column = divmod(position, 3)
            with torch.inference_mode():
                even = module.even(model.preprocess([view]))
                odd = module.odd(torch.tanh(even))
            expected = {
                "even": even[0, :, 3:5, 3:5].mean(dim=(1, 2)),
                "odd": odd[0, :, 1, 1],
                "tokens": odd[0, :, 1, 1],
                "pool": odd[0].mean(dim=(1, 2)),
            }
            for layer, values in expected.items():
                np.testing.assert_allclose(result[layer].field(GRID)[number, row, column], values, rtol=0, atol=1e-6)
                np.testing.assert_array_equal(direct[layer][row, column], result[layer].values[number, row, column])


def test_a_value_that_is_not_finite_is_named_by_image_and_position(small):
    model = tiny()
    model.module.pool.forward = lambda x: x.index_fill(0, torch.tensor([2]), torch.nan)
    with pytest.raises(ModelError, match="'pool' gives values that are not finite, on image-0 at position 2"):
        fixated_features(model, small.images[0], ["pool"], GRID, 8, batch_size=99)


@pytest.mark.parametrize("layer", ["blocks.2", "global_pool"])
def test_both_entrances_fixate_alike(small, layer):
    from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark
    from brainscore_itmaps.bridge.models import brain_model

    model = load_model("timm:test_efficientnet", weights="random")
    model.spec.layers["IT"] = layer
    through = ItMapsBenchmark(SPEC, [small]).evaluate(brain_model(model))
    direct = evaluate(model_source(model, view="fixation"), [small], SPEC)
    assert through.layer == direct.layer == layer
    assert through.score == pytest.approx(direct.score, abs=1e-6)
    np.testing.assert_allclose(through.arrays[0].predicted, direct.arrays[0].predicted, rtol=0, atol=1e-3)
    assert through.field_of_view == direct.field_of_view
    assert "centre of the 8 degrees" in direct.field_of_view
    assert direct.arrays[0].neural.shape == (4, 3, 3, 3)


def test_the_score_is_that_of_a_regression_on_the_centres(small):
    model = tiny()
    result = evaluate(model_source(model, "odd", view="fixation"), [small], SPEC)
    field = np.stack([fixated_features(model, image, ["odd"], GRID, 8, 14)["odd"] for image in small.images])
    predicted = predict_left_out(field, small.maps).predicted
    by_hand = [
        np.median([np.corrcoef(predicted[i, ..., s].ravel(), small.maps[i, ..., s].ravel())[0, 1] for s in range(3)])
        for i in range(4)
    ]
    np.testing.assert_allclose(result.arrays[0].image_r, by_hand, rtol=0, atol=1e-9)
    assert result.raw == pytest.approx(np.mean(by_hand))


def test_an_image_that_was_shown_is_not_shown_again_unless_asked_for_anew(small):
    model, batch_sizes = tiny(), []
    model.module.register_forward_pre_hook(lambda module, inputs: batch_sizes.append(len(inputs[0])))

    def views_shown(layers, **options):
        batch_sizes.clear()
        evaluate(model_source(model, layers, view="fixation"), [small], SPEC, cache=default_cache(**options))
        return sum(batch_sizes)

    noise = 9  # images that verify how a layer is read, once
    assert views_shown("odd") == noise + 36
    assert views_shown("odd") == 0
    assert views_shown(["odd", "even"]) == noise + 36
    assert views_shown(["odd", "even"], fresh=True) == 36


def test_the_catalogue_s_fixation_benchmarks_are_of_whole_arrays():
    fixation = [spec for spec in CATALOGUE.values() if spec.view == "fixation"]
    assert {spec.recordings for spec in fixation} == {
        ("monkey1_PL",),
        ("monkey1_ML",),
        ("monkey2_ML",),
        ("it_maps_simulated",),
    }
    assert {spec.measure for spec in fixation} == {"predictivity"}
