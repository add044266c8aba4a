"""Compare the real recordings, and the scores of this package on them, with what was published."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.data.arcaro2020 import ARRAYS, IMAGES, Array
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ItMapsError, one_line
from brainscore_itmaps.metrics.ceiling import reference_ceiling
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import PUBLISHED
from brainscore_itmaps.text import short_repr

MODELS = ("harmonized_resnet50", "timm:resnet50.tv_in1k", "timm:vgg16.tv_in1k", "timm:efficientnet_b0.ra_in1k")
"""Models that are scored by default; :func:`published_models` lists those with published numbers."""
SAME, CLOSE = 0.001, 0.02
"""Largest differences of numbers that are the same, and that are close."""
SITES = {"monkey1_PL": 32, "monkey1_ML": 31, "monkey2_ML": 32}
RATES = {"monkey1_PL": (66.0, 231.0), "monkey1_ML": (15.0, 135.0), "monkey2_ML": (19.0, 137.0)}
PEAKS = {"monkey1_PL": 84.0, "monkey1_ML": 157.0, "monkey2_ML": 186.0}
BETWEEN_SITES = (0.55, 0.75)
BETWEEN_TOLERANCE = 0.1
EQUAL = "equal"
STEP = 40
TIME_COURSE_MS = 280
REASONS = {
    "all": (
        "orientation: both axes of the maps are reversed, as published; `brainscore data orient` shows whether this "
        "fits the images",
        "windows are half-open here: 131-170 ms counted from 1 is [130, 170)",
        "the file of the recordings may be another release: compare its sha256 with that of `brainscore data info`",
    ),
    "published": (
        "the published loader cuts the channels at 33, so that PL has a site of ML; this is repeated here",
        "its images are divided by the mean where the standard deviation is meant; this is repeated here",
        "add_15 is the last sum before its ReLU; layer4.2 is read after it (the published activation_48)",
        "scikit-learn 1.3 transposed coef_, which the published code uses; here it is that of earlier versions",
    ),
    "own": (
        "the code of the follow-up is not public: its resizing, averaging and scaling are taken to be those of 2023",
        "where no layer is published, the best block on the same images is used here; the published layer is the best "
        "of all modules, so its score is at least as high",
        "timm's weights of a tag can be replaced; the result names their hash",
    ),
}
"""Possible reasons for a difference: in general, with the published loader, and with the follow-up study."""


@dataclass(frozen=True)
class Check:
    """One property of a recording: expected and observed value.

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


@dataclass(frozen=True)
class PublishedComparison:
    """A published number and ours.

    Attributes
    ----------
    what : "ceiling" or "predictivity"
        Kind of number; predictivity is not divided by the ceiling.
    array, window, model, layer, published_layer : str
    published : float
    source : str
    loaded : "published" or "own"
        Whether the recording is read as by the published loader, or with each site in its own array.
    ours : float or None
    verdict : str
        "same", "close" or "differs"; "not run"; "not published"; "simulated" if the recording is simulated, so that
        agreement would mean nothing.
    reason : str
        Why ours could not be computed.
    """

    what: str
    array: str
    window: str
    model: str
    layer: str
    published_layer: str
    published: float
    source: str
    loaded: str
    ours: float | None
    verdict: str
    reason: str


@short_repr
@dataclass(frozen=True)
class Verification:
    """All checks and comparisons.

    Attributes
    ----------
    simulated : bool
        The archive is a stand-in; no animal was recorded.
    sha256 : str
        Hash of the archive.
    checks : tuple of Check
    numbers : tuple of PublishedComparison
    """

    simulated: bool
    sha256: str
    checks: tuple[Check, ...]
    numbers: tuple[PublishedComparison, ...]

    @property
    def reasons(self) -> list[str]:
        """List possible reasons for the differences."""
        kinds = {"own", "published"} & {number.loaded for number in self.numbers if number.verdict == "differs"}
        return [reason for kind in ("all", *sorted(kinds)) for reason in REASONS[kind]] if kinds else []

    def to_dict(self) -> dict[str, Any]:
        """Convert all checks and comparisons to plain values for JSON.

        Examples
        --------
        >>> Verification(True, "ab", (), ()).to_dict()["simulated"]
        True
        """
        return asdict(self) | {"reasons": self.reasons}


def published_numbers() -> list[dict[str, Any]]:
    """List the published numbers of these recordings, each with its source.

    Examples
    --------
    >>> number = published_numbers()[0]
    >>> number["what"], number["published"]
    ('ceiling', 0.8263)
    """
    text = (files("brainscore_itmaps.study") / "published.json").read_text(encoding="utf-8")
    numbers: list[dict[str, Any]] = json.loads(text)
    return numbers


def published_models() -> list[str]:
    """List the models with published numbers.

    Examples
    --------
    >>> len(published_models())
    10
    """
    return list(dict.fromkeys(number["model"] for number in published_numbers() if number["model"]))


def verify(models: Sequence[str | Model] = MODELS, *, device: str = "auto", progress: Report = silent) -> Verification:
    """Check the structure of the recordings, and compare our numbers with the published ones.

    Parameters
    ----------
    models : sequence of str or Model
        Models without published numbers are scored in the windows of the follow-up study, for information.
    device : str
        As for :func:`brainscore_itmaps.score`.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Verification

    Raises
    ------
    DataError, InstallationError
        When the recordings cannot be downloaded or read. A model that cannot be scored is reported in its comparison.
    """
    checks: list[Check] = []
    recordings: dict[str, Recording] = {}
    for index, array in enumerate(ARRAYS.values()):
        progress(f"checking {array.name}", index, len(ARRAYS))
        recordings[array.name] = load_recording(array.name, progress=progress)
        checks += structure(array, recordings[array.name])
    simulated = any(recording.simulated for recording in recordings.values())
    named = {model if isinstance(model, str) else model.name: model for model in models}
    requested = [number for number in published_numbers() if not number["model"] or number["model"] in named]
    requested += [number for name in named if name not in published_models() for number in _unpublished(name)]
    numbers = []
    for index, number in enumerate(requested):
        progress(f"{number['model'] or 'ceiling'} on {number['array']}", index, len(requested))
        numbers.append(_comparison(number, named.get(number["model"]), simulated, device))
    sha256 = next(iter(recordings.values())).sha256
    return Verification(simulated, sha256, tuple(checks), tuple(numbers))


