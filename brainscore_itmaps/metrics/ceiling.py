"""Compute noise ceilings: the score that a prediction can reach, given the noise of the recording."""

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError, UsageError, nearest
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import COMPONENTS, predict_left_out
from brainscore_itmaps.metrics.inference import Interval, bootstrap_over_images, draw_images, interval_of_draws
from brainscore_itmaps.metrics.predictivity import over_images, over_sites, site_correlation
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.progress import Report, silent

MAX_SPLITS = 200
SITE_SPLITS = 100
BOUNDS = {
    "sites": "the part of a site's activity that other sites of the array share: how well they predict its map of a "
    "left-out image, by the same regression over the same folds. Noise that sites share counts as signal, and a "
    "response of a single site is missed, so a model can exceed this ceiling.",
    "split_half": "the score of a perfect, noise-free prediction, as far as noise differs from repeat to repeat.",
    "reference": "nothing: the published code takes the best pair of sites of each image, row by row of the map. This "
    "is not the statistic of the score, and it is above zero for pure noise.",
}
"""What each kind of noise ceiling bounds."""


@dataclass(frozen=True, eq=False)
class Ceiling:
    """A noise ceiling in the statistic of the score: median over sites, mean over images.

    Attributes
    ----------
    kind : str
        ``sites``, ``split_half`` or ``reference``.
    bounds : str
        What the ceiling bounds, in words (:data:`BOUNDS`).
    value : float
        The ceiling, between -1 and 1.
    interval : Interval
        95 % bootstrap interval of ``value``, over images.
    image_r : array, shape (image,)
        Ceiling of each image.
    site_r : array, shape (image, site), or None
        Ceiling of each image and site; None for the published ceiling.
    site_mean : array, shape (site,), or None
        Mean over the images on which the site is defined.
    site_interval : array, shape (site, 2), or None
        95 % bootstrap interval of ``site_mean``, over images.
    """

    kind: str
    bounds: str
    value: float
    interval: Interval
    image_r: NDArray[np.float64]
    site_r: NDArray[np.float64] | None = None
    site_mean: NDArray[np.float64] | None = None
    site_interval: NDArray[np.float64] | None = None


def noise_ceiling(
    maps: NDArray[np.float64],
    kind: str = "sites",
    *,
    repeats: NDArray[np.float64] | None = None,
    rng: int | np.random.Generator = 0,
    method: str = "pls",
    components: int = COMPONENTS,
    resamples: int = 1000,
    progress: Report = silent,
) -> Ceiling:
    """Compute a noise ceiling of recorded maps, with bootstrap intervals over images.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    kind : "sites", "split_half" or "reference"
        See :data:`BOUNDS` for what each bounds.
    repeats : array, shape (image, repeat, y, x, site), optional
        Repeated presentations; required by ``split_half``.
    rng : int or numpy Generator
        Seed or generator for the splits and for the bootstrap over images.
    method, components
        For ``sites``: regression and number of components of the score that the ceiling belongs to.
    resamples : int
        Number of bootstrap draws.
    progress : callable
        Called with (step, sites done, sites in all).

    Returns
    -------
    Ceiling

    Raises
    ------
    ArrayError
        When an array does not have the shape above, the repeats are missing, or the array has too few sites.
    UsageError
        When the kind is unknown.

    Examples
    --------
    Twelve images at 6 x 5 positions, four sites with the same signal, and two noisy repeats:

    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(12, 1, 6, 5, 1))
    >>> repeats = signal + rng.normal(size=(12, 2, 6, 5, 4))
    >>> ceiling = noise_ceiling(repeats.mean(axis=1), "split_half", repeats=repeats)
    >>> round(ceiling.value, 2)
    0.82
    """
    maps = real_array(maps, "maps")
    rng = np.random.default_rng(rng)
    if maps.ndim != 4:
        raise ArrayError(f"The maps have shape {maps.shape}.", "Give them as (image, y, x, site).")
    if kind == "reference":
        image_r = reference_ceiling(maps)
        interval = bootstrap_over_images(np.mean, image_r, rng=rng, resamples=resamples)
        return Ceiling(kind, BOUNDS[kind], float(image_r.mean()), interval, image_r)
    if kind == "split_half":
        if repeats is None:
            raise ArrayError("A split-half ceiling needs the repeats.", 'Give repeats=..., or use kind="sites".')
        repeats = real_array(repeats, "repeats")
        if repeats.ndim != 5 or repeats.shape[:1] + repeats.shape[2:] != maps.shape:
            raise ArrayError(
                f"The repeats {repeats.shape} are not those of the maps {maps.shape}.",
                "Give them as (image, repeat, y, x, site).",
            )
        site_r = split_half_ceiling(repeats, rng)
    elif kind == "sites":
        site_r = site_ceiling(maps, method, components=components, progress=progress)
    else:
        raise UsageError(f"There is no noise ceiling named {kind!r}.", nearest(str(kind), BOUNDS))
    return describe(kind, site_r, rng, resamples)


