"""Where output goes: numbers to standard output, progress and errors to standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from brainscore_itmaps.benchmark.progress import Report


def output() -> Console:
    """Console of standard output."""
    return Console(highlight=False)


def errors() -> Console:
    """Console of standard error."""
    return Console(stderr=True, highlight=False)


@contextmanager
def progress_bar(shown: bool = True) -> Iterator[Report]:
    """Draw the progress that a computation reports; on a terminal only, and gone when it is done."""
    console = errors()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("starting", total=None)

        def report(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total)

        yield report
