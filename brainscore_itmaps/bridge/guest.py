"""Brain-Score's code in our process: without its runs of pip, its warnings and its bars."""

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from brainscore_itmaps.downloads import hubs_as_set
from brainscore_itmaps.errors import ItMapsError, ModelError, one_line

GUEST = {"BS_INSTALL_DEPENDENCIES": "no"}


@contextmanager
def errors_as_sentences(model: str) -> Iterator[None]:
    """Turn whatever somebody else's model or benchmark raises into a ModelError."""
    try:
        yield
    except ItMapsError:
        raise
    except Exception as error:
        raise ModelError(
            f"Brain-Score's model {model} could not be scored: {one_line(error)}.",
            "It may need a download or a package; `brainscore --debug score ...` shows where it failed.",
        ) from error


@contextmanager
def without_bars() -> Iterator[None]:
    """Hide tqdm's progress bars, which Brain-Score shows for every batch; this package's own are not tqdm's."""
    import tqdm

    start = tqdm.tqdm.__init__
    tqdm.tqdm.__init__ = functools.partialmethod(start, disable=True)
    try:
        yield
    finally:
        tqdm.tqdm.__init__ = start


@contextmanager
def as_a_guest() -> Iterator[None]:
    """Brain-Score without its pip runs and its FutureWarning; the environment is given back."""
    before = {name: os.environ.get(name) for name in GUEST}
    os.environ |= GUEST
    try:
        with warnings.catch_warnings(), hubs_as_set():
            warnings.filterwarnings("ignore", module="torchvision")  # its old names for weights, in models of others
            warnings.filterwarnings("ignore", message="xarray subclass Score should explicitly define __slots__")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
