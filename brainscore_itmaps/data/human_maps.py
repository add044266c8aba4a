"""Read images with human importance maps from two folders: images by class, and a map for each image."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.class_folders import (
    IMAGE_SUFFIXES,
    IMAGES,
    MAPS,
    ClassFolders,
    is_human_maps_folder,
    named,
    read_class_folders,
    read_images_without_classes,
    visible_files,
)
from brainscore_itmaps.errors import DataError, check_type, checked_integer
from brainscore_itmaps.images import read_image, upright_size
from brainscore_itmaps.npz import read_npy
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import short_repr

MAP_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
COLOURED = 24
"""Difference of the colour channels, of 255, above which an image is not a grey map; JPEG makes small ones."""
NAMING = "Name each map as its image, such as images/cat/1.jpg and maps/cat/1.png."

WITHOUT_CLASSES = (
    "Put all images into the folder {folder} itself, without subfolders; or name its subfolders by the numbers of the "
    "model's classes, from 0."
)


@short_repr
class HumanMap(NamedTuple):
    """An image with its human map.

    Attributes
    ----------
    image : uint8 array, shape (y, x, rgb)
    heatmap : float32 array, shape (y, x)
        Importance, 0 or more, over the whole image; y and x may differ from those of the image.
    label : int
        Class, counted from 0.
    """

    image: NDArray[np.uint8]
    heatmap: NDArray[np.float32]
    label: int


@short_repr
@dataclass(frozen=True)
class HumanMaps:
    """Images with human maps in files.

    Attributes
    ----------
    name : str
        Name of the folder.
    images, maps : tuple of Path
    labels : tuple of int
    classes : dict of str to int
        Label of each class folder; empty if the classes are unknown.
    class_count : int
        Number of classes of the model.
    notes : tuple of str
        What was left out, the share of images with a map, and how classes were numbered, as clauses.
    """

    name: str
    images: tuple[Path, ...]
    maps: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: dict[str, int]
    class_count: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def read(self, number: int) -> HumanMap:
        """Read one image with its map and label.

        Raises
        ------
        DataError
            When the image or the map cannot be read; the message names it.
        """
        return HumanMap(np.asarray(read_image(self.images[number])), read_map(self.maps[number]), self.labels[number])

    @property
    def simulated(self) -> bool:
        """Return whether the folder of the maps, or the folder around it, is named as simulated."""
        return any("simulated" in part.lower() for part in self.maps[0].resolve().parts[-4:-1])


@shows_progress
def human_maps(
    images: Path | str,
    maps: Path | str | None = None,
    *,
    classes: int,
    known: Mapping[str, int] | None = None,
    without_classes: bool = False,
    progress: Report = silent,
) -> HumanMaps:
    """Match human maps to the images of a folder with a subfolder for each class.

    A map belongs to the image of the same path below its folder, without the ending; or, if the maps are in other
    subfolders, to the only image of the same name. Unicode forms of a name are equal, and so are upper and lower case
    where only one image matches. Images without a map are left out, and ``notes`` states their number.

    Parameters
    ----------
    images : Path or str
        Folder with a subfolder of images for each class; or, without ``maps``, a folder with the subfolders ``images``
        and ``maps``.
    maps : Path or str, optional
        Folder of maps: grey images, or NumPy files (.npy) of shape (y, x) with values of 0 or more.
    classes : int
        Number of classes of the model.
    known : mapping of str to int, optional
        Labels of the class folders, as for :func:`~brainscore_itmaps.data.class_folders.read_class_folders`.
    without_classes : bool
        Whether images may lie in the folder itself, if it has no subfolders with images. Their label is then -1.
    progress : callable
        Called with (step, maps checked, maps in all).

    Returns
    -------
    HumanMaps

    Raises
    ------
    DataError
        When a folder is missing, a map matches no image or several, two maps match the same image, a map is constant or
        cannot be read, or the header of an image cannot be read. The message names the files.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("images/cat", "maps/cat"):
    ...         Path(folder, name).mkdir(parents=True)
    ...     for number in range(2):
    ...         Image.new("RGB", (40, 30)).save(Path(folder, f"images/cat/{number}.jpg"))
    ...     np.save(Path(folder, "maps/cat/1.npy"), np.eye(15, 20))
    ...     found = human_maps(Path(folder), classes=1)
    ...     found.read(0).image.shape, found.read(0).heatmap.shape, found.notes[0]
    ((30, 40, 3), (15, 20), '1 of 2 images have a human map (50 %); the others are left out')
    """
    check_type(images, (str, Path), "the path of a folder", "Give the folder of the images.")
    check_type(maps, (str, Path, type(None)), "the path of a folder", "Give the folder of the maps.")
    images, maps = expanded(images), None if maps is None else expanded(maps)
    classes = checked_integer(classes, "number of classes", least=1)
    name = (images if maps is None else maps).resolve().name
    if maps is None:
        if not is_human_maps_folder(images):
            raise DataError(
                f"{images} is not a folder of images with human maps.",
                f"Give a folder with the subfolders {IMAGES} (with a subfolder for each class) and {MAPS}.",
            )
        images, maps = images / IMAGES, images / MAPS
    listed = list_images(images, classes, known) if without_classes else read_class_folders(images, classes, known)
    files = [Path(file) for file in listed.files]
    map_files, others = _list_maps(maps)
    if os.path.realpath(images) == os.path.realpath(maps):
        raise DataError(f"{images} is named as the folder of the images and of the maps.", "Name two folders.")
    matched = _match(map_files, maps, files, images)
    order = sorted(matched)
    pairs = [(files[index], matched[index]) for index in order]
    reshaped = _check_files(pairs, progress)
    share = 100 * len(order) / len(files)
    notes = [f"{len(order)} of {len(files)} images have a human map ({share:.3g} %)"]
    if len(order) < len(files):
        notes[0] += "; the others are left out"
    if reshaped:
        notes.append(f"maps of another aspect ratio than their image, stretched over it: {reshaped}")
    if others:
        notes.append(f"files in {maps} that are not maps, left out: {others}")
    return HumanMaps(
        name,
        tuple(file for file, _ in pairs),
        tuple(heatmap for _, heatmap in pairs),
        tuple(listed.labels[index] for index in order),
        listed.classes,
        classes,
        (*notes, *listed.notes),
    )


def list_images(images: Path, classes: int, known: Mapping[str, int] | None = None) -> ClassFolders:
    """List images in a subfolder for each class, or in the folder itself without classes.

    Raises
    ------
    DataError
        As :func:`~brainscore_itmaps.data.class_folders.read_class_folders`; the next step is not a configuration's.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "a.png").touch()
    ...     list_images(Path(folder), classes=10).labels
    (-1,)
    """
    try:
        return read_images_without_classes(images) or read_class_folders(images, classes, known)
    except DataError as error:
        raise DataError(error.args[0], WITHOUT_CLASSES.format(folder=images.name)) from error


def read_map(file: Path) -> NDArray[np.float32]:
    """Read a human map from a grey image or a NumPy file.

    Parameters
    ----------
    file : Path

    Returns
    -------
    array, shape (y, x)
        As stored; of images, from 0 to 255.

    Raises
    ------
    DataError
        When the file cannot be read, is coloured or constant, or has another shape, or values that are negative or not
        finite.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "1.npy"), np.eye(2, 3))
    ...     read_map(Path(folder, "1.npy"))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    values = _read_array(file) if file.suffix.lower() == ".npy" else _read_grey(file)
    if not np.isfinite(values).all():
        raise DataError(f"The map {file} has values that are not finite.", "Replace them, or remove the map.")
    if values.min() == values.max():
        raise DataError(
            f"The map {file} is constant ({values.flat[0]:g}), so that it does not say what is important.",
            "Remove the map; its image is then left out.",
        )
    if values.min() < 0:
        raise DataError(
            f"The map {file} has negative values (down to {values.min():.3g}).",
            "Give importance of 0 or more, for example by subtracting the smallest value.",
        )
    return values


