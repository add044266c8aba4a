"""Score a model's own architecture with random weights, as a control of its score."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from brainscore_itmaps.benchmark.estimate import mean_estimate
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.source import HookedModel, LoadedModel
from brainscore_itmaps.benchmark.validity import RANDOM_WEIGHTS, mean_controls
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.model import untrained
from brainscore_itmaps.models.spec import Weights

MISSING = "the control with random weights was left out: {reason}"


def seeds_of_control(weights: Weights, number: int) -> list[int]:
    """Return the seeds of a control: 0, 1, ..., without the seed of the model's own random weights.

    Examples
    --------
    >>> seeds_of_control(Weights("random", seed=1), 3)
    [0, 2, 3]
    """
    own = weights.seed if weights.kind == "random" else None
    return [seed for seed in range(number + 1) if seed != own][:number]


def with_random_weights(
    result: Result,
    model: LoadedModel,
    images: Sequence[Hashable],
    request: ScoreRequest,
    score: Callable[[LoadedModel, ScoreRequest], Result],
) -> Result:
    """Add the scores of the model's architecture with random weights to the controls of a result.

    Parameters
    ----------
    result : Result
    model : LoadedModel
    images : sequence
        What identifies the images of each array.
    request : ScoreRequest
        Holds the number of seeds.
    score : callable
        Scores a model on the benchmark of the result, as the request that it is given says.

    Returns
    -------
    Result
        With the controls ``random_weights_0``, ``random_weights_1``, ..., one for each seed, and their mean
        ``random_weights``; or with a note where the model cannot be re-initialised.
    """
    if not request.random_seeds:
        return result
    if model.torch_model is None:
        note = MISSING.format(reason=f"{model.name} is a Brain-Score model, which cannot be re-initialised")
        return replace(result, notes=(*result.notes, note))
    plain = replace(request, controls=False, random_seeds=0)
    scored: dict[str, Result] = {}
    try:
        for seed in seeds_of_control(result.weights, request.random_seeds):
            random = HookedModel(untrained(model.torch_model, seed), request.model.batch_size)
            scored[f"{RANDOM_WEIGHTS}_{seed}"] = score(random, plain)
    except ModelError as error:
        return replace(result, notes=(*result.notes, MISSING.format(reason=error.args[0])))
    arrays = []
    for number, array in enumerate(result.arrays):
        estimates = {name: each.arrays[number].estimate for name, each in scored.items()}
        mean = mean_estimate(list(estimates.values()), ["the same images"] * len(estimates))
        arrays.append(replace(array, controls={**array.controls, RANDOM_WEIGHTS: mean, **estimates}))
    means = mean_controls(arrays, images, request.seed)
    return replace(result, arrays=tuple(arrays), controls=means["controls"])
