"""Choose the layers of a model that give maps, and arrange their activations as maps."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError, NoMapError
from brainscore_itmaps.models.forward import input_channels, run_module
from brainscore_itmaps.models.selectors import LAST, Selector, selected, selector_of, tensors_in

SEQUENCES = (torch.nn.Sequential, torch.nn.ModuleList)


def block_layers(module: torch.nn.Module, size: int) -> list[str]:
    """List the blocks of a model whose outputs are maps, in the order of the model.

    A block is a module with children that is a member of a Sequential or ModuleList, and does not itself contain a
    Sequential or ModuleList of blocks: ``layer4.2`` of a ResNet, ``blocks.11`` of a vision transformer. For models
    without blocks, such as VGG, all members of Sequentials and ModuleLists are listed. Blocks that return a tuple, list
    or dict with one map are listed if no block returns a map alone, and blocks that run repeatedly, with ``@last``, if
    none runs once.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    size : int
        Height and width of the input in pixels.

    Returns
    -------
    list of str
        Names of modules, or of their last calls.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.layers import block_layers
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> block_layers(module, size=12)
    ['0', '1']
    """
    shapes = _block_shapes(module, size)
    order = [*_blocks(module), *_members(module)]
    return [layer for name in dict.fromkeys(order) for layer in (name, f"{name}@last") if layer in shapes]


def _block_shapes(module: torch.nn.Module, size: int) -> dict[str, tuple[int, int]]:
    """Find the shapes of the maps of a model's blocks, or else of members of its Sequentials."""
    kinds: tuple[tuple[ShapeOf, bool], ...] = (
        (_shape_of_tensor, False),
        (_shape_of_only_map, False),
        (_shape_of_only_map, True),
    )
    for shape_of, repeated in kinds:
        for names in (list(_blocks(module)), list(_members(module))):
            if names and (shapes := _shapes(module, names, size, shape_of, repeated)):
                return shapes
    return {}


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

    In a model with a module named IT, such as CORnet, the map that this module or its submodule ``output`` gives is IT:
    the last one, if it runs once for each time step. Modules named V1, V2 and V4 are read in the same way. In other
    models, IT is the last stage with at most 16 pixels per unit, or the stage at two thirds of the depth if all stages
    have the same resolution. The stages are those that timm describes and that give one map in a forward pass, or else
    the blocks. V1, V2 and V4 are the blocks at a quarter, a half and three quarters of the depth of IT.

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
    named = _named_regions(module, size)
    if named.keys() == {*REGIONS}:
        return named
    reductions = {info["module"]: info["reduction"] for info in described if info["module"] in names}
    stages = {layer: reductions[layer] for layer in layers_with_maps(module, list(reductions), size)}
    shapes = _block_shapes(module, size)
    blocks = {layer: 2 ** round(math.log2(size / side)) for layer, (_, side) in shapes.items()}
    it = named.get("IT") or _last_fine_layer(stages) or _last_fine_layer(blocks)
    if it is None:
        return {}
    up_to_it = [layer for layer in blocks if not _is_after(layer, it, list(blocks))] or [it]
    shares = {"V1": 0.25, "V2": 0.5, "V4": 0.75}
    return {region: up_to_it[round(share * (len(up_to_it) - 1))] for region, share in shares.items()} | {"IT": it}


REGIONS = ("V1", "V2", "V4", "IT")


def _named_regions(module: torch.nn.Module, size: int) -> dict[str, str]:
    """Find the layers of modules that are named V1, V2, V4 and IT; none if no module is named IT."""
    paths = {
        region: name
        for name, _ in reversed(list(module.named_modules()))  # the first module of a name remains
        for region in REGIONS
        if name.rpartition(".")[2] == region
    }
    if "IT" not in paths:
        return {}
    modules = dict(module.named_modules())
    names = [name for path in paths.values() for name in (path, f"{path}.output") if name in modules]
    shapes = _shapes(module, names, size, _shape_of_only_map, repeated=True)
    layers = {}
    for region in REGIONS:
        path = paths.get(region, "")
        choices = (path, f"{path}.output", f"{path}.output@last", f"{path}@last")
        layer = next((choice for choice in choices if path and choice in shapes), None)
        if layer is not None:
            layers[region] = layer
    return layers


def reason_of_it(layer: str) -> str:
    """Say by which rule :func:`committed_layers` chose an IT layer.

    Examples
    --------
    >>> from brainscore_itmaps.models.layers import reason_of_it
    >>> reason_of_it("IT.output@last")
    'the last time step of the module that is named IT'
    """
    name, _, call = layer.partition("@")
    last = "the last time step of " if call else ""
    if "IT" in name.removesuffix(".output").rsplit(".", 1)[-1:]:
        return f"{last}the module that is named IT"
    return f"{last}the last stage or block with at most 16 pixels per unit, or the one at two thirds of the depth"


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
    return _shapes(module, layers, size, _shape_of_tensor)


