"""The workers of a study accept only the process that started them, and import nothing from the current folder."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from answers import assert_refused, succeeded
from command_line import new_python

from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.study.cluster import connected
from brainscore_itmaps.study.config import ClusterConfig

WAITING = """
import time
from pathlib import Path

import timm

def build():
    Path("{folder}/started").touch()
    while not Path("{folder}/go").exists():
        time.sleep(0.1)
    return timm.create_model("test_resnet")
"""
SHADOWED = ("random", "signal", "threading", "socket", "selectors", "queue", "logging", "numpy", "distributed")
"""Modules that a starting worker imports."""


def sweep_command(study, folder):
    """Return the command, from a script in a separate folder, as pip installs `brainscore`."""
    script = folder / "bin" / "brainscore"
    script.parent.mkdir()
    script.write_text("from brainscore_itmaps.cli.start import main\n\nif __name__ == '__main__':\n    main()\n")
    return [sys.executable, script, "sweep", str(study), "--out", str(folder / "out"), "--workers", "1"]


@contextmanager
def waiting_sweep(folder):
    """Start a sweep whose model waits for the file ``go``, and yield its process."""
    (folder / "mine.py").write_text(WAITING.format(folder=folder))
    study = folder / "study.toml"
    study.write_text(f'models = ["{folder}/mine.py:build"]\nbenchmarks = ["it_maps_simulated"]\n')
    errors = folder / "errors"
    with errors.open("w") as stream:
        running = subprocess.Popen(sweep_command(study, folder), stdout=subprocess.DEVNULL, stderr=stream, cwd=folder)
    try:
        give_up = time.monotonic() + 100
        while not (folder / "started").exists():
            assert running.poll() is None, errors.read_text()
            assert time.monotonic() < give_up, errors.read_text()
            time.sleep(0.1)
        yield running
    finally:
        (folder / "go").touch()
        running.wait(100)


def listening(process):
    """Return the ports and addresses on which a process and its child processes accept connections."""
    parent = psutil.Process(process.pid)
    connections = []
    for one in (parent, *parent.children(recursive=True)):
        with suppress(psutil.Error):  # one that has ended meanwhile
            connections += one.net_connections("all")
    return {each.laddr.port: each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}


@pytest.mark.slow
def test_another_user_of_the_machine_can_run_nothing_in_a_sweep(own_home, tmp_path):
    with waiting_sweep(tmp_path) as running:
        ports = listening(running)
        assert len(ports) == 3  # scheduler, and a worker with its nanny: no dashboard
        assert set(ports.values()) == {"127.0.0.1"}
        command = [sys.executable, Path(__file__).parents[1] / "helpers" / "attack_on_workers.py", *map(str, ports)]
        attack = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert attack.returncode == 0, attack.stderr
        assert running.poll() is None, "the attack was on nothing"
    report = json.loads(attack.stdout)
    assert report["control"] == [os.getuid(), os.getuid(), 200]  # without protection the same attack succeeds
    assert report["user"] == (65534 if os.getuid() == 0 else os.getuid())
    assert report["through"] == {str(port): [None, None, None] for port in ports}
    assert running.returncode == 0, (tmp_path / "errors").read_text()  # and the sweep is none the worse


@pytest.mark.slow
def test_workers_import_nothing_from_the_current_folder(own_home, tmp_path):
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path)!r} + '/ran-{name}', 'w')\nraise SystemExit(1)\n")
    with waiting_sweep(tmp_path):
        pass
    assert not list(tmp_path.glob("ran-*"))
    assert list((tmp_path / "out" / "results").glob("*.json"))


NOT_STARTED = """
import os
from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.study.cluster import connected
from brainscore_itmaps.study.config import ClusterConfig

before = dict(os.environ)
try:
    with connected(ClusterConfig(workers=1), 1, 1e9, "cpu"):
        pass
except InstallationError as error:
    print(error)
