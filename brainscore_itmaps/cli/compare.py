"""`brainscore compare`: compare many results in a table, figures and an HTML page."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column

from brainscore_itmaps.benchmark.catalogue import EXPERIMENTAL, mark_of
from brainscore_itmaps.cli.completion import complete_results
from brainscore_itmaps.cli.options import Offline
from brainscore_itmaps.cli.results import name_of, named_result
from brainscore_itmaps.cli.terminal import progress_bar, say, say_line, say_next, say_table
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import ABSENT, interval_text, number_text

if TYPE_CHECKING:
    from brainscore_itmaps.study.compare import Comparison
    from brainscore_itmaps.study.published_places import Places
    from brainscore_itmaps.study.ranking import Ranking

NAMES = ("model", "array", "window")
NUMBERS = ("top-1", "raw", "ceiling", "score", "95 % interval")
RANKS = ("score", "best control", "unique", "given controls", "ranks")
SHOWN = 20
"""Number of printed rows; the written table has all rows."""


def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT",
            autocompletion=complete_results,
            help="Compare these results: folders of studies or of results, JSON files, or names from "
            "`brainscore results list`.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Write the table, the figures and the page into this folder.")],
    maps: Annotated[
        bool, typer.Option("--maps/--no-maps", help="Write a page with the maps of each result, a few megabytes each.")
    ] = True,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Place the results among the published scores of hundreds of models, which are downloaded if they are "
            "missing.",
        ),
    ] = False,
    offline: Offline = False,
) -> None:
    """Compare results in a table, ranks, fits of predictivity against accuracy, figures and an interactive page."""
    paths = [name if expanded(name).exists() else str(named_result(name, None)) for name in results]
    with progress_bar() as progress:
        progress("reading results", 0, 1)
        from brainscore_itmaps.study.compare import compare as compare_in_python

        comparison = compare_in_python(paths, out, maps=maps, published=published, progress=progress)
    _print(comparison)


def _print(comparison: "Comparison") -> None:
    from brainscore_itmaps.study.fits import sentences

    rows = comparison.table.rows
    cells = []
    best_first = rows.sort_values("score", ascending=False, na_position="last", kind="stable")
    for row in best_first.head(SHOWN).to_dict("records"):
        random = f" ({row['weights']})" if row["random"] else ""
        top1 = "" if row["imagenet_top1"] != row["imagenet_top1"] else f"{row['imagenet_top1']:.1f}"
        estimated = [number_text(row[name]) for name in ("raw", "ceiling", "score")]
        interval = interval_text(row["low"], row["high"])
        cells.append([f"{row['model']}{random}", _short_array(row), row["window"], top1, *estimated, interval])
    columns = [Column(name) for name in NAMES] + [Column(name, justify="right") for name in NUMBERS]
    say_table(columns, cells, names=len(NAMES), optional=("top-1",))
    if len(rows) > SHOWN:
        say(f"           These are the best {SHOWN} of {len(rows)} rows.")
    _print_ranks(comparison.ranking)
    for line in sentences(comparison.findings):
        say_line("fit", line)
    pairs = comparison.findings.pairs
    for row in pairs.to_dict("records"):
        p, q = ("" if row[name] != row[name] else f", {name[0]} {row[name]:.3g}" for name in ("p_value", "q_value"))
        gain, interval = number_text(row["difference"], sign="+"), interval_text(row["low"], row["high"], "+")
        raw, ceiling, before = (number_text(row[name]) for name in ("raw", "ceiling", "baseline_raw"))
        change = f"{gain} ({interval}){p}{q}; raw {before} to {raw} of {ceiling}"
        say_line("gain", f"{row['model']}, {row['array']}: {change}")
    notes = [EXPERIMENTAL] if rows["experimental"].any() else []
    for note in (*notes, *comparison.table.troubles, *comparison.findings.notes, *comparison.ranking.notes):
        say_line("note", note)
    _print_places(comparison.places)
    if rows["simulated"].any():
        say("recording  SIMULATED; no animal was recorded")
    say(f"written    {comparison.page} and {len(comparison.files) - 1} other files in its folder")
    sources = comparison.table.sources
    saved = [source for name in best_first["result"] if isinstance(source := sources.get(name), Path)]
    say_next("results", *(["show", name_of(saved[0])] if saved else ["list"]))


def _print_places(placed: "Places | None") -> None:
    if placed is not None:
        from brainscore_itmaps.study.published_places import places_sentences

        for line in places_sentences(placed):
            say_line("published", line)
        for note in placed.notes:
            say_line("note", note)


def _print_ranks(ranked: "Ranking") -> None:
    cells, several = [], ranked.rows["benchmark"].nunique() > 1
    for row in ranked.rows.head(SHOWN).to_dict("records"):
        random = f" ({row['weights']})" if row["random"] else ""
        ranks = [row[f"rank_{name}"] for name in ("score", "unique", "given_controls")]
        control = f"{row['best_control']} {number_text(row['control_score'])}"
        score, unique, given = (number_text(row[name]) for name in ("score", "unique", "given_controls"))
        names = [f"{row['model']}{random}", row["panel"] if several else _short_array(row), row["window"]]
        ranked_text = ", ".join(str(rank) if isinstance(rank, int) else ABSENT for rank in ranks)
        cells.append([*names, score, control, unique, given, ranked_text])
    columns = [Column(name) for name in NAMES] + [Column(name, justify="right") for name in RANKS]
    say_table(columns, cells, title="What models add to the controls, and ranks by score, unique and given controls",
              names=len(NAMES), optional=("given controls",))  # fmt: skip
    if len(ranked.rows) > SHOWN:
        say(f"           These are the first {SHOWN} of {len(ranked.rows)} rows; ranking.csv has all.")
    for line in chain(*ranked.sentences.values()):
        say_line("ranks", line)


def _short_array(row: Mapping[Any, Any]) -> str:
    return str(row["array"]).removeprefix("Arcaro2020.").removesuffix("-simulated") + mark_of(row["measure"])
