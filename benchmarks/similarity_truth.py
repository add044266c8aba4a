"""Test RSA and CKA on SIMULATED data: noise ceilings against the truth, and controls that know nothing of the images.

A right noise ceiling gives the true, noise-free maps a score of 1, whatever the reliability of the recorded maps. CKA
is divided by its ceiling; RSA is not, because neither ceiling here passes: split-half over repeats with the
Spearman-Brown correction, and a fit to the agreement of single repeats and of halves.

    python benchmarks/similarity_truth.py --seeds 4      (about four minutes)
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported; the processes share the cores

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations, product

import numpy as np
from simulated_maps import Array, smooth_fields

from brainscore_itmaps import Recording, load_model, load_recording, record, to_grid
from brainscore_itmaps.metrics.repeats import first_halves
from brainscore_itmaps.metrics.similarity import SIMILARITIES, cka, cka_ceiling, rsa

IMAGES, GRID, SITES, SMOOTHING = 14, 13, 32, 1.5
SIGNALS, REPEATS, RELIABILITIES = ("3 latent maps", "8 latent maps", "blobs"), (2, 4, 6), (0.3, 0.5, 0.7, 0.9)
LAYERS, SEEDS, WIDTH = ("blocks.2", "blocks.4", "blocks.5"), (0, 1), 2.0


def signal(kind: str, rng: np.random.Generator) -> Array:
    """Draw noise-free maps: random weights of smooth latent maps, or positive weights of few blobs on plain ground."""
    if kind == "blobs":
        fields = np.maximum(smooth_fields(rng, IMAGES, GRID, 3, SMOOTHING) - 1.5, 0)
        return fields @ rng.lognormal(0, 0.7, (3, SITES))
    latents = int(kind.split()[0])
    return smooth_fields(rng, IMAGES, GRID, latents, SMOOTHING) @ rng.normal(size=(latents, SITES))


def scores(seed: int, kind: str, count: int, reliability: float) -> tuple[float, ...]:
    """Score the true maps: raw CKA and RSA, CKA / its ceiling, and RSA / each of the two ceilings that fail."""
    rng = np.random.default_rng(seed)
    true = signal(kind, rng)
    noise = true.std(axis=(0, 1, 2)) * np.sqrt((1 - reliability) / reliability * count)
    repeats = true[:, None] + noise * rng.normal(size=(IMAGES, count, GRID, GRID, SITES))
    maps, half = repeats.mean(axis=1), count // 2
    splits = [(first, [part for part in range(count) if part not in first]) for first in first_halves(count, rng)]
    of_halves = np.mean([rsa(*(repeats[:, part].mean(axis=1) for part in split)).mean() for split in splits])
    of_single = np.mean([rsa(repeats[:, a], repeats[:, b]).mean() for a, b in combinations(range(count), 2)])
    raw, raw_cka = rsa(true, maps).mean(), cka(true, maps).mean()
    spearman_brown, fitted = np.sqrt(2 * of_halves / (1 + of_halves)), np.nan
    if half > 1:  # 1 / agreement of k repeats = 1 + a / k + b / k ** 2
        inverse = np.array([1 / of_single, 1 / of_halves]) - 1
        a, b = np.linalg.solve([[1, 1], [1 / half, 1 / half**2]], inverse)
        fitted = 1 / np.sqrt(1 + a / count + b / count**2)
    return raw_cka, raw, raw_cka / cka_ceiling(maps, repeats).mean(), raw / spearman_brown, raw / fitted


def nearness(recording: Recording) -> Array:
    """Make features of positions alone, the same for all images: how near each is to every second one."""
    y, x = np.meshgrid(recording.grid.y, recording.grid.x, indexing="ij")
    centres = y[::2, ::2].ravel(), x[::2, ::2].ravel()
    squares = (y[..., None] - centres[0]) ** 2 + (x[..., None] - centres[1]) ** 2
    return np.repeat(np.exp(-squares / (2 * WIDTH**2))[None], len(recording.images), axis=0)


def controls(name: str) -> None:
    """Print raw values of a trained model, of random weights, and of positions alone."""
    recording = load_recording(name)

    def show(what: str, field: Array) -> None:
        values = "".join(f"{measure(field, recording.maps).mean():8.3f}" for measure in SIMILARITIES.values())
        print(f"{what:<60}{values}")

    print(f"{name}: raw values{''.join(f'{measure:>8}' for measure in SIMILARITIES)}")
    for weights, seed in (("pretrained", 0), *(("random", seed) for seed in SEEDS)):
        features = record(load_model("efficientnet_lite0", weights, seed=seed), recording, list(LAYERS))
        for layer, field in to_grid(features, recording).items():
            units = "{} x {} units".format(*features[layer].shape[2:])
            show(f"efficientnet_lite0, {weights}, seed {seed}, {layer}, {units}", field)
    show("positions alone", nearness(recording))


def main(seeds: int) -> None:
    """Print the scores of true maps, and the controls."""
    print(f"SIMULATED maps, {IMAGES} images, {GRID} x {GRID} positions, {SITES} sites, {seeds} seeds: the true maps")
    print(f"{'signal':<15}{'repeats':>8}{'reliability':>12}{'raw CKA':>9}{'raw RSA':>9}{'CKA':>8}"
          f"{'RSA, Spearman-Brown':>21}{'RSA, fit':>10}")  # fmt: skip
    with ProcessPoolExecutor() as processes:
        for cell in product(SIGNALS, REPEATS, RELIABILITIES):
            run = partial(_scores, cell=cell)
            values = np.mean(list(processes.map(run, range(seeds))), axis=0)
            print(f"{cell[0]:<15}{cell[1]:>8}{cell[2]:>12}", end="")
            print("".join(f"{value:>{width}.3f}" for value, width in zip(values, (9, 9, 8, 21, 10), strict=True)))
    for name in ("it_maps_simulated", "it_maps_textures_simulated"):
        controls(name)


def _scores(seed: int, cell: tuple[str, int, float]) -> tuple[float, ...]:
    return scores(seed, *cell)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    main(parser.parse_args().seeds)
