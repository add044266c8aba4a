"""Download the weights of a model once, convert them, and record both files."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import replacing, write_json
from brainscore_itmaps.files import sha256 as hash_of_file
from brainscore_itmaps.models.build import build
from brainscore_itmaps.models.checkpoint import fill_from_tensors, read_tensors
from brainscore_itmaps.models.keras_weights import fill_from_keras
from brainscore_itmaps.models.model import hash_of
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

OTHER_FILE = "Give the file with that sha256; or, if the authors have replaced it, remove the record first."


def fetch_weights(
    spec: ModelSpec,
    file: Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    progress: Report = silent,
) -> WeightsRecord:
    """Download the file of a model's weights, convert it, and record both.

    Nothing is written before the whole file is read and every tensor has its parameter. Where the authors publish no
    checksum, the first valid file is recorded, and no other file is accepted afterwards. Processes that ask at the same
    time wait for one download. The original file is not stored.

    Parameters
    ----------
    spec : ModelSpec
        Model whose weights are a :class:`KerasWeights`; with ``file``, any but packaged ones.
    file : Path, optional
        File on disk; nothing is downloaded.
    url : str, optional
        Mirror of the published file.
    sha256 : str, optional
        Expected sha256 of the file.
    progress : callable
        Called with (step, steps done, steps in all).

    Raises
    ------
    ModelError
        When the file is not the expected one, or is missing and ``ITMAPS_OFFLINE`` is set.
    DataError, InstallationError
        When the server does not have the file, the connection fails, or the folder cannot be written to.
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


def load_converted(spec: ModelSpec, module: torch.nn.Module, kept: WeightsRecord) -> None:
    """Load the converted weights into a model.

    Raises
    ------
    ModelError
        When the file or the parameters are not the recorded ones.
    """
    file = folder_of(spec) / CONVERTED
    fix = f"Remove {file}; it is downloaded again when the model is next loaded."
    check_sha256(hash_of_file(file), {"the recorded sha256": kept.converted_sha256}, f"{file}", fix, ModelError)
    fill_from_tensors(module, read_tensors(file), file, spec.architecture)
    if hash_of(module) != kept.parameters_sha256:
        raise ModelError(f"{file} contains other parameters than when it was converted.", fix)


def _convert(spec: ModelSpec, file: Path, origin: str, sha256: str | None, progress: Report) -> WeightsRecord:
    from safetensors.torch import save_file

    if not file.is_file():
        raise ModelError(f"There is no file {file}.", "Name a file with weights.")
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
        fill_from_tensors(module, read_tensors(file), file, spec.architecture)
    with replacing(folder_of(spec) / CONVERTED, SET_HOME) as beside:
        tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(tensors, beside, {"format": "pt", "model": spec.identifier, "origin": origin})
        converted, size = hash_of_file(beside), beside.stat().st_size
    record = WeightsRecord(
        identifier=spec.identifier,
        origin=origin,
        published=digest == published or origin == getattr(spec.weights, "url", None),
        file_sha256=digest,
        file_size=file.stat().st_size,
        converted_sha256=converted,
        converted_size=size,
        parameters_sha256=hash_of(module),
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=list(notes),
    )
    write_json(folder_of(spec) / RECORD, asdict(record), SET_HOME)
    return record
