"""Which names are networks; answered without importing torch."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.models.zoo import ZOO

WEIGHTS = ("pretrained", "random")
KERAS_SUFFIXES = (".h5", ".hdf5")
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", *KERAS_SUFFIXES)


def refuse_unknown_model(name: str) -> None:
    """Refuse a name that no network has, without importing timm.

    Raises
    ------
    ModelError
        With the names that look most like it.
    """
    if name.startswith("timm:"):
        architecture = name.removeprefix("timm:").split(".")[0]
        if not architecture:
            raise ModelError("The name after timm: is missing.", "For example --model timm:resnet50.")
        if architecture not in timm_architectures():
            raise ModelError(
                f"timm has no architecture named {architecture!r}.", nearest(architecture, timm_architectures())
            )
    elif name not in ZOO:
        raise ModelError(
            f"There is no network named {name!r}.", nearest(name, ZOO, f"Known: {', '.join(ZOO)}, timm:<name>.")
        )


def weight_file(weights: str | Path) -> Path | None:
    """The file that is meant by weights, or None where a word is.

    Raises
    ------
    UsageError
        When it is neither a word that we know nor the name of a file.
    ModelError
        When there is no such file.
    """
    if weights in WEIGHTS:
        return None
    file = Path(weights).expanduser()
    if file.is_file():
        return file
    if isinstance(weights, Path) or file.suffix in WEIGHT_SUFFIXES:
        raise ModelError(f"There is no file {file}.", "Name a file with weights.")
    raise UsageError(f"There are no weights named {weights!r}.", f"Ask for {' or '.join(WEIGHTS)}, or name a file.")


@cache
def timm_architectures() -> frozenset[str]:
    """Names of timm's architectures, read from its source text: importing timm takes seconds, this does not."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        return frozenset()
    decorated = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
    models = Path(found.origin).parent / "models"
    return frozenset(name for file in models.glob("*.py") for name in decorated.findall(file.read_text("utf-8")))
