"""The errors of this package: what happened, to what, and what to do next."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from textwrap import shorten

NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, characters that change the direction of text, and lone surrogates."""


def printable(text: str) -> str:
    r"""Escape control characters, which a terminal would obey; file names and contents may include any.

    Examples
    --------
    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


class ItMapsError(Exception):
    """Base class of all errors of this package: what happened, and what to do next.

    Parameters
    ----------
    what : str
        What happened, and to what.
    fix : str
        The sentence that says what to do next.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(printable(what))
        self.fix = printable(fix)

    def __str__(self) -> str:
        return f"{self.args[0]} {self.fix}"

    def __reduce__(self) -> tuple[type["ItMapsError"], tuple[str, str]]:
        return type(self), (self.args[0], self.fix)


class UsageError(ItMapsError):
    """An unknown name or option."""

    exit_code = 2


class DataError(ItMapsError):
    """A recording or image that is missing, damaged or of the wrong shape."""

    exit_code = 3


class ArrayError(DataError, ValueError):
    """Arrays that do not fit each other or the request."""


class ModelError(ItMapsError):
    """A model, its weights or one of its layers that cannot be used."""

    exit_code = 4


class NoMapError(ModelError):
    """A layer whose units have no position in the image."""


class InstallationError(ItMapsError):
    """A problem with the installation on this machine."""

    exit_code = 5


class OutputError(ItMapsError):
    """Printed text could not be written: the device is full or closed."""


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Suggest the known names that are most similar to a mistyped one, as a sentence.

    When none does, say ``otherwise``, or the first twelve names.
    """
    known = sorted(set(known))
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return otherwise or f"Known names: {', '.join(known[:12])}{', and more' if len(known) > 12 else ''}."


def one_line(error: BaseException) -> str:
    """Return the message of an exception in one line without a full stop."""
    return shorten(str(error), 300, placeholder=" ...").rstrip(".") or type(error).__name__
