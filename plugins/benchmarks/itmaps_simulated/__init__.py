from brainscore_vision import benchmark_registry

from brainscore_itmaps.bridge.benchmark import get_benchmark

benchmark_registry['it_maps_simulated'] = lambda: get_benchmark('it_maps_simulated')
