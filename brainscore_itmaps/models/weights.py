"""Weights that are brought once, converted if need be, and kept with a record of what they were."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.files import locked, replacing, write_json
from brainscore_itmaps.files import sha256 as hash_of_file
from brainscore_itmaps.models.build import build
from brainscore_itmaps.models.checkpoint import fill_from_tensors, read_tensors
from brainscore_itmaps.models.from_keras import fill_from_keras
from brainscore_itmaps.models.kept import CONVERTED, RECORD, Kept, folder_of, kept_weights, recorded
from brainscore_itmaps.models.network import hash_of
from brainscore_itmaps.models.spec import KerasWeights, ModelSpec
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.settings import Settings

SET_HOME = "Set ITMAPS_HOME to a folder that you may write to."


def fetch_weights(
    spec: ModelSpec,
    file: Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    progress: Report = silent,
) -> Kept:
    """Bring the file of a network's weights, convert it, and record what it was.

    Nothing is written before the whole file is read and every tensor of it is in its place. Where the authors state no
    checksum, the first file that is in order is recorded, and from then on no other one is taken. Processes that ask at
    the same time wait for one download. The file itself is not kept.

    Parameters
    ----------
    spec : ModelSpec
        Of a network whose weights are a :class:`KerasWeights`; with ``file``, of any but packaged ones.
    file : Path, optional
        A file that is on disk already; nothing is downloaded.
    url : str, optional
        A mirror of the published file.
    sha256 : str, optional
        What the file's hash must be.
    progress : callable
        Told (what is being done, steps done, steps in all).

    Raises
    ------
    ModelError
        When the file is not the expected one, or there is none and ``ITMAPS_OFFLINE`` is set.
    DataError, InstallationError
        When the server has no such file, the network fails, or the folder cannot be written to.
    """
    folder = folder_of(spec)
    if file is None and (kept := kept_weights(spec)) is not None:
        _refuse_other(kept.file_sha256, sha256, f"What is kept of {spec.identifier}", "as you asked for")
        return kept
    with locked(folder, SET_HOME, progress):
        if file is not None:
            return _convert(spec, file, str(file), sha256, progress)
        if (kept := kept_weights(spec)) is not None:  # while we waited, another process brought it
            return kept
        assert isinstance(spec.weights, KerasWeights)
        origin = url or spec.weights.url
        give = f"brainscore models fetch {spec.identifier} --from FILE"
        if Settings.from_environment().offline:
            raise ModelError(
                f"The weights of {spec.identifier} are not here, and offline mode forbids fetching them.",
                f"Bring {origin} and give it with `{give}`.",
            )
        candidate = folder / f".candidate-{Path(spec.weights.url).name}"
        try:
            download(origin, candidate, sha256=sha256 or spec.weights.sha256, progress=progress, give=give)
            return _convert(spec, candidate, origin, sha256, progress)
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


def _convert(spec: ModelSpec, file: Path, origin: str, sha256: str | None, progress: Report) -> Kept:
    from safetensors.torch import save_file

    if not file.is_file():
        raise ModelError(f"There is no file {file}.", "Name a file with weights.")
    hashed = hash_of_file(file)
    before, stated = recorded(spec), getattr(spec.weights, "sha256", None)
    _refuse_other(hashed, sha256, origin, "as you asked for")
    _refuse_other(hashed, stated, origin, "as its authors publish it")
    _refuse_other(hashed, before.file_sha256 if before else None, origin, f"as recorded in {folder_of(spec) / RECORD}")
    module = build(spec.architecture, 0, **spec.options)
    notes: tuple[str, ...] = ()
    if isinstance(spec.weights, KerasWeights):
        notes = fill_from_keras(module, spec.architecture, file, progress)
    else:
        fill_from_tensors(module, read_tensors(file), file, spec.architecture)
    with replacing(folder_of(spec) / CONVERTED, SET_HOME) as beside:
        tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(tensors, beside, {"format": "pt", "network": spec.identifier, "origin": origin})
        converted, size = hash_of_file(beside), beside.stat().st_size
    kept = Kept(
        identifier=spec.identifier,
        origin=origin,
        published=hashed == stated or origin == getattr(spec.weights, "url", None),
        file_sha256=hashed,
        file_size=file.stat().st_size,
        converted_sha256=converted,
        converted_size=size,
        parameters_sha256=hash_of(module),
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=list(notes),
    )
    write_json(folder_of(spec) / RECORD, asdict(kept), SET_HOME)
    return kept


def _refuse_other(found: str, expected: str | None, what: str, said: str) -> None:
    if expected is not None and found != expected.lower():
        raise ModelError(
            f"{what} is another file (sha256 {found[:12]}...) than {said} ({expected[:12].lower()}...).",
            "Give the file of that hash; or, if the authors have replaced it, remove the record first.",
        )
