"""Train a model with the neural harmonizer, with logs and checkpoints from which an interrupted run resumes."""

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
from brainscore_itmaps.models.checkpoint import classes_in
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.names import check_model_name, named_architecture
from brainscore_itmaps.models.runs import save_run
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.training.batches import Batch, Mix, TrainingDataset, batch_indices, batches, image_folder
from brainscore_itmaps.training.checkpoint import EPOCHS, STEPS, Log, resume_from_checkpoint, save_checkpoint
from brainscore_itmaps.training.clickme import clickme_source, shard_files
from brainscore_itmaps.training.config import Config, harmonization_weight, learning_rate, total_steps
from brainscore_itmaps.training.loss import HarmonizerLoss, LossTerms

SETTINGS = "config.json"
FREE = ("checkpoint_every", "log_every", "held_out", "workers")
"""Settings that may change when a run resumes."""
COMPARED = 8
"""Number of images of a logged step whose saliency is compared with human maps, and number of images that an error
names."""
MOMENTUM = 0.9


@dataclass(frozen=True)
class Trained:
    """The outcome of a training run.

    Attributes
    ----------
    folder : Path
        Folder of the run, which ``--model`` accepts.
    steps : int
        Number of steps of the complete run.
    resumed_from : int
        Step from which the run resumed; 0 if it started at the beginning.
    last : dict
        The last line of the log.
    held_out : dict
        The last line of the measurements on held-out images; empty if there are none.
    """

    folder: Path
    steps: int
    resumed_from: int
    last: dict[str, float]
    held_out: dict[str, float]


def harmonize(config: Config, folder: Path, *, device: str = "auto", progress: Report = silent) -> Trained:
    """Train a model with the neural harmonizer, or resume an interrupted run.

    The run writes into ``folder``: ``log.csv`` (every ``log_every`` steps), ``epochs.csv`` (measurements on held-out
    images), the last two checkpoints, and after every epoch the model, which ``brainscore score --model folder``
    accepts.

    On the CPU, an interrupted run that resumes gives the same weights as an uninterrupted run, bit for bit. Under
    ``accelerate launch``, the processes share the images of each step.

    Parameters
    ----------
    config : Config
    folder : Path
        Folder of the run; it is created if it does not exist.
    device : "auto" or "cpu"
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Trained

    Raises
    ------
    UsageError
        When the folder contains another run, or the settings contradict each other.
    ModelError
        When the model is unknown, a checkpoint is damaged, or the loss or its gradient is not finite at a step. That
        step does not change the weights.
    DataError
        When images are missing or cannot be read.
    InstallationError
        When the folder cannot be written to, or accelerate is not installed.
    """
    accelerator = _accelerator(device)
    check_writable(folder / SETTINGS, "Name another folder with --out.")
    mix = _mix(config)
    loaded = _model(config)
    steps_per_epoch = mix.steps_per_epoch(config.batch_size)
    total = total_steps(config, steps_per_epoch)
    parts = accelerator.num_processes * config.accumulate
    if config.batch_size % parts:
        raise UsageError(
            f"Batches of {config.batch_size} cannot be shared by {accelerator.num_processes} processes in "
            f"{config.accumulate} parts each.",
            "Give a batch_size that is a multiple of their product.",
        )
    lock = locked(folder, "Name another folder with --out.", progress) if accelerator.is_main_process else None
    with lock or contextlib.nullcontext(), torch.random.fork_rng():
        settings = config.to_dict() | {"images": [len(mix.mapped), len(mix.plain) if mix.plain else 0]}
        _check_same_run(settings, folder, accelerator.is_main_process)
        settings_hash = _settings_hash(settings)
        optimiser = _optimiser(config, loaded.module)
        start = resume_from_checkpoint(folder, loaded.module, optimiser, settings_hash, total)
        model, optimiser = accelerator.prepare(loaded.module.train(), optimiser)
        logs = Log(folder, start) if accelerator.is_main_process else None
        indices = batch_indices(mix, config.batch_size, parts, _parts_here(accelerator, config), start, total)
        dataset = TrainingDataset(mix, config.data, loaded.spec, config.classes)
        batch_iterator = batches(dataset, indices, config.data.workers)
        last: dict[str, float] = {}
        for step in range(start, total):
            start_time = time.perf_counter()
            logged = (step + 1) % config.log_every == 0 or step + 1 == total
            numbers = _step(config, model, optimiser, accelerator, batch_iterator, step, steps_per_epoch, logged)
            done = step + 1
            if logged:
                seconds = time.perf_counter() - start_time
                last = {"step": done, "epoch": done / steps_per_epoch} | numbers | {"seconds": seconds}
                if logs is not None:
                    logs.write(STEPS, last)
            progress(_description(last or numbers), done, total)
            epoch_ended = done == total or int(done / steps_per_epoch) > int(step / steps_per_epoch)
            if epoch_ended and logs is not None:
                _end_epoch(config, folder, loaded, logs, done, steps_per_epoch, progress)
            if accelerator.is_main_process and (epoch_ended or done % config.checkpoint_every == 0):
                # after the log and the model, so that a checkpoint implies that both are complete up to its step
                save_checkpoint(folder, done, loaded.module, optimiser, settings_hash)
            if epoch_ended:
                accelerator.wait_for_everyone()
    log = Log(folder, total)
    return Trained(folder, total, start, log.last(STEPS), log.last(EPOCHS))


