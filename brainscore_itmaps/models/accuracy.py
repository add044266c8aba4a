"""ImageNet accuracy and size of timm's networks, as timm's authors measured them."""

import csv
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("timm_top1.csv")
"""From timm's results on the ImageNet validation set (Apache-2.0): model, size in pixels, top-1 in percent, millions of
parameters."""


def timm_top1(timm_name: str, size: int | None = None) -> tuple[float, str] | tuple[None, None]:
    """Accuracy in percent and who measured it; Nones where timm has published none.

    Parameters
    ----------
    timm_name : str
        With the tag.
    size : int, optional
        Height and width of the input in pixels; by default the smallest that was measured, at which timm's
        preprocessing shows pictures.
    """
    sizes = {pixels: top1 for pixels, top1, _ in _rows().get(timm_name, [])}
    size = size or min(sizes, default=None)
    if size is None or size not in sizes:
        return None, None
    return sizes[size], f"timm results for {timm_name} at {size} pixels"


@cache
def timm_parameters(timm_name: str) -> int | None:
    """How many parameters an architecture has, whatever its tag; None where timm has published no accuracy of it."""
    architecture = timm_name.split(".")[0]
    return next((round(row[2] * 1e6) for name, rows in _rows().items() if name.split(".")[0] == architecture
                 for row in rows), None)  # fmt: skip


@cache
def _rows() -> dict[str, list[tuple[int, float, float]]]:
    rows: dict[str, list[tuple[int, float, float]]] = {}
    with FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            own = int(row["size"]), float(row["top1"]), float(row["parameters"])
            rows.setdefault(row["model"], []).append(own)
    return rows
