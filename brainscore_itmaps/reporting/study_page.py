"""The page of a study: a scatter whose points open maps, a table that sorts and filters, fits, and figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.protocol import PUBLISHED
from brainscore_itmaps.reporting.drawing import CYCLE
from brainscore_itmaps.reporting.report import filled, text_of
from brainscore_itmaps.reporting.study_figures import Lines

WIDTH, HEIGHT, MARGIN = 640, 400, 60
SHOWN = {
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
}
"""Columns of the table on the page, and their heads."""
AS_PUBLISHED = {PUBLISHED.name: "(as published)"}
NUMBERS = ("imagenet_top1", "raw", "ceiling", "score", "low", "high", "alignment", "human_alignment")
FILTERS = ("group", "benchmark", "array", "window")


class StudyFigure(NamedTuple):
    """A figure beside the page.

    Attributes
    ----------
    stem : str
        Of its files, from the page on, without ending.
    text : str
        What is to be seen.
    source : str
        An address that holds the image itself.
    """

    stem: str
    text: str
    source: str


def study_page(
    rows: pd.DataFrame,
    pages: Mapping[str, str],
    lines: Mapping[tuple[str, ...], Lines],
    fits: pd.DataFrame,
    pairs: pd.DataFrame,
    notes: Sequence[str],
    figures: Sequence[StudyFigure],
    citations: Sequence[str],
) -> str:
    """Write a study as a page beside its files; the page needs no connection.

    Parameters
    ----------
    rows : DataFrame
        The tidy table.
    pages : mapping
        From a result to its page, as an address from this page on.
    lines : mapping
        From (benchmark, measure, asked window, protocol, array), as texts, to what was fitted there.
    fits, pairs : DataFrame
    notes : sequence of str
        What was left out, and why.
    figures : sequence of StudyFigure
    citations : sequence of str

    Returns
    -------
    str
        HTML.
    """
    number = rows.drop_duplicates(["model", "weights"]).shape[0]
    return filled(
        "study.html",
        title=f"{number} models, {rows['benchmark'].nunique()} benchmark{'s' * (rows['benchmark'].nunique() != 1)}",
        simulated=bool(rows["simulated"].any()),
        panels=list(_panels(rows, pages, lines)),
        header=list(SHOWN.items()),
        numeric=NUMBERS,
        rows=list(_cells(rows, pages)),
        filters=[(name, SHOWN[name], list(dict.fromkeys(filter(None, rows[name])))) for name in FILTERS],
        fits=_plain(fits, ("array", "asked", "which", "models", "statistic", "estimate", "low", "high", "p_value")),
        meanings=list(dict.fromkeys(zip(fits["statistic"], fits["meaning"], strict=True))),
        over=sorted(set(fits["over"])),
        pairs=_plain(pairs, ("model", "array", "asked", "difference", "low", "high", "p_value", "q_value")),
        notes=notes,
        figures=figures,
        citations=citations,
        js=Markup(text_of("study.js")),
    )


def _panels(
    rows: pd.DataFrame, pages: Mapping[str, str], lines: Mapping[tuple[str, ...], Lines]
) -> Iterator[dict[str, Any]]:
    """Draw a scatter for each benchmark, window and array with at least two known accuracies."""
    for key, own in rows.groupby(["benchmark", "measure", "asked", "protocol", "array"], sort=False):
        benchmark, _, asked, published, array = place = tuple(map(str, key))
        known = own[own["imagenet_top1"].notna() & np.isfinite(own["score"])]
        if known["imagenet_top1"].nunique() < 2:
            continue
        x, y = _scale(known["imagenet_top1"], MARGIN, WIDTH - 12), _scale(known["score"], HEIGHT - MARGIN, 12)
        yield {
            "name": " ".join(dict.fromkeys(filter(None, (benchmark, array, asked, AS_PUBLISHED.get(published, ""))))),
            "left_out": len(own) - len(known),
            "opens": any(pages.get(result) for result in known["result"]),
            "width": WIDTH,
            "height": HEIGHT,
            "margin": MARGIN,
            "x_ticks": [(round(x(tick), 1), f"{tick:g}") for tick in _ticks(known["imagenet_top1"])],
            "y_ticks": [(round(y(tick), 1), f"{tick:g}") for tick in _ticks(known["score"])],
            "edge": _path(lines.get(place), x, y),
            "groups": [(group, _colour(group)) for group in GROUPS if (known["group"] == group).any()],
            "points": [
                {
                    "row": number,
                    "x": round(x(row["imagenet_top1"]), 1),
                    "y": round(y(row["score"]), 1),
                    "colour": _colour(row["group"]),
                    "harmonized": row["group"] == "harmonized",
                    "page": pages.get(row["result"], ""),
                    "text": f"{row['model']}, top-1 {row['imagenet_top1']:.1f} %, score {row['score']:.3f}"
                    + (f" ({row['low']:.3f} to {row['high']:.3f})" if np.isfinite(row["low"]) else ""),
                }
                for number, row in zip(known.index, known.to_dict("records"), strict=True)
            ],
        }


def _cells(rows: pd.DataFrame, pages: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for place, row in zip(rows.index, rows.to_dict("records"), strict=True):
        name = row["model"] if not row["random"] else f"{row['model']} ({row['weights']})"
        cells = []
        for column in SHOWN:
            value = row[column]
            if column in NUMBERS:
                known = value is not None and np.isfinite(value)
                digits = 1 if column == "imagenet_top1" else 3
                cells.append((f"{value:.{digits}f}" if known else "", repr(float(value)) if known else ""))
            else:
                cells.append((name if column == "model" else value, ""))
        yield {
            "row": place,
            "page": pages.get(row["result"], ""),
            "cells": cells,
            "keys": {column: row[column] for column in FILTERS},
        }


def _plain(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Convert a table to texts."""
    return {
        "header": [column.replace("_", " ") for column in columns],
        "rows": [[_shown(row[column]) for column in columns] for row in table.to_dict("records")],
    }


def _shown(value: Any) -> str:
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


def _path(lines: Lines | None, x: Any, y: Any) -> str:
    """Write the upper edge as an SVG path."""
    if lines is None:
        return ""
    points = np.linspace(*lines.accuracies, 60)
    heights = np.polyval(lines.edge.coefficients[::-1], points)
    return " ".join(f"{x(point):.1f},{y(height):.1f}" for point, height in zip(points, heights, strict=True))
