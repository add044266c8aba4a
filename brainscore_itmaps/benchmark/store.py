"""What was computed is kept under a name made of everything that it was computed from, and not computed again."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.files import locked, replacing, sha256
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

SCHEME = 1
"""Raised whenever the same key would name other numbers."""
THAT_MATTER = ("brainscore_itmaps", "numpy", "opencv-python", "pillow", "scipy", "timm", "torch", "torchvision")
NAMES = "names of the arrays"
SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."


def home() -> Path:
    """Folder of the store."""
    return Settings.from_environment().home / "kept"


def key_of(**parts: Any) -> str:
    """Name of a computation: a hash of what went into it, and of the packages that computed it."""
    told = json.dumps([SCHEME, package_versions(THAT_MATTER), parts], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def recording_content(recording: Recording) -> str:
    """Hash of the maps, the repeats, the positions and the pictures of a recording, whatever it is called."""
    digest = hashlib.sha256(f"{recording.maps.dtype} {recording.maps.shape} {recording.grid.extent}".encode())
    for array in (recording.maps, recording.grid.y, recording.grid.x, recording.repeats):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    for image in recording.images:
        digest.update(sha256(image).encode())
    return digest.hexdigest()


def array_content(array: NDArray[Any]) -> str:
    """Hash of an array."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def look_up(key: str) -> dict[str, NDArray[Any]] | None:
    """What is kept under a key; None when there is nothing, or only a damaged file."""
    try:
        with np.load(_file(key), allow_pickle=False) as opened:
            found = {name: opened[name] for name in opened}
        return found if found.pop(NAMES).tolist() == list(found) else None
    except Exception:  # numpy and zipfile raise many kinds on damaged bytes
        return None


def keep(key: str, arrays: dict[str, Any]) -> None:
    """Keep arrays under a key; readers meet them whole or not at all.

    Where they cannot be written, because the disk is full or not ours, they are not kept: that costs time, no number.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    whole = BytesIO()  # a zip that is cut short on the disk would complain once more when it is forgotten
    np.savez(whole, **given, **{NAMES: list(given)})
    with suppress(InstallationError), replacing(_file(key), SET_HOME) as beside:
        beside.write_bytes(whole.getvalue())


@contextmanager
def held(key: str, progress: Report = silent) -> Iterator[None]:
    """Hold a key, so that of several processes that want the same one computes it and the others find it.

    Where no lock can be written, each computes it.
    """
    with ExitStack() as stack:
        with suppress(InstallationError):
            stack.enter_context(locked(home() / "locks" / key, SET_HOME, progress))
        yield


def clean() -> int:
    """Remove everything that is kept.

    Returns
    -------
    int
        How many bytes that were.
    """
    size = kept_size()
    shutil.rmtree(home(), ignore_errors=True)
    return size


def kept_size() -> int:
    """How many bytes are kept."""
    return sum(file.stat().st_size for file in home().rglob("*.npz"))


def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Version of each package, or that it is not installed."""
    return {package: _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _file(key: str) -> Path:
    return home() / key[:2] / f"{key}.npz"
