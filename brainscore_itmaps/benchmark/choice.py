"""Choose a layer without looking at the image that it will be scored on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import FittedFolds
from brainscore_itmaps.metrics.predictivity import neural_predictivity


def nested_cv_scores(
    fitted: FittedFolds, maps: NDArray[np.float64], measure: str = "predictivity", set: int = 0
) -> NDArray[np.float64]:
    """Score a layer on the training images of every fold: each of them predicted without it and the left-out image.

    The regression without the groups of i and j predicts j for the choice of i, and i for the choice of j.

    Parameters
    ----------
    fitted : FittedFolds
        Of the folds of :func:`~brainscore_itmaps.metrics.folds.pairs_of_groups`.
    maps : array, shape (image, y, x, site)
    measure : str
        "alignment": Spearman rho of the maps averaged over sites; anything else: median over sites of Pearson r.
    set : int
        Which of the sets of maps.

    Returns
    -------
    array, shape (image, image)
        Entry (i, j): of image j, predicted by a regression that saw neither i nor j. NaN where both are in a group.

    Raises
    ------
    ArrayError
        For other folds.
    """
    images, folds = len(maps), fitted.folds.astype(int)
    same = (folds[:, :, None] == folds[:, None]).all(axis=0)  # (image, image), in a group
    if folds.shape[1] != images or ((folds.T @ folds)[~same] != 1).any():
        raise ArrayError(
            f"These folds do not leave out every two groups of the {images} images once.",
            "Fit the folds of pairs_of_groups.",
        )
    values = np.full((images, images), np.nan)
    for fold, left_out in enumerate(fitted.folds):
        predicted, recorded = fitted.of(fold, set), maps[left_out]
        of_fold = np.full(images, np.nan)
        if measure == "alignment":
            of_fold[left_out] = feature_alignment(predicted, recorded)
        else:
            of_fold[left_out] = neural_predictivity(predicted, recorded).image_r
        apart = np.outer(left_out, left_out) & ~same
        values[apart] = np.broadcast_to(of_fold, apart.shape)[apart]
    return values


def chosen_layers(inner: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """For every image the layer that does best on the other images; of equal ones the first.

    Parameters
    ----------
    inner : dict of layer to array, shape (image, image)
        From :func:`nested_cv_scores`. Values that are undefined do not count.
    """
    names = list(inner)
    stacked = np.stack([inner[name] for name in names])  # (layer, left out, image)
    defined = ~np.isnan(stacked)
    means = np.where(defined, stacked, 0).sum(axis=2) / np.maximum(defined.sum(axis=2), 1)
    best = np.where(defined.any(axis=2), means, -np.inf).argmax(axis=0)
    return tuple(names[number] for number in best)
