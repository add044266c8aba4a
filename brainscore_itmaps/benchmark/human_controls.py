"""Controls of human alignment: what agrees with human maps without having learned anything about the image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.clickme import ClickMe
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.metrics.partial import correlations_among, partial_correlation, powers_of_ranks, unit_ranks
from brainscore_itmaps.models.model import Model, untrained
from brainscore_itmaps.text import short_repr

CENTRE, OTHER_IMAGE, RANDOM_WEIGHTS = "centre", "other_image", "random_weights"
GIVEN = "nearness to the centre (its ranks, squared and cubed, too) and another image's map"
BLIND = 6
"""Number of compared variables that do not depend on random weights."""
RESAMPLES = 2000


@short_repr
@dataclass(frozen=True, eq=False)
class OverImages:
    """Values of images, with their mean.

    Attributes
    ----------
    values : array, shape (image,)
        NaN where undefined.
    mean : float
        Over the images where it is defined.
    interval : (float, float)
        95 % bootstrap interval of the mean over images.
    """

    values: NDArray[np.float64]
    mean: float
    interval: tuple[float, float]


def over_images(values: NDArray[np.float64], neighbours: bool = False) -> OverImages:
    """Average the defined values of images, with a 95 % bootstrap interval over images.

    Parameters
    ----------
    values : array, shape (image,)
    neighbours : bool
        Whether values of neighbours depend on a common image. Then runs of images are drawn (circular block
        bootstrap, Politis & Romano 1992), as long as the cube root of their number (Hall et al. 1995, Biometrika
        82:561).

    Examples
    --------
    >>> found = over_images(np.array([0.25, 0.5, np.nan, 0.75]))
    >>> found.mean, [round(end, 2) for end in found.interval]
    (0.5, [0.25, 0.75])
    """
    defined = values[np.isfinite(values)]
    if len(defined) < 2:
        return OverImages(values, float(defined.mean()) if len(defined) else np.nan, (np.nan, np.nan))
    length = round(len(defined) ** (1 / 3)) if neighbours else 1
    runs = np.mean([np.roll(defined, -shift) for shift in range(length)], axis=0)

    def mean_of_runs(drawn: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = drawn[:, : len(defined) // length].mean(axis=axis)
        return mean

    interval = bootstrap_over_images(mean_of_runs, runs, rng=np.random.default_rng(0), resamples=RESAMPLES)
    return OverImages(values, float(defined.mean()), (interval.low, interval.high))


def with_other_maps(examples: Iterable[ClickMe]) -> Iterator[tuple[ClickMe, NDArray[np.float32]]]:
    """Pair each image with the human map of the image before it, while only two images are in memory.

    The other map depends only on the order of the images, so that models are compared with the same one.

    Parameters
    ----------
    examples : iterable of ClickMe

    Yields
    ------
    ClickMe and array, shape (y, x)
        The second image first, and the first image, with the map of the last one, at the end. The map of a single
        image is paired with a constant one.

    Examples
    --------
    >>> maps = [ClickMe(np.zeros((4, 5, 3)), np.full((4, 5), number), label=number) for number in range(3)]
    >>> [(example.label, int(other[0, 0])) for example, other in with_other_maps(maps)]
    [(1, 0), (2, 1), (0, 2)]
    """
    first = previous = None
    for example in examples:
        if previous is not None:
            yield example, previous.heatmap
        first, previous = first or example, example
    if first is not None and previous is not None:
        yield first, np.zeros_like(first.heatmap) if previous is first else previous.heatmap


def random_models(model: Model, seeds: int) -> tuple[dict[int, Model], tuple[str, ...]]:
    """Build a model's architecture with random weights, several times.

    Parameters
    ----------
    model : Model
    seeds : int
        Number of seeds: 0, 1, ..., without the seed of the model itself if its weights are random.

    Returns
    -------
    models : dict of int to Model
        By seed.
    notes : tuple of str
        Why there are none, if the architecture cannot be re-initialised.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> list(random_models(load_model("timm:test_resnet", "random", seed=1), 2)[0])
    [0, 2]
    """
    own = model.weights.seed if model.weights.kind == "random" else None
    numbers = [seed for seed in range(seeds + 1) if seed != own][:seeds]
    try:
        return {seed: untrained(model, seed) for seed in numbers}, ()
    except ModelError as error:
        return {}, (f"the control with random weights was left out: {error.args[0]}",)


def nearness(height: int, width: int) -> NDArray[np.float64]:
    """Compute the nearness of each pixel to the centre of an image: minus the squared distance, in pixels.

    Its ranks are those of the distance, and equal distances are exactly equal.

    Returns
    -------
    array, shape (y, x)

    Examples
    --------
    >>> nearness(3, 2).tolist()
    [[-1.25, -1.25], [-0.25, -0.25], [-1.25, -1.25]]
    """
    y, x = (np.arange(size) - (size - 1) / 2 for size in (height, width))
    distance: NDArray[np.float64] = y[:, None] ** 2 + x**2
    return -distance


def correlations_with_controls(
    saliency: NDArray[np.float64],
    heatmaps: NDArray[np.float32],
    others: NDArray[np.float32],
    random: Sequence[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Compute rank correlations among saliency, human map and controls, image by image.

    Parameters
    ----------
    saliency, heatmaps, others : array, shape (image, y, x)
        Saliency of the model, human map, and human map of another image.
    random : sequence of array, shape (image, y, x)
        Saliency with random weights, for each seed.

    Returns
    -------
    array, shape (image, variable, variable)
        In the order saliency, human map, another image's map, nearness to the centre, its squared and cubed ranks, and
        each seed.

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(4, 2, 6, 5))
    >>> correlations_with_controls(*maps[:3], [maps[3]]).shape
    (2, 7, 7)
    """
    centre = unit_ranks(nearness(*heatmaps.shape[1:])[None])
    maps: Sequence[NDArray[Any]] = (saliency, heatmaps, others, *random)
    of_model, human, other, *seeds = (unit_ranks(each) for each in maps)
    return correlations_among([of_model, human, other, centre, *powers_of_ranks(centre), *seeds])


