"""Benchmarks of spatial maps: of the catalogue, of a recording, and of arrays of features and maps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload
from typing import Protocol as Interface

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import (
    check_benchmark,
    check_grid,
    evaluate,
    evaluate_features,
    image_identities,
)
from brainscore_itmaps.benchmark.layers import FeatureScore, score_predictions
from brainscore_itmaps.benchmark.random_weights import with_random_weights
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.benchmark.source import LoadedModel, Source
from brainscore_itmaps.benchmark.transfer import TransferBenchmark
from brainscore_itmaps.cache import ResultCache, array_content
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.load import load_recording, load_recordings
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.errors import ArrayError, UsageError, check_choice
from brainscore_itmaps.features.attribution import check_method
from brainscore_itmaps.features.grid import downsample_if_larger
from brainscore_itmaps.features.views import placed_on_screen
from brainscore_itmaps.metrics.folds import predict_left_out
from brainscore_itmaps.metrics.rows import real_array
from brainscore_itmaps.models.spec import ModelRequest, Weights
from brainscore_itmaps.progress import Report, Steps, shows_count, silent, uncounted
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.text import short_repr


@short_repr
@dataclass(frozen=True)
class MapsBenchmark:
    """A benchmark of spatial maps; see :class:`Benchmark`.

    Attributes
    ----------
    spec : BenchmarkSpec
    preloaded : tuple of Recording
        The recordings; if empty, they are loaded by the names in ``spec``.
    """

    spec: BenchmarkSpec
    preloaded: tuple[Recording, ...] = ()

    @property
    def identifier(self) -> str:
        """Return the name of the benchmark."""
        return self.spec.identifier

    def prepared(self, request: ScoreRequest, progress: Report = silent) -> "MapsBenchmark":
        """Check the request and load the recordings.

        Raises
        ------
        UsageError
            When the protocol does not support the benchmark, or the window or attribution method is unknown.
        """
        check_benchmark(protocol_named(request.protocol), self.spec)
        if request.window is not None and self.preloaded:
            raise UsageError("A recording that is not in the catalogue has one fixed window.", "Leave out the window.")
        if self.spec.measure == "attribution":
            check_method(request.attribution)
        return replace(self, preloaded=tuple(self.recordings(request, progress)))

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Hash the maps and images of each recording."""
        return [recording_content(recording) for recording in self.recordings(request, progress)]

    def recordings(self, request: ScoreRequest, progress: Report = silent) -> Sequence[Recording]:
        """Return the recordings in the requested window."""
        protocol = protocol_named(request.protocol)
        return self.preloaded or load_recordings(self.spec.recordings, request.window, protocol, progress)

    def scored(self, request: ScoreRequest) -> dict[str, Recording]:
        """Return the recording of each array of a result, by the name of the array."""
        return {recording.identifier: recording for recording in self.recordings(request)}

    def score(self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report = silent) -> Result:
        """Score a loaded model.

        Raises
        ------
        ModelError, DataError, UsageError
            As in :func:`~brainscore_itmaps.benchmark.evaluate.evaluate`.
        """
        source, recordings = self.inputs(model, request, cache, progress)
        result = evaluate(source, recordings, self.spec, request, cache, progress)
        return with_random_weights(
            result,
            model,
            image_identities(recordings),
            request,
            lambda random, plain: self.score(random, plain, cache, progress),
        )

    def inputs(
        self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report = silent
    ) -> tuple[Source, Sequence[Recording]]:
        """Return the source of a model's features, and the recordings in the view of the benchmark."""
        recordings = self.recordings(request, progress)
        source = model.source(request.model.layers, self.spec.view, protocol_named(request.protocol), cache)
        if self.spec.view == "screen":
            recordings = [placed_on_screen(recording, model.visual_degrees) for recording in recordings]
        return source, recordings


