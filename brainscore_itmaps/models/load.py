"""Load a model by name, from a file or from a module, with the preprocessing of its weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ModelError, UsageError, check_type
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.build import build, timm_pretrained
from brainscore_itmaps.models.checkpoint import classes_in, fill_from_package, fill_from_tensors, read_tensors
from brainscore_itmaps.models.keras_layouts import LAYOUTS
from brainscore_itmaps.models.keras_weights import fill_from_keras
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.model import Model, hash_parameters
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
from brainscore_itmaps.models.runs import RUN_RECORD, WEIGHTS_FILE, is_run, read_run
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
    """Load a model by name, from a weight file, or from a torch module.

    Parameters
    ----------
    name : str or torch.nn.Module
        A name from the zoo (``efficientnet_lite0``); ``timm:`` followed by a name in timm (``timm:resnet18`` or
        ``timm:resnet18.a1_in1k``); the path of a weight file (safetensors, or a torch ``state_dict``), with ``arch``; a
        function in a Python file, ``my_file.py:build``, that returns a module or (module, preprocessing); the folder of
        a training run; or a module, which is put into eval mode.
    weights : "pretrained", "random", str or Path, optional
        By default pretrained weights; those of harmonized models are downloaded and converted once. Or random weights,
        which ``Model.weights`` reports. Or the path of a file: safetensors, a torch file with a ``state_dict``, or, for
        a harmonized model, the Keras file (.h5) that its authors publish. A file is not copied.
    seed : int
        Seed of random weights.
    arch : str, optional
        Architecture of a weight file: a name from the zoo or in timm.
    preprocessing : mapping or callable, optional
        Preprocessing of a weight file or a module. A mapping: ``size``, ``mean``, ``std``, ``interpolation``
        ("bilinear") and ``crop`` (0.875; maps use the whole image). For a module also a function that converts a Pillow
        image to a tensor (3, side, side), as torchvision's transforms do.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        When the weights are not "pretrained", "random" or a file; when the architecture or the preprocessing is
        missing, or given for a model that defines its own.
    ModelError
        When the name is unknown, the weights are missing, damaged or of another architecture, or the model's
        layers cannot be read as maps (Hiera).

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> model = load_model("timm:test_resnet", "random", seed=3)
    >>> print(model.name, model.spec.size, model.weights)
    timm:test_resnet 160 random (seed 3)
    """
    if isinstance(name, torch.nn.Module):
        if weights is not None or arch is not None:
            raise UsageError("A module already has its weights and architecture.", "Omit weights and arch.")
        return _with_ordered_units(wrap_model(name, preprocessing))
    check_type(name, (str, Path), "a model", "Give a name from list_models(), timm:NAME, a file, or a torch.nn.Module.")
    if weights is not None:
        check_type(weights, (str, Path), "weights", 'Give "pretrained", "random" or the path of a file.')
    name = str(name)
    requested = requested_weights(weights or "pretrained", seed)
    if preprocessing is not None and not isinstance(preprocessing, Mapping):
        raise UsageError(
            "Only the preprocessing of a module can be a function.",
            "Describe the preprocessing with size, mean and std.",
        )
    plain = None if preprocessing is None else plain_preprocessing(preprocessing)
    return load_model_request(ModelRequest(name, requested, arch, plain), progress)


def load_model_request(request: ModelRequest, progress: Report = silent) -> Model:
    """Load the model that a request describes.

    Parameters
    ----------
    request : ModelRequest
        Its layers, device and batch size are ignored.
    progress : callable
        As for :func:`load_model`.

    Returns
    -------
    Model
        Its ``request`` is the given one.

    Raises
    ------
    UsageError, ModelError
        As :func:`load_model`; also when the request is that of a module in memory, or of a model that Brain-Score
        loads.

    Examples
    --------
    >>> from brainscore_itmaps.models.load import load_model_request
    >>> from brainscore_itmaps.models.spec import ModelRequest, Weights
    >>> request = ModelRequest("timm:test_resnet", Weights("random", seed=3))
    >>> load_model_request(request).request == request
    True
    """
    name, weights, preprocessing = request.name, request.weights, request.preprocessing
    if weights.kind in NOT_LOADED:
        raise ModelError(f"{name} {NOT_LOADED[weights.kind]}: it cannot be loaded again.", "Give the model itself.")
    check_model_name(name, request.arch)
    if is_user_model(name) and weights.kind != "pretrained":
        raise UsageError(
            f"{name} already defines its weights.", f"Omit --weights, or use --model {request.arch or 'NAME'}."
        )
    if is_code(name) or is_run(name):
        if preprocessing is not None:
            raise UsageError(
                f"{name} defines its own preprocessing.",
                "Omit preprocessing; a function can return (module, preprocessing).",
            )
        model = model_from_code(name) if is_code(name) else _from_run(Path(name).expanduser(), progress)
    elif is_user_model(name):
        model = _from_weights(Path(name).expanduser(), named_architecture(str(request.arch)), preprocessing, progress)
    elif weights.kind == "file":
        model = _from_file(name, Path(str(weights.path)), preprocessing, progress)
    elif preprocessing is not None:
        raise UsageError(
            f"{name} has its own preprocessing.",
            "Omit preprocessing; it can be given only for a weight file or a module.",
        )
    else:
        model = _random(name, weights.seed or 0) if weights.kind == "random" else _pretrained(name, progress)
    return replace(_with_ordered_units(model), request=request)


def _random(name: str, seed: int) -> Model:
    """Build a model of the zoo or of timm with random weights."""
    spec = ZOO.get(name)
    architecture = spec.architecture if spec else name.removeprefix("timm:")
    module = build(architecture, seed, **(spec.options if spec else {})).eval()
    weights = Weights("random", seed=seed, sha256=hash_parameters(module))
    return Model(name, spec or _timm_spec(name, module), module, weights)


def _pretrained(name: str, progress: Report) -> Model:
    """Load a model of the zoo or of timm with its published weights."""
    spec = ZOO.get(name)
    if spec is None:
        return _from_timm(name.removeprefix("timm:"))
    if isinstance(spec.weights, TimmWeights) and read_weights_record(spec) is None:
        return replace(_from_timm(spec.weights.name), name=name, spec=spec)
    module, record = build(spec.architecture, 0, **spec.options), None
    if isinstance(spec.weights, PackagedWeights):
        fill_from_package(module, spec.weights)
    else:
        record = fetch_weights(spec, progress=progress)
        load_converted(spec, module, record)
    published = record is None or record.published
    return Model(
        name,
        spec,
        module.eval(),
        Weights("pretrained", source=_origin(spec, record), sha256=hash_parameters(module)),
        top1=spec.top1 if published else None,
        top1_source=spec.top1_source if published else None,
        notes=tuple(record.notes) if record else (),
    )


def _origin(spec: ModelSpec, record: WeightsRecord | None) -> str:
    """Describe the origin of downloaded or packaged weights."""
    if record is not None:
        return f"{record.origin} (sha256 {record.file_sha256[:12]})"
    assert isinstance(spec.weights, PackagedWeights)
    return f"{spec.weights.package} {spec.weights.version}"


def _from_timm(timm_name: str) -> Model:
    """Load a model with timm's pretrained weights; without a tag in the name, timm chooses one."""
    module = timm_pretrained(timm_name).eval()
    tagged_name = f"{timm_name.split('.')[0]}.{module.pretrained_cfg['tag']}"  # type: ignore[index]
    spec = _timm_spec(f"timm:{tagged_name}", module)
    weights = Weights("pretrained", source=f"timm {tagged_name}", sha256=hash_parameters(module))
    return Model(spec.identifier, spec, module, weights, top1=spec.top1, top1_source=spec.top1_source)


