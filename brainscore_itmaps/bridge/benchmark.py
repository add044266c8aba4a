"""Our benchmarks as Brain-Score benchmarks."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.ceilings import ceiling_of
from brainscore_itmaps.benchmark.maps import MapsBenchmark
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.as_score import site_values, to_score
from brainscore_itmaps.bridge.assembly import assembly, stimulus_set
from brainscore_itmaps.bridge.candidate import BrainScoreModel, request_of
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording


def get_benchmark(identifier: str) -> "ItMapsBenchmark":
    """Give Brain-Score a benchmark of the catalogue."""
    return ItMapsBenchmark(CATALOGUE[identifier])


def get_assembly(recording: str) -> DataAssembly:
    """Give Brain-Score a recording."""
    return assembly(load_recording(recording))


def get_stimulus_set(recording: str) -> Any:
    """Give Brain-Score the pictures of a recording."""
    return stimulus_set(load_recording(recording))


class ItMapsBenchmark(BenchmarkBase):  # type: ignore[misc]
    """Predict the maps of one or several arrays from the IT layer of any Brain-Score model.

    Every picture is shown at the model's full field of view, as published; it is not cut to the 8 degrees that most
    models are registered with, unless the benchmark says ``screen`` or ``fixation``. Our networks see it whole; what a
    model of Brain-Score's makes of it is up to its own preprocessing. The score says which in
    ``attrs['field_of_view']``.
    """

    def __init__(self, spec: BenchmarkSpec, recordings: list[Recording] | None = None) -> None:
        super().__init__(
            identifier=spec.identifier,
            ceiling_func=self._take_ceiling,
            version=spec.version,
            parent="IT",
            bibtex=spec.citation,
        )
        self.maps = MapsBenchmark(spec, tuple(recordings or ()))
        self.region = "IT"

    @cached_property
    def recordings(self) -> list[Recording]:
        """The recordings, loaded when they are first needed."""
        return list(self.maps.recordings(ScoreRequest()))

    @cached_property
    def _assembly(self) -> DataAssembly:
        """Of the first array, for Brain-Score's tools that describe a benchmark."""
        return assembly(self.recordings[0])

    @property
    def timebins(self) -> list[tuple[int, int]]:
        """Window of each array, in milliseconds."""
        return [recording.window for recording in self.recordings]

    @property
    def ceiling(self) -> Score:
        """Noise ceiling; computed anew, where Brain-Score would keep one on disk whatever changed."""
        return self._take_ceiling()

    def __call__(self, candidate: BrainModel) -> Score:
        """Score a model: the ceiled value, with what it was made from in ``attrs``."""
        return to_score(self.evaluate(candidate))

    def evaluate(self, candidate: BrainModel, cache: ResultCache | None = None) -> Result:
        """Score a model and give the whole result.

        Raises
        ------
        ModelError
            When the model's IT layer gives no usable map.
        """
        benchmark = replace(self.maps, given=tuple(self.recordings))
        request = ScoreRequest(request_of(candidate), self.identifier)
        return benchmark.score(BrainScoreModel(candidate), request, cache or default_cache())

    def _take_ceiling(self) -> Score:
        """Mean over the arrays; of all their positions, also where a model would see only some."""
        cache = default_cache()
        taken = [ceiling_of(recording, self.maps.spec, cache) for recording in self.recordings]
        score = Score(np.mean([ceiling.image.mean() for ceiling in taken]))
        score.attrs["kind"] = taken[0].kind
        score.attrs["raw"] = site_values(
            [
                (recording.identifier, recording.names, recording.sites, ceiling.site)
                for recording, ceiling in zip(self.recordings, taken, strict=True)
            ]
        )
        return score
