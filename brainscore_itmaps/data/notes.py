"""List what a reader should know about a valid recording."""

import numpy as np

from brainscore_itmaps.data.grid import shown_extent
from brainscore_itmaps.data.images import some_of
from brainscore_itmaps.data.osie import RECORDINGS as GAZE
from brainscore_itmaps.data.recording import Recording, constant_maps
from brainscore_itmaps.images import unusual_features, upright_size

UNITS = {
    "Arcaro2020.": "spikes/s",
    "it_maps_simulated": "spikes/s",
    "it_maps_textures_simulated": "spikes/s",
    "OSIE.": "fixations/deg\N{SUPERSCRIPT TWO}",
}
"""Units of the maps, by the first letters of the identifiers of recordings."""
MANY_SPIKES = 1000.0
"""Spikes per second that no site reaches on average; larger values are in other units."""
SMALL, LARGE = 0.5, 90.0
"""Degrees of visual angle between which the sides of an image usually lie."""
SHOWN = 6


def unit_of(recording: str) -> str:
    """Return the unit of the maps of a recording with this identifier; "" if it is not one of this package.

    Examples
    --------
    >>> unit_of("Arcaro2020.monkey1_PL"), unit_of("mylab.array1")
    ('spikes/s', '')
    """
    return next((unit for start, unit in UNITS.items() if recording.startswith(start)), "")


def notes_on_data(recording: Recording) -> list[str]:
    """Say what a recording is if not one of IT, and which sites were left out because values are missing; for results.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> notes_on_data(load_recording("it_maps_simulated"))
    []
    """
    notes = []
    if recording.identifier in GAZE:
        notes.append(f"{recording.identifier}: where people look; the score says nothing about IT")
    if recording.dropped:
        names = some_of(recording.dropped)
        left_out = f"{len(recording.dropped)} sites with missing values are left out: {names}"
        notes.append(f"{recording.identifier}: {left_out}")
    return notes


def notes_on_recording(recording: Recording) -> list[str]:
    """List what a reader should know about a recording: sentences about its images, maps, repeats and grid.

    Examples
    --------
    >>> from brainscore_itmaps import load_recording
    >>> notes_on_recording(load_recording("it_maps_simulated"))
    []
    """
    return [
        *(f"{note.removeprefix(f'{recording.identifier}: ')}." for note in notes_on_data(recording)),
        *_notes_on_images(recording),
        *_notes_on_maps(recording),
        *_notes_on_repeats(recording),
        *(["It has no citation."] if not recording.citation else []),
    ]


def _notes_on_images(recording: Recording) -> list[str]:
    notes = []
    if recording.duplicates:
        groups = some_of([" = ".join(group) for group in recording.duplicates], SHOWN)
        notes.append(f"Some images are identical, and are left out together when a model is scored: {groups}.")
    unusual: dict[str, list[str]] = {}
    for name, image in zip(recording.names, recording.images, strict=True):
        for feature in unusual_features(image):
            unusual.setdefault(feature, []).append(name)
    notes += [f"How {some_of(names, SHOWN)} is read: it {feature}." for feature, names in unusual.items()]
    shapes = {width / height for width, height in map(upright_size, recording.images)}
    if recording.stretched and max(shapes) / min(shapes) > 1.02:
        notes.append("The images have different shapes, and are stretched to the same size in degrees.")
    sides = (recording.grid.height, recording.grid.width)
    if not all(SMALL <= side <= LARGE for side in sides):
        extent = shown_extent(recording.grid.extent)
        notes.append(f"The images are {extent} degrees of visual angle wide and high; check that extent is in degrees.")
    reach = min(np.ptp(recording.grid.y) / sides[0], np.ptp(recording.grid.x) / sides[1])
    if len(recording.grid.y) > 1 and len(recording.grid.x) > 1 and reach < 0.2:
        notes.append(
            f"The positions cover {reach:.0%} of the image along an axis; check that positions and extent "
            "are in degrees."
        )
    return notes


def _notes_on_maps(recording: Recording) -> list[str]:
    notes = []
    if constant := constant_maps(recording):
        examples = some_of([f"{site} on {image}" for site, image in constant], SHOWN)
        notes.append(f"{len(constant)} maps are constant, and correlations with them are undefined: {examples}.")
    if (largest := float(np.abs(recording.maps).max())) > MANY_SPIKES:
        notes.append(f"Values reach {largest:.4g}, which are no spikes per second; check the units.")
    return notes


def _notes_on_repeats(recording: Recording) -> list[str]:
    if recording.repeats is None:
        return ["It has no repeats, so its noise ceiling is computed from the agreement between its sites."]
    counts = (~np.isnan(recording.repeats).any(axis=(2, 3))).sum(axis=1)  # (image, site)
    fewest, most = int(counts.min()), int(counts.max())
    if fewest < 2:
        few = [name for name, least in zip(recording.names, counts.min(axis=1), strict=True) if least < 2]
        return [
            f"{len(few)} images have fewer than two repeats ({some_of(few, SHOWN)}), so its noise ceiling is computed "
            "from the agreement between its sites."
        ]
    return [f"Images have {fewest} to {most} repeats; each is split by its own."] if fewest < most else []
