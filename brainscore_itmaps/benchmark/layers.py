"""Scores of layers on left-out images, and the choice of a layer by nested cross-validation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec, fixation_benchmarks
from brainscore_itmaps.benchmark.estimate import IntervalKind
from brainscore_itmaps.benchmark.expected import announce, expected_work
from brainscore_itmaps.benchmark.folds import folds_of
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.errors import NoMapError
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.alignment import COARSE, feature_alignment
from brainscore_itmaps.metrics.folds import (
    FittedFolds,
    device_of_fits,
    fit_left_out,
    groups_left_out,
    pairs_of_groups,
    refitted,
    remembered,
)
from brainscore_itmaps.metrics.nulls import paired_values
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.metrics.rows import Enlarged
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import Protocol
from brainscore_itmaps.text import short_repr
from brainscore_itmaps.threads import in_threads

BOUND = 1 + 1e-9
KEPT = 1 << 29
"""Number of bytes of features that are kept in memory for a comparison with controls."""
LARGE = 20_000
"""Most positions of all images for which several layers are scored at the same time."""


@short_repr
@dataclass(frozen=True, eq=False)
class FeatureScore:
    """Scores of the features of one layer on the recorded maps of left-out images.

    Attributes
    ----------
    image_r : array, shape (image,)
        Median over sites.
    site_r : array, shape (image, site)
        Pearson r over positions; NaN where a map is constant or missing.
    map_rho, map_rho_coarse : array, shape (image,)
        Feature alignment: Spearman rho of the maps averaged over sites, at the full grid, and averaged over tiles of
        about 4 x 4 positions.
    components : array, shape (image,)
        PLS components used when that image was left out.
    predicted : array, shape (image, y, x, site)
        In the units of the maps; without the intercept in the published protocol.
    penalty : array, shape (image,), or None
        Penalty of the ridge regression when that image was left out; None for other regressions.
    refit_r, refit_rho : array, shape (group, image), or None
        Entry (g, i) is ``image_r`` or ``map_rho`` of image i, from a regression that was fitted without the group g of
        images and without the group of i; NaN for the images of g. A layer is chosen by these values, and intervals
        use them.
    paired_r, paired_rho : array, shape (image, image), or None
        Entry (i, j) compares the maps predicted for image i with those recorded for image j, see
        :func:`~brainscore_itmaps.metrics.nulls.paired_values`.
    """

    image_r: NDArray[np.float64]
    site_r: NDArray[np.float64]
    map_rho: NDArray[np.float64]
    map_rho_coarse: NDArray[np.float64]
    components: NDArray[np.int64]
    predicted: NDArray[np.floating[Any]]
    penalty: NDArray[np.float64] | None = None
    refit_r: NDArray[np.float64] | None = None
    refit_rho: NDArray[np.float64] | None = None
    paired_r: NDArray[np.float64] | None = None
    paired_rho: NDArray[np.float64] | None = None

    @property
    def score(self) -> float:
        """Compute neural predictivity, the mean of ``image_r`` over images, not divided by the noise ceiling."""
        return float(self.image_r.mean())

    @property
    def undefined(self) -> int:
        """Count the values of ``site_r`` that are NaN."""
        return int(np.isnan(self.site_r).sum())


@short_repr
class ScoredLayers(NamedTuple):
    """The scores of a model's layers on recordings that share images and positions.

    Attributes
    ----------
    scores : list of dict of layer to FeatureScore
        One dict for each recording.
    keys : list of dict of layer to dict
        What identifies each score in the cache, one dict for each recording.
    read : callable
        Takes layers; returns the features of each. Features that were read to compute the scores are not read again if
        they take little memory, or are those of a single layer.
    """

    scores: list[dict[str, FeatureScore]]
    keys: list[dict[str, dict[str, Any]]]
    read: Callable[[Sequence[str]], dict[str, LayerFeatures]]


def expected_score(recording: Recording, groups: int | None = None) -> dict[str, Expected]:
    """Return the type, shape and range that the arrays of a cached :class:`FeatureScore` must have."""
    images, _, _, sites = shape = recording.maps.shape

    def correlation(*shape: int, optional: bool = False) -> Expected:
        return Expected(shape, undefined=True, low=-BOUND, high=BOUND, optional=optional)

    return {
        "image_r": correlation(images),
        "site_r": correlation(images, sites),
        "map_rho": correlation(images),
        "map_rho_coarse": correlation(images),
        "components": Expected((images,), "iu", low=0),
        "predicted": Expected(shape),
        "penalty": Expected((images,), undefined=True, low=0, optional=True),
        "refit_r": correlation(groups or -1, images, optional=groups is None),
        "refit_rho": correlation(groups or -1, images, optional=groups is None),
        "paired_r": correlation(images, images, optional=groups is None),
        "paired_rho": correlation(images, images, optional=groups is None),
    }


def score_layers(
    source: Source,
    recordings: Sequence[Recording],
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    cache: ResultCache,
    progress: Report,
    interval: IntervalKind = "groups",
    components: int | None = None,
) -> ScoredLayers:
    """Score every layer on recordings that share images and positions; read only layers that are not cached.

    Parameters
    ----------
    source : Source
    recordings : sequence of Recording
    benchmark : BenchmarkSpec
    protocol : Protocol
    cache : ResultCache
    progress : callable
        Called with (step, steps done, steps in all).
    interval : "groups", "images" or "fixed"
        Groups of images without which the regressions are fitted again; "fixed" fits them again only to choose one of
        several layers.
    components : int, optional
        Number of PLS components; by default that of the protocol.

    Returns
    -------
    ScoredLayers

    Raises
    ------
    DataError
        When there are fewer than 3 different images, or fewer than 4 and one of several layers must be chosen.
    """
    folds, device = folds_of(recordings[0], protocol), device_of_fits(source.reading.device)
    features = {} if source.content is not None else read_layers(source, recordings[0], (), benchmark, cache, progress)
    contents = {layer: source.content or features[layer].content for layer in features or source.layers}
    groups = folds.refitted(interval)
    if len(contents) > 1 and protocol.choose_layer == "left_out":
        groups = groups or folds.count("groups")
        pairs_of_groups(folds.numbers, groups)  # raises an error if there are too few images
    hashes = [recording_content(recording) for recording in recordings]
    fitted = {} if components in (None, protocol.components) else {"components": components}
    recorded = [recording.maps for recording in recordings]
    parts = {
        (layer, number): dict(
            model=content + source.read_as.get(layer, ""),
            layer=layer,
            recording=hashes[number],
            method=benchmark.method,
            view=benchmark.view,
            groups=groups,  # further folds change the matrix products of a layer, and so its rounding errors
            protocol=protocol.name,
            **folds.key,
            **fitted,
        )
        for layer, content in contents.items()
        for number in range(len(recordings))
    }
    keys = {name: key_of(**part) for name, part in parts.items()}
    kept: dict[str, LayerFeatures] = {}

    def compute(missing: list[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
        layers = list(dict.fromkeys(layer for layer, _ in missing))
        unscored = features or read_layers(source, recordings[0], layers, benchmark, cache, progress)
        announce_layers(len(layers), unscored[layers[0]], recordings, groups)
        for layer in layers:
            read = unscored[layer]
            if len(contents) == 1 or read.values.nbytes + sum(other.values.nbytes for other in kept.values()) < KEPT:
                kept[layer] = read

        def scored(layer: str, report: Report) -> tuple[str, list[FeatureScore]]:
            read = unscored.pop(layer)
            field = read.compact(recordings[0].grid)
            del read
            step = f"layer {layers.index(layer) + 1} of {len(layers)}, {layer}"
            step = step if len(layers) > 1 else "predicting left-out images"
            return layer, score_field(field, recorded, benchmark.method, protocol, groups,
                                      lambda done, total: report(step, done, total),
                                      folds.numbers, folds.left_out, components=components, device=device)  # fmt: skip

        results = in_threads(scored, layers, progress, alone=is_large(recordings[0]) or bool(device))
        for count, (layer, scores) in enumerate(results, 1):
            yield from (((layer, number), vars(score)) for number, score in enumerate(scores)
                        if (layer, number) in missing)  # fmt: skip
            if len(layers) > 1:
                progress("scoring layers", count, len(layers))

    expected = {name: expected_score(recordings[name[1]], groups) for name in keys}
    entries = cache.computed_all(keys, compute, expected, progress)

    def read_again(layers: Sequence[str]) -> dict[str, LayerFeatures]:
        if missing := [layer for layer in layers if layer not in kept]:
            kept.update(read_layers(source, recordings[0], missing, benchmark, cache, progress))
        return {layer: kept[layer] for layer in layers}

    of_recordings = range(len(recordings))
    return ScoredLayers(
        [{layer: FeatureScore(**entries[layer, number]) for layer in contents} for number in of_recordings],
        [{layer: parts[layer, number] for layer in contents} for number in of_recordings],
        read_again,
    )


def is_large(recording: Recording) -> bool:
    """Return whether regressions on a recording take so much memory that they are fitted one after the other.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> is_large(load_recording("it_maps_simulated"))
    False
    """
    return recording.maps[..., 0].size > LARGE


def announce_layers(layers: int, first: LayerFeatures, recordings: Sequence[Recording], groups: int | None) -> None:
    """Announce the work of scoring layers, as far as the first tells; see :func:`~.expected.announce`."""
    images, positions = len(recordings[0].images), recordings[0].grid.y.size * recordings[0].grid.x.size
    sites = [len(recording.sites) for recording in recordings]
    work = expected_work(images, positions, [first.values.shape[-1]] * layers, sites, groups or 0)
    counted = f"{layers} layers" if layers > 1 else "The regressions"
    announce(work, f"{counted} on {images} images, {positions} positions and {sum(sites)} sites")


def score_field(
    field: NDArray[np.floating[Any]] | Enlarged,
    maps: Sequence[NDArray[np.floating[Any]]],
    method: str,
    protocol: Protocol,
    groups: int | None,
    progress: Any,
    images: NDArray[np.int64] | None = None,
    folds: NDArray[np.bool_] | None = None,
    components: int | None = None,
    device: str = "",
) -> list[FeatureScore]:
    """Score a layer on several arrays in one pass.

    Parameters
    ----------
    field : array, shape (image, y, x, channel), or Enlarged
    maps : sequence of arrays, shape (image, y, x, site)
        Recorded maps of each array, for the same images; a separate regression is fitted to each array.
    method : str
        Regression of the benchmark.
    protocol : Protocol
    groups : int or None
        Number of groups of images; each image is also scored by regressions fitted without a further group.
    progress : callable
        Called with (steps done, steps in all).
    images, folds
        As in :func:`~brainscore_itmaps.metrics.folds.fit_left_out`.
    components : int, optional
        Number of PLS components; by default that of the protocol.
    device : str
        Device of the regressions, as in :func:`~brainscore_itmaps.metrics.folds.fit_folds`.

    Returns
    -------
    list of FeatureScore
        One for each array.

    Examples
    --------
    >>> from brainscore_itmaps.progress import uncounted
    >>> from brainscore_itmaps.protocol import OURS
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(4, 5, 7, 3))
    >>> maps = field @ rng.normal(size=(3, 2))
    >>> (score,) = score_field(field, [maps], "pls", OURS, groups=None, progress=uncounted)
    >>> round(score.score, 3), score.site_r.shape
    (1.0, (4, 2))
    """
    options: dict[str, Any] = {"intercept": protocol.intercept, "progress": progress, "device": device}
    options["components"] = components or protocol.components
    left_out, pairs = fit_left_out(field, maps, protocol.solver(method), groups, images, folds, **options)
    return score_fits(left_out, pairs, maps, protocol)


def score_fits(
    left_out: FittedFolds,
    pairs: FittedFolds | None,
    maps: Sequence[NDArray[np.floating[Any]]],
    protocol: Protocol,
    paired: bool = True,
) -> list[FeatureScore]:
    """Compare the predictions of fitted regressions with the recorded maps of each array.

    Parameters
    ----------
    left_out, pairs : FittedFolds
        From :func:`~brainscore_itmaps.metrics.folds.fit_left_out`.
    maps, protocol
        As in :func:`score_field`.
    paired : bool
        Whether predictions are compared with the maps of other images, too.

    Returns
    -------
    list of FeatureScore
        One for each array.
    """
    scores = []
    for number, recorded in enumerate(maps):
        refits: dict[str, Any] = {}
        if pairs is not None:
            predictions = remembered(pairs, number)

            def measures(*pair: NDArray[Any]) -> NDArray[np.float64]:
                pair = in_precision(protocol, *pair)
                image_r = neural_predictivity(*pair, protocol=protocol).image_r
                return np.stack([image_r, feature_alignment(*pair, protocol=protocol)], axis=1)

            both = refitted(predictions, recorded, measures, set=number)
            refits = {"refit_r": both[..., 0].copy(), "refit_rho": both[..., 1].copy()}
            if paired:
                names = {"paired_r": "predictivity", "paired_rho": "alignment"}
                refits |= {name: paired_values(predictions, recorded, measure, protocol, number)
                           for name, measure in names.items()}  # fmt: skip
        penalty = None if left_out.penalty is None else left_out.per_image(left_out.penalty[number])
        predicted, used = left_out.predicted[number], left_out.per_image(left_out.components[number])
        scores.append(score_predictions(predicted, recorded, protocol, used, penalty, **refits))
    return scores


def score_predictions(
    predicted: NDArray[np.float64],
    maps: NDArray[Any],
    protocol: Protocol,
    components: NDArray[np.int64],
    penalty: NDArray[np.float64] | None = None,
    **refits: NDArray[np.float64],
) -> FeatureScore:
    """Compare the predictions of left-out images with the recorded maps.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    protocol : Protocol
    components : array, shape (image,)
        PLS components used when that image was left out.
    penalty : array, shape (image,), or None
        Penalty of a ridge regression.
    **refits : arrays
        ``refit_r``, ``refit_rho``, ``paired_r`` and ``paired_rho`` of :class:`FeatureScore`.

    Examples
    --------
    >>> from brainscore_itmaps.protocol import OURS
    >>> maps = np.random.default_rng(0).normal(size=(3, 5, 7, 2))
    >>> score = score_predictions(2 * maps + 1, maps, OURS, components=np.array([25, 25, 25]))
    >>> score.image_r.round(6)
    array([1., 1., 1.])
    """
    predicted, maps = in_precision(protocol, predicted, maps)
    predictivity = neural_predictivity(predicted, maps, protocol=protocol)
    rho, rho_coarse = (feature_alignment(predicted, maps, scale=scale, protocol=protocol) for scale in (1, COARSE))
    return FeatureScore(
        predictivity.image_r, predictivity.site_r, rho, rho_coarse, components, predicted, penalty, **refits
    )


def in_precision(
    protocol: Protocol, predicted: NDArray[np.float64], maps: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convert predictions to the precision of the protocol, and maps to double precision unless it is single.

    Examples
    --------
    >>> from brainscore_itmaps.protocol import OURS
    >>> [values.dtype.name for values in in_precision(OURS, np.zeros(3), np.zeros(3, np.float32))]
    ['float64', 'float64']
    """
    maps = maps.astype(np.float64, copy=False) if protocol.precision == "float64" else maps
    return predicted.astype(protocol.precision, copy=False), maps


