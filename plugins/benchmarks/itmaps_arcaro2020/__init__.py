from brainscore_vision import benchmark_registry

from brainscore_itmaps.bridge.benchmark import get_benchmark

benchmark_registry['it_maps'] = lambda: get_benchmark('it_maps')
benchmark_registry['it_maps_alignment'] = lambda: get_benchmark('it_maps_alignment')
benchmark_registry['Arcaro2020.monkey1_PL-pls'] = lambda: get_benchmark('Arcaro2020.monkey1_PL-pls')
benchmark_registry['Arcaro2020.monkey1_PL-ridge'] = lambda: get_benchmark('Arcaro2020.monkey1_PL-ridge')
benchmark_registry['Arcaro2020.monkey1_PL-alignment'] = lambda: get_benchmark('Arcaro2020.monkey1_PL-alignment')
benchmark_registry['Arcaro2020.monkey1_PL-screen-pls'] = lambda: get_benchmark('Arcaro2020.monkey1_PL-screen-pls')
benchmark_registry['Arcaro2020.monkey1_PL-fixation-pls'] = lambda: get_benchmark('Arcaro2020.monkey1_PL-fixation-pls')
benchmark_registry['Arcaro2020.monkey1_PL-attribution'] = lambda: get_benchmark('Arcaro2020.monkey1_PL-attribution')
benchmark_registry['Arcaro2020.monkey1_ML-pls'] = lambda: get_benchmark('Arcaro2020.monkey1_ML-pls')
benchmark_registry['Arcaro2020.monkey1_ML-ridge'] = lambda: get_benchmark('Arcaro2020.monkey1_ML-ridge')
benchmark_registry['Arcaro2020.monkey1_ML-alignment'] = lambda: get_benchmark('Arcaro2020.monkey1_ML-alignment')
benchmark_registry['Arcaro2020.monkey1_ML-screen-pls'] = lambda: get_benchmark('Arcaro2020.monkey1_ML-screen-pls')
benchmark_registry['Arcaro2020.monkey1_ML-fixation-pls'] = lambda: get_benchmark('Arcaro2020.monkey1_ML-fixation-pls')
benchmark_registry['Arcaro2020.monkey1_ML-attribution'] = lambda: get_benchmark('Arcaro2020.monkey1_ML-attribution')
benchmark_registry['Arcaro2020.monkey2_ML-pls'] = lambda: get_benchmark('Arcaro2020.monkey2_ML-pls')
benchmark_registry['Arcaro2020.monkey2_ML-ridge'] = lambda: get_benchmark('Arcaro2020.monkey2_ML-ridge')
benchmark_registry['Arcaro2020.monkey2_ML-alignment'] = lambda: get_benchmark('Arcaro2020.monkey2_ML-alignment')
benchmark_registry['Arcaro2020.monkey2_ML-screen-pls'] = lambda: get_benchmark('Arcaro2020.monkey2_ML-screen-pls')
benchmark_registry['Arcaro2020.monkey2_ML-fixation-pls'] = lambda: get_benchmark('Arcaro2020.monkey2_ML-fixation-pls')
benchmark_registry['Arcaro2020.monkey2_ML-attribution'] = lambda: get_benchmark('Arcaro2020.monkey2_ML-attribution')
