"""Similarity of features and maps without a regression: representational similarity analysis and unbiased CKA.

Both compare positions. Responses at two positions of an image are alike or not in the features, and alike or not in the
maps; the measures say, image by image, whether the same pairs of positions are alike in both.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.repeats import MAX_SPLITS, fewest_repeats, first_halves, recorded_repeats
from brainscore_itmaps.metrics.rows import real_array

FEWEST_POSITIONS = 4
"""Smallest number of positions for which unbiased HSIC is defined."""
DECIMALS = 10
"""Decimals of a correlation that count for its rank: rounding errors do not separate positions of equal responses."""
TINY = 1e-12
"""Share of a variance that rounding errors may make of 0."""


def rsa(field: ArrayLike, maps: ArrayLike) -> NDArray[np.float64]:
    """Compute the rank correlation of the dissimilarities of positions in features and in maps, for every image.

    The dissimilarity of two positions of an image is 1 - Pearson r, over channels or over sites (Kriegeskorte, Mur &
    Bandettini 2008). Spearman's rho compares the dissimilarities of all pairs of positions. Channels and sites are
    first standardised over all positions of all images. Otherwise sites of high rates would count most, and the
    dissimilarities would depend on the baselines of sites. Over the positions of single images instead, the sites that
    do not respond to an image would count as much as those that do.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (image, y, x, site)
        A site with a missing value is left out.

    Returns
    -------
    array, shape (image,)
        NaN where fewer than 2 channels or sites vary, or all dissimilarities are equal, as those of constant maps are.

    Raises
    ------
    ArrayError
        When the two do not share their images and positions, or there are fewer than 4 positions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(2, 4, 5, 30))
    >>> rsa(7 * maps + 3, maps).round(2).tolist()
    [1.0, 1.0]
    >>> rsa(maps + rng.normal(size=maps.shape), maps).round(2).tolist()
    [0.43, 0.43]
    """
    first, second = map(standardised, _by_position(field, maps))
    ranks = zip(map(ranked_dissimilarities, first), map(ranked_dissimilarities, second), strict=True)
    return np.array([_correlation(*pair) for pair in ranks])


def cka(field: ArrayLike, maps: ArrayLike) -> NDArray[np.float64]:
    """Compute unbiased linear centred kernel alignment of features and maps over positions, for every image.

    CKA is HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) (Kornblith et al. 2019), where K and L hold the products of the
    responses at every two positions. HSIC is estimated without the bias that grows with the number of channels (HSIC_1
    of Song et al. 2012; Nguyen, Raghu & Kornblith 2021), so CKA of independent responses is about 0.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (image, y, x, site)
        A site with a missing value is left out. Sites count by their variance over the positions of the image.

    Returns
    -------
    array, shape (image,)
        Between -1 and 1; NaN where all channels, or all sites, are constant.

    Raises
    ------
    ArrayError
        When the two do not share their images and positions, or there are fewer than 4 positions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(2, 4, 5, 30))
    >>> cka(7 * maps + 3, maps).round(2).tolist()
    [1.0, 1.0]
    >>> cka(maps + rng.normal(size=maps.shape), maps).round(2).tolist()
    [0.58, 0.45]
    """
    first, second = _by_position(field, maps)
    return np.array([_cosine(centred_products(a), centred_products(b)) for a, b in zip(first, second, strict=True)])


SIMILARITIES: dict[str, Callable[[ArrayLike, ArrayLike], NDArray[np.float64]]] = {"rsa": rsa, "cka": cka}


def cka_ceiling(
    maps: NDArray[np.float64], repeats: NDArray[np.float64], rng: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """Estimate CKA of the noise-free maps with the recorded maps, for every image.

    Noise that is independent between positions and repeats changes neither HSIC(S, M) of signal and maps, on average,
    nor HSIC(A, B) of the means of two halves of the repeats: both are HSIC(S, S). The CKA of S with M is therefore
    sqrt(HSIC(A, B) / HSIC(M, M)). HSIC(A, B) is averaged over all ways to split the repeats.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    repeats : array, shape (image, repeat, y, x, site)
        Each image is split by its own repeats: those in which no site has a missing value. With an odd number, one
        half has one repeat more.
    rng : numpy Generator, optional
        Draws 200 of the splits if there are more (12 repeats or more).

    Returns
    -------
    array, shape (image,)
        Below 0 where HSIC(A, B) is; NaN where the maps are constant.

    Raises
    ------
    ArrayError
        With fewer than 2 such repeats of an image.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(2, 1, 8, 9, 16))
    >>> repeats = signal + rng.normal(size=(2, 4, 8, 9, 16))
    >>> maps = repeats.mean(axis=1)
    >>> cka_ceiling(maps, repeats).round(2).tolist(), cka(signal[:, 0], maps).round(2).tolist()
    ([0.79, 0.8], [0.79, 0.81])
    """
    rng = rng or np.random.default_rng(0)
    if (fewest := fewest_repeats(repeats, of_all_sites=True)) < 2:
        raise ArrayError(f"A noise ceiling of CKA needs at least 2 repeats of all sites, not {fewest}.", "Give more.")
    ceiling = np.full(len(maps), np.nan)
    for image, (mean, recorded) in enumerate(zip(maps, recorded_repeats(repeats).all(axis=-1), strict=True)):
        parts = repeats[image, recorded].reshape(recorded.sum(), -1, maps.shape[-1])
        products = centred_products(mean.reshape(-1, maps.shape[-1]))
        splits, shared = _splits(len(parts), rng), 0.0
        for first in splits:
            second = [part for part in range(len(parts)) if part not in first]
            halves = (centred_products(parts[half].mean(axis=0)) for half in (first, second))
            shared += float(np.vdot(*halves)) / len(splits)
        if (total := float(products @ products)) > 0:
            ceiling[image] = np.sign(shared) * np.sqrt(abs(shared) / total)
    return ceiling


def _splits(repeats: int, rng: np.random.Generator) -> list[list[int]]:
    """List one half of every way to split repeats; draw 200 if there are more. HSIC does not need equal halves."""
    if repeats % 2 and comb(repeats, repeats // 2) <= MAX_SPLITS:
        return [list(half) for half in combinations(range(repeats), repeats // 2)]
    return first_halves(repeats, rng)


def standardised(responses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardise each channel over all positions of all images; channels that do not vary are left out.

    Parameters
    ----------
    responses : array, shape (image, position, channel)

    Examples
    --------
    >>> standardised(np.array([[[1.0, 5.0], [2.0, 5.0]], [[1.0, 5.0], [2.0, 5.0]]])).tolist()
    [[[-1.0], [1.0]], [[-1.0], [1.0]]]
    """
    deviation = responses.std(axis=(0, 1))
    varying = deviation > TINY * np.abs(responses).max(axis=(0, 1), initial=0)
    kept = responses[..., varying]
    result: NDArray[np.float64] = (kept - kept.mean(axis=(0, 1))) / deviation[varying]
    return result


