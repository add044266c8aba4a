"""Build architectures with random weights, or with timm's pretrained weights."""

from typing import Any, cast

import torch

from brainscore_itmaps.downloads import check_cached, hub_offline_mode
from brainscore_itmaps.errors import ModelError, nearest, one_line

PADDED_LIKE_KERAS = ("layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2")


def build(name: str, seed: int, **options: Any) -> torch.nn.Module:
    """Build an architecture with random weights, without changing torch's global random state.

    Parameters
    ----------
    name : str
        Name of the architecture in timm, with or without a tag; or ``torchvision:`` or ``hf:`` and a name there.
    seed : int
        Seed of the random weights.
    **options
        Arguments of ``timm.create_model``, or of the function of the other library; for timm also
        ``same_padding=True``, which builds a ResNet with the padding of TensorFlow (:func:`pad_like_keras`).

    Raises
    ------
    ModelError
        When timm has no weights with that tag.

    Examples
    --------
    >>> from brainscore_itmaps.models.build import build
    >>> module = build("test_resnet", seed=0, num_classes=5)
    >>> tuple(module.fc.weight.shape)
    (5, 96)
    """
    if name.startswith("torchvision:"):
        from brainscore_itmaps.models.torchvision_models import build_torchvision

        return build_torchvision(name.removeprefix("torchvision:"), seed, **options)
    if name.startswith("hf:"):
        from brainscore_itmaps.models.hub_models import build_hub_model

        return build_hub_model(name.removeprefix("hf:"), seed, **options)
    import timm

    timm_name = name.removeprefix("timm:")
    check_tag(timm_name)
    same_padding = options.pop("same_padding", False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = cast(torch.nn.Module, timm.create_model(timm_name, **options))
        return pad_like_keras(module) if same_padding else module


def pad_like_keras(resnet: torch.nn.Module) -> torch.nn.Module:
    """Replace the padding of a ResNet's pooling and strided 3 x 3 convolutions by that of TensorFlow's "SAME".

    TensorFlow pads maps of even size at the bottom and right, torch at both sides, which shifts the result by half a
    unit. The stem is unchanged, because Keras pads it at both sides too.

    Parameters
    ----------
    resnet : torch.nn.Module
        timm ResNet with bottleneck blocks; it is changed in place.

    Examples
    --------
    >>> import timm
    >>> from brainscore_itmaps.models.build import pad_like_keras
    >>> type(pad_like_keras(timm.create_model("resnet26")).layer2[0].conv2).__name__
    'Conv2dSame'
    """
    from timm.layers import Conv2dSame
    from timm.layers.pool2d_same import MaxPool2dSame

    modules = dict(resnet.named_modules())
    for name in PADDED_LIKE_KERAS:
        conv = modules[name]
        replacement = Conv2dSame(conv.in_channels, conv.out_channels, conv.kernel_size, stride=conv.stride, bias=False)
        replacement.load_state_dict(conv.state_dict())
        parent, _, child = name.rpartition(".")
        setattr(modules[parent], child, replacement)
    resnet.maxpool = MaxPool2dSame(kernel_size=3, stride=2)
    return resnet


def timm_pretrained(timm_name: str) -> torch.nn.Module:
    """Build an architecture with timm's pretrained weights, downloading and caching them through timm.

    Parameters
    ----------
    timm_name : str
        Name of the architecture in timm, with or without a tag.

    Raises
    ------
    ModelError
        When timm has no weights with that tag, when the weights cannot be downloaded, or when they are not cached and
        offline mode forbids downloading them.
    """
    import timm

    check_tag(timm_name)
    try:
        with hub_offline_mode():
            return cast(torch.nn.Module, timm.create_model(timm_name, pretrained=True))
    except Exception as error:  # timm and huggingface_hub raise errors of many types
        check_cached(f"timm:{timm_name}", "timm's cache", error)
        raise ModelError(
            f"The pretrained weights of timm:{timm_name} could not be downloaded: {one_line(error)}.",
            "Connect to the internet once, after which timm caches them; or give a file, or use random weights.",
        ) from error


def check_tag(timm_name: str) -> None:
    """Check that timm has pretrained weights with the tag in a name; a name without a tag is valid.

    Raises
    ------
    ModelError
        When timm has no weights with that tag; the message lists similar names.

    Examples
    --------
    >>> from brainscore_itmaps.errors import ModelError
    >>> from brainscore_itmaps.models.build import check_tag
    >>> check_tag("resnet18.a1_in1k")
    >>> try:
    ...     check_tag("resnet18.a9_in1k")
    ... except ModelError as error:
    ...     print(str(error).split(". ")[0])
    timm has no weights tagged 'a9_in1k' for resnet18
    """
    import timm

    architecture, _, tag = timm_name.partition(".")
    names = timm.list_pretrained(f"{architecture}.*")
    if tag and timm_name not in names:
        raise ModelError(f"timm has no weights tagged {tag!r} for {architecture}.", nearest(timm_name, names))
