"""Present the benchmarks of this package to Brain-Score, and convert results to Brain-Score's scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.ceilings import ceiling_of, ceiling_text, missing_ceiling
from brainscore_itmaps.benchmark.estimate import EXPLAINED, Estimate, mean_ceiling
from brainscore_itmaps.benchmark.evaluate import image_identities
from brainscore_itmaps.benchmark.formulas import notes_of
from brainscore_itmaps.benchmark.maps import benchmark_of
from brainscore_itmaps.benchmark.pairs import pairs_of
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.benchmark.similarity import similarity_or_maps
from brainscore_itmaps.bridge.assembly import assembly, stimulus_set
from brainscore_itmaps.bridge.candidate import BrainScoreModel, request_of
from brainscore_itmaps.bridge.metrics import score_of_maps
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.osie import region_of
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.metrics.predictivity import over_images


def get_benchmark(identifier: str) -> "ItMapsBenchmark":
    """Return a benchmark of the catalogue for Brain-Score.

    Examples
    --------
    >>> benchmark = get_benchmark("it_maps_simulated")
    >>> benchmark.identifier, benchmark.version, benchmark.parent
    ('it_maps_simulated', 2, 'IT')
    """
    return ItMapsBenchmark(CATALOGUE[identifier])


def get_assembly(recording: str) -> DataAssembly:
    """Load a recording as an assembly for Brain-Score.

    Examples
    --------
    >>> get_assembly("it_maps_simulated").dims
    ('presentation', 'neuroid', 'time_bin')
    """
    return assembly(load_recording(recording))


def get_stimulus_set(recording: str) -> Any:
    """Load the images of a recording as a stimulus set for Brain-Score.

    Examples
    --------
    >>> len(get_stimulus_set("it_maps_simulated"))
    14
    """
    return stimulus_set(load_recording(recording))


class ItMapsBenchmark(BenchmarkBase):  # type: ignore[misc]
    """Prediction of the maps of one or several arrays from the IT layer of any Brain-Score model.

    Every image fills the model's field of view, as published. It is not cropped to the 8 degrees with which most
    models are registered, except by benchmarks with ``screen`` or ``fixation`` in their names. Models of this package
    receive the whole image; models of Brain-Score apply their own preprocessing. ``attrs['field_of_view']`` of the
    score says which.

    Parameters
    ----------
    spec : BenchmarkSpec
        Definition of the benchmark.
    recordings : list of Recording, optional
        Recordings of its arrays. By default they are loaded on first use.
    """

    def __init__(self, spec: BenchmarkSpec, recordings: list[Recording] | None = None) -> None:
        super().__init__(
            identifier=spec.identifier,
            ceiling_func=self._mean_ceiling,
            version=spec.version,
            parent=spec.parent,
            bibtex=spec.citation,
        )
        self.maps = similarity_or_maps(benchmark_of(spec, recordings or ()))
        self.region = "IT"

    @cached_property
    def recordings(self) -> list[Recording]:
        """Load the recordings on first use."""
        return list(self.maps.recordings(ScoreRequest()))

    @cached_property
    def _assembly(self) -> DataAssembly:
        """Return the assembly of the first array, for Brain-Score's tools that describe a benchmark."""
        return assembly(self.recordings[0])

    @property
    def timebins(self) -> list[tuple[int, int]]:
        """Return the window of each array, in milliseconds."""
        return [recording.window for recording in self.recordings]

    @property
    def ceiling(self) -> Score:
        """Compute the noise ceiling each time, because Brain-Score's cache on disk ignores changes of the data."""
        return self._mean_ceiling()

    def __call__(self, candidate: BrainModel) -> Score:
        """Score a model and return the ceiled score, with details in ``attrs``."""
        return to_score(self.evaluate(candidate))

    def evaluate(self, candidate: BrainModel, cache: ResultCache | None = None) -> Result:
        """Score a model and return the complete result.

        Raises
        ------
        ModelError
            When the model's IT layer gives no usable map.
        """
        benchmark = replace(self.maps, preloaded=tuple(self.recordings))
        request = ScoreRequest(request_of(candidate), self.identifier)
        return benchmark.score(BrainScoreModel(candidate), request, cache or default_cache())

    def _mean_ceiling(self) -> Score:
        """Average the noise ceilings of the arrays over all positions, even if models see only some of them."""
        cache = default_cache()
        spec = self.maps.spec
        missing = (
            [pair.without_score(spec) for pair in pairs_of(self.recordings)]
            if spec.transfer
            else [missing_ceiling(recording, spec) for recording in self.recordings]
        )
        if reasons := list(dict.fromkeys(filter(None, missing))):
            score = Score(np.nan)
            score.attrs["reason"] = "; ".join(reasons)
            score.attrs |= error_attributes(np.nan, score.attrs["reason"])
            return score
        ceilings = [ceiling_of(recording, spec, cache) for recording in self.recordings]
        mean = mean_ceiling(ceilings, image_identities(self.recordings))
        score = Score(mean.score)
        score.attrs["kind"] = ceiling_text(self.recordings[0], spec)
        score.attrs["reason"] = "; ".join(dict.fromkeys(ceiling.reason for ceiling in ceilings if ceiling.reason))
        score.attrs |= error_attributes(mean.error, score.attrs["reason"] or mean.reason)
        score.attrs["raw"] = site_values(
            [
                (recording.identifier, recording.names, recording.sites, ceiling.of_sites(len(recording.sites)))
                for recording, ceiling in zip(self.recordings, ceilings, strict=True)
            ]
        )
        return score


