"""Types of the callbacks by which a computation reports its progress, and callbacks for logs and notebooks."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from html import escape
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

Report = Callable[[str, int, int], None]
"""Called with (step, steps done, steps in all)."""


Steps = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class LongWork(UserWarning):
    """Work that takes minutes, or gigabytes of memory."""


class Countdown:
    """The progress of a computation as lines with an estimate, for a log or another output that is no terminal.

    Parameters
    ----------
    write : callable
        Called with each line.
    every : float
        Seconds before the first line, and between lines.
    clock : callable
        Returns the time in seconds.

    Examples
    --------
    >>> times = iter([0, 40, 50, 80])
    >>> report = Countdown(print, every=30, clock=lambda: next(times))
    >>> for done in range(3):
    ...     report("layer 1 of 2", done, 12)
    layer 1 of 2: 0 of 12
    layer 1 of 2: 2 of 12, about 3 min left
    """

    def __init__(self, write: Callable[[str], None], every: float = 30, clock: Callable[[], float] = time.monotonic):
        self._write, self._every, self._clock = write, every, clock
        self._written = clock()
        self._step, self._since, self._first = "", 0.0, 0

    def __call__(self, step: str, done: int, total: int) -> None:
        """Write a line if the last one was long enough ago."""
        now = self._clock()
        if step != self._step:
            self._step, self._since, self._first = step, now, done
        if now - self._written < self._every:
            return
        self._written = now
        counted = f": {done} of {total}" if total > 1 else ""
        left = (now - self._since) / (done - self._first) * (total - done) if done > self._first else None
        self._write(f"{step}{counted}{f', about {shown_time(left)} left' if left else ''}")


def shown_time(seconds: float) -> str:
    """Write a length of time in one unit.

    Examples
    --------
    >>> shown_time(45), shown_time(200), shown_time(20_000)
    ('45 s', '3 min', '5.6 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def uncounted(done: int, total: int) -> None:
    """Ignore the progress of a computation without named steps.

    Examples
    --------
    >>> uncounted(2, 10)
    """


def silent(step: str, done: int, total: int) -> None:
    """Ignore the progress of a computation with named steps.

    Examples
    --------
    >>> silent("predicting left-out images", 2, 10)
    """


class NotebookLine:
    """The progress of a call as one line below a cell of a notebook, which is changed in place.

    A call that ends within half a second shows nothing. The line that stays says how long the call took, or where it
    stopped. It needs no widgets: the bar is an element of HTML, and text where HTML is not shown.

    Parameters
    ----------
    name : str
        Name of the function that is called.
    show : callable
        Called with the line as text and as HTML; the first time it shows the line, then it changes it.
    every : float
        Seconds between changes.
    clock : callable
        Returns the time in seconds.

    Examples
    --------
    >>> times = iter([0, 2, 2.1, 3, 95])
    >>> line = NotebookLine("score", lambda text, html: print(text), clock=lambda: next(times))
    >>> for done in range(3):
    ...     line.report("layer 1 of 2", done, 12)
    score: layer 1 of 2, 0 of 12
    score: layer 1 of 2, 2 of 12
    >>> line.end()
    score: done in 2 min
    """

    def __init__(
        self,
        name: str,
        show: Callable[[str, str], None],
        every: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._name, self._show, self._every, self._clock = name, show, every, clock
        self._began = self._changed = clock()
        self._shown = False
        self._step = ""

    def report(self, step: str, done: int, total: int) -> None:
        """Show a step, if the last change was long enough ago."""
        now = self._clock()
        self._step = f"{step}, {done} of {total}" if total > 1 else step
        if now - self._changed >= self._every:
            self._changed, self._shown = now, True
            self._say(self._step, f'<progress value="{done}" max="{max(total, 1)}"></progress> ')

    def count(self, done: int, total: int) -> None:
        """Show a number of steps that have no name."""
        self.report("working", done, total)

    def end(self, failed: bool = False) -> None:
        """Leave one line, if any was shown."""
        if self._shown:
            seconds = self._clock() - self._began
            self._say(f"stopped at: {self._step}" if failed else f"done in {shown_time(seconds)}", "")

    def _say(self, text: str, bar: str) -> None:
        line = f"{self._name}: {text}"
        self._show(line, f"<div>{bar}{escape(line)}</div>")


_running: list[str] = []
"""The public function that a notebook called; those that it calls show no line of their own."""


def shows_progress(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Show the progress of a function below the cell of a notebook, unless it is called with ``progress=``.

    The function has a keyword argument ``progress`` that is called with (step, steps done, steps in all). In scripts
    and in a terminal nothing is shown.

    Examples
    --------
    >>> @shows_progress
    ... def wait(seconds, *, progress=silent):
    ...     return seconds
    >>> wait(3)
    3
    """
    return _shows(function, "report")


def shows_count(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Show, as :func:`shows_progress`, the progress of a function without named steps.

    Examples
    --------
    >>> @shows_count
    ... def wait(seconds, *, progress=uncounted):
    ...     return seconds
    >>> wait(3)
    3
    """
    return _shows(function, "count")


def _shows(function: Callable[Arguments, Returned], method: str) -> Callable[Arguments, Returned]:
    @wraps(function)
    def shown(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        if _running or not _in_notebook():
            return function(*args, **kwargs)
        _running.append(function.__name__)
        try:
            if "progress" in kwargs:
                return function(*args, **kwargs)
            with _line(function.__name__) as line:
                kwargs["progress"] = getattr(line, method)
                return function(*args, **kwargs)
        finally:
            _running.clear()

    return shown


def _in_notebook() -> bool:
    """Return whether this is the main thread of the kernel of a notebook."""
    interactive: Any = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return hasattr(shell, "kernel") and threading.current_thread() is threading.main_thread()


@contextmanager
def _line(name: str) -> Iterator[NotebookLine]:
    from IPython.display import DisplayHandle

    handle = DisplayHandle()
    calls = iter([handle.display])

    def show(text: str, html: str) -> None:
        next(calls, handle.update)({"text/plain": text, "text/html": html}, raw=True)

    line = NotebookLine(name, show)
    try:
        yield line
    except BaseException:
        line.end(failed=True)
        raise
    line.end()
