"""Compute null distributions of scores: predicted maps that are paired with other images' maps, shifted or rotated."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from brainscore_itmaps.metrics.folds import Predictions, several_folds
from brainscore_itmaps.metrics.predictivity import over_sites
from brainscore_itmaps.protocol import OURS, Protocol

PAIRINGS = 9999
"""Number of random pairings of images."""
SPREAD = 1.04
"""Ratio by which the mean of the images' own maps varies more than those of pairings, because the regressions of two
images are fitted to each other's maps. It was chosen so that 4 to 6 % are rejected at .05 in the cases of
``benchmarks/null_rejections.py``."""
AT_ONCE = 1 << 22
"""Largest number of values that are drawn at a time."""


class PairingNull(NamedTuple):
    """Null distribution of a score over pairings of predicted maps with other images' maps.

    Attributes
    ----------
    p_value : float
        Share of the random pairings whose mean is not below that of the images' own maps, counting these once.
    mean, low, high : float
        Mean and 95 % range of the means of the pairings over the images that are paired with another image's map.
    """

    p_value: float
    mean: float
    low: float
    high: float


class Range(NamedTuple):
    """Range of values; a description, not a test."""

    low: float
    high: float


def paired_values(
    pairs: Predictions,
    maps: NDArray[np.float64],
    measure: str = "predictivity",
    protocol: Protocol = OURS,
    set: int = 0,
) -> NDArray[np.float64]:
    """Correlate each predicted map with the recorded maps of all images, from regressions that were fitted to neither.

    Parameters
    ----------
    pairs : FittedFolds or Predictions
        Regressions fitted to the folds of :func:`~brainscore_itmaps.metrics.folds.pairs_of_groups`, or predictions.
    maps : array, shape (image, y, x, site)
    measure : "predictivity" or "alignment"
    protocol : Protocol
        Its ``reduce_sites`` is used.
    set : int
        Index of the set of maps, where the regressions were fitted to several.

    Returns
    -------
    array, shape (image, image)
        Entry (i, j) compares the map predicted for image i with the map recorded for image j. The regression was fitted
        without the groups of both, and without one further group if they are in one group; the entry is then the mean
        over these groups. Otherwise a prediction would resemble the maps that it was fitted to, those of all images but
        its own.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.folds import fit_folds, pairs_of_groups
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(4, 5, 6, 3))
    >>> maps = field @ rng.normal(size=(3, 2))
    >>> paired_values(fit_folds(field, maps, pairs_of_groups(4)), maps).diagonal().round(3)
    array([1., 1., 1., 1.])
    """
    images = len(maps)
    standardised, crossed = CROSSED[measure]
    total, count = np.zeros((2, images, images))
    for folds in several_folds(pairs.folds, maps[0].size):
        left_out = [np.flatnonzero(pairs.folds[fold]) for fold in folds]
        ends = np.cumsum([len(some) for some in left_out])[:-1]
        left = np.split(standardised([pairs.of(fold, set) for fold in folds]), ends, axis=1)
        right = np.split(standardised([maps[some] for some in left_out]), ends, axis=1)
        for some, predicted, recorded in zip(left_out, left, right, strict=True):
            both = np.ix_(some, some)
            total[both] += crossed(np.matmul(predicted, recorded.swapaxes(1, 2)), protocol)
            count[both] += 1
    mean: NDArray[np.float64] = total / count
    return mean


def _over_sites(r: NDArray[np.float64], protocol: Protocol) -> NDArray[np.float64]:
    """Reduce Pearson r of every pair of images (site, image, image) over sites, shape (image, image)."""
    by_pair = r.reshape(len(r), -1).T
    return over_sites(np.ascontiguousarray(by_pair), protocol=protocol).reshape(r.shape[1:])


def _ranks_of_means(*maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average maps over the sites that are complete in each array, and rank them over positions (image, y, x, 1)."""
    from scipy.stats import rankdata  # takes most of a second to import, which cached scores do not need

    means = np.concatenate([each[..., np.isfinite(each).all(axis=(0, 1, 2))].mean(axis=-1) for each in maps])
    ranks: NDArray[np.float64] = rankdata(means.reshape(len(means), -1), axis=1).reshape(*means.shape, 1)
    return ranks


CROSSED: dict[str, tuple[Callable[[list[NDArray[np.float64]]], NDArray[np.float64]], Callable[..., Any]]] = {
    "predictivity": (lambda maps: standardised_maps(np.concatenate(maps)), _over_sites),
    "alignment": (lambda maps: standardised_maps(_ranks_of_means(*maps)), lambda rho, protocol: rho[0]),
}
"""For each measure: functions that standardise maps of several folds, (site, image, position), and that reduce the
correlations of pairs of images."""


