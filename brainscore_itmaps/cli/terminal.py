"""Terminal output: numbers to standard output, progress and errors to standard error."""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import TextWrapper
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from brainscore_itmaps.errors import OutputError, printable
from brainscore_itmaps.progress import Countdown, Report

NO_BREAK = "\N{NO-BREAK SPACE}"
MANY = 200
"""Number of rows above which a table is printed without lines between its cells, which takes less time."""


class PlainConsole(Console):
    """Console that prints text without markup and with control characters escaped."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **kwargs)

    def render_str(self, text: str, **kwargs: Any) -> Text:
        """Escape the control characters of a string or a table cell."""
        return super().render_str(printable(text), **kwargs)


def output() -> Console:
    """Return a console for standard output.

    Examples
    --------
    >>> output().print("[bold]ready")
    [bold]ready
    """
    return PlainConsole()


def say(content: str | Text | Table) -> None:
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
        output().print(content, soft_wrap=not isinstance(content, Table))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"The output could not be written: {error.strerror}.", "Files named before this message are complete."
        ) from error


def say_line(name: str, text: str, width: int = 11) -> None:
    """Print a name and a text, which is broken at spaces and indented.

    Examples
    --------
    >>> say_line("note", "The default recording is simulated.")
    note       The default recording is simulated.
    """
    say(wrapped(f"{name:<{width}}", printable(text), " " * width))


def say_next(*words: str | Path, prefix: str = "", width: int = 11) -> None:
    """Print the complete command that usually comes next, on one line, so that it can be copied.

    Parameters
    ----------
    *words : str or Path
        Words after ``brainscore``; those with spaces are quoted.
    prefix : str
        What has to be run before it.
    width : int
        Width of the column of names above.

    Examples
    --------
    >>> say_next("data", "check", Path("my recording"))
    next       brainscore data check 'my recording'
    """
    say(f"{'next':<{width}}{prefix}{shlex.join(['brainscore', *map(str, words)])}")


def option_words(**options: str | int | Path | None) -> list[str]:
    """Return the words of the options that have a value; True is an option without one.

    Examples
    --------
    >>> option_words(model="resnet50", arch=None, batch_size=2, fresh=True, offline=False)
    ['--model', 'resnet50', '--batch-size', '2', '--fresh']
    """
    given = {f"--{name.replace('_', '-')}": value for name, value in options.items() if value not in (None, False)}
    return [word for name, value in given.items() for word in ([name] if value is True else [name, str(value)])]


def say_facts(facts: Mapping[str, str]) -> None:
    """Print names and their values in two columns; a word that is longer than the second column stays whole.

    Examples
    --------
    >>> say_facts({"sites": "32", "grid": "17 x 17"})
    sites  32
    grid   17 x 17
    """
    column = max(map(len, facts), default=0) + 2
    for name, text in facts.items():
        say(wrapped(f"{name:<{column}}", printable(text), " " * column))


def wrapped(start: str, text: str, indent: str) -> str:
    """Break a text into the lines of the terminal, only at spaces.

    Examples
    --------
    >>> print(wrapped("grid  ", "17 x 17", "      "))
    grid  17 x 17
    """
    lines = TextWrapper(output().width, "", indent, break_long_words=False, break_on_hyphens=False)
    return start + (lines.fill(f"{'.' * len(start)}{text}")[len(start) :] if text else "")


def say_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Text]],
    *,
    title: str = "",
    names: int = 1,
    optional: Sequence[str] = (),
    wrapping: str = "",
    total: bool = False,
) -> None:
    """Print a table in which no word is broken or cut, so that rows stay distinguishable on narrow terminals.

    If the terminal is too narrow, optional columns are left out, and a line names them. If it still is, each row is
    printed as lines instead, with all columns.

    Parameters
    ----------
    columns : sequence of Column
    rows : sequence of sequences of str or Text
        The cells of each row.
    title : str
        Line above the table.
    names : int
        Number of columns, from the first, that together name a row.
    optional : sequence of str
        Headings of columns that can be left out, in the order in which they are left out.
    wrapping : str
        Heading of a column whose cells may be broken at spaces.
    total : bool
        Whether the last row summarizes the others.

    Examples
    --------
    >>> say_table([Column("model"), Column("score")], [["resnet50", "0.512"]])
    ┏━━━━━━━━━━┳━━━━━━━┓
    ┃ model    ┃ score ┃
    ┡━━━━━━━━━━╇━━━━━━━┩
    │ resnet50 │ 0.512 │
    └──────────┴───────┘
    """
    if not rows:
        return
    if title:
        say(wrapped("", title, ""))
    left_out: tuple[str, ...] = ()
    for name in ("", *optional):
        left_out = (*left_out, name) if name else left_out
        shown = [index for index, column in enumerate(columns) if column.header not in left_out]
        chosen, cells = [columns[index] for index in shown], [[row[index] for index in shown] for row in rows]
        if len(rows) > MANY and (lines := _aligned(chosen, cells)):
            say("\n".join(lines))
            _say_left_out(left_out)
            return
        if len(rows) <= MANY and (table := _table(chosen, cells, wrapping, total)):
            say(table)
            _say_left_out(left_out)
            return
    headings, width = [str(column.header) for column in columns], output().width
    say("\n".join(_lines_of_row(headings, [printable(str(cell)) for cell in row], names, width) for row in rows))


def _say_left_out(headings: Sequence[str]) -> None:
    """Print which columns are left out, and how they can be seen."""
    if headings:
        say(wrapped("", f"Left out: {', '.join(headings)}. A wider terminal, or COLUMNS=200, shows all columns.", ""))


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], wrapping: str, total: bool) -> Table | None:
    """Build a table with whole words; return None if it is too wide for the terminal."""
    texts = [[str(column.header), *(printable(str(row[index])) for row in rows)]
             for index, column in enumerate(columns)]  # fmt: skip
    widths = [max(map(cell_len, cells)) for cells in texts]
    excess = sum(widths) + 3 * len(widths) + 1 - output().width
    table = Table()
    for column, width, cells in zip(columns, widths, texts, strict=True):
        longest_word = max(map(cell_len, " ".join(cells).split()), default=0)
        saved = min(excess, width - longest_word) if excess > 0 and column.header == wrapping else 0
        excess -= saved
        table.add_column(column.header, justify=column.justify, width=width - saved)
    if excess > 0:
        return None
    for number, row in enumerate(rows, 1):
        table.add_row(*row, end_section=total and number == len(rows) - 1)
    return table


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> list[str]:
    """Align the cells of many rows, without lines between them; return nothing if they are too wide."""
    texts = [[str(column.header), *(printable(str(row[index])) for row in rows)]
             for index, column in enumerate(columns)]  # fmt: skip
    widths = [max(map(cell_len, cells)) for cells in texts]
    if sum(widths) + 2 * (len(widths) - 1) > output().width:
        return []
    padded = [
        [" " * (width - cell_len(cell)) + cell if column.justify == "right" else cell + " " * (width - cell_len(cell))
         for cell in cells]
        for column, width, cells in zip(columns, widths, texts, strict=True)
    ]  # fmt: skip
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def _lines_of_row(headings: Sequence[str], cells: Sequence[str], names: int, width: int) -> str:
    """Return a row as a line, or as lines that end between two cells."""
    name = ", ".join(filter(None, cells[:names]))
    pairs = zip(headings[names:], cells[names:], strict=True)
    body = [f"{heading} {cell}".strip() for heading, cell in pairs if cell]
    line = f"{name}: {', '.join(body)}" if name and body else name or ", ".join(body)
    if len(line) <= width or not body:
        return line
    indent = "  " if name else ""
    unbroken = [text.replace(" ", NO_BREAK) if len(text) + 3 < width else text for text in body]
    return (f"{name}:\n" if name else "") + wrapped(indent, ", ".join(unbroken), indent).replace(NO_BREAK, " ")


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
def progress_bar(visible: bool = True) -> Iterator[Report]:
    """Draw a progress bar on standard error within a ``with`` block, and remove it at the end.

    Where that is no terminal, write a line with an estimate every half minute.

    Examples
    --------
    >>> with progress_bar(visible=False) as progress:
    ...     progress("recording features", 3, 14)
    """
    console = errors()
    if visible and not console.is_terminal:
        yield Countdown(lambda line: console.print(line, soft_wrap=True))
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not visible) as bar:
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
