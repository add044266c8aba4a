"""The noise ceiling of a recording, in the measure of a benchmark."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.metrics.ceiling import map_ceiling, reference_ceiling, site_ceiling, split_half_ceiling
from brainscore_itmaps.metrics.predictivity import over_sites
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS, Protocol

SPLIT_HALF = "split-half over repeats, Spearman-Brown corrected, square root"
SITES = "each site predicted from the other sites, by the same regression over the same left-out images"
REFERENCE = "as published: the best pair of sites of each image, row by row; not an upper bound"
MAP_REPEATS = "split-half over repeats of the map averaged over sites, Spearman-Brown corrected, square root"
MAP_SITES = "split-half over sites of the map averaged over them, Spearman-Brown corrected, square root"


class ArrayCeiling(NamedTuple):
    """The noise ceiling of one array.

    Attributes
    ----------
    kind : str
        How it was computed, in words.
    image : array, shape (image,)
        Noise ceiling of each image, in the measure of the benchmark.
    site : array, shape (image, site)
        Noise ceiling of each map, or that of the image where single sites have none.
    """

    kind: str
    image: NDArray[np.float64]
    site: NDArray[np.float64]


def ceiling_of(
    recording: Recording,
    benchmark: BenchmarkSpec,
    cache: ResultCache,
    protocol: Protocol = OURS,
    seed: int = 0,
    progress: Report = silent,
) -> ArrayCeiling:
    """Compute the noise ceiling of a recording from its repeats, or from its sites if it has fewer than two repeats.

    Parameters
    ----------
    recording : Recording
    benchmark : BenchmarkSpec
        Its measure and regression.
    cache : ResultCache
        Stores the ceiling that is computed from sites.
    protocol : Protocol
        Selects the ceiling where maps of single sites are compared.
    seed : int
        Seed of the random halves, which are drawn where there are too many to try all.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    ArrayError
        When the recording has neither two repeats nor two sites.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> from brainscore_itmaps.settings import overridden
    >>> images = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
    >>> maps = np.random.default_rng(0).normal(size=(3, 5, 7, 1)).repeat(2, axis=-1)
    >>> with tempfile.TemporaryDirectory() as folder, overridden(brainio_home=Path(folder)):
    ...     recording = Recording.from_arrays(maps, images, identifier="example", window=(50, 150))
    ...     ceiling = ceiling_of(recording, CATALOGUE["it_maps"], ResultCache(Path(folder)))
    >>> ceiling.image.round(3), ceiling.site.shape
    (array([1., 1., 1.]), (3, 2))
    """
    rng, repeats = np.random.default_rng(seed), recording.repeats
    repeated = repeats is not None and repeats.shape[1] > 1
    if benchmark.measure != "predictivity":
        image = map_ceiling(recording.maps, repeats, rng)
        return _of_images(MAP_REPEATS if repeated else MAP_SITES, image, recording)
    if protocol.ceiling == "published":
        return _of_images(REFERENCE, reference_ceiling(recording.maps), recording)
    if repeated and repeats is not None:
        site = split_half_ceiling(repeats, rng)
        return ArrayCeiling(SPLIT_HALF, over_sites(site), site)
    expected = {"site": Expected((len(recording.images), len(recording.sites)), undefined=True, low=-1.1, high=1.1)}
    key = key_of(ceiling=recording_content(recording), method=benchmark.method)
    site = cache.computed(
        key, lambda: {"site": site_ceiling(recording.maps, benchmark.method, progress=progress)}, expected, progress
    )["site"]
    return ArrayCeiling(SITES, over_sites(site), site)


def _of_images(kind: str, image: NDArray[np.float64], recording: Recording) -> ArrayCeiling:
    return ArrayCeiling(kind, image, np.repeat(image[:, None], len(recording.sites), axis=1))
