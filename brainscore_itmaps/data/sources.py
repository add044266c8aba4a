"""Find the files of Arcaro 2020: in the published archive, which is downloaded once, in a copy, or in a folder."""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from brainscore_itmaps.archives import is_intact, unpack
from brainscore_itmaps.data.arcaro2020 import ARRAYS, MARKER, NAME, Array, check_shape, image_files
from brainscore_itmaps.data.images import read_image
from brainscore_itmaps.data.matfiles import shapes
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import sha256 as hash_of
from brainscore_itmaps.files import write_json
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
        Time of its last change in nanoseconds: while size and time are the same, it is not hashed again.
    origin : str
        Address or file of the archive.
    recorded : str
        Time, UTC.
    simulated : bool
        Whether the archive is a simulated stand-in: no animal was recorded.
    """

    sha256: str
    size: int
    changed: int
    origin: str
    recorded: str
    simulated: bool


@dataclass(frozen=True)
class ArchiveSource:
    """An archive or a folder in the published form, and its hash."""

    place: Path
    sha256: str


def fetch(
    *,
    url: str | None = None,
    file: Path | None = None,
    sha256: str | None = None,
    offline: bool | None = None,
    stand_in_will_do: bool = False,
    progress: Report = silent,
) -> ArchiveRecord:
    """Download the archive, verify all of it, and record its sha256.

    No checksum is published. The first archive whose members, variables and images are all valid is recorded with size
    and sha256 in ``Arcaro2020.lock.json``, and no other archive is accepted afterwards; the record of a stand-in does
    not exclude the real archive. Processes that ask at the same time wait for one download.

    Parameters
    ----------
    url : str, optional
        Mirror of ``URL``.
    file : Path, optional
        Archive on disk: copied, nothing is downloaded.
    sha256 : str, optional
        Expected sha256.
    offline : bool, optional
        Never connect; by default as ``ITMAPS_OFFLINE`` says.
    stand_in_will_do : bool
        Accept a stand-in on disk instead of downloading the real archive.
    progress : callable
        Called with (step, megabytes done, megabytes in all).

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
        record = recorded_archive(thoroughly=not stand_in_will_do) if file is None else None
        return None if record is None or (record.simulated and not stand_in_will_do) else record

    def fetch() -> ArchiveRecord:
        if file is not None:
            return _accept(file, sha256, progress)
        record = _read_lock()
        if archive.is_file() and record is None:  # put there by hand
            return _accept(archive, sha256, progress)
        if archive.is_file() and record is not None and record.simulated and recorded_archive() is None:
            with suppress(DataError):  # put there by hand in the place of a stand-in; or that stand-in, damaged
                return _accept(archive, sha256, progress)
        if settings.offline if offline is None else offline:
            raise offline_error()
        return _accept(url or URL, sha256, progress)

    if file is not None and not file.is_file():
        problem = f"{file} is a folder, not an archive." if file.is_dir() else f"There is no file {file}."
        raise DataError(problem, "Name an archive; a folder of its files can be given to --source.")
    record = fetch_once(find, fetch, settings.recordings, progress)
    _check_requested(record.sha256, sha256, archive)
    return record


def offline_error() -> DataError:
    """Build the error that says which file to download and where to put it."""
    record, archive = _read_lock(), Settings.from_environment().recordings / ARCHIVE
    problem = f"The recordings of {NAME} are not here, and offline mode forbids downloading them."
    if record is not None and record.simulated and recorded_archive() is not None:
        problem = "Only a simulated stand-in is here, and offline mode forbids downloading the recordings."
    elif record is not None and archive.exists():
        problem = f"{archive} is not the recorded archive, and offline mode forbids downloading it again."
    expected = f" (sha256 {record.sha256}, {record.size} bytes)" if record and not record.simulated else ""
    return DataError(problem, f"Download {URL}{expected} and put it at {archive}, or run `{FETCH_FROM}`.")


def resolve(source: Path | None, array: Array, progress: Report = silent) -> ArchiveSource:
    """Find the source of an array and hash it; nothing is unpacked.

    Parameters
    ----------
    source : Path or None
        An archive, a folder that holds the files, or None for the downloaded archive.

    Raises
    ------
    DataError
        When the source does not exist.
    """
    if source is None:
        record = fetch(stand_in_will_do=True, progress=progress)
        return ArchiveSource(Settings.from_environment().recordings / ARCHIVE, record.sha256)
    if source.is_file() and source.name != array.mat:
        return ArchiveSource(source, hash_of(source))
    if source.exists():
        folder = find_folder(source, array) if source.is_dir() else source.parent
        files = [folder / array.mat, *sorted(file for file in (folder / array.images).glob("*") if file.is_file())]
        named = "".join(f"{file.name} {hash_of(file)}\n" for file in files)
        return ArchiveSource(folder, hashlib.sha256(named.encode()).hexdigest())
    raise DataError(f"There is no file or folder {source}.", f"Name the archive of {NAME}, or a folder with its files.")


