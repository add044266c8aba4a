"""Where the files of Arcaro 2020 come from: the published archive, held to what it was first, a copy, or a folder."""

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from brainscore_itmaps.archives import is_intact, unpack
from brainscore_itmaps.data.arcaro2020 import ARRAYS, MARKER, NAME, Array, picture_files, refuse_shape
from brainscore_itmaps.data.matfiles import shapes
from brainscore_itmaps.data.pictures import read_picture
from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import DataError, InstallationError, one_line
from brainscore_itmaps.files import locked, write_json
from brainscore_itmaps.files import sha256 as hash_of
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

URL = "https://storage.googleapis.com/serrelab-public/neural_recordings/Arcaro2020.zip"
ARCHIVE = f"{NAME}.zip"
LOCK = f"{NAME}.lock.json"
SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."


@dataclass(frozen=True)
class Held:
    """What the archive was when it was first found to be in order; every later use is held to it.

    Attributes
    ----------
    sha256, size : str, int
        Of the archive.
    changed : int
        Time of its last change in nanoseconds: while size and time are the same, it is not hashed again.
    origin : str
        Address or file that it came from.
    recorded : str
        When, UTC.
    simulated : bool
        It is a stand-in: no animal was recorded.
    """

    sha256: str
    size: int
    changed: int
    origin: str
    recorded: str
    simulated: bool


@dataclass(frozen=True)
class Source:
    """An archive or a folder of the published form, and its hash."""

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
) -> Held:
    """Bring the archive into our folder, check it whole, and record what it is.

    Upstream publishes no checksum. The first archive whose members, variables and pictures are all in order is recorded
    with size and sha256 in ``Arcaro2020.lock.json``; from then on no other one is taken. (A stand-in is never held
    against the real file.) Processes that ask at the same time wait for one download.

    Parameters
    ----------
    url : str, optional
        A mirror of ``URL``.
    file : Path, optional
        An archive that is on disk already: copied, nothing is downloaded.
    sha256 : str, optional
        What its hash must be.
    offline : bool, optional
        Never connect; by default as ``ITMAPS_OFFLINE`` says.
    stand_in_will_do : bool
        Be content with a stand-in that is here, instead of fetching the real file.
    progress : callable
        Told (what is being done, megabytes done, megabytes in all).

    Raises
    ------
    DataError
        When the archive is not the expected one, or there is none and we are offline.
    InstallationError
        When the network fails, or the folder cannot be written to.
    """
    settings = Settings.from_environment()
    home = settings.recordings
    archive = home / ARCHIVE

    def here() -> Held | None:
        held = _in_order(home, thoroughly=not stand_in_will_do) if file is None else None
        if held is None or (held.simulated and not stand_in_will_do):
            return None
        _refuse_other_hash(held.sha256, sha256, str(archive))
        return held

    if file is not None and not file.is_file():
        what = f"{file} is a folder, not an archive." if file.is_dir() else f"There is no file {file}."
        raise DataError(what, "Name the archive that you have; a folder of its files can be given to --source.")
    if (held := here()) is not None:  # without the lock: a folder that cannot be written to will do
        return held
    candidate = home / f".candidate-{ARCHIVE}"
    with locked(home, SET_HOME, progress):
        try:
            if (held := here()) is not None:  # while we waited, another process brought it
                return held
            if file is not None:
                _copy(file, candidate)
                return _adopt(candidate, home, str(file), sha256, progress)
            before = _read_lock(home)
            if archive.is_file() and before is None:  # somebody put it there
                return _adopt(archive, home, str(archive), sha256, progress)
            if archive.is_file() and before is not None and before.simulated and _in_order(home) is None:
                with suppress(DataError):  # in the place of a stand-in; or it is that stand-in, damaged
                    return _adopt(archive, home, str(archive), sha256, progress)
            if settings.offline if offline is None else offline:
                raise offline_error(home)
            download(url or URL, candidate, sha256=sha256, progress=progress)
            return _adopt(candidate, home, url or URL, sha256, progress)
        finally:
            candidate.unlink(missing_ok=True)


def offline_error(home: Path) -> DataError:
    """Say which file to bring, and where to put it."""
    held, archive = _read_lock(home), home / ARCHIVE
    what = f"The recordings of {NAME} are not here, and offline mode forbids fetching them."
    if held is not None and held.simulated and _in_order(home) is not None:
        what = "Only a simulated stand-in is here, and offline mode forbids fetching the recordings."
    elif held is not None and archive.exists():
        what = f"{archive} is not the archive that was recorded, and offline mode forbids fetching it again."
    known = f" (sha256 {held.sha256}, {held.size} bytes)" if held and not held.simulated else ""
    return DataError(what, f"Bring {URL}{known} and put it at {archive}, or run `brainscore data fetch --from FILE`.")


