"""Write names beside the points of panels, so that they overlap neither one another nor a point."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from brainscore_itmaps.reporting.drawing import SMALL

Box = NDArray[np.float64]
"""Left, lower, right and upper end, in pixels."""

DISTANCES = (4.0, 8.0, 14.0, 22.0, 32.0, 44.0)
"""Distances of a name from its point that are tried, in points of print."""
NEAR = 8.0
"""Largest distance without a line from the name to its point."""
DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
SPINE = 3.0
"""Distance of names from the edge of the panel, in pixels."""
CROSSING = 12.0
"""What it costs to cross a line or an error bar, in points of distance."""


class Named(NamedTuple):
    """A point with its name.

    Attributes
    ----------
    x, y : float
    name : str
    """

    x: float
    y: float
    name: str


def write_names(axis: Axes, points: Iterable[Named]) -> int:
    """Write the name of each point where there is room, the first ones first; the layout of the figure is final.

    A name is tried at several distances in eight directions. Names overlap no point and no other name, and stay in the
    panel; of the places that remain, the one is taken that is nearest and crosses the fewest lines and error bars.

    Returns
    -------
    int
        Number of names without room, which are left out.

    Examples
    --------
    >>> from brainscore_itmaps.reporting.drawing import Figure
    >>> axis = Figure(figsize=(3, 3)).subplots()
    >>> _ = axis.plot([0, 1, 1], [0, 1, 1], "o")
    >>> write_names(axis, [Named(0, 0, "vgg16"), Named(1, 1, "a name that is far too long for this small panel")])
    1
    """
    figure: Any = axis.get_figure()
    scale = figure.dpi / 72
    taken, crossed = _boxes_of_points(axis, scale), _boxes_of_lines(axis)
    left_out = 0
    for x, y, name in points:
        text = axis.annotate(name, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=SMALL, color="0.25",
                             ha="left", va="bottom")  # fmt: skip
        text.set_in_layout(False)
        size = np.array([text.get_window_extent().width, text.get_window_extent().height])
        point = axis.transData.transform((x, y))
        places = [
            (place, box, leader)
            for place, box, leader in _places(point, size, scale)
            if _is_inside(box, axis)
            and not _overlaps(box, taken).any()
            and not (leader and _hits(leader, taken, scale))
        ]
        if not places:
            text.remove()
            left_out += 1
            continue
        costs = [distance / scale + CROSSING * _overlaps(box, crossed).sum() for (distance, _), box, _ in places]
        (_, offset), box, leader = places[int(np.argmin(costs))]
        text.set_position(tuple(offset / scale))
        if leader:
            ends = axis.transData.inverted().transform(leader)
            axis.plot(*ends.T, color="0.6", linewidth=0.5, zorder=1, scalex=False, scaley=False, label="_leader")
            taken = np.vstack([taken, _along(leader)])
        taken = np.vstack([taken, box])
    return left_out


def remove_names(axis: Axes) -> None:
    """Remove the names that were written, and their lines."""
    artists: list[Any] = [*axis.texts, *axis.lines]
    for artist in artists:
        if (hasattr(artist, "xyann") and artist.get_text()) or artist.get_label() == "_leader":
            artist.remove()


def _places(point: Box, size: Box, scale: float) -> Iterable[tuple[tuple[float, Box], Box, list[Box]]]:
    """Yield distance and offset of a name, its box, and the ends of the line that leads to it if it is far away."""
    for distance, direction in product(DISTANCES, DIRECTIONS):
        towards = np.array(direction, dtype=float)
        away = scale * distance * towards / np.linalg.norm(towards)
        offset = away + np.where(towards > 0, 0, np.where(towards < 0, -size, -size / 2))
        box = np.concatenate([point + offset, point + offset + size])
        yield (scale * distance, offset), box, [point, point + away] if distance > NEAR else []


def _boxes_of_points(axis: Axes, scale: float) -> Box:
    """Return a box around each marker."""
    boxes = [np.empty((0, 4))]
    lines: Any = axis.lines
    for line in lines:
        if line.get_marker() not in ("None", None, "", " ", "none"):
            places = line.get_transform().transform(line.get_xydata())
            half = scale * (line.get_markersize() / 2 + 0.5)
            boxes.append(np.hstack([places - half, places + half]))
    return np.vstack(boxes)


def _boxes_of_lines(axis: Axes) -> Box:
    """Return a box around each piece of a line without markers, of an error bar and of an arrow."""
    pieces = [np.empty((0, 2, 2))]
    lines: Any = axis.lines
    for line in lines:
        if line.get_linestyle() not in ("None", "none", "", " ") and len(line.get_xydata()) > 1:
            ends = line.get_transform().transform(line.get_xydata())
            pieces.append(np.stack([ends[:-1], ends[1:]], axis=1))
    for collection in axis.collections:
        for ends in getattr(collection, "get_segments", list)():
            if len(ends) == 2:  # the interval of a score that is not given has no ends
                pieces.append(collection.get_transform().transform(ends)[None])
    texts: Any = axis.texts
    for text in texts:
        if getattr(text, "arrow_patch", None) is not None:
            ends = axis.transData.transform([text.xy, text.xyann])
            pieces.append(_pieces(ends))
    joined = np.vstack(pieces)
    return np.hstack([joined.min(axis=1), joined.max(axis=1)])


def _pieces(ends: Box, number: int = 8) -> Box:
    """Cut a slanted line into short pieces, whose boxes are small; shape (piece, end, 2)."""
    points = np.linspace(ends[0], ends[1], number + 1)
    return np.stack([points[:-1], points[1:]], axis=1)


def _along(leader: Sequence[Box]) -> Box:
    """Return small boxes along a line to a name."""
    pieces = _pieces(np.array(leader))
    return np.hstack([pieces.min(axis=1), pieces.max(axis=1)])


def _overlaps(box: Box, boxes: Box) -> NDArray[np.bool_]:
    apart: NDArray[np.bool_] = (
        (boxes[:, 0] >= box[2]) | (boxes[:, 2] <= box[0]) | (boxes[:, 1] >= box[3]) | (boxes[:, 3] <= box[1])
    )
    return ~apart


def _hits(leader: Sequence[Box], boxes: Box, scale: float) -> bool:
    """Return whether the line to a name crosses a name or a point other than its own."""
    point = np.array(leader[0])
    own = ((boxes[:, :2] <= point) & (boxes[:, 2:] >= point)).all(axis=1)
    return any(_overlaps(piece, boxes[~own]).any() for piece in _along(leader))


def _is_inside(box: Box, axis: Axes) -> bool:
    panel: Any = axis.bbox
    within = panel.x0 + SPINE <= box[0] and box[2] <= panel.x1 - SPINE
    return bool(within and panel.y0 + SPINE <= box[1] and box[3] <= panel.y1 - SPINE)
