"""Compute profiles: score a layer at several blurs of its features, or with several numbers of PLS components."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.profile import Over, Profile, check_spec, checked_values
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import MEAN, Result
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.features.blur import blurred
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.progress import Report, silent

CHOSEN_BEST = "the best value of a profile is chosen on the images that are scored, so its score is biased upward"


def profile_source(
    source: Source,
    recordings: Sequence[Recording],
    benchmark: BenchmarkSpec,
    over: str,
    values: Sequence[float] | None,
    request: ScoreRequest,
    cache: ResultCache,
    progress: Report = silent,
) -> Profile:
    """Score one layer at several blurs of its features, or with several numbers of PLS components.

    Parameters
    ----------
    source : Source
        Source of one layer.
    recordings, benchmark, request, cache
        As in :func:`~brainscore_itmaps.benchmark.evaluate.evaluate`. Each value has its own entry in the cache, so that
        an interrupted run resumes.
    over, values
        As in :func:`~brainscore_itmaps.benchmark.profile.checked_values`.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Profile

    Raises
    ------
    UsageError
        When a value is impossible, the source has several layers, or the benchmark has no such profile.
    ModelError, DataError
        As in :func:`~brainscore_itmaps.benchmark.evaluate.evaluate`.
    """
    kind, checked = checked_values(over, values)
    check_spec(kind, benchmark)
    source, request = _read_once(source), replace(request, controls=False)  # `score` computes controls
    results: dict[float, Result] = {}
    notes: list[str] = []
    for number, value in enumerate(checked, 1):
        step = f"{kind} {value:g}, {number} of {len(checked)}: "

        def report(what: str, done: int, total: int, step: str = step) -> None:
            progress(step + what, done, total)

        if kind == "blur":
            results[value] = evaluate(_blurred(source, value), recordings, benchmark, request, cache, report)
            _check_one_layer(results[value])
            continue
        result = evaluate(source, recordings, benchmark, request, cache, report, components=int(value))
        _check_one_layer(result)
        used = max(int(array.components.max()) for array in result.arrays)
        results.setdefault(used, result)
        if used < value:
            more = ", ".join(f"{other:g}" for other in checked if other > used)
            notes.append(f"the features of this layer allow {used} components; left out, because they add none: {more}")
            break
    return collected(kind, results, [*notes, CHOSEN_BEST] if len(results) > 1 else notes)


def _check_one_layer(result: Result) -> None:
    layers = [layer.layer for layer in result.arrays[0].layers]
    if len(layers) != 1:
        raise UsageError(f"A profile is of one layer, not of {len(layers)}.", "Name one layer.")


def _read_once(source: Source) -> Source:
    """Return a source that runs the model once for the recordings that share images and positions."""
    kept: dict[Any, dict[str, LayerFeatures]] = {}

    def read(
        recording: Recording, layers: Sequence[str], cache: ResultCache, progress: Report
    ) -> dict[str, LayerFeatures]:
        key = (recording.images, recording.grid)
        if key not in kept:
            kept[key] = source.read(recording, layers, cache, progress)
        return dict(kept[key])

    return replace(source, read=read)


def _blurred(source: Source, degrees: float) -> Source:
    """Return a source of blurred features; without blur, the source itself, whose scores may be in the cache."""
    if degrees == 0:
        return source

    def read(
        recording: Recording, layers: Sequence[str], cache: ResultCache, progress: Report
    ) -> dict[str, LayerFeatures]:
        grid = recording.grid
        return {
            layer: LayerFeatures(blurred(features.field(grid), grid, degrees), at_grid=True)
            for layer, features in source.read(recording, layers, cache, progress).items()
        }

    content = source.content and f"{source.content} blurred by {degrees!r} degrees"
    return replace(source, content=content, read=read, attribute=None)


def collected(over: Over, results: Mapping[float, Result], notes: Sequence[str] = ()) -> Profile:
    """Collect the estimates of results in a profile, with what the results share.

    Parameters
    ----------
    over : "blur" or "components"
    results : mapping of value to Result
        Results of one layer on one benchmark, by ascending values.
    notes : sequence of str
        Notes on the profile; those of the results follow.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.estimate import Estimate
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights(), layer="layer3")
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=Estimate(0.25, 0.5, 0.5))
    >>> [(row["blur"], row["score"]) for row in collected("blur", {0.0: result, 2.0: result}).rows()]
    [(0.0, 0.5), (2.0, 0.5)]
    """
    scored = list(results.values())
    first = scored[0]
    estimates = {
        array.recording: tuple(result.arrays[number].estimate for result in scored)
        for number, array in enumerate(first.arrays)
    }
    if len(first.arrays) != 1:
        estimates[MEAN if first.arrays else first.benchmark] = tuple(result.estimate for result in scored)
    return Profile(
        over=over,
        values=tuple(results),
        estimates=estimates,
        request=first.request,
        reading=first.reading,
        benchmark=first.benchmark,
        title=first.title,
        measure=first.measure,
        simulated=first.simulated,
        formula=first.formula,
        notes=tuple(dict.fromkeys([*notes, *(note for result in scored for note in result.notes)])),
        citations=first.citations,
        versions=first.versions,
        written=scored[-1].written,
        file_stem=f"{first.file_stem}--{over}",
    )
