"""Read TOML files into frozen dataclasses, with errors that name the file and the key."""

import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from brainscore_itmaps.errors import UsageError, nearest, one_line


def read_toml(file: Path) -> dict[str, Any]:
    r"""Read a TOML file.

    Raises
    ------
    UsageError
        When the file is missing or is not a TOML file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "study.toml")
    ...     _ = file.write_text('seed = 3\n[model]\nname = "resnet50"\n')
    ...     read_toml(file)
    {'seed': 3, 'model': {'name': 'resnet50'}}
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.", "Name an existing TOML file.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not a TOML file: {one_line(error)}.", "Correct the file.") from error


def rename_former_keys(table: Mapping[str, Any], renamed: Mapping[str, str], where: str) -> dict[str, Any]:
    """Replace former names of keys with their current names, and warn about each.

    Parameters
    ----------
    table : mapping
        Keys and values of the file.
    renamed : mapping of str to str
        Former name to current name.
    where : str
        Name of the file, for messages.

    Returns
    -------
    dict
        The table with current names; ``table`` itself is unchanged.

    Raises
    ------
    UsageError
        When the table contains both names of a key.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     rename_former_keys({"network": "resnet50", "seed": 3}, {"network": "model"}, "study.toml")
    {'seed': 3, 'model': 'resnet50'}
    >>> str(caught[0].message)
    'study.toml: network is now called model; use the new name.'
    """
    current = dict(table)
    for former, name in renamed.items():
        if former in current:
            if name in current:
                raise UsageError(
                    f"{where}: {former} is the former name of {name}, and the file contains both.", f"Remove {former}."
                )
            warnings.warn(f"{where}: {former} is now called {name}; use the new name.", FutureWarning, stacklevel=3)
            current[name] = current.pop(former)
    return current


def fill_config(config: Any, values: Mapping[str, Any], where: str, section: str = "") -> Any:
    """Replace fields of a configuration with the values of a mapping, and check their names and types.

    Parameters
    ----------
    config : frozen dataclass
        Default values. Fields may be str, int, float, bool, a tuple of one of these, or another configuration, which is
        a table in the file.
    values : mapping
        Values in the file, by key.
    where : str
        Name of the file, for messages.
    section : str
        Name of the table in the file, followed by a dot; empty at the top level.

    Returns
    -------
    configuration of the same class

    Raises
    ------
    UsageError
        When a key is unknown, or a value has another type than its default.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     rate: float = 0.1
    ...     layers: tuple[str, ...] = ()
    >>> fill_config(Config(), {"rate": 1, "layers": ["layer3", "layer4"]}, "study.toml")
    Config(rate=1.0, layers=('layer3', 'layer4'))
    """
    hints = get_type_hints(type(config))
    defaults = {field.name: getattr(config, field.name) for field in fields(config)}
    changes = {}
    for name, value in values.items():
        if name not in defaults:
            raise UsageError(f"{where}: unknown key {section}{name}.", nearest(name, defaults))
        default = defaults[name]
        if hasattr(default, "__dataclass_fields__"):
            if not isinstance(value, Mapping):
                raise UsageError(f"{where}: {name} is {value!r}, not a table.", f"Write it as [{name}].")
            changes[name] = fill_config(default, value, where, f"{name}.")
        else:
            changes[name] = _convert(value, default, hints[name], f"{where}: {section}{name}")
    return replace(config, **changes)


def _convert(value: Any, default: Any, hint: Any, key: str) -> Any:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        item_type = hint.__args__[0]
        items = tuple(float(item) if item_type is float and type(item) is int else item for item in value)
        value = items if all(type(item) is item_type for item in items) else value
    if type(value) is not type(default):
        expected = {str: "text", float: "a number", int: "a whole number", bool: "true or false", tuple: "a list"}
        raise UsageError(f"{key} is {value!r}.", f"Give {expected[type(default)]}, such as {_as_toml(default, hint)}.")
    return value


def _as_toml(default: Any, hint: Any) -> str:
    if isinstance(default, tuple) and not default:
        return '["one", "two"]' if hint.__args__[0] is str else "[1.0, 2.0]"
    return repr(list(default) if isinstance(default, tuple) else default)
