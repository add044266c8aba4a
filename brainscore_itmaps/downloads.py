"""Download files through pooch: retry, and move a file to its place only when it is complete."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brainscore_itmaps.errors import DataError, InstallationError, ItMapsError, one_line
from brainscore_itmaps.files import make_readable
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

TRIES = 3
TIMEOUT = 30
LARGEST = 8 * 1024**3
CHUNK = 64 * 1024


class _Counter:
    """Progress of a download, with the interface that pooch expects."""

    def __init__(self, name: str, progress: Report) -> None:
        self.name, self.progress = name, progress
        self.total = 0

    @property
    def total(self) -> int:
        """Return the number of bytes that the server announces; 0 if it does not. Set again at every attempt."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total, self.done = total, 0

    def update(self, chunk: int) -> None:
        self.done += chunk  # the size that was asked for: of the last chunk less may have come
        if max(self.done, self.total) > LARGEST:
            raise DataError(
                f"{self.name} is larger than {LARGEST} bytes.", "This is not a recording; check the address."
            )
        self.progress(f"downloading {self.name} (MB)", self.done // 10**6, self.total // 10**6)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    timeout: float = TIMEOUT,
    progress: Report = silent,
    give: str = "brainscore data fetch --from FILE",
) -> Path:
    """Download a file; it gets its name only when it is complete.

    A connection that fails or stalls, and a file of another hash, are tried three times, with a wait between. Callers
    that share ``path`` hold a lock.

    Parameters
    ----------
    url : str
        Address; redirections are followed.
    path : Path
        Path of the downloaded file, in an existing folder.
    sha256 : str, optional
        Expected sha256 of the file.
    timeout : float
        Seconds without a byte after which a connection counts as failed.
    progress : callable
        Called with ("downloading ...", megabytes done, megabytes in all).
    give : str
        The command that takes a file which was downloaded by hand.

    Raises
    ------
    InstallationError
        When the connection fails, naming the address and how many bytes arrived; when the disk is full.
    DataError
        When the server has no such file, or gives another one.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)
    counter = _Counter(path.name, progress)
    for left_behind in path.parent.glob(f".{path.name}-*"):  # by a run that was killed
        shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as beside:
        fetcher = pooch.create(
            beside, base_url="", registry={path.name: sha256}, urls={path.name: url}, retry_if_failed=TRIES - 1
        )
        downloader = pooch.HTTPDownloader(progressbar=counter, chunk_size=CHUNK, timeout=timeout)
        by_hand = f"Try again, or download {url} yourself and give it with `{give}`."
        try:
            fetched = Path(fetcher.fetch(path.name, downloader=downloader))
            make_readable(fetched)
            fetched.replace(path)
        except ItMapsError:
            raise
        except requests.HTTPError as error:
            raise DataError(f"{url} cannot be downloaded: {one_line(error)}.", by_hand) from error
        except requests.RequestException as error:
            came = (
                f"about {counter.done} of {counter.total or 'unknown'} bytes arrived"
                if counter.done
                else "no byte came"
            )
            reason = getattr(error.args[0], "reason", error) if error.args else error  # without urllib3's wrapping
            raise InstallationError(
                f"{url} could not be downloaded: {one_line(reason)} ({came}; tried {TRIES} times).", by_hand
            ) from error
        except ValueError as error:  # the hash
            raise DataError(f"{url} returned a different file: {one_line(error)}.", by_hand) from error
        except OSError as error:
            raise InstallationError(
                f"Cannot write {path}: {error.strerror or error}.", "Make room, or set ITMAPS_HOME to another folder."
            ) from error
    return path


@contextmanager
def hub_settings() -> Iterator[None]:
    """Apply our settings to downloads of other libraries: offline, they use their cache and connect to nothing.

    Hugging Face's hub reads its own switch from the environment when it is imported; torch's hub has none.
    """
    import torch.hub
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file
    if Settings.from_environment().offline:
        constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file = True, _forbidden
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file = before


def _forbidden(url: str, *arguments: Any, **options: Any) -> None:
    raise OSError(f"offline mode forbids downloading {url}")
