"""Checkpoints and CSV logs of a training run, from which an interrupted run resumes exactly."""

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from brainscore_itmaps.errors import DAMAGED, ModelError, one_line
from brainscore_itmaps.files import new_folder, replacing, sha256

FOLDER = "checkpoints"
WEIGHTS = "model.safetensors"
STATE = "state.pt"
MANIFEST = "checkpoint.json"
"""File with the step, the hash of the run's settings, and the hashes of the other files."""
DELETE = "Delete it, and the run resumes from the checkpoint before it."
CHECKPOINTS_KEPT = 2
FOLDER_NAME = re.compile(r"step-(\d{8,})")


def save_checkpoint(
    run: Path, step: int, module: torch.nn.Module, optimiser: torch.optim.Optimizer, settings: str
) -> None:
    """Write a checkpoint with the hashes of its files, and delete all but the last two checkpoints.

    A checkpoint holds the weights, the optimiser's state and the step. The learning rate, the order of images and
    torch's random state depend on the seed and the step alone.

    Parameters
    ----------
    run : Path
        Folder of the run.
    step : int
        Number of steps that are done.
    module : torch.nn.Module
    optimiser : torch.optim.Optimizer
    settings : str
        Hash of the run's settings.

    Raises
    ------
    InstallationError
        When the checkpoint cannot be written; earlier checkpoints are unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> from brainscore_itmaps.training.checkpoint import resume_from_checkpoint, save_checkpoint
    >>> module = torch.nn.Linear(3, 2)
    >>> optimiser = torch.optim.SGD(module.parameters(), 0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder), 5, module, optimiser, "hash")
    ...     resume_from_checkpoint(Path(folder), module, optimiser, "hash", steps=20)
    5
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    folder = run / FOLDER / f"step-{step:08d}"
    if folder.exists():
        return
    with new_folder(folder, "Name another folder.") as new:
        try:
            save_model(module, str(new / WEIGHTS))
        except SafetensorError as error:  # the disk is full
            raise OSError(one_line(error)) from error
        torch.save(optimiser.state_dict(), new / STATE)
        manifest = {
            "step": step,
            "settings": settings,
            "sha256": {name: sha256(new / name) for name in (WEIGHTS, STATE)},
        }
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for _, older in _checkpoints(run)[:-CHECKPOINTS_KEPT]:
        shutil.rmtree(older, ignore_errors=True)


def resume_from_checkpoint(
    run: Path, module: torch.nn.Module, optimiser: torch.optim.Optimizer, settings: str, steps: int
) -> int:
    """Load the weights and the optimiser's state from the last checkpoint of a run.

    Parameters
    ----------
    run : Path
        Folder of the run.
    module : torch.nn.Module
    optimiser : torch.optim.Optimizer
    settings : str
        Hash of the run's settings.
    steps : int
        Number of steps of the complete run.

    Returns
    -------
    int
        Number of steps that are done; 0 if there is no checkpoint.

    Raises
    ------
    ModelError
        When the last checkpoint is damaged, was changed, or belongs to another run or model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> from brainscore_itmaps.training.checkpoint import resume_from_checkpoint
    >>> module = torch.nn.Linear(3, 2)
    >>> optimiser = torch.optim.SGD(module.parameters(), 0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     resume_from_checkpoint(Path(folder), module, optimiser, "hash", steps=20)
    0
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    checkpoints = _checkpoints(run)
    if not checkpoints:
        return 0
    step, folder = checkpoints[-1]
    _check_checkpoint(folder, step, settings, steps)
    try:
        load_model(module, folder / WEIGHTS)
        state: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        optimiser.load_state_dict(state)
    except (SafetensorError, *DAMAGED) as error:
        raise ModelError(f"The run cannot resume from {folder}: {one_line(error)}.", DELETE) from error
    return step


def _check_checkpoint(folder: Path, step: int, settings: str, steps: int) -> None:
    """Check that this run wrote a checkpoint at that step, and that its files are unchanged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        stored_step, stored_settings, hashes = manifest["step"], manifest["settings"], manifest["sha256"]
        changed = [name for name in (WEIGHTS, STATE) if hashes[name] != sha256(folder / name)]
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} has no {Path(str(error.filename)).name}: it is incomplete or from an earlier version.",
            DELETE,
        ) from error
    except DAMAGED as error:
        raise ModelError(f"{folder / MANIFEST} is damaged: {one_line(error)}.", DELETE) from error
    if changed:
        raise ModelError(f"{folder / changed[0]} was changed after it was written: its hash does not match.", DELETE)
    if stored_settings != settings:
        raise ModelError(f"{folder} was written by another run.", DELETE)
    if stored_step != step:
        raise ModelError(f"{folder} contains step {stored_step}, not {step}.", DELETE)
    if step > steps:
        raise ModelError(f"{folder} was not written by this run, which ends after {steps} steps.", DELETE)


def _checkpoints(run: Path) -> list[tuple[int, Path]]:
    """List the steps and folders of the complete checkpoints, the earliest first."""
    matches = ((FOLDER_NAME.fullmatch(folder.name), folder) for folder in (run / FOLDER).glob("step-*"))
    return sorted((int(match[1]), folder) for match, folder in matches if match)


STEPS = "log.csv"
EPOCHS = "epochs.csv"


class Log:
    """The CSV logs of a run, to which lines are appended.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    start : int
        Number of steps that are done; lines of later steps, which an interrupted run left, are removed.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        for name in (STEPS, EPOCHS):
            lines = self._lines(name)
            try:
                remaining = [line for line in lines if float(line["step"]) <= start]
            except DAMAGED as error:
                raise self._damaged(name, error) from error
            if len(remaining) < len(lines):
                with replacing(folder / name) as temporary:
                    temporary.write_text(_csv_text(remaining, header=True), encoding="utf-8")

    def write(self, name: str, numbers: dict[str, float]) -> None:
        """Append a line to a log; a value that is NaN is written as an empty field."""
        file = self.folder / name
        header = not file.exists() or file.stat().st_size == 0
        with file.open("a", encoding="utf-8") as log:
            log.write(_csv_text([{key: _number_text(value) for key, value in numbers.items()}], header))

    def last(self, name: str) -> dict[str, float]:
        """Return the last line of a log, or an empty dictionary if there is none."""
        lines = self._lines(name)
        try:
            return {key: float(value or "nan") for key, value in lines[-1].items()} if lines else {}
        except DAMAGED as error:
            raise self._damaged(name, error) from error

    def _lines(self, name: str) -> list[dict[str, str]]:
        """Read the complete lines of a log, and remove the incomplete last line that an interrupted run may leave."""
        file = self.folder / name
        if not file.exists():
            return []
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from error
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            with replacing(file) as temporary:
                temporary.write_text(complete, encoding="utf-8")
        try:
            return list(csv.DictReader(io.StringIO(complete)))
        except csv.Error as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: Exception) -> ModelError:
        return ModelError(
            f"{self.folder / name} is damaged: {one_line(error)}.",
            "Delete it, and the run resumes without the lines of earlier steps.",
        )


def _csv_text(lines: list[dict[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0].keys() if lines else [], lineterminator="\n")
    if header and lines:
        writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _number_text(value: float) -> str:
    return str(value) if isinstance(value, int) else ("" if value != value else f"{value:.7g}")
