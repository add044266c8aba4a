"""Plan a study: find which runs are done and which are to do, before anything is computed."""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, OTHER_KINDS
from brainscore_itmaps.bridge.names import (
    brain_score_versions,
    check_names,
    has_maps,
    is_external,
    is_named_model,
    requested_window,
)
from brainscore_itmaps.cache import key_of, package_versions
from brainscore_itmaps.data.clickme_shards import HELD_OUT, clickme_files, sizes_of
from brainscore_itmaps.data.load import is_stored, load_recordings
from brainscore_itmaps.data.recording import recording_content
from brainscore_itmaps.errors import DAMAGED, ItMapsError, UsageError
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.names import is_code
from brainscore_itmaps.models.runs import is_run, read_run
from brainscore_itmaps.models.timm_models import timm_parameters
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import OURS, protocol_named
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.study.config import OWN, ModelChoice, StudyConfig
from brainscore_itmaps.text import short_repr

RECORDS = "done"
RESULTS = "results"

START_SECONDS = 10.0
"""Time until a worker has imported torch."""
MODEL_SECONDS, PARAMETER_SECONDS = 1.5, 0.1
"""Time for one array in one window at one layer: base, and addition for each million parameters. Models with 5 million
parameters took 1 to 2 seconds on one core; the value for larger models is a guess."""
WORKER_BYTES = 1.6e9
"""Highest memory use of workers with models of 5 million parameters."""


@dataclass(frozen=True)
class Run:
    """One model on one benchmark in one window.

    Attributes
    ----------
    benchmark, window : str
        The window is "" for the window of the benchmark, and for a benchmark without windows.
    key : str
        Hash of everything that determines the result; "" if that is unknown, and then the run is never skipped.
    """

    benchmark: str
    window: str
    key: str


@short_repr
@dataclass(frozen=True)
class Work:
    """All runs of one model: the unit of work.

    Attributes
    ----------
    model : ModelChoice
    to_do, done : tuple of Run
    parameters : int or None
        Number of parameters of the model; None if it is unknown before the model is loaded.
    """

    model: ModelChoice
    to_do: tuple[Run, ...]
    done: tuple[Run, ...]
    parameters: int | None

    @property
    def seconds(self) -> float:
        """Estimate the seconds for the runs to do, at one layer on one core."""
        specs = [CATALOGUE.get(run.benchmark) for run in self.to_do]
        arrays = sum(len(spec.recordings) if spec is not None else 1 for spec in specs)
        return arrays * (MODEL_SECONDS + PARAMETER_SECONDS * (self.parameters or 3e7) / 1e6)


@short_repr
@dataclass(frozen=True)
class Plan:
    """The runs of a study, by model.

    Attributes
    ----------
    work : tuple of Work
        All models, also those without runs to do.
    unreachable : dict
        Benchmark and window to the reason why they cannot be run.
    """

    work: tuple[Work, ...]
    unreachable: dict[tuple[str, str], str]

    @property
    def to_do(self) -> tuple[Work, ...]:
        """List the models that have runs to do."""
        return tuple(work for work in self.work if work.to_do)

    @property
    def memory(self) -> float:
        """Estimate the bytes that a worker needs: a base, and twice the largest model."""
        return WORKER_BYTES + 8 * max((work.parameters or 3e7 for work in self.to_do), default=0)


def plan(study: StudyConfig, out: Path, *, fresh: bool = False, fetch: bool = True, progress: Report = silent) -> Plan:
    """List which runs of a study are done and which are to do.

    A run is done if its key was recorded and its files are unchanged. The key is a hash of the model's name and
    weights, the recording, the window, the layers, the options and the versions of the packages.

    Parameters
    ----------
    study : StudyConfig
    out : Path
        Folder of the study.
    fresh : bool
        Plan all runs again, also those that are done.
    fetch : bool
        Download missing recordings; otherwise their benchmarks are unreachable.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Plan

    Raises
    ------
    UsageError, ModelError
        When the name of a model or a benchmark is unknown. A model of a named set that the installed timm does not
        have is reported when it is run.
    """
    for benchmark in study.benchmarks:
        check_names(None, benchmark)
    for choice in study.model:
        if not choice.of_set:
            check_names(choice.name, None, choice.weights, choice.arch or None, choice.state_key or None,
                        choice.label or None)  # fmt: skip
    contents, unreachable = {}, {}
    pairs = list(dict.fromkeys(_pairs(study)))
    for number, (benchmark, window) in enumerate(pairs):
        progress(f"checking {benchmark}", number, len(pairs))
        try:
            contents[benchmark, window] = _content(study, benchmark, window, fetch, progress)
        except ItMapsError as error:
            unreachable[benchmark, window] = str(error)
    work = []
    for choice in study.model:
        weights = _weights(choice)
        runs = [Run(*pair, _key(study, choice, weights, pair, content)) for pair, content in contents.items()]
        done = () if fresh else tuple(run for run in runs if run.key and is_done(out, run.key))
        work.append(Work(choice, tuple(run for run in runs if run not in done), done, _parameters(choice)))
    return Plan(tuple(work), unreachable)


