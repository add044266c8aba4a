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
from brainscore_itmaps.models.keras_layouts import KerasArray, TensorMapping, tensor_mappings
from brainscore_itmaps.progress import Report, silent

FULL_MODEL = "model_weights"
NOT_WEIGHTS = "optimizer_weights"
OTHER_FILE = "Download the file again, or give the file that the authors published."


@dataclass(frozen=True)
class KerasFile:
    """An open Keras weight file.

    Attributes
    ----------
    path : Path
    shapes : dict of str to tuple of int
        Shape of each tensor by layer and weight (``conv1/kernel``), in the order of the file.
    final_activation : str or None
        Activation of the last layer; None if the file contains weights alone.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    final_activation: str | None
    _paths: dict[str, str]
    _file: Hdf5File

    def read(self, name: str) -> NDArray[np.float32]:
        """Read a tensor by its layer and weight, as 32-bit numbers.

        Raises
        ------
        ModelError
            When the tensor is damaged, or contains values that are not finite.
        """
        try:
            tensor: NDArray[np.float32] = self._file.read(self._paths[name]).astype(np.float32)
        except Hdf5Error as error:
            raise ModelError(f"{name} of {self.path} cannot be read: {error}.", OTHER_FILE) from error
        if not np.isfinite(tensor).all():
            raise ModelError(f"{name} of {self.path} contains values that are not finite.", OTHER_FILE)
        return tensor


@contextmanager
def keras_file(path: Path) -> Iterator[KerasFile]:
    """Open a Keras weight file and list its tensors without reading them, ignoring the state of an optimizer.

    Raises
    ------
    ModelError
        When the file is missing, is not an HDF5 file, is truncated, or does not have the layout of Keras 2; when a
        tensor does not belong to a layer, or is stored in another file.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Give the path of a Keras weight file (.h5).")
    try:
        with hdf5_file(path) as file:
            paths = _tensor_paths(file, path)
            shapes = {name: file.datasets[dataset].shape for name, dataset in paths.items()}
            yield KerasFile(path, shapes, _final_activation(file), paths, file)
    except Hdf5Error as error:
        raise ModelError(f"{path} cannot be read as a Keras weight file: {error}.", OTHER_FILE) from error


def _tensor_paths(file: Hdf5File, path: Path) -> dict[str, str]:
    """Find the dataset of each tensor in the file, by layer and weight."""
    root = FULL_MODEL if FULL_MODEL in file.attributes else ""
    layers = _names(file, root, "layer_names")
    if not layers:
        raise ModelError(f"{path} lists no layers: it is not a Keras 2 weight file.", OTHER_FILE)
    paths: dict[str, str] = {}
    for layer in layers:
        group = f"{root}/{layer}".removeprefix("/")
        if group not in file.attributes:
            raise ModelError(f"{path} lists the layer {layer}, but does not contain it.", OTHER_FILE)
        for weight in _names(file, group, "weight_names"):
            dataset = f"{group}/{weight}"
            if dataset not in file.datasets:
                raise ModelError(f"{path} lists {weight}, but does not contain it.", OTHER_FILE)
            dtype = file.datasets[dataset].dtype
            if not dtype.startswith("float"):
                raise ModelError(f"{weight} of {path} is of type {dtype}, not floating point.", OTHER_FILE)
            without_suffix = weight.removesuffix(":0")
            name = without_suffix if without_suffix.startswith(f"{layer}/") else f"{layer}/{without_suffix}"
            if name in paths:
                raise ModelError(f"{path} lists {name} twice.", OTHER_FILE)
            paths[name] = dataset
    prefix = f"{root}/" if root else ""
    datasets = {dataset for dataset in file.datasets if dataset.startswith(prefix)}
    not_weights = {dataset for dataset in datasets if dataset.removeprefix(prefix).split("/")[0] == NOT_WEIGHTS}
    if unlisted := sorted(datasets - not_weights - set(paths.values())):
        raise ModelError(
            f"{path} contains {len(unlisted)} tensors that do not belong to any of its layers "
            f"({', '.join(unlisted[:MOST_NAMES])}).",
            OTHER_FILE,
        )
    return paths


def _names(file: Hdf5File, group: str, attribute: str) -> list[str]:
    """Read a list of names from the attribute of a group, or from the numbered attributes of a long list."""
    attributes = file.attributes.get(group, {})
    parts = [attributes[attribute]] if attribute in attributes else []
    if not parts:
        numbered = (f"{attribute}{number}" for number in range(len(attributes)))
        parts = [attributes[key] for key in numbered if key in attributes]
    return [name for part in parts for name in ([part] if isinstance(part, str) else part)]


def _final_activation(file: Hdf5File) -> str | None:
    """Read the activation of the last layer from the model's configuration, if the file contains it."""
    configuration: Any = file.attributes.get("", {}).get("model_config")
    if configuration is None:
        return None
    try:
        layer = json.loads(configuration)
        while "layers" in layer["config"]:  # a model may be the last layer of another
            layer = layer["config"]["layers"][-1]
        is_softmax = layer["class_name"] == "Softmax"
        return "softmax" if is_softmax else layer["config"].get("activation")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


