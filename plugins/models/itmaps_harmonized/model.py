"""The functions that Brain-Score looks for in a model plugin."""

from brainscore_itmaps.bridge.models import get_bibtex, get_layers, get_model, get_model_list

__all__ = ["get_bibtex", "get_layers", "get_model", "get_model_list"]
