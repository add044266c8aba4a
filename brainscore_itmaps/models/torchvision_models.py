"""Classification models of torchvision, with torchvision's weights and preprocessing."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch

from brainscore_itmaps.downloads import check_cached, hub_offline_mode
from brainscore_itmaps.errors import ModelError, nearest, one_line
from brainscore_itmaps.models.layers import committed_layers, map_shapes, readout_layer
from brainscore_itmaps.models.spec import HostedWeights, ModelSpec
from brainscore_itmaps.models.timm_models import group_of_torchvision

PREFIX = "torchvision:"
INITIALISED = ("googlenet", "inception_v3")
"""Architectures that ask to be told whether to initialise their weights."""
BLOCKS = re.compile(
    r"BasicBlock|Bottleneck|ResBottleneckBlock|_?InvertedResidual|(Fused)?MBConv|CNBlock|EncoderBlock|"
    r"SwinTransformerBlock(V2)?|MaxVitLayer|_DenseBlock|Inception[A-E]?"
)
"""Classes of torchvision's blocks; the architectures without any (AlexNet, VGG, SqueezeNet) are plain sequences."""
FORCE_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def build_torchvision(name: str, seed: int, **options: Any) -> torch.nn.Module:
    """Build an architecture of torchvision with random weights, without changing torch's global random state.

    Parameters
    ----------
    name : str
        Name in torchvision, with or without the name of weights.
    seed : int
        Seed of the random weights.
    **options
        Arguments of ``torchvision.models.get_model``.

    Examples
    --------
    >>> from brainscore_itmaps.models.torchvision_models import build_torchvision
    >>> tuple(build_torchvision("squeezenet1_1", 0, num_classes=5).classifier[1].weight.shape)
    (5, 512, 1, 1)
    """
    from torchvision.models import get_model

    architecture = name.split(".")[0]
    if architecture in INITIALISED:
        options = {"init_weights": True} | options
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast(torch.nn.Module, get_model(architecture, weights=None, **options))


def torchvision_pretrained(name: str) -> tuple[str, torch.nn.Module]:
    """Build an architecture with torchvision's weights, downloading and caching them through torch's hub.

    The file is read without running code in it.

    Parameters
    ----------
    name : str
        Architecture, and after a point the name of its weights; by default torchvision's default weights.

    Returns
    -------
    str
        Architecture and weights.
    torch.nn.Module

    Raises
    ------
    ModelError
        When torchvision has no such weights, or they cannot be downloaded.
    """
    from torchvision.models import get_model

    weights, architecture = weights_of(name), name.split(".")[0]
    try:
        with hub_offline_mode(), _tensors_only():
            module = get_model(architecture, weights=weights, progress=False)
    except Exception as error:  # torch's hub raises errors of many types
        check_cached(f"torchvision:{name}", "torch's cache", error)
        raise ModelError(
            f"The weights of torchvision:{name} could not be downloaded: {one_line(error)}.",
            "Connect to the internet once, after which torch caches them; or give a file, or use random weights.",
        ) from error
    return f"{architecture}.{weights.name}", module


def weights_of(name: str) -> Any:
    """Find the weights of torchvision that a name asks for; the default weights if it names none.

    Raises
    ------
    ModelError
        When torchvision has no such weights; the message lists similar names.

    Examples
    --------
    >>> from brainscore_itmaps.models.torchvision_models import weights_of
    >>> weights_of("resnet50").name, weights_of("resnet50.IMAGENET1K_V1").name
    ('IMAGENET1K_V2', 'IMAGENET1K_V1')
    """
    from torchvision.models import get_model_weights

    architecture, _, tag = name.partition(".")
    listed = get_model_weights(architecture)
    if tag and tag not in listed.__members__:
        names = [f"{architecture}.{member}" for member in listed.__members__]
        raise ModelError(f"torchvision has no weights {tag!r} for {architecture}.", nearest(name, names))
    return listed[tag or "DEFAULT"]


def torchvision_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    """Describe a model of torchvision with torchvision's preprocessing and accuracy, and with committed layers.

    Parameters
    ----------
    name : str
        As for ``--model``, with ``torchvision:``. Without the name of weights, the preprocessing is that of the
        default weights, and no accuracy is stated.
    module : torch.nn.Module
        In eval mode.

    Examples
    --------
    >>> from brainscore_itmaps.models.torchvision_models import build_torchvision, torchvision_spec
    >>> spec = torchvision_spec("torchvision:resnet18", build_torchvision("resnet18", 0).eval())
    >>> spec.size, spec.interpolation, spec.layers["IT"]
    (224, 'bilinear', 'layer3.1')
    """
    library_name = name.removeprefix(PREFIX)
    weights = weights_of(library_name)
    has_weights = "." in library_name
    preset = weights.transforms()
    size, resized = preset.crop_size[0], preset.resize_size[0]
    stated = weights.meta["_metrics"].get("ImageNet-1K", {}).get("acc@1", math.nan) if has_weights else math.nan
    top1 = stated if math.isfinite(stated) else None
    transforms_input = bool(getattr(module, "transform_input", False))
    return ModelSpec(
        identifier=name,
        architecture=f"{PREFIX}{library_name.split('.')[0]}",
        weights=HostedWeights(library_name, weights.meta.get("license", "BSD-3-Clause"), weights.url)
        if has_weights
        else None,
        size=size,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
        crop=_crop(size, resized),
        layers=_layers(module, size),
        readout=readout_layer(module, size),
        visual_degrees=8,
        top1=top1,
        top1_source=f"torchvision's results for {library_name} at {size} pixels" if top1 is not None else None,
        citation="",
        group=group_of_torchvision(library_name),
        options={"transform_input": True} if transforms_input else {},
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )


def _layers(module: torch.nn.Module, size: int) -> dict[str, str]:
    """Choose the layers that are committed to V1, V2, V4 and IT by the rule for all models, among torchvision's blocks.

    The rule for other models would take parts of these blocks, such as squeeze and excitation, for blocks.
    """
    blocks: list[str] = []
    for name, child in module.named_modules():
        if BLOCKS.fullmatch(type(child).__name__) and not any(name.startswith(f"{block}.") for block in blocks):
            blocks.append(name)
    reductions = {layer: round(math.log2(size / side)) for layer, (_, side) in map_shapes(module, blocks, size).items()}
    if not reductions:
        return committed_layers(module, size)
    layers = list(reductions)
    fine = [layer for layer in layers if reductions[layer] <= 4]  # units of 16 pixels
    all_alike = len(set(reductions.values())) == 1
    up_to_it = layers[: round(2 / 3 * (len(layers) - 1)) + 1] if all_alike else layers[: layers.index(fine[-1]) + 1]
    shares = {"V1": 0.25, "V2": 0.5, "V4": 0.75, "IT": 1.0}
    return {region: up_to_it[round(share * (len(up_to_it) - 1))] for region, share in shares.items()}


def _crop(size: int, resized: int) -> float:
    """Return the share of the side that is cropped, such that timm's division gives the resized side exactly."""
    crop = size / resized
    return crop if int(size / crop) == resized else size / (resized + 0.01)


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Let torch read only tensors from files: torchvision has no argument for this."""
    original = os.environ.get(FORCE_TENSORS_ONLY)
    os.environ[FORCE_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        if original is None:
            del os.environ[FORCE_TENSORS_ONLY]
        else:
            os.environ[FORCE_TENSORS_ONLY] = original