def _from_weights(file: Path, architecture: str, preprocessing: Mapping[str, Any] | None, progress: Report) -> Model:
    """Load a weight file as a model that is named after the file and the hash of its parameters."""
    model = _from_file(architecture, file, preprocessing, progress)
    name = f"{file.stem}-{model.sha256[:8]}"
    return replace(model, name=name, spec=replace(model.spec, identifier=name))


def _from_run(folder: Path, progress: Report) -> Model:
    """Load the model of a training run, named after the folder and the hash of its parameters."""
    record = read_run(folder)
    model = _from_file(record["model"], folder / WEIGHTS_FILE, record["preprocessing"], progress)
    if model.sha256 != record["sha256"]:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} has other weights than {folder / RUN_RECORD} records.", "Train the model again."
        )
    name = f"{folder.resolve().name}-{model.sha256[:8]}"
    spec = replace(model.spec, identifier=name, group="")
    return replace(model, name=name, spec=spec, notes=(record["trained"]["summary"],))


def _from_file(name: str, file: Path, preprocessing: Mapping[str, Any] | None, progress: Report) -> Model:
    """Load a model of the zoo or of timm with the weights in a file."""
    zoo_spec = ZOO.get(name)
    architecture = zoo_spec.architecture if zoo_spec else name.removeprefix("timm:")
    options: dict[str, Any] = dict(zoo_spec.options) if zoo_spec else {}
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
    spec = replace(zoo_spec or _timm_spec(name, module.eval()), options=options, top1=None, top1_source=None)
    if preprocessing is not None:
        spec = replace(spec, **read_preprocessing(preprocessing))
    elif zoo_spec is None:
        notes = (
            f"the file does not say how images are preprocessed: as for timm's {spec.architecture} ({spec.size} "
            f"pixels, mean {_joined(spec.mean)}, std {_joined(spec.std)}, {spec.interpolation})",
        )
    weights = Weights("file", str(file), sha256=hash_parameters(module), source=f"sha256 {sha256(file)[:12]}")
    return Model(name, spec, module.eval(), weights, notes=notes)


def _joined(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _with_ordered_units(model: Model) -> Model:
    """Return a model after checking that its units have the order of the image, which Hiera's do not."""
    if hasattr(model.module, "unroll"):
        raise ModelError(
            f"{model.name} does not order its units row by row as the image, so that it has no maps.",
            "Choose a model of another family.",
        )
    return model


def _fill_from_keras(module: torch.nn.Module, architecture: str, file: Path, progress: Report) -> tuple[str, ...]:
    """Copy the weights of a Keras file into a model of an architecture whose layout is known."""
    if architecture not in LAYOUTS:
        raise ModelError(
            f"{file} is a Keras file; the layout of {architecture} in Keras files is unknown.",
            "Give a safetensors or torch file; Keras files can be read for the harmonized models only.",
        )
    return fill_from_keras(module, architecture, file, progress)


def _timm_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    """Describe a timm model with timm's preprocessing, accuracy and licence, and with committed layers."""
    preprocessing = timm_preprocessing(module)
    size = preprocessing["size"]
    timm_name = name.removeprefix("timm:")
    top1, source = timm_top1(timm_name, size)
    licence = module.pretrained_cfg.get("license") or "not stated"  # type: ignore[operator, union-attr]
    return ModelSpec(
        identifier=name,
        architecture=timm_name,
        weights=TimmWeights(timm_name, licence) if "." in timm_name else None,
        **preprocessing,
        layers=committed_layers(module, size),
        readout=readout_layer(module, size),
        visual_degrees=8,
        top1=top1,
        top1_source=source,
        citation="",
        group=group_of(timm_name),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )
