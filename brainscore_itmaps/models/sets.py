"""Named sets of networks."""

import json
from functools import cache
from pathlib import Path

from brainscore_itmaps.errors import UsageError, nearest
from brainscore_itmaps.models.baselines import BASELINES
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.zoo import EMBEDDED, ZOO

PROXY = Path(__file__).with_name("paper_proxy.json")

SETS = {
    "embedded": "pretrained networks whose weights come inside ordinary packages",
    "harmonized": "the seven networks that their authors trained with the neural harmonizer",
    "baselines": "the same seven architectures with timm's weights for ImageNet",
    "harmonized_twins": "each harmonized network before its baseline",
    "paper_proxy": "networks of a sister project of the same month: the nearest published list to the 135 networks of "
    "Linsley et al. 2023, which were never listed; not the paper's own list",
}


def list_models(named: str | None = None) -> list[str]:
    """List the models that have a name of their own, or those of a named set.

    Parameters
    ----------
    named : str, optional
        A key of :data:`SETS`.

    Returns
    -------
    list of str
        Names for :func:`brainscore_itmaps.load_model`. ``timm:NAME`` names any other model of timm.

    Raises
    ------
    UsageError
        When there is no such set.

    Examples
    --------
    >>> list_models("embedded")
    ['efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2']
    """
    return list(ZOO) if named is None else named_set(named)


def named_set(name: str) -> list[str]:
    """Names of the networks in a set, for ``--model``.

    Raises
    ------
    UsageError
        When there is no such set.
    """
    if name not in SETS:
        raise UsageError(f"There is no set named {name!r}.", nearest(name, SETS))
    twins = [name for spec in HARMONIZED.values() for name in (spec.identifier, spec.baseline)]
    whole = {"embedded": EMBEDDED, "harmonized": HARMONIZED, "baselines": BASELINES, "harmonized_twins": twins}
    return list(whole[name]) if name in whole else _proxy()


def baseline_of(name: str) -> str | None:
    """Name the baseline twin of a harmonized model; None for any other model."""
    return ZOO[name].baseline or None if name in ZOO else None


@cache
def _proxy() -> list[str]:
    families = json.loads(PROXY.read_text(encoding="utf-8"))["networks"]
    return [f"timm:{name}" for family in families.values() for name in family]
