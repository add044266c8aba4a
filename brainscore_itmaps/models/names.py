"""Check which names are models, without importing torch."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.models.runs import is_run
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO

WEIGHTS = ("pretrained", "random")
KERAS_SUFFIXES = (".h5", ".hdf5")
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", *KERAS_SUFFIXES)


def is_user_model(name: str) -> bool:
    """Return whether this names a user's model: a file of weights, a function in a Python file, or a training run."""
    return not name.startswith("timm:") and (is_code(name) or Path(name).suffix in WEIGHT_SUFFIXES or is_run(name))


def is_named_model(name: str) -> bool:
    """Return whether our own hooks read this model; otherwise Brain-Score loads it."""
    return name in ZOO or name.startswith("timm:") or is_user_model(name)


def is_code(name: str) -> bool:
    """Return whether this has the form ``my_file.py:build``."""
    return name.rpartition(":")[0].endswith(".py")


def check_model_name(name: str, arch: str | None = None) -> None:
    """Check the name of a model without importing timm.

    Parameters
    ----------
    name : str
        See :func:`brainscore_itmaps.load_model`.
    arch : str, optional
        The architecture, where the name is that of a file of weights.

    Raises
    ------
    ModelError
        With the names that look most like it.
    UsageError
        When the architecture is missing, or said where it is not wanted.
    """
    if arch is not None and (is_code(name) or is_run(name) or not is_user_model(name)):
        raise UsageError(f"{name} has its architecture already.", "Leave out --arch; it is for a file of weights.")
    if is_run(name):
        return
    if is_user_model(name):
        file = Path(name.rpartition(":")[0] if is_code(name) else name).expanduser()
        if not file.is_file():
            raise ModelError(f"There is no file {file}.", "Name a file with weights, or file.py:function.")
        if is_code(name):
            return
        if arch is None:
            raise UsageError(f"The architecture of {name} is missing.", "Add its architecture: --arch resnet50.")
        name = named_architecture(arch)
    if name.startswith("timm:"):
        architecture = name.removeprefix("timm:").split(".")[0]
        if not architecture:
            raise ModelError("The name after timm: is missing.", "For example --model timm:resnet50.")
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
    """Return the timm name of an ``--arch``, which is a model of the zoo or of timm."""
    return arch if arch in ZOO or arch.startswith("timm:") else f"timm:{arch}"


def requested_weights(weights: str | Path = "pretrained", seed: int = 0) -> Weights:
    """Parse the requested weights: a word, or the name of a file.

    Raises
    ------
    UsageError
        When it is neither a word that we know nor the name of a file.
    ModelError
        When there is no such file.
    """
    if weights in WEIGHTS:
        return Weights("random", seed=seed) if weights == "random" else Weights()
    file = Path(weights).expanduser()
    if file.is_file():
        return Weights("file", path=str(file))
    if isinstance(weights, Path) or file.suffix in WEIGHT_SUFFIXES:
        raise ModelError(f"There is no file {file}.", "Name a file with weights.")
    raise UsageError(f"There are no weights named {weights!r}.", f"Ask for {' or '.join(WEIGHTS)}, or name a file.")


def timm_architectures() -> frozenset[str]:
    """List the names of timm's architectures."""
    return frozenset(timm_families())


@cache
def timm_families() -> dict[str, str]:
    """Map each architecture to its source file in timm, read as text because importing timm takes seconds."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        return {}
    decorated = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
    files = sorted((Path(found.origin).parent / "models").glob("*.py"))
    return {name: file.stem for file in files for name in decorated.findall(file.read_text("utf-8"))}
