"""Score controls: what predicts the maps of a recording without a model.

Every control is scored with the folds, regression, measure and noise ceiling of the benchmark. ``typical_map`` is the
mean map of the training images; the others are regressions on features that need no model
(:mod:`brainscore_itmaps.features.controls`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.folds import ImageFolds
from brainscore_itmaps.benchmark.layers import BOUND, FeatureScore, score_fits
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.features.controls import CHANNELS, SETTINGS, control_features
from brainscore_itmaps.files import sha256
from brainscore_itmaps.metrics.folds import FittedFolds, fit_left_out, groups_left_out, typical_maps
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import Protocol
from brainscore_itmaps.text import short_repr

TYPICAL_MAP = "typical_map"
JOINT = "joint"
"""Name of the regression on all controls together."""
CONTROLS = (TYPICAL_MAP, *CHANNELS)
Offsets = Callable[[NDArray[np.bool_]], list[NDArray[np.float64]]]
"""Function of folds (fold, image) that returns a map for each fold and site, in a list with one entry."""
ControlFits = dict[str, tuple[FittedFolds, FittedFolds | None]]
"""Regressions of each control that leave out every image once, and those that leave out pairs of groups."""


@short_repr
@dataclass(frozen=True, eq=False)
class ImageValues:
    """Values of the images in both measures, also from regressions that are fitted without a group of images.

    Attributes
    ----------
    image_r, map_rho : array, shape (image,)
    refit_r, refit_rho : array, shape (group, image), or None
        As in :class:`~brainscore_itmaps.benchmark.layers.FeatureScore`.
    """

    image_r: NDArray[np.float64]
    map_rho: NDArray[np.float64]
    refit_r: NDArray[np.float64] | None = None
    refit_rho: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, score: FeatureScore) -> "ImageValues":
        """Return the values of a score."""
        return cls(score.image_r, score.map_rho, score.refit_r, score.refit_rho)

    def defined(self, numbers: NDArray[np.int64]) -> "ImageValues":
        """Replace undefined values by 0: the prediction for an image is constant, so it says nothing about the map.

        ``numbers`` are those of :class:`~brainscore_itmaps.benchmark.folds.ImageFolds`. The values of the images of a
        row's own group stay NaN.
        """
        return ImageValues(*(None if array is None else _defined(array, numbers) for array in vars(self).values()))  # type: ignore[arg-type]

    def minus(self, other: "ImageValues") -> "ImageValues":
        """Subtract the values of another prediction of the same maps."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return ImageValues(*(None if first is None or second is None else first - second for first, second in pairs))  # type: ignore[arg-type]


