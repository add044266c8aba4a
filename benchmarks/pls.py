"""Measure the CPU time of leave-one-image-out PLS: this package, scikit-learn, and a lower bound. One BLAS thread.

Each round measures each case with each implementation, so that changes in the speed of the machine affect all of them.
scikit-learn fits one fold per round, a different one each time, which counts 14 times. The lower bound ("floor") is the
time of the unavoidable products (covariance of the channels times a direction, for each fold and component) at the rate
of a large matrix product.

A second table adds the 21 pairs of 7 groups to the 14 folds, as refits for the choice of a layer do, and compares with
passes over the rows of all images, the way without a covariance and without narrowing the features.

Run: python benchmarks/pls.py [rounds [folds]] (some minutes; 5 rounds by default; "folds": the second table alone)
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from unittest.mock import patch

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np
from sklearn.cross_decomposition import PLSRegression

from brainscore_itmaps import Grid, predict_left_out, to_grid
from brainscore_itmaps.metrics import pls
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out, pairs_of_groups
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.metrics.predictivity import over_defined_sites, site_correlation

IMAGES, SITES, COMPONENTS = 14, 32, 25
CASES = [  # grid, channels, native size
    (17, 256, 17),
    (17, 512, 17),
    (17, 1024, 17),
    (17, 2048, 17),
    (17, 2048, 7),
    (9, 512, 9),
    (9, 2048, 9),
]


def main(rounds: int) -> None:
    warnings.filterwarnings("ignore", message="Maximum number of iterations reached")
    data = [simulated(*case) for case in CASES]
    taken = {case: {name: [] for name in ("ours", "1e-6", "1e-4", "floor", "thin")} for case in CASES}
    for number in range(rounds + 1):  # the first round is a warm-up
        for case, (field, maps) in zip(CASES, data, strict=True):
            row = {
                "ours": timed(predict_left_out, field, maps),
                "1e-6": IMAGES * timed(one_fold, field, maps, number % IMAGES, 1e-6),
                "1e-4": IMAGES * timed(one_fold, field, maps, number % IMAGES, 1e-4),
                "floor": operations(case) / rate(512),
                "thin": operations(case) / rate(16),
            }
            for name, seconds in row.items():
                taken[case][name] += [seconds] if number else []
        print(f"round {number} of {rounds}", file=sys.stderr)
    print(f"SIMULATED features and maps, {IMAGES} images, {SITES} sites, {COMPONENTS} components, all folds")
    print("CPU seconds: median (range); ratios: median (range) over rounds")
    heading = ("grid", "channels", "native", "ours", "sklearn 1e-6", "ratio", "sklearn 1e-4", "ratio", "floor", "share")
    print("".join(f"{name:>25}" if number > 2 else f"{name:>9}" for number, name in enumerate(heading)))
    for (grid, channels, native), by_name in taken.items():
        ours = np.array(by_name["ours"])
        cells = [spread(ours)]
        for name in ("1e-6", "1e-4"):
            cells += [spread(by_name[name]), spread(by_name[name] / ours, 0)]
        cells += [spread(by_name["floor"]), spread(by_name["floor"] / ours)]
        case = f"{grid:>9}{channels:>9}{native:>9}"
        print(case + "".join(f"{cell:>25}" for cell in cells))
    stacked = [np.median(np.array(by["thin"]) / np.array(by["floor"])) for by in taken.values()]
    print(
        f"products with 16 columns, as many as the folds have directions, take {np.median(stacked):.1f} times the floor"
    )
    compare_folds(rounds)
    compare_with_one_run(rounds)


def compare_folds(rounds: int) -> None:
    """Measure 14 folds with and without 21 pairs of groups, and the way that passes over the rows of all images."""
    images = leave_one_out(IMAGES)
    refits = np.concatenate([images, pairs_of_groups(IMAGES)])
    print(f"{len(images)} folds, {len(refits)} folds, and {len(refits)} folds by passes over the rows, in CPU seconds")
    heading = (f"{len(images)} folds", f"{len(refits)} folds", "passes / ours", f"{len(refits)} / {len(images)} folds")
    print(f"{'grid':>9}{'channels':>9}{'native':>9}" + "".join(f"{name:>25}" for name in heading))
    for case in CASES:
        field, maps = simulated(*case)
        taken = []
        for number in range(rounds + 1):  # the first round is a warm-up
            row = [timed(fit_folds, field, maps, folds) for folds in (images, refits)]
            with (
                patch.object(pls, "_pays", return_value=False),
                patch.object(pls, "_narrowing_pays", return_value=False),
            ):
                row.append(timed(fit_folds, field, maps, refits))
            taken += [row] if number else []
        few, many, passes = np.array(taken).T
        cells = [spread(values) for values in (few, many, passes / many, many / few)]
        print("".join(f"{value:>9}" for value in case) + "".join(f"{cell:>25}" for cell in cells), flush=True)


def compare_with_one_run(rounds: int) -> None:
    """Measure windows in one call, resampling and ridge, relative to one run."""
    field, maps = simulated(17, 512, 17)
    windows = np.stack([maps + np.random.default_rng(n).normal(size=maps.shape) for n in range(5)])
    image_r = over_defined_sites(site_correlation(predict_left_out(field, maps).predicted, maps))
    rng = np.random.default_rng(0)
    calls = {
        "one run (17 x 17, 512 channels)": lambda: predict_left_out(field, maps),
        "five windows in one call": lambda: predict_left_out(field, windows),
        "1,000 resamples of images": lambda: bootstrap_over_images(np.mean, image_r, rng=rng, resamples=1000),
        "nipals": lambda: predict_left_out(field, maps, "nipals"),
        "ridge": lambda: predict_left_out(field, maps, "ridge"),
        "ridge_cv, 9 penalties": lambda: predict_left_out(field, maps, "ridge_cv"),
    }
    taken = {name: [] for name in calls}
    for _ in range(rounds):
        for name, run in calls.items():
            taken[name].append(timed(run))
    one = np.array(next(iter(taken.values())))
    for name, seconds in taken.items():
        print(f"{name:>40}: {spread(seconds)} s, {spread(seconds / one)} of one run")


def simulated(grid: int, channels: int, native: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate features (rectified mixtures of smooth fields, plus noise) and maps of correlated sites."""
    rng = np.random.default_rng(0)
    position = np.arange(native)
    smooth = np.exp(-0.5 * ((position[:, None] - position) / (native / 10)) ** 2)
    fields = np.einsum("ya,xb,iabl->iyxl", smooth, smooth, rng.normal(size=(IMAGES, native, native, 60)), optimize=True)
    fields /= fields.std()
    weights = rng.normal(size=(60, channels)) * np.exp(-2 * np.arange(channels) / channels) / 8
    features = np.maximum(fields @ weights + 0.05 * rng.normal(size=(*fields.shape[:3], channels)), 0)
    target = Grid(y=Grid.even(grid).y, x=Grid.even(grid).x, extent=16.0)
    sources, field = (to_grid(np.moveaxis(values, -1, 1), target) for values in (fields, features))
    maps = sources @ (rng.normal(size=(60, 1)) + 0.7 * rng.normal(size=(60, SITES)))
    return field, maps + 0.7 * maps.std() * rng.normal(size=maps.shape)


