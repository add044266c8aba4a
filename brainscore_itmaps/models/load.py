"""Load a model by name, from a file or from a module, with the preprocessing of its weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ItMapsError, ModelError, UsageError, check_type, one_line
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.build import build, timm_pretrained
from brainscore_itmaps.models.checkpoint import fill_from_package, fill_from_tensors, read_weights, shape_options
from brainscore_itmaps.models.forward import input_channels
from brainscore_itmaps.models.keras_layouts import LAYOUTS
from brainscore_itmaps.models.keras_weights import fill_from_keras
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.model import Model, hash_parameters
from brainscore_itmaps.models.names import (
    KERAS_SUFFIXES,
    check_label,
    check_model_name,
    is_code,
    is_local_hub_model,
    is_user_model,
    named_architecture,
    requested_weights,
    source_of,
    weight_file_stem,
)
from brainscore_itmaps.models.own import (
    Preprocessing,
    model_from_code,
    restore_mode_and_device,
    timm_preprocessing,
    wrap_model,
)
from brainscore_itmaps.models.preprocessing import GREY, grey_preprocessing, plain_preprocessing, read_preprocessing
from brainscore_itmaps.models.runs import IN_MEMORY, RUN_RECORD, WEIGHTS_FILE, check_code, is_run, read_run
from brainscore_itmaps.models.spec import ModelRequest, ModelSpec, PackagedWeights, TimmWeights, Weights
from brainscore_itmaps.models.timm_models import group_of, timm_top1
from brainscore_itmaps.models.weights import fetch_weights, load_converted
from brainscore_itmaps.models.weights_record import WeightsRecord, read_weights_record
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.settings import expanded

NOT_LOADED = {"module": "was given as a module in memory", "external": "is loaded by Brain-Score"}


@shows_progress
def load_model(
    model: str | Path | torch.nn.Module | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    *,
    arch: str | None = None,
    preprocessing: Preprocessing | None = None,
    state_key: str | None = None,
    name: str | None = None,
    progress: Report = silent,
) -> Model:
    """Load a model by name, from a weight file, or from a torch module.

    Parameters
    ----------
    model : str, Path or torch.nn.Module
        A name from the zoo (``efficientnet_lite0``); a name in a library, with its prefix (``timm:resnet18``,
        ``timm:resnet18.a1_in1k``, ``torchvision:resnet50.IMAGENET1K_V2``, ``hf:facebook/dinov2-base`` or
        ``hf:./folder``); the path of a weight file (safetensors, or a torch checkpoint), with ``arch``; a function in a
        Python file, ``my_file.py:build``, that returns a module or (module, preprocessing); the folder of a training
        run; or a module, which is put into eval mode and read without the wrappers of ``torch.compile``, DataParallel
        and averaged models.
    weights : "pretrained", "random", str or Path, optional
        By default pretrained weights; those of harmonized models are downloaded and converted once. Or random weights,
        which ``Model.weights`` reports. Or the path of a file: safetensors, a torch checkpoint, or, for a harmonized
        model, the Keras file (.h5) that its authors publish. A file is not copied.
    seed : int
        Seed of random weights.
    arch : str, optional
        Architecture of a weight file: a name from the zoo or in timm, or one with the prefix of another library.
    preprocessing : mapping or callable, optional
        Preprocessing of a weight file or a module. A mapping: ``size``, ``mean``, ``std``, ``interpolation``
        ("bilinear"), ``crop`` (0.875; maps use the whole image) and ``channels`` (3 for colour, 1 for grey; by default
        the number that the module takes). For a module also a function that converts a Pillow image to a tensor
        (3, side, side), as torchvision's transforms do, or to (1, side, side) for a module that takes grey images.
    state_key : str, optional
        Key of the weights in a checkpoint that holds several sets, such as ``state_dict_ema``. By default the weights
        that are complete for the architecture and were not averaged; ``Model.notes`` states the key and the others.
    name : str, optional
        Name of a module, a weight file or a user's function, for tables and files. The first eight digits of the hash
        of the parameters are appended, so that two models never share a name. Without a ``model``, its name as above.
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
    if model is None:
        model, name = name, None
    if isinstance(model, torch.nn.Module):
        if weights is not None or arch is not None or state_key is not None:
            raise UsageError("A module already has its weights and architecture.", "Omit weights, arch and state_key.")
        check_label(name)
        return _with_ordered_units(wrap_model(model, preprocessing, name))
    fix = "Give a name from list_models(), timm:NAME, a file, or a torch.nn.Module."
    check_type(model, (str, Path), "a model", fix)
    if weights is not None:
        check_type(weights, (str, Path), "weights", 'Give "pretrained", "random" or the path of a file.')
    requested = requested_weights(weights or "pretrained", seed)
    if preprocessing is not None and not isinstance(preprocessing, Mapping):
        raise UsageError(
            "Only the preprocessing of a module can be a function.",
            "Describe the preprocessing with size, mean and std.",
        )
    plain = None if preprocessing is None else plain_preprocessing(preprocessing)
    request = ModelRequest(str(model), requested, arch, plain, state_key=state_key, label=name)
    return load_model_request(request, progress)


