"""Fits and tests of a study: predictivity against accuracy, and harmonized models against their baselines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.result import MEAN
from brainscore_itmaps.metrics.inference import Interval, compare_replicates, control_false_discoveries
from brainscore_itmaps.metrics.tradeoff import (
    FEWEST,
    ChangePoint,
    Envelope,
    RankCorrelation,
    change_point,
    envelope,
    most_accurate,
    rank_correlation,
    scores_over_images,
)
from brainscore_itmaps.models.zoo import baseline_of
from brainscore_itmaps.study.table import COMPARED, MAPS, StudyTable
from brainscore_itmaps.text import short_repr

HARMONIZED = "harmonized"
ALL, BEST = "all", "most accurate half"
DRAWS = 500
SEED = 0
FEW_CASES = 4
"""Largest number of cases without a fit that a note lists by name."""
MEANINGS = {
    "rank correlation": "Spearman's rho of ImageNet top-1 and score: of the cloud of models, not of its upper edge",
    "change point": "ImageNet top-1 at which two straight lines through the cloud meet",
    "slope before it": "score for each point of top-1 below the change point",
    "slope after it": "score for each point of top-1 above the change point",
    "peak of the edge": "ImageNet top-1 at the maximum of the upper edge, a parabola fitted to the 90th percentile of "
    "the models; outside their range if the edge only rises or falls",
    "slope of the edge's end": "slope of that edge at the most accurate model: negative where the best predictivity "
    "falls; the decline that was published is one of this edge, not of the cloud",
}
FITTED = ("array", "which", "models", "statistic", "estimate", "low", "high", "p_value", "over", "meaning")
PAIRED = ("model", "baseline", "array", "difference", "low", "high", "p_value", "q_value", "images")
TWINS = "mean of {} twins"


@dataclass(frozen=True)
class Fit:
    """Curves and correlations fitted to the models on one array.

    Attributes
    ----------
    key : tuple
        Benchmark, measure, requested window and protocol (``COMPARED``).
    array : str
    which : "all" or "most accurate half"
        Of the models that are not harmonized.
    models : int
    over : str
        What was drawn again for the intervals.
    rank : RankCorrelation
    point : ChangePoint
    edge : Envelope
    accuracies : (float, float)
        From the least to the most accurate.
    """

    key: tuple[object, ...]
    array: str
    which: str
    models: int
    over: str
    rank: RankCorrelation
    point: ChangePoint
    edge: Envelope
    accuracies: tuple[float, float]


@short_repr
@dataclass(frozen=True)
class Findings:
    """Fits and tests of a study.

    Attributes
    ----------
    fits : tuple of Fit
    pairs : DataFrame
        A row for each harmonized model, its baseline and an array: the difference of their scores, its interval over
        images, its p-value (a jackknife over images with refits), and q, the p-value adjusted for the false discovery
        rate over all these rows. Rows named "mean of n twins" test the mean over pairs; q does not include them.
    notes : tuple of str
        Sentences about what could not be fitted or tested, with the reason.
    """

    fits: tuple[Fit, ...]
    pairs: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    def fits_table(self) -> pd.DataFrame:
        """Return a table with a row for each fitted number, its interval and its meaning.

        Examples
        --------
        >>> table = Findings((), pd.DataFrame()).fits_table()
        >>> len(table), list(table.columns[:3])
        (0, ['benchmark', 'measure', 'asked'])
        """
        rows = [dict(zip(COMPARED, fit.key, strict=True)) | row for fit in self.fits for row in _rows(fit)]
        return pd.DataFrame(rows, columns=[*COMPARED, *FITTED])


def findings(table: StudyTable, draws: int = DRAWS) -> Findings:
    """Fit score against accuracy, and test harmonized models against their baselines.

    Fits exclude the harmonized models, so that these can be compared with the upper edge of the other models.

    Parameters
    ----------
    table : StudyTable
    draws : int
        Number of bootstrap draws of each fit.
    """
    fits: list[Fit] = []
    notes: list[str] = []
    unfitted: list[str] = []
    for (*key, array), rows in _by_array(table.rows):
        candidates = rows[rows["imagenet_top1"].notna() & np.isfinite(rows["score"]) & (rows["group"] != HARMONIZED)]
        accuracy = candidates["imagenet_top1"].to_numpy(dtype=float)
        for which, indices in (
            (ALL, np.arange(len(candidates))),
            (BEST, most_accurate(accuracy) if len(candidates) else []),
        ):
            chosen = candidates.iloc[indices]
            if chosen["imagenet_top1"].nunique() < FEWEST:
                unfitted.append(f"{array}{_window_suffix(key)}, {which}")
            else:
                fits.append(_fit(table, tuple(key), str(array), which, chosen, draws))
    if unfitted:
        cases = "; ".join(unfitted) if len(unfitted) <= FEW_CASES else f"{len(unfitted)} of {len(unfitted) + len(fits)}"
        notes.append(f"No fit of {cases}: a fit needs {FEWEST} different accuracies of models that are not harmonized.")
    pairs = _pairs(table, notes)
    return Findings(tuple(fits), pairs, tuple(notes))


def _by_array(rows: pd.DataFrame) -> Iterator[tuple[tuple[object, ...], pd.DataFrame]]:
    yield from rows[rows["array"] != MEAN].groupby([*COMPARED, "array"], sort=False)


def _fit(table: StudyTable, key: tuple[object, ...], array: str, which: str, chosen: pd.DataFrame, draws: int) -> Fit:
    accuracy, scores = (chosen[name].to_numpy(dtype=float) for name in ("imagenet_top1", "score"))
    rng = np.random.default_rng(SEED)
    drawn = _scores_over_images(table, chosen, accuracy, rng, draws)
    return Fit(
        key,
        array,
        which,
        len(chosen),
        "models" if drawn is None else "images and models",
        rank_correlation(accuracy, scores, rng, draws, drawn),
        change_point(accuracy, scores, rng, draws, drawn),
        envelope(accuracy, scores, rng, resamples=draws, drawn=drawn),
        (float(accuracy.min()), float(accuracy.max())),
    )


def _scores_over_images(
    table: StudyTable, chosen: pd.DataFrame, accuracy: NDArray[np.float64], rng: np.random.Generator, draws: int
) -> NDArray[np.float64] | None:
    """Draw scores on other images; return None if models lack scores without groups of images, or saw other images."""
    estimates = [_scored(table, index) for index in chosen.index]
    replicates = [estimate.replicates for estimate in estimates if estimate is not None]
    conditions = {(table.images[index], estimate and (estimate.interval_kind, estimate.groups))
                  for index, estimate in zip(chosen.index, estimates, strict=True)}  # fmt: skip
    known = [each for each in replicates if each is not None]
    if len(known) < len(chosen) or len(conditions) > 1 or estimates[0] is None:
        return None
    scores = chosen["score"].to_numpy(dtype=float)
    return scores_over_images(scores, np.stack(known), estimates[0].groups, accuracy, rng, draws)


def _rows(fit: Fit) -> Iterator[dict[str, object]]:
    numbers: dict[str, tuple[float, Interval, float]] = {
        "rank correlation": (fit.rank.rho, fit.rank.interval, fit.rank.p_value),
        "change point": (fit.point.at, fit.point.at_interval, np.nan),
        "slope before it": (fit.point.before, fit.point.before_interval, np.nan),
        "slope after it": (fit.point.after, fit.point.after_interval, np.nan),
        "peak of the edge": (fit.edge.peak, fit.edge.peak_interval, np.nan),
        "slope of the edge's end": (fit.edge.end_slope, fit.edge.end_slope_interval, np.nan),
    }
    for name, (estimate, interval, p_value) in numbers.items():
        yield {
            "array": fit.array,
            "which": fit.which,
            "models": fit.models,
            "statistic": name,
            "estimate": estimate,
            "low": interval.low,
            "high": interval.high,
            "p_value": p_value,
            "over": fit.over,
            "meaning": MEANINGS[name],
        }


def _pairs(table: StudyTable, notes: list[str]) -> pd.DataFrame:
    singles: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    trained = ~table.rows["random"]
    for (*key, array), rows in _by_array(table.rows[(table.rows["kind"] == MAPS) & trained]):
        index_of = {model: index for index, model in zip(rows.index, rows["model"], strict=True)}
        tested: list[_Difference] = []
        for model, index in index_of.items():
            baseline = baseline_of(model)
            if baseline is None or baseline not in index_of:
                continue
            pair = _difference(table, index, index_of[baseline])
            if isinstance(pair, str):
                notes.append(f"{model} and {baseline} are not compared on {array}, because {pair}.")
                continue
            tested.append(pair)
            singles.append(_test_row(key, model, baseline, array, pair))
        if len(tested) > 1 and len({(pair.groups, pair.images) for pair in tested}) == 1:
            mean = _Difference(
                float(np.mean([pair.value for pair in tested])),
                np.mean([pair.replicates for pair in tested], axis=0),
                _mean_changes([pair.changes for pair in tested]),
                tested[0].groups,
                tested[0].images,
            )
            means.append(_test_row(key, TWINS.format(len(tested)), "", array, mean))
    q_values = control_false_discoveries([row["p_value"] for row in singles])
    rows_with_q = [row | {"q_value": q} for row, q in zip(singles, q_values, strict=True)] + means
    return pd.DataFrame(rows_with_q, columns=[*COMPARED, *PAIRED])


def _scored(table: StudyTable, index: int) -> Estimate | None:
    """Return the estimate of a row; None if its score, or a score without a group of images, is undefined."""
    estimate = table.estimates[index]
    if estimate is None or estimate.replicates is None:
        return None
    return estimate if np.isfinite([estimate.score, *estimate.replicates]).all() else None


class _Difference(NamedTuple):
    """Difference between two scores, also without each group of images, and the names of the images."""

    value: float
    replicates: NDArray[np.float64]
    changes: NDArray[np.float64] | None
    groups: tuple[int, ...]
    images: tuple[str, ...]


def _difference(table: StudyTable, index: int, other: int) -> _Difference | str:
    """Subtract the scores of two rows; return the reason if they cannot be compared."""
    first, second = _scored(table, index), _scored(table, other)
    if table.images[index] != table.images[other]:
        return "they were scored on different images"
    if first is None or second is None or first.replicates is None or second.replicates is None:
        return "one of them has no score, or no interval"
    if (first.interval_kind, first.groups) != (second.interval_kind, second.groups):
        return "their intervals are of different kinds"
    difference = first.score - second.score
    changes = None if first.changes is None or second.changes is None else first.changes - second.changes
    return _Difference(difference, first.replicates - second.replicates, changes, first.groups, table.images[index])


def _mean_changes(changes: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    known = [each for each in changes if each is not None]
    return np.mean(known, axis=0) if len(known) == len(changes) else None


def _test_row(key: Sequence[object], model: str, baseline: str, array: object, pair: _Difference) -> dict[str, Any]:
    comparison = compare_replicates(pair.value, pair.replicates, pair.groups, pair.changes)
    return dict(zip(COMPARED, key, strict=True)) | {
        "model": model,
        "baseline": baseline,
        "array": array,
        "difference": comparison.difference,
        "low": comparison.interval.low,
        "high": comparison.interval.high,
        "p_value": comparison.p_value,
        "q_value": np.nan,
        "images": len(pair.images),
    }


def _window_suffix(key: Sequence[object]) -> str:
    return f" ({key[2]})" if key[2] else ""


def sentences(fitted: Findings) -> list[str]:
    """Describe each fit in one line: the rank correlation, and the slope of the upper edge at its end.

    Examples
    --------
    >>> sentences(Findings((), pd.DataFrame()))
    []
    """
    lines = []
    for (key, array), fits in groupby(fitted.fits, key=lambda fit: (fit.key, fit.array)):
        for fit in fits:
            end, rank = fit.edge.end_slope_interval, fit.rank
            lines.append(
                f"{array}{_window_suffix(key)}, {fit.which} ({fit.models} models): rho {rank.rho:+.2f} "
                f"({rank.interval.low:+.2f} to {rank.interval.high:+.2f}); the upper edge's slope at its end "
                f"{fit.edge.end_slope:+.4f} a point of top-1 ({end.low:+.4f} to {end.high:+.4f})"
            )
    return lines
