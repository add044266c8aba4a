"""Read folders of images that have a subfolder for each class, as ImageNet's."""

import importlib.util
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unicodedata import normalize

from brainscore_itmaps.errors import DataError
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import short_repr

IMAGES, MAPS = "images", "maps"
"""Subfolders of a folder of images with human maps."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
IMAGENET_CLASSES = 1000
PHOTOGRAPHS = "photographs"
"""In place of a folder: the 20 ImageNet photographs inside the package foolbox, with labels and without human maps."""
WNID = re.compile(r"n\d{8}")
MOST_NAMES = 8


@short_repr
@dataclass(frozen=True)
class ClassFolders:
    """The images of a folder with a subfolder for each class.

    Attributes
    ----------
    folder : Path
    files : tuple of str
        Paths of the images, by class and then by name.
    labels : tuple of int
        Class of each image, counted from 0.
    classes : dict of str to int
        Label of each subfolder.
    notes : tuple of str
        What was left out, and how classes were numbered, as clauses.
    """

    folder: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    classes: dict[str, int]
    notes: tuple[str, ...]


def read_class_folders(folder: Path, classes: int, known: Mapping[str, int] | None = None) -> ClassFolders:
    """List the images of a folder that has a subfolder for each class, with their labels.

    Hidden folders and files, those that a system or a notebook left (``.ipynb_checkpoints``, ``__MACOSX``), folders
    without images, and files beside the subfolders are left out; ``notes`` names them.

    Parameters
    ----------
    folder : Path
    classes : int
        Number of classes of the model.
    known : mapping of str to int, optional
        Labels of the subfolders' names, if they are known; by default :func:`class_labels` determines them.

    Returns
    -------
    ClassFolders

    Raises
    ------
    DataError
        When the folder does not exist, has no subfolders with images, or its classes are not those of the model.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("2", "10", ".ipynb_checkpoints"):
    ...         Path(folder, name).mkdir()
    ...         Path(folder, name, "a.png").touch()
    ...     images = read_class_folders(Path(folder), classes=12)
    >>> images.labels, images.notes[0]
    ((2, 10), '.ipynb_checkpoints is left out')
    """
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise DataError(
            f"{folder} {state}, not a folder with a subfolder of images for each class.", "Name an existing folder."
        )
    files: dict[str, list[str]] = {}
    left_out, stray, others = [], [], 0
    try:
        entries = sorted(folder.iterdir(), key=lambda path: normalize("NFC", path.name))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.", "Correct its permissions.") from error
    for entry in entries:
        if is_hidden(entry.name):
            left_out.append(entry.name)
        elif not entry.is_dir():
            stray.append(entry.name)
        else:
            files_here = visible_files(entry)
            images = [file for file in files_here if file.lower().endswith(IMAGE_SUFFIXES)]
            others += len(files_here) - len(images)
            if images:
                files[entry.name] = images
            else:
                left_out.append(f"{entry.name} (no images)")
    if not files:
        beside = f"; {len(stray)} files lie beside where they would be" if stray else ""
        empty = f"; left out: {named(left_out)}" if left_out else ""
        raise DataError(
            f"{folder} is not a folder with a subfolder of images for each class{beside}{empty}.",
            "Put the images of each class into a subfolder, such as cat/1.jpg and dog/1.jpg.",
        )
    if known is not None and any(map(_is_number, known)):  # numbers need no names to compare with
        known = None
    labels = class_labels(list(files), classes, str(folder)) if known is None else _known(list(files), known, folder)
    notes = []
    if left_out:
        notes.append(f"{named(left_out)} {'is' if len(left_out) == 1 else 'are'} left out")
    if stray:
        notes.append(f"{named(stray)}, outside of the subfolders, {'is' if len(stray) == 1 else 'are'} left out")
    if others:
        what = "1 file that is not an image is" if others == 1 else f"{others} files that are not images are"
        notes.append(f"{what} left out")
    if known is None:
        notes.append(_numbering(labels, classes))
    names = sorted(files, key=labels.__getitem__)
    return ClassFolders(
        folder,
        tuple(file for name in names for file in files[name]),
        tuple(labels[name] for name in names for _ in files[name]),
        labels,
        tuple(notes),
    )


def read_images_without_classes(folder: Path) -> ClassFolders | None:
    """List the images that lie in a folder itself, with the label -1; None if it has subfolders with images, or none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "a.png").touch()
    ...     images = read_images_without_classes(Path(folder))
    >>> images.labels, images.classes
    ((-1,), {})
    """
    images = [file for file in visible_files(folder) if file.lower().endswith(IMAGE_SUFFIXES)]
    if not images or any(Path(file).parent != folder for file in images):
        return None
    return ClassFolders(folder, tuple(images), (-1,) * len(images), {}, ())


def class_labels(names: Sequence[str], classes: int, where: str) -> dict[str, int]:
    """Determine the label of each class from the names of the subfolders.

    Names that are numbers are the labels. ImageNet's identifiers (``n01440764``) are numbered as in ImageNet-1k if the
    model has 1,000 classes. All other names are numbered in alphabetical order, and there must be one for each class.

    Parameters
    ----------
    names : sequence of str
    classes : int
        Number of classes of the model.
    where : str
        Name of the folder, for errors.

    Raises
    ------
    DataError
        When some names are numbers and others are not, two names are the same class, a number is not below
        ``classes``, an identifier is not in ImageNet-1k, or the number of names is not ``classes``.

    Examples
    --------
    >>> class_labels(["2", "10", "0"], 12, "images")
    {'2': 2, '10': 10, '0': 0}
    >>> class_labels(["dog", "cat"], 2, "images")
    {'cat': 0, 'dog': 1}
    """
    numbers = [name for name in names if _is_number(name)]
    if numbers and len(numbers) < len(names):
        others = [name for name in names if name not in numbers]
        raise DataError(
            f"{where}: some classes are named by numbers ({named(numbers)}) and others are not ({named(others)}).",
            "Name all of them by the numbers of the classes, or none.",
        )
    key: Callable[[str], str] = (lambda name: str(int(name))) if numbers else (lambda name: normalize("NFC", name))
    _check_distinct(names, key, where)
    if numbers:
        labels = {name: int(name) for name in names}
        beyond = [name for name, label in labels.items() if label >= classes]
        if beyond:
            raise DataError(
                f"{where}: the {'class' if len(beyond) == 1 else 'classes'} {named(beyond)} {_is(beyond)} not among "
                f"the model's {classes}, which are numbered from 0 to {classes - 1}.",
                f"Set classes = {max(labels.values()) + 1} in the configuration, or rename the folders.",
            )
        return labels
    imagenet = imagenet_wnids() if classes == IMAGENET_CLASSES and all(map(WNID.fullmatch, names)) else {}
    if imagenet:
        unknown = [name for name in names if name not in imagenet]
        if unknown:
            raise DataError(
                f"{where}: {named(unknown)} {_is(unknown)} not among the 1,000 classes of ImageNet-1k.",
                "Remove these folders, or set classes in the configuration to the number of folders.",
            )
        return {name: imagenet[name] for name in names}
    if len(names) != classes:
        raise DataError(
            f"{where} has {len(names)} classes, not {classes}.",
            f"Set classes = {len(names)} in the configuration, or name the folders by the numbers of the model's "
            "classes, from 0.",
        )
    return {name: label for label, name in enumerate(sorted(names, key=key))}


@cache
def imagenet_wnids() -> dict[str, int]:
    """Return the label of each identifier of ImageNet-1k, as timm lists them, without importing timm.

    Examples
    --------
    >>> imagenet_wnids()["n01440764"], len(imagenet_wnids())
    (0, 1000)
    """
    timm = importlib.util.find_spec("timm")
    assert timm is not None
    assert timm.origin is not None
    listed = Path(timm.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
    return {wnid: label for label, wnid in enumerate(listed.read_text(encoding="utf-8").split())}


def is_human_maps_folder(path: str | Path) -> bool:
    """Return whether a path is a folder of images with human maps: with the subfolders ``images`` and ``maps``.

    Examples
    --------
    >>> is_human_maps_folder("nowhere")
    False
    """
    folder = expanded(path)
    return (folder / IMAGES).is_dir() and (folder / MAPS).is_dir()


def is_hidden(name: str) -> bool:
    """Return whether a system or a notebook hides a file or folder of this name.

    Examples
    --------
    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "__MACOSX", "._1.jpg", "cat")]
    [True, True, True, False]
    """
    return name.startswith((".", "__")) or name in ("Thumbs.db", "desktop.ini", "@eaDir")


def named(names: Iterable[str]) -> str:
    """List names for a sentence, at most eight of them.

    Examples
    --------
    >>> named(["cat", "dog"]), named(map(str, range(10)))
    ('cat, dog', '0, 1, 2, 3, 4, 5, 6, 7 and 2 more')
    """
    names = list(names)
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def visible_files(folder: Path) -> list[str]:
    """List the files in a folder and below it, sorted, without hidden ones; links to folders are followed once.

    Raises
    ------
    DataError
        When a folder cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("1.jpg", "._1.jpg"):
    ...         Path(folder, name).touch()
    ...     [Path(file).name for file in visible_files(Path(folder))]
    ['1.jpg']
    """

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.", "Correct its permissions.") from error

    found: list[str] = []
    seen = set()
    for path, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(path)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        found += [f"{path}{os.sep}{name}" for name in files if not is_hidden(name)]
    return sorted(found)


def _check_distinct(names: Sequence[str], key: Callable[[str], str], where: str) -> None:
    counts = Counter(map(key, names))
    same = [name for name in names if counts[key(name)] > 1]
    if same:
        raise DataError(f"{where}: {named(same)} are the same class.", "Merge these folders, or rename one.")


def _known(names: Sequence[str], known: Mapping[str, int], folder: Path) -> dict[str, int]:
    """Look up the labels of names, of which each may be in another Unicode form."""
    composed = {normalize("NFC", name): label for name, label in known.items()}
    unknown = [name for name in names if normalize("NFC", name) not in composed]
    if unknown:
        raise DataError(
            f"{folder}: {named(unknown)} {_is(unknown)} not among the classes that the model is trained on "
            f"({named(known)}).",
            "Rename or remove these folders.",
        )
    return {name: composed[normalize("NFC", name)] for name in names}


def _numbering(labels: Mapping[str, int], classes: int) -> str:
    """Describe how classes were numbered."""
    names = sorted(labels, key=labels.__getitem__)
    if _is_number(names[0]):
        absent = classes - len(names)
        missing = f"; {absent} of {classes} have no folder" if absent else ""
        return f"the names of the class folders are the numbers of the classes{missing}"
    if classes == IMAGENET_CLASSES and names[0] in imagenet_wnids():
        missing = f"; {classes - len(names)} of {classes} have no folder" if len(names) < classes else ""
        return f"classes are numbered as in ImageNet-1k{missing}"
    return f"classes are numbered in alphabetical order: {named(f'{label} {n}' for label, n in enumerate(names))}"
