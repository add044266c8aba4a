"""`brainscore results` and `brainscore reproduce`: list, show and rerun saved results, and empty the cache."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from brainscore_itmaps.benchmark.catalogue import EXPERIMENTAL, mark_of
from brainscore_itmaps.cli.completion import complete_results
from brainscore_itmaps.cli.options import HELP_OPTIONS, Offline, examples
from brainscore_itmaps.cli.result_tables import print_result
from brainscore_itmaps.cli.terminal import progress_bar, say, say_line, say_next, say_table, shown_size
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.files import visible
from brainscore_itmaps.settings import Settings, expanded
from brainscore_itmaps.text import ABSENT, interval_text, number_text

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import Result
    from brainscore_itmaps.benchmark.saved import Summary

results = typer.Typer(
    help="List and show saved results, and empty the cache.",
    epilog=examples(
        "brainscore results list",
        "brainscore results show efficientnet_lite0--blocks.4--it_maps_simulated",
    ),
    context_settings=HELP_OPTIONS,
    no_args_is_help=True,
)
INTERVAL, CONTROL, WRITTEN = "95 % interval", "best control", "written (UTC)"
ESTIMATED = ("raw", "ceiling", "score")
LISTED = 12
"""Number of names that an error message lists."""
Folder = Annotated[
    Path | None, typer.Option("--from", help="Look for results in this folder. The default is ITMAPS_HOME/results.")
]


@results.command(
    "list",
    epilog=examples(
        "brainscore results list",
        "brainscore results list --from studies/embedded/results",
    ),
)
def list_results(folder: Folder = None) -> None:
    """List the saved results with their scores, and the size of the cache."""
    from brainscore_itmaps.benchmark.saved import load_summary
    from brainscore_itmaps.cache import cache_size, default_cache

    directory = _folder(folder)
    damaged, rows = [], []
    listed: list[Path] = []
    notes: dict[str, None] = {}
    for file in _files(directory):
        try:
            result = load_summary(file)
        except DataError as error:
            damaged.append(str(error))
            continue
        listed.append(file)
        name, interval = file.stem + mark_of(result.measure), interval_text(*result.interval)
        raw, ceiling, score = (number_text(number) for number in (result.raw, result.ceiling, result.score))
        rows.append([name, raw, ceiling, score, interval, _best_control(result), result.written[:16]])
        notes |= dict.fromkeys([EXPERIMENTAL] if result.measure == "attribution" else [])
        if score == ABSENT:
            notes[f"{ABSENT} is a score that is not given: {result.estimate.reason or 'no reason was recorded'}"] = None
    numbers = [Column(name, justify="right") for name in ("raw", "ceiling", "score", INTERVAL, CONTROL)]
    columns = [Column("result"), *numbers, Column(WRITTEN)]
    if all(row[5] == ABSENT for row in rows):
        columns, rows = [*columns[:5], *columns[6:]], [[*row[:5], *row[6:]] for row in rows]
    say_table(columns, rows, optional=(WRITTEN, CONTROL))
    if not rows:
        say(f"No results in {directory}.")
    for message in damaged:
        say(message)
    for note in notes:
        say_line("note", note)
    say(f"results    {directory}")
    home = default_cache().home
    say(f"cache      {home} ({shown_size(cache_size(home))}); `brainscore results clean` empties it")
    if listed:
        say_next("results", "show", name_of(listed[0]))
    else:
        say_next("score", "--model", "efficientnet_lite0")


def _best_control(result: "Summary") -> str:
    """Return the best control with its score, or its raw value where there is no score; a dash without controls."""
    name = result.best_control
    if not name:
        return ABSENT
    control = result.controls[name]
    score = number_text(control.score)
    return f"{name} (raw {number_text(control.raw)})" if score == ABSENT else f"{name} {score}"


@results.command(
    "show",
    epilog=examples(
        "brainscore results show efficientnet_lite0--blocks.4--it_maps_simulated",
        "brainscore results list",
    ),
)
def show_result(
    result: Annotated[
        str,
        typer.Argument(
            metavar="RESULT",
            autocompletion=complete_results,
            help="Print this result: a name from `brainscore results list`, or the path of its JSON file.",
        ),
    ],
    folder: Folder = None,
) -> None:
    """Print a saved result."""
    file = named_result(result, folder)
    loaded = _loaded(file)
    print_result(loaded)
    say_next_of(loaded, file)


@results.command(
    "clean",
    epilog=examples(
        "brainscore results clean",
        "brainscore results list",
    ),
)
def clean_results() -> None:
    """Empty the cache of layer scores. Saved results stay."""
    from brainscore_itmaps.cache import clean_cache, default_cache

    home = default_cache().home
    say(f"removed    {shown_size(clean_cache(home))} from {home}; saved results are unchanged")
    say_next("results", "list")


def say_next_of(result: "Result", file: Path) -> None:
    """Print the command that shows a saved result: as a page, or compared with the others beside it."""
    if result.has_maps or result.attacked is not None:
        say_next("report", name_of(file))
    else:
        say_next("compare", file.parent, "--out", "comparison", "--no-maps")


def name_of(file: Path) -> str:
    """Return the name by which a command finds a result; its path, if it is in another folder than the default one.

    Examples
    --------
    >>> name_of(Settings.from_environment().home / "results" / "vgg16--V4.json")
    'vgg16--V4'
    >>> name_of(Path("other/vgg16--V4.json"))
    'other/vgg16--V4.json'
    """
    return file.stem if file.parent == Settings.from_environment().home / "results" else str(file)


def named_result(result: str, folder: Path | None) -> Path:
    """Return the JSON file of a result, which is given by its name or its path.

    Raises
    ------
    UsageError
        When the result or the folder does not exist; the message suggests similar names, or lists all.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "alexnet--it_maps.json").write_text("{}")
    ...     named_result("alexnet--it_maps", Path(folder)).name
    'alexnet--it_maps.json'
    """
    file = expanded(result)
    if file.is_dir():
        raise UsageError(f"{result} is a folder.", f"`brainscore results list --from {result}` lists its results.")
    directory = _folder(folder)
    if file.suffix != ".json":
        file = directory / f"{result}.json"
    if file.is_file():
        return file
    names = result_names(folder)
    if not names:
        fix = f"{directory} has no results: score a model first, `brainscore score --model efficientnet_lite0`."
    elif completed := [name for name in names if name.startswith(result.removesuffix(".json"))]:
        fix = f"Did you mean {' or '.join(completed[:3])}?"
    else:
        listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        fix = nearest(Path(result).name, names, f"Results in {directory}: {listed}.")
    if Path(result).suffix == ".json" or Path(result).name != result:
        raise UsageError(f"There is no file {result}.", fix)
    raise UsageError(f"There is no result {result!r} in {directory}.", fix)


def result_names(folder: Path | None) -> list[str]:
    """List the names of the results in a folder, by default in that of this user.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as empty:
    ...     result_names(Path(empty))
    []
    """
    return [saved.stem for saved in _files(_folder(folder))]


def _folder(folder: Path | None) -> Path:
    """Return the folder of results; of a study, the one below it.

    Raises
    ------
    UsageError
        When a folder is requested that does not exist.
    """
    if folder is None:
        return Settings.from_environment().home / "results"
    folder = expanded(folder)
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", "Give the folder of results or of a study with --from.")
    return folder / "results" if (folder / "results").is_dir() and not _files(folder) else folder


def _files(folder: Path) -> list[Path]:
    from brainscore_itmaps.benchmark.saved import is_result

    return visible(filter(is_result, folder.glob("*.json")), folder)


def _loaded(file: Path) -> "Result":
    from brainscore_itmaps.benchmark.result import Result

    return Result.load(file)


def reproduce(
    result: Annotated[
        str,
        typer.Argument(
            metavar="RESULT",
            autocompletion=complete_results,
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
        from brainscore_itmaps.bridge.reproduce import reproduce as reproduce_in_python

        reproduction = reproduce_in_python(Result.load(file), progress=progress)
    say(f"result     {file.stem}, written {reproduction.then.written}")
    then, now = (
        {name: repr(number) if (number := getattr(each, name)) == number else ABSENT for name in ESTIMATED}
        for each in (reproduction.then, reproduction.now)
    )
    for name in ESTIMATED:
        say(f"{name:<10} {then[name]} before, {now[name]} now")
    say(f"same       {', '.join(reproduction.same)}")
    for difference in reproduction.differs:
        say(f"differs    {difference.what}: {difference.then} before, {difference.now} now")
    say(f"numbers    {reproduction.reason}")
    if not reproduction.reproduced:
        raise typer.Exit(1)
    say_next_of(reproduction.now, file)