def controls_of(correlations: NDArray[np.float64], seeds: Sequence[int]) -> dict[str, OverImages]:
    """List the agreement of each control with the human maps: of random weights, the mean over seeds and each seed.

    A single seed is only its mean.

    Parameters
    ----------
    correlations : array, shape (image, variable, variable)
        As :func:`correlations_with_controls` returns them.
    seeds : sequence of int

    Examples
    --------
    >>> correlations = correlations_with_controls(*np.random.default_rng(0).normal(size=(3, 2, 6, 5)), [])
    >>> list(controls_of(correlations, []))
    ['centre', 'other_image']
    """
    human = correlations[:, 1]
    controls = {CENTRE: human[:, 3], OTHER_IMAGE: human[:, 2]}
    if seeds:
        controls[RANDOM_WEIGHTS] = human[:, BLIND:].mean(axis=1)
    if len(seeds) > 1:
        controls |= {f"{RANDOM_WEIGHTS}_{seed}": human[:, BLIND + index] for index, seed in enumerate(seeds)}
    return {name: over_images(values, neighbours=name == OTHER_IMAGE) for name, values in controls.items()}


def beyond_controls(correlations: NDArray[np.float64]) -> dict[str, OverImages]:
    """Compute what of the agreement of saliency and human map the controls leave.

    Parameters
    ----------
    correlations : array, shape (image, variable, variable)
        As :func:`correlations_with_controls` returns them.

    Returns
    -------
    dict of str to OverImages
        ``own_minus_other``: rho of the saliency with the human map of its image, minus with that of another image.
        ``partial``: partial Spearman correlation of saliency and human map, given another image's map and nearness to
        the centre, of which squared and cubed ranks are partialled out, too. With random weights also
        ``own_minus_other_random``, of the mean over seeds, and ``partial_with_random``, given the saliency of every
        seed, too.

    Examples
    --------
    >>> correlations = correlations_with_controls(*np.random.default_rng(0).normal(size=(3, 2, 6, 5)), [])
    >>> list(beyond_controls(correlations))
    ['own_minus_other', 'partial']
    """
    minus = correlations[:, :, 1] - correlations[:, :, 2]
    beyond = {"own_minus_other": minus[:, 0], "partial": partial_correlation(correlations[:, :BLIND, :BLIND])}
    if correlations.shape[1] > BLIND:
        beyond["own_minus_other_random"] = minus[:, BLIND:].mean(axis=1)
        beyond["partial_with_random"] = partial_correlation(correlations)
    return {name: over_images(values, neighbours=True) for name, values in beyond.items()}


def details_of(values: Mapping[str, OverImages]) -> dict[str, float]:
    """List means and ends of their intervals by name, as ``Result.details`` holds them.

    Examples
    --------
    >>> details_of({"partial": OverImages(np.zeros(0), 0.25, (0.125, 0.375))})
    {'partial': 0.25, 'partial_low': 0.125, 'partial_high': 0.375}
    """
    return {
        f"{name}{ending}": number
        for name, found in values.items()
        for ending, number in zip(("", "_low", "_high"), (found.mean, *found.interval), strict=True)
    }
