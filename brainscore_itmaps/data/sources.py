"""Find the files of Arcaro 2020 in the published archive, which is downloaded once, in a copy of it, or in a folder."""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from brainscore_itmaps.archives import is_intact, unpack
from brainscore_itmaps.data.arcaro2020 import ARRAYS, MARKER, NAME, Array, check_shape, image_files
from brainscore_itmaps.data.matfiles import shapes
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import sha256 as hash_of
from brainscore_itmaps.files import write_json
from brainscore_itmaps.images import read_image
from brainscore_itmaps.pinned import candidate_file, check_sha256, fetch_once, is_unchanged, read_record
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings

URL = "https://storage.googleapis.com/serrelab-public/neural_recordings/Arcaro2020.zip"
ARCHIVE = f"{NAME}.zip"
LOCK = f"{NAME}.lock.json"
FETCH_FROM = "brainscore data fetch --from FILE"


@dataclass(frozen=True)
class ArchiveRecord:
    """Record of the first valid archive; later archives must have the same sha256.

    Attributes
    ----------
    sha256, size : str, int
        Hash of the archive.
    changed : int
        Time of its last change in nanoseconds; while size and time are unchanged, it is not hashed again.
    origin : str
        Address or path of the archive.
    recorded : str
        Time of the record, UTC.
    simulated : bool
        True if the archive is a simulated stand-in: no animal was recorded.
    """

    sha256: str
    size: int
    changed: int
    origin: str
    recorded: str
    simulated: bool


@dataclass(frozen=True)
class ArchiveSource:
    """An archive or a folder of the published form, and its hash."""

    path: Path
    sha256: str


def fetch(
    *,
    url: str | None = None,
    file: Path | None = None,
    sha256: str | None = None,
    offline: bool | None = None,
    allow_stand_in: bool = False,
    progress: Report = silent,
) -> ArchiveRecord:
    """Download the archive, verify its content, and record its sha256.

    No checksum is published. The first archive whose members, variables and images are all valid is recorded with size
    and sha256 in ``Arcaro2020.lock.json``, and no other archive is accepted afterwards; the record of a stand-in does
    not exclude the real archive. Concurrent processes wait for one download.

    Parameters
    ----------
    url : str, optional
        Mirror of ``URL``.
    file : Path, optional
        Archive on disk, which is copied instead of a download.
    sha256 : str, optional
        Expected sha256.
    offline : bool, optional
        Never connect; by default set by ``ITMAPS_OFFLINE``.
    allow_stand_in : bool
        Accept a stand-in that is already stored instead of downloading the real archive.
    progress : callable
        Called with (step, megabytes done, megabytes in all).

    Returns
    -------
    ArchiveRecord

    Raises
    ------
    DataError
        When the archive is not the expected one, or is missing offline.
    InstallationError
        When the download fails, or the folder cannot be written to.
    """
    settings = Settings.from_environment()
    archive = settings.recordings / ARCHIVE

    def find() -> ArchiveRecord | None:
        record = recorded_archive(rehash=not allow_stand_in) if file is None else None
        return None if record is None or (record.simulated and not allow_stand_in) else record

    def fetch() -> ArchiveRecord:
        if file is not None:
            return _verify_and_record(file, sha256, progress)
        record = _read_lock()
        if archive.is_file() and record is None:  # copied there by the user
            return _verify_and_record(archive, sha256, progress)
        if archive.is_file() and record is not None and record.simulated and recorded_archive() is None:
            with suppress(DataError):  # the user replaced a stand-in, or the stand-in is damaged
                return _verify_and_record(archive, sha256, progress)
        if settings.offline if offline is None else offline:
            raise offline_error()
        return _verify_and_record(url or URL, sha256, progress)

    if file is not None and not file.is_file():
        problem = f"{file} is a folder, not an archive." if file.is_dir() else f"There is no file {file}."
        raise DataError(problem, "Name an archive; for a folder with its files, use --source.")
    record = fetch_once(find, fetch, settings.recordings, progress)
    _check_requested(record.sha256, sha256, archive)
    return record


