"""Results of every kind as one tidy table: a row for each model, array and window."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainscore_itmaps.benchmark.catalogue import ADVERSARIAL, ALIGNMENT, HUMAN_ALIGNMENT, HUMAN_CITATION
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.formulas import absent_scores
from brainscore_itmaps.benchmark.result import MEAN, ArrayResult, Null, Result
from brainscore_itmaps.benchmark.saved import content_hash, is_record, load_result, read_json
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.files import visible
from brainscore_itmaps.models.timm_models import group_of_model, timm_top1
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.protocol import OURS, PROTOCOLS
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import short_repr

LISTED = 3
"""Largest number of duplicates that a sentence lists."""
COLUMNS = (
    "model",
    "weights",
    "random",
    "group",
    "imagenet_top1",
    "benchmark",
    "measure",
    "experimental",
    "asked",
    "array",
    "window",
    "layer",
    "raw",
    "ceiling",
    "score",
    "low",
    "high",
    "error",
    "alignment",
    "human_alignment",
    "tolerance",
    "tolerance_low",
    "tolerance_high",
    "adversarial_alignment",
    "adversarial_low",
    "adversarial_high",
    "published_tolerance",
    "published_adversarial",
    "best_control",
    "control_raw",
    "control_score",
    "unique",
    "unique_low",
    "unique_high",
    "given_controls",
    "without_typical_map",
    "p_value",
    "simulated",
    "protocol",
    "kind",
    "result",
    "reason",
)
NUMBERS = ("imagenet_top1", "raw", "ceiling", "score", "low", "high", "error", "alignment", "control_raw",
           "control_score", "unique", "unique_low", "unique_high", "given_controls", "without_typical_map",
           "p_value", "tolerance", "tolerance_low", "tolerance_high", "adversarial_alignment", "adversarial_low",
           "adversarial_high", "published_tolerance", "published_adversarial")  # fmt: skip
"""Columns of numbers, NaN where one is absent: results of earlier versions have no controls."""
COMPARED = ["benchmark", "measure", "asked", "protocol"]
"""Columns that are equal in rows whose scores can be compared, array by array."""
TO_COMPARE = "Give a list of results, of their JSON files, or of folders with such files."
MAPS, HUMAN, ATTACKS = "maps", "human", "adversarial"
KINDS = (MAPS, HUMAN, ATTACKS, "external")
OF_ATTACKS = ("tolerance", "tolerance_low", "tolerance_high", "adversarial_alignment", "adversarial_low",
              "adversarial_high")  # fmt: skip


@short_repr
@dataclass(frozen=True)
class StudyTable:
    """A table of results, with the values of single images and the source of each row.

    Attributes
    ----------
    rows : DataFrame
        Columns as :data:`COLUMNS`. ``asked`` is the requested window, empty for the window of the benchmark; ``array``
        is :data:`MEAN` in the row for all arrays of a benchmark, and the benchmark itself if it has no arrays.
        ``human_alignment`` is the score on ClickMe.alignment of the same model with the same weights; ``tolerance`` and
        ``adversarial_alignment`` are those on ClickMe.adversarial or, without such results, on the one folder that was
        attacked. ``published_tolerance`` and ``published_adversarial`` are those of the published table, where it was
        read. ``reason`` says why a score, or its interval, is NaN.
    estimates : tuple of Estimate or None
        Estimate of each row of an array; None in other rows.
    added : tuple of mappings of str to Estimate
        For each row, its estimate as ``score``, and what the model adds to the controls
        (:attr:`~brainscore_itmaps.benchmark.result.Result.added`), by name.
    images : tuple of tuples of str
        For each row, the names of its images; in a row for all arrays, of all of them.
    sources : dict
        File or object of each result with maps or attacks, by its name in ``result``.
    troubles : tuple of str
        Sentences about files that could not be read and rows that should not be compared.
    citations : tuple of str
    """

    rows: pd.DataFrame
    estimates: tuple[Estimate | None, ...]
    added: tuple[Mapping[str, Estimate], ...] = field(repr=False)
    images: tuple[tuple[str, ...], ...]
    sources: dict[str, Path | Result]
    troubles: tuple[str, ...]
    citations: tuple[str, ...]


def tidy_table(results: Iterable[str | Path | Result] | str | Path | Result) -> StudyTable:
    """Read results into one tidy table.

    Parameters
    ----------
    results : iterable of str, Path or Result, or one of them
        Results; their JSON files; folders, which are searched with their subfolders. Other files in a folder are
        skipped; damaged ones are listed in ``troubles``.

    Returns
    -------
    StudyTable

    Raises
    ------
    UsageError
        When there is no result.
    DataError
        When a file in ``results`` does not exist or is not a result.

    Examples
    --------
    >>> import json
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     record = {"model": "timm:vgg16.tv_in1k", "benchmark": "MajajHong2015public.IT-pls", "score": 0.5}
    ...     _ = Path(folder, "vgg16.json").write_text(json.dumps(record))
    ...     table = tidy_table([folder])
    >>> table.rows[["model", "array", "score", "kind"]].values.tolist()
    [['timm:vgg16.tv_in1k', 'MajajHong2015public.IT-pls', 0.5, 'external']]
    """
    problems: list[str] = []
    loaded = list(_read(_listed(results), problems))
    if not loaded:
        raise UsageError(
            "There are no results to compare.", "Name results, or the folder of a study." + _joined(problems)
        )
    sources: dict[str, Path | Result] = {}
    rows: list[dict[str, Any]] = []
    values: list[ArrayResult | Result] = []
    citations: dict[str, None] = {}
    for name, source, result in loaded:
        if result.has_maps or result.kind == ATTACKS:
            sources[name] = source
        for row, value in _rows_of(result):
            rows.append(row | {"result": name})
            values.append(value)
        citations |= dict.fromkeys(
            [text for text in result.citations if text] or ([HUMAN_CITATION] if result.kind == "human" else [])
        )
    _add_human_alignment(rows)
    _add_attacks(rows)
    _add_accuracies(rows)
    order = sorted(range(len(rows)), key=lambda index: _sort_key(rows[index]))
    rows, values = [rows[index] for index in order], [values[index] for index in order]
    estimates = [Estimate(row["raw"], row["ceiling"], row["score"], reason=row["reason"]) for row in rows]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    problems += _mixed_versions(result for _, _, result in loaded)
    problems += _mixed_folds(values)
    problems += _repeated_models(frame)
    problems += absent_scores((_name_of_row(row), estimate) for row, estimate in zip(rows, estimates, strict=True))
    return StudyTable(
        frame.astype(dict.fromkeys(NUMBERS, float)),
        tuple(value.estimate if isinstance(value, ArrayResult) else None for value in values),
        tuple({"score": value.estimate, **value.added} for value in values),
        tuple(_images(value) for value in values),
        sources,
        tuple(problems),
        tuple(citations),
    )


def _listed(results: Any) -> list[str | Path | Result]:
    """Check that results are paths and results, and list them."""
    if isinstance(results, str | Path | Result):
        return [results]
    if not isinstance(results, Iterable):
        raise UsageError(f"A {type(results).__name__} is not a list of results.", TO_COMPARE)
    listed = list(results)
    for item in listed:
        if not isinstance(item, str | Path | Result):
            raise UsageError(f"A {type(item).__name__} is not a result.", TO_COMPARE)
        if not isinstance(item, Result) and not expanded(item).exists():
            raise DataError(f"{item} cannot be read: there is no such file or folder.", TO_COMPARE)
    return listed


def _read(results: Iterable[str | Path | Result], problems: list[str]) -> Iterator[tuple[str, Path | Result, Result]]:
    """Yield name, source and content of each result; append sentences about damaged files and duplicates.

    A result whose content was read already counts once. One that has the name of another, but other content, gets a
    name of its own.
    """
    sources_of: dict[str, Path | Result] = {}
    firsts: dict[str, Path | Result] = {}
    copies: list[str] = []
    for source, is_named in _sources(results):
        try:
            loaded = _loaded(source)
        except DataError as error:
            if is_named:
                raise
            problems.append(str(error))
            continue
        if loaded is None and is_named:
            raise DataError(
                f"{source} is not a result.",
                "Name a JSON file that `brainscore score` or `brainscore sweep` wrote.",
            )
        if loaded is None:
            continue
        result, content = loaded
        if content in sources_of:
            copies.append(f"{_described(source)}, the same as {_described(sources_of[content])}")
            continue
        sources_of[content] = source
        stem = name = source.stem if isinstance(source, Path) else source.file_stem
        number = 1
        while name in firsts:
            number += 1
            name = f"{stem}--{number}"
        if number > 1:
            problems.append(f"{_described(source)} has the name of {_described(firsts[stem])}, and other content: both "
                            f"are compared, this one as {name}.")  # fmt: skip
        firsts[name] = source
        yield name, source, result
    if copies:
        more = f", and {len(copies) - LISTED} more" if len(copies) > LISTED else ""
        problems.append(f"Results that are there twice count once: {'; '.join(copies[:LISTED])}{more}.")


def _sources(results: Iterable[str | Path | Result]) -> Iterator[tuple[Path | Result, bool]]:
    """Yield each file or result, and whether it was named itself; a file that was named twice is there once."""
    seen: set[Path] = set()
    for item in results:
        if isinstance(item, Result):
            yield item, True
            continue
        path = expanded(item)
        for file in visible(path.rglob("*.json"), path) if path.is_dir() else [path]:
            if (resolved := file.resolve()) not in seen:
                seen.add(resolved)
                yield file, not path.is_dir()


def _described(source: Path | Result) -> str:
    return str(source) if isinstance(source, Path) else repr(source)


def _loaded(source: Path | Result) -> tuple[Result, str] | None:
    """Return a result without its maps, and a hash of its content; None for a file that is not a result."""
    if isinstance(source, Result):
        return _without_maps(source), content_hash(source.to_dict())
    plain = read_json(source)
    if not is_record(plain):
        return None
    result = load_result(source, numbers=True)
    if result.protocol not in PROTOCOLS:
        raise DataError(f"{source} names an unknown protocol, {result.protocol!r}.", "Score the model again.")
    if np.isnan(result.score) and (np.isnan(result.raw) or not result.estimate.reason):
        raise DataError(f"{source} contains no score.", "Score the model again, or leave this file out.")
    return result, content_hash(plain)


def _without_maps(result: Result) -> Result:
    """Remove the maps from a result to save memory; they are read again when they are drawn."""
    empty: dict[str, Any] = {name: np.zeros(0) for name in ("predicted", "neural", "site_r", "site_ceiling")}
    arrays = tuple(replace(array, **empty, null=_without_pairs(array.null)) for array in result.arrays)
    return replace(result, arrays=arrays, null=_without_pairs(result.null), attacked=None)


def _without_pairs(null: Null | None) -> Null | None:
    return null if null is None else replace(null, paired=None)


def _rows_of(result: Result) -> Iterator[tuple[dict[str, Any], ArrayResult | Result]]:
    """Yield a row for each array, and one for all arrays together or for a benchmark without arrays."""
    for row, array in zip_longest(result.rows(), result.arrays):
        added = {"group": group_of_model(row["model"])} | _numbers_of_attacks(result)
        yield row | added, result if array is None else array


def _numbers_of_attacks(result: Result) -> dict[str, float]:
    """Return the tolerance and the adversarial alignment of a result of attacks, with their intervals."""
    if result.kind != ATTACKS:
        return dict.fromkeys(OF_ATTACKS, np.nan)
    ends = [result.details.get(f"raw_{end}", np.nan) for end in ("low", "high")]
    alignment = [result.raw, *ends] if result.measure == ALIGNMENT else [np.nan] * 3
    lengths = [result.details.get(name, np.nan) for name in OF_ATTACKS[:3]]
    return dict(zip(OF_ATTACKS, [*lengths, *alignment], strict=True))


def _images(value: ArrayResult | Result) -> tuple[str, ...]:
    arrays = value.arrays if isinstance(value, Result) else (value,)
    return tuple(image for array in arrays for image in array.images)


def _sort_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the key that sorts rows: maps first, then by comparison, the best model on top, absent scores last."""
    kind = [*KINDS, row["kind"]].index(row["kind"])  # unknown kinds last
    return (kind, row["benchmark"], row["protocol"], row["asked"], row["array"] == MEAN, row["array"],
            np.isnan(row["score"]), -row["score"], row["result"])  # fmt: skip


