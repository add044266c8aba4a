"""Feature sources and caches for tests."""

from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.cache import default_cache
from brainscore_itmaps.protocol import OURS


def model_source(model, layers=(), view="whole", batch_size=14, protocol=OURS):
    """A model through our own hooks; one layer may be named alone."""
    return HookedModel(model, batch_size).source((layers,) if isinstance(layers, str) else layers, view, protocol)


def fresh():
    """Return a cache that is written but never read."""
    return default_cache(fresh=True)
