"""Write a SIMULATED stand-in for the published archive, with its files, names, shapes and types.

Schematic faces and objects are drawn on smooth noise. Sites filter them with Gaussian receptive fields (1.9 to 2.6
degrees), have the latencies, peaks and face preference measured in the published PSTHs, and their maps are as similar
as those of recorded sites. A variable ``SIMULATED`` in each ``.mat`` file and a text file mark the archive.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from brainscore_itmaps.archives import add_member
from brainscore_itmaps.data.arcaro2020 import ARRAYS, CITATION, IMAGES, MARKER, NAME, Array
from brainscore_itmaps.data.grid import Grid, unorient_maps
from brainscore_itmaps.files import replacing
from brainscore_itmaps.progress import Report, silent

README = f"""SIMULATED. No animal was recorded for anything in this archive.

It has the layout of the archive of {CITATION}, so that programs can be tried without the data.
Made by `brainscore data simulate --official`.
"""
PIXELS = 400
SITE_SHARE = 0.75
NOISE_HZ = 5.0
BASELINE_HZ = 30.0
STEP_HZ = 2.0


@dataclass(frozen=True)
class TimeCourse:
    """Time course of a population's rate.

    Attributes
    ----------
    peak : float
        Largest rate above baseline, Hz.
    rise, peak_time, fall : float
        Times of half of the peak, of the peak, and of half of the peak again, ms after stimulus onset.
    """

    peak: float
    rise: float
    peak_time: float
    fall: float

    def rates(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the rate above baseline in Hz at given times in milliseconds after stimulus onset.

        Examples
        --------
        >>> TimeCourse(peak=60, rise=114, peak_time=157, fall=252).rates(np.array([114.0, 157.0, 252.0]))
        array([30., 60., 30.])
        """
        half = np.sqrt(2 * np.log(2))
        since_peak = times - self.peak_time
        width = np.where(since_peak < 0, (self.peak_time - self.rise) / half, (self.fall - self.peak_time) / half)
        rates: NDArray[np.float64] = self.peak * np.exp(-0.5 * (since_peak / width) ** 2)
        return rates


COURSES = {
    "monkey1_PL": (TimeCourse(154, 64, 84, 270), TimeCourse(75, 69, 90, 260)),
    "monkey1_ML": (TimeCourse(60, 114, 157, 252), TimeCourse(-18, 114, 157, 252)),
    "monkey2_ML": (TimeCourse(102, 131, 186, 280), TimeCourse(34, 145, 215, 277)),
}
"""Responses to faces and to other objects above baseline, as measured in the published PSTHs."""

FOLDERS = {"monkey1": "George", "monkey2": "Red"}


