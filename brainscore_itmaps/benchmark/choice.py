"""Choose a layer without looking at the picture that it will be scored on."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import DataError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.predictivity import neural_predictivity

GROUPS = 7


def pairs_of_groups(images: int) -> NDArray[np.bool_]:
    """Which images the regressions leave out that a layer is chosen by, shape (fold, image).

    Images are put into at most 7 groups (image k into group k modulo 7), and every two groups are left out together: of
    up to 7 images every two images, of 14 every two pairs.

    Raises
    ------
    DataError
        With fewer than 4 images.
    """
    if images < 4:
        raise DataError(
            f"A layer cannot be chosen on the training images of {images} pictures.",
            "Name one layer, or give 4 pictures or more.",
        )
    group = _groups(images)
    return np.stack([np.isin(group, pair) for pair in combinations(range(group.max() + 1), 2)])


def inner_values(
    predicted: NDArray[np.floating[Any]], maps: NDArray[np.float64], measure: str = "predictivity"
) -> NDArray[np.float64]:
    """Score a layer on the training images of every fold: each of them predicted without it and the left-out image.

    The regression without the groups of i and j predicts j for the choice of i, and i for the choice of j.

    Parameters
    ----------
    predicted : array, shape (fold, image, y, x, site)
        Of the images that each fold of :func:`pairs_of_groups` leaves out.
    maps : array, shape (image, y, x, site)
    measure : str
        "alignment": Spearman rho of the maps averaged over sites; anything else: median over sites of Pearson r.

    Returns
    -------
    array, shape (image, image)
        Entry (i, j): of image j, predicted by a regression that saw neither i nor j. NaN where both are in a group.
    """
    images, group = len(maps), _groups(len(maps))
    values = np.full((images, images), np.nan)
    for fold, pair in enumerate(combinations(range(group.max() + 1), 2)):
        inside = np.flatnonzero(np.isin(group, pair))
        of_pair = np.full(images, np.nan)
        if measure == "alignment":
            of_pair[inside] = feature_alignment(predicted[fold, inside], maps[inside])
        else:
            of_pair[inside] = neural_predictivity(predicted[fold, inside], maps[inside]).image_r
        for one, other in (pair, pair[::-1]):
            values[np.ix_(group == one, group == other)] = of_pair[group == other]
    return values


def _groups(images: int) -> NDArray[np.int64]:
    groups: NDArray[np.int64] = np.arange(images) % min(GROUPS, images)
    return groups


def chosen_layers(inner: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """For every image the layer that does best on the other images; of equal ones the first.

    Parameters
    ----------
    inner : dict of layer to array, shape (image, image)
        From :func:`inner_values`. Values that are undefined do not count.
    """
    names = list(inner)
    stacked = np.stack([inner[name] for name in names])  # (layer, left out, image)
    defined = ~np.isnan(stacked)
    means = np.where(defined, stacked, 0).sum(axis=2) / np.maximum(defined.sum(axis=2), 1)
    best = np.where(defined.any(axis=2), means, -np.inf).argmax(axis=0)
    return tuple(names[number] for number in best)
