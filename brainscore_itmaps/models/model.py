"""A loaded model with its preprocessing, weights and notes."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from brainscore_itmaps.errors import ModelError, UsageError, one_line
from brainscore_itmaps.models.build import build
from brainscore_itmaps.models.preprocessing import Transform
from brainscore_itmaps.models.spec import ModelRequest, ModelSpec, Weights

IN_MEMORY = ModelRequest("", Weights("module"))
"""The request of a model that was given, not loaded."""


@dataclass(frozen=True)
class Model:
    """A loaded model that is ready to see images.

    Attributes
    ----------
    name : str
        As it was asked for; of timm's pretrained models, with the tag.
    spec : ModelSpec
        What is known of it.
    module : torch.nn.Module
        In eval mode, on the CPU.
    weights : Weights
        Where they come from, and the hash of all parameters and buffers; as text, a sentence for people.
    request : ModelRequest
        How it was asked for: :func:`~brainscore_itmaps.models.load.load_model_request` loads it again.
    top1, top1_source : float, str or None
        ImageNet accuracy of these weights in percent and who measured it, where it is known.
    notes : tuple of str
        What was decided when it was loaded and a reader of its score should know.
    transform : callable, optional
        Preprocessing that a user brought, in place of what the spec says.
    own_code : bool
        The module is code of a user's: its hash does not tell what it computes, so that nothing is looked up by it.
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

    @property
    def sha256(self) -> str:
        """Return the hash of all parameters and buffers."""
        return self.weights.sha256 or ""

    def preprocess(self, images: Sequence[Path | Image.Image], whole: bool = True) -> torch.Tensor:
        """Read images and convert them to the model's input.

        Parameters
        ----------
        images : sequence of Path or of Pillow's images
            Images of any size; converted to RGB.
        whole : bool
            True: the whole image is resized to the input, as a map needs it. False: resized and cropped at the
            centre, as the model's ImageNet accuracy was measured. A transform that a user brought is used as it is.

        Returns
        -------
        tensor, shape (image, 3, size, size)
        """
        transform = self.transform or self._timm_transform(whole)
        inputs = []
        for image in images:
            with image if isinstance(image, Image.Image) else Image.open(image) as image_file:
                image_file = image_file.convert("RGB")
                if (
                    self.transform is not None and image_file.width != image_file.height
                ):  # it might cut off what sticks out
                    image_file = image_file.resize((max(image_file.size),) * 2, Image.Resampling.BICUBIC)
                inputs.append(transform(image_file))
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
    """Move a model to the device on which it is computed.

    Parameters
    ----------
    model : Model
    device : str
        "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1" or "mps".

    Raises
    ------
    UsageError
        When there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model.module.to(torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without it, no driver, no card
        raise UsageError(
            f"There is no device {device!r} here: {one_line(error)}.", "Use --device auto, or --device cpu."
        ) from error
    return model


def untrained(model: Model, seed: int = 0) -> Model:
    """Return the same architecture with random weights.

    Raises
    ------
    ModelError
        When the architecture is none of timm's; of a user's own module, when some of its parts cannot be reset.
    """
    if model.own_code:
        module = _reset(model, seed)
    else:
        try:
            module = build(model.spec.architecture.split(".")[0], seed, **model.spec.options)
        except RuntimeError as error:  # timm's word for a name that it does not know
            raise ModelError(
                f"{model.name} cannot be re-initialised with random weights: {one_line(error)}.",
                "Give a model of timm.",
            ) from error
    module.eval().to(next(model.module.parameters()).device)
    asked = Weights("random", seed=seed)
    return replace(
        model,
        module=module,
        weights=replace(asked, sha256=hash_of(module)),
        request=replace(model.request, weights=asked),
        top1=None,
    )


def _reset(model: Model, seed: int) -> torch.nn.Module:
    """Copy a user's own module and initialise every part again as torch does."""
    module = copy.deepcopy(model.module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, part in module.named_modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
            elif next(part.parameters(recurse=False), None) is not None:
                raise ModelError(
                    f"{model.name} cannot be re-initialised with random weights: {name or 'it'} "
                    f"({type(part).__name__}) has no reset_parameters.",
                    "Give it that method, as torch's own modules have, or choose another benchmark.",
                )
    return module


def hash_of(module: torch.nn.Module) -> str:
    """Hash all parameters and buffers of a model, with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
