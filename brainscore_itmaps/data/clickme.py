"""ClickMe: pictures of ImageNet with maps of what people found important in them (Linsley et al. 2019).

The published files are shards of TFRecords: a JPEG of 256 x 256 pixels, a JPEG of its map, and its class.
"""

import io
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

SIZE = 224
"""Side of a picture and of its map, in pixels."""
COARSE = 64
"""Side at which maps are blurred."""
KERNEL, SIGMA = 10, 10.0
"""Points and standard deviation of the blur, at that side."""


class ClickMe(NamedTuple):
    """A picture with a human map.

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


def read_clickme(files: Sequence[Path], *, reference_compat: bool = False) -> Iterator[ClickMe]:
    """Read pictures with human maps, file by file.

    Parameters
    ----------
    files : sequence of Path
        Shards.
    reference_compat : bool
        See :func:`as_heatmap`.

    Raises
    ------
    DataError
        When a file is missing or damaged, or holds something else.
    """
    for file in files:
        for offset in record_offsets(file):
            yield example_at(file, offset, reference_compat=reference_compat)


def example_at(file: Path, offset: int, *, reference_compat: bool = False) -> ClickMe:
    """Read the picture whose record begins at a place (:func:`~brainscore_itmaps.data.tfrecords.record_offsets`).

    Raises
    ------
    DataError
        As :func:`read_clickme`.
    """
    try:
        values = read_example(read_at(file, offset))
        (image,), (heatmap,), (label,) = (values[name] for name in ("image", "heatmap", "label"))
        if not (isinstance(image, bytes) and isinstance(heatmap, bytes) and isinstance(label, int)):
            raise TypeError
        with Image.open(io.BytesIO(image)) as picture, Image.open(io.BytesIO(heatmap)) as drawn:
            colours, grey = np.asarray(picture.convert("RGB")), np.asarray(drawn.convert("L"))
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(
            f"{file}: the record at byte {offset} is none of ClickMe's (JPEGs image and heatmap, and a label).",
            "Name shards of ClickMe, or in its format.",
        ) from error
    return ClickMe(as_image(colours), as_heatmap(grey, reference_compat=reference_compat), label)


def as_image(decoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize a decoded picture as published: bilinear, without antialiasing.

    Parameters
    ----------
    decoded : array, shape (y, x, rgb)

    Returns
    -------
    array, shape (224, 224, rgb)
        From 0 to 255.
    """
    return resized(decoded.astype(np.float32), SIZE)


def as_heatmap(decoded: NDArray[np.uint8], *, reference_compat: bool = False) -> NDArray[np.float32]:
    """Make a human map of a decoded one as published: shrunk to 64 pixels, blurred, enlarged to 224.

    The blur has zeros around, so that a map fades toward its borders, as in the published code.

    Parameters
    ----------
    decoded : array, shape (y, x)
    reference_compat : bool
        Blur as the published code does, whose kernel has an even number of points: that moves a map by half a pixel of
        64 up and left. By default the kernel is the mean of that one and of itself turned around, which moves nothing.

    Returns
    -------
    array, shape (224, 224)
    """
    coarse = resized(decoded.astype(np.float32), COARSE)
    return resized(blurred(coarse, reference_compat=reference_compat), SIZE)


def resized(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resize to (side, side): bilinear between centres of pixels, without antialiasing.

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
    heatmap: NDArray[np.float32], size: int = KERNEL, sigma: float = SIGMA, *, reference_compat: bool = False
) -> NDArray[np.float32]:
    """Blur a map with a Gaussian, with zeros around.

    Parameters
    ----------
    heatmap : array, shape (y, x)
    size : int
        Points of the kernel's sides.
    sigma : float
        Standard deviation, in pixels.
    reference_compat : bool
        See :func:`as_heatmap`.
    """
    found: NDArray[np.float32] = correlate(
        heatmap.astype(np.float64), _kernel(size, sigma, reference_compat), mode="constant"
    ).astype(np.float32)
    return found


@cache
def _kernel(size: int, sigma: float, reference_compat: bool) -> NDArray[np.float64]:
    """As it is laid over each pixel, with an odd number of points, of which the middle one lies on the pixel."""
    x = np.arange(size) - size // 2
    y = x[::-1] if size % 2 else -x - 1
    published: NDArray[np.float64] = np.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / (2 * sigma**2))
    published /= published.sum()
    if size % 2:
        return published
    laid = np.zeros((size + 1, size + 1))
    laid[1:, 1:] = published  # one more pixel below and right of the middle one than above and left
    return laid if reference_compat else (laid + laid[::-1, ::-1]) / 2
