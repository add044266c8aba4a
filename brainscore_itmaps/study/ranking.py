"""Rank the models of a study by score, by what they add to the controls, and by score given the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from brainscore_itmaps.benchmark.catalogue import mark_of
from brainscore_itmaps.benchmark.estimate import Estimate, difference_of
from brainscore_itmaps.benchmark.result import MEAN
from brainscore_itmaps.errors import alternatives
from brainscore_itmaps.metrics.inference import control_false_discoveries, p_values_of_pairs
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.study.table import COMPARED, MAPS, StudyTable
from brainscore_itmaps.text import interval_text, number_text, short_repr

ORDERS = {
    "unique": "what it adds to the controls",
    "given_controls": "its score given the controls",
    "without_typical_map": "its score without the typical map",
}
"""Columns by which models are ranked beside their score, in words."""
SIGNIFICANT = 0.05
FEW_MODELS = 6
"""Largest number of models of which differences of scores are written."""
FEW_NAMES = 4
"""Largest number of models or pairs that a sentence names; the tables have all of them."""
PAIRS = 10_000
"""Largest number of pairs of a panel and an order in the table."""
PANEL = [*COMPARED, "array"]
RANKED = (
    *("panel", "window", "model", "weights", "random", "layer", "score", "low", "high", "best_control"),
    *("control_score", "reached", "unique", "unique_low", "unique_high", "given_controls", "without_typical_map"),
    *("rank_score", "rank_unique", "rank_given_controls", "rank_without_typical_map", "simulated", "result"),
)
ORDERED = ("order", "models", "tau", "pairs", "changed", "distinguishable")
CHANGED = ("order", "first", "second", "score_difference", "score_p_value", "difference", "p_value", "q_value")


@short_repr
@dataclass(frozen=True)
class Ranking:
    """Ranks of the models on each array in each window, and the pairs of models whose order changes.

    Attributes
    ----------
    rows : DataFrame
        A row for each result with controls: its array and window in words (``panel``), its numbers and ranks, 1 for the
        best, and whether its best control reaches its raw value (``reached``). A result without a score, or without
        what the model adds, has no ranks.
    orders : DataFrame
        A row for each array and each of :data:`ORDERS`: number of models, Kendall's tau between their order by score
        and this order, number of pairs of models, of those that change places, and of those that do so
        distinguishably.
    changes : DataFrame
        A row for each pair of models that changes places; ``first`` is the better one by score. Differences are first
        minus second. ``q_value`` is the larger of both p-values, adjusted for the false discovery rate over all pairs
        of the array; a pair is distinguishable below :data:`SIGNIFICANT`. NaN where scores have no interval.
    sentences : dict of str to list of str
        For each panel, what changes, and which models' scores are reached by a control.
    notes : tuple of str
        Sentences about results that are not ranked.
    """

    rows: pd.DataFrame
    orders: pd.DataFrame
    changes: pd.DataFrame
    sentences: dict[str, list[str]]
    notes: tuple[str, ...]


def ranking(table: StudyTable) -> Ranking:
    """Rank models by score and by :data:`ORDERS`, and find the pairs of models whose order changes.

    Several results of a model on an array are ranked separately. Models with random weights are ranked, too.

    Parameters
    ----------
    table : StudyTable

    Returns
    -------
    Ranking

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.result import Reading, Result
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.models.spec import Weights
    >>> from brainscore_itmaps.study.table import tidy_table
    >>> results = [
    ...     Result(request=ScoreRequest(), reading=Reading(model=name, weights=Weights()), benchmark="maps",
    ...            estimate=Estimate(raw, 1.0, raw), controls={"contrast": Estimate(0.4, 1.0, 0.4)},
    ...            added={"unique": Estimate(score=unique)})
    ...     for name, raw, unique in (("alexnet", 0.5, 0.0), ("vgg16", 0.3, 0.1))]
    >>> print(*ranking(tidy_table(results)).sentences["maps"], sep="\\n")  # doctest: +NORMALIZE_WHITESPACE
    On maps, the order changes: alexnet is 1st by score and 2nd by what it adds to the controls; vgg16 is 2nd by score
      and 1st by what it adds to the controls. 1 of 1 pairs of models changes places (Kendall's tau -1.00), within the
      uncertainty.
    On maps, the best control reaches the score of 1 of 2 models: contrast reaches vgg16.
    """

    rows: list[pd.DataFrame] = []
    orders: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    sentences: dict[str, list[str]] = {}
    notes: list[str] = []
    unranked: list[str] = []
    maps = table.rows[table.rows["kind"] == MAPS]
    panels = list(maps.groupby(PANEL, sort=False))
    for key, panel_rows in panels:
        labels, panel = dict(zip(PANEL, map(str, key), strict=True)), _name_of_panel(key)
        names, written = _names(panel_rows), sentences.setdefault(panel, [])
        ranked = panel_rows[panel_rows["score"].notna() & panel_rows["unique"].notna()]
        left_out = [names[index] for index in panel_rows.index.difference(ranked.index, sort=False)]
        if ranked.empty and labels["measure"] != "attribution":  # which is compared with controls alone
            unranked.append(panel)
        elif left_out and len(ranked):
            notes.append(f"On {panel}, without ranks because a score or what the model adds is absent: "
                         f"{_listed(left_out)}.")  # fmt: skip
        same: list[str] = []
        for order, words in ORDERS.items():
            compared = ranked[ranked[order].notna()]
            if absent := [names[index] for index in ranked.index.difference(compared.index, sort=False)]:
                notes.append(f"On {panel}, without a rank by {words}: {_listed(absent)}.")
            if len(compared) < 2:
                continue
            found = _changes(table, compared, order)
            if len(found.first) > PAIRS:
                notes.append(f"On {panel}, {len(found.first)} pairs of models change places by {words}; the "
                             f"table has the {PAIRS} most distinguishable ones.")  # fmt: skip
            changes += [labels | {"order": order} | change for change in _listed_changes(found, compared, order, names)]
            orders.append(labels | _order_row(compared, order, found))
            if len(found.first):
                written.append(_sentence(panel, compared, order, found, float(orders[-1]["tau"]), names))
            else:
                same.append(f"by {words}")
        if same:
            written.append(f"On {panel}, no order changes: none of {len(ranked)} models overtakes another "
                           f"{alternatives(same)}.")  # fmt: skip
        if differences := _differences(table, ranked, names):
            written.append(f"On {panel}, paired differences of scores, next to each other by score, not corrected for "
                           f"their number: {'; '.join(differences)}.")  # fmt: skip
        controlled = panel_rows[panel_rows["best_control"] != ""]
        if len(controlled):
            rows.append(_ranked_rows(controlled.assign(panel=panel), ranked))
            written.append(_reached_sentence(panel, rows[-1], names))
    if unranked:
        where = "; ".join(unranked) if len(unranked) <= FEW_NAMES else f"{len(unranked)} of {len(panels)} arrays"
        notes.append(f"Models are not ranked on {where}: no result has both a score and what the model adds to the "
                     "controls. Without a noise ceiling there is no score; results of earlier versions have no "
                     "controls.")  # fmt: skip
    return Ranking(
        pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=[*PANEL, *RANKED]),
        pd.DataFrame(orders, columns=[*PANEL, *ORDERED]),
        pd.DataFrame(changes, columns=[*PANEL, *CHANGED]),
        sentences,
        tuple(notes),
    )


def _name_of_panel(key: Any) -> str:
    benchmark, measure, asked, protocol, array = map(str, key)
    where = "mean over arrays" if array == MEAN else array
    title = protocol_named(protocol).title
    parts = (benchmark + mark_of(measure), where if where != benchmark else "", asked, title)
    return ", ".join(filter(None, parts))


def _names(rows: pd.DataFrame) -> dict[Any, str]:
    """Name the model of each row, with its weights, layer and result as far as these distinguish it from others."""
    weights = np.where(rows["random"], " (" + rows["weights"] + ")", "")
    names = rows["model"] + weights
    for column in ("layer", "result"):
        names = names.where(~names.duplicated(keep=False), names + ", " + rows[column])
    return {index: str(name) for index, name in names.items()}


def _ranks(values: "pd.Series[float]") -> "pd.Series[Any]":
    return values.rank(method="min", ascending=False).astype("Int64")


def _ranked_rows(controlled: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    ranks = {f"rank_{name}": _ranks(ranked[name]) for name in ("score", *ORDERS)}
    reached = controlled["control_raw"] >= controlled["raw"]
    return controlled.assign(reached=reached, **ranks)[[*PANEL, *RANKED]]


class _Changes(NamedTuple):
    """Pairs of rows that change places: the first is better by score alone."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    score_p_value: NDArray[np.float64]
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]

    @property
    def distinguishable(self) -> NDArray[np.int64]:
        """Return the pairs whose change is distinguishable from chance."""
        return np.flatnonzero(self.q_value < SIGNIFICANT)


