"""The entry point of the command: Ctrl-C is handled before any slow import."""

import io
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, _interrupt)
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes import nothing from the current folder
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path that the terminal cannot show is still no crash
    from brainscore_itmaps.cli.app import run

    run()


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    print("interrupted; run the same command again to resume.", file=sys.stderr)
    sys.exit(130)
