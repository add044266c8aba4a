"""Fits over many models: how neural predictivity changes with ImageNet accuracy."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.stats import spearmanr

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.inference import UNDEFINED, Interval, expansion, interval_of_draws

FEWEST = 5
FEWEST_RANKED = 3
STRAIGHT = 1e-9
"""Share of the range of the scores below which an edge that bends over the range of accuracies counts as straight."""


class ChangePoint(NamedTuple):
    """Two straight lines that meet.

    Attributes
    ----------
    at : float
        Accuracy at which they meet.
    value : float
        Predictivity there.
    before, after : float
        Slopes.
    at_interval, before_interval, after_interval : Interval
        Over models, and on demand images, drawn again with replacement.
    """

    at: float
    value: float
    before: float
    after: float
    at_interval: Interval
    before_interval: Interval
    after_interval: Interval


class Envelope(NamedTuple):
    """A parabola below which a given share of the models lies.

    Attributes
    ----------
    coefficients : array, shape (3,)
        Of 1, accuracy and its square.
    peak : float
        Accuracy at which it is highest; NaN where it opens upward. It may lie outside the accuracies that there are:
        then the edge rises, or falls, over all of them.
    height : float
        Value at the peak.
    end_slope : float
        Slope at the highest accuracy that there is; negative where the edge falls there.
    peak_interval, end_slope_interval : Interval
        Over models, and on demand images, drawn again with replacement; of the peak, of the draws that have one.
    """

    coefficients: NDArray[np.float64]
    peak: float
    height: float
    end_slope: float
    peak_interval: Interval
    end_slope_interval: Interval


class RankCorrelation(NamedTuple):
    """Rank correlation of accuracy and predictivity over models.

    Attributes
    ----------
    rho : float
        Spearman's, of accuracy and predictivity; NaN where one of them is constant.
    interval : Interval
        Over models, and on demand images, drawn again with replacement.
    p_value : float
        Two-sided, of no association.
    models : int
        How many.
    """

    rho: float
    interval: Interval
    p_value: float
    models: int


def scores_over_images(
    values: NDArray[np.float64],
    ceilings: NDArray[np.float64],
    accuracy: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 1000,
) -> NDArray[np.float64]:
    """Draw images again and compute the scores of models on them, one row a draw.

    Images are drawn again with replacement, the same for all models. Of what a draw changes, the part that models
    share is taken: a straight line in their accuracy. What an image gives to single models is in the differences
    between models already; drawn with both, it would be counted twice, and intervals would cover more than they say
    (Owen 2007, Ann. Appl. Stat. 1:386). The change is made larger by
    :func:`~brainscore_itmaps.metrics.inference.expansion`.

    Parameters
    ----------
    values : array, shape (model, image)
        What each image gives.
    ceilings : array, shape (image,)
    accuracy : array, shape (model,)
    rng : numpy Generator
    resamples : int
        Number of draws.

    Returns
    -------
    array, shape (resample, model)

    Raises
    ------
    ArrayError
        When the shapes do not fit, or something is not finite.
    """
    if values.ndim != 2 or (len(accuracy), len(ceilings)) != values.shape or len(ceilings) < 2:
        raise ArrayError(
            f"{values.shape}, {ceilings.shape} and {accuracy.shape} do not fit.",
            "Give (model, image), (image,) and (model,).",
        )
    if not all(np.isfinite(each).all() for each in (values, ceilings, accuracy)):
        raise ArrayError("A value is not finite.", "Leave that model out.")
    images = len(ceilings)
    counts = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    scores = values.mean(axis=1) / ceilings.mean()
    change = (counts @ values.T) / (counts @ ceilings)[:, None] - scores
    spread = np.ptp(accuracy) or 1.0
    powers, _ = np.linalg.qr(np.vander((accuracy - accuracy.mean()) / spread, 2))
    drawn: NDArray[np.float64] = scores + expansion(images) * (change @ powers) @ powers.T
    return drawn


def most_accurate(accuracy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the models whose accuracy is at or above the median.

    Parameters
    ----------
    accuracy : array, shape (model,)

    Returns
    -------
    array of int
        Their places; of equal accuracies all or none.
    """
    return np.flatnonzero(accuracy >= np.quantile(accuracy, 0.5))


