"""Homes of their own for all tests, those of the plugin folders too, instead of the user's."""

import os
import shutil
import tempfile
from pathlib import Path

# before anything imports numpy: the workers of a run share the processors, and pools of threads fight over them
os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
HOME = Path(tempfile.mkdtemp(prefix="itmaps-tests-"))


def pytest_configure():
    """Point every cache at a temporary folder, before a test file can import Brain-Score: it reads them on import."""
    os.environ.update(
        ITMAPS_HOME=str(HOME / "itmaps"),
        BRAINIO_HOME=str(HOME / ".brainio"),
        RESULTCACHING_HOME=str(HOME / "result_caching"),
        BRAINSCORE_HOME=str(HOME / "brain-score"),
        BS_INSTALL_DEPENDENCIES="no",
        COLUMNS="200",
    )


def pytest_unconfigure():
    """Remove it."""
    shutil.rmtree(HOME, ignore_errors=True)