print(dict(os.environ) == before)
"""


@pytest.mark.slow
def test_workers_that_cannot_start_are_a_sentence_and_the_environment_is_given_back(own_home, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif any('spawn_main' in each for each in sys.orig_argv): os._exit(7)\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = new_python("-c", NOT_STARTED, PYTHONPATH=path)
    message, given_back = done.stdout.splitlines()
    assert message.startswith(
        "The workers of the study could not be started: Nanny failed to start worker process. `brain"
    )
    assert given_back == "True", done.stderr


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:8786", "ws://127.0.0.1:8786", "TLS://127.0.0.1:8786"])
def test_a_scheduler_without_encryption_is_not_joined(scheduler):
    with (
        pytest.raises(
            UsageError, match=r"is not encrypted: anyone who can connect to it can run code as its owner.*studies\.md"
        ),
        connected(ClusterConfig(scheduler=scheduler), 1, 1e9, "cpu"),
    ):
        pass


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("SLURM", "neither slurm nor an address"),
        ("127.0.0.1:8786", "neither slurm nor an address"),
        ("tls://[::1", "is not valid"),
        ("tls://127.0.0.1:9/x", "is not valid"),
        ("tls://127.0.0.1", "is not valid"),
        ("tls://127.0.0.1:99999", "the port 99999 is not between 1 and 65535"),
        ("tls://127.0.0.1:-1", "the port -1 is not between 1 and 65535"),
        (f"tls://{'a' * 300}:80", "is not valid"),
    ],
)
@pytest.mark.enable_socket
def test_what_is_no_address_is_a_sentence_at_once(scheduler, message):
    with (
        pytest.raises(UsageError, match=rf"{message}.* Give .*tls://host:port"),
        connected(ClusterConfig(scheduler=scheduler), 1, 1e9, "cpu"),
    ):
        pass


CERTIFICATES = """
distributed:
  comm:
    require-encryption: true
    tls:
      ca-file: {folder}/itmaps.crt
      scheduler: {{cert: {folder}/itmaps.crt, key: {folder}/itmaps.key}}
      worker: {{cert: {folder}/itmaps.crt, key: {folder}/itmaps.key}}
      client: {{cert: {folder}/itmaps.crt, key: {folder}/itmaps.key}}
  scheduler: {{http: {{routes: []}}}}
  worker: {{http: {{routes: []}}}}
"""
"""As docs/studies.md says."""


@pytest.fixture
def config(tmp_path):
    """A folder with a configuration of Dask and a new certificate."""
    from distributed.security import Security

    made = Security.temporary()
    (tmp_path / "itmaps.crt").write_text(made.tls_ca_file)
    (tmp_path / "itmaps.key").write_text(made.tls_client_key)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "itmaps.yaml").write_text(CERTIFICATES.format(folder=tmp_path))
    return tmp_path / "config"


@pytest.fixture
def study(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text('benchmarks = ["it_maps_simulated"]\n[[model]]\nname = "timm:test_resnet"\nweights = "random"\n')
    return file


def test_a_scheduler_is_joined_with_a_certificate_that_can_be_read(own_home, tmp_path, config, study):
    joining = ("sweep", study, "--out", tmp_path / "out", "--scheduler", f"tls://127.0.0.1:{_free_port()}")
    assert_refused(2, "names no certificate", *joining, DASK_CONFIG=tmp_path / "nothing")
    (tmp_path / "itmaps.key").write_text("no key")
    assert_refused(2, "does not answer, or uses another certificate", *joining, DASK_CONFIG=config)


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_a_sentence(own_home, tmp_path, config, study):
    joining = ("sweep", study, "--out", tmp_path / "out", "--scheduler", f"tls://127.0.0.1:{_free_port()}")
    assert_refused(2, "does not answer, or uses another certificate", *joining, DASK_CONFIG=config)


@pytest.mark.slow
def test_a_scheduler_that_runs_with_our_certificate_is_joined(own_home, tmp_path, config, study):
    port = _free_port()
    address, dask = f"tls://127.0.0.1:{port}", [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--protocol", "tls", "--no-dashboard"]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options["env"] = os.environ | {"DASK_CONFIG": str(config)}
    with (
        subprocess.Popen(scheduler, **options) as one,
        subprocess.Popen([*dask, "worker", address, "--nthreads", "1", "--no-dashboard"], **options) as other,
    ):
        try:
            done = succeeded("sweep", study, "--out", tmp_path / "out", "--scheduler", address, DASK_CONFIG=config)
        finally:
            other.kill()
            one.kill()
    assert "workers of a running scheduler" in done.stdout
    assert "scored     1 in" in done.stdout


def _free_port():
    """Find a free port in a separate process, because tests open no sockets in this one."""
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
