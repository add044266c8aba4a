"""Pairs of arrays: which images they share, the maps that predict those of the target, and why there is no score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.ceilings import missing_ceiling
from brainscore_itmaps.benchmark.estimate import IntervalKind
from brainscore_itmaps.benchmark.folds import ImageFolds, folds_of
from brainscore_itmaps.data.images import find_duplicates
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.metrics.folds import number_images, pairs_of_groups
from brainscore_itmaps.metrics.transfer import Transfer, at_positions, predict_transfer, training_folds, typical_maps
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.text import short_repr

TWO_MONKEYS = (
    "the two arrays are those of two monkeys, and no noise ceiling says what maps of one monkey can predict of maps of "
    "another; use the raw value"
)


@short_repr
@dataclass(frozen=True)
class Pair:
    """Two arrays: the regression is fitted to the source, and the mean map of the target is predicted.

    Attributes
    ----------
    source, target : Recording
    """

    source: Recording
    target: Recording

    @property
    def name(self) -> str:
        """Return the name of the pair, in which words that both names share are said once."""
        source, target = self.source.identifier, self.target.identifier
        if target.endswith("-simulated"):
            source = source.removesuffix("-simulated")
        return f"{source} to {target.removeprefix(source.partition('.')[0] + '.')}"

    @cached_property
    def labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Number the images of the source and of the target; images with equal pixels have the same number."""
        files = [*self.source.images, *self.target.images]
        numbers = np.arange(len(files))
        for group in find_duplicates(files):
            numbers[list(group)] = group[0]
        numbers = number_images(numbers.tolist())
        return numbers[: len(self.source.images)], numbers[len(self.source.images) :]

    @cached_property
    def folds(self) -> ImageFolds:
        """Return the folds of the target."""
        return folds_of(self.target)

    @property
    def shared(self) -> NDArray[np.bool_]:
        """Return which images of the target the source has, too; shape (target image,)."""
        return np.isin(self.labels[1], self.labels[0])

    @cached_property
    def neural(self) -> NDArray[np.float64]:
        """Return the recorded mean map of the target, shape (image, y, x, 1)."""
        mean: NDArray[np.float64] = self.target.maps.mean(axis=-1, keepdims=True)
        return mean

    @cached_property
    def source_maps(self) -> NDArray[np.float64]:
        """Return the recorded mean map of the source at the target's places in the image, (image, y, x, 1)."""
        mean, old, new = self.source.maps.mean(axis=-1, keepdims=True), self.source.grid, self.target.grid
        if np.array_equal(old.y, new.y) and np.array_equal(old.x, new.x) and old.extent == new.extent:
            return np.asarray(mean)
        return at_positions(mean, old.y / old.height, old.x / old.width, new.y / new.height, new.x / new.width)

    def without_score(self, spec: BenchmarkSpec) -> str:
        """Explain why the pair has a raw value only; empty if it has a score."""
        if self.source.subject != self.target.subject:
            return TWO_MONKEYS
        return missing_ceiling(self.target, spec)

    def refit_groups(self, interval: IntervalKind) -> int | None:
        """Return the number of groups without which regressions are fitted again; None for none."""
        groups = self.folds.refitted(interval)
        if groups is None:
            return None
        without = training_folds(*self._lists, pairs_of_groups(self.folds.numbers, groups))
        return groups if ((~without).sum(axis=1) > 1).all() else None

    def predicted_by(
        self, source_field: NDArray[Any], target_field: NDArray[Any], method: str, groups: int | None
    ) -> tuple[Transfer, Transfer | None]:
        """Predict the target's mean maps from features at the positions of both arrays.

        Parameters
        ----------
        source_field, target_field : array, shape (image, y, x, channel)
        method : str
            Regression of the benchmark.
        groups : int or None
            Number of groups of images, from :meth:`refit_groups`.

        Returns
        -------
        Transfer, Transfer or None
            In the folds of the target, and with each pair of groups left out.
        """

        def predict(folds: NDArray[np.bool_]) -> Transfer:
            return predict_transfer(source_field, self.source.maps, target_field, *self._lists, folds,
                                    OURS.solver(method), components=OURS.components)  # fmt: skip

        return self._in_folds(predict, groups)

    def typical(self, groups: int | None) -> tuple[Transfer, Transfer | None]:
        """Predict the target's mean maps by the mean over the source's sites and training images."""
        return self._in_folds(lambda folds: typical_maps(self.source_maps, *self._lists, folds), groups)

    def recorded(self) -> NDArray[np.float64]:
        """Return the source's recorded mean map of each image of the target, (image, y, x, 1); NaN if it has none."""
        source, target = self.labels
        maps = np.full(self.neural.shape, np.nan)
        for image in np.flatnonzero(self.shared):
            maps[image] = self.source_maps[source == target[image]].mean(axis=0)
        return maps

    @property
    def _lists(self) -> tuple[list[int], list[int]]:
        return self.labels[0].tolist(), self.labels[1].tolist()

    def _in_folds(
        self, predict: Callable[[NDArray[np.bool_]], Transfer], groups: int | None
    ) -> tuple[Transfer, Transfer | None]:
        in_pairs = None if groups is None else predict(pairs_of_groups(self.folds.numbers, groups))
        return predict(self.folds.left_out), in_pairs


def pairs_of(recordings: Sequence[Recording]) -> list[Pair]:
    """Return all ordered pairs of arrays.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> [pair.name for pair in pairs_of(two_halves(load_recording("it_maps_simulated")))]
    ['it_maps_simulated.even to odd', 'it_maps_simulated.odd to even']
    """
    return [Pair(source, target) for source, target in permutations(recordings, 2)]


def notes_on_images(pairs: Sequence[Pair]) -> list[str]:
    """List which images are left out of the fits: one sentence for all pairs of which it is true.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> notes_on_images(pairs_of(two_halves(load_recording("it_maps_simulated")))[:1])
    ['it_maps_simulated.even to odd: both arrays have all 14 images, and each is left out of its own fit']
    """
    names: dict[str, list[str]] = {}
    for pair in pairs:
        shared, images = int(pair.shared.sum()), len(pair.target.images)
        if shared == images:
            text = f"both arrays have all {images} images, and each is left out of its own fit"
        elif shared:
            text = (
                f"the source has {shared} of the {images} images, each of which is left out of its own fit; the others "
                "are predicted from all images of the source"
            )
        else:
            text = f"the source has none of the {images} images, which are predicted from all images of the source"
        names.setdefault(text, []).append(pair.name)
    return [f"{', '.join(of_pairs)}: {text}" for text, of_pairs in names.items()]


def two_halves(recording: Recording) -> tuple[Recording, Recording]:
    """Split a recording into two: alternate sites, each half with the mean over alternate repeats.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> even, odd = two_halves(load_recording("it_maps_simulated"))
    >>> even.maps.shape, even.sites[1], odd.sites[1], odd.repeats.shape
    ((14, 17, 17, 16), 'simulated-02', 'simulated-03', (14, 3, 17, 17, 16))
    """
    halves = []
    for name, half in (("even", slice(0, None, 2)), ("odd", slice(1, None, 2))):
        repeats = None if recording.repeats is None else recording.repeats[:, half, ..., half]
        halves.append(
            replace(
                recording,
                identifier=f"{recording.identifier}.{name}",
                maps=recording.maps[..., half] if repeats is None else repeats.mean(axis=1),
                repeats=repeats,
                sites=recording.sites[half],
            )
        )
    return halves[0], halves[1]
