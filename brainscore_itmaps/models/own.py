"""Models of users: modules, weight files with an architecture, functions in Python files."""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ItMapsError, ModelError, UsageError, one_line
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.model import IN_MEMORY, Model, hash_of
from brainscore_itmaps.models.preprocessing import EXAMPLE, Transform, read_preprocessing, side_of
from brainscore_itmaps.models.spec import ModelSpec, Weights

Preprocessing = Mapping[str, Any] | Transform


def wrap_model(module: torch.nn.Module, preprocessing: Preprocessing | None, name: str | None = None) -> Model:
    """Describe a module: how its images are preprocessed, and which layers it commits.

    Layers are chosen as for any model of timm (:func:`~brainscore_itmaps.models.layers.committed_layers`).

    Parameters
    ----------
    module : torch.nn.Module
        Takes images (image, 3, size, size). It is put into eval mode.
    preprocessing : mapping or callable, optional
        See :func:`~brainscore_itmaps.models.own.read_preprocessing` and
        :func:`~brainscore_itmaps.models.own.side_of`. May be left out for timm's modules, which know it.
    name : str, optional
        By default that of the class. The model's name carries a hash of its parameters too.

    Raises
    ------
    UsageError
        When preprocessing is not said, or cannot be used.
    ModelError
        When the module has no parameters, or cannot be shown an image of that size.
    """
    if next(module.parameters(), None) is None:
        raise ModelError(f"A {type(module).__name__} without parameters is not a model.", "Give one that has some.")
    transform = preprocessing if callable(preprocessing) else None
    if preprocessing is not None and not isinstance(preprocessing, Mapping) and transform is None:
        raise UsageError(f"Preprocessing cannot be {preprocessing!r}.", EXAMPLE)
    if isinstance(preprocessing, Mapping):
        said = read_preprocessing(preprocessing)
    elif transform is not None:
        said = {"size": side_of(transform), "mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "", "crop": 1.0}
    elif hasattr(module, "pretrained_cfg"):
        said = timm_preprocessing(module)
    else:
        raise UsageError(f"How images are preprocessed for a {type(module).__name__} is not said.", EXAMPLE)
    module.eval()
    try:
        layers, readout = committed_layers(module, said["size"]), readout_layer(module, said["size"])
    except ItMapsError:
        raise
    except Exception as error:  # somebody else's forward
        raise ModelError(
            f"A {type(module).__name__} cannot be shown an image (1, 3, {said['size']}, {said['size']}): "
            f"{one_line(error)}.",
            "Check the size in preprocessing, and that the parameters are of 32 bits.",
        ) from error
    weights = Weights("module", sha256=hash_of(module))
    name = f"{name or type(module).__name__}-{str(weights.sha256)[:8]}"
    spec = ModelSpec(
        identifier=name,
        architecture=type(module).__qualname__,
        weights=None,
        **said,
        layers=layers,
        readout=readout,
        visual_degrees=8,
        top1=None,
        top1_source=None,
        citation="",
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )
    asked = replace(IN_MEMORY, name=name)
    return Model(name, spec, module, weights, asked, transform=transform, own_code=True)


def timm_preprocessing(module: torch.nn.Module) -> dict[str, Any]:
    """Read timm's description of a module's input, in the terms of a ModelSpec."""
    from timm.data import resolve_data_config

    config = resolve_data_config({}, model=module)
    return {
        "size": config["input_size"][-1],
        "mean": tuple(config["mean"]),
        "std": tuple(config["std"]),
        "interpolation": config["interpolation"],
        "crop": config["crop_pct"],
    }


def model_from_code(reference: str) -> Model:
    """Run a function in a Python file, and wrap the model that it returns.

    Parameters
    ----------
    reference : str
        ``my_file.py:build``. The function takes nothing, and gives a module, or a module and its preprocessing
        (:func:`wrap_model`).

    Raises
    ------
    ModelError, UsageError
        When there is no such file or function, when it fails, or gives something else.
    """
    path, _, function = reference.rpartition(":")
    file = Path(path).expanduser().resolve()
    try:
        given = _function(file, function)()
    except ItMapsError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code
        raise ModelError(
            f"{function} in {file.name} fails: {type(error).__name__}: {one_line(error)}.",
            "`brainscore --debug ...` shows where.",
        ) from error
    module, preprocessing = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    if isinstance(module, Model):
        return module
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"{function} in {file.name} gives a {type(module).__name__}.",
            "Let it return a torch.nn.Module, or (module, preprocessing).",
        )
    return wrap_model(module, preprocessing, f"{file.stem}.{function}")


def _function(file: Path, name: str) -> Callable[[], Any]:
    found = importlib.util.spec_from_file_location(file.stem, file)
    assert found is not None
    assert found.loader is not None
    code = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(file.parent))  # so that the file finds what lies beside it, as when Python runs it
    try:
        found.loader.exec_module(code)
    finally:
        sys.path.remove(str(file.parent))
    function = getattr(code, name, None)
    if not callable(function):
        raise ModelError(f"{file.name} has no function {name!r}.", f"For example --model {file.name}:build.")
    return function  # type: ignore[no-any-return]


@contextmanager
def borrowed(module: torch.nn.Module) -> Iterator[None]:
    """Restore a user's module to its mode and device after a ``with`` block."""
    modes = {part: part.training for part in module.modules()}
    device = next((parameter.device for parameter in module.parameters()), None)
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
        if device is not None:
            module.to(device)
