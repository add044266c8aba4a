"""Compare results in one table, fits, figures with their data, and an interactive page."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from brainscore_itmaps.benchmark.catalogue import mark_of
from brainscore_itmaps.benchmark.result import MEAN, Result
from brainscore_itmaps.bridge.images import images_of
from brainscore_itmaps.cache import key_of, package_versions
from brainscore_itmaps.data.published import fetch_published
from brainscore_itmaps.errors import DataError, UsageError, check_choice, checked_integer, printable
from brainscore_itmaps.files import ANOTHER_FOLDER, check_writable, replacing, sha256
from brainscore_itmaps.models.zoo import baseline_of
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.reporting.attack_page import attack_page
from brainscore_itmaps.reporting.drawing import WIDTH, Figure, check_width
from brainscore_itmaps.reporting.published_figures import published_figure
from brainscore_itmaps.reporting.report import report
from brainscore_itmaps.reporting.study_controls import controls_figure
from brainscore_itmaps.reporting.study_figures import (
    Lines,
    accuracy_figure,
    attacks_figure,
    gains_figure,
    notes_above,
    relation_figure,
    temporal_figure,
)
from brainscore_itmaps.reporting.study_page import study_page
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.study.drawn import Drawing, write_csv, write_drawing
from brainscore_itmaps.study.fits import ALL, DRAWS, Findings, Fit, findings
from brainscore_itmaps.study.published import Published, published_points, read_published
from brainscore_itmaps.study.published_files import SOURCE, lines_of
from brainscore_itmaps.study.published_fits import FEWEST_DRAWS, fit_published
from brainscore_itmaps.study.published_places import Places, places, places_sentences
from brainscore_itmaps.study.ranking import Ranking, ranking
from brainscore_itmaps.study.table import ATTACKS, COMPARED, MAPS, StudyTable, tidy_table, with_published_attacks
from brainscore_itmaps.text import ABSENT, html_table, interval_text, number_text

PAGE = "index.html"
SHOWN = 20
"""Number of rows that a notebook displays; the written table has all rows."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Tables, fits, ranks and published places of many models, and the files that were written: from ``compare``.

    The class of the same name that ``compare_results`` returns, for two results, is
    :class:`brainscore_itmaps.metrics.inference.Comparison`.

    Attributes
    ----------
    table : StudyTable
    findings : Findings
    ranking : Ranking
    page : Path
    files : tuple of Path
        All files that were written.
    places : Places or None
        Places among published scores, if they were requested.
    """

    table: StudyTable
    findings: Findings
    ranking: Ranking
    page: Path
    files: tuple[Path, ...]
    places: Places | None = None

    def figures(self, *, width: float = WIDTH) -> dict[str, Figure]:
        """Draw the figures of the comparison, such as score against ImageNet accuracy.

        Parameters
        ----------
        width : float
            Width of the figures in inches: 7 for two columns of print, 3.5 for one.

        Returns
        -------
        dict of str to Figure
            By the names of their files in the folder ``figures``, such as "accuracy--it_maps_simulated".

        Raises
        ------
        UsageError
            When the width is too small or too large for a figure.
        """
        drawings = list(_figures(self.table, self.findings, check_width(width)))
        drawings += _figures_of_places(self.places, read_published(), width) if self.places is not None else []
        return {drawing.stem: drawing.figure for drawing in drawings}

    def __repr__(self) -> str:
        models = self.table.rows["model"].nunique()
        simulated = ", SIMULATED" if self.table.rows["simulated"].any() else ""
        return printable(f"<Comparison of {models} {'model' if models == 1 else 'models'}{simulated}: {self.page}>")

    def _repr_html_(self) -> str:
        """Return the HTML table that a notebook displays: the best rows, with their best controls."""
        controls = {
            (row["result"], row["array"]): f"{row['best_control']} {number_text(row['control_score'])}"
            for row in self.ranking.rows.to_dict("records")
        }
        best_first = self.table.rows.sort_values("score", ascending=False, na_position="last", kind="stable")
        rows = [
            (number_text(row["score"]), interval_text(row["low"], row["high"]),
             f"{row['model']} ({row['weights']})" if row["random"] else row["model"],
             f"{row['array']}{' (SIMULATED)' if row['simulated'] else ''}", row["window"], number_text(row["raw"]),
             number_text(row["ceiling"]), controls.get((row["result"], row["array"]), ABSENT))
            for row in best_first.head(SHOWN).to_dict("records")
        ]  # fmt: skip
        headings = ("score", "95 % interval", "model", "array", "window, ms", "raw", "ceiling", "best control")
        more = f"The best {SHOWN} of {len(best_first)} rows.<br>" if len(best_first) > SHOWN else ""
        lines = [line for sentences in self.ranking.sentences.values() for line in sentences]
        kind = "<b>SIMULATED recordings: no animal was recorded</b><br>" if self.table.rows["simulated"].any() else ""
        return (
            f"<div>{self.table.rows['model'].nunique()} models compared; page: {escape(str(self.page))}<br>{kind}"
            f"{html_table(headings, rows)}{more}{'<br>'.join(map(escape, lines))}</div>"
        )


@shows_progress
def compare(
    results: Iterable[str | Path | Result] | str | Path | Result,
    out: str | Path,
    *,
    maps: bool = True,
    published: bool = False,
    draws: int = DRAWS,
    progress: Report = silent,
) -> Comparison:
    """Compare results of many models, and write tables, figures and an interactive page.

    The folder ``out`` gets ``table.csv`` and ``table.parquet``, with a row for each model, array and window;
    ``fits.csv`` and ``pairs.csv``; ``ranking.csv``, ``ranking_orders.csv`` and ``ranking_changes.csv``; with
    ``published``, ``published_places.csv``; ``figures/``, each as SVG and PDF with its data as CSV; ``maps/``, the page
    of each result; and ``index.html``, which links to all of them.

    Parameters
    ----------
    results : iterable of str, Path or Result
        Results, their JSON files, or folders that contain such files; also results of human alignment and of
        Brain-Score's benchmarks.
    out : str or Path
        Folder to write into; the files of an earlier comparison are overwritten.
    maps : bool
        Write a page with the maps of each result, a few megabytes each.
    published : bool
        Place results among the published scores of hundreds of models, which are downloaded if they are missing.
    draws : int
        Number of bootstrap draws of each fit.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        When there is nothing to compare, or ``out`` is a file.
    DataError
        When a file in ``results`` is not a result, or published tables are missing in offline mode.
    InstallationError
        When a file cannot be written, or the download of published tables fails.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record = {"model": "timm:vgg16.tv_in1k", "benchmark": "MajajHong2015public.IT-pls", "score": 0.5}
    ...     _ = Path(folder, "vgg16.json").write_text(json.dumps(record))
    ...     comparison = compare([folder], Path(folder, "comparison"))
    ...     sorted({file.stem for file in comparison.files})
    ['fits', 'index', 'pairs', 'ranking', 'ranking_changes', 'ranking_orders', 'table']
    """
    if not isinstance(out, str | Path):
        raise UsageError(
            f"The results of a comparison are written into a folder, and a {type(out).__name__} is not one.",
            "Use compare([first, second], folder), or compare_results(first, second), which writes no files.",
        )
    check_choice(maps=maps, published=published)
    draws = checked_integer(draws, "number of bootstrap draws", least=1)
    folder = expanded(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", ANOTHER_FOLDER)
    check_writable(folder / PAGE)
    if published:
        fetch_published(progress=progress)
        scores = read_published()
    progress("reading results", 0, 1)
    table = tidy_table(results)
    progress("fitting", 0, 1)
    fitted = findings(table, draws)
    fitted = replace(fitted, pairs=add_raw_values(fitted.pairs, table.rows))
    progress("ranking", 0, 1)
    ranked = ranking(table)
    placed = places(table, scores.maps) if published else None
    table = with_published_attacks(table, scores.adversarial) if published else table
    files = list(_write_tables(folder, table, fitted, ranked, placed))
    pages, problems = _write_pages(folder, table, progress) if maps else ({}, [])
    embedded = []
    figures = list(_figures(table, fitted))
    figures += _figures_of_places(placed, scores) if placed is not None else []
    for number, figure in enumerate(figures):
        progress("drawing", number, len(figures))
        embedded.append(write_drawing(folder, figure, files))
    page = folder / PAGE
    notes = [*table.troubles, *problems, *fitted.notes, *ranked.notes]
    lines: dict[tuple[str, ...], Lines] = {
        (*map(str, fit.key), fit.array): line for fit, line in _lines_of_fits(fitted)
    }
    about_places = None if placed is None else (places_sentences(placed), placed.notes)
    text = study_page(table.rows, pages, lines, fitted.fits_table(), fitted.pairs, ranked.rows, ranked.sentences, notes,
                      embedded, table.citations, about_places)  # fmt: skip
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    files += [folder / path for path in pages.values()]
    return Comparison(table, fitted, ranked, page, (page, *files), placed)


RELATED = {
    "alignment": "alignment of maps, Spearman rho",
    "human_alignment": "human alignment",
    "tolerance": "perturbation tolerance",
    "adversarial_alignment": "adversarial alignment",
}
"""Columns against which scores are drawn, with the labels of the axis."""
RAW = {"raw": "raw", "ceiling": "ceiling", "baseline_raw": "raw", "baseline_ceiling": "ceiling"}
"""Columns that :func:`add_raw_values` adds to pairs, and the columns of the table that they come from."""


def add_raw_values(pairs: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the raw value and the noise ceiling of both models to each pair, and their means to a mean over pairs.

    Parameters
    ----------
    pairs : DataFrame
        Pairs of :func:`~brainscore_itmaps.study.fits.findings`.
    rows : DataFrame
        Rows of the table that was fitted.

    Returns
    -------
    DataFrame
        The pairs, with the columns ``raw``, ``ceiling``, ``baseline_raw`` and ``baseline_ceiling`` after ``array``.

    Examples
    --------
    >>> shared = dict.fromkeys(COMPARED, "") | {"array": "PL"}
    >>> rows = pd.DataFrame([shared | {"model": name, "raw": raw, "ceiling": 0.8, "random": False, "kind": "maps"}
    ...                      for name, raw in (("harmonized_vgg16", 0.4), ("vgg16", 0.3))])
    >>> pairs = pd.DataFrame([shared | {"model": "harmonized_vgg16", "baseline": "vgg16", "difference": 0.125}])
    >>> add_raw_values(pairs, rows)[[*RAW]].values.tolist()
    [[0.4, 0.8, 0.3, 0.8]]
    """
    panel = [*COMPARED, "array"]
    scored = rows[(rows["kind"] == MAPS) & ~rows["random"]].drop_duplicates([*panel, "model"], keep="last")
    added = pairs.copy()
    for number, (name, source) in enumerate(RAW.items()):
        partner = "baseline" if name.startswith("baseline") else "model"
        known = scored.set_index([*panel, "model"])[source].to_dict()
        values = [known.get(tuple(pair), np.nan) for pair in pairs[[*panel, partner]].itertuples(index=False)]
        added.insert(list(pairs.columns).index("array") + 1 + number, name, np.array(values, dtype=float))
    is_mean = added["baseline"] == ""
    means = added[~is_mean].groupby(panel, sort=False)[[*RAW]].mean()
    for index, pair in added[is_mean].iterrows():
        added.loc[index, [*RAW]] = means.loc[tuple(pair[panel]), [*RAW]]
    return added


