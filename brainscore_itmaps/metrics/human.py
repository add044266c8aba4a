"""How well a network's saliency agrees with what people find important."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.metrics.alignment import feature_alignment, summarised, top_overlap
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named

INTER_HUMAN = 0.65753
"""Mean Spearman correlation between people, as published by Fel et al. (2022) for ClickMe; not measured here."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of saliency maps with human maps, picture by picture.

    Attributes
    ----------
    spearman : array, shape (image,)
        Over all pixels; NaN where a map is constant.
    dice, iou : array, shape (image,)
        Overlap of the top tenth of pixels.
    """

    spearman: NDArray[np.float64]
    dice: NDArray[np.float64]
    iou: NDArray[np.float64]

    @property
    def raw(self) -> float:
        """Mean Spearman correlation over the pictures where it is defined; NaN where it nowhere is."""
        return summarised(self.spearman).mean

    @property
    def score(self) -> float:
        """:attr:`raw` over :data:`INTER_HUMAN`."""
        return self.raw / INTER_HUMAN


@accept_reference_compat
def agreement(saliency: NDArray[Any], heatmaps: NDArray[Any], *, protocol: str | Protocol = "ours") -> Agreement:
    """Compare saliency maps with human maps.

    Parameters
    ----------
    saliency, heatmaps : array, shape (image, y, x)
    protocol : "ours", "published" or Protocol
        Published: in single precision, and an overlap of 0 where a map has no top.

    Raises
    ------
    ArrayError
        When the shapes differ.
    """
    saliency, heatmaps = (values.astype(protocol_named(protocol).precision) for values in (saliency, heatmaps))
    dice, iou = top_overlap(saliency, heatmaps, protocol=protocol)
    rho = feature_alignment(saliency[..., None], heatmaps[..., None])
    return Agreement(rho, dice, iou)
