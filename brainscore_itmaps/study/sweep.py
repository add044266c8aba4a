"""Run a study: skip finished runs, report failures at the end, and resume after an interruption."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from brainscore_itmaps.errors import DataError, InstallationError, ItMapsError, check_choice, one_line
from brainscore_itmaps.files import check_writable, locked, replacing, sha256
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.settings import Settings, expanded
from brainscore_itmaps.study.cluster import Workers, check_cluster, connected
from brainscore_itmaps.study.config import ClusterConfig, ModelChoice, StudyConfig, read_study
from brainscore_itmaps.study.plan import RECORDS, RESULTS, Plan, Work, check_study_folder, default_folder, plan
from brainscore_itmaps.study.work import ModelOutcomes, Outcome, run_model
from brainscore_itmaps.text import short_repr

FAILURES = "failures.json"
POLL_SECONDS = 5
"""Seconds between two checks for new and lost workers."""
ANOTHER_FOLDER = "Name another folder."


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why.

    Attributes
    ----------
    model, benchmark, window : str
        The model is "" if the benchmark cannot be run for any model.
    reason : str
        Why the run failed, and the next step.
    exit_code : int
        Exit code of this kind of failure.
    """

    model: str
    benchmark: str
    window: str
    reason: str
    exit_code: int


@dataclass(frozen=True)
class Finished:
    """A model whose runs have ended, and the progress of the study.

    Attributes
    ----------
    model : str
    scored, failed : int
        Number of its runs that were scored, and that failed.
    seconds : float
        Duration of its runs.
    models_done, models : int
        Number of models that have ended, and of all models with runs to do.
    seconds_left : float
        Estimated time for the other models.
    """

    model: str
    scored: int
    failed: int
    seconds: float
    models_done: int
    models: int
    seconds_left: float


@short_repr
@dataclass(frozen=True)
class SweepSummary:
    """Summary of a sweep: numbers of runs that were scored, were already done, and failed.

    Attributes
    ----------
    folder : Path
    scored : int
        Number of runs that were computed.
    kept : int
        Number of runs that were already done.
    failures : tuple of Failure
    seconds : float
        Duration of the sweep.
    workers : Workers or None
        None if there were no runs to do.
    peak_bytes : int
        Highest memory use of a worker.
    """

    folder: Path
    scored: int
    kept: int
    failures: tuple[Failure, ...]
    seconds: float
    workers: Workers | None
    peak_bytes: int


@shows_progress
def sweep(
    study: str | Path | StudyConfig,
    out: Path | str | None = None,
    *,
    cluster: ClusterConfig | None = None,
    fresh: bool = False,
    progress: Report = silent,
    started: Callable[[Plan, Workers], None] = lambda plan, workers: None,
    finished: Callable[[Finished], None] = lambda finished: None,
) -> SweepSummary:
    """Score a set of models on a set of benchmarks.

    Each model is one Dask task. When it ends, its results are written into ``out/results``, with a record of each in
    ``out/done``; scores of layers are cached earlier. An interrupted study resumes when it is run again, and a study
    with more models computes only the new ones.

    Workers are processes. In a script, call this function under ``if __name__ == "__main__":``, as for multiprocessing.

    Parameters
    ----------
    study : str, Path or StudyConfig
        Name of a study of this package, a TOML file, or a configuration.
    out : str or Path, optional
        Folder of the study; the default is the name of the study in the folder ``studies``.
    cluster : ClusterConfig, optional
        Replaces the cluster of the study.
    fresh : bool
        Compute all runs again.
    progress : callable
        Called with (step, models done, models in all).
    started : callable
        Called with the plan and the workers before the first run.
    finished : callable
        Called with :class:`Finished` for each model, when its runs have ended.

    Returns
    -------
    SweepSummary

    Raises
    ------
    UsageError, ModelError
        When the study, or a name in it, is unknown.
    InstallationError
        When the folder cannot be written, or the connection to the scheduler is lost.

    Examples
    --------
    >>> summary = sweep("embedded", "studies/embedded")  # doctest: +SKIP
    >>> summary.scored, summary.kept, summary.failures  # doctest: +SKIP
    (36, 0, ())
    """
    check_choice(fresh=fresh)
    began = time.monotonic()
    config = study if isinstance(study, StudyConfig) else read_study(study)
    config = replace(config, cluster=cluster) if cluster is not None else config
    check_cluster(config.cluster, config.device)
    folder = expanded(out or default_folder(study if isinstance(study, str | Path) else "study"))
    check_study_folder(folder)
    check_writable(folder / RECORDS / "any.json", ANOTHER_FOLDER)
    with locked(folder, ANOTHER_FOLDER, progress):
        planned = plan(config, folder, fresh=fresh, progress=progress)
        failures = [Failure("", *pair, reason, DataError.exit_code) for pair, reason in planned.unreachable.items()]
        done = sum(len(work.done) for work in planned.work)
        scored, peak, workers = 0, 0, None
        if planned.to_do:
            scored, peak, workers, failed = _run_models(config, planned, folder, fresh, progress, started, finished)
            failures += failed
        _write_failures(folder, failures)
    return SweepSummary(folder, scored, done, tuple(failures), time.monotonic() - began, workers, peak)