def _add_human_alignment(rows: list[dict[str, Any]]) -> None:
    scores = {
        (row["model"], row["sha256"]): row["score"]
        for row in rows
        if row["kind"] == HUMAN and row["benchmark"] == HUMAN_ALIGNMENT
    }
    for row in rows:
        row["human_alignment"] = scores.get((row["model"], row["sha256"]), np.nan)


def _add_attacks(rows: list[dict[str, Any]]) -> None:
    """Add tolerance and adversarial alignment to the other rows of the same model with the same weights."""
    attacked = [row for row in rows if row["kind"] == ATTACKS and row["protocol"] == OURS.name and not row["asked"]]
    benchmarks = {row["benchmark"] for row in attacked}
    chosen = {ADVERSARIAL} if ADVERSARIAL in benchmarks or len(benchmarks) != 1 else benchmarks
    of_model = {
        (row["model"], row["sha256"]): {name: row[name] for name in OF_ATTACKS}
        for row in attacked
        if row["benchmark"] in chosen
    }
    for row in rows:
        if row["kind"] != ATTACKS:
            row |= of_model.get((row["model"], row["sha256"]), {})


def with_published_attacks(table: StudyTable, published: pd.DataFrame) -> StudyTable:
    """Add the published tolerance and adversarial alignment of timm's pretrained models, to read beside ours.

    Parameters
    ----------
    table : StudyTable
    published : DataFrame
        Of :func:`~brainscore_itmaps.data.published_tables.read_adversarial`.

    Returns
    -------
    StudyTable
        The published attack does not project, so that its lengths are no minima: see docs/adversarial.md.
    """
    known = published.set_index("model")
    names = table.rows["model"].str.removeprefix("timm:").where(~table.rows["random"])
    columns = {f"published_{name}": names.map(known[name]) for name in ("tolerance", "adversarial")}
    return replace(table, rows=table.rows.assign(**columns))


