"""Workers for a study: on this machine, under SLURM, or of a dask scheduler that runs already."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from brainscore_itmaps.errors import InstallationError, UsageError, one_line
from brainscore_itmaps.study.config import ClusterConfig

SLURM = "slurm"
SHARE = 0.8
"""Of the machine's memory that workers are given."""
ATTEMPTS = 1
"""How often a network is given to another worker when one has died of it."""
UNINTERRUPTED = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Ctrl-C on the terminal is for us; we stop the workers."""


class Workers(NamedTuple):
    """Processes, and what each of them may use.

    Attributes
    ----------
    number : int
        0 where a scheduler that runs already has as many as it has.
    threads : int
        Of linear algebra.
    memory : int
        Bytes; 0 where nobody says.
    """

    number: int
    threads: int
    memory: int

    def __str__(self) -> str:
        """How many, with what."""
        many = f"{self.number} worker{'s' * (self.number != 1)}" if self.number else "workers that run already"
        memory = f", {self.memory / 1e9:.1f} GB" if self.memory else ""
        return f"{many}, each with {self.threads} thread{'s' * (self.threads != 1)}{memory}"


def workers_for(asked: ClusterConfig, networks: int, needs: float, cores: int, memory: int, cards: int = 0) -> Workers:
    """Choose workers for a machine.

    As many as there are networks, cores, and shares of the memory that hold one; with GPUs, one for each. Cores are
    divided among them, so that they do not fight.

    Parameters
    ----------
    asked : ClusterConfig
        What it says is not chosen.
    networks : int
        Of which something is to do.
    needs : float
        Bytes that a worker is expected to take.
    cores, memory, cards : int
        Of the machine: processor cores, bytes, GPUs.
    """
    fits = int(memory * SHARE // needs)
    number = asked.workers or max(1, min(networks, cards or cores, fits))
    threads = asked.threads or max(1, cores // number)
    return Workers(number, threads, _bytes(asked.memory) or int(memory * SHARE / number))


@contextmanager
def connected(asked: ClusterConfig, networks: int, needs: float, device: str) -> Iterator[tuple[Any, Workers]]:
    """A client of dask's with workers behind it; those that were started for it are stopped afterwards.

    Parameters
    ----------
    asked : ClusterConfig
    networks : int
        Of which something is to do.
    needs : float
        Bytes that a worker is expected to take.
    device : str
        On which networks will be computed.

    Raises
    ------
    UsageError
        When the scheduler does not answer, or SLURM is told no memory.
    InstallationError
        When dask-jobqueue is not installed, or there is no SLURM here.
    """
    import dask
    from distributed import Client
    from distributed.utils import silence_logging_cmgr

    settings = {"distributed.scheduler.allowed-failures": ATTEMPTS, "distributed.comm.timeouts.connect": 10}
    with dask.config.set(settings), silence_logging_cmgr(logging.CRITICAL):  # what it logs, we say
        if asked.scheduler == SLURM:
            started, workers = _slurm(asked, networks)
        elif asked.scheduler:
            started, workers = None, Workers(0, asked.threads or 1, 0)
        else:
            started, workers = _local(asked, networks, needs, device)
        try:
            client = Client(started if started is not None else asked.scheduler, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"The scheduler {asked.scheduler} does not answer: {one_line(error)}.",
                "Give the address that `dask scheduler` prints, or leave out --scheduler.",
            ) from error
        try:
            yield client, workers
        finally:
            client.close()
            if started is not None:
                started.close()


def _local(asked: ClusterConfig, networks: int, needs: float, device: str) -> tuple[Any, Workers]:
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    workers = workers_for(asked, networks, needs, CPU_COUNT, MEMORY_LIMIT, _cards(device))
    environment = {f"{library}_NUM_THREADS": str(workers.threads) for library in ("OMP", "MKL", "OPENBLAS")}
    with dask.config.set(
        {"distributed.nanny.pre-spawn-environ": environment, "distributed.worker.preload": [UNINTERRUPTED]}
    ):
        cluster = LocalCluster(
            n_workers=workers.number,
            threads_per_worker=1,  # one network at a time; what it computes uses more
            processes=True,
            memory_limit=workers.memory,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    return cluster, workers


def _slurm(asked: ClusterConfig, networks: int) -> tuple[Any, Workers]:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise InstallationError(
            "SLURM needs dask-jobqueue, which is not installed.", 'Run pip install "brainscore_itmaps[slurm]".'
        ) from error
    if not asked.memory:
        raise UsageError("How much memory a job of SLURM's may take is not said.", 'Add memory = "8GB" to [cluster].')
    if shutil.which("sbatch") is None:
        raise InstallationError(
            "There is no sbatch here, which submits jobs to SLURM.",
            "Run this where jobs are submitted, or leave out --scheduler slurm.",
        )
    workers = Workers(min(asked.workers or networks, networks), asked.threads or 1, _bytes(asked.memory))
    cluster = SLURMCluster(
        job_name="itmaps",
        queue=asked.queue or None,
        account=asked.account or None,
        walltime=asked.walltime,
        cores=1,
        processes=1,
        job_cpu=workers.threads,
        memory=asked.memory,
        job_extra_directives=list(asked.directives),
        job_script_prologue=list(asked.prologue),
        scheduler_options={"dashboard_address": None},
        silence_logs=logging.CRITICAL,
    )
    cluster.scale(jobs=workers.number)
    return cluster, workers


def _cards(device: str) -> int:
    """GPUs of this machine, where they are to be used."""
    if device == "cpu" or not os.path.exists("/dev/nvidia0"):  # noqa: PTH110  # torch takes seconds to say the same
        return 0
    import torch

    return torch.cuda.device_count()


def _bytes(memory: str) -> int:
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(memory)) if memory else 0
    except (ValueError, KeyError) as error:
        raise UsageError(f"{memory!r} is no amount of memory.", "Write it as 8GB.") from error
