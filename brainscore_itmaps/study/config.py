"""The configuration of a study: models, benchmarks and options, in a TOML file."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from brainscore_itmaps.configuration import filled, read_toml, with_current_names
from brainscore_itmaps.errors import UsageError, nearest
from brainscore_itmaps.models.zoo import named_set
from brainscore_itmaps.protocol import OLD_SPELLING, OURS, protocol_named

SET = "set:"
OWN = "own"
"""The window that a benchmark has when none is asked for."""
ATTRIBUTIONS = ("gradient", "integrated_gradients", "smoothgrad")
NAMED = ("embedded", "harmonized_twins", "paper_proxy", "windows")
"""Studies that come with the package."""


@dataclass(frozen=True)
class ModelChoice:
    """One model of a study, with its weights and layers.

    Attributes
    ----------
    name : str
        As for ``--model``.
    weights, seed, arch
        As for :func:`brainscore_itmaps.score`.
    layers : tuple of str
        Of this model; empty: those of the study.
    of_set : bool
        It came with a named set: that it is not known here is found out when its turn comes.
    """

    name: str = ""
    weights: str = "pretrained"
    seed: int = 0
    arch: str = ""
    layers: tuple[str, ...] = ()
    of_set: bool = False

    @property
    def title(self) -> str:
        """Return the model's name, with what distinguishes it from others of that name."""
        if self.weights == "random":
            return f"{self.name} (random, seed {self.seed})"
        return self.name if self.weights == "pretrained" else f"{self.name} ({self.weights})"


@dataclass(frozen=True)
class ClusterConfig:
    """Where a study runs: workers on this machine, under SLURM, or of a running scheduler.

    Attributes
    ----------
    scheduler : str
        "" starts workers on this machine; "slurm" submits them as jobs; an address joins a dask scheduler that runs.
    workers : int
        Processes; 0 for as many as the machine's cores, its memory and the study allow. On SLURM: jobs.
    threads : int
        Of a worker's linear algebra; 0 for the cores divided among the workers.
    memory : str
        That a worker may take, "8GB"; "" for the machine's divided among the workers. A worker that takes more is
        stopped, and its model reported. Under SLURM it must be said.
    queue, account, walltime : str
        Of SLURM's jobs.
    directives : tuple of str
        More lines for ``#SBATCH``, as ``--gres=gpu:1``.
    prologue : tuple of str
        Shell lines before the worker starts, as ``source ~/itmaps/bin/activate``.
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


@dataclass(frozen=True)
class StudyConfig:
    """A study: many models on the same benchmarks.

    Attributes
    ----------
    title : str
        For people.
    models : tuple of str
        Names as for ``--model``; ``set:NAME`` for all of a named set. Those with options of their own stand in
        ``[[model]]`` tables.
    benchmarks : tuple of str
        Ours, Brain-Score's, or folders with recordings.
    windows : tuple of str
        Asked of every recording that has a time axis: "own", "130-170", or a window's name; empty: its own alone.
    layers : tuple of str
        Empty: the one committed to IT. ("all",) or several: one is chosen for every image on the others.
    attribution : str
        For benchmarks of attribution and human alignment.
    protocol : str
        Name of the :class:`~brainscore_itmaps.protocol.Protocol`.
    batch_size : int
        Images shown at once.
    device : str
        As for ``--device``.
    cluster : ClusterConfig
    model : tuple of ModelChoice
        All that are asked: of ``models``, then of the tables.
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
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    model: tuple[ModelChoice, ...] = ()


def read_study(name: str | Path) -> StudyConfig:
    """Read a study by name, or from a TOML file.

    Raises
    ------
    UsageError
        When there is none, or something in it is unknown, missing or impossible. Every message names the place.
    """
    if str(name) in NAMED:
        return study_of(read_toml(Path(str(files("brainscore_itmaps.study") / "named" / f"{name}.toml"))), str(name))
    file = Path(name).expanduser()
    if file.suffix != ".toml" and not file.exists():
        raise UsageError(
            f"There is no study named {str(name)!r}.", nearest(str(name), NAMED, f"Named ones: {', '.join(NAMED)}.")
        )
    return study_of(read_toml(file), str(file))


def study_of(said: Mapping[str, Any], where: str = "the study") -> StudyConfig:
    """Build a study from a mapping.

    Raises
    ------
    UsageError
        When something is unknown, missing or impossible.
    """
    said = with_current_names(said, {"networks": "models", "network": "model"}, where)
    tables = said.get("model", [])
    if not isinstance(tables, Sequence) or not all(isinstance(table, Mapping) for table in tables):
        raise UsageError(f"{where}: model is {tables!r}.", "Write each model as a table under [[model]].")
    rest = {name: value for name, value in said.items() if name != "model"}
    if isinstance(rest.get("reference_compat"), bool):
        rest["protocol"] = OLD_SPELLING[bool(rest.pop("reference_compat"))]
        warnings.warn(f'{where}: reference_compat is now protocol = "{rest["protocol"]}"; write that.', FutureWarning,
                      stacklevel=2)  # fmt: skip
    study: StudyConfig = filled(StudyConfig(), rest, where)
    asked = [choice for name in study.models for choice in _named(name, where)]
    for table in tables:
        refuse = {"of_set": "[[model]] has no of_set"}
        if wrong := refuse.keys() & table.keys():
            raise UsageError(f"{where}: {refuse[wrong.pop()]}.", "Leave it out.")
        asked.append(filled(ModelChoice(), table, where, "model."))
    study = replace(study, model=tuple(dict.fromkeys(asked)), benchmarks=tuple(dict.fromkeys(study.benchmarks)))
    _check_values(study, where)
    return study


def _named(name: str, where: str) -> list[ModelChoice]:
    if not name.startswith(SET):
        return [ModelChoice(name)]
    try:
        return [ModelChoice(each, of_set=True) for each in named_set(name.removeprefix(SET))]
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
    possible = {
        "batch_size": study.batch_size > 0,
        "cluster.workers": study.cluster.workers >= 0,
        "cluster.threads": study.cluster.threads >= 0,
        "seed": all(0 <= choice.seed < 2**63 for choice in study.model),
    }
    if wrong := [name for name, right in possible.items() if not right]:
        raise UsageError(f"{where}: {' and '.join(wrong)} cannot be what is said.", "Give a possible number.")
    several = Counter((choice.title, len(choice.layers)) for choice in study.model if len(choice.layers) > 1)
    if twice := [title for (title, _), times in several.items() if times > 1]:
        raise UsageError(
            f"{where}: {twice[0]} is listed twice with the same number of layers, so their results would have "
            "the same name.",
            "Use two studies.",
        )
    if seeded := [choice.name for choice in study.model if choice.seed and choice.weights != "random"]:
        raise UsageError(f"{where}: {seeded[0]} has a seed, which is for random weights.", 'Add weights = "random".')
