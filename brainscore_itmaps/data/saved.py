"""Read and write a recording as a folder with ``recording.json``, ``maps.npz`` and ``images/``.

``recording.json`` requires ``images`` (file names in the order of the maps), ``identifier`` and ``window``; its other
keys have defaults. ``maps.npz`` contains ``maps`` (image, y, x, site) or ``repeats`` (image, repeat, y, x, site), and
``y`` and ``x`` in degrees if the positions are not evenly spaced from edge to edge.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid, read_extent
from brainscore_itmaps.data.images import default_extent
from brainscore_itmaps.errors import DataError, InstallationError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, new_folder, sha256
from brainscore_itmaps.images import read_image

FORMAT = "brainscore_itmaps recording"
VERSION = 1
DESCRIPTION = "recording.json"
MAPS = "maps.npz"
LARGEST = 10**9
TEXTS = ("identifier", "subject", "area", "citation", "orientation", "sha256")


def write_folder(fields: Mapping[str, Any], folder: Path, fix: str = ANOTHER_FOLDER) -> None:
    """Write the fields of a recording as a folder, which appears only when it is complete.

    Parameters
    ----------
    fields : mapping
        Fields of a :class:`~brainscore_itmaps.data.recording.Recording` by name.
    folder : Path
        Must not exist.
    fix : str
        Next step, for errors.

    Raises
    ------
    DataError
        When an image of the recording no longer exists.
    InstallationError
        When the folder exists, cannot be written to, or the disk is full.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps import load_recording
    >>> with TemporaryDirectory() as root:
    ...     write_folder(vars(load_recording("it_maps_simulated")), Path(root, "mine"))
    ...     sorted(file.name for file in Path(root, "mine").iterdir())
    ['images', 'maps.npz', 'recording.json']
    """
    if missing := [str(image) for image in fields["images"] if not image.is_file()]:
        raise DataError(f"{fields['identifier']}: images are missing: {', '.join(missing)}.", "Restore these files.")
    if folder.exists():
        raise InstallationError(f"{folder} already exists.", "Name a new folder, or remove the existing one.")
    grid = fields["grid"]
    with new_folder(folder, fix) as temporary:
        (temporary / "images").mkdir()
        images = []
        for image in fields["images"]:
            shutil.copyfile(image, temporary / "images" / image.name)
            images.append({"file": image.name, "sha256": sha256(image)})
        arrays: dict[str, Any] = {"maps": fields["maps"], "y": grid.y, "x": grid.x}
        if fields["repeats"] is not None:
            arrays["repeats"] = fields["repeats"]
        np.savez_compressed(temporary / MAPS, **arrays)
        description = {
            "format": FORMAT,
            "version": VERSION,
            **{name: fields[name] for name in TEXTS},
            "simulated": fields["simulated"],
            "window": list(fields["window"]),
            "extent": grid.extent,
            "stretched": fields["stretched"],
            "outside": fields["outside"],
            "sites": list(fields["sites"]),
            "dropped": list(fields["dropped"]),
            "images": images,
            "maps_sha256": sha256(temporary / MAPS),
        }
        (temporary / DESCRIPTION).write_text(
            json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_folder(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Read the fields of a recording from a folder, and list all problems of the folder.

    Returns
    -------
    dict or None, list of str
        The fields, or None if there are problems; one sentence per problem.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "recording.json").write_text("[]")
    ...     read_folder(Path(folder))
    (None, ['recording.json is not a table of names and values.'])
    """
    description, problems = _read_description(folder)
    if description is None:
        return None, problems
    images, image_problems = _find_images(folder, description)
    arrays, array_problems = _read_arrays(folder, description)
    problems += image_problems + array_problems
    if problems:
        return None, problems
    maps, repeats = arrays.get("maps"), arrays.get("repeats")
    if maps is None:
        maps = arrays["repeats"].mean(axis=1)
    _, rows, columns, sites = maps.shape
    stretched = description.get("stretched", False)
    extent = read_extent(description.get("extent") or default_extent(images, stretched))
    even = Grid.even((rows, columns), extent)
    fields = {
        "identifier": description["identifier"],
        "maps": maps,
        "images": tuple(images),
        "grid": Grid(
            y=arrays.get("y", even.y),
            x=arrays.get("x", even.x),
            extent=extent,
        ),
        "window": (description["window"][0], description["window"][1]),
        "subject": description.get("subject", "unknown"),
        "area": description.get("area", "unknown"),
        "sites": tuple(description.get("sites") or (f"site-{number:02d}" for number in range(sites))),
        "sha256": description.get("sha256") or sha256(folder / MAPS),
        "citation": description.get("citation", ""),
        "simulated": description.get("simulated", False),
        "repeats": repeats,
        "orientation": description.get("orientation", "as_stored"),
        "dropped": tuple(description.get("dropped", ())),
        "stretched": stretched,
        "outside": description.get("outside", False),
    }
    return fields, []