def _read_array(file: Path) -> NDArray[np.float32]:
    try:
        values = read_npy(file)
    except ValueError as error:
        raise DataError(f"The map {file} cannot be read as a NumPy array.", "Save it again with numpy.save.") from error
    squeezed = values.squeeze() if values.ndim > 2 else values
    if squeezed.ndim != 2 or min(squeezed.shape) < 2 or squeezed.dtype.kind not in "fiub":
        raise DataError(
            f"The map {file} has shape {values.shape} and type {values.dtype}.",
            "Save numbers of shape (y, x), at least 2 x 2.",
        )
    return squeezed.astype(np.float32)


def _read_grey(file: Path) -> NDArray[np.float32]:
    image = read_image(file)
    channels = np.asarray(image).astype(np.int16)
    if (channels.max(axis=2) - channels.min(axis=2)).max() > COLOURED:
        raise DataError(
            f"The map {file} is a coloured image, whose colours do not order importance.",
            "Save the map in grey, bright where the image is important, or as a .npy file.",
        )
    return np.asarray(image.convert("L"), dtype=np.float32)


def _list_maps(folder: Path) -> tuple[list[Path], int]:
    """List the map files in a folder and below it, sorted, and count the other files."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} of human maps.", "Name an existing folder.")
    files = [Path(file) for file in visible_files(folder)]
    maps = [file for file in files if file.suffix.lower() in MAP_SUFFIXES]
    if not maps:
        raise DataError(f"{folder} contains no maps.", "Put grey images (PNG, JPEG) or NumPy files (.npy) into it.")
    return maps, len(files) - len(maps)


def _composed(path: Path) -> Path:
    """Return a path whose letters are composed, so that both Unicode forms of a name are equal."""
    return Path(normalize("NFC", path.as_posix()))


def _stem_path(path: Path) -> str:
    return path.with_suffix("").as_posix()


Key = Callable[[Path], str]
KEYS: tuple[tuple[Key, Key], ...] = (
    (_stem_path, _stem_path),
    (_stem_path, Path.as_posix),  # 1.jpg.png for 1.jpg
    (lambda path: _stem_path(path).casefold(), lambda path: _stem_path(path).casefold()),
    (lambda path: path.stem, lambda path: path.stem),
    (lambda path: path.stem, lambda path: path.name),
    (lambda path: path.stem.casefold(), lambda path: path.stem.casefold()),
)
"""What a map and its image have in common, the most specific first: a key of the map and a key of the image."""


def _images_of(maps: Sequence[Path], images: Sequence[Path]) -> list[list[int]]:
    """List for each map the numbers of the images that share its most specific key; several are ambiguous."""
    found: list[list[int]] = [[] for _ in maps]
    for key_of_map, key_of_image in KEYS:
        if all(found):
            break
        numbers: dict[str, list[int]] = {}
        for number, image in enumerate(images):
            numbers.setdefault(key_of_image(image), []).append(number)
        found = [f or numbers.get(key_of_map(path), []) for f, path in zip(found, maps, strict=True)]
    return found


def _match(map_files: Sequence[Path], maps: Path, files: Sequence[Path], images: Path) -> dict[int, Path]:
    """Match each map to the number of its image."""
    relative_maps = [file.relative_to(maps) for file in map_files]
    of_maps = _images_of(
        [_composed(path) for path in relative_maps], [_composed(file.relative_to(images)) for file in files]
    )
    matched: dict[int, Path] = {}
    missing, ambiguous, repeated = [], [], []
    for file, relative, found in zip(map_files, relative_maps, of_maps, strict=True):
        if not found:
            missing.append(str(relative))
        elif len(found) > 1:
            candidates = named(str(files[number].relative_to(images)) for number in found)
            ambiguous.append(f"{relative} ({candidates})")
        elif found[0] in matched:
            repeated.append(f"{matched[found[0]].relative_to(maps)} and {relative}")
        else:
            matched[found[0]] = file
    if missing:
        example = files[0].relative_to(images)
        raise DataError(
            f"{len(missing)} of {len(map_files)} maps in {maps} have no image in {images}: {named(missing)}. An image "
            f"there is {example}.",
            f"{NAMING} Remove maps without an image.",
        )
    if ambiguous:
        raise DataError(f"{maps}: several images match {named(ambiguous)}.", NAMING)
    if repeated:
        raise DataError(f"{maps}: two maps match the same image: {named(repeated)}.", "Remove one of the two.")
    return matched


def _check_files(pairs: Sequence[tuple[Path, Path]], progress: Report) -> int:
    """Check every map, and the header of every image; count the maps of another aspect ratio."""
    problems, reshaped = [], 0
    for number, (image, heatmap) in enumerate(pairs):
        progress("checking human maps", number, len(pairs))
        try:
            width, height = upright_size(image)
            rows, columns = read_map(heatmap).shape
            # a map of coarse positions may differ by half of one
            reshaped += abs(rows * width - columns * height) > max(width, height, 0.02 * rows * width)
        except DataError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        listed = " ".join(error.args[0] for error in problems[:3])
        more = f" {len(problems) - 3} more have such a problem." if len(problems) > 3 else ""
        raise DataError(f"{len(problems)} images or maps cannot be used. {listed}{more}", problems[0].fix)
    return reshaped
