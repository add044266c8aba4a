"""Parts that all figures share: settings, sizes, colours, titles, legends, images and maps in degrees."""

import re
from collections.abc import Iterable, Iterator, Sequence
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
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.notes import unit_of
from brainscore_itmaps.errors import UsageError, check_type, described
from brainscore_itmaps.images import read_image
from brainscore_itmaps.protocol import protocol_named

WIDTH = 7.0
"""Width of a figure in inches: two columns of print. One column is 3.5 inches wide; text has the same size in both."""
NARROWEST, WIDEST = 3.3, 40.0
LETTERS = 15
"""Letters of a title in an inch."""
SMALL = 6.5
"""Size in points of the smallest text: names of points and numbers at small colour bars."""
LETTER = 0.062
"""Width of a letter of a small title or a number at a colour bar, in inches, at most."""
LINE = 0.14
"""Height of a line of a title, in inches."""
BAR = 0.06
"""Height of a small colour bar, in inches."""
GAP = 0.1
"""Height in inches that titles and legends have in addition to their text."""

SIMULATED = "SIMULATED recording, no animal was recorded"
MAP_COLOURS = "viridis"
DIFFERENCE_COLOURS = "RdBu_r"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
"""Colours that colour-blind readers can distinguish, too: seven of Okabe and Ito, and a dark red of Tol."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<")
"""Markers that go with the colours, so that no reader depends on colours."""

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


def check_width(width: object) -> float:
    """Return the width of a figure in inches.

    Raises
    ------
    UsageError
        When it is not a number, or too small or large for a figure.

    Examples
    --------
    >>> check_width(3.5)
    3.5
    """
    is_number = isinstance(width, int | float | np.number) and not isinstance(width, bool)
    if not is_number or not NARROWEST <= width <= WIDEST:  # type: ignore[operator]
        raise UsageError(
            f"A figure cannot be {described(width)} inches wide.",
            f"Give a width from {NARROWEST:g} to {WIDEST:g} inches: 3.5 for one column, 7 for two.",
        )
    return float(width)  # type: ignore[arg-type]


def wrapped(text: str, width: float) -> str:
    """Break the lines of a text that are longer than a number of inches; long names after a dot, dash or underscore.

    Examples
    --------
    >>> wrapped("SIMULATED recording\\na", 1.0)
    'SIMULATED\\nrecording\\na'
    >>> wrapped("vit_base_patch16_224.augreg", 1.0)
    'vit_base_\\npatch16_224.\\naugreg'
    """
    letters = max(int(LETTERS * width), 8)
    lines = []
    for line in text.splitlines():
        broken = [""]
        for word in line.split(" "):
            for number, piece in enumerate(_pieces(word, letters)):
                longer = f"{broken[-1]} {piece}" if broken[-1] and not number else f"{broken[-1]}{piece}"
                broken = [*broken[:-1], longer] if len(longer) <= letters else [*broken, piece]
        lines += broken if broken[0] else broken[1:] or [""]
    return "\n".join(lines)


def _pieces(word: str, letters: int) -> list[str]:
    """Return a word, or its parts up to each dot, dash or underscore if it is too long for a line."""
    if len(word) <= letters:
        return [word]
    parts = re.findall(r".+?(?:[._-]+|$)", word)
    return [part[start : start + letters] for part in parts for start in range(0, len(part), letters)]


def write_title(figure: mpl.figure.Figure, lines: Iterable[str]) -> None:
    """Write lines above the panels of a figure, broken where they are longer than its width."""
    text = "\n".join(wrapped(line, figure.get_figwidth()) for line in lines if line)
    if figure.get_layout_engine() is None:
        figure.suptitle(text, fontsize=8, y=1 - 0.06 / figure.get_figheight(), va="top")
    else:
        figure.suptitle(text, fontsize=8)


def height_of_title(lines: Iterable[str], width: float) -> float:
    """Return the height in inches of lines above maps, with room for a note on their colours."""
    note = "00.0 % of the values lie beyond the colour bars"
    text = "\n".join(wrapped(line, width) for line in (*lines, note))
    return LINE * (text.count("\n") + 1) + 0.14


def few_ticks(axis: Axes, inches: float) -> None:
    """Write so few numbers at the horizontal axis of a panel that they do not overlap."""
    axis.xaxis.set_major_locator(MaxNLocator(max(2, int(inches / 0.45)), steps=[1, 2, 2.5, 5, 10]))


def legend_below(figure: mpl.figure.Figure, panels: Iterable[Axes]) -> None:
    """Draw one legend for all panels, below them, in as many columns as the width of the figure has room for."""
    labelled: dict[str, Any] = {}
    for axis in panels:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            labelled.setdefault(label, handle)
    labels = [legend_text(wrapped(label, figure.get_figwidth() - 0.8)) for label in labelled]
    for columns in range(min(len(labels), 4), 0, -1):
        legend = figure.legend(list(labelled.values()), labels, loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width < 0.98 * figure.bbox.width:
            return
        legend.remove()


def fit_height(figure: mpl.figure.Figure, height: float) -> None:
    """Give a figure the height of its panels, in inches, and that of the title and legend outside them."""
    title = getattr(figure, "_suptitle", None)
    for text in (title, *figure.legends):
        height += 0.0 if text is None else text.get_window_extent().height / figure.dpi + GAP
    figure.set_figheight(height)
    figure.draw_without_rendering()  # the layout settles in the second drawing


def value_range(*maps: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Compute the range of colours of maps: from the lowest 0.5th to the highest 99.5th percentile of a map.

    The percentiles are those of Arcaro et al. (2020).

    Examples
    --------
    >>> low, high = value_range(np.linspace(0.0, 100.0, 1001).reshape(7, 143), np.linspace(50.0, 150.0, 1001))
    >>> round(low, 6), round(high, 6)
    (0.5, 149.5)
    """
    ends = np.array([np.nanpercentile(values, [0.5, 99.5]) for values in maps])
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def extended(limits: tuple[float, float], *maps: NDArray[np.floating[Any]]) -> str:
    """Return at which ends a colour bar has a pointed end: where values lie beyond the range of colours.

    Examples
    --------
    >>> extended((0.0, 2.0), np.array([0.0, 3.0])), extended((0.0, 3.0), np.array([0.0, 3.0]))
    ('max', 'neither')
    """
    below, above = (
        any((values < limits[0]).any() for values in maps),
        any((values > limits[1]).any() for values in maps),
    )
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")


