"""Where maps lie in their images: images that are not square, positions outside, and what draws them."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from answers import answered
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brainscore_itmaps import load_model, score
from brainscore_itmaps.bridge.assembly import assembly, recording_from
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.views import CENTRE, fixated, on_screen, placed_on_screen
from brainscore_itmaps.reporting.embedded import embed_image
from brainscore_itmaps.reporting.maps import comparison_figure, maps_figure, registration_figure, sheet_figure
from brainscore_itmaps.settings import overridden

Y, X = np.linspace(-6, 6, 13), np.linspace(-8, 8, 17)
WIDE = Grid(Y, X, extent=(12, 16))


def smooth(rng):
    """A grey image of 240 x 320 pixels."""
    low = Image.fromarray(rng.random((9, 12)).astype(np.float32))
    return np.asarray(low.resize((320, 240), Image.Resampling.BICUBIC)).clip(0, 1)


@pytest.fixture
def wide(rng, tmp_path, own_home):
    """Images of 320 x 240 pixels shown at 16 x 12 degrees, and sites equal to the brightness at each position."""
    pixels = [smooth(rng) for _ in range(8)]
    files = [tmp_path / f"wide{number}.png" for number in range(8)]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray((image * 255).astype(np.uint8)).convert("RGB").save(file)
    rows, columns = ((Y / 12 + 0.5) * 239).round().astype(int), ((X / 16 + 0.5) * 319).round().astype(int)
    bright = np.stack([30 * image[np.ix_(rows, columns)] for image in pixels])[..., None]
    return bright + rng.normal(0, 0.05, (*bright.shape[:3], 16)), files


def brightness():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))
    torch.nn.init.constant_(module[0].weight, 1 / 3)
    return load_model(module, preprocessing={"size": 128, "mean": [0] * 3, "std": [1] * 3})


def built(wide, **options):
    maps, files = wide
    return Recording.from_arrays(maps, files, identifier="lab.wide", window=(0, 100), **options)


def test_brightness_predicts_sites_that_follow_brightness_in_images_that_are_not_square(wide):
    result = score(brightness(), built(wide, grid=WIDE), "0")
    assert result.raw > 0.997
    assert result.arrays[0].extent == (12.0, 16.0)
    assert "lab.wide: images of 12 x 16 degrees (height x width) are stretched" in " ".join(result.notes)


def test_an_image_of_another_shape_than_its_size_in_degrees_is_refused_unless_it_was_stretched(wide):
    with pytest.raises(DataError, match=r"wide0\.png \(and 7 more\) has 320 x 240 pixels.* 16 degrees .* is square"):
        built(wide, grid=Grid(Y, X, 16.0))
    assert built(wide, grid=Grid(Y, X, 16.0), stretched=True).grid.extent == 16.0


def test_without_a_grid_images_keep_their_shape_and_their_longer_side_is_16_degrees(wide):
    recording = built(wide)
    assert (recording.grid.height, recording.grid.width) == (12, 16)
    assert recording.grid == WIDE


def test_positions_outside_the_image_are_refused_unless_asked_for(wide):
    beyond = Grid(Y, X * 2.5, (12, 16))
    with pytest.raises(DataError, match=r"130 positions lie outside the image of 12 x 16 degrees; .*-20 to 20 in x"):
        built(wide, grid=beyond)
    permitted = score(brightness(), built(wide, grid=beyond, outside=True), "0")
    assert "lab.wide: 130 of 221 positions lie outside the images" in " ".join(permitted.notes)


@pytest.mark.parametrize("side", ["y", "x"])
def test_a_position_on_the_edge_is_inside(side):
    grid = Grid(**({"y": [0.0], "x": [0.0]} | {side: [-0.1 * 3 / 2, 0.1 * 3 / 2]}), extent=0.3)
    assert grid.outside == 0


def test_saving_loading_and_brain_score_keep_the_geometry(wide, tmp_path):
    recording = built(wide, grid=Grid(Y, X * 2, (12, 20)), stretched=True, outside=True)
    for restored in (Recording.load(recording.save(tmp_path / "saved")), recording_from(assembly(recording))):
        assert restored.grid == recording.grid
        assert (restored.stretched, restored.outside) == (True, True)


def test_a_folder_with_a_misregistration_is_refused_and_drawn(wide, tmp_path):
    folder = built(wide, grid=WIDE).save(tmp_path / "saved")
    drawn = answered("data", "check", folder, "--figure", tmp_path / "drawn.png")
    assert drawn.returncode == 0
    with Image.open(tmp_path / "drawn.png") as opened:
        assert min(opened.size) > 100
    description = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    for change, problem in (
        ({"extent": 16.0}, "320 x 240 pixels"),
        ({"extent": [6, 8]}, "positions lie outside the image of 6 x 8 degrees"),
        ({"extent": [0, 8]}, "extent is not a number of degrees"),
        ({"extent": [1, 2, 3]}, "extent is not a number of degrees"),
        ({"stretched": 1}, "stretched is neither true nor false"),
    ):
        (folder / "recording.json").write_text(json.dumps(description | change), encoding="utf-8")
        refused = answered("data", "check", folder)
        assert refused.returncode == 3
        assert problem in " ".join(refused.stdout.split())
    description |= {"extent": [6, 8]}
    (folder / "recording.json").write_text(json.dumps(description), encoding="utf-8")
    misplaced = answered("data", "check", folder, "--figure", tmp_path / "misplaced.png")
    assert misplaced.returncode == 3
    assert (tmp_path / "misplaced.png").stat().st_size > 10_000


@pytest.mark.parametrize("extent", ["wide", None, (1, 2, 3), [[1, 2], [3, 4]], ("a", "b")])
def test_an_extent_that_is_no_size_is_named(extent):
    with pytest.raises(UsageError, match="The extent of a grid cannot be"):
        Grid([0.0], [0.0], extent)


@given(height=st.floats(1, 30), width=st.floats(1, 30), rows=st.integers(2, 9), columns=st.integers(2, 9))
def test_a_layer_with_a_unit_at_each_position_is_returned_unchanged(height, width, rows, columns):
    features = np.random.default_rng(0).normal(size=(1, 2, rows, columns))
    field = to_grid(features, Grid.even((rows, columns), (height, width)))
    np.testing.assert_allclose(field, np.moveaxis(features, 1, -1), atol=1e-12)


def test_two_equal_sides_are_a_square():
    assert Grid.even(5, (8, 8)) == Grid.even(5, 8)
    assert hash(Grid.even(5, (8, 8))) == hash(Grid.even(5, 8))


def test_a_view_of_8_degrees_shows_the_middle_of_a_wide_image(wide):
    recording = built(wide, grid=WIDE)
    view = placed_on_screen(recording, 8.0)
    assert view.maps.shape[1:3] == (9, 9)
    with Image.open(view.images[0]) as opened, Image.open(recording.images[0]) as whole:
        assert np.array_equal(np.asarray(opened), np.asarray(whole)[40:200, 80:240])
    assert score(brightness(), view, "0").raw > 0.99


def test_a_view_wider_than_the_image_in_one_direction_is_grey_there():
    seen = np.asarray(on_screen(Image.new("RGB", (32, 24), "white"), (16 / 12, 1.0)))
    assert seen.shape == (32, 32, 3)
    assert (seen[4:28] == 255).all()
    assert (seen[[0, 3, 28, 31]] == 128).all()


@given(down=st.floats(-1, 1), across=st.floats(-1, 1))
def test_a_fixated_position_of_a_wide_image_lies_at_the_centre_of_view(down, across):
    ramp = np.zeros((120, 160, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(120)[:, None], np.arange(160)
    (view,) = fixated(Image.fromarray(ramp), Grid([down * 5], [across * 7], (12, 16)), 8.0)
    seen = to_grid(np.moveaxis(np.asarray(view, float), -1, 0)[None], CENTRE)[0, 0, 0]
    np.testing.assert_allclose(seen[:2], [(down * 5 + 6) * 10, (across * 7 + 8) * 10], atol=1.5)


def test_figures_draw_images_and_maps_where_they_lie(wide):
    recording = built(wide, grid=WIDE)
    result = score(brightness(), recording, "0")
    array = result.arrays[0]
    for figure in (
        registration_figure(recording, [0, 1]),
        comparison_figure(array, recording.images[0]),
        maps_figure(result, recording.images),
        sheet_figure(result, array, recording.images),
    ):
        extents = {tuple(drawn.get_extent()) for axis in figure.axes for drawn in axis.get_images()}
        assert (-8.0, 8.0, 6.0, -6.0) in extents
        assert (-8.5, 8.5, 6.5, -6.5) in extents


def test_a_page_embeds_an_image_in_the_shape_in_which_it_was_shown(wide):
    url = embed_image(wide[1][0], (12, 16))
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as embedded:
        assert embedded.size == (300, 225)


def test_a_recording_is_never_given_a_size_of_another_shape_than_its_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), dtype=np.uint8)
    with overridden(brainio_home=tmp_path):
        recording = Recording.from_arrays(np.ones((3, 2, 2, 1)), images, identifier="lab", window=(0, 9))
    assert recording.grid.extent == (12.0, 16.0)
    with pytest.raises(DataError, match="but a size of 16 degrees"):
        replace(recording, grid=Grid(recording.grid.y, recording.grid.x, 16.0))
    assert replace(recording, grid=Grid(recording.grid.y, recording.grid.x, 16.0), stretched=True).stretched
