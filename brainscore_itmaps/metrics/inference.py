"""Compute intervals of scores and of differences between scores, over images.

Scores of left-out images depend on the images in two ways: their values are averaged, and the regressions are fitted to
them. The jackknife deletes a group of images from both, for every group (Shao & Tu 1995, The Jackknife and Bootstrap,
ch. 2). The bootstrap of values that are already computed leaves out the second way, so it is used only where nothing is
fitted to the images.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from brainscore_itmaps.errors import ArrayError


class Interval(NamedTuple):
    """A 95 % interval.

    Attributes
    ----------
    low, high : float
    error : float
        Standard error.
    """

    low: float
    high: float
    error: float


AT_ONCE = 20_000
"""Number of pairs of models that are tested at once, which limits the memory."""
COUNTED_TWICE = 0.25
"""Share of the variance that is specific to pairs of groups which a jackknife subtracts. It was chosen so that
intervals cover 93 to 98 % in every case of ``benchmarks/interval_coverage.py``: with 0, those of differences cover too
often, and with .5, those of scores too seldom."""
UNDEFINED = Interval(np.nan, np.nan, np.nan)


class Comparison(NamedTuple):
    """Test of the difference between two results on the same images: what ``compare_results`` returns.

    The class of the same name that ``compare`` returns, for many models, is
    :class:`brainscore_itmaps.study.compare.Comparison`.

    Attributes
    ----------
    difference : float
        First minus second.
    interval : Interval
        Of the difference.
    p_value : float
        Two-sided: probability of a difference at least as large if both models are equally good. It is below .05 where
        the interval excludes 0.
    """

    difference: float
    interval: Interval
    p_value: float


def mean_without(values: NDArray[np.float64], groups: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average values over the images outside each group.

    Parameters
    ----------
    values : array, shape (image,) or (group, image)
        Values of the images; in each row, of the images without that group.
    groups : array of bool, shape (group, image)
        From :func:`~brainscore_itmaps.metrics.folds.groups_left_out`.

    Returns
    -------
    array, shape (group,)

    Examples
    --------
    >>> mean_without(np.array([0.25, 0.5, 0.75]), np.eye(3, dtype=bool)).tolist()
    [0.625, 0.5, 0.375]
    """
    mean: NDArray[np.float64] = np.where(groups, 0, values).sum(axis=1) / (~groups).sum(axis=1)
    return mean


