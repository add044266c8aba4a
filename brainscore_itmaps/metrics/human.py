"""How well a network's saliency agrees with what people find important."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.metrics.alignment import feature_alignment, summarised, top_overlap

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


def agreement(saliency: NDArray[Any], heatmaps: NDArray[Any], *, reference_compat: bool = False) -> Agreement:
    """Compare saliency maps with human maps.

    Parameters
    ----------
    saliency, heatmaps : array, shape (image, y, x)
    reference_compat : bool
        As the published code: in single precision, and no overlap (0) where a map has no top.

    Raises
    ------
    ArrayError
        When the shapes differ.
    """
    if reference_compat:
        saliency, heatmaps = saliency.astype(np.float32), heatmaps.astype(np.float32)
    dice, iou = top_overlap(saliency, heatmaps, reference_compat=reference_compat)
    rho = feature_alignment(saliency[..., None], heatmaps[..., None])
    return Agreement(rho, dice, iou)
