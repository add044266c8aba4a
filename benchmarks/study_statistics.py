"""Test whether the fits and tests of a study recover known effects, and measure the coverage of their intervals.

Simulated studies go through the regression: the worth of a model's features follows a known line, edge or gain as a
function of accuracy, and every study has other images, maps, noise and features. Accurate models are better on some
images than on others.

    python benchmarks/study_statistics.py --studies 200
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported; the processes share the cores

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm
from simulated_maps import simulated_features, smooth_fields

from brainscore_itmaps import noise_ceiling
from brainscore_itmaps.benchmark.estimate import Estimate, difference_of, estimate_array
from brainscore_itmaps.metrics.folds import fit_left_out, groups_left_out, refitted
from brainscore_itmaps.metrics.inference import Interval, control_false_discoveries
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation
from brainscore_itmaps.metrics.tradeoff import change_point, envelope, rank_correlation, scores_over_images

MODELS, IMAGES, TWINS, ARRAYS = 40, 14, 7, 3
GRID, SITES, LATENTS, REPEATS, CHANNELS = 7, 8, 4, 6, 16
TESTS = TWINS * ARRAYS
RANGE = (60.0, 90.0)
AT, HEIGHT, BEFORE, AFTER = 76.0, 0.6, 0.006, -0.008
PEAK, CURVATURE, DEFICIT = 77.0, -0.0008, 0.06
DEVIATION, TILT = 0.015, 0.01
"""Standard deviations: of the models' scores, and of the slope of the worth over accuracy on single images."""
GAIN = 0.08
WORTHS = np.linspace(0.02, 0.98, 9)
GROUPS = groups_left_out(IMAGES)
DRAWS = 200
OVER = ("models alone", "images and models")

Array = NDArray[np.float64]


class Row(NamedTuple):
    """A fitted statistic: what its interval is over, its name, true value, estimate and interval."""

    over: str
    name: str
    truth: float
    estimate: float
    interval: Interval


class Drawn(NamedTuple):
    """Scores of models (model,), and draws of them on other images (draw, model)."""

    scores: Array
    draws: Array


def broken(accuracy: Array) -> Array:
    """Compute two straight lines that meet at the change point."""
    return HEIGHT + np.where(accuracy < AT, BEFORE, AFTER) * (accuracy - AT)


def edge(accuracy: Array) -> Array:
    """Compute a parabola that opens downward."""
    return HEIGHT + CURVATURE * (accuracy - PEAK) ** 2


def scored(
    worths: Array, rng: np.random.Generator, accuracy: Array | None = None, arrays: int = 1
) -> list[list[Estimate]]:
    """Score simulated models on one set of simulated images: estimates of each model on each array.

    ``worths`` (model,) are the shares of the latent maps in the models' features. With ``accuracy`` (model,), the worth
    of accurate models is higher on some images and lower on others.
    """
    latents = smooth_fields(rng, IMAGES, GRID, LATENTS, 1.5)
    tilts = rng.normal(0, TILT, (IMAGES, 1, 1, 1))
    recordings = []
    for number in range(arrays):
        weights = np.random.default_rng(number).normal(size=(LATENTS, SITES))
        signal = latents @ (weights / np.linalg.norm(weights, axis=0))
        presented = signal[:, None] + 1.5 * rng.normal(size=(IMAGES, REPEATS, *signal.shape[1:]))
        maps = presented.mean(axis=1)
        recordings.append((maps, noise_ceiling(maps, repeats=presented)))
    models = []
    for model, worth in enumerate(worths):
        on_images = worth if accuracy is None else worth + tilts * (accuracy[model] - np.mean(RANGE))
        field = simulated_features(
            rng, latents, worth=np.clip(on_images, 0, 1), channels=CHANNELS, mixing=np.random.default_rng(1)
        )
        left_out, pairs = fit_left_out(field, [maps for maps, _ in recordings])
        estimates = []
        for number, (maps, ceiling) in enumerate(recordings):
            values = over_sites(site_correlation(left_out.predicted[number], maps))
            refits = refitted(pairs, maps, lambda *pair: over_sites(site_correlation(*pair)), set=number)
            estimates.append(estimate_array(values, ceiling, refits, GROUPS))
        models.append(estimates)
    return models


def calibrated(number: int) -> Array:
    """Score models of known worths once, shape (worth,)."""
    return np.array([estimate.score for (estimate,) in scored(WORTHS, np.random.default_rng([3, number]))])


def worth_of(scores: Array, curve: Array) -> Array:
    """Compute the worths at which models have these scores on average."""
    return np.interp(scores, curve, WORTHS)


def fits(number: int, curve: Array) -> list[Row]:
    """Fit one simulated study, with intervals over models alone, and over images and models."""
    rng = np.random.default_rng([7, number])
    accuracy = np.sort(rng.uniform(*RANGE, MODELS))
    bent = _drawn(broken(accuracy) + rng.normal(0, DEVIATION, MODELS), accuracy, curve, rng)
    below = _drawn(edge(accuracy) - rng.exponential(DEFICIT, MODELS), accuracy, curve, rng)
    level = _drawn(HEIGHT + rng.normal(0, DEVIATION, MODELS), accuracy, curve, rng)
    return [row for over in OVER for row in _fits(over, accuracy, bent, below, level, rng)]


