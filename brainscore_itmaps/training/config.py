"""The configuration of a training run in a TOML file, and the schedules that follow from it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from brainscore_itmaps.configuration import filled, read_toml, with_current_names
from brainscore_itmaps.errors import UsageError, nearest

PRECISIONS = ("float32", "bf16")
OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("steps", "cosine")


@dataclass(frozen=True)
class DataConfig:
    """Images to train on.

    Attributes
    ----------
    clickme : str
        A split of ClickMe that was fetched ("train", "val"), or a file or folder of TFRecord shards in its format.
    images : str
        Folder with a folder of images for each class, as ImageNet's; "" for none. ClickMe's labels count the classes
        in the order of the folders' names.
    share : float
        Of the images of a step that come from ClickMe, where there are both.
    held_out : str
        As ``clickme``: accuracy and human alignment are measured on it after every epoch; "" for none.
    size : int
        Side in pixels; 0 for what the model's preprocessing says.
    smallest_crop : float
        Share of an image's area that the smallest crop has; 1 for whole images.
    flip : bool
        Mirror half of the images.
    workers : int
        Processes that read images; 0 reads them in the training process. They change the speed alone.
    """

    clickme: str = "train"
    images: str = ""
    share: float = 0.2
    held_out: str = ""
    size: int = 0
    smallest_crop: float = 0.08
    flip: bool = True
    workers: int = 0


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss: see :class:`~brainscore_itmaps.training.loss.HarmonizerLoss`.

    Attributes
    ----------
    ramp_epochs : float
        Over which ``lambda_harmonization`` grows from 0, along half a cosine.
    """

    lambda_harmonization: float = 1.0
    lambda_weights: float = 1e-5
    label_smoothing: float = 0.1
    levels: int = 5
    saliency_in_float32: bool = True
    ramp_epochs: float = 0.0


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimiser and schedule of the learning rate.

    Attributes
    ----------
    kind : "sgd" (Nesterov momentum 0.9) or "adamw"
    lr : float
        Largest learning rate.
    weight_decay : float
        The optimiser's own, beside the loss's weight term.
    schedule : "steps" (a tenth at each of ``drops``) or "cosine" (to 0)
    drops : list of float
        Epochs.
    warmup_epochs : float
        Over which the rate grows from 0.
    clip : float
        Largest norm of the gradient of all weights; 0 for no limit.
    """

    kind: str = "adamw"
    lr: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "cosine"
    drops: tuple[float, ...] = ()
    warmup_epochs: float = 0.0
    clip: float = 0.0


@dataclass(frozen=True)
class Config:
    """The configuration of a training run.

    Attributes
    ----------
    model : str
        Of timm, or of ours: its architecture is trained.
    weights : str
        "pretrained", "random", or a file.
    classes : int
        Where the model has another number, its classifier begins anew.
    preset : "published", "fine_tuning" or ""
        Which values are meant by what is left out (:data:`PRESETS`).
    epochs : float
        An epoch shows every image of ``data.images`` once, or, without, every image of ``data.clickme``.
    batch_size : int
        Images a step, over all devices.
    accumulate : int
        Parts that the images of a step are shown in, one after the other; batch normalisation sees a part alone.
    precision : "float32" or "bf16"
    seed : int
    checkpoint_every, log_every : int
        Steps.
    """

    model: str
    weights: str = "pretrained"
    classes: int = 1000
    preset: str = ""
    epochs: float = 30.0
    batch_size: int = 128
    accumulate: int = 1
    precision: str = "float32"
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def to_dict(self) -> dict[str, Any]:
        """Convert the configuration to plain values, defaults included."""
        return asdict(self) | {"optimiser": asdict(self.optimiser) | {"drops": list(self.optimiser.drops)}}


PRESETS: dict[str, dict[str, Any]] = {
    "published": {
        "weights": "random",
        "epochs": 200.0,
        "batch_size": 1024,
        "loss": {"lambda_harmonization": 2.0},
        "optimiser": {"kind": "sgd", "lr": 0.1, "schedule": "steps", "drops": (30.0, 60.0, 80.0), "warmup_epochs": 5.0},
    },
    "fine_tuning": {
        "epochs": 30.0,
        "loss": {"ramp_epochs": 30.0},
        "optimiser": {"kind": "adamw", "lr": 1e-4, "schedule": "cosine"},
    },
}
"""The recipe of Fel et al. 2022 (SGD, 5 epochs of warm-up, a tenth of the rate at epochs 30, 60 and 80), whose rate and
lambda for each model are not known; and the fine-tuning of later work of the same laboratory (AdamW, cosine, lambda
growing over all epochs), whose rate is not known and whose loss between maps differs from the one here."""


def read_config(file: Path) -> Config:
    """Read a TOML file.

    Raises
    ------
    UsageError
        When the file is missing or is not a TOML file, or a value is unknown, missing or impossible. Every message
        names the place.
    """
    return config_of(read_toml(file), str(file))


def config_of(said: Mapping[str, Any], where: str = "the configuration") -> Config:
    """Build the settings of a run from a mapping; missing values come from the preset, then from the defaults.

    Raises
    ------
    UsageError
        When something is unknown, missing or impossible.
    """
    said = with_current_names(said, {"network": "model"}, where)
    if "model" not in said:
        raise UsageError(f"{where} does not say which model to train.", 'For example model = "resnet18".')
    preset = said.get("preset", "")
    if preset and preset not in PRESETS:
        raise UsageError(f"{where}: unknown preset {preset!r}.", nearest(str(preset), PRESETS))
    config: Config = filled(Config(model=""), PRESETS.get(preset, {}), where)
    config = filled(config, said, where)
    _check_values(config, where)
    return config


def _check_values(config: Config, where: str) -> None:
    data, loss, optimiser = config.data, config.loss, config.optimiser
    choices = [
        ("precision", config.precision, PRECISIONS),
        ("optimiser.kind", optimiser.kind, OPTIMISERS),
        ("optimiser.schedule", optimiser.schedule, SCHEDULES),
    ]
    for name, value, known in choices:
        if value not in known:
            raise UsageError(f"{where}: {name} cannot be {value!r}.", nearest(value, known))
    possible = {
        "classes": config.classes > 1,
        "epochs": config.epochs > 0,
        "batch_size": config.batch_size > 0,
        "accumulate": 0 < config.accumulate <= config.batch_size and config.batch_size % config.accumulate == 0,
        "checkpoint_every": config.checkpoint_every > 0,
        "log_every": config.log_every > 0,
        "seed": 0 <= config.seed < 2**63,
        "data.share": 0 < data.share <= 1,
        "data.size": data.size >= 0,
        "data.smallest_crop": 0 < data.smallest_crop <= 1,
        "data.workers": data.workers >= 0,
        "loss.lambda_harmonization": 0 <= loss.lambda_harmonization < float("inf"),
        "loss.lambda_weights": 0 <= loss.lambda_weights < float("inf"),
        "loss.label_smoothing": 0 <= loss.label_smoothing < 1,
        "loss.levels": loss.levels > 0,
        "loss.ramp_epochs": loss.ramp_epochs >= 0,
        "optimiser.lr": 0 < optimiser.lr < float("inf"),
        "optimiser.weight_decay": optimiser.weight_decay >= 0,
        "optimiser.warmup_epochs": optimiser.warmup_epochs >= 0,
        "optimiser.clip": optimiser.clip >= 0,
    }
    wrong = [name for name, right in possible.items() if not right]
    if wrong:
        parts = " of a whole share of batch_size" if wrong == ["accumulate"] else ""
        raise UsageError(f"{where}: {' and '.join(wrong)} cannot be what is said.", f"Give a possible value{parts}.")


DROP = 0.1


def steps_of(config: Config, per_epoch: float) -> int:
    """Count the steps of a whole run, at least one.

    Parameters
    ----------
    config : Config
    per_epoch : float
        Steps of an epoch.
    """
    return max(1, round(config.epochs * per_epoch))


def learning_rate(config: Config, step: int, per_epoch: float) -> float:
    """Compute the learning rate at a step, counted from 0."""
    optimiser = config.optimiser
    warmup = round(optimiser.warmup_epochs * per_epoch)
    if step < warmup:
        return optimiser.lr * (step + 1) / warmup
    if optimiser.schedule == "steps":
        return optimiser.lr * DROP ** sum(step >= drop * per_epoch for drop in optimiser.drops)
    gone = (step - warmup) / max(1, steps_of(config, per_epoch) - warmup)
    return optimiser.lr * (1 + math.cos(math.pi * gone)) / 2


def strength(config: Config, step: int, per_epoch: float) -> float:
    """Compute the loss's ``lambda_harmonization`` at a step."""
    ramp = config.loss.ramp_epochs * per_epoch
    share = 1.0 if step >= ramp else (1 - math.cos(math.pi * step / ramp)) / 2
    return config.loss.lambda_harmonization * share
