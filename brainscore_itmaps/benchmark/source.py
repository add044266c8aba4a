"""Sources of features: the interface of loaded models, and torch models that are read through hooks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.attribution import attribute
from brainscore_itmaps.benchmark.catalogue import View
from brainscore_itmaps.benchmark.result import Reading, Saliency
from brainscore_itmaps.cache import Expected, ResultCache, key_of, package_versions
from brainscore_itmaps.data.images import PUBLISHED_SIZE
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.features.places import LayerReading, layer_readings
from brainscore_itmaps.features.record import BATCH_SIZE, record_at_grid
from brainscore_itmaps.features.views import fixated_features
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.layers import block_layers, reason_of_it
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.names import source_of
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import OURS, Protocol

FIELDS_OF_VIEW = {
    "whole": "each image fills the model's whole input",
    "screen": "each image at its size in degrees in the {degrees:g} degrees that the model sees; only these count",
    "fixation": "each position of each image in turn at the centre of the {degrees:g} degrees that the model sees",
}
ALL = ("all",)

Read = Callable[[Recording, Sequence[str], ResultCache, Report], dict[str, LayerFeatures]]
Attribute = Callable[[Recording, Sequence[str], str, Report], Saliency]


@dataclass(frozen=True)
class Source:
    """Layers of a model that can be read for a recording.

    Attributes
    ----------
    reading : Reading
        Model and placement of the images; the evaluation fills in the layer.
    layers : tuple of str
        Layers to read; empty if they are known only after reading.
    content : str or None
        Identifies weights, architecture and preprocessing in cache keys. None where they are unknown; then the content
        of the features identifies them.
    read : callable
        Takes a recording, names of layers, the cache and a progress callback; returns the features of each layer.
    attribute : callable or None
        Takes a recording, the layer of each image, an attribution method and a progress callback; returns the
        attribution maps. None where the model gives no gradients.
    notes : sequence of str
        How layers were chosen and read, where a reader of the score should know it.
    read_as : mapping of layer to str
        Layouts of the layers that are not read as their shapes say; part of cache keys.
    """

    reading: Reading
    layers: tuple[str, ...]
    content: str | None
    read: Read
    attribute: Attribute | None = None
    notes: Sequence[str] = ()
    read_as: Mapping[str, str] = field(default_factory=dict)


class LoadedModel(Interface):
    """A loaded model of this package or of Brain-Score, whose layers can be read."""

    @property
    def name(self) -> str:
        """Return the name of the model."""

    @property
    def visual_degrees(self) -> float:
        """Return the width of the field of view in degrees of visual angle."""

    @property
    def torch_model(self) -> Model | None:
        """Return the torch model if gradients can be computed, else None."""

    @property
    def notes(self) -> tuple[str, ...]:
        """List notes on the model for readers of its scores."""

    def source(self, layers: Sequence[str], view: View, protocol: Protocol, cache: ResultCache | None = None) -> Source:
        """Return the source of the features of these layers, by default of the layers committed to IT."""


@dataclass(frozen=True)
class HookedModel:
    """A torch model whose layers are read through hooks; see :class:`LoadedModel`.

    Attributes
    ----------
    torch_model : Model
    batch_size : int
        Images per forward pass.
    """

    torch_model: Model
    batch_size: int = BATCH_SIZE

    @property
    def name(self) -> str:
        """Return the name of the model."""
        return self.torch_model.name

    @property
    def visual_degrees(self) -> float:
        """Return the width of the field of view in degrees of visual angle."""
        return self.torch_model.spec.visual_degrees

    @property
    def notes(self) -> tuple[str, ...]:
        """List the decisions made when the model was loaded."""
        return self.torch_model.notes

    def source(
        self,
        layers: Sequence[str] = (),
        view: View = "whole",
        protocol: Protocol = OURS,
        cache: ResultCache | None = None,
    ) -> Source:
        """Return the source of the features of these layers, which are read through hooks.

        Parameters
        ----------
        layers : sequence of str
            Selectors of layers; ("all",) for the output of every block; empty for the layer committed to IT.
        view : "whole", "screen" or "fixation"
            How images are shown.
        protocol : Protocol
        cache : ResultCache, optional
            Cache of how layers are read.

        Returns
        -------
        Source

        Raises
        ------
        ModelError
            When no layer is committed, a layer does not exist or has no map, or the protocol shows images of another
            size.
        """
        model, spec = self.torch_model, self.torch_model.spec
        if protocol.preprocess == "published" and spec.size != PUBLISHED_SIZE:
            raise ModelError(
                f"{model.name} takes images of {spec.size} pixels; the published code shows {PUBLISHED_SIZE}.",
                "Choose a model with that input size, or leave out the published protocol.",
            )
        if protocol.preprocess == "published" and len(spec.mean) == 1:
            raise ModelError(
                f"{model.name} takes grey images; the published code shows colours.",
                "Choose a model with colour, or leave out the published protocol.",
            )
        device = next(model.module.parameters()).device
        content = None
        if not model.own_code:
            preprocessing = (spec.size, spec.mean, spec.std, spec.interpolation, spec.visual_degrees, view)
            read_as = (protocol.preprocess, protocol.resample, device.type)
            settings = spec.options if source_of(spec.architecture) else {}  # which other modules do not print
            if source_of(spec.architecture) == "hf:":
                settings = settings | package_versions(("transformers",))
            architecture = f"{spec.architecture} {settings}" if settings else spec.architecture
            content = f"{model.module!r} {architecture} {model.sha256} {preprocessing} {read_as}"

        readings, notes = _read_layers(model, layers, cache, content)

        def read(
            recording: Recording, requested: Sequence[str], cache: ResultCache, progress: Report
        ) -> dict[str, LayerFeatures]:
            read_now = layer_readings(model, requested, cache=cache, content=content)
            if view == "fixation":
                return _fixated(model, recording, read_now, content, self.batch_size, cache, progress)
            return record_at_grid(
                model,
                recording.images,
                requested,
                recording.grid,
                self.batch_size,
                protocol,
                progress=lambda done, total: progress("recording features", done, total),
                readings=read_now,
            )

        reading = Reading(
            model=model.name,
            weights=model.weights,
            imagenet_top1=model.top1,
            imagenet_top1_source=model.top1_source,
            field_of_view=FIELDS_OF_VIEW[view].format(degrees=spec.visual_degrees),
            device=str(device),
        )
        layouts = {layer: one.read_as for layer, one in readings.items() if one.read_as}
        return Source(reading, tuple(readings), content, read, partial(attribute, model), notes, layouts)


def _fixated(
    model: Model,
    recording: Recording,
    layers: Mapping[str, LayerReading],
    content: str | None,
    batch_size: int,
    cache: ResultCache,
    progress: Report,
) -> dict[str, LayerFeatures]:
    """Record features at each position, one image after another, with each image cached so that a run can resume.

    Nothing is cached for a model without ``content``.
    """
    grid, degrees = recording.grid, model.spec.visual_degrees
    units: dict[str, list[NDArray[np.float64]]] = {layer: [] for layer in layers}
    expected = {"units": Expected((len(grid.y), len(grid.x), -1))}

    def compute(image: Path, missing: Sequence[str]) -> list[tuple[str, dict[str, NDArray[np.float64]]]]:
        read_now = {layer: layers[layer] for layer in missing}
        features = fixated_features(model, image, read_now, grid, degrees, batch_size)
        return [(layer, {"units": features[layer]}) for layer in missing]

    for done, image in enumerate(recording.images):
        if content is None:
            entries = dict(compute(image, list(layers)))
        else:
            positions = [grid.y.tolist(), grid.x.tolist(), grid.extent, sha256(image)]
            keys = {
                layer: key_of(fixated=content + reading.read_as, layer=layer, where=positions)
                for layer, reading in layers.items()
            }
            entries = cache.computed_all(keys, partial(compute, image), dict.fromkeys(layers, expected), progress)
        for layer in layers:
            units[layer].append(entries[layer]["units"])
        progress("recording features at each position", done + 1, len(recording.images))
    return {layer: LayerFeatures(np.stack(images), at_grid=True) for layer, images in units.items()}


def _read_layers(
    model: Model, layers: Sequence[str], cache: ResultCache | None, content: str | None
) -> tuple[dict[str, LayerReading], tuple[str, ...]]:
    """Find out how the requested layers are read, and what a reader of the score should know about it."""
    notes: list[str] = []
    every_block = tuple(layers) == ALL
    if not layers:
        committed = model.spec.layers.get("IT")
        if committed is None:
            raise ModelError(
                f"No layer of {model.name} is committed to IT, and none could be chosen from its architecture.",
                "Name a layer.",
            )
        layers = [committed]
        notes += filter(None, [note_on_it_layer(model)])
    elif every_block:
        layers = block_layers(model.module, model.spec.size)
    layers = [model.own_name_of(layer) for layer in layers]
    readings = layer_readings(model, layers, every_block, cache, content)
    if not readings:
        raise ModelError(f"No block of {model.name} outputs a spatial map.", "Name layers.")
    if omitted := [layer for layer in layers if layer not in readings]:
        notes.append(f"blocks without visible places in the image were left out: {', '.join(omitted)}")
    notes += [reading.note for reading in readings.values() if reading.note]
    return readings, tuple(notes)


def note_on_it_layer(model: Model) -> str:
    """Say by which rule the IT layer of a model was chosen; empty if a record of the zoo commits it.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> note_on_it_layer(load_model("efficientnet_lite0", "random"))
    ''
    >>> note_on_it_layer(load_model("timm:test_vit", "random")).partition(":")[0]
    'IT layer blocks.3'
    """
    layer, architecture = model.spec.layers.get("IT"), model.spec.architecture.split(".")[0]
    stated = any(spec.architecture == architecture and spec.layers["IT"] == layer for spec in ZOO.values())
    if layer is None or stated:
        return ""
    return (
        f"IT layer {layer}: chosen by a rule ({reason_of_it(layer)}), not committed by the model's authors; --layers "
        "names another"
    )
