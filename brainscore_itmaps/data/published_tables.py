"""Read the published score tables into data frames, after checking every cell that is used."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brainscore_itmaps.data.published import COMMAND, published_files, published_folder
from brainscore_itmaps.errors import DataError, one_line
from brainscore_itmaps.files import NUMBER
from brainscore_itmaps.pinned_files import PinnedFile, missing_files

ARRAYS = {"george_posterior_it": "monkey1_PL", "george_central_it": "monkey1_ML", "red_central_it": "monkey2_ML"}
"""Names of the arrays in the tables, and in this package."""
MAPS_FILE = re.compile(r"neural_alignment_(\w+?_it)_(\d+)_(\d+)(_shifted)?\.csv", re.ASCII)
RESPONSE_SHAPE = re.compile(r"\(14, (\d{1,3}), \1, (\d{1,3})\)", re.ASCII)
MISSING = ("", "X")
"""Cells of a value that Brain-Score does not have."""
FIX = f"Run `{COMMAND}`, which replaces files that differ from the published ones."
MAPS_COLUMNS = ["model", "array", "window", "shifted", "raw", "sd", "ceiling", "score", "layer", "sites"]


@dataclass(frozen=True)
class Numbers:
    """Range of the numbers in a column.

    Attributes
    ----------
    name : str
        Name of the column in the data frame.
    low, high : float
        Smallest and largest valid number.
    missing : bool
        Whether cells may be empty or X.
    """

    name: str
    low: float
    high: float
    missing: bool = False


Columns = Mapping[str, str | Numbers]
"""Columns that are read: header to the name in the data frame, or to the name and range of numbers."""

MAPS: Columns = {
    "model_name": "model",
    "stimuli_name": "stimuli",
    "neural_response_shape": "shape",
    "time_a": Numbers("start", 0, 10_000),
    "time_b": Numbers("stop", 0, 10_000),
    "layer_name": "layer",
    "ceiling_score": Numbers("ceiling", 0.01, 1),
    "brain_score": Numbers("raw", -1, 1),
    "brain_score_std": Numbers("sd", 0, 1),
}
ACCURACIES: Columns = {
    "model": "model",
    "top1": Numbers("top1", 0, 100),
    "multi_label_acc": Numbers("multi_label", 0, 1),
    "type1": "kind",
    "type2": "training",
    "spearman": Numbers("clickme", -1, 1),
    "spearman_std": Numbers("clickme_sd", 0, 1),
}
ADVERSARIAL: Columns = {
    "model": "model",
    "pt": Numbers("tolerance", 0, 1000),
    "aa": Numbers("adversarial", -1, 1),
    "pt_sem": Numbers("tolerance_sem", 0, 1000),
    "aa_sem": Numbers("adversarial_sem", 0, 1),
}
BRAIN_SCORE: Columns = {
    "model_name": "model",
    "ImageNet-top1": Numbers("top1", 0, 1, missing=True),
    "MajajHong2015.IT-pls": Numbers("MajajHong2015", -1, 1, missing=True),
    "SanghaviJozwik2020.IT-pls": Numbers("SanghaviJozwik2020", -1, 1, missing=True),
    "Sanghavi2020.IT-pls": Numbers("Sanghavi2020", -1, 1, missing=True),
    "SanghaviMurty2020.IT-pls": Numbers("SanghaviMurty2020", -1, 1, missing=True),
}
CODED: Columns = {
    "model_name": "model",
    "model_type": "kind",
    "ImageNet-top1": Numbers("top1", 0, 1),
    "MajajHong2015.IT-pls": Numbers("MajajHong2015", -1, 1),
}
MAJAJ: Columns = {
    "model_name": "model",
    "layer_name": "layer",
    "ceiling_score": Numbers("ceiling", 0.01, 1),
    "brain_score": Numbers("score", -1, 1),
    "brain_score_std": Numbers("sd", 0, 1),
}


def read_published_maps(folder: Path | None = None) -> pd.DataFrame:
    """Read the published scores of timm models on the three arrays of the recordings.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`~brainscore_itmaps.data.published.published_folder`.

    Returns
    -------
    DataFrame
        A row for each model, array and window, with the columns ``model``; ``array``; ``window``, such as
        ``followup_131_170``; ``shifted``, whether the table is one of those named shifted; ``raw``, ``sd`` and
        ``ceiling`` as published; ``score``, raw divided by ceiling; ``layer``, the best one on the scored images;
        ``sites``, their number.

    Raises
    ------
    DataError
        When a file is missing or is not such a table; the message names the row and the column.
    """
    tables = []
    for pinned in published_files():
        if named := MAPS_FILE.fullmatch(pinned.name):
            tables.append(_read_maps(_stored(pinned, folder), *named.groups()))
    if not tables:
        raise DataError("The list of published tables names no scores on the recordings.", FIX)
    return pd.concat(tables, ignore_index=True)


def read_accuracies(folder: Path | None = None) -> pd.DataFrame:
    """Read the published ImageNet accuracy and ClickMe alignment of timm models.

    Returns
    -------
    DataFrame
        A row for each model: ``model``; ``top1`` in percent; ``multi_label``, a fraction; ``kind``, "adv" for models
        that were trained to be robust; ``training``; ``clickme``, Spearman's rho of importance maps with ClickMe;
        ``clickme_sd``, its standard deviation over images.

    Raises
    ------
    DataError
        As :func:`read_published_maps`.
    """
    return read_columns(_file("large_scale_results_hmn.csv", folder), ACCURACIES)


def read_adversarial(folder: Path | None = None) -> pd.DataFrame:
    """Read the published tolerance to adversarial attacks, and the alignment of attacks with ClickMe.

    Returns
    -------
    DataFrame
        A row for each model: ``model``; ``tolerance``, the size of the smallest attack that changes the prediction;
        ``adversarial``, Spearman's rho of attacks with ClickMe; ``tolerance_sem`` and ``adversarial_sem``, their
        standard errors.

    Raises
    ------
    DataError
        As :func:`read_published_maps`.
    """
    return read_columns(_file("adversarial_alignment_L2FMNAttack.csv", folder), ADVERSARIAL)


def read_brain_score(folder: Path | None = None) -> pd.DataFrame:
    """Read the published copy of Brain-Score's table: four benchmarks of IT, and ImageNet accuracy.

    Returns
    -------
    DataFrame
        A row for each submission, of which several have the same name: ``model``; ``top1`` in percent;
        ``MajajHong2015``, ``SanghaviJozwik2020``, ``Sanghavi2020`` and ``SanghaviMurty2020``, divided by the noise
        ceiling, as published. Missing values are NaN.

    Raises
    ------
    DataError
        As :func:`read_published_maps`.
    """
    rows = read_columns(_file("benchmark_scores.csv", folder), BRAIN_SCORE, repeated=True)
    return rows.assign(top1=100 * rows["top1"])


def read_coded(folder: Path | None = None) -> pd.DataFrame:
    """Read the submissions to Brain-Score that the authors classified by kind.

    Returns
    -------
    DataFrame
        A row for each submission: ``model``; ``kind``; ``top1`` in percent; ``MajajHong2015``.

    Raises
    ------
    DataError
        As :func:`read_published_maps`.
    """
    rows = read_columns(_file("brainscore_coded.csv", folder), CODED, repeated=True)
    return rows.assign(top1=100 * rows["top1"])


def read_majaj(folder: Path | None = None) -> pd.DataFrame:
    """Read the authors' own scores of timm models on MajajHong2015public.IT.

    Returns
    -------
    DataFrame
        A row for each model: ``model``, ``layer``, ``ceiling``, ``score`` and ``sd``. Whether scores are divided by the
        ceiling is not stated; they are as high as those of Brain-Score's site, which are.

    Raises
    ------
    DataError
        As :func:`read_published_maps`.
    """
    return read_columns(_file("brainscore_MajajHong2015public_IT.csv", folder), MAJAJ)


def read_columns(file: Path, columns: Columns, repeated: bool = False) -> pd.DataFrame:
    """Read some columns of a CSV file, and check every cell of them.

    Parameters
    ----------
    file : Path
    columns : mapping
        Header to the name of the column in the data frame, or to :class:`Numbers`.
    repeated : bool
        Keep all rows of the same model. By default identical ones are dropped, and different ones are an error.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        When the file cannot be read, a column is missing, a cell is empty, not a number, or out of range, or a model
        has different rows.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "scores.csv")
    ...     _ = file.write_text("model,aa,note\\nresnet50,0.5,made up\\n")
    ...     read_columns(file, {"model": "model", "aa": Numbers("adversarial", -1, 1)}).values.tolist()
    [['resnet50', 0.5]]
    """
    header, rows = _rows(file)
    if absent := [name for name in columns if name not in header]:
        raise DataError(f"{file} has no column {absent[0]}.", FIX)
    if twice := [name for name in columns if header.count(name) > 1]:
        raise DataError(f"{file} has two columns {twice[0]}.", FIX)
    cells: dict[str, list[str] | list[float]] = {}
    for head, column in columns.items():
        texts = [(line, row[header.index(head)].strip()) for line, row in rows]
        if isinstance(column, Numbers):
            cells[column.name] = [_number(text, column, f"{file}: row {line}, column {head}") for line, text in texts]
        else:
            cells[column] = [_text(text, f"{file}: row {line}, column {head}") for line, text in texts]
    frame = pd.DataFrame(cells)
    return frame if repeated else _one_row_a_model(frame, [line for line, _ in rows], file)


def _file(name: str, folder: Path | None) -> Path:
    pinned = next((file for file in published_files() if file.name == name), None)
    if pinned is None:
        raise DataError(f"The list of published tables does not name {name}.", FIX)
    return _stored(pinned, folder)


def _stored(file: PinnedFile, folder: Path | None) -> Path:
    """Return the path of a table; one in the folder of downloads must have the published content."""
    if folder is None and missing_files([file], published_folder()):
        raise DataError(f"{published_folder() / file.path} is missing, or is not the published file.", FIX)
    return (published_folder() if folder is None else folder) / file.path


def _read_maps(file: Path, recording: str, start: str, stop: str, shifted: str | None) -> pd.DataFrame:
    """Read the scores on one array in one window, and check that the file is about them."""
    rows = read_columns(file, MAPS)
    if recording not in ARRAYS:
        raise DataError(f"{file} names an unknown array, {recording}.", FIX)
    for column, expected in (("stimuli", recording), ("start", float(start)), ("stop", float(stop))):
        if different := [value for value in rows[column] if value != expected]:
            raise DataError(f"{file} contains {different[0]} where its name says {expected}.", FIX)
    shapes = sorted(set(rows["shape"]))
    shape = RESPONSE_SHAPE.fullmatch(shapes[0]) if len(shapes) == 1 else None
    if shape is None:
        raise DataError(
            f"{file}: the column neural_response_shape is {shapes[0]!r}"
            f"{f' and {len(shapes) - 1} others' if len(shapes) > 1 else ''}, not one shape (14, y, x, sites).",
            FIX,
        )
    rows = rows.assign(
        array=ARRAYS[recording],
        window=f"followup_{start}_{stop}",
        shifted=shifted is not None,
        score=rows["raw"] / rows["ceiling"],
        sites=int(shape[2]),
    )
    return rows[MAPS_COLUMNS]


def _rows(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header and the rows of a CSV file, each with the number of its last line."""
    try:
        reader = csv.reader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing.", f"Run `{COMMAND}` to download it.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as a CSV table: {one_line(error)}.", FIX) from error
    if len(rows) < 2:
        raise DataError(f"{file} has no rows.", FIX)
    header = [name.strip() for name in rows[0][1]]
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"{file}: row {line} has {len(row)} cells, but there are {len(header)} columns.", FIX)
    return header, rows[1:]


def _text(text: str, where: str) -> str:
    if not text:
        raise DataError(f"{where} is empty.", FIX)
    return text


def _number(text: str, column: Numbers, where: str) -> float:
    if column.missing and text in MISSING:
        return np.nan
    if not NUMBER.fullmatch(text):
        raise DataError(f"{where}: {text[:60]!r} is not a number.", FIX)
    value = float(text)
    if not column.low <= value <= column.high:  # also NaN
        raise DataError(f"{where}: {text[:60]} is not between {column.low:g} and {column.high:g}.", FIX)
    return value


def _one_row_a_model(frame: pd.DataFrame, lines: list[int], file: Path) -> pd.DataFrame:
    """Drop identical rows, and refuse different rows of the same model."""
    distinct = frame.drop_duplicates()
    repeated = distinct[distinct["model"].duplicated()]
    if len(repeated):
        model, second = repeated["model"].iloc[0], repeated.index[0]
        first = distinct.index[distinct["model"] == model][0]
        raise DataError(f"{file}: rows {lines[first]} and {lines[second]} of {model} differ.", FIX)
    return distinct.reset_index(drop=True)
