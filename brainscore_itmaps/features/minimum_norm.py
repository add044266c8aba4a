"""Find the smallest perturbation of an image that changes a model's decision: a minimum-norm attack in L2.

DeepFool (Moosavi-Dezfooli et al. 2016) finds a first perturbation among the most probable classes; the fast
minimum-norm attack (FMN, Pintor et al. 2021) then shortens it. Pixels stay between 0 and 1, and the model's own
preprocessing is inside the attacked function. docs/adversarial.md says where this differs from other implementations.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from brainscore_itmaps.errors import ModelError, UsageError, described, nearest, one_line
from brainscore_itmaps.features.attribution import LUMINANCE
from brainscore_itmaps.models.forward import logits_of
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Steps, uncounted
from brainscore_itmaps.text import short_repr

Decide = Callable[[torch.Tensor], torch.Tensor]
"""Function from pixels (image, colour, y, x), 0 to 1, to the logits of a decision (image, class)."""
Decision = Literal["classes", "animate"]
DECISIONS = ("classes", "animate")

STEPS = 300
ROUND = 50
"""Number of steps in which step size and radius shrink once; shorter if fewer steps are left."""
ENOUGH = 0.005
"""An image is finished when a round has shortened its perturbation by a smaller share than this."""
FIRST_CLASSES, NEXT_CLASSES, DEEPFOOL_STEPS, OVERSHOOT = 10, 3, 6, 0.02
STEP_SIZES = (1.0, 0.01)
"""First and last step of a round, in lengths of the shortest perturbation so far."""
RADII = (0.05, 1e-4)
"""First and last change of the radius in a step, as a share of it."""
FAR = 1e6
"""Added to the length of a step that ends at the limits of pixels before it reaches a boundary."""
LONGEST_NOISE = 5
"""Largest length of the noise at a random start, in lengths of the shortest perturbation so far."""
SHORTEST = 1e-5
"""Added to the radius of images that were never fooled, so that one whose classes are level is left, too."""
HALVINGS = 10
"""Number of times that the way from the image to its attacked image is halved at the end."""
CERTAIN = 2.0**-19
"""An image counts as fooled if another class leads by this share of the largest logit: 16 roundings in 32 bits, so that
another batch size does not undo it."""
LARGEST_SCALE, SCALE = 4096.0, 2.0**0.25
ANIMATE = 398
"""Number of animals among the classes of ImageNet-1k, which come first."""


@short_repr
@dataclass(frozen=True)
class Found:
    """The shortest perturbations that were found.

    Attributes
    ----------
    adversarial : tensor, shape (image, colour, y, x)
        Attacked images; the image itself where no perturbation was found.
    norms : tensor, shape (image,)
        Length (L2) of the perturbations; infinite where none was found, 0 where the decision is wrong already.
    """

    adversarial: torch.Tensor
    norms: torch.Tensor


def pixel_decision(model: Model, decision: Decision = "classes") -> Decide:
    """Build the function from pixels to the logits of a model's decision, with its own preprocessing inside.

    Parameters
    ----------
    model : Model
    decision : "classes" or "animate"
        All classes of the model; or two, animals and other things, each with the largest logit of its ImageNet classes.

    Returns
    -------
    callable
        A single logit of a model is the decision between class 0 and class 1, which a positive logit favours.

    Raises
    ------
    ModelError
        When the preprocessing of the model is a function, through which no gradient passes; or, as soon as it is
        called, when the model returns no logits, or not those of ImageNet for the decision about animals.
    UsageError
        When there is no such decision.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> decide = pixel_decision(load_model("timm:test_resnet", "random"), "animate")
    >>> decide(torch.zeros(2, 3, 160, 160)).shape
    torch.Size([2, 2])
    """
    check_decision(decision)
    if model.transform is not None:
        raise ModelError(
            f"{model.name} has a preprocessing function, through which no gradient reaches the pixels.",
            "Describe the preprocessing with size, mean and std.",
        )
    device = next(model.module.parameters()).device
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (model.spec.mean, model.spec.std))
    luminance = torch.tensor(LUMINANCE, device=device)[:, None, None]

    def decide(pixels: torch.Tensor) -> torch.Tensor:
        pixels = pixels.to(device)
        colours = (pixels * luminance).sum(dim=1, keepdim=True) if model.takes_grey else pixels
        logits = logits_of(model.run((colours - mean) / std))
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(pixels):
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ModelError(f"{model.name} returns {shape}, not logits (image, class).", "Use a classifier.")
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        if decision == "classes":
            return logits.float()
        if logits.shape[1] != 1000:
            raise ModelError(
                f"{model.name} has {logits.shape[1]:,} classes; animals are known among those of ImageNet-1k only.",
                "Attack the decision between its classes.",
            )
        return torch.stack([logits[:, :ANIMATE].amax(dim=1), logits[:, ANIMATE:].amax(dim=1)], dim=1).float()

    return decide


def check_decision(decision: str) -> None:
    """Check that a decision exists, before anything is computed.

    Raises
    ------
    UsageError
        When it is unknown.

    Examples
    --------
    >>> check_decision("animate")
    """
    if decision not in DECISIONS:
        raise UsageError(f"There is no decision named {described(decision)}.", nearest(str(decision), DECISIONS))


def is_fooled(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return which decisions differ from the label, beyond rounding errors.

    Parameters
    ----------
    logits : tensor, shape (image, class)
    labels : tensor, shape (image,)

    Returns
    -------
    tensor of bool, shape (image,)

    Examples
    --------
    >>> is_fooled(torch.tensor([[1.0, 2.0], [1.0, 1.0]]), torch.tensor([0, 0])).tolist()
    [True, False]
    """
    return _lead(logits, labels) < -CERTAIN * logits.abs().amax(dim=1)


