"""Compute what a model adds to the controls of a score, and its score when the typical map is taken out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.controls import (
    JOINT,
    ControlFits,
    ImageValues,
    cached_control_features,
    entry_of_values,
    expected_values,
    fields_of_controls,
    shrunk_typical_maps,
    values_of_entry,
)
from brainscore_itmaps.benchmark.folds import ImageFolds
from brainscore_itmaps.benchmark.formulas import ADDED
from brainscore_itmaps.benchmark.layers import score_field
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import (
    Predictions,
    fit_left_out,
    remembered,
    typical_maps,
    values_without_groups,
)
from brainscore_itmaps.metrics.partial import partial_alignment, partial_site_correlation
from brainscore_itmaps.metrics.predictivity import neural_predictivity, over_sites
from brainscore_itmaps.progress import Report, Steps
from brainscore_itmaps.protocol import Protocol

UNIQUE, GIVEN, WITHOUT_TYPICAL = ADDED
WITH_FEATURES = "with_features"
NAMES = (WITH_FEATURES, GIVEN, WITHOUT_TYPICAL)

Fitted = TypeVar("Fitted")
Given = list[tuple[Predictions, Predictions | None]]
"""Predictions of each control for every image left out once, and for pairs of groups."""


def given_controls(fits: ControlFits) -> Given:
    """Compute the predictions of fitted controls, for a comparison with those of several layers."""
    return [(remembered(single, 0), None if pairs is None else remembered(pairs, 0)) for single, pairs in fits.values()]


def added_values(
    key: str,
    given: Callable[[], Given],
    read_field: Callable[[], NDArray[np.floating[Any]]],
    recording: Recording,
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    cache: ResultCache,
    folds: ImageFolds,
    groups: int | None,
    progress: Report,
) -> dict[str, ImageValues]:
    """Compute the values of controls and features together, given the controls, and without the typical map.

    Parameters
    ----------
    key : str
        Of the layer, the recording, the regression, the groups and the protocol.
    given : callable
        Returns the predictions of the controls, from :func:`given_controls`. Called only if the values are not cached.
    read_field : callable
        Returns the layer's features, shape (image, y, x, channel). Called only if the values are not cached.
    recording, benchmark, protocol, cache, folds, groups, progress
        As in :func:`~brainscore_itmaps.benchmark.controls.fit_controls`.

    Returns
    -------
    dict of str to ImageValues
        By :data:`NAMES`.
    """

    def compute() -> dict[str, NDArray[np.float64] | None]:
        def steps(done: int, total: int) -> None:
            progress("comparing with controls", done, total)

        field, controls = read_field(), given()
        values = _values_of_predictions(field, controls, recording, benchmark, protocol, folds, groups, steps)
        joint = fields_of_controls(recording, cached_control_features(recording, cache, progress))[JOINT][0]
        both = np.concatenate([_scaled(joint), _scaled(field)], axis=-1)
        del field
        (score,) = score_field(
            both, [recording.maps], benchmark.method, protocol, groups, steps, folds.numbers, folds.left_out, True,
            shrunk_typical_maps(recording), paired=False,
        )  # fmt: skip
        return entry_of_values(values | {WITH_FEATURES: ImageValues.of(score).defined(folds.numbers)})

    entry = cache.computed(key, compute, expected_values(len(recording.images), groups, NAMES), progress)
    return {name: values_of_entry(entry, name) for name in NAMES}


def of_chosen_layers(values: Mapping[str, ImageValues], layer_of_image: Sequence[str]) -> ImageValues:
    """Take the values of each image from the layer that was chosen for it.

    Examples
    --------
    >>> shallow, deep = (ImageValues(np.full(2, value), np.full(2, value)) for value in (0.25, 0.5))
    >>> of_chosen_layers({"layer1": shallow, "layer4": deep}, ["layer4", "layer1"]).image_r.tolist()
    [0.5, 0.25]
    """

    def chosen(name: str) -> Any:
        arrays = [getattr(values[layer], name) for layer in layer_of_image]
        if arrays[0] is None:
            return None
        return np.stack([array[..., image] for image, array in enumerate(arrays)], axis=-1)

    return ImageValues(*(chosen(entry.name) for entry in fields(ImageValues)))


def _scaled(field: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Give a block of channels a variance of 1 in all; zeros if it does not vary."""
    variance = field.var(axis=(0, 1, 2), dtype=np.float64).sum()
    scaled: NDArray[np.float64] = field / np.sqrt(variance or np.inf)
    return scaled


def _values_of_predictions(
    field: NDArray[np.floating[Any]],
    controls: Given,
    recording: Recording,
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    folds: ImageFolds,
    groups: int | None,
    progress: Steps,
) -> dict[str, ImageValues]:
    """Compare the predictions of features with the maps, given the controls, and without the typical map."""
    maps = recording.maps

    def offsets(left_out: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        typical = typical_maps(maps, left_out)
        return [np.zeros_like(typical), typical]

    model = fit_left_out(field, [maps, maps], protocol.solver(benchmark.method), groups, folds.numbers, folds.left_out,
                         offsets=offsets, components=protocol.components, intercept=protocol.intercept,
                         progress=progress)  # fmt: skip

    def compare(number: int, fold: int) -> NDArray[np.float64]:
        """Return the four values of the images that a fold leaves out, shape (image, value)."""
        fitted = _fitted(model, number)
        left_out = fitted.folds[fold]
        recorded, typical = maps[left_out], typical_maps(maps, left_out[None])
        given = np.stack([_fitted(control, number).of(fold) for control in controls])
        predicted, deviation = fitted.of(fold, 0), fitted.of(fold, 1) - typical
        partial = over_sites(partial_site_correlation(predicted, recorded, given), protocol=protocol)
        return np.stack(
            [
                partial,
                partial_alignment(predicted, recorded, given),
                neural_predictivity(deviation, recorded - typical, protocol=protocol).image_r,
                feature_alignment(deviation, recorded - typical, protocol=protocol),
            ],
            axis=1,
        )

    single = np.empty((len(maps), 4))
    for fold, left_out in enumerate(folds.left_out):
        single[left_out] = compare(0, fold)
    refits = [None] * 4
    if model[1] is not None:
        refits = list(np.moveaxis(values_without_groups(model[1].folds, lambda fold: compare(1, fold)), -1, 0))
    return {
        name: ImageValues(single[:, r], single[:, r + 1], refits[r], refits[r + 1]).defined(folds.numbers)
        for name, r in ((GIVEN, 0), (WITHOUT_TYPICAL, 2))
    }


def _fitted(fits: tuple[Fitted, Fitted | None], number: int) -> Fitted:
    fitted = fits[number]
    assert fitted is not None
    return fitted
