"""Decisions to attack: linear ones, whose closest points are known, and small convolutional ones."""

import math

import numpy as np
import torch
from scipy.optimize import brentq


class Linear:
    """A linear decision with known closest points: random weights, and pixels some of which are black or white."""

    def __init__(self, seed, classes=10, side=4, scale=1.0, extreme=0.3, lead=0.0, images=16):
        rng = np.random.default_rng(seed)
        self.weights = (scale * rng.normal(size=(classes, 3 * side * side))).astype(np.float32)
        bias = -self.weights @ np.full(self.weights.shape[1], 0.5) + scale * rng.normal(size=classes)
        bias[0] += scale * lead * self.weights.shape[1]
        self.bias = bias.astype(np.float32)
        pixels = rng.uniform(size=(images, self.weights.shape[1]))
        self.pixels = np.where(rng.random(pixels.shape) < extreme, pixels > 0.5, pixels).astype(np.float32)
        self.images = torch.from_numpy(self.pixels).reshape(images, 3, side, side)
        self.labels = self(self.images).argmax(dim=1)

    def __call__(self, images):
        return images.flatten(1) @ torch.from_numpy(self.weights).T + torch.from_numpy(self.bias)

    def closest(self, number):
        """The length of the smallest change: for each class, along the difference of weights, cut at the limits."""
        weights, bias = self.weights.astype(float), self.bias.astype(float)
        pixels, label = self.pixels[number].astype(float), int(self.labels[number])
        shortest = math.inf
        for other in set(range(len(bias))) - {label}:
            direction = weights[other] - weights[label]
            missing = -(direction @ pixels + bias[other] - bias[label])

            def short_of(factor, direction=direction, missing=missing):
                return direction @ np.clip(factor * direction, -pixels, 1 - pixels) - missing

            most = 2 / np.abs(direction).min()
            if short_of(most) > 0:
                factor = brentq(short_of, 0, most, rtol=1e-13, maxiter=1000)
                shortest = min(shortest, np.linalg.norm(np.clip(factor * direction, -pixels, 1 - pixels)))
        return shortest


class Ellipsoid:
    """Class 1 outside an ellipsoid around grey, class 0 inside it, and images inside: a bent boundary."""

    def __init__(self, seed=0, images=8):
        rng = np.random.default_rng(seed)
        self.widths = rng.uniform(0.5, 8, 27)
        offsets = rng.normal(size=(images, 27))
        self.offsets = 0.1 * offsets / np.sqrt((self.widths * offsets**2).sum(axis=1, keepdims=True))
        self.images = torch.from_numpy((0.5 + self.offsets).astype(np.float32)).reshape(images, 3, 3, 3)
        self.labels = torch.zeros(images, dtype=torch.int64)

    def __call__(self, images):
        outside = ((images.flatten(1) - 0.5) ** 2) @ torch.from_numpy(self.widths.astype(np.float32)) - 0.1
        return torch.stack([torch.zeros_like(outside), outside], dim=1)

    def closest(self, number):
        """The length of the way to the boundary, by a Lagrange multiplier."""
        offset, widths = self.offsets[number], self.widths

        def inside(multiplier):
            return (widths * (offset / (1 - multiplier * widths)) ** 2).sum() - 0.1

        multiplier = brentq(inside, 0, (1 - 1e-12) / widths.max())
        return float(np.linalg.norm(offset / (1 - multiplier * widths) - offset))


def convolutional(seed=0, classes=10):
    torch.manual_seed(seed)
    layers = [torch.nn.Conv2d(3, 12, 3), torch.nn.GELU(), torch.nn.Conv2d(12, 12, 3, 2), torch.nn.GELU()]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(12 * 6 * 6, classes)).eval()


def labelled(model, count=8, seed=1):
    images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return images, model(images).argmax(dim=1)