def minimum_norm_attack(
    decide: Decide,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    steps: int = STEPS,
    restarts: int = 0,
    seed: int = 0,
    random_start: bool = False,
    progress: Steps = uncounted,
) -> Found:
    """Find a perturbation of each image, as short as possible, with which the decision is not the label.

    Images are attacked together, and each leaves the batch when a round of 50 steps has shortened its perturbation by
    less than .5 %. The shortest perturbation found so far is kept.

    Parameters
    ----------
    decide : callable
        From pixels to logits, for example from :func:`pixel_decision`. Images must not influence each other.
    images : tensor, shape (image, colour, y, x)
        Pixels, 0 to 1.
    labels : tensor, shape (image,)
        Class of each image in the decision.
    steps : int
        Largest number of steps of FMN for an image, each with one forward and one backward pass; 0 for DeepFool alone.
    restarts : int
        Number of further attacks of each image that begin at random pixels around it.
    seed : int
        Seed of these random pixels.
    random_start : bool
        Whether the first attack begins at random pixels, too.
    progress : callable
        Called with (images finished, images in all).

    Returns
    -------
    Found

    Raises
    ------
    ModelError
        When no gradient reaches the pixels.

    Examples
    --------
    The closest point with the other sign of ``x - y`` is that where both pixels are equal:

    >>> images = torch.tensor([0.75, 0.25]).reshape(1, 1, 1, 2)
    >>> found = minimum_norm_attack(lambda x: x.flatten(1), images, torch.tensor([0]))
    >>> [round(value, 3) for value in found.adversarial.flatten().tolist()], round(found.norms.item(), 3)
    ([0.5, 0.5], 0.354)
    """
    images = images.detach()
    with torch.no_grad():
        logits = decide(images)
    labels = labels.to(logits.device)
    wrong = logits.argmax(dim=1) != labels
    best = Found(images.clone(), logits.new_full((len(images),), math.inf))
    generator = torch.Generator().manual_seed(seed)
    for attempt in range(restarts + 1):
        search = _Search(decide, images, labels, images.clone(), torch.where(wrong, 0.0, math.inf))
        start = _random_pixels(search, best.norms, generator) if attempt or random_start else images
        for left in _attacked(search, (~wrong).nonzero()[:, 0], start, steps):
            progress((attempt + 1) * len(images) - left, (restarts + 1) * len(images))
        closer = search.norms < best.norms
        best.norms[closer], best.adversarial[closer] = search.norms[closer], search.adversarial[closer]
    return best


