"""The functions that Brain-Score looks for in a model plugin."""

from brainscore_itmaps.bridge.models import get_bibtex, get_layers, get_model
from brainscore_itmaps.models.zoo import named_set

__all__ = ["get_bibtex", "get_layers", "get_model", "get_model_list"]


def get_model_list() -> list[str]:
    return named_set("embedded")
