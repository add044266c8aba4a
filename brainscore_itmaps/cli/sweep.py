"""`brainscore sweep`: many networks on many benchmarks."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from brainscore_itmaps.cli.fetch_options import Offline
from brainscore_itmaps.cli.terminal import errors, progress_bar, say

if TYPE_CHECKING:
    from brainscore_itmaps.study.cluster import Workers
    from brainscore_itmaps.study.plan import Plan
    from brainscore_itmaps.study.sweep import Failure, Finished, Swept

SHOWN = 20
"""Networks that a dry run lists."""


def sweep(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="embedded, harmonized_twins, paper_proxy, windows, or a TOML file.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the study; by default studies/ and its name.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what there is to do, its sizes and an estimate; compute nothing.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler that runs, or slurm; by default this machine.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; under SLURM jobs.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the linear algebra of a worker.")] = None,
    memory: Annotated[str | None, typer.Option(help="That a worker may take, as 8GB.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; auto takes GPUs where there are some.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything anew.")] = False,
    offline: Offline = False,
) -> None:
    """Score networks on benchmarks. The same command goes on with a study that was interrupted."""
    from brainscore_itmaps.study.config import read_study

    with warnings.catch_warnings(record=True) as told:
        config = read_study(study)
    for warning in told:
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
        progress("looking at what there is to do", 0, 1)
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

    table = Table("network", "to do", "done", "weights")
    for each in planned.work[:SHOWN]:
        size = "" if each.parameters is None else f"{each.parameters * 4 / 1e6:.0f} MB"
        table.add_row(each.network.title, str(len(each.to_do)), str(len(each.done)), size)
    for column in table.columns[1:]:
        column.justify = "right"
    say(table)
    if len(planned.work) > SHOWN:
        say(f"           and {len(planned.work) - SHOWN} more networks")
    runs = [run for each in planned.to_do for run in each.to_do]
    asked = Counter(f"{run.benchmark}{f' ({run.window})' if run.window else ''}" for run in runs)
    for name, number in asked.items():
        say(f"to do      {name}: {number} networks")
    for (benchmark, window), reason in planned.unreachable.items():
        say(f"not asked  {benchmark}{f' ({window})' if window else ''}: {reason}")
    if runs:
        known = [each.parameters for each in planned.to_do if each.parameters is not None]
        unknown = len(planned.to_do) - len(known)
        say(f"weights    {sum(known) * 4 / 1e9:.2f} GB{f', and {unknown} networks of unknown size' if unknown else ''}")
        say(f"memory     about {planned.memory / 1e9:.1f} GB a worker")
        seconds = START_SECONDS + sum(each.seconds for each in planned.to_do)
        say(f"time       roughly {in_words(seconds)} on one core without downloads, at one layer a network")
    else:
        say("to do      nothing")
    say(f"folder     {folder}")


def _print_start(planned: "Plan", workers: "Workers") -> None:
    runs = sum(len(each.to_do) for each in planned.to_do)
    say(f"to do      {runs} runs of {len(planned.to_do)} networks")
    say(f"workers    {workers}")


def _print_finished(network: "Finished") -> None:
    from brainscore_itmaps.study.sweep import in_words

    failed = f", {network.failed} failed" if network.failed else ""
    left = f", about {in_words(network.seconds_left)} left" if network.networks_done < network.networks else ""
    say(
        f"{network.networks_done:>3} of {network.networks:<4} {network.network}: {network.scored} scored{failed} in "
        f"{in_words(network.seconds)}{left}"
    )


def _print_end(swept: "Swept") -> None:
    from brainscore_itmaps.study.sweep import FAILURES, in_words

    say(f"scored     {swept.scored} in {in_words(swept.seconds)}; {swept.kept} were done before")
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
    """One a network and reason, however many benchmarks fail for it."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for each in failures:
        asked = f"{each.benchmark}{f' ({each.window})' if each.window else ''}"
        grouped.setdefault((each.network or "every network", each.reason), []).append(asked)
    return [f"  {network}, {', '.join(asked)}: {reason}" for (network, reason), asked in grouped.items()]
