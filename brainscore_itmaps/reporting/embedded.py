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
from brainscore_itmaps.reporting.drawing import DIFFERENCE_COLOURS, MAP_COLOURS, style

IMAGE_SIDE = 300
QUALITY = 75

Images = Sequence[Path | None]


class Drawn(NamedTuple):
    """A figure with the data behind it.

    Attributes
    ----------
    source, data : str
        Addresses that hold the image and the CSV themselves.
    text : str
        What is to be seen.
    file : str
        Name of the CSV.
    """

    source: str
    text: str
    file: str
    data: str


def drawn(figure: Figure, text: str, file: str, rows: Iterable[Sequence[Any]], vector: bool = True) -> Drawn:
    """Embed a figure and the rows behind it as data addresses."""
    buffer = io.BytesIO()
    with style():  # what SVG is made of is settled when it is written
        if vector:
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        else:
            figure.savefig(buffer, format="jpeg", dpi=130, pil_kwargs={"quality": QUALITY})
    kind = "image/svg+xml" if vector else "image/jpeg"
    return Drawn(address(buffer.getvalue(), kind), text, file, f"data:text/csv,{quote(csv_text(rows), safe=',')}")


def address(content: bytes, kind: str) -> str:
    """Encode content as a data address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def small_image(file: Path) -> str:
    """Encode an image as a data address, no larger than shown; stretched to a square, as its map is."""
    buffer = io.BytesIO()
    with Image.open(file) as image:
        small = image.convert("RGB").resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS)
        small.save(buffer, "JPEG", quality=QUALITY)
    return address(buffer.getvalue(), "image/jpeg")


def maps_data(arrays: Sequence[ArrayResult], images: Sequence[Images], units: str) -> dict[str, Any]:
    """Collect everything that the image browser shows, for JSON; an image shared by several arrays is there once."""
    files = list(dict.fromkeys(file for own in images for file in own if file is not None))
    return {
        "units": units,
        "colours": _table(MAP_COLOURS),
        "diverging": _table(DIFFERENCE_COLOURS),
        "images": [small_image(file) for file in files],
        "arrays": [
            {
                "kind": "simulated" if array.simulated else "recorded",
                "images": list(array.images),
                "sites": list(array.sites),
                "y": array.degrees_y.tolist(),
                "x": array.degrees_x.tolist(),
                "extent": array.extent or float(np.ptp(array.degrees_y)),
                "neural": _floats(array.neural),
                "predicted": _floats(array.predicted),
                "rho": _defined(array.map_rho),
                "r": [_defined(row) for row in array.site_r],
                "files": [None if file is None else files.index(file) for file in own],
            }
            for array, own in zip(arrays, images, strict=True)
        ],
    }


def _floats(values: NDArray[np.float64]) -> str:
    """Encode values as little-endian 32-bit floats, image by image, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _defined(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _table(colours: str) -> list[str]:
    return [to_hex(colour) for colour in mpl.colormaps[colours](np.arange(256))]
