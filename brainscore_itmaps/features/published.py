"""Features at a recording's grid, computed as the published code does; for comparison only."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.predictivity import half_pixel

MOST_CHANNELS = 600


def published_field(features: NDArray[np.floating[Any]], grid: int, first: int = 0) -> NDArray[np.float64]:
    """Average channels, resize, scale: `score_model` of the reference code of Linsley et al. (2023), step by step.

    Above 600 channels, groups of 3 neighbours (or of 4) are averaged. Maps no larger than the grid are interpolated
    between the centres of tiles, and the last channel is left zero; larger ones are averaged over unequal blocks.
    Then each image is scaled to 0-1, all positions and channels together, the zero channel included.

    Parameters
    ----------
    features : array, shape (image, y, x, channel)
        Square, as the layer gives it.
    grid : int
        Positions along each side.
    first : int
        Number of the first image, for errors.

    Returns
    -------
    array, shape (image, grid, grid, channel)

    Raises
    ------
    ArrayError
        Where the published code fails: maps that are not square, more than 600 channels that neither 3 nor 4 divides,
        an image on which the features are constant.
    """
    images, height, width, _ = features.shape
    if height != width:
        raise ArrayError(f"The features are {height} x {width}.", "The published code reads square maps only.")
    with np.errstate(over="ignore"):
        finite = np.isfinite(features.astype(np.float32, copy=False)).all()
    if not finite:
        raise ArrayError("A feature is not finite in single precision.", "Leave out the channel that holds it.")
    reduced = _averaged_channels(features.astype(np.float32, copy=False))
    resized = _enlarged(reduced, grid) if height <= grid else _block_means(reduced, grid)
    flat = resized.reshape(images, -1).astype(np.float64)
    low, high = flat.min(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    if (constant := np.flatnonzero(high == low)).size:
        raise ArrayError(
            f"The resized features are constant on the images {', '.join(map(str, constant + first))}: "
            "scaling them to 0-1 is undefined.",
            "The published code enlarges maps of more than 3 channels only, and fails on constant ones.",
        )
    scaled: NDArray[np.float64] = (flat - low) / (high - low)
    return scaled.reshape(resized.shape)


def _averaged_channels(features: NDArray[np.float32]) -> NDArray[np.float32]:
    channels = features.shape[-1]
    if channels <= MOST_CHANNELS:
        return features
    for group in (3, 4):
        if channels % group == 0:
            averaged: NDArray[np.float32] = features.reshape(*features.shape[:-1], -1, group).mean(axis=-1)
            return averaged
    raise ArrayError(
        f"There are {channels} channels, which neither 3 nor 4 divides.",
        f"The published code reads at most {MOST_CHANNELS} channels, or multiples of 3 or 4.",
    )


def _enlarged(features: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    low, high, share = half_pixel(features.shape[1], grid)
    weight = share.astype(np.float32)
    across = features[:, :, low] + (features[:, :, high] - features[:, :, low]) * weight[:, None]
    resized: NDArray[np.float32] = across[:, low] + (across[:, high] - across[:, low]) * weight[:, None, None]
    resized[..., -1 if features.shape[-1] > 3 else slice(None)] = 0  # triples of channels, up to the last but three
    return resized


def _block_means(features: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    edges = [int(number * features.shape[1] / float(grid)) for number in range(grid + 1)]
    blocks = list(pairwise(edges))
    rows = np.stack([features[:, first:last].mean(axis=1) for first, last in blocks], axis=1)
    return np.stack([rows[:, :, first:last].mean(axis=2) for first, last in blocks], axis=2)