ShapeOf = Callable[[object, int | None], tuple[int, int] | None]


def _shapes(
    module: torch.nn.Module, layers: Sequence[str], size: int, shape_of: ShapeOf, repeated: bool = False
) -> dict[str, tuple[int, int]]:
    """Find the shapes of maps, in the order in which layers run; ``repeated`` reads the last of several calls."""
    prefix = getattr(module, "num_prefix_tokens", None)
    shapes: dict[str, list[tuple[int, int] | None]] = {}

    def collect(layer: str, child: torch.nn.Module, output: object) -> None:
        shapes.setdefault(layer, []).append(shape_of(output, prefix))

    _observe_outputs(module, layers, size, collect)
    return {
        f"{layer}@last" if len(calls) > 1 else layer: calls[-1]
        for layer, calls in shapes.items()
        if calls[-1] is not None and (repeated or len(calls) == 1)
    }


def _observe_outputs(
    module: torch.nn.Module, layers: Sequence[str], size: int, observe: Callable[[str, torch.nn.Module, object], None]
) -> None:
    """Run a model on one blank image, and call ``observe`` with the name, module and output of each layer."""
    modules = dict(module.named_modules())
    images = 1
    blank = torch.zeros(images, input_channels(module, size), size, size)  # before hooks count calls

    def hook_of(layer: str, selector: Selector) -> Callable[[torch.nn.Module, object, object], None]:
        calls = 0

        def hook(child: torch.nn.Module, inputs: object, output: object) -> None:
            nonlocal calls
            calls += 1
            with suppress(LookupError):
                element = selected(output, selector.elements, images)
                if selector.call == LAST:
                    last_calls[layer] = (child, element)
                elif selector.call in (None, calls):
                    observe(layer, child, element)

        return hook

    selectors = {layer: selector_of(layer, modules) for layer in layers}
    last_calls: dict[str, tuple[torch.nn.Module, object]] = {}
    hooks = [
        modules[selector.module].register_forward_hook(hook_of(layer, selector))
        for layer, selector in selectors.items()
        if selector is not None
    ]
    try:
        with torch.inference_mode():
            run_module(module, blank)
            for layer, (child, element) in last_calls.items():
                observe(layer, child, element)
    finally:
        for hook in hooks:
            hook.remove()


def _shape_of_tensor(output: object, prefix: int | None) -> tuple[int, int] | None:
    """Return the number of channels and the side of a layer's map; None if the output is not a map."""
    if not isinstance(output, torch.Tensor) or output.shape[:1] != (1,):
        return None
    layout = shape_layout(output.shape, prefix)
    if layout is None:
        return None
    maps = arranged(output, layout)
    return int(maps.shape[1]), int(maps.shape[2])


def _shape_of_only_map(output: object, prefix: int | None) -> tuple[int, int] | None:
    """Return the shape of the only map in what a layer returns, a tensor or a tuple, list or dict of tensors."""
    shapes = [_shape_of_tensor(tensor, prefix) for _, tensor in tensors_in(output)]
    maps = [shape for shape in shapes if shape is not None]
    return maps[0] if len(maps) == 1 else None


MOST_PREFIX_TOKENS = 16
Layout = str | tuple[Any, ...] | list[Any]
"""Axes of an activation: ``NCHW``, ``NHWC``, ``NCWH`` or ``NWHC``; ``("tokens", leading)`` or ``("tokens", leading,
trailing)`` for (image, token, channel) with that many tokens before and after those of the image; ``("channels",
leading, trailing)`` for (image, channel, token). Tokens follow each other along the rows, or, with a fourth entry
``"columns"``, down the columns."""
AXES = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "NCWH": (0, 1, 3, 2), "NWHC": (0, 3, 2, 1)}
"""Order in which the axes of an activation are taken to make them (image, channel, y, x)."""


def spatial_maps(
    activation: NDArray[np.floating[Any]], layer: str, prefix: int | None = None, layout: Layout | None = None
) -> NDArray[np.floating[Any]]:
    """Arrange a layer's activation as maps with the axes (image, channel, y, x).

    The input of a model is square, so that its maps are square too; the two axes of equal length are y and x. Whether
    the units have these places in the image is verified by :func:`brainscore_itmaps.features.places.layer_readings`.

    Parameters
    ----------
    activation : array, shape (image, channel, y, x), (image, y, x, channel) or (image, token, channel)
        Tokens must fill a square, row by row, after the leading tokens (class, distillation, registers).
    layer : str
        Name of the layer, for error messages.
    prefix : int, optional
        Number of leading tokens of the model; by default, any number up to 16 that leaves a square.
    layout : str or tuple, optional
        Axes of the activation, as :data:`Layout` describes them; by default they are inferred from the shape.

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
    >>> spatial_maps(np.zeros((2, 8, 14 * 14 + 1)), "blocks.7", layout=("channels", 0, 1)).shape
    (2, 8, 14, 14)
    """
    if layout is None:
        layout = shape_layout(activation.shape, prefix)
        if layout is None:
            raise NoMapError(
                f"The layer {layer!r} gives no map: its activation has shape {activation.shape}, image first.",
                "Choose a layer before pooling, whose units have positions in the image.",
            )
    maps: NDArray[np.floating[Any]] | None = arranged(activation, layout)
    if maps is None:
        raise ModelError(
            f"The layer {layer!r} is described as {layout!r}, but its activation has shape {activation.shape}.",
            "Correct the model's spatial_layout: NCHW, NHWC, or ('tokens', number of leading tokens).",
        )
    return maps


