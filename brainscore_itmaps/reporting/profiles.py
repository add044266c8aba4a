"""Figures of scores over layers, sites and time; each function returns a figure and saves nothing."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.formulas import absent_scores
from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.errors import UsageError, check_type
from brainscore_itmaps.metrics.inference import Interval, bootstrap_over_images
from brainscore_itmaps.reporting.drawing import (
    CEILING,
    CYCLE,
    LETTERS,
    MARKS,
    SIMULATED,
    WIDTH,
    Figure,
    bounded_by_sites,
    check_result,
    check_width,
    fit_height,
    kind_of,
    legend_below,
    legend_text,
    name_of,
    style,
    wrapped,
    write_title,
)

ROW = 0.21
"""Height of a row of the profile of layers, in inches."""


def layer_profile_figure(result: Result, *, width: float = WIDTH) -> Figure:
    """Draw the predictivity of each layer for each array, how often it was chosen, and the noise ceiling as a band.

    Points are the mean over images of the median over sites of Pearson r, not divided by the ceiling; bars and band are
    95 % bootstrap intervals over images, without fitting again, so they are too narrow. Layers that were chosen for an
    image have filled points, and the number of these images is written at the right.

    Parameters
    ----------
    result : Result
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recording = load_recording("it_maps_simulated")
    >>> result = score_features(recording.maps[..., :2], recording, controls=False)
    >>> layer_profile_figure(result, width=3.5).axes[0].get_xlabel()
    'Pearson r'
    """
    check_result(result)
    width = check_width(width)
    heights = [max(0.5, ROW * len(array.layers)) for array in result.arrays]
    height = sum(heights) + 0.6 * len(heights) + 0.4
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, array in zip(axes, result.arrays, strict=True):
            _draw_layers(axis, array)
            if bounded_by_sites(result):
                _draw_ceiling(axis, array)
            labels, shared = short_layers([layer.layer for layer in array.layers], int(0.38 * width * LETTERS))
            axis.set_yticks(range(len(labels)), labels)
            axis.set(ylim=(len(labels) - 0.4, -0.6), ylabel=wrapped(shared, 1.5))
            chosen = axis.secondary_yaxis("right")
            chosen.set_yticks(range(len(labels)), [f"{layer.chosen} of {len(array.images)}" for layer in array.layers])
            chosen.tick_params(length=0)
            chosen.spines["right"].set_visible(False)
            axis.set_title(wrapped(f"{kind_of(array)}, {array.window[0]}-{array.window[1]} ms", 0.8 * width))
        axes[-1].set_xlabel("Pearson r")
        legend_below(figure, axes)
        write_title(figure, [name_of(result), "at the right: number of images for which a layer was chosen"])
        fit_height(figure, height)
    return figure


def short_layers(names: Sequence[str], letters: int) -> tuple[list[str], str]:
    """Shorten names of layers that are longer than a number of letters, and return what they share, with a star.

    The parts between dots that all names share at their start and end are left out; of names that are still too long,
    the last letters remain.

    Examples
    --------
    >>> short_layers(["encoder.blocks.1.norm", "encoder.blocks.12.norm"], 12)
    (['1', '12'], 'encoder.blocks.*.norm')
    >>> short_layers(["layer1", "layer2"], 12)
    (['layer1', 'layer2'], '')
    """
    if max(map(len, names)) <= letters:
        return list(names), ""
    parts = [name.split(".") for name in names]
    most = min(map(len, parts)) - 1 if len(names) > 1 else 0
    start = next((n for n in range(most) if len({part[n] for part in parts}) > 1), most)
    end = next((n for n in range(most - start) if len({part[-1 - n] for part in parts}) > 1), most - start)
    short = [".".join(part[start : len(part) - end]) for part in parts]
    shared = ".".join([*parts[0][:start], "*", *parts[0][len(parts[0]) - end :]]) if start + end else ""
    return [name if len(name) <= letters else f"...{name[3 - letters :]}" for name in short], shared


def _draw_layers(axis: Axes, array: ArrayResult) -> None:
    """Draw a row for each layer: its mean over images with an interval, filled if the layer was chosen for an image."""
    rows = np.arange(len(array.layers))
    values = [np.array(layer.image_r) for layer in array.layers]
    means, spans = np.array([r.mean() for r in values]), [_interval(r) for r in values]
    bars = [[mean - span.low, span.high - mean] for mean, span in zip(means, spans, strict=True)]
    axis.errorbar(means, rows, xerr=np.maximum(bars, 0).T, marker="o", markersize=4, markerfacecolor="white",
                  linewidth=0.7, elinewidth=1)  # fmt: skip
    chosen = np.array([layer.chosen > 0 for layer in array.layers])
    axis.plot(means[chosen], rows[chosen], "o", color=CYCLE[1], markersize=5, zorder=5, label="chosen for an image")


def _draw_ceiling(axis: Axes, array: ArrayResult) -> None:
    """Draw the ceiling of single sites, which bounds the points."""
    defined = array.site_ceiling[np.isfinite(array.site_ceiling).any(axis=1)]
    if not len(defined):
        return
    values = np.nanmedian(defined, axis=1)
    span, mean = _interval(values), float(np.mean(values))
    axis.axvspan(span.low, span.high, color=CEILING, alpha=0.25, linewidth=0)
    axis.axvline(mean, color=CEILING, linewidth=1, label="noise ceiling")


def _interval(values: NDArray[np.float64]) -> Interval:
    return bootstrap_over_images(np.mean, values, rng=np.random.default_rng(0), resamples=2000)


def site_histogram_figure(result: Result, *, width: float = WIDTH) -> Figure:
    """Draw a histogram over sites of Pearson r averaged over images, and one of the sites' noise ceilings.

    Parameters
    ----------
    result : Result
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recording = load_recording("it_maps_simulated")
    >>> result = score_features(recording.maps[..., :2], recording, controls=False)
    >>> site_histogram_figure(result, width=3.5).axes[0].get_ylabel()
    'sites'
    """
    check_result(result)
    width, height = check_width(width), 1.6 * len(result.arrays) + 0.4
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(len(result.arrays), 1, squeeze=False, sharex=True)[:, 0]
        bins = np.linspace(-1, 1, 41)
        for axis, array in zip(axes, result.arrays, strict=True):
            site_r = _mean_over_images(array.site_r)
            undefined = len(array.sites) - len(site_r)
            if bounded_by_sites(result):
                ceilings = _mean_over_images(array.site_ceiling)
                axis.hist(ceilings, bins, histtype="step", color=CEILING, label="noise ceiling")
            axis.hist(site_r, bins, color=CYCLE[0], alpha=0.8, label="predicted")
            axis.axvline(float(np.median(site_r)), color=CYCLE[1], linewidth=1, label="median")
            low = min(-0.05, float(site_r.min(initial=0)) - 0.05)
            without = f"; without r: {undefined} of {len(array.sites)} sites" if undefined else ""
            axis.set(ylabel="sites", title=wrapped(f"{kind_of(array)}{without}", 0.8 * width), xlim=(low, 1))
            axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes[-1].set_xlabel("Pearson r, mean over images")
        legend_below(figure, axes)
        write_title(figure, [name_of(result)])
        fit_height(figure, height)
    return figure


def _mean_over_images(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average each site over the images on which it is defined."""
    means: NDArray[np.float64] = np.nanmean(values[:, np.isfinite(values).any(axis=0)], axis=0)
    return means


