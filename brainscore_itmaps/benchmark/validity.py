"""Estimate what stands beside the score of an array: its controls, what the model adds to them, and its null."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.added import (
    GIVEN,
    NAMES,
    UNIQUE,
    WITH_FEATURES,
    WITHOUT_TYPICAL,
    added_values,
    of_chosen_layers,
)
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.ceilings import ceiling_of, missing_ceiling
from brainscore_itmaps.benchmark.controls import JOINT, ImageValues, fit_controls, score_controls
from brainscore_itmaps.benchmark.estimate import Estimate, estimate_array, mean_estimate
from brainscore_itmaps.benchmark.folds import ImageFolds
from brainscore_itmaps.benchmark.layers import FeatureScore
from brainscore_itmaps.benchmark.request import ScoreRequest, interval_kind
from brainscore_itmaps.benchmark.result import ArrayResult, Null
from brainscore_itmaps.cache import ResultCache, key_of
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.features.controls import SETTINGS
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.ceiling import Ceiling
from brainscore_itmaps.metrics.nulls import Range, pairing_null, range_of_rotations, range_of_shifts
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import Protocol, protocol_named
from brainscore_itmaps.threads import computed_once


class Job(NamedTuple):
    """What an array is scored with."""

    recording: Recording
    benchmark: BenchmarkSpec
    request: ScoreRequest
    protocol: Protocol
    folds: ImageFolds
    cache: ResultCache
    device: str


RANDOM_WEIGHTS = "random_weights"
FEWEST_POSITIONS = 20
Values = tuple[NDArray[np.float64], NDArray[np.float64] | None]
EstimateOf = Callable[[NDArray[np.float64], NDArray[np.float64] | None], Estimate]
"""Function of the values of the images and of those without each group that estimates a score."""
FIELDS = {"predictivity": ("image_r", "refit_r"), "alignment": ("map_rho", "refit_rho"),
          "attribution": ("map_rho", "refit_rho")}  # fmt: skip
"""Fields of :class:`ImageValues` for each measure; these controls of attribution are predicted maps."""


def values_in_measure(values: ImageValues, measure: str) -> Values:
    """Return the values of the images in a measure, and those without each group.

    Examples
    --------
    >>> values_in_measure(ImageValues(np.array([0.25]), np.array([0.5])), "alignment")
    (array([0.5]), None)
    """
    single, refits = FIELDS[measure]
    return getattr(values, single), getattr(values, refits)


def best_control(controls: Mapping[str, ImageValues], measure: str) -> ImageValues:
    """Return the values of the control, or of all controls together, that is best over all images; 0 if all are below.

    Examples
    --------
    >>> low, high = (ImageValues(np.full(2, value), np.full(2, value)) for value in (0.25, 0.5))
    >>> best_control({"contrast": low, "joint": high}, "predictivity").image_r.tolist()
    [0.5, 0.5]
    """
    best = max(controls.values(), key=lambda values: float(values_in_measure(values, measure)[0].mean()))
    if values_in_measure(best, measure)[0].mean() >= 0:
        return best
    return ImageValues(*(None if array is None else 0 * array for array in vars(best).values()))  # type: ignore[arg-type]


def estimate_controls(controls: Mapping[str, ImageValues], measure: str, estimate: EstimateOf) -> dict[str, Estimate]:
    """Estimate the score of each control.

    Examples
    --------
    >>> controls = {"contrast": ImageValues(np.full(2, 0.25), np.full(2, 0.5)), "joint": None}
    >>> estimated = estimate_controls(controls, "alignment", lambda values, refits: Estimate(float(values.mean())))
    >>> {name: value.raw for name, value in estimated.items()}
    {'contrast': 0.5}
    """
    return {name: estimate(*values_in_measure(values, measure)) for name, values in controls.items() if name != JOINT}


def estimate_added(
    controls: Mapping[str, ImageValues],
    added: Mapping[str, ImageValues],
    measure: str,
    positions: int,
    estimate: EstimateOf,
    estimate_without_typical: EstimateOf,
) -> dict[str, Estimate]:
    """Estimate what a model adds: unique, given the controls, and without the typical map.

    Parameters
    ----------
    controls : mapping of str to ImageValues
        From :func:`~brainscore_itmaps.benchmark.controls.score_controls`.
    added : mapping of str to ImageValues
        From :func:`~brainscore_itmaps.benchmark.added.added_values`, for the chosen layers.
    measure : str
    positions : int
        Number of positions of a map; a partial correlation needs :data:`FEWEST_POSITIONS`.
    estimate, estimate_without_typical : callable
        The latter divides by the noise ceiling of the maps without the typical map.

    Returns
    -------
    dict of str to Estimate
    """
    gain = added[WITH_FEATURES].minus(best_control(controls, measure))
    too_few = Estimate(reason=f"maps of {positions} positions are too few for a correlation given {len(controls)} maps")
    given = estimate(*values_in_measure(added[GIVEN], measure))
    return {
        UNIQUE: estimate(*values_in_measure(gain, measure)),
        GIVEN: given if positions >= FEWEST_POSITIONS else too_few,
        WITHOUT_TYPICAL: estimate_without_typical(*values_in_measure(added[WITHOUT_TYPICAL], measure)),
    }


def estimate_values(
    values: NDArray[np.float64],
    refits: NDArray[np.float64] | None,
    recording: Recording,
    ceiling: Ceiling | None,
    benchmark: BenchmarkSpec,
    request: ScoreRequest,
    folds: ImageFolds,
) -> Estimate:
    """Estimate a score from the values of the images, or only the raw value where there is no noise ceiling.

    Parameters
    ----------
    values : array, shape (image,)
    refits : array, shape (group, image), or None
        As in :func:`~brainscore_itmaps.benchmark.estimate.estimate_array`.
    recording : Recording
    ceiling : Ceiling or None
    benchmark : BenchmarkSpec
    request : ScoreRequest
    folds : ImageFolds

    Returns
    -------
    Estimate
    """
    kind = interval_kind(request, benchmark)
    if ceiling is None:
        reason = missing_ceiling(recording, benchmark, protocol_named(request.protocol))
        return Estimate(float(values.mean()), interval_kind=kind, reason=reason)
    return estimate_array(values, ceiling, refits, folds.groups(kind), kind if refits is not None else "fixed")


def control_tasks(
    layers: Sequence[str],
    job: Job,
    keys: Mapping[str, Mapping[str, Any]],
    read: Callable[[], Mapping[str, LayerFeatures]],
    with_ceiling: bool,
) -> dict[str, Callable[[Report], Any]]:
    """List the computations that :func:`with_controls` needs, which do not depend on each other.

    Parameters
    ----------
    layers : sequence of str
        Chosen layers.
    job : Job
    keys : mapping of layer to mapping
        What identifies each score in the cache.
    read : callable
        Returns the features of the chosen layers.
    with_ceiling : bool
        Whether the recording has a noise ceiling.

    Returns
    -------
    dict of str to callable
        Each takes a progress callback.
    """
    recording, benchmark, request, protocol, folds, cache, device = job
    kind = interval_kind(request, benchmark)
    groups, named = folds.refitted(kind), list(dict.fromkeys(layers))
    arguments = recording, benchmark, protocol, cache, folds, groups
    fits = computed_once(lambda: fit_controls(*arguments, silent))
    tasks: dict[str, Callable[[Report], Any]] = {"controls": lambda report: score_controls(fits, *arguments, report)}
    if benchmark.measure == "attribution":
        return tasks

    def added(layer: str, report: Report) -> dict[str, ImageValues]:
        needed = np.array([chosen == layer for chosen in layers])
        part = {} if needed.all() else {"images": needed.tolist()}
        key = key_of(added=dict(keys[layer]) | {"groups": groups} | part, settings=SETTINGS)
        return added_values(key, fits, lambda: read()[layer], *arguments, report, needed, device)

    tasks |= {f"added {layer}": partial(added, layer) for layer in named}
    if with_ceiling:
        tasks["remaining"] = lambda report: ceiling_of(
            recording, benchmark, cache, protocol, request.seed, report, kind, typical=False
        )
    return tasks


def with_controls(
    result: ArrayResult,
    job: Job,
    ceiling: Ceiling | None,
    scores: Mapping[str, FeatureScore],
    computed: Mapping[str, Any],
) -> ArrayResult:
    """Add controls, what the model adds to them, and the null distribution to the result of an array.

    Parameters
    ----------
    result : ArrayResult
    job : Job
    ceiling : Ceiling or None
    scores : mapping of layer to FeatureScore
    computed : mapping of str
        The results of :func:`control_tasks`, by their names.

    Returns
    -------
    ArrayResult
    """
    recording, benchmark, request, _, folds, _, _ = job
    measure, controls = benchmark.measure, computed["controls"]

    def estimate(
        values: NDArray[np.float64], refits: NDArray[np.float64] | None, of: Ceiling | None = ceiling
    ) -> Estimate:
        return estimate_values(values, refits, recording, of, benchmark, request, folds)

    estimates = estimate_controls(controls, measure, estimate)
    if result.saliency is not None:  # attribution, whose other controls are attribution maps, too
        of_saliency = {"centre": result.saliency.centre_rho, RANDOM_WEIGHTS: result.saliency.random_rho}
        estimates |= {name: estimate(rho, None) for name, rho in of_saliency.items() if not np.isnan(rho).any()}
    result = replace(result, controls=estimates)
    if measure == "attribution":
        return result
    added = {layer: computed[f"added {layer}"] for layer in dict.fromkeys(result.layer_of_image)}
    chosen = {name: of_chosen_layers({layer: values[name] for layer, values in added.items()}, result.layer_of_image)
              for name in NAMES}  # fmt: skip
    return replace(
        result,
        added=estimate_added(
            controls,
            chosen,
            measure,
            recording.maps[0, ..., 0].size,
            estimate,
            partial(estimate, of=computed.get("remaining")),
        ),
        null=_null(result, scores, job),
    )


def _null(result: ArrayResult, scores: Mapping[str, FeatureScore], job: Job) -> Null | None:
    """Compute the null distribution of an array's raw value; None without pairs of groups."""
    measure, protocol = job.benchmark.measure, job.protocol
    name = {"predictivity": "paired_r", "alignment": "paired_rho"}[measure]
    rows = [getattr(scores[layer], name) for layer in result.layer_of_image]
    if rows[0] is None or (len(scores) > 1 and protocol.choose_layer == "best"):  # chosen on the scored images
        return None
    paired = np.stack([row[image] for image, row in enumerate(rows)])
    paired = mean_over_identical(paired, job.folds.numbers)
    return null_of(paired, result.predicted, job.recording.maps, measure, protocol, job.request.seed)


