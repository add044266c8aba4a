"""The HTML page of a study: a scatter with links to maps, a table to sort and filter, fits, and figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from brainscore_itmaps.benchmark.catalogue import EXPERIMENTAL, mark_of
from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.reporting.drawing import CYCLE, style
from brainscore_itmaps.reporting.report import read_template, render_page
from brainscore_itmaps.reporting.study_figures import Lines
from brainscore_itmaps.text import ABSENT, interval_text, number_text

DAGGER = "\N{DAGGER}"
WIDTH, HEIGHT, MARGIN = 640, 400, 60
PAGE_COLUMNS = {
    "model": "model",
    "group": "group",
    "imagenet_top1": "top-1, %",
    "benchmark": "benchmark",
    "array": "array",
    "window": "window, ms",
    "layer": "layer",
    "raw": "raw",
    "ceiling": "ceiling",
    "score": "score",
    "low": "from",
    "high": "to",
    "alignment": "alignment",
    "human_alignment": "human alignment",
    "tolerance": "tolerance",
    "adversarial_alignment": "adversarial alignment",
}
"""Columns of the table on the page, with their headings."""
RANKING = ("model", "score", "best control", "unique", "95 % interval", "given controls", "without typical map")
"""Headings of the tables of ranks on the page."""
NUMERIC = ("imagenet_top1", "raw", "ceiling", "score", "low", "high", "alignment", "human_alignment",
           "tolerance", "adversarial_alignment")  # fmt: skip
ESTIMATED = ("raw", "ceiling", "score", "low", "high")
"""Columns in which a dash stands for an absent number."""
FILTERS = ("group", "benchmark", "array", "window")


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
    """

    stem: str
    text: str
    source: str


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
    return render_page(
        "study.html",
        title=f"{number} models, {rows['benchmark'].nunique()} benchmark{'s' * (rows['benchmark'].nunique() != 1)}",
        simulated=bool(rows["simulated"].any()),
        experimental=EXPERIMENTAL if rows["experimental"].any() else "",
        panels=list(_panels(rows, pages, lines)),
        header=list(PAGE_COLUMNS.items()),
        numeric=NUMERIC,
        rows=list(_table_rows(rows, pages)),
        filters=[(name, PAGE_COLUMNS[name], list(dict.fromkeys(filter(None, rows[name])))) for name in FILTERS],
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
            (panel, changes[str(panel)], list(_ranking_rows(ranked)))
            for panel, ranked in ranking.groupby("panel", sort=False)
        ],
        ranking_header=RANKING,
        notes=notes,
        figures=figures,
        citations=citations,
        published=published,
        js=Markup(read_template("study.js")),
    )


def _panels(
    rows: pd.DataFrame, pages: Mapping[str, str], lines: Mapping[tuple[str, ...], Lines]
) -> Iterator[dict[str, Any]]:
    """Draw a scatter for each benchmark, window and array with at least two known accuracies."""
    for key, panel_rows in rows.groupby(["benchmark", "measure", "asked", "protocol", "array"], sort=False):
        benchmark, measure, asked, protocol, array = panel = tuple(map(str, key))
        known = panel_rows[panel_rows["imagenet_top1"].notna()]
        scored = known[np.isfinite(known["score"])]
        if scored["imagenet_top1"].nunique() < 2:
            continue
        title = protocol_named(protocol).title
        x, y = _scale(scored["imagenet_top1"], MARGIN, WIDTH - 12), _scale(scored["score"], HEIGHT - MARGIN, 12)
        yield {
            "name": " ".join(
                dict.fromkeys(filter(None, (benchmark + mark_of(measure), array, asked, title and f"({title})")))
            ),
            "left_out": len(panel_rows) - len(known),
            "absent": len(known) - len(scored),
            "ceiling": _range_text(scored["ceiling"]),
            "opens": any(pages.get(result) for result in scored["result"]),
            "width": WIDTH,
            "height": HEIGHT,
            "margin": MARGIN,
            "x_ticks": [(round(x(tick), 1), f"{tick:g}") for tick in _ticks(scored["imagenet_top1"])],
            "y_ticks": [(round(y(tick), 1), f"{tick:g}") for tick in _ticks(scored["score"])],
            "edge": _edge_path(lines.get(panel), x, y),
            "groups": [(group, _colour(group)) for group in GROUPS if (scored["group"] == group).any()],
            "points": [
                {
                    "row": number,
                    "x": round(x(row["imagenet_top1"]), 1),
                    "y": round(y(row["score"]), 1),
                    "colour": _colour(row["group"]),
                    "harmonized": row["group"] == "harmonized",
                    "page": pages.get(row["result"], ""),
                    "text": f"{row['model']}, top-1 {row['imagenet_top1']:.1f} %, score {row['score']:.3f}"
                    + (f" ({interval_text(row['low'], row['high'])})" if np.isfinite(row["low"]) else "")
                    + f", raw {number_text(row['raw'])} of {number_text(row['ceiling'])}",
                }
                for number, row in zip(scored.index, scored.to_dict("records"), strict=True)
            ],
        }


