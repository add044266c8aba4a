"""Score any network on any of our benchmarks."""

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.benchmark.attribution import network_attribution
from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import Options, evaluate
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.source import network_source
from brainscore_itmaps.bridge.names import is_ours, refuse_unknown
from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.data.simulated import IDENTIFIER as SIMULATED
from brainscore_itmaps.errors import DataError, ItMapsError, ModelError, UsageError, one_line
from brainscore_itmaps.features.record import BATCH_SIZE
from brainscore_itmaps.features.screen import placed_on_screen
from brainscore_itmaps.models.load import load_model as load_network
from brainscore_itmaps.models.network import Network, on_device
from brainscore_itmaps.models.own import Preprocessing, borrowed
from brainscore_itmaps.progress import Report, silent

GUEST = {"BS_INSTALL_DEPENDENCIES": "no"}


def score(
    model: str | Network | torch.nn.Module,
    benchmark: str | Path | Recording = "it_maps_simulated",
    layers: str | Sequence[str] | None = None,
    *,
    window: tuple[int, int] | str | None = None,
    weights: str | Path = "pretrained",
    seed: int = 0,
    arch: str | None = None,
    preprocessing: Preprocessing | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    attribution: str = "gradient",
    reference_compat: bool = False,
    fresh: bool = False,
    progress: Report = silent,
) -> Result:
    """Score a network on a benchmark.

    A network of ours, or of timm, is read by our own hooks. A model of Brain-Score's is asked to look at the pictures
    through Brain-Score's interface. Both ways meet at the recording's grid and give the same number for the same
    network. What was computed is kept (``ITMAPS_HOME``) under a hash of everything it was computed from, and is not
    computed again.

    Parameters
    ----------
    model : str, Network or torch.nn.Module
        A name from the zoo, ``timm:<name>``, any model identifier of Brain-Score, a network of your own as
        :func:`brainscore_itmaps.load_model` takes it, or a loaded network. A module is given back as it was.
    benchmark : str or Recording
        A name from our catalogue; or a recording, or the folder that it was saved in.
    layers : str or sequence of str, optional
        Layer to read out, by default the one committed to IT. Of several, or of "all" blocks, one is chosen for every
        picture on all the other pictures. Brain-Score's models are made to commit them to IT, one after the other.
    window : (int, int) or str, optional
        Milliseconds after stimulus onset, or a window's name; see :func:`~brainscore_itmaps.load_recording`.
    weights : "pretrained", "random" or a file
        Random weights must be asked for, and the result says so. A file: see :func:`brainscore_itmaps.load_model`.
    seed : int
        Of random weights.
    arch, preprocessing
        Of a network of your own: see :func:`brainscore_itmaps.load_model`.
    batch_size : int
        Pictures shown at once; changes the memory it takes, not the score.
    device : str
        "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1" or "mps".
    attribution : "gradient", "integrated_gradients" or "smoothgrad"
        For benchmarks of attribution; all but the first need captum.
    reference_compat : bool
        Make every choice of the published code (docs/reference.md), also when a recording is loaded by name. A model of
        Brain-Score's keeps its own preprocessing.
    fresh : bool
        Compute anew what is kept.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    UsageError, ModelError
        When a name is not known, with the names that look most like it.
    DataError
        When a recording cannot be had or scored.
    """
    if isinstance(model, torch.nn.Module):
        with borrowed(model):
            given = None if weights == "pretrained" else weights  # which it refuses
            network = load_network(model, given, arch=arch, preprocessing=preprocessing)
            return score(
                network,
                benchmark,
                layers,
                window=window,
                batch_size=batch_size,
                device=device,
                attribution=attribution,
                reference_compat=reference_compat,
                fresh=fresh,
                progress=progress,
            )
    if not isinstance(model, str | Network):
        raise UsageError(f"A {type(model).__name__} is no network.", "Give a name, or a torch.nn.Module.")
    if preprocessing is not None and not (isinstance(model, str) and is_ours(model)):
        raise UsageError(
            f"{getattr(model, 'name', model)} has its own preprocessing.", "It is for modules and files of weights."
        )
    if isinstance(benchmark, Path):
        benchmark = str(benchmark)
    if not isinstance(benchmark, str | Recording):
        raise UsageError(
            f"{benchmark!r} is no benchmark.", "Give a name, a recording, or the folder that it was saved in."
        )
    if batch_size < 1:
        raise UsageError(f"Batches of {batch_size} pictures cannot be shown.", "Give 1 or more.")
    named = model if isinstance(model, str) else None
    refuse_unknown(named, benchmark if isinstance(benchmark, str) else None, weights, arch=arch)
    recordings = recordings_of(benchmark, window, reference_compat, progress)
    spec = (CATALOGUE.get(benchmark) if isinstance(benchmark, str) else None) or of_recording(recordings[0])
    label = [window if isinstance(window, str) else "-".join(map(str, window or ()))]
    label += [attribution] if spec.measure == "attribution" and attribution != "gradient" else []
    options = Options(reference_compat=reference_compat, kept=not fresh, label="-".join(filter(None, label)))
    if named is not None and not is_ours(named):
        return _score_through_brain_score(named, spec, recordings, options, layers, progress)
    progress("loading the network", 0, 1)
    if isinstance(model, str):
        model = load_network(model, weights, seed, arch=arch, preprocessing=preprocessing, progress=progress)
    network = on_device(model, device)
    attribute = network_attribution(network, attribution) if spec.measure == "attribution" else None
    source = network_source(network, layers, spec.view, batch_size, reference_compat, attribute)
    if spec.view == "screen":
        recordings = [placed_on_screen(recording, network.spec.visual_degrees) for recording in recordings]
    result = evaluate(source, recordings, spec, options, progress)
    return replace(result, notes=(*result.notes, *network.notes))


