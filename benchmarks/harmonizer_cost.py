"""Measure the time and memory of a training step with the harmonizer, relative to a plain step and to the floor.

    python benchmarks/harmonizer_cost.py                          # resnet18, 16 images of 224 pixels, on the CPU
    python benchmarks/harmonizer_cost.py --model vit_small_patch16_224 --batch 8

A plain step descends the cross-entropy. The floor is a bare double backward pass: it adds the mean square of the
gradient of the labelled logits with respect to the images, without pyramid, weight term or checks: what a loss on this
gradient costs in torch at least. The three kinds of step alternate within a round, so that other load on the machine
affects all of them. Peak memory of each kind is measured in a separate process.
"""

import argparse
import statistics
import time
from multiprocessing import get_context
from pathlib import Path

import timm
import torch
from torch.nn import functional

from brainscore_itmaps.training import HarmonizerLoss
from brainscore_itmaps.training.loss import differentiable_attention

KINDS = ("plain", "floor", "harmonizer")
RATIOS = (("harmonizer", "plain"), ("floor", "plain"), ("harmonizer", "floor"))
SMOOTHING = 0.1


def stepper(name, batch, device):
    """Return a function that takes one training step of a given kind."""
    torch.manual_seed(0)
    model = timm.create_model(name).to(device).train()
    side = model.pretrained_cfg["input_size"][-1]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images, heatmaps = torch.randn(batch, 3, side, side, device=device), torch.rand(batch, side, side, device=device)
    labels = torch.randint(1000, (batch,), device=device)
    harmonizer = HarmonizerLoss(label_smoothing=SMOOTHING)

    def plain():
        return functional.cross_entropy(model(images), labels, label_smoothing=SMOOTHING)

    def floor():
        inputs = images.detach().requires_grad_()
        with differentiable_attention():
            logits = model(inputs)
            labelled = logits.gather(1, labels[:, None]).sum()
            gradient = torch.autograd.grad(labelled, inputs, create_graph=True)[0]
        return (gradient**2).mean() + functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)

    losses = {"plain": plain, "floor": floor, "harmonizer": lambda: harmonizer(model, images, labels, heatmaps).total}

    def step(kind):
        optimiser.zero_grad()
        losses[kind]().backward()
        optimiser.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return step


def peak(name, batch, device, kind):
    """Return the memory before the first step and its peak, in megabytes: of torch on a GPU, else of the process."""
    step = stepper(name, batch, device)
    before = torch.cuda.memory_allocated() / 2**20 if device != "cpu" else memory_of_process("VmRSS")
    for _ in range(3):
        step(kind)
    highest = torch.cuda.max_memory_allocated() / 2**20 if device != "cpu" else memory_of_process("VmHWM")
    return before, highest


def memory_of_process(entry):
    """Return one entry of the process's status in megabytes; ``getrusage`` would include the peak of the parent."""
    return int(Path("/proc/self/status").read_text().split(f"{entry}:")[1].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=7, help="rounds; each takes one step of every kind")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    step = stepper(options.model, options.batch, options.device)
    for kind in KINDS:
        step(kind)
    seconds = {kind: [] for kind in KINDS}
    for number in range(options.steps):
        first = number % len(KINDS)
        for kind in KINDS[first:] + KINDS[:first]:
            began = time.perf_counter()
            step(kind)
            seconds[kind].append(time.perf_counter() - began)
    medians = ", ".join(f"{kind} {statistics.median(taken):.3f} s" for kind, taken in seconds.items())
    print(f"{options.model}, {options.batch} images, {options.device}: {medians} per step (median of {options.steps})")
    for above, below in RATIOS:
        ratios = [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]
        print(f"{above} / {below}: {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = {kind: pool.apply(peak, (options.model, options.batch, options.device, kind)) for kind in KINDS}
    peaks = ", ".join(f"{kind} {highest:.0f} MB" for kind, (_, highest) in memory.items())
    ratios = ", ".join(f"{above} / {below} {memory[above][1] / memory[below][1]:.2f}" for above, below in RATIOS)
    before = statistics.median(before for before, _ in memory.values())
    print(f"peak memory: {peaks}, each with {before:.0f} MB before the first step; {ratios}")


if __name__ == "__main__":
    main()
