"""Arrange maps that come as tables, with a row for each value, or as arrays with named dimensions."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.arrays import mean_over_repeats, real_array
from brainscore_itmaps.data.images import some_of
from brainscore_itmaps.errors import DAMAGED, DataError, UsageError, nearest, one_line
from brainscore_itmaps.files import NUMBER
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import short_repr

COLUMNS = ("image", "y", "x", "site", "value")
REPEAT = "repeat"
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
DELIMITERS = ";\t,"
MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none")
"""Texts of a missing value, in lower case."""
SAME_POSITION = 1e-6
"""Positions that differ by at most this many degrees are one position, written with different rounding."""
SAVE_AS = "In Excel, save the table as CSV UTF-8; other programs may write CSV, TSV or Parquet."
CELLS_SHOWN = 3
ALIASES = {
    "image": ("image", "image_id", "stimulus_id", "stimulus", "filename"),
    "y": ("y", "y_deg"),
    "x": ("x", "x_deg"),
    "site": ("site", "neuroid_id", "neuroid", "channel", "electrode"),
    REPEAT: (REPEAT, "repetition", "trial"),
}
"""Names of the dimensions and coordinates of an array with named dimensions."""


@short_repr
@dataclass(frozen=True)
class LongMaps:
    """Maps that were given value by value.

    Attributes
    ----------
    images, sites : list of str
        Names, in the order of their first rows.
    y, x : array, shape (y,) and (x,), or None
        Positions in degrees, ascending; None for evenly spaced positions.
    maps : array, shape (image, y, x, site)
    repeats : array, shape (image, repeat, y, x, site), or None
        NaN where a repeat was not recorded.
    """

    images: list[str]
    sites: list[str]
    y: NDArray[np.float64] | None
    x: NDArray[np.float64] | None
    maps: NDArray[np.float64]
    repeats: NDArray[np.float64] | None


def read_table(
    table: Any, identifier: str, columns: Mapping[str, str] | None = None, *, missing_rows: bool = False
) -> LongMaps:
    """Read maps from a table with a row for each image, position and site (and repeat).

    Parameters
    ----------
    table : path or pandas.DataFrame
        CSV (separated by commas, semicolons or tabs; UTF-8 or UTF-16) or Parquet.
    identifier : str
        Name of the recording, for errors.
    columns : mapping, optional
        Names of the columns in the table, by ``image``, ``y``, ``x``, ``site``, ``value`` and ``repeat``, where they
        differ.
    missing_rows : bool
        Whether values without a row count as missing, instead of being an error.

    Raises
    ------
    DataError
        When the table cannot be read, a number is invalid or ambiguous, or rows are missing or repeated.
    UsageError
        When a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(image, y, x, "a", 0.5) for image in ("face", "hat") for y in (-1, 1) for x in (-2, 0, 2)]
    >>> maps = read_table(pd.DataFrame(rows, columns=["image", "y", "x", "site", "value"]), "lab.array1")
    >>> maps.maps.shape, maps.images, maps.x.tolist()
    ((2, 2, 3, 1), ['face', 'hat'], [-2.0, 0.0, 2.0])
    """
    wanted = {name: name for name in (*COLUMNS, REPEAT)} | dict(columns or {})
    if unknown := sorted(set(columns or {}) - {*COLUMNS, REPEAT}):
        raise UsageError(f"A table of maps has no {', '.join(unknown)}.", nearest(unknown[0], (*COLUMNS, REPEAT)))
    if isinstance(table, str | Path):
        found, separator = _columns_of_file(expanded(table), identifier)
        source = str(table)
    elif hasattr(table, "columns") and hasattr(table, "to_numpy"):
        found, separator, source = {str(name): table[name] for name in table.columns}, "", "the table"
    else:
        raise UsageError(
            f"{identifier}: a {type(table).__name__} is not a table.", "Give a path or a pandas DataFrame."
        )
    chosen = {}
    for part, name in wanted.items():
        matches = [other for other in found if other == name] or [
            other for other in found if other.strip().casefold() == name.casefold()
        ]
        if matches:
            chosen[part] = found[matches[0]]
        elif part != REPEAT or part in (columns or {}):
            raise UsageError(
                f"{identifier}: {source} has no column {name!r}; it has {some_of(list(found))}.",
                f"Rename it, or name the column of {part}: columns={{{part!r}: NAME}} (--column {part}=NAME).",
            )
    numbers = {part: _numbers(chosen[part], part, separator, identifier) for part in ("y", "x", "value")}
    labels = {part: _labels(chosen[part], part, identifier) for part in ("image", "site")}
    repeat = _labels(chosen[REPEAT], REPEAT, identifier) if REPEAT in chosen else None
    return arrange(
        labels["image"], numbers["y"], numbers["x"], labels["site"], numbers["value"], identifier,
        repeat=repeat, missing_rows=missing_rows,
    )  # fmt: skip


def arrange(
    image: Sequence[str],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    site: Sequence[str],
    value: NDArray[np.float64],
    identifier: str,
    *,
    repeat: Sequence[str] | None = None,
    missing_rows: bool = False,
) -> LongMaps:
    """Arrange values, each with its image, position, site and repeat, as maps.

    Parameters
    ----------
    image, site, repeat : sequences of str
        Names for each value. Repeats are numbered for each image on its own.
    y, x, value : arrays
        Degrees, and responses; NaN is a missing value.
    identifier, missing_rows
        As in :func:`read_table`.

    Raises
    ------
    DataError
        When values are missing or repeated.

    Examples
    --------
    >>> at = np.array([0.0, 0.0])
    >>> arrange(["face", "face"], at, at, ["a", "b"], np.array([1.0, 2.0]), "lab.array1").maps.tolist()
    [[[[1.0, 2.0]]]]
    """
    if len(value) == 0:
        raise DataError(f"{identifier}: the table has no rows.", "Give a row for each image, position and site.")
    if not np.isfinite([y, x]).all():
        raise DataError(f"{identifier}: some rows have no position.", "Give y and x in degrees in every row.")
    (images, at_image), (sites, at_site) = _numbered(image), _numbered(site)
    (rows, at_y), (columns, at_x) = _positions(y), _positions(x)
    at_repeat = np.zeros(len(value), np.int64)
    if repeat is not None:
        own: dict[str, dict[str, int]] = {}
        at_repeat = np.array(
            [(numbers := own.setdefault(name, {})).setdefault(label, len(numbers))
             for name, label in zip(image, repeat, strict=True)]
        )  # fmt: skip
    shape = (len(images), int(at_repeat.max()) + 1, len(rows), len(columns), len(sites))
    cells = (at_image, at_repeat, at_y, at_x, at_site)
    count = np.zeros(shape, np.int64)
    np.add.at(count, cells, 1)

    def shown(where: NDArray[np.bool_]) -> str:
        some = np.argwhere(where)
        texts = [
            f"{images[i]} at y {rows[j]:g}, x {columns[k]:g}, site {sites[s]}" for i, _, j, k, s in some[:CELLS_SHOWN]
        ]
        return "; ".join(texts) + (f"; and {len(some) - CELLS_SHOWN} more" if len(some) > CELLS_SHOWN else "")

    if (count > 1).any():
        name_repeats = "" if repeat is not None else " If these are repeats, number them in a column named repeat."
        raise DataError(
            f"{identifier}: {int((count > 1).sum())} values have several rows: {shown(count > 1)}.",
            f"Give one row for each value.{name_repeats}",
        )
    absent = count == 0
    if repeat is not None:  # a repeat may be absent for an image, or for a site on it
        absent &= ~absent.all(axis=(2, 3), keepdims=True)
    if absent.any() and not missing_rows:
        raise DataError(
            f"{identifier}: {int(absent.sum())} of {absent.size} values have no row: {shown(absent)}.",
            "Give a row for each image, position and site. To leave out the sites of these rows, set "
            "drop_nan_sites=True (--drop-nan-sites); missing values are never filled in.",
        )
    values = np.full(shape, np.nan)
    values[cells] = value
    repeats = values if repeat is not None else None
    return LongMaps(
        images, sites, rows, columns, mean_over_repeats(values) if repeat is not None else values[:, 0], repeats
    )


def read_named_array(array: Any, identifier: str, *, missing_rows: bool = False) -> LongMaps:
    """Read maps from an array with named dimensions: an xarray.DataArray, or an assembly of Brain-Score.

    Parameters
    ----------
    array : DataArray
        With the dimensions image, y, x and site, and repeat if there are repeats, in any order; or with the dimensions
        presentation and neuroid, where coordinates name the image and the position of each presentation. ``ALIASES``
        lists the names that are understood. Other dimensions must have one entry.
    identifier, missing_rows
        As in :func:`read_table`.

    Raises
    ------
    UsageError
        When a dimension or coordinate is missing or unknown.
    """
    if not all(hasattr(array, name) for name in ("dims", "coords", "shape", "transpose")):
        raise UsageError(f"{identifier}: a {type(array).__name__} is not an array with named dimensions.",
                         "Give an xarray.DataArray; of a Dataset, give one variable.")  # fmt: skip
    sizes = dict(zip(array.dims, array.shape, strict=True))
    long = "presentation" in sizes
    known: dict[str, tuple[str, ...]] = {"presentation": ("presentation",)}
    if not long:
        known = {part: ALIASES[part] for part in ("image", "y", "x")}
    known["site"] = ALIASES["site"]
    if not long:
        known[REPEAT] = ALIASES[REPEAT]
    chosen = {part: name for part, names in known.items() if (name := _first(names, sizes)) is not None}
    extra = {name: size for name, size in sizes.items() if name not in chosen.values()}
    lacking = [part for part in known if part not in chosen and part != REPEAT]
    if lacking or any(size != 1 for size in extra.values()):
        shown = ", ".join(f"{name} ({size})" for name, size in sizes.items())
        raise UsageError(
            f"{identifier}: the dimensions {shown} are not those of maps.",
            "Rename them to image, y, x, site (and repeat), in any order; average over time first.",
        )
    array = array.isel(dict.fromkeys(extra, 0))
    order = ["presentation", "site"] if long else ["image", *([REPEAT] if REPEAT in chosen else []), "y", "x", "site"]
    values = real_array(array.transpose(*(chosen[part] for part in order)).values, identifier, "values")
    sites = _coordinate(array, ALIASES["site"], chosen["site"])
    names = _text(sites) if sites is not None else [f"site-{number:02d}" for number in range(values.shape[-1])]
    if long:
        return _of_presentations(array, values, names, identifier, missing_rows)
    axes: dict[str, NDArray[np.float64]] = {}
    for part, axis in (("y", -3), ("x", -2)):
        if (given := _coordinate(array, ALIASES[part], chosen[part])) is not None:
            positions = real_array(given, identifier, f"coordinates of {part}")
            ascending = np.argsort(positions, kind="stable")
            axes[part], values = positions[ascending], values.take(ascending, axis=axis)
    images = _coordinate(array, ALIASES["image"], chosen["image"])
    repeats = values if REPEAT in chosen else None
    maps = mean_over_repeats(values) if repeats is not None else values
    return LongMaps(_text(images) if images is not None else [], names, axes.get("y"), axes.get("x"), maps, repeats)


def _of_presentations(
    array: Any, values: NDArray[np.float64], sites: list[str], identifier: str, missing_rows: bool
) -> LongMaps:
    parts = {part: _coordinate(array, ALIASES[part], "presentation") for part in ("image", "y", "x", REPEAT)}
    if lacking := [part for part in ("image", "y", "x") if parts[part] is None]:
        accepted = {part: " or ".join(ALIASES[part]) for part in lacking}
        raise UsageError(
            f"{identifier}: the presentations have no coordinate {' and no '.join(accepted.values())}.",
            "Give the name of the image, and the position in degrees, of each presentation.",
        )
    presentations, count = values.shape
    repeat = parts[REPEAT]
    return arrange(
        np.repeat(_text(parts["image"]), count).tolist(),
        np.repeat(real_array(parts["y"], identifier, "coordinates of y"), count),
        np.repeat(real_array(parts["x"], identifier, "coordinates of x"), count),
        sites * presentations,
        values.ravel(),
        identifier,
        repeat=None if repeat is None else np.repeat(_text(repeat), count).tolist(),
        missing_rows=missing_rows,
    )


def _first(names: Iterable[str], available: Iterable[str]) -> str | None:
    return next((name for name in names if name in available), None)


def _coordinate(array: Any, names: Sequence[str], dimension: str) -> Any:
    """Return the values along a dimension of the first coordinate with one of these names, or None."""
    for name in names:
        try:
            coordinate = array[name]  # also a level of an index, which array.coords may not list
        except (KeyError, ValueError):
            continue
        if coordinate.dims == (dimension,) and (name != dimension or name in array.coords):
            return coordinate.values
    return None


def _text(values: Any) -> list[str]:
    return [_label(value) for value in values]


def _label(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value).strip()


def _numbered(labels: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct labels in the order of their first occurrence, and the number of each label."""
    numbers: dict[str, int] = {}
    at = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
    return list(numbers), at


