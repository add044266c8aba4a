"""The files of results: saving replaces an older result completely or not at all; loading reads all versions."""

import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np

from brainscore_itmaps.benchmark.catalogue import HUMAN_ALIGNMENT
from brainscore_itmaps.benchmark.codec import array_prefixes, decode, encode
from brainscore_itmaps.benchmark.result import FORMAT, VERSION, AttackedImages, Result
from brainscore_itmaps.errors import DataError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, csv_text, replacing, sha256
from brainscore_itmaps.models.names import source_of
from brainscore_itmaps.models.runs import is_run
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.protocol import OLD_SPELLING

KINDS_OF_WEIGHTS = {
    "random (seed ": "random",
    "file ": "file",
    "as they were given": "module",
    "as Brain-Score ": "external",
}
"""Kind of weights by the first words of the sentence in results of version 2."""
OLDER = (
    "this result is of version {version} of {benchmark}: later versions compute the noise ceiling without repeats, the "
    "interval and the explained share otherwise (CHANGELOG.md), so compare it only with results of its own version"
)
HOUR = 3600.0
CONTROLS_CSV = "controls.csv"
ESTIMATED = ("raw", "ceiling", "score", "error")
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, BadZipFile, ZlibError)


def save_result(result: Result, folder: Path, fix: str = ANOTHER_FOLDER) -> tuple[Path, ...]:
    """Write the files of a result; see :meth:`~brainscore_itmaps.benchmark.result.Result.save`.

    The large files are first written under temporary names that contain their hashes. The JSON, which holds the hashes,
    then replaces the older JSON atomically, and the large files are renamed. A reader in between finds the large files
    by their hashes.

    Examples
    --------
    >>> import tempfile
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Estimate, Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
    ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in save_result(result, Path(folder))]
    ['resnet--V4.json']
    """
    file = folder / f"{result.file_stem}.json"
    with_arrays = result.arrays or result.attacked is not None
    contents = {"csv": _rows(result), "npz": _arrays(result)} if with_arrays else {}
    if result.controls:
        contents[CONTROLS_CSV] = _rows_of_controls(result)
    hashes = {ending: hashlib.sha256(content).hexdigest() for ending, content in contents.items()}
    temporary = {ending: _temporary_path(file, ending, hashed) for ending, hashed in hashes.items()}
    plain = result.to_dict() | {f"{ending}_sha256": hashed for ending, hashed in hashes.items()}
    try:
        for ending, content in contents.items():
            with replacing(temporary[ending], fix) as partial:
                partial.write_bytes(content)
        with replacing(file, fix) as partial:
            partial.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    finally:
        for ending, written in temporary.items():
            _rename_or_remove(file, ending, written)
    _remove_leftovers(file)
    if CONTROLS_CSV not in contents:  # of an older result
        _final_path(file, CONTROLS_CSV).unlink(missing_ok=True)
    return (file, *(_final_path(file, ending) for ending in contents))


def load_result(file: Path, retry: bool = True) -> Result:
    """Read a result; see :meth:`~brainscore_itmaps.benchmark.result.Result.load`.

    Parameters
    ----------
    file : Path
        The JSON file.
    retry : bool
        Read a second time if the files do not fit together, because another process may have replaced them meanwhile.

    Raises
    ------
    DataError
        When a file is missing, damaged or of an unknown version, or the two files were not written together.

    Examples
    --------
    >>> import tempfile
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Estimate, Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
    ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (file,) = save_result(result, Path(folder))
    ...     load_result(file).score
    0.5
    """
    if not file.is_file():
        raise DataError(f"There is no file {file}.", "Give the JSON file that Result.save or `brainscore score` wrote.")
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.get("format", FORMAT) != FORMAT:
            raise ValueError(f"it is not a {FORMAT}")
        if plain.get("version", 0) not in VERSIONS:
            raise ValueError(f"it has the unknown version {plain['version']!r}; known versions are 2 to {VERSION}")
        arrays: dict[str, Any] = {}
        if "npz_sha256" in plain:
            stored = _final_path(file, "npz")
            if (temporary := _temporary_path(file, "npz", plain["npz_sha256"])).is_file():
                stored = temporary
            if sha256(stored) != plain["npz_sha256"]:
                raise ValueError(f"{stored.name} is not the file that was written with it")
            with np.load(stored, allow_pickle=False) as opened:
                arrays = {name: opened[name] for name in opened}
        result: Result = decode(Result, VERSIONS[plain.get("version", 0)](plain), arrays)
        if result.kind == "maps" and not result.arrays:
            raise ValueError("it has no arrays")
        return result
    except UNREADABLE as error:
        if retry:
            return load_result(file, retry=False)
        raise DataError(
            f"{file} cannot be read as a result: {one_line(error)}.",
            "Run the score again; layers in the cache are not computed again.",
        ) from error


