"""Controls, what the model adds and the null in the report, the figure, the notebook and Brain-Score's score."""

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from shown import changed, images, scored, two_arrays, without_score

from brainscore_itmaps.benchmark.controls import CONTROLS
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.formulas import ADDED, DESCRIPTIONS
from brainscore_itmaps.bridge.benchmark import to_score
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.inference import jackknife_interval
from brainscore_itmaps.reporting.controls import controls_figure
from brainscore_itmaps.reporting.report import report


class Rows(HTMLParser):
    """The rows of all tables of a page, as texts."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, text):
        if self.inside:
            self.rows[-1][-1] += text


def page(result):
    return report(result, [images() for _ in result.arrays])


def rows_of(text):
    """Return the rows of a page by the first words of their first cell."""
    return {row[0].partition(":")[0]: row for row in Rows(text).rows}


def shifted(estimate, by):
    """An estimate whose numbers are all larger by the same amount."""
    low, high = estimate.interval
    return replace(estimate, raw=estimate.raw + by, score=estimate.score + by, interval=(low + by, high + by))


def with_seeds():
    """The result with controls of two seeds of random weights, and their mean, as if they had been scored."""
    of_seeds = {f"random_weights_{seed}": shifted(scored().estimate, 0.02 * seed) for seed in (0, 2)}
    controls = {**scored().controls, "random_weights": shifted(scored().estimate, 0.02), **of_seeds}
    return changed(scored(), controls=controls, arrays=(replace(scored().arrays[0], controls=controls),))


def without_controls(result):
    arrays = tuple(replace(array, controls={}, added={}, null=None) for array in result.arrays)
    return replace(result, arrays=arrays, controls={}, added={}, null=None)


def text_of(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_the_page_has_a_row_for_each_control_with_the_difference_of_the_model_and_its_p():
    rows, model = rows_of(page(scored())), scored().estimate
    assert set(CONTROLS) <= set(rows)
    for name, control in scored().controls.items():
        label, *cells = rows[name]
        assert label == f"{name}: {DESCRIPTIONS[name]}"
        without = model.replicates - control.replicates
        difference = jackknife_interval(model.score - control.score, without, model.groups,
                                        model.changes - control.changes)  # fmt: skip
        low, high = control.interval
        assert cells[:3] == [f"{control.raw:.3f}", f"{control.score:.3f}", f"{low:.3f} to {high:.3f}"]
        assert cells[3] == f"{model.score - control.score:+.3f}"
        assert (float(cells[4]) < 0.05) == (difference.low > 0 or difference.high < 0)
    for name, added in scored().added.items():
        assert rows[name][:3] == [f"{name}: {ADDED[name]}", f"{added.raw:.3f}", f"{added.score:.3f}"]


def test_the_page_says_what_the_null_is_and_that_shifts_are_no_tests():
    null = scored().null
    rows = re.findall(r"<tr><td>([^<:]*maps[^<:]*)</td>" + 3 * "<td>([^<]*)</td>" + "</tr>", unescape(page(scored())))
    assert rows == [
        ("predicted maps paired with other images' maps", f"{null.mean:.3f}", f"{null.low:.3f} to {null.high:.3f}",
         f"{null.p_value:.2g}"),
        ("shifted maps (a description, not a test)", "", "{:.3f} to {:.3f}".format(*null.shifts), ""),
        ("rotated and mirrored maps (a description, not a test)", "", "{:.3f} to {:.3f}".format(*null.rotations), ""),
    ]  # fmt: skip
    assert "null distribution" not in page(replace(scored(), null=None))


def test_each_of_several_arrays_has_its_own_controls_beside_those_of_the_mean():
    result = two_arrays()
    first, second = result.arrays
    second = replace(second, controls={name: shifted(each, 0.125) for name, each in first.controls.items()})
    text = page(replace(result, arrays=(first, second)))
    assert "<h2>Controls, mean over 2 arrays</h2>" in text
    assert "<h3>Controls of narrow</h3>" in text
    shown = [row[1] for row in Rows(text).rows if row[0].startswith("contrast:")]
    raw = first.controls["contrast"].raw
    assert shown == [f"{value:.3f}" for value in (result.controls["contrast"].raw, raw, raw + 0.125)]
    assert "<h3>" not in page(scored())


def test_a_result_without_controls_shows_nothing_of_them():
    result = without_controls(scored())
    for text in (page(result), result._repr_html_()):
        shown = re.sub(r"<(script|style)[^>]*>.*?</\1>|data:[^\"]*|aria-controls", "", text, flags=re.DOTALL)
        assert "ontrol" not in shown
    with pytest.raises(UsageError, match="has no controls to draw"):
        controls_figure(result)


def test_controls_of_attribution_are_said_to_be_predicted_maps():
    result = changed(scored(), measure="attribution", added={}, null=None)
    text = unescape(page(result))
    assert "Controls except centre and random_weights are predicted maps, not attributions" in text
    assert "what the model adds" not in text
    assert "Controls except centre and random_weights are predicted maps, not attributions" not in unescape(
        page(scored())
    )


def test_a_page_of_controls_without_scores_has_raw_values_and_dashes():
    absent = without_score(scored())
    lacking = {name: Estimate(each.raw) for name, each in absent.controls.items()}
    rows = rows_of(page(replace(absent, controls=lacking)))
    assert "jackknife" not in page(replace(absent, controls=lacking))
    for name, control in lacking.items():
        assert rows[name][1:] == [f"{control.raw:.3f}", "-", "-", "-", "-"]


def drawn(axis):
    """Return the name and value of each black or blue point of a panel, with the ends of its interval."""
    labels = [label.get_text() for label in axis.get_yticklabels()]
    points = {}
    for bars in axis.containers:
        (value,), (row,) = bars.lines[0].get_data()
        ends = bars.lines[2][0].get_segments()[0][:, 0].tolist() if bars.lines[2] else None
        points[labels[int(row)]] = (value, ends)
    return points


def test_the_figure_has_a_point_and_an_interval_for_each_control_and_for_what_the_model_adds():
    result = scored()
    upper, lower = controls_figure(result).axes
    expected = [{"model": result.estimate, **result.controls}, result.added]
    for axis, estimates in zip((upper, lower), expected, strict=True):
        points = drawn(axis)
        best = max(result.controls, key=lambda name: result.controls[name].raw) if axis is upper else None
        estimates = {f"{name} (best)" if name == best else name: each for name, each in estimates.items()}
        assert list(points) == list(estimates)
        for name, estimate in estimates.items():
            assert points[name] == (estimate.score, pytest.approx(estimate.interval))
    assert upper.get_ylim()[0] > upper.get_ylim()[1]  # the model on top
    assert upper.get_lines()[-1].get_xdata() == [result.score, result.score]
    assert "SIMULATED recording, no animal was recorded" in text_of(controls_figure(result))
    real = without_simulation(result)
    assert "SIMULATED" not in text_of(controls_figure(real))


def without_simulation(result):
    return replace(result, benchmark="mine", arrays=tuple(replace(each, simulated=False) for each in result.arrays))


def test_seeds_of_random_weights_are_rings_around_their_mean():
    result = with_seeds()
    figure = controls_figure(result)
    axis = figure.axes[0]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    best = max([*CONTROLS, "random_weights"], key=lambda name: result.controls[name].raw)
    named = [f"{name} (best)" if name == best else name for name in (*CONTROLS, "random_weights")]
    assert labels == ["model", *named]
    rings = [line for line in axis.get_lines() if line.get_fillstyle() == "none"]
    assert [ring.get_xdata()[0] for ring in rings] == [
        result.controls[f"random_weights_{seed}"].score for seed in (0, 2)
    ]
    assert {ring.get_ydata()[0] for ring in rings} == {labels.index("random_weights")}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one seed of random weights"]
    assert rows_of(page(result))["random_weights_2"][0].endswith("with random weights, seed 2")


def test_several_arrays_are_ticks_below_their_mean():
    result = two_arrays()
    figure = controls_figure(result)
    ticks = [line for line in figure.axes[0].get_lines() if line.get_marker() == "|" and line.get_label()[0] != "_"]
    assert [line.get_label() for line in ticks] == ["it_maps_simulated", "narrow"]
    for line, array in zip(ticks, result.arrays, strict=True):
        expected = [array.score, *(array.controls[name].score for name in result.controls)]
        np.testing.assert_array_equal(line.get_xdata(), expected)
        assert (line.get_ydata() > np.arange(len(expected))).all()


def test_without_a_score_the_figure_has_raw_values_and_the_reason():
    absent = without_score(scored())
    figure = controls_figure(absent)
    assert drawn(figure.axes[0])["contrast"] == (absent.controls["contrast"].raw, None)
    assert figure.axes[-1].get_xlabel() == "raw value"
    assert "No score of it_maps_simulated: the noise ceiling is not" in text_of(figure).replace("\n", " ")
    missing = {**scored().added, "without_typical_map": Estimate(0.25)}
    assert "not given" in text_of(controls_figure(replace(scored(), added=missing)))
    assert "not given" not in text_of(controls_figure(scored()))


def test_a_notebook_shows_controls_and_the_p_value():
    rows, result = rows_of(scored()._repr_html_()), scored()
    for name, control in result.controls.items():
        low, high = control.interval
        assert rows[name] == [name, f"{control.score:.3f}", f"{low:.3f} to {high:.3f}", f"{control.raw:.3f}"]
    assert f"best control: {result.best_control}<br>" in result._repr_html_()
    assert f"p = {result.p_value:.2g} against maps of other images" in result._repr_html_()
    assert "control, mean over 2 arrays" in two_arrays()._repr_html_()


def test_a_score_of_brain_score_has_controls_as_plain_values():
    result, attrs = scored(), to_score(scored()).attrs
    parts = {name: json.loads(json.dumps(attrs[name])) for name in ("controls", "added", "best_control", "p_value")}
    for kind in ("controls", "added"):
        for name, estimate in getattr(result, kind).items():
            low, high = estimate.interval
            assert parts[kind][name] == {"raw": estimate.raw, "score": estimate.score, "low": low, "high": high}
        assert set(parts[kind]) == set(getattr(result, kind))
    assert (parts["best_control"], parts["p_value"]) == (result.best_control, result.null.p_value)
    attrs = to_score(without_controls(result)).attrs
    assert (attrs["controls"], attrs["added"], attrs["best_control"]) == ({}, {}, "")
    assert np.isnan(attrs["p_value"])
