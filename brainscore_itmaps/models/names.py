"""Which names are networks; answered without importing torch."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import ModelError, nearest
from brainscore_itmaps.models.zoo import ZOO


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


@cache
def timm_architectures() -> frozenset[str]:
    """Names of timm's architectures, read from its source text: importing timm takes seconds, this does not."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        return frozenset()
    decorated = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
    models = Path(found.origin).parent / "models"
    return frozenset(name for file in models.glob("*.py") for name in decorated.findall(file.read_text("utf-8")))
