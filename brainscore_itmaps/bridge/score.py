"""Score any network on any of our benchmarks."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.names import is_ours, refuse_unknown
from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ItMapsError, ModelError, UsageError, one_line
from brainscore_itmaps.models.load import Network, Weights
from brainscore_itmaps.models.load import load_model as load_network
from brainscore_itmaps.progress import Report, silent


def score(
    model: str | Network,
    benchmark: str | Path | Recording = "it_maps_simulated",
    layer: str | None = None,
    weights: Weights = "pretrained",
    seed: int = 0,
    reference_compat: bool = False,
    progress: Report = silent,
) -> Result:
    """Score a network on a benchmark.

    A network of ours, or of timm, is read by our own hooks. A model of Brain-Score's is asked to look at the pictures
    through Brain-Score's interface. Both ways meet at the recording's grid and give the same number for the same
    network.

    Parameters
    ----------
    model : str or Network
        A name from the zoo, ``timm:<name>``, any model identifier of Brain-Score, or a loaded network.
    benchmark : str or Recording
        A name from our catalogue; or a recording, or the folder that it was saved in.
    layer : str, optional
        Layer to read out, by default the one committed to IT; not for Brain-Score's models, which commit their own.
    weights : "pretrained" or "random"
        Random weights must be asked for, and the result says so.
    seed : int
        Of random weights.
    reference_compat : bool
        Make every choice of the published code (docs/reference.md); load the recording with it too. A model of
        Brain-Score's keeps its own preprocessing.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    UsageError, ModelError
        When a name is not known, with the names that look most like it.
    """
    if not isinstance(model, str | Network):
        raise UsageError(
            f"A {type(model).__name__} does not say how its pictures are preprocessed or which layer to read.",
            "Give a name, or put it into a brainscore_itmaps.models.load.Network with a ModelSpec that says so.",
        )
    if isinstance(benchmark, Path):
        benchmark = str(benchmark)
    if not isinstance(benchmark, str | Recording):
        raise UsageError(
            f"{benchmark!r} is no benchmark.", "Give a name, a recording, or the folder that it was saved in."
        )
    if isinstance(benchmark, Recording):
        spec, recording = of_recording(benchmark), benchmark
        refuse_unknown(model if isinstance(model, str) else None, None, layer, weights)
    else:
        refuse_unknown(model if isinstance(model, str) else None, benchmark, layer, weights)
        recording = recording_of(benchmark)
        spec = CATALOGUE.get(benchmark) or of_recording(recording)
    if isinstance(model, str) and not is_ours(model):
        return _score_through_brain_score(model, spec, recording, reference_compat, progress)
    progress("loading the network", 0, 1)
    network = load_network(model, weights, seed) if isinstance(model, str) else model
    return evaluate(network, recording, spec, layer=layer, reference_compat=reference_compat, progress=progress)


def recording_of(benchmark: str) -> Recording:
    """Load the recording of a benchmark, by its name or by the folder that it was saved in."""
    if benchmark in CATALOGUE:
        return load_recording(CATALOGUE[benchmark].recording)
    return Recording.load(Path(benchmark).expanduser())


def of_recording(recording: Recording) -> BenchmarkSpec:
    """The benchmark that a recording of one's own is, unnamed in the catalogue."""
    return BenchmarkSpec(recording.identifier, recording=recording.identifier, version=1, citation=recording.citation)


def _score_through_brain_score(
    model: str, spec: BenchmarkSpec, recording: Recording, reference_compat: bool, progress: Report
) -> Result:
    with _as_a_guest():
        attach()
        from brainscore_vision import load_model

        from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark

        progress("loading the network", 0, 1)
        try:
            candidate = load_model(model)
            progress("recording features", 0, 1)
            benchmark = ItMapsBenchmark(spec, recording)
            result: Result = benchmark.evaluate(candidate, reference_compat=reference_compat, progress=progress)
        except ItMapsError:
            raise
        except Exception as error:  # somebody else's model may fail in any way
            raise ModelError(
                f"Brain-Score's model {model} could not be scored: {one_line(error)}.",
                "It may need a download or a package; `brainscore --debug score ...` shows where it failed.",
            ) from error
        return result


@contextmanager
def _as_a_guest() -> Iterator[None]:
    """Brain-Score without its pip runs and its FutureWarning; the environment is given back."""
    before = os.environ.get("BS_INSTALL_DEPENDENCIES")
    os.environ["BS_INSTALL_DEPENDENCIES"] = "no"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="xarray subclass Score should explicitly define __slots__")
            yield
    finally:
        if before is None:
            del os.environ["BS_INSTALL_DEPENDENCIES"]
        else:
            os.environ["BS_INSTALL_DEPENDENCIES"] = before
