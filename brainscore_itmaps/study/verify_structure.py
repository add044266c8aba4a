"""Compare the structure of the real recordings with the published one, property by property, each by a stated rule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainscore_itmaps.data.arcaro2020 import FOLLOW_UP, IMAGES, Array, check_shape
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.data.sources import files_folder, find_source
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import locked
from brainscore_itmaps.images import read_image
from brainscore_itmaps.metrics.predictivity import site_agreement
from brainscore_itmaps.settings import SET_HOME, Settings

SITES = {"monkey1_PL": 32, "monkey1_ML": 31, "monkey2_ML": 32}
RATES = {"monkey1_PL": (66.0, 231.0), "monkey1_ML": (15.0, 135.0), "monkey2_ML": (19.0, 137.0)}
"""Smallest and largest mean response of a site to faces in the published PSTHs, spikes/s above baseline."""
RATE_FACTOR = 1.5
"""The published range is of faces at the receptive field, above baseline; ours is of other images."""
SHARE = 0.5
PEAKS = {"monkey1_PL": 84.0, "monkey1_ML": 157.0, "monkey2_ML": 186.0}
"""Times of the largest mean response to faces in the published PSTHs, ms."""
PEAK_TOLERANCE = 30.0
PEAK_RISE = 0.25
"""Smallest share of the largest response by which it exceeds the smallest one, so that a flat course has no peak."""
AGREEMENT = {"monkey1_PL": (0.73, 0.10), "monkey1_ML": (0.73, 0.26), "monkey2_ML": (0.73, 0.13)}
"""Mean and standard deviation over sites of r between a site's map and the mean of the others (eLife 9:e53798)."""
DURATION_MS = 300
TIMES = ((10, 50), *FOLLOW_UP.values(), (250, 290))
"""Windows of the time course: those of the follow-up study and two more of the same length."""
EQUAL = "equal"


@dataclass(frozen=True)
class Check:
    """One property of a recording: published and found value.

    Attributes
    ----------
    array, what : str
    expected, found : str
    rule : str
        When both agree.
    agrees : bool or None
        None for a simulated recording, whose values say nothing about the published ones.
    """

    array: str
    what: str
    expected: str
    found: str
    rule: str
    agrees: bool | None


def structure(array: Array, recording: Recording, source: Path | None = None) -> list[Check]:
    """Compare the structure of a recording with the published one.

    Parameters
    ----------
    array : Array
    recording : Recording
        In the window of the eLife paper.
    source : Path, optional
        Source of the recording, as for :func:`brainscore_itmaps.load_recording`.

    Returns
    -------
    list of Check
        A property whose value is not finite does not agree.
    """
    shape = (IMAGES, array.positions, array.positions, SITES[array.name])
    rates = site_rates(recording)
    low, high = RATES[array.name]
    lowest, highest = low / RATE_FACTOR, high * RATE_FACTOR
    inside = int(((rates >= lowest) & (rates <= highest)).sum())
    duration = _duration(array, source)
    course = time_course(array, recording, source)
    between = _mean(site_agreement(recording.maps)) if recording.maps.shape[-1] > 1 else math.nan
    mean, sd = AGREEMENT[array.name]
    properties: list[tuple[str, str, str, str, bool]] = [
        ("shape", _product(shape), _product(recording.maps.shape), EQUAL, recording.maps.shape == shape),
        ("sites left out", "none", ", ".join(recording.dropped) or "none", EQUAL, not recording.dropped),
        (
            "rate of sites",
            f"{low:g} to {high:g} Hz",
            f"{rates.min():.3g} to {rates.max():.3g} Hz",
            f"half of the sites within {lowest:.3g} to {highest:.3g} Hz",
            bool(np.isfinite(rates).all()) and inside >= SHARE * SITES[array.name],
        ),
        (
            "duration",
            f"{DURATION_MS} ms or more",
            f"{duration} ms",
            f"at least {DURATION_MS} ms",
            duration >= DURATION_MS,
        ),
        (
            "peak response",
            f"{PEAKS[array.name]:g} ms",
            _peak_text(course),
            f"{PEAK_TOLERANCE:g} ms between the middles, rise of {PEAK_RISE:.0%}",
            peaks_at(course, PEAKS[array.name]),
        ),
        (
            "r between sites",
            f"{mean:g}, sd {sd:g}",
            f"{between:.3f}",
            f"within {sd:g}",
            bool(abs(between - mean) <= sd + 1e-9),
        ),
        (
            "images",
            f"{IMAGES} unique",
            f"{len(recording.images)} of {_sizes(recording.images)}" + (", not unique" if recording.duplicates else ""),
            "equal number, no duplicates",
            len(recording.images) == IMAGES and not recording.duplicates,
        ),
    ]
    return [Check(array.name, what, expected, found, rule, None if recording.simulated else bool(agrees))
            for what, expected, found, rule, agrees in properties]  # fmt: skip


