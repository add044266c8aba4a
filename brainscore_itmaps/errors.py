"""The exceptions of this package, and the text of error messages."""

import lzma
import pickle
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from numbers import Integral
from pathlib import Path
from textwrap import shorten

NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, characters that change the direction of text, and lone surrogates."""

DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError),
    *(RuntimeError, MemoryError, SyntaxError, tokenize.TokenError, struct.error, pickle.UnpicklingError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What readers of files raise on damaged bytes: zipfile, numpy, json, tomllib, torch, Pillow, pyarrow, h5py, scipy."""

SIMILAR = 0.5
"""Smallest similarity of a valid name that is suggested for an unknown one."""


def printable(text: str) -> str:
    r"""Escape control characters, which a terminal would execute; file names and contents may contain any.

    Examples
    --------
    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return NOT_SHOWN.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


class ItMapsError(Exception):
    """Base class of all errors of this package; the message says what happened and what to do next.

    Parameters
    ----------
    what : str
        What happened, and to what.
    fix : str
        Next step, as a sentence.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(printable(what))
        self.fix = printable(fix)

    def __str__(self) -> str:
        return f"{self.args[0]} {self.fix}"

    def __reduce__(self) -> tuple[type["ItMapsError"], tuple[str, str]]:
        return type(self), (self.args[0], self.fix)


class UsageError(ItMapsError, ValueError):
    """An unknown name, or an invalid option; also a ValueError."""

    exit_code = 2


class DataError(ItMapsError):
    """A recording or image that is missing or damaged, or has the wrong shape."""

    exit_code = 3


class ArrayError(DataError, ValueError):
    """Arrays whose shapes or values do not fit each other or the requested computation."""


class ModelError(ItMapsError):
    """A model, weights or a layer that cannot be used."""

    exit_code = 4


class NoMapError(ModelError):
    """A layer that has no map: its units have no position in the image."""


class InstallationError(ItMapsError):
    """A problem with the installation on this machine."""

    exit_code = 5


class OutputError(ItMapsError):
    """Printed text could not be written: the device is full or closed."""


def nearest(name: str, names: Iterable[str], fallback: str = "") -> str:
    """Suggest the valid names that are most similar to an unknown one, as a sentence.

    Parameters
    ----------
    name : str
        The unknown name.
    names : iterable of str
        Valid names.
    fallback : str
        Sentence when no valid name is similar; by default it lists the first twelve names.

    Examples
    --------
    >>> nearest("resnet5", ["resnet50", "vgg16"])
    'Did you mean resnet50?'
    >>> nearest("clip", ["resnet50", "vgg16"])
    'Known names: resnet50, vgg16.'
    >>> nearest("lite", ["lite2", "lite0", "lite1", "light"])
    'Did you mean lite0, lite1 or lite2?'
    """
    names = sorted(set(names))
    matcher = SequenceMatcher(b=name)
    ratios: dict[str, float] = {}
    for valid in names:
        matcher.set_seq1(valid)
        if matcher.real_quick_ratio() >= SIMILAR and matcher.quick_ratio() >= SIMILAR:
            ratios[valid] = matcher.ratio()
    similar = sorted((valid for valid, ratio in ratios.items() if ratio >= SIMILAR), key=lambda valid: -ratios[valid])
    if similar:
        return f"Did you mean {alternatives(similar[:3])}?"
    return fallback or f"Known names: {', '.join(names[:12])}{', and more' if len(names) > 12 else ''}."


def alternatives(names: Sequence[str]) -> str:
    """Join names by commas, and the last one by "or".

    Examples
    --------
    >>> alternatives(["a", "b", "c"]), alternatives(["a"])
    ('a, b or c', 'a')
    """
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def described(value: object) -> str:
    """Describe a value in a few words: texts, paths and numbers by value, arrays by shape, others by type.

    Examples
    --------
    >>> described("it_maps"), described(None), described(0.5), described([1, 2])
    ("'it_maps'", 'None', '0.5', 'a list')
    """
    if value is None or isinstance(value, str | bytes | int | float | Path):
        return shorten(str(value) if isinstance(value, Path) else repr(value), 100, placeholder="...")
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    shape = f" of shape {tuple(shape)}" if isinstance(shape, tuple) else ""
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}{shape}"


def check_type(value: object, types: tuple[type, ...] | type, expected: str, fix: str) -> None:
    """Check that a value has one of some types.

    Parameters
    ----------
    value : object
    types : type or tuple of types
    expected : str
        What the value should be, with an article.
    fix : str
        Next step, as a sentence.

    Raises
    ------
    UsageError
        When it has another type.

    Examples
    --------
    >>> check_type("resnet50", str, "a name", "Give a name.")
    >>> check_type(None, str, "the name of a model", "Give a name.")
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: None is not the name of a model. Give a name.
    """
    if not isinstance(value, types):
        found = described(value)
        raise UsageError(f"{found[0].upper()}{found[1:]} is not {expected}.", fix)


def checked_integer(value: object, what: str, least: int | None = None) -> int:
    """Return a whole number as int.

    Parameters
    ----------
    value : object
    what : str
        What the number is, such as "seed".
    least : int, optional
        The smallest number that is valid.

    Raises
    ------
    UsageError
        When it is not a whole number, or too small.

    Examples
    --------
    >>> checked_integer(3, "seed")
    3
    >>> checked_integer("a", "seed")
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: The seed is 'a'. Give a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or (least is not None and value < least):
        more = "" if least is None else f" of {least} or more"
        raise UsageError(f"The {what} is {described(value)}.", f"Give a whole number{more}.")
    return int(value)


def checked_batch_size(value: object) -> int:
    """Return the number of images of a batch.

    Raises
    ------
    UsageError
        When it is not a whole number of 1 or more.

    Examples
    --------
    >>> checked_batch_size(14)
    14
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise UsageError(f"A batch cannot have {described(value)} images.", "Give a batch size of 1 or more.")
    return int(value)


def check_choice(**values: object) -> None:
    """Check that options are True or False.

    Raises
    ------
    UsageError
        When one is something else.

    Examples
    --------
    >>> check_choice(fresh=True)
    >>> check_choice(fresh="no")
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: The value of fresh is 'no'. Give True or False.
    """
    for name, value in values.items():
        if type(value).__name__ not in ("bool", "bool_"):  # also those of numpy
            raise UsageError(f"The value of {name} is {described(value)}.", "Give True or False.")


def one_line(error: BaseException) -> str:
    r"""Return the message of an exception on one line, without a final period, or its class name if it is empty.

    Examples
    --------
    >>> one_line(ValueError("not a number:\n  'five'.")), one_line(EOFError())
    ("not a number: 'five'", 'EOFError')
    """
    return shorten(str(error), 300, placeholder=" ...").rstrip(".") or type(error).__name__
