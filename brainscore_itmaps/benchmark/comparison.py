"""Compare two results on the same images."""

from typing import Any

from brainscore_itmaps.benchmark.estimate import difference_of
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import UsageError, described
from brainscore_itmaps.metrics.inference import Comparison


def compare_results(a: Result, b: Result, *, rng: Any = None, resamples: Any = None) -> Comparison:
    """Test whether two results on the same images differ by more than chance over images.

    The scores without each group of images, which both results keep, are subtracted: the test is that of a jackknife
    with refits, with Student's t.

    Parameters
    ----------
    a, b : Result
        Results of one benchmark of maps, on the same recordings.
    rng, resamples
        No longer used: the test has no random draws.

    Returns
    -------
    brainscore_itmaps.metrics.inference.Comparison
        ``difference`` (a minus b), its ``interval`` over images, and the two-sided ``p_value``. The class of the same
        name that :func:`~brainscore_itmaps.compare` returns is another one.

    Raises
    ------
    UsageError
        When they are not results of one benchmark of maps, version, protocol, regression and kind of interval on the
        same recordings, or one of them has no score, or no interval.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
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
    >>> round(comparison.difference), comparison.p_value < 0.001
    (1, True)
    """
    for result in (a, b):
        if not isinstance(result, Result) or not result.arrays:
            raise UsageError(
                f"{described(result)} contains no maps to compare.", "Give two results of a benchmark of maps."
            )
        if result.estimate.replicates is None:
            reason = result.estimate.reason or "an earlier version stored none"
            raise UsageError(
                f"{result.model} has no score with an interval to compare on {result.benchmark}: {reason}.",
                "Compare the raw values.",
            )
    if _conditions(a) != _conditions(b):
        raise UsageError(
            f"{a.benchmark} ({a.measure}) and {b.benchmark} ({b.measure}) are not comparable scores on the same maps.",
            "Compare results of one benchmark and protocol, on the same recordings and windows.",
        )
    kinds = [(result.estimate.interval_kind, result.estimate.groups) for result in (a, b)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"The intervals are of two kinds: {kinds[0][0]} and {kinds[1][0]}.", "Score both with the same interval."
        )
    comparison = difference_of(a.estimate, b.estimate)
    assert comparison is not None
    return comparison


def _conditions(result: Result) -> tuple[Any, ...]:
    """Return the conditions that two results must share to be compared."""
    maps = [
        (array.recording, array.recording_sha256, array.window, array.images, array.folds) for array in result.arrays
    ]
    return result.benchmark, result.benchmark_version, result.measure, result.protocol, result.request.method, maps
