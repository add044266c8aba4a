"""Preprocessing that users describe for their own models."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image

from brainscore_itmaps.errors import UsageError, nearest, one_line

Transform = Callable[[Image.Image], torch.Tensor]

NEEDED = ("size", "mean", "std")
OPTIONAL = {"interpolation": "bilinear", "crop": 0.875}
EXAMPLE = "For example preprocessing=dict(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))."
PROBE = 400
EDGE = 12


def read_preprocessing(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check a description of preprocessing, and fill in the defaults.

    Parameters
    ----------
    given : mapping
        ``size`` (pixels), ``mean`` and ``std`` (three numbers each, of RGB values in [0, 1]); and, if wanted,
        ``interpolation`` (by Pillow's name; "bilinear") and ``crop`` (0.875; maps use the whole image).

    Raises
    ------
    UsageError
        When something is missing, unknown or impossible.
    """
    known = [*NEEDED, *OPTIONAL]
    for name in given:
        if name not in known:
            raise UsageError(f"Preprocessing has no {name!r}.", nearest(str(name), known))
    missing = [name for name in NEEDED if name not in given]
    if missing:
        raise UsageError(f"Preprocessing lacks {' and '.join(missing)}.", EXAMPLE)
    said: dict[str, Any] = OPTIONAL | dict(given)
    try:
        said |= {"size": int(said["size"]), "crop": float(said["crop"])}
        said |= {name: tuple(float(value) for value in said[name]) for name in ("mean", "std")}
        right = said["size"] > 0 and 0 < said["crop"] <= 1 and min(said["std"]) > 0
        right = right and len(said["mean"]) == len(said["std"]) == 3
        right = right and said["interpolation"].upper() in Image.Resampling.__members__
    except (TypeError, ValueError, AttributeError):
        right = False
    if not right:
        raise UsageError(f"Preprocessing cannot be {dict(given)}.", EXAMPLE)
    return said


def plain_preprocessing(given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the output of :func:`read_preprocessing` to numbers, texts and lists for a file."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in read_preprocessing(given).items()
    }


def side_of(transform: Transform) -> int:
    """Find height and width in pixels of a transform's output, after checking that it keeps the whole image.

    Positions are counted from the image's edges: a transform that cuts them off would shift every map, without any
    other sign. It is tried on images that differ along one edge.

    Parameters
    ----------
    transform : callable
        Takes an image of Pillow's in RGB, gives a tensor (3, side, side), as torchvision's do.

    Raises
    ------
    UsageError
        When it gives anything else, cuts off an edge, or is random.
    """
    noise = Image.effect_noise((PROBE, PROBE), 60).convert("RGB")
    plain, again = _tried(transform, noise), _tried(transform, noise)
    if not torch.equal(plain, again):
        raise UsageError(
            "The preprocessing returns a different tensor each time for the same image.",
            "Leave out what is random; that is for training.",
        )
    start, end, whole = slice(0, EDGE), slice(PROBE - EDGE, PROBE), slice(0, PROBE)
    edges = {"top": (start, whole), "bottom": (end, whole), "left": (whole, start), "right": (whole, end)}
    lost = []
    for name, (down, across) in edges.items():
        marked = noise.copy()
        marked.paste((255, 255, 255), (across.start, down.start, across.stop, down.stop))
        changed = (_tried(transform, marked) - plain).abs().sum(dim=0)
        outermost = {"top": changed[0], "bottom": changed[-1], "left": changed[:, 0], "right": changed[:, -1]}
        if not outermost[name].any():
            lost.append(name)
    if lost:
        raise UsageError(
            f"The preprocessing cuts off, or moves, the image's edge ({', '.join(lost)}): all maps would be shifted.",
            "Resize the whole image instead of cropping its centre.",
        )
    return int(plain.shape[-1])


def _tried(transform: Transform, image: Image.Image) -> torch.Tensor:
    try:
        given = transform(image)
    except Exception as error:  # somebody else's function
        raise UsageError(
            f"The preprocessing fails on an image of Pillow's: {one_line(error)}.",
            "It takes one image (RGB) and gives a tensor (3, side, side); torchvision.transforms.ToTensor() does.",
        ) from error
    if not isinstance(given, torch.Tensor):
        raise UsageError(f"The preprocessing gives a {type(given).__name__}, not a tensor.", EXAMPLE)
    if given.ndim != 3 or given.shape[0] != 3 or given.shape[1] != given.shape[2] or not given.is_floating_point():
        raise UsageError(
            f"The preprocessing gives {tuple(given.shape)} of {given.dtype}, not floating numbers (3, side, side).",
            "Resize to (side, side) and convert with torchvision.transforms.ToTensor().",
        )
    return given
