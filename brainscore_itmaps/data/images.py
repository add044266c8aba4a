"""Find, resize and store the images of a recording."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Extent, Grid, read_extent, shown_extent
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import replacing, sha256
from brainscore_itmaps.images import is_plain, read_image, upright_size
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


def find_images(names: Sequence[str], folder: Path) -> list[Path]:
    r"""Find the image files that a recording names, in the order of the names.

    Parameters
    ----------
    names : sequence of str
        File names, or paths of another computer with ``\`` or ``/``, of which only the last part is used.
    folder : Path
        Folder of the images. Upper and lower case are ignored if the match is unambiguous.

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
    file_names = [re.split(r"[\\/]", name)[-1] for name in names]
    if repeated := sorted({name for name in file_names if file_names.count(name) > 1}):
        raise DataError(f"The recording names {', '.join(repeated)} more than once.", FIX)
    available = sorted(folder.iterdir()) if folder.is_dir() else []
    files = []
    missing = []
    for name in file_names:
        exact = [file for file in available if file.name == name]
        matches = exact or [file for file in available if file.name.casefold() == name.casefold()]
        files += matches[:1]
        if len(matches) != 1 or not matches[0].is_file():
            missing.append(name)
    if shared := sorted({file.name for file in files if files.count(file) > 1}):
        raise DataError(f"Several names of images match the file {', '.join(shared)} in {folder}.", FIX)
    if missing:
        raise DataError(f"{len(missing)} of {len(names)} images are not in {folder}: {', '.join(missing)}.", FIX)
    return files


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


def write_images(images: NDArray[np.uint8], identifier: str) -> tuple[Path, ...]:
    """Write images as PNG files into Brain-Score's folder of images, in a subfolder named by a hash of their content.

    Parameters
    ----------
    images : uint8 array, shape (image, height, width, 3)
        RGB.
    identifier : str
        Identifier of the recording; the names of subfolder and files begin with it.

    Returns
    -------
    tuple of Path
        The files, in the order of ``images``.

    Raises
    ------
    DataError
        When the array has another type or shape.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps.settings import overridden
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    >>> with TemporaryDirectory() as folder, overridden(brainio_home=Path(folder)):
    ...     [file.name for file in write_images(images, "lab.array1")]
    ['lab.array1-00.png', 'lab.array1-01.png']
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise DataError(
            f"{identifier}: the images are {images.dtype} of shape {images.shape}.",
            "Give uint8 of shape (image, height, width, 3), or paths.",
        )
    name = plain_name(identifier)
    key = hashlib.sha256(repr(images.shape).encode() + np.ascontiguousarray(images).tobytes()).hexdigest()[:12]
    folder = Settings.from_environment().brainio_home / f"{name}.stimuli-{key}"
    files = tuple(folder / f"{name}-{number:02d}.png" for number in range(len(images)))
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
    if not is_plain(file):
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
