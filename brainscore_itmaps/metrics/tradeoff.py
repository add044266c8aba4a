"""Fit how neural predictivity changes with ImageNet accuracy, over many models."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.stats import rankdata, spearmanr

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.inference import UNDEFINED, Interval, interval_of_draws, p_value_of_draws
from brainscore_itmaps.text import short_repr

FEWEST = 5
FEWEST_RANKED = 3
FEWEST_TESTED = 10
"""With fewer models, the p-value of a rank correlation from bootstrap draws is too small, and is not given."""
MANY = 400
"""Number of models above which a quantile regression is first solved for those near an edge that is known."""
STRAIGHT = 1e-9
"""An edge that bends by less than this share of the range of the scores counts as straight."""


class ChangePoint(NamedTuple):
    """Two straight lines that meet.

    Attributes
    ----------
    at : float
        Accuracy at which they meet.
    value : float
        Predictivity there.
    before, after : float
        Slopes of the two lines.
    at_interval, before_interval, after_interval : Interval
        Bootstrap intervals over models, or over models and images.
    """

    at: float
    value: float
    before: float
    after: float
    at_interval: Interval
    before_interval: Interval
    after_interval: Interval


@short_repr
class Envelope(NamedTuple):
    """A parabola below which a fixed share of the models lies.

    Attributes
    ----------
    coefficients : array, shape (3,)
        Coefficients of 1, accuracy and its square.
    peak : float
        Accuracy at which the parabola is highest; NaN if it opens upward. A peak outside the range of the accuracies
        means that the edge rises, or falls, over the whole range.
    height : float
        Value at the peak.
    end_slope : float
        Slope at the highest accuracy; negative where the edge falls there.
    peak_interval, end_slope_interval : Interval
        Bootstrap intervals over models, or over models and images. Draws without a peak do not count for the peak.
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
        Spearman's rho of accuracy and predictivity; NaN if the predictivity is constant.
    interval : Interval
        Bootstrap interval over models, or over models and images.
    p_value : float
        Two-sided, from the draws of the interval: below .05 where the interval excludes 0. NaN with fewer than 10
        models.
    models : int
        Number of models.
    """

    rho: float
    interval: Interval
    p_value: float
    models: int


def scores_over_images(
    scores: NDArray[np.float64],
    replicates: NDArray[np.float64],
    groups: Sequence[int],
    accuracy: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 1000,
) -> NDArray[np.float64]:
    """Draw the scores that models would have on other images.

    All models share the draws: each is a sum of what leaving out each group of images changes, with random weights of
    the size that the jackknife of the scores implies, and with the tails of Student's t. Of the change of a draw, only
    the part that models share is used: a straight line in their accuracy. The effect of an image on single models is
    part of the differences between models already; with it, the draws of models would count it twice, and intervals
    would be too wide (Owen 2007, Ann. Appl. Stat. 1:386).

    Parameters
    ----------
    scores : array, shape (model,)
    replicates : array, shape (model, replicate)
        Scores without each group of images.
    groups : sequence of int
        Number of groups of each set of images, as in
        :func:`~brainscore_itmaps.metrics.inference.jackknife_spread`.
    accuracy : array, shape (model,)
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of draws.

    Returns
    -------
    array, shape (resample, model)

    Raises
    ------
    ArrayError
        When the shapes do not fit together, or a value is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> accuracy = np.linspace(0.3, 0.8, 6)
    >>> replicates = accuracy[:, None] / 2 + rng.normal(0, 0.01, (6, 7))
    >>> scores_over_images(accuracy / 2, replicates, [7], accuracy, rng, resamples=100).shape
    (100, 6)
    """
    if replicates.shape != (len(accuracy), sum(groups)) or scores.shape != accuracy.shape or min(groups) < 2:
        raise ArrayError(
            f"The shapes {scores.shape}, {replicates.shape} and {accuracy.shape} do not fit together.",
            "Give (model,), (model, replicate) and (model,), with at least 2 groups of images.",
        )
    if not all(np.isfinite(array).all() for array in (scores, replicates, accuracy)):
        raise ArrayError("A value is not finite.", "Leave that model out.")
    change = np.zeros((resamples, len(scores)))
    for each in np.split(replicates, np.cumsum(groups)[:-1], axis=1):
        freedom = each.shape[1] - 1
        deviation = (each - each.mean(axis=1, keepdims=True)) * np.sqrt(freedom / (freedom + 1))
        weights = rng.normal(size=(resamples, freedom + 1))
        change += weights @ deviation.T / np.sqrt(rng.chisquare(freedom, size=(resamples, 1)) / freedom)
    spread = np.ptp(accuracy) or 1.0
    powers, _ = np.linalg.qr(np.vander((accuracy - accuracy.mean()) / spread, 2))
    drawn: NDArray[np.float64] = scores + (change @ powers) @ powers.T
    return drawn


def most_accurate(accuracy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the models whose accuracy is at or above the median.

    Parameters
    ----------
    accuracy : array, shape (model,)

    Returns
    -------
    array of int
        Indices of the models; models of equal accuracy are all included, or none.

    Examples
    --------
    >>> most_accurate(np.array([0.7, 0.5, 0.8, 0.6])).tolist()
    [0, 2]
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
        When the shapes differ, a value is not finite, or there are fewer than 3 different accuracies.

    Examples
    --------
    >>> accuracy, predictivity = np.array([0.5, 0.6, 0.7, 0.8, 0.9]), np.array([0.2, 0.4, 0.3, 0.6, 0.5])
    >>> result = rank_correlation(accuracy, predictivity, np.random.default_rng(0), resamples=50)
    >>> round(result.rho, 2), result.models
    (0.8, 5)
    """
    _check_input(accuracy, predictivity, fewest=FEWEST_RANKED)
    if np.ptp(predictivity) == 0:
        return RankCorrelation(np.nan, UNDEFINED, np.nan, len(accuracy))
    rho = float(spearmanr(accuracy, predictivity).statistic)
    pairs = [(accuracy[n], scores[n])
             for n, scores in _draws(accuracy, predictivity, rng, resamples, drawn, FEWEST_RANKED)]  # fmt: skip
    draws = _rank_correlations(*(np.array(values) for values in zip(*pairs, strict=True)))
    p_value = p_value_of_draws(draws) if len(accuracy) >= FEWEST_TESTED else np.nan
    return RankCorrelation(rho, interval_of_draws(draws), p_value, len(accuracy))


