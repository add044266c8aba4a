"""The tensors of a Keras 2 weight file (.h5), read with h5py alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError, one_line

FULL_MODEL = "model_weights"
NOT_WEIGHTS = "optimizer_weights"
BRING_ANOTHER = "Download it again, or give the file that the authors published."


@dataclass(frozen=True)
class KerasFile:
    """An open weight file.

    Attributes
    ----------
    path : Path
    tensors : dict of str to h5py.Dataset
        By layer and weight (``conv1/kernel``), in the order of the file.
    final_activation : str or None
        What the model ends with, where the file says so: those that hold weights alone do not.
    """

    path: Path
    tensors: dict[str, Any]
    final_activation: str | None

    def read(self, name: str) -> NDArray[np.float32]:
        """Read one tensor.

        Raises
        ------
        ModelError
            When it is damaged, or holds values that are not finite.
        """
        try:
            tensor: NDArray[np.float32] = np.asarray(self.tensors[name][()], dtype=np.float32)
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(f"{name} of {self.path} cannot be read: {one_line(error)}.", BRING_ANOTHER) from error
        if not np.isfinite(tensor).all():
            raise ModelError(f"{name} of {self.path} holds values that are not finite.", BRING_ANOTHER)
        return tensor


@contextmanager
def keras_file(path: Path) -> Iterator[KerasFile]:
    """Open a weight file and list its tensors; none is read yet. What an optimizer left in it is passed over.

    Raises
    ------
    ModelError
        When it is missing, no HDF5 file, cut off, not laid out as Keras 2 does, or when a tensor in it belongs to no
        layer or lies in another file.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Name the .h5 file that you have.")
    try:
        with h5py.File(path, "r") as file:
            yield KerasFile(path, *_contents(file, path))
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        reason = error.args[0] if isinstance(error, KeyError) and error.args else one_line(error)
        raise ModelError(f"{path} cannot be read as a Keras weight file: {reason}.", BRING_ANOTHER) from error


def _contents(file: Any, path: Path) -> tuple[dict[str, Any], str | None]:
    root = file.get(FULL_MODEL, file)
    layers = _names(root, "layer_names")
    if not layers:
        raise ModelError(f"{path} lists no layers: it is no weight file of Keras 2.", BRING_ANOTHER)
    tensors: dict[str, Any] = {}
    for layer in layers:
        for weight in _names(root[layer], "weight_names"):
            dataset = _own(root[layer], weight, path)
            bare = weight.removesuffix(":0")
            named = bare if bare.startswith(f"{layer}/") else f"{layer}/{bare}"
            if named in tensors:
                raise ModelError(f"{path} lists {named} twice.", BRING_ANOTHER)
            tensors[named] = dataset
    unlisted = sorted(set(_datasets(root)) - {dataset.name for dataset in tensors.values()})
    if unlisted:
        raise ModelError(
            f"{path} holds {len(unlisted)} tensors that belong to none of its layers ({', '.join(unlisted[:4])}).",
            BRING_ANOTHER,
        )
    return tensors, _final_activation(file)


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; Keras cuts one that is too long for an attribute into several, numbered from 0."""
    parts = [group.attrs[attribute]] if attribute in group.attrs else []
    if not parts:
        numbered = (f"{attribute}{number}" for number in range(len(group.attrs)))
        parts = [group.attrs[key] for key in numbered if key in group.attrs]
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _own(group: Any, name: str, path: Path) -> Any:
    """A tensor that lies in this very file."""
    link, dataset = group.get(name, getlink=True), None
    if isinstance(link, h5py.HardLink):
        dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ModelError(f"{path} lists {name}, but does not hold it.", BRING_ANOTHER)
    if dataset.is_virtual or dataset.external:
        raise ModelError(f"{name} of {path} lies in another file.", BRING_ANOTHER)
    if dataset.dtype.kind != "f":
        raise ModelError(f"{name} of {path} holds {dataset.dtype}, not numbers with a fraction.", BRING_ANOTHER)
    return dataset


def _datasets(root: Any) -> list[str]:
    found: list[str] = []

    def visit(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset) and name.split("/")[0] != NOT_WEIGHTS:
            found.append(entry.name)

    root.visititems(visit)
    return found


def _final_activation(file: Any) -> str | None:
    said = file.attrs.get("model_config")
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
