"""Which layers of a network can be read as maps."""

from collections.abc import Callable, Iterator, Sequence

import torch

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
        is_block = isinstance(module, ROWS) and not isinstance(child, ROWS) and next(child.children(), None) is not None
        if is_block and not any(_is_row_of_blocks(part) for part in child.children()):
            yield inside
        else:
            yield from _blocks(child, inside)


def _is_row_of_blocks(module: torch.nn.Module) -> bool:
    return isinstance(module, ROWS) and len(module) > 0 and all(next(part.children(), None) for part in module)


def _parts(module: torch.nn.Module) -> Iterator[str]:
    """Names of everything that stands in a row."""
    for name, row in module.named_modules():
        if isinstance(row, ROWS):
            yield from (f"{name}.{part}" if name else part for part, _ in row.named_children())


def with_places(module: torch.nn.Module, layers: Sequence[str], size: int) -> list[str]:
    """Those layers that one forward pass goes through once, and that give one tensor with places in it.

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
    seen: list[str] = []

    def keep(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            one = isinstance(output, torch.Tensor) and output.ndim in (3, 4) and len(output) == 1
            seen.extend([layer] if one else [layer, layer])

        return hook

    hooks = [modules[layer].register_forward_hook(keep(layer)) for layer in layers]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, size, size, device=next(module.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return [layer for layer in layers if seen.count(layer) == 1]
