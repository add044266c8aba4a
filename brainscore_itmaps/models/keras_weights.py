"""Read the tensors of a Keras 2 weight file (.h5), and fill a model with them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.hdf5 import Hdf5Error, Hdf5File, hdf5_file
from brainscore_itmaps.models.keras_layouts import Array, Piece, pieces
from brainscore_itmaps.progress import Report, silent

FULL_MODEL = "model_weights"
NOT_WEIGHTS = "optimizer_weights"
BRING_ANOTHER = "Download it again, or give the file that the authors published."


@dataclass(frozen=True)
class KerasFile:
    """An open weight file.

    Attributes
    ----------
    path : Path
    shapes : dict of str to tuple of int
        Shape of each tensor, by layer and weight (``conv1/kernel``), in the order of the file.
    final_activation : str or None
        What the model ends with, where the file says so: those that hold weights alone do not.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    final_activation: str | None
    _stored: dict[str, str]
    _file: Hdf5File

    def read(self, name: str) -> NDArray[np.float32]:
        """Read one tensor.

        Raises
        ------
        ModelError
            When it is damaged, or holds values that are not finite.
        """
        try:
            tensor: NDArray[np.float32] = self._file.read(self._stored[name]).astype(np.float32)
        except Hdf5Error as error:
            raise ModelError(f"{name} of {self.path} cannot be read: {error}.", BRING_ANOTHER) from error
        if not np.isfinite(tensor).all():
            raise ModelError(f"{name} of {self.path} holds values that are not finite.", BRING_ANOTHER)
        return tensor


