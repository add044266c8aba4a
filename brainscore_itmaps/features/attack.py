"""Attack a model on images in any form, and describe what was found, image by image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from brainscore_itmaps.data.given_images import image_pixels, images_in, listed_images
from brainscore_itmaps.errors import (
    ArrayError,
    DataError,
    ModelError,
    UsageError,
    check_type,
    checked_batch_size,
    described,
    nearest,
)
from brainscore_itmaps.features.minimum_norm import (
    ANIMATE,
    STEPS,
    Decide,
    Decision,
    check_decision,
    minimum_norm_attack,
    pixel_decision,
    rounded_norms,
)
from brainscore_itmaps.features.published_attack import STEPS as PUBLISHED_STEPS
from brainscore_itmaps.features.published_attack import unprojected_attack
from brainscore_itmaps.models.load import opened
from brainscore_itmaps.models.model import Model, on_device
from brainscore_itmaps.models.names import checked_seed
from brainscore_itmaps.models.own import Preprocessing
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import number_text

BATCH_SIZE = 10
IMAGES = "the attack"
GIVE = "Give pixels from 0 to 1, shape (image, y, x, 3) or (image, 3, y, x); or paths, Pillow images or uint8 arrays."
PROTOCOLS = ("ours", "published")
Layout = Callable[[NDArray[np.float32]], Any]
"""Function that returns pixels (image, y, x, rgb) in the layout and type in which images were given."""


@dataclass(frozen=True, eq=False)
class Attack:
    """Attacked images, and the length of their perturbations in L2, for pixels from 0 to 1 at the model's input size.

    Attributes
    ----------
    images, adversarial : float32 array or tensor
        The attacked pixels before and after the attack, in the layout of the given ones; (image, y, x, rgb) for images
        that were not given as numbers from 0 to 1. They are equal where no perturbation was found.
    norms : array, shape (image,)
        Length of each perturbation: 0 where the image is classified wrongly without one, infinite where none was found.
    norms_8_bit : array, shape (image,)
        Length at which the perturbation, enlarged as a whole, still fools after rounding to 8 bits
        (:func:`~brainscore_itmaps.features.minimum_norm.rounded_norms`).
    labels, decided : int array, shape (image,)
        Class that was attacked, and class of the attacked image; of the decision about animals, 0 for animals.
    correct : bool array, shape (image,)
        Whether the model decides for the label without a perturbation.
    """

    images: Any
    adversarial: Any
    norms: NDArray[np.float64]
    norms_8_bit: NDArray[np.float64]
    labels: NDArray[np.int64]
    decided: NDArray[np.int64]
    correct: NDArray[np.bool_]

    def __repr__(self) -> str:
        fooled = f"{int(self.fooled.sum())} of {len(self)} images fooled"
        return f"<Attack: {fooled}, perturbation tolerance {number_text(self.tolerance)}>"

    @property
    def fooled(self) -> NDArray[np.bool_]:
        """Return whether the model decides against the label on the attacked image; shape (image,)."""
        return np.isfinite(self.norms)

    @property
    def perturbations(self) -> Any:
        """Return the differences of the attacked images and the images, in their layout."""
        return self.adversarial - self.images

    @property
    def tolerance(self) -> float:
        """Return the median length over the images that are classified correctly; one not fooled is longer than all."""
        norms = self.norms[self.correct]
        return float(np.median(norms)) if len(norms) else math.nan

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.norms)


@shows_progress
def attack(
    model: str | Path | Model | torch.nn.Module,
    images: Any,
    labels: Sequence[int] | NDArray[np.integer[Any]] | torch.Tensor | int | None = None,
    *,
    steps: int | None = None,
    restarts: int = 0,
    seed: int = 0,
    decision: Decision | None = None,
    protocol: str = "ours",
    weights: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    progress: Report = silent,
) -> Attack:
    """Find the smallest perturbation of each image, in L2, that changes a model's decision.

    The attack is DeepFool over the 10 best classes and then the fast minimum-norm attack (Pintor et al. 2021, NeurIPS),
    with the model's own preprocessing inside and pixels between 0 and 1.

    Parameters
    ----------
    model : str, Path, Model or torch.nn.Module
        As for :func:`~brainscore_itmaps.load_model`, or what it returns. A module is returned to its former state.
    images : array, tensor, folder, path, Pillow image, or list of paths, Pillow images or uint8 arrays
        Floating-point arrays and tensors are pixels from 0 to 1, shape (image, y, x, 3) or (image, 3, y, x). Other
        images have any size. All are resized as a whole to the model's input size, where they have another.
    labels : sequence of int, optional
        Class of each image, counted from 0, -1 if it is unknown. By default, and for -1, the class for which the model
        decides.
    steps : int, optional
        Largest number of steps for an image: by default 300, of the published protocol 1,000. Most images are finished
        sooner.
    restarts : int
        Number of further attacks of each image from random pixels around it; the shortest perturbation counts.
    seed : int
        Seed of the random pixels.
    decision : "classes" or "animate", optional
        Attacked decision: that between all classes, or between animals and other things (ImageNet's classes 0 to 397
        and 398 to 999). By default "classes", of the published protocol "animate".
    protocol : "ours" or "published"
        "published" takes the steps of the published scripts of 2025, which project nothing, for comparison only.
    weights, preprocessing
        As for :func:`~brainscore_itmaps.load_model`.
    batch_size : int
        Number of images that are attacked together; changes the memory that is needed.
    device : str
        "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1" or "mps".
    progress : callable
        Called with (step, images finished, images in all).

    Returns
    -------
    Attack

    Raises
    ------
    UsageError
        When an option is invalid, there is not one label for each image, or a label is not a class of the model.
    DataError
        When an image cannot be read, or pixels lie outside 0 to 1.
    ModelError
        When the model is unknown, no classifier, or lets no gradient through.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> pixels = np.random.default_rng(0).uniform(size=(2, 160, 160, 3)).astype(np.float32)
    >>> found = attack(load_model("timm:test_resnet", "random"), pixels)
    >>> found.fooled.tolist(), found.norms.shape, found.adversarial.shape
    ([True, True], (2,), (2, 160, 160, 3))
    """
    batch_size, seed = checked_batch_size(batch_size), checked_seed(seed)
    settings = checked_settings(steps, restarts, decision, protocol)
    with opened(model, weights, preprocessing, progress) as given:
        loaded = on_device(given, device)
        pixels, layout = pixels_of(loaded, images)
        decide = pixel_decision(loaded, settings.decision)
        known = _checked_labels(labels, len(pixels))
        parts = []
        for first in range(0, len(pixels), batch_size):
            batch = slice(first, first + batch_size)
            found = attack_pixels(
                decide, pixels[batch], None if known is None else known[batch], settings, seed=seed,
                progress=lambda done, total, first=first: progress(
                    "attacking images", first + int(done * len(pixels[first : first + batch_size]) / total), len(pixels)
                ),
            )  # fmt: skip
            parts.append(found)
    joined = joined_attacks(parts)
    return replace(joined, images=layout(joined.images), adversarial=layout(joined.adversarial))


@dataclass(frozen=True)
class AttackSettings:
    """How images are attacked: see :func:`attack`."""

    steps: int = STEPS
    restarts: int = 0
    decision: Decision = "classes"
    protocol: str = "ours"


def checked_settings(steps: int | None, restarts: int, decision: Decision | None, protocol: str) -> AttackSettings:
    """Check the options of an attack, and replace those that are None by the defaults of the protocol.

    Raises
    ------
    UsageError
        When a number is negative or no integer, a name is unknown, or the published attack should begin again.

    Examples
    --------
    >>> checked_settings(None, 0, None, "published")
    AttackSettings(steps=1000, restarts=0, decision='animate', protocol='published')
    """
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"There is no protocol of attacks named {described(protocol)}.", nearest(str(protocol), PROTOCOLS)
        )
    published = protocol == "published"
    decision = ("animate" if published else "classes") if decision is None else decision
    check_decision(decision)
    steps = (PUBLISHED_STEPS if published else STEPS) if steps is None else steps
    for name, number in (("steps", steps), ("restarts", restarts)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise UsageError(f"The number of {name} is {described(number)}.", "Give an integer of 0 or more.")
    if published and restarts:
        raise UsageError("The published attack begins at the image, once.", "Leave out the restarts.")
    return AttackSettings(steps, restarts, decision, protocol)


def attack_pixels(
    decide: Decide,
    pixels: torch.Tensor,
    labels: NDArray[np.int64] | None,
    settings: AttackSettings,
    *,
    seed: int = 0,
    progress: Any = None,
) -> Attack:
    """Attack the pixels of one batch of images.

    Parameters
    ----------
    decide : callable
        From :func:`~brainscore_itmaps.features.minimum_norm.pixel_decision`, for the decision of the settings.
    pixels : tensor, shape (image, rgb, y, x)
        From 0 to 1.
    labels : int array, shape (image,), optional
        Classes of the model, -1 where they are unknown.
    settings : AttackSettings
    seed : int
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    Attack
        With images as arrays, (image, y, x, rgb).

    Raises
    ------
    UsageError
        When a label is not a class of the decision.

    Examples
    --------
    >>> found = attack_pixels(lambda x: x.mean(dim=(2, 3)), torch.rand(2, 3, 4, 5), None, AttackSettings())
    >>> found.adversarial.shape, found.correct.tolist()
    ((2, 4, 5, 3), [True, True])
    """
    with torch.no_grad():
        logits = decide(pixels)
    if not torch.isfinite(logits).all():
        raise ModelError("The model returns logits that are not finite numbers.", "Check its weights and precision.")
    pixels = pixels.to(logits.device)
    clean = logits.argmax(dim=1)
    targets = clean if labels is None else _targets(labels, clean, settings.decision, logits.shape[1])
    options = {} if progress is None else {"progress": progress}
    if settings.protocol == "published":
        found = unprojected_attack(decide, pixels, targets, steps=settings.steps, **options)
    else:
        found = minimum_norm_attack(
            decide, pixels, targets, steps=settings.steps, restarts=settings.restarts, seed=seed, **options
        )
    rounded = rounded_norms(decide, pixels, targets, found)
    with torch.no_grad():
        decided = decide(found.adversarial).argmax(dim=1)
    return Attack(
        *(each.permute(0, 2, 3, 1).cpu().numpy() for each in (pixels, found.adversarial)),
        *(each.cpu().double().numpy() for each in (found.norms, rounded)),
        *(each.cpu().numpy() for each in (targets, decided, clean == targets)),
    )


def joined_attacks(parts: Sequence[Attack]) -> Attack:
    """Join the attacks of several batches of images.

    Examples
    --------
    >>> one = attack_pixels(lambda x: x.mean(dim=(2, 3)), torch.rand(2, 3, 4, 5), None, AttackSettings())
    >>> len(joined_attacks([one, one]))
    4
    """
    names = ("images", "adversarial", "norms", "norms_8_bit", "labels", "decided", "correct")
    return Attack(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _targets(labels: NDArray[np.int64], clean: torch.Tensor, decision: str, classes: int) -> torch.Tensor:
    """Return the attacked class of each image in the decision; that of the model where the label is unknown."""
    given = torch.from_numpy(labels).to(clean.device)
    count = classes if decision == "classes" else 1000
    if bool((given >= count).any()):
        raise UsageError(
            f"The label {int(given.max())} is not among the {count:,} classes of the model, which are counted from 0.",
            "Give the model's classes, or -1 for the class for which it decides.",
        )
    in_decision = given if decision == "classes" else (given >= ANIMATE).long()
    return torch.where(given < 0, clean, in_decision)


def _checked_labels(labels: Any, images: int) -> NDArray[np.int64] | None:
    """Return labels as integers, one for each image."""
    if labels is None:
        return None
    try:
        array = np.asarray(labels.detach().cpu() if isinstance(labels, torch.Tensor) else labels)
    except ValueError as error:
        raise UsageError("The labels are not a list of numbers.", "Give one integer for each image.") from error
    array = array.reshape(1) if array.ndim == 0 else array
    if array.dtype.kind not in "iu":
        raise UsageError(
            f"The labels are {array.dtype}.", "Give the number of a class, counted from 0, for each image."
        )
    if array.shape != (images,):
        raise UsageError(f"There are labels of shape {array.shape} for {images} images.", "Give one for each image.")
    if (array < -1).any():
        raise UsageError(f"The label {array.min()} is no class.", "Give classes from 0, or -1 where they are unknown.")
    return array.astype(np.int64)


def _as_given(pixels: NDArray[np.float32], colours_first: bool = False, tensor: bool = False) -> Any:
    """Return pixels (image, y, x, rgb) in the layout and type in which images were given."""
    moved = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if colours_first else pixels
    return torch.from_numpy(moved) if tensor else moved


def pixels_of(model: Model, images: Any) -> tuple[torch.Tensor, Layout]:
    """Convert images in any form to pixels from 0 to 1 at the input size of a model.

    Parameters
    ----------
    model : Model
    images
        As for :func:`attack`.

    Returns
    -------
    pixels : tensor, shape (image, rgb, y, x)
    layout : callable
        Returns pixels (image, y, x, rgb) in the layout of the given images.

    Raises
    ------
    DataError, UsageError
        As for :func:`attack`.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> pixels, _ = pixels_of(load_model("timm:test_resnet", "random"), [Image.new("RGB", (40, 30), (255, 0, 0))])
    >>> pixels.shape, pixels[0, :, 0, 0].tolist()
    (torch.Size([1, 3, 160, 160]), [1.0, 0.0, 0.0])
    """
    check_type(model, Model, "a loaded model", "Give what load_model returns.")
    if isinstance(images, torch.Tensor | np.ndarray) and _is_floating(images):
        return _given_pixels(images, model.spec.size)
    if isinstance(images, str | Path):
        path = expanded(images)
        images = images_in(path) if path.is_dir() else [path]
        if not images:
            raise DataError(f"{path} contains no images.", "Give a folder of images (PNG, JPEG).")
    if isinstance(images, Image.Image):
        images = [images]
    listed = listed_images(images, IMAGES)
    if not listed:
        raise UsageError("There are no images to attack.", GIVE)
    read = [Image.fromarray(image_pixels(image, IMAGES, f"image {number}")) for number, image in enumerate(listed)]
    return torch.stack([resized_pixels(model, image) for image in read]), _as_given


def resized_pixels(model: Model, image: Image.Image) -> torch.Tensor:
    """Resize an image as a whole to the input size of a model, as its preprocessing does, to pixels from 0 to 1.

    Parameters
    ----------
    model : Model
    image : Pillow image
        8-bit RGB.

    Returns
    -------
    tensor, shape (rgb, y, x)

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> resized_pixels(load_model("timm:test_resnet", "random"), Image.new("RGB", (40, 30))).shape
    torch.Size([3, 160, 160])
    """
    from timm.data import create_transform

    transform = create_transform(
        input_size=model.spec.size, interpolation=model.spec.interpolation or "bicubic", mean=(0.0,) * 3,
        std=(1.0,) * 3, crop_pct=1.0, crop_mode="squash",
    )  # fmt: skip
    pixels: torch.Tensor = transform(image)
    return pixels.clamp(0, 1)


def _is_floating(images: Any) -> bool:
    return images.is_floating_point() if isinstance(images, torch.Tensor) else images.dtype.kind == "f"


def _given_pixels(images: torch.Tensor | NDArray[Any], size: int) -> tuple[torch.Tensor, Layout]:
    """Check pixels that were given as numbers, and resize them if they have another size."""
    tensor = (
        images.detach().cpu() if isinstance(images, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(images))
    )
    shape = tuple(tensor.shape)
    if tensor.ndim != 4 or 0 in shape or 3 not in (shape[1], shape[3]):
        raise ArrayError(f"The images are an array of shape {shape}.", GIVE)
    colours_first = shape[1] == 3
    pixels = (tensor if colours_first else tensor.permute(0, 3, 1, 2)).float()
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise ArrayError(f"The images have values from {low:g} to {high:g}.", GIVE)
    if pixels.shape[2:] != (size, size):
        pixels = functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
    return pixels.contiguous(), partial(_as_given, colours_first=colours_first, tensor=isinstance(images, torch.Tensor))
