"""Figures of a result; each function returns a figure and saves nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.benchmark.result import Result


def maps_figure(result: Result, pictures: Sequence[Path], shown: Sequence[int] = (0, 1, 2)) -> Figure:
    """Pictures, with the recorded and the predicted map averaged over sites below each.

    Positions are drawn where they lie in degrees, so the outermost ones reach half a step over the picture's edge.
    Both maps of a picture share one range of colours, from the 0.5th to the 99.5th percentile of the recorded map.

    Parameters
    ----------
    result : Result
        The maps of its first array are drawn.
    pictures : sequence of Path
        The recording's pictures, in the order of the maps.
    shown : sequence of int
        Which of them to draw, from 0.
    """
    array = result.arrays[0]
    neural, predicted = array.neural.mean(axis=-1), array.predicted.mean(axis=-1)  # (image, y, x)
    vertical, horizontal = array.degrees_y, array.degrees_x
    figure = Figure(figsize=(2.2 * len(shown) + 0.8, 8.2), layout="constrained")
    axes = figure.subplots(3, len(shown), squeeze=False, sharex=True, sharey=True)
    for column, image in enumerate(shown):
        low, high = np.percentile(neural[image], [0.5, 99.5])
        with Image.open(pictures[image]) as picture:
            half = np.ptp(vertical) / 2
            axes[0, column].imshow(picture.convert("RGB"), extent=(-half, half, half, -half))
        for row, maps in ((1, neural), (2, predicted)):
            drawn = axes[row, column].imshow(
                maps[image], extent=_edges(horizontal) + _edges(vertical)[::-1], vmin=low, vmax=high, cmap="viridis"
            )
        bar = figure.colorbar(drawn, ax=axes[2, column], location="bottom", extend="both", aspect=15)
        bar.set_label("spikes/s", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        axes[0, column].set_title(array.images[image].rsplit("-", 1)[-1], fontsize=9)
        axes[2, column].set_xlabel(f"rho = {array.map_rho[image]:.2f}", fontsize=9)
    for row, name in enumerate(("picture", "simulated map" if result.simulated else "recorded map", "predicted map")):
        axes[row, 0].set_ylabel(f"{name}\n(position in degrees)", fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=(-8, 0, 8), yticks=(-8, 0, 8))
        axis.tick_params(labelsize=8)
    kind = "SIMULATED recording, no animal was recorded" if result.simulated else array.recording
    figure.suptitle(
        f"{result.model} ({result.layer}, {result.weights}) on {result.benchmark}\n{kind}; "
        f"mean over {array.neural.shape[-1]} sites, {array.window[0]}-{array.window[1]} ms",
        fontsize=9,
    )
    return figure


def _edges(points: NDArray[np.float64]) -> tuple[float, float]:
    half_step = (points[1] - points[0]) / 2
    return float(points[0] - half_step), float(points[-1] + half_step)