def _changes(table: StudyTable, rows: pd.DataFrame, order: str) -> _Changes:
    """Compare the two orders of each pair of models, and test the pairs that change places."""
    scores, values = (rows[name].to_numpy(dtype=float) for name in ("score", order))
    above = (scores[:, None] > scores) & (values[:, None] < values)  # the first model is better by score alone
    first, second = (indices.astype(np.int32) for indices in np.nonzero(above))
    p_values = [_p_values(table, rows.index.to_numpy(), first, second, name) for name in ("score", order)]
    tested = np.maximum(*p_values)  # NaN where one is
    number = np.count_nonzero(~np.isnan(tested))
    tests = number + len(rows) * (len(rows) - 1) // 2 - len(first)  # pairs that keep their order count, with p = 1
    q_values = np.minimum(control_false_discoveries(tested) * (tests / max(number, 1)), 1)
    return _Changes(first, second, p_values[0], p_values[1], q_values)


def _listed_changes(
    found: _Changes, rows: pd.DataFrame, order_of: str, names: Mapping[Any, str]
) -> list[dict[str, Any]]:
    """Return the rows of the table; of very many pairs, those that are most distinguishable."""
    order = np.argsort(found.q_value, kind="stable")[:PAIRS] if len(found.first) > PAIRS else range(len(found.first))
    of_row = [names[index] for index in rows.index]
    scores, values = (rows[name].to_numpy(dtype=float) for name in ("score", order_of))
    return [
        {
            "first": of_row[one],
            "second": of_row[other],
            "score_difference": scores[one] - scores[other],
            "score_p_value": found.score_p_value[pair],
            "difference": values[one] - values[other],
            "p_value": found.p_value[pair],
            "q_value": found.q_value[pair],
        }
        for pair in order
        for one, other in [(found.first[pair], found.second[pair])]
    ]


