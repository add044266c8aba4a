"""Train a model with the neural harmonizer, step by step, and resume from the last checkpoint."""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brainscore_itmaps.benchmark.human import human_alignment
from brainscore_itmaps.errors import InstallationError, ModelError, UsageError
from brainscore_itmaps.files import check_writable, locked, write_json
from brainscore_itmaps.metrics.alignment import agreement
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.names import check_model_name, named_architecture
from brainscore_itmaps.models.runs import save_run
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.training.batches import Batch, Mix, TrainingDataset, batches, image_folder, places
from brainscore_itmaps.training.checkpoint import EPOCHS, STEPS, Log, resume_from_checkpoint, save_checkpoint
from brainscore_itmaps.training.clickme import clickme_source, shards_of
from brainscore_itmaps.training.config import Config, learning_rate, steps_of, strength
from brainscore_itmaps.training.loss import HarmonizerLoss, LossTerms

SETTINGS = "config.json"
FREE = ("checkpoint_every", "log_every", "held_out", "workers")
"""What may change between a run and its going on."""
COMPARED = 8
"""Images of a logged step whose saliency is compared with their maps, and that are named when it fails."""
MOMENTUM = 0.9


@dataclass(frozen=True)
class Trained:
    """The outcome of a training run.

    Attributes
    ----------
    folder : Path
        Give it to ``--model``.
    steps : int
    resumed_from : int
        Steps that an earlier run had done.
    last : dict
        The last line of the log.
    held_out : dict
        The last line of the measurements on held-out images; empty where there are none.
    """

    folder: Path
    steps: int
    resumed_from: int
    last: dict[str, float]
    held_out: dict[str, float]


def harmonize(config: Config, folder: Path, *, device: str = "auto", progress: Report = silent) -> Trained:
    """Train a model with the neural harmonizer as a configuration says, or resume its training.

    In ``folder``: ``log.csv`` (every ``log_every`` steps), ``epochs.csv`` (measurements on held-out images), the last
    two checkpoints, and after every epoch the model, which ``brainscore score --model folder`` takes.

    On the CPU, a run that was killed and goes on gives the same weights, bit for bit. Under ``accelerate launch`` all
    processes share each step.

    Parameters
    ----------
    config : Config
    folder : Path
        Made if need be.
    device : "auto" or "cpu"
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    UsageError
        When the folder holds another run, or the images are not there.
    ModelError
        When the model is not known; when the loss or its gradient is not finite, with the step and the images. The
        last checkpoint is from before.
    DataError, InstallationError
        When an image cannot be read; when the folder cannot be written to, or accelerate is not installed.
    """
    accelerator = _accelerator(device)
    check_writable(folder / SETTINGS, "Name another folder with --out.")
    mix = _mix(config)
    loaded = _model(config)
    per_epoch = mix.steps(config.batch_size)
    total = steps_of(config, per_epoch)
    parts = accelerator.num_processes * config.accumulate
    if config.batch_size % parts:
        raise UsageError(
            f"Batches of {config.batch_size} cannot be shared by {accelerator.num_processes} processes in "
            f"{config.accumulate} parts each.",
            "Give a batch_size that can be divided by both.",
        )
    held = locked(folder, "Name another folder with --out.", progress) if accelerator.is_main_process else None
    with held or contextlib.nullcontext(), torch.random.fork_rng():
        told = config.to_dict() | {"images": [len(mix.mapped), len(mix.plain) if mix.plain else 0]}
        _check_same_run(told, folder, accelerator.is_main_process)
        optimiser = _optimiser(config, loaded.module)
        start = resume_from_checkpoint(folder, loaded.module, optimiser, _settings(told), total)
        model, optimiser = accelerator.prepare(loaded.module.train(), optimiser)
        logs = Log(folder, start) if accelerator.is_main_process else None
        order = places(mix, config.batch_size, parts, _own(accelerator, config), start, total)
        shown = TrainingDataset(mix, config.data, loaded.spec, config.classes)
        reading = batches(shown, order, config.data.workers)
        last: dict[str, float] = {}
        for step in range(start, total):
            began = time.perf_counter()
            logged = (step + 1) % config.log_every == 0 or step + 1 == total
            numbers = _step(config, model, optimiser, accelerator, reading, step, per_epoch, logged)
            done = step + 1
            if logged:
                last = {"step": done, "epoch": done / per_epoch} | numbers | {"seconds": time.perf_counter() - began}
                if logs is not None:
                    logs.write(STEPS, last)
            progress(_told(last or numbers), done, total)
            ended = done == total or int(done / per_epoch) > int(step / per_epoch)
            if ended and logs is not None:
                _end_epoch(config, folder, loaded, logs, done, per_epoch, progress)
            if accelerator.is_main_process and (ended or done % config.checkpoint_every == 0):
                save_checkpoint(
                    folder, done, loaded.module, optimiser, _settings(told)
                )  # last: all it is of is written
            if ended:
                accelerator.wait_for_everyone()
    log = Log(folder, total)
    return Trained(folder, total, start, log.last(STEPS), log.last(EPOCHS))


