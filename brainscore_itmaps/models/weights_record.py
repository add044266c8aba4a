"""Read the record of downloaded and converted weights, without torch."""

from dataclasses import dataclass
from pathlib import Path

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.models.spec import ModelSpec
from brainscore_itmaps.pinned import read_record
from brainscore_itmaps.settings import Settings

CONVERTED = "model.safetensors"
RECORD = "model.json"


@dataclass(frozen=True)
class WeightsRecord:
    """Record of converted weights; later files must have the same sha256.

    Attributes
    ----------
    identifier : str
    origin : str
        Address or file of the original weights.
    published : bool
        The file is from the address that the authors publish, or has the sha256 that they state.
    file_sha256, file_size : str, int
        Of the original file.
    converted_sha256, converted_size : str, int
        Of ``model.safetensors``.
    parameters_sha256 : str
        Of the model: names, shapes and values of all parameters and buffers.
    recorded : str
        Time, UTC.
    notes : list of str
        Choices made in the conversion.
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
    """Return the folder with the converted weights of a model."""
    return Settings.from_environment().home / "weights" / spec.identifier


def read_weights_record(spec: ModelSpec) -> WeightsRecord | None:
    """Read the record of a model's weights if the converted file exists and has the recorded size."""
    record, file = recorded(spec), folder_of(spec) / CONVERTED
    complete = record is not None and file.is_file() and file.stat().st_size == record.converted_size
    return record if complete else None


def recorded(spec: ModelSpec) -> WeightsRecord | None:
    """Read the record of a model's weights, also where the converted file is missing.

    Raises
    ------
    ModelError
        When the record is damaged.
    """
    fix = "Remove it; the weights are then downloaded again."
    return read_record(folder_of(spec) / RECORD, lambda content: WeightsRecord(**content), fix, ModelError)
