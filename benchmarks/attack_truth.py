"""Compare attacks with known minima: linear models in closed form, and DDN of foolbox on small convolutional models.

The closest point that a linear model with pixels from 0 to 1 decides otherwise is known: for each other class, the step
along the difference of the two rows of weights, cut at the limits of the pixels. DDN (Rony et al. 2019) is another
attack that projects; its lengths are no minima, so a good attack is shorter.

    python benchmarks/attack_truth.py       # a minute
"""

import numpy as np
import torch
from scipy.optimize import brentq

from brainscore_itmaps.features.minimum_norm import is_fooled, minimum_norm_attack

CASES = (
    (2, 8, 1.0, 0.0, 0.0),
    (10, 8, 1.0, 0.0, 0.0),
    (100, 8, 1.0, 0.0, 0.0),
    (10, 16, 0.01, 0.0, 0.0),
    (2, 4, 1.0, 0.6, 0.0),
    (10, 4, 0.2, 0.6, 0.0),
    (10, 8, 1.0, 0.0, 0.25),
)
"""Classes, side in pixels, scale of the weights, share of pixels that are black or white, and lead of the first class
for each pixel."""
IMAGES = 32


def closest(weights, bias, pixels, label):
    """Compute the length of the smallest change with which another class wins; infinite if none can."""
    shortest = np.inf
    for other in set(range(len(bias))) - {label}:
        direction = weights[other] - weights[label]
        missing = -(direction @ pixels + bias[other] - bias[label])

        def short_of(factor, direction=direction, missing=missing):
            return direction @ np.clip(factor * direction, -pixels, 1 - pixels) - missing

        most = 2 / np.abs(direction[direction != 0]).min()
        if short_of(most) > 0:
            factor = brentq(short_of, 0, most, xtol=1e-300, rtol=1e-14, maxiter=1000)
            shortest = min(shortest, np.linalg.norm(np.clip(factor * direction, -pixels, 1 - pixels)))
    return shortest


def linear(classes, side, scale, extreme, lead, seed=0):
    """Attack a linear model, and print the ratio of lengths to the closed form."""
    rng = np.random.default_rng(seed)
    weights = scale * rng.normal(size=(classes, 3 * side * side))
    bias = -weights @ np.full(weights.shape[1], 0.5) + 3 * scale * rng.normal(size=classes)
    bias[0] += scale * lead * weights.shape[1]
    pixels = rng.uniform(size=(IMAGES, weights.shape[1]))
    pixels = np.where(rng.random(pixels.shape) < extreme, pixels > 0.5, pixels).astype(np.float32)
    rows, offset = torch.from_numpy(weights.astype(np.float32)), torch.from_numpy(bias.astype(np.float32))
    images = torch.from_numpy(pixels).reshape(IMAGES, 3, side, side)

    def decide(images):
        return images.flatten(1) @ rows.T + offset

    labels = decide(images).argmax(dim=1)
    found = minimum_norm_attack(decide, images, labels)
    exact = [closest(rows.double().numpy(), offset.double().numpy(), image.astype(float), int(label))
             for image, label in zip(pixels, labels, strict=True)]  # fmt: skip
    ratios = found.norms.numpy() / np.array(exact)
    at_limits = float(((found.adversarial == 0) | (found.adversarial == 1)).float().mean())
    fooled = int(is_fooled(decide(found.adversarial), labels).sum())
    print(
        f"linear, {classes:3} classes, {side:2} x {side:2} pixels, {at_limits:4.0%} at the limits: fooled {fooled} of "
        f"{IMAGES}, length / closed form: median {np.median(ratios):.5f}, largest {ratios.max():.5f}"
    )


def against_ddn(seed):
    """Attack a small convolutional model, and print the ratio of lengths to those of DDN."""
    import foolbox

    torch.manual_seed(seed)
    convolutions = [torch.nn.Conv2d(3, 16, 3), torch.nn.GELU(), torch.nn.Conv2d(16, 16, 3, 2), torch.nn.GELU()]
    model = torch.nn.Sequential(*convolutions, torch.nn.Flatten(), torch.nn.Linear(16 * 10 * 10, 10)).eval()
    images = torch.rand(IMAGES, 3, 24, 24)
    labels = model(images).argmax(dim=1)
    attacked = foolbox.attacks.DDNAttack(steps=300).run(
        foolbox.PyTorchModel(model, bounds=(0, 1)), images, foolbox.Misclassification(labels)
    )
    ddn = (attacked - images).flatten(1).norm(dim=1)
    ratios = (minimum_norm_attack(model, images, labels).norms / ddn).detach().numpy()
    median, largest = np.median(ratios), ratios.max()
    print(f"convolutional, seed {seed}: length / DDN (300 steps): median {median:.3f}, largest {largest:.3f}")


if __name__ == "__main__":
    for case in CASES:
        linear(*case)
    for seed in range(3):
        against_ddn(seed)