MOST_NAMES = 4
"""Number of names that an error lists."""
OTHER_MODEL = "Give the weight file of this model."
SOFTMAX_OMITTED = "the softmax at the end of the weight file is omitted: the model returns logits"
BY_ORDER = (
    "the weight file names its layers differently ({name} for {expected}); its tensors were matched by their order"
)


def fill_from_keras(
    module: torch.nn.Module, architecture: str, path: Path, progress: Report = silent
) -> tuple[str, ...]:
    """Copy the tensors of a Keras file into a timm model, converting their axes to torch's order.

    Tensors are matched by name; a prefix that a wrapping model adds to all names is ignored. If the names differ, but
    number, order, kind and shape of all tensors match, the tensors are matched by their order, and a note says so.

    Parameters
    ----------
    module : torch.nn.Module
        timm model of that architecture; it is changed in place.
    architecture : str
        Name of the architecture in timm.
    path : Path
        An .h5 file that contains weights or a complete model.
    progress : callable
        Called with (step, tensors done, tensors in all).

    Returns
    -------
    tuple of str
        Notes on the conversion.

    Raises
    ------
    ModelError
        When the file cannot be read, or contains the weights of another model; the message lists missing and
        unexpected tensors.
    """
    mappings = tensor_mappings(architecture, module)
    state = module.state_dict()
    with keras_file(path) as file:
        if file.final_activation not in (None, "linear", "softmax"):
            raise ModelError(
                f"The model in {path} ends with the activation {file.final_activation}, so that its outputs are not "
                "logits of classes.",
                OTHER_MODEL,
            )
        names, notes = _matched_names(file, mappings, architecture)
        for done, (mapping, name) in enumerate(zip(mappings, names, strict=True)):
            progress(f"converting {path.name}", done, len(mappings))
            converted = mapping.convert(file.read(name)).reshape(mapping.shape)
            target = state[mapping.timm]
            if mapping.part is not None:
                rows = mapping.shape[0]
                target = target[mapping.part * rows : (mapping.part + 1) * rows]
            target.copy_(torch.from_numpy(np.ascontiguousarray(converted)))
    return (*notes, *([SOFTMAX_OMITTED] if file.final_activation == "softmax" else []))


def _matched_names(
    file: KerasFile, mappings: Sequence[TensorMapping], architecture: str
) -> tuple[list[str], list[str]]:
    """Match each mapping to the name of a tensor in the file; also return notes."""
    endings = {ending: name for name in file.shapes for ending in _endings(name)}
    matches = [endings.get(mapping.keras) for mapping in mappings]
    names = [name for name in matches if name is not None]
    unexpected = [name for name in file.shapes if name not in set(names)]
    missing = [mapping.keras for mapping, name in zip(mappings, matches, strict=True) if name is None]
    if not unexpected and not missing:
        _check_shapes(file, mappings, names, architecture)
        return names, []
    all_names = list(file.shapes)
    if _same_order(file, mappings, all_names, matches):
        return all_names, [BY_ORDER.format(name=unexpected[0], expected=missing[0])]
    raise ModelError(
        f"{file.path} does not contain the weights of {architecture}: "
        f"{len(unexpected)} of its tensors are unexpected{_listed(unexpected)}, "
        f"{len(missing)} of the model's tensors are missing{_listed(missing)}.",
        OTHER_MODEL,
    )


def _endings(name: str) -> Iterator[str]:
    """List the parts of a path after each of its slashes, and the path itself."""
    parts = name.split("/")
    return ("/".join(parts[first:]) for first in range(len(parts)))


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:MOST_NAMES])}{', ...' if len(names) > MOST_NAMES else ''})" if names else ""


def _check_shapes(file: KerasFile, mappings: Sequence[TensorMapping], names: Sequence[str], architecture: str) -> None:
    """Check that the tensors of the file have the shapes of the parameters."""
    reshaped = [
        f"{name} {file.shapes[name]}"
        for mapping, name in zip(mappings, names, strict=True)
        if not _fits(file.shapes[name], mapping)
    ]
    if reshaped:
        raise ModelError(
            f"{file.path} does not contain the weights of {architecture}: {len(reshaped)} of its tensors have another "
            f"shape{_listed(reshaped)}.",
            OTHER_MODEL,
        )


def _same_order(
    file: KerasFile, mappings: Sequence[TensorMapping], names: list[str], matches: Sequence[str | None]
) -> bool:
    """Return whether the tensors match in number, order, kind and shape, and in every name that was matched."""
    return len(names) == len(mappings) and all(
        _kind(name) == _kind(mapping.keras) and _fits(file.shapes[name], mapping) and match in (None, name)
        for mapping, name, match in zip(mappings, names, matches, strict=True)
    )


def _kind(name: str) -> str:
    """Return the kind of a weight, such as kernel or gamma."""
    return name.rsplit("/", 1)[-1]


def _fits(shape: tuple[int, ...], mapping: TensorMapping) -> bool:
    """Return whether a tensor has the shape of its parameter once converted, apart from axes of length 1."""
    placeholder: KerasArray = np.broadcast_to(np.float32(0), shape)
    try:
        converted = mapping.convert(placeholder)
    except ValueError:
        return False
    # a 1 x 1 convolution and a dense layer differ in axes of length 1
    return [size for size in converted.shape if size > 1] == [size for size in mapping.shape if size > 1]
