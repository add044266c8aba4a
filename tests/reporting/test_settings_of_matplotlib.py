"""No figure follows the user's matplotlib settings, and every name is drawn as it is."""

import io
import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from shown import changed, images, scored
from studies import NAMES, in_windows, planted

from brainscore_itmaps import compare, load_recording
from brainscore_itmaps.reporting.controls import controls_figure
from brainscore_itmaps.reporting.maps import (
    comparison_figure,
    maps_figure,
    orientation_figure,
    overlay_figure,
    sheet_figure,
)
from brainscore_itmaps.reporting.profiles import layer_profile_figure, site_histogram_figure, window_profile_figure
from brainscore_itmaps.reporting.report import report
from brainscore_itmaps.reporting.study_figures import accuracy_figure, gains_figure, relation_figure, temporal_figure
from brainscore_itmaps.study.compare import add_raw_values
from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.table import tidy_table

HOSTILE = {
    "image.origin": "lower",
    "image.interpolation": "bilinear",
    "image.aspect": "auto",
    "image.cmap": "jet",
    "image.resample": False,
    "axes.prop_cycle": cycler(color=["#ff00ff"]) * cycler(linestyle=["--", ":"]),
    "axes.facecolor": "black",
    "axes.grid": True,
    "axes.axisbelow": False,
    "axes.xmargin": 0.4,
    "axes.autolimit_mode": "round_numbers",
    "axes.titlelocation": "left",
    "axes.unicode_minus": False,
    "axes.formatter.limits": (0, 0),
    "axes.formatter.use_mathtext": True,
    "text.usetex": True,
    "text.color": "red",
    "text.hinting": "none",
    "text.antialiased": False,
    "font.family": "monospace",
    "font.sans-serif": ["DejaVu Serif"],
    "font.size": 30,
    "mathtext.fontset": "cm",
    "figure.dpi": 37,
    "figure.facecolor": "green",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 1.0,
    "figure.subplot.left": 0.4,
    "lines.linestyle": "none",
    "lines.linewidth": 9,
    "lines.marker": "x",
    "lines.markersize": 20,
    "lines.scale_dashes": False,
    "patch.force_edgecolor": True,
    "errorbar.capsize": 9,
    "hist.bins": 3,
    "legend.loc": "center",
    "legend.fontsize": 30,
    "path.sketch": (20, 100, 2),
    "xtick.direction": "in",
    "xtick.labelsize": 30,
    "xtick.minor.visible": True,
    "xtick.top": True,
    "xtick.bottom": False,
    "xtick.labeltop": True,
    "ytick.color": "red",
    "ytick.labelleft": False,
    "ytick.alignment": "top",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 2.0,
    "savefig.facecolor": "yellow",
    "savefig.transparent": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "other",
    "pdf.fonttype": 3,
}
TWIN = {"harmonized_vgg16": "vgg16_timm_baseline"}
ODD = "_lab_%s$x_1$ #1 & {a} \\b ~^"
"""A name whose characters LaTeX and mathtext read as commands."""


def of_study(draw):
    table = tidy_table([*planted(NAMES[:2]), *in_windows(NAMES[:2])])
    return draw(table, table.rows[table.rows["asked"] == ""])


def gains(table, rows):
    pairs = add_raw_values(findings(table, draws=10).pairs, table.rows)
    return gains_figure(pairs[pairs["asked"] == ""])


def in_window(window, value):
    return changed(scored(), arrays=(changed(scored().arrays[0], window=window, score=value),))


ALL = {
    "controls": lambda: controls_figure(scored()),
    "maps": lambda: maps_figure(scored(), images()),
    "overlay": lambda: overlay_figure(scored().arrays[0], images()[0], 0),
    "comparison": lambda: comparison_figure(scored().arrays[0], images()[0], 0),
    "sheet": lambda: sheet_figure(scored(), scored().arrays[0], images()),
    "layers": lambda: layer_profile_figure(scored()),
    "sites": lambda: site_histogram_figure(scored()),
    "windows": lambda: window_profile_figure([in_window((50, 90), 0.1), in_window((130, 170), 0.5)]),
    "orientations": lambda: orientation_figure(load_recording("it_maps_simulated"), [0, 3]),
    "accuracy": lambda: of_study(
        lambda _, rows: accuracy_figure(rows, {}, {"harmonized_vgg16": "vgg16_timm_baseline"})
    ),
    "relation": lambda: of_study(lambda _, rows: relation_figure(rows, "alignment", "alignment of maps")),
    "temporal": lambda: of_study(lambda table, _: temporal_figure(table.rows[table.rows["asked"] != ""])),
    "gains": lambda: of_study(gains),
}


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def pixels(figure):
    figure.set_dpi(60)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def saved(figure, ending, **options):
    file = io.BytesIO()
    figure.savefig(file, format=ending, **options)
    return file.getvalue()


