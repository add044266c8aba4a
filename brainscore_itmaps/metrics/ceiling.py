"""Three noise ceilings: what a prediction could reach, given the noise of the recording."""

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

MOST_SPLITS = 200
SITE_SPLITS = 100
BOUNDS = {
    "sites": "what the other sites of the array tell about a site's map of a left-out image, by the same regression "
    "over the same folds: the part of its activity that is shared. Noise that sites share counts as signal, and what a "
    "site alone responds to is missed, so a model can exceed it.",
    "split_half": "what a perfect, noise-free prediction would reach, as far as noise differs from repeat to repeat.",
    "reference": "nothing: the published code takes the best pair of sites of each image, row by row of the map, which "
    "is another statistic than the score's, and above zero for pure noise.",
}


@dataclass(frozen=True)
class Ceiling:
    """A noise ceiling in the statistic of the score: median over sites, mean over images.

    Attributes
    ----------
    kind : str
        ``sites``, ``split_half`` or ``reference``.
    bounds : str
        What it bounds, in words.
    value : float
        The ceiling.
    interval : Interval
        Of ``value``, over images.
    image_r : array, shape (image,)
        Of each image.
    site_r : array, shape (image, site), or None
        Of each image and site; the published ceiling has none.
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
    """Compute a noise ceiling, with its intervals.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    kind : "sites", "split_half" or "reference"
        See :data:`BOUNDS` for what each bounds.
    repeats : array, shape (image, repeat, y, x, site), optional
        For ``split_half``.
    rng : int or numpy Generator
        Seed or generator for the splits and for the bootstrap over images.
    method, components
        Regression and number of components of the score that the ceiling belongs to; for ``sites``.
    resamples : int
        Number of draws.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    ArrayError
        When the kind needs repeats, or more sites, or an array has another shape.
    UsageError
        When the kind is not known.

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
            raise ArrayError("A split-half ceiling needs the repeats.", "Give them, or take the ceiling of the sites.")
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
        raise UsageError(f"There is no ceiling named {kind!r}.", nearest(str(kind), BOUNDS))
    return describe(kind, site_r, rng, resamples)


def describe(kind: str, site_r: NDArray[np.float64], rng: np.random.Generator, resamples: int = 1000) -> Ceiling:
    """Summarise the ceiling of every image and site, with intervals over images."""
    drawn = over_images(site_r[draw_images(len(site_r), rng, resamples)])  # (resample, site)
    image_r = over_sites(site_r)
    return Ceiling(
        kind=kind,
        bounds=BOUNDS[kind],
        value=float(image_r.mean()),
        interval=bootstrap_over_images(np.mean, image_r, rng=rng, resamples=resamples),
        image_r=image_r,
        site_r=site_r,
        site_mean=over_images(site_r),
        site_interval=np.stack([interval_of_draws(site)[:2] for site in drawn.T]),
    )


def site_ceiling(
    maps: NDArray[np.float64], method: str = "pls", *, progress: Report = silent, **options: Any
) -> NDArray[np.float64]:
    """Predict each site's map of every left-out image from the other sites of the array, as a model would be.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
        A site with a NaN predicts nothing, and is predicted as NaN.
    method : str
        Of :func:`~brainscore_itmaps.predict_left_out`, and its ``options``.
    progress : callable
        Told (what is being done, sites done, sites in all).

    Returns
    -------
    array, shape (image, site)
        Pearson r over positions.

    Raises
    ------
    ArrayError
        With fewer than 2 sites that have all their values.
    """
    known = np.flatnonzero(np.isfinite(maps).all(axis=(0, 1, 2)))
    if len(known) < 2:
        raise ArrayError(
            f"{len(known)} of {maps.shape[-1]} sites miss no value.", "A ceiling of sites needs at least 2 such sites."
        )
    predicted = np.full(maps.shape, np.nan)
    for done, site in enumerate(known):
        field = maps[..., known[known != site]]
        predicted[..., [site]] = predict_left_out(field, maps[..., [site]], method, **options).predicted
        progress("taking the ceiling", done + 1, len(known))
    return site_correlation(predicted, maps)