def is_result(file: Path) -> bool:
    """Return whether a JSON file is a result of this package, as its first 200 characters show.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "notes.json")
    ...     _ = file.write_text('{"format": "notes"}')
    ...     is_result(file)
    False
    """
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return f'"format": "{FORMAT}"' in opened.read(200)
    except OSError:
        return False


def _final_path(file: Path, ending: str) -> Path:
    return file.with_name(f"{file.name.removesuffix('.json')}.{ending}")


def _temporary_path(file: Path, ending: str, hashed: str) -> Path:
    return file.with_name(f".{file.name.removesuffix('.json')}.{hashed[:16]}.{ending}")


def _rename_or_remove(file: Path, ending: str, written: Path) -> None:
    """Give a temporary file its final name if the JSON names it; otherwise remove it, because writing failed."""
    try:
        current = _temporary_path(file, ending, json.loads(file.read_text(encoding="utf-8"))[f"{ending}_sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        current = None
    if current != written:
        written.unlink(missing_ok=True)
    elif written.is_file():
        written.replace(_final_path(file, ending))


def _remove_leftovers(file: Path) -> None:
    """Remove temporary files of killed runs that are older than an hour; younger ones may belong to another run."""
    stem = re.escape(file.name.removesuffix(".json"))
    hashed = rf"\.{stem}\.[0-9a-f]{{16}}"
    named = rf"{hashed}(\.controls)?"
    temporary = re.compile(rf"({named}|\.{named}-\w{{8}})\.(csv|npz)|\.{stem}-\w{{8}}\.json")
    for path in file.parent.glob(".*"):
        if temporary.fullmatch(path.name) and time.time() - path.stat().st_mtime > HOUR:
            path.unlink(missing_ok=True)


def _arrays(result: Result) -> bytes:
    names = ("model", "layer", "benchmark", "simulated", "score")
    arrays: dict[str, Any] = {name: getattr(result, name) for name in names} | {"weights": str(result.weights)}
    prefixes = array_prefixes([array.recording for array in result.arrays])
    for array, prefix in zip(result.arrays, prefixes, strict=True):
        for name in ("window", "interval", "layer_of_image", "images", "sites"):
            arrays[prefix + name] = getattr(array, name)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays, **encode(result).arrays)
    return content.getvalue()


def _rows(result: Result) -> bytes:
    if result.attacked is not None:
        return _rows_of_attacks(result, result.attacked)
    if not result.has_maps:
        return _rows_of_images(result)
    rows: list[tuple[Any, ...]] = [
        ("model", "benchmark", "simulated", "array", "image", "site", "layer", "r", "ceiling")
    ]
    of_sites = result.measure == "predictivity"  # otherwise the noise ceiling is not that of r
    for array in result.arrays:
        for i, image in enumerate(array.images):
            for s, site in enumerate(array.sites):
                values = (array.site_r[i, s], array.site_ceiling[i, s] if of_sites else np.nan)
                cells = ["" if np.isnan(value) else repr(float(value)) for value in values]
                labels = (result.model, result.benchmark, array.simulated, array.recording, image, site)
                rows.append((*labels, array.layer_of_image[i], *cells))
    return csv_text(rows).encode("utf-8", "backslashreplace")  # a file name may not be valid Unicode


def _rows_of_controls(result: Result) -> bytes:
    rows = result.control_rows()
    cells = [["" if value != value else value for value in row.values()] for row in rows]
    return csv_text([rows[0].keys(), *cells]).encode("utf-8", "backslashreplace")


def _rows_of_images(result: Result) -> bytes:
    """Write the values of images as CSV, for measures that have none of single sites."""
    rows: list[tuple[Any, ...]] = [
        ("model", "benchmark", "simulated", "array", "image", "layer", result.measure, "ceiling")
    ]
    for array in result.arrays:
        columns = zip(array.images, array.layer_of_image, array.image_value, array.image_ceiling, strict=True)
        for image, layer, *values in columns:
            cells = ["" if np.isnan(value) else repr(float(value)) for value in values]
            rows.append((result.model, result.benchmark, array.simulated, array.recording, image, layer, *cells))
    return csv_text(rows).encode("utf-8", "backslashreplace")


def _rows_of_attacks(result: Result, attacked: AttackedImages) -> bytes:
    """Write a row for each attacked image; a length is empty where no perturbation was found."""
    numbers = ("norms", "norms_8_bit", "own_map", "other_map")
    rows: list[tuple[Any, ...]] = [
        ("model", "benchmark", "simulated", "image", "label", "decided", "correct", "noise_fools", *numbers)
    ]
    for at, name in enumerate(attacked.names):
        values = [float(getattr(attacked, column)[at]) for column in numbers]
        cells = ["" if np.isnan(value) else repr(value) for value in values]
        whole = [int(getattr(attacked, column)[at]) for column in ("labels", "decided", "correct", "noise_fools")]
        rows.append((result.model, result.benchmark, result.simulated, name, *whole, *cells))
    return csv_text(rows).encode("utf-8", "backslashreplace")


def _of_release_0_1(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a result of human alignment or of a Brain-Score benchmark that release 0.1 wrote without a format."""
    human = plain["benchmark"] == HUMAN_ALIGNMENT
    weights = _weights(plain.get("weights", "pretrained"), plain.get("weights_sha256"))
    request = {
        "model": {"name": plain["model"], "weights": weights},
        "benchmark": plain["benchmark"],
        "protocol": OLD_SPELLING[bool(plain.get("reference_compat", False))],
        "attribution": plain.get("attribution", "gradient") if human else "gradient",
    }
    converted = {
        *ESTIMATED,
        "model",
        "weights",
        "weights_sha256",
        "benchmark",
        "benchmark_version",
        "formula",
        "interval",
    }
    return {
        "version": 0,
        "request": request,
        "model": plain["model"],
        "weights": weights,
        "benchmark": plain["benchmark"],
        "benchmark_version": plain.get("benchmark_version"),
        "kind": "human" if human else "external",
        "measure": "human alignment" if human else "",
        "formula": plain.get("formula", ""),
        **{name: plain.get(name) for name in ESTIMATED},
        "interval": plain.get("interval") or [None, None],
        "device": "",
        "versions": {},
        "written": "",
        "details": {name: value for name, value in plain.items() if name not in converted},
    }


def _of_version_2(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a result of version 2, which has a sentence in place of the weights, and no request."""
    weights = _weights(plain["weights"], plain["weights_sha256"])
    window, attribution = plain["label"] or None, "gradient"
    for method in ("integrated_gradients", "smoothgrad"):
        if plain["measure"] == "attribution" and plain["label"].endswith(method):
            window, attribution = plain["label"].removesuffix(method).removesuffix("-") or None, method
    numbers = re.fullmatch(r"(\d+)-(\d+)", window or "")
    layers = list(dict.fromkeys(layer["layer"] for array in plain["arrays"] for layer in array["layers"]))
    request = {
        "model": {**_requested_model(plain["model"], weights), "layers": layers},
        "benchmark": plain["benchmark"],
        "window": [int(edge) for edge in numbers.groups()] if numbers else window,
        "protocol": OLD_SPELLING[plain["reference_compat"]],
        "attribution": attribution,
        "seed": plain["bootstrap_seed"],
    }
    citations = list(dict.fromkeys(array["citation"] for array in plain["arrays"]))
    return _of_version_3({**plain, "weights": weights, "request": request, "citations": citations})


def _of_version_3(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Note that the numbers of a result of maps are those of an older version, whose replicates are single images."""
    if plain.get("kind", "maps") != "maps":
        return dict(plain)
    image_sets = {tuple(array["images"]): len(array["images"]) for array in plain["arrays"]}
    arrays = [{**array, "groups": [len(array["images"])]} for array in plain["arrays"]]
    note = OLDER.format(version=plain["benchmark_version"], benchmark=plain["benchmark"])
    return {**plain, "arrays": arrays, "groups": list(image_sets.values()), "notes": [note, *plain.get("notes", [])]}


def _requested_model(name: str, weights: dict[str, Any]) -> dict[str, Any]:
    """Recover the requested model of version 2: a training run, a model file, or a name with weights."""
    is_path = weights["kind"] == "file" and name not in ZOO and not source_of(name)
    if is_path and is_run(str(Path(weights["path"]).parent)):
        return {"name": str(Path(weights["path"]).parent), "weights": {"kind": "pretrained"}}
    return (
        {"name": weights["path"], "weights": {"kind": "pretrained"}} if is_path else {"name": name, "weights": weights}
    )


def _weights(sentence: str, sha256: str | None) -> dict[str, Any]:
    prefix = next((prefix for prefix in KINDS_OF_WEIGHTS if sentence.startswith(prefix)), "")
    kind, rest = KINDS_OF_WEIGHTS.get(prefix, "pretrained"), sentence.removeprefix(prefix)
    path, _, source = rest.rpartition(" (")
    return {
        "kind": kind,
        "sha256": sha256,
        "source": {"pretrained": sentence, "file": source.removesuffix(")")}.get(kind, ""),
        "path": path if kind == "file" else None,
        "seed": int(rest.removesuffix(")")) if kind == "random" else None,
    }


VERSIONS: dict[int, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    0: _of_release_0_1,
    2: _of_version_2,
    3: _of_version_3,
    VERSION: lambda plain: plain,
}
"""The function that converts the JSON of each version to the current format; 0 has no format and only plain numbers."""