def recordings_of(
    benchmark: str | Recording,
    window: tuple[int, int] | str | None = None,
    reference_compat: bool = False,
    progress: Report = silent,
) -> list[Recording]:
    """Load the recordings of a benchmark, by its name or by the folder that one was saved in."""
    if isinstance(benchmark, str) and benchmark in CATALOGUE:
        names = CATALOGUE[benchmark].recordings
        return [
            load_recording(name, window, reference_compat=reference_compat and name != SIMULATED, progress=progress)
            for name in names
        ]
    if window is not None:
        raise UsageError("A recording of your own has its window already.", "Leave out the window.")
    return [benchmark if isinstance(benchmark, Recording) else Recording.load(Path(benchmark).expanduser())]


def of_recording(recording: Recording) -> BenchmarkSpec:
    """The benchmark that a recording of one's own is, unnamed in the catalogue."""
    return BenchmarkSpec(recording.identifier, recordings=(recording.identifier,), citation=recording.citation)


def _score_through_brain_score(
    model: str,
    spec: BenchmarkSpec,
    recordings: list[Recording],
    options: Options,
    layers: str | Sequence[str] | None,
    progress: Report,
) -> Result:
    with as_a_guest():
        attach()
        from brainscore_vision import load_model

        from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark

        progress("loading the network", 0, 1)
        try:
            candidate = load_model(model)
            with without_bars():
                return ItMapsBenchmark(spec, recordings).evaluate(candidate, options, progress, layers)
        except ItMapsError:
            raise
        except Exception as error:  # somebody else's model may fail in any way
            raise _of_theirs(model, error) from error


def score_elsewhere(
    model: str | Network, benchmark: str, weights: str = "pretrained", seed: int = 0, arch: str | None = None
) -> Any:
    """Score a network on a benchmark of Brain-Score's own.

    Without its runs of pip, without a pickle of the score in its folder, and without what it prints.

    Parameters
    ----------
    model : str or Network
        A name from the zoo, ``timm:<name>``, or any model identifier of Brain-Score; or a loaded network.
    benchmark : str
        An identifier of Brain-Score's.
    weights, seed, arch
        As in :func:`score`.

    Returns
    -------
    brainscore_core.metrics.Score

    Raises
    ------
    ModelError, DataError
        When the network or the benchmark cannot be loaded or scored.
    """
    with as_a_guest(), Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        attach()
        from brainscore_core.benchmarks import score_benchmark
        from brainscore_vision import load_benchmark, load_model

        try:
            loaded = load_benchmark(benchmark)
        except Exception as error:
            raise DataError(
                f"Brain-Score's benchmark {benchmark} could not be loaded: {one_line(error)}.",
                "It may need a download or a package; `brainscore --debug score ...` shows where it failed.",
            ) from error
        try:
            if isinstance(model, Network) or is_ours(model):
                from brainscore_itmaps.bridge.models import brain_model

                network = model if isinstance(model, Network) else load_network(model, weights, seed, arch=arch)
                candidate = brain_model(network)
            else:
                candidate = load_model(model)
            with without_bars():
                return score_benchmark(loaded, candidate)
        except ItMapsError:
            raise
        except Exception as error:
            raise _of_theirs(model.name if isinstance(model, Network) else model, error) from error


def _of_theirs(model: str, error: Exception) -> ModelError:
    return ModelError(
        f"Brain-Score's model {model} could not be scored: {one_line(error)}.",
        "It may need a download or a package; `brainscore --debug score ...` shows where it failed.",
    )


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep the bars that Brain-Score draws for every batch off the terminal; those of downloads are drawn elsewhere."""
    import tqdm

    start = tqdm.tqdm.__init__
    tqdm.tqdm.__init__ = functools.partialmethod(start, disable=True)
    try:
        yield
    finally:
        tqdm.tqdm.__init__ = start


@contextmanager
def as_a_guest() -> Iterator[None]:
    """Brain-Score without its pip runs and its FutureWarning; the environment is given back."""
    before = {name: os.environ.get(name) for name in GUEST}
    os.environ |= GUEST
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="torchvision")  # its old names for weights, in models of others
            warnings.filterwarnings("ignore", message="xarray subclass Score should explicitly define __slots__")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