def _step(
    config: Config,
    model: torch.nn.Module,
    optimiser: Any,
    accelerator: Any,
    batch_iterator: Iterator[Batch],
    step: int,
    steps_per_epoch: float,
    logged: bool,
) -> dict[str, float]:
    """Compute the loss and gradient of one step's images, and update the weights once."""
    loss = HarmonizerLoss(
        harmonization_weight(config, step, steps_per_epoch),
        config.loss.lambda_weights,
        config.loss.label_smoothing,
        config.loss.levels,
        config.loss.saliency_in_float32,
    )
    rate = learning_rate(config, step, steps_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    numbers_of_parts, names = [], []
    for part in range(config.accumulate):
        batch = next(batch_iterator)
        names += batch.names
        torch.manual_seed(_seed(config.seed, step, part, accelerator.process_index))  # for dropout
        is_last = part + 1 == config.accumulate
        autocast = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=config.precision == "bf16")
        with contextlib.nullcontext() if is_last else accelerator.no_sync(model), autocast:
            terms = loss(model, *(tensor.to(accelerator.device) for tensor in batch[:4]))
            accelerator.backward(terms.total / config.accumulate)
        numbers_of_parts.append(_numbers(terms, batch, logged))
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimiser.clip or float("inf"))
    numbers = _mean_numbers(numbers_of_parts, float(norm), accelerator)
    _check_finite(numbers, step, names)
    optimiser.step()
    return {"lr": rate, "lambda_harmonization": loss.lambda_harmonization} | numbers


def _numbers(terms: LossTerms, batch: Batch, logged: bool) -> dict[str, float]:
    """Collect the loss terms and the accuracy of a batch, and at a logged step its alignment with human maps."""
    correct = terms.logits.argmax(dim=1).cpu() == batch.labels
    mapped = batch.tokens.nonzero()[:COMPARED, 0] if logged else batch.tokens.new_zeros(0).long()
    alignment = float("nan")
    if len(mapped):
        saliency = terms.gradient.cpu()[mapped].abs().amax(dim=1).numpy()
        alignment = agreement(saliency, batch.heatmaps[mapped].numpy()).raw
    losses = {
        name: float(getattr(terms, name).detach()) for name in ("total", "cross_entropy", "weights", "harmonization")
    }
    return losses | {"accuracy": 100 * float(correct.float().mean()), "alignment": alignment}


def _mean_numbers(numbers_of_parts: list[dict[str, float]], norm: float, accelerator: Any) -> dict[str, float]:
    """Average the numbers over the parts of a step and over all processes."""
    names = list(numbers_of_parts[0])
    means = [np.mean([numbers[name] for numbers in numbers_of_parts]) for name in names]
    tensor = torch.tensor([*means, norm], dtype=torch.float32, device=accelerator.device)
    return dict(zip([*names, "gradient_norm"], accelerator.reduce(tensor, "mean").tolist(), strict=True))


def _check_finite(numbers: dict[str, float], step: int, names: list[str]) -> None:
    """Check that the loss and its gradient are finite before they change the weights."""
    if np.isfinite([numbers["total"], numbers["gradient_norm"]]).all():
        return
    values = ", ".join(f"{name} {numbers[name]:g}" for name in ("cross_entropy", "harmonization", "gradient_norm"))
    images = f"{', '.join(names[:COMPARED])}{f' and {len(names) - COMPARED} more' if len(names) > COMPARED else ''}"
    raise ModelError(
        f"The loss or its gradient is not finite at step {step + 1}: {values}. The images of this step are {images}. "
        "The step did not change the weights, and all checkpoints are from earlier steps.",
        "Lower optimiser.lr or loss.lambda_harmonization, set optimiser.clip, or inspect these images.",
    )


