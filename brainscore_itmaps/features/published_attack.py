"""The attack behind the published table of adversarial alignment: fast minimum norm without its projection.

``L2FMNAttack`` of foolbox 3.3.4 computes a radius and never uses it: its ``project`` divides the norm of an image by
itself. What is left are steps of decreasing length along the normalised gradient. docs/adversarial.md shows the
difference; tests compare these steps with foolbox's own.
"""

import math

import torch

from brainscore_itmaps.features.minimum_norm import Decide, Found, lengths
from brainscore_itmaps.progress import Steps, uncounted

STEPS = 1000
LARGEST_STEP, SMALLEST_STEP = 1.0, 1e-5


def unprojected_attack(
    decide: Decide,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    steps: int = STEPS,
    largest_step: float = LARGEST_STEP,
    smallest_step: float = SMALLEST_STEP,
    progress: Steps = uncounted,
) -> Found:
    """Attack images as the published scripts of 2025 do: without projection, keeping the shortest attacked image.

    For comparison only: the first step has a length of 1, so that what is returned is hardly a minimum.

    Parameters
    ----------
    decide : callable
        From pixels to logits, see :func:`~brainscore_itmaps.features.minimum_norm.pixel_decision`.
    images : tensor, shape (image, colour, y, x)
        Pixels, 0 to 1.
    labels : tensor, shape (image,)
        Class of each image in the decision.
    steps : int
    largest_step, smallest_step : float
        Length of the first step, and the length that steps approach along a cosine.
    progress : callable
        Called with (steps done, steps in all).

    Returns
    -------
    Found

    Examples
    --------
    >>> images = torch.tensor([0.75, 0.25]).reshape(1, 1, 1, 2)
    >>> found = unprojected_attack(lambda x: x.flatten(1), images, torch.tensor([0]), steps=30)
    >>> round(found.norms.item(), 3)  # the minimum is 0.354
    1.0
    """
    with torch.no_grad():
        logits = decide(images)
    labels = labels.to(logits.device)
    wrong = logits.argmax(dim=1) != labels
    norms = torch.where(wrong, 0.0, math.inf).to(images)
    change, best = torch.zeros_like(images), torch.zeros_like(images)
    for step in range(steps):
        length = smallest_step + (largest_step - smallest_step) * (1 + math.cos(math.pi * step / steps)) / 2
        inputs = (images + change).requires_grad_()
        with torch.enable_grad():
            logits = decide(inputs)
            others = logits.detach().scatter(1, labels[:, None], -math.inf).argmax(dim=1)
            behind = logits.gather(1, others[:, None]) - logits.gather(1, labels[:, None])
            gradient = torch.autograd.grad(behind.sum(), inputs)[0]
        found = lengths(change)
        shorter = (logits.detach().argmax(dim=1) != labels) & (found <= norms)
        norms[shorter], best[shorter] = found[shorter], change[shorter]
        change = change + gradient * (1 / lengths(gradient).clamp_min(1e-12))[:, None, None, None] * length
        change = (images + (images + change - images) - images).detach()  # rounded as in foolbox's project
        change = (images + change).clamp(0, 1) - images
        progress(step + 1, steps)
    return Found(images + best, norms)
