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

from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.zoo import ZOO

BATCH_SIZE = 14
"""Number of images in a recording: Brain-Score pads every batch to its full size."""


def get_model(identifier: str) -> ModelCommitment:
    """Load a model of the zoo and wrap it for Brain-Score."""
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
        layers=list(spec.layers.values()),
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

    def register_hook(self, layer: torch.nn.Module, layer_name: str, target_dict: dict[str, Any]) -> Any:
        """Register a hook that copies the output of a layer."""

        def store(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            target_dict[layer_name] = output.detach().to("cpu", copy=True).numpy()

        return layer.register_forward_hook(store)


def _inputs(model: Model, image_filepaths: list[str]) -> NDArray[np.float32]:
    inputs: NDArray[np.float32] = model.preprocess([Path(path) for path in image_filepaths]).numpy()
    return inputs
