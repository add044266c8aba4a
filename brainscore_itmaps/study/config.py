"""The configuration of a study, in a TOML file: models, benchmarks and options."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from brainscore_itmaps.configuration import fill_config, read_toml, rename_former_keys
from brainscore_itmaps.errors import UsageError, check_type, nearest
from brainscore_itmaps.models.zoo import named_set
from brainscore_itmaps.protocol import OLD_SPELLING, OURS, protocol_named
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import short_repr

SET_PREFIX = "set:"
OWN = "own"
"""Name of the window that a benchmark has by default."""
ATTRIBUTIONS = ("gradient", "integrated_gradients", "smoothgrad")
NAMED = ("embedded", "harmonized_twins", "paper_proxy", "windows")
"""Names of the studies in this package."""


@dataclass(frozen=True)
class ModelChoice:
    """One model of a study, with its weights and layers.

    Attributes
    ----------
    name : str
        Name, file or code, as for ``--model``.
    weights, seed, arch, state_key
        As for :func:`brainscore_itmaps.score`.
    label : str
        A name for a weight file or a function, as ``name`` in :func:`brainscore_itmaps.score`.
    layers : tuple of str
        Layers of this model; empty for the layers of the study.
    of_set : bool
        The model is part of a named set: an unknown name is reported only when the model is run.
    """

    name: str = ""
    weights: str = "pretrained"
    seed: int = 0
    arch: str = ""
    state_key: str = ""
    label: str = ""
    layers: tuple[str, ...] = ()
    of_set: bool = False

    @property
    def title(self) -> str:
        """Return the name of the model, with its weights if they are not the pretrained ones."""
        if self.weights == "random":
            return f"{self.name} (random, seed {self.seed})"
        details = [*([] if self.weights == "pretrained" else [self.weights]), *filter(None, [self.state_key])]
        return f"{self.label or self.name} ({', '.join(details)})" if details else self.label or self.name


@dataclass(frozen=True)
class ClusterConfig:
    """The workers of a study: on this machine, under SLURM, or of a running scheduler.

    Attributes
    ----------
    scheduler : str
        "" starts workers on this machine; "slurm" submits them as jobs; an address joins a running Dask scheduler.
    workers : int
        Number of worker processes, or of SLURM jobs; 0 for as many as the study, the cores and the memory allow.
    threads : int
        Threads of linear algebra in each worker; 0 to divide the cores among the workers.
    memory : str
        Memory that each worker may use, such as "8GB"; "" to divide the memory of the machine among the workers. A
        worker that uses more is stopped, and its model is reported as failed. Required under SLURM.
    queue, account, walltime : str
        Options of the SLURM jobs.
    directives : tuple of str
        More ``#SBATCH`` options, such as ``--gres=gpu:1``.
    prologue : tuple of str
        Shell commands to run before the worker, such as ``source ~/itmaps/bin/activate``.
    """

    scheduler: str = ""
    workers: int = 0
    threads: int = 0
    memory: str = ""
    queue: str = ""
    account: str = ""
    walltime: str = "04:00:00"
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()


@short_repr
@dataclass(frozen=True)
class StudyConfig:
    """A study: many models on the same benchmarks.

    Attributes
    ----------
    title : str
        Title for readers.
    models : tuple of str
        Names as for ``--model``; ``set:NAME`` for all models of a named set. Models with options are in ``[[model]]``
        tables instead.
    benchmarks : tuple of str
        Benchmarks of this package or of Brain-Score, or folders with recordings.
    windows : tuple of str
        Windows for each benchmark that has a time axis: "own", "130-170", or the name of a window; empty for the
        window of the benchmark only.
    layers : tuple of str
        Empty for the layer committed to IT. With ("all",) or several layers, the layer of each image is chosen on the
        other images.
    attribution : str
        Attribution method of the benchmarks of attribution, which are EXPERIMENTAL, and human alignment.
    protocol : str
        Name of the :class:`~brainscore_itmaps.protocol.Protocol`.
    batch_size : int
        Number of images in one forward pass.
    device : str
        As for ``--device``.
    controls : bool
        Score controls and what each model adds to them, in benchmarks of maps.
    random_seeds : int
        Number of seeds with which each architecture is scored with random weights, as a control; each takes as long as
        the model.
    cluster : ClusterConfig
    model : tuple of ModelChoice
        All models: those of ``models``, then those of the tables.
    """

    title: str = ""
    models: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    attribution: str = "gradient"
    protocol: str = OURS.name
    batch_size: int = 14
    device: str = "auto"
    controls: bool = True
    random_seeds: int = 0
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    model: tuple[ModelChoice, ...] = ()


def read_study(name: str | Path) -> StudyConfig:
    """Read a study of this package by name, or a TOML file.

    Raises
    ------
    UsageError
        When there is no such study, or a key or value in it is unknown, missing or invalid.

    Examples
    --------
    >>> study = read_study("windows")
    >>> study.benchmarks, len(study.windows), len(study.model)
    (('it_maps',), 5, 14)
    """
    check_type(name, (str, Path), "a study", f"Give {', '.join(NAMED)}, a TOML file, or a StudyConfig.")
    if str(name) in NAMED:
        return study_of(read_toml(Path(str(files("brainscore_itmaps.study") / "named" / f"{name}.toml"))), str(name))
    file = expanded(name)
    if file.suffix != ".toml" and not file.exists():
        raise UsageError(
            f"There is no study named {str(name)!r}.",
            nearest(str(name), NAMED, f"Studies of this package: {', '.join(NAMED)}."),
        )
    return study_of(read_toml(file), str(file))


def study_of(settings: Mapping[str, Any], where: str = "the study") -> StudyConfig:
    """Build a study from a mapping.

    Parameters
    ----------
    settings : mapping
        Keys as in a TOML file.
    where : str
        Start of error messages: the file.

    Raises
    ------
    UsageError
        When a key or value is unknown, missing or invalid.

    Examples
    --------
    >>> study = study_of({"models": ["set:embedded"], "benchmarks": ["it_maps_simulated"]})
    >>> [choice.name for choice in study.model]
    ['efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2']
    """
    settings = rename_former_keys(settings, {"networks": "models", "network": "model"}, where)
    tables = settings.get("model", [])
    if not isinstance(tables, Sequence) or not all(isinstance(table, Mapping) for table in tables):
        raise UsageError(f"{where}: model is {tables!r}.", "Write each model as a table under [[model]].")
    options = {name: value for name, value in settings.items() if name != "model"}
    if isinstance(options.get("reference_compat"), bool):
        options["protocol"] = protocol = OLD_SPELLING[bool(options.pop("reference_compat"))]
        warnings.warn(
            f'{where}: reference_compat is now protocol = "{protocol}"; write that.', FutureWarning, stacklevel=2
        )
    study: StudyConfig = fill_config(StudyConfig(), options, where)
    choices = [choice for name in study.models for choice in _choices_of(name, where)]
    for table in tables:
        if "of_set" in table:
            raise UsageError(f"{where}: [[model]] has no of_set.", "Remove of_set.")
        choices.append(fill_config(ModelChoice(), table, where, "model."))
    study = replace(study, model=tuple(dict.fromkeys(choices)), benchmarks=tuple(dict.fromkeys(study.benchmarks)))
    _check_values(study, where)
    return study


def _choices_of(name: str, where: str) -> list[ModelChoice]:
    if not name.startswith(SET_PREFIX):
        return [ModelChoice(name)]
    try:
        return [ModelChoice(model, of_set=True) for model in named_set(name.removeprefix(SET_PREFIX))]
    except UsageError as error:
        raise UsageError(f"{where}: {error.args[0]}", error.fix) from error


def _check_values(study: StudyConfig, where: str) -> None:
    if not study.model:
        raise UsageError(f"{where} names no models.", 'For example models = ["set:embedded"].')
    if not all(choice.name for choice in study.model):
        raise UsageError(f"{where}: a model has no name.", 'Add name = "resnet50_timm_baseline" to its table.')
    if not study.benchmarks:
        raise UsageError(f"{where} names no benchmarks.", 'For example benchmarks = ["it_maps_simulated"].')
    if study.attribution not in ATTRIBUTIONS:
        raise UsageError(
            f"{where}: attribution cannot be {study.attribution!r}.", nearest(study.attribution, ATTRIBUTIONS)
        )
    try:
        protocol_named(study.protocol)
    except UsageError as error:
        raise UsageError(f"{where}: {error.args[0]}", error.fix) from error
    valid = {
        "batch_size": study.batch_size > 0,
        "random_seeds": study.random_seeds >= 0,
        "cluster.workers": study.cluster.workers >= 0,
        "cluster.threads": study.cluster.threads >= 0,
        "seed": all(0 <= choice.seed < 2**63 for choice in study.model),
    }
    if invalid := [name for name, is_valid in valid.items() if not is_valid]:
        raise UsageError(f"{where}: invalid value of {' and '.join(invalid)}.", "Use a number in the valid range.")
    counts = Counter((choice.title, len(choice.layers)) for choice in study.model if len(choice.layers) > 1)
    if repeated := [title for (title, _), count in counts.items() if count > 1]:
        raise UsageError(
            f"{where}: {repeated[0]} is listed twice with the same number of layers, so their results would have "
            "the same name.",
            "Use two studies.",
        )
    if seeded := [choice.name for choice in study.model if choice.seed and choice.weights != "random"]:
        raise UsageError(f"{where}: {seeded[0]} has a seed, which is for random weights.", 'Add weights = "random".')
