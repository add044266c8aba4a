"""Select what is read from a layer: one call of a module in a forward pass, and an element of what the call returns.

A selector is the name of a module, followed by ``@2`` (its second call in a forward pass), ``@last``, ``[0]`` (the
first element of a tuple or list) or ``[last_hidden_state]`` (an entry of a dict), or by several: ``IT@last[0]``.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch

LAST = -1
"""The last call of a module in a forward pass."""

Elements = tuple[int | str, ...]
SUFFIX = re.compile(r"(?P<rest>.*)(?:\[(?P<element>[^\[\]]+)\]|@(?P<call>last|[1-9]\d*))", re.DOTALL)
MOST_LEVELS = 3
MOST_LISTED = 8


@dataclass(frozen=True)
class Selector:
    """A module, one of its calls in a forward pass, and an element of what it returns.

    Attributes
    ----------
    module : str
        Name of the module, as in ``named_modules()``.
    call : int or None
        Number of the call, counted from 1, or :data:`LAST`; None for a module that is called once.
    elements : tuple of int or str
        Indices and keys that lead to one tensor; indices count from 0.

    Examples
    --------
    >>> str(Selector("IT", LAST, (0,)))
    'IT@last[0]'
    """

    module: str
    call: int | None = None
    elements: Elements = ()

    def __str__(self) -> str:
        """Write the selector as in ``--layers``."""
        call = "" if self.call is None else f"@{'last' if self.call == LAST else self.call}"
        return f"{self.module}{call}{elements_text(self.elements)}"


def elements_text(elements: Elements) -> str:
    """Write indices and keys as in a selector.

    Examples
    --------
    >>> elements_text((0, "hidden"))
    '[0][hidden]'
    """
    return "".join(f"[{element}]" for element in elements)


def selector_of(layer: str, modules: Collection[str]) -> Selector | None:
    """Read a selector; None if it names no module, or two calls.

    A module whose name itself ends like a selector is meant by its name.

    Parameters
    ----------
    layer : str
        Name of a module, with or without suffixes.
    modules : collection of str
        Names of the modules of the model.

    Examples
    --------
    >>> selector_of("IT.output@2", ["IT.output"])
    Selector(module='IT.output', call=2, elements=())
    >>> selector_of("layers.3[0]", ["layers.3", "layers.3[0]"])
    Selector(module='layers.3[0]', call=None, elements=())
    >>> selector_of("layers.4[0]", ["layers.3"]) is None
    True
    """
    rest: str = layer
    call: int | None = None
    elements: Elements = ()
    while rest not in modules:
        match = SUFFIX.fullmatch(rest)
        if match is None or (match["call"] and call is not None):
            return None
        if match["call"]:
            call = LAST if match["call"] == "last" else int(match["call"])
        else:
            key = match["element"].strip("'\"")
            elements = (int(key) if re.fullmatch(r"-?\d+", key) else key, *elements)
        rest = match["rest"]
    return Selector(rest, call, elements)


def selected(output: object, elements: Elements, images: int) -> object:
    """Return an element of what a module returned.

    Parameters
    ----------
    output : object
        Tensor, or tuple, list, dict or dataclass of tensors, in several levels.
    elements : tuple of int or str
        An index into a tensor selects along the time axis: the first axis of (time, image, ...), or the second one of
        (image, time, channel, y, x).
    images : int
        Number of images that were shown.

    Raises
    ------
    LookupError
        When there is no such element.

    Examples
    --------
    >>> tuple(selected({"hidden": (torch.zeros(2, 5), torch.zeros(2, 7))}, ("hidden", 1), images=2).shape)
    (2, 7)
    >>> tuple(selected(torch.zeros(4, 2, 3, 5, 5), (3,), images=2).shape)
    (2, 3, 5, 5)
    """
    for element in elements:
        if isinstance(output, torch.Tensor):
            output = _time_step(output, element, images)
        elif isinstance(element, int) and isinstance(output, Mapping) and element not in output:
            output = list(output.values())[element]
        elif isinstance(output, Mapping) or (isinstance(element, int) and isinstance(output, Sequence)):
            output = output[element]  # type: ignore[index]
        elif isinstance(element, str) and hasattr(output, element):
            output = getattr(output, element)
        else:
            raise LookupError(element)
    return output


def _time_step(output: torch.Tensor, element: int | str, images: int) -> torch.Tensor:
    """Select one time step of a tensor whose axes are (time, image, ...) or (image, time, channel, y, x)."""
    shape = output.shape
    time_first = output.ndim > 2 and shape[1] == images
    time_second = output.ndim == 5 and shape[0] == images
    if not isinstance(element, int) or time_first == time_second:  # the latter also if both are possible
        raise LookupError(element)
    return output[element] if time_first else output[:, element]


def tensors_in(output: object, elements: Elements = ()) -> Iterator[tuple[Elements, torch.Tensor]]:
    """List the tensors in what a module returned, with the elements that lead to each.

    Examples
    --------
    >>> [elements for elements, _ in tensors_in({"hidden": torch.zeros(2), "all": (torch.zeros(3), None)})]
    [('hidden',), ('all', 0)]
    """
    if isinstance(output, torch.Tensor):
        yield elements, output
        return
    entries: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(output, Mapping):
        entries = iter(output.items())
    elif isinstance(output, tuple | list):
        entries = iter(enumerate(output))
    elif is_dataclass(output):
        entries = ((field.name, getattr(output, field.name)) for field in fields(output))
    if len(elements) < MOST_LEVELS:
        for key, entry in entries:
            if isinstance(key, int | str):
                yield from tensors_in(entry, (*elements, key))


def described(output: object, layer: str, images: int) -> str:
    """List the tensors in what a layer gave, with the selector and the shape of each.

    Examples
    --------
    >>> described((torch.zeros(2, 9, 4), torch.zeros(2, 3, 9, 9)), "layers.3", images=2)
    'layers.3[0] (image, 9, 4), layers.3[1] (image, 3, 9, 9)'
    """
    shown = [
        f"{layer}{elements_text(elements)} {shape_text(tensor, images)}" for elements, tensor in tensors_in(output)
    ]
    more = f" and {len(shown) - MOST_LISTED} more" if len(shown) > MOST_LISTED else ""
    return ", ".join(shown[:MOST_LISTED]) + more


def shape_text(tensor: torch.Tensor, images: int) -> str:
    """Write the shape of a tensor, with the word image for a first axis as long as the number of images.

    Examples
    --------
    >>> shape_text(torch.zeros(2, 9, 4), images=2), shape_text(torch.zeros(8, 9), images=2)
    ('(image, 9, 4)', '(8, 9)')
    """
    if tensor.ndim and len(tensor) == images:
        return f"({', '.join(['image', *map(str, tensor.shape[1:])])})"
    return str(tuple(tensor.shape))
