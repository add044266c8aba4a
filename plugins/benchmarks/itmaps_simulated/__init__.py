from brainscore_vision import benchmark_registry

from brainscore_itmaps.bridge.benchmark import get_benchmark

benchmark_registry['it_maps_simulated'] = lambda: get_benchmark('it_maps_simulated')
benchmark_registry['it_maps_ridge_simulated'] = lambda: get_benchmark('it_maps_ridge_simulated')
benchmark_registry['it_maps_alignment_simulated'] = lambda: get_benchmark('it_maps_alignment_simulated')
benchmark_registry['it_maps_screen_simulated'] = lambda: get_benchmark('it_maps_screen_simulated')
benchmark_registry['it_maps_fixation_simulated'] = lambda: get_benchmark('it_maps_fixation_simulated')
benchmark_registry['it_maps_attribution_simulated'] = lambda: get_benchmark('it_maps_attribution_simulated')
benchmark_registry['it_maps_rsa_simulated'] = lambda: get_benchmark('it_maps_rsa_simulated')
benchmark_registry['it_maps_cka_simulated'] = lambda: get_benchmark('it_maps_cka_simulated')
benchmark_registry['it_maps_textures_simulated'] = lambda: get_benchmark('it_maps_textures_simulated')
benchmark_registry['it_maps_transfer_simulated'] = lambda: get_benchmark('it_maps_transfer_simulated')
