"""The noise ceiling of a recording, in the measure of a benchmark."""

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import WITHOUT_REGRESSION, BenchmarkSpec
from brainscore_itmaps.benchmark.estimate import IntervalKind
from brainscore_itmaps.benchmark.folds import ImageFolds, folds_of
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.metrics.ceiling import (
    FEW_SITES,
    FEWEST_TO_SPLIT,
    Ceiling,
    HalvesOfSites,
    ceiling_of_halves,
    halves_of_sites,
    noise_ceiling,
)
from brainscore_itmaps.metrics.repeats import fewest_repeats
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS, Protocol

SPLIT_HALF = "split-half over repeats, Spearman-Brown corrected, square root"
SITES = "each site predicted from two halves of the other sites, corrected for the agreement of the halves"
REFERENCE = "as published: the best pair of sites of each image, row by row; not an upper bound"
MAP_REPEATS = "split-half over repeats of the map averaged over sites, Spearman-Brown corrected, square root"
MAP_SITES = "split-half over sites of the map averaged over them, Spearman-Brown corrected, square root"
CKA_REPEATS = "unbiased HSIC of two halves of the repeats, divided by that of the maps, square root"
RSA_BIASED = (
    "noise biases the dissimilarities of positions, and no noise ceiling that was tried gives the true maps a score of "
    "about 1 (docs/metrics.md); use the raw value"
)
"""Why scores of RSA are not divided by a noise ceiling."""
NO_REPEATS = ("no repeats", "no two repeats of every image")
NO_REPEATS_OF_ALL = (
    "has no two repeats of every image at all sites, and a noise ceiling of CKA needs them; use the raw value"
)
MAX_CEILING = 1.1
"""Largest correlation in the cache, with room for rounding."""


def has_repeats(recording: Recording, *, of_all_sites: bool = False) -> bool:
    """Return whether a recording has at least two repeats of every image at every site.

    ``of_all_sites`` counts only repeats in which all sites were recorded, as maps averaged over sites need.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> has_repeats(load_recording("it_maps_simulated"))
    True
    """
    return recording.repeats is not None and fewest_repeats(recording.repeats, of_all_sites=of_all_sites) > 1


def ceiling_text(recording: Recording, benchmark: BenchmarkSpec, protocol: Protocol = OURS) -> str:
    """Describe how the noise ceiling of a recording is computed.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> ceiling_text(load_recording("it_maps_simulated"), CATALOGUE["it_maps_simulated"])
    'split-half over repeats, Spearman-Brown corrected, square root'
    """
    if benchmark.measure in WITHOUT_REGRESSION:
        return CKA_REPEATS if benchmark.measure == "cka" else ""
    if benchmark.measure != "predictivity":
        return MAP_REPEATS if has_repeats(recording, of_all_sites=True) else MAP_SITES
    if protocol.ceiling == "published":
        return REFERENCE
    return SPLIT_HALF if has_repeats(recording) else SITES


def missing_ceiling(recording: Recording, benchmark: BenchmarkSpec, protocol: Protocol = OURS) -> str:
    """Explain why a recording has no noise ceiling; empty if it has one.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> missing_ceiling(load_recording("it_maps_simulated"), CATALOGUE["it_maps_simulated"])
    ''
    """
    if benchmark.measure == "rsa":
        return RSA_BIASED
    if benchmark.measure == "cka":
        absent = not has_repeats(recording, of_all_sites=True)
        return f"{recording.identifier} {NO_REPEATS_OF_ALL}" * absent
    text = ceiling_text(recording, benchmark, protocol)
    fewest = {SITES: FEWEST_TO_SPLIT, MAP_SITES: 2, REFERENCE: 2}.get(text, 1)
    sites = int(np.isfinite(recording.maps).all(axis=(0, 1, 2)).sum())
    if sites >= fewest:
        return ""
    complete = f"{sites} complete site{'s' * (sites != 1)}"
    if text == REFERENCE:
        return f"{recording.identifier} has {complete}, and the published ceiling needs {fewest}"
    return (
        f"{recording.identifier} has {complete} and {NO_REPEATS[recording.repeats is not None]}, and a noise ceiling "
        f"needs {fewest} sites or two repeats; use the raw value"
    )


