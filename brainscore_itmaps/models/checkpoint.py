"""Weights in a file of one's own: tensors by name, and nothing else in it."""

import pickle
import zipfile
from pathlib import Path

import torch

from brainscore_itmaps.errors import ModelError, one_line

PREFIXES = ("module.", "_orig_mod.", "model.")
SHOWN = 4
EXPORT = (
    "Export the tensors alone, where you trust the file: "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file, or of a torch file that holds a ``state_dict``. No code in it is run.

    Raises
    ------
    ModelError
        When the file is missing, damaged, or holds more than tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Name a file with weights.")
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path} holds more than tensors, or is damaged; nothing in it was run.", EXPORT) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, LookupError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} cannot be read as weights: {one_line(error)}.", "Export it again.") from error
    others = (
        [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
        if isinstance(held, dict)
        else [type(held).__name__]
    )
    if others or not held:
        more = f" ({', '.join(others[:SHOWN])})" if others else ""
        raise ModelError(f"{path} holds {'more than' if others else 'no'} tensors{more}.", EXPORT)
    tensors = {str(name): tensor for name, tensor in held.items()}
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None):  # of wrappers
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def classes_in(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> int | None:
    """How many classes weights are for, by timm's name of the classifier.

    Returns
    -------
    int or None
        0 when there is no classifier among them; None when timm does not say what it is called.
    """
    named = (getattr(module, "pretrained_cfg", None) or {}).get("classifier")
    for classifier in (named,) if isinstance(named, str) else named or ():
        weight = tensors.get(f"{classifier}.weight")
        return 0 if weight is None else len(weight)
    return None


def fill_from_tensors(module: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path, architecture: str) -> None:
    """Fill a network: every tensor is used, every parameter filled.

    Raises
    ------
    ModelError
        With what stays empty, is left over, or has another shape; the network is then of no use.
    """
    state = module.state_dict()
    empty = [name for name in state if name not in tensors and not name.endswith("num_batches_tracked")]
    left_over = [name for name in tensors if name not in state]
    wrong = [
        f"{name} {tuple(t.shape)}" for name, t in tensors.items() if name in state and t.shape != state[name].shape
    ]
    if empty or left_over or wrong:
        counted = [
            f"{len(names)} {what} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
            for names, what in (
                (empty, "parameters stay empty"),
                (left_over, "are left over"),
                (wrong, "differ in shape"),
            )
            if names
        ]
        raise ModelError(
            f"{path} does not hold the weights of {architecture}: {'; '.join(counted)}.",
            "Name the architecture that it belongs to.",
        )
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ModelError(f"{path} holds values that are not finite ({', '.join(bad[:SHOWN])}).", "Export it again.")
    module.load_state_dict(tensors, strict=False)
