"""Where in an image a predicted response comes from."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression
from sources import model_source

from brainscore_itmaps import Grid, Recording, load_model, record, to_grid
from brainscore_itmaps.benchmark.attribution import attribute
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import InstallationError, ModelError, UsageError
from brainscore_itmaps.features.attribution import METHODS, _encoder, attribution_maps, pooled
from brainscore_itmaps.metrics.ceiling import map_ceiling
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out
from brainscore_itmaps.models.layers import spatial_maps
from brainscore_itmaps.models.model import Model, untrained
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO

STD = (0.2, 0.5, 0.4)
GRID = Grid(y=np.array([-8.0, -1.0, 4.0]), x=np.array([-6.0, 0.0, 3.0, 8.0]), extent=16.0)


def model_of(module, size):
    spec = replace(ZOO["efficientnet_lite0"], size=size, std=STD)
    return Model("own", spec, module.eval(), Weights("random", seed=0))


class Curved(torch.nn.Module):
    """Two layers in double precision, as smooth as finite differences want them."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = torch.nn.Conv2d(3, 4, 3, padding=1).double()
            self.layer = torch.nn.Conv2d(4, 5, 2, stride=2).double()

    def forward(self, x):
        return self.layer(torch.tanh(2 * self.first(x.double()))).zero_()


class Window(torch.nn.Module):
    """Lets one pixel of the image through, in one colour."""

    def __init__(self, size, row, column, colour=1):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.layer = torch.nn.Identity()
        self.register_buffer("open", torch.zeros(3, size, size))
        self.open[colour, row, column] = 1

    def forward(self, x):
        return self.layer(x * self.open * self.scale)


@pytest.fixture
def small(images, rng, own_home):
    """Four images, 5 x 5 positions, six sites."""
    maps = rng.normal(size=(4, 5, 5, 1)) + 0.5 * rng.normal(size=(4, 5, 5, 6))
    return Recording.from_arrays(maps, images[:4], identifier="own", window=(0, 9))


def response_of(model, layer, weight, grid):
    return _encoder(model, layer, weight, grid)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    y=st.lists(st.floats(-8, 8), min_size=1, max_size=5, unique_by=lambda at: round(at, 1)),
    x=st.lists(st.floats(-8, 8), min_size=1, max_size=5, unique_by=lambda at: round(at, 1)),
    value=st.floats(-9, 9),
)
def test_a_constant_stays_what_it_is_however_it_is_pooled(height, width, y, x, value):
    grid = Grid(y=np.sort(y), x=np.sort(x), extent=16.0)
    np.testing.assert_allclose(pooled(np.full((height, width), value), grid), value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid", [GRID, Grid.even(3), Grid(y=np.zeros(1), x=np.array([-1.0, 5.0]), extent=16.0)])
def test_pixels_are_averaged_over_the_tile_around_each_position(rng, grid):
    """Brute force: every pixel cut into 20 x 20 parts, each of which belongs to the nearest position."""
    pixels, parts = rng.normal(size=(8, 6)), 20
    fine = np.kron(pixels, np.ones((parts, parts)))
    down = ((np.arange(8 * parts) + 0.5) / (8 * parts) - 0.5) * grid.extent
    across = ((np.arange(6 * parts) + 0.5) / (6 * parts) - 0.5) * grid.extent
    nearest_y = np.abs(down[:, None] - grid.y).argmin(axis=1)
    nearest_x = np.abs(across[:, None] - grid.x).argmin(axis=1)
    expected = [
        [fine[np.ix_(nearest_y == row, nearest_x == column)].mean() for column in range(len(grid.x))]
        for row in range(len(grid.y))
    ]
    np.testing.assert_allclose(pooled(pixels, grid), expected, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [
        ("test_efficientnet", "blocks.2"),  # channels first
        ("test_vit", "blocks.3"),  # tokens, one of them leading
        ("test_vit", "patch_embed"),  # tokens, none leading
        ("swin_tiny_patch4_window7_224", "layers.0"),  # channels last
    ],
)
def test_the_encoder_s_response_is_the_prediction_summed_over_positions(images, rng, architecture, layer):
    model = load_model(f"timm:{architecture}", weights="random")
    subset = images[:2]
    units = record(model, subset, [layer])[layer]
    weight = rng.normal(size=units.shape[1])
    expected = (to_grid(units, GRID) @ weight).sum(axis=(1, 2))
    with torch.inference_mode():
        computed = response_of(model, layer, weight, GRID)(model.preprocess(subset)).numpy()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5 * np.abs(to_grid(units, GRID) * weight).sum())
    assert not dict(model.module.named_modules())[layer]._forward_hooks


