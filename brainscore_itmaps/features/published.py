"""Compute features at a recording's grid as the published code does, for comparison only."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.predictivity import half_pixel

MAX_CHANNELS = 600


def published_field(features: NDArray[np.floating[Any]], grid: int, first: int = 0) -> NDArray[np.float64]:
    """Average channels, resize and scale features as `score_model` of the code of Linsley et al. (2023) does.

    Above 600 channels, groups of 3 neighbours (or of 4) are averaged. Maps no larger than the grid are interpolated
    between the centres of tiles, and the last channel is set to zero; larger maps are averaged over unequal blocks.
    Then each image is scaled to 0-1, all positions and channels together, including the zero channel.

    Parameters
    ----------
    features : array, shape (image, y, x, channel)
        Square maps, as the layer returns them.
    grid : int
        Number of positions along each side.
    first : int
        Index of the first image, for error messages.

    Returns
    -------
    array, shape (image, grid, grid, channel)

    Raises
    ------
    ArrayError
        When the published code fails: for maps that are not square, for more than 600 channels that neither 3 nor 4
        divides, and for an image on which the features are constant.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(2, 4, 4, 5))
    >>> field = published_field(features, 6)
    >>> field.shape, field.min(axis=(1, 2, 3)).tolist(), field.max(axis=(1, 2, 3)).tolist()
    ((2, 6, 6, 5), [0.0, 0.0], [1.0, 1.0])
    """
    images, height, width, _ = features.shape
    if height != width:
        raise ArrayError(
            f"The features are {height} x {width}.",
            'The published code takes square maps only: use the protocol "ours", or another layer.',
        )
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
            "The published code enlarges only maps of more than 3 channels, and fails on constant ones: use the "
            'protocol "ours", or another layer.',
        )
    scaled: NDArray[np.float64] = (flat - low) / (high - low)
    return scaled.reshape(resized.shape)


def _averaged_channels(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average groups of 3 or 4 neighbouring channels, if there are more than 600."""
    channels = features.shape[-1]
    if channels <= MAX_CHANNELS:
        return features
    for group in (3, 4):
        if channels % group == 0:
            averaged: NDArray[np.float32] = features.reshape(*features.shape[:-1], -1, group).mean(axis=-1)
            return averaged
    raise ArrayError(
        f"There are {channels} channels, which neither 3 nor 4 divides.",
        f"The published code takes at most {MAX_CHANNELS} channels, or multiples of 3 or 4: use the protocol "
        '"ours", or another layer.',
    )


def _enlarged(features: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """Interpolate maps between the centres of tiles, and set the last channel, or all of up to 3 channels, to zero."""
    low, high, share = half_pixel(features.shape[1], grid)
    weight = share.astype(np.float32)
    across = features[:, :, low] + (features[:, :, high] - features[:, :, low]) * weight[:, None]
    resized: NDArray[np.float32] = across[:, low] + (across[:, high] - across[:, low]) * weight[:, None, None]
    resized[..., -1 if features.shape[-1] > 3 else slice(None)] = (
        0  # the published loop over triples of channels leaves these at zero
    )
    return resized


def _block_means(features: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """Average maps over blocks of unequal size, one per position of the grid."""
    edges = [int(edge * features.shape[1] / float(grid)) for edge in range(grid + 1)]
    blocks = list(pairwise(edges))
    rows = np.stack([features[:, start:end].mean(axis=1) for start, end in blocks], axis=1)
    return np.stack([rows[:, :, start:end].mean(axis=2) for start, end in blocks], axis=2)
