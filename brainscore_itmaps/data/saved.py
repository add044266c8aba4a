"""A recording as a folder with ``recording.json``, ``maps.npz`` and ``images/``, which any lab can write.

``recording.json`` names, in the order of the maps, the images; ``identifier`` and ``window`` must be there too, the
rest has defaults. ``maps.npz`` holds ``maps`` (image, y, x, site) or ``repeats`` (image, repeat, y, x, site), and ``y``
and ``x`` in degrees where the positions are not spread evenly from edge to edge.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import read_image
from brainscore_itmaps.errors import DataError, InstallationError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, new_folder, sha256

FORMAT = "brainscore_itmaps recording"
VERSION = 1
ABOUT = "recording.json"
MAPS = "maps.npz"
LARGEST = 10**9
TEXTS = ("identifier", "subject", "area", "citation", "orientation", "sha256")


def write_folder(fields: Mapping[str, Any], folder: Path, fix: str = ANOTHER_FOLDER) -> None:
    """Write the fields of a recording as a folder, which exists only once it is complete.

    Raises
    ------
    DataError
        When an image of the recording no longer exists.
    InstallationError
        When the folder exists, cannot be written to, or the disk is full.
    """
    if missing := [str(image) for image in fields["images"] if not image.is_file()]:
        raise DataError(f"{fields['identifier']}: images are missing: {', '.join(missing)}.", "Restore these files.")
    if folder.exists():
        raise InstallationError(f"{folder} exists already.", "Name a new folder, or remove that one.")
    grid = fields["grid"]
    with new_folder(folder, fix) as inside:
        (inside / "images").mkdir()
        images = []
        for image in fields["images"]:
            shutil.copyfile(image, inside / "images" / image.name)
            images.append({"file": image.name, "sha256": sha256(image)})
        arrays: dict[str, Any] = {"maps": fields["maps"], "y": grid.y, "x": grid.x}
        if fields["repeats"] is not None:
            arrays["repeats"] = fields["repeats"]
        np.savez_compressed(inside / MAPS, **arrays)
        about = {
            "format": FORMAT,
            "version": VERSION,
            **{name: fields[name] for name in TEXTS},
            "simulated": fields["simulated"],
            "window": list(fields["window"]),
            "extent": grid.extent,
            "sites": list(fields["sites"]),
            "dropped": list(fields["dropped"]),
            "images": images,
            "maps_sha256": sha256(inside / MAPS),
        }
        (inside / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_folder(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Read the fields of a recording from a folder, and list everything that is wrong with it, a sentence each.

    Returns
    -------
    dict or None, list of str
        None when something is wrong.
    """
    about, troubles = _about(folder)
    if about is None:
        return None, troubles
    images, more = _images(folder, about)
    troubles += more
    arrays, more = _arrays(folder, about)
    troubles += more
    if troubles:
        return None, troubles
    maps, repeats = arrays.get("maps"), arrays.get("repeats")
    if maps is None:
        maps = arrays["repeats"].mean(axis=1)
    _, rows, columns, sites = maps.shape
    extent = float(about.get("extent", 16.0))
    fields = {
        "identifier": about["identifier"],
        "maps": maps,
        "images": tuple(images),
        "grid": Grid(
            y=np.asarray(arrays.get("y", Grid.even(rows, extent).y), dtype=np.float64),
            x=np.asarray(arrays.get("x", Grid.even(columns, extent).x), dtype=np.float64),
            extent=extent,
        ),
        "window": (about["window"][0], about["window"][1]),
        "subject": about.get("subject", "unknown"),
        "area": about.get("area", "unknown"),
        "sites": tuple(about.get("sites") or (f"site-{number:02d}" for number in range(sites))),
        "sha256": about.get("sha256") or sha256(folder / MAPS),
        "citation": about.get("citation", ""),
        "simulated": about.get("simulated", False),
        "repeats": repeats,
        "orientation": about.get("orientation", "as_stored"),
        "dropped": tuple(about.get("dropped", ())),
    }
    return fields, []