def _step(
    config: Config,
    model: torch.nn.Module,
    optimiser: Any,
    accelerator: Any,
    reading: Iterator[Batch],
    step: int,
    per_epoch: float,
    logged: bool,
) -> dict[str, float]:
    """Show the images of one step, and update the weights once."""
    loss = HarmonizerLoss(
        strength(config, step, per_epoch),
        config.loss.lambda_weights,
        config.loss.label_smoothing,
        config.loss.levels,
        config.loss.saliency_in_float32,
    )
    rate = learning_rate(config, step, per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    seen, names = [], []
    for part in range(config.accumulate):
        batch = next(reading)
        names += batch.names
        torch.manual_seed(_seed(config.seed, step, part, accelerator.process_index))  # of dropout
        more = part + 1 < config.accumulate
        halved = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=config.precision == "bf16")
        with accelerator.no_sync(model) if more else contextlib.nullcontext(), halved:
            parts = loss(model, *(given.to(accelerator.device) for given in batch[:4]))
            accelerator.backward(parts.total / config.accumulate)
        seen.append(_numbers(parts, batch, logged))
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimiser.clip or float("inf"))
    numbers = _over_all(seen, float(norm), accelerator)
    _check_finite(numbers, step, names)
    optimiser.step()
    return {"lr": rate, "lambda_harmonization": loss.lambda_harmonization} | numbers


def _numbers(parts: LossTerms, batch: Batch, logged: bool) -> dict[str, float]:
    right = parts.logits.argmax(dim=1).cpu() == batch.labels
    mapped = batch.tokens.nonzero()[:COMPARED, 0] if logged else batch.tokens.new_zeros(0).long()
    alignment = float("nan")
    if len(mapped):
        saliency = parts.gradient.cpu()[mapped].abs().amax(dim=1).numpy()
        alignment = agreement(saliency, batch.heatmaps[mapped].numpy()).raw
    told = {
        name: float(getattr(parts, name).detach()) for name in ("total", "cross_entropy", "weights", "harmonization")
    }
    return told | {"accuracy": 100 * float(right.float().mean()), "alignment": alignment}


def _over_all(seen: list[dict[str, float]], norm: float, accelerator: Any) -> dict[str, float]:
    """Average over the parts of a step, and over processes."""
    values = [np.mean([numbers[name] for numbers in seen]) for name in seen[0]]
    told = torch.tensor([*values, norm], dtype=torch.float32, device=accelerator.device)
    return dict(zip([*seen[0], "gradient_norm"], accelerator.reduce(told, "mean").tolist(), strict=True))


def _check_finite(numbers: dict[str, float], step: int, names: list[str]) -> None:
    if np.isfinite([numbers["total"], numbers["gradient_norm"]]).all():
        return
    named = ("cross_entropy", "harmonization", "gradient_norm")
    shown = f"{', '.join(names[:COMPARED])}{f' and {len(names) - COMPARED} more' if len(names) > COMPARED else ''}"
    raise ModelError(
        f"The loss or its gradient is not finite at step {step + 1}: "
        f"{', '.join(f'{name} {numbers[name]:g}' for name in named)}. The step showed {shown}. "
        "Its change of the weights was not made; checkpoints are from before.",
        "Lower optimiser.lr or loss.lambda_harmonization, set optimiser.clip, or look at these images.",
    )


