"""The eight ways in which the maps of a recording may lie over its pictures, side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from brainscore_itmaps.data.orientation import ORIENTATIONS, oriented, stored
from brainscore_itmaps.data.recording import Recording


def orientation_figure(recording: Recording, shown: Sequence[int] | None = None) -> Figure:
    """Draw maps, averaged over sites, over their pictures in all eight orientations, one a row.

    Whoever knows the data sees which row puts responses on faces. Positions are drawn where they lie in degrees;
    colours run from the 0.5th to the 99.5th percentile of each map. The recording's present orientation is marked.

    Parameters
    ----------
    recording : Recording
        Read from a file; its ``orientation`` says how.
    shown : sequence of int, optional
        Pictures to draw, from 0; all by default.
    """
    shown = range(len(recording.images)) if shown is None else shown
    maps = stored(recording.maps.mean(axis=-1, keepdims=True), recording.orientation)
    half = recording.grid.extent / 2
    width, height = 1.25 * len(shown) + 1.7, 10.8
    figure = Figure(figsize=(width, height))  # laid out by hand: so many axes take a layout engine long
    axes = figure.subplots(len(ORIENTATIONS), len(shown), squeeze=False)
    figure.subplots_adjust(
        left=1.6 / width, right=1 - 0.1 / width, bottom=0.1 / height, top=1 - 0.75 / height, wspace=0.05, hspace=0.05
    )
    pictures = []
    for image in shown:
        with Image.open(recording.images[image]) as picture:
            pictures.append(np.asarray(picture.convert("L")))
    for row, name in enumerate(ORIENTATIONS):
        laid = oriented(maps, name)[..., 0]
        here = name == recording.orientation
        for column, image in enumerate(shown):
            axis = axes[row, column]
            step = recording.grid.extent / (laid.shape[1] - 1) / 2
            edge = half + step
            low, high = np.percentile(laid[image], [0.5, 99.5])
            axis.imshow(pictures[column], extent=(-half, half, half, -half), cmap="gray")
            axis.imshow(laid[image], extent=(-edge, edge, edge, -edge), vmin=low, vmax=high, cmap="inferno", alpha=0.55)
            axis.set(xticks=(), yticks=(), xlim=(-half, half), ylim=(half, -half))
            if row == 0:
                axis.set_title(str(image + 1), fontsize=8)
        label = f"{name}\n(now)" if here else name
        axes[row, 0].set_ylabel(
            label, fontsize=8, fontweight="bold" if here else "normal", rotation=0, ha="right", va="center"
        )
    kind = "SIMULATED recording, no animal was recorded" if recording.simulated else "recorded maps"
    figure.suptitle(
        f"{recording.identifier}, mean over {len(recording.sites)} sites, "
        f"{recording.window[0]}-{recording.window[1]} ms\n{kind}",
        fontsize=9,
    )
    return figure
