"""The estimate of a score: raw value, noise ceiling, their ratio, its interval, and the reason where one is absent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import UsageError, nearest
from brainscore_itmaps.metrics.ceiling import Ceiling
from brainscore_itmaps.metrics.inference import (
    Comparison,
    changes_of_groups,
    compare_replicates,
    jackknife_interval,
    mean_without,
)

IntervalKind = Literal["groups", "images", "fixed"]
INTERVALS: tuple[IntervalKind, ...] = get_args(IntervalKind)
"""Groups of images that are left out for an interval: 7 groups, single images, or single images without refits."""
INTERVAL_TEXTS = {
    "groups": "regressions fitted again without each of 7 groups of images (jackknife, Student's t); the choice of a "
    "layer is held fixed",
    "images": "regressions fitted again without each image, or above 32 images without each of 14 groups (jackknife, "
    "Student's t); the choice of a layer is held fixed",
    "fixed": "over the values of left-out images, without fitting the regressions again: too narrow",
    "values": "over the values of images, without each group of images in turn (jackknife, Student's t): no regression "
    "is fitted, so none is fitted again; the choice of a layer is held fixed",
    "": "as computed by an earlier version: bootstrap over the values of images",
}
"""How each kind of interval is computed, in words."""
EXPLAINED = "raw squared, divided by the noise ceiling squared: share of the explainable variance that is explained"
UNDEFINED = (np.nan, np.nan)


def checked_interval(interval: str) -> IntervalKind:
    """Return a kind of interval.

    Raises
    ------
    UsageError
        When there is no such kind.

    Examples
    --------
    >>> checked_interval("images")
    'images'
    """
    for kind in INTERVALS:
        if interval == kind:
            return kind
    raise UsageError(f"There is no interval {interval!r}.", nearest(str(interval), INTERVALS))


@dataclass(frozen=True)
class Estimate:
    """A score with its uncertainty; an absent number is NaN, and ``reason`` explains why.

    Attributes
    ----------
    raw : float
        In the measure of the benchmark, not divided by the noise ceiling.
    ceiling : float
        Noise ceiling, in the same measure.
    score : float
        ``raw / ceiling``; NaN where the noise ceiling is not reliably above 0.
    interval : (float, float)
        95 % interval of ``score``.
    error : float
        Standard error of ``score``.
    explained : float
        The score squared, with its sign: 1 for a perfect prediction.
    replicates : array, shape (replicate,), or None
        The score without each group of images in turn: of the values, of the regressions and of the noise ceiling.
        Intervals, differences between results and the fits of a study use them.
    groups : tuple of int
        Number of groups of each set of images; the replicates of the sets follow one another.
    changes : array, shape (replicate, group), or None
        Change of the score of each other group, when regressions are fitted without the group of the replicate: see
        :func:`~brainscore_itmaps.metrics.inference.jackknife_spread`. None without refits.
    interval_kind : str
        "groups", "images", "fixed" or, without a regression, "values" (:data:`INTERVAL_TEXTS`); empty for results of
        earlier versions, and of benchmarks without maps.
    reason : str
        Why the score or its interval is absent, as a clause.
    """

    raw: float = np.nan
    ceiling: float = np.nan
    score: float = np.nan
    interval: tuple[float, float] = UNDEFINED
    error: float = np.nan
    explained: float = np.nan
    replicates: NDArray[np.float64] | None = field(default=None, repr=False)
    groups: tuple[int, ...] = ()
    changes: NDArray[np.float64] | None = field(default=None, repr=False)
    interval_kind: str = ""
    reason: str = ""

    @property
    def about_interval(self) -> str:
        """Describe how the interval was computed; empty where there is no score."""
        return INTERVAL_TEXTS[self.interval_kind] if self.score == self.score else ""


def estimate_array(
    values: NDArray[np.float64],
    ceiling: Ceiling,
    refits: NDArray[np.float64] | None,
    groups: NDArray[np.bool_],
    interval_kind: str = "groups",
) -> Estimate:
    """Estimate the score of an array: mean over images of the values, divided by the noise ceiling.

    Parameters
    ----------
    values : array, shape (image,)
        In the measure of the benchmark.
    ceiling : Ceiling
    refits : array, shape (group, image), or None
        Values of the images from regressions that were fitted without each group; None without refits.
    groups : array of bool, shape (group, image)
        Images of each group; as many groups as the ceiling has replicates.
    interval_kind : str
        Kind of the groups, a key of :data:`INTERVAL_TEXTS`.

    Returns
    -------
    Estimate
        Without a score where the noise ceiling is not reliably above 0.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.ceiling import ceiling_of_repeats
    >>> ceiling = ceiling_of_repeats(np.array([[0.75, 0.8], [0.8, 0.9], [0.7, 0.85]]))
    >>> estimate = estimate_array(np.array([0.4, 0.5, 0.6]), ceiling, None, np.eye(3, dtype=bool), "fixed")
    >>> round(estimate.raw, 3), round(estimate.ceiling, 3), round(estimate.score, 3)
    (0.5, 0.8, 0.625)
    """
    raw = float(values.mean())
    if ceiling.reason:
        return Estimate(raw, ceiling.value, interval_kind=interval_kind, reason=ceiling.reason)
    bounds = np.where(ceiling.replicates == 0, np.nan, ceiling.replicates)
    replicates = mean_without(values if refits is None else refits, groups) / bounds
    changes = None if refits is None else changes_of_groups(values, refits, groups) / ceiling.value
    return _estimate(raw, ceiling.value, raw / ceiling.value, replicates, (len(groups),), interval_kind, changes)


def mean_estimate(arrays: Sequence[Estimate], images: Sequence[object]) -> Estimate:
    """Average the estimates of several arrays.

    Parameters
    ----------
    arrays : sequence of Estimate
    images : sequence
        What identifies the images of each array. Groups of images are left out of all arrays that share images.

    Returns
    -------
    Estimate
        Without a score where an array has none, and without an interval where an array has none.

    Examples
    --------
    >>> first = Estimate(0.3, 0.8, 0.375, replicates=np.array([0.35, 0.4, 0.375]), groups=(3,))
    >>> second = Estimate(0.5, 0.8, 0.625, replicates=np.array([0.65, 0.6, 0.625]), groups=(3,))
    >>> mean = mean_estimate([first, second], ["same images", "same images"])
    >>> round(mean.score, 3), round(mean.error, 3), mean.groups
    (0.5, 0.0, (3,))
    """
    if len(arrays) == 1:
        return arrays[0]
    raw, ceiling = (float(np.mean([getattr(array, name) for array in arrays])) for name in ("raw", "ceiling"))
    scores, explained = [array.score for array in arrays], float(np.mean([array.explained for array in arrays]))
    kinds = [array.interval_kind for array in arrays]
    kind = "fixed" if "fixed" in kinds else kinds[0]
    if reasons := list(dict.fromkeys(array.reason for array in arrays if array.reason)):
        mean, reason = float(np.mean(scores)), "; ".join(reasons)
        return Estimate(raw, ceiling, mean, explained=explained, interval_kind=kind, reason=reason)
    replicates: list[NDArray[np.float64]] = []
    changes: list[NDArray[np.float64] | None] = []
    for identity in dict.fromkeys(images):
        changed: list[Any] = [
            array.replicates if other == identity else array.score for array, other in zip(arrays, images, strict=True)
        ]
        replicates.append(np.mean(np.broadcast_arrays(*changed), axis=0))
        shared = [array.changes for array, other in zip(arrays, images, strict=True) if other == identity]
        changes.append(_sum_of_changes(shared, len(arrays)))
    groups, mean = tuple(map(len, replicates)), float(np.mean(scores))
    return _estimate(raw, ceiling, mean, np.concatenate(replicates), groups, kind, _stacked(changes), explained)


def mean_ceiling(ceilings: Sequence[Ceiling], images: Sequence[object]) -> Estimate:
    """Average the noise ceilings of several arrays, with the error of their mean.

    Parameters
    ----------
    ceilings : sequence of Ceiling
    images : sequence
        What identifies the images of each array, as for :func:`mean_estimate`.

    Returns
    -------
    Estimate
        Its score is the mean.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.ceiling import ceiling_of_repeats
    >>> ceilings = [ceiling_of_repeats(np.array([[value], [0.75], [0.9]])) for value in (0.6, 0.9)]
    >>> mean = mean_ceiling(ceilings, ["same images", "same images"])
    >>> round(mean.score, 3), round(mean.error, 3)
    (0.8, 0.05)
    """
    return mean_estimate(
        [
            Estimate(each.value, each.value, each.value, each.interval[:2], each.interval.error,
                     replicates=each.replicates, groups=(len(each.replicates),))
            for each in ceilings
        ],
        images,
    )  # fmt: skip


def _sum_of_changes(changes: Sequence[NDArray[np.float64] | None], arrays: int) -> NDArray[np.float64] | None:
    """Add the changes of arrays that share images, divided by the number of all arrays."""
    known = [each for each in changes if each is not None]
    return sum(known[1:], start=known[0]) / arrays if len(known) == len(changes) else None


def _stacked(blocks: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Stack the changes of several sets of images, filled up with NaN to the same number of groups."""
    known = [block for block in blocks if block is not None]
    if len(known) < len(blocks):
        return None
    most = max(block.shape[1] for block in known)
    filled = [np.pad(block, ((0, 0), (0, most - block.shape[1])), constant_values=np.nan) for block in known]
    return np.concatenate(filled)


