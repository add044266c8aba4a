"""Compute noise ceilings: the score that a prediction can reach, given the noise of the recording."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from brainscore_itmaps.errors import ArrayError, UsageError, check_choice, checked_integer, described, nearest
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import (
    COMPONENTS,
    FEWEST_REFITTED,
    GROUPS,
    groups_left_out,
    leave_one_out,
    number_images,
)
from brainscore_itmaps.metrics.inference import Interval, jackknife_interval, mean_without
from brainscore_itmaps.metrics.predictivity import CentredMaps, over_defined_sites, over_images, site_correlation
from brainscore_itmaps.metrics.repeats import fewest_repeats, first_halves, recorded_repeats
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.metrics.similarity import cka_ceiling
from brainscore_itmaps.metrics.site_halves import predictions_from_halves
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.text import interval_text, number_text, short_repr

SITE_SPLITS = 100
TARGET_GROUPS = 8
"""Number of parts of an array's sites; each part is predicted from two halves of the other sites."""
FEWEST_SPLITS, MOST_SPLITS, SPLIT_SITES = 2, 8, 256
"""Halves are drawn this many times, and as often as gives this many predicted sites in between."""
FEWEST_TO_SPLIT = 3
FEW_SITES = 16
"""With fewer sites than this, a noise ceiling of sites was up to .3 too low in simulations."""
UNEQUAL = 0.5
"""Sites count as unequally reliable if a tenth of them has ceilings below this share of those of another tenth."""
TINY = float(np.finfo(float).tiny)
BOUNDS = {
    "sites": "what a perfect prediction of the signal that sites share would reach: how well halves of the other sites "
    "predict a site's map of a left-out image, divided by the square root of the agreement of the two halves. Noise "
    "that sites share counts as signal, and a response of a single site as noise, so a model can exceed it.",
    "split_half": "the score of a perfect, noise-free prediction, as far as noise differs from repeat to repeat.",
    "map": "the score of a perfect, noise-free prediction of the map averaged over sites: as far as noise differs from "
    "repeat to repeat, or from site to site where there are no repeats.",
    "cka": "the CKA of a perfect, noise-free prediction, as far as noise differs from repeat to repeat and from "
    "position to position.",
    "reference": "nothing: the published code takes the best pair of sites of each image, row by row of the map. This "
    "is not the statistic of the score, and it is above zero for pure noise.",
}
"""What each kind of noise ceiling bounds."""


class Reliability(NamedTuple):
    """The quantity that shows whether a recording contains a signal; it is 0 on average for maps of noise.

    Attributes
    ----------
    name : str
        What it is, in words.
    value : float
    interval : Interval
        Over images, without refits. Not clipped at 0.
    """

    name: str
    value: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class Ceiling:
    """A noise ceiling in the statistic of the score: median over sites, mean over images.

    Attributes
    ----------
    kind : str
        A key of :data:`BOUNDS`.
    bounds : str
        What the ceiling bounds, in words (:data:`BOUNDS`).
    value : float
        The ceiling. It is an estimate, so it can exceed 1 by chance. NaN where the halves of the sites do not agree.
    interval : Interval
        95 % interval of ``value`` from ``replicates``, with Student's t.
    image_r : array, shape (image,)
        Ceiling of each image.
    replicates : array, shape (group,)
        The ceiling without each group of images; for ``sites``, also fitted without it.
    reliability : Reliability or None
        None for the published ceiling, which tests nothing.
    without_signal : array of bool, shape (image,)
        Images on which the reliability of the sites, or for ``map`` and ``cka`` the ceiling, is not above 0: the 95 %
        interval over sites includes it.
    site_r : array, shape (image, site), or None
        Ceiling of each image and site; None for ``map``, ``cka`` and the published ceiling.
    site_mean : array, shape (site,), or None
        Mean over the images on which the site is defined.
    site_interval : array, shape (site, 2), or None
        95 % interval of ``site_mean``.
    """

    kind: str
    bounds: str
    value: float
    interval: Interval
    image_r: NDArray[np.float64]
    replicates: NDArray[np.float64]
    reliability: Reliability | None
    without_signal: NDArray[np.bool_]
    site_r: NDArray[np.float64] | None = None
    site_mean: NDArray[np.float64] | None = None
    site_interval: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        interval = "" if np.isnan(self.interval[:2]).any() else f" ({interval_text(*self.interval[:2])})"
        return f"<Ceiling {self.kind}: {number_text(self.value)}{interval}>"

    @property
    def reason(self) -> str:
        """Explain why no score should be divided by this ceiling; empty if nothing speaks against it."""
        if self.reliability is None:
            return "" if self.value > 0 else "the noise ceiling is 0; use the raw value"
        name, value, interval = self.reliability
        if interval.low > 0 and self.value > 0:
            return ""
        if np.isnan(value):
            return f"there is no reliable signal: the {name} is undefined, because maps are constant; use the raw value"
        return (
            f"there is no reliable signal: the {name} is {value:.3f} (95 % interval {interval.low:.3f} to "
            f"{interval.high:.3f}), which is not distinguishable from 0; use the raw value, and check the window, the "
            "sites and the images, or record more repeats"
        )

    def of_sites(self, sites: int) -> NDArray[np.float64]:
        """Return the ceiling of each image and site: that of the image where single sites have none."""
        return np.repeat(self.image_r[:, None], sites, axis=1) if self.site_r is None else self.site_r

    @property
    def unequal_sites(self) -> bool:
        """Return whether sites differ so much in reliability that a ratio of medians over sites misrepresents them.

        False without a reliable signal: noise does not show which sites are reliable.
        """
        if self.site_mean is None or self.reason:
            return False
        low, high = np.nanquantile(self.site_mean, [0.1, 0.9])
        return bool(low < UNEQUAL * high)


