"""Figures of recorded and predicted maps over images; each function returns a figure and saves nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brainscore_itmaps.benchmark.result import ArrayResult, Result
from brainscore_itmaps.data.grid import ORIENTATIONS, Grid, orient_maps, read_extent, shown_extent, unorient_maps
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import check_type
from brainscore_itmaps.images import read_image
from brainscore_itmaps.reporting.drawing import (
    COLUMN,
    DIFFERENCE_COLOURS,
    SIMULATED,
    Figure,
    check_images,
    check_index,
    check_result,
    difference_range,
    draw_image,
    draw_map,
    draw_positions,
    kind_of,
    maps_of,
    mean_over,
    name_of,
    name_of_site,
    only_array,
    short_name,
    size_of,
    style,
    units_of,
    value_range,
)


def maps_figure(result: Result, images: Sequence[Path | None], shown: Sequence[int] = (0, 1, 2)) -> Figure:
    """Draw images, and below each its recorded and its predicted map, averaged over sites.

    Positions are drawn where they lie in degrees, so the outermost ones reach half a step over the image's edge.
    Both maps of an image share one range of colours, from the 0.5th to the 99.5th percentile of the recorded map.

    Parameters
    ----------
    result : Result
        The maps of its first array are drawn.
    images : sequence of Path or None
        Files of the recording's images, in the order of the maps; None draws the maps without this image.
    shown : sequence of int
        Indices of the images to draw, from 0.
    """
    check_result(result)
    array = result.arrays[0]
    check_images(images, array)
    shown = tuple(shown) if isinstance(shown, Sequence) else (shown,)
    for index in shown or (None,):
        check_index(index, array.images, "image")
    neural, predicted = maps_of(array, None)
    with style():
        figure = Figure(figsize=(2.2 * len(shown) + 0.8, 8.2), layout="constrained")
        axes = figure.subplots(3, len(shown), squeeze=False, sharex=True, sharey=True)
        for column, image in enumerate(shown):
            limits = value_range(neural[image])
            draw_image(axes[0, column], images[image], array)
            draw_map(axes[1, column], neural[image], array, limits)
            drawn = draw_map(axes[2, column], predicted[image], array, limits)
            bar = figure.colorbar(drawn, ax=axes[2, column], location="bottom", extend="both", aspect=15)
            bar.set_label(units_of(array))
            axes[0, column].set_title(short_name(array.images[image]), fontsize=9)
            axes[2, column].set_xlabel(f"rho = {array.map_rho[image]:.2f}", fontsize=9)
        names = ("image", "simulated map" if array.simulated else "recorded map", "predicted map")
        for row, name in enumerate(names):
            axes[row, 0].set_ylabel(f"{name}\n(position in degrees)", fontsize=9)
        figure.suptitle(
            f"{result.model} ({result.layer}, {result.weights}) on {result.benchmark}\n{kind_of(array)}; "
            f"{mean_over(array.neural.shape[-1])}, {array.window[0]}-{array.window[1]} ms",
            fontsize=9,
        )
    return figure


def overlay_figure(
    scored: ArrayResult | Result, image_file: Path | None = None, image: int = 0, site: int | None = None
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
    """
    array = only_array(scored)
    check_index(image, array.images, "image")
    neural = maps_of(array, site)[0][image]
    with style():
        figure = Figure(figsize=(COLUMN, COLUMN), layout="constrained")
        axis = figure.subplots()
        draw_image(axis, image_file, array, grey=True)
        drawn = draw_map(axis, neural, array, value_range(neural), alpha=0.55)
        draw_positions(axis, array)
        figure.colorbar(drawn, ax=axis, extend="both", label=units_of(array), shrink=0.8)
        axis.set(
            xlabel="degrees", ylabel="degrees", title=f"{short_name(array.images[image])}, {name_of_site(array, site)}"
        )
        figure.suptitle(kind_of(array), fontsize=8)
    return figure


