"""Sources of features: a torch model read through hooks, or any model that returns activations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.attribution import attribute
from brainscore_itmaps.benchmark.catalogue import View
from brainscore_itmaps.benchmark.result import Reading, Saliency
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.images import PUBLISHED_SIZE
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.features.record import BATCH_SIZE, check_layer, record_at_grid
from brainscore_itmaps.features.views import fixated_features
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.layers import block_layers
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import OURS, Protocol

SEEN = {
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
        What it is; the layer is filled in when it is known.
    layers : tuple of str
        What will be read; empty when only reading shows it.
    content : str or None
        What tells weights, architecture and preprocessing apart; None where they cannot be known, and features are told
        apart instead.
    read : callable
        Takes a recording, names of layers, the cache and whom to tell; gives the features of each layer.
    attribute : callable or None
        Takes a recording, the layer of each image, a method and whom to tell; gives where in the images the prediction
        comes from. None where the model gives no gradients.
    """

    reading: Reading
    layers: tuple[str, ...]
    content: str | None
    read: Read
    attribute: Attribute | None = None


class LoadedModel(Interface):
    """A loaded model, ours or Brain-Score's, whose layers can be read."""

    @property
    def name(self) -> str:
        """Return the name of the model."""

    @property
    def visual_degrees(self) -> float:
        """Return the width of the field of view in degrees."""

    @property
    def torch_model(self) -> Model | None:
        """Return the torch model if gradients can be computed, else None."""

    @property
    def notes(self) -> tuple[str, ...]:
        """List what a reader of the scores should know."""

    def source(self, layers: Sequence[str], view: View, protocol: Protocol) -> Source:
        """Return a reader of features for these layers; by default for the layers committed to IT."""


@dataclass(frozen=True)
class HookedModel:
    """A torch model read through our own hooks; see :class:`LoadedModel`.

    Attributes
    ----------
    model : Model
    batch_size : int
        Images shown at once.
    """

    torch_model: Model
    batch_size: int = BATCH_SIZE

    @property
    def name(self) -> str:
        """Return the name of the model."""
        return self.torch_model.name

    @property
    def visual_degrees(self) -> float:
        """Return the width of the field of view in degrees."""
        return self.torch_model.spec.visual_degrees

    @property
    def notes(self) -> tuple[str, ...]:
        """List the decisions made when the model was loaded."""
        return self.torch_model.notes

    def source(self, layers: Sequence[str] = (), view: View = "whole", protocol: Protocol = OURS) -> Source:
        """Return a reader of features through our own hooks.

        Parameters
        ----------
        layers : sequence of str
            Layers; "all" for the output of every block; none for the layer committed to IT.
        view : "whole", "screen" or "fixation"
            How images are shown.
        protocol : Protocol

        Raises
        ------
        ModelError
            When no layer is committed, or one does not exist; when the protocol shows images of another size.
        """
        model, spec = self.torch_model, self.torch_model.spec
        if protocol.preprocess == "published" and spec.size != PUBLISHED_SIZE:
            raise ModelError(
                f"{model.name} takes images of {spec.size} pixels; the published code shows {PUBLISHED_SIZE}.",
                "Choose a model of that size, or leave out the published protocol.",
            )
        device = next(model.module.parameters()).device
        content = None
        if not model.own_code:
            shown = (spec.size, spec.mean, spec.std, spec.interpolation, spec.visual_degrees, view)
            read_as = (protocol.preprocess, protocol.resample, device.type)
            content = f"{model.module!r} {spec.architecture} {model.sha256} {shown} {read_as}"

        def read(
            recording: Recording, wanted: Sequence[str], cache: ResultCache, progress: Report
        ) -> dict[str, LayerFeatures]:
            if view == "fixation":
                return _fixated(model, recording, wanted, content, self.batch_size, cache, progress)
            return record_at_grid(
                model,
                recording.images,
                wanted,
                recording.grid,
                self.batch_size,
                protocol,
                progress=lambda done, total: progress("recording features", done, total),
            )

        reading = Reading(
            model=model.name,
            weights=model.weights,
            imagenet_top1=model.top1,
            imagenet_top1_source=model.top1_source,
            field_of_view=SEEN[view].format(degrees=spec.visual_degrees),
            device=str(device),
        )
        return Source(reading, _layers(model, layers), content, read, partial(attribute, model))


def _fixated(
    model: Model,
    recording: Recording,
    layers: Sequence[str],
    content: str | None,
    batch_size: int,
    cache: ResultCache,
    progress: Report,
) -> dict[str, LayerFeatures]:
    """Record one image after the other and cache each at once, so that memory stays small and a run can resume.

    Of a model that cannot be told from others nothing is cached.
    """
    grid, degrees = recording.grid, model.spec.visual_degrees
    units: dict[str, list[NDArray[np.float64]]] = {layer: [] for layer in layers}
    expected = {"units": Expected((len(grid.y), len(grid.x), -1))}

    def answers(image: Path, missing: Sequence[str]) -> list[tuple[str, dict[str, NDArray[np.float64]]]]:
        answered = fixated_features(model, image, missing, grid, degrees, batch_size)
        return [(layer, {"units": answered[layer]}) for layer in missing]

    for done, image in enumerate(recording.images):
        if content is None:
            found = dict(answers(image, layers))
        else:
            where = [grid.y.tolist(), grid.x.tolist(), grid.extent, sha256(image)]
            keys = {layer: key_of(fixated=content, layer=layer, where=where) for layer in layers}
            found = cache.computed_all(keys, partial(answers, image), dict.fromkeys(layers, expected), progress)
        for layer in layers:
            units[layer].append(found[layer]["units"])
        progress("bringing positions to the centre of view", done + 1, len(recording.images))
    return {layer: LayerFeatures(np.stack(parts), at_grid=True) for layer, parts in units.items()}


def _layers(model: Model, layers: Sequence[str]) -> tuple[str, ...]:
    if not layers:
        committed = model.spec.layers.get("IT")
        if committed is None:
            raise ModelError(
                f"No layer of {model.name} is committed to IT, and none could be chosen from its description.",
                "Name one with --layers.",
            )
        layers = [committed]
    elif tuple(layers) == ALL:
        layers = block_layers(model.module, model.spec.size)
        if not layers:
            raise ModelError(f"No block of {model.name} gives a map.", "Name layers with --layers.")
    for layer in layers:
        check_layer(model, layer)
    return tuple(dict.fromkeys(layers))
