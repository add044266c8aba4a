"""Figures of published scores; each function takes points and fitted lines, returns a figure and saves nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from brainscore_itmaps.reporting.drawing import CYCLE, WIDTH, Figure, check_width, few_ticks, style, wrapped
from brainscore_itmaps.reporting.study_figures import Lines, draw_lines, finish

PANEL, HEIGHT, AXIS = 1.35, 1.75, 0.4
"""Smallest width of a panel, its height, and the part of the width that the numbers of an axis take, in inches."""
OTHERS, ROBUST, OWN = CYCLE[0], CYCLE[4], CYCLE[1]
LOGARITHMIC, TICKS = "perturbation tolerance", (1, 2, 4, 8)
"""Name of the numbers that are drawn on a logarithmic axis, and its ticks."""


def published_figure(
    points: pd.DataFrame,
    lines: Mapping[str, Lines],
    *,
    columns: int,
    title: str,
    robust: bool = False,
    own: pd.DataFrame | None = None,
    width: float = WIDTH,
) -> Figure:
    """Draw published numbers of models, a panel for each two numbers that are compared, in rows of panels.

    The dashed line is the upper edge, below which 90 % of the models lie that the fits use. Scores on the recordings
    are divided by the noise ceiling, which the title of the panel states; the axis at the right has raw values.

    Parameters
    ----------
    points : DataFrame
        Of :func:`~brainscore_itmaps.study.published.published_points`.
    lines : mapping
        Panel to its fitted lines.
    columns : int
        Number of panels in a row, at most.
    title : str
        Line above the panels, with "as published".
    robust : bool
        Whether the fits include the models that were trained to be robust, for the legend.
    own : DataFrame, optional
        Models of the user with ``panel``, ``model``, ``x`` and ``y``, marked by stars.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> point = {"panel": "monkey1_PL 91-130", "x": 76.1, "x_name": "ImageNet top-1, %", "y": 0.5, "y_name": "score",
    ...          "shifted": False, "robust": False, "ceiling": 0.8}
    >>> figure = published_figure(pd.DataFrame([point]), {}, columns=1, title="scores as published")
    >>> figure.get_suptitle()
    'scores as published'
    """
    names = list(dict.fromkeys(points["panel"]))
    width = check_width(width)
    columns = max(1, min(columns, len(names), int(width / PANEL)))
    rows = -(-len(names) // columns)
    with style():
        height = HEIGHT * rows if rows > 1 else 2.6
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axis in grid.flat[len(names) :]:
            axis.remove()
        axes = list(grid.flat[: len(names)])
        for axis, name in zip(axes, names, strict=True):
            panel = points[points["panel"] == name]
            _draw_points(axis, panel, robust)
            few_ticks(axis, 0.65 * width / columns)
            draw_lines(axis, lines.get(name), two_lines=False)
            if own is not None:
                _draw_own(axis, own[own["panel"] == name])
            _label(axis, panel, name, is_left=axis in grid[:, 0], is_lowest=axis in axes[-columns:])
        figure.align_ylabels()
        finish(figure, axes, height, title)
    return figure


def _draw_points(axis: Axes, panel: pd.DataFrame, robust: bool) -> None:
    """Draw the models, and those that were trained to be robust with another mark."""
    left_out = "" if robust else ", not in the statistics"
    for is_robust, label in ((False, "model"), (True, f"model trained to be robust{left_out}")):
        rows = panel[panel["robust"] == is_robust]
        look: dict[str, Any] = {"color": OTHERS, "marker": "o", "markersize": 2, "alpha": 0.5, "markeredgewidth": 0}
        if is_robust:
            look = {"color": ROBUST, "marker": "^", "markersize": 3, "markerfacecolor": "none", "markeredgewidth": 0.7}
        if rows["x"].notna().any():
            axis.plot(rows["x"], rows["y"], linestyle="", label=label, **look)


def _draw_own(axis: Axes, rows: pd.DataFrame) -> None:
    """Mark the user's models by stars, with a line at the score of those without a known accuracy."""
    for row in rows.to_dict("records"):
        if np.isfinite(row["x"]):
            axis.plot(row["x"], row["y"], "*", color=OWN, markersize=8, markeredgecolor="white", markeredgewidth=0.4,
                      label="scored here")  # fmt: skip
        else:
            axis.axhline(row["y"], color=OWN, linewidth=0.8, label="scored here, accuracy unknown")


def _label(axis: Axes, panel: pd.DataFrame, name: str, is_left: bool, is_lowest: bool) -> None:
    first = panel.iloc[0]
    x_name, y_name, ceiling = first["x_name"], first["y_name"], first["ceiling"]
    if np.isfinite(ceiling):
        moment = name.replace(" shifted", " ms, shifted") if first["shifted"] else f"{name} ms"
        array_and_window = moment.replace(" ", "\n", 1)
        axis.set_title(f"{array_and_window}\nnoise ceiling {ceiling:.3f}")
        raw = axis.secondary_yaxis("right", functions=(lambda score: score * ceiling, lambda value: value / ceiling))
        raw.tick_params(labelsize=6.5, colors="0.4")
        raw.spines["right"].set_visible(False)
    elif y_name not in name:
        axis.set_title(wrapped(name, PANEL))
    if y_name == LOGARITHMIC:
        axis.set_yscale("log")
        axis.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axis.yaxis.set_minor_formatter(NullFormatter())
    scores = np.isfinite(ceiling)
    if is_lowest or not scores:
        axis.set_xlabel(wrapped(x_name, PANEL - AXIS))
    if is_left or not scores:
        axis.set_ylabel(wrapped(y_name, HEIGHT))