@contextmanager
def keras_file(path: Path) -> Iterator[KerasFile]:
    """Open a weight file and list its tensors without reading them; the state of an optimizer is ignored.

    Raises
    ------
    ModelError
        When it is missing, no HDF5 file, cut off, not laid out as Keras 2 does, when a tensor in it belongs to no
        layer, or anything in it lies in another file.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Name the .h5 file that you have.")
    try:
        with hdf5_file(path) as file:
            stored = _stored(file, path)
            shapes = {name: file.datasets[place].shape for name, place in stored.items()}
            yield KerasFile(path, shapes, _final_activation(file), stored, file)
    except Hdf5Error as error:
        raise ModelError(f"{path} cannot be read as a Keras weight file: {error}.", BRING_ANOTHER) from error


def _stored(file: Hdf5File, path: Path) -> dict[str, str]:
    """Find the path of each tensor in the file."""
    root = FULL_MODEL if FULL_MODEL in file.attributes else ""
    layers = _names(file, root, "layer_names")
    if not layers:
        raise ModelError(f"{path} lists no layers: it is not a weight file of Keras 2.", BRING_ANOTHER)
    stored: dict[str, str] = {}
    for layer in layers:
        group = f"{root}/{layer}".removeprefix("/")
        if group not in file.attributes:
            raise ModelError(f"{path} lists the layer {layer}, but does not hold it.", BRING_ANOTHER)
        for weight in _names(file, group, "weight_names"):
            place = f"{group}/{weight}"
            if place not in file.datasets:
                raise ModelError(f"{path} lists {weight}, but does not hold it.", BRING_ANOTHER)
            if not file.datasets[place].dtype.startswith("float"):
                dtype = file.datasets[place].dtype
                raise ModelError(f"{weight} of {path} holds {dtype}, not numbers with a fraction.", BRING_ANOTHER)
            bare = weight.removesuffix(":0")
            named = bare if bare.startswith(f"{layer}/") else f"{layer}/{bare}"
            if named in stored:
                raise ModelError(f"{path} lists {named} twice.", BRING_ANOTHER)
            stored[named] = place
    inside = f"{root}/" if root else ""
    held = {place for place in file.datasets if place.startswith(inside)}
    not_weights = {place for place in held if place.removeprefix(inside).split("/")[0] == NOT_WEIGHTS}
    if unlisted := sorted(held - not_weights - set(stored.values())):
        raise ModelError(
            f"{path} holds {len(unlisted)} tensors that belong to none of its layers ({', '.join(unlisted[:4])}).",
            BRING_ANOTHER,
        )
    return stored


def _names(file: Hdf5File, group: str, attribute: str) -> list[str]:
    """Read a list of names, which Keras splits into numbered attributes if it is too long for one."""
    attributes = file.attributes.get(group, {})
    parts = [attributes[attribute]] if attribute in attributes else []
    if not parts:
        numbered = (f"{attribute}{number}" for number in range(len(attributes)))
        parts = [attributes[key] for key in numbered if key in attributes]
    return [name for part in parts for name in ([part] if isinstance(part, str) else part)]


def _final_activation(file: Hdf5File) -> str | None:
    said: Any = file.attributes.get("", {}).get("model_config")
    if said is None:
        return None
    try:
        layer = json.loads(said)
        while "layers" in layer["config"]:  # a model may be the last layer of another
            layer = layer["config"]["layers"][-1]
        is_softmax = layer["class_name"] == "Softmax"
        return "softmax" if is_softmax else layer["config"].get("activation")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


SHOWN = 4
ANOTHER_FILE = "Give the file that belongs to this model."
SOFTMAX_LEFT_OFF = "the softmax at the end of the weight file is omitted: the model returns logits"
BY_ORDER = "the weight file names its layers differently ({named} for {known}); its tensors were matched by their order"


def fill_from_keras(
    module: torch.nn.Module, architecture: str, path: Path, progress: Report = silent
) -> tuple[str, ...]:
    """Copy the tensors of a Keras file into a model, axes and order as torch has them.

    Tensors are found by name; a prefix that a wrapping model gave to all is passed over. When names are not those known
    but number, order, kind and shape of all tensors are, they are taken in order, and a note says so.

    Parameters
    ----------
    module : torch.nn.Module
        timm's model of that architecture; what it holds is replaced.
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
        When the file cannot be read, or is of another model; then with what is left over.
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
    """Find the name of each piece's tensor in the file, with notes."""
    endings = {ending: name for name in file.shapes for ending in _endings(name)}
    known = [endings.get(piece.keras) for piece in wanted]
    by_name = {name for name in known if name is not None}
    left_over = [name for name in file.shapes if name not in by_name]
    empty = [piece.keras for piece, name in zip(wanted, known, strict=True) if name is None]
    if not left_over and not empty:
        named = [name for name in known if name is not None]
        _check_shapes(file, wanted, named, architecture)
        return named, []
    in_order = list(file.shapes)
    if _same_order(file, wanted, in_order, known):
        return in_order, [BY_ORDER.format(named=left_over[0], known=empty[0])]
    raise ModelError(
        f"{file.path} does not hold the weights of {architecture}: "
        f"{len(left_over)} of its tensors are left over{_some(left_over)}, "
        f"{len(empty)} of the model's stay empty{_some(empty)}.",
        ANOTHER_FILE,
    )


def _endings(name: str) -> Iterator[str]:
    """List a name with and without the parts before each of its slashes."""
    parts = name.split("/")
    return ("/".join(parts[first:]) for first in range(len(parts)))


def _some(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})" if names else ""


def _check_shapes(file: KerasFile, wanted: Sequence[Piece], named: Sequence[str], architecture: str) -> None:
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
    """Return whether number, kind and shape agree in order, and every known name is in its own place."""
    return len(in_order) == len(wanted) and all(
        _role(name) == _role(piece.keras) and _fits(file.shapes[name], piece) and by_name in (None, name)
        for piece, name, by_name in zip(wanted, in_order, known, strict=True)
    )


def _role(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _fits(shape: tuple[int, ...], piece: Piece) -> bool:
    """Return whether a tensor of this shape fits the piece; axes of length 1 may differ (1 x 1 convolutions, dense)."""
    nothing: Array = np.broadcast_to(np.float32(0), shape)
    try:
        turned = piece.turn(nothing)
    except ValueError:
        return False
    return [size for size in turned.shape if size > 1] == [size for size in piece.shape if size > 1]
