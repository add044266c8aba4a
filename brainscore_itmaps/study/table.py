"""Results of every kind as one tidy table: a row for each model, array and window."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.human import CITATION as CITE_HUMAN
from brainscore_itmaps.benchmark.result import FORMAT, MEAN, ArrayResult, Result
from brainscore_itmaps.errors import DataError, UsageError, one_line
from brainscore_itmaps.models.timm_models import group_of_model, timm_top1
from brainscore_itmaps.models.zoo import ZOO

COLUMNS = (
    "model",
    "weights",
    "random",
    "group",
    "imagenet_top1",
    "benchmark",
    "measure",
    "asked",
    "array",
    "window",
    "layer",
    "raw",
    "ceiling",
    "score",
    "low",
    "high",
    "error",
    "alignment",
    "human_alignment",
    "simulated",
    "protocol",
    "kind",
    "result",
)
SET = ["benchmark", "measure", "asked", "protocol"]
"""What rows have in common that can be compared, array by array."""
MAPS, HUMAN = "maps", "human"
KINDS = (MAPS, HUMAN, "external")


@dataclass(frozen=True)
class StudyTable:
    """A table of results, with the data of its rows that are not numbers.

    Attributes
    ----------
    rows : DataFrame
        Columns as :data:`COLUMNS`. ``asked`` is the window that was asked for, empty for the benchmark's own; ``array``
        is :data:`MEAN` in the row of a benchmark of several arrays, and the benchmark itself where it has none.
        ``human_alignment`` is the score on ClickMe.alignment of the same model with the same weights.
    image_values, image_ceilings : tuple of arrays or None
        Of each row, shape (image,): what ``raw`` and ``ceiling`` are the means of, where this is known.
    images : tuple of tuples of str
        Of each row: names of the images.
    sources : dict
        Where each result of ours is, by its name in ``result``.
    troubles : tuple of str
        What could not be read, or should not be compared.
    citations : tuple of str
    """

    rows: pd.DataFrame
    image_values: tuple[NDArray[np.float64] | None, ...]
    image_ceilings: tuple[NDArray[np.float64] | None, ...]
    images: tuple[tuple[str, ...], ...]
    sources: dict[str, Path | Result]
    troubles: tuple[str, ...]
    citations: tuple[str, ...]


def tidy_table(results: Iterable[str | Path | Result]) -> StudyTable:
    """Read results into one tidy table.

    Parameters
    ----------
    results : iterable of str, Path or Result
        Results; their JSON files; folders, which are searched with all that is in them. A file in a folder that is no
        result is passed over; one that is damaged is told.

    Raises
    ------
    UsageError
        When there is nothing to read.
    DataError
        When a file that was named is not a result.
    """
    troubles: list[str] = []
    read = list(_read(results, troubles))
    if not read:
        raise UsageError("There are no results to compare.", "Name results, or the folder of a study." + _all(troubles))
    sources: dict[str, Path | Result] = {}
    rows: list[dict[str, Any]] = []
    values: list[ArrayResult | None] = []
    citations: dict[str, None] = {}
    for name, source, told in read:
        if told.arrays:
            sources[name] = source
        for row, array in _rows_of(told):
            rows.append(row | {"result": name})
            values.append(array)
        citations |= dict.fromkeys(told.citations or ([CITE_HUMAN] if told.kind == "human" else []))
    _add_human_alignment(rows)
    _add_accuracies(rows)
    order = sorted(range(len(rows)), key=lambda place: _place(rows[place]))
    rows, values = [rows[place] for place in order], [values[place] for place in order]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    troubles += _twice(frame)
    return StudyTable(
        frame.astype(dict.fromkeys(("imagenet_top1", "low", "high", "error", "alignment", "ceiling", "raw"), float)),
        tuple(None if array is None else array.image_value for array in values),
        tuple(None if array is None else array.image_ceiling for array in values),
        tuple(() if array is None else array.images for array in values),
        sources,
        tuple(troubles),
        tuple(citations),
    )


def _read(results: Iterable[str | Path | Result], troubles: list[str]) -> Iterator[tuple[str, Path | Result, Result]]:
    """Read name, source and content of each result; drop duplicates."""
    seen: set[str] = set()
    for given in results:
        if isinstance(given, Result):
            found: Sequence[Path | Result] = [given]
        else:
            path = Path(given).expanduser()
            found = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        named = found == [given] or (isinstance(given, str) and not Path(given).expanduser().is_dir())
        for source in found:
            name = source.stem if isinstance(source, Path) else source.file_stem
            if name in seen:
                continue
            try:
                told = source if isinstance(source, Result) else _result(source)
            except DataError as error:
                if named:
                    raise
                seen.add(name)
                troubles.append(str(error))
                continue
            if told is None and named:
                raise DataError(
                    f"{source} is not a result.", "Name what `brainscore score` or `brainscore sweep` wrote."
                )
            if told is not None:
                seen.add(name)
                yield name, source, told


def _result(file: Path) -> Result | None:
    """Read a file without its maps; return None if it is not a result."""
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {one_line(error)}.", "Score again, or leave it out.") from error
    if not isinstance(plain, dict) or plain.get("format", FORMAT) != FORMAT:
        return None
    if "format" not in plain and not {"model", "benchmark", "score"} <= plain.keys():
        return None
    result = Result.load(file)
    if np.isnan(result.score):
        raise DataError(f"{file} tells of no score.", "Score again, or leave it out.")
    return _without_maps(result)


def _without_maps(result: Result) -> Result:
    """Reduce a result to kilobytes: maps are read again when they are drawn."""
    small: dict[str, Any] = {name: np.zeros(0) for name in ("predicted", "neural", "site_r", "site_ceiling")}
    return replace(result, arrays=tuple(replace(array, **small) for array in result.arrays))


def _rows_of(result: Result) -> Iterator[tuple[dict[str, Any], ArrayResult | None]]:
    """Return a row for each array, and one for several arrays together or a benchmark without arrays."""
    for row, array in zip_longest(result.rows(), result.arrays):
        yield row | {"model": row["model"], "group": group_of_model(row["model"])}, array


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sort maps first, then by comparison, the best model on top."""
    kind = [*KINDS, row["kind"]].index(row["kind"])  # an unknown one last
    return (kind, row["benchmark"], row["protocol"], row["asked"], row["array"] == MEAN, row["array"],
            -row["score"], row["result"])  # fmt: skip


def _add_human_alignment(rows: list[dict[str, Any]]) -> None:
    known = {(row["model"], row["sha256"]): row["score"] for row in rows if row["kind"] == HUMAN}
    for row in rows:
        row["human_alignment"] = known.get((row["model"], row["sha256"]), np.nan)


def _add_accuracies(rows: list[dict[str, Any]]) -> None:
    """Add missing accuracies: those of the same weights, or published ones for pretrained models."""
    known = {(row["model"], row["sha256"]): row["imagenet_top1"] for row in rows if row["kind"] == MAPS}
    for row in rows:
        if row["kind"] != MAPS:
            published = _published_accuracy(row["model"]) if row["published"] else None
            row["imagenet_top1"] = known.get((row["model"], row["sha256"]), published)


def _published_accuracy(model: str) -> float | None:
    if model in ZOO:
        return ZOO[model].top1
    return timm_top1(model.removeprefix("timm:"))[0] if model.startswith("timm:") else None


def _twice(rows: pd.DataFrame) -> list[str]:
    """List the models with several layers in the table: fits count each."""
    maps = rows[rows["array"] != MEAN]
    several = maps.groupby([*SET, "array", "model", "weights"], sort=False)["layer"].agg(list)
    troubles = []
    for key, layers in several.items():
        array, model = np.array(key, dtype=object)[-3:-1]
        if len(layers) > 1:
            times = f"{len(layers)} times on {array} ({', '.join(layers)})"
            troubles.append(f"{model} is there {times}: each time counts as a model.")
    return troubles


def _all(troubles: Sequence[str]) -> str:
    return "".join(f" {trouble}" for trouble in troubles)