def _fits(
    over: str, accuracy: Array, bent: Drawn, below: Drawn, level: Drawn, rng: np.random.Generator
) -> Iterator[Row]:
    def drawn(study: Drawn) -> Array | None:
        return study.draws if over == OVER[1] else None

    lines = change_point(accuracy, bent.scores, rng, DRAWS, drawn(bent))
    yield Row(over, "change point", AT, lines.at, lines.at_interval)
    yield Row(over, "slope before it", BEFORE, lines.before, lines.before_interval)
    yield Row(over, "slope after it", AFTER, lines.after, lines.after_interval)
    upper, end = envelope(accuracy, below.scores, rng, resamples=DRAWS, drawn=drawn(below)), accuracy.max()
    slope = 2 * CURVATURE * (end - PEAK)
    yield Row(over, "slope of the edge's end", slope, upper.end_slope, upper.end_slope_interval)
    yield Row(over, "peak of the edge", PEAK, upper.peak, upper.peak_interval)
    rho = rank_correlation(accuracy, level.scores, rng, DRAWS, drawn(level))
    yield Row(over, "rank correlation", 0.0, rho.rho, rho.interval)


def _drawn(truth: Array, accuracy: Array, curve: Array, rng: np.random.Generator) -> Drawn:
    """Score models of known true scores, and draw their scores on other images."""
    estimates = [estimate for (estimate,) in scored(worth_of(truth, curve), rng, accuracy)]
    scores = np.array([estimate.score for estimate in estimates])
    replicates = np.stack([estimate.replicates for estimate in estimates if estimate.replicates is not None])
    return Drawn(scores, scores_over_images(scores, replicates, [len(GROUPS)], accuracy, rng, DRAWS))


def paired(number: int, gain: float, curve: Array) -> tuple[float, float, int, int]:
    """Return mean gain, coverage of the intervals, and number of significant pairs with and without FDR control."""
    rng = np.random.default_rng([11, number])
    truth = np.concatenate([np.full(TWINS, HEIGHT + gain), np.full(TWINS, HEIGHT)])
    models = scored(worth_of(truth, curve), rng, arrays=ARRAYS)
    comparisons = [
        difference_of(models[twin][array], models[TWINS + twin][array])
        for twin in range(TWINS)
        for array in range(ARRAYS)
    ]
    tested = [comparison for comparison in comparisons if comparison is not None]
    p_values = np.array([comparison.p_value for comparison in tested])
    covered = [comparison.interval.low <= gain <= comparison.interval.high for comparison in tested]
    reported = control_false_discoveries(p_values) < 0.05
    gains = [comparison.difference for comparison in tested]
    return float(np.mean(gains)), float(np.mean(covered)), int(reported.sum()), int((p_values < 0.05).sum())


def margin(share: float, number: int) -> float:
    """Compute half the width of the binomial 95 % interval of a share."""
    return float(norm.ppf(0.975) * np.sqrt(share * (1 - share) / number))


def table(studies: int, curve: Array) -> None:
    """Print true values, median errors and coverage."""
    with ProcessPoolExecutor() as processes:
        rows = list(processes.map(partial(fits, curve=curve), range(studies)))
    for column in zip(*rows, strict=True):
        if column[0].name == "change point":
            print(f"intervals over {column[0].over}")
        error = [row.estimate - row.truth for row in column]
        covered = np.mean([row.interval.low <= row.truth <= row.interval.high for row in column])
        width = np.median([row.interval.high - row.interval.low for row in column])
        print(
            f"  {column[0].name:24} true {column[0].truth:8.4f}  median error {np.nanmedian(error):+.4f}  "
            f"interval {width:.4f} wide  covers {100 * covered:5.1f} % +- {100 * margin(float(covered), studies):.1f}",
            flush=True,
        )


def main(studies: int) -> None:
    """Print the coverage of fits, and the tests of twins with and without a gain."""
    began = time.perf_counter()
    with ProcessPoolExecutor() as processes:
        curve = np.mean(list(processes.map(calibrated, range(studies))), axis=0)
    print(f"{studies} SIMULATED studies of {MODELS} models on {IMAGES} images; 95 % intervals")
    table(studies, curve)
    print("  the p-value of the rank correlation is below .05 where its interval excludes 0")
    print(f"{TWINS} twins on {ARRAYS} arrays, tested over images at a false discovery rate of 5 %")
    for gain in (GAIN, 0.0):
        with ProcessPoolExecutor() as processes:
            results = np.array(list(processes.map(partial(paired, gain=gain, curve=curve), range(studies))))
        gains, covered, reported, uncontrolled = results.mean(axis=0) * [1, 100, 100 / TESTS, 100 / TESTS]
        anything, chance = 100 * (results[:, 2] > 0).mean(), 100 * binom.ppf(0.975, studies, 0.05) / studies
        print(
            f"  gain {gain:.2f}: mean estimate {gains:.3f}, interval covers {covered:.1f} %; significant: "
            f"{reported:.1f} % of pairs ({uncontrolled:.1f} % without control), any pair in {anything:.1f} % of studies"
        )
    print(f"  without a gain, any pair may be significant in 5 % of studies, and by chance in up to {chance:.1f} %")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=200)
    main(parser.parse_args().studies)
