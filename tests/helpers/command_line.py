"""The command as somebody types it."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def brainscore(*arguments, **environment):
    """Run `brainscore` with these arguments, and these variables besides the environment's."""
    early = any(name.startswith(("HF_", "DASK_")) for name in environment)  # read when timm or dask is imported
    return (new_python if early else python)("-m", "brainscore_itmaps", *arguments, **environment)


def python(*arguments, **environment):
    """Run ``python -m ...`` or ``python -c ...``, with what takes seconds to import in memory already."""
    with tempfile.TemporaryDirectory() as folder:
        streams = {name: Path(folder) / name for name in ("stdout", "stderr")}
        for file in streams.values():
            file.touch()
        command = {"arguments": arguments, "environment": dict(_text(environment)), "folder": Path.cwd(), **streams}
        line, server = json.dumps(command, default=str), _server()
        try:
            print(line, file=server.stdin, flush=True)
            code = int(server.stdout.readline())
        except BaseException:  # a test that took too long
            server.kill()
            _server.cache_clear()
            raise
        return subprocess.CompletedProcess(arguments, code, *(file.read_text() for file in streams.values()))


def new_python(*arguments, **environment):
    """Run python with these arguments, with nothing in memory: it takes seconds longer."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=_text(environment),
    )


def _text(environment):
    """The environment's variables and these."""
    return os.environ | {name: str(value) for name, value in environment.items()}


@cache
def _server():
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("command_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},  # no test connects to the internet
    )
    atexit.register(server.communicate)  # closing its standard input ends the server
    return server
