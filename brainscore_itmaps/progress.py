"""Types of the callbacks by which a computation reports its progress, and callbacks that ignore it."""

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Called with (step, steps done, steps in all)."""


Steps = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


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
