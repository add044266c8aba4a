"""Fill a timm network from the Keras file of a harmonized one: every tensor used once, every parameter filled."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.keras_layouts import Array, Piece, pieces
from brainscore_itmaps.models.keras_weights import KerasFile, keras_file
from brainscore_itmaps.progress import Report, silent

SHOWN = 4
ANOTHER_FILE = "Give the file that belongs to this network."
SOFTMAX_LEFT_OFF = "the softmax at the end of the weight file is left off: the network gives logits"
BY_ORDER = "the weight file names its layers otherwise ({named} for {known}); its tensors were taken in their order"


def fill_from_keras(
    module: torch.nn.Module, architecture: str, path: Path, progress: Report = silent
) -> tuple[str, ...]:
    """Copy the tensors of a Keras file into a network, axes and order as torch has them.

    Tensors are found by name; a prefix that a wrapping model gave to all is passed over. When names are not those known
    but number, order, kind and shape of all tensors are, they are taken in order, and a note says so.

    Parameters
    ----------
    module : torch.nn.Module
        timm's network of that architecture; what it holds is replaced.
    architecture : str
        timm's name.
    path : Path
        An .h5 file, of weights or of a whole model.
    progress : callable
        Told (what is being done, tensors done, tensors in all).

    Returns
    -------
    tuple of str
        Notes on what was done with the file.

    Raises
    ------
    ModelError
        When the file cannot be read, or is of another network; then with what is left over.
    """
    wanted = pieces(architecture, module)
    state = module.state_dict()
    with keras_file(path) as file:
        if file.final_activation not in (None, "linear", "softmax"):
            raise ModelError(
                f"The model in {path} ends with {file.final_activation}, which changes what its classes mean.",
                ANOTHER_FILE,
            )
        named, notes = _assigned(file, wanted, architecture)
        for done, (piece, name) in enumerate(zip(wanted, named, strict=True)):
            progress(f"converting {path.name}", done, len(wanted))
            turned = piece.turn(file.read(name)).reshape(piece.shape)
            target = state[piece.timm]
            if piece.part is not None:
                rows = piece.shape[0]
                target = target[piece.part * rows : (piece.part + 1) * rows]
            target.copy_(torch.from_numpy(np.ascontiguousarray(turned)))
    return (*notes, *([SOFTMAX_LEFT_OFF] if file.final_activation == "softmax" else []))


def _assigned(file: KerasFile, wanted: Sequence[Piece], architecture: str) -> tuple[list[str], list[str]]:
    """For each piece the name of its tensor in the file, and notes."""
    endings = {ending: name for name in file.shapes for ending in _endings(name)}
    known = [endings.get(piece.keras) for piece in wanted]
    by_name = {name for name in known if name is not None}
    left_over = [name for name in file.shapes if name not in by_name]
    empty = [piece.keras for piece, name in zip(wanted, known, strict=True) if name is None]
    if not left_over and not empty:
        named = [name for name in known if name is not None]
        _refuse_shapes(file, wanted, named, architecture)
        return named, []
    in_order = list(file.shapes)
    if _same_order(file, wanted, in_order, known):
        return in_order, [BY_ORDER.format(named=left_over[0], known=empty[0])]
    raise ModelError(
        f"{file.path} does not hold the weights of {architecture}: "
        f"{len(left_over)} of its tensors are left over{_some(left_over)}, "
        f"{len(empty)} of the network's stay empty{_some(empty)}.",
        ANOTHER_FILE,
    )


def _endings(name: str) -> Iterator[str]:
    """A name with and without what stands before each of its strokes."""
    parts = name.split("/")
    return ("/".join(parts[first:]) for first in range(len(parts)))


def _some(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})" if names else ""


def _refuse_shapes(file: KerasFile, wanted: Sequence[Piece], named: Sequence[str], architecture: str) -> None:
    wrong = [
        f"{name} {file.shapes[name]}"
        for piece, name in zip(wanted, named, strict=True)
        if not _fits(file.shapes[name], piece)
    ]
    if wrong:
        raise ModelError(
            f"{file.path} does not hold the weights of {architecture}: {len(wrong)} of its tensors have another "
            f"shape{_some(wrong)}.",
            ANOTHER_FILE,
        )


def _same_order(file: KerasFile, wanted: Sequence[Piece], in_order: list[str], known: Sequence[str | None]) -> bool:
    """Do number, kind and shape agree in order, and does every known name stand in its own place?"""
    return len(in_order) == len(wanted) and all(
        _role(name) == _role(piece.keras) and _fits(file.shapes[name], piece) and by_name in (None, name)
        for piece, name, by_name in zip(wanted, in_order, known, strict=True)
    )


def _role(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _fits(shape: tuple[int, ...], piece: Piece) -> bool:
    """Does a tensor of this shape become the piece? Axes of length 1 may differ: 1 x 1 convolutions, dense layers."""
    nothing: Array = np.broadcast_to(np.float32(0), shape)
    try:
        turned = piece.turn(nothing)
    except ValueError:
        return False
    return [size for size in turned.shape if size > 1] == [size for size in piece.shape if size > 1]
