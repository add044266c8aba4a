"""The noise ceiling of a recording, matched to what a benchmark compares."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark import store
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.metrics.ceiling import map_ceiling, reference_ceiling, site_ceiling, split_half_ceiling
from brainscore_itmaps.metrics.predictivity import over_sites
from brainscore_itmaps.progress import Report, silent

SPLIT_HALF = "split-half over repeats, Spearman-Brown corrected, square root"
SITES = "each site predicted from the other sites, by the same regression over the same left-out images"
REFERENCE = "as published: the best pair of sites of each image, row by row; bounds nothing"
MAP_REPEATS = "split-half over repeats of the map averaged over sites, Spearman-Brown corrected, square root"
MAP_SITES = "split-half over sites of the map averaged over them, Spearman-Brown corrected, square root"


class ArrayCeiling(NamedTuple):
    """A noise ceiling.

    Attributes
    ----------
    kind : str
        Which one, in words.
    image : array, shape (image,)
        Of each image, in the measure of the benchmark.
    site : array, shape (image, site)
        Of each map; where there is none of single sites, that of the image.
    """

    kind: str
    image: NDArray[np.float64]
    site: NDArray[np.float64]


def ceiling_of(
    recording: Recording,
    benchmark: BenchmarkSpec,
    reference_compat: bool = False,
    seed: int = 0,
    kept: bool = True,
    progress: Report = silent,
) -> ArrayCeiling:
    """Take the noise ceiling of a recording: from its repeats where it has several, else from its sites.

    Parameters
    ----------
    recording : Recording
    benchmark : BenchmarkSpec
        Says what is compared, and by which regression.
    reference_compat : bool
        Take the published one, where maps of single sites are compared.
    seed : int
        Draws the halves where there are too many to try all.
    kept : bool
        Look up whether it was computed before.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    ArrayError
        When there are neither repeats nor two sites.
    """
    rng = np.random.default_rng(seed)
    repeated = recording.repeats is not None and recording.repeats.shape[1] > 1
    if benchmark.measure != "predictivity":
        image = map_ceiling(recording.maps, recording.repeats, rng)
        return _of_images(MAP_REPEATS if repeated else MAP_SITES, image, recording)
    if reference_compat:
        return _of_images(REFERENCE, reference_ceiling(recording.maps), recording)
    if repeated and recording.repeats is not None:
        site = split_half_ceiling(recording.repeats, rng)
        return ArrayCeiling(SPLIT_HALF, over_sites(site), site)
    key = store.key_of(ceiling=store.recording_content(recording), method=benchmark.method)
    with store.held(key, progress):
        found = store.look_up(key) if kept else None
        if found is None or "site" not in found:
            found = {"site": site_ceiling(recording.maps, benchmark.method, progress=progress)}
            store.keep(key, found)
    return ArrayCeiling(SITES, over_sites(found["site"]), found["site"])


def _of_images(kind: str, image: NDArray[np.float64], recording: Recording) -> ArrayCeiling:
    return ArrayCeiling(kind, image, np.repeat(image[:, None], len(recording.sites), axis=1))