def _read_description(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    file = folder / DESCRIPTION
    if not file.is_file():
        return None, [f"There is no {DESCRIPTION} in {folder}."]
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, [f"{DESCRIPTION} cannot be read: {one_line(error)}."]
    if not isinstance(description, dict):
        return None, [f"{DESCRIPTION} is not a table of names and values."]
    if description.get("format", FORMAT) != FORMAT or description.get("version", VERSION) != VERSION:
        form = f"format {description.get('format')!r}, version {description.get('version')!r}"
        return None, [f"{DESCRIPTION} has {form}; expected {FORMAT!r}, version {VERSION}."]
    if "images" not in description and "pictures" in description:  # the name of this key until version 0.1
        description["images"] = description["pictures"]
    entries = description["images"] if isinstance(description.get("images"), list) else []
    problems = [
        sentence
        for valid, sentence in (
            *((isinstance(description.get(name, ""), str), f"{DESCRIPTION}: {name} is not text.") for name in TEXTS),
            (description.get("identifier"), f"{DESCRIPTION} has no identifier."),
            (
                _is_window(description.get("window")),
                f"{DESCRIPTION}: window is {description.get('window')!r}; give [from, to] in milliseconds.",
            ),
            *(
                (isinstance(description.get(name, False), bool), f"{DESCRIPTION}: {name} is neither true nor false.")
                for name in ("simulated", "stretched", "outside")
            ),
            (
                _is_extent(description.get("extent", 16.0)),
                f"{DESCRIPTION}: extent is not a number of degrees, or [height, width].",
            ),
            *(
                (_is_texts(description.get(name, [])), f"{DESCRIPTION}: {name} is not a list of names.")
                for name in ("sites", "dropped")
            ),
        )
        if not valid
    ]
    names = [entry.get("file") if isinstance(entry, dict) else entry for entry in entries]
    if not names or not _is_texts(names):
        problems.append(f"{DESCRIPTION}: images is not a list of file names in the order of the maps.")
    elif invalid := [name for name in names if not _is_file_name(str(name))]:
        problems.append(f"{DESCRIPTION}: {', '.join(map(repr, invalid))} are not names of files in images/.")
    return (None if problems else description), problems


def _find_images(folder: Path, description: dict[str, Any]) -> tuple[list[Path], list[str]]:
    files = []
    problems = []
    subfolder = "images" if (folder / "images").is_dir() or not (folder / "pictures").is_dir() else "pictures"
    for entry in description["images"]:
        name, expected = (entry["file"], entry.get("sha256")) if isinstance(entry, dict) else (entry, None)
        file = folder / subfolder / name
        files.append(file)
        if not file.is_file():
            problems.append(f"The image {subfolder}/{name} is missing.")
            continue
        try:
            if expected is not None and sha256(file) != expected:
                problems.append(f"The image {subfolder}/{name} is not the saved one: its sha256 differs.")
            else:
                read_image(file)
        except DataError as error:
            problems.append(error.args[0])
        except OSError as error:
            problems.append(f"The image {subfolder}/{name} cannot be read: {error.strerror}.")
    return files, problems


def _read_arrays(folder: Path, description: dict[str, Any]) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    file = folder / MAPS
    if not file.is_file():
        return {}, [f"There is no {MAPS} in {folder}."]
    try:
        if "maps_sha256" in description and sha256(file) != description["maps_sha256"]:
            return {}, [f"{MAPS} is not the saved one: its sha256 differs."]
        with np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in ("maps", "repeats", "y", "x") if name in opened}
    except Exception as error:  # numpy and zipfile raise many kinds on damaged bytes
        return {}, [f"{MAPS} cannot be read: {one_line(error)}."]
    problems = [
        f"{MAPS}: {name} is {arrays[name].dtype} of shape {arrays[name].shape}; it requires {axes} axes."
        for name, axes in (("maps", 4), ("repeats", 5), ("y", 1), ("x", 1))
        if name in arrays and (arrays[name].dtype.kind not in "fiu" or arrays[name].ndim != axes)
    ]
    if not {"maps", "repeats"} & set(arrays):
        problems.append(f"{MAPS} contains neither maps (image, y, x, site) nor repeats (image, repeat, y, x, site).")
    if problems:
        return {}, problems
    return {name: array if array.dtype.kind == "f" else array.astype(np.float64) for name, array in arrays.items()}, []


def _is_extent(value: Any) -> bool:
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    return all(type(side) in (int, float) and 0 < side < LARGEST for side in sides)


def _is_window(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2 and all(type(edge) is int for edge in value)
    return bool(numbers and -LARGEST < value[0] < value[1] < LARGEST)


def _is_file_name(name: str) -> bool:
    return Path(name).name == name and name.isprintable() and 0 < len(name.encode()) < 256 and name not in (".", "..")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
