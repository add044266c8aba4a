"""The files of results: saving replaces an older result completely or not at all; loading reads all versions."""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from brainscore_itmaps.benchmark.catalogue import ALIGNMENT, HUMAN_ALIGNMENT
from brainscore_itmaps.benchmark.codec import INLINE, array_prefixes, decode, encode
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.result import FORMAT, VERSION, AttackedImages, Estimated, Null, Result
from brainscore_itmaps.cache import content_of
from brainscore_itmaps.errors import DAMAGED, DataError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, cannot_write, csv_text, private_folder, sha256
from brainscore_itmaps.models.names import source_of
from brainscore_itmaps.models.runs import is_run
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.npz import read_npz
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
HIDDEN = re.compile(r"\.(.+)\.([0-9a-f]{16})\.(csv|npz|controls\.csv)")
"""Names of the large files of a result until its JSON is written."""
CHECKSUMS, CHECKED = "checksums", 5
"""Name of the checksums in the JSON, and the first version that has them."""
UNCHECKED = (CHECKSUMS, "written")
OF_FILES = ("csv_sha256", "npz_sha256", "npz_bytes", "numbers_sha256", "controls.csv_sha256")
LARGEST, LARGEST_EXTERNAL = 2.0, 1e6
"""Largest size of a raw value that is a correlation, or a difference of two, and of other numbers."""
CONTROLS_CSV = "controls.csv"
ESTIMATED = ("raw", "ceiling", "score", "error")


def save_result(result: Result, folder: Path, fix: str = ANOTHER_FOLDER) -> tuple[Path, ...]:
    """Write the files of a result; see :meth:`~brainscore_itmaps.benchmark.result.Result.save`.

    The large files are first written under hidden names that contain their hashes. The JSON, which holds the hashes,
    then replaces the older JSON atomically, and the large files are renamed. A reader in between finds the large files
    by their hashes. What killed processes left in the folder is finished or removed.

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
    named: dict[str, Any] = {f"{ending}_sha256": hashed for ending, hashed in hashes.items()}
    if with_arrays:
        numbers = {name: array for name, array in encode(result).arrays.items() if _is_number(name)}
        named |= {"npz_bytes": len(contents["npz"]), "numbers_sha256": content_of("", numbers)}
    plain = with_checksums(result.to_dict() | named)
    text = json.dumps(plain, indent=1, allow_nan=False) + "\n"
    try:
        with private_folder(folder, _stem(file)) as private:
            _finish(file)
            for ending, content in {**contents, "json": text.encode()}.items():
                (private / ending).write_bytes(content)
            for ending, hashed in hashes.items():
                (private / ending).replace(_hidden_path(file, ending, hashed))
            (private / "json").replace(file)
            _finish(file)
            if CONTROLS_CSV not in contents:  # of an older result
                _final_path(file, CONTROLS_CSV).unlink(missing_ok=True)
        for other in _unfinished(folder):
            with private_folder(folder, _stem(other)):
                _finish(other)
    except OSError as error:
        raise cannot_write(file, error, fix) from error
    return (file, *(_final_path(file, ending) for ending in contents))


def with_checksums(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Add a checksum of each value of a result but its time, by which a changed file is noticed.

    Examples
    --------
    >>> with_checksums({"score": 0.5})
    {'score': 0.5, 'checksums': {'score': 'd2cbad71ff333de6'}}
    """
    return {**plain, CHECKSUMS: {name: _checksum(value) for name, value in plain.items() if name not in UNCHECKED}}


