"""What `brainscore verify-real` is asked to compare: models, windows and published tables, without importing torch."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brainscore_itmaps.bridge.names import check_names, is_named_model
from brainscore_itmaps.data.arcaro2020 import ARRAYS, FOLLOW_UP
from brainscore_itmaps.data.published import LICENCE, fetch_published
from brainscore_itmaps.data.published_tables import read_published_maps
from brainscore_itmaps.errors import DataError, InstallationError, UsageError, nearest
from brainscore_itmaps.progress import Report, silent

MODELS = ("harmonized_resnet50", "timm:resnet50.tv_in1k", "timm:vgg16.tv_in1k", "timm:efficientnet_b0.ra_in1k")
"""Models that are scored by default."""
WINDOWS = tuple(FOLLOW_UP)
"""Windows of the follow-up study, in which models are scored by default."""
TIMM = "timm:"


def published_tables(progress: Report = silent) -> tuple[pd.DataFrame | None, str]:
    """Read the published tables of the follow-up study, after downloading those that are missing.

    Returns
    -------
    DataFrame or None
        None if they cannot be downloaded.
    str
        The reason; for tables that were downloaded now, their licence.
    """
    try:
        downloaded = fetch_published(progress=progress)
        return read_published_maps(), LICENCE if downloaded else ""
    except (DataError, InstallationError) as error:
        return None, str(error)


def check_models(names: Sequence[str], tables: pd.DataFrame | None) -> None:
    """Check that each name is that of a model, before anything is computed.

    Parameters
    ----------
    names : sequence of str
    tables : DataFrame or None
        The published tables.

    Raises
    ------
    UsageError, ModelError
        With similar names. A name with the prefix ``timm:`` must be in the tables, unless there are none.

    Examples
    --------
    >>> check_models(["timm:resnet50.tv_in1k"], pd.DataFrame({"model": ["resnet50.tv_in1k"]}))
    """
    for name in names:
        if tables is None or not name.startswith(TIMM):
            check_names(name, None)
            if not is_named_model(name):
                raise UsageError(
                    f"{name} is a model of Brain-Score, which has its own preprocessing.",
                    "Name a model of this package or of timm.",
                )
        elif name not in (published := {f"{TIMM}{model}" for model in tables["model"]}):
            tagged = [model for model in published if model.startswith(f"{name}.")]
            fix = f"{nearest(name, tagged or published)} Names include the tag of the weights."
            raise UsageError(f"The published tables have no model named {name!r}.", fix)


def check_windows(windows: Sequence[str]) -> None:
    """Check that windows are those of the follow-up study.

    Raises
    ------
    UsageError
        With similar names.

    Examples
    --------
    >>> check_windows(["followup_131_170"])
    """
    for window in windows:
        if window not in FOLLOW_UP:
            raise UsageError(f"The follow-up study has no window {window!r}.", nearest(window, FOLLOW_UP))


def is_response_maps(source: Path | None) -> bool:
    """Return whether a source is a file of the authors' response maps, not the published recordings.

    Examples
    --------
    >>> is_response_maps(Path("Arcaro2020.zip")), is_response_maps(Path("ResponseMaps.mat"))
    (False, True)
    """
    names = {array.mat for array in ARRAYS.values()}
    return source is not None and source.suffix.lower() == ".mat" and source.name not in names
