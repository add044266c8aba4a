"""How sure we are of a score."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap


def bootstrap_over_images(
    statistic: Callable[..., NDArray[np.float64]],
    *per_image: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> tuple[float, float, float]:
    """95 % percentile interval and standard error of a statistic, when images are drawn again with replacement.

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

    Returns
    -------
    low, high, standard_error : float
    """
    result = bootstrap(
        per_image, statistic, paired=True, vectorized=True, n_resamples=resamples, method="percentile", rng=rng
    )
    low, high = result.confidence_interval
    return float(low), float(high), float(result.standard_error)
