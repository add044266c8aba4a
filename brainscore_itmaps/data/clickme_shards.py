"""The published shards of ClickMe: brought one by one, recorded, and known again."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from brainscore_itmaps.data.tfrecords import read_records
from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import DataError, InstallationError, UsageError, nearest
from brainscore_itmaps.files import locked, sha256, write_json
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

ADDRESS = "https://storage.googleapis.com/serrelab/prj_harmonization/dataset/click-me"
SPLITS = {"train": 319, "val": 18}
"""How many shards there are: one more of each than the published loaders ask for."""
HELD_OUT = "val"
"""The split that networks are compared on."""
LICENCE = "no licence is stated for ClickMe; its pictures are those of ImageNet, under ImageNet's terms"
SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."


class Fetched(NamedTuple):
    """A split, as it is on this machine.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
    records : int
        Pictures in all shards.
    size : int
        Bytes.
    lock : Path
        Where hashes are recorded.
    """

    folder: Path
    files: tuple[Path, ...]
    records: int
    size: int
    lock: Path


def shard_names(split: str) -> list[str]:
    """Names of a split's files.

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
    """Bring the shards of a split that are not here yet, one after the other.

    A shard counts as brought when every record in it has the checksum that stands beside it. Its hash is recorded then:
    none is published, so that the first one that was brought is the one that is known again. One that somebody put in
    its place is checked and recorded too; those that are recorded are hashed anew. What is interrupted goes on with the
    shard that it stood at.

    Parameters
    ----------
    split : "train" or "val"
    url : str, optional
        A mirror: the address that stands before ``/val/val-0.tfrecords``.
    folder : Path, optional
        Where shards are on disk already: those of them that are missing here are copied, nothing is downloaded.
    offline : bool, optional
        Never connect; by default as ``ITMAPS_OFFLINE`` says.
    progress : callable
        Told (what is being done, shards done, shards in all), and of the bytes of each.

    Raises
    ------
    UsageError
        When there is no such split.
    DataError
        When a shard is damaged, is missing offline, in the folder or on the server, or is not the one that was
        recorded.
    InstallationError
        When the network fails, or the disk is full; shards that were brought stay.
    """
    names = shard_names(split)
    settings = Settings.from_environment()
    home = clickme_folder() / split
    with locked(home, SET_HOME, progress):
        known = _recorded(split)
        missing = [name for name in names if not (home / name).is_file()]
        for done, name in enumerate(name for name in names if name not in missing):
            progress(f"checking ClickMe {split}, shards", done, len(names) - len(missing))
            told = _checked(home / name, known.get(name))
            if told != known.get(name):
                known[name] = told
                _record(split, known)
        absent = _not_to_be_had(split, missing, folder, settings.offline if offline is None else offline)
        for name in missing:
            if name not in absent:
                told_where = _with_shard(progress, f"shard {names.index(name) + 1} of {len(names)}: ")
                origin = folder / name if folder else f"{(url or ADDRESS).rstrip('/')}/{split}/{name}"
                known[name] = _brought(home / name, origin, known.get(name), told_where)
                _record(split, known)
    if absent:
        raise DataError(
            f"{len(missing) - len(absent)} shards were taken from {folder}, {len(absent)} of {len(names)} are still "
            f"missing: {_listed(absent)}.",
            f"Bring these too, or run `brainscore data fetch clickme --split {split}`.",
        )
    return _fetched(split, known)


def clickme_files(split: str) -> tuple[Path, ...]:
    """The shards of a split that was fetched, each as it was recorded.

    One whose size and time of change are those recorded is not hashed again.

    Raises
    ------
    DataError
        When some are missing or have changed.
    UsageError
        When there is no such split.
    """
    names, known, folder = shard_names(split), _recorded(split), clickme_folder() / split
    missing = [name for name in names if name not in known or not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} shards of ClickMe {split} are not in {folder}: {_listed(missing)}.",
            f"Run `brainscore data fetch clickme --split {split}`.",
        )
    for name in names:
        now = (folder / name).stat()
        if (now.st_size, now.st_mtime_ns) != (known[name]["size"], known[name].get("changed")):
            _refuse_changed(folder / name, sha256(folder / name), known[name])
    return tuple(folder / name for name in names)


