"""Folders on this machine and offline mode, read from the environment once per call."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

from brainscore_itmaps.errors import InstallationError

SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."
"""What to do when the home folder cannot be written."""

_overrides: ContextVar[dict[str, Any]] = ContextVar("settings that differ from the environment")


@dataclass(frozen=True)
class Settings:
    """Settings from the environment, or from :func:`overridden`.

    Attributes
    ----------
    home : Path
        Our own folder, for results and recordings: ``ITMAPS_HOME``, else the platform's place for a user's data.
    brainio_home : Path
        Brain-Score's folder of images: ``BRAINIO_HOME``, else ``~/.brainio``. Images go there because Brain-Score
        compares paths under it without regard to where the folder lies.
    offline : bool
        ``ITMAPS_OFFLINE`` is set to anything but 0: recordings and weights are never downloaded.
    """

    home: Path
    brainio_home: Path
    offline: bool

    @property
    def recordings(self) -> Path:
        """Return the folder of downloaded and prepared recordings."""
        return self.home / "recordings"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; create no folder."""
        home = os.environ.get("ITMAPS_HOME") or platformdirs.user_data_path("brainscore_itmaps")
        brainio_home = os.environ.get("BRAINIO_HOME") or Path("~/.brainio")
        try:
            home, brainio_home = Path(home).expanduser(), Path(brainio_home).expanduser()
        except RuntimeError as error:
            raise InstallationError(
                "This user has no home folder.", "Set ITMAPS_HOME and BRAINIO_HOME to folders that you may write to."
            ) from error
        offline = os.environ.get("ITMAPS_OFFLINE", "0") not in ("", "0")
        return replace(cls(home, brainio_home, offline), **_overrides.get({}))


@contextmanager
def overridden(**values: Any) -> Iterator[None]:
    """Override the settings of the environment within a ``with`` block; the environment itself is unchanged.

    They hold in this thread, and not in processes that are started meanwhile.

    Parameters
    ----------
    **values
        Fields of :class:`Settings`; None keeps the current value.
    """
    given = {name: value for name, value in values.items() if value is not None}
    token = _overrides.set(_overrides.get({}) | given)
    try:
        yield
    finally:
        _overrides.reset(token)
