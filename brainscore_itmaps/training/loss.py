"""The loss of the neural harmonizer: cross-entropy and distance of saliency from human maps (Fel et al. 2022)."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from brainscore_itmaps.errors import ArrayError, ModelError, UsageError, check_choice, check_type, one_line
from brainscore_itmaps.models.forward import logits_of
from brainscore_itmaps.text import short_repr

EPSILON = 1e-5
"""Added to a map's standard deviation before division."""
TINY = 1e-6
"""Added to a map's largest value before division."""
NOT_DECAYED = ("bn/", "normalization", "embed", "norm", "class_token", "cls_token")
"""Substrings of the names of parameters that the weight term omits, in addition to those of normalisation modules."""


@short_repr
@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and its terms.

    Attributes
    ----------
    total : tensor, shape ()
        ``cross_entropy + lambda_weights * weights + lambda_harmonization * harmonization``; call ``backward`` on it.
    cross_entropy, weights, harmonization : tensor, shape ()
        Terms before they are multiplied by their lambda; detached.
    logits : tensor, shape (image, class)
        Detached.
    gradient : tensor, shape (image, 3, y, x)
        Gradient of each image's labelled logit with respect to the image; detached. Zeros if the batch has no human
        map.
    """

    total: torch.Tensor
    cross_entropy: torch.Tensor
    weights: torch.Tensor
    harmonization: torch.Tensor
    logits: torch.Tensor
    gradient: torch.Tensor


@dataclass(frozen=True)
class HarmonizerLoss:
    """Sum of cross-entropy, weight decay, and the distance of a model's saliency from human importance maps.

    It replaces the loss in any training loop::

        harmonizer = HarmonizerLoss(lambda_harmonization=2.0)
        for images, labels, heatmaps, tokens in loader:
            terms = harmonizer(model, images, labels, heatmaps, tokens)
            terms.total.backward()

    The model is called once, in its current mode: in training mode, batch normalisation uses the statistics of the
    batch and updates its running statistics once. Under autocast, a batch with human maps is still computed in 32 bits,
    because half precision affects second derivatives most; a batch without human maps follows autocast.

    Parameters
    ----------
    lambda_harmonization : float
        Weight of the distance between saliency and human maps; 0 omits this term.
    lambda_weights : float
        Weight of half the summed squares of parameters (:func:`decayed_parameters`). Set the optimiser's weight decay
        to 0 if this is not 0.
    label_smoothing : float
        From 0 to below 1.
    levels : int
        Number of levels of the pyramid, including the maps themselves.
    saliency_in_float32 : bool
        False applies autocast to batches with human maps too, which is faster and less precise. Maps are always
        compared in 32 bits.

    References
    ----------
    Fel, Rodriguez, Linsley & Serre 2022, "Harmonizing the object recognition strategies of deep neural networks with
    humans", arXiv 2211.04533, equation 3.

    Examples
    --------
    >>> import torch
    >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(784, 5)
    >>> model = torch.nn.Sequential(*layers)
    >>> images, heatmaps = torch.randn(2, 3, 16, 16), torch.rand(2, 16, 16)
    >>> terms = HarmonizerLoss(levels=3)(model, images, torch.tensor([1, 4]), heatmaps)
    >>> terms.total.backward()
    >>> terms.harmonization.ndim
    0
    """

    lambda_harmonization: float = 1.0
    lambda_weights: float = 1e-5
    label_smoothing: float = 0.1
    levels: int = 5
    saliency_in_float32: bool = True

    def __post_init__(self) -> None:
        for name in ("lambda_harmonization", "lambda_weights", "label_smoothing", "levels"):
            check_type(getattr(self, name), (int, float), f"a value for {name}", "Give a number, or leave it out.")
        if min(self.lambda_harmonization, self.lambda_weights) < 0 or not 0 <= self.label_smoothing < 1:
            raise UsageError(
                f"The weights of the loss are invalid: {self}.",
                "Give lambdas of 0 or more, and label_smoothing from 0 to below 1.",
            )
        if not isinstance(self.levels, int) or self.levels < 1:
            raise UsageError(
                f"A pyramid cannot have {self.levels} levels.",
                "Give a whole number of 1 or more; the published value is 5.",
            )
        check_choice(saliency_in_float32=self.saliency_in_float32)

    def __call__(
        self,
        model: torch.nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        heatmaps: torch.Tensor,
        tokens: torch.Tensor | None = None,
    ) -> LossTerms:
        """Compute the loss of a batch and its terms.

        Parameters
        ----------
        model : torch.nn.Module
            Classifier that returns logits (image, class).
        images : tensor, shape (image, 3, y, x)
            Preprocessed for the model.
        labels : tensor, shape (image,) of integers, or (image, class) of probabilities
        heatmaps : tensor, shape (image, y, x)
            Human maps; the values for images without a human map are ignored.
        tokens : tensor, shape (image,), optional
            1 for an image with a human map, 0 for an image without. By default every image has one.

        Returns
        -------
        LossTerms

        Raises
        ------
        ArrayError
            When the shapes do not match.
        ModelError
            When the model does not return logits for each image, or is not differentiable with respect to the image.
        """
        tokens = images.new_ones(len(images)) if tokens is None else tokens.to(images)
        _check_inputs(images, labels, heatmaps, tokens)
        harmonizing = self.lambda_harmonization > 0 and bool(tokens.any())
        # before the model is called: its gradient is then computed last, when all activations are freed
        weights = half_squares(decayed_parameters(model) if self.lambda_weights else [])
        if not harmonizing:
            logits = _logits(model, images)
            cross_entropy = self._cross_entropy(logits, labels)
            gradient, harmonization = torch.zeros_like(images), cross_entropy.new_zeros(())
        else:
            with self._precision(images.device.type), differentiable_attention():
                inputs = images.detach().to(_at_least_float32(images)).requires_grad_()
                logits = _logits(model, inputs)
                cross_entropy = self._cross_entropy(logits, labels)
                gradient = gradient_of(logits, labels, inputs)
                human = torch.where(tokens[:, None, None] != 0, heatmaps.to(gradient), 0.0)
                harmonization = distance(gradient.mean(dim=1), human, tokens, self.levels)
        weights = weights.to(cross_entropy)
        total = cross_entropy + self.lambda_weights * weights
        if harmonizing:
            total = total + self.lambda_harmonization * harmonization
        detached = (tensor.detach() for tensor in (cross_entropy, weights, harmonization, logits, gradient))
        return LossTerms(total, *detached)

    def _precision(self, device: str) -> AbstractContextManager[object]:
        return torch.autocast(device, enabled=False) if self.saliency_in_float32 else nullcontext()

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        labels = labels.to(logits) if labels.ndim == 2 else labels.long()
        return functional.cross_entropy(
            logits.to(_at_least_float32(logits)), labels, label_smoothing=self.label_smoothing
        )


def gradient_of(logits: torch.Tensor, labels: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Compute the gradient of each image's labelled logit with respect to the image, keeping its computation graph.

    Parameters
    ----------
    logits : tensor, shape (image, class)
    labels : tensor, shape (image,) of integers, or (image, class) of probabilities
    images : tensor, shape (image, 3, y, x)
        Images from which the logits were computed, with ``requires_grad``.

    Returns
    -------
    tensor, shape (image, 3, y, x)

    Raises
    ------
    ModelError
        When the logits are not differentiable with respect to the images.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import gradient_of
    >>> images = torch.arange(24.0).reshape(2, 3, 1, 4).requires_grad_()
    >>> logits = torch.stack([images.sum(dim=(1, 2, 3)), 5 * images[:, 0, 0, 0]], dim=1)
    >>> gradient_of(logits, torch.tensor([0, 1]), images)[1, 0, 0]
    tensor([5., 0., 0., 0.])
    """
    logits = logits.to(_at_least_float32(logits))
    labelled = (logits * labels).sum() if labels.ndim == 2 else logits.gather(1, labels.long()[:, None]).sum()
    try:
        return torch.autograd.grad(labelled, images, create_graph=True)[0]
    except RuntimeError as error:  # torch raises it for an operation without a derivative
        raise ModelError(
            f"The model is not differentiable with respect to the image: {one_line(error)}.",
            "Train a model whose operations are all differentiable.",
        ) from error


