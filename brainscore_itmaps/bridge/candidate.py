"""Read layers of any model through Brain-Score's interface."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
from brainscore_vision.model_interface import BrainModel
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.benchmark.attribution import attribute
from brainscore_itmaps.benchmark.catalogue import View
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.benchmark.source import ALL, FIELDS_OF_VIEW, LoadedModel, Source, note_on_it_layer
from brainscore_itmaps.bridge.assembly import stimulus_set
from brainscore_itmaps.bridge.models import copying_hook, no_tensor, selected_module
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ItMapsError, ModelError, NoMapError, UsageError, nearest, one_line
from brainscore_itmaps.features.grid import LayerFeatures, downsample_if_larger, side_by_side
from brainscore_itmaps.features.places import layer_readings, layout_for, noise_images, verified_reading
from brainscore_itmaps.features.record import check_finite
from brainscore_itmaps.features.views import at_centre, fixated
from brainscore_itmaps.images import read_image, upright_size
from brainscore_itmaps.models.layers import Layout, spatial_maps
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.selectors import selector_of, tensors_in
from brainscore_itmaps.models.spec import ModelRequest, Weights
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import OURS, Protocol

Features = dict[str, LayerFeatures]
NOISE_SEEDS = (0, 1)
NOISE_SIZE = 224
DISABLED = "RESULTCACHING_DISABLE"
HELPERS = "brainscore_vision.model_helpers"
"""Modules whose caches depend on no stimuli of ours."""
OWN_PREPROCESSING = "what the model's own preprocessing leaves of "


@dataclass(frozen=True)
class BrainScoreModel:
    """Model of Brain-Score; see :class:`~brainscore_itmaps.benchmark.source.LoadedModel`.

    An optional attribute ``spatial_layout`` of the model gives the axes of its layers: ``NCHW``, ``NHWC`` or
    ``("tokens", number of leading tokens)``, for all layers, or in a dict by layer or by region.

    Attributes
    ----------
    candidate : BrainModel
        The model behind Brain-Score's interface.
    notes : tuple of str
        Notes for the result.
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

    def source(
        self,
        layers: Sequence[str] = (),
        view: View = "whole",
        protocol: Protocol = OURS,
        cache: ResultCache | None = None,
    ) -> Source:
        """Return a reader of the layer that is committed to IT, or of the requested layers.

        If the model commits several layers to IT, their channels are joined at the grid, as one layer.

        Parameters
        ----------
        layers : sequence of str
            Layers to read; each is committed to IT while it is read. "all" reads the layers in the model's own list
            that give a map.
        view : "whole", "screen" or "fixation"
            How images are shown.
        protocol : Protocol
            How a layer gives one value per grid position. The model applies its own preprocessing in any case.
        cache : ResultCache, optional
            Not used: the weights of the model are unknown.

        Raises
        ------
        UsageError
            When layers are requested of a model that has no mapping from regions to layers.
        """
        candidate, model = self.candidate, self.torch_model
        requested = _requested_layers(candidate, layers) if layers else None
        said = [note_on_it_layer(model)] if model is not None and not layers and note_on_it_layer(model) else []
        record = partial(_record_centres if view == "fixation" else _record_maps, candidate, model, protocol, said)

        def read(recording: Recording, layers_to_read: Sequence[str], cache: ResultCache, progress: Report) -> Features:
            if requested is None:
                committed = record(recording, progress)
                if len(committed) == 1:
                    return committed
                return {", ".join(committed): side_by_side(list(committed.values()), recording.grid)}
            features: Features = {}
            for layer in requested:
                try:
                    with _committed_to_it(candidate, layer):
                        features |= record(recording, progress)
                except NoMapError:
                    if tuple(layers) != ALL or (layer == requested[-1] and not features):
                        raise
            return features

        field_of_view = FIELDS_OF_VIEW[view].format(degrees=self.visual_degrees)
        reading = Reading(model=self.name, weights=Weights("external"), field_of_view=OWN_PREPROCESSING + field_of_view,
                          device="as Brain-Score chooses")  # fmt: skip
        if model is not None:
            reading = replace(
                reading,
                weights=model.weights,
                imagenet_top1=model.top1,
                imagenet_top1_source=model.top1_source,
                field_of_view=field_of_view,
                device=str(next(model.module.parameters()).device),
            )
        return Source(reading, (), None, read, None if model is None else partial(attribute, model), said)


