"""Compute what a contribution states: SHA-1 of its files, shapes of its data, and expected values of its tests."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from PIL import Image

from brainscore_itmaps.bridge.assembly import assembly, package
from brainscore_itmaps.bridge.contribution import (
    FROM_REPEATS,
    FROM_SITES,
    BenchmarkPart,
    Dataset,
    Known,
    Plan,
    S3Facts,
    weight_file,
)
from brainscore_itmaps.bridge.leaderboard import LeaderboardBenchmark, ceiling_from_repeats, ceiling_from_sites
from brainscore_itmaps.bridge.leaderboard_model import preprocess
from brainscore_itmaps.bridge.leaderboard_probe import probe_model
from brainscore_itmaps.data.load import is_stored, load_recording
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, ItMapsError
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.spec import ModelSpec, PackagedWeights
from brainscore_itmaps.progress import Report, silent

CEILINGS = {FROM_REPEATS: ceiling_from_repeats, FROM_SITES: ceiling_from_sites}


def known_of(plan: Plan, s3: S3Facts, folder: Path, progress: Report = silent) -> Known:
    """Compute what is known of a contribution, and write its files for S3 into a folder.

    Recordings and weights that are not on this computer are left out; nothing is downloaded.

    Parameters
    ----------
    plan : Plan
    s3 : S3Facts
    folder : Path
        Gets the packaged recordings and weights.
    progress : callable
        Called with (step, steps done, steps in all).

    Returns
    -------
    Known

    Raises
    ------
    DataError
        When a file on this computer is not the file on S3, or recordings cannot be contributed.
    """
    sha1: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    scores: dict[str, dict[str, float]] = {}
    activity: dict[str, tuple[float, float]] = {}
    for dataset in plan.datasets:
        if recordings := stored_recordings(dataset):
            for recording in recordings.values():
                check_contributable(recording, dataset)
                files = package(recording, folder)["files"]
                sha1 |= {file["name"]: file["sha1"] for file in files}
            shapes |= {dataset.assemblies[name][0]: _shape(each) for name, each in recordings.items()}
    for part in plan.benchmarks:
        if recordings := stored_recordings(part.dataset):
            progress(f"scoring a model of one convolution on {part.identifier}", 0, 1)
            scores[part.identifier] = probe_score(part, recordings)
    for number, spec in enumerate(plan.models):
        progress("reading weights", number, len(plan.models))
        if (model := present_model(spec)) is None:
            continue
        if not isinstance(spec.weights, PackagedWeights):
            sha1[weight_file(spec)] = write_weights(model, folder)["sha1"]
        activity[spec.identifier] = activity_of(model)
    for name, digest in sha1.items():
        if s3.sha1.get(name, digest) != digest:
            raise DataError(
                f"{name} on this computer has the SHA-1 {digest}, and the S3 facts state {s3.sha1[name]}.",
                "Upload the file again, and state its version_id and sha1.",
            )
    return Known(s3, sha1, shapes, scores, activity)


def stored_recordings(dataset: Dataset) -> dict[str, Recording]:
    """Load the recordings of a dataset if all of them are on this computer; else return nothing.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import DATA
    >>> list(stored_recordings(DATA["it_maps_simulated"]))
    ['it_maps_simulated']
    """
    if not dataset.simulated and not all(is_stored(name) for name in dataset.assemblies):
        return {}
    return {name: load_recording(name) for name in dataset.assemblies}


def check_contributable(recording: Recording, dataset: Dataset) -> None:
    """Check that a recording has the ceiling that its benchmark computes, and no identical images.

    Raises
    ------
    DataError
        When it has not.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import DATA
    >>> check_contributable(load_recording("it_maps_simulated"), DATA["it_maps_simulated"])
    """
    if recording.simulated and not dataset.simulated:
        raise DataError(
            f"{recording.identifier} is a SIMULATED stand-in: no monkey was recorded, so it is not contributed.",
            "Download the recordings: brainscore data fetch.",
        )
    if (recording.repeats is not None) != (dataset.ceiling == FROM_REPEATS):
        has = "repeats" if recording.repeats is not None else "no repeats"
        raise DataError(f"{recording.identifier} has {has}, and the benchmark's noise ceiling expects otherwise.",
                        "Download the recording again: brainscore data fetch.")  # fmt: skip
    if recording.duplicates:
        raise DataError(
            f"{recording.identifier} has identical images, which the exported benchmark would not leave out together.",
            "Contribute a recording of different images.",
        )


def _shape(recording: Recording) -> tuple[int, ...]:
    images, rows, columns, sites = recording.maps.shape
    return images, 1 if recording.repeats is None else recording.repeats.shape[1], rows, columns, sites


def leaderboard_benchmark(part: BenchmarkPart, recordings: Mapping[str, Recording]) -> LeaderboardBenchmark:
    """Build the benchmark that a contribution registers, from recordings on this computer.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.contribution import BENCHMARKS
    >>> part = BENCHMARKS["it_maps_simulated"]
    >>> leaderboard_benchmark(part, stored_recordings(part.dataset)).identifier
    'it_maps_simulated'
    """

    def loader(recording: Recording) -> Callable[[], NeuroidAssembly]:
        return lambda: assembly(recording, repeats=True)

    arrays = [loader(recording) for recording in recordings.values()]
    ceiling_of = CEILINGS[part.dataset.ceiling]
    return LeaderboardBenchmark(part.identifier, arrays, ceiling_of, 1, part.dataset.citation, part.parent)


def probe_score(part: BenchmarkPart, recordings: Mapping[str, Recording]) -> dict[str, float]:
    """Score the model of one convolution; its score is tested in the contribution."""
    from brainscore_itmaps.bridge.quiet import without_progress_bars

    with without_progress_bars():
        score = leaderboard_benchmark(part, recordings)(probe_model())
    if not np.isfinite(score.attrs["uncut"]):
        raise DataError(
            f"{part.identifier} gives no score: {score.attrs['reason']}.",
            "Download the recordings: brainscore data fetch.",
        )
    return {
        "raw": float(score.attrs["raw"]),
        "ceiling": float(score.attrs["ceiling"]),
        "score": float(score.attrs["uncut"]),
    }


def present_model(spec: ModelSpec) -> Model | None:
    """Load a model if its weights are on this computer, without downloading; else return None."""
    from brainscore_itmaps.settings import overridden

    with overridden(offline=True):
        try:
            return load_model(spec.identifier)
        except ItMapsError:
            return None


def write_weights(model: Model, folder: Path) -> dict[str, Any]:
    """Write the weights of a model as safetensors, with the same bytes each time.

    Parameters
    ----------
    model : Model
    folder : Path
        It is created if it is missing.

    Returns
    -------
    dict
        ``name``, ``size`` and ``sha1`` of the file.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = [write_weights(load_model("levit_128_timm_baseline", "random"), Path(folder)) for _ in range(2)]
    >>> written[0]["name"], written[0] == written[1]
    ('levit_128_timm_baseline.safetensors', True)
    """
    from safetensors.torch import save_file

    from brainscore_itmaps.files import replacing

    file = folder / weight_file(model.spec)
    with replacing(file) as partial:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.module.state_dict().items()}
        save_file(tensors, partial, {"format": "pt"})
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha1").hexdigest()
    return {"name": file.name, "size": file.stat().st_size, "sha1": digest}


def activity_of(model: Model) -> tuple[float, float]:
    """Return mean and standard deviation of a model's IT layer for the drawn image of its exported test."""
    height, width = np.indices((300, 300))
    drawn = np.stack([height % 256, width % 256, (height // 20 + width // 20) % 2 * 255], axis=-1)
    spec, outputs = model.spec, []
    layer = model.module.get_submodule(spec.layers["IT"])
    handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach().cpu().numpy()))
    try:
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            Image.fromarray(drawn.astype(np.uint8)).save(Path(folder, "drawn.png"))
            inputs = preprocess([Path(folder, "drawn.png")], spec.size, spec.mean, spec.std, spec.interpolation)
            model.module(torch.from_numpy(inputs))
    finally:
        handle.remove()
    return float(outputs[0].mean()), float(outputs[0].std())