def read_layers(
    source: Source,
    recording: Recording,
    layers: Sequence[str],
    benchmark: BenchmarkSpec,
    cache: ResultCache,
    progress: Report,
) -> dict[str, LayerFeatures]:
    """Read layers, by default all of the source; the error of a layer without a map names a benchmark that scores it.

    Raises
    ------
    NoMapError
        When a layer gives no map.
    """
    try:
        return source.read(recording, layers or source.layers, cache, progress)
    except NoMapError as error:
        others = " or ".join(fixation_benchmarks(benchmark))
        if not others:
            raise
        fix = f"{error.fix[:-1]}; or score the model on {others}, which shows each position at the centre of its view."
        raise NoMapError(error.args[0], fix) from error


def chosen_layers(
    refits: Mapping[str, NDArray[np.float64]], numbers: NDArray[np.int64] | None = None
) -> tuple[str, ...]:
    """Choose for each image the layer with the best mean over the other images; the first one if several are equal.

    Parameters
    ----------
    refits : dict of layer to array, shape (group, image)
        From :func:`~brainscore_itmaps.metrics.folds.refitted`: an image's row is that of its group, whose values are of
        regressions that were not fitted to it. NaN is ignored.
    numbers : array of int, shape (image,), optional
        Identical images have the same number, as in :class:`~brainscore_itmaps.benchmark.folds.ImageFolds`; by default,
        all images are different.

    Returns
    -------
    tuple of str
        A layer for each image.

    Examples
    --------
    >>> shallow = np.array([[np.nan, 0.1, 0.1], [0.8, np.nan, 0.1], [0.8, 0.1, np.nan]])
    >>> deep = np.array([[np.nan, 0.3, 0.3], [0.2, np.nan, 0.3], [0.2, 0.3, np.nan]])
    >>> chosen_layers({"layer1": shallow, "layer4": deep})
    ('layer4', 'layer1', 'layer1')
    """
    names = list(refits)
    stacked = np.stack([refits[name] for name in names])  # (layer, group, image)
    defined = ~np.isnan(stacked)
    means = np.where(defined, stacked, 0).sum(axis=2) / np.maximum(defined.sum(axis=2), 1)
    best = np.where(defined.any(axis=2), means, -np.inf).argmax(axis=0)  # (group,)
    groups, images = stacked.shape[1:]
    group_of = groups_left_out(images if numbers is None else numbers, groups).argmax(axis=0)
    return tuple(names[best[group]] for group in group_of)