def _write_tables(
    folder: Path, table: StudyTable, fitted: Findings, ranked: Ranking, placed: Places | None
) -> Iterator[Path]:
    tables = {
        "table": table.rows,
        "fits": fitted.fits_table(),
        "pairs": fitted.pairs,
        "ranking": ranked.rows,
        "ranking_orders": ranked.orders,
        "ranking_changes": ranked.changes,
    }
    if placed is not None:
        tables["published_places"] = placed.rows
    for name, rows in tables.items():
        with replacing(folder / f"{name}.csv") as temporary:
            write_csv(temporary, rows)
        yield folder / f"{name}.csv"
    with replacing(folder / "table.parquet") as temporary:
        table.rows.to_parquet(temporary, index=False)
    yield folder / "table.parquet"


def _write_pages(folder: Path, table: StudyTable, progress: Report) -> tuple[dict[str, str], list[str]]:
    """Write the page of each result with maps or attacks, unless there is a page of the same content."""
    pages, problems = {}, []
    for number, (name, source) in enumerate(table.sources.items()):
        progress("writing pages with maps", number, len(table.sources))
        file = folder / MAPS / f"{name}.html"
        try:
            mark = f"<!-- {_key_of_page(source)} -->\n" if isinstance(source, Path) else None
            if mark is None or not _ends_with(file, mark):
                result = source if isinstance(source, Result) else Result.load(source)
                text = attack_page(result) if result.attacked else report(result, images_of(result))
                with replacing(file) as temporary:
                    temporary.write_text(text + (mark or ""), encoding="utf-8")
        except DataError as error:
            problems.append(str(error))
            continue
        pages[name] = f"{MAPS}/{name}.html"
    return pages, problems