def comparison_figure(
    scored: ArrayResult | Result, image_file: Path | None = None, image: int = 0, site: int | None = None
) -> Figure:
    """Draw an image, its recorded map, the predicted map and their difference side by side.

    Both maps share one range of colours; the range of the difference is symmetric about zero.

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
    """
    array = only_array(scored)
    check_index(image, array.images, "image")
    neural, predicted = (maps[image] for maps in maps_of(array, site))
    agreement = f"rho = {array.map_rho[image]:.2f}" if site is None else f"r = {array.site_r[image, site]:.2f}"
    difference = predicted - neural
    with style():
        figure = Figure(figsize=(2 * COLUMN, 2.4), layout="constrained")
        axes = figure.subplots(1, 4, sharex=True, sharey=True)
        draw_image(axes[0], image_file, array)
        drawn = draw_map(axes[1], neural, array, value_range(neural))
        draw_map(axes[2], predicted, array, value_range(neural))
        figure.colorbar(drawn, ax=axes[1:3], location="bottom", extend="both", label=units_of(array), aspect=30)
        drawn = draw_map(axes[3], difference, array, difference_range(difference), DIFFERENCE_COLOURS)
        figure.colorbar(drawn, ax=axes[3], location="bottom", extend="both", label=units_of(array), aspect=15)
        recorded = "simulated" if array.simulated else "recorded"
        titles = (short_name(array.images[image]), recorded, f"predicted, {agreement}", f"predicted - {recorded}")
        for axis, title in zip(axes, titles, strict=True):
            axis.set_title(title)
        axes[0].set_ylabel("degrees")
        figure.suptitle(f"{kind_of(array)}; {name_of_site(array, site)}", fontsize=8)
    return figure


