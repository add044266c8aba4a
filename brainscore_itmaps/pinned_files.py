"""Download files of a commit on GitHub, whose sizes and hashes are known, one by one, and find copies of them."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import locked
from brainscore_itmaps.files import sha256 as hash_of
from brainscore_itmaps.pinned import candidate_file, check_sha256, is_unchanged
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings

SERVER = "https://raw.githubusercontent.com"
FEW_NAMES = 4


@dataclass(frozen=True)
class PinnedFile:
    """A file of one commit of a repository.

    Attributes
    ----------
    repository, commit, path : str
        Owner and name on GitHub, commit, and path in the repository.
    size : int
        Bytes.
    sha256 : str
    """

    repository: str
    commit: str
    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Return the file name without its folders."""
        return self.path.rpartition("/")[2]

    def address(self, server: str | None = None) -> str:
        """Return the address of the file on GitHub, on another server with the same paths, or below a folder.

        Parameters
        ----------
        server : str, optional
            Replaces ``https://raw.githubusercontent.com``. An address that contains the commit is the folder of the
            repository.

        Examples
        --------
        >>> file = PinnedFile("lab/gaze", "4a467890", "data/1.jpg", 3, "ab12")
        >>> file.address(), file.address("http://localhost:8000/")
        ('https://raw.githubusercontent.com/lab/gaze/4a467890/data/1.jpg', 'http://localhost:8000/lab/gaze/4a467890/data/1.jpg')
        """
        server = (server or SERVER).rstrip("/")
        folder = server if self.commit in server else f"{server}/{self.repository}/{self.commit}"
        return f"{folder}/{self.path}"


def read_manifest(text: str, repository: str = "", commit: str = "") -> tuple[PinnedFile, ...]:
    """Read a list of files from CSV with the columns path, size and sha256, and repository and commit if they differ.

    Examples
    --------
    >>> read_manifest("path,size,sha256\\ndata/1.jpg,3,ab12\\n", "lab/gaze", "4a467890")[0].name
    '1.jpg'
    """
    return tuple(
        PinnedFile(
            row.get("repository", repository), row.get("commit", commit), row["path"], int(row["size"]), row["sha256"]
        )
        for row in csv.DictReader(io.StringIO(text))
    )


def fetch_files(
    files: Sequence[PinnedFile],
    folder: Path,
    *,
    what: str,
    command: str,
    url: str | None = None,
    source: Path | None = None,
    offline: bool | None = None,
    progress: Report = silent,
) -> list[PinnedFile]:
    """Download the files that are missing or changed in a folder, and verify each before it gets its name there.

    An interrupted download resumes with the next file. Concurrent processes wait for one download.

    Parameters
    ----------
    files : sequence of PinnedFile
    folder : Path
        Folder of the files, which keep their paths in the repository.
    what : str
        Name of the data in messages.
    command : str
        Command that fetches them, for messages.
    url : str, optional
        Another server with the same paths, as in :meth:`PinnedFile.address`.
    source : Path, optional
        Folder with copies, which are recognised by their content, whatever their names and subfolders; nothing is
        downloaded.
    offline : bool, optional
        Never connect; by default set by ``ITMAPS_OFFLINE``.
    progress : callable
        Called with (step, files done, files in all).

    Returns
    -------
    list of PinnedFile
        The files that were downloaded or copied.

    Raises
    ------
    DataError
        When a file is not the pinned one, or is missing in the source or in offline mode.
    InstallationError
        When the connection fails or the disk is full; files that arrived are kept.
    """
    if source is not None and not source.is_dir():
        problem = f"{source} is a file, not a folder." if source.exists() else f"There is no folder {source}."
        raise DataError(problem, f"Name the folder with the files of {what}.")
    missing = missing_files(files, folder)
    if not missing:
        return []
    with locked(folder, SET_HOME, progress):
        missing = missing_files(files, folder)  # another process may have fetched some while this one waited
        copies = _copies(missing, source) if source is not None else {}
        if source is None and (Settings.from_environment().offline if offline is None else offline):
            raise DataError(
                f"{len(missing)} of {len(files)} files of {what} are not in {folder}, and offline mode forbids "
                f"downloading them: {named(missing)}.",
                f"Run `{command}` with a connection, or `{command} --from FOLDER` with a folder of copies.",
            )
        fetched: list[PinnedFile] = []
        for file in missing:
            if source is not None and file not in copies:
                continue
            progress(f"{'copying' if source else 'downloading'} {what}, files", len(fetched), len(missing))
            origin = copies[file] if source is not None else file.address(url)
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = f"{command} --from FOLDER"
            with candidate_file(origin, target, copy, file.sha256, size=file.size) as candidate:
                expected = {"the sha256 of this commit's file": file.sha256}
                check_sha256(hash_of(candidate), expected, str(origin), "Use the files of the pinned commit.")
                candidate.replace(target)
            fetched.append(file)
            progress(f"{'copying' if source else 'downloading'} {what}, files", len(fetched), len(missing))
    if source is not None and len(fetched) < len(missing):
        absent = [file for file in missing if file not in copies]
        raise DataError(
            f"{len(fetched)} files were copied from {source}, {len(absent)} of {len(files)} files of {what} are still "
            f"missing: {named(absent)}{_other_content(absent, source)}.",
            f"Add unchanged copies of them to the folder, or run `{command}` to download them.",
        )
    return fetched


def missing_files(files: Sequence[PinnedFile], folder: Path) -> list[PinnedFile]:
    """List the files that a folder does not have, or has with another content.

    Examples
    --------
    >>> missing_files([PinnedFile("lab/gaze", "4a46", "1.jpg", 3, "ab12")], Path("nowhere"))[0].path
    '1.jpg'
    """
    return [
        file
        for file in files
        if not (folder / file.path).is_file() or not is_unchanged(folder / file.path, file.sha256, file.size)
    ]


def named(files: Sequence[PinnedFile]) -> str:
    """Name the first of some files.

    Examples
    --------
    >>> named([PinnedFile("lab/gaze", "4a46", f"data/{number}.jpg", 3, "ab12") for number in range(6)])
    '0.jpg, 1.jpg, 2.jpg, 3.jpg and 2 more'
    """
    more = f" and {len(files) - FEW_NAMES} more" if len(files) > FEW_NAMES else ""
    return ", ".join(file.name for file in files[:FEW_NAMES]) + more


def _copies(files: Sequence[PinnedFile], source: Path) -> dict[PinnedFile, Path]:
    """Find files by their content in a folder and its subfolders."""
    by_size: dict[int, list[Path]] = {}
    for path in _visible(source):
        by_size.setdefault(path.stat().st_size, []).append(path)
    hashes: dict[Path, str] = {}
    copies = {}
    for file in files:
        for path in sorted(by_size.get(file.size, []), key=lambda path: (path.name != file.name, path)):
            if path not in hashes:
                hashes[path] = hash_of(path)
            if hashes[path] == file.sha256:
                copies[file] = path
                break
    return copies


def _other_content(files: Sequence[PinnedFile], source: Path) -> str:
    """Say which of the missing files have copies of the same name with another content."""
    names = {path.name for path in _visible(source)}
    changed = [file for file in files if file.name in names]
    return f" (with another content than in the pinned commit: {named(changed)})" if changed else ""


def _visible(source: Path) -> Iterator[Path]:
    for path in source.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(source).parts):
            yield path
