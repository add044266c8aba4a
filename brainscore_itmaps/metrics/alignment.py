"""Feature alignment of predicted and recorded maps, and agreement of saliency with human maps."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError, check_choice, described
from brainscore_itmaps.metrics.predictivity import COARSENERS, check_same_shape, site_rank_correlation
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.text import short_repr

COARSE = 4
TOP_SHARE = 0.1
INTER_HUMAN = 0.65753
"""Mean Spearman correlation between people, as published by Fel et al. (2022) for ClickMe; not measured here."""


class Summary(NamedTuple):
    """Mean, median and standard deviation of many values.

    Attributes
    ----------
    mean, median, sd : float
        Of the defined values; ``sd`` is the standard deviation of the sample.
    defined, undefined : int
        Number of finite and of other values.
    """

    mean: float
    median: float
    sd: float
    defined: int
    undefined: int


@short_repr
class Overlap(NamedTuple):
    """Overlap of the top positions of two maps.

    Attributes
    ----------
    dice, iou : array, shape (image,)
        Dice coefficient, and intersection over union; NaN where a map has no top positions.
    """

    dice: NDArray[np.float64]
    iou: NDArray[np.float64]


@short_repr
@dataclass(frozen=True, eq=False)
class Alignment:
    """Agreement of predicted and recorded maps, image by image.

    Attributes
    ----------
    map_rho, map_rho_coarse : array, shape (image,)
        Spearman correlation of the two maps averaged over sites, at the full grid and averaged over tiles of about
        4 x 4 positions (2 x 2 tiles remain of 9 x 9 positions: hardly a statistic).
    site_rho, site_rho_coarse : array, shape (image, site)
        The same for the two maps of each site.
    dice, iou : array, shape (image,)
        Overlap of the top tenth of positions of the two averaged maps.
    """

    map_rho: NDArray[np.float64]
    map_rho_coarse: NDArray[np.float64]
    site_rho: NDArray[np.float64]
    site_rho_coarse: NDArray[np.float64]
    dice: NDArray[np.float64]
    iou: NDArray[np.float64]

    def summary(self) -> dict[str, Summary]:
        """Summarise each measure over all images (and sites)."""
        return {name: summarised(values) for name, values in vars(self).items()}


@accept_reference_compat
def align(
    predicted: ArrayLike,
    maps: ArrayLike,
    *,
    scale: int = COARSE,
    share: float = TOP_SHARE,
    protocol: str | Protocol = "ours",
) -> Alignment:
    """Compute every measure of :class:`Alignment` for predicted and recorded maps.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    scale : int
        Approximate number of positions along each side of the coarse tiles.
    share : float
        Share of positions that count as the top of a map, between 0 and 1.
    protocol : "ours", "published" or Protocol
        Published: single precision, interpolation to the coarse scale, and an overlap of 0 where a map has no top.

    Raises
    ------
    ArrayError
        When the shapes differ, or the scale or the share is out of range.

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(2, 9, 8, 3))
    >>> alignment = align(maps, maps)
    >>> alignment.dice.tolist(), alignment.site_rho.shape
    ([1.0, 1.0], (2, 3))
    >>> alignment.summary()["map_rho"].defined
    2
    """
    predicted, maps = check_same_shape(predicted, maps)
    map_rho, map_rho_coarse, site_rho, site_rho_coarse = (
        feature_alignment(predicted, maps, scale=size, per_site=per_site, protocol=protocol)
        for per_site in (False, True)
        for size in (1, scale)
    )
    first, second = _site_means(predicted, maps, protocol_named(protocol))
    dice, iou = top_overlap(first[..., 0], second[..., 0], share, protocol=protocol)
    return Alignment(map_rho, map_rho_coarse, site_rho, site_rho_coarse, dice, iou)


@accept_reference_compat
def feature_alignment(
    predicted: ArrayLike,
    maps: ArrayLike,
    *,
    scale: int = 1,
    per_site: bool = False,
    protocol: str | Protocol = "ours",
) -> NDArray[np.float64]:
    """Compute Spearman's rho over positions between maps averaged over sites, for every image.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
        A site with a missing value in either array is left out of both averages.
    scale : int
        Average tiles of about this many positions along each side first; 1 is the full grid.
    per_site : bool
        Compare the maps of each site instead of their average.
    protocol : "ours", "published" or Protocol
        Published: single precision, and interpolated to the coarse scale instead of averaged over tiles.

    Returns
    -------
    array, shape (image,), or (image, site)
        NaN where one of the two maps is constant, or fewer than 3 positions remain.

    Raises
    ------
    ArrayError
        When the shapes differ, or the scale is not a whole number of at least 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(2, 6, 5, 3))
    >>> feature_alignment(maps, maps).round(2).tolist()
    [1.0, 1.0]
    >>> noisy = maps + rng.normal(size=maps.shape)
    >>> feature_alignment(noisy, maps).round(2).tolist()
    [0.81, 0.84]
    """
    protocol = protocol_named(protocol)
    predicted, maps = check_same_shape(predicted, maps)
    check_choice(per_site=per_site)
    if isinstance(scale, bool) or not isinstance(scale, int | np.integer) or scale < 1:
        raise ArrayError(f"The scale is {described(scale)}.", "Give a whole number of positions of at least 1.")
    pair = [predicted, maps] if per_site else _site_means(predicted, maps, protocol)
    first, second = (COARSENERS[protocol.coarsen](values, scale).astype(np.float64, copy=False) for values in pair)
    images, height, width, sites = first.shape
    rho = site_rank_correlation(first, second) if height * width > 2 else np.full((images, sites), np.nan)
    return rho if per_site else rho[:, 0]


@accept_reference_compat
def top_overlap(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    share: float = TOP_SHARE,
    *,
    protocol: str | Protocol = "ours",
) -> Overlap:
    """Compute Dice and intersection over union of the top positions of each map.

    The top positions are those above the map's percentile at ``1 - share``.

    Parameters
    ----------
    first, second : array, shape (image, y, x)
    share : float
        Share of positions that count as the top of a map, between 0 and 1.
    protocol : "ours", "published" or Protocol
        Published: single precision, and 1e-9 added to the denominators, so the overlap is 0 where a map has no top.

    Raises
    ------
    ArrayError
        When the shapes differ or the share is out of range.

    Examples
    --------
    >>> first = np.arange(20.0).reshape(1, 5, 4)
    >>> overlap = top_overlap(first, first[:, ::-1], share=0.5)
    >>> overlap.dice.round(2).tolist(), overlap.iou.round(2).tolist()
    ([0.2], [0.11])
    """
    protocol = protocol_named(protocol)
    if first.ndim != 3 or first.shape != second.shape:
        raise ArrayError(f"The maps {first.shape} and {second.shape} differ in shape.", "Give both as (image, y, x).")
    if not 0 < share < 1:
        raise ArrayError(f"The share of top positions is {share}.", "Give a number between 0 and 1.")
    a, b = (_top(values, share, protocol.precision) for values in (first, second))
    shared, union = (a & b).sum(axis=1), (a | b).sum(axis=1)
    total = a.sum(axis=1) + b.sum(axis=1)
    if protocol.overlap_epsilon is not None:
        return Overlap(2.0 * shared / (total + protocol.overlap_epsilon), shared / (union + protocol.overlap_epsilon))
    undefined = ~(a.any(axis=1) & b.any(axis=1))
    dice, iou = 2 * shared / np.maximum(total, 1), shared / np.maximum(union, 1)
    return Overlap(np.where(undefined, np.nan, dice), np.where(undefined, np.nan, iou))


@short_repr
@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of saliency maps with human maps, image by image.

    Attributes
    ----------
    spearman : array, shape (image,)
        Spearman correlation over all pixels; NaN where a map is constant.
    dice, iou : array, shape (image,)
        Overlap of the top tenth of pixels.
    """

    spearman: NDArray[np.float64]
    dice: NDArray[np.float64]
    iou: NDArray[np.float64]

    @property
    def raw(self) -> float:
        """Return the mean Spearman correlation over the images where it is defined; NaN if there is none."""
        return summarised(self.spearman).mean

    @property
    def score(self) -> float:
        """Return :attr:`raw` divided by :data:`INTER_HUMAN`."""
        return self.raw / INTER_HUMAN


