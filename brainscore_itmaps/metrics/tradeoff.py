"""Does predictivity fall as accuracy grows? Fits over many networks, for the trade-off study."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.inference import Interval, interval_of_draws

FEWEST = 5


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
        Over networks drawn again with replacement.
    """

    at: float
    value: float
    before: float
    after: float
    at_interval: Interval
    before_interval: Interval
    after_interval: Interval


class Envelope(NamedTuple):
    """A parabola below which a given share of the networks lies.

    Attributes
    ----------
    coefficients : array, shape (3,)
        Of 1, accuracy and its square.
    peak : float
        Accuracy at which it is highest; NaN where it opens upward.
    peak_interval : Interval
        Over networks drawn again with replacement, of the draws that have a peak.
    """

    coefficients: NDArray[np.float64]
    peak: float
    peak_interval: Interval


def change_point(
    accuracy: NDArray[np.float64], predictivity: NDArray[np.float64], rng: np.random.Generator, resamples: int = 1000
) -> ChangePoint:
    """Fit two straight lines that meet, by least squares over the meeting point too.

    The best meeting point is found exactly (Hudson 1966, J. Am. Stat. Assoc. 61:1097): it is a network's accuracy, or
    lies between two neighbours where the lines fitted on each side cross.

    Parameters
    ----------
    accuracy, predictivity : array, shape (network,)
    rng : numpy Generator
        Of the bootstrap over networks.
    resamples : int
        Number of draws.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or fewer than 5 accuracies differ.
    """
    _refuse(accuracy, predictivity)
    draws = np.array([_two_lines(accuracy[n], predictivity[n])[:3] for n in _drawn(accuracy, rng, resamples)])
    at, before, after, value = _two_lines(accuracy, predictivity)
    return ChangePoint(at, value, before, after, *(interval_of_draws(column) for column in draws.T))


def pareto_front(accuracy: NDArray[np.float64], predictivity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Networks that no other one equals or exceeds in both while exceeding in one, by growing accuracy.

    Returns
    -------
    array of int
        Their places in the arrays.
    """
    _refuse(accuracy, predictivity, fewest=1)
    order = np.lexsort((-predictivity, -accuracy))
    best, front = -np.inf, []
    for network in order:
        if predictivity[network] > best:
            best = predictivity[network]
            front.append(network)
        elif front and (accuracy[network], predictivity[network]) == (accuracy[front[-1]], best):
            front.append(network)  # the same point twice
    return np.array(front[::-1])


def envelope(
    accuracy: NDArray[np.float64],
    predictivity: NDArray[np.float64],
    rng: np.random.Generator,
    quantile: float = 0.9,
    resamples: int = 200,
) -> Envelope:
    """Fit the upper edge of a cloud of networks: quantile regression on accuracy and its square.

    Parameters
    ----------
    accuracy, predictivity : array, shape (network,)
    rng : numpy Generator
        Of the bootstrap over networks.
    quantile : float
        Share of the networks that lie below.
    resamples : int
        Number of draws.

    Raises
    ------
    ArrayError
        As :func:`change_point`, and when the quantile is not between 0 and 1.
    """
    _refuse(accuracy, predictivity)
    if not 0 < quantile < 1:
        raise ArrayError(f"The quantile is {quantile}.", "Give a number between 0 and 1.")
    coefficients = _quantile_parabola(accuracy, predictivity, quantile)
    peaks = [
        _peak(_quantile_parabola(accuracy[n], predictivity[n], quantile)) for n in _drawn(accuracy, rng, resamples)
    ]
    return Envelope(coefficients, _peak(coefficients), interval_of_draws(np.array(peaks)))


def _two_lines(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Meeting point, slope before and after, and value at the meeting point."""
    known = np.unique(x)
    candidates = list(known[1:-1])
    for left, right in pairwise(known[1:-1]):
        (a, b), (c, d) = _line(x[x <= left], y[x <= left]), _line(x[x >= right], y[x >= right])
        if a != c and left < (cross := (d - b) / (a - c)) < right:
            candidates.append(cross)
    at = np.array(candidates)
    before, after = np.minimum(x - at[:, None], 0), np.maximum(x - at[:, None], 0)  # (candidate, network)
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
    """Slope and intercept by least squares."""
    dx = x - x.mean()
    slope = float(dx @ y / (dx @ dx))
    return slope, float(y.mean() - slope * x.mean())


def _quantile_parabola(x: NDArray[np.float64], y: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """Quantile regression as a linear programme (Koenker & Bassett 1978)."""
    middle, spread, height = x.mean(), np.ptp(x), np.ptp(y) or 1.0  # the solver's tolerances are absolute
    scaled = (x - middle) / spread
    design = np.column_stack([np.ones_like(x), scaled, scaled**2])
    number = len(x)
    cost = np.concatenate([np.zeros(3), np.full(number, quantile), np.full(number, 1 - quantile)])
    residuals = np.hstack([design, np.eye(number), -np.eye(number)])
    bounds = [(None, None)] * 3 + [(0, None)] * (2 * number)
    a, b, c = linprog(cost, A_eq=residuals, b_eq=y / height, bounds=bounds, method="highs").x[:3] * height
    return np.array([a - b * middle / spread + c * (middle / spread) ** 2,
                     b / spread - 2 * c * middle / spread**2, c / spread**2])  # fmt: skip


def _peak(coefficients: NDArray[np.float64]) -> float:
    return float(-coefficients[1] / (2 * coefficients[2])) if coefficients[2] < 0 else np.nan


def _drawn(x: NDArray[np.float64], rng: np.random.Generator, resamples: int) -> list[NDArray[np.int64]]:
    """Networks drawn again with replacement; draws of too few different accuracies are drawn anew."""
    draws: list[NDArray[np.int64]] = []
    while len(draws) < resamples:
        draw = rng.integers(len(x), size=len(x))
        if len(np.unique(x[draw])) >= FEWEST - 1:
            draws.append(draw)
    return draws


def _refuse(accuracy: NDArray[np.float64], predictivity: NDArray[np.float64], fewest: int = FEWEST) -> None:
    if accuracy.ndim != 1 or accuracy.shape != predictivity.shape:
        raise ArrayError(f"{accuracy.shape} and {predictivity.shape} differ.", "Give one value a network in both.")
    if not (np.isfinite(accuracy).all() and np.isfinite(predictivity).all()):
        raise ArrayError("A value is not finite.", "Leave that network out.")
    if len(np.unique(accuracy)) < fewest:
        raise ArrayError(f"{len(np.unique(accuracy))} accuracies differ.", f"Give at least {fewest} networks.")
