"""`brainscore sweep`: score many models on many benchmarks."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from brainscore_itmaps.benchmark.catalogue import CATALOGUE, EXPERIMENTAL
from brainscore_itmaps.cli.completion import complete_studies
from brainscore_itmaps.cli.options import Offline
from brainscore_itmaps.cli.terminal import errors, option_words, progress_bar, say, say_next, say_table
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from brainscore_itmaps.study.cluster import Workers
    from brainscore_itmaps.study.plan import Plan
    from brainscore_itmaps.study.sweep import Failure, Finished, SweepSummary

SHOWN = 20
"""Number of models that a dry run lists."""


def sweep(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            autocompletion=complete_studies,
            help="Run this study: embedded, harmonized_twins, paper_proxy, windows, or a TOML file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the study into this folder. The default is studies/ followed by the name of the study."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the remaining work with its size and estimates of memory and time, and compute nothing.",
        ),
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Run on SLURM (slurm) or on the running Dask scheduler at this address (tls://HOST:PORT). The "
            "default is the scheduler set in the study, or else this machine."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Start this many worker processes, or jobs on SLURM. The default is the number set in the study, "
            "or else a number chosen from the models, cores and memory.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Use this many linear algebra threads in each worker. The default is the number set in the "
            "study, or else an equal share of the cores, and at most OMP_NUM_THREADS.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Limit the memory of each worker to this amount, at least 1GB, such as 8GB. The default is the "
            "amount set in the study, or else an equal share of the memory. SLURM requires an amount."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Compute on this device, such as cpu, cuda or mps. With auto, GPUs are used if there are any. The "
            "default is the device set in the study, or else auto."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything again, and overwrite earlier results and the cache.")
    ] = False,
    offline: Offline = False,
) -> None:
    """Score many models on many benchmarks.

    An interrupted study resumes when the same command is run again.
    """
    from brainscore_itmaps.study.config import read_study

    with warnings.catch_warnings(record=True) as caught:
        config = read_study(study)
    for warning in caught:
        errors().print(f"note: {warning.message}", soft_wrap=True)
    cluster = replace(
        config.cluster,
        scheduler=scheduler or config.cluster.scheduler,
        workers=workers or config.cluster.workers,
        threads=threads or config.cluster.threads,
        memory=memory or config.cluster.memory,
    )
    config = replace(config, cluster=cluster, device=device or config.device)
    with progress_bar() as progress:
        progress("planning the work", 0, 1)
        from brainscore_itmaps.study.cluster import check_cluster
        from brainscore_itmaps.study.plan import default_folder, plan
        from brainscore_itmaps.study.sweep import sweep as run

        check_cluster(config.cluster, config.device)
        folder = expanded(out or default_folder(study))
        if dry_run:
            study_plan = plan(config, folder, fresh=fresh, fetch=False, progress=progress)
        else:
            summary = run(
                config, folder, fresh=fresh, progress=progress, started=_print_start, finished=_print_finished
            )
    if dry_run:
        _print_plan(study_plan, folder)
        if study_plan.to_do:
            say_next("sweep", study, *option_words(out=out, scheduler=scheduler, workers=workers, threads=threads,
                                                   memory=memory, device=device, fresh=fresh))  # fmt: skip
        else:
            say_next("compare", folder, "--out", folder / "comparison")
        return
    _print_end(summary)
    if summary.failures:
        raise typer.Exit(summary.failures[0].exit_code)


def _print_plan(study_plan: "Plan", folder: Path) -> None:
    from brainscore_itmaps.study.plan import START_SECONDS
    from brainscore_itmaps.study.sweep import in_words

    rows = []
    for work in study_plan.work[:SHOWN]:
        size = "" if work.parameters is None else f"{work.parameters * 4 / 1e6:.0f} MB"
        rows.append([work.model.title, str(len(work.to_do)), str(len(work.done)), size])
    say_table([Column("model"), *(Column(name, justify="right") for name in ("to do", "done", "weights"))], rows)
    if len(study_plan.work) > SHOWN:
        say(f"           and {len(study_plan.work) - SHOWN} more models")
    runs = [run for work in study_plan.to_do for run in work.to_do]
    benchmarks = Counter(f"{run.benchmark}{f' ({run.window})' if run.window else ''}" for run in runs)
    for name, number in benchmarks.items():
        say(f"to do      {name}: {number} models")
    if any(run.benchmark in CATALOGUE and CATALOGUE[run.benchmark].measure == "attribution" for run in runs):
        say(f"note       {EXPERIMENTAL}")
    for (benchmark, window), reason in study_plan.unreachable.items():
        say(f"skipped    {benchmark}{f' ({window})' if window else ''}: {reason}")
    if runs:
        parameters = [work.parameters for work in study_plan.to_do if work.parameters is not None]
        unknown = len(study_plan.to_do) - len(parameters)
        unknown_sizes = f", and {unknown} models of unknown size" if unknown else ""
        say(f"weights    {sum(parameters) * 4 / 1e9:.2f} GB{unknown_sizes}")
        say(f"memory     about {study_plan.memory / 1e9:.1f} GB per worker")
        seconds = START_SECONDS + sum(work.seconds for work in study_plan.to_do)
        say(f"time       roughly {in_words(seconds)} on one core without downloads, with one layer per model")
    else:
        say("to do      nothing")
    say(f"folder     {folder}")


def _print_start(study_plan: "Plan", workers: "Workers") -> None:
    runs = sum(len(work.to_do) for work in study_plan.to_do)
    say(f"to do      {runs} runs of {len(study_plan.to_do)} models")
    say(f"workers    {workers}")


def _print_finished(model: "Finished") -> None:
    from brainscore_itmaps.study.sweep import in_words

    failed = f", {model.failed} failed" if model.failed else ""
    remaining = f", about {in_words(model.seconds_left)} left" if model.models_done < model.models else ""
    say(
        f"{model.models_done:>3} of {model.models:<4} {model.model}: {model.scored} scored{failed} in "
        f"{in_words(model.seconds)}{remaining}"
    )


def _print_end(summary: "SweepSummary") -> None:
    from brainscore_itmaps.study.sweep import FAILURES, in_words

    say(f"scored     {summary.scored} in {in_words(summary.seconds)}; {summary.kept} were already done")
    if summary.peak_bytes:
        say(f"memory     {summary.peak_bytes / 1e9:.1f} GB at most in a worker")
    say(f"written    {summary.folder}")
    if summary.failures:
        say(f"failed     {len(summary.failures)}, listed in {summary.folder / FAILURES}")
        for line in _lines(summary.failures):
            errors().print(line, soft_wrap=True)
    if summary.scored or summary.kept:
        say_next("compare", summary.folder, "--out", summary.folder / "comparison")


def _lines(failures: "tuple[Failure, ...]") -> list[str]:
    """Return one line per model and reason, which lists all benchmarks that failed for this reason."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        benchmark = f"{failure.benchmark}{f' ({failure.window})' if failure.window else ''}"
        grouped.setdefault((failure.model or "every model", failure.reason), []).append(benchmark)
    return [f"  {model}, {', '.join(benchmarks)}: {reason}" for (model, reason), benchmarks in grouped.items()]
