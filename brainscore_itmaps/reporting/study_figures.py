"""Figures of a study; each function takes rows of the study's table, returns a figure and saves nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainscore_itmaps.benchmark.catalogue import WHY_EXPERIMENTAL
from brainscore_itmaps.metrics.tradeoff import ChangePoint, Envelope
from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.reporting.drawing import (
    CEILING,
    CYCLE,
    MARKS,
    SIMULATED,
    WIDTH,
    Figure,
    check_width,
    few_ticks,
    fit_height,
    legend_below,
    legend_text,
    style,
    wrapped,
    write_title,
)
from brainscore_itmaps.reporting.names import Named, remove_names, write_names

FEW = 8
"""Largest number of models of which each is drawn separately."""
NAMED = 30
"""Largest number of points in a panel whose names are written: harmonized models, then those with the best scores."""
PANEL = 2.1
"""Smallest width of a panel in inches; panels that do not fit stand below one another."""
SIGNIFICANT = 0.05
LONGEST_NAME = 60
SIMULATED_MAPS = "SIMULATED human maps: no person was asked"
ATTACK_PANELS = (
    ("tolerance", "tolerance", "published_tolerance", "perturbation tolerance, L2"),
    (
        "adversarial_alignment",
        "adversarial",
        "published_adversarial",
        "rho of perturbation with own map\n- with another's",
    ),
)
"""Column, start of the names of its interval, column of published values, and label of each panel of attacks."""
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


def accuracy_figure(
    rows: pd.DataFrame, lines: Mapping[str, Lines], arrows: Mapping[str, str], *, width: float = WIDTH
) -> Figure:
    """Draw score against ImageNet accuracy, one panel per array; below it, the raw values with the noise ceiling.

    Bars are 95 % intervals over images. The dashed line is the upper edge: 90 % of the models that are not harmonized
    lie below it. The dotted line consists of two straight lines fitted to all of them. Arrows lead from baselines to
    harmonized models. Names stand beside the points where there is room; a note says how many are left out.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark in one window.
    lines : mapping
        Array to the lines of its panel.
    arrows : mapping
        Harmonized model to its baseline.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "raw": 0.3, "ceiling": 0.75, "score": 0.4, "low": 0.3, "high": 0.5}
    >>> rows = pd.DataFrame([row | {"imagenet_top1": 76.1}, row | {"imagenet_top1": None, "weights": "w.pt"}])
    >>> accuracy_figure(rows, {}, {}).get_suptitle()
    'models without a known accuracy, left out: 1'
    """
    missing = rows[rows["imagenet_top1"].isna()].drop_duplicates(["model", "weights"])
    note = LEFT_OUT.format(len(missing)) if len(missing) else ""
    return relation_figure(rows, "imagenet_top1", "ImageNet top-1, %", lines, arrows, note, width=width)


def relation_figure(
    rows: pd.DataFrame,
    column: str,
    label: str,
    lines: Mapping[str, Lines] | None = None,
    arrows: Mapping[str, str] | None = None,
    note: str = "",
    *,
    width: float = WIDTH,
) -> Figure:
    """Draw score against another column of the table, one panel per array; below it, raw values and noise ceiling.

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
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "raw": 0.3, "ceiling": 0.75, "score": 0.4, "low": 0.3, "high": 0.5}
    >>> rows = pd.DataFrame([row | {"alignment": 0.2}, row | {"alignment": 0.3, "array": "ML"}])
    >>> [axis.get_title() for axis in relation_figure(rows, "alignment", "alignment of maps").axes]
    ['ML', 'PL', '', '']
    """
    defined = rows[rows[column].notna()]
    with style():
        figure, panels, height = _panels(defined, check_width(width))
        named = []
        for (axis, raw_axis), (array, array_rows) in zip(panels, defined.groupby("array"), strict=True):
            _draw_groups(axis, array_rows, column, "score")
            draw_lines(axis, (lines or {}).get(str(array)))
            _draw_arrows(axis, array_rows, arrows or {})
            _draw_groups(raw_axis, array_rows, column, "raw")
            _draw_ceiling(raw_axis, array_rows["ceiling"])
            is_scored = array_rows["score"].notna().any()
            named.append(
                named_points(axis if is_scored else raw_axis, array_rows, column, "score" if is_scored else "raw")
            )
            axis.set_title(wrapped(_short(str(array)), PANEL))
        _label_rows(panels, rows, label, width)
        finish(figure, [axis for pair in panels for axis in pair], height, notes_above(rows, note), named)
    return figure


def attacks_figure(rows: pd.DataFrame, arrows: Mapping[str, str], *, width: float = WIDTH) -> Figure:
    """Draw perturbation tolerance and adversarial alignment against ImageNet accuracy, with 95 % intervals over images.

    Arrows lead from baselines to harmonized models. Rings are the published values of the same models, where the table
    has them; the published attack is another one.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark of attacks, with known accuracies.
    arrows : mapping
        Harmonized model to its baseline.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "mine",
    ...        "simulated": False, "imagenet_top1": 76.1, "tolerance": 0.1, "tolerance_low": 0.05,
    ...        "tolerance_high": 0.2, "adversarial_alignment": np.nan, "adversarial_low": np.nan,
    ...        "adversarial_high": np.nan, "published_tolerance": 1.5, "published_adversarial": np.nan}
    >>> figure = attacks_figure(pd.DataFrame([row, row | {"model": "vgg16", "imagenet_top1": 71.6}]), {})
    >>> [axis.get_ylabel() for axis in figure.axes]
    ['perturbation tolerance, L2']
    """
    drawn = [panel for panel in ATTACK_PANELS if rows[panel[0]].notna().any()]
    with style():
        width, named = check_width(width), []
        across = min(len(drawn), int(width / 3)) or 1
        down = -(-len(drawn) // across) or 1
        figure = Figure(figsize=(width, 3 * down), layout="constrained")
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for axis, (column, ends, published, label) in zip(panels, drawn, strict=False):
            low, high = (rows[f"{ends}_{end}"] for end in ("low", "high"))
            values = rows.assign(score=rows[column], low=low, high=high)
            known = values[values[published].notna()]
            if len(known):
                axis.plot(known["imagenet_top1"], known[published], "o", fillstyle="none", color="0.5",
                          label="published: by another attack; rho with own map")  # fmt: skip
            _draw_groups(axis, values, "imagenet_top1", "score")
            _draw_arrows(axis, values, arrows)
            named.append(named_points(axis, values[values["score"].notna()], "imagenet_top1", "score"))
            axis.set(xlabel="ImageNet top-1, %", ylabel=label)
            few_ticks(axis, 0.8 * width / across)
        note = str(rows["benchmark"].iloc[0]) + (f"\n{SIMULATED_MAPS}" if rows["simulated"].any() else "")
        finish(figure, panels, 2.7 * down, note, named)
    return figure


def temporal_figure(rows: pd.DataFrame, *, width: float = WIDTH) -> Figure:
    """Draw score against time, one panel per array: a line for each model, or median and quartiles of each group.

    The panel below it has the raw values and the noise ceiling of each window: a score varies with both.

    Parameters
    ----------
    rows : DataFrame
        Rows of one benchmark in several windows.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> row = {"model": "resnet50", "weights": "pretrained", "random": False, "group": "CNN", "benchmark": "it_maps",
    ...        "array": "PL", "simulated": False, "raw": 0.3, "ceiling": 0.75, "score": 0.4, "low": 0.3, "high": 0.5}
    >>> rows = pd.DataFrame([row | {"window": "130-170"}, row | {"window": "50-90", "score": 0.1}])
    >>> [axis.lines[0].get_xydata().tolist() for axis in temporal_figure(rows).axes]
    [[[70.0, 0.1], [150.0, 0.4]], [[70.0, 0.3], [150.0, 0.3]]]
    """
    ends = rows["window"].str.split("-", expand=True).astype(float)
    timed = rows.assign(middle=ends.mean(axis=1), half=(ends[1] - ends[0]) / 2).sort_values("middle")
    names = ["model", "weights"] if timed.groupby(["model", "weights"]).ngroups <= FEW else ["group"]
    order = list(timed.groupby(names, sort=False).groups)
    with style():
        figure, panels, height = _panels(timed, check_width(width))
        for axes, (array, array_rows) in zip(panels, timed.groupby("array"), strict=True):
            for key, line_rows in array_rows.groupby(names, sort=False):
                number = order.index(key if len(names) > 1 else key[0])
                model = legend_text(name_of_row(line_rows.iloc[0]))
                label = model if len(names) > 1 else f"{key[0]}, median and quartiles"
                for axis, column in zip(axes, ("score", "raw"), strict=True):
                    line = _quartiles(line_rows, column)
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
                        label=label,
                    )
            ceiling = _quartiles(array_rows, "ceiling")
            axes[1].plot(ceiling["middle"], ceiling[0.5], "x--", color=CEILING, label="noise ceiling")
            for axis in axes:
                axis.axhline(0, color="black", linewidth=0.5)
            axes[0].set_title(wrapped(_short(str(array)), PANEL))
        _label_rows(panels, rows, "ms after stimulus onset", width)
        finish(figure, [axis for pair in panels for axis in pair], height, notes_above(rows))
    return figure


def _quartiles(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Compute the quartiles of a column in each window, which rows name by ``middle`` and ``half``."""
    quartiles = rows.groupby(["middle", "half"])[column].quantile(np.array([0.25, 0.5, 0.75]))
    return quartiles.unstack().reset_index()