def _range_text(values: "pd.Series[float]") -> str:
    """Write the smallest and the largest of several numbers, or the number if they are equal."""
    return " to ".join(dict.fromkeys(number_text(value) for value in (values.min(), values.max())))


def _table_rows(rows: pd.DataFrame, pages: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for number, row in zip(rows.index, rows.to_dict("records"), strict=True):
        name = row["model"] if not row["random"] else f"{row['model']} ({row['weights']})"
        cells = []
        for column in PAGE_COLUMNS:
            value = row[column]
            if column in NUMERIC:
                is_defined = value is not None and np.isfinite(value)
                digits, absent = (1 if column == "imagenet_top1" else 3), ABSENT if column in ESTIMATED else ""
                cells.append(
                    (number_text(value, digits) if is_defined else absent, repr(float(value)) if is_defined else "")
                )
            elif column == "benchmark":
                cells.append((value + mark_of(row["measure"]), ""))
            else:
                cells.append((name if column == "model" else value, ""))
        yield {
            "row": number,
            "page": pages.get(row["result"], ""),
            "cells": cells,
            "keys": {column: row[column] for column in FILTERS},
        }


def _ranking_rows(ranking: pd.DataFrame) -> Iterator[list[str]]:
    """Convert numbers and their ranks to strings; a dagger marks models whose best control reaches their score."""
    for row in ranking.to_dict("records"):
        name = f"{row['model']} ({row['weights']})" if row["random"] else row["model"]
        score, unique, given, without = (
            number_text(row[column]) + (f" ({row[rank]})" if isinstance(row[rank := f"rank_{column}"], int) else "")
            for column in ("score", "unique", "given_controls", "without_typical_map")
        )
        control = f"{row['best_control']} {number_text(row['control_score'])}"
        interval = interval_text(row["unique_low"], row["unique_high"])
        yield [f"{name} {DAGGER}" if row["reached"] else name, score, control, unique, interval, given, without]


def _format_table(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Convert a table to strings."""
    return {
        "header": [column.replace("_", " ") for column in columns],
        "rows": [[_format_value(row[column]) for column in columns] for row in table.to_dict("records")],
    }


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)


def _colour(group: str) -> str:
    return CYCLE[GROUPS.index(group) % len(CYCLE)]


def _scale(values: "pd.Series[float]", start: float, stop: float) -> Any:
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low or 1)
    return lambda value: start + (value - low + room) / (high - low + 2 * room) * (stop - start)


def _ticks(values: "pd.Series[float]") -> list[float]:
    from matplotlib.ticker import MaxNLocator

    low, high = float(values.min()), float(values.max())
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def _edge_path(lines: Lines | None, x: Any, y: Any) -> str:
    """Write the upper edge as the points of an SVG polyline."""
    if lines is None:
        return ""
    points = np.linspace(*lines.accuracies, 60)
    heights = np.polyval(lines.edge.coefficients[::-1], points)
    return " ".join(f"{x(point):.1f},{y(height):.1f}" for point, height in zip(points, heights, strict=True))