def _defined(values: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Replace NaN by 0, except for the images of a row's own group."""
    defined = np.nan_to_num(values, nan=0.0)
    return defined if values.ndim == 1 else np.where(groups_left_out(numbers, len(values)), np.nan, defined)


def expected_values(images: int, groups: int | None, names: tuple[str, ...]) -> dict[str, Expected]:
    """Return the type, shape and range of cached values, of which each name has four arrays."""
    bound = BOUND
    return {
        f"{name}/{entry.name}": Expected((groups or -1, images) if refit else (images,), undefined=refit,
                                         low=-bound, high=bound, optional=refit and groups is None)
        for name in names
        for entry in fields(ImageValues)
        for refit in [entry.name.startswith("refit")]
    }  # fmt: skip


def values_of_entry(entry: Mapping[str, NDArray[Any]], name: str) -> ImageValues:
    """Return the values with one name among the arrays of a cache entry."""
    return ImageValues(*(entry.get(f"{name}/{part.name}") for part in fields(ImageValues)))  # type: ignore[arg-type]


def entry_of_values(values: Mapping[str, ImageValues]) -> dict[str, NDArray[np.float64] | None]:
    """Return the arrays of named values for a cache entry."""
    return {f"{name}/{part}": array for name, each in values.items() for part, array in vars(each).items()}


def cached_control_features(
    recording: Recording, cache: ResultCache, progress: Report
) -> dict[str, NDArray[np.float64]]:
    """Return the features of each control at a recording's grid, shape (image, y, x, channel), from the cache."""
    grid = recording.grid
    expected = {
        name: Expected((len(recording.images), len(grid.y), len(grid.x), channels))
        for name, channels in CHANNELS.items()
    }
    key = key_of(
        settings=SETTINGS,
        control_features=[sha256(image) for image in recording.images],
        grid=[grid.y.tolist(), grid.x.tolist(), grid.extent],
    )
    return cache.computed(key, lambda: control_features(recording.images, grid, progress), expected, progress)


def fields_of_controls(
    recording: Recording, features: Mapping[str, NDArray[np.float64]]
) -> dict[str, tuple[NDArray[np.float64], Offsets | None]]:
    """Return the field of each control, and of all together, with the maps that are subtracted before it is fitted.

    The typical map is a regression on nothing, after the mean map of the training images is subtracted. All controls
    together include it, multiplied by a slope between 0 and 1 that is fitted to the training images.
    """
    maps = recording.maps
    nothing = np.zeros((*maps.shape[:3], 1))
    joint = np.concatenate([standardised(features[name]) for name in CHANNELS], axis=-1)
    return {
        TYPICAL_MAP: (nothing, lambda folds: [typical_maps(maps, folds)]),
        **{name: (features[name], None) for name in CHANNELS},
        JOINT: (joint, shrunk_typical_maps(recording)),
    }


def shrunk_typical_maps(recording: Recording) -> Offsets:
    """Return the function that computes the typical map of each fold, multiplied by its slope."""
    return lambda folds: [typical_maps(recording.maps, folds, shrink=True)]


def standardised(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give channels mean 0 and standard deviation 1 over images and positions; constant channels become 0.

    Examples
    --------
    >>> standardised(np.array([1.0, 3.0]).reshape(1, 2, 1, 1)).ravel().tolist()
    [-1.0, 1.0]
    """
    spread = field.std(axis=(0, 1, 2))
    rounding = 1e-12 * np.abs(field).max(axis=(0, 1, 2))
    scaled: NDArray[np.float64] = (field - field.mean(axis=(0, 1, 2))) / np.where(spread > rounding, spread, np.inf)
    return scaled


def fit_controls(
    recording: Recording,
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    cache: ResultCache,
    folds: ImageFolds,
    groups: int | None,
    progress: Report,
) -> ControlFits:
    """Fit the regressions of each control, and of all of them together (:data:`JOINT`).

    Parameters
    ----------
    recording : Recording
    benchmark : BenchmarkSpec
        Its regression is used.
    protocol : Protocol
        Controls are sampled at the positions of the maps in every protocol.
    cache : ResultCache
    folds : ImageFolds
    groups : int or None
        Number of groups of images without which the regressions are fitted again.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    dict of str to the two results of :func:`~brainscore_itmaps.metrics.folds.fit_left_out`
    """
    of_controls = fields_of_controls(recording, cached_control_features(recording, cache, progress))
    options: dict[str, Any] = {"components": protocol.components, "intercept": protocol.intercept}
    fits = {}
    for done, (name, (field, offsets)) in enumerate(of_controls.items()):
        progress("scoring controls", done, len(of_controls))
        fits[name] = fit_left_out(
            field, [recording.maps], protocol.solver(benchmark.method), groups, folds.numbers, folds.left_out,
            offsets=offsets, **options,
        )  # fmt: skip
    return fits


def score_controls(
    fits: Callable[[], ControlFits],
    recording: Recording,
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    cache: ResultCache,
    folds: ImageFolds,
    groups: int | None,
    progress: Report,
) -> dict[str, ImageValues]:
    """Score each control, and all of them together (:data:`JOINT`).

    Parameters
    ----------
    fits : callable
        Returns the regressions of :func:`fit_controls`. Called only if the scores are not cached.
    recording, benchmark, protocol, cache, folds, groups, progress
        As in :func:`fit_controls`.

    Returns
    -------
    dict of str to ImageValues
    """

    def compute() -> dict[str, NDArray[np.float64] | None]:
        return entry_of_values(
            {
                name: ImageValues.of(score).defined(folds.numbers)
                for name, fitted in fits().items()
                for score in score_fits(*fitted, [recording.maps], protocol, paired=False)
            }
        )

    key = key_of(
        settings=SETTINGS, controls=recording_content(recording), method=benchmark.method, groups=groups,
        protocol=protocol.name, **folds.key,
    )  # fmt: skip
    names = (*CONTROLS, JOINT)
    entry = cache.computed(key, compute, expected_values(len(recording.images), groups, names), progress)
    return {name: values_of_entry(entry, name) for name in names}
