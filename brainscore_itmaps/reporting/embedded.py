"""Embed maps, images, figures and the data behind them in a page."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.benchmark.result import ArrayResult
from brainscore_itmaps.files import csv_text
from brainscore_itmaps.images import read_image
from brainscore_itmaps.reporting.drawing import DIFFERENCE_COLOURS, MAP_COLOURS, size_of, style, units_of

IMAGE_SIDE = 300
QUALITY = 75

Images = Sequence[Path | None]


class EmbeddedFigure(NamedTuple):
    """A figure and its data, as data URLs.

    Attributes
    ----------
    source, data : str
        Data URLs of the image and of the CSV.
    text : str
        Description of the figure.
    file : str
        File name for the CSV.
    inches : float
        Width of the figure, in inches.
    """

    source: str
    text: str
    file: str
    data: str
    inches: float


def embed_figure(
    figure: Figure, text: str, file: str, rows: Iterable[Sequence[Any]], vector: bool = True
) -> EmbeddedFigure:
    """Encode a figure and its rows of data as data URLs.

    Parameters
    ----------
    figure : Figure
    text : str
        Description of the figure.
    file : str
        File name for the CSV.
    rows : iterable of sequences
        The data of the figure; the first row names the columns.
    vector : bool
        Write SVG; otherwise JPEG.

    Examples
    --------
    >>> embedded = embed_figure(Figure(), "Nothing", "nothing.csv", [("layer", "r"), ("conv1", 0.5)])
    >>> embedded.source[:26]
    'data:image/svg+xml;base64,'
    >>> embedded.data
    'data:text/csv,layer,r%0Aconv1,0.5%0A'
    """
    buffer = io.BytesIO()
    with style():  # the settings for SVG apply when it is written
        if vector:
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        else:
            figure.savefig(buffer, format="jpeg", dpi=130, pil_kwargs={"quality": QUALITY})
    kind = "image/svg+xml" if vector else "image/jpeg"
    table = f"data:text/csv,{quote(csv_text(rows), safe=',')}"
    return EmbeddedFigure(data_url(buffer.getvalue(), kind), text, file, table, figure.get_figwidth())


def data_url(content: bytes, kind: str) -> str:
    """Encode bytes as a data URL.

    Examples
    --------
    >>> data_url(b"abc", "text/plain")
    'data:text/plain;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def embed_image(file: Path, shape: tuple[float, float] = (1, 1)) -> str:
    """Encode an image file as a data URL, reduced to its size on the page, in the shape in which it was shown.

    Parameters
    ----------
    file : Path
    shape : (float, float)
        Its height and width, in degrees.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 30)).save(Path(folder, "image.png"))
    ...     embed_image(Path(folder, "image.png"))[:23]
    'data:image/jpeg;base64,'
    """
    buffer = io.BytesIO()
    height, width = (round(IMAGE_SIDE * side / max(shape)) for side in shape)
    small = read_image(file).resize((max(width, 1), max(height, 1)), Image.Resampling.LANCZOS)
    small.save(buffer, "JPEG", quality=QUALITY)
    return data_url(buffer.getvalue(), "image/jpeg")


def maps_data(arrays: Sequence[ArrayResult], images: Sequence[Images]) -> dict[str, Any]:
    """Collect the data of the page's image browser, for JSON; an image that several arrays share is included once.

    Parameters
    ----------
    arrays : sequence of ArrayResult
    images : sequence of sequences of Path or None
        For each array, its images in the order of the maps; None where an image is not on this machine.
    """
    shapes = {
        file: size_of(array) for array, paths in zip(arrays, images, strict=True) for file in paths if file is not None
    }
    files = list(shapes)
    return {
        "colours": _colour_table(MAP_COLOURS),
        "diverging": _colour_table(DIFFERENCE_COLOURS),
        "images": [embed_image(file, shape) for file, shape in shapes.items()],
        "arrays": [
            {
                "kind": "simulated" if array.simulated else "recorded",
                "units": units_of(array),
                "images": list(array.images),
                "sites": list(array.sites),
                "y": array.degrees_y.tolist(),
                "x": array.degrees_x.tolist(),
                "size": size_of(array),
                "neural": _floats(array.neural),
                "predicted": _floats(array.predicted),
                "rho": _null_if_nan(array.map_rho),
                "r": [_null_if_nan(row) for row in array.site_r],
                "files": [None if file is None else files.index(file) for file in paths],
            }
            for array, paths in zip(arrays, images, strict=True)
        ],
    }


def _floats(values: NDArray[np.float64]) -> str:
    """Encode values as little-endian 32-bit floats, image by image, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _null_if_nan(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _colour_table(colours: str) -> list[str]:
    return [to_hex(colour) for colour in mpl.colormaps[colours](np.arange(256))]
