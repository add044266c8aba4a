"""Score one model on all its benchmarks, as one task of a worker."""

import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from brainscore_itmaps.bridge.names import has_maps, is_external, is_named_model, requested_window
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.errors import ItMapsError, ModelError, one_line
from brainscore_itmaps.models.names import requested_weights
from brainscore_itmaps.models.spec import ModelRequest
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.settings import overridden
from brainscore_itmaps.study.config import ModelChoice, StudyConfig
from brainscore_itmaps.study.plan import Run
from brainscore_itmaps.text import short_repr

if TYPE_CHECKING:
    from brainscore_itmaps.benchmark.result import Result  # imports scipy, for which workers need not wait to start


class Outcome(NamedTuple):
    """The result of one run, or the reason of its failure.

    Attributes
    ----------
    run : Run
    result : Result or None
        None if the run failed.
    reason : str
        Why the run failed, and the next step; empty otherwise.
    exit_code : int
        Exit code of this kind of failure; 0 otherwise.
    seconds : float
        Duration of the run.
    """

    run: Run
    result: "Result | None"
    reason: str
    exit_code: int
    seconds: float


@short_repr
class ModelOutcomes(NamedTuple):
    """The outcomes of all runs of one model, and the memory use of its worker.

    Attributes
    ----------
    outcomes : list of Outcome
    peak_bytes : int
        Highest memory use of the worker process so far.
    """

    outcomes: list[Outcome]
    peak_bytes: int


def run_model(
    choice: ModelChoice, runs: Iterable[Run], study: StudyConfig, fresh: bool, threads: int, offline: bool = False
) -> ModelOutcomes:
    """Score one model on all its benchmarks; a failed run does not stop the other runs.

    Parameters
    ----------
    choice : ModelChoice
    runs : iterable of Run
    study : StudyConfig
    fresh : bool
        Compute again what is cached.
    threads : int
        Number of threads of torch and of numpy's linear algebra.
    offline : bool
        Download nothing; the environment of the worker can forbid downloads, too.

    Returns
    -------
    ModelOutcomes
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    with threadpool_limits(threads), overridden(offline=offline or None):
        load, cache = _loaded_once(choice, study.device), default_cache(fresh)
        outcomes = [_outcome(run, partial(_result, choice, run, study, cache, load)) for run in runs]
    return ModelOutcomes(outcomes, peak_bytes())


def peak_bytes() -> int:
    """Return the highest memory use of this process so far, in bytes.

    Examples
    --------
    >>> peak_bytes() > 10**6
    True
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _outcome(run: Run, result: "Callable[[], Result]") -> Outcome:
    began = time.monotonic()
    try:
        return Outcome(run, result(), "", 0, time.monotonic() - began)
    except ItMapsError as error:
        reason, code = str(error), error.exit_code
    except Exception as error:  # noqa: BLE001 - raised by a model or a plugin's benchmark: the other runs continue
        reason, code = f"{type(error).__name__}: {one_line(error)}.", ModelError.exit_code
    return Outcome(run, None, reason, code, time.monotonic() - began)


def _loaded_once(choice: ModelChoice, device: str) -> Callable[[], Any]:
    """Return a function that loads the model on its first call, and returns it or raises its error on every call."""
    loaded: list[Any] = []

    def load() -> Any:
        from brainscore_itmaps.models.load import load_model
        from brainscore_itmaps.models.model import on_device

        if not loaded:
            try:
                model = load_model(choice.name, _weights(choice), choice.seed, arch=choice.arch or None,
                                   state_key=choice.state_key or None, name=choice.label or None)  # fmt: skip
                loaded.append(on_device(model, device_of_worker(device)))
            except Exception as error:  # noqa: BLE001 - raised again for every run of the model
                loaded.append(error)
        if isinstance(loaded[0], Exception):
            raise loaded[0]
        return loaded[0]

    return load


def _weights(choice: ModelChoice) -> str | None:
    return None if choice.weights == "pretrained" else choice.weights


def device_of_worker(device: str) -> str:
    """Choose the device of this worker: with "auto" and several GPUs, workers use different GPUs.

    Examples
    --------
    >>> device_of_worker("cpu")
    'cpu'
    """
    import torch

    gpus = torch.cuda.device_count() if device == "auto" else 0
    if gpus < 2:
        return device
    from distributed import get_worker

    try:
        return f"cuda:{int(get_worker().name) % gpus}"
    except (ValueError, TypeError):  # not in a worker, or its name is not a number
        return device


def _result(choice: ModelChoice, run: Run, study: StudyConfig, cache: ResultCache, load: Callable[[], Any]) -> "Result":
    from brainscore_itmaps.benchmark.request import ScoreRequest
    from brainscore_itmaps.bridge.score import score_request

    is_loaded_here = is_named_model(choice.name) or bool(choice.arch)
    device, layers = device_of_worker(study.device), choice.layers or study.layers
    model = ModelRequest(choice.name, requested_weights(choice.weights, choice.seed), choice.arch or None,
                         device=device, batch_size=study.batch_size, state_key=choice.state_key or None,
                         label=choice.label or None)  # fmt: skip
    protocol = OURS.name if is_external(run.benchmark) else study.protocol
    request = ScoreRequest(model, run.benchmark, requested_window(run.window), protocol, study.attribution)
    if not is_external(run.benchmark):  # Brain-Score's own benchmarks have no controls
        request = replace(request, controls=study.controls, random_seeds=study.random_seeds)
    if has_maps(run.benchmark):  # other benchmarks choose no layers
        request = replace(request, model=replace(model, layers=layers))
    return score_request(request, model=load() if is_loaded_here else None, cache=cache)
