"""Figures at the width of one and of two columns: no text over another, none outside, and colours for all readers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from looked_at import faults_of, named_points, nearest_colours, overlap, overlapping, points_of
from shown import changed, images, narrow, scored
from studies import NAMES, planted

from brainscore_itmaps import compare, load_recording
from brainscore_itmaps.benchmark.profiled import collected
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.reporting.controls import controls_figure
from brainscore_itmaps.reporting.drawing import CYCLE, MARKS, Figure, style
from brainscore_itmaps.reporting.feature_profiles import feature_profile_figure
from brainscore_itmaps.reporting.maps import (
    comparison_figure,
    maps_figure,
    orientation_figure,
    overlay_figure,
    registration_figure,
    sheet_figure,
)
from brainscore_itmaps.reporting.names import Named, write_names
from brainscore_itmaps.reporting.profiles import layer_profile_figure, site_histogram_figure, window_profile_figure
from brainscore_itmaps.reporting.study_controls import controls_figure as study_controls_figure
from brainscore_itmaps.reporting.study_figures import accuracy_figure, relation_figure
from brainscore_itmaps.reporting.verify_page import published_scatter
from brainscore_itmaps.study.table import tidy_table

WIDTHS = (3.5, 7.0)
LONG = "timm:vit_huge_patch14_clip_quickgelu_378.dfn5b_ft_in1k_of_a_lab_with_a_long_name"


def three_arrays():
    array = scored().arrays[0]
    names = ("Arcaro2020.monkey1_PL", "Arcaro2020.monkey1_ML", "Arcaro2020.monkey2_ML")
    arrays = (replace(array, recording=names[0]), replace(narrow(array), recording=names[1]))
    return changed(scored(), arrays=(*arrays, replace(array, recording=names[2])), model=LONG)


def with_outliers():
    array = scored().arrays[0]
    neural, predicted = array.neural.copy(), array.predicted.copy()
    neural[:, 0, 0] *= 400
    predicted[:, 3, 3] = -9000.0
    return replace(scored(), arrays=(replace(array, neural=neural, predicted=predicted),))


def wide_images():
    array = scored().arrays[0]
    return replace(scored(), arrays=(replace(array, extent=(12.0, 16.0), degrees_y=0.7 * array.degrees_y),))


def with_30_layers(name="backbone.encoder.blocks.{}.attention.projection"):
    array = scored().arrays[0]
    layers = tuple(replace(array.layers[0], layer=name.format(number), chosen=number // 2) for number in range(30))
    return changed(scored(), arrays=(replace(array, layers=layers),), model=LONG)


def in_windows(result):
    return [
        replace(result, arrays=tuple(changed(array, window=(start, start + 40)) for array in result.arrays))
        for start in (50, 90, 130)
    ]


def close_together(number=12):
    """Rows of models whose accuracies and scores are nearly the same."""
    rows, rng = tidy_table(planted(NAMES[:number], ())).rows.copy(), np.random.default_rng(1)
    rows["imagenet_top1"] = 76 + 0.2 * rng.normal(size=len(rows))
    rows["score"] = 0.5 + 0.004 * rng.normal(size=len(rows))
    return rows.assign(low=rows["score"] - 0.03, high=rows["score"] + 0.03)


def of_three_arrays(rows):
    names = ("Arcaro2020.monkey1_PL", "Arcaro2020.monkey1_ML", "Arcaro2020.monkey2_ML")
    return pd.concat([rows.assign(array=name) for name in names], ignore_index=True)


def with_controls(rows):
    rng = np.random.default_rng(0)
    unique = rng.normal(0.1, 0.02, len(rows))
    return rows.assign(unique=unique, unique_low=unique - 0.03, unique_high=unique + 0.03)


NUMBERS = [{"what": what, "array": array, "published": 0.3 + 0.1 * number, "ours": 0.28 + 0.11 * number}
           for number, (array, what) in enumerate((array, what) for array in ("monkey1_PL", "monkey1_ML", "monkey2_ML")
                                                  for what in ("ceiling", "predictivity"))]  # fmt: skip

HARD = {
    "maps of a long name": lambda **w: maps_figure(changed(scored(), model=LONG), images(), range(5), **w),
    "maps of wide images": lambda **w: maps_figure(wide_images(), images(), (0, 1), **w),
    "maps with outliers": lambda **w: maps_figure(with_outliers(), images(), (0,), **w),
    "overlay": lambda **w: overlay_figure(scored(), images()[0], **w),
    "overlay of wide images": lambda **w: overlay_figure(wide_images(), images()[0], **w),
    "comparison": lambda **w: comparison_figure(scored(), images()[0], 0, 3, **w),
    "comparison with outliers": lambda **w: comparison_figure(with_outliers(), images()[0], **w),
    "sheet": lambda **w: sheet_figure(scored(), scored().arrays[0], images(), **w),
    "registration": lambda **w: registration_figure(load_recording("it_maps_simulated"), **w),
    "orientations": lambda **w: orientation_figure(load_recording("it_maps_simulated"), [0, 3, 4], **w),
    "30 layers": lambda **w: layer_profile_figure(with_30_layers(), **w),
    "30 long layers": lambda **w: layer_profile_figure(with_30_layers("a_block_with_a_name_that_has_no_dots_{}"), **w),
    "layers of three arrays": lambda **w: layer_profile_figure(three_arrays(), **w),
    "sites of three arrays": lambda **w: site_histogram_figure(three_arrays(), **w),
    "windows": lambda **w: window_profile_figure(in_windows(three_arrays()), **w),
    "components": lambda **w: feature_profile_figure(
        collected("components", dict.fromkeys((1, 5, 25), three_arrays())), **w
    ),
    "controls": lambda **w: controls_figure(three_arrays(), **w),
    "12 models close together": lambda **w: accuracy_figure(close_together(), {}, {}, **w),
    "models on three arrays": lambda **w: accuracy_figure(of_three_arrays(close_together()), {}, {}, **w),
    "relation": lambda **w: relation_figure(close_together(5), "alignment", "alignment of maps, Spearman rho", **w),
    "controls of models": lambda **w: study_controls_figure(of_three_arrays(with_controls(close_together())), **w),
    "controls of few models": lambda **w: study_controls_figure(with_controls(close_together(6)), **w),
    "published": lambda **w: published_scatter(NUMBERS, True, **w),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", HARD)
def test_texts_overlap_nothing_and_legends_cover_no_panel(kind, width):
    figure = HARD[kind](width=width)
    assert figure.get_figwidth() == width
    assert faults_of(figure) == []
    fonts = [text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))]
    assert min(fonts) >= 6


def test_a_bad_figure_is_seen_to_be_bad():
    with style():
        figure = Figure(figsize=(3.5, 2), layout="constrained")
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], "o", label="points")
        axis.annotate("one name", (0.5, 0.5))
        axis.annotate("another name", (0.52, 0.5))
        axis.annotate("outside", (0.5, 0.5), (-2, 0.5)).set_in_layout(False)
        axis.legend()
    faults = faults_of(figure)
    for expected in (
        "'one name' overlaps 'another name'",
        "'outside' leaves the canvas",
        "a legend covers the panel ''",
    ):
        assert expected in faults


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("number", [3, 12])
def test_names_stand_beside_points_without_overlap_and_a_line_counts_those_left_out(number, width):
    rows = close_together(number)
    figure = accuracy_figure(rows, {}, {}, width=width)
    axis = figure.axes[0]
    names = named_points(axis, figure)
    assert overlapping(names) == []
    assert not [name for name, box in names for _, point in points_of(axis) if overlap(box, point, 0.5)]
    assert {name for name, _ in names} <= {name.removeprefix("timm:") for name in rows["model"]}
    left_out = len(rows) - len(names)
    said = figure.get_suptitle().replace("\n", " ")
    assert (f"names of {left_out} of {len(rows)} points are left out for lack of room" in said) == (left_out > 0)
    assert number > 3 or not left_out


def test_names_stand_in_the_same_places_every_time_and_of_many_points_the_best_are_named():
    placed = [[text.xyann for text in accuracy_figure(close_together(), {}, {}).axes[0].texts] for _ in range(2)]
    assert placed[0] == placed[1]
    rows = close_together()
    steps = np.arange(len(rows))
    many = pd.concat(
        [
            rows.assign(
                model=rows["model"] + f"_{number}",
                imagenet_top1=60 + 4 * number + steps / 3,
                score=0.1 * number + 0.008 * steps,
            )
            for number in range(5)
        ]
    )
    figure = accuracy_figure(many, {}, {})
    names = {name for name, _ in named_points(figure.axes[0], figure)}
    best = many.sort_values("score", ascending=False)["model"].str.removeprefix("timm:")
    assert 0 < len(names) <= 30
    assert names <= set(best[:30])


@pytest.mark.parametrize("seed", range(10))
def test_names_of_random_points_never_overlap(seed):
    rng = np.random.default_rng(seed)
    with style():
        figure = Figure(figsize=(3.5, 2.5))
        axis = figure.subplots()
        x, y = rng.normal(size=(2, 25))
        axis.errorbar(x, y, 0.5, linestyle="", marker="o", markersize=4)
        figure.draw_without_rendering()
        points = [Named(*point, "model" + "_x" * rng.integers(8)) for point in zip(x, y, strict=True)]
        left_out = write_names(axis, points)
    names = named_points(axis, figure)
    assert len(names) == len(points) - left_out > 5
    assert overlapping(names) == []
    assert not [name for name, box in names for _, point in points_of(axis) if overlap(box, point, 0.5)]
    panel = axis.bbox.extents
    assert all((box[:2] >= panel[:2] - 1).all() and (box[2:] <= panel[2:] + 1).all() for _, box in names)


def bars_of(figure):
    return [axis for axis in figure.axes if getattr(axis, "_colorbar", None) is not None]


@pytest.mark.parametrize(
    "kind", ["maps with outliers", "overlay", "comparison", "sheet", "registration", "orientations"]
)
def test_every_map_has_a_colour_bar_and_a_line_says_which_share_of_values_lies_beyond(kind):
    figure = HARD[kind](width=7.0)
    maps = [image for axis in figure.axes for image in axis.get_images() if image.get_array().ndim == 2]
    bars = [axis._colorbar for axis in bars_of(figure)]
    for drawn in maps:
        assert any(bar.norm.vmin == drawn.norm.vmin and bar.norm.vmax == drawn.norm.vmax for bar in bars)
    beyond = sum(
        int(((each.get_array() < each.norm.vmin) | (each.get_array() > each.norm.vmax)).sum()) for each in maps
    )
    share = 100 * beyond / sum(each.get_array().size for each in maps)
    assert f"{share:.1f} % of the values lie beyond the colour bars" in figure.get_suptitle().replace("\n", " ")
    assert "spikes/s" in " ".join(text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text")))


def test_a_colour_bar_has_pointed_ends_only_where_values_lie_beyond():
    array = scored().arrays[0]
    flat = np.where(np.arange(17) < 8, 20.0, 60.0)[None, None, :, None] * np.ones_like(array.neural)
    even = replace(array, neural=flat, predicted=flat)
    figure = comparison_figure(even)
    assert {axis._colorbar.extend for axis in bars_of(figure)} == {"neither"}
    assert "beyond" not in figure.get_suptitle()
    assert {axis._colorbar.extend for axis in bars_of(comparison_figure(array))} >= {"both"}


@pytest.mark.parametrize("reader", ["everybody", "deuteranopia", "protanopia"])
def test_colours_of_groups_differ_for_every_reader(reader):
    assert nearest_colours(CYCLE, reader) > 15
    assert nearest_colours(["#d62728", "#2ca02c", "#8c564b"], "deuteranopia") < 15  # matplotlib's own would not
    assert len(set(CYCLE)) == len(set(MARKS)) == 8


@pytest.mark.parametrize("width", ["7", None, 0, -3.5, 3.2, 41, np.nan, True, [3.5]])
def test_a_width_that_is_none_is_a_sentence(width):
    with pytest.raises(UsageError, match="inches wide"):
        overlay_figure(scored(), width=width)
    with pytest.raises(UsageError, match="inches wide"):
        layer_profile_figure(scored(), width=width)


def test_images_that_do_not_fit_are_a_sentence():
    with pytest.raises(UsageError, match="14 images in eight orientations do not fit into a width of 3"):
        orientation_figure(load_recording("it_maps_simulated"), width=3.5)


def test_a_comparison_draws_its_figures_at_any_width(tmp_path):
    comparison = compare(planted(NAMES[:3]), tmp_path, maps=False, draws=20)
    written = {file.stem for file in (tmp_path / "figures").glob("*.svg")}
    figures = comparison.figures(width=3.5)
    assert set(figures) == written > {"accuracy--it_maps_simulated", "gains--it_maps_simulated"}
    assert {figure.get_figwidth() for figure in figures.values()} == {3.5}
    assert {figure.get_figwidth() for figure in comparison.figures().values()} == {7.0}
    with pytest.raises(UsageError, match="inches wide"):
        comparison.figures(width=1)
    assert [faults for figure in figures.values() if (faults := faults_of(figure))] == []
