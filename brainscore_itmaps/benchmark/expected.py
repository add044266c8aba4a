"""Expected time and memory of scoring, so that long work is announced, and work that does not fit is refused."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.progress import LongWork, shown_time

ROWS, OF_CHANNEL, OF_SITE, OF_BOTH = 4046, 6.6e-4, 8.3e-3, 5e-6
"""Seconds of a layer on 14 maps of 17 x 17 positions, for each channel, each site, and each pair of them, on one core;
``benchmarks/expected_work.py`` compares them with measured ones."""
OF_CEILING = 0.02
"""Seconds of the noise ceiling of these maps, for each site."""
COPIES = 4
"""Copies of a layer's features, and of its predictions for each refit, that are in memory together."""
LONG, LARGE = 60.0, 4e9
"""Seconds and bytes above which work is announced."""


class Work(NamedTuple):
    """Expected work.

    Attributes
    ----------
    seconds : float
        On one core of the machine on which the constants were measured.
    bytes : float
        Largest memory at a time, beyond that of the model.
    """

    seconds: float
    bytes: float


def expected_work(images: int, positions: int, channels: Sequence[int], sites: Sequence[int], refits: int = 1) -> Work:
    """Estimate the time and the memory of scoring layers on arrays.

    Parameters
    ----------
    images, positions : int
        Number of images, and of positions of a map.
    channels : sequence of int
        Of each layer.
    sites : sequence of int
        Of each array.
    refits : int
        Number of times that the regressions are fitted again.

    Examples
    --------
    >>> work = expected_work(images=14, positions=289, channels=[768], sites=[32])
    >>> round(work.seconds, 1), round(work.bytes / 1e9, 2)
    (1.5, 0.1)
    """
    rows = images * positions
    seconds = sum(
        OF_CHANNEL * layer + OF_SITE * array + OF_BOTH * layer * array for layer in channels for array in sites
    )
    values = max(channels, default=0) + (1 + refits) * sum(sites) / COPIES
    return Work(rows / ROWS * (seconds + OF_CEILING * sum(sites)), 8.0 * COPIES * rows * values)


def announce(work: Work, what: str, memory: int | None = None) -> None:
    """Warn before long work, and refuse work that does not fit into the memory.

    Parameters
    ----------
    work : Work
    what : str
        For messages.
    memory : int, optional
        Bytes that may be used; by default those of the machine, or of its control group where that has fewer.

    Raises
    ------
    InstallationError
        When the work needs more memory.

    Examples
    --------
    >>> announce(Work(3, 1e8), "12 layers")
    >>> announce(Work(3, 1e12), "12 layers", memory=8_000_000_000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.InstallationError: 12 layers need about 1000 GB of memory, and there are 8 GB. Score ...
    """
    if work.bytes > LARGE or memory is not None:
        available = memory_of_machine() if memory is None else memory
        if work.bytes > available:
            raise InstallationError(
                f"{what} need about {work.bytes / 1e9:.0f} GB of memory, and there are {available / 1e9:.0f} GB.",
                "Score fewer images, sites or channels at a time, or use a machine with more memory.",
            )
    if work.seconds > LONG or work.bytes > LARGE:
        warnings.warn(
            f"{what} take about {shown_time(work.seconds)} and {work.bytes / 1e9:.1f} GB of memory.",
            LongWork,
            stacklevel=2,
        )


def memory_of_machine() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its control group's where it has fewer.

    Examples
    --------
    >>> memory_of_machine() > 0
    True
    """
    from distributed.system import MEMORY_LIMIT  # reads control groups of both versions, and limits of the process

    return int(MEMORY_LIMIT)
