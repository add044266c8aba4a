"""The straight line: read, to_grid, predict_left_out, Result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark import store
from brainscore_itmaps.benchmark.arrays import FeatureScore, refuse_unpublished, score_field, score_predicted
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec, fixation_benchmarks
from brainscore_itmaps.benchmark.ceilings import ArrayCeiling, ceiling_of
from brainscore_itmaps.benchmark.choice import chosen_layers, inner_values, pairs_of_groups
from brainscore_itmaps.benchmark.formulas import formula_of, notes_on
from brainscore_itmaps.benchmark.result import ArrayResult, LayerValue, Reading, Result, Saliency
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.data.recording import Recording, constant_maps
from brainscore_itmaps.errors import DataError, ModelError, NoMapError, UsageError
from brainscore_itmaps.features.field import LayerFeatures, kept_small
from brainscore_itmaps.metrics.inference import interval_of_arrays
from brainscore_itmaps.metrics.left_out import LeftOut, predict_groups_left_out
from brainscore_itmaps.progress import Report, silent


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes
    ----------
    reference_compat : bool
        Make every choice of the published code (docs/reference.md).
    seed : int
        Of the bootstrap over images.
    kept : bool
        Look up in the store what was computed before. What is computed is kept in any case.
    label : str
        What tells the files of this result from others of the same network and benchmark: a window, say.
    """

    reference_compat: bool = False
    seed: int = 0
    kept: bool = True
    label: str = ""


DEFAULTS = Options()


def evaluate(
    source: Source,
    recordings: Sequence[Recording],
    benchmark: BenchmarkSpec,
    options: Options = DEFAULTS,
    progress: Report = silent,
) -> Result:
    """Score how well layers of a network predict the recorded maps, image by image.

    Every layer that is scored is kept at once, so that a run that is killed goes on where it was. Of several layers one
    is chosen for every image on other images alone, by PLS; ``reference_compat`` takes the best on the very images.

    Parameters
    ----------
    source : Source
        From :func:`~brainscore_itmaps.benchmark.source.network_source`, or of Brain-Score's models.
    recordings : sequence of Recording
        One for each array of the benchmark.
    benchmark : BenchmarkSpec
    options : Options
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    ModelError
        When a layer gives no usable map, or its prediction for a picture is constant at every site.
    DataError
        When a recording cannot be scored: fewer than 3 pictures, neither repeats nor sites to take a ceiling from, maps
        of a picture that are all constant.
    """
    if options.reference_compat:
        _refuse_unpublished(recordings, benchmark)
    by_recording = {}
    for shared in _same_pictures(recordings):
        contents = [store.recording_content(recording) for recording in shared]
        run = store.key_of(run=source.content or source.reading.model, layers=source.layers, on=contents)
        with store.held(run, progress):
            scored = _score_layers(source, shared, contents, benchmark, options, progress)
        for recording, layers in zip(shared, scored, strict=True):
            by_recording[id(recording)] = _array_result(source, recording, layers, benchmark, options, progress)
    arrays = [by_recording[id(recording)] for recording in recordings]
    return _result(source, recordings, arrays, benchmark, options)


def evaluate_features(
    features: NDArray[np.floating[Any]],
    recording: Recording,
    reading: Reading,
    benchmark: BenchmarkSpec,
    options: Options = DEFAULTS,
    progress: Report = silent,
) -> Result:
    """Score feature maps that were already recorded, from whichever entrance.

    Parameters
    ----------
    features : array, shape (image, channel, height, width)
        In the order of ``recording.images``.
    recording, benchmark, options, progress
        As in :func:`evaluate`.
    reading : Reading
        Where the features come from.

    Raises
    ------
    ModelError, DataError
        As :func:`evaluate`.
    """

    def read(recording: Recording, layers: Sequence[str], kept: bool, progress: Report) -> dict[str, LayerFeatures]:
        return {reading.layer: kept_small(features, recording.grid, options.reference_compat)}

    return evaluate(Source(reading, (), None, read), [recording], benchmark, options, progress)


