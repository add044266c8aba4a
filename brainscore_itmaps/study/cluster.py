"""Start the workers of a study on this machine or under SLURM, or join a running Dask scheduler.

Anyone who can connect to a Dask process can run code as its owner. All connections therefore use TLS with certificates
on both sides: a certificate made for this study, or the one that Dask's configuration names.
"""

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from brainscore_itmaps.errors import InstallationError, UsageError, one_line
from brainscore_itmaps.settings import Settings
from brainscore_itmaps.study.config import ClusterConfig

SLURM = "slurm"
SHARE = 0.8
"""Of the machine's memory that workers are given."""
ATTEMPTS = 1
"""How often a model is given to another worker when one has died of it."""
ENCRYPTED = "tls://"
HOW_TO_JOIN = 'docs/studies.md ("Where it runs") shows how to make one and where to name it.'
THREADS = tuple(f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS"))
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Makes Python import no module from the current folder."""
PRIVATE_FOLDER = (  # for a job's shell; another user may own a folder with a known name in /tmp
    "export DASK_TEMPORARY_DIRECTORY=$(mktemp -d)",
    "trap 'rm -rf \"$DASK_TEMPORARY_DIRECTORY\"' EXIT",
)


class Workers(NamedTuple):
    """Number of worker processes, and the resources of each.

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
        """Describe number and resources of the workers."""
        many = f"{self.number} worker{'s' * (self.number != 1)}" if self.number else "workers that run already"
        memory = f", {self.memory / 1e9:.1f} GB" if self.memory else ""
        return f"{many}, each with {self.threads} thread{'s' * (self.threads != 1)}{memory}"


def workers_for(asked: ClusterConfig, models: int, needs: float, cores: int, memory: int, cards: int = 0) -> Workers:
    """Choose workers for a machine.

    As many as there are models, cores, and shares of the memory that hold one; with GPUs, one for each. Cores are
    divided among them, so that they do not fight.

    Parameters
    ----------
    asked : ClusterConfig
        What it says is not chosen.
    models : int
        Of which something is to do.
    needs : float
        Bytes that a worker is expected to take.
    cores, memory, cards : int
        Of the machine: processor cores, bytes, GPUs.
    """
    fits = int(memory * SHARE // needs)
    number = asked.workers or max(1, min(models, cards or cores, fits))
    threads = asked.threads or max(1, cores // number)
    return Workers(number, threads, _bytes(asked.memory) or int(memory * SHARE / number))


@contextmanager
def connected(asked: ClusterConfig, models: int, needs: float, device: str) -> Iterator[tuple[Any, Workers]]:
    """Connect a Dask client to workers; stop those that were started for it afterwards.

    Parameters
    ----------
    asked : ClusterConfig
    models : int
        Of which something is to do.
    needs : float
        Bytes that a worker is expected to take.
    device : str
        On which models will be computed.

    Raises
    ------
    UsageError
        When the scheduler does not use TLS or does not answer, or no memory is set for SLURM.
    InstallationError
        When workers cannot be started, dask-jobqueue is not installed, or there is no SLURM here.
    """
    import dask
    from distributed import Client
    from distributed.utils import silence_logging_cmgr

    if asked.scheduler not in ("", SLURM):
        _check_address(asked.scheduler)
    settings = {"distributed.scheduler.allowed-failures": ATTEMPTS, "distributed.comm.timeouts.connect": 10}
    with (
        dask.config.set(settings),
        silence_logging_cmgr(logging.CRITICAL),  # what it logs, we say
        _safe_path(),
        _cluster(asked, models, needs, device) as (started, workers),
    ):
        try:
            security = _certificate() if started is None else started.security
            client = Client(started or asked.scheduler, security=security, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise UsageError(
                f"The scheduler {asked.scheduler} does not answer, or uses another certificate: {one_line(error)}.",
                f"Give the address that `dask scheduler` prints, and use its certificate; {HOW_TO_JOIN}",
            ) from error
        with client:
            yield client, workers


def _check_address(address: str) -> None:
    """Refuse an address that is not encrypted or not an address: Dask would wait for it and end with a traceback."""
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
        raise UsageError("Dask's configuration names no certificate to join a scheduler with.", HOW_TO_JOIN)
    return security


@contextmanager
def _safe_path() -> Iterator[None]:
    """Make every Python started meanwhile import nothing from the current folder; restore what Dask sets."""
    import dask

    names = {
        *SAFE_PATH,
        *THREADS,
        "PYTHONHASHSEED",
        "__DASK_PARENT_PID",
        *dask.config.get("distributed.nanny.pre-spawn-environ"),
    }
    before = {name: os.environ[name] for name in names & os.environ.keys()}
    os.environ.update(SAFE_PATH)
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def _cluster(asked: ClusterConfig, models: int, needs: float, device: str) -> Iterator[tuple[Any, Workers]]:
    """Yield the cluster that was started, or None, and its workers; stop it afterwards."""
    with ExitStack() as opened:
        if asked.scheduler == SLURM:
            yield _slurm(asked, models, opened)
        elif asked.scheduler:
            yield None, Workers(0, asked.threads or 1, 0)
        else:
            yield _local(asked, models, needs, device, opened)


def _local(asked: ClusterConfig, models: int, needs: float, device: str, opened: ExitStack) -> tuple[Any, Workers]:
    import dask
    from dask.system import CPU_COUNT
    from distributed import Nanny, SpecCluster
    from distributed.security import Security
    from distributed.system import MEMORY_LIMIT

    from brainscore_itmaps.study.private import PrivateScheduler, PrivateWorker

    workers = workers_for(asked, models, needs, CPU_COUNT, MEMORY_LIMIT, _cards(device))
    environment = dict.fromkeys(THREADS, str(workers.threads))
    private = {"host": "127.0.0.1", "protocol": ENCRYPTED, "security": Security.temporary()}
    options = {
        "worker_class": PrivateWorker,
        "nthreads": 1,  # one model at a time; what it computes uses more
        "memory_limit": workers.memory,
        "silence_logs": logging.CRITICAL,
    }
    settings = {
        "distributed.nanny.pre-spawn-environ": environment | SAFE_PATH,
        "temporary-directory": str(Settings.from_environment().home / "workers"),  # another user may own one in /tmp
    }
    with dask.config.set(settings), _starting():
        cluster = SpecCluster(
            scheduler={"cls": PrivateScheduler, "options": private | {"port": 0, "dashboard": False}},
            workers={name: {"cls": Nanny, "options": private | options} for name in range(workers.number)},
            security=private["security"],
            silence_logs=logging.CRITICAL,
        )
    opened.enter_context(cluster)
    return cluster, workers


@contextmanager
def _starting() -> Iterator[None]:
    """Turn the failure of a starting worker into a sentence."""
    try:
        yield
    except Exception as error:  # dask raises what the worker raised
        raise InstallationError(
            f"The workers of the study could not be started: {one_line(error.__cause__ or error)}.",
            "`brainscore doctor` checks the installation, `brainscore --debug sweep ...` shows where it failed.",
        ) from error


def _slurm(asked: ClusterConfig, models: int, opened: ExitStack) -> tuple[Any, Workers]:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
        from dask_jobqueue.slurm import SLURMJob

        signal.signal(signal.SIGINT, on_interrupt)  # importing it replaces what Ctrl-C does: exit with 0
    except ImportError as error:
        raise InstallationError(
            "SLURM needs dask-jobqueue, which is not installed.", 'Run pip install "brainscore_itmaps[slurm]".'
        ) from error
    import dask
    from distributed.security import Security

    from brainscore_itmaps.study.private import PrivateScheduler, PrivateWorker

    if not asked.memory:
        raise UsageError("The memory of a SLURM job is missing.", 'Add memory = "8GB" to [cluster].')
    if shutil.which("sbatch") is None:
        raise InstallationError(
            "The command sbatch, which submits jobs to SLURM, is not on this machine.",
            "Run this where jobs are submitted, or leave out --scheduler slurm.",
        )

    class PrivateJob(SLURMJob):  # type: ignore[misc]
        @contextmanager
        def job_file(self) -> Iterator[str]:
            """Write the script into a private folder: in a shared one another user could replace it."""
            with tempfile.TemporaryDirectory() as folder:
                script = Path(folder) / "job.sh"
                script.write_text(self.job_script(), encoding="utf-8")
                yield str(script)

    workers = Workers(min(asked.workers or models, models), asked.threads or 1, _bytes(asked.memory))
    shared = dask.config.get("jobqueue.slurm.shared-temp-directory", None)
    shared = Path(shared).expanduser() if shared else Settings.from_environment().home
    shared.mkdir(parents=True, exist_ok=True)
    # for the certificate and its key: readable by their owner alone, removed when the study ends
    private = opened.enter_context(tempfile.TemporaryDirectory(prefix=".certificate-", dir=shared))
    extra = dask.config.get("jobqueue.slurm.worker-extra-args", None) or []
    with _starting():
        cluster = SLURMCluster(
            job_cls=PrivateJob,
            job_name="itmaps",
            queue=asked.queue or None,
            account=asked.account or None,
            walltime=asked.walltime,
            cores=1,
            processes=1,
            job_cpu=workers.threads,
            memory=asked.memory,
            job_extra_directives=list(asked.directives),
            job_script_prologue=[
                *(f"export {name}={value}" for name, value in SAFE_PATH.items()),
                *PRIVATE_FOLDER,
                *asked.prologue,
            ],
            worker_extra_args=[*extra, "--no-dashboard", "--worker-class", f"{PrivateWorker.__module__}.PrivateWorker"],
            protocol=ENCRYPTED,
            security=Security.temporary(),
            shared_temp_directory=private,
            scheduler_cls=PrivateScheduler,
            scheduler_options={"dashboard": False, "dashboard_address": None},
            silence_logs=logging.CRITICAL,
        )
    opened.enter_context(cluster)
    cluster.scale(jobs=workers.number)
    return cluster, workers


def _cards(device: str) -> int:
    """Return the number of GPUs to use on this machine."""
    if device == "cpu" or not os.path.exists("/dev/nvidia0"):  # noqa: PTH110  # torch takes seconds to say the same
        return 0
    import torch

    return torch.cuda.device_count()


def _bytes(memory: str) -> int:
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(memory)) if memory else 0
    except (ValueError, KeyError) as error:
        raise UsageError(f"{memory!r} is not an amount of memory.", "Write it as 8GB.") from error
