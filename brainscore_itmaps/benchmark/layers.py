"""Scores of layers on left-out images, and the choice of a layer by nested cross-validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec, fixation_benchmarks
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.recording import Recording, recording_content
from brainscore_itmaps.errors import ArrayError, NoMapError
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.metrics.alignment import COARSE, feature_alignment
from brainscore_itmaps.metrics.folds import FittedFolds, fit_folds, leave_one_out, pairs_of_groups
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import Protocol

BOUND = 1 + 1e-9


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
    nested_r, nested_rho : array, shape (image, image), or None
        Entry (i, j) is ``image_r`` or ``map_rho`` of image j, from a regression fitted without i and j; a layer is
        chosen by these values. None where there is one layer.
    """

    image_r: NDArray[np.float64]
    site_r: NDArray[np.float64]
    map_rho: NDArray[np.float64]
    map_rho_coarse: NDArray[np.float64]
    components: NDArray[np.int64]
    predicted: NDArray[np.floating[Any]]
    penalty: NDArray[np.float64] | None = None
    nested_r: NDArray[np.float64] | None = None
    nested_rho: NDArray[np.float64] | None = None

    @property
    def score(self) -> float:
        """Compute neural predictivity, the mean of ``image_r`` over images, not divided by the noise ceiling."""
        return float(self.image_r.mean())

    @property
    def undefined(self) -> int:
        """Count the values of ``site_r`` that are NaN."""
        return int(np.isnan(self.site_r).sum())


def expected_score(recording: Recording, nested: bool = False) -> dict[str, Expected]:
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
        "nested_r": correlation(images, images, optional=not nested),
        "nested_rho": correlation(images, images, optional=not nested),
    }


def score_layers(
    source: Source,
    recordings: Sequence[Recording],
    benchmark: BenchmarkSpec,
    protocol: Protocol,
    cache: ResultCache,
    progress: Report,
) -> list[dict[str, FeatureScore]]:
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

    Returns
    -------
    list of dict of layer to FeatureScore
        One dict for each recording.
    """
    features = {} if source.content is not None else _read(source, recordings[0], (), benchmark, cache, progress)
    contents = {layer: source.content or features[layer].content for layer in features or source.layers}
    nested = len(contents) > 1 and protocol.choose_layer == "left_out"
    hashes = [recording_content(recording) for recording in recordings]
    recorded = [recording.maps for recording in recordings]
    keys = {
        (layer, number): key_of(
            model=content,
            layer=layer,
            recording=hashes[number],
            method=benchmark.method,
            view=benchmark.view,
            nested=nested,  # nested folds change the matrix products of a layer, and so its rounding errors
            protocol=protocol.name,
        )
        for layer, content in contents.items()
        for number in range(len(recordings))
    }

    def compute(missing: list[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
        layers = list(dict.fromkeys(layer for layer, _ in missing))
        unscored = features or _read(source, recordings[0], layers, benchmark, cache, progress)
        for count, layer in enumerate(layers, 1):
            field = unscored.pop(layer).field(recordings[0].grid)
            step = f"layer {count} of {len(layers)}, {layer}" if len(layers) > 1 else "predicting left-out images"
            scores = score_field(field, recorded, benchmark.method, protocol, nested,
                                 lambda done, total, step=step: progress(step, done, total))  # fmt: skip
            yield from (((layer, number), vars(score)) for number, score in enumerate(scores)
                        if (layer, number) in missing)  # fmt: skip

    expected = {name: expected_score(recordings[name[1]], nested) for name in keys}
    entries = cache.computed_all(keys, compute, expected, progress)
    return [{layer: FeatureScore(**entries[layer, number]) for layer in contents} for number in range(len(recordings))]


def score_field(
    field: NDArray[np.floating[Any]],
    maps: Sequence[NDArray[np.floating[Any]]],
    method: str,
    protocol: Protocol,
    nested: bool,
    progress: Any,
) -> list[FeatureScore]:
    """Score a layer on several arrays in one pass.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : sequence of arrays, shape (image, y, x, site)
        Recorded maps of each array, for the same images; a separate regression is fitted to each array.
    method : str
        Regression of the benchmark.
    protocol : Protocol
    nested : bool
        Also score each image by PLS regressions that leave out pairs of groups, for the choice of a layer.
    progress : callable
        Called with (steps done, steps in all).

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
    >>> (score,) = score_field(field, [maps], "pls", OURS, nested=False, progress=uncounted)
    >>> round(score.score, 3), score.site_r.shape
    (1.0, (4, 2))
    """
    solver, single = protocol.solver(method), leave_one_out(len(field))
    options: dict[str, Any] = {"components": protocol.components, "intercept": protocol.intercept, "progress": progress}
    pairs = None
    if nested and solver == "pls":
        fitted = fit_folds(field, maps, np.concatenate([single, pairs_of_groups(len(field))]), solver, **options)
        left_out, pairs = fitted.select(slice(len(single))), fitted.select(slice(len(single), None))
    else:
        if nested:
            pairs = fit_folds(field, maps, pairs_of_groups(len(field)), progress=progress)
        left_out = fit_folds(field, maps, single, solver, **options)
    scores = []
    for number, recorded in enumerate(maps):
        nested_scores: dict[str, Any] = {}
        if pairs is not None:
            nested_scores = {
                name: nested_cv_scores(pairs, recorded, measure, set=number)
                for name, measure in (("nested_r", "predictivity"), ("nested_rho", "alignment"))
            }
        penalty = None if left_out.penalty is None else left_out.penalty[number]
        predicted, components = left_out.predicted[number], left_out.components[number]
        scores.append(score_predictions(predicted, recorded, protocol, components, penalty, **nested_scores))
    return scores


def score_predictions(
    predicted: NDArray[np.float64],
    maps: NDArray[Any],
    protocol: Protocol,
    components: NDArray[np.int64],
    penalty: NDArray[np.float64] | None = None,
    **nested: NDArray[np.float64],
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
    **nested : array, shape (image, image)
        ``nested_r`` and ``nested_rho`` of :class:`FeatureScore`.

    Examples
    --------
    >>> from brainscore_itmaps.protocol import OURS
    >>> maps = np.random.default_rng(0).normal(size=(3, 5, 7, 2))
    >>> score = score_predictions(2 * maps + 1, maps, OURS, components=np.array([25, 25, 25]))
    >>> score.image_r.round(6)
    array([1., 1., 1.])
    """
    predicted = predicted.astype(protocol.precision, copy=False)
    maps = maps.astype(np.float64, copy=False) if protocol.precision == "float64" else maps
    predictivity = neural_predictivity(predicted, maps, protocol=protocol)
    rho, rho_coarse = (feature_alignment(predicted, maps, scale=scale, protocol=protocol) for scale in (1, COARSE))
    return FeatureScore(
        predictivity.image_r, predictivity.site_r, rho, rho_coarse, components, predicted, penalty, **nested
    )