def gains_figure(pairs: pd.DataFrame, note: str = "", *, width: float = WIDTH) -> Figure:
    """Draw the gains of harmonized models over their baselines, with 95 % intervals over images, beside raw values.

    Gains that are significant at a false discovery rate of 5 % have filled markers. Beside each gain, a line leads from
    the raw value of the baseline to that of the harmonized model, and a grey mark is the noise ceiling.

    Parameters
    ----------
    pairs : DataFrame
        Pairs of one benchmark in one window, with the columns of
        :func:`~brainscore_itmaps.study.compare.add_raw_values`.
    note : str
        Text above the panels.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> pair = {"model": "harmonized_vgg16", "baseline": "vgg16_timm_baseline", "array": "PL", "raw": 0.38,
    ...         "ceiling": 0.8, "baseline_raw": 0.3, "difference": 0.1, "low": 0.05, "high": 0.15, "p_value": 0.01,
    ...         "q_value": 0.03}
    >>> figure = gains_figure(pd.DataFrame([pair, pair | {"array": "ML", "q_value": 0.2}]))
    >>> [axis.lines[1].get_markerfacecolor() for axis in figure.axes[::2]]
    ['#D55E00', 'white']
    """
    arrays = list(dict.fromkeys(pairs["array"]))
    width = check_width(width)
    names = [wrapped(str(name), 0.36 * width) for name in pairs["model"]]
    height = sum(0.12 + 0.13 * (name.count("\n") + 1) for name in names) + 0.5 * len(arrays) + 0.5
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        heights = [max(1, int((pairs["array"] == array).sum())) for array in arrays]
        panels = figure.subplots(
            len(arrays), 2, squeeze=False, sharex="col", sharey="row", height_ratios=heights, width_ratios=(3, 2)
        )
        for (axis, raw_axis), array in zip(panels, arrays, strict=True):
            array_pairs = pairs[pairs["array"] == array].iloc[::-1]
            for position, row in enumerate(array_pairs.itertuples()):
                is_mean = not row.baseline
                colour = CYCLE[6] if is_mean else CYCLE[1]
                significant = (row.p_value if is_mean else row.q_value) < SIGNIFICANT
                axis.plot([row.low, row.high], [position, position], color=colour, linewidth=1.2)
                axis.plot(row.difference, position, "D" if is_mean else "o", color=colour, markersize=5,
                          markerfacecolor=colour if significant else "white")  # fmt: skip
                raw_axis.plot([row.baseline_raw, row.raw], [position, position], color=colour, linewidth=1.2)
                for value, face, label in ((row.baseline_raw, "white", "baseline"), (row.raw, colour, "harmonized")):
                    raw_axis.plot(value, position, "s", color=colour, markersize=4, markerfacecolor=face,
                                  label=f"raw, {label}")  # fmt: skip
                raw_axis.plot(row.ceiling, position, "|", color=CEILING, markersize=10, markeredgewidth=2,
                              label="noise ceiling")  # fmt: skip
            axis.axvline(0, color=CEILING, linewidth=1, linestyle="--")
            axis.set_yticks(
                range(len(array_pairs)), [wrapped(str(name), 0.36 * width) for name in array_pairs["model"]]
            )
            axis.set(title=_short(str(array)), ylim=(-0.6, len(array_pairs) - 0.4))
            few_ticks(axis, 0.36 * width)
            few_ticks(raw_axis, 0.2 * width)
        panels[-1, 0].set_xlabel(wrapped("gain in score over the baseline", 0.4 * width))
        panels[-1, 1].set_xlabel(wrapped("raw value and noise ceiling", 0.25 * width))
        note = "\n".join(filter(None, [note, "filled: significant at a false discovery rate of 5 %"]))
        finish(figure, list(panels[:, 1]), height, note)
    return figure