def offline_error() -> DataError:
    """Build the error for a missing or changed archive in offline mode; it says which file to download, and to where.

    Examples
    --------
    >>> import tempfile
    >>> from brainscore_itmaps.settings import overridden
    >>> with tempfile.TemporaryDirectory() as home, overridden(home=Path(home)):
    ...     print(offline_error().args[0])
    The recordings of Arcaro2020 are not downloaded, and offline mode forbids downloading them.
    """
    record, archive = _read_lock(), Settings.from_environment().recordings / ARCHIVE
    problem = f"The recordings of {NAME} are not downloaded, and offline mode forbids downloading them."
    if record is not None and record.simulated and recorded_archive() is not None:
        problem = "Only a simulated stand-in is stored, and offline mode forbids downloading the recordings."
    elif record is not None and archive.exists():
        problem = f"{archive} is not the recorded archive, and offline mode forbids downloading it again."
    expected = f" (sha256 {record.sha256}, {record.size} bytes)" if record and not record.simulated else ""
    return DataError(problem, f"Download {URL}{expected} to {archive}, or download it and run `{FETCH_FROM}`.")


def find_source(source: Path | None, array: Array, progress: Report = silent) -> ArchiveSource:
    """Find and hash the source of an array, without unpacking it.

    Parameters
    ----------
    source : Path or None
        An archive, a folder with the files, or None for the downloaded archive.
    array : Array
    progress : callable
        Called with (step, megabytes done, megabytes in all) during a download.

    Raises
    ------
    DataError
        When the source does not exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "copy.zip").write_bytes(b"PK")
    ...     source = find_source(Path(folder, "copy.zip"), ARRAYS["monkey1_PL"])
    >>> source.path.name, source.sha256[:12]
    ('copy.zip', 'fcab7fcc2b4c')
    """
    if source is None:
        record = fetch(allow_stand_in=True, progress=progress)
        return ArchiveSource(Settings.from_environment().recordings / ARCHIVE, record.sha256)
    if source.is_file() and source.name != array.mat:
        return ArchiveSource(source, hash_of(source))
    if source.exists():
        folder = find_folder(source, array) if source.is_dir() else source.parent
        files = [folder / array.mat, *sorted(file for file in (folder / array.images).glob("*") if file.is_file())]
        listing = "".join(f"{file.name} {hash_of(file)}\n" for file in files)
        return ArchiveSource(folder, hashlib.sha256(listing.encode()).hexdigest())
    raise DataError(f"There is no file or folder {source}.", f"Name the archive of {NAME}, or a folder with its files.")


def check_unchanged(source: ArchiveSource, array: Array) -> None:
    """Raise an error if a source has changed since it was hashed; call this under the lock, before reading it.

    Raises
    ------
    DataError
        When its hash differs; the message names the source.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "copy.zip").write_bytes(b"PK")
    ...     source = find_source(Path(folder, "copy.zip"), ARRAYS["monkey1_PL"])
    ...     check_unchanged(source, ARRAYS["monkey1_PL"])
    """
    current = find_source(source.path / array.mat if source.path.is_dir() else source.path, array)
    if current.sha256 != source.sha256:
        raise DataError(f"{source.path} changed while this process waited for the lock.", "Run the same command again.")


def files_folder(source: ArchiveSource, array: Array, progress: Report = silent) -> Path:
    """Return the folder with an array's files, after unpacking them if necessary; the caller holds the lock.

    Raises
    ------
    DataError
        When the archive is damaged or lacks files.

    Examples
    --------
    >>> source = ArchiveSource(Path.cwd(), "ab12")
    >>> files_folder(source, ARRAYS["monkey1_PL"]) == source.path
    True
    """
    if source.path.is_dir():
        return source.path
    folder = _unpacked_folder(Settings.from_environment().recordings, source.sha256)
    if folder.exists() and not is_intact(source.path, folder):  # its files were changed
        shutil.rmtree(folder)
    if not folder.exists():
        unpack(source.path, folder, fix=SET_HOME, progress=progress)
    return find_folder(folder, array)


