"""The benchmark of transfer: fit the regression on one array, and predict the mean map of another array."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.ceilings import ceiling_of, ceiling_text, notes_on_ceiling
from brainscore_itmaps.benchmark.controls import (
    CONTROLS,
    TYPICAL_MAP,
    ImageValues,
    cached_control_features,
    entry_of_values,
    expected_values,
    values_of_entry,
)
from brainscore_itmaps.benchmark.estimate import Estimate, IntervalKind, estimate_array, mean_estimate
from brainscore_itmaps.benchmark.evaluate import group_by_images, image_identities
from brainscore_itmaps.benchmark.folds import notes_on_folds
from brainscore_itmaps.benchmark.formulas import notes_on
from brainscore_itmaps.benchmark.layers import FeatureScore, expected_score, score_predictions
from brainscore_itmaps.benchmark.pairs import Pair, notes_on_images, pairs_of, two_halves
from brainscore_itmaps.benchmark.random_weights import with_random_weights
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import RECORDED_SOURCE, ArrayResult, LayerResult, Null, Result
from brainscore_itmaps.benchmark.source import ALL, LoadedModel, Source
from brainscore_itmaps.benchmark.validity import mean_controls, mean_over_identical, null_of
from brainscore_itmaps.cache import ResultCache, key_of
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.notes import notes_on_data
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.features.controls import CHANNELS, SETTINGS
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.ceiling import Ceiling
from brainscore_itmaps.metrics.folds import refitted
from brainscore_itmaps.metrics.nulls import paired_values
from brainscore_itmaps.metrics.predictivity import site_correlation
from brainscore_itmaps.metrics.transfer import Transfer
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS, protocol_named
from brainscore_itmaps.text import short_repr

MEAN_SITE = "mean over sites"
FORMULA = (
    "mean over {pairs} pairs of arrays of: mean over images of Spearman rho between the recorded map of the target "
    "array and the map that a regression on the source array predicts, fitted without that image, both averaged "
    "over sites, divided by the noise ceiling of the target, computed the same way"
)
HALVES = (
    "the two arrays are SIMULATED: alternate sites of {name}, each half with repeats of its own, so they share the "
    "simulated drives but no noise"
)


@short_repr
@dataclass(frozen=True)
class TransferBenchmark:
    """A benchmark of all ordered pairs of arrays; see :class:`~brainscore_itmaps.benchmark.maps.Benchmark`.

    Attributes
    ----------
    spec : BenchmarkSpec
    preloaded : tuple of Recording
        The recordings of the arrays; if empty, they are loaded by the names in ``spec``. A single name means the two
        halves of its sites (:func:`two_halves`).
    """

    spec: BenchmarkSpec
    preloaded: tuple[Recording, ...] = ()

    @property
    def identifier(self) -> str:
        """Return the name of the benchmark."""
        return self.spec.identifier

    def prepared(self, request: ScoreRequest, progress: Report = silent) -> "TransferBenchmark":
        """Check the request and load the recordings.

        Raises
        ------
        UsageError
            For several layers, or another protocol than ours.
        """
        protocol = protocol_named(request.protocol)
        if protocol.name != OURS.name:
            raise UsageError(
                f"The {protocol.name} protocol has no benchmark like {self.identifier}.",
                f"Leave out the {protocol.name} protocol.",
            )
        if len(request.model.layers) > 1 or tuple(request.model.layers) == ALL:
            raise _several_layers(self.identifier)
        return replace(self, preloaded=tuple(self.recordings(request, progress)))

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Hash the maps and images of each recording."""
        return [recording_content(recording) for recording in self.recordings(request, progress)]

    def recordings(self, request: ScoreRequest, progress: Report = silent) -> Sequence[Recording]:
        """Return the recordings of the arrays in the requested window."""
        if self.preloaded:
            return self.preloaded
        loaded = [load_recording(name, request.window, progress=progress) for name in self.spec.recordings]
        return two_halves(loaded[0]) if len(loaded) == 1 else loaded

    def scored(self, request: ScoreRequest) -> dict[str, Recording]:
        """Return the recording whose images are shown beside each array of a result: the target of each pair."""
        return {pair.name: pair.target for pair in pairs_of(self.recordings(request))}

    def score(self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report = silent) -> Result:
        """Score a loaded model.

        Raises
        ------
        ModelError
            When the layer gives no usable map, or predicts a constant map of an image.
        DataError
            When a recording has fewer than 3 different images, or an image whose mean map is constant.
        UsageError
            When several layers are committed to IT.
        """
        source = model.source(request.model.layers, self.spec.view, OURS, cache)
        recordings = self.recordings(request, progress)
        pairs = pairs_of(recordings)
        layer, scores = _score_pairs(source, recordings, pairs, self.spec, request.interval, cache, progress)
        arrays, notes = [], []
        for pair in pairs:
            score = scores[pair.name]
            ceiling = None
            if not pair.without_score(self.spec):
                ceiling = ceiling_of(pair.target, self.spec, cache, OURS, request.seed, progress, request.interval)
                notes += notes_on_ceiling(pair.target, ceiling)
            _check_defined(pair, score, ceiling, layer, source.reading.model)
            array = _array_result(pair, layer, score, ceiling, self.spec, request.interval)
            if request.controls:
                controls = _controls(pair, ceiling, self.spec, request.interval, cache, progress)
                array = replace(array, controls=controls, null=_null(array, score, pair.folds.numbers, request.seed))
            arrays.append(array)
            notes += [*notes_on_data(pair.target), *notes_on_folds(pair.target, pair.folds)]
        notes += notes_on_images(pairs)
        if len(self.spec.recordings) == 1:
            notes.insert(0, HALVES.format(name=self.spec.recordings[0]))
        images = image_identities([pair.target for pair in pairs])
        result = Result(
            request=request,
            reading=replace(source.reading, layer=layer),
            benchmark=self.identifier,
            benchmark_version=self.spec.version,
            measure=self.spec.measure,
            estimate=mean_estimate([array.estimate for array in arrays], images),
            alignment=float(np.mean([array.alignment for array in arrays])),
            formula=FORMULA.format(pairs=len(pairs)),
            notes=(*dict.fromkeys([*source.notes, *notes]), *notes_on(arrays, self.spec)),
            arrays=tuple(arrays),
            citations=tuple(dict.fromkeys(array.citation for array in arrays)),
            **mean_controls(arrays, images, request.seed),
        )
        return with_random_weights(
            result, model, images, request, lambda random, plain: self.score(random, plain, cache, progress)
        )


