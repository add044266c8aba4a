"""Recordings by name."""

from collections.abc import Callable

from brainscore_itmaps.data import simulated
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import UsageError, nearest

RECORDINGS: dict[str, Callable[..., Recording]] = {
    simulated.IDENTIFIER: simulated.load_simulated,
}


def load_recording(name: str, window: tuple[int, int] | None = None) -> Recording:
    """Load a recording.

    Parameters
    ----------
    name : str
        ``it_maps_simulated``.
    window : (int, int), optional
        Milliseconds after stimulus onset, half-open; the recording's own analysis window by default.

    Raises
    ------
    UsageError
        When the name is not known.
    DataError
        When the window is not covered by the recording, or its pictures are missing.
    """
    if name not in RECORDINGS:
        raise UsageError(f"There is no recording named {name!r}.", nearest(name, RECORDINGS))
    return RECORDINGS[name]() if window is None else RECORDINGS[name](window=window)
