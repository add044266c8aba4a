"""Load a network by name, with the preprocessing that belongs to its weights."""

from pathlib import Path

import torch

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.build import build, timm_pretrained
from brainscore_itmaps.models.checkpoint import fill_from_tensors, read_tensors
from brainscore_itmaps.models.embedded import fill_from_package
from brainscore_itmaps.models.from_keras import fill_from_keras
from brainscore_itmaps.models.keras_layouts import LAYOUTS
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.names import KERAS_SUFFIXES, refuse_unknown_model, weight_file
from brainscore_itmaps.models.network import Network, hash_of
from brainscore_itmaps.models.spec import KerasWeights, ModelSpec, PackagedWeights
from brainscore_itmaps.models.weights import fetch_weights, load_kept
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report, silent


def load_model(name: str, weights: str | Path | None = None, seed: int = 0, *, progress: Report = silent) -> Network:
    """Load a network.

    Parameters
    ----------
    name : str
        A name from the zoo (``efficientnet_lite0``), or ``timm:`` and any name that timm knows (``timm:resnet18`` or
        ``timm:resnet18.a1_in1k``).
    weights : "pretrained", "random", str or Path, optional
        By default the pretrained ones; those of harmonized networks are fetched and converted once. Random weights must
        be asked for; what is loaded says so. Or a file: safetensors, a torch file that holds a ``state_dict``, or, for
        a harmonized network, the Keras file (.h5) that its authors publish. Nothing is kept of a file.
    seed : int
        For random weights.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    UsageError
        When the weights are neither a word that we know nor a file.
    ModelError
        When the name is not known, the weights are missing, damaged or of another architecture, or the network's
        layers cannot be read as maps (Hiera).
    """
    refuse_unknown_model(name)
    weights = weights or "pretrained"
    file = weight_file(weights)
    known = ZOO.get(name)
    architecture = known.architecture if known else name.removeprefix("timm:")
    options = known.options if known else {}
    notes: tuple[str, ...] = ()
    accurate = False
    if file is not None:
        module = build(architecture, seed, **options)
        notes = _fill_from_file(module, architecture, file, progress)
        origin = f"file {file} (sha256 {sha256(file)[:12]})"
    elif weights == "random":
        module = build(architecture, seed, **options)
        origin = f"random (seed {seed})"
    elif known is not None and isinstance(known.weights, KerasWeights):
        kept = fetch_weights(known, progress=progress)
        module = build(architecture, seed, **options)
        load_kept(known, module, kept)
        origin, notes, accurate = f"{kept.origin} (sha256 {kept.file_sha256[:12]})", tuple(kept.notes), kept.published
    elif known is not None and isinstance(known.weights, PackagedWeights):
        module = build(architecture, seed, **options)
        fill_from_package(module, known.weights)
        origin, accurate = f"{known.weights.package} {known.weights.version}", True
    else:
        module = timm_pretrained(architecture)
        origin, accurate = f"timm {architecture.split('.')[0]}.{module.pretrained_cfg['tag']}", True  # type: ignore[index]
    module.eval()
    if hasattr(module, "unroll"):
        raise ModelError(
            f"{name} keeps its units in an order that is not that of the picture, row by row.",
            "Its layers cannot be read as maps; choose a network of another family.",
        )
    if name not in ZOO and weights == "pretrained":
        name = f"timm:{origin.removeprefix('timm ')}"  # timm chooses a tag where none was given
    spec = known or _timm_spec(name, module)
    top1 = (spec.top1, spec.top1_source) if accurate else (None, None)
    return Network(name, spec, module, origin, hash_of(module), *top1, notes=notes)


def _fill_from_file(module: torch.nn.Module, architecture: str, file: Path, progress: Report) -> tuple[str, ...]:
    if file.suffix not in KERAS_SUFFIXES:
        fill_from_tensors(module, read_tensors(file), file, architecture)
        return ()
    if architecture not in LAYOUTS:
        raise ModelError(
            f"{file} is a Keras file, and how those hold the weights of {architecture} is not known.",
            "Give safetensors or a torch file; Keras files are read for the harmonized networks.",
        )
    return fill_from_keras(module, architecture, file, progress)


def _timm_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    from timm.data import resolve_data_config

    config = resolve_data_config({}, model=module)
    return ModelSpec(
        identifier=name,
        architecture=name.removeprefix("timm:"),
        weights=None,
        size=config["input_size"][-1],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop=config["crop_pct"],
        layers=committed_layers(module, config["input_size"][-1]),
        readout=readout_layer(module, config["input_size"][-1]),
        visual_degrees=8,
        top1=None,
        top1_source=None,
        citation="",
    )