def rank_correlation(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 1000,
    drawn: NDArray[np.float64] | None = None,
) -> RankCorrelation:
    """Correlate the ranks of accuracy and predictivity over models.

    Parameters
    ----------
    accuracy, predictivity : array, shape (model,)
    rng, resamples, drawn
        As in :func:`change_point`.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or fewer than 3 accuracies differ.
    """
    _check_input(accuracy, predictivity, fewest=FEWEST_RANKED)
    if np.ptp(predictivity) == 0:
        return RankCorrelation(np.nan, UNDEFINED, np.nan, len(accuracy))
    found = spearmanr(accuracy, predictivity)
    draws = [
        spearmanr(accuracy[n], scores[n]).statistic if np.ptp(scores[n]) > 0 else np.nan
        for n, scores in _draws(accuracy, predictivity, rng, resamples, drawn, FEWEST_RANKED)
    ]
    return RankCorrelation(
        float(found.statistic), interval_of_draws(np.array(draws)), float(found.pvalue), len(accuracy)
    )


def change_point(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 1000,
    drawn: NDArray[np.float64] | None = None,
) -> ChangePoint:
    """Fit two straight lines that meet, by least squares over the meeting point too.

    The best meeting point is found exactly (Hudson 1966, J. Am. Stat. Assoc. 61:1097): it is a model's accuracy, or
    lies between two neighbours where the lines fitted on each side cross.

    Parameters
    ----------
    accuracy, predictivity : array, shape (model,)
    rng : numpy Generator
        Of the bootstrap over models.
    resamples : int
        Number of draws.
    drawn : array, shape (resample, model), optional
        Predictivity with images drawn again (:func:`scores_over_images`); from each of its rows models are drawn
        once, in place of ``resamples``.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or fewer than 5 accuracies differ.
    """
    _check_input(accuracy, predictivity)
    draws = np.array(
        [
            _two_lines(accuracy[n], scores[n])[:3]
            for n, scores in _draws(accuracy, predictivity, rng, resamples, drawn, FEWEST - 1)
        ]
    )
    at, before, after, value = _two_lines(accuracy, predictivity)
    return ChangePoint(at, value, before, after, *(interval_of_draws(column) for column in draws.T))


