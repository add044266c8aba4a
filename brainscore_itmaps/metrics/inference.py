"""Compute bootstrap intervals of scores over images, and test the difference between two models."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control, norm, permutation_test
from scipy.stats import t as student

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.predictivity import over_sites


class Interval(NamedTuple):
    """A bootstrap interval.

    Attributes
    ----------
    low, high : float
        Limits of the middle 95 % of the draws.
    error : float
        Standard deviation of the draws: the standard error.
    """

    low: float
    high: float
    error: float


UNDEFINED = Interval(np.nan, np.nan, np.nan)


class Comparison(NamedTuple):
    """Comparison of two models on the same images.

    Attributes
    ----------
    difference : float
        Mean over images of first minus second.
    interval : Interval
        Of the difference, over images; expanded because images are few (:func:`expansion_factor`).
    p_value : float
        Two-sided: probability of a difference at least as large when the two values of each image are swapped at
        random.
    """

    difference: float
    interval: Interval
    p_value: float


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


def interval_of_draws(draws: NDArray[np.float64], factor: float = 1.0) -> Interval:
    """Compute the 95 % percentile interval and the standard deviation of bootstrap draws.

    Parameters
    ----------
    draws : array, shape (resample,)
        Values of the statistic; NaN where undefined, which does not count.
    factor : float
        Factor on the normal quantile that sets the percentiles (:func:`expansion_factor`).

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
    tail = 100 * norm.cdf(factor * norm.ppf(0.025))
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high), float(defined.std(ddof=1)))


