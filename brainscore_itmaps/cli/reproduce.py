"""`brainscore reproduce`: run a result again."""

from pathlib import Path
from typing import Annotated

import typer

from brainscore_itmaps.cli.fetch_options import Offline
from brainscore_itmaps.cli.results import named_result
from brainscore_itmaps.cli.terminal import progress_bar, say


def reproduce(
    result: Annotated[
        str,
        typer.Argument(
            metavar="RESULT",
            help="Run this result again: a name from `brainscore results list`, or the path of its JSON file.",
        ),
    ],
    folder: Annotated[
        Path | None, typer.Option("--from", help="Look for results in this folder. The default is ITMAPS_HOME/results.")
    ] = None,
    offline: Offline = False,
) -> None:
    """Run a result again, and print what is the same, what differs, and why.

    The cache is not read. The exit code is 1 if the numbers differ by more than rounding.
    """
    file = named_result(result, folder)
    with progress_bar() as progress:
        progress("starting torch", 0, 1)
        from brainscore_itmaps.benchmark.result import Result
        from brainscore_itmaps.bridge.reproduce import reproduce as run_again

        found = run_again(Result.load(file), progress=progress)
    say(f"result     {file.stem}, written {found.then.written}")
    say(f"score      {found.then.score!r} then, {found.now.score!r} now")
    say(f"same       {', '.join(found.same)}")
    for each in found.differs:
        say(f"differs    {each.what}: {each.then} then, {each.now} now")
    say(f"numbers    {found.reason}")
    if not found.reproduced:
        raise typer.Exit(1)
