"""Run a result again, and report which properties are the same, which differ, and what may explain a difference."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.names import check_names, is_external
from brainscore_itmaps.bridge.score import score_request
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.errors import DataError, ModelError, check_type
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.text import short_repr

ROUNDING = 1e-6
"""Largest difference due to rounding: processors, libraries and numbers of threads sum in different orders."""


class Difference(NamedTuple):
    """Property that changed, with its former and its present value as text."""

    what: str
    then: str
    now: str


@short_repr
@dataclass(frozen=True)
class Reproduction:
    """Saved result, and the result of the same request now.

    Attributes
    ----------
    then, now : Result
        Saved and present result.
    same : tuple of str
        Properties that are the same.
    differs : tuple of Difference
        Properties that differ.
    largest : float
        Largest absolute difference of a score, a raw value, a ceiling, an image's value, or the score, raw value or
        ceiling of a control or of what the model adds, where both results have it.
    """

    then: Result
    now: Result
    same: tuple[str, ...]
    differs: tuple[Difference, ...]
    largest: float

    @property
    def reproduced(self) -> bool:
        """Return whether every number is the same except for rounding."""
        return self.largest <= ROUNDING

    @property
    def reason(self) -> str:
        """Explain in a sentence what may cause a difference of the numbers."""
        if self.largest == 0:
            return "Every number is the same."
        if self.differs:
            names = ", ".join(difference.what for difference in self.differs)
            return f"Numbers differ by up to {self.largest:.2g}. These properties also differ: {names}."
        return (
            f"Numbers differ by up to {self.largest:.2g}, and no recorded property differs. Possible causes are "
            "rounding, another processor and another number of threads."
        )


@shows_progress
def reproduce(result: Result, *, cache: ResultCache | None = None, progress: Report = silent) -> Reproduction:
    """Run the request of a result again without the cache, and compare both results.

    Parameters
    ----------
    result : Result
        Result to reproduce.
    cache : ResultCache, optional
        Cache to overwrite; by default the one in ``ITMAPS_HOME``.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Reproduction
        Both results, what differs, and the largest difference of a number.

    Raises
    ------
    UsageError
        When the first argument is not a result.
    ModelError, DataError
        When the model or the recording was given in memory, or no longer exists.

    Examples
    --------
    >>> from brainscore_itmaps import score
    >>> result = score("timm:test_resnet", layers="layer3", weights="random", interval="fixed", controls=False)
    >>> reproduce(result).reproduced
    True
    """
    check_type(result, Result, "a result", "Give a result, as score returns it or Result.load reads it.")
    request = result.request
    if request.model.weights.kind == "module":
        raise ModelError(
            f"{result.model} was given as a module in memory: it cannot be loaded again.",
            "Score the module again, and compare with compare_results.",
        )
    if result.kind == "maps" and is_external(request.benchmark):
        raise DataError(
            f"The recording of {result.benchmark} was given in memory, or its folder is no longer there.",
            "Save it as a folder (Recording.save), and score that.",
        )
    model = request.model
    check_names(model.name, request.benchmark, arch=model.arch)
    home = (cache or default_cache()).home
    now = score_request(request, cache=ResultCache(home, fresh=True), progress=progress)
    pairs: list[tuple[str, Any, Any]] = [
        ("weights", result.weights_sha256, now.weights_sha256),
        ("device", result.device, now.device),
        ("benchmark version", result.benchmark_version, now.benchmark_version),
    ]
    for old, new in zip(result.arrays, now.arrays, strict=False):
        pairs.append((f"recording {old.recording}", old.recording_sha256, new.recording_sha256))
        pairs.append((f"window of {old.recording}", str(old.window), str(new.window)))
        pairs.append((f"layer of {old.recording}", old.layer, new.layer))
    packages = sorted(result.versions)
    pairs += [(name, result.versions.get(name), now.versions.get(name)) for name in packages]
    same = tuple(name for name, old, new in pairs if old == new)
    differs = tuple(Difference(name, str(old), str(new)) for name, old, new in pairs if old != new)
    return Reproduction(result, now, same, differs, _largest(result, now))


def _largest(then: Result, now: Result) -> float:
    if [array.images for array in then.arrays] != [array.images for array in now.arrays]:
        return np.inf
    pairs: list[tuple[Estimate, Estimate]] = []
    for a, b in zip((then, *then.arrays), (now, *now.arrays), strict=True):
        pairs.append((a.estimate, b.estimate))
        for old, new in ((a.controls, b.controls), (a.added, b.added)):
            pairs += [(old[name], new[name]) for name in old if name in new]
    numbers: list[tuple[Any, Any]] = [((a.raw, a.ceiling, a.score), (b.raw, b.ceiling, b.score)) for a, b in pairs]
    numbers += [(a.image_value, b.image_value) for a, b in zip(then.arrays, now.arrays, strict=True)]
    differences = [np.abs(np.subtract(a, b)) for a, b in numbers]
    undefined = any(np.any(np.isnan(a) != np.isnan(b)) for a, b in numbers)
    return np.inf if undefined else float(max(np.nanmax(difference, initial=0) for difference in differences))
