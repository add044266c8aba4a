"""Train a model with the neural harmonizer, with logs and checkpoints from which an interrupted run resumes."""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brainscore_itmaps.benchmark.classes import classes_of
from brainscore_itmaps.benchmark.human import human_alignment, notes_on
from brainscore_itmaps.data.class_folders import IMAGENET_CLASSES, is_human_maps_folder
from brainscore_itmaps.data.clickme_shards import SPLITS, shard_files
from brainscore_itmaps.data.human_maps import HumanMaps, human_maps
from brainscore_itmaps.errors import DAMAGED, InstallationError, ModelError, UsageError, one_line
from brainscore_itmaps.files import check_writable, locked, sha256, write_json
from brainscore_itmaps.metrics.alignment import agreement
from brainscore_itmaps.models.checkpoint import fill_from_tensors, read_weights
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model, untrained
from brainscore_itmaps.models.names import (
    check_model_name,
    is_code,
    is_user_model,
    named_architecture,
    requested_weights,
)
from brainscore_itmaps.models.own import model_from_code
from brainscore_itmaps.models.runs import IN_MEMORY, save_run
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.training.batches import (
    Batch,
    ImageSource,
    MappedFolder,
    Mix,
    TrainingDataset,
    batch_indices,
    batches,
    image_folder,
)
from brainscore_itmaps.training.checkpoint import EPOCHS, STEPS, Log, resume_from_checkpoint, save_checkpoint
from brainscore_itmaps.training.clickme import clickme_source
from brainscore_itmaps.training.config import Config, harmonization_weight, learning_rate, total_steps
from brainscore_itmaps.training.loss import HarmonizerLoss, LossTerms

