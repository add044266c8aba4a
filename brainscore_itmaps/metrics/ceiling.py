"""What the best possible predictor could reach, given the noise of the recording."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.metrics.alignment import site_correlation


def split_half_ceiling(repeats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation that a perfect, noise-free prediction of each map would have with the map averaged over repeats.

    All ways to split the repeats into two equal halves are averaged, corrected to the full number of repeats
    (Spearman-Brown) and square-rooted: the root, because only the recorded side of a model's correlation is noisy.
    It bounds noise that differs from repeat to repeat. It is matched to the score's statistic: one value per image and
    site, to be summarised in the same way. The root of a noisy estimate is a little low where the halves
    agree little.

    Parameters
    ----------
    repeats : array, shape (image, repeat, y, x, site)
        With an even number of repeats; with an odd number the halves leave the last one out.

    Returns
    -------
    array, shape (image, site)
        0 where the halves do not agree at all, NaN where a map is constant.

    Raises
    ------
    ValueError
        With fewer than 2 repeats.
    """
    number = repeats.shape[1] // 2 * 2
    if number < 2:
        raise ValueError(f"a split-half ceiling needs at least 2 repeats, not {repeats.shape[1]}")
    halves = []
    for rest in combinations(range(1, number), number // 2 - 1):  # repeat 0 is in the first half: each split once
        first = [0, *rest]
        second = [repeat for repeat in range(number) if repeat not in first]
        halves.append(site_correlation(repeats[:, first].mean(axis=1), repeats[:, second].mean(axis=1)))
    half = np.clip(np.mean(halves, axis=0), 0, 1)
    longer = repeats.shape[1] / (number // 2)
    full: NDArray[np.float64] = longer * half / (1 + (longer - 1) * half)
    return np.sqrt(full)
