"""Do the fits and tests of a study find what was planted, and do their intervals cover it as often as they say?

Simulated studies: models of growing accuracy whose scores follow a planted line, edge or gain, on 14 images that
are hard or easy for all models, suit accurate models more or less, and suit single models more or less.

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
"""Standard deviations: of models; of images; of what a point of accuracy gives on an image; of one model on one
image."""
GAIN, GAIN_SPREAD = 0.08, 0.06

Array = NDArray[np.float64]


def broken(accuracy: Array) -> Array:
    """Two straight lines that meet."""
    return HEIGHT + np.where(accuracy < AT, BEFORE, AFTER) * (accuracy - AT)


def edge(accuracy: Array) -> Array:
    """A parabola that opens downward."""
    return HEIGHT + CURVATURE * (accuracy - PEAK) ** 2


def study(truth: Array, accuracy: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Values (model, image) and ceilings (image,) of models whose scores are known."""
    ceilings = rng.normal(0.8, 0.04, IMAGES)
    images = rng.normal(0, IMAGE, IMAGES)
    tilts = rng.normal(0, TILT, IMAGES) * (accuracy - np.mean(RANGE))[:, None]
    single = rng.normal(0, SINGLE, (len(truth), IMAGES))
    return (truth[:, None] + images + tilts + single) * ceilings, ceilings


def fits(number: int, images: bool) -> list[tuple[str, float, float, Interval]]:
    """Statistic, planted value, estimate and interval, in one simulated study."""
    return list(_fits(number, images))


def _fits(number: int, images: bool) -> Iterator[tuple[str, float, float, Interval]]:
    rng = np.random.default_rng([7, number])
    accuracy = np.sort(rng.uniform(*RANGE, MODELS))

    def scored(truth: Array, resamples: int) -> tuple[Array, Array | None]:
        values, ceilings = study(truth, accuracy, rng)
        again = scores_over_images(values, ceilings, accuracy, rng, resamples) if images else None
        return values.mean(axis=1) / ceilings.mean(), again

    truth = broken(accuracy) + rng.normal(0, DEVIATION, MODELS)
    scores, drawn = scored(truth, 300)
    found = change_point(accuracy, scores, rng, 300, drawn)
    yield "change point", AT, found.at, found.at_interval
    yield "slope before it", BEFORE, found.before, found.before_interval
    yield "slope after it", AFTER, found.after, found.after_interval
    rho = rank_correlation(accuracy, scores, rng, 300, drawn)
    yield "rank correlation", RHO, rho.rho, rho.interval
    below = edge(accuracy) - rng.exponential(DEFICIT, MODELS)
    scores, drawn = scored(below, 200)
    upper = envelope(accuracy, scores, rng, resamples=200, drawn=drawn)
    yield "slope of the edge's end", 2 * CURVATURE * (accuracy.max() - PEAK), upper.end_slope, upper.end_slope_interval
    yield "peak of the edge", PEAK, upper.peak, upper.peak_interval


def population_rho() -> float:
    """Rank correlation in very many models, on images as many as are shown; mean over sets of images."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        accuracy = rng.uniform(*RANGE, 3000)
        values, ceilings = study(broken(accuracy) + rng.normal(0, DEVIATION, 3000), accuracy, rng)
        found.append(spearmanr(accuracy, values.mean(axis=1) / ceilings.mean()).statistic)
    return float(np.mean(found))


def paired(number: int, gain: float) -> tuple[float, float, int, int]:
    """Mean gain, share of intervals that cover it, and how many of the pairs are reported with and without control."""
    rng = np.random.default_rng([11, number])
    gains, p_values, covered = [], [], []
    for _ in range(TWINS * ARRAYS):
        baseline = rng.normal(0.45, IMAGE, IMAGES)
        harmonized = baseline + rng.normal(gain, GAIN_SPREAD, IMAGES)
        found = compare_images(harmonized, baseline, rng, resamples=2**IMAGES)
        gains.append(found.difference)
        p_values.append(found.p_value)
        covered.append(found.interval.low <= gain <= found.interval.high)
    reported = control_false_discoveries(p_values) < 0.05
    return float(np.mean(gains)), float(np.mean(covered)), int(reported.sum()), int((np.array(p_values) < 0.05).sum())


def margin(share: float, number: int) -> float:
    """Half the binomial 95 % interval of a share."""
    return float(norm.ppf(0.975) * np.sqrt(share * (1 - share) / number))


def table(of: Callable[[int], list[tuple[str, float, float, Interval]]], studies: int) -> None:
    """Print planted values, means and coverage."""
    with ProcessPoolExecutor() as processes:
        rows = list(processes.map(of, range(studies)))
    for place, (name, planted, _, _) in enumerate(rows[0]):
        column = [row[place] for row in rows]
        error = [estimate - truth for _, truth, estimate, _ in column]
        covered = np.mean([span.low <= truth <= span.high for _, truth, _, span in column])
        width = np.median([span.high - span.low for *_, span in column])
        print(
            f"  {name:24} planted {planted:8.4f}  median error {np.nanmedian(error):+.4f}  interval {width:.4f} wide  "
            f"covers {100 * covered:5.1f} % +- {100 * margin(float(covered), studies):.1f}"
        )


RHO = population_rho()

if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--studies", type=int, default=200)
    studies = asked.parse_args().studies
    began = time.perf_counter()
    print(f"{studies} SIMULATED studies of {MODELS} models on {IMAGES} images; 95 % intervals")
    for images in (False, True):
        print(f"intervals over {'images and models' if images else 'models alone'}")
        table(partial(fits, images=images), studies)
    print(f"{TWINS} twins on {ARRAYS} arrays, tested image by image, false discoveries held at 5 %")
    for gain in (GAIN, 0.0):
        with ProcessPoolExecutor() as processes:
            told = np.array(list(processes.map(partial(paired, gain=gain), range(studies))))
        gains, covered, reported, uncontrolled = told.mean(axis=0) * [1, 100, 100 / TESTS, 100 / TESTS]
        anything, chance = 100 * (told[:, 2] > 0).mean(), 100 * binom.ppf(0.975, studies, 0.05) / studies
        print(
            f"  gain {gain:.2f}: mean estimate {gains:.3f}, interval covers {covered:.1f} %; reported "
            f"{reported:.1f} % of pairs (without control {uncontrolled:.1f} %), anything in {anything:.1f} % of studies"
        )
    print(f"  with no gain, anything may be reported in 5 % of studies, and by chance in up to {chance:.1f} %")
    print(f"{time.perf_counter() - began:.0f} s")
