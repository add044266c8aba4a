"""Read the tensors of a Keras 2 weight file (.h5)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.hdf5 import Hdf5Error, Hdf5File, hdf5_file

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
    """Open a weight file and list its tensors; none is read yet. What an optimizer left in it is passed over.

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
    """For each tensor its path in the file."""
    root = FULL_MODEL if FULL_MODEL in file.attributes else ""
    layers = _names(file, root, "layer_names")
    if not layers:
        raise ModelError(f"{path} lists no layers: it is no weight file of Keras 2.", BRING_ANOTHER)
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
    """A list of names; Keras cuts one that is too long for an attribute into several, numbered from 0."""
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
