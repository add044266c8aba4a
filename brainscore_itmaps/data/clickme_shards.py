"""Download the published shards of ClickMe one by one, verify and record them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from brainscore_itmaps.data.tfrecords import read_records
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.files import locked, sha256, write_json
from brainscore_itmaps.pinned import candidate_file, check_sha256, is_unchanged, read_record
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings, expanded

ADDRESS = "https://storage.googleapis.com/serrelab/prj_harmonization/dataset/click-me"
SPLITS = {"train": 319, "val": 18}
"""Number of shards by split: one more than the published loaders read."""
SUFFIXES = (".tfrecords", ".tfrecord")
HELD_OUT = "val"
"""The split on which models are compared."""
LICENCE = "no licence is stated for ClickMe; its images are those of ImageNet, under ImageNet's terms"


Record = dict[str, Any]
"""Record of a shard: sha256, size, number of records, origin, and time of last change."""


class DownloadedSplit(NamedTuple):
    """A downloaded split and its shards.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
    records : int
        Number of images in all shards.
    size : int
        Size of all shards in bytes.
    lock : Path
        File with the records of the shards.
    """

    folder: Path
    files: tuple[Path, ...]
    records: int
    size: int
    lock: Path


def shard_names(split: str) -> list[str]:
    """Return the file names of a split's shards.

    Raises
    ------
    UsageError
        When the split is unknown.

    Examples
    --------
    >>> shard_names("val")[-1]
    'val-17.tfrecords'
    """
    if split not in SPLITS:
        raise UsageError(f"ClickMe has no split {split!r}.", nearest(split, SPLITS))
    return [f"{split}-{number}.tfrecords" for number in range(SPLITS[split])]


def fetch_clickme(
    split: str,
    *,
    url: str | None = None,
    folder: Path | None = None,
    offline: bool | None = None,
    progress: Report = silent,
) -> DownloadedSplit:
    """Download the missing shards of a split one by one, and verify those on disk.

    A shard is valid if the checksums of all its records are correct. No sha256 is published: that of the first valid
    shard is recorded, also if the user copied the shard. An interrupted download resumes with the next shard.

    Parameters
    ----------
    split : "train" or "val"
    url : str, optional
        Mirror: the part of the address before ``/val/val-0.tfrecords``.
    folder : Path, optional
        Folder that missing shards are copied from instead of a download.
    offline : bool, optional
        Never connect; by default set by ``ITMAPS_OFFLINE``.
    progress : callable
        Called with (step, shards done, shards in all), and with the megabytes of each shard.

    Returns
    -------
    DownloadedSplit

    Raises
    ------
    UsageError
        When the split is unknown.
    DataError
        When a shard is damaged, differs from its record, or is missing in offline mode, in the folder or on the server.
    InstallationError
        When the connection fails or the disk is full; downloaded shards are kept.
    """
    names = shard_names(split)
    settings = Settings.from_environment()
    home = clickme_folder() / split
    with locked(home, SET_HOME, progress):
        records = _read_records(split)
        missing = [name for name in names if not (home / name).is_file()]
        for done, name in enumerate(name for name in names if name not in missing):
            progress(f"checking ClickMe {split}, shards", done, len(names) - len(missing))
            record = _verify(home / name, records.get(name))
            if record != records.get(name):
                records[name] = record
                _write_records(split, records)
        absent = _unavailable(split, missing, folder, settings.offline if offline is None else offline)
        for name in missing:
            if name not in absent:
                origin = folder / name if folder else f"{(url or ADDRESS).rstrip('/')}/{split}/{name}"
                shard_progress = _progress_of_shard(progress, f"shard {names.index(name) + 1} of {len(names)}: ")
                records[name] = _fetch_shard(home / name, origin, records.get(name), shard_progress)
                _write_records(split, records)
    if absent:
        raise DataError(
            f"{len(missing) - len(absent)} shards were copied from {folder}, {len(absent)} of {len(names)} are still "
            f"missing: {_listing(absent)}.",
            f"Add the missing shards to the folder, or run `brainscore data fetch clickme --split {split}`.",
        )
    count, size = (sum(int(records[name][key]) for name in names) for key in ("records", "size"))
    return DownloadedSplit(home, tuple(home / name for name in names), count, size, _lock(split))


def sizes_of(files: Iterable[Path]) -> list[list[Any]]:
    """Return the name and size of each shard, which identify the data of a benchmark in a key.

    Examples
    --------
    >>> sizes_of([Path(__file__)])[0][0]
    'clickme_shards.py'
    """
    return [[file.name, file.stat().st_size] for file in files]


def clickme_files(split: str) -> tuple[Path, ...]:
    """Return the shards of a downloaded split after comparing each with its record.

    A shard with the recorded size and time of last change is not hashed again.

    Raises
    ------
    DataError
        When shards are missing or have changed.
    UsageError
        When the split is unknown.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps.settings import overridden
    >>> with TemporaryDirectory() as home, overridden(home=Path(home)):
    ...     try:
    ...         clickme_files("val")
    ...     except DataError as error:
    ...         print(error.fix)
    Run `brainscore data fetch clickme --split val`.
    """
    names, records, folder = shard_names(split), _read_records(split), clickme_folder() / split
    missing = [name for name in names if name not in records or not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} shards of ClickMe {split} are not in {folder}: {_listing(missing)}.",
            f"Run `brainscore data fetch clickme --split {split}`.",
        )
    for name in names:
        record = records[name]
        if not is_unchanged(folder / name, record["sha256"], record["size"], record.get("changed")):
            _verify(folder / name, record)
    return tuple(folder / name for name in names)


def shard_files(name: str | Path) -> list[Path]:
    """List the TFRecord files of a ClickMe split, a file or a folder.

    Parameters
    ----------
    name : str or Path
        A ClickMe split that was downloaded, a TFRecord file, or a folder of TFRecord files.

    Returns
    -------
    list of Path
        Sorted by name.

    Raises
    ------
    DataError
        When there are no such files.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "train-0.tfrecords").touch()
    ...     [file.name for file in shard_files(folder)]
    ['train-0.tfrecords']
    """
    if name in SPLITS:
        return list(clickme_files(str(name)))
    path = expanded(name)
    files = [path] if path.is_file() else sorted(file for file in path.glob("*") if file.suffix in SUFFIXES)
    if not files:
        content = ""
        if path.is_dir() and (others := sorted(file.name for file in path.iterdir())):
            content = f"; it contains {', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
        raise DataError(
            f"There are no images with human maps in {name}{content}.",
            f"Name a split of ClickMe ({', '.join(SPLITS)}), a file or folder of {SUFFIXES[0]} files, or a folder with "
            "the subfolders images and maps.",
        )
    return files


def clickme_folder() -> Path:
    """Return the folder of ClickMe's shards and records.

    Examples
    --------
    >>> from brainscore_itmaps.settings import overridden
    >>> with overridden(home=Path("home")):
    ...     clickme_folder().as_posix()
    'home/clickme'
    """
    return Settings.from_environment().home / "clickme"


def _fetch_shard(file: Path, origin: Path | str, record: Record | None, progress: Report) -> Record:
    split, expected = file.parent.name, record["sha256"] if record else None
    command = f"brainscore data fetch clickme --split {split} --from FOLDER"
    with candidate_file(origin, file, command, expected, progress) as candidate:
        try:
            record = _verify(candidate, record, origin)
        except DataError as error:
            raise DataError(
                f"{origin} is not accepted: {error.args[0].replace(str(candidate), 'it')}",
                f"Try again, or use another copy. If upstream has replaced the shard, remove it from {_lock(split)}.",
            ) from error
        candidate.replace(file)
    return record


def _verify(file: Path, record: Record | None, origin: Path | str | None = None) -> Record:
    """Verify a shard against its record, or by reading all TFRecords if it has none, and return its record."""
    digest, status = sha256(file), file.stat()
    if record is None:
        count = sum(1 for _ in read_records(file))
        record = {"sha256": digest, "size": status.st_size, "records": count, "from": str(origin or file)}
    check_sha256(digest, {"the recorded sha256": record["sha256"]}, str(file), "Delete it, and download it again.")
    return {**record, "changed": status.st_mtime_ns}


def _unavailable(split: str, missing: list[str], folder: Path | None, offline: bool) -> list[str]:
    """Return the missing shards that a folder lacks; raise an error if it has none, or in offline mode."""
    if not missing or (folder is None and not offline):
        return []
    if folder is None:
        raise DataError(
            f"{len(missing)} of {SPLITS[split]} shards of ClickMe {split} are not in {clickme_folder() / split}, and "
            f"offline mode forbids downloading them: {_listing(missing)}.",
            f"Download them from {ADDRESS}/{split}/ into that folder, or name a folder with the shards: "
            f"`brainscore data fetch clickme --split {split} --from FOLDER`.",
        )
    absent = [name for name in missing if not (folder / name).is_file()]
    if absent == missing:
        raise DataError(
            f"{folder} has none of the missing shards: {_listing(missing)}.", "Name the folder with the shards."
        )
    return absent


def _progress_of_shard(progress: Report, shard: str) -> Report:
    return lambda step, done, total: progress(shard + step, done, total)


def _lock(split: str) -> Path:
    return clickme_folder() / f"clickme-{split}.lock.json"


def _read_records(split: str) -> dict[str, Record]:
    def parse(content: Any) -> dict[str, Record]:
        shards = content["shards"].items()
        return {name: {"sha256": shard["sha256"], **shard, "size": int(shard["size"])} for name, shard in shards}

    return read_record(_lock(split), parse, "Delete it; the shards are then verified and recorded again.") or {}


def _write_records(split: str, records: dict[str, Record]) -> None:
    written = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(_lock(split), {"licence": LICENCE, "written": written, "shards": records}, SET_HOME)


def _listing(names: list[str]) -> str:
    """List shards as text, with the first and last name of each range of consecutive numbers."""
    numbers = [int(name.partition(".")[0].rpartition("-")[2]) for name in names]
    ranges: list[list[str]] = []
    for index, name in enumerate(names):
        if index and numbers[index] == numbers[index - 1] + 1:
            ranges[-1] = [ranges[-1][0], name]
        else:
            ranges.append([name])
    return ", ".join(" to ".join(limits) for limits in ranges)
