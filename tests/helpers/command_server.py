"""Runs Python commands, each in a process forked from this one, which has imported what takes seconds to import.

Started by `command_line`. Reads a line of JSON for each command and answers with its exit code. What is forked becomes
the command: arguments, environment, folder, streams, exit.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import sys

IMPORTED = (
    "torch", "torchvision", "timm", "scipy.stats", "sklearn.linear_model", "pandas", "xarray", "pyarrow.parquet",
    "h5py", "matplotlib.figure", "jinja2", "pooch", "requests", "typer", "rich.console",
    "brainscore_itmaps.cli.app", "brainscore_itmaps.bridge.score",
)  # fmt: skip
"""Modules that read no environment variable on import. Brain-Score does, so it is not among them."""


EXIT = []


def serve() -> dict:
    """Answer commands until there are no more; returns, in a process of its own, a command that is to be run."""
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    sys.exit()


def become(command: dict) -> None:
    """Run ``python -m ...`` or ``python -c ...`` here, as if it had just been started."""
    for number, file in enumerate((os.devnull, command["stdout"], command["stderr"])):
        os.dup2(os.open(file, os.O_RDWR), number)
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.path[0] = command["folder"]
    option, what, *arguments = map(str, command["arguments"])
    sys.argv = [option, *arguments]  # runpy puts the file there
    try:
        if option == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            del globals()["__file__"]
            exec(compile(what, "<string>", "exec"), globals())
        EXIT.append(0)
    except SystemExit as error:
        EXIT.append(error.code or 0)
        raise
    except Exception:
        EXIT.append(1)
        raise


def leave() -> None:
    """End, after all else has, without the time that Python takes to let go of every module."""
    if EXIT and isinstance(EXIT[0], int):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT[0])


if __name__ == "__main__":
    atexit.register(leave)  # before all others: it comes last
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    become(serve())
