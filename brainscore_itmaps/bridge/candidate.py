"""Read layers of any model through Brain-Score's interface, without its pip installs and progress bars."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
from brainscore_vision.model_interface import BrainModel
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.attribution import attribute
from brainscore_itmaps.benchmark.catalogue import View
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.benchmark.source import ALL, FIELDS_OF_VIEW, LoadedModel, Source
from brainscore_itmaps.bridge.assembly import stimulus_set
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.images import read_image
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ItMapsError, ModelError, NoMapError, UsageError, nearest, one_line
from brainscore_itmaps.features.grid import LayerFeatures, downsample_if_larger, side_by_side
from brainscore_itmaps.features.record import check_finite
from brainscore_itmaps.features.views import at_centre, fixated
from brainscore_itmaps.models.layers import Layout, spatial_maps
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.spec import ModelRequest, Weights
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import OURS, Protocol

Features = dict[str, LayerFeatures]
OWN_PREPROCESSING = "what the model's own preprocessing leaves of "


@dataclass(frozen=True)
class BrainScoreModel:
    """A model of Brain-Score; see :class:`~brainscore_itmaps.benchmark.source.LoadedModel`.

    Its ``spatial_layout``, if it has one, says how layers are laid out: ``NCHW``, ``NHWC`` or ``("tokens", leading
    tokens)``, for all layers, or in a dict by layer or by region.
    """

    candidate: BrainModel
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the identifier of the model."""
        return str(self.candidate.identifier)

    @property
    def visual_degrees(self) -> float:
        """Return the width of the field of view in degrees."""
        return float(self.candidate.visual_degrees())

    @property
    def torch_model(self) -> Model | None:
        """Return the torch model if it was loaded by this package, else None."""
        return getattr(self.candidate, "itmaps_model", None)

    def source(self, layers: Sequence[str] = (), view: View = "whole", protocol: Protocol = OURS) -> Source:
        """Return a reader of the layer that the model commits to IT, or of layers committed one after the other.

        Units of several layers that a model commits to IT are put side by side at the grid: Brain-Score takes them for
        one layer.

        Parameters
        ----------
        layers : sequence of str
            For each to be committed to IT in turn, for this reading only; "all" those of the model's own list that
            give a map.
        view : "whole", "screen" or "fixation"
            How images are shown.
        protocol : Protocol
            Says how a layer gives one value per grid position; the model keeps its own preprocessing.

        Raises
        ------
        UsageError
            When layers are asked of a model that has no map from regions to layers.
        """
        candidate, model = self.candidate, self.torch_model
        asked = _asked(candidate, layers) if layers else None
        answers = partial(_centres_of if view == "fixation" else _maps_of, candidate, model, protocol)

        def read(recording: Recording, wanted: Sequence[str], cache: ResultCache, progress: Report) -> Features:
            if asked is None:
                answered = answers(recording, progress)
                if len(answered) == 1:
                    return answered
                return {", ".join(answered): side_by_side(list(answered.values()), recording.grid)}
            features: Features = {}
            for layer in asked:
                try:
                    with _committed(candidate, layer):
                        features |= answers(recording, progress)
                except NoMapError:
                    if tuple(layers) != ALL or (layer == asked[-1] and not features):
                        raise
            return features

        seen = FIELDS_OF_VIEW[view].format(degrees=self.visual_degrees)
        reading = Reading(model=self.name, weights=Weights("external"), field_of_view=OWN_PREPROCESSING + seen,
                          device="as Brain-Score chooses")  # fmt: skip
        if model is not None:
            reading = replace(
                reading,
                weights=model.weights,
                imagenet_top1=model.top1,
                imagenet_top1_source=model.top1_source,
                field_of_view=seen,
                device=str(next(model.module.parameters()).device),
            )
        return Source(reading, (), None, read, None if model is None else partial(attribute, model))


def request_of(candidate: BrainModel) -> ModelRequest:
    """Return the request that loads a model again; as it was loaded, if this package loaded it."""
    model: Model | None = getattr(candidate, "itmaps_model", None)
    return model.request if model is not None else ModelRequest(str(candidate.identifier), Weights("external"))


def as_candidate(model: LoadedModel) -> BrainModel:
    """Wrap a loaded model in Brain-Score's interface."""
    if isinstance(model, BrainScoreModel):
        return model.candidate
    from brainscore_itmaps.bridge.models import brain_model

    assert model.torch_model is not None
    return brain_model(model.torch_model)


def _maps_of(
    candidate: BrainModel, model: Model | None, protocol: Protocol, recording: Recording, progress: Report
) -> Features:
    progress("recording features", 0, 1)
    looked = _look(candidate, _shown(recording), recording.names, recording.window)
    features = {}
    for layer, activation in looked.items():
        check_finite(activation, layer, recording.names)
        maps = spatial_maps(activation, layer, _leading_tokens(model), _layout(candidate, layer))
        features[layer] = downsample_if_larger(maps, recording.grid, protocol)
    return features


