"""Simulate a recording with known ground truth: sites that respond to marked heads, bodies and objects.

No model is involved. Heads, bodies and other objects were outlined manually in 14 photographs (the representation).
Each site weights the three, filters them with a Gaussian receptive field, and responds with a gain, a latency and noise
of the size measured in the published recordings (Arcaro, Ponce & Livingstone 2020, eLife 9:e53798, and its PSTHs).
``docs/simulated.md`` describes the uses and limits of these data.
"""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import SET_BRAINIO_HOME, contains_image
from brainscore_itmaps.data.recording import Recording, check_window
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import replacing, sha256
from brainscore_itmaps.npz import read_npz
from brainscore_itmaps.settings import Settings
from brainscore_itmaps.text import short_repr

IDENTIFIER = "it_maps_simulated"
WINDOW = (100, 250)
CHANNELS = ("head", "body", "object")
GRID = Grid.even(17)
EDGES = np.arange(0, 301, 50)
CITATION = (
    "Simulated by brainscore_itmaps after the facts published in Arcaro, Ponce & Livingstone (2020), "
    "eLife 9:e53798, https://doi.org/10.7554/eLife.53798"
)
SCENES = Path(__file__).with_name("simulated_scenes.json")
EMBEDDED = Path(__file__).with_name("it_maps_simulated.npz")
PIXELS_PER_DEGREE = 10


@short_repr
@dataclass(frozen=True)
class Simulation:
    """Simulated spike counts and the parameters that generated them.

    Attributes
    ----------
    counts : uint8 array, shape (image, repeat, y, x, site, bin)
        Spikes per presentation and time bin of 50 ms, from stimulus onset.
    weights : array, shape (site, channel)
        Weights of heads, bodies and objects in the drive of each site.
    receptive_field : array, shape (site,)
        Standard deviation of the Gaussian receptive field, degrees.
    gain, baseline : array, shape (site,)
        Spikes per second: at the best position at the peak of the response, and without drive.
    latency : array, shape (site,)
        Delay of the site's time course relative to the array's, ms.
    seed : int
        Seed of the random generator.
    """

    counts: NDArray[np.uint8]
    weights: NDArray[np.float64]
    receptive_field: NDArray[np.float64]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    latency: NDArray[np.float64]
    seed: int

    def save(self, path: Path) -> Path:
        """Save all fields in one npz file, with a variable that marks it as simulated."""
        with replacing(path) as temporary, temporary.open("wb") as file:  # numpy would add a suffix to a path
            np.savez_compressed(file, SIMULATED=np.True_, **vars(self))
        return path

    @classmethod
    def load(cls, path: Path) -> "Simulation":
        """Load a simulation from a file that :meth:`save` wrote.

        Raises
        ------
        DataError
            When the file is missing or is not a simulated recording.
        """
        try:
            stored = read_npz(path)
            fields: dict[str, Any] = {name: stored[name] for name in cls.__dataclass_fields__}
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{path} is not a simulated recording: {error}.",
                "Make one with `brainscore data simulate`, or install the package again.",
            ) from error
        return cls(**fields | {"seed": int(fields["seed"])})


def load_simulated(window: tuple[int, int] = WINDOW, source: Path = EMBEDDED) -> Recording:
    """Load a simulated recording, by default the one included in the package.

    Parameters
    ----------
    window : (int, int)
        Milliseconds after stimulus onset, half-open, multiples of 50 up to 300. The default is the published analysis
        window of the imitated array (monkey 1, 100-250 ms).
    source : Path
        A file written by :meth:`Simulation.save`.

    Raises
    ------
    DataError
        When the recording does not cover the window, or a photograph is missing or differs from the marked one.

    Examples
    --------
    >>> recording = load_simulated((100, 150))
    >>> recording.maps.shape, recording.simulated
    ((14, 17, 17, 32), True)
    """
    check_window(window, int(EDGES[0]), int(EDGES[-1]), int(EDGES[1] - EDGES[0]), IDENTIFIER)
    simulation = Simulation.load(source)
    bins = (EDGES[:-1] >= window[0]) & (EDGES[1:] <= window[1])
    rates = simulation.counts[..., bins].sum(axis=-1, dtype=np.int64) / (window[1] - window[0]) * 1000
    return Recording(
        identifier=IDENTIFIER if simulation.seed == 0 else f"{IDENTIFIER}-seed{simulation.seed}",
        maps=rates.mean(axis=1),
        images=image_files(),
        grid=GRID,
        window=window,
        subject="simulated monkey",
        area="simulated ML",
        sites=tuple(f"simulated-{site:02d}" for site in range(rates.shape[-1])),
        sha256=sha256(source),
        citation=CITATION,
        simulated=True,
        repeats=rates,
    )


