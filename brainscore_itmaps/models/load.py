"""Load a model by name, with the preprocessing that belongs to its weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ModelError, UsageError
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.build import build, timm_pretrained
from brainscore_itmaps.models.checkpoint import classes_in, fill_from_package, fill_from_tensors, read_tensors
from brainscore_itmaps.models.keras_layouts import LAYOUTS
from brainscore_itmaps.models.keras_weights import fill_from_keras
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.model import Model, hash_of
from brainscore_itmaps.models.names import (
    KERAS_SUFFIXES,
    check_model_name,
    is_code,
    is_user_model,
    named_architecture,
    requested_weights,
)
from brainscore_itmaps.models.own import Preprocessing, model_from_code, timm_preprocessing, wrap_model
from brainscore_itmaps.models.preprocessing import plain_preprocessing, read_preprocessing
from brainscore_itmaps.models.runs import RECORD, WEIGHTS, is_run, read_run
from brainscore_itmaps.models.spec import ModelRequest, ModelSpec, PackagedWeights, TimmWeights, Weights
from brainscore_itmaps.models.timm_models import group_of, timm_top1
from brainscore_itmaps.models.weights import fetch_weights, load_converted
from brainscore_itmaps.models.weights_record import WeightsRecord, read_weights_record
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report, silent

NOT_LOADED = {"module": "was given as a module in memory", "external": "is loaded by Brain-Score"}


def load_model(
    name: str | torch.nn.Module,
    weights: str | Path | None = None,
    seed: int = 0,
    *,
    arch: str | None = None,
    preprocessing: Preprocessing | None = None,
    progress: Report = silent,
) -> Model:
    """Load a model by name, from a file of weights, or from a torch module.

    Parameters
    ----------
    name : str or torch.nn.Module
        A name from the zoo (``efficientnet_lite0``); ``timm:`` and any name that timm knows (``timm:resnet18`` or
        ``timm:resnet18.a1_in1k``); a file of weights (safetensors, a torch ``state_dict``) with its architecture; a
        function in a Python file, ``my_file.py:build``, that gives a module, or (module, preprocessing); the folder of
        a training run; or a module, which is put into eval mode.
    weights : "pretrained", "random", str or Path, optional
        Pretrained weights by default; those of harmonized models are downloaded and converted once. Or random weights,
        or a file: safetensors, a torch file with a ``state_dict``, or the published Keras file (.h5) of a harmonized
        model. A file is read where it is and not copied.
    seed : int
        For random weights.
    arch : str, optional
        Architecture of a weight file: a name of timm or of the zoo.
    preprocessing : mapping or callable, optional
        For models of your own. A mapping: ``size``, ``mean``, ``std``, ``interpolation`` ("bilinear") and ``crop``
        (0.875; maps use the whole image). Or, for a module, a function that turns a Pillow image into a tensor
        (3, side, side), such as a torchvision transform.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    UsageError
        When the weights are neither a known word nor a file, or an option is missing or contradicts another.
    ModelError
        When the name is unknown, the weights are missing, damaged or of another architecture, or the model's
        layers cannot be read as maps (Hiera).

    Examples
    --------
    >>> model = load_model("timm:test_resnet", "random", seed=1)
    >>> model.name, str(model.weights)
    ('timm:test_resnet', 'random (seed 1)')
    """
    if isinstance(name, torch.nn.Module):
        if weights is not None or arch is not None:
            raise UsageError("A module has its weights and architecture already.", "Leave out weights and arch.")
        return _readable(wrap_model(name, preprocessing))
    asked = requested_weights(weights or "pretrained", seed)
    if preprocessing is not None and not isinstance(preprocessing, Mapping):
        raise UsageError("A function as preprocessing is for modules.", "Say size, mean and std of these weights.")
    said = None if preprocessing is None else plain_preprocessing(preprocessing)
    return load_model_request(ModelRequest(name, asked, arch, said), progress)


def load_model_request(request: ModelRequest, progress: Report = silent) -> Model:
    """Load the model of a request; its ``request`` is this one.

    Parameters
    ----------
    request : ModelRequest
        Layers, device and batch size are not looked at.
    progress : callable
        As for :func:`load_model`.

    Raises
    ------
    UsageError, ModelError
        As :func:`load_model`; and when it was a module in memory, or a model that Brain-Score loads.
    """
    name, weights, given = request.name, request.weights, request.preprocessing
    if weights.kind in NOT_LOADED:
        raise ModelError(f"{name} {NOT_LOADED[weights.kind]}: it cannot be loaded again.", "Give the model itself.")
    check_model_name(name, request.arch)
    if is_user_model(name) and weights.kind != "pretrained":
        raise UsageError(
            f"{name} brings its weights.", f"Leave out --weights, or give --model {request.arch or 'NAME'}."
        )
    if is_code(name) or is_run(name):
        if given is not None:
            raise UsageError(f"{name} defines its own preprocessing.", "Return (module, preprocessing) from it.")
        model = model_from_code(name) if is_code(name) else _from_run(Path(name).expanduser(), progress)
    elif is_user_model(name):
        model = _from_weights(Path(name).expanduser(), named_architecture(str(request.arch)), given, progress)
    elif weights.kind == "file":
        model = _from_file(name, Path(str(weights.path)), given, progress)
    elif given is not None:
        raise UsageError(
            f"{name} has its own preprocessing.", "Describe the preprocessing only of a weight file or a module."
        )
    else:
        model = _random(name, weights.seed or 0) if weights.kind == "random" else _pretrained(name, progress)
    return replace(_readable(model), request=request)


def _random(name: str, seed: int) -> Model:
    known = ZOO.get(name)
    architecture = known.architecture if known else name.removeprefix("timm:")
    module = build(architecture, seed, **(known.options if known else {})).eval()
    weights = Weights("random", seed=seed, sha256=hash_of(module))
    return Model(name, known or _timm_spec(name, module), module, weights)


def _pretrained(name: str, progress: Report) -> Model:
    known = ZOO.get(name)
    if known is None:
        return _from_hub(name.removeprefix("timm:"))
    if isinstance(known.weights, TimmWeights) and read_weights_record(known) is None:
        return replace(_from_hub(known.weights.name), name=name, spec=known)
    module, kept = build(known.architecture, 0, **known.options), None
    if isinstance(known.weights, PackagedWeights):
        fill_from_package(module, known.weights)
    else:
        kept = fetch_weights(known, progress=progress)
        load_converted(known, module, kept)
    accurate = kept is None or kept.published
    return Model(
        name,
        known,
        module.eval(),
        Weights("pretrained", source=_origin(known, kept), sha256=hash_of(module)),
        top1=known.top1 if accurate else None,
        top1_source=known.top1_source if accurate else None,
        notes=tuple(kept.notes) if kept else (),
    )


def _origin(spec: ModelSpec, kept: WeightsRecord | None) -> str:
    if kept is not None:
        return f"{kept.origin} (sha256 {kept.file_sha256[:12]})"
    assert isinstance(spec.weights, PackagedWeights)
    return f"{spec.weights.package} {spec.weights.version}"


def _from_hub(timm_name: str) -> Model:
    module = timm_pretrained(timm_name).eval()
    tagged = f"{timm_name.split('.')[0]}.{module.pretrained_cfg['tag']}"  # type: ignore[index]
    spec = _timm_spec(f"timm:{tagged}", module)  # timm chooses a tag where none was given
    weights = Weights("pretrained", source=f"timm {tagged}", sha256=hash_of(module))
    return Model(spec.identifier, spec, module, weights, top1=spec.top1, top1_source=spec.top1_source)


def _from_weights(file: Path, architecture: str, given: Mapping[str, Any] | None, progress: Report) -> Model:
    """Load a file of weights that is the model; its name is the file's, with a hash of the content."""
    model = _from_file(architecture, file, given, progress)
    name = f"{file.stem}-{model.sha256[:8]}"
    return replace(model, name=name, spec=replace(model.spec, identifier=name))


