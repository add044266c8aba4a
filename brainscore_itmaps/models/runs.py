"""Models trained here: a folder with weights and a record."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import replacing, write_json
from brainscore_itmaps.models.spec import ModelSpec

if TYPE_CHECKING:  # a name is looked at before torch is needed
    import torch

RECORD = "run.json"
OLDER_RECORD = "network.json"
"""As version 0.1 wrote it."""
WEIGHTS = "model.safetensors"


def is_run(name: str) -> bool:
    """Return whether this is the folder of a model that was trained here."""
    folder = Path(name).expanduser()
    return (folder / RECORD).is_file() or (folder / OLDER_RECORD).is_file()


def save_run(folder: Path, model: str, module: "torch.nn.Module", spec: ModelSpec, told: Mapping[str, Any]) -> None:
    """Save a trained model so that it can be loaded by the name of its folder.

    Parameters
    ----------
    folder : Path
    model : str
        Whose architecture it is: a name of the zoo, or ``timm:`` and a name of timm's.
    module : torch.nn.Module
    spec : ModelSpec
        Whose preprocessing it was trained with.
    told : mapping
        How it was trained; ``summary`` is printed with its scores.

    Raises
    ------
    InstallationError
        When it cannot be written; what was there before is untouched.
    """
    from safetensors.torch import save_file

    from brainscore_itmaps.models.model import hash_of

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    with replacing(folder / WEIGHTS) as beside:
        save_file(tensors, beside)
    record = {
        "model": model,
        "sha256": hash_of(module),
        "preprocessing": {name: getattr(spec, name) for name in ("size", "mean", "std", "interpolation", "crop")},
        "trained": dict(told),
    }
    write_json(folder / RECORD, record)


def read_run(folder: Path) -> dict[str, Any]:
    """Read a model's record.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    file = folder / (RECORD if (folder / RECORD).is_file() else OLDER_RECORD)
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        record["model"] = record["model" if file.name == RECORD else "network"]
        record["preprocessing"]["size"], record["sha256"], record["trained"]["summary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged.", f"Load {WEIGHTS} beside it with --arch, or train again.") from error
    return record
