"""`brainscore report`: write a result as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainscore_itmaps.cli.completion import complete_results
from brainscore_itmaps.cli.results import named_result
from brainscore_itmaps.cli.terminal import progress_bar, say, say_next, shown_size
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable, replacing
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import Result


def report(
    context: typer.Context,
    result: Annotated[
        str,
        typer.Argument(
            metavar="RESULT",
            autocompletion=complete_results,
            help="Read this result: a name from `brainscore results list`, or the path of a JSON file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the page to this .html file. The default is the name of the result, beside it."),
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
    """Write an HTML page that works offline: the numbers of a result, its maps to browse, and figures."""
    if context.args:
        raise UsageError(
            f"A report shows one result, but {1 + len(context.args)} were given.",
            "To compare results, use `brainscore compare A B --out FOLDER`.",
        )
    saved = named_result(result, folder)
    file = expanded(out or saved.with_suffix(".html"))
    if file.suffix not in (".html", ".htm"):
        raise UsageError(f"{file} does not end in .html.", "Choose a file name that ends in .html.")
    check_writable(file)
    with progress_bar() as progress:
        progress("drawing", 0, 1)
        from brainscore_itmaps.benchmark.result import Result

        scored_folder = None if maps is None else expanded(maps)
        write_report(Result.load(saved), file, scored_folder, required=maps is not None)
    say(f"written    {file} ({shown_size(file.stat().st_size)})")
    if len(list(saved.parent.glob("*.json"))) > 1:
        say_next("compare", saved.parent, "--out", "comparison")
    else:
        say_next("models", "list")


def write_report(result: "Result", file: Path, benchmark: str | Path | None = None, required: bool = False) -> Path:
    """Write the HTML page of a result.

    Parameters
    ----------
    result : Result
        Result with maps.
    file : Path
        Path of the page.
    benchmark : str or Path, optional
        Benchmark, or folder of the recording, from which the images are read. By default the result names it.
    required : bool
        Whether it is an error if that recording is not the one that was scored.

    Raises
    ------
    UsageError
        When the result has no maps, or the required recording is another one.
    """
    if result.attacked is not None:
        return write_attack_page(result, file)
    if not result.has_maps:
        raise UsageError(
            f"{result.benchmark} has no predicted maps to draw.", "`brainscore results show` prints its numbers."
        )
    from brainscore_itmaps.reporting.report import report as page_of

    page = page_of(result, _images(result, benchmark, required))
    with replacing(file) as partial_file:
        partial_file.write_text(page, encoding="utf-8")
    return file


def write_attack_page(result: "Result", file: Path) -> Path:
    """Write the HTML page of a result of attacks, and return its path."""
    from brainscore_itmaps.reporting.attack_page import attack_page

    page = attack_page(result)
    with replacing(file) as partial_file:
        partial_file.write_text(page, encoding="utf-8")
    return file


def _images(result: "Result", benchmark: str | Path | None, required: bool) -> "list[list[Path | None]]":
    """Find the images of each array on this machine, and print a line if there are none."""
    from brainscore_itmaps.bridge.images import images_of

    images = images_of(result, benchmark, required)
    missing = not any(map(any, images))
    if required and missing:
        scored = ", ".join(array.recording for array in result.arrays)
        raise UsageError(
            f"{benchmark} is not the recording that was scored ({scored}).",
            "Give the folder of that recording, or leave out --maps.",
        )
    if missing:
        say("images     not found on this machine; the page shows only the maps")
    return images