def _end_epoch(
    config: Config, folder: Path, model: Model, logs: Log, done: int, steps_per_epoch: float, progress: Report
) -> None:
    """Measure accuracy and human alignment on held-out images, and save the model."""
    if config.data.held_out:
        model.module.eval()
        result = human_alignment(model, shard_files(config.data.held_out), progress=progress)
        model.module.train()
        measured = {"top1": result.accuracy, "spearman": result.agreement.raw, "alignment": result.agreement.score}
        logs.write(EPOCHS, {"step": done, "epoch": done / steps_per_epoch} | measured)
    weight = f"lambda {config.loss.lambda_harmonization:g}" if config.loss.lambda_harmonization else "no harmonizer"
    steps = total_steps(config, steps_per_epoch)
    summary = f"trained here: {done} of {steps} steps of {config.batch_size} images, {weight}, seed {config.seed}"
    save_run(
        folder,
        named_architecture(config.model),
        model.module,
        model.spec,
        {"summary": summary, "step": done, "steps": steps, "config": config.to_dict()},
    )


def _model(config: Config) -> Model:
    """Load the model to train, with the requested number of classes and input size."""
    name = named_architecture(config.model)
    check_model_name(name, weights=config.weights, state_key=config.state_key or None)
    if name.startswith("hf:"):
        raise UsageError(f"{name} cannot be trained here.", "Train a model of timm, of torchvision or of this package.")
    model = load_model(name, config.weights, config.seed, state_key=config.state_key or None)
    module = model.module
    classes = getattr(module, "num_classes", classes_in(module.state_dict(), module))
    if classes not in (None, config.classes) and not hasattr(module, "reset_classifier"):
        raise UsageError(
            f"{name} has {classes} classes, and its classifier cannot be replaced.",
            f"Set classes = {classes}, or choose a model of timm.",
        )
    if classes not in (None, config.classes):
        torch.manual_seed(config.seed)
        module.reset_classifier(config.classes)  # type: ignore[operator]
    spec = replace(model.spec, size=config.data.size or model.spec.size)
    return replace(model, spec=spec)


def _mix(config: Config) -> Mix:
    """Index the training images with and without human maps."""
    mapped = clickme_source(config.data.clickme)
    plain = image_folder(Path(config.data.images).expanduser(), config.classes) if config.data.images else None
    if plain is not None and config.data.share == 1:
        raise UsageError(
            "data.share is 1, so no image of data.images would be used.", "Lower data.share, or omit data.images."
        )
    return Mix(mapped, plain, config.data.share, config.seed)


def _optimiser(config: Config, module: torch.nn.Module) -> torch.optim.Optimizer:
    settings = config.optimiser
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if settings.kind == "sgd":
        return torch.optim.SGD(
            parameters, settings.lr, momentum=MOMENTUM, nesterov=True, weight_decay=settings.weight_decay
        )
    return torch.optim.AdamW(parameters, settings.lr, weight_decay=settings.weight_decay)


def _accelerator(device: str) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise InstallationError(
            "Training requires accelerate, which is not installed.",
            "Install it: pip install 'brainscore_itmaps[train]'.",
        ) from error
    if device not in ("auto", "cpu"):
        raise UsageError(f"Training cannot use the device {device!r}.", "Use --device auto, or --device cpu.")
    # mixed precision is set in _step instead, where the loss can disable autocast
    return Accelerator(cpu=device == "cpu", mixed_precision="no")


def _parts_here(accelerator: Any, config: Config) -> range:
    """List the parts of a step that this process computes."""
    first = accelerator.process_index * config.accumulate
    return range(first, first + config.accumulate)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _check_same_run(settings: dict[str, Any], folder: Path, writing: bool) -> None:
    """Check that the settings are those with which the run in a folder started, and write them for a new run."""
    file = folder / SETTINGS
    if file.exists():
        stored = json.loads(file.read_text(encoding="utf-8"))
        changed = [name for name in settings if name not in FREE and _fixed(settings[name]) != _fixed(stored.get(name))]
        if changed:
            raise UsageError(
                f"{folder} contains a run with other settings ({', '.join(changed)}).",
                "Name another folder with --out, or delete this one.",
            )
    if writing:
        write_json(file, settings)


def _settings_hash(settings: dict[str, Any]) -> str:
    """Hash the settings that may not change when a run resumes."""
    fixed = {name: _fixed(value) for name, value in settings.items() if name not in FREE}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _fixed(setting: Any) -> Any:
    """Remove the entries that may change when a run resumes, if the setting is a table."""
    if not isinstance(setting, dict):
        return setting
    return {name: value for name, value in setting.items() if name not in FREE}


def _description(numbers: dict[str, float]) -> str:
    return (
        f"cross-entropy {numbers['cross_entropy']:.3f}, harmonization {numbers['harmonization']:.4f}, "
        f"alignment {numbers['alignment']:.2f}"
    )
