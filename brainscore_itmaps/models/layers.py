"""Which layers of a network can be read as maps."""

from collections.abc import Callable, Iterator, Sequence

import torch

from brainscore_itmaps.errors import NoMapError
from brainscore_itmaps.models.layout import spatial_maps

ROWS = (torch.nn.Sequential, torch.nn.ModuleList)


def block_layers(module: torch.nn.Module, size: int) -> list[str]:
    """Outputs of a network's blocks, in the order of the network.

    A block is a module with parts that stands in a row of others (a Sequential or a list), and has no such row of
    blocks inside: ``layer4.2`` of a ResNet, ``blocks.11`` of a vision transformer. Networks without blocks, such as
    VGG, give every part of their rows. Only those whose answer has places in it count.

    Parameters
    ----------
    module : torch.nn.Module
    size : int
        Height and width of the input in pixels.
    """
    return with_places(module, list(_blocks(module)), size) or with_places(module, list(_parts(module)), size)


def _blocks(module: torch.nn.Module, path: str = "") -> Iterator[str]:
    """Names of the blocks in a module, which is no block itself."""
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
    """Names of everything that stands in a row."""
    for name, row in module.named_modules():
        if isinstance(row, ROWS):
            yield from (f"{name}.{part}" if name else part for part, _ in row.named_children())


def with_places(module: torch.nn.Module, layers: Sequence[str], size: int) -> list[str]:
    """Those layers that one forward pass goes through once, and that give one tensor that can be read as a map.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    layers : sequence of str
        Names of modules in it.
    size : int
        Height and width of the input in pixels.
    """
    modules = dict(module.named_modules())
    prefix = getattr(module, "num_prefix_tokens", None)
    seen: list[str] = []

    def keep(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            seen.extend([layer] if _is_map(output, layer, prefix) else [layer, layer])

        return hook

    hooks = [modules[layer].register_forward_hook(keep(layer)) for layer in layers]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, size, size, device=next(module.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return [layer for layer in layers if seen.count(layer) == 1]


def _is_map(output: object, layer: str, prefix: int | None) -> bool:
    if not isinstance(output, torch.Tensor) or output.shape[:1] != (1,):
        return False
    try:
        spatial_maps(output.to("cpu", torch.float32).numpy(), layer, prefix)
    except NoMapError:
        return False
    return True