def request_of(candidate: BrainModel) -> ModelRequest:
    """Return the request that loads a model again, with its weights if this package loaded it.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.models import brain_model
    >>> from brainscore_itmaps.models.load import load_model
    >>> candidate = brain_model(load_model("timm:test_vit", "random", seed=3))
    >>> request_of(candidate).weights.seed
    3
    """
    model: Model | None = getattr(candidate, "itmaps_model", None)
    return model.request if model is not None else ModelRequest(str(candidate.identifier), Weights("external"))


def as_candidate(model: LoadedModel) -> BrainModel:
    """Wrap a loaded model in Brain-Score's interface.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.source import HookedModel
    >>> from brainscore_itmaps.models.load import load_model
    >>> as_candidate(HookedModel(load_model("timm:test_vit", "random"))).visual_degrees()
    8
    """
    if isinstance(model, BrainScoreModel):
        return model.candidate
    from brainscore_itmaps.bridge.models import brain_model

    assert model.torch_model is not None
    return brain_model(model.torch_model)


def _record_maps(
    candidate: BrainModel,
    model: Model | None,
    protocol: Protocol,
    said: list[str],
    recording: Recording,
    progress: Report,
) -> Features:
    """Record layers for the images of a recording, and for noise images that verify the places of their units."""
    progress("recording features", 0, 1)
    images = len(recording.names)
    with tempfile.TemporaryDirectory() as folder:
        stimuli, names = _uncached_stimuli(recording), recording.names
        if model is None:
            stretch_to_squares(stimuli, Path(folder))
            stimuli, names = with_noise(stimuli, names, Path(folder))
        activations = record_layers(candidate, stimuli, names, recording.window, said)
    features = {}
    for layer, activation in activations.items():
        shown, noise = activation[:images], activation[images:]
        check_finite(shown, layer, recording.names)
        layout = _read_layout(candidate, model, layer, noise, said)
        maps = spatial_maps(shown, layer, _leading_tokens(model), layout)
        features[layer] = downsample_if_larger(maps, recording.grid, protocol)
    return features


def _read_layout(
    candidate: BrainModel, model: Model | None, layer: str, noise: NDArray[np.floating[Any]], said: list[str]
) -> Layout | None:
    """Return the layout that a candidate states for a layer, or that its activation for noise images shows."""
    stated = layout_for(getattr(candidate, "spatial_layout", None), layer)
    if stated is not None:
        return stated
    if model is not None:
        reading = layer_readings(model, [layer])[layer]
    elif len(noise):
        reading = verified_reading(str(candidate.identifier), layer, noise)
    else:
        return None
    said += [reading.note] if reading.note else []
    return reading.layout


def with_noise(stimuli: StimulusSet, names: Sequence[str], folder: Path) -> tuple[StimulusSet, tuple[str, ...]]:
    """Add noise images to the stimuli of a recording; both are shown in the same batches.

    Parameters
    ----------
    stimuli : StimulusSet
    names : sequence of str
        Names of the images, in the order of the recording.
    folder : Path
        Gets the files of the noise images.

    Returns
    -------
    StimulusSet
    tuple of str
        Names of the images, and then of the noise images.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stimuli = StimulusSet([{"stimulus_id": "face"}])
    ...     stimuli.stimulus_paths = {"face": Path(folder, "face.png")}
    ...     both, names = with_noise(stimuli, ["face"], Path(folder))
    >>> len(both), names[:2]
    (11, ('face', 'itmaps-noise-0-0'))
    """
    paths = dict(stimuli.stimulus_paths)
    for seed in NOISE_SEEDS:
        for number, image in enumerate(noise_images(NOISE_SIZE, seed)):
            name = f"itmaps-noise-{seed}-{number}"
            paths[name] = folder / f"{name}.png"
            image.save(paths[name])
    combined = tuple(dict.fromkeys([*names, *paths]))
    both = StimulusSet([{"stimulus_id": name, "image_id": name} for name in combined])
    both.stimulus_paths = paths
    both.identifier = None
    return both, combined


