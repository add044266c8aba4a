"""Run benchmarks of Brain-Score without pip installs, pickles and printed text."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from os import devnull
from pathlib import Path
from typing import Any

import numpy as np

from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.benchmark.source import LoadedModel
from brainscore_itmaps.bridge.names import brain_score_versions
from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.bridge.quiet import (
    CONNECT,
    converted_errors,
    needs_network,
    quiet_brain_score,
    without_progress_bars,
)
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.errors import DataError, ItMapsError, ModelError, UsageError, one_line
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS

PLAIN = (str, int, float, bool)


@dataclass(frozen=True)
class ExternalBenchmark:
    """Benchmark of Brain-Score; see :class:`~brainscore_itmaps.benchmark.maps.Benchmark`.

    Attributes
    ----------
    identifier : str
        Name of the benchmark in Brain-Score.
    """

    identifier: str

    def prepared(self, request: ScoreRequest, progress: Report = silent) -> "ExternalBenchmark":
        """Return this benchmark, unless layers, a window, a protocol or controls are requested."""
        own = request.model.layers or request.window is not None or request.protocol != OURS.name
        if own or request.random_seeds:
            raise UsageError(
                f"{self.identifier} is a Brain-Score benchmark, which chooses layers and windows itself and has no "
                "controls.",
                "Leave out layers, window, protocol and random seeds.",
            )
        return self

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Return what changes the score besides the model: the versions of Brain-Score."""
        return [brain_score_versions()]

    def score(
        self, model: LoadedModel, request: ScoreRequest, cache: ResultCache | None = None, progress: Report = silent
    ) -> Result:
        """Score a loaded model through Brain-Score.

        Raises
        ------
        DataError
            When the benchmark cannot be loaded.
        """
        progress("scoring through Brain-Score", 0, 1)
        with (
            quiet_brain_score(),
            Path(devnull).open("w", encoding="utf-8") as null_device,
            redirect_stdout(null_device),
        ):
            attach()
            from brainscore_core.benchmarks import score_benchmark
            from brainscore_vision import load_benchmark

            from brainscore_itmaps.bridge.candidate import as_candidate

            try:
                benchmark = load_benchmark(self.identifier)
            except ItMapsError:
                raise
            except Exception as error:
                if needs_network(error):
                    raise self._without_network(error) from error
                raise DataError(
                    f"Brain-Score's benchmark {self.identifier} could not be loaded: {one_line(error)}.",
                    "It may need a download or a package; `brainscore --debug score ...` prints the traceback.",
                ) from error
            try:
                with without_progress_bars(), converted_errors(model.name):
                    score = score_benchmark(benchmark, as_candidate(model))
            except ModelError as error:
                if needs_network(error.__cause__):  # of the benchmark's data, or of the model
                    raise self._without_network(error.__cause__) from error
                raise
        return result_of_score(score, model, request)

    def _without_network(self, error: BaseException | None) -> DataError:
        return DataError(
            f"Brain-Score's benchmark {self.identifier} needs the network: its data could not be downloaded "
            f"({one_line(error) if error is not None else ''}).",
            CONNECT,
        )


def result_of_score(score: Any, model: LoadedModel, request: ScoreRequest) -> Result:
    """Convert a score of Brain-Score, with its attributes that are texts or numbers, to a result.

    Examples
    --------
    >>> from brainscore_core.metrics import Score
    >>> from brainscore_itmaps.benchmark.source import HookedModel
    >>> from brainscore_itmaps.models.load import load_model
    >>> score, model = Score(0.25), HookedModel(load_model("timm:test_vit", "random"))
    >>> score.attrs |= {"ceiling": Score(0.5), "comment": "IT"}
    >>> result = result_of_score(score, model, ScoreRequest(benchmark="Kar2019-ost"))
    >>> result.score, result.ceiling, result.details
    (0.25, 0.5, {'comment': 'IT'})
    """
    attrs: Mapping[str, Any] = score.attrs
    raw, ceiling, error = (_number(attrs.get(name)) for name in ("raw", "ceiling", "error"))
    details = {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in attrs.items()
        if isinstance(value, PLAIN) and name not in ("raw", "ceiling", "error")
    }
    torch_model, value = model.torch_model, _number(score)
    return Result(
        request=request,
        reading=Reading(
            model=model.name,
            weights=torch_model.weights if torch_model is not None else Weights("external"),
            device=str(next(torch_model.module.parameters()).device)
            if torch_model is not None
            else "as Brain-Score chooses",
        ),
        benchmark=request.benchmark,
        benchmark_version=None,
        kind="external",
        estimate=Estimate(raw, ceiling, value, error=error, reason="Brain-Score's benchmarks give no interval"),
        formula="as Brain-Score's benchmark computes it",
        details=details,
    )


def _number(value: Any) -> float:
    """Convert a value to a float; NaN unless it is a single finite number."""
    try:
        number = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return np.nan
    return number if np.isfinite(number) else np.nan
