from brainscore_vision import data_registry, stimulus_set_registry

from brainscore_itmaps.bridge.benchmark import get_assembly, get_stimulus_set

data_registry['Arcaro2020.monkey1_PL'] = lambda: get_assembly('monkey1_PL')
data_registry['Arcaro2020.monkey1_ML'] = lambda: get_assembly('monkey1_ML')
data_registry['Arcaro2020.monkey2_ML'] = lambda: get_assembly('monkey2_ML')
stimulus_set_registry['Arcaro2020.monkey1.stimuli'] = lambda: get_stimulus_set('monkey1_ML')
stimulus_set_registry['Arcaro2020.monkey2.stimuli'] = lambda: get_stimulus_set('monkey2_ML')