def simulate(seed: int = 0, sites: int = 32, repeats: int = 6) -> Simulation:
    """Simulate the spike counts of an array of sites; the same arguments give the same spikes.

    Receptive fields have standard deviations of 1.9 to 2.6 degrees. The time course is at half of its peak at 114 and
    252 ms and peaks at 157 ms, as measured for faces in the array ML of monkey 1. Spike counts are Poisson with a rate
    that fluctuates by 10 % between presentations, equally in all sites.

    Parameters
    ----------
    seed : int
        Seed of numpy's default generator.
    sites : int
        Number of sites.
    repeats : int
        Number of presentations of each image at each position.

    Examples
    --------
    >>> simulate(seed=1, sites=2, repeats=3).counts.shape
    (14, 3, 17, 17, 2, 6)
    """
    rng = np.random.default_rng(seed)
    receptive_field = rng.uniform(1.9, 2.6, sites)
    weights = np.array([1.0, 0.55, 0.4]) * rng.lognormal(0, [0.8, 1.0, 1.1], (sites, len(CHANNELS)))
    gain = rng.lognormal(np.log(120), 0.5, sites)
    baseline = rng.uniform(10, 30, sites)
    latency = rng.normal(0, 8, sites)

    drive = noise_free_drive(weights, receptive_field)  # (image, y, x, site), 1 at a site's best position
    course = time_course(EDGES, latency)  # (site, bin)
    rate = baseline[:, None] + (gain * drive)[..., None] * course  # (image, y, x, site, bin)
    fluctuation = np.exp(rng.normal(0, 0.1, (len(drive), repeats, *drive.shape[1:3], 1, 1)))
    expected = rate[:, None] * fluctuation * np.diff(EDGES) / 1000
    return Simulation(
        counts=rng.poisson(expected).astype(np.uint8),
        weights=weights,
        receptive_field=receptive_field,
        gain=gain,
        baseline=baseline,
        latency=latency,
        seed=seed,
    )


