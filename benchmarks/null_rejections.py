"""Count how often the null of a score is rejected at .05 when features hold nothing about the maps (SIMULATED).

Features and maps are independent smooth noise, without or with one bump in the centre of every map and feature. Each
draw fits the regressions of a score and of its null again. Shifts of the predicted maps over the grid, and pairings of
predictions with maps that they were fitted to, are counted for comparison: they are not used as tests.

Run: python benchmarks/null_rejections.py --draws 1000
"""

import argparse
import time

import numpy as np
from scipy.ndimage import gaussian_filter

from brainscore_itmaps.metrics.folds import fit_left_out
from brainscore_itmaps.metrics.nulls import CROSSED, paired_values, pairing_null, standardised_maps
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.protocol import OURS

IMAGES, POSITIONS, SITES = 14, 9, 8
CASES = (
    ("smoothing 1", {"smoothing": 1.0}),
    ("smoothing 2", {"smoothing": 2.0}),
    ("smoothing 4", {"smoothing": 4.0}),
    ("60 channels, smoothing 2", {"smoothing": 2.0, "channels": 60}),
    ("bump of 1 sd, smoothing 2", {"smoothing": 2.0, "bump": 1.0}),
    ("bump of 2 sd, smoothing 1, 60 channels", {"smoothing": 1.0, "bump": 2.0, "channels": 60}),
)
PAIRINGS = 999


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    print("SIMULATED. Share of draws rejected at .05, without any signal:")
    print(f"{'case':40} {'null':>6} {'shifts':>7} {'fitted maps':>12}")
    started = time.perf_counter()
    for name, options in CASES:
        rng = np.random.default_rng(0)
        rejected = np.mean([rejections(rng, **options) for _ in range(draws)], axis=0)
        print(f"{name:40} {rejected[0]:6.3f} {rejected[1]:7.3f} {rejected[2]:12.3f}", flush=True)
    print(f"{draws} draws a case, {time.perf_counter() - started:.0f} s")


def rejections(rng, smoothing, channels=16, bump=0.0):
    """Return whether the null, shifts, and pairings with maps that were fitted are rejected in one draw."""
    field, maps = smooth_noise(rng, channels, smoothing), smooth_noise(rng, SITES, smoothing)
    distance = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, POSITIONS)] * 2))
    centre = np.exp(-(distance**2) / 0.32)[..., None]
    centre = (centre - centre.mean()) / centre.std()
    maps, field = maps + bump * centre, field + bump * centre * rng.normal(size=channels)
    left_out, pairs = fit_left_out(field, maps)
    null = pairing_null([paired_values(pairs, maps)], rng=rng, pairings=PAIRINGS)
    standardised, over_sites = CROSSED["predictivity"]
    r = standardised([left_out.predicted]) @ standardised([maps]).swapaxes(1, 2)
    fitted = pairing_null([over_sites(r, OURS)], rng=rng, pairings=PAIRINGS)
    own = neural_predictivity(left_out.predicted, maps).score
    return (
        null.p_value <= 0.05,
        (shifted_scores(left_out.predicted, maps) >= own).mean() <= 0.05,
        fitted.p_value <= 0.05,
    )


def smooth_noise(rng, channels, smoothing):
    """Draw smooth maps, shape (image, y, x, channel), with a standard deviation of 1."""
    noise = rng.normal(size=(IMAGES, POSITIONS, POSITIONS, channels))
    smooth = gaussian_filter(noise, (0, smoothing, smoothing, 0))
    return (smooth - smooth.mean(axis=(1, 2), keepdims=True)) / smooth.std(axis=(1, 2), keepdims=True)


def shifted_scores(predicted, maps):
    """Compute the score of the predicted maps at every shift around the edges of the grid."""
    recorded = standardised_maps(maps)
    scores = []
    for down, across in np.ndindex(POSITIONS, POSITIONS):
        moved = standardised_maps(np.roll(predicted, (down, across), axis=(1, 2)))
        scores.append(np.median(np.einsum("sip,sip->is", moved, recorded), axis=1).mean())
    return np.array(scores)


if __name__ == "__main__":
    main()
