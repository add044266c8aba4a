"""Intervals of scores over images, and tests of the difference between two models."""

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
        Between them lie 95 % of the draws.
    error : float
        Standard deviation of the draws: the standard error.
    """

    low: float
    high: float
    error: float


UNDEFINED = Interval(np.nan, np.nan, np.nan)


class Comparison(NamedTuple):
    """The comparison of two models on the same images.

    Attributes
    ----------
    difference : float
        Mean over images of first minus second.
    interval : Interval
        Of the difference, over images; expanded, because they are few (:func:`expansion`).
    p_value : float
        Two-sided: how often differences as large come up when each image's two values are swapped at random.
    """

    difference: float
    interval: Interval
    p_value: float


def draw_images(images: int, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    """Draw as many images as there are, with replacement.

    Returns
    -------
    array of int, shape (resample, image)

    Raises
    ------
    ArrayError
        With fewer than 2 images, or 2 draws.
    """
    if images < 2 or resamples < 2:
        raise ArrayError(
            f"{resamples} draws of {images} images give no interval.", "At least 2 images and 2 draws are needed."
        )
    return rng.integers(images, size=(resamples, images))


def interval_of_draws(draws: NDArray[np.float64], wider: float = 1.0) -> Interval:
    """Take the middle 95 % of the draws that are defined, and their standard deviation.

    Parameters
    ----------
    draws : array, shape (resample,)
        NaN where undefined.
    wider : float
        Factor on the normal quantile whose percentiles are taken (:func:`expansion`).
    """
    defined = draws[~np.isnan(draws)]
    if len(defined) < 2:
        return UNDEFINED
    tail = 100 * norm.cdf(wider * norm.ppf(0.025))
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high), float(defined.std(ddof=1)))


def bootstrap_over_images(
    statistic: Callable[..., NDArray[np.float64]],
    *per_image: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 10_000,
    expanded: bool = False,
) -> Interval:
    """Compute the 95 % percentile interval and standard error of a statistic over images drawn with replacement.

    Predictions of left-out images share most of their training images, so they are not independent: the interval
    says how much the score depends on which images were shown, not how it would spread over new recordings.

    Parameters
    ----------
    statistic : callable
        Takes the arrays and ``axis``.
    per_image : arrays, shape (image,)
        Drawn together, image by image.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of draws.
    expanded : bool
        Take outer percentiles for few images (:func:`expansion`), without which an interval covers less than it says.

    Returns
    -------
    Interval
        Of NaN when a value of an image is NaN. Draws in which the statistic is NaN do not count.

    Raises
    ------
    ArrayError
        As :func:`draw_images`.
    """
    images = len(per_image[0])
    drawn = draw_images(images, rng, resamples)
    if any(np.isnan(values).any() for values in per_image):
        return UNDEFINED
    draws = statistic(*(values[drawn] for values in per_image), axis=-1)
    return interval_of_draws(draws, expansion(images) if expanded else 1.0)


def expansion(images: int) -> float:
    """Compute how much wider an interval over few images has to be than by normal quantiles.

    The bootstrap's spread is too small by sqrt((n - 1) / n), and few images ask for Student's quantiles (Hesterberg
    2015, Am. Stat. 69:371, the expanded percentile interval): for 14 images 1.14.
    """
    wider = np.sqrt(images / (images - 1)) * student.ppf(0.975, images - 1) / norm.ppf(0.975)
    return float(wider)


def interval_of_arrays(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    images: Sequence[object],
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> Interval:
    """Compute the interval of the mean over arrays of (mean over images / mean over images of the ceiling).

    Arrays that were shown the same images are drawn the same ones.

    Parameters
    ----------
    pairs : sequence of (array, array), each of shape (image,)
        Values of the images and their ceilings, for each array.
    images : sequence
        What names the images of each array; equal where they are the same.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of draws.

    Returns
    -------
    Interval
        Of NaN when a value of an image is NaN. Draws of images whose ceilings are all 0 do not count.

    Raises
    ------
    ArrayError
        As :func:`draw_images`.
    """
    if any(np.isnan(values).any() or np.isnan(ceilings).any() for values, ceilings in pairs):
        return UNDEFINED
    drawn: dict[object, NDArray[np.int64]] = {}
    total = np.zeros(resamples)
    for (values, ceilings), shown in zip(pairs, images, strict=True):
        if shown not in drawn:
            drawn[shown] = draw_images(len(values), rng, resamples)
        with np.errstate(divide="ignore", invalid="ignore"):
            total += values[drawn[shown]].mean(axis=1) / ceilings[drawn[shown]].mean(axis=1)
    return interval_of_draws(np.where(np.isfinite(total), total, np.nan) / len(pairs))


def predictivity_interval(
    site_r: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    sites: bool = False,
    reducer: str = "median",
    resamples: int = 1000,
) -> Interval:
    """Compute the interval of a neural predictivity over images, and on demand sites, drawn with replacement.

    Parameters
    ----------
    site_r : array, shape (image, site)
        Of each map; NaN where undefined.
    rng : numpy Generator
        Source of randomness.
    sites : bool
        Draw sites too, the same for all images of a draw: how the score would spread over arrays like this one.
    reducer : "median" or "mean"
        Over sites.
    resamples : int
        Number of draws.

    Returns
    -------
    Interval
        Of NaN when an image has no site that is defined. Draws of sites that leave an image without any do not count.

    Raises
    ------
    ArrayError
        As :func:`draw_images`.
    """
    images, number = site_r.shape
    image_r = over_sites(site_r, reducer)
    if not sites or np.isnan(image_r).any():
        return bootstrap_over_images(np.mean, image_r, rng=rng, resamples=resamples)
    drawn_images = draw_images(images, rng, resamples)
    drawn_sites = rng.integers(number, size=(resamples, number))
    by_draw = over_sites(site_r[:, drawn_sites].reshape(images * resamples, number), reducer).reshape(images, resamples)
    return interval_of_draws(np.take_along_axis(by_draw, drawn_images.T, axis=0).mean(axis=0))


def compare_images(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator, resamples: int = 10_000
) -> Comparison:
    """Compare the values of two models image by image.

    Parameters
    ----------
    first, second : array, shape (image,)
        Of the same images in the same order.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Permutations, and draws of the interval. All permutations are tried when they are no more than these.

    Raises
    ------
    ArrayError
        When the shapes differ, a value is not finite, or there are fewer than 2 images.
    """
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ArrayError(
            f"{first.shape} and {second.shape} cannot be paired.", "Give one value an image for each model."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ArrayError("A value of an image is not finite.", "Leave that image out of both.")
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
    """Adjust the p values of many models (Benjamini & Hochberg 1995).

    Rejecting those below q keeps the expected share of false discoveries at q or less.

    Parameters
    ----------
    p_values : array-like
        Of any shape; an undefined one (NaN) counts as no test and stays NaN.

    Raises
    ------
    ArrayError
        When one is not between 0 and 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if ((values < 0) | (values > 1)).any():
        raise ArrayError("A p value is not between 0 and 1.", "Give probabilities.")
    adjusted = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested])
    return adjusted