@contextmanager
def opened(
    model: str | Path | Model | torch.nn.Module,
    weights: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    progress: Report = silent,
) -> Iterator[Model]:
    """Load a model for use within a ``with`` block, unless it is loaded already.

    Parameters
    ----------
    model : str, Path, Model or torch.nn.Module
        As for :func:`load_model`, or what it returns. A module is returned to its former state at the end.
    weights, preprocessing, progress
        As for :func:`load_model`.

    Raises
    ------
    UsageError
        When weights or preprocessing are given for a loaded model.
    UsageError, ModelError
        As for :func:`load_model`.

    Examples
    --------
    >>> with opened("timm:test_resnet", "random") as model:
    ...     model.name
    'timm:test_resnet'
    """
    if isinstance(model, Model):
        if weights is not None or preprocessing is not None:
            raise UsageError(f"{model.name} is loaded already.", "Give weights and preprocessing to load_model.")
        yield model
        return
    with restore_mode_and_device(model) if isinstance(model, torch.nn.Module) else nullcontext():
        yield load_model(model, weights, preprocessing=preprocessing, progress=progress)


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
    check_model_name(name, request.arch, str(weights.path or weights.kind), request.state_key)
    check_label(request.label, name)
    if is_user_model(name) and weights.kind != "pretrained":
        raise UsageError(
            f"{name} already defines its weights.", f"Leave out the weights, or use the model {request.arch or 'NAME'}."
        )
    if is_code(name) or is_run(name):
        if preprocessing is not None:
            raise UsageError(
                f"{name} defines its own preprocessing.",
                "Omit preprocessing; a function can return (module, preprocessing).",
            )
        model = model_from_code(name) if is_code(name) else _from_run(expanded(name), progress)
    elif is_user_model(name):
        architecture = named_architecture(str(request.arch))
        model = _from_weights(expanded(name), architecture, preprocessing, request.state_key, progress)
    elif weights.kind == "file":
        model = _from_file(name, Path(str(weights.path)), preprocessing, request.state_key, progress)
    elif preprocessing is not None:
        raise UsageError(
            f"{name} has its own preprocessing.",
            "Omit preprocessing; it can be given only for a weight file or a module.",
        )
    else:
        model = _random(name, weights.seed or 0) if weights.kind == "random" else _pretrained(name, progress)
    if request.label is not None:
        model = labelled(model, request.label)
    return replace(_with_ordered_units(model), request=request)


