from brainscore_vision import model_registry

from brainscore_itmaps.bridge.models import get_model

model_registry['efficientnet_lite0'] = lambda: get_model('efficientnet_lite0')
model_registry['efficientnet_lite1'] = lambda: get_model('efficientnet_lite1')
model_registry['efficientnet_lite2'] = lambda: get_model('efficientnet_lite2')
