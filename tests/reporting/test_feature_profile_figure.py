"""The figure of a profile: its lines, bands and words, compared with the numbers of the profile."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from shown import scored, two_arrays, without_score

from brainscore_itmaps.benchmark.profiled import collected
from brainscore_itmaps.reporting.feature_profiles import feature_profile_figure


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def lines_of(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def shifted(result, by):
    """The same result with scores and intervals that are shifted."""

    def moved(estimate):
        low, high = estimate.interval
        return replace(estimate, score=estimate.score + by, interval=(low + by, high + by))

    arrays = tuple(replace(array, estimate=moved(array.estimate)) for array in result.arrays)
    return replace(result, estimate=moved(result.estimate), arrays=arrays)


@pytest.fixture
def profile():
    return collected("blur", {0.0: scored(), 0.5: shifted(scored(), 0.1), 2.0: shifted(scored(), -0.05)})


def test_the_line_is_the_score_the_band_its_interval_and_the_ceiling_is_1(profile):
    axis = feature_profile_figure(profile).axes[0]
    ((name, estimates),) = profile.estimates.items()
    line = lines_of(axis)[name]
    np.testing.assert_array_equal(line.get_xdata(), [0, 0.5, 2])
    np.testing.assert_array_equal(line.get_ydata(), [estimate.score for estimate in estimates])
    corners = axis.collections[0].get_paths()[0].vertices
    for value, estimate in zip(profile.values, estimates, strict=True):
        drawn = corners[corners[:, 0] == value, 1]
        assert (drawn.min(), drawn.max()) == pytest.approx(estimate.interval)
    assert set(lines_of(axis)["noise ceiling"].get_ydata()) == {1}
    assert axis.get_xlabel() == "blur of the features (standard deviation, degrees)"


def test_the_interval_of_a_single_value_is_a_bar():
    axis = feature_profile_figure(collected("components", {25: scored()})).axes[0]
    (bar,) = axis.collections[1].get_segments()
    assert bar[:, 1].tolist() == pytest.approx(scored().interval)


def test_it_says_what_was_scored_and_that_the_recording_is_simulated(profile):
    said = words(feature_profile_figure(profile))
    for expected in ("timm:test_resnet (random (seed 1))", "it_maps_simulated", "SIMULATED recording, no animal"):
        assert expected in said
    assert "SIMULATED" not in words(feature_profile_figure(replace(profile, simulated=False)))


def test_several_arrays_have_a_line_each_and_one_for_their_mean():
    profile = collected("components", {1: two_arrays(), 25: two_arrays()})
    axis = feature_profile_figure(profile).axes[0]
    assert set(profile.estimates) | {"noise ceiling"} <= set(lines_of(axis))
    assert len({line.get_color() for line in axis.get_lines()[:3]}) == 3
    assert (axis.get_xscale(), axis.get_xlabel()) == ("log", "number of PLS components")


def test_without_scores_raw_values_are_drawn_with_their_ceilings_and_the_reason():
    result = without_score(scored())
    figure = feature_profile_figure(collected("blur", {0.0: result, 1.0: result}))
    axis = figure.axes[0]
    name = result.arrays[0].recording
    np.testing.assert_array_equal(lines_of(axis)[name].get_ydata(), [result.raw] * 2)
    np.testing.assert_array_equal(lines_of(axis)[f"noise ceiling, {name}"].get_ydata(), [result.ceiling] * 2)
    assert axis.get_ylabel() == "raw value"
    assert "the noise ceiling is not reliable" in words(figure).replace("\n", " ")


@pytest.mark.parametrize("over", ["blur", "components"])
@pytest.mark.parametrize("values", [[1, 2, 3, 5, 10, 15, 25, 35, 50], [40, 41, 42, 43, 60], [7], list(range(1, 60))])
def test_numbers_at_the_axis_do_not_overlap(over, values):
    figure = feature_profile_figure(collected(over, dict.fromkeys(values, scored())))
    figure.canvas.draw()
    labels = [label for label in figure.axes[0].get_xticklabels(which="both") if label.get_text()]
    assert labels[0].get_text() == str(values[0])
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
