"""Write published scores as tables, figures and a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from brainscore_itmaps.data.published import CITATION, CITATION_ADVERSARIAL, LICENCE, published_files
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import ANOTHER_FOLDER, check_writable, json_value, replacing, write_json
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.reporting.published_figures import published_figure
from brainscore_itmaps.reporting.published_page import published_page
from brainscore_itmaps.reporting.study_figures import Lines
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.study.drawn import Drawing, write_csv, write_drawing
from brainscore_itmaps.study.published import ADVERSARIAL, BRAIN_SCORE, CLICKME, RECORDINGS
from brainscore_itmaps.study.published_fits import PublishedFits, published_findings, published_limits

PAGE = "index.html"
SOURCE = "as published by Linsley, Feng & Serre (2025)"
FIGURES = {
    RECORDINGS: ("recordings", 5, f"Scores on the recordings, {SOURCE}: best layer of each model on the scored images"),
    BRAIN_SCORE: ("brain_score", 3, f"IT scores on Brain-Score, {SOURCE}"),
    CLICKME: ("clickme", 1, f"Alignment with human importance maps, {SOURCE}"),
    ADVERSARIAL: (
        "adversarial",
        5,
        "Attacks, as published with Beyond Adversarial Robustness (2025)",
    ),
}
"""Name of the file, number of columns and title of the figure of each group of panels."""


def check_folder(out: str | Path) -> Path:
    """Return the folder to write into, before anything is computed.

    Raises
    ------
    UsageError
        When it is a file.
    InstallationError
        When it cannot be written.
    """
    folder = expanded(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", ANOTHER_FOLDER)
    check_writable(folder / PAGE)
    return folder


def write_published(
    out: str | Path, points: pd.DataFrame, fits: PublishedFits, progress: Report = silent
) -> tuple[Path, ...]:
    """Write published scores and their statistics: CSV, JSON, figures as SVG, PDF and PNG, and a page with links.

    Parameters
    ----------
    out : str or Path
        Folder to write into; earlier files are overwritten.
    points : DataFrame
        Of :func:`~brainscore_itmaps.study.published.published_points`.
    fits : PublishedFits
        Fitted to these points.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    tuple of Path
        The written files, the page first.
    """
    folder = check_folder(out)
    table = fits.to_dataframe()
    tables = {"published_points.csv": points, "published_fits.csv": table}
    for name, rows in tables.items():
        with replacing(folder / name) as temporary:
            write_csv(temporary, rows)
    write_json(folder / "published.json", published_json(fits))
    files = [folder / name for name in (*tables, "published.json")]
    embedded = []
    for number, drawing in enumerate(drawings := list(_drawings(points, fits))):
        progress("drawing", number, len(drawings))
        embedded.append(write_drawing(folder, drawing, files, png=True))
    addresses = [file.address() for file in published_files()]
    text = published_page(
        table,
        published_findings(fits),
        published_limits(fits),
        embedded,
        (*tables, "published.json"),
        addresses,
        (CITATION, CITATION_ADVERSARIAL),
        LICENCE,
        len(set(points.loc[points["group"] == RECORDINGS, "model"]) or set(points["model"])),
    )
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return (folder / PAGE, *files)


def published_json(fits: PublishedFits) -> dict[str, Any]:
    """Convert statistics and sentences to plain values for JSON, None for absent numbers.

    Examples
    --------
    >>> published_json(PublishedFits(()))["panels"]
    []
    """
    return {
        "as_published": True,
        "robust_included": fits.robust,
        "panels": json_value(fits.to_dataframe().to_dict("records")),
        "findings": published_findings(fits),
        "limits": published_limits(fits),
        "citations": [CITATION, CITATION_ADVERSARIAL],
        "licence": LICENCE,
    }


def _drawings(points: pd.DataFrame, fits: PublishedFits) -> Iterator[Drawing]:
    lines = lines_of(fits)
    for group, (stem, columns, title) in FIGURES.items():
        for shifted, rows in points[points["group"] == group].groupby("shifted"):
            more = "; shifted tables, which likely contain an artefact shared by models" if shifted else ""
            figure = published_figure(rows, lines, columns=columns, title=title + more, robust=fits.robust)
            yield Drawing(f"{stem}_shifted" if shifted else stem, title + more, figure, rows)


def lines_of(fits: PublishedFits) -> dict[str, Lines]:
    """Return the lines of each panel that has an upper edge.

    Examples
    --------
    >>> lines_of(PublishedFits(()))
    {}
    """
    return {fit.panel: Lines(fit.edge, fit.point, fit.range) for fit in fits.panels if fit.edge and fit.point}
