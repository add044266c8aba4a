"""What tests read a model with, and the cache that they hand over."""

from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.cache import default_cache
from brainscore_itmaps.protocol import OURS


def model_source(model, layers=(), view="whole", batch_size=14, protocol=OURS):
    """A model through our own hooks; one layer may be named alone."""
    return HookedModel(model, batch_size).source((layers,) if isinstance(layers, str) else layers, view, protocol)


def fresh():
    """The cache, of which nothing is read."""
    return default_cache(fresh=True)