def distance(saliency: torch.Tensor, heatmaps: torch.Tensor, tokens: torch.Tensor, levels: int = 5) -> torch.Tensor:
    """Compute the mean squared difference of saliency and human maps over the levels of a Gaussian pyramid.

    This is the harmonization term of the loss. Both maps are standardised, negative values are set to 0, and the human
    map is scaled to the largest value of the saliency. The mean is over all images and positions of a level, where
    images without a human map count as 0, and then over levels.

    Parameters
    ----------
    saliency, heatmaps : tensor, shape (image, y, x)
    tokens : tensor, shape (image,)
        1 for an image with a human map, 0 for an image without.
    levels : int
        Number of levels of the pyramid, including the maps themselves.

    Returns
    -------
    tensor, shape ()

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import distance
    >>> saliency = torch.arange(24.0).reshape(1, 4, 6)
    >>> float(distance(saliency, 2 * saliency + 3, torch.ones(1), levels=2)) < 1e-6
    True
    >>> float(distance(saliency, saliency.flip(2), torch.ones(1), levels=2)) > 0.05
    True
    """
    model_maps, human_maps = standardised_cut(saliency), standardised_cut(heatmaps)
    largest = model_maps.detach().amax(dim=(1, 2), keepdim=True) + TINY
    human_maps = human_maps / (human_maps.amax(dim=(1, 2), keepdim=True) + TINY) * largest
    pairs = zip(pyramid(model_maps, levels), pyramid(human_maps, levels), strict=True)
    return torch.stack([(tokens[:, None, None] * (a - b) ** 2).mean() for a, b in pairs]).mean()


