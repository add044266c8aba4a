"""Read ClickMe: images of ImageNet with maps of the features that people found important (Linsley et al. 2019).

The published files are TFRecord shards. A record contains a JPEG of 256 x 256 pixels, a JPEG of its map, and its class.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.tfrecords import Values, read_at, read_example, record_offsets
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.images import read_image
from brainscore_itmaps.protocol import OURS, Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.text import short_repr

SIZE = 224
"""Side of an image and of its map, in pixels."""
COARSE = 64
"""Side of the maps when they are blurred, in pixels."""
KERNEL, SIGMA = 10, 10.0
"""Size and standard deviation of the blur, in pixels of this side."""
FEATURES: dict[str, type] = {"image": bytes, "heatmap": bytes, "label": int}
LARGEST = 4096
"""Largest side of an image, in pixels; published images have 256."""
JPEG_START = b"\xff\xd8\xff"
FIX = "Name shards of ClickMe, or files in its format (JPEGs image and heatmap, and a label)."


@short_repr
class ClickMe(NamedTuple):
    """An image with a human map.

    Attributes
    ----------
    image : array, shape (y, x, rgb)
        From 0 to 255; y and x have 224 pixels.
    heatmap : array, shape (y, x)
        Importance; y and x have 224 pixels.
    label : int
        ImageNet class, counted from 0.
    """

    image: NDArray[np.float32]
    heatmap: NDArray[np.float32]
    label: int


@accept_reference_compat
def read_clickme(files: Sequence[Path], *, protocol: str | Protocol = "ours") -> Iterator[ClickMe]:
    """Yield the images with human maps of shards, in the order of the files.

    Parameters
    ----------
    files : sequence of Path
        Shards.
    protocol : "ours", "published" or Protocol
        Selects the blur of the maps, see :func:`as_heatmap`.

    Yields
    ------
    ClickMe

    Raises
    ------
    DataError
        When a file is missing or damaged, or a record is not a ClickMe record.
    UsageError
        When the protocol is unknown.
    """
    protocol = protocol_named(protocol)
    for file in files:
        for offset in clickme_offsets(file):
            yield example_at(file, offset, protocol)


def clickme_offsets(file: Path) -> list[int]:
    """List the offset of each record of a shard in bytes.

    Raises
    ------
    DataError
        When the file is not a TFRecord file, is truncated, or is empty.
    """
    offsets = record_offsets(file)
    if not offsets:
        raise DataError(f"{file} contains no images with human maps: it is empty.", "Download it again, or remove it.")
    return offsets


def example_at(file: Path, offset: int, protocol: Protocol = OURS) -> ClickMe:
    """Read the image with a human map whose record begins at an offset.

    Parameters
    ----------
    file : Path
        A shard.
    offset : int
        An item of :func:`~brainscore_itmaps.data.tfrecords.record_offsets`.
    protocol : Protocol
        Selects the blur of the map, see :func:`as_heatmap`.

    Raises
    ------
    DataError
        See :func:`read_clickme`.
    """
    where = f"{file}: the record at byte {offset}"
    values = read_example(read_at(file, offset), where)
    if problem := _invalid_feature(values):
        raise DataError(f"{where} is not a ClickMe record: {problem}.", FIX)
    image, heatmap, label = (values[name][0] for name in FEATURES)
    assert isinstance(image, bytes)
    assert isinstance(heatmap, bytes)
    try:
        colours, grey = read_image(image, "in it"), read_image(heatmap, "of its map").convert("L")
    except DataError as error:
        raise DataError(f"{where} is not a ClickMe record: {error.args[0].rstrip('.')}.", FIX) from error
    if (side := max(colours.size + grey.size)) > LARGEST:
        raise DataError(f"{where} is not a ClickMe record: it has an image of {side} pixels a side.", FIX)
    return ClickMe(as_image(np.asarray(colours)), as_heatmap(np.asarray(grey), protocol), int(label))


def _invalid_feature(values: Mapping[str, Values]) -> str:
    """Describe why the features of a record are not those of ClickMe; empty if they are."""
    for name, kind in FEATURES.items():
        if name not in values:
            return f"it has no feature {name!r}, but {', '.join(map(repr, values)) or 'none at all'}"
        if len(values[name]) != 1 or not isinstance(values[name][0], kind):
            return f"its feature {name!r} is not {'one JPEG image' if kind is bytes else 'one whole number'}"
        value = values[name][0]
        if isinstance(value, bytes) and not value.startswith(JPEG_START):
            return f"its feature {name!r} is not a JPEG image"
        if isinstance(value, int) and value < 0:
            return f"its label is {value}"
    return ""


def as_image(decoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize a decoded image to 224 x 224 pixels as published: bilinear, without antialiasing.

    Parameters
    ----------
    decoded : uint8 array, shape (y, x, rgb)

    Returns
    -------
    array, shape (224, 224, rgb)
        From 0 to 255.

    Examples
    --------
    >>> as_image(np.full((30, 40, 3), 7, np.uint8)).shape
    (224, 224, 3)
    """
    return resized(decoded.astype(np.float32), SIZE)


