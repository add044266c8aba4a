"""Save and load results; saving replaces an older result completely or not at all."""

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
from brainscore_itmaps.benchmark.codec import decode, encode, starts_of
from brainscore_itmaps.benchmark.result import FORMAT, VERSION, Result
from brainscore_itmaps.errors import DataError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, csv_text, replacing, sha256
from brainscore_itmaps.models.runs import is_run
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.protocol import OLD_SPELLING

KINDS_OF_WEIGHTS = {
    "random (seed ": "random",
    "file ": "file",
    "as they were given": "module",
    "as Brain-Score ": "external",
}
"""How the sentence began that results of version 2 hold in place of data."""
HOUR = 3600.0
ESTIMATED = ("raw", "ceiling", "score", "error")
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, BadZipFile, ZlibError)


def save_result(result: Result, folder: Path, fix: str = ANOTHER_FOLDER) -> tuple[Path, ...]:
    """Write the files of a result; see :meth:`~brainscore_itmaps.benchmark.result.Result.save`.

    The large files wait under names that carry their hashes. The JSON, which names the hashes, takes the older one's
    place in one step; only then do they get their own names. Whoever reads in between finds them by the hash.
    """
    file = folder / f"{result.file_stem}.json"
    contents = {"csv": _rows(result), "npz": _arrays(result)} if result.arrays else {}
    hashes = {ending: hashlib.sha256(content).hexdigest() for ending, content in contents.items()}
    waiting = {ending: _waiting(file, ending, hashed) for ending, hashed in hashes.items()}
    plain = result.to_dict() | {f"{ending}_sha256": hashed for ending, hashed in hashes.items()}
    try:
        for ending, content in contents.items():
            with replacing(waiting[ending], fix) as beside:
                beside.write_bytes(content)
        with replacing(file, fix) as beside:
            beside.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    finally:
        for ending, written in waiting.items():
            _settle(file, ending, written)
    _remove_leftovers(file)
    return (file, *(_beside(file, ending) for ending in contents))


def load_result(file: Path, again: bool = True) -> Result:
    """Read a result; see :meth:`~brainscore_itmaps.benchmark.result.Result.load`.

    Once more where its files do not fit each other: another process may have written it in between.
    """
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.get("format", FORMAT) != FORMAT:
            raise ValueError(f"it is not a {FORMAT}")
        if plain.get("version", 0) not in VERSIONS:
            raise ValueError(f"it is a {FORMAT} of version {plain['version']!r}; known ones: 2 and {VERSION}")
        arrays: dict[str, Any] = {}
        if "npz_sha256" in plain:
            held = _beside(file, "npz")
            if (waiting := _waiting(file, "npz", plain["npz_sha256"])).is_file():
                held = waiting
            if sha256(held) != plain["npz_sha256"]:
                raise ValueError(f"{held.name} is not the file that was written with it")
            with np.load(held, allow_pickle=False) as opened:
                arrays = {name: opened[name] for name in opened}
        result: Result = decode(Result, VERSIONS[plain.get("version", 0)](plain), arrays)
        if result.kind == "maps" and not result.arrays:
            raise ValueError("it has no arrays")
        return result
    except UNREADABLE as error:
        if again:
            return load_result(file, again=False)
        raise DataError(
            f"{file} cannot be read as a result: {one_line(error)}.", "Score again; cached layers make it quick."
        ) from error