SETTINGS = "config.json"
FREE = ("checkpoint_every", "log_every", "held_out", "workers")
"""Settings that may change when a run resumes."""
ADDED = ("human_images", "human_maps")
"""Settings that runs of earlier versions do not have; empty, they change nothing."""
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
    notes : tuple of str
        How the images, maps and classes were read, as clauses.
    """

    folder: Path
    steps: int
    resumed_from: int
    last: dict[str, float]
    held_out: dict[str, float]
    notes: tuple[str, ...] = ()


def harmonize(
    config: Config,
    folder: Path,
    *,
    model: Model | torch.nn.Module | None = None,
    device: str = "auto",
    progress: Report = silent,
) -> Trained:
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
    model : Model or torch.nn.Module, optional
        A model in memory, which is trained instead of ``config.model``: a timm module, or
        ``load_model(module, preprocessing=...)``. The module itself is changed. The folder of such a run cannot be
        loaded by name; load its ``model.safetensors`` into the module.
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
    check_writable(folder / SETTINGS, "Name another folder.")
    mix, known, notes = _mix(config, progress)
    held_out = _held_out(config, known, progress)
    training = _model(config, model)
    loaded, notes = training.model, (*training.notes, *notes)
    steps_per_epoch = mix.steps_per_epoch(config.batch_size)
    total = total_steps(config, steps_per_epoch)
    parts = accelerator.num_processes * config.accumulate
    if config.batch_size % parts:
        raise UsageError(
            f"Batches of {config.batch_size} cannot be shared by {accelerator.num_processes} processes in "
            f"{config.accumulate} parts each.",
            "Give a batch_size that is a multiple of their product.",
        )
    lock = locked(folder, "Name another folder.", progress) if accelerator.is_main_process else None
    with lock or contextlib.nullcontext(), torch.random.fork_rng():
        settings = config.to_dict() | {"images": [len(mix.mapped), len(mix.plain) if mix.plain else 0]}
        settings |= {"code": training.code} if training.code else {}
        _check_same_run(settings, folder, accelerator.is_main_process)
        settings_hash = _settings_hash(settings)
        optimiser = _optimiser(config, loaded.module)
        start = resume_from_checkpoint(folder, loaded.module, optimiser, settings_hash, total)
        prepared, optimiser = accelerator.prepare(loaded.module.train(), optimiser)
        logs = Log(folder, start) if accelerator.is_main_process else None
        indices = batch_indices(mix, config.batch_size, parts, _parts_here(accelerator, config), start, total)
        dataset = TrainingDataset(mix, config.data, loaded.spec, config.classes)
        batch_iterator = batches(dataset, indices, config.data.workers)
        last: dict[str, float] = {}
        for step in range(start, total):
            start_time = time.perf_counter()
            logged = (step + 1) % config.log_every == 0 or step + 1 == total
            numbers = _step(config, prepared, optimiser, accelerator, batch_iterator, step, steps_per_epoch, logged)
            done = step + 1
            if logged:
                seconds = time.perf_counter() - start_time
                last = {"step": done, "epoch": done / steps_per_epoch} | numbers | {"seconds": seconds}
                if logs is not None:
                    logs.write(STEPS, last)
            progress(_description(last or numbers), done, total)
            epoch_ended = done == total or int(done / steps_per_epoch) > int(step / steps_per_epoch)
            if epoch_ended and logs is not None:
                if held_out is not None:
                    _measure(config, loaded, held_out, logs, done, steps_per_epoch, progress)
                _save(config, folder, training, done, total)
            if accelerator.is_main_process and (epoch_ended or done % config.checkpoint_every == 0):
                # after the log and the model, so that a checkpoint implies that both are complete up to its step
                save_checkpoint(folder, done, loaded.module, optimiser, settings_hash)
            if epoch_ended:
                accelerator.wait_for_everyone()
    loaded.module.eval()
    log = Log(folder, total)
    return Trained(folder, total, start, log.last(STEPS), log.last(EPOCHS), notes)


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


def _measure(
    config: Config,
    model: Model,
    held_out: HumanMaps | Sequence[Path],
    logs: Log,
    done: int,
    steps_per_epoch: float,
    progress: Report,
) -> None:
    """Measure accuracy and human alignment on held-out images."""
    model.module.eval()
    result = human_alignment(model, held_out, classes=config.classes, progress=progress)
    model.module.train()
    measured = {"top1": result.accuracy, "spearman": result.agreement.raw}
    if not isinstance(held_out, HumanMaps):  # for other maps, the agreement between people is unknown
        measured["alignment"] = result.agreement.score
    logs.write(EPOCHS, {"step": done, "epoch": done / steps_per_epoch} | measured)


def _save(config: Config, folder: Path, training: "ModelToTrain", done: int, steps: int) -> None:
    """Save the model."""
    weight = f"lambda {config.loss.lambda_harmonization:g}" if config.loss.lambda_harmonization else "no harmonizer"
    summary = f"trained here: {done} of {steps} steps of {config.batch_size} images, {weight}, seed {config.seed}"
    save_run(
        folder,
        training.reference,
        training.model.module,
        training.model.spec,
        {"summary": summary, "step": done, "steps": steps, "config": config.to_dict()},
        training.code,
    )


@dataclass(frozen=True)
class ModelToTrain:
    """A model to train, and how the folder of the run refers to it.

    Attributes
    ----------
    model : Model
    reference : str
        Name from which :func:`~brainscore_itmaps.load_model` builds the architecture.
    code : str
        Hash of the Python file that builds the model; empty for other models.
    notes : tuple of str
        Changes of the model before the training, as clauses.
    """

    model: Model
    reference: str
    code: str = ""
    notes: tuple[str, ...] = ()


def _model(config: Config, given: Model | torch.nn.Module | None) -> ModelToTrain:
    """Load the model to train, with the requested number of classes and input size."""
    if given is not None:
        model = given if isinstance(given, Model) else load_model(given)
        training = ModelToTrain(model, f"{IN_MEMORY}{type(model.module).__name__}")
    elif is_code(config.model):
        training = _model_of_code(config)
    elif is_user_model(config.model):
        raise UsageError(
            f"model = {config.model!r} is a file or folder of weights, not an architecture.",
            "Set model to the architecture, such as resnet50, and weights to the file.",
        )
    else:
        name = named_architecture(config.model)
        state_key = config.state_key or None
        check_model_name(name, weights=config.weights, state_key=state_key)
        if name.startswith("hf:"):
            raise UsageError(
                f"{name} cannot be trained here.", "Train a model of timm, of torchvision or of this package."
            )
        training = ModelToTrain(load_model(name, config.weights, config.seed, state_key=state_key), name)
    model = training.model
    if model.transform is not None:
        raise UsageError(
            f"The preprocessing of {model.name} is a function, which crops and mirrors no human maps.",
            "Describe it with size, mean and std: return (module, dict(size=224, mean=[...], std=[...])).",
        )
    spec = replace(model.spec, size=config.data.size or model.spec.size)
    model = replace(model, spec=spec)
    notes = _set_classes(model, config)
    return replace(training, model=model, notes=(*model.notes, *notes))


def _model_of_code(config: Config) -> ModelToTrain:
    """Build the model of a function in a Python file, with the requested weights."""
    check_model_name(config.model)
    path, _, function = config.model.rpartition(":")
    file = expanded(path).resolve()
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = model_from_code(config.model)
    weights = requested_weights(config.weights, config.seed)
    if weights.kind == "random":
        model = untrained(model, config.seed)
    elif weights.kind == "file":
        weight_file = Path(str(weights.path))
        state = read_weights(weight_file, model.module, config.state_key or None)
        fill_from_tensors(model.module, state.tensors, weight_file, config.model)
        model = replace(model, notes=(*model.notes, *state.notes))
    return ModelToTrain(model, f"{file}:{function}", sha256(file))


def _set_classes(model: Model, config: Config) -> tuple[str, ...]:
    """Give a model the requested number of classes, or check that it has it; return notes."""
    module, notes = model.module, []
    found = getattr(module, "num_classes", config.classes)
    if found != config.classes and hasattr(module, "reset_classifier"):
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            module.reset_classifier(config.classes)  # type: ignore[operator]
        if config.weights != "random":
            notes.append(
                f"the classifier is re-initialised with random weights, because the weights have {found:,} classes, "
                f"not {config.classes:,}"
            )
    outputs = classes_of(model)
    if outputs != config.classes:
        raise UsageError(
            f"{model.name} has {outputs:,} classes; the configuration has classes = {config.classes}.",
            f"Set classes = {outputs}, or change the last layer of the model.",
        )
    return tuple(notes)


def _mix(config: Config, progress: Report) -> tuple[Mix, dict[str, int] | None, tuple[str, ...]]:
    """Index the training images; return also the labels of class folders, if there are any, and notes."""
    data = config.data
    plain = image_folder(expanded(data.images), config.classes) if data.images else None
    if plain is not None and data.share == 1:
        raise UsageError(
            "data.share is 1, so no image of data.images would be used.", "Lower data.share, or omit data.images."
        )
    known = dict(plain.classes) if plain is not None else None
    mapped: ImageSource
    if data.human_images or is_human_maps_folder(data.clickme):
        images = expanded(data.human_images or data.clickme)
        maps = expanded(data.human_maps) if data.human_maps else None
        found = human_maps(images, maps, classes=config.classes, known=known, progress=progress)
        mapped, notes, known = MappedFolder(found), notes_on(found), known or found.classes
    else:
        _check_imagenet(data.clickme, config.classes)
        mapped, notes = clickme_source(data.clickme), ()
    if plain is not None:
        notes += tuple(f"{data.images}: {note}" for note in plain.notes)
    return Mix(mapped, plain, data.share, config.seed), known, notes


def _held_out(config: Config, known: dict[str, int] | None, progress: Report) -> HumanMaps | Sequence[Path] | None:
    """List the held-out images, before the training."""
    name = config.data.held_out
    if not name:
        return None
    if is_human_maps_folder(name):
        return human_maps(expanded(name), classes=config.classes, known=known, progress=progress)
    _check_imagenet(name, config.classes)
    return shard_files(name)


def _check_imagenet(name: str, classes: int) -> None:
    """Check that the labels of a ClickMe split, which are ImageNet's, name the classes of the model."""
    if name in SPLITS and classes != IMAGENET_CLASSES:
        raise UsageError(
            f"The labels of ClickMe are the 1,000 classes of ImageNet-1k; the configuration has classes = {classes}.",
            "Set classes = 1000, or name images with labels of your own classes.",
        )


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
        raise UsageError(f"Training cannot use the device {device!r}.", "Use the device auto or cpu.")
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
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            changed = [name for name in _fixed(settings) if _fixed(settings[name]) != _fixed(stored.get(name))]
        except DAMAGED as error:
            raise ModelError(
                f"{file} is damaged: {one_line(error)}.", "Name another folder, or delete this one."
            ) from error
        if changed:
            raise UsageError(
                f"{folder} contains a run with other settings ({', '.join(changed)}).",
                "Name another folder, or delete this one.",
            )
    if writing:
        write_json(file, settings)


def _settings_hash(settings: dict[str, Any]) -> str:
    """Hash the settings that may not change when a run resumes."""
    fixed = {
        name: _fixed(value) for name, value in settings.items() if name not in FREE and (name not in ADDED or value)
    }
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _fixed(setting: Any) -> Any:
    """Remove the entries that may change when a run resumes, if the setting is a table."""
    if not isinstance(setting, dict):
        return setting
    return {name: value for name, value in setting.items() if name not in FREE and not (name in ADDED and not value)}


def _description(numbers: dict[str, float]) -> str:
    return (
        f"cross-entropy {numbers['cross_entropy']:.3f}, harmonization {numbers['harmonization']:.4f}, "
        f"alignment {numbers['alignment']:.2f}"
    )
