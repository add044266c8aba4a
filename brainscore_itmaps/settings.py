"""Settings of this package from environment variables: its folders, and offline mode."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

from brainscore_itmaps.errors import InstallationError, UsageError

SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."
"""Next step when the home folder cannot be written to."""

_overrides: ContextVar[dict[str, Any]] = ContextVar("settings that differ from the environment")


@dataclass(frozen=True)
class Settings:
    """Settings from the environment, or from :func:`overridden`.

    Attributes
    ----------
    home : Path
        Folder for recordings and results: ``ITMAPS_HOME``, else the operating system's folder for user data.
    brainio_home : Path
        Brain-Score's folder of images: ``BRAINIO_HOME``, else ``~/.brainio``. Images are stored there because
        Brain-Score's caches identify them by their path in this folder.
    offline : bool
        True if ``ITMAPS_OFFLINE`` is set to anything but 0: recordings and weights are never downloaded.
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
        """Read the environment variables, without creating a folder."""
        home = os.environ.get("ITMAPS_HOME") or platformdirs.user_data_path("brainscore_itmaps")
        brainio_home = os.environ.get("BRAINIO_HOME") or Path("~/.brainio")
        try:
            home, brainio_home = Path(home).expanduser(), Path(brainio_home).expanduser()
        except RuntimeError as error:
            raise InstallationError(
                "The current user has no home folder.",
                "Set ITMAPS_HOME and BRAINIO_HOME to folders that you may write to.",
            ) from error
        offline = os.environ.get("ITMAPS_OFFLINE", "0") not in ("", "0")
        return replace(cls(home, brainio_home, offline), **_overrides.get({}))


def expanded(path: Path | str) -> Path:
    """Return a path with ``~`` replaced by the home folder.

    Raises
    ------
    UsageError
        When there is no such user, or the user has no home folder.

    Examples
    --------
    >>> expanded("results")
    PosixPath('results')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"The home folder in {path} is not known.", "Give the full path, without ~.") from error


@contextmanager
def overridden(**values: Any) -> Iterator[None]:
    """Override settings within a ``with`` block; environment variables are unchanged.

    Other threads, and processes started in the block, do not see the overrides.

    Parameters
    ----------
    **values
        Fields of :class:`Settings`; None keeps the current value.

    Examples
    --------
    >>> with overridden(home=Path("results"), offline=True):
    ...     settings = Settings.from_environment()
    >>> settings.offline, settings.recordings.as_posix()
    (True, 'results/recordings')
    """
    overrides = {name: value for name, value in values.items() if value is not None}
    token = _overrides.set(_overrides.get({}) | overrides)
    try:
        yield
    finally:
        _overrides.reset(token)