def finish(
    figure: Figure,
    panels: Sequence[Axes],
    height: float,
    notes: str,
    named: Sequence[tuple[Axes, Sequence[Named]]] = (),
) -> None:
    """Draw the legend below the panels and notes above them, fit the height, and write names beside points.

    Parameters
    ----------
    figure : Figure
    panels : sequence of Axes
        With the entries of the legend.
    height : float
        Of all panels, in inches.
    notes : str
        Lines above the panels.
    named : sequence of (Axes, sequence of Named)
        For each panel its points with names.
    """
    legend_below(figure, panels)
    without, number = 0, sum(len(points) for _, points in named)
    for _ in range(2):  # a note on names that are left out changes the layout, and that the names
        note = f"names of {without} of {number} points are left out for lack of room" if without else ""
        write_title(figure, [*notes.splitlines(), note])
        fit_height(figure, height)
        figure.draw_without_rendering()
        for axis, _ in named:
            remove_names(axis)
        without = sum(write_names(axis, points[:NAMED]) + len(points[NAMED:]) for axis, points in named)
        if not without:
            break
    if without:
        note = f"names of {without} of {number} points are left out for lack of room"
        write_title(figure, [*notes.splitlines(), note])


def named_points(axis: Axes, rows: pd.DataFrame, column: str, value: str) -> tuple[Axes, list[Named]]:
    """Return the points of a panel with their names, harmonized models first, then by their values."""
    finite = rows[np.isfinite(rows[[column, value]].astype(float)).all(axis=1)]
    ordered = finite.assign(first=finite["group"] == "harmonized").sort_values(
        ["first", value, "model"], ascending=[False, False, True]
    )
    return axis, [
        Named(row[column], row[value], name_of_row(row).removeprefix("timm:")) for row in ordered.to_dict("records")
    ]


