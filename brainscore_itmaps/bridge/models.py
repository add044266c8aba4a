"""Our models as Brain-Score models."""

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
"""Brain-Score fills every batch up to its size; ours fits the 14 images of a recording."""


def get_model(identifier: str) -> ModelCommitment:
    """Return a model of the zoo for Brain-Score."""
    return brain_model(load_model(identifier))


def get_layers(identifier: str) -> list[str]:
    """Return the layers that Brain-Score may choose from."""
    return list(ZOO[identifier].layers.values())


def get_bibtex(identifier: str) -> str:
    """Return the citation of a model."""
    return ZOO[identifier].citation


def brain_model(loaded: Model) -> ModelCommitment:
    """Wrap a loaded model.

    The wrapper's identifier carries a hash of weights and preprocessing: Brain-Score keeps activations by that name. Of
    a user's own code, whose hash tells nothing of what it computes, it is another one each time.
    """
    spec = loaded.spec
    preprocessing = (spec.size, spec.mean, spec.std, spec.interpolation)
    known = uuid.uuid4().hex if loaded.own_code else loaded.sha256
    key = hashlib.sha256(f"{known} {preprocessing}".encode()).hexdigest()[:8]
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

    The original keeps a view on the CPU, which a later operation in place overwrites. It keeps all layers of a set of
    images in one file, and cannot join there what differs in kind: a transformer's tokens and its row for behaviour.
    """

    def __call__(self, stimuli: Any, layers: Sequence[str], *arguments: Any, **options: Any) -> Any:
        """Show images and return the activations of layers."""
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

        def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            target_dict[layer_name] = output.detach().to("cpu", copy=True).numpy()

        return layer.register_forward_hook(keep)


def _inputs(model: Model, image_filepaths: list[str]) -> NDArray[np.float32]:
    inputs: NDArray[np.float32] = model.preprocess([Path(path) for path in image_filepaths]).numpy()
    return inputs