@shows_progress
def noise_ceiling(
    maps: NDArray[np.float64],
    kind: str | None = None,
    *,
    repeats: NDArray[np.float64] | None = None,
    rng: int | np.random.Generator = 0,
    method: str = "pls",
    components: int = COMPONENTS,
    groups: int = GROUPS,
    refits: bool = True,
    images: Iterable[Hashable] | None = None,
    resamples: int | None = None,
    progress: Report = silent,
) -> Ceiling:
    """Compute a noise ceiling of recorded maps, with its interval over images.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    kind : "sites", "split_half", "map", "cka" or "reference"
        See :data:`BOUNDS` for what each bounds. By default ``split_half`` where there are at least two repeats, and
        ``sites`` otherwise.
    repeats : array, shape (image, repeat, y, x, site), optional
        Repeated presentations; required by ``split_half`` and ``cka``. Maps of NaN stand for repeats that an image, or
        a site on it, does not have.
    rng : int or numpy Generator
        Seed or generator that splits repeats or sites into halves.
    method, components
        For ``sites``: regression and number of components.
    groups : int
        Number of groups of images that are left out in turn for the interval.
    refits : bool
        For ``sites``: fit the regressions again without each group.
    images : sequence, optional
        For each image a label that identical images share, because these are left out together; by default, all images
        are different.
    resamples : int, optional
        No longer used: the intervals have no random draws.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Ceiling

    Raises
    ------
    ArrayError
        When an array does not have the shape above, the repeats are missing, or the array has too few sites or images.
    UsageError
        When the kind is unknown, or an option is not a number.

    Examples
    --------
    Twelve images at 6 x 5 positions, four sites with the same signal, and two noisy repeats:

    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(12, 1, 6, 5, 1))
    >>> repeats = signal + rng.normal(size=(12, 2, 6, 5, 4))
    >>> ceiling = noise_ceiling(repeats.mean(axis=1), repeats=repeats)
    >>> ceiling.kind, round(ceiling.value, 2), ceiling.reason
    ('split_half', 0.82, '')
    """
    check_choice(refits=refits)
    components = checked_integer(components, "number of components")
    groups = checked_integer(groups, "number of groups of images")
    try:
        rng = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The seed is {described(rng)}.", "Give an integer of 0 or more, or a generator.") from error
    maps = real_array(maps, "maps")
    if maps.ndim != 4:
        raise ArrayError(f"The maps have shape {maps.shape}.", "Give them as (image, y, x, site).")
    if len(maps) < 2:
        raise ArrayError("A noise ceiling needs at least 2 images.", "Give more images.")
    if repeats is not None:
        repeats = real_array(repeats, "repeats")
        if repeats.ndim != 5 or repeats.shape[:1] + repeats.shape[2:] != maps.shape:
            raise ArrayError(
                f"The repeats {repeats.shape} are not those of the maps {maps.shape}.",
                "Give them as (image, repeat, y, x, site).",
            )
    if groups < 2:
        raise ArrayError(f"{groups} groups of images were requested.", "Request at least 2.")
    images = number_images(len(maps) if images is None else images)
    if kind is None:
        kind = "split_half" if repeats is not None and fewest_repeats(repeats) > 1 else "sites"
    if kind == "sites":
        fitted = groups if refits and groups > 2 else None  # pairs of two groups leave no image to fit on
        halves = halves_of_sites(
            maps, method, components=components, groups=fitted, rng=rng, images=images, progress=progress
        )
        return ceiling_of_halves(halves, groups, images=images)
    if kind == "split_half":
        if repeats is None:
            raise ArrayError("A split-half ceiling needs the repeats.", 'Give repeats=..., or use kind="sites".')
        return ceiling_of_repeats(split_half_ceiling(repeats, rng), groups, images)
    if kind == "cka":
        if repeats is None:
            raise ArrayError("A noise ceiling of CKA needs the repeats.", "Give repeats=...")
        return ceiling_of_images("cka", cka_ceiling(maps, repeats, rng), groups, images)
    if kind == "map":
        return ceiling_of_images("map", map_ceiling(maps, repeats, rng), groups, images)
    if kind == "reference":
        return ceiling_of_images("reference", reference_ceiling(maps), groups, images)
    raise UsageError(f"There is no noise ceiling named {kind!r}.", nearest(str(kind), BOUNDS))


