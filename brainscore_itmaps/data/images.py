"""Find, resize and store the images of a recording."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Extent, Grid, read_extent, shown_extent
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import replacing, sha256
from brainscore_itmaps.images import read_image, unusual_features, upright_size
from brainscore_itmaps.settings import Settings

FIX = "Add the images of the recording."
PUBLISHED_SIZE = 224
LONGER_SIDE = 16.0
"""Degrees of visual angle of the longer side of images whose size is not given."""
SHAPES_DIFFER = 0.02
"""Largest relative difference between the shapes of an image in pixels and in degrees."""
SHAPE_FIX = (
    "Give the size at which the images were shown, extent=(height, width) in degrees. If they were shown stretched to "
    "that size, set stretched=True (in recording.json: extent and stretched)."
)
SET_BRAINIO_HOME = "Set BRAINIO_HOME to a folder that you may write to."


def matching_names(name: str, names: Iterable[str]) -> list[str]:
    """Find the names that mean the same image as a name: those that are equal in the first of several ways.

    The ways are: exactly; in any Unicode form (macOS stores the letter A and two dots for an A umlaut); in upper or
    lower case; and where one of both has no suffix of an image file.

    Examples
    --------
    >>> matching_names("face", ["Face.png", "hat.png"]), matching_names("hat.jpg", ["hat.png"])
    (['Face.png'], [])
    """
    names = list(names)
    for spelling in SPELLINGS:
        if matches := [other for other in names if spelling(other) == spelling(name)]:
            return matches
    plain = spelling(name)
    return [other for other in names if _stem(spelling(other)) == plain or spelling(other) == _stem(plain)]


def decoded_name(name: str) -> str:
    """Decode the name of a file as UTF-8 where Python did not, because the locale is C or POSIX.

    Examples
    --------
    >>> decoded_name("face"), decoded_name("ä".encode().decode("ascii", "surrogateescape"))
    ('face', 'ä')
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", decoded_name(name))


