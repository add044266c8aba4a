"""Compare the real recordings, and the scores of this package on them, with what was published."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from brainscore_itmaps.cache import package_versions
from brainscore_itmaps.data.arcaro2020 import ARRAYS
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.matfiles import shapes
from brainscore_itmaps.data.published import COMMAND
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.files import json_value
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.study.verify_numbers import PublishedComparison, compared, requested_numbers
from brainscore_itmaps.study.verify_orientation import OrientationCheck, check_orientation
from brainscore_itmaps.study.verify_request import MODELS, WINDOWS, check_windows, is_response_maps
from brainscore_itmaps.study.verify_structure import Check, structure, structure_of_response_maps
from brainscore_itmaps.text import short_repr

PACKAGES = ("brainscore_itmaps", "numpy", "scipy", "pillow", "opencv-python", "timm", "torch")
NOT_MONKEY2 = "The orientation of monkey 2 is not checked: its maps of 9 x 9 positions are not in the published figure."
NOT_PUBLISHED_CODE = "the code of the follow-up is not public"
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
    "followup": (
        f"{NOT_PUBLISHED_CODE}: its resizing, averaging and scaling are taken to be those of 2023",
        "timm's weights of a tag can be replaced; a result names their hash",
    ),
}
"""Possible reasons for a difference: in general, with the published loader, and with the follow-up study."""


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
    orientations : tuple of OrientationCheck
    notes : tuple of str
        Sentences about what was not checked, and why.
    recordings : dict of str to Recording
        The recordings of monkey 1 by array, for figures.
    versions : dict of str to str
        Versions of Python and of packages.
    written : str
        Time, UTC.
    """

    simulated: bool
    sha256: str
    checks: tuple[Check, ...]
    numbers: tuple[PublishedComparison, ...]
    orientations: tuple[OrientationCheck, ...] = ()
    notes: tuple[str, ...] = ()
    recordings: dict[str, Recording] = field(default_factory=dict, repr=False)
    versions: dict[str, str] = field(
        default_factory=lambda: {"python": platform.python_version()} | package_versions(PACKAGES)
    )
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def reasons(self) -> list[str]:
        """List possible reasons for the differences."""
        kinds = {number.protocol for number in self.numbers if number.verdict == "differs"}
        return [reason for kind in ("all", *sorted(kinds)) for reason in REASONS[kind]] if kinds else []

    def to_dict(self) -> dict[str, Any]:
        """Convert all checks and comparisons to plain values for JSON; NaN becomes None.

        Examples
        --------
        >>> Verification(True, "ab", (), ()).to_dict()["simulated"]
        True
        """
        content: dict[str, Any] = {
            "simulated": self.simulated,
            "sha256": self.sha256,
            "checks": [asdict(check) for check in self.checks],
            "orientations": [asdict(check) for check in self.orientations],
            "numbers": [asdict(number) for number in self.numbers],
            "reasons": self.reasons,
            "notes": self.notes,
            "versions": self.versions,
            "written": self.written,
        }
        plain: dict[str, Any] = json_value(content)
        return plain