def _from_run(folder: Path, progress: Report) -> Model:
    """Load a model that was trained here; its name is the folder's, with a hash of its weights."""
    record = read_run(folder)
    model = _from_file(record["model"], folder / WEIGHTS, record["preprocessing"], progress)
    if model.sha256 != record["sha256"]:
        raise ModelError(f"{folder / WEIGHTS} is not the one that {folder / RECORD} is of.", "Train it again.")
    name = f"{folder.resolve().name}-{model.sha256[:8]}"
    spec = replace(model.spec, identifier=name, group="")
    return replace(model, name=name, spec=spec, notes=(record["trained"]["summary"],))


def _from_file(name: str, file: Path, given: Mapping[str, Any] | None, progress: Report) -> Model:
    known = ZOO.get(name)
    architecture = known.architecture if known else name.removeprefix("timm:")
    options: dict[str, Any] = dict(known.options) if known else {}
    module = build(architecture, 0, **options)
    if file.suffix in KERAS_SUFFIXES:
        notes = _fill_from_keras(module, architecture, file, progress)
    else:
        tensors, notes = read_tensors(file), ()
        classes = classes_in(tensors, module)
        if classes is not None and classes != getattr(module, "num_classes", classes):
            options["num_classes"] = classes
            module = build(architecture, 0, **options)
        fill_from_tensors(module, tensors, file, architecture)
    spec = replace(known or _timm_spec(name, module.eval()), options=options, top1=None, top1_source=None)
    if given is not None:
        spec = replace(spec, **read_preprocessing(given))
    elif known is None:
        notes = (
            f"the file does not say how images are preprocessed: as for timm's {spec.architecture} ({spec.size} "
            f"pixels, mean {_shown(spec.mean)}, std {_shown(spec.std)}, {spec.interpolation})",
        )
    weights = Weights("file", str(file), sha256=hash_of(module), source=f"sha256 {sha256(file)[:12]}")
    return Model(name, spec, module.eval(), weights, notes=notes)


def _shown(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _readable(model: Model) -> Model:
    if hasattr(model.module, "unroll"):
        raise ModelError(
            f"{model.name} does not order its units as the image, row by row.",
            "Its layers cannot be read as maps; choose a model of another family.",
        )
    return model


def _fill_from_keras(module: torch.nn.Module, architecture: str, file: Path, progress: Report) -> tuple[str, ...]:
    if architecture not in LAYOUTS:
        raise ModelError(
            f"{file} is a Keras file, and how those hold the weights of {architecture} is not known.",
            "Give safetensors or a torch file; Keras files are read for the harmonized models.",
        )
    return fill_from_keras(module, architecture, file, progress)


def _timm_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    said = timm_preprocessing(module)
    timm_name = name.removeprefix("timm:")
    top1, source = timm_top1(timm_name, said["size"])
    licence = module.pretrained_cfg.get("license") or "not stated"  # type: ignore[operator, union-attr]
    return ModelSpec(
        identifier=name,
        architecture=timm_name,
        weights=TimmWeights(timm_name, licence) if "." in timm_name else None,
        **said,
        layers=committed_layers(module, said["size"]),
        readout=readout_layer(module, said["size"]),
        visual_degrees=8,
        top1=top1,
        top1_source=source,
        citation="",
        group=group_of(timm_name),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )
