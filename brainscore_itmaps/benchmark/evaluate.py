"""The straight line: record, to_grid, predict_left_out, Result."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.features.grid import to_grid
from brainscore_itmaps.features.record import record
from brainscore_itmaps.metrics.alignment import feature_alignment, neural_predictivity, site_correlation
from brainscore_itmaps.metrics.ceiling import split_half_ceiling
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.metrics.pls import predict_left_out
from brainscore_itmaps.models.load import Network
from brainscore_itmaps.progress import Report, silent

WHOLE_PICTURE = "each picture fills the network's whole input"


def evaluate(
    network: Network,
    recording: Recording,
    benchmark: BenchmarkSpec,
    layer: str | None = None,
    seed: int = 0,
    progress: Report = silent,
) -> Result:
    """Score how well one layer of a network predicts the recorded maps, image by image.

    Parameters
    ----------
    network : Network
        From :func:`brainscore_itmaps.load_model`.
    recording : Recording
        From :func:`brainscore_itmaps.load_recording`.
    benchmark : BenchmarkSpec
        Named in the result.
    layer : str, optional
        The layer committed to IT by default.
    seed : int
        Of the bootstrap over images.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    ModelError
        When no layer is committed or the layer gives no usable map.
    DataError
        When the recording has no repeats to take a ceiling from.
    """
    layer = layer or network.spec.layers.get("IT")
    if layer is None:
        raise ModelError(
            f"No layer of {network.name} is committed to IT, and none could be chosen from its description.",
            "Name one with --layer.",
        )
    features = record(
        network, recording.images, [layer], progress=lambda done, total: progress("recording features", done, total)
    )
    reading = Reading(
        model=network.name,
        weights=network.weights,
        weights_sha256=network.sha256,
        imagenet_top1=network.top1,
        imagenet_top1_source=network.top1_source,
        layer=layer,
        field_of_view=WHOLE_PICTURE,
    )
    return evaluate_features(features[layer], recording, reading, benchmark, seed=seed, progress=progress)


def evaluate_features(
    features: NDArray[np.floating[Any]],
    recording: Recording,
    reading: Reading,
    benchmark: BenchmarkSpec,
    seed: int = 0,
    progress: Report = silent,
) -> Result:
    """Score feature maps that were already recorded, from whichever entrance.

    Parameters
    ----------
    features : array, shape (image, channel, height, width)
        In the order of ``recording.images``.
    recording, benchmark, seed, progress
        As in :func:`evaluate`.
    reading : Reading
        Where the features come from.

    Raises
    ------
    ModelError
        When the prediction for a picture is constant at every site.
    DataError
        When the recording has no repeats to take a ceiling from, or its maps of a picture are all constant.
    """
    if recording.repeats is None:
        raise DataError(
            f"{recording.identifier} keeps no repeats, so its noise ceiling cannot be taken by splitting them.",
            "Use a recording with repeats.",
        )
    field = to_grid(features, recording.grid)
    left_out = predict_left_out(
        field, recording.maps, progress=lambda done, total: progress("predicting left-out images", done, total)
    )
    site_r = site_correlation(left_out.predicted, recording.maps)
    image_r = neural_predictivity(site_r)
    site_ceiling = split_half_ceiling(recording.repeats)
    image_ceiling = neural_predictivity(site_ceiling)
    _refuse_undefined(image_r, image_ceiling, recording, reading)
    map_rho = feature_alignment(left_out.predicted, recording.maps)
    low, high, error = bootstrap_over_images(_ceiled, image_r, image_ceiling, rng=np.random.default_rng(seed))
    return Result(
        **vars(reading),
        benchmark=benchmark.identifier,
        benchmark_version=benchmark.version,
        recording=recording.identifier,
        recording_sha256=recording.sha256,
        simulated=recording.simulated,
        score=float(_ceiled(image_r, image_ceiling)),
        interval=(low, high),
        error=error,
        raw=float(image_r.mean()),
        ceiling=float(image_ceiling.mean()),
        alignment=float(map_rho.mean()),
        image_r=image_r,
        image_ceiling=image_ceiling,
        map_rho=map_rho,
        site_r=site_r,
        site_ceiling=site_ceiling,
        components=left_out.components,
        predicted=left_out.predicted,
        neural=recording.maps,
        degrees=np.stack([recording.grid.y, recording.grid.x]),
        images=recording.names,
        sites=recording.sites,
        window=recording.window,
        ceiling_kind="split-half over repeats, Spearman-Brown corrected, square root",
        citation=recording.citation,
        bootstrap_seed=seed,
    )


def _ceiled(raw: NDArray[np.float64], ceiling: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = raw.mean(axis=axis) / ceiling.mean(axis=axis)
    return ratio


def _refuse_undefined(
    image_r: NDArray[np.float64], image_ceiling: NDArray[np.float64], recording: Recording, reading: Reading
) -> None:
    names = np.array(recording.names)
    if (constant := names[np.isnan(image_ceiling)]).size:
        raise DataError(
            f"{recording.identifier}: every site's map is constant on {', '.join(constant)}: "
            "a correlation with it is undefined.",
            "Leave these pictures out of the recording.",
        )
    if (undefined := names[np.isnan(image_r)]).size:
        raise ModelError(
            f"The layer {reading.layer!r} of {reading.model} predicts a constant map on {', '.join(undefined)}: "
            "a correlation with it is undefined.",
            "Choose a layer whose activation varies over the picture.",
        )