def _estimate(
    raw: float,
    ceiling: float,
    score: float,
    replicates: NDArray[np.float64],
    groups: tuple[int, ...],
    interval_kind: str,
    changes: NDArray[np.float64] | None,
    explained: float | None = None,
) -> Estimate:
    interval = jackknife_interval(score, replicates, groups, changes)
    defined = bool(np.isfinite(replicates).all())
    return Estimate(
        raw=raw,
        ceiling=ceiling,
        score=score,
        interval=interval[:2],
        error=interval.error,
        explained=score * abs(score) if explained is None else explained,
        replicates=replicates if defined else None,
        groups=groups if defined else (),
        changes=changes if defined else None,
        interval_kind=interval_kind,
        reason="" if defined else "the score is undefined without one group of images",
    )


def difference_of(first: Estimate, second: Estimate) -> Comparison | None:
    """Test the difference between two scores on the same images; return None if one of them has no score.

    Examples
    --------
    >>> first = Estimate(score=0.5, replicates=np.array([0.52, 0.48, 0.5]), groups=(3,))
    >>> second = Estimate(score=0.4, replicates=np.array([0.41, 0.39, 0.4]), groups=(3,))
    >>> comparison = difference_of(first, second)
    >>> round(comparison.difference, 3), round(comparison.interval.error, 3)
    (0.1, 0.012)
    """
    if first.replicates is None or second.replicates is None:
        return None
    changes = None if first.changes is None or second.changes is None else first.changes - second.changes
    return compare_replicates(first.score - second.score, first.replicates - second.replicates, first.groups, changes)
