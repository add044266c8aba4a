"""The evaluation: read features, score layers, choose a layer for each image, compute the noise ceiling, estimate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec, Measure
from brainscore_itmaps.benchmark.ceilings import ceiling_of, ceiling_text, missing_ceiling, notes_on_ceiling
from brainscore_itmaps.benchmark.estimate import Estimate, mean_estimate
from brainscore_itmaps.benchmark.folds import ImageFolds, folds_of, notes_on_folds
from brainscore_itmaps.benchmark.formulas import formula_of, notes_on
from brainscore_itmaps.benchmark.layers import FeatureScore, chosen_layers, is_large, score_layers
from brainscore_itmaps.benchmark.request import ScoreRequest, interval_kind
from brainscore_itmaps.benchmark.result import ArrayResult, LayerResult, Reading, Result, Saliency
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.benchmark.validity import Job, control_tasks, estimate_values, mean_controls, with_controls
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.data.notes import notes_on_data
from brainscore_itmaps.data.recording import Recording, constant_maps
from brainscore_itmaps.errors import ArrayError, DataError, ModelError, UsageError
from brainscore_itmaps.features.grid import LayerFeatures, downsample_if_larger
from brainscore_itmaps.files import sha256
from brainscore_itmaps.metrics.ceiling import Ceiling
from brainscore_itmaps.metrics.folds import device_of_fits
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import Protocol, protocol_named
from brainscore_itmaps.threads import computed_once, in_threads

DEFAULT_REQUEST = ScoreRequest()
Scores = Mapping[str, FeatureScore]
VALUES: dict[Measure, str] = {"predictivity": "image_r", "alignment": "map_rho", "attribution": "image_r"}
"""Field of :class:`FeatureScore` with the value of each image; for attribution, of the predictions."""
REFITS: dict[Measure, str] = {"predictivity": "refit_r", "alignment": "refit_rho"}
"""Field of :class:`FeatureScore` with the values from regressions that are fitted without a group of images."""


def evaluate(
    source: Source,
    recordings: Sequence[Recording],
    benchmark: BenchmarkSpec,
    request: ScoreRequest = DEFAULT_REQUEST,
    cache: ResultCache | None = None,
    progress: Report = silent,
    components: int | None = None,
) -> Result:
    """Score a model's layers by their predictions of the recorded maps of left-out images.

    Parameters
    ----------
    source : Source
        From :class:`~brainscore_itmaps.benchmark.source.HookedModel`, or from a Brain-Score model.
    recordings : sequence of Recording
        One recording for each array of the benchmark.
    benchmark : BenchmarkSpec
    request : ScoreRequest
        Its protocol, attribution method and seed are used.
    cache : ResultCache, optional
        By default the cache in ``ITMAPS_HOME``.
    progress : callable
        Called with (step, steps done, steps in all).
    components : int, optional
        Number of PLS components; by default that of the protocol.

    Returns
    -------
    Result

    Raises
    ------
    ModelError
        When a layer gives no usable map, or its prediction for an image is constant at every site.
    DataError
        When a recording cannot be scored: it has fewer than 3 different images, or an image whose maps, or repeats, are
        all constant.
    UsageError
        When the protocol does not support the benchmark.
    """
    protocol, cache = protocol_named(request.protocol), cache or default_cache()
    check_benchmark(protocol, benchmark)
    check_maps(protocol, recordings)
    arrays: dict[int, ArrayResult] = {}
    notes: list[str] = []
    for shared in group_by_images(recordings):  # features are read once, regressions fitted in one pass
        results, noted = _score_together(source, shared, benchmark, request, cache, progress, components)
        arrays |= {id(recording): result for recording, result in zip(shared, results, strict=True)}
        notes += noted
    in_order = [arrays[id(recording)] for recording in recordings]
    return _result(source, recordings, in_order, benchmark, request, tuple(notes))


def _score_together(
    source: Source,
    shared: Sequence[Recording],
    benchmark: BenchmarkSpec,
    request: ScoreRequest,
    cache: ResultCache,
    progress: Report,
    components: int | None,
) -> tuple[list[ArrayResult], list[str]]:
    """Score recordings that share images and positions; return their results, and notes for their readers."""
    protocol, kind = protocol_named(request.protocol), interval_kind(request, benchmark)

    def ceiling_or_none(recording: Recording, report: Report) -> Ceiling | None:
        if missing_ceiling(recording, benchmark, protocol):
            return None
        return ceiling_of(recording, benchmark, cache, protocol, request.seed, report, kind)

    scored = score_layers(source, shared, benchmark, protocol, cache, progress, kind, components)
    folds, device = folds_of(shared[0], protocol), device_of_fits(source.reading.device)
    alone = is_large(shared[0]) or bool(device)
    ceilings = list(in_threads(ceiling_or_none, shared, progress, alone or len(shared) == 1))
    notes: list[str] = []
    results, jobs = [], [Job(recording, benchmark, request, protocol, folds, cache, device) for recording in shared]
    for recording, layers, ceiling in zip(shared, scored.scores, ceilings, strict=True):
        chosen = CHOOSERS[protocol.choose_layer](layers, benchmark.measure, folds)
        saliency = _attribute(source, recording, chosen, benchmark, request, progress)
        notes += [*notes_on_data(recording), *notes_on_folds(recording, folds)]
        notes += [] if ceiling is None else notes_on_ceiling(recording, ceiling)
        _check_defined(layers, chosen, ceiling, saliency, benchmark.measure, recording, source.reading.model)
        results.append(_array_result(recording, layers, chosen, ceiling, saliency, benchmark, request, folds))
    if not request.controls:
        return results, notes
    read = computed_once(
        partial(scored.read, list(dict.fromkeys(layer for result in results for layer in result.layer_of_image)))
    )
    tasks = {
        (number, name): task
        for number, (result, job, ceiling) in enumerate(zip(results, jobs, ceilings, strict=True))
        for name, task in control_tasks(
            result.layer_of_image, job, scored.keys[number], read, ceiling is not None
        ).items()
    }
    computed: list[dict[str, Any]] = [{} for _ in shared]
    values = in_threads(lambda task, report: task(report), [*tasks.values()], progress, alone)
    for done, ((number, name), value) in enumerate(zip(tasks, values, strict=True), 1):
        computed[number][name] = value
        progress("comparing with controls", done, len(tasks))
    complete = zip(results, jobs, ceilings, scored.scores, computed, strict=True)
    return [with_controls(*each) for each in complete], notes


def group_by_images(recordings: Sequence[Recording]) -> Iterator[list[Recording]]:
    """Group recordings by their images and the positions of their maps.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.settings import overridden
    >>> images = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
    >>> with tempfile.TemporaryDirectory() as folder, overridden(brainio_home=Path(folder)):
    ...     recording = Recording.from_arrays(np.ones((3, 5, 7, 2)), images, identifier="example", window=(50, 150))
    >>> [len(group) for group in group_by_images([recording, replace(recording, identifier="other")])]
    [2]
    """
    groups: dict[Any, list[Recording]] = {}
    for recording in recordings:
        grid = recording.grid
        key = (recording.images, grid.y.tobytes(), grid.x.tobytes(), grid.extent)
        groups.setdefault(key, []).append(recording)
    yield from groups.values()


def _values(measure: Measure, score: FeatureScore) -> NDArray[np.float64]:
    """Return the value of each image in a measure, shape (image,)."""
    values: NDArray[np.float64] = getattr(score, VALUES[measure])
    return values


def _choose_left_out(scores: Scores, measure: Measure, folds: ImageFolds) -> tuple[str, ...]:
    """Choose for each image the layer that is best on the other images."""
    refits = {layer: getattr(score, REFITS.get(measure, "refit_r")) for layer, score in scores.items()}
    return chosen_layers(refits, folds.numbers)


def _choose_best(scores: Scores, measure: Measure, folds: ImageFolds) -> tuple[str, ...]:
    """Choose for all images the layer that is best on them: biased upward, as published."""
    means = {layer: _values(measure, score).mean() for layer, score in scores.items()}
    best = max(means, key=lambda layer: (not np.isnan(means[layer]), means[layer]))
    return (best,) * len(scores[best].image_r)


CHOOSERS: dict[str, Callable[[Scores, Measure, ImageFolds], tuple[str, ...]]] = {
    "left_out": lambda scores, *rest: (_choose_best if len(scores) == 1 else _choose_left_out)(scores, *rest),
    "best": _choose_best,
}
CHOICES = {"left_out": "chosen", "best": "best"}
"""First word of the stored layer where there are several, by ``choose_layer`` of the protocol."""


def _attribute(
    source: Source,
    recording: Recording,
    layer_of_image: Sequence[str],
    benchmark: BenchmarkSpec,
    request: ScoreRequest,
    progress: Report,
) -> Saliency | None:
    if benchmark.measure != "attribution":
        return None
    if source.attribute is None:
        raise ModelError(
            f"The prediction of {source.reading.model} cannot be traced to positions of the image, "
            "because attribution needs the gradients of a torch model.",
            "Score this model on another benchmark, or use a model of timm (timm:NAME).",
        )
    return source.attribute(recording, layer_of_image, request.attribution, progress)


def _estimate(
    values: NDArray[np.float64],
    recording: Recording,
    scores: Scores,
    layer_of_image: Sequence[str],
    ceiling: Ceiling | None,
    benchmark: BenchmarkSpec,
    request: ScoreRequest,
    folds: ImageFolds,
) -> Estimate:
    refits = None
    if interval_kind(request, benchmark) != "fixed" and benchmark.measure in REFITS:
        fields = [getattr(scores[layer], REFITS[benchmark.measure]) for layer in layer_of_image]
        if fields[0] is not None:
            refits = np.stack([field[:, image] for image, field in enumerate(fields)], axis=1)
    return estimate_values(values, refits, recording, ceiling, benchmark, request, folds)


def _array_result(
    recording: Recording,
    scores: Scores,
    layer_of_image: tuple[str, ...],
    ceiling: Ceiling | None,
    saliency: Saliency | None,
    benchmark: BenchmarkSpec,
    request: ScoreRequest,
    folds: ImageFolds,
) -> ArrayResult:
    names = ("image_r", "map_rho", "map_rho_coarse", "site_r", "components", "predicted")
    fields: dict[str, Any] = {
        name: np.stack([getattr(scores[layer], name)[image] for image, layer in enumerate(layer_of_image)])
        for name in names
    }
    values = saliency.rho if saliency is not None else fields[VALUES[benchmark.measure]]
    undefined = np.full((len(recording.images), len(recording.sites)), np.nan)
    image_ceiling = undefined[:, 0] if ceiling is None else ceiling.image_r
    site_ceiling = undefined if ceiling is None else ceiling.of_sites(len(recording.sites))
    return ArrayResult(
        recording=recording.identifier,
        recording_sha256=recording.sha256,
        citation=recording.citation,
        simulated=recording.simulated,
        window=recording.window,
        estimate=_estimate(values, recording, scores, layer_of_image, ceiling, benchmark, request, folds),
        folds=folds.text,
        alignment=float(fields["map_rho"].mean()),
        ceiling_kind=ceiling_text(recording, benchmark, protocol_named(request.protocol)) if ceiling else "",
        layers=tuple(
            LayerResult(
                layer,
                float(_values(benchmark.measure, score).mean()),
                float(score.map_rho.mean()),
                tuple(map(float, score.image_r)),
                layer_of_image.count(layer),
            )
            for layer, score in scores.items()
        ),
        layer_of_image=layer_of_image,
        image_value=values,
        image_ceiling=image_ceiling,
        site_ceiling=site_ceiling,
        neural=recording.maps,
        degrees_y=recording.grid.y,
        degrees_x=recording.grid.x,
        extent=recording.grid.extent,
        images=recording.names,
        sites=recording.sites,
        saliency=saliency,
        **fields,
    )


def _result(
    source: Source,
    recordings: Sequence[Recording],
    arrays: Sequence[ArrayResult],
    benchmark: BenchmarkSpec,
    request: ScoreRequest,
    notes: tuple[str, ...],
) -> Result:
    protocol = protocol_named(request.protocol)
    layers = [scored.layer for scored in arrays[0].layers]
    images = image_identities(recordings)
    layer = layers[0] if len(layers) == 1 else f"{CHOICES[protocol.choose_layer]} of {len(layers)}"
    return Result(
        request=request,
        reading=replace(source.reading, layer=layer),
        benchmark=benchmark.identifier,
        benchmark_version=benchmark.version,
        measure=benchmark.measure,
        estimate=mean_estimate([array.estimate for array in arrays], images),
        alignment=float(np.mean([array.alignment for array in arrays])),
        formula=formula_of(benchmark, len(arrays), protocol, [array.folds for array in arrays]),
        notes=(*dict.fromkeys(source.notes), *notes, *notes_on(arrays, benchmark)),
        arrays=tuple(arrays),
        citations=tuple(dict.fromkeys(array.citation for array in arrays)),
        **mean_controls(arrays, images, request.seed),
    )


def image_identities(recordings: Sequence[Recording]) -> list[tuple[str, ...]]:
    """Return what identifies the images of each recording: the hashes of their files."""
    return [tuple(sha256(image) for image in recording.images) for recording in recordings]


def evaluate_features(
    features: NDArray[np.floating[Any]],
    recording: Recording,
    reading: Reading,
    benchmark: BenchmarkSpec,
    request: ScoreRequest = DEFAULT_REQUEST,
    cache: ResultCache | None = None,
    progress: Report = silent,
) -> Result:
    """Score feature maps that have already been recorded.

    Parameters
    ----------
    features : array, shape (image, channel, height, width)
        Features of the images, in the order of ``recording.images``.
    recording, benchmark, request, cache, progress
        As in :func:`evaluate`.
    reading : Reading
        Model and layer of the features.

    Returns
    -------
    Result

    Raises
    ------
    ModelError, DataError
        As :func:`evaluate`.
    """
    protocol = protocol_named(request.protocol)

    def read(*_: Any) -> dict[str, LayerFeatures]:
        return {reading.layer: downsample_if_larger(features, recording.grid, protocol)}

    return evaluate(Source(reading, (), None, read), [recording], benchmark, request, cache, progress)


def check_benchmark(protocol: Protocol, benchmark: BenchmarkSpec) -> None:
    """Check that a protocol supports the view, measure and regression of a benchmark.

    Raises
    ------
    UsageError
        When it does not.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> check_benchmark(protocol_named("published"), CATALOGUE["it_maps"])
    """
    if benchmark.view not in protocol.views or benchmark.measure not in protocol.measures:
        raise UsageError(
            f"The {protocol.name} protocol has no benchmark like {benchmark.identifier}.",
            f"Leave out the {protocol.name} protocol.",
        )
    if benchmark.method:
        protocol.solver(benchmark.method)


def check_maps(protocol: Protocol, recordings: Sequence[Recording]) -> None:
    """Check that a protocol supports the grid and the constant maps of recordings.

    Raises
    ------
    ArrayError
        When the protocol does not support the grid.
    DataError
        When the protocol gives no score because a map is constant.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.settings import overridden
    >>> images = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
    >>> with tempfile.TemporaryDirectory() as folder, overridden(brainio_home=Path(folder)):
    ...     recording = Recording.from_arrays(np.ones((3, 5, 5, 2)), images, identifier="example", window=(50, 150))
    >>> check_maps(protocol_named("ours"), [recording])
    """
    for recording in recordings:
        check_grid(protocol, recording.maps.shape[1:3])
        if protocol.reduce_sites == "all" and (maps := constant_maps(recording)):
            examples = ", ".join(f"{site} on {image}" for site, image in maps[:4])
            raise DataError(
                f"{recording.identifier}: {len(maps)} maps are constant ({examples}); "
                f"the {protocol.name} protocol gives no score for a recording with constant maps.",
                f"Leave out the {protocol.name} protocol, or these sites.",
            )


def check_grid(protocol: Protocol, grid: tuple[int, ...]) -> None:
    """Check that a grid, (y, x) positions, is square where the protocol requires it.

    Raises
    ------
    ArrayError
        When it is not.

    Examples
    --------
    >>> check_grid(protocol_named("ours"), (5, 7))
    """
    if protocol.square_grids_only and grid[0] != grid[1]:
        raise ArrayError(
            f"The grid is {grid[0]} x {grid[1]}.", f"The {protocol.name} protocol supports square grids only."
        )


def _check_defined(
    scores: Scores,
    layer_of_image: Sequence[str],
    ceiling: Ceiling | None,
    saliency: Saliency | None,
    measure: Measure,
    recording: Recording,
    model: str,
) -> None:
    """Check that the maps of a recording vary on every image, and that the values of the images are defined."""
    values = [_values(measure, scores[layer])[image] for image, layer in enumerate(layer_of_image)]
    names = np.array(recording.names)
    constant = (~(np.ptp(recording.maps, axis=(1, 2)) > 0)).all(axis=-1)
    if constant.any():
        raise DataError(
            f"{recording.identifier}: every site's map is constant on {', '.join(names[constant])}, "
            "so the correlation with it is undefined.",
            "Leave these images out of the recording.",
        )
    if ceiling is not None and ceiling.kind != "sites" and (without := np.isnan(ceiling.image_r)).any():
        raise DataError(
            f"{recording.identifier}: the noise ceiling is undefined on {', '.join(names[without])}, "
            "because half of the repeats or of the sites has a constant map.",
            "Leave these images out of the recording.",
        )
    if (undefined := np.flatnonzero(np.isnan(values if saliency is None else saliency.rho))).size:
        raise ModelError(
            f"The layer {layer_of_image[undefined[0]]!r} of {model} predicts a constant map on "
            f"{', '.join(names[undefined])}, so the correlation with it is undefined.",
            "Choose a layer whose activation varies over the image.",
        )