def _several_layers(benchmark: str) -> UsageError:
    """Return the error that a benchmark of transfer reads one layer."""
    return UsageError(f"{benchmark} scores one layer at a time.", "Name one layer.")


def _score_pairs(
    source: Source,
    recordings: Sequence[Recording],
    pairs: Sequence[Pair],
    spec: BenchmarkSpec,
    interval: IntervalKind,
    cache: ResultCache,
    progress: Report = silent,
) -> tuple[str, dict[str, FeatureScore]]:
    """Return the name of the layer, and its score by the name of each pair; read features only if one is missing."""
    read = {} if source.content is not None else _read(source, recordings, spec, cache, progress)
    layers = source.layers or tuple({layer: None for features in read.values() for layer in features})
    if len(layers) != 1:
        raise _several_layers(spec.identifier)
    (layer,) = layers
    content = source.content or [features[layer].content for features in read.values()]
    groups = {pair.name: pair.refit_groups(interval) for pair in pairs}
    keys = {
        pair.name: key_of(
            transfer=content,
            read_as=source.read_as.get(layer, ""),
            layer=layer,
            recordings=[recording_content(recording) for recording in (pair.source, pair.target)],
            method=spec.method,
            groups=groups[pair.name],
            **pair.folds.key,
        )
        for pair in pairs
    }
    expected = {
        pair.name: expected_score(replace(pair.target, maps=pair.neural, sites=(MEAN_SITE,), repeats=None),
                                  groups[pair.name])
        for pair in pairs
    }  # fmt: skip

    def compute(missing: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        features = read or _read(source, recordings, spec, cache, progress)
        fields = {recording.identifier: features[recording.identifier][layer].field(recording.grid)
                  for recording in recordings}  # fmt: skip
        for number, pair in enumerate(pair for pair in pairs if pair.name in missing):
            progress("predicting from one array to another", number, len(missing))
            of_source, of_target = (fields[recording.identifier] for recording in (pair.source, pair.target))
            predictions = pair.predicted_by(of_source, of_target, spec.method, groups[pair.name])
            yield pair.name, vars(_compared(pair, *predictions))

    entries = cache.computed_all(keys, compute, expected, progress)
    return layer, {name: FeatureScore(**entry) for name, entry in entries.items()}


def _read(
    source: Source, recordings: Sequence[Recording], spec: BenchmarkSpec, cache: ResultCache, progress: Report
) -> dict[str, dict[str, LayerFeatures]]:
    """Read the features of each recording by its name, once for recordings with the same images and positions."""
    read: dict[str, dict[str, LayerFeatures]] = {}
    for shared in group_by_images(recordings):
        features = source.read(shared[0], source.layers, cache, progress)
        read |= {recording.identifier: features for recording in shared}
    return read


def _compared(pair: Pair, single: Transfer, in_pairs: Transfer | None) -> FeatureScore:
    """Compare predicted with recorded mean maps."""
    refits: dict[str, Any] = {}
    if in_pairs is not None:
        refits = {"refit_r": refitted(in_pairs, pair.neural, lambda *maps: site_correlation(*maps)[:, 0]),
                  "refit_rho": refitted(in_pairs, pair.neural, lambda *maps: feature_alignment(*maps)),
                  "paired_r": paired_values(in_pairs, pair.neural, "predictivity"),
                  "paired_rho": paired_values(in_pairs, pair.neural, "alignment")}  # fmt: skip
    components = single.components[pair.folds.left_out.argmax(axis=0)]
    return score_predictions(single.left_out, pair.neural, OURS, components, **refits)


def _estimate(
    pair: Pair,
    values: NDArray[np.float64],
    ceiling: Ceiling | None,
    refits: NDArray[np.float64] | None,
    spec: BenchmarkSpec,
    interval: IntervalKind,
) -> Estimate:
    kind: IntervalKind = interval if pair.refit_groups(interval) else "fixed"
    if ceiling is None:
        return Estimate(float(values.mean()), interval_kind=kind, reason=pair.without_score(spec))
    return estimate_array(values, ceiling, refits, pair.folds.groups(interval), kind)


def _controls(
    pair: Pair,
    ceiling: Ceiling | None,
    spec: BenchmarkSpec,
    interval: IntervalKind,
    cache: ResultCache,
    progress: Report,
) -> dict[str, Estimate]:
    """Estimate what the source's recorded maps, and features that need no model, predict."""
    shared = pair.shared
    rho = feature_alignment(pair.recorded()[shared], pair.neural[shared]) if shared.any() else np.array([np.nan])
    if shared.all():
        recorded = _estimate(pair, rho, ceiling, None, spec, interval)
    else:
        reason = f"the source array has {int(shared.sum())} of the {len(shared)} images of the target"
        recorded = Estimate(float(rho.mean()), interval_kind=interval, reason=reason)
    values = _values_of_controls(pair, spec, interval, cache, progress)
    return {RECORDED_SOURCE: recorded} | {
        name: _estimate(pair, each.map_rho, ceiling, each.refit_rho, spec, interval) for name, each in values.items()
    }


def _values_of_controls(
    pair: Pair, spec: BenchmarkSpec, interval: IntervalKind, cache: ResultCache, progress: Report
) -> dict[str, ImageValues]:
    """Compute the values of each control, from the same folds as those of a model."""
    groups = pair.refit_groups(interval)

    def compute() -> dict[str, NDArray[np.float64] | None]:
        of_source, of_target = (cached_control_features(each, cache, progress) for each in (pair.source, pair.target))
        scores = {TYPICAL_MAP: _compared(pair, *pair.typical(groups))}
        for name in CHANNELS:
            scores[name] = _compared(pair, *pair.predicted_by(of_source[name], of_target[name], spec.method, groups))
        return entry_of_values(
            {name: ImageValues.of(score).defined(pair.folds.numbers) for name, score in scores.items()}
        )

    key = key_of(
        settings=SETTINGS, controls=[recording_content(recording) for recording in (pair.source, pair.target)],
        method=spec.method, groups=groups, **pair.folds.key,
    )  # fmt: skip
    entry = cache.computed(key, compute, expected_values(len(pair.target.images), groups, CONTROLS), progress)
    return {name: values_of_entry(entry, name) for name in CONTROLS}


def _null(array: ArrayResult, score: FeatureScore, numbers: NDArray[np.int64], seed: int) -> Null | None:
    if score.paired_rho is None:
        return None
    paired = mean_over_identical(score.paired_rho, numbers)
    return null_of(paired, array.predicted, array.neural, "alignment", OURS, seed)


def _array_result(
    pair: Pair, layer: str, score: FeatureScore, ceiling: Ceiling | None, spec: BenchmarkSpec, interval: IntervalKind
) -> ArrayResult:
    source, target, images = pair.source, pair.target, len(pair.target.images)
    undefined = np.full((images, 1), np.nan)
    raw = float(score.map_rho.mean())
    return ArrayResult(
        recording=pair.name,
        recording_sha256=hashlib.sha256(f"{source.sha256} {target.sha256}".encode()).hexdigest(),
        citation=target.citation,
        simulated=source.simulated or target.simulated,
        window=target.window,
        estimate=_estimate(pair, score.map_rho, ceiling, score.refit_rho, spec, interval),
        alignment=raw,
        ceiling_kind="" if ceiling is None else ceiling_text(target, spec),
        layers=(LayerResult(layer, raw, raw, tuple(map(float, score.image_r)), images),),
        layer_of_image=(layer,) * images,
        image_r=score.image_r,
        map_rho=score.map_rho,
        map_rho_coarse=score.map_rho_coarse,
        image_value=score.map_rho,
        image_ceiling=undefined[:, 0] if ceiling is None else ceiling.image_r,
        site_r=score.site_r,
        site_ceiling=undefined if ceiling is None else ceiling.of_sites(1),
        components=score.components,
        predicted=score.predicted,
        neural=pair.neural,
        degrees_y=target.grid.y,
        degrees_x=target.grid.x,
        images=target.names,
        sites=(MEAN_SITE,),
        extent=target.grid.extent,
        folds=pair.folds.text,
    )


def _check_defined(pair: Pair, score: FeatureScore, ceiling: Ceiling | None, layer: str, model: str) -> None:
    """Check that the mean maps of the target vary, and that the values and the noise ceiling are defined."""
    names, target = np.array(pair.target.names), pair.target.identifier
    if (constant := np.ptp(pair.neural, axis=(1, 2, 3)) == 0).any():
        raise DataError(
            f"{target}: the map averaged over sites is constant on {', '.join(names[constant])}, so the correlation "
            "with it is undefined.",
            "Leave these images out of the recording.",
        )
    if ceiling is not None and (without := np.isnan(ceiling.image_r)).any():
        raise DataError(
            f"{target}: the noise ceiling is undefined on {', '.join(names[without])}, because half of the repeats or "
            "of the sites has a constant map.",
            "Leave these images out of the recording.",
        )
    if (undefined := np.isnan(score.map_rho)).any():
        raise ModelError(
            f"The layer {layer!r} of {model} predicts a constant map on {', '.join(names[undefined])} "
            f"({pair.name}), so the correlation with it is undefined.",
            "Choose a layer whose activation varies over the image.",
        )
