"""Figures of scores over layers, sites and time; each function returns a figure and saves nothing."""

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.formulas import absent_scores
from brainscore_itmaps.benchmark.result import ArrayResult, LayerResult, Result
from brainscore_itmaps.errors import UsageError, check_type
from brainscore_itmaps.metrics.inference import Interval, bootstrap_over_images
from brainscore_itmaps.reporting.drawing import (
    CEILING,
    COLUMN,
    CYCLE,
    SIMULATED,
    Figure,
    bounded_by_sites,
    check_result,
    kind_of,
    legend_text,
    name_of,
    style,
)


def layer_profile_figure(result: Result) -> Figure:
    """Draw the predictivity of each layer for each array, and the noise ceiling of its sites as a band.

    Points are the mean over images of the median over sites of Pearson r, not divided by the ceiling; bars and band are
    95 % bootstrap intervals over images, without fitting again, so they are too narrow. The layer that was chosen for
    most images has another colour.
    """
    check_result(result)
    with style():
        layer_count = max(len(array.layers) for array in result.arrays)
        width = max(COLUMN, 0.22 * layer_count + 1.2)
        figure = Figure(figsize=(width, 2.3 * len(result.arrays) + 0.9), layout="constrained")
        axes = figure.subplots(len(result.arrays), 1, squeeze=False, sharex=False)[:, 0]
        for axis, array in zip(axes, result.arrays, strict=True):
            positions = np.arange(len(array.layers))
            values = [np.array(layer.image_r) for layer in array.layers]
            means, spans = np.array([r.mean() for r in values]), [_interval(r) for r in values]
            bars = [[mean - span.low, span.high - mean] for mean, span in zip(means, spans, strict=True)]
            axis.errorbar(positions, means, np.maximum(bars, 0).T, marker="o", markersize=4, markerfacecolor="white")
            chosen = max(range(len(array.layers)), key=lambda index: array.layers[index].chosen)
            axis.plot(
                chosen,
                means[chosen],
                "o",
                color=CYCLE[1],
                markersize=5,
                zorder=5,
                label=_label_of(array.layers[chosen], len(array.images)),
            )
            if bounded_by_sites(result):
                _draw_ceiling(axis, array)
            axis.set_xticks(positions, [layer.layer for layer in array.layers], rotation=90)
            axis.set(ylabel="Pearson r", title=f"{kind_of(array)}\n{array.window[0]}-{array.window[1]} ms")
            axis.legend(loc="lower right")
        figure.suptitle(name_of(result), fontsize=8)
    return figure


def _label_of(layer: LayerResult, images: int) -> str:
    """Describe a layer, and for how many images it was chosen if there are other layers."""
    chosen = "" if layer.chosen == images else f", chosen for {layer.chosen} of {images} images"
    return legend_text(f"{layer.layer}{chosen}")


def _draw_ceiling(axis: Axes, array: ArrayResult) -> None:
    """Draw the ceiling of single sites, which bounds the points."""
    defined = array.site_ceiling[np.isfinite(array.site_ceiling).any(axis=1)]
    if not len(defined):
        return
    values = np.nanmedian(defined, axis=1)
    span, mean = _interval(values), float(np.mean(values))
    axis.axhspan(span.low, span.high, color=CEILING, alpha=0.25, linewidth=0)
    axis.axhline(mean, color=CEILING, linewidth=1, label="noise ceiling")


def _interval(values: NDArray[np.float64]) -> Interval:
    return bootstrap_over_images(np.mean, values, rng=np.random.default_rng(0), resamples=2000)


