"""Where a training run stands, so that a killed one goes on as if nothing had happened."""

import re
import shutil
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ModelError, one_line
from brainscore_itmaps.files import new_folder

FOLDER = "checkpoints"
WEIGHTS = "model.safetensors"
STATE = "state.pt"
KEPT = 2
NAMED = re.compile(r"step-(\d+)")


def save_checkpoint(run: Path, step: int, module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write a checkpoint, and remove all but the last two.

    The rates, the order of pictures and torch's randomness depend on the seed and the step alone: weights, the
    optimiser's state and the step are all that there is to keep.

    Parameters
    ----------
    run : Path
        Folder of the run.
    step : int
        Steps that were done.
    module : torch.nn.Module
    optimiser : torch.optim.Optimizer

    Raises
    ------
    InstallationError
        When it cannot be written; earlier ones are as they were.
    """
    from safetensors.torch import save_model

    folder = run / FOLDER / f"step-{step:08d}"
    if folder.exists():
        return
    with new_folder(folder, "Name another folder with --out.") as new:
        save_model(module, str(new / WEIGHTS))
        torch.save(optimiser.state_dict(), new / STATE)
    for _, old in _checkpoints(run)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def go_on(run: Path, module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Put a run back to where its last checkpoint was written.

    Returns
    -------
    int
        Steps that were done; 0 where there is no checkpoint.

    Raises
    ------
    ModelError
        When the last checkpoint is damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    found = _checkpoints(run)
    if not found:
        return 0
    step, folder = found[-1]
    try:
        load_model(module, folder / WEIGHTS)
        state: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        optimiser.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be gone on from: {one_line(error)}.", "Delete it, and the one before is taken."
        ) from error
    return step


def _checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Complete ones, the earliest first."""
    named = ((NAMED.fullmatch(folder.name), folder) for folder in (run / FOLDER).glob("step-*"))
    return sorted((int(match[1]), folder) for match, folder in named if match)
