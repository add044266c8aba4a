"""Where the command starts: Ctrl-C is handled before anything is imported that takes time."""

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, _interrupt)
    from brainscore_itmaps.cli.app import run

    run()


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    print("interrupted; the same command starts again.", file=sys.stderr)
    sys.exit(130)
