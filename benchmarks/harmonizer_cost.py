"""Measure the cost of a training step with the harmonizer, relative to a plain step: time and memory.

    python benchmarks/harmonizer_cost.py                          # resnet18, 16 images of 224 pixels, on the CPU
    python benchmarks/harmonizer_cost.py --model vit_small_patch16_224 --batch 8

Both kinds of step alternate, so that other load on the machine affects both. Peak memory of each kind is measured in a
separate process.
"""

import argparse
import statistics
import time
from multiprocessing import get_context
from pathlib import Path

import timm
import torch

from brainscore_itmaps.training import HarmonizerLoss

KINDS = {"plain": 0.0, "harmonizer": 1.0}


def stepper(name, batch, device):
    """Return a function that takes one training step with a given strength of the harmonizer."""
    torch.manual_seed(0)
    model = timm.create_model(name).to(device).train()
    side = model.pretrained_cfg["input_size"][-1]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images, heatmaps = torch.randn(batch, 3, side, side, device=device), torch.rand(batch, side, side, device=device)
    labels = torch.randint(1000, (batch,), device=device)

    def step(strength):
        optimiser.zero_grad()
        HarmonizerLoss(strength)(model, images, labels, heatmaps).total.backward()
        optimiser.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return step


def peak(name, batch, device, strength):
    """Return the peak memory in megabytes: allocated by torch on a GPU, else of the process."""
    step = stepper(name, batch, device)
    for _ in range(2):
        step(strength)
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()  # getrusage would include the peak of the parent process
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    step = stepper(options.model, options.batch, options.device)
    for strength in KINDS.values():
        step(strength)
    seconds = {kind: [] for kind in KINDS}
    for _ in range(options.steps):
        for kind, strength in KINDS.items():
            began = time.perf_counter()
            step(strength)
            seconds[kind].append(time.perf_counter() - began)
    ratios = [harmonized / plain for plain, harmonized in zip(seconds["plain"], seconds["harmonizer"], strict=True)]
    medians = ", ".join(f"{kind} {statistics.median(taken):.3f} s" for kind, taken in seconds.items())
    print(f"{options.model}, {options.batch} images, {options.device}: {medians} per step (median of {options.steps})")
    print(f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {k: pool.apply(peak, (options.model, options.batch, options.device, s)) for k, s in KINDS.items()}
    print(f"peak memory: plain {peaks['plain']:.0f} MB, harmonizer {peaks['harmonizer']:.0f} MB")


if __name__ == "__main__":
    main()
