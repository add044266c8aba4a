"""The HTML page of a study: a scatter with links to maps, a table to sort and filter, fits, and figures."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from brainscore_itmaps.benchmark.catalogue import EXPERIMENTAL, mark_of
from brainscore_itmaps.benchmark.result import MEAN
from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.controls import p_text
from brainscore_itmaps.reporting.drawing import CYCLE, style
from brainscore_itmaps.reporting.report import read_template, render_page
from brainscore_itmaps.reporting.study_figures import Lines
from brainscore_itmaps.text import ABSENT, interval_text, number_text

DAGGER = "\N{DAGGER}"
BLACK = "#000000"
SIMULATED, PARTLY = "SIMULATED", "partly SIMULATED"
"""Marks of rows of simulated recordings, and of means over arrays of which some are simulated."""
WIDTH, HEIGHT, MARGIN = 640, 400, 60
INTERVAL = "interval"
PAGE_COLUMNS = {
    "model": "model",
    "score": "score",
    INTERVAL: "95 % interval",
    "raw": "raw",
    "ceiling": "ceiling",
    "best_control": "best control",
    "control_score": "control score",
    "imagenet_top1": "top-1, %",
    "group": "group",
    "layer": "layer",
    "benchmark": "benchmark",
    "array": "array",
    "window": "window, ms",
    "weights": "weights",
    "alignment": "alignment",
    "human_alignment": "human alignment",
    "tolerance": "tolerance",
    "adversarial_alignment": "adversarial alignment",
    "unique": "unique",
    "given_controls": "given controls",
    "without_typical_map": "without typical map",
    "p_value": "p",
    "protocol": "protocol",
    "reason": "why no score",
}
"""Columns that a reader can choose, with their headings."""
FIRST = ("model", "score", INTERVAL, "raw", "ceiling", "best_control", "control_score", "imagenet_top1", "layer")
"""Columns that are shown at first."""
IF_DIFFERENT = ("benchmark", "array", "window")
"""Columns that are shown at first if they differ between rows."""
RANKING = ("model", "score", "best control", "unique", "95 % interval", "given controls", "without typical map")
"""Headings of the tables of ranks on the page."""
NUMERIC = (INTERVAL, "imagenet_top1", "raw", "ceiling", "score", "alignment", "human_alignment", "tolerance",
           "adversarial_alignment", "control_score", "unique", "given_controls", "without_typical_map",
           "p_value")  # fmt: skip
ESTIMATED = ("raw", "ceiling", "score")
"""Columns in which a dash stands for an absent number."""
FILTERS = ("group", "benchmark", "array", "window")
DIFFERENCES = ("weights", "benchmark", "array", "asked", "window", "protocol", "layer", "result")
"""Columns that distinguish rows of one model, the first ones first."""
FILE_WEIGHTS = re.compile(r"file (?:.*[/\\])?([^/\\]+?)(?: \(.*\))?")
SHAPES = (
    "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z",
    "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "M0,-5.5L5.5,4.5H-5.5Z",
    "M0,-6.5L5,0L0,6.5L-5,0Z",
    "M0,5.5L5.5,-4.5H-5.5Z",
    "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "M0,-2.8L3.2,-6L6,-3.2L2.8,0L6,3.2L3.2,6L0,2.8L-3.2,6L-6,3.2L-2.8,0L-6,-3.2L-3.2,-6Z",
    "M0,-6.5L1.6,-2.2L6.2,-2L2.6,0.8L3.8,5.3L0,2.7L-3.8,5.3L-2.6,0.8L-6.2,-2L-1.6,-2.2Z",
)
"""Outlines of points, around the origin."""


class Column(NamedTuple):
    """A column of the table of results.

    Attributes
    ----------
    name, heading : str
    numeric : bool
        Whether it is sorted by number.
    shown : bool
        Whether it is shown before the reader chooses.
    """

    name: str
    heading: str
    numeric: bool
    shown: bool


class GroupMark(NamedTuple):
    """The mark of a group of models in the scatter plot.

    Attributes
    ----------
    colour : str
        A colour of CSS.
    outline : str
        Outline of the point, a path of SVG around the origin.
    """

    colour: str
    outline: str


class RowName(NamedTuple):
    """The name of a row.

    Attributes
    ----------
    model : str
        Name of the model, with its weights if they are random.
    differs : str
        What distinguishes the row from other rows of this model.
    """

    model: str
    differs: str

    def __str__(self) -> str:
        return ", ".join(filter(None, self))


class StudyFigure(NamedTuple):
    """A figure on the page, with the path of its files.

    Attributes
    ----------
    stem : str
        Path of its files relative to the page, without suffix.
    text : str
        Description of the figure.
    source : str
        Data URL of the image.
    inches : float
        Width of the figure, in inches.
    """

    stem: str
    text: str
    source: str
    inches: float


@style()
def study_page(
    rows: pd.DataFrame,
    pages: Mapping[str, str],
    lines: Mapping[tuple[str, ...], Lines],
    fits: pd.DataFrame,
    pairs: pd.DataFrame,
    ranking: pd.DataFrame,
    changes: Mapping[str, Sequence[str]],
    notes: Sequence[str],
    figures: Sequence[StudyFigure],
    citations: Sequence[str],
    published: tuple[Sequence[str], Sequence[str]] | None = None,
) -> str:
    """Write a study as an HTML page that links to the files of the study and loads nothing from the network.

    Parameters
    ----------
    rows : DataFrame
        The tidy table: :attr:`StudyTable.rows <brainscore_itmaps.study.table.StudyTable.rows>`.
    pages : mapping
        Name of a result to the path of its page, relative to this page.
    lines : mapping
        (benchmark, measure, requested window, protocol, array), as strings, to the lines of its panel.
    fits, pairs : DataFrame
        The tables of :class:`~brainscore_itmaps.study.fits.Findings`.
    ranking : DataFrame
        Rows of :class:`~brainscore_itmaps.study.ranking.Ranking`.
    changes : mapping of str to sequence of str
        For each ``panel`` of these rows, sentences about the ranks.
    notes : sequence of str
        Sentences about results that were left out.
    figures : sequence of StudyFigure
    citations : sequence of str
    published : (sequence of str, sequence of str), optional
        Places among published scores, and notes on them.

    Returns
    -------
    str
        HTML.
    """
    number = rows.drop_duplicates(["model", "weights"]).shape[0]
    names, marks, columns = names_of_rows(rows), marks_of_rows(rows), _columns(rows)
    panels = list(_panels(rows, names, marks, pages, lines))
    return render_page(
        "study.html",
        title=f"{number} models, {rows['benchmark'].nunique()} benchmark{'s' * (rows['benchmark'].nunique() != 1)}",
        simulated=_sentence_on_simulated(rows, marks),
        experimental=EXPERIMENTAL if rows["experimental"].any() else "",
        panels=panels,
        columns=columns,
        rows=list(_table_rows(rows, names, marks, columns, pages)),
        filters=[(name, PAGE_COLUMNS[name], values) for name in FILTERS
                 if len(values := list(dict.fromkeys(filter(None, rows[name])))) > 1],
        fits=_format_table(
            fits, ("array", "asked", "which", "models", "statistic", "estimate", "low", "high", "p_value")
        ),
        meanings=list(dict.fromkeys(zip(fits["statistic"], fits["meaning"], strict=True))),
        over=sorted(set(fits["over"])),
        pairs=_format_table(
            pairs,
            (
                "model",
                "array",
                "asked",
                "baseline_raw",
                "raw",
                "ceiling",
                "difference",
                "low",
                "high",
                "p_value",
                "q_value",
            ),
        ),
        rankings=[
            (panel, changes[str(panel)], list(_ranking_rows(ranked)), _mark_of_panel(marks_of_rows(ranked)))
            for panel, ranked in ranking.groupby("panel", sort=False)
        ],
        ranking_header=RANKING,
        notes=list(filter(str.strip, notes)),
        figures=figures if panels else figures[1:],
        hero=None if panels or not figures else figures[0],
        citations=citations_of(citations, rows["model"], maps=bool((rows["kind"] == "maps").any())),
        published=published,
        js=Markup(read_template("study.js")),
    )  # fmt: skip


def names_of_rows(rows: pd.DataFrame) -> list[RowName]:
    """Name each row by its model and, where a model has several rows, by what distinguishes them.

    Parameters
    ----------
    rows : DataFrame
        With the columns of :data:`DIFFERENCES`, ``model`` and ``random``.

    Examples
    --------
    >>> row = dict.fromkeys(DIFFERENCES, "") | {"model": "resnet50", "weights": "pretrained", "random": False}
    >>> rows = [row | {"layer": "layer3"}, row | {"layer": "layer4"}, row | {"model": "vgg16"}]
    >>> list(map(str, names_of_rows(pd.DataFrame(rows))))
    ['resnet50, layer3', 'resnet50, layer4', 'vgg16']
    """
    records = rows.to_dict("records")
    models = [f"{row['model']} ({row['weights']})" if row["random"] else str(row["model"]) for row in records]
    parts: list[list[str]] = [[] for _ in records]
    for column in DIFFERENCES:
        alike: dict[tuple[str, ...], list[int]] = {}
        for number, model in enumerate(models):
            alike.setdefault((model, *parts[number]), []).append(number)
        for members in alike.values():
            texts = [_text_of_difference(records[number], column) for number in members]
            if len(set(texts)) > 1:
                for number, text in zip(members, texts, strict=True):
                    parts[number] += [text] if text else []
    return [RowName(model, ", ".join(texts)) for model, texts in zip(models, parts, strict=True)]


def _text_of_difference(row: Mapping[Any, Any], column: str) -> str:
    text = str(row[column])
    if column == "weights" and (file := FILE_WEIGHTS.fullmatch(text)):
        return file[1]
    return text + mark_of(row.get("measure", "")) if column == "benchmark" else text


def marks_of_rows(rows: pd.DataFrame) -> list[str]:
    """Mark the rows of simulated recordings, and the means over arrays of which only some are simulated.

    Examples
    --------
    >>> shared = {"result": "resnet50"}
    >>> rows = [("PL", False), ("simulated", True), (MEAN, True)]
    >>> marks_of_rows(pd.DataFrame([shared | {"array": array, "simulated": simulated} for array, simulated in rows]))
    ['', 'SIMULATED', 'partly SIMULATED']
    """
    arrays = rows[rows["array"] != MEAN].groupby("result")["simulated"].all().to_dict()
    return [
        "" if not row["simulated"] else PARTLY if row["array"] == MEAN and not arrays.get(row["result"], True)
        else SIMULATED
        for row in rows.to_dict("records")
    ]  # fmt: skip


def _mark_of_panel(marks: Sequence[str]) -> str:
    """Return the mark that all rows of a panel share; that it is partly simulated, if only some have one."""
    return "" if not any(marks) else SIMULATED if set(marks) == {SIMULATED} else PARTLY


def _sentence_on_simulated(rows: pd.DataFrame, marks: Sequence[str]) -> str:
    """Say which of the rows are of simulated recordings; empty if none is."""
    simulated, partly = marks.count(SIMULATED), marks.count(PARTLY)
    if not simulated + partly:
        return ""
    if simulated == len(rows):
        return "SIMULATED recordings: no animal was recorded. These scores say nothing about brains."
    means = f", and {partly} are means over arrays of which some are" if partly else ""
    return (f"{simulated} of {len(rows)} rows are of SIMULATED recordings{means}: no animal was recorded for these, "
            "and their scores say nothing about brains. Each of these rows is marked.")  # fmt: skip


def mark_of_group(number: int) -> GroupMark:
    """Return colour and outline of a group; those of the first 64 groups differ from each other.

    Examples
    --------
    >>> mark_of_group(0).colour == mark_of_group(8).colour, mark_of_group(0).outline == mark_of_group(8).outline
    (True, False)
    """
    colour = CYCLE[number % len(CYCLE)]
    outline = SHAPES[(number + number // len(CYCLE)) % len(SHAPES)]
    return GroupMark("var(--text)" if colour == BLACK else colour, outline)


def _columns(rows: pd.DataFrame) -> list[Column]:
    """Choose the columns that contain anything, and those that are shown at first."""
    columns = []
    for name, heading in PAGE_COLUMNS.items():
        values = rows["low" if name == INTERVAL else name]
        is_empty = not (values.notna() & (values.astype(str) != "")).any()
        if is_empty and name not in FIRST:
            continue
        shown = (name in FIRST and not is_empty) or (name in IF_DIFFERENT and _differs(rows, name))
        columns.append(Column(name, heading, name in NUMERIC, shown or name in ("model", "score", INTERVAL)))
    return columns


def _differs(rows: pd.DataFrame, column: str) -> bool:
    """Return whether a column tells rows apart; an array does where a benchmark has several of them."""
    if column == "array":
        return bool((rows.groupby("benchmark")["array"].nunique() > 1).any())
    return rows.loc[rows[column] != "", column].nunique() > 1


def _panels(
    rows: pd.DataFrame,
    names: Sequence[RowName],
    marks: Sequence[str],
    pages: Mapping[str, str],
    lines: Mapping[tuple[str, ...], Lines],
) -> Iterator[dict[str, Any]]:
    """Draw a scatter for each benchmark, window and array with at least two known accuracies."""
    named, marked = (pd.Series(map(str, texts), index=rows.index) for texts in (names, marks))
    for key, panel_rows in rows.groupby(["benchmark", "measure", "asked", "protocol", "array"], sort=False):
        benchmark, measure, asked, protocol, array = panel = tuple(map(str, key))
        known = panel_rows[panel_rows["imagenet_top1"].notna()]
        scored = known[np.isfinite(known["score"])]
        if scored["imagenet_top1"].nunique() < 2:
            continue
        title = protocol_named(protocol).title
        heights = scored[["score", "low", "high"]].to_numpy(dtype=float)
        heights = heights[np.isfinite(heights)]
        x, y = _scale(scored["imagenet_top1"], MARGIN, WIDTH - 12), _scale(heights, HEIGHT - MARGIN, 12)
        short = pd.Series(map(str, names_of_rows(panel_rows)), index=panel_rows.index)
        groups = [*GROUPS, *sorted(set(scored["group"]) - set(GROUPS))]
        yield {
            "name": " ".join(
                dict.fromkeys(filter(None, (benchmark + mark_of(measure), array, asked, title and f"({title})")))
            ),
            "mark": _mark_of_panel(list(marked[panel_rows.index])),
            "unknown": list(short[panel_rows.index.difference(known.index, sort=False)]),
            "absent": list(short[known.index.difference(scored.index, sort=False)]),
            "ceiling": _range_text(scored["ceiling"]),
            "opens": any(pages.get(result) for result in scored["result"]),
            "has_bars": bool(np.isfinite(scored[["low", "high"]]).all(axis=1).any()),
            "width": WIDTH,
            "height": HEIGHT,
            "margin": MARGIN,
            "x_ticks": [(round(x(tick), 1), f"{tick:g}") for tick in _ticks(scored["imagenet_top1"])],
            "y_ticks": [(round(y(tick), 1), f"{tick:g}") for tick in _ticks(heights)],
            "edge": _edge_path(lines.get(panel), x, y),
            "groups": [(group, mark_of_group(number)) for number, group in enumerate(groups)
                       if (scored["group"] == group).any()],
            "points": [
                {
                    "row": number,
                    "x": round(x(row["imagenet_top1"]), 1),
                    "y": round(y(row["score"]), 1),
                    "bar": [round(y(row[end]), 1) for end in ("low", "high")] if _has_interval(row) else None,
                    "mark": mark_of_group(groups.index(row["group"])),
                    "page": pages.get(row["result"], ""),
                    "text": f"{named[number]}, top-1 {row['imagenet_top1']:.1f} %, score {row['score']:.3f}"
                    + (f" ({interval_text(row['low'], row['high'])})" if _has_interval(row) else "")
                    + f", raw {number_text(row['raw'])} of {number_text(row['ceiling'])}"
                    + (f", {marked[number]}" if marked[number] else ""),
                }
                for number, row in zip(scored.index, scored.to_dict("records"), strict=True)
            ],
        }  # fmt: skip


def _has_interval(row: Mapping[Any, Any]) -> bool:
    return bool(np.isfinite([row["low"], row["high"]]).all())


def _range_text(values: "pd.Series[float]") -> str:
    """Write the smallest and the largest of several numbers, or the number if they are equal."""
    return " to ".join(dict.fromkeys(number_text(value) for value in (values.min(), values.max())))


def _table_rows(
    rows: pd.DataFrame,
    names: Sequence[RowName],
    marks: Sequence[str],
    columns: Sequence[Column],
    pages: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Write the cells of each row, with the values by which numbers are sorted."""
    for number, name, mark, row in zip(rows.index, names, marks, rows.to_dict("records"), strict=True):
        yield {
            "row": number,
            "page": pages.get(row["result"], ""),
            "name": name,
            "mark": mark,
            "cells": [(column.name, *_cell(row, column.name)) for column in columns[1:]],
            "keys": {column: row[column] for column in FILTERS},
        }


