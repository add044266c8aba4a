"""What a recording is: the maps of one array, with the pictures, the grid and the window they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import DataError


@dataclass(frozen=True)
class Grid:
    """The positions in the picture that were brought onto the receptive fields.

    Attributes
    ----------
    y, x : array, shape (y,) and (x,)
        Degrees of visual angle below and to the right of the picture's centre. Both edges of the picture belong to
        the grid: 17 positions over 16 degrees lie exactly 1 degree apart.
    extent : float
        Width and height of the picture in degrees.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    extent: float

    @classmethod
    def even(cls, positions: int, extent: float = 16.0) -> "Grid":
        """Spread positions evenly from edge to edge, the same down and across."""
        points = np.linspace(-extent / 2, extent / 2, positions)
        return cls(y=points, x=points, extent=extent)


@dataclass(frozen=True)
class Recording:
    """IT activity of one array: a map per image and site.

    Attributes
    ----------
    identifier : str
        Name under which it is loaded; contains ``simulated`` when it is.
    maps : array, shape (image, y, x, site)
        Spikes per second, mean over ``window`` and over repeats.
    images : tuple of Path
        The pictures, in the order of ``maps``, each ``grid.extent`` degrees wide and high.
    grid : Grid
        Where in the picture each position lies.
    window : (int, int)
        Milliseconds after stimulus onset, half-open.
    subject, area : str
        For example ``monkey1`` and ``PL``.
    sites : tuple of str
        One name per site.
    sha256 : str
        Hash of the data that the maps were read from.
    citation : str
        What to cite.
    simulated : bool
        True when no animal was recorded. Every output says so.
    repeats : array, shape (image, repeat, y, x, site), optional
        The same before averaging over repeats, where the source keeps them.

    Raises
    ------
    DataError
        When shapes do not fit together or a value is not finite: nothing is repaired.
    """

    identifier: str
    maps: NDArray[np.float64]
    images: tuple[Path, ...]
    grid: Grid
    window: tuple[int, int]
    subject: str
    area: str
    sites: tuple[str, ...]
    sha256: str
    citation: str
    simulated: bool
    repeats: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.images), len(self.grid.y), len(self.grid.x), len(self.sites))
        if self.maps.shape != expected:
            raise DataError(
                f"{self.identifier}: maps have shape {self.maps.shape}, but the pictures, the grid and the sites ask "
                f"for {expected} (image, y, x, site).",
                "Give one map per picture and site, sampled at the grid.",
            )
        self._refuse_not_finite()
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DataError(
                f"{self.identifier}: several pictures are named {', '.join(twice)}.", "Name each differently."
            )
        if self.repeats is not None:
            self._refuse_other_repeats(self.repeats, expected)

    def _refuse_other_repeats(self, repeats: NDArray[np.float64], expected: tuple[int, ...]) -> None:
        if repeats.ndim != 5 or repeats.shape[:1] + repeats.shape[2:] != expected:
            raise DataError(
                f"{self.identifier}: repeats have shape {repeats.shape}, but the maps are {expected}.",
                "Give repeats as (image, repeat, y, x, site).",
            )
        if not np.allclose(repeats.mean(axis=1), self.maps):  # also when one is not finite
            raise DataError(
                f"{self.identifier}: the mean over repeats is not the maps.", "Give the repeats of these very maps."
            )

    def _refuse_not_finite(self) -> None:
        broken = ~np.isfinite(self.maps).all(axis=(1, 2))
        if broken.any():
            images, sites = np.nonzero(broken)
            names = ", ".join(self.sites[s] for s in np.unique(sites)[:8])
            raise DataError(
                f"{self.identifier}: {len(np.unique(sites))} site(s) hold values that are not finite ({names}), "
                f"on images {np.unique(images).tolist()}.",
                "Leave these sites out, or repair the source; they are never filled in here.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image: its file name without the ending."""
        return tuple(image.stem for image in self.images)


def refuse_window(window: Sequence[int], start: int, stop: int, step: int, identifier: str) -> None:
    """Refuse a window that the recording does not cover or that cuts through its time bins.

    Raises
    ------
    DataError
        When the window is empty, reaches outside ``start`` to ``stop`` ms, or does not begin and end at a bin's edge.
    """
    a, b = window
    if not (start <= a < b <= stop and (a - start) % step == 0 and (b - start) % step == 0):
        raise DataError(
            f"{identifier}: the window {a}-{b} ms cannot be read.",
            f"It is recorded from {start} to {stop} ms in bins of {step} ms; choose a window that begins and ends at "
            "edges of bins.",
        )