def noise_free_drive(weights: NDArray[np.float64], receptive_field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the noise-free drive of each site, scaled to 1 at its best position.

    Parameters
    ----------
    weights : array, shape (site, channel)
        Weight of each channel of :func:`representation`.
    receptive_field : array, shape (site,)
        Standard deviations in degrees.

    Returns
    -------
    array, shape (image, y, x, site)

    Examples
    --------
    >>> drive = noise_free_drive(np.array([[1.0, 0.5, 0.2], [0.2, 0.5, 1.0]]), np.array([1.9, 2.6]))
    >>> drive.shape, drive.max(axis=(0, 1, 2))
    ((14, 17, 17, 2), array([1., 1.]))
    """
    regions = representation()
    centres = (np.arange(regions.shape[1]) + 0.5) / PIXELS_PER_DEGREE - GRID.width / 2
    drive = np.empty((len(regions), len(GRID.y), len(GRID.x), len(weights)))
    for site, sigma in enumerate(receptive_field):
        field = np.exp(-0.5 * ((GRID.y[:, None] - centres) / sigma) ** 2)  # (y, pixel); the grid is the same in x
        field /= field.sum(axis=1, keepdims=True)  # only positions in the image count
        drive[..., site] = np.einsum("yp,ipqc,xq,c->iyx", field, regions, field, weights[site], optimize=True)
    drive /= drive.max(axis=(0, 1, 2))
    return drive


@cache
def representation() -> NDArray[np.float64]:
    """Draw the marked regions at 10 pixels per degree: 1 inside and 0 outside.

    Returns
    -------
    array, shape (image, y, x, channel)
        Channels are heads, bodies and objects.

    Examples
    --------
    >>> representation().shape
    (14, 160, 160, 3)
    """
    try:
        from skimage.draw import polygon2mask
    except ImportError as error:
        raise _extra_missing("scikit-image") from error
    scenes = _scenes()
    size = int(GRID.width * PIXELS_PER_DEGREE)
    regions = np.zeros((len(scenes), size, size, len(CHANNELS)))
    for image, scene in enumerate(scenes):
        left, top, right, _ = scene["box"]
        for channel, name in enumerate(CHANNELS):
            for outline in scene["regions"].get(name, []):
                corners = (np.array(outline, float) - [left, top]) * size / (right - left) - 0.5
                mask = polygon2mask((size, size), corners[:, ::-1])  # from (x, y) to (row, column)
                regions[image, ..., channel] = np.maximum(regions[image, ..., channel], mask)
    return regions


def time_course(edges: NDArray[np.int64], latency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the mean response of each site in each time bin, as a fraction of its peak.

    The time course is a Gaussian with different widths before and after its peak at 157 ms; it is at half of the peak
    at 114 and 252 ms. The latency of a site is added to these times.

    Parameters
    ----------
    edges : array, shape (bin + 1,)
        Edges of the bins in milliseconds after stimulus onset.
    latency : array, shape (site,)
        Milliseconds.

    Returns
    -------
    array, shape (site, bin)

    Examples
    --------
    >>> time_course(np.array([0, 100, 200, 300]), np.array([0.0, 20.0])).round(2)
    array([[0.05, 0.81, 0.52],
           [0.02, 0.67, 0.66]])
    """
    half = np.sqrt(2 * np.log(2))
    times = np.arange(edges[0], edges[-1]) + 0.5
    since_peak = times - 157 - latency[:, None]
    width = np.where(since_peak < 0, (157 - 114) / half, (252 - 157) / half)
    course = np.exp(-0.5 * (since_peak / width) ** 2)
    mean: NDArray[np.float64] = course.reshape(len(latency), len(edges) - 1, -1).mean(axis=-1)
    return mean


def image_files() -> tuple[Path, ...]:
    """Return the 14 images as PNG files, which are cropped from photographs of installed packages on first use.

    They are stored in Brain-Score's folder of images, in a subfolder named by the hash of the crops. A file whose
    pixels have changed is written again.

    Raises
    ------
    DataError
        When a photograph is missing or differs from the marked one.

    Examples
    --------
    >>> len(image_files())
    14
    """
    scenes = _scenes()
    key = hashlib.sha256(SCENES.read_bytes()).hexdigest()[:12]
    folder = Settings.from_environment().brainio_home / f"{IDENTIFIER}.stimuli-{key}"
    files = tuple(folder / f"{IDENTIFIER}-{number:02d}-{scene['name']}.png" for number, scene in enumerate(scenes))
    for file, scene in zip(files, scenes, strict=True):
        with Image.open(_photograph(scene)) as photograph:
            crop = photograph.convert("RGB").crop(scene["box"])
        if not contains_image(file, crop):
            with replacing(file, SET_BRAINIO_HOME) as temporary:
                crop.save(temporary)
    return files


def image_sources() -> set[str]:
    """Return the names of the packages whose photographs are used.

    Examples
    --------
    >>> sorted(image_sources())
    ['foolbox', 'scikit-image']
    """
    return {scene["package"] for scene in _scenes()}


def _photograph(scene: dict[str, Any]) -> Path:
    try:
        path = Path(str(importlib.metadata.distribution(scene["package"]).locate_file(scene["file"])))
    except importlib.metadata.PackageNotFoundError as error:
        raise _extra_missing(scene["package"]) from error
    if not path.exists() or sha256(path) != scene["sha256"]:
        raise DataError(
            f"The photograph {scene['file']} of {scene['package']} is missing or differs from the marked one.",
            "Install the required versions: pip install 'brainscore_itmaps[embedded]'.",
        )
    return path


def _extra_missing(package: str) -> DataError:
    return DataError(
        f"The photographs of {IDENTIFIER} are included in other packages, and {package} is not installed.",
        "Install them: pip install 'brainscore_itmaps[embedded]'.",
    )


@cache
def _scenes() -> list[dict[str, Any]]:
    scenes: list[dict[str, Any]] = json.loads(SCENES.read_text(encoding="utf-8"))["scenes"]
    return scenes
