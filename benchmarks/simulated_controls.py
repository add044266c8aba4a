"""Score controls on the simulated recording: trained and random weights, and shuffled images.

Run: python benchmarks/simulated_controls.py (about two minutes on two cores)
"""

import numpy as np

from brainscore_itmaps import load_model, load_recording, record, score, score_features
from brainscore_itmaps.models.zoo import ZOO


def main() -> None:
    recording = load_recording("it_maps_simulated")
    print("SIMULATED recording, no animal was recorded")
    describe(recording)
    print("score and 95 % bootstrap interval over images; raw value and noise ceiling")
    for name in ZOO:
        show(name, score(name))
        untrained = [score(name, weights="random", seed=seed) for seed in range(5)]
        for seed, result in enumerate(untrained):
            show(f"{name}, random weights, seed {seed}", result)
        print(f"{name}, random weights, mean of the five: {np.mean([result.score for result in untrained]):.3f}")

    model = load_model("efficientnet_lite0")
    layer = model.spec.layers["IT"]
    features = record(model, recording.images, [layer])[layer]
    rng = np.random.default_rng(0)
    maps_last = np.moveaxis(features, 1, -1)
    shuffled = [score_features(maps_last[derangement(rng, len(features))], recording).score for _ in range(20)]
    low, high = np.percentile(shuffled, [2.5, 97.5])
    print(f"efficientnet_lite0, images shuffled 20 times: mean {np.mean(shuffled):.3f}, 95 % {low:.3f} to {high:.3f}")


def describe(recording):
    """Print the mean response of the sites, and the correlations between sites."""
    sites = recording.maps.reshape(-1, recording.maps.shape[-1]).T  # (site, image * y * x)
    means, pairs = sites.mean(axis=1), np.corrcoef(sites)[np.triu_indices(len(sites), 1)]
    with_others = [np.corrcoef(site, np.delete(sites, s, axis=0).mean(axis=0))[0, 1] for s, site in enumerate(sites)]
    print(f"mean of a site: {means.min():.0f} to {means.max():.0f} spikes/s")
    print(f"pairs of sites: median r {np.median(pairs):.2f}")
    print(f"a site and the mean of the others: r {np.mean(with_others):.2f} +- {np.std(with_others):.2f}")


def show(name, result):
    """Print a score with its interval, its raw value and its noise ceiling."""
    interval = f"{result.interval[0]:.3f} to {result.interval[1]:.3f}"
    print(f"{name}: {result.score:.3f} ({interval}), raw {result.raw:.3f}, noise ceiling {result.ceiling:.3f}")


def derangement(rng, number):
    """Draw a random permutation that moves each image."""
    while True:
        order = rng.permutation(number)
        if (order != np.arange(number)).all():
            return order


if __name__ == "__main__":
    main()
