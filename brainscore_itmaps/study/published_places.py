"""Place results of this package among the published scores of models, where both are comparable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainscore_itmaps.benchmark.result import MEAN, ArrayResult, Result
from brainscore_itmaps.data.arcaro2020 import ARRAYS, FOLLOW_UP
from brainscore_itmaps.protocol import FOLLOWUP
from brainscore_itmaps.reporting.study_figures import name_of_row
from brainscore_itmaps.study.published import milliseconds
from brainscore_itmaps.study.table import MAPS, StudyTable
from brainscore_itmaps.text import number_text

MEASURE = "predictivity"
PREFIX = "Arcaro2020."
SAME_CEILING, CLOSE_CEILING = 0.001, 0.02
"""Largest differences of two noise ceilings of the same maps, and of maps that are still compared, with a note."""
FEW_MODELS = 3
WINDOWS = {f"{start}-{stop}": name for name, (start, stop) in FOLLOW_UP.items()}
"""Names of the published windows by their milliseconds in this package, half-open and counted from 0."""
COLUMNS = ("model", "weights", "random", "array", "window", "layer", "layers", "raw", "ceiling", "score", "rank", "of",
           "percentile", "published_raw", "published_ceiling", "imagenet_top1", "panel")  # fmt: skip
"""Columns of :attr:`Places.rows`."""
HOW = (
    "Published scores are comparable with `brainscore score --benchmark Arcaro2020.monkey1_ML-pls --protocol followup "
    "--window followup_131_170 --layers all`, and so on for the other arrays and windows."
)


@dataclass(frozen=True)
class Places:
    """Places of results among the published scores.

    Attributes
    ----------
    rows : DataFrame
        A row for each placed model, array and window: ``raw``, ``ceiling`` and ``score`` of this package; ``rank``
        among the published raw values and itself, out of ``of``; ``percentile``, the share of published models with a
        lower raw value, in percent; the published raw value of the same model, NaN if there is none.
    notes : tuple of str
        Sentences on results that are not placed, with the reason, and on what differs between those that are.
    """

    rows: pd.DataFrame
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Places of {len(self.rows)} results among published scores>"


def places(table: StudyTable, maps: pd.DataFrame) -> Places:
    """Place results among the published scores, if protocol, array, window and number of sites are the same.

    Parameters
    ----------
    table : StudyTable
    maps : DataFrame
        Of :func:`~brainscore_itmaps.data.published_tables.read_published_maps`.

    Returns
    -------
    Places
        Simulated recordings are never placed. Raw values are compared, so that noise ceilings do not matter.
    """
    rows: list[dict[str, Any]] = []
    refused: dict[tuple[str, str], list[str]] = {}
    published = maps[~maps["shifted"]]
    for row in table.rows[(table.rows["kind"] == MAPS) & (table.rows["array"] != MEAN)].to_dict("records"):
        array, window = _array(row["array"]), WINDOWS.get(row["window"], "")
        scores = published[(published["array"] == array) & (published["window"] == window)]
        reason = _reason(row, array, scores)
        if not reason:
            result = _result(table.sources[row["result"]])
            scored = next(each for each in result.arrays if each.recording == row["array"])
            if (sites := len(scored.sites)) != (expected := int(scores["sites"].iloc[0])):
                reason = f"it has {sites} sites, and the published scores are those of {expected}"
            else:
                rows.append(_placed(row, scored, scores, result.weights.kind == "pretrained"))
        if reason:
            refused.setdefault((row["array"], reason), []).append(name_of_row(row))
    placed = pd.DataFrame(rows, columns=list(COLUMNS))
    return Places(placed, (*_refusals(refused), *([] if rows else [HOW]), *_differences(placed)))


def places_sentences(placed: Places) -> list[str]:
    """Write the place of each result in a line.

    Examples
    --------
    >>> places_sentences(Places(pd.DataFrame(columns=list(COLUMNS)), ()))
    []
    """
    lines = []
    for row in placed.rows.to_dict("records"):
        known, raw = row["published_raw"], number_text(row["raw"])
        same = f"; the published raw value of this model is {number_text(known)}" if known == known else ""
        lines.append(
            f"{name_of_row(row)} on {row['panel']} ms: {row['rank']} of {row['of']} by raw value {raw}, "
            f"above {row['percentile']:.0f} % of the published models{same}"
        )
    return lines


def _array(recording: str) -> str:
    """Return the array of a recording of the published protocol, as the tables name it."""
    return recording.removesuffix(FOLLOWUP.suffix).removeprefix(PREFIX)


def _reason(row: Mapping[Any, Any], array: str, scores: pd.DataFrame) -> str:
    """Say why a row cannot be placed; empty if it can."""
    if row["simulated"]:
        return "its recording is SIMULATED"
    if array.removesuffix("-reference") not in ARRAYS or not row["array"].startswith(PREFIX):
        return "there are no published scores on this array"
    if row["protocol"] != FOLLOWUP.name:
        return f"its protocol is {row['protocol']}: use --protocol {FOLLOWUP.name}"
    if row["measure"] != MEASURE:
        return f"its measure is {row['measure']}, and the published one is {MEASURE}"
    if scores.empty:
        return f"its window is {row['window']} ms: use --window followup_131_170 or another window of the tables"
    if not np.isfinite(row["raw"]):
        return "its raw value is not given"
    if abs(row["ceiling"] - (published := float(scores["ceiling"].iloc[0]))) > CLOSE_CEILING:
        ceilings = f"{number_text(row['ceiling'])}, and the published one is {number_text(published)}"
        return f"its noise ceiling is {ceilings}: the maps are not those of the published scores"
    return "" if abs(row["raw"]) <= 1 else f"its raw value is {number_text(row['raw'])}, which is no correlation"


def _result(source: Path | Result) -> Result:
    return source if isinstance(source, Result) else Result.load(source)


def _placed(row: Mapping[Any, Any], scored: ArrayResult, scores: pd.DataFrame, pretrained: bool) -> dict[str, Any]:
    raw = float(row["raw"])
    own = scores.loc[scores["model"] == row["model"].removeprefix("timm:"), "raw"] if pretrained else ()
    others = scores["raw"].to_numpy(float)
    first = scores.iloc[0]
    return {
        **{
            name: row[name]
            for name in ("model", "weights", "random", "layer", "raw", "ceiling", "score", "imagenet_top1")
        },
        "array": first["array"],
        "window": first["window"],
        "layers": len(scored.layers),
        "rank": int((others > raw).sum()) + 1,
        "of": len(others) + 1,
        "percentile": 100 * float((others < raw).mean()),
        "published_raw": float(np.array(own)[0]) if len(own) else np.nan,
        "published_ceiling": float(first["ceiling"]),
        "panel": f"{first['array']} {milliseconds(str(first['window']))}",
    }


def _refusals(refused: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    for (array, reason), models in refused.items():
        names = list(dict.fromkeys(models))
        more = f" and {len(names) - FEW_MODELS} more" if len(names) > FEW_MODELS else ""
        verb = "is" if len(names) == 1 else "are"
        yield f"{', '.join(names[:FEW_MODELS])}{more} on {array} {verb} not placed: {reason}."


def _differences(placed: pd.DataFrame) -> Iterator[str]:
    """Say what differs between placed results and published ones: layers, and noise ceilings."""
    if placed.empty:
        return
    layers = " to ".join(dict.fromkeys(map(str, (placed["layers"].min(), placed["layers"].max()))))
    yield (
        f"Published scores are those of the best of all modules of a model on the scored images; these are the best of "
        f"{layers} layer{'s' * (layers != '1')}, and at most as high if all else is equal."
    )
    for row in placed[placed["layers"] == 1].drop_duplicates("model").to_dict("records"):
        yield f"{name_of_row(row)} was scored on one layer, {row['layer']}: use --layers all."
    differs = placed[(placed["ceiling"] - placed["published_ceiling"]).abs() > SAME_CEILING]
    for row in differs.drop_duplicates("panel").to_dict("records"):
        yield (
            f"On {row['panel']} ms, the noise ceiling here is {number_text(row['ceiling'])} and the published one "
            f"{number_text(row['published_ceiling'])}: the maps are not those of the published scores."
        )
