"""ImageNet accuracy of timm's pretrained weights, as timm's authors measured it."""

import csv
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("timm_top1.csv")
"""From timm's results on the ImageNet validation set (Apache-2.0): model, size in pixels, top-1 in percent."""


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
    sizes = _table().get(timm_name, {})
    size = size or min(sizes, default=None)
    if size is None or size not in sizes:
        return None, None
    return sizes[size], f"timm results for {timm_name} at {size} pixels"


@cache
def _table() -> dict[str, dict[int, float]]:
    table: dict[str, dict[int, float]] = {}
    with FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            table.setdefault(row["model"], {})[int(row["size"])] = float(row["top1"])
    return table