def one_fold(field: np.ndarray, maps: np.ndarray, image: int, tolerance: float) -> np.ndarray:
    """Predict one left-out image with scikit-learn."""
    train = np.arange(IMAGES) != image
    x, y = field[train].reshape(-1, field.shape[-1]), maps[train].reshape(-1, SITES)
    regression = PLSRegression(COMPONENTS, scale=False, tol=tolerance).fit(x, y)
    return regression.predict(field[image].reshape(-1, field.shape[-1]))


def operations(case: tuple[int, int, int]) -> float:
    """Count the floating-point operations of the cheaper algorithm: over the rows, or with the covariance."""
    grid, channels, native = case
    rows = IMAGES * min(grid, native) ** 2
    over_rows = 4 * rows * channels * IMAGES * COMPONENTS
    over_channels = rows * channels**2 + 2 * channels**2 * IMAGES * COMPONENTS + 4 * rows * channels * COMPONENTS
    return float(min(over_rows, over_channels))


def rate(columns: int) -> float:
    """Measure the floating-point operations per second of a matrix product with so many columns."""
    a, b = np.ones((1024, 1024)), np.ones((1024, columns))
    repeats = 2 * 512 // columns
    return 2 * 1024 * 1024 * columns * repeats / timed(lambda: [a @ b for _ in range(repeats)])


def timed(run: Callable[..., object], *arguments: object) -> float:
    """Measure the CPU time of a call."""
    start = time.process_time()
    run(*arguments)
    return time.process_time() - start


def spread(values: object, digits: int = 3) -> str:
    """Format the median and the range."""
    return f"{np.median(values):.{digits}f} ({np.min(values):.{digits}f}-{np.max(values):.{digits}f})"


if __name__ == "__main__":
    (compare_folds if sys.argv[2:] == ["folds"] else main)(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
