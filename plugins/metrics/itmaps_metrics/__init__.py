from brainscore_vision import metric_registry

from brainscore_itmaps.bridge.metrics import get_metric

metric_registry['itmaps_pls'] = lambda *args, **kwargs: get_metric('itmaps_pls', *args, **kwargs)
metric_registry['itmaps_ridge'] = lambda *args, **kwargs: get_metric('itmaps_ridge', *args, **kwargs)
metric_registry['itmaps_alignment'] = lambda *args, **kwargs: get_metric('itmaps_alignment', *args, **kwargs)
metric_registry['itmaps_site_ceiling'] = lambda *args, **kwargs: get_metric('itmaps_site_ceiling', *args, **kwargs)
