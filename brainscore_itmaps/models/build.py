"""Build a model's architecture with timm."""

from typing import Any, cast

import torch

from brainscore_itmaps.downloads import hub_settings
from brainscore_itmaps.errors import ModelError, nearest, one_line

PADDED_LIKE_KERAS = ("layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2")


def build(timm_name: str, seed: int, **options: Any) -> torch.nn.Module:
    """Build an architecture with random weights; torch's global random state is unchanged.

    Parameters
    ----------
    timm_name : str
        With or without a tag.
    seed : int
    **options
        For timm; ``same_padding=True`` builds a ResNet that pads as TensorFlow does where that differs.

    Raises
    ------
    ModelError
        When timm has no weights of that tag.
    """
    import timm

    check_tag(timm_name)
    same_padding = options.pop("same_padding", False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = cast(torch.nn.Module, timm.create_model(timm_name, **options))
        return pad_like_keras(module) if same_padding else module


def pad_like_keras(resnet: torch.nn.Module) -> torch.nn.Module:
    """Pad a ResNet-50's pooling and its strided 3 x 3 convolutions at the bottom and right, as TensorFlow's SAME does.

    Torch pads both sides; on even maps that shifts the map by half a unit of the coarser one. The stem pads both sides
    in Keras too.
    """
    from timm.layers import Conv2dSame
    from timm.layers.pool2d_same import MaxPool2dSame

    modules = dict(resnet.named_modules())
    for name in PADDED_LIKE_KERAS:
        old = modules[name]
        new = Conv2dSame(old.in_channels, old.out_channels, old.kernel_size, stride=old.stride, bias=False)
        new.load_state_dict(old.state_dict())
        parent, _, child = name.rpartition(".")
        setattr(modules[parent], child, new)
    resnet.maxpool = MaxPool2dSame(kernel_size=3, stride=2)
    return resnet


def timm_pretrained(timm_name: str) -> torch.nn.Module:
    """Build an architecture with timm's pretrained weights, which timm's hub caches on this machine.

    Raises
    ------
    ModelError
        When they cannot be downloaded, or are not on this machine and the settings say offline.
    """
    import timm

    check_tag(timm_name)
    try:
        with hub_settings():
            return cast(torch.nn.Module, timm.create_model(timm_name, pretrained=True))
    except Exception as error:  # timm and its hub raise many kinds: no connection, no such file, no weights
        raise ModelError(
            f"The pretrained weights of timm:{timm_name} could not be downloaded: {one_line(error)}.",
            "Connect to the internet once (timm caches the download), or give --weights FILE or --weights random.",
        ) from error


def check_tag(timm_name: str) -> None:
    """Check that timm has weights for a tag.

    Raises
    ------
    ModelError
        With those that look most like it.
    """
    import timm

    architecture, _, tag = timm_name.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and timm_name not in tagged:
        raise ModelError(f"timm has no weights tagged {tag!r} for {architecture}.", nearest(timm_name, tagged))
