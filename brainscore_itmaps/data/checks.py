"""List what is wrong with a recording, and what a reader should know about it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.data.arrays import SITES_SHOWN, incomplete_repeats, mean_over_repeats
from brainscore_itmaps.data.grid import Grid, check_orientation, shown_extent
from brainscore_itmaps.data.images import repeated_names
from brainscore_itmaps.errors import DataError, ItMapsError, UsageError, described

DROP_NAN_SITES = (
    "Correct the source, or leave these sites out with drop_nan_sites=True (data import: --drop-nan-sites; "
    'recording.json: "drop_nan_sites": true); missing values are never filled in.'
)


FIELD_TYPES: dict[str, tuple[tuple[type, ...], str, str]] = {
    **dict.fromkeys(("identifier", "subject", "area", "citation"), ((str,), "a text", "Give a text.")),
    **dict.fromkeys(
        ("simulated", "stretched", "outside", "drop_nan_sites"),
        ((bool, np.bool_), "True or False", "Give True or False."),
    ),
    **dict.fromkeys(("sites", "image_names"), ((Iterable, type(None)), "a list of names", "Give a list of names.")),
    "grid": ((Grid, type(None)), "a grid", "Give grid=itmaps.Grid(y, x, extent)."),
}
"""By name of a field that is not an array: its types, what it is, and how to give it."""


def check_field_types(given: Mapping[str, Any]) -> None:
    """Check the types of the fields of a recording that are not arrays.

    Raises
    ------
    UsageError
        Naming the first field with another type.

    Examples
    --------
    >>> check_field_types({"identifier": "lab.array1", "simulated": False, "sites": ["a", "b"]})
    >>> check_field_types({"area": 4})
    Traceback (most recent call last):
    ...
    brainscore_itmaps.errors.UsageError: area cannot be 4, which is not a text. Give a text.
    """
    for name, value in given.items():
        types, expected, fix = FIELD_TYPES.get(name, ((object, str), "", ""))
        if not isinstance(value, types) or (isinstance(value, str) and str not in types):
            raise UsageError(f"{name} cannot be {described(value)}, which is not {expected}.", fix)


def problems_of(fields: Mapping[str, Any]) -> list[ItMapsError]:
    """List all problems of the fields of a recording; a field that is None is not checked.

    Parameters
    ----------
    fields : mapping
        Fields of a :class:`~brainscore_itmaps.data.recording.Recording` by name.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> fields = vars(load_recording("it_maps_simulated"))
    >>> problems_of(fields)
    []
    >>> len(problems_of({**fields, "window": (9, 3), "sites": ("a",) * 32}))
    2
    """
    return [*_problems(fields)]


def _problems(fields: Mapping[str, Any]) -> Iterator[ItMapsError]:
    identifier, maps, grid, images, sites = (fields[name] for name in ("identifier", "maps", "grid", "images", "sites"))
    if identifier is not None and not identifier.strip():
        yield DataError("The recording has no identifier.", "Give it an identifier.")
    identifier = identifier or "The recording"
    if fields["window"] is not None:
        start, stop = fields["window"]
        if not (isinstance(start, int) and isinstance(stop, int) and start < stop):
            yield DataError(
                f"{identifier}: the window is {fields['window']}.", "Give (from, to) in whole milliseconds."
            )
    try:
        check_orientation(fields["orientation"])
    except UsageError as error:
        yield error
    for kind, names in (("sites", sites), ("images", [image.stem for image in images] if images is not None else None)):
        if repeated := repeated_names(names or ()):
            yield DataError(
                f"{identifier}: several {kind} are named {', '.join(repeated)}.",
                f"Give each {kind[:-1]} a unique name.",
            )
    if grid is not None:
        yield from _problems_of_grid(identifier, grid, fields["outside"])
    if maps is not None and None not in (grid, images, sites):
        fields = {**fields, "identifier": identifier}
        yield from _problems_of_maps(fields, (len(images), len(grid.y), len(grid.x), len(sites)))


def _problems_of_grid(identifier: str, grid: Grid, outside: bool) -> Iterator[ItMapsError]:
    axes = [np.asarray(positions) for positions in (grid.y, grid.x)]
    extent = shown_extent(grid.extent)
    if not all(0 < side < np.inf for side in (grid.height, grid.width)) or any(
        not np.isfinite(positions).all() or (np.diff(positions) <= 0).any() for positions in axes
    ):
        yield DataError(
            f"{identifier}: the grid of {extent} degrees has positions that do not ascend.",
            "Give positions in degrees below and to the right of the image's centre, in ascending order.",
        )
    elif grid.outside and not outside:
        (top, bottom), (left, right) = ((points.min(), points.max()) for points in axes)
        yield DataError(
            f"{identifier}: {grid.outside} positions lie outside the image of {extent} degrees; they "
            f"reach from {top:g} to {bottom:g} degrees in y and from {left:g} to {right:g} in x.",
            "Correct the positions or the extent, (height, width). outside=True (outside: true in recording.json) "
            "permits them; features there take the values at the edge of the image.",
        )


def _problems_of_maps(fields: Mapping[str, Any], expected: tuple[int, ...]) -> Iterator[ItMapsError]:
    identifier, maps, repeats = fields["identifier"], fields["maps"], fields["repeats"]
    if 0 in maps.shape:
        yield DataError(
            f"{identifier}: maps of shape {maps.shape} are empty.", "Give at least one image, position and site."
        )
    if maps.shape != expected:
        yield DataError(
            f"{identifier}: maps have shape {maps.shape}, but the images, the grid and the sites "
            f"require {expected} (image, y, x, site).",
            "Give one map per image and site, sampled at the grid.",
        )
        return
    if repeats is not None and (repeats.ndim != 5 or repeats.shape[:1] + repeats.shape[2:] != expected):
        yield DataError(
            f"{identifier}: repeats have shape {repeats.shape}, but the maps have shape {expected}.",
            "Give repeats as (image, repeat, y, x, site).",
        )
        repeats = None
    broken = ~np.isfinite(maps).all(axis=(1, 2))
    if broken.any():
        what = "have values that are not finite"
        yield _of_sites(fields, broken, what, DROP_NAN_SITES)
    if repeats is None:
        return
    if (incomplete := incomplete_repeats(repeats).any(axis=1)).any():
        what = "have repeats with missing values at some positions"
        yield _of_sites(
            fields, incomplete, what, f"Give NaN at all positions of a repeat that was not recorded. {DROP_NAN_SITES}"
        )
    elif not np.allclose(mean_over_repeats(repeats), maps, equal_nan=True):
        yield DataError(
            f"{identifier}: the mean over repeats differs from the maps.",
            "Give the repeats of these maps, or omit the maps.",
        )


def _of_sites(fields: Mapping[str, Any], broken: NDArray[np.bool_], what: str, fix: str) -> DataError:
    """Describe broken maps, shape (image, site)."""
    images, sites = (np.unique(indices) for indices in np.nonzero(broken))
    names = ", ".join(fields["sites"][site] for site in sites[:SITES_SHOWN])
    more = " and more" if len(sites) > SITES_SHOWN else ""
    every = ", all of the recording," if len(sites) == broken.shape[1] > 1 else ""
    return DataError(
        f"{fields['identifier']}: {len(sites)} site(s){every} {what} ({names}{more}), on images {images.tolist()}.", fix
    )
