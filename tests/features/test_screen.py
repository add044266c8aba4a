"""Images at their size in degrees, against Brain-Score's own screen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sources import model_source

from brainscore_itmaps import Grid, Recording, load_recording, score
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.features.views import on_screen, placed_on_screen


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def simulated():
    return load_recording("it_maps_simulated")


@pytest.fixture
def small(images, rng, own_home):
    """Six images of 96 pixels and 16 degrees, maps at 9 x 5 positions, two repeats."""
    repeats = rng.normal(size=(6, 2, 9, 5, 3))
    grid = Grid(y=Grid.even(9).y, x=np.array([-7.0, -3.0, 0.0, 2.5, 8.0]), extent=16.0)
    return Recording.from_arrays(None, images, identifier="own", window=(0, 9), repeats=repeats, grid=grid)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(8, 60),
    height=st.integers(8, 60),
    ratio=st.one_of(st.just(1.0), st.floats(0.3, 0.999), st.floats(1.001, 3)),
    seed=st.integers(0, 99),
)
def test_an_image_on_the_screen_is_brain_score_s_to_the_pixel(width, height, ratio, seed):
    from brainscore_vision.benchmark_helpers.screen import ImageConverter

    image = noise(width, height, seed)
    expected = ImageConverter(".").apply_ratio(image, ratio)
    result = on_screen(image, (ratio, ratio))
    assert (result.mode, result.size) == (expected.mode, expected.size)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


@pytest.mark.parametrize("degrees", [5, 8, 10.5, 23])
def test_images_of_a_recording_are_placed_as_brain_score_places_a_set(simulated, degrees):
    from brainscore_vision.benchmark_helpers.screen import place_on_screen

    from brainscore_itmaps.bridge.assembly import stimulus_set

    reference = place_on_screen(stimulus_set(simulated), target_visual_degrees=degrees, source_visual_degrees=16)
    placed = placed_on_screen(simulated, degrees)
    for name, image in zip(placed.names, placed.images, strict=True):
        with Image.open(image) as result, Image.open(reference.get_stimulus(name)) as expected:
            np.testing.assert_array_equal(np.asarray(result), np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("degrees", [5, 8, 12.6, 16.5, 40])
def test_positions_in_view_keep_their_maps_and_all_else_stays(small, degrees):
    placed = placed_on_screen(small, degrees)
    rows = [row for row, y in enumerate(small.grid.y) if -degrees / 2 <= y <= degrees / 2]
    columns = [column for column, x in enumerate(small.grid.x) if -degrees / 2 <= x <= degrees / 2]
    assert placed.grid.extent == degrees
    assert placed.grid.y.tolist() == [small.grid.y[row] for row in rows]
    assert placed.grid.x.tolist() == [small.grid.x[column] for column in columns]
    for image in range(6):
        for down, row in enumerate(rows):
            for across, column in enumerate(columns):
                np.testing.assert_array_equal(placed.maps[image, down, across], small.maps[image, row, column])
                np.testing.assert_array_equal(
                    placed.repeats[image, :, down, across], small.repeats[image, :, row, column]
                )
    assert placed.names == small.names
    unchanged = ("identifier", "sites", "window", "subject", "area", "sha256", "citation", "simulated")
    assert all(getattr(placed, name) == getattr(small, name) for name in unchanged)


def test_a_recording_without_repeats_has_none_on_the_screen_either(small):
    assert placed_on_screen(replace(small, repeats=None), 8).repeats is None


@pytest.mark.parametrize("degrees", [8, 12, 24])
def test_every_position_shows_what_it_showed_in_the_image(rng, own_home, degrees):
    """Planted: an image whose colours tell where one is, read at each position of the recording and of the view."""
    pixels = np.zeros((160, 160, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(160)[:, None], np.arange(160)
    images = np.stack([pixels, 255 - pixels, pixels[::-1]])
    grid = Grid(y=np.array([-7.0, -3.5, 0.0, 1.0, 3.9]), x=np.array([-4.0, -1.0, 2.0, 6.0]), extent=16.0)
    recording = Recording.from_arrays(
        rng.normal(size=(3, 5, 4, 2)), images, identifier="gradient", window=(0, 9), grid=grid
    )
    placed = placed_on_screen(recording, degrees)
    with Image.open(placed.images[0]) as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == (degrees * 10, degrees * 10, 3)
    for y in placed.grid.y:
        for x in placed.grid.x:
            row, column = (int((at / degrees + 0.5) * len(pixels) + 1e-6) for at in (y, x))
            if row < len(pixels) and column < len(pixels):
                np.testing.assert_array_equal(pixels[row, column], [(y + 8) * 10, (x + 8) * 10, 0])


def test_arrays_that_share_images_share_them_on_the_screen_too(small, rng):
    other = replace(small, identifier="own", maps=small.maps[..., :2], repeats=None, sites=small.sites[:2])
    assert placed_on_screen(small, 8).images == placed_on_screen(other, 8).images
    assert placed_on_screen(small, 8).images != placed_on_screen(small, 12).images


def test_a_view_of_all_degrees_changes_nothing(small):
    assert placed_on_screen(small, 16) is small
    assert placed_on_screen(small, 16.0) is small


@pytest.mark.parametrize(("degrees", "positions"), [(4, "3 x 1"), (3.9, "1 x 1"), (0.5, "1 x 1")])
def test_a_view_of_too_few_positions_is_an_error(small, degrees, positions):
    with pytest.raises(DataError, match=rf"own: {positions} positions lie in a view of {degrees:g} degrees"):
        placed_on_screen(small, degrees)


def test_the_benchmark_scores_the_positions_in_the_model_s_view(simulated):
    """Eight of sixteen degrees: 9 x 9 positions, the same as of a recording of the middles of the images."""
    result = score("timm:test_vit", "it_maps_screen_simulated", weights="random")
    assert result.arrays[0].neural.shape == (14, 9, 9, 32)
    np.testing.assert_array_equal(result.arrays[0].neural, simulated.maps[:, 4:13, 4:13])
    assert "8 degrees" in result.field_of_view
    assert any("9 x 9 positions" in note for note in result.notes)
    middles = Recording.from_arrays(
        None,
        placed_on_screen(simulated, 8).images,
        identifier="middles",
        window=(100, 250),
        repeats=simulated.repeats[:, :, 4:13, 4:13],
        grid=Grid.even(9, 8.0),
    )
    expected = score("timm:test_vit", middles, weights="random")
    assert result.raw == pytest.approx(expected.raw, abs=1e-9)
    assert result.ceiling == pytest.approx(expected.ceiling, abs=1e-12)
    assert result.score != score("timm:test_vit", weights="random").score


def test_both_entrances_see_the_same_screen(small):
    from brainscore_itmaps import load_model
    from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
    from brainscore_itmaps.benchmark.evaluate import evaluate
    from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark
    from brainscore_itmaps.bridge.models import brain_model

    truth = small.maps.mean(axis=-1)[..., None] * np.array([1.0, 2.0, -1.0])
    clean = replace(small, maps=truth, repeats=np.stack([truth, truth], axis=1))
    model = load_model("timm:test_efficientnet", weights="random")
    spec = BenchmarkSpec("own", ("own",), view="screen")
    through = ItMapsBenchmark(spec, [clean]).evaluate(brain_model(model))
    placed = placed_on_screen(clean, model.spec.visual_degrees)
    direct = evaluate(model_source(model, view="screen"), [placed], spec)
    assert through.arrays[0].neural.shape == (6, 5, 3, 3)
    assert through.score == pytest.approx(direct.score, abs=1e-6)
    assert direct.ceiling == pytest.approx(1)
