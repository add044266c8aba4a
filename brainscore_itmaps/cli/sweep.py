"""`brainscore sweep`: score many models on many benchmarks."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from brainscore_itmaps.cli.options import Offline
from brainscore_itmaps.cli.terminal import errors, progress_bar, say

if TYPE_CHECKING:
    from brainscore_itmaps.study.cluster import Workers
    from brainscore_itmaps.study.plan import Plan
    from brainscore_itmaps.study.sweep import Failure, Finished, SweepSummary

SHOWN = 20
"""Models that a dry run lists."""


def sweep(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="Run this study: embedded, harmonized_twins, paper_proxy, windows, or a TOML file."
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
            "study, or else an equal share of the cores.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Limit the memory of each worker to this amount, such as 8GB. The default is the amount set in the "
            "study, or else an equal share of the memory. SLURM requires an amount."
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
        from brainscore_itmaps.study.plan import default_folder, plan
        from brainscore_itmaps.study.sweep import sweep as run

        folder = (out or default_folder(study)).expanduser()
        if dry_run:
            planned = plan(config, folder, fresh=fresh, fetch=False, progress=progress)
        else:
            swept = run(config, folder, fresh=fresh, progress=progress, started=_print_start, finished=_print_finished)
    if dry_run:
        _print_plan(planned, folder)
        return
    _print_end(swept)
    if swept.failures:
        raise typer.Exit(swept.failures[0].exit_code)


def _print_plan(planned: "Plan", folder: Path) -> None:
    from brainscore_itmaps.study.plan import START_SECONDS
    from brainscore_itmaps.study.sweep import in_words

    table = Table("model", "to do", "done", "weights")
    for each in planned.work[:SHOWN]:
        size = "" if each.parameters is None else f"{each.parameters * 4 / 1e6:.0f} MB"
        table.add_row(each.model.title, str(len(each.to_do)), str(len(each.done)), size)
    for column in table.columns[1:]:
        column.justify = "right"
    say(table)
    if len(planned.work) > SHOWN:
        say(f"           and {len(planned.work) - SHOWN} more models")
    runs = [run for each in planned.to_do for run in each.to_do]
    asked = Counter(f"{run.benchmark}{f' ({run.window})' if run.window else ''}" for run in runs)
    for name, number in asked.items():
        say(f"to do      {name}: {number} models")
    for (benchmark, window), reason in planned.unreachable.items():
        say(f"skipped    {benchmark}{f' ({window})' if window else ''}: {reason}")
    if runs:
        known = [each.parameters for each in planned.to_do if each.parameters is not None]
        unknown = len(planned.to_do) - len(known)
        say(f"weights    {sum(known) * 4 / 1e9:.2f} GB{f', and {unknown} models of unknown size' if unknown else ''}")
        say(f"memory     about {planned.memory / 1e9:.1f} GB a worker")
        seconds = START_SECONDS + sum(each.seconds for each in planned.to_do)
        say(f"time       roughly {in_words(seconds)} on one core without downloads, at one layer a model")
    else:
        say("to do      nothing")
    say(f"folder     {folder}")


def _print_start(planned: "Plan", workers: "Workers") -> None:
    runs = sum(len(each.to_do) for each in planned.to_do)
    say(f"to do      {runs} runs of {len(planned.to_do)} models")
    say(f"workers    {workers}")


def _print_finished(model: "Finished") -> None:
    from brainscore_itmaps.study.sweep import in_words

    failed = f", {model.failed} failed" if model.failed else ""
    left = f", about {in_words(model.seconds_left)} left" if model.models_done < model.models else ""
    say(
        f"{model.models_done:>3} of {model.models:<4} {model.model}: {model.scored} scored{failed} in "
        f"{in_words(model.seconds)}{left}"
    )


def _print_end(swept: "SweepSummary") -> None:
    from brainscore_itmaps.study.sweep import FAILURES, in_words

    say(f"scored     {swept.scored} in {in_words(swept.seconds)}; {swept.kept} were already done")
    if swept.peak_bytes:
        say(f"memory     {swept.peak_bytes / 1e9:.1f} GB at most in a worker")
    say(f"written    {swept.folder}")
    if swept.failures:
        say(f"failed     {len(swept.failures)}, listed in {swept.folder / FAILURES}")
        for line in _lines(swept.failures):
            errors().print(line, soft_wrap=True)
    if swept.scored or swept.kept:
        say(f"next       brainscore compare {swept.folder} --out {swept.folder / 'comparison'}")


def _lines(failures: "tuple[Failure, ...]") -> list[str]:
    """Write one line per model and reason, however many benchmarks fail for it."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for each in failures:
        asked = f"{each.benchmark}{f' ({each.window})' if each.window else ''}"
        grouped.setdefault((each.model or "every model", each.reason), []).append(asked)
    return [f"  {model}, {', '.join(asked)}: {reason}" for (model, reason), asked in grouped.items()]