def _run_models(
    study: StudyConfig,
    planned: Plan,
    folder: Path,
    fresh: bool,
    progress: Report,
    started: Callable[[Plan, Workers], None],
    finished: Callable[[Finished], None],
) -> tuple[int, int, Workers, list[Failure]]:
    scored, peak, failures = 0, 0, []
    models, offline = len(planned.to_do), Settings.from_environment().offline
    progress("starting workers", 0, models)
    with connected(study.cluster, models, planned.memory, study.device) as (client, workers):
        started(planned, workers)
        progress("scoring models", 0, models)
        began = time.monotonic()

        def submit(work: Work) -> Any:
            arguments = (work.model, work.to_do, study, fresh, workers.threads, offline)
            return client.submit(run_model, *arguments, pure=False)

        for number, (work, task) in enumerate(_completed_models(client, planned.to_do, submit, progress), 1):
            ended = _outcomes_of(task, work)
            peak = max(peak, ended.peak_bytes)
            for outcome in ended.outcomes:
                if outcome.result is None:
                    run = outcome.run
                    failures.append(
                        Failure(work.model.title, run.benchmark, run.window, outcome.reason, outcome.exit_code)
                    )
                else:
                    _write(folder, work.model, outcome)
                    scored += 1
            failed = sum(outcome.result is None for outcome in ended.outcomes)
            left = (time.monotonic() - began) / number * (models - number)
            seconds = sum(outcome.seconds for outcome in ended.outcomes)
            finished(Finished(work.model.title, len(ended.outcomes) - failed, failed, seconds, number, models, left))
            progress(f"scoring models, about {in_words(left)} left", number, models)
    return scored, peak, workers, failures


def _completed_models(
    client: Any, work: Sequence[Work], submit: Callable[[Work], Any], progress: Report
) -> Iterator[tuple[Work, Any]]:
    """Yield models as their runs end; a worker gets its next model only when it is free, so that it loses only one."""
    from distributed import wait

    waiting = list(reversed(work))
    running: dict[Any, Work] = {}
    with client.as_current():
        while waiting or running:
            slots = sum(client.nthreads().values())  # SLURM starts workers one after the other
            if not slots:
                progress("waiting for workers", len(work) - len(waiting) - len(running), len(work))
            while waiting and len(running) < max(1, slots):
                model_work = waiting.pop()
                running[submit(model_work)] = model_work
            import_module("brainscore_itmaps.benchmark.result")  # to read results; imported while the workers start
            try:
                completed = wait(list(running), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            except CancelledError as error:
                raise InstallationError(
                    "The connection to the Dask scheduler was lost.",
                    "Start the scheduler, and run the study again: it resumes.",
                ) from error
            for task in completed:
                yield running.pop(task), task


def _outcomes_of(task: Any, work: Work) -> ModelOutcomes:
    """Return the outcomes of a task; if its worker was lost or the task failed, all runs of the model have failed."""
    from distributed.scheduler import KilledWorker

    try:
        return task.result()  # type: ignore[no-any-return]
    except KilledWorker:
        reason = "Its worker was stopped, most likely because it used more memory than allowed. "
        reason += "Run the study again with one worker, or allow more memory."
    except ItMapsError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - for example, the worker has other versions of the packages
        reason = f"{type(error).__name__}: {one_line(error)}."
    return ModelOutcomes([Outcome(run, None, reason, InstallationError.exit_code, 0.0) for run in work.to_do], 0)


def _write(folder: Path, choice: ModelChoice, outcome: Outcome) -> None:
    """Write the files of a result, then the record that the run is done."""
    run, result = outcome.run, outcome.result
    assert result is not None
    files = result.save(folder / RESULTS, ANOTHER_FOLDER)
    if run.key:
        record = {
            "model": choice.title,
            "benchmark": run.benchmark,
            "window": run.window,
            "seconds": round(outcome.seconds, 3),
            "files": {file.name: sha256(file) for file in files},
        }
        with replacing(folder / RECORDS / f"{run.key}.json", ANOTHER_FOLDER) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _write_failures(folder: Path, failures: Sequence[Failure]) -> None:
    """Write the failures of this run; remove the file if there are none."""
    file = folder / FAILURES
    if not failures:
        file.unlink(missing_ok=True)
        return
    with replacing(file, ANOTHER_FOLDER) as temporary:
        temporary.write_text(json.dumps([vars(failure) for failure in failures], indent=1) + "\n", encoding="utf-8")


def in_words(seconds: float) -> str:
    """Format a duration for people.

    Examples
    --------
    >>> in_words(89), in_words(5000), in_words(7200)
    ('89 s', '83 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
