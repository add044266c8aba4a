"""Compare two results on the same images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.inference import Comparison, compare_images


def image_shares(result: Result) -> NDArray[np.float64]:
    """Compute the contribution of each image to a score, such that the mean over images is the score.

    Arrays with the same images are added image by image; arrays with other images are concatenated.

    Returns
    -------
    array, shape (image,)

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps import Recording, score_features
    >>> from brainscore_itmaps.settings import overridden
    >>> rng = np.random.default_rng(0)
    >>> features, noise = rng.normal(size=(2, 6, 5, 7, 3))
    >>> maps, images = features @ rng.normal(size=(3, 4)), rng.integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder, overridden(home=Path(folder), brainio_home=Path(folder)):
    ...     recording = Recording.from_arrays(maps, images, identifier="example", window=(50, 150))
    ...     result = score_features(noise, recording)
    >>> bool(np.isclose(image_shares(result).mean(), result.score))
    True
    """
    sums: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for array in result.arrays:
        share = array.image_value / array.ceiling / len(result.arrays)
        sums[array.images] = sums.get(array.images, 0) + share
    total = sum(map(len, sums.values()))
    return np.concatenate([share * total / len(share) for share in sums.values()])


def compare_results(a: Result, b: Result, *, rng: int | np.random.Generator = 0, resamples: int = 20_000) -> Comparison:
    """Test whether two results on the same images differ by more than chance over images.

    Parameters
    ----------
    a, b : Result
        Results of one benchmark of maps, on the same recordings.
    rng : int or numpy Generator
        Random numbers of the permutations and the bootstrap.
    resamples : int
        Number of permutations, and of bootstrap draws of the interval.

    Returns
    -------
    Comparison
        ``difference`` (a minus b), its ``interval`` over images, and the two-sided ``p_value`` of a permutation test in
        which each image's two values are swapped at random.

    Raises
    ------
    UsageError
        When they are not results of one benchmark of maps, protocol and regression on the same recordings.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps import Recording, score_features
    >>> from brainscore_itmaps.settings import overridden
    >>> rng = np.random.default_rng(0)
    >>> features, noise = rng.normal(size=(2, 6, 5, 7, 3))
    >>> maps, images = features @ rng.normal(size=(3, 4)), rng.integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder, overridden(home=Path(folder), brainio_home=Path(folder)):
    ...     recording = Recording.from_arrays(maps, images, identifier="example", window=(50, 150))
    ...     first, second = score_features(features, recording), score_features(noise, recording)
    >>> comparison = compare_results(first, second)
    >>> round(comparison.difference), comparison.p_value
    (1, 0.03125)
    """
    for result in (a, b):
        if not isinstance(result, Result) or not result.arrays:
            raise UsageError(f"{result!r} contains no maps to compare.", "Give two results of a benchmark of maps.")
    if _conditions(a) != _conditions(b):
        raise UsageError(
            f"{a.benchmark} ({a.measure}) and {b.benchmark} ({b.measure}) are not comparable scores on the same maps.",
            "Compare results of one benchmark and protocol, on the same recordings and windows.",
        )
    return compare_images(image_shares(a), image_shares(b), np.random.default_rng(rng), resamples)


def _conditions(result: Result) -> tuple[Any, ...]:
    """Return the conditions that two results must share to be compared."""
    maps = [(array.recording, array.recording_sha256, array.window, array.images) for array in result.arrays]
    return result.benchmark, result.measure, result.protocol, result.request.method, maps
