"""Benchmarks without a regression: the similarity of positions in features and in maps, RSA and CKA."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.benchmark.catalogue import WITHOUT_REGRESSION, BenchmarkSpec
from brainscore_itmaps.benchmark.ceilings import ceiling_of, ceiling_text, missing_ceiling, notes_on_ceiling
from brainscore_itmaps.benchmark.controls import CONTROLS, TYPICAL_MAP, cached_control_features, standardised
from brainscore_itmaps.benchmark.estimate import Estimate, IntervalKind, estimate_array, mean_estimate
from brainscore_itmaps.benchmark.evaluate import image_identities
from brainscore_itmaps.benchmark.folds import ImageFolds, folds_of
from brainscore_itmaps.benchmark.formulas import notes_on
from brainscore_itmaps.benchmark.layers import BOUND, chosen_layers, read_layers
from brainscore_itmaps.benchmark.maps import MapsBenchmark
from brainscore_itmaps.benchmark.random_weights import with_random_weights
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import ArrayResult, LayerResult, Result
from brainscore_itmaps.benchmark.source import LoadedModel, Source
from brainscore_itmaps.benchmark.transfer import TransferBenchmark
from brainscore_itmaps.benchmark.validity import mean_controls
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.notes import notes_on_data
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.features.controls import CHANNELS, SETTINGS
from brainscore_itmaps.metrics.ceiling import Ceiling
from brainscore_itmaps.metrics.folds import typical_maps
from brainscore_itmaps.metrics.inference import jackknife_interval, mean_without
from brainscore_itmaps.metrics.similarity import SIMILARITIES
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.text import interval_text, number_text, short_repr

VALUES = {
    "rsa": "Spearman rho, over all pairs of positions of an image, of 1 - Pearson r over channels with 1 - Pearson r "
    "over sites, all standardised",
    "cka": "unbiased linear CKA over the positions of an image",
}
"""What is computed for each image, in words."""
SMOOTH = (
    "neighbouring positions are alike in all maps and in the features of all models, and that alone raises {measure}: "
    "read a value only beside those of random weights and of other controls"
)


@short_repr
@dataclass(frozen=True)
class SimilarityBenchmark(MapsBenchmark):
    """A benchmark that compares the positions of images in features and in maps, without a regression.

    See :class:`~brainscore_itmaps.benchmark.maps.Benchmark`.
    """

    def score(self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report = silent) -> Result:
        """Score a loaded model.

        Raises
        ------
        ModelError
            When a layer gives no usable map, or the same activation at all positions of an image.
        DataError
            When a recording cannot be scored: it has fewer than 3 different images, or an image whose maps are all
            constant.
        """
        recordings, spec = self.recordings(request, progress), self.spec
        source = model.source(request.model.layers, spec.view, protocol_named(request.protocol), cache)
        arrays: list[ArrayResult] = []
        notes: list[str] = []
        for recording in recordings:
            folds, ceiling = folds_of(recording), None
            layers = values_of_layers(source, recording, spec, cache, progress)
            notes += notes_on_data(recording)
            if not missing_ceiling(recording, spec):
                ceiling = ceiling_of(recording, spec, cache, seed=request.seed, interval=request.interval)
                notes += notes_on_ceiling(recording, ceiling)
            array = _array_result(recording, layers, ceiling, folds, spec, request.interval)
            if request.controls:
                values = values_of_controls(recording, folds, spec, cache, progress)
                controls = {name: _estimate(each, ceiling, folds.groups(request.interval), array.estimate.reason)
                            for name, each in values.items()}  # fmt: skip
                array = replace(array, controls=controls)
            _check_defined(array, recording, source.reading.model)
            notes += _notes_on_raw(array, folds.groups(request.interval))
            arrays.append(array)
        names = [layer.layer for layer in arrays[0].layers]
        layer = names[0] if len(names) == 1 else f"chosen of {len(names)}"
        images = image_identities(recordings)
        result = Result(
            request=request,
            reading=replace(source.reading, layer=layer),
            benchmark=spec.identifier,
            benchmark_version=spec.version,
            measure=spec.measure,
            estimate=mean_estimate([array.estimate for array in arrays], images),
            formula=formula_of_similarity(spec, arrays),
            notes=(*source.notes, *notes, SMOOTH.format(measure=spec.measure.upper()), *notes_on(arrays, spec)),
            arrays=tuple(arrays),
            citations=tuple(dict.fromkeys(array.citation for array in arrays)),
            **mean_controls(arrays, images, request.seed),
        )
        return with_random_weights(
            result, model, images, request, lambda random, plain: self.score(random, plain, cache, progress)
        )


def similarity_or_maps(benchmark: MapsBenchmark | TransferBenchmark) -> MapsBenchmark | TransferBenchmark:
    """Return the benchmark of the kind that its measure needs: without a regression, or with predicted maps.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.maps import maps_benchmark
    >>> type(similarity_or_maps(maps_benchmark("it_maps_cka_simulated"))).__name__
    'SimilarityBenchmark'
    """
    if benchmark.spec.measure not in WITHOUT_REGRESSION or isinstance(benchmark, TransferBenchmark):
        return benchmark
    return SimilarityBenchmark(benchmark.spec, benchmark.preloaded)


def similarity_values(field: ArrayLike, maps: ArrayLike, measure: str) -> NDArray[np.float64]:
    """Compute the similarity of features and maps for every image.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
        Features of a model, or of a control, at the positions of the maps.
    maps : array, shape (image, y, x, site)
    measure : "rsa" or "cka"
        See :mod:`brainscore_itmaps.metrics.similarity`.

    Returns
    -------
    array, shape (image,)
        NaN where features or maps are constant.

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    >>> similarity_values(maps, maps, "cka").round(2).tolist()
    [1.0, 1.0, 1.0]
    """
    return SIMILARITIES[measure](field, maps)


def values_of_layers(
    source: Source, recording: Recording, spec: BenchmarkSpec, cache: ResultCache, progress: Report = silent
) -> dict[str, NDArray[np.float64]]:
    """Compute the similarity of every layer with a recording; read only layers that are not in the cache.

    Parameters
    ----------
    source : Source
    recording : Recording
    spec : BenchmarkSpec
        Its measure and view.
    cache : ResultCache
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    dict of layer to array, shape (image,)
    """
    features = {} if source.content is not None else read_layers(source, recording, (), spec, cache, progress)
    contents = {layer: source.content or features[layer].content for layer in features or source.layers}
    recorded = recording_content(recording)
    keys = {
        layer: key_of(
            similarity=spec.measure,
            model=content + source.read_as.get(layer, ""),
            layer=layer,
            recording=recorded,
            view=spec.view,
        )
        for layer, content in contents.items()
    }

    def compute(missing: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        read = features or read_layers(source, recording, missing, spec, cache, progress)
        for number, layer in enumerate(missing):
            progress("comparing positions", number, len(missing))
            field = read.pop(layer).field(recording.grid)
            yield layer, {"values": similarity_values(field, recording.maps, spec.measure)}

    expected = {"values": Expected((len(recording.names),), undefined=True, low=-BOUND, high=BOUND)}
    entries = cache.computed_all(keys, compute, dict.fromkeys(keys, expected), progress)
    return {layer: entries[layer]["values"] for layer in contents}


def values_of_controls(
    recording: Recording, folds: ImageFolds, spec: BenchmarkSpec, cache: ResultCache, progress: Report = silent
) -> dict[str, NDArray[np.float64]]:
    """Compute the similarity of each control with a recording: of features without a model, and of the typical map.

    Parameters
    ----------
    recording : Recording
    folds : ImageFolds
        The typical map is the mean over the images that are not left out.
    spec : BenchmarkSpec
        Its measure.
    cache : ResultCache
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    dict of str to array, shape (image,)
        0 where a control does not vary over an image.
    """
    images = len(recording.names)

    def compute() -> dict[str, NDArray[np.float64]]:
        features = cached_control_features(recording, cache, progress)
        typical = typical_maps(recording.maps, folds.left_out)[folds.left_out.argmax(axis=0)]
        fields = {TYPICAL_MAP: typical} | {name: standardised(features[name]) for name in CHANNELS}
        return {
            name: np.nan_to_num(similarity_values(field, recording.maps, spec.measure))
            for name, field in fields.items()
        }

    key = key_of(settings=SETTINGS, controls=recording_content(recording), similarity=spec.measure, **folds.key)
    expected = dict.fromkeys(CONTROLS, Expected((images,), low=-BOUND, high=BOUND))
    return cache.computed(key, compute, expected, progress)


def formula_of_similarity(spec: BenchmarkSpec, arrays: Sequence[ArrayResult]) -> str:
    """Write the formula of a score in words; without a score, that of the raw value.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> formula_of_similarity(CATALOGUE["it_maps_cka_simulated"], [])
    'none; raw is the mean over images of unbiased linear CKA over the positions of an image'
    """
    value = f"mean over images of {VALUES[spec.measure]}"
    mean = f"mean over {len(arrays)} arrays of: " if len(arrays) > 1 else ""
    if arrays and all(array.ceiling_kind for array in arrays):
        return f"{mean}{value}, divided by the noise ceiling, that of noise-free maps"
    return f"none; raw is the {mean}{value}"


def _array_result(
    recording: Recording,
    layers: Mapping[str, NDArray[np.float64]],
    ceiling: Ceiling | None,
    folds: ImageFolds,
    spec: BenchmarkSpec,
    interval: IntervalKind,
) -> ArrayResult:
    without = {layer: np.where(folds.groups("groups"), np.nan, values) for layer, values in layers.items()}
    chosen = chosen_layers(without, folds.numbers)
    values = np.array([layers[layer][image] for image, layer in enumerate(chosen)])
    images, sites = len(recording.names), len(recording.sites)
    of_images, of_sites, no_maps = np.full(images, np.nan), np.full((images, sites), np.nan), np.zeros((0, 0, 0, 0))
    return ArrayResult(
        recording=recording.identifier,
        recording_sha256=recording.sha256,
        citation=recording.citation,
        simulated=recording.simulated,
        window=recording.window,
        estimate=_estimate(values, ceiling, folds.groups(interval), missing_ceiling(recording, spec)),
        alignment=np.nan,
        ceiling_kind=ceiling_text(recording, spec) if ceiling is not None else "",
        layers=tuple(
            LayerResult(layer, float(each.mean()), np.nan, tuple(map(float, each)), chosen.count(layer))
            for layer, each in layers.items()
        ),
        layer_of_image=chosen,
        image_r=of_images,
        map_rho=of_images,
        map_rho_coarse=of_images,
        image_value=values,
        image_ceiling=of_images if ceiling is None else ceiling.image_r,
        site_r=of_sites,
        site_ceiling=of_sites,
        components=np.zeros(images, np.int64),
        predicted=no_maps,
        neural=no_maps,
        degrees_y=recording.grid.y,
        degrees_x=recording.grid.x,
        images=recording.names,
        sites=recording.sites,
        extent=recording.grid.extent,
    )


def _estimate(values: NDArray[np.float64], ceiling: Ceiling | None, groups: NDArray[np.bool_], reason: str) -> Estimate:
    if ceiling is None:
        return Estimate(float(values.mean()), interval_kind="values", reason=reason)
    return replace(estimate_array(values, ceiling, None, groups, "values"), explained=np.nan)


def _notes_on_raw(array: ArrayResult, groups: NDArray[np.bool_]) -> list[str]:
    """Describe the interval of a raw value that has no score."""
    if not np.isnan(array.score):
        return []
    replicates = mean_without(array.image_value, groups)
    low, high, *_ = jackknife_interval(array.raw, replicates, [len(groups)])
    return [
        f"{array.recording}: raw {number_text(array.raw)}, 95 % interval over images {interval_text(low, high)} "
        "(jackknife, Student's t)"
    ]


def _check_defined(array: ArrayResult, recording: Recording, model: str) -> None:
    """Check that the values of all images are defined."""
    undefined = np.isnan(array.image_value)
    constant = ~(np.ptp(recording.maps, axis=(1, 2)) > 0).any(axis=-1)
    for images, error, problem, fix in (
        (constant, DataError, f"{recording.identifier}: all sites' maps are constant", "Leave these images out."),
        (
            undefined,
            ModelError,
            f"{model}: a layer that was chosen ({array.layer}) has the same activation at all positions, or "
            f"{recording.identifier} has too few sites,",
            "Choose a layer whose activation varies over the image, or another measure.",
        ),
    ):
        if images.any():
            names = ", ".join(np.array(recording.names)[images])
            raise error(f"{problem} on {names}, so the similarity of positions is undefined.", fix)
