"""Does the harmonizer do what it is for? A small task with a shortcut, and the same network trained with it and without.

Every picture is a piece of a photograph (from scikit-image, foolbox and scikit-learn) with one of four shapes in it at
a random place, and faint stripes all over whose direction goes with the class: both tell the class. The shape is the
"diagnostic object" whose blurred outline serves as human map, on a fifth of the training pictures, as in the published mix.
Held out are other pieces of other photographs. Where the shortcut is removed, the stripes run at random.

    python benchmarks/harmonizer_shortcut.py            # about ten minutes on two cores

Nobody was asked where he looks: the maps are made. What is shown is that the loss moves a network, not that it moves it
toward people.
"""

import argparse
import csv
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import stats
from scipy.ndimage import gaussian_filter
from torch import nn

from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.training import HarmonizerLoss

SIDE = 48
CLASSES = 4
MAPPED = 0.2
BATCH = 64


def photographs():
    """Pictures inside installed packages, as arrays (y, x, rgb) in [0, 1], shrunk so that pieces show something."""
    folders = [files("skimage") / "data", files("foolbox") / "data", files("sklearn.datasets") / "images"]
    names = sorted(path for folder in folders for path in Path(str(folder)).glob("*.[jp][pn]g"))
    found = []
    for name in names:
        with Image.open(name) as picture:
            if min(picture.size) >= 200 and picture.mode == "RGB":
                picture.thumbnail((200, 200))
                found.append(np.asarray(picture, dtype=np.float32) / 255)
    return found


def shape_mask(kind, rng):
    """One of four shapes at a random place, size and turn, shape (y, x)."""
    size = rng.uniform(7, 10)
    centre = rng.uniform(size, SIDE - size, 2)
    turn = rng.uniform(0, 2 * np.pi)
    if kind == 0:
        angles, radii = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.full(24, 0.85)  # disc
    elif kind == 1:
        angles, radii = np.arange(3) * 2 * np.pi / 3, np.full(3, 1.15)  # triangle
    elif kind == 2:
        angles, radii = np.arange(10) * np.pi / 5, np.tile([1.2, 0.45], 5)  # star
    else:
        angles, radii = np.array([0.2, np.pi - 0.2, np.pi + 0.2, -0.2]), np.full(4, 1.25)  # bar
    corners = centre + size * radii[:, None] * np.stack([np.cos(angles + turn), np.sin(angles + turn)], axis=1)
    large = Image.new("L", (SIDE * 4, SIDE * 4))
    ImageDraw.Draw(large).polygon([tuple(corner * 4) for corner in corners], fill=255)
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255


def stripes(direction):
    """Faint stripes in one of four directions, shape (y, x)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = direction * np.pi / CLASSES
    return 0.06 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / 6)


def pieces(photos, count, rng, shortcut):
    """Pictures, labels and maps of what is diagnostic: (n, 3, y, x), (n,), (n, y, x)."""
    images, labels, maps = [], rng.integers(CLASSES, size=count), []
    for label in labels:
        back, other = (piece(photos[rng.integers(len(photos))], rng) for _ in range(2))
        mask = shape_mask(label, rng)
        image = back * (1 - mask[..., None]) + other.mean(axis=(0, 1)) * 0.4 * mask[..., None] + 0.3 * mask[..., None]
        image = image + stripes(label if shortcut else rng.integers(CLASSES))[..., None] * (1 - mask[..., None])
        images.append(image)
        maps.append(gaussian_filter(mask, 2))
    images = (np.stack(images).transpose(0, 3, 1, 2) - 0.45) / 0.25
    return torch.tensor(images, dtype=torch.float32), torch.tensor(labels), torch.tensor(np.stack(maps))


def piece(photo, rng):
    y, x = (rng.integers(size - SIDE + 1) for size in photo.shape[:2])
    return photo[y : y + SIDE, x : x + SIDE]


def network(seed):
    torch.manual_seed(seed)
    layers, inputs = [], 3
    for channels, stride in ((24, 1), (32, 2), (48, 1), (48, 2), (64, 2)):
        layers += [nn.Conv2d(inputs, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


def train(seed, lambda_harmonization, data, epochs):
    images, labels, maps = data
    model = network(seed).train()
    rng = torch.Generator().manual_seed(seed)
    tokens = (torch.rand(len(images), generator=rng) < MAPPED).float()
    loss = HarmonizerLoss(lambda_harmonization, lambda_weights=1e-5)
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=rng)
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            parts = loss(model, images[batch], labels[batch], maps[batch], tokens[batch])
            optimiser.zero_grad()
            parts.total.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def accuracy(model, images, labels):
    with torch.no_grad():
        return 100 * float((model(images).argmax(dim=1) == labels).float().mean())


def alignment(model, images, labels, maps):
    """Mean Spearman correlation of |gradient|, its largest over the colours, with the held-out maps."""
    shown = images.clone().requires_grad_()
    model(shown).gather(1, labels[:, None]).sum().backward()
    saliency = shown.grad.abs().amax(dim=1).numpy()
    return float(np.nanmean(feature_alignment(saliency[..., None], maps.numpy()[..., None])))


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--train", type=int, default=3000, help="pictures")
    asked.add_argument("--epochs", type=int, default=12)
    asked.add_argument("--lambdas", type=float, nargs="+", default=[0.0, 5.0])
    asked = asked.parse_args()
    photos = photographs()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(photos))
    seen, unseen = ([photos[i] for i in part] for part in (order[::2], order[1::2]))
    print(f"{len(seen)} photographs to train on, {len(unseen)} held out", file=sys.stderr)
    written = csv.writer(sys.stdout)
    written.writerow(["seed", "lambda", "alignment", "with_shortcut", "without_shortcut", "seconds"])
    found = {strength: [] for strength in asked.lambdas}
    for seed in range(asked.seeds):
        rng = np.random.default_rng(seed + 1)
        data = pieces(seen, asked.train, rng, shortcut=True)
        kept, removed = pieces(unseen, 1000, rng, shortcut=True), pieces(unseen, 1000, rng, shortcut=False)
        for strength in asked.lambdas:
            start = time.perf_counter()
            model = train(seed, strength, data, asked.epochs)
            row = alignment(model, *removed), accuracy(model, *kept[:2]), accuracy(model, *removed[:2])
            written.writerow([seed, strength, *(f"{value:.3f}" for value in row), f"{time.perf_counter() - start:.0f}"])
            sys.stdout.flush()
            found[strength].append(row)
    for strength, rows in found.items():
        told = [interval(values) for values in np.array(rows).T]
        print(f"lambda {strength:g}: alignment {told[0]}, accuracy {told[1]} %, shortcut removed {told[2]} %")
    for strength in asked.lambdas[1:]:
        told = [interval(values) for values in (np.array(found[strength]) - np.array(found[asked.lambdas[0]])).T]
        print(f"lambda {strength:g} - {asked.lambdas[0]:g}, paired: {told[0]}, {told[1]}, {told[2]}")


def interval(values):
    """Mean and 95 % t-interval over seeds."""
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
