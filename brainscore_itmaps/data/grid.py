"""Positions of a recording in the image, and orientations of stored maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import UsageError, checked_integer, nearest

Extent = float | tuple[float, float]
"""Size of an image in degrees of visual angle: its side if it is square, else its height and width."""


EDGE = 1e-6
"""Degrees beyond the edge of an image at which a position still counts as on the edge."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions in the image that were shown at the receptive fields.

    Attributes
    ----------
    y, x : array, shape (y,) and (x,)
        Degrees of visual angle below and to the right of the image's centre. The grid may include both edges of the
        image: 17 positions over 16 degrees are exactly 1 degree apart.
    extent : float or (float, float)
        Size of the image in degrees of visual angle: the side of a square image, or (height, width). Two equal numbers
        become one.

    Raises
    ------
    UsageError
        When positions are not numbers along one axis, or the extent is neither a number nor two.

    Examples
    --------
    >>> grid = Grid(y=[-3, 0, 3], x=[-4, 0, 4], extent=(6, 8))
    >>> grid.height, grid.width
    (6.0, 8.0)
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    extent: Extent

    def __post_init__(self) -> None:
        for name in ("y", "x"):
            object.__setattr__(self, name, _positions(getattr(self, name), name))
        object.__setattr__(self, "extent", read_extent(self.extent))

    @property
    def height(self) -> float:
        """Return the height of the image in degrees."""
        return self.extent[0] if isinstance(self.extent, tuple) else self.extent

    @property
    def width(self) -> float:
        """Return the width of the image in degrees."""
        return self.extent[1] if isinstance(self.extent, tuple) else self.extent

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        same = np.array_equal(self.y, other.y) and np.array_equal(self.x, other.x)
        return bool(same and self.extent == other.extent)

    def __hash__(self) -> int:
        return hash((tuple(self.y), tuple(self.x), self.extent))

    @property
    def reaches_edges(self) -> bool:
        """Return whether the outermost positions are at the edges of the image."""
        ends = ((self.y, self.height), (self.x, self.width))
        return all(np.allclose([points[0], points[-1]], [-side / 2, side / 2]) for points, side in ends)

    @property
    def outside(self) -> int:
        """Count the positions outside the image."""
        inside = [np.abs(points) <= side / 2 + EDGE for points, side in ((self.y, self.height), (self.x, self.width))]
        return self.y.size * self.x.size - int(inside[0].sum() * inside[1].sum())

    @classmethod
    def even(cls, positions: int | tuple[int, int], extent: Extent = 16.0) -> "Grid":
        """Build a grid with evenly spaced positions from edge to edge.

        Parameters
        ----------
        positions : int or (int, int)
            Number of positions along each axis, or along y and x; a single position is in the centre.
        extent : float or (float, float)
            Size of the image in degrees of visual angle: the side of a square image, or (height, width).

        Returns
        -------
        Grid

        Raises
        ------
        UsageError
            When the number of positions is not a whole number, or two.

        Examples
        --------
        >>> grid = Grid.even(5, extent=8.0)
        >>> grid.x
        array([-4., -2.,  0.,  2.,  4.])
        """
        both = positions if isinstance(positions, tuple | list | np.ndarray) else (positions, positions)
        if len(both) != 2:
            raise UsageError(f"{len(both)} numbers of positions were given.", "Give one, or those along y and along x.")
        rows, columns = (checked_integer(number, "number of positions", least=0) for number in both)
        height, width = degrees if isinstance(degrees := read_extent(extent), tuple) else (degrees, degrees)
        return cls(y=_evenly(rows, height), x=_evenly(columns, width), extent=extent)


def _evenly(positions: int, degrees: float) -> NDArray[np.float64]:
    return np.linspace(-degrees / 2, degrees / 2, positions) if positions > 1 else np.zeros(positions)


def _positions(values: Any, name: str) -> NDArray[np.float64]:
    """Convert the positions along an axis to an array of one axis."""
    try:
        positions = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        positions = np.zeros((0, 0))
    if positions.ndim != 1:
        raise UsageError(
            f"{name} of a grid cannot be {values!r:.80}.", "Give the positions along this axis, in degrees, in a list."
        )
    return positions


def read_extent(extent: Any) -> Extent:
    """Convert the size of an image to degrees: one number for a square image, else (height, width).

    Raises
    ------
    UsageError
        When it is neither a number nor two.

    Examples
    --------
    >>> read_extent([12, 16]), read_extent((16, 16)), read_extent(8)
    ((12.0, 16.0), 16.0, 8.0)
    """
    try:
        sides = tuple(float(side) for side in np.atleast_1d(extent))
    except (TypeError, ValueError):
        sides = ()
    if len(sides) == 1 or (len(sides) == 2 and sides[0] == sides[1]):
        return sides[0]
    if len(sides) == 2:
        return (sides[0], sides[1])
    raise UsageError(
        f"The extent of a grid cannot be {extent!r:.80}.",
        "Give the side of a square image in degrees of visual angle, or (height, width).",
    )


def shown_extent(extent: Extent) -> str:
    """Write the size of an image in degrees of visual angle: width, or height x width.

    Examples
    --------
    >>> shown_extent(16.0), shown_extent((12.0, 16.0))
    ('16', '12 x 16')
    """
    return " x ".join(f"{side:g}" for side in np.atleast_1d(extent))


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
