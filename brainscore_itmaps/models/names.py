"""Check the names of models, architectures and weights, without importing torch."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.models.runs import is_run
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO

WEIGHT_WORDS = ("pretrained", "random")
KERAS_SUFFIXES = (".h5", ".hdf5")
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", *KERAS_SUFFIXES)


def is_user_model(name: str) -> bool:
    """Return whether a name is a user's model: a weight file, a function in a Python file, or a training run.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_user_model
    >>> is_user_model("weights.safetensors"), is_user_model("timm:resnet18")
    (True, False)
    """
    return not name.startswith("timm:") and (is_code(name) or Path(name).suffix in WEIGHT_SUFFIXES or is_run(name))


def is_named_model(name: str) -> bool:
    """Return whether :func:`brainscore_itmaps.load_model` loads a name; otherwise Brain-Score loads it.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_named_model
    >>> is_named_model("efficientnet_lite0"), is_named_model("alexnet")
    (True, False)
    """
    return name in ZOO or name.startswith("timm:") or is_user_model(name)


def is_code(name: str) -> bool:
    """Return whether a name refers to a function in a Python file, such as ``my_file.py:build``.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_code
    >>> is_code("my_file.py:build"), is_code("timm:resnet18")
    (True, False)
    """
    return name.rpartition(":")[0].endswith(".py")


def check_model_name(name: str, arch: str | None = None) -> None:
    """Check that a model exists, without importing timm.

    Parameters
    ----------
    name : str
        As for :func:`brainscore_itmaps.load_model`.
    arch : str, optional
        Architecture, if the name is a weight file.

    Raises
    ------
    ModelError
        When the model is unknown; the message lists similar names.
    UsageError
        When the architecture of a weight file is missing, or is given for another model.

    Examples
    --------
    >>> from brainscore_itmaps.errors import ModelError
    >>> from brainscore_itmaps.models.names import check_model_name
    >>> check_model_name("efficientnet_lite0")
    >>> try:
    ...     check_model_name("resnet18")
    ... except ModelError as error:
    ...     print(error)
    There is no model named 'resnet18', but timm has one. Use timm:resnet18.
    """
    if arch is not None and (is_code(name) or is_run(name) or not is_user_model(name)):
        raise UsageError(f"{name} has its architecture already.", "Omit --arch; it is for weight files only.")
    if is_run(name):
        return
    if is_user_model(name):
        file = Path(name.rpartition(":")[0] if is_code(name) else name).expanduser()
        if not file.is_file():
            raise ModelError(f"There is no file {file}.", "Give the path of a weight file, or file.py:function.")
        if is_code(name):
            return
        if arch is None:
            raise UsageError(f"The architecture of {name} is missing.", "Add it, for example --arch resnet50.")
        name = named_architecture(arch)
    if name.startswith("timm:"):
        architecture = name.removeprefix("timm:").split(".")[0]
        if not architecture:
            raise ModelError("The name after timm: is missing.", "Add it, for example --model timm:resnet50.")
        if architecture not in timm_architectures():
            raise ModelError(
                f"timm has no architecture named {architecture!r}.", nearest(architecture, timm_architectures())
            )
    elif name not in ZOO:
        if name.split(".")[0] in timm_architectures():
            raise ModelError(f"There is no model named {name!r}, but timm has one.", f"Use timm:{name}.")
        raise ModelError(
            f"There is no model named {name!r}.", nearest(name, ZOO, f"Known: {', '.join(ZOO)}, timm:<name>.")
        )


def named_architecture(arch: str) -> str:
    """Return the model name of an ``--arch``, adding ``timm:`` to names that are not in the zoo.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import named_architecture
    >>> named_architecture("resnet50"), named_architecture("harmonized_vgg16")
    ('timm:resnet50', 'harmonized_vgg16')
    """
    return arch if arch in ZOO or arch.startswith("timm:") else f"timm:{arch}"


def requested_weights(weights: str | Path = "pretrained", seed: int = 0) -> Weights:
    """Convert ``--weights`` to a description of the weights: "pretrained", "random", or the path of a file.

    Raises
    ------
    UsageError
        When the weights are not "pretrained", "random" or a file.
    ModelError
        When the file does not exist.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import requested_weights
    >>> print(requested_weights("random", seed=3))
    random (seed 3)
    """
    if weights in WEIGHT_WORDS:
        return Weights("random", seed=seed) if weights == "random" else Weights()
    file = Path(weights).expanduser()
    if file.is_file():
        return Weights("file", path=str(file))
    if isinstance(weights, Path) or file.suffix in WEIGHT_SUFFIXES:
        raise ModelError(f"There is no file {file}.", "Give the path of a weight file.")
    raise UsageError(
        f"There are no weights named {weights!r}.", f"Give {' or '.join(WEIGHT_WORDS)}, or the path of a weight file."
    )


def timm_architectures() -> frozenset[str]:
    """List the names of timm's architectures, without importing timm.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import timm_architectures
    >>> "resnet18" in timm_architectures()
    True
    """
    return frozenset(timm_families())


@cache
def timm_families() -> dict[str, str]:
    """Map each of timm's architectures to the module that defines it, by parsing timm's source files.

    Importing timm instead would take seconds.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import timm_families
    >>> timm_families()["vit_base_patch16_224"]
    'vision_transformer'
    """
    module = importlib.util.find_spec("timm")
    if module is None or module.origin is None:
        return {}
    definition = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
    files = sorted((Path(module.origin).parent / "models").glob("*.py"))
    return {name: file.stem for file in files for name in definition.findall(file.read_text("utf-8"))}
