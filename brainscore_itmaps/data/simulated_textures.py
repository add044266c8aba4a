"""Simulate a recording over synthetic textures, with private signals, unequal noise and a chosen bump at the centre.

No model and no photograph is involved. Every pixel of an image belongs to one type of texture; all types have the same
mean luminance and the same local luminance contrast. Each site weights the types at random, filters them with a
Gaussian receptive field, and adds a signal of its own that no image shows. ``docs/simulated.md`` describes the uses and
limits of these data.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.images import write_images
from brainscore_itmaps.data.recording import Recording, check_window
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.text import short_repr

IDENTIFIER = "it_maps_textures_simulated"
WINDOW = (100, 250)
CITATION = (
    "Simulated by brainscore_itmaps, with receptive fields of the size published in Arcaro, Ponce & Livingstone "
    "(2020), eLife 9:e53798, https://doi.org/10.7554/eLife.53798"
)
EXTENT = 16.0
"""Width and height of an image, degrees."""
PIXELS = 224
"""Width and height of an image, pixels."""
PATCH = 1.5
"""Smoothness of the borders between types: standard deviation of the Gaussian that smooths random fields, degrees."""
BUMP = 3.0
"""Standard deviation of the bump at the centre, degrees."""
LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luminance of a pixel, as in Pillow's mode L (ITU-R BT.601)."""
MEAN = 128.0
"""Mean luminance of every type, of 255."""
CONTRAST = 24.0
"""Standard deviation of the luminance of every type, of 255."""
TINT = 24.0
"""Distance of the mean colour of a type from grey, of 255."""
PATTERNS = ("grating", "checks", "dots", "bars", "plaid", "waves")
PERIODS = (6, 12, 9)
"""Periods of the patterns, pixels; a degree has 14 pixels."""
TYPES = 12
"""Number of types of texture; patterns and hues repeat afterwards."""
WHOLE_NUMBERS = {
    "seed": (0, np.inf),
    "images": (2, np.inf),
    "sites": (1, np.inf),
    "latents": (2, TYPES),
    "repeats": (0, np.inf),
    "grid": (2, np.inf),
}
"""Smallest and largest value of each option that is a whole number."""


@short_repr
@dataclass(frozen=True, eq=False)
class TextureTruth:
    """The parts of simulated maps; their sum without noise is ``noise_free``.

    Attributes
    ----------
    masks : bool array, shape (image, pixel y, pixel x, latent)
        Which type of texture each pixel of the images shows.
    weights : array, shape (site, latent)
        Weight of each type in the signal of a site.
    receptive_field : array, shape (site,)
        Standard deviation of the Gaussian receptive field, degrees.
    baseline : array, shape (site,)
        Spikes per second, added to all maps of a site.
    shared : array, shape (image, y, x, site)
        Signal that the images determine, spikes per second.
    private : array, shape (image, y, x, site)
        Signal of a site alone, which the images do not show, spikes per second.
    centre : array, shape (y, x, site)
        Bump that all images share, spikes per second.
    reliability : array, shape (site,)
        Variance over positions of the noise-free maps, as a fraction of the variance with noise.
    """

    masks: NDArray[np.bool_]
    weights: NDArray[np.float64]
    receptive_field: NDArray[np.float64]
    baseline: NDArray[np.float64]
    shared: NDArray[np.float64]
    private: NDArray[np.float64]
    centre: NDArray[np.float64]
    reliability: NDArray[np.float64]

    @property
    def noise_free(self) -> NDArray[np.float64]:
        """Return the maps without noise, shape (image, y, x, site), spikes per second."""
        return self.baseline + self.shared + self.private + self.centre


def load_textures(window: tuple[int, int] = WINDOW) -> Recording:
    """Simulate the recording ``it_maps_textures_simulated``: seed 0 and the defaults of :func:`simulate_textures`.

    Parameters
    ----------
    window : (int, int)
        Must be the only window of the recording, 100-250 ms: the simulation has no time course.

    Raises
    ------
    DataError
        When the window is another.

    Examples
    --------
    >>> recording = load_textures()
    >>> recording.maps.shape, recording.repeats is None
    ((14, 17, 17, 32), True)
    """
    check_window(window, *WINDOW, WINDOW[1] - WINDOW[0], IDENTIFIER)
    return simulate_textures()[0]