def _positions(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct positions, ascending, and the index of each value."""
    distinct, at = np.unique(values, return_inverse=True)
    group = np.concatenate([[0], np.cumsum(np.diff(distinct) > SAME_POSITION)])
    return distinct[np.unique(group, return_index=True)[1]], group[at.reshape(-1)]


def _columns_of_file(file: Path, identifier: str) -> tuple[dict[str, Any], str]:
    """Read the columns of a file, and the character that separates them; empty for Parquet."""
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{identifier}: there is no table {file}.", "Name an existing file.") from error
    except OSError as error:
        raise DataError(f"{identifier}: {file} cannot be read: {error.strerror}.", "Name a file.") from error
    if content.startswith(b"PAR1") or file.suffix.lower() in (".parquet", ".pq"):
        import pandas as pd
        from pyarrow import ArrowException

        try:
            frame = pd.read_parquet(io.BytesIO(content))
        except (*DAMAGED, ArrowException) as error:
            raise DataError(f"{identifier}: {file} cannot be read as Parquet: {one_line(error)}.", SAVE_AS) from error
        return {str(name): frame[name] for name in frame.columns}, ""
    encoding = next((code for mark, code in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{identifier}: {file} is neither UTF-8 nor UTF-16 text.", SAVE_AS) from error
    if "\0" in text:
        raise DataError(f"{identifier}: {file} is not a text table.", SAVE_AS)
    return _columns_of_text(text, str(file), identifier)


def _columns_of_text(text: str, source: str, identifier: str) -> tuple[dict[str, Any], str]:
    first, _, rest = text.partition("\n")
    if first.strip().strip('"').lower().startswith("sep="):  # Excel's own line
        first, text = rest.partition("\n")[0], rest
    separator = max(DELIMITERS, key=first.count)
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(row)]
    except csv.Error as error:
        raise DataError(f"{identifier}: {source} cannot be read: {one_line(error)}.", SAVE_AS) from error
    if not lines:
        raise DataError(f"{identifier}: {source} is empty.", "Give a row for each image, position and site.")
    header, *rows = lines
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise DataError(
                f"{identifier}: row {number} of {source} has {len(row)} cells, but there are {len(header)} columns.",
                "If numbers have decimal commas, separate the columns by semicolons or tabs.",
            )
    return dict(zip((name.strip() for name in header), zip(*rows, strict=True) if rows else [()] * len(header),
                    strict=True)), separator  # fmt: skip


def _labels(column: Any, part: str, identifier: str) -> list[str]:
    labels = [_label(value) for value in column]
    if any(label.lower() in ("", "nan", "none", "<na>") for label in labels):
        raise DataError(f"{identifier}: some rows have no {part}.", f"Name the {part} in every row.")
    return labels


def _numbers(column: Any, part: str, separator: str, identifier: str) -> NDArray[np.float64]:
    """Convert a column to numbers, whatever the locale of this machine; an empty cell is a missing value."""
    values = column if isinstance(column, tuple) else column.to_numpy()
    if not isinstance(values, tuple) and values.dtype.kind in "fiu":
        return np.asarray(values, np.float64)
    if not all(isinstance(value, str) for value in values):
        return real_array(column, identifier, f"values of {part}")
    texts = [value.strip() for value in values]
    if any("," in text for text in texts):
        invalid = [text for text in texts if "," in text and not NUMBER.fullmatch(text.replace(",", "."))]
        thousands = all(len(text.rpartition(",")[2]) == 3 for text in texts if "," in text)
        mixed = any("." in text for text in texts)
        if invalid or mixed or (thousands and separator != ";"):
            example = next(text for text in [*invalid, *texts] if "," in text)
            raise DataError(
                f"{identifier}: {example!r} in the column of {part} is ambiguous: a comma may separate decimals or "
                "thousands.", "Write decimals with a point, and thousands without a separator.",
            )  # fmt: skip
        texts = [text.replace(",", ".") for text in texts]
    missing = [text.lower() in MISSING for text in texts]
    if wrong := [
        text for text, absent in zip(texts, missing, strict=True) if not absent and not NUMBER.fullmatch(text)
    ]:
        raise DataError(f"{identifier}: {wrong[0]!r} in the column of {part} is not a number.", "Correct the table.")
    return np.array([np.nan if absent else float(text) for text, absent in zip(texts, missing, strict=True)])
