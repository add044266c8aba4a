from brainscore_vision import benchmark_registry

from brainscore_itmaps.bridge.benchmark import get_benchmark

benchmark_registry['OSIE.gaze-pls'] = lambda: get_benchmark('OSIE.gaze-pls')
benchmark_registry['OSIE.gaze-alignment'] = lambda: get_benchmark('OSIE.gaze-alignment')
benchmark_registry['OSIE.gaze700-pls'] = lambda: get_benchmark('OSIE.gaze700-pls')
benchmark_registry['OSIE.gaze700-alignment'] = lambda: get_benchmark('OSIE.gaze700-alignment')
