"""A SIMULATED stand-in for the published archive: every file, name, shape and type of it, and no recorded response.

Schematic faces and objects are drawn on smooth noise. Sites see them through Gaussian receptive fields (1.9 to 2.6
degrees), with the latencies, peaks and face preference measured on the PSTHs that the authors published, and share
as much of their maps as recorded sites do. A variable ``SIMULATED`` in each ``.mat`` and a text in the archive say so.
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
from brainscore_itmaps.data.grid import Grid, stored
from brainscore_itmaps.files import replacing
from brainscore_itmaps.progress import Report, silent

README = f"""SIMULATED. No animal was recorded for anything in this archive.

It has the layout of the archive of {CITATION}, so that programs can be tried without the data.
Made by `brainscore data simulate --official`.
"""
PIXELS = 400
OWN_SHARE = 0.75
NOISE_HZ = 5.0
BASELINE_HZ = 30.0
STEP_HZ = 2.0


@dataclass(frozen=True)
class Course:
    """Time course of a population: half of ``peak`` (Hz) at ``rise`` and ``fall``, the whole of it ``at``, ms."""

    peak: float
    rise: float
    at: float
    fall: float

    def over(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the rate above baseline at these milliseconds after stimulus onset."""
        half = np.sqrt(2 * np.log(2))
        width = np.where(times < self.at, (self.at - self.rise) / half, (self.fall - self.at) / half)
        rate: NDArray[np.float64] = self.peak * np.exp(-0.5 * ((times - self.at) / width) ** 2)
        return rate


COURSES = {
    "monkey1_PL": (Course(154, 64, 84, 270), Course(75, 69, 90, 260)),
    "monkey1_ML": (Course(60, 114, 157, 252), Course(-18, 114, 157, 252)),
    "monkey2_ML": (Course(102, 131, 186, 280), Course(34, 145, 215, 277)),
}
"""Responses to faces and to other objects, baseline subtracted, as measured on the authors' published PSTHs."""

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
    """Write a zip in the published layout; the same arguments give the same bytes on the same machine.

    Parameters
    ----------
    path : Path
        The zip file.
    seed : int
        Seed of numpy's default generator.
    duration : int
        Milliseconds that are recorded; 400 in the published PSTHs.
    names : str
        How ``UniqueNames`` writes an image's name; ``{}`` for a bare one.
    empty_channels : tuple of int
        Channels, counted from 0, that hold NaN throughout.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    InstallationError
        When the file cannot be written.
    """
    with replacing(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        add_member(archive, f"{NAME}/README.txt", README.encode())
        for number, (subject, folder) in enumerate(FOLDERS.items()):
            arrays = [array for array in ARRAYS.values() if array.subject == subject]
            mat, images = arrays[0].mat, arrays[0].images
            rng = np.random.default_rng([seed, number])
            shown, faces, objects = _scenes(rng)
            order = rng.permutation(IMAGES)  # as found in files, the order of the maps is not that of the alphabet
            basenames = [f"img_{name:02d}.png" for name in order]
            for basename, image in zip(basenames, shown, strict=True):
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
        face_course, object_course = (course.over(times) for course in COURSES[array.name])
        courses = np.concatenate([[face_course, object_course], noise]).astype(np.float32)
        start, stop = array.windows["elife"]
        seen = slice(min(start, duration - 1), stop)
        gains = rng.lognormal(0, 0.4, array.sites.stop - array.sites.start)
        for site, gain in enumerate(gains / gains.mean(), array.sites.start):
            progress(f"simulating {array.name}", site, channels)
            width = rng.uniform(1.9, 2.6)
            face, other = (_seen(shown, width, positions) for shown in (faces, objects))  # (image, y, x)
            face, other = face / face.max(), other / other.max()
            shared = face * face_course[seen].mean() + other * object_course[seen].mean()
            own = _seen(rng.normal(size=faces.shape), width, positions)
            own *= OWN_SHARE * shared.std(axis=(1, 2), keepdims=True) / own.std(axis=(1, 2), keepdims=True)
            own /= max(float(np.abs(face_course[seen]).mean()), 1.0)
            random = rng.standard_normal((*shared.shape, len(noise)), dtype=np.float32)
            parts = np.concatenate([gain * np.stack([face + own, other], axis=-1), NOISE_HZ * random], axis=-1)
            rates = parts.astype(np.float32) @ courses  # (image, y, x, time)
            rates = np.round(rates.clip(-BASELINE_HZ) / STEP_HZ) * STEP_HZ  # no rate below 0; coarse, to compress
            responses[:, :, :, site, :] = stored(rates, "flip_both").transpose(1, 2, 3, 0)
    return responses


def _noise_basis(duration: int) -> NDArray[np.float64]:
    """Build time courses whose random sums have variance 1 and nearly the measured autocorrelation (.57 at 40 ms)."""
    lags = np.subtract.outer(np.arange(duration), np.arange(duration))
    covariance = 0.95 * np.exp(-((lags / 55.0) ** 2)) + 0.05 * np.exp(-((lags / 6.0) ** 2))
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-3 * values.max()
    basis: NDArray[np.float64] = (vectors[:, kept] * np.sqrt(values[kept])).T
    return basis


def _seen(image: NDArray[np.float64], width: float, positions: int) -> NDArray[np.float64]:
    """Filter images (image, pixel, pixel) with a Gaussian receptive field at every position of the grid."""
    grid = Grid.even(positions)
    centres = (np.arange(image.shape[1]) + 0.5) * grid.extent / image.shape[1] - grid.extent / 2
    field = np.exp(-0.5 * ((grid.y[:, None] - centres) / width) ** 2)
    field /= field.sum(axis=1, keepdims=True)
    seen: NDArray[np.float64] = np.einsum("yp,ipq,xq->iyx", field, image, field, optimize=True)
    return seen


def _scenes(rng: np.random.Generator) -> tuple[list[Image.Image], NDArray[np.float64], NDArray[np.float64]]:
    """Draw the images; return them with the places of faces and objects, shape (image, 40, 40)."""
    images: list[Image.Image] = []
    faces: list[NDArray[np.float64]] = []
    objects: list[NDArray[np.float64]] = []
    for number in range(IMAGES):
        coarse = rng.integers(60, 150, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
        masks = [Image.new("L", (PIXELS, PIXELS)) for _ in range(2)]
        corners = rng.permutation(4)
        for place in range(1 + number % 2):
            _draw_face(image, masks[0], _place(rng, corners[place]), int(rng.integers(55, 80)))
        for place in range(2, 3 + number % 2):
            _draw_object(image, masks[1], _place(rng, corners[place]), int(rng.integers(50, 80)), rng)
        images.append(image)
        for where, mask in zip((faces, objects), masks, strict=True):
            where.append(np.asarray(mask.resize((40, 40), Image.Resampling.BOX)) / 255)
    return images, np.array(faces), np.array(objects)


def _place(rng: np.random.Generator, corner: int) -> tuple[int, int]:
    x, y = PIXELS // 4 + (corner % 2) * PIXELS // 2, PIXELS // 4 + (corner // 2) * PIXELS // 2
    return int(x + rng.integers(-20, 21)), int(y + rng.integers(-20, 21))


def _draw_face(image: Image.Image, mask: Image.Image, at: tuple[int, int], size: int) -> None:
    x, y = at
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
    image: Image.Image, mask: Image.Image, at: tuple[int, int], size: int, rng: np.random.Generator
) -> None:
    x, y = at
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