def _centres_of(
    candidate: BrainModel, model: Model | None, protocol: Protocol, recording: Recording, progress: Report
) -> Features:
    rows, columns = len(recording.grid.y), len(recording.grid.x)
    images: dict[str, list[NDArray[np.float64]]] = {}
    for done, image in enumerate(recording.images):
        with tempfile.TemporaryDirectory() as folder:
            stimuli, names = _fixations(image, recording, candidate.visual_degrees(), Path(folder))
            looked = _look(candidate, stimuli, names, recording.window)
        for layer, activation in looked.items():
            check_finite(activation, layer, names)
            centre = at_centre(activation, layer, _leading_tokens(model), _layout(candidate, layer))
            images.setdefault(layer, []).append(centre.reshape(rows, columns, -1))
        progress("recording features at each position", done + 1, len(recording.images))
    return {layer: LayerFeatures(np.stack(parts), at_grid=True) for layer, parts in images.items()}


def _leading_tokens(model: Model | None) -> int | None:
    return None if model is None else getattr(model.module, "num_prefix_tokens", None)


def _asked(candidate: BrainModel, layers: Sequence[str]) -> list[str]:
    if not isinstance(_mapping(candidate), dict):
        raise UsageError(
            f"{candidate.identifier} has no map from regions to layers that could be changed.", "Leave out --layers."
        )
    return list(candidate.layers if tuple(layers) == ALL else layers)


def _mapping(candidate: BrainModel) -> Any:
    return getattr(getattr(candidate, "layer_model", None), "region_layer_map", None)


@contextmanager
def _committed(candidate: BrainModel, layer: str) -> Iterator[None]:
    mapping = _mapping(candidate)
    before = mapping.get("IT")
    mapping["IT"] = layer
    try:
        yield
    except ItMapsError:
        raise
    except Exception as error:  # each kind of model has its own word for a layer that it lacks
        raise ModelError(
            f"{candidate.identifier} does not answer from a layer {layer!r}: {one_line(error)}.",
            nearest(layer, candidate.layers),
        ) from error
    finally:
        if before is None:
            del mapping["IT"]
        else:
            mapping["IT"] = before


def _shown(recording: Recording) -> StimulusSet:
    stimuli = stimulus_set(recording)
    stimuli.identifier = None  # not cached: Brain-Score's cache knows names, not weights or preprocessing
    return stimuli


def _fixations(image: Path, recording: Recording, degrees: float, folder: Path) -> tuple[StimulusSet, tuple[str, ...]]:
    """Write one image file per position, with that position at the centre of view, without compression."""
    names = []
    for number, view in enumerate(fixated(read_image(image), recording.grid, degrees)):
        names.append(f"{image.stem}-{number:04d}")
        view.save(folder / f"{names[-1]}.bmp")
    stimuli = StimulusSet([{"stimulus_id": name, "image_id": name} for name in names])
    stimuli.stimulus_paths = {name: folder / f"{name}.bmp" for name in names}
    stimuli.identifier = None
    return stimuli, tuple(names)


def _look(
    candidate: BrainModel, stimuli: StimulusSet, names: Sequence[str], window: tuple[int, int]
) -> dict[str, NDArray[np.floating[Any]]]:
    """Record what each layer answers, in the order of the names."""
    candidate.start_recording("IT", time_bins=[window])
    with copied_activations():
        looked = candidate.look_at(stimuli, number_of_trials=1)
    order = {image: number for number, image in enumerate(looked["stimulus_id"].values)}
    looked = looked.isel(presentation=[order[name] for name in names])
    layers = looked["layer"].values if hasattr(looked, "layer") else np.full(looked.sizes["neuroid"], "unknown")
    return {
        str(layer): activation_from_assembly(looked.isel(neuroid=np.flatnonzero(layers == layer)))
        for layer in dict.fromkeys(layers.tolist())
    }


@contextmanager
def copied_activations() -> Iterator[None]:
    """Make Brain-Score's wrapper of torch models copy each layer's activation, within a ``with`` block.

    On the CPU it keeps a view, which an operation in place after the layer overwrites; on a GPU it copies.
    """
    own, view = PytorchWrapper.__dict__["_tensor_to_numpy"], PytorchWrapper._tensor_to_numpy
    PytorchWrapper._tensor_to_numpy = lambda output: view(output).copy()
    try:
        yield
    finally:
        PytorchWrapper._tensor_to_numpy = own


def _layout(candidate: BrainModel, layer: str) -> Layout | None:
    layouts = getattr(candidate, "spatial_layout", None)
    return layouts.get(layer, layouts.get("IT")) if isinstance(layouts, dict) else layouts


def activation_from_assembly(looked: DataAssembly) -> NDArray[np.floating[Any]]:
    """Rebuild a layer's activation from the coordinates of an assembly.

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
    if values.dtype.kind == "f" and np.isnan(values).any():
        return None
    return values.astype(np.int64)  # type: ignore[no-any-return]
