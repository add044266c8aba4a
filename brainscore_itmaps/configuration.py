"""Read a TOML file into frozen dataclasses, and report every mistake with its place."""

import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from brainscore_itmaps.errors import UsageError, nearest, one_line


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    UsageError
        When there is none, or it is not a TOML file.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.", "Name a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not a TOML file: {one_line(error)}.", "Correct it there.") from error


def with_current_names(given: Mapping[str, Any], renamed: Mapping[str, str], where: str) -> dict[str, Any]:
    """Replace the former names of keys with the current ones, and warn about each.

    Parameters
    ----------
    given : mapping
    renamed : mapping of str to str
        Former name to current name.
    where : str
        Name of the file, with which messages begin.

    Raises
    ------
    UsageError
        When a key is given under both names.
    """
    current = dict(given)
    for former, name in renamed.items():
        if former in current:
            if name in current:
                raise UsageError(f"{where}: {former} is the former name of {name}, and both are given.", "Keep one.")
            warnings.warn(f"{where}: {former} is now called {name}; write that.", FutureWarning, stacklevel=3)
            current[name] = current.pop(former)
    return current


def filled(config: Any, values: Mapping[str, Any], where: str, section: str = "") -> Any:
    """Fill a configuration with the values of a mapping, checking names and types.

    Parameters
    ----------
    config : frozen dataclass
        Default values. Fields may be str, int, float, bool, a tuple of one of these, or another configuration, which is
        a table in the file.
    values : mapping
        Values of the file, by name.
    where : str
        Name of the file, with which messages begin.
    section : str
        Name of the table in the file, followed by a dot; empty at the top level.

    Raises
    ------
    UsageError
        When a name is unknown, or a value of another type.
    """
    hints = get_type_hints(type(config))
    known = {each.name: getattr(config, each.name) for each in fields(config)}
    changed = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{where}: unknown key {section}{name}.", nearest(name, known))
        now = known[name]
        if hasattr(now, "__dataclass_fields__"):
            if not isinstance(value, Mapping):
                raise UsageError(f"{where}: {name} is {value!r}, not a table.", f"Write it as [{name}].")
            changed[name] = filled(now, value, where, f"{name}.")
        else:
            changed[name] = _typed(now, value, hints[name], f"{where}: {section}{name}")
    return replace(config, **changed)


def _typed(now: Any, value: Any, hint: Any, place: str) -> Any:
    if isinstance(now, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(now, tuple) and isinstance(value, list | tuple):
        each = hint.__args__[0]
        items = tuple(float(item) if each is float and type(item) is int else item for item in value)
        value = items if all(type(item) is each for item in items) else value
    if type(value) is not type(now):
        wanted = {str: "text", float: "a number", int: "a whole number", bool: "true or false", tuple: "a list"}
        raise UsageError(f"{place} is {value!r}.", f"Give {wanted[type(now)]}, such as {_as_toml(now, hint)}.")
    return value


def _as_toml(now: Any, hint: Any) -> str:
    if isinstance(now, tuple) and not now:
        return '["one", "two"]' if hint.__args__[0] is str else "[1.0, 2.0]"
    return repr(list(now) if isinstance(now, tuple) else now)
