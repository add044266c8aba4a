"""The figure of a profile: the score against the blur of the features, or against the number of PLS components."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.formulas import absent_scores
from brainscore_itmaps.benchmark.profile import Profile
from brainscore_itmaps.errors import check_type
from brainscore_itmaps.reporting.drawing import (
    CEILING,
    CYCLE,
    MARKS,
    SIMULATED,
    WIDTH,
    Figure,
    check_width,
    fit_height,
    legend_below,
    legend_text,
    style,
    wrapped,
    write_title,
)

LABELS = {
    "blur": "blur of the features (standard deviation, degrees)",
    "components": "number of PLS components",
}
APART = 0.08
"""Smallest distance of two values that are both written at the horizontal axis, as a share of its length."""


def feature_profile_figure(profile: Profile, *, width: float = WIDTH) -> Figure:
    """Draw the score of each array against the blur of the features, or the number of components.

    Bands are 95 % intervals. A line at 1 is the noise ceiling, by which raw values are divided. Where no array has a
    score, raw values are drawn instead, with the noise ceilings as dashed lines.

    Parameters
    ----------
    profile : Profile
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Raises
    ------
    UsageError
        When the value is not a profile.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.profiled import collected
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading, Result
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights(), layer="layer3")
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=Estimate(0.25, 0.5, 0.5))
    >>> feature_profile_figure(collected("blur", {0.0: result, 2.0: result})).get_suptitle()
    'resnet\\nlayer3 on mine'
    """
    check_type(profile, Profile, "a profile", "Give what brainscore_itmaps.profile returns.")
    named = [(array, each) for array, estimates in profile.estimates.items() for each in estimates]
    absent = all(each.score != each.score for _, each in named)
    width, height = check_width(width), 2.5
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        axis = figure.subplots()
        for number, (array, estimates) in enumerate(profile.estimates.items()):
            look = {"color": CYCLE[number % len(CYCLE)], "marker": MARKS[number % len(MARKS)], "markersize": 4}
            _draw(axis, profile.values, estimates, legend_text(array), look, absent)
        if not absent:
            axis.axhline(1, color=CEILING, linestyle="--", label="noise ceiling")
        axis.axhline(0, color="black", linewidth=0.5)
        if profile.over == "components":
            axis.set_xscale("log")
        ticks = _apart(profile.values, np.log if profile.over == "components" else np.asarray)
        axis.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axis.set_xticks([], minor=True)
        axis.set(xlabel=wrapped(LABELS[profile.over], width - 0.5), ylabel="raw value" if absent else "score")
        legend_below(figure, [axis])
        titles = [profile.model, f"{profile.reading.layer} on {profile.title}"]
        titles += [SIMULATED] if profile.simulated else []
        write_title(figure, [*titles, *absent_scores(named)])
        fit_height(figure, height)
    return figure


def _apart(values: Sequence[float], scale: Callable[[float], Any]) -> list[float]:
    """Return the values whose numbers do not overlap at the axis, from the first."""
    distance = APART * (scale(values[-1]) - scale(values[0]))
    apart = [values[0]]
    for value in values[1:]:
        if scale(value) - scale(apart[-1]) >= distance:
            apart.append(value)
    return apart


def _draw(
    axis: Axes, values: Sequence[float], estimates: Sequence[Estimate], name: str, look: Mapping[str, Any], absent: bool
) -> None:
    """Draw the scores of an array with their intervals; or its raw values and noise ceilings."""

    def numbers(field: str) -> NDArray[np.float64]:
        return np.array([getattr(estimate, field) for estimate in estimates])

    axis.plot(values, numbers("raw" if absent else "score"), label=name, **look)
    if absent:
        ceilings = numbers("ceiling")
        axis.plot(values, ceilings, "--", label=f"noise ceiling, {name.strip()}", markerfacecolor="white", **look)
    else:
        low, high = numbers("interval").T
        axis.fill_between(values, low, high, color=look["color"], alpha=0.2, linewidth=0)
        if len(values) == 1:  # a band without width
            axis.vlines(values, low, high, color=look["color"])
