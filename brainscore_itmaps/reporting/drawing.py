"""Parts that all figures share: settings, sizes, colours, images and maps in degrees, and names in titles."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.notes import unit_of
from brainscore_itmaps.errors import UsageError, check_type, described
from brainscore_itmaps.images import read_image
from brainscore_itmaps.protocol import protocol_named

COLUMN = 3.5
"""Width in inches of a column of print; text is 7 points or larger at this width."""

SIMULATED = "SIMULATED recording, no animal was recorded"
MAP_COLOURS = "viridis"
DIFFERENCE_COLOURS = "RdBu_r"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of Okabe and Ito, which colour-blind readers can distinguish, too."""

CEILING = "#999999"
SETTINGS = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "axes.prop_cycle": cycler(color=CYCLE),
    "text.parse_math": False,  # a name may contain dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "brainscore_itmaps",
    "pdf.fonttype": 42,
}
KEPT_SETTINGS = ("savefig.dpi", "savefig.format")
"""Settings of the user that apply when a figure is saved: they do not change what it shows."""


@contextmanager
def style() -> Iterator[None]:
    """Apply the settings of this package within a ``with`` block, and matplotlib's defaults for all other settings.

    Examples
    --------
    >>> with mpl.rc_context({"image.origin": "lower"}), style():
    ...     mpl.rcParams["font.size"], mpl.rcParams["image.origin"]
    (8.0, 'upper')
    """
    with mpl.style.context(["default", SETTINGS]):
        yield


class Figure(mpl.figure.Figure):
    """Figure that looks the same whatever the user's matplotlib settings are, also those that apply when it is drawn.

    Examples
    --------
    >>> with mpl.rc_context({"figure.facecolor": "black"}), style():
    ...     Figure().get_facecolor()
    (1.0, 1.0, 1.0, 1.0)
    """

    def draw(self, renderer: Any) -> None:
        """Draw the figure with the settings of this package."""
        with style():
            super().draw(renderer)

    def get_tightbbox(self, *args: Any, **options: Any) -> Any:
        """Return the bounding box of the figure, drawn with the settings of this package."""
        with style():
            return super().get_tightbbox(*args, **options)

    def savefig(self, *args: Any, **options: Any) -> None:
        """Save the figure with the settings of this package, and with the user's resolution and format."""
        kept = {name: mpl.rcParams[name] for name in KEPT_SETTINGS}
        with style(), mpl.rc_context(kept):
            super().savefig(*args, **options)


