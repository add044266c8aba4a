"""Test noise ceilings of sites without repeats against simulated truths: the score must not move with the noise.

The truth is the correlation of a model's predictions with the signal that sites share. A right noise ceiling makes the
score equal to it, whatever the reliability of the maps. "all others" is the ceiling of earlier versions: each site
predicted from all other sites, which is attenuated by the noise of these sites, too.

    python benchmarks/ceiling_truth.py --seeds 10      (about ten minutes on two cores)
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported; the processes share the cores

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product

import numpy as np
from simulated_maps import Array, predictivity, simulated_features, simulated_maps

from brainscore_itmaps import noise_ceiling, predict_left_out

MOST_FORMER = 50  # the earlier ceiling takes minutes for 100 sites

SITES, LATENTS, PRIVATE, RELIABILITIES = (16, 32, 100), (3, 8, 20), (0.0, 0.5), (0.2, 0.5, 0.9)


def all_others(maps: Array) -> float:
    """Predict each site from all other sites: the ceiling of earlier versions."""
    predicted = np.empty(maps.shape)
    for site in range(maps.shape[-1]):
        others = np.delete(maps, site, axis=-1)
        predicted[..., [site]] = predict_left_out(others, maps[..., [site]]).predicted
    return predictivity(predicted, maps)


def scores(seed: int, sites: int, latents: int, private: float, reliability: float) -> tuple[float, ...]:
    """Score simulated features: truth, with the earlier ceiling, with this one, and with its interval."""
    rng = np.random.default_rng(seed)
    simulated = simulated_maps(rng, sites=sites, latents=latents, private=private, reliability=reliability)
    predicted = predict_left_out(simulated_features(rng, simulated.latents), simulated.maps).predicted
    raw, truth = (predictivity(predicted, maps) for maps in (simulated.maps, simulated.shared))
    former = raw / all_others(simulated.maps) if sites <= MOST_FORMER else np.nan
    ceiling = noise_ceiling(simulated.maps, "sites", rng=seed)
    refused = bool(ceiling.reason)
    return truth, former, np.nan if refused else raw / ceiling.value, float(refused)


def main(seeds: int, sites_of_cells: list[int], latents_of_cells: list[int]) -> None:
    """Print a table of truths and scores."""
    began, worst = time.perf_counter(), {False: 0.0, True: 0.0}
    print(f"SIMULATED maps, 14 images, 13 x 13 positions, {seeds} seeds: mean score (standard deviation over seeds)")
    print(f"{'sites':>6}{'latents':>9}{'private':>9}{'reliability':>13}{'truth':>8}{'all others':>12}{'halves':>16}"
          f"{'error':>8}{'refused':>9}")  # fmt: skip
    with ProcessPoolExecutor() as processes:
        for cell in product(sites_of_cells, latents_of_cells, PRIVATE, RELIABILITIES):
            run = partial(_scores, cell=cell)
            truth, former, score, refused = np.array(list(processes.map(run, range(seeds)))).T
            given = ~np.isnan(score)
            mean, spread = (score[given].mean(), score[given].std()) if given.any() else (np.nan, np.nan)
            error = mean - truth[given].mean() if given.any() else np.nan
            sites, latents, private, reliability = cell
            hard = latents == max(LATENTS) and private > 0
            worst[hard] = max(worst[hard], abs(error))
            print(f"{sites:6}{latents:9}{private:9}{reliability:13}{truth.mean():8.3f}{former.mean():12.3f}"
                  f"{mean:9.3f} ({spread:.3f}){error:+8.3f}{int(refused.sum()):9}", flush=True)  # fmt: skip
    print(f"largest error {worst[False]:.3f}; {max(LATENTS)} latents with a private signal: {worst[True]:.3f}")
    print(f"{time.perf_counter() - began:.0f} s")


def _scores(seed: int, cell: tuple[int, int, float, float]) -> tuple[float, ...]:
    return scores(seed, *cell)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sites", type=int, nargs="+", default=SITES)
    parser.add_argument("--latents", type=int, nargs="+", default=LATENTS)
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.sites, arguments.latents)
