"""Unpack zip archives of unknown origin completely or not at all."""

import glob
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from zipfile import ZipFile, ZipInfo

from brainscore_itmaps.errors import DataError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, new_folder
from brainscore_itmaps.progress import Report, silent

MEMBERS = 10_000
MEMBER_BYTES = 2 * 1024**3
ARCHIVE_BYTES = 6 * 1024**3
SMALL_BYTES = 16 * 1024**2
RATIO = 100
CHUNK = 1024**2
DATE = (2020, 1, 1, 0, 0, 0)
CONTROL = re.compile(r"[\x00-\x1f]")


def unpack(
    archive: Path,
    folder: Path,
    *,
    called: str | None = None,
    fix: str = ANOTHER_FOLDER,
    progress: Report = silent,
) -> Path:
    """Unpack a zip archive into a folder that exists only once it is complete.

    Every member is checked before the first byte is written, and read against its declared size and checksum. What a
    killed unpacking left behind is removed; callers that share ``folder`` hold a lock.

    Parameters
    ----------
    archive : Path
        The zip file.
    folder : Path
        Must not exist.
    called : str, optional
        Name of the archive in messages; by default ``archive``.
    fix : str
        Next step for errors about the folder.
    progress : callable
        Called with ("unpacking ...", megabytes done, megabytes in all).

    Raises
    ------
    DataError
        When the file is not a zip archive, is damaged, or has an unsafe member: a path outside the folder, a link, an
        encrypted or duplicate member, or one that exceeds its declared size or the size limit.
    InstallationError
        When the disk is full or the folder cannot be written to.
    """
    name = called or str(archive)
    with _opened(archive, name) as opened:
        members = checked_members(opened, name)
        needed = sum(member.file_size for member in members)
        done = 0
        for left_behind in folder.parent.glob(f".{glob.escape(folder.name)}-*/"):
            shutil.rmtree(left_behind, ignore_errors=True)
        with new_folder(folder, fix, takes=needed) as inside:
            for member in members:
                path = inside / member_path(member, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    for chunk in _chunks(opened, member, name):
                        file.write(chunk)
                        done += len(chunk)
                        progress(f"unpacking {archive.name} (MB)", done // 10**6, needed // 10**6)
    return folder


def add_member(archive: ZipFile, name: str, content: bytes) -> None:
    """Add a file to an archive, always with the same date, so that the same content gives the same archive."""
    archive.writestr(ZipInfo(name, DATE), content)


def is_intact(archive: Path, folder: Path) -> bool:
    """Return whether a folder holds exactly what :func:`unpack` made of the archive.

    Raises
    ------
    DataError
        When the archive cannot be read.
    """
    name = str(archive)
    with _opened(archive, name) as opened:
        return all(
            _checksum(folder / member_path(member, name)) == (member.file_size, member.CRC)
            for member in checked_members(opened, name)
        )


def _checksum(file: Path) -> tuple[int, int] | None:
    if not file.is_file():
        return None
    size = checksum = 0
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    return size, checksum


def checked_members(opened: ZipFile, archive: str) -> list[ZipInfo]:
    """List the files in an archive, after checking that all members are harmless.

    Raises
    ------
    DataError
        Naming the member and what is wrong with it.
    """
    members = opened.infolist()
    if len(members) > MEMBERS:
        raise _refused(archive, "the archive as a whole", f"it has {len(members)} members; no recording has that many")
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for member in members:
        path = PurePosixPath(str(member_path(member, archive)).casefold())  # some disks do not tell A from a
        if is_folder(member):
            folders.add(path)
        elif path in files:
            raise _refused(archive, member.filename, "another member has this name")
        else:
            files.add(path)
        folders.update(path.parents)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, member.filename, "it is a link or a device, not a file")
        if member.flag_bits & 1:
            raise _refused(archive, member.filename, "it is encrypted")
        if member.file_size > MEMBER_BYTES:
            raise _refused(archive, member.filename, f"it is {member.file_size} bytes; no recording has that many")
        if member.file_size > SMALL_BYTES and member.file_size > RATIO * max(member.compress_size, 1):
            raise _refused(archive, member.filename, f"{member.compress_size} bytes would become {member.file_size}")
    if files & folders:
        raise _refused(archive, min(map(str, files & folders)), "it is a file and a folder at once")
    if (total := sum(member.file_size for member in members)) > ARCHIVE_BYTES:
        raise _refused(archive, "the archive as a whole", f"it would become {total} bytes; no recording has that many")
    return [member for member in members if not is_folder(member)]


def is_folder(member: ZipInfo) -> bool:
    """Return whether this member stands for a folder."""
    return member.filename.endswith(("/", "\\"))


def member_path(member: ZipInfo, archive: str) -> PurePosixPath:
    r"""Return the path of a member relative to the folder; a backslash separates, too, as in archives made on Windows.

    Raises
    ------
    DataError
        When the name is absolute, has a drive letter, leads upward, or cannot be a file name.
    """
    name = member.orig_filename.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/"):
        raise _refused(archive, member.orig_filename, "its path is absolute")
    if ":" in name:
        raise _refused(archive, member.orig_filename, "its path has a drive letter or a colon")
    if ".." in parts:
        raise _refused(archive, member.orig_filename, "its path leads upward")
    if not parts or any(part.strip(" .") == "" or len(part) > 120 for part in parts) or CONTROL.search(name):
        raise _refused(archive, member.orig_filename, "its path is not one that a file can have")
    return PurePosixPath(*parts)


def _chunks(opened: ZipFile, member: ZipInfo, archive: str) -> Iterator[bytes]:
    total = 0
    try:
        with opened.open(member) as source:
            while chunk := source.read(CHUNK):
                total += len(chunk)
                yield chunk
    except Exception as error:  # zipfile and its decompressors raise many kinds on damaged bytes
        raise DataError(
            f"{archive} is damaged: {member.filename}: {one_line(error)}.", "Download it again, or use another copy."
        ) from error
    if total != member.file_size:
        raise DataError(
            f"{archive} is damaged: {member.filename} ends after {total} of {member.file_size} bytes.",
            "Download it again, or use another copy.",
        )


@contextmanager
def _opened(archive: Path, name: str) -> Iterator[ZipFile]:
    try:
        opened = ZipFile(archive)
    except OSError as error:
        raise DataError(f"Cannot read {name}: {error.strerror or error}.", "Name a file that is there.") from error
    except Exception as error:  # zipfile raises many kinds on hostile bytes
        raise DataError(
            f"{name} is not a zip archive: {_first_sight(archive)}.", "Download it again, or use another copy."
        ) from error
    with opened:
        yield opened


def _first_sight(file: Path) -> str:
    with file.open("rb") as opened:
        start = opened.read(32)
    if start.startswith(b"PK"):
        return "it begins as one, but is cut short or damaged"
    text = start.decode("ascii", errors="replace").strip()
    return (
        f"it begins with {text!r}"
        if text.isprintable() and text.isascii() and text
        else "its first bytes are not those of a zip archive"
    )


def _refused(archive: str, member: str, why: str) -> DataError:
    return DataError(
        f"{archive} is refused, nothing was unpacked: {member!r}: {why}.", "Use a copy from a source that you trust."
    )
