"""Unpack untrusted zip archives, completely or not at all, and compare a folder with its archive."""

import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from zipfile import ZipFile, ZipInfo

from brainscore_itmaps.errors import DAMAGED, DataError, one_line
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
    name: str | None = None,
    fix: str = ANOTHER_FOLDER,
    progress: Report = silent,
) -> Path:
    """Unpack a zip archive into a folder that appears only when it is complete.

    Every member is checked before the first byte is written, and its content is verified against its declared size and
    checksum. Incomplete folders of interrupted calls are removed; callers that share ``folder`` must hold a lock.

    Parameters
    ----------
    archive : Path
        The zip file.
    folder : Path
        Must not exist.
    name : str, optional
        Name of the archive in messages; by default its path.
    fix : str
        Next step in errors about the folder.
    progress : callable
        Called with ("unpacking ...", megabytes done, megabytes in all).

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    DataError
        When the file is not a zip archive, is damaged, or has an unsafe member: a path outside the folder, a link, an
        encrypted or duplicate member, or one that exceeds its declared size or the size limit.
    InstallationError
        When the disk is full or the folder cannot be written to.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     archive = Path(root, "maps.zip")
    ...     with ZipFile(archive, "w") as opened:
    ...         add_member(opened, "monkey1/maps.txt", b"0.5 0.25")
    ...     (unpack(archive, Path(root, "maps")) / "monkey1" / "maps.txt").read_text()
    '0.5 0.25'
    """
    name = name or str(archive)
    with _open_zip(archive, name) as opened:
        members = checked_members(opened, name)
        needed = sum(member.file_size for member in members)
        done = 0
        with new_folder(folder, fix, size=needed) as temporary:
            for member in members:
                path = temporary / member_path(member, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    for chunk in _chunks(opened, member, name):
                        file.write(chunk)
                        done += len(chunk)
                        progress(f"unpacking {archive.name} (MB)", done // 10**6, needed // 10**6)
    return folder


def add_member(archive: ZipFile, name: str, content: bytes) -> None:
    """Add a file to an archive with a fixed date, so that the same content gives the same archive.

    Examples
    --------
    >>> import io
    >>> with ZipFile(io.BytesIO(), "w") as archive:
    ...     add_member(archive, "images/face-01.txt", b"text")
    ...     archive.getinfo("images/face-01.txt").date_time
    (2020, 1, 1, 0, 0, 0)
    """
    archive.writestr(ZipInfo(name, DATE), content)


def is_intact(archive: Path, folder: Path) -> bool:
    """Return whether a folder contains every file of an archive, with its size and checksum.

    Raises
    ------
    DataError
        When the archive cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     archive = Path(root, "maps.zip")
    ...     with ZipFile(archive, "w") as opened:
    ...         add_member(opened, "maps.txt", b"0.5")
    ...     folder = unpack(archive, Path(root, "maps"))
    ...     intact = is_intact(archive, folder)
    ...     _ = (folder / "maps.txt").write_text("0.7")
    ...     intact, is_intact(archive, folder)
    (True, False)
    """
    name = str(archive)
    with _open_zip(archive, name) as opened:
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
    """List the files in an archive after checking that every member is safe to unpack.

    Parameters
    ----------
    opened : ZipFile
    archive : str
        Name of the archive in messages.

    Returns
    -------
    list of ZipInfo
        Members that are files; folders are omitted.

    Raises
    ------
    DataError
        Naming the member and the problem.

    Examples
    --------
    >>> import io
    >>> with ZipFile(io.BytesIO(), "w") as opened:
    ...     opened.mkdir("images")
    ...     add_member(opened, "images/face-01.png", b"...")
    ...     [member.filename for member in checked_members(opened, "images.zip")]
    ['images/face-01.png']
    """
    members = opened.infolist()
    if len(members) > MEMBERS:
        raise _refused(archive, f"it has {len(members)} members; at most {MEMBERS} are allowed")
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for member in members:
        path = PurePosixPath(str(member_path(member, archive)).casefold())  # some file systems ignore case
        if is_folder(member):
            folders.add(path)
        elif path in files:
            raise _refused(archive, "another member has the same name", member.filename)
        else:
            files.add(path)
        folders.update(path.parents)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, "it is a link or a device, not a file", member.filename)
        if member.flag_bits & 1:
            raise _refused(archive, "it is encrypted", member.filename)
        if member.file_size > MEMBER_BYTES:
            why = f"its size is {member.file_size} bytes; at most {MEMBER_BYTES} are allowed"
            raise _refused(archive, why, member.filename)
        if member.file_size > SMALL_BYTES and member.file_size > RATIO * max(member.compress_size, 1):
            why = f"its {member.compress_size} bytes would unpack to {member.file_size} bytes"
            raise _refused(archive, why, member.filename)
    if files & folders:
        raise _refused(archive, "it is both a file and a folder", min(map(str, files & folders)))
    if (total := sum(member.file_size for member in members)) > ARCHIVE_BYTES:
        raise _refused(archive, f"it would unpack to {total} bytes; at most {ARCHIVE_BYTES} are allowed")
    return [member for member in members if not is_folder(member)]


def is_folder(member: ZipInfo) -> bool:
    """Return whether an archive member is a folder.

    Examples
    --------
    >>> is_folder(ZipInfo("images/")), is_folder(ZipInfo("images/face-01.png"))
    (True, False)
    """
    return member.filename.endswith(("/", "\\"))


def member_path(member: ZipInfo, archive: str) -> PurePosixPath:
    r"""Return the path of an archive member relative to the folder that it is unpacked into.

    A backslash is a separator, as in archives made on Windows.

    Parameters
    ----------
    member : ZipInfo
    archive : str
        Name of the archive in messages.

    Raises
    ------
    DataError
        When the path is absolute, has a drive letter, contains "..", or is not a valid file name.

    Examples
    --------
    >>> str(member_path(ZipInfo("images\\face-01.png"), "images.zip"))
    'images/face-01.png'
    """
    name = member.orig_filename.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/"):
        raise _refused(archive, "its path is absolute", member.orig_filename)
    if ":" in name:
        raise _refused(archive, "its path has a drive letter or a colon", member.orig_filename)
    if ".." in parts:
        raise _refused(archive, 'its path contains ".."', member.orig_filename)
    if not parts or any(part.strip(" .") == "" or len(part) > 120 for part in parts) or CONTROL.search(name):
        raise _refused(archive, "its path is not a valid file name", member.orig_filename)
    return PurePosixPath(*parts)


def _chunks(opened: ZipFile, member: ZipInfo, archive: str) -> Iterator[bytes]:
    total = 0
    try:
        with opened.open(member) as source:
            while chunk := source.read(CHUNK):
                total += len(chunk)
                yield chunk
    except DAMAGED as error:
        raise DataError(
            f"{archive} is damaged: {member.filename}: {one_line(error)}.", "Download it again, or use another copy."
        ) from error
    if total != member.file_size:
        raise DataError(
            f"{archive} is damaged: {member.filename} ends after {total} of {member.file_size} bytes.",
            "Download it again, or use another copy.",
        )


@contextmanager
def _open_zip(archive: Path, name: str) -> Iterator[ZipFile]:
    try:
        opened = ZipFile(archive)
    except OSError as error:
        raise DataError(f"Cannot read {name}: {error.strerror or error}.", "Name an existing file.") from error
    except DAMAGED as error:
        raise DataError(
            f"{name} is not a zip archive: {_describe_start(archive)}.", "Download it again, or use another copy."
        ) from error
    with opened:
        yield opened


def _describe_start(file: Path) -> str:
    with file.open("rb") as opened:
        start = opened.read(32)
    if start.startswith(b"PK"):
        return "it begins like a zip archive, but it is truncated or damaged"
    text = start.decode("ascii", errors="replace").strip()
    return (
        f"it begins with {text!r}"
        if text.isprintable() and text.isascii() and text
        else "its first bytes are not those of a zip archive"
    )


def _refused(archive: str, why: str, member: str | None = None) -> DataError:
    problem = why if member is None else f"{member!r}: {why}"
    return DataError(
        f"{archive} is refused, nothing was unpacked: {problem}.", "Use a copy from a source that you trust."
    )
