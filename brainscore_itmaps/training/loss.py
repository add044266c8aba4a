"""The harmonizer's loss: classification, and agreement of saliency with human maps (Fel et al. 2022, equation 3)."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from brainscore_itmaps.errors import ArrayError, ModelError, UsageError, one_line

EPSILON = 1e-5
"""Added to a map's standard deviation."""
TINY = 1e-6
"""Added to a map's largest value."""
SPARED = ("bn/", "normalization", "embed", "norm", "class_token", "cls_token")
"""Parts of names of parameters that the weight term leaves out, beside the parameters of normalising modules."""


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and its terms.

    Attributes
    ----------
    total : tensor, shape ()
        ``cross_entropy + lambda_weights * weights + lambda_harmonization * harmonization``; call ``backward`` on it.
    cross_entropy, weights, harmonization : tensor, shape ()
        Not yet weighted; detached.
    logits : tensor, shape (image, class)
        Detached.
    gradient : tensor, shape (image, 3, y, x)
        Of each image's labelled logit with respect to the image; detached. Zeros where the batch has no human map.
    """

    total: torch.Tensor
    cross_entropy: torch.Tensor
    weights: torch.Tensor
    harmonization: torch.Tensor
    logits: torch.Tensor
    gradient: torch.Tensor


@dataclass(frozen=True)
class HarmonizerLoss:
    """Cross-entropy, a weight term, and the distance of a model's saliency from human importance maps.

    It takes the place of the loss in any training loop::

        harmonizer = HarmonizerLoss(lambda_harmonization=2.0)
        for images, labels, heatmaps, tokens in loader:
            parts = harmonizer(model, images, labels, heatmaps, tokens)
            parts.total.backward()

    The model is called once, in the mode it is in: batch normalisation in training mode takes its statistics from the
    batch and updates its running ones once. Under autocast, a batch that holds human maps is computed in 32 bits all
    the same, as derivatives of derivatives suffer most from half precision; a batch without any is not.

    Parameters
    ----------
    lambda_harmonization : float
        Weight of the distance between saliency and human maps. 0 is plain training.
    lambda_weights : float
        Weight of half the summed squares of parameters (:func:`decayed_parameters`). Leave the optimiser's
        decay at 0 then.
    label_smoothing : float
        From 0 to 1.
    levels : int
        Of the pyramid, the maps themselves included.
    saliency_in_float32 : bool
        False leaves autocast in force for all: faster, and coarser. Maps are compared in 32 bits in any case.

    References
    ----------
    Fel, Rodriguez, Linsley & Serre 2022, "Harmonizing the object recognition strategies of deep neural networks with
    humans", arXiv 2211.04533.
    """

    lambda_harmonization: float = 1.0
    lambda_weights: float = 1e-5
    label_smoothing: float = 0.1
    levels: int = 5
    saliency_in_float32: bool = True

    def __post_init__(self) -> None:
        if min(self.lambda_harmonization, self.lambda_weights) < 0 or not 0 <= self.label_smoothing < 1:
            raise UsageError(f"The loss cannot be weighted by {self}.", "Weights are 0 or more, smoothing is below 1.")
        if self.levels < 1:
            raise UsageError(f"A pyramid cannot have {self.levels} levels.", "Give 1 or more; 5 were published.")

    def __call__(
        self,
        model: torch.nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        heatmaps: torch.Tensor,
        tokens: torch.Tensor | None = None,
    ) -> LossTerms:
        """Compute the loss of a batch.

        Parameters
        ----------
        model : torch.nn.Module
            Gives logits (image, class).
        images : tensor, shape (image, 3, y, x)
            As the model takes them.
        labels : tensor, shape (image,) of whole numbers, or (image, class) of shares
        heatmaps : tensor, shape (image, y, x)
            Human maps; what stands where there is none does not matter.
        tokens : tensor, shape (image,), optional
            1 where an image has a human map, 0 where not. By default all have one.

        Raises
        ------
        ArrayError
            When the shapes do not fit each other.
        ModelError
            When the model does not give logits of each image, or lets no gradient through to the image.
        """
        tokens = images.new_ones(len(images)) if tokens is None else tokens.to(images)
        _check_inputs(images, labels, heatmaps, tokens)
        harmonizing = self.lambda_harmonization > 0 and bool(tokens.any())
        if not harmonizing:
            logits = _logits(model, images)
            cross_entropy = self._cross_entropy(logits, labels)
            gradient, harmonization = torch.zeros_like(images), cross_entropy.new_zeros(())
        else:
            with self._precision(images.device.type), differentiable_attention():
                shown = images.detach().to(_precise(images)).requires_grad_()
                logits = _logits(model, shown)
                cross_entropy = self._cross_entropy(logits, labels)
                gradient = gradient_of(logits, labels, shown)
                human = torch.where(tokens[:, None, None] != 0, heatmaps.to(gradient), 0.0)
                harmonization = distance(gradient.mean(dim=1), human, tokens, self.levels)
        weights = _half_squares(model, cross_entropy) if self.lambda_weights else cross_entropy.new_zeros(())
        total = cross_entropy + self.lambda_weights * weights
        if harmonizing:
            total = total + self.lambda_harmonization * harmonization
        seen = (part.detach() for part in (cross_entropy, weights, harmonization, logits, gradient))
        return LossTerms(total, *seen)

    def _precision(self, device: str) -> AbstractContextManager[object]:
        return torch.autocast(device, enabled=False) if self.saliency_in_float32 else nullcontext()

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        labels = labels.to(logits) if labels.ndim == 2 else labels.long()
        return functional.cross_entropy(logits.to(_precise(logits)), labels, label_smoothing=self.label_smoothing)


def gradient_of(logits: torch.Tensor, labels: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Compute the gradient of labelled logits with respect to the images, which can itself be differentiated.

    Parameters
    ----------
    logits : tensor, shape (image, class)
    labels : tensor, shape (image,) or (image, class)
    images : tensor, shape (image, 3, y, x)
        From which the logits were computed, with ``requires_grad``.

    Raises
    ------
    ModelError
        When no gradient comes through.
    """
    logits = logits.to(_precise(logits))
    labelled = (logits * labels).sum() if labels.ndim == 2 else logits.gather(1, labels.long()[:, None]).sum()
    try:
        return torch.autograd.grad(labelled, images, create_graph=True)[0]
    except RuntimeError as error:  # torch's word for a step without a derivative
        raise ModelError(
            f"The model lets no gradient through to the image: {one_line(error)}.", "Train another model."
        ) from error


