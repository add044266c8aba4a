"""Conversion of dataclasses to plain values for JSON and arrays for an NPZ, and back."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.text import short_repr

INLINE = {"inline": True}
"""Metadata of a field that holds a dataclass whose fields are stored at its own level: nested in Python, flat in the
file. Metadata ``array`` is the name of an array in the NPZ where it differs from the name of the field."""
SMALL = 1
"""Largest number of axes of arrays that are also stored in the JSON."""


@short_repr
class Encoded(NamedTuple):
    """The plain values of a dataclass, and its arrays by name."""

    plain: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def encode(value: Any, prefix: str = "") -> Encoded:
    """Convert a dataclass to plain values for JSON and arrays for an NPZ.

    Undefined numbers (NaN) become null. Arrays of two or more axes are only among the arrays. Where a field is a tuple
    of several dataclasses with a ``recording``, the names of their arrays begin with it. Where a field maps names to
    dataclasses, the names of their arrays begin with those of the field and of the key.

    Parameters
    ----------
    value : dataclass
    prefix : str
        Begins the name of every array.

    Returns
    -------
    Encoded
        ``plain`` and ``arrays``.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.result import Estimate
    >>> encoded = encode(Estimate(raw=0.25, ceiling=0.5, score=0.5, replicates=np.array([0.375, 0.625])))
    >>> encoded.plain["score"], encoded.plain["error"], encoded.plain["replicates"]
    (0.5, None, [0.375, 0.625])
    >>> list(encoded.arrays)
    ['replicates']
    """
    plain: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for entry in fields(value):
        item = getattr(value, entry.name)
        if isinstance(item, np.ndarray):
            arrays[prefix + entry.metadata.get("array", entry.name)] = item
            if item.ndim <= SMALL:
                plain[entry.name] = _plain(item)
        elif is_dataclass(item):
            inner = encode(item, prefix)
            plain |= inner.plain if entry.metadata.get("inline") else {entry.name: inner.plain}
            arrays |= inner.arrays
        elif isinstance(item, tuple) and item and is_dataclass(item[0]):
            prefixes = array_prefixes([getattr(part, "recording", None) for part in item], prefix)
            inners = [encode(part, start) for part, start in zip(item, prefixes, strict=True)]
            plain[entry.name] = [inner.plain for inner in inners]
            arrays |= {name: array for inner in inners for name, array in inner.arrays.items()}
        elif isinstance(item, Mapping) and item and all(map(is_dataclass, item.values())):
            named = {key: encode(part, f"{prefix}{entry.name}/{key}/") for key, part in item.items()}
            plain[entry.name] = {key: inner.plain for key, inner in named.items()}
            arrays |= {name: array for inner in named.values() for name, array in inner.arrays.items()}
        else:
            plain[entry.name] = _plain(item)
    return Encoded(plain, arrays)


def decode(
    kind: type[Any],
    plain: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    prefix: str = "",
    partial: bool = False,
) -> Any:
    """Build a dataclass from the output of :func:`encode`.

    Parameters
    ----------
    kind : type
        The dataclass.
    plain : mapping of str to value
    arrays : mapping of str to array
    prefix : str
        Begins the name of every array.
    partial : bool
        Arrays that are missing are empty, or None where they may be.

    Raises
    ------
    ValueError
        When a field is missing or of another type, or a number is not finite.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.result import Estimate
    >>> estimate = decode(Estimate, {"score": 0.5, "interval": [0.25, None]}, {})
    >>> estimate.score, estimate.interval
    (0.5, (0.25, nan))
    """
    values = {}
    for entry, hint, is_array in _fields_of(kind):  # type: ignore[arg-type]
        name, stored = entry.name, prefix + entry.metadata.get("array", entry.name)
        if entry.metadata.get("inline"):
            values[name] = decode(hint, plain, arrays, prefix, partial)
        elif is_array and stored in arrays and plain.get(name, ()) is not None:
            values[name] = _finite(arrays[stored], name)
        elif name in plain:
            values[name] = _decoder_of(hint)(plain[name], _Place(arrays, prefix, name, partial))
        elif partial and get_origin(hint) is np.ndarray:
            values[name] = np.zeros(0)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{name} is missing")
    return kind(**values)


class _Place(NamedTuple):
    """Where a value lies: the arrays, the beginning of their names, and the name of its field."""

    arrays: Mapping[str, NDArray[Any]]
    prefix: str
    name: str
    partial: bool


Decoder = Callable[[Any, _Place], Any]


@cache
def _fields_of(kind: Any) -> list[tuple["Field[Any]", Any, bool]]:
    hints = get_type_hints(kind)
    return [(entry, hints[entry.name], _is_array(hints[entry.name])) for entry in fields(kind)]


@cache
def _decoder_of(hint: Any) -> Decoder:
    """Return the function that checks and converts a plain value for a type."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda item, place: item
    if origin in (Union, UnionType):
        return _decoder_of_union(inner)
    if origin is Literal:
        return lambda item, place: item if item in inner and type(item) in (str, int) else _refused(item, place)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda item, place: (decode(hint, item, place.arrays, place.prefix, place.partial)
                                    if isinstance(item, Mapping) else _refused(item, place))  # fmt: skip
    if _is_array(hint):
        return _decode_array
    if origin is tuple:
        return _decoder_of_tuple(inner)
    if origin in (dict, Mapping):
        return _decoder_of_mapping(inner[1])
    if hint is float:
        return _decode_float
    return lambda item, place: item if hint in (int, str, bool) and type(item) is hint else _refused(item, place)


