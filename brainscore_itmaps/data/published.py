"""Fetch the published score tables of Linsley, Feng & Serre (2025) and of the adversarial study, which are not shipped.

The files come from three pinned commits of the authors' repositories. One of them, with tolerance to adversarial
attacks, is under the MIT licence; no licence is stated for the others, so each user downloads them from the authors.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

from brainscore_itmaps.pinned_files import PinnedFile, fetch_files, read_manifest
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

NAME = "the published tables"
COMMAND = "brainscore data fetch published"
CITATION = (
    "Linsley, Feng & Serre (2025), Better artificial intelligence does not mean better models of biology, Trends in "
    "Cognitive Sciences, https://doi.org/10.1016/j.tics.2025.11.016, arXiv 2504.16940"
)
CITATION_ADVERSARIAL = (
    "Beyond Adversarial Robustness (2025), ICLR Re-Align workshop, https://openreview.net/forum?id=oe1TzWGFjs, "
    "https://github.com/TonyFPY/Adversarial_Alignment, MIT licence"
)
LICENCE = (
    "No licence is stated for these tables, except MIT for the table of adversarial alignment: they are downloaded "
    "from the authors' repositories, are not part of this package, and should not be redistributed."
)


@cache
def published_files() -> tuple[PinnedFile, ...]:
    """List the published tables: their repositories, commits, paths, sizes and hashes.

    Examples
    --------
    >>> len(published_files()), published_files()[0].name
    (25, 'neural_alignment_george_central_it_131_170.csv')
    """
    return read_manifest((files("brainscore_itmaps.data") / "published.csv").read_text(encoding="utf-8"))


def published_folder() -> Path:
    """Return the folder of the downloaded tables, which keep their paths in the repositories.

    Examples
    --------
    >>> published_folder().name
    'published'
    """
    return Settings.from_environment().home / "published"


def fetch_published(
    *, url: str | None = None, folder: Path | None = None, offline: bool | None = None, progress: Report = silent
) -> list[PinnedFile]:
    """Download the published tables that are missing or changed, and verify each of them.

    Parameters
    ----------
    url : str, optional
        Server with the same paths as ``https://raw.githubusercontent.com``.
    folder : Path, optional
        Folder with copies, which are recognised by their content; nothing is downloaded.
    offline : bool, optional
        Never connect; by default set by ``ITMAPS_OFFLINE``.
    progress : callable
        Called with (step, files done, files in all).

    Returns
    -------
    list of PinnedFile
        The files that were downloaded or copied; empty if all were there.

    Raises
    ------
    DataError
        When a file is not the one of the pinned commit, or is missing in ``folder`` or in offline mode.
    InstallationError
        When the connection fails or the disk is full; files that arrived are kept.
    """
    return fetch_files(
        published_files(),
        published_folder(),
        what=NAME,
        command=COMMAND,
        url=url,
        source=folder,
        offline=offline,
        progress=progress,
    )