def _record_centres(
    candidate: BrainModel,
    model: Model | None,
    protocol: Protocol,
    said: list[str],
    recording: Recording,
    progress: Report,
) -> Features:
    rows, columns = len(recording.grid.y), len(recording.grid.x)
    fields: dict[str, list[NDArray[np.float64]]] = {}
    for done, image in enumerate(recording.images):
        with tempfile.TemporaryDirectory() as folder:
            stimuli, names = _fixations(image, recording, candidate.visual_degrees(), Path(folder))
            activations = record_layers(candidate, stimuli, names, recording.window, said)
        for layer, activation in activations.items():
            check_finite(activation, layer, names)
            layout = _read_layout(candidate, model, layer, activation[:0], said)
            centre = at_centre(activation, layer, _leading_tokens(model), layout)
            fields.setdefault(layer, []).append(centre.reshape(rows, columns, -1))
        progress("recording features at each position", done + 1, len(recording.images))
    return {layer: LayerFeatures(np.stack(of_images), at_grid=True) for layer, of_images in fields.items()}


def _leading_tokens(model: Model | None) -> int | None:
    return None if model is None else getattr(model.module, "num_prefix_tokens", None)


def _requested_layers(candidate: BrainModel, layers: Sequence[str]) -> list[str]:
    if not isinstance(_region_layer_map(candidate), dict):
        raise UsageError(
            f"The layers of {candidate.identifier} cannot be chosen: it has no mapping from regions to layers.",
            "Leave out the layers.",
        )
    return list(candidate.layers if tuple(layers) == ALL else layers)


def _region_layer_map(candidate: BrainModel) -> Any:
    return getattr(getattr(candidate, "layer_model", None), "region_layer_map", None)


@contextmanager
def _committed_to_it(candidate: BrainModel, layer: str) -> Iterator[None]:
    mapping = _region_layer_map(candidate)
    former = mapping.get("IT")
    mapping["IT"] = layer
    try:
        yield
    except ItMapsError:
        raise
    except Exception as error:  # models raise different exceptions for an unknown layer
        raise ModelError(
            f"Layer {layer!r} of {candidate.identifier} could not be recorded: {one_line(error)}.",
            nearest(layer, candidate.layers),
        ) from error
    finally:
        if former is None:
            del mapping["IT"]
        else:
            mapping["IT"] = former


def _uncached_stimuli(recording: Recording) -> StimulusSet:
    """Return the stimuli of a recording without an identifier.

    Brain-Score caches activations by the identifier only, whatever the weights and preprocessing.
    """
    stimuli = stimulus_set(recording)
    stimuli.identifier = None
    return stimuli


def stretch_to_squares(stimuli: StimulusSet, folder: Path) -> None:
    """Stretch images that are not square, so that no preprocessing of Brain-Score's models crops them.

    Parameters
    ----------
    stimuli : StimulusSet
        Its paths are changed in place.
    folder : Path
        Gets the stretched images.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 30)).save(Path(folder, "wide.png"))
    ...     stimuli = StimulusSet([{"stimulus_id": "wide"}])
    ...     stimuli.stimulus_paths = {"wide": Path(folder, "wide.png")}
    ...     Path(folder, "square").mkdir()
    ...     stretch_to_squares(stimuli, Path(folder, "square"))
    ...     Image.open(stimuli.stimulus_paths["wide"]).size
    (40, 40)
    """
    for name, file in stimuli.stimulus_paths.items():
        width, height = upright_size(file)
        if width != height:
            side = max(width, height)
            stimuli.stimulus_paths[name] = folder / f"{name}.png"
            read_image(file).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{name}.png")


def _fixations(image: Path, recording: Recording, degrees: float, folder: Path) -> tuple[StimulusSet, tuple[str, ...]]:
    """Write an uncompressed image for each position, with that position at the centre of view."""
    names = []
    for number, view in enumerate(fixated(read_image(image), recording.grid, degrees)):
        names.append(f"{image.stem}-{number:04d}")
        view.save(folder / f"{names[-1]}.bmp")
    stimuli = StimulusSet([{"stimulus_id": name, "image_id": name} for name in names])
    stimuli.stimulus_paths = {name: folder / f"{name}.bmp" for name in names}
    stimuli.identifier = None
    return stimuli, tuple(names)