def shape_layout(shape: Sequence[int], prefix: int | None = None) -> Layout | None:
    """Infer the layout of an activation from its shape; None if it has no square map.

    Parameters
    ----------
    shape : sequence of int
        Image first.
    prefix : int, optional
        Number of leading tokens of the model; by default, any number up to 16 that leaves a square.

    Examples
    --------
    >>> from brainscore_itmaps.models.layers import shape_layout
    >>> shape_layout((2, 5, 7, 7)), shape_layout((2, 7, 7, 5)), shape_layout((2, 197, 5)), shape_layout((2, 5))
    ('NCHW', 'NHWC', ('tokens', 1), None)
    """
    if len(shape) == 4:
        _, first, second, third = shape
        if second == third > 1:
            return "NCHW"
        if first == second > 1:
            return "NHWC"
    if len(shape) == 3:
        for leading in range(MOST_PREFIX_TOKENS + 1) if prefix is None else (prefix, 0):
            if _side_of(shape[1] - leading) > 1:
                return ("tokens", leading)
    return None


def other_layouts(shape: Sequence[int], layout: Layout | None) -> list[Layout]:
    """List the layouts that an activation of this shape may have instead of the one inferred from its shape.

    Examples
    --------
    >>> from brainscore_itmaps.models.layers import other_layouts
    >>> other_layouts((2, 7, 7, 7), "NCHW")
    ['NHWC', 'NCWH', 'NWHC']
    >>> other_layouts((2, 3, 49), None)[:2]
    [('channels', 0, 0), ('channels', 0, 0, 'columns')]
    """
    layouts: list[Layout] = []
    if len(shape) == 4:
        _, first, second, third = shape
        axes_of = {"NCHW": (second, third), "NHWC": (first, second), "NCWH": (second, third), "NWHC": (first, second)}
        layouts = [name for name, (rows, columns) in axes_of.items() if rows == columns > 1]
    if len(shape) == 3:
        for axes, tokens in (("tokens", shape[1]), ("channels", shape[2])):
            for beside in range(MOST_PREFIX_TOKENS + 1):
                if _side_of(tokens - beside) > 1:
                    around = dict.fromkeys([(beside, 0), (0, beside)])
                    layouts += [(axes, *counts, *order) for order in ((), ("columns",)) for counts in around]
    return [other for other in layouts if _full(other) != _full(layout)]


def _full(layout: Layout | None) -> tuple[Any, ...]:
    """Write a layout of tokens with all four entries, for comparisons."""
    if layout is None or isinstance(layout, str):
        return (layout,)
    defaults = (None, 0, 0, "rows")
    return (*layout, *defaults[len(layout) :])


def _side_of(tokens: int) -> int:
    """Return the side of the square that tokens fill, 0 if they fill none."""
    side = math.isqrt(max(tokens, 0))
    return side if side * side == tokens else 0


def arranged(activation: Any, layout: Layout) -> Any:
    """Arrange an activation, an array or a tensor, as (image, channel, y, x); None if it does not have the layout.

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.layers import arranged
    >>> arranged(np.zeros((2, 50, 8)), ("tokens", 0, 1)).shape, arranged(np.zeros((2, 50, 8)), "NHWC")
    ((2, 8, 7, 7), None)
    """
    permuted = "permute" if hasattr(activation, "permute") else "transpose"  # torch's and numpy's name
    if isinstance(layout, str):
        return getattr(activation, permuted)(*AXES[layout]) if activation.ndim == 4 and layout in AXES else None
    axes, leading, trailing, order = _full(tuple(layout))
    if axes not in ("tokens", "channels") or activation.ndim != 3:
        return None
    tokens_last = activation if axes == "channels" else getattr(activation, permuted)(0, 2, 1)
    images, channels, tokens = tokens_last.shape
    side = _side_of(tokens - leading - trailing)
    if side == 0:
        return None
    maps = tokens_last[:, :, leading : tokens - trailing].reshape(images, channels, side, side)
    return maps if order == "rows" else getattr(maps, permuted)(0, 1, 3, 2)
