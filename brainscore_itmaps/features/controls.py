"""Compute features without a model, the controls of a score: position, contrast, Gabor energy and saliency of images.

Images are first resized to a fixed number of pixels per degree of visual angle, so that the time does not depend on the
size of their files, and filters have sizes in degrees. Every filter is evaluated at the positions of a grid.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.images import read_image
from brainscore_itmaps.progress import Report, silent

PIXELS_PER_DEGREE = {"contrast": 14.0, "gabor": 7.0, "saliency": 4.0}
"""Of the resized images: 224, 112 and 64 pixels for 16 degrees. Hou & Zhang (2007) compute saliency on 64 pixels."""
MOST_PIXELS = 512
"""Largest side of a resized image; images of more degrees have fewer pixels per degree."""
CONTRAST_DEGREES = (0.5, 1.0, 2.0)
"""Standard deviations of the Gaussian windows in which contrast is computed."""
WAVELENGTHS = (0.5, 1.0, 2.0)
"""Wavelengths of Gabor filters, in degrees."""
ORIENTATIONS = 4
BANDWIDTH = 0.4
"""Standard deviation of a Gabor filter's frequencies, in centre frequencies: about 1.4 octaves at half height."""
SALIENCY_DEGREES = (0.625, 1.25, 2.5)
"""Standard deviations of the Gaussians that smooth saliency: 2.5 of 64 pixels, as in Hou & Zhang (2007), and wider."""
QUANTUM = 1 / (255 * np.sqrt(12))
"""Standard deviation of the rounding of luminance to 8 bits."""
ROUNDING = 1e-10
"""Share of a feature, or of a luminance of 1, below which its variation over an image is rounding."""
FEWEST_PIXELS = 8
CHANNELS = {
    "position": 6,
    "contrast": len(CONTRAST_DEGREES),
    "gabor": len(WAVELENGTHS) * ORIENTATIONS,
    "saliency": len(SALIENCY_DEGREES),
}
"""Number of channels of each control."""
SETTINGS = [PIXELS_PER_DEGREE, MOST_PIXELS, FEWEST_PIXELS, CONTRAST_DEGREES, WAVELENGTHS, ORIENTATIONS, BANDWIDTH,
            SALIENCY_DEGREES, QUANTUM, ROUNDING]  # fmt: skip
"""Everything that features depend on, as part of cache keys."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (Rec. 601)."""


def control_features(images: Sequence[Path], grid: Grid, progress: Report = silent) -> dict[str, NDArray[np.float64]]:
    """Compute the features of each control for images at the positions of a grid.

    Parameters
    ----------
    images : sequence of Path
    grid : Grid
    progress : callable
        Called with (step, images done, images in all).

    Returns
    -------
    dict of str to array, shape (image, y, x, channel)
        Of each control in :data:`CHANNELS`; the position is the same for all images.

    Raises
    ------
    DataError
        When an image cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("RGB", (32, 24)).save(Path(folder, "face.png"))
    ...     fields = control_features([Path(folder, "face.png")], Grid.even((5, 7), extent=(6, 8)))
    >>> {name: field.shape for name, field in fields.items()}
    {'position': (1, 5, 7, 6), 'contrast': (1, 5, 7, 3), 'gabor': (1, 5, 7, 12), 'saliency': (1, 5, 7, 3)}
    """
    fields: dict[str, list[NDArray[np.float64]]] = {"position": [position_features(grid)] * len(images)}
    for done, image in enumerate(images):
        progress("computing the features of controls", done, len(images))
        rgb = read_image(image)
        for name, compute in FILTERS.items():
            fields.setdefault(name, []).append(compute(luminance_of(rgb, grid, PIXELS_PER_DEGREE[name]), grid))
    return {name: np.stack(of_images) for name, of_images in fields.items()}


def luminance_of(image: Image.Image, grid: Grid, pixels_per_degree: float) -> NDArray[np.float64]:
    """Compute the luminance of a resized image, from 0 to 1.

    Parameters
    ----------
    image : Image
    grid : Grid
        Its extent is the size of the image in degrees.
    pixels_per_degree : float
        Fewer if a side would have more than :data:`MOST_PIXELS`.

    Returns
    -------
    array, shape (height, width)

    Examples
    --------
    >>> luminance_of(Image.new("RGB", (320, 240), "white"), Grid.even(5, extent=(6, 8)), 4).shape
    (24, 32)
    """
    density = min(pixels_per_degree, MOST_PIXELS / max(grid.height, grid.width))
    height, width = (max(FEWEST_PIXELS, round(side * density)) for side in (grid.height, grid.width))
    resized = image.resize((width, height), Image.Resampling.BICUBIC)  # Pillow averages where it reduces
    luminance: NDArray[np.float64] = np.asarray(resized, dtype=np.float64) @ np.array(LUMINANCE) / 255
    return luminance


def position_features(grid: Grid) -> NDArray[np.float64]:
    """Compute polynomials of the position up to degree 2, and its distance from the centre; shape (y, x, 6)."""
    y, x = np.meshgrid(grid.y, grid.x, indexing="ij")
    return np.stack([y, x, y**2, y * x, x**2, np.hypot(y, x)], axis=-1)