def is_result(file: Path) -> bool:
    """Return whether a JSON file is a result of this package, judging by how it begins."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return f'"format": "{FORMAT}"' in opened.read(200)
    except OSError:
        return False


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(f"{file.name.removesuffix('.json')}.{ending}")


def _waiting(file: Path, ending: str, hashed: str) -> Path:
    return file.with_name(f".{file.name.removesuffix('.json')}.{hashed[:16]}.{ending}")


def _settle(file: Path, ending: str, written: Path) -> None:
    """Give a temporary file its final name if the JSON names it; otherwise remove it, because writing failed."""
    try:
        named = _waiting(file, ending, json.loads(file.read_text(encoding="utf-8"))[f"{ending}_sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        named = None
    if named != written:
        written.unlink(missing_ok=True)
    elif written.is_file():
        written.replace(_beside(file, ending))


def _remove_leftovers(file: Path) -> None:
    """Remove half-written files of killed runs; files younger than an hour may belong to another run."""
    stem = re.escape(file.name.removesuffix(".json"))
    waiting = rf"\.{stem}\.[0-9a-f]{{16}}"
    ours = re.compile(rf"({waiting}|\.{waiting}-\w{{8}})\.(csv|npz)|\.{stem}-\w{{8}}\.json")
    for left in file.parent.glob(".*"):
        if ours.fullmatch(left.name) and time.time() - left.stat().st_mtime > HOUR:
            left.unlink(missing_ok=True)


def _arrays(result: Result) -> bytes:
    names = ("model", "layer", "benchmark", "simulated", "score")
    arrays: dict[str, Any] = {name: getattr(result, name) for name in names} | {"weights": str(result.weights)}
    starts = starts_of([array.recording for array in result.arrays])
    for array, prefix in zip(result.arrays, starts, strict=True):
        for name in ("window", "interval", "layer_of_image", "images", "sites"):
            arrays[prefix + name] = getattr(array, name)
    whole = io.BytesIO()
    np.savez_compressed(whole, **arrays, **encode(result).arrays)
    return whole.getvalue()


def _rows(result: Result) -> bytes:
    rows: list[tuple[Any, ...]] = [
        ("model", "benchmark", "simulated", "array", "image", "site", "layer", "r", "ceiling")
    ]
    of_sites = result.measure == "predictivity"  # else the ceiling is of another number than r
    for array in result.arrays:
        for i, image in enumerate(array.images):
            for s, site in enumerate(array.sites):
                values = (array.site_r[i, s], array.site_ceiling[i, s] if of_sites else np.nan)
                shown = ["" if np.isnan(value) else repr(float(value)) for value in values]
                where = (result.model, result.benchmark, array.simulated, array.recording, image, site)
                rows.append((*where, array.layer_of_image[i], *shown))
    return csv_text(rows).encode("utf-8", "backslashreplace")  # a file name may be no text


def _of_numbers(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the plain numbers of human alignment and external benchmarks, as release 0.1 wrote them."""
    human = plain["benchmark"] == HUMAN_ALIGNMENT
    weights = _weights(plain.get("weights", "pretrained"), plain.get("weights_sha256"))
    request = {
        "model": {"name": plain["model"], "weights": weights},
        "benchmark": plain["benchmark"],
        "protocol": OLD_SPELLING[bool(plain.get("reference_compat", False))],
        "attribution": plain.get("attribution", "gradient") if human else "gradient",
    }
    known = {*ESTIMATED, "model", "weights", "weights_sha256", "benchmark", "benchmark_version", "formula", "interval"}
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
        "details": {name: value for name, value in plain.items() if name not in known},
    }


def _of_version_2(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a result of version 2, which held a sentence in place of the weights, and no request."""
    weights = _weights(plain["weights"], plain["weights_sha256"])
    window, attribution = plain["label"] or None, "gradient"
    for method in ("integrated_gradients", "smoothgrad"):
        if plain["measure"] == "attribution" and plain["label"].endswith(method):
            window, attribution = plain["label"].removesuffix(method).removesuffix("-") or None, method
    numbers = re.fullmatch(r"(\d+)-(\d+)", window or "")
    layers = list(dict.fromkeys(layer["layer"] for array in plain["arrays"] for layer in array["layers"]))
    request = {
        "model": {**_model_asked(plain["model"], weights), "layers": layers},
        "benchmark": plain["benchmark"],
        "window": [int(edge) for edge in numbers.groups()] if numbers else window,
        "protocol": OLD_SPELLING[plain["reference_compat"]],
        "attribution": attribution,
        "seed": plain["bootstrap_seed"],
    }
    citations = list(dict.fromkeys(array["citation"] for array in plain["arrays"]))
    return {**plain, "weights": weights, "request": request, "citations": citations}


def _model_asked(name: str, weights: dict[str, Any]) -> dict[str, Any]:
    """Recover the request of version 2: a training run, a file that is the model, or a name with weights."""
    own = weights["kind"] == "file" and name not in ZOO and not name.startswith("timm:")
    if own and is_run(str(Path(weights["path"]).parent)):
        return {"name": str(Path(weights["path"]).parent), "weights": {"kind": "pretrained"}}
    return {"name": weights["path"], "weights": {"kind": "pretrained"}} if own else {"name": name, "weights": weights}


def _weights(sentence: str, sha256: str | None) -> dict[str, Any]:
    begins = next((each for each in KINDS_OF_WEIGHTS if sentence.startswith(each)), "")
    kind, rest = KINDS_OF_WEIGHTS.get(begins, "pretrained"), sentence.removeprefix(begins)
    path, _, source = rest.rpartition(" (")
    return {
        "kind": kind,
        "sha256": sha256,
        "source": {"pretrained": sentence, "file": source.removesuffix(")")}.get(kind, ""),
        "path": path if kind == "file" else None,
        "seed": int(rest.removesuffix(")")) if kind == "random" else None,
    }


VERSIONS: dict[int, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    0: _of_numbers,
    2: _of_version_2,
    VERSION: lambda plain: plain,
}
"""The function that converts the JSON of each version to the current form; 0: plain numbers without a format."""
