"""Run a study: skip finished runs, report failures at the end, resume after an interruption."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brainscore_itmaps.errors import InstallationError, ItMapsError, one_line
from brainscore_itmaps.files import check_writable, locked, replacing, sha256
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings
from brainscore_itmaps.study.cluster import Workers, connected
from brainscore_itmaps.study.config import ClusterConfig, ModelChoice, StudyConfig, read_study
from brainscore_itmaps.study.plan import RECORDS, RESULTS, Plan, Work, check_study_folder, default_folder, plan
from brainscore_itmaps.study.work import Done, Outcome, ask_model

FAILURES = "failures.json"
LOOK_AGAIN = 5
"""Seconds after which it is looked for workers that came or went."""
WHERE_STUDIES_GO = "Name another folder with --out."


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why.

    Attributes
    ----------
    model, benchmark, window : str
        The model is "" where no model can be asked this.
    reason : str
    exit_code : int
        Of its kind.
    """

    model: str
    benchmark: str
    window: str
    reason: str
    exit_code: int


@dataclass(frozen=True)
class Finished:
    """A model whose runs have ended.

    Attributes
    ----------
    model : str
    scored, failed : int
        Runs.
    seconds : float
        That its runs took.
    models_done, models : int
        Of those of which something was to do.
    seconds_left : float
        Estimate for the rest.
    """

    model: str
    scored: int
    failed: int
    seconds: float
    models_done: int
    models: int
    seconds_left: float


