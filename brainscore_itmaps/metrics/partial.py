"""Rank correlations among several maps of the same positions, and partial ones given the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from brainscore_itmaps.errors import ArrayError

REMAINDER = 1e-9
"""Share of the variance of a map's ranks below which what controls leave of it is rounding error."""


def rank_correlations(maps: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Compute Spearman's rho over positions between all pairs of maps, image by image.

    Parameters
    ----------
    maps : sequence of array, shape (image, y, x)
        One array for each kind of map; an array of a single map stands for every image.

    Returns
    -------
    array, shape (image, kind, kind)
        NaN where one of the two maps is constant, or has a missing value.

    Raises
    ------
    ArrayError
        When the shapes differ.

    Examples
    --------
    >>> first = np.arange(40.0).reshape(2, 5, 4)
    >>> rank_correlations([first**3, -first[:1]]).round(6).tolist()
    [[[1.0, -1.0], [-1.0, 1.0]], [[1.0, -1.0], [-1.0, 1.0]]]
    """
    images = max(len(kind) for kind in maps)
    if any(kind.shape[1:] != maps[0].shape[1:] or len(kind) not in (1, images) for kind in maps):
        shapes = ", ".join(str(kind.shape) for kind in maps)
        raise ArrayError(f"The maps differ in shape: {shapes}.", "Give every kind of map as (image, y, x).")
    ranks = np.stack([np.broadcast_to(unit, (images, unit.shape[1])) for unit in map(_unit_ranks, maps)], axis=1)
    correlations: NDArray[np.float64] = ranks @ ranks.transpose(0, 2, 1)
    return correlations


def _unit_ranks(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Rank the positions of each map, shape (image, position), with mean 0 and length 1; NaN if a map is constant."""
    ranks = rankdata(maps.reshape(len(maps), -1), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(ranks, length, out=np.full_like(ranks, np.nan), where=length > 0)
    return unit


def partial_correlation(correlations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the partial correlation of the first two variables given all others, from correlations among them.

    It is the correlation of what linear regressions on the others leave of the first two. Of rank correlations, it is
    the partial Spearman correlation.

    Parameters
    ----------
    correlations : array, shape (image, variable, variable)
        Such as :func:`rank_correlations` returns.

    Returns
    -------
    array, shape (image,)
        NaN where a correlation is, or where the others leave nothing of one of the two.

    Examples
    --------
    >>> correlations = np.array([[[1.0, 0.5, 0.6], [0.5, 1.0, 0.8], [0.6, 0.8, 1.0]]])
    >>> partial_correlation(correlations).round(4).tolist()  # (.5 - .6 .8) / (.8 .6)
    [0.0417]
    """
    partial = np.full(len(correlations), np.nan)
    defined = np.isfinite(correlations).all(axis=(1, 2))
    known = correlations[defined]
    explained = known[:, :2, 2:] @ np.linalg.pinv(known[:, 2:, 2:], hermitian=True) @ known[:, 2:, :2]
    left = known[:, :2, :2] - explained
    variances = left[:, 0, 0], left[:, 1, 1]
    enough = np.minimum(*variances) > REMAINDER
    spread = np.sqrt(np.where(enough, variances[0] * variances[1], np.nan))
    partial[defined] = left[:, 0, 1] / spread
    return partial
