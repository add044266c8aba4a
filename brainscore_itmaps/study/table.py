"""Results of every kind as one tidy table: a row for each network, array and window."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import HUMAN_ALIGNMENT
from brainscore_itmaps.benchmark.human import CITATION as CITE_HUMAN
from brainscore_itmaps.benchmark.result import FORMAT, ArrayResult, Result
from brainscore_itmaps.errors import DataError, UsageError, one_line
from brainscore_itmaps.models.accuracy import timm_top1
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.reporting.comparisons import group_of_network

MEAN = "mean"
"""In place of an array: of all arrays of a benchmark."""
COLUMNS = (
    "network",
    "weights",
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
    "reference_compat",
    "kind",
    "result",
)
SET = ["benchmark", "measure", "asked", "reference_compat"]
"""What rows have in common that can be compared, array by array."""
OWN_WEIGHTS = ("random", "file ", "as they were given")
"""How weights begin that are not those that were published."""
KINDS = ("maps", "human", "brain-score")


@dataclass(frozen=True)
class StudyTable:
    """A table of results, and what belongs to its rows but is no number.

    Attributes
    ----------
    rows : DataFrame
        Columns as :data:`COLUMNS`. ``asked`` is the window that was asked for, empty for the benchmark's own; ``array``
        is :data:`MEAN` in the row of a benchmark of several arrays, and the benchmark itself where it has none.
        ``human_alignment`` is the score on ClickMe.alignment of the same network with the same weights.
    image_values, image_ceilings : tuple of arrays or None
        Of each row, shape (image,): what ``raw`` and ``ceiling`` are the means of, where this is known.
    images : tuple of tuples of str
        Of each row: names of the pictures.
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
    """Read results.

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
        When a file that was named is no result.
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
        if isinstance(told, Result):
            sources[name] = source
            for row, array in _rows_of(told):
                rows.append(row | {"result": name})
                values.append(array)
            citations |= dict.fromkeys(array.citation for array in told.arrays)
        else:
            rows.append(_row_of_numbers(told) | {"result": name})
            values.append(None)
            citations |= {CITE_HUMAN: None} if told["benchmark"] == HUMAN_ALIGNMENT else {}
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


def _read(
    results: Iterable[str | Path | Result], troubles: list[str]
) -> Iterator[tuple[str, Path | Result, Result | dict[str, Any]]]:
    """Name, source, and what it tells, of each result; one that is there twice, once."""
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
                told = source if isinstance(source, Result) else _told(source)
            except DataError as error:
                if named:
                    raise
                seen.add(name)
                troubles.append(str(error))
                continue
            if told is None and named:
                raise DataError(f"{source} is no result.", "Name what `brainscore score` or `brainscore sweep` wrote.")
            if told is not None:
                seen.add(name)
                yield name, source, told


def _told(file: Path) -> Result | dict[str, Any] | None:
    """What a file tells; None when it is of another kind."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {one_line(error)}.", "Score again, or leave it out.") from error
    if not isinstance(told, dict):
        return None
    if told.get("format") == FORMAT:
        return _without_maps(Result.load(file))
    numbers = all(isinstance(told.get(name), str) for name in ("model", "benchmark")) and "score" in told
    if numbers and not isinstance(told["score"], int | float):
        raise DataError(f"{file} tells of no score.", "Score again, or leave it out.")
    return told if numbers else None


def _without_maps(result: Result) -> Result:
    """A result that takes kilobytes: maps are read again when they are drawn."""
    small = {name: np.zeros(0) for name in ("predicted", "neural", "site_r", "site_ceiling")}
    arrays = tuple(ArrayResult(**(vars(array) | small)) for array in result.arrays)
    return Result(**(vars(result) | {"arrays": arrays}))


