"""Read and write a recording as a folder with ``recording.json``, ``maps.npz`` and ``images/``.

``recording.json`` requires ``images`` (file names in the order of the maps), ``identifier`` and ``window``; its other
keys have defaults. ``maps.npz`` contains ``maps`` (image, y, x, site) or ``repeats`` (image, repeat, y, x, site), and
``y`` and ``x`` in degrees if the positions are not evenly spaced from edge to edge.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.arrays import mean_over_repeats, without_nan_sites
from brainscore_itmaps.data.grid import Grid, read_extent
from brainscore_itmaps.data.images import (
    SHAPE_FIX,
    decoded_name,
    default_extent,
    is_file_name,
    matching_file,
    shape_problem,
)
from brainscore_itmaps.errors import DataError, InstallationError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, new_folder, sha256
from brainscore_itmaps.images import read_image
from brainscore_itmaps.npz import read_npz

FORMAT = "brainscore_itmaps recording"
VERSION = 1
DESCRIPTION = "recording.json"
MAPS = "maps.npz"
LARGEST = 10**9
REQUIRED = ("identifier", "window", "images")
FLAGS = ("simulated", "stretched", "outside", "drop_nan_sites")
TEXTS = ("identifier", "subject", "area", "citation", "orientation", "sha256")
OTHER_KEYS = ("format", "version", "window", "images", "pictures", "extent", "sites", "dropped", "maps_sha256")
KEYS = (*TEXTS, *FLAGS, *OTHER_KEYS)
ARRAYS = ("maps", "repeats", "y", "x")
SIMILAR = 0.8
"""Share of letters (difflib) from which an unknown key is taken for a misspelt one; other keys are not read."""


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
            images.append({"file": decoded_name(image.name), "sha256": sha256(image)})
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


def read_folder(folder: Path, *, drop_nan_sites: bool = False) -> tuple[dict[str, Any] | None, list[str]]:
    """Read the fields of a recording from a folder, and list all problems of the files.

    Parameters
    ----------
    folder : Path
    drop_nan_sites : bool
        Leave out sites with missing values, also if ``recording.json`` does not say so.

    Returns
    -------
    dict or None, list of str
        The fields, those that cannot be read as None, or None if ``recording.json`` cannot be read; one sentence per
        problem.

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
    images, readable, image_problems = _find_images(folder, description.get("images", []))
    arrays, array_problems = _read_arrays(folder, description)
    problems += image_problems + array_problems
    maps, repeats = arrays.get("maps"), arrays.get("repeats")
    if maps is None and repeats is not None:
        maps = mean_over_repeats(repeats)
    stretched = description.get("stretched", False)
    grid, sites = None, description.get("sites")
    if maps is not None:
        _, rows, columns, count = maps.shape
        extent = read_extent(description.get("extent") or default_extent(readable, stretched))
        even = Grid.even((rows, columns), extent)
        grid = Grid(y=arrays.get("y", even.y), x=arrays.get("x", even.x), extent=extent)
        sites = sites or [f"site-{number:02d}" for number in range(count)]
        if problem := shape_problem(readable, grid, stretched):
            problems.append(f"{problem} {SHAPE_FIX}")
    window = description.get("window")
    fields = {
        "identifier": description.get("identifier"),
        "maps": maps,
        "images": tuple(images) if "images" in description else None,
        "grid": grid,
        "window": tuple(window) if window is not None else None,
        "subject": description.get("subject", "unknown"),
        "area": description.get("area", "unknown"),
        "sites": tuple(sites) if sites is not None else None,
        "sha256": description.get("sha256") or (sha256(folder / MAPS) if arrays else ""),
        "citation": description.get("citation", ""),
        "simulated": description.get("simulated", False),
        "repeats": repeats,
        "orientation": description.get("orientation", "as_stored"),
        "dropped": tuple(description.get("dropped", ())),
        "stretched": stretched,
        "outside": description.get("outside", False),
    }
    return without_nan_sites(fields) if drop_nan_sites or description.get("drop_nan_sites") else fields, problems