def bootstrap_over_images(
    statistic: Callable[..., NDArray[np.float64]],
    *per_image: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 10_000,
    expanded: bool = False,
) -> Interval:
    """Compute the 95 % percentile interval and standard error of a statistic over images, by the bootstrap.

    Predictions of left-out images share most of their training images, so they are not independent: the interval
    says how much the score depends on the choice of images, not how it would spread over new recordings.

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
    expanded : bool
        Widen the interval for few images (:func:`expansion_factor`); otherwise it covers less than 95 %.

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
    draws = statistic(*(values[drawn] for values in per_image), axis=-1)
    return interval_of_draws(draws, expansion_factor(images) if expanded else 1.0)


def expansion_factor(images: int) -> float:
    """Compute the factor by which an interval over few images must exceed one by normal quantiles.

    The bootstrap's spread is too small by sqrt((n - 1) / n), and few images require Student's quantiles (Hesterberg
    2015, Am. Stat. 69:371, the expanded percentile interval).

    Examples
    --------
    >>> round(expansion_factor(14), 2)
    1.14
    """
    factor = np.sqrt(images / (images - 1)) * student.ppf(0.975, images - 1) / norm.ppf(0.975)
    return float(factor)


def interval_of_arrays(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    images: Sequence[object],
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> Interval:
    """Compute the interval over images of a score divided by the noise ceiling and averaged over arrays.

    The score of an array is the mean of its values over images, divided by the mean of its ceilings over images.
    Arrays that show the same images share the draws of images.

    Parameters
    ----------
    pairs : sequence of (array, array), each of shape (image,)
        Values of the images and their noise ceilings, for each array.
    images : sequence
        Identifier of the images of each array; equal for arrays that show the same images.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of draws.

    Returns
    -------
    Interval
        NaN when a value of an image is NaN. Draws of images whose ceilings are all 0 do not count.

    Raises
    ------
    ArrayError
        With fewer than 2 images, or 2 draws.

    Examples
    --------
    >>> first = np.array([0.3, 0.4, 0.6]), np.array([0.8, 0.7, 0.9])
    >>> second = np.array([0.2, 0.5, 0.3, 0.4]), np.array([0.6, 0.8, 0.7, 0.9])
    >>> interval = interval_of_arrays([first, second], ["set A", "set B"], np.random.default_rng(0))
    >>> round(interval.low, 2), round(interval.high, 2)
    (0.41, 0.59)
    """
    if any(np.isnan(values).any() or np.isnan(ceilings).any() for values, ceilings in pairs):
        return UNDEFINED
    drawn: dict[object, NDArray[np.int64]] = {}
    total = np.zeros(resamples)
    for (values, ceilings), image_set in zip(pairs, images, strict=True):
        if image_set not in drawn:
            drawn[image_set] = draw_images(len(values), rng, resamples)
        with np.errstate(divide="ignore", invalid="ignore"):
            total += values[drawn[image_set]].mean(axis=1) / ceilings[drawn[image_set]].mean(axis=1)
    return interval_of_draws(np.where(np.isfinite(total), total, np.nan) / len(pairs))


def predictivity_interval(
    site_r: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    sites: bool = False,
    reducer: str = "median",
    resamples: int = 1000,
) -> Interval:
    """Compute the bootstrap interval of neural predictivity over images, or over images and sites.

    Parameters
    ----------
    site_r : array, shape (image, site)
        Correlation of each map; NaN where undefined.
    rng : numpy Generator
        Source of randomness.
    sites : bool
        Draw sites too, the same for all images of a draw: the interval then covers the spread over similar arrays.
    reducer : "median" or "mean"
        Reduction over sites.
    resamples : int
        Number of draws.

    Returns
    -------
    Interval
        NaN when an image has no defined site. Draws of sites that leave an image without a defined site do not count.

    Raises
    ------
    ArrayError
        With fewer than 2 images, or 2 draws.

    Examples
    --------
    >>> site_r = np.array([[0.5, 0.7, 0.6], [0.2, 0.4, np.nan], [0.6, 0.8, 0.9], [0.4, 0.3, 0.5]])
    >>> interval = predictivity_interval(site_r, np.random.default_rng(0), sites=True)
    >>> round(interval.low, 2), round(interval.high, 2)
    (0.33, 0.75)
    """
    images, site_count = site_r.shape
    image_r = over_sites(site_r, reducer)
    if not sites or np.isnan(image_r).any():
        return bootstrap_over_images(np.mean, image_r, rng=rng, resamples=resamples)
    drawn_images = draw_images(images, rng, resamples)
    drawn_sites = rng.integers(site_count, size=(resamples, site_count))
    by_draw = over_sites(site_r[:, drawn_sites].reshape(images * resamples, site_count), reducer).reshape(
        images, resamples
    )
    return interval_of_draws(np.take_along_axis(by_draw, drawn_images.T, axis=0).mean(axis=0))


def compare_images(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator, resamples: int = 10_000
) -> Comparison:
    """Compute the difference between two models on the same images, its interval and a permutation test.

    Parameters
    ----------
    first, second : array, shape (image,)
        Values of the two models, in the same order of images.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of permutations, and of bootstrap draws. The test is exact when there are no more permutations than this.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or there are fewer than 2 images.

    Examples
    --------
    >>> first, second = np.array([0.5, 0.6, 0.7, 0.4, 0.8]), np.array([0.4, 0.4, 0.6, 0.3, 0.5])
    >>> comparison = compare_images(first, second, np.random.default_rng(0))
    >>> round(comparison.difference, 2), comparison.p_value
    (0.16, 0.0625)
    """
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ArrayError(
            f"Values of shape {first.shape} and {second.shape} cannot be paired.",
            "Give one value per image for each model, and at least 2 images.",
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ArrayError("A value of an image is not finite.", "Leave that image out of both models.")
    test = permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=rng,
    )
    interval = bootstrap_over_images(np.mean, first - second, rng=rng, resamples=resamples, expanded=True)
    return Comparison(float(np.mean(first - second)), interval, float(test.pvalue))


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
    values = np.asarray(p_values, dtype=np.float64)
    if ((values < 0) | (values > 1)).any():
        raise ArrayError("A p value is not between 0 and 1.", "Give numbers between 0 and 1, or NaN.")
    adjusted = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested])
    return adjusted