def distance(saliency: torch.Tensor, heatmaps: torch.Tensor, tokens: torch.Tensor, levels: int = 5) -> torch.Tensor:
    """Compute the distance of saliency from human maps, over the levels of a pyramid (the harmonisation term).

    Both are standardised and cut at 0; the human map is stretched to the saliency's largest value. The mean squared
    difference is taken over all images and positions of a level, with 0 for those without a human map.

    Parameters
    ----------
    saliency, heatmaps : tensor, shape (image, y, x)
    tokens : tensor, shape (image,)
        1 where an image has a human map, 0 where not.
    levels : int

    Returns
    -------
    tensor, shape ()
    """
    ours, theirs = standardised_cut(saliency), standardised_cut(heatmaps)
    largest = ours.detach().amax(dim=(1, 2), keepdim=True) + TINY
    theirs = theirs / (theirs.amax(dim=(1, 2), keepdim=True) + TINY) * largest
    pairs = zip(pyramid(ours, levels), pyramid(theirs, levels), strict=True)
    return torch.stack([(tokens[:, None, None] * (a - b) ** 2).mean() for a, b in pairs]).mean()


def standardised_cut(maps: torch.Tensor) -> torch.Tensor:
    """Subtract the mean of each map, divide by its standard deviation, and set negative values to zero.

    A constant map gives zeros, and no gradient.

    Parameters
    ----------
    maps : tensor, shape (image, y, x)
    """
    maps = maps - maps.detach()[:, :1, :1]  # so that the mean of a constant map is that constant to the last digit
    mean = maps.mean(dim=(1, 2), keepdim=True)
    spread = torch.std(maps, dim=(1, 2), correction=0, keepdim=True)
    return functional.relu((maps - mean) / (spread + EPSILON))


