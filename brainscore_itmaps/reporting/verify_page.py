"""Figures and page of the verification of the real recordings against published numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import orient_maps, unorient_maps
from brainscore_itmaps.data.notes import unit_of
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.drawing import (
    BAR,
    LINE,
    SIMULATED,
    SMALL,
    WIDTH,
    Figure,
    add_bar,
    add_tile,
    check_width,
    draw_image,
    draw_map,
    fit_height,
    height_of_title,
    legend_below,
    note_on_colours,
    short_name,
    shortened,
    style,
    value_range,
    write_title,
)
from brainscore_itmaps.reporting.embedded import EmbeddedFigure
from brainscore_itmaps.reporting.report import render_page

MARKERS = {"ceiling": "^", "predictivity": "o"}
NAMES = {"ceiling": "noise ceiling", "predictivity": "model, not divided by the ceiling"}


class MarkedImage(NamedTuple):
    """An image whose map is drawn in one orientation.

    Attributes
    ----------
    image : int
        Index of the image, from 0.
    peak, published : (int, int)
        Row and column of the largest value of the map, and of the largest response in the published figure.
    """

    image: int
    peak: tuple[int, int]
    published: tuple[int, int]


def published_scatter(numbers: Sequence[Mapping[str, Any]], simulated: bool, *, width: float = WIDTH) -> Figure:
    """Draw our numbers against the published ones, with the diagonal; arrays by colour, kinds of numbers by marker.

    Parameters
    ----------
    numbers : sequence of mappings
        Each with ``what``, ``array``, ``published`` and ``ours``; both are finite.
    simulated : bool
        Whether ours are of a simulated recording, which the title then says.
    width : float
        Width of the figure in inches; its height follows.

    Examples
    --------
    >>> number = {"what": "ceiling", "array": "monkey1_ML", "published": 0.75, "ours": 0.74}
    >>> published_scatter([number], simulated=False).axes[0].get_xlabel()
    'published'
    """
    width = check_width(width)
    with style():
        figure = Figure(figsize=(width, width), layout="constrained")
        axis = figure.subplots()
        for index, array in enumerate(dict.fromkeys(number["array"] for number in numbers)):
            for what, marker in MARKERS.items():
                of_kind = [number for number in numbers if (number["array"], number["what"]) == (array, what)]
                if of_kind:
                    x, y = ([number[name] for number in of_kind] for name in ("published", "ours"))
                    label = f"{array}, {NAMES[what]}"
                    axis.plot(x, y, marker, color=f"C{index}", markersize=4, alpha=0.8, label=label)
        values = [number[name] for number in numbers for name in ("published", "ours")]
        low, high = min([0.0, *values]) - 0.02, max([1.0, *values]) + 0.02
        axis.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=0)
        axis.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="published", ylabel="ours")
        legend_below(figure, [axis])
        lines = [f"{SIMULATED}:", "not comparable"] if simulated else ["The line marks equal numbers"]
        write_title(figure, lines)
        fit_height(figure, min(width, 4.5) - 0.2)
    return figure


def orientation_fits_figure(
    recording: Recording, marked: Mapping[str, Sequence[MarkedImage]], *, width: float = WIDTH
) -> Figure:
    """Draw, for each orientation, the images whose maps come nearest to the published figure, with both peaks.

    The title of each is the number of the image, from 1, and its name.

    Parameters
    ----------
    recording : Recording
        Of a square grid, in the orientation ``recording.orientation``.
    marked : mapping of str to sequence of MarkedImage
        By orientation.
    width : float
        Width of the figure in inches; its height follows.
    """
    stored = unorient_maps(recording.maps.mean(axis=-1, keepdims=True), recording.orientation)
    width = check_width(width)
    across = min(len(marked), 4 if width >= 5 else 2)
    rows = max(map(len, marked.values()))
    wide = min((width - 0.75) / across - 0.08, 2.0)
    block = wide + 2 * LINE + BAR + 0.32
    group = rows * block + 2 * LINE + 0.1
    kind = SIMULATED if recording.simulated else recording.identifier
    lines = [f"{kind}; circle: published peak, cross: largest value of the map"]
    above = height_of_title(lines, width)
    drawn = []
    with style():
        figure = Figure(figsize=(width, above + group * -(-len(marked) // across)))
        for number, (name, images) in enumerate(marked.items()):
            maps = orient_maps(stored, name)[..., 0]
            left = 0.65 + (number % across) * (wide + 0.08)
            for row, one in enumerate(images):
                top = above + (number // across) * group + row * block + 4 * LINE
                axis = add_tile(figure, left, top, wide, wide)
                draw_image(axis, recording.images[one.image], recording.grid, grey=True)
                limits = value_range(maps[one.image])
                drawn.append(draw_map(axis, maps[one.image], recording.grid, limits, alpha=0.5))
                add_bar(figure, drawn[-1], (left, top + wide + 0.04, wide), "", maps[one.image])
                _mark(axis, recording, one.published, "o", "published")
                _mark(axis, recording, one.peak, "+", "largest")
                axis.set(xticks=(), yticks=())
                title = f"image {one.image + 1}, named\n{shortened(short_name(recording.names[one.image]), wide)}"
                if row == 0:
                    title = f"{name}{' (used)' if name == recording.orientation else ''}\n{title}"
                axis.set_title(title, fontsize=7, pad=2)
                if number % across == 0:
                    axis.set_ylabel(("first image", "second image")[row])
                    height = figure.get_figheight()
                    figure.text(0.6 / width, 1 - (top + wide + 0.04 + BAR / 2) / height,
                                unit_of(recording.identifier) or "response", fontsize=SMALL, ha="right",
                                va="center")  # fmt: skip
        write_title(figure, [*lines, note_on_colours(drawn)])
    return figure


def _mark(axis: Any, recording: Recording, cell: tuple[int, int], marker: str, label: str) -> None:
    if min(cell) >= 0:
        y, x = recording.grid.y[cell[0]], recording.grid.x[cell[1]]
        axis.plot(x, y, marker, color="white", markersize=9, markerfacecolor="none", markeredgewidth=1.4, label=label)


def mean_map_rows(recording: Recording) -> list[tuple[Any, ...]]:
    """List the mean map over sites of each image, for a CSV: image, row, column and value."""
    maps: NDArray[np.float64] = recording.maps.mean(axis=-1)
    rows = [(recording.names[image], row, column, f"{maps[image, row, column]:.6g}")
            for image, row, column in np.ndindex(maps.shape)]  # fmt: skip
    return [("image", "row", "column", "mean over sites"), *rows]


def verification_page(
    *,
    simulated: bool,
    summary: str,
    tables: Sequence[Mapping[str, Any]],
    figures: Sequence[EmbeddedFigure],
    rules: Sequence[tuple[str, str]],
    reasons: Sequence[str],
    notes: Sequence[str],
    command: str,
    details: Sequence[tuple[str, str]],
    citations: Sequence[str],
) -> str:
    """Write a verification as one HTML page, which loads nothing from the network.

    Parameters
    ----------
    simulated : bool
    summary : str
        Sentence below the title.
    tables : sequence of mappings
        Each with ``title``, ``text``, ``header`` and ``rows``.
    figures : sequence of EmbeddedFigure
    rules : sequence of (str, str)
        Names of verdicts' rules, and the rules.
    reasons, notes : sequence of str
        Possible reasons for differences, and what was not checked.
    command : str
        Command that made the page.
    details : sequence of (str, str)
        Hashes, versions and the time.
    citations : sequence of str

    Returns
    -------
    str
        HTML.
    """
    return render_page(
        "verify.html",
        title="Recordings and published numbers",
        simulated=simulated,
        summary=summary,
        tables=tables,
        figures=figures,
        rules=rules,
        reasons=reasons,
        notes=notes,
        command=command,
        details=details,
        citations=citations_of(citations, brain_score=False),
    )
