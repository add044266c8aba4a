from brainscore_vision import benchmark_registry

from brainscore_itmaps.bridge.clickme import get_benchmark

benchmark_registry['ClickMe.alignment'] = lambda: get_benchmark('ClickMe.alignment')
benchmark_registry['ClickMe.adversarial'] = lambda: get_benchmark('ClickMe.adversarial')
