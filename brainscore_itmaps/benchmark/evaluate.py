"""The straight line: record, to_grid, predict_left_out, Result."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.arrays import score_features
from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.result import FORMULA, PUBLISHED_FORMULA, Reading, Result
from brainscore_itmaps.data.pictures import PUBLISHED_SIZE
from brainscore_itmaps.data.recording import Recording, constant_maps
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.features.record import published_input, record
from brainscore_itmaps.metrics.ceiling import reference_ceiling, site_ceiling, split_half_ceiling
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.metrics.predictivity import over_sites
from brainscore_itmaps.models.load import Network
from brainscore_itmaps.progress import Report, silent

WHOLE_PICTURE = "each picture fills the network's whole input"
SPLIT_HALF = "split-half over repeats, Spearman-Brown corrected, square root"
SITES = "each site predicted from the other sites, by the same regression over the same left-out images"
REFERENCE = "as published: the best pair of sites of each image, row by row; bounds nothing"


def evaluate(
    network: Network,
    recording: Recording,
    benchmark: BenchmarkSpec,
    layer: str | None = None,
    seed: int = 0,
    reference_compat: bool = False,
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
    reference_compat : bool
        Make every choice of the published code, its preprocessing included (docs/reference.md).
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    ModelError
        When no layer is committed or the layer gives no usable map.
    DataError
        When the recording cannot be scored: fewer than 3 pictures, or neither repeats nor sites to take a ceiling from.
    """
    layer = layer or network.spec.layers.get("IT")
    if layer is None:
        raise ModelError(
            f"No layer of {network.name} is committed to IT, and none could be chosen from its description.",
            "Name one with --layer.",
        )
    if reference_compat and network.spec.size != PUBLISHED_SIZE:
        raise ModelError(
            f"{network.name} takes pictures of {network.spec.size} pixels; the published code shows {PUBLISHED_SIZE}.",
            "Choose a network of that size, or leave out reference_compat.",
        )
    features = record(
        network,
        recording.images,
        [layer],
        preprocess=published_input if reference_compat else None,
        progress=lambda done, total: progress("recording features", done, total),
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
    return evaluate_features(
        features[layer],
        recording,
        reading,
        benchmark,
        seed=seed,
        reference_compat=reference_compat,
        progress=progress,
    )


def evaluate_features(
    features: NDArray[np.floating[Any]],
    recording: Recording,
    reading: Reading,
    benchmark: BenchmarkSpec,
    seed: int = 0,
    reference_compat: bool = False,
    progress: Report = silent,
) -> Result:
    """Score feature maps that were already recorded, from whichever entrance.

    Parameters
    ----------
    features : array, shape (image, channel, height, width)
        In the order of ``recording.images``.
    recording, benchmark, seed, reference_compat, progress
        As in :func:`evaluate`.
    reading : Reading
        Where the features come from.

    Raises
    ------
    ModelError
        When the prediction for a picture is constant at every site.
    DataError
        When the recording cannot be scored, or its maps of a picture are all constant.
    """
    scored = score_features(
        np.moveaxis(features, 1, -1),
        recording.maps,
        reference_compat=reference_compat,
        grid=recording.grid,
        progress=lambda done, total: progress("predicting left-out images", done, total),
    )
    ceiling_kind, site_r_ceiling = ceiling_of(recording, reference_compat, np.random.default_rng(seed), progress)
    image_ceiling = over_sites(site_r_ceiling)
    _refuse_undefined(scored.image_r, image_ceiling, recording, reading, reference_compat)
    low, high, error = bootstrap_over_images(_ceiled, scored.image_r, image_ceiling, rng=np.random.default_rng(seed))
    return Result(
        **vars(reading),
        benchmark=benchmark.identifier,
        benchmark_version=benchmark.version,
        recording=recording.identifier,
        recording_sha256=recording.sha256,
        simulated=recording.simulated,
        score=float(_ceiled(scored.image_r, image_ceiling)),
        interval=(low, high),
        error=error,
        raw=scored.score,
        ceiling=float(image_ceiling.mean()),
        alignment=float(scored.map_rho.mean()),
        image_r=scored.image_r,
        image_ceiling=image_ceiling,
        map_rho=scored.map_rho,
        map_rho_coarse=scored.map_rho_coarse,
        site_r=scored.site_r,
        site_ceiling=site_r_ceiling,
        components=scored.components,
        predicted=scored.predicted,
        neural=recording.maps,
        degrees_y=recording.grid.y,
        degrees_x=recording.grid.x,
        images=recording.names,
        sites=recording.sites,
        window=recording.window,
        ceiling_kind=ceiling_kind,
        formula=PUBLISHED_FORMULA if reference_compat else FORMULA,
        reference_compat=reference_compat,
        citation=recording.citation,
        bootstrap_seed=seed,
    )


def ceiling_of(
    recording: Recording,
    reference_compat: bool = False,
    rng: np.random.Generator | None = None,
    progress: Report = silent,
) -> tuple[str, NDArray[np.float64]]:
    """Take the noise ceiling of a recording: from its repeats where it keeps several, else from its other sites.

    Returns
    -------
    str
        Which one, in words.
    array, shape (image, site)
        The ceiling of each map; of the published one, that of each image.

    Raises
    ------
    ArrayError
        When there are neither repeats nor two sites.
    """
    if reference_compat:
        return REFERENCE, np.repeat(reference_ceiling(recording.maps)[:, None], len(recording.sites), axis=1)
    if recording.repeats is not None and recording.repeats.shape[1] > 1:
        return SPLIT_HALF, split_half_ceiling(recording.repeats, rng)
    return SITES, site_ceiling(recording.maps, progress=progress)


def _ceiled(raw: NDArray[np.float64], ceiling: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = raw.mean(axis=axis) / ceiling.mean(axis=axis)
    return ratio


def _refuse_undefined(
    image_r: NDArray[np.float64],
    image_ceiling: NDArray[np.float64],
    recording: Recording,
    reading: Reading,
    reference_compat: bool,
) -> None:
    names = np.array(recording.names)
    if reference_compat and (maps := constant_maps(recording)):
        named = ", ".join(f"{site} on {image}" for site, image in maps[:4])
        raise DataError(
            f"{recording.identifier}: {len(maps)} maps are constant ({named}); the published code gives no score then.",
            "Leave out reference_compat, or these sites.",
        )
    if (constant := names[np.isnan(image_ceiling)]).size:
        raise DataError(
            f"{recording.identifier}: every site's map is constant on {', '.join(constant)}: "
            "a correlation with it is undefined.",
            "Leave these pictures out of the recording.",
        )
    if not image_ceiling.mean() > 0:
        raise DataError(
            f"The noise ceiling of {recording.identifier} is {image_ceiling.mean():.3f}: its maps agree in nothing.",
            "No score can be divided by it; check the window and the sites of the recording.",
        )
    if (undefined := names[np.isnan(image_r)]).size:
        raise ModelError(
            f"The layer {reading.layer!r} of {reading.model} predicts a constant map on {', '.join(undefined)}: "
            "a correlation with it is undefined.",
            "Choose a layer whose activation varies over the picture.",
        )