def note_on_colours(drawn: Iterable[AxesImage]) -> str:
    """Say which share of the values of maps lies beyond the ranges of their colours; nothing where none does.

    Examples
    --------
    >>> note_on_colours([Figure().subplots().imshow([[0.0, 1.0], [2.0, 9.0]], vmin=0.0, vmax=2.0)])
    '25.0 % of the values lie beyond the colour bars'
    """
    beyond = values = 0
    for map_image in drawn:
        low, high = map_image.get_clim()
        given = np.ma.array(map_image.get_array(), dtype=float).filled(np.nan)  # type: ignore[no-untyped-call]
        beyond += int(((given < low) | (given > high)).sum())
        values += int(np.isfinite(given).sum())
    return f"{100 * beyond / values:.1f} % of the values lie beyond the colour bars" if beyond else ""


def difference_range(difference: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Compute a range of colours symmetric about zero, up to the 99.5th percentile of the absolute difference.

    Examples
    --------
    >>> difference_range(np.array([[-2.0, -2.0, -2.0], [1.0, -2.0, -2.0]]))
    (-2.0, 2.0)
    """
    limit = float(np.nanpercentile(np.abs(difference), 99.5))
    return -limit, limit


def add_tile(figure: mpl.figure.Figure, left: float, top: float, wide: float, tall: float) -> Axes:
    """Add axes to a figure, at a distance in inches from its left and upper edge.

    Figures of many maps have such fixed places: a layout engine is slow with so many axes.
    """
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height))


def add_bar(
    figure: mpl.figure.Figure, drawn: AxesImage, place: tuple[float, float, float], unit: str, *maps: NDArray[Any]
) -> None:
    """Add a small horizontal colour bar with the ends of its range below it.

    Parameters
    ----------
    figure : Figure
    drawn : AxesImage
        The map whose colours are explained.
    place : (float, float, float)
        Distance from the left and upper edge of the figure, and length, in inches.
    unit : str
        Written between the ends of the bar; empty if the figure states the unit in another place.
    *maps : array
        All maps with these colours; the bar has a pointed end where their values lie beyond it.
    """
    left, top, wide = place
    low, high = drawn.get_clim()
    bar = figure.colorbar(drawn, cax=add_tile(figure, left, top, wide, BAR), orientation="horizontal",
                          extend=extended((low, high), *maps), extendfrac=0.06)  # fmt: skip
    bar.outline.set_linewidth(0.4)
    bar.set_ticks([low, (low + high) / 2, high], labels=[short_number(low), unit, short_number(high)])
    bar.ax.tick_params(length=0, pad=2, labelsize=SMALL, which="both")
    if wide < 2.4 * LETTER * max(len(short_number(end)) for end in (low, high)):
        bar.ax.tick_params(rotation=90)
        return
    labels = bar.ax.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")


def short_number(value: float) -> str:
    """Format a number with three digits, or without decimals if it is large.

    Examples
    --------
    >>> short_number(0.12345), short_number(12345.6)
    ('0.123', '12346')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def shortened(name: str, width: float) -> str:
    """Return the end of a name that is longer than a number of inches, in the size of small titles.

    Examples
    --------
    >>> shortened("photograph_0017", 0.5), shortened("0017", 0.5)
    ('..._0017', '0017')
    """
    letters = max(int(width / LETTER), 4)
    return name if len(name) <= letters else f"...{name[3 - letters :]}"


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
    left, right, bottom, top = frame_of(array)
    axis.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def frame_of(array: ArrayResult | Grid) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of what holds the image and the tiles of all positions, in degrees."""
    down, across = halves(array)
    y, x = positions_of(array)
    step_x, step_y = _half_step(x), _half_step(y)
    return (
        min(-across, x[0] - step_x),
        max(across, x[-1] + step_x),
        max(down, y[-1] + step_y),
        min(-down, y[0] - step_y),
    )


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
    axis.set(xticks=(-across, 0, across), yticks=(-down, 0, down), facecolor="0.92")
    drawn = axis.imshow(values, extent=extent, vmin=limits[0], vmax=limits[1], cmap=colours, alpha=alpha)
    left, right, bottom, top = frame_of(array)
    axis.set(xlim=(left, right), ylim=(bottom, top))
    return drawn


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