@accept_reference_compat
def agreement(saliency: NDArray[Any], heatmaps: NDArray[Any], *, protocol: str | Protocol = "ours") -> Agreement:
    """Compute the agreement of saliency maps with human maps, image by image.

    Parameters
    ----------
    saliency, heatmaps : array, shape (image, y, x)
    protocol : "ours", "published" or Protocol
        Published: single precision, and an overlap of 0 where a map has no top.

    Raises
    ------
    ArrayError
        When the shapes differ.

    Examples
    --------
    >>> heatmaps = np.arange(60.0).reshape(3, 5, 4)
    >>> result = agreement(heatmaps**2, heatmaps)
    >>> result.raw, round(result.score, 2)
    (1.0, 1.52)
    """
    saliency, heatmaps = (values.astype(protocol_named(protocol).precision) for values in (saliency, heatmaps))
    dice, iou = top_overlap(saliency, heatmaps, protocol=protocol)
    rho = feature_alignment(saliency[..., None], heatmaps[..., None])
    return Agreement(rho, dice, iou)


def summarised(values: NDArray[np.float64]) -> Summary:
    """Compute mean, median and standard deviation of the finite values, and count the others.

    Examples
    --------
    >>> summary = summarised(np.array([[0.5, 0.25, np.nan], [0.75, 0.5, 1.0]]))
    >>> summary.mean, summary.median, summary.defined, summary.undefined
    (0.6, 0.5, 5, 1)
    """
    defined = values[np.isfinite(values)]
    undefined = values.size - defined.size
    if not defined.size:
        return Summary(np.nan, np.nan, np.nan, 0, undefined)
    spread = float(defined.std(ddof=1)) if defined.size > 1 else np.nan
    return Summary(float(defined.mean()), float(np.median(defined)), spread, defined.size, undefined)


def _site_means(predicted: NDArray[Any], maps: NDArray[Any], protocol: Protocol) -> list[NDArray[Any]]:
    """Average both maps over sites, shape (image, y, x, 1); sites with missing values are left out by our protocol."""
    if protocol.reduce_sites == "defined":
        defined = np.isfinite(predicted).all(axis=(0, 1, 2)) & np.isfinite(maps).all(axis=(0, 1, 2))
        if not defined.any():
            return [np.full((*maps.shape[:3], 1), np.nan)] * 2
        predicted, maps = predicted[..., defined], maps[..., defined]
    return [_site_mean(values, protocol.precision) for values in (predicted, maps)]


def _site_mean(maps: NDArray[Any], precision: str) -> NDArray[Any]:
    """Average over sites in the precision of the recording, because rounding decides ties of ranks."""
    rounded = maps.astype(precision, copy=False)
    mean: NDArray[Any] = (rounded if (rounded == maps).all() else maps).mean(axis=-1, keepdims=True)
    return mean


def _top(maps: NDArray[np.float64], share: float, precision: str) -> NDArray[np.bool_]:
    """Find the top positions of each map, shape (image, position)."""
    flat: NDArray[Any] = maps.reshape(len(maps), -1).astype(precision)
    top: NDArray[np.bool_] = flat > np.percentile(flat, 100 * (1 - share), axis=1, keepdims=True)  # False where NaN
    return top
