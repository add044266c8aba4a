"""Score vision models on spatially resolved maps of macaque IT activity, as a Brain-Score plugin.

Each step of a score is one public function: :func:`load_recording`, :func:`load_model`, :func:`record`,
:func:`to_grid` and :func:`predict_left_out`. :func:`score` runs all of them, :func:`score_features` scores arrays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # without __getattr__, a type checker finds a name that does not exist
    from brainscore_itmaps.benchmark.catalogue import list_benchmarks
    from brainscore_itmaps.benchmark.comparison import compare_results
    from brainscore_itmaps.benchmark.human import human_alignment
    from brainscore_itmaps.benchmark.maps import score_features
    from brainscore_itmaps.benchmark.request import AttackRequest
    from brainscore_itmaps.benchmark.result import Result
    from brainscore_itmaps.bridge.profile import profile
    from brainscore_itmaps.bridge.reproduce import reproduce
    from brainscore_itmaps.bridge.score import score
    from brainscore_itmaps.data.grid import Grid
    from brainscore_itmaps.data.human_maps import human_maps
    from brainscore_itmaps.data.load import load_recording
    from brainscore_itmaps.data.recording import Recording
    from brainscore_itmaps.errors import (
        ArrayError,
        DataError,
        InstallationError,
        ItMapsError,
        ModelError,
        NoMapError,
        OutputError,
        UsageError,
    )
    from brainscore_itmaps.features.attack import attack
    from brainscore_itmaps.features.grid import to_grid
    from brainscore_itmaps.features.record import record
    from brainscore_itmaps.metrics.alignment import feature_alignment
    from brainscore_itmaps.metrics.ceiling import noise_ceiling
    from brainscore_itmaps.metrics.folds import predict_left_out
    from brainscore_itmaps.models.load import load_model
    from brainscore_itmaps.models.zoo import list_models
    from brainscore_itmaps.reporting import figures
    from brainscore_itmaps.study.compare import compare
    from brainscore_itmaps.study.sweep import sweep
    from brainscore_itmaps.training.loss import HarmonizerLoss

__all__ = [
    "ArrayError",
    "AttackRequest",
    "DataError",
    "Grid",
    "HarmonizerLoss",
    "InstallationError",
    "ItMapsError",
    "ModelError",
    "NoMapError",
    "OutputError",
    "Recording",
    "Result",
    "UsageError",
    "attack",
    "compare",
    "compare_results",
    "feature_alignment",
    "figures",
    "human_alignment",
    "human_maps",
    "list_benchmarks",
    "list_models",
    "load_model",
    "load_recording",
    "noise_ceiling",
    "predict_left_out",
    "profile",
    "record",
    "reproduce",
    "score",
    "score_features",
    "sweep",
    "to_grid",
]

_MODULES = {
    "ArrayError": "errors",
    "AttackRequest": "benchmark.request",
    "DataError": "errors",
    "Grid": "data.grid",
    "HarmonizerLoss": "training.loss",
    "InstallationError": "errors",
    "ItMapsError": "errors",
    "ModelError": "errors",
    "NoMapError": "errors",
    "OutputError": "errors",
    "Recording": "data.recording",
    "Result": "benchmark.result",
    "UsageError": "errors",
    "attack": "features.attack",
    "compare": "study.compare",
    "compare_results": "benchmark.comparison",
    "feature_alignment": "metrics.alignment",
    "human_alignment": "benchmark.human",
    "human_maps": "data.human_maps",
    "list_benchmarks": "benchmark.catalogue",
    "list_models": "models.zoo",
    "load_model": "models.load",
    "load_recording": "data.load",
    "noise_ceiling": "metrics.ceiling",
    "predict_left_out": "metrics.folds",
    "profile": "bridge.profile",
    "record": "features.record",
    "reproduce": "bridge.reproduce",
    "score": "bridge.score",
    "score_features": "benchmark.maps",
    "sweep": "study.sweep",
    "to_grid": "features.grid",
}


if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> Any:
        """Import a public name on first use, so that importing the package imports no submodule."""
        if name == "figures":
            return import_module(f"{__name__}.reporting.figures")
        if name == "__version__":
            return import_module("importlib.metadata").version(__name__)
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