def split_half_ceiling(repeats: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
    """Compute Spearman-Brown-corrected split-half reliability (its square root) per image and site.

    All ways to split the repeats into two equal halves are averaged, corrected to the full number of repeats
    (Spearman-Brown) and square-rooted: the root, because only the recorded side of a model's correlation is noisy.
    It bounds noise that differs from repeat to repeat. It is matched to the score's statistic: one value per image and
    site, to be summarised in the same way. Where maps are mostly noise it is too high, because an agreement below 0 by
    chance counts as 0 while one above 0 counts: even pure noise has a ceiling above 0.

    Parameters
    ----------
    repeats : array, shape (image, repeat, y, x, site)
        With an odd number the halves leave the last one out.
    rng : numpy Generator, optional
        Draws 200 splits where there are more (from 12 repeats on).

    Returns
    -------
    array, shape (image, site)
        0 where the halves do not agree at all, NaN where a map is constant.

    Raises
    ------
    ArrayError
        With fewer than 2 repeats.
    """
    number = repeats.shape[1] // 2 * 2
    if number < 2:
        raise ArrayError(f"A split-half ceiling needs at least 2 repeats, not {repeats.shape[1]}.", "Give more.")
    agreement = np.zeros((len(repeats), repeats.shape[-1]))
    splits = _splits(number, rng or np.random.default_rng(0))
    for first in splits:
        second = [repeat for repeat in range(number) if repeat not in first]
        agreement += site_correlation(repeats[:, first].mean(axis=1), repeats[:, second].mean(axis=1))
    return _full_length(agreement / len(splits), repeats.shape[1] / (number // 2))


def map_ceiling(
    maps: NDArray[np.float64], repeats: NDArray[np.float64] | None = None, rng: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """Estimate the Spearman rho of a noise-free prediction with the recorded map averaged over sites.

    For :func:`~brainscore_itmaps.metrics.alignment.feature_alignment`. The halves are halves of the repeats, where
    there are any; else 100 random halves of the sites, so that what a site alone responds to counts as noise. They are
    corrected to the full number (Spearman-Brown) and square-rooted, as in :func:`split_half_ceiling`.

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
        With fewer than 2 sites where there are no repeats.
    """
    rng = rng or np.random.default_rng(0)
    if repeats is not None and repeats.shape[1] > 1:
        parts = np.moveaxis(repeats.mean(axis=-1), 1, 0)  # (part, image, y, x)
        number = len(parts) // 2 * 2
        firsts = _splits(number, rng)
        halves = [(first, [part for part in range(number) if part not in first]) for first in firsts]
    else:
        parts = np.moveaxis(maps, -1, 0)
        if len(parts) < 2:
            raise ArrayError("A ceiling of maps needs repeats, or at least 2 sites.", "Give more sites.")
        number = len(parts) // 2 * 2
        orders = [rng.permutation(len(parts)).tolist() for _ in range(SITE_SPLITS)]
        halves = [(order[: number // 2], order[number // 2 : number]) for order in orders]
    agreement = np.zeros(parts.shape[1])
    for first, second in halves:
        agreement += feature_alignment(parts[first].mean(axis=0)[..., None], parts[second].mean(axis=0)[..., None])
    return _full_length(agreement / len(halves), len(parts) / (number // 2))


def _full_length(half: NDArray[np.float64], longer: float) -> NDArray[np.float64]:
    """Compute the square root of the reliability of lengthened data (Spearman-Brown)."""
    half = np.clip(half, 0, 1)
    return np.sqrt(longer * half / (1 + (longer - 1) * half))


def _splits(number: int, rng: np.random.Generator) -> list[list[int]]:
    """List the first halves of all ways to split the repeats, repeat 0 among them; of many ways, draw some."""
    if comb(number - 1, number // 2 - 1) <= MOST_SPLITS:
        return [[0, *rest] for rest in combinations(range(1, number), number // 2 - 1)]
    return [rng.permutation(number)[: number // 2].tolist() for _ in range(MOST_SPLITS)]


def reference_ceiling(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the ceiling of the published code exactly as it does (Linsley et al. 2023, `ceiling_score`).

    For every image the largest, over pairs of sites, of the mean over rows of the map of Pearson r along the row. The
    last site takes no part, pairs with a constant row are dropped, nothing is below 0, and one missing value anywhere
    makes it 0. It bounds nothing: see :data:`BOUNDS`.

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
