"""`brainscore verify-real`: check the real recordings, and compare our numbers with published numbers."""

import shlex
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from brainscore_itmaps.cli.options import Offline
from brainscore_itmaps.cli.terminal import (
    errors,
    option_words,
    print_json,
    progress_bar,
    say,
    say_next,
    say_table,
    wrapped,
)
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.files import check_writable, replacing
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from brainscore_itmaps.study.verify import Verification
    from brainscore_itmaps.study.verify_report import VerificationTable

INDENT = " " * 11


def verify_real(
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "--networks",
            help="Run these models, separated by commas, such as timm:vgg16.tv_in1k. The default is four models with "
            "published numbers.",
        ),
    ] = None,
    windows: Annotated[
        str | None,
        typer.Option(
            help="Score models in these windows of the follow-up study, separated by commas, such as 91-130,131-170. "
            "The default is all five windows, in each array."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Read and record this archive first, like `brainscore data fetch --from`. By default the downloaded "
            "archive is used.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            help="Check this archive, folder or response-map file, without recording it. The default is the "
            "downloaded archive."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a page, tables and figures into this folder, or only the values to a path that ends in .json. "
            "By default no file is written."
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Compute on this device, such as cpu, cuda or mps. With auto, a GPU is used if there is one."
        ),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    offline: Offline = False,
) -> None:
    """Check the real recordings, and print our numbers, the published ones, and possible reasons for differences.

    An interrupted run resumes: scores of layers are cached.
    """
    if file is not None and source is not None:
        raise UsageError("--from and --source exclude each other.", "Give only one of them.")
    if out is not None:
        out = expanded(out)
        check_writable(out if out.suffix == ".json" else out / "verify.json")
    names, chosen = _listed(models, "--models", "timm:resnet50.tv_in1k"), _listed(windows, "--windows", "131-170")
    command = _command(models=models, windows=windows, source=source, out=out, **{"from": file})
    chosen_windows = [f"followup_{window.removeprefix('followup_').replace('-', '_')}" for window in chosen or ()]
    source = expanded(source) if source is not None else None
    from brainscore_itmaps.data import sources
    from brainscore_itmaps.study import verify_request as request

    request.check_windows(chosen_windows)
    with progress_bar() as progress:
        tables, sentence = None, ""
        if not request.is_response_maps(source):
            tables, sentence = request.published_tables(progress)
            request.check_models(names or (), tables)
            if not as_json:
                errors().print("Scores of layers are cached: an interrupted run resumes.", soft_wrap=True)
        if file is not None:
            sources.fetch(file=expanded(file), progress=progress)
        progress("starting torch", 0, 1)
        from brainscore_itmaps.study.verify import verify

        verification = verify(
            names or request.MODELS,
            windows=chosen_windows or request.WINDOWS,
            source=source,
            tables=tables,
            device=device,
            progress=progress,
        )
    written = _write(verification, out, command)
    if as_json:
        print_json(verification.to_dict() | {"command": command})
        return
    _print(verification)
    if sentence:
        say(wrapped("tables     ", sentence, INDENT))
    for path in written:
        say(f"written    {path}")
    if out is None:
        say(f"next       {command} --out verification")
    elif source is None:
        say_next("score", "--model", "efficientnet_lite0", "--benchmark", "it_maps")
    else:
        say_next("data", "list")


def _listed(text: str | None, option: str, example: str) -> list[str] | None:
    """Split the value of an option at commas, without repetitions."""
    split = text.split(",") if text is not None else ()
    values = list(dict.fromkeys(value.strip() for value in split if value.strip())) if text is not None else None
    if values == []:
        raise UsageError(f"{option} is empty.", f"Give names, for example {option} {example}.")
    return values


def _command(**options: str | Path | None) -> str:
    """Write the command line with the options that were given."""
    return shlex.join(["brainscore", "verify-real", *option_words(**options)])


def _write(verification: "Verification", out: Path | None, command: str) -> list[Path]:
    """Write the values to a JSON file, or everything into a folder; return the files to name."""
    if out is None:
        return []
    if out.suffix == ".json":
        with replacing(out) as partial_file:
            print_json(verification.to_dict() | {"command": command}, partial_file)
        return [out]
    from brainscore_itmaps.study.verify_report import write_verification

    files = write_verification(verification, out, command)
    return [file for file in files if file.parent == out]


def _print(verification: "Verification") -> None:
    from brainscore_itmaps.study.verify_report import (
        not_run,
        orientation_sentences,
        rules_of,
        summary,
        tables_of,
        windows_of,
    )

    if verification.simulated:
        say(wrapped("SIMULATED: ", "no animal was recorded. Published values are those of the real recordings.", ""))
    say(f"archive    sha256 {verification.sha256}")
    for table in tables_of(verification):
        PRINTED[table.name](table)
    for sentence in orientation_sentences(verification):
        say(wrapped("orientation ", sentence, INDENT))
    for name, rule in rules_of(verification):
        say(wrapped(f"{name:<11}" if len(name) < len(INDENT) else f"{name} ", rule, INDENT))
    for reason in not_run(verification):
        say(wrapped("not run    ", reason, INDENT))
    for reason in verification.reasons:
        say(wrapped("possible   ", reason, INDENT))
    for note in verification.notes:
        say(wrapped("note       ", note, INDENT))
    if windows := windows_of(verification):
        say(wrapped("windows    ", f"models in {', '.join(windows)} ms; --windows chooses others", INDENT))
    for source in dict.fromkeys(number.source for number in verification.numbers if number.source):
        say(wrapped("source     ", source, INDENT))
    say(wrapped("summary    ", summary(verification), INDENT))


def _print_structure(table: "VerificationTable") -> None:
    """Print a table for each array, with the rule after each verdict, so that each fits into 80 columns."""
    for array, rows in groupby(table.rows, key=lambda row: row[0]):
        headings = [*table.header[1:4], "verdict: rule"][: 3 + (len(table.header) > 4)]
        cells = [[*row[1:4], ": ".join(row[4:])][: len(headings)] for row in rows]
        say(f"\n{array}")
        say_table([Column(heading) for heading in headings], cells, wrapping="verdict: rule")


def _print_orientations(table: "VerificationTable") -> None:
    say(f"\n{table.title}")
    say(wrapped("", table.text, ""))
    for array, rows in groupby(table.rows, key=lambda row: row[0]):
        columns = [Column(name) for name in table.header[1:]]
        say_table(columns, [row[1:] for row in rows], title=array)


def _print_numbers(table: "VerificationTable") -> None:
    """Print a table for each model, whose rows name array, window and layer."""
    say(f"\n{table.title}")
    say(wrapped("", table.text, ""))
    for model, rows in groupby(table.rows, key=lambda row: row[0]):
        columns = [Column("array, window, layer"), *(Column(name, justify="right") for name in table.header[4:6])]
        columns += [Column("diff.", justify="right"), Column("verdict")] if len(table.header) > 6 else []
        say_table(columns, [[" ".join(filter(None, row[1:4])), *row[4:]] for row in rows], title=model,
                  wrapping="array, window, layer")  # fmt: skip


PRINTED = {"structure": _print_structure, "orientations": _print_orientations, "numbers": _print_numbers}
"""Function that prints each table of a verification."""