def _random(name: str, seed: int) -> Model:
    """Build a model of the zoo or of a library with random weights."""
    spec = ZOO.get(name)
    architecture = spec.architecture if spec else name.removeprefix("timm:")
    module = build(architecture, seed, **(spec.options if spec else {})).eval()
    weights = Weights("random", seed=seed, sha256=hash_parameters(module))
    model = Model(name, spec or _library_spec(name, module), module, weights)
    return _named_by_folder(model, name.removeprefix(source_of(name)))


def _pretrained(name: str, progress: Report) -> Model:
    """Load a model of the zoo or of a library with its published weights."""
    spec = ZOO.get(name)
    if spec is None:
        return LIBRARIES[source_of(name)](name.removeprefix(source_of(name)))
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


def _from_torchvision(name: str) -> Model:
    """Load a model with torchvision's weights; without their name, torchvision chooses them."""
    from brainscore_itmaps.models.torchvision_models import torchvision_pretrained

    whole_name, module = torchvision_pretrained(name)
    spec = _library_spec(f"torchvision:{whole_name}", module.eval())
    weights = Weights("pretrained", source=f"torchvision {whole_name}", sha256=hash_parameters(module))
    return Model(spec.identifier, spec, module, weights, top1=spec.top1, top1_source=spec.top1_source)


def _from_hub(name: str) -> Model:
    """Load a model of transformers; one in a folder is named after the folder and the hash of its parameters."""
    from brainscore_itmaps.models.hub_models import hub_pretrained

    module, notes = hub_pretrained(name)
    spec = _library_spec(f"hf:{name}", module.eval())
    weights = Weights("pretrained", source=f"transformers {name}", sha256=hash_parameters(module))
    return _named_by_folder(Model(spec.identifier, spec, module, weights, notes=notes), name)


def _named_by_folder(model: Model, reference: str) -> Model:
    """Name a local model of transformers by its folder and a hash: a relative path can mean different models."""
    if not (model.name.startswith("hf:") and is_local_hub_model(reference)):
        return model
    return labelled(model, expanded(reference).resolve().name)


LIBRARIES: dict[str, Callable[[str], Model]] = {
    "timm:": _from_timm,
    "torchvision:": _from_torchvision,
    "hf:": _from_hub,
}
"""The function that loads a model with the weights of each library."""


def _library_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    """Describe a model of a library with the preprocessing, accuracy and licence that the library states.

    Raises
    ------
    ModelError
        When the module fails on an image, for example because its configuration contradicts itself.
    """
    try:
        return _described_by_library(name, module)
    except ItMapsError:
        raise
    except Exception as error:  # the library's forward may raise anything
        raise ModelError(
            f"{name} fails on an image of the size that it states: {one_line(error)}.",
            "Check its configuration; `brainscore --debug ...` prints the traceback.",
        ) from error


def _described_by_library(name: str, module: torch.nn.Module) -> ModelSpec:
    if name.startswith("torchvision:"):
        from brainscore_itmaps.models.torchvision_models import torchvision_spec

        return torchvision_spec(name, module)
    if name.startswith("hf:"):
        from brainscore_itmaps.models.hub_models import hub_spec

        return hub_spec(name, module)
    return _timm_spec(name, module)


def labelled(model: Model, label: str) -> Model:
    """Name a model by a user's label and the first eight digits of the hash of its parameters.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> from brainscore_itmaps.models.load import labelled
    >>> labelled(load_model("timm:test_resnet", "random"), "mine").name[:5]
    'mine-'
    """
    name = f"{label}-{model.sha256[:8]}"
    return replace(model, name=name, spec=replace(model.spec, identifier=name))


def _from_weights(
    file: Path,
    architecture: str,
    preprocessing: Mapping[str, Any] | None,
    state_key: str | None,
    progress: Report,
) -> Model:
    """Load a weight file as a model that is named after the file and the hash of its parameters."""
    return labelled(_from_file(architecture, file, preprocessing, state_key, progress), weight_file_stem(file))