def _refused(item: Any, place: _Place) -> Any:
    raise ValueError(f"{place.name} has the invalid value {str(item)[:80]!r}")


def _decode_float(item: Any, place: _Place) -> float:
    if item is None:
        return math.nan
    if type(item) not in (int, float) or not math.isfinite(item):
        _refused(item, place)
    return float(item)


def _decode_array(item: Any, place: _Place) -> NDArray[Any]:
    if not isinstance(item, list):
        _refused(item, place)
    return _finite(np.array([np.nan if number is None else number for number in item]), place.name)


def _decoder_of_union(inner: tuple[Any, ...]) -> Decoder:
    """Take the first type that fits."""
    decoders = [_decoder_of(kind) for kind in inner if kind is not NoneType]

    def decoded(item: Any, place: _Place) -> Any:
        if item is None and NoneType in inner:
            return None
        for decoder in decoders:
            with suppress(ValueError):
                return decoder(item, place)
        return _refused(item, place)

    return decoded


def _decoder_of_tuple(inner: tuple[Any, ...]) -> Decoder:
    decoders = [_decoder_of(kind) for kind in inner if kind is not ...]

    def decoded(item: Any, place: _Place) -> tuple[Any, ...]:
        if not isinstance(item, list) or (inner[1:] != (...,) and len(item) != len(inner)):
            _refused(item, place)
        if inner[1:] != (...,):
            return tuple(decoder(part, place) for decoder, part in zip(decoders, item, strict=True))
        if not is_dataclass(inner[0]):
            return tuple(decoders[0](part, place) for part in item)
        prefixes = array_prefixes(
            [part.get("recording") if isinstance(part, Mapping) else None for part in item], place.prefix
        )
        return tuple(
            decoders[0](part, place._replace(prefix=prefix)) for part, prefix in zip(item, prefixes, strict=True)
        )

    return decoded


def _decoder_of_mapping(kind: Any) -> Decoder:
    decoder = _decoder_of(kind)

    def decoded(item: Any, place: _Place) -> dict[str, Any]:
        if not isinstance(item, Mapping):
            _refused(item, place)
        return {
            str(key): decoder(part, place._replace(prefix=f"{place.prefix}{place.name}/{key}/"))
            for key, part in item.items()
        }

    return decoded


def array_prefixes(recordings: list[str | None], prefix: str = "") -> list[str]:
    """Return the prefix of each recording's array names, numbered where two recordings share a name.

    Examples
    --------
    >>> array_prefixes(["PL", "ML"])
    ['PL/', 'ML/']
    >>> array_prefixes(["PL", "PL"])
    ['0/PL/', '1/PL/']
    >>> array_prefixes(["PL"])
    ['']
    """
    if len(recordings) < 2 or None in recordings:
        return [prefix] * len(recordings)
    twice = len(set(recordings)) < len(recordings)
    return [f"{prefix}{f'{number}/' if twice else ''}{name}/" for number, name in enumerate(recordings)]


def _finite(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind not in "fiu" or np.isinf(array).any():
        raise ValueError(f"{name} contains values that are not finite numbers")
    return array


def _is_array(hint: Any) -> bool:
    return get_origin(hint) is np.ndarray or any(get_origin(part) is np.ndarray for part in get_args(hint))


def _plain(value: Any) -> Any:
    """Convert a value for JSON: arrays become lists, undefined numbers null."""
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
