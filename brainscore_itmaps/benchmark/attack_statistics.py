"""Statistics of attacked images: how long perturbations are, and how much of their alignment the controls leave."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.human_controls import (
    BLIND,
    CENTRE,
    RANDOM_WEIGHTS,
    OverImages,
    details_of,
    over_images,
)
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.metrics.partial import partial_correlation

NOISE, GRADIENT = "noise", "gradient"
RESAMPLES = 2000
NOT_FOOLED = 1e30
"""Length that stands for that of images that were not fooled while medians are drawn."""


def controls_of_attacks(
    correlations: NDArray[np.float64], seeds: Sequence[int], minus_other: bool
) -> dict[str, OverImages]:
    """Compute the value of each control in the measure of the benchmark, over the images that were fooled.

    Parameters
    ----------
    correlations : array, shape (image, variable, variable)
        As :class:`~brainscore_itmaps.benchmark.attacked.Measured` holds them.
    seeds : sequence of int
        Seeds of random weights.
    minus_other : bool
        Whether the correlation with another image's human map is subtracted.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.human_controls import correlations_with_controls
    >>> maps = np.random.default_rng(0).normal(size=(5, 2, 6, 5))
    >>> correlations = correlations_with_controls(*maps[:3], list(maps[3:]))
    >>> list(controls_of_attacks(correlations, [], True))
    ['centre', 'noise', 'gradient']
    """
    values = correlations[:, :, 1] - (correlations[:, :, 2] if minus_other else 0)
    values = np.where(np.isfinite(correlations[:, 0, 1])[:, None], values, np.nan)
    controls = {CENTRE: values[:, 3], NOISE: values[:, BLIND], GRADIENT: values[:, BLIND + 1]}
    if len(seeds):
        controls[RANDOM_WEIGHTS] = values[:, BLIND + 2 :].mean(axis=1)
    if len(seeds) > 1:
        controls |= {f"{RANDOM_WEIGHTS}_{seed}": values[:, BLIND + 2 + at] for at, seed in enumerate(seeds)}
    return {name: over_images(each, neighbours=minus_other) for name, each in controls.items()}


def partial_alignments(correlations: NDArray[np.float64]) -> dict[str, OverImages]:
    """Compute the partial rank correlation of perturbation and human map, given controls.

    Parameters
    ----------
    correlations : array, shape (image, variable, variable)
        As :class:`~brainscore_itmaps.benchmark.attacked.Measured` holds them.

    Returns
    -------
    dict of str to OverImages
        ``partial``: given another image's human map and nearness to the centre (its ranks, squared and cubed, too).
        ``partial_with_gradient``: given noise and the model's own gradient saliency, too. With random weights also
        ``partial_with_random``, given the perturbation of every seed, too.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.human_controls import correlations_with_controls
    >>> maps = np.random.default_rng(0).normal(size=(5, 2, 6, 5))
    >>> correlations = correlations_with_controls(*maps[:3], list(maps[3:]))
    >>> list(partial_alignments(correlations))
    ['partial', 'partial_with_gradient']
    """
    ends = {"partial": BLIND, "partial_with_gradient": BLIND + 2}
    if correlations.shape[1] > BLIND + 2:
        ends["partial_with_random"] = correlations.shape[1]
    return {
        name: over_images(partial_correlation(correlations[:, :end, :end]), neighbours=True)
        for name, end in ends.items()
    }


def tolerances(norms: NDArray[np.float64], correct: NDArray[np.bool_]) -> dict[str, float]:
    """Summarise the length of perturbations over the images that are classified correctly.

    Parameters
    ----------
    norms : array, shape (image,)
        NaN where an image was not fooled.
    correct : bool array, shape (image,)

    Returns
    -------
    dict of str to float
        ``tolerance``: the median, with ``tolerance_low`` and ``tolerance_high``, a 95 % bootstrap interval over images;
        an image that was not fooled counts as longer than all others. ``tolerance_mean``, with its interval: over the
        images that were fooled. NaN where there are none.

    Examples
    --------
    >>> found = tolerances(np.array([0.1, 0.2, np.nan, 0.0]), np.array([True, True, True, False]))
    >>> found["tolerance"], round(found["tolerance_mean"], 2)
    (0.2, 0.15)
    """
    lengths = np.where(np.isnan(norms), np.inf, norms)[correct]
    mean = over_images(norms[correct])
    median, low, high = np.nan, np.nan, np.nan
    if len(lengths):
        median = float(np.median(lengths))
    if len(lengths) > 1:
        capped = np.where(np.isinf(lengths), NOT_FOOLED, lengths)
        low, high, _ = bootstrap_over_images(np.median, capped, rng=np.random.default_rng(0), resamples=RESAMPLES)
    values = {"tolerance": median, "tolerance_low": low, "tolerance_high": high}
    values = {name: value if value < NOT_FOOLED else np.nan for name, value in values.items()}
    return values | details_of({"tolerance_mean": mean})