def _read_description(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    file = folder / DESCRIPTION
    if folder.is_file():
        return None, [f"{folder} is a file; a recording is a folder with {DESCRIPTION}, {MAPS} and images/."]
    if not file.is_file():
        return None, [f"There is no {DESCRIPTION} in {folder}."]
    try:
        description = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        return None, [f"{DESCRIPTION} cannot be read: {one_line(error)}."]
    if not isinstance(description, dict):
        return None, [f"{DESCRIPTION} is not a table of names and values."]
    if description.get("format", FORMAT) != FORMAT or description.get("version", VERSION) != VERSION:
        form = f"format {description.get('format')!r}, version {description.get('version')!r}"
        return None, [f"{DESCRIPTION} has {form}; expected {FORMAT!r}, version {VERSION}."]
    if "images" not in description and "pictures" in description:  # the name of this key until version 0.1
        description["images"] = description["pictures"]
    problems = [
        f"{DESCRIPTION} has an unknown key {name!r}; did you mean {known}?"
        for name, known in _misspelt(description, KEYS).items()
    ]
    sentences = {
        **dict.fromkeys(TEXTS, "is not text"),
        **dict.fromkeys(FLAGS, "is neither true nor false"),
        **dict.fromkeys(("sites", "dropped"), "is not a list of names"),
        "extent": "is not a number of degrees, or [height, width]",
        "window": f"is {description.get('window')!r}; give [from, to] in milliseconds",
        "images": "is not a list of file names in the order of the maps",
    }
    checks: dict[str, Callable[[Any], bool]] = {
        **{name: lambda value: isinstance(value, str) for name in TEXTS},
        "identifier": lambda value: isinstance(value, str) and bool(value),
        **{name: lambda value: isinstance(value, bool) for name in FLAGS},
        **dict.fromkeys(("sites", "dropped"), _is_texts),
        "extent": _is_extent,
        "window": _is_window,
        "images": lambda value: bool(_file_names(value)),
    }
    for name, check in checks.items():
        if (name not in description and name not in REQUIRED) or check(description.get(name)):
            continue
        sentence = f": {name} {sentences[name]}"
        if name == "identifier" and description.get(name) in (None, ""):
            sentence = " has no identifier"
        problems.append(f"{DESCRIPTION}{sentence}.")
        description.pop(name, None)
    names = _file_names(description.get("images", []))
    if invalid := [name for name in names if not is_file_name(name)]:
        problems.append(f"{DESCRIPTION}: {', '.join(map(repr, invalid))} are not names of files in images/.")
        del description["images"]
    return description, problems


def _misspelt(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return the names that are not known, but resemble a known name that is absent; each with the known name."""
    present = set(names)
    absent = [name for name in known if name not in present]
    unknown = sorted(present - {*known})
    similar = {name: get_close_matches(name.strip().casefold(), absent, n=1, cutoff=SIMILAR) for name in unknown}
    return {name: matches[0] for name, matches in similar.items() if matches}


def _file_names(entries: Any) -> list[str]:
    """Return the file names in the list of images; an empty list if it is not such a list."""
    if not isinstance(entries, list):
        return []
    names = [entry.get("file") if isinstance(entry, dict) else entry for entry in entries]
    return [name for name in names if isinstance(name, str)] if _is_texts(names) else []


def _find_images(folder: Path, entries: list[Any]) -> tuple[list[Path], list[Path], list[str]]:
    """Return the files of all images, those that can be read, and the problems of the others."""
    files, readable, problems = [], [], []
    subfolder = "images" if (folder / "images").is_dir() or not (folder / "pictures").is_dir() else "pictures"
    for entry in entries:
        name, expected = (entry["file"], entry.get("sha256")) if isinstance(entry, dict) else (entry, None)
        file = matching_file(name, folder / subfolder) or folder / subfolder / name
        files.append(file)
        if not file.is_file():
            problems.append(f"The image {subfolder}/{name} is missing.")
            continue
        try:
            if expected is not None and sha256(file) != expected:
                problems.append(f"The image {subfolder}/{name} is not the saved one: its sha256 differs.")
            else:
                read_image(file)
                readable.append(file)
        except DataError as error:
            problems.append(error.args[0])
        except OSError as error:
            problems.append(f"The image {subfolder}/{name} cannot be read: {error.strerror}.")
    return files, readable, problems


def _read_arrays(folder: Path, description: dict[str, Any]) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    file = folder / MAPS
    if not file.is_file():
        return {}, [f"There is no {MAPS} in {folder}."]
    try:
        if "maps_sha256" in description and sha256(file) != description["maps_sha256"]:
            return {}, [f"{MAPS} is not the saved one: its sha256 differs."]
        stored = read_npz(file)
    except (OSError, ValueError) as error:
        return {}, [f"{MAPS} cannot be read: {one_line(error)}."]
    arrays = {name: stored[name] for name in ARRAYS if name in stored}
    misspelt = _misspelt(stored, ARRAYS)
    problems = [f"{MAPS} has an unknown array {name!r}; did you mean {known}?" for name, known in misspelt.items()]
    problems += [
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


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