def resolve(source: Path | None, array: Array, progress: Report = silent) -> Source:
    """Find the source of an array and hash it; nothing is unpacked.

    Parameters
    ----------
    source : Path or None
        An archive, a folder that holds the files, or None for the fetched archive.

    Raises
    ------
    DataError
        When it is not there.
    """
    if source is None:
        held = fetch(stand_in_will_do=True, progress=progress)
        return Source(Settings.from_environment().recordings / ARCHIVE, held.sha256)
    if source.is_file() and source.name != array.mat:
        return Source(source, hash_of(source))
    if source.exists():
        folder = find_folder(source, array) if source.is_dir() else source.parent
        files = [folder / array.mat, *sorted(file for file in (folder / array.pictures).glob("*") if file.is_file())]
        named = "".join(f"{file.name} {hash_of(file)}\n" for file in files)
        return Source(folder, hashlib.sha256(named.encode()).hexdigest())
    raise DataError(f"There is no file or folder {source}.", f"Name the archive of {NAME}, or a folder with its files.")


def refuse_changed(source: Source, array: Array) -> None:
    """Refuse a source that is not any more what was hashed; asked while our folder is locked, before it is read.

    Raises
    ------
    DataError
        Naming the source.
    """
    now = resolve(source.place / array.mat if source.place.is_dir() else source.place, array)
    if now.sha256 != source.sha256:
        raise DataError(f"{source.place} has changed while it was waited for.", "Run the same again.")


def files_of(source: Source, array: Array, progress: Report = silent) -> Path:
    """Give the folder of an array's files, unpacked if need be. The caller holds the lock of our folder.

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
        raise DataError(f"{root} holds {what}; it has {there}.", f"Bring the files of {NAME} as they were published.")
    return found[0]


def verify_structure(root: Path) -> bool:
    """Check every file that any array needs; no response is read. Tell whether it is a stand-in.

    Raises
    ------
    DataError
        Naming what is missing or wrong.
    """
    simulated = False
    for array in {array.mat: array for array in ARRAYS.values()}.values():
        folder = find_folder(root, array)
        refuse_shape(folder / array.mat, array)
        for picture in picture_files(folder, array):
            read_picture(picture)
        simulated |= MARKER in shapes(folder / array.mat)
    return simulated


def _in_order(home: Path, thoroughly: bool = False) -> Held | None:
    """The recorded archive if it is there and unchanged; hashed where size and time do not speak for it already."""
    held, archive = _read_lock(home), home / ARCHIVE
    if held is None or not archive.is_file():
        return None
    now = archive.stat()
    if not thoroughly and (now.st_size, now.st_mtime_ns) == (held.size, held.changed):
        return held
    if now.st_size == held.size and hash_of(archive) == held.sha256:
        return held
    return None


def held_archive(thoroughly: bool = False) -> Held | None:
    """What is recorded of the archive, if it is here and unchanged; hashed anew when asked for ``thoroughly``."""
    return _in_order(Settings.from_environment().recordings, thoroughly)


def _adopt(candidate: Path, home: Path, origin: str, sha256: str | None, progress: Report) -> Held:
    progress(f"checking {ARCHIVE}", 0, 1)
    digest = hash_of(candidate)
    _refuse_other_hash(digest, sha256, origin)
    before = _read_lock(home)
    folder = _folder_of(home, digest)
    known = folder.exists() and is_intact(candidate, folder)
    try:
        if not known:
            shutil.rmtree(folder, ignore_errors=True)
            unpack(candidate, folder, called=origin, fix=SET_HOME, progress=progress)
        try:
            simulated = verify_structure(folder)
        except DataError as error:
            raise DataError(f"{origin} is not in order: {error.args[0]}", error.fix) from error
        if before is not None and not before.simulated and before.sha256 != digest:
            raise DataError(
                f"{origin} is {'a stand-in' if simulated else 'another archive'}: its sha256 is {digest}; that of the "
                f"archive recorded on {before.recorded} is {before.sha256}.",
                f"If upstream has replaced its file, remove {home / LOCK} and fetch again.",
            )
        archive = home / ARCHIVE
        if candidate != archive:
            candidate.replace(archive)
    except BaseException as error:
        if not known:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise InstallationError(f"Cannot write {home}: {one_line(error)}.", SET_HOME) from error
        raise
    now = archive.stat()
    if before is not None and before.sha256 == digest:
        held = replace(before, changed=now.st_mtime_ns)
    else:
        recorded = datetime.now(UTC).isoformat(timespec="seconds")
        held = Held(digest, now.st_size, now.st_mtime_ns, origin, recorded, simulated)
    write_json(home / LOCK, asdict(held), SET_HOME)
    return held


def _read_lock(home: Path) -> Held | None:
    file = home / LOCK
    if not file.exists():
        return None
    try:
        return Held(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{file}, which records the archive of {NAME}, is damaged: {one_line(error)}.",
            "Remove it if you trust the archive beside it; it is then recorded anew.",
        ) from error


def _refuse_other_hash(digest: str, expected: str | None, file: str) -> None:
    if expected is not None and digest != expected.lower():
        raise DataError(
            f"{file} is not the expected file: its sha256 is {digest}, asked for was {expected}.",
            "Check where the file and the sha256 come from.",
        )


def _folder_of(home: Path, digest: str) -> Path:
    return home / f"{NAME}-{digest[:16]}"


def _copy(file: Path, candidate: Path) -> None:
    try:
        shutil.copyfile(file, candidate)
    except OSError as error:
        free = shutil.disk_usage(candidate.parent).free
        raise InstallationError(
            f"Cannot copy {file} ({file.stat().st_size} bytes) to {candidate.parent} ({free} bytes free): "
            f"{error.strerror or error}.",
            f"Make room, or: {SET_HOME}",
        ) from error