def ranked_dissimilarities(responses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank the dissimilarities of all pairs of positions, 1 - Pearson r over channels.

    Parameters
    ----------
    responses : array, shape (position, channel)

    Returns
    -------
    array, shape (pair,)
        In the order of :func:`scipy.spatial.distance.pdist`; NaN if a position has the same response in all channels.

    Examples
    --------
    >>> ranked_dissimilarities(np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 3.0], [1.0, 0.0, 0.0]])).tolist()
    [1.0, 3.0, 2.0]
    """
    from scipy.stats import rankdata  # takes most of a second to import, which cached scores do not need

    pairs = np.triu_indices(len(responses), 1)
    size = np.abs(responses).max(initial=0)
    patterns = responses - responses.sum(axis=1, keepdims=True) / max(responses.shape[1], 1)
    norms = np.linalg.norm(patterns, axis=1, keepdims=True)
    if not (norms > TINY * size).all():
        return np.full(len(pairs[0]), np.nan)
    patterns = patterns / norms
    ranks: NDArray[np.float64] = rankdata(1 - (patterns @ patterns.T)[pairs].round(DECIMALS))
    return ranks


def centred_products(responses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the products of the responses at every two different positions, centred so that HSIC has no bias.

    The centring is that of Szekely & Rizzo (2014, "U-centring"): the mean of two such arrays' products over all ordered
    pairs, times (n - 1) / (n - 3), is HSIC_1 of Song et al. (2012).

    Parameters
    ----------
    responses : array, shape (position, channel)

    Returns
    -------
    array, shape (pair,)
        In the order of :func:`scipy.spatial.distance.pdist`; 0 if all channels are constant.

    Examples
    --------
    >>> centred_products(np.array([[0.0], [0.0], [1.0], [1.0]])).round(2).tolist()
    [0.33, -0.17, -0.17, -0.17, -0.17, 0.33]
    """
    n = len(responses)
    deviation = np.abs(responses - responses.mean(axis=0))
    varying = deviation.max(axis=0) > TINY * np.abs(responses).max(axis=0)
    centred = responses[:, varying] - responses[:, varying].mean(axis=0)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0)
    rows = gram.sum(axis=0) / (n - 2)
    pairs: NDArray[np.float64] = (gram - rows - rows[:, None] + rows.sum() / (n - 1))[np.triu_indices(n, 1)]
    return pairs


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return _cosine(first - first.mean(), second - second.mean())


def _cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 0 else np.nan


def _by_position(field: ArrayLike, maps: ArrayLike) -> list[NDArray[np.float64]]:
    """Return features and maps in double precision, shape (image, position, channel or site), without missing sites."""
    field, maps = real_array(field, "features"), real_array(maps, "maps")
    if field.ndim != 4 or maps.ndim != 4 or field.shape[:3] != maps.shape[:3]:
        raise ArrayError(
            f"The features {field.shape} and the maps {maps.shape} do not share their images and positions.",
            "Give (image, y, x, channel) and (image, y, x, site), at the same positions.",
        )
    images, rows, columns, _ = field.shape
    if (positions := rows * columns) < FEWEST_POSITIONS:
        raise ArrayError(
            f"There are {positions} positions.", f"Comparing pairs of positions needs at least {FEWEST_POSITIONS}."
        )
    complete = maps[..., np.isfinite(maps).all(axis=(0, 1, 2))]
    return [values.reshape(images, positions, -1).astype(np.float64) for values in (field, complete)]