def as_heatmap(decoded: NDArray[np.uint8], protocol: Protocol = OURS) -> NDArray[np.float32]:
    """Resize a decoded human map to 64 x 64 pixels, blur it, and resize it to 224 x 224 pixels, as published.

    The map is padded with zeros for the blur, so that it fades toward its borders, as in the published code.

    Parameters
    ----------
    decoded : uint8 array, shape (y, x)
    protocol : Protocol
        Its ``heatmap_blur``. The published kernel has an even size, which shifts a map up and left by half of one of
        64 pixels. The centred kernel has the same width but is symmetric, and does not shift the map.

    Returns
    -------
    array, shape (224, 224)

    Examples
    --------
    >>> as_heatmap(np.full((30, 40), 7, np.uint8)).shape
    (224, 224)
    """
    coarse = resized(decoded.astype(np.float32), COARSE)
    return resized(blurred(coarse, blur=protocol.heatmap_blur), SIZE)


def resized(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resize an image or map to a square by bilinear interpolation between pixel centres, without antialiasing.

    Parameters
    ----------
    values : array, shape (y, x) or (y, x, channel)
    side : int
        Pixels.

    Returns
    -------
    array, shape (side, side) or (side, side, channel)

    Examples
    --------
    >>> resized(np.array([[0.0, 1.0, 2.0, 3.0]], np.float32), 2)
    array([[0.5, 2.5],
           [0.5, 2.5]], dtype=float32)
    """
    import torch
    from torch.nn.functional import interpolate

    channels = torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)[None]
    square = interpolate(channels, (side, side), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    return square.reshape(side, side, *values.shape[2:]).numpy()


def blurred(
    heatmap: NDArray[np.float32], size: int = KERNEL, sigma: float = SIGMA, *, blur: str = "centred"
) -> NDArray[np.float32]:
    """Blur a map with a Gaussian kernel and zero padding.

    Parameters
    ----------
    heatmap : array, shape (y, x)
    size : int
        Side of the kernel, in pixels.
    sigma : float
        Standard deviation, in pixels.
    blur : "centred" or "published"
        Kernel for an even ``size``, see :func:`as_heatmap`.

    Returns
    -------
    array, shape (y, x)

    Examples
    --------
    >>> blurred(np.array([[0, 0, 4, 0]], np.float32), size=3, sigma=1.0).round(1)
    array([[0. , 0.5, 0.8, 0.5]], dtype=float32)
    """
    from scipy.ndimage import correlate  # slow to import, and cached scores do not need it

    values: NDArray[np.float32] = correlate(
        heatmap.astype(np.float64), _kernel(size, sigma, blur), mode="constant"
    ).astype(np.float32)
    return values


@cache
def _kernel(size: int, sigma: float, blur: str) -> NDArray[np.float64]:
    """Compute the Gaussian kernel with an odd side, so that its centre is on a pixel."""
    offsets = np.arange(size // 2 * 2 + 1) - size // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    rows, columns = (weights, weights) if size % 2 else BLURS[blur](weights)
    kernel: NDArray[np.float64] = np.outer(rows, columns) / (rows.sum() * columns.sum())
    return kernel


BLURS = {
    "centred": lambda weights: (np.r_[weights[0] / 2, weights[1:-1], weights[-1] / 2],) * 2,
    "published": lambda weights: (np.r_[0, weights[1:]], np.r_[0, weights[:-1]]),
}
"""Kernel of even size from the next odd one. ``centred`` halves the outermost weights, so that the kernel is symmetric;
``published`` drops one outermost row and column, which shifts the map."""
