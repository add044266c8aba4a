"""Download the published shards of ClickMe one by one, verify and record them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from brainscore_itmaps.data.tfrecords import read_records
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.files import locked, sha256, write_json
from brainscore_itmaps.pinned import candidate_file, check_sha256, is_unchanged, read_record
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings

ADDRESS = "https://storage.googleapis.com/serrelab/prj_harmonization/dataset/click-me"
SPLITS = {"train": 319, "val": 18}
"""Number of shards: one more of each than the published loaders read."""
HELD_OUT = "val"
"""The split on which models are compared."""
LICENCE = "no licence is stated for ClickMe; its images are those of ImageNet, under ImageNet's terms"


Record = dict[str, Any]
"""Record of a shard: sha256, size, number of records, origin, and time of last change."""


class Fetched(NamedTuple):
    """The result of a download: a split and its shards.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
    records : int
        Images in all shards.
    size : int
        Bytes.
    lock : Path
        The file with the records of the shards.
    """

    folder: Path
    files: tuple[Path, ...]
    records: int
    size: int
    lock: Path


def shard_names(split: str) -> list[str]:
    """Return the names of a split's files.

    Raises
    ------
    UsageError
        When there is no such split.
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
) -> Fetched:
    """Download the missing shards of a split, one after the other, and verify those on disk.

    A shard is valid when every record in it has its checksum. No sha256 is published: that of the first valid shard is
    recorded, also of a shard that was put into the folder by hand. An interrupted download resumes with the next shard.

    Parameters
    ----------
    split : "train" or "val"
    url : str, optional
        Mirror: the address before ``/val/val-0.tfrecords``.
    folder : Path, optional
        Folder with shards: the missing ones are copied from it, nothing is downloaded.
    offline : bool, optional
        Never connect; by default as ``ITMAPS_OFFLINE`` says.
    progress : callable
        Called with (step, shards done, shards in all), and with the megabytes of each.

    Raises
    ------
    UsageError
        When there is no such split.
    DataError
        When a shard is damaged, is missing offline, in the folder or on the server, or is not the recorded one.
    InstallationError
        When the connection fails, or the disk is full; shards that were downloaded stay.
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
                shard_progress = _with_shard(progress, f"shard {names.index(name) + 1} of {len(names)}: ")
                records[name] = _fetch_shard(home / name, origin, records.get(name), shard_progress)
                _write_records(split, records)
    if absent:
        raise DataError(
            f"{len(missing) - len(absent)} shards were copied from {folder}, {len(absent)} of {len(names)} are still "
            f"missing: {_listed(absent)}.",
            f"Add these to the folder, or run `brainscore data fetch clickme --split {split}`.",
        )
    count, size = (sum(int(records[name][key]) for name in names) for key in ("records", "size"))
    return Fetched(home, tuple(home / name for name in names), count, size, _lock(split))


def clickme_files(split: str) -> tuple[Path, ...]:
    """Return the shards of a downloaded split, after comparing each with its record.

    A shard of the recorded size and modification time is not hashed again.

    Raises
    ------
    DataError
        When shards are missing or have changed.
    UsageError
        When there is no such split.
    """
    names, records, folder = shard_names(split), _read_records(split), clickme_folder() / split
    missing = [name for name in names if name not in records or not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} shards of ClickMe {split} are not in {folder}: {_listed(missing)}.",
            f"Run `brainscore data fetch clickme --split {split}`.",
        )
    for name in names:
        record = records[name]
        if not is_unchanged(folder / name, record["sha256"], record["size"], record.get("changed")):
            _verify(folder / name, record)
    return tuple(folder / name for name in names)


def clickme_folder() -> Path:
    """Return the folder with ClickMe's splits and records."""
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
    """Return the record of a shard: a new one after every TFRecord was read, or the given one if it is the same."""
    digest, now = sha256(file), file.stat()
    if record is None:
        count = sum(1 for _ in read_records(file))
        record = {"sha256": digest, "size": now.st_size, "records": count, "from": str(origin or file)}
    check_sha256(digest, {"the recorded sha256": record["sha256"]}, str(file), "Delete it, and download it again.")
    return {**record, "changed": now.st_mtime_ns}


def _unavailable(split: str, missing: list[str], folder: Path | None, offline: bool) -> list[str]:
    """Return the missing shards that a folder lacks; refuse offline mode, and a folder that has none of them."""
    if not missing or (folder is None and not offline):
        return []
    if folder is None:
        raise DataError(
            f"{len(missing)} of {SPLITS[split]} shards of ClickMe {split} are not in {clickme_folder() / split}, and "
            f"offline mode forbids downloading them: {_listed(missing)}.",
            f"Download them from {ADDRESS}/{split}/ into that folder, or name another folder with "
            f"`brainscore data fetch clickme --split {split} --from FOLDER`.",
        )
    absent = [name for name in missing if not (folder / name).is_file()]
    if absent == missing:
        raise DataError(f"{folder} has none of the missing shards: {_listed(missing)}.", "Name the folder they are in.")
    return absent


def _with_shard(progress: Report, shard: str) -> Report:
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


def _listed(names: list[str]) -> str:
    """List shards, each run of successive numbers by its first and last."""
    numbers = [int(name.partition(".")[0].rpartition("-")[2]) for name in names]
    runs: list[list[str]] = []
    for place, name in enumerate(names):
        if place and numbers[place] == numbers[place - 1] + 1:
            runs[-1] = [runs[-1][0], name]
        else:
            runs.append([name])
    return ", ".join(" to ".join(run) for run in runs)