def simulate_textures(
    seed: int = 0,
    *,
    images: int = 14,
    sites: int = 32,
    latents: int = 8,
    private: float = 0.5,
    reliability: tuple[float, float] = (0.1, 0.8),
    centre_bias: float = 0.0,
    repeats: int = 0,
    grid: int = 17,
) -> tuple[Recording, TextureTruth]:
    """Simulate a recording over images of textures, and return it with its true parts.

    The same arguments give the same recording. Receptive fields have standard deviations of 1.9 to 2.6 degrees. All
    variances are over the positions of an image, averaged over images: score and ceiling correlate over positions.

    Parameters
    ----------
    seed : int
        Seed of numpy's default generator.
    images, sites : int
        Numbers of images and of sites.
    latents : int
        Number of types of texture, 2 to 12.
    private : float
        Fraction of each site's signal variance that no image shows, 0 to 1.
    reliability : (float, float)
        Limits between which the reliability of each site's maps is drawn: the variance of the noise-free maps, the
        bump included, as a fraction of the variance of ``recording.maps``.
    centre_bias : float
        Height of a bump at the centre of all maps, in standard deviations of a site's signal.
    repeats : int
        Number of presentations of each image, 0 or at least 2. Noise is independent between them, and ``reliability``
        is that of their mean. With 0, the recording has no repeats.
    grid : int
        Number of positions along y and along x.

    Returns
    -------
    Recording, TextureTruth
        Maps are rounded to a thousandth of a spike per second. The images are written as PNG files into Brain-Score's
        folder of images. The identifier names the options that are not the defaults.

    Raises
    ------
    UsageError
        When an option is outside its limits.

    Examples
    --------
    >>> recording, truth = simulate_textures(1, images=3, sites=4, grid=9, reliability=(0.5, 0.5))
    >>> recording.maps.shape
    (3, 9, 9, 4)
    >>> recording.identifier
    'it_maps_textures_simulated-seed1-images3-sites4-reliability0_5-0_5-grid9'
    >>> noise = recording.maps - truth.noise_free
    >>> variance = truth.noise_free.var(axis=(1, 2)).mean(axis=0)
    >>> (variance / (variance + noise.var(axis=(1, 2)).mean(axis=0))).round(1)
    array([0.5, 0.5, 0.5, 0.5])
    """
    options = {
        "seed": seed,
        "images": images,
        "sites": sites,
        "latents": latents,
        "private": private,
        "reliability": reliability,
        "centre_bias": centre_bias,
        "repeats": repeats,
        "grid": grid,
    }
    _check_options(options)
    rng = np.random.default_rng(seed)
    positions = Grid.even(grid, EXTENT)
    pixels = (np.arange(PIXELS) + 0.5) * EXTENT / PIXELS - EXTENT / 2

    fields = _smooth_fields(rng, images * latents, pixels, PATCH).reshape(images, latents, PIXELS, PIXELS)
    types = fields.argmax(axis=1)  # (image, pixel y, pixel x)
    textured = np.stack([_fill_with_textures(rng, types_of_image, latents) for types_of_image in types])

    receptive_field = rng.uniform(1.9, 2.6, sites)
    weights = rng.normal(size=(sites, latents))
    shared = np.empty((images, grid, grid, sites))
    alone = np.empty_like(shared)  # the private signal, as smooth as the shared one
    for site, sigma in enumerate(receptive_field):
        kernel = _gaussian_kernel(positions.y, pixels, sigma)  # the grid is the same in x
        kernel /= kernel.sum(axis=1, keepdims=True)  # only positions in the image count
        shared[..., site] = kernel @ weights[site][types] @ kernel.T
        alone[..., site] = _smooth_fields(rng, images, positions.y, np.hypot(sigma, PATCH))
    shared *= np.sqrt((1 - private) / variance_over_positions(shared))
    alone *= np.sqrt(private / variance_over_positions(alone))
    bump = np.exp(-0.5 * (positions.y / BUMP) ** 2)
    centre = centre_bias * np.sqrt(variance_over_positions(shared + alone)) * np.outer(bump, bump)[..., None]

    signal = shared + alone + centre
    reliable = rng.uniform(*reliability, sites)
    noise = np.sqrt(variance_over_positions(signal) * (1 / reliable - 1) * max(repeats, 1))
    responses = signal[:, None] + noise * rng.normal(size=(images, max(repeats, 1), grid, grid, sites))
    gain = rng.lognormal(np.log(8), 0.3, sites) / np.sqrt(variance_over_positions(responses.mean(axis=1)))
    baseline = rng.uniform(1, 10, sites) - gain * responses.min(axis=(0, 1, 2, 3))
    rates = (baseline + gain * responses).round(3)  # the last digits, in which machines may differ, do not matter

    recording = Recording.from_arrays(
        None if repeats else rates[:, 0],
        write_images(textured, _name({"seed": seed})),
        identifier=_name(options),
        window=WINDOW,
        repeats=rates if repeats else None,
        grid=positions,
        sites=[f"simulated-{site:02d}" for site in range(sites)],
        subject="simulated monkey",
        area="simulated IT",
        citation=CITATION,
        simulated=True,
    )
    truth = TextureTruth(
        masks=types[..., None] == np.arange(latents),
        weights=weights,
        receptive_field=receptive_field,
        baseline=baseline,
        shared=gain * shared,
        private=gain * alone,
        centre=gain * centre,
        reliability=reliable,
    )
    return recording, truth


