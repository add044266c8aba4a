"""What is kept of weights that were brought, and the record of what they were; read without torch."""

import json
from dataclasses import dataclass
from pathlib import Path

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.spec import ModelSpec
from brainscore_itmaps.settings import Settings

CONVERTED = "model.safetensors"
RECORD = "model.json"


@dataclass(frozen=True)
class Kept:
    """What the weights of a network were when they were converted; later downloads are held to it.

    Attributes
    ----------
    identifier : str
    origin : str
        Address or file that they came from.
    published : bool
        They came from the address that the authors publish, or have the hash that they state.
    file_sha256, file_size : str, int
        Of the file that was brought.
    converted_sha256, converted_size : str, int
        Of ``model.safetensors``.
    parameters_sha256 : str
        Of the network: names, shapes and values of all parameters and buffers.
    recorded : str
        When, UTC.
    notes : list of str
        What was decided in converting.
    """

    identifier: str
    origin: str
    published: bool
    file_sha256: str
    file_size: int
    converted_sha256: str
    converted_size: int
    parameters_sha256: str
    recorded: str
    notes: list[str]


def folder_of(spec: ModelSpec) -> Path:
    """Where the converted weights of a network are kept."""
    return Settings.from_environment().home / "weights" / spec.identifier


def kept_weights(spec: ModelSpec) -> Kept | None:
    """What is recorded of a network's weights, where the converted file is there too."""
    kept, file = recorded(spec), folder_of(spec) / CONVERTED
    whole = kept is not None and file.is_file() and file.stat().st_size == kept.converted_size
    return kept if whole else None


def recorded(spec: ModelSpec) -> Kept | None:
    """What is recorded of a network's weights, whether they are there or not.

    Raises
    ------
    ModelError
        When the record is damaged.
    """
    file = folder_of(spec) / RECORD
    if not file.is_file():
        return None
    try:
        return Kept(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{file} is damaged.", "Remove it; the weights are then fetched again.") from error