def verify(
    models: Sequence[str | Model] = MODELS,
    *,
    windows: Sequence[str] = WINDOWS,
    source: str | Path | None = None,
    tables: pd.DataFrame | None = None,
    device: str = "auto",
    progress: Report = silent,
) -> Verification:
    """Check the structure of the recordings, and compare our numbers with the published ones.

    Parameters
    ----------
    models : sequence of str or Model
        Models without published numbers are scored in the same windows, for information.
    windows : sequence of str
        Windows of the follow-up study in which models are scored.
    source : path, optional
        Source of the recordings, as for :func:`brainscore_itmaps.load_recording`. Only the orientation and a part of
        the structure of a file of response maps are checked.
    tables : DataFrame, optional
        The published tables, as :func:`published_tables` returns them. Without them, only the numbers of the tutorial
        are compared.
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
    UsageError
        When there is no such window.
    """
    check_windows(windows)
    file = None if source is None else expanded(source)
    if is_response_maps(file):
        assert file is not None
        return _verify_response_maps(file, progress)
    checks: list[Check] = []
    recordings: dict[str, Recording] = {}
    for index, array in enumerate(ARRAYS.values()):
        progress(f"checking {array.name}", index, len(ARRAYS))
        recordings[array.name] = load_recording(array.name, source=file, progress=progress)
        checks += structure(array, recordings[array.name], file)
    simulated = any(recording.simulated for recording in recordings.values())
    named = {_name(model): model for model in models}
    numbers = requested_numbers([*named], windows, tables)
    loaded = {name: model for name, model in named.items() if isinstance(model, Model)}
    sources = {recording.sha256: None for recording in recordings.values()}
    notes = [NOT_MONKEY2]
    if tables is None:
        notes.insert(0, f"The tables of the follow-up study are not there, so that only numbers of the tutorial are "
                        f"compared; `{COMMAND}` downloads them.")  # fmt: skip
    notes += [f"{name} has no number in the tutorial." for name in named
              if tables is None and name not in {number.model for number in numbers}]  # fmt: skip
    return Verification(
        simulated,
        ", ".join(sources),
        tuple(checks),
        tuple(compared(numbers, loaded, simulated, file, device, progress)),
        _orientations(recordings, file),
        tuple(notes),
        {name: recording for name, recording in recordings.items() if recording.subject == "monkey1"},
    )


def _name(model: str | Model) -> str:
    """Return the name of a model; only pretrained weights have published numbers."""
    if isinstance(model, str):
        return model
    return model.name if model.weights.kind == "pretrained" else f"{model.name}, {model.weights}"


def _orientations(recordings: dict[str, Recording], source: Path | None) -> tuple[OrientationCheck, ...]:
    """Check the orientation of the arrays of monkey 1 with at least two images; only ML has a verdict."""
    names = [name for name in ("monkey1_ML", "monkey1_PL") if name in recordings and len(recordings[name].images) > 1]
    return tuple(check_orientation(name, recordings[name], str(source or ""), decisive=name == "monkey1_ML")
                 for name in names)  # fmt: skip


def _verify_response_maps(file: Path, progress: Report) -> Verification:
    """Check what a file of response maps shows: its grid, its images and, for monkey 1, its orientation."""
    if not file.is_file():
        raise DataError(f"There is no file {file}.", "Name a file of response maps, an archive or a folder.")
    stored = shapes(file)
    checks: list[Check] = []
    recordings: dict[str, Recording] = {}
    for index, array in enumerate(ARRAYS.values()):
        progress(f"checking {array.name}", index, len(ARRAYS))
        if stored.get(f"{array.area}curr_data", ())[:2] == (array.positions, array.positions):
            recordings[array.name] = load_recording(array.name, source=file, progress=progress)
            checks += structure_of_response_maps(array, recordings[array.name])
    if not recordings:
        variables = ", ".join(f"{name} {shape}" for name, shape in stored.items()) or "no variables"
        raise DataError(
            f"{file} has no response maps; it has {variables}.",
            "Use a published file with MLcurr_data of 17 x 17 or 9 x 9 positions, and Expimages.",
        )
    first = next(iter(recordings.values()))
    start, stop = first.window
    absent = [f"{name} is not in this file." for name in ARRAYS if name not in recordings]
    notes = (
        f"These are response maps: the mean over sites, over {start}-{stop} ms. There are no checks of sites, rates, "
        "duration and time course, no noise ceilings, and no scores of models.",
        *absent,
        *([NOT_MONKEY2] if "monkey2_ML" in recordings else []),
        *(["The orientation is not checked: the published figure shows two images."] if len(first.images) < 2 else []),
    )
    simulated = any(recording.simulated for recording in recordings.values())
    shown = {name: recording for name, recording in recordings.items() if recording.subject == "monkey1"}
    return Verification(simulated, first.sha256, tuple(checks), (), _orientations(recordings, file), notes, shown)
