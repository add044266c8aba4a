"""Networks that were trained here: a folder with weights, and a record of what they are for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import replacing, write_json
from brainscore_itmaps.models.spec import ModelSpec

if TYPE_CHECKING:  # a name is looked at before torch is needed
    import torch

RECORD = "network.json"
WEIGHTS = "model.safetensors"


def is_run(name: str) -> bool:
    """Is this the folder of a network that was trained here?"""
    return (Path(name).expanduser() / RECORD).is_file()


def save_run(folder: Path, network: str, module: "torch.nn.Module", spec: ModelSpec, told: Mapping[str, Any]) -> None:
    """Write a network so that it can be loaded by the name of the folder.

    Parameters
    ----------
    folder : Path
    network : str
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

    from brainscore_itmaps.models.network import hash_of

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    with replacing(folder / WEIGHTS) as beside:
        save_file(tensors, beside)
    record = {
        "network": network,
        "sha256": hash_of(module),
        "preprocessing": {name: getattr(spec, name) for name in ("size", "mean", "std", "interpolation", "crop")},
        "trained": dict(told),
    }
    write_json(folder / RECORD, record)


def read_run(folder: Path) -> dict[str, Any]:
    """Read a network's record.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["preprocessing"]["size"], record["network"], record["sha256"], record["trained"]["summary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / RECORD} is damaged.", f"Load {WEIGHTS} beside it with --arch, or train again."
        ) from error
    return record
