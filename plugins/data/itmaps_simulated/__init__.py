from brainscore_vision import data_registry, stimulus_set_registry

from brainscore_itmaps.bridge.benchmark import get_assembly, get_stimulus_set

data_registry['it_maps_simulated'] = lambda: get_assembly('it_maps_simulated')
stimulus_set_registry['it_maps_simulated.stimuli'] = lambda: get_stimulus_set('it_maps_simulated')
data_registry['it_maps_textures_simulated'] = lambda: get_assembly('it_maps_textures_simulated')
stimulus_set_registry['it_maps_textures_simulated.stimuli'] = lambda: get_stimulus_set('it_maps_textures_simulated')
