"""Record the activations of a network's layers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.data.pictures import published_size, read_picture
from brainscore_itmaps.errors import ModelError, nearest
from brainscore_itmaps.features.layout import spatial_maps
from brainscore_itmaps.models.load import Network

IMAGENET_MEAN = (0.485, 0.456, 0.406)


def record(
    network: Network,
    images: Sequence[Path],
    layers: str | Sequence[str],
    batch_size: int = 14,
    preprocess: Callable[[Sequence[Path]], torch.Tensor] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, NDArray[np.floating[Any]]]:
    """Show pictures to a network and keep what its layers answer.

    The network is left as it was: in its own mode, without hooks. Activations are copied when a layer gives them, so
    that operations in place further on cannot change them.

    Parameters
    ----------
    network : Network
        From :func:`brainscore_itmaps.load_model`.
    images : sequence of Path
        Pictures, each shown whole at the network's full field of view.
    layers : str or sequence of str
        Names of modules, as in ``network.module.named_modules()``.
    batch_size : int
        Pictures shown at once; does not change the result.
    preprocess : callable, optional
        Reads pictures and gives the network's input, instead of the preprocessing that belongs to its weights.
    progress : callable
        Told (pictures done, pictures in all).

    Returns
    -------
    dict of layer name to array, shape (image, channel, y, x)

    Raises
    ------
    ModelError
        When a layer does not exist, gives no map, gives something other than one tensor a picture, or a value that is
        not finite.
    """
    layers = [layers] if isinstance(layers, str) else layers
    modules = dict(network.module.named_modules())
    for layer in layers:
        if layer not in modules:
            committed = network.spec.layers.get("IT", "none")
            raise ModelError(
                f"{network.name} has no layer {layer!r}.",
                nearest(layer, filter(None, modules), f"The layer committed to IT is {committed}."),
            )
    batches: dict[str, list[NDArray[np.floating[Any]]]] = {layer: [] for layer in layers}

    def keep(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, torch.Tensor):
                raise ModelError(
                    f"The layer {layer!r} of {network.name} gives a {type(output).__name__}, not one tensor.",
                    "Choose a layer inside it.",
                )
            batches[layer].append(output.detach().to("cpu", torch.float32, copy=True).numpy())

        return hook

    training = network.module.training
    hooks = [modules[layer].register_forward_hook(keep(layer)) for layer in layers]
    device = next(network.module.parameters()).device
    try:
        network.module.eval()
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size]
                network.module((preprocess or network.preprocess)(batch).to(device))
                progress(start + len(batch), len(images))
    finally:
        for hook in hooks:
            hook.remove()
        network.module.train(training)
    prefix = getattr(network.module, "num_prefix_tokens", None)
    maps = {}
    for layer, parts in batches.items():
        if sum(map(len, parts)) != len(images):
            raise ModelError(
                f"The layer {layer!r} of {network.name} gave {sum(map(len, parts))} activations for {len(images)} "
                "pictures: it is not used, used more than once, or works on parts of pictures.",
                "Choose a layer that every picture passes once.",
            )
        activation = np.concatenate(parts)
        refuse_not_finite(activation, layer, [image.name for image in images])
        maps[layer] = spatial_maps(activation, layer, prefix)
    return maps


def published_input(images: Sequence[Path]) -> torch.Tensor:
    """Show pictures as the published code does: 224 x 224 by OpenCV, minus the mean of ImageNet, over that mean.

    One divides by the standard deviation; the published line divides by the mean once more.

    Returns
    -------
    tensor, shape (image, 3, 224, 224)
    """
    pictures = np.stack([published_size(np.asarray(read_picture(path))) for path in images])  # (image, y, x, channel)
    mean = np.array(IMAGENET_MEAN)
    scaled = (pictures / 255.0 - mean) / mean
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32))


def refuse_not_finite(activation: NDArray[np.floating[Any]], layer: str, images: Sequence[str]) -> None:
    """Refuse activations with a NaN or an infinity.

    Raises
    ------
    ModelError
        Naming the layer and the pictures.
    """
    broken = ~np.isfinite(activation).reshape(len(activation), -1).all(axis=1)
    if broken.any():
        names = ", ".join(name for name, bad in zip(images, broken, strict=True) if bad)
        raise ModelError(
            f"The layer {layer!r} gives values that are not finite, on {names}.",
            "Check the weights and the preprocessing of this network; nothing was scored.",
        )
