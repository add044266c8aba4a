"""Our benchmarks as Brain-Score benchmarks."""

from functools import cached_property
from typing import Any

import numpy as np
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, BenchmarkSpec
from brainscore_itmaps.benchmark.evaluate import WHOLE_PICTURE, ceiling_of, evaluate_features
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.bridge.metrics import score_of_maps
from brainscore_itmaps.data.assembly import assembly, stimulus_set
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.layout import spatial_maps
from brainscore_itmaps.features.record import refuse_not_finite
from brainscore_itmaps.metrics.predictivity import over_sites
from brainscore_itmaps.models.load import Network
from brainscore_itmaps.progress import Report, silent


def get_benchmark(identifier: str) -> "ItMapsBenchmark":
    """Give Brain-Score a benchmark of the catalogue."""
    return ItMapsBenchmark(CATALOGUE[identifier])


def get_assembly(recording: str) -> DataAssembly:
    """Give Brain-Score a recording."""
    return assembly(load_recording(recording))


def get_stimulus_set(recording: str) -> Any:
    """Give Brain-Score the pictures of a recording."""
    return stimulus_set(load_recording(recording))


class ItMapsBenchmark(BenchmarkBase):  # type: ignore[misc]
    """Predict the maps of a recording from the IT layer of any Brain-Score model.

    Every picture is shown at the model's full field of view, as published; it is not cut to the 8 degrees that most
    models are registered with. Our networks see it whole; what a model of Brain-Score's makes of it is up to its own
    preprocessing. The score says which in ``attrs['field_of_view']``.
    """

    def __init__(self, spec: BenchmarkSpec, recording: Recording | None = None) -> None:
        super().__init__(
            identifier=spec.identifier,
            ceiling_func=self._take_ceiling,
            version=spec.version,
            parent="IT",
            bibtex=spec.citation,
        )
        self.spec = spec
        self.region = "IT"
        self.given = recording

    @cached_property
    def recording(self) -> Recording:
        """The recording, loaded when it is first needed."""
        return self.given or load_recording(self.spec.recording)

    @property
    def ceiling(self) -> Score:
        """Noise ceiling; computed anew, where Brain-Score would keep one on disk whatever changed."""
        return self._take_ceiling()

    def __call__(self, candidate: BrainModel) -> Score:
        """Score a model: ceiled neural predictivity, with what it was made from in ``attrs``."""
        return to_score(self.evaluate(candidate))

    def evaluate(self, candidate: BrainModel, reference_compat: bool = False, progress: Report = silent) -> Result:
        """Score a model and give the whole result.

        Raises
        ------
        ModelError
            When the model's IT layer gives no usable map.
        """
        stimuli = stimulus_set(self.recording)
        stimuli.identifier = None  # not cached: Brain-Score's cache knows names, not weights or preprocessing
        candidate.start_recording("IT", time_bins=[self.recording.window])
        looked = candidate.look_at(stimuli, number_of_trials=1)
        order = {image: number for number, image in enumerate(looked["stimulus_id"].values)}
        looked = looked.isel(presentation=[order[name] for name in self.recording.names])
        layers = np.unique(looked["layer"].values) if hasattr(looked, "layer") else ["unknown"]
        layer = ", ".join(str(name) for name in layers)
        if len(layers) > 1:
            raise ModelError(
                f"{candidate.identifier} commits {len(layers)} layers to IT ({layer}).",
                "Commit one layer: units of several layers do not share a map.",
            )
        activation = activation_from_assembly(looked)
        refuse_not_finite(activation, layer, self.recording.names)
        network: Network | None = getattr(candidate, "itmaps_network", None)
        prefix = getattr(network.module, "num_prefix_tokens", None) if network else None
        reading = Reading(
            model=candidate.identifier,
            weights=network.weights if network else "as Brain-Score loads it",
            weights_sha256=network.sha256 if network else None,
            imagenet_top1=network.top1 if network else None,
            imagenet_top1_source=network.top1_source if network else None,
            layer=layer,
            field_of_view=WHOLE_PICTURE if network else "what the model's own preprocessing leaves of each picture",
        )
        maps = spatial_maps(activation, layer, prefix)
        return evaluate_features(
            maps, self.recording, reading, self.spec, reference_compat=reference_compat, progress=progress
        )

    def _take_ceiling(self) -> Score:
        kind, site_ceiling = ceiling_of(self.recording)
        score = Score(over_sites(site_ceiling).mean())
        score.attrs["kind"] = kind
        score.attrs["raw"] = _per_site(site_ceiling, self.recording.names, self.recording.sites)
        return score


def activation_from_assembly(looked: DataAssembly) -> NDArray[np.floating[Any]]:
    """Rebuild a layer's activation from the coordinates of what a model looked at.

    Brain-Score flattens each activation and names the places of every unit: ``channel``, ``channel_x`` (which counts
    rows) and ``channel_y`` (columns) for layers of four axes, ``channel`` (which counts tokens) and ``embedding`` for
    three, and only ``channel`` for two.

    Returns
    -------
    array, shape (image, ...) as the layer gave it
    """
    looked = looked.transpose("presentation", "neuroid")
    tokens = _counted(looked, "embedding") is not None
    names = ("channel", "embedding") if tokens else ("channel", "channel_x", "channel_y")
    places = [_counted(looked, name) for name in names]
    sizes = [place.max() + 1 for place in places if place is not None]
    if not sizes or np.prod(sizes) != looked.sizes["neuroid"]:
        sizes = [looked.sizes["neuroid"]]
    values: NDArray[np.floating[Any]] = looked.values.reshape(looked.sizes["presentation"], *sizes)
    return values


def _counted(looked: DataAssembly, name: str) -> NDArray[np.int64] | None:
    try:
        values = looked[name].values
    except KeyError:
        return None
    if values.dtype.kind == "f" and np.isnan(values).all():
        return None
    return values.astype(np.int64)  # type: ignore[no-any-return]


def to_score(result: Result) -> Score:
    """Turn a result into Brain-Score's score: ceiled, with ``raw``, ``ceiling`` and ``error`` beside it."""
    raw = Score(result.raw)
    raw.attrs["raw"] = _per_site(result.site_r, result.images, result.sites)
    score = Score(result.score)
    score.attrs |= {
        "raw": raw,
        "ceiling": Score(result.ceiling),
        "error": result.error,
        "error_over": ["image"],
        "interval": result.interval,
        "alignment": result.alignment,
        "layer": result.layer,
        "weights": result.weights,
        "weights_sha256": result.weights_sha256,
        "recording_sha256": result.recording_sha256,
        "simulated": result.simulated,
        "field_of_view": result.field_of_view,
        "formula": result.formula,
    }
    return score


def _per_site(values: NDArray[np.float64], images: tuple[str, ...], sites: tuple[str, ...]) -> Score:
    neuroid = {"neuroid_id": ("neuroid", list(sites)), "region": ("neuroid", ["IT"] * len(sites))}
    return score_of_maps(values, images, neuroid)
