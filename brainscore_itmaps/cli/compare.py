"""`brainscore compare`: compare many results in a table, figures and an HTML page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from brainscore_itmaps.cli.results import named_result
from brainscore_itmaps.cli.terminal import progress_bar, say

if TYPE_CHECKING:
    from brainscore_itmaps.study.compare import Comparison

SHOWN = 20
"""Number of printed rows; the written table has all rows."""


def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS...",
            help="Compare these results: folders of studies or of results, JSON files, or names from "
            "`brainscore results list`.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Write the table, the figures and the page into this folder.")],
    maps: Annotated[
        bool, typer.Option("--maps/--no-maps", help="Write a page with the maps of each result, a few megabytes each.")
    ] = True,
) -> None:
    """Compare results in a table, fits of predictivity against accuracy, figures and an interactive HTML page."""
    paths = [name if Path(name).expanduser().exists() else str(named_result(name, None)) for name in results]
    with progress_bar() as progress:
        progress("reading results", 0, 1)
        from brainscore_itmaps.study.compare import compare as compare_in_python

        comparison = compare_in_python(paths, out, maps=maps, progress=progress)
    _print(comparison)


def _print(comparison: "Comparison") -> None:
    from brainscore_itmaps.study.fits import sentences

    rows = comparison.table.rows
    table = Table(Column("model", overflow="fold"), "array", "window", "top-1", "score", "95 % interval")
    for row in rows.sort_values("score", ascending=False).head(SHOWN).to_dict("records"):
        random = f" ({row['weights']})" if row["random"] else ""
        accuracy, low = ("" if row[name] != row[name] else row[name] for name in ("imagenet_top1", "low"))
        table.add_row(
            f"{row['model']}{random}",
            row["array"].removeprefix("Arcaro2020.").removesuffix("-simulated"),
            row["window"],
            f"{accuracy:.1f}" if accuracy else "",
            f"{row['score']:.3f}",
            f"{low:.3f} to {row['high']:.3f}" if low != "" else "",
        )
    say(table)
    if len(rows) > SHOWN:
        say(f"           These are the best {SHOWN} of {len(rows)} rows.")
    for line in sentences(comparison.findings):
        say(f"fit        {line}")
    pairs = comparison.findings.pairs
    for row in pairs.to_dict("records"):
        q = "" if row["q_value"] != row["q_value"] else f", q {row['q_value']:.3g}"
        say(f"gain       {row['model']}, {row['array']}: {row['difference']:+.3f} ({row['low']:+.3f} to "
            f"{row['high']:+.3f}), p {row['p_value']:.3g}{q}")  # fmt: skip
    for note in (*comparison.table.troubles, *comparison.findings.notes):
        say(f"note       {note}")
    if rows["simulated"].any():
        say("recording  SIMULATED; no animal was recorded")
    say(f"written    {comparison.page} and {len(comparison.files) - 1} other files in its folder")
