"""The positions at which a recording sampled an image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
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

    @classmethod
    def even(cls, positions: int, extent: float = 16.0) -> "Grid":
        """Spread positions evenly from edge to edge, the same down and across; a single one stands in the centre."""
        points = np.linspace(-extent / 2, extent / 2, positions) if positions > 1 else np.zeros(positions)
        return cls(y=points, x=points, extent=extent)
