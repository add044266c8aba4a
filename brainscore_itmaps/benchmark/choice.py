"""Choose a layer without looking at the picture that it will be scored on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import DataError
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.left_out import predict_left_out
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.progress import Steps, uncounted


def inner_values(
    field: NDArray[np.floating[Any]],
    maps: NDArray[np.float64],
    measure: str,
    method: str = "pls",
    progress: Steps = uncounted,
) -> NDArray[np.float64]:
    """Score a layer on the training images of every fold, each of them left out in turn.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (image, y, x, site)
    measure : str
        "alignment": Spearman rho of the maps averaged over sites; anything else: median over sites of Pearson r.
    method : str
        Of :func:`~brainscore_itmaps.predict_left_out`.
    progress : callable
        Told (folds done, folds in all).

    Returns
    -------
    array, shape (image, image)
        Entry (i, j): of image j, predicted from all images but i and j. NaN where i is j.

    Raises
    ------
    DataError
        With fewer than 4 images.
    """
    images = len(maps)
    if images < 4:
        raise DataError(
            f"A layer cannot be chosen on the training images of {images} pictures.",
            "Name one layer, or give 4 pictures or more.",
        )
    values = np.full((images, images), np.nan)
    for image in range(images):
        others = np.delete(np.arange(images), image)
        predicted = predict_left_out(field[others], maps[others], method).predicted
        if measure == "alignment":
            values[image, others] = feature_alignment(predicted, maps[others])
        else:
            values[image, others] = neural_predictivity(predicted, maps[others]).image_r
        progress(image + 1, images)
    return values


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
