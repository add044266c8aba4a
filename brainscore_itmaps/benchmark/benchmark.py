"""What every kind of benchmark can do; a new kind is one class in one file."""

from typing import Any, Protocol

from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.source import LoadedModel
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.progress import Report


class Benchmark(Protocol):
    """A benchmark: maps of recordings, human alignment, or one of Brain-Score's own."""

    @property
    def identifier(self) -> str:
        """Name for ``--benchmark``."""

    def prepared(self, request: ScoreRequest, progress: Report) -> "Benchmark":
        """Refuse what cannot be asked of it, and load what it needs, before the model is loaded."""

    def content(self, request: ScoreRequest, progress: Report) -> list[Any]:
        """Give what the benchmark is made of, as far as it can change a score: part of a cache key."""

    def score(self, model: LoadedModel, request: ScoreRequest, cache: ResultCache, progress: Report) -> Result:
        """Score a loaded model."""