def differentiable_attention() -> AbstractContextManager[None]:
    """Compute attention by steps that can be differentiated twice within a ``with`` block; fused kernels cannot."""
    return sdpa_kernel(SDPBackend.MATH)


def decayed_parameters(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """List the parameters of the weight term: all trained ones, except normalisations and embeddings.

    Left out are those of modules whose class is called a norm, and those with one of :data:`SPARED` in their names,
    as the published code does by the names that Keras gives them.
    """
    found: dict[torch.nn.Parameter, None] = {}
    for prefix, module in model.named_modules():
        if "Norm" in type(module).__name__:
            continue
        for name, parameter in module.named_parameters(prefix, recurse=False):
            spared = any(part in name.lower() for part in SPARED)
            if parameter.requires_grad and not spared:
                found[parameter] = None
    return list(found)


def _precise(given: torch.Tensor) -> torch.dtype:
    """Convert to 32 bits, or keep 64."""
    return torch.promote_types(given.dtype, torch.float32)


def _half_squares(model: torch.nn.Module, like: torch.Tensor) -> torch.Tensor:
    return like.new_zeros(()) + sum(0.5 * (parameter**2).sum() for parameter in decayed_parameters(model))


def _logits(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits = model(images)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(images):
        given = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"The model gives {given}, not logits (image, class) of {len(images)} images.",
            "Give a classifier; wrap one that returns more than its logits.",
        )
    return logits


def _check_inputs(images: torch.Tensor, labels: torch.Tensor, heatmaps: torch.Tensor, tokens: torch.Tensor) -> None:
    count = len(images)
    fits = images.ndim == 4 and labels.ndim in (1, 2) and heatmaps.shape == (count, *images.shape[2:])
    if not (fits and len(labels) == count and tokens.shape == (count,)):
        shapes = {"images": images, "labels": labels, "heatmaps": heatmaps, "tokens": tokens}
        told = ", ".join(f"{name} {tuple(given.shape)}" for name, given in shapes.items())
        raise ArrayError(
            f"The batch does not fit together: {told}.",
            "Give (image, 3, y, x), (image,) or (image, class), (image, y, x) and (image,).",
        )


BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def pyramid(maps: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Build a Gaussian pyramid of maps.

    Blurred with the 5 x 5 binomial kernel and taken at every second point, with zeros around and the points where
    TensorFlow's "SAME" puts them: a side of n points becomes one of ceil(n / 2).

    Parameters
    ----------
    maps : tensor, shape (image, y, x)
    levels : int
        How many, the maps themselves included.

    Returns
    -------
    list of tensor
        The maps themselves first.
    """
    found = [maps]
    while len(found) < levels:
        found.append(_halved(found[-1]))
    return found


def _halved(maps: torch.Tensor) -> torch.Tensor:
    row = maps.new_tensor(BINOMIAL) / sum(BINOMIAL)
    (top, bottom), (left, right) = (_same(side) for side in maps.shape[1:])
    padded = functional.pad(maps[:, None], (left, right, top, bottom))
    return functional.conv2d(padded, torch.outer(row, row)[None, None], stride=2)[:, 0]


def _same(side: int) -> tuple[int, int]:
    """Compute the zeros before and after a side, as TensorFlow's "SAME" pads for 5 points at every second one."""
    zeros = max((-(-side // 2) - 1) * 2 + len(BINOMIAL) - side, 0)
    return zeros // 2, zeros - zeros // 2
