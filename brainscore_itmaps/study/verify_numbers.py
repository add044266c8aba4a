"""Compare our noise ceilings and scores on the real recordings with published numbers.

The numbers of the tutorial of Linsley et al. (2023) are in ``published.json``. Those of the follow-up study are in its
tables (:mod:`brainscore_itmaps.data.published_tables`), which are downloaded.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from itertools import groupby, product
from pathlib import Path
from statistics import median

import pandas as pd

from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.data.arcaro2020 import ARRAYS, FOLLOW_UP
from brainscore_itmaps.data.images import PUBLISHED_SIZE
from brainscore_itmaps.data.load import load_recording
from brainscore_itmaps.data.published import CITATION
from brainscore_itmaps.errors import ItMapsError, one_line
from brainscore_itmaps.metrics.ceiling import reference_ceiling
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.study.verify_request import TIMM

SAME, CLOSE = 0.001, 0.02
"""Largest differences of numbers that are the same, and that are close."""
ROUNDING = 1e-9
VERDICTS = f"same: ours differs by at most {SAME:g}; close: by at most {CLOSE:g}; differs: by more."


@dataclass(frozen=True)
class PublishedNumber:
    """A published number, and how ours is computed.

    Attributes
    ----------
    what : "ceiling" or "predictivity"
        Kind of number; predictivity is not divided by the ceiling.
    array, window, model : str
    layer, published_layer : str
        Layer that is read here, and its published name; empty for noise ceilings, and for models without published
        numbers, of which the best block is read.
    published : float
        NaN if nothing is published.
    source : str
    protocol : "published" or "followup"
        Protocol with which the recording is read and the model is scored.
    """

    what: str
    array: str
    window: str
    model: str
    layer: str
    published_layer: str
    published: float
    source: str
    protocol: str


@dataclass(frozen=True)
class PublishedComparison(PublishedNumber):
    """A published number and ours.

    Attributes
    ----------
    what, array, window, model, layer, published_layer, published, source, protocol
        As in :class:`PublishedNumber`.
    ours : float or None
        None if it could not be computed.
    verdict : str
        "same", "close" or "differs"; "not run", "undefined" or "not published"; "simulated" if the recording is
        simulated, so that agreement would mean nothing.
    reason : str
        Why ours could not be computed.
    """

    ours: float | None
    verdict: str
    reason: str


def tutorial_numbers() -> list[PublishedNumber]:
    """List the numbers of the published tutorial.

    Examples
    --------
    >>> number = tutorial_numbers()[0]
    >>> number.what, number.array, number.published
    ('ceiling', 'monkey1_PL', 0.7893)
    """
    text = (files("brainscore_itmaps.study") / "published.json").read_text(encoding="utf-8")
    return [PublishedNumber(**number) for number in json.loads(text)]


def followup_numbers(tables: pd.DataFrame, models: Sequence[str], windows: Sequence[str]) -> list[PublishedNumber]:
    """List the numbers of the follow-up study: ceilings of all arrays and windows, and scores of some models.

    Parameters
    ----------
    tables : DataFrame
        As read by :func:`~brainscore_itmaps.data.published_tables.read_published_maps`; its shifted rows are left out.
    models : sequence of str
        Names with the prefix ``timm:``.
    windows : sequence of str
        Windows of the scores, such as ``followup_131_170``.
    """
    place = {pair: number for number, pair in enumerate(product(ARRAYS, FOLLOW_UP))}
    rows = tables[~tables["shifted"]].to_dict("records")
    rows.sort(key=lambda row: place[str(row["array"]), str(row["window"])])
    numbers = []
    for (array, window), group in groupby(rows, key=lambda row: (str(row["array"]), str(row["window"]))):
        ceiling = median(float(row["ceiling"]) for row in group)  # the same in all rows
        numbers.append(PublishedNumber("ceiling", array, window, "", "", "", ceiling, CITATION, "followup"))
    for model, row in product(models, rows):
        if model == f"{TIMM}{row['model']}" and row["window"] in windows:
            array, window = str(row["array"]), str(row["window"])
            layer, raw = str(row["layer"]), float(row["raw"])
            numbers.append(
                PublishedNumber("predictivity", array, window, model, layer, layer, raw, CITATION, "followup")
            )
    return numbers


def requested_numbers(
    models: Sequence[str], windows: Sequence[str], tables: pd.DataFrame | None
) -> list[PublishedNumber]:
    """List the published numbers of models, and the windows of models without published numbers.

    Parameters
    ----------
    models : sequence of str
    windows : sequence of str
        Windows of the follow-up study.
    tables : DataFrame or None
        Tables of the follow-up study; without them, only the numbers of the tutorial are listed.
    """
    numbers = [number for number in tutorial_numbers() if not number.model or number.model in models]
    if tables is None:
        return numbers
    numbers += followup_numbers(tables, models, windows)
    known = {number.model for number in numbers}
    for model in models:
        if model not in known:
            numbers += [PublishedNumber("predictivity", array, window, model, "", "", math.nan, "", "followup")
                        for array in ARRAYS for window in windows]  # fmt: skip
    return sorted(numbers, key=lambda number: (bool(number.model), [*models, ""].index(number.model)))


def compared(
    numbers: Sequence[PublishedNumber],
    models: Mapping[str, Model],
    simulated: bool,
    source: Path | None = None,
    device: str = "auto",
    progress: Report = silent,
) -> Iterator[PublishedComparison]:
    """Compute our number for each published one, and compare both.

    Each model is loaded once. Scores of layers are cached, so that an interrupted comparison resumes.

    Parameters
    ----------
    numbers : sequence of PublishedNumber
    models : mapping of str to Model
        Models that are loaded already, by name.
    simulated : bool
        Whether the recordings are simulated, so that there are no verdicts.
    source : Path, optional
        Source of the recordings.
    device : str
        As for :func:`brainscore_itmaps.score`.
    progress : callable
        Called with (step, steps done, steps in all).
    """
    loaded: dict[str, Model | Exception] = dict(models)
    for index, number in enumerate(numbers):
        progress(f"{number.model or 'ceiling'} on {number.array}", index, len(numbers))
        ours, reason = None, ""
        try:
            if number.model and number.model not in loaded:
                loaded = {**models, number.model: _loaded(number.model)}
            ours = our_number(number, loaded.get(number.model), source, device)
        except ItMapsError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - raised by a model: the others are still compared
            reason = f"{type(error).__name__}: {one_line(error)}."
        yield PublishedComparison(**asdict(number), ours=ours, verdict=verdict_of(number, ours, simulated),
                                  reason=reason)  # fmt: skip


def our_number(number: PublishedNumber, model: "Model | Exception | None", source: Path | None, device: str) -> float:
    """Compute our value of a published number.

    Raises
    ------
    ItMapsError
        When the recording cannot be read or the model cannot be scored, for example because a layer has no map.
    """
    if isinstance(model, Exception):
        raise model
    recording = load_recording(number.array, number.window, source, protocol=number.protocol)
    if model is None:
        return float(reference_ceiling(recording.maps).mean())
    layers = [number.layer] if number.layer else "all"
    options = {"interval": "fixed", "controls": False}  # which are not compared
    return score(model, recording, layers, protocol=number.protocol, device=device, **options).raw  # type: ignore[arg-type]


def verdict_of(number: PublishedNumber, ours: float | None, simulated: bool) -> str:
    """Return the verdict on our number; :data:`VERDICTS` is the rule.

    Examples
    --------
    >>> number = PublishedNumber("ceiling", "monkey1_ML", "tutorial", "", "", "", 0.5, "made up", "published")
    >>> [verdict_of(number, ours, False) for ours in (0.501, 0.519, 0.53, float("nan"), None)]
    ['same', 'close', 'differs', 'undefined', 'not run']
    """
    if ours is None:
        return "not run"
    if simulated:
        return "simulated"
    if not math.isfinite(ours):
        return "undefined"
    if not math.isfinite(number.published):
        return "not published"
    difference = abs(ours - number.published) - ROUNDING
    return "same" if difference <= SAME else "close" if difference <= CLOSE else "differs"


def _loaded(name: str) -> Model | Exception:
    """Load a model, with the published size of images if its architecture takes any; or return the error."""
    try:
        model = load_model(name)
    except Exception as error:  # noqa: BLE001 - the same for all numbers of the model, which is not loaded again
        return error
    settings = getattr(model.module, "pretrained_cfg", {})
    if name.startswith(TIMM) and model.spec.size != PUBLISHED_SIZE and not settings.get("fixed_input_size", True):
        return replace(model, spec=replace(model.spec, size=PUBLISHED_SIZE))
    return model
