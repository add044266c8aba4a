"""The HTML page of published scores: sentences, statistics, and figures with links to their files."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.report import render_page
from brainscore_itmaps.reporting.study_page import StudyFigure
from brainscore_itmaps.text import ABSENT, number_text

NO_BREAK = "\N{NO-BREAK SPACE}"
TITLE = "Published scores of {} models"
ABOUT = (
    "All scores on this page are as published by others; this package computed only the statistics. Scores on the "
    "recordings are divided by the published noise ceiling; the grey axes of their figures have raw values."
)
STATISTICS = (
    ("rho", "rho", 2),
    ("rho from 70 %", "rho_from_70", 2),
    ("slope of the edge's end", "edge_end_slope", 4),
    ("change point, %", "change_point", 1),
    ("slope after it", "slope_after", 4),
)
"""Heading, column and decimals of the statistics on the page."""


def published_page(
    fits: pd.DataFrame,
    findings: Sequence[str],
    limits: Sequence[str],
    figures: Sequence[StudyFigure],
    files: Sequence[str],
    sources: Sequence[str],
    citations: Sequence[str],
    licence: str,
    models: int,
) -> str:
    """Write published scores as an HTML page that loads nothing from the network.

    Parameters
    ----------
    fits : DataFrame
        Statistics of each panel (:meth:`~brainscore_itmaps.study.published_fits.PublishedFits.to_dataframe`).
    findings, limits : sequence of str
        Sentences.
    figures : sequence of StudyFigure
    files : sequence of str
        Tables beside the page, relative to it.
    sources : sequence of str
        Addresses of the files that were read.
    citations : sequence of str
    licence : str
    models : int

    Returns
    -------
    str
        HTML.
    """
    return render_page(
        "published.html",
        title=TITLE.format(models),
        about=ABOUT,
        licence=licence,
        files=files,
        findings=findings,
        limits=limits,
        fits={
            "header": ["panel", "models", *(heading for heading, _, _ in STATISTICS)],
            "rows": [_cells(row) for row in fits.to_dict("records")],
        },
        figures=figures,
        sources=sources,
        citations=citations_of(citations, brain_score=False),
    )


def _cells(row: dict[Any, Any]) -> list[str]:
    return [str(row["panel"]), str(row["models"]), *(_estimate(row, name, digits) for _, name, digits in STATISTICS)]


def _estimate(row: dict[Any, Any], name: str, digits: int) -> str:
    """Write an estimate with its interval; a dash where there is none."""
    value, low, high = (row.get(key, float("nan")) for key in (name, f"{name}_low", f"{name}_high"))
    if value != value:
        return ABSENT
    sign = "" if name == "change_point" else "+"
    return f"{{}} ({{}}{NO_BREAK}to{NO_BREAK}{{}})".format(
        *(number_text(number, digits, sign) for number in (value, low, high))
    )
