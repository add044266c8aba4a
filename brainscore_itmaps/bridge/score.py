"""Score a model on a benchmark of this package or of Brain-Score."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from brainscore_itmaps.benchmark.adversarial import AdversarialBenchmark
from brainscore_itmaps.benchmark.catalogue import ADVERSARIAL, HUMAN_ALIGNMENT, attacked_folder, folder_as_clickme
from brainscore_itmaps.benchmark.estimate import checked_interval
from brainscore_itmaps.benchmark.human import HumanBenchmark
from brainscore_itmaps.benchmark.maps import Benchmark, maps_benchmark
from brainscore_itmaps.benchmark.packaged import packaged_model, packaged_spec
from brainscore_itmaps.benchmark.request import AttackRequest, ScoreRequest, Window, checked_seeds
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.similarity import similarity_or_maps
from brainscore_itmaps.benchmark.source import HookedModel, LoadedModel
from brainscore_itmaps.bridge.external import ExternalBenchmark
from brainscore_itmaps.bridge.names import check_names, is_external, is_named_model
from brainscore_itmaps.bridge.plugins import attach
from brainscore_itmaps.bridge.quiet import converted_errors, quiet_brain_score, without_progress_bars
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.data.class_folders import is_human_maps_folder
from brainscore_itmaps.data.recording import Recording, window_or_name
from brainscore_itmaps.errors import UsageError, check_choice, check_type, checked_batch_size
from brainscore_itmaps.features.record import BATCH_SIZE
from brainscore_itmaps.models.load import load_model, load_model_request
from brainscore_itmaps.models.model import Model, on_device, with_changes
from brainscore_itmaps.models.names import checked_seed, requested_weights
from brainscore_itmaps.models.own import Preprocessing, restore_mode_and_device
from brainscore_itmaps.models.preprocessing import plain_preprocessing
from brainscore_itmaps.models.spec import ModelRequest
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.settings import expanded

OTHER_KINDS: dict[str, Callable[[], Benchmark]] = {HUMAN_ALIGNMENT: HumanBenchmark, ADVERSARIAL: AdversarialBenchmark}
"""Benchmarks of this package without maps, by name."""
Computed = TypeVar("Computed")


def check_layers(layers: Any) -> None:
    """Check that layers are a name or a sequence of names.

    Raises
    ------
    UsageError
        When they are something else.

    Examples
    --------
    >>> check_layers(["layer3", "layer4"])
    """
    fix = 'Give the name of a layer, several names in a list, or "all".'
    check_type(layers, (str, list, tuple, type(None)), "a layer", fix)
    for layer in layers or ():
        check_type(layer, str, "a layer", fix)


@accept_reference_compat
@shows_progress
def score(
    model: str | Path | Model | torch.nn.Module,
    benchmark: str | Path | Recording = "it_maps_simulated",
    layers: str | Sequence[str] | None = None,
    *,
    window: Window | None = None,
    weights: str | Path = "pretrained",
    seed: int = 0,
    arch: str | None = None,
    preprocessing: Preprocessing | None = None,
    state_key: str | None = None,
    name: str | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    attribution: str = "gradient",
    protocol: str | Protocol = "ours",
    interval: str = "groups",
    random_seeds: int = 0,
    controls: bool = True,
    attack: AttackRequest | None = None,
    fresh: bool = False,
    cache: ResultCache | None = None,
    progress: Report = silent,
) -> Result:
    """Score a model on a benchmark.

    Models of this package and of timm are read through torch hooks, Brain-Score's models through Brain-Score's
    interface. Both give the same number for the same model. Results of layers are cached in ``ITMAPS_HOME`` under a
    hash of everything that they are computed from.

    Parameters
    ----------
    model : str, Path, Model or torch.nn.Module
        A name from the zoo, ``timm:NAME``, ``torchvision:NAME``, ``hf:ORGANISATION/NAME``, any model identifier
        of Brain-Score, your own model as for :func:`brainscore_itmaps.load_model`, or a loaded model. A module is
        returned to its former state.
    benchmark : str, Path or Recording
        A benchmark of this package or of Brain-Score, a recording, the folder of a saved recording, or a folder of
        images with human maps (:func:`~brainscore_itmaps.human_maps`);
        ``ClickMe.alignment:FOLDER`` scores such a folder like the held-out images of ClickMe, and
        ``adversarial:FOLDER`` attacks the images of a folder
        (:func:`~brainscore_itmaps.data.labelled_images.labelled_folder`).
    layers : str or sequence of str, optional
        Layers to read, by default the one committed to IT. ``layers.3[0]`` and ``IT.output@last`` select an element or
        a call, as for :func:`brainscore_itmaps.record`. From several, or from "all" blocks, one is chosen for every
        image on all the other images. Brain-Score's models commit them to IT one after the other.
    window : (int, int) or str, optional
        Milliseconds after stimulus onset, or a window's name; see :func:`~brainscore_itmaps.load_recording`.
    weights : "pretrained", "random" or a file
        Pretrained by default. The result says if they are random. Files: see :func:`brainscore_itmaps.load_model`.
    seed : int
        Seed of random weights.
    arch, preprocessing, state_key, name
        For your own model: see :func:`brainscore_itmaps.load_model`.
    batch_size : int
        Images per forward pass; changes the memory that is needed, not the score.
    device : str
        "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1" or "mps".
    attribution : "gradient", "integrated_gradients" or "smoothgrad"
        For benchmarks of attribution, which are EXPERIMENTAL (``Result.experimental`` says why), and human alignment;
        all but the first need captum.
    protocol : str or Protocol
        "published" makes every choice of the published code (docs/published_code.md), also when a recording is loaded
        by name. A model of Brain-Score's keeps its own preprocessing.
    interval : "groups", "images" or "fixed"
        How the interval over images is computed: regressions are fitted again without each of 7 groups of images, or
        without each image, which takes several times as long; or they are not, and the interval is too narrow.
    random_seeds : int
        Number of seeds with which the model's architecture is also scored with random weights, as a control.
    controls : bool
        Also compute the scores of controls, what the model adds to them, and the null distribution of the raw value.
        They take about as long as the regressions of the score again, twice.
    attack : AttackRequest, optional
        How images are attacked, for ``ClickMe.adversarial`` and ``adversarial:FOLDER``.
    fresh : bool
        Compute everything again, and overwrite cached values.
    cache : ResultCache, optional
        Cache to use; by default the one in ``ITMAPS_HOME``.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Result
        The score with its noise ceiling, interval, controls and maps; ``save`` writes it into files.

    Raises
    ------
    UsageError, ModelError
        When a name is unknown; the message suggests similar names.
    DataError
        When a recording cannot be downloaded or scored.

    Examples
    --------
    >>> result = score("timm:test_resnet", "it_maps_simulated", "layer3", weights="random")
    >>> result.arrays[0].predicted.shape
    (14, 17, 17, 32)
    >>> 0 < result.raw < result.ceiling
    True
    """
    return with_request(
        score_request, model, benchmark, layers, window=window, weights=weights, seed=seed, arch=arch,
        preprocessing=preprocessing, state_key=state_key, name=name, batch_size=batch_size, device=device,
        attribution=attribution, protocol=protocol, interval=interval, random_seeds=random_seeds, controls=controls,
        attack=attack, fresh=fresh, cache=cache, progress=progress,
    )  # fmt: skip


def with_request(
    computed: Callable[[ScoreRequest, Benchmark, Model | None, ResultCache, Report], Computed],
    model: str | Path | Model | torch.nn.Module,
    benchmark: str | Path | Recording,
    layers: str | Sequence[str] | None,
    *,
    window: Window | None,
    weights: str | Path,
    seed: int,
    arch: str | None,
    preprocessing: Preprocessing | None,
    state_key: str | None,
    name: str | None,
    batch_size: int,
    device: str,
    attribution: str,
    protocol: str | Protocol,
    interval: str,
    random_seeds: int,
    controls: bool,
    attack: AttackRequest | None = None,
    fresh: bool,
    cache: ResultCache | None,
    progress: Report,
) -> Computed:
    """Check the arguments of :func:`score`, and compute something from the request that they make.

    Parameters
    ----------
    computed : callable
        Takes the request, the benchmark, the model if it is loaded already, the cache and a progress callback.
    model, benchmark, layers, window, weights, seed, arch, preprocessing, state_key, name, batch_size, device
        As in :func:`score`.
    attribution, protocol, interval, random_seeds, controls, attack, fresh, cache, progress
        As in :func:`score`.

    Returns
    -------
    object
        What ``computed`` returns.

    Raises
    ------
    UsageError, ModelError, DataError
        As in :func:`score`.
    """
    if isinstance(model, torch.nn.Module):
        checked_seed(seed)
        with restore_mode_and_device(model):
            module_weights = None if weights == "pretrained" else weights  # load_model refuses weights for a module
            loaded = load_model(model, module_weights, arch=arch, preprocessing=preprocessing, state_key=state_key,
                                name=name)  # fmt: skip
            return with_request(
                computed, loaded, benchmark, layers, window=window, weights="pretrained", seed=0, arch=None,
                preprocessing=None, state_key=None, name=None, batch_size=batch_size, device=device,
                attribution=attribution, protocol=protocol, interval=interval, random_seeds=random_seeds,
                controls=controls, attack=attack, fresh=fresh, cache=cache, progress=progress,
            )  # fmt: skip
    if isinstance(model, Path):
        model = str(model)
    check_type(model, (str, Model), "a model", "Give a name, what load_model returns, or a torch.nn.Module.")
    if isinstance(model, Model) and (name is not None or state_key is not None or arch is not None):
        raise UsageError(f"{model.name} is loaded already.", "Give name, arch and state_key to load_model.")
    if preprocessing is not None and not (isinstance(model, str) and is_named_model(model)):
        raise UsageError(
            f"{getattr(model, 'name', model)} has its own preprocessing.",
            "Give preprocessing only for a module or a checkpoint file.",
        )
    if isinstance(benchmark, Path):
        benchmark = str(benchmark)
    fix = "Give a name, a recording, or the folder of a saved recording."
    check_type(benchmark, (str, Recording), "a benchmark", fix)
    check_layers(layers)
    check_type(controls, bool, "a choice of controls", "Give True or False.")
    attack = AttackRequest() if attack is None else attack
    check_type(attack, AttackRequest, "options of an attack", "Give an AttackRequest.")
    check_choice(fresh=fresh)
    batch_size, seed = checked_batch_size(batch_size), checked_seed(seed)
    model_name = model if isinstance(model, str) else None
    loaded_model = with_changes(model) if isinstance(model, Model) else None
    check_names(model_name, benchmark if isinstance(benchmark, str) else None, weights, arch, state_key, name)
    model_request = (
        loaded_model.request
        if loaded_model is not None
        else ModelRequest(
            str(model_name),
            requested_weights(weights, seed),
            arch,
            _mapping(preprocessing),
            state_key=state_key,
            label=name,
        )
    )
    requested_layers = (layers,) if isinstance(layers, str) else tuple(layers or ())
    request = ScoreRequest(
        replace(model_request, layers=requested_layers, device=device, batch_size=batch_size),
        benchmark if isinstance(benchmark, str) else "",
        window_or_name(window),
        protocol_named(protocol).name,
        attribution,
        interval=checked_interval(interval),
        random_seeds=checked_seeds(random_seeds),
        controls=controls,
        attack=attack,
    )
    used_cache = cache or default_cache()
    return computed(
        request, find_benchmark(benchmark), loaded_model, replace(used_cache, fresh=used_cache.fresh or fresh), progress
    )


def score_request(
    request: ScoreRequest,
    benchmark: Benchmark | None = None,
    model: Model | None = None,
    cache: ResultCache | None = None,
    progress: Report = silent,
) -> Result:
    """Score the model of a request on its benchmark.

    Parameters
    ----------
    request : ScoreRequest
        Names of the model and the benchmark, and the options of :func:`score`.
    benchmark : Benchmark, optional
        Benchmark to use. By default the request names it.
    model : Model, optional
        Loaded model. By default the model that the request names is loaded.
    cache, progress
        See :func:`score`.

    Raises
    ------
    UsageError, ModelError, DataError
        See :func:`score`.
    """
    benchmark = (benchmark or find_benchmark(request.benchmark)).prepared(request, progress)
    with opened_model(request.model, model, progress) as loaded:
        result = benchmark.score(loaded, request, cache or default_cache(), progress)
    return replace(result, notes=(*result.notes, *loaded.notes))


def _mapping(preprocessing: Preprocessing | None) -> Mapping[str, Any] | None:
    if preprocessing is None:
        return None
    if isinstance(preprocessing, Mapping):
        return plain_preprocessing(preprocessing)
    raise UsageError("Preprocessing of a checkpoint file cannot be a function.", "Give size, mean and std in a dict.")


def find_benchmark(benchmark: str | Recording) -> Benchmark:
    """Return the benchmark for a name, a recording, or the folder of a recording.

    Examples
    --------
    >>> find_benchmark("it_maps_simulated").spec.identifier
    'it_maps_simulated'
    >>> find_benchmark("Kar2019-ost").identifier
    'Kar2019-ost'
    """
    if isinstance(benchmark, str) and benchmark in OTHER_KINDS:
        return OTHER_KINDS[benchmark]()
    if isinstance(benchmark, str) and (folder := folder_as_clickme(benchmark)) is not None:
        return HumanBenchmark(folder=expanded(folder), as_clickme=True)
    if isinstance(benchmark, str) and (folder := attacked_folder(benchmark)) is not None:
        return AdversarialBenchmark(expanded(folder))
    if isinstance(benchmark, str) and is_human_maps_folder(benchmark):
        return HumanBenchmark(folder=expanded(benchmark))
    if isinstance(benchmark, str) and is_external(benchmark):
        return ExternalBenchmark(benchmark)
    return similarity_or_maps(maps_benchmark(benchmark))


@contextmanager
def opened_model(request: ModelRequest, model: Model | None, progress: Report) -> Iterator[LoadedModel]:
    """Load a model for use within a ``with`` block; errors of Brain-Score's models become a ModelError.

    A pretrained model in an installed package is loaded only when the cache lacks something of its scores.

    Examples
    --------
    >>> request = ModelRequest("timm:test_vit", requested_weights("random", 0))
    >>> with opened_model(request, None, silent) as model:
    ...     model.name
    'timm:test_vit'
    """

    def hooked() -> HookedModel:
        progress("loading the model", 0, 1)
        loaded = model or load_model_request(request, progress)
        return HookedModel(on_device(loaded, request.device), request.batch_size)

    if model is None and (spec := packaged_spec(request)) is not None:
        yield packaged_model(spec, hooked)
        return
    if model is not None or is_named_model(request.name) or request.arch is not None:
        yield hooked()
        return
    with quiet_brain_score():
        attach()
        from brainscore_vision import load_model as load_candidate

        from brainscore_itmaps.bridge.candidate import BrainScoreModel

        progress("loading the model", 0, 1)
        with converted_errors(request.name), without_progress_bars():
            yield BrainScoreModel(load_candidate(request.name))
