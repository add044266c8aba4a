"""Run Brain-Score's code in this process without its pip installs, warnings and progress bars."""

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from brainscore_itmaps.downloads import hub_settings
from brainscore_itmaps.errors import ItMapsError, ModelError, one_line

GUEST = {"BS_INSTALL_DEPENDENCIES": "no"}


@contextmanager
def errors_as_sentences(model: str) -> Iterator[None]:
    """Convert any exception of a model or benchmark that is not part of this package into a ModelError."""
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
def quiet_brain_score() -> Iterator[None]:
    """Run Brain-Score without its pip installs and its FutureWarning; restore the environment afterwards."""
    before = {name: os.environ.get(name) for name in GUEST}
    os.environ |= GUEST
    try:
        with warnings.catch_warnings(), hub_settings():
            warnings.filterwarnings("ignore", module="torchvision")  # its old names for weights, in models of others
            warnings.filterwarnings("ignore", message="xarray subclass Score should explicitly define __slots__")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