def _add_accuracies(rows: list[dict[str, Any]]) -> None:
    """Fill in missing accuracies: those of results with the same weights, else published ones of pretrained models."""
    measured = {(row["model"], row["sha256"]): row["imagenet_top1"] for row in rows if row["kind"] == MAPS}
    for row in rows:
        if row["kind"] != MAPS:
            published = _published_accuracy(row["model"]) if row["published"] else None
            row["imagenet_top1"] = measured.get((row["model"], row["sha256"]), published)


def _published_accuracy(model: str) -> float | None:
    if model in ZOO:
        return ZOO[model].top1
    return timm_top1(model.removeprefix("timm:"))[0] if model.startswith("timm:") else None


def _name_of_row(row: dict[str, Any]) -> str:
    """Name what was compared in a row: the benchmark or its array, and the requested window."""
    name = row["benchmark"] if row["array"] == MEAN else row["array"]
    return f"{name} ({row['asked']})" if row["asked"] else str(name)


def _mixed_versions(results: Iterable[Result]) -> list[str]:
    """Describe the benchmarks of maps whose results are of several versions, which compute scores otherwise."""
    versions: dict[str, set[str]] = {}
    for result in results:
        if result.arrays:
            versions.setdefault(result.benchmark, set()).add(str(result.benchmark_version))
    return [
        f"The results on {benchmark} are of the versions {', '.join(sorted(mixed))}, which compute scores differently, "
        "and fits do not separate them: score the models of the older version again."
        for benchmark, mixed in versions.items()
        if len(mixed) > 1
    ]


