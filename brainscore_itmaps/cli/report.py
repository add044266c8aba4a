"""`brainscore report`: results as one HTML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainscore_itmaps.cli.results import named_result
from brainscore_itmaps.cli.terminal import progress_bar, say, shown_size
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import refuse_unwritable, replacing

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import Result


def report(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT...",
            help="Read these results: names from `brainscore results list`, or the paths of their JSON files.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the page to this .html file. The default is the name of the result, or comparison.html for "
            "several results, in the folder of the first result."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--from", help="Look for results in this folder. The default is ITMAPS_HOME/results.")
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            "--maps",
            help="Read the images from this folder, which holds the recording of your own that was scored. The "
            "default is the recording that the result names.",
        ),
    ] = None,
) -> None:
    """Write an HTML page that works offline: the maps of one result, or a comparison of several results."""
    files = list(dict.fromkeys(named_result(name, folder) for name in results))
    file = (out or files[0].with_suffix(".html")).expanduser()
    if out is None and len(files) > 1:
        file = files[0].with_name("comparison.html")
    if file.suffix not in (".html", ".htm"):
        raise UsageError(f"{file} does not end in .html.", "The file is a page; name it so.")
    if maps is not None and len(results) > 1:
        raise UsageError("A comparison shows no pictures.", "Leave out --maps.")
    refuse_unwritable(file)
    with progress_bar() as progress:
        progress("drawing", 0, 1)
        from brainscore_itmaps.benchmark.result import Result

        loaded = [Result.load(each) for each in files]
        write_report(loaded, file, str(maps.expanduser()) if maps is not None else None, asked=maps is not None)
    say(f"written    {file} ({shown_size(file.stat().st_size)})")


def write_report(results: "Sequence[Result]", file: Path, benchmark: str | None = None, asked: bool = False) -> Path:
    """Write the page of a result, or the comparison of several; ``asked``: refuse a recording that is another one."""
    if without := [result.benchmark for result in results if not result.arrays]:
        raise UsageError(f"{without[0]} has no maps to draw.", "`brainscore results show` prints its numbers.")
    from brainscore_itmaps.reporting.report import comparison
    from brainscore_itmaps.reporting.report import report as page_of

    if len(results) > 1:
        page = comparison(results)
    else:
        page = page_of(results[0], _pictures(results[0], benchmark or results[0].benchmark, asked))
    with replacing(file) as beside:
        beside.write_text(page, encoding="utf-8")
    return file


def _pictures(result: "Result", benchmark: str, asked: bool) -> "list[list[Path | None]]":
    """The pictures of each array, where they are on this machine and lie under the maps as a whole."""
    from brainscore_itmaps.bridge.pictures import pictures_of

    shown = pictures_of(result, benchmark, asked)
    if asked and not any(any(own) for own in shown):
        scored = ", ".join(array.recording for array in result.arrays)
        raise UsageError(
            f"{benchmark} is not the recording that was scored ({scored}).",
            "Name its folder, or leave out --maps.",
        )
    if not any(any(own) for own in shown):
        say("images     not on this machine; the page shows only the maps")
    return shown
