from brainscore_vision import data_registry, stimulus_set_registry

from brainscore_itmaps.bridge.benchmark import get_assembly, get_stimulus_set

data_registry['OSIE.gaze'] = lambda: get_assembly('OSIE.gaze')
stimulus_set_registry['OSIE.gaze.stimuli'] = lambda: get_stimulus_set('OSIE.gaze')
data_registry['OSIE.gaze700'] = lambda: get_assembly('OSIE.gaze700')
stimulus_set_registry['OSIE.gaze700.stimuli'] = lambda: get_stimulus_set('OSIE.gaze700')