def sheet_figure(result: Result, array: ArrayResult, images: Sequence[Path | None], site: int | None = None) -> Figure:
    """Draw all images of an array with their recorded and predicted maps, seven images a row.

    Parameters
    ----------
    result : Result
    array : ArrayResult
        One of ``result.arrays``.
    images : sequence of Path or None
        Files of its images, in the order of the maps; None leaves a square empty.
    site : int, optional
        Index of the site, from 0; the default is the mean over sites.
    """
    check_result(result)
    array = only_array(array)
    check_images(images, array)
    neural, predicted = maps_of(array, site)
    across = min(7, len(array.images))
    down = -(-len(array.images) // across)
    with style():
        # fixed margins: a layout engine is slow with so many axes
        tall, wide = size_of(array)
        width, height = 1.25 * across + 0.6, (3.45 * tall / (wide or 1) + 0.5) * down + 0.9
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(3 * down, across, squeeze=False)
        figure.subplots_adjust(left=0.5 / width, right=1 - 0.1 / width, bottom=0.15 / height, top=1 - 0.7 / height)
        figure.subplots_adjust(wspace=0.06, hspace=0.16)
        for axis in axes.flat:
            axis.set_axis_off()
        for image, name in enumerate(array.images):
            top, middle, bottom = axes[3 * (image // across) : 3 * (image // across) + 3, image % across]
            limits = value_range(neural[image])
            draw_image(top, images[image], array)
            draw_map(middle, neural[image], array, limits)
            draw_map(bottom, predicted[image], array, limits)
            rho = array.map_rho[image] if site is None else array.site_r[image, site]
            top.set_title(short_name(name), fontsize=7, pad=2)
            bottom.set_title(f"{'rho' if site is None else 'r'} = {rho:.2f}", fontsize=7, pad=1)
            for axis in (top, middle, bottom):
                axis.set_axis_on()
                axis.set(xticks=(), yticks=())
        for row in range(down):
            for axis, kind in zip(axes[3 * row :, 0], ("image", "recorded", "predicted"), strict=False):
                axis.set_ylabel("simulated" if kind == "recorded" and array.simulated else kind)
        extent = shown_extent(read_extent(size_of(array)))
        figure.suptitle(
            f"{name_of(result)} on {array.recording}: {kind_of(array)}\n{name_of_site(array, site)}, "
            f"{array.window[0]}-{array.window[1]} ms, {extent} degrees; both maps of an image share colours",
            fontsize=8,
        )
    return figure


def registration_figure(recording: Recording, shown: Sequence[int] | None = None) -> Figure:
    """Draw the images of a recording with its positions, and below each its map, averaged over sites, over the image.

    It shows where each position lies in degrees, before anything is scored: responses beside what they should respond
    to reveal wrong positions, a wrong size, a wrong orientation, or images in another order. Each map has its own range
    of colours, from the 0.5th to the 99.5th percentile.

    Parameters
    ----------
    recording : Recording
    shown : sequence of int, optional
        Indices of the images to draw, from 0; the default is the first 14.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> len(registration_figure(load_recording("it_maps_simulated"), shown=[0, 1]).axes)
    5
    """
    check_type(recording, Recording, "a recording", "Give what load_recording returns.")
    shown = range(min(len(recording.images), 14)) if shown is None else shown
    maps, grid = recording.maps.mean(axis=-1), recording.grid
    across = min(7, len(shown))
    tall = 2 * -(-len(shown) // across)
    width, height = 1.5 * across + 0.9, 1.5 * tall * grid.height / grid.width + 0.28 * tall + 0.8
    with style():
        figure = Figure(figsize=(width, height))  # fixed margins: a layout engine is slow with so many axes
        axes = figure.subplots(tall, across, squeeze=False)
        figure.subplots_adjust(0.15 / width, 0.15 / height, 1 - 0.8 / width, 1 - 0.75 / height, 0.08, 0.2)
        for axis in axes.flat:
            axis.set_axis_off()
        for number, image in enumerate(shown):
            top, bottom = axes[2 * (number // across) : 2 * (number // across) + 2, number % across]
            draw_image(top, recording.images[image], grid, grey=True)
            draw_image(bottom, recording.images[image], grid, grey=True)
            limits = value_range(maps[image])
            drawn = draw_map(bottom, maps[image], grid, limits, alpha=0.55)
            draw_positions(top, grid)
            top.set_title(short_name(recording.names[image]), fontsize=7, pad=2)
        bar = figure.colorbar(drawn, cax=figure.add_axes((1 - 0.65 / width, 0.2, 0.12 / width, 0.5)))
        bar.set_ticks(limits, labels=["low", "high"])
        kind = SIMULATED if recording.simulated else recording.identifier
        figure.suptitle(
            f"{kind}\n{len(grid.y)} x {len(grid.x)} positions over {shown_extent(grid.extent)} degrees; "
            f"below, the map of each image, {mean_over(len(recording.sites))}",
            fontsize=8,
        )
    return figure


@style()
def orientation_figure(recording: Recording, shown: Sequence[int] | None = None) -> Figure:
    """Draw maps, averaged over sites, over their images in all eight orientations, one a row.

    The right orientation is the row that puts responses on faces. Positions are drawn where they lie in degrees;
    colours run from the 0.5th to the 99.5th percentile of each map. The recording's current orientation is marked.

    Parameters
    ----------
    recording : Recording
        Read from a file, in the orientation ``recording.orientation``.
    shown : sequence of int, optional
        Indices of the images to draw, from 0; the default is all.
    """
    check_type(recording, Recording, "a recording", "Give what load_recording returns.")
    shown = range(len(recording.images)) if shown is None else shown
    maps = unorient_maps(recording.maps.mean(axis=-1, keepdims=True), recording.orientation)
    down, across = recording.grid.height / 2, recording.grid.width / 2
    width, height = 1.25 * len(shown) + 1.7, 10.8
    figure = Figure(figsize=(width, height))  # fixed margins: a layout engine is slow with so many axes
    axes = figure.subplots(len(ORIENTATIONS), len(shown), squeeze=False)
    figure.subplots_adjust(
        left=1.6 / width, right=1 - 0.1 / width, bottom=0.1 / height, top=1 - 0.75 / height, wspace=0.05, hspace=0.05
    )
    images = []
    for image in shown:
        images.append(np.asarray(read_image(recording.images[image]).convert("L")))
    for row, name in enumerate(ORIENTATIONS):
        oriented_maps = orient_maps(maps, name)[..., 0]
        shape = (oriented_maps.shape[1], oriented_maps.shape[2])
        as_read = shape == recording.maps.shape[1:3]
        grid = recording.grid if as_read else Grid.even(shape, recording.grid.extent)
        is_current = name == recording.orientation
        for column, image in enumerate(shown):
            axis = axes[row, column]
            axis.imshow(images[column], extent=(-across, across, down, -down), cmap="gray")
            draw_map(axis, oriented_maps[image], grid, value_range(oriented_maps[image]), "inferno", 0.55)
            axis.set(xticks=(), yticks=(), xlim=(-across, across), ylim=(down, -down))
            if row == 0:
                axis.set_title(str(image + 1), fontsize=8)
        label = f"{name}\n(now)" if is_current else name
        axes[row, 0].set_ylabel(
            label, fontsize=8, fontweight="bold" if is_current else "normal", rotation=0, ha="right", va="center"
        )
    kind = "SIMULATED recording, no animal was recorded" if recording.simulated else "recorded maps"
    figure.suptitle(
        f"{recording.identifier}, {mean_over(len(recording.sites))}, "
        f"{recording.window[0]}-{recording.window[1]} ms\n{kind}",
        fontsize=9,
    )
    return figure