def _p_values(
    table: StudyTable, indices: NDArray[Any], first: NDArray[np.int32], second: NDArray[np.int32], name: str
) -> NDArray[np.float64]:
    """Compute the p-value of the difference between the models of each pair; NaN where they cannot be compared."""
    estimates = [table.added[index].get(name, Estimate()) for index in indices]
    alike: dict[Any, list[int]] = {}
    for row, (index, estimate) in enumerate(zip(indices, estimates, strict=True)):
        if estimate.replicates is not None:
            condition = (table.images[index], estimate.interval_kind, estimate.groups, estimate.changes is None)
            alike.setdefault(condition, []).append(row)
    p_values = np.full(len(first), np.nan)
    for (_, _, groups, without_changes), members in alike.items():
        place = np.full(len(estimates), -1)
        place[members] = np.arange(len(members))
        scores = np.array([estimates[row].score for row in members])
        replicates = np.stack([estimates[row].replicates for row in members])
        changes = None if without_changes else np.stack([estimates[row].changes for row in members])
        pairs = np.flatnonzero((place[first] >= 0) & (place[second] >= 0))
        p_values[pairs] = p_values_of_pairs(
            scores, replicates, groups, changes, place[first[pairs]], place[second[pairs]]
        )
    return p_values


def _order_row(rows: pd.DataFrame, order: str, found: _Changes) -> dict[str, Any]:
    number = len(rows)
    return {
        "order": order,
        "models": number,
        "tau": float(kendalltau(rows["score"], rows[order]).statistic),
        "pairs": number * (number - 1) // 2,
        "changed": len(found.first),
        "distinguishable": len(found.distinguishable),
    }


