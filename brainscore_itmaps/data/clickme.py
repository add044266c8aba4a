"""ClickMe: images of ImageNet with maps of what people found important in them (Linsley et al. 2019).

The published files are shards of TFRecords: a JPEG of 256 x 256 pixels, a JPEG of its map, and its class.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate

from brainscore_itmaps.data.tfrecords import read_at, read_example, record_offsets
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.protocol import OURS, Protocol, accept_reference_compat, protocol_named

SIZE = 224
"""Side of an image and of its map, in pixels."""
COARSE = 64
"""Side at which maps are blurred."""
KERNEL, SIGMA = 10, 10.0
"""Points and standard deviation of the blur, at that side."""
LARGEST = 4096
"""Pixels a side that an image may have before it is decoded; the published ones have 256."""


class ClickMe(NamedTuple):
    """An image with a human map.

    Attributes
    ----------
    image : array, shape (y, x, rgb)
        From 0 to 255, 224 pixels a side.
    heatmap : array, shape (y, x)
        The more, the more important people found it; of the same size.
    label : int
        Class of ImageNet, from 0.
    """

    image: NDArray[np.float32]
    heatmap: NDArray[np.float32]
    label: int


@accept_reference_compat
def read_clickme(files: Sequence[Path], *, protocol: str | Protocol = "ours") -> Iterator[ClickMe]:
    """Read images with human maps, file by file.

    Parameters
    ----------
    files : sequence of Path
        Shards.
    protocol : "ours", "published" or Protocol
        See :func:`as_heatmap`.

    Raises
    ------
    DataError
        When a file is missing or damaged, or holds something else.
    UsageError
        When the protocol is not known.
    """
    protocol = protocol_named(protocol)
    for file in files:
        for offset in record_offsets(file):
            yield example_at(file, offset, protocol)


def example_at(file: Path, offset: int, protocol: Protocol = OURS) -> ClickMe:
    """Read the image whose record begins at an offset (:func:`~brainscore_itmaps.data.tfrecords.record_offsets`).

    Raises
    ------
    DataError
        See :func:`read_clickme`.
    """
    try:
        values = read_example(read_at(file, offset))
        (image,), (heatmap,), (label,) = (values[name] for name in ("image", "heatmap", "label"))
        if not (isinstance(image, bytes) and isinstance(heatmap, bytes) and isinstance(label, int)) or label < 0:
            raise TypeError
        colours, grey = _decoded(image, "RGB"), _decoded(heatmap, "L")
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{file}: the record at byte {offset} is none of ClickMe's (JPEGs image and heatmap, and a label).",
            "Name shards of ClickMe, or in its format.",
        ) from error
    return ClickMe(as_image(colours), as_heatmap(grey, protocol), label)


def _decoded(jpeg: bytes, mode: str) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if max(image.size) > LARGEST:
                raise ValueError(f"{image.size} pixels")
            return np.asarray(image.convert(mode))
    except Exception as error:  # pillow raises many kinds on damaged bytes
        raise ValueError("no JPEG") from error


def as_image(decoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize a decoded image as published: bilinear, without antialiasing.

    Parameters
    ----------
    decoded : array, shape (y, x, rgb)

    Returns
    -------
    array, shape (224, 224, rgb)
        From 0 to 255.
    """
    return resized(decoded.astype(np.float32), SIZE)


def as_heatmap(decoded: NDArray[np.uint8], protocol: Protocol = OURS) -> NDArray[np.float32]:
    """Convert a decoded human map as published: shrink to 64 pixels, blur, enlarge to 224.

    The blur has zeros around, so that a map fades toward its borders, as in the published code.

    Parameters
    ----------
    decoded : array, shape (y, x)
    protocol : Protocol
        Its ``heatmap_blur``. The published kernel has an even number of points, which moves a map by half a pixel of
        64 up and left. The centred kernel has the same width and is symmetric, so it does not move the map.

    Returns
    -------
    array, shape (224, 224)
    """
    coarse = resized(decoded.astype(np.float32), COARSE)
    return resized(blurred(coarse, blur=protocol.heatmap_blur), SIZE)


def resized(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resize to (side, side): bilinear between pixel centres, without antialiasing.

    Parameters
    ----------
    values : array, shape (y, x) or (y, x, channel)
    """
    import torch
    from torch.nn.functional import interpolate

    channels = torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)[None]
    found = interpolate(channels, (side, side), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    return found.reshape(side, side, *values.shape[2:]).numpy()


def blurred(
    heatmap: NDArray[np.float32], size: int = KERNEL, sigma: float = SIGMA, *, blur: str = "centred"
) -> NDArray[np.float32]:
    """Blur a map with a Gaussian, with zeros around.

    Parameters
    ----------
    heatmap : array, shape (y, x)
    size : int
        Points of the kernel's sides.
    sigma : float
        Standard deviation, in pixels.
    blur : "centred" or "published"
        See :func:`as_heatmap`.
    """
    found: NDArray[np.float32] = correlate(
        heatmap.astype(np.float64), _kernel(size, sigma, blur), mode="constant"
    ).astype(np.float32)
    return found


@cache
def _kernel(size: int, sigma: float, blur: str) -> NDArray[np.float64]:
    """Compute the Gaussian kernel with an odd number of points, so that its centre lies on a pixel."""
    places = np.arange(size // 2 * 2 + 1) - size // 2
    line = np.exp(-(places**2) / (2 * sigma**2))
    down, across = (line, line) if size % 2 else BLURS[blur](line)
    kernel: NDArray[np.float64] = np.outer(down, across) / (down.sum() * across.sum())
    return kernel


BLURS = {
    "centred": lambda line: (np.r_[line[0] / 2, line[1:-1], line[-1] / 2],) * 2,
    "published": lambda line: (np.r_[0, line[1:]], np.r_[0, line[:-1]]),
}
"""How a kernel with an even number of points is built from the next odd one. ``centred`` halves the outermost weights,
so that the kernel stays symmetric; ``published`` drops one outermost row and column, which shifts the map."""