def panels_across(number: int, width: float) -> int:
    """Return how many panels stand side by side in a figure of some inches.

    Examples
    --------
    >>> panels_across(3, 7.0), panels_across(3, 3.5), panels_across(1, 7.0)
    (3, 1, 1)
    """
    return max(1, min(number, int(width / PANEL)))


def _panels(rows: pd.DataFrame, width: float) -> tuple[Figure, list[tuple[Axes, Axes]], float]:
    """Make two panels for each array, one for scores and one below it for raw values; as many side by side as fit."""
    number = rows["array"].nunique()
    across = panels_across(number, width)
    down = -(-number // across) or 1
    height = (4.4 if down == 1 else 3.6) * down
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(2 * down, across, squeeze=False, height_ratios=[3, 2] * down)
    pairs = [(grid[2 * (index // across), index % across], grid[2 * (index // across) + 1, index % across])
             for index in range(across * down)]  # fmt: skip
    for score_axis, raw_axis in pairs[number:]:
        score_axis.remove()
        raw_axis.remove()
    panels = pairs[:number]
    for index, (score_axis, raw_axis) in enumerate(panels):
        score_axis.sharex(raw_axis)
        score_axis.tick_params(labelbottom=False)
        for axis, first in zip((score_axis, raw_axis), panels[0], strict=True):
            if index:
                axis.sharey(first)
                axis.tick_params(labelleft=index % across == 0)
    return figure, panels, height


def _label_rows(panels: list[tuple[Axes, Axes]], rows: pd.DataFrame, label: str, width: float) -> None:
    """Label the axes, and say which panels have no scores."""
    across = panels_across(len(panels), width)
    benchmark = rows["benchmark"].iloc[0] + ("\n(EXPERIMENTAL)" if _is_experimental(rows) else "")
    for number, (axis, raw_axis) in enumerate(panels):
        if number % across == 0:
            axis.set_ylabel(wrapped(f"score on {benchmark}", PANEL))
            raw_axis.set_ylabel("raw value")
        raw_axis.set_xlabel(wrapped(label, PANEL))
        few_ticks(raw_axis, 0.8 * width / across)
        if not axis.has_data() or not np.isfinite(axis.dataLim.get_points()).all():
            axis.text(0.5, 0.5, "scores are not given", transform=axis.transAxes, ha="center", color="0.3")


def _draw_ceiling(axis: Axes, ceilings: "pd.Series[float]") -> None:
    """Draw the noise ceiling as a line, and as a band if it differs between models."""
    if ceilings.notna().any():
        axis.axhspan(ceilings.min(), ceilings.max(), color=CEILING, alpha=0.25, linewidth=0)
        axis.axhline(ceilings.median(), color=CEILING, linestyle="--", label="noise ceiling")


def _draw_groups(axis: Axes, rows: pd.DataFrame, column: str, value: str) -> None:
    """Draw the scores with their intervals, or the raw values, of each group of models."""
    few = len(rows) <= FEW
    for number, group in enumerate(GROUPS):
        members = rows[rows["group"] == group]
        if members.empty:
            continue
        spans = [members["score"] - members["low"], members["high"] - members["score"]]
        bars = np.nan_to_num(np.maximum(spans, 0)) if value == "score" else None
        axis.errorbar(
            members[column],
            members[value],
            bars,
            linestyle="",
            color=CYCLE[number % len(CYCLE)],
            marker=MARKS[number % len(MARKS)],
            markersize=5 if few else 3.5,
            elinewidth=0.6 if few else 0.3,
            label=group,
        )


def draw_lines(axis: Axes, lines: Lines | None, two_lines: bool = True) -> None:
    """Draw the upper edge, and two lines that meet; nothing if there are no fitted lines."""
    if lines is None:
        return
    low, high = lines.accuracies
    points = np.linspace(low, high, 100)
    axis.plot(points, np.polyval(lines.edge.coefficients[::-1], points), "--", color="0.2", linewidth=1.2,
              label="upper edge: 90 % of models lie below")  # fmt: skip
    if not two_lines:
        return
    at, value, before, after = lines.point[:4]
    bent = value + np.where(points < at, before, after) * (points - at)
    axis.plot(points, bent, ":", color="0.2", linewidth=1.2, label="two lines through all models")


def _draw_arrows(axis: Axes, rows: pd.DataFrame, arrows: Mapping[str, str]) -> None:
    by_name = {row["model"]: row for row in rows.to_dict("records")}
    for model, baseline in arrows.items():
        if model in by_name and baseline in by_name:
            ends = [(by_name[name]["imagenet_top1"], by_name[name]["score"]) for name in (model, baseline)]
            if np.isfinite(ends).all():
                axis.annotate("", ends[0], ends[1], arrowprops={"arrowstyle": "->", "color": "0.3", "linewidth": 0.8})


def notes_above(rows: pd.DataFrame, more: str = "") -> str:
    """Write the lines above the panels: recordings that are simulated, experimental measures, and absent scores.

    Examples
    --------
    >>> absent = {"simulated": False, "score": np.nan, "reason": "the noise ceiling is not reliable"}
    >>> notes_above(pd.DataFrame([absent, absent, absent | {"score": 0.5}]))
    'scores that are not given: 2 of 3 (the noise ceiling is not reliable)'
    """
    absent = rows[rows["score"].isna()]
    lines = [SIMULATED if rows["simulated"].any() else "", WHY_EXPERIMENTAL if _is_experimental(rows) else "", more]
    if len(absent):
        reasons = "; ".join(filter(None, absent.get("reason", pd.Series(dtype=object)).unique()))
        lines.append(f"scores that are not given: {len(absent)} of {len(rows)}" + (f" ({reasons})" if reasons else ""))
    return "\n".join(filter(None, lines))


def _is_experimental(rows: pd.DataFrame) -> bool:
    return bool(rows.get("experimental", pd.Series(False)).any())


def name_of_row(row: Any) -> str:
    """Return the name of the model in a row, with its weights if they are random; very long names are cut."""
    random = f" ({row['weights']})" if row["random"] else ""
    name = f"{row['model']}{random}"
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def _short(array: str) -> str:
    return array.removeprefix("Arcaro2020.")