def _sentence(
    panel: str,
    rows: pd.DataFrame,
    order: str,
    found: _Changes,
    tau: float,
    names: Mapping[Any, str],
) -> str:
    """Write which models change their rank, and how many pairs change places."""
    before, after = (_ranks(rows[name]) for name in ("score", order))
    moved = sorted(rows.index[before != after], key=lambda index: (-abs(before[index] - after[index]), before[index]))
    named = [f"{names[index]} is {_ordinal(before[index])} by score and {_ordinal(after[index])} by {ORDERS[order]}"
             for index in moved[:FEW_NAMES]]  # fmt: skip
    more = f"; {len(moved) - FEW_NAMES} more models move" if len(moved) > FEW_NAMES else ""
    pairs = len(rows) * (len(rows) - 1) // 2
    extent, number = "within the uncertainty", len(found.distinguishable)
    if number:
        certain = [f"{names[rows.index[found.first[pair]]]} and {names[rows.index[found.second[pair]]]}"
                   for pair in found.distinguishable[:FEW_NAMES]]  # fmt: skip
        start, rest = (f"{number} of them ", f"; the others do so {extent}") if number < len(found.first) else ("", "")
        some = ", ".join([*certain, *([f"{number - FEW_NAMES} more"] if number > FEW_NAMES else [])])
        extent = f"{start}distinguishably: {some}{rest}"
    return (
        f"On {panel}, the order changes: {'; '.join(named)}{more}. {len(found.first)} of {pairs} pairs of models "
        f"{'changes' if len(found.first) == 1 else 'change'} places (Kendall's tau {tau:.2f}), {extent}."
    )


def _differences(table: StudyTable, rows: pd.DataFrame, names: Mapping[Any, str]) -> list[str]:
    """Write the difference between each model and the next one by score, if there are few models."""
    if len(rows) > FEW_MODELS:
        return []
    best_first = rows.sort_values("score", ascending=False, kind="stable").index
    written = []
    for better, worse in pairwise(best_first):
        first, second = table.estimates[better], table.estimates[worse]
        if (
            first is None
            or second is None
            or (first.groups, first.interval_kind) != (second.groups, second.interval_kind)
        ):
            continue
        if (difference := difference_of(first, second)) is not None:
            low, high = difference.interval[:2]
            written.append(f"{names[better]} minus {names[worse]} {number_text(difference.difference, sign='+')} "
                           f"({interval_text(low, high, '+')}), p = {difference.p_value:.2g}")  # fmt: skip
    return written


def _reached_sentence(panel: str, rows: pd.DataFrame, names: Mapping[Any, str]) -> str:
    """Write which models' best control reaches their score."""
    reached = rows[rows["reached"]]
    models = f"{len(rows)} model{'s' * (len(rows) != 1)}"
    if reached.empty:
        return (f"On {panel}, no control reaches the score of any of {models}. Each result states whether a paired "
                "test distinguishes its model from the best control.")  # fmt: skip
    listed = [
        f"{control} reaches {_listed([names[index] for index in indices])}"
        for control, indices in reached.groupby("best_control", sort=False).groups.items()
    ]
    return f"On {panel}, the best control reaches the score of {len(reached)} of {models}: {'; '.join(listed)}."


def _ordinal(number: int) -> str:
    """Write a rank.

    Examples
    --------
    >>> [_ordinal(number) for number in (1, 2, 3, 4, 11, 22, 113)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd', '113th']
    """
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _listed(names: Sequence[str], most: int = FEW_NAMES) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])
