"""Repeated presentations: which were recorded, and how they are split into halves."""

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

MAX_SPLITS = 200


def recorded_repeats(repeats: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which repeats were recorded, shape (image, repeat, site): those whose map has no missing value.

    Examples
    --------
    >>> repeats = np.ones((2, 3, 6, 5, 1))
    >>> repeats[1, 2] = np.nan
    >>> recorded_repeats(repeats)[..., 0].tolist()
    [[True, True, True], [True, True, False]]
    """
    recorded: NDArray[np.bool_] = ~np.isnan(repeats).any(axis=(2, 3))
    return recorded


def fewest_repeats(repeats: NDArray[np.float64], *, of_all_sites: bool = False) -> int:
    """Count the repeats of the image and site that has the fewest.

    Parameters
    ----------
    repeats : array, shape (image, repeat, y, x, site)
        Maps of NaN stand for absent repeats.
    of_all_sites : bool
        Count only repeats in which all sites were recorded.

    Examples
    --------
    >>> repeats = np.ones((2, 3, 6, 5, 4))
    >>> repeats[1, 2], repeats[0, 0, :, :, 3] = np.nan, np.nan
    >>> fewest_repeats(repeats), fewest_repeats(repeats, of_all_sites=True)
    (2, 2)
    """
    recorded = recorded_repeats(repeats)
    return int((recorded.all(axis=-1) if of_all_sites else recorded).sum(axis=1).min(initial=repeats.shape[1]))


def first_halves(repeats: int, rng: np.random.Generator) -> list[list[int]]:
    """List the half with repeat 0 of every way to split the repeats; draw 200 random halves if there are more ways.

    Examples
    --------
    >>> first_halves(4, np.random.default_rng(0))
    [[0, 1], [0, 2], [0, 3]]
    """
    if comb(repeats - 1, repeats // 2 - 1) <= MAX_SPLITS:
        return [[0, *rest] for rest in combinations(range(1, repeats), repeats // 2 - 1)]
    return [rng.permutation(repeats)[: repeats // 2].tolist() for _ in range(MAX_SPLITS)]
