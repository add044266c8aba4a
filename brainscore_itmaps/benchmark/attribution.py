"""Attribution maps, meant to show where in an image a predicted response comes from, and their controls.

Attribution is experimental: see :data:`brainscore_itmaps.benchmark.catalogue.EXPERIMENTAL`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.folds import folds_of
from brainscore_itmaps.benchmark.result import Saliency
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.attribution import attribution_maps
from brainscore_itmaps.features.places import layer_readings
from brainscore_itmaps.features.record import record_at_grid
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import fit_folds
from brainscore_itmaps.models.model import Model, untrained
from brainscore_itmaps.progress import Report, silent


def attribute(
    model: Model, recording: Recording, layer_of_image: Sequence[str], method: str, progress: Report = silent
) -> Saliency:
    """Compute attribution maps of a model and of the same architecture with random weights.

    Parameters
    ----------
    model : Model
    recording : Recording
    layer_of_image : sequence of str
        Layer that predicts each image.
    method : str
        Attribution method of :func:`~brainscore_itmaps.features.attribution.attribution_maps`.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Saliency
        The maps, shape (image, y, x), and for each image Spearman rho of its attribution map, of nearness to the
        image's centre and of the attribution map with random weights, with the recorded map averaged over sites. The
        last is NaN for a module of a user that cannot be re-initialised, and for a layer whose units show no places
        with random weights; ``missing`` says why.
    """
    progress("computing attribution maps", 0, 2)
    maps = _compute_maps(model, recording, layer_of_image, method)
    progress("computing attribution maps with random weights", 1, 2)
    weights = model.weights
    missing, random_rho = "", np.full(len(recording.images), np.nan)
    try:
        random = untrained(model, seed=1 if weights.kind == "random" and weights.seed == 0 else 0)
        layer_readings(random, dict.fromkeys(layer_of_image))
    except ModelError as error:
        missing = f"the control with random weights was left out: {error.args[0]}"
    else:
        random_rho = _rho(_compute_maps(random, recording, layer_of_image, method), recording)
    nearness = -np.hypot(recording.grid.y[:, None], recording.grid.x)
    centre = np.repeat(nearness[None], len(recording.images), axis=0)
    rho, centre_rho = (_rho(saliency, recording) for saliency in (maps, centre))
    return Saliency(maps, rho, centre_rho, random_rho, method, missing)


def _compute_maps(
    model: Model, recording: Recording, layer_of_image: Sequence[str], method: str
) -> NDArray[np.float64]:
    """Compute the attribution map of each image from the regression that was fitted without that image."""
    layers = list(dict.fromkeys(layer_of_image))
    readings = layer_readings(model, layers)
    features = record_at_grid(model, recording.images, layers, recording.grid, readings=readings)
    folds = folds_of(recording).left_out
    weights = {
        layer: fit_folds(features[layer].field(recording.grid), recording.maps, folds).coefficients().mean(axis=-1)
        for layer in layers
    }
    left_out = [weights[layer][fold] for fold, layer in zip(folds.argmax(axis=0), layer_of_image, strict=True)]
    return attribution_maps(model, recording.images, layer_of_image, left_out, recording.grid, method)


def _rho(maps: NDArray[np.float64], recording: Recording) -> NDArray[np.float64]:
    return feature_alignment(maps[..., None], recording.maps.mean(axis=-1, keepdims=True))
