"""Figures that compare networks; each function returns a figure and saves nothing."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.tradeoff import FEWEST, envelope
from brainscore_itmaps.models.groups import GROUPS, group_of
from brainscore_itmaps.models.names import timm_architectures
from brainscore_itmaps.models.sets import baseline_of
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.reporting.drawing import CEILING, COLUMN, CYCLE, any_simulated, error_bars, names_of, style

MARKS = ("o", "s", "^", "D", "v", "P", "X")
OTHER = "other"
ORDER = ("CNN", "harmonized", *(group for group in GROUPS if group not in ("CNN", "harmonized")), OTHER)


def models_figure(results: Sequence[Result]) -> Figure:
    """Scores of several networks on one benchmark, with their intervals, the best one on top.

    A score is a share of the noise ceiling, which lies at 1. Dots are the score of each array, where there are several.

    Parameters
    ----------
    results : sequence of Result

    Raises
    ------
    UsageError
        When there are none, or they are of several benchmarks or measures.
    """
    refuse_mixed(results)
    ranked = sorted(results, key=lambda result: result.score)
    with style():
        figure = Figure(figsize=(2 * COLUMN, 0.28 * len(ranked) + 1.1), layout="constrained")
        axis = figure.subplots()
        for place, result in enumerate(ranked):
            low, high = result.interval
            colour = CYCLE[1] if group_of_result(result) == "harmonized" else CYCLE[0]
            axis.plot([low, high], [place, place], color=colour, linewidth=1.5)
            axis.plot(result.score, place, "o", color=colour, markersize=5)
            if len(result.arrays) > 1:
                axis.plot([array.score for array in result.arrays], [place] * len(result.arrays), "|", color="0.4")
        axis.axvline(1, color=CEILING, linewidth=1, linestyle="--")
        axis.annotate("noise ceiling", (1, len(ranked) - 0.5), color="0.4", ha="right", va="bottom", fontsize=7)
        axis.set_yticks(range(len(ranked)), names_of(ranked))
        axis.set(xlabel=f"score on {ranked[0].benchmark}, 95 % interval over images", ylim=(-0.6, len(ranked) - 0.2))
        drawn = [value for told in ranked for value in (*told.interval, *(array.score for array in told.arrays))]
        axis.set_xlim(min(0.0, np.nanmin(drawn) - 0.03), max(1.03, np.nanmax(drawn) + 0.03))
        if note := any_simulated(results):
            axis.set_title(note)
    return figure


def tradeoff_figure(results: Sequence[Result]) -> Figure:
    """Score against ImageNet accuracy, with the upper edge of the networks that are not harmonized.

    An arrow leads from each baseline twin to its harmonized network. The edge is drawn where there are enough networks:
    below it lie 90 % of them (:func:`~brainscore_itmaps.metrics.tradeoff.envelope`). Results whose accuracy is not
    known are left out, and counted in the title.

    Parameters
    ----------
    results : sequence of Result

    Raises
    ------
    UsageError
        As :func:`models_figure`, and when no result has an accuracy.
    """
    refuse_mixed(results)
    known = [result for result in results if result.imagenet_top1 is not None]
    if not known:
        raise UsageError(
            "None of these results has an ImageNet accuracy.", "Random weights and files of one's own have none."
        )
    with style():
        figure = Figure(figsize=(COLUMN * 1.4, COLUMN), layout="constrained")
        axis = figure.subplots()
        present = [group for group in ORDER if any(group_of_result(result) == group for result in known)]
        for group in present:
            number = ORDER.index(group)
            own = [result for result in known if group_of_result(result) == group]
            accuracy = np.array([result.imagenet_top1 for result in own], float)
            scores, bars = np.array([result.score for result in own]), error_bars(own)
            colour, mark = CYCLE[number % len(CYCLE)], MARKS[number % len(MARKS)]
            axis.errorbar(
                accuracy,
                scores,
                bars,
                color=colour,
                marker=mark,
                markersize=4,
                linestyle="",
                elinewidth=0.5,
                label=group,
            )
        _draw_edge(axis, [result for result in known if group_of_result(result) != "harmonized"])
        by_name = {result.model: result for result in known}
        for name, result in by_name.items():
            if (twin := by_name.get(baseline_of(name) or "")) is not None:
                axis.annotate("", (result.imagenet_top1, result.score), (twin.imagenet_top1, twin.score),
                              arrowprops={"arrowstyle": "->", "color": "0.3", "linewidth": 0.8})  # fmt: skip
        left_out = len(results) - len(known)
        notes = [any_simulated(results), f"{left_out} without accuracy left out" if left_out else ""]
        axis.set(xlabel="ImageNet top-1, %", ylabel=f"score on {known[0].benchmark}")
        axis.set_title("\n".join(filter(None, notes)))
        axis.legend()
    return figure


def _draw_edge(axis: Axes, results: Sequence[Result]) -> None:
    accuracy = np.array([result.imagenet_top1 for result in results], float)
    if len(np.unique(accuracy)) < FEWEST:
        return
    fitted = envelope(accuracy, np.array([result.score for result in results]), np.random.default_rng(0), resamples=2)
    points = np.linspace(accuracy.min(), accuracy.max(), 100)
    line = sum(coefficient * points**power for power, coefficient in enumerate(fitted.coefficients))
    axis.plot(points, line, "--", color="0.3", linewidth=1, label="90 % lie below")


def group_of_result(result: Result) -> str:
    """Group of a scored network, by its name."""
    return group_of_network(result.model)


def group_of_network(model: str) -> str:
    """Group of a network, by its name; "other" for one that neither we nor timm know."""
    if model in ZOO:
        return ZOO[model].group
    name = model.removeprefix("timm:")
    known = model.startswith("timm:") and name.split(".")[0] in timm_architectures()
    return group_of(name) if known else OTHER


def refuse_mixed(results: Sequence[Result]) -> None:
    """Refuse to compare what was not measured alike.

    Raises
    ------
    UsageError
        When there are none, or they are of several benchmarks, measures, choices, windows or recordings.
    """
    if not results:
        raise UsageError("There is nothing to compare.", "Name results.")
    kinds = {
        (
            result.benchmark,
            result.benchmark_version,
            result.measure,
            protocol_named(result.protocol).suffix,
            result.label,
            tuple((array.recording, array.window, array.simulated) for array in result.arrays),
        )
        for result in results
    }
    if len(kinds) > 1:
        named = ", ".join(sorted({f"{kind[0]}{kind[3]}{f' ({kind[4]})' if kind[4] else ''}" for kind in kinds}))
        raise UsageError(
            f"These results were not measured alike (benchmark, version, window, recordings): {named}.",
            "Compare those of one benchmark, on the same recordings.",
        )
