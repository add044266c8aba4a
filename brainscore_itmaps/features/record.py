"""Record the activations of a model's layers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import published_size, read_image
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ModelError, UsageError, nearest
from brainscore_itmaps.features.grid import LayerFeatures, downsample_if_larger, joined
from brainscore_itmaps.models.layers import spatial_maps
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Steps, uncounted
from brainscore_itmaps.protocol import OURS, Protocol

IMAGENET_MEAN = (0.485, 0.456, 0.406)
BATCH_SIZE = 14
"""The images of a recording."""

Preprocess = Callable[[Sequence[Any]], torch.Tensor]
Kept = TypeVar("Kept")


def record(
    model: Model | str,
    images: Recording | Path | str | Image.Image | Sequence[Path | str | Image.Image],
    layers: str | Sequence[str] | None = None,
    batch_size: int = BATCH_SIZE,
    preprocess: Preprocess | None = None,
    progress: Steps = uncounted,
) -> dict[str, NDArray[np.floating[Any]]]:
    """Record the activations of a model's layers for a set of images.

    The model is left unchanged: its mode is restored and no hooks remain. Activations are copied when a layer returns
    them, so that later in-place operations cannot change them.

    Parameters
    ----------
    model : Model or str
        A model from :func:`brainscore_itmaps.load_model`, or its name.
    images : Recording, or path, Pillow image, or a sequence of these
        Each image is shown whole, at the model's full field of view.
    layers : str or sequence of str, optional
        Names of modules, as in ``model.module.named_modules()``; by default the layer committed to IT.
    batch_size : int
        Number of images per batch; does not change the result. Halved when a GPU runs out of memory.
    preprocess : callable, optional
        Converts images to the model's input, instead of the preprocessing that belongs to the model's weights.
    progress : callable
        Called with (images done, images in all).

    Returns
    -------
    dict of layer name to array, shape (image, channel, y, x)

    Raises
    ------
    UsageError
        When the first argument is not a model, or the second not images.
    DataError
        When an image file does not exist.
    ModelError
        When a layer does not exist, has no spatial map, does not return one tensor per image, or returns a value that
        is not finite.

    Examples
    --------
    >>> import brainscore_itmaps as itmaps
    >>> recording = itmaps.load_recording("it_maps_simulated")
    >>> model = itmaps.load_model("timm:test_resnet", "random")
    >>> itmaps.record(model, recording.images[:2], "layer3")["layer3"].shape
    (2, 192, 10, 10)
    """
    loaded = _model(model)
    layers = [layers] if isinstance(layers, str) else list(layers or [_committed(loaded)])
    shown = _images(images)
    prefix = getattr(loaded.module, "num_prefix_tokens", None)

    def copied(activation: NDArray[np.floating[Any]], layer: str, first: int) -> NDArray[np.floating[Any]]:
        return spatial_maps(activation, layer, prefix).copy()

    names = [image.name if isinstance(image, Path) else f"image {number}" for number, image in enumerate(shown)]
    batches = record_batches(loaded, shown, layers, copied, batch_size, preprocess, progress, names)
    return {layer: np.concatenate(parts) for layer, parts in batches.items()}


def _model(model: Model | str) -> Model:
    """Return a loaded model; load it if its name is given."""
    if isinstance(model, str):
        from brainscore_itmaps.models.load import load_model

        return load_model(model)
    if not isinstance(model, Model):
        raise UsageError(
            f"A {type(model).__name__} is not a model that load_model returns.",
            "Give load_model(name), load_model(module, preprocessing=...), or the name of a model.",
        )
    return model


def _committed(model: Model) -> str:
    """Return the layer that a model commits to IT."""
    if "IT" not in model.spec.layers:
        raise UsageError(f"{model.name} commits no layer to IT.", "Name a layer with layers=...")
    return model.spec.layers["IT"]


def _images(images: Any) -> list[Path | Image.Image]:
    """Check images: existing files or Pillow images."""
    if isinstance(images, Recording):
        return list(images.images)
    given = [images] if isinstance(images, str | Path | Image.Image) else images
    if not isinstance(given, Sequence) or not all(isinstance(image, str | Path | Image.Image) for image in given):
        raise UsageError(
            f"A {type(images).__name__} of other things than paths or Pillow images cannot be shown to a model.",
            "Give load_recording(...), or a list of paths.",
        )
    found = [Path(image).expanduser() if isinstance(image, str | Path) else image for image in given]
    if missing := [image for image in found if isinstance(image, Path) and not image.is_file()]:
        raise DataError(f"There is no image file {missing[0]}.", "Give the paths of files, not of folders.")
    if not found:
        raise UsageError("There are no images.", "Give at least one path.")
    return found


def record_at_grid(
    model: Model,
    images: Sequence[Path],
    layers: Sequence[str],
    grid: Grid,
    batch_size: int = BATCH_SIZE,
    protocol: Protocol = OURS,
    progress: Steps = uncounted,
) -> dict[str, LayerFeatures]:
    """Record as :func:`record`, but sample each activation at the grid as soon as a layer gives it.

    Nothing larger than one activation of one batch is ever held: all layers of a model fit into memory.

    Parameters
    ----------
    model, images, layers, batch_size, progress
        As in :func:`record`.
    grid : Grid
        Of the recording.
    protocol : Protocol
        Its ``preprocess``, a name of :data:`PREPROCESS`, and its ``resample``.

    Returns
    -------
    dict of layer name to LayerFeatures
    """
    prefix = getattr(model.module, "num_prefix_tokens", None)

    def small(activation: NDArray[np.floating[Any]], layer: str, first: int) -> LayerFeatures:
        kept = downsample_if_larger(spatial_maps(activation, layer, prefix), grid, protocol, first)
        return kept if kept.at_grid else LayerFeatures(kept.values.copy(), at_grid=False)

    batches = record_batches(model, images, layers, small, batch_size, PREPROCESS[protocol.preprocess], progress)
    return {layer: joined(parts) for layer, parts in batches.items()}


def record_batches(
    model: Model,
    images: Sequence[Any],
    layers: Sequence[str],
    keep: Callable[[NDArray[np.floating[Any]], str, int], Kept],
    batch_size: int = BATCH_SIZE,
    preprocess: Preprocess | None = None,
    progress: Steps = uncounted,
    names: Sequence[str] | None = None,
) -> dict[str, list[Kept]]:
    """Show images to a model batch by batch, and apply a function to each activation.

    Parameters
    ----------
    model, layers, batch_size, preprocess, progress
        As in :func:`record`.
    images : sequence
        Of what the preprocessing takes.
    names : sequence of str, optional
        What errors call the images; by default the names of their files.
    keep : callable
        Takes the activation of a batch, which is overwritten later, the layer's name, and the number of the batch's
        first image; gives what is kept of it.

    Returns
    -------
    dict of layer name to what was kept of each batch
    """
    modules = dict(model.module.named_modules())
    for layer in layers:
        check_layer(model, layer)
    kept: dict[str, list[Kept]] = {layer: [] for layer in layers}
    called = names or [image.name for image in images]
    batch: Sequence[Any] = ()
    done = number = 0

    def keeping(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, torch.Tensor):
                raise ModelError(
                    f"The layer {layer!r} of {model.name} gives a {type(output).__name__}, not one tensor.",
                    "Choose a layer inside it.",
                )
            if output.shape[:1] != (len(batch),):
                count = len(output) if output.ndim else 1
                raise _not_once(model, layer, f"{count} activations for {len(batch)} images")
            activation = output.detach().to("cpu", torch.float32).numpy()
            check_finite(activation, layer, called[done : done + len(batch)])
            kept[layer].append(keep(activation, layer, done))

        return hook

    training = model.module.training
    hooks = [modules[layer].register_forward_hook(keeping(layer)) for layer in layers]
    device = next(model.module.parameters()).device
    try:
        model.module.eval()
        with torch.inference_mode():
            while done < len(images):
                batch = images[done : done + batch_size]
                try:
                    model.module((preprocess or model.preprocess)(batch).to(device))
                except torch.OutOfMemoryError as error:
                    for parts in kept.values():
                        del parts[number:]
                    if batch_size == 1:
                        raise ModelError(
                            f"One image of {model.name} does not fit into the memory of {device}.",
                            "Use --device cpu.",
                        ) from error
                    batch_size = -(-len(batch) // 2)
                    torch.cuda.empty_cache()
                    continue
                done, number = done + len(batch), number + 1
                for layer, parts in kept.items():
                    if len(parts) != number:
                        raise _not_once(model, layer, f"{len(parts)} activations for {number} batches")
                progress(done, len(images))
    finally:
        for hook in hooks:
            hook.remove()
        model.module.train(training)
    return kept


def check_layer(model: Model, layer: str) -> None:
    """Check that a model has a layer.

    Raises
    ------
    ModelError
        With the names that look most like it.
    """
    modules = dict(model.module.named_modules())
    if layer not in modules:
        committed = model.spec.layers.get("IT", "none")
        raise ModelError(
            f"{model.name} has no layer {layer!r}.",
            nearest(layer, filter(None, modules), f"The layer committed to IT is {committed}."),
        )


def _not_once(model: Model, layer: str, what: str) -> ModelError:
    return ModelError(
        f"The layer {layer!r} of {model.name} gave {what}: it is not used, used more than once, or works on parts "
        "of images.",
        "Choose a layer that every image passes once.",
    )


def published_input(images: Sequence[Path]) -> torch.Tensor:
    """Preprocess as the published code does: resize to 224 x 224 by OpenCV, subtract ImageNet's mean, divide by it.

    One divides by the standard deviation; the published line divides by the mean once more.

    Returns
    -------
    tensor, shape (image, 3, 224, 224)
    """
    shown = np.stack([published_size(np.asarray(read_image(path))) for path in images])  # (image, y, x, channel)
    mean = np.array(IMAGENET_MEAN)
    scaled = (shown / 255.0 - mean) / mean
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32))


PREPROCESS: dict[str, Preprocess | None] = {"model": None, "published": published_input}
"""Reads images, by :attr:`~brainscore_itmaps.protocol.Protocol.preprocess`; None: what belongs to the weights."""


def check_finite(activation: NDArray[np.floating[Any]], layer: str, images: Sequence[str]) -> None:
    """Check that activations contain neither NaN nor infinity.

    Raises
    ------
    ModelError
        Naming the layer and the images.
    """
    broken = ~np.isfinite(activation).reshape(len(activation), -1).all(axis=1)
    if broken.any():
        names = ", ".join(name for name, bad in zip(images, broken, strict=True) if bad)
        raise ModelError(
            f"The layer {layer!r} gives values that are not finite, on {names}.",
            "Check the weights and the preprocessing of this model; nothing was scored.",
        )
