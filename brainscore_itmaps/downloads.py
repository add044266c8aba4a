"""Download complete files with retries through pooch, and stop downloads by other libraries in offline mode."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brainscore_itmaps.errors import DataError, InstallationError, ItMapsError, ModelError, one_line
from brainscore_itmaps.files import make_readable, private_folder
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

TRIES = 3
TIMEOUT = 30
LARGEST = 8 * 1024**3
CHUNK = 64 * 1024


class _Counter:
    """Progress of a download, with the interface that pooch expects."""

    def __init__(self, name: str, progress: Report, folder: Path, size: int | None) -> None:
        self.name, self.progress, self.folder, self.size = name, progress, folder, size
        self.total = 0

    @property
    def total(self) -> int:
        """Return the number of bytes announced by the server, 0 if unknown; pooch sets it at every attempt."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total, self.done = total, 0

    def update(self, chunk: int) -> None:
        """Add a chunk in bytes to the count, report it, and stop a download that is too large."""
        self.done += chunk  # the requested size: the last chunk may be smaller
        if max(self.done, self.total) > LARGEST:
            raise DataError(
                f"{self.name} is larger than {LARGEST} bytes.", "Check the address: no expected file is that large."
            )
        if self.size is not None and sum(file.stat().st_size for file in self.folder.iterdir()) > self.size:
            raise ValueError(f"it is larger than {self.size} bytes")
        self.progress(f"downloading {self.name} (MB)", self.done // 10**6, self.total // 10**6)

    def reset(self) -> None:
        """Set the count to 0."""
        self.done = 0

    def close(self) -> None:
        """Do nothing: nothing is open."""


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    timeout: float = TIMEOUT,
    progress: Report = silent,
    command: str = "brainscore data fetch --from FILE",
    size: int | None = None,
) -> Path:
    """Download a file under a temporary name, and rename it when it is complete.

    The download is attempted three times, with pauses, if the connection fails or stalls or the hash differs. Callers
    that share ``path`` must hold a lock.

    Parameters
    ----------
    url : str
        Address; redirections are followed.
    path : Path
        Path of the downloaded file, in an existing folder.
    sha256 : str, optional
        Expected sha256 of the file; by default it is not checked.
    timeout : float
        Seconds without a byte after which a connection counts as failed.
    progress : callable
        Called with ("downloading ...", megabytes done, megabytes in all).
    command : str
        Command that accepts a file which the user downloaded, for errors.
    size : int, optional
        Expected bytes; a download that becomes larger is stopped. By default any size below 8 GiB is accepted.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InstallationError
        When the connection fails, naming the address and the number of bytes that arrived; when the disk is full.
    DataError
        When the server does not have the file, or returns a file that is too large or has another hash.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)
    fix = f"Try again, or download {url} yourself and pass the file with `{command}`."
    try:
        with private_folder(path.parent) as temporary:
            counter = _Counter(path.name, progress, temporary, size)
            fetcher = pooch.create(
                temporary, base_url="", registry={path.name: sha256}, urls={path.name: url}, retry_if_failed=TRIES - 1
            )
            downloader = pooch.HTTPDownloader(progressbar=counter, chunk_size=CHUNK, timeout=timeout)
            file = Path(fetcher.fetch(path.name, downloader=downloader))
            make_readable(file)
            file.replace(path)
    except ItMapsError:
        raise
    except requests.HTTPError as error:
        raise DataError(f"{url} cannot be downloaded: {one_line(error)}.", fix) from error
    except requests.RequestException as error:
        arrived = (
            f"about {counter.done} of {counter.total or 'unknown'} bytes arrived"
            if counter.done
            else "no bytes arrived"
        )
        reason = getattr(error.args[0], "reason", error) if error.args else error  # the cause that urllib3 wraps
        raise InstallationError(
            f"{url} could not be downloaded: {one_line(reason)} ({arrived}; tried {TRIES} times).", fix
        ) from error
    except ValueError as error:  # another size or hash
        raise DataError(f"{url} returned a different file: {one_line(error)}.", fix) from error
    except OSError as error:
        raise InstallationError(
            f"Cannot write {path}: {error.strerror or error}.", "Free disk space, or set ITMAPS_HOME to another folder."
        ) from error
    return path


@contextmanager
def hub_offline_mode() -> Iterator[None]:
    """Apply offline mode to the hubs of Hugging Face and torch, which then use only their caches.

    The settings are patched: Hugging Face's hub reads its environment variable on import only, torch's hub has none.

    Examples
    --------
    >>> import torch.hub
    >>> from brainscore_itmaps.settings import overridden
    >>> with overridden(offline=True), hub_offline_mode():
    ...     torch.hub.download_url_to_file("https://example.org/weights.pth", "weights.pth")
    Traceback (most recent call last):
    brainscore_itmaps.downloads._NotCachedError: offline mode forbids downloading https://example.org/weights.pth
    """
    import torch.hub
    from huggingface_hub import constants

    original = constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file
    if Settings.from_environment().offline:
        constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file = True, _refuse_download
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file = original


class _NotCachedError(OSError):
    """A file that torch's hub would download, in offline mode."""


def _refuse_download(url: str, *arguments: Any, **options: Any) -> None:
    raise _NotCachedError(f"offline mode forbids downloading {url}")


def check_cached(name: str, cache: str, error: BaseException) -> None:
    """Check, after a hub raised an error, that it did not miss a file in its cache because of offline mode.

    Parameters
    ----------
    name : str
        The model, as the user named it.
    cache : str
        Whose cache it is, such as "timm's cache".
    error : Exception
        What the library raised.

    Raises
    ------
    ModelError
        When a file is not cached, and offline mode forbids downloading it.

    Examples
    --------
    >>> check_cached("timm:resnet50", "timm's cache", OSError("a damaged file"))
    """
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    causes, cause = [error], error
    while cause := cause.__cause__ or cause.__context__:  # type: ignore[assignment]
        causes.append(cause)
    missed = (_NotCachedError, LocalEntryNotFoundError, OfflineModeIsEnabled)
    if Settings.from_environment().offline and any(isinstance(cause, missed) for cause in causes):
        raise ModelError(
            f"The pretrained weights of {name} are not in {cache}, and offline mode forbids downloading them.",
            "Run once without --offline (ITMAPS_OFFLINE).",
        ) from error