def value_range(maps: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Compute the range of colours: the 0.5th to the 99.5th percentile, as in Arcaro et al. (2020).

    Examples
    --------
    >>> low, high = value_range(np.linspace(0.0, 100.0, 1001).reshape(7, 143))
    >>> round(low, 6), round(high, 6)
    (0.5, 99.5)
    """
    low, high = np.nanpercentile(maps, [0.5, 99.5])
    return float(low), float(high)


def difference_range(difference: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Compute a range of colours symmetric about zero, up to the 99.5th percentile of the absolute difference.

    Examples
    --------
    >>> difference_range(np.array([[-2.0, -2.0, -2.0], [1.0, -2.0, -2.0]]))
    (-2.0, 2.0)
    """
    limit = float(np.nanpercentile(np.abs(difference), 99.5))
    return -limit, limit


def draw_image(axis: Axes, image: Path | None, array: ArrayResult | Grid, grey: bool = False) -> None:
    """Draw an image in degrees, y downward; an empty grey square if there is no file.

    Parameters
    ----------
    axis : Axes
        Its limits are set so that the image and all positions of the maps are visible.
    image : Path or None
    array : ArrayResult or Grid
        Its ``extent`` is the size of the image, in degrees.
    grey : bool
        Draw without colours.
    """
    down, across = halves(array)
    axis.set(xticks=(-across, 0, across), yticks=(-down, 0, down), facecolor="0.92")
    if image is not None:
        check_type(image, (str, Path), "an image file", "Give its path.")
        shown = read_image(image)
        axis.imshow(shown.convert("L").convert("RGB") if grey else shown, extent=(-across, across, down, -down))
    y, x = positions_of(array)
    step_x, step_y = _half_step(x), _half_step(y)
    left, right = min(-across, x[0] - step_x), max(across, x[-1] + step_x)
    axis.set(xlim=(left, right), ylim=(max(down, y[-1] + step_y), min(-down, y[0] - step_y)), aspect="equal")


def draw_map(
    axis: Axes,
    values: NDArray[np.floating[Any]],
    array: ArrayResult | Grid,
    limits: tuple[float, float],
    colours: str = MAP_COLOURS,
    alpha: float = 1.0,
) -> AxesImage:
    """Draw a map as one tile around each position; the outermost tiles reach half a step beyond the edge.

    Parameters
    ----------
    axis : Axes
    values : array, shape (y, x)
    array : ArrayResult or Grid
        Its positions, in degrees.
    limits : (float, float)
        Values with the first and the last colour.
    colours : str
        A colour map of matplotlib.
    alpha : float
        Opacity, from 0 to 1.

    Returns
    -------
    AxesImage
        For a colour bar.
    """
    y, x = positions_of(array)
    step_x, step_y = _half_step(x), _half_step(y)
    extent = (x[0] - step_x, x[-1] + step_x, y[-1] + step_y, y[0] - step_y)
    down, across = halves(array)
    axis.set(xticks=(-across, 0, across), yticks=(-down, 0, down))
    return axis.imshow(values, extent=extent, vmin=limits[0], vmax=limits[1], cmap=colours, alpha=alpha)


def draw_positions(axis: Axes, array: ArrayResult | Grid) -> None:
    """Mark the recorded positions by white dots."""
    x, y = np.meshgrid(*positions_of(array)[::-1])
    axis.plot(x.ravel(), y.ravel(), ".", color="white", markersize=1.2, markeredgewidth=0)


def maps_of(array: ArrayResult, site: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recorded and predicted maps of a site, or averaged over all sites; each of shape (image, y, x)."""
    if site is not None:
        check_index(site, array.sites, "site")
    if site is None:
        return array.neural.mean(axis=-1), array.predicted.mean(axis=-1)
    return array.neural[..., site], array.predicted[..., site]


def only_array(scored: ArrayResult | Result) -> ArrayResult:
    """Return the result of an array; of a whole result, its only array.

    Raises
    ------
    UsageError
        When the result has no array or several.
    """
    if isinstance(scored, ArrayResult):
        return scored
    arrays: tuple[ArrayResult, ...] = getattr(scored, "arrays", ())
    if len(arrays) != 1:
        raise UsageError(
            f"A {type(scored).__name__} with {len(arrays)} arrays cannot be drawn as one array.",
            "Give one of result.arrays.",
        )
    (array,) = arrays
    return array


def legend_text(name: str) -> str:
    """Return the text of a name in a legend; matplotlib leaves out texts that begin with an underscore.

    Examples
    --------
    >>> legend_text("layer3"), legend_text("_stem")
    ('layer3', ' _stem')
    """
    return f" {name}" if name.startswith("_") else name


def check_result(result: object) -> None:
    """Check that a value is a result of maps.

    Raises
    ------
    UsageError
        When it is something else, or a result without maps.
    """
    fix = "Give a result of a benchmark of maps, as score returns it or Result.load reads it."
    check_type(result, Result, "a result", fix)
    if not getattr(result, "has_maps", False):
        raise UsageError(f"{result!r} has no predicted maps to draw.", fix)


def check_index(index: object, names: Sequence[str], what: str) -> None:
    """Check that a value is the index of an image or a site.

    Raises
    ------
    UsageError
        When it is not an index of one of the names.
    """
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or not -len(names) <= index < len(names):
        raise UsageError(
            f"There is no {what} with the index {described(index)}; there are {len(names)}.",
            f"Give a whole number from 0 to {len(names) - 1}.",
        )


def check_images(images: object, array: ArrayResult) -> None:
    """Check that there is an image file, or None, for each image of an array.

    Raises
    ------
    UsageError
        When the values are something else, or of another number.
    """
    fix = "Give recording.images, in the order of the maps; None draws the maps without an image."
    check_type(images, (list, tuple), "a list of image files", fix)
    given = list(images)  # type: ignore[call-overload]
    for image in given:
        check_type(image, (str, Path, type(None)), "an image file", fix)
    if len(given) != len(array.images):
        raise UsageError(f"{len(given)} image files were given for {len(array.images)} images.", fix)


def short_name(image: str) -> str:
    """Return the last part of the name of an image.

    Examples
    --------
    >>> short_name("Arcaro2020-monkey1-07")
    '07'
    """
    return image.rsplit("-", 1)[-1]


def name_of_site(array: ArrayResult, site: int | None) -> str:
    """Return the name of a site, or "mean over n sites" if ``site`` is None."""
    return mean_over(len(array.sites)) if site is None else array.sites[site]


def mean_over(sites: int) -> str:
    """Say over how many sites a map is averaged.

    Examples
    --------
    >>> mean_over(32), mean_over(1)
    ('mean over 32 sites', 'one site')
    """
    return "one site" if sites == 1 else f"mean over {sites} sites"


def units_of(array: ArrayResult) -> str:
    """Return the unit of the maps of a recording of this package; others do not state a unit."""
    return unit_of(array.recording) or "response"


def kind_of(array: ArrayResult) -> str:
    """Describe the recording: the name of its array, or a warning if it is simulated."""
    return SIMULATED if array.simulated else array.recording


def name_of(result: Result) -> str:
    """Return the name of a model, with its weights if they are random."""
    return f"{result.model} ({result.weights})" if result.weights.kind == "random" else result.model


def bounded_by_sites(result: Result) -> bool:
    """Return whether the ceilings of single sites bound their correlations, so that both can be drawn together."""
    return result.measure == "predictivity" and protocol_named(result.protocol).ceiling == "matched"


def positions_of(array: ArrayResult | Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions along y and x, in degrees."""
    return (array.y, array.x) if isinstance(array, Grid) else (array.degrees_y, array.degrees_x)


def size_of(array: ArrayResult | Grid) -> tuple[float, float]:
    """Return the height and width of the images in degrees; those of the grid if an older result stores none."""
    if isinstance(array, Grid):
        return array.height, array.width
    if array.extent is None:
        return float(np.ptp(array.degrees_y)), float(np.ptp(array.degrees_x))
    return array.extent if isinstance(array.extent, tuple) else (array.extent, array.extent)


def halves(array: ArrayResult | Grid) -> tuple[float, float]:
    """Return half the height and half the width of the images, in degrees."""
    height, width = size_of(array)
    return height / 2, width / 2


def _half_step(points: NDArray[np.float64]) -> float:
    return float(points[1] - points[0]) / 2 if len(points) > 1 else 0.5
