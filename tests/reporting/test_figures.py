"""Figures: positions, limits, colours and text, compared as numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from looked_at import texts_of
from PIL import Image
from scipy.stats import pearsonr, spearmanr
from shown import changed, images, narrow, scored

from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.reporting.controls import controls_figure
from brainscore_itmaps.reporting.maps import comparison_figure, maps_figure, overlay_figure, sheet_figure
from brainscore_itmaps.reporting.profiles import layer_profile_figure, site_histogram_figure, window_profile_figure

BASELINES = Path(__file__).parents[1] / "golden" / "figures"


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def maps_in(axis):
    """Return the maps of an axis, without photographs."""
    return [image for image in axis.get_images() if image.get_array().ndim == 2]


@pytest.mark.parametrize("site", [None, 3])
def test_a_map_lies_over_its_image_where_it_was_recorded(site):
    array = narrow(scored().arrays[0])
    axis = overlay_figure(array, images()[2], 2, site).axes[0]
    (drawn,) = maps_in(axis)
    expected = array.neural[2].mean(axis=-1) if site is None else array.neural[2, ..., site]
    np.testing.assert_array_equal(drawn.get_array(), expected)
    assert drawn.get_extent() == [-9, 9, 8.5, -8.5]  # x every 2 degrees, y every degree: half a step over the edge
    assert drawn.get_clim() == pytest.approx(np.percentile(expected, [0.5, 99.5]))
    image_file = next(image for image in axis.get_images() if image.get_array().ndim == 3)
    assert image_file.get_extent() == [-8, 8, 8, -8]
    (points,) = axis.get_lines()
    assert (points.get_xdata().min(), points.get_xdata().max(), points.get_ydata().max()) == (-8, 8, 8)
    assert len(points.get_xdata()) == 17 * 9
    assert axis.get_ylim() == (8.5, -8.5)  # downward, as images are


@pytest.mark.parametrize("site", [None, 3])
def test_recorded_predicted_and_their_difference(site):
    array = narrow(scored().arrays[0])
    figure = comparison_figure(array, None, 4, site)
    neural, predicted, difference = (maps_in(axis)[0] for axis in figure.axes[1:4])
    np.testing.assert_allclose(difference.get_array(), predicted.get_array() - neural.get_array())
    ends = np.array([np.percentile(np.asarray(each.get_array()), [0.5, 99.5]) for each in (neural, predicted)])
    assert neural.get_clim() == predicted.get_clim() == pytest.approx((ends[:, 0].min(), ends[:, 1].max()))
    low, high = difference.get_clim()
    assert low == -high
    flat = neural.get_array().ravel(), predicted.get_array().ravel()
    agreement = spearmanr(*flat).statistic if site is None else pearsonr(*flat).statistic
    assert f"{'rho' if site is None else 'r'} = {agreement:.2f}" in words(figure)
    assert array.sites[3] in words(figure) or site is None


def test_a_sheet_shows_every_image():
    result = scored()
    array = result.arrays[0]
    figure = sheet_figure(result, array, images())
    shown = [maps_in(axis)[0].get_array() for axis in figure.axes if maps_in(axis)]
    assert len(shown) == 2 * len(array.images)
    np.testing.assert_array_equal(shown[0], array.neural[0].mean(axis=-1))
    np.testing.assert_array_equal(shown[1], array.predicted[0].mean(axis=-1))
    assert "SIMULATED recording, no animal was recorded" in words(figure)
    assert all(name.rsplit("-", 1)[-1] in words(figure) for name in array.images)
    assert "random (seed 1)" in words(figure)


def test_a_layer_profile_is_below_its_ceiling_band():
    result = scored()
    axis = layer_profile_figure(result).axes[0]
    line = axis.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [np.mean(layer.image_r) for layer in result.arrays[0].layers])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["layer2", "layer3"]
    ceiling = next(line for line in axis.get_lines() if line.get_label() == "noise ceiling")
    np.testing.assert_allclose(ceiling.get_xdata()[0], np.median(result.arrays[0].site_ceiling, axis=1).mean())
    (band,) = axis.patches
    assert band.get_x() < ceiling.get_xdata()[0] < band.get_x() + band.get_width()


def test_a_layer_profile_says_for_how_many_images_each_layer_was_chosen():
    array = scored().arrays[0]
    for counts in ((0, 14), (5, 9)):
        layers = tuple(replace(layer, chosen=count) for layer, count in zip(array.layers, counts, strict=True))
        figure = layer_profile_figure(replace(scored(), arrays=(replace(array, layers=layers),)))
        said = [text for text, _ in texts_of(figure)]
        assert [text for text in said if text.endswith(" of 14")] == [f"{count} of 14" for count in counts]
        filled = next(line for line in figure.axes[0].get_lines() if line.get_label() == "chosen for an image")
        assert list(filled.get_ydata()) == [row for row, count in enumerate(counts) if count]


def test_a_histogram_counts_each_site_once():
    array = scored().arrays[0]
    axis = site_histogram_figure(scored()).axes[0]
    counted = sum(patch.get_height() for patch in axis.patches if hasattr(patch, "get_height"))
    assert counted == len(array.sites)
    median = next(line for line in axis.get_lines())
    assert median.get_xdata()[0] == pytest.approx(np.median(array.site_r.mean(axis=0)))


def in_window(window, value):
    result = scored()
    array = changed(result.arrays[0], window=window, score=value, interval=(value - 0.1, value + 0.2))
    return replace(result, arrays=(array,))


def test_a_profile_over_windows_stands_at_their_middles_in_order():
    figure = window_profile_figure([in_window((130, 170), 0.5), in_window((50, 90), 0.1), in_window((90, 130), 0.3)])
    (line, *_) = figure.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[70, 0.1], [110, 0.3], [150, 0.5]])
    with pytest.raises(UsageError, match="one model in several windows"):
        window_profile_figure([in_window((50, 90), 0.1)])


@pytest.mark.parametrize("changes", [{"measure": "alignment"}, {"measure": "attribution"}, {"protocol": "published"}])
def test_a_ceiling_of_something_else_is_not_drawn_with_correlations_of_sites(changes):
    for draw in (layer_profile_figure, site_histogram_figure):
        assert "noise ceiling" in labels_of(draw(scored()))
        assert "noise ceiling" not in labels_of(draw(changed(scored(), **changes)))


def labels_of(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_an_image_lies_where_it_was_shown_though_positions_do_not_span_it():
    array = replace(scored().arrays[0], extent=20.0)
    figure = overlay_figure(array, images()[0], 0)
    image, drawn = figure.axes[0].get_images()
    assert image.get_extent() == [-10, 10, 10, -10]
    assert drawn.get_extent() == [-8.5, 8.5, 8.5, -8.5]
    assert figure.axes[0].get_xlim() == (-10, 10)


FIGURES = {
    "controls": lambda: controls_figure(scored()),
    "maps": lambda: maps_figure(scored(), images()),
    "overlay": lambda: overlay_figure(scored().arrays[0], images()[0], 0),
    "comparison": lambda: comparison_figure(scored().arrays[0], images()[0], 0),
    "sheet": lambda: sheet_figure(scored(), scored().arrays[0], images()),
    "layers": lambda: layer_profile_figure(scored()),
    "sites": lambda: site_histogram_figure(scored()),
    "windows": lambda: window_profile_figure([in_window((50, 90), 0.1), in_window((130, 170), 0.5)]),
}


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures_are_written_in_every_format(kind, ending, tmp_path):
    if kind == "sheet" and ending != "png":
        pytest.skip("the same artists as the other maps, many times over")
    figure = FIGURES[kind]()
    figure.savefig(tmp_path / f"figure.{ending}", dpi=60)
    assert (tmp_path / f"figure.{ending}").stat().st_size > 1000
    fonts = [text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))]
    assert min(fonts) >= 6


@pytest.mark.parametrize("kind", FIGURES)
def test_figures_look_as_when_somebody_looked_at_them(kind, tmp_path):
    """Compare small, blurred figures, so that fonts of other versions make no difference, but positions do."""
    FIGURES[kind]().savefig(tmp_path / "figure.png", dpi=60)
    with Image.open(tmp_path / "figure.png") as now, Image.open(BASELINES / f"{kind}.png") as before:
        blurred = [
            np.asarray(each.convert("RGB").resize((64, 64), Image.Resampling.BOX), float) for each in (now, before)
        ]
    assert np.abs(blurred[0] - blurred[1]).mean() < 6