def maps_benchmark(benchmark: str | Path | Recording) -> MapsBenchmark | TransferBenchmark:
    """Return the benchmark of a name in the catalogue, of the folder of a recording, or of a recording.

    Examples
    --------
    >>> maps_benchmark("it_maps").spec.recordings
    ('monkey1_PL', 'monkey1_ML', 'monkey2_ML')
    """
    if isinstance(benchmark, str) and benchmark in CATALOGUE:
        return benchmark_of(CATALOGUE[benchmark])
    recording = load_recording(benchmark)
    spec = BenchmarkSpec(recording.identifier, recordings=(recording.identifier,), citation=recording.citation)
    return MapsBenchmark(spec, (recording,))


def benchmark_of(spec: BenchmarkSpec, recordings: Sequence[Recording] = ()) -> MapsBenchmark | TransferBenchmark:
    """Return the benchmark of a definition, of loaded recordings or of those that it names.

    Examples
    --------
    >>> benchmark_of(CATALOGUE["it_maps_transfer"]).identifier
    'it_maps_transfer'
    """
    return (TransferBenchmark if spec.transfer else MapsBenchmark)(spec, tuple(recordings))


class Benchmark(Interface):
    """A benchmark of spatial maps, of human alignment, or of Brain-Score."""

    @property
    def identifier(self) -> str:
        """Return the name for ``--benchmark``."""

    def prepared(self, request: ScoreRequest, progress: Report) -> "Benchmark":
        """Check the request and load the data of the benchmark, before the model is loaded."""

    def content(self, request: ScoreRequest, progress: Report) -> list[Any]:
        """Return all data of the benchmark that can change a score, as part of a cache key."""

    def score(self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report) -> Result:
        """Score a loaded model."""


@overload
def score_features(
    features: ArrayLike,
    maps_or_recording: Recording,
    *,
    method: str = ...,
    protocol: str | Protocol = ...,
    components: int | None = ...,
    grid: Grid | None = ...,
    layout: str | None = ...,
    controls: bool = ...,
    progress: Steps = ...,
) -> Result: ...
@overload
def score_features(
    features: ArrayLike,
    maps_or_recording: ArrayLike,
    *,
    method: str = ...,
    protocol: str | Protocol = ...,
    components: int | None = ...,
    grid: Grid | None = ...,
    layout: str | None = ...,
    controls: bool = ...,
    progress: Steps = ...,
) -> FeatureScore: ...
@accept_reference_compat
@shows_count
def score_features(
    features: ArrayLike,
    maps_or_recording: ArrayLike | Recording,
    *,
    method: str = "pls",
    protocol: str | Protocol = "ours",
    components: int | None = None,
    grid: Grid | None = None,
    layout: str | None = None,
    controls: bool = True,
    progress: Steps = uncounted,
) -> FeatureScore | Result:
    """Score features: predict the maps of each image from all other images, and compare them with the recorded maps.

    Parameters
    ----------
    features : array, shape (image, y, x, channel)
        Features of any height and width, which are sampled at the positions of the maps. What
        :func:`~brainscore_itmaps.record` returns has the axes of ``layout="NCHW"``.
    maps_or_recording : array, shape (image, y, x, site), or Recording
        Recorded maps of the same images, which were shown square.
    method : str
        Regression of :func:`~brainscore_itmaps.predict_left_out`.
    protocol : str or Protocol
        "published" makes every choice of the published code (docs/published_code.md): it resizes and scales features,
        fits NIPALS without an intercept, ranks in single precision, and gives NaN for an image with a constant map.
    components : int, optional
        PLS components; 25 by default. Not for a recording, for which the protocol sets them.
    grid : Grid, optional
        Positions of the maps; by default evenly spaced from edge to edge of the image. Not for a recording, which has a
        grid.
    layout : "NHWC" or "NCHW", optional
        Axes of the features: (image, y, x, channel) or (image, channel, y, x). By default the former, which is refused
        if the shape looks like the latter.
    controls : bool
        For a recording: also compute controls, what the features add to them, and the null distribution.
    progress : callable
        Called with (steps done, steps in all).

    Returns
    -------
    FeatureScore or Result
        For maps, the values of each image and site, not divided by the noise ceiling. For a recording, a result with
        the noise ceiling, the interval and notes.

    Raises
    ------
    ArrayError
        When the shapes do not fit together, the axes are in another order, or no regression can be fitted. It is a
        ValueError, too.
    UsageError
        When the method, protocol or layout is unknown, or a recording is given with a grid or components.
    DataError, ModelError
        For a recording, as in :func:`~brainscore_itmaps.benchmark.evaluate.evaluate`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(6, 5, 5, 3))
    >>> maps = features @ rng.normal(size=(3, 4))
    >>> round(score_features(features, maps).score, 3)
    1.0
    """
    check_choice(controls=controls)
    settings = protocol_named(protocol)
    recording = maps_or_recording if isinstance(maps_or_recording, Recording) else None
    native = real_array(features, "features")
    recorded = real_array(maps_or_recording if recording is None else recording.maps, "maps")  # type: ignore[arg-type]
    if native.ndim != 4 or recorded.ndim != 4 or len(native) != len(recorded) or 0 in native.shape + recorded.shape:
        raise ArrayError(
            f"The features {native.shape} and the maps {recorded.shape} do not share their images.",
            "Give (image, y, x, channel) and (image, y, x, site).",
        )
    if layout not in (None, "NHWC", "NCHW"):
        raise UsageError(
            f"There is no layout {layout!r}.",
            "Give NHWC for (image, y, x, channel), or NCHW for (image, channel, y, x).",
        )
    if layout == "NCHW":
        native = np.ascontiguousarray(np.moveaxis(native, 1, -1))
    if layout is None:
        _check_axes("features", native, recorded, "channel", 'or layout="NCHW"')
    if recording is None:
        _check_axes("maps", recorded, native, "site", "")
    if grid is not None and not isinstance(grid, Grid):
        raise UsageError(f"{grid!r} is not a grid.", "Give a brainscore_itmaps.Grid, or leave it out.")
    if recording is not None:
        if grid is not None or components is not None:
            raise UsageError(
                "A recording has a fixed grid, and the protocol sets the components.", "Leave out grid and components."
            )
        weights = Weights("module", sha256=array_content(native))
        name = f"features-{str(weights.sha256)[:8]}"
        request = ScoreRequest(
            ModelRequest(name, weights),
            protocol=settings.name,
            method="" if method == "pls" else method,
            controls=controls,
        )
        spec = BenchmarkSpec(recording.identifier, (recording.identifier,), method=method)
        reading = Reading(model=name, weights=weights, layer="features", field_of_view="as given")
        return evaluate_features(
            np.moveaxis(native, -1, 1), recording, reading, spec, request,
            progress=lambda step, done, total: progress(done, total),
        )  # fmt: skip
    solver = settings.solver(method)
    check_grid(settings, recorded.shape[1:3])
    height, width = recorded.shape[1:3]
    positions = grid or Grid(y=Grid.even(height).y, x=Grid.even(width).x, extent=16.0)
    field = downsample_if_larger(np.moveaxis(native, -1, 1), positions, settings).field(positions)
    options: dict[str, Any] = {} if components is None else {"components": components}
    left_out = predict_left_out(field, recorded, solver, intercept=settings.intercept, progress=progress, **options)
    return score_predictions(left_out.predicted, recorded, settings, left_out.components, left_out.penalty)


def _check_axes(name: str, values: NDArray[Any], other: NDArray[Any], last: str, option: str) -> None:
    """Check that the channels or sites of an array do not come before y and x, as far as its shape shows.

    Maps are square if their grid is. An array whose last two axes are equal, and not the second one, is accepted only
    if its second and third axis have the proportions of the other array's maps, which are not square.
    """
    _, first, second, third = values.shape
    rows, columns = other.shape[1:3]
    if first != second == third and first * columns != second * rows:
        raise ArrayError(
            f"The {name} {values.shape} look like (image, {last}, y, x).",
            " ".join(filter(None, [f"Give (image, y, x, {last}), for example np.moveaxis({name}, 1, -1)", option]))
            + ".",
        )
