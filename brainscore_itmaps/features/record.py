"""Record the activations of a model's layers for images, at full resolution or sampled at a grid."""

import ctypes
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import published_size
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ModelError, UsageError, checked_batch_size
from brainscore_itmaps.features.grid import LayerFeatures, concatenate_batches, downsample_if_larger
from brainscore_itmaps.features.places import (
    LayerReading,
    check_calls,
    element_error,
    hooked,
    layer_readings,
    layer_selector,
)
from brainscore_itmaps.images import read_image
from brainscore_itmaps.models.layers import spatial_maps
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.selectors import LAST, described, selected, shape_text
from brainscore_itmaps.progress import Steps, shows_count, uncounted
from brainscore_itmaps.protocol import OURS, Protocol
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import ShortDict

IMAGENET_MEAN = (0.485, 0.456, 0.406)
BATCH_SIZE = 14
"""Number of images of the published recordings."""

Preprocess = Callable[[Sequence[Any]], torch.Tensor]
Stored = TypeVar("Stored")


@shows_count
def record(
    model: Model | str,
    images: Recording | Path | str | Image.Image | Iterable[Path | str | Image.Image],
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
    images : Recording, or path, Pillow image, or a list or generator of these
        Each image fills the model's field of view. The path of a folder stands for the images in it, sorted by name.
    layers : str or sequence of str, optional
        Names of modules, as in ``model.module.named_modules()``; by default the layer committed to IT. After the name,
        ``[0]`` or ``[last_hidden_state]`` selects an element of a tuple, list or dict, and ``@2`` or ``@last`` a call
        of a module that runs repeatedly in a forward pass, counted from 1.
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

    Warns
    -----
    UserWarning
        When a layer is read otherwise than its name and shape say, or the places of its units could not be verified.

    Examples
    --------
    >>> import brainscore_itmaps as itmaps
    >>> recording = itmaps.load_recording("it_maps_simulated")
    >>> model = itmaps.load_model("timm:test_resnet", "random")
    >>> itmaps.record(model, recording.images[:2], "layer3")["layer3"].shape
    (2, 192, 10, 10)
    """
    batch_size = checked_batch_size(batch_size)
    loaded = _loaded_model(model)
    layers = [layers] if isinstance(layers, str) else list(layers or [_it_layer(loaded)])
    layers = [loaded.own_name_of(layer) for layer in layers]
    sources = _checked_images(images)
    prefix = getattr(loaded.module, "num_prefix_tokens", None)
    readings = layer_readings(loaded, layers)
    for reading in readings.values():
        if reading.note:
            warnings.warn(reading.note, stacklevel=2)

    def copy_maps(activation: NDArray[np.floating[Any]], layer: str, first: int) -> NDArray[np.floating[Any]]:
        return spatial_maps(activation, layer, prefix, readings[layer].layout).copy()

    names = [image.name if isinstance(image, Path) else f"image {index}" for index, image in enumerate(sources)]
    batches = record_batches(loaded, sources, readings, copy_maps, batch_size, preprocess, progress, names)
    return ShortDict({layer: np.concatenate(parts) for layer, parts in batches.items()})


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
    if isinstance(images, str | Path) and (folder := expanded(images)).is_dir():
        images = sorted(file for file in folder.iterdir() if file.suffix.lower() in Image.registered_extensions())
        if not images:
            raise DataError(f"The folder {folder} contains no images.", "Give the paths of images, or another folder.")
    items = [images] if isinstance(images, str | Path | Image.Image) else images
    if not isinstance(items, Iterable) or isinstance(items, Mapping | bytes):
        raise _no_images(f"A {type(images).__name__} is not a list of images.")
    items = list(items)
    if not all(isinstance(item, str | Path | Image.Image) for item in items):
        raise _no_images(
            f"The images are a {type(images).__name__} that holds other values than paths and Pillow images."
        )
    sources = [expanded(image) if isinstance(image, str | Path) else image for image in items]
    if missing := [image for image in sources if isinstance(image, Path) and not image.is_file()]:
        raise DataError(f"There is no image file {missing[0]}.", "Give the paths of files, not of folders.")
    if not sources:
        raise UsageError("There are no images.", "Give at least one path.")
    return sources


def _no_images(what: str) -> UsageError:
    return UsageError(what, "Give load_recording(...), a folder, or a list of paths and Pillow images.")


def record_at_grid(
    model: Model,
    images: Sequence[Path],
    layers: Sequence[str],
    grid: Grid,
    batch_size: int = BATCH_SIZE,
    protocol: Protocol = OURS,
    progress: Steps = uncounted,
    readings: Mapping[str, LayerReading] | None = None,
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
    readings : mapping of layer to LayerReading, optional
        How the layers are read, from :func:`~brainscore_itmaps.features.places.layer_readings`; by default as their
        names and shapes say.

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
    read_as = readings or {layer: LayerReading(layer_selector(model, layer)) for layer in layers}

    def sample(activation: NDArray[np.floating[Any]], layer: str, first: int) -> LayerFeatures:
        maps = spatial_maps(activation, layer, prefix, read_as[layer].layout)
        features = downsample_if_larger(maps, grid, protocol, first)
        return features if features.at_grid else LayerFeatures(features.values.copy(), at_grid=False)

    requested = {layer: read_as[layer] for layer in layers}
    batches = record_batches(model, images, requested, sample, batch_size, PREPROCESS[protocol.preprocess], progress)
    features = {layer: concatenate_batches(batches.pop(layer)) for layer in requested}
    _release_memory()
    return features


def _release_memory() -> None:
    """Return memory that forward passes have freed to the system, where the C library can: glibc keeps much of it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def record_batches(
    model: Model,
    images: Sequence[Any],
    layers: Iterable[str] | Mapping[str, LayerReading],
    process: Callable[[NDArray[np.floating[Any]], str, int], Stored],
    batch_size: int = BATCH_SIZE,
    preprocess: Preprocess | None = None,
    progress: Steps = uncounted,
    names: Sequence[str] | None = None,
) -> dict[str, list[Stored]]:
    """Run a model on images batch by batch, and apply a function to each activation.

    Parameters
    ----------
    model, batch_size, preprocess, progress
        As in :func:`record`.
    images : sequence
        Images in any form that the preprocessing takes.
    layers : iterable of str, or mapping of str to LayerReading
        Names of layers, or how each is read.
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
    selectors = {layer: layer_selector(model, layer) for layer in layers}
    if isinstance(layers, Mapping):
        selectors |= {layer: reading.selector for layer, reading in layers.items()}
    stored: dict[str, list[Stored]] = {layer: [] for layer in selectors}
    calls: dict[str, int] = {}
    last_calls: dict[str, torch.Tensor] = {}
    image_names = names or [image.name for image in images]
    batch: Sequence[Any] = ()
    done = batches_done = 0

    def store(layer: str, activation: torch.Tensor) -> None:
        values = activation.detach().to("cpu", torch.float32).numpy()
        check_finite(values, layer, image_names[done : done + len(batch)])
        stored[layer].append(process(values, layer, done))

    def hook_for(layer: str) -> Callable[[torch.nn.Module, object, object], None]:
        selector = selectors[layer]

        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            calls[layer] += 1
            if calls[layer] != (selector.call or 1) and selector.call != LAST:
                return
            try:
                element = selected(output, selector.elements, len(batch))
            except (LookupError, TypeError) as error:
                raise element_error(model, layer, selector, output, len(batch)) from error
            activation = _checked_activation(model, layer, element, len(batch))
            if selector.call == LAST:
                last_calls[layer] = activation.detach().clone()  # a later operation in place could overwrite it
            else:
                store(layer, activation)

        return hook

    device = next(model.module.parameters()).device
    with hooked(model.module, [(modules[selectors[layer].module], hook_for(layer)) for layer in selectors]):
        while done < len(images):
            batch = images[done : done + batch_size]
            calls = dict.fromkeys(selectors, 0)
            last_calls = {}
            try:
                model.run((preprocess or model.preprocess)(batch))
            except torch.OutOfMemoryError as error:
                for parts in stored.values():
                    del parts[batches_done:]
                if batch_size == 1:
                    raise ModelError(
                        f"One image of {model.name} does not fit into the memory of {device}.",
                        "Use the device cpu.",
                    ) from error
                batch_size = -(-len(batch) // 2)
                torch.cuda.empty_cache()
                continue
            for layer, selector in selectors.items():
                check_calls(model, layer, selector, calls[layer])
                if layer in last_calls:
                    store(layer, last_calls[layer])
            done, batches_done = done + len(batch), batches_done + 1
            progress(done, len(images))
    return stored


def _checked_activation(model: Model, layer: str, output: object, images: int) -> torch.Tensor:
    """Check that a layer gives one tensor of real numbers, with one activation for each image."""
    if not isinstance(output, torch.Tensor):
        given = described(output, layer, images)
        raise ModelError(
            f"The layer {layer!r} of {model.name} gives a {type(output).__name__}, not one tensor"
            f"{f': {given}' if given else ''}.",
            f"Select an element, for example {layer}[0]." if given else "Choose a layer inside this layer.",
        )
    if output.is_quantized:
        output = output.dequantize()
    if not output.is_floating_point():
        raise ModelError(
            f"The layer {layer!r} of {model.name} gives numbers of type {str(output.dtype).removeprefix('torch.')}.",
            "Choose a layer that gives real numbers, in floating point.",
        )
    if output.shape[:1] != (images,):
        count = len(output) if output.ndim else 1
        raise _activation_count_error(model, layer, output, count, images)
    return output


def _activation_count_error(model: Model, layer: str, output: torch.Tensor, count: int, images: int) -> ModelError:
    """Build the error for a layer that does not return one activation per image."""
    what = f"The layer {layer!r} of {model.name} gave {count} activations for {images} images: "
    if output.ndim > 2 and output.shape[1] == images:
        return ModelError(
            f"{what}it gives {count} time steps, {shape_text(output, images)}, with the images on the second axis.",
            f"Select a time step: {layer}[0] to {layer}[{count - 1}].",
        )
    times = count / images
    parts = (
        f"{times:.0f} time steps or parts of each image may be merged with the images"
        if times % 1 == 0 and times
        else ("it works on parts of images, or on all images together")
    )
    return ModelError(
        f"{what}{parts}.",
        "Choose a layer that gives one activation for each image, with the images on the first axis.",
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