def mean_over_identical(paired: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the values of pairs over identical images, which cannot be told apart; shape (different, different).

    Examples
    --------
    >>> mean_over_identical(np.arange(9.0).reshape(3, 3), np.array([0, 1, 0])).tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    members = np.unique(numbers)[:, None] == numbers
    mean = members / members.sum(axis=1, keepdims=True)
    averaged: NDArray[np.float64] = mean @ paired @ mean.T
    return averaged


def null_of(
    paired: NDArray[np.float64],
    predicted: NDArray[np.float64],
    maps: NDArray[np.float64],
    measure: str,
    protocol: Protocol,
    seed: int,
) -> Null:
    """Compute the null distribution of a raw value from the values of all pairs of images.

    Parameters
    ----------
    paired : array, shape (image, image)
        From :func:`~brainscore_itmaps.metrics.nulls.paired_values`.
    predicted, maps : array, shape (image, y, x, site)
    measure : "predictivity" or "alignment"
    protocol : Protocol
    seed : int

    Returns
    -------
    Null

    Examples
    --------
    >>> from brainscore_itmaps.protocol import OURS
    >>> maps = np.random.default_rng(0).normal(size=(7, 5, 4, 3))
    >>> null_of(np.eye(7), maps, maps, "predictivity", OURS, seed=0).p_value < 0.001
    True
    """
    moved = (predicted, maps, measure, protocol)
    return Null(*pairing_null([paired], rng=seed), range_of_shifts(*moved), range_of_rotations(*moved), paired)


def mean_controls(arrays: Sequence[ArrayResult], images: Sequence[Hashable], seed: int) -> dict[str, Any]:
    """Average the controls of several arrays, what the model adds to them, and their null distributions.

    Parameters
    ----------
    arrays : sequence of ArrayResult
    images : sequence
        What identifies the images of each array, as in :func:`~brainscore_itmaps.benchmark.estimate.mean_estimate`.
    seed : int

    Returns
    -------
    dict
        ``controls``, ``added`` and ``null`` of a :class:`~brainscore_itmaps.benchmark.result.Result`; of the controls
        that all arrays have.
    """
    means: dict[str, Any] = {}
    for kind in ("controls", "added"):
        estimates = [getattr(array, kind) for array in arrays]
        shared = [name for name in estimates[0] if all(name in other for other in estimates)]
        means[kind] = {name: mean_estimate([each[name] for each in estimates], images) for name in shared}
    nulls = [array.null for array in arrays if array.null is not None]
    means["null"] = None
    if len(nulls) == len(arrays):
        paired = [null.paired for null in nulls if null.paired is not None]
        shifts, rotations = (Range(*np.mean([getattr(null, name) for null in nulls], axis=0).tolist())
                             for name in ("shifts", "rotations"))  # fmt: skip
        null = Null(*pairing_null(paired, images, seed), shifts, rotations)
        means["null"] = nulls[0] if len(nulls) == 1 else null
    return means
