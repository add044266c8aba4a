"""Run a result again, and report what is the same, what differs, and what may explain it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.names import check_names, is_external
from brainscore_itmaps.bridge.score import score_request
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.progress import Report, silent

ROUNDING = 1e-6
"""Other processors, libraries and numbers of threads add up in another order."""


class Difference(NamedTuple):
    """A property that changed: its former and present value, as text."""

    what: str
    then: str
    now: str


@dataclass(frozen=True)
class Reproduction:
    """A result, and the result of the same request today.

    Attributes
    ----------
    then, now : Result
    same : tuple of str
        Properties that are the same.
    differs : tuple of Difference
        Properties that differ.
    largest : float
        Largest absolute difference of a score, a raw value, a ceiling or an image's value.
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
        """Explain in a sentence what a difference of the numbers may come from."""
        if self.largest == 0:
            return "Every number is the same."
        if self.differs:
            named = ", ".join(each.what for each in self.differs)
            return f"Numbers differ by up to {self.largest:.2g}; so do: {named}."
        return (
            f"Numbers differ by up to {self.largest:.2g}, and nothing that a result records explains it: "
            "rounding, another processor or number of threads."
        )


def reproduce(result: Result, *, cache: ResultCache | None = None, progress: Report = silent) -> Reproduction:
    """Run the request of a result again, and compare the results.

    Nothing is read from the cache.

    Parameters
    ----------
    result : Result
    cache : ResultCache, optional
        Cache to use; by default the one in ``ITMAPS_HOME``.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    ModelError, DataError
        When the model or the recording was given in memory, or cannot be found again.
    """
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
    check_names(request.model.name, request.benchmark, arch=request.model.arch)
    home = (cache or default_cache()).home
    now = score_request(request, cache=ResultCache(home, fresh=True), progress=progress)
    pairs = [("weights", result.weights_sha256, now.weights_sha256), ("device", result.device, now.device)]
    for then, again in zip(result.arrays, now.arrays, strict=False):
        pairs.append((f"recording {then.recording}", then.recording_sha256, again.recording_sha256))
        pairs.append((f"window of {then.recording}", str(then.window), str(again.window)))
        pairs.append((f"layer of {then.recording}", then.layer, again.layer))
    packages = sorted(result.versions)
    pairs += [(name, result.versions.get(name), now.versions.get(name)) for name in packages]
    same = tuple(what for what, then, again in pairs if then == again)
    differs = tuple(Difference(what, str(then), str(again)) for what, then, again in pairs if then != again)
    return Reproduction(result, now, same, differs, _largest(result, now))


def _largest(then: Result, now: Result) -> float:
    if [array.images for array in then.arrays] != [array.images for array in now.arrays]:
        return np.inf
    estimates = [[each.estimate, *(array.estimate for array in each.arrays)] for each in (then, now)]
    numbers: list[tuple[Any, Any]] = [((a.raw, a.ceiling, a.score), (b.raw, b.ceiling, b.score))
                                      for a, b in zip(*estimates, strict=True)]  # fmt: skip
    numbers += [(a.image_value, b.image_value) for a, b in zip(then.arrays, now.arrays, strict=True)]
    gaps = [np.abs(np.subtract(a, b)) for a, b in numbers]
    undefined = any(np.any(np.isnan(a) != np.isnan(b)) for a, b in numbers)
    return np.inf if undefined else float(max(np.nanmax(gap, initial=0) for gap in gaps))
