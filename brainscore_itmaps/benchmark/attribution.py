"""Attribution maps of the predicted response to positions of the image, and their controls."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.result import Saliency
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.features.attribution import attribution_maps
from brainscore_itmaps.features.record import record_at_grid
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out
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
        Of :func:`~brainscore_itmaps.features.attribution.attribution_maps`.
    progress : callable
        Called with (step, steps done, steps in all).
    """
    progress("attributing", 0, 2)
    maps = _attributed(model, recording, layer_of_image, method)
    progress("attributing, with random weights", 1, 2)
    weights = model.weights
    random = untrained(model, seed=1 if weights.kind == "random" and weights.seed == 0 else 0)
    control = _attributed(random, recording, layer_of_image, method)
    nearness = -np.hypot(recording.grid.y[:, None], recording.grid.x)
    centre = np.repeat(nearness[None], len(recording.images), axis=0)
    rho, random_rho, centre_rho = (_rho(given, recording) for given in (maps, control, centre))
    return Saliency(maps, rho, centre_rho, random_rho, method)


def _attributed(model: Model, recording: Recording, layer_of_image: Sequence[str], method: str) -> NDArray[np.float64]:
    """Attribute each image by the regression that was fitted without it."""
    layers = list(dict.fromkeys(layer_of_image))
    features = record_at_grid(model, recording.images, layers, recording.grid)
    folds = leave_one_out(len(recording.images))
    weights = {
        layer: fit_folds(features[layer].field(recording.grid), recording.maps, folds).coefficients().mean(axis=-1)
        for layer in layers
    }
    own = [weights[layer][image] for image, layer in enumerate(layer_of_image)]
    return attribution_maps(model, recording.images, layer_of_image, own, recording.grid, method)


def _rho(maps: NDArray[np.float64], recording: Recording) -> NDArray[np.float64]:
    return feature_alignment(maps[..., None], recording.maps.mean(axis=-1, keepdims=True))
