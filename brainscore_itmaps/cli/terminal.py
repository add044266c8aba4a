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
"""Columns below which a table becomes lines."""


class PlainConsole(Console):
    """A console that prints text without markup and with control characters escaped."""

    def __init__(self, **named: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **named)

    def render_str(self, text: str, **named: Any) -> Text:
        """Convert a string, also a table cell, to what is printed."""
        return super().render_str(printable(text), **named)


def output() -> Console:
    """Return the console of standard output."""
    return PlainConsole()


def say(what: str | Table) -> None:
    """Print to standard output: a table fitted to the terminal, a line of text as it is, brackets and all.

    Raises
    ------
    OutputError
        When the text cannot be written. Standard output is then closed, because Python would try again at exit.
    """
    try:
        output().print(what, soft_wrap=isinstance(what, str))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"The output could not be written: {error.strerror}.", "Files named before this are complete."
        ) from error


def say_facts(facts: Mapping[str, str]) -> None:
    """Print names and their values in two columns."""
    table = Table.grid("", Column(overflow="fold"), padding=(0, 2))
    for name, text in facts.items():
        table.add_row(name, text)
    say(table)


def print_json(content: Any, file: Path | None = None) -> None:
    """Print, or write, as JSON."""
    text = json.dumps(content, indent=1, allow_nan=False)
    if file is None:
        say(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")


def errors() -> Console:
    """Return the console of standard error."""
    return PlainConsole(stderr=True)


@contextmanager
def progress_bar(shown: bool = True) -> Iterator[Report]:
    """Draw the progress that a computation reports; on a terminal only, and gone when it is done."""
    console = errors()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("starting", total=None)

        def report(step: str, done: int, total: int) -> None:
            bar.update(task, description=printable(step), completed=done, total=total)

        yield report


def shown_size(size: int) -> str:
    """Format a number of bytes for people."""
    return f"{size / 10**6:.1f} MB" if size >= 10**5 else f"{size} bytes"
