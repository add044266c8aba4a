"""Measure how the length of attacks falls with the number of steps, on the 20 photographs of foolbox.

For each model: the median length that is returned after each number of steps, beside that of the attack without
projection, with which the published table was made (same images, all classes); the median from random pixels around the
images instead of from DeepFool's; the length that survives rounding to 8 bits; and seconds for an image.

    python benchmarks/attack_convergence.py --models efficientnet_lite0                    # 40 minutes on two cores
    python benchmarks/attack_convergence.py --images 5 --steps 10 50 --unprojected 10      # a look
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from brainscore_itmaps import load_model
from brainscore_itmaps.data.labelled_images import labelled_folder
from brainscore_itmaps.features.attack import resized_pixels
from brainscore_itmaps.features.minimum_norm import minimum_norm_attack, pixel_decision, rounded_norms
from brainscore_itmaps.features.published_attack import unprojected_attack

BATCH = 10


def attacked(attack, decide, pixels, labels, **options):
    """Attack all images, and return attacked images, lengths, and seconds for an image."""
    began, parts = time.perf_counter(), []
    for first in range(0, len(pixels), BATCH):
        part = slice(first, first + BATCH)
        parts.append(attack(decide, pixels[part], labels[part], **options))
    seconds = (time.perf_counter() - began) / len(pixels)
    return torch.cat([each.adversarial for each in parts]), torch.cat([each.norms for each in parts]), seconds, parts


def measured(name, options, writer):
    """Measure one model, write its rows, and return its two curves."""
    model = load_model(name)
    decide = pixel_decision(model)
    images = labelled_folder(Path("photographs"))
    examples = [images.read(number) for number in range(min(options.images, len(images)))]
    pixels = torch.stack([resized_pixels(model, Image.fromarray(example.image)) for example in examples])
    with torch.no_grad():
        labels = decide(pixels).argmax(dim=1)

    def row(attack, steps, norms, seconds):
        finite = norms[norms.isfinite()].numpy()
        writer.writerow([name, attack, steps, len(finite), len(norms), f"{np.median(finite):.5f}",
                         f"{finite.mean():.5f}", f"{seconds:.2f}"])  # fmt: skip
        sys.stdout.flush()
        return float(np.median(finite))

    curves = {"projected": {}, "unprojected": {}}
    for steps in options.unprojected:
        _, norms, seconds, _ = attacked(unprojected_attack, decide, pixels, labels, steps=steps)
        curves["unprojected"][steps] = row("unprojected", steps, norms, seconds)
    lengths = {}
    for steps in options.steps:
        _, norms, seconds, parts = attacked(minimum_norm_attack, decide, pixels, labels, steps=steps)
        lengths[steps] = norms
        curves["projected"][steps] = row("minimum norm", steps, norms, seconds)
    longest = lengths[max(lengths)]
    rounded = [rounded_norms(decide, pixels[BATCH * at : BATCH * (at + 1)], labels[BATCH * at : BATCH * (at + 1)], part)
               for at, part in enumerate(parts)]  # fmt: skip
    row("minimum norm, in 8 bits", max(lengths), torch.cat(rounded), np.nan)
    for seed in range(options.starts):
        _, norms, seconds, _ = attacked(
            minimum_norm_attack, decide, pixels, labels, steps=max(lengths), random_start=True, seed=seed
        )
        row(f"from random pixels, seed {seed}", max(lengths), norms, seconds)
        ratios = (norms / longest).numpy()
        print(f"{name}: from random pixels (seed {seed}) / minimum norm, median {np.median(ratios):.4f}, "
              f"smallest {ratios.min():.3f}, largest {ratios.max():.3f}")  # fmt: skip
    for steps, norms in lengths.items():
        ratios = (norms / longest).numpy()
        print(
            f"{name}: {steps} steps / {max(lengths)} steps, median {np.median(ratios):.4f}, largest {ratios.max():.3f}"
        )
    return curves


def draw(file, curves):
    """Draw the median length against the number of steps, with and without projection."""
    from brainscore_itmaps.reporting.drawing import COLUMN, CYCLE, Figure, style

    with style():
        figure = Figure(figsize=(COLUMN, 0.9 * COLUMN), layout="constrained")
        axis = figure.subplots()
        for number, (name, of_model) in enumerate(curves.items()):
            for kind, mark in (("unprojected", "s--"), ("projected", "o-")):
                points = of_model[kind]
                axis.plot(
                    [*points], [*points.values()], mark, color=CYCLE[number], markersize=4, label=f"{name}, {kind}"
                )
        axis.set(xscale="log", yscale="log", xlabel="steps", ylabel="median length returned (L2)")
        axis.set_xticks(
            *[sorted({steps for of_model in curves.values() for each in of_model.values() for steps in each})] * 2
        )
        axis.set_yticks(*[[0.05, 0.1, 0.2, 0.5, 1]] * 2)
        axis.minorticks_off()
        figure.legend(loc="outside lower center", ncols=1)
    figure.savefig(file, dpi=150)
    print(f"written {file}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 20, 50, 300])
    parser.add_argument("--unprojected", type=int, nargs="+", default=[5, 30, 100])
    parser.add_argument("--starts", type=int, default=1, help="number of attacks from random pixels")
    parser.add_argument("--figure", type=Path, help="draw the two curves into this file")
    options = parser.parse_args()
    writer = csv.writer(sys.stdout)
    writer.writerow(["model", "attack", "steps", "fooled", "images", "median", "mean", "seconds an image"])
    curves = {name: measured(name, options, writer) for name in options.models}
    if options.figure is not None:
        draw(options.figure, curves)


if __name__ == "__main__":
    main()