def has_windows(benchmark: str) -> bool:
    """Return whether a window can be chosen for a benchmark.

    Examples
    --------
    >>> has_windows("it_maps"), has_windows("MajajHong2015public.IT-pls")
    (True, False)
    """
    return benchmark in CATALOGUE


def _pairs(study: StudyConfig) -> list[tuple[str, str]]:
    windows = ["" if window == OWN else window for window in study.windows or (OWN,)]
    return [(benchmark, window if has_windows(benchmark) else "")
            for benchmark, window in product(study.benchmarks, windows)]  # fmt: skip


def _content(study: StudyConfig, benchmark: str, window: str, fetch: bool, progress: Report) -> list[Any]:
    """List everything in a benchmark that can change a result, for the key; most are listed without importing torch."""
    spec = CATALOGUE.get(benchmark)
    recordings = spec.recordings if spec is not None else (benchmark,)
    if not fetch and spec is not None and not all(map(is_stored, recordings)):
        raise UsageError("The recordings are not on this machine.", "The study downloads them when it is run.")
    if has_maps(benchmark) and not (spec is not None and spec.transfer):
        protocol = protocol_named(study.protocol)
        loaded = load_recordings(recordings, requested_window(window), protocol, progress)
        return [recording_content(recording) for recording in loaded]
    if benchmark in OTHER_KINDS:
        return sizes_of(clickme_files(HELD_OUT))
    if is_external(benchmark):
        return [brain_score_versions()]
    from brainscore_itmaps.benchmark.request import ScoreRequest  # these import torch, which takes seconds
    from brainscore_itmaps.bridge.score import find_benchmark

    request = ScoreRequest(benchmark=benchmark, window=requested_window(window), protocol=study.protocol)
    return find_benchmark(benchmark).content(request, progress)


def _weights(choice: ModelChoice) -> list[Any] | None:
    """List what identifies the weights of a model; return None for a user's code, which nothing identifies."""
    if is_code(choice.name):
        return None
    if is_run(choice.name):
        try:
            return [read_run(expanded(choice.name))["sha256"]]
        except ItMapsError:  # reported when the model is run
            return None
    files = [expanded(text) for text in (choice.name, choice.weights)]
    for name in (choice.name, choice.arch):
        if name.startswith("hf:") and (folder := expanded(name.removeprefix("hf:"))).is_dir():
            files += sorted(folder.iterdir())
    hashes = [sha256(file) for file in files if file.is_file()]
    versions = [] if is_named_model(choice.name) or choice.arch else [package_versions(("brainscore_vision",))]
    options = [option for option in (choice.state_key, choice.label) if option]
    return [choice.name, choice.weights, choice.seed, choice.arch, *hashes, *versions, *options]


def _key(
    study: StudyConfig, choice: ModelChoice, weights: list[Any] | None, pair: tuple[str, str], content: list[Any]
) -> str:
    if weights is None:
        return ""
    layers = list(choice.layers or study.layers) if has_maps(pair[0]) else []
    options: list[Any] = [study.attribution, OURS.name if is_external(pair[0]) else study.protocol, layers]
    if has_maps(pair[0]):
        options += [study.controls, study.random_seeds]
    return key_of(study=weights, benchmark=pair, content=content, options=options)


def _parameters(choice: ModelChoice) -> int | None:
    spec = ZOO.get(choice.arch or choice.name)
    if spec is not None and spec.parameters:
        return spec.parameters
    return timm_parameters(
        (spec.architecture if spec is not None else choice.arch or choice.name).removeprefix("timm:")
    )


def is_done(out: Path, key: str) -> bool:
    """Return whether the result of a key is complete and unchanged.

    Examples
    --------
    >>> is_done(Path("studies/none"), "0123")
    False
    """
    try:
        record = json.loads((out / RECORDS / f"{key}.json").read_text(encoding="utf-8"))
        return all(sha256(out / RESULTS / name) == written for name, written in record["files"].items())
    except DAMAGED:
        return False


def default_folder(name: str | Path) -> Path:
    """Return the default folder of a study: its name in the folder ``studies`` of the current folder.

    Examples
    --------
    >>> default_folder("mine/twins.toml").as_posix()
    'studies/twins'
    """
    return Path("studies") / Path(name).stem


def check_study_folder(out: Path) -> None:
    """Check that a path is a folder, or can become one.

    Raises
    ------
    UsageError
        When the path is a file.

    Examples
    --------
    >>> check_study_folder(Path(__file__).parent)
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file.", "Name a folder.")
