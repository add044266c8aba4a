"""Images of a recording: find them by the names in a file, read any mode, write plain RGB PNG."""

import hashlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brainscore_itmaps.errors import DataError, one_line
from brainscore_itmaps.files import replacing, sha256
from brainscore_itmaps.settings import Settings

FIX = "Add the images that belong to the recording."
PUBLISHED_SIZE = 224
SET_BRAINIO_HOME = "Set BRAINIO_HOME to a folder that you may write to."


def find_images(names: Sequence[str], folder: Path) -> list[Path]:
    r"""Find the images that a recording names, in its order.

    Parameters
    ----------
    names : sequence of str
        Paths as somebody's machine knew them, with ``\`` or ``/``, or bare names; the last part counts.
    folder : Path
        Folder of the images. Names match in upper or lower case if that is unambiguous.

    Raises
    ------
    DataError
        Listing all that are missing, or named twice.
    """
    bare = [re.split(r"[\\/]", name)[-1] for name in names]
    if twice := sorted({name for name in bare if bare.count(name) > 1}):
        raise DataError(f"The recording names {', '.join(twice)} more than once.", FIX)
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    found = []
    missing = []
    for name in bare:
        exact = [file for file in there if file.name == name]
        alike = exact or [file for file in there if file.name.casefold() == name.casefold()]
        found += alike[:1]
        if len(alike) != 1 or not alike[0].is_file():
            missing.append(name)
    if shared := sorted({file.name for file in found if found.count(file) > 1}):
        raise DataError(f"Names of several images lead to {', '.join(shared)} in {folder}.", FIX)
    if missing:
        raise DataError(f"{len(missing)} of {len(names)} images are not in {folder}: {', '.join(missing)}.", FIX)
    return found


def published_image(file: Path) -> Image.Image:
    """Read an image as the published loader does: by OpenCV, 224 x 224, aspect ratio and aliasing ignored.

    Raises
    ------
    DataError
        When OpenCV cannot read it.
    """
    import cv2

    pixels = cv2.imread(str(file))
    if pixels is None:
        raise DataError(f"The image {file} cannot be read by OpenCV.", 'Load it with protocol="ours".')
    return Image.fromarray(published_size(pixels[:, :, ::-1]))


def published_size(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize an image (y, x, 3) as the published loader does: OpenCV's bilinear, 224 x 224."""
    import cv2

    resized: NDArray[np.uint8] = cv2.resize(pixels, (PUBLISHED_SIZE, PUBLISHED_SIZE))
    return resized


def read_image(file: Path) -> Image.Image:
    """Read an image of any size and mode as RGB of 8 bits.

    Grey, palette and CMYK images are converted; 16-bit grey is divided by 257; transparency is ignored, as the
    published loader does; a camera's orientation tag is applied. The size stays.

    Raises
    ------
    DataError
        When the file cannot be read; the message names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as opened:
                image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I"):
                    grey = (np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8)
                    return Image.fromarray(grey).convert("RGB")
                if image.mode == "F":
                    raise ValueError("its pixels are floating-point numbers of unknown range")
                return image.convert("RGB")
    except Exception as error:  # Pillow raises many kinds on damaged bytes
        raise DataError(f"The image {file} cannot be read: {one_line(error)}.", FIX) from error


def plain_name(name: str) -> str:
    """Replace everything but letters, digits, dots, dashes and underscores in a name by underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "image"


def written_images(images: NDArray[np.uint8], identifier: str) -> tuple[Path, ...]:
    """Write images as PNG files into Brain-Score's image home, in a folder named by their content.

    Parameters
    ----------
    images : uint8 array, shape (image, height, width, 3)
        RGB.
    identifier : str
        Identifier of the recording, with which every name begins.

    Raises
    ------
    DataError
        When the array has another type or shape.
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
        if not holds(file, image):
            with replacing(file, SET_BRAINIO_HOME) as beside:
                image.save(beside)
    return files


def holds(file: Path, image: Image.Image) -> bool:
    """Return whether a file holds exactly this image."""
    try:
        with Image.open(file) as stored:
            return stored.mode == image.mode and np.array_equal(np.asarray(stored), np.asarray(image))
    except (OSError, SyntaxError, ValueError):  # missing, cut short or no image
        return False


def placed_images(files: Sequence[Path], identifier: str) -> tuple[Path, ...]:
    """Copy images into Brain-Score's image home, where its caches need them; those inside it stay.

    Raises
    ------
    InstallationError
        When that folder cannot be written to.
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
    places = tuple(folder / file.name for file in files)
    for file, place in zip(files, places, strict=True):
        if not place.exists() or place.read_bytes() != file.read_bytes():
            with replacing(place, SET_BRAINIO_HOME) as beside:
                beside.write_bytes(file.read_bytes())
    return places