@short_repr
class HalvesOfSites(NamedTuple):
    """Predictions of each site from two halves of the other sites, over left-out images.

    In row 0, the regressions were fitted to all other images; in row g + 1, without the group g of images as well (NaN
    on these images). There is one row if there are fewer than 4 different images.

    Attributes
    ----------
    accuracy : array, shape (row, image, site)
        Correlation over positions of a site's map with its prediction from a half, averaged over halves and splits.
        Undefined ones do not count: those of constant maps, and of halves whose maps of the image are all constant.
    agreement : array, shape (row, image, site)
        Correlation of the predictions from the two halves, averaged over splits in the same way.
    """

    accuracy: NDArray[np.float64]
    agreement: NDArray[np.float64]


def halves_of_sites(
    maps: NDArray[np.float64],
    method: str = "pls",
    *,
    components: int = COMPONENTS,
    splits: int | None = None,
    groups: int | None = GROUPS,
    rng: int | np.random.Generator = 0,
    images: Iterable[Hashable] | None = None,
    progress: Report = silent,
    **options: Any,
) -> HalvesOfSites:
    """Predict each site's maps of left-out images from two disjoint halves of the other sites.

    The sites are divided at random into eight parts; each part is predicted from two random halves of the other parts.
    This is done for several random divisions.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
        A site with a NaN is neither used nor predicted.
    method, components
        Regression and number of components, as in :func:`~brainscore_itmaps.predict_left_out`.
    splits : int, optional
        Number of divisions; by default 8, and fewer (at least 2) where there are more than 32 sites.
    groups : int or None
        Number of groups of images; regressions are also fitted without each of them, for an interval. None for none.
    rng : int or numpy Generator
        Draws the divisions.
    images : sequence, optional
        For each image a label that identical images share, because these are left out together; by default, all images
        are different.
    progress : callable
        Called with (step, steps done, steps in all).
    **options
        Further options of the regression.

    Returns
    -------
    HalvesOfSites

    Raises
    ------
    ArrayError
        With fewer than 3 sites without missing values, or fewer than 3 images.

    Examples
    --------
    Five sites that respond alike at 4 x 3 positions of five images:

    >>> maps = np.random.default_rng(0).normal(size=(5, 4, 3, 1)) * np.ones(5)
    >>> halves = halves_of_sites(maps)
    >>> halves.accuracy.shape, round(halves.accuracy[0].mean(), 3), round(halves.agreement[0].mean(), 3)
    ((6, 5, 5), 1.0, 1.0)
    """
    rng = np.random.default_rng(rng)
    complete = np.flatnonzero(np.isfinite(maps).all(axis=(0, 1, 2)))
    if len(complete) < FEWEST_TO_SPLIT:
        raise ArrayError(
            f"{len(complete)} of {maps.shape[-1]} sites have no missing values.",
            f"A noise ceiling without repeats needs at least {FEWEST_TO_SPLIT} sites without missing values.",
        )
    numbers = number_images(len(maps) if images is None else images)
    parts, different = min(TARGET_GROUPS, len(complete)), len(np.unique(numbers))
    rows = 1 if groups is None or different < FEWEST_REFITTED else 1 + min(groups, different)
    splits = splits or int(np.clip(SPLIT_SITES // len(complete), FEWEST_SPLITS, MOST_SPLITS))
    accuracy, agreement = (_Mean((rows, len(maps), maps.shape[-1])) for _ in range(2))
    divisions = []
    for _ in range(splits):
        order = rng.permutation(complete)
        for part in range(parts):
            sites = order[part::parts]
            first, second = np.array_split(rng.permutation(np.setdiff1d(complete, sites)), 2)
            divisions.append((sites, (first, second)))
    predictions = predictions_from_halves(maps, divisions, method, components, groups, numbers, **options)
    for done, (sites, halves) in enumerate(predictions, 1):
        *of_halves, of_both = _correlations(halves, maps[..., sites])
        for values in of_halves:
            accuracy.add(sites, values)
        agreement.add(sites, of_both)
        progress("computing the noise ceiling", done, len(divisions))
    return HalvesOfSites(accuracy.value, agreement.value)


class _Mean:
    """Mean of values, shape (row, image, site), of some sites at a time; undefined ones do not count."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.total, self.count = np.zeros(shape), np.zeros(shape, np.int64)

    def add(self, sites: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        defined = ~np.isnan(values)
        self.total[..., sites] += np.where(defined, values, 0)
        self.count[..., sites] += defined

    @property
    def value(self) -> NDArray[np.float64]:
        """NaN where no value is defined."""
        mean: NDArray[np.float64] = self.total / np.where(self.count, self.count, np.nan)
        return mean


def _correlations(halves: Sequence[NDArray[np.float64]], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate the predictions from two halves with the maps, and with each other, for every row.

    Returns
    -------
    array, shape (3, row, image, site)
        Of the first half, of the second half, and their agreement.
    """
    recorded, rows = CentredMaps.of(maps), []
    for pair in zip(*halves, strict=True):
        first, second = (CentredMaps.of(predicted) for predicted in pair)
        rows.append([first.correlation(recorded), second.correlation(recorded), first.correlation(second)])
    return np.moveaxis(np.array(rows), 1, 0)


def ceiling_of_halves(
    halves: HalvesOfSites,
    groups: int = GROUPS,
    reducer: str = "median",
    images: Iterable[Hashable] | None = None,
) -> Ceiling:
    """Compute the noise ceiling of sites from predictions by halves of the other sites.

    ``groups`` is the number of groups of images without which ``halves`` were fitted, or which are left out of its
    values. ``reducer`` is that of the score over sites, "median" or "mean". ``images`` has for each image a label that
    identical images share; by default, all images are different.

    If a half predicts a site's map with an error that is independent of the site's noise and of the error of the other
    half, its correlation with the map is the product of its correlation with the signal, and that of the signal with
    the map. The agreement of both halves is the product of their correlations with the signal. The ceiling, the
    correlation of the signal with the map, is therefore the accuracy divided by the square root of the agreement. Both
    are reduced as the score is, over sites and then by the mean over images, before they are divided.

    Examples
    --------
    >>> halves = HalvesOfSites(np.full((1, 4, 3), 0.5), np.full((1, 4, 3), 0.64))
    >>> round(ceiling_of_halves(halves).value, 3)
    0.625
    """
    numbers = number_images(halves.accuracy.shape[1] if images is None else images)
    left_out = groups_left_out(numbers, groups)
    accuracy, agreement = ([over_defined_sites(row, reducer) for row in rows] for rows in halves)  # row of (image,)
    means = []
    for rows in (accuracy, agreement):
        without = np.stack(rows[1:]) if len(rows) > 1 else rows[0]
        means.append((float(rows[0].mean()), mean_without(without, left_out)))
    (_, predicted_without), (agreed, agreed_without) = means
    with np.errstate(invalid="ignore", divide="ignore"):
        factor, factor_without = (np.float64(1) / np.sqrt(np.float64(value)) for value in (agreed, agreed_without))
    tested = [
        _reliability(f"correlation of sites with their prediction from {HALVES}", accuracy[0], numbers),
        _reliability(f"agreement of the two predictions of sites from {HALVES}", agreement[0], numbers),
    ]
    site_r = halves.accuracy[0] * factor
    site_without = halves.accuracy[1:] * factor_without[:, None, None] if len(accuracy) > 1 else None
    return _described(
        "sites",
        site_r,
        accuracy[0] * factor,
        predicted_without * factor_without,
        min(tested, key=lambda each: (not np.isnan(each.value), each.interval.low / max(each.value, TINY))),
        _without_signal(halves.accuracy[0]),
        left_out,
        site_without,
    )


HALVES = "halves of the other sites"


def _reliability(name: str, image_values: NDArray[np.float64], images: NDArray[np.int64]) -> Reliability:
    """Compute the mean over images and its interval without refits: without a signal, there is nothing to fit."""
    value, replicates = float(image_values.mean()), mean_without(image_values, leave_one_out(images))
    return Reliability(name, value, jackknife_interval(value, replicates, [len(replicates)]))


def _without_signal(site_values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find the images on which the mean over sites is not above 0: its 95 % interval over sites includes 0.

    One or two sites have no useful interval; there, the mean itself is not above 0.
    """
    count = (~np.isnan(site_values)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(site_values, axis=1) / count
        squares = np.nansum((site_values - mean[:, None]) ** 2, axis=1)
        error = np.sqrt(squares / (count - 1) / count)
        margin = np.where(count > 2, stdtrit(np.maximum(count - 1, 1), 0.975) * error, 0)
    without: NDArray[np.bool_] = mean <= margin
    return without


def ceiling_of_repeats(
    site_r: NDArray[np.float64], groups: int = GROUPS, images: Iterable[Hashable] | None = None
) -> Ceiling:
    """Summarise the split-half ceilings of every image and site.

    Parameters
    ----------
    site_r : array, shape (image, site)
        From :func:`split_half_ceiling`; NaN where undefined.
    groups : int
        Number of groups of images that are left out in turn for the interval.
    images : sequence, optional
        For each image a label that identical images share, because these are left out together; by default, all images
        are different.

    Examples
    --------
    >>> site_r = np.array([[0.5, 0.75, 1.0], [0.25, 0.5, 0.5]])
    >>> ceiling = ceiling_of_repeats(site_r)
    >>> ceiling.value, ceiling.site_mean.tolist()
    (0.625, [0.375, 0.625, 0.75])
    """
    numbers = number_images(len(site_r) if images is None else images)
    left_out = groups_left_out(numbers, groups)
    squares = np.sign(site_r) * site_r**2
    tested = _reliability("split-half reliability of the maps", over_defined_sites(squares), numbers)
    image_r = over_defined_sites(site_r)
    replicates, absent = mean_without(image_r, left_out), _without_signal(squares)
    return _described("split_half", site_r, image_r, replicates, tested, absent, left_out)


def _described(
    kind: str,
    site_r: NDArray[np.float64],
    image_r: NDArray[np.float64],
    replicates: NDArray[np.float64],
    reliability: Reliability,
    without_signal: NDArray[np.bool_],
    left_out: NDArray[np.bool_],
    site_without: NDArray[np.float64] | None = None,
) -> Ceiling:
    """Summarise the ceilings of every image and site; ``site_without`` (group, image, site) is refitted."""
    value, site_mean = float(image_r.mean()), over_images(site_r)
    without = np.broadcast_to(site_r, (len(left_out), *site_r.shape)) if site_without is None else site_without
    site_replicates = over_images(np.where(left_out[..., None], np.nan, without))  # (group, site)
    intervals = [
        jackknife_interval(mean, each, [len(each)])[:2] for mean, each in zip(site_mean, site_replicates.T, strict=True)
    ]
    return Ceiling(
        kind=kind,
        bounds=BOUNDS[kind],
        value=value,
        interval=jackknife_interval(value, replicates, [len(replicates)]),
        image_r=image_r,
        replicates=replicates,
        reliability=reliability,
        without_signal=without_signal,
        site_r=site_r,
        site_mean=site_mean,
        site_interval=np.array(intervals),
    )


def ceiling_of_images(
    kind: str, image_r: NDArray[np.float64], groups: int = GROUPS, images: Iterable[Hashable] | None = None
) -> Ceiling:
    """Summarise ceilings that have one value for each image: of the mean map, of CKA, and the published ones.

    Parameters
    ----------
    kind : "map", "cka" or "reference"
    image_r : array, shape (image,)
        From :func:`map_ceiling`, :func:`~brainscore_itmaps.metrics.similarity.cka_ceiling` or
        :func:`reference_ceiling`.
    groups : int
        Number of groups of images that are left out in turn for the interval.
    images : sequence, optional
        For each image a label that identical images share, because these are left out together; by default, all images
        are different.

    Examples
    --------
    >>> ceiling_of_images("map", np.array([0.5, 0.75, 1.0])).value
    0.75
    """
    numbers = number_images(len(image_r) if images is None else images)
    left_out, value = groups_left_out(numbers, groups), float(image_r.mean())
    squares = np.sign(image_r) * image_r**2
    tested = _reliability(TESTED[kind], squares, numbers) if kind in TESTED else None
    replicates = mean_without(image_r, left_out)
    interval = jackknife_interval(value, replicates, [len(replicates)])
    without = image_r <= 0 if kind in TESTED else np.zeros(len(image_r), bool)
    return Ceiling(kind, BOUNDS[kind], value, interval, image_r, replicates, tested, without)


TESTED = {
    "map": "split-half reliability of the maps averaged over sites",
    "cka": "share of HSIC that two halves of the repeats have in common",
}
"""What shows a signal, by the kind of a ceiling of images; it is the ceiling squared."""


def split_half_ceiling(repeats: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
    """Compute Spearman-Brown-corrected split-half reliability (its square root) per image and site.

    The correlation of two halves of the repeats is averaged over all ways to split them, corrected to the full number
    of repeats (Spearman-Brown) and square-rooted: only the recorded side of a model's correlation is noisy. The
    ceiling has one value per image and site, as the score does, and accounts for noise that differs from repeat to
    repeat. Correlations below 0 keep their sign, so that pure noise has a ceiling of 0 on average.

    Parameters
    ----------
    repeats : array, shape (image, repeat, y, x, site)
        With an odd number, the halves leave out the last repeat. Maps of NaN stand for repeats that an image, or a site
        on it, does not have: each image and site is split, and corrected, by its own number of repeats.
    rng : numpy Generator, optional
        Draws 200 of the splits if there are more (12 repeats or more).

    Returns
    -------
    array, shape (image, site)
        Below 0 where the halves correlate negatively, NaN where a map is constant or a site was never recorded.

    Raises
    ------
    ArrayError
        With fewer than 2 repeats, of any image and site.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(3, 1, 6, 5, 1))
    >>> repeats = signal + rng.normal(size=(3, 4, 6, 5, 2))
    >>> split_half_ceiling(repeats).round(2).tolist()
    [[0.9, 0.89], [0.88, 0.87], [0.92, 0.92]]
    """
    rng = rng or np.random.default_rng(0)
    recorded = recorded_repeats(repeats)
    if recorded.all():
        return _split_half(repeats, rng)
    ceiling = np.full((len(repeats), repeats.shape[-1]), np.nan)
    for image, maps in enumerate(repeats):
        for present in np.unique(recorded[image], axis=1).T:  # sites with the same repeats are split together
            sites = np.flatnonzero((recorded[image] == present[:, None]).all(axis=0))
            if present.any():
                ceiling[image, sites] = _split_half(maps[None, present][..., sites], rng)[0]
    return ceiling


def _split_half(repeats: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    even_count = repeats.shape[1] // 2 * 2
    if even_count < 2:
        raise ArrayError(f"A split-half ceiling needs at least 2 repeats, not {repeats.shape[1]}.", "Give more.")
    correlation = np.zeros((len(repeats), repeats.shape[-1]))
    splits = first_halves(even_count, rng)
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
        Each image is split by its own repeats: those in which no site has a missing value.
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
    if repeats is not None and fewest_repeats(repeats, of_all_sites=True) > 1:
        recorded = recorded_repeats(repeats).all(axis=-1)
        if not recorded.all():
            own = [map_ceiling(maps[[i]], each[None, recorded[i]], rng) for i, each in enumerate(repeats)]
            return np.concatenate(own)
        parts = np.moveaxis(repeats.mean(axis=-1), 1, 0)  # (part, image, y, x)
        even_count = len(parts) // 2 * 2
        halves = [
            (first, [part for part in range(even_count) if part not in first])
            for first in first_halves(even_count, rng)
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
    """Compute the square root of the reliability of data ``ratio`` times as long as a half (Spearman-Brown).

    The function is odd: what is below 0 by chance keeps its sign, and does not shift means of pure noise.
    """
    size = np.minimum(np.abs(half), 1)
    root: NDArray[np.float64] = np.sign(half) * np.sqrt(ratio * size / (1 + (ratio - 1) * size))
    return root


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
