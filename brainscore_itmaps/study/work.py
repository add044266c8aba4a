"""The work of one worker: score one model on all its benchmarks."""

import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.names import has_maps, is_external, is_named_model, requested_window
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.errors import ItMapsError, ModelError, one_line
from brainscore_itmaps.models.names import requested_weights
from brainscore_itmaps.models.spec import ModelRequest
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.settings import overridden
from brainscore_itmaps.study.config import ModelChoice, StudyConfig
from brainscore_itmaps.study.plan import Run


class Outcome(NamedTuple):
    """The outcome of one run: a result or a failure.

    Attributes
    ----------
    run : Run
    result : Result or None
        None when it failed.
    reason : str
        Why it failed, and what to do next.
    exit_code : int
        Of the kind of failure.
    seconds : float
    """

    run: Run
    result: Result | None
    reason: str
    exit_code: int
    seconds: float


class Done(NamedTuple):
    """The outcomes of one worker's model, and its memory use.

    Attributes
    ----------
    outcomes : list of Outcome
    peak_bytes : int
        The most memory that the worker ever held.
    """

    outcomes: list[Outcome]
    peak_bytes: int


def ask_model(
    choice: ModelChoice, runs: Iterable[Run], study: StudyConfig, fresh: bool, threads: int, offline: bool = False
) -> Done:
    """Score one model on all its benchmarks; a failure does not stop the others.

    Parameters
    ----------
    choice : ModelChoice
    runs : iterable of Run
    study : StudyConfig
    fresh : bool
        Compute anew what is kept.
    threads : int
        Of linear algebra, torch's and numpy's.
    offline : bool
        Download nothing; also where this worker's own environment says so.
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    with threadpool_limits(threads), overridden(offline=offline or None):
        load, cache = _loaded_once(choice, study.device), default_cache(fresh)
        outcomes = [_outcome(run, partial(_result, choice, run, study, cache, load)) for run in runs]
    return Done(outcomes, peak_bytes())


def peak_bytes() -> int:
    """Return the highest memory use of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _outcome(run: Run, result: Callable[[], Result]) -> Outcome:
    began = time.monotonic()
    try:
        return Outcome(run, result(), "", 0, time.monotonic() - began)
    except ItMapsError as error:
        reason, code = str(error), error.exit_code
    except Exception as error:  # of a model, or of somebody else's benchmark: the others are still asked
        reason, code = f"{type(error).__name__}: {one_line(error)}.", ModelError.exit_code
    return Outcome(run, None, reason, code, time.monotonic() - began)


def _loaded_once(choice: ModelChoice, device: str) -> Callable[[], Any]:
    """Load the model on first use; remember a failure, too."""
    found: list[Any] = []

    def load() -> Any:
        from brainscore_itmaps.models.load import load_model
        from brainscore_itmaps.models.model import on_device

        if not found:
            try:
                model = load_model(choice.name, _weights(choice), choice.seed, arch=choice.arch or None)
                found.append(on_device(model, device_of_worker(device)))
            except Exception as error:
                found.append(error)
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    return load


def _weights(choice: ModelChoice) -> str | None:
    return None if choice.weights == "pretrained" else choice.weights


def device_of_worker(device: str) -> str:
    """Choose the device of this worker: with "auto" and several GPUs, each worker takes another one."""
    import torch

    cards = torch.cuda.device_count() if device == "auto" else 0
    if cards < 2:
        return device
    from distributed import get_worker

    try:
        return f"cuda:{int(get_worker().name) % cards}"
    except (ValueError, TypeError):  # no worker of ours, or one that has another name than a number
        return device


def _result(choice: ModelChoice, run: Run, study: StudyConfig, cache: ResultCache, load: Callable[[], Any]) -> Result:
    from brainscore_itmaps.bridge.score import score_request

    ours = is_named_model(choice.name) or bool(choice.arch)
    device, layers = device_of_worker(study.device), choice.layers or study.layers
    asked = ModelRequest(choice.name, requested_weights(choice.weights, choice.seed), choice.arch or None,
                         device=device, batch_size=study.batch_size)  # fmt: skip
    if has_maps(run.benchmark):  # others have no layers to choose
        asked = replace(asked, layers=layers)
    protocol = OURS.name if is_external(run.benchmark) else study.protocol
    request = ScoreRequest(asked, run.benchmark, requested_window(run.window), protocol, study.attribution)
    return score_request(request, model=load() if ours else None, cache=cache)