def window_profile_figure(results: Sequence[Result], *, width: float = WIDTH) -> Figure:
    """Draw the score of one model against time, in several windows, with a line for each array.

    The panel below it has the raw values, and the noise ceilings as dashed lines: a score varies with both.

    Parameters
    ----------
    results : sequence of Result
        Results of one model on the same arrays in different windows.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Raises
    ------
    UsageError
        When the results have several models, or only one window.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recordings = [load_recording("it_maps_simulated", window) for window in ((50, 100), (100, 150))]
    >>> features = recordings[0].maps[..., :2]
    >>> results = [score_features(features, recording, controls=False) for recording in recordings]
    >>> [axis.get_ylabel() for axis in window_profile_figure(results).axes]
    ['score', 'raw value']
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
            "Score one model in several windows, such as 50-90, 90-130 and so on.",
        )
    width, height = check_width(width), 4.0
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        score_axis, raw_axis = figure.subplots(2, 1, sharex=True)
        names = dict.fromkeys(array.recording for result in results for array in result.arrays)
        for number, name in enumerate(names):
            arrays = [array for result in results for array in result.arrays if array.recording == name]
            arrays.sort(key=lambda array: sum(array.window))
            middles = [sum(array.window) / 2 for array in arrays]
            halves = [(array.window[1] - array.window[0]) / 2 for array in arrays]
            colour = CYCLE[number % len(CYCLE)]
            marker = MARKS[number % len(MARKS)]
            shared: dict[str, Any] = {"marker": marker, "markersize": 4, "color": colour}
            scores, raws = [array.score for array in arrays], [array.raw for array in arrays]
            score_axis.errorbar(middles, scores, _error_bars(arrays), halves, **shared)
            raw_axis.errorbar(middles, raws, None, halves, label=legend_text(f"raw, {name}"), **shared)
            ceilings = [array.ceiling for array in arrays]
            raw_axis.plot(
                middles,
                ceilings,
                f"{marker}--",
                color=colour,
                markerfacecolor="white",
                markersize=4,
                label=f"noise ceiling, {name}",
            )
        for axis in (score_axis, raw_axis):
            axis.axhline(0, color="black", linewidth=0.5)
        score_axis.set_ylabel("score")
        raw_axis.set(xlabel="ms after stimulus onset", ylabel="raw value")
        legend_below(figure, [raw_axis])
        windows_of = [(f"{array.window[0]}-{array.window[1]} ms", array.estimate)
                      for result in results for array in result.arrays]  # fmt: skip
        notes = [SIMULATED] if any(result.simulated for result in results) else []
        titles = [name_of(results[0]), f"on {results[0].title}"]
        write_title(figure, [*titles, *notes, *absent_scores(windows_of)])
        fit_height(figure, height)
    return figure


def _error_bars(arrays: Sequence[ArrayResult]) -> NDArray[np.float64]:
    """Return the lengths of the intervals below and above the scores, shape (2, array)."""
    scores, ends = np.array([array.score for array in arrays]), np.array([array.interval for array in arrays]).T
    bars: NDArray[np.float64] = np.nan_to_num(np.maximum([scores - ends[0], ends[1] - scores], 0))
    return bars