def change_point(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 1000,
    drawn: NDArray[np.float64] | None = None,
) -> ChangePoint:
    """Fit two straight lines that meet, by least squares over slopes, height and meeting point.

    The best meeting point is found exactly (Hudson 1966, J. Am. Stat. Assoc. 61:1097): it is a model's accuracy, or
    lies between two neighbours where the lines fitted on each side cross.

    Parameters
    ----------
    accuracy, predictivity : array, shape (model,)
    rng : numpy Generator
        Source of randomness of the bootstrap over models.
    resamples : int
        Number of bootstrap draws.
    drawn : array, shape (resample, model), optional
        Predictivity for draws of images (:func:`scores_over_images`). Models are drawn once for each of its rows, and
        ``resamples`` is not used.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or there are fewer than 5 different accuracies.

    Examples
    --------
    >>> accuracy = np.linspace(0.3, 0.8, 11)
    >>> predictivity = np.minimum(accuracy, 1.2 - accuracy)
    >>> fit = change_point(accuracy, predictivity, np.random.default_rng(0), resamples=50)
    >>> round(fit.at, 2), round(fit.before, 2), round(fit.after, 2)
    (0.6, 1.0, -1.0)
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
    """Find the models that no other model dominates in accuracy and predictivity, in ascending order of accuracy.

    Returns
    -------
    array of int
        Indices of the models.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or there are no models.

    Examples
    --------
    >>> accuracy, predictivity = np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.3, 0.6, 0.4, 0.5])
    >>> pareto_front(accuracy, predictivity).tolist()
    [1, 3]
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
    """Fit the upper edge of a cloud of models by quantile regression on accuracy and its square.

    Parameters
    ----------
    accuracy, predictivity : array, shape (model,)
    rng : numpy Generator
        Source of randomness of the bootstrap over models.
    quantile : float
        Share of the models that lie below the edge, between 0 and 1.
    resamples, drawn
        As in :func:`change_point`.

    Raises
    ------
    ArrayError
        As in :func:`change_point`, and when the quantile is not between 0 and 1.

    Examples
    --------
    >>> accuracy = np.linspace(0.3, 0.8, 11)
    >>> predictivity = 0.6 - (accuracy - 0.6) ** 2
    >>> edge = envelope(accuracy, predictivity, np.random.default_rng(0), resamples=10)
    >>> round(edge.peak, 2), round(edge.height, 2), round(edge.end_slope, 2)
    (0.6, 0.6, -0.4)
    """
    _check_input(accuracy, predictivity)
    if not 0 < quantile < 1:
        raise ArrayError(f"The quantile is {quantile}.", "Give a number between 0 and 1.")
    coefficients, end = _quantile_parabola(accuracy, predictivity, quantile), float(accuracy.max())
    fits = [
        _quantile_parabola(accuracy[n], scores[n], quantile, coefficients)
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
    """Compute the meeting point, the slopes before and after it, and the value there.

    The sums over the models on each side of a candidate follow from cumulative sums, about the mean.
    """
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    levels = np.unique(x)
    inner = levels[1:-1]
    at = np.concatenate([inner, _crossings(x, y, inner)])
    origin, middle = x.mean(), y.mean()
    dx, dy = x - origin, y - middle
    sums = np.zeros((5, len(x) + 1))  # of 1, x, y, x squared and xy, over the models before each
    np.cumsum(np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy]), axis=1, out=sums[:, 1:])
    below = sums[:, np.searchsorted(x, at, side="right")]
    products = np.zeros((len(at), 3, 3))
    target = np.zeros((len(at), 3))
    products[:, 0, 0] = len(x)
    for index, (number, of_x, of_y, xx, xy) in enumerate((below, sums[:, -1:] - below), 1):
        shift = at - origin
        products[:, 0, index] = products[:, index, 0] = of_x - number * shift
        products[:, index, index] = xx - 2 * shift * of_x + number * shift**2
        target[:, index] = xy - shift * of_y
    fits = np.linalg.solve(products, target[..., None])[..., 0]  # value at the meeting point, slopes before and after
    best = int(np.einsum("ck,ck->c", fits, target).argmax())  # the candidate that explains most
    value, slope_before, slope_after = fits[best]
    return float(at[best]), float(slope_before), float(slope_after), float(value + middle)


