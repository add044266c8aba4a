"""Choose layers of a model, and arrange their activations as maps."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError, NoMapError

ROWS = (torch.nn.Sequential, torch.nn.ModuleList)


def block_layers(module: torch.nn.Module, size: int) -> list[str]:
    """List the blocks of a model, in the order of the model.

    A block is a module with parts that stands in a row of others (a Sequential or a list), and has no such row of
    blocks inside: ``layer4.2`` of a ResNet, ``blocks.11`` of a vision transformer. Models without blocks, such as
    VGG, give every part of their rows. Only those whose answer has places in it count.

    Parameters
    ----------
    module : torch.nn.Module
    size : int
        Height and width of the input in pixels.
    """
    return layers_with_maps(module, list(_blocks(module)), size) or layers_with_maps(module, list(_parts(module)), size)


def _blocks(module: torch.nn.Module, path: str = "") -> Iterator[str]:
    """List the names of the blocks in a module that is not a block itself."""
    for name, child in module.named_children():
        inside = f"{path}.{name}" if path else name
        is_block = isinstance(module, ROWS) and not isinstance(child, ROWS) and _has_parts(child)
        if is_block and not any(_is_row_of_blocks(part) for part in child.children()):
            yield inside
        else:
            yield from _blocks(child, inside)


def _is_row_of_blocks(module: torch.nn.Module) -> bool:
    return isinstance(module, ROWS) and len(module) > 0 and all(map(_has_parts, module.children()))


def _has_parts(module: torch.nn.Module) -> bool:
    return next(module.children(), None) is not None


def _parts(module: torch.nn.Module) -> Iterator[str]:
    """List the names of all members of a sequence of modules."""
    for name, row in module.named_modules():
        if isinstance(row, ROWS):
            yield from (f"{name}.{part}" if name else part for part, _ in row.named_children())


def committed_layers(module: torch.nn.Module, size: int) -> dict[str, str]:
    """Choose the layers for V1, V2, V4 and IT of any model.

    IT is the last stage of at most 16 pixels a unit; of equal stages, two thirds up. The stages are those that timm
    describes, as far as one forward pass goes through them and they give one tensor with places in it; else the blocks.
    V1, V2 and V4 are the blocks at a quarter, a half and three quarters of the way there. When nothing gives a map,
    no layer is committed, and the caller has to name one.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.
    """
    described = getattr(module, "feature_info", None) or []
    names = {name for name, _ in module.named_modules()}
    reductions = {info["module"]: info["reduction"] for info in described if info["module"] in names}
    stages = {layer: reductions[layer] for layer in layers_with_maps(module, list(reductions), size)}
    shapes = map_shapes(module, list(_blocks(module)), size) or map_shapes(module, list(_parts(module)), size)
    blocks = {layer: 2 ** round(math.log2(size / side)) for layer, (_, side) in shapes.items()}
    found = _last_fine(stages) or _last_fine(blocks)
    if found is None:
        return {}
    before = [layer for layer in blocks if not _is_after(layer, found, list(blocks))] or [found]
    shares = {"V1": 0.25, "V2": 0.5, "V4": 0.75}
    return {region: before[round(share * (len(before) - 1))] for region, share in shares.items()} | {"IT": found}


def _last_fine(reductions: dict[str, int]) -> str | None:
    """Find the last layer of at most 16 pixels a unit; if all are equal, the one two thirds up."""
    layers = list(reductions)
    if len(layers) > 1 and len(set(reductions.values())) == 1:
        return layers[round(2 / 3 * (len(layers) - 1))]
    fine = [layer for layer in layers if reductions[layer] <= 16]
    return fine[-1] if fine else None


def _is_after(layer: str, committed: str, blocks: list[str]) -> bool:
    """Return whether a block comes after the committed layer, which is a block or contains some."""
    inside = [number for number, block in enumerate(blocks) if f"{block}.".startswith(f"{committed}.")]
    return bool(inside) and blocks.index(layer) > inside[-1]


def readout_layer(module: torch.nn.Module, size: int) -> str | None:
    """Find the last layer before the classifier with one row of numbers per image, for behaviour.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.
    """
    rows: list[str] = []
    before: list[str] = []

    def keep(layer: str, part: torch.nn.Module, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 2 and len(output) == 1:
            if isinstance(part, torch.nn.Linear):
                before[:] = rows
            rows.append(layer)

    _watch(module, [name for name, _ in module.named_modules() if name], size, keep)
    return before[-1] if before else None


def layers_with_maps(module: torch.nn.Module, layers: Sequence[str], size: int) -> list[str]:
    """List the layers that run once in a forward pass and give one tensor that can be read as a map.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    layers : sequence of str
        Names of modules in it.
    size : int
        Height and width of the input in pixels.
    """
    shapes = map_shapes(module, layers, size)
    return [layer for layer in layers if layer in shapes]


def map_shapes(module: torch.nn.Module, layers: Sequence[str], size: int) -> dict[str, tuple[int, int]]:
    """Find the layers that give a map, in the order in which they run, with their channels and units along a side."""
    prefix = getattr(module, "num_prefix_tokens", None)
    seen: dict[str, list[tuple[int, int] | None]] = {}

    def keep(layer: str, part: torch.nn.Module, output: object) -> None:
        seen.setdefault(layer, []).append(_map_shape(output, layer, prefix))

    _watch(module, layers, size, keep)
    return {layer: shapes[0] for layer, shapes in seen.items() if len(shapes) == 1 and shapes[0] is not None}


def _watch(
    module: torch.nn.Module, layers: Sequence[str], size: int, keep: Callable[[str, torch.nn.Module, object], None]
) -> None:
    """Show a model one grey image, and report every output of the layers."""
    modules = dict(module.named_modules())

    def hook_of(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        return lambda part, inputs, output: keep(layer, part, output)

    hooks = [modules[layer].register_forward_hook(hook_of(layer)) for layer in layers]
    parameter = next(module.parameters())
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, size, size, device=parameter.device))
    finally:
        for hook in hooks:
            hook.remove()


def _map_shape(output: object, layer: str, prefix: int | None) -> tuple[int, int] | None:
    if not isinstance(output, torch.Tensor) or output.shape[:1] != (1,):
        return None
    try:
        maps = spatial_maps(output.to("cpu", torch.float32).numpy(), layer, prefix)
    except NoMapError:
        return None
    return maps.shape[1], maps.shape[2]


MOST_PREFIX_TOKENS = 16


Layout = str | tuple[str, int] | list[Any]
"""``NCHW``, ``NHWC``, or ``("tokens", number of leading tokens)``."""


def spatial_maps(
    activation: NDArray[np.floating[Any]], layer: str, prefix: int | None = None, layout: Layout | None = None
) -> NDArray[np.floating[Any]]:
    """Arrange a layer's activation as maps.

    Images are shown square, so a map is square, and that tells the axes apart.

    Parameters
    ----------
    activation : array, shape (image, channel, y, x), (image, y, x, channel) or (image, token, channel)
        Tokens must fill a square, row by row, once the leading ones (class, distillation, registers) are set aside.
    layer : str
        Name of the layer, for errors.
    prefix : int, optional
        How many leading tokens the model has; when it is not known, up to 16.
    layout : str or tuple, optional
        What the axes are, where somebody says so; then nothing is guessed.

    Returns
    -------
    array, shape (image, channel, y, x)

    Raises
    ------
    NoMapError
        A ModelError: when the layer has no square map, because it is pooled or its tokens do not fill a square.
    ModelError
        When the layer is not as the layout says.
    """
    if layout is not None:
        return _as_said(activation, layer, layout)
    if activation.ndim == 4:
        _, first, second, third = activation.shape
        if second == third > 1:
            return activation
        if first == second > 1:
            return activation.transpose(0, 3, 1, 2)
    if activation.ndim == 3:
        images, tokens, channels = activation.shape
        for leading in range(MOST_PREFIX_TOKENS + 1) if prefix is None else (prefix, 0):
            side = math.isqrt(max(tokens - leading, 0))
            if side > 1 and side * side == tokens - leading:
                square = activation[:, leading:].reshape(images, side, side, channels)
                return square.transpose(0, 3, 1, 2)
    raise NoMapError(
        f"The layer {layer!r} gives no map: its activation has shape {activation.shape}, image first.",
        "Choose a layer before pooling, whose units still have a place in the image.",
    )


def _as_said(activation: NDArray[np.floating[Any]], layer: str, layout: Layout) -> NDArray[np.floating[Any]]:
    if layout == "NCHW" and activation.ndim == 4:
        return activation
    if layout == "NHWC" and activation.ndim == 4:
        return activation.transpose(0, 3, 1, 2)
    if isinstance(layout, tuple | list) and len(layout) == 2 and layout[0] == "tokens" and activation.ndim == 3:
        images, tokens, channels = activation.shape
        side = math.isqrt(max(tokens - layout[1], 0))
        if side * side == tokens - layout[1] and side > 0:
            return activation[:, layout[1] :].reshape(images, side, side, channels).transpose(0, 3, 1, 2)
    raise ModelError(
        f"The layer {layer!r} is described as {layout!r}, but its activation has shape {activation.shape}.",
        "Correct the model's spatial_layout: NCHW, NHWC, or ('tokens', number of leading tokens).",
    )
