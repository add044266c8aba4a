"""The command as somebody types it."""

import os
import subprocess
import sys


def brainscore(*arguments, **environment):
    """Run `brainscore` with these arguments, and these variables besides the environment's."""
    return subprocess.run(
        [sys.executable, "-m", "brainscore_itmaps", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | environment,
    )
