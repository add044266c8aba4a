"""Callbacks by which a computation reports its progress."""

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Called with (step, steps done, steps in all)."""


Steps = Callable[[int, int], None]
"""Told (steps done, steps in all)."""


def uncounted(done: int, total: int) -> None:
    """Report nothing."""


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""