def find_folder(root: Path, array: Array) -> Path:
    """Find the folder with an array's ``.mat`` file at any depth.

    Raises
    ------
    DataError
        When there is no such file, or more than one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     Path(root, "Arcaro2020", "Red").mkdir(parents=True)
    ...     Path(root, "Arcaro2020", "Red", "red_062419_data.mat").touch()
    ...     find_folder(Path(root), ARRAYS["monkey2_ML"]).relative_to(root).as_posix()
    'Arcaro2020/Red'
    """
    folders = sorted(file.parent for file in root.rglob(array.mat) if file.is_file())
    if len(folders) != 1:
        files = ", ".join(sorted(str(file.relative_to(root)) for file in root.rglob("*.mat"))[:8]) or "no .mat file"
        count = f"{len(folders)} files named {array.mat}" if folders else f"no {array.mat}"
        raise DataError(f"{root} contains {count}; it has {files}.", f"Use the published files of {NAME}.")
    return folders[0]


def verify_structure(root: Path) -> bool:
    """Verify the files of all arrays without reading responses, and return whether they are a stand-in.

    Raises
    ------
    DataError
        When a file is missing or invalid; the message names it.
    """
    simulated = False
    for array in {array.mat: array for array in ARRAYS.values()}.values():
        folder = find_folder(root, array)
        check_shape(folder / array.mat, array)
        for image in image_files(folder, array):
            read_image(image)
        simulated |= MARKER in shapes(folder / array.mat)
    return simulated


def recorded_archive(rehash: bool = False) -> ArchiveRecord | None:
    """Return the record of the downloaded archive, or None if the archive is missing or has changed.

    Parameters
    ----------
    rehash : bool
        Hash the archive even if its size and time of last change equal those of the record.

    Examples
    --------
    >>> import tempfile
    >>> from brainscore_itmaps.settings import overridden
    >>> with tempfile.TemporaryDirectory() as home, overridden(home=Path(home)):
    ...     recorded_archive() is None
    True
    """
    record, archive = _read_lock(), Settings.from_environment().recordings / ARCHIVE
    if record is None or not archive.is_file():
        return None
    changed = None if rehash else record.changed
    return record if is_unchanged(archive, record.sha256, record.size, changed) else None


def _verify_and_record(origin: Path | str, sha256: str | None, progress: Report) -> ArchiveRecord:
    """Copy or download an archive, verify it, move it to its final path, and record it."""
    home, record = Settings.from_environment().recordings, _read_lock()
    archive = home / ARCHIVE
    with candidate_file(origin, archive, FETCH_FROM, sha256, progress) as candidate:
        progress(f"checking {ARCHIVE}", 0, 1)
        digest = hash_of(candidate)
        _check_requested(digest, sha256, origin)
        folder = _unpacked_folder(home, digest)
        unpacked = folder.exists() and is_intact(candidate, folder)
        try:
            if not unpacked:
                shutil.rmtree(folder, ignore_errors=True)
                unpack(candidate, folder, name=str(origin), fix=SET_HOME, progress=progress)
            try:
                simulated = verify_structure(folder)
            except DataError as error:
                raise DataError(f"{origin} is invalid: {error.args[0]}", error.fix) from error
            if record is not None and not record.simulated:
                recorded = {f"the sha256 recorded on {record.recorded}": record.sha256}
                fix = f"If upstream has replaced its file, remove {home / LOCK} and download again."
                check_sha256(digest, recorded, f"{origin}{', a stand-in,' if simulated else ''}", fix)
            candidate.replace(archive)
        except BaseException:
            if not unpacked:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        status = archive.stat()
    if record is None or record.sha256 != digest:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        record = ArchiveRecord(digest, status.st_size, status.st_mtime_ns, str(origin), time, simulated)
    record = replace(record, changed=status.st_mtime_ns)
    write_json(home / LOCK, asdict(record), SET_HOME)
    return record


def _read_lock() -> ArchiveRecord | None:
    fix = "Remove it if you trust the archive in the same folder; the archive is then recorded again."
    return read_record(Settings.from_environment().recordings / LOCK, lambda content: ArchiveRecord(**content), fix)


def _check_requested(digest: str, sha256: str | None, file: Path | str) -> None:
    check_sha256(digest, {"the requested sha256": sha256}, str(file), "Check the origin of the file and of the sha256.")


def _unpacked_folder(home: Path, digest: str) -> Path:
    return home / f"{NAME}-{digest[:16]}"
