"""Download and convert the weights of a model once, with a record of both files, and load them."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import replacing, write_json
from brainscore_itmaps.files import sha256 as hash_of_file
from brainscore_itmaps.models.build import build
from brainscore_itmaps.models.checkpoint import fill_from_tensors, read_weights
from brainscore_itmaps.models.keras_weights import fill_from_keras
from brainscore_itmaps.models.model import hash_parameters
from brainscore_itmaps.models.spec import KerasWeights, ModelSpec
from brainscore_itmaps.models.weights_record import (
    CONVERTED,
    RECORD,
    WeightsRecord,
    folder_of,
    read_weights_record,
    recorded,
)
from brainscore_itmaps.pinned import candidate_file, check_sha256, fetch_once
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import SET_HOME, Settings

OTHER_FILE = "Give the file with that sha256; or, if the authors have replaced the file, delete the record first."


def fetch_weights(
    spec: ModelSpec,
    file: Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    progress: Report = silent,
) -> WeightsRecord:
    """Download the weight file of a model, convert it to safetensors, and record the hashes of both files.

    The converted file is written only after every tensor was read and assigned to its parameter. If the authors publish
    no checksum, the first valid file is recorded, and no other file is accepted afterwards. Concurrent processes wait
    for a single download. The original file is not stored.

    Parameters
    ----------
    spec : ModelSpec
        Model whose weights are :class:`KerasWeights`; with ``file``, also :class:`TimmWeights`.
    file : Path, optional
        Weight file on disk, which is converted instead of a download.
    url : str, optional
        Mirror of the published file.
    sha256 : str, optional
        Expected sha256 of the file.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    WeightsRecord

    Raises
    ------
    ModelError
        When the file is invalid or is not the expected one, or is missing and ``ITMAPS_OFFLINE`` is set.
    DataError, InstallationError
        When the download fails, or the folder cannot be written to.
    """
    folder = folder_of(spec)

    def fetch() -> WeightsRecord:
        if file is not None:
            return _convert(spec, file, str(file), sha256, progress)
        assert isinstance(spec.weights, KerasWeights)
        origin, command = url or spec.weights.url, f"brainscore models fetch {spec.identifier} --from FILE"
        if Settings.from_environment().offline:
            raise ModelError(
                f"The weights of {spec.identifier} are missing, and offline mode forbids downloading them.",
                f"Download {origin} and give it with `{command}`.",
            )
        expected, path = sha256 or spec.weights.sha256, folder / Path(spec.weights.url).name
        with candidate_file(origin, path, command, expected, progress) as candidate:
            return _convert(spec, candidate, origin, sha256, progress)

    record = fetch_once(lambda: read_weights_record(spec) if file is None else None, fetch, folder, progress)
    requested, name = {"the requested sha256": sha256}, f"The recorded file of {spec.identifier}"
    check_sha256(record.file_sha256, requested, name, OTHER_FILE, ModelError)
    return record


def load_converted(spec: ModelSpec, module: torch.nn.Module, record: WeightsRecord) -> None:
    """Copy the converted weights of a model into its module, and verify their hashes.

    Parameters
    ----------
    spec : ModelSpec
    module : torch.nn.Module
        Changed in place.
    record : WeightsRecord

    Raises
    ------
    ModelError
        When the hash of the file or of the parameters is not the recorded one.
    """
    file = folder_of(spec) / CONVERTED
    fix = f"Delete {file}; the weights are downloaded again when the model is next loaded."
    check_sha256(hash_of_file(file), {"the recorded sha256": record.converted_sha256}, f"{file}", fix, ModelError)
    fill_from_tensors(module, read_weights(file, module).tensors, file, spec.architecture)
    if hash_parameters(module) != record.parameters_sha256:
        raise ModelError(f"The parameters in {file} are not those that were recorded at the conversion.", fix)


def _convert(spec: ModelSpec, file: Path, origin: str, sha256: str | None, progress: Report) -> WeightsRecord:
    """Verify a weight file, convert it to safetensors, and write the record."""
    from safetensors.torch import save_file

    if not file.is_file():
        raise ModelError(f"There is no file {file}.", "Give the path of a weight file.")
    digest, published, record = hash_of_file(file), getattr(spec.weights, "sha256", None), recorded(spec)
    expected = {
        "the requested sha256": sha256,
        "the published sha256": published,
        f"the sha256 in {folder_of(spec) / RECORD}": record.file_sha256 if record else None,
    }
    check_sha256(digest, expected, origin, OTHER_FILE, ModelError)
    module = build(spec.architecture, 0, **spec.options)
    notes: tuple[str, ...] = ()
    if isinstance(spec.weights, KerasWeights):
        notes = fill_from_keras(module, spec.architecture, file, progress)
    else:
        fill_from_tensors(module, read_weights(file, module).tensors, file, spec.architecture)
    with replacing(folder_of(spec) / CONVERTED, SET_HOME) as temporary:
        tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(tensors, temporary, {"format": "pt", "model": spec.identifier, "origin": origin})
        converted, size = hash_of_file(temporary), temporary.stat().st_size
    record = WeightsRecord(
        identifier=spec.identifier,
        origin=origin,
        published=digest == published or origin == getattr(spec.weights, "url", None),
        file_sha256=digest,
        file_size=file.stat().st_size,
        converted_sha256=converted,
        converted_size=size,
        parameters_sha256=hash_parameters(module),
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=list(notes),
    )
    write_json(folder_of(spec) / RECORD, asdict(record), SET_HOME)
    return record