def describe(kind: str, site_r: NDArray[np.float64], rng: np.random.Generator, resamples: int = 1000) -> Ceiling:
    """Summarise the ceilings of every image and site, with bootstrap intervals over images.

    Parameters
    ----------
    kind : str
        A key of :data:`BOUNDS`.
    site_r : array, shape (image, site)
        NaN where undefined.
    rng : numpy Generator
        Source of randomness.
    resamples : int
        Number of bootstrap draws.

    Examples
    --------
    >>> site_r = np.array([[0.5, 0.75, 1.0], [0.25, 0.5, 0.5]])
    >>> ceiling = describe("sites", site_r, np.random.default_rng(0))
    >>> ceiling.value, ceiling.site_mean.tolist()
    (0.625, [0.375, 0.625, 0.75])
    """
    resampled = over_images(site_r[draw_images(len(site_r), rng, resamples)])  # (resample, site)
    image_r = over_sites(site_r)
    return Ceiling(
        kind=kind,
        bounds=BOUNDS[kind],
        value=float(image_r.mean()),
        interval=bootstrap_over_images(np.mean, image_r, rng=rng, resamples=resamples),
        image_r=image_r,
        site_r=site_r,
        site_mean=over_images(site_r),
        site_interval=np.stack([interval_of_draws(site)[:2] for site in resampled.T]),
    )


def site_ceiling(
    maps: NDArray[np.float64], method: str = "pls", *, progress: Report = silent, **options: Any
) -> NDArray[np.float64]:
    """Compute the correlation of a site's left-out maps with their prediction from the other sites of the array.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
        A site with a NaN is neither used nor predicted: its ceiling is NaN.
    method, options
        Regression and its options, as in :func:`~brainscore_itmaps.predict_left_out`.
    progress : callable
        Called with (step, sites done, sites in all).

    Returns
    -------
    array, shape (image, site)
        Pearson r over positions.

    Raises
    ------
    ArrayError
        With fewer than 2 sites without missing values.

    Examples
    --------
    Three sites that respond alike at 4 x 3 positions of five images:

    >>> maps = np.random.default_rng(0).normal(size=(5, 4, 3, 1)) * np.ones(3)
    >>> site_ceiling(maps).mean(axis=0).round(2).tolist()
    [1.0, 1.0, 1.0]
    """
    complete = np.flatnonzero(np.isfinite(maps).all(axis=(0, 1, 2)))
    if len(complete) < 2:
        raise ArrayError(
            f"{len(complete)} of {maps.shape[-1]} sites have no missing values.",
            "Give at least 2 sites without missing values.",
        )
    predicted = np.full(maps.shape, np.nan)
    for done, site in enumerate(complete):
        field = maps[..., complete[complete != site]]
        predicted[..., [site]] = predict_left_out(field, maps[..., [site]], method, **options).predicted
        progress("computing the noise ceiling", done + 1, len(complete))
    return site_correlation(predicted, maps)