def structure(array: Array, recording: Recording) -> list[Check]:
    """Compare the structure of a recording with the published one.

    Parameters
    ----------
    array : Array
    recording : Recording
        In the window of the eLife paper.
    """
    shape = (IMAGES, array.positions, array.positions, SITES[array.name])
    means = recording.maps.mean(axis=(0, 1, 2))
    low, high = RATES[array.name]
    course = _time_course(array)
    peak = max(course, key=lambda moment: course[moment])
    between = _between_sites(recording.maps)
    sizes = sorted({_size(file) for file in recording.images})
    duration = max(course) + STEP
    nearest = max(BETWEEN_SITES[0], min(between, BETWEEN_SITES[1]))
    properties: list[tuple[str, str, str, str, bool]] = [
        ("maps (image, y, x, site)", str(shape), str(recording.maps.shape), EQUAL, recording.maps.shape == shape),
        ("sites left out", "none", ", ".join(recording.dropped) or "none", EQUAL, not recording.dropped),
        (
            "mean of each site",
            f"about {low:g} to {high:g} spikes/s",
            f"{means.min():.3g} to {means.max():.3g}",
            "the ranges overlap",
            bool(means.min() <= high and means.max() >= low),
        ),
        (
            "time",
            f"{TIME_COURSE_MS} ms or more",
            f"{duration} ms or more",
            f"{TIME_COURSE_MS} ms or more",
            duration >= TIME_COURSE_MS,
        ),
        (
            "largest mean response",
            f"about {PEAKS[array.name]:g} ms",
            f"{peak}-{peak + STEP} ms",
            f"the middles differ by at most {STEP} ms",
            abs(peak + STEP / 2 - PEAKS[array.name]) <= STEP,
        ),
        (
            "median r between maps of two sites",
            "{:g} to {:g}".format(*BETWEEN_SITES),
            f"{between:.2f}",
            f"at most {BETWEEN_TOLERANCE:g} outside",
            abs(between - nearest) <= BETWEEN_TOLERANCE,
        ),
        (
            "images",
            str(IMAGES),
            f"{len(recording.images)}, {', '.join(sizes)} pixels",
            "equal number",
            len(recording.images) == IMAGES,
        ),
    ]
    return [Check(array.name, what, expected, found, rule, None if recording.simulated else agrees)
            for what, expected, found, rule, agrees in properties]  # fmt: skip


def _time_course(array: Array) -> dict[int, float]:
    """Compute the mean response in steps of time, up to the end of the recording."""
    course: dict[int, float] = {}
    for start in range(0, TIME_COURSE_MS, STEP):
        try:
            course[start] = float(load_recording(array.name, (start, start + STEP)).maps.mean())
        except DataError:  # the recording ends earlier
            break
    if not course:
        raise DataError(f"The first {STEP} ms of {array.name} cannot be read.", "Use the published files.")
    return course


def _between_sites(maps: NDArray[np.float64]) -> float:
    """Compute the median Pearson r between maps of pairs of sites, over pairs and images."""
    medians = []
    for image in maps.reshape(len(maps), -1, maps.shape[-1]):
        with np.errstate(invalid="ignore"):
            pairs = np.corrcoef(image.T)[np.triu_indices(image.shape[-1], 1)]
        medians.append(np.nanmedian(pairs))
    return float(np.mean(medians))


def _size(file: Any) -> str:
    from PIL import Image

    with Image.open(file) as image:
        return f"{image.width} x {image.height}"


def _unpublished(model: str) -> list[dict[str, Any]]:
    """List the arrays and windows for a model without published numbers: those of timm's ResNet-50."""
    pattern = [number for number in published_numbers() if number["model"] == "timm:resnet50.tv_in1k"]
    return [number | {"model": model, "layer": "", "published_layer": "", "published": np.nan} for number in pattern]


def _comparison(number: dict[str, Any], model: str | Model | None, simulated: bool, device: str) -> PublishedComparison:
    ours, reason = None, ""
    try:
        ours = _our_number(number, model, device)
    except ItMapsError as error:
        reason = str(error)
    except Exception as error:  # raised by a model: the others are still compared
        reason = f"{type(error).__name__}: {one_line(error)}."
    verdict = _verdict(number["published"], ours, simulated)
    return PublishedComparison(**number, ours=ours, verdict=verdict, reason=reason)


def _our_number(number: dict[str, Any], model: str | Model | None, device: str) -> float:
    as_published = number["loaded"] == "published"
    options: dict[str, Any] = {"protocol": PUBLISHED} if as_published else {"orientation": "flip_both"}
    recording = load_recording(number["array"], number["window"], **options)
    if model is None:
        return float(reference_ceiling(recording.maps).mean())
    layers = [number["layer"]] if number["layer"] else "all"
    return score(model, recording, layers, protocol=PUBLISHED, device=device).raw


def _verdict(published: float, ours: float | None, simulated: bool) -> str:
    if ours is None:
        return "not run"
    if simulated:
        return "simulated"
    if np.isnan(published):
        return "not published"
    difference = abs(ours - published)
    return "same" if difference <= SAME else "close" if difference <= CLOSE else "differs"
