"""Terminal output: numbers to standard output, progress and errors to standard error."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from brainscore_itmaps.errors import OutputError, printable
from brainscore_itmaps.progress import Report

NARROW = 72
"""Number of terminal columns below which tables are printed as lines."""


class PlainConsole(Console):
    """Console that prints text without markup and with control characters escaped."""

    def __init__(self, **named: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **named)

    def render_str(self, text: str, **named: Any) -> Text:
        """Escape the control characters of a string or a table cell."""
        return super().render_str(printable(text), **named)


def output() -> Console:
    """Return a console for standard output.

    Examples
    --------
    >>> output().print("[bold]ready")
    [bold]ready
    """
    return PlainConsole()


def say(content: str | Table) -> None:
    """Print to standard output: a table fitted to the terminal, or a line of text unchanged, also with brackets.

    Raises
    ------
    OutputError
        When the text cannot be written. Standard output is then closed, because Python would try again at exit.

    Examples
    --------
    >>> say("results    [1] is not markup")
    results    [1] is not markup
    """
    try:
        output().print(content, soft_wrap=isinstance(content, str))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"The output could not be written: {error.strerror}.", "Files named before this message are complete."
        ) from error


def say_facts(facts: Mapping[str, str]) -> None:
    """Print names and their values in two columns.

    Examples
    --------
    >>> say_facts({"sites": "32", "grid": "17 x 17"})  # doctest: +NORMALIZE_WHITESPACE
    sites  32
    grid   17 x 17
    """
    table = Table.grid("", Column(overflow="fold"), padding=(0, 2))
    for name, text in facts.items():
        table.add_row(name, text)
    say(table)


def print_json(content: Any, file: Path | None = None) -> None:
    """Print JSON, or write it to a file.

    Examples
    --------
    >>> print_json({"score": 0.5})
    {
     "score": 0.5
    }
    """
    text = json.dumps(content, indent=1, allow_nan=False)
    if file is None:
        say(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")


def errors() -> Console:
    """Return a console for standard error.

    Examples
    --------
    >>> errors().stderr
    True
    """
    return PlainConsole(stderr=True)


@contextmanager
def progress_bar(shown: bool = True) -> Iterator[Report]:
    """Draw a progress bar on standard error within a ``with`` block, if that is a terminal; remove it at the end.

    Examples
    --------
    >>> with progress_bar(shown=False) as progress:
    ...     progress("recording features", 3, 14)
    """
    console = errors()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("starting", total=None)

        def report(step: str, done: int, total: int) -> None:
            bar.update(task, description=printable(step), completed=done, total=total)

        yield report


def shown_size(size: int) -> str:
    """Format a number of bytes.

    Examples
    --------
    >>> shown_size(4_200_000), shown_size(730)
    ('4.2 MB', '730 bytes')
    """
    return f"{size / 10**6:.1f} MB" if size >= 10**5 else f"{size} bytes"