def _about(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    file = folder / ABOUT
    if not file.is_file():
        return None, [f"There is no {ABOUT} in {folder}."]
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, [f"{ABOUT} cannot be read: {one_line(error)}."]
    if not isinstance(about, dict):
        return None, [f"{ABOUT} is not a table of names and values."]
    if about.get("format", FORMAT) != FORMAT or about.get("version", VERSION) != VERSION:
        return None, [f"{ABOUT} is of format {about.get('format')!r}, version {about.get('version')!r}; not {VERSION}."]
    if "images" not in about and "pictures" in about:  # as written until version 0.1
        about["images"] = about["pictures"]
    extent = about.get("extent", 16.0)
    entries = about["images"] if isinstance(about.get("images"), list) else []
    troubles = [
        sentence
        for right, sentence in (
            *((isinstance(about.get(name, ""), str), f"{ABOUT}: {name} is not a text.") for name in TEXTS),
            (about.get("identifier"), f"{ABOUT} names no identifier."),
            (
                _is_window(about.get("window")),
                f"{ABOUT}: window is {about.get('window')!r}; give [from, to] in milliseconds.",
            ),
            (isinstance(about.get("simulated", False), bool), f"{ABOUT}: simulated is neither true nor false."),
            (type(extent) in (int, float) and 0 < extent < LARGEST, f"{ABOUT}: extent is not a number of degrees."),
            *(
                (_is_texts(about.get(name, [])), f"{ABOUT}: {name} is not a list of names.")
                for name in ("sites", "dropped")
            ),
        )
        if not right
    ]
    named = [entry.get("file") if isinstance(entry, dict) else entry for entry in entries]
    if not named or not _is_texts(named):
        troubles.append(f"{ABOUT}: images is not a list of file names in the order of the maps.")
    elif odd := [name for name in named if not _is_file_name(str(name))]:
        troubles.append(f"{ABOUT}: {', '.join(map(repr, odd))} are not names of files in images/.")
    return (None if troubles else about), troubles


def _images(folder: Path, about: dict[str, Any]) -> tuple[list[Path], list[str]]:
    files = []
    troubles = []
    inside = "images" if (folder / "images").is_dir() or not (folder / "pictures").is_dir() else "pictures"
    for entry in about["images"]:
        name, expected = (entry["file"], entry.get("sha256")) if isinstance(entry, dict) else (entry, None)
        file = folder / inside / name
        files.append(file)
        if not file.is_file():
            troubles.append(f"The image {inside}/{name} is missing.")
            continue
        try:
            if expected is not None and sha256(file) != expected:
                troubles.append(f"The image {inside}/{name} is not the one that was saved (sha256).")
            else:
                read_image(file)
        except DataError as error:
            troubles.append(error.args[0])
        except OSError as error:
            troubles.append(f"The image {inside}/{name} cannot be read: {error.strerror}.")
    return files, troubles


def _arrays(folder: Path, about: dict[str, Any]) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    file = folder / MAPS
    if not file.is_file():
        return {}, [f"There is no {MAPS} in {folder}."]
    try:
        if "maps_sha256" in about and sha256(file) != about["maps_sha256"]:
            return {}, [f"{MAPS} is not the one that was saved (sha256)."]
        with np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in ("maps", "repeats", "y", "x") if name in opened}
    except Exception as error:  # numpy and zipfile raise many kinds on damaged bytes
        return {}, [f"{MAPS} cannot be read: {one_line(error)}."]
    troubles = [
        f"{MAPS}: {name} is {arrays[name].dtype} of shape {arrays[name].shape}; it needs {axes} axes."
        for name, axes in (("maps", 4), ("repeats", 5), ("y", 1), ("x", 1))
        if name in arrays and (arrays[name].dtype.kind not in "fiu" or arrays[name].ndim != axes)
    ]
    if not {"maps", "repeats"} & set(arrays):
        troubles.append(f"{MAPS} holds neither maps (image, y, x, site) nor repeats (image, repeat, y, x, site).")
    if troubles:
        return {}, troubles
    return {name: each if each.dtype.kind == "f" else each.astype(np.float64) for name, each in arrays.items()}, []


def _is_window(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2 and all(type(edge) is int for edge in value)
    return bool(numbers and -LARGEST < value[0] < value[1] < LARGEST)


def _is_file_name(name: str) -> bool:
    return Path(name).name == name and name.isprintable() and 0 < len(name.encode()) < 256 and name not in (".", "..")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
