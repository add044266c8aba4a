"""Entry point of the command, which handles Ctrl-C before any slow import."""

import io
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line; exit with 130 on Ctrl-C, also while modules are imported."""
    signal.signal(signal.SIGINT, _interrupt)
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes import nothing from the current folder
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a path that the terminal cannot show must not end the command
    from brainscore_itmaps.cli.app import run

    run()


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    same = "the same command without --fresh" if "--fresh" in sys.argv else "the same command"
    print(f"interrupted; run {same} again to resume.", file=sys.stderr)
    sys.exit(130)
