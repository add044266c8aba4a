"""Run any torch module on images: compiled or not, in any precision, with its input as a keyword or not."""

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch

from brainscore_itmaps.errors import ModelError

KEYWORD = "pixel_values"
"""Name of the images in the ``forward`` of transformers' models."""
COMPILED = "OptimizedModule"
"""Name of the class of modules that ``torch.compile`` returns."""


def run_module(module: torch.nn.Module, images: torch.Tensor) -> Any:
    """Run a module on images, on the device and in the common precision of its parameters, without compiled code.

    Compiled code of ``torch.compile`` and ``module.compile()`` computes the same, but runs no hooks of layers.

    Parameters
    ----------
    module : torch.nn.Module
    images : tensor, shape (image, channel, y, x)

    Returns
    -------
    object
        Output of the module.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.forward import run_module
    >>> run_module(torch.nn.Conv2d(3, 2, 1).double(), torch.zeros(1, 3, 4, 4)).dtype
    torch.float64
    """
    parameters = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
    if parameters:
        images = images.to(parameters[0].device)
    if len(precisions := {parameter.dtype for parameter in parameters}) == 1:  # a mixture converts by itself
        images = images.to(precisions.pop())
    with torch.compiler.set_stance("force_eager") if _is_compiled(module) else nullcontext():
        return module(**{KEYWORD: images}) if _takes_keyword(module) else module(images)


def _is_compiled(module: torch.nn.Module) -> bool:
    """Return whether any part of a module is compiled; a test that imports no compiler, which takes seconds."""
    return any(
        getattr(child, "_compiled_call_impl", None) is not None or type(child).__name__ == COMPILED
        for child in module.modules()
    )


def _takes_keyword(module: torch.nn.Module) -> bool:
    try:
        return KEYWORD in inspect.signature(module.forward).parameters
    except (TypeError, ValueError):  # no signature
        return False


def logits_of(output: Any) -> Any:
    """Return the logits in the output of a classifier: the output itself, or its ``logits``.

    Examples
    --------
    >>> from brainscore_itmaps.models.forward import logits_of
    >>> logits_of({"logits": [1.0], "hidden_states": None})
    [1.0]
    """
    if isinstance(output, Mapping):
        return output.get("logits", output)
    return getattr(output, "logits", output)


def unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module inside the wrappers of ``torch.compile``, DataParallel, DDP and averaged models.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.forward import unwrapped
    >>> module = torch.nn.Linear(3, 2)
    >>> unwrapped(torch.nn.DataParallel(module)) is module
    True
    """
    from torch.nn.parallel import DataParallel, DistributedDataParallel
    from torch.optim.swa_utils import AveragedModel

    while type(module).__name__ == COMPILED or isinstance(
        module, DataParallel | DistributedDataParallel | AveragedModel
    ):
        module = module._orig_mod if type(module).__name__ == COMPILED else module.module  # type: ignore[assignment]
    return module


def check_module(module: torch.nn.Module) -> None:
    """Check that hooks can read the layers of a module, and that its parameters have values.

    Parameters
    ----------
    module : torch.nn.Module

    Raises
    ------
    ModelError
        When the module is of TorchScript, has no parameters, or has parameters without values (lazy modules, the meta
        device).

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.forward import check_module
    >>> check_module(torch.nn.Linear(3, 2))
    """
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            f"A {kind} is TorchScript, whose layers cannot be read while it runs.",
            "Give the module from which it was made; TorchScript's weights can be loaded into it with "
            "load_state_dict(scripted.state_dict()).",
        )
    if isinstance(module, torch.fx.GraphModule) and not _runs_its_layers(module):
        raise ModelError(
            f"The {kind} was made by torch.export, which removes the layers and keeps only their operations.",
            "Give the module that was exported.",
        )
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in [*module.parameters(), *module.buffers()]):
        raise ModelError(
            f"The {kind} has lazy modules, whose parameters do not exist before the first forward pass.",
            "Run it once on an input of the right shape, or load its weights.",
        )
    if any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()]):
        raise ModelError(
            f"The {kind} has parameters on the meta device, which have no values.",
            "Load its weights with load_state_dict(..., assign=True).",
        )
    if next(module.parameters(), None) is None:
        raise ModelError(f"A {kind} without parameters is not a model.", PARAMETERS)


def _runs_its_layers(module: torch.fx.GraphModule) -> bool:
    """Return whether a graph calls layers with parameters, as those of ``torch.fx.symbolic_trace`` do."""
    layers = dict(module.named_modules())
    called = [layers.get(str(node.target)) for node in module.graph.nodes if node.op == "call_module"]
    return any(layer is not None and next(layer.parameters(), None) is not None for layer in called)


PARAMETERS = "Give a module that has parameters; of a quantised model, give the module before quantisation."


def input_channels(module: torch.nn.Module, size: int, expected: int | None = None) -> int:
    """Find the number of channels of a module's images: 3 for colour, or 1 for grey.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.
    expected : int, optional
        Number of channels that the user states; it is not tested.

    Returns
    -------
    int
        1 if the module fails on images with 3 channels, but takes images with 1; otherwise 3.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.forward import input_channels
    >>> input_channels(torch.nn.Conv2d(1, 8, 3), size=16), input_channels(torch.nn.Conv2d(3, 8, 3), size=16)
    (1, 3)
    """
    if expected is not None:
        return expected
    first = next((child for child in module.modules() if isinstance(child, torch.nn.Conv2d | torch.nn.Linear)), None)
    if isinstance(first, torch.nn.Conv2d) and first.in_channels == 3:
        return 3
    return 1 if not _runs(module, 3, size) and _runs(module, 1, size) else 3


def _runs(module: torch.nn.Module, channels: int, size: int) -> bool:
    try:
        with torch.inference_mode():
            run_module(module, torch.zeros(1, channels, size, size))
    except Exception:  # noqa: BLE001 - the user's forward may raise anything
        return False
    return True