def notes_on_ceiling(recording: Recording, ceiling: Ceiling) -> list[str]:
    """List what limits a noise ceiling: images without a signal, few sites, and sites of unequal reliability.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> recording = load_recording("it_maps_simulated")
    >>> notes_on_ceiling(recording, noise_ceiling(recording.maps, repeats=recording.repeats))
    []
    """
    notes, name = [], recording.identifier
    if ceiling.kind == "reference" and not ceiling.interval.low > 0:
        notes.append(
            f"{name}: the published ceiling, {ceiling.value:.3f}, is not distinguishable from 0 over these images, so "
            "the score can be of any size"
        )
    if silent_images := [
        image for image, absent in zip(recording.names, ceiling.without_signal, strict=True) if absent
    ]:
        notes.append(
            f"{name}: no reliable signal on {len(silent_images)} of {len(recording.images)} images: "
            f"{', '.join(silent_images)}"
        )
    if ceiling.kind == "sites" and len(recording.sites) < FEW_SITES:
        notes.append(
            f"{name}: the noise ceiling is estimated from {len(recording.sites)} sites without repeats; with fewer "
            f"than {FEW_SITES} sites it can be far too low, and the score too high, where sites share many signals"
        )
    if ceiling.unequal_sites:
        low, high = np.nanquantile(ceiling.site_mean, [0.1, 0.9])
        notes.append(
            f"{name}: sites differ in reliability (ceilings of a tenth of the sites are below {low:.2f}, of another "
            f"tenth above {high:.2f}); the ratio of two medians over sites can then be below 1 for a perfect model"
        )
    return notes


def ceiling_of(
    recording: Recording,
    benchmark: BenchmarkSpec,
    cache: ResultCache,
    protocol: Protocol = OURS,
    seed: int = 0,
    progress: Report = silent,
    interval: IntervalKind = "groups",
    typical: bool = True,
) -> Ceiling:
    """Compute the noise ceiling of a recording from its repeats, or from its sites if it has fewer than two repeats.

    Parameters
    ----------
    recording : Recording
    benchmark : BenchmarkSpec
        Its measure.
    cache : ResultCache
        Stores the predictions of sites from other sites.
    protocol : Protocol
        Selects the ceiling where maps of single sites are compared.
    seed : int
        Seed of the random halves.
    progress : callable
        Called with (step, steps done, steps in all).
    interval : "groups", "images" or "fixed"
        Groups of images that are left out for the interval.
    typical : bool
        False for the ceiling of what remains of the maps when the mean map of the images that are not left out is
        subtracted.

    Raises
    ------
    ArrayError
        When the recording has neither two repeats nor three sites (two for maps averaged over sites).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> from brainscore_itmaps.settings import overridden
    >>> images = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    >>> maps = np.random.default_rng(0).normal(size=(4, 5, 7, 1)).repeat(3, axis=-1)
    >>> with tempfile.TemporaryDirectory() as folder, overridden(brainio_home=Path(folder)):
    ...     recording = Recording.from_arrays(maps, images, identifier="example", window=(50, 150))
    ...     ceiling = ceiling_of(recording, CATALOGUE["it_maps"], ResultCache(Path(folder)))
    >>> ceiling.image_r.round(3), ceiling.site_r.shape
    (array([1., 1., 1., 1.]), (4, 3))
    """
    text, folds = ceiling_text(recording, benchmark, protocol), folds_of(recording, protocol)
    groups, images = folds.count(interval), folds.numbers
    maps, repeats = recording.maps, recording.repeats
    if not typical:
        maps, repeats = _without_typical(maps, folds), None if repeats is None else _without_typical(repeats, folds)
    if text != SITES:
        kind = {SPLIT_HALF: "split_half", REFERENCE: "reference", CKA_REPEATS: "cka"}.get(text, "map")
        return noise_ceiling(maps, kind, repeats=repeats, rng=seed, groups=groups, images=images)
    fitted = folds.refitted(interval)
    shape = (1 + (fitted or 0), len(images), len(recording.sites))
    correlation = Expected(shape, undefined=True, low=-MAX_CEILING, high=MAX_CEILING)
    remaining = {} if typical else {"typical": False}
    halves = cache.computed(
        key_of(halves_of_sites=recording_content(recording), groups=fitted, seed=seed, **remaining, **folds.key),
        lambda: halves_of_sites(maps, groups=fitted, rng=seed, progress=progress, images=images)._asdict(),
        dict.fromkeys(HalvesOfSites._fields, correlation),
        progress,
    )
    return ceiling_of_halves(HalvesOfSites(**halves), groups, images=images)


def _without_typical(maps: NDArray[np.float64], folds: ImageFolds) -> NDArray[np.float64]:
    """Subtract the mean map of the images that are not left out with an image, from maps or repeats (image, ...)."""
    remaining = (~folds.left_out).astype(np.float64)
    recorded = np.isfinite(maps)
    counts = np.tensordot(remaining, recorded.astype(np.float64), axes=1)
    typical = np.tensordot(remaining, np.where(recorded, maps, 0), axes=1) / np.where(counts > 0, counts, np.nan)
    deviations: NDArray[np.float64] = maps - typical[folds.left_out.argmax(axis=0)]
    return deviations
