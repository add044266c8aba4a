"""`brainscore published`: the published scores of hundreds of models, and statistics of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column

from brainscore_itmaps.cli.options import Offline
from brainscore_itmaps.cli.terminal import (
    option_words,
    print_json,
    progress_bar,
    say,
    say_facts,
    say_line,
    say_next,
    say_table,
)
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.text import ABSENT, number_text

if TYPE_CHECKING:
    import pandas as pd

    from brainscore_itmaps.study.published import Published
    from brainscore_itmaps.study.published_fits import PanelFit, PublishedFits

TITLES = {
    "recordings": "Published score / ceiling on the recordings, against ImageNet top-1",
    "Brain-Score": "IT scores on Brain-Score, against ImageNet top-1",
    "ClickMe": "Alignment with human importance maps, against ImageNet top-1",
    "adversarial": "Size of attacks (tolerance), and their alignment with ClickMe",
}
STAR = "*"
FACTS = {
    "top1": ("top-1", "{:.1f} %"),
    "multi_label": ("multi-label", "{:.3f}, accuracy with several labels"),
    "kind": ("kind", "{}"),
    "training": ("training", "{}"),
    "clickme": ("ClickMe", "{:+.3f}, Spearman rho with human importance maps"),
    "tolerance": ("tolerance", "{:.2f}, size of attacks that change the prediction"),
    "adversarial": ("attacks", "{:+.3f}, Spearman rho of attacks with human importance maps"),
    "MajajHong2015public": ("Majaj", "{:.3f} on MajajHong2015public.IT, the authors' own run"),
}


def published(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="List the published scores of these models of timm. By default the statistics of all models are "
            "printed.",
        ),
    ] = None,
    array: Annotated[
        str | None,
        typer.Option(help="Show only scores on this array, such as monkey1_ML. By default all arrays are shown."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="Show only scores in this window, such as 131-170 (or followup_131_170). By default all windows are "
            "shown."
        ),
    ] = None,
    shifted: Annotated[
        bool, typer.Option("--shifted", help="Show the tables named shifted, too, which likely contain an artefact.")
    ] = False,
    robust: Annotated[
        bool, typer.Option("--robust", help="Include the models that were trained to be robust in the statistics.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write tables, figures and a page into this folder. By default no file is written."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    offline: Offline = False,
) -> None:
    """Print published scores of hundreds of models, and how they relate to ImageNet accuracy and human maps."""
    if models and (out is not None or robust):
        raise UsageError(
            "--out and --robust apply to the statistics of all models.", "Leave out the names of models, or the option."
        )
    with progress_bar() as progress:
        progress("reading published tables", 0, 1)
        from brainscore_itmaps.data.published import fetch_published
        from brainscore_itmaps.study import published as study
        from brainscore_itmaps.study.published_files import check_folder, published_json, write_published
        from brainscore_itmaps.study.published_fits import DRAWS, fit_published

        if out is not None:
            check_folder(out)
        fetch_published(progress=progress)
        tables = study.read_published()
        array, window = study.known_array(array), study.known_window(tables, window)
        if not models:
            points = study.published_points(tables, array=array, window=window, shifted=shifted)
            fits = fit_published(points, robust=robust, draws=DRAWS, progress=progress)
            files = write_published(out, points, fits, progress) if out is not None else ()
    if models:
        _print_models(tables, study.model_names(tables, models), array, window, shifted, as_json)
        return
    if as_json:
        print_json(published_json(fits))
        return
    _print_fits(fits)
    if files:
        say(f"written    {files[0]} and {len(files) - 1} other files in its folder")
        say_next("published", tables.maps["model"].iloc[0])
    else:
        chosen = option_words(array=array, window=window, shifted=shifted, robust=robust)
        say_next("published", *chosen, "--out", "published")


def _print_fits(fits: "PublishedFits") -> None:
    from brainscore_itmaps.study.published_fits import published_findings, published_limits

    for group, title in TITLES.items():
        panels = [fit for fit in fits.panels if fit.group == group]
        with_edge = any(fit.edge is not None for fit in panels)
        headings = ["n", "rho", "95 % interval", *(["edge", "change"] if with_edge else [])]
        columns = [Column("panel"), *(Column(name, justify="right") for name in headings)]
        say_table(columns, [_cells(fit, with_edge) for fit in panels], title=title)
    edge = (
        "90th percentile of the models, a parabola; its slope at the most accurate model, for each point of top-1, "
        f"with {STAR} where the interval excludes 0"
    )
    change = "ImageNet top-1 in percent at which two straight lines through all models meet"
    lines = [("intervals", "95 %, bootstrap over models, not over images")]
    lines += [("edge", edge), ("change", change)] if any(fit.edge is not None for fit in fits.panels) else []
    lines += [("finding", line) for line in published_findings(fits)]
    lines += [("limit", line) for line in published_limits(fits)]
    for name, line in lines:
        say_line(name, line)


def _cells(fit: "PanelFit", with_edge: bool) -> list[str]:
    rank = fit.rank
    cells = [fit.panel, str(rank.models), number_text(rank.rho, 2, "+")]
    cells.append(_interval(rank.interval.low, rank.interval.high))
    if with_edge:
        cells += [ABSENT, ABSENT]
    if with_edge and fit.edge is not None and fit.point is not None:
        end = fit.edge.end_slope_interval
        cells[-2:] = [
            number_text(fit.edge.end_slope, 4, "+") + (STAR if end.low > 0 or end.high < 0 else " "),
            number_text(fit.point.at, 1),
        ]
    return cells


def _interval(low: float, high: float) -> str:
    return ABSENT if low != low else f"{low:+.2f} to {high:+.2f}"


def _print_models(
    tables: "Published", models: list[str], array: str | None, window: str | None, shifted: bool, as_json: bool
) -> None:
    from brainscore_itmaps.files import json_value
    from brainscore_itmaps.study.published import published_facts, published_rows

    listed = []
    for model in models:
        rows = published_rows(tables, model, shifted)
        for column, wanted in (("array", array), ("window", window)):
            rows = rows if wanted is None else rows[rows[column] == wanted]
        facts = published_facts(tables, model)
        listed.append({"model": model, **facts, "scores": rows.drop(columns="model").to_dict("records")})
        if not as_json:
            _print_model(model, rows, facts)
    if as_json:
        print_json({"as_published": True, "models": json_value(listed)})
    else:
        say_line("note", "all numbers as published: best layer on the scored images; ranks are among all models")
        say_next("models", "show", models[0])


def _print_model(model: str, rows: "pd.DataFrame", facts: dict[str, Any]) -> None:
    from brainscore_itmaps.study.published import milliseconds

    cells = [
        [
            row["array"],
            milliseconds(row["window"]) + (" shifted" if row["shifted"] else ""),
            number_text(row["raw"]),
            number_text(row["ceiling"]),
            number_text(row["score"]),
            f"{row['rank']} of {row['models']}",
            row["layer"],
        ]
        for row in rows.to_dict("records")
    ]
    names = ("array", "window, ms", "raw", "ceiling", "score", "rank")
    columns = [Column(name, justify="left" if number < 2 else "right") for number, name in enumerate(names)]
    say_table([*columns, Column("layer")], cells, title=f"{model}, as published", names=2, optional=("layer",))
    if not cells:
        say(f"{model}: no scores on the recordings are published")
    say_facts({name: text.format(facts[key]) for key, (name, text) in FACTS.items() if key in facts})
