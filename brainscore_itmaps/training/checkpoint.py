"""Checkpoints and logs of a training run, so that an interrupted run resumes exactly."""

import csv
import io
import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import ModelError, one_line
from brainscore_itmaps.files import new_folder, replacing, sha256

FOLDER = "checkpoints"
WEIGHTS = "model.safetensors"
STATE = "state.pt"
MANIFEST = "checkpoint.json"
"""Step, hash of the run's settings, and hashes of the other files."""
DELETE = "Delete it, and the run resumes from the checkpoint before it."
KEPT = 2
NAMED = re.compile(r"step-(\d{8,})")


def save_checkpoint(
    run: Path, step: int, module: torch.nn.Module, optimiser: torch.optim.Optimizer, settings: str
) -> None:
    """Write a checkpoint with the hashes of its files, and remove all but the last two.

    The rates, the order of images and torch's randomness depend on the seed and the step alone: weights, the
    optimiser's state and the step are all that there is to keep.

    Parameters
    ----------
    run : Path
        Folder of the run.
    step : int
        Steps that were done.
    module : torch.nn.Module
    optimiser : torch.optim.Optimizer
    settings : str
        Hash of the run's settings.

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
        manifest = {
            "step": step,
            "settings": settings,
            "sha256": {name: sha256(new / name) for name in (WEIGHTS, STATE)},
        }
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for _, old in _checkpoints(run)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def resume_from_checkpoint(
    run: Path, module: torch.nn.Module, optimiser: torch.optim.Optimizer, settings: str, steps: int
) -> int:
    """Restore a run from its last checkpoint.

    Parameters
    ----------
    run : Path
        Folder of the run.
    module : torch.nn.Module
    optimiser : torch.optim.Optimizer
    settings : str
        Hash of the run's settings.
    steps : int
        Of the whole run.

    Returns
    -------
    int
        Steps that were done; 0 where there is no checkpoint.

    Raises
    ------
    ModelError
        When the last checkpoint is damaged, was changed, or belongs to another run or model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    found = _checkpoints(run)
    if not found:
        return 0
    step, folder = found[-1]
    _check(folder, step, settings, steps)
    try:
        load_model(module, folder / WEIGHTS)
        state: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        optimiser.load_state_dict(state)
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, ValueError, EOFError, LookupError,
            TypeError, AttributeError) as error:  # fmt: skip
        raise ModelError(f"{folder} cannot be resumed from: {one_line(error)}.", DELETE) from error
    return step


def _check(folder: Path, step: int, settings: str, steps: int) -> None:
    """Refuse a checkpoint that differs from what this run wrote at that step."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        written, own, hashes = manifest["step"], manifest["settings"], manifest["sha256"]
        changed = [name for name in (WEIGHTS, STATE) if hashes[name] != sha256(folder / name)]
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} has no {Path(str(error.filename)).name}: it is incomplete, or written by an earlier version.",
            DELETE,
        ) from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelError(f"{folder / MANIFEST} is damaged: {one_line(error)}.", DELETE) from error
    if changed:
        raise ModelError(f"{folder / changed[0]} was changed after it was written: its hash does not match.", DELETE)
    if own != settings:
        raise ModelError(f"{folder} was written by another run.", DELETE)
    if written != step:
        raise ModelError(f"{folder} holds step {written}, not {step}.", DELETE)
    if step > steps:
        raise ModelError(f"{folder} was not written by this run, which ends after {steps} steps.", DELETE)


def _checkpoints(run: Path) -> list[tuple[int, Path]]:
    """List complete checkpoints, the earliest first."""
    named = ((NAMED.fullmatch(folder.name), folder) for folder in (run / FOLDER).glob("step-*"))
    return sorted((int(match[1]), folder) for match, folder in named if match)


STEPS = "log.csv"
EPOCHS = "epochs.csv"


class Log:
    """CSV files of a run, which grow line by line.

    Parameters
    ----------
    folder : Path
    start : int
        Steps that were done; lines after it, of a run that was killed, are taken away.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        for name in (STEPS, EPOCHS):
            lines = self._lines(name)
            kept = [line for line in lines if float(line["step"]) <= start]
            if len(kept) < len(lines):
                with replacing(folder / name) as beside:
                    beside.write_text(_text(kept, header=True), encoding="utf-8")

    def write(self, name: str, numbers: dict[str, float]) -> None:
        """Add a line; numbers that are not finite stay empty."""
        file = self.folder / name
        header = not file.exists() or file.stat().st_size == 0
        with file.open("a", encoding="utf-8") as opened:
            opened.write(_text([{key: _shown(value) for key, value in numbers.items()}], header))

    def last(self, name: str) -> dict[str, float]:
        """Return the last line; empty if there is none."""
        lines = self._lines(name)
        return {key: float(value or "nan") for key, value in lines[-1].items()} if lines else {}

    def _lines(self, name: str) -> list[dict[str, str]]:
        """List complete lines: a killed run may leave half a line at the end of a file."""
        file = self.folder / name
        if not file.exists():
            return []
        text = file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            with replacing(file) as beside:
                beside.write_text(whole, encoding="utf-8")
        return list(csv.DictReader(io.StringIO(whole)))


def _text(lines: list[dict[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0].keys() if lines else [], lineterminator="\n")
    if header and lines:
        writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else ("" if value != value else f"{value:.7g}")
