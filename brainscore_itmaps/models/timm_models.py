"""ImageNet accuracy, number of parameters and group of timm's models, and the group of torchvision's."""

import csv
import re
from functools import cache
from pathlib import Path

from brainscore_itmaps.models.names import timm_architectures, timm_families, torchvision_architectures
from brainscore_itmaps.models.zoo import ZOO

FILE = Path(__file__).with_name("timm_top1.csv")
"""timm's results on the ImageNet validation set (Apache-2.0): model, input size in pixels, top-1 accuracy in percent,
millions of parameters."""


def timm_top1(timm_name: str, size: int | None = None) -> tuple[float, str] | tuple[None, None]:
    """Look up the ImageNet accuracy of a timm model, and its source.

    Parameters
    ----------
    timm_name : str
        Name in timm, with the tag.
    size : int, optional
        Height and width of the input in pixels; by default the smallest size in timm's results, which is that of
        timm's preprocessing.

    Returns
    -------
    float or None
        Top-1 accuracy in percent; None if timm has not published it.
    str or None
        Source of the accuracy.

    Examples
    --------
    >>> from brainscore_itmaps.models.timm_models import timm_top1
    >>> timm_top1("resnet50.tv_in1k")
    (76.156, 'timm results for resnet50.tv_in1k at 224 pixels')
    """
    sizes = {pixels: top1 for pixels, top1, _ in _rows().get(timm_name, [])}
    size = size or min(sizes, default=None)
    if size is None or size not in sizes:
        return None, None
    return sizes[size], f"timm results for {timm_name} at {size} pixels"


@cache
def timm_parameters(timm_name: str) -> int | None:
    """Look up the number of parameters of an architecture; None if it is not in timm's results.

    Examples
    --------
    >>> from brainscore_itmaps.models.timm_models import timm_parameters
    >>> timm_parameters("resnet50")
    25560000
    """
    architecture = timm_name.split(".")[0]
    return next((round(row[2] * 1e6) for name, rows in _rows().items() if name.split(".")[0] == architecture
                 for row in rows), None)  # fmt: skip


@cache
def _rows() -> dict[str, list[tuple[int, float, float]]]:
    """Read timm's results: input size, accuracy and millions of parameters for each model."""
    rows: dict[str, list[tuple[int, float, float]]] = {}
    with FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            values = int(row["size"]), float(row["top1"]), float(row["parameters"])
            rows.setdefault(row["model"], []).append(values)
    return rows


OTHER = "other"
GROUPS = ("CNN", "harmonized", "transformer", "hybrid", "self-supervised", "robust", "extra data", OTHER)
"""Groups in the order of legends, which determines the colour and marker of each group."""

# modules of timm; all other modules define convolutional models, or models without attention
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
    """Find the group of a model by its name, "other" for models that are not in the zoo, timm or torchvision.

    Examples
    --------
    >>> from brainscore_itmaps.models.timm_models import group_of_model
    >>> group_of_model("harmonized_vgg16"), group_of_model("timm:levit_128"), group_of_model("mine")
    ('harmonized', 'hybrid', 'other')
    """
    if model in ZOO:
        return ZOO[model].group
    if model.startswith("torchvision:"):
        name = model.removeprefix("torchvision:")
        return group_of_torchvision(name) if name.split(".")[0] in torchvision_architectures() else OTHER
    name = model.removeprefix("timm:")
    in_timm = model.startswith("timm:") and name.split(".")[0] in timm_architectures()
    return group_of(name) if in_timm else OTHER


def group_of_torchvision(name: str) -> str:
    """Find the group of a model of torchvision from its architecture and its weights.

    Examples
    --------
    >>> from brainscore_itmaps.models.timm_models import group_of_torchvision
    >>> [group_of_torchvision(name) for name in ("resnet50", "vit_b_16", "vit_b_16.IMAGENET1K_SWAG_E2E_V1")]
    ['CNN', 'transformer', 'extra data']
    """
    if "SWAG" in name:
        return "extra data"
    if name.startswith(("vit_", "swin_")):
        return "transformer"
    return "hybrid" if name.startswith("maxvit") else "CNN"


def group_of(timm_name: str) -> str:
    """Find the group of a timm model from its tag and its architecture.

    The tag has priority: "robust" for training on adversarial examples (AdvProp, ensemble adversarial training),
    "self-supervised" for pretraining without labels, "extra data" for images in addition to ImageNet-1k. Other models
    are grouped by architecture: "transformer", "hybrid" of convolutions and attention, or "CNN".

    Parameters
    ----------
    timm_name : str
        Name in timm; without a tag, only the architecture determines the group.

    Examples
    --------
    >>> from brainscore_itmaps.models.timm_models import group_of
    >>> group_of("vit_base_patch16_224.mae"), group_of("vit_base_patch16_224"), group_of("resnet50")
    ('self-supervised', 'transformer', 'CNN')
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