def _key_of_page(file: Path) -> str:
    """Return a hash of a result, whose JSON names its NPZ by hash, and of the packages that draw it."""
    return key_of(result=sha256(file), packages=package_versions(("jinja2", "matplotlib")))


def _ends_with(file: Path, mark: str) -> bool:
    try:
        with file.open("rb") as page:
            page.seek(-min(file.stat().st_size, len(mark)), os.SEEK_END)
            return page.read() == mark.encode()
    except OSError:
        return False


def _lines_of_fits(fitted: Findings) -> Iterator[tuple[Fit, Lines]]:
    for fit in fitted.fits:
        if fit.which == ALL:
            yield fit, Lines(fit.edge, fit.point, fit.accuracies)


def _figures(table: StudyTable, fitted: Findings, width: float = WIDTH) -> Iterator[Drawing]:
    arrows = {name: twin for name in table.rows["model"] if (twin := baseline_of(name)) is not None}
    rows = table.rows[table.rows["array"] != MEAN]
    for key, compared in rows.groupby(COMPARED, sort=False):
        benchmark, measure, asked, protocol = map(str, key)
        stem, title = _stem(benchmark, asked, protocol), _title(benchmark + mark_of(measure), asked, protocol)
        with_accuracy = compared[compared["imagenet_top1"].notna()]
        if with_accuracy["imagenet_top1"].nunique() > 1 and compared["kind"].iloc[0] != ATTACKS:
            lines = {fit.array: line for fit, line in _lines_of_fits(fitted) if fit.key == tuple(key)}
            text = f"Score and raw value against ImageNet accuracy, {title}"
            yield Drawing(
                f"accuracy--{stem}", text, accuracy_figure(compared, lines, arrows, width=width), with_accuracy
            )
        if compared["kind"].iloc[0] == ATTACKS and with_accuracy["imagenet_top1"].nunique() > 1:
            text = f"Perturbation tolerance and adversarial alignment against ImageNet accuracy, {title}"
            yield Drawing(f"attacks--{stem}", text, attacks_figure(with_accuracy, arrows, width=width), with_accuracy)
            continue
        for column, label in RELATED.items():
            related = compared[compared[column].notna()]
            if len(related) > 1 and compared["kind"].iloc[0] == MAPS:
                text = f"Score and raw value against {label}, {title}"
                figure = relation_figure(compared, column, label, width=width)
                yield Drawing(f"{column}--{stem}", text, figure, related)
        controlled = compared.dropna(subset=["score", "control_score", "unique"])
        if len(controlled):
            text = f"Score, best control and what models add to the controls, {title}"
            yield Drawing(f"controls--{stem}", text, controls_figure(controlled, width=width), controlled)
        paired = fitted.pairs[(fitted.pairs[COMPARED] == list(key)).all(axis=1)]
        if len(paired):
            note = notes_above(compared)
            text = f"Gain in score from harmonizing, with raw values, {title}"
            yield Drawing(f"gains--{stem}", text, gains_figure(paired, note, width=width), paired)
    timed = rows[rows["window"] != ""]
    for key, compared in timed.groupby([name for name in COMPARED if name != "asked"], sort=False):
        moments = compared[compared["asked"] != ""] if (compared["asked"] != "").any() else compared
        if moments["window"].nunique() > 1:
            stem, title = _stem(key[0], "", key[2]), _title(str(key[0]) + mark_of(str(key[1])), "", key[2])
            text = f"Score, raw value and noise ceiling over time, {title}"
            yield Drawing(f"windows--{stem}", text, temporal_figure(moments, width=width), moments)


