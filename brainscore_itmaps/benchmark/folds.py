"""The folds of a recording: which images are left out together, in the predictions and in the groups of an interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.estimate import IntervalKind
from brainscore_itmaps.benchmark.result import EACH_IMAGE
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.metrics.folds import (
    FEWEST,
    FEWEST_REFITTED,
    GROUPS,
    groups_left_out,
    leave_one_out,
    number_images,
    score_folds,
)
from brainscore_itmaps.protocol import OURS, Protocol
from brainscore_itmaps.text import short_repr

TOGETHER = ", identical images together"
MOST_LISTED = 8
"""Groups of identical images, and images of a group, that a note lists."""


@short_repr
@dataclass(frozen=True, eq=False)
class ImageFolds:
    """How the images of a recording are left out.

    Attributes
    ----------
    numbers : array of int, shape (image,)
        Identical images have the same number; see :func:`~brainscore_itmaps.metrics.folds.number_images`.
    left_out : array of bool, shape (fold, image)
        Folds that predict every image once.
    """

    numbers: NDArray[np.int64]
    left_out: NDArray[np.bool_]

    @property
    def different(self) -> int:
        """Return the number of different images."""
        return len(np.unique(self.numbers))

    @property
    def text(self) -> str:
        """Describe which images are left out at a time."""
        grouped = len(self.left_out) < self.different
        text = f"{len(self.left_out)} groups of images" if grouped else EACH_IMAGE
        return text + TOGETHER * (self.different < len(self.numbers))

    @property
    def key(self) -> dict[str, Any]:
        """Return what distinguishes these folds from single images, as part of a cache key."""
        images = len(self.numbers)
        return {} if len(self.left_out) == images else {"folds": [len(self.left_out), self.numbers.tolist()]}

    def count(self, interval: IntervalKind) -> int:
        """Return the number of groups of images that are left out for an interval."""
        counts = {"groups": min(GROUPS, self.different), "images": len(self.left_out), "fixed": self.different}
        return counts[interval]

    def groups(self, interval: IntervalKind) -> NDArray[np.bool_]:
        """Return the groups of images that are left out for an interval, shape (group, image)."""
        return groups_left_out(self.numbers, self.count(interval))

    def refitted(self, interval: IntervalKind) -> int | None:
        """Return the number of groups without which regressions are fitted again; None for none."""
        return None if interval == "fixed" or self.different < FEWEST_REFITTED else self.count(interval)


def folds_of(recording: Recording, protocol: Protocol = OURS) -> ImageFolds:
    """Return the folds of a recording in a protocol.

    Raises
    ------
    DataError
        When the recording has fewer than 3 different images.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> folds = folds_of(load_recording("it_maps_simulated"))
    >>> folds.text, folds.left_out.shape, folds.groups("groups").shape
    ('each image in turn', (14, 14), (7, 14))
    """
    images = len(recording.names)
    if protocol.folds == "images":
        numbers = np.arange(images)
    else:
        numbers = number_identical(recording.names, recording.duplicates)
    if (different := len(np.unique(numbers))) < FEWEST:
        identical = f": some of the {images} images are identical" if different < images else ""
        needed = f"{FEWEST} {'different ' * bool(identical)}images"
        raise DataError(
            f"{recording.identifier}: leaving one image out needs at least {needed}, not {different}{identical}.",
            "Add images.",
        )
    return ImageFolds(numbers, leave_one_out(numbers) if protocol.folds == "images" else score_folds(numbers))


def number_identical(names: Sequence[str], identical: Iterable[Sequence[str]]) -> NDArray[np.int64]:
    """Assign numbers to different images in the order of their first appearance.

    Parameters
    ----------
    names : sequence of str
        Names of all images.
    identical : iterable of sequences of str
        Names of images that are identical, one sequence for each group of them.

    Returns
    -------
    array of int, shape (image,)

    Examples
    --------
    >>> number_identical(["a", "b", "c", "d"], [("b", "d")]).tolist()
    [0, 1, 2, 1]
    """
    group_of = {name: number for number, group in enumerate(identical) for name in group}
    return number_images(group_of.get(name, name) for name in names)


def notes_on_folds(recording: Recording, folds: ImageFolds) -> list[str]:
    """List what a reader must know about the folds: groups of images, and identical images.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> notes_on_folds(recording, folds_of(recording))
    []
    """
    notes, name, images = [], recording.identifier, len(folds.numbers)
    if len(folds.left_out) < folds.different:
        notes.append(
            f"{name}: the {images} images are left out in {len(folds.left_out)} groups, each predicted from the images "
            "of all other groups"
        )
    if identical := recording.duplicates:
        together = (
            "left out together, so that none is predicted from an identical one"
            if folds.different < images
            else "left out alone, as published: each is predicted from identical ones, so the score is too high"
        )
        notes.append(f"{name}: identical images ({_listed(identical)}) are {together}")
    return notes


def _listed(identical: Sequence[Sequence[str]]) -> str:
    groups = [" = ".join(_shortened(group)) for group in identical]
    return "; ".join(_shortened(groups))


def _shortened(names: Sequence[str]) -> list[str]:
    more = len(names) - MOST_LISTED
    return [*names[:MOST_LISTED], *([f"{more} more"] if more > 0 else [])]
