"""Check that labels of images name the classes of a model."""

import torch

from brainscore_itmaps.data.class_folders import IMAGENET_CLASSES
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.forward import logits_of
from brainscore_itmaps.models.model import Model

CLASSIFIER = "Human alignment needs the logit of each image's label: use a classifier."


def classes_of(model: Model) -> int:
    """Return the number of classes of a model.

    Raises
    ------
    ModelError
        When the model has no classifier, or does not return logits.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> classes_of(load_model("timm:test_resnet", "random"))
    1000
    """
    size, channels = model.spec.size, len(model.spec.mean)
    with torch.no_grad():
        logits = logits_of(model.run(torch.zeros(2, channels, size, size)))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        shape = f"shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise ModelError(f"{model.name} returns {shape}, not logits (image, class).", CLASSIFIER)
    if getattr(model.module, "num_classes", None) == 0:
        raise ModelError(
            f"{model.name} has no classifier: it returns {logits.shape[1]:,} features, not logits.", CLASSIFIER
        )
    return logits.shape[1]


def check_classes(model: Model, classes: int, of: str = "") -> None:
    """Check that the labels of images name the classes of a model.

    Parameters
    ----------
    model : Model
    classes : int
        Number of classes that the labels count.
    of : str
        Name of the images; by default they are ClickMe's.

    Raises
    ------
    ModelError
        When the model has another number of classes, or no classifier.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> check_classes(load_model("timm:test_resnet", "random"), 1000)
    """
    found = classes_of(model)
    if found == classes:
        return
    if of or classes != IMAGENET_CLASSES:
        raise ModelError(
            f"{model.name} has {found:,} classes; the labels{f' of {of}' if of else ''} count {classes:,}.",
            "Use a model of these classes.",
        )
    background = found == IMAGENET_CLASSES + 1
    raise ModelError(
        f"{model.name} returns {found:,} numbers for an image; the labels of ClickMe are the 1,000 classes of "
        "ImageNet-1k, and would name other classes of this model.",
        "If its first class is the background, wrap the model so that it omits that class."
        if background
        else "Use a classifier of ImageNet-1k. For files with labels of your own classes, give their number: "
        f"human_alignment(model, files, classes={found}).",
    )