def standardised_maps(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre maps (image, y, x, site) over positions and scale them to length 1; shape (site, image, position).

    Examples
    --------
    >>> standardised_maps(np.arange(6.0).reshape(1, 3, 2, 1)).shape
    (1, 1, 6)
    """
    flat = np.moveaxis(maps, -1, 0).reshape(maps.shape[-1], len(maps), -1).astype(np.float64)
    flat -= flat.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(flat, axis=-1, keepdims=True)
    scaled: NDArray[np.float64] = flat / np.where(length > 0, length, np.nan)
    return scaled


def pairing_null(
    paired: Sequence[NDArray[np.float64]],
    images: Sequence[Hashable] | None = None,
    rng: np.random.Generator | int = 0,
    pairings: int = PAIRINGS,
) -> PairingNull:
    """Test whether predicted maps resemble the maps of their own images more than those of other images.

    If predictions hold nothing about which image is shown, all pairings of predicted and recorded maps are equally
    likely, also where every map has the same bump in the centre. The test is a permutation test of the mean, whose null
    distribution is widened by :data:`SPREAD`.

    Parameters
    ----------
    paired : sequence of arrays, shape (image, image)
        Values from :func:`paired_values`, one array for each recording; the statistic is the mean over them.
    images : sequence, optional
        What identifies the images of each recording. Recordings of the same images are paired alike. By default, all
        recordings have the same images.
    rng : numpy.random.Generator or int
    pairings : int
        Number of random pairings.

    Returns
    -------
    PairingNull
        NaN where a value is undefined.

    Examples
    --------
    >>> null = pairing_null([np.eye(7)])
    >>> null.p_value < 0.001, round(null.mean, 2)
    (True, 0.0)
    """
    rng = np.random.default_rng(rng)
    identities = [0] * len(paired) if images is None else list(images)
    means, others, own = np.zeros(pairings), np.zeros(pairings), 0.0
    for identity in dict.fromkeys(identities):
        same = [values for values, other in zip(paired, identities, strict=True) if other == identity]
        values = np.sum(same, axis=0) / len(paired)
        own += values.diagonal().mean()
        order = np.arange(len(values))
        for some in np.array_split(np.arange(pairings), 1 + pairings * len(order) // AT_ONCE):
            partners = rng.permuted(np.tile(order, (len(some), 1)), axis=1)
            other, paired_values_of = partners != order, values[order, partners]
            means[some] += paired_values_of.mean(axis=1)
            others[some] += np.where(other, paired_values_of, 0).sum(axis=1) / np.maximum(other.sum(axis=1), 1)
    if not np.isfinite(own) or np.isnan(means).any():
        return PairingNull(np.nan, np.nan, np.nan, np.nan)
    means = means.mean() + SPREAD * (means - means.mean())
    reached = int((means >= own - 1e-12).sum())
    low, high = np.percentile(others, [2.5, 97.5])
    return PairingNull((1 + reached) / (1 + pairings), float(others.mean()), float(low), float(high))


def range_of_shifts(
    predicted: NDArray[np.float64], maps: NDArray[np.float64], measure: str = "predictivity", protocol: Protocol = OURS
) -> Range:
    """Compute the 95 % range of the score of predicted maps that are shifted around the edges of the grid.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    measure : "predictivity" or "alignment"
    protocol : Protocol

    Returns
    -------
    Range
        Over all shifts except none. It describes how much of a score smooth maps give at any place; it is no test,
        because shifted maps have edges that recorded maps have not (``benchmarks/null_rejections.py``).

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(6, 5, 7, 3))
    >>> shifts = range_of_shifts(maps, maps)
    >>> -0.2 < shifts.low < 0 < shifts.high < 0.2
    True
    """
    if measure == "alignment":
        predicted, maps = _ranks_of_means(predicted), _ranks_of_means(maps)
    height, width = maps.shape[1:3]
    spectra = [
        fft.fft2(standardised_maps(values).reshape(-1, len(values), height, width)) for values in (predicted, maps)
    ]
    r = fft.ifft2(spectra[0].conj() * spectra[1]).real  # (site, image, y, x)
    moved = np.moveaxis(r.reshape(*r.shape[:2], -1)[..., 1:], (2, 1, 0), (0, 1, 2))  # (shift, image, site)
    values = over_sites(moved.reshape(-1, moved.shape[-1]), protocol=protocol).reshape(moved.shape[:2]).mean(axis=1)
    if np.isnan(values).any() or not len(values):
        return Range(np.nan, np.nan)
    return Range(*map(float, np.percentile(values, [2.5, 97.5])))


def range_of_rotations(
    predicted: NDArray[np.float64], maps: NDArray[np.float64], measure: str = "predictivity", protocol: Protocol = OURS
) -> Range:
    """Compute the smallest and largest score of predicted maps that are rotated or mirrored.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    measure : "predictivity" or "alignment"
    protocol : Protocol

    Returns
    -------
    Range
        Over the 7 rotations and mirror images of a square grid, or the 3 of another grid; a description, no test.

    Examples
    --------
    >>> centre = np.zeros((3, 5, 5, 2))
    >>> centre[:, 2, 2] = 1
    >>> range_of_rotations(centre, centre)
    Range(low=1.0, high=1.0)
    """
    square = predicted.shape[1] == predicted.shape[2]
    turned = [
        np.flip(rotated, axis=1) if mirrored else rotated
        for quarters in (range(4) if square else (0, 2))
        for mirrored in (False, True)
        for rotated in [np.rot90(predicted, quarters, axes=(1, 2))]
    ][1:]
    if 1 in predicted.shape[1:3]:  # of a single line, all others are the same as this one, or as no rotation
        turned = [predicted[:, ::-1, ::-1]]
    if measure == "alignment":
        turned, maps = [_ranks_of_means(values) for values in turned], _ranks_of_means(maps)
    recorded = standardised_maps(maps)
    values = []
    for each in turned:
        r = np.einsum("sip,sip->is", standardised_maps(each), recorded)
        values.append(float(over_sites(r, protocol=protocol).mean()))
    return Range(float(np.round(min(values), 12)), float(np.round(max(values), 12)))