def site_histogram_figure(result: Result) -> Figure:
    """Draw a histogram over sites of Pearson r averaged over images, and one of the sites' noise ceilings."""
    check_result(result)
    with style():
        figure = Figure(figsize=(COLUMN, 1.7 * len(result.arrays) + 0.6), layout="constrained")
        axes = figure.subplots(len(result.arrays), 1, squeeze=False, sharex=True)[:, 0]
        bins = np.linspace(-1, 1, 41)
        for axis, array in zip(axes, result.arrays, strict=True):
            site_r = _mean_over_images(array.site_r)
            if bounded_by_sites(result):
                ceilings = _mean_over_images(array.site_ceiling)
                axis.hist(ceilings, bins, histtype="step", color=CEILING, label="noise ceiling")
            axis.hist(site_r, bins, color=CYCLE[0], alpha=0.8, label="predicted")
            axis.axvline(float(np.median(site_r)), color=CYCLE[1], linewidth=1, label="median")
            low = min(-0.05, float(site_r.min(initial=0)) - 0.05)
            axis.set(ylabel="sites", title=kind_of(array), xlim=(low, 1))
            axis.legend(loc="upper left")
        axes[-1].set_xlabel("Pearson r, mean over images")
        figure.suptitle(name_of(result), fontsize=8)
    return figure


def _mean_over_images(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average each site over the images on which it is defined."""
    means: NDArray[np.float64] = np.nanmean(values[:, np.isfinite(values).any(axis=0)], axis=0)
    return means


def window_profile_figure(results: Sequence[Result]) -> Figure:
    """Draw the score of one model against time, in several windows, with a line for each array.

    The panel below it has the raw values, and the noise ceilings as dashed lines: a score varies with both.

    Parameters
    ----------
    results : sequence of Result
        Results of one model on the same arrays in different windows.

    Raises
    ------
    UsageError
        When the results have several models, or only one window.
    """
    results = [results] if isinstance(results, Result) else results
    check_type(results, Iterable, "a list of results", "Give the results of one model in several windows.")
    results = list(results)
    for result in results:
        check_result(result)
    models = {(result.model, result.weights) for result in results}
    windows = {array.window for result in results for array in result.arrays}
    if len(models) != 1 or len(windows) < 2:
        raise UsageError(
            f"A profile over time needs one model in several windows; these results have {len(models)} models and "
            f"{len(windows)} windows.",
            "Score one model with --window 50-90, --window 90-130 and so on.",
        )
    with style():
        figure = Figure(figsize=(COLUMN, 4.4), layout="constrained")
        score_axis, raw_axis = figure.subplots(2, 1, sharex=True)
        names = dict.fromkeys(array.recording for result in results for array in result.arrays)
        for number, name in enumerate(names):
            arrays = [array for result in results for array in result.arrays if array.recording == name]
            arrays.sort(key=lambda array: sum(array.window))
            middles = [sum(array.window) / 2 for array in arrays]
            halves = [(array.window[1] - array.window[0]) / 2 for array in arrays]
            colour = CYCLE[number % len(CYCLE)]
            shared: dict[str, Any] = {"marker": "o", "markersize": 4, "color": colour}
            scores, raws = [array.score for array in arrays], [array.raw for array in arrays]
            score_axis.errorbar(middles, scores, _error_bars(arrays), halves, **shared)
            raw_axis.errorbar(middles, raws, None, halves, label=f"raw, {name}", **shared)
            ceilings = [array.ceiling for array in arrays]
            raw_axis.plot(middles, ceilings, "x--", color=colour, label=f"noise ceiling, {name}")
        for axis in (score_axis, raw_axis):
            axis.axhline(0, color="black", linewidth=0.5)
        score_axis.set(ylabel="score", title=f"{name_of(results[0])}\non {results[0].title}")
        raw_axis.set(xlabel="ms after stimulus onset", ylabel="raw value")
        figure.legend(loc="outside lower center", ncols=1)
        notes = [SIMULATED] if any(result.simulated for result in results) else []
        windows_of = [(f"{array.window[0]}-{array.window[1]} ms", array.estimate)
                      for result in results for array in result.arrays]  # fmt: skip
        if notes := [*notes, *absent_scores(windows_of)]:
            figure.suptitle("\n".join(fill(note, int(13 * COLUMN)) for note in notes), fontsize=8)
    return figure


def _error_bars(arrays: Sequence[ArrayResult]) -> NDArray[np.float64]:
    """Return the lengths of the intervals below and above the scores, shape (2, array)."""
    scores, ends = np.array([array.score for array in arrays]), np.array([array.interval for array in arrays]).T
    bars: NDArray[np.float64] = np.nan_to_num(np.maximum([scores - ends[0], ends[1] - scores], 0))
    return bars