def _read(
    source: Source,
    recording: Recording,
    layers: Sequence[str],
    benchmark: BenchmarkSpec,
    cache: ResultCache,
    progress: Report,
) -> dict[str, LayerFeatures]:
    try:
        return source.read(recording, layers or source.layers, cache, progress)
    except NoMapError as error:
        others = " or ".join(fixation_benchmarks(benchmark))
        if not others:
            raise
        fix = f"{error.fix[:-1]}; or score the model on {others}, which shows each position at the centre of its view."
        raise NoMapError(error.args[0], fix) from error


def nested_cv_scores(
    fitted: FittedFolds, maps: NDArray[np.float64], measure: str = "predictivity", set: int = 0
) -> NDArray[np.float64]:
    """Compute nested cross-validation scores of a layer for each pair of a left-out image and a training image.

    The regression without the groups of images i and j predicts j where i is left out, and i where j is left out.

    Parameters
    ----------
    fitted : FittedFolds
        Regressions fitted to the folds of :func:`~brainscore_itmaps.metrics.folds.pairs_of_groups`.
    maps : array, shape (image, y, x, site)
    measure : str
        "alignment": Spearman rho of the maps averaged over sites; anything else: median over sites of Pearson r.
    set : int
        Index of the set of maps, where the regressions were fitted to several.

    Returns
    -------
    array, shape (image, image)
        Entry (i, j) is the value of image j, predicted by a regression fitted without i and j. NaN where both are
        in one group.

    Raises
    ------
    ArrayError
        When ``fitted`` has other folds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> field = rng.normal(size=(4, 5, 6, 3))
    >>> maps = field @ rng.normal(size=(3, 2))
    >>> fitted = fit_folds(field, maps, pairs_of_groups(4))
    >>> nested_cv_scores(fitted, maps).round(3)
    array([[nan,  1.,  1.,  1.],
           [ 1., nan,  1.,  1.],
           [ 1.,  1., nan,  1.],
           [ 1.,  1.,  1., nan]])
    """
    images, folds = len(maps), fitted.folds.astype(int)
    same = (folds[:, :, None] == folds[:, None]).all(axis=0)  # (image, image), True within a group
    if folds.shape[1] != images or ((folds.T @ folds)[~same] != 1).any():
        raise ArrayError(
            f"These folds do not leave out every two groups of the {images} images once.",
            "Fit the folds that pairs_of_groups returns.",
        )
    values = np.full((images, images), np.nan)
    for fold, left_out in enumerate(fitted.folds):
        predicted, recorded = fitted.of(fold, set), maps[left_out]
        fold_values = np.full(images, np.nan)
        if measure == "alignment":
            fold_values[left_out] = feature_alignment(predicted, recorded)
        else:
            fold_values[left_out] = neural_predictivity(predicted, recorded).image_r
        pairs = np.outer(left_out, left_out) & ~same
        values[pairs] = np.broadcast_to(fold_values, pairs.shape)[pairs]
    return values


def chosen_layers(nested_scores: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Choose for each image the layer with the best mean over the other images; the first one if several are equal.

    Parameters
    ----------
    nested_scores : dict of layer to array, shape (image, image)
        From :func:`nested_cv_scores`; NaN is ignored.

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
    names = list(nested_scores)
    stacked = np.stack([nested_scores[name] for name in names])  # (layer, left-out image, image)
    defined = ~np.isnan(stacked)
    means = np.where(defined, stacked, 0).sum(axis=2) / np.maximum(defined.sum(axis=2), 1)
    best = np.where(defined.any(axis=2), means, -np.inf).argmax(axis=0)
    return tuple(names[number] for number in best)
