"""Wrap the models of this package for Brain-Score."""

import functools
import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
from brainscore_vision.model_helpers.brain_transformation import ModelCommitment
from numpy.typing import NDArray

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.layers import shape_layout
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.selectors import LAST, Selector, described, selected, selector_of, tensors_in
from brainscore_itmaps.models.zoo import ZOO

BATCH_SIZE = 14
"""Number of images in a recording: Brain-Score pads every batch to its full size."""


def get_model(identifier: str) -> ModelCommitment:
    """Load a model of the zoo and wrap it for Brain-Score.

    Examples
    --------
    >>> get_model("efficientnet_lite0").identifier
    'efficientnet_lite0'
    """
    return brain_model(load_model(identifier))


def get_layers(identifier: str) -> list[str]:
    """List the layers of a model from which Brain-Score may choose.

    Examples
    --------
    >>> get_layers("efficientnet_lite0")
    ['blocks.1', 'blocks.2', 'blocks.3', 'blocks.4']
    """
    return list(ZOO[identifier].layers.values())


def get_bibtex(identifier: str) -> str:
    """Return the BibTeX entry of a model.

    Examples
    --------
    >>> get_bibtex("efficientnet_lite0").partition(",")[0]
    '@inproceedings{tan2019efficientnet'
    """
    return ZOO[identifier].citation


def brain_model(loaded: Model) -> ModelCommitment:
    """Wrap a loaded model in Brain-Score's interface.

    The identifier of the wrapper contains a hash of weights and preprocessing, because Brain-Score caches activations
    under that identifier. A user's own code gets a new one each time: no hash describes what the code computes.

    Examples
    --------
    >>> model = brain_model(load_model("timm:test_vit", "random"))
    >>> model.identifier, model.visual_degrees()
    ('timm:test_vit', 8)
    """
    spec = loaded.spec
    preprocessing = (spec.size, spec.mean, spec.std, spec.interpolation)
    content = uuid.uuid4().hex if loaded.own_code else loaded.sha256
    key = hashlib.sha256(f"{content} {preprocessing}".encode()).hexdigest()[:8]
    wrapper = CopyingWrapper(
        model=loaded.module,
        preprocessing=functools.partial(_inputs, loaded),
        identifier=f"{spec.identifier}-{key}",
        batch_size=BATCH_SIZE,
    )
    wrapper.image_size = spec.size
    model = ModelCommitment(
        identifier=spec.identifier,
        activations_model=wrapper,
        layers=list(spec.layers.values()) or ["logits"],
        behavioral_readout_layer=spec.readout,
        region_layer_map=dict(spec.layers),
        visual_degrees=spec.visual_degrees,
    )
    model.itmaps_model = loaded
    return model


class CopyingWrapper(PytorchWrapper):  # type: ignore[misc]
    """Brain-Score's wrapper, except that it copies each activation when the layer returns it.

    The original keeps a view on the CPU, which a later in-place operation overwrites. It also caches all layers of a
    stimulus set in one file, which fails for layers with different axes, such as tokens and logits.
    """

    def __call__(self, stimuli: Any, layers: Sequence[str], *arguments: Any, **options: Any) -> Any:
        """Show images and return the activations of layers, cached separately for each list of layers."""
        extractor = self._extractor
        identifier = extractor.identifier
        if identifier:
            extractor.identifier = f"{identifier}-{hashlib.sha256(' '.join(layers).encode()).hexdigest()[:8]}"
        try:
            return extractor(stimuli, layers, *arguments, **options)
        finally:
            extractor.identifier = identifier

    def get_layer(self, layer_name: str) -> torch.nn.Module:
        """Return the module that a selector names."""
        return selected_module(self, layer_name) or super().get_layer(layer_name)

    def register_hook(self, layer: torch.nn.Module, layer_name: str, target_dict: dict[str, Any]) -> Any:
        """Register a hook that copies the output of a layer, or the element of the call that its name selects."""
        selector = selector_of(layer_name, dict(self._model.named_modules()))
        return layer.register_forward_hook(copying_hook(layer_name, selector, target_dict, self._extractor._batch_size))


def selected_module(wrapper: PytorchWrapper, layer_name: str) -> torch.nn.Module | None:
    """Return the module that a selector with a call or an element names; None for other names.

    Examples
    --------
    >>> model = brain_model(load_model("timm:test_vit", "random"))
    >>> type(selected_module(model.activations_model, "blocks.3@last")).__name__
    'Block'
    >>> selected_module(model.activations_model, "blocks.3") is None
    True
    """
    modules = dict(wrapper._model.named_modules())
    selector = selector_of(layer_name, modules)
    plain = selector is None or (selector.call is None and not selector.elements)
    return None if plain or selector is None else modules[selector.module]


def copying_hook(layer_name: str, selector: Selector | None, target_dict: dict[str, Any], images: int) -> Any:
    """Build a forward hook that stores a copy of what a selector selects, or of the only map of several tensors.

    Examples
    --------
    >>> stored = {}
    >>> hook = copying_hook("layer[1]", Selector("layer", None, (1,)), stored, images=2)
    >>> hook(None, None, (torch.zeros(2, 3), torch.ones(2, 3)))
    >>> stored["layer[1]"].tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    calls = 0

    def store(module: torch.nn.Module, inputs: object, output: object) -> None:
        nonlocal calls
        calls += 1
        if selector is not None and selector.call not in (None, LAST, calls):
            return
        try:
            element = selected(output, () if selector is None else selector.elements, images)
        except (LookupError, TypeError) as error:
            raise no_tensor(layer_name, output, images) from error
        maps = [tensor for _, tensor in tensors_in(element) if shape_layout(tensor.shape) is not None]
        tensor = maps[0] if not isinstance(element, torch.Tensor) and len(maps) == 1 else element
        if not isinstance(tensor, torch.Tensor):
            raise no_tensor(layer_name, element, images)
        target_dict[layer_name] = tensor.detach().to("cpu", copy=True).numpy()

    return store


def no_tensor(layer_name: str, output: object, images: int) -> ModelError:
    """Build the error for a layer that does not give one tensor.

    Examples
    --------
    >>> no_tensor("layer", (torch.zeros(2, 3),), images=2).fix
    'It contains layer[0] (image, 3): select one of these.'
    """
    given = described(output, layer_name, images)
    fix = f"It contains {given}: select one of these." if given else "Choose another layer."
    return ModelError(f"The layer {layer_name!r} gives a {type(output).__name__}, and not one tensor to read.", fix)


def _inputs(model: Model, image_filepaths: list[str]) -> NDArray[np.float32]:
    inputs: NDArray[np.float32] = model.preprocess([Path(path) for path in image_filepaths]).numpy()
    return inputs
