"""Blur features over the positions of a recording's grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid


def blurred(field: NDArray[np.floating[Any]], grid: Grid, degrees: float) -> NDArray[np.floating[Any]]:
    """Average the features around each position, with Gaussian weights.

    Nothing is known beyond the grid: weights are those of its positions alone, and sum to 1 also at its edges.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features at the positions of the grid.
    grid : Grid
    degrees : float
        Standard deviation of the Gaussian in degrees of visual angle; 0 leaves the features unchanged.

    Returns
    -------
    array, shape (image, y, x, channel)

    Examples
    --------
    >>> field = np.zeros((2, 5, 7, 3))
    >>> field[:, 2, 3] = 1.0
    >>> blurred(field, Grid.even((5, 7), (4.0, 6.0)), 1.0)[0, 2, :, 0].round(3)
    array([0.003, 0.023, 0.098, 0.161, 0.098, 0.023, 0.003])
    """
    if degrees == 0:
        return field
    down, across = gaussian_weights(grid.y, degrees), gaussian_weights(grid.x, degrees)
    result = np.empty(field.shape)
    for image, features in enumerate(field):  # one at a time, which saves memory
        result[image] = np.einsum("ay,yxc,bx->abc", down, features, across, optimize=True)
    return result


def gaussian_weights(positions: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Compute the weight of each position (column) in the Gaussian average around each position (row).

    A position counts for the distance between its neighbours, so that a dense part of an uneven grid has no more weight
    than a sparse part of the same size.

    Examples
    --------
    >>> gaussian_weights(np.array([-1.0, 0.0, 1.0]), 1.0).round(3)
    array([[0.574, 0.348, 0.078],
           [0.274, 0.452, 0.274],
           [0.078, 0.348, 0.574]])
    """
    spacing = np.gradient(positions) if len(positions) > 1 else 1.0
    with np.errstate(over="ignore"):  # where the Gaussian is much narrower than the grid, other weights are 0
        weights = np.exp(-0.5 * ((positions[:, None] - positions) / degrees) ** 2) * spacing
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised
