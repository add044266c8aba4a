"""Predict the map of every image from a regression fitted on all the other images."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LeftOut(NamedTuple):
    """Predictions of images that the regression had not seen.

    Attributes
    ----------
    predicted : array, shape (image, y, x, site)
        In the units of the maps.
    components : array, shape (image,)
        PLS components used when that image was left out.
    """

    predicted: NDArray[np.float64]
    components: NDArray[np.int64]


def predict_left_out(
    field: NDArray[np.float64],
    maps: NDArray[np.float64],
    components: int = 25,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LeftOut:
    """Fit PLS on all images but one, predict the one left out, and do so for every image.

    One sample is one grid position of one image. The regression is scikit-learn's ``PLSRegression`` (centred,
    unscaled, all sites at once) with its inner problem solved exactly by a singular value decomposition, instead of a
    power iteration that its default tolerance stops early. Features are first reduced to their numerical rank, which
    changes nothing but keeps directions of pure rounding error out; no fold uses more components than that rank, nor
    any that come after the maps are explained to rounding.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features at the recording's grid.
    maps : array, shape (image, y, x, site)
        What to predict.
    components : int
        PLS components, 25 as published (Linsley et al. 2023).
    progress : callable
        Told (folds done, folds in all).

    Raises
    ------
    ValueError
        When image and grid of the two arrays differ, when a value is not finite, or with fewer than 3 images.
    """
    if field.ndim != 4 or maps.ndim != 4 or field.shape[:3] != maps.shape[:3]:
        raise ValueError(f"field {field.shape} and maps {maps.shape} must share image, y and x")
    if len(field) < 3:
        raise ValueError(f"leaving one image out needs at least 3 images, not {len(field)}")
    if not (np.isfinite(field).all() and np.isfinite(maps).all()):
        raise ValueError("field and maps must be finite")
    predicted = np.empty(maps.shape)
    used = np.empty(len(maps), np.int64)
    for image in range(len(maps)):
        train = np.arange(len(maps)) != image
        predicted[image], used[image] = _fit_predict(field[train], maps[train], field[image], components)
        progress(image + 1, len(maps))
    return LeftOut(predicted, used)


def _fit_predict(
    seen: NDArray[np.float64], maps: NDArray[np.float64], unseen: NDArray[np.float64], components: int
) -> tuple[NDArray[np.float64], int]:
    from sklearn.cross_decomposition import PLSRegression

    samples = seen.reshape(-1, seen.shape[-1])  # (image * y * x, channel)
    targets = maps.reshape(-1, maps.shape[-1])  # (image * y * x, site)
    mean = samples.mean(axis=0)
    _, size, directions = np.linalg.svd(samples - mean, full_matrices=False)
    largest = max(size[0], np.sqrt(len(samples)) * np.linalg.norm(mean))  # what rounding is relative to
    rank = int((size > largest * max(samples.shape) * np.finfo(float).eps).sum())
    components = min(components, rank)
    varying = np.ptp(targets, axis=0) > 0
    shape = (*unseen.shape[:2], maps.shape[-1])
    predicted = np.broadcast_to(targets.mean(axis=0), shape).copy()
    if components == 0 or not varying.any():
        return predicted, 0
    basis = directions[:rank].T  # (channel, rank)
    regression = PLSRegression(n_components=components, scale=False)
    regression.algorithm = "svd"  # exact singular vectors instead of a power iteration
    scores = regression.fit_transform((samples - mean) @ basis, targets[:, varying])[0]  # (sample, component)
    explained = np.linalg.norm(scores, axis=0) * np.linalg.norm(regression.y_loadings_, axis=0)
    spread = np.linalg.norm(targets - targets.mean(axis=0))
    used = int(np.argmin([*(explained > 1e-12 * spread), False]))  # components after these would fit rounding
    unseen_scores = regression.transform((unseen.reshape(-1, unseen.shape[-1]) - mean) @ basis)  # (y * x, component)
    fitted = unseen_scores[:, :used] @ regression.y_loadings_[:, :used].T
    predicted[..., varying] += fitted.reshape(*shape[:2], -1)
    return predicted, used