def test_positions_beyond_the_image_are_weighed_as_the_regression_read_them(images, rng):
    """A recording may have some: what its regression was fitted on there has to be what is traced back."""
    model, weight = model_of(Curved(), size=8), rng.normal(size=5)
    beyond = Grid(y=np.array([-9.0, 0.0, 8.5]), x=np.array([-8.0, 3.0, 10.0]), extent=16.0)
    expected = (to_grid(record(model, images, ["layer"])["layer"], beyond) @ weight).sum(axis=(1, 2))
    with torch.inference_mode():
        computed = response_of(model, "layer", weight, beyond)(model.preprocess(images)).numpy()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4)


def test_the_gradient_is_that_of_finite_differences_over_the_colours_spread(images, rng):
    model, weight = model_of(Curved(), size=8), rng.normal(size=5)
    inputs = model.preprocess(images[:1]).double()

    def response(inputs):
        with torch.inference_mode():
            units = model.module.layer(torch.tanh(2 * model.module.first(inputs))).numpy()
        return (to_grid(units, GRID) @ weight).sum(axis=(1, 2))

    step = 1e-5
    moved = torch.eye(3 * 8 * 8, dtype=torch.float64).reshape(-1, 3, 8, 8) * step
    differences = ((response(inputs + moved) - response(inputs - moved)) / (2 * step)).reshape(3, 8, 8)
    computed = METHODS["gradient"](response_of(model, "layer", weight, GRID), inputs)
    np.testing.assert_allclose(computed[0].numpy(), differences, rtol=0, atol=1e-7)

    by_colour = differences / np.array(STD)[:, None, None]  # of the image's colours, not the input's
    maps = attribution_maps(model, images[:1], ["layer"], [weight], GRID)
    assert maps.shape == (1, 3, 4)
    np.testing.assert_allclose(maps[0], pooled(np.abs(by_colour).max(axis=0), GRID), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_looks_at_one_place_is_attributed_to_that_place(images, method):
    """Planted: of the whole image one green pixel is let through, the response is its value times known weights."""
    row, column, size, grid = 11, 21, 33, Grid.even(9)  # the units are pixels; row 11 is between positions 2 and 3
    model, weight = model_of(Window(size, row, column), size), np.array([5.0, -2.0, 7.0])
    maps = attribution_maps(model, images, ["layer"] * 6, [weight] * 6, grid, method)
    coordinates = np.linspace(0, size - 1, 9)  # of the positions, in units: four apart
    share = (
        np.clip(1 - np.abs(coordinates - row), 0, None).sum() * np.clip(1 - np.abs(coordinates - column), 0, None).sum()
    )
    assert share == 0
    np.testing.assert_array_equal(maps, 0)  # no position reads these units

    model = model_of(Window(size, 12, 20), size)  # where position (3, 5) reads
    maps = attribution_maps(model, images, ["layer"] * 6, [weight] * 6, grid, method)
    value = np.full(6, 2.0 / STD[1])
    if method == "integrated_gradients":
        value = 2.0 * np.abs(model.preprocess(images)[:, 1, 12, 20].double().numpy())
    size_of_tile = (33 / 8) ** 2  # pixels; positions are an eighth of the image apart
    expected = np.zeros((6, 9, 9))
    expected[:, 3, 5] = value / size_of_tile
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_each_image_is_attributed_through_its_own_layer_and_weights(images, method):
    model = model_of(Curved(), size=8)
    weights = [np.arange(5.0), np.ones(4), -np.arange(5.0)]
    layers, sequence = ["layer", "first", "layer"], [images[0], images[1], images[0]]
    joint = attribution_maps(model, sequence, layers, weights, GRID, method)
    for number in range(3):
        single = attribution_maps(model, [sequence[number]], [layers[number]], [weights[number]], GRID, method)
        np.testing.assert_allclose(joint[number], single[0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(joint[2], joint[0], rtol=1e-6)  # of a sign it is the size
    assert not np.allclose(joint[1], joint[0])


@pytest.mark.parametrize(("architecture", "layer"), [("test_efficientnet", "blocks.3"), ("test_vit", "blocks.3")])
def test_integrated_gradients_add_up_to_the_response(images, architecture, layer):
    model = load_model(f"timm:{architecture}", weights="random")
    image = model.preprocess(images[:1])
    grey = torch.zeros_like(image)  # the mean colour
    answers = []
    hook = dict(model.module.named_modules())[layer].register_forward_hook(
        lambda *arguments: answers.append(arguments[-1])
    )
    with torch.inference_mode():
        model.module(torch.cat([image, grey]))
    hook.remove()
    seen, unseen = spatial_maps(answers[0].numpy(), layer, getattr(model.module, "num_prefix_tokens", None))
    respond = response_of(model, layer, (seen - unseen).mean(axis=(1, 2)), GRID)  # a response that differs much
    with torch.inference_mode():
        difference = float(respond(image) - respond(grey))
    attributed = METHODS["integrated_gradients"](respond, image)
    assert attributed.shape == image.shape
    assert float(attributed.sum()) == pytest.approx(difference, rel=0.02)


def test_smoothgrad_repeats_exactly_and_leaves_torch_s_randomness_alone(images, rng):
    model, weight = model_of(Curved(), size=8), rng.normal(size=5)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = attribution_maps(model, images[:1], ["layer"], [weight], GRID, "smoothgrad")
    torch.testing.assert_close(torch.rand(3), expected)
    repeated = attribution_maps(model, images[:1], ["layer"], [weight], GRID, "smoothgrad")
    np.testing.assert_array_equal(first, repeated)


def test_smoothgrad_is_the_mean_gradient_over_noisy_images(images, rng):
    """Noise of 15 % of the input's range; many more samples than it takes bring its own mean."""
    model, weight = model_of(Curved(), size=8), rng.normal(size=5)
    image = model.preprocess(images[:1]).double()
    respond = response_of(model, "layer", weight, GRID)
    noise = torch.randn(4000, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = METHODS["gradient"](respond, image + 0.15 * (image.max() - image.min()) * noise)
    computed = METHODS["smoothgrad"](respond, image)[0]
    error = gradients.std(dim=0) / np.sqrt(32)
    assert float(((computed - gradients.mean(dim=0)) / error).square().mean()) < 1.5


def test_an_unknown_attribution_is_answered_with_the_nearest(images):
    with pytest.raises(UsageError, match=r"no attribution method named 'gradients'\. Did you mean"):
        attribution_maps(model_of(Curved(), 8), images, ["layer"], [np.ones(5)], GRID, "gradients")


@pytest.mark.parametrize("method", ["integrated_gradients", "smoothgrad"])
def test_without_captum_it_is_named(images, monkeypatch, method):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    model = model_of(Curved(), 8)
    with pytest.raises(InstallationError, match=r"pip install 'brainscore_itmaps\[attribution\]'"):
        attribution_maps(model, images[:1], ["layer"], [np.ones(5)], GRID, method)
    attribution_maps(model, images[:1], ["layer"], [np.ones(5)], GRID)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_lets_no_gradient_through_is_refused(images, method):
    class Shut(Curved):
        def forward(self, x):
            with torch.no_grad():
                return super().forward(x)

    with pytest.raises(ModelError, match="lets no gradient through"):
        attribution_maps(model_of(Shut(), 8), images[:1], ["layer"], [np.ones(5)], GRID, method)


def test_memory_that_runs_out_is_no_lack_of_a_gradient(images):
    class Large(Curved):
        def forward(self, x):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises((ModelError, torch.OutOfMemoryError), match="memory") as raised:
        attribution_maps(model_of(Large(), 8), images[:1], ["layer"], [np.ones(5)], GRID)
    assert "gradient" not in str(raised.value)


def weights_by_hand(field, maps):
    """Of PLS on all images but each, mean over sites; scikit-learn's."""
    weights = []
    for image in range(len(maps)):
        others = np.delete(np.arange(len(maps)), image)
        x, y = field[others].reshape(-1, field.shape[-1]), maps[others].reshape(-1, maps.shape[-1])
        weights.append(PLSRegression(25, scale=False, tol=1e-20, max_iter=20_000).fit(x, y).coef_.mean(axis=0))
    return weights


@pytest.mark.parametrize("seed", [0, 3])
def test_attribution_and_its_controls_are_those_taken_by_hand(small, seed):
    model = load_model("timm:test_efficientnet", weights="random", seed=seed)
    layers = ("blocks.3", "blocks.2", "blocks.3", "blocks.2")
    computed = attribute(model, small, layers, "gradient")
    random = untrained(model, seed=1 if seed == 0 else 0)
    assert random.sha256 != model.sha256
    mean = small.maps.mean(axis=-1)
    for traced, weights_of, expected in (
        (model, weights_by_hand, computed.rho),
        (
            random,
            lambda field, maps: fit_folds(field, maps, leave_one_out(4)).coefficients().mean(axis=-1),
            computed.random_rho,
        ),
    ):
        units = record(traced, small.images, ["blocks.2", "blocks.3"])
        weights = {layer: weights_of(to_grid(units[layer], small.grid), small.maps) for layer in units}
        image_weights = [weights[layer][image] for image, layer in enumerate(layers)]
        maps = attribution_maps(traced, small.images, layers, image_weights, small.grid)
        rho = [spearmanr(maps[image].ravel(), mean[image].ravel()).statistic for image in range(4)]
        np.testing.assert_allclose(expected, rho, rtol=0, atol=1e-9)
        if traced is model:
            np.testing.assert_allclose(computed.maps, maps, rtol=1e-6)
    nearness = [[-np.sqrt(y**2 + x**2) for x in small.grid.x] for y in small.grid.y]
    centre = [spearmanr(np.ravel(nearness), image.ravel()).statistic for image in mean]
    np.testing.assert_allclose(computed.centre_rho, centre, rtol=0, atol=1e-12)
    assert computed.method == "gradient"


def test_a_model_that_cannot_be_initialised_again_has_no_control_and_the_result_says_so(small, tmp_path):
    spec = replace(ZOO["efficientnet_lite0"], size=8, std=STD, architecture="own_design")
    model = Model("own", spec, Curved().eval(), Weights("random", seed=0))
    saliency = attribute(model, small, ("layer",) * 4, "gradient")
    assert np.isfinite(saliency.rho).all()
    assert np.isnan(saliency.random_rho).all()
    result = evaluate(model_source(model, "layer"), [small], BenchmarkSpec("own", ("own",), measure="attribution"))
    said = "own: the control with random weights was left out: own cannot be re-initialised with random weights"
    assert [note for note in result.notes if note.startswith(said)]
    loaded = Result.load(result.save(tmp_path)[0])
    assert loaded.arrays[0].saliency.missing == result.arrays[0].saliency.missing != ""
    assert np.isnan(loaded.arrays[0].saliency.random_rho).all()


def test_attribution_of_a_selected_element_is_that_of_the_element_alone(images):
    class Pair(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.pair = inner, torch.nn.Identity()

        def forward(self, x):
            return self.pair((self.inner.layer(torch.tanh(2 * self.inner.first(x.double()))), x))[0]

    inner, weight = Curved(), np.arange(5.0)
    expected = attribution_maps(model_of(inner, 8), images[:1], ["layer"], [weight], GRID)
    selected = attribution_maps(model_of(Pair(inner), 8), images[:1], ["pair[0]"], [weight], GRID)
    np.testing.assert_allclose(selected, expected, rtol=1e-6)


def test_the_benchmark_s_value_is_the_attribution_s(small, tmp_path):
    model = load_model("timm:test_efficientnet", weights="random", seed=2)
    spec = BenchmarkSpec("own", ("own",), measure="attribution")
    source = model_source(model, "blocks.3")
    result = evaluate(source, [small], spec)
    array = result.arrays[0]
    saliency = attribute(model, small, ("blocks.3",) * 4, "gradient")
    np.testing.assert_allclose(array.saliency.rho, saliency.rho, rtol=0, atol=1e-12)
    ceiling = map_ceiling(small.maps, None, np.random.default_rng(0))
    np.testing.assert_allclose(array.image_ceiling, ceiling)
    assert result.raw == pytest.approx(saliency.rho.mean())
    assert result.score == pytest.approx(saliency.rho.mean() / ceiling.mean())
    loaded = Result.load(result.save(tmp_path)[0])
    for name in ("maps", "rho", "centre_rho", "random_rho"):
        np.testing.assert_array_equal(getattr(loaded.arrays[0].saliency, name), getattr(array.saliency, name))
    assert loaded.score == result.score


def test_a_source_without_gradients_has_no_attribution(small):
    model = load_model("timm:test_efficientnet", weights="random")
    spec = BenchmarkSpec("own", ("own",), measure="attribution")
    with pytest.raises(ModelError, match="cannot be traced to positions of the image"):
        evaluate(replace(model_source(model, "blocks.3"), attribute=None), [small], spec)
