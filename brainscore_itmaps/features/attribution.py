"""Compute attribution: gradients of predicted responses, and of logits, with respect to the image.

The reference code of Linsley et al. (2023) contains such a score that was never run (`saliency_score`: the gradient of
the prediction's error, through layer and PLS weights). Here it is the gradient of the prediction itself. Benchmarks of
attribution are experimental: see :data:`brainscore_itmaps.benchmark.catalogue.EXPERIMENTAL`.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.errors import InstallationError, ModelError, UsageError, nearest, one_line
from brainscore_itmaps.features.grid import interpolation
from brainscore_itmaps.features.places import layer_readings
from brainscore_itmaps.models.forward import logits_of
from brainscore_itmaps.models.layers import Layout, spatial_maps
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.selectors import LAST, selected

Respond = Callable[[torch.Tensor], torch.Tensor]
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey images, by ITU-R 601, as in Pillow."""
STEPS = 32
NOISE = 0.15
"""Standard deviation of SmoothGrad's noise, in ranges of the input's values; its authors advise 10 to 20 %."""


def attribution_maps(
    model: Model,
    images: Sequence[Path],
    layers: Sequence[str],
    weights: Sequence[NDArray[np.float64]],
    grid: Grid,
    method: str = "gradient",
) -> NDArray[np.float64]:
    """Compute attribution maps of images, at a grid, for the response predicted from a layer.

    The predicted response is summed over the positions of the grid. Its attribution to each pixel is the largest over
    the three colours, and is averaged over a tile around each position.

    Parameters
    ----------
    model : Model
    images : sequence of Path
    layers : sequence of str
        Layer that predicts each image.
    weights : sequence of array, shape (channel,)
        Weights of the regression that predicts each image, averaged over sites.
    grid : Grid
    method : "gradient", "integrated_gradients" or "smoothgrad"
        Absolute gradient; integrated from an image of the mean colour; or averaged over noisy images. The last two
        require captum.

    Returns
    -------
    array, shape (image, y, x)

    Raises
    ------
    UsageError
        When the method is unknown.
    InstallationError
        When the method requires captum, which is not installed.
    ModelError
        When the model has no gradient with respect to the image, or does not fit into memory.

    Examples
    --------
    The module "0" is the convolution:

    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8))
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> images, grid = [Image.new("RGB", (32, 32))] * 2, Grid(y=np.arange(4.0), x=np.arange(5.0), extent=16.0)
    >>> attribution_maps(model, images, ["0"] * 2, [np.ones(8)] * 2, grid).shape
    (2, 4, 5)
    """
    check_method(method)
    spread = torch.tensor(model.spec.std)[:, None, None]
    maps = []
    for image, layer, weight in zip(images, layers, weights, strict=True):
        device = next(model.module.parameters()).device
        inputs = model.preprocess([image])
        respond = _encoder(model, layer, weight, grid)
        try:
            attributed = METHODS[method](respond, inputs)[0].detach().to("cpu", torch.float64)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"The attribution for {model.name} does not fit into the memory of {device}.",
                "Use the device cpu.",
            ) from error
        except RuntimeError as error:  # raised by torch for an operation without a derivative
            raise ModelError(
                f"{model.name} lets no gradient through to the image: {one_line(error)}.",
                "Choose another benchmark.",
            ) from error
        if method != "integrated_gradients":  # whose attributions are in units of the response already
            attributed = attributed / spread  # per unit of the image's colours, not of the normalised input
        maps.append(pooled(attributed.abs().amax(dim=0).numpy(), grid))
    return np.stack(maps)


def check_method(method: str) -> None:
    """Check that an attribution method exists, before anything is computed.

    Raises
    ------
    UsageError
        When it is unknown.
    InstallationError
        When it requires captum, which is not installed.

    Examples
    --------
    >>> check_method("gradient")
    >>> check_method("smooth")
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: There is no attribution method named 'smooth'. Did you mean smoothgrad?
    """
    if method not in METHODS:
        raise UsageError(f"There is no attribution method named {method!r}.", nearest(str(method), METHODS))
    if method != "gradient":
        _captum()


