"""Turn images that are given in any form into files: arrays, tensors, Pillow images, paths, a folder, or names."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brainscore_itmaps.data.arrays import has_masked, plain_array
from brainscore_itmaps.data.images import SUFFIXES, is_file_name, match_images, some_of, write_images
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.images import read_image
from brainscore_itmaps.settings import expanded

KINDS = (
    "Give a list of paths, Pillow images or uint8 arrays (height, width, 3); one uint8 array (image, height, width, 3)"
    "; a folder; or a dict from names to images."
)


def files_of_images(
    images: Any, identifier: str, *, count: int | None = None, names: Iterable[str] | None = None
) -> tuple[Path, ...]:
    """Return the files of given images; images that are not files are written as PNG into Brain-Score's folder.

    Parameters
    ----------
    images : folder, list of images, array, mapping of names to images, or stimulus set of Brain-Score
        See :meth:`~brainscore_itmaps.data.recording.Recording.from_arrays`. The images of a folder are taken in the
        natural order of their names (image-2 before image-10).
    identifier : str
        Name of the recording, for files and errors.
    count : int, optional
        Number of images that a folder must hold.
    names : iterable of str, optional
        Names of the images, in the order of the maps. They are looked up in a folder, a mapping, or a list of paths.

    Raises
    ------
    DataError
        When an image is missing or cannot be read, or its type or shape is ambiguous.
    UsageError
        When the images are given in another form.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("face10.png", "face2.png"):
    ...         Image.new("L", (40, 30)).save(Path(folder, name))
    ...     [file.name for file in files_of_images(folder, "lab.array1")]
    ['face2.png', 'face10.png']
    """
    if hasattr(images, "stimulus_paths"):
        images = {str(name): images.stimulus_paths[name] for name in images["stimulus_id"]}
    if isinstance(images, str | Path):
        folder = expanded(images)
        if not folder.is_dir():
            raise UsageError(f"{identifier}: {images} is not a folder of images.", KINDS)
        images = images_in(folder)
        if names is None and count is not None and len(images) != count:
            raise DataError(
                f"{identifier}: {folder} holds {len(images)} images, but there are maps of {count}. In the natural "
                f"order of their names: {some_of([file.name for file in images])}.",
                "Give a folder with exactly the images of the maps, or a list of paths in the order of the maps.",
            )
    if names is not None:
        images = _named(images, list(names), identifier)
    elif isinstance(images, Mapping):
        images = dict(images)
    if isinstance(images, dict):
        if all(isinstance(image, str | Path) for image in images.values()):
            return _existing(images.values(), identifier)
        return write_images(
            [image_pixels(image, identifier, name) for name, image in images.items()],
            identifier,
            [_file_stem(name, identifier) for name in images],
        )
    listed = listed_images(images, identifier)
    if all(isinstance(image, str | Path) for image in listed):
        return _existing(listed, identifier)
    return write_images([image_pixels(image, identifier, f"image {at}") for at, image in enumerate(listed)], identifier)


def images_in(folder: Path) -> list[Path]:
    """List the image files of a folder in the natural order of their names; hidden files do not count.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("10.png", "9.JPG", "notes.txt", "._9.JPG"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in images_in(Path(folder))]
    ['9.JPG', '10.png']
    """
    files = [
        file
        for file in folder.iterdir()
        if file.suffix[1:].casefold() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(files, key=lambda file: natural_order(file.name))


def natural_order(name: str) -> list[Any]:
    """Return the key by which names are sorted so that image-2 comes before image-10.

    Examples
    --------
    >>> sorted(["image-10", "image-2"], key=natural_order)
    ['image-2', 'image-10']
    """
    parts = re.split(r"([0-9]+)", unicodedata.normalize("NFC", name).casefold())
    return [[int(part), ""] if at % 2 else [-1, part] for at, part in enumerate(parts)] + [[-1, name]]


def _named(images: Any, names: list[str], identifier: str) -> dict[str, Any] | list[Any]:
    """Choose the images with these names from a mapping or a list of paths."""
    if isinstance(images, Mapping):
        available = {str(name): image for name, image in images.items()}
        place = "the mapping of images"
    else:
        listed = listed_images(images, identifier)
        if not all(isinstance(image, str | Path) for image in listed):
            raise UsageError(
                f"{identifier}: the images have no names to match.",
                "Give a folder, paths, or a dict from names to images.",
            )
        available = {Path(image).name: image for image in listed}
        if len(available) < len(listed):
            raise DataError(f"{identifier}: several images have the same file name.", "Give each image a unique name.")
        place = str(Path(listed[0]).parent) if listed else "the list of images"
    matched = match_images(names, available, place)
    chosen = [available[name] for name in matched]
    return chosen if not isinstance(images, Mapping) else dict(zip(matched, chosen, strict=True))


def listed_images(images: Any, identifier: str) -> list[Any]:
    """List given images: those of an array along its first axis.

    Parameters
    ----------
    images : iterable of images, or array
    identifier : str
        What the images belong to, for errors.

    Raises
    ------
    DataError
        When an array is not uint8 of shape (image, y, x, 3), or pixels are masked.
    UsageError
        When it is one image, or no list.

    Examples
    --------
    >>> [image.shape for image in listed_images(np.zeros((2, 4, 5, 3), np.uint8), "lab.array1")]
    [(4, 5, 3), (4, 5, 3)]
    """
    if has_masked(images):
        raise DataError(f"{identifier}: the images have masked pixels.", "Give complete images.")
    if isinstance(images, Image.Image | bytes) or not isinstance(images, Iterable) or hasattr(images, "columns"):
        raise UsageError(f"{identifier}: images cannot be one {type(images).__name__}.", KINDS)
    if hasattr(images, "detach") or (isinstance(images, np.ndarray) and images.dtype.kind not in "OU"):
        array = plain_array(images)
        _check_pixels(array, identifier, "the images are", "image, ")
        return list(array)
    return list(images)


def _existing(images: Iterable[Any], identifier: str) -> tuple[Path, ...]:
    files = tuple(expanded(image) for image in images)
    if missing := [str(file) for file in files if not file.is_file()]:
        raise DataError(
            f"{identifier}: {len(missing)} image(s) are missing: {some_of(missing)}.",
            "Give the paths of files that exist.",
        )
    for file in files:
        read_image(file)
    return files


def image_pixels(image: Any, identifier: str, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Convert one image in any form to uint8 RGB, shape (height, width, 3).

    Parameters
    ----------
    image : path, bytes, Pillow image or uint8 array
    identifier, name : str
        What the image belongs to, and its name, for errors.

    Raises
    ------
    DataError
        When the image cannot be read, or an array is not uint8 of shape (height, width, 3).
    UsageError
        When it is no image.

    Examples
    --------
    >>> image_pixels(Image.new("L", (5, 4)), "lab.array1", "face").shape
    (4, 5, 3)
    """
    if isinstance(image, str | Path | bytes | Image.Image):
        return np.asarray(read_image(image, name if isinstance(image, bytes | Image.Image) else ""))
    if has_masked(image):
        raise DataError(f"{identifier}: {name} has masked pixels.", "Give complete images.")
    try:
        array = plain_array(image)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{identifier}: {name} is a {type(image).__name__}, not an image.", KINDS) from error
    _check_pixels(array, identifier, f"{name} is")
    if array.ndim == 2:
        array = array[..., None]
    rgb: np.ndarray[Any, np.dtype[np.uint8]] = np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
    return rgb


