"""Where features come from: a network of ours, or anything that tells what its layers answer to pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark import store
from brainscore_itmaps.benchmark.result import Reading, Saliency
from brainscore_itmaps.data.pictures import PUBLISHED_SIZE
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.field import LayerFeatures
from brainscore_itmaps.features.fixation import fixated_features
from brainscore_itmaps.features.record import BATCH_SIZE, record_at_grid, refuse_missing_layer
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.layers import block_layers
from brainscore_itmaps.models.network import Network
from brainscore_itmaps.progress import Report

WHOLE_PICTURE = "each picture fills the network's whole input"
ON_SCREEN = "each picture at its size in degrees in the {degrees:g} degrees that the network sees; only these count"
FIXATED = "each position of each picture in turn at the centre of the {degrees:g} degrees that the network sees"
ALL = "all"

Read = Callable[[Recording, Sequence[str], bool, Report], dict[str, LayerFeatures]]
Attribute = Callable[[Recording, Sequence[str], Report], Saliency]


@dataclass(frozen=True)
class Source:
    """Something that reads layers.

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
        Takes a recording, names of layers, whether to look up what was read before where reading takes long, and whom
        to tell; gives the features of each layer.
    attribute : callable or None
        Takes a recording and the layer of each image; gives where in the pictures the prediction comes from.
    """

    reading: Reading
    layers: tuple[str, ...]
    content: str | None
    read: Read
    attribute: Attribute | None = None


def network_source(
    network: Network,
    layers: str | Sequence[str] | None = None,
    view: str = "whole",
    batch_size: int = BATCH_SIZE,
    reference_compat: bool = False,
    attribute: Attribute | None = None,
) -> Source:
    """Read a network through our own hooks.

    Parameters
    ----------
    network : Network
    layers : str or sequence of str, optional
        Layers, or "all" for the output of every block; by default the layer committed to IT.
    view : "whole", "screen" or "fixation"
        How pictures are shown.
    batch_size : int
        Pictures shown at once.
    reference_compat : bool
        Preprocess and resize as the published code does.
    attribute : callable, optional
        See :class:`Source`.

    Raises
    ------
    ModelError
        When no layer is committed, or one does not exist; when the published code shows pictures of another size.
    """
    spec = network.spec
    if reference_compat and spec.size != PUBLISHED_SIZE:
        raise ModelError(
            f"{network.name} takes pictures of {spec.size} pixels; the published code shows {PUBLISHED_SIZE}.",
            "Choose a network of that size, or leave out reference_compat.",
        )
    chosen = _layers(network, layers)

    device = next(network.module.parameters()).device
    preprocessing = (spec.size, spec.mean, spec.std, spec.interpolation, spec.visual_degrees, view, reference_compat)
    content = None
    if not network.own_code:
        content = f"{network.module!r} {spec.architecture} {network.sha256} {preprocessing} {device.type}"

    def read(recording: Recording, wanted: Sequence[str], kept: bool, progress: Report) -> dict[str, LayerFeatures]:
        if view == "fixation":
            return _fixated(network, recording, wanted, content, batch_size, kept, progress)
        return record_at_grid(
            network,
            recording.images,
            wanted,
            recording.grid,
            batch_size,
            reference_compat,
            progress=lambda done, total: progress("recording features", done, total),
        )

    return Source(
        reading=Reading(
            model=network.name,
            weights=network.weights,
            weights_sha256=network.sha256,
            imagenet_top1=network.top1,
            imagenet_top1_source=network.top1_source,
            layer="",
            field_of_view=field_of_view(view, spec.visual_degrees),
            device=str(device),
        ),
        layers=chosen,
        content=content,
        read=read,
        attribute=attribute,
    )


def _fixated(
    network: Network,
    recording: Recording,
    layers: Sequence[str],
    content: str | None,
    batch_size: int,
    kept: bool,
    progress: Report,
) -> dict[str, LayerFeatures]:
    """One picture after the other, each kept at once: memory stays that of one picture, and a killed run goes on.

    Of a network that cannot be told from others nothing is kept.
    """
    grid, degrees = recording.grid, network.spec.visual_degrees
    pictures: dict[str, list[NDArray[np.float64]]] = {layer: [] for layer in layers}
    for done, image in enumerate(recording.images):
        where = [grid.y.tolist(), grid.x.tolist(), grid.extent, sha256(image)]
        keys = {layer: store.key_of(fixated=content, layer=layer, where=where) for layer in layers}
        found = {layer: store.look_up(key) if kept and content else None for layer, key in keys.items()}
        missing = [layer for layer in layers if "units" not in (found[layer] or {})]
        answered = fixated_features(network, image, missing, grid, degrees, batch_size) if missing else {}
        for layer in layers:
            if layer in answered and content:
                store.keep(keys[layer], {"units": answered[layer]})
            pictures[layer].append(answered[layer] if layer in answered else found[layer]["units"])  # type: ignore[index]
        progress("bringing positions to the centre of view", done + 1, len(recording.images))
    return {layer: LayerFeatures(np.stack(parts), at_grid=True) for layer, parts in pictures.items()}


def field_of_view(view: str, degrees: float) -> str:
    """What of each picture is seen, in words."""
    return {"whole": WHOLE_PICTURE, "screen": ON_SCREEN, "fixation": FIXATED}[view].format(degrees=degrees)


def _layers(network: Network, layers: str | Sequence[str] | None) -> tuple[str, ...]:
    if layers is None:
        committed = network.spec.layers.get("IT")
        if committed is None:
            raise ModelError(
                f"No layer of {network.name} is committed to IT, and none could be chosen from its description.",
                "Name one with --layers.",
            )
        layers = [committed]
    elif layers == ALL:
        layers = block_layers(network.module, network.spec.size)
        if not layers:
            raise ModelError(f"No block of {network.name} gives a map.", "Name layers with --layers.")
    elif isinstance(layers, str):
        layers = [layers]
    for layer in layers:
        refuse_missing_layer(network, layer)
    return tuple(dict.fromkeys(layers))