@dataclass(frozen=True)
class _Search:
    """The attacked images, and the shortest perturbation of each so far, which is replaced in place."""

    decide: Decide
    images: torch.Tensor
    labels: torch.Tensor
    adversarial: torch.Tensor
    norms: torch.Tensor

    def lead_and_gradient(
        self, which: torch.Tensor, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the lead of the label over the best other class, and its gradient; keep and return what fools."""
        inputs = pixels.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.decide(inputs)
            lead = _lead(logits, self.labels[which])
            gradient = _gradient(lead, inputs)
        return lead.detach(), gradient, self.keep(which, pixels, logits.detach())

    def keep(self, which: torch.Tensor, pixels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Keep the perturbations that fool and are the shortest so far, and return which fool."""
        fools = is_fooled(logits, self.labels[which])
        norms = lengths(pixels - self.images[which])
        better = fools & (norms < self.norms[which])
        self.norms[which[better]] = norms[better]
        self.adversarial[which[better]] = pixels.detach()[better]
        return fools


def lengths(perturbations: torch.Tensor) -> torch.Tensor:
    """Compute the L2 norm of each image's perturbation.

    Examples
    --------
    >>> lengths(torch.tensor([[[[3.0, 4.0]]]])).tolist()
    [5.0]
    """
    norms: torch.Tensor = perturbations.flatten(1).norm(dim=1)
    return norms


def _lead(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    own = logits.gather(1, labels[:, None])
    lead: torch.Tensor = own - logits.scatter(1, labels[:, None], -math.inf).amax(dim=1, keepdim=True)
    return lead[:, 0]


def _gradient(values: torch.Tensor, inputs: torch.Tensor, again: bool = False) -> torch.Tensor:
    """Compute the gradient of each image's value with respect to its pixels, shape (image, pixel)."""
    try:
        gradient: torch.Tensor = torch.autograd.grad(values.sum(), inputs, retain_graph=again)[0]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # raised by torch for an operation without a derivative
        raise ModelError(
            f"The model lets no gradient through to the image: {one_line(error)}.", "Choose another model."
        ) from error
    finite: torch.Tensor = gradient.nan_to_num(0, 0, 0).flatten(1)
    return finite


def _attacked(search: _Search, which: torch.Tensor, start: torch.Tensor, steps: int) -> Iterator[int]:
    """Attack images from these pixels; yield how many are not finished, at the end 0."""
    if not len(which):
        return
    yield from _shortened(search, which, _deepfool(search, which, start[which]), steps)
    _halved(search, which)
    yield 0


def _deepfool(search: _Search, which: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Step to the nearest linearised boundary among the best classes until each image is fooled; return the pixels."""
    pixels, left = start.clone(), torch.arange(len(which), device=which.device)
    for step in range(DEEPFOOL_STEPS + 1):
        inputs = pixels[left].requires_grad_()
        labels = search.labels[which[left]]
        with torch.enable_grad():
            logits = search.decide(inputs)
            others = logits.detach().scatter(1, labels[:, None], -math.inf)
            count = min(NEXT_CLASSES if step else FIRST_CLASSES, others.shape[1] - 1)
            fools = search.keep(which[left], pixels[left], logits.detach())
            if step == DEEPFOOL_STEPS or fools.all():
                break
            margin = 2 * CERTAIN * logits.detach().abs().amax(dim=1)
            nearest_step, shortest = torch.zeros_like(inputs), logits.new_full((len(left),), math.inf)
            for rank, other in enumerate(others.topk(count, dim=1).indices.T):
                behind = (logits.gather(1, labels[:, None]) - logits.gather(1, other[:, None]))[:, 0]
                gradient = _gradient(behind, inputs, again=rank < count - 1)
                distance = behind.detach() + margin
                moved = _to_boundary(-gradient, distance, inputs.detach().flatten(1))
                reached = (-gradient * moved).sum(dim=1) > 0.99 * distance
                moved = moved.view_as(inputs)
                length = lengths(moved) + torch.where(reached, 0.0, FAR)
                closer = (length < shortest) & (length > 0)
                nearest_step[closer], shortest[closer] = moved[closer], length[closer]
        moved = (inputs.detach() + (1 + OVERSHOOT) * nearest_step.detach()).clamp(0, 1)
        pixels[left[~fools]] = moved[~fools]
        left = left[~fools]
    return pixels


def _to_boundary(direction: torch.Tensor, distance: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Find the shortest step whose product with a direction is a distance, and that keeps pixels between 0 and 1.

    It is the direction times a factor, cut where a pixel reaches 0 or 1. The product rises with the factor in straight
    pieces, ever less steeply, so that Newton's method from 0 reaches the factor from below.
    """
    low, high = -pixels, 1 - pixels
    sums = torch.float32 if pixels.device.type == "mps" else torch.float64  # which Apple's GPUs do not have
    factor = torch.zeros_like(distance)
    for _ in range(30):
        step = factor[:, None] * direction
        free = (step >= low) & (step <= high)
        fixed = (direction * step.clamp(low, high)).masked_fill(free, 0).sum(dim=1, dtype=sums)
        slope = (direction**2).masked_fill(~free, 0).sum(dim=1, dtype=sums)
        smallest = torch.finfo(sums).tiny
        wanted = torch.where(slope > 0, (distance.to(sums) - fixed) / slope.clamp_min(smallest), factor.to(sums))
        wanted = wanted.to(factor).clamp(0, torch.finfo(factor.dtype).max / 4)
        if not (wanted > factor * (1 + 1e-6)).any():
            break
        factor = torch.maximum(factor, wanted)
    return (factor[:, None] * direction).nan_to_num(0).clamp(low, high)


def _shortened(search: _Search, which: torch.Tensor, start: torch.Tensor, steps: int) -> Iterator[int]:
    """Shorten perturbations by FMN in rounds, each from the shortest so far; yield how many images are left."""
    images, pixels = search.images, start
    for done in range(0, steps, ROUND):
        if not len(which):
            return
        before = search.norms[which].clone()
        known = before.isfinite()
        pixels = torch.where(known[:, None, None, None], search.adversarial[which], pixels)
        radius, count = before.clone(), min(ROUND, steps - done)
        for step in range(count):
            step_size, change = (_cosine(step / count, *ends) for ends in (STEP_SIZES, RADII))
            lead, gradient, fools = search.lead_and_gradient(which, pixels)
            size = gradient.norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
            shortest, found = search.norms[which], search.norms[which].isfinite()
            to_boundary = (lengths(pixels - images[which]) + lead.clamp_min(0) / size) * (1 + change) + SHORTEST
            to_boundary = torch.minimum(to_boundary, lengths(torch.maximum(images[which], 1 - images[which])))
            radius = torch.where(fools, torch.minimum(radius * (1 - change), shortest), radius * (1 + change))
            radius = torch.where(found, torch.minimum(radius, 2 * shortest), to_boundary)
            length = step_size * torch.where(found, shortest, to_boundary)
            moved = pixels - ((length / size)[:, None] * gradient).view_as(pixels) - images[which]
            shrunk = (radius / lengths(moved).clamp_min(1e-30)).clamp_max(1)
            pixels = (images[which] + shrunk[:, None, None, None] * moved).clamp(0, 1)
        with torch.no_grad():
            search.keep(which, pixels, search.decide(pixels))
        after = search.norms[which]
        going_on = ~known | (after < (1 - ENOUGH) * before)
        which, pixels = which[going_on], pixels[going_on]
        yield len(which)


def _cosine(share: float, first: float, last: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _random_pixels(search: _Search, norms: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add noise to images that is up to five times as long as these perturbations.

    Where there is none yet, the distance to the linearised boundary takes its place.
    """
    images = search.images
    lead, gradient, _ = search.lead_and_gradient(torch.arange(len(images), device=images.device), images)
    distance = lead / gradient.norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
    length = torch.where(norms.isfinite(), norms, distance.clamp(0, 1))
    noise = torch.randn(images.shape[1:], generator=generator).to(images)  # the same for all, in every batch
    scale = LONGEST_NOISE * torch.rand(1, generator=generator).to(images) * length / noise.norm()
    moved: torch.Tensor = images + scale[:, None, None, None] * noise
    return moved.clamp(0, 1)


def _halved(search: _Search, which: torch.Tensor) -> None:
    """Move each attacked image toward its image while it fools, by halving the way."""
    which = which[search.norms[which].isfinite()]
    if not len(which):
        return
    moved = search.adversarial[which] - search.images[which]
    low, high = torch.zeros_like(search.norms[which]), torch.ones_like(search.norms[which])
    with torch.no_grad():
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            pixels = search.images[which] + middle[:, None, None, None] * moved
            fools = search.keep(which, pixels, search.decide(pixels))
            low, high = torch.where(fools, low, middle), torch.where(fools, middle, high)


def rounded_norms(decide: Decide, images: torch.Tensor, labels: torch.Tensor, found: Found) -> torch.Tensor:
    """Compute the length at which each perturbation, enlarged as a whole, still fools when pixels have 8 bits.

    Scales from 1 rise by a fourth root of 2 up to 4,096; the first that fools counts. A perturbation of minimal length
    is smaller than half a level in most pixels, so that rounding undoes it.

    Parameters
    ----------
    decide, images, labels
        As in :func:`minimum_norm_attack`.
    found : Found

    Returns
    -------
    tensor, shape (image,)
        Length of the rounded perturbation; infinite where none fools, 0 where the decision is wrong already.

    Examples
    --------
    >>> images = torch.tensor([0.6, 0.4]).reshape(1, 1, 1, 2)
    >>> found = minimum_norm_attack(lambda x: x.flatten(1), images, torch.tensor([0]))
    >>> rounded = rounded_norms(lambda x: x.flatten(1), images, torch.tensor([0]), found)
    >>> bool(rounded > found.norms)
    True
    """
    norms = torch.where(found.norms == 0, 0.0, math.inf)
    left = (found.norms.isfinite() & (found.norms > 0)).nonzero()[:, 0]
    scale = 1.0
    with torch.no_grad():
        while len(left) and scale <= LARGEST_SCALE:
            moved = images[left] + scale * (found.adversarial[left] - images[left])
            pixels = (255 * moved.clamp(0, 1)).round() / 255
            fools = is_fooled(decide(pixels), labels.to(norms.device)[left])
            norms[left[fools]] = lengths(pixels - images[left])[fools]
            left, scale = left[~fools], scale * SCALE
    return norms
