"""Run Brain-Score's code in this process without its pip installs, warnings and progress bars."""

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from brainscore_itmaps.downloads import hub_offline_mode
from brainscore_itmaps.errors import ItMapsError, ModelError, one_line

NO_INSTALLS = {"BS_INSTALL_DEPENDENCIES": "no"}
"""Environment variables with which Brain-Score installs nothing."""


CONNECT = "Connect to the internet once; Brain-Score keeps what it downloads. Benchmarks of this package work offline."
"""Next step where Brain-Score could not download something."""
NETWORK = ("botocore", "boto3", "urllib3", "requests", "socket", "http", "urllib", "huggingface_hub", "httpx")
"""Packages whose exceptions mean that a download failed."""
NETWORK_ERRORS = ("ConnectionError", "gaierror", "SocketBlockedError", "OfflineModeIsEnabled")


def needs_network(error: BaseException | None) -> bool:
    """Return whether an exception, its causes or the exceptions in it come from a download that failed.

    Brain-Score raises one plain exception that holds those of two attempts.

    Examples
    --------
    >>> import socket
    >>> needs_network(Exception([ValueError(), socket.gaierror("Name or service not known")]))
    True
    >>> needs_network(ValueError("no"))
    False
    """
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            response = getattr(one, "response", None)
            if getattr(one, "code", None) is not None or response is not None:  # an answer came through the network
                continue
            names = {f"{kind.__module__.split('.')[0]}" for kind in type(one).__mro__}
            if names & set(NETWORK) or {kind.__name__ for kind in type(one).__mro__} & set(NETWORK_ERRORS):
                return True
            waiting += [*one.args, one.__cause__, None if one.__suppress_context__ else one.__context__]
    return False


@contextmanager
def converted_errors(model: str) -> Iterator[None]:
    """Convert exceptions of models and benchmarks outside this package to ModelError, within a ``with`` block.

    Examples
    --------
    >>> with converted_errors("pixels"):  # doctest: +ELLIPSIS
    ...     raise OSError("No space left on device")
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.ModelError: Brain-Score's model pixels could not be scored: No space left on device. ...
    """
    try:
        yield
    except ItMapsError:
        raise
    except Exception as error:
        if needs_network(error):
            raise ModelError(f"Brain-Score's model {model} needs the network: {one_line(error)}.", CONNECT) from error
        raise ModelError(
            f"Brain-Score's model {model} could not be scored: {one_line(error)}.",
            "It may need a download or a package; `brainscore --debug score ...` prints the traceback.",
        ) from error


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Hide the progress bars of tqdm, which Brain-Score shows for every batch, within a ``with`` block.

    Examples
    --------
    >>> from tqdm import tqdm
    >>> with without_progress_bars():
    ...     tqdm(range(3)).disable
    True
    """
    import tqdm

    original = tqdm.tqdm.__init__
    tqdm.tqdm.__init__ = functools.partialmethod(original, disable=True)
    try:
        yield
    finally:
        tqdm.tqdm.__init__ = original


@contextmanager
def quiet_brain_score() -> Iterator[None]:
    """Run Brain-Score without pip installs and warnings within a ``with`` block, then restore the environment.

    Examples
    --------
    >>> with quiet_brain_score():
    ...     os.environ["BS_INSTALL_DEPENDENCIES"]
    'no'
    """
    before = {name: os.environ.get(name) for name in NO_INSTALLS}
    os.environ |= NO_INSTALLS
    try:
        with warnings.catch_warnings(), hub_offline_mode():
            warnings.filterwarnings("ignore", module="torchvision")  # models of Brain-Score use old names for weights
            warnings.filterwarnings("ignore", message="xarray subclass Score should explicitly define __slots__")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
