"""Draw the scores of the models of a study beside their best controls and what the models add to them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainscore_itmaps.errors import printable
from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.reporting.drawing import (
    CEILING,
    CYCLE,
    MARKS,
    WIDTH,
    Figure,
    check_width,
    few_ticks,
    legend_text,
    style,
    wrapped,
)
from brainscore_itmaps.reporting.study_figures import (
    FEW,
    PANEL,
    finish,
    name_of_row,
    named_points,
    notes_above,
    panels_across,
)

TEXTS = ["model", "weights", "benchmark", "array", "best_control"]
"""Columns of texts that are drawn; files of others may hold control characters."""
DASHES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
"""Lines of best controls, one for each control."""
HOLLOW = "hollow points: the best control reaches the score of the model"


def controls_figure(rows: pd.DataFrame, *, width: float = WIDTH) -> Figure:
    """Draw score against what models add to the controls, one panel per array, with the best control of each model.

    A control that has one score for all models of a panel is a horizontal line; one that differs between models, as
    random weights do, is a bar joined to the point of its model. Points are hollow where the best control reaches the
    score. Bars are 95 % intervals over images.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark in one window with controls and scores.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "raw": 0.3, "score": 0.4, "low": 0.3, "high": 0.5, "unique": 0.1,
    ...        "unique_low": 0.0, "unique_high": 0.2, "best_control": "contrast", "control_raw": 0.2,
    ...        "control_score": 0.25}
    >>> figure = controls_figure(pd.DataFrame([row, row | {"model": "vgg16", "raw": 0.1, "score": 0.125}]))
    >>> [axis.get_title() for axis in figure.axes], [text.get_text() for text in figure.legends[0].get_texts()]
    (['PL'], ['resnet50', 'vgg16', 'best control: contrast'])
    """
    rows = rows.assign(**{name: rows[name].map(printable) for name in TEXTS})
    models = list(rows.groupby(["model", "weights"], sort=False).groups)
    names = ["model", "weights"] if len(models) <= FEW else ["group"]
    order = models if len(models) <= FEW else [(group,) for group in GROUPS]
    controls = list(dict.fromkeys(rows["best_control"]))
    arrays = list(rows.groupby("array"))
    width = check_width(width)
    across = panels_across(len(arrays), width)
    down = -(-len(arrays) // across)
    with style():
        figure = Figure(figsize=(width, 3 * down), layout="constrained")
        grid = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
        for axis in grid[len(arrays) :]:
            axis.remove()
        axes, named = grid[: len(arrays)], []
        for axis, (array, array_rows) in zip(axes, arrays, strict=True):
            axis.axvline(0, color="black", linewidth=0.5)
            for key, alike in array_rows.groupby(names, sort=False):
                _draw_rows(axis, alike, order.index(tuple(map(str, key))), len(models) <= FEW)  # type: ignore[arg-type]
            for name, controlled in array_rows.groupby("best_control", sort=False):
                _draw_control(axis, str(name), controlled, DASHES[controls.index(name) % len(DASHES)])
            axis.set_title(str(array).removeprefix("Arcaro2020."))
            axis.set_xlabel("what the model adds to the controls")
            few_ticks(axis, 0.8 * width / across)
            if len(models) > FEW:
                named.append(named_points(axis, array_rows, "unique", "score"))
        for axis in axes[::across]:
            axis.set_ylabel(wrapped(f"score on {rows['benchmark'].iloc[0]}", PANEL))
        notes = "\n".join(filter(None, [notes_above(rows), HOLLOW]))
        finish(figure, axes, 2.9 * down, notes, named)
    return figure


def _draw_rows(axis: Axes, rows: pd.DataFrame, number: int, few: bool) -> None:
    """Draw the points of a model or group, hollow where their best control reaches their score."""
    colour, mark = CYCLE[number % len(CYCLE)], MARKS[number % len(MARKS)]
    size, width = (5, 0.6) if few else (3.5, 0.25)
    for is_reached, alike in rows.groupby(rows["control_raw"] >= rows["raw"], sort=False):
        bars = [
            np.nan_to_num(np.maximum([alike[value] - alike[low], alike[high] - alike[value]], 0))
            for value, low, high in (("unique", "unique_low", "unique_high"), ("score", "low", "high"))
        ]
        axis.errorbar(alike["unique"], alike["score"], bars[1], bars[0], color=colour, marker=mark, markersize=size,
                      markerfacecolor="white" if is_reached else colour, elinewidth=width, linestyle="",
                      zorder=3)  # fmt: skip
    first = rows.iloc[0].to_dict()
    label = legend_text(name_of_row(first) if few else first["group"])
    axis.plot([], [], mark, color=colour, markersize=5, label=label)


def _draw_control(axis: Axes, name: str, rows: pd.DataFrame, dashes: Any) -> None:
    """Draw the score of a control: a line if it is the same for all models, else a bar joined to each point."""
    label = f"best control: {name}"
    scores = rows["control_score"]
    if np.ptp(scores) < 1e-6:
        axis.axhline(scores.iloc[0], color=CEILING, linestyle=dashes, linewidth=1.4, label=label)
        return
    axis.vlines(rows["unique"], scores, rows["score"], color=CEILING, linewidth=2.5, alpha=0.6)
    axis.plot(rows["unique"], scores, "_", color=CEILING, markersize=9, markeredgewidth=2, label=label)