def variance_over_positions(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the variance of the maps of each site over the positions of an image, averaged over images.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)

    Returns
    -------
    array, shape (site,)

    Examples
    --------
    >>> variance_over_positions(np.array([[[[1.0], [3.0]]], [[[5.0], [5.0]]]]))
    array([0.5])
    """
    variance: NDArray[np.float64] = maps.var(axis=(1, 2)).mean(axis=0)
    return variance


def texture(number: int, phase: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Draw the luminance of a type of texture over a whole image, with mean 0 and standard deviation 1.

    Parameters
    ----------
    number : int
        Number of the type, 0 to 11, which determines its pattern, orientation and period.
    phase : (float, float)
        Phase of the pattern along its two axes, radians.

    Returns
    -------
    array, shape (pixel y, pixel x)

    Examples
    --------
    >>> pattern = texture(2)
    >>> pattern.shape, bool(abs(pattern.mean()) < 1e-9)
    ((224, 224), True)
    """
    angle = np.pi * number * (np.sqrt(5) - 1) / 2  # by the golden section, no two orientations are close
    period = PERIODS[(number // 2 + 2 * (number // len(PATTERNS))) % len(PERIODS)]
    y, x = np.mgrid[:PIXELS, :PIXELS] * 2 * np.pi / period
    u = x * np.cos(angle) + y * np.sin(angle) + phase[0]
    v = y * np.cos(angle) - x * np.sin(angle) + phase[1]
    match PATTERNS[number % len(PATTERNS)]:
        case "grating":
            pattern = np.sin(u)
        case "checks":
            pattern = np.tanh(6 * np.sin(u) * np.sin(v))
        case "dots":
            pattern = np.cos(u) + np.cos((u + np.sqrt(3) * v) / 2) + np.cos((u - np.sqrt(3) * v) / 2)
        case "bars":
            pattern = np.tanh(4 * np.sin(u))
        case "plaid":
            pattern = np.sin(u) + np.sin(v)
        case _:
            pattern = np.sin(u + 2 * np.sin(v / 2))
    normalised: NDArray[np.float64] = (pattern - pattern.mean()) / pattern.std()
    return normalised


def _fill_with_textures(rng: np.random.Generator, types: NDArray[np.intp], latents: int) -> NDArray[np.uint8]:
    """Give each pixel of an image the colour of the texture of its type."""
    patterns = np.stack([texture(number, tuple(rng.uniform(0, 2 * np.pi, 2))) for number in range(latents)])
    luminance = MEAN + CONTRAST * np.take_along_axis(patterns, types[None], axis=0)[0]
    colour = luminance[..., None] + TINT * _hues(latents)[types]
    pixels: NDArray[np.uint8] = colour.round().clip(0, 255).astype(np.uint8)
    return pixels


def _hues(latents: int) -> NDArray[np.float64]:
    """Compute a hue for each type, shape (latent, 3): red, green and blue without luminance, of length 1."""
    first = np.cross(LUMINANCE, [0.0, 0.0, 1.0])
    second = np.cross(LUMINANCE, first)
    plane = np.stack([first / np.linalg.norm(first), second / np.linalg.norm(second)])
    angle = 2 * np.pi * 5 * np.arange(latents) / TYPES
    hues: NDArray[np.float64] = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane
    return hues


def _smooth_fields(
    rng: np.random.Generator, count: int, positions: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """Draw smooth random fields over an image: white noise, filtered with a Gaussian, shape (count, y, x)."""
    margin = EXTENT / 2 + 4 * sigma
    sources = np.arange(-margin, margin, 0.5)  # degrees, beyond the edges of the image
    kernel = _gaussian_kernel(positions, sources, sigma)
    fields: NDArray[np.float64] = kernel @ rng.normal(size=(count, len(sources), len(sources))) @ kernel.T
    return fields


def _gaussian_kernel(positions: NDArray[np.float64], sources: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = np.exp(-0.5 * ((positions[:, None] - sources) / sigma) ** 2)
    return kernel


def _name(options: dict[str, Any]) -> str:
    """Name a recording by the options that are not the defaults."""
    defaults = {name: option.default for name, option in inspect.signature(simulate_textures).parameters.items()}
    name = IDENTIFIER
    for option, value in options.items():
        if value != defaults[option]:
            numbers = value if isinstance(value, tuple) else (value,)
            name += f"-{option}" + "-".join(f"{number:g}".replace(".", "_") for number in numbers)
    return name


def _check_options(options: dict[str, Any]) -> None:
    for name, (least, most) in WHOLE_NUMBERS.items():
        value = options[name]
        if not (isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value <= most):
            limits = f"of at least {least}" if most == np.inf else f"from {least} to {most}"
            raise UsageError(f"{name} is {value!r}.", f"Give a whole number {limits}.")
    if options["repeats"] == 1:
        raise UsageError("repeats is 1.", "Give at least 2, or 0 for a recording without repeats.")
    if not (_is_number(options["private"]) and 0 <= options["private"] <= 1):
        raise UsageError(f"private is {options['private']!r}.", "Give a fraction of the signal's variance, 0 to 1.")
    if not (_is_number(options["centre_bias"]) and np.isfinite(options["centre_bias"])):
        raise UsageError(f"centre_bias is {options['centre_bias']!r}.", "Give a height in standard deviations.")
    limits = options["reliability"]
    pair = isinstance(limits, tuple) and len(limits) == 2 and all(_is_number(limit) for limit in limits)
    if not (pair and 0 < limits[0] <= limits[1] <= 1):
        raise UsageError(f"reliability is {limits!r}.", "Give (smallest, largest), both above 0 and at most 1.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