NO_ERROR = "the interval over images is undefined"
SiteValues = tuple[str, Sequence[str], Sequence[str], NDArray[np.float64]]


def to_score(result: Result) -> Score:
    """Convert a result to Brain-Score's score: ceiled, with ``raw``, ``ceiling`` and ``error`` as attributes.

    An absent score is NaN, and ``reason`` says why. ``experimental`` is a sentence if the measure is attribution.
    ``raw`` is a scalar, whose own ``raw`` holds a value for each image and site. ``per_array`` is a score over arrays;
    ``per_image`` (in the measure of the benchmark), ``per_site`` (Pearson r), ``per_layer``, ``maps``, ``windows`` and
    ``hashes`` are dicts by array. ``controls`` and ``added`` are dicts of dicts with ``raw``, ``score``, ``low`` and
    ``high``; they are empty without controls, and ``p_value`` is then NaN.
    """
    raw, arrays = Score(result.raw), result.arrays
    raw.attrs["raw"] = site_values([(array.recording, array.images, array.sites, array.site_r) for array in arrays])
    score = Score(result.score)
    score.attrs |= {
        "raw": raw,
        "ceiling": Score(result.ceiling),
        **error_attributes(result.error, result.estimate.reason),
        "interval": result.interval,
        "interval_kind": result.estimate.about_interval,
        "formula": result.formula,
        "folds": {array.recording: array.folds for array in arrays},
        "explained": result.explained,
        "explained_formula": EXPLAINED,
        "measure": result.measure,
        "alignment": result.alignment,
        "layer": result.layer,
        "weights": str(result.weights),
        "weights_sha256": result.weights_sha256,
        "simulated": result.simulated,
        "field_of_view": result.field_of_view,
        "experimental": result.experimental,
        "reason": result.estimate.reason,
        "notes": list(notes_of(result)),
        "per_array": _per_array(arrays),
        "per_image": {array.recording: _per_image(array) for array in arrays},
        "per_site": {array.recording: _per_site(array, result.measure) for array in arrays},
        "per_layer": {array.recording: {layer.layer: layer.raw for layer in array.layers} for array in arrays},
        "layer_of_image": {array.recording: list(array.layer_of_image) for array in arrays},
        "maps": {array.recording: {"predicted": array.predicted, "neural": array.neural} for array in arrays},
        "windows": {array.recording: array.window for array in arrays},
        "hashes": {array.recording: array.recording_sha256 for array in arrays},
        "controls": plain_estimates(result.controls),
        "added": plain_estimates(result.added),
        "best_control": result.best_control,
        "p_value": float(result.p_value),
        "ceiling_seed": result.request.seed,
        "versions": dict(result.versions),
    }
    return score