def _cell(row: Mapping[Any, Any], column: str) -> tuple[str, str]:
    """Write the text of a cell, and the value by which it is sorted if it is a number."""
    if column == INTERVAL:
        return interval_text(row["low"], row["high"]), repr(float(row["low"])) if _has_interval(row) else ""
    value = row[column]
    if column not in NUMERIC:
        return (value + mark_of(row["measure"]) if column == "benchmark" else value), ""
    if value is None or not np.isfinite(value):
        return ABSENT if column in ESTIMATED else "", ""
    text = p_text(value) if column == "p_value" else number_text(value, 1 if column == "imagenet_top1" else 3)
    return text, repr(float(value))


def _ranking_rows(ranking: pd.DataFrame) -> Iterator[list[str]]:
    """Convert numbers and their ranks to strings; a dagger marks models whose best control reaches their score."""
    for name, row in zip(map(str, names_of_rows(ranking)), ranking.to_dict("records"), strict=True):
        score, unique, given, without = (
            number_text(row[column]) + (f" ({row[rank]})" if isinstance(row[rank := f"rank_{column}"], int) else "")
            for column in ("score", "unique", "given_controls", "without_typical_map")
        )
        control = f"{row['best_control']} {number_text(row['control_score'])}"
        interval = interval_text(row["unique_low"], row["unique_high"])
        yield [f"{name} {DAGGER}" if row["reached"] else name, score, control, unique, interval, given, without]


def _format_table(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Convert a table to strings, without the column of requested windows where none was requested."""
    columns = [column for column in columns if column != "asked" or (table[column] != "").any()]
    return {
        "header": [column.replace("_", " ") for column in columns],
        "rows": [[_format_value(row[column]) for column in columns] for row in table.to_dict("records")],
    }


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)


def _scale(values: Any, start: float, stop: float) -> Any:
    low, high = float(np.min(values)), float(np.max(values))
    room = 0.06 * (high - low or 1)
    return lambda value: start + (value - low + room) / (high - low + 2 * room) * (stop - start)


def _ticks(values: Any) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    low, high = float(np.min(values)), float(np.max(values))
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def _edge_path(lines: Lines | None, x: Any, y: Any) -> str:
    """Write the upper edge as the points of an SVG polyline."""
    if lines is None:
        return ""
    points = np.linspace(*lines.accuracies, 60)
    heights = np.polyval(lines.edge.coefficients[::-1], points)
    return " ".join(f"{x(point):.1f},{y(height):.1f}" for point, height in zip(points, heights, strict=True))