def split_half_ceiling(repeats: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
    """Compute Spearman-Brown-corrected split-half reliability (its square root) per image and site.

    The correlation of two halves of the repeats is averaged over all ways to split them, corrected to the full number
    of repeats (Spearman-Brown) and square-rooted: only the recorded side of a model's correlation is noisy. The
    ceiling has one value per image and site, as the score does, and accounts for noise that differs from repeat to
    repeat. Where maps are mostly noise it is too high, because correlations below 0 count as 0 and chance correlations
    above 0 remain: even pure noise has a ceiling above 0.

    Parameters
    ----------
    repeats : array, shape (image, repeat, y, x, site)
        With an odd number, the halves leave out the last repeat.
    rng : numpy Generator, optional
        Draws 200 of the splits if there are more (12 repeats or more).

    Returns
    -------
    array, shape (image, site)
        0 where the correlation of the halves is not above 0, NaN where a map is constant.

    Raises
    ------
    ArrayError
        With fewer than 2 repeats.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(3, 1, 6, 5, 1))
    >>> repeats = signal + rng.normal(size=(3, 4, 6, 5, 2))
    >>> split_half_ceiling(repeats).round(2).tolist()
    [[0.9, 0.89], [0.88, 0.87], [0.92, 0.92]]
    """
    even_count = repeats.shape[1] // 2 * 2
    if even_count < 2:
        raise ArrayError(f"A split-half ceiling needs at least 2 repeats, not {repeats.shape[1]}.", "Give more.")
    correlation = np.zeros((len(repeats), repeats.shape[-1]))
    splits = _first_halves(even_count, rng or np.random.default_rng(0))
    for first in splits:
        second = [repeat for repeat in range(even_count) if repeat not in first]
        correlation += site_correlation(repeats[:, first].mean(axis=1), repeats[:, second].mean(axis=1))
    return _root_reliability(correlation / len(splits), repeats.shape[1] / (even_count // 2))


def map_ceiling(
    maps: NDArray[np.float64], repeats: NDArray[np.float64] | None = None, rng: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """Estimate Spearman's rho of a noise-free prediction with the recorded map averaged over sites, for every image.

    This is the noise ceiling of :func:`~brainscore_itmaps.metrics.alignment.feature_alignment`. It correlates halves
    of the repeats if there are at least 2, else 100 random halves of the sites: then a response of a single site counts
    as noise. The correlation is corrected to the full number (Spearman-Brown) and square-rooted, as in
    :func:`split_half_ceiling`.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    repeats : array, shape (image, repeat, y, x, site), optional
    rng : numpy Generator, optional
        Draws the halves.

    Returns
    -------
    array, shape (image,)
        NaN where a half of the map is constant.

    Raises
    ------
    ArrayError
        With fewer than 2 sites and no repeats.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(2, 6, 5, 1)) + rng.normal(size=(2, 6, 5, 8))
    >>> map_ceiling(maps).round(2).tolist()
    [0.93, 0.93]
    """
    rng = rng or np.random.default_rng(0)
    if repeats is not None and repeats.shape[1] > 1:
        parts = np.moveaxis(repeats.mean(axis=-1), 1, 0)  # (part, image, y, x)
        even_count = len(parts) // 2 * 2
        halves = [
            (first, [part for part in range(even_count) if part not in first])
            for first in _first_halves(even_count, rng)
        ]
    else:
        parts = np.moveaxis(maps, -1, 0)
        if len(parts) < 2:
            raise ArrayError(
                "A noise ceiling of maps needs repeats, or at least 2 sites.", "Give repeats or more sites."
            )
        even_count = len(parts) // 2 * 2
        orders = [rng.permutation(len(parts)).tolist() for _ in range(SITE_SPLITS)]
        halves = [(order[: even_count // 2], order[even_count // 2 : even_count]) for order in orders]
    rho = np.zeros(parts.shape[1])
    for first, second in halves:
        rho += feature_alignment(parts[first].mean(axis=0)[..., None], parts[second].mean(axis=0)[..., None])
    return _root_reliability(rho / len(halves), len(parts) / (even_count // 2))


def _root_reliability(half: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Compute the square root of the reliability of data ``ratio`` times as long as a half (Spearman-Brown)."""
    half = np.clip(half, 0, 1)
    return np.sqrt(ratio * half / (1 + (ratio - 1) * half))


def _first_halves(repeats: int, rng: np.random.Generator) -> list[list[int]]:
    """List the half with repeat 0 of every way to split the repeats; draw random halves if there are too many ways."""
    if comb(repeats - 1, repeats // 2 - 1) <= MAX_SPLITS:
        return [[0, *rest] for rest in combinations(range(1, repeats), repeats // 2 - 1)]
    return [rng.permutation(repeats)[: repeats // 2].tolist() for _ in range(MAX_SPLITS)]


def reference_ceiling(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the ceiling of the published code exactly as it does (Linsley et al. 2023, `ceiling_score`).

    The ceiling of an image is the largest value over pairs of sites, where the value of a pair is the mean over rows of
    the map of Pearson's r along the row. The last site is not used, pairs with a constant row are dropped, values below
    0 count as 0, and a single missing value makes every ceiling 0. It bounds nothing: see :data:`BOUNDS`.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)

    Returns
    -------
    array, shape (image,)

    Raises
    ------
    ArrayError
        With fewer than 2 sites.

    Examples
    --------
    >>> reference_ceiling(np.random.default_rng(0).normal(size=(2, 6, 5, 4))).round(2).tolist()
    [0.16, 0.2]
    """
    if maps.shape[-1] < 2:
        raise ArrayError("The published ceiling needs at least 2 sites.", "Give more sites.")
    images, height = maps.shape[:2]
    if np.isnan(maps).any() or maps.shape[-1] < 3:
        return np.zeros(images)
    lines = maps[..., :-1].transpose(0, 3, 1, 2).astype(np.float64)  # (image, site, y, x)
    flat_lines = np.ptp(lines, axis=-1, keepdims=True) == 0
    lines = np.where(flat_lines, np.nan, lines - lines.mean(axis=-1, keepdims=True))
    lines /= np.linalg.norm(lines, axis=-1, keepdims=True)
    flat = lines.reshape(images, lines.shape[1], -1)
    pairs = np.matmul(flat, flat.transpose(0, 2, 1)) / height  # (image, site, site)
    first, second = np.triu_indices(lines.shape[1], 1)
    best: NDArray[np.float64] = np.nan_to_num(pairs[:, first, second], nan=0.0).max(axis=1)
    return np.maximum(best, 0)
