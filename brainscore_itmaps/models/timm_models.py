"""ImageNet accuracy, size and group of timm's models."""

import csv
import re
from functools import cache
from pathlib import Path

from brainscore_itmaps.models.names import timm_architectures, timm_families
from brainscore_itmaps.models.zoo import ZOO

FILE = Path(__file__).with_name("timm_top1.csv")
"""From timm's results on the ImageNet validation set (Apache-2.0): model, size in pixels, top-1 in percent, millions of
parameters."""


def timm_top1(timm_name: str, size: int | None = None) -> tuple[float, str] | tuple[None, None]:
    """Look up the accuracy in percent and who measured it; None and None if timm has not published it.

    Parameters
    ----------
    timm_name : str
        With the tag.
    size : int, optional
        Height and width of the input in pixels; by default the smallest that was measured, at which timm's
        preprocessing shows images.
    """
    sizes = {pixels: top1 for pixels, top1, _ in _rows().get(timm_name, [])}
    size = size or min(sizes, default=None)
    if size is None or size not in sizes:
        return None, None
    return sizes[size], f"timm results for {timm_name} at {size} pixels"


@cache
def timm_parameters(timm_name: str) -> int | None:
    """Look up the number of parameters of an architecture; None if timm has published no accuracy of it."""
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


OTHER = "other"
GROUPS = ("CNN", "harmonized", "transformer", "hybrid", "self-supervised", "robust", "extra data", OTHER)
"""In the order of legends; a group's colour and mark follow from its place."""

# files of timm; every other one holds convolutional models, or such without attention
TRANSFORMERS = re.compile(
    r"beit|cait|crossvit|davit|deepseek_vit|deit|eva|gemma4_vit|hiera\w*|mvitv2|naflexvit|nest|pit|pvt_v2|qwen3_vit|"
    r"swin_transformer\w*|tnt|twins|vision_transformer|vision_transformer_(relpos|sam)|volo|xcit"
)
HYBRIDS = re.compile(
    r"byoanet|coat|convit|cpubone|edgenext|efficientformer\w*|efficientvit_\w+|fastvit|gcvit|iformer|levit|lowformer|"
    r"maxxvit|metaformer|mobilevit|nextvit|shvit|swiftformer|tiny_vit|visformer|vision_transformer_hybrid|vitamin"
)
# parts of timm's tags
ROBUST = re.compile(r"ap|adv")
UNLABELLED = re.compile(r"mae|fcmae|dino\w*|mim|ijepa|seer|lvd\d+m|sat\d+m|eupe")
MORE_DATA = re.compile(
    r"in(w?2[12]|12)k|ig1b|yfcc\w+|jft|laion\w*|ssld|swag|6m|m3[08]m|\w*datacomp\w*|dfn\w+|webli|openai"
)


def group_of_model(model: str) -> str:
    """Return the group of a scored model by its name: "other" when neither the zoo nor timm has the name."""
    if model in ZOO:
        return ZOO[model].group
    name = model.removeprefix("timm:")
    known = model.startswith("timm:") and name.split(".")[0] in timm_architectures()
    return group_of(name) if known else OTHER


def group_of(timm_name: str) -> str:
    """Find the group of a timm model from its tag and its family.

    The tag comes first: trained on adversarial examples ("robust": AdvProp, ensemble adversarial training); without
    labels before ("self-supervised"); with images beyond ImageNet-1k ("extra data"). Otherwise the architecture:
    "transformer", "hybrid" of convolutions and attention, or "CNN" for all the rest.

    Parameters
    ----------
    timm_name : str
        With or without a tag; a bare name goes by its architecture alone.
    """
    architecture, _, tag = timm_name.partition(".")
    parts = tag.split("_")
    for group, pattern in (("robust", ROBUST), ("self-supervised", UNLABELLED), ("extra data", MORE_DATA)):
        if any(pattern.fullmatch(part) for part in parts):
            return group
    if tag and "in1k" not in parts:
        return "extra data"
    family = timm_families().get(architecture, "")
    for group, pattern in (("transformer", TRANSFORMERS), ("hybrid", HYBRIDS)):
        if pattern.fullmatch(family):
            return group
    return "CNN"