@pytest.fixture(scope="module", autouse=True)
def prepared():
    scored(), images()


@pytest.mark.parametrize("kind", ALL)
def test_no_setting_of_the_user_changes_a_figure(kind):
    expected = pixels(ALL[kind]())
    with mpl.rc_context(HOSTILE):
        np.testing.assert_array_equal(pixels(ALL[kind]()), expected)
    figure = ALL[kind]()
    with mpl.rc_context(HOSTILE):  # set after the figure was made, as in a later cell of a notebook
        np.testing.assert_array_equal(pixels(figure), expected)


@pytest.mark.parametrize("kind", sorted(set(ALL) - {"sheet", "orientations"}))
def test_no_setting_of_the_user_changes_a_saved_figure(kind):
    expected = [saved(ALL[kind](), "svg", metadata={"Date": None}), saved(ALL[kind](), "png", dpi=40)]
    with mpl.rc_context(HOSTILE):
        assert [saved(ALL[kind](), "svg", metadata={"Date": None}), saved(ALL[kind](), "png", dpi=40)] == expected


@pytest.mark.parametrize("name", mpl.style.available)
def test_no_style_sheet_changes_a_figure(name):
    expected = pixels(ALL["overlay"]())
    with mpl.style.context(name):
        np.testing.assert_array_equal(pixels(ALL["overlay"]()), expected)


def test_the_user_chooses_the_resolution_of_a_saved_figure_and_keeps_all_settings():
    with mpl.rc_context(HOSTILE | {"savefig.dpi": 50}):
        before = dict(mpl.rcParams)
        assert saved(ALL["overlay"](), "png") == saved(ALL["overlay"](), "png", dpi=50)
        assert dict(mpl.rcParams) == before


def odd(result):
    """The same result with names that LaTeX and mathtext would read as commands."""
    array = result.arrays[0]
    layers = tuple(replace(layer, layer=f"_{number}{ODD}") for number, layer in enumerate(array.layers))
    named = replace(array, recording=ODD, simulated=False, layers=layers, sites=(ODD, *array.sites[1:]),
                    images=tuple(f"{ODD}{name}" for name in array.images))  # fmt: skip
    return changed(result, model=ODD, arrays=(named,))


def test_names_are_drawn_as_they_are():
    result = odd(scored())
    windows = [replace(each, arrays=tuple(replace(array, recording=ODD) for array in each.arrays))
               for each in (in_window((50, 90), 0.1), in_window((130, 170), 0.5))]  # fmt: skip
    rows = pd.concat([tidy_table([each]).rows for each in in_windows(NAMES[:1], ())]).assign(model=ODD, random=False)
    figures = [comparison_figure(result, None, 0, 0), layer_profile_figure(result), window_profile_figure(windows),
               temporal_figure(rows), controls_figure(result)]  # fmt: skip
    with mpl.rc_context({"text.usetex": True}):
        for figure in figures:
            pixels(figure)
            assert ODD in words(figure)
            drawn = saved(figure, "svg").decode()
            assert re.search(r"&amp; \{a\} \\b ~\^", drawn)
            assert not figure.findobj(lambda artist: getattr(artist, "get_usetex", bool)())
    _, profile, _, timed, _ = figures
    assert all(ODD in label.get_text() for label in profile.axes[0].get_yticklabels())
    assert any(ODD in text.get_text() for text in timed.legends[0].get_texts())


def test_pages_are_written_under_latex_and_other_settings(tmp_path):
    expected = report(odd(scored()), [images()])
    with mpl.rc_context(HOSTILE):
        assert report(odd(scored()), [images()]) == expected
        written = compare([odd(scored()), *planted(NAMES[:2])], tmp_path / "a", maps=False, draws=10)
    again = compare([odd(scored()), *planted(NAMES[:2])], tmp_path / "b", maps=False, draws=10)
    assert written.page.read_text() == again.page.read_text()


def test_only_recordings_whose_unit_is_known_are_drawn_in_spikes_per_second():
    array = scored().arrays[0]
    assert "spikes/s" in words(overlay_figure(array))
    lab = replace(array, recording="lab.array1")
    assert "spikes/s" not in words(overlay_figure(lab))
    assert "response" in words(comparison_figure(lab))
    page = report(changed(scored(), arrays=(lab,)), [images()])
    assert "spikes/s" not in page
    assert "spikes/s" in report(scored(), [images()])