def changes_of_groups(
    values: NDArray[np.float64], refits: NDArray[np.float64], groups: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compute how the mean of each group changes when regressions are fitted without another group.

    Parameters
    ----------
    values : array, shape (image,)
    refits : array, shape (group, image)
        Values from regressions that were fitted without each group; NaN for the images of the group itself.
    groups : array of bool, shape (group, image)

    Returns
    -------
    array, shape (group, group)
        Entry (g, h) is the change of group h without group g; NaN on the diagonal.

    Examples
    --------
    >>> refits = np.array([[np.nan, 0.5, 0.5], [0.25, np.nan, 0.5], [0.25, 0.25, np.nan]])
    >>> changes_of_groups(np.array([0.5, 0.5, 0.5]), refits, np.eye(3, dtype=bool)).tolist()
    [[nan, 0.0, 0.0], [-0.25, nan, 0.0], [-0.25, -0.25, nan]]
    """
    mean_of_group = groups / groups.sum(axis=1, keepdims=True)
    changes: NDArray[np.float64] = np.where(groups, 0, refits - values) @ mean_of_group.T
    np.fill_diagonal(changes, np.nan)
    return changes


class Spread(NamedTuple):
    """Standard error of a jackknife, and its degrees of freedom."""

    error: float
    freedom: float


def jackknife_spread(
    replicates: ArrayLike, groups: Sequence[int], changes: NDArray[np.float64] | None = None
) -> Spread:
    """Compute the standard error of a statistic from its values without each group of images.

    How a regression fitted without one group predicts another differs from pair to pair of groups. The jackknife counts
    this at least twice (Efron & Stein 1981, Ann. Stat. 9:586). A share of its variance is subtracted
    (:data:`COUNTED_TWICE`), but never more than half of the whole.

    Parameters
    ----------
    replicates : array, shape (replicate,)
        The statistic without each group of images in turn.
    groups : sequence of int
        Number of groups of each set of images; the replicates of the sets follow one another.
    changes : array, shape (replicate, group), optional
        Change of the value of each other group, when regressions are fitted without the group of the replicate; NaN for
        the group itself, and beyond the groups of a set.

    Returns
    -------
    Spread
        The variances of several sets are added, and the degrees of freedom follow Welch and Satterthwaite.

    Raises
    ------
    ArrayError
        When the number of replicates is not the number of groups, or a set has fewer than 2.

    Examples
    --------
    With single images as groups and a mean as the statistic, it is the usual standard error of the mean:

    >>> values = np.array([0.25, 0.5, 0.75])
    >>> spread = jackknife_spread((values.sum() - values) / 2, [3])
    >>> bool(np.isclose(spread.error, values.std(ddof=1) / np.sqrt(3))), spread.freedom
    (True, 2.0)
    """
    values = np.asarray(replicates, dtype=np.float64)
    if sum(groups) != len(values) or not len(groups) or min(groups) < 2:
        raise ArrayError(
            f"{len(values)} replicates are not those of sets with {', '.join(map(str, groups)) or 'no'} groups.",
            "Give one replicate for each group of images, and at least 2 groups in each set.",
        )
    sets = np.split(values, np.cumsum(groups)[:-1])
    variances = np.array([(len(each) - 1) * each.var() for each in sets])
    if changes is not None:
        blocks = np.split(changes, np.cumsum(groups)[:-1])
        specific = np.array([variance_of_pairs(block[:, : len(block)]) for block in blocks])
        variances = np.maximum(variances - COUNTED_TWICE * specific, variances / 2)
    total = float(variances.sum())
    freedom = [len(each) - 1 for each in sets]
    if total == 0 or not np.isfinite(total):
        return Spread(np.sqrt(total), float(min(freedom)))
    return Spread(np.sqrt(total), total**2 / float((variances**2 / freedom).sum()))


def variance_of_pairs(changes: NDArray[np.float64]) -> float:
    """Compute the variance of what is specific to a row and column of a square, besides its diagonal.

    Parameters
    ----------
    changes : array, shape (group, group)

    Returns
    -------
    float
        Residual variance of a row effect plus a column effect; 0 with fewer than 4 groups.

    Examples
    --------
    >>> rows, columns = np.arange(5.0)[:, None], np.arange(5.0) ** 2
    >>> round(variance_of_pairs(rows + columns), 9)
    0.0
    """
    groups = len(changes)
    freedom = groups * (groups - 1) - (2 * groups - 1)
    if freedom < 1:
        return 0.0
    row, column = np.nonzero(~np.eye(groups, dtype=bool))
    design = np.hstack([np.eye(groups)[row], np.eye(groups)[column]])
    values = changes[row, column]
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(residual @ residual) / freedom


def jackknife_interval(
    value: float, replicates: ArrayLike, groups: Sequence[int], changes: NDArray[np.float64] | None = None
) -> Interval:
    """Compute the 95 % interval of a statistic from its values without each group of images, with Student's t.

    Parameters
    ----------
    value : float
        The statistic over all images.
    replicates, groups, changes
        As in :func:`jackknife_spread`.

    Returns
    -------
    Interval
        NaN when a replicate is NaN.

    Examples
    --------
    >>> interval = jackknife_interval(0.5, [0.45, 0.55, 0.5, 0.48, 0.52], [5])
    >>> round(interval.low, 2), round(interval.high, 2), round(interval.error, 2)
    (0.31, 0.69, 0.07)
    """
    return _interval(value, jackknife_spread(replicates, groups, changes))


def _interval(value: float, spread: Spread) -> Interval:
    if not np.isfinite(spread.error):
        return UNDEFINED
    half = float(stdtrit(spread.freedom, 0.975)) * spread.error
    return Interval(value - half, value + half, spread.error)


def compare_replicates(
    difference: float, replicates: ArrayLike, groups: Sequence[int], changes: NDArray[np.float64] | None = None
) -> Comparison:
    """Test a difference between two models by its values without each group of images, with Student's t.

    Parameters
    ----------
    difference : float
        Over all images.
    replicates : array, shape (replicate,)
        The difference without each group of images in turn.
    groups, changes
        As in :func:`jackknife_spread`; ``changes`` of the difference.

    Raises
    ------
    ArrayError
        As :func:`jackknife_spread`, and when a value is not finite.

    Examples
    --------
    >>> comparison = compare_replicates(0.1, [0.11, 0.09, 0.1, 0.12, 0.08, 0.1, 0.1], [7])
    >>> round(comparison.interval.low, 2), round(comparison.p_value, 3)
    (0.03, 0.014)
    """
    values = np.asarray(replicates, dtype=np.float64)
    if not (np.isfinite(values).all() and np.isfinite(difference)):
        raise ArrayError("A score without a group of images is not finite.", "Leave that model out.")
    error, freedom = spread = jackknife_spread(values, groups, changes)
    interval = _interval(difference, spread)
    if error <= np.finfo(float).eps * max(abs(difference), np.abs(values).max()):
        return Comparison(difference, interval, float(abs(difference) <= error))
    return Comparison(difference, interval, float(2 * stdtr(freedom, -abs(difference) / error)))


def p_values_of_pairs(
    values: NDArray[np.float64],
    replicates: NDArray[np.float64],
    groups: Sequence[int],
    changes: NDArray[np.float64] | None,
    first: NDArray[np.int_],
    second: NDArray[np.int_],
) -> NDArray[np.float64]:
    """Compute the p-values of the differences of many pairs of models, each as :func:`compare_replicates` does.

    Parameters
    ----------
    values : array, shape (model,)
    replicates : array, shape (model, replicate)
    groups : sequence of int
    changes : array, shape (model, replicate, group), or None
    first, second : int array, shape (pair,)
        Models of each pair.

    Examples
    --------
    >>> replicates = np.array([[0.11, 0.09, 0.1, 0.12, 0.08, 0.1, 0.1], [0.0] * 7])
    >>> pair = np.array([0]), np.array([1])
    >>> p_values_of_pairs(np.array([0.1, 0]), replicates, [7], None, *pair).round(3).tolist()
    [0.014]
    """
    ends, freedom = np.cumsum(groups)[:-1], np.array(groups) - 1
    sets = [each - each.mean(axis=1, keepdims=True) for each in np.split(replicates, ends, axis=1)]
    squares = [] if changes is None else [_residuals_of_pairs(each) for each in np.split(changes, ends, axis=1)]
    p_values = np.empty(len(first))
    for part in np.array_split(np.arange(len(first)), len(first) // AT_ONCE + 1):
        one, other = first[part], second[part]
        variances = np.stack([
            _sums_of_squares(each, one, other) * share
            for each, share in zip(sets, freedom / (freedom + 1), strict=True)
        ])  # fmt: skip
        if squares:
            specific = np.stack([_sums_of_squares(residuals, one, other) / number for residuals, number in squares])
            variances = np.maximum(variances - COUNTED_TWICE * specific, variances / 2)
        total, size = variances.sum(axis=0), np.abs(values[one] - values[other])
        with np.errstate(divide="ignore", invalid="ignore"):
            combined = np.where(total > 0, total**2 / (variances**2 / freedom[:, None]).sum(axis=0), freedom.min())
            error = np.sqrt(total)
            p_values[part] = 2 * stdtr(combined, -size / error)
        largest = np.abs(replicates[one] - replicates[other]).max(axis=1)
        constant = error <= np.finfo(float).eps * np.maximum(size, largest)
        p_values[part] = np.where(constant, size <= error, p_values[part])
    return p_values


def _sums_of_squares(
    values: NDArray[np.float64], first: NDArray[np.int_], second: NDArray[np.int_]
) -> NDArray[np.float64]:
    """Sum the squared differences between two rows, for each pair of rows."""
    difference = values[first]
    difference -= values[second]
    sums: NDArray[np.float64] = np.einsum("pk,pk->p", difference, difference)
    return sums


def _residuals_of_pairs(changes: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return the residuals whose variance is that of :func:`variance_of_pairs`, and their degrees of freedom."""
    groups = changes.shape[1]
    freedom = groups * (groups - 1) - (2 * groups - 1)
    if freedom < 1:
        return np.zeros((len(changes), 1)), 1
    row, column = np.nonzero(~np.eye(groups, dtype=bool))
    design = np.hstack([np.eye(groups)[row], np.eye(groups)[column]])
    projection = np.eye(len(row)) - design @ np.linalg.pinv(design)
    return changes[:, row, column] @ projection, freedom


def draw_images(images: int, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    """Draw bootstrap samples of images: as many as there are, with replacement.

    Returns
    -------
    array of int, shape (resample, image)
        Indices of the images.

    Raises
    ------
    ArrayError
        With fewer than 2 images, or 2 draws.

    Examples
    --------
    >>> draw_images(5, np.random.default_rng(0), resamples=3).tolist()
    [[4, 3, 2, 1, 1], [0, 0, 0, 0, 4], [3, 4, 2, 3, 4]]
    """
    if images < 2 or resamples < 2:
        raise ArrayError(
            f"{resamples} draws of {images} images give no interval.", "Give at least 2 images and 2 draws."
        )
    return rng.integers(images, size=(resamples, images))


def interval_of_draws(draws: NDArray[np.float64]) -> Interval:
    """Compute the 95 % percentile interval and the standard deviation of bootstrap draws.

    Parameters
    ----------
    draws : array, shape (resample,)
        Values of the statistic; NaN where undefined, which does not count.

    Examples
    --------
    >>> draws = np.linspace(0, 1, 201)
    >>> interval = interval_of_draws(draws)
    >>> round(interval.low, 3), round(interval.high, 3), round(interval.error, 3)
    (0.025, 0.975, 0.291)
    """
    defined = draws[~np.isnan(draws)]
    if len(defined) < 2:
        return UNDEFINED
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high), float(defined.std(ddof=1)))