def _check_pixels(array: Any, identifier: str, what: str, first: str = "") -> None:
    """Check that an array holds one image, or images along a first axis, as uint8 RGB or grey."""
    axes = array.ndim - (1 if first else 0)
    what = f"{identifier}: {what} {array.dtype} of shape {array.shape}"
    shape = f"({first}height, width, 3)"
    if array.dtype.kind == "f":
        raise DataError(
            f"{what}, and the range of floating-point pixels is ambiguous.",
            f"Give uint8 of shape {shape}: for values from 0 to 1, (images * 255).round().astype(np.uint8).",
        )
    if array.dtype != np.uint8:
        raise DataError(f"{what}.", f"Give uint8 of shape {shape} with values from 0 to 255, or paths.")
    if axes == 3 and array.shape[-1] not in (1, 3) and array.shape[-3] in (1, 3):
        moved = "(0, 2, 3, 1)" if first else "(1, 2, 0)"
        raise DataError(f"{what}; its channels come first.", f"Give {shape}, for example images.transpose{moved}.")
    if axes not in (2, 3) or (axes == 3 and array.shape[-1] not in (1, 3)) or 0 in array.shape:
        raise DataError(f"{what}.", f"Give uint8 of shape {shape}, grey without the last axis, or paths.")


def _file_stem(name: Any, identifier: str) -> str:
    stem, dot, suffix = str(name).rpartition(".")
    stem = unicodedata.normalize("NFC", stem if dot and suffix.casefold() in SUFFIXES else str(name))
    if not stem.strip() or not is_file_name(f"{stem}.png"):
        raise DataError(f"{identifier}: {name!r:.80} is not the name of an image.", "Name images as files are named.")
    return stem
