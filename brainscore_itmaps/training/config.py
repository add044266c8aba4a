"""The configuration of a training run, read from a TOML file, and its schedules of learning rate and lambda."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from brainscore_itmaps.configuration import fill_config, read_toml, rename_former_keys
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
        Images with human maps: a ClickMe split that was downloaded ("train", "val"), a file or folder of TFRecord
        shards in its format, or a folder with the subfolders ``images`` and ``maps``; "" if ``human_images`` is set.
    human_images, human_maps : str
        Folder of images, with a subfolder for each class, and folder of their human maps, as for
        :func:`~brainscore_itmaps.human_maps`; they replace ``clickme``.
    images : str
        Folder of images without human maps, with a subfolder for each class, as in ImageNet; "" for none. See
        :func:`~brainscore_itmaps.data.class_folders.class_labels` for the numbers of the classes.
    share : float
        Share of images with a human map in each step, if ``images`` is set.
    held_out : str
        Images on which accuracy and human alignment are measured after every epoch, as for ``clickme``; "" for none.
    size : int
        Height and width of the input in pixels; 0 for the size in the model's preprocessing.
    smallest_crop : float
        Smallest area of a random crop as a share of the image's area; 1 for whole images.
    flip : bool
        Mirror each image with probability 0.5.
    workers : int
        Number of processes that read images; 0 reads them in the training process. Only the speed depends on it.
    """

    clickme: str = "train"
    human_images: str = ""
    human_maps: str = ""
    images: str = ""
    share: float = 0.2
    held_out: str = ""
    size: int = 0
    smallest_crop: float = 0.08
    flip: bool = True
    workers: int = 0


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms, as for :class:`~brainscore_itmaps.training.loss.HarmonizerLoss`.

    Attributes
    ----------
    ramp_epochs : float
        Number of epochs over which ``lambda_harmonization`` grows from 0 to its value, along half a cosine.
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
        Weight decay of the optimiser, in addition to the weight term of the loss.
    schedule : "steps" (a tenth at each of ``drops``) or "cosine" (to 0)
    drops : list of float
        Epochs at which the learning rate drops, for the schedule "steps".
    warmup_epochs : float
        Number of epochs over which the learning rate grows linearly from 0.
    clip : float
        Largest norm of the gradient over all parameters; 0 for no limit.
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
        Name of a model in the zoo, timm, or another library, whose architecture is trained; or a function in a Python
        file that returns a module, ``my_file.py:build``.
    weights : str
        Initial weights: "pretrained", "random", or the path of a file. For a function, "pretrained" are those that it
        returns.
    state_key : str
        Key of the weights in a checkpoint file, as ``state_key`` of :func:`brainscore_itmaps.load_model`.
    classes : int
        Number of classes; if a model of timm has another number, its classifier is re-initialised with random weights.
    preset : "published", "fine_tuning" or ""
        Preset that supplies the values of missing keys (:data:`PRESETS`).
    epochs : float
        Number of epochs; an epoch shows every image of ``data.images`` once, or, if that is empty, of ``data.clickme``.
    batch_size : int
        Images per step, over all devices.
    accumulate : int
        Number of parts that the images of a step are split into; gradients are averaged over the parts, and batch
        normalisation uses the statistics of one part.
    precision : "float32" or "bf16"
    seed : int
    checkpoint_every, log_every : int
        Number of steps between checkpoints, and between lines of the log.
    """

    model: str
    weights: str = "pretrained"
    classes: int = 1000
    preset: str = ""
    epochs: float = 30.0
    batch_size: int = 128
    accumulate: int = 1
    precision: str = "float32"
    state_key: str = ""
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def to_dict(self) -> dict[str, Any]:
        """Convert the configuration, with its default values, to a dictionary that JSON can hold."""
        settings = asdict(self) | {"optimiser": asdict(self.optimiser) | {"drops": list(self.optimiser.drops)}}
        if not self.state_key:  # checkpoints of runs from before this key hold the hash of the other keys
            del settings["state_key"]
        return settings


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
"""Named training recipes.

``published``: the recipe of Fel et al. 2022 (SGD, 5 epochs of warm-up, a tenth of the learning rate at epochs 30, 60
and 80). The paper does not state the learning rate and lambda of each model.