def error_attributes(error: float, reason: str) -> dict[str, Any]:
    """Return the attributes with which Brain-Score's scores state their standard error, or why they have none.

    Examples
    --------
    >>> error_attributes(0.125, "")
    {'error': 0.125, 'error_over': ['image']}
    >>> error_attributes(float("nan"), "there are no repeats")
    {'error': nan, 'error_over': ['image'], 'error_nan_reason': 'there are no repeats'}
    """
    missing = {} if np.isfinite(error) else {"error_nan_reason": reason or NO_ERROR}
    return {"error": float(error), "error_over": ["image"], **missing}


def site_values(arrays: Sequence[SiteValues]) -> Score:
    """Collect one value per image and site of several arrays; NaN where an array was not shown an image.

    Parameters
    ----------
    arrays : sequence of (name, names of images, names of sites, array of shape (image, site))
        Values of each array.

    Returns
    -------
    Score, shape (image, site)
        Values of all sites for the images of all arrays.

    Examples
    --------
    >>> site_values([("a", ["x", "y"], ["1"], np.ones((2, 1))), ("b", ["y"], ["1", "2"], np.zeros((1, 2)))]).values
    array([[ 1., nan, nan],
           [ 1.,  0.,  0.]])
    """
    images = list(dict.fromkeys(image for _, array_images, _, _ in arrays for image in array_images))
    sites = [(name, site) for name, _, array_sites, _ in arrays for site in array_sites]
    values = np.full((len(images), len(sites)), np.nan)
    start = 0
    for _, array_images, array_sites, array_values in arrays:
        rows = [images.index(image) for image in array_images]
        values[rows, start : start + len(array_sites)] = array_values
        start += len(array_sites)
    neuroid = {
        "neuroid_id": ("neuroid", [site for _, site in sites]),
        "region": ("neuroid", [region_of(name) for name, _ in sites]),
        "recording": ("neuroid", [name for name, _ in sites]),
    }
    return score_of_maps(values, images, neuroid)


def plain_estimates(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    """Convert estimates to plain numbers by name: ``raw``, ``score`` and the ends of its interval.

    Examples
    --------
    >>> plain_estimates({"centre": Estimate(0.25, 0.5, 0.5, (0.25, 0.75))})
    {'centre': {'raw': 0.25, 'score': 0.5, 'low': 0.25, 'high': 0.75}}
    """
    return {
        name: dict(
            zip(("raw", "score", "low", "high"), map(float, (each.raw, each.score, *each.interval)), strict=True)
        )
        for name, each in estimates.items()
    }


def _per_array(arrays: Sequence[ArrayResult]) -> Score:
    coords = {
        "recording": ("array", [array.recording for array in arrays]),
        **{
            name: ("array", [getattr(array, name) for array in arrays])
            for name in ("raw", "ceiling", "explained", "error")
        },
        "low": ("array", [array.interval[0] for array in arrays]),
        "high": ("array", [array.interval[1] for array in arrays]),
        "window": ("array", [f"{array.window[0]}-{array.window[1]}" for array in arrays]),
        "reason": ("array", [array.estimate.reason for array in arrays]),
    }
    return Score([array.score for array in arrays], coords=coords, dims=["array"])


def _per_image(array: ArrayResult) -> Score:
    coords = {"image_id": ("image", list(array.images)), "ceiling": ("image", array.image_ceiling)}
    return Score(array.image_value, coords=coords, dims=["image"])


def _per_site(array: ArrayResult, measure: str) -> Score:
    sites = list(array.sites)
    coords = {"neuroid_id": ("neuroid", sites), "neuroid_number": ("neuroid", list(range(len(sites))))}
    if measure == "predictivity":  # other benchmarks have ceilings of another measure than r
        coords["ceiling"] = ("neuroid", over_images(array.site_ceiling))
    return Score(over_images(array.site_r), coords=coords, dims=["neuroid"])
