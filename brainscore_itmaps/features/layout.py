"""Which axis of a layer's activation is which."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError

MOST_PREFIX_TOKENS = 16


def spatial_maps(activation: NDArray[np.floating[Any]], layer: str) -> NDArray[np.floating[Any]]:
    """Arrange a layer's activation as maps.

    Parameters
    ----------
    activation : array, shape (image, channel, y, x), (image, y, x, channel) or (image, token, channel)
        Channels-last layers are known by a square of positions before more channels. Tokens must fill a square once
        up to 16 leading tokens (class, distillation, registers) are set aside.
    layer : str
        Name of the layer, for errors.

    Returns
    -------
    array, shape (image, channel, y, x)

    Raises
    ------
    ModelError
        When the layer has no map: it is pooled, or its tokens do not fill a square.
    """
    if activation.ndim == 4:
        _, first, second, third = activation.shape
        channels_last = first == second < third
        return activation.transpose(0, 3, 1, 2) if channels_last else activation
    if activation.ndim == 3:
        images, tokens, channels = activation.shape
        side = math.isqrt(tokens)
        if side > 1 and tokens - side * side <= MOST_PREFIX_TOKENS:
            square = activation[:, tokens - side * side :].reshape(images, side, side, channels)
            return square.transpose(0, 3, 1, 2)
    raise ModelError(
        f"The layer {layer!r} gives no map: its activation has shape {activation.shape}, image first.",
        "Choose a layer before pooling, whose units still have a place in the picture.",
    )
