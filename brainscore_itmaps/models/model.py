"""A loaded model with its preprocessing and weights, its device, and its copy with random weights."""

import copy
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from brainscore_itmaps.errors import ItMapsError, ModelError, UsageError, one_line, printable
from brainscore_itmaps.images import read_image
from brainscore_itmaps.models.build import build
from brainscore_itmaps.models.forward import run_module
from brainscore_itmaps.models.names import source_of
from brainscore_itmaps.models.preprocessing import Transform
from brainscore_itmaps.models.spec import ModelRequest, ModelSpec, Weights

WRAPPER = re.compile(r"^(_orig_mod|module)\.")
"""Beginning of the names of layers in modules that ``torch.compile``, DataParallel or DDP wrap."""

IN_MEMORY = ModelRequest("", Weights("module"))
"""The request of a model that was given as a module in memory."""


@dataclass(frozen=True, repr=False)
class Model:
    """A loaded model with its preprocessing and weights.

    Attributes
    ----------
    name : str
        Requested name; for timm's pretrained models, with the tag.
    spec : ModelSpec
        Preprocessing, layers and description.
    module : torch.nn.Module
        In eval mode, on the CPU.
    weights : Weights
        Kind and source of the weights, and the hash of all parameters and buffers.
    request : ModelRequest
        Request from which :func:`~brainscore_itmaps.models.load.load_model_request` loads the same model again.
    top1, top1_source : float, str or None
        ImageNet accuracy of these weights in percent, and who measured it, if known.
    notes : tuple of str
        Choices made while loading that affect the score.
    transform : callable, optional
        Preprocessing function of a user, which replaces the preprocessing of ``spec``.
    own_code : bool
        The module is a user's code, whose computation the hash of its parameters does not determine; results are
        therefore not looked up in the cache.
    """

    name: str
    spec: ModelSpec
    module: torch.nn.Module
    weights: Weights
    request: ModelRequest = IN_MEMORY
    top1: float | None = None
    top1_source: str | None = None
    notes: tuple[str, ...] = ()
    transform: Transform | None = None
    own_code: bool = False

    def __repr__(self) -> str:
        layer = self.spec.layers.get("IT", "no layer")
        size = f"{self.spec.size} x {self.spec.size} pixels"
        return printable(f"<Model {self.name}: {self.weights}, {size}, {layer} committed to IT>")

    @property
    def sha256(self) -> str:
        """Hash of all parameters and buffers."""
        return self.weights.sha256 or ""

    @property
    def takes_grey(self) -> bool:
        """Return whether the model takes grey images, with one channel; a user's function makes them by itself."""
        return len(self.spec.mean) == 1 and self.transform is None

    def run(self, inputs: torch.Tensor) -> Any:
        """Run the module on preprocessed images, in its own precision and without compiled code.

        Parameters
        ----------
        inputs : tensor, shape (image, channel, size, size)

        Returns
        -------
        object
            Output of the module.

        Raises
        ------
        ModelError
            When the module fails on these images.
        """
        try:
            return run_module(self.module, inputs)
        except (ItMapsError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # a user's module may raise anything
            raise ModelError(
                f"{self.name} fails on a batch of {len(inputs)} images {tuple(inputs.shape)}: {one_line(error)}.",
                "Set a batch size of 1 if it takes single images; `brainscore --debug ...` prints the traceback.",
            ) from error

    def own_name_of(self, layer: str) -> str:
        """Return the name of a layer in the module without the wrappers that its name may begin with."""
        modules = dict(self.module.named_modules())
        while layer not in modules and (inner := WRAPPER.sub("", layer, count=1)) != layer:
            layer = inner
        return layer

    def preprocess(self, images: Sequence[Path | Image.Image], whole: bool = True) -> torch.Tensor:
        """Read images and convert them to the model's input.

        Parameters
        ----------
        images : sequence of Path or of Pillow images
            Images of any size; they are converted to RGB, and then to grey (ITU-R 601) for a model with one channel.
        whole : bool
            True: resize the whole image to the input size, so that maps cover the image. False: resize and crop at
            the centre, as for the model's ImageNet accuracy. The preprocessing function of a user is applied unchanged.

        Returns
        -------
        tensor, shape (image, channel, size, size)
        """
        transform = self.transform or self._timm_transform(whole)
        inputs = []
        for image in images:
            rgb = read_image(image)
            if self.transform is not None and rgb.width != rgb.height:  # the function might crop it to a square
                rgb = rgb.resize((max(rgb.size),) * 2, Image.Resampling.BICUBIC)
            inputs.append(transform(rgb.convert("L") if self.takes_grey else rgb))
        return torch.stack(inputs)

    def _timm_transform(self, whole: bool) -> Transform:
        from timm.data import create_transform

        return create_transform(  # type: ignore[no-any-return]
            input_size=self.spec.size,
            interpolation=self.spec.interpolation,
            mean=self.spec.mean,
            std=self.spec.std,
            crop_pct=1.0 if whole else self.spec.crop,
            crop_mode="squash" if whole else "center",
        )


def on_device(model: Model, device: str = "auto") -> Model:
    """Move a model to a device, in place.

    Parameters
    ----------
    model : Model
    device : str
        "cpu", "cuda", "cuda:1" or "mps"; "auto" selects the GPU if there is one, else the CPU.

    Raises
    ------
    UsageError
        When the device does not exist.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> from brainscore_itmaps.models.model import on_device
    >>> model = on_device(load_model("timm:test_resnet", "random"), "cpu")
    >>> next(model.module.parameters()).device
    device(type='cpu')
    """
    device = chosen_device(device)
    try:
        model.module.to(torch.device(device))
    except (
        RuntimeError,
        AssertionError,
        NotImplementedError,
    ) as error:  # no such device or driver
        raise UsageError(
            f"The device {device!r} is not available: {one_line(error)}.", "Use the device auto or cpu."
        ) from error
    return model


def chosen_device(device: str) -> str:
    """Return the device that a name stands for: the GPU for "auto" if there is one, else the CPU.

    Examples
    --------
    >>> from brainscore_itmaps.models.model import chosen_device
    >>> chosen_device("cuda:1")
    'cuda:1'
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def with_changes(model: Model) -> Model:
    """Return a loaded model as a model in memory if its module was changed after loading, else the model itself.

    Other weights, hooks (as lesions need them) and a replaced ``forward`` are changes: the model's name and the hash of
    its loaded weights no longer determine what it computes, so that no cached score belongs to it.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> from brainscore_itmaps.models.model import with_changes
    >>> model = load_model("timm:test_resnet", "random")
    >>> with_changes(model) is model
    True
    >>> _ = torch.nn.init.ones_(model.module.fc.bias)
    >>> changed = with_changes(model)
    >>> changed.name == f"timm:test_resnet-{changed.sha256[:8]}", str(changed.weights)
    (True, 'as they were given')
    """
    sha256 = hash_parameters(model.module)
    parts = [] if sha256 == model.sha256 else ["weights"]
    if not model.own_code:  # nothing is cached for a user's code
        children = list(model.module.modules())
        parts += ["hooks"] if any(child._forward_hooks or child._forward_pre_hooks for child in children) else []
        parts += ["forward"] if any("forward" in vars(child) for child in children) else []
    if not parts:
        return model
    name = f"{model.name.removesuffix(f'-{model.sha256[:8]}')}-{sha256[:8]}"
    return replace(
        model,
        name=name,
        spec=replace(model.spec, identifier=name, top1=None, top1_source=None),
        weights=Weights("module", sha256=sha256),
        request=replace(IN_MEMORY, name=name),
        top1=None,
        top1_source=None,
        notes=(*model.notes, f"changed after {model.name} was loaded: {', '.join(parts)}"),
        own_code=True,
    )


def untrained(model: Model, seed: int = 0) -> Model:
    """Build the same architecture with random weights.

    Parameters
    ----------
    model : Model
        It is unchanged.
    seed : int
        Seed of the random weights.

    Raises
    ------
    ModelError
        When the architecture is neither in timm nor a user's module whose submodules all have ``reset_parameters``.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> from brainscore_itmaps.models.model import untrained
    >>> print(untrained(load_model("timm:test_resnet", "random"), seed=7).weights)
    random (seed 7)
    """
    if model.own_code:
        module = _reset(model, seed)
    else:
        try:
            architecture = model.spec.architecture
            without_tag = architecture if source_of(architecture) else architecture.split(".")[0]
            module = build(without_tag, seed, **model.spec.options)
        except RuntimeError as error:  # timm raises it for an unknown architecture
            raise ModelError(
                f"{model.name} cannot be re-initialised with random weights: {one_line(error)}.",
                "Choose a model of timm, or give the model as a torch module.",
            ) from error
    module.eval().to(next(model.module.parameters()).device)
    weights = Weights("random", seed=seed)
    return replace(
        model,
        module=module,
        weights=replace(weights, sha256=hash_parameters(module)),
        request=replace(model.request, weights=weights),
        top1=None,
    )


def _reset(model: Model, seed: int) -> torch.nn.Module:
    """Copy a user's module, and re-initialise every submodule with its ``reset_parameters``."""
    module = copy.deepcopy(model.module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, submodule in module.named_modules():
            if callable(reset := getattr(submodule, "reset_parameters", None)):
                reset()
            elif next(submodule.parameters(recurse=False), None) is not None:
                raise ModelError(
                    f"{model.name} cannot be re-initialised with random weights: {name or 'the module'} "
                    f"({type(submodule).__name__}) has no reset_parameters.",
                    "Define this method, as torch's modules do, or choose another benchmark.",
                )
    return module


def hash_parameters(module: torch.nn.Module) -> str:
    """Compute the SHA-256 of the names, types, shapes and values of all parameters and buffers.

    Tensors may have any type and layout (bfloat16, float8, complex, quantised, sparse); extra state of modules counts.

    Raises
    ------
    ModelError
        When a tensor is on the meta device.

    Examples
    --------
    >>> import torch
    >>> from brainscore_itmaps.models.model import hash_parameters
    >>> module = torch.nn.Linear(3, 2)
    >>> before = hash_parameters(module)
    >>> torch.nn.init.zeros_(module.bias) is module.bias and hash_parameters(module) != before
    True
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, torch.Tensor):  # of quantised modules, and of those with get_extra_state
            digest.update(f"{name} ".encode())
            _update_with_state(digest, value)
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes_of(name, value))
    return digest.hexdigest()


def _bytes_of(name: str, tensor: torch.Tensor) -> bytes:
    """Return the values of a tensor of any type and layout as bytes."""
    tensor = tensor.detach()
    if tensor.is_meta:
        raise ModelError(
            f"{name} is on the meta device, which has no values.", "Load its weights with load_state_dict(assign=True)."
        )
    if tensor.is_quantized:
        return f"{tensor.qscheme()} ".encode() + _bytes_of(name, tensor.dequantize())  # integers, scale and zero point
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    plain = tensor.cpu().resolve_conj().resolve_neg().contiguous().view(-1)
    return plain.view(torch.uint8).numpy().tobytes()


def _update_with_state(digest: "hashlib._Hash", value: object) -> None:
    """Update a hash with any object that a ``state_dict`` holds."""
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes_of("a tensor", value))
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            digest.update(f"{key}=".encode())
            _update_with_state(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}:".encode())
        for item in value:
            _update_with_state(digest, item)
    elif isinstance(value, bytes | bytearray):
        digest.update(value)
    elif isinstance(value, io.BytesIO):
        digest.update(value.getvalue())
    elif hasattr(value, "__dict__"):
        digest.update(type(value).__qualname__.encode())
        _update_with_state(digest, vars(value))
    else:
        digest.update(re.sub(" at 0x[0-9a-f]+", "", repr(value)).encode())
