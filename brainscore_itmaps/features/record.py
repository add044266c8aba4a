"""Record the activations of a model's layers for images, at full resolution or sampled at a grid."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import published_size
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ModelError, UsageError, nearest
from brainscore_itmaps.features.grid import LayerFeatures, concatenate_batches, downsample_if_larger
from brainscore_itmaps.images import read_image
from brainscore_itmaps.models.layers import spatial_maps
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Steps, uncounted
from brainscore_itmaps.protocol import OURS, Protocol

IMAGENET_MEAN = (0.485, 0.456, 0.406)
BATCH_SIZE = 14
"""Number of images of the published recordings."""

Preprocess = Callable[[Sequence[Any]], torch.Tensor]
Stored = TypeVar("Stored")


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
        Each image fills the model's field of view.
    layers : str or sequence of str, optional
        Names of modules, as in ``model.module.named_modules()``; by default the layer committed to IT.
    batch_size : int
        Number of images per batch; does not change the result. Halved when a GPU runs out of memory.
    preprocess : callable, optional
        Function from images to the model's input, in place of the preprocessing that belongs to the model's weights.
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
    loaded = _loaded_model(model)
    layers = [layers] if isinstance(layers, str) else list(layers or [_it_layer(loaded)])
    sources = _checked_images(images)
    prefix = getattr(loaded.module, "num_prefix_tokens", None)

    def copy_maps(activation: NDArray[np.floating[Any]], layer: str, first: int) -> NDArray[np.floating[Any]]:
        return spatial_maps(activation, layer, prefix).copy()

    names = [image.name if isinstance(image, Path) else f"image {index}" for index, image in enumerate(sources)]
    batches = record_batches(loaded, sources, layers, copy_maps, batch_size, preprocess, progress, names)
    return {layer: np.concatenate(parts) for layer, parts in batches.items()}


def _loaded_model(model: Model | str) -> Model:
    """Return a model; load it if the argument is a name."""
    if isinstance(model, str):
        from brainscore_itmaps.models.load import load_model

        return load_model(model)
    if not isinstance(model, Model):
        raise UsageError(
            f"A {type(model).__name__} is not a model that load_model returns.",
            "Give load_model(name), load_model(module, preprocessing=...), or the name of a model.",
        )
    return model


def _it_layer(model: Model) -> str:
    """Return the name of the layer that a model commits to IT."""
    if "IT" not in model.spec.layers:
        raise UsageError(f"{model.name} commits no layer to IT.", "Name a layer with layers=...")
    return model.spec.layers["IT"]


def _checked_images(images: Any) -> list[Path | Image.Image]:
    """Check that images are existing files or Pillow images, and return them as a list."""
    if isinstance(images, Recording):
        return list(images.images)
    items = [images] if isinstance(images, str | Path | Image.Image) else images
    if not isinstance(items, Sequence) or not all(isinstance(image, str | Path | Image.Image) for image in items):
        raise UsageError(
            f"The images are a {type(images).__name__} that holds other values than paths and Pillow images.",
            "Give load_recording(...), or a list of paths.",
        )
    sources = [Path(image).expanduser() if isinstance(image, str | Path) else image for image in items]
    if missing := [image for image in sources if isinstance(image, Path) and not image.is_file()]:
        raise DataError(f"There is no image file {missing[0]}.", "Give the paths of files, not of folders.")
    if not sources:
        raise UsageError("There are no images.", "Give at least one path.")
    return sources


def record_at_grid(
    model: Model,
    images: Sequence[Path],
    layers: Sequence[str],
    grid: Grid,
    batch_size: int = BATCH_SIZE,
    protocol: Protocol = OURS,
    progress: Steps = uncounted,
) -> dict[str, LayerFeatures]:
    """Record activations as :func:`record` does, and sample each at the grid as soon as a layer returns it.

    At most one activation of one batch is in memory in full, so that all layers of a model fit into memory.

    Parameters
    ----------
    model, images, layers, batch_size, progress
        As in :func:`record`.
    grid : Grid
        Grid of the recording.
    protocol : Protocol
        Its ``preprocess`` is a key of :data:`PREPROCESS`; ``resample`` is that of
        :func:`~brainscore_itmaps.features.grid.downsample_if_larger`.

    Returns
    -------
    dict of layer name to LayerFeatures

    Raises
    ------
    ModelError
        As in :func:`record_batches`.

    Examples
    --------
    The module "0" is the convolution; its 4 x 4 units are fewer than the positions of the grid:

    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8))
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "red.png"
    ...     Image.new("RGB", (32, 32), "red").save(path)
    ...     features = record_at_grid(model, [path, path], ["0"], Grid.even(6))
    >>> features["0"].values.shape, features["0"].field(Grid.even(6)).shape
    ((2, 4, 4, 8), (2, 6, 6, 8))
    """
    prefix = getattr(model.module, "num_prefix_tokens", None)

    def sample(activation: NDArray[np.floating[Any]], layer: str, first: int) -> LayerFeatures:
        features = downsample_if_larger(spatial_maps(activation, layer, prefix), grid, protocol, first)
        return features if features.at_grid else LayerFeatures(features.values.copy(), at_grid=False)

    batches = record_batches(model, images, layers, sample, batch_size, PREPROCESS[protocol.preprocess], progress)
    return {layer: concatenate_batches(parts) for layer, parts in batches.items()}


def record_batches(
    model: Model,
    images: Sequence[Any],
    layers: Sequence[str],
    process: Callable[[NDArray[np.floating[Any]], str, int], Stored],
    batch_size: int = BATCH_SIZE,
    preprocess: Preprocess | None = None,
    progress: Steps = uncounted,
    names: Sequence[str] | None = None,
) -> dict[str, list[Stored]]:
    """Run a model on images batch by batch, and apply a function to each activation.

    Parameters
    ----------
    model, layers, batch_size, preprocess, progress
        As in :func:`record`.
    images : sequence
        Images in any form that the preprocessing takes.
    process : callable
        Function of the activation of a batch (which may be overwritten later), the layer's name, and the index of the
        batch's first image; returns the value to store.
    names : sequence of str, optional
        Names of the images in error messages; by default the names of their files.

    Returns
    -------
    dict of layer name to the list of stored values, one per batch

    Raises
    ------
    ModelError
        As in :func:`record`, or when one image does not fit into the memory of the device.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8))
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> images = [Image.new("RGB", (32, 32))] * 3
    >>> record_batches(model, images, ["0"], lambda activation, layer, first: (first, activation.shape), 2, names="abc")
    {'0': [(0, (2, 8, 4, 4)), (2, (1, 8, 4, 4))]}
    """
    modules = dict(model.module.named_modules())
    for layer in layers:
        check_layer(model, layer)
    stored: dict[str, list[Stored]] = {layer: [] for layer in layers}
    image_names = names or [image.name for image in images]
    batch: Sequence[Any] = ()
    done = batches_done = 0

    def hook_for(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, torch.Tensor):
                raise ModelError(
                    f"The layer {layer!r} of {model.name} gives a {type(output).__name__}, not one tensor.",
                    "Choose a layer inside this layer.",
                )
            if output.shape[:1] != (len(batch),):
                count = len(output) if output.ndim else 1
                raise _activation_count_error(model, layer, f"{count} activations for {len(batch)} images")
            activation = output.detach().to("cpu", torch.float32).numpy()
            check_finite(activation, layer, image_names[done : done + len(batch)])
            stored[layer].append(process(activation, layer, done))

        return hook

    training = model.module.training
    hooks = [modules[layer].register_forward_hook(hook_for(layer)) for layer in layers]
    device = next(model.module.parameters()).device
    try:
        model.module.eval()
        with torch.inference_mode():
            while done < len(images):
                batch = images[done : done + batch_size]
                try:
                    model.module((preprocess or model.preprocess)(batch).to(device))
                except torch.OutOfMemoryError as error:
                    for parts in stored.values():
                        del parts[batches_done:]
                    if batch_size == 1:
                        raise ModelError(
                            f"One image of {model.name} does not fit into the memory of {device}.",
                            "Use --device cpu.",
                        ) from error
                    batch_size = -(-len(batch) // 2)
                    torch.cuda.empty_cache()
                    continue
                done, batches_done = done + len(batch), batches_done + 1
                for layer, parts in stored.items():
                    if len(parts) != batches_done:
                        count = f"{len(parts)} activations for {batches_done} batches"
                        raise _activation_count_error(model, layer, count)
                progress(done, len(images))
    finally:
        for hook in hooks:
            hook.remove()
        model.module.train(training)
    return stored


def check_layer(model: Model, layer: str) -> None:
    """Check that a model has a layer.

    Raises
    ------
    ModelError
        When it has no layer of that name; the message contains the most similar names.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8))
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> check_layer(model, "0")
    """
    modules = dict(model.module.named_modules())
    if layer not in modules:
        committed = model.spec.layers.get("IT", "none")
        raise ModelError(
            f"{model.name} has no layer {layer!r}.",
            nearest(layer, filter(None, modules), f"The layer committed to IT is {committed}."),
        )


def _activation_count_error(model: Model, layer: str, count: str) -> ModelError:
    """Build the error for a layer that does not return one activation per image."""
    return ModelError(
        f"The layer {layer!r} of {model.name} gave {count}: it is not used, is used more than once, or works on parts "
        "of images.",
        "Choose a layer that every image passes once.",
    )


def published_input(images: Sequence[Path]) -> torch.Tensor:
    """Preprocess images as the published code does: resize to 224 x 224 by OpenCV, subtract and divide by the mean.

    The mean is that of ImageNet. The usual preprocessing divides by the standard deviation instead.

    Returns
    -------
    tensor, shape (image, 3, 224, 224)

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "black.png"
    ...     Image.new("RGB", (32, 24)).save(path)
    ...     inputs = published_input([path])
    >>> tuple(inputs.shape), inputs.unique().tolist()
    ((1, 3, 224, 224), [-1.0])
    """
    pixels = np.stack([published_size(np.asarray(read_image(path))) for path in images])  # (image, y, x, channel)
    mean = np.array(IMAGENET_MEAN)
    scaled = (pixels / 255.0 - mean) / mean
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32))


PREPROCESS: dict[str, Preprocess | None] = {"model": None, "published": published_input}
"""Preprocessing for each ``Protocol.preprocess``; None is that of the model's weights."""


def check_finite(activation: NDArray[np.floating[Any]], layer: str, images: Sequence[str]) -> None:
    """Check that activations contain neither NaN nor infinity.

    Raises
    ------
    ModelError
        When they do; the message names the layer and the images.

    Examples
    --------
    >>> check_finite(np.zeros((2, 3, 4, 5)), "layer3", ["a.png", "b.png"])
    """
    invalid = ~np.isfinite(activation).reshape(len(activation), -1).all(axis=1)
    if invalid.any():
        names = ", ".join(name for name, is_invalid in zip(images, invalid, strict=True) if is_invalid)
        raise ModelError(
            f"The layer {layer!r} gives values that are not finite, on {names}.",
            "Check the weights and the preprocessing of this model; nothing was scored.",
        )