def _from_run(folder: Path, progress: Report) -> Model:
    """Load the model of a training run, named after the folder and the hash of its parameters."""
    record = read_run(folder)
    if record["model"].startswith(IN_MEMORY):
        raise ModelError(
            f"{folder} was trained from a module in memory, which cannot be built again.",
            f"Load {folder / WEIGHTS_FILE} into the module, and give the module.",
        )
    if is_code(record["model"]):
        model = _from_code_run(folder, record)
    else:
        model = _from_file(record["model"], folder / WEIGHTS_FILE, record["preprocessing"], None, progress)
    if model.sha256 != record["sha256"]:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} has other weights than {folder / RUN_RECORD} records.", "Train the model again."
        )
    name = f"{folder.resolve().name}-{model.sha256[:8]}"
    spec = replace(model.spec, identifier=name, group="")
    return replace(model, name=name, spec=spec, notes=(record["trained"]["summary"],))


def _from_code_run(folder: Path, record: Mapping[str, Any]) -> Model:
    """Build the model of a run with the user's code, and load its weights."""
    reference, file = check_code(folder, record), folder / WEIGHTS_FILE
    model = model_from_code(reference)
    fill_from_tensors(model.module, read_weights(file, model.module).tensors, file, reference)
    preprocessing = read_preprocessing(record["preprocessing"])
    weights = Weights("file", str(file), sha256=hash_parameters(model.module), source=f"sha256 {sha256(file)[:12]}")
    return replace(model, spec=replace(model.spec, **preprocessing), weights=weights)


def _from_file(
    name: str, file: Path, preprocessing: Mapping[str, Any] | None, state_key: str | None, progress: Report
) -> Model:
    """Load a model of the zoo or of a library with the weights in a file."""
    zoo_spec = ZOO.get(name)
    architecture = zoo_spec.architecture if zoo_spec else name.removeprefix("timm:")
    options: dict[str, Any] = dict(zoo_spec.options) if zoo_spec else {}
    module = build(architecture, 0, **options)
    notes: tuple[str, ...]
    if file.suffix.lower() in KERAS_SUFFIXES:
        if state_key is not None:
            raise UsageError(f"{file} is a Keras file, which has no keys.", "Leave out the state key.")
        notes = _fill_from_keras(module, architecture, file, progress)
    else:
        state = read_weights(file, module, state_key)
        tensors, notes = state.tensors, state.notes
        if changed := shape_options(tensors, module):
            options |= changed
            module = build(architecture, 0, **options)
        fill_from_tensors(module, tensors, file, architecture)
    spec = zoo_spec or _library_spec(name, module.eval())
    spec = replace(spec, options=spec.options | options, top1=None, top1_source=None)
    if preprocessing is not None:
        spec = replace(spec, **read_preprocessing(preprocessing))
    if options.get("in_chans") == 1:
        spec = replace(spec, **grey_preprocessing(spec.mean, spec.std))
        notes += (GREY,)
    elif preprocessing is not None and len(spec.mean) == 1 and input_channels(module.eval(), spec.size) == 3:
        raise UsageError(
            f"The weights in {file} are for images with colours, but the preprocessing is for grey images.",
            "Give three values of mean and of std.",
        )
    if preprocessing is None and zoo_spec is None:
        notes += (
            f"the file does not say how images are preprocessed: as for {_library_name(spec.architecture)} "
            f"({spec.size} pixels, mean {_joined(spec.mean)}, std {_joined(spec.std)}, {spec.interpolation})",
        )
    weights = Weights("file", str(file), sha256=hash_parameters(module), source=f"sha256 {sha256(file)[:12]}")
    return Model(name, spec, module.eval(), weights, notes=notes)


def _library_name(architecture: str) -> str:
    """Name an architecture with its library, for readers."""
    library = source_of(architecture).removesuffix(":") or "timm"
    return f"{library}'s {architecture.removeprefix(source_of(architecture))}"


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
