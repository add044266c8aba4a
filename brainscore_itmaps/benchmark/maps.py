"""Benchmarks of spatial maps: those of the catalogue, and any recording."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, SIMULATED, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import check_benchmark, evaluate
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.source import LoadedModel
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.features.attribution import refuse_method
from brainscore_itmaps.features.screen import placed_on_screen
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS, protocol_named


@dataclass(frozen=True)
class MapsBenchmark:
    """A benchmark of maps; see :class:`~brainscore_itmaps.benchmark.benchmark.Benchmark`.

    Attributes
    ----------
    spec : BenchmarkSpec
    given : tuple of Recording
        The recordings, where they were given; else they are loaded by the names in ``spec``.
    """

    spec: BenchmarkSpec
    given: tuple[Recording, ...] = ()

    @property
    def identifier(self) -> str:
        """Name of the benchmark."""
        return self.spec.identifier

    def prepared(self, request: ScoreRequest, progress: Report = silent) -> "MapsBenchmark":
        """Load its recordings; refuse what the protocol does not know, a window of a given recording, and an unknown
        attribution."""
        check_benchmark(protocol_named(request.protocol), self.spec)
        if request.window is not None and self.given:
            raise UsageError("A recording of your own has its window already.", "Leave out the window.")
        if self.spec.measure == "attribution":
            refuse_method(request.attribution)
        return replace(self, given=tuple(self.recordings(request, progress)))

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Hash the maps and images of its recordings."""
        return [recording_content(each) for each in self.recordings(request, progress)]

    def recordings(self, request: ScoreRequest, progress: Report = silent) -> Sequence[Recording]:
        """Give its recordings in the window that was asked for."""
        protocol = protocol_named(request.protocol)
        return self.given or tuple(
            load_recording(name, request.window, protocol=OURS if name == SIMULATED else protocol, progress=progress)
            for name in self.spec.recordings
        )

    def score(self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report = silent) -> Result:
        """Score a loaded model.

        Raises
        ------
        ModelError, DataError, UsageError
            As :func:`~brainscore_itmaps.benchmark.evaluate.evaluate`.
        """
        recordings = self.recordings(request, progress)
        source = model.source(request.model.layers, self.spec.view, protocol_named(request.protocol))
        if self.spec.view == "screen":
            recordings = [placed_on_screen(recording, model.visual_degrees) for recording in recordings]
        return evaluate(source, recordings, self.spec, request, cache, progress)


def maps_benchmark(benchmark: str | Recording) -> MapsBenchmark:
    """Give the benchmark of a name in the catalogue, of the folder of a recording, or of a recording."""
    if isinstance(benchmark, str) and benchmark in CATALOGUE:
        return MapsBenchmark(CATALOGUE[benchmark])
    given = benchmark if isinstance(benchmark, Recording) else Recording.load(Path(benchmark).expanduser())
    spec = BenchmarkSpec(given.identifier, recordings=(given.identifier,), citation=given.citation)
    return MapsBenchmark(spec, (given,))
