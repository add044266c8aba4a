"""Check names of models and benchmarks, and parse windows, without importing Brain-Score or torch."""

import os
import re
from pathlib import Path

from brainscore_itmaps.benchmark.catalogue import (
    ARRAYS,
    CATALOGUE,
    HUMAN_ALIGNMENT,
    OTHER_KINDS,
    attacked_folder,
    folder_as_clickme,
    mark_of,
)
from brainscore_itmaps.bridge.plugins import identifiers
from brainscore_itmaps.cache import package_versions
from brainscore_itmaps.data.class_folders import PHOTOGRAPHS, is_human_maps_folder
from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.files import FOLDER_OF_TABLE
from brainscore_itmaps.models.names import (
    check_label,
    check_model_name,
    is_user_model,
    requested_weights,
    with_source,
)
from brainscore_itmaps.models.names import is_named_model as is_named_model
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.settings import expanded


def check_names(
    model: str | None,
    benchmark: str | None,
    weights: str | Path = "pretrained",
    arch: str | None = None,
    state_key: str | None = None,
    label: str | None = None,
) -> None:
    """Check that a model and a benchmark exist and that the requested weights fit the model.

    Parameters
    ----------
    model, benchmark : str, optional
        Names to check; None is not checked.
    weights : "pretrained", "random" or a file
        Requested weights.
    arch : str, optional
        Architecture of a checkpoint file.
    state_key : str, optional
        Key of the weights in a checkpoint file.
    label : str, optional
        A user's name for the model.

    Raises
    ------
    UsageError
        When the benchmark is unknown, the weights are invalid, or weights are requested for a model that has its own.
    ModelError
        When the model is unknown.

    Examples
    --------
    >>> check_names("efficientnet_lite0", "it_maps_simulated", weights="random")
    >>> check_names("efficientnet_lite0", "it_maps_simulatd")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: There is no benchmark named 'it_maps_simulatd'. Did you mean it_maps_...
    """
    known = {_of_any_array(name) + mark_of(spec.measure): None for name, spec in CATALOGUE.items()}
    if benchmark is not None and (folder := folder_as_clickme(benchmark)) is not None:
        if not is_human_maps_folder(folder):
            raise UsageError(
                f"{folder or 'The empty name'} is not a folder with the subfolders images and maps.",
                f"Give {HUMAN_ALIGNMENT}:FOLDER with such a folder, whose maps are of ClickMe.",
            )
    elif benchmark is not None and (folder := attacked_folder(benchmark)) is not None:
        if not folder or not (expanded(folder).is_dir() or folder == PHOTOGRAPHS):
            raise UsageError(
                f"{folder or 'The empty name'} is not a folder of images.",
                f"Name an existing folder, or {PHOTOGRAPHS} for those in an installed package.",
            )
    elif benchmark is not None and is_external(benchmark):
        _check_folder(benchmark)
    if benchmark is not None and is_external(benchmark) and benchmark not in (external := identifiers("benchmarks")):
        raise UsageError(
            f"There is no benchmark named {benchmark!r}.",
            nearest(
                benchmark,
                CATALOGUE,
                nearest(benchmark, external, f"Known names: {', '.join(known)} (ARRAY: {', '.join(ARRAYS)})."),
            ),
        )
    requested_weights(weights)
    if model is None:
        return
    if is_named_model(model) or arch is not None:
        check_model_name(model, arch, weights, state_key)
        check_label(label, model)
        if is_user_model(model) and weights != "pretrained":
            raise UsageError(
                f"{model} has its own weights.", f"Leave out the weights, or use the model {arch or 'NAME'}."
            )
        return
    if state_key is not None or label is not None:
        raise UsageError(f"{model} is not a weight file.", "Leave out the state key and the name.")
    external = identifiers("models")
    if model not in external:
        if suggestion := with_source(model):
            library, name = suggestion
            raise ModelError(f"There is no model named {model!r}, but {library} has one.", f"Use {name}.")
        accepted = (
            "`brainscore models list` shows the models of this package; timm:NAME, torchvision:NAME, "
            f"hf:ORGANISATION/NAME and {len(external)} models of Brain-Score are also accepted."
        )
        raise ModelError(f"There is no model named {model!r}.", nearest(model, [*ZOO, *external], accepted))
    if weights != "pretrained":
        raise UsageError(
            f"{model} is a Brain-Score model, which loads its own weights.",
            "Leave out the weights, or choose a timm model (timm:NAME).",
        )


def _of_any_array(benchmark: str) -> str:
    """Replace the name of an array, so that the benchmarks of all arrays have one name."""
    return re.sub("|".join(ARRAYS), "ARRAY", benchmark)


def _check_folder(benchmark: str) -> None:
    """Check that a benchmark is not a folder without a recording, or the path of a folder that does not exist."""
    folder = expanded(benchmark)
    if folder.is_dir():
        raise UsageError(
            f"The folder {benchmark} has no recording.json.",
            "Give the folder that Recording.save wrote; `brainscore data check FOLDER` says what is missing.",
        )
    is_path = benchmark.startswith((".", "~", os.sep)) or folder.name != benchmark or folder.is_file()
    if is_path and benchmark not in identifiers("benchmarks"):
        what, fix = f"There is no folder {benchmark}.", "Give the folder of a recording, or the name of a benchmark."
        if folder.is_file():
            what, fix = f"{benchmark} is a file.", f"{fix} {FOLDER_OF_TABLE}"
        raise UsageError(what, fix)


def is_folder_of_maps(benchmark: str) -> bool:
    """Return whether a benchmark is the path of a folder with a saved recording.

    Examples
    --------
    >>> is_folder_of_maps("it_maps_simulated")
    False
    """
    return (expanded(benchmark) / "recording.json").is_file()


def has_maps(benchmark: str) -> bool:
    """Return whether a benchmark scores maps, so that its layers and its window can be chosen.

    Examples
    --------
    >>> has_maps("it_maps_simulated"), has_maps("ClickMe.alignment")
    (True, False)
    """
    return benchmark in CATALOGUE or is_folder_of_maps(benchmark)


def is_external(benchmark: str) -> bool:
    """Return whether a name can only be that of a benchmark of Brain-Score; it may be unknown there, too.

    Examples
    --------
    >>> is_external("Kar2019-ost"), is_external("it_maps_simulated")
    (True, False)
    """
    return (
        benchmark not in OTHER_KINDS
        and not has_maps(benchmark)
        and not is_human_maps_folder(benchmark)
        and folder_as_clickme(benchmark) is None
        and attacked_folder(benchmark) is None
    )


def brain_score_versions() -> dict[str, str]:
    """Return the versions of Brain-Score, which determine the scores of its benchmarks.

    Examples
    --------
    >>> sorted(brain_score_versions())
    ['brainscore_core', 'brainscore_vision']
    """
    return package_versions(("brainscore_vision", "brainscore_core"))


def requested_window(window: str | None) -> tuple[int, int] | str | None:
    """Parse a window, which is two numbers with a dash between them or a name.

    Examples
    --------
    >>> requested_window("130-170"), requested_window("elife"), requested_window(None)
    ((130, 170), 'elife', None)
    """
    numbers = re.fullmatch(r"(\d+)-(\d+)", window or "")
    return (int(numbers[1]), int(numbers[2])) if numbers else window or None
