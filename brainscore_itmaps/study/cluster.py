"""Start the workers of a study on this machine or under SLURM, or join a running Dask scheduler.

Anyone who can connect to a Dask process can run code as its owner. All connections therefore use TLS with certificates
on both sides: a certificate made for this study, or the one that Dask's configuration names.
"""

import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from brainscore_itmaps.benchmark.expected import memory_of_machine
from brainscore_itmaps.errors import InstallationError, UsageError, one_line
from brainscore_itmaps.settings import Settings, expanded
from brainscore_itmaps.study.config import ClusterConfig

SLURM = "slurm"
SMALLEST_MEMORY = 1e9
"""Bytes below which a worker cannot start: torch and Brain-Score alone need most of it."""
WALLTIME = re.compile(r"(\d+-)?\d+(:\d{1,2}){0,2}|unlimited|infinite", re.IGNORECASE)
MEMORY_SHARE = 0.8
"""Share of the machine's memory that the workers may use together."""
ATTEMPTS = 1
"""Number of other workers that try a model after a worker has died."""
ENCRYPTED = "tls://"
HOW_TO_JOIN = 'docs/studies.md ("Where it runs") shows how to create a certificate and how to configure Dask to use it.'
THREADS = tuple(f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS"))
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment variable that makes Python import no module from the current folder."""
PRIVATE_FOLDER = (  # lines for the shell of a job: another user could own a folder with a known name in /tmp
    "export DASK_TEMPORARY_DIRECTORY=$(mktemp -d)",
    "trap 'rm -rf \"$DASK_TEMPORARY_DIRECTORY\"' EXIT",
)


class Workers(NamedTuple):
    """Number of worker processes, and the resources of each.

    Attributes
    ----------
    number : int
        0 for a running scheduler, which has its own workers.
    threads : int
        Threads of linear algebra in each worker.
    memory : int
        Bytes that each worker may use; 0 if that is unknown.
    """

    number: int
    threads: int
    memory: int

    def __str__(self) -> str:
        """Describe the number and the resources of the workers."""
        many = f"{self.number} worker{'s' * (self.number != 1)}" if self.number else "workers of a running scheduler"
        memory = f", {self.memory / 1e9:.1f} GB" if self.memory else ""
        return f"{many}, each with {self.threads} thread{'s' * (self.threads != 1)}{memory}"


def workers_for(
    config: ClusterConfig,
    models: int,
    worker_bytes: float,
    cores: int,
    memory: int,
    gpus: int = 0,
    most_threads: int = sys.maxsize,
) -> Workers:
    """Choose the number of workers for a machine, and divide its cores and its memory among them.

    The number is the lowest of the number of models, the number of GPUs (without GPUs: of cores), and the number of
    models that fit into memory; at least 1.

    Parameters
    ----------
    config : ClusterConfig
        Values of the configuration have priority over those chosen for the machine. There are never more workers than
        models.
    models : int
        Number of models with runs to do.
    worker_bytes : float
        Expected memory use of a worker.
    cores, memory, gpus : int
        Processor cores, bytes of memory, and GPUs of the machine.
    most_threads : int
        Largest number of threads to choose.

    Examples
    --------
    >>> workers_for(ClusterConfig(), models=3, worker_bytes=2e9, cores=8, memory=64_000_000_000)
    Workers(number=3, threads=2, memory=17066666666)
    """
    fits = int(memory * MEMORY_SHARE // worker_bytes)
    number = min(config.workers, models) or max(1, min(models, gpus or cores, fits))
    threads = config.threads or max(1, min(cores // number, most_threads))
    return Workers(number, threads, _bytes(config.memory) or int(memory * MEMORY_SHARE / number))


def threads_of_environment() -> int:
    """Return the number of threads that OMP_NUM_THREADS, MKL_NUM_THREADS and OPENBLAS_NUM_THREADS allow."""
    values = [os.environ.get(name, "").partition(",")[0].strip() for name in THREADS]
    return min((int(value) for value in values if value.isdecimal() and int(value)), default=sys.maxsize)


def check_cluster(config: ClusterConfig, device: str = "auto") -> None:
    """Check that workers can start with these settings.

    Parameters
    ----------
    config : ClusterConfig
    device : str
        Device of the models.

    Raises
    ------
    UsageError
        When the number of workers or threads, the memory of a worker, the time of a job or the device cannot be used.

    Examples
    --------
    >>> check_cluster(ClusterConfig(memory="2GB"))
    >>> check_cluster(ClusterConfig(memory="2"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: The memory of a worker, 2 bytes, is less than the 1 GB it needs. Write ...
    """
    for name, number in (("workers", config.workers), ("threads", config.threads)):
        if number < 0:
            raise UsageError(f"The number of {name} cannot be {number}.", f"Give 1 or more {name}.")
    memory = _bytes(config.memory)
    if config.memory and memory < SMALLEST_MEMORY:
        raise UsageError(
            f"The memory of a worker, {_amount(memory)}, is less than the {_amount(SMALLEST_MEMORY)} it needs.",
            "Write an amount with its unit, such as 2GB.",
        )
    if not WALLTIME.fullmatch(config.walltime):
        raise UsageError(f"The walltime {config.walltime!r} is not a time.", "Write it as 04:00:00, or 2-00:00:00.")
    if config.scheduler:  # the machines that run the workers are others
        return
    if config.threads and config.threads > (cores := _cores()):
        raise UsageError(
            f"{config.threads} threads of a worker are more than the {cores} cores of this machine.",
            f"Give at most {cores} threads, or leave the number out.",
        )
    if config.memory and memory > (available := memory_of_machine()):
        raise UsageError(
            f"The memory of a worker, {_amount(memory)}, is more than the {_amount(available)} of this machine.",
            "Write a smaller amount, or leave it out: the memory is then divided among the workers.",
        )
    if device not in ("auto", "cpu"):
        import torch

        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise UsageError(
                f"The device {device!r} is not available: {one_line(error)}.", "Use the device auto or cpu."
            ) from error


@contextmanager
def connected(config: ClusterConfig, models: int, worker_bytes: float, device: str) -> Iterator[tuple[Any, Workers]]:
    """Connect a Dask client to workers; afterwards, stop the workers that were started for it.

    Parameters
    ----------
    config : ClusterConfig
    models : int
        Number of models with runs to do.
    worker_bytes : float
        Expected memory use of a worker.
    device : str
        Device of the models, such as "cpu" or "auto".

    Yields
    ------
    (Client, Workers)

    Raises
    ------
    UsageError
        When the scheduler does not use TLS or does not answer, or no memory is set for SLURM.
    InstallationError
        When workers cannot be started, or dask-jobqueue or SLURM is not installed.
    """
    import dask
    from distributed import Client
    from distributed.utils import silence_logging_cmgr

    if config.scheduler not in ("", SLURM):
        _check_address(config.scheduler)
    settings = {"distributed.scheduler.allowed-failures": ATTEMPTS, "distributed.comm.timeouts.connect": 10}
    with (
        dask.config.set(settings),
        silence_logging_cmgr(logging.CRITICAL),  # its messages are reported as errors instead
        _safe_path(),
        _cluster(config, models, worker_bytes, device) as (started, workers),
    ):
        try:
            security = _certificate() if started is None else started.security
            client = Client(started or config.scheduler, security=security, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise UsageError(
                f"The scheduler {config.scheduler} does not answer, or uses another certificate: {one_line(error)}.",
                f"Give the address that `dask scheduler` prints, and use its certificate; {HOW_TO_JOIN}",
            ) from error
        with client:
            yield client, workers


def _check_address(address: str) -> None:
    """Check that an address is valid and encrypted: with another one, Dask waits and ends with a traceback."""
    if "://" not in address:
        raise UsageError(f"The scheduler {address!r} is neither slurm nor an address.", f"Give {ENCRYPTED}host:port.")
    if not address.startswith(ENCRYPTED):
        raise UsageError(
            f"The scheduler {address} is not encrypted: anyone who can connect to it can run code as its owner.",
            f"Start it with a certificate and give the address that it prints, {ENCRYPTED}...; {HOW_TO_JOIN}",
        )
    host, _, port = address.removeprefix(ENCRYPTED).rpartition(":")
    try:
        if not 0 < int(port) < 2**16:
            raise ValueError(f"the port {port} is not between 1 and 65535")
        socket.getaddrinfo(host.removeprefix("[").removesuffix("]"), int(port))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The scheduler's address {address} is not valid: {one_line(error)}.",
            f"Give the address that `dask scheduler` prints, {ENCRYPTED}host:port.",
        ) from error


def _certificate() -> Any:
    """Read the client certificate that Dask's configuration names.

    Raises
    ------
    UsageError
        When the configuration names no certificate.
    OSError
        When the certificate cannot be read.
    """
    from distributed.security import Security

    security = Security(require_encryption=True)
    if security.get_connection_args("client")["ssl_context"] is None:
        raise UsageError("Dask's configuration names no certificate for the scheduler.", HOW_TO_JOIN)
    return security


@contextmanager
def _safe_path() -> Iterator[None]:
    """Make new Python processes import nothing from the current folder; restore the variables that Dask sets."""
    import dask

    names = {
        *SAFE_PATH,
        *THREADS,
        "PYTHONHASHSEED",
        "__DASK_PARENT_PID",
        *dask.config.get("distributed.nanny.pre-spawn-environ"),
    }
    previous = {name: os.environ[name] for name in names & os.environ.keys()}
    os.environ.update(SAFE_PATH)
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(previous)


@contextmanager
def _cluster(config: ClusterConfig, models: int, worker_bytes: float, device: str) -> Iterator[tuple[Any, Workers]]:
    """Yield the cluster that was started, or None, and its workers; stop the cluster afterwards."""
    with ExitStack() as stack:
        if config.scheduler == SLURM:
            yield _slurm(config, models, stack)
        elif config.scheduler:
            yield None, Workers(0, config.threads or 1, 0)
        else:
            yield _local(config, models, worker_bytes, device, stack)


def _local(
    config: ClusterConfig, models: int, worker_bytes: float, device: str, stack: ExitStack
) -> tuple[Any, Workers]:
    import dask
    from distributed import Nanny, SpecCluster
    from distributed.security import Security

    from brainscore_itmaps.study.private import PrivateScheduler, PrivateWorker

    machine = _cores(), memory_of_machine(), _gpu_count(device)
    workers = workers_for(config, models, worker_bytes, *machine, threads_of_environment())
    if config.workers and workers.memory < SMALLEST_MEMORY:
        raise UsageError(
            f"{workers.number} workers leave {_amount(workers.memory)} of memory for each, less than the "
            f"{_amount(SMALLEST_MEMORY)} that a worker needs to start.",
            "Give fewer workers, or leave the number out.",
        )
    environment = dict.fromkeys(THREADS, str(workers.threads))
    private = {"host": "127.0.0.1", "protocol": ENCRYPTED, "security": Security.temporary()}
    options = {
        "worker_class": PrivateWorker,
        "nthreads": 1,  # one model at a time; its linear algebra uses more threads
        "memory_limit": workers.memory,
        "silence_logs": logging.CRITICAL,
    }
    settings = {
        "distributed.nanny.pre-spawn-environ": environment | SAFE_PATH,
        # not in /tmp, where another user could own the folder
        "temporary-directory": str(Settings.from_environment().home / "workers"),
    }
    with dask.config.set(settings), _starting():
        cluster = SpecCluster(
            scheduler={"cls": PrivateScheduler, "options": private | {"port": 0, "dashboard": False}},
            workers={name: {"cls": Nanny, "options": private | options} for name in range(workers.number)},
            security=private["security"],
            silence_logs=logging.CRITICAL,
        )
    stack.enter_context(cluster)
    return cluster, workers


@contextmanager
def _starting() -> Iterator[None]:
    """Raise an InstallationError when a worker cannot be started."""
    try:
        yield
    except Exception as error:  # Dask raises the error of the worker
        raise InstallationError(
            f"The workers of the study could not be started: {one_line(error.__cause__ or error)}.",
            "`brainscore doctor` checks the installation, `brainscore --debug sweep ...` shows where it failed.",
        ) from error


def _slurm(config: ClusterConfig, models: int, stack: ExitStack) -> tuple[Any, Workers]:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
        from dask_jobqueue.slurm import SLURMJob

        signal.signal(signal.SIGINT, on_interrupt)  # importing dask_jobqueue makes Ctrl-C exit with 0
    except ImportError as error:
        raise InstallationError(
            "SLURM needs dask-jobqueue, which is not installed.", 'Run pip install "brainscore_itmaps[slurm]".'
        ) from error
    import dask
    from distributed.security import Security

    from brainscore_itmaps.study.private import PrivateScheduler, PrivateWorker

    if not config.memory:
        raise UsageError("The memory of a SLURM job is missing.", 'Add, for example, memory = "8GB" to [cluster].')
    if shutil.which("sbatch") is None:
        raise InstallationError(
            "The command sbatch, which submits jobs to SLURM, is not on this machine.",
            "Run the study on a machine that submits jobs, or without the scheduler slurm.",
        )

    class PrivateJob(SLURMJob):  # type: ignore[misc]
        @contextmanager
        def job_file(self) -> Iterator[str]:
            """Write the job script into a private folder, because another user could replace it in a shared one."""
            with tempfile.TemporaryDirectory() as folder:
                script = Path(folder) / "job.sh"
                script.write_text(self.job_script(), encoding="utf-8")
                yield str(script)

    workers = Workers(min(config.workers or models, models), config.threads or 1, _bytes(config.memory))
    shared = dask.config.get("jobqueue.slurm.shared-temp-directory", None)
    shared = expanded(shared) if shared else Settings.from_environment().home
    shared.mkdir(parents=True, exist_ok=True)
    # folder of the certificate and its key: readable only by the user, removed when the study ends
    private = stack.enter_context(tempfile.TemporaryDirectory(prefix=".certificate-", dir=shared))
    extra = dask.config.get("jobqueue.slurm.worker-extra-args", None) or []
    with _starting():
        cluster = SLURMCluster(
            job_cls=PrivateJob,
            job_name="itmaps",
            queue=config.queue or None,
            account=config.account or None,
            walltime=config.walltime,
            cores=1,
            processes=1,
            job_cpu=workers.threads,
            memory=config.memory,
            job_extra_directives=list(config.directives),
            job_script_prologue=[
                *(f"export {name}={value}" for name, value in SAFE_PATH.items()),
                *PRIVATE_FOLDER,
                *config.prologue,
            ],
            worker_extra_args=[*extra, "--no-dashboard", "--worker-class", f"{PrivateWorker.__module__}.PrivateWorker"],
            protocol=ENCRYPTED,
            security=Security.temporary(),
            shared_temp_directory=private,
            scheduler_cls=PrivateScheduler,
            scheduler_options={"dashboard": False, "dashboard_address": None},
            silence_logs=logging.CRITICAL,
        )
    stack.enter_context(cluster)
    cluster.scale(jobs=workers.number)
    return cluster, workers


def _gpu_count(device: str) -> int:
    """Return the number of GPUs of this machine that the device allows."""
    if device == "cpu" or not os.path.exists("/dev/nvidia0"):  # noqa: PTH110  # importing torch takes seconds
        return 0
    import torch

    return torch.cuda.device_count()


def _cores() -> int:
    from dask.system import CPU_COUNT

    return int(CPU_COUNT)


def _amount(memory: float) -> str:
    """Format an amount of memory."""
    if memory < 1e6:
        return f"{memory:.0f} bytes"
    return f"{memory / 1e6:.0f} MB" if memory < 1e9 else f"{memory / 1e9:.4g} GB"


def _bytes(memory: str) -> int:
    """Convert an amount of memory, such as "8GB", to bytes; "" to 0."""
    if not memory:
        return 0
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(memory))
    except (ValueError, KeyError, OverflowError) as error:
        raise UsageError(f"{memory!r} is not an amount of memory.", "Write it as 8GB.") from error
