"""A result as Brain-Score's score object."""

from collections.abc import Sequence

import numpy as np
from brainscore_core.metrics import Score
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.result import EXPLAINED, ArrayResult, Result
from brainscore_itmaps.bridge.metrics import score_of_maps
from brainscore_itmaps.metrics.predictivity import over_images

SiteValues = tuple[str, Sequence[str], Sequence[str], NDArray[np.float64]]


def to_score(result: Result) -> Score:
    """Turn a result into Brain-Score's score: ceiled, with ``raw``, ``ceiling`` and ``error`` beside it.

    ``raw`` is a scalar, whose own ``raw`` holds a value for each image and site. ``per_array`` is a score over arrays;
    ``per_image`` (in the measure of the benchmark), ``per_site`` (Pearson r), ``per_layer``, ``maps``, ``windows`` and
    ``hashes`` are dicts by array.
    """
    raw, arrays = Score(result.raw), result.arrays
    raw.attrs["raw"] = site_values([(array.recording, array.images, array.sites, array.site_r) for array in arrays])
    score = Score(result.score)
    score.attrs |= {
        "raw": raw,
        "ceiling": Score(result.ceiling),
        "error": result.error,
        "error_over": ["image"],
        "interval": result.interval,
        "formula": result.formula,
        "explained": result.explained,
        "explained_formula": EXPLAINED,
        "measure": result.measure,
        "alignment": result.alignment,
        "layer": result.layer,
        "weights": str(result.weights),
        "weights_sha256": result.weights_sha256,
        "simulated": result.simulated,
        "field_of_view": result.field_of_view,
        "notes": list(result.notes),
        "per_array": _per_array(arrays),
        "per_image": {array.recording: _per_image(array) for array in arrays},
        "per_site": {array.recording: _per_site(array, result.measure) for array in arrays},
        "per_layer": {array.recording: {layer.layer: layer.raw for layer in array.layers} for array in arrays},
        "layer_of_image": {array.recording: list(array.layer_of_image) for array in arrays},
        "maps": {array.recording: {"predicted": array.predicted, "neural": array.neural} for array in arrays},
        "windows": {array.recording: array.window for array in arrays},
        "hashes": {array.recording: array.recording_sha256 for array in arrays},
        "bootstrap_seed": result.request.seed,
        "versions": dict(result.versions),
    }
    return score


def site_values(arrays: Sequence[SiteValues]) -> Score:
    """One value an image and site; of several arrays, NaN where a site was not shown an image.

    Parameters
    ----------
    arrays : sequence of (name, names of images, names of sites, array of shape (image, site))
    """
    images = list(dict.fromkeys(image for _, shown, _, _ in arrays for image in shown))
    sites = [(name, site) for name, _, named, _ in arrays for site in named]
    values = np.full((len(images), len(sites)), np.nan)
    start = 0
    for _, shown, named, each in arrays:
        values[[images.index(image) for image in shown], start : start + len(named)] = each
        start += len(named)
    neuroid = {
        "neuroid_id": ("neuroid", [site for _, site in sites]),
        "region": ("neuroid", ["IT"] * len(sites)),
        "recording": ("neuroid", [name for name, _ in sites]),
    }
    return score_of_maps(values, images, neuroid)


def _per_array(arrays: Sequence[ArrayResult]) -> Score:
    coords = {
        "recording": ("array", [array.recording for array in arrays]),
        **{
            name: ("array", [getattr(array, name) for array in arrays])
            for name in ("raw", "ceiling", "explained", "error")
        },
    }
    return Score([array.score for array in arrays], coords=coords, dims=["array"])


def _per_image(array: ArrayResult) -> Score:
    coords = {"image_id": ("image", list(array.images)), "ceiling": ("image", array.image_ceiling)}
    return Score(array.image_value, coords=coords, dims=["image"])


def _per_site(array: ArrayResult, measure: str) -> Score:
    sites = list(array.sites)
    coords = {"neuroid_id": ("neuroid", sites), "neuroid_number": ("neuroid", list(range(len(sites))))}
    if measure == "predictivity":  # else the ceiling is of another number than r
        coords["ceiling"] = ("neuroid", over_images(array.site_ceiling))
    return Score(over_images(array.site_r), coords=coords, dims=["neuroid"])
