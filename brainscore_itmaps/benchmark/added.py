"""Compute what a model adds to the controls of a score, and its score when the typical map is taken out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

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
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import (
    FittedFolds,
    fit_left_out,
    several_folds,
    typical_maps,
    values_without_groups,
)
from brainscore_itmaps.metrics.partial import partial_alignment, partial_site_correlation
from brainscore_itmaps.metrics.predictivity import neural_predictivity, over_sites
from brainscore_itmaps.metrics.rows import Enlarged
from brainscore_itmaps.progress import Report, Steps
from brainscore_itmaps.protocol import Protocol

UNIQUE, GIVEN, WITHOUT_TYPICAL = ADDED
WITH_FEATURES = "with_features"
NAMES = (WITH_FEATURES, GIVEN, WITHOUT_TYPICAL)

Fits = tuple[FittedFolds, FittedFolds | None]


def added_values(
    key: str,
    fits: Callable[[], ControlFits],
    read: Callable[[], LayerFeatures],
    recording: Recording,
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    cache: ResultCache,
    folds: ImageFolds,
    groups: int | None,
    progress: Report,
    device: str = "",
) -> dict[str, ImageValues]:
    """Compute the values of controls and features together, given the controls, and without the typical map.

    Parameters
    ----------
    key : str
        Of the layer, the recording, the regression, the groups and the protocol.
    fits : callable
        Returns the regressions of :func:`~brainscore_itmaps.benchmark.controls.fit_controls`. Called only if the
        values are not cached.
    read : callable
        Returns the layer's features. Called only if the values are not cached.
    recording, benchmark, protocol, cache, folds, groups, progress
        As in :func:`~brainscore_itmaps.benchmark.controls.fit_controls`.
    device : str
        Device of the regressions, as in :func:`~brainscore_itmaps.metrics.folds.fit_folds`.

    Returns
    -------
    dict of str to ImageValues
        By :data:`NAMES`.
    """

    def compute() -> dict[str, NDArray[np.float64] | None]:
        def steps(done: int, total: int) -> None:
            progress("comparing with controls", done, total)

        features = read()
        values = _values_of_predictions(
            features.compact(recording.grid), fits(), recording, benchmark, protocol, folds, groups, steps, device
        )
        joint = fields_of_controls(recording, cached_control_features(recording, cache, progress))[JOINT][0]
        both = np.concatenate([joint, features.field(recording.grid)], axis=-1)
        del features
        for block in (both[..., : joint.shape[-1]], both[..., joint.shape[-1] :]):
            block /= np.sqrt(block.var(axis=(0, 1, 2)).sum() or np.inf)  # a variance of 1 in all, or zeros
        (score,) = score_field(
            both, [recording.maps], benchmark.method, protocol, groups, steps, folds.numbers, folds.left_out, True,
            shrunk_typical_maps(recording), paired=False, device=device,
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


def _values_of_predictions(
    field: NDArray[np.floating[Any]] | Enlarged,
    controls: ControlFits,
    recording: Recording,
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    folds: ImageFolds,
    groups: int | None,
    progress: Steps,
    device: str,
) -> dict[str, ImageValues]:
    """Compare the predictions of features with the maps, given the controls, and without the typical map."""
    maps = recording.maps

    def offsets(left_out: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        typical = typical_maps(maps, left_out)
        return [np.zeros_like(typical), typical]

    model = fit_left_out(field, [maps, maps], protocol.solver(benchmark.method), groups, folds.numbers, folds.left_out,
                         offsets=offsets, components=protocol.components, intercept=protocol.intercept,
                         progress=progress, device=device)  # fmt: skip

    def compare(number: int) -> list[NDArray[np.float64]]:
        """Return the four values of the images that each fold leaves out, shape (image, value)."""
        fitted, of_controls = _fitted(model, number), [_fitted(control, number) for control in controls.values()]
        values: list[NDArray[np.float64]] = []
        for some in several_folds(fitted.folds, maps[0].size * len(controls)):
            left_out = [np.flatnonzero(fitted.folds[fold]) for fold in some]
            images, counts = np.concatenate(left_out), [len(each) for each in left_out]
            recorded, typical = maps[images], np.repeat(typical_maps(maps, fitted.folds[some]), counts, axis=0)
            given = np.stack([_of(control, some) for control in of_controls])
            predicted, deviation = _of(fitted, some), _of(fitted, some, 1) - typical
            of_images = np.stack(
                [
                    over_sites(partial_site_correlation(predicted, recorded, given), protocol=protocol),
                    partial_alignment(predicted, recorded, given),
                    neural_predictivity(deviation, recorded - typical, protocol=protocol).image_r,
                    feature_alignment(deviation, recorded - typical, protocol=protocol),
                ],
                axis=1,
            )
            values += np.split(of_images, np.cumsum(counts)[:-1])
        return values

    single = np.empty((len(maps), 4))
    for left_out, values in zip(folds.left_out, compare(0), strict=True):
        single[left_out] = values
    refits = [None] * 4
    if model[1] is not None:
        refits = list(np.moveaxis(values_without_groups(model[1].folds, compare(1).__getitem__), -1, 0))
    return {
        name: ImageValues(single[:, r], single[:, r + 1], refits[r], refits[r + 1]).defined(folds.numbers)
        for name, r in ((GIVEN, 0), (WITHOUT_TYPICAL, 2))
    }


def _fitted(fits: Fits, number: int) -> FittedFolds:
    fitted = fits[number]
    assert fitted is not None
    return fitted


def _of(predictions: FittedFolds, folds: NDArray[np.int64], number: int = 0) -> NDArray[np.float64]:
    """Concatenate the predictions of the images that some folds leave out."""
    return np.concatenate([predictions.of(fold, number) for fold in folds])
