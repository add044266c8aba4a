"""What a drawn figure shows: its texts with their boxes, its legends, and colours as colour-blind readers see them."""

from itertools import combinations
from unittest.mock import patch

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

# Machado, Oliveira and Fernandes (2009), severity 1
SEEN_BY = {
    "everybody": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def texts_of(figure):
    """Return (text, box) of each text that is drawn; boxes are left, lower, right, upper in pixels."""
    drawn = []

    def record(self, renderer, *args, **options):
        if self.get_visible() and self.get_text().strip():
            drawn.append((self.get_text(), self.get_window_extent(renderer).extents))

    with patch.object(Text, "draw", record):
        FigureCanvasAgg(figure).draw()
    return drawn


def overlapping(boxes, slack=1.0):
    """Return the pairs of boxes, named, that overlap by more than some pixels in both directions."""
    return [(first[0], second[0]) for first, second in combinations(boxes, 2) if overlap(first[1], second[1], slack)]


def overlap(one, other, slack=1.0):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width > slack and height > slack


def faults_of(figure):
    """Return what is wrong with the texts and legends of a figure: overlaps, and texts outside the canvas."""
    texts = texts_of(figure)
    right, upper = figure.bbox.width, figure.bbox.height
    faults = [f"{one!r} overlaps {other!r}" for one, other in overlapping(texts)]
    faults += [f"{text!r} leaves the canvas" for text, (x0, y0, x1, y1) in texts
               if min(x0, y0) < -1 or x1 > right + 1 or y1 > upper + 1]  # fmt: skip
    legends = [*figure.legends, *(legend for axis in figure.axes if (legend := axis.get_legend()) is not None)]
    faults += [f"a legend covers the panel {axis.get_title()!r}" for legend in legends for axis in figure.axes
               if overlap(legend.get_window_extent().extents, axis.bbox.extents)]  # fmt: skip
    return faults


def points_of(axis):
    """Return (marker, box) of each marker of a panel, in pixels."""
    scale = axis.get_figure().dpi / 72
    for line in axis.lines:
        if line.get_marker() not in ("None", None, "", " "):
            half = scale * line.get_markersize() / 2
            for x, y in line.get_transform().transform(line.get_xydata()):
                yield "point", (x - half, y - half, x + half, y + half)


def named_points(axis, figure):
    """Return (name, box) of the names that are written beside points."""
    figure.draw_without_rendering()
    return [(text.get_text(), text.get_window_extent().extents) for text in axis.texts
            if hasattr(text, "xyann") and text.get_text()]  # fmt: skip


def lab(rgb):
    """Convert linear RGB to CIE L*a*b*."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def linear(colour):
    """Convert a colour such as #ff0000 to linear RGB."""
    values = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def nearest_colours(colours, reader):
    """Return the smallest distance in L*a*b* between two colours, as a reader sees them."""
    seen = [lab(SEEN_BY[reader] @ linear(colour)) for colour in colours]
    return min(np.linalg.norm(one - other) for one, other in combinations(seen, 2))