def pooled(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Average pixels over the tile around each position; a tile at the edge of the image counts only its part inside.

    Parameters
    ----------
    pixels : array, shape (height, width)
    grid : Grid

    Returns
    -------
    array, shape (y, x)

    Examples
    --------
    >>> pixels = np.arange(24.0).reshape(4, 6)
    >>> pooled(pixels, Grid(y=np.array([-4.0, 4.0]), x=np.array([-4.0, 0.0, 4.0]), extent=16.0)).round(2).tolist()
    [[3.67, 5.5, 7.33], [15.67, 17.5, 19.33]]
    """
    return _tiles(grid.y, grid.height, pixels.shape[0]) @ pixels @ _tiles(grid.x, grid.width, pixels.shape[1]).T


def _tiles(points: NDArray[np.float64], extent: float, pixels: int) -> NDArray[np.float64]:
    """Compute the share of each pixel in the mean around each point, shape (point, pixel)."""
    middles = (points[1:] + points[:-1]) / 2 if len(points) > 1 else np.zeros(0)
    edges = np.concatenate([[-extent / 2], middles, [extent / 2]]) / extent + 0.5
    borders = np.arange(pixels + 1) / pixels
    covered: NDArray[np.float64] = np.minimum(edges[1:, None], borders[1:]) - np.maximum(edges[:-1, None], borders[:-1])
    covered = np.clip(covered, 0, None)
    shares: NDArray[np.float64] = covered / covered.sum(axis=1, keepdims=True)
    return shares


def _encoder(model: Model, layer: str, weight: NDArray[np.float64], grid: Grid) -> Respond:
    """Build the function from the model's input to the predicted response, summed over positions."""
    reading = layer_readings(model, [layer])[layer]
    selector = reading.selector
    module = dict(model.module.named_modules())[selector.module]
    prefix = getattr(model.module, "num_prefix_tokens", None)

    def respond(inputs: torch.Tensor) -> torch.Tensor:
        calls: list[torch.Tensor] = []

        def keep(module: torch.nn.Module, inputs: object, output: object) -> None:
            element = selected(output, selector.elements, images)
            assert isinstance(element, torch.Tensor)
            calls.append(element.clone())

        images = len(inputs)
        hook = module.register_forward_hook(keep)
        try:
            model.run(inputs)
        finally:
            hook.remove()
        activation = calls[LAST if selector.call == LAST else (selector.call or 1) - 1]
        shape = tuple(activation.shape[1:])
        unit_weights = _unit_weights(shape, layer, prefix, weight, grid, reading.layout)
        return activation.flatten(1) @ torch.from_numpy(unit_weights).to(activation)

    return respond


def _unit_weights(
    shape: tuple[int, ...],
    layer: str,
    prefix: int | None,
    weight: NDArray[np.float64],
    grid: Grid,
    layout: Layout | None = None,
) -> NDArray[np.float64]:
    """Compute the weight of every unit of a layer, in the layer's layout, in the response summed over positions."""
    order = spatial_maps(np.arange(np.prod(shape), dtype=np.float64).reshape(1, *shape), layer, prefix, layout)[0]
    rows = interpolation(order.shape[1], grid.y / grid.height + 0.5).sum(axis=0)
    columns = interpolation(order.shape[2], grid.x / grid.width + 0.5).sum(axis=0)
    unit_weights = np.zeros(int(np.prod(shape)))
    unit_weights[order.astype(np.int64)] = weight[:, None, None] * rows[:, None] * columns
    return unit_weights


def _gradient(respond: Respond, image: torch.Tensor) -> torch.Tensor:
    """Compute the gradient of the response with respect to the image."""
    inputs = image.clone().requires_grad_()
    with torch.enable_grad():
        response = respond(inputs).sum()
        return torch.autograd.grad(response, inputs)[0]


def _integrated(respond: Respond, image: torch.Tensor) -> torch.Tensor:
    """Integrate gradients from the mean colour to the image (Sundararajan et al. 2017)."""
    attributed: torch.Tensor = (
        _captum().IntegratedGradients(respond).attribute(image, n_steps=STEPS, internal_batch_size=STEPS)
    )
    return attributed


def _smoothed(respond: Respond, image: torch.Tensor) -> torch.Tensor:
    """Average gradients over images with noise added (SmoothGrad, Smilkov et al. 2017)."""
    captum = _captum()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        attributed: torch.Tensor = captum.NoiseTunnel(captum.Saliency(respond)).attribute(
            image,
            nt_type="smoothgrad",
            nt_samples=STEPS,
            stdevs=NOISE * float(image.max() - image.min()),
            abs=False,
        )
    return attributed


def _captum() -> Any:
    """Import captum, or raise an InstallationError."""
    try:
        import captum.attr
    except ImportError as error:
        raise InstallationError(
            "This attribution requires captum, which is not installed.", "pip install 'brainscore_itmaps[attribution]'"
        ) from error
    return captum.attr


METHODS: dict[str, Callable[[Respond, torch.Tensor], torch.Tensor]] = {
    "gradient": _gradient,
    "integrated_gradients": _integrated,
    "smoothgrad": _smoothed,
}


def saliency_maps(
    model: Model, images: NDArray[np.float32], labels: NDArray[np.int64], method: str = "gradient"
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Compute saliency maps of images: the attribution of the logit of an image's label to its pixels.

    The attribution to a pixel of the model's input is the largest absolute value over the three colours, as Fel et al.
    (2022) evaluate models. It is resized to the size of the images if the model takes another size.

    Parameters
    ----------
    model : Model
    images : array, shape (image, y, x, rgb)
        Values from 0 to 255.
    labels : array, shape (image,)
        Class of each image; -1 for the class whose logit is the largest.
    method : "gradient", "integrated_gradients" or "smoothgrad"
        The last two require captum.

    Returns
    -------
    saliency : array, shape (image, y, x)
    correct : array of bool, shape (image,)
        True where the logit of the label is the largest.

    Raises
    ------
    ModelError
        When the model has no such class, or no gradient with respect to the image.
    UsageError, InstallationError
        When the method is unknown, or requires a package that is not installed.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 9, 8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> images = np.random.default_rng(0).uniform(0, 255, (2, 20, 24, 3)).astype(np.float32)
    >>> saliency, correct = saliency_maps(model, images, np.array([3, 5]))
    >>> saliency.shape, correct.shape
    ((2, 20, 24), (2,))
    """
    check_method(method)
    device = next(model.module.parameters()).device
    inputs = as_input(model, images).to(device)
    classes = torch.from_numpy(labels).to(device)
    with torch.no_grad():
        logits = logits_of(model.run(inputs))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or int(labels.max()) >= logits.shape[1]:
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"{model.name} returns {shape}, with no logit of class {int(labels.max())}.", "Use an ImageNet classifier."
        )
    classes = torch.where(classes < 0, logits.argmax(dim=1), classes)
    try:
        parts = [_attributed(model, *chunk, method) for chunk in _chunks(inputs, classes, method)]
    except RuntimeError as error:  # raised by torch for an operation without a derivative
        raise ModelError(
            f"{model.name} lets no gradient through to the image: {one_line(error)}.", "Choose another model."
        ) from error
    saliency = torch.cat(parts).detach().to("cpu", torch.float32).abs().amax(dim=1)
    if saliency.shape[1:] != images.shape[1:3]:
        saliency = functional.interpolate(saliency[:, None], images.shape[1:3], mode="bilinear", antialias=True)[:, 0]
    return saliency.double().numpy(), (logits.argmax(dim=1) == classes).cpu().numpy()


def as_input(model: Model, images: NDArray[np.float32]) -> torch.Tensor:
    """Convert image arrays to the model's input; resize them bilinearly if the model takes another size.

    Parameters
    ----------
    model : Model
    images : array, shape (image, y, x, rgb)
        Values from 0 to 255.

    Returns
    -------
    tensor, shape (image, channel, size, size)

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8))
    >>> model = load_model(module, preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    >>> tuple(as_input(model, np.zeros((2, 20, 24, 3), np.float32)).shape)
    (2, 3, 32, 32)
    """
    if model.transform is not None:
        return model.preprocess([Image.fromarray(image) for image in np.clip(np.rint(images), 0, 255).astype("u1")])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255  # (image, rgb, y, x)
    if model.takes_grey:
        pixels = (pixels * torch.tensor(LUMINANCE)[:, None, None]).sum(dim=1, keepdim=True)
    if pixels.shape[2:] != (model.spec.size,) * 2:
        pixels = functional.interpolate(pixels, (model.spec.size,) * 2, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.spec.mean, model.spec.std))
    return (pixels - mean) / std


def _chunks(inputs: torch.Tensor, classes: torch.Tensor, method: str) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """Split images into chunks: all at once, or one by one where captum makes many copies of each."""
    size = len(inputs) if method == "gradient" else 1
    return zip(torch.split(inputs, size), torch.split(classes, size), strict=True)


def _attributed(model: Model, images: torch.Tensor, classes: torch.Tensor, method: str) -> torch.Tensor:
    """Compute the attribution of the logit of each image's class to the model's input."""

    def respond(inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = logits_of(model.run(inputs))
        repeated = classes if len(classes) == len(inputs) else classes.expand(len(inputs))
        return logits.gather(1, repeated[:, None])[:, 0]

    return METHODS[method](respond, images)
