"""Figures of a study; each function takes rows of the study's table, returns a figure and saves nothing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainscore_itmaps.metrics.tradeoff import ChangePoint, Envelope
from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.reporting.drawing import CEILING, COLUMN, CYCLE, SIMULATED, style

MARKS = ("o", "s", "^", "D", "v", "P", "X")
FEW = 8
"""Largest number of models of which each is drawn, or labelled, separately."""
SIGNIFICANT = 0.05
LONGEST_NAME = 60
LEFT_OUT = "models without a known accuracy, left out: {}"


class Lines(NamedTuple):
    """Lines fitted to the models of an array that are not harmonized.

    Attributes
    ----------
    edge : Envelope
    point : ChangePoint
    accuracies : (float, float)
        Range of ImageNet top-1 accuracy in which the lines are drawn, in percent.
    """

    edge: Envelope
    point: ChangePoint
    accuracies: tuple[float, float]


def accuracy_figure(rows: pd.DataFrame, lines: Mapping[str, Lines], arrows: Mapping[str, str]) -> Figure:
    """Draw score against ImageNet accuracy, one panel per array.

    Bars are 95 % intervals over images. The dashed line is the upper edge: 90 % of the models that are not harmonized
    lie below it. The dotted line consists of two straight lines fitted to all of them. Arrows lead from baselines to
    harmonized models.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark in one window.
    lines : mapping
        Array to the lines of its panel.
    arrows : mapping
        Harmonized model to its baseline.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "score": 0.4, "low": 0.3, "high": 0.5}
    >>> rows = pd.DataFrame([row | {"imagenet_top1": 76.1}, row | {"imagenet_top1": None, "weights": "w.pt"}])
    >>> accuracy_figure(rows, {}, {}).get_suptitle()
    'models without a known accuracy, left out: 1'
    """
    missing = rows[rows["imagenet_top1"].isna()].drop_duplicates(["model", "weights"])
    note = LEFT_OUT.format(len(missing)) if len(missing) else ""
    return relation_figure(rows, "imagenet_top1", "ImageNet top-1, %", lines, arrows, note)


def relation_figure(
    rows: pd.DataFrame,
    column: str,
    label: str,
    lines: Mapping[str, Lines] | None = None,
    arrows: Mapping[str, str] | None = None,
    note: str = "",
) -> Figure:
    """Draw score against another column of the table, one panel per array.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark in one window.
    column, label : str
        Column on the horizontal axis, and the label of that axis.
    lines, arrows : mapping, optional
        As in :func:`accuracy_figure`.
    note : str
        Text above the panels.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "score": 0.4, "low": 0.3, "high": 0.5}
    >>> rows = pd.DataFrame([row | {"alignment": 0.2}, row | {"alignment": 0.3, "array": "ML"}])
    >>> [axis.get_title() for axis in relation_figure(rows, "alignment", "alignment of maps").axes]
    ['ML', 'PL']
    """
    defined = rows[rows[column].notna()]
    with style():
        figure, panels = _panels(defined, width=2.7, height=2.7)
        for axis, (array, array_rows) in zip(panels, defined.groupby("array"), strict=True):
            _draw_groups(axis, array_rows, column)
            _draw_lines(axis, (lines or {}).get(str(array)))
            _draw_arrows(axis, array_rows, arrows or {})
            axis.set(title=_short(str(array)), xlabel=label)
        panels[0].set_ylabel(f"score on {rows['benchmark'].iloc[0]}")
        _legend(figure, panels, _notes(rows, note))
    return figure


def temporal_figure(rows: pd.DataFrame) -> Figure:
    """Draw score against time, one panel per array: a line for each model, or median and quartiles of each group.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark in several windows.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "score": 0.4, "low": 0.3, "high": 0.5}
    >>> rows = pd.DataFrame([row | {"window": "130-170"}, row | {"window": "50-90", "score": 0.1}])
    >>> temporal_figure(rows).axes[0].lines[0].get_xydata().tolist()
    [[70.0, 0.1], [150.0, 0.4]]
    """
    ends = rows["window"].str.split("-", expand=True).astype(float)
    timed = rows.assign(middle=ends.mean(axis=1), half=(ends[1] - ends[0]) / 2).sort_values("middle")
    names = ["model", "weights"] if timed.groupby(["model", "weights"]).ngroups <= FEW else ["group"]
    order = list(timed.groupby(names, sort=False).groups)
    with style():
        figure, panels = _panels(timed, width=3.0, height=2.5)
        for axis, (array, array_rows) in zip(panels, timed.groupby("array"), strict=True):
            for key, line_rows in array_rows.groupby(names, sort=False):
                number = order.index(key if len(names) > 1 else key[0])
                line = (
                    line_rows.groupby(["middle", "half"])["score"]
                    .quantile(np.array([0.25, 0.5, 0.75]))
                    .unstack()
                    .reset_index()
                )
                bars = None if len(names) > 1 else [line[0.5] - line[0.25], line[0.75] - line[0.5]]
                axis.errorbar(
                    line["middle"],
                    line[0.5],
                    bars,
                    line["half"],
                    color=CYCLE[number % len(CYCLE)],
                    marker=MARKS[number % len(MARKS)],
                    markersize=3.5,
                    elinewidth=0.6,
                    label=_name(line_rows.iloc[0]) if len(names) > 1 else f"{key[0]}, median and quartiles",
                )
            axis.axhline(0, color="black", linewidth=0.5)
            axis.set(title=_short(str(array)), xlabel="ms after stimulus onset")
        panels[0].set_ylabel(f"score on {rows['benchmark'].iloc[0]}")
        _legend(figure, panels, _notes(rows), columns=2)
    return figure


def gains_figure(pairs: pd.DataFrame, note: str = "") -> Figure:
    """Draw the gains of harmonized models over their baselines, with 95 % intervals over images.

    Gains that are significant at a false discovery rate of 5 % have filled markers.

    Parameters
    ----------
    pairs : DataFrame
        Pairs of one benchmark in one window.
    note : str
        Text above the panels.

    Examples
    --------
    >>> pair = {"model": "harmonized_vgg16", "baseline": "vgg16_timm_baseline", "array": "PL", "difference": 0.1,
    ...         "low": 0.05, "high": 0.15, "p_value": 0.01, "q_value": 0.03}
    >>> figure = gains_figure(pd.DataFrame([pair, pair | {"array": "ML", "q_value": 0.2}]))
    >>> [axis.lines[1].get_markerfacecolor() for axis in figure.axes]
    ['#D55E00', 'white']
    """
    arrays = list(dict.fromkeys(pairs["array"]))
    with style():
        figure = Figure(figsize=(2 * COLUMN, 0.24 * len(pairs) + 0.5 * len(arrays) + 0.6), layout="constrained")
        heights = [max(1, int((pairs["array"] == array).sum())) for array in arrays]
        panels = figure.subplots(len(arrays), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, array in zip(panels, arrays, strict=True):
            array_pairs = pairs[pairs["array"] == array].iloc[::-1]
            for position, row in enumerate(array_pairs.itertuples()):
                is_mean = not row.baseline
                colour = CYCLE[6] if is_mean else CYCLE[1]
                significant = (row.p_value if is_mean else row.q_value) < SIGNIFICANT
                axis.plot([row.low, row.high], [position, position], color=colour, linewidth=1.2)
                axis.plot(row.difference, position, "D" if is_mean else "o", color=colour, markersize=5,
                          markerfacecolor=colour if significant else "white")  # fmt: skip
            axis.axvline(0, color=CEILING, linewidth=1, linestyle="--")
            axis.set_yticks(range(len(array_pairs)), array_pairs["model"])
            axis.set(title=_short(str(array)), ylim=(-0.6, len(array_pairs) - 0.4))
        panels[-1].set_xlabel(
            "gain in score over the baseline; filled markers: significant at a false discovery rate of 5 %"
        )
        if note:
            figure.suptitle(note, fontsize=8)
    return figure


def _panels(rows: pd.DataFrame, width: float, height: float) -> tuple[Figure, list[Axes]]:
    number = rows["array"].nunique()
    figure = Figure(figsize=(max(COLUMN, width * number + 0.5), height + 0.9), layout="constrained")
    return figure, list(figure.subplots(1, number, squeeze=False, sharey=True)[0])


def _draw_groups(axis: Axes, rows: pd.DataFrame, column: str) -> None:
    few = len(rows) <= FEW
    for number, group in enumerate(GROUPS):
        members = rows[rows["group"] == group]
        if members.empty:
            continue
        bars = np.nan_to_num(np.maximum([members["score"] - members["low"], members["high"] - members["score"]], 0))
        axis.errorbar(
            members[column],
            members["score"],
            bars,
            linestyle="",
            color=CYCLE[number % len(CYCLE)],
            marker=MARKS[number % len(MARKS)],
            markersize=5 if few else 3,
            elinewidth=0.6 if few else 0.25,
            label=group,
        )
    if few:
        middle = (rows[column].min() + rows[column].max()) / 2
        for row in rows.to_dict("records"):
            side = -1 if row[column] > middle else 1  # toward the middle, so that the label stays within the panel
            axis.annotate(_name(row), (row[column], row["score"]), xytext=(4 * side, 3), textcoords="offset points",
                          fontsize=7, color="0.3", ha="right" if side < 0 else "left")  # fmt: skip


def _draw_lines(axis: Axes, lines: Lines | None) -> None:
    if lines is None:
        return
    low, high = lines.accuracies
    points = np.linspace(low, high, 100)
    axis.plot(points, np.polyval(lines.edge.coefficients[::-1], points), "--", color="0.2", linewidth=1.2,
              label="upper edge: 90 % of models lie below")  # fmt: skip
    at, value, before, after = lines.point[:4]
    bent = value + np.where(points < at, before, after) * (points - at)
    axis.plot(points, bent, ":", color="0.2", linewidth=1.2, label="two lines through all models")


def _draw_arrows(axis: Axes, rows: pd.DataFrame, arrows: Mapping[str, str]) -> None:
    by_name = {row["model"]: row for row in rows.to_dict("records")}
    for model, baseline in arrows.items():
        if model in by_name and baseline in by_name:
            ends = [(by_name[name]["imagenet_top1"], by_name[name]["score"]) for name in (model, baseline)]
            axis.annotate("", ends[0], ends[1], arrowprops={"arrowstyle": "->", "color": "0.3", "linewidth": 0.8})


def _legend(figure: Figure, panels: list[Axes], notes: str, columns: int = 4) -> None:
    labelled: dict[str, Any] = {}
    for axis in panels:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            labelled.setdefault(label, handle)
    columns = columns if len(panels) > 1 else min(2, columns)
    figure.legend(list(labelled.values()), list(labelled), loc="outside lower center", ncols=columns)
    if notes:
        figure.suptitle(notes, fontsize=8)


def _notes(rows: pd.DataFrame, more: str = "") -> str:
    return "\n".join(filter(None, [SIMULATED if rows["simulated"].any() else "", more]))


def _name(row: Any) -> str:
    random = f" ({row['weights']})" if row["random"] else ""
    name = f"{row['model']}{random}"
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def _short(array: str) -> str:
    return array.removeprefix("Arcaro2020.")
