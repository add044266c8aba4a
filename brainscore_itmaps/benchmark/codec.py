"""Convert dataclasses to JSON and arrays, and back."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

INLINE = {"inline": True}
"""Metadata of a field whose own fields stand in its place: composed in Python, flat in the file. Metadata ``array``
is the name of an array in the NPZ, where that is another one."""
SMALL = 1
"""Axes up to which an array stands in the JSON too."""


class Encoded(NamedTuple):
    """A dataclass as plain values, and its arrays by name."""

    plain: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def encode(value: Any, prefix: str = "") -> Encoded:
    """Turn a dataclass into plain values for JSON, and arrays for an NPZ.

    Undefined numbers (NaN) become null. Arrays of several axes are among the arrays alone. Items of a tuple of
    dataclasses that have a ``recording`` put it before the names of their arrays, where there are several.
    """
    plain: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for each in fields(value):
        item = getattr(value, each.name)
        if isinstance(item, np.ndarray):
            arrays[prefix + each.metadata.get("array", each.name)] = item
            if item.ndim <= SMALL:
                plain[each.name] = _plain(item)
        elif is_dataclass(item):
            inner = encode(item, prefix)
            plain |= inner.plain if each.metadata.get("inline") else {each.name: inner.plain}
            arrays |= inner.arrays
        elif isinstance(item, tuple) and item and is_dataclass(item[0]):
            starts = starts_of([getattr(one, "recording", None) for one in item], prefix)
            inners = [encode(one, start) for one, start in zip(item, starts, strict=True)]
            plain[each.name] = [inner.plain for inner in inners]
            arrays |= {name: array for inner in inners for name, array in inner.arrays.items()}
        else:
            plain[each.name] = _plain(item)
    return Encoded(plain, arrays)


def decode(kind: type[Any], plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Any:
    """Build a dataclass from the output of :func:`encode`.

    Raises
    ------
    ValueError
        When something is missing or of another type, or a number is not finite.
    """
    hints, values = get_type_hints(kind), {}
    for each in fields(kind):
        hint, name, stored = hints[each.name], each.name, prefix + each.metadata.get("array", each.name)
        if each.metadata.get("inline"):
            values[name] = decode(hint, plain, arrays, prefix)
        elif stored in arrays and _is_array(hint) and plain.get(name, ()) is not None:
            values[name] = _numbers(arrays[stored], name)
        elif name in plain:
            values[name] = _decoded(hint, plain[name], arrays, prefix, name)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{name} is missing")
    return kind(**values)


def _decoded(hint: Any, item: Any, arrays: Mapping[str, NDArray[Any]], prefix: str, name: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return item
    if origin in (Union, UnionType):
        if item is None and NoneType in inner:
            return None
        return _first_that_fits(inner, item, arrays, prefix, name)
    if origin is Literal and item in inner:
        return item
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(item, Mapping):
        return decode(hint, item, arrays, prefix)
    if _is_array(hint) and isinstance(item, list):
        return _numbers(np.array([np.nan if each is None else each for each in item]), name)
    if origin is tuple and isinstance(item, list):
        if inner[1:] == (...,):
            starts = starts_of([one.get("recording") if isinstance(one, Mapping) else None for one in item], prefix)
            return tuple(_decoded(inner[0], one, arrays, start, name) for one, start in zip(item, starts, strict=True))
        if len(item) == len(inner):
            return tuple(_decoded(each, one, arrays, prefix, name) for each, one in zip(inner, item, strict=True))
    if origin in (dict, Mapping) and isinstance(item, Mapping):
        return {str(key): _decoded(inner[1], one, arrays, prefix, name) for key, one in item.items()}
    if hint is float:
        if item is None:
            return math.nan
        if isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item):
            return float(item)
    if hint in (int, str, bool) and type(item) is hint:
        return item
    raise ValueError(f"{name} is {str(item)[:80]!r}")


def starts_of(recordings: list[str | None], prefix: str = "") -> list[str]:
    """Name the arrays of several recordings apart: return the prefix of each, numbered where a name is there twice."""
    if len(recordings) < 2 or None in recordings:
        return [prefix] * len(recordings)
    twice = len(set(recordings)) < len(recordings)
    return [f"{prefix}{f'{number}/' if twice else ''}{name}/" for number, name in enumerate(recordings)]


def _numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind not in "fiu" or np.isinf(array).any():
        raise ValueError(f"{name} contains values that are not finite numbers")
    return array


def _first_that_fits(kinds: tuple[Any, ...], *rest: Any) -> Any:
    for kind in kinds:
        try:
            return _decoded(kind, *rest)
        except ValueError:
            continue
    raise ValueError(f"{rest[-1]} is {str(rest[0])[:80]!r}")


def _is_array(hint: Any) -> bool:
    return get_origin(hint) is np.ndarray or any(get_origin(each) is np.ndarray for each in get_args(hint))


def _plain(value: Any) -> Any:
    """Convert numbers for JSON: lists for arrays, null for undefined values."""
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
