"""A result to draw, and what is made of it."""

from dataclasses import replace
from functools import cache

import numpy as np
from scipy.stats import pearsonr, spearmanr

from brainscore_itmaps import load_model, load_recording, score


@cache
def scored():
    """A small model with random weights on the simulated recording, two layers."""
    return score(load_model("timm:test_resnet", "random", seed=1), layers=["layer2", "layer3"], fresh=True)


@cache
def images():
    return load_recording("it_maps_simulated").images


def changed(scored, **given):
    """Replace fields of a result, including fields of its estimate, reading and request."""
    if "label" in given:
        given["window"] = given.pop("label") or None
    for name in ("estimate", "reading", "request"):
        part = getattr(scored, name, None)
        own = {key: given.pop(key) for key in list(given) if hasattr(part, key) and key not in vars(scored)}
        if own:
            given[name] = replace(part, **own)
    return replace(scored, **given)


def narrow(array):
    """Another array: every second column, the first five sites; no two lengths are the same."""
    columns, sites = slice(None, None, 2), slice(0, 5)
    predicted, neural = array.predicted[:, :, columns, sites], array.neural[:, :, columns, sites]
    flat = [maps.reshape(len(maps), -1, maps.shape[-1]) for maps in (predicted, neural)]
    means = zip(flat[0].mean(axis=-1), flat[1].mean(axis=-1), strict=True)
    return replace(
        array,
        recording="narrow",
        simulated=False,
        map_rho=np.array([spearmanr(*pair).statistic for pair in means]),
        site_r=pearsonr(*flat, axis=1).statistic,
        site_ceiling=array.site_ceiling[:, sites],
        predicted=predicted,
        neural=neural,
        degrees_x=array.degrees_x[columns],
        sites=array.sites[sites],
    )


UNRELIABLE = "the noise ceiling is not reliable"


def without_score(result):
    """The same result with raw values and noise ceilings alone, and the reason."""
    absent = {"score": np.nan, "interval": (np.nan, np.nan), "error": np.nan, "explained": np.nan, "replicates": None}
    absent |= {"groups": (), "interval_kind": "", "reason": UNRELIABLE}
    return changed(result, arrays=tuple(changed(array, **absent) for array in result.arrays), **absent)


def two_arrays():
    result = scored()
    return replace(result, arrays=(result.arrays[0], narrow(result.arrays[0])))