def _mixed_folds(values: Iterable[ArrayResult | Result]) -> list[str]:
    """Describe the recordings whose results leave out images in several ways, which changes scores."""
    folds: dict[str, set[str]] = {}
    for value in values:
        if isinstance(value, ArrayResult):
            folds.setdefault(value.recording, set()).add(value.folds)
    return [
        f"The results on {recording} leave out images in several ways ({'; '.join(sorted(mixed))}), and fits do not "
        "separate them: score the models of the older results again."
        for recording, mixed in folds.items()
        if len(mixed) > 1
    ]


def _repeated_models(rows: pd.DataFrame) -> list[str]:
    """Describe the models that have several rows with different layers, which fits count separately."""
    maps = rows[rows["array"] != MEAN]
    several = maps.groupby([*COMPARED, "array", "model", "weights"], sort=False)["layer"].agg(list)
    problems = []
    for key, layers in several.items():
        array, model = np.array(key, dtype=object)[-3:-1]
        if len(layers) > 1:
            rows_of_model = f"{len(layers)} rows on {array}, with the layers {', '.join(layers)}"
            problems.append(f"{model} has {rows_of_model}: each row counts as a model.")
    return problems


def _joined(problems: Sequence[str]) -> str:
    return "".join(f" {problem}" for problem in problems)