def clickme_folder() -> Path:
    """Where ClickMe is kept."""
    return Settings.from_environment().home / "clickme"


def _brought(file: Path, origin: Path | str, known: dict[str, Any] | None, progress: Report) -> dict[str, Any]:
    """Bring a shard under another name, look at every record, and only then give it its own."""
    waiting = file.with_suffix(".unchecked")
    expected = known["sha256"] if known else None
    try:
        if isinstance(origin, Path):
            shutil.copyfile(origin, waiting)
        else:
            by_hand = f"brainscore data fetch clickme --split {file.parent.name} --from FOLDER"
            download(origin, waiting, sha256=expected, progress=progress, give=by_hand)
        try:
            told = _checked(waiting, known, str(origin))
        except DataError as error:
            raise DataError(
                f"{origin} is not taken: {error.args[0].replace(str(waiting), 'it')}",
                "Try again, or bring another copy. If upstream has replaced the shard, remove it from "
                f"{_lock(file.parent.name)}.",
            ) from error
        waiting.replace(file)
    except OSError as error:
        raise InstallationError(f"Cannot write {file}: {error.strerror or error}.", SET_HOME) from error
    finally:
        waiting.unlink(missing_ok=True)
    return told


def _fetched(split: str, known: dict[str, dict[str, Any]]) -> Fetched:
    folder, names = clickme_folder() / split, shard_names(split)
    records, size = (sum(int(known[name][what]) for name in names) for what in ("records", "size"))
    return Fetched(folder, tuple(folder / name for name in names), records, size, _lock(split))


def _checked(file: Path, known: dict[str, Any] | None, origin: str | None = None) -> dict[str, Any]:
    """What is recorded of a shard: of a new one after every record was read, of a known one if it is the same."""
    digest, now = sha256(file), file.stat()
    if known is None:
        records = sum(1 for _ in read_records(file))
        known = {"sha256": digest, "size": now.st_size, "records": records, "from": origin or str(file)}
    _refuse_changed(file, digest, known)
    return {**known, "changed": now.st_mtime_ns}


def _refuse_changed(file: Path, digest: str, known: dict[str, Any]) -> None:
    if digest != known["sha256"]:
        raise DataError(
            f"{file} is not the shard that was recorded: its sha256 is {digest}, that of the recorded one "
            f"{known['sha256']} ({known['size']} bytes).",
            "Delete it, and fetch it again.",
        )


def _not_to_be_had(split: str, missing: list[str], folder: Path | None, offline: bool) -> list[str]:
    """Which of the missing shards a folder lacks; refuses what cannot bring any."""
    if not missing or (folder is None and not offline):
        return []
    if folder is None:
        raise DataError(
            f"{len(missing)} of {SPLITS[split]} shards of ClickMe {split} are not in {clickme_folder() / split}, and "
            f"offline mode forbids fetching them: {_listed(missing)}.",
            f"Bring them from {ADDRESS}/{split}/ and put them there, or give their folder with "
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


def _recorded(split: str) -> dict[str, dict[str, Any]]:
    file = _lock(split)
    if not file.exists():
        return {}
    try:
        shards = json.loads(file.read_text(encoding="utf-8"))["shards"]
        return {name: {"sha256": each["sha256"], **each, "size": int(each["size"])} for name, each in shards.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is damaged.", "Delete it; the shards are then fetched and recorded anew.") from error


def _record(split: str, known: dict[str, dict[str, Any]]) -> None:
    told = {"licence": LICENCE, "written": datetime.now(UTC).isoformat(timespec="seconds"), "shards": known}
    write_json(_lock(split), told, SET_HOME)


def _listed(names: list[str]) -> str:
    """All of them, runs of one number after the other as their ends."""
    numbers = [int(name.partition(".")[0].rpartition("-")[2]) for name in names]
    runs: list[list[str]] = []
    for place, name in enumerate(names):
        if place and numbers[place] == numbers[place - 1] + 1:
            runs[-1] = [runs[-1][0], name]
        else:
            runs.append([name])
    return ", ".join(" to ".join(run) for run in runs)