def standardised_cut(maps: torch.Tensor) -> torch.Tensor:
    """Standardise each map to zero mean and unit standard deviation, and set negative values to zero.

    A constant map gives zeros with zero gradient.

    Parameters
    ----------
    maps : tensor, shape (image, y, x)

    Returns
    -------
    tensor, shape (image, y, x)

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import standardised_cut
    >>> standardised_cut(torch.tensor([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]]))
    tensor([[[0.0000, 0.0000, 1.2247],
             [1.2247, 0.0000, 0.0000]]])
    """
    maps = maps - maps.detach()[:, :1, :1]  # a constant map becomes exactly 0, without rounding of its mean
    mean = maps.mean(dim=(1, 2), keepdim=True)
    spread = torch.std(maps, dim=(1, 2), correction=0, keepdim=True)
    return functional.relu((maps - mean) / (spread + EPSILON))


def differentiable_attention() -> AbstractContextManager[None]:
    """Select torch's twice differentiable attention kernel within a ``with`` block, as fused kernels are not.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import differentiable_attention
    >>> with differentiable_attention():
    ...     torch.backends.cuda.flash_sdp_enabled()
    False
    """
    return sdpa_kernel(SDPBackend.MATH)


def decayed_parameters(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """List the parameters of the weight term: all trainable ones, except those of normalisations and embeddings.

    Omitted are the parameters of modules with "Norm" in their class name, and those with one of :data:`NOT_DECAYED` in
    their own name. The published code selects them by the names that Keras gives them.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    list of torch.nn.Parameter
        Each parameter once, in the order of the modules.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import decayed_parameters
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.BatchNorm2d(8))
    >>> [tuple(parameter.shape) for parameter in decayed_parameters(model)]
    [(8, 3, 1, 1), (8,)]
    """
    parameters: dict[torch.nn.Parameter, None] = {}  # an ordered set, as modules may share a parameter
    for prefix, module in model.named_modules():
        if "Norm" in type(module).__name__:
            continue
        for name, parameter in module.named_parameters(prefix, recurse=False):
            decayed = not any(part in name.lower() for part in NOT_DECAYED)
            if parameter.requires_grad and decayed:
                parameters[parameter] = None
    return list(parameters)


class _HalfSquares(torch.autograd.Function):
    """Half the summed squares of a tensor, whose gradient is the tensor itself: no power or square is kept.

    The tensor is an attribute and not saved by torch, because a model may clamp its parameters when it is called.
    """

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        ctx.tensor = tensor
        return 0.5 * tensor.to(_at_least_float32(tensor)).square().sum()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        tensor: torch.Tensor = ctx.tensor
        return tensor * gradients[0].to(tensor)


def half_squares(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Compute half the summed squares of tensors, in at least 32 bits.

    Norms would be less exact: for millions of values on the CPU, torch's norm is off by 1e-4.

    Parameters
    ----------
    tensors : iterable of tensor
        Of any shapes. Without any, the result is 0.

    Returns
    -------
    tensor, shape ()

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import half_squares
    >>> weight = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> half_squares([weight, torch.ones(2, 2)]).backward()
    >>> weight.grad
    tensor([ 3., -1.])
    """
    return sum((_HalfSquares.apply(tensor) for tensor in tensors), start=torch.zeros(()))


def _at_least_float32(tensor: torch.Tensor) -> torch.dtype:
    """Return the tensor's floating type, or float32 if it is coarser."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _logits(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Compute the logits of images, and check that there is one row per image."""
    logits = logits_of(model(images))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(images):
        output = f"shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise ModelError(
            f"The model returns {output}, not logits (image, class) of {len(images)} images.",
            "Give a classifier; wrap a model that returns more than its logits.",
        )
    return logits


def _check_inputs(images: torch.Tensor, labels: torch.Tensor, heatmaps: torch.Tensor, tokens: torch.Tensor) -> None:
    count = len(images)
    fits = images.ndim == 4 and labels.ndim in (1, 2) and heatmaps.shape == (count, *images.shape[2:])
    if not (fits and len(labels) == count and tokens.shape == (count,)):
        shapes = {"images": images, "labels": labels, "heatmaps": heatmaps, "tokens": tokens}
        described = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in shapes.items())
        raise ArrayError(
            f"The shapes of the batch do not match: {described}.",
            "Give images (image, 3, y, x), labels (image,) or (image, class), heatmaps (image, y, x), tokens (image,).",
        )


BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def pyramid(maps: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Build a Gaussian pyramid of maps.

    Each level is the level before it, blurred with the 5 x 5 binomial kernel and sampled at every second point. Zero
    padding and sampling points follow TensorFlow's "SAME": a side of n points becomes one of ceil(n / 2).

    Parameters
    ----------
    maps : tensor, shape (image, y, x)
    levels : int
        Number of levels, including the maps themselves.

    Returns
    -------
    list of tensor, shape (image, y, x)
        The maps themselves first.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.training.loss import pyramid
    >>> [tuple(level.shape) for level in pyramid(torch.ones(3, 17, 10), levels=3)]
    [(3, 17, 10), (3, 9, 5), (3, 5, 3)]
    """
    levels_of_maps = [maps]
    while len(levels_of_maps) < levels:
        levels_of_maps.append(_halved(levels_of_maps[-1]))
    return levels_of_maps


def _halved(maps: torch.Tensor) -> torch.Tensor:
    """Blur maps with the binomial kernel, and take every second point."""
    row = maps.new_tensor(BINOMIAL) / sum(BINOMIAL)
    (top, bottom), (left, right) = (_same_padding(side) for side in maps.shape[1:])
    padded = functional.pad(maps[:, None], (left, right, top, bottom))
    return functional.conv2d(padded, torch.outer(row, row)[None, None], stride=2)[:, 0]


def _same_padding(side: int) -> tuple[int, int]:
    """Compute the zeros before and after a side, as TensorFlow's "SAME" pads for a kernel of 5 and a stride of 2."""
    zeros = max((-(-side // 2) - 1) * 2 + len(BINOMIAL) - side, 0)
    return zeros // 2, zeros - zeros // 2