def record_layers(
    candidate: BrainModel, stimuli: StimulusSet, names: Sequence[str], window: tuple[int, int], said: list[str]
) -> dict[str, NDArray[np.floating[Any]]]:
    """Record the activation of each layer that is committed to IT.

    Parameters
    ----------
    candidate : BrainModel
    stimuli : StimulusSet
        Without an identifier, because Brain-Score caches activations by that alone.
    names : sequence of str
        Names of the images, in the order of the result.
    window : (int, int)
        Milliseconds after stimulus onset.
    said : list of str
        Gets a note on the time bins of the model, if it has several.

    Returns
    -------
    dict of str to array, shape (image, ...)
        Activation with the axes of the layer, by layer.

    Raises
    ------
    ModelError
        When the time bins of the model do not cover the window, or a layer gives not one tensor.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.benchmark import get_stimulus_set
    >>> from brainscore_itmaps.bridge.leaderboard_probe import probe_model
    >>> stimuli = get_stimulus_set("it_maps_simulated")
    >>> stimuli.identifier = None
    >>> activations = record_layers(probe_model(), stimuli, list(stimuli["stimulus_id"]), (70, 170), [])
    >>> activations["1"].shape
    (14, 12, 16, 16)
    """
    candidate.start_recording("IT", time_bins=[window])
    with copied_activations(), _without_result_cache(candidate), _time_bins(candidate) as bins:
        try:
            recorded = candidate.look_at(stimuli, number_of_trials=1)
        except AssertionError as error:
            if not bins:
                raise
            raise ModelError(
                f"{candidate.identifier} gives its time bins {_bins_text(bins)}, which do not cover the window "
                f"{window[0]}-{window[1]} ms.",
                "Choose a window that they cover.",
            ) from error
    if "time_bin" in recorded.dims:
        recorded = recorded.isel(time_bin=0)  # one window was requested
    if note := _note_on_time(candidate, window, bins):
        said.append(note)
    index = {image: number for number, image in enumerate(recorded["stimulus_id"].values)}
    recorded = recorded.isel(presentation=[index[name] for name in names])
    layers = recorded["layer"].values if hasattr(recorded, "layer") else np.full(recorded.sizes["neuroid"], "unknown")
    return {
        str(layer): activation_from_assembly(recorded.isel(neuroid=np.flatnonzero(layers == layer)))
        for layer in dict.fromkeys(layers.tolist())
    }


@contextmanager
def _time_bins(candidate: BrainModel) -> Iterator[list[tuple[float, float]]]:
    """Collect the time bins of a model, in ms, which Brain-Score averages to the window."""
    inner = getattr(getattr(candidate, "layer_model", None), "_layer_model", None)
    bins: list[tuple[float, float]] = []
    if inner is None:
        yield bins
        return
    look_at = inner.look_at

    def observed(*arguments: Any, **options: Any) -> Any:
        responses = look_at(*arguments, **options)
        if "time_bin" in responses.dims:
            bins[:] = [(float(start), float(end)) for start, end in responses["time_bin"].values]
        return responses

    inner.look_at = observed
    try:
        yield bins
    finally:
        del inner.look_at


def _note_on_time(candidate: BrainModel, window: tuple[int, int], bins: Sequence[tuple[float, float]]) -> str:
    """Say which time bins of a model stand for the window; empty for a model without time."""
    shown = f"window {window[0]}-{window[1]} ms"
    mapping = getattr(candidate, "time_mapping", None)
    if isinstance(mapping, dict) and mapping.get("IT"):  # CORnet's commitment takes the nearest step
        step, (start, end) = min(mapping["IT"].items(), key=lambda entry: abs(entry[1][0] - window[0]))
        return f"{shown}: time step {step} of the model was read, which it commits to {start:g}-{end:g} ms"
    covering = [(start, end) for start, end in bins if start < window[1] and end > window[0]]
    return f"{shown}: mean over the time bins {_bins_text(covering)} of the model, weighted by overlap" if bins else ""


def _bins_text(bins: Sequence[tuple[float, float]]) -> str:
    texts = [f"{start:g}-{end:g}" for start, end in bins]
    return f"{', '.join(texts if len(texts) < 5 else [*texts[:2], '...', texts[-1]])} ms"


