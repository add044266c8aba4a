"""The cache of computed arrays: each entry is stored under a hash of everything that it was computed from."""

import hashlib
import json
import shutil
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.files import locked, replacing
from brainscore_itmaps.npz import read_npz
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings

SCHEME = 5
"""Increased whenever the numbers of an existing key change."""
KEY_PACKAGES = ("brainscore_itmaps", "numpy", "opencv-python", "pillow", "scipy", "timm", "torch", "torchvision")
CONTENT = "hash of the key and the arrays"

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
        Whether it may contain NaN.
    low, high : float
        Smallest and largest allowed value.
    optional : bool
        Whether the entry may lack the array.
    """

    shape: tuple[int, ...]
    kind: str = "f"
    undefined: bool = False
    low: float = -np.inf
    high: float = np.inf
    optional: bool = False

    def fits(self, array: NDArray[Any]) -> bool:
        """Return whether an array has the required type, shape, finiteness and range.

        Examples
        --------
        >>> correlation = Expected((3, -1), low=-1, high=1)
        >>> correlation.fits(np.zeros((3, 5))), correlation.fits(np.full((3, 5), 2.0))
        (True, False)
        """
        lengths = zip(array.shape, self.shape, strict=False)
        if array.dtype.kind not in self.kind or array.ndim != len(self.shape):
            return False
        if any(expected not in (length, -1) for length, expected in lengths):
            return False
        defined = array[~np.isnan(array)] if self.undefined else array
        return bool(np.isfinite(defined).all() and (defined >= self.low).all() and (defined <= self.high).all())


@dataclass(frozen=True)
class ResultCache:
    """A folder of computed arrays, which are stored by key.

    Attributes
    ----------
    home : Path
        The folder.
    fresh : bool
        Compute everything again: only entries that were written by this cache itself are read.
    """

    home: Path
    fresh: bool = False
    _written: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def computed(
        self,
        key: str,
        function: Callable[[], Mapping[str, Any]],
        expected: Mapping[str, Expected] | None = None,
        progress: Report = silent,
    ) -> Entry:
        """Return an entry of the cache; compute and store it if it is missing or invalid.

        One process computes the entry; other processes that need it wait.

        Parameters
        ----------
        key : str
            From :func:`key_of`.
        function : callable
            Returns arrays and numbers by name; those that are None are not stored.
        expected : mapping of str to Expected, optional
            Required type, shape and range of each array; an entry that does not fit is computed again. By default,
            finite numbers of any shape.
        progress : callable
            Called with (step, steps done, steps in all) while another process computes the entry.

        Returns
        -------
        dict of str to array

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = ResultCache(Path(folder))
        ...     first = cache.computed(key_of(image="face"), lambda: {"r": np.array([0.25, 0.5])})
        ...     second = cache.computed(key_of(image="face"), lambda: {"r": np.zeros(2)})
        >>> second["r"]
        array([0.25, 0.5 ])
        """
        return self.computed_all({"": key}, lambda missing: [("", function())], {"": expected}, progress)[""]

    def computed_all(
        self,
        keys: Mapping[Name, str],
        function: Callable[[list[Name]], Iterable[tuple[Name, Mapping[str, Any]]]],
        expected: Mapping[Name, Mapping[str, Expected] | None],
        progress: Report = silent,
    ) -> dict[Name, Entry]:
        """Return several entries; compute missing ones in one call, and store each as soon as it is computed.

        Parameters
        ----------
        keys : mapping of name to str
            Key of each entry, from :func:`key_of`.
        function : callable
            Takes the names of the missing entries; yields the name and the arrays of each. Not called if none is
            missing.
        expected : mapping of name to mapping of str to Expected, or None
            See :meth:`computed`, for each entry.
        progress : callable
            See :meth:`computed`.

        Returns
        -------
        dict of name to dict of str to array
        """
        with self._lock(key_of(keys=sorted(keys.values())), progress):
            trusted = {name: key for name, key in keys.items() if not self.fresh or key in self._written}
            cached = {name: self._read(key, expected[name]) for name, key in trusted.items()}
            entries = {name: entry for name, entry in cached.items() if entry is not None}
            missing = [name for name in keys if name not in entries]
            for name, computed in function(missing) if missing else ():
                entry = {part: np.asarray(value) for part, value in computed.items() if value is not None}
                self._write(keys[name], entry)
                entries[name] = entry
        return entries

    def _read(self, key: str, expected: Mapping[str, Expected] | None) -> Entry | None:
        try:
            entry = read_npz(self._file(key))
            if str(entry.pop(CONTENT)) != content_of(key, entry):
                return None
        except (ValueError, LookupError):
            return None
        if expected is None:
            expected = {name: Expected(array.shape, "biuf") for name, array in entry.items()}
        required = {name for name, array in expected.items() if not array.optional}
        valid = required <= entry.keys() <= expected.keys() and all(
            expected[name].fits(array) for name, array in entry.items()
        )
        return entry if valid else None

    def _write(self, key: str, entry: Entry) -> None:
        """Write an entry, or nothing if the disk is full or read-only; the entry is then computed again next time."""
        content = BytesIO()  # zipfile raises a second error when it closes a zip that the disk cut short
        np.savez(content, **entry, **{CONTENT: content_of(key, entry)})
        with suppress(InstallationError), replacing(self._file(key), SET_HOME) as partial:
            partial.write_bytes(content.getvalue())
        self._written.add(key)

    @contextmanager
    def _lock(self, key: str, progress: Report) -> Iterator[None]:
        """Lock an entry; if no lock can be written, each process computes the entry."""
        with ExitStack() as stack:
            with suppress(InstallationError):
                stack.enter_context(locked(self.home / "locks" / key, SET_HOME, progress))
            yield

    def _file(self, key: str) -> Path:
        return self.home / key[:2] / f"{key}.npz"


def default_cache(fresh: bool = False) -> ResultCache:
    """Return the cache in ``ITMAPS_HOME``.

    Examples
    --------
    >>> default_cache(fresh=True).fresh
    True
    """
    return ResultCache(Settings.from_environment().home / "kept", fresh)


def key_of(**parts: Any) -> str:
    """Compute the key of a computation: a hash of its inputs and of the versions of the packages it uses.

    Parameters
    ----------
    **parts : JSON values
        Everything that changes the result.

    Examples
    --------
    >>> key_of(layer="layer4", method="pls") == key_of(method="pls", layer="layer4")
    True
    >>> len(key_of(layer="layer4", method="pls"))
    32
    """
    text = json.dumps([SCHEME, package_versions(KEY_PACKAGES), parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_of(key: str, entry: Mapping[str, NDArray[Any]]) -> str:
    """Hash an entry of the cache with its key, so that one that was edited or renamed is computed again.

    Examples
    --------
    >>> entry = {"r": np.array([0.25, 0.5])}
    >>> content_of("ab12", entry) == content_of("cd34", entry)
    False
    """
    parts = [key, *(f"{name} {array_content(array)}" for name, array in sorted(entry.items()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def array_content(array: NDArray[Any]) -> str:
    """Hash the type, shape and values of an array.

    Examples
    --------
    >>> array_content(np.zeros((2, 3))) == array_content(np.zeros((3, 2)))
    False
    """
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def clean_cache(home: Path) -> int:
    """Remove every entry of a cache.

    Returns
    -------
    int
        Size of the removed entries in bytes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     home = Path(folder, "cache")
    ...     _ = ResultCache(home).computed("ab12", lambda: {"r": 0.5})
    ...     freed = clean_cache(home)
    >>> freed > 0
    True
    """
    size = cache_size(home)
    shutil.rmtree(home, ignore_errors=True)
    return size


def cache_size(home: Path) -> int:
    """Return the size of a cache's entries in bytes.

    Examples
    --------
    >>> cache_size(Path("a folder that does not exist"))
    0
    """
    return sum(file.stat().st_size for file in home.rglob("*.npz"))


def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Look up the installed version of each package; "not installed" if there is none.

    Examples
    --------
    >>> package_versions(("no-such-package",))
    {'no-such-package': 'not installed'}
    """
    return {package: _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