def write_stand_in(
    path: Path,
    *,
    seed: int = 0,
    duration: int = 400,
    names: str = "C:\\data\\stim\\{}",
    empty_channels: tuple[int, ...] = (),
    progress: Report = silent,
) -> Path:
    """Write a simulated archive of the published layout; the same arguments give the same bytes on the same machine.

    Parameters
    ----------
    path : Path
        The zip file.
    seed : int
        Seed of numpy's default generator.
    duration : int
        Duration of the responses in milliseconds; 400 in the published PSTHs.
    names : str
        Format of the names in ``UniqueNames``; ``{}`` is the file name of the image.
    empty_channels : tuple of int
        Channels, counted from 0, that are NaN throughout.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InstallationError
        When the file cannot be written.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        add_member(archive, f"{NAME}/README.txt", README.encode())
        for number, (subject, folder) in enumerate(FOLDERS.items()):
            arrays = [array for array in ARRAYS.values() if array.subject == subject]
            mat, images = arrays[0].mat, arrays[0].images
            rng = np.random.default_rng([seed, number])
            scenes, faces, objects = _draw_scenes(rng)
            order = rng.permutation(IMAGES)  # the order of the maps is not alphabetical, as in real files
            basenames = [f"img_{name:02d}.png" for name in order]
            for basename, image in zip(basenames, scenes, strict=True):
                encoded = io.BytesIO()
                image.save(encoded, "PNG")
                add_member(archive, f"{NAME}/{folder}/{images}/{basename}", encoded.getvalue())
            responses = _responses(rng, arrays, faces, objects, duration, progress)
            responses[:, :, :, list(empty_channels), :] = np.nan
            cells = np.array([[names.format(basename) for basename in basenames]], dtype=object)
            progress(f"compressing {mat}", 0, 1)
            add_member(archive, f"{NAME}/{folder}/{mat}", _mat({"imageRF": responses, "UniqueNames": cells, MARKER: 1}))
    return path


def _responses(
    rng: np.random.Generator,
    arrays: list[Array],
    faces: NDArray[np.float64],
    objects: NDArray[np.float64],
    duration: int,
    progress: Report,
) -> NDArray[np.float32]:
    positions, channels = arrays[0].positions, arrays[0].channels
    times = np.arange(duration) + 0.5
    noise = _noise_basis(duration)
    responses = np.empty((positions, positions, duration, channels, IMAGES), np.float32, order="F")
    for array in arrays:
        face_course, object_course = (course.rates(times) for course in COURSES[array.name])
        courses = np.concatenate([[face_course, object_course], noise]).astype(np.float32)
        start, stop = array.windows["elife"]
        window = slice(min(start, duration - 1), stop)
        gains = rng.lognormal(0, 0.4, array.sites.stop - array.sites.start)
        for site, gain in enumerate(gains / gains.mean(), array.sites.start):
            progress(f"simulating {array.name}", site, channels)
            width = rng.uniform(1.9, 2.6)
            face, other = (_filter(masks, width, positions) for masks in (faces, objects))  # (image, y, x)
            face, other = face / face.max(), other / other.max()
            shared = face * face_course[window].mean() + other * object_course[window].mean()
            specific = _filter(rng.normal(size=faces.shape), width, positions)
            specific *= SITE_SHARE * shared.std(axis=(1, 2), keepdims=True) / specific.std(axis=(1, 2), keepdims=True)
            specific /= max(float(np.abs(face_course[window]).mean()), 1.0)
            coefficients = rng.standard_normal((*shared.shape, len(noise)), dtype=np.float32)
            signal = gain * np.stack([face + specific, other], axis=-1)
            parts = np.concatenate([signal, NOISE_HZ * coefficients], axis=-1)  # (image, y, x, course)
            rates = parts.astype(np.float32) @ courses  # (image, y, x, time)
            rates = np.round(rates.clip(-BASELINE_HZ) / STEP_HZ) * STEP_HZ  # no rate below 0; rounded for compression
            responses[:, :, :, site, :] = unorient_maps(rates, "flip_both").transpose(1, 2, 3, 0)
    return responses


def _noise_basis(duration: int) -> NDArray[np.float64]:
    """Build time courses whose random sums have variance 1 and about the measured autocorrelation (0.57 at 40 ms)."""
    lags = np.subtract.outer(np.arange(duration), np.arange(duration))
    covariance = 0.95 * np.exp(-((lags / 55.0) ** 2)) + 0.05 * np.exp(-((lags / 6.0) ** 2))
    values, vectors = np.linalg.eigh(covariance)
    large = values > 1e-3 * values.max()
    basis: NDArray[np.float64] = (vectors[:, large] * np.sqrt(values[large])).T
    return basis


def _filter(images: NDArray[np.float64], width: float, positions: int) -> NDArray[np.float64]:
    """Filter images (image, pixel, pixel) with a Gaussian receptive field at each position of the grid."""
    grid = Grid.even(positions)
    centres = (np.arange(images.shape[1]) + 0.5) * grid.width / images.shape[1] - grid.width / 2
    field = np.exp(-0.5 * ((grid.y[:, None] - centres) / width) ** 2)
    field /= field.sum(axis=1, keepdims=True)
    responses: NDArray[np.float64] = np.einsum("yp,ipq,xq->iyx", field, images, field, optimize=True)
    return responses


def _draw_scenes(rng: np.random.Generator) -> tuple[list[Image.Image], NDArray[np.float64], NDArray[np.float64]]:
    """Draw the images, and return them with masks of faces and of objects, shape (image, 40, 40)."""
    images: list[Image.Image] = []
    faces: list[NDArray[np.float64]] = []
    objects: list[NDArray[np.float64]] = []
    for number in range(IMAGES):
        coarse = rng.integers(60, 150, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
        masks = [Image.new("L", (PIXELS, PIXELS)) for _ in range(2)]
        quadrants = rng.permutation(4)
        for quadrant in quadrants[: 1 + number % 2]:
            _draw_face(image, masks[0], _random_centre(rng, quadrant), int(rng.integers(55, 80)))
        for quadrant in quadrants[2 : 3 + number % 2]:
            _draw_object(image, masks[1], _random_centre(rng, quadrant), int(rng.integers(50, 80)), rng)
        images.append(image)
        for shapes, mask in zip((faces, objects), masks, strict=True):
            shapes.append(np.asarray(mask.resize((40, 40), Image.Resampling.BOX)) / 255)
    return images, np.array(faces), np.array(objects)


def _random_centre(rng: np.random.Generator, quadrant: int) -> tuple[int, int]:
    x, y = PIXELS // 4 + (quadrant % 2) * PIXELS // 2, PIXELS // 4 + (quadrant // 2) * PIXELS // 2
    return int(x + rng.integers(-20, 21)), int(y + rng.integers(-20, 21))


def _draw_face(image: Image.Image, mask: Image.Image, centre: tuple[int, int], size: int) -> None:
    x, y = centre
    outline = (x - 0.75 * size, y - size, x + 0.75 * size, y + size)
    ImageDraw.Draw(mask).ellipse(outline, fill=255)
    draw = ImageDraw.Draw(image)
    draw.ellipse(outline, fill=(222, 178, 148), outline=(90, 60, 45), width=3)
    for side in (-1, 1):
        eye = x + side * 0.3 * size
        draw.ellipse((eye - 0.13 * size, y - 0.32 * size, eye + 0.13 * size, y - 0.14 * size), fill=(40, 30, 30))
    draw.polygon(
        [(x, y - 0.05 * size), (x - 0.1 * size, y + 0.22 * size), (x + 0.1 * size, y + 0.22 * size)], (190, 140, 112)
    )
    draw.ellipse((x - 0.3 * size, y + 0.42 * size, x + 0.3 * size, y + 0.56 * size), fill=(150, 60, 60))


def _draw_object(
    image: Image.Image, mask: Image.Image, centre: tuple[int, int], size: int, rng: np.random.Generator
) -> None:
    x, y = centre
    outline = [
        (x - size, y - size // 2),
        (x + size, y - size // 2),
        (x + size, y + size // 2),
        (x - size, y + size // 2),
    ]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    colour = tuple(int(value) for value in rng.integers(40, 220, 3))
    ImageDraw.Draw(image).polygon(outline, fill=colour, outline=(30, 30, 30))


def _mat(variables: dict[str, Any]) -> bytes:
    from scipy.io import savemat

    encoded = io.BytesIO()
    savemat(encoded, variables, do_compression=True)
    header = b"MATLAB 5.0 MAT-file, SIMULATED by brainscore_itmaps, no animal was recorded"
    encoded.seek(0)
    encoded.write(header.ljust(116))  # scipy writes the date here, which would change the hash
    return encoded.getvalue()