``fine_tuning``: the fine-tuning of later work from the same laboratory (AdamW, cosine schedule, lambda growing over all
epochs). That work does not state the learning rate, and its loss between maps differs from the one here.
"""


def read_config(file: Path) -> Config:
    """Read the configuration of a training run from a TOML file.

    Raises
    ------
    UsageError
        When the file is missing or is not a TOML file, or when a key is unknown or missing, or a value is invalid. The
        message names the file and the key.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.training.config import read_config
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "run.toml")
    ...     _ = file.write_text('model = "resnet18"\\nbatch_size = 32')
    ...     config = read_config(file)
    >>> config.model, config.batch_size, config.optimiser.kind
    ('resnet18', 32, 'adamw')
    """
    return config_of(read_toml(file), str(file))


def config_of(settings: Mapping[str, Any], where: str = "the configuration") -> Config:
    """Build the configuration of a training run from a mapping, its preset and the default values.

    Parameters
    ----------
    settings : mapping
        Keys and values as in the TOML file; missing ones come from the preset, then from the defaults.
    where : str
        Name of the source of the settings, for error messages.

    Raises
    ------
    UsageError
        When a key is unknown or missing, or a value is invalid.

    Examples
    --------
    >>> from brainscore_itmaps.training.config import config_of
    >>> config = config_of({"model": "resnet18", "preset": "published", "optimiser": {"lr": 0.5}})
    >>> config.epochs, config.optimiser.kind, config.optimiser.lr
    (200.0, 'sgd', 0.5)
    """
    settings = rename_former_keys(settings, {"network": "model"}, where)
    if "model" not in settings:
        raise UsageError(f"{where}: the key model is missing.", 'For example model = "resnet18".')
    preset = settings.get("preset", "")
    if not isinstance(preset, str) or (preset and preset not in PRESETS):
        raise UsageError(f"{where}: unknown preset {preset!r}.", nearest(str(preset), PRESETS))
    data = settings.get("data", {})
    if isinstance(data, Mapping) and "clickme" not in data and (data.get("human_images") or data.get("human_maps")):
        settings = {**settings, "data": {**data, "clickme": ""}}
    config: Config = fill_config(Config(model=""), PRESETS.get(preset, {}), where)
    config = fill_config(config, settings, where)
    _check_values(config, where)
    return config


def _check_values(config: Config, where: str) -> None:
    data, loss, optimiser = config.data, config.loss, config.optimiser
    _check_data(data, where)
    choices = [
        ("precision", config.precision, PRECISIONS),
        ("optimiser.kind", optimiser.kind, OPTIMISERS),
        ("optimiser.schedule", optimiser.schedule, SCHEDULES),
    ]
    for name, value, valid_values in choices:
        if value not in valid_values:
            raise UsageError(f"{where}: {name} cannot be {value!r}.", nearest(value, valid_values))
    valid = {
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
    invalid = [name for name, is_valid in valid.items() if not is_valid]
    if invalid:
        fix = "accumulate must divide batch_size." if invalid == ["accumulate"] else "Give a value in the valid range."
        raise UsageError(f"{where}: the value of {' and of '.join(invalid)} is invalid.", fix)


def _check_data(data: DataConfig, where: str) -> None:
    """Check that the settings name the images with human maps once."""
    if data.human_maps and not data.human_images:
        raise UsageError(
            f"{where}: data.human_maps has no data.human_images.", "Add data.human_images, the folder of the images."
        )
    if data.human_images and data.clickme:
        raise UsageError(
            f"{where}: data.clickme and data.human_images both name images with human maps.", "Remove one of the two."
        )
    if not data.human_images and not data.clickme:
        raise UsageError(
            f"{where}: no images with human maps are named.", "Set data.clickme, or data.human_images and human_maps."
        )


DROP = 0.1
"""Factor of the learning rate at each drop of the schedule "steps"."""


def total_steps(config: Config, steps_per_epoch: float) -> int:
    """Compute the number of steps of a complete run, at least one.

    Parameters
    ----------
    config : Config
    steps_per_epoch : float

    Examples
    --------
    >>> from brainscore_itmaps.training.config import config_of, total_steps
    >>> total_steps(config_of({"model": "resnet18", "epochs": 10}), steps_per_epoch=7.5)
    75
    """
    return max(1, round(config.epochs * steps_per_epoch))


def learning_rate(config: Config, step: int, steps_per_epoch: float) -> float:
    """Compute the learning rate at a step, counted from 0.

    Examples
    --------
    >>> from brainscore_itmaps.training.config import config_of, learning_rate
    >>> config = config_of({"model": "resnet18", "epochs": 10, "optimiser": {"lr": 0.5, "warmup_epochs": 2}})
    >>> [round(learning_rate(config, step, steps_per_epoch=5), 3) for step in (0, 9, 30, 49)]
    [0.05, 0.5, 0.25, 0.001]
    """
    optimiser = config.optimiser
    warmup = round(optimiser.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return optimiser.lr * (step + 1) / warmup
    if optimiser.schedule == "steps":
        return optimiser.lr * DROP ** sum(step >= drop * steps_per_epoch for drop in optimiser.drops)
    share_done = (step - warmup) / max(1, total_steps(config, steps_per_epoch) - warmup)
    return optimiser.lr * (1 + math.cos(math.pi * share_done)) / 2


def harmonization_weight(config: Config, step: int, steps_per_epoch: float) -> float:
    """Compute the loss's ``lambda_harmonization`` at a step, counted from 0.

    Examples
    --------
    >>> from brainscore_itmaps.training.config import config_of, harmonization_weight
    >>> config = config_of({"model": "resnet18", "loss": {"lambda_harmonization": 2.0, "ramp_epochs": 4}})
    >>> [round(harmonization_weight(config, step, steps_per_epoch=5), 3) for step in (0, 10, 20, 50)]
    [0.0, 1.0, 2.0, 2.0]
    """
    ramp = config.loss.ramp_epochs * steps_per_epoch
    share = 1.0 if step >= ramp else (1 - math.cos(math.pi * step / ramp)) / 2
    return config.loss.lambda_harmonization * share
