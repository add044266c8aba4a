"""Format numbers and objects for readers; an absent number is a dash."""

from collections.abc import Iterable, Sequence
from html import escape
from reprlib import Repr
from typing import Any, TypeVar

ABSENT = "-"
LONGEST = 300
"""Number of characters of the longest description of an object, but for those of its parts that are not ours."""
Class = TypeVar("Class", bound=type)
Key = TypeVar("Key")
Value = TypeVar("Value")


class _ShortRepr(Repr):
    """Description of values: arrays and tables by their shape, long texts and collections by their beginning."""

    def __init__(self, longest: int = 60) -> None:
        super().__init__()
        self.maxother = self.maxstring = longest
        self.maxtuple = self.maxlist = self.maxdict = self.maxlevel = 2

    def repr1(self, x: Any, level: int) -> str:
        shape = getattr(x, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"<{type(x).__name__} {' x '.join(map(str, shape))}>"
        if isinstance(x, float):
            return f"{x:.4g}"
        if hasattr(x, "named_modules"):  # a module of torch, whose description names every layer
            return f"<{type(x).__name__}>"
        return super().repr1(x, level)


def short_repr(class_: Class) -> Class:
    """Give a dataclass or a named tuple a description of its fields: arrays by their shapes, numbers to four digits.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> @short_repr
    ... class Fitted(NamedTuple):
    ...     layer: str
    ...     predicted: np.ndarray
    >>> Fitted("layer3", np.zeros((14, 17, 17, 32)))
    Fitted(layer='layer3', predicted=<ndarray 14 x 17 x 17 x 32>)
    """

    def described(self: Any) -> str:
        fields = getattr(self, "_fields", None) or [
            name for name, field in self.__dataclass_fields__.items() if field.repr and name[0] != "_"
        ]
        text = ""
        for longest in (60, 30, 15):
            values = ", ".join(f"{name}={_ShortRepr(longest).repr(getattr(self, name))}" for name in fields)
            text = f"{type(self).__name__}({values})"
            if len(text) <= LONGEST:
                return text
        return f"{text[: LONGEST - 4]}...)"

    class_.__repr__ = described  # type: ignore[assignment]
    return class_


class ShortDict(dict[Key, Value]):
    """Dictionary of arrays that is described by their shapes.

    Examples
    --------
    >>> import numpy as np
    >>> ShortDict(layer3=np.zeros((14, 128, 10, 10)))
    {'layer3': <ndarray 14 x 128 x 10 x 10>}
    """

    def __repr__(self) -> str:
        shown = [f"{key!r}: {_ShortRepr().repr(value)}" for key, value in list(self.items())[:4]]
        return f"{{{', '.join([*shown, f'{len(self)} in all'] if len(self) > 4 else shown)}}}"


def number_text(value: float | None, digits: int = 3, sign: str = "") -> str:
    """Format a number, and an absent one (NaN or None) as a dash.

    Parameters
    ----------
    value : float or None
    digits : int
        Number of decimals.
    sign : str
        "+" to show the sign of positive numbers, too.

    Examples
    --------
    >>> number_text(0.60587), number_text(float("nan")), number_text(0.12, 2, "+")
    ('0.606', '-', '+0.12')
    """
    return ABSENT if value is None or value != value else f"{value:{sign}.{digits}f}"


def interval_text(low: float, high: float, sign: str = "") -> str:
    """Format the ends of an interval, and an absent interval as a dash.

    Examples
    --------
    >>> interval_text(0.503, 0.706), interval_text(float("nan"), float("nan"))
    ('0.503 to 0.706', '-')
    """
    if low != low or high != high:
        return ABSENT
    return f"{number_text(low, sign=sign)} to {number_text(high, sign=sign)}"


SIMULATED_HTML = "<b>SIMULATED recording, no animal was recorded</b><br>"
"""Sentence of an HTML display in a notebook."""


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in HTML, without colours, so that it fits light and dark notebooks.

    Parameters
    ----------
    headings : sequence of str
    rows : iterable of sequences of str
        Cells as text, which is escaped.

    Examples
    --------
    >>> html_table(["model"], [["<b>"]])
    '<table><thead><tr><th>model</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
