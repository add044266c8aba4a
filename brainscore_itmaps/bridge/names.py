"""Check names of models and benchmarks without importing Brain-Score or torch."""

import re
from pathlib import Path

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, OTHER_KINDS
from brainscore_itmaps.bridge.plugins import identifiers
from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.models.names import check_model_name, is_user_model, requested_weights, timm_architectures
from brainscore_itmaps.models.names import is_named_model as is_named_model
from brainscore_itmaps.models.zoo import ZOO


def check_names(
    model: str | None,
    benchmark: str | None,
    weights: str | Path = "pretrained",
    arch: str | None = None,
) -> None:
    """Check the names of model and benchmark in well under a second, without importing a model library.

    Parameters
    ----------
    model, benchmark : str, optional
        Names.
    weights : str
        Asked of the model.
    arch : str, optional
        Architecture of a file of weights.

    Raises
    ------
    UsageError
        For the benchmark, and for weights that are nothing we know, or asked of a model that brings its own.
    ModelError
        For the model.
    """
    if benchmark is not None and is_external(benchmark) and benchmark not in (known := identifiers("benchmarks")):
        raise UsageError(
            f"There is no benchmark named {benchmark!r}.",
            nearest(benchmark, CATALOGUE, nearest(benchmark, known, f"Ours: {', '.join(CATALOGUE)}.")),
        )
    requested_weights(weights)
    if model is None:
        return
    if is_named_model(model) or arch is not None:
        check_model_name(model, arch)
        if is_user_model(model) and weights != "pretrained":
            raise UsageError(f"{model} brings its weights.", f"Leave out --weights, or give --model {arch or 'NAME'}.")
        return
    known = identifiers("models")
    if model not in known:
        if model.split(".")[0] in timm_architectures():
            raise ModelError(f"There is no model named {model!r}, but timm has one.", f"Use --model timm:{model}.")
        named = (
            f"`brainscore models list` shows ours; also timm:<any timm name> and {len(known)} models of Brain-Score's."
        )
        raise ModelError(f"There is no model named {model!r}.", nearest(model, [*ZOO, *known], named))
    if weights != "pretrained":
        raise UsageError(
            f"{model} is a Brain-Score model, which loads its own weights.",
            "Leave out --weights, or name a model of timm (timm:<name>).",
        )


def is_folder_of_maps(benchmark: str) -> bool:
    """Return whether this names a folder with a saved recording."""
    return (Path(benchmark).expanduser() / "recording.json").is_file()


def has_maps(benchmark: str) -> bool:
    """Return whether this is a benchmark of maps, whose layers and windows can be chosen."""
    return benchmark in CATALOGUE or is_folder_of_maps(benchmark)


def is_external(benchmark: str) -> bool:
    """Return whether this is a benchmark of Brain-Score's own, if it exists."""
    return benchmark not in OTHER_KINDS and not has_maps(benchmark)


def requested_window(window: str | None) -> tuple[int, int] | str | None:
    """Parse a window: two numbers with a dash between them, or a name; None for none."""
    numbers = re.fullmatch(r"(\d+)-(\d+)", window or "")
    return (int(numbers[1]), int(numbers[2])) if numbers else window or None
