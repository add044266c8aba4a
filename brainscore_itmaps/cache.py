"""The cache: each value is stored under a key made of everything that it was computed from."""

import hashlib
import json
import shutil
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.files import locked, replacing
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings

SCHEME = 2
"""Raised whenever the same key would name other numbers."""
THAT_MATTER = ("brainscore_itmaps", "numpy", "opencv-python", "pillow", "scipy", "timm", "torch", "torchvision")
NAMES = "names of the arrays"

Entry = dict[str, NDArray[Any]]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Expected:
    """Required type, shape and range of a cached array.

    Attributes
    ----------
    shape : tuple of int
        -1 stands for any length.
    kind : str
        Letters of numpy's ``dtype.kind``.
    undefined : bool
        It may hold NaN.
    low, high : float
        Bounds of its values.
    optional : bool
        The entry may lack it.
    """

    shape: tuple[int, ...]
    kind: str = "f"
    undefined: bool = False
    low: float = -np.inf
    high: float = np.inf
    optional: bool = False

    def fits(self, array: NDArray[Any]) -> bool:
        """Check type, shape, finiteness and bounds."""
        lengths = zip(array.shape, self.shape, strict=False)
        if array.dtype.kind not in self.kind or array.ndim != len(self.shape):
            return False
        if any(expected not in (length, -1) for length, expected in lengths):
            return False
        defined = array[~np.isnan(array)] if self.undefined else array
        return bool(np.isfinite(defined).all() and (defined >= self.low).all() and (defined <= self.high).all())


@dataclass(frozen=True)
class ResultCache:
    """A folder of computed arrays, stored by key.

    Attributes
    ----------
    home : Path
    fresh : bool
        Compute everything again; entries are written, not read.
    """

    home: Path
    fresh: bool = False

    def computed(
        self,
        key: str,
        function: Callable[[], Mapping[str, Any]],
        expected: Mapping[str, Expected] | None = None,
        progress: Report = silent,
    ) -> Entry:
        """Return an entry of the cache, or compute and store it.

        One process computes; others that need the same entry wait for it.

        Parameters
        ----------
        key : str
            From :func:`key_of`.
        function : callable
            Gives arrays and numbers by name; those that are None are left out.
        expected : mapping of str to Expected, optional
            What an entry must hold to be believed; anything else is computed again. Without it, finite numbers are.
        progress : callable
            Called with (step, steps done, steps in all) when another process has to be waited for.
        """
        return self.computed_all({"": key}, lambda missing: [("", function())], {"": expected}, progress)[""]

    def computed_all(
        self,
        keys: Mapping[Name, str],
        function: Callable[[list[Name]], Iterable[tuple[Name, Mapping[str, Any]]]],
        expected: Mapping[Name, Mapping[str, Expected] | None],
        progress: Report = silent,
    ) -> dict[Name, Entry]:
        """Return several entries; compute the missing ones in one call, and store each as soon as it is ready.

        Parameters are those of :meth:`computed`, by the name of each entry; ``function`` takes the names of the missing
        ones. It is not called when nothing is missing.
        """
        with self._lock(key_of(keys=sorted(keys.values())), progress):
            found = {} if self.fresh else {name: self._read(key, expected[name]) for name, key in keys.items()}
            entries = {name: entry for name, entry in found.items() if entry is not None}
            missing = [name for name in keys if name not in entries]
            for name, computed in function(missing) if missing else ():
                entry = {part: np.asarray(value) for part, value in computed.items() if value is not None}
                self._write(keys[name], entry)
                entries[name] = entry
        return entries

    def _read(self, key: str, expected: Mapping[str, Expected] | None) -> Entry | None:
        try:
            with np.load(self._file(key), allow_pickle=False) as opened:
                entry = {name: opened[name] for name in opened}
            if entry.pop(NAMES).tolist() != list(entry):
                return None
            if expected is None:
                expected = {name: Expected(array.shape, "biuf") for name, array in entry.items()}
            if not entry.keys() <= expected.keys():
                return None
            needed = {name for name, each in expected.items() if not each.optional}
            whole = needed <= entry.keys() and all(expected[name].fits(array) for name, array in entry.items())
        except Exception:  # numpy and zipfile raise many kinds on damaged bytes
            return None
        return entry if whole else None

    def _write(self, key: str, entry: Entry) -> None:
        """Write an entry; if the disk is full or read-only, the value is computed again next time."""
        whole = BytesIO()  # a zip that is cut short on the disk would complain once more when it is forgotten
        np.savez(whole, **entry, **{NAMES: list(entry)})
        with suppress(InstallationError), replacing(self._file(key), SET_HOME) as beside:
            beside.write_bytes(whole.getvalue())

    @contextmanager
    def _lock(self, key: str, progress: Report) -> Iterator[None]:
        """Lock an entry; where no lock can be written, each process computes."""
        with ExitStack() as stack:
            with suppress(InstallationError):
                stack.enter_context(locked(self.home / "locks" / key, SET_HOME, progress))
            yield

    def _file(self, key: str) -> Path:
        return self.home / key[:2] / f"{key}.npz"


def default_cache(fresh: bool = False) -> ResultCache:
    """Return the cache in ``ITMAPS_HOME``."""
    return ResultCache(Settings.from_environment().home / "kept", fresh)


def key_of(**parts: Any) -> str:
    """Compute the key of a computation: a hash of its inputs and of the packages that compute."""
    text = json.dumps([SCHEME, package_versions(THAT_MATTER), parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def array_content(array: NDArray[Any]) -> str:
    """Hash an array: its type, shape and values."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def clean_cache(home: Path) -> int:
    """Remove every entry of a cache.

    Returns
    -------
    int
        Bytes that were freed.
    """
    size = cache_size(home)
    shutil.rmtree(home, ignore_errors=True)
    return size


def cache_size(home: Path) -> int:
    """Count the bytes of a cache's entries."""
    return sum(file.stat().st_size for file in home.rglob("*.npz"))


def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Look up the version of each package."""
    return {package: _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
