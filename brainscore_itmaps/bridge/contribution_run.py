"""Run Brain-Score's generic tests and the tests of plugin folders, in a clone, as its own runner does."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from brainscore_itmaps.bridge.contribution_rules import Checked
from brainscore_itmaps.progress import Report, silent

GENERIC = "brainscore_vision/model_helpers/generic_plugin_tests.py"
LINES = 12
"""Last lines of a failed run that are shown."""


def run_tests(clone: Path, folders: Sequence[Path], files: Path, progress: Report = silent) -> list[Checked]:
    """Run the tests of plugin folders, after the generic tests of models, in processes of this Python.

    Parameters
    ----------
    clone : Path
    folders : sequence of Path
    files : Path
        Folder with Brain-Score's downloads, from :func:`download_folders`.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    list of Checked
        One line for each run; the end of its output where it failed.

    Examples
    --------
    >>> run_tests(Path("vision"), [], Path("files"))
    []
    """
    clone = clone.resolve()
    runs = []
    for folder in (path.resolve() for path in folders):
        if folder.parent.name == "models":
            runs.append(("run-generic-tests", folder, [str(clone / GENERIC), f"--plugin_directory={folder}"]))
        runs.append(("run-tests", folder, [str(folder / "test.py"), "-m", "not slow"]))
    checked = []
    for number, (rule, folder, arguments) in enumerate(runs):
        where = f"{folder.parent.name}/{folder.name}"
        progress(f"testing {where}", number, len(runs))
        found = _failure(clone, arguments, files)
        cure = f"Run it: cd {clone} && python -m pytest {' '.join(arguments)}."
        checked.append(Checked(rule, where, "FAIL" if found else "ok", found, cure, "core test_plugin.sh"))
    return checked


def download_folders(files: Path) -> dict[str, Path]:
    """Return Brain-Score's folders of downloads in a folder, by environment variable.

    They hold the files of a contribution as if they were downloaded, and Brain-Score's caches of the runs.

    Examples
    --------
    >>> list(download_folders(Path("files")))
    ['BRAINIO_HOME', 'BRAINSCORE_HOME', 'RESULTCACHING_HOME']
    """
    return {
        "BRAINIO_HOME": files / "brainio",
        "BRAINSCORE_HOME": files / "brainscore",
        "RESULTCACHING_HOME": files / "results",
    }


def _failure(clone: Path, arguments: Sequence[str], files: Path) -> str:
    """Run pytest in a clone; return the end of its output if it failed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(clone), "BS_INSTALL_DEPENDENCIES": "no", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {name: str(folder) for name, folder in download_folders(files).items()}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={clone}", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in (done.stdout + done.stderr).splitlines()]
    return "\n".join(line for line in lines[-LINES:] if line)