def contrast_features(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Compute the standard deviation of luminance in Gaussian windows of three sizes; shape (y, x, 3)."""
    channels = []
    for degrees in CONTRAST_DEGREES:
        mean, square = _averaged(pixels, grid, degrees), _averaged(pixels**2, grid, degrees)
        variance = square - mean**2
        channels.append(np.sqrt(np.where(variance > ROUNDING * square, variance, 0)))
    return _without_rounding(channels)


def gabor_features(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Compute the energy of Gabor filters of three wavelengths and four orientations; shape (y, x, 12).

    Energy is the size of the complex response: that of two filters in quadrature. It is averaged in a Gaussian window
    of half a wavelength around each position.
    """
    mirrored = np.pad(pixels, [(0, side) for side in pixels.shape], mode="symmetric")  # no edge where the image ends
    spectrum = fft.fft2(mirrored)
    rows, columns = (fft.fftfreq(side) for side in mirrored.shape)
    per_degree = (len(pixels) / grid.height, pixels.shape[1] / grid.width)
    down, across = rows[:, None] * per_degree[0], columns * per_degree[1]  # cycles per degree
    channels = []
    for wavelength in WAVELENGTHS:
        frequency = 1 / wavelength
        for angle in np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS:
            distance = (down - frequency * np.sin(angle)) ** 2 + (across - frequency * np.cos(angle)) ** 2
            passed = np.exp(-distance / (2 * (BANDWIDTH * frequency) ** 2))
            passed[0, 0] = 0  # the mean luminance has no energy
            energy = np.abs(fft.ifft2(spectrum * passed))[: len(pixels), : pixels.shape[1]]
            channels.append(_averaged(energy, grid, wavelength / 2))
    return _without_rounding(channels)


def saliency_features(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Compute the spectral residual saliency of Hou & Zhang (2007, CVPR), smoothed in three sizes; shape (y, x, 3).

    The logarithm of the amplitude spectrum, minus its average over 3 x 3 frequencies, is transformed back with the
    phase of the image; saliency is the squared size, smoothed, relative to its mean over the image. The noise of 8-bit
    values is added to the amplitude, so that frequencies that an image does not have are not salient.
    """
    from scipy.ndimage import uniform_filter  # slow to import, and cached scores do not need it

    spectrum = fft.fft2(pixels)
    amplitude = np.abs(spectrum) + np.sqrt(pixels.size) * QUANTUM  # of the rounding of 8-bit values, at every frequency
    logarithm = np.log(amplitude)
    residual = logarithm - uniform_filter(logarithm, 3, mode="wrap")
    saliency = np.abs(fft.ifft2(np.exp(residual) * spectrum / amplitude)) ** 2
    saliency /= saliency.mean() or 1
    return _without_rounding([_averaged(saliency, grid, degrees) for degrees in SALIENCY_DEGREES])


def _averaged(pixels: NDArray[np.float64], grid: Grid, degrees: float) -> NDArray[np.float64]:
    """Average pixels in a Gaussian window around each position, shape (y, x)."""
    down = gaussian_windows(grid.y, grid.height, len(pixels), degrees)
    across = gaussian_windows(grid.x, grid.width, pixels.shape[1], degrees)
    averaged: NDArray[np.float64] = down @ pixels @ across.T
    return averaged


def _without_rounding(channels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Stack channels, shape (y, x, channel); one that varies over the image by rounding alone becomes constant."""
    stacked = np.stack(channels, axis=-1)
    size = np.abs(stacked).max(axis=(0, 1))
    varies = np.ptp(stacked, axis=(0, 1)) > np.maximum(ROUNDING * size, ROUNDING)
    return np.where(varies, stacked, np.where(size > ROUNDING, stacked[0, 0], 0))


def gaussian_windows(positions: NDArray[np.float64], side: float, pixels: int, degrees: float) -> NDArray[np.float64]:
    """Compute Gaussian weights of the pixels along one axis around each position.

    Parameters
    ----------
    positions : array, shape (position,)
        Degrees from the centre of the image.
    side : float
        Size of the image along the axis, in degrees.
    pixels : int
    degrees : float
        Standard deviation of the windows.

    Returns
    -------
    array, shape (position, pixel)
        Weights that sum to 1, also where a window is cut by the edge of the image; the window of a position outside the
        image lies at its edge.

    Examples
    --------
    >>> gaussian_windows(np.array([-4.0, 0.0]), side=8.0, pixels=4, degrees=1.0).round(2)
    array([[0.98, 0.02, 0.  , 0.  ],
           [0.01, 0.49, 0.49, 0.01]])
    """
    centres = ((np.arange(pixels) + 0.5) / pixels - 0.5) * side
    distance = np.clip(positions, -side / 2, side / 2)[:, None] - centres
    nearest = (distance**2).min(axis=1, keepdims=True)  # a window smaller than a pixel takes the nearest one
    weights = np.exp((nearest - distance**2) / (2 * degrees**2))
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


FILTERS: dict[str, Callable[[NDArray[np.float64], Grid], NDArray[np.float64]]] = {
    "contrast": contrast_features,
    "gabor": gabor_features,
    "saliency": saliency_features,
}
"""Function of luminance (height, width) and grid that computes the features of a control, shape (y, x, channel)."""
