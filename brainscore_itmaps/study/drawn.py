"""Write figures with their data, and tables, into the folder of a comparison."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from brainscore_itmaps.files import ANOTHER_FOLDER, csv_cell, replacing
from brainscore_itmaps.reporting.drawing import style
from brainscore_itmaps.reporting.embedded import data_url
from brainscore_itmaps.reporting.study_page import StudyFigure
from brainscore_itmaps.text import short_repr

FIGURES = "figures"
PNG_DPI, PNG_COLOURS = 110, 64
"""Resolution and number of colours of the PNG files, which are small."""


@short_repr
@dataclass(frozen=True)
class Drawing:
    """A figure, its data and its description.

    Attributes
    ----------
    stem : str
        Name of its files, without ending.
    text : str
        Description of the figure.
    figure : Figure
        Of matplotlib.
    data : DataFrame
        The numbers that are drawn.
    """

    stem: str
    text: str
    figure: Any
    data: pd.DataFrame


def write_csv(file: Path, rows: pd.DataFrame) -> None:
    """Write a table as CSV, with every text passed through :func:`~brainscore_itmaps.files.csv_cell`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(Path(folder, "a.csv"), pd.DataFrame({"model": ["=1+1"]}))
    ...     Path(folder, "a.csv").read_text().split()
    ['model', "'=1+1"]
    """
    rows.rename(columns=csv_cell).apply(lambda column: column.map(csv_cell)).to_csv(file, index=False)


def write_drawing(
    folder: Path, drawing: Drawing, files: list[Path], fix: str = ANOTHER_FOLDER, png: bool = False
) -> StudyFigure:
    """Write a figure as SVG and PDF, and its data as CSV, and return it for a page.

    Parameters
    ----------
    folder : Path
        The files get into its folder ``figures``.
    drawing : Drawing
    files : list of Path
        The written files are appended.
    fix : str
        Next step, for errors.
    png : bool
        Write a PNG, too.
    """
    stem = folder / FIGURES / drawing.stem
    vector, endings = io.BytesIO(), ["svg", "pdf", *(["png"] if png else []), "csv"]
    paths = {ending: stem.with_name(f"{stem.name}.{ending}") for ending in endings}
    with style():
        drawing.figure.savefig(vector, format="svg", metadata={"Date": None})
        with replacing(paths["pdf"], fix) as temporary:
            drawing.figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
    with replacing(paths["svg"], fix) as temporary:
        temporary.write_bytes(vector.getvalue())
    if png:
        with replacing(paths["png"], fix) as temporary:
            _write_png(temporary, drawing.figure)
    with replacing(paths["csv"], fix) as temporary:
        write_csv(temporary, drawing.data)
    files += paths.values()
    source = data_url(vector.getvalue(), "image/svg+xml")
    return StudyFigure(f"{FIGURES}/{drawing.stem}", drawing.text, source, drawing.figure.get_figwidth())


def _write_png(file: Path, figure: Any) -> None:
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", dpi=PNG_DPI)
    with Image.open(pixels) as image:
        image.convert("RGB").quantize(PNG_COLOURS, dither=Image.Dither.NONE).save(file, format="png", optimize=True)
