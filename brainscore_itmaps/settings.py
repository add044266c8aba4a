"""Where things are kept on this machine, read from the environment once per call."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from brainscore_itmaps.errors import InstallationError


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Attributes
    ----------
    home : Path
        Our own folder, for results and recordings: ``ITMAPS_HOME``, else the platform's place for a user's data.
    brainio_home : Path
        Brain-Score's folder of pictures: ``BRAINIO_HOME``, else ``~/.brainio``. Pictures go there because Brain-Score
        compares paths under it without regard to where the folder lies.
    offline : bool
        ``ITMAPS_OFFLINE`` is set to anything but 0: recordings are never fetched.
    """

    home: Path
    brainio_home: Path
    offline: bool

    @property
    def recordings(self) -> Path:
        """Where downloaded and prepared recordings are kept."""
        return self.home / "recordings"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; makes no folder."""
        home = os.environ.get("ITMAPS_HOME") or platformdirs.user_data_path("brainscore_itmaps")
        brainio_home = os.environ.get("BRAINIO_HOME") or Path("~/.brainio")
        try:
            home, brainio_home = Path(home).expanduser(), Path(brainio_home).expanduser()
        except RuntimeError as error:
            raise InstallationError(
                "This user has no home folder.", "Set ITMAPS_HOME and BRAINIO_HOME to folders that you may write to."
            ) from error
        return cls(
            home=home,
            brainio_home=brainio_home,
            offline=os.environ.get("ITMAPS_OFFLINE", "0") not in ("", "0"),
        )
