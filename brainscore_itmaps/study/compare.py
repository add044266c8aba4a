"""Compare results: one table, fits, figures with their data, and an interactive page."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brainscore_itmaps.benchmark.result import MEAN, Result
from brainscore_itmaps.bridge.images import images_of
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.files import check_writable, csv_cell, replacing
from brainscore_itmaps.models.zoo import baseline_of
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import PUBLISHED
from brainscore_itmaps.reporting.drawing import SIMULATED, style
from brainscore_itmaps.reporting.embedded import address
from brainscore_itmaps.reporting.report import report
from brainscore_itmaps.reporting.study_figures import (
    Lines,
    accuracy_figure,
    gains_figure,
    relation_figure,
    temporal_figure,
)
from brainscore_itmaps.reporting.study_page import StudyFigure, study_page
from brainscore_itmaps.study.fits import ALL, DRAWS, Findings, Fit, findings
from brainscore_itmaps.study.table import MAPS, SET, StudyTable, tidy_table

WHERE = "Name another folder with --out."
PAGE = "index.html"
FIGURES = "figures"


@dataclass(frozen=True, repr=False)
class Comparison:
    """The outcome of a comparison, and the files with it.

    Attributes
    ----------
    table : StudyTable
    findings : Findings
    page : Path
    files : tuple of Path
        Everything that was written.
    """

    table: StudyTable
    findings: Findings
    page: Path
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        return f"<Comparison of {self.table.rows['model'].nunique()} models: {self.page}>"


@dataclass(frozen=True)
class _Figure:
    stem: str
    text: str
    figure: Any
    data: pd.DataFrame


def compare(
    results: Iterable[str | Path | Result],
    out: str | Path,
    *,
    maps: bool = True,
    draws: int = DRAWS,
    progress: Report = silent,
) -> Comparison:
    """Compare results of many models.

    Writes into ``out``: ``table.csv`` and ``table.parquet``, a row for each model, array and window; ``fits.csv`` and
    ``pairs.csv``; ``figures/``, each as SVG and PDF with its data as CSV; ``maps/``, the page of each result; and
    ``index.html``, which leads to all of it.

    Parameters
    ----------
    results : iterable of str, Path or Result
        Results, their JSON files, or folders that hold some; also human alignment and scores of Brain-Score's own
        benchmarks.
    out : path
        Folder; what was written there by an earlier comparison is written over.
    maps : bool
        Write the pages of single results, a few megabytes each.
    draws : int
        Of the bootstrap of each fit.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    UsageError
        When there is nothing to compare, or ``out`` is a file.
    DataError
        When a file that was named is not a result.
    InstallationError
        When something cannot be written.
    """
    folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", WHERE)
    check_writable(folder / PAGE, WHERE)
    progress("reading results", 0, 1)
    table = tidy_table(results)
    progress("fitting", 0, 1)
    found = findings(table, draws)
    files = list(_write_tables(folder, table, found))
    pages, troubles = _write_pages(folder, table, progress) if maps else ({}, [])
    drawn = []
    for number, each in enumerate(figures := list(_figures(table, found))):
        progress("drawing", number, len(figures))
        drawn.append(_write_figure(folder, each, files))
    page = folder / PAGE
    notes = [*table.troubles, *troubles, *found.notes]
    lines: dict[tuple[str, ...], Lines] = {(*map(str, fit.key), fit.array): line for fit, line in _lines(found)}
    text = study_page(table.rows, pages, lines, found.fits_table(), found.pairs, notes, drawn, table.citations)
    with replacing(page, WHERE) as beside:
        beside.write_text(text, encoding="utf-8")
    files += [folder / place for place in pages.values()]
    return Comparison(table, found, page, (page, *files))


def _write_tables(folder: Path, table: StudyTable, found: Findings) -> Iterator[Path]:
    for name, rows in (("table", table.rows), ("fits", found.fits_table()), ("pairs", found.pairs)):
        with replacing(folder / f"{name}.csv", WHERE) as beside:
            _write_csv(beside, rows)
        yield folder / f"{name}.csv"
    with replacing(folder / "table.parquet", WHERE) as beside:
        table.rows.to_parquet(beside, index=False)
    yield folder / "table.parquet"


def _write_csv(file: Path, rows: Any) -> None:
    rows.rename(columns=csv_cell).apply(lambda column: column.map(csv_cell)).to_csv(file, index=False)


def _write_pages(folder: Path, table: StudyTable, progress: Report) -> tuple[dict[str, str], list[str]]:
    """Write the page of each result of maps, except where a page is newer than its result."""
    pages, troubles = {}, []
    for number, (name, source) in enumerate(table.sources.items()):
        progress("writing pages with maps", number, len(table.sources))
        file = folder / MAPS / f"{name}.html"
        try:
            if not (isinstance(source, Path) and _is_newer(file, source)):
                result = source if isinstance(source, Result) else Result.load(source)
                text = report(result, images_of(result))
                with replacing(file, WHERE) as beside:
                    beside.write_text(text, encoding="utf-8")
        except DataError as error:
            troubles.append(str(error))
            continue
        pages[name] = f"{MAPS}/{name}.html"
    return pages, troubles


def _is_newer(file: Path, source: Path) -> bool:
    return file.is_file() and file.stat().st_mtime_ns > source.stat().st_mtime_ns


def _lines(found: Findings) -> Iterator[tuple[Fit, Lines]]:
    for fit in found.fits:
        if fit.which == ALL:
            yield fit, Lines(fit.edge, fit.point, fit.accuracies)


def _figures(table: StudyTable, found: Findings) -> Iterator[_Figure]:
    arrows = {name: twin for name in table.rows["model"] if (twin := baseline_of(name)) is not None}
    rows = table.rows[table.rows["array"] != MEAN]
    for key, own in rows.groupby(SET, sort=False):
        benchmark, _, asked, protocol = key
        stem, named = _stem(benchmark, asked, protocol), _named(benchmark, asked, protocol)
        known = own[own["imagenet_top1"].notna()]
        if known["imagenet_top1"].nunique() > 1:
            lines = {fit.array: line for fit, line in _lines(found) if fit.key == tuple(key)}
            text = f"Score against ImageNet accuracy, {named}"
            yield _Figure(f"accuracy--{stem}", text, accuracy_figure(own, lines, arrows), known)
        for column, label in (("alignment", "alignment of maps, Spearman rho"), ("human_alignment", "human alignment")):
            related = own[own[column].notna()]
            if len(related) > 1 and own["kind"].iloc[0] == MAPS:
                text = f"Score against {label}, {named}"
                yield _Figure(f"{column}--{stem}", text, relation_figure(own, column, label), related)
        paired = found.pairs[(found.pairs[SET] == list(key)).all(axis=1)]
        if len(paired):
            note = SIMULATED if own["simulated"].any() else ""
            text = f"Gain from harmonizing, {named}"
            yield _Figure(f"gains--{stem}", text, gains_figure(paired, note), paired)
    timed = rows[rows["window"] != ""]
    for key, own in timed.groupby([name for name in SET if name != "asked"], sort=False):
        moments = own[own["asked"] != ""] if (own["asked"] != "").any() else own
        if moments["window"].nunique() > 1:
            stem, named = _stem(key[0], "", key[2]), _named(key[0], "", key[2])
            yield _Figure(f"windows--{stem}", f"Score over time, {named}", temporal_figure(moments), moments)


def _stem(benchmark: object, asked: object, protocol: object) -> str:
    """Build a file name from what is compared."""
    published = ["reference"] if protocol == PUBLISHED.name else []
    return "--".join([str(benchmark).replace("/", "-"), *([str(asked)] if asked else []), *published])


def _named(benchmark: object, asked: object, protocol: object) -> str:
    published = ["as published"] if protocol == PUBLISHED.name else []
    window = [f"{asked} ms" if str(asked)[0].isdigit() else str(asked)] if asked else []
    return ", ".join([str(benchmark), *window, *published])


def _write_figure(folder: Path, each: _Figure, files: list[Path]) -> StudyFigure:
    stem = folder / FIGURES / each.stem
    vector = io.BytesIO()
    with style():
        each.figure.savefig(vector, format="svg", metadata={"Date": None})
        with replacing(stem.with_name(f"{stem.name}.pdf"), WHERE) as beside:
            each.figure.savefig(beside, format="pdf", metadata={"CreationDate": None})
    with replacing(stem.with_name(f"{stem.name}.svg"), WHERE) as beside:
        beside.write_bytes(vector.getvalue())
    with replacing(stem.with_name(f"{stem.name}.csv"), WHERE) as beside:
        _write_csv(beside, each.data)
    files += [stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "pdf", "csv")]
    return StudyFigure(f"{FIGURES}/{each.stem}", each.text, address(vector.getvalue(), "image/svg+xml"))