def _stem(name: str) -> str:
    """Remove the suffix of an image file."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.casefold() in SUFFIXES else name


SPELLINGS: tuple[Callable[[str], str], ...] = (str, _composed, lambda name: _composed(_composed(name).casefold()))
SUFFIXES = ("bmp", "gif", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp")
"""Suffixes of image files, in lower case."""


def matching_file(name: str, folder: Path) -> Path | None:
    """Find the image file that a name means in a folder (see :func:`matching_names`); None unless there is one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "A\u0308pfel.png").touch()
    ...     matching_file("\u00c4pfel.png", Path(folder)).is_file()
    True
    """
    if (folder / name).is_file():
        return folder / name
    files = {file.name: file for file in folder.iterdir() if file.is_file()} if folder.is_dir() else {}
    matches = matching_names(name, files)
    return files[matches[0]] if len(matches) == 1 else None


def find_images(names: Sequence[str], folder: Path) -> list[Path]:
    r"""Find the image files that a recording names, in the order of the names.

    Parameters
    ----------
    names : sequence of str
        File names, or paths of another computer with ``\`` or ``/``, of which only the last part is used.
    folder : Path
        Folder of the images. Names match as in :func:`matching_names`.

    Raises
    ------
    DataError
        Listing all images that are missing or named more than once.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "Face.png").touch()
    ...     [file.name for file in find_images([r"C:\images\face.png"], Path(folder))]
    ['Face.png']
    """
    files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file()} if folder.is_dir() else {}
    return [files[name] for name in match_images(names, files, str(folder))]


def match_images(names: Sequence[str], available: Iterable[str], place: str) -> list[str]:
    """Match names of images to the names that are available, in the order of ``names``.

    Parameters
    ----------
    names : sequence of str
        Names, or paths, of which only the last part is used.
    available : iterable of str
    place : str
        Where they are available, for errors.

    Raises
    ------
    DataError
        Listing all images that are missing, or match several or shared names.

    Examples
    --------
    >>> match_images(["hat", "face"], ["Face.png", "hat.png"], "images")
    ['hat.png', 'Face.png']
    """
    file_names = [re.split(r"[\\/]", name)[-1] for name in names]
    if repeated := repeated_names(file_names):
        raise DataError(f"The recording names {', '.join(repeated)} more than once.", FIX)
    available = list(available)
    exact = set(available)
    found = [[name] if name in exact else matching_names(name, available) for name in file_names]
    matches = [names[0] for names in found if names]
    if shared := repeated_names(matches):
        raise DataError(f"Several names of images match the file {', '.join(shared)} in {place}.", FIX)
    if missing := [name for name, match in zip(file_names, found, strict=True) if len(match) != 1]:
        raise DataError(f"{len(missing)} of {len(names)} images are not in {place}: {some_of(missing)}.", FIX)
    return matches


def repeated_names(names: Iterable[str]) -> list[str]:
    """List the names that occur more than once.

    Examples
    --------
    >>> repeated_names(["a", "b", "a"])
    ['a']
    """
    return sorted(name for name, count in Counter(names).items() if count > 1)


def some_of(names: Sequence[str], shown: int = 12) -> str:
    """Write the first names of a list, and how many more there are.

    Examples
    --------
    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def find_duplicates(files: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """Find images with the same content: equal pixels, whatever their names and formats.

    Returns
    -------
    tuple of tuple of int
        Indices into ``files``, a group of two or more for each content that occurs more than once.

    Raises
    ------
    DataError
        When an image cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     files = [Path(folder, name) for name in ("face.png", "hat.png", "face again.bmp")]
    ...     for file, grey in zip(files, (7, 8, 7), strict=True):
    ...         Image.new("L", (40, 30), grey).save(file)
    ...     find_duplicates(files)
    ((0, 2),)
    """
    groups: dict[Any, list[int]] = {}
    for index, file in enumerate(files):
        image = read_image(file)
        groups.setdefault((image.size, hashlib.sha256(image.tobytes()).digest()), []).append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def published_image(file: Path) -> Image.Image:
    """Read an image with OpenCV and resize it to 224 x 224 pixels, as the published loader does.

    Raises
    ------
    DataError
        When OpenCV cannot read the file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "face.png")
    ...     Image.new("L", (40, 30)).save(file)
    ...     image = published_image(file)
    >>> image.mode, image.size
    ('RGB', (224, 224))
    """
    import cv2

    pixels = cv2.imread(str(file))
    if pixels is None:
        raise DataError(f"The image {file} cannot be read by OpenCV.", 'Load it with protocol="ours".')
    return Image.fromarray(published_size(pixels[:, :, ::-1]))


def published_size(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize an image to 224 x 224 pixels with OpenCV's bilinear interpolation, as the published loader does.

    The aspect ratio is not preserved, and there is no antialiasing.

    Parameters
    ----------
    pixels : uint8 array, shape (y, x, 3)

    Returns
    -------
    uint8 array, shape (224, 224, 3)

    Examples
    --------
    >>> published_size(np.zeros((30, 40, 3), np.uint8)).shape
    (224, 224, 3)
    """
    import cv2

    resized: NDArray[np.uint8] = cv2.resize(pixels, (PUBLISHED_SIZE, PUBLISHED_SIZE))
    return resized


def default_extent(files: Sequence[Path], stretched: bool = False) -> Extent:
    """Return the size in degrees of images that keep their shape, with a longer side of 16 degrees.

    Images that are stretched, or have different shapes, are taken for squares.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("L", (40, 30)).save(Path(folder, "face.png"))
    ...     default_extent([Path(folder, "face.png")])
    (12.0, 16.0)
    """
    sizes = {upright_size(file) for file in files}
    if stretched or len(sizes) != 1:
        return LONGER_SIDE
    width, height = sizes.pop()
    return read_extent((LONGER_SIDE * height / max(width, height), LONGER_SIDE * width / max(width, height)))


def shape_problem(files: Sequence[Path], grid: Grid, stretched: bool) -> str:
    """Describe the images whose shape in pixels is not that of their size in degrees; empty if there are none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("L", (40, 30)).save(Path(folder, "face.png"))
    ...     shape_problem([Path(folder, "face.png")], Grid.even(5), stretched=False)
    'face.png has 40 x 30 pixels (width x height), but a size of 16 degrees (height x width) is square.'
    """
    if stretched:
        return ""
    shape = grid.width / grid.height
    other = {}
    for file in files:
        width, height = upright_size(file)
        if abs(width / height / shape - 1) > SHAPES_DIFFER:
            other[file.name] = (width, height)
    if not other:
        return ""
    name, (width, height) = next(iter(other.items()))
    more = f" (and {len(other) - 1} more)" if len(other) > 1 else ""
    kind = "is square" if shape == 1 else "has another shape"
    return (
        f"{name}{more} has {width} x {height} pixels (width x height), but a size of {shown_extent(grid.extent)} "
        f"degrees (height x width) {kind}."
    )


def plain_name(name: str) -> str:
    """Replace every character of a name that is not an ASCII letter, digit, dot, dash or underscore by an underscore.

    Examples
    --------
    >>> plain_name("face 1 (left)")
    'face_1_left'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "image"


def is_file_name(name: str) -> bool:
    """Return whether a name can be that of a file in a folder: printable, and without a path.

    Examples
    --------
    >>> is_file_name("face.png"), is_file_name("../face.png")
    (True, False)
    """
    return Path(name).name == name and name.isprintable() and 0 < len(name.encode()) < 256 and name not in (".", "..")


def write_images(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], identifier: str, names: Sequence[str] | None = None
) -> tuple[Path, ...]:
    """Write images as PNG files into Brain-Score's folder of images, in a subfolder named by a hash of their content.

    Parameters
    ----------
    images : uint8 arrays, each of shape (height, width, 3)
        RGB.
    identifier : str
        Identifier of the recording; the name of the subfolder begins with it.
    names : sequence of str, optional
        Names of the files without suffix; by default the identifier and a number.

    Returns
    -------
    tuple of Path
        The files, in the order of ``images``.

    Raises
    ------
    DataError
        When an array has another type or shape.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps.settings import overridden
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    >>> with TemporaryDirectory() as folder, overridden(brainio_home=Path(folder)):
    ...     [file.name for file in write_images(images, "lab.array1")]
    ['lab.array1-00.png', 'lab.array1-01.png']
    """
    for pixels in images:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise DataError(
                f"{identifier}: the images are {pixels.dtype} of shape {pixels.shape}.",
                "Give uint8 of shape (height, width, 3), or paths.",
            )
    name = plain_name(identifier)
    shapes = {pixels.shape for pixels in images}
    described: Any = (len(images), *images[0].shape) if len(shapes) == 1 else [pixels.shape for pixels in images]
    digest = hashlib.sha256(repr(described if names is None else (described, list(names))).encode())
    for pixels in images:
        digest.update(np.ascontiguousarray(pixels).tobytes())
    folder = Settings.from_environment().brainio_home / f"{name}.stimuli-{digest.hexdigest()[:12]}"
    stems = names if names is not None else [f"{name}-{number:02d}" for number in range(len(images))]
    files = tuple(folder / os.fsdecode(f"{stem}.png".encode()) for stem in stems)
    for file, pixels in zip(files, images, strict=True):
        image = Image.fromarray(pixels)
        if not contains_image(file, image):
            with replacing(file, SET_BRAINIO_HOME) as temporary:
                image.save(temporary)
    return files


def contains_image(file: Path, image: Image.Image) -> bool:
    """Return whether a file contains exactly the mode and pixels of an image.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> image = Image.new("RGB", (40, 30))
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "face.png")
    ...     image.save(file)
    ...     contains_image(file, image), contains_image(file, image.convert("L"))
    (True, False)
    """
    try:
        with Image.open(file) as stored:
            return stored.mode == image.mode and np.array_equal(np.asarray(stored), np.asarray(image))
    except (OSError, SyntaxError, ValueError):  # missing, truncated or not an image
        return False


def copy_to_brainio_home(files: Sequence[Path], identifier: str) -> tuple[Path, ...]:
    """Copy images into Brain-Score's folder of images, where its caches need them, unless they are already in it.

    An image that Brain-Score's models would read differently than :func:`~brainscore_itmaps.images.read_image` (rotated
    by its camera, with a colour profile, 16-bit grey values or transparency) is written as plain PNG.

    Parameters
    ----------
    files : sequence of Path
    identifier : str
        The name of the subfolder begins with it.

    Returns
    -------
    tuple of Path
        The files in that folder, in the order of ``files``.

    Raises
    ------
    InstallationError
        When that folder cannot be written to.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps.settings import overridden
    >>> with TemporaryDirectory() as folder, overridden(brainio_home=Path(folder, "brainio")):
    ...     file = Path(folder, "face.png")
    ...     Image.new("RGB", (40, 30)).save(file)
    ...     (copied,) = copy_to_brainio_home([file], "lab.array1")
    >>> copied.name, copied.parent.name.partition("-")[0]
    ('face.png', 'lab.array1.stimuli')
    """
    home = Settings.from_environment().brainio_home
    folder = files[0].parent
    if (
        {file.parent for file in files} == {folder}
        and folder.parent == home
        and re.search(r"\.stimuli-[0-9a-f]{12}$", folder.name)
    ):
        return tuple(files)
    hashes = "".join(sha256(file) for file in files)
    folder = home / f"{plain_name(identifier)}.stimuli-{hashlib.sha256(hashes.encode()).hexdigest()[:12]}"
    return tuple(_copy(file, folder) for file in files)


def _copy(file: Path, folder: Path) -> Path:
    """Copy an image into a folder; as PNG if another program would read other pixels than this package."""
    if unusual_features(file):
        copy, image = folder / f"{file.stem}.png", read_image(file)
        if not contains_image(copy, image):
            with replacing(copy, SET_BRAINIO_HOME) as temporary:
                image.save(temporary, "PNG")
        return copy
    copy = folder / file.name
    if not copy.exists() or copy.read_bytes() != file.read_bytes():
        with replacing(copy, SET_BRAINIO_HOME) as temporary:
            temporary.write_bytes(file.read_bytes())
    return copy
