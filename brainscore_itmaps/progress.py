"""Types of the callbacks by which a computation reports its progress, and callbacks that ignore it."""

import time
from collections.abc import Callable

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
