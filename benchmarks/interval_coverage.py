"""Measure how often intervals of scores cover the truth, and how often equal models are told apart.

Simulated studies go through the regression: every study has other images, with other maps of the latent signals, of the
sites' noise and of the models' features. The truth is the mean score over all studies.

    python benchmarks/interval_coverage.py --studies 1000
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported; the processes share the cores

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from simulated_maps import Array, simulated_features, smooth_fields

from brainscore_itmaps import noise_ceiling
from brainscore_itmaps.benchmark.estimate import Estimate, IntervalKind, difference_of, estimate_array
from brainscore_itmaps.metrics.folds import fit_left_out, groups_left_out, refitted
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation

IMAGES, GRID, SITES, LATENTS, REPEATS, CHANNELS = 14, 9, 12, 6, 4, 20
KINDS: dict[str, IntervalKind] = {"7 groups": "groups", "images": "images", "no refits": "fixed"}


class Case(NamedTuple):
    """A kind of study: how much of the latent maps each of two models contains, and how much images differ."""

    worth: float
    spread: float
    repeats: bool


CASES = (
    Case(0.3, 0.6, True),
    Case(0.6, 0.6, True),
    Case(0.9, 0.6, True),
    Case(0.6, 1.0, True),
    Case(0.6, 0.0, True),
    Case(0.6, 0.6, False),
)


def study(seed: int, case: Case, kinds: tuple[str, ...]) -> list[dict[str, tuple[float, ...]]]:
    """Simulate a study, and estimate the scores of two models and their difference with each kind of interval."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    weights = fixed.normal(size=(LATENTS, SITES))  # the sites and the models are the same in every study
    latents = smooth_fields(rng, IMAGES, GRID, LATENTS, 1.5)
    strengths = np.exp(case.spread * rng.normal(size=(IMAGES, 1, 1, 1)))  # of the maps of each image
    latents = latents * strengths / np.exp(case.spread**2)  # an expected variance of 1
    signal = latents @ (weights / np.linalg.norm(weights, axis=0))
    presented = signal[:, None] + 1.5 * rng.normal(size=(IMAGES, REPEATS, *signal.shape[1:]))
    maps = presented.mean(axis=1)
    fields = [  # unlike features of equal worth
        simulated_features(rng, latents, worth=case.worth, channels=CHANNELS, mixing=np.random.default_rng(1))
        for _ in range(2)
    ]
    return [_estimates(fields, maps, presented if case.repeats else None, KINDS[kind]) for kind in kinds]


def _estimates(
    fields: list[Array], maps: Array, presented: Array | None, kind: IntervalKind
) -> dict[str, tuple[float, ...]]:
    groups = groups_left_out(IMAGES) if kind == "groups" else groups_left_out(IMAGES, IMAGES)
    refits = None if kind == "fixed" else len(groups)
    ceiling = noise_ceiling(maps, repeats=presented, groups=len(groups), refits=refits is not None)
    estimates = []
    for field in fields:
        left_out, pairs = fit_left_out(field, maps, groups=refits)
        values = over_sites(site_correlation(left_out.predicted, maps))
        changed = None if pairs is None else refitted(pairs, maps, lambda *pair: over_sites(site_correlation(*pair)))
        estimates.append(estimate_array(values, ceiling, changed, groups, kind))
    return {"score": _numbers(estimates[0]), "difference": _compared(*estimates)}


def _numbers(estimate: Estimate) -> tuple[float, ...]:
    return estimate.score, *estimate.interval, np.nan


def _compared(first: Estimate, second: Estimate) -> tuple[float, ...]:
    comparison = difference_of(first, second)
    if comparison is None:
        return (np.nan,) * 4
    return comparison.difference, *comparison.interval[:2], comparison.p_value


def main(studies: int, seed: int, kinds: tuple[str, ...], cases: tuple[int, ...]) -> None:
    """Print coverage, width and false positives of each case."""
    began = time.perf_counter()
    print(
        f"{studies} SIMULATED studies of {IMAGES} images, {GRID} x {GRID} positions, {SITES} sites, {CHANNELS} channels"
    )
    print("covers: share of 95 % intervals that contain the mean over studies; width: half width / 1.96 standard")
    print("deviations over studies; rejects: share of p-values below .05 for two unlike models of equal worth")
    with ProcessPoolExecutor() as processes:
        for case in (CASES[number] for number in cases):
            run = partial(study, case=case, kinds=kinds)
            results = list(processes.map(run, range(seed, seed + studies), chunksize=4))
            for number, kind in enumerate(kinds):
                _report(case, kind, [result[number] for result in results])
    print(f"{time.perf_counter() - began:.0f} s")


def _report(case: Case, kind: str, results: list[dict[str, tuple[float, ...]]]) -> None:
    cells = []
    for name in ("score", "difference"):
        value, low, high, p_value = np.array([result[name] for result in results]).T
        given = np.isfinite(low)
        truth, spread = value[given].mean(), value[given].std(ddof=1)
        covered = ((low <= truth) & (truth <= high))[given].mean()
        width = ((high - low)[given] / 2).mean() / (norm.ppf(0.975) * spread)
        cells.append(f"{name} {truth:+.3f} (sd {spread:.3f}) covers {100 * covered:5.1f} %, width {width:.2f}")
        if name == "difference":
            rejected = f"rejects {100 * (p_value[given] < 0.05).mean():4.1f} %"
    worths = f"worth {case.worth}, images differ by {case.spread}"
    source = "repeats" if case.repeats else "sites"
    print(f"{worths}, ceiling of {source}, {kind:9}: {'; '.join(cells)}; {rejected}; {int((~given).sum())} refused",
          flush=True)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["7 groups", "no refits"])
    parser.add_argument("--cases", nargs="+", type=int, choices=range(len(CASES)), default=range(len(CASES)))
    arguments = parser.parse_args()
    main(arguments.studies, arguments.seed, tuple(arguments.kinds), tuple(arguments.cases))