@dataclass(frozen=True)
class SweepSummary:
    """Summary of a sweep: numbers of runs scored, done before and failed.

    Attributes
    ----------
    folder : Path
    scored : int
        Runs that were computed.
    kept : int
        Runs that were already done.
    failures : tuple of Failure
    seconds : float
        In all.
    workers : Workers or None
        None where nothing was to do.
    peak_bytes : int
        The most memory that a worker held.
    """

    folder: Path
    scored: int
    kept: int
    failures: tuple[Failure, ...]
    seconds: float
    workers: Workers | None
    peak_bytes: int


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

    Every model is a task of dask's. Its results are written when it is done, into ``out/results``, with a record of
    each in ``out/done``; what its layers scored is cached at once. A study that is run again, because it was
    killed or because models were added, computes what is missing.

    Workers are processes. In a script, call this under ``if __name__ == "__main__":``, as for multiprocessing.

    Parameters
    ----------
    study : str, Path or StudyConfig
        A named study, a TOML file, or what was read from one.
    out : path, optional
        Folder of the study; by default ``studies/`` and its name.
    cluster : ClusterConfig, optional
        In place of the study's own.
    fresh : bool
        Compute everything anew.
    progress : callable
        Told (what is being done, models done, models in all).
    started : callable
        Told the plan and the workers before they begin.
    finished : callable
        Told of each model when it is done.

    Raises
    ------
    UsageError, ModelError
        When the study or a name in it is not known.
    InstallationError
        When the folder cannot be written, or the scheduler goes away.
    """
    began = time.monotonic()
    config = study if isinstance(study, StudyConfig) else read_study(study)
    config = replace(config, cluster=cluster) if cluster is not None else config
    folder = Path(out or default_folder(study if isinstance(study, str | Path) else "study")).expanduser()
    check_study_folder(folder)
    check_writable(folder / RECORDS / "any.json", WHERE_STUDIES_GO)
    with locked(folder, WHERE_STUDIES_GO, progress):
        planned = plan(config, folder, fresh=fresh, progress=progress)
        failures = [Failure("", *pair, reason, 3) for pair, reason in planned.unreachable.items()]
        kept = sum(len(work.done) for work in planned.work)
        scored, peak, workers = 0, 0, None
        if planned.to_do:
            scored, peak, workers, failed = _ask(config, planned, folder, fresh, progress, started, finished)
            failures += failed
        _write_failures(folder, failures)
    return SweepSummary(folder, scored, kept, tuple(failures), time.monotonic() - began, workers, peak)


def _ask(
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
        progress("asking models", 0, models)
        began = time.monotonic()

        def submit(each: Work) -> Any:
            asked = (each.model, each.to_do, study, fresh, workers.threads, offline)
            return client.submit(ask_model, *asked, pure=False)

        for number, (each, task) in enumerate(_one_by_one(client, planned.to_do, submit, progress), 1):
            done = _done(task, each)
            peak = max(peak, done.peak_bytes)
            for outcome in done.outcomes:
                if outcome.result is None:
                    run = outcome.run
                    failures.append(
                        Failure(each.model.title, run.benchmark, run.window, outcome.reason, outcome.exit_code)
                    )
                else:
                    _write(folder, each.model, outcome)
                    scored += 1
            failed = sum(outcome.result is None for outcome in done.outcomes)
            left = (time.monotonic() - began) / number * (models - number)
            seconds = sum(outcome.seconds for outcome in done.outcomes)
            finished(Finished(each.model.title, len(done.outcomes) - failed, failed, seconds, number, models, left))
            progress(f"asking models, about {in_words(left)} left", number, models)
    return scored, peak, workers, failures


def _one_by_one(
    client: Any, work: Sequence[Work], submit: Callable[[Work], Any], progress: Report
) -> Iterator[tuple[Work, Any]]:
    """Yield models as they finish; each worker gets the next model only when it is free, so that no other is lost."""
    from distributed import wait

    waiting = list(reversed(work))
    running: dict[Any, Work] = {}
    with client.as_current():
        while waiting or running:
            places = sum(client.nthreads().values())  # under SLURM they come one after the other
            if not places:
                progress("waiting for workers", len(work) - len(waiting) - len(running), len(work))
            while waiting and len(running) < max(1, places):
                each = waiting.pop()
                running[submit(each)] = each
            try:
                done = wait(list(running), timeout=LOOK_AGAIN, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            except CancelledError as error:
                raise InstallationError(
                    "The dask scheduler went away.", "Start it, and run the study again: finished work is kept."
                ) from error
            for task in done:
                yield running.pop(task), task


def _done(task: Any, work: Work) -> Done:
    """Return the outcome of a worker; a lost worker becomes a failure of its model."""
    from distributed.scheduler import KilledWorker

    try:
        return task.result()  # type: ignore[no-any-return]
    except KilledWorker:
        reason = "Its worker was stopped, most likely because it took more memory than it may. "
        reason += "Run the study again with --workers 1, or give more with --memory."
    except ItMapsError as error:
        reason = str(error)
    except Exception as error:  # of a worker that has other versions of our packages, for one
        reason = f"{type(error).__name__}: {one_line(error)}."
    return Done([Outcome(run, None, reason, InstallationError.exit_code, 0.0) for run in work.to_do], 0)


def _write(folder: Path, choice: ModelChoice, outcome: Outcome) -> None:
    """Write a result's files, then the record that they are there."""
    run, result = outcome.run, outcome.result
    assert result is not None
    files = result.save(folder / RESULTS, WHERE_STUDIES_GO)
    if run.key:
        record = {
            "model": choice.title,
            "benchmark": run.benchmark,
            "window": run.window,
            "seconds": round(outcome.seconds, 3),
            "files": {file.name: sha256(file) for file in files},
        }
        with replacing(folder / RECORDS / f"{run.key}.json", WHERE_STUDIES_GO) as beside:
            beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _write_failures(folder: Path, failures: Sequence[Failure]) -> None:
    """Write the failures of this run; remove the file if there are none."""
    file = folder / FAILURES
    if not failures:
        file.unlink(missing_ok=True)
        return
    with replacing(file, WHERE_STUDIES_GO) as beside:
        beside.write_text(json.dumps([vars(each) for each in failures], indent=1) + "\n", encoding="utf-8")


def in_words(seconds: float) -> str:
    """Format a duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
