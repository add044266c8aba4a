"""Positions of a recording in the image, and orientations of stored maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import UsageError, nearest


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions in the image that were shown at the receptive fields.

    Attributes
    ----------
    y, x : array, shape (y,) and (x,)
        Degrees of visual angle below and to the right of the image's centre. The grid includes both edges of the
        image: 17 positions over 16 degrees are exactly 1 degree apart.
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
        """Build a grid with evenly spaced positions from edge to edge, the same along y and x.

        Parameters
        ----------
        positions : int
            Number of positions along each axis; a single position is in the centre.
        extent : float
            Width and height of the image in degrees of visual angle.

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
"""By name: whether the first stored axis is x instead of y, whether y is reversed, and whether x is reversed."""


def orient_maps(maps: NDArray[Any], orientation: str) -> NDArray[Any]:
    """Transpose and flip stored maps so that they match the axes of their images.

    Parameters
    ----------
    maps : array, shape (image, first, second, site)
        Maps as stored.
    orientation : str
        A name of ``ORIENTATIONS``. The published loader uses ``flip_both``: shifting the *image* in one direction moves
        its opposite part onto the receptive field, so both axes are reversed.

    Returns
    -------
    array, shape (image, y, x, site), y downward and x rightward in the image

    Raises
    ------
    UsageError
        When the name is unknown.

    Examples
    --------
    >>> maps = np.arange(6).reshape(1, 2, 3, 1)
    >>> orient_maps(maps, "flip_both")[0, ..., 0]
    array([[5, 4, 3],
           [2, 1, 0]])
    """
    check_orientation(orientation)
    transpose, flip_y, flip_x = ORIENTATIONS[orientation]
    if transpose:
        maps = maps.swapaxes(1, 2)
    return np.ascontiguousarray(maps[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1])


def unorient_maps(maps: NDArray[Any], orientation: str) -> NDArray[Any]:
    """Restore the stored axes of oriented maps: the inverse of :func:`orient_maps`.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    orientation : str
        A name of ``ORIENTATIONS``.

    Returns
    -------
    array, shape (image, first, second, site)

    Examples
    --------
    >>> maps = np.arange(6).reshape(1, 2, 3, 1)
    >>> unorient_maps(orient_maps(maps, "transpose_flip_y"), "transpose_flip_y")[0, ..., 0]
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    transpose, flip_y, flip_x = ORIENTATIONS[orientation]
    maps = maps[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return maps.swapaxes(1, 2) if transpose else maps


def check_orientation(orientation: str) -> None:
    """Raise an error unless an orientation is a name of ``ORIENTATIONS``.

    Raises
    ------
    UsageError
        With the most similar names.

    Examples
    --------
    >>> check_orientation("flip_y")
    """
    if orientation not in ORIENTATIONS:
        raise UsageError(f"There is no orientation named {orientation!r}.", nearest(orientation, ORIENTATIONS))
