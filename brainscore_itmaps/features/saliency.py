"""Where in a picture a network's decision comes from."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from brainscore_itmaps.errors import ModelError, one_line
from brainscore_itmaps.features.attribution import METHODS, refuse_method
from brainscore_itmaps.models.network import Network


def saliency_maps(
    network: Network, images: NDArray[np.float32], labels: NDArray[np.int64], method: str = "gradient"
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How much each pixel matters to the logit of each picture's label.

    The attribution to the network's input is taken as the largest absolute one over the three colours, as Fel et al.
    (2022) evaluate networks; brought back to the pictures' size where the network takes another one.

    Parameters
    ----------
    network : Network
    images : array, shape (image, y, x, rgb)
        From 0 to 255.
    labels : array, shape (image,)
    method : "gradient", "integrated_gradients" or "smoothgrad"
        The others through captum.

    Returns
    -------
    saliency : array, shape (image, y, x)
    right : array, shape (image,)
        Is the label the largest logit?

    Raises
    ------
    ModelError
        When the network has no such class, or lets no gradient through.
    UsageError, InstallationError
        When the method is not known, or takes a package that is not installed.
    """
    refuse_method(method)
    device = next(network.module.parameters()).device
    inputs = as_input(network, images).to(device)
    classes = torch.from_numpy(labels).to(device)
    with torch.no_grad():
        logits = network.module(inputs)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or int(labels.max()) >= logits.shape[1]:
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"{network.name} gives {shape}: no logit of class {int(labels.max())}.", "Give a classifier of ImageNet."
        )
    try:
        given = [_attributed(network, shown, own, method) for shown, own in _portions(inputs, classes, method)]
    except RuntimeError as error:  # torch's word for a step without a derivative
        raise ModelError(
            f"{network.name} lets no gradient through to the picture: {one_line(error)}.", "Choose another network."
        ) from error
    saliency = torch.cat(given).detach().to("cpu", torch.float32).abs().amax(dim=1)
    if saliency.shape[1:] != images.shape[1:3]:
        saliency = functional.interpolate(saliency[:, None], images.shape[1:3], mode="bilinear", antialias=True)[:, 0]
    return saliency.double().numpy(), (logits.argmax(dim=1) == classes).cpu().numpy()


def as_input(network: Network, images: NDArray[np.float32]) -> torch.Tensor:
    """Preprocess pictures that are arrays already: resized, bilinear, where the network takes another size.

    Parameters
    ----------
    network : Network
    images : array, shape (image, y, x, rgb)
        From 0 to 255.

    Returns
    -------
    tensor, shape (image, 3, size, size)
    """
    if network.transform is not None:
        return network.preprocess([Image.fromarray(image) for image in np.clip(np.rint(images), 0, 255).astype("u1")])
    shown = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    if shown.shape[2:] != (network.spec.size,) * 2:
        shown = functional.interpolate(shown, (network.spec.size,) * 2, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (network.spec.mean, network.spec.std))
    return (shown - mean) / std


def _portions(inputs: torch.Tensor, classes: torch.Tensor, method: str) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """All at once; one by one where captum makes many of each."""
    size = len(inputs) if method == "gradient" else 1
    return zip(torch.split(inputs, size), torch.split(classes, size), strict=True)


def _attributed(network: Network, shown: torch.Tensor, classes: torch.Tensor, method: str) -> torch.Tensor:
    def respond(inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = network.module(inputs)
        own = classes if len(classes) == len(inputs) else classes.expand(len(inputs))
        return logits.gather(1, own[:, None])[:, 0]

    return METHODS[method](respond, shown)
