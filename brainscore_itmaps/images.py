"""Read images: the one reader that models, views, figures, pages and training share."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from brainscore_itmaps.errors import DAMAGED, DataError, one_line

EXPORT = "Export it again as PNG or JPEG, in 8-bit RGB."
ORIENTATION_TAG = 0x0112
"""EXIF tag with the orientation of a camera."""
TURNED = (5, 6, 7, 8)
"""Its values for images on their side."""


def read_image(source: Path | str | bytes | BinaryIO | Image.Image, name: str = "") -> Image.Image:
    """Read an image of any mode as 8-bit RGB, without resizing it; every part of the package reads images with it.

    The orientation tag of a camera is applied. A colour profile is converted to sRGB; an invalid one is ignored, as web
    browsers do. Grey, palette and CMYK images are converted, and 16-bit grey values are divided by 257; if they reach
    only to 255, they are refused, because they are probably 8-bit values. Transparency is ignored, as in the published
    loader: the stored colours count (see :func:`unusual_features`). Of an animation, the first frame is read.

    Parameters
    ----------
    source : path, bytes, open binary file or Pillow image
    name : str
        Name of the image in errors; by default its path.

    Raises
    ------
    DataError
        When the image cannot be read, has more pixels than Pillow considers safe (about 89 million), or values of
        unknown range; the message names it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "face.png")
    ...     Image.new("L", (40, 30), 7).save(file)
    ...     image = read_image(file)
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (40, 30), (7, 7, 7))
    """
    shown = name or (str(source) if isinstance(source, str | Path) else "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(source, Image.Image):
                return _rgb(source)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
                return _rgb(opened)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"The image {shown} is too large: {one_line(error)}.", "Reduce it, for example to 2,000 pixels a side."
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"There is no image {shown}.", "Give the path of a file that exists.") from error
    except DAMAGED as error:
        raise DataError(f"The image {shown} cannot be read: {one_line(error)}.", EXPORT) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, upright and in sRGB."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        if not 0 <= (lowest := int(grey.min())) <= (highest := int(grey.max())) <= 65535:
            raise ValueError(f"its values reach from {lowest} to {highest}, beyond 16 bits")
        if 0 < highest <= 255:
            raise ValueError(f"its values reach only to {highest} of 65535, so that it would be black; are they 8-bit?")
        return Image.fromarray((grey / 257).round().astype(np.uint8)).convert("RGB")
    if profile and (converted := _in_srgb(image, profile)) is not None:
        return converted
    return image.convert("RGB").copy()


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert an image with a colour profile to sRGB; None if the profile is that of sRGB, or invalid."""
    from PIL import ImageCms

    colours = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "1": "L", "LA": "L"}
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).casefold():
            return None
        plain = image.convert(colours.get(image.mode, image.mode))
        return ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def upright_size(file: Path) -> tuple[int, int]:
    """Return the width and height in pixels of an image, upright, from the header of its file.

    Pillow gives the size of a TIFF file upright, and that of other files as stored.

    Raises
    ------
    DataError
        When the file cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "face.png")
    ...     Image.new("RGB", (40, 30)).save(file)
    ...     upright_size(file)
    (40, 30)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                turned = image.getexif().get(ORIENTATION_TAG, 1) in TURNED and image.format != "TIFF"
                return image.size[::-1] if turned else image.size
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(f"The image {file} cannot be read: {one_line(error)}.", EXPORT) from error


def unusual_features(file: Path) -> tuple[str, ...]:
    """Describe what another program might show differently than :func:`read_image` reads it.

    Returns
    -------
    tuple of str
        Empty for a plain 8-bit RGB image.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "face.png")
    ...     Image.new("RGBA", (40, 30), (255, 0, 0, 128)).save(file)
    ...     unusual_features(file)
    ('has transparent pixels, whose stored colours are used',)
    """
    try:
        with Image.open(file) as image:
            return tuple(_unusual_features(image))
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(f"The image {file} cannot be read: {one_line(error)}.", EXPORT) from error


def _unusual_features(image: Image.Image) -> Iterator[str]:
    if image.getexif().get(ORIENTATION_TAG, 1) != 1:
        yield "is rotated or mirrored as its camera recorded"
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        yield "has transparent pixels, whose stored colours are used"
    if (profile := image.info.get("icc_profile")) and _in_srgb(image, profile) is not None:
        yield "has a colour profile, which is converted to sRGB"
    elif image.mode == "CMYK":
        yield "has CMYK colours, which are converted without a profile"
    if image.mode.startswith("I"):
        yield "has 16-bit grey values, which are divided by 257"
    if getattr(image, "n_frames", 1) > 1:
        yield "has several frames, of which the first is used"
