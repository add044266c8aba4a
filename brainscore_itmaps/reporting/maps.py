"""Figures of recorded and predicted maps over images; each function returns a figure and saves nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.data.grid import ORIENTATIONS, Grid, orient_maps, read_extent, shown_extent, unorient_maps
from brainscore_itmaps.data.notes import unit_of
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import UsageError, check_type
from brainscore_itmaps.reporting.drawing import (
    BAR,
    DIFFERENCE_COLOURS,
    LINE,
    SIMULATED,
    SMALL,
    WIDTH,
    Figure,
    add_bar,
    add_tile,
    check_images,
    check_index,
    check_result,
    check_width,
    difference_range,
    draw_image,
    draw_map,
    draw_positions,
    extended,
    frame_of,
    height_of_title,
    kind_of,
    maps_of,
    mean_over,
    name_of,
    name_of_site,
    note_on_colours,
    only_array,
    short_name,
    shortened,
    size_of,
    style,
    units_of,
    value_range,
    write_title,
)

NARROW = 0.8
"""Smallest width in inches of a tile of a sheet: a row has as many images as fit."""
WIDE = 2.0
"""Largest width of a tile of a sheet."""
LARGEST = 1.0
"""Largest width of a tile in a figure of eight orientations."""
BETWEEN = 0.07
"""Distance between tiles."""
EDGE = 0.12
"""Distance of tiles from the right edge of the figure."""
NUMBERS = 0.17
"""Height of the numbers below a colour bar."""
MOST = 14
"""Number of images of a recording that are drawn by default."""


class Sheet(NamedTuple):
    """Where the tiles of a sheet stand: images side by side, each with its rows of tiles, all in inches.

    Attributes
    ----------
    across : int
        Images in a row.
    left, top : float
        Distances of the first tile from the edges of the figure.
    wide, tall : float
        Size of a tile.
    block : float
        Height of a row of images, with all that belongs to it.
    """

    across: int
    left: float
    top: float
    wide: float
    tall: float
    block: float

    def place(self, number: int, row: int) -> tuple[float, float]:
        """Return the distances from the left and upper edge of a tile of an image."""
        down, across = divmod(number, self.across)
        top = self.top + down * self.block + row * (self.tall + BETWEEN)
        return self.left + across * (self.wide + BETWEEN), top


def maps_figure(
    result: Result, images: Sequence[Path | None], shown: Sequence[int] = (0, 1, 2), *, width: float = WIDTH
) -> Figure:
    """Draw images, and below each its recorded and its predicted map, averaged over sites.

    Positions are drawn where they lie in degrees, so the outermost ones reach half a step over the image's edge.
    Both maps of an image share the colours of the bar below them, from the lowest 0.5th to the highest 99.5th
    percentile of the two.

    Parameters
    ----------
    result : Result
        The maps of its first array are drawn.
    images : sequence of Path or None
        Files of the recording's images, in the order of the maps; None draws the maps without this image.
    shown : sequence of int
        Indices of the images to draw, from 0.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recording = load_recording("it_maps_simulated")
    >>> result = score_features(recording.maps[..., :2], recording, controls=False)
    >>> len(maps_figure(result, recording.images, shown=[0, 1]).axes)
    8
    """
    check_result(result)
    array = result.arrays[0]
    check_images(images, array)
    shown = tuple(shown) if isinstance(shown, Sequence) else (shown,)
    for index in shown or (None,):
        check_index(index, array.images, "image")
    lines = [
        f"{result.model} ({result.layer}, {result.weights}) on {result.benchmark}",
        f"{kind_of(array)}; {mean_over(array.neural.shape[-1])}, {array.window[0]}-{array.window[1]} ms",
        "positions in degrees",
    ]
    return _draw_maps(array, images, shown, None, check_width(width), lines, degrees=True)


def sheet_figure(
    result: Result,
    array: ArrayResult,
    images: Sequence[Path | None],
    site: int | None = None,
    *,
    width: float = WIDTH,
) -> Figure:
    """Draw all images of an array with their recorded and predicted maps, as many in a row as fit.

    Both maps of an image share the colours of the bar below them, from the lowest 0.5th to the highest 99.5th
    percentile of the two.

    Parameters
    ----------
    result : Result
    array : ArrayResult
        One of ``result.arrays``.
    images : sequence of Path or None
        Files of its images, in the order of the maps; None leaves a square empty.
    site : int, optional
        Index of the site, from 0; the default is the mean over sites.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recording = load_recording("it_maps_simulated")
    >>> result = score_features(recording.maps[..., :2], recording, controls=False)
    >>> len(sheet_figure(result, result.arrays[0], recording.images, width=3.5).axes)
    56
    """
    check_result(result)
    array = only_array(array)
    check_images(images, array)
    extent = shown_extent(read_extent(size_of(array)))
    lines = [
        f"{name_of(result)} on {array.recording}: {kind_of(array)}",
        f"{name_of_site(array, site)}, {array.window[0]}-{array.window[1]} ms, {extent} degrees",
    ]
    return _draw_maps(array, images, range(len(array.images)), site, check_width(width), lines, degrees=False)


def _draw_maps(
    array: ArrayResult,
    images: Sequence[Path | None],
    shown: Sequence[int],
    site: int | None,
    width: float,
    lines: list[str],
    degrees: bool,
) -> Figure:
    """Draw images, each with its recorded and its predicted map and their colour bar, below lines of text."""
    neural, predicted = maps_of(array, site)
    measure, values = ("rho", array.map_rho) if site is None else ("r", array.site_r[:, site])
    below = BAR + NUMBERS + 0.05 + (NUMBERS if degrees else 0)
    with style():
        figure, sheet = _sheet(len(shown), 3, array, width, lines, below, above=2 * LINE)
        names = ("image", "simulated" if array.simulated else "recorded", "predicted")
        maps = []
        for number, image in enumerate(shown):
            tiles = [add_tile(figure, *sheet.place(number, row), sheet.wide, sheet.tall) for row in range(3)]
            limits = value_range(neural[image], predicted[image])
            draw_image(tiles[0], images[image], array)
            maps += [draw_map(tile, shown_maps[image], array, limits)
                     for tile, shown_maps in zip(tiles[1:], (neural, predicted), strict=True)]  # fmt: skip
            left, top = sheet.place(number, 2)
            place = left, top + sheet.tall + 0.05 + (NUMBERS if degrees else 0), sheet.wide
            add_bar(figure, maps[-1], place, "", neural[image], predicted[image])
            name = shortened(short_name(array.images[image]), sheet.wide)
            tiles[0].set_title(f"{name}\n{measure} = {values[image]:.2f}", fontsize=7, pad=2)
            is_first = number % sheet.across == 0
            _label_tiles(tiles, names if is_first else ("",) * 3, degrees, is_first)
            if is_first:
                _write_unit(figure, place, units_of(array))
        write_title(figure, [*lines, note_on_colours(maps)])
    return figure


def _sheet(
    images: int, rows: int, array: ArrayResult | Grid, width: float, lines: list[str], below: float, above: float = LINE
) -> tuple[Figure, Sheet]:
    """Make a figure with room for its lines of text, and for each image some rows of tiles and what is below them."""
    left, right, bottom, top = frame_of(array)
    margin = 0.68
    across = max(1, min(images, int((width - margin - EDGE + BETWEEN) / (NARROW + BETWEEN))))
    wide = min(WIDE, (width - margin - EDGE + BETWEEN) / across - BETWEEN)
    tall = wide * (bottom - top) / (right - left)
    block = above + rows * (tall + BETWEEN) + below
    margin += (width - margin - EDGE - across * (wide + BETWEEN) + BETWEEN) / 2
    room = height_of_title(lines, width)
    figure = Figure(figsize=(width, room + block * -(-images // across) + 0.05))
    return figure, Sheet(across, margin, room + above, wide, tall, block)


def _label_tiles(tiles: list[Axes], names: Sequence[str], degrees: bool, is_first: bool) -> None:
    """Name the rows of tiles at the first of them, with positions in degrees or without."""
    for tile, name in zip(tiles, names, strict=True):
        tile.set_ylabel(name)
        tile.tick_params(labelsize=SMALL, labelleft=is_first, labelbottom=tile is tiles[-1], pad=1.5, length=2)
        if not degrees:
            tile.set(xticks=(), yticks=())
            continue
        for labels, sides, align in (
            (tile.get_xticklabels(), ("left", "center", "right"), "set_horizontalalignment"),
            (tile.get_yticklabels(), ("top", "center", "bottom"), "set_verticalalignment"),
        ):
            for label, side in zip(
                labels, sides, strict=False
            ):  # numbers at corners would touch those of the next tile
                getattr(label, align)(side)


def _write_unit(figure: Figure, place: tuple[float, float, float], unit: str) -> None:
    """Write the unit of a row of colour bars at its left."""
    left, top, _ = place
    width, height = figure.get_size_inches()
    figure.text((left - 0.06) / width, 1 - (top + BAR / 2) / height, unit, fontsize=SMALL, ha="right", va="center")


def overlay_figure(
    scored: ArrayResult | Result,
    image_file: Path | None = None,
    image: int = 0,
    site: int | None = None,
    *,
    width: float = WIDTH,
) -> Figure:
    """Draw a recorded map over its image, with the recorded positions.

    Parameters
    ----------
    scored : ArrayResult or Result
        A result of one array, or one of ``result.arrays``.
    image_file : Path, optional
        File of the image; without it, the map is drawn on an empty square.
    image : int
        Index of the image, from 0.
    site : int, optional
        Index of the site, from 0; the default is the mean over sites.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recording = load_recording("it_maps_simulated")
    >>> result = score_features(recording.maps[..., :2], recording, controls=False)
    >>> len(overlay_figure(result, recording.images[3], image=3).axes)
    2
    """
    array = only_array(scored)
    check_index(image, array.images, "image")
    neural = maps_of(array, site)[0][image]
    width = check_width(width)
    left, right, bottom, top = frame_of(array)
    wide = width - 1.45
    tall = wide * (bottom - top) / (right - left)
    lines = [kind_of(array), f"{short_name(array.images[image])}, {name_of_site(array, site)}"]
    above = height_of_title(lines, width)
    with style():
        figure = Figure(figsize=(width, above + tall + 0.45))
        axis = add_tile(figure, 0.5, above, wide, tall)
        draw_image(axis, image_file, array, grey=True)
        limits = value_range(neural)
        drawn = draw_map(axis, neural, array, limits, alpha=0.55)
        draw_positions(axis, array)
        beside = add_tile(figure, 0.6 + wide, above + 0.1 * tall, 0.12, 0.8 * tall)
        figure.colorbar(drawn, cax=beside, extend=extended(limits, neural), label=units_of(array))
        axis.set(xlabel="degrees", ylabel="degrees")
        write_title(figure, [*lines, note_on_colours([drawn])])
    return figure


def comparison_figure(
    scored: ArrayResult | Result,
    image_file: Path | None = None,
    image: int = 0,
    site: int | None = None,
    *,
    width: float = WIDTH,
) -> Figure:
    """Draw an image, its recorded map, the predicted map and their difference: side by side, or in two rows.

    Both maps share one range of colours, from the lowest 0.5th to the highest 99.5th percentile of the two; the range
    of the difference is symmetric about zero.

    Parameters
    ----------
    scored : ArrayResult or Result
        A result of one array, or one of ``result.arrays``.
    image_file : Path, optional
        File of the image; without it, the map is drawn on an empty square.
    image : int
        Index of the image, from 0.
    site : int, optional
        Index of the site, from 0; the default is the mean over sites.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording, score_features
    >>> recording = load_recording("it_maps_simulated")
    >>> result = score_features(recording.maps[..., :2], recording, controls=False)
    >>> len(comparison_figure(result, recording.images[3], image=3).axes)
    7
    """
    array = only_array(scored)
    check_index(image, array.images, "image")
    neural, predicted = (maps[image] for maps in maps_of(array, site))
    agreement = f"rho = {array.map_rho[image]:.2f}" if site is None else f"r = {array.site_r[image, site]:.2f}"
    difference = predicted - neural
    width = check_width(width)
    across = 4 if width >= 5.5 else 2
    left, right, bottom, top = frame_of(array)
    wide = (width - 0.5 - EDGE + 2 * BETWEEN) / across - 2 * BETWEEN
    tall = wide * (bottom - top) / (right - left)
    lines = [f"{kind_of(array)}; {name_of_site(array, site)}"]
    above = height_of_title(lines, width)
    block = LINE + 0.05 + tall + 2 * NUMBERS + BAR + 0.15
    with style():
        figure = Figure(figsize=(width, above + block * (4 // across)))
        recorded = "simulated" if array.simulated else "recorded"
        titles = (short_name(array.images[image]), recorded, f"predicted, {agreement}", f"predicted - {recorded}")
        axes = []
        for number, title in enumerate(titles):
            left = 0.5 + (number % across) * (wide + 2 * BETWEEN)
            axis = add_tile(figure, left, above + LINE + 0.05 + block * (number // across), wide, tall)
            axis.set_title(shortened(title, wide))
            axis.tick_params(labelleft=number % across == 0)
            axes.append(axis)
        draw_image(axes[0], image_file, array)
        limits = value_range(neural, predicted)
        drawn = [
            draw_map(axes[1], neural, array, limits),
            draw_map(axes[2], predicted, array, limits),
            draw_map(axes[3], difference, array, difference_range(difference), DIFFERENCE_COLOURS),
        ]
        for number, (map_image, maps) in enumerate(
            zip(drawn, ((neural, predicted), (neural, predicted), (difference,)), strict=True), 1
        ):
            left = 0.5 + (number % across) * (wide + 2 * BETWEEN)
            place = left, above + LINE + tall + NUMBERS + 0.12 + block * (number // across), wide
            add_bar(figure, map_image, place, units_of(array), *maps)
        for axis in axes[::across]:
            axis.set_ylabel("degrees")
        write_title(figure, [*lines, note_on_colours(drawn)])
    return figure


def registration_figure(recording: Recording, shown: Sequence[int] | None = None, *, width: float = WIDTH) -> Figure:
    """Draw the images of a recording with its positions, and below each its map, averaged over sites, over the image.

    It shows where each position lies in degrees, before anything is scored: responses beside what they should respond
    to reveal wrong positions, a wrong size, a wrong orientation, or images in another order. Each map has its own range
    of colours, from the 0.5th to the 99.5th percentile.

    Parameters
    ----------
    recording : Recording
    shown : sequence of int, optional
        Indices of the images to draw, from 0; the default is the first 14.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> len(registration_figure(load_recording("it_maps_simulated"), shown=[0, 1]).axes)
    6
    """
    shown = _shown_images(recording, shown)
    maps, grid = recording.maps.mean(axis=-1), recording.grid
    width = check_width(width)
    lines = [
        SIMULATED if recording.simulated else recording.identifier,
        f"{len(grid.y)} x {len(grid.x)} positions over {shown_extent(grid.extent)} degrees; "
        f"below, the map of each image, {mean_over(len(recording.sites))}",
    ]
    with style():
        figure, sheet = _sheet(len(shown), 2, grid, width, lines, BAR + NUMBERS + 0.05)
        drawn = []
        for number, image in enumerate(shown):
            tiles = [add_tile(figure, *sheet.place(number, row), sheet.wide, sheet.tall) for row in range(2)]
            for tile in tiles:
                draw_image(tile, recording.images[image], grid, grey=True)
            drawn.append(draw_map(tiles[1], maps[image], grid, value_range(maps[image]), alpha=0.55))
            draw_positions(tiles[0], grid)
            left, top = sheet.place(number, 1)
            place = left, top + sheet.tall + 0.05, sheet.wide
            add_bar(figure, drawn[-1], place, "", maps[image])
            tiles[0].set_title(shortened(short_name(recording.names[image]), sheet.wide), fontsize=7, pad=2)
            is_first = number % sheet.across == 0
            _label_tiles(tiles, ("positions", "map") if is_first else ("", ""), False, is_first)
            if is_first:
                _write_unit(figure, place, unit_of(recording.identifier) or "response")
        write_title(figure, [*lines, note_on_colours(drawn)])
    return figure


def _shown_images(recording: Recording, shown: Sequence[int] | None) -> Sequence[int]:
    """Return the indices of the images of a recording to draw, by default the first ones."""
    check_type(recording, Recording, "a recording", "Give what load_recording returns.")
    shown = range(min(len(recording.images), MOST)) if shown is None else shown
    check_type(shown, Sequence, "a list of images", "Give indices from 0, such as shown=[0, 3].")
    for index in shown or (None,):
        check_index(index, recording.names, "image")
    return shown


def orientation_figure(recording: Recording, shown: Sequence[int] | None = None, *, width: float = WIDTH) -> Figure:
    """Draw maps, averaged over sites, over their images in all eight orientations, one a row.

    The right orientation is the row that puts responses on faces. Positions are drawn where they lie in degrees;
    colours run from the 0.5th to the 99.5th percentile of each map. The recording's current orientation is marked.

    Parameters
    ----------
    recording : Recording
        Read from a file, in the orientation ``recording.orientation``.
    shown : sequence of int, optional
        Indices of the images to draw, from 0; the default is the first 14.
    width : float
        Width of the figure in inches; its height follows.

    Returns
    -------
    Figure
        Of matplotlib; nothing is saved.

    Raises
    ------
    UsageError
        When so many images do not fit into the width.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> len(orientation_figure(load_recording("it_maps_simulated"), shown=[0, 3]).axes)
    18
    """
    shown = _shown_images(recording, shown)
    width = check_width(width)
    maps = unorient_maps(recording.maps.mean(axis=-1, keepdims=True), recording.orientation)
    margin = 1.3
    wide = min(LARGEST, (width - margin - EDGE + BETWEEN) / len(shown) - BETWEEN)
    if wide < 0.3:
        most = int((width - margin - EDGE + BETWEEN) / (0.3 + BETWEEN))
        raise UsageError(
            f"{len(shown)} images in eight orientations do not fit into a width of {width:g} inches.",
            f"Give a larger width, or at most {most} images: shown=[0, 3].",
        )
    across, down = recording.grid.width / 2, recording.grid.height / 2
    tall = wide * down / across
    lines = [
        f"{recording.identifier}, {mean_over(len(recording.sites))}, {recording.window[0]}-{recording.window[1]} ms",
        SIMULATED if recording.simulated else "recorded maps",
    ]
    above = height_of_title(lines, width) + LINE
    rows = len(ORIENTATIONS)
    drawn = []
    with style():
        figure = Figure(figsize=(width, above + rows * (tall + BETWEEN) + BAR + 0.5))
        for row, name in enumerate(ORIENTATIONS):
            oriented_maps = orient_maps(maps, name)[..., 0]
            shape = (oriented_maps.shape[1], oriented_maps.shape[2])
            as_read = shape == recording.maps.shape[1:3]
            grid = recording.grid if as_read else Grid.even(shape, recording.grid.extent)
            for column, image in enumerate(shown):
                left, top = margin + column * (wide + BETWEEN), above + row * (tall + BETWEEN)
                axis = add_tile(figure, left, top, wide, tall)
                draw_image(axis, recording.images[image], grid, grey=True)
                drawn.append(draw_map(axis, oriented_maps[image], grid, value_range(oriented_maps[image]), alpha=0.55))
                axis.set(xticks=(), yticks=(), xlim=(-across, across), ylim=(down, -down))
                if row == 0:
                    axis.set_title(str(image + 1), pad=2)
                if column == 0:
                    _label_orientation(axis, name, name == recording.orientation)
        for column, image in enumerate(shown):
            place = margin + column * (wide + BETWEEN), above + rows * (tall + BETWEEN), wide
            add_bar(figure, drawn[column], place, "", maps[image])
        unit_place = margin, above + rows * (tall + BETWEEN), wide
        _write_unit(figure, unit_place, unit_of(recording.identifier) or "response")
        write_title(figure, [*lines, note_on_colours(drawn)])
    return figure


def _label_orientation(axis: Axes, name: str, is_current: bool) -> None:
    axis.set_ylabel(
        f"{name}\n(now)" if is_current else name,
        fontsize=7,
        fontweight="bold" if is_current else "normal",
        rotation=0,
        ha="right",
        va="center",
    )
