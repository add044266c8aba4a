"""Figures and page of the verification of the real recordings against published numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.grid import orient_maps, unorient_maps
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.drawing import SIMULATED, Figure, draw_image, draw_map, short_name, style, value_range
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


def published_scatter(numbers: Sequence[Mapping[str, Any]], simulated: bool) -> Figure:
    """Draw our numbers against the published ones, with the diagonal; arrays by colour, kinds of numbers by marker.

    Parameters
    ----------
    numbers : sequence of mappings
        Each with ``what``, ``array``, ``published`` and ``ours``; both are finite.
    simulated : bool
        Whether ours are of a simulated recording, which the title then says.

    Examples
    --------
    >>> number = {"what": "ceiling", "array": "monkey1_ML", "published": 0.75, "ours": 0.74}
    >>> published_scatter([number], simulated=False).axes[0].get_xlabel()
    'published'
    """
    with style():
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
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
        axis.set_title(f"{SIMULATED}:\nnot comparable" if simulated else "The line marks equal numbers")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return figure


def orientation_fits_figure(recording: Recording, marked: Mapping[str, Sequence[MarkedImage]]) -> Figure:
    """Draw, for each orientation, the images whose maps come nearest to the published figure, with both peaks.

    The title of each is the number of the image, from 1, and its name.

    Parameters
    ----------
    recording : Recording
        Of a square grid, in the orientation ``recording.orientation``.
    marked : mapping of str to sequence of MarkedImage
        By orientation.
    """
    stored = unorient_maps(recording.maps.mean(axis=-1, keepdims=True), recording.orientation)
    down = max(map(len, marked.values()))
    with style():
        width, height = 1.35 * len(marked) + 0.5, 1.35 * down + 1.0
        figure = Figure(figsize=(width, height))  # fixed margins: a layout engine is slow with so many axes
        axes = figure.subplots(down, len(marked), squeeze=False)
        figure.subplots_adjust(0.35 / width, 0.1 / height, 1 - 0.1 / width, 1 - 0.8 / height, 0.06, 0.2)
        for column, (name, images) in enumerate(marked.items()):
            maps = orient_maps(stored, name)[..., 0]
            for row, one in enumerate(images):
                axis = axes[row, column]
                draw_image(axis, recording.images[one.image], recording.grid, grey=True)
                draw_map(axis, maps[one.image], recording.grid, value_range(maps[one.image]), "inferno", 0.5)
                _mark(axis, recording, one.published, "o", "published")
                _mark(axis, recording, one.peak, "+", "largest")
                axis.set(xticks=(), yticks=())
                shown = short_name(recording.names[one.image])
                axis.set_title(f"image {one.image + 1}, named {shown}", fontsize=7, pad=2)
            used = "\n(used)" if name == recording.orientation else "\n"
            axes[0, column].set_title(f"{name}{used}\n{axes[0, column].get_title()}", fontsize=7, pad=2)
        for row, text in enumerate(("first image", "second image")[:down]):
            axes[row, 0].set_ylabel(text)
        kind = SIMULATED if recording.simulated else recording.identifier
        figure.suptitle(f"{kind}; circle: published peak, cross: largest value of the map", fontsize=8)
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