@dataclass(frozen=True)
class _Scored:
    score: FeatureScore
    inner: NDArray[np.float64] | None


def _score_layers(
    source: Source,
    recordings: Sequence[Recording],
    contents: Sequence[str],
    benchmark: BenchmarkSpec,
    options: Options,
    progress: Report,
) -> list[dict[str, _Scored]]:
    """Score every layer on recordings that share their pictures; read only the layers that are not kept."""
    scored: list[dict[str, _Scored]] = [{} for _ in recordings]
    missing = list(source.layers)
    several = len(source.layers) > 1 and not options.reference_compat
    if source.content is not None and options.kept:
        for layer in source.layers:
            for number, content in enumerate(contents):
                found = _kept(_key(source.content, layer, content, benchmark, options, several), benchmark, several)
                if found is not None:
                    scored[number][layer] = found
        missing = [layer for layer in source.layers if any(layer not in layers for layers in scored)]
        if not missing and source.layers:
            return scored
    try:
        features = source.read(recordings[0], missing, options.kept, progress)
    except NoMapError as error:
        others = " or ".join(fixation_benchmarks(benchmark))
        if not others:
            raise
        fix = f"{error.fix[:-1]}; or score it on {others}, where every position comes to the centre of view in turn."
        raise NoMapError(error.args[0], fix) from error
    names = list(features)
    several = len(source.layers or names) > 1 and not options.reference_compat
    for number, layer in enumerate(names):
        field = features.pop(layer).field(recordings[0].grid)
        of = f"layer {number + 1} of {len(names)}, {layer}" if len(names) > 1 else "predicting left-out images"
        told = source.content or store.array_content(field)
        for place, recording in enumerate(recordings):
            if layer in scored[place]:
                continue
            key = _key(told, layer, contents[place], benchmark, options, several)
            found = _kept(key, benchmark, several) if options.kept else None
            if found is None:
                found = _score_layer(field, recording, benchmark, options, several, of, progress)
                store.keep(key, vars(found.score))
                if found.inner is not None:
                    store.keep(_inner_key(key, benchmark), {"inner": found.inner})
            scored[place][layer] = found
    return [{layer: layers[layer] for layer in source.layers or names} for layers in scored]


def _score_layer(
    field: NDArray[np.floating[Any]],
    recording: Recording,
    benchmark: BenchmarkSpec,
    options: Options,
    several: bool,
    of: str,
    progress: Report,
) -> _Scored:
    maps = recording.maps

    def told(done: int, total: int) -> None:
        progress(of, done, total)

    if not several:
        compat = options.reference_compat
        return _Scored(score_field(field, maps, method=benchmark.method, reference_compat=compat, progress=told), None)
    alone, together = np.eye(len(maps), dtype=bool), pairs_of_groups(len(maps))
    if benchmark.method != "pls":
        predicted = predict_groups_left_out(field, maps, together, progress=told).predicted
        score = score_field(field, maps, method=benchmark.method, progress=told)
        return _Scored(score, inner_values(predicted, maps, benchmark.measure))
    both = predict_groups_left_out(field, maps, np.concatenate([alone, together]), progress=told)  # in one pass
    own = LeftOut(np.stack([both.predicted[image, image] for image in range(len(maps))]), both.components[: len(maps)])
    return _Scored(score_predicted(own, maps), inner_values(both.predicted[len(maps) :], maps, benchmark.measure))


def _key(told: str, layer: str, recording: str, benchmark: BenchmarkSpec, options: Options, several: bool) -> str:
    """Name of a layer's score; among several it comes from other matrix products, which round differently."""
    return store.key_of(
        network=told,
        layer=layer,
        recording=recording,
        method=benchmark.method,
        view=benchmark.view,
        several=several,
        reference_compat=options.reference_compat,
    )


