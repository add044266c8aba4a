"""Show what stands beside a score: its controls, what the model adds to them, and its null distribution."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from brainscore_itmaps.benchmark.estimate import Estimate, difference_of
from brainscore_itmaps.benchmark.formulas import ADDED, DESCRIPTIONS, absent_scores
from brainscore_itmaps.benchmark.result import MEAN, Estimated, Result
from brainscore_itmaps.errors import UsageError, check_type
from brainscore_itmaps.reporting.drawing import (
    CYCLE,
    SIMULATED,
    WIDTH,
    Figure,
    check_width,
    fit_height,
    legend_below,
    legend_text,
    name_of,
    style,
    write_title,
)
from brainscore_itmaps.text import ABSENT, interval_text, number_text

MODEL = "model"
SEED = "one seed of random weights"
ROW = 0.24
"""Height of a row of the figure, in inches."""
OF_ATTRIBUTION = (
    "Controls except centre and random_weights are predicted maps, not attributions; they are compared with recorded "
    "maps by the same rho."
)
UNCORRECTED = "p of the difference is that of a jackknife over images, not corrected for the number of controls."


def describe_control(name: str) -> str:
    """Describe a control in words; a control without a description is described by its name alone.

    Examples
    --------
    >>> describe_control("contrast")
    'contrast: luminance contrast at three scales'
    >>> describe_control("random_weights_2")
    'random_weights_2: the same architecture with random weights, seed 2'
    """
    kind, seed = _kind_and_seed(name)
    text = DESCRIPTIONS.get(kind, "")
    return f"{name}: {text}{f', seed {seed}' if seed else ''}" if text else name


def tables_of_controls(scored: Estimated, name: str, measure: str = "") -> dict[str, Any] | None:
    """Collect the tables of controls, of the null distribution and of what the model adds, for a page.

    Parameters
    ----------
    scored : ArrayResult or Result
    name : str
        Of the model.
    measure : str
        Of the benchmark.

    Returns
    -------
    dict or None
        ``tables``, each with ``header`` and ``rows``, and ``notes``, a list of sentences; None without controls.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=Estimate(0.5, 0.8, 0.625),
    ...                 controls={"contrast": Estimate(0.25, 0.8, 0.3125)})
    >>> for row in tables_of_controls(result, "resnet")["tables"][0]["rows"]:
    ...     row[:3]
    ('resnet', '0.500', '0.625')
    ('contrast: luminance contrast at three scales', '0.250', '0.312')
    """
    if not scored.controls:
        return None
    controls = [(name, *_numbers(scored.estimate), "", "")]
    for control, estimate in scored.controls.items():
        comparison = difference_of(scored.estimate, estimate)
        difference, p = (comparison.difference, comparison.p_value) if comparison else (np.nan, np.nan)
        controls.append((describe_control(control), *_numbers(estimate), number_text(difference, sign="+"), p_text(p)))
    added = [(f"{name}: {ADDED[name]}", *_numbers(estimate)) for name, estimate in scored.added.items()]
    header = ("raw", "score", "95 % interval")
    tables: list[dict[str, Any]] = [
        {"header": ("model and controls", *header, "model - control", "p"), "rows": controls},
        {"header": ("null distribution", "raw", "95 % interval", "p"), "rows": _rows_of_null(scored)},
        {"header": ("what the model adds", *header), "rows": added},
    ]
    notes = [OF_ATTRIBUTION] if measure == "attribution" else []
    notes += [UNCORRECTED] if any(row[-1] not in ("", ABSENT) for row in controls) else []
    return {"tables": [table for table in tables if table["rows"]], "notes": notes}


def p_text(value: float) -> str:
    """Format a p-value to two digits, and an absent one as a dash.

    Examples
    --------
    >>> p_text(0.0123), p_text(float("nan"))
    ('0.012', '-')
    """
    return ABSENT if value != value else f"{value:.2g}"


def _numbers(estimate: Estimate) -> tuple[str, str, str]:
    return number_text(estimate.raw), number_text(estimate.score), interval_text(*estimate.interval)


def _rows_of_null(scored: Estimated) -> list[tuple[str, ...]]:
    if (null := scored.null) is None:
        return []
    pairings = number_text(null.mean), interval_text(null.low, null.high), p_text(null.p_value)
    return [
        ("predicted maps paired with other images' maps", *pairings),
        ("shifted maps (a description, not a test)", "", interval_text(*null.shifts), ""),
        ("rotated and mirrored maps (a description, not a test)", "", interval_text(*null.rotations), ""),
    ]


def _kind_and_seed(name: str) -> tuple[str, str]:
    """Split the name of a control with one seed of random weights; the seed of others is empty."""
    kind, _, seed = name.rpartition("_")
    return (kind, seed) if kind in DESCRIPTIONS and seed.isdigit() else (name, "")


def controls_figure(result: Result, *, width: float = WIDTH) -> Figure:
    """Draw the score of a model above those of its controls, and in a second panel what it adds to them.

    Black points are scores with 95 % intervals over images, of several arrays their mean; the coloured points are the
    arrays. Rings are single seeds of random weights. The dashed line is the score of the model, and "(best)" marks the
    best control. Without a score, raw values are drawn, without intervals.

    Parameters
    ----------
    result : Result
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Raises
    ------
    UsageError
        When the result has no controls.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=Estimate(0.5, 0.8, 0.625),
    ...                 controls={"gabor": Estimate(0.1, 0.8, 0.125), "contrast": Estimate(0.25, 0.8, 0.3125)})
    >>> [label.get_text() for label in controls_figure(result).axes[0].get_yticklabels()]
    ['model', 'gabor', 'contrast (best)']
    """
    check_type(result, Result, "a result", "Give a result, as score returns it or Result.load reads it.")
    if not result.controls:
        raise UsageError(f"{result!r} has no controls to draw.", "Score the model again, with controls.")
    panels = [{MODEL: result.estimate, **result.controls}]
    panels += [dict(result.added)] if result.added else []
    rows = [[name for name in panel if not _kind_and_seed(name)[1]] for panel in panels]
    scored, best = result.score == result.score, result.best_control
    width = check_width(width)
    with style():
        notes = [name_of(result), f"on {result.title}", *([SIMULATED] if result.simulated else []), *_absent(result)]
        heights = [len(names) + 1 for names in rows]
        height = ROW * sum(heights) + 0.7
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, panel, names in zip(axes, panels, rows, strict=True):
            axis.axvline(0, color="black", linewidth=0.5)
            axis.set_yticks(range(len(names)), [f"{name} (best)" if name == best else name for name in names])
            axis.set_ylim(len(names) - 0.5, -0.5)
            _draw_arrays(axis, names, result, scored)
            _draw_estimates(axis, names, panel, scored)
        axes[0].axvline(_value(result.estimate, scored), color=CYCLE[0], linestyle="--", zorder=0)
        axes[0].set_title("controls")
        if result.added:
            axes[1].set_title("what the model adds")
        axes[-1].set_xlabel("score" if scored else "raw value")
        legend_below(figure, axes[:1])
        write_title(figure, notes)
        fit_height(figure, height)
    return figure


def _absent(result: Result) -> list[str]:
    """Say why no score is drawn."""
    return absent_scores([(MEAN if len(result.arrays) > 1 else result.benchmark, result.estimate)])


def _value(estimate: Estimate, scored: bool) -> float:
    return estimate.score if scored else estimate.raw


def _draw_estimates(axis: Axes, names: list[str], panel: Mapping[str, Estimate], scored: bool) -> None:
    """Draw the point of each row with its interval, and a ring for each seed of random weights."""
    for row, name in enumerate(names):
        value = _value(panel[name], scored)
        colour = CYCLE[0] if name == MODEL else "black"
        bars = np.maximum([[value - panel[name].interval[0]], [panel[name].interval[1] - value]], 0)
        axis.errorbar(value, row, xerr=np.nan_to_num(bars) if scored else None, fmt="o", color=colour, markersize=4)
        if value != value:
            axis.text(0.02, row, "not given", transform=axis.get_yaxis_transform(), va="center", fontsize=7)
    for name, estimate in panel.items():
        kind, seed = _kind_and_seed(name)
        if seed:
            axis.plot(_value(estimate, scored), names.index(kind), "o", color="black", markersize=3.5, fillstyle="none",
                      label=SEED)  # fmt: skip


def _draw_arrays(axis: Axes, names: list[str], result: Result, scored: bool) -> None:
    """Draw a coloured point for each of several arrays, one below the other, under the point of their mean."""
    if len(result.arrays) < 2:
        return
    for number, array in enumerate(result.arrays):
        estimates = {MODEL: array.estimate, **array.controls, **array.added}
        values = [_value(estimates.get(name, Estimate()), scored) for name in names]
        below = 0.2 + 0.2 * number / len(result.arrays)
        axis.plot(values, np.arange(len(names)) + below, "|", color=CYCLE[1 + number % (len(CYCLE) - 1)],
                  markersize=5, label=legend_text(array.recording))  # fmt: skip