def pareto_front(accuracy: NDArray[np.float64], predictivity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the models that no other model dominates in both values, by growing accuracy.

    Returns
    -------
    array of int
        Their places in the arrays.
    """
    _check_input(accuracy, predictivity, fewest=1)
    order = np.lexsort((-predictivity, -accuracy))
    best, front = -np.inf, []
    for model in order:
        if predictivity[model] > best:
            best = predictivity[model]
            front.append(model)
        elif front and (accuracy[model], predictivity[model]) == (accuracy[front[-1]], best):
            front.append(model)  # the same point twice
    return np.array(front[::-1])


def envelope(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    quantile: float = 0.9,
    resamples: int = 200,
    drawn: NDArray[np.float64] | None = None,
) -> Envelope:
    """Fit the upper edge of a cloud of models: quantile regression on accuracy and its square.

    Parameters
    ----------
    accuracy, predictivity : array, shape (model,)
    rng : numpy Generator
        Of the bootstrap over models.
    quantile : float
        Share of the models that lie below.
    resamples, drawn
        As in :func:`change_point`.

    Raises
    ------
    ArrayError
        As :func:`change_point`, and when the quantile is not between 0 and 1.
    """
    _check_input(accuracy, predictivity)
    if not 0 < quantile < 1:
        raise ArrayError(f"The quantile is {quantile}.", "Give a number between 0 and 1.")
    coefficients, end = _quantile_parabola(accuracy, predictivity, quantile), float(accuracy.max())
    fits = [
        _quantile_parabola(accuracy[n], scores[n], quantile)
        for n, scores in _draws(accuracy, predictivity, rng, resamples, drawn, FEWEST - 1)
    ]
    peak = _peak(coefficients)
    return Envelope(
        coefficients,
        peak,
        float(np.polyval(coefficients[::-1], peak)),
        _slope(coefficients, end),
        interval_of_draws(np.array([_peak(fit) for fit in fits])),
        interval_of_draws(np.array([_slope(fit, end) for fit in fits])),
    )


def _two_lines(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Compute the meeting point, the slopes before and after it, and the value there."""
    known = np.unique(x)
    candidates = list(known[1:-1])
    for left, right in pairwise(known[1:-1]):
        (a, b), (c, d) = _line(x[x <= left], y[x <= left]), _line(x[x >= right], y[x >= right])
        if a != c and left < (cross := (d - b) / (a - c)) < right:
            candidates.append(cross)
    at = np.array(candidates)
    before, after = np.minimum(x - at[:, None], 0), np.maximum(x - at[:, None], 0)  # (candidate, model)
    products = np.zeros((len(at), 3, 3))
    products[:, 0, 0] = len(x)
    for number, side in enumerate((before, after), 1):
        products[:, 0, number] = products[:, number, 0] = side.sum(axis=1)
        products[:, number, number] = (side**2).sum(axis=1)
    middle = y.mean()
    target = np.column_stack([np.zeros(len(at)), before @ (y - middle), after @ (y - middle)])
    fits = np.linalg.solve(products, target[..., None])[..., 0]  # value at the point, slopes before and after
    best = int(np.einsum("ck,ck->c", fits, target).argmax())  # explains most
    value, slope_before, slope_after = fits[best]
    return float(at[best]), float(slope_before), float(slope_after), float(value + middle)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit slope and intercept by least squares."""
    dx = x - x.mean()
    slope = float(dx @ y / (dx @ dx))
    return slope, float(y.mean() - slope * x.mean())


def _quantile_parabola(x: NDArray[np.float64], y: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """Fit a parabola by quantile regression: the multipliers of the dual linear programme (Koenker & Bassett 1978).

    Returns
    -------
    array, shape (3,)
        Of 1, ``x`` and its square; the last is 0 where the edge is straight to rounding.
    """
    middle, spread, height = x.mean(), np.ptp(x), np.ptp(y) or 1.0  # the solver's tolerances are absolute
    design = np.vander((x - middle) / spread, 3, increasing=True)
    above = (1 - quantile) * design.sum(axis=0)
    dual = linprog((y.mean() - y) / height, A_eq=design.T, b_eq=above, bounds=(0, 1), method="highs")
    a, b, c = -dual.eqlin.marginals * height
    c = c if abs(c) > STRAIGHT * height else 0.0
    return np.array([y.mean() + a - b * middle / spread + c * (middle / spread) ** 2,
                     b / spread - 2 * c * middle / spread**2, c / spread**2])  # fmt: skip


def _peak(coefficients: NDArray[np.float64]) -> float:
    return float(-coefficients[1] / (2 * coefficients[2])) if coefficients[2] < 0 else np.nan


def _slope(coefficients: NDArray[np.float64], at: float) -> float:
    return float(coefficients[1] + 2 * coefficients[2] * at)


def _draws(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int,
    drawn: NDArray[np.float64] | None,
    fewest: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Draw models with replacement, and return the scores of each draw.

    Draws of too few different accuracies are drawn anew.
    """
    if drawn is not None and (drawn.ndim != 2 or drawn.shape[1:] != accuracy.shape):
        raise ArrayError(f"{drawn.shape} does not fit {accuracy.shape}.", "Give one row of scores a draw.")
    for number in range(resamples if drawn is None else len(drawn)):
        while len(np.unique(accuracy[draw := rng.integers(len(accuracy), size=len(accuracy))])) < fewest:
            pass
        yield draw, predictivity if drawn is None else drawn[number]


def _check_input(accuracy: NDArray[np.float64], predictivity: NDArray[np.float64], fewest: int = FEWEST) -> None:
    if accuracy.ndim != 1 or accuracy.shape != predictivity.shape:
        raise ArrayError(f"{accuracy.shape} and {predictivity.shape} differ.", "Give one value a model in both.")
    if not (np.isfinite(accuracy).all() and np.isfinite(predictivity).all()):
        raise ArrayError("A value is not finite.", "Leave that model out.")
    if len(np.unique(accuracy)) < fewest:
        raise ArrayError(f"{len(np.unique(accuracy))} accuracies differ.", f"Give at least {fewest} models.")
