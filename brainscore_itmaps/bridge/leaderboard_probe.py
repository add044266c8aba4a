"""A model of one convolution, without weights to download, with which an exported benchmark is tested."""

import functools

import numpy as np
import torch
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper, load_preprocess_images
from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

SIZE = 64
CHANNELS = 12


def probe_model() -> ModelCommitment:
    """Build a model of one convolution with fixed random weights and a rectification.

    Examples
    --------
    >>> model = probe_model()
    >>> model.identifier, model.visual_degrees()
    ('itmaps-probe', 8)
    """
    convolution = torch.nn.Conv2d(3, CHANNELS, kernel_size=9, stride=4, padding=4, bias=False)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(rng.normal(size=tuple(convolution.weight.shape))))
    network = torch.nn.Sequential(convolution, torch.nn.ReLU()).eval()
    preprocessing = functools.partial(load_preprocess_images, image_size=SIZE)
    wrapper = PytorchWrapper(identifier="itmaps-probe", model=network, preprocessing=preprocessing, batch_size=14)
    layers = dict.fromkeys(("V1", "V2", "V4", "IT"), "1")
    return ModelCommitment(
        identifier="itmaps-probe", activations_model=wrapper, layers=["1"], region_layer_map=layers, visual_degrees=8
    )
