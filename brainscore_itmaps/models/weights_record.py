"""Read the record of downloaded and converted weights, without importing torch."""

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
    """The record of downloaded and converted weights, with which later files must agree.

    Attributes
    ----------
    identifier : str
        Name of the model in the zoo.
    origin : str
        Address or path of the original weight file.
    published : bool
        The file is from the address that the authors publish, or has the sha256 that they state.
    file_sha256, file_size : str, int
        Hash and size in bytes of the original file.
    converted_sha256, converted_size : str, int
        Hash and size in bytes of ``model.safetensors``.
    parameters_sha256 : str
        Hash of the names, types, shapes and values of all parameters and buffers.
    recorded : str
        Time of the conversion, in UTC.
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
    """Return the folder of a model's converted weights, which may not exist yet.

    Examples
    --------
    >>> from brainscore_itmaps.models.weights_record import folder_of
    >>> from brainscore_itmaps.models.zoo import ZOO
    >>> folder_of(ZOO["harmonized_vgg16"]).name
    'harmonized_vgg16'
    """
    return Settings.from_environment().home / "weights" / spec.identifier


def read_weights_record(spec: ModelSpec) -> WeightsRecord | None:
    """Read the record of a model's weights; None if the converted file is missing or has another size.

    Raises
    ------
    ModelError
        When the record is damaged.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainscore_itmaps.models.weights_record import read_weights_record
    >>> from brainscore_itmaps.models.zoo import ZOO
    >>> read_weights_record(replace(ZOO["harmonized_vgg16"], identifier="not_downloaded")) is None
    True
    """
    record, file = recorded(spec), folder_of(spec) / CONVERTED
    complete = record is not None and file.is_file() and file.stat().st_size == record.converted_size
    return record if complete else None


def recorded(spec: ModelSpec) -> WeightsRecord | None:
    """Read the record of a model's weights, even if the converted file is missing; None if there is no record.

    Raises
    ------
    ModelError
        When the record is damaged.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainscore_itmaps.models.weights_record import recorded
    >>> from brainscore_itmaps.models.zoo import ZOO
    >>> recorded(replace(ZOO["harmonized_vgg16"], identifier="not_downloaded")) is None
    True
    """
    fix = "Delete it; the weights are then downloaded again."
    return read_record(folder_of(spec) / RECORD, lambda content: WeightsRecord(**content), fix, ModelError)
