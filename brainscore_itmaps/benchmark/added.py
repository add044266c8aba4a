"""Compute what a model adds to the controls of a score, and its score when the typical map is taken out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
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
from brainscore_itmaps.benchmark.layers import in_precision
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import (
    FittedFolds,
    fit_folds,
    several_folds,
    typical_maps,
    values_without_groups,
)
from brainscore_itmaps.metrics.partial import partial_alignment, partial_site_correlation
from brainscore_itmaps.metrics.predictivity import neural_predictivity, over_sites
from brainscore_itmaps.metrics.rows import Enlarged
from brainscore_itmaps.progress import Report, Steps
from brainscore_itmaps.protocol import Protocol
from brainscore_itmaps.text import short_repr

UNIQUE, GIVEN, WITHOUT_TYPICAL = ADDED
WITH_FEATURES = "with_features"
NAMES = (WITH_FEATURES, GIVEN, WITHOUT_TYPICAL)


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
    needed: NDArray[np.bool_],
    device: str = "",
) -> dict[str, ImageValues]:
    """Compute the values of controls and features together, given the controls, and without the typical map.

    Parameters
    ----------
    key : str
        Of the layer, the recording, the regression, the groups, the protocol and the needed images.
    fits : callable
        Returns the regressions of :func:`~brainscore_itmaps.benchmark.controls.fit_controls`. Called only if the
        values are not cached.
    read : callable
        Returns the layer's features. Called only if the values are not cached.
    recording, benchmark, protocol, cache, folds, groups, progress
        As in :func:`~brainscore_itmaps.benchmark.controls.fit_controls`.
    needed : array of bool, shape (image,)
        Images for which the layer was chosen; only regressions without them are fitted, and the values of others are 0.
    device : str
        Device of the regressions, as in :func:`~brainscore_itmaps.metrics.folds.fit_folds`.

    Returns
    -------
    dict of str to ImageValues
        By :data:`NAMES`.
    """

    maps = recording.maps

    def typical(left_out: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        mean = typical_maps(maps, left_out)
        return [np.zeros_like(mean), mean]

    def compute() -> dict[str, NDArray[np.float64] | None]:
        features, controls = read(), fits()
        _, pairs = controls[JOINT]
        task = Task(recording, benchmark, protocol, folds, None if pairs is None else pairs.folds, needed, device)
        steps = partial(progress, "comparing with controls")
        alone = task.fit(features.compact(recording.grid), [maps, maps], typical, steps)
        given, deviations = _compared(alone, task, controls)
        del alone
        joint = fields_of_controls(recording, cached_control_features(recording, cache, progress))[JOINT][0]
        both = np.concatenate([joint, features.field(recording.grid)], axis=-1)
        del features
        for block in (both[..., : joint.shape[-1]], both[..., joint.shape[-1] :]):
            block /= np.sqrt(block.var(axis=(0, 1, 2)).sum() or np.inf)  # a variance of 1 in all, or zeros
        together = task.fit(both, [maps], shrunk_typical_maps(recording), steps)
        added = task.arranged(together, lambda fitted, some, _: _measures(
            fitted.of_several(some), maps[fitted.images_of(some)], protocol))  # fmt: skip
        return entry_of_values({WITH_FEATURES: added[0], GIVEN: given, WITHOUT_TYPICAL: deviations})

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


Fits = list[tuple[NDArray[np.int64], FittedFolds]]
"""Regressions, with the numbers of their folds among those of a task."""


@short_repr
@dataclass(frozen=True, eq=False)
class Task:
    """What a layer is compared with, on the images for which it was chosen.

    Attributes
    ----------
    recording, benchmark, protocol, folds
        As in :func:`added_values`.
    pairs : array of bool, shape (fold, image), or None
        Folds without pairs of groups.
    needed : array of bool, shape (image,)
    device : str
    """

    recording: Recording
    benchmark: BenchmarkSpec
    protocol: Protocol
    folds: ImageFolds
    pairs: NDArray[np.bool_] | None
    needed: NDArray[np.bool_]
    device: str

    def fit(
        self,
        field: NDArray[np.floating[Any]] | Enlarged,
        sets: list[NDArray[Any]],
        offsets: Callable[[NDArray[np.bool_]], list[NDArray[np.float64]]],
        progress: Steps,
    ) -> Fits:
        """Fit the regressions without needed images: those that leave out an image once, and those without pairs."""
        single, solver = self.folds.left_out, self.protocol.solver(self.benchmark.method)
        every = single if self.pairs is None else np.concatenate([single, self.pairs])
        numbers = np.flatnonzero((every & self.needed).any(axis=1))
        parts = [numbers] if solver == "pls" else [numbers[numbers < len(single)], numbers[numbers >= len(single)]]
        return [
            (part, fit_folds(field, sets, every[part], solver, images=self.folds.numbers, offsets=offsets(every[part]),
                             components=self.protocol.components, intercept=self.protocol.intercept,
                             progress=progress, device=self.device))
            for part in parts if len(part)
        ]  # fmt: skip

    def arranged(
        self, fits: Fits, values: Callable[[FittedFolds, NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
        size: int = 1,
    ) -> list[ImageValues]:  # fmt: skip
        """Compute values of the images that folds leave out, and arrange pairs of them as values of images.

        ``values`` takes regressions, the folds to evaluate and their numbers; it returns (image left out, value).
        """
        single, maps = self.folds.left_out, self.recording.maps
        of_folds: dict[int, NDArray[np.float64]] = {}
        for part, fitted in fits:
            for some in several_folds(fitted.folds, maps[0].size * size):
                counts = fitted.folds[some].sum(axis=1)
                found = np.split(values(fitted, some, part[some]), np.cumsum(counts)[:-1])
                of_folds |= dict(zip(part[some].tolist(), found, strict=True))
        count = next(iter(of_folds.values())).shape[1]
        of_images = np.full((len(maps), count), np.nan)
        for fold, left_out in enumerate(single):
            if fold in of_folds:
                of_images[left_out] = of_folds[fold]
        refits: list[Any] = [None] * count
        if (pairs := self.pairs) is not None:

            def of_pair(fold: int) -> NDArray[np.float64]:
                found = of_folds.get(len(single) + fold)
                return np.full((pairs[fold].sum(), count), np.nan) if found is None else found

            refits = list(np.moveaxis(values_without_groups(pairs, of_pair), -1, 0))
        return [
            ImageValues(*of_images[:, r : r + 2].T.copy(), *refits[r : r + 2]).defined(self.folds.numbers)
            for r in range(0, count, 2)
        ]


def _measures(
    predicted: NDArray[np.float64], recorded: NDArray[Any], protocol: Protocol
) -> NDArray[np.float64]:  # fmt: skip
    """Compare predicted with recorded maps in both measures, shape (image, 2)."""
    predicted, recorded = in_precision(protocol, predicted, recorded)
    image_r = neural_predictivity(predicted, recorded, protocol=protocol).image_r
    return np.stack([image_r, feature_alignment(predicted, recorded, protocol=protocol)], axis=1)


def _compared(fits: Fits, task: Task, controls: ControlFits) -> list[ImageValues]:
    """Compare the predictions of features with the maps, given the controls, and without the typical map."""
    maps, protocol, first = task.recording.maps, task.protocol, len(task.folds.left_out)

    def of_control(fits: tuple[FittedFolds, FittedFolds | None], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        single, pairs = fits
        return np.concatenate(
            [single.of(fold) if fold < first or pairs is None else pairs.of(fold - first) for fold in numbers]
        )

    def values(fitted: FittedFolds, some: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        recorded, counts = maps[fitted.images_of(some)], fitted.folds[some].sum(axis=1)
        typical = np.repeat(typical_maps(maps, fitted.folds[some]), counts, axis=0)
        given = np.stack([of_control(control, numbers) for control in controls.values()])
        predicted, deviation = fitted.of_several(some), fitted.of_several(some, 1) - typical
        return np.stack(
            [
                over_sites(partial_site_correlation(predicted, recorded, given), protocol=protocol),
                partial_alignment(predicted, recorded, given),
                neural_predictivity(deviation, recorded - typical, protocol=protocol).image_r,
                feature_alignment(deviation, recorded - typical, protocol=protocol),
            ],
            axis=1,
        )

    return task.arranged(fits, values, size=len(controls))