def _inner_key(key: str, benchmark: BenchmarkSpec) -> str:
    return store.key_of(inner=key, alignment=benchmark.measure == "alignment")


def _kept(key: str, benchmark: BenchmarkSpec, several: bool) -> _Scored | None:
    found = store.look_up(key)
    inner = store.look_up(_inner_key(key, benchmark)) if several else {"inner": None}
    if found is None or inner is None:
        return None
    told: dict[str, Any] = {"penalty": None} | found
    try:
        told |= {"score": float(told["score"]), "undefined": int(told["undefined"])}
        return _Scored(FeatureScore(**told), inner["inner"])
    except (KeyError, TypeError):  # of another scheme
        return None


def _array_result(
    source: Source,
    recording: Recording,
    scored: dict[str, _Scored],
    benchmark: BenchmarkSpec,
    options: Options,
    progress: Report,
) -> ArrayResult:
    layer_of_image = _choice(scored, benchmark, options)
    taken: dict[str, NDArray[Any]] = {
        name: np.stack([getattr(scored[layer].score, name)[image] for image, layer in enumerate(layer_of_image)])
        for name in ("image_r", "map_rho", "map_rho_coarse", "site_r", "components", "predicted")
    }
    ceiling = ceiling_of(recording, benchmark, options.reference_compat, options.seed, options.kept, progress)
    saliency = None
    if benchmark.measure == "attribution":
        if source.attribute is None:
            raise ModelError(
                f"Where in the picture {source.reading.model}'s prediction comes from cannot be traced: "
                "that takes gradients of a torch network.",
                "Score it on another benchmark, or give a network of timm (timm:<name>).",
            )
        saliency = source.attribute(recording, layer_of_image, progress)
    values = _values(benchmark.measure, taken, saliency)
    _refuse_undefined(values, ceiling, recording, source.reading.model, layer_of_image)
    raw, bound = float(values.mean()), float(ceiling.image.mean())
    interval = interval_of_arrays([(values, ceiling.image)], [0], np.random.default_rng(options.seed))
    return ArrayResult(
        recording=recording.identifier,
        recording_sha256=recording.sha256,
        citation=recording.citation,
        simulated=recording.simulated,
        window=recording.window,
        score=raw / bound,
        interval=interval[:2],
        error=interval.error,
        raw=raw,
        ceiling=bound,
        explained=raw**2 / bound,
        alignment=float(taken["map_rho"].mean()),
        ceiling_kind=ceiling.kind,
        layers=tuple(
            LayerValue(
                layer=layer,
                raw=float(_values(benchmark.measure, vars(found.score), None).mean()),
                alignment=float(found.score.map_rho.mean()),
                image_r=tuple(map(float, found.score.image_r)),
                chosen=layer_of_image.count(layer),
            )
            for layer, found in scored.items()
        ),
        layer_of_image=layer_of_image,
        image_value=values,
        image_ceiling=ceiling.image,
        site_ceiling=ceiling.site,
        neural=recording.maps,
        degrees_y=recording.grid.y,
        degrees_x=recording.grid.x,
        extent=recording.grid.extent,
        images=recording.names,
        sites=recording.sites,
        saliency=saliency,
        **taken,
    )


def _values(measure: str, taken: dict[str, NDArray[Any]], saliency: Saliency | None) -> NDArray[np.float64]:
    """What the measure of a benchmark makes of each image, shape (image,)."""
    if measure == "attribution" and saliency is not None:
        return saliency.rho
    values: NDArray[np.float64] = taken["map_rho" if measure == "alignment" else "image_r"]
    return values