def _figures_of_places(placed: Places, scores: Published, width: float = WIDTH) -> Iterator[Drawing]:
    """Draw the published scores of the panels in which results are placed, with these results marked."""
    if placed.rows.empty:
        return
    points = published_points(scores)
    points = points[points["panel"].isin(placed.rows["panel"])]
    fits = fit_published(points, draws=FEWEST_DRAWS)
    own = placed.rows.assign(x=placed.rows["imagenet_top1"], y=placed.rows["raw"] / placed.rows["published_ceiling"])
    title = f"Results among scores {SOURCE}: raw value divided by the published noise ceiling"
    figure = published_figure(points, lines_of(fits), columns=3, title=title, own=own, width=width)
    yield Drawing("published_places", title, figure, pd.concat([points, own.assign(group="scored here")]))


def _stem(benchmark: object, asked: object, protocol: object) -> str:
    """Build the file name of a figure from its benchmark, window and protocol."""
    suffix = protocol_named(str(protocol)).suffix.removeprefix("-")
    return "--".join(filter(None, [str(benchmark).replace("/", "-"), str(asked), suffix]))


def _title(benchmark: object, asked: object, protocol: object) -> str:
    """Describe the benchmark, window and protocol of a figure."""
    title = protocol_named(str(protocol)).title
    window = [f"{asked} ms" if str(asked)[0].isdigit() else str(asked)] if asked else []
    return ", ".join(filter(None, [str(benchmark), *window, title]))
