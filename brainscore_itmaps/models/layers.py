"""Choose the layers of a model that give maps, and arrange their activations as maps."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError, NoMapError
from brainscore_itmaps.models.forward import input_channels, run_module

SEQUENCES = (torch.nn.Sequential, torch.nn.ModuleList)


def block_layers(module: torch.nn.Module, size: int) -> list[str]:
    """List the blocks of a model whose outputs are maps, in the order of the model.

    A block is a module with children that is a member of a Sequential or ModuleList, and does not itself contain a
    Sequential or ModuleList of blocks: ``layer4.2`` of a ResNet, ``blocks.11`` of a vision transformer. For models
    without blocks, such as VGG, all members of Sequentials and ModuleLists are listed.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.

    Returns
    -------
    list of str
        Names of modules.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.layers import block_layers
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> block_layers(module, size=12)
    ['0', '1']
    """
    blocks = layers_with_maps(module, list(_blocks(module)), size)
    return blocks or layers_with_maps(module, list(_members(module)), size)


def _blocks(module: torch.nn.Module, path: str = "") -> Iterator[str]:
    """List the names of the blocks in a module that is not a block."""
    for name, child in module.named_children():
        child_path = f"{path}.{name}" if path else name
        is_block = isinstance(module, SEQUENCES) and not isinstance(child, SEQUENCES) and _has_children(child)
        if is_block and not any(_is_sequence_of_blocks(grandchild) for grandchild in child.children()):
            yield child_path
        else:
            yield from _blocks(child, child_path)


def _is_sequence_of_blocks(module: torch.nn.Module) -> bool:
    return isinstance(module, SEQUENCES) and len(module) > 0 and all(map(_has_children, module.children()))


def _has_children(module: torch.nn.Module) -> bool:
    return next(module.children(), None) is not None


def _members(module: torch.nn.Module) -> Iterator[str]:
    """List the names of all members of Sequentials and ModuleLists."""
    for name, sequence in module.named_modules():
        if isinstance(sequence, SEQUENCES):
            yield from (f"{name}.{member}" if name else member for member, _ in sequence.named_children())


def committed_layers(module: torch.nn.Module, size: int) -> dict[str, str]:
    """Choose the layers of a model that are committed to V1, V2, V4 and IT.

    IT is the last stage with at most 16 pixels per unit, or the stage at two thirds of the depth if all stages have the
    same resolution. The stages are those that timm describes and that give one map in a forward pass, or else the
    blocks. V1, V2 and V4 are the blocks at a quarter, a half and three quarters of the depth of IT.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.

    Returns
    -------
    dict of str to str
        Name of the layer for each of "V1", "V2", "V4" and "IT"; empty if no layer gives a map, so that the caller has
        to name one.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.layers import committed_layers
    >>> convs = [torch.nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(6)]
    >>> committed_layers(torch.nn.Sequential(*convs), size=96)
    {'V1': '1', 'V2': '2', 'V4': '2', 'IT': '3'}
    """
    described = getattr(module, "feature_info", None) or []
    names = {name for name, _ in module.named_modules()}
    reductions = {info["module"]: info["reduction"] for info in described if info["module"] in names}
    stages = {layer: reductions[layer] for layer in layers_with_maps(module, list(reductions), size)}
    shapes = map_shapes(module, list(_blocks(module)), size) or map_shapes(module, list(_members(module)), size)
    blocks = {layer: 2 ** round(math.log2(size / side)) for layer, (_, side) in shapes.items()}
    it = _last_fine_layer(stages) or _last_fine_layer(blocks)
    if it is None:
        return {}
    up_to_it = [layer for layer in blocks if not _is_after(layer, it, list(blocks))] or [it]
    shares = {"V1": 0.25, "V2": 0.5, "V4": 0.75}
    return {region: up_to_it[round(share * (len(up_to_it) - 1))] for region, share in shares.items()} | {"IT": it}


def _last_fine_layer(reductions: dict[str, int]) -> str | None:
    """Find the last layer with at most 16 pixels per unit, or that at two thirds of the depth if all are equal."""
    layers = list(reductions)
    if len(layers) > 1 and len(set(reductions.values())) == 1:
        return layers[round(2 / 3 * (len(layers) - 1))]
    fine = [layer for layer in layers if reductions[layer] <= 16]
    return fine[-1] if fine else None


def _is_after(layer: str, committed: str, blocks: list[str]) -> bool:
    """Return whether a block comes after the committed layer, which is a block or contains blocks."""
    indices = [index for index, block in enumerate(blocks) if f"{block}.".startswith(f"{committed}.")]
    return bool(indices) and blocks.index(layer) > indices[-1]


def readout_layer(module: torch.nn.Module, size: int) -> str | None:
    """Find the last layer before the classifier whose output is one vector per image, for behavioural benchmarks.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.

    Returns
    -------
    str or None
        None if there is no such layer.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.layers import readout_layer
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 6), torch.nn.Flatten(), torch.nn.Linear(36, 5))
    >>> readout_layer(module, size=8)
    '1'
    """
    vectors: list[str] = []
    before_classifier: list[str] = []

    def collect(layer: str, child: torch.nn.Module, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 2 and len(output) == 1:
            if isinstance(child, torch.nn.Linear):
                before_classifier[:] = vectors
            vectors.append(layer)

    _observe_outputs(module, [name for name, _ in module.named_modules() if name], size, collect)
    return before_classifier[-1] if before_classifier else None


def layers_with_maps(module: torch.nn.Module, layers: Sequence[str], size: int) -> list[str]:
    """List the layers that run once in a forward pass and whose output is a map.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    layers : sequence of str
        Names of modules.
    size : int
        Height and width of the input in pixels.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.layers import layers_with_maps
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> layers_with_maps(module, ["1", "2"], size=12)
    ['1']
    """
    shapes = map_shapes(module, layers, size)
    return [layer for layer in layers if layer in shapes]


def map_shapes(module: torch.nn.Module, layers: Sequence[str], size: int) -> dict[str, tuple[int, int]]:
    """Find the number of channels and the side of each layer's map, in the order in which the layers run.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    layers : sequence of str
        Names of modules.
    size : int
        Height and width of the input in pixels.

    Returns
    -------
    dict of str to (int, int)
        Number of channels, and of units along a side; layers that run more than once, or give no map, are omitted.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.layers import map_shapes
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.MaxPool2d(2), torch.nn.Flatten())
    >>> map_shapes(module, ["0", "1", "2"], size=12)
    {'0': (8, 10), '1': (8, 5)}
    """
    prefix = getattr(module, "num_prefix_tokens", None)
    shapes_of: dict[str, list[tuple[int, int] | None]] = {}

    def collect(layer: str, child: torch.nn.Module, output: object) -> None:
        shapes_of.setdefault(layer, []).append(_map_shape(output, layer, prefix))

    _observe_outputs(module, layers, size, collect)
    return {layer: shapes[0] for layer, shapes in shapes_of.items() if len(shapes) == 1 and shapes[0] is not None}


def _observe_outputs(
    module: torch.nn.Module, layers: Sequence[str], size: int, observe: Callable[[str, torch.nn.Module, object], None]
) -> None:
    """Run a model on one image of zeros, and call ``observe`` with the name, module and output of each layer."""
    modules, channels = dict(module.named_modules()), input_channels(module, size)

    def hook_of(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        return lambda child, inputs, output: observe(layer, child, output)

    hooks = [modules[layer].register_forward_hook(hook_of(layer)) for layer in layers]
    try:
        with torch.inference_mode():
            run_module(module, torch.zeros(1, channels, size, size))
    finally:
        for hook in hooks:
            hook.remove()


def _map_shape(output: object, layer: str, prefix: int | None) -> tuple[int, int] | None:
    """Return the number of channels and the side of a layer's map; None if the output is not a map."""
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
    """Arrange a layer's activation as maps with the axes (image, channel, y, x).

    The input of a model is square, so that its maps are square too; the two axes of equal length are y and x.

    Parameters
    ----------
    activation : array, shape (image, channel, y, x), (image, y, x, channel) or (image, token, channel)
        Tokens must fill a square, row by row, after the leading tokens (class, distillation, registers).
    layer : str
        Name of the layer, for error messages.
    prefix : int, optional
        Number of leading tokens of the model; by default, any number up to 16 that leaves a square.
    layout : str or tuple, optional
        Axes of the activation: ``NCHW``, ``NHWC`` or ``("tokens", number of leading tokens)``; by default they are
        inferred from the shape.

    Returns
    -------
    array, shape (image, channel, y, x)

    Raises
    ------
    NoMapError
        A ModelError: when the layer has no square map, because it is pooled or its tokens do not fill a square.
    ModelError
        When the activation does not have the given layout.

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.layers import spatial_maps
    >>> spatial_maps(np.zeros((2, 7, 7, 32)), "layer3").shape
    (2, 32, 7, 7)
    >>> spatial_maps(np.zeros((2, 1 + 14 * 14, 8)), "blocks.7", prefix=1).shape
    (2, 8, 14, 14)
    """
    if layout is not None:
        return _with_layout(activation, layer, layout)
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
        "Choose a layer before pooling, whose units have positions in the image.",
    )


def _with_layout(activation: NDArray[np.floating[Any]], layer: str, layout: Layout) -> NDArray[np.floating[Any]]:
    """Arrange an activation of a given layout as maps."""
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
