"""Test whether the fits and tests of a study recover known effects, and measure the coverage of their intervals.

In simulated studies, scores follow a known line, edge or gain as a function of accuracy. The 14 images differ in
difficulty for all models, for accurate models, and for single models.

    python benchmarks/study_statistics.py --studies 200
"""

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm, spearmanr

from brainscore_itmaps.metrics.inference import Interval, compare_images, control_false_discoveries
from brainscore_itmaps.metrics.tradeoff import change_point, envelope, rank_correlation, scores_over_images

MODELS, IMAGES, TWINS, ARRAYS = 60, 14, 7, 3
TESTS = TWINS * ARRAYS
RANGE = (60.0, 90.0)
AT, HEIGHT, BEFORE, AFTER = 76.0, 0.46, 0.006, -0.008
PEAK, CURVATURE, DEFICIT = 77.0, -0.0008, 0.06
DEVIATION, IMAGE, TILT, SINGLE = 0.015, 0.08, 0.001, 0.06
"""Standard deviations: of models, of images, of the slope over accuracy on an image, and of one model on one image."""
GAIN, GAIN_SPREAD = 0.08, 0.06

Array = NDArray[np.float64]


def broken(accuracy: Array) -> Array:
    """Compute two straight lines that meet at the change point."""
    return HEIGHT + np.where(accuracy < AT, BEFORE, AFTER) * (accuracy - AT)


def edge(accuracy: Array) -> Array:
    """Compute a parabola that opens downward."""
    return HEIGHT + CURVATURE * (accuracy - PEAK) ** 2


def study(truth: Array, accuracy: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Simulate values (model, image) and ceilings (image,) of models whose true scores are known."""
    ceilings = rng.normal(0.8, 0.04, IMAGES)
    images = rng.normal(0, IMAGE, IMAGES)
    tilts = rng.normal(0, TILT, IMAGES) * (accuracy - np.mean(RANGE))[:, None]
    single = rng.normal(0, SINGLE, (len(truth), IMAGES))
    return (truth[:, None] + images + tilts + single) * ceilings, ceilings


def fits(number: int, images: bool) -> list[tuple[str, float, float, Interval]]:
    """Fit one simulated study, and return statistic, true value, estimate and interval of each fit."""
    return list(_fits(number, images))


def _fits(number: int, images: bool) -> Iterator[tuple[str, float, float, Interval]]:
    rng = np.random.default_rng([7, number])
    accuracy = np.sort(rng.uniform(*RANGE, MODELS))

    def scored(truth: Array, resamples: int) -> tuple[Array, Array | None]:
        values, ceilings = study(truth, accuracy, rng)
        drawn = scores_over_images(values, ceilings, accuracy, rng, resamples) if images else None
        return values.mean(axis=1) / ceilings.mean(), drawn

    truth = broken(accuracy) + rng.normal(0, DEVIATION, MODELS)
    scores, drawn = scored(truth, 300)
    bent = change_point(accuracy, scores, rng, 300, drawn)
    yield "change point", AT, bent.at, bent.at_interval
    yield "slope before it", BEFORE, bent.before, bent.before_interval
    yield "slope after it", AFTER, bent.after, bent.after_interval
    rho = rank_correlation(accuracy, scores, rng, 300, drawn)
    yield "rank correlation", RHO, rho.rho, rho.interval
    below = edge(accuracy) - rng.exponential(DEFICIT, MODELS)
    scores, drawn = scored(below, 200)
    upper = envelope(accuracy, scores, rng, resamples=200, drawn=drawn)
    yield "slope of the edge's end", 2 * CURVATURE * (accuracy.max() - PEAK), upper.end_slope, upper.end_slope_interval
    yield "peak of the edge", PEAK, upper.peak, upper.peak_interval


def population_rho() -> float:
    """Compute the rank correlation of very many models on 14 images, averaged over sets of images."""
    rng = np.random.default_rng(0)
    correlations = []
    for _ in range(300):
        accuracy = rng.uniform(*RANGE, 3000)
        values, ceilings = study(broken(accuracy) + rng.normal(0, DEVIATION, 3000), accuracy, rng)
        correlations.append(spearmanr(accuracy, values.mean(axis=1) / ceilings.mean()).statistic)
    return float(np.mean(correlations))


def paired(number: int, gain: float) -> tuple[float, float, int, int]:
    """Return mean gain, coverage of the intervals, and number of significant pairs with and without FDR control."""
    rng = np.random.default_rng([11, number])
    gains, p_values, covered = [], [], []
    for _ in range(TWINS * ARRAYS):
        baseline = rng.normal(0.45, IMAGE, IMAGES)
        harmonized = baseline + rng.normal(gain, GAIN_SPREAD, IMAGES)
        comparison = compare_images(harmonized, baseline, rng, resamples=2**IMAGES)
        gains.append(comparison.difference)
        p_values.append(comparison.p_value)
        covered.append(comparison.interval.low <= gain <= comparison.interval.high)
    reported = control_false_discoveries(p_values) < 0.05
    return float(np.mean(gains)), float(np.mean(covered)), int(reported.sum()), int((np.array(p_values) < 0.05).sum())


def margin(share: float, number: int) -> float:
    """Compute half the width of the binomial 95 % interval of a share."""
    return float(norm.ppf(0.975) * np.sqrt(share * (1 - share) / number))


def table(fit: Callable[[int], list[tuple[str, float, float, Interval]]], studies: int) -> None:
    """Print true values, median errors and coverage."""
    with ProcessPoolExecutor() as processes:
        rows = list(processes.map(fit, range(studies)))
    for index, (name, true, _, _) in enumerate(rows[0]):
        column = [row[index] for row in rows]
        error = [estimate - truth for _, truth, estimate, _ in column]
        covered = np.mean([span.low <= truth <= span.high for _, truth, _, span in column])
        width = np.median([span.high - span.low for *_, span in column])
        print(
            f"  {name:24} true {true:8.4f}  median error {np.nanmedian(error):+.4f}  interval {width:.4f} wide  "
            f"covers {100 * covered:5.1f} % +- {100 * margin(float(covered), studies):.1f}"
        )


RHO = population_rho()

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    began = time.perf_counter()
    print(f"{studies} SIMULATED studies of {MODELS} models on {IMAGES} images; 95 % intervals")
    for images in (False, True):
        print(f"intervals over {'images and models' if images else 'models alone'}")
        table(partial(fits, images=images), studies)
    print(f"{TWINS} twins on {ARRAYS} arrays, tested over images at a false discovery rate of 5 %")
    for gain in (GAIN, 0.0):
        with ProcessPoolExecutor() as processes:
            results = np.array(list(processes.map(partial(paired, gain=gain), range(studies))))
        gains, covered, reported, uncontrolled = results.mean(axis=0) * [1, 100, 100 / TESTS, 100 / TESTS]
        anything, chance = 100 * (results[:, 2] > 0).mean(), 100 * binom.ppf(0.975, studies, 0.05) / studies
        print(
            f"  gain {gain:.2f}: mean estimate {gains:.3f}, interval covers {covered:.1f} %; significant: "
            f"{reported:.1f} % of pairs ({uncontrolled:.1f} % without control), any pair in {anything:.1f} % of studies"
        )
    print(f"  without a gain, any pair may be significant in 5 % of studies, and by chance in up to {chance:.1f} %")
    print(f"{time.perf_counter() - began:.0f} s")
