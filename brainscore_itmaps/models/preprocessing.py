"""Check the preprocessing that users give for their models: a mapping, or a function."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image

from brainscore_itmaps.errors import UsageError, nearest, one_line

Transform = Callable[[Image.Image], torch.Tensor]

REQUIRED = ("size", "mean", "std")
OPTIONAL = {"interpolation": "bilinear", "crop": 0.875}
CHANNELS = "channels"
"""Optional key: 3 for colour, 1 for grey; by default the number of values in ``mean``."""
GREY = "the model takes grey images: colours are converted by ITU-R 601 (.299 red, .587 green, .114 blue)"
EXAMPLE = "For example preprocessing=dict(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))."
PROBE_SIDE = 400
"""Height and width in pixels of the images on which a function is tested."""
EDGE_WIDTH = 12
"""Width in pixels of the edges that are changed in these images."""


def read_preprocessing(preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """Check a description of preprocessing, and add the default values.

    Parameters
    ----------
    preprocessing : mapping
        Required: ``size`` (pixels), ``mean`` and ``std`` (three numbers each, for RGB values in [0, 1], or one for grey
        images). Optional: ``interpolation`` (Pillow's name; "bilinear"), ``crop`` (0.875; maps use the whole image) and
        ``channels`` (3 or 1; three equal values are then one).

    Returns
    -------
    dict
        The five keys of a ModelSpec; the length of ``mean`` is the number of channels.

    Raises
    ------
    UsageError
        When a key is missing or unknown, or a value is invalid.

    Examples
    --------
    >>> from brainscore_itmaps.models.preprocessing import read_preprocessing
    >>> read_preprocessing(dict(size=224, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)))["crop"]
    0.875
    """
    keys = [*REQUIRED, *OPTIONAL, CHANNELS]
    for name in preprocessing:
        if name not in keys:
            raise UsageError(f"Preprocessing has an unknown key {name!r}.", nearest(str(name), keys))
    missing = [name for name in REQUIRED if name not in preprocessing]
    if missing:
        raise UsageError(f"Preprocessing lacks {', '.join(missing)}.", EXAMPLE)
    checked: dict[str, Any] = OPTIONAL | dict(preprocessing)
    channels = checked.pop(CHANNELS, None)
    try:
        checked |= {"size": int(checked["size"]), "crop": float(checked["crop"])}
        checked |= {name: tuple(float(value) for value in checked[name]) for name in ("mean", "std")}
        valid = checked["size"] > 0 and 0 < checked["crop"] <= 1 and min(checked["std"]) > 0
        valid = valid and len(checked["mean"]) == len(checked["std"]) in (1, 3) and channels in (None, 1, 3)
        valid = valid and checked["interpolation"].upper() in Image.Resampling.__members__
    except (TypeError, ValueError, AttributeError):
        valid = False
    if not valid:
        raise UsageError(f"Preprocessing cannot be {dict(preprocessing)}.", EXAMPLE)
    if channels == 1:
        checked |= grey_preprocessing(checked["mean"], checked["std"])
    elif channels == 3 and len(checked["mean"]) == 1:
        checked |= {name: checked[name] * 3 for name in ("mean", "std")}
    return checked


def grey_preprocessing(mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
    """Return mean and standard deviation for grey images: of three equal values, one; of three others, their average.

    Examples
    --------
    >>> from brainscore_itmaps.models.preprocessing import grey_preprocessing
    >>> grey_preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    {'mean': (0.5,), 'std': (0.25,)}
    """
    pairs = {"mean": mean, "std": std}
    return {
        name: values[:1] if len(set(values)) == 1 else (sum(values) / len(values),) for name, values in pairs.items()
    }


def plain_preprocessing(preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a description of preprocessing, with its default values, to types that JSON can hold.

    Examples
    --------
    >>> from brainscore_itmaps.models.preprocessing import plain_preprocessing
    >>> plain_preprocessing(dict(size=224, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)))["mean"]
    [0.5, 0.4, 0.3]
    """
    checked = read_preprocessing(preprocessing)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in checked.items()}


def output_shape(transform: Transform) -> tuple[int, int]:
    """Find the channels and the side in pixels of a preprocessing function's output, and check that it keeps edges.

    Maps are aligned with the edges of the image, so that a function that cuts off edges would shift every map. The
    function is tested on images that differ along one edge.

    Parameters
    ----------
    transform : callable
        Converts an RGB Pillow image to a tensor (3, side, side), as torchvision's transforms do, or (1, side, side).

    Returns
    -------
    int
        Number of channels, 1 or 3.
    int
        Height and width.

    Raises
    ------
    UsageError
        When the function returns something else, cuts off an edge, or is random.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from brainscore_itmaps.models.preprocessing import output_shape
    >>> def transform(image):
    ...     pixels = np.asarray(image.resize((64, 64)), np.float32) / 255
    ...     return torch.from_numpy(pixels).permute(2, 0, 1)
    >>> output_shape(transform)
    (3, 64)
    """
    noise = Image.effect_noise((PROBE_SIDE, PROBE_SIDE), 60).convert("RGB")
    reference = _apply(transform, noise)
    if not torch.equal(reference, _apply(transform, noise)):
        raise UsageError(
            "The preprocessing returns a different tensor each time for the same image.",
            "Remove random transforms, which are for training.",
        )
    start, end, full = slice(0, EDGE_WIDTH), slice(PROBE_SIDE - EDGE_WIDTH, PROBE_SIDE), slice(0, PROBE_SIDE)
    edges = {"top": (start, full), "bottom": (end, full), "left": (full, start), "right": (full, end)}
    lost = []
    for name, (rows, columns) in edges.items():
        marked = noise.copy()
        marked.paste((255, 255, 255), (columns.start, rows.start, columns.stop, rows.stop))
        changed = (_apply(transform, marked) - reference).abs().sum(dim=0)
        outermost = {"top": changed[0], "bottom": changed[-1], "left": changed[:, 0], "right": changed[:, -1]}
        if not outermost[name].any():
            lost.append(name)
    if lost:
        raise UsageError(
            f"The preprocessing cuts off or moves edges of the image ({', '.join(lost)}): all maps would be shifted.",
            "Resize the whole image instead of cropping its centre.",
        )
    return int(reference.shape[0]), int(reference.shape[-1])


def _apply(transform: Transform, image: Image.Image) -> torch.Tensor:
    """Apply a preprocessing function to an image, and check its output."""
    try:
        output = transform(image)
    except Exception as error:  # the user's function may raise anything
        raise UsageError(
            f"The preprocessing fails on a Pillow image: {one_line(error)}.",
            "It must convert an RGB image to a tensor (3, side, side), as torchvision.transforms.ToTensor() does.",
        ) from error
    if not isinstance(output, torch.Tensor):
        raise UsageError(f"The preprocessing returns a {type(output).__name__}, not a tensor.", EXAMPLE)
    if (
        output.ndim != 3
        or output.shape[0] not in (1, 3)
        or output.shape[1] != output.shape[2]
        or not output.is_floating_point()
    ):
        raise UsageError(
            f"The preprocessing returns a tensor {tuple(output.shape)} of {output.dtype}, not floating-point numbers "
            "(3, side, side).",
            "Resize to (side, side) and convert with torchvision.transforms.ToTensor().",
        )
    return output