def structure_of_response_maps(array: Array, recording: Recording) -> list[Check]:
    """Compare the structure of the authors' response maps, which have one site, with the published one."""
    side = recording.maps.shape[1]
    properties = [
        (
            "grid",
            f"{array.positions} x {array.positions}",
            " x ".join(map(str, recording.maps.shape[1:3])),
            side == array.positions,
        ),
        ("images", "unique", "not unique" if recording.duplicates else "unique", not recording.duplicates),
    ]
    return [Check(array.name, what, expected, found, EQUAL, None if recording.simulated else agrees)
            for what, expected, found, agrees in properties]  # fmt: skip


def site_rates(recording: Recording) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Compute the response of each site at its best position of an image, as the median over images, shape (site,)."""
    rates: np.ndarray[Any, np.dtype[np.float64]] = np.median(recording.maps.max(axis=(1, 2)), axis=0)
    return rates


def time_course(array: Array, recording: Recording, source: Path | None = None) -> dict[tuple[int, int], float]:
    """Compute the mean response at the best position of each image in :data:`TIMES`, up to the recording's end.

    Parameters
    ----------
    array : Array
    recording : Recording
        Its maps, averaged over sites, select the positions.
    source : Path, optional
    """
    best = recording.maps.mean(axis=-1).reshape(len(recording.maps), -1).argmax(axis=1)  # (image,)
    course: dict[tuple[int, int], float] = {}
    for window in TIMES:
        try:
            maps = load_recording(array.name, window, source, orientation=recording.orientation).maps
        except DataError:  # the recording ends earlier
            break
        course[window] = float(maps.mean(axis=-1).reshape(len(maps), -1)[np.arange(len(maps)), best].mean())
    return course


def peaks_at(course: dict[tuple[int, int], float], peak: float) -> bool:
    """Return whether a time course has a clear peak near a time in ms.

    Examples
    --------
    >>> peaks_at({(90, 130): 8.0, (130, 170): 20.0, (170, 210): 12.0}, 157.0)
    True
    >>> peaks_at({(90, 130): 20.0, (130, 170): 20.1, (170, 210): 19.9}, 157.0)
    False
    """
    if len(course) < 2 or not np.isfinite([*course.values()]).all():
        return False
    largest = max(course, key=lambda window: course[window])
    rise = course[largest] - min(course.values())
    near = abs(sum(largest) / 2 - peak) <= PEAK_TOLERANCE
    return bool(near and course[largest] > 0 and rise >= PEAK_RISE * course[largest])


def _peak_text(course: dict[tuple[int, int], float]) -> str:
    if not course or not np.isfinite([*course.values()]).all():
        return "undefined"
    return "{}-{} ms".format(*max(course, key=lambda window: course[window]))


def _duration(array: Array, source: Path | None) -> int:
    """Return the duration of the recording of an array in ms."""
    located = find_source(source, array)
    with locked(Settings.from_environment().recordings, SET_HOME):
        return check_shape(files_folder(located, array) / array.mat, array)


def _mean(values: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size >= values.size / 2 else math.nan


def _product(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _sizes(files: Sequence[Path]) -> str:
    sizes = sorted({read_image(file).size for file in files})
    return " to ".join(f"{width} x {height}" for width, height in dict.fromkeys((sizes[0], sizes[-1])))
