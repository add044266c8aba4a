"""The positions at which a recording sampled an image, and the orientation of stored maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import UsageError, nearest


@dataclass(frozen=True, eq=False)
class Grid:
    """The positions in the image that were shown at the receptive fields.

    Attributes
    ----------
    y, x : array, shape (y,) and (x,)
        Degrees of visual angle below and to the right of the image's centre. Both edges of the image belong to
        the grid: 17 positions over 16 degrees lie exactly 1 degree apart.
    extent : float
        Width and height of the image in degrees of visual angle.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    extent: float

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        same = np.array_equal(self.y, other.y) and np.array_equal(self.x, other.x)
        return bool(same and self.extent == other.extent)

    def __hash__(self) -> int:
        return hash((tuple(self.y), tuple(self.x), self.extent))

    @classmethod
    def even(cls, positions: int, extent: float = 16.0) -> "Grid":
        """Spread positions evenly from edge to edge, the same along y and x; a single position is in the centre.

        Examples
        --------
        >>> grid = Grid.even(5, extent=8.0)
        >>> grid.x
        array([-4., -2.,  0.,  2.,  4.])
        """
        points = np.linspace(-extent / 2, extent / 2, positions) if positions > 1 else np.zeros(positions)
        return cls(y=points, x=points, extent=extent)


ORIENTATIONS = {
    "as_stored": (False, False, False),
    "flip_y": (False, True, False),
    "flip_x": (False, False, True),
    "flip_both": (False, True, True),
    "transpose": (True, False, False),
    "transpose_flip_y": (True, True, False),
    "transpose_flip_x": (True, False, True),
    "transpose_flip_both": (True, True, True),
}
"""Name: whether the first stored axis counts columns instead of rows, then whether rows and columns are reversed."""


def oriented(maps: NDArray[Any], orientation: str) -> NDArray[Any]:
    """Orient stored maps as they lie over their images.

    Parameters
    ----------
    maps : array, shape (image, first, second, site)
        Maps as stored.
    orientation : str
        A name of ``ORIENTATIONS``. The published loader uses ``flip_both``: shifting the *image* one way moves the
        opposite part of it onto the receptive field, so both axes are reversed.

    Returns
    -------
    array, shape (image, y, x, site), y downward and x rightward in the image

    Raises
    ------
    UsageError
        When the name is not known.
    """
    check_orientation(orientation)
    transpose, flip_y, flip_x = ORIENTATIONS[orientation]
    if transpose:
        maps = maps.swapaxes(1, 2)
    return np.ascontiguousarray(maps[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1])


def stored(maps: NDArray[Any], orientation: str) -> NDArray[Any]:
    """Undo :func:`oriented`."""
    transpose, flip_y, flip_x = ORIENTATIONS[orientation]
    maps = maps[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return maps.swapaxes(1, 2) if transpose else maps


def check_orientation(orientation: str) -> None:
    """Check that an orientation is one of the eight.

    Raises
    ------
    UsageError
        With the nearest names.
    """
    if orientation not in ORIENTATIONS:
        raise UsageError(f"There is no orientation named {orientation!r}.", nearest(orientation, ORIENTATIONS))
