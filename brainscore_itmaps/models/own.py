"""Models of users: torch modules, and functions in Python files that return one."""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ItMapsError, ModelError, UsageError, one_line
from brainscore_itmaps.models.forward import check_module, input_channels, run_module, unwrapped
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.model import IN_MEMORY, Model, hash_parameters
from brainscore_itmaps.models.preprocessing import (
    CHANNELS,
    EXAMPLE,
    GREY,
    Transform,
    grey_preprocessing,
    output_shape,
    read_preprocessing,
)
from brainscore_itmaps.models.spec import ModelSpec, Weights
from brainscore_itmaps.settings import expanded

Preprocessing = Mapping[str, Any] | Transform


def wrap_model(module: torch.nn.Module, preprocessing: Preprocessing | None, name: str | None = None) -> Model:
    """Wrap a torch module as a model, with its preprocessing and its committed layers.

    The layers are chosen as for timm's models (:func:`~brainscore_itmaps.models.layers.committed_layers`).

    Parameters
    ----------
    module : torch.nn.Module
        Its input has the shape (image, 3, size, size), or (image, 1, size, size) for grey images. It is put into eval
        mode. Of a module that ``torch.compile``, DataParallel or DDP wraps, the module inside is used.
    preprocessing : mapping or callable, optional
        A mapping, as for :func:`~brainscore_itmaps.models.preprocessing.read_preprocessing`, or a function, as for
        :func:`~brainscore_itmaps.models.preprocessing.output_shape`. Optional for timm's modules, which describe it.
    name : str, optional
        By default the name of the class. The first eight digits of the hash of the parameters are appended.

    Raises
    ------
    UsageError
        When the preprocessing is missing or invalid.
    ModelError
        When the module has no parameters or parameters without values, is TorchScript, or fails on an image of that
        size.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.own import wrap_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    >>> model = wrap_model(module, dict(size=32, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)), name="small")
    >>> model.name[:6], model.spec.layers["IT"], model.spec.parameters
    ('small-', '1', 224)
    """
    module = unwrapped(module)
    check_module(module)
    transform = preprocessing if callable(preprocessing) else None
    if preprocessing is not None and not isinstance(preprocessing, Mapping) and transform is None:
        raise UsageError(f"Preprocessing cannot be {preprocessing!r}.", EXAMPLE)
    settings: dict[str, Any]
    channels = None
    if isinstance(preprocessing, Mapping):
        settings = read_preprocessing(preprocessing)
        channels = len(settings["mean"]) if CHANNELS in preprocessing or len(settings["mean"]) == 1 else None
    elif transform is not None:
        channels, side = output_shape(transform)
        settings = {"size": side, "mean": (0.0,) * channels, "std": (1.0,) * channels, "interpolation": "", "crop": 1.0}
    elif hasattr(module, "pretrained_cfg"):
        settings = timm_preprocessing(module)
    else:
        raise UsageError(f"The preprocessing of images for a {type(module).__name__} is missing.", EXAMPLE)
    module.eval()
    size = settings["size"]
    stated = channels is not None
    if input_channels(module, size, channels) == 1:
        settings |= grey_preprocessing(settings["mean"], settings["std"])
    channels = len(settings["mean"])
    try:
        if stated:
            with torch.inference_mode():
                run_module(module, torch.zeros(1, channels, size, size))
        layers, readout = committed_layers(module, size), readout_layer(module, size)
    except ItMapsError:
        raise
    except Exception as error:  # the user's forward may raise anything
        raise ModelError(
            f"A {type(module).__name__} fails on an image (1, {channels}, {size}, {size}): {one_line(error)}.",
            "Check the size and the channels in preprocessing.",
        ) from error
    weights = Weights("module", sha256=hash_parameters(module))
    name = f"{name or type(module).__name__}-{str(weights.sha256)[:8]}"
    spec = ModelSpec(
        identifier=name,
        architecture=type(module).__qualname__,
        weights=None,
        **settings,
        layers=layers,
        readout=readout,
        visual_degrees=8,
        top1=None,
        top1_source=None,
        citation="",
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )
    request = replace(IN_MEMORY, name=name)
    notes = (GREY,) if channels == 1 and transform is None else ()
    return Model(name, spec, module, weights, request, notes=notes, transform=transform, own_code=True)


def timm_preprocessing(module: torch.nn.Module) -> dict[str, Any]:
    """Read the preprocessing of a timm module, with the keys of a ModelSpec.

    Examples
    --------
    >>> import timm
    >>> from brainscore_itmaps.models.own import timm_preprocessing
    >>> preprocessing = timm_preprocessing(timm.create_model("test_resnet"))
    >>> preprocessing["size"], preprocessing["mean"], preprocessing["crop"]
    (160, (0.5, 0.5, 0.5), 0.95)
    """
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
    """Call a function in a Python file, and wrap the module that it returns as a model.

    Parameters
    ----------
    reference : str
        Path and function: ``my_file.py:build``. The function is called without arguments and returns a module, or
        (module, preprocessing) as for :func:`wrap_model`.

    Raises
    ------
    ModelError, UsageError
        When the file or the function does not exist, when the function fails, or returns something else.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.models.own import model_from_code
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "mine.py")
    ...     _ = file.write_text("import timm\\ndef build():\\n    return timm.create_model('test_resnet')")
    ...     model_from_code(f"{file}:build").name[:11]
    'mine.build-'
    """
    path, _, function = reference.rpartition(":")
    file = expanded(path).resolve()
    try:
        returned = _load_function(file, function)()
    except ItMapsError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code
        raise ModelError(
            f"{function} in {file.name} fails: {type(error).__name__}: {one_line(error)}.",
            "`brainscore --debug ...` prints the traceback.",
        ) from error
    module, preprocessing = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
    if isinstance(module, Model):
        return module
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"{function} in {file.name} returns a {type(module).__name__}, not a model.",
            "Return a torch.nn.Module, or (module, preprocessing).",
        )
    return wrap_model(module, preprocessing, f"{file.stem}.{function}")


def _load_function(file: Path, name: str) -> Callable[[], Any]:
    """Import a Python file, with its folder on the path, and return one of its functions."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))  # the file can import others in its folder, as when Python runs it
    try:
        spec.loader.exec_module(code)
    finally:
        sys.path.remove(str(file.parent))
    function = getattr(code, name, None)
    if not callable(function):
        raise ModelError(f"{file.name} has no function {name!r}.", f"Name a function in it, as in {file.name}:build.")
    return function  # type: ignore[no-any-return]


@contextmanager
def restore_mode_and_device(module: torch.nn.Module) -> Iterator[None]:
    """Restore the training mode and the device of a user's module after a ``with`` block.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.own import restore_mode_and_device
    >>> module = torch.nn.Linear(3, 2).train()
    >>> with restore_mode_and_device(module):
    ...     _ = module.eval()
    >>> module.training
    True
    """
    modes = {submodule: submodule.training for submodule in module.modules()}
    device = next((parameter.device for parameter in module.parameters()), None)
    try:
        yield
    finally:
        for submodule, training in modes.items():
            submodule.training = training
        if device is not None:
            module.to(device)