def _rank_correlations(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Spearman's rho of each row of two arrays, shape (draw, model); NaN where one is constant."""
    ranks = [rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (x, y)]
    products = [np.einsum("dm,dm->d", first, second) for first in ranks for second in ranks]
    with np.errstate(invalid="ignore"):
        correlations: NDArray[np.float64] = products[1] / np.sqrt(products[0] * products[3])
    return correlations


def _crossings(x: NDArray[np.float64], y: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute where the least-squares lines of the models up to a level, and from the next one, meet between both."""
    order = np.argsort(x, kind="stable")
    middle = x.mean()
    dx, dy = x[order] - middle, y[order] - y.mean()
    sums = np.cumsum(np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy]), axis=1)
    before = sums[:, np.searchsorted(x[order], levels[:-1], side="right") - 1]
    after = sums[:, -1:] - sums[:, np.searchsorted(x[order], levels[1:], side="left") - 1]
    (slope, height), (next_slope, next_height) = _lines(before), _lines(after)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = middle + (next_height - height) / (slope - next_slope)
    between: NDArray[np.float64] = cross[(levels[:-1] < cross) & (cross < levels[1:])]
    return between


def _lines(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit slopes and intercepts from the sums of 1, x, y, x squared and xy, shape (5, line)."""
    number, x, y, xx, xy = sums
    slope = (xy - x * y / number) / (xx - x * x / number)
    return slope, (y - slope * x) / number


def _quantile_parabola(
    x: NDArray[np.float64], y: NDArray[np.float64], quantile: float, guess: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Fit a parabola by quantile regression: the multipliers of the dual linear programme (Koenker & Bassett 1978).

    Returns
    -------
    array, shape (3,)
        Coefficients of 1, ``x`` and its square; the last is 0 if the edge is straight to rounding.
    """
    middle, spread, height = x.mean(), np.ptp(x), np.ptp(y) or 1.0  # the solver's tolerances are absolute
    design = np.vander((x - middle) / spread, 3, increasing=True)
    target = (y - y.mean()) / height
    near = None if guess is None else (np.polyval(guess[::-1], x) - y.mean()) / height
    a, b, c = _quantile_coefficients(design, target, quantile, near) * height
    c = c if abs(c) > STRAIGHT * height else 0.0
    return np.array([y.mean() + a - b * middle / spread + c * (middle / spread) ** 2,
                     b / spread - 2 * c * middle / spread**2, c / spread**2])  # fmt: skip


def _quantile_coefficients(
    design: NDArray[np.float64], target: NDArray[np.float64], quantile: float, near: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Solve a quantile regression; NaN where the solver finds no solution.

    Of many models, those far from an edge that is known to lie near are first taken to be on their side of it; the
    others then decide, and it is checked that all are on the side they were taken for (Portnoy & Koenker 1997, Stat.
    Sci. 12:279). The solution is exact.
    """
    free, above = np.ones(len(target), dtype=bool), np.zeros(len(target), dtype=bool)
    if near is not None and len(target) > MANY and np.isfinite(near).all():
        distance = np.abs(target - near)
        free, above = distance <= np.quantile(distance, MANY / len(target)), target > near
    while True:
        shares = (1 - quantile) * design[~free].sum(axis=0) - design[~free & above].sum(axis=0)
        coefficients = _dual_coefficients(design[free], target[free], shares, quantile)
        unsolved = np.isnan(coefficients).any()
        wrong = ~free & (unsolved | ((target > design @ coefficients) != above))
        if not wrong.any():
            return coefficients
        free |= wrong


def _dual_coefficients(
    design: NDArray[np.float64], target: NDArray[np.float64], shares: NDArray[np.float64], quantile: float
) -> NDArray[np.float64]:
    """Return the multipliers of the dual linear programme, with what other models add to its sums."""
    sums = (1 - quantile) * design.sum(axis=0) + shares
    dual = linprog(-target, A_eq=design.T, b_eq=sums, bounds=(0, 1), method="highs", options={"presolve": False})
    return -dual.eqlin.marginals if dual.status == 0 else np.full(3, np.nan)


def _peak(coefficients: NDArray[np.float64]) -> float:
    """Compute the accuracy at which a parabola is highest; NaN if it opens upward."""
    return float(-coefficients[1] / (2 * coefficients[2])) if coefficients[2] < 0 else np.nan


def _slope(coefficients: NDArray[np.float64], at: float) -> float:
    """Compute the slope of a parabola at an accuracy."""
    return float(coefficients[1] + 2 * coefficients[2] * at)


def _draws(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int,
    drawn: NDArray[np.float64] | None,
    fewest: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Draw models with replacement, and yield their indices and the scores of all models for each draw.

    Draws with fewer than ``fewest`` different accuracies are drawn again.
    """
    if drawn is not None and (drawn.ndim != 2 or drawn.shape[1:] != accuracy.shape):
        raise ArrayError(
            f"The drawn scores {drawn.shape} do not fit the {len(accuracy)} models.", "Give one row of scores per draw."
        )
    for row in range(resamples if drawn is None else len(drawn)):
        while len(np.unique(accuracy[draw := rng.integers(len(accuracy), size=len(accuracy))])) < fewest:
            pass
        yield draw, predictivity if drawn is None else drawn[row]


def _check_input(accuracy: NDArray[np.float64], predictivity: NDArray[np.float64], fewest: int = FEWEST) -> None:
    if accuracy.ndim != 1 or accuracy.shape != predictivity.shape:
        raise ArrayError(
            f"The shapes {accuracy.shape} and {predictivity.shape} differ.", "Give one value per model in both."
        )
    if not (np.isfinite(accuracy).all() and np.isfinite(predictivity).all()):
        raise ArrayError("A value is not finite.", "Leave that model out.")
    if len(np.unique(accuracy)) < fewest:
        raise ArrayError(
            f"There are {len(np.unique(accuracy))} different accuracies, fewer than {fewest}.",
            f"Give at least {fewest} models of different accuracy.",
        )
