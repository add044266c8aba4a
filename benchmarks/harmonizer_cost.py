"""What a step with the harmonizer costs beside a plain one: time as a ratio in one run, and memory.

    python benchmarks/harmonizer_cost.py                          # resnet18, 16 images of 224 pixels, on the CPU
    python benchmarks/harmonizer_cost.py --model vit_small_patch16_224 --batch 8

Both kinds of step are taken in turns, so that whatever else the machine does falls on both. Of memory, the peak of each
kind is measured in a process of its own.
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
    """Megabytes: of a GPU what torch held at most, else of the process."""
    step = stepper(name, batch, device)
    for _ in range(2):
        step(strength)
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()  # getrusage would tell the parent's peak too
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--model", default="resnet18")
    asked.add_argument("--batch", type=int, default=16)
    asked.add_argument("--steps", type=int, default=7)
    asked.add_argument("--device", default="cpu")
    asked = asked.parse_args()
    step = stepper(asked.model, asked.batch, asked.device)
    for strength in KINDS.values():
        step(strength)
    seconds = {kind: [] for kind in KINDS}
    for _ in range(asked.steps):
        for kind, strength in KINDS.items():
            began = time.perf_counter()
            step(strength)
            seconds[kind].append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(seconds["plain"], seconds["harmonizer"], strict=True)]
    told = ", ".join(f"{kind} {statistics.median(taken):.3f} s" for kind, taken in seconds.items())
    print(f"{asked.model}, {asked.batch} images, {asked.device}: {told} a step (median of {asked.steps})")
    print(f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        most = {k: pool.apply(peak, (asked.model, asked.batch, asked.device, s)) for k, s in KINDS.items()}
    print(f"peak memory: plain {most['plain']:.0f} MB, harmonizer {most['harmonizer']:.0f} MB")


if __name__ == "__main__":
    main()
