"""Which axis of a layer's activation is which."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError, NoMapError

MOST_PREFIX_TOKENS = 16


Layout = str | tuple[str, int] | list[Any]
"""``NCHW``, ``NHWC``, or ``("tokens", number of leading tokens)``."""


def spatial_maps(
    activation: NDArray[np.floating[Any]], layer: str, prefix: int | None = None, layout: Layout | None = None
) -> NDArray[np.floating[Any]]:
    """Arrange a layer's activation as maps.

    Pictures are shown square, so a map is square, and that tells the axes apart.

    Parameters
    ----------
    activation : array, shape (image, channel, y, x), (image, y, x, channel) or (image, token, channel)
        Tokens must fill a square, row by row, once the leading ones (class, distillation, registers) are set aside.
    layer : str
        Name of the layer, for errors.
    prefix : int, optional
        How many leading tokens the network has; when it is not known, up to 16.
    layout : str or tuple, optional
        What the axes are, where somebody says so; then nothing is guessed.

    Returns
    -------
    array, shape (image, channel, y, x)

    Raises
    ------
    NoMapError
        A ModelError: when the layer has no square map, because it is pooled or its tokens do not fill a square.
    ModelError
        When the layer is not as the layout says.
    """
    if layout is not None:
        return _as_said(activation, layer, layout)
    if activation.ndim == 4:
        _, first, second, third = activation.shape
        if second == third > 1:
            return activation
        if first == second > 1:
            return activation.transpose(0, 3, 1, 2)
    if activation.ndim == 3:
        images, tokens, channels = activation.shape
        for leading in range(MOST_PREFIX_TOKENS + 1) if prefix is None else (prefix, 0):
            side = math.isqrt(max(tokens - leading, 0))
            if side > 1 and side * side == tokens - leading:
                square = activation[:, leading:].reshape(images, side, side, channels)
                return square.transpose(0, 3, 1, 2)
    raise NoMapError(
        f"The layer {layer!r} gives no map: its activation has shape {activation.shape}, image first.",
        "Choose a layer before pooling, whose units still have a place in the picture.",
    )


def _as_said(activation: NDArray[np.floating[Any]], layer: str, layout: Layout) -> NDArray[np.floating[Any]]:
    if layout == "NCHW" and activation.ndim == 4:
        return activation
    if layout == "NHWC" and activation.ndim == 4:
        return activation.transpose(0, 3, 1, 2)
    if isinstance(layout, tuple | list) and len(layout) == 2 and layout[0] == "tokens" and activation.ndim == 3:
        images, tokens, channels = activation.shape
        side = math.isqrt(max(tokens - layout[1], 0))
        if side * side == tokens - layout[1] and side > 0:
            return activation[:, layout[1] :].reshape(images, side, side, channels).transpose(0, 3, 1, 2)
    raise ModelError(
        f"The layer {layer!r} is said to be laid out as {layout!r}, but its activation has shape {activation.shape}.",
        "Correct the model's spatial_layout: NCHW, NHWC, or ('tokens', number of leading tokens).",
    )