def load_result(file: Path, numbers: bool = False, retry: bool = True) -> Result:
    """Read a result; see :meth:`~brainscore_itmaps.benchmark.result.Result.load`.

    Parameters
    ----------
    file : Path
        The JSON file.
    numbers : bool
        Without maps, images and the values of sites, which are then empty.
    retry : bool
        Read a second time if the files do not fit together, because another process may have replaced them meanwhile.

    Raises
    ------
    DataError
        When a file is missing, was changed or damaged, or is of an unknown version, or the files were not written
        together.

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
        plain, version = _read_version(file)
        _check_unchanged(plain, version)
        arrays: dict[str, Any] = {}
        if "npz_sha256" in plain and numbers and version >= CHECKED:
            arrays = read_npz(_npz_of(file, plain), _is_number)
            if content_of("", arrays) != plain["numbers_sha256"]:
                raise ValueError(f"the numbers in {_npz_of(file, plain).name} are not those that were written with it")
        elif "npz_sha256" in plain:
            stored = _npz_of(file, plain)
            if sha256(stored) != plain["npz_sha256"]:
                raise ValueError(f"{stored.name} is not the file that was written with it")
            arrays = read_npz(stored)
        converted = VERSIONS[version](plain)
        if numbers:
            converted = {**converted, "attacked": None}
        result: Result = decode(Result, converted, arrays, partial=numbers)
        if result.kind == "maps" and not result.arrays:
            raise ValueError("it has no arrays")
        check_numbers(result)
        return result
    except DAMAGED as error:
        if retry:
            return load_result(file, numbers, retry=False)
        raise _cannot_read(file, error) from error


@dataclass(frozen=True, kw_only=True)
class Summary(Estimated):
    """The numbers of a result for a list, without its arrays.

    Attributes
    ----------
    kind, measure, written : str
        As of the result.
    """

    kind: str
    measure: str = ""
    written: str = ""
    estimate: Estimate = field(metadata=INLINE)
    controls: Mapping[str, Estimate] = field(default_factory=dict)
    added: Mapping[str, Estimate] = field(default_factory=dict)
    null: Null | None = None


SUMMARISED = ("format", "version", "kind", "measure", "written", "controls", "npz_sha256", "npz_bytes",
              *(each.name for each in fields(Estimate)))  # fmt: skip


def load_summary(file: Path, retry: bool = True) -> Summary:
    """Read the numbers of a result for a list; its NPZ is not read, only its size is checked.

    Parameters
    ----------
    file : Path
        The JSON file.
    retry : bool
        As for :func:`load_result`.

    Raises
    ------
    DataError
        When the JSON is missing, damaged or of an unknown version, the NPZ is missing or cut, or a number was changed.

    Examples
    --------
    >>> import tempfile
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
    ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_summary(save_result(result, Path(folder))[0]).score
    0.5
    """
    try:
        plain, version = _read_version(file)
        if version < CHECKED:
            result = load_result(file, numbers=True)
            shared = {each.name: getattr(result, each.name) for each in fields(Summary)}
            return Summary(**shared)
        _check_unchanged(plain, version, SUMMARISED)
        if "npz_sha256" in plain:
            _check_size(_npz_of(file, plain), plain)
        listed = {name: value for name, value in plain.items() if name in SUMMARISED}
        controls = listed.get("controls", {})
        listed["controls"] = {
            name: {key: value for key, value in control.items() if key in ESTIMATED}
            for name, control in controls.items()
        }
        summary: Summary = decode(Summary, listed, {}, partial=True)
        check_numbers(summary)
        return summary
    except DAMAGED as error:
        if retry:
            return load_summary(file, retry=False)
        raise _cannot_read(file, error) from error


def read_json(file: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError
        When it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "notes.json").write_text('{"score": 0.5}')
    ...     read_json(Path(folder, "notes.json"))
    {'score': 0.5}
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file} cannot be read: {one_line(error)}.", "Score the model again, or leave this file out."
        ) from error


def is_record(plain: Any) -> bool:
    """Return whether the content of a JSON file is that of a result, of any version.

    Examples
    --------
    >>> is_record({"model": "vgg16", "benchmark": "V4", "score": 0.5}), is_record({"score": 0.5})
    (True, False)
    """
    if not isinstance(plain, dict) or plain.get("format", FORMAT) != FORMAT:
        return False
    return "format" in plain or {"model", "benchmark", "score"} <= plain.keys()


def content_hash(plain: Mapping[str, Any]) -> str:
    """Hash the values of a result, without the hashes of its files.

    Examples
    --------
    >>> content_hash({"score": 0.5}) == content_hash(with_checksums({"score": 0.5, "npz_sha256": "ab12"}))
    True
    """
    checksums = plain.get(CHECKSUMS) or with_checksums(plain)[CHECKSUMS]
    content = {name: value for name, value in checksums.items() if name not in OF_FILES}
    return _checksum([content, plain.get("written")])


def _read_version(file: Path) -> tuple[dict[str, Any], int]:
    """Read the JSON of a result, and its version."""
    plain = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(plain, dict) or plain.get("format", FORMAT) != FORMAT:
        raise ValueError(f"it is not a {FORMAT}")
    version = plain.get("version", 0)
    if type(version) is not int or version not in VERSIONS:
        raise ValueError(f"it has the unknown version {version!r}; known versions are 2 to {VERSION}")
    return plain, version


def _npz_of(file: Path, plain: Mapping[str, Any]) -> Path:
    """Return the NPZ of a result, which has its hidden name until its last step is done."""
    hidden = _hidden_path(file, "npz", plain["npz_sha256"])
    return hidden if hidden.is_file() else _final_path(file, "npz")


def _is_number(name: str) -> bool:
    """Return whether comparisons need an array of the NPZ that is not in the JSON."""
    return name.rpartition("/")[2] == "changes"


def _check_size(npz: Path, plain: Mapping[str, Any]) -> None:
    if npz.stat().st_size != plain["npz_bytes"]:
        raise ValueError(f"{npz.name} is not the file that was written with it")


def _cannot_read(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file} cannot be read as a result: {one_line(error)}.",
        "Run the score again; layers in the cache are not computed again.",
    )


def _checksum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _check_unchanged(plain: Mapping[str, Any], version: int, names: Iterable[str] | None = None) -> None:
    """Check values of a result, by default all, against its checksums, which versions before 5 do not have."""
    if version < CHECKED and CHECKSUMS not in plain:
        return
    stored = plain[CHECKSUMS]
    names = dict.fromkeys([*plain, *stored]) if names is None else names
    now = {name: _checksum(plain[name]) for name in names if name in plain and name not in UNCHECKED}
    if changed := [name for name in names if now.get(name) != stored.get(name)]:
        raise ValueError(f"it was changed after it was written: {', '.join(changed[:5])}")


def check_numbers(result: "Result | Summary") -> None:
    """Check that the numbers of a result lie in their ranges.

    Raises
    ------
    ValueError
        When a number is impossible, with its name.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Estimate, Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> check_numbers(Result(request=ScoreRequest(), reading=reading, benchmark="V4", estimate=Estimate(raw=1e308)))
    Traceback (most recent call last):
    ValueError: raw is 1e+308, which is not between -2 and 2
    """
    is_correlation = result.kind in ("maps", "human") or result.measure == ALIGNMENT
    largest = LARGEST if is_correlation else LARGEST_EXTERNAL
    for scored in (result, *(result.arrays if isinstance(result, Result) else ())):
        for estimate in (scored.estimate, *scored.controls.values(), *scored.added.values()):
            _check_range("raw", estimate.raw, largest)
            _check_range("ceiling", estimate.ceiling, largest)
            low, high = estimate.interval
            numbers = (("score", estimate.score), ("error", estimate.error), ("interval", low), ("interval", high))
            for name, value in numbers:
                _check_range(name, value, LARGEST_EXTERNAL)
            if low > high:
                raise ValueError(f"interval {low:g} to {high:g} is reversed")
        _check_range("p_value", scored.p_value, 1, 0)
    if isinstance(result, Result):
        _check_range("imagenet_top1", result.imagenet_top1 or 0.0, 100, 0)


def _check_range(name: str, value: float, high: float, low: float | None = None) -> None:
    low = -high if low is None else low
    if value < low or value > high:  # NaN is an absent number
        raise ValueError(f"{name} is {value:g}, which is not between {low:g} and {high:g}")


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


def _stem(file: Path) -> str:
    return file.name.removesuffix(".json")


def _hidden_path(file: Path, ending: str, hashed: str) -> Path:
    return file.with_name(f".{_stem(file)}.{hashed[:16]}.{ending}")


def _unfinished(folder: Path) -> set[Path]:
    """Find the results of which a killed process left files under hidden names."""
    with os.scandir(folder) as entries:
        found = [HIDDEN.fullmatch(entry.name) for entry in entries if entry.name.startswith(".")]
    return {folder / f"{match[1]}.json" for match in found if match}


def _finish(file: Path) -> None:
    """Give files under hidden names their final names if the JSON names them; remove them if it does not."""
    try:
        named = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        named = None
    with os.scandir(file.parent) as entries:
        hidden = [match for entry in entries if (match := HIDDEN.fullmatch(entry.name)) and match[1] == _stem(file)]
    for match in hidden:
        hashed = named.get(f"{match[3]}_sha256") if isinstance(named, dict) else None
        if isinstance(hashed, str) and hashed.startswith(match[2]):
            file.with_name(match[0]).replace(_final_path(file, match[3]))
        else:
            file.with_name(match[0]).unlink(missing_ok=True)


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
    4: lambda plain: plain,
    VERSION: lambda plain: plain,
}
"""The function that converts the JSON of each version to the current format; 0 has no format and only plain numbers."""
