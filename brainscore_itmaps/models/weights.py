"""Published weights that are converted once, and kept with a record of what they were."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import locked, replacing
from brainscore_itmaps.files import sha256 as hash_of_file
from brainscore_itmaps.models.build import build
from brainscore_itmaps.models.checkpoint import fill_from_tensors, read_tensors
from brainscore_itmaps.models.from_keras import fill_from_keras
from brainscore_itmaps.models.network import hash_of
from brainscore_itmaps.models.spec import KerasWeights, ModelSpec
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

CONVERTED = "model.safetensors"
RECORD = "model.json"
SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."


@dataclass(frozen=True)
class Kept:
    """What the weights of a network were when they were converted; later downloads are held to it.

    Attributes
    ----------
    identifier : str
    origin : str
        Address or file that they came from.
    published : bool
        They came from the address that the authors publish.
    file_sha256, file_size : str, int
        Of the Keras file.
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
    recorded, file = _record(spec), folder_of(spec) / CONVERTED
    whole = recorded is not None and file.is_file() and file.stat().st_size == recorded.converted_size
    return recorded if whole else None


def fetch_weights(spec: ModelSpec, file: Path | None = None, progress: Report = silent) -> Kept:
    """Bring a network's published Keras file, convert it, and record what it was.

    Nothing is written before the whole file is read and every tensor of it is in its place. Where the authors state no
    checksum, the first file that is in order is recorded, and from then on no other one is taken. Processes that ask at
    the same time wait for one download. The Keras file is not kept.

    Parameters
    ----------
    spec : ModelSpec
        Of a network whose weights are a :class:`KerasWeights`.
    file : Path, optional
        A Keras file that is on disk already; nothing is downloaded.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    ModelError
        When the file is not the expected one, or there is none and ``ITMAPS_OFFLINE`` is set.
    DataError, InstallationError
        When the server has no such file, the network fails, or the folder cannot be written to.
    """
    assert isinstance(spec.weights, KerasWeights)
    folder, url = folder_of(spec), spec.weights.url
    if file is None and (kept := kept_weights(spec)) is not None:
        return kept
    with locked(folder, SET_HOME, progress):
        if file is not None:
            return _convert(spec, file, str(file), progress)
        if (kept := kept_weights(spec)) is not None:  # while we waited, another process brought it
            return kept
        give = f"brainscore score --model {spec.identifier} --weights FILE"
        if Settings.from_environment().offline:
            raise ModelError(
                f"The weights of {spec.identifier} are not here, and offline mode forbids fetching them.",
                f"Bring {url} and give it with `{give}`.",
            )
        candidate = folder / f".candidate-{Path(url).name}"
        try:
            download(url, candidate, sha256=spec.weights.sha256, progress=progress, give=give)
            return _convert(spec, candidate, url, progress)
        finally:
            candidate.unlink(missing_ok=True)


def load_kept(spec: ModelSpec, module: torch.nn.Module, kept: Kept) -> None:
    """Fill a network with its converted weights.

    Raises
    ------
    ModelError
        When they are not any more what was recorded.
    """
    file = folder_of(spec) / CONVERTED
    fix = f"Remove {file}; it is fetched again when the network is next loaded."
    if hash_of_file(file) != kept.converted_sha256:
        raise ModelError(f"{file} is not the file that was recorded when it was converted.", fix)
    fill_from_tensors(module, read_tensors(file), file, spec.architecture)
    if hash_of(module) != kept.parameters_sha256:
        raise ModelError(f"{file} gives other parameters than it did when it was converted.", fix)


def _convert(spec: ModelSpec, file: Path, origin: str, progress: Report) -> Kept:
    from safetensors.torch import save_file

    assert isinstance(spec.weights, KerasWeights)
    hashed = hash_of_file(file)
    before = _record(spec)
    _refuse_other(hashed, spec.weights.sha256, origin, "as its authors publish it")
    _refuse_other(hashed, before.file_sha256 if before else None, origin, f"as recorded in {folder_of(spec) / RECORD}")
    module = build(spec.architecture, 0, **spec.options)
    notes = fill_from_keras(module, spec.architecture, file, progress)
    with replacing(folder_of(spec) / CONVERTED, SET_HOME) as beside:
        tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(tensors, beside, {"format": "pt", "network": spec.identifier, "origin": origin})
        converted, size = hash_of_file(beside), beside.stat().st_size
    kept = Kept(
        identifier=spec.identifier,
        origin=origin,
        published=origin == spec.weights.url,
        file_sha256=hashed,
        file_size=file.stat().st_size,
        converted_sha256=converted,
        converted_size=size,
        parameters_sha256=hash_of(module),
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=list(notes),
    )
    with replacing(folder_of(spec) / RECORD, SET_HOME) as beside:
        beside.write_text(json.dumps(asdict(kept), indent=1) + "\n", encoding="utf-8")
    return kept


def _record(spec: ModelSpec) -> Kept | None:
    file = folder_of(spec) / RECORD
    if not file.is_file():
        return None
    try:
        return Kept(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{file} is damaged.", "Remove it; the weights are then fetched again.") from error


def _refuse_other(found: str, expected: str | None, what: str, said: str) -> None:
    if expected is not None and found != expected.lower():
        raise ModelError(
            f"{what} is another file (sha256 {found[:12]}...) than {said} ({expected[:12].lower()}...).",
            "Give the file of that hash; or, if the authors have replaced it, remove the record first.",
        )
