"""A clone of Brain-Score made of the installed package: no plugins of ours, and no import of this package."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import numpy as np
from PIL import Image

from brainscore_itmaps.bridge.contribution import Known, S3Facts, folders_of, plan_of
from brainscore_itmaps.bridge.contribution_files import write_folders
from brainscore_itmaps.bridge.plugins import KINDS, host_folder

KEPT = {"models": "pixels", "benchmarks": "majajhong2015", "data": "majajhong2015", "metrics": "pls"}
NAMES = ("it_maps", "itmaps_ridge", "efficientnet_lite0", "harmonized_vgg16")
SHAPE = (14, 1, 17, 17, 32)


def clone_of_brain_score(folder):
    """Lay out a clone, under version control, in which importing this package is an error."""
    host = folder / "brainscore_vision"
    ignored = shutil.ignore_patterns("__pycache__", *(f"itmaps_{kind}" for kind in KINDS))
    shutil.copytree(host_folder(), host, ignore=lambda where, names: _others(where, names) | ignored(where, names))
    resources = host / "model_helpers" / "generic_plugin_tests_resources"
    resources.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name in ("rgb1.jpg", "rgb2.jpg", "rgb3.png"):
        Image.fromarray(rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)).save(resources / name)
    needed = [line for line in requires("brainscore-vision") if "extra ==" not in line]
    (folder / "pyproject.toml").write_text(
        f"[project]\nname = 'brainscore_vision'\nversion = '{version('brainscore-vision')}'\ndependencies = {needed}\n"
        "[tool.pytest.ini_options]\nmarkers = ['slow', 'travis_slow', 'private_access', 'memory_intense']\n"
    )
    forbidden = folder / "brainscore_itmaps"
    forbidden.mkdir()
    (forbidden / "__init__.py").write_text("raise ImportError('importing brainscore_itmaps is forbidden here')\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=tests", "-c", "user.email=tests@example.org", "commit", "-qm", "clone")
    return folder


def _others(where, names):
    """All plugin folders but one of each kind."""
    parent, kind = Path(where).parent, Path(where).name
    if parent != host_folder() or kind not in KEPT:
        return set()
    return {name for name in names if not name.startswith("__init__") and name != KEPT[kind]}


def git(folder, *arguments):
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def everything_known(names=NAMES):
    """Facts of S3 and expected values, made up, with which a contribution is complete."""
    plan = plan_of(names)
    facts = S3Facts("bucket/folder", dict.fromkeys(plan.files, "version"), dict.fromkeys(plan.files, "0" * 40))
    return Known(
        facts,
        {},
        {assembly: SHAPE for dataset in plan.datasets for assembly, _ in dataset.assemblies.values()},
        {part.identifier: {"raw": 0.3, "ceiling": 0.9, "score": 0.3333} for part in plan.benchmarks},
        {spec.identifier: (0.5, 1.5) for spec in plan.models},
    )


def contributed(clone, names=NAMES):
    """Write a complete contribution, with made-up facts, into a clone; return its folders."""
    written = write_folders(folders_of(plan_of(names), everything_known(names)), clone)
    written.keep()
    return written.folders


def python_in(clone, code, **environment):
    """Run code in a new process that imports the clone."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=clone, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(clone), "BS_INSTALL_DEPENDENCIES": "no", "TQDM_DISABLE": "1"} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
