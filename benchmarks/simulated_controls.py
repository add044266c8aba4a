"""Score controls on the simulated recordings: trained and random weights, shuffled images, and the true signals.

The models are those whose weights are in installed packages; nothing is downloaded.

Run: python benchmarks/simulated_controls.py (about four minutes on two cores)
"""

import numpy as np

from brainscore_itmaps import load_model, load_recording, record, score, score_features
from brainscore_itmaps.data.simulated_textures import simulate_textures, variance_over_positions
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.models.zoo import EMBEDDED, ZOO


def main() -> None:
    print("SIMULATED recordings, no animal was recorded")
    control_photographs()
    for options in ({}, {"repeats": 6}, {"centre_bias": 2.0}):
        control_textures(**options)


def control_photographs():
    """Print the controls of ``it_maps_simulated``."""
    recording = load_recording("it_maps_simulated")
    print("it_maps_simulated")
    describe(recording)
    print("score and 95 % interval over images; raw value and noise ceiling")
    print(f"skipped: {len(ZOO) - len(EMBEDDED)} models of the zoo whose weights are not in an installed package")
    for name in EMBEDDED:
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


def control_textures(**options):
    """Print the controls of ``it_maps_textures_simulated``, or of the same with other options."""
    recording, truth = simulate_textures(**options)
    print(recording.identifier)
    describe(recording)
    centre = np.broadcast_to(truth.centre, truth.shared.shape)
    for name, part in {"shared": truth.shared, "private": truth.private, "centre": centre}.items():
        share = variance_over_positions(part) / variance_over_positions(recording.maps)
        print(f"{name} signal: {share.mean():.2f} of the variance of a map, mean over sites")
    print(f"reliability of a site: {truth.reliability.min():.2f} to {truth.reliability.max():.2f}")
    typical = np.stack([np.delete(recording.maps, i, axis=0).mean(axis=0) for i in range(len(recording.maps))])
    print(f"mean map of the other images: raw {neural_predictivity(typical, recording.maps).score:.3f}")
    print(f"shared signal of each site: raw {neural_predictivity(truth.shared, recording.maps).score:.3f}")
    show_with_truth("regression on the shared signals", score_features(truth.shared, recording), truth)
    show_with_truth("efficientnet_lite0", score("efficientnet_lite0", recording), truth)
    untrained = [score("efficientnet_lite0", recording, weights="random", seed=seed) for seed in range(5)]
    for seed, result in enumerate(untrained):
        show_with_truth(f"efficientnet_lite0, random weights, seed {seed}", result, truth)
    print(f"random weights, mean of the five: {np.mean([result.score for result in untrained]):.3f}")


def show_with_truth(name, result, truth):
    """Print a score with its interval and parts, and how well the prediction agrees with the shared signal."""
    agreement = neural_predictivity(result.arrays[0].predicted, truth.shared).score
    show(name, result)
    print(f"  raw {result.raw:.3f}, ceiling {result.ceiling:.3f}; with the shared signal: r {agreement:.3f}")


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