@contextmanager
def _without_result_cache(candidate: BrainModel) -> Iterator[None]:
    """Disable the cache of a commitment's own, which would mix up recordings because stimuli have no identifier.

    An adapter may wrap the commitment.
    """
    before = os.environ.get(DISABLED)
    models = [candidate]
    for model in models:  # grows: an adapter may wrap another one
        inner = [value for value in getattr(model, "__dict__", {}).values() if hasattr(type(value), "look_at")]
        models += [value for value in inner if not any(value is known for known in models)]
    modules = list(dict.fromkeys(type(model).__module__ for model in models))
    own = [module for module in modules if not module.startswith(HELPERS)]
    if not own:
        yield
        return
    os.environ[DISABLED] = ",".join(filter(None, [before, *own])) if before != "1" else before
    try:
        yield
    finally:
        if before is None:
            del os.environ[DISABLED]
        else:
            os.environ[DISABLED] = before


@contextmanager
def copied_activations() -> Iterator[None]:
    """Make Brain-Score's wrapper of torch models copy each layer's activation, within a ``with`` block.

    Names of layers may select a call or an element, as in ``IT.output@last`` and ``layers.3[0]``.

    On the CPU, the original keeps a view, which a later in-place operation overwrites; on a GPU, it copies.

    Examples
    --------
    >>> import torch
    >>> output = torch.zeros(2)
    >>> with copied_activations():
    ...     activation = PytorchWrapper._tensor_to_numpy(output)
    >>> output += 1
    >>> activation
    array([0., 0.], dtype=float32)
    """
    names = ("_tensor_to_numpy", "get_layer", "register_hook")
    originals = {name: PytorchWrapper.__dict__[name] for name in names}
    view, get_layer, register_hook = (getattr(PytorchWrapper, name) for name in names)

    def selected_hook(self: PytorchWrapper, layer: Any, layer_name: str, target_dict: dict[str, Any]) -> Any:
        if selected_module(self, layer_name) is None:
            return register_hook(self, layer, layer_name, target_dict)
        selector = selector_of(layer_name, dict(self._model.named_modules()))
        images = self._extractor._batch_size
        return layer.register_forward_hook(copying_hook(layer_name, selector, target_dict, images))

    def copied(output: Any) -> NDArray[Any]:
        if not isinstance(output, torch.Tensor):
            raise no_tensor("LAYER", output, len(next(iter(tensors_in(output)), (None, ()))[1]))
        return view(output).copy()  # type: ignore[no-any-return]

    PytorchWrapper._tensor_to_numpy = copied
    PytorchWrapper.get_layer = lambda self, name: selected_module(self, name) or get_layer(self, name)
    PytorchWrapper.register_hook = selected_hook
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(PytorchWrapper, name, original)


def activation_from_assembly(assembly: DataAssembly) -> NDArray[np.floating[Any]]:
    """Rebuild a layer's activation from the coordinates of an assembly.

    Brain-Score flattens each activation and stores the indices of every unit: ``channel``, ``channel_x`` (the row) and
    ``channel_y`` (the column) for layers of four axes, ``channel`` (the token) and ``embedding`` for layers of three,
    and only ``channel`` for layers of two.

    Returns
    -------
    array, shape (image, ...)
        Activation with the axes of the layer.

    Examples
    --------
    >>> unit = [number.ravel() for number in np.indices((2, 3, 4))]
    >>> coords = {name: ("neuroid", unit[axis]) for axis, name in enumerate(("channel", "channel_x", "channel_y"))}
    >>> flat = DataAssembly(np.zeros((5, 24)), coords=coords, dims=["presentation", "neuroid"])
    >>> activation_from_assembly(flat).shape
    (5, 2, 3, 4)
    """
    assembly = assembly.transpose("presentation", "neuroid")
    tokens = _unit_numbers(assembly, "embedding") is not None
    names = ("channel", "embedding") if tokens else ("channel", "channel_x", "channel_y")
    indices = [_unit_numbers(assembly, name) for name in names]
    sizes = [index.max() + 1 for index in indices if index is not None]
    if not sizes or np.prod(sizes) != assembly.sizes["neuroid"]:
        sizes = [assembly.sizes["neuroid"]]
    values: NDArray[np.floating[Any]] = assembly.values.reshape(assembly.sizes["presentation"], *sizes)
    return values


def _unit_numbers(assembly: DataAssembly, name: str) -> NDArray[np.int64] | None:
    try:
        values = assembly[name].values
    except KeyError:
        return None
    if values.dtype.kind == "f" and np.isnan(values).any():
        return None
    return values.astype(np.int64)  # type: ignore[no-any-return]