def _end_epoch(
    config: Config, folder: Path, model: Model, logs: Log, done: int, per_epoch: float, progress: Report
) -> None:
    """Evaluate held-out images, and save the model."""
    told = {"step": done, "epoch": done / per_epoch}
    if config.data.held_out:
        model.module.eval()
        found = human_alignment(model, shards_of(config.data.held_out), progress=progress)
        model.module.train()
        measured = {"top1": found.accuracy, "spearman": found.agreement.raw, "alignment": found.agreement.score}
        logs.write(EPOCHS, told | measured)
    weighed = f"lambda {config.loss.lambda_harmonization:g}" if config.loss.lambda_harmonization else "no harmonizer"
    of = steps_of(config, per_epoch)
    summary = f"trained here: {done} of {of} steps of {config.batch_size} images, {weighed}, seed {config.seed}"
    save_run(
        folder,
        named_architecture(config.model),
        model.module,
        model.spec,
        {"summary": summary, "step": done, "steps": of, "config": config.to_dict()},
    )


def _model(config: Config) -> Model:
    """Build the model to train, with the requested number of classes and image size."""
    name = named_architecture(config.model)
    check_model_name(name)
    model = load_model(name, config.weights, config.seed)
    module = model.module
    if getattr(module, "num_classes", config.classes) != config.classes:
        torch.manual_seed(config.seed)
        module.reset_classifier(config.classes)  # type: ignore[operator]
    spec = replace(model.spec, size=config.data.size or model.spec.size)
    return replace(model, spec=spec)


def _mix(config: Config) -> Mix:
    mapped = clickme_source(config.data.clickme)
    plain = image_folder(Path(config.data.images).expanduser(), config.classes) if config.data.images else None
    if plain is not None and config.data.share == 1:
        raise UsageError("data.share is 1: no image of data.images would be shown.", "Lower it, or leave out images.")
    return Mix(mapped, plain, config.data.share, config.seed)


def _optimiser(config: Config, module: torch.nn.Module) -> torch.optim.Optimizer:
    asked = config.optimiser
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if asked.kind == "sgd":
        return torch.optim.SGD(parameters, asked.lr, momentum=MOMENTUM, nesterov=True, weight_decay=asked.weight_decay)
    return torch.optim.AdamW(parameters, asked.lr, weight_decay=asked.weight_decay)


def _accelerator(device: str) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise InstallationError(
            "Training requires accelerate, which is not installed.", "pip install 'brainscore_itmaps[train]'"
        ) from error
    if device not in ("auto", "cpu"):
        raise UsageError(f"Training cannot use device {device!r}.", "Use auto, or cpu.")
    return Accelerator(cpu=device == "cpu", mixed_precision="no")  # autocast is ours, so that the loss can leave it


def _own(accelerator: Any, config: Config) -> range:
    """List the parts of a step that this process shows."""
    first = accelerator.process_index * config.accumulate
    return range(first, first + config.accumulate)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _check_same_run(told: dict[str, Any], folder: Path, writing: bool) -> None:
    """Check that a resumed run has the settings it began with; record them for a new run."""
    file = folder / SETTINGS
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        changed = [name for name in told if name not in FREE and _fixed(told[name]) != _fixed(before.get(name))]
        if changed:
            raise UsageError(
                f"{folder} contains a run with other settings ({', '.join(changed)}).",
                "Name another folder with --out, or delete this one.",
            )
    if writing:
        write_json(file, told)


def _settings(told: dict[str, Any]) -> str:
    """Hash the settings that may not change when a run resumes."""
    fixed = {name: _fixed(value) for name, value in told.items() if name not in FREE}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _fixed(told: Any) -> Any:
    return {name: value for name, value in told.items() if name not in FREE} if isinstance(told, dict) else told


def _told(numbers: dict[str, float]) -> str:
    return (
        f"cross-entropy {numbers['cross_entropy']:.3f}, harmonization {numbers['harmonization']:.4f}, "
        f"alignment {numbers['alignment']:.2f}"
    )