def _rows_of(result: Result) -> Iterator[tuple[dict[str, Any], ArrayResult | None]]:
    common = {
        "network": result.model,
        "weights": result.weights,
        "sha256": result.weights_sha256,
        "group": group_of_network(result.model),
        "imagenet_top1": result.imagenet_top1,
        "benchmark": result.benchmark,
        "measure": result.measure,
        "asked": result.label,
        "reference_compat": result.reference_compat,
        "kind": KINDS[0],
    }
    for array in result.arrays:
        own = {
            "array": array.recording,
            "window": f"{array.window[0]}-{array.window[1]}",
            "layer": array.layer,
            "simulated": array.simulated,
        }
        yield common | own | _numbers(array), array
    if len(result.arrays) > 1:
        own = {"array": MEAN, "window": "", "layer": result.layer, "simulated": result.simulated}
        yield common | own | _numbers(result), None


def _numbers(told: ArrayResult | Result) -> dict[str, float]:
    low, high = told.interval
    return {
        "raw": told.raw,
        "ceiling": told.ceiling,
        "score": told.score,
        "low": low,
        "high": high,
        "error": told.error,
        "alignment": told.alignment,
    }


def _row_of_numbers(told: dict[str, Any]) -> dict[str, Any]:
    """Of human alignment, or of a benchmark of Brain-Score's own."""
    human = told["benchmark"] == HUMAN_ALIGNMENT
    low, high = told.get("interval") or (None, None)
    return {
        "network": told["model"],
        "weights": told.get("weights", "pretrained"),
        "sha256": told.get("weights_sha256"),
        "group": group_of_network(told["model"]),
        "imagenet_top1": None,
        "benchmark": told["benchmark"],
        "measure": "human alignment" if human else "",
        "asked": "",
        "array": told["benchmark"],
        "window": "",
        "layer": "",
        "raw": told.get("raw"),
        "ceiling": told.get("ceiling"),
        "score": told["score"],
        "low": low,
        "high": high,
        "error": told.get("error"),
        "alignment": None,
        "simulated": "simulated" in told["benchmark"],
        "reference_compat": bool(told.get("reference_compat", False)),
        "kind": KINDS[1] if human else KINDS[2],
    }


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Maps first; what is compared stands together, the best network on top."""
    return (KINDS.index(row["kind"]), row["benchmark"], row["reference_compat"], row["asked"], row["array"] == MEAN,
            row["array"], -row["score"], row["result"])  # fmt: skip


def _add_human_alignment(rows: list[dict[str, Any]]) -> None:
    known = {(row["network"], row["sha256"]): row["score"] for row in rows if row["kind"] == KINDS[1]}
    for row in rows:
        row["human_alignment"] = known.get((row["network"], row["sha256"]), np.nan)


def _add_accuracies(rows: list[dict[str, Any]]) -> None:
    """Of results that know none: that of the same weights, or the published one of pretrained ones."""
    known = {(row["network"], row["sha256"]): row["imagenet_top1"] for row in rows if row["kind"] == KINDS[0]}
    for row in rows:
        if row["kind"] != KINDS[0]:
            own = row["weights"].startswith(OWN_WEIGHTS)
            published = None if own else _published_accuracy(row["network"])
            row["imagenet_top1"] = known.get((row["network"], row["sha256"]), published)


def _published_accuracy(network: str) -> float | None:
    if network in ZOO:
        return ZOO[network].top1
    return timm_top1(network.removeprefix("timm:"))[0] if network.startswith("timm:") else None


def _twice(rows: pd.DataFrame) -> list[str]:
    """Networks that are there with several layers: fits count each."""
    maps = rows[(rows["kind"] == KINDS[0]) & (rows["array"] != MEAN)]
    several = maps.groupby([*SET, "array", "network", "weights"], sort=False)["layer"].agg(list)
    troubles = []
    for key, layers in several.items():
        array, network = np.array(key, dtype=object)[-3:-1]
        if len(layers) > 1:
            times = f"{len(layers)} times on {array} ({', '.join(layers)})"
            troubles.append(f"{network} is there {times}: each time counts as a network.")
    return troubles


def _all(troubles: Sequence[str]) -> str:
    return "".join(f" {trouble}" for trouble in troubles)