def _choice(scored: dict[str, _Scored], benchmark: BenchmarkSpec, options: Options) -> tuple[str, ...]:
    images = len(next(iter(scored.values())).score.image_r)
    if len(scored) == 1:
        return tuple(scored) * images
    if options.reference_compat:
        means = {layer: _values(benchmark.measure, vars(found.score), None).mean() for layer, found in scored.items()}
        return (max(means, key=lambda layer: (not np.isnan(means[layer]), means[layer])),) * images
    return chosen_layers({layer: found.inner for layer, found in scored.items() if found.inner is not None})


def _result(
    source: Source,
    recordings: Sequence[Recording],
    arrays: list[ArrayResult],
    benchmark: BenchmarkSpec,
    options: Options,
) -> Result:
    pairs = [(array.image_value, array.image_ceiling) for array in arrays]
    pictures = [recording.images for recording in recordings]
    interval = interval_of_arrays(pairs, pictures, np.random.default_rng(options.seed))
    means: dict[str, Any] = {
        name: float(np.mean([getattr(array, name) for array in arrays]))
        for name in ("score", "raw", "ceiling", "explained", "alignment")
    }
    return Result(
        **vars(source.reading) | {"layer": _read_layer(arrays, options)},
        benchmark=benchmark.identifier,
        benchmark_version=benchmark.version,
        measure=benchmark.measure,
        interval=interval[:2],
        error=interval.error,
        formula=formula_of(benchmark, len(arrays), options.reference_compat),
        notes=notes_on(arrays, benchmark),
        arrays=tuple(arrays),
        bootstrap_seed=options.seed,
        reference_compat=options.reference_compat,
        label=options.label,
        **means,
    )


def _read_layer(arrays: Sequence[ArrayResult], options: Options) -> str:
    tried = [value.layer for value in arrays[0].layers]
    if len(tried) == 1:
        return tried[0]
    return f"{'best' if options.reference_compat else 'chosen'} of {len(tried)}"


def _same_pictures(recordings: Sequence[Recording]) -> Iterator[list[Recording]]:
    """Recordings by the pictures and positions that they share: these are read once."""
    groups: dict[Any, list[Recording]] = {}
    for recording in recordings:
        grid = recording.grid
        key = (recording.images, grid.y.tobytes(), grid.x.tobytes(), grid.extent)
        groups.setdefault(key, []).append(recording)
    yield from groups.values()


def _refuse_unpublished(recordings: Sequence[Recording], benchmark: BenchmarkSpec) -> None:
    if benchmark.view != "whole" or benchmark.measure == "attribution":
        raise UsageError(
            f"The published code knows nothing like {benchmark.identifier}.", "Leave out reference_compat."
        )
    for recording in recordings:
        refuse_unpublished(benchmark.method, recording.maps.shape[1:3])
        if maps := constant_maps(recording):
            named = ", ".join(f"{site} on {image}" for site, image in maps[:4])
            raise DataError(
                f"{recording.identifier}: {len(maps)} maps are constant ({named}); "
                "the published code gives no score then.",
                "Leave out reference_compat, or these sites.",
            )


def _refuse_undefined(
    values: NDArray[np.float64], ceiling: ArrayCeiling, recording: Recording, model: str, layers: Sequence[str]
) -> None:
    names = np.array(recording.names)
    if (constant := names[np.isnan(ceiling.image)]).size:
        raise DataError(
            f"{recording.identifier}: every site's map is constant on {', '.join(constant)}: "
            "a correlation with it is undefined.",
            "Leave these pictures out of the recording.",
        )
    if not ceiling.image.mean() > 0:
        raise DataError(
            f"The noise ceiling of {recording.identifier} is {ceiling.image.mean():.3f}: its maps agree in nothing.",
            "No score can be divided by it; check the window and the sites of the recording.",
        )
    if (undefined := np.flatnonzero(np.isnan(values))).size:
        raise ModelError(
            f"The layer {layers[undefined[0]]!r} of {model} predicts a constant map on "
            f"{', '.join(names[undefined])}: a correlation with it is undefined.",
            "Choose a layer whose activation varies over the picture.",
        )