def check_unchanged(source: ArchiveSource, array: Array) -> None:
    """Check that a source is still what was hashed; called under the lock, before it is read.

    Raises
    ------
    DataError
        Naming the source.
    """
    now = resolve(source.place / array.mat if source.place.is_dir() else source.place, array)
    if now.sha256 != source.sha256:
        raise DataError(f"{source.place} has changed while waiting for the lock.", "Run the same again.")


def files_of(source: ArchiveSource, array: Array, progress: Report = silent) -> Path:
    """Return the folder of an array's files, unpacking them if necessary. The caller holds the lock of our folder.

    Raises
    ------
    DataError
        When the archive is damaged, or does not hold them.
    """
    if source.place.is_dir():
        return source.place
    folder = _folder_of(Settings.from_environment().recordings, source.sha256)
    if folder.exists() and not is_intact(source.place, folder):  # somebody changed it since
        shutil.rmtree(folder)
    if not folder.exists():
        unpack(source.place, folder, fix=SET_HOME, progress=progress)
    return find_folder(folder, array)


def find_folder(root: Path, array: Array) -> Path:
    """Find the folder with an array's ``.mat`` file, however deep.

    Raises
    ------
    DataError
        When there is none, or more than one.
    """
    found = sorted(file.parent for file in root.rglob(array.mat) if file.is_file())
    if len(found) != 1:
        there = ", ".join(sorted(str(file.relative_to(root)) for file in root.rglob("*.mat"))[:8]) or "no .mat file"
        what = f"{len(found)} files named {array.mat}" if found else f"no {array.mat}"
        raise DataError(f"{root} holds {what}; it has {there}.", f"Use the files of {NAME} as they were published.")
    return found[0]


def verify_structure(root: Path) -> bool:
    """Check every file that any array needs, without reading responses; return whether it is a stand-in.

    Raises
    ------
    DataError
        Naming what is missing or wrong.
    """
    simulated = False
    for array in {array.mat: array for array in ARRAYS.values()}.values():
        folder = find_folder(root, array)
        check_shape(folder / array.mat, array)
        for image in image_files(folder, array):
            read_image(image)
        simulated |= MARKER in shapes(folder / array.mat)
    return simulated


def recorded_archive(thoroughly: bool = False) -> ArchiveRecord | None:
    """Read the record of the archive if the archive is there and unchanged.

    The archive is hashed if its size or time of change differ from the record, and always if ``thoroughly``.
    """
    record, archive = _read_lock(), Settings.from_environment().recordings / ARCHIVE
    if record is None or not archive.is_file():
        return None
    changed = None if thoroughly else record.changed
    return record if is_unchanged(archive, record.sha256, record.size, changed) else None


def _accept(origin: Path | str, sha256: str | None, progress: Report) -> ArchiveRecord:
    """Copy or download an archive, verify it, move it to its place, and record it."""
    home, record = Settings.from_environment().recordings, _read_lock()
    archive = home / ARCHIVE
    with candidate_file(origin, archive, FETCH_FROM, sha256, progress) as candidate:
        progress(f"checking {ARCHIVE}", 0, 1)
        digest = hash_of(candidate)
        _check_requested(digest, sha256, origin)
        folder = _folder_of(home, digest)
        unpacked = folder.exists() and is_intact(candidate, folder)
        try:
            if not unpacked:
                shutil.rmtree(folder, ignore_errors=True)
                unpack(candidate, folder, called=str(origin), fix=SET_HOME, progress=progress)
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
        now = archive.stat()
    if record is None or record.sha256 != digest:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        record = ArchiveRecord(digest, now.st_size, now.st_mtime_ns, str(origin), time, simulated)
    record = replace(record, changed=now.st_mtime_ns)
    write_json(home / LOCK, asdict(record), SET_HOME)
    return record


def _read_lock() -> ArchiveRecord | None:
    fix = "Remove it if you trust the archive beside it; the archive is then recorded again."
    return read_record(Settings.from_environment().recordings / LOCK, lambda content: ArchiveRecord(**content), fix)


def _check_requested(digest: str, sha256: str | None, file: Path | str) -> None:
    check_sha256(digest, {"the requested sha256": sha256}, str(file), "Check the origin of the file and of the sha256.")


def _folder_of(home: Path, digest: str) -> Path:
    return home / f"{NAME}-{digest[:16]}"