def p_value_of_draws(draws: NDArray[np.float64]) -> float:
    """Compute the two-sided p-value of the hypothesis that a statistic is 0, from draws of it.

    It is twice the share of draws on the rarer side of 0, counted so that it is never 0.

    Parameters
    ----------
    draws : array, shape (resample,)
        NaN where undefined, which does not count.

    Examples
    --------
    >>> p_value_of_draws(np.linspace(-0.1, 0.9, 99))
    0.22
    """
    defined = draws[~np.isnan(draws)]
    rarer = min((defined <= 0).sum(), (defined >= 0).sum())
    return min(1.0, 2 * float(rarer + 1) / (len(defined) + 1)) if len(defined) > 1 else np.nan


def bootstrap_over_images(
    statistic: Callable[..., NDArray[np.float64]],
    *per_image: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> Interval:
    """Compute the 95 % percentile interval and standard error of a statistic over images, by the bootstrap.

    Values of left-out images share most of their training images. Resampling them does not fit the regressions again,
    so the interval is too narrow for neural predictivity; :func:`jackknife_interval` is for that.

    Parameters
    ----------
    statistic : callable
        Function of the arrays and of ``axis``.
    per_image : arrays, shape (image,)
        Values of the same images, drawn together.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of draws.

    Returns
    -------
    Interval
        NaN when a value of an image is NaN. Draws in which the statistic is NaN do not count.

    Raises
    ------
    ArrayError
        With fewer than 2 images, or 2 draws.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> interval = bootstrap_over_images(np.mean, np.array([0.2, 0.4, 0.5, 0.7, 0.9]), rng=rng)
    >>> round(interval.low, 2), round(interval.high, 2)
    (0.34, 0.76)
    """
    images = len(per_image[0])
    drawn = draw_images(images, rng, resamples)
    if any(np.isnan(values).any() for values in per_image):
        return UNDEFINED
    return interval_of_draws(statistic(*(values[drawn] for values in per_image), axis=-1))


def control_false_discoveries(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values of many tests for the false discovery rate (Benjamini & Hochberg 1995).

    Rejecting adjusted values below q keeps the expected share of false discoveries at q or less.

    Parameters
    ----------
    p_values : array-like
        Of any shape; NaN does not count as a test and stays NaN.

    Returns
    -------
    array, shape of ``p_values``

    Raises
    ------
    ArrayError
        When a p value is not between 0 and 1.

    Examples
    --------
    >>> control_false_discoveries([0.01, 0.04, np.nan, 0.03]).round(2).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p_values, dtype=np.float64)
    if ((values < 0) | (values > 1)).any():
        raise ArrayError("A p value is not between 0 and 1.", "Give numbers between 0 and 1, or NaN.")
    adjusted = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested])
    return adjusted
